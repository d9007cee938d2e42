"""Looks at a training run, from one to the next: what validation says, which weights are kept, and who stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray
from tsforce.dynamics.forcing import Forcing, Moment
from tsforce.training.history import History, Record
from tsforce.training.processes import ALONE, Processes
from tsforce.training.solvers.keeping import Keeper, State
from tsforce.training.solvers.usable_windows import Cutoffs

__all__ = ["Lesson", "Looks", "Trained", "Validate", "Watch", "finite_mean"]

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


@dataclass(frozen=True, eq=False)
class Lesson:
    """What the models of a run learn from, and under which policy.

    Attributes
    ----------
    cutoffs : Cutoffs
        Of the windows of G groups.
    horizon : int
        H, the steps of a training window.
    forcing : Forcing
    keys : (G,) int64
        Draws of each group are keyed by it.
    mode : str
        Name of `forcing` in the history.
    scale : (S, C) float64, optional
        Of each series and target, for ``loss_space="level"``; above 0.
    processes : Processes
        That each learn from their part of every batch.
    """

    cutoffs: Cutoffs
    horizon: int
    forcing: Forcing
    keys: Tensor
    mode: str
    scale: FloatArray | None = None
    processes: Processes = ALONE


@dataclass(frozen=True, eq=False)
class Watch:
    """Who looks at a run, and what is to come of it.

    Attributes
    ----------
    history : History
        Gets a record per look.
    run : str
        Name of the run there.
    validate : callable, optional
        Returns closed-loop and one-step validation errors of each group, (G,) each, NaN for a group that cannot be
        judged. With it the weights of each group's lowest closed-loop error are kept.
    keep_start : bool
        Whether the weights before the first step may be those.
    stop_at : (G,) int64, optional
        Steps after which each group stops learning (for a final run).
    replay : (K, G) float64, optional
        Closed-loop validation errors that an adaptive schedule is to follow in a run without validation.
    checkpoint : Keeper, optional
        Where the run keeps how far it has got, and goes on from.
    """

    history: History
    run: str
    validate: Validate | None = None
    keep_start: bool = True
    stop_at: IntArray | None = None
    replay: FloatArray | None = None
    checkpoint: Keeper | None = None

    def numbered(self, phase: int) -> Watch:
        """Return the watch over one of the phases of a run."""
        return replace(self, checkpoint=self.checkpoint and self.checkpoint.within(f"{self.run}-{phase}"))


class Pace(Protocol):
    """What the settings of every solver say."""

    @property
    def max_steps(self) -> int:
        """Steps planned; schedules are relative to it."""
        ...

    @property
    def every(self) -> int:
        """Steps from one look to the next."""
        ...

    @property
    def patience(self) -> int:
        """Looks without a better closed-loop error after which a group stops, counted once the policy has settled."""
        ...

    @property
    def time_limit(self) -> float | None:
        """CPU seconds after which the run ends where it is; None: never."""
        ...


class Learner(Protocol):
    """A model in training, as the loop over looks sees it.

    Attributes
    ----------
    active : (G,) bool
        Groups that have not stopped.
    diverged : (G,) bool
        Groups that met numbers that are not finite.
    """

    active: Tensor
    diverged: Tensor

    def advance(self, step: int, looks: Looks) -> None:
        """Take a step (0, 1, ...) in every active group."""
        ...

    def shown(self) -> AbstractContextManager[Any]:
        """Return a context in which the model has the weights that are to be judged, and gives it."""
        ...

    def keep(self, won: Tensor) -> None:
        """Remember what was shown as the best so far of the groups `won`, (G,) bool."""
        ...

    def tell(self, step: int) -> tuple[float, float]:
        """Return training loss since the last look, NaN where there is none, and learning rate at a step."""
        ...

    def over(self, step: int, looks: Looks) -> bool:
        """Return whether nothing will change any more after a step."""
        ...

    def state(self) -> State | None:
        """Return what it needs to go on after a look as if it had never stopped; None: it begins anew."""
        ...

    def go_on(self, state: State, step: int, looks: Looks) -> None:
        """Take the place of the learner that had a `state` after `step` steps."""
        ...


class Looks:
    """The looks of one run, and the loop over its steps from one to the next.

    Parameters
    ----------
    lesson : Lesson
    watch : Watch
    pace : Pace

    Attributes
    ----------
    gains : list of (G,) tensors
        What policies have measured so far; filled by the solver.
    """

    def __init__(self, lesson: Lesson, watch: Watch, pace: Pace) -> None:
        self.lesson, self.watch, self.pace = lesson, watch, pace
        n_groups = len(lesson.keys)
        self.best_step = np.zeros(n_groups, dtype=np.int64)
        self.error = np.full(n_groups, np.nan)
        self._waited = np.zeros(n_groups, dtype=np.int64)
        # What policies may follow. Without any error a group is one that cannot be judged.
        self._errors: list[FloatArray] = []
        if watch.validate is None:
            self._errors = list(np.full((1, n_groups), np.nan) if watch.replay is None else watch.replay)
        self.gains: list[Tensor] = []
        self._records: list[Record] = []
        self._began = time.process_time()

    def run(self, learner: Learner) -> Trained:
        """Train until the steps planned are taken, every group has stopped, or the time is up; return the outcome."""
        step, limit, why = self._begin(learner), self.pace.time_limit, "all steps taken"
        while step < self.pace.max_steps and bool(learner.active.any()):
            learner.advance(step, self)
            step += 1
            self._stop(learner, step)
            # The clock of one counts for all, or some would wait for others that have stopped.
            late = limit is not None and self.lesson.processes.of_first(self.seconds > limit)
            settled = learner.over(step, self)
            last = step == self.pace.max_steps or late or settled or not bool(learner.active.any())
            if step < self.pace.max_steps and (late or settled):
                why = "time limit" if late else "nothing changed any more"
            if step % self.pace.every == 0 or last:
                self._look(learner, step)
            if last:
                break
            if step % self.pace.every == 0:
                self._keep(learner, step)
        diverged = learner.diverged.cpu().numpy()
        reasons = np.full(len(diverged), why, dtype=object)
        if self.watch.stop_at is not None:
            reasons[self.watch.stop_at <= step] = "the steps chosen"
        reasons[self._waited >= self.pace.patience] = "no better look for long"
        reasons[diverged] = "diverged"
        counts = {reason: int((reasons == reason).sum()) for reason in dict.fromkeys(reasons)}
        self.watch.history.stopped(self.watch.run, self.lesson.mode, counts)
        return self._end(diverged)

    def _begin(self, learner: Learner) -> int:
        """Return the steps taken before: none after the first look, or those of a run that was stopped."""
        kept = None if self.watch.checkpoint is None else self.watch.checkpoint.read()
        if kept is None:
            self._stop(learner, 0)
            self._look(learner, 0)
            return 0
        step: int = kept["step"]
        self.best_step, self.error, self._waited = kept["best_step"], kept["error"], kept["waited"]
        self._errors = list(kept["errors"])
        self.gains = list(kept["gains"])
        for told in kept["records"]:
            self._tell(Record(*told))
        self._began = time.process_time() - self._records[-1].seconds
        learner.go_on(kept["learner"], step, self)
        return step

    def _keep(self, learner: Learner, step: int) -> None:
        """Keep how far the run has got, where that is asked for and due."""
        place = self.watch.checkpoint
        own = learner.state() if place is not None and place.due else None
        if place is None or own is None:
            return
        place.keep({
            "step": step,
            "best_step": self.best_step,
            "error": self.error,
            "waited": self._waited,
            "errors": np.stack(self._errors),
            "gains": torch.stack(self.gains) if self.gains else [],
            "records": [list(astuple(one)) for one in self._records],
            "learner": own,
        })  # fmt: skip

    def _tell(self, record: Record) -> None:
        self._records.append(record)
        self.watch.history.add(record)

    def _stop(self, learner: Learner, step: int) -> None:
        """Stop the groups that were to take so many steps."""
        if self.watch.stop_at is not None:
            learner.active &= torch.from_numpy(self.watch.stop_at > step).to(learner.active.device)

    def _look(self, learner: Learner, step: int) -> None:
        loss, rate = learner.tell(step)
        with learner.shown() as model:
            won = self.take(step, model, learner.active.cpu().numpy(), loss, rate)
        device = learner.active.device
        learner.keep(torch.from_numpy(won).to(device))
        learner.active &= torch.from_numpy(self._waited < self.pace.patience).to(device)

    @property
    def seconds(self) -> float:
        """CPU seconds since the run began."""
        return time.process_time() - self._began

    def moment(self, step: int) -> Moment:
        """Return the moment before a step, with the looks taken and the gains measured by then."""
        epoch = step // self.pace.every
        seen = self._errors[: epoch + 1]
        return Moment(
            step, self.pace.max_steps, epoch, self.lesson.keys,
            closed_loop=torch.from_numpy(np.stack(seen)) if seen else None,
            gains=torch.stack(self.gains) if self.gains else None,
        )  # fmt: skip

    def settled(self, step: int) -> BoolArray:
        """Return whether what is learnt from changes no more after a step, (G,) or (1,)."""
        now, end = self.moment(step), self.moment(self.pace.max_steps)
        settled: BoolArray = self.lesson.forcing.settled(self.lesson.horizon, now, end).cpu().numpy()
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
        won = np.zeros(len(self.error), dtype=bool)
        closed = one = np.full(len(self.error), np.nan)
        if self.watch.validate is not None:
            closed, one = self.watch.validate(model)
            self._errors.append(closed)
            # A group that cannot be judged keeps its latest weights, and takes every step.
            unjudged = np.isnan(closed)
            won = (unjudged | (closed < self.error) | np.isnan(self.error)) & active
            won &= self.watch.keep_start or step > 0
            self.error[won], self.best_step[won] = closed[won], step
            # While truth is still being taken away, a worse look says nothing about what comes after.
            self._waited = np.where(won | unjudged | ~self.settled(step), 0, self._waited + 1)
        moment = self.moment(step)
        self._tell(
            Record(
                self.watch.run, self.lesson.mode, moment.epoch, step, loss, finite_mean(one), finite_mean(closed),
                self.lesson.forcing.ratio(moment), rate, self.seconds,
            )
        )  # fmt: skip
        return won

    def _end(self, diverged: BoolArray) -> Trained:
        """Return the outcome, after a note of the groups that diverged."""
        if diverged.any():
            self.watch.history.n_diverged += int(diverged.sum())
            self.watch.history.notes.append(
                f"{int(diverged.sum())} of {len(diverged)} models diverged in run {self.watch.run!r}; their last good "
                f"weights were kept."
            )
        judged = None if self.watch.validate is None else np.stack(self._errors)
        return Trained(self.best_step, self.error, diverged, judged)
