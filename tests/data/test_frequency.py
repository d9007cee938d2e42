"""Frequencies told from stamps, clocks that count them, and cutoffs that lie between rows."""

from __future__ import annotations

import datetime
import pickle

import numpy as np
import pandas as pd
import pytest

import tsforce
from tsforce.data.frame import cutoff_rows, panel_to_frame, read_panel, resolve_cutoffs, stamps_at, write_forecasts
from tsforce.data.frequency import Clock, check_freq, infer_offset, season_length_of
from tsforce.data.panel import WindowIndex
from tsforce.errors import ArgumentError, FrameError, UnseenSeriesError

STARTS = {
    "h": "2024-01-01 00:00",
    "D": "2024-01-01",
    "30min": "2024-01-01 00:15",
    "W-SUN": "2024-01-07",
    "MS": "2024-01-01",
    "ME": "2023-12-31",
    "QS-OCT": "2024-01-01",
    "QE-DEC": "2024-03-31",
    "YS-JAN": "1990-01-01",
    "YE-DEC": "1990-12-31",
    "B": "2024-01-01",
    "2D": "2024-01-01",
    "2MS": "2024-02-01",
    "3W-WED": "2024-01-03",
    "WOM-3FRI": "2024-01-19",
}


def frame(ds, name="a", **columns):
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": np.arange(float(len(ds))), **columns})


def both(*frames):
    return read_panel(pd.concat(frames, ignore_index=True))


def cuts(index):
    return list(zip(index.series.tolist(), index.rows.tolist(), strict=True))


# ---- what frequency it is


@pytest.mark.parametrize("freq", STARTS)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_frequency_is_told_from_the_stamps_and_remembered_by_its_alias(freq, zone):
    stamps = pd.date_range(STARTS[freq], periods=40, freq=freq, tz=zone)
    panel = read_panel(frame(stamps))
    # Quarters have several aliases for the same stamps.
    assert pd.date_range(stamps[0], periods=40, freq=panel.clock.freq).equals(stamps)
    assert read_panel(frame(stamps), freq=freq).clock.freq == check_freq(freq).freqstr


@pytest.mark.parametrize("freq", ["h", "D", "W-SUN", "MS", "ME", "QS-OCT", "B"])
def test_a_few_gaps_do_not_hide_the_frequency(freq):
    stamps = pd.date_range(STARTS[freq], periods=60, freq=freq)
    told = infer_offset(stamps.delete([20, 21, 40]))
    assert pd.date_range(stamps[0], periods=60, freq=told).equals(stamps)


def test_a_gap_in_a_handful_of_stamps_does_not_hide_the_frequency():
    days = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05", "2024-01-06"])
    assert infer_offset(days).freqstr == "D"


def test_repeated_stamps_do_not_hide_the_frequency():
    stamps = pd.date_range("2024-01-01", periods=10, freq="h")
    assert infer_offset(stamps.append(stamps).sort_values()).freqstr == "h"


@pytest.mark.parametrize(
    "stamps",
    [
        ["2024-01-01"],
        ["2024-01-01", "2024-01-02"],
        ["2024-01-01", "2024-01-02", "2024-01-05"],
        ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-05", "2024-01-07"],
        ["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-11", "2024-01-25", "2024-02-01", "2024-02-04"],
        [
            "2024-01-01",
            "2024-01-03",
            "2024-01-05",
            "2024-01-11",
            "2024-01-25",
            "2024-02-01",
            "2024-02-04",
            "2024-02-20",
        ],
    ],
)
def test_too_few_irregular_or_contradicting_stamps_tell_no_frequency(stamps):
    assert infer_offset(pd.DatetimeIndex(stamps)) is None


def test_the_series_with_most_rows_tells_the_frequency_for_all():
    short = frame(pd.to_datetime(["2024-01-01", "2024-01-02"]), "short")
    assert both(short, frame(pd.date_range("2024-01-01", periods=9, freq="D"), "long")).clock.freq == "D"


def test_whole_numbers_go_by_one_or_by_the_step_that_is_given():
    assert read_panel(frame([4, 5, 6])).clock.freq == 1
    panel = read_panel(frame([4, 14, 24]), freq=10)
    assert (panel.clock.freq, panel.clock.step) == (10, 10)
    assert stamps_at(panel, WindowIndex(np.array([0, 0]), np.array([1, 5]))).tolist() == [14, 54]


