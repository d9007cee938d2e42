"""Error measures as pure functions of arrays.

A forecast that is not finite never yields a finite score: the error at that step is inf or NaN and stays so
through every mean. Everything is computed in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsforce.scoring.ragged import ragged_rows

__all__ = [
    "abs_error",
    "error_scale",
    "grown_error_scale",
    "has_scale",
    "mae",
    "mean_in_scales",
    "mean_of_known",
    "owa",
    "rmse",
    "seasonal_naive_scale",
    "smape",
    "smape_terms",
    "squared_error",
    "sum_by",
]

Floats = NDArray[np.float64]


def _float64(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def abs_error(y: ArrayLike, yhat: ArrayLike) -> Floats:
    """Return |y - yhat|, element by element.

    Parameters
    ----------
    y, yhat : array_like, (..., H), original units
        Observed and forecast values after the cutoff; any shapes that broadcast.

    Returns
    -------
    ndarray, (..., H), float64, units of y

    Examples
    --------
    >>> abs_error([1.0, 2.0], [3.0, 2.0]).tolist()
    [2.0, 0.0]
    """
    # A diverged forecast is an inf in the table of scores, not a RuntimeWarning: so errstate, here and below.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(_float64(y) - _float64(yhat))


def squared_error(y: ArrayLike, yhat: ArrayLike) -> Floats:
    """Return (y - yhat)^2, element by element.

    Parameters
    ----------
    y, yhat : array_like, (..., H), original units
        Observed and forecast values after the cutoff; any shapes that broadcast.

    Returns
    -------
    ndarray, (..., H), float64, squared units of y

    Examples
    --------
    >>> squared_error([1.0, 2.0], [3.0, 2.0]).tolist()
    [4.0, 0.0]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.square(_float64(y) - _float64(yhat))


def smape_terms(y: ArrayLike, yhat: ArrayLike) -> Floats:
    """Return 200 |y - yhat| / (|y| + |yhat|), element by element, where 0/0 counts as 0.

    The M4 competition's form: percent, between 0 and 200 (Makridakis, Spiliotis & Assimakopoulos 2020, The M4
    Competition, International Journal of Forecasting 36). Others leave out the factor 2, or both factors.

    Parameters
    ----------
    y, yhat : array_like, (..., H), original units
        Observed and forecast values after the cutoff; any shapes that broadcast.

    Returns
    -------
    ndarray, (..., H), float64, percent
        NaN where a forecast is inf or NaN.

    Examples
    --------
    >>> smape_terms([0.0, 3.0, 5.0], [0.0, 1.0, -5.0]).tolist()
    [0.0, 100.0, 200.0]
    """
    size = np.abs(_float64(y)) + np.abs(_float64(yhat))
    with np.errstate(invalid="ignore"):
        terms = 200.0 * (abs_error(y, yhat) / size)
    return np.where(size == 0.0, 0.0, terms)


def smape(y: ArrayLike, yhat: ArrayLike, axis: int | tuple[int, ...] | None = -1) -> Floats:
    """Return the mean of `smape_terms` along `axis`.

    Parameters
    ----------
    y, yhat : array_like, (..., H), original units
        Observed and forecast values after the cutoff; any shapes that broadcast.
    axis : int, tuple of int or None
        Axes that are averaged away; None averages all.

    Returns
    -------
    ndarray, (...), float64, percent
        A numpy scalar when no axis is left.

    Examples
    --------
    >>> smape([[0.0, 3.0], [5.0, 5.0]], [[0.0, 1.0], [-5.0, 5.0]]).tolist()
    [50.0, 100.0]
    """
    return np.asarray(smape_terms(y, yhat).mean(axis=axis))[()]


def mae(y: ArrayLike, yhat: ArrayLike, axis: int | tuple[int, ...] | None = -1) -> Floats:
    """Return the mean of `abs_error` along `axis`.

    Parameters
    ----------
    y, yhat : array_like, (..., H), original units
        Observed and forecast values after the cutoff; any shapes that broadcast.
    axis : int, tuple of int or None
        Axes that are averaged away; None averages all.

    Returns
    -------
    ndarray, (...), float64, units of y
        A numpy scalar when no axis is left.

    Examples
    --------
    >>> mae([[1.0, 2.0], [3.0, 4.0]], [[2.0, 2.0], [3.0, 0.0]]).tolist()
    [0.5, 2.0]
    """
    with np.errstate(over="ignore"):
        return np.asarray(abs_error(y, yhat).mean(axis=axis))[()]


