"""Frames of other shapes and kinds: to the long pandas frame that is read, back to the user's kind, gaps filled.

Polars is never imported here: what is no polars frame needs none, and whoever hands one over has imported it.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.columns import check_names, no_frame, read_ids, read_stamps, read_target
from tsforce.data.faults import BoolArray, SortedRows, counted, duplicate_faults, target_faults, time_faults
from tsforce.data.frequency import Clock, check_freq, infer_offset, season_length_of
from tsforce.data.panel import Columns, IntArray, ragged_rows
from tsforce.errors import ArgumentError, ArgumentTypeError, FrameError, abbreviate, check_choice

__all__ = ["as_pandas_long", "fill_gaps", "in_kind", "long_first", "to_long"]


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
        Periods are stamps of their start. Dates of polars are datetime64[s], Enums ordered categories, Decimals
        float64. Which columns it has and what they hold is not checked.
    kind : "pandas" or "polars"
        What ``in_kind`` takes.

    Raises
    ------
    ArgumentTypeError
        If `df` is none of these.
    """
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
    if list(df.columns).count(time_col) == 1 and isinstance(df[time_col].dtype, pd.PeriodDtype):
        df = df.assign(**{time_col: df[time_col].dt.to_timestamp(how="start")})
    return df, "pandas"


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
    if kind.is_decimal():
        column = column.cast(polars.Float64)
    elif column.null_count() and (kind.is_integer() or kind == polars.Boolean):
        return pd.array(column.to_list(), dtype="boolean" if kind == polars.Boolean else str(kind))
    if column.dtype.is_numeric() or kind in (polars.Boolean, polars.Duration):
        return column.to_numpy()
    return pd.Series(column.to_list(), dtype=object)


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


def fill_gaps(
    df: Any,
    freq: Any = "infer",
    method: str | float = "interpolate",
    *,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
) -> Any:
    """Return the frame with the rows that are missing between each series' first and last one, with values.

    Rows that are there keep their values, but for a missing target between observed ones, which is filled the same
    way. Nothing is added before a series' first row or after its last, and no number before the first one that its
    column has in the series or after the last.

    Parameters
    ----------
    df : DataFrame or Series
        Whatever ``fit`` takes: long frame of pandas or polars, or time in the index. Never modified.
    freq : str, offset or int
        "infer", a pandas alias or offset, or the step of whole-number stamps.
    method : {"interpolate", "ffill", "seasonal"} or a number
        "interpolate": on the line between the neighbours, in steps (rounded in a column of whole numbers). "ffill":
        the value before. "seasonal": the value one season before, else one after, else two before and so on; where no
        value of the phase is known, "interpolate". A number: that value for the target, "ffill" for other columns.
        Columns that hold no numbers are always filled with the value before.
    id_col, time_col, target_col : str

    Returns
    -------
    DataFrame of the same kind
        Long, sorted by series and time, index from 0; columns and dtypes as in `df`.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If `df`, `freq` or `method` is none of these; if the frequency has no season and `method` is "seasonal".
    FrameError
        If the frame cannot be read, its frequency not be told, or for stamps that are there twice or off the grid.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-05", "2024-01-06"])
    >>> fill_gaps(pd.DataFrame({"ds": days, "y": [1.0, 2.0, 3.0, 5.0, 9.0]})).iloc[2:5]
              ds    y
    2 2024-01-03  3.0
    3 2024-01-04  4.0
    4 2024-01-05  5.0
    """
    _check_method(method)
    frame, kind = as_pandas_long(df, id_col, time_col, target_col)
    # Here, not below: the warning about an old alias counts on being called from the user's call.
    offset = check_freq(freq)
    try:
        rows, clock, ticks = _read(frame, Columns(id_col, time_col, (target_col,)), offset)
    except FrameError as error:
        raise FrameError([*long_first(df, id_col, time_col, target_col), *error.faults]) from None
    season = season_length_of(clock.freq)
    if method == "seasonal" and season == 1:
        raise ArgumentError(
            f"method='seasonal': freq={clock.freq!r} has no season (its length is 1); expected a frequency with one, "
            f"such as 'h', 'D' or 'MS'. Write method='interpolate'."
        )
    _check_number(method, frame[target_col])
    grid, stamps = _Grid.over(rows, clock, ticks)
    # Every row that is added starts as a copy of the one before it, whatever its columns hold.
    filled = frame.iloc[grid.source].reset_index(drop=True)
    for k, name in enumerate(frame.columns):
        if name == time_col:
            filled.isetitem(k, stamps)
        elif name != id_col:
            filled.isetitem(k, grid.fill(filled.iloc[:, k], method, season, is_target=name == target_col))
    return in_kind(filled, kind)


