"""Scores of sample paths and of quantiles, as pure functions of arrays.

Lower is better, but for PIT values, which are to be uniform. What is not finite never yields a finite score. Everything
is computed in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsforce.errors import ArgumentError, check_choice

__all__ = ["crps", "energy_score", "pinball_loss", "pit_values", "weighted_quantile_loss"]

Floats = NDArray[np.float64]

ESTIMATORS = ("fair", "plain")


def _float64(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _pairs(estimator: str, n_paths: int) -> int:
    """Return how many ordered pairs of paths the mean distance between two of them is taken over."""
    check_choice("estimator", estimator, ESTIMATORS)
    least = 2 if estimator == "fair" else 1
    if n_paths < least:
        raise ArgumentError(f"{n_paths} paths: the {estimator} estimator needs at least {least}; draw more paths.")
    return n_paths * (n_paths - 1) if estimator == "fair" else n_paths**2


def crps(y: ArrayLike, paths: ArrayLike, estimator: str = "fair") -> Floats:
    """Return the continuous ranked probability score of each step, from sample paths.

    ``mean_i |x_i - y| - (1 / 2) sum_ij |x_i - x_j| / N``, the expected absolute error less half the expected distance
    between two draws (Gneiting & Raftery 2007, Strictly proper scoring rules, prediction, and estimation, Journal of
    the American Statistical Association 102). N is P (P - 1) for "fair": the pairs of different paths, so that its mean
    is the score of the distribution that they were drawn from, however few they are (Ferro 2014, Fair scores for
    ensemble forecasts, Quarterly Journal of the Royal Meteorological Society 140). It is P^2 for "plain": the score of
    the empirical distribution itself, which fewer paths make larger.

    Parameters
    ----------
    y : array_like, (..., H), original units
        Observed after the cutoff.
    paths : array_like, (..., P, H), original units
        Draws after the cutoff, P paths.
    estimator : "fair" or "plain"

    Returns
    -------
    ndarray, (..., H), float64, units of y
        Of one path "plain" is the absolute error. "fair" may be negative at a single step.

    Raises
    ------
    ArgumentError
        If the estimator is another, or the paths are too few for it.

    Examples
    --------
    >>> paths = [[0.0, 5.0], [2.0, 5.0]]
    >>> crps([1.0, 4.0], paths).tolist(), crps([1.0, 4.0], paths, "plain").tolist()
    ([0.0, 1.0], [0.5, 1.0])
    """
    truth, draws = _float64(y), _float64(paths)
    count = draws.shape[-2]
    pairs = _pairs(estimator, count)
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(draws - truth[..., None, :]).mean(axis=-2)
        # In ascending order x_i is the larger of i pairs and the smaller of P - 1 - i; each is there in both orders.
        rank = (2 * np.arange(count) - count + 1)[:, None]
        return np.asarray(error - (rank * np.sort(draws, axis=-2)).sum(axis=-2) / pairs)


def energy_score(y: ArrayLike, paths: ArrayLike, estimator: str = "fair") -> Floats:
    """Return the energy score of whole paths: the CRPS of vectors, with Euclidean distances.

    ``mean_i |x_i - y| - (1 / 2) sum_ij |x_i - x_j| / N`` with x_i a path over the horizon (Gneiting & Raftery 2007, as
    in `crps`, which it is for one step). It sees whether steps go together as they should, which no score by step does.

    Parameters
    ----------
    y : array_like, (..., H), original units
        Observed after the cutoff. Of several targets, what belongs together joined along the last axis, each in units
        of its own scale.
    paths : array_like, (..., P, H)
    estimator : "fair" or "plain"
        As in `crps`.

    Returns
    -------
    ndarray, (...), float64, units of y
        A numpy scalar when no axis is left.

    Raises
    ------
    ArgumentError
        As from `crps`.

    Examples
    --------
    >>> float(energy_score([0.0, 0.0], [[3.0, 4.0], [0.0, 0.0]], "plain"))
    1.25
    """
    truth, draws = _float64(y), _float64(paths)
    count = draws.shape[-2]
    pairs = _pairs(estimator, count)
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.sqrt(np.square(draws - truth[..., None, :]).sum(axis=-1)).mean(axis=-1)
        between = np.zeros_like(error)
        for i in range(count - 1):
            apart = np.square(draws[..., i + 1 :, :] - draws[..., i : i + 1, :]).sum(axis=-1)
            between = between + np.sqrt(apart).sum(axis=-1)
        return np.asarray(error - between / pairs)[()]


def pinball_loss(y: ArrayLike, quantile: ArrayLike, level: ArrayLike) -> Floats:
    """Return the pinball loss of forecast quantiles: ``max(q (y - x), (q - 1) (y - x))``.

    Its mean is lowest at the quantile itself (Koenker & Bassett 1978, Regression quantiles, Econometrica 46). At level
    1/2 it is half the absolute error.

    Parameters
    ----------
    y, quantile : array_like, original units
        Broadcast against each other.
    level : array_like
        q, between 0 and 1.

    Examples
    --------
    >>> pinball_loss([1.0, 5.0], 3.0, 0.9).round(9).tolist()
    [0.2, 1.8]
    """
    q, gap = _float64(level), _float64(y) - _float64(quantile)
    return np.asarray(np.maximum(q * gap, (q - 1) * gap))


def pit_values(y: ArrayLike, paths: ArrayLike, random_state: int | None = None) -> Floats:
    """Return where each observed value stands among the paths: its probability integral transform, in (0, 1).

    ``(#{x_i < y} + v (#{x_i = y} + 1)) / (P + 1)``: uniform if the truth is one more draw (Gneiting, Balabdaoui &
    Raftery 2007, Probabilistic forecasts, calibration and sharpness, Journal of the Royal Statistical Society B 69;
    randomised within a rank as in Czado, Gneiting & Held 2009, Predictive model assessment for count data, Biometrics
    65). A histogram of them that is high at both ends says that the paths spread too little; high in the middle, too
    much.

    Parameters
    ----------
    y : array_like, (..., H), original units
    paths : array_like, (..., P, H), original units
    random_state : int, optional
        Seed of v, uniform in [0, 1); None: v = 1/2, the middle of the rank.

    Returns
    -------
    ndarray, (..., H), float64
        NaN where the truth or a path is.

    Examples
    --------
    >>> pit_values([1.5, 9.0], [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]).tolist()
    [0.375, 0.875]
    """
    truth, draws = _float64(y), _float64(paths)
    below = (draws < truth[..., None, :]).sum(axis=-2)
    equal = (draws == truth[..., None, :]).sum(axis=-2)
    within = 0.5 if random_state is None else np.random.default_rng(random_state).random(below.shape)
    values = (below + within * (equal + 1)) / (draws.shape[-2] + 1)
    return np.where(np.isnan(truth) | np.isnan(draws).any(axis=-2), np.nan, values)


def weighted_quantile_loss(y: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> Floats:
    """Return twice the pinball loss of all quantiles, summed over all steps, in units of the sum of ``|y|``.

    ``2 sum max(q (y - x_q), (q - 1) (y - x_q)) / sum |y|``, for each level and their mean: what DeepAR (Salinas,
    Flunkert, Gasthaus & Januschowski 2020, International Journal of Forecasting 36) and GluonTS report. At level 1/2 it
    is the sum of absolute errors over the sum of ``|y|``.

    Parameters
    ----------
    y : array_like, (..., H), original units
        Observed after the cutoff; NaN is left out.
    quantiles : array_like, (..., Q, H), original units
        Forecast quantiles.
    levels : array_like, (Q,)
        Their probabilities, each above 0 and below 1.

    Returns
    -------
    ndarray, (Q,), float64
        One figure per level. inf or NaN where all observed values are 0.

    Raises
    ------
    ArgumentError
        If a level is no probability, or there are not as many as quantiles.

    Examples
    --------
    >>> weighted_quantile_loss([1.0, 3.0], [[1.0, 1.0], [3.0, 3.0]], [0.5, 0.75]).tolist()
    [0.5, 0.25]
    """
    truth, values, q = _float64(y), _float64(quantiles), _float64(levels)
    if q.ndim != 1 or not ((q > 0) & (q < 1)).all() or values.shape[-2] != len(q):
        raise ArgumentError(
            f"levels={np.asarray(levels).tolist()!r} for quantiles of the shape {values.shape}: expected one "
            f"probability above 0 and below 1 for each of the {values.shape[-2]} quantiles on the last axis but one."
        )
    known = ~np.isnan(truth)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        gap = np.where(known, truth, 0.0)[..., None, :] - np.where(known[..., None, :], values, 0.0)
        loss = pinball_loss(gap, 0.0, q[:, None])
        axes = tuple(axis for axis in range(loss.ndim) if axis != loss.ndim - 2)
        return np.asarray(2 * loss.sum(axis=axes) / np.abs(truth[known]).sum())
