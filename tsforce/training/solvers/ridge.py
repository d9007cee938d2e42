"""ridge="auto": the penalty with the lowest closed-loop error on windows inside the training rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from tsforce.training.solvers.gram import accumulate, by_length
from tsforce.training.solvers.least_squares import solve
from tsforce.training.solvers.maps import fit_maps

__all__ = ["CANDIDATES", "RIDGES", "SMALLER", "RidgeChoice", "choose_ridge"]

FloatArray = npt.NDArray[np.float64]

RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
# For data with hardly any noise.
SMALLER = (0.0, 1e-6, 1e-3, 0.1)
# Towards a prior that is a forecast by itself; the last one is hardly anything else.
LARGER = (1e3, 1e4, 1e6)
CANDIDATES = (*SMALLER, *RIDGES, *LARGER)
# An error of no more than this share of another is much lower; the lowest of many on few windows is lower by luck.
# (Of a single window, which has no standard error, the square of it.)
_MUCH = 0.5
# Share of the variance one step ahead that is hardly any noise.
_NOISE = 1e-6
# Taken where no series has rows to spare for a validation window; towards a prior nearly that itself.
_FALLBACK, _FALLBACK_TO_PRIOR = 30.0, 1e4
_MOST_WINDOWS = 4
# Windows that the panel's errors count for beside those of a series, and the factor beyond which all is lost.
_PANEL, _WILD = 4.0, 10.0
# Windows' worth of errors that each power of ten has to be lower by, of a single series, where nothing was asked for.
_DOUBT = 0.5


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
_Fit = Callable[[Problem, Learnt, Sequence[float]], list[Any]]


def _linear(problem: Problem, learnt: Learnt, ridges: Sequence[float]) -> list[Any]:
    return list(fit_maps(problem, learnt, ridges))


def _fitting(problem: Problem, start: Start | None) -> _Fit:
    if start is not None:
        return _fit_by(start)
    return direct_maps if problem.direct else _linear


def _fit_by(start: Start) -> _Fit:
    """Return how models of a structure are fitted: that of the smallest penalty is the others' too."""

    def fit(problem: Problem, learnt: Learnt, ridges: Sequence[float]) -> list[Any]:
        found: list[Any] = []
        for ridge in ridges:
            found.append(start(problem, learnt, np.full(problem.panel.n_series, ridge), found[0] if found else None))
        return found

    return fit


def _lowest(errors: FloatArray, ridges: FloatArray) -> FloatArray:
    """Return for each column the ridge with the lowest error; the fallback where every one diverged."""
    return np.where(np.isfinite(errors).any(axis=0), ridges[np.argmin(errors, axis=0)], _FALLBACK)


