"""ridge="auto": the penalty with the lowest closed-loop error on windows inside the training rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.forcing import OpenLoop
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.scoring.metrics import has_scale
from tsforce.training.closed_loop import forecast_windows
from tsforce.training.problem import Learnt, Problem, Validation
from tsforce.training.solvers.direct import direct_maps
from tsforce.training.solvers.gram import Gram, by_length
from tsforce.training.solvers.kept_moments import keeping, moments_of
from tsforce.training.solvers.least_squares import solve
from tsforce.training.solvers.maps import fit_maps, told_to_prior_of
from tsforce.training.solvers.tried import CANDIDATES, RIDGES, SMALLER, Tried, Windows, decide, grid_of

__all__ = [
    "CANDIDATES",
    "RIDGES",
    "SMALLER",
    "Fit",
    "RidgeChoice",
    "choose_ridge",
    "is_hardly_any",
    "share_left",
    "trial_part",
    "trial_stops",
    "try_ridges",
]

FloatArray = npt.NDArray[np.float64]

# Share of the variance one step ahead that is hardly any noise.
_NOISE = 1e-6


@dataclass(frozen=True, eq=False)
class RidgeChoice:
    """What was chosen, and the errors that decided.

    Attributes
    ----------
    ridge : (S,) float64
        One value per series; all equal for scope="global".
    n_windows : (S,) int64
        Validation windows of each series; one with none took the panel's choice.
    errors : (9, S) float64
        Mean absolute closed-loop error over those windows, for each of `CANDIDATES`; NaN without windows, and of
        `SMALLER` ones where they were not tried. On original units; of several targets, their mean in seasonal-naive
        scales.
    closed_loop, one_step : float
        Mean over series of what the chosen ridges gave there, in seasonal-naive scales; NaN without windows or scales.
    """

    ridge: FloatArray
    n_windows: IntArray
    errors: FloatArray
    closed_loop: float = math.nan
    one_step: float = math.nan

    def edges(self, pooled: bool) -> str | None:
        """Return how many choices ended at the smallest or the largest penalty tried, as a note; None if none did.

        Below a penalty of 0 there is nothing: that is no edge.
        """
        tried = ~np.isnan(self.errors)
        judged = np.flatnonzero(tried.any(axis=0))[: 1 if pooled else None]
        grid, tried, taken = np.array(CANDIDATES), tried[:, judged], self.ridge[judged]
        ends = {
            "smallest": np.where(taken > 0, grid[tried.argmax(axis=0)], np.nan),
            "largest": grid[::-1][tried[::-1].argmax(axis=0)],
        }
        parts = [
            f"{int((taken == end).sum())} took {taken[taken == end][0]:g}, the {name} tried"
            for name, end in ends.items()
            if (taken == end).any()
        ]
        who = "one choice for all" if pooled else f"{len(judged)} series with windows to choose by"
        return f"ridge: of {who}, {'; '.join(parts)}." if parts else None

    @staticmethod
    def fixed(ridge: float | FloatArray, n_series: int) -> RidgeChoice:
        """Return the choice that was none, of one penalty for all series or one for each."""
        nothing = np.full((len(CANDIDATES), n_series), np.nan)
        return RidgeChoice(np.full(n_series, ridge), np.zeros(n_series, dtype=np.int64), nothing)


# From a problem, what it learnt, a penalty for each series and a model whose structure is kept, or None, to a model.
Start = Callable[[Problem, Learnt, FloatArray, Any], Any]
# From a problem, what it learnt and penalties to a model of each.
Fit = Callable[[Problem, Learnt, Sequence[float]], list[Any]]


def _linear(problem: Problem, learnt: Learnt, ridges: Sequence[float]) -> list[Any]:
    return list(fit_maps(problem, learnt, ridges))


def _fitting(problem: Problem, start: Start | None) -> Fit:
    if start is not None:
        return _fit_by(start)
    return direct_maps if problem.direct else _linear


def _fit_by(start: Start) -> Fit:
    """Return how models of a structure are fitted: that of the smallest penalty is the others' too."""

    def fit(problem: Problem, learnt: Learnt, ridges: Sequence[float]) -> list[Any]:
        found: list[Any] = []
        for ridge in ridges:
            found.append(start(problem, learnt, np.full(problem.panel.n_series, ridge), found[0] if found else None))
        return found

    return fit


