"""Archived forecasts of inputs: what was known of the future, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.convert import as_pandas_long
from tsforce.data.frame import as_stamps, stamps_at
from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex, ragged_rows
from tsforce.data.sorted_rows import place
from tsforce.errors import ArgumentError, ArgumentTypeError, FrameError, FutureExogError, abbreviate

__all__ = ["read_vintages"]


def read_vintages(panel: Panel, vintages: Any, index: WindowIndex, horizon: int) -> FloatArray:
    """Return the future inputs of the steps after each cutoff as they were known there, (W, H, F), original units.

    Parameters
    ----------
    panel : Panel
        Its columns name the inputs.
    vintages : DataFrame
        Long frame with the id and time columns, ``vintage`` and every future input: the stamp at which a row was
        issued, on the clock of the panel's stamps. For each window the latest vintage of its series at or before the
        cutoff is read, and no other.
    index : WindowIndex, W windows
    horizon : int

    Raises
    ------
    ArgumentError
        If the panel has no future input.
    FutureExogError
        If there is no vintage at or before a cutoff, or it lacks a step or a column.
    FrameError
        If a series has two rows of one stamp and vintage, or a column holds no numbers.
    """
    columns = panel.columns
    wanted = columns.future_exog
    if not wanted:
        raise ArgumentError(
            "future_vintages is given, and no model has future_exog; name its columns, or leave it out."
        )
    try:
        frame, _ = as_pandas_long(vintages, columns.id, columns.time, wanted[0])
    except ArgumentTypeError as error:
        raise ArgumentTypeError(str(error).replace("df is", "future_vintages is", 1)) from None
    missing = [name for name in (columns.time, "vintage", *wanted) if name not in frame.columns]
    if columns.id not in frame.columns and panel.n_series > 1:
        missing.insert(0, columns.id)
    if missing:
        raise FutureExogError(
            f"future_vintages lacks column {abbreviate(missing)}; it has {abbreviate(frame.columns, limit=12)}, and "
            f"needs {abbreviate([columns.id, columns.time, 'vintage', *wanted], limit=12)}: a row for each stamp and "
            f"each time at which a forecast of its inputs was issued."
        )
    here = np.zeros(len(frame), dtype=np.int64)
    if columns.id in frame.columns:
        here = np.array([panel.position.get(name, -1) for name in frame[columns.id]], dtype=np.int64)
    ticks, on_grid = panel.clock.ticks(as_stamps(panel, frame[columns.time], f"future_vintages[{columns.time!r}]"))
    issued = _whole(as_stamps(panel, frame["vintage"], "future_vintages['vintage']"))
    cutoffs = _whole(stamps_at(panel, index))
    window, row = _latest(panel, index, cutoffs, here, issued)
    values = np.full((len(index), horizon, len(wanted)), np.nan)
    step = (ticks[row] - panel.ticks(index.series, index.rows)[window]) // int(panel.clock.step) - 1
    exact = on_grid[row] & (panel.ticks(index.series[window], index.rows[window] + step + 1) == ticks[row])
    use = exact & (step >= 0) & (step < horizon)
    window, row, step = window[use], row[use], step[use]
    twice = pd.Series(window * horizon + step).duplicated().to_numpy()
    if twice.any():
        k = int(row[np.flatnonzero(twice)[0]])
        raise FrameError(
            f"future_vintages has more than one row for the same series, stamp and vintage, first in "
            f"{place(k, frame.index)}. Keep the last of each: future_vintages = future_vintages.drop_duplicates("
            f"{[n for n in (columns.id, columns.time, 'vintage') if n in frame.columns]!r}, keep='last')."
        )
    for number, name in enumerate(wanted):
        column = frame[name]
        if column.dtype.kind not in "iufb":
            raise FrameError(
                f"future_vintages[{name!r}] holds {column.dtype}; an input is a column of numbers: "
                f"future_vintages[{name!r}] = future_vintages[{name!r}].astype(float)."
            )
        values[window, step, number] = column.iloc[row].to_numpy(dtype=np.float64, na_value=np.nan)
    absent = ~np.isfinite(values)
    if absent.any():
        w, h, f = (int(found[0]) for found in np.nonzero(absent))
        stamp = panel.clock.stamps(panel.ticks(index.series[w : w + 1], index.rows[w : w + 1] + h + 1))[0]
        raise FutureExogError(
            f"future_vintages: the latest vintage at or before the cutoff {stamps_at(panel, index)[w]} of series "
            f"{str(panel.id_list[index.series[w]])!r} has no finite number of {wanted[f]!r} at {stamp}; each must hold "
            f"the {horizon} steps after the cutoffs it is used for ({int(absent.any(axis=(1, 2)).sum())} of "
            f"{len(index)} windows lack some)."
        )
    return values


def _whole(stamps: Any) -> IntArray:
    """Return stamps as whole numbers that compare as they do."""
    found: IntArray = stamps.asi8 if isinstance(stamps, pd.DatetimeIndex) else stamps.to_numpy(np.int64)
    return found


def _latest(
    panel: Panel, index: WindowIndex, cutoffs: IntArray, here: IntArray, issued: IntArray
) -> tuple[IntArray, IntArray]:
    """Return pairs of a window and a row of the vintage that it reads, as two arrays."""
    order = np.lexsort((issued, here)).astype(np.int64)
    owner, sorted_issued = here[order], issued[order]
    begin, end = np.zeros(len(index), dtype=np.int64), np.zeros(len(index), dtype=np.int64)
    for i in np.unique(index.series):
        first, last = np.searchsorted(owner, i), np.searchsorted(owner, i, side="right")
        own, windows = sorted_issued[first:last], np.flatnonzero(index.series == i)
        stop = np.searchsorted(own, cutoffs[windows], side="right")
        if (stop == 0).any():
            w = int(windows[np.flatnonzero(stop == 0)[0]])
            raise FutureExogError(
                f"future_vintages has no vintage at or before the cutoff {stamps_at(panel, index)[w]} of series "
                f"{str(panel.id_list[i])!r}; give earlier ones, or look at fewer windows (n_windows=, cutoffs=)."
            )
        begin[windows], end[windows] = first + np.searchsorted(own, own[stop - 1]), first + stop
    return np.repeat(np.arange(len(index), dtype=np.int64), end - begin), order[ragged_rows(begin, end - begin)]
