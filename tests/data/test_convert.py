"""Whatever is handed over becomes the frame that is read; wide becomes long; gaps are filled, against plain loops."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.makers import make_frame
from tests.strategies import frames
from tsforce.data.convert import as_pandas_long, in_kind, long_first, to_long
from tsforce.data.fill_gaps import fill_gaps
from tsforce.data.frame import panel_to_frame, read_panel
from tsforce.data.frequency import season_length_of
from tsforce.errors import ArgumentError, ArgumentTypeError, FrameError, FrequencyAliasWarning

QUICK = settings(max_examples=60, deadline=None)
NAN = float("nan")
NAMES = ("unique_id", "ds", "y")
DAYS = pd.date_range("2024-01-01", periods=6, freq="D")
ONE = pd.DataFrame({"ds": DAYS, "y": [3.0, 1.0, 4.0, 1.0, 5.0, 9.0]})


def long(df, **names):
    return as_pandas_long(df, *{"id_col": "unique_id", "time_col": "ds", "target_col": "y", **names}.values())[0]


def content(df, **kwargs):
    """Return what a model learns of a frame: series, stamps and values."""
    panel = read_panel(df, **kwargs)
    return [tuple(row) for row in panel_to_frame(panel).astype(object).to_numpy()], panel.clock.freq


def without(df, *rows):
    return df.drop(index=list(rows)).reset_index(drop=True)


def typed(df, message, name="df"):
    """Return the frame after the statements of a message, or of several faults, have been typed."""
    scope = {name: df.copy() if hasattr(df, "copy") else df, "pd": pd}
    for line in message.splitlines():
        for statement in re.findall(rf"(?:^|: |, )({name}(?:\.index|\.columns|\[[^\]]*\])? = .*)\.$", line):
            exec(statement, scope)
    return scope[name]


# ---- pandas in


def test_a_long_pandas_frame_is_handed_on_as_it_is():
    df = make_frame(freq="D")
    frame, kind = as_pandas_long(df, *NAMES)
    assert frame is df
    assert kind == "pandas"
    assert in_kind(frame, kind) is df


def shapes():
    """Return name -> the frame of one series in another shape."""
    y, periods = ONE["y"], pd.PeriodIndex(DAYS, freq="D")
    return {
        "series with stamps": pd.Series(y.to_numpy(), DAYS),
        "series with stamps and names": pd.Series(y.to_numpy(), DAYS.rename("day"), name="sales"),
        "series with periods": pd.Series(y.to_numpy(), periods),
        "stamps in the index": pd.DataFrame({"y": y.to_numpy()}, DAYS),
        "stamps in an index of another name": pd.DataFrame({"y": y.to_numpy()}, DAYS.rename("day")),
        "one column of another name": pd.DataFrame({"sales": y.to_numpy()}, DAYS),
        "periods in the index": pd.DataFrame({"sales": y.to_numpy()}, periods),
        "index named like the time column": ONE.set_index("ds"),
        "periods in the column": ONE.assign(ds=periods),
        "an id in the column": ONE.assign(unique_id="y").set_index("ds"),
        "an id in the index": ONE.assign(unique_id="y").set_index(["unique_id", "ds"]),
        "an id in the index, time first": ONE.assign(unique_id="y").set_index(["ds", "unique_id"]),
        "an id in index and columns": ONE.assign(unique_id="y")
        .set_index(["unique_id", "ds"], drop=False)
        .drop(columns="ds"),
        "periods in the index beside an id": ONE.assign(ds=periods, unique_id="y").set_index(["unique_id", "ds"]),
        "id and one column of another name": ONE.assign(unique_id="y")
        .set_index(["unique_id", "ds"])
        .rename(columns={"y": "v"}),
    }


@pytest.mark.parametrize("shape", shapes())
def test_other_shapes_of_pandas_are_read_like_the_long_frame(shape):
    given_, before = shapes()[shape], shapes()[shape]
    frame, kind = as_pandas_long(given_, *NAMES)
    assert kind == "pandas"
    assert content(frame) == content(ONE)
    assert given_.equals(before)
    assert list(given_.index.names) == list(before.index.names)


def test_whole_numbers_in_the_index_of_a_series_are_steps():
    given_ = pd.Series([1.0, 2.0, 4.0], index=[7, 8, 9], name="sales")
    pd.testing.assert_frame_equal(long(given_), pd.DataFrame({"ds": [7, 8, 9], "y": [1.0, 2.0, 4.0]}))
    assert long(pd.Series([1.0, 2.0]))["ds"].tolist() == [0, 1]


def test_columns_are_called_as_the_user_says_and_inputs_are_kept():
    given_ = pd.DataFrame({"shop": "a", "units": [1.0, 2.0], "warmth": [20, 21]}, DAYS[:2])
    frame = long(given_, id_col="shop", time_col="day", target_col="units")
    assert list(frame) == ["day", "shop", "units", "warmth"]
    assert frame["warmth"].tolist() == [20, 21]
    assert frame["day"].tolist() == DAYS[:2].tolist()


def test_of_several_columns_none_is_taken_for_the_target():
    frame = long(pd.DataFrame({"units": [1.0], "warmth": [20]}, DAYS[:1]))
    assert list(frame) == ["ds", "units", "warmth"]
    with pytest.raises(FrameError, match=r"column 'y' not in the frame.*target_col="):
        read_panel(frame)


def test_the_only_column_is_no_target_if_it_holds_the_ids():
    assert list(long(pd.DataFrame({"unique_id": ["a"]}, DAYS[:1]))) == ["ds", "unique_id"]


@pytest.mark.parametrize(
    ("freq", "starts"),
    [
        ("M", ["2024-01-01", "2024-02-01"]),
        ("Q-DEC", ["2024-01-01", "2024-04-01"]),
        ("W-SUN", ["2024-01-01", "2024-01-08"]),
        ("Y-DEC", ["2024-01-01", "2025-01-01"]),
        ("h", ["2024-01-03 00:00", "2024-01-03 01:00"]),
    ],
)
@pytest.mark.parametrize("where", ["series", "index", "column"])
def test_a_period_stands_for_the_stamp_of_its_start(freq, starts, where):
    periods = pd.period_range("2024-01-03", periods=2, freq=freq)
    if where == "series":
        given_ = pd.Series([1.0, 2.0], periods)
    else:
        given_ = pd.DataFrame({"ds": periods, "y": [1.0, 2.0]})
        given_ = given_.set_index("ds") if where == "index" else given_
    assert long(given_)["ds"].tolist() == [pd.Timestamp(start) for start in starts]


def test_monthly_periods_are_read_as_month_starts():
    series = pd.Series(np.arange(6.0), pd.period_range("2023-11", periods=6, freq="M"))
    assert read_panel(long(series)).clock.freq == "MS"


def test_a_frame_without_time_is_left_for_the_reader_to_report():
    df = pd.DataFrame({"y": [1.0, 2.0]})
    assert long(df) is df
    with pytest.raises(FrameError, match="column 'ds' not in the frame"):
        read_panel(long(df))


@pytest.mark.parametrize(
    ("df", "fragment"),
    [
        (None, "df is a builtins.NoneType; expected a pandas DataFrame"),
        ([1, 2], "df is a builtins.list"),
        ({"ds": [1], "y": [2]}, "df is a builtins.dict"),
        (np.zeros(3), "df is a numpy.ndarray"),
        ("sales.csv", "df is a builtins.str"),
        (pd.Series([1.0], ["2024-01-01"]), r"Series; expected.*rename_axis\('ds'\)"),
        (pd.Series([1.0], [0.5]), "Series; expected"),
        (pd.Series([1.0], pd.MultiIndex.from_tuples([("a", 1)], names=["unique_id", "ds"])), "Series; expected"),
    ],
)
def test_what_is_no_frame_is_a_type_error(df, fragment):
    for call in (lambda: as_pandas_long(df, *NAMES), lambda: fill_gaps(df)):
        with pytest.raises(ArgumentTypeError, match=fragment):
            call()


def test_an_arrow_table_gets_the_call_that_makes_a_pandas_frame_of_it():
    table = pytest.importorskip("pyarrow").Table.from_pandas(ONE)
    with pytest.raises(ArgumentTypeError) as caught:
        as_pandas_long(table, *NAMES)
    assert content(typed(table, str(caught.value))) == content(ONE)


# ---- polars in and out


def polars_columns(pl):
    """Return name -> polars column and what its dtype is in pandas without and with nulls."""
    noon = dt.datetime(2024, 10, 27, 0, 30)
    hours = [noon, noon + dt.timedelta(hours=1), noon + dt.timedelta(hours=2)]
    zone = "datetime64[{}, Europe/Berlin]".format
    return {
        "date": (
            pl.Series([dt.date(2024, 1, 1), dt.date(1969, 1, 2), dt.date(2500, 1, 3)]),
            "datetime64[s]",
            "datetime64[s]",
        ),
        "ms": (pl.Series(hours, dtype=pl.Datetime("ms")), "datetime64[ms]", "datetime64[ms]"),
        "us": (pl.Series(hours, dtype=pl.Datetime("us")), "datetime64[us]", "datetime64[us]"),
        "ns": (pl.Series(hours, dtype=pl.Datetime("ns")), "datetime64[ns]", "datetime64[ns]"),
        "berlin": (
            pl.Series(hours, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Berlin"),
            zone("us"),
            zone("us"),
        ),
        "berlin ms": (
            pl.Series(hours, dtype=pl.Datetime("ms", "UTC")).dt.convert_time_zone("Europe/Berlin"),
            zone("ms"),
            zone("ms"),
        ),
        "utc": (pl.Series(hours, dtype=pl.Datetime("us", "UTC")), "datetime64[us, UTC]", "datetime64[us, UTC]"),
        "int8": (pl.Series([1, 2, 3], dtype=pl.Int8), "int8", "Int8"),
        "int64": (pl.Series([1, 2, 2**60 + 1], dtype=pl.Int64), "int64", "Int64"),
        "uint32": (pl.Series([1, 2, 3], dtype=pl.UInt32), "uint32", "UInt32"),
        "float32": (pl.Series([0.1, 0.2, 0.3], dtype=pl.Float32), "float32", "float32"),
        "float64": (pl.Series([0.1, 0.2, 1e300]), "float64", "float64"),
        "bool": (pl.Series([True, False, True]), "bool", "boolean"),
        "string": (pl.Series(["b", "ä", ""]), "str", "str"),
        "categorical": (pl.Series(["b", "a", "c"], dtype=pl.Categorical), "category", "category"),
        "enum": (pl.Series(["b", "a", "b"], dtype=pl.Enum(["z", "b", "a"])), "category", "category"),
        "duration": (
            pl.Series([dt.timedelta(1), dt.timedelta(2), dt.timedelta(3)]),
            "timedelta64[us]",
            "timedelta64[us]",
        ),
        "list": (pl.Series([[1], [2, 3], []]), "object", "object"),
        "time": (pl.Series([dt.time(1), dt.time(2), dt.time(3)]), "object", "object"),
    }


COLUMNS = [
    "date", "ms", "us", "ns", "berlin", "berlin ms", "utc", "int8", "int64", "uint32", "float32", "float64", "bool",
    "string", "categorical", "enum", "duration", "list", "time",
]  # fmt: skip


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_polars_column_comes_back_as_it_was(name, nulls):
    pl = pytest.importorskip("polars")
    column, plain, nullable = polars_columns(pl)[name]
    if nulls:
        column = pl.concat([column, column.clear(1)]).gather([0, 3, 1, 2])
    df = pl.DataFrame({"x": column})
    frame, kind = as_pandas_long(df, *NAMES)
    assert kind == "polars"
    assert str(frame["x"].dtype) == (nullable if nulls else plain)
    assert frame["x"].isna().tolist() == column.is_null().to_list()
    back = in_kind(frame, kind)
    assert back.schema == df.schema
    assert back.equals(df)


@pytest.mark.parametrize("name", COLUMNS[:-2])
def test_a_polars_column_without_rows_keeps_its_dtype(name):
    pl = pytest.importorskip("polars")
    column = polars_columns(pl)[name][0].clear()
    assert in_kind(*as_pandas_long(pl.DataFrame({"x": column}), *NAMES)).schema["x"] == column.dtype


def test_all_polars_dtypes_are_tried():
    assert list(polars_columns(pytest.importorskip("polars"))) == COLUMNS


def test_polars_decimals_become_floats():
    pl = pytest.importorskip("polars")
    frame = long(pl.DataFrame({"ds": [1, 2], "y": pl.Series(["1.25", "2.50"]).cast(pl.Decimal(10, 2))}))
    assert frame["y"].tolist() == [1.25, 2.5]


def test_hours_that_began_as_dates_come_back_as_stamps():
    pl = pytest.importorskip("polars")
    frame, kind = as_pandas_long(pl.DataFrame({"ds": [dt.date(2024, 1, 1)]}), *NAMES)
    frame["ds"] += pd.Timedelta(hours=1)
    assert in_kind(frame, kind)["ds"].to_list() == [dt.datetime(2024, 1, 1, 1)]


def test_categories_of_polars_keep_the_order_of_an_enum_and_else_that_of_appearance():
    pl = pytest.importorskip("polars")
    ids = ["b", "b", "a", "a"]
    for dtype, order in [(pl.Categorical, ["b", "a"]), (pl.Enum(["a", "b"]), ["a", "b"]), (pl.String, ["b", "a"])]:
        df = pl.DataFrame({"unique_id": pl.Series(ids, dtype=dtype), "ds": [1, 2, 1, 2], "y": [1.0, 2.0, 3.0, 4.0]})
        assert read_panel(long(df)).id_list == order


@QUICK
@given(frames().filter(lambda drawn: drawn[0]["unique_id"].dtype != object))
def test_a_frame_that_comes_as_polars_is_read_as_if_it_were_pandas(drawn):
    pl = pytest.importorskip("polars")
    df, freq = drawn
    if isinstance(df["ds"].dtype, np.dtype) and df["ds"].dtype == "M8[s]":
        df = df.assign(ds=df["ds"].dt.as_unit("ms"))
    given_ = in_kind(df, "polars")
    assert isinstance(given_, pl.DataFrame)
    back, kind = as_pandas_long(given_, *NAMES)
    assert kind == "polars"
    rows, told = content(back, freq=freq)
    wanted, wanted_freq = content(df, freq=freq)
    assert told == wanted_freq
    # Unordered categories lose those without rows, and with them their order.
    key = {str(name): k for k, name in enumerate(dict.fromkeys(row[0] for row in wanted))}
    assert sorted(rows, key=lambda row: key[str(row[0])]) == wanted


def test_a_lazy_frame_is_to_be_collected():
    pl = pytest.importorskip("polars")
    lazy = pl.DataFrame({"ds": [1, 2, 3], "y": [1.0, 2.0, 3.0]}).lazy()
    for call in (lambda: as_pandas_long(lazy, *NAMES), lambda: fill_gaps(lazy)):
        with pytest.raises(ArgumentTypeError, match="df is a polars LazyFrame") as caught:
            call()
    collected = typed(lazy, str(caught.value))
    assert content(long(collected)) == content(pd.DataFrame({"ds": [1, 2, 3], "y": [1.0, 2.0, 3.0]}))
    with pytest.raises(ArgumentTypeError, match=r"wide = wide\.collect\(\)"):
        to_long(lazy)


def test_polars_is_imported_by_its_users_only_and_needs_no_pyarrow():
    pytest.importorskip("polars")
    code = (
        "import sys\n"
        "sys.modules['pyarrow'] = None\n"
        "from tsforce.data.convert import as_pandas_long, in_kind\nfrom tsforce.data.fill_gaps import fill_gaps\n"
        "import pandas as pd\n"
        "fill_gaps(pd.DataFrame({'ds': [1, 2, 4], 'y': [1.0, 2.0, 3.0]}))\n"
        "print('polars' in sys.modules)\n"
        "import polars as pl, datetime as dt\n"
        "df = pl.DataFrame({'i': ['a', None], 'ds': [dt.date(2024, 1, 1), dt.date(2024, 1, 2)], 'y': [1, None],\n"
        "    'c': pl.Series(['a', 'b'], dtype=pl.Categorical)})\n"
        "print(in_kind(*as_pandas_long(df, 'i', 'ds', 'y')).equals(df))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


# ---- wide to long


def wide(**columns):
    columns = columns or {"b": [1.0, 2.0, 3.0], "a": [NAN, 5.0, NAN], "c": [6.0, NAN, 8.0]}
    return pd.DataFrame(columns, index=DAYS[: len(next(iter(columns.values())))])


WIDE_AS_LONG = pd.DataFrame(
    {
        "unique_id": ["b", "b", "b", "a", "c", "c", "c"],
        "ds": DAYS[[0, 1, 2, 1, 0, 1, 2]],
        "y": [1.0, 2.0, 3.0, 5.0, 6.0, NAN, 8.0],
    }
)


def test_wide_becomes_long_in_the_order_of_its_columns_without_missing_values_at_the_ends():
    given_ = wide()
    pd.testing.assert_frame_equal(to_long(given_), WIDE_AS_LONG)
    pd.testing.assert_frame_equal(given_, wide())


def test_time_may_stand_in_a_column_and_names_may_differ():
    given_ = wide().rename_axis("day").reset_index()
    frame = to_long(given_, id_col="shop", time_col="day", target_col="units")
    assert list(frame) == ["shop", "day", "units"]
    assert frame.set_axis(WIDE_AS_LONG.columns, axis=1).equals(WIDE_AS_LONG)


def test_rows_of_a_wide_frame_may_be_out_of_order():
    pd.testing.assert_frame_equal(to_long(wide().iloc[[2, 0, 1]]), WIDE_AS_LONG)


def test_periods_of_a_wide_frame_become_stamps():
    months = wide().set_axis(pd.period_range("2024-01", periods=3, freq="M"))
    starts = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"])
    assert to_long(months)["ds"].tolist() == starts[[0, 1, 2, 1, 0, 1, 2]].tolist()
    in_column = months.rename_axis("ds").reset_index()
    pd.testing.assert_frame_equal(to_long(in_column), to_long(months))


@pytest.mark.parametrize("index", [[4, 5, 6], range(3)])
def test_whole_numbers_in_the_index_of_a_wide_frame_are_steps(index):
    frame = to_long(wide().set_axis(index))
    assert frame["ds"].tolist() == [index[k] for k in (0, 1, 2, 1, 0, 1, 2)]
    assert frame["ds"].dtype == np.int64


def test_a_column_without_values_is_kept_for_the_reader_to_report():
    frame = to_long(wide(a=[1.0, 2.0, 3.0], empty=[NAN, NAN, NAN]))
    with pytest.raises(FrameError, match="series 'empty': 3 rows without any value"):
        read_panel(frame)


def test_whole_numbers_and_narrow_floats_keep_their_dtype():
    assert to_long(wide(a=np.array([1, 2], dtype=np.int32)))["y"].dtype == np.int32
    assert to_long(wide(a=np.array([1, 2], dtype=np.float32)))["y"].dtype == np.float32
    frame = to_long(wide(a=pd.array([None, 2, None, 4], dtype="Int64")))
    assert frame["y"].dtype == "Int64"
    assert frame["y"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", ["int64", "category", "str"])
def test_the_ids_of_a_wide_frame_have_the_dtype_of_its_column_names(dtype):
    names = pd.Index(["3", "1"]).astype(dtype)
    frame = to_long(pd.DataFrame([[1.0, 2.0]], index=DAYS[:1], columns=names))
    assert frame["unique_id"].dtype == dtype
    assert frame["unique_id"].astype(str).tolist() == ["3", "1"]


@QUICK
@given(st.integers(1, 6), st.integers(1, 5), st.data())
def test_long_equals_plain_loops_over_the_wide_frame(n_rows, n_series, data):
    cells = st.sampled_from([NAN, 1.0, -2.5, 0.0])
    table = np.array([[data.draw(cells) for _ in range(n_series)] for _ in range(n_rows)])
    rows = data.draw(st.permutations(range(n_rows)))
    given_ = pd.DataFrame(table, DAYS[:n_rows], [f"s{k}" for k in range(n_series)]).iloc[rows]
    wanted = []
    for k in range(n_series):
        series = list(zip(DAYS, table[:, k], strict=False))
        known = [t for t, (_, value) in enumerate(series) if value == value] or [0, n_rows - 1]
        wanted += [(f"s{k}", str(ds), repr(value)) for ds, value in series[known[0] : known[-1] + 1]]
    found = [(name, str(ds), repr(value)) for name, ds, value in to_long(given_).itertuples(index=False)]
    assert found == [(name, ds, value.replace("np.float64(", "").rstrip(")")) for name, ds, value in wanted]


def test_a_wide_polars_frame_comes_back_as_polars():
    pl = pytest.importorskip("polars")
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.date(2024, 1, 3)]
    frame = to_long(pl.DataFrame({"ds": days, "b": [1.0, 2.0, 3.0], "a": [None, 5, None], "c": [6.0, None, 8.0]}))
    assert isinstance(frame, pl.DataFrame)
    assert frame.schema == pl.Schema({"unique_id": pl.String, "ds": pl.Date, "y": pl.Float64})
    assert frame.rows()[3:] == [
        ("a", days[1], 5.0),
        *(("c", d, v) for d, v in zip(days, [6.0, None, 8.0], strict=True)),
    ]
    pd.testing.assert_frame_equal(long(frame), WIDE_AS_LONG.assign(ds=WIDE_AS_LONG["ds"].astype("M8[s]")))


def test_a_wide_frame_that_has_its_gaps_filled_is_read():
    frame = fill_gaps(to_long(wide(b=[1.0, 2.0, 3.0], c=[6.0, NAN, 8.0])))
    assert read_panel(frame).values[:, 0].tolist() == [1.0, 2.0, 3.0, 6.0, 7.0, 8.0]


COLUMN = wide(a=[1.0, 2.0])

# name: frame, error, what stands in the message, and what the repair in it leads to (None: it holds no statement)
WIDE_FAULTS = {
    "no frame": (
        [1, 2],
        ArgumentTypeError,
        "wide is a builtins.list; expected a DataFrame with a column for each",
        None,
    ),
    "a series": (COLUMN["a"], ArgumentTypeError, "One series needs no to_long: give it as it is", None),
    "no columns": (pd.DataFrame(index=DAYS), ArgumentError, "wide has 6 rows, and no column beside the time", None),
    "only time": (
        pd.DataFrame({"ds": DAYS}),
        ArgumentError,
        "no column beside the time; expected rows, and a col",
        None,
    ),
    "no rows": (COLUMN.iloc[:0], ArgumentError, "wide has 0 rows, and 'a' beside the time", None),
    "no time": (
        COLUMN.set_axis(["2024-01-01", "2024-01-02"]),
        ArgumentError,
        "wide has no time: no column 'ds', and an index of str; its columns are 'a'. Name the column .* time_col=",
        ["a"],
    ),
    "duplicate names": (
        pd.concat([COLUMN, COLUMN], axis=1),
        ArgumentError,
        "column 'a' stands in wide more than once; expected one name",
        ["a"],
    ),
    "levels": (
        pd.DataFrame([[1.0, 2.0]], DAYS[:1], pd.MultiIndex.from_tuples([("x", 1), ("x", 2)])),
        ArgumentError,
        "wide has columns of 2 levels, first 'x', '1'; expected one name",
        ["x_1", "x_2"],
    ),
    "text": (
        wide(a=[1.0, 2.0], b=["x", "y"], c=["x", "y"]),
        ArgumentError,
        "column 'b', 'c' of wide holds no numbers: the first is str, and starts with 'x'; expected a column of numbers "
        "for each series. If it holds the time, say time_col='b'",
        ["a"],
    ),
    "numbers as text": (wide(a=["1", "2"]), ArgumentError, "column 'a' of wide.*convert it", ["a"]),
    "truth values": (wide(a=[True, False]), ArgumentError, "column 'a' of wide.*is bool", ["a"]),
    "numbers as objects": (wide(a=pd.array([1, None, 3], dtype=object)), ArgumentError, "convert it", ["a"]),
    "time in a column of another name": (
        wide().rename_axis("day").reset_index(),
        ArgumentError,
        r"column 'day' of wide.*datetime64.*say time_col='day'",
        ["b", "a", "c"],
    ),
    "time as text": (
        COLUMN.assign(ds=["2024-01-01", "2024-01-02"]),
        ArgumentError,
        r"column 'ds' holds str in all 2 rows.*Convert it: wide\['ds'\] = pd.to_datetime\(wide\['ds'\]\)",
        ["a"],
    ),
    "time missing in the column": (
        COLUMN.assign(ds=[pd.Timestamp("2024-01-01"), pd.NaT]),
        ArgumentError,
        "column 'ds' is empty in 1 row",
        ["a"],
    ),
    "time missing in the index": (
        COLUMN.set_axis(pd.DatetimeIndex(["2024-01-01", None])),
        ArgumentError,
        "wide has no time in 1 row. Drop them",
        ["a"],
    ),
    "long": (WIDE_AS_LONG, ArgumentError, "wide looks long already: it has 'unique_id', 'y'", None),
    "long without ids": (ONE, ArgumentError, "wide looks long already: it has 'y'.*target_col='value'", None),
    "long in the index": (
        WIDE_AS_LONG.set_index(["unique_id", "ds"]).rename(columns={"y": "v"}),
        ArgumentError,
        "wide looks long already: it has 'v', 'unique_id', 'ds'",
        None,
    ),
    "long in an index of other names": (
        WIDE_AS_LONG.set_index(["unique_id", "ds"]).set_axis(["v"], axis=1).rename_axis(["shop", "day"]),
        ArgumentError,
        "wide looks long already: it has 'v', 'shop', 'day'",
        None,
    ),
    "long with ids in the index": (
        WIDE_AS_LONG[["unique_id"]].set_index("unique_id"),
        ArgumentError,
        "long already",
        None,
    ),
}


@pytest.mark.parametrize("fault", WIDE_FAULTS)
def test_a_wide_frame_that_cannot_be_read_says_what_is_wrong_and_what_to_type(fault):
    given_, error, fragment, repaired = WIDE_FAULTS[fault]
    with pytest.raises(error, match=fragment) as caught:
        to_long(given_)
    if repaired is None:
        assert "wide = " not in str(caught.value)
    else:
        fixed = typed(given_, str(caught.value), "wide")
        assert to_long(fixed)["unique_id"].unique().tolist() == repaired


def test_a_series_called_y_needs_another_name_for_the_target():
    assert to_long(ONE, target_col="value")["unique_id"].unique().tolist() == ["y"]


def test_a_wide_polars_frame_without_a_time_column_is_refused():
    pl = pytest.importorskip("polars")
    with pytest.raises(ArgumentError, match="wide has no time: no column 'ds'"):
        to_long(pl.DataFrame({"a": [1.0, 2.0]}))


# ---- gaps


def slow_fill(df, freq, method):
    """Return (id, stamp, value) of every row of the filled frame, by plain loops over a complete calendar."""
    season = season_length_of(freq)
    rows = []
    for name in dict.fromkeys(df["unique_id"]):
        known = dict(df.loc[df["unique_id"] == name, ["ds", "y"]].itertuples(index=False))
        calendar = pd.date_range(min(known), max(known), freq=freq).tolist()
        y = [known.get(ds, NAN) for ds in calendar]
        seen = [k for k, value in enumerate(y) if value == value]
        for k, ds in enumerate(calendar):
            value = y[k]
            if value != value and seen and seen[0] < k < seen[-1]:
                value = slow_value(y, seen, k, season, method)
            rows.append((name, ds, value))
    return rows


def slow_value(y, seen, k, season, method):
    before, after = max(s for s in seen if s < k), min(s for s in seen if s > k)
    if not isinstance(method, str):
        return method
    if method == "ffill":
        return y[before]
    if method == "seasonal":
        for away in range(season, len(y), season):
            for other in (k - away, k + away):
                if other in seen:
                    return y[other]
    return y[before] + (y[after] - y[before]) / (after - before) * (k - before)


SPANS = {
    "h": "2024-01-01",
    "D": "2024-01-01",
    "B": "2024-01-01",
    "W-SUN": "2024-01-07",
    "ME": "2023-12-31",
    "MS": "2024-01-01",
    "QS-OCT": "2024-01-01",
    "QE-DEC": "2024-03-31",
    "30min": "2024-01-01",
    "YS-JAN": "2001-01-01",
}


def regular(freq, rows=60, name="a", **columns):
    stamps = pd.date_range(SPANS[freq], periods=rows, freq=freq)
    return pd.DataFrame({"unique_id": name, "ds": stamps, "y": np.arange(float(rows)) ** 2, **columns})


@pytest.mark.parametrize("freq", SPANS)
def test_a_few_missing_rows_are_added_at_a_frequency_that_nobody_said(freq):
    whole = regular(freq)
    filled = fill_gaps(without(whole, 7, 8, 30, 58))
    assert filled["ds"].tolist() == whole["ds"].tolist()
    assert filled.dtypes.equals(whole.dtypes)
    added = filled.index.isin([7, 8, 30, 58])
    assert filled["y"][~added].equals(whole["y"][~added])
    line = np.interp([7, 8, 30, 58], np.flatnonzero(~added), whole["y"][~added])
    assert filled["y"][added].tolist() == pytest.approx(line.tolist(), rel=1e-12)
    assert read_panel(filled).lengths.tolist() == [60]


@pytest.mark.parametrize("method", ["interpolate", "ffill", "seasonal", 0, -1.5])
@pytest.mark.parametrize("freq", ["D", "h", "MS", "QE-DEC"])
@pytest.mark.parametrize("seed", range(3))
def test_every_method_equals_plain_loops(freq, method, seed):
    rng = np.random.default_rng(seed)
    parts = []
    for name, rows in (("b", 60), ("a", 17), ("one", 1), ("c", 100)):
        part = regular(freq, rows, name)
        part["y"] = np.where(rng.random(rows) < 0.15, NAN, rng.normal(size=rows))
        keep = rng.random(rows) < (0.15 if seed == 2 else 0.7)
        keep[[0, -1]] = True
        parts.append(part[keep])
    df = pd.concat(parts)
    wanted = slow_fill(df, freq, method)
    shuffled = df.iloc[rng.permutation(len(df))]
    # The order of the series is that of their first rows.
    order = list(dict.fromkeys(shuffled["unique_id"]))
    wanted.sort(key=lambda row: order.index(row[0]))
    filled = fill_gaps(shuffled, freq, method)
    assert list(zip(filled["unique_id"], filled["ds"], strict=True)) == [row[:2] for row in wanted]
    np.testing.assert_allclose(filled["y"], [row[2] for row in wanted], rtol=1e-12)
    if method == "seasonal":
        assert not np.allclose(filled["y"], fill_gaps(shuffled, freq)["y"], equal_nan=True)


@QUICK
@given(frames(most_rows=20), st.data())
def test_what_is_filled_is_read_and_what_was_there_is_the_same_to_the_last_bit(drawn, data):
    df, freq = drawn[0].reset_index(drop=True), drawn[1]
    spans = {}
    for name, ds in df[["unique_id", "ds"]].itertuples(index=False):
        first, last = spans.get(name, (ds, ds))
        spans[name] = min(first, ds), max(last, ds)
    inner = [k for k, (name, ds) in enumerate(df[["unique_id", "ds"]].itertuples(index=False)) if ds not in spans[name]]
    gone = data.draw(st.sets(st.sampled_from(inner))) if inner else set()
    left = sorted(set(inner) - gone)
    holes = data.draw(st.sets(st.sampled_from(left))) if left else set()
    method = data.draw(st.sampled_from(["interpolate", "ffill", 2.5]))
    df.loc[list(holes), "y"] = NAN
    given_ = df.drop(index=list(gone))
    before = given_.copy()
    filled = fill_gaps(given_, freq, method)
    pd.testing.assert_frame_equal(given_, before)
    assert filled.dtypes.equals(given_.dtypes)
    panel = read_panel(filled, freq=freq)
    assert not panel.was_unsorted
    now = {(name, ds): y for name, ds, y in filled.itertuples(index=False)}
    assert len(filled) == len(df)
    assert set(now) == set(df[["unique_id", "ds"]].itertuples(index=False, name=None))
    for name, ds, y in given_.itertuples(index=False):
        assert y != y or np.float64(now[name, ds]).tobytes() == np.float64(y).tobytes()
    first_seen = list(dict.fromkeys(given_["unique_id"]))
    if isinstance(df["unique_id"].dtype, pd.CategoricalDtype):
        first_seen.sort(key=df["unique_id"].cat.categories.tolist().index)
    assert panel.id_list == first_seen


def test_a_frame_without_gaps_comes_back_sorted_and_otherwise_the_same():
    df = make_frame(freq="D")
    df.index += 100
    shuffled = pd.concat([df.iloc[:1], df.iloc[1:].sample(frac=1, random_state=0)])
    back = fill_gaps(shuffled)
    pd.testing.assert_frame_equal(back, panel_to_frame(read_panel(shuffled)))


def test_nothing_is_added_before_the_first_row_or_after_the_last():
    df = pd.concat([regular("D", 20), regular("D", 30, "b").iloc[5:9]])
    assert len(fill_gaps(df)) == 24


def test_missing_targets_at_the_ends_stay_missing_and_so_do_rows_added_among_them():
    df = regular("D", 9)
    df["y"] = [NAN, NAN, NAN, 1.0, NAN, 3.0, NAN, NAN, NAN]
    for method in ("interpolate", "ffill", 7.0):
        y = fill_gaps(without(df, 1, 6), "D", method)["y"]
        assert y.isna().tolist() == [True] * 3 + [False] * 3 + [True] * 3
        assert y[4] == {"interpolate": 2.0, "ffill": 1.0, 7.0: 7.0}[method]


def test_a_season_is_copied_from_the_one_before_else_after_else_from_further_away():
    df = regular("D", 35)
    filled = fill_gaps(without(df, 3, 12, *range(15, 29)), method="seasonal")["y"]
    assert filled[12] == df["y"][5]  # one before
    assert filled[3] == df["y"][10]  # none before: one after
    assert filled[[15, 22, 26]].tolist() == df["y"][[8, 29, 33]].tolist()
    assert filled[19] == filled[5]  # one before is missing too, and one after: two before
    assert filled[19] != filled[26]


def test_a_phase_that_was_never_seen_is_interpolated():
    df = without(regular("D", 9), 4)
    assert fill_gaps(df, method="seasonal")["y"][4] == (9 + 25) / 2


# ---- gaps beside the target


def test_inputs_are_filled_by_the_same_method_and_constants_stay_constant():
    df = regular("D", 20).assign(
        warmth=np.arange(20.0),
        big=2**60 + 1,
        tenth=0.1,
        narrow=np.float32(0.1),
        promo=[False, True] * 10,
        kind=pd.Categorical(["x", "y"] * 10, categories=["y", "x"], ordered=True),
        region="north",
        level=pd.array([1, 2] * 10, dtype="Int8"),
        since=DAYS[0],
    )
    for method, warmth in [("interpolate", 9.0), ("ffill", 8.0), ("seasonal", 2.0), (5.0, 8.0)]:
        filled = fill_gaps(without(df, 9, 10), method=method)
        pd.testing.assert_series_equal(filled.dtypes, df.dtypes)
        assert filled["warmth"][9] == pytest.approx(warmth)
        for name in ("big", "tenth", "narrow", "region", "since"):
            assert filled[name].equals(df[name])
        assert filled["promo"][[8, 9, 10]].tolist() == [False, False, False]
        assert filled["kind"][[8, 9, 10]].tolist() == ["x", "x", "x"]
        assert filled["y"][9] == {"interpolate": 64 + 57 / 3, "ffill": 64.0, "seasonal": 4.0}.get(method, 5.0)


def test_missing_inputs_stay_missing_where_there_was_a_row_and_are_bridged_where_there_was_none():
    df = regular("D", 9).assign(
        x=[NAN, NAN, 2.0, NAN, NAN, 5.0, NAN, NAN, NAN], note=["a", None, None, None, "b", "c", None, None, None]
    )
    filled = fill_gaps(without(df, 1, 4, 7), "D")
    assert filled["x"].tolist() == pytest.approx([NAN, NAN, 2.0, NAN, 4.0, 5.0, NAN, NAN, NAN], nan_ok=True)
    note = filled["note"].astype(object).where(filled["note"].notna(), None)
    assert note.tolist() == ["a", "a", None, None, "a", "c", None, "c", None]


def test_missing_values_of_nullable_inputs_stay_missing():
    df = regular("D", 6).assign(x=pd.array([None, None, 2, None, None, 8], dtype="Int64"))
    filled = fill_gaps(without(df, 1, 4), "D")
    assert filled["x"].dtype == "Int64"
    assert filled["x"].isna().tolist() == [True, True, False, True, False, False]
    assert filled["x"][4] == 6


def test_whole_numbers_are_rounded_and_keep_their_dtype():
    df = regular("D", 6).assign(y=np.array([1, 2, 2, 2, 5, 2**60 + 1], dtype=np.int64))
    filled = fill_gaps(without(df, 2, 3), "D")
    assert filled["y"].tolist() == [1, 2, 3, 4, 5, 2**60 + 1]
    narrow = fill_gaps(without(df.iloc[:5].astype({"y": "int8"}), 3), "D")
    assert narrow["y"].dtype == np.int8
    assert narrow["y"].tolist() == [1, 2, 2, 4, 5]


@pytest.mark.parametrize("dtype", ["int16", "Int16", "uint8", "float32", "Float64"])
def test_a_number_is_written_in_the_dtype_of_the_target(dtype):
    filled = fill_gaps(without(regular("D", 6).astype({"y": dtype}), 2), method=7)
    assert filled["y"].dtype == dtype
    assert filled["y"].tolist() == [0, 1, 7, 9, 16, 25]


def test_columns_of_one_name_that_no_argument_names_are_both_filled():
    df = pd.concat(
        [regular("D", 6), pd.DataFrame({"x": np.arange(6.0)}), pd.DataFrame({"x": 10 * np.arange(6.0)})], axis=1
    )
    filled = fill_gaps(without(df, 2))
    assert filled.iloc[2, 3:].tolist() == [2.0, 20.0]


# ---- clocks


@pytest.mark.parametrize("start", ["2024-03-30 12:00", "2024-10-26 12:00"])
def test_hours_keep_their_zone_over_both_changes_of_the_clock(start):
    stamps = pd.date_range(start, periods=36, freq="h", tz="Europe/Berlin")
    changes = int(np.flatnonzero(np.diff([stamp.utcoffset() for stamp in stamps]))[0])
    whole = pd.DataFrame({"ds": stamps, "y": np.arange(36.0)})
    filled = fill_gaps(without(whole, *range(changes - 1, changes + 3)))
    pd.testing.assert_frame_equal(filled, whole)


@pytest.mark.parametrize("start", ["2024-03-20", "2024-10-15"])
@pytest.mark.parametrize("freq", ["D", "B", "W-SUN"])
def test_days_keep_their_midnight_over_both_changes_of_the_clock(start, freq):
    stamps = pd.date_range(start, periods=30, freq=freq, tz="Europe/Berlin")
    whole = pd.DataFrame({"ds": stamps, "y": np.arange(30.0)})
    filled = fill_gaps(without(whole, 2, 8, 9, 10, 11))
    pd.testing.assert_frame_equal(filled, whole, check_freq=False)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_resolution_of_stamps_is_kept(unit):
    whole = regular("D", 10).assign(ds=lambda d: d["ds"].dt.as_unit(unit), y=np.arange(10.0))
    pd.testing.assert_frame_equal(fill_gaps(without(whole, 4)), whole)


def test_series_may_start_at_any_phase_of_a_wide_step():
    months = pd.DataFrame(
        {"unique_id": "a", "ds": pd.date_range("2024-01-01", periods=9, freq="2MS"), "y": np.arange(9.0)}
    )
    other = months.assign(unique_id="b", ds=pd.date_range("2024-02-01", periods=9, freq="2MS"))
    whole = pd.concat([months, other], ignore_index=True)
    pd.testing.assert_frame_equal(fill_gaps(without(whole, 4, 12), "2MS"), whole)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint32", "Int64"])
def test_whole_numbers_are_filled_at_the_step_that_is_said(dtype):
    whole = pd.DataFrame({"ds": pd.array([2, 5, 8, 11, 14], dtype=dtype), "y": np.arange(5.0)})
    pd.testing.assert_frame_equal(fill_gaps(without(whole, 1, 3), 3), whole)


def test_whole_numbers_go_by_one_where_their_differences_do_not_say_otherwise():
    assert fill_gaps(pd.DataFrame({"ds": [1, 2, 5, 8], "y": [1.0, 2.0, 5.0, 8.0]}))["y"].tolist() == list(range(1, 9))


def test_old_aliases_are_told_at_the_line_of_the_call():
    with pytest.warns(FrequencyAliasWarning, match="read as 'h'") as caught:
        filled = fill_gaps(without(regular("h", 10), 4), "H")
    assert len(filled) == 10
    assert caught[0].filename == __file__


# ---- kinds in, kinds out


def test_polars_frames_come_back_as_polars_with_their_dtypes():
    pl = pytest.importorskip("polars")
    days = [dt.date(2024, 1, k) for k in (1, 2, 3, 5, 6)]
    df = pl.DataFrame(
        {
            "shop": pl.Series(["a"] * 5, dtype=pl.Enum(["b", "a"])),
            "day": days,
            "units": [1, 2, 3, 5, 6],
            "warmth": pl.Series([1.0, 2.0, 3.0, 5.0, 6.0], dtype=pl.Float32),
            "promo": [True, None, True, False, False],
            "note": ["x", None, "y", None, "z"],
        }
    )
    filled = fill_gaps(df, id_col="shop", time_col="day", target_col="units")
    assert filled.schema == df.schema
    assert filled.filter(pl.col("day") != dt.date(2024, 1, 4)).equals(df)
    assert filled.row(3) == ("a", dt.date(2024, 1, 4), 4, 4.0, True, "y")


def test_hours_in_a_zone_come_back_in_it():
    pl = pytest.importorskip("polars")
    stamps = pd.date_range("2024-10-26 12:00", periods=30, freq="h", tz="Europe/Berlin", unit="us")
    whole = in_kind(pd.DataFrame({"ds": stamps, "y": np.arange(30.0)}), "polars")
    filled = fill_gaps(whole.filter(~pl.col("y").is_in([14.0, 15.0])))
    assert filled.schema["ds"] == pl.Datetime("us", "Europe/Berlin")
    assert filled.equals(whole)


def test_a_series_with_its_time_in_the_index_comes_back_as_a_long_frame():
    stamps = without(ONE, 2).set_index("ds")["y"]
    assert fill_gaps(stamps)["y"].tolist() == [3.0, 1.0, 1.0, 1.0, 5.0, 9.0]
    months = pd.Series([1.0, 2.0, 3.0, 5.0], pd.PeriodIndex(["2024-01", "2024-02", "2024-03", "2024-05"], freq="M"))
    filled = fill_gaps(months)
    assert list(filled) == ["ds", "y"]
    assert filled["ds"].tolist() == pd.date_range("2024-01-01", periods=5, freq="MS").tolist()


# ---- what cannot be filled

TWICE = pd.concat([ONE, ONE.iloc[[1, 4]]], ignore_index=True)
NOON = ONE.assign(ds=ONE["ds"] + pd.to_timedelta([0, 0, 12, 0, 0, 0], unit="h"))

# name: frame, arguments, error, what stands in the message
GAP_FAULTS = {
    "duplicates": (
        TWICE,
        {},
        FrameError,
        r"2 duplicate time stamps, first 2024-01-02 00:00:00 in row 6.*drop_duplicates",
    ),
    "off the grid": (
        NOON,
        {"freq": "D"},
        FrameError,
        "1 time stamp off the grid of freq='D', first 2024-01-03 12:00:00",
    ),
    "off the calendar": (ONE, {"freq": "MS"}, FrameError, "5 time stamps off the grid of freq='MS'"),
    "duplicates and infinite": (
        TWICE.assign(y=[1, 2, np.inf, 4, 5, 6, 7, 8]),
        {},
        FrameError,
        "(?s)1 infinite value in 'y'.*2 duplicate",
    ),
    "off the step": (
        pd.DataFrame({"ds": [1, 4, 5, 7], "y": 1.0}),
        {"freq": 3},
        FrameError,
        "off the grid of freq=3, first 5",
    ),
    "too few to tell": (
        ONE.iloc[:2],
        {},
        FrameError,
        r"frequency of 'ds' cannot be told from series 'y'.*\(2\).*freq=",
    ),
    "a wide step": (
        pd.DataFrame({"ds": [0, 10, 30], "y": 1.0}),
        {},
        FrameError,
        "multiples of 10 apart. Say freq=10 if",
    ),
    "time as text": (ONE.assign(ds=ONE["ds"].astype(str)), {}, FrameError, "column 'ds' holds str"),
    "no time": (ONE[["y"]], {}, FrameError, "column 'ds' not in the frame"),
    "no target": (ONE[["ds"]], {}, FrameError, "column 'y' not in the frame"),
    "target as text": (ONE.assign(y="x"), {}, FrameError, "column 'y' holds str"),
    "no rows": (ONE.iloc[:0], {}, FrameError, "no rows"),
    "ids missing": (ONE.assign(unique_id=["a", None] * 3), {}, FrameError, "'unique_id' is empty in 3 rows"),
    "another kind of step": (ONE, {"freq": 1}, FrameError, "freq=1 is a step for whole numbers"),
    "no frequency": (ONE, {"freq": "nonsense"}, ArgumentError, "freq='nonsense' is no pandas frequency"),
    "unknown method": (ONE, {"method": "ffil"}, ArgumentError, "method='ffil' is not known.*Did you mean 'ffill'"),
    "no method": (
        ONE,
        {"method": None},
        ArgumentTypeError,
        "method=None is a NoneType; expected 'interpolate', 'ffill'",
    ),
    "truth value": (ONE, {"method": True}, ArgumentTypeError, "method=True is a bool"),
    "infinite": (
        ONE,
        {"method": float("inf")},
        ArgumentError,
        "method=inf: expected a finite number, such as method=0",
    ),
    "not a number": (ONE, {"method": NAN}, ArgumentError, "method=nan: expected a finite number"),
    "fraction": (
        ONE.astype({"y": int}),
        {"method": 2.5},
        ArgumentError,
        r"method=2.5 does not fit column 'y' of int64",
    ),
    "too large": (
        ONE.astype({"y": "Int8"}),
        {"method": 300},
        ArgumentError,
        r"method=300 does not fit column 'y' of Int8",
    ),
    "negative": (ONE.astype({"y": "uint8"}), {"method": -1}, ArgumentError, r"\.astype\('float64'\)"),
    "no season": (
        ONE.assign(ds=pd.date_range("2024-01-01", periods=6, freq="YS")),
        {"method": "seasonal"},
        ArgumentError,
        "method='seasonal': freq='YS-JAN' has no season.*method='interpolate'",
    ),
    "one column, named twice": (
        ONE.set_index("ds"),
        {"time_col": "v", "target_col": "v"},
        FrameError,
        "name a column twice",
    ),
    "stamps in the index, named twice": (
        ONE.set_index("ds")["y"],
        {"time_col": "v", "target_col": "v"},
        FrameError,
        "name a column twice",
    ),
    "columns named twice": (ONE, {"time_col": "y"}, FrameError, "name a column twice"),
}


@pytest.mark.parametrize("fault", GAP_FAULTS)
def test_what_cannot_be_filled_says_what_is_wrong(fault):
    df, kwargs, error, fragment = GAP_FAULTS[fault]
    with pytest.raises(error, match=fragment):
        fill_gaps(df, **kwargs)


def test_gaps_are_no_fault_and_hide_none():
    df = without(pd.concat([ONE.assign(unique_id="a"), TWICE.assign(unique_id="b")], ignore_index=True), 2, 9)
    with pytest.raises(FrameError) as caught:
        fill_gaps(df, "D")
    (fault,) = caught.value.faults
    assert "series 'b': 2 duplicate time stamps" in fault


def test_a_stamp_off_the_grid_is_found_behind_a_gap():
    df = pd.DataFrame({"ds": [0, 3, 12, 16, 18], "y": 1.0})
    with pytest.raises(FrameError, match="1 time stamp off the grid of freq=3, first 16 in row 3") as caught:
        fill_gaps(df, 3)
    assert len(caught.value.faults) == 1


def repairable():
    """Return name -> something with duplicates that is no long pandas frame."""
    shapes = {
        "series": TWICE.set_index("ds")["y"],
        "series with periods": TWICE.set_index("ds")["y"].to_period("D"),
        "one column in time": TWICE.set_index("ds").rename_axis(None).rename(columns={"y": "sales"}),
        "index called ds": TWICE.set_index("ds"),
    }
    if "polars" in sys.modules:
        shapes["polars"] = in_kind(TWICE, "polars")
    return shapes


@pytest.mark.parametrize("shape", ["series", "series with periods", "one column in time", "index called ds", "polars"])
def test_repairs_of_other_shapes_begin_with_the_statement_that_makes_a_long_frame(shape):
    if shape == "polars":
        pytest.importorskip("polars")
        pytest.importorskip("pyarrow")
    df = repairable()[shape]
    with pytest.raises(FrameError) as caught:
        fill_gaps(df, "D")
    assert "The repairs below are for a long pandas frame" in caught.value.faults[0]
    fixed = typed(df, "\n".join(caught.value.faults))
    assert fill_gaps(fixed)["y"].tolist() == ONE["y"].tolist()


def test_a_long_pandas_frame_needs_no_statement_first():
    assert long_first(ONE, *NAMES) == []
    assert long_first(ONE[["y"]], *NAMES) == []
