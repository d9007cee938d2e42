"""ridge="auto": the penalty with the lowest closed-loop error on windows inside the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tsforce.data.panel import IntArray, Panel, WindowIndex, ragged_rows
from tsforce.data.transforms import Chain, Transform
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.lags import LagLayout
from tsforce.scoring.metrics import seasonal_naive_scale
from tsforce.training.closed_loop import Guard, forecast_windows
from tsforce.training.solvers.least_squares import fit_linear

__all__ = ["RIDGES", "RidgeChoice", "choose_ridge", "validation_windows"]

FloatArray = npt.NDArray[np.float64]

RIDGES = (1.0, 10.0, 30.0, 100.0, 300.0)
# Taken where no series has rows to spare for a validation window.
_FALLBACK = 30.0
_MOST_WINDOWS = 4


@dataclass(frozen=True, eq=False)
class RidgeChoice:
    """What was chosen, and the errors that decided.

    Attributes
    ----------
    ridge : (S,) float64
        One value per series; all equal for scope="global".
    n_windows : (S,) int64
        Validation windows of each series; one with none took the panel's choice.
    errors : (5, S) float64
        Mean absolute closed-loop error on original units over those windows, for each of `RIDGES`; NaN without windows.
    """

    ridge: FloatArray
    n_windows: IntArray
    errors: FloatArray


def validation_windows(stops: IntArray, need: int, horizon: int) -> IntArray:
    """Return how many windows of `horizon` rows each series spares beyond `need` rows: at most 4."""
    return np.clip((stops - need) // horizon, 0, _MOST_WINDOWS)


def choose_ridge(
    panel: Panel,
    transforms: tuple[Transform, ...],
    scaling: str | None,
    context_length: int,
    layout: LagLayout,
    *,
    horizon: int,
    season_length: int,
    pooled: bool,
    intercept: bool,
    device: torch.device,
) -> RidgeChoice:
    """Return the ridge chosen inside the training rows.

    One fit per candidate on the rows up to ``n - K * horizon``, transforms included, then closed-loop forecasts of the
    K windows that follow; K = min(4, windows the series has beyond lags + differences + horizon rows).

    Parameters
    ----------
    panel : Panel
        Training rows only, S series.
    pooled : bool
        One value for all (scope="global"), else one per series.
    """
    stops, n_series = panel.lengths, panel.n_series
    lost = sum(t.rows_lost for t in transforms)
    n_windows = validation_windows(stops, layout.reach + lost + horizon, horizon)
    errors = np.full((len(RIDGES), n_series), np.nan)
    judged = np.flatnonzero(n_windows > 0)
    if len(judged) == 0:
        return RidgeChoice(np.full(n_series, _FALLBACK), n_windows, errors)
    fit_stops = stops - n_windows * horizon
    # A pooled fit learns from the series without a window too.
    members = np.arange(n_series) if pooled else judged
    part = panel.take(members)
    chain = Chain.learn(transforms, part.values, part.indptr, fit_stops[members])
    store = SeriesStore(part, chain, scaling, context_length, device)
    every = np.arange(len(members))
    guard = Guard.learn(store, every, fit_stops[members])
    models = fit_linear(store, every, fit_stops[members], layout, RIDGES, pooled=pooled, intercept=intercept)
    count = n_windows[members]
    which = np.repeat(every, count)
    rows = ragged_rows(np.zeros_like(count), count) * horizon + fit_stops[members][which] - 1
    index = WindowIndex(which, rows)
    truth = part.values[part.indptr[which][:, None] + rows[:, None] + np.arange(1, horizon + 1)]
    scale = seasonal_naive_scale(part.values[:, 0], part.indptr, season_length, fit_stops[members])[count > 0]
    for number, model in enumerate(models):
        yhat, _ = forecast_windows(store, model, guard, index, horizon, groups=None if pooled else every)
        per_window = np.abs(yhat - truth).mean(axis=(1, 2))
        error = np.bincount(which, per_window, minlength=len(members))[count > 0] / count[count > 0]
        errors[number, judged] = np.where(np.isfinite(error), error, np.inf)
    # Pooling over series needs errors without units; a scale that is 0 or unknown has no say in it.
    usable = np.isfinite(scale) & (scale > 0)
    relative = (errors[:, judged] / np.where(usable, scale, 1.0))[:, usable]
    together = np.array(RIDGES)[np.argmin(relative.mean(axis=1))] if usable.any() else _FALLBACK
    ridge = np.full(n_series, together)
    if not pooled:
        ridge[judged] = np.array(RIDGES)[np.argmin(errors[:, judged], axis=0)]
    return RidgeChoice(ridge, n_windows, errors)
