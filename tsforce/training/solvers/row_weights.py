"""Weights of rows under Huber's loss, from residuals, round by round; and where they had better stay 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import IntArray
from tsforce.training.losses import robust_scales

__all__ = ["TOLERANCE", "RowWeights", "Squared"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A weight that would move by no more than this share of it stays; where all stay, they have settled. (M4 Hourly, one
# map: OWA .4881 at .01, .4891 at .1, which takes half the rounds.) After so many rounds they are told not to have.
TOLERANCE, _ROUNDS = 0.1, 50
# Share of what targets vary by that is nothing but rounding.
_NOTHING = 1e-9
# Standard errors by which residuals may be off on average before outliers are no accident.
_BIASED = 3.0


@dataclass
class Squared:
    """Where Huber's loss was given up for squares, and where it found no end.

    Attributes
    ----------
    equal : int
        Series and targets of which more than half the values are equal.
    biased : int
        Models and targets whose residuals would have been off on average.
    unsettled : int
        Models and targets whose weights still moved after the last round.
    of : int
        Models and targets.
    """

    equal: int = 0
    biased: int = 0
    unsettled: int = 0
    of: int = 0

    def counts(self, weights: RowWeights, residual: FloatArray) -> bool:
        """Count what became of a model's weights of rows for a target; return whether it is to be of squares."""
        biased = weights.biased(residual)
        self.of += 1
        self.equal += int(weights.equal.sum())
        self.unsettled += not weights.settled
        self.biased += biased
        return biased

    def told(self) -> list[str]:
        """Return it as notes of a history."""
        said = []
        if self.equal:
            said.append(
                f"huber: squares for {self.equal} series or targets of which more than half of the values are equal "
                f"(intermittent demand): what is left would be taken for outliers."
            )
        if self.biased:
            said.append(
                f"huber: squares for {self.biased} of {self.of} models, whose outliers are so much on one side that "
                f"forecasts would be off on average by more than {_BIASED:g} standard errors one step ahead."
            )
        if self.unsettled:
            said.append(f"huber: weights of {self.unsettled} of {self.of} models moved until the last round.")
        return said


class RowWeights:
    """The weights of a group's rows for one target, from round to round.

    Parameters
    ----------
    y : (n,)
        Targets, series after series.
    ends : (S,) int64
        Where each series ends: every one has a scale of its own, or the loud ones would decide what an outlier is.
    threshold : float
        k.
    tolerance : float
        Weights that would move by no more than this share of them stay.
    prior : (n,)
        What weights are shares of: less than 1 of rows whose lags are wild.
    always : (n,) bool
        Rows that keep it.

    Attributes
    ----------
    weight : (n,)
        The prior's, at first.
    equal : (S,) bool
        Series of which more than half the targets are equal; their rows keep the prior's.
    settled : bool
    """

    def __init__(
        self, y: FloatArray, ends: IntArray, threshold: float, tolerance: float, prior: FloatArray, always: BoolArray
    ) -> None:
        self.ends, self.threshold, self.tolerance = ends, threshold, tolerance
        self.counts = np.diff(ends, prepend=0)
        self.weight, self.prior = prior.copy(), prior
        self.scale = np.full(len(ends), np.inf)
        self.settled, self.rounds = False, 0
        parts = np.split(y, ends[:-1])
        middle = np.array([np.median(part) if len(part) else 0.0 for part in parts])
        apart = np.abs(y - np.repeat(middle, self.counts))
        self.equal = np.array([(part == 0).mean() > 0.5 if len(part) else False for part in np.split(apart, ends[:-1])])
        usual = robust_scales(apart, ends)
        self._nothing = _NOTHING * np.where(usual > 0, usual, _means(apart, ends))
        self._always = np.repeat(self.equal, self.counts) | always
        self._first: FloatArray | None = None

    def update(self, residual: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the rows whose weight changes under new residuals (n,), and by how much; none: settled."""
        size = np.abs(residual)
        scale = robust_scales(size, self.ends)
        vanished = scale <= self._nothing
        if self._first is None:
            self._first = residual
            mean = _means(size, self.ends)
            scale = np.where(vanished, np.where(mean > self._nothing, mean, np.inf), scale)
        else:
            # An exact fit of most rows: there is no noise left to measure others by.
            scale = np.where(vanished, self.scale, scale)
        self.scale = scale
        self.rounds += 1
        limit = np.repeat(self.threshold * scale, self.counts)
        wanted = np.where((size > limit) & ~self._always, limit / np.maximum(size, 1e-300), 1.0) * self.prior
        change = wanted - self.weight
        changed = np.flatnonzero(np.abs(change) > self.tolerance * np.maximum(wanted, self.weight))
        self.settled = not len(changed)
        self.weight[changed] = wanted[changed]
        return changed, change[changed]

    @property
    def goes_on(self) -> bool:
        """Whether another round is due."""
        return not self.settled and self.rounds < _ROUNDS

    def biased(self, residual: FloatArray) -> bool:
        """Return whether residuals (n,) are off on average, in scales, by what cannot be luck; squares' are not."""
        if self._first is None or (self.weight == self.prior).all():
            return False
        unit = np.repeat(np.where(np.isfinite(self.scale) & (self.scale > 0), self.scale, np.inf), self.counts)
        first = self.prior * self._first / unit
        off = float((self.prior * residual / unit - first).mean())
        return bool(abs(off) * np.sqrt(len(first)) > _BIASED * float(first.std()))


def _means(size: FloatArray, ends: IntArray) -> FloatArray:
    """Return the mean of each part, 0 of an empty one."""
    counts = np.diff(ends, prepend=0)
    sums = np.diff(np.concatenate([[0.0], np.cumsum(size)])[ends], prepend=0)
    means: FloatArray = sums / np.maximum(counts, 1)
    return means
