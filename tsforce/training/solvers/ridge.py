"""ridge="auto": the penalty with the lowest closed-loop error on windows inside the training rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tsforce.data.panel import IntArray
from tsforce.dynamics.forcing import OpenLoop
from tsforce.dynamics.models.linear import Linear
from tsforce.training.closed_loop import forecast_windows
from tsforce.training.problem import Problem
from tsforce.training.solvers.least_squares import fit_linear

__all__ = ["RIDGES", "RidgeChoice", "choose_ridge"]

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
        Mean absolute closed-loop error over those windows, for each of `RIDGES`; NaN without windows. On original
        units; of several targets, their mean in seasonal-naive scales.
    closed_loop, one_step : float
        Mean over series of what the chosen ridges gave there, in seasonal-naive scales; NaN without windows or scales.
    """

    ridge: FloatArray
    n_windows: IntArray
    errors: FloatArray
    closed_loop: float = math.nan
    one_step: float = math.nan

    @staticmethod
    def fixed(ridge: float, n_series: int) -> RidgeChoice:
        """Return the choice that was none."""
        nothing = np.full((len(RIDGES), n_series), np.nan)
        return RidgeChoice(np.full(n_series, ridge), np.zeros(n_series, dtype=np.int64), nothing)


def _lowest(errors: FloatArray) -> FloatArray:
    """Return for each column the ridge with the lowest error; the fallback where every one diverged."""
    return np.where(np.isfinite(errors).any(axis=0), np.array(RIDGES)[np.argmin(errors, axis=0)], _FALLBACK)


def choose_ridge(problem: Problem) -> RidgeChoice:
    """Return the ridge chosen inside the training rows: one per series, or one for all if the problem is pooled.

    One fit per candidate on the rows up to ``n - K * horizon``, transforms included, then closed-loop forecasts of the
    K windows that follow; K = min(4, windows the series has beyond lags + differences + horizon rows).
    """
    n_series = problem.panel.n_series
    n_windows = problem.n_windows(_MOST_WINDOWS)
    errors = np.full((len(RIDGES), n_series), np.nan)
    judged = np.flatnonzero(n_windows > 0)
    if len(judged) == 0:
        return RidgeChoice(np.full(n_series, _FALLBACK), n_windows, errors)
    # A pooled fit learns from the series without a window too.
    members = problem.every if problem.pooled else judged
    part = problem.take(members)
    validation = part.validation(_MOST_WINDOWS)
    learnt = part.learn(validation.stops)
    found = np.empty((len(RIDGES), len(members), part.panel.n_channels))
    models = fit_linear(
        learnt.store, part.every, learnt.stops, part.layout, RIDGES,
        pooled=part.pooled, intercept=part.intercept, horizon=part.horizon,
    )  # fmt: skip
    for number, model in enumerate(models):
        yhat, _ = forecast_windows(
            learnt.store, model, learnt.guard, validation.index, validation.horizon, groups=part.groups
        )
        found[number] = validation.errors(yhat)
    errors[:, members] = validation.comparable(found)
    # Pooling over series needs errors without units; a scale that is 0 or unknown has no say in it.
    relative = validation.relative(found)
    counts = validation.has_scale & (validation.n_windows > 0)
    together = relative[:, counts].mean(axis=1) if counts.any() else np.full(len(RIDGES), np.inf)
    ridge = np.full(n_series, _lowest(together[:, None])[0])
    if not problem.pooled:
        ridge[judged] = _lowest(errors[:, judged])
    if not counts.any():
        return RidgeChoice(ridge, n_windows, errors)
    # The chosen models once more, one step ahead, for the history.
    best = np.searchsorted(RIDGES, ridge[members[: len(models[0].weight)]])
    own = torch.arange(len(best))
    weight, bias = (torch.stack([getattr(m, name) for m in models])[best, own] for name in ("weight", "bias"))
    yhat, _ = forecast_windows(
        learnt.store, Linear(part.layout, weight, bias), learnt.guard, validation.index, validation.horizon,
        groups=part.groups, forcing=OpenLoop(),
    )  # fmt: skip
    closed = relative[np.searchsorted(RIDGES, ridge[members]), np.arange(len(members))]
    one = validation.relative(validation.errors(yhat))
    return RidgeChoice(ridge, n_windows, errors, float(closed[counts].mean()), float(one[counts].mean()))
