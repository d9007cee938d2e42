"""What candidates for a ridge came to on windows inside the training rows, and the choice that is made by it.

Choices are made by sums over series and by tables of few numbers for each, so that series may be tried in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import IntArray
from tsforce.training.problem import Problem, Validation

__all__ = ["CANDIDATES", "RIDGES", "SMALLER", "Tried", "Windows", "decide", "grid_of"]

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
# Taken where no series has rows to spare for a validation window; towards a prior nearly that itself.
_FALLBACK, _FALLBACK_TO_PRIOR = 30.0, 1e4
# Windows that the panel's errors count for beside those of a series, and the factor beyond which all is lost.
_PANEL, _WILD = 4.0, 10.0
# Windows' worth of errors that each power of ten has to be lower by, of a single series, where nothing was asked for.
_DOUBT = 0.5


def grid_of(problem: Problem) -> FloatArray:
    """Return the candidates that are tried for all series."""
    return np.array((*RIDGES, *LARGER) if problem.shrinks_to_forecasts else RIDGES)


def _lowest(errors: FloatArray, ridges: FloatArray) -> FloatArray:
    """Return for each column the ridge with the lowest error; the fallback where every one diverged."""
    return np.where(np.isfinite(errors).any(axis=0), ridges[np.argmin(errors, axis=0)], _FALLBACK)


def _shares(own: FloatArray) -> FloatArray:
    """Return errors (K, S) over the lowest of their series; ten times that at most, of roll-outs that ran away."""
    lowest = np.where(np.isfinite(own), own, np.inf).min(axis=0)
    known = np.isfinite(lowest) & (lowest > 0)
    share = np.minimum(np.where(np.isfinite(own) & known, own / np.where(known, lowest, 1.0), _WILD), _WILD)
    # Without noise, some are right to the last bit.
    return np.where(own == 0, 1.0, share)


@dataclass(frozen=True, eq=False)
class Windows:
    """Errors of candidates on the windows of some groups.

    Attributes
    ----------
    errors : (candidates, n)
        In scales of the series, mean over targets.
    group : (n,)
    n_groups : int
    """

    errors: FloatArray
    group: IntArray
    n_groups: int

    def much_lower(self, number: int, other: int) -> npt.NDArray[np.bool_]:
        """Return the groups whose errors under one candidate are much lower than under another, (G,).

        By more than their standard error in pairs, where there are pairs, and by a share that is not luck.
        """
        new, old = self.errors[number], self.errors[other]
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

    def of_the_smaller(self, best: IntArray) -> IntArray:
        """Return the number of the candidate that is taken of each group, once the smaller ones were tried, (G,)."""
        taken = best.copy()
        # From the largest down: each has to be much better than what was taken so far.
        for number in reversed(range(len(SMALLER))):
            for other in np.unique(taken):
                better = self.much_lower(number, int(other))
                taken[better & (taken == other)] = number
        return taken


@dataclass(frozen=True, eq=False)
class Tried:
    """What candidates came to on some of the series that a choice is made for.

    Attributes
    ----------
    grid : (K,) float64
        Candidates that were tried for all.
    pooled, shrinks, doubts : bool
        One choice for all; towards forecasts; and these are not to be left for luck.
    n_series : int
    judged : (J,) int64
        Series with windows to judge by.
    n_windows : (J,) int64
        Theirs.
    scores : (K, J) float64
        Of each, to be lowest; nothing if one is chosen for all.
    total : (K,) float64
        Sum of the errors in scales of their series, over the `count` series that have one.
    count : int
    clean : (n,) int64
        Positions in `judged` (of one choice for all, 0) where smaller candidates were tried too.
    windows : Windows
        Of these.
    """

    grid: FloatArray
    pooled: bool
    shrinks: bool
    doubts: bool
    n_series: int
    judged: IntArray
    n_windows: IntArray
    scores: FloatArray
    total: FloatArray
    count: int
    clean: IntArray
    windows: Windows

    @staticmethod
    def nothing(problem: Problem) -> Tried:
        """Return what is known of series without a window to try candidates on."""
        grid, none = grid_of(problem), np.empty(0, dtype=np.int64)
        return Tried(
            grid, problem.pooled, problem.shrinks_to_forecasts, problem.doubts_other_maps, problem.panel.n_series, none,
            none, np.empty((len(grid), 0)), np.zeros(len(grid)), 0, none,
            Windows(np.empty((len(CANDIDATES), 0)), none, 0),
        )  # fmt: skip

    @staticmethod
    def of(
        part: Problem, validation: Validation, errors: FloatArray, n_series: int, judged: IntArray, clean: IntArray,
        windows: Windows,
    ) -> Tried:  # fmt: skip
        """Return what candidates have shown.

        Parameters
        ----------
        part : Problem
            Of the series that they were tried on.
        validation : Validation
            Their windows.
        errors : (candidates, S, C)
            Mean absolute error of each.
        n_series : int
            That a choice is made for.
        judged, clean, windows
            As in `Tried`.
        """
        grid = grid_of(part)
        found = errors[len(SMALLER) : len(SMALLER) + len(grid)]
        own, relative = validation.comparable(found), validation.relative(found)
        # Pooling over series needs errors without units; a scale that is 0 or unknown has no say in it.
        counts = validation.has_scale & (validation.n_windows > 0)
        scores, shrinks = own, part.shrinks_to_forecasts
        if shrinks:
            share = _shares(own)
            least = np.where(np.isfinite(relative), relative, np.inf).min(axis=0)
            counts = counts & np.isfinite(least)
            relative, scores = least * share, validation.n_windows * share
        return Tried(
            grid, part.pooled, shrinks, part.doubts_other_maps, n_series, judged, validation.n_windows,
            scores[:, :0] if part.pooled else scores, relative[:, counts].sum(axis=1),
            int(counts.sum()), clean, windows,
        )  # fmt: skip


def decide(tried: Sequence[Tried]) -> list[FloatArray]:
    """Return the ridges that are chosen by what was tried on all series, some in each of `tried`; (S,) each.

    The few windows of a short series are a noisy judge, and the panel's is a good one of what its series share: towards
    forecasts it has a say in the choice of each.
    """
    first, few = tried[0], len(SMALLER)
    count, n_judged = sum(part.count for part in tried), sum(len(part.judged) for part in tried)
    if n_judged == 0:
        blind = _FALLBACK_TO_PRIOR if first.shrinks else _FALLBACK
        return [np.full(part.n_series, blind) for part in tried]
    together = np.full(len(first.grid), np.inf)
    if count:
        together = np.sum([part.total for part in tried], axis=0) / count
    doubt = np.zeros(len(first.grid))
    if first.doubts:
        # Few windows of few series find a map better than smoothing, or corrections of one, by luck.
        doubt = _DOUBT / n_judged**0.5 * np.log10(first.grid[-1] / first.grid)
    panel = together
    if first.shrinks and count:
        panel = _PANEL * (together / (together.min() or 1.0))
    typical = _lowest(together[:, None], first.grid)[0]
    if first.pooled:
        best = few + np.searchsorted(first.grid, [typical])
        if len(first.clean):
            windows = [part.windows for part in tried]
            joined = Windows(
                np.concatenate([w.errors for w in windows], axis=1), np.concatenate([w.group for w in windows]), 1
            )
            best = joined.of_the_smaller(best)
        return [np.full(part.n_series, CANDIDATES[best[0]]) for part in tried]
    found = []
    for part in tried:
        ridge = np.full(part.n_series, typical)
        scores = part.scores + panel[:, None] if first.shrinks and count else part.scores
        best = few + np.searchsorted(first.grid, _lowest(scores + doubt[:, None], first.grid))
        if len(part.clean):
            best[part.clean] = part.windows.of_the_smaller(best[part.clean])
        ridge[part.judged] = np.array(CANDIDATES)[best]
        found.append(ridge)
    return found