def test_series_of_one_step_may_start_at_any_phase():
    hours = [pd.date_range(f"2024-01-01 00:{minute}", periods=5, freq="h") for minute in ("00", "17")]
    assert both(frame(hours[0]), frame(hours[1], "b")).n_series == 2
    months = [pd.date_range(f"2024-0{month}-01", periods=5, freq="2MS") for month in (1, 2)]
    panel = both(frame(months[0]), frame(months[1], "b"))
    assert panel.clock.freq == "2MS"
    assert panel_to_frame(panel)["ds"].tolist() == [*months[0], *months[1]]


def test_reading_stamps_warns_of_nothing_and_changes_no_option_of_pandas(recwarn):
    before = pd.describe_option(_print_desc=False)
    read_panel(frame(pd.date_range("2024-01-01", periods=30, freq="h")))
    assert len(recwarn) == 0
    assert pd.describe_option(_print_desc=False) == before


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("h", 24),
        ("D", 7),
        ("W", 52),
        ("W-SUN", 52),
        ("MS", 12),
        ("ME", 12),
        ("BME", 12),
        ("QS-OCT", 4),
        ("QE-DEC", 4),
        ("YS-JAN", 1),
        ("B", 1),
        ("30min", 48),
        ("15min", 96),
        ("min", 1440),
        ("45min", 32),
        ("7min", 1),
        ("s", 1),
        ("2h", 12),
        ("5h", 1),
        ("24h", 7),
        ("2D", 1),
        ("7D", 52),
        ("2W-MON", 26),
        ("4W", 13),
        ("2MS", 6),
        ("3ME", 4),
        ("5MS", 1),
        ("2QS", 2),
        (pd.DateOffset(months=1, day=15), 12),
        (pd.DateOffset(months=3, day=15), 4),
        (pd.offsets.CustomBusinessDay(), 1),
        (1, 1),
        (24, 1),
    ],
)
def test_the_season_length_that_goes_with_a_frequency(freq, expected):
    assert season_length_of(freq) == expected


# ---- clocks


@pytest.mark.parametrize("freq", STARTS)
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_stamps_become_ticks_and_come_back_in_the_same_unit_and_zone(freq, unit, zone):
    stamps = pd.date_range(STARTS[freq], periods=30, freq=freq, tz=zone).as_unit(unit)._with_freq(None)
    clock = Clock.for_stamps(stamps[5:25], check_freq(freq))
    ticks, on_grid = clock.ticks(stamps[5:])
    assert ticks.dtype == np.int64
    assert on_grid.all()
    assert (np.diff(ticks) == clock.step).all()
    back = clock.stamps(ticks)
    assert back.dtype == stamps.dtype
    assert back.equals(stamps[5:])


@pytest.mark.parametrize("freq", STARTS)
def test_stamps_of_the_future_are_those_of_the_calendar(freq):
    stamps = pd.date_range(STARTS[freq], periods=90, freq=freq)
    panel = read_panel(frame(stamps[:20]), freq=freq)
    future = stamps_at(panel, WindowIndex(np.zeros(70, int), np.arange(20, 90)))
    assert future.tolist() == stamps[20:].tolist()