class _Trial:
    """Closed-loop errors of candidates on the windows that a problem's series spare.

    Attributes
    ----------
    errors : (candidates, S, C)
        Mean absolute error of each series; NaN where a candidate was not tried.
    by_window : (candidates, n)
        Of the windows (or of the parts that a long one is compared by), in scales of the series, mean over targets.
    group : (n,)
        Group of each of these.
    """

    def __init__(self, part: Problem, validation: Validation, fit: Fit) -> None:
        self.part, self.validation, self.fit = part, validation, fit
        self.learnt, self.blocks = part.learn(validation.stops), validation.blocks
        n_series, n_channels = part.panel.n_series, part.panel.n_channels
        series = self.blocks.index.series
        self.group = np.zeros_like(series) if part.pooled else series
        self.n_groups = 1 if part.pooled else n_series
        self.errors = np.full((len(CANDIDATES), n_series, n_channels), np.nan)
        self.by_window = np.full((len(CANDIDATES), len(series)), np.nan)
        self.models: dict[int, Any] = {}
        scale = validation.scale[series]
        self._unit = np.where(has_scale(scale), scale, 1.0)

    def run(self, which: range, groups: IntArray) -> None:
        """Try some candidates, for some groups."""
        some = groups if not self.part.pooled else self.part.every
        whole = len(some) == self.part.panel.n_series
        part = self.part if whole else self.part.take(some)
        validation = self.validation if whole else part.validation(*part.to_choose_by)
        learnt = self.learnt if whole else part.learn(validation.stops)
        prior = self.part.prior
        if not whole and prior is not None and self.part.shares_prior:
            # What all series have to say is said by all of them here too.
            told = told_to_prior_of(self.part, self.learnt)
            part = replace(part, prior=prior.taught([told]))
        here = np.isin(self.blocks.index.series, some)
        for number, model in zip(which, self.fit(part, learnt, [CANDIDATES[i] for i in which]), strict=True):
            yhat, _ = forecast_windows(
                learnt.store, model, learnt.guard, validation.index, validation.horizon, groups=part.groups
            )
            self.errors[number, some] = validation.errors(yhat)
            parts = self.blocks if whole else validation.blocks
            found = parts.window_errors(np.repeat(yhat, validation.n_blocks, axis=0)) / self._unit[here]
            known = ~np.isnan(found)
            total, count = np.where(known, found, 0.0).sum(axis=1), known.sum(axis=1)
            self.by_window[number, here] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
            self.models[number] = model if whole else None

    def hardly_any_noise(self) -> npt.NDArray[np.bool_]:
        """Return the groups of which a linear map leaves next to nothing one step ahead, (G,)."""
        part = self.part
        left = _unexplained(
            self.learnt.store, part.every, self.learnt.stops, part.layout,
            pooled=part.pooled, intercept=part.most_have_intercepts, horizon=part.horizon,
        )  # fmt: skip
        return is_hardly_any(left)

    def windows_of(self, groups: IntArray) -> Windows:
        """Return the errors of the windows of some groups, ascending."""
        here = np.isin(self.group, groups)
        return Windows(self.by_window[:, here], np.searchsorted(groups, self.group[here]), len(groups))


def _unexplained(
    store: SeriesStore,
    series: IntArray,
    stops: IntArray,
    layout: LagLayout,
    *,
    pooled: bool,
    intercept: bool,
    horizon: int = 1,
) -> Tensor:
    """Return what least squares without a penalty leaves of the targets' variance, as moments tell, (G,).

    The mean over targets; parameters as in `accumulate`. Without noise it is their rounding, about 1e-13. A group with
    fewer than two rows for each weight would tell them by heart, and counts as telling nothing. Of a layout that tells
    steps apart, what one map for all of them leaves.
    """
    layout = layout.of_one_group
    left = store.values.new_ones(1 if pooled else len(series))
    rows = np.maximum(stops - store.first - layout.reach, 0)
    enough = np.flatnonzero(rows >= 2 * (len(layout.columns) + 1))
    parts = [enough[part] for part in by_length(stops[enough])]
    if pooled:
        parts = [np.arange(len(series))] if rows.sum() >= 2 * (len(layout.columns) + 1) else []
    for part in parts:
        gram = moments_of(store, series[part], stops[part], layout, pooled=pooled, intercept=intercept, horizon=horizon)
        for some, piece in gram.pieces():
            where = torch.from_numpy(part[some]) if not pooled else slice(None)
            left[where] = share_left(piece, intercept=intercept)
    return left


def share_left(gram: Gram, *, intercept: bool) -> Tensor:
    """Return what least squares leaves of the targets' variance, the mean over targets, (G,); as `_unexplained`.

    1 of a group with fewer than two rows for each weight.
    """
    ((weight, _),) = solve(gram, [0.0], intercept=intercept)
    mean = gram.y_sum / gram.rows[:, None] if intercept else torch.zeros_like(gram.y_sum)
    total = gram.yy - mean * gram.y_sum
    with_y = gram.xy - gram.x_sum[:, :, None] * mean[:, None, :]
    told = (weight * with_y).sum(dim=1)
    share = torch.where(total > 0, (total - told).clamp(min=0) / total, 0.0)
    return torch.where(gram.rows >= 2 * (gram.xx.shape[1] + 1), share.mean(dim=1), 1.0)


