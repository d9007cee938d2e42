"""Past errors in common units, so that those of many series, steps and models tell of each other."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["CommonErrors", "beyond_chance", "followed", "in_common_units", "wider_for_few"]

Floats = NDArray[np.float64]

# Powers that sizes of errors are guessed to go with: of a series' own past errors, of how far a forecast leads away, of
# recent and newest moves, and of bends. Half is the guess however many series there are: what lasts for a while need
# not go on. Half is believed of so many series.
_GUESSES, _FEW = np.array([0.4, 0.0, 0.1, 0.3, 0.1]), 10
# Past errors of a series count beside so many cutoffs of the common size.
_PRIOR = 4
# How fast bounds follow later errors.
_PACE = 0.07
# Standard errors, squared, within which a mean error counts for nothing: errors near each other are alike.
_CHANCE = 6
_NEWTON_STEPS, _TINY = 12, 1e-9
# Variance of the logarithm of a mean size of errors, times the number of independent ones: about twice that of normal
# errors, so that a difference within it counts for nothing.
_LOG_VARIANCE = 1.2
# Seasons in which a place has been forecast from which on it is told from what happened to happen there.
_SEASONS = 3


class CommonErrors(NamedTuple):
    """Errors over what they are expected to be.

    Attributes
    ----------
    relative : (K, S, H, C) float64
        Errors of about one size at every step, in every series and at every time. What a series' own errors tell of
        their size is known at the cutoff, as it is of a new forecast.
    spread : (S, H, C) float64
        The size of a new error of each series at each step, over the running scale and `expected`.
    step_spread : (H, C) float64
        That of a series of which no errors are known.
    powers : (T, C) float64
        In [0, 1], how much counts what is told.
    swing : (C,) float64
        How much counts how far forecasts lead away.
    usual : (H, C) float64
        How far past forecasts did.
    turns : (S + 1, m, C) float64
        How much larger errors are at each place in the season (logarithms), counted from the first row after those
        learnt from; last, 0, of a series of which no errors are known.
    """

    relative: Floats
    spread: Floats
    step_spread: Floats
    powers: Floats
    swing: Floats
    usual: Floats
    turns: Floats

    def expected(self, told: Floats, swings: Floats, series: Any, first: Any) -> Floats:
        """Return how much larger than usual errors are expected to be, (..., H, C).

        Parameters
        ----------
        told : (..., C, T)
        swings : (..., H, C)
            Up to the step H of past forecasts, or fewer; NaN counts for nothing.
        series, first : (...) int64
            Which series, -1 for one of which no errors are known, and the row of the first step, counted from the first
            one after those learnt from.
        """
        moved = (told * self.powers.T).sum(axis=-1)
        led = self.swing * np.nan_to_num(swings - self.usual[: swings.shape[-2]])
        turned = self.turns[np.asarray(series)[..., None], _places(first, swings.shape[-2], self.turns.shape[1])]
        size: Floats = np.exp(moved[..., None, :] + led + turned)
        return size


def in_common_units(
    errors: ArrayLike,
    clone: ArrayLike,
    worth: ArrayLike,
    rows: ArrayLike,
    told: ArrayLike,
    swings: ArrayLike,
    lengths: ArrayLike = 0,
    season_length: int = 1,
) -> CommonErrors:
    """Return errors over the size that is common to their step, times what was known of their series at the cutoff.

    Clones that learnt from fewer rows err more: their errors shrink (or grow) by the ratio of mean sizes to the last
    clone's, over the series known to both, as far as that is more than chance. A series errs more or less than others
    throughout, more after restless times, and more where the forecast leads far away: the expected size goes with
    powers of the mean size of its past errors, of what is told and of the swing, which are half what the errors say and
    half a guess; near 0 of few series. It errs more at some places in the season, by day and not by night, than at
    others: in so far as that is more than chance, of all series and then of each.

    Parameters
    ----------
    errors : array_like, (K, S, H, C)
        Closed loop, by the running scale at their cutoffs; NaN where there is none.
    clone : array_like of int, (K, S)
        Which clone made them, ascending with the rows that it learnt from; -1 for none.
    worth : array_like, (S, H, C)
        How many independent errors those of each series and step are worth.
    rows : array_like of int, (K, S)
        The cutoffs, ascending; -1 for none.
    told : array_like, (K, S, C, T)
        Logarithms, at the cutoffs: ``moves.told_by``.
    swings : array_like, (K, S, H, C)
        Of the forecasts: ``moves.swings_of``; NaN where there is none.
    lengths : array_like of int, (S,)
        Rows that were learnt from.
    season_length : int
        m.

    Examples
    --------
    >>> errors = np.random.default_rng(0).normal(size=(40, 50, 2, 1)) * [[1.0], [3.0]]
    >>> clone, rows = (np.repeat(one, 50, axis=1) for one in (np.repeat([[0], [1]], 20, axis=0), np.c_[:40]))
    >>> told, swings = np.zeros((40, 50, 1, 3)), np.zeros((40, 50, 2, 1))
    >>> common = in_common_units(errors, clone, np.full((50, 2, 1), 40), rows, told, swings)
    >>> common.spread.mean(axis=0).ravel().round(1).tolist()
    [0.8, 2.4]
    """
    z, by, m = np.array(errors, dtype=np.float64), np.asarray(clone), np.asarray(worth, dtype=np.float64)
    at, moved = np.asarray(rows), np.asarray(told, dtype=np.float64)
    with warnings.catch_warnings():
        # Means of nothing are NaN, and mean that nothing is known.
        warnings.simplefilter("ignore", RuntimeWarning)
        _as_the_last_clone(z, by, m)
        step_spread = _to_common_size(z)
        first, whose = at + 1 - np.asarray(lengths), np.arange(z.shape[1])
        turns = _by_turn(z, first, season_length)
        z /= np.exp(turns[whose[:, None], _places(first, z.shape[2], season_length)])
        away = np.where(np.isnan(z), np.nan, swings)
        usual = np.nan_to_num(np.nanmean(away, axis=(0, 1)))
        level, powers, swing = np.zeros(m.shape[::2]), np.zeros((moved.shape[3], m.shape[2])), np.zeros(m.shape[2])
        lasted = np.zeros((*at.shape, m.shape[2]))
        for channel in range(m.shape[2]):
            one = z[..., channel]
            before, now = _own_size(np.abs(one), at)
            led = np.nan_to_num(np.nanmean(away[..., channel] - usual[:, channel], axis=2))
            each = np.stack([before, led, *np.nan_to_num(moved[:, :, channel]).transpose(2, 0, 1)], axis=-1)
            lasts, swing[channel], *powers[:, channel] = _powers(np.nanmean(np.abs(one), axis=2), each)
            level[:, channel], lasted[..., channel] = np.exp(lasts * now), np.exp(lasts * before)
        found = CommonErrors(z, z, step_spread, powers, swing, usual, np.zeros_like(turns))
        z /= found.expected(np.nan_to_num(moved), away, whose, first) * lasted[:, :, None]
        step_spread = step_spread * _to_common_size(z)
    return found._replace(spread=step_spread * level[:, None], step_spread=step_spread, turns=turns)


def _places(first: Any, steps: int, season: int) -> NDArray[np.int64]:
    """Return the places in the season of some steps from a row on, (..., H)."""
    found: NDArray[np.int64] = (np.asarray(first)[..., None] + np.arange(steps)) % season
    return found


def _by_turn(z: Floats, first: NDArray[np.int64], season: int) -> Floats:
    """Return how much larger errors (K, S, H, C) are at each place in the season, ``CommonErrors.turns``.

    `first` (K, S) is as in ``CommonErrors.expected``.
    """
    n_series, n_channels = z.shape[1], z.shape[3]
    found = np.zeros((n_series + 1, season, n_channels))
    if season == 1 or not z.size:
        return found
    target = first[..., None] + np.arange(z.shape[2])
    shape, cell = (n_series, season), np.arange(n_series)[:, None] * season + target % season
    # What several cutoffs have forecast is one row: how often it has been forecast adds nothing.
    span = int(target.max() - target.min()) + 1
    row = np.arange(n_series)[:, None] * span + target - target.min()
    for channel in range(n_channels):
        size = np.abs(z[..., channel])
        known = ~np.isnan(size)
        total, count = (
            np.bincount(cell[known], weights=weights, minlength=n_series * season).reshape(shape)
            for weights in (size[known], None)
        )
        of_rows = cell[known][np.unique(row[known], return_index=True)[1]]
        rows = np.bincount(of_rows, minlength=n_series * season).reshape(shape)
        # What shakes all series shakes them at the same rows: many series are no more of these than one.
        of_all = _beyond_chance_by_place(total.sum(axis=0), count.sum(axis=0), rows.max(axis=0))
        own = _beyond_chance_by_place(total / np.exp(of_all), count, rows)
        found[:-1, :, channel] = of_all + own
    return found


def _beyond_chance_by_place(total: Floats, count: NDArray[np.int64], rows: NDArray[np.int64]) -> Floats:
    """Return logarithms of mean sizes over that of all places, (..., m), held to 0 by how much of them is chance.

    An empirical Bayes estimate: how far places differ is told by all of them together.
    """
    mean = total.sum(axis=-1, keepdims=True) / count.sum(axis=-1, keepdims=True)
    ratio = _log(total / count) - _log(mean)
    there = np.isfinite(ratio) & (rows >= _SEASONS)
    chance = _LOG_VARIANCE / np.maximum(rows, 1)
    apart = np.mean((ratio**2 - chance)[there]) if there.any() else 0.0
    if not apart > 0:
        return np.zeros(ratio.shape)
    kept: Floats = np.where(there, ratio, 0.0) * apart / (apart + chance)
    return kept


def _as_the_last_clone(z: Floats, by: NDArray[np.int64], worth: Floats) -> None:
    """Bring the errors of earlier clones to the size of the last one's, in place."""
    clones = [k for k in np.unique(by).tolist() if k >= 0]
    count = np.maximum((~np.isnan(z)).sum(axis=0), 1)
    # One after the other: the newest may hold too few to say anything.
    for k in clones[1:]:
        earlier = (by >= 0) & (by < k)
        (own, of_own), (last, of_last) = _sizes_by(z, earlier), _sizes_by(z, by == k)
        both = (of_own > 0) & (of_last > 0)
        weight = np.where(both, np.minimum(of_own, of_last), 0)
        means = [np.where(both, weight * part, 0.0).sum(axis=0) for part in (own, last)]
        ratio = np.nan_to_num(np.nanmean(_log(means[1]) - _log(means[0]), axis=0))
        known = [np.where(both, worth * part / count, 0.0).sum(axis=0).mean(axis=0) for part in (of_own, of_last)]
        chance = _LOG_VARIANCE * sum(1 / np.maximum(part, 1) for part in known)
        ratio *= np.maximum(0.0, 1 - chance / np.maximum(ratio**2, 1e-12))
        z *= np.where(earlier[:, :, None, None], np.exp(ratio), 1.0)


