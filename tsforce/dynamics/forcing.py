"""Forcing policies: what a model is fed back while it runs.

A policy supplies the share of truth ``A_t`` in ``z_t = A_t * (y_t + n_t) + (1 - A_t) * yhat_t``, the noise ``n_t``, how
much gradient flows through the model's own outputs, and which steps count. Ratio 1 is open loop (observed targets),
ratio 0 closed loop (own outputs). Here: the base, and the three that modes are made of; more are in ``policies.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsforce.dynamics.draws import uniform
from tsforce.dynamics.moment import Moment
from tsforce.dynamics.schedules import Linear, Schedule, is_number
from tsforce.errors import ArgumentError, check_choice

if TYPE_CHECKING:
    from tsforce.dynamics.policies import ProfessorForcing

__all__ = [
    "ClosedLoop",
    "Curriculum",
    "Forcing",
    "Moment",
    "OpenLoop",
    "blend",
    "check_gradient",
    "check_length",
    "scheduled",
]


class _Feedback:
    """How gradient flows through what is fed back, for policies that have no fields of these names.

    Attributes
    ----------
    gradient : "keep", "detach" or float
        All of it, none, or a share in [0, 1].
    cut_every : int or None
        Steps after which what was written before is read without gradient; None: never.
    """

    gradient: str | float = "keep"
    cut_every: int | None = None


@dataclass(frozen=True)
class Forcing(_Feedback):
    """Base of all policies: frozen, comparable, and blind to the model's insides.

    A policy says `share` and `ratio`. All else is said here for those that have nothing to say about it: truth is read,
    gradient kept, every step of the horizon rolled out once, one after the other, without noise, and counted alike.

    Examples
    --------
    A policy of one's own: every second step of a roll-out is fed the truth.

    >>> import torch
    >>> from dataclasses import dataclass
    >>> from tsforce.forcing import Forcing
    >>> @dataclass(frozen=True)
    ... class EverySecond(Forcing):
    ...     def ratio(self, moment):
    ...         return 0.5
    ...     def share(self, known, moment=None):
    ...         even = torch.arange(known.shape[2]) % 2 == 0
    ...         return known * even[:, None].to(torch.get_default_dtype())
    >>> EverySecond().share(torch.ones(1, 1, 4, 1, dtype=torch.bool)).flatten().tolist()
    [1.0, 0.0, 1.0, 0.0]
    """

    @property
    def requires(self) -> frozenset[str]:
        """What a solver must have beyond a share of truth at each step, names of ``capabilities.CAPABILITIES``.

        By default as the properties here say, and "noise", "steps" and "weights" where a class has such a method of its
        own.
        """
        own = type(self)
        asked = {
            "errors": self.follows_errors,
            "gains": self.measures_every is not None,
            "discriminator": self.adversary is not None,
            "passes": self.in_passes is not None,
            "noise": own.noise is not Forcing.noise or own.lag_noise is not Forcing.lag_noise,
            "steps": own.steps is not Forcing.steps,
            "weights": own.weights is not Forcing.weights,
        }
        return frozenset(name for name, wanted in asked.items() if wanted)

    @property
    def needs_truth(self) -> bool:
        """Whether observed targets after the cutoff are read."""
        return True

    @property
    def gradient_scale(self) -> float:
        """What gradient is multiplied by where an own output is fed back: 1 keeps it, 0 stops it."""
        share = self.gradient
        return {"keep": 1.0, "detach": 0.0}[share] if isinstance(share, str) else float(share)

    @property
    def cuts_every(self) -> int | None:
        """Steps after which nothing written before is read with gradient any more; None: never."""
        return self.cut_every

    @property
    def follows_errors(self) -> bool:
        """Whether the share of truth depends on the closed-loop validation errors so far."""
        return False

    @property
    def measures_every(self) -> int | None:
        """Batches after which the gain of the feedback is to be measured again; None: never."""
        return None

    @property
    def adversary(self) -> ProfessorForcing | None:
        """The policy under which a discriminator adds to the loss; None: there is none."""
        return None

    @property
    def in_passes(self) -> tuple[int, str] | None:
        """Passes in place of the sequential roll-out, and through which gradient flows; None: step by step."""
        return None

    def own(self, yhat: Tensor) -> Tensor:
        """Return outputs as they are fed back: the same values, with as much gradient as the policy lets through."""
        scale = self.gradient_scale
        if scale == 1:
            return yhat
        return yhat.detach() if scale == 0 else yhat.detach() + scale * (yhat - yhat.detach())

    def steps(self, horizon: int, moment: Moment | None) -> int:
        """Return how many steps of the horizon a training roll-out takes at this moment."""
        del moment
        return horizon

    def weights(self, horizon: int, moment: Moment | None) -> Tensor | None:
        """Return what each step of the whole horizon counts in the loss, (G or 1, H), at least 0; None: all alike."""
        del horizon, moment
        return None

    def noise(self, future: Tensor, moment: Moment | None) -> Tensor | None:
        """Return what is added to observed targets (G, B, H, C) before they are fed, model units; None: nothing."""
        del future, moment
        return None

    def lag_noise(self, past: Tensor, lags: int, step: int, moment: Moment | None) -> Tensor | None:
        """Return what is added to the target lags of one step's lag vector, model units; None: nothing.

        Parameters
        ----------
        past : (G, B, L, C)
            The context, of which only the shape is read.
        lags : int
            p, lags of the target in the vector.
        step : int
            Of the horizon, from 0.
        moment : Moment, optional

        Returns
        -------
        (G, B, p * C) or None
            In the order of the vector: oldest lag first, channel fastest.
        """
        del past, lags, step, moment
        return None

    def settled(self, horizon: int, now: Moment, end: Moment) -> Tensor:
        """Return whether what is learnt from changes no more until the end of training, (G,) or (1,) bool."""
        del horizon
        return torch.tensor([self.ratio(now) == self.ratio(end)])

    def ratio(self, moment: Moment | None) -> float:
        """Return the expected share of truth at this moment, mean over groups."""
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


def blend(share: Tensor, truth: Tensor, own: Tensor) -> Tensor:
    """Return what is fed: truth where its share is 1, the own output where it is 0, mixed between; equal shapes.

    By selection where the share is hard: 0 * NaN is NaN, in values and in gradients.
    """
    return torch.where(share >= 1, truth, torch.where(share <= 0, own, share * truth + (1 - share) * own))


def scheduled(policy: Forcing, schedule: Schedule, length: float, moment: Moment | None) -> tuple[Moment, Tensor]:
    """Return the moment, and a schedule's share of truth then for each group, (G,) or (1,).

    Raises
    ------
    ArgumentError
        If there is no moment.
    """
    if moment is None:
        raise ArgumentError(f"{policy!r} changes over training; a roll-out under it needs a moment=.")
    return moment, schedule.shares(moment, max(length * moment.total, 1.0))


def check_length(length: object) -> None:
    """Raise ArgumentError unless this is a part of training, in (0, 1]."""
    if not (is_number(length) and 0 < length <= 1):  # type: ignore[operator]
        raise ArgumentError(f"length={length!r}: expected a part of training above 0 and at most 1.")


def check_gradient(gradient: object, cut_every: object) -> None:
    """Raise unless these say how gradient flows through feedback.

    Raises
    ------
    ArgumentError
        With what is accepted.
    """
    if is_number(gradient):
        if not 0 <= gradient <= 1:  # type: ignore[operator]
            raise ArgumentError(f"gradient={gradient!r}: expected 'keep', 'detach' or a share between 0 and 1.")
    else:
        check_choice("gradient", gradient, ("keep", "detach"))
    if cut_every is not None and not (is_number(cut_every) and cut_every >= 1 and cut_every % 1 == 0):  # type: ignore[operator]
        raise ArgumentError(f"cut_every={cut_every!r}: expected None or a whole number of steps, at least 1.")


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
    gradient : "keep", "detach" or float
        How much gradient flows through the outputs that were fed back: all, none, or a share in [0, 1].
    cut_every : int, optional
        Truncated backpropagation through time: after every so many steps, what was written before (the lag buffer and
        the state) is read without gradient.

    Examples
    --------
    >>> ClosedLoop().needs_truth
    False
    """

    gradient: str | float = "keep"
    cut_every: int | None = None

    def __post_init__(self) -> None:
        check_gradient(self.gradient, self.cut_every)

    @property
    def needs_truth(self) -> bool:
        """Nothing after the cutoff is read."""
        return False

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
        ``Cyclic(p)``, ``Adaptive()``.
    length : float
        Part of training over which it falls, in (0, 1]; after it the schedule keeps its last value (``Adaptive()`` goes
        by what it sees).
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
    gradient : "keep", "detach" or float
        How much gradient flows through the outputs that were fed back: all, none, or a share in [0, 1].
    cut_every : int, optional
        As in `ClosedLoop`.

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
    gradient: str | float = "keep"
    cut_every: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise ArgumentError(
                f"schedule={self.schedule!r}: expected a schedule such as Linear() or InverseSigmoid()."
            )
        check_length(self.length)
        check_choice("direction", self.direction, ("decreasing", "increasing"))
        check_choice("decision", self.decision, ("sampled", "deterministic"))
        check_choice("time", self.time, ("step", "sequence"))
        check_choice("sharing", self.sharing, ("window", "batch", "epoch"))
        check_gradient(self.gradient, self.cut_every)

    @property
    def follows_errors(self) -> bool:
        """As the schedule."""
        return self.schedule.follows_errors

    @property
    def measures_every(self) -> int | None:
        """As the schedule."""
        return self.schedule.measures_every

    def settled(self, horizon: int, now: Moment, end: Moment) -> Tensor:
        """Return whether the schedule has come to its last value."""
        del horizon, end
        return self.schedule.settled(now, max(self.length * now.total, 1.0))

    def _ratios(self, moment: Moment | None) -> tuple[Moment, Tensor]:
        moment, s = scheduled(self, self.schedule, self.length, moment)
        return moment, s if self.direction == "decreasing" else 1 - s

    def ratio(self, moment: Moment | None) -> float:
        """Return the schedule's share of truth at this moment, mean over groups."""
        return float(self._ratios(moment)[1].mean())

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return ``A_t`` drawn, or decided, at this moment: 0 or 1."""
        moment, ratios = self._ratios(moment)
        ratios = ratios.to(known.device)[:, None, None]
        _, windows, horizon, _ = known.shape
        if self.decision == "deterministic":
            truth = torch.arange(1, horizon + 1, device=known.device) <= torch.floor(ratios * horizon)
            return (truth[..., None] & known).to(torch.get_default_dtype())
        place = (1, moment.epoch) if self.sharing == "epoch" else (0, moment.step)
        steps = horizon if self.time == "step" else 1
        if self.sharing == "window":
            drawn = moment.uniform(place, windows, steps, like=known) < ratios
        else:
            drawn = uniform(moment.keys.to(known.device), place, 1, steps) < ratios
        return (drawn[..., None] & known).to(torch.get_default_dtype())
