"""Which candidates are heard for which series, and how much: chosen by errors on trial, the same rule for all data.

Within a family the best few candidates of a series give their median; the families' forecasts are averaged, a family
the less the larger its error. A series' own errors say little where it has few windows: they are shrunk to those of the
whole panel. Combining beats picking (Bates & Granger 1969, The combination of forecasts, Operational Research Quarterly
20; Timmermann 2006, Forecast combinations, Handbook of Economic Forecasting 1); the constants were chosen inside the
training rows of M3 and M4 groups (docs/auto.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsforce.data.panel import FloatArray, IntArray
from tsforce.forecasting.auto.trials import Trial, TrialWindows

__all__ = ["Choice", "choose", "relative_errors", "shrunk"]

# Candidates of a family that are heard for a series.
_PICKED = 6
# A family's weight is its error to the power of minus this.
_POWER = 6.0
# Families that are heard for a series.
_FAMILIES = 4
# Forecast steps on trial at which a series' own errors count half.
_HALF = 20.0
# What counts as no error at all, and the error of who was never judged.
_NOTHING, _FAR = 1e-6, 1e3
# Candidates of a family that any series may pick from: the best on the panel.
_POOL = 12


@dataclass(frozen=True, eq=False)
class Choice:
    """Who is heard.

    Attributes
    ----------
    families : tuple of str, F
    family_of : (M,) int64
        Of each candidate.
    picked : (M, S) bool
        Whether a candidate is heard for a series within its family.
    weight : (F, S) float64
        Of each family; a series' weights add up to 1.
    """

    families: tuple[str, ...]
    family_of: IntArray
    picked: Any
    weight: FloatArray

    def shares(self) -> FloatArray:
        """Return each candidate's share of each series' forecast, (M, S): its family's, divided among those picked."""
        count = np.zeros(self.weight.shape)
        np.add.at(count, self.family_of, self.picked)
        share: FloatArray = self.picked * (self.weight / np.maximum(count, 1))[self.family_of]
        return share

    def of(self, members: Sequence[int]) -> Choice:
        """Return the choice among some of the candidates."""
        chosen = np.asarray(members, dtype=np.int64)
        return Choice(self.families, self.family_of[chosen], self.picked[chosen], self.weight)

    def everywhere(self, n_series: int) -> Choice:
        """Return the first series' choice for so many of them."""
        picked, weight = (np.repeat(part[:, :1], n_series, axis=1) for part in (self.picked, self.weight))
        return Choice(self.families, self.family_of, picked, weight)

    def first_alone(self, series: Any) -> Choice:
        """Return the choice with the first candidate alone for some series, (S,) bool."""
        picked, weight = (np.where(series[None], False, part) for part in (self.picked, self.weight))
        picked[0, series], weight[self.family_of[0], series] = True, 1.0
        return Choice(self.families, self.family_of, picked, weight)

    def combine(self, stack: FloatArray, series: IntArray) -> FloatArray:
        """Return one forecast for each window, (W, H, C), from the candidates' (M, W, H, C); NaN where there is none.

        Parameters
        ----------
        stack : (M, W, H, C) float64
            NaN where a candidate has no forecast.
        series : (W,) int64
            Of each window.
        """
        total = np.zeros(stack.shape[1:])
        weight = np.zeros(stack.shape[1:])
        for number in range(len(self.families)):
            mine = np.flatnonzero(self.family_of == number)
            if len(mine) == 0:
                continue
            heard = self.picked[mine][:, series, None, None]
            own = median_of(np.where(heard, stack[mine], np.nan))
            known: Any = ~np.isnan(own)
            share = self.weight[number][series][:, None, None] * known
            total += np.where(known, own, 0.0) * share
            weight += share
        # Where the families with weight have no forecast, any that has one will do.
        lacking: Any = ~(weight > 0)
        if lacking.any():
            any_of = median_of(stack)
            total = np.where(lacking, any_of, total)
        return np.where(lacking, total, total / np.where(lacking, 1.0, weight))


