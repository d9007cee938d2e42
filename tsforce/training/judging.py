"""Judging models on held-out windows, closed loop: what choices between steps, rounds and modes look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import IntArray
from tsforce.dynamics.forcing import ClosedLoop, Forcing, OpenLoop
from tsforce.training.closed_loop import forecast_windows
from tsforce.training.problem import Learnt, Problem, Validation

__all__ = ["Judge", "no_better"]

FloatArray = npt.NDArray[np.float64]


def no_better(values: FloatArray, reference: FloatArray, group: IntArray, n_groups: int) -> npt.NDArray[np.bool_]:
    """Return the groups whose errors are not lower than the reference's by more than one standard error, (G,).

    The rule of one standard error (Breiman et al. 1984) in pairs, over windows. The lowest of many looks at a few
    windows is lower by luck alone. With a single pair there is no such error, and nothing is shown. Where the reference
    diverged, anything finite is better.
    """
    finite = np.isfinite(values)
    rescued = np.bincount(group, finite & ~np.isfinite(reference), minlength=n_groups) > 0
    spoilt = np.bincount(group, ~finite, minlength=n_groups) > 0
    difference = np.where(finite & np.isfinite(reference), values - np.where(np.isfinite(reference), reference, 0), 0)
    count = np.bincount(group, minlength=n_groups)
    mean = np.bincount(group, difference, minlength=n_groups) / np.maximum(count, 1)
    square = np.bincount(group, (difference - mean[group]) ** 2, minlength=n_groups)
    error = np.sqrt(square / np.maximum(count - 1, 1) / np.maximum(count, 1))
    size = np.bincount(group, np.where(np.isfinite(reference), reference, 0), minlength=n_groups) / np.maximum(count, 1)
    # A millionth of the error is rounding, however regular.
    lower = (mean < -error - 1e-6 * size) | rescued
    return ~(lower & ~spoilt & (count > 1))


class Judge:
    """From a model to the closed-loop and one-step validation errors of its groups, in seasonal-naive scales.

    Attributes
    ----------
    unit : (n,) int64
        Group of each window that `detail` returns the error of.
    """

    def __init__(self, problem: Problem, learnt: Learnt, validation: Validation) -> None:
        self.problem, self.learnt, self.validation = problem, learnt, validation
        series = validation.index.series
        self._windows = ~np.isnan(validation.relative_windows(np.zeros_like(validation.truth)))
        self.unit = np.zeros(int(self._windows.sum()), dtype=np.int64) if problem.pooled else series[self._windows]

    def _forecast(self, model: Any, forcing: Forcing) -> FloatArray:
        yhat, _ = forecast_windows(
            self.learnt.store, model, self.learnt.guard, self.validation.index, self.problem.horizon,
            groups=self.problem.groups, forcing=forcing,
        )  # fmt: skip
        return yhat

    def __call__(self, model: Any) -> tuple[FloatArray, FloatArray]:
        """Return closed-loop and one-step errors, (G,) each; NaN for a group without a window or a scale."""
        both = []
        for forcing in (ClosedLoop(), OpenLoop()):
            error = self.validation.relative(self.validation.errors(self._forecast(model, forcing)))
            if self.problem.pooled:
                known = error[~np.isnan(error)]
                error = np.array([known.mean() if len(known) else np.nan])
            both.append(error)
        return both[0], both[1]

    def detail(self, model: Any) -> FloatArray:
        """Return the closed-loop errors of the windows that can be judged, (n,)."""
        yhat = self._forecast(model, ClosedLoop())
        return self.validation.relative_windows(yhat)[self._windows]