def is_hardly_any(left: Tensor) -> npt.NDArray[np.bool_]:
    """Return where what is left of a variance is hardly any noise."""
    found: npt.NDArray[np.bool_] = left.cpu().numpy() < _NOISE
    return found


def choose_ridge(problem: Problem, start: Start | None = None) -> RidgeChoice:
    """Return the ridge chosen inside the training rows: one per series, or one for all if the problem is pooled.

    One fit per candidate on the rows up to ``n - K * horizon``, transforms included, then closed-loop forecasts of the
    K windows that follow; K = min(4, windows the series has beyond lags + differences + horizon rows), and more of few
    series (`Problem.to_choose_by`). `SMALLER` ones are tried where a linear map leaves next to nothing of the training
    rows one step ahead (of other families always): data with hardly any noise decide the weights, and a penalty spoils
    them. One is taken if it is much better than the best of `RIDGES`, and the smaller of two only if it is much better
    again.

    Parameters
    ----------
    problem : Problem
    start : callable, optional
        (problem, learnt, ridge (S,), before) -> model, of the family that is to be fitted; linear maps by default.
    """
    n_series, n_windows = problem.panel.n_series, problem.n_windows(*problem.to_choose_by)
    errors = np.full((len(CANDIDATES), n_series), np.nan)
    tried, trial = try_ridges(problem, _fitting(problem, start), smaller=True if start is not None else None)
    (ridge,) = decide([tried])
    if trial is None:
        return RidgeChoice(ridge, n_windows, errors)
    part, validation, clean, few = trial.part, trial.validation, tried.clean, len(SMALLER)
    members, standard = (problem.every if problem.pooled else tried.judged), tried.grid
    counts = validation.has_scale & (validation.n_windows > 0)
    best = np.searchsorted(CANDIDATES, ridge[:1] if problem.pooled else ridge[members])
    errors[:, members] = validation.comparable(trial.errors)
    if not counts.any():
        return RidgeChoice(ridge, n_windows, errors)
    relative = validation.relative(trial.errors)
    closed = float(relative[best[0] if problem.pooled else best, np.arange(len(members))][counts].mean())
    if start is not None or problem.direct:
        return RidgeChoice(ridge, n_windows, errors, closed)
    # The chosen models once more, one step ahead, for the history.
    picked = [float(r) for r in sorted(set(ridge[members].tolist()))]
    models = (
        _linear(part, trial.learnt, picked) if len(clean) else [trial.models[few + i] for i in range(len(standard))]
    )
    choices = picked if len(clean) else standard.tolist()
    which = np.searchsorted(choices, ridge[members[: len(models[0].weight)]])
    place = torch.arange(len(which))
    weight, bias = (torch.stack([getattr(m, name) for m in models])[which, place] for name in ("weight", "bias"))
    yhat, _ = forecast_windows(
        trial.learnt.store, Linear(part.layout, weight, bias), trial.learnt.guard, validation.index, validation.horizon,
        groups=part.groups, forcing=OpenLoop(),
    )  # fmt: skip
    one = validation.relative(validation.errors(yhat))
    return RidgeChoice(ridge, n_windows, errors, closed, float(one[counts].mean()))


def trial_part(problem: Problem) -> Problem:
    """Return the problem of the series that candidates are tried on.

    A pooled fit learns from those without a window too.
    """
    judged = np.flatnonzero(problem.n_windows(*problem.to_choose_by) > 0)
    return problem if problem.pooled or len(judged) == problem.panel.n_series else problem.take(judged)


def trial_stops(part: Problem) -> IntArray:
    """Return the rows of each series that candidates learn from, those before its windows."""
    return part.validation(*part.to_choose_by).stops


def try_ridges(problem: Problem, fit: Fit, *, smaller: bool | None = None) -> tuple[Tried, _Trial | None]:
    """Return what candidates come to on the windows inside the training rows, and the trial; None without windows.

    Parameters
    ----------
    problem : Problem
    fit : callable
        (problem, learnt, ridges) -> a model of each.
    smaller : bool, optional
        Whether to try the smaller ones, for all series; None: where there is hardly any noise.
    """
    judged = np.flatnonzero(problem.n_windows(*problem.to_choose_by) > 0)
    if len(judged) == 0:
        return Tried.nothing(problem), None
    part, grid = trial_part(problem), grid_of(problem)
    trial = _Trial(part, part.validation(*part.to_choose_by), fit)
    few = len(SMALLER)
    with keeping(trial.learnt.store):
        trial.run(range(few, few + len(grid)), np.arange(trial.n_groups))
        clean = np.flatnonzero(trial.hardly_any_noise() if smaller is None else np.full(trial.n_groups, smaller))
    if len(clean):
        trial.run(range(few), clean)
    windows = trial.windows_of(clean)
    found = Tried.of(part, trial.validation, trial.errors, problem.panel.n_series, judged, clean, windows)
    return found, trial