def test_month_ends_go_on_past_the_short_months():
    panel = read_panel(frame(pd.to_datetime(["2023-10-31", "2023-11-30", "2023-12-31"])))
    out = write_forecasts(panel, panel.last_rows(), np.zeros((1, 4)), "f", with_cutoff=True)
    assert out["ds"].tolist() == list(pd.to_datetime(["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]))
    assert out["cutoff"].unique().tolist() == [pd.Timestamp("2023-12-31")]
    assert out["horizon"].tolist() == [1, 2, 3, 4]


def test_stamps_between_grid_points_stand_for_the_point_before_and_are_told_apart():
    clock = Clock.for_stamps(pd.date_range("2024-01-01", periods=5, freq="MS"), check_freq("MS"))
    ticks, on_grid = clock.ticks(pd.to_datetime(["2023-12-01", "2024-01-31", "2024-02-01", "2024-07-15"]))
    assert ticks.tolist() == [-1, 0, 1, 6]
    assert on_grid.tolist() == [False, False, True, False]


def test_clocks_survive_pickling_and_compare_equal():
    clock = read_panel(frame(pd.date_range("2024-01-31", periods=9, freq="ME", tz="Asia/Tokyo"))).clock
    again = pickle.loads(pickle.dumps(clock))
    assert again == clock
    assert again.stamps(np.array([3])).equals(clock.stamps(np.array([3])))


@pytest.mark.parametrize("freq", ["YS", "QS", "ME", "W-SUN", "B"])
def test_calendars_reach_to_the_ends_of_what_nanoseconds_can_hold(freq):
    stamps = pd.date_range("1850-01-01", "2262-03-01", freq=freq, unit="s").as_unit("ns")
    panel = read_panel(frame(stamps), freq=freq)
    assert panel.lengths.tolist() == [len(stamps)]
    assert panel_to_frame(panel)["ds"].tolist() == stamps.tolist()


def test_a_stray_stamp_behind_the_last_point_of_a_calendar_is_off_its_grid():
    stamps = pd.DatetimeIndex([*pd.date_range("2000-01-01", periods=9, freq="YS"), "2262-04-01"]).as_unit("ns")
    with pytest.raises(FrameError, match="1 time stamp off the grid of freq='YS-JAN', first 2262-04-01"):
        read_panel(frame(stamps), freq="YS")


def test_a_stray_stamp_far_away_is_a_gap_and_ends():
    stamps = pd.DatetimeIndex([*pd.date_range("2020-01-01", periods=20, freq="B"), pd.Timestamp("2250-01-04")])
    with pytest.raises(FrameError, match="missing time stamps at freq='B'"):
        read_panel(frame(stamps))


# ---- time zones


@pytest.mark.parametrize("start", ["2024-03-29 22:00", "2024-10-25 22:00"])
def test_hours_count_on_through_a_change_of_the_clock(start):
    stamps = pd.date_range(start, periods=80, freq="h", tz="Europe/Berlin")
    panel = read_panel(frame(stamps[:60]))
    assert panel.clock.freq == "h"
    assert panel_to_frame(panel)["ds"].tolist() == stamps[:60].tolist()
    assert stamps_at(panel, WindowIndex(np.zeros(20, int), np.arange(60, 80))).tolist() == stamps[60:].tolist()


@pytest.mark.parametrize("start", ["2024-03-25", "2024-10-20"])
@pytest.mark.parametrize("freq", ["D", "2D", "W-SUN", "B"])
def test_days_keep_their_midnight_through_a_change_of_the_clock(start, freq):
    stamps = pd.date_range(start, periods=40, freq=freq, tz="Europe/Berlin")
    panel = read_panel(frame(stamps[:20]))
    future = stamps_at(panel, WindowIndex(np.zeros(20, int), np.arange(20, 40)))
    assert future.tolist() == stamps[20:].tolist()
    assert set(future.strftime("%H:%M")) == {"00:00"}


def test_a_day_whose_midnight_the_clock_skips_starts_after_the_change():
    # In Sao Paulo 2018-11-04 began at 01:00.
    days = pd.date_range("2018-10-30", periods=12, freq="D")
    stamps = days.tz_localize("America/Sao_Paulo", nonexistent="shift_forward")
    panel = read_panel(frame(stamps[:4]), freq="D")
    assert stamps_at(panel, WindowIndex(np.zeros(8, int), np.arange(4, 12))).tolist() == stamps[4:].tolist()
    assert read_panel(frame(stamps), freq="D").lengths.tolist() == [12]


def test_a_time_of_day_that_the_clock_repeats_is_taken_the_first_time():
    stamps = pd.date_range("2024-10-25 02:30", periods=5, freq="D").tz_localize("Europe/Berlin", ambiguous=[True] * 5)
    panel = read_panel(frame(stamps))
    assert panel_to_frame(panel)["ds"].tolist() == stamps.tolist()


# ---- whole numbers


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "Int64", "UInt16"])
def test_whole_numbers_come_back_in_their_own_dtype(dtype):
    panel = read_panel(frame(pd.array([3, 4, 5], dtype=dtype)))
    assert panel_to_frame(panel)["ds"].dtype == dtype
    assert write_forecasts(panel, panel.last_rows(), np.zeros((1, 2)), "f", with_cutoff=True)["ds"].dtype == dtype


@pytest.mark.parametrize(("dtype", "last"), [("int8", 127), ("uint8", 255), ("Int8", 127)])
def test_steps_that_no_longer_fit_the_dtype_are_widened_and_never_wrap_around(dtype, last):
    panel = read_panel(frame(pd.array([last - 2, last - 1, last], dtype=dtype)))
    out = write_forecasts(panel, panel.last_rows(), np.zeros((1, 3)), "f", with_cutoff=False)
    assert out["ds"].tolist() == [last + 1, last + 2, last + 3]
    assert out["ds"].dtype == "int64"


def test_negative_whole_numbers_are_steps_like_others():
    assert panel_to_frame(read_panel(frame([-2, -1, 0, 1])))["ds"].tolist() == [-2, -1, 0, 1]


# ---- cutoffs


MONTHS = pd.date_range("2024-01-01", periods=6, freq="MS")


@pytest.fixture
def months():
    return both(frame(MONTHS), frame(MONTHS[2:5], "b"))


@pytest.fixture
def numbers():
    return both(frame([1, 2, 3, 4]), frame([3, 4, 5, 6], "b"))


def test_a_stamp_between_two_rows_stands_for_the_row_before(months):
    assert cuts(resolve_cutoffs(months, pd.Timestamp("2024-03-15"))) == [(0, 2), (1, 0)]
    assert cuts(resolve_cutoffs(months, "2024-04-01")) == [(0, 3), (1, 1)]
    assert cuts(resolve_cutoffs(months, ["2024-02-29 23:59"])) == [(0, 1)]


def test_a_stamp_less_than_a_step_after_the_last_row_stands_for_the_last_row(months):
    assert cuts(resolve_cutoffs(months, ["2024-05-31"])) == [(0, 4), (1, 2)]
    assert cuts(resolve_cutoffs(months, ["2024-06-01"])) == [(0, 5)]


def test_several_stamps_come_back_by_series_then_by_time_each_window_once(months):
    given = ["2024-04-15", "2024-03-01", "2024-04-02", pd.Timestamp("2024-04-01")]
    assert cuts(resolve_cutoffs(months, given)) == [(0, 2), (0, 3), (1, 0), (1, 1)]
    assert cuts(resolve_cutoffs(months, pd.DatetimeIndex(given))) == [(0, 2), (0, 3), (1, 0), (1, 1)]
    assert cuts(resolve_cutoffs(months, pd.Series(pd.to_datetime(given)))) == [(0, 2), (0, 3), (1, 0), (1, 1)]


def test_two_stamps_within_one_hour_are_one_window():
    panel = read_panel(frame(pd.date_range("2024-01-01", periods=6, freq="h")))
    index = resolve_cutoffs(panel, ["2024-01-01 02:10", "2024-01-01 02:50", "2024-01-01 01:30"])
    assert cuts(index) == [(0, 1), (0, 2)]
    assert index.series.dtype == index.rows.dtype == np.int64


def test_whole_numbers_as_cutoffs(numbers):
    assert cuts(resolve_cutoffs(numbers, 3)) == [(0, 2), (1, 0)]
    assert cuts(resolve_cutoffs(numbers, [2, np.int32(5)])) == [(0, 1), (1, 2)]
    assert cuts(resolve_cutoffs(numbers, range(4, 6))) == [(0, 3), (1, 1), (1, 2)]
    wide = read_panel(frame([0, 10, 20]), freq=10)
    assert cuts(resolve_cutoffs(wide, [9, 10, 25])) == [(0, 0), (0, 1), (0, 2)]


def test_stamps_without_a_zone_are_read_in_that_of_the_panel_and_others_converted():
    panel = read_panel(frame(pd.date_range("2024-03-30", periods=5, freq="D", tz="Europe/Berlin")))
    assert cuts(resolve_cutoffs(panel, "2024-04-01")) == [(0, 2)]
    assert cuts(resolve_cutoffs(panel, pd.Timestamp("2024-03-31 21:59", tz="UTC"))) == [(0, 1)]
    assert cuts(resolve_cutoffs(panel, pd.Timestamp("2024-03-31 22:00", tz="UTC"))) == [(0, 2)]


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_a_cutoff_finer_than_the_stamps_is_rounded_down_also_before_1970(unit):
    panel = read_panel(frame(pd.date_range("1950-01-01", periods=5, freq="s").as_unit(unit)))
    assert cuts(resolve_cutoffs(panel, pd.Timestamp("1950-01-01 00:00:02.9"))) == [(0, 2)]


def test_a_frame_of_cutoffs_names_them_per_series(months):
    given = pd.DataFrame(
        {"unique_id": ["b", "a", "b", "a"], "cutoff": pd.to_datetime(["2024-05-01"] + ["2024-03-20"] * 3)}
    )
    assert cuts(resolve_cutoffs(months, given)) == [(0, 2), (1, 0), (1, 2)]


def test_windows_are_handed_through(months):
    index = months.last_rows()
    assert resolve_cutoffs(months, index) is index


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "cutoffs: none lies within the rows of no series; expected stamps from 2024-01-01"),
        ("2023-12-31", r"'2023-12-31 00:00:00' lies within the rows of no series; expected .* to 2024-06-01"),
        (["2024-03-01", "2024-07-01"], "'2024-07-01 00:00:00' lies within"),
        (5, r"cutoffs: '5' \(int64\) do not fit the stamps of 'ds'; expected time stamps"),
        (["soon"], "'soon'"),
        (None, "do not fit the stamps"),
        ([pd.NaT], "do not fit the stamps"),
        (pd.Timestamp("2024-03-01", tz="UTC"), "do not fit the stamps of 'ds'; expected time stamps"),
        (pd.DataFrame({"unique_id": ["a"]}), "frame without 'cutoff'; expected 'unique_id' and 'cutoff'"),
        (pd.DataFrame({"unique_id": [], "cutoff": []}), "frame without 'rows'"),
        (
            pd.DataFrame({"unique_id": ["a", "b"], "cutoff": pd.to_datetime(["2024-03-01", "2024-02-01"])}),
            "1 of 2 lie before .* first 2024-02-01 00:00:00 for series 'b' in row 1; expected 2024-03-01 .* 2024-05-01",
        ),
    ],
)
def test_cutoffs_that_stand_for_nothing_are_errors_that_show_what_is_possible(months, given, message):
    with pytest.raises(ArgumentError, match=message):
        resolve_cutoffs(months, given)


