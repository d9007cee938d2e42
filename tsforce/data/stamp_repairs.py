"""What to type about stamps that do not fit together: another frequency, the grid's own stamps, or a time zone.

Every repair was tried on the stamps before a message names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from tsforce.data.column_repairs import succeeds
from tsforce.data.frequency import Clock, infer_offset, spelt
from tsforce.data.sorted_rows import BoolArray, SortedRows

__all__ = ["grid_repair", "local_repair", "steps_of"]

# One for each rule by which clocks are changed.
_ZONES = ("Europe/Berlin", "Europe/London", "America/New_York", "Australia/Sydney", "America/Santiago")


def steps_of(rows: SortedRows) -> int:
    """Return the largest step that all whole-number stamps are multiples of, within each series."""
    return int(np.gcd.reduce(np.diff(rows.raw)[rows.same]))


def grid_repair(rows: SortedRows, clock: Any, off: BoolArray, *, given: bool) -> str:
    """Return what to do about rows `off` the grid of a frequency, (N,) bool, that was `given` or else told."""
    if isinstance(clock.freq, int):
        return f"All stamps are multiples of {steps_of(rows)} apart: say freq={steps_of(rows)}"
    other = _own_frequency(rows) if given else None
    if other is not None:
        return f"The stamps have another frequency: say freq={other}"
    time = rows.columns.time
    moved = _on_grid(rows, clock, off)
    if moved is not None:
        return (
            f"Move each to its place on the grid: df = df.drop(columns={time!r}).set_index(df[{time!r}]{moved})"
            f".reset_index()"
        )
    if not isinstance(clock.freq, str):
        return "Leave them out, or say the frequency that they have"
    keys = f"pd.Grouper(key={time!r}, freq={spelt(clock.freq)})"
    keys = f"[{rows.columns.id!r}, {keys}]" if rows.has_ids else keys
    mean = "lambda s: s.mean() if pd.api.types.is_numeric_dtype(s) else next(iter(s), None)"
    return (
        f"Fit series of another frequency apart, or bring all to one, the means of numbers and the first of whatever "
        f"else: df = df.groupby({keys}, observed=True, sort=False).agg({mean}).reset_index()"
    )


def _own_frequency(rows: SortedRows) -> str | None:
    """Return the frequency of the longest series if all rows lie on its grid, and at most half of any other's miss."""
    longest = int(np.argmax(np.diff(rows.indptr)))
    offset = infer_offset(rows.stamps[rows.indptr[longest] : rows.indptr[longest + 1]])
    if offset is None:
        return None
    clock = Clock.for_stamps(rows.stamps, offset)
    ticks, on_grid = clock.ticks(rows.stamps)
    whole = (np.diff(ticks) % clock.step == 0) | ~rows.same
    lengths = np.diff(rows.indptr)
    span = (ticks[rows.indptr[1:] - 1] - ticks[rows.indptr[:-1]]) // clock.step + 1
    return spelt(clock.freq) if on_grid.all() and whole.all() and (span <= 2 * lengths).all() else None


def _on_grid(rows: SortedRows, clock: Any, off: BoolArray) -> str | None:
    """Return the method that moves the stamps that are off the grid onto it, no other one, and no two to one place."""
    if not isinstance(clock.freq, str):
        return None
    alias = clock.freq
    ways: dict[str, Callable[[Any], Any]] = {
        f".dt.floor({alias!r})": lambda s: s.dt.floor(alias),
        f".dt.round({alias!r})": lambda s: s.dt.round(alias),
        f".dt.normalize().map(pd.tseries.frequencies.to_offset({alias!r}).rollback)": lambda s: s.dt.normalize().map(
            to_offset(alias).rollback
        ),
        f".dt.normalize().map(pd.tseries.frequencies.to_offset({alias!r}).rollforward)": lambda s: s.dt.normalize().map(
            to_offset(alias).rollforward
        ),
    }
    stamps = pd.Series(rows.stamps)
    for way, move in ways.items():
        if not succeeds(move, stamps):
            continue
        moved = pd.DatetimeIndex(move(stamps))
        ticks, on_grid = clock.ticks(moved)
        apart = np.diff(ticks)
        forwards = ((apart > 0) & (apart % clock.step == 0)) | ~rows.same
        if (moved[~off] == rows.stamps[~off]).all() and on_grid.all() and forwards.all():
            return way
    return None


def local_repair(rows: SortedRows, clock: Any) -> str:
    """Return the fault of local times without a zone across a change of the clock, and its repair; else nothing.

    Spring leaves an hour out, which is no gap, and autumn has one twice: in the right zone rows follow one another.
    """
    stamps = rows.stamps
    if not isinstance(stamps, pd.DatetimeIndex) or stamps.tz is not None or clock.offset is not None:
        return ""
    wrong = _uneven(rows, rows.raw, clock.step)
    if not len(wrong) or clock.step * pd.Timedelta(1, unit=stamps.unit) > pd.Timedelta(hours=1):
        return ""
    # In the order of the user's frame: sorted, the rows of a doubled hour are mixed.
    order = np.arange(len(stamps)) if rows.order is None else rows.order
    frame = pd.DataFrame({"code": rows.codes, "stamp": stamps}).set_axis(order).sort_index()
    time = rows.columns.time
    for zone in _ZONES:
        for ambiguous in ("infer", True):

            def localized(frame: Any, zone: str = zone, ambiguous: Any = ambiguous) -> Any:
                given = {"ambiguous": ambiguous if ambiguous == "infer" else np.ones(len(frame), dtype=bool)}
                if not rows.has_ids:
                    return frame["stamp"].dt.tz_localize(zone, **given)
                return frame.groupby("code")["stamp"].transform(lambda s: s.dt.tz_localize(zone, ambiguous=ambiguous))

            if not succeeds(localized, frame):
                continue
            raw = pd.DatetimeIndex(localized(frame).loc[order]).asi8
            left = _uneven(rows, raw[np.lexsort((raw, rows.codes))], clock.step)
            # Where autumn's hour stands once, rows are missing there indeed.
            if len(left) and (ambiguous == "infer" or len(np.intersect1d(left, wrong))):
                continue
            k, row = rows.first(wrong)
            here = f"df[{time!r}]" if not rows.has_ids else f"df.groupby({rows.columns.id!r}, observed=True)[{time!r}]"
            call = f"dt.tz_localize({zone!r}, ambiguous={ambiguous!r})"
            call = f".{call}" if not rows.has_ids else f".transform(lambda s: s.{call})"
            return (
                f"{rows.found(wrong, 'time stamp')} of {time!r} an hour too early or too late, first {stamps[k]} in "
                f"{row}, as in local time where the clock is changed: nothing is missing and nothing there twice. Say "
                f"the zone, {zone!r} or whichever it is: df[{time!r}] = {here}{call}."
            )
    return ""


def _uneven(rows: SortedRows, raw: Any, step: int) -> Any:
    """Return the rows that are not one step after the row before them."""
    return np.flatnonzero(rows.same & (np.diff(raw) != step)) + 1
