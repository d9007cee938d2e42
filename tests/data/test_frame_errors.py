"""What a frame may not hold: the error, every part of its message, and the repair it names, typed as it stands."""

from __future__ import annotations

import decimal
import re

import numpy as np
import pandas as pd
import pytest

import tsforce
from tsforce.data.frame import panel_to_frame, read_panel
from tsforce.errors import (
    ArgumentError,
    ArgumentTypeError,
    FrameError,
    FrequencyAliasWarning,
    TsforceError,
    UnusedColumnWarning,
)

DAYS = pd.date_range("2024-01-01", periods=6, freq="D")


def series(name="a", rows=6, *, ds=None, y=None):
    """Return `rows` days of one series with y = 0, 1, 2 ..."""
    ds = pd.date_range("2024-01-01", periods=rows, freq="D") if ds is None else ds
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": np.arange(float(len(ds))) if y is None else y})


def panel(*parts):
    return pd.concat(parts, ignore_index=True)


def with_y(values, dtype=None, name="a"):
    return series(name, y=pd.Series(values, dtype=dtype), ds=DAYS[: len(values)])


def with_ds(values, dtype=None):
    return series(ds=pd.Series(values, dtype=dtype))


def without(df, *rows):
    return df.drop(index=list(rows)).reset_index(drop=True)


def shuffled(df):
    return df.sample(frac=1, random_state=3).reset_index(drop=True)


def numbered(*steps, name="a"):
    return series(name, ds=np.array(steps))


def faults_of(df, **kwargs):
    with pytest.raises(FrameError) as caught:
        read_panel(df, **kwargs)
    return caught.value.faults


def repairs_in(fault):
    """Return the statements at the end of a fault that replace df or a column of it."""
    return re.findall(r"(?:^|: |, )(df(?: = |\[[^\]]*\] = ).*)\.$", fault)


def typed(df, faults):
    """Return the frame after the repairs of some faults have been typed one after another."""
    scope = {"df": df.copy(), "pd": pd, "tsforce": tsforce}
    for fault in faults:
        for statement in repairs_in(fault):
            exec(statement, scope)
    return scope["df"]


def repaired(df):
    """Return the panel of the frame after the repairs that are reported, and those that the repaired frame needs."""
    for _ in range(3):
        try:
            return read_panel(df)
        except FrameError as error:
            df = typed(df, error.faults)
    return read_panel(df)


GAP = without(panel(series("a"), series("b")), 8, 9)
TWICE = panel(series("a"), series("b"), series("b").iloc[[2, 4]])
HALF = [*pd.date_range("2024-01-01", periods=9, freq="h"), pd.Timestamp("2024-01-01 04:30")]
MONTHS = pd.date_range("2024-01-01", periods=7, freq="MS")
NAN, INF = float("nan"), float("inf")

