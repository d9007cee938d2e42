"""Schedules: how the share of truth falls while training goes on.

Most map e = 0, 1, ... (steps since the start) and E (when it ends) to s(e) in [0, 1], clamped at E. Formulas: Bengio
et al. 2015 (linear, exponential, inverse sigmoid), Teutsch & Maeder 2022 (their choices of k). Two follow what training
has seen by then: `Adaptive` the closed-loop validation error, `Annealed` the gain of the feedback.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

import torch
from torch import Tensor

from tsforce.dynamics.moment import Moment
from tsforce.errors import ArgumentError

__all__ = [
    "Adaptive",
    "Annealed",
    "Cosine",
    "Cyclic",
    "Exponential",
    "InverseSigmoid",
    "Linear",
    "Schedule",
    "Step",
    "check_whole",
    "is_number",
]


def is_number(value: object) -> bool:
    """Return whether a value is a real number, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_whole(name: str, value: object, least: int) -> None:
    """Raise ArgumentError unless this is a whole number, and not below `least`."""
    if not (is_number(value) and value >= least and value % 1 == 0):  # type: ignore[operator]
        raise ArgumentError(f"{name}={value!r}: expected a whole number of at least {least}.")


def _check_share(name: str, value: object) -> None:
    if not (is_number(value) and 0 <= value <= 1):  # type: ignore[operator]
        raise ArgumentError(f"{name}={value!r}: expected a share between 0 and 1.")


@dataclass(frozen=True)
class Schedule:
    """Base of all schedules.

    Examples
    --------
    A schedule of one's own says what it is at each step.

    >>> from dataclasses import dataclass
    >>> from tsforce.forcing import Curriculum, Schedule
    >>> @dataclass(frozen=True)
    ... class Squared(Schedule):
    ...     def _at(self, e, end):
    ...         return (1 - e / end) ** 2
    >>> [Squared()(e, 10) for e in (0, 5, 10, 20)]
    [1.0, 0.25, 0.0, 0.0]
    >>> Curriculum(Squared()).schedule
    Squared()
    """

    @property
    def follows_errors(self) -> bool:
        """Whether it reads a moment's closed-loop validation errors."""
        return False

    @property
    def measures_every(self) -> int | None:
        """Batches from one gain that it reads to the next; None: it reads none."""
        return None

    def shares(self, moment: Moment, end: float) -> Tensor:
        """Return the share of truth of each group at a moment, (G,), or (1,) where it is the same for all; float64."""
        return torch.tensor([self(moment.step, end)], dtype=torch.float64)

    def settled(self, moment: Moment, end: float) -> Tensor:
        """Return whether the share is the one that training ends with, (G,) or (1,) bool."""
        return torch.tensor([self(moment.step, end) == self(moment.total, end)])

    def __call__(self, e: float, end: float) -> float:
        """Return s(e).

        Parameters
        ----------
        e : float
            Steps since the start, from 0.
        end : float
            E, the step at which the schedule ends; at least 1. Later steps keep s(E).
        """
        return self._at(min(e, end), end)

    def _at(self, e: float, end: float) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class Linear(Schedule):
    """``max(floor, 1 - e / E)``.

    Examples
    --------
    >>> [Linear()(e, 10) for e in (0, 5, 10, 20)]
    [1.0, 0.5, 0.0, 0.0]
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        _check_share("floor", self.floor)

    def _at(self, e: float, end: float) -> float:
        return max(self.floor, 1 - e / end)


@dataclass(frozen=True)
class Exponential(Schedule):
    """``k ** e``; by default ``k = .5 ** (10 / E)``, which ends near .001.

    Examples
    --------
    >>> Exponential()(0, 10), Exponential()(1, 10)
    (1.0, 0.5)
    """

    k: float | None = None

    def __post_init__(self) -> None:
        if self.k is not None and not 0 < self.k < 1:
            raise ArgumentError(f"k={self.k!r}: an exponential schedule needs 0 < k < 1.")

    def _at(self, e: float, end: float) -> float:
        return float((0.5 ** (10 / end) if self.k is None else self.k) ** e)


@dataclass(frozen=True)
class InverseSigmoid(Schedule):
    """``k / (k + exp(e / k))``, which starts at ``k / (k + 1)``; by default k solves ``k ln k = E / 2``: .5 at E / 2.

    Examples
    --------
    >>> round(InverseSigmoid()(500, 1000), 6)
    0.5
    """

    k: float | None = None

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise ArgumentError(f"k={self.k!r}: an inverse sigmoid schedule needs k >= 1.")

    def _at(self, e: float, end: float) -> float:
        k = self.k if self.k is not None else _half_life(end / 2)
        # exp of more than 700 is no double; by then the share is 0.
        return 0.0 if e / k > 700 else k / (k + math.exp(e / k))


def _half_life(x: float) -> float:
    """Return the k >= 1 with ``k ln k = x``, by Newton's method."""
    k = max(x, 2.0)
    for _ in range(100):
        step = (k * math.log(k) - x) / (math.log(k) + 1)
        k = max(k - step, 1.0)
        if abs(step) < 1e-12 * k:
            break
    return k


