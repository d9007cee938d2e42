"""Faults between the rows of a long frame: what is wrong, where in the user's frame, and what to type to repair it.

Every repair is a statement that replaces ``df`` or one of its columns and stands at the end of the fault. Typed in the
order of the report, the repairs lead to a frame that is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.frequency import spelt
from tsforce.data.panel import IntArray
from tsforce.data.sorted_rows import BoolArray, SortedRows, counted
from tsforce.data.stamp_repairs import grid_repair, local_repair, steps_of

__all__ = ["duplicate_faults", "input_faults", "target_faults", "time_faults"]


def time_faults(rows: SortedRows, clock: Any, ticks: IntArray, on_grid: BoolArray, told_by: str) -> list[str]:
    """Return the faults of the time column: duplicates, stamps off the frequency's grid, gaps.

    Parameters
    ----------
    rows : SortedRows
    clock : Clock
    ticks : (N,) int64
    on_grid : (N,) bool
        Whether the stamp is that of its tick.
    told_by : str
        Where the frequency comes from, to be put behind it; empty if the user gave it.
    """
    step = np.diff(ticks)
    if on_grid.all() and bool(np.all((step == clock.step) | ~rows.same)):
        return []
    local = local_repair(rows, clock)
    if local:
        return [local]
    faults = duplicate_faults(rows)
    off = _off_grid(rows, clock, ticks, on_grid)
    flat = np.flatnonzero(off)
    if len(flat):
        k, row = rows.first(flat)
        faults.append(
            f"{rows.found(flat, 'time stamp')} off the grid of freq={spelt(clock.freq)}{told_by}, first "
            f"{rows.stamps[k]} in {row}. {grid_repair(rows, clock, off, given=not told_by)}."
        )
    # What lies off the grid is neither a gap nor the end of one.
    sound = np.bincount(rows.codes[flat], minlength=len(rows.ids)) == 0
    gaps = np.flatnonzero(rows.same & (step > clock.step) & sound[rows.codes[1:]]) + 1
    if len(gaps):
        k, row = rows.first(gaps)
        missing = int((step[gaps - 1] // clock.step - 1).sum())
        stamp = clock.stamps(ticks[k - 1 : k] + clock.step)[0]
        faults.append(
            f"{rows.found(gaps, 'missing time stamp', missing)} at freq={spelt(clock.freq)}{told_by}, first {stamp} "
            f"before {row}. {_gap_repair(rows, clock)}."
        )
    return faults


def duplicate_faults(rows: SortedRows) -> list[str]:
    """Return the fault of stamps that a series has more than once, if it has."""
    twice = np.flatnonzero(rows.same & (rows.raw[1:] == rows.raw[:-1])) + 1
    if not len(twice):
        return []
    k, row = rows.first(twice)
    columns = rows.columns
    keys = [columns.id, columns.time]
    hint = ""
    if not rows.has_ids:
        keys = [columns.time]
        hint = f" There is no column {columns.id!r}, so this is one series; name a column of series ids with id_col=."
    return [
        f"{rows.found(twice, 'duplicate time stamp')}, first {rows.stamps[k]} in {row}.{hint} Sum up "
        f"or average rows that belong together, or keep the first of each: df = df.drop_duplicates({keys!r})."
    ]


def _off_grid(rows: SortedRows, clock: Any, ticks: IntArray, on_grid: BoolArray) -> BoolArray:
    """Return which rows are no whole number of steps away from most rows of their series, (N,) bool."""
    off = ~on_grid
    if clock.step == 1:
        return off
    phase = np.where(on_grid, (ticks - ticks[rows.indptr[rows.codes]]) % clock.step, -1)
    pairs, votes = np.unique(np.stack([rows.codes, phase]), axis=1, return_counts=True)
    ranked = np.lexsort((-votes, pairs[0]))
    best = pairs[1, ranked[np.searchsorted(pairs[0, ranked], np.arange(len(rows.ids)))]]
    return np.asarray(off | (phase != best[rows.codes]))


def _gap_repair(rows: SortedRows, clock: Any) -> str:
    hint, names = "", ""
    if isinstance(clock.freq, int) and steps_of(rows) > clock.step:
        wider = steps_of(rows)
        hint = f"All stamps are multiples of {wider} apart: if that is the step, say freq={wider}. "
    columns = rows.columns
    for argument, name, default in (
        ("id_col", columns.id, "unique_id"),
        ("time_col", columns.time, "ds"),
        ("target_col", columns.targets[0], "y"),
    ):
        names += "" if name == default else f", {argument}={name!r}"
    return f"{hint}Add the rows with values: df = tsforce.fill_gaps(df, freq={spelt(clock.freq)}{names})"


def target_faults(
    rows: SortedRows, target: npt.NDArray[np.float64], *, missing_allowed: bool = False
) -> tuple[IntArray, list[str], list[str]]:
    """Return how many leading rows of each series are to be trimmed, and the faults of the targets, (N, C).

    Faults are infinite values, and missing ones that are not leading (if `missing_allowed`: those after the last
    observed one). A row counts from where every target has begun.
    """
    leading, infinite, faults = _faults_of(rows, target[:, 0], missing_allowed)
    for number, name in enumerate(rows.columns.targets[1:], 1):
        # Each target by itself, as if there were no other.
        own = replace(rows, columns=replace(rows.columns, targets=(name,)))
        begun, wrong, missing = _faults_of(own, target[:, number], missing_allowed)
        leading, infinite, faults = np.maximum(leading, begun), infinite + wrong, faults + missing
    return leading, infinite, faults


def _faults_of(
    rows: SortedRows, target: npt.NDArray[np.float64], missing_allowed: bool
) -> tuple[IntArray, list[str], list[str]]:
    """Return the leading NaN of each series, and the faults of the one target that ``rows.columns`` names."""
    lengths = np.diff(rows.indptr)
    leading = np.zeros(len(lengths), dtype=np.int64)
    if np.isfinite(target).all():
        return leading, [], []
    name, codes = rows.columns.targets[0], rows.codes
    infinite, faults = [], []
    inside = "s.interpolate(limit_area='inside')"
    flat = np.flatnonzero(np.isinf(target))
    if len(flat):
        _, row = rows.first(flat)
        filled = "s.replace([float('inf'), float('-inf')], float('nan')).interpolate().where(s.notna())"
        infinite.append(
            f"{rows.found(flat, 'infinite value')} in {name!r}, first in {row}. Put values between their neighbours in "
            f"their place: {rows.transformed(filled)}."
        )
    present = ~np.isnan(target)
    within = np.arange(len(target)) - rows.indptr[codes]
    first, last = np.full(len(lengths), len(target)), np.full(len(lengths), -1)
    np.minimum.at(first, codes[present], within[present])
    np.maximum.at(last, codes[present], within[present])
    known = last[codes] >= 0
    flat = np.flatnonzero(~known)
    if len(flat):
        _, row = rows.first(flat)
        faults.append(
            f"{rows.found(flat, 'row')} without any value in {name!r}, first in {row}. "
            f"{_empty_repair(rows, bool(known.any()))}."
        )
    flat = np.flatnonzero(~present & known & (within > first[codes]) & (within < last[codes]))
    if len(flat) and not missing_allowed:
        _, row = rows.first(flat)
        faults.append(
            f"{rows.found(flat, 'missing value')} (NaN) in {name!r} between observed ones, first in "
            f"{row}. NARXForecaster(missing='own_output') takes them as they are; others want them filled: "
            f"{rows.transformed(inside)}."
        )
    flat = np.flatnonzero(~present & known & (within > last[codes]))
    if len(flat):
        _, row = rows.first(flat)
        faults.append(
            f"{rows.found(flat, 'missing value')} (NaN) in {name!r} after the last observed one, "
            f"first in {row}. Rows of the future do not belong in this frame (inputs that are known in advance go to "
            f"`predict(future_df=...)`). Drop them: {_end_repair(rows)}."
        )
    return np.where(last < 0, leading, first), infinite, faults


def _end_repair(rows: SortedRows) -> str:
    """Return what drops the rows after each series' last value, and no other row."""
    name = rows.columns.targets[0]
    sort = "" if rows.order is None else f"df = df.sort_values({rows.columns.time!r}, ignore_index=True); "
    later = f"df.groupby({rows.columns.id!r}, observed=True)[{name!r}]" if rows.has_ids else f"df[{name!r}]"
    return f"{sort}df = df[{later}.bfill().notna()]"