def rmse(y: ArrayLike, yhat: ArrayLike, axis: int | tuple[int, ...] | None = -1) -> Floats:
    """Return the square root of the mean of `squared_error` along `axis`.

    Parameters
    ----------
    y, yhat : array_like, (..., H), original units
        Observed and forecast values after the cutoff; any shapes that broadcast.
    axis : int, tuple of int or None
        Axes that are averaged away; None averages all.

    Returns
    -------
    ndarray, (...), float64, units of y
        A numpy scalar when no axis is left.

    Examples
    --------
    >>> rmse([[1.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [3.0, 3.0]]).tolist()
    [0.0, 3.0]
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.sqrt(squared_error(y, yhat).mean(axis=axis)))[()]


def seasonal_naive_scale(
    values: ArrayLike, indptr: ArrayLike, season_length: int, stops: ArrayLike | None = None
) -> Floats:
    """Return each series' mean |y_t - y_{t-m}| over its visible rows, by which MASE divides `mae`.

    The in-sample error of the seasonal naive forecast (Hyndman & Koehler 2006, Another look at measures of
    forecast accuracy, International Journal of Forecasting 22; with m > 1 as in the M4 competition).

    Parameters
    ----------
    values : array_like, (N,) or (N, C), original units
        Ragged flat panel, of one target or several.
    indptr : array_like of int, (S + 1,)
        Where each series starts and ends in `values`.
    season_length : int
        m, the distance in rows.
    stops : array_like of int, (S,), optional
        Rows of each series that are visible, which is the cutoff's position + 1. Rows at or after the stop
        are not read. Default: all rows.

    Returns
    -------
    ndarray, (S,) or (S, C), float64, units of y
        0 for a constant series; NaN where fewer than m + 1 rows are visible, so that no difference exists. Differences
        with a missing value (NaN) are left out.

    Examples
    --------
    >>> seasonal_naive_scale([1.0, 2.0, 4.0, 5.0, 5.0], [0, 3, 5], season_length=1).tolist()
    [1.5, 0.0]
    >>> seasonal_naive_scale([1.0, 2.0, 4.0, 5.0, 5.0], [0, 3, 5], season_length=1, stops=[2, 1]).tolist()
    [1.0, nan]
    """
    y, pointers = _float64(values), np.asarray(indptr, dtype=np.int64)
    if y.ndim == 2:
        return np.stack([seasonal_naive_scale(own, indptr, season_length, stops) for own in y.T], axis=1)
    lengths = np.diff(pointers)
    visible = lengths if stops is None else np.asarray(stops, dtype=np.int64)
    counts = np.maximum(np.minimum(visible, lengths) - season_length, 0)
    series = np.repeat(np.arange(len(lengths)), counts)
    # The rows that a difference is taken at.
    rows = ragged_rows(pointers[:-1] + season_length, counts)
    with np.errstate(over="ignore", invalid="ignore"):
        now, before = y[rows], y[rows - season_length]
        differences = np.abs(now - before)
        if np.isnan(differences).any():
            known = ~(np.isnan(now) | np.isnan(before))
            series, differences = series[known], differences[known]
            counts = np.bincount(series, minlength=len(lengths))
        # bincount adds each series' rows in their order, so neighbours and hidden rows change no bit.
        found: Floats = np.bincount(series, weights=differences, minlength=len(lengths)) / counts
        return found


def error_scale(values: ArrayLike, indptr: ArrayLike, season_length: int, stops: ArrayLike | None = None) -> Floats:
    """Return what errors of each series are measured by: `seasonal_naive_scale`, of m = 1 where no season fits.

    Parameters and result are those of `seasonal_naive_scale`; NaN where there is no difference from row to row either.

    Examples
    --------
    >>> error_scale([1.0, 2.0, 4.0, 5.0, 5.0], [0, 3, 5], season_length=2).tolist()
    [3.0, 0.0]
    """
    scale = seasonal_naive_scale(values, indptr, season_length, stops)
    if season_length > 1 and np.isnan(scale).any():
        return np.where(np.isnan(scale), seasonal_naive_scale(values, indptr, 1, stops), scale)
    return scale


def grown_error_scale(
    before: ArrayLike, values: ArrayLike, indptr: ArrayLike, season_length: int, first: ArrayLike
) -> Floats:
    """Return `error_scale` of series of which that of their first rows is known.

    Parameters
    ----------
    before : array_like, (S,) or (S, C), units of y
        `error_scale` of the rows before `first`.
    values, indptr, season_length
        As in `seasonal_naive_scale`.
    first : array_like of int, (S,)
        The first row of each series that `before` has not seen.

    Examples
    --------
    >>> grown_error_scale([1.5], [1.0, 2.0, 4.0, 5.0], [0, 4], season_length=1, first=[3]).round(6).tolist()
    [1.333333]
    """
    y, pointers = _float64(values), np.asarray(indptr, dtype=np.int64)
    # Differences that were seen, and those that were not.
    seen = np.asarray(first, dtype=np.int64) - season_length
    new = np.diff(pointers) - season_length - seen
    # Missing values do not count, and how many there were is not known.
    if (seen < 1).any() or np.isnan(y).any():
        return error_scale(y, indptr, season_length)
    counts = new + season_length
    rows = ragged_rows(pointers[:-1] + seen, counts)
    fresh = seasonal_naive_scale(y[rows], np.concatenate([[0], np.cumsum(counts)]), season_length)
    share = (new / (new + seen)).reshape(-1, *[1] * (y.ndim - 1))
    found: Floats = (1 - share) * _float64(before) + np.where(share > 0, share * fresh, 0.0)
    return found


def has_scale(scale: ArrayLike) -> NDArray[np.bool_]:
    """Return which series have a scale to divide errors by: finite and above 0.

    Parameters
    ----------
    scale : array_like, any shape, original units
        From `error_scale`.

    Examples
    --------
    >>> has_scale([2.0, 0.0, np.nan]).tolist()
    [True, False, False]
    """
    values = _float64(scale)
    return np.isfinite(values) & (values > 0)


def owa(smape: float, mase: float, smape_naive2: float, mase_naive2: float) -> float:
    """Return half the sum of the two ratios to Naive2: below 1 is better than Naive2.

    Overall weighted average of the M4 competition. Its ratios are taken once, between means over the whole
    set of series; a mean of ratios per series is another number.

    Parameters
    ----------
    smape, mase : float
        Means over the whole set, of the forecaster.
    smape_naive2, mase_naive2 : float
        The same means, of `tsforce.scoring.naive.naive2`.

    Returns
    -------
    float
        inf where a Naive2 mean is 0, NaN where both means of a ratio are.

    Examples
    --------
    >>> owa(smape=5.0, mase=1.0, smape_naive2=10.0, mase_naive2=1.0)
    0.75
    """
    scores, reference = _float64([smape, mase]), _float64([smape_naive2, mase_naive2])
    with np.errstate(divide="ignore", invalid="ignore"):
        return float((scores / reference).sum() / 2.0)


def mean_in_scales(errors: ArrayLike, scale: ArrayLike) -> Floats:
    """Return errors in units of each target's scale, their mean over the targets that have both.

    Parameters
    ----------
    errors : array_like, (..., C), original units
        NaN where there is none.
    scale : array_like, broadcastable to errors
        As from `error_scale`.

    Returns
    -------
    ndarray, (...), float64
        NaN where no target has an error and a scale.

    Examples
    --------
    >>> mean_in_scales([[2.0, 9.0], [3.0, np.nan], [1.0, 1.0]], [[1.0, 3.0], [6.0, 1.0], [0.0, np.nan]]).tolist()
    [2.5, 0.5, nan]
    """
    values, unit = _float64(errors), _float64(scale)
    known = np.asarray(has_scale(unit)) & ~np.isnan(values)
    total = np.where(known, values / np.where(known, unit, 1.0), 0.0).sum(axis=-1)
    count = known.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mean_of_known(values: ArrayLike, axis: int) -> Floats:
    """Return the mean along an axis of what is not NaN; NaN where nothing is.

    Parameters
    ----------
    values : array_like, any shape
    axis : int

    Examples
    --------
    >>> mean_of_known([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]], 1).tolist()
    [2.0, nan]
    """
    numbers = _float64(values)
    known = ~np.isnan(numbers)
    total, count = np.where(known, numbers, 0.0).sum(axis=axis), known.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def sum_by(group: ArrayLike, values: ArrayLike, n_groups: int) -> Floats:
    """Return the sums of the rows of each group, column by column.

    Parameters
    ----------
    group : array_like of int, (W,)
    values : array_like, (W, C)
    n_groups : int

    Returns
    -------
    ndarray, (n_groups, C), float64

    Examples
    --------
    >>> sum_by([0, 0, 2], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], 3).tolist()
    [[4.0, 6.0], [0.0, 0.0], [5.0, 6.0]]
    """
    columns = np.asarray(values).T
    return np.stack([np.bincount(np.asarray(group), column, minlength=n_groups) for column in columns], axis=1)
