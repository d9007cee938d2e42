"""The gradient solver: AdamW on multi-step roll-outs under any forcing policy.

Groups (series, for scope="local") are independent: the loss is summed over them, never averaged; clipping, keep-best
and early stop are their own; draws are keyed by series. A series fitted among others is fitted as if alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tsforce.data.panel import IntArray
from tsforce.dynamics.draws import uniform
from tsforce.dynamics.forcing import Forcing
from tsforce.dynamics.gain import feedback_gain
from tsforce.dynamics.models.base import StepModel
from tsforce.dynamics.parallel import parallel_rollout
from tsforce.dynamics.policies import ProfessorForcing
from tsforce.dynamics.rollout import rollout
from tsforce.training.closed_loop import as_dtype
from tsforce.training.history import History
from tsforce.training.losses import multi_step_loss
from tsforce.training.solvers.looks import Looks, Trained, Validate, finite_mean
from tsforce.training.solvers.professor import Professor
from tsforce.training.solvers.usable_windows import Cutoffs

__all__ = ["Settings", "Trained", "train"]

FloatArray = npt.NDArray[np.float64]


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
    weight_decay: float = 0.0
    clip: float = 1.0
    averaging: float = 0.98
    looks: int = 20
    patience: int = 8
    time_limit: float | None = None

    def with_steps(self, max_steps: int) -> Settings:
        """Return the same settings for another number of steps."""
        return replace(self, max_steps=max(1, max_steps))

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step (0, 1, ...)."""
        warm = max(1, round(0.05 * self.max_steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.max_steps - warm)))


