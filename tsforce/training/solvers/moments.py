"""Closed-loop training of linear maps of lags on moments: no row is read while weights move.

The loss of a map is ``s L_1 + (1 - s) c mean_h L_h`` and the ridge's penalty: L_h is the mean squared error h steps
ahead of all cutoffs, s the policy's share of truth, and c = L_1 / mean_h L_h at the start, so that the penalty means as
much under any share. With s = 1 the start, open loop by least squares, is where it is lowest: that share is what holds
a map near it. Groups are independent; all of them take their steps side by side, each with its own length: L-BFGS
(Nocedal 1980, "Updating quasi-Newton matrices with limited storage") in the coordinates of the ridge's Cholesky factor.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import ragged_rows
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.training.problem import Problem
from tsforce.training.solvers.keeping import State
from tsforce.training.solvers.looks import Lesson, Looks, Trained, Watch, finite_mean
from tsforce.training.solvers.priors import Prior
from tsforce.training.solvers.roll_moments import RollMoments, adjoint, coefficients

__all__ = ["Settings", "at_once", "train", "why_not"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Bytes of moments of series side by side: more would leave the cache between one use and the next.
_CHUNK_BYTES = 2**25
# Of what a step should lower the loss by, the share that it must; what a refused one is shortened to.
_ENOUGH, _SHORTER = 1e-4, 0.3
# Lower by no more than this share of the loss is no lower.
_NOTHING = 1e-9


@dataclass(frozen=True)
class Settings:
    """How the solver runs.

    Attributes
    ----------
    max_steps : int
        Steps planned; schedules are relative to it.
    reach : float
        Of a full step, what is taken at most: short ones leave more to choose from between the start and the end.
    huber_threshold : float or None
        k of Huber's loss; None: squares.
    memory : int
        Pairs of steps and changes of the gradient that are remembered.
    round : int
        Steps after which truths under Huber's loss are moved again.
    looks, patience, time_limit
        As in ``gradient.Settings``.
    """

    max_steps: int
    reach: float = 1.0
    huber_threshold: float | None = None
    memory: int = 8
    round: int = 6
    looks: int = 20
    patience: int = 8
    time_limit: float | None = None

    @property
    def every(self) -> int:
        """Steps from one look to the next."""
        return max(1, math.ceil(self.max_steps / self.looks))

    def with_steps(self, max_steps: int) -> Settings:
        """Return the same settings for another number of steps."""
        return replace(self, max_steps=max(1, max_steps))


def at_once(layout: LagLayout) -> int:
    """Return how many series are to be trained side by side."""
    return max(1, _CHUNK_BYTES // (8 * (layout.reach + 1) ** 2))


def why_not(problem: Problem) -> str | None:
    """Return what of a problem moments do not do; None if they do all of it."""
    layout = problem.layout
    reasons = {
        "several targets": len(layout.channels) > 1,
        "inputs": layout.has_inputs,
        "features of the target": bool(layout.features),
        "a map without lags": not layout.lags,
        "missing values": bool(np.isnan(problem.panel.values).any()),
    }
    return next((words for words, there in reasons.items() if there), None)


@dataclass(frozen=True, eq=False)
class Held:
    """What holds the maps of G groups near their start.

    Attributes
    ----------
    ridge : (G,) float64
        The penalty of the start.
    intercept : (G,) bool
        Whether constants may move.
    prior : Prior or None
        What else the start was held by: how much more some lags than others, and the constant.
    """

    ridge: FloatArray
    intercept: BoolArray
    prior: Prior | None = None


def train(model: Linear, lesson: Lesson, watch: Watch, settings: Settings, held: Held) -> Trained:
    """Train `model` in place and return what was chosen.

    Parameters
    ----------
    model : Linear
        G groups, lags of one target: the open-loop solution.
    lesson : Lesson
        Of a policy that mixes shares of truth.
    watch : Watch
    settings : Settings
    held : Held
    """
    whole, some = model, None
    if watch.stop_at is not None and not (watch.stop_at > 0).all():
        # What is to stay costs nothing.
        some = np.flatnonzero(watch.stop_at > 0)
        cutoffs = lesson.cutoffs
        series, first, last = (
            [side[g] for g in some] for side in (cutoffs.series, cutoffs.first_rows, cutoffs.last_rows)
        )
        lesson = replace(lesson, cutoffs=replace(cutoffs, series=series, first_rows=first, last_rows=last))
        lesson = replace(lesson, keys=lesson.keys[some])
        watch = replace(watch, stop_at=watch.stop_at[some])
        held = replace(held, ridge=held.ridge[some], intercept=held.intercept[some])
        model = whole.groups(torch.from_numpy(some))
    learner = _Descent(model, lesson, settings, held)
    trained = Looks(lesson, watch, settings).run(learner)
    learner.put(learner.theta if watch.validate is None else learner.best)
    if some is not None:
        whole.weight.data[some], whole.bias.data[some] = model.weight.detach(), model.bias.detach()
    return trained


class _Point(NamedTuple):
    """Weights (G, P), what they say at each step (G, H, P), squared errors (G, H), half their gradient (G, H, P)."""

    theta: Tensor
    a: Tensor
    errors: Tensor
    gap: Tensor


class _Descent:
    """Maps on their way down.

    Attributes
    ----------
    theta, best : (G, P)
        Weights of lags 1, 2, ..., and the constant, relative to the origin of the moments: now, and the best so far.
    active, diverged : (G,) bool
    """

    def __init__(self, model: Linear, lesson: Lesson, settings: Settings, held: Held) -> None:
        self.model, self.lesson, self.settings = model, lesson, settings
        own = torch.from_numpy(held.intercept).to(model.weight.device)
        self.moments = RollMoments(lesson, model.layout.reach, self._origin(own), settings.huber_threshold)
        lags = torch.tensor(model.layout.lags, device=own.device)
        self._columns = torch.cat([lags - 1, lags.new_tensor([self.moments.reach])])
        self.theta = self._theta()
        self.best = self.theta.clone()
        free = torch.zeros_like(self.theta)
        free[:, self._columns] = 1.0
        free[:, -1] = own.to(free)
        self._free = free
        self._penalty, self._factor, self._unit = self._measures(held)
        a = coefficients(self.theta, lesson.horizon)
        self.moments.pull_in(a)
        self._weights = self._step_weights(a)
        self._start, self._pull = self.theta.clone(), torch.zeros_like(free)
        self._point = self._at(self.theta)
        # Of one step alone, the penalty's slope at the start is what is left to balance, wherever it pulls to.
        self._pull = self._tell(self._point, 1.0)[1]
        self._loss, self._slope = self._tell(self._point, 1.0)
        self._share = 1.0
        self._length = torch.full_like(free[:, :1], settings.reach)
        self._pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=settings.memory)
        self.diverged = ~torch.isfinite(self._point.errors).all(dim=1)
        self.active = ~self.diverged
        self._still = torch.zeros_like(self.active)

    def _origin(self, own: Tensor) -> Tensor:
        """Return the mean of each group's values where it has a constant and values are not scaled, (G,)."""
        store, cutoffs = self.lesson.cutoffs.store, self.lesson.cutoffs
        origin = store.values.new_zeros(len(own))
        if store.scaling is None:
            members = np.concatenate(cutoffs.series)
            counts = cutoffs.stops[members] - store.first
            rows = torch.from_numpy(ragged_rows(store.indptr[members] + store.first, counts)).to(own.device)
            of_series = np.repeat(np.arange(len(own)), [len(series) for series in cutoffs.series])
            group = torch.from_numpy(np.repeat(of_series, counts)).to(own.device)
            total = origin.index_add(0, group, store.values[rows, 0])
            origin = total / torch.bincount(group, minlength=len(own)).clamp(min=1)
        return torch.where(own, origin, 0.0)

    def _theta(self) -> Tensor:
        """Return the model's weights, of lag 1 first, and its constant relative to the origin, (G, P)."""
        weight = self.model.weight.detach()[:, :, 0].flip(1)
        theta = weight.new_zeros(len(weight), self.moments.reach + 1)
        theta[:, self._columns[:-1]] = weight
        theta[:, -1] = self.model.bias.detach()[:, 0] + self.moments.origin * (weight.sum(dim=1) - 1)
        return theta

    def put(self, theta: Tensor) -> None:
        """Set the model's weights."""
        weight = theta[:, self._columns[:-1]]
        self.model.weight.data.copy_(weight.flip(1)[..., None])
        self.model.bias.data[:, 0] = theta[:, -1] - self.moments.origin * (weight.sum(dim=1) - 1)

    def _measures(self, held: Held) -> tuple[Tensor, Tensor, Tensor]:
        """Return the penalty of each weight, (G, P), and the Cholesky factor of X'X with it, in units (G, D)."""
        moments = self.moments
        rows = moments.counts[:, :1].clamp(min=1)
        mean, second = moments.xx[:, :, -1] / rows, moments.xx.diagonal(dim1=1, dim2=2) / rows
        penalty = torch.from_numpy(held.ridge).to(rows)[:, None] * (second - mean**2).clamp(min=0)
        penalty[:, -1] = 0.0
        if held.prior is not None:
            # Of columns from the oldest lag on. A constant that its own doubt holds starts where that has put it.
            penalty[:, self._columns[:-1].flip(0)] *= held.prior.factors.to(penalty)
            penalty[:, -1] = (held.prior.held or 0.0) * rows[:, 0]
        free, own = self._free[:, self._columns], second[:, self._columns]
        # What does not vary, as lag 1 relative to the last value, is moved by what is fed back alone.
        usual = own.amax(dim=1, keepdim=True)
        unit = torch.where(own > 1e-10 * usual, own, usual.clamp(min=1e-300)).sqrt()
        metric = moments.xx[:, self._columns][:, :, self._columns] + torch.diag_embed(penalty[:, self._columns])
        metric = metric / rows[:, :, None] / unit[:, :, None] / unit[:, None, :]
        metric = metric * free[:, :, None] * free[:, None, :]
        diagonal = metric.diagonal(dim1=1, dim2=2)
        diagonal.add_(torch.where(diagonal > 1e-10, 1e-10, 1.0))
        factor, failed = torch.linalg.cholesky_ex(metric)
        if bool((failed > 0).any()):
            bad = failed > 0
            nudge = 1e-6 * torch.eye(metric.shape[1]).to(metric)
            factor[bad] = torch.linalg.cholesky_ex(metric[bad] + nudge).L
        return penalty, factor, unit * rows.sqrt()

    def _step_weights(self, a: Tensor) -> Tensor:
        """Return what squared errors of each step count in the mean over steps, (G, H)."""
        counts = self.moments.counts
        mean = self.moments.errors(a)[0] / counts.clamp(min=1)
        there = (counts > 0).to(mean)
        all_of_them = (mean * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)
        size = self.moments.yy.sum(dim=1) / counts.sum(dim=1).clamp(min=1)
        told = (all_of_them > 1e-12 * size) & torch.isfinite(all_of_them)
        scale = torch.where(told, mean[:, 0] / torch.where(told, all_of_them, 1.0), 1.0).clamp(min=0)
        share = scale / there.sum(dim=1).clamp(min=1)
        return there * share[:, None] * counts[:, :1] / counts.clamp(min=1)

    # ---- loss

    def _at(self, theta: Tensor) -> _Point:
        a = coefficients(theta, self.lesson.horizon)
        return _Point(theta, a, *self.moments.errors(a))

    def _tell(self, at: _Point, share: float) -> tuple[Tensor, Tensor]:
        """Return the loss (G,) and its gradient (G, P)."""
        weights = (1 - share) * self._weights
        weights[:, 0] += share
        gap = at.theta - self._start
        own = 2 * self._penalty * gap
        slope = adjoint(at.theta, at.a, 2 * weights[:, :, None] * at.gap) + own - self._pull
        loss = (weights * at.errors).sum(dim=1) + ((0.5 * own - self._pull) * gap).sum(dim=1)
        return loss, slope * self._free

    # ---- one step

    def advance(self, step: int, looks: Looks) -> None:
        """Take a step in every active group: a trial, which is taken if it lowers the loss enough, else shortened."""
        share = float(self.lesson.forcing.ratio(looks.moment(step)))
        again = step > 0 and step % self.settings.round == 0 and self.settings.huber_threshold is not None
        if again:
            self.moments.pull_in(self._point.a)
            self._point = self._at(self.theta)
        if again or share != self._share:
            self._share = share
            self._loss, self._slope = self._tell(self._point, share)
        way = self._way()
        down = (way * self._slope).sum(dim=1)
        uphill = ~(down < 0)
        if bool(uphill.any()):
            way = torch.where(uphill[:, None], self._plain(self._slope), way)
            down = (way * self._slope).sum(dim=1)
        trial = self._at(self.theta + self._length * way)
        loss, slope = self._tell(trial, share)
        # Where next to nothing is to be won, rounding would decide whether a step is taken.
        self._still = ~(-down > _NOTHING * self._loss.abs())
        taken = (loss <= self._loss + _ENOUGH * self._length[:, 0] * down) & ~self._still & self.active
        self._remember(trial.theta - self.theta, slope - self._slope, taken)
        mine = taken[:, None]
        self._length = torch.where(mine, self.settings.reach, self._length * _SHORTER)
        self._loss, self._slope = torch.where(taken, loss, self._loss), torch.where(mine, slope, self._slope)
        if not bool(taken.all()):
            trial = _Point(
                *(torch.where(_wide(taken, new), new, old) for new, old in zip(trial, self._point, strict=True))
            )
        self._point, self.theta = trial, trial.theta

    def _plain(self, slope: Tensor) -> Tensor:
        """Return the step that would end one-step training under the penalty, (G, P)."""
        scaled = (slope[:, self._columns] / self._unit)[..., None]
        found = torch.zeros_like(slope)
        found[:, self._columns] = -0.5 * torch.cholesky_solve(scaled, self._factor)[..., 0] / self._unit
        return found * self._free

    def _way(self) -> Tensor:
        """Return the direction of L-BFGS, (G, P)."""
        left, shares = self._slope.clone(), []
        for moved, change, one in reversed(self._pairs):
            shares.append(one * (moved * left).sum(dim=1, keepdim=True))
            left -= shares[-1] * change
        way = -self._plain(left)
        for (moved, change, one), share in zip(self._pairs, reversed(shares), strict=True):
            way += moved * (share - one * (change * way).sum(dim=1, keepdim=True))
        return -way

    def _remember(self, moved: Tensor, change: Tensor, taken: Tensor) -> None:
        """Remember a step and how the slope changed with it, of the groups that took it."""
        product = (moved * change).sum(dim=1)
        good = (taken & (product > 1e-12 * (change**2).sum(dim=1)))[:, None]
        moved, change = torch.where(good, moved, 0.0), torch.where(good, change, 0.0)
        self._pairs.append((moved, change, torch.where(good, 1 / product[:, None], 0.0)))

    # ---- looks

    def tell(self, step: int) -> tuple[float, float]:
        """Return the mean loss of a cutoff; there is no learning rate."""
        if step == 0:
            return math.nan, math.nan
        per_cutoff = self._loss / self.moments.counts[:, 0].clamp(min=1)
        return finite_mean(per_cutoff.cpu().numpy()), math.nan

    @contextmanager
    def shown(self) -> Iterator[Linear]:
        """Give the model with the weights of now."""
        self.put(self.theta)
        yield self.model

    def keep(self, won: Tensor) -> None:
        """Remember the weights of some groups."""
        self.best[won] = self.theta[won]

    def state(self) -> None:
        """Return None: to take moments again costs as much as all steps on them."""

    def go_on(self, state: State, step: int, looks: Looks) -> None:
        """Nobody has kept a state."""
        raise NotImplementedError

    def over(self, step: int, looks: Looks) -> bool:
        """Return whether no group that is active has anywhere left to go, and the share of truth has settled."""
        # Truths that were not moved since say nothing of where Huber's loss leads.
        known = self.settings.huber_threshold is None or (step - 1) % self.settings.round == 0
        return known and bool(looks.settled(step).all()) and bool((self._still | ~self.active).all())


def _wide(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *([1] * (like.dim() - 1)))
