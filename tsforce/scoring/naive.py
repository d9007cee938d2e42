"""Reference forecasts that need no fitting, for all series of a ragged flat panel at once.

Every row of the panel is read: the caller cuts it at the cutoff. A series without rows is answered with NaN.
M4 Yearly alone has 23000 series, so nothing here loops over series, only over lags.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["drift", "is_seasonal", "naive", "naive2", "seasonal_indices", "seasonal_naive"]

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]

# Rows of all series that are looked through for a season at once.
_CHUNK_ROWS = 50_000


def _panel(values: ArrayLike, indptr: ArrayLike) -> tuple[Floats, Positions, Positions]:
    pointers = np.asarray(indptr, dtype=np.int64)
    return np.asarray(values, dtype=np.float64), pointers, np.diff(pointers)


def _take(values: Floats, rows: Positions, available: NDArray[np.bool_]) -> Floats:
    """Return values[rows], or NaN where `available` is False: there the row may belong to another series."""
    taken = np.full(rows.shape, np.nan)
    taken[available] = values[rows[available]]
    return taken


def _chunks(series: Positions, lengths: Positions) -> list[Positions]:
    """Return series in parts of few enough rows for sums over lags to stay near the processor."""
    chunk = np.cumsum(lengths[series]) // _CHUNK_ROWS
    return np.split(series, np.flatnonzero(np.diff(chunk)) + 1) if len(series) else []


def _some(y: Floats, pointers: Positions, series: Positions) -> tuple[Floats, Positions]:
    """Return the values of some series and where each starts and ends."""
    lengths = np.diff(pointers)[series]
    own = np.concatenate([[0], np.cumsum(lengths)])
    return y[np.repeat(pointers[series] - own[:-1], lengths) + np.arange(own[-1])], own


def naive(values: ArrayLike, indptr: ArrayLike, horizon: int) -> Floats:
    """Return each series' last value, repeated.

    Parameters
    ----------
    values : array_like, (N,), original units, rows <= cutoff
        Ragged flat panel.
    indptr : array_like of int, (S + 1,)
        Where each series starts and ends in `values`.
    horizon : int
        Steps to forecast.

    Returns
    -------
    ndarray, (S, H), float64, units of y, steps after the cutoff

    Examples
    --------
    >>> naive([1.0, 2.0, 5.0], [0, 2, 3], horizon=2).tolist()
    [[2.0, 2.0], [5.0, 5.0]]
    """
    y, pointers, lengths = _panel(values, indptr)
    last = _take(y, pointers[1:] - 1, lengths >= 1)
    return np.repeat(last[:, None], horizon, axis=1)


def seasonal_naive(values: ArrayLike, indptr: ArrayLike, horizon: int, season_length: int) -> Floats:
    """Return each series' last season, repeated.

    A series shorter than one season repeats its last value instead, as `naive2` does where it finds no
    season: NaN would strike the series from every score.

    Parameters
    ----------
    values : array_like, (N,), original units, rows <= cutoff
        Ragged flat panel.
    indptr : array_like of int, (S + 1,)
        Where each series starts and ends in `values`.
    horizon : int
        Steps to forecast.
    season_length : int
        m, rows per season; 1 gives `naive`.

    Returns
    -------
    ndarray, (S, H), float64, units of y, steps after the cutoff

    Examples
    --------
    >>> seasonal_naive([1.0, 2.0, 3.0, 9.0], [0, 3, 4], horizon=3, season_length=2).tolist()
    [[2.0, 3.0, 2.0], [9.0, 9.0, 9.0]]
    """
    y, pointers, lengths = _panel(values, indptr)
    period = np.where(lengths >= season_length, season_length, 1)[:, None]
    rows = pointers[1:, None] - period + np.arange(horizon) % period  # (S, H)
    return _take(y, rows, np.broadcast_to(lengths[:, None] >= 1, rows.shape))


def drift(values: ArrayLike, indptr: ArrayLike, horizon: int) -> Floats:
    """Return each series' straight line from its first through its last value, continued.

    Step h is last + h (last - first) / (n - 1) (Hyndman & Athanasopoulos, Forecasting: Principles and
    Practice, "Some simple forecasting methods"). A series of one row has no slope and repeats its value.

    Parameters
    ----------
    values : array_like, (N,), original units, rows <= cutoff
        Ragged flat panel.
    indptr : array_like of int, (S + 1,)
        Where each series starts and ends in `values`.
    horizon : int
        Steps to forecast.

    Returns
    -------
    ndarray, (S, H), float64, units of y, steps after the cutoff

    Examples
    --------
    >>> drift([1.0, 2.0, 5.0, 7.0], [0, 3, 4], horizon=2).tolist()
    [[7.0, 9.0], [7.0, 7.0]]
    """
    y, pointers, lengths = _panel(values, indptr)
    first = _take(y, pointers[:-1], lengths >= 1)
    last = _take(y, pointers[1:] - 1, lengths >= 1)
    slope = (last - first) / np.maximum(lengths - 1, 1)
    return last[:, None] + slope[:, None] * np.arange(1, horizon + 1)


def is_seasonal(values: ArrayLike, indptr: ArrayLike, season_length: int) -> NDArray[np.bool_]:
    """Return whether each series passes the M4 competition's 90 % test for a season.

    It passes if m > 1, n >= 3m and |r_m| > 1.645 sqrt((1 + 2 sum_{k<m} r_k^2) / n), where r_k is the
    autocorrelation about the overall mean with divisor n, as R's ``acf`` has it (``SeasonalityTest`` in
    Mcompetitions/M4-methods). That script lets ``acf`` stop at 10 log10(n) lags, so it never finds a season
    beyond them; here lag m is always computed. In the M4 itself m lay within those lags for every series.

    Parameters
    ----------
    values : array_like, (N,), original units, rows <= cutoff
        Ragged flat panel.
    indptr : array_like of int, (S + 1,)
        Where each series starts and ends in `values`.
    season_length : int
        m, rows per season.

    Returns
    -------
    ndarray, (S,), bool
        False for a constant series and for one with values that are not finite.

    Examples
    --------
    >>> is_seasonal([1.0, 2.0] * 9 + [5.0] * 8, [0, 18, 26], season_length=2).tolist()
    [True, False]
    """
    y, pointers, lengths = _panel(values, indptr)
    found = np.zeros(len(lengths), dtype=np.bool_)
    if season_length > 1:
        for part in _chunks(np.flatnonzero(lengths >= 3 * season_length), lengths):
            found[part] = _passes(*_some(y, pointers, part), season_length)
    return found


def _passes(y: Floats, pointers: Positions, season_length: int) -> NDArray[np.bool_]:
    """Return what `is_seasonal` does, of series with rows enough."""
    starts, lengths = pointers[:-1], np.diff(pointers)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # Measured from its first value a constant series is exactly 0. About its rounded mean it could be one
        # unit in the last place, row after row: perfectly autocorrelated.
        from_first = y - np.repeat(y[starts], lengths)
        deviation = from_first - np.repeat(np.add.reduceat(from_first, starts) / lengths, lengths)
        variance = np.add.reduceat(deviation**2, starts)
        earlier = np.zeros(len(lengths))
        for lag in range(1, season_length + 1):
            # From each start to the last product within the series; the sums between are of two series each.
            between = np.stack([starts, pointers[1:] - lag], axis=1).ravel()[:-1]
            r = np.add.reduceat(deviation[lag:] * deviation[:-lag], between)[::2] / variance
            if lag < season_length:
                earlier += r**2
        passes: NDArray[np.bool_] = np.abs(r) > 1.645 * np.sqrt((1.0 + 2.0 * earlier) / lengths)
    return passes


def seasonal_indices(
    values: ArrayLike, indptr: ArrayLike, season_length: int, series: Positions | None = None
) -> Floats:
    """Return each series' multiplicative seasonal indices, by the classical decomposition.

    As R's ``decompose(type = "multiplicative")``: the trend is a centred moving average over m rows (2 x m
    for even m); the ratios y / trend are averaged per position, then scaled so that the m indices average 1.
    Ratios 0/0 are left out of the average, which is what R does too.

    Parameters
    ----------
    values : array_like, (N,), original units, rows <= cutoff
        Ragged flat panel.
    indptr : array_like of int, (S + 1,)
        Where each series starts and ends in `values`.
    season_length : int
        m, rows per season.
    series : ndarray of int, optional
        Which series; by default all S.

    Returns
    -------
    ndarray, (S, m), float64, no unit
        Column j belongs to rows j, j + m, j + 2m ... of the series, counted from its first row. All NaN for a
        series without indices: one with a position that has no ratio (too few rows, or hardly anything but
        zeros), or with a negative value. R accepts negative values, but the ratio to a moving average that
        crosses 0 measures no season.

    Examples
    --------
    >>> seasonal_indices([1.0, 3.0, 1.0, 3.0, 1.0, 3.0], [0, 6], season_length=2).tolist()
    [[0.5, 1.5]]
    """
    y, pointers, lengths = _panel(values, indptr)
    chosen = np.arange(len(lengths)) if series is None else series
    parts = [_indices(*_some(y, pointers, part), season_length) for part in _chunks(chosen, lengths)]
    return np.concatenate(parts) if parts else np.empty((0, season_length))


def _indices(y: Floats, pointers: Positions, season_length: int) -> Floats:
    lengths = np.diff(pointers)
    count, half = len(lengths), season_length // 2
    owner = np.repeat(np.arange(count), lengths)
    position = np.arange(len(y)) - pointers[owner]
    inside = np.flatnonzero((position >= half) & (position < lengths[owner] - half))
    weights = np.full(2 * half + 1, 1.0 / season_length)
    if season_length % 2 == 0:
        weights[[0, -1]] /= 2.0
    cell = owner[inside] * season_length + position[inside] % season_length
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        # Summed window by window: a running total would carry rounding from one series to the next. Windows over the
        # end of a series are left out.
        averages = np.zeros(max(len(y) - 2 * half, 0))
        for offset, weight in enumerate(weights):
            averages += weight * y[offset : offset + len(averages)]
        trend = averages[inside - half]
        ratio = y[inside] / trend
        kept = ~((y[inside] == 0.0) & (trend == 0.0))
        total = np.bincount(cell[kept], weights=ratio[kept], minlength=count * season_length)
        number = np.bincount(cell[kept], minlength=count * season_length)
        indices = (total / number).reshape(count, season_length)
        indices /= indices.mean(axis=1, keepdims=True)
    negative = np.bincount(owner[y < 0.0], minlength=count) > 0
    indices[negative | ~np.isfinite(indices).all(axis=1)] = np.nan
    found: Floats = indices
    return found


def naive2(values: ArrayLike, indptr: ArrayLike, horizon: int, season_length: int) -> Floats:
    """Return the M4 competition's Naive2: the last seasonally adjusted value, times the seasonal indices.

    Where `is_seasonal` finds a season and `seasonal_indices` exist: divide by the indices, repeat the last
    adjusted value, multiply by the indices of the steps. Everywhere else, negative values included: `naive`.

    An index is 0 where a position never had anything but zeros (a shop's Sundays). Such a row has no adjusted
    value, so the last row that has one is taken; the M4's R script divides 0 by 0 there.

    Parameters
    ----------
    values : array_like, (N,), original units, rows <= cutoff
        Ragged flat panel.
    indptr : array_like of int, (S + 1,)
        Where each series starts and ends in `values`.
    horizon : int
        Steps to forecast.
    season_length : int
        m, rows per season; 1 gives `naive`.

    Returns
    -------
    ndarray, (S, H), float64, units of y, steps after the cutoff

    Examples
    --------
    >>> naive2([1.0, 3.0] * 9 + [2.0], [0, 18, 19], horizon=3, season_length=2).tolist()
    [[1.0, 3.0, 1.0], [2.0, 2.0, 2.0]]
    """
    y, pointers, lengths = _panel(values, indptr)
    forecasts = naive(y, pointers, horizon)
    chosen = np.flatnonzero(is_seasonal(y, pointers, season_length))
    if not len(chosen):
        return forecasts
    indices = seasonal_indices(y, pointers, season_length, chosen)
    exist = np.isfinite(indices).all(axis=1)
    chosen, indices = chosen[exist], indices[exist]

    lengths, ends = lengths[chosen, None], pointers[chosen + 1, None]
    back = np.arange(season_length)
    past = np.take_along_axis(indices, (lengths - 1 - back) % season_length, axis=1)  # newest first
    newest = np.argmax(past > 0.0, axis=1)[:, None]
    level = y[ends - 1 - newest] / np.take_along_axis(past, newest, axis=1)
    ahead = np.take_along_axis(indices, (lengths + np.arange(horizon)) % season_length, axis=1)
    forecasts[chosen] = level * ahead
    return forecasts