def _sizes_by(z: Floats, chosen: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.int64]]:
    """Return the mean size of some errors of each series at each step, and how many they are, (S, H, C) each."""
    part = np.where(chosen[:, :, None, None], np.abs(z), np.nan)
    mean: Floats = np.nanmean(part, axis=0)
    return mean, (~np.isnan(part)).sum(axis=0)


def _to_common_size(z: Floats) -> Floats:
    """Divide errors by the mean size at their step, in place, and return it, (H, C)."""
    size: Floats = np.nan_to_num(np.nanmean(np.abs(z), axis=(0, 1)))
    z /= np.where(size > 0, size, 1.0)
    return size


def _own_size(sizes: Floats, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the logarithm of the mean size of each series' past errors at each cutoff (K, S), and in the end (S,).

    `sizes` (K, S, H) count once their truth is known, beside `_PRIOR` cutoffs of size 1. Centred; 0 where there is
    none.
    """
    there = rows.T >= 0
    series, row = np.nonzero(there)[0], rows.T[there]
    own = sizes.transpose(1, 0, 2)[there]
    key = series * (int(rows.max(initial=0)) + 1) + row
    first, end = (np.searchsorted(series, np.arange(rows.shape[1]), side=side) for side in ("left", "right"))
    total, count, all_total, all_count = (np.zeros(n) for n in (len(row), len(row), len(first), len(first)))
    for step in range(own.shape[1]):
        known = ~np.isnan(own[:, step])
        sums = np.concatenate([[0.0], np.cumsum(np.where(known, own[:, step], 0.0))])
        counts = np.concatenate([[0], np.cumsum(known)])
        until = np.maximum(np.searchsorted(key, key - step - 1, side="right"), first[series])
        total += sums[until] - sums[first[series]]
        count += counts[until] - counts[first[series]]
        all_total += sums[end] - sums[first]
        all_count += counts[end] - counts[first]
    steps = max(own.shape[1], 1)
    told, now = (
        np.log((t / steps + _PRIOR) / (c / steps + _PRIOR)) for t, c in ((total, count), (all_total, all_count))
    )
    centre = told[count > 0].mean() if (count > 0).any() else 0.0
    before = np.zeros(there.shape)
    before[there] = np.where(count > 0, told - centre, 0.0)
    return before.T, np.where(all_count > 0, now - centre, 0.0)


def _powers(size: Floats, told: Floats) -> Floats:
    """Return the powers, (P,) in [0, 1], of what is told, (K, S, P) logarithms, that sizes (K, S) go with.

    Half of them is a guess, half those of the highest likelihood if sizes were of an exponential distribution, which is
    convex; of few series they are near 0: moves so far alone. What would have a negative power has none, and the others
    are found without it.
    """
    known = np.isfinite(size)
    n_series = int(known.any(axis=0).sum())
    y, x = size[known], np.concatenate([np.ones((int(known.sum()), 1)), told[known]], axis=1)
    if not n_series or not y.mean() > 0:
        return np.zeros(told.shape[2])
    found, used = np.zeros(x.shape[1]), np.arange(x.shape[1])
    found[0] = np.log(y.mean())
    found[used] = _likeliest(y, x, found)
    while (found[1:] < 0).any():
        # One at a time: the others may be what they are for its sake.
        lowest = 1 + int(found[1:].argmin())
        found[lowest], used = 0.0, used[used != lowest]
        found[used] = _likeliest(y, x[:, used], found[used])
    powers: Floats = n_series / (n_series + _FEW) * (_GUESSES + np.minimum(found[1:], 1.0)) / 2
    return powers


def _likeliest(y: Floats, x: Floats, start: Floats) -> Floats:
    """Return the weights by which the logarithms of exponential means are linear in x, by Newton's method."""
    found = start.copy()
    for _ in range(_NEWTON_STEPS):
        over = y * np.exp(-x @ found)
        slope, bend = x.T @ (1 - over), (x * over[:, None]).T @ x
        step = np.linalg.solve(bend + _TINY * np.trace(bend) * np.eye(len(found)), slope)
        found -= step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < _TINY:
            break
    return found


def _log(values: Floats) -> Floats:
    """Return logarithms, NaN where there is none."""
    found: Floats = np.log(np.where(np.isfinite(values) & (values > 0), values, np.nan))
    return found


def beyond_chance(mean: ArrayLike, variance: ArrayLike, independent: ArrayLike) -> Floats:
    """Return a mean error in so far as it is more than chance for so many independent ones, else 0.

    Examples
    --------
    >>> beyond_chance([0.1, 1.0], 1.0, 60).round(9).tolist()
    [0.0, 0.9]
    """
    square = np.asarray(mean, dtype=np.float64) ** 2
    chance = _CHANCE * np.asarray(variance) / np.maximum(independent, 1)
    kept = np.divide(chance, square, out=np.ones(np.broadcast(square, chance).shape), where=square > 0)
    found: Floats = mean * np.maximum(0.0, 1 - kept)
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


def followed(
    low: Floats, high: Floats, errors: Floats, share: float, whole_path: bool = False
) -> tuple[Floats, Floats]:
    """Return bounds of each series that have followed what later forecasts got wrong.

    Row by row, the logarithm of the distance from the middle to each side grows by `_PACE` times the share of the
    errors known by then that lay outside, less the share that should: adaptive conformal inference (Gibbs & Candes
    2021, Adaptive conformal inference under distribution shift), in units. So in the long run as many lie outside
    as should, whatever becomes of the series.

    Parameters
    ----------
    low, high : (S, H, C)
        In the units of the errors.
    errors : (K, S, H, C)
        Of forecasts at consecutive rows; NaN where the truth is not known, or before the first one.
    share : float
        The level.
    whole_path : bool
        Whether a side holds where all steps do.

    Examples
    --------
    >>> errors = np.random.default_rng(0).normal(size=(300, 1, 1, 1))
    >>> low, high = followed(np.full((1, 1, 1), -0.5), np.full((1, 1, 1), 0.5), errors, 0.8)
    >>> bool(low < -1.1 < 1.1 < high)
    True
    """
    middle, half = (high + low) / 2, (high - low) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        off = (errors - middle) / half
    wide = np.zeros((2, *low.shape[::2]))
    for row in range(len(errors)):
        # At each row one more step of each of the last forecasts becomes known, and the last one of the first of them.
        steps = np.arange(min(row + 1, low.shape[1]))
        if not whole_path:
            seen = off[row - steps, :, steps]
        elif len(steps) == low.shape[1]:
            seen = off[row - steps[-1]].transpose(1, 0, 2)
            seen = np.where(np.isnan(seen).any(axis=0), np.nan, seen)
        else:
            continue
        known = ~np.isnan(seen)
        for side, out in ((0, -seen), (1, seen)):
            outside = known & (out > np.exp(wide[side]))
            missed = outside.any(axis=0) if whole_path else outside.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
            wide[side] += np.where(known.any(axis=0), _PACE * (missed - (1 - share) / 2), 0.0)
    lower, upper = np.exp(wide)[:, :, None]
    return middle - half * lower, middle + half * upper