@pytest.mark.parametrize("given", [0, 7, [1.5], ["3"], [True], pd.Timestamp("2024-01-01")])
def test_whole_number_cutoffs_outside_the_rows_or_of_another_kind_are_errors(numbers, given):
    with pytest.raises(ArgumentError, match=r"expected (stamps from 1 to 6|whole numbers)"):
        resolve_cutoffs(numbers, given)


def test_a_cutoff_for_an_unknown_series_is_an_error_with_the_series_there_are(months):
    given = pd.DataFrame({"unique_id": ["c", "a", "c"], "cutoff": ["2024-03-01"] * 3})
    with pytest.raises(UnseenSeriesError, match="series 'c', which the data does not have; it has 'a', 'b'"):
        resolve_cutoffs(months, given)


def test_rows_of_remembered_cutoffs_may_lie_outside_the_series_or_be_unknown(months):
    remembered = pd.DataFrame({"unique_id": ["b", "z"], "cutoff": pd.to_datetime(["2024-09-01", "2024-01-01"])})
    assert cutoff_rows(months, remembered).tolist() == [-1, 6]
    early = pd.DataFrame({"unique_id": ["b", "a"], "cutoff": pd.to_datetime(["2024-01-01", "2023-01-01"])})
    rows = cutoff_rows(months, early)
    assert rows[0] < 0
    assert rows[1] == -2
    assert cutoff_rows(months, early.iloc[:0]).tolist() == [-1, -1]


