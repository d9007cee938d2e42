"""The gradient solver: AdamW on multi-step roll-outs under any forcing policy.

Groups (series, for scope="local") are independent: the loss is summed over them, never averaged; clipping, keep-best
and early stop are their own; draws are keyed by series. A series fitted among others is fitted as if alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from tsforce.data.panel import IntArray
from tsforce.data.windows import WindowBatch
from tsforce.dynamics.capabilities import CAPABILITIES, Offer
from tsforce.dynamics.draws import uniform
from tsforce.dynamics.forcing import Moment, OpenLoop
from tsforce.dynamics.gain import feedback_gain
from tsforce.dynamics.heads.headed import Headed
from tsforce.dynamics.lags import Inputs
from tsforce.dynamics.models.base import StepModel
from tsforce.dynamics.parallel import parallel_rollout
from tsforce.dynamics.rollout import rollout
from tsforce.training.closed_loop import as_dtype, unit_of
from tsforce.training.losses import THRESHOLD, multi_step_loss, weighted_mean
from tsforce.training.solvers.keeping import State, moments_of, put_back, put_moments_back
from tsforce.training.solvers.looks import Lesson, Looks, Trained, Watch, finite_mean
from tsforce.training.solvers.professor import Professor

__all__ = ["OFFER", "SHARED", "Settings", "train"]

OFFER = Offer("AdamW", frozenset(CAPABILITIES), "a policy of tsforce.forcing")
# A discriminator would have to see all windows of a batch.
SHARED = OFFER.without(
    "discriminator", where="on several processes", instead="Training(processes=None), or another policy"
)


@dataclass(frozen=True)
class Settings:
    """How the gradient solver runs.

    Attributes
    ----------
    max_steps : int
        Steps planned; schedules are relative to it.
    batch_size : int
        Windows per step: of each series for scope="local", of all for "global".
    learning_rate : float
        The peak, after a linear warm-up over the first 5 % of steps; it then falls along a cosine to 0.
    loss : str
        Of a model with a head "nll" or "crps".
    huber_threshold : float
        Of a loss "huber", in robust scales of a step's own errors.
    loss_space : "model" or "level"
        Where the loss is taken: in model units, or on original units over the series' seasonal-naive scale, after the
        differentiable inverse. Under Difference a loss in model units does not see drift of the level.
    weight_decay, clip : float
        Of AdamW; largest norm of a group's gradient.
    averaging : float
        Decay of the running average of weights, which is what is validated and returned.
    looks : int
        Validations during a run.
    patience : int
        Looks without a better closed-loop error after which a group stops, counted once the forcing ratio has settled.
    time_limit : float or None
        CPU seconds after which the run ends where it is.
    """

    max_steps: int
    batch_size: int
    learning_rate: float
    loss: str = "mae"
    loss_space: str = "model"
    huber_threshold: float = THRESHOLD
    weight_decay: float = 0.0
    clip: float = 1.0
    averaging: float = 0.98
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

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step (0, 1, ...)."""
        warm = max(1, round(0.05 * self.max_steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.max_steps - warm)))


def train(model: nn.Module, lesson: Lesson, watch: Watch, settings: Settings) -> Trained:
    """Train `model` in place and return what was chosen.

    Parameters
    ----------
    model : StepModel that is a Module, every parameter with the leading axis G
    lesson : Lesson
    watch : Watch
    settings : Settings

    Raises
    ------
    ArgumentError
        If the model has a state, and the policy of the lesson is for models without.
    """
    learner = _Descent(model, lesson, settings)
    trained = Looks(lesson, watch, settings).run(learner)
    if learner.professor is not None:
        watch.history.notes.append(f"professor forcing, run {watch.run!r}: {learner.professor.told()}.")
    learner.put(learner.average if watch.validate is None else learner.best)
    return trained


class _Windows(NamedTuple):
    """What a step learns from.

    Attributes
    ----------
    series, rows : (G, B) int64
        Of the cutoffs.
    steps : int
        h, up to H.
    batch : WindowBatch
    past : (G, B, L, C)
        Up to the cutoff, model units.
    future : (G, B, h, C)
        After it, model units; 0 where there is nothing to learn.
    known : (G, B, h, C) bool
        Where there is.
    inputs : (past_exog, future_exog, static, calendar), optional
    first : int
        Place in the batch of the first of them: they are the part of it that this process learns from.
    """

    series: IntArray
    rows: IntArray
    steps: int
    batch: WindowBatch
    past: Tensor
    future: Tensor
    known: Tensor
    inputs: Inputs | None
    first: int