# name: frame, what stands in the message, and whether its repairs lead to a frame that is read
ROWS = {
    "duplicate stamps": (
        TWICE,
        [
            "series 'b': 2 duplicate time stamps, first 2024-01-03 00:00:00 in row 12",
            "Sum up or average",
            "drop_duplicates",
        ],
    ),
    "duplicate whole numbers": (
        numbered(1, 2, 2, 3, 4),
        ["series 'a': 1 duplicate time stamp, first 2 in row 2"],
    ),
    "duplicates without an id column": (
        panel(series("a"), series("b")).drop(columns="unique_id"),
        ["series 'y': 6 duplicate", "in row 6", "There is no column 'unique_id'", "id_col=", "drop_duplicates(['ds'])"],
    ),
    "gap in days": (
        GAP,
        [
            "series 'b': 2 missing time stamps at freq='D'",
            "first 2024-01-03 00:00:00 before row 8",
            "tsforce.fill_gaps(df, freq='D')",
        ],
    ),
    "gap in days without an id column": (
        without(series("a"), 2).drop(columns="unique_id"),
        ["series 'y': 1 missing time stamp", "first 2024-01-03 00:00:00 before row 2"],
    ),
    "gap in whole numbers": (
        panel(numbered(1, 2, 3), numbered(4, 5, 8, 9, name="b")),
        ["series 'b': 2 missing time stamps at freq=1, first 6 before row 5", "tsforce.fill_gaps(df, freq=1)"],
    ),
    "gap in months": (
        panel(series(ds=MONTHS), without(series("b", ds=MONTHS), 3)),
        ["series 'b': 1 missing time stamp at freq='MS'", "told by series 'a'", "first 2024-04-01", "row 10"],
    ),
    "gap in a zone with daylight saving": (
        without(series(ds=pd.date_range("2024-03-25", periods=14, freq="D", tz="Europe/Berlin")), 9),
        ["1 missing time stamp at freq='D'", "first 2024-04-03 00:00:00+02:00 before row 9"],
    ),
    "stamp between the hours": (
        panel(series(ds=pd.date_range("2024-01-01", periods=12, freq="h")), series("b", ds=pd.DatetimeIndex(HALF))),
        [
            "series 'b': 1 time stamp off the grid of freq='h'",
            "first 2024-01-01 04:30:00 in row 21",
            "told by series 'a'",
        ],
    ),
    "hours among days": (
        panel(series(rows=12), series("b", ds=pd.date_range("2024-01-01", periods=9, freq="h"))),
        ["series 'b': 8 time stamps off the grid of freq='D'", "first 2024-01-01 01:00:00 in row 13", "freq='D')"],
    ),
    "days among months": (
        panel(series(ds=MONTHS), series("b", rows=5)),
        ["series 'b': 4 time stamps off the grid of freq='MS'", "first 2024-01-02 00:00:00 in row 8"],
    ),
    "inner NaN": (
        panel(series(), with_y([NAN, 1, NAN, NAN, 4, 5], name="b")),
        ["series 'b': 2 missing values (NaN) in 'y' between observed ones, first in row 8", "interpolate"],
    ),
    "inner NaN in a nullable column": (
        with_y([1, None, 3], "Float64"),
        ["series 'a': 1 missing value (NaN) in 'y' between", "row 1"],
    ),
    "inner NaN in nullable whole numbers": (with_y([1, None, 3], "Int64"), ["series 'a': 1 missing value"]),
    "inner NaN without an id column": (
        with_y([1, NAN, 3]).drop(columns="unique_id"),
        ["series 'y': 1 missing value (NaN) in 'y' between"],
    ),
    "trailing NaN": (
        panel(with_y([0, 1, 2, NAN, NAN]), series("b")),
        ["series 'a': 2 missing values (NaN) in 'y' after the last", "first in row 3", "predict(future_df=...)"],
    ),
    "inner and trailing NaN": (
        panel(with_y([0, NAN, 2, NAN]), series("b")),
        ["between observed ones, first in row 1", "after the last observed one, first in row 3"],
    ),
    "everything NaN": (
        panel(series(), with_y([NAN] * 6, name="b"), with_y([NAN] * 6, name="c")),
        ["series 'b', 'c': 12 rows without any value in 'y', first in row 6", ".filter("],
    ),
    "infinite values": (
        panel(with_y([1, 2, INF]), with_y([-INF, 1, NAN, INF, 4], name="b")),
        ["series 'a', 'b': 3 infinite values in 'y', first in row 2", "series 'b': 1 missing value"],
    ),
}