def _check_method(method: Any) -> None:
    if isinstance(method, str):
        check_choice("method", method, ("interpolate", "ffill", "seasonal"))
    elif isinstance(method, (bool, np.bool_)) or not isinstance(method, (int, float, np.integer, np.floating)):
        raise ArgumentTypeError(
            f"method={method!r} is a {type(method).__name__}; expected 'interpolate', 'ffill', 'seasonal' or a number."
        )
    elif not math.isfinite(method):
        raise ArgumentError(f"method={method!r}: expected a finite number, such as method=0, or 'interpolate'.")


def _check_number(method: Any, target: pd.Series) -> None:
    dtype = getattr(target.dtype, "numpy_dtype", target.dtype)
    with np.errstate(invalid="ignore"):
        if isinstance(method, str) or dtype.kind == "f" or np.float64(method).astype(dtype) == method:
            return
    raise ArgumentError(
        f"method={method!r} does not fit column {target.name!r} of {target.dtype}; expected a whole number in its "
        f"range. Write one, or make room for it: df[{target.name!r}] = df[{target.name!r}].astype('float64')."
    )


def _read(frame: pd.DataFrame, columns: Columns, offset: Any) -> tuple[SortedRows, Clock, IntArray]:
    """Return the sorted rows, the clock, and the (N,) ticks of the rows; gaps and missing targets are no faults."""
    id_col, time_col, target_col = columns.id, columns.time, columns.targets[0]
    faults, names = check_names(frame, columns), list(frame.columns)
    sound = [name for name in (id_col, time_col, target_col) if len(frame) and names.count(name) == 1]
    codes, ids = np.zeros(len(frame), dtype=np.int64), pd.Index(["y"])
    if id_col in sound:
        codes, ids = read_ids(frame[id_col], faults)
    stamps: Any = read_stamps(frame[time_col], offset, faults) if time_col in sound else None
    target: Any = read_target(frame[target_col], faults) if target_col in sound else None
    if faults:
        raise FrameError(faults)
    raw = stamps.asi8 if isinstance(stamps, pd.DatetimeIndex) else stamps.to_numpy(np.int64)
    order = np.lexsort((raw, codes)).astype(np.int64)
    codes, raw, stamps = codes[order], raw[order], stamps[order]
    indptr = np.searchsorted(codes, np.arange(len(ids) + 1)).astype(np.int64)
    rows = SortedRows(columns, id_col in names, ids, codes, indptr, stamps, raw, order, frame.index)
    _, infinite, _ = target_faults(rows, target[order])
    offset, told_by = _told(rows) if offset is None else (offset, "")
    if offset is None:
        raise FrameError([*infinite, *duplicate_faults(rows), told_by])
    clock = Clock.for_stamps(stamps, offset)
    ticks, on_grid = clock.ticks(stamps)
    # Gaps are what is to be filled, not what is to be reported: closed up, only duplicates and stamps off the grid
    # are left to find.
    step = np.diff(ticks)
    wide = rows.same & (step > clock.step)
    closed = np.cumsum(np.concatenate([ticks[:1], np.where(wide, (step - 1) % clock.step + 1, step)]))
    faults = [*infinite, *time_faults(rows, clock, closed, on_grid, told_by)]
    if faults:
        raise FrameError(faults)
    return rows, clock, ticks


def _told(rows: SortedRows) -> tuple[Any, str]:
    """Return the frequency of the longest series, as the reader tells it, and by what; or None and what is unclear."""
    name = rows.columns.time
    if not isinstance(rows.stamps, pd.DatetimeIndex):
        wider = int(np.gcd.reduce(np.diff(rows.raw)[rows.same]))
        return (1 if wider <= 1 else None), (
            f"the step of {name!r} cannot be told: all stamps are multiples of {wider} apart. Say freq={wider} if that "
            f"is the step, or freq=1 if there is to be a row for every whole number."
        ) * (wider > 1)
    longest = int(np.argmax(np.diff(rows.indptr)))
    stamps = rows.stamps[rows.indptr[longest] : rows.indptr[longest + 1]]
    offset, series = infer_offset(stamps), f"series {str(rows.ids[longest])!r}, the one with most rows"
    if offset is not None:
        return offset, f" (told by {series}; say another with freq=)"
    shown = ", ".join(map(str, stamps[:4])) + ", ..." * (len(stamps) > 4)
    return None, (
        f"the frequency of {name!r} cannot be told from {series} ({len(stamps)}): {shown}. Say it with freq=, such as "
        f"freq='h', 'D', 'W-SUN' or 'MS'."
    )