def input_faults(
    rows: SortedRows, inputs: npt.NDArray[np.float64], names: Sequence[str], leading: IntArray
) -> list[str]:
    """Return the faults of inputs, (N, E): what is missing or infinite after the `leading` rows that are trimmed."""
    within = np.arange(len(inputs)) - rows.indptr[rows.codes]
    kept = within >= leading[rows.codes]
    faults = []
    for name, values in zip(names, inputs.T, strict=True):
        good = np.isfinite(values)
        flat = np.flatnonzero(kept & ~good)
        if not len(flat):
            continue
        own = replace(rows, columns=replace(rows.columns, targets=(name,)))
        empty = np.bincount(rows.codes[good], minlength=len(rows.ids)) == 0
        none = flat[empty[rows.codes[flat]]]
        if len(none):
            faults.append(
                f"input column {name!r} has no value at all in {rows.found(none, 'row')}, first in "
                f"{rows.first(none)[1]}. Give it values there, or fit without these series or without {name!r}."
            )
        flat = flat[~empty[rows.codes[flat]]]
        if len(flat):
            # Truth values have nothing between them.
            filled = "s.replace([float('inf'), float('-inf')], float('nan')).interpolate(limit_direction='both')"
            if np.isin(values[~np.isnan(values)], (0, 1)).all():
                filled = "s.ffill().bfill()"
            faults.append(
                f"input column {name!r} is missing or infinite in {counted(len(flat), 'row')}, first in "
                f"{rows.first(flat)[1]}. Fill them, for example from their neighbours: {own.transformed(filled)}."
            )
    return faults


def _empty_repair(rows: SortedRows, others: bool) -> str:
    name = rows.columns.targets[0]
    if not others:
        return "Name the column that holds the target with target_col="
    some = f"lambda s: s[{name!r}].notna().any()"
    return f"Drop these series: df = df.groupby({rows.columns.id!r}, observed=True).filter({some})"