@dataclass(frozen=True)
class Cosine(Schedule):
    """``floor + (1 - floor) (1 + cos(pi e / E)) / 2``.

    Examples
    --------
    >>> [round(Cosine()(e, 10), 6) for e in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        _check_share("floor", self.floor)

    def _at(self, e: float, end: float) -> float:
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * e / end)) / 2


@dataclass(frozen=True)
class Step(Schedule):
    """1 until E, then 0: open loop first, closed loop after ("train, close, train on").

    Examples
    --------
    >>> Step()(9, 10), Step()(10, 10)
    (1.0, 0.0)
    """

    def _at(self, e: float, end: float) -> float:
        return 1.0 if e < end else 0.0


@dataclass(frozen=True)
class Cyclic(Schedule):
    """1 while ``floor(e / period)`` is even, else 0: on and off in turn; never ends.

    Examples
    --------
    >>> [Cyclic(2)(e, 10) for e in range(5)]
    [1.0, 1.0, 0.0, 0.0, 1.0]
    """

    period: int = 1

    def __post_init__(self) -> None:
        check_whole("period", self.period, 1)

    def __call__(self, e: float, end: float) -> float:
        """Return 1 or 0; `end` does not matter."""
        del end
        return 1.0 if int(e // self.period) % 2 == 0 else 0.0


@dataclass(frozen=True)
class Adaptive(Schedule):
    """Down after every look that says that the model keeps up, and not by the clock.

    Starts at 1. After each look at the validation windows, for each group on its own: if the closed-loop error is not
    above that of the look before, the share falls by `fall`, to `floor` at the least: the model is ready for more of
    its own outputs. If it is above, the share rises by `rise`, to 1 at the most (by default it is held). An error that
    is not finite is above any other.

    Parameters
    ----------
    fall, rise : float
        Of the share, per look.
    floor : float

    Notes
    -----
    A model fitted on all rows at the end repeats the shares that the run with validation windows has come to. A group
    that cannot be judged (no validation window, or no scale) falls as ``Linear(floor)`` does.

    References
    ----------
    The pace is set by what the learner masters, as in self-paced learning (Kumar, Packer & Koller 2010) and
    competence-based curricula (Platanios et al. 2019); the rule is ours.

    Examples
    --------
    >>> looks = torch.tensor([[1.0], [0.8], [0.9], [0.7]])  # better, worse, better
    >>> Adaptive().shares(Moment(15, 100, 3, torch.tensor([1]), looks), 60.0).tolist()
    [0.6]
    """

    fall: float = 0.2
    rise: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not (is_number(self.fall) and 0 < self.fall <= 1):
            raise ArgumentError(f"fall={self.fall!r}: expected a share above 0 and at most 1.")
        _check_share("rise", self.rise)
        _check_share("floor", self.floor)

    @property
    def follows_errors(self) -> bool:
        """It does."""
        return True

    def _at(self, e: float, end: float) -> float:
        raise ArgumentError(
            f"{self!r} follows a moment's closed-loop errors, not the step: ask for shares(moment, end)."
        )

    def shares(self, moment: Moment, end: float) -> Tensor:
        """Return the share of truth of each group, (G,)."""
        errors = moment.closed_loop
        if errors is None or not len(errors):
            raise ArgumentError(
                f"{self!r} follows the closed-loop validation error, and this moment carries none: pass "
                f"Moment(..., closed_loop=), or use a schedule that counts steps, such as Linear()."
            )
        errors = errors.double()
        share = torch.ones_like(errors[0])
        for before, now in pairwise(errors):
            keeps_up = torch.isfinite(now) & (now <= before)
            moved = torch.where(keeps_up, (share - self.fall).clamp(min=self.floor), (share + self.rise).clamp(max=1.0))
            # Ten falls of .1 are 1.
            share = torch.round(moved, decimals=12)
        return torch.where(torch.isnan(errors[-1]), Linear(self.floor)(moment.step, end), share)

    def settled(self, moment: Moment, end: float) -> Tensor:
        """Return whether the floor is reached, (G,)."""
        return self.shares(moment, end) <= self.floor


@dataclass(frozen=True)
class Annealed(Schedule):
    """As much truth as keeps gradients through the roll-out from growing, by the gain of the feedback measured.

    Starts at 1. A gain g wants at least ``a = max(0, 1 - 1 / g)`` of truth in the blend; a share below `a` is raised to
    it at once, another decays towards it, ``decay * share + (1 - decay) * a``.

    Parameters
    ----------
    every : int
        Batches from one measurement to the next.
    decay : float, optional
        By default as much as forgets all but 1 % of the start by E, ``.01 ** (every / E)``. As published .999, for runs
        of many thousand batches.

    References
    ----------
    Hess et al. 2023, "Generalized teacher forcing for learning chaotic dynamics" (the annealed variant). With p lags
    fed, the gain is the largest, over the batch's steps, of ``sum_j norm(df / dz_{t-j})``.

    Examples
    --------
    >>> gains = torch.tensor([[2.0], [4.0]])  # wants .5, then .75
    >>> Annealed(decay=0.5).shares(Moment(6, 100, 0, torch.tensor([1]), gains=gains), 60.0).tolist()
    [0.75]
    """

    every: int = 5
    decay: float | None = None

    def __post_init__(self) -> None:
        check_whole("every", self.every, 1)
        if self.decay is not None and not (is_number(self.decay) and 0 < self.decay < 1):
            raise ArgumentError(f"decay={self.decay!r}: expected None or a number between 0 and 1.")

    @property
    def measures_every(self) -> int:
        """Batches from one measurement to the next."""
        return self.every

    def _at(self, e: float, end: float) -> float:
        raise ArgumentError(f"{self!r} follows a moment's gains, not the step: ask for shares(moment, end).")

    def shares(self, moment: Moment, end: float) -> Tensor:
        """Return the share of truth of each group, (G,); (1,), a one, before anything was measured."""
        if moment.gains is None or not len(moment.gains):
            return torch.ones(1, dtype=torch.float64)
        decay = 0.01 ** (self.every / end) if self.decay is None else self.decay
        wanted = (1 - 1 / moment.gains.double()).clamp(min=0.0)
        share = torch.ones_like(wanted[0])
        for least in wanted:
            # A share below `least` is raised to it: decay * least + (1 - decay) * least.
            share = decay * torch.maximum(share, least) + (1 - decay) * least
        return share

    def settled(self, moment: Moment, end: float) -> Tensor:
        """Return whether the start is forgotten."""
        return torch.tensor([moment.step >= min(end, moment.total)])