@dataclass(frozen=True, eq=False)
class _Grid:
    """The rows of the filled frame, M of them, one after another without gaps in each series.

    Attributes
    ----------
    source : (M,) int64
        Row of the user's frame; of a row that is added, the one before it.
    here : (M,) bool
        Whether the row was there.
    first, stop : (M,) int64
        Where the rows of its series begin and end.
    """

    source: IntArray
    here: BoolArray
    first: IntArray
    stop: IntArray

    @staticmethod
    def over(rows: SortedRows, clock: Clock, ticks: IntArray) -> tuple[_Grid, pd.Series]:
        """Return the grid and its stamps."""
        start, end = ticks[rows.indptr[:-1]], ticks[rows.indptr[1:] - 1]
        counts = (end - start) // clock.step + 1
        begin = np.cumsum(counts) - counts
        here = np.zeros(counts.sum(), dtype=bool)
        here[begin[rows.codes] + (ticks - start[rows.codes]) // clock.step] = True
        flat = np.cumsum(here) - 1
        first = np.repeat(begin, counts)
        grid = _Grid(flat if rows.order is None else rows.order[flat], here, first, first + np.repeat(counts, counts))
        within = np.arange(len(here)) - first
        return grid, pd.Series(clock.stamps(np.repeat(start, counts) + clock.step * within))

    def fill(self, column: pd.Series, method: Any, season: int, *, is_target: bool) -> pd.Series:
        """Return a column of length M, whose added rows are copies of the row before, with values in them.

        Of the target, missing values of rows that were there are filled too.
        """
        copied, numeric = np.arange(len(column)), column.dtype.kind in "iuf"
        absent = column.isna().to_numpy()
        values = column.astype("float64").to_numpy() if numeric else np.empty(0)
        known = self.here & (np.isfinite(values) if numeric else ~absent)
        left = np.maximum.accumulate(np.where(known, copied, -1))
        right = np.minimum.accumulate(np.where(known, copied, len(known))[::-1])[::-1]
        inside = (left >= self.first) & ((right < self.stop) | (not numeric))
        rows = np.flatnonzero(inside & (~self.here | (absent & is_target)))
        ends = np.flatnonzero(~inside & ~self.here)
        by_number = numeric and is_target and not isinstance(method, str)
        if method == "seasonal" and numeric:
            copied[rows], rows = self._other_seasons(rows, known, season)
        elif not (by_number or (method == "interpolate" and numeric)):
            copied[rows], rows = left[rows], rows[:0]
        if not by_number and len(rows):
            # Equal neighbours are copied: whole numbers beyond 2**53 are no float64.
            same = values[left[rows]] == values[right[rows]]
            copied[rows[same]], rows = left[rows[same]], rows[~same]
        filled = column.take(copied).reset_index(drop=True)
        if len(rows):
            before, after = left[rows], right[rows]
            slope = (values[after] - values[before]) / (after - before)
            new = np.full(len(rows), float(method)) if by_number else values[before] + slope * (rows - before)
            new = new if filled.dtype.kind == "f" else np.rint(new)
            filled.iloc[rows] = pd.Series(new).astype(filled.dtype).array
        if numeric and len(ends):
            # The first and the last row of a series are there: where no value is known on one side, one of them is
            # missing or infinite, so that the dtype has a missing value.
            filled.iloc[ends] = np.nan if isinstance(filled.dtype, np.dtype) else pd.NA
        return filled

    def _other_seasons(self, rows: IntArray, known: BoolArray, season: int) -> tuple[IntArray, IntArray]:
        """Return the row to copy for each of some rows (itself if there is none), and those that have none."""
        copied, todo = rows.copy(), np.arange(len(rows))
        for away in range(season, int((self.stop - self.first).max()), season):
            for shift in (-away, away):
                at = rows[todo] + shift
                found = (at >= self.first[rows[todo]]) & (at < self.stop[rows[todo]])
                found[found] = known[at[found]]
                copied[todo[found]] = at[found]
                todo = todo[~found]
        return copied, rows[todo]
