"""Rows after a cutoff with something else in their place: what `check_blind` shows to forecasters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsforce.data.panel import FloatArray, IntArray

__all__ = ["KINDS", "MISSING", "VALUES", "Late"]

VALUES, MISSING, EXTREMES = KINDS = ("other values", "NaN", "extremes")


@dataclass(frozen=True, eq=False)
class Late:
    """What is overwritten.

    Attributes
    ----------
    stops : (S,) int64
        Row of each series' cutoff; beyond its last one where nothing is overwritten.
    kind : str
        With what.
    columns : tuple of str
        Which columns.
    first : int
        From which row after the cutoff on.
    """

    stops: IntArray
    kind: str
    columns: tuple[str, ...]
    first: int = 1

    def over(self, values: FloatArray, series: IntArray, rows: IntArray, known_ahead: int) -> FloatArray:
        """Return a column with its late rows overwritten; `known_ahead` rows after the cutoff are known."""
        late = rows >= self.stops[series] + max(self.first, known_ahead + 1)
        found = values.copy()
        if self.kind == MISSING:
            found[late] = np.nan
        elif self.kind == EXTREMES:
            found[late] = np.where(np.arange(int(late.sum())) % 2, 1e9, -1e9)
        else:
            # Of the same sign and order, so that logarithms and categories of size do not hide what is read.
            span = np.nanmax(values) - np.nanmin(values)
            found[late] = 1.25 * values[late] + (span if span > 0 else 1.0)
        return found
