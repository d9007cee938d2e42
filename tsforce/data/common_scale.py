"""A unit of the target that all series share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsforce.data.panel import FloatArray, IntArray
from tsforce.data.transforms import MeanScale

__all__ = ["CommonScale"]


@dataclass(frozen=True)
class CommonScale(MeanScale):
    """Divide by one number in every series, also in those that were not learnt from.

    Examples
    --------
    >>> CommonScale.of(np.array([[1.0], [-3.0]]))
    CommonScale(by=2.0)
    """

    by: float = 1.0

    @staticmethod
    def of(values: FloatArray) -> CommonScale:
        """Return division by the mean absolute value of targets (N, C), NaN left out; by 1 where it is 0."""
        return CommonScale(float(np.nanmean(np.abs(values))) or 1.0)

    def learn(self, values: FloatArray, counts: IntArray) -> FloatArray:
        """Return the number for each series, (1, S, C)."""
        return np.full((1, len(counts), values.shape[1]), self.by)
