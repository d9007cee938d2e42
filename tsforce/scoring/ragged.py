"""Rows of series that stand one below the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ragged_rows"]

Integers = NDArray[np.int64]


def ragged_rows(starts: Integers, counts: Integers) -> Integers:
    """Return ``starts[i], starts[i] + 1, ..., starts[i] + counts[i] - 1`` for every i, joined.

    Examples
    --------
    >>> ragged_rows(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    rows: Integers = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - counts), counts)
    return rows
