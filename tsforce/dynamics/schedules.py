"""Schedules: how the share of truth falls while training goes on.

Each maps e = 0, 1, ... (steps since the start) and E (when it ends) to s(e) in [0, 1], clamped at E. Formulas: Bengio
et al. 2015 (linear, exponential, inverse sigmoid), Teutsch & Maeder 2022 (their choices of k).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from tsforce.errors import ArgumentError

__all__ = ["Cosine", "Cyclic", "Exponential", "InverseSigmoid", "Linear", "Schedule", "Step"]


def is_number(value: object) -> bool:
    """Return whether a value is a real number, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_share(name: str, value: object) -> None:
    if not (is_number(value) and 0 <= value <= 1):  # type: ignore[operator]
        raise ArgumentError(f"{name}={value!r}: expected a share between 0 and 1.")


@dataclass(frozen=True)
class Schedule:
    """Base of all schedules."""

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
        if not (is_number(self.period) and self.period >= 1 and self.period % 1 == 0):
            raise ArgumentError(f"period={self.period!r}: expected a whole number of steps, at least 1.")

    def __call__(self, e: float, end: float) -> float:
        """Return 1 or 0; `end` does not matter."""
        del end
        return 1.0 if int(e // self.period) % 2 == 0 else 0.0
