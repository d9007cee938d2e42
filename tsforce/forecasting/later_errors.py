"""Bounds that go on with their forecaster: what it gets wrong at the rows of an update joins its past errors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tsforce.data.later_rows import Grown
from tsforce.data.panel import WindowIndex, ragged_rows
from tsforce.forecasting.calibration import Calibration, respected
from tsforce.forecasting.moves import N_MOVES, running_moves, swings_of
from tsforce.forecasting.past_forecasts import forecasts_of, laid_out, truth_after
from tsforce.scoring.metrics import error_scale

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = ["calibrations_after"]

# Later cutoffs of a series that count, the last ones.
_MOST = 300
# Their place among the clones: after them.
_ITSELF = 9


def calibrations_after(model: Forecaster, now: Grown) -> dict[int, Calibration]:
    """Return the calibrations of a forecaster that is about to learn from later rows, with its errors at these.

    Parameters
    ----------
    model : Forecaster
        Fitted, before it has learnt from the new rows: what it forecasts at each of them is what a user got.
    now : Grown
        All rows. Nothing after them is read.

    Returns
    -------
    dict of int -> Calibration
        By horizon; those that were found so far.
    """
    kept: dict[int, Calibration] = model.__dict__.get("_calibrations_", {})
    return {horizon: _after(model, one, now, horizon) for horizon, one in kept.items()}


def _after(model: Forecaster, before: Calibration, now: Grown, horizon: int) -> Calibration:
    panel, n_known, n_series, n_channels = now.panel, now.n_known, now.panel.n_series, now.panel.n_channels
    # From the row before the first new one to the one before the last: as many as there are new rows.
    fresh = np.minimum(now.counts[:n_known], _MOST)
    index = WindowIndex(np.repeat(np.arange(n_known), fresh), ragged_rows(panel.lengths[:n_known] - 1 - fresh, fresh))
    yhat = forecasts_of(model, panel, index, horizon)
    errors = truth_after(panel, index, horizon) - yhat
    # Those of earlier updates, with the truths that have come since.
    base = len(before.errors) - before.later
    place, series = np.nonzero(before.rows[base:] >= 0)
    at = before.rows[base:][place, series]
    known, led = (part[base:][place, series] for part in (before.errors, before._swings()))
    there, pending = np.zeros(len(place), dtype=bool), np.empty((0, horizon, n_channels))
    if before.unfinished is not None:
        newest = place - before.later + len(before.unfinished)
        there = newest >= 0
        still = WindowIndex(series[there], at[there])
        pending = before.unfinished[newest[there], still.series]
        known[there] = truth_after(panel, still, horizon) - pending
    whole = WindowIndex(np.concatenate([series, index.series]), np.concatenate([at, index.rows]))
    back = panel.lengths[whole.series] - 2 - whole.rows
    stays = back < _MOST
    later = int(back[stays].max(initial=-1)) + 1
    moves = running_moves(panel.values, panel.indptr, before.season_length)
    now_at = panel.indptr[index.series] + index.rows
    led = np.concatenate([led, swings_of(yhat, panel.values[now_at], moves[0, now_at])])[stays]
    kept = WindowIndex(whole.series[stays], whole.rows[stays])
    found, swings, cutoffs, clone, units = laid_out(
        panel, kept, later - 1 - back[stays], np.concatenate([known, errors])[stays], led, _ITSELF, moves
    )
    earlier = np.pad(before.units[:, :base], [(0, N_MOVES - len(before.units)), *[(0, 0)] * 3], constant_values=np.nan)
    unfinished = np.full((min(later, horizon), n_series, horizon, n_channels), np.nan)
    ahead = np.full((len(whole), horizon, n_channels), np.nan)
    ahead[np.flatnonzero(there)], ahead[len(place) :] = pending, yhat
    last = back < len(unfinished)
    unfinished[len(unfinished) - 1 - back[last], whole.series[last]] = ahead[last]
    floor, counts = respected(panel)
    return replace(
        before,
        position={name: i for i, name in enumerate(panel.id_list)},
        errors=np.concatenate([_grown(before.errors[:base], n_series, 1), found]),
        rows=np.concatenate([_grown(before.rows[:base], n_series, 1, -1), cutoffs]),
        clone=np.concatenate([_grown(before.clone[:base], n_series, 1, -1), clone]),
        units=np.concatenate([_grown(earlier, n_series, 2), units], axis=1),
        last_units=moves[:, panel.indptr[1:] - 1],
        worth=_grown(before.worth, n_series, fill=0),
        scale=error_scale(panel.values, panel.indptr, before.season_length),
        floor=floor,
        counts=counts,
        lengths=panel.lengths,
        later=later,
        unfinished=unfinished,
        swings=np.concatenate([_grown(before._swings()[:base], n_series, 1), swings]),
    )


def _grown(array: Any, n_series: int, axis: int = 0, fill: float = np.nan) -> Any:
    """Return an array with room for new series."""
    more = [(0, 0)] * array.ndim
    more[axis] = (0, n_series - array.shape[axis])
    return np.pad(array, more, constant_values=fill)
