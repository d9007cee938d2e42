"""Series of unlike length side by side: the longest first, each from its first row on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["IN_A_STEP", "Floats", "LongestFirst", "Positions", "longest_first", "total", "varying"]

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]

# Numbers that a step works on at once, which stay in the processor's cache; and that all steps together may keep.
IN_A_STEP = 8192
_IN_ALL = 8_000_000


@dataclass(frozen=True)
class LongestFirst:
    """Some series, time first: at row t only the first ``alive[t]`` of them have a value.

    A recursion over time works on ``[: alive[t]]`` of its states, which are views; a series that has ended keeps its
    last state, and no mask is needed.

    Attributes
    ----------
    y : (T, S) float64
        Values over `unit`; 0 after a series' end.
    unit : (S,) float64
        Mean absolute value of each series: sums of squares neither overflow nor depend on the unit.
    lengths : (S,) int64
        Descending.
    alive : (T,) int64
    position : (S,) int64
        Where each series stands in the panel that was read.
    """

    y: Floats
    unit: Floats
    lengths: Positions
    alive: Positions
    position: Positions

    def take(self, which: Positions) -> LongestFirst:
        """Return some of the series, `which` ascending."""
        if len(which) == len(self.lengths):
            return self
        own = self.lengths[which]
        rows = np.arange(own[0])
        alive = np.searchsorted(-own, -rows, side="left")
        return LongestFirst(self.y[: len(rows), which], self.unit[which], own, alive, self.position[which])


def longest_first(values: Floats, indptr: Positions, chosen: Positions, sets: int = 1) -> Iterator[LongestFirst]:
    """Yield some series of a ragged flat panel, as many at once as are worked on fastest, the longest first.

    Parameters
    ----------
    values : (N,) float64, original units
    indptr : (S + 1,) int64
    chosen : (K,) int64
        Which series; each has at least one row.
    sets : int
        How many sets of parameters are tried for each.

    Examples
    --------
    >>> for part in longest_first(np.array([1.0, 3.0, 6.0, 4.0, 2.0]), np.array([0, 2, 5]), np.array([0, 1])):
    ...     print(part.position, part.lengths, part.alive, part.unit, part.y.tolist())
    [1 0] [3 2] [2 2 1] [4. 2.] [[1.5, 0.5], [1.0, 1.5], [0.5, 0.0]]
    """
    lengths = np.diff(indptr)
    order = chosen[np.argsort(-lengths[chosen], kind="stable")]
    first = 0
    while first < len(order):
        longest = int(lengths[order[first]])
        position = order[first : first + max(min(IN_A_STEP, _IN_ALL // longest) // sets, 1)]
        own = lengths[position]
        rows = np.arange(longest)[:, None]
        there = rows < own
        y = np.where(there, values[np.minimum(indptr[position] + rows, len(values) - 1)], 0.0)
        largest = np.abs(y).max(axis=0)
        largest[largest == 0] = 1.0
        unit = total(np.abs(y / largest)) / own * largest
        unit[unit == 0] = 1.0
        yield LongestFirst(y / unit, unit, own, there.sum(axis=1), position)
        first += len(position)


def total(rows: Floats) -> Floats:
    """Return the sum over the first axis, row after row.

    ``sum`` adds in another order where there is a single series: its forecasts would not be, to the bit, those that it
    has among others.
    """
    added: Floats = np.cumsum(rows, axis=0)[-1]
    return added


def varying(values: Floats, indptr: Positions) -> NDArray[np.bool_]:
    """Return whether each series has two values that differ, (S,); nothing is learnt from one that has not."""
    if len(indptr) == 1:
        return np.zeros(0, dtype=bool)
    differ: NDArray[np.bool_] = np.minimum.reduceat(values, indptr[:-1]) < np.maximum.reduceat(values, indptr[:-1])
    return differ
