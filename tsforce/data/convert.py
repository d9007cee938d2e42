"""Frames of other shapes and kinds: to the long pandas frame that is read, and back to the user's kind.

Polars is never imported here: what is no polars frame needs none, and whoever hands one over has imported it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.panel import Columns, ragged_rows
from tsforce.data.read_columns import no_frame, read_stamps
from tsforce.data.sorted_rows import counted
from tsforce.errors import ArgumentError, ArgumentTypeError, abbreviate

__all__ = ["as_pandas_long", "in_kind", "long_first", "to_long"]


def as_pandas_long(df: Any, id_col: str, time_col: str, target_col: str) -> tuple[pd.DataFrame, str]:
    """Return what the user handed over as a long pandas frame, and its kind.

    Parameters
    ----------
    df : DataFrame or Series
        Long frame of pandas (returned as it is) or polars; pandas Series or frame with the time in its index, a frame
        of one column whatever that is called. Never modified.
    id_col, time_col, target_col : str

    Returns
    -------
    frame : DataFrame
        Periods are stamps of their start, stamps of pyarrow those of pandas. Dates of polars are datetime64[s], Enums
        ordered categories, Decimals float64, whole numbers of 128 bits int64 or else float64. Which columns it has and
        what they hold is not checked.
    kind : "pandas" or "polars"
        What ``in_kind`` takes.

    Raises
    ------
    ArgumentTypeError
        If `df` is none of these, or several columns are to be the id or the time.
    """
    names: tuple[tuple[str, Any], ...] = ("id_col", id_col), ("time_col", time_col)
    for argument, name in names:
        if isinstance(name, (list, tuple)) and not (isinstance(name, tuple) and name in getattr(df, "columns", ())):
            raise ArgumentTypeError(_one_name(argument, name))
    if _is_polars(df, "df"):
        return _from_polars(df), "polars"
    numbered = isinstance(df, pd.Series) and pd.api.types.is_integer_dtype(df.index.dtype)
    if isinstance(df, pd.Series) and (numbered or _is_timed(df.index)):
        df = df.to_frame(target_col)
    if not isinstance(df, pd.DataFrame):
        raise ArgumentTypeError(no_frame(df, Columns(id_col, time_col, (target_col,))))
    if time_col not in df.columns:
        index, single = df.index, _single(df, id_col, target_col)
        if time_col in index.names:
            # A level that stands among the columns too stays where it is.
            free = [k for k, name in enumerate(index.names) if name is None or name not in df.columns]
            df = df.reset_index(level=free).rename(columns=single)
        elif numbered or _is_timed(index):
            df = df.reset_index(drop=True).rename(columns=single)
            df.insert(0, time_col, index, allow_duplicates=True)
    if list(df.columns).count(time_col) == 1:
        kind = df[time_col].dtype
        if isinstance(kind, pd.PeriodDtype):
            df = df.assign(**{time_col: df[time_col].dt.to_timestamp(how="start")})
        elif isinstance(kind, pd.ArrowDtype) and kind.kind == "M":
            # Dates have no unit; pandas 2 would make nanoseconds of any.
            stamps = pd.DatetimeIndex(df[time_col]).as_unit(getattr(kind.pyarrow_dtype, "unit", "s"))
            df = df.assign(**{time_col: stamps})
    return df, "pandas"


def _one_name(argument: str, names: Sequence[str]) -> str:
    """Return what to say of several names where one is expected."""
    join = " + '/' + ".join(f"df[{name!r}].astype(str)" for name in names)
    how = f" Join the columns, and say id_col='unique_id': df['unique_id'] = {join}." if argument == "id_col" else ""
    return f"{argument}={names!r}: expected the name of one column.{how}"


def long_first(df: Any, id_col: str, time_col: str, target_col: str) -> list[str]:
    """Return the statement that makes of `df` the frame that the repairs in a report speak of; none where it is one."""
    if isinstance(df, pd.Series):
        statement = f"df.rename({target_col!r}).rename_axis({time_col!r}).reset_index()"
    elif not isinstance(df, pd.DataFrame):
        statement = "df.to_pandas()"
    elif time_col not in df.columns and (time_col in df.index.names or _is_timed(df.index)):
        single = _single(df, id_col, target_col)
        statement = "df" if time_col in df.index.names else f"df.rename_axis({time_col!r})"
        statement += ".reset_index()" + f".rename(columns={single!r})" * bool(single)
    else:
        return []
    return [f"The repairs below are for a long pandas frame. Make one first: df = {statement}."]


def _is_timed(index: pd.Index) -> bool:
    return isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex))


def _single(df: pd.DataFrame, id_col: str, target_col: str) -> dict[Any, str]:
    """Return how the only column is to be renamed."""
    return {} if len(df.columns) != 1 or df.columns[0] in (id_col, target_col) else {df.columns[0]: target_col}


def _is_polars(df: Any, name: str) -> bool:
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(df, polars.LazyFrame):
        raise ArgumentTypeError(
            f"{name} is a polars LazyFrame, which holds no rows yet; expected a DataFrame. Make one of it: "
            f"{name} = {name}.collect()."
        )
    return polars is not None and isinstance(df, polars.DataFrame)


def _from_polars(df: Any) -> pd.DataFrame:
    # Not df.to_pandas(): it needs pyarrow, and makes other dtypes of dates, of Enums and of numbers with nulls.
    return pd.DataFrame({name: _column_from_polars(df[name]) for name in df.columns})


def _column_from_polars(column: Any) -> Any:
    polars, kind = sys.modules["polars"], column.dtype
    if kind == polars.Date:
        # Polars knows no time stamps in seconds: by this unit _column_to_polars tells that they were dates.
        return column.to_numpy().astype("M8[s]")
    if kind == polars.Datetime:
        stamps = pd.DatetimeIndex(column.to_numpy())
        return stamps if kind.time_zone is None else stamps.tz_localize("UTC").tz_convert(kind.time_zone)
    if kind == polars.Enum:
        return pd.Categorical(column.to_list(), kind.categories.to_list(), ordered=True)
    if kind == polars.Categorical:
        return pd.Categorical(column.to_list(), column.drop_nulls().unique(maintain_order=True).to_list())
    if kind == polars.String:
        return pd.Series(column.to_list(), dtype="str")
    if kind in _wide_integers():
        # NumPy knows no numbers of 128 bits; sums of small ones come in them.
        narrow = column.cast(polars.Int64, strict=False)
        column = narrow if narrow.null_count() == column.null_count() else column.cast(polars.Float64)
        kind = column.dtype
    if kind.is_decimal():
        column = column.cast(polars.Float64)
    elif column.null_count() and (kind.is_integer() or kind == polars.Boolean):
        return pd.array(column.to_list(), dtype="boolean" if kind == polars.Boolean else str(kind))
    if column.dtype.is_numeric() or kind in (polars.Boolean, polars.Duration):
        return column.to_numpy()
    return pd.Series(column.to_list(), dtype=object)


def _wide_integers() -> list[Any]:
    """Return polars' whole numbers of 128 bits, as far as this version has them."""
    return [getattr(sys.modules["polars"], name, None) for name in ("Int128", "UInt128")]


