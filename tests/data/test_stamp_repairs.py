"""Repairs between rows, typed on awkward frames: two series, an input, a zone; every value stays on its day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tsforce
from tests.data.test_frame_errors import faults_of, repairs_in, typed
from tsforce import NARXForecaster, fill_gaps
from tsforce.data.frame import panel_to_frame, read_panel
from tsforce.errors import ArgumentError, FrameError

NAN = float("nan")


def both(stamps, **columns):
    """Return two series with an input: a from 1000 up, b from 1 up."""
    y = np.arange(float(len(stamps)))
    parts = [pd.DataFrame({"unique_id": n, "ds": stamps, "y": b + y, "x": b - y}) for n, b in (("a", 1e3), ("b", 1.0))]
    return pd.concat(parts, ignore_index=True).assign(**columns)


def values(df):
    """Return what a series holds, in the order of the frame."""
    return df.groupby("unique_id")[["y", "x"]].agg(list).to_dict()


# ---- off the grid


@pytest.mark.parametrize(
    ("own", "given"),
    [
        ("W-MON", "W"),
        ("MS", "ME"),
        ("ME", "MS"),
        ("QS", "QE"),
        ("h", "D"),
        ("D", "h"),
        ("B", "W"),
        ("2MS", "ME"),
        ("YS", "YE"),
    ],
)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_stamps_that_are_regular_by_another_frequency_than_the_given_one_are_told_that(own, given, zone):
    stamps = pd.date_range("2018-01-01", periods=60, freq=own, tz=zone)
    df = both(stamps)
    faults = faults_of(df, freq=given, future_exog=["x"])
    told = read_panel(df, future_exog=["x"]).clock.freq
    if own == "D":
        assert "missing time stamps" in faults[0]
        return
    assert f"say freq={told!r}" in faults[0]
    assert panel_to_frame(read_panel(df, freq=told, future_exog=["x"]))["ds"].tolist() == [*stamps, *stamps]


@pytest.mark.parametrize(
    ("freq", "moved", "rows"),
    [
        ("D", pd.Timedelta(hours=6), slice(40, None)),
        ("h", pd.Timedelta(minutes=4), slice(3, 9)),
        ("h", pd.Timedelta(seconds=-2), slice(20, 30)),
        ("MS", pd.Timedelta(days=2), slice(5, 7)),
        ("ME", pd.Timedelta(days=-2), slice(5, 7)),
        ("W-MON", pd.Timedelta(days=1), slice(10, 12)),
    ],
)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("ids", [True, False])
def test_the_repair_of_stamps_off_the_grid_moves_them_alone_and_keeps_all_columns(freq, moved, rows, zone, ids):
    stamps = pd.date_range("2024-06-03" if freq in "Dh" else "2020-01-06", periods=50, freq=freq, tz=zone)
    late = stamps.to_series().reset_index(drop=True)
    late.iloc[rows] += moved
    df, meant = both(late), both(stamps)
    if not ids:
        df, meant = (part.iloc[:50].drop(columns="unique_id") for part in (df, meant))
    (fault,) = faults_of(df, future_exog=["x"])
    assert "Move each to its place" in fault
    out = typed(df, [fault])
    pd.testing.assert_frame_equal(out[meant.columns.tolist()], meant, check_dtype=False)
    assert read_panel(out, future_exog=["x"]).n_series == 1 + ids


@pytest.mark.parametrize("ids", [True, False])
def test_series_of_another_frequency_become_means_and_keep_their_inputs_and_static_columns(ids):
    days = pd.date_range("2024-01-01", periods=12, freq="D")
    df = both(days, town="Ulm").iloc[:12]
    hours = pd.DataFrame(
        {"unique_id": "h", "ds": pd.date_range("2024-01-01", periods=48, freq="h"), "y": 1.0, "x": 2.0}
    )
    hours = hours.assign(town="Bonn", y=np.repeat([3.0, 5.0], 24))
    df = pd.concat([df, hours], ignore_index=True)
    given = {"freq": "D", "future_exog": ["x"], "static": ["town"]}
    if not ids:
        df = hours.drop(columns="unique_id")
        df = pd.concat([df.iloc[::24], df.iloc[[30]]], ignore_index=True).sort_values("ds", ignore_index=True)
        with pytest.raises(FrameError, match="off the grid") as caught:
            read_panel(df, **given)
        assert read_panel(typed(df, caught.value.faults), **given).values[:, 0].tolist() == [3, 5]
        return
    panel = read_panel(typed(df, faults_of(df, **given)), **given)
    assert panel.values[panel.indptr[1] :, 0].tolist() == [3, 5]
    assert panel.inputs[panel.indptr[1] :, 0].tolist() == [2, 2]
    assert panel.static[0].tolist() == ["Ulm", "Bonn"]


# ---- the clock is changed

CHANGES = {
    "spring in Europe": ("2024-03-28", "Europe/Berlin"),
    "autumn in Europe": ("2024-10-24", "Europe/Berlin"),
    "spring in London": ("2024-03-28", "Europe/London"),
    "autumn in America": ("2024-10-30", "America/New_York"),
    "spring in Australia": ("2024-10-02", "Australia/Sydney"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("freq", ["h", "30min"])
@pytest.mark.parametrize("ids", [True, False])
def test_local_hours_without_a_zone_are_told_the_zone_and_no_hour_is_invented_or_dropped(name, freq, ids):
    start, zone = CHANGES[name]
    stamps = pd.date_range(start, periods=7 * 24 * (2 if freq == "30min" else 1), freq=freq, tz=zone)
    df, meant = both(stamps.tz_localize(None)), both(stamps)
    if not ids:
        df, meant = (part.iloc[: len(stamps)].drop(columns="unique_id") for part in (df, meant))
    (fault,) = faults_of(df, past_exog=["x"])
    assert f"Say the zone, {zone!r} or whichever it is" in fault
    out = typed(df, [fault])
    pd.testing.assert_frame_equal(out, meant, check_dtype=False)
    assert len(read_panel(out, past_exog=["x"]).values) == len(df)


def test_a_row_that_is_missing_in_autumns_doubled_hour_is_a_gap_once_the_zone_is_known():
    stamps = pd.date_range("2024-03-01", "2024-11-30", freq="h", tz="Europe/Berlin").tz_localize(None).drop_duplicates()
    df = both(stamps)
    (fault,) = faults_of(df, past_exog=["x"])
    out = typed(df, [fault])
    (gap,) = faults_of(out, past_exog=["x"])
    assert "2 missing time stamps" in gap or "1 missing time stamp" in gap
    assert "2024-10-27 02:00:00+01:00" in gap


def test_other_missing_hours_are_gaps_as_before():
    stamps = pd.date_range("2024-03-28", periods=144, freq="h").delete([30])
    assert "tsforce.fill_gaps(df, freq='h')" in faults_of(both(stamps), past_exog=["x"])[0]


# ---- inputs, static columns and targets with holes

DAYS = pd.date_range("2024-01-01", periods=12)


def holed(column, rows, value=NAN):
    df = both(DAYS)
    df.loc[df.index[df["unique_id"] == "b"][rows], column] = value
    return df


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("rows", [[0, 1], [5, 6], [10, 11]])
@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_an_input_with_a_hole_is_filled_within_its_series(rows, value, shuffled):
    df = holed("x", rows, value)
    df = df.sample(frac=1, random_state=0) if shuffled else df
    (fault,) = faults_of(df, future_exog=["x"])
    assert "input column 'x' is missing or infinite in 2 rows" in fault
    out = panel_to_frame(read_panel(typed(df, [fault]), future_exog=["x"]))
    out = out.sort_values(["unique_id", "ds"], ignore_index=True)
    expected = both(DAYS)
    if rows != [5, 6]:
        near = {0: 2, 10: 9}[rows[0]]
        expected.loc[[12 + row for row in rows], "x"] = expected["x"].iloc[12 + near]
    pd.testing.assert_frame_equal(out, expected)


@pytest.mark.parametrize("dtype", ["boolean", "Int64", "float64"])
def test_a_truth_value_that_is_missing_becomes_a_neighbours_and_nothing_in_between(dtype):
    df = both(DAYS, x=pd.array([True, None, False, True] * 6, dtype="boolean"))
    df["x"] = df["x"].astype(dtype)
    out = typed(df, faults_of(df, future_exog=["x"]))
    assert out["x"].tolist() == [1, 1, 0, 1] * 6


def test_an_input_that_a_series_never_has_is_told_and_no_value_is_made_up():
    (fault,) = faults_of(holed("x", list(range(12))), future_exog=["x"])
    assert "input column 'x' has no value at all in series 'b': 12 rows" in fault
    assert repairs_in(fault) == []


def test_an_input_that_is_missing_where_rows_are_left_out_is_no_fault():
    df = both(DAYS)
    df.loc[[0, 1, 2], ["y", "x"]] = NAN
    got = read_panel(df, past_exog=["x"])
    assert got.lengths.tolist() == [9, 12]
    assert got.inputs[:9, 0].tolist() == df["x"].iloc[3:12].tolist()
    assert "first in row 3" in faults_of(df.assign(x=df["x"].where(df.index > 3)), past_exog=["x"])[0]


@pytest.mark.parametrize("scope", ["local", "global"])
def test_forecasts_do_not_depend_on_empty_rows_before_a_series(scope):
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=60)
    df = both(days, x=rng.normal(size=120), y=rng.normal(size=120))
    padded = df.assign(y=df["y"].where(df.index > 9), x=df["x"].where(df.index > 9))
    model = NARXForecaster(3, 3, scope=scope, mode="open_loop", past_exog=["x"])
    found, expected = (model.fit(frame).predict()["NARXForecaster"] for frame in (padded, df.iloc[10:]))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("town", "expected"),
    [
        ({"a": ["Ulm"] * 12, "b": [None] * 12}, ["Ulm", "unknown"]),
        ({"a": ["Ulm"] * 12, "b": [None, *["Bonn"] * 11]}, ["Ulm", "Bonn"]),
        ({"a": [None, *["Ulm"] * 11], "b": [None] * 12}, ["Ulm", "unknown"]),
        ({"a": [3.0] * 12, "b": [NAN] * 12}, [3, 3]),
        ({"a": [3.0] * 12, "b": [NAN, *[5.0] * 11]}, [3, 5]),
    ],
)
@pytest.mark.parametrize("dtype", ["object", "category", "string"])
def test_a_series_whose_static_value_is_missing_is_kept(town, expected, dtype):
    column = pd.Series([*town["a"], *town["b"]])
    df = both(DAYS, town=column if column.dtype.kind == "f" else column.astype(dtype))
    (fault,) = faults_of(df, past_exog=["x"], static=["town"])
    panel = read_panel(typed(df, [fault]), past_exog=["x"], static=["town"])
    assert panel.lengths.tolist() == [12, 12]
    assert panel.static[0].tolist() == expected


@pytest.mark.parametrize("ids", [True, False])
def test_rows_of_the_future_are_dropped_without_those_in_between(ids):
    df = both(DAYS)
    df.loc[[3, 10, 11], "y"] = NAN
    df = df if ids else df.iloc[:12].drop(columns="unique_id")
    given = {"missing_allowed": True, "past_exog": ["x"]}
    (fault,) = faults_of(df, **given)
    panel = read_panel(typed(df, [fault]), **given)
    assert panel.lengths.tolist() == [10, 12][: 1 + ids]
    assert np.isnan(panel.values[3, 0])


def test_gaps_are_filled_with_inputs_within_their_series():
    df = both(DAYS).drop(index=[3, 17])
    (fault,) = faults_of(df, past_exog=["x"])
    assert tsforce.fill_gaps is fill_gaps
    pd.testing.assert_frame_equal(typed(df, [fault]), both(DAYS))


@pytest.mark.parametrize("kind", ["stamps", "steps", "polars"])
def test_a_stray_stamp_far_away_asks_for_no_millions_of_rows(kind):
    stamps = [pd.Timestamp("1970-01-01"), *pd.date_range("2024-01-01", periods=20, freq="min")]
    df = both(pd.DatetimeIndex(stamps) if kind != "steps" else [0, *range(28_401_120, 28_401_140)])
    if kind == "polars":
        df = pytest.importorskip("polars").DataFrame(df.to_dict("list"))
    freq = 1 if kind == "steps" else "min"
    with pytest.raises(ArgumentError, match="fill_gaps would add 56,802,238 rows") as caught:
        fill_gaps(df, freq)
    message = str(caught.value)
    assert "28,401,119 rows of series 'a', from" in message
    assert "max_added=56802238" in message


def test_the_limit_on_added_rows_is_the_users():
    df = both(DAYS).drop(index=[3, 4, 5, 17])
    pd.testing.assert_frame_equal(fill_gaps(df, max_added=4), both(DAYS))
    with pytest.raises(ArgumentError, match="would add 4 rows at freq='D', more than max_added=3"):
        fill_gaps(df, max_added=3)
