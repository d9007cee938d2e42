"""Judging models on held-out windows, closed loop: what choices between steps, rounds and modes look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import stdtrit

from tsforce.data.panel import IntArray, WindowIndex
from tsforce.dynamics.draws import key_of, uniform
from tsforce.dynamics.forcing import ClosedLoop, Forcing, OpenLoop
from tsforce.dynamics.heads.headed import Headed
from tsforce.scoring.path_scores import crps
from tsforce.training.closed_loop import dtype_of, forecast_windows
from tsforce.training.problem import Learnt, Problem, Validation

__all__ = ["Judge", "no_better"]

FloatArray = npt.NDArray[np.float64]

# Paths by which laws are judged: the fair estimator needs two, and the numbers are the same at every look.
_PATHS = 16


def no_better(
    values: FloatArray, reference: FloatArray, group: IntArray, n_groups: int, level: float | None = None
) -> npt.NDArray[np.bool_]:
    """Return the groups whose errors are not lower than the reference's by more than one standard error, (G,).

    The rule of one standard error (Breiman et al. 1984) in pairs, over windows. The lowest of many looks at a few
    windows is lower by luck alone. With a single pair there is no such error, and nothing is shown. Where the reference
    diverged, anything finite is better.

    Parameters
    ----------
    values, reference : (n,) float64
        Errors of the windows.
    group : (n,) int64
        Of each window.
    n_groups : int
    level : float, optional
        In place of one standard error, as many as a one-sided paired t-test of this level asks for.
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
    least = 1.0 if level is None else stdtrit(np.maximum(count - 1, 1), 1 - level)
    lower = (mean < -least * error - 1e-6 * size) | rescued
    return ~(lower & ~spoilt & (count > 1))


class Judge:
    """From a model to the closed-loop and one-step validation errors of its groups, in seasonal-naive scales.

    Errors are absolute ones; of a model with a head, what they are of distributions: CRPS, of paths drawn by the same
    numbers at every look.

    Attributes
    ----------
    unit : (n,) int64
        Group of each window that `detail` returns the error of; of each block of a window that is one long simulation,
        up to ten of at least four steps: a long record has more of them to compare than a short one.
    """

    def __init__(self, problem: Problem, learnt: Learnt, validation: Validation) -> None:
        self.problem, self.learnt, self.validation = problem, learnt, validation
        self.blocks = validation.blocks
        series = self.blocks.index.series
        self._windows = ~np.isnan(self.blocks.relative_windows(np.zeros_like(self.blocks.truth)))
        self._numbers: FloatArray | None = None
        self.unit = np.zeros(int(self._windows.sum()), dtype=np.int64) if problem.pooled else series[self._windows]

    def _errors(self, model: Any, forcing: Forcing) -> FloatArray:
        """Return the errors of forecasts under a policy, (W, H, C), original units; NaN where there is no truth."""
        index = self.validation.index
        own = self.problem.processes.share(len(index))
        truth = self.validation.truth[own]
        numbers = self._drawn()[own] if isinstance(model, Headed) else None
        yhat, _ = forecast_windows(
            self.learnt.store, model, self.learnt.guard, WindowIndex(index.series[own], index.rows[own]),
            self.validation.horizon, groups=self.problem.groups, forcing=forcing, shocks=numbers,
        )  # fmt: skip
        if numbers is None:
            return self._of_all(np.abs(yhat - truth), len(index))
        paths = yhat.reshape(*numbers.shape[:4])
        scores = np.moveaxis(crps(np.moveaxis(truth, 2, 0), np.moveaxis(paths, 3, 0)), 0, 2)
        return self._of_all(scores, len(index))

    def _of_all(self, errors: FloatArray, n: int) -> FloatArray:
        """Return the errors of n windows from those that each process has judged."""
        if self.problem.processes.alone:
            return errors
        whole: FloatArray = self.problem.processes.joined(torch.from_numpy(np.ascontiguousarray(errors)), n).numpy()
        return whole

    def _drawn(self) -> FloatArray:
        """Return uniform numbers for paths of every window, (W, P, H, C, 2), the same for a series among any others."""
        if self._numbers is None:
            index, (_, *steps) = self.validation.index, self.validation.truth.shape
            ids = self.problem.panel.id_list
            keys = [key_of("judge", ids[i], int(row)) for i, row in zip(index.series, index.rows, strict=True)]
            self._numbers = uniform(torch.tensor(keys, dtype=torch.int64), [0], _PATHS, *steps, 2).numpy()
        return self._numbers

    def _one_step(self, model: Any) -> FloatArray:
        """Return the errors of forecasts of every step from the truth before it, (W, H, C)."""
        if self.problem.judged_share is None or not self._is_stateless(model):
            return self._errors(model, OpenLoop())
        # Without a state every step of a long window is a window of one step: all side by side, not one by one.
        truth, index = self.validation.truth, self.validation.index
        window, step = np.nonzero(~np.isnan(truth).all(axis=2))
        single = WindowIndex(index.series[window], index.rows[window] + step)
        own = self.problem.processes.share(len(single))
        found, _ = forecast_windows(
            self.learnt.store, model, self.learnt.guard, WindowIndex(single.series[own], single.rows[own]), 1,
            groups=self.problem.groups,
        )  # fmt: skip
        yhat = np.full(truth.shape, np.nan)
        yhat[window, step] = self._of_all(found[:, 0], len(single))
        return np.abs(yhat - truth)

    def _is_stateless(self, model: Any) -> bool:
        n_groups = 1 if self.problem.pooled else self.problem.panel.n_series
        past = self.learnt.store.values.new_zeros(
            n_groups, 1, self.problem.context_length, self.problem.panel.n_channels
        )
        # A past input that lies after the cutoff is read as it was at the cutoff, which another cutoff moves.
        return model.init_state(past.to(dtype_of(model))) is None and not self.problem.layout.past_exog

    def __call__(self, model: Any) -> tuple[FloatArray, FloatArray]:
        """Return closed-loop and one-step errors, (G,) each; NaN for a group without a window or a scale."""
        both = []
        for sizes in (self._errors(model, ClosedLoop()), self._one_step(model)):
            error = self.validation.relative(self.validation.series_means(sizes))
            if self.problem.pooled:
                known = error[~np.isnan(error)]
                error = np.array([known.mean() if len(known) else np.nan])
            both.append(error)
        return both[0], both[1]

    def detail(self, model: Any) -> FloatArray:
        """Return the closed-loop errors of the windows (or of their blocks) that can be judged, (n,)."""
        sizes = np.repeat(self._errors(model, ClosedLoop()), self.validation.n_blocks, axis=0)
        return self.blocks.relative_windows(sizes)[self._windows]
