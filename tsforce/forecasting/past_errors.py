"""Past errors in common units, so that those of many series, steps and models tell of each other."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["CommonErrors", "in_common_units", "running_scale", "wider_for_few"]

Floats = NDArray[np.float64]

# Weights of recent moves halve in so many rows, or a season if that is longer.
_HALF_LIFE = 10
# Series that say how much a series' own level of errors lasts count as many as this guess of one half.
_GUESS = 10
# Variance of the logarithm of a mean size of errors, times the number of independent ones: about twice that of normal
# errors, so that a difference within it counts for nothing.
_LOG_VARIANCE = 1.2


def running_scale(values: ArrayLike, indptr: ArrayLike, season_length: int, *, recent: bool = False) -> Floats:
    """Return what the errors of a forecast after each row are measured by, from the rows up to it alone.

    The mean |y_t - y_{t-m}| so far, of m = 1 before there is a season and where that is 0.

    Parameters
    ----------
    values : array_like, (N, C), original units
        Ragged flat panel; differences with a missing value (NaN) are left out.
    indptr : array_like of int, (S + 1,)
    season_length : int
        m.
    recent : bool
        Whether half of it is a mean whose weights halve every 10 rows, or every season if that is longer.

    Returns
    -------
    ndarray, (N, C), float64, original units
        NaN where no difference is known; 0 while a series is constant.

    Examples
    --------
    >>> running_scale([[1.0], [2.0], [4.0], [5.0]], [0, 4], season_length=1).ravel().tolist()
    [nan, 1.0, 1.5, 1.3333333333333333]
    """
    y = np.asarray(values, dtype=np.float64)
    scale = np.full(y.shape, np.nan)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # Series by series: a sum through all of them would let the last rows of one into the digits of the next.
        for first, end in pairwise(np.asarray(indptr).tolist()):
            own = y[first:end]
            steps = _mean_move(own, 1, recent, season_length)
            seasons = _mean_move(own, season_length, recent, season_length) if season_length > 1 else steps
            scale[first:end] = np.where(seasons > 0, seasons, steps)
    return scale


def _mean_move(y: Floats, apart: int, recent: bool, season_length: int) -> Floats:
    mean = np.full(y.shape, np.nan)
    moves = np.abs(y[apart:] - y[:-apart])
    if not len(moves):
        return mean
    known = (~np.isnan(moves)).astype(np.float64)
    moves = np.where(known > 0, moves, 0.0)
    mean[apart:] = np.cumsum(moves, axis=0) / np.cumsum(known, axis=0)
    if recent:
        from scipy.signal import lfilter

        kept = 0.5 ** (1 / max(_HALF_LIFE, season_length))
        total, weight = (lfilter([1.0], [1.0, -kept], part, axis=0) for part in (moves, known))
        mean[apart:] = 0.5 * (mean[apart:] + total / weight)
    return mean


class CommonErrors(NamedTuple):
    """Errors over what they are expected to be.

    Attributes
    ----------
    relative : (K, S, H, C) float64
        Errors of about one size at every step and in every series. The size of a series is told by what other clones
        got wrong, as that of a new error is told by past ones.
    spread : (S, H, C) float64
        The size of a new error of each series at each step, in the units of the errors given.
    step_spread : (H, C) float64
        That of a series of which no errors are known.
    """

    relative: Floats
    spread: Floats
    step_spread: Floats


def in_common_units(errors: ArrayLike, clone: ArrayLike, worth: ArrayLike) -> CommonErrors:
    """Return errors over the size that is common to their step, times that of their series.

    Clones that learnt from fewer rows err more: their errors shrink (or grow) by the ratio of mean sizes to the last
    clone's, as far as that is more than chance. A series errs more or less than others throughout: by how much, one
    clone's errors tell about the next one's; a series' size is trusted as far as they agree over the series.

    Parameters
    ----------
    errors : array_like, (K, S, H, C)
        Closed loop, by the running scale at their cutoffs; NaN where there is none.
    clone : array_like of int, (K, S)
        Which clone made them, ascending with the rows that it learnt from; -1 for none.
    worth : array_like, (S, H, C)
        How many independent errors those of each series and step are worth.

    Examples
    --------
    >>> errors = np.random.default_rng(0).normal(size=(40, 50, 2, 1)) * [[1.0], [3.0]]
    >>> common = in_common_units(errors, np.repeat([[0], [1]], 20, axis=0).repeat(50, axis=1), np.full((50, 2, 1), 40))
    >>> common.spread.mean(axis=0).ravel().round(1).tolist()
    [0.8, 2.4]
    """
    z, by, m = np.array(errors, dtype=np.float64), np.asarray(clone), np.asarray(worth, dtype=np.float64)
    clones = [k for k in np.unique(by).tolist() if k >= 0]
    whose = [np.where((by == k)[:, :, None, None], z, np.nan) for k in clones]
    with warnings.catch_warnings():
        # Means of nothing are NaN, and mean that nothing is known.
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = [np.nanmean(np.abs(part), axis=(0, 1)) for part in whose]
        count = (~np.isnan(z)).sum(axis=0)
        known = [(m * (~np.isnan(part)).sum(axis=0) / np.maximum(count, 1)).sum(axis=0).mean(axis=0) for part in whose]
        for k, part in enumerate(whose[:-1]):
            ratio = np.nan_to_num(np.nanmean(_log(mean[-1] / mean[k]), axis=0))
            chance = _LOG_VARIANCE * (1 / np.maximum(known[k], 1) + 1 / np.maximum(known[-1], 1))
            ratio *= np.maximum(0.0, 1 - chance / np.maximum(ratio**2, 1e-12))
            part *= np.exp(ratio)
            z = np.where((by == clones[k])[:, :, None, None], part, z)
        step_spread = np.nanmean(np.abs(z), axis=(0, 1))
        step_spread = np.where(np.isnan(step_spread), 0.0, step_spread)
        z /= np.where(step_spread > 0, step_spread, 1.0)
        own = np.full((len(clones), *z.shape[1::2]), np.nan)
        for k, part in enumerate(whose):
            own[k] = _log(np.nanmean(np.abs(part) / np.where(step_spread > 0, step_spread, np.nan), axis=(0, 2)))
        own -= np.nanmean(own, axis=1, keepdims=True)
        lasts = _agreement(own)
        for k, one in enumerate(clones):
            others = np.nanmean(np.delete(own, k, axis=0), axis=0) if len(clones) > 1 else np.zeros(own.shape[1:])
            size = np.exp(lasts * np.nan_to_num(others))
            z = np.where((by == one)[:, :, None, None], z / size[:, None], z)
        # Of all clones together more is known than of one.
        together = len(clones) * lasts / (1 + (len(clones) - 1) * lasts)
        level = np.exp(together * np.nan_to_num(np.nanmean(own, axis=0))) if clones else np.ones(z.shape[1::2])
    return CommonErrors(z, step_spread * level[:, None], step_spread)


def _agreement(own: Floats) -> Floats:
    """Return how much the sizes of series, (G, S, C), of the last two clones correlate, (C,) in [0, 1]."""
    agreement = np.zeros(own.shape[2])
    for channel, (before, last) in enumerate(zip(own[-2].T, own[-1].T, strict=True) if len(own) > 1 else ()):
        both = np.isfinite(before) & np.isfinite(last)
        n_series = int(both.sum())
        if n_series > 2 and before[both].std() > 0 and last[both].std() > 0:
            found = float(np.clip(np.corrcoef(before[both], last[both])[0, 1], 0.0, 1.0))
        else:
            n_series, found = 0, 0.0
        agreement[channel] = (n_series * found + _GUESS * 0.5) / (n_series + _GUESS)
    return agreement


def _log(values: Floats) -> Floats:
    """Return logarithms, NaN where there is none."""
    found: Floats = np.log(np.where(np.isfinite(values) & (values > 0), values, np.nan))
    return found


def wider_for_few(share: float, independent: ArrayLike) -> Floats:
    """Return how much wider bounds are where few errors have told their size: Student's t over normal quantiles.

    Examples
    --------
    >>> wider_for_few(0.95, [10, 1000]).round(3).tolist()
    [1.137, 1.001]
    """
    from scipy.special import ndtri, stdtrit

    quantile = (1 + share) / 2
    wider: Floats = stdtrit(np.maximum(np.asarray(independent, dtype=np.float64), 1.0), quantile) / ndtri(quantile)
    return wider
