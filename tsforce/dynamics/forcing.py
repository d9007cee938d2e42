"""Forcing policies: what a model is fed back while it runs.

A policy supplies the share of truth ``A_t`` in ``z_t = A_t * y_t + (1 - A_t) * yhat_t``, and whether gradient flows
through the model's own outputs. Ratio 1 is open loop (observed targets), ratio 0 closed loop (own outputs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tsforce.dynamics.draws import uniform
from tsforce.dynamics.schedules import Linear, Schedule, is_number
from tsforce.errors import ArgumentError, check_choice

__all__ = ["ClosedLoop", "Curriculum", "Forcing", "Moment", "OpenLoop"]


@dataclass(frozen=True, eq=False)
class Moment:
    """When in training a roll-out happens.

    Attributes
    ----------
    step, total : int
        Steps of training done, and planned.
    epoch : int
        Epochs done.
    keys : (G,) int64
        One per group; draws depend on them and on the moment, not on position.
    """

    step: int
    total: int
    epoch: int
    keys: Tensor


@dataclass(frozen=True)
class Forcing:
    """Base of all policies: frozen, comparable, and blind to the model's insides."""

    @property
    def needs_truth(self) -> bool:
        """Whether observed targets after the cutoff are read."""
        return True

    @property
    def detaches(self) -> bool:
        """Whether gradient is stopped where an own output is fed back."""
        return False

    def ratio(self, moment: Moment | None) -> float:
        """Return the expected share of truth at this moment."""
        raise NotImplementedError

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return ``A_t``, the share of truth fed back at each step.

        Parameters
        ----------
        known : (G, B, H, C) bool
            Where there is an observed target.
        moment : Moment, optional
            Needed by policies that change over training or draw.

        Returns
        -------
        (G, B, H, C) in [0, 1]
            0 wherever nothing was observed.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class OpenLoop(Forcing):
    """Feed the observed target at every step (teacher forcing, series-parallel); a missing one by the own output.

    Examples
    --------
    >>> OpenLoop().share(torch.ones(1, 1, 2, 1, dtype=torch.bool)).flatten().tolist()
    [1.0, 1.0]
    """

    def ratio(self, moment: Moment | None) -> float:
        """Return 1."""
        del moment
        return 1.0

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return 1 where there is an observed target."""
        del moment
        return known.to(torch.get_default_dtype())


@dataclass(frozen=True)
class ClosedLoop(Forcing):
    """Feed the model's own outputs at every step (free running, simulation, recursive forecasting).

    Parameters
    ----------
    gradient : "keep" or "detach"
        Whether gradient flows through the outputs that were fed back.

    Examples
    --------
    >>> ClosedLoop().needs_truth
    False
    """

    gradient: str = "keep"

    def __post_init__(self) -> None:
        check_choice("gradient", self.gradient, ("keep", "detach"))

    @property
    def needs_truth(self) -> bool:
        """Nothing after the cutoff is read."""
        return False

    @property
    def detaches(self) -> bool:
        """Whether gradient is stopped where an own output is fed back."""
        return self.gradient == "detach"

    def ratio(self, moment: Moment | None) -> float:
        """Return 0."""
        del moment
        return 0.0

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return 0 everywhere."""
        del moment
        return torch.zeros(known.shape, device=known.device)


@dataclass(frozen=True)
class Curriculum(Forcing):
    """A share of truth that changes while training goes on (scheduled sampling is one such).

    Parameters
    ----------
    schedule : Schedule
        How the share falls: ``Linear()``, ``Exponential()``, ``InverseSigmoid()``, ``Cosine()``, ``Step()``,
        ``Cyclic(p)``.
    length : float
        Part of training over which it falls, in (0, 1]; after it the schedule keeps its last value.
    direction : "decreasing" or "increasing"
        Truth first and own outputs later, or the other way round (1 - s).
    decision : "sampled" or "deterministic"
        Draw each ``A_t`` with the schedule's share as probability, or feed truth for the first ``floor(share * H)``
        steps.
    time : "step" or "sequence"
        A draw of its own for each step, or one for all steps of a window.
    sharing : "window", "batch" or "epoch"
        A draw of its own for each window, one for all windows of a batch, or one for all batches of an epoch (the
        steps from one look at the validation error to the next).
    gradient : "keep" or "detach"
        Whether gradient flows through the outputs that were fed back.

    References
    ----------
    Bengio et al. 2015, "Scheduled sampling for sequence prediction with recurrent neural networks" (step x window,
    detach); Teutsch & Maeder 2022, "Flipped classroom: effective teaching for time series forecasting" (both directions
    and decisions; step x epoch).

    Examples
    --------
    >>> Curriculum().ratio(Moment(30, 100, 0, torch.tensor([0])))
    0.5
    """

    schedule: Schedule = field(default_factory=Linear)
    length: float = 0.6
    direction: str = "decreasing"
    decision: str = "sampled"
    time: str = "step"
    sharing: str = "window"
    gradient: str = "keep"

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise ArgumentError(
                f"schedule={self.schedule!r}: expected a schedule such as Linear() or InverseSigmoid()."
            )
        if not (is_number(self.length) and 0 < self.length <= 1):
            raise ArgumentError(f"length={self.length!r}: expected a part of training above 0 and at most 1.")
        check_choice("direction", self.direction, ("decreasing", "increasing"))
        check_choice("decision", self.decision, ("sampled", "deterministic"))
        check_choice("time", self.time, ("step", "sequence"))
        check_choice("sharing", self.sharing, ("window", "batch", "epoch"))
        check_choice("gradient", self.gradient, ("keep", "detach"))

    @property
    def detaches(self) -> bool:
        """Whether gradient is stopped where an own output is fed back."""
        return self.gradient == "detach"

    def ratio(self, moment: Moment | None) -> float:
        """Return the schedule's share of truth at this moment."""
        if moment is None:
            raise ArgumentError(f"{self!r} changes over training; a roll-out under it needs a moment=.")
        s = self.schedule(moment.step, max(self.length * moment.total, 1.0))
        return s if self.direction == "decreasing" else 1 - s

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return ``A_t`` drawn, or decided, at this moment: 0 or 1."""
        ratio = self.ratio(moment)
        assert moment is not None
        _, windows, horizon, _ = known.shape
        if self.decision == "deterministic":
            truth = torch.arange(1, horizon + 1, device=known.device) <= math.floor(ratio * horizon)
            return (truth[:, None] & known).to(torch.get_default_dtype())
        place = (1, moment.epoch) if self.sharing == "epoch" else (0, moment.step)
        shape = (windows if self.sharing == "window" else 1, horizon if self.time == "step" else 1)
        drawn = uniform(moment.keys.to(known.device), place, *shape) < ratio
        return (drawn[..., None] & known).to(torch.get_default_dtype())
