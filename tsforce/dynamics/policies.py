"""Forcing policies beyond the three modes: the rest of the literature in one vocabulary (formula: forcing.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tsforce.dynamics.draws import normal, uniform
from tsforce.dynamics.forcing import ClosedLoop, Forcing, Moment, OpenLoop, check_gradient, check_length
from tsforce.dynamics.schedules import Linear, Schedule, is_number
from tsforce.errors import ArgumentError, check_choice

__all__ = [
    "GeneralizedTeacherForcing",
    "InputNoise",
    "Pushforward",
    "RollOutLength",
    "SparseTeacherForcing",
    "TeacherForcingRatio",
]


def _needed(policy: Forcing, moment: Moment | None) -> Moment:
    if moment is None:
        raise ArgumentError(f"{policy!r} draws or changes over training; a roll-out under it needs a moment=.")
    return moment


def _check_whole(name: str, value: object, least: int) -> None:
    if not (is_number(value) and value >= least and value % 1 == 0):  # type: ignore[operator]
        raise ArgumentError(f"{name}={value!r}: expected a whole number of at least {least}.")


@dataclass(frozen=True)
class TeacherForcingRatio(Forcing):
    """Truth for a whole window or for none of it, tossed with a fixed ratio: what tutorials call teacher_forcing_ratio.

    Parameters
    ----------
    truth : float
        Probability of truth, in [0, 1].
    time : "sequence" or "step"
        One toss per window, or one per step of it.
    gradient, cut_every
        As in `ClosedLoop`.

    Examples
    --------
    >>> TeacherForcingRatio(0.5).ratio(None)
    0.5
    """

    truth: float = 0.5
    time: str = "sequence"
    gradient: str | float = "keep"
    cut_every: int | None = None

    def __post_init__(self) -> None:
        if not (is_number(self.truth) and 0 <= self.truth <= 1):
            raise ArgumentError(f"truth={self.truth!r}: expected a share between 0 and 1.")
        check_choice("time", self.time, ("sequence", "step"))
        check_gradient(self.gradient, self.cut_every)

    def ratio(self, moment: Moment | None) -> float:
        """Return the fixed ratio."""
        del moment
        return float(self.truth)

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return 0 or 1, as tossed."""
        moment = _needed(self, moment)
        _, windows, horizon, _ = known.shape
        tosses = uniform(moment.keys.to(known.device), (0, moment.step), windows, horizon if self.time == "step" else 1)
        return ((tosses < self.truth)[..., None] & known).to(torch.get_default_dtype())


@dataclass(frozen=True)
class SparseTeacherForcing(Forcing):
    """Truth at the first `truths` of every `every` steps, own outputs between.

    Parameters
    ----------
    every : int
        tau, above `truths`.
    truths : int
        As many as the model has lags in a row, if truth is to reset what it reads and stop gradient from before.
    gradient, cut_every
        As in `ClosedLoop`.

    References
    ----------
    Mikhaeil, Monfared & Durstewitz 2022, "On the difficulty of learning chaotic dynamics with RNNs": tau from the
    Lyapunov time.

    Examples
    --------
    >>> SparseTeacherForcing(3).share(torch.ones(1, 1, 6, 1, dtype=torch.bool)).flatten().tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """

    every: int
    truths: int = 1
    gradient: str | float = "keep"
    cut_every: int | None = None

    def __post_init__(self) -> None:
        _check_whole("truths", self.truths, 1)
        _check_whole("every", self.every, self.truths + 1)
        check_gradient(self.gradient, self.cut_every)

    def ratio(self, moment: Moment | None) -> float:
        """Return the share of steps with truth."""
        del moment
        return self.truths / self.every

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return ``1[t mod tau < p]``, t = 1 being the first step after the cutoff (the cutoff itself is truth)."""
        del moment
        t = torch.arange(1, known.shape[2] + 1, device=known.device)
        return ((t % self.every < self.truths)[:, None] & known).to(torch.get_default_dtype())


@dataclass(frozen=True)
class GeneralizedTeacherForcing(Forcing):
    """A blend of truth and own output at every step, constant or annealed.

    Parameters
    ----------
    alpha : float or Schedule
        Share of truth in the blend, in [0, 1]; a schedule (``Linear(floor)``, ``Exponential()`` ...) anneals it.
    length : float
        Part of training over which a schedule falls.
    gradient, cut_every
        As in `ClosedLoop`.

    References
    ----------
    Hess et al. 2023, "Generalized teacher forcing for learning chaotic dynamics". With one lag gradients stay bounded
    for alpha >= 1 - 1 / max_t norm(J_t); with p lags only the first companion row is scaled.

    Examples
    --------
    >>> GeneralizedTeacherForcing(0.2).share(torch.ones(1, 1, 2, 1, dtype=torch.bool)).flatten().tolist()
    [0.20000000298023224, 0.20000000298023224]
    """

    alpha: float | Schedule = 0.1
    length: float = 0.6
    gradient: str | float = "keep"
    cut_every: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.alpha, Schedule) and not (is_number(self.alpha) and 0 <= self.alpha <= 1):
            raise ArgumentError(f"alpha={self.alpha!r}: expected a share between 0 and 1, or a schedule.")
        check_length(self.length)
        check_gradient(self.gradient, self.cut_every)

    def ratio(self, moment: Moment | None) -> float:
        """Return alpha at this moment."""
        if not isinstance(self.alpha, Schedule):
            return float(self.alpha)
        moment = _needed(self, moment)
        return self.alpha(moment.step, max(self.length * moment.total, 1.0))

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return alpha wherever there is truth."""
        return known.to(torch.get_default_dtype()) * self.ratio(moment)