# ---- months from a day on, and offsets without an alias


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["s", "ns"])
@pytest.mark.parametrize(("months", "day"), [(1, 15), (1, 30), (1, 29), (3, 10), (12, 5), (1, 31)])
def test_months_from_a_day_on_are_told_or_given_and_go_on_from_that_day(months, day, unit, zone):
    every = [pd.Timestamp(2019, 12, day, 6) + pd.DateOffset(months=months * k) for k in range(48)]
    stamps = pd.DatetimeIndex(every).as_unit(unit).tz_localize(zone)
    given = [pd.DateOffset(months=months), pd.DateOffset(months=months, day=day)]
    for freq in (["infer"] if day < 31 else []) + given:
        panel = read_panel(frame(stamps[:30]), freq=freq)
        assert panel.lengths.tolist() == [30]
        future = stamps_at(panel, WindowIndex(np.zeros(18, int), np.arange(30, 48)))
        assert future.tolist() == stamps[30:].tolist()
        # What is remembered counts from the same day wherever a frame begins.
        again = read_panel(frame(stamps[2:3]), freq=panel.clock.freq)
        assert stamps_at(again, WindowIndex(np.array([0]), np.array([1]))).tolist() == [stamps[3]]


def test_gaps_in_months_from_a_day_on_are_told_and_filled():
    stamps = pd.DatetimeIndex([pd.Timestamp(2020, 1, 15) + pd.DateOffset(months=k) for k in range(20)])
    df = frame(stamps).drop(index=[7, 8])
    with pytest.raises(FrameError, match=r"2 missing time stamps at freq=pd.DateOffset\(months=1, day=15\)") as caught:
        read_panel(df)
    assert "tsforce.fill_gaps(df, freq=pd.DateOffset(months=1, day=15))" in str(caught.value)
    pd.testing.assert_frame_equal(tsforce.fill_gaps(df, freq=pd.DateOffset(months=1, day=15)), frame(stamps))
    pd.testing.assert_frame_equal(tsforce.fill_gaps(df), frame(stamps))


