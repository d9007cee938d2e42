"""What a message says to type for a column of no time stamps or no numbers gives the user's days and values."""

from __future__ import annotations

import datetime
import re

import numpy as np
import pandas as pd
import pytest

from tests.data.test_frame_errors import faults_of, repairs_in, typed
from tsforce.data.frame import read_panel

DAYS = pd.Series(pd.date_range("2024-01-01", periods=60))
HOURS = pd.Series(pd.date_range("2024-03-28", periods=144, freq="h", tz="Europe/Berlin"))
LOCAL = HOURS.dt.tz_localize(None).iloc[:60]
MONTHS = pd.Series(pd.date_range("2023-03-01", periods=24, freq="MS"))
QUARTERS = pd.Series(pd.date_range("2010-01-01", periods=24, freq="QS"))
WEEKS = pd.Series(pd.date_range("2019-01-07", periods=120, freq="W-MON"))


def both(column, value="ds"):
    """Return two series with an input each: a from 1000 up, b from 1 up, their `value` column the one given."""
    n = len(column)
    y = np.arange(float(n))
    parts = [pd.DataFrame({"unique_id": name, "ds": np.arange(n), "y": base + y, "x": base + y}) for name, base in (
        ("a", 1000.0), ("b", 1.0))]  # fmt: skip
    df = pd.concat(parts, ignore_index=True)
    df[value] = pd.concat([column, column], ignore_index=True)
    return df


def repaired(df, **arguments):
    """Return the frame after the one repair of its one fault, and after those that the repaired frame needs."""
    (fault,) = faults_of(df, **arguments)
    assert len(repairs_in(fault)) == 1, fault
    return typed(df, [fault])


# What is in the time column, and the stamps that are meant.
STAMPS = {
    "days first, dots": (DAYS.dt.strftime("%d.%m.%Y"), DAYS),
    "days first, slashes": (DAYS.dt.strftime("%d/%m/%Y"), DAYS),
    "days first, two digits of the year": (DAYS.dt.strftime("%d/%m/%y"), DAYS),
    "months first": (DAYS.dt.strftime("%m/%d/%Y"), DAYS),
    "days first with a time": (DAYS.dt.strftime("%d.%m.%Y %H:%M"), DAYS),
    "days first with a missing cell between": (DAYS.dt.strftime("%d-%m-%Y"), DAYS),
    "names of months": (DAYS.dt.strftime("%d %b %Y"), DAYS),
    "names of months in full": (DAYS.dt.strftime("%B %d, %Y"), DAYS),
    "names of days and months": (DAYS.dt.strftime("%A %d %B %Y"), DAYS),
    "categories": (DAYS.dt.strftime("%d.%m.%Y").astype("category"), DAYS),
    "ISO": (DAYS.dt.strftime("%Y-%m-%d"), DAYS),
    "ISO with a zone": (HOURS.iloc[:48].map(lambda s: s.isoformat()), HOURS.iloc[:48]),
    "offsets of summer and winter": (HOURS.map(lambda s: s.isoformat()), HOURS),
    "objects of two zones": (
        pd.Series([*HOURS[:100], *HOURS[100:].dt.tz_convert("UTC")], dtype=object),
        HOURS,
    ),
    "stamps as objects": (pd.Series(list(HOURS), dtype=object), HOURS),
    "dates as objects": (pd.Series([datetime.date(2024, 1, 1) + datetime.timedelta(k) for k in range(60)]), DAYS),
    "2010Q1": (QUARTERS.dt.strftime("%Y") + "Q" + QUARTERS.dt.quarter.astype(str), QUARTERS),
    "2010-Q1": (QUARTERS.dt.strftime("%Y") + "-Q" + QUARTERS.dt.quarter.astype(str), QUARTERS),
    "Q1 2010": ("Q" + QUARTERS.dt.quarter.astype(str) + QUARTERS.dt.strftime(" %Y"), QUARTERS),
    "Q1-2010": ("Q" + QUARTERS.dt.quarter.astype(str) + QUARTERS.dt.strftime("-%Y"), QUARTERS),
    "2019-W02": (WEEKS.dt.strftime("%G-W%V"), WEEKS),
    "2019W02": (WEEKS.dt.strftime("%GW%V"), WEEKS),
    "2024M01": (MONTHS.dt.strftime("%YM%m"), MONTHS),
    "2024-M01": (MONTHS.dt.strftime("%Y-M%m"), MONTHS),
    "Mar 2023": (MONTHS.dt.strftime("%b %Y"), MONTHS),
    "years as text": (pd.Series(["1999", "2000", "2001"]), pd.Series(pd.date_range("1999", periods=3, freq="YS"))),
    "durations": (DAYS - DAYS.iloc[0], DAYS),
    "20240101": (DAYS.dt.strftime("%Y%m%d").astype(int), DAYS),
    "20240101 as text": (DAYS.dt.strftime("%Y%m%d"), DAYS),
    "20240101 as objects": (DAYS.dt.strftime("%Y%m%d").astype(int).astype(object), DAYS),
    "20240101 as floats": (DAYS.dt.strftime("%Y%m%d").astype(float), DAYS),
    "20240101 as nullable numbers": (DAYS.dt.strftime("%Y%m%d").astype(int).astype("Int64"), DAYS),
    "202303": (MONTHS.dt.strftime("%Y%m").astype(int), MONTHS),
    "202303 of one year": (MONTHS.iloc[:10].dt.strftime("%Y%m").astype(int), MONTHS.iloc[:10]),
    "201902 of weeks": (WEEKS.dt.strftime("%G%V").astype(int), WEEKS),
    "20101 of quarters": ((QUARTERS.dt.year * 10 + QUARTERS.dt.quarter), QUARTERS),
    "2024032813": (LOCAL.dt.strftime("%Y%m%d%H").astype(int), LOCAL),
}  # fmt: skip


