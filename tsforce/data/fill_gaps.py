"""fill_gaps: the missing rows of a long frame, with values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.convert import as_pandas_long, in_kind, long_first
from tsforce.data.frequency import Clock, check_freq, infer_offset, season_length_of, spelt
from tsforce.data.gaps_and_duplicates import duplicate_faults, target_faults, time_faults
from tsforce.data.panel import Columns, IntArray
from tsforce.data.read_columns import check_names, read_ids, read_stamps, read_target
from tsforce.data.sorted_rows import BoolArray, SortedRows
from tsforce.errors import ArgumentError, ArgumentTypeError, FrameError, check_choice

__all__ = ["fill_gaps"]


def fill_gaps(
    df: Any,
    freq: Any = "infer",
    method: str | float = "interpolate",
    *,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
    max_added: int = 10_000_000,
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
    max_added : int
        Most rows that may be added: a single stamp of 1970 asks for millions.

    Returns
    -------
    DataFrame of the same kind
        Long, sorted by series and time, index from 0; columns and dtypes as in `df`.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If `df`, `freq` or `method` is none of these; if the frequency has no season and `method` is "seasonal"; if more
        rows than `max_added` are missing.
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
            f"method='seasonal': freq={spelt(clock.freq)} has no season (its length is 1); expected a frequency with "
            f"one, such as 'h', 'D' or 'MS'. Write method='interpolate'."
        )
    _check_number(method, frame[target_col])
    _check_size(rows, clock, ticks, max_added)
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


def _check_size(rows: SortedRows, clock: Clock, ticks: IntArray, max_added: int) -> None:
    """Raise if more rows are missing than may be added."""
    gaps = np.where(rows.same, np.diff(ticks) // clock.step - 1, 0)
    # In floating point no sum runs over.
    missing = float(gaps.astype(np.float64).sum())
    if missing <= max_added:
        return
    k = int(np.argmax(gaps))
    raise ArgumentError(
        f"fill_gaps would add {missing:,.0f} rows at freq={spelt(clock.freq)}, more than max_added={max_added:,}; the "
        f"widest gap is {gaps[k]:,} rows of series {str(rows.ids[rows.codes[k]])!r}, from {rows.stamps[k]} to "
        f"{rows.stamps[k + 1]}. Correct or drop a stamp that is far from the others, or say a coarser freq=; or, if "
        f"all of them are wanted, max_added={missing:.0f}."
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
    _, infinite, _ = target_faults(rows, target[order, None])
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
