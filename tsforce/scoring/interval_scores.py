"""Arithmetic of prediction intervals: ranks of conformal scores, and how good some bounds are.

Levels are shares of 1 here; users write them in percent.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["covered", "highest_level", "independent_share", "interval_score", "kth_of_sorted", "rank_of"]

Floats = NDArray[np.float64]

# Ranks are whole numbers but for the last digits of a level.
_DIGITS = 9


def rank_of(count: ArrayLike, share: float, independent: ArrayLike | None = None) -> NDArray[np.int64]:
    """Return the rank of the score that a new one exceeds with probability 1 - `share` at most: ceil((n + 1) share).

    Of n exchangeable scores (Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World). Above n there is
    no such score: n are too few for the share. Scores that are worth m independent ones: ceil(n (m + 1) share / m), the
    same share of them as of m; never below the other.

    Parameters
    ----------
    count : array_like of int
        n.
    share : float
        In (0, 1): the level of absolute scores; of signed ones (1 + level) / 2 on each side.
    independent : array_like, optional
        m, at most n; n by default.

    Examples
    --------
    >>> rank_of([19, 18, 39], 0.95).tolist(), rank_of([39, 38], 0.975).tolist()
    ([19, 19, 38], [39, 39])
    >>> rank_of(200, 0.9, independent=[200, 20, 5]).tolist()
    [181, 189, 216]
    """
    n = np.asarray(count, dtype=np.float64)
    worth = n if independent is None else np.asarray(independent, dtype=np.float64)
    some = np.maximum(worth, 1e-9)
    ranks: NDArray[np.int64] = np.ceil(np.round(np.maximum(n, 1) * (some + 1) * share / some, _DIGITS)).astype(np.int64)
    return ranks


def independent_share(errors: ArrayLike, stride: int = 1) -> Floats:
    """Return how many independent errors one of many is worth, at each step.

    Errors of cutoffs less than h apart share the surprises between them. Whether two normal values both lie in a far
    tail correlates by about the cube of their correlation r, so that n of them tell as much about a tail as
    n / (1 + 2 sum r_k^3) independent ones, over the distances k < h at which they share any. r_k is that of the errors
    themselves, about 0, a mean over series, none where negative.

    Parameters
    ----------
    errors : array_like, (K, S, H, C)
        Of consecutive cutoffs of each series, NaN where there is none.
    stride : int
        Rows from one cutoff to the next.

    Returns
    -------
    ndarray, (H, C), float64
        In (0, 1]; 1 at the first step.

    Examples
    --------
    >>> twice = np.repeat([1.0, -1.0, -1.0, 1.0] * 20, 2)[:, None, None, None]
    >>> independent_share(np.repeat(twice, 2, axis=2)).ravel().round(2).tolist()
    [1.0, 0.8]
    """
    values = np.asarray(errors, dtype=np.float64)
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    square = (filled**2).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    usable = np.isfinite(square) & (square > 0)
    filled = np.where(usable, filled / np.sqrt(np.where(usable, square, 1.0)), 0.0)
    total = np.ones(values.shape[2:])
    for apart in range(1, min(len(values), -(-values.shape[2] // stride))):
        pairs = (known[apart:] & known[:-apart] & usable).sum(axis=(0, 1))
        mean = (filled[apart:] * filled[:-apart]).sum(axis=(0, 1)) / np.maximum(pairs, 1)
        shared = np.arange(1, values.shape[2] + 1) > apart * stride
        total += np.where(shared[:, None], 2 * np.clip(mean, 0.0, 1.0) ** 3, 0.0)
    return 1.0 / total


def highest_level(count: int) -> float:
    """Return the highest level that n absolute scores support, as a share rounded down to a tenth of a percent.

    Examples
    --------
    >>> highest_level(19), highest_level(10), highest_level(0)
    (0.95, 0.909, 0.0)
    """
    return math.floor(round(1000 * count / (count + 1), _DIGITS)) / 1000


def kth_of_sorted(ordered: ArrayLike, rank: ArrayLike, count: ArrayLike) -> Floats:
    """Return the score of a rank (1 is the smallest) along the first axis; NaN where the rank is not within 1..count.

    Parameters
    ----------
    ordered : array_like, (n, ...)
        Sorted along the first axis, NaN last.
    rank, count : array_like of int, (...)

    Examples
    --------
    >>> kth_of_sorted([[1.0, 5.0], [2.0, np.nan]], [2, 2], [2, 1]).tolist()
    [2.0, nan]
    """
    scores, place, n = np.asarray(ordered, dtype=np.float64), np.asarray(rank), np.asarray(count)
    inside = (place >= 1) & (place <= n)
    if len(scores) == 0:
        return np.full(inside.shape, np.nan)
    found = np.take_along_axis(scores, np.where(inside, place - 1, 0)[None], axis=0)[0]
    return np.where(inside, found, np.nan)


def covered(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> Floats:
    """Return 1 where a value lies within its bounds, 0 where not, NaN where there is no value or bound.

    Examples
    --------
    >>> covered([1.0, 2.0, 3.0], [1.0, 3.0, np.nan], [2.0, 4.0, 4.0]).tolist()
    [1.0, 0.0, nan]
    """
    value, lower, upper = (np.asarray(part, dtype=np.float64) for part in (y, low, high))
    known = ~(np.isnan(value) | np.isnan(lower) | np.isnan(upper))
    return np.where(known, (lower <= value) & (value <= upper), np.nan)


def interval_score(y: ArrayLike, low: ArrayLike, high: ArrayLike, level: float) -> Floats:
    """Return the width of each interval, and 2 / (1 - level) times the distance of a value outside to it.

    Gneiting & Raftery 2007, Strictly proper scoring rules, prediction, and estimation, Journal of the American
    Statistical Association 102. Divided by the seasonal-naive scale its mean is MSIS, as in the M4 competition
    (Makridakis, Spiliotis & Assimakopoulos 2020).

    Parameters
    ----------
    y, low, high : array_like, original units
    level : float
        In (0, 1).

    Examples
    --------
    >>> interval_score([1.0, 5.0, -1.0], 0.0, 4.0, level=0.95).round(9).tolist()
    [4.0, 44.0, 44.0]
    """
    value, lower, upper = (np.asarray(part, dtype=np.float64) for part in (y, low, high))
    outside = np.maximum(np.maximum(lower - value, value - upper), 0.0)
    score: Floats = (upper - lower) + 2.0 / (1.0 - level) * outside
    return score