COLUMNS = {
    "numbers as strings": (
        with_y(["1", "2.5", "3"], "str"),
        ["column 'y' holds str in all 3 rows", "first '1' in row 0"],
    ),
    "a word among strings": (
        with_y(["1", "2", "n/a", "3", "4", "x"], "str"),
        ["expected real numbers, but 2 of 6 values are none, first 'n/a' in row 2", "errors='coerce'"],
    ),
    "a word among objects": (with_y([1.0, 2.5, 4, "n/a"], object), ["1 of 4 values are none, first 'n/a' in row 3"]),
    "numbers as objects": (with_y([1, 2.5, 3, 4], object), ["column 'y' holds object", "first 1 in row 0"]),
    "decimals": (
        with_y([decimal.Decimal("1.5"), decimal.Decimal(2), None, decimal.Decimal(3)], object),
        ["holds object", "Decimal('1.5')"],
    ),
    "complex y": (with_y([1 + 2j, 2j, 3], complex), ["column 'y' holds complex128", "Keep the real part"]),
    "boolean y": (with_y([True, False, True], bool), ["column 'y' holds bool", "first True in row 0"]),
    "nullable boolean y": (with_y([None, True, False, True], "boolean"), ["column 'y' holds boolean"]),
    "categorical y": (with_y([1, 2, 1], "category"), ["column 'y' holds category"]),
    "float ds": (with_ds([1.0, 2.0, 3.0]), ["column 'ds' holds float64", "first 1.0", "astype('int64')"]),
    "float ds with a hole": (with_ds([1.0, 2.0, NAN]), ["column 'ds' holds float64", "dropna"]),
    "strings in ds": (
        with_ds(["2024-01-01", "2024-01-02", "2024-01-03"], "str"),
        ["column 'ds' holds str", "pd.to_datetime"],
    ),
    "years as strings": (with_ds(["1990", "1991", "1992"], "str"), ["pd.to_datetime"]),
    "whole numbers as strings": (with_ds(["8", "9", "10"], "str"), ["astype('int64')"]),
    "strings of several forms in ds": (
        with_ds(["2024-01-01", "2024-01-02 00:00:00", "2024-01-03"], "str"),
        ["format='ISO8601'"],
    ),
    "dates as objects": (with_ds(list(DAYS.date), object), ["column 'ds' holds object", "datetime.date(2024, 1, 1)"]),
    "whole numbers as objects": (with_ds([1, 2, 3], object), ["column 'ds' holds object", "astype('int64')"]),
    "NaT in ds": (with_ds([*DAYS[:3], pd.NaT, pd.NaT]), ["column 'ds' is empty in 2 rows, first in row 3", "dropna"]),
    "hole in whole numbers": (with_ds([1, 2, None, 3], "Int64"), ["column 'ds' is empty in 1 row, first in row 2"]),
    "missing ids": (
        panel(series(), series(None), series("b")),
        ["column 'unique_id' is empty in 6 rows, first in row 6", "dropna(subset=['unique_id'])"],
    ),
    "missing categorical ids": (
        panel(series(), series(None)).astype({"unique_id": "category"}),
        ["column 'unique_id' is empty in 6 rows, first in row 6"],
    ),
    "lists as ids": (
        series().assign(unique_id=[["a"]] * 6),
        ["column 'unique_id' holds values that cannot be ids, first ['a']"],
    ),
    "durations as ds": (
        with_ds(pd.to_timedelta([1, 2, 3], unit="h")),
        ["column 'ds' holds timedelta64", "Say when the count began"],
    ),
    "a column twice": (
        pd.concat([series(), series()[["y"]]], axis=1),
        ["column 'y' stands in the frame more than once", "duplicated()"],
    ),
}