def in_kind(frame: pd.DataFrame, kind: str) -> Any:
    """Return a frame in the kind that ``as_pandas_long`` told: polars, or as it is.

    Polars has no attrs: they are lost. NaN becomes null.
    """
    if kind != "polars":
        return frame
    columns = [_column_to_polars(str(name), frame.iloc[:, k]) for k, name in enumerate(frame.columns)]
    return sys.modules["polars"].DataFrame(columns)


def _column_to_polars(name: str, column: pd.Series) -> Any:
    polars, kind = sys.modules["polars"], column.dtype
    absent = column.isna().to_numpy()
    if isinstance(kind, pd.DatetimeTZDtype) or (isinstance(kind, np.dtype) and kind.kind == "M"):
        stamps = pd.DatetimeIndex(column)
        zone, in_seconds = stamps.tz, stamps.unit == "s"
        utc = (stamps if zone is None else stamps.tz_convert(None)).as_unit("ms" if in_seconds else stamps.unit)
        series = polars.Series(name, utc.to_numpy())
        if zone is not None:
            return series.dt.replace_time_zone("UTC").dt.convert_time_zone(str(zone))
        are_dates = in_seconds and bool((absent | (stamps == stamps.normalize())).all())
        return series.cast(polars.Date) if are_dates else series
    if isinstance(kind, np.dtype) and kind.kind in "iufbm":
        return polars.Series(name, column.to_numpy(), nan_to_null=True)
    dtype = None
    if isinstance(kind, pd.CategoricalDtype) and all(isinstance(name, str) for name in kind.categories):
        dtype = polars.Enum(kind.categories.tolist()) if kind.ordered else polars.Categorical
    elif isinstance(kind, pd.StringDtype):
        dtype = polars.String
    elif kind.kind in "iufb":
        dtype = getattr(polars, "Boolean" if kind.kind == "b" else str(kind))
    values = [None if gone else value for value, gone in zip(column.tolist(), absent, strict=True)]
    return polars.Series(name, values, dtype=dtype)


