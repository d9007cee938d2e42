"""Which windows a solver may learn from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import IntArray
from tsforce.data.windows import SeriesStore

__all__ = ["Cutoffs", "before_stops"]

BoolArray = npt.NDArray[np.bool_]


def before_stops(series: IntArray, rows: IntArray, steps: int, stops: IntArray) -> BoolArray:
    """Return which of the steps after some rows come before their series' stop, (..., steps).

    Parameters
    ----------
    series, rows : (...) int64
        Windows: series, and the row of the cutoff.
    steps : int
    stops : (S,) int64

    Examples
    --------
    >>> before_stops(np.array([0, 1]), np.array([3, 3]), 2, np.array([5, 9])).tolist()
    [[True, False], [True, True]]
    """
    inside: BoolArray = rows[..., None] + np.arange(1, steps + 1) < stops[series][..., None]
    return inside


@dataclass(frozen=True, eq=False)
class Cutoffs:
    """The cutoffs that training windows of G groups may have, numbered 0, 1, ... within each group.

    Attributes
    ----------
    store : SeriesStore
    series, first_rows, last_rows : G arrays each
        For every group, its series and the first and last cutoff of each.
    stops : (S,) int64
        Rows of each series of the store that may be learnt from; a window's later steps carry no weight.
    """

    store: SeriesStore
    series: list[IntArray]
    first_rows: list[IntArray]
    last_rows: list[IntArray]
    stops: IntArray

    @cached_property
    def _counts(self) -> list[IntArray]:
        return [np.maximum(last - first + 1, 0) for first, last in zip(self.first_rows, self.last_rows, strict=True)]

    @cached_property
    def _upto(self) -> list[IntArray]:
        return [np.cumsum(count) for count in self._counts]

    @property
    def totals(self) -> IntArray:
        """How many cutoffs each group has, (G,) int64."""
        return np.array([upto[-1] for upto in self._upto], dtype=np.int64)

    def numbered(self, group: int, number: IntArray) -> tuple[IntArray, IntArray]:
        """Return series and row of some of a group's cutoffs."""
        upto = self._upto[group]
        which = np.searchsorted(upto, number, side="right")
        start = (upto - self._counts[group])[which]
        return self.series[group][which], self.first_rows[group][which] + number - start

    def may_be_learnt(self, series: IntArray, rows: IntArray, steps: int) -> BoolArray:
        """Return which of the steps after some cutoffs may be learnt from, (..., steps)."""
        return before_stops(series, rows, steps, self.stops)