def _with_panel(
    relative: FloatArray, own: FloatArray, counts: npt.NDArray[np.bool_], n_windows: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return the panel's error of each ridge (K,), and with its say in them those of each series, (K, S).

    The few windows of a short series are a noisy judge, and the panel's is a good one of what its series share. Errors
    beyond ten times the lowest of a series, of roll-outs that ran away, count as that.
    """
    if not counts.any():
        return np.full(len(own), np.inf), own
    lowest, least = (np.where(np.isfinite(e), e, np.inf).min(axis=0) for e in (own, relative))
    known = np.isfinite(lowest) & (lowest > 0)
    share = np.minimum(np.where(np.isfinite(own) & known, own / np.where(known, lowest, 1.0), _WILD), _WILD)
    # Without noise, some are right to the last bit.
    share = np.where(own == 0, 1.0, share)
    counts = counts & np.isfinite(least)
    together = (least[counts] * share[:, counts]).mean(axis=1)
    return together, n_windows * share + _PANEL * (together / (together.min() or 1.0))[:, None]


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

    def __init__(self, part: Problem, validation: Validation, fit: _Fit) -> None:
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
        validation = self.validation if whole else part.validation(_MOST_WINDOWS)
        learnt = self.learnt if whole else part.learn(validation.stops)
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
        found: npt.NDArray[np.bool_] = left.cpu().numpy() < _NOISE
        return found

    def much_lower(self, number: int, other: int) -> npt.NDArray[np.bool_]:
        """Return the groups whose errors under one candidate are much lower than under another, (G,).

        By more than their standard error in pairs, where there are pairs, and by a share that is not luck.
        """
        new, old = self.by_window[number], self.by_window[other]
        known = np.isfinite(new) & ~np.isnan(old)
        old = np.where(np.isfinite(old), old, 1e300)
        group, size = self.group[known], self.n_groups
        count = np.bincount(group, minlength=size)
        mean = np.bincount(group, new[known], minlength=size) / np.maximum(count, 1)
        reference = np.bincount(group, old[known], minlength=size) / np.maximum(count, 1)
        gain = (old - new)[known]
        spread = np.bincount(group, (gain - (reference - mean)[group]) ** 2, minlength=size)
        error = np.sqrt(spread / np.maximum(count - 1, 1) / np.maximum(count, 1))
        spoilt = np.bincount(self.group[np.isinf(new)], minlength=size) > 0
        share = np.where(count > 1, _MUCH, _MUCH**2)
        found: npt.NDArray[np.bool_] = (count > 0) & ~spoilt & (mean < share * reference) & (reference - mean > error)
        return found


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
        gram = accumulate(store, series[part], stops[part], layout, pooled=pooled, intercept=intercept, horizon=horizon)
        ((weight, _),) = solve(gram, [0.0], intercept=intercept)
        mean = gram.y_sum / gram.rows[:, None] if intercept else torch.zeros_like(gram.y_sum)
        total = gram.yy - mean * gram.y_sum
        with_y = gram.xy - gram.x_sum[:, :, None] * mean[:, None, :]
        told = (weight * with_y).sum(dim=1)
        share = torch.where(total > 0, (total - told).clamp(min=0) / total, 0.0)
        left[torch.from_numpy(part) if not pooled else slice(None)] = share.mean(dim=1)
    return left


def choose_ridge(problem: Problem, start: Start | None = None) -> RidgeChoice:
    """Return the ridge chosen inside the training rows: one per series, or one for all if the problem is pooled.

    One fit per candidate on the rows up to ``n - K * horizon``, transforms included, then closed-loop forecasts of the
    K windows that follow; K = min(4, windows the series has beyond lags + differences + horizon rows). `SMALLER` ones
    are tried where a linear map leaves next to nothing of the training rows one step ahead (of other families always):
    data with hardly any noise decide the weights, and a penalty spoils them. One is taken if it is much better than the
    best of `RIDGES`, and the smaller of two only if it is much better again.

    Parameters
    ----------
    problem : Problem
    start : callable, optional
        (problem, learnt, ridge (S,), before) -> model, of the family that is to be fitted; linear maps by default.
    """
    n_series = problem.panel.n_series
    n_windows = problem.n_windows(_MOST_WINDOWS)
    errors = np.full((len(CANDIDATES), n_series), np.nan)
    judged = np.flatnonzero(n_windows > 0)
    if len(judged) == 0:
        blind = _FALLBACK_TO_PRIOR if problem.shrinks_to_forecasts else _FALLBACK
        return RidgeChoice(np.full(n_series, blind), n_windows, errors)
    # A pooled fit learns from the series without a window too.
    members = problem.every if problem.pooled else judged
    part = problem.take(members)
    validation = part.validation(_MOST_WINDOWS)
    trial = _Trial(part, validation, _fitting(problem, start))
    few, all_of_them = len(SMALLER), np.arange(trial.n_groups)
    standard = np.array((*RIDGES, *LARGER) if problem.shrinks_to_forecasts else RIDGES)
    trial.run(range(few, few + len(standard)), all_of_them)
    found = trial.errors[few : few + len(standard)]
    own = validation.comparable(found)
    # Pooling over series needs errors without units; a scale that is 0 or unknown has no say in it.
    relative = validation.relative(found)
    counts = validation.has_scale & (validation.n_windows > 0)
    together = relative[:, counts].mean(axis=1) if counts.any() else np.full(len(standard), np.inf)
    if problem.shrinks_to_forecasts:
        together, own = _with_panel(relative, own, counts, n_windows[judged] if not problem.pooled else n_windows)
        if problem.prior is None or problem.prior.kind == "auto":
            # Few windows of few series find a map better than smoothing, or corrections of one, by luck.
            own = own + _DOUBT / len(judged) ** 0.5 * np.log10(standard[-1] / standard)[:, None]
    ridge = np.full(n_series, _lowest(together[:, None], standard)[0])
    if not problem.pooled:
        ridge[judged] = _lowest(own, standard)
    best = np.full(trial.n_groups, few) if problem.pooled else few + np.searchsorted(standard, ridge[judged])
    best = few + np.searchsorted(standard, ridge[:1]) if problem.pooled else best
    clean = np.flatnonzero(trial.hardly_any_noise() if start is None else np.ones(trial.n_groups, dtype=bool))
    if len(clean):
        trial.run(range(few), clean)
        best[clean] = _of_the_smaller(trial, best, clean)
        taken = np.array(CANDIDATES)[best]
        if problem.pooled:
            ridge[:] = taken[0]
        else:
            ridge[judged] = taken
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


def _of_the_smaller(trial: _Trial, best: IntArray, groups: IntArray) -> IntArray:
    """Return for some groups the number of the candidate that is taken, once the smaller ones were tried."""
    taken = best[groups].copy()
    # From the largest down: each has to be much better than what was taken so far.
    for number in reversed(range(len(SMALLER))):
        for other in np.unique(taken):
            better = trial.much_lower(number, int(other))[groups]
            taken[better & (taken == other)] = number
    return taken