def median_of(stack: FloatArray) -> FloatArray:
    """Return the median over the first axis of what is there, NaN where nothing is."""
    ordered = np.sort(stack, axis=0)
    count = (~np.isnan(stack)).sum(axis=0)[None]
    low, high = (np.take_along_axis(ordered, np.maximum(k, 0), axis=0)[0] for k in ((count - 1) // 2, count // 2))
    return np.where(count[0] > 0, 0.5 * (low + high), np.nan)


def choose(trials: Sequence[Trial], windows: TrialWindows, *, each: bool = True) -> Choice:
    """Return who is heard for each series of the windows' panel.

    Parameters
    ----------
    trials : sequence of Trial
        The first one is of a reference that forecasts every series.
    windows : TrialWindows
    each : bool
        Whether a series' own errors have a say; else all have the panel's choice.
    """
    families = tuple(dict.fromkeys(trial.candidate.family for trial in trials))
    family_of = np.array([families.index(trial.candidate.family) for trial in trials])
    fits: Any = np.stack([trial.fits for trial in trials])
    n_steps = windows.n_windows * windows.truth.shape[1]
    if not each:
        # Who cannot fit a series will be missing there when it is forecast.
        fits, n_steps = np.repeat(fits.any(axis=1)[:, None], fits.shape[1], axis=1), 0 * n_steps
    own = shrunk(relative_errors([windows.by_series(t.errors) for t in trials]), fits, n_steps)
    picked = np.zeros(own.shape, dtype=bool)
    errors, able = [], []
    for number in range(len(families)):
        mine = np.flatnonzero(family_of == number)
        best = mine[np.argsort(_mean(np.where(np.isfinite(own[mine]), own[mine], np.nan), 1), kind="stable")[:_POOL]]
        rank = np.argsort(np.argsort(own[best], axis=0, kind="stable"), axis=0)
        picked[best] = (rank < _PICKED) & np.isfinite(own[best])
        alone = Choice(
            (families[number],), np.zeros(len(best), dtype=np.int64), picked[best], np.ones((1, own.shape[1]))
        )
        heard = picked[best][:, windows.index.series, None, None]
        stack = np.where(heard, np.stack([trials[i].yhat for i in best]), np.nan)
        yhat = alone.combine(stack, windows.index.series)
        errors.append(windows.by_series(windows.errors_of(yhat)))
        able.append(picked[best].any(axis=0))
    score = shrunk(relative_errors(errors), np.stack(able), n_steps)
    rank = np.argsort(np.argsort(score, axis=0, kind="stable"), axis=0)
    weight = np.where(np.isfinite(score) & (rank < _FAMILIES), np.exp(-_POWER * (score - score.min(axis=0))), 0.0)
    return Choice(families, family_of, picked, weight / weight.sum(axis=0))


def relative_errors(errors: Sequence[FloatArray]) -> FloatArray:
    """Return one error per candidate and series, (M, S), from (S, 2) of each: NaN where there is none.

    Half the sum of the error in scales and of sMAPE, each relative to what the first candidate has on the panel, as in
    the OWA of the M competitions; without sMAPE where that is not known.
    """
    stack = np.stack(errors)
    reference = _mean(stack[0], 0)
    return _mean(stack / np.where(reference > 0, reference, 1.0), -1)


def shrunk(errors: FloatArray, fits: Any, n_steps: IntArray) -> FloatArray:
    """Return logarithms of errors of each series, shrunk to the panel's, (M, S); inf where a candidate cannot fit.

    Parameters
    ----------
    errors : (M, S) float64
        NaN where a candidate has none.
    fits : (M, S) bool
    n_steps : (S,) int64
        Forecast steps that a series' errors come from.
    """
    middle = median_of(errors)
    own = np.log(np.maximum(errors, _NOTHING) / np.maximum(middle, _NOTHING))
    # Candidates that fit only some series are compared on these: with the first one, which fits all.
    known: Any = ~np.isnan(errors) & ~np.isnan(errors[:1])
    total, reference = (np.where(known, part, 0.0).sum(axis=1) for part in (errors, errors[:1]))
    mean = np.where(known.any(axis=1), total / np.maximum(reference, _NOTHING), _FAR)
    panel = np.log(np.maximum(mean, _NOTHING))
    panel -= np.median(panel)
    share = np.where(np.isnan(middle), 0.0, n_steps / (n_steps + _HALF))
    found: FloatArray = share * np.nan_to_num(own) + (1 - share) * panel[:, None]
    return np.where(fits, found, np.inf)


def _mean(values: FloatArray, axis: int) -> FloatArray:
    """Return the mean of what is there, NaN where nothing is."""
    known: Any = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