@pytest.mark.parametrize("name", STAMPS)
def test_the_repair_of_a_time_column_gives_every_row_the_stamp_that_is_meant(name):
    column, meant = STAMPS[name]
    df = both(column)
    out = repaired(df, future_exog=["x"])
    while out["ds"].dtype.kind != "M":
        out = repaired(out, future_exog=["x"])
    utc = meant.dt.tz is not None
    read = pd.to_datetime(out["ds"], utc=True) if utc else out["ds"]
    wanted = meant.dt.tz_convert("UTC") if utc else meant
    assert read.tolist() == [*wanted, *wanted]
    pd.testing.assert_frame_equal(out.drop(columns="ds"), df.drop(columns="ds"))
    assert read_panel(out, future_exog=["x"]).n_series == 2


@pytest.mark.parametrize(
    ("column", "fragments"),
    [
        (DAYS.iloc[:9].dt.strftime("%d/%m/%Y"), ["'%d/%m/%Y' or in '%m/%d/%Y'", "say which"]),
        (pd.Series(["2024-01-01T00:00+01:00", "2024-01-01T01:00"]), ["Write all stamps with an offset"]),
        (pd.Series(["2024-13-01", "2024-13-02"]), ["pd.to_datetime(..., format=...)"]),
        (pd.Series(["a", "b"]), ["pd.to_datetime(..., format=...)"]),
        (pd.Series([None, None], dtype="str"), ["time_col="]),
    ],
)
def test_where_stamps_have_no_or_several_meanings_no_statement_is_named(column, fragments):
    (fault,) = faults_of(both(column)[["unique_id", "ds", "y"]])
    assert repairs_in(fault) == []
    assert all(fragment in fault for fragment in fragments), fault


def test_whole_numbers_that_go_up_by_one_are_steps_and_so_are_dates_that_are_said_to_be():
    for numbers in (range(1990, 2015), range(202413, 202500), range(20240120, 20240160), range(5)):
        df = pd.DataFrame({"ds": list(numbers), "y": 1.0})
        assert read_panel(df).lengths.tolist() == [len(df)]
    df = pd.DataFrame({"ds": range(202401, 202406), "y": 1.0})
    assert "say freq=1" in faults_of(df)[0]
    assert read_panel(df, freq=1).lengths.tolist() == [5]
    assert "read as months" in faults_of(df, freq="MS")[0]


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_stamps_of_pyarrow_are_read_as_those_of_pandas(zone, unit):
    pytest.importorskip("pyarrow")
    stamps = pd.Series(pd.date_range("2024-03-20", periods=300, freq="h", tz=zone)).dt.as_unit(unit)
    arrow = f"timestamp[{unit}{'' if zone is None else f', tz={zone}'}][pyarrow]"
    panel = read_panel(pd.DataFrame({"ds": stamps.astype(arrow), "y": 1.0}))
    plain = read_panel(pd.DataFrame({"ds": stamps, "y": 1.0}))
    assert panel.clock == plain.clock
    assert panel.start.tolist() == plain.start.tolist()