def to_long(wide: Any, *, id_col: str = "unique_id", time_col: str = "ds", target_col: str = "y") -> Any:
    """Return the long frame of a wide one, which has a column for each series.

    Parameters
    ----------
    wide : DataFrame of T rows and S columns, pandas or polars
        Time in the column `time_col`, or in the index (stamps, periods, whole numbers). Never modified.
    id_col, time_col, target_col : str
        What the columns of the long frame are called.

    Returns
    -------
    DataFrame of the same kind
        Id, time, target; series in the order of the columns, rows in the order of time. Missing values before a
        series' first and after its last one are dropped; those in between, and all of a column without any value,
        are kept, so that whatever reads the frame names them (``fill_gaps`` fills the former).

    Raises
    ------
    ArgumentTypeError
        If `wide` is no frame.
    ArgumentError
        If it has no time or no series, two columns of one name, or one that holds no numbers; if it is long already.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=3, freq="D")
    >>> to_long(pd.DataFrame({"tea": [3, 4, 5], "mate": [None, 1.5, 2.0]}, index=days))
      unique_id         ds    y
    0       tea 2024-01-01  3.0
    1       tea 2024-01-02  4.0
    2       tea 2024-01-03  5.0
    3      mate 2024-01-02  1.5
    4      mate 2024-01-03  2.0
    """
    kind = "polars" if _is_polars(wide, "wide") else "pandas"
    frame = _from_polars(wide) if kind == "polars" else wide
    if not isinstance(frame, pd.DataFrame):
        hint = " One series needs no to_long: give it as it is." if isinstance(frame, pd.Series) else ""
        raise ArgumentTypeError(
            f"wide is a {type(wide).__module__}.{type(wide).__qualname__}; expected a DataFrame with a column for each "
            f"series, and the time in its index or in the column {time_col!r}.{hint}"
        )
    _check_wide_names(frame, id_col, time_col, target_col)
    inside, index = time_col in frame.columns, frame.index
    numbered = kind == "pandas" and pd.api.types.is_integer_dtype(index.dtype)
    if not (inside or numbered or _is_timed(index)):
        raise ArgumentError(
            f"wide has no time: no column {time_col!r}, and an index of {index.dtype}; its columns are "
            f"{abbreviate(frame.columns) or 'none'}. Name the column of the time with time_col=, or put it into the "
            f"index: wide.index = pd.to_datetime(wide.index)."
        )
    time = frame[time_col] if inside else index.to_series(name=time_col)
    if isinstance(time.dtype, pd.PeriodDtype):
        time = time.dt.to_timestamp(how="start")
    faults: list[str] = []
    stamps = read_stamps(time, None, faults)
    if faults:
        missing = counted(int(time.isna().sum()), "row")
        in_index = f"wide has no time in {missing}. Drop them: wide = wide[wide.index.notna()]."
        raise ArgumentError(re.sub(r"\bdf\b", "wide", faults[0]) if inside else in_index)
    values = frame.drop(columns=time_col) if inside else frame
    _check_wide_values(values)
    order = stamps.argsort(kind="stable")
    stamps, values = stamps[order], values.iloc[order]
    known = values.notna().to_numpy()
    # Of a column without any value, argmax says 0 from either end: all of its rows.
    first, stop = known.argmax(axis=0), len(known) - known[::-1].argmax(axis=0)
    parts = [values.iloc[first[k] : stop[k], k] for k in range(len(first))]
    data = {
        id_col: values.columns.repeat(stop - first),
        time_col: stamps.take(ragged_rows(first, stop - first)),
        target_col: pd.concat(parts, ignore_index=True),
    }
    return in_kind(pd.DataFrame(data), kind)


def _check_wide_names(wide: pd.DataFrame, id_col: str, time_col: str, target_col: str) -> None:
    names = [name for name in wide.columns if name != time_col]
    both = [*names, *wide.index.names]
    if id_col in both or target_col in both or wide.index.nlevels > 1:
        raise ArgumentError(
            f"wide looks long already: it has {abbreviate([name for name in both if name is not None])}; expected a "
            f"column for each series. Give it as it is; or, if {id_col!r} or {target_col!r} is the name of a series, "
            f"call the new columns otherwise: id_col='id', target_col='value'."
        )
    if wide.columns.nlevels > 1:
        raise ArgumentError(
            f"wide has columns of {wide.columns.nlevels} levels, first {abbreviate(wide.columns[0])}; expected one "
            f"name for each series. Join them: wide.columns = ['_'.join(map(str, name)) for name in wide.columns]."
        )
    twice = wide.columns[wide.columns.duplicated()]
    if len(twice):
        raise ArgumentError(
            f"column {abbreviate(dict.fromkeys(twice))} stands in wide more than once; expected one name for each "
            f"series. Keep the first of each: wide = wide.loc[:, ~wide.columns.duplicated()]."
        )
    if not names or not len(wide):
        raise ArgumentError(
            f"wide has {counted(len(wide), 'row')}, and {abbreviate(names) or 'no column'} beside the time; expected "
            f"rows, and a column for each series."
        )


def _check_wide_values(values: pd.DataFrame) -> None:
    odd = [name for name in values.columns if values[name].dtype.kind not in "iuf"]
    if not odd:
        return
    column, here = values[odd[0]], f"wide[{odd[0]!r}]"
    repair = f"leave out what is no series: wide = wide.drop(columns={odd!r})"
    if column.dtype.kind not in "mM" and pd.to_numeric(column, errors="coerce").notna().equals(column.notna()):
        repair = f"convert it: {here} = pd.to_numeric({here}).astype('float64')"
    raise ArgumentError(
        f"column {abbreviate(odd)} of wide holds no numbers: the first is {column.dtype}, and starts with "
        f"{column.iloc[0]!r}; expected a column of numbers for each series. If it holds the time, say "
        f"time_col={odd[0]!r}; else {repair}."
    )
