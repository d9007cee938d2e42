"""The range that series usually keep to: what a roll-out that runs away is told by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["UsualRange", "usual_range"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Share of the values at each end that may be wild, one at least where there are so many in all.
_WILD, _FEW = 0.02, 8
# A value further outside than so many times the range of those inside it is wild; a range that is no more than this
# share of its level is rounding.
_GAP, _ROUNDING = 10.0, 1e-9
# Values that are sorted side by side.
_CHUNK = 2**20


class UsualRange(NamedTuple):
    """What each of S series has shown, target by target; NaN where nothing was.

    Attributes
    ----------
    lowest, highest : (S, C)
        Of all values.
    low, high : (S, C)
        Of all but the wild ones.
    span : (S, C)
        high - low. Where that is 0: the size of the constant, or the range of the few other values; infinite where all
        are 0.
    """

    lowest: FloatArray
    highest: FloatArray
    low: FloatArray
    high: FloatArray
    span: FloatArray

    def bounds(self, factor: float) -> tuple[FloatArray, FloatArray]:
        """Return what is `factor` spans outside the usual range, or was seen, (S, C) each."""
        with np.errstate(over="ignore"):
            reach = factor * self.span
            return np.fmin(self.lowest, self.low - reach), np.fmax(self.highest, self.high + reach)


def usual_range(values: FloatArray, counts: IntArray) -> UsualRange:
    """Return the range that each series keeps to but for wild values, such as errors of typing.

    Wild is what lies far from all other values (the 2 % at each end, one at least of 8 values, are looked at: those
    further from the rest than ten times the range of that), unless it lasts: what a running median of three shows
    belongs to the range, however rare, such as the start of a record that then settles.

    Parameters
    ----------
    values : (N, C)
        Series one below the other; NaN is missing.
    counts : (S,) int64
        Rows of each.

    Examples
    --------
    >>> y = np.r_[np.sin(np.arange(99.0)), 1e6][:, None]
    >>> found = usual_range(y, np.array([100]))
    >>> found.highest.item(), bool(found.high.item() < 1.01)
    (1000000.0, True)
    """
    shape = len(counts), values.shape[1]
    lowest, highest, low, high = (np.full(shape, np.nan) for _ in range(4))
    begins = np.cumsum(counts) - counts
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    start = 0
    while start < len(order):
        # As many as fit when padded to the longest of them; their lengths are alike.
        longest = counts[order[start:]]
        fits = np.arange(1, len(longest) + 1) * longest * shape[1] <= _CHUNK
        some = order[start : start + max(1, int(fits.sum()))]
        start += len(some)
        size = int(counts[some].max())
        steps = np.arange(size)
        own = values[np.minimum(begins[some, None] + steps, len(values) - 1)]
        if counts[some[0]] < size:
            own = np.where((steps < counts[some, None])[..., None], own, np.nan)
        own = np.moveaxis(own, 2, 1).reshape(-1, size)
        for room, found in zip((lowest, highest, low, high), _ranges(own), strict=True):
            room[some] = found.reshape(len(some), shape[1])
    span = high - low
    with np.errstate(invalid="ignore"):
        level = np.maximum(np.abs(low), np.abs(high))
        constant = ~(span > _ROUNDING * level)
    span = np.where(constant, np.where(level > 0, level, highest - lowest), span)
    return UsualRange(lowest, highest, low, high, np.where(span > 0, span, np.inf))


def _ranges(rows: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return lowest, highest, low and high of the rows of a matrix, which NaN may fill up."""
    ordered = np.sort(rows, axis=1)
    n = (~np.isnan(ordered)).sum(axis=1)
    last = np.maximum(n - 1, 0)[:, None]
    at_ends = np.where(n >= _FEW, np.maximum(1, np.rint(_WILD * n)), 0).astype(np.int64)[:, None]
    place = np.arange(rows.shape[1])

    def at(where: IntArray) -> FloatArray:
        found: FloatArray = np.take_along_axis(ordered, where, axis=1)
        return found

    core_low, core_high = at(at_ends), at(last - at_ends)
    lowest, highest = ordered[:, :1], at(last)
    low, high = lowest, highest
    if at_ends.any():
        # From the core outwards, each value must be near the range of those before it. No row has more than the last
        # or the first of these columns outside.
        above, below = int((last - at_ends).min()), int(at_ends.max()) + 1
        top, bottom = ordered[:, above:], ordered[:, :below]
        beyond = (place[above + 1 :] > last - at_ends) & (place[above + 1 :] <= last)
        wild_above = beyond & ~(np.diff(top, axis=1) <= _GAP * (top[:, :-1] - core_low))
        wild_below = (place[: below - 1] < at_ends) & ~(np.diff(bottom, axis=1) <= _GAP * (core_high - bottom[:, 1:]))
        high = at(np.where(wild_above.any(axis=1), above + wild_above.argmax(axis=1), last[:, 0])[:, None])
        lowest_kept = below - 1 - wild_below[:, ::-1].argmax(axis=1)
        low = at(np.where(wild_below.any(axis=1), lowest_kept, 0)[:, None])
        a, b, c = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
        lasting = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
        low = np.fmin(low, np.fmin.reduce(lasting, axis=1, keepdims=True))
        high = np.fmax(high, np.fmax.reduce(lasting, axis=1, keepdims=True))
    return lowest, highest, low, high