class _Descent:
    """A model on its way down: weights, their running average, the best of those, and who still moves.

    Attributes
    ----------
    average, best : lists of tensors, as the model's parameters
    active : (G,) bool
        Groups that have not stopped.
    diverged : (G,) bool
        Groups that met a loss or a gradient that is not finite.
    professor : Professor or None
    """

    def __init__(self, model: nn.Module, lesson: Lesson, settings: Settings) -> None:
        self.model, self.lesson, self.settings = model, lesson, settings
        self.step_model = cast(StepModel, model)
        self.parameters = list(model.parameters())
        # Another kind of machine rounds otherwise.
        lesson.processes.copy_first([p.data for p in self.parameters])
        for p in self.parameters:
            p.requires_grad_()
        self.device, self.dtype = self.parameters[0].device, self.parameters[0].dtype
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.average = [p.detach().clone() for p in self.parameters]
        self.best = [p.detach().clone() for p in self.parameters]
        self.keys = lesson.keys.to(self.device)
        self.totals = torch.from_numpy(lesson.cutoffs.totals).to(self.device)[:, None]
        self.active = torch.ones(len(self.keys), dtype=torch.bool, device=self.device)
        self.diverged = torch.zeros_like(self.active)
        self.losses: list[float] = []
        forcing = lesson.forcing
        self.roll: Callable[..., tuple[Tensor, Tensor | None]] = rollout
        if forcing.in_passes is not None:
            self.roll = partial(parallel_rollout, passes=forcing.in_passes[0], gradient=forcing.in_passes[1])
        self.professor = None
        if forcing.adversary is not None:
            channels = len(self.step_model.layout.channels)
            self.professor = Professor(forcing.adversary, self.keys, lesson.horizon, channels, self.dtype)

    # ---- one step

    def advance(self, step: int, looks: Looks) -> None:
        """Take a step in every active group."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate_at(step)
        windows = self._draw(looks.moment(step))
        every = self.lesson.forcing.measures_every
        if every is not None and step % every == 0:
            looks.gains.append(self._gain(windows))
        loss = self._descend(step, self._loss(windows, replace(looks.moment(step), first=windows.first)))
        self.losses.append(finite_mean(loss.double().cpu().numpy()))

    def _draw(self, moment: Moment) -> _Windows:
        """Return the windows of a step."""
        cutoffs = self.lesson.cutoffs
        u = uniform(self.keys, (2, moment.step), self.settings.batch_size)
        share = self.lesson.processes.share(u.shape[1])
        # Without a window of its own a process rolls out one that counts for nothing: the others wait for its sums.
        idle = share.start == share.stop
        u = u[:, :1] if idle else u[:, share]
        number = (u * self.totals).long().clamp(max=self.totals - 1).cpu().numpy()
        series, rows = (
            np.stack(side) for side in zip(*(cutoffs.numbered(g, own) for g, own in enumerate(number)), strict=True)
        )
        steps = self.lesson.forcing.steps(self.lesson.horizon, moment)
        batch = cutoffs.store.batch(series, rows, steps)
        assert batch.future is not None
        assert batch.future_mask is not None
        seen = torch.from_numpy(cutoffs.may_be_learnt(series, rows, steps)).to(self.device)
        known = batch.future_mask & seen[..., None] & (not idle)
        past, future = batch.past.to(self.dtype), torch.where(known, batch.future, 0.0).to(self.dtype)
        inputs = as_dtype(batch.inputs, self.dtype)
        return _Windows(series, rows, steps, batch, past, future, known, inputs, 0 if idle else share.start)

    def _gain(self, windows: _Windows) -> Tensor:
        """Return the gain of the feedback of each group, (G,)."""
        gain = feedback_gain(self.step_model, windows.past, windows.future, windows.known, windows.inputs).cpu()
        return self.lesson.processes.largest(gain)

    def _loss(self, windows: _Windows, moment: Moment) -> Tensor:
        """Return what these windows add to the loss of each group, (G,)."""
        forcing, horizon = self.lesson.forcing, self.lesson.horizon
        series, rows, steps, batch, past, future, known, inputs, _ = windows
        counts = known.to(past.dtype)
        weights = forcing.weights(horizon, moment)
        if weights is not None:
            counts = counts * weights.to(counts)[:, None, :steps, None]
        if isinstance(self.model, Headed):
            yhat, terms = self._of_head(self.model, windows, moment)
            extra = None if self.professor is None else self.professor.term(self.step_model, past, yhat, known, inputs)
            loss = weighted_mean(terms, counts, self._total(counts))
            return loss if extra is None else loss + loss.detach().abs() * extra
        yhat, fed = self.roll(
            self.step_model, past, steps, forcing, future=future, future_mask=known, moment=moment, inputs=inputs
        )
        extra = None if self.professor is None else self.professor.term(self.step_model, past, yhat, known, inputs)
        if self.settings.loss_space == "level":
            assert self.lesson.scale is not None
            store = self.lesson.cutoffs.store
            unit = torch.from_numpy(self.lesson.scale[series]).to(self.device)[:, :, None]
            yhat = store.to_levels(yhat.double(), batch, rows, None if fed is None else fed.double()) / unit
            future = torch.where(known, store.levels(series, rows + steps, steps)[0], 0.0) / unit
        counts = counts.to(yhat)
        loss = multi_step_loss(
            self.settings.loss, future, yhat, counts, self.settings.huber_threshold, total=self._total(counts),
            batch=partial(self.lesson.processes.joined, n=self.settings.batch_size, dim=1),
        )  # fmt: skip
        # In units of the loss, so that its weight means the same on any scale.
        return loss if extra is None else loss + loss.detach() * extra

    def _total(self, counts: Tensor) -> Tensor:
        """Return what all windows of the batch weigh, those of other processes too, (G,)."""
        total = counts.sum(dim=(1, 2, 3))
        self.lesson.processes.add_up([total])
        return total

    def _of_head(self, model: Headed, windows: _Windows, moment: Moment) -> tuple[Tensor, Tensor]:
        """Return the points of a model with a head, and the loss of its laws, (G, B, h, C) each.

        Minus the log-likelihood of each step's law, given what was fed: observed values, or points. Or CRPS: of that
        law too where truth alone is fed; else of the law that paths have at a step, each fed its own draws, from two
        of them: ``(|x - y| + |x' - y| - |x - x'|) / 2``, whose mean it is (Gneiting & Raftery 2007). Where draws jump,
        a step's own draws are averaged over by its two laws, and those fed before carry the gradient of their mean. A
        likelihood knows no such mean: given a draw, what was observed after another past is not what is to be expected
        (Huszar 2015, "How (not) to train your generative model").
        """
        _, _, steps, batch, past, y, known, inputs, _ = windows
        head, forcing = model.head, self.lesson.forcing
        roll = partial(
            rollout, model, past, steps, forcing, future=y, future_mask=known, moment=moment, inputs=inputs
        )  # fmt: skip
        unit = unit_of(self.lesson.cutoffs.store, batch).to(past.dtype) if head.of_counts else None
        table = model.table[:, None, None]
        if self.settings.loss == "crps" and forcing != OpenLoop():
            shape = (2, moment.first + past.shape[1], steps, past.shape[3], 2)
            numbers = uniform(self.keys, (12, moment.step), *shape, dtype=past.dtype)[:, :, moment.first :]
            one, two = (roll(pick=model.draws(numbers[:, i], unit), laws=not head.smooth)[0] for i in (0, 1))
            if not head.smooth:
                return one[..., 0], head.crps(one, y, table, unit, two)
            return one, 0.5 * ((one - y).abs() + (two - y).abs() - (one - two).abs())
        laws, _ = roll(laws=True)
        if self.settings.loss == "crps":
            return laws[..., 0], head.crps(laws, y, table, unit)
        return laws[..., 0], head.nll(laws, y, table, unit)

    def _descend(self, step: int, part: Tensor) -> Tensor:
        """Move the weights of active groups down the loss, and their average after them; return it, (G,).

        Parameters
        ----------
        part : (G,)
            What this process's windows add to it.
        """
        self.optimiser.zero_grad(set_to_none=True)
        part.sum().backward()
        loss = part.detach().clone()
        self.lesson.processes.add_up([loss, *(p.grad for p in self.parameters if p.grad is not None)])
        self.active, fresh = _clip(self.parameters, loss, self.active, self.settings.clip)
        self.diverged |= fresh
        if bool(fresh.any()):
            _copy([p.data for p in self.parameters], self.average, fresh)
        still = ~self.active
        before = [p.detach()[still].clone() for p in self.parameters] if bool(still.any()) else None
        self.optimiser.step()
        if before is not None:
            # Momentum would move them on.
            for p, old in zip(self.parameters, before, strict=True):
                p.data[still] = old
        decay = min(self.settings.averaging, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, p in zip(self.average, self.parameters, strict=True):
                a.lerp_(torch.where(_wide(self.active, p), p, a), 1 - decay)
        return loss

    # ---- looks

    def tell(self, step: int) -> tuple[float, float]:
        """Return the mean loss of the steps since the last look, and the learning rate."""
        loss = float(np.mean(self.losses)) if self.losses else math.nan
        self.losses.clear()
        return loss, self.settings.rate_at(min(step, self.settings.max_steps - 1))

    @contextmanager
    def shown(self) -> Iterator[nn.Module]:
        """Give the model with the average of its weights, which is what is judged."""
        own = [p.detach().clone() for p in self.parameters]
        self._set(self.average)
        try:
            yield self.model
        finally:
            self._set(own)

    def keep(self, won: Tensor) -> None:
        """Remember the average of some groups."""
        _copy(self.best, self.average, won)

    def over(self, step: int, looks: Looks) -> bool:
        """Return False: another batch says something else."""
        del step, looks
        return False

    def state(self) -> State:
        """Return the weights, what AdamW knows of them, and who still moves."""
        return {
            "weights": [list(tensors) for tensors in self._weights()],
            "moments": moments_of(self.optimiser, self.parameters),
            "active": self.active,
            "diverged": self.diverged,
            "professor": None if self.professor is None else self.professor.state(),
        }

    def go_on(self, state: State, step: int, looks: Looks) -> None:
        """Take the place of a descent that had a `state`."""
        del step, looks
        for own, kept in zip(self._weights(), state["weights"], strict=True):
            put_back(own, kept)
        put_moments_back(self.optimiser, self.parameters, state["moments"])
        put_back([self.active, self.diverged], [state["active"], state["diverged"]])
        if self.professor is not None:
            self.professor.go_on(state["professor"])

    def _weights(self) -> tuple[list[Tensor], ...]:
        """Return all that training moves, in place."""
        return [*self.parameters, *self.model.buffers()], self.average, self.best

    def put(self, weights: list[Tensor]) -> None:
        """Set the model's weights for good."""
        self._set(weights)
        for p in self.parameters:
            p.requires_grad_(False)

    def _set(self, weights: list[Tensor]) -> None:
        for p, w in zip(self.parameters, weights, strict=True):
            p.data.copy_(w)


def _wide(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *([1] * (like.dim() - 1)))


def _copy(into: list[Tensor], source: list[Tensor], groups: Tensor) -> None:
    for a, b in zip(into, source, strict=True):
        a[groups] = b[groups]


def _clip(parameters: list[nn.Parameter], loss: Tensor, active: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Clip each group's gradient; return the groups still active, and those that just diverged."""
    square = torch.zeros_like(loss)
    for p in parameters:
        if p.grad is not None:
            square += p.grad.flatten(start_dim=1).pow(2).sum(dim=1)
    norm = square.sqrt()
    bad = active & ~(torch.isfinite(norm) & torch.isfinite(loss))
    active = active & ~bad
    factor = torch.where(active, (clip / norm.clamp(min=1e-30)).clamp(max=1.0), 0.0)
    for p in parameters:
        if p.grad is not None:
            p.grad = torch.where(_wide(active, p), p.grad * _wide(factor, p).to(p.dtype), 0.0)
    return active, bad