def train(
    model: nn.Module,
    cutoffs: Cutoffs,
    horizon: int,
    forcing: Forcing,
    keys: Tensor,
    settings: Settings,
    history: History,
    *,
    run: str,
    mode: str,
    scale: FloatArray | None = None,
    stop_at: IntArray | None = None,
    validate: Validate | None = None,
    keep_start: bool = True,
    replay: FloatArray | None = None,
) -> Trained:
    """Train `model` in place and return what was chosen.

    Parameters
    ----------
    model : StepModel that is a Module, every parameter with the leading axis G
    cutoffs : Cutoffs
    horizon : int
        H, the steps of a training window.
    forcing : Forcing
    keys : (G,) int64
    settings : Settings
    history : History
        Gets a record per look.
    run : str
        Name of the run in the history.
    mode : str
        Name of `forcing` there.
    scale : (S, C) float64, optional
        Of each series and target, for ``loss_space="level"``; above 0.
    stop_at : (G,) int64, optional
        Steps after which each group stops learning (for a final run).
    validate : callable, optional
        Returns closed-loop and one-step validation errors of each group, (G,) each, NaN for a group that cannot be
        judged. With it the weights of each group's lowest closed-loop error are kept.
    keep_start : bool
        Whether the weights before the first step may be those.
    replay : (K, G) float64, optional
        Closed-loop validation errors that an adaptive schedule is to follow in a run without validation.
    """
    step_model = cast(StepModel, model)
    parameters = list(model.parameters())
    for p in parameters:
        p.requires_grad_()
    store, n_groups = cutoffs.store, len(keys)
    device, dtype = parameters[0].device, parameters[0].dtype
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    average = [p.detach().clone() for p in parameters]
    best = [p.detach().clone() for p in parameters]
    totals = torch.from_numpy(cutoffs.totals).to(device)
    active = torch.ones(n_groups, dtype=torch.bool, device=device)
    if stop_at is not None:
        active &= torch.from_numpy(stop_at > 0).to(device)
    diverged = torch.zeros(n_groups, dtype=torch.bool, device=device)
    losses: list[float] = []
    looks = Looks(
        forcing, horizon, keys, total=settings.max_steps, every=max(1, math.ceil(settings.max_steps / settings.looks)),
        patience=settings.patience, history=history, run=run, mode=mode, validate=validate, keep_start=keep_start,
        replay=replay,
    )  # fmt: skip
    roll: Callable[..., tuple[Tensor, Tensor | None]] = rollout
    if forcing.in_passes is not None:
        roll = partial(parallel_rollout, passes=forcing.in_passes[0], gradient=forcing.in_passes[1])
    professor = None
    if isinstance(forcing.adversary, ProfessorForcing):
        channels = len(step_model.layout.channels)
        professor = Professor(forcing.adversary, keys.to(device), horizon, channels, dtype)

    def draw(step: int) -> tuple[IntArray, IntArray]:
        """Return series and cutoffs of this step's windows, (G, B) each."""
        u = uniform(keys.to(device), (2, step), settings.batch_size)
        number = (u * totals[:, None]).long().clamp(max=totals[:, None] - 1).cpu().numpy()
        chosen, rows = zip(*(cutoffs.numbered(g, own) for g, own in enumerate(number)), strict=True)
        return np.stack(chosen), np.stack(rows)

    def look(step: int) -> None:
        nonlocal active
        rate = settings.rate_at(min(step, settings.max_steps - 1))
        with _weights(parameters, average):
            loss = float(np.mean(losses)) if losses else math.nan
            won = looks.take(step, model, active.cpu().numpy(), loss, rate)
        _copy(best, average, torch.from_numpy(won).to(device))
        active &= torch.from_numpy(looks.going).to(device)
        losses.clear()

    look(0)
    for step in range(settings.max_steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.rate_at(step)
        chosen, rows = draw(step)
        steps = forcing.steps(horizon, looks.moment(step))
        batch = store.batch(chosen, rows, steps)
        assert batch.future is not None
        assert batch.future_mask is not None
        seen = torch.from_numpy(cutoffs.may_be_learnt(chosen, rows, steps)).to(device)
        known = batch.future_mask & seen[..., None]
        past, future = batch.past.to(dtype), torch.where(known, batch.future, 0.0).to(dtype)
        inputs = as_dtype(batch.inputs, dtype)
        if forcing.measures_every is not None and step % forcing.measures_every == 0:
            looks.gains.append(feedback_gain(step_model, past, future, known, inputs).cpu())
        moment = looks.moment(step)
        yhat, fed = roll(
            step_model, past, steps, forcing, future=future, future_mask=known, moment=moment, inputs=inputs
        )
        extra = None if professor is None else professor.term(step_model, past, yhat, known, inputs)
        if settings.loss_space == "level":
            assert scale is not None
            unit = torch.from_numpy(scale[chosen]).to(device)[:, :, None]
            yhat = store.to_levels(yhat.double(), batch, rows, None if fed is None else fed.double()) / unit
            future = torch.where(known, store.levels(chosen, rows + steps, steps)[0], 0.0) / unit
        counts = known.to(yhat.dtype)
        weights = forcing.weights(horizon, moment)
        if weights is not None:
            counts = counts * weights.to(counts)[:, None, :steps, None]
        loss = multi_step_loss(settings.loss, future, yhat, counts)
        if extra is not None:
            # In units of the loss, so that its weight means the same on any scale.
            loss = loss + loss.detach() * extra
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()
        active, fresh = _clip(parameters, loss.detach(), active, settings.clip)
        diverged |= fresh
        if bool(fresh.any()):
            _copy([p.data for p in parameters], average, fresh)
        before = [p.detach()[~active].clone() for p in parameters] if not bool(active.all()) else None
        optimiser.step()
        if before is not None:
            for p, old in zip(parameters, before, strict=True):
                p.data[~active] = old
        decay = min(settings.averaging, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, p in zip(average, parameters, strict=True):
                a.lerp_(torch.where(_wide(active, p), p, a), 1 - decay)
        losses.append(finite_mean(loss.detach().double().cpu().numpy()))
        if stop_at is not None:
            active &= torch.from_numpy(stop_at > step + 1).to(device)
        last = step + 1 == settings.max_steps or not bool(active.any())
        last |= settings.time_limit is not None and looks.seconds > settings.time_limit
        if (step + 1) % looks.every == 0 or last:
            look(step + 1)
            if last or not bool(active.any()):
                break
    trained = looks.end(diverged.cpu().numpy())
    if professor is not None:
        history.notes.append(f"professor forcing, run {run!r}: {professor.told()}.")
    for p, kept in zip(parameters, average if validate is None else best, strict=True):
        p.data.copy_(kept)
        p.requires_grad_(False)
    return trained


def _wide(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *([1] * (like.dim() - 1)))


def _copy(into: list[Tensor], source: list[Tensor], groups: Tensor) -> None:
    for a, b in zip(into, source, strict=True):
        a[groups] = b[groups]


class _weights:
    """Run a block with other weights in place of a model's own."""

    def __init__(self, parameters: list[nn.Parameter], other: list[Tensor]) -> None:
        self.parameters, self.other = parameters, other

    def __enter__(self) -> None:
        self.own = [p.detach().clone() for p in self.parameters]
        for p, o in zip(self.parameters, self.other, strict=True):
            p.data.copy_(o)

    def __exit__(self, *exc: object) -> None:
        for p, o in zip(self.parameters, self.own, strict=True):
            p.data.copy_(o)


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