@dataclass(frozen=True)
class InputNoise(OpenLoop):
    """Open loop with white noise on what is fed: cheap practice at recovering from errors.

    Parameters
    ----------
    sigma : float
        Standard deviation, model units (after transforms and window scaling).

    Notes
    -----
    A value is disturbed once, when it is written into the lag buffer, and read so by every later lag.

    Examples
    --------
    >>> InputNoise(0.1).ratio(None)
    1.0
    """

    sigma: float = 0.1

    def __post_init__(self) -> None:
        if not (is_number(self.sigma) and 0 <= self.sigma < float("inf")):
            raise ArgumentError(f"sigma={self.sigma!r}: expected a number of at least 0.")

    def noise(self, future: Tensor, moment: Moment | None) -> Tensor:
        """Return normal draws times sigma, keyed by group and step of training."""
        moment = _needed(self, moment)
        return self.sigma * normal(moment.keys.to(future.device), (6, moment.step), *future.shape[1:])


@dataclass(frozen=True)
class Pushforward(Forcing):
    """Some closed-loop steps without gradient, then one that is learnt from.

    Parameters
    ----------
    most : int
        R: r steps are taken first, r drawn from 0 .. min(epoch, R) for every batch.

    References
    ----------
    Brandstetter, Worrall & Welling 2022, "Message passing neural PDE solvers". All p lags are own outputs only where
    r >= p.

    Examples
    --------
    >>> Pushforward(3).weights(4, Moment(0, 10, 0, torch.tensor([1]))).tolist()
    [[1.0, 0.0, 0.0, 0.0]]
    """

    most: int = 5

    def __post_init__(self) -> None:
        _check_whole("most", self.most, 1)

    @property
    def needs_truth(self) -> bool:
        """Nothing after the cutoff is fed."""
        return False

    @property
    def gradient_scale(self) -> float:
        """No gradient flows through what is fed back."""
        return 0.0

    def ratio(self, moment: Moment | None) -> float:
        """Return 0."""
        del moment
        return 0.0

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return 0 everywhere."""
        del moment
        return torch.zeros(known.shape, device=known.device)

    def _before(self, horizon: int, moment: Moment | None) -> Tensor:
        """Return r of each group, (G,)."""
        moment = _needed(self, moment)
        most = min(moment.epoch, self.most, horizon - 1)
        return (uniform(moment.keys, (7, moment.step), 1)[:, 0] * (most + 1)).long().clamp(max=most)

    def steps(self, horizon: int, moment: Moment | None) -> int:
        """Return r + 1, the largest of all groups."""
        return int(self._before(horizon, moment).max()) + 1

    def weights(self, horizon: int, moment: Moment | None) -> Tensor:
        """Return 1 at step r + 1, else 0."""
        moment = _needed(self, moment)
        place = torch.arange(horizon, device=moment.keys.device)
        return (place == self._before(horizon, moment)[:, None]).to(torch.get_default_dtype())


@dataclass(frozen=True)
class RollOutLength(Forcing):
    """Another policy on a part of the horizon that grows over training, or is drawn for every batch.

    Parameters
    ----------
    forcing : Forcing
    kind : "growing" or "random"
        From `first` steps to the whole horizon over the first `length` of training; or between them at random.
    first : int
    length : float

    Examples
    --------
    >>> grow = RollOutLength()
    >>> [grow.steps(10, Moment(step, 100, 0, torch.tensor([1]))) for step in (0, 30, 60, 99)]
    [1, 5, 10, 10]
    """

    forcing: Forcing = field(default_factory=ClosedLoop)
    kind: str = "growing"
    first: int = 1
    length: float = 0.6

    def __post_init__(self) -> None:
        if not isinstance(self.forcing, Forcing):
            raise ArgumentError(f"forcing={self.forcing!r}: expected a Forcing such as ClosedLoop().")
        check_choice("kind", self.kind, ("growing", "random"))
        _check_whole("first", self.first, 1)
        check_length(self.length)

    @property
    def grows(self) -> bool:
        """Whether what is learnt from is still changing until `steps` reaches the horizon."""
        return self.kind == "growing"

    def steps(self, horizon: int, moment: Moment | None) -> int:
        """Return the length at this moment."""
        moment = _needed(self, moment)
        first = min(self.first, horizon)
        if self.kind == "random":
            # One length for all groups: they are rolled out side by side. Keyed by none of them, so that a series
            # fitted alone sees the same.
            drawn = float(uniform(torch.zeros(1, dtype=torch.int64), (8, moment.step), 1))
        else:
            drawn = 1 - Linear()(moment.step, max(self.length * moment.total, 1.0))
        return min(horizon, first + round(drawn * (horizon - first)))

    @property
    def needs_truth(self) -> bool:
        """As the policy itself."""
        return self.forcing.needs_truth

    @property
    def gradient_scale(self) -> float:
        """As the policy itself."""
        return self.forcing.gradient_scale

    @property
    def cuts_every(self) -> int | None:
        """As the policy itself."""
        return self.forcing.cuts_every

    def weights(self, horizon: int, moment: Moment | None) -> Tensor | None:
        """As the policy itself."""
        return self.forcing.weights(horizon, moment)

    def noise(self, future: Tensor, moment: Moment | None) -> Tensor | None:
        """As the policy itself."""
        return self.forcing.noise(future, moment)

    def ratio(self, moment: Moment | None) -> float:
        """As the policy itself."""
        return self.forcing.ratio(moment)

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """As the policy itself."""
        return self.forcing.share(known, moment)