HOLIDAYS = ["2024-12-25", "2024-12-26", "2025-01-01"]


@pytest.mark.parametrize(
    "freq",
    [
        pd.offsets.CustomBusinessDay(holidays=HOLIDAYS),
        pd.offsets.CustomBusinessDay(weekmask="Sun Mon Tue Wed Thu"),
        pd.offsets.CustomBusinessHour(start="09:00", end="17:00"),
        pd.offsets.CustomBusinessMonthEnd(holidays=HOLIDAYS),
        pd.offsets.FY5253(weekday=4, startingMonth=12, variation="nearest"),
        pd.offsets.Easter(),
    ],
)
def test_an_offset_without_an_alias_is_read_and_goes_on_past_its_holidays(freq):
    stamps = pd.date_range("2024-11-01", periods=80, freq=freq)
    df = frame(stamps[:30])
    model = tsforce.Baseline("naive", horizon=50, freq=freq).fit(df)
    assert model.predict()["ds"].tolist() == stamps[30:].tolist()
    assert model.predict(history=frame(stamps[:35]))["ds"].tolist() == stamps[35:].tolist() + list(
        pd.date_range(stamps[-1], periods=6, freq=freq)[1:]
    )
    assert pickle.loads(pickle.dumps(model)).predict().equals(model.predict())
    filled = tsforce.fill_gaps(df.drop(index=[4, 20]), freq=freq)
    assert filled["ds"].tolist() == stamps[:30].tolist()


@pytest.mark.parametrize(
    ("freq", "alias"),
    [
        (pd.DateOffset(hours=6), "6h"),
        (pd.DateOffset(days=1), "D"),
        (pd.DateOffset(weeks=1), "7D"),
        (pd.DateOffset(2), "2D"),
        (pd.Timedelta(minutes=15), "15min"),
        (datetime.timedelta(days=1), "D"),
        (np.timedelta64(30, "s"), "30s"),
    ],
)
def test_fixed_lengths_are_frequencies(freq, alias):
    assert check_freq(freq).freqstr == alias
    assert read_panel(frame(pd.date_range("2024-01-01", periods=5, freq=alias)), freq=freq).clock.freq == alias


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("freq", ["h", "D", "MS", "W-SUN"])
def test_forecasts_behind_the_last_stamp_of_the_dtype_are_an_error_and_no_stamp_of_long_ago(freq, zone):
    stamps = pd.date_range("2262-04-11 23:00", periods=30, freq="-1h", tz=zone)[::-1].as_unit("ns")
    if freq != "h":
        stamps = pd.date_range("2260-01-01", "2262-04-10", freq=freq, tz=zone, unit="s").as_unit("ns")[-30:]
    model = tsforce.Baseline("naive", horizon=100, freq=freq).fit(frame(stamps))
    with pytest.raises(ArgumentError, match=r"stamps go past 2262-04-11.*as_unit"):
        model.predict()
    coarse = tsforce.Baseline("naive", horizon=100, freq=freq).fit(frame(stamps.as_unit("s"))).predict()
    assert coarse["ds"].is_monotonic_increasing


def test_steps_behind_the_largest_whole_number_are_an_error():
    model = tsforce.Baseline("naive", horizon=5).fit(frame(np.arange(2**63 - 4, 2**63 - 1)))
    with pytest.raises(ArgumentError, match="the largest whole number of 64 bits"):
        model.predict()


@pytest.mark.parametrize(("freq", "season"), [("30min", 48), ("15min", 96), ("2MS", 6), ("2h", 12)])
def test_a_seasonal_naive_forecast_repeats_the_last_season_of_several_steps_too(freq, season):
    y = np.random.default_rng(0).normal(size=3 * season)
    df = frame(pd.date_range("2024-01-01", periods=len(y), freq=freq)).assign(y=y)
    forecast = tsforce.Baseline("seasonal_naive", horizon=5).fit(df).predict()["seasonal_naive"]
    assert forecast.tolist() == y[-season:][:5].tolist()
