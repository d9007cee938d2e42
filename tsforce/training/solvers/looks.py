"""Looks at a training run: what validation says at each, which weights are kept, and who has waited long enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray
from tsforce.dynamics.forcing import Forcing, Moment
from tsforce.training.history import History, Record

__all__ = ["Looks", "Trained", "Validate", "finite_mean"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
# From a model to closed-loop and one-step validation errors of each group, (G,) each; NaN: it cannot be judged.
Validate = Callable[[Any], tuple[FloatArray, FloatArray]]


def finite_mean(values: FloatArray) -> float:
    """Return the mean of the finite values; NaN without any.

    Examples
    --------
    >>> finite_mean(np.array([1.0, 3.0, np.inf]))
    2.0
    """
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


@dataclass(frozen=True, eq=False)
class Trained:
    """The outcome of a run.

    Attributes
    ----------
    best_step : (G,) int64
        Steps after which each group had its lowest closed-loop validation error (0: the start was never bettered).
    error : (G,) float64
        That error; NaN without validation.
    diverged : (G,) bool
        Groups that met a loss or weights that are not finite, and were set back to their last good weights.
    closed_loop : (K, G) float64, optional
        Closed-loop validation errors of all looks, that before the first step first; None without validation.
    """

    best_step: IntArray
    error: FloatArray
    diverged: BoolArray
    closed_loop: FloatArray | None = None


class Looks:
    """The looks of one run.

    Parameters
    ----------
    forcing : Forcing
    horizon : int
    keys : (G,) int64
    total, every : int
        Steps planned, and from one look to the next.
    patience : int
        Looks without a better closed-loop error after which a group is to stop, counted once the policy has settled.
    history : History
        Gets a record per look.
    run, mode : str
        Names of the run and of `forcing` in the history.
    validate : callable, optional
    keep_start : bool
        Whether the weights before the first step may be kept.
    replay : (K, G) float64, optional
        Closed-loop validation errors that an adaptive schedule is to follow in a run without validation.

    Attributes
    ----------
    gains : list of (G,) tensors
        What policies have measured so far; filled by the solver.
    """

    def __init__(
        self,
        forcing: Forcing,
        horizon: int,
        keys: Tensor,
        *,
        total: int,
        every: int,
        patience: int,
        history: History,
        run: str,
        mode: str,
        validate: Validate | None,
        keep_start: bool,
        replay: FloatArray | None,
    ) -> None:
        self.forcing, self.horizon, self.keys = forcing, horizon, keys
        self.total, self.every, self.patience = total, every, patience
        self.history, self.run, self.mode = history, run, mode
        self.validate, self.keep_start = validate, keep_start
        n_groups = len(keys)
        self.best_step = np.zeros(n_groups, dtype=np.int64)
        self.error = np.full(n_groups, np.nan)
        self._waited = np.zeros(n_groups, dtype=np.int64)
        # What policies may follow. Without any error a group is one that cannot be judged.
        self._errors: list[FloatArray] = []
        if validate is None:
            self._errors = list(np.full((1, n_groups), np.nan) if replay is None else replay)
        self.gains: list[Tensor] = []
        self._began = time.process_time()

    @property
    def seconds(self) -> float:
        """CPU seconds since the run began."""
        return time.process_time() - self._began

    @property
    def going(self) -> BoolArray:
        """Groups that have not waited in vain for too long, (G,)."""
        return np.asarray(self._waited < self.patience)

    def moment(self, step: int) -> Moment:
        """Return the moment before a step, with the looks taken and the gains measured by then."""
        seen = self._errors[: step // self.every + 1]
        return Moment(
            step, self.total, step // self.every, self.keys,
            closed_loop=torch.from_numpy(np.stack(seen)) if seen else None,
            gains=torch.stack(self.gains) if self.gains else None,
        )  # fmt: skip

    def settled(self, step: int) -> BoolArray:
        """Return whether what is learnt from changes no more after a step, (G,) or (1,)."""
        settled: BoolArray = (
            self.forcing.settled(self.horizon, self.moment(step), self.moment(self.total)).cpu().numpy()
        )
        return settled

    def take(self, step: int, model: Any, active: BoolArray, loss: float, rate: float) -> BoolArray:
        """Look at a model after a step, and return the groups whose weights are the best so far, (G,).

        Parameters
        ----------
        step : int
        model : StepModel
        active : (G,) bool
            Groups that have not stopped.
        loss, rate : float
            Training loss since the last look and learning rate, for the history.
        """
        won = np.zeros(len(self.keys), dtype=bool)
        closed = one = np.full(len(self.keys), np.nan)
        if self.validate is not None:
            closed, one = self.validate(model)
            self._errors.append(closed)
            # A group that cannot be judged keeps its latest weights, and takes every step.
            unjudged = np.isnan(closed)
            won = (unjudged | (closed < self.error) | np.isnan(self.error)) & active & (self.keep_start or step > 0)
            self.error[won], self.best_step[won] = closed[won], step
            # While truth is still being taken away, a worse look says nothing about what comes after.
            self._waited = np.where(won | unjudged | ~self.settled(step), 0, self._waited + 1)
        self.history.add(
            Record(
                self.run, self.mode, step // self.every, step, loss, finite_mean(one), finite_mean(closed),
                self.forcing.ratio(self.moment(step)), rate, self.seconds,
            )
        )  # fmt: skip
        return won

    def end(self, diverged: BoolArray) -> Trained:
        """Return the outcome, after a note of the groups that diverged."""
        if diverged.any():
            self.history.n_diverged += int(diverged.sum())
            self.history.notes.append(
                f"{int(diverged.sum())} of {len(self.keys)} models diverged in run {self.run!r}; their last good "
                f"weights were kept."
            )
        judged = None if self.validate is None else np.stack(self._errors)
        return Trained(self.best_step, self.error, diverged, judged)
