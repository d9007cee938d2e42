"""Forecasts that are fed some observed targets on the way: anything between one step ahead and closed loop.

An observed target that comes in is a new cutoff: the forecaster goes on from there with the rows that it was fed,
observed where the truth came in and its own outputs elsewhere. Nothing is asked of it but forecasts after a cutoff, so
that any forecaster will do; with every truth this is one step ahead, with none closed loop, both exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tsforce.data.frame import stamps_at
from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex
from tsforce.dynamics.draws import key_of, uniform
from tsforce.errors import ArgumentError

__all__ = ["check_ratio", "draw_truths", "forced_forecasts"]

BoolArray = npt.NDArray[np.bool_]
# Closed-loop forecasts (windows, H, C) of a panel after some cutoffs.
Forecast = Callable[[Panel, WindowIndex, int], FloatArray]

# Rows of history at once.
_CHUNK_ROWS = 4_000_000


def check_ratio(value: Any) -> float:
    """Return a forcing ratio.

    Raises
    ------
    ArgumentError
        If it is no number from 0 to 1.
    """
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
    if not number or not 0 <= value <= 1:
        raise ArgumentError(
            f"forcing_ratio={value!r}: expected a share of observed targets from 0 (closed loop) to 1 (one step ahead)."
        )
    return float(value)


def draw_truths(panel: Panel, index: WindowIndex, horizon: int, ratio: float, random_state: int) -> BoolArray:
    """Return the steps of each window after which the observed target is fed back, (W, H); none where one is missing.

    Notes
    -----
    A draw depends on `random_state`, the series' id, the cutoff's stamp and the step, not on what else is in the panel;
    a larger ratio adds truths to those of a smaller one.
    """
    names = (panel.id_list[i] for i in index.series)
    keys = [key_of(random_state, name, str(stamp)) for name, stamp in zip(names, stamps_at(panel, index), strict=True)]
    drawn = uniform(torch.tensor(keys, dtype=torch.int64), (), horizon).numpy() < ratio
    ahead = index.rows[:, None] + np.arange(1, horizon + 1)
    inside = ahead < panel.lengths[index.series][:, None]
    place = np.minimum(panel.indptr[index.series][:, None] + ahead, len(panel.values) - 1)
    chosen: BoolArray = drawn & inside & np.isfinite(panel.values[place]).all(axis=2)
    return chosen


def forced_forecasts(
    forecast: Forecast, panel: Panel, index: WindowIndex, truths: BoolArray, *, copies: bool
) -> FloatArray:
    """Return the forecasts of each step from the rows that were fed before it, (W, H, C), original units.

    Parameters
    ----------
    forecast : callable
        Of a panel, windows of it and a number of steps; blind after each window's cutoff.
    panel : Panel
        Rows of the target after a cutoff are read where `truths` says so; past inputs as far as the last such row.
    index : WindowIndex, W windows
    truths : (W, H) bool
        After which steps the observed target is fed back, from `draw_truths`. The last one is never read.
    copies : bool
        Whether `forecast` takes a panel that holds a series more than once; else each call holds one window of each.

    Notes
    -----
    As many rounds as a window has runs of own outputs that a truth ends, at most half of H; two calls of `forecast` in
    each. A window that fed back a value that is not finite has no later forecast: NaN.
    """
    yhat = np.full((*truths.shape, panel.n_channels), np.nan)
    for now in _parts(index, copies):
        part = WindowIndex(index.series[now], index.rows[now])
        yhat[now] = _rounds(forecast, panel, part, truths[now])
    return yhat


def _parts(index: WindowIndex, copies: bool) -> Iterator[IntArray]:
    """Yield the windows that are forecast side by side."""
    nth = np.zeros_like(index.series) if copies else np.arange(len(index)) - np.searchsorted(index.series, index.series)
    chunk = np.cumsum(index.rows + 1) // _CHUNK_ROWS
    for pair in np.unique(np.stack([nth, chunk]), axis=1).T:
        yield np.flatnonzero((nth == pair[0]) & (chunk == pair[1]))


def _rounds(forecast: Forecast, panel: Panel, index: WindowIndex, truths: BoolArray) -> FloatArray:
    horizon = truths.shape[1]
    last = np.minimum(index.rows + horizon, panel.lengths[index.series] - 1)
    fed = panel.windows(WindowIndex(index.series, last))
    fed = replace(fed, values=fed.values.copy(), filled=np.empty((0, 0)))
    start = fed.indptr[:-1] + index.rows
    place = start[:, None] + np.arange(1, horizon + 1)
    inside = place < fed.indptr[1:, None]
    own = inside & ~truths
    # What does not come in is not there to be read, by mistake or by rounding.
    fed.values[place[own]] = 0.0
    came_in = np.concatenate([np.ones((len(index), 1), dtype=bool), truths[:, :-1]], axis=1)
    origin = np.maximum.accumulate(np.where(came_in, np.arange(horizon), 0), axis=1)
    # A forecast waits for the own outputs before its origin: run by run of these.
    begins = np.diff(own.astype(np.int8), axis=1, prepend=0) > 0
    runs = np.concatenate([np.zeros((len(index), 1), dtype=np.int64), begins.cumsum(axis=1)], axis=1)
    turn = np.take_along_axis(runs, origin, axis=1)
    alone = np.diff(origin, axis=1, append=horizon) > 0
    alone &= came_in
    yhat = np.full((*truths.shape, fed.n_channels), np.nan)
    lost: BoolArray = np.zeros((len(index), 1), dtype=np.bool_)
    for number in range(int(turn.max()) + 1):
        now = (turn == number) & ~lost
        # Most are one step long: they need not be as long as the longest.
        for part in (now & alone, now & ~alone):
            window, step = np.nonzero(part)
            if len(window) == 0:
                continue
            first, lead = origin[window, step], step - origin[window, step]
            nth = np.cumsum(lead == 0) - 1
            cutoffs = WindowIndex(window[lead == 0], index.rows[window[lead == 0]] + first[lead == 0])
            yhat[window, step] = forecast(fed, cutoffs, int(lead.max()) + 1)[nth, lead]
        written = now & own
        fed.values[place[written]] = yhat[written]
        finite = np.isfinite(np.where(written[:, :, None], yhat, 0.0)).reshape(len(index), -1)
        lost = lost | ~finite.all(axis=1, keepdims=True)
    return yhat