def test_dates_of_pyarrow_are_days():
    pytest.importorskip("pyarrow")
    panel = read_panel(pd.DataFrame({"ds": DAYS.astype("date32[day][pyarrow]"), "y": 1.0}))
    assert panel.clock.freq == "D"
    assert panel.clock.stamps(panel.start)[0] == DAYS[0]


# ---- numbers

Y = 10 + 3 * np.sin(np.arange(12)).round(2)
NUMBERS = {
    "decimal comma": [f"{v:.2f}".replace(".", ",") for v in Y],
    "decimal comma and dots": [f"{1000 * v:,.2f}".translate(str.maketrans(".,", ",.")) for v in Y],
    "commas between thousands": [f"{1000 * v:,.2f}" for v in Y],
    "apostrophes": [f"{1000 * v:,.2f}".replace(",", "'") for v in Y],
    "blanks between thousands": [f"{1000 * v:,.2f}".replace(",", " ") for v in Y],
    "dollars": [f"${v:.2f}" for v in Y],
    "euros": [f"{v:.2f} €".replace(".", ",") for v in Y],
    "percent": [f"{v:.2f}%" for v in Y],
}


@pytest.mark.parametrize("dtype", ["str", object, "category"])
@pytest.mark.parametrize("column", ["y", "x"])
@pytest.mark.parametrize("name", NUMBERS)
def test_the_repair_of_numbers_as_text_gives_every_row_its_number(name, column, dtype):
    factor = 1000 if any(word in name for word in ("dots", "thousands", "apostrophes")) else 1
    df = both(pd.Series(NUMBERS[name], dtype=dtype), column)
    out = repaired(df, future_exog=["x"])
    np.testing.assert_allclose(out[column], np.tile((factor * Y).round(2), 2), rtol=1e-12)
    assert read_panel(out, future_exog=["x"]).n_series == 2


def test_a_decimal_comma_beside_words_keeps_its_numbers_and_the_words_become_missing():
    df = both(pd.Series(["1,5", "2,5", "n/a", "3,5", "4,5"]), "y")[["unique_id", "ds", "y"]]
    out = repaired(df)
    assert out["y"].fillna(-1).tolist() == [1.5, 2.5, -1, 3.5, 4.5] * 2


@pytest.mark.parametrize("texts", [["1,234", "5,678"], ["red", "blue"], ["1,5", "2.000,5", "7.5", "8.5 9"]])
def test_text_of_two_meanings_or_none_gets_no_statement_that_would_lose_it(texts):
    (fault,) = faults_of(both(pd.Series(texts), "y")[["unique_id", "ds", "y"]])
    assert repairs_in(fault) == []
    assert re.search("decimal=','|Name the column", fault)


def test_categories_become_columns_also_where_index_labels_repeat():
    df = both(pd.Series(["red", "blue", "red"]), "x")
    df.index = [0] * len(df)
    out = repaired(df, future_exog=["x"])
    assert len(out) == len(df)
    assert out["x_red"].tolist() == [1, 0, 1, 1, 0, 1]


def test_durations_as_target_become_seconds():
    df = both(pd.Series(pd.to_timedelta([1, 2, 3.5], unit="min")), "y")[["unique_id", "ds", "y"]]
    assert repaired(df)["y"].tolist() == [60, 120, 210] * 2


def test_whole_numbers_of_128_bits_are_read_and_too_large_ones_are_read_as_floats():
    pl = pytest.importorskip("polars")
    df = pl.DataFrame({"ds": list(range(5)), "y": list(range(5)), "batch": [2**70] * 5})
    wide = df.with_columns(pl.col("y").cast(pl.Int128), pl.col("ds").cast(pl.Int128))
    panel = read_panel(wide, past_exog=["batch"])
    assert panel.values[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert panel.inputs[:, 0].tolist() == [float(2**70)] * 5
    nothing = read_panel(wide.with_columns(y=pl.Series([None, None, 7, 8, 9], dtype=pl.Int128)), past_exog=["batch"])
    assert nothing.values[:, 0].tolist() == [7, 8, 9]
