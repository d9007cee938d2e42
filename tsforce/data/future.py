"""Known future inputs: read a user's ``future_df`` against the steps that a forecast needs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.convert import as_pandas_long
from tsforce.data.frame import as_stamps
from tsforce.data.panel import FloatArray, Panel
from tsforce.data.read_columns import read_input
from tsforce.data.sorted_rows import counted, place
from tsforce.errors import ArgumentTypeError, FrameError, FutureExogError, abbreviate

__all__ = ["read_future"]


def read_future(panel: Panel, future_df: Any, horizon: int) -> FloatArray:
    """Return the future inputs of the `horizon` steps after each series' last row, (S, H, F), original units.

    Parameters
    ----------
    panel : Panel
        What is forecast from; its columns name the inputs.
    future_df : DataFrame or None
        Long frame with the id and time columns and every future input; rows before or after the wanted steps, other
        series and other columns are not read.
    horizon : int

    Raises
    ------
    FutureExogError
        If there is no frame, or it lacks columns, steps or values: says which, and how many were given.
    FrameError
        If a column cannot be read.
    """
    columns = panel.columns
    wanted = columns.future_exog
    all_columns = abbreviate([columns.id, columns.time, *wanted], limit=12)
    stamps_needed = _wanted_stamps(panel, horizon)
    needed = f"the {counted(horizon, 'step')} after the last row of each series"
    if future_df is None:
        raise FutureExogError(
            f"future_exog={list(wanted)!r} must be known over the horizon, and no future_df was given. Pass "
            f"predict(future_df=df) with the columns {all_columns} and {needed} ({stamps_needed})."
        )
    try:
        future_df, _ = as_pandas_long(future_df, columns.id, columns.time, wanted[0])
    except ArgumentTypeError as error:
        raise ArgumentTypeError(str(error).replace("df is", "future_df is", 1)) from None
    twice_named = [name for name in dict.fromkeys((columns.time, *wanted)) if list(future_df.columns).count(name) > 1]
    if twice_named:
        raise FrameError(
            f"column {abbreviate(twice_named)} stands in future_df more than once. Keep the first of each: future_df = "
            f"future_df.loc[:, ~future_df.columns.duplicated()]."
        )
    missing = [name for name in (columns.time, *wanted) if name not in future_df.columns]
    if columns.id not in future_df.columns and panel.n_series > 1:
        missing.insert(0, columns.id)
    if missing:
        raise FutureExogError(
            f"future_df lacks column {abbreviate(missing)}; it has {abbreviate(future_df.columns, limit=12)}, and "
            f"needs {all_columns} for {needed} ({stamps_needed})."
        )
    faults: list[str] = []
    here = np.zeros(len(future_df), dtype=np.int64)
    if columns.id in future_df.columns:
        here = np.array([panel.position.get(name, -1) for name in future_df[columns.id]], dtype=np.int64)
    stamps = as_stamps(panel, future_df[columns.time], f"future_df[{columns.time!r}]")
    ticks, on_grid = panel.clock.ticks(stamps)
    ahead = np.where(here >= 0, (ticks - panel.ticks(here, panel.lengths[here])) // panel.clock.step, -1)
    exact = on_grid & (panel.ticks(here, panel.lengths[here] + ahead) == ticks)
    use = np.flatnonzero((here >= 0) & (ahead >= 0) & (ahead < horizon) & exact)
    values = np.full((panel.n_series, horizon, len(wanted)), np.nan)
    chosen = future_df.iloc[use]
    twice = pd.Series(here[use] * horizon + ahead[use]).duplicated().to_numpy()
    if twice.any():
        k = int(use[np.flatnonzero(twice)[0]])
        faults.append(
            f"future_df has more than one row for the same series and stamp, first {stamps[k]} in "
            f"{place(k, future_df.index)}. Keep the first of each: future_df = "
            f"future_df.drop_duplicates({[n for n in (columns.id, columns.time) if n in future_df.columns]!r})."
        )
    for number, name in enumerate(wanted):
        column = chosen[name]
        if column.dtype.kind in "iufb":
            values[here[use], ahead[use], number] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        elif len(column):
            read_input(column, faults)
    if faults:
        raise FrameError([re.sub(r"\bdf\b", "future_df", fault) for fault in faults])
    absent = ~np.isfinite(values).all(axis=2)
    if absent.any():
        lacking = [name for number, name in enumerate(wanted) if not np.isfinite(values[:, :, number]).all()]
        series, step = np.nonzero(absent)
        first = panel.clock.stamps(panel.ticks(series[:1], panel.lengths[series[:1]] + step[:1]))[0]
        raise FutureExogError(
            f"future_df gives {int((~absent).sum())} of the {absent.size} rows that are needed: {abbreviate(lacking)} "
            f"must hold finite numbers for {needed} ({stamps_needed}). First missing: {first} of series "
            f"{str(panel.id_list[series[0]])!r}."
        )
    return values


def _wanted_stamps(panel: Panel, horizon: int) -> str:
    """Return which stamps follow the last rows, as a text."""
    ends = panel.ticks(np.arange(panel.n_series), panel.lengths)
    if len(np.unique(ends)) > 1:
        first, last = panel.clock.stamps(np.array([ends.min(), ends.max() + (horizon - 1) * int(panel.clock.step)]))
        return f"from {first} at the earliest to {last} at the latest, by series"
    stamps = panel.clock.stamps(ends[0] + np.arange(horizon) * int(panel.clock.step))
    if horizon <= 4:
        return ", ".join(map(str, stamps))
    return f"{stamps[0]}, {stamps[1]}, ..., {stamps[-1]}"
