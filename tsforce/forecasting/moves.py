"""How much a series has moved up to each of its rows: what errors after it are measured by, and what tells of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["N_MOVES", "N_TOLD", "running_moves", "swings_of", "told_by"]

Floats = NDArray[np.float64]

# Weights of recent moves halve in so many rows, or a season if that is longer; those of the newest in so many.
_HALF_LIFE, _NEWEST = 10, 3
# What is found of each row, and what that tells.
N_MOVES, N_TOLD = 5, 3
# Of series side by side, the longest has so many times the rows of the shortest at most; and rows in all, about.
_ALIKE, _AT_ONCE = 1.5, 2**18
# Ratios that are as good as 0: of newest moves, of bends, of a swing.
_LEAST_NEWEST, _LEAST_BEND, _LEAST_SWING = 0.05, 0.1, 0.5
# Recent moves are at most so many times more, or less, than all so far (logarithm).
_MOST_MOVED = 4.0


def running_moves(values: ArrayLike, indptr: ArrayLike, season_length: int) -> Floats:
    """Return how much series had moved up to each row, from the rows up to it alone.

    Parameters
    ----------
    values : array_like, (N, C), original units
        Ragged flat panel; differences with a missing value (NaN) are left out.
    indptr : array_like of int, (S + 1,)
    season_length : int
        m.

    Returns
    -------
    ndarray, (5, N, C), float64, original units
        The running scale: the mean |y_t - y_{t-m}| so far, of m = 1 before there is a season and where that is 0. Half
        of that and half a mean whose weights halve every 10 rows, or every season if that is longer. The mean
        |y_t - y_{t-1}| so far, one whose weights halve every 3 rows, and the mean second difference so far. NaN where
        no difference is known; 0 while a series is constant.

    Examples
    --------
    >>> running_moves([[1.0], [2.0], [4.0], [5.0]], [0, 4], season_length=1)[0].ravel().tolist()
    [nan, 1.0, 1.5, 1.3333333333333333]
    """
    y, bounds = np.asarray(values, dtype=np.float64), np.asarray(indptr)
    found = np.full((N_MOVES, *y.shape), np.nan)
    lengths = np.diff(bounds)
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        shortest = lengths[order[start]]
        longest = int(np.searchsorted(lengths[order], max(_ALIKE * shortest, shortest + 1), side="right"))
        own = order[start : max(start + 1, min(longest, start + _AT_ONCE // max(int(shortest), 1)))]
        start += len(own)
        # Side by side, never one after the other: the last rows of one would be in the digits of the next one's sums.
        inside = np.arange(int(lengths[own].max()))[:, None] < lengths[own]
        row = np.where(inside, bounds[own] + np.arange(len(inside))[:, None], 0)
        block = np.where(inside[..., None], y[row], np.nan) if len(y) else np.empty((*inside.shape, y.shape[1]))
        found[:, row[inside]] = _moves_of(block, season_length)[:, inside]
    return found


def _moves_of(y: Floats, season: int) -> Floats:
    """Return what `running_moves` does, of series side by side, (rows, S, C)."""
    half_life = max(_HALF_LIFE, season)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        steps, bends = np.abs(y[1:] - y[:-1]), np.abs(y[2:] - 2 * y[1:-1] + y[:-2])
        every, newest, bent = _mean(y, steps), _mean(y, steps, _NEWEST), _mean(y, bends)
        scales = [every, 0.5 * (every + _mean(y, steps, half_life))]
        if season > 1:
            seasons = np.abs(y[season:] - y[:-season])
            of_seasons = _mean(y, seasons)
            both = [of_seasons, 0.5 * (of_seasons + _mean(y, seasons, half_life))]
            scales = [np.where(own > 0, own, other) for own, other in zip(both, scales, strict=True)]
        return np.stack([*scales, every, newest, bent])


def _mean(y: Floats, moves: Floats, half_life: float | None = None) -> Floats:
    """Return running means of moves at the rows where they end, the weights of which may halve; NaN before."""
    mean = np.full(y.shape, np.nan)
    if not len(moves):
        return mean
    known = (~np.isnan(moves)).astype(np.float64)
    moves = np.where(known > 0, moves, 0.0)
    if half_life is None:
        total, weight = np.cumsum(moves, axis=0), np.cumsum(known, axis=0)
    else:
        from scipy.signal import lfilter

        kept = 0.5 ** (1 / half_life)
        total, weight = (lfilter([1.0], [1.0, -kept], part, axis=0) for part in (moves, known))
    mean[len(y) - len(moves) :] = total / weight
    return mean


def told_by(moves: Floats, recent: bool) -> Floats:
    """Return what tells how large errors after a row will be, (..., C, 3), logarithms; 0 where nothing is known.

    Recent moves over all, newest ones over all, and second differences over moves: of a line with a slope they are
    few, of noise many.

    Parameters
    ----------
    moves : (5, ..., C)
        From `running_moves`; of files of before the first two alone.
    recent : bool
        Whether errors are measured by the second of both scales.
    """
    every, half = moves[:2]
    with np.errstate(divide="ignore", invalid="ignore"):
        # One of the scales is half of recent moves and half of all.
        found = [np.log((2 * half - every) / moves[int(recent)])]
        if len(moves) == N_MOVES:
            steps, newest, bends = moves[2:]
            found += [np.log(newest / steps + _LEAST_NEWEST), np.log(bends / steps + _LEAST_BEND)]
        else:
            found += [np.full_like(every, np.nan)] * 2
    both = np.stack(found, axis=-1)
    inside: Floats = np.where(np.isnan(both), 0.0, np.clip(both, -_MOST_MOVED, _MOST_MOVED))
    return inside


def swings_of(yhat: Floats, last: Any, scale: Any) -> Floats:
    """Return how far forecasts (W, H, C) lead away from the last value (W, C) up to each step, over the scale (W, C).

    The logarithm of the mean distance so far; NaN where one is not known.

    Examples
    --------
    >>> swings_of(np.array([[[1.0], [2.0]]]), np.zeros((1, 1)), np.ones((1, 1))).ravel().round(3).tolist()
    [0.405, 0.693]
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        away = np.cumsum(np.abs(yhat - last[:, None]), axis=1) / np.arange(1, yhat.shape[1] + 1)[:, None]
        found: Floats = np.log(away / scale[:, None] + _LEAST_SWING)
    return np.where(np.isfinite(found), found, np.nan)