# What no statement on the frame can repair.
UNREPAIRED = {
    "no rows": (series().iloc[:0], {}, ["the frame has no rows"]),
    "no rows and no columns": (
        pd.DataFrame(),
        {},
        ["2 faults", "'ds', 'y' not in the frame, which has none", "id_col=, time_col=, target_col=", "has no rows"],
    ),
    "missing columns": (
        series().rename(columns={"y": "sales"}),
        {},
        ["column 'y' not in the frame, which has 'unique_id', 'ds', 'sales'", "target_col="],
    ),
    "a named id column is missing": (series(), {"id_col": "shop"}, ["column 'shop' not in the frame"]),
    "one column named twice": (series(), {"target_col": "ds"}, ["target_col='ds' name a column twice"]),
    "nothing but NaN": (with_y([NAN, NAN]), {"freq": "D"}, ["2 rows without any value in 'y'", "target_col="]),
    "stamps as y": (series(y=DAYS), {}, ["column 'y' holds datetime64", "target_col="]),
    "fractions as ds": (with_ds([0.5, 1.5]), {}, ["column 'ds' holds float64", "Number the steps"]),
    "booleans as ds": (with_ds([True, False]), {}, ["column 'ds' holds bool", "time_col="]),
    "words as ds": (with_ds(["one", "two"], "str"), {}, ["column 'ds' holds str", "to_datetime(..., format=...)"]),
    "two stamps": (
        series(rows=2),
        {},
        ["frequency of 'ds' cannot be told from series 'a'", "rows (2, first row 0): 2024-01-01", "freq='h', 'D'"],
    ),
    "irregular stamps": (
        with_ds(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-05", "2024-02-01", "2024-02-17"])),
        {},
        ["cannot be told", "2024-01-02", "2024-01-05", "..."],
    ),
    "days that alternate": (
        with_ds(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-08", "2024-01-09", "2024-01-15"])),
        {},
        ["cannot be told"],
    ),
    "a step with time stamps": (
        series(),
        {"freq": 2},
        ["freq=2 is a step for whole numbers", "'ds' holds time stamps"],
    ),
    "an alias with whole numbers": (numbered(1, 2, 3), {"freq": "D"}, ["freq='D' is for time stamps", "freq=1"]),
    "whole numbers off their step": (
        panel(numbered(0, 2, 4, 6), numbered(0, 3, 4, 6, 8, name="b")),
        {"freq": 2},
        ["series 'b': 1 time stamp off the grid of freq=2, first 3 in row 5", "multiples of 1 apart: say freq=1"],
    ),
}


def test_a_table_of_bad_frames_is_not_empty():
    assert len(ROWS) + len(COLUMNS) + len(UNREPAIRED) > 50


@pytest.mark.parametrize("name", [*ROWS, *COLUMNS])
def test_a_bad_frame_is_reported_and_the_repair_that_is_named_leads_to_a_frame_that_is_read(name):
    df, fragments = {**ROWS, **COLUMNS}[name]
    before = df.copy()
    with pytest.raises(FrameError) as caught:
        read_panel(df)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, message
    assert isinstance(caught.value, (TsforceError, ValueError))
    assert all(len(repairs_in(fault)) == 1 for fault in caught.value.faults), message
    assert repaired(df).n_series >= 1
    pd.testing.assert_frame_equal(df, before)


@pytest.mark.parametrize("name", UNREPAIRED)
def test_a_bad_frame_that_no_statement_repairs_is_reported_with_the_argument_to_change(name):
    df, arguments, fragments = UNREPAIRED[name]
    with pytest.raises(FrameError) as caught:
        read_panel(df, **arguments)
    for fragment in fragments:
        assert fragment in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("df", "arguments"),
    [
        (UNREPAIRED["two stamps"][0], {"freq": "D"}),
        (UNREPAIRED["a step with time stamps"][0], {"freq": "D"}),
        (UNREPAIRED["an alias with whole numbers"][0], {"freq": 1}),
        (UNREPAIRED["missing columns"][0], {"target_col": "sales"}),
        (UNREPAIRED["a named id column is missing"][0], {"id_col": "unique_id"}),
    ],
)
def test_the_argument_that_a_message_asks_for_leads_to_a_frame_that_is_read(df, arguments):
    assert read_panel(df, **arguments).n_series == 1


# ---- all faults at once


MIXED = panel(
    series("fine", rows=9),
    panel(series("twice"), series("twice").iloc[[3]]),
    without(series("gap"), 2, 3),
    with_y([0, 1, NAN, 3, 4, 5], name="hole"),
    with_y([0, INF, 2, 3, -INF, 5], name="endless"),
    with_y([0, 1, 2, 3, NAN], name="future"),
    with_y([NAN] * 3, name="never"),
)
EXPECTED = {
    "twice": ("1 duplicate time stamp", "in row 15"),
    "gap": ("2 missing time stamps", "before row 18"),
    "hole": ("1 missing value (NaN) in 'y' between", "in row 22"),
    "endless": ("2 infinite values", "in row 27"),
    "future": ("1 missing value (NaN) in 'y' after", "in row 36"),
    "never": ("3 rows without any value in 'y'", "in row 37"),
}


def test_six_faults_in_six_series_are_reported_at_once_each_with_series_row_and_count():
    faults = faults_of(MIXED)
    assert len(faults) == len(EXPECTED)
    for name, fragments in EXPECTED.items():
        (fault,) = [fault for fault in faults if f"series '{name}':" in fault]
        assert all(fragment in fault for fragment in fragments), fault


def test_one_fault_reads_as_a_sentence_and_several_as_a_list():
    with pytest.raises(FrameError, match=r"^series 'b': 2 missing time"):
        read_panel(GAP)
    with pytest.raises(FrameError, match=r"^6 faults in the data:\n- series "):
        read_panel(MIXED)


def test_all_repairs_of_one_report_typed_in_its_order_lead_to_a_frame_that_is_read():
    df = typed(MIXED, faults_of(MIXED))
    assert sorted(read_panel(df).id_list) == sorted(["fine", *EXPECTED.keys() - {"never"}])


def test_repairs_put_in_what_they_say_and_leave_the_rest_alone():
    df = typed(MIXED, faults_of(MIXED)).set_index("unique_id")["y"]
    assert df["fine"].tolist() == list(range(9))
    assert df["twice"].tolist() == [0, 1, 2, 3, 4, 5]
    assert df["gap"].tolist() == [0, 1, 2, 3, 4, 5]
    assert df["hole"].tolist() == [0, 1, 2, 3, 4, 5]
    assert df["endless"].tolist() == [0, 1, 2, 3, 4, 5]
    assert df["future"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(4))
def test_rows_out_of_order_are_reported_by_their_place_in_the_users_frame(seed):
    df = MIXED.sample(frac=1, random_state=seed).reset_index(drop=True)
    rows = {name: df.index[df["unique_id"] == name] for name in EXPECTED}
    first = {
        # Of two rows with one stamp the later in the frame is the duplicate.
        "twice": df[df["unique_id"].eq("twice") & df["ds"].eq("2024-01-04")].index[1],
        "gap": df[df["unique_id"].eq("gap") & df["ds"].eq("2024-01-05")].index[0],
        "hole": rows["hole"][df["y"][rows["hole"]].isna()][0],
        "endless": rows["endless"][np.isinf(df["y"][rows["endless"]])][0],
        "future": rows["future"][df["y"][rows["future"]].isna()][0],
        "never": rows["never"][0],
    }
    faults = faults_of(df)
    assert len(faults) == len(EXPECTED)
    for name, row in first.items():
        (fault,) = [fault for fault in faults if f"series '{name}':" in fault]
        assert re.search(rf"row {row}\b", fault), (row, fault)
    assert read_panel(typed(df, faults)).n_series == 6


def test_a_row_is_also_named_by_its_index_label_where_that_differs():
    df = without(series(), 2).set_index(pd.Index([f"row{i}" for i in range(5)]))
    assert "before row 2 (index label 'row2')" in faults_of(df)[0]


def test_repairs_work_on_a_frame_whose_index_labels_repeat_and_whose_rows_are_out_of_order():
    df = panel(with_y([0, 1, NAN, 3, 4]), with_y([0, INF, 2, 3, 4], name="b")).sample(frac=1, random_state=1)
    df.index = [0] * len(df)
    values = panel_to_frame(read_panel(typed(df, faults_of(df))))
    assert values.groupby("unique_id")["y"].apply(list).to_dict() == {"a": [0, 1, 2, 3, 4], "b": [0, 1, 2, 3, 4]}


def test_every_fault_of_the_columns_is_reported_at_once():
    df = pd.DataFrame({"unique_id": [None, "a"], "ds": ["2024-01-01", "2024-01-02"], "y": ["x", "1"]})
    faults = faults_of(df)
    assert [fault.split(" ")[1] for fault in faults] == ["'unique_id'", "'ds'", "'y'"]
    faults = faults_of(df.drop(columns="y"))
    assert [fault.split(" ")[1] for fault in faults] == ["'y'", "'unique_id'", "'ds'"]
    assert len(faults_of(df.drop(columns="y"), freq=3)) == 3


def test_a_frequency_that_cannot_be_told_does_not_hide_the_other_faults():
    df = panel(
        series(rows=2, y=[1.0, INF]), with_y([1, NAN], name="b").drop_duplicates(), series("c", ds=[DAYS[0]] * 2)
    )
    faults = faults_of(df)
    fragments = ["infinite", "duplicate", "cannot be told", "after the last observed"]
    assert all(fragment in fault for fragment, fault in zip(fragments, faults, strict=True)), faults


def test_stamps_off_the_grid_do_not_hide_gaps_in_other_series():
    df = panel(series(rows=12), series("b", ds=DAYS + pd.Timedelta(hours=1) * np.arange(6)), without(series("c"), 3))
    faults = faults_of(df)
    assert len(faults) == 2
    assert "series 'b': 5 time stamps off the grid" in faults[0]
    assert "series 'c': 1 missing time stamp" in faults[1]


def test_a_single_stamp_off_the_grid_is_named_even_where_it_is_the_first_of_its_series():
    stamps = pd.DatetimeIndex(["2024-01-01 00:10", *pd.date_range("2024-01-01 01:00", periods=5, freq="h")])
    (fault,) = faults_of(series(ds=stamps), freq="h")
    assert "1 time stamp off the grid of freq='h', first 2024-01-01 00:10:00 in row 0" in fault


def test_a_frequency_given_by_the_user_is_not_said_to_be_told_by_a_series():
    assert "told by" not in faults_of(GAP, freq="D")[0]
    assert "told by series 'a'" in faults_of(GAP)[0]


def test_whole_numbers_with_a_wider_step_get_the_step_as_a_hint():
    df = panel(numbered(10, 20, 30), numbered(0, 20, 40, name="b"))
    (fault,) = faults_of(df)
    assert "say freq=10" in fault
    assert "series 'b': 2 missing time stamps" in faults_of(df, freq=10)[0]


def test_at_most_five_series_are_named():
    df = panel(*(without(series(f"s{i}"), 2) for i in range(8)))
    assert "'s0', 's1', 's2', 's3', 's4' (and 3 more): 8 missing time stamps" in faults_of(df)[0]


@pytest.mark.parametrize("dtype", ["category", "int", "str"])
def test_the_repairs_work_for_every_kind_of_id(dtype):
    df = panel(without(series("1"), 2), with_y([1, NAN, INF, 3], name="2"), with_y([1, NAN], name="3"))
    panel_of = read_panel(typed(df.astype({"unique_id": dtype}), faults_of(df.astype({"unique_id": dtype}))))
    assert panel_of.lengths.tolist() == [6, 4, 1]


def test_columns_of_other_names_stand_in_the_messages_and_in_the_repairs():
    names = {"id_col": "shop", "time_col": "my day", "target_col": "sold units"}
    df = MIXED.rename(columns={"unique_id": "shop", "ds": "my day", "y": "sold units"})
    fixed = read_panel(typed(df, faults_of(df, **names)), **names)
    assert list(panel_to_frame(fixed)) == ["shop", "my day", "sold units"]


# ---- what is no frame, and no frequency


def test_a_series_without_stamps_gets_the_statement_that_makes_a_frame_of_it():
    df = pd.Series([1.0, 2.0, 3.0], index=["a", "b", "c"])
    with pytest.raises(ArgumentTypeError, match=r"df is a pandas.*Series; expected a pandas DataFrame") as caught:
        read_panel(df)
    fixed = typed(df, [str(caught.value)])
    assert fixed.columns.tolist() == ["ds", "y"]


def test_repairs_of_a_series_begin_with_the_statement_that_makes_a_frame_of_it():
    df = pd.Series([1.0, float("nan"), 3.0, 4.0, 5.0], index=DAYS[[0, 1, 2, 4, 5]])
    assert len(read_panel(df.iloc[2:3], freq="D").values) == 1
    assert repaired(df).values[:, 0].tolist() == [1.0, 2.0, 3.0, 3.5, 4.0, 5.0]


class Foreign:
    """Stands for a polars frame."""

    def to_pandas(self):
        return series()

    copy = lambda self: self  # noqa: E731


def test_another_librarys_frame_gets_the_call_that_makes_a_pandas_frame_of_it():
    with pytest.raises(ArgumentTypeError, match="Foreign; expected a pandas DataFrame") as caught:
        read_panel(Foreign())
    assert read_panel(typed(Foreign(), [str(caught.value)])).n_series == 1


@pytest.mark.parametrize("df", [None, [1, 2], {"ds": [1], "y": [2]}, np.zeros((3, 3)), "sales.csv"])
def test_what_is_no_frame_is_a_type_error_that_names_the_columns(df):
    with pytest.raises(
        TypeError, match="expected a pandas DataFrame in long form with the columns 'unique_id', 'ds', 'y'"
    ):
        read_panel(df)


@pytest.mark.parametrize(
    ("freq", "fragment"),
    [
        (0, "freq=0: a step for integer stamps is at least 1"),
        (-1, "freq=-1: a step"),
        (np.int64(0), "is at least 1"),
        (True, "freq=True: expected 'infer'"),
        (1.5, "freq=1.5: expected 'infer'"),
        (None, "freq=None: expected 'infer'"),
        ("nonsense", "freq='nonsense' is no pandas frequency; write for example 'h', 'D'"),
        ("", "no pandas frequency"),
        ("-1D", "does not run forwards"),
        ("0D", "does not run forwards"),
        ("-2H", "does not run forwards"),
        (pd.offsets.MonthBegin(-1), "does not run forwards"),
        (pd.DateOffset(months=-1), "does not run forwards"),
        (pd.DateOffset(weekday=0), "neither months (DateOffset(months=1)) nor a fixed length"),
        (pd.DateOffset(months=1, hours=2), "neither months"),
        (pd.Timedelta(days=-1), "does not run forwards"),
    ],
)
@pytest.mark.filterwarnings("ignore::tsforce.errors.FrequencyAliasWarning")
def test_what_is_no_frequency_is_a_value_error_that_shows_what_to_write(freq, fragment):
    with pytest.raises(ArgumentError) as caught:
        read_panel(series(), freq=freq)
    assert fragment in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_frequency_finer_than_the_stamps_can_tell_is_refused_and_not_counted_out():
    df = series(ds=DAYS.as_unit("s"))
    (fault,) = faults_of(df, freq="100ms")
    assert "freq='100ms' is finer than column 'ds' can tell (datetime64[s])" in fault
    assert "missing time stamps at freq='100ms'" in faults_of(typed(df, [fault]).iloc[:2], freq="100ms")[0]


@pytest.mark.parametrize(
    ("old", "new", "stamps"),
    [
        ("H", "h", pd.date_range("2024-01-01", periods=5, freq="h")),
        ("M", "ME", pd.date_range("2024-01-31", periods=5, freq="ME")),
        ("Q-DEC", "QE-DEC", pd.date_range("2024-03-31", periods=5, freq="QE")),
        ("15T", "15min", pd.date_range("2024-01-01", periods=5, freq="15min")),
        ("A", "YE-DEC", pd.date_range("2000-12-31", periods=5, freq="YE")),
        ("d", "D", DAYS),
        ("w", "W-SUN", pd.date_range("2024-01-07", periods=5, freq="W")),
    ],
)
def test_an_old_alias_is_read_as_the_new_one_with_a_notice(old, new, stamps):
    with pytest.warns(FrequencyAliasWarning, match=f"freq='{old}' is an old alias; read as"):
        assert read_panel(series(ds=stamps), freq=old).clock.freq == new
    assert read_panel(series(ds=stamps), freq=new).clock.freq == new


# ---- what is put right without an error


def test_rows_out_of_order_are_sorted_and_that_is_recorded():
    df = panel(series("b", rows=9), series("a"))
    ordered, mixed = read_panel(df), read_panel(pd.concat([df.iloc[:1], shuffled(df.iloc[1:])]))
    assert (ordered.was_unsorted, mixed.was_unsorted) == (False, True)
    assert mixed.id_list == ordered.id_list == ["b", "a"]
    pd.testing.assert_frame_equal(panel_to_frame(mixed), panel_to_frame(ordered))


def test_series_whose_rows_are_interleaved_count_as_out_of_order():
    df = panel(series("a"), series("b")).sort_values("ds", kind="stable")
    assert read_panel(df).was_unsorted
    pd.testing.assert_frame_equal(panel_to_frame(read_panel(df)), panel(series("a"), series("b")))


def test_leading_nan_is_trimmed_and_the_series_starts_at_its_first_value():
    df = panel(with_y([NAN, NAN, 2, 3]), series("b"), with_y([NAN] * 5 + [7.0], name="c"))
    got = read_panel(df)
    assert got.lengths.tolist() == [2, 6, 1]
    pd.testing.assert_frame_equal(panel_to_frame(got), df.dropna().reset_index(drop=True))


def test_the_users_frame_is_never_changed_and_later_changes_to_it_reach_no_panel():
    df = shuffled(panel(with_y([NAN, 1, 2]), series("b")))
    before = df.copy()
    got = read_panel(df)
    pd.testing.assert_frame_equal(df, before)
    tidy = series()
    got = read_panel(tidy)
    got.values[:] = -1.0
    pd.testing.assert_frame_equal(tidy, series())


def test_the_panel_owns_writable_memory():
    values = read_panel(series()).values
    assert values.flags.writeable
    assert values.flags.c_contiguous


def test_columns_that_no_argument_names_are_ignored_and_named_in_a_warning():
    df = series().assign(price=1.0, weekday=2)
    with pytest.warns(UnusedColumnWarning, match="columns 'price', 'weekday' are named by no argument and ignored"):
        got = read_panel(df)
    assert panel_to_frame(got).columns.tolist() == ["unique_id", "ds", "y"]


def test_a_frame_with_faults_raises_without_warning_of_unused_columns():
    faults_of(GAP.assign(price=1.0))


def test_without_the_default_id_column_the_frame_is_one_series_named_y():
    got = read_panel(series().drop(columns="unique_id"))
    assert got.id_list == ["y"]
    pd.testing.assert_frame_equal(panel_to_frame(got), series("y"))


def test_a_panel_is_handed_through():
    got = read_panel(series())
    assert read_panel(got) is got
