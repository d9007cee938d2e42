"""What a forecaster gets wrong: its closed-loop errors at past cutoffs.

The errors are those of clones that had not learnt from the rows they forecast: each is fitted on the rows up to a cut,
and forecasts after it at every cutoff up to the next one. They are taken in the user's units, after every inverse
transform, at each step.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex, ragged_rows
from tsforce.errors import TsforceError
from tsforce.forecasting.calibration import Calibration, respected
from tsforce.forecasting.moves import N_MOVES, running_moves, swings_of
from tsforce.scoring.cutoffs import few_rows, rows_to_learn
from tsforce.scoring.interval_scores import independent_share
from tsforce.scoring.metrics import error_scale

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = ["MANY_ROWS", "calibrate", "calibration_from", "forecasts_of", "laid_out", "truth_after"]

# Cuts of a series at most, each with a clone of its own.
_CUTS = 2
# Cutoffs of a series at most; and at least, where there are as many: so many that the rows before all cutoffs are no
# more than these. Errors in all at most.
_MOST_ORIGINS, _FEWEST_ORIGINS, _MOST_ROWS = 300, 25, 8_000_000
_MOST_ERRORS = 20_000_000
# Rows of a typical series from which on what they settle, penalties and smoothing parameters, holds for some more.
MANY_ROWS = 100


def calibrate(model: Forecaster, panel: Panel, horizon: int) -> Calibration:
    """Return a fitted forecaster's errors at cutoffs within the rows that it learnt from, by clones that did not.

    Parameters
    ----------
    model : Forecaster
        Never changed.
    panel : Panel
        What it learnt from: nothing after its rows is read.
    horizon : int
        H.
    """
    panel = replace(panel, filled=np.empty((0, 0)))
    season = int(getattr(model, "season_length_", 1) or 1)
    cuts = _cuts(panel.lengths, horizon, season)
    most = min(_MOST_ROWS // len(panel.values), _MOST_ERRORS // (panel.n_series * horizon * panel.n_channels))
    most = int(np.clip(most, _FEWEST_ORIGINS, _MOST_ORIGINS))
    stride = _through_the_season(np.maximum(-(-(panel.lengths - cuts[0]) // most), 1), season)
    judged: Forecaster | None = None
    found: list[tuple[IntArray, IntArray, IntArray, FloatArray]] = []
    for number, (first, until) in enumerate(pairwise(cuts)):
        series = np.flatnonzero(until > first)
        # From the back, so that the last rows always count.
        number_of = -(-(until[series] - first[series]) // stride[series])
        nth = ragged_rows(np.zeros_like(number_of), number_of)
        who = np.repeat(series, number_of)
        rows = until[who] - 2 - (np.repeat(number_of, number_of) - 1 - nth) * stride[who]
        if len(who):
            # What one clone has settled from many rows the next one need not.
            stays = number > 0 and np.median(cuts[number - 1]) >= MANY_ROWS
            judged = _clone(model, panel.head(first), judged if stays else None)
            yhat = forecasts_of(judged, panel, WindowIndex(who, rows), horizon)
            found.append((who, rows, np.full_like(who, number), yhat))
    series, rows, by = (np.concatenate([np.empty(0, dtype=np.int64), *(part[k] for part in found)]) for k in range(3))
    yhat = np.concatenate([np.empty((0, horizon, panel.n_channels)), *(part[3] for part in found)])
    return calibration_from(panel, WindowIndex(series, rows), yhat, by, season, stride)


def calibration_from(
    panel: Panel, index: WindowIndex, yhat: FloatArray, clone: Any, season: int, stride: IntArray
) -> Calibration:
    """Return what some forecasts got wrong.

    Parameters
    ----------
    panel : Panel
        With the truth.
    index : WindowIndex, W cutoffs
        Ascending in each series.
    yhat : (W, H, C), original units
    clone : int, or (W,) int64
        Which clone made them.
    season : int
    stride : (S,) int64
        Rows from one cutoff of each series to the next.
    """
    series, at, horizon = index.series, panel.indptr[index.series] + index.rows, yhat.shape[1]
    order = np.argsort(series, kind="stable")
    nth = np.empty_like(series)
    nth[order] = np.arange(len(series)) - np.searchsorted(series[order], series[order])
    moves = running_moves(panel.values, panel.indptr, season)
    made, led = truth_after(panel, index, horizon) - yhat, swings_of(yhat, panel.values[at], moves[0, at])
    errors, swings, cutoffs, by, units = laid_out(panel, index, nth, made, led, clone, moves)
    count = (~np.isnan(errors)).sum(axis=0)
    worth = np.empty(count.shape)
    for apart in np.unique(stride):
        alike = stride == apart
        worth[alike] = count[alike] * independent_share(errors[:, alike], int(apart))
    floor, counts = respected(panel)
    return Calibration(
        {name: i for i, name in enumerate(panel.id_list)}, errors, cutoffs, by, units,
        moves[:, panel.indptr[1:] - 1], worth, error_scale(panel.values, panel.indptr, season), floor, counts,
        panel.lengths, season, swings=swings,
    )  # fmt: skip


def laid_out(
    panel: Panel,
    index: WindowIndex,
    nth: IntArray,
    errors: FloatArray,
    swings: FloatArray,
    clone: Any,
    moves: FloatArray,
) -> tuple[FloatArray, FloatArray, IntArray, IntArray, FloatArray]:
    """Return errors and swings (K, S, H, C), cutoffs and clones (K, S), and units (5, K, S, C): of a `Calibration`.

    Parameters
    ----------
    panel : Panel
    index : WindowIndex, W cutoffs
    nth : (W,) int64
        Place of each among the K of its series.
    errors, swings : (W, H, C)
    clone : int, or (W,) int64
        Which clone made them.
    moves : (5, N, C)
        From ``running_moves``.
    """
    shape, where = (int(nth.max(initial=-1)) + 1, panel.n_series), (nth, index.series)
    laid, led = (np.full((*shape, *errors.shape[1:]), np.nan) for _ in range(2))
    cutoffs, by = (np.full(shape, -1, dtype=np.int64) for _ in range(2))
    units = np.full((N_MOVES, *shape, panel.n_channels), np.nan)
    laid[where], cutoffs[where], by[where] = np.where(np.isfinite(errors), errors, np.nan), index.rows, clone
    led[where] = swings
    units[:, nth, index.series] = moves[:, panel.indptr[index.series] + index.rows]
    return laid, led, cutoffs, by, units


def _cuts(lengths: IntArray, horizon: int, season: int) -> list[IntArray]:
    """Return after how many rows each clone stops learning, ascending, and the rows of each series, (S,) each."""
    least = np.maximum(rows_to_learn(season), lengths // 2)
    short = lengths <= least + horizon
    # One horizon of few rows says more than nothing.
    few = np.where(lengths >= horizon + few_rows(season), lengths - horizon, lengths)
    first = np.where(short, few, least)
    return [first, *(first + (lengths - first) * k // _CUTS for k in range(1, _CUTS)), lengths]


def _through_the_season(stride: IntArray, season: int) -> IntArray:
    """Return strides that are no shorter, and so that cutoffs come by every place in the season alike."""
    found = stride.copy()
    while (shared := (found > 1) & (np.gcd(found, season) > 1)).any():
        found[shared] += 1
    return found


def _clone(model: Forecaster, panel: Panel, before: Forecaster | None) -> Forecaster | None:
    """Return a clone that has learnt from the rows of a panel; None if they are too few. `before` as in `_refitted`."""
    with warnings.catch_warnings():
        # What a clone on fewer rows would warn of is in its errors.
        warnings.simplefilter("ignore")
        try:
            return model._refitted(panel, before)
        except (TsforceError, np.linalg.LinAlgError):
            # Rows that are too few to learn from are too few to be judged by.
            return None


def truth_after(panel: Panel, index: WindowIndex, horizon: int) -> FloatArray:
    """Return what came after some cutoffs, (W, H, C); NaN after the last row."""
    ahead = index.rows[:, None] + np.arange(1, horizon + 1)
    known = ahead < panel.lengths[index.series][:, None]
    truth = panel.values[np.minimum(panel.indptr[index.series][:, None] + ahead, len(panel.values) - 1)]
    return np.where(known[:, :, None], truth, np.nan)


def forecasts_of(model: Forecaster | None, panel: Panel, index: WindowIndex, horizon: int) -> FloatArray:
    """Return forecasts after some cutoffs, (W, H, C); NaN where there is none."""
    yhat = np.full((len(index), horizon, panel.n_channels), np.nan)
    if model is not None:
        out = {panel.position[name] for name in getattr(model, "short_series_", []) if name in panel.position}
        able = np.flatnonzero(~np.isin(index.series, list(out)))
        with warnings.catch_warnings(), contextlib.suppress(TsforceError, np.linalg.LinAlgError):
            warnings.simplefilter("ignore")
            yhat[able] = model._numbers(panel, WindowIndex(index.series[able], index.rows[able]), horizon)
    return yhat
