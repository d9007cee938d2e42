"""The Theta method and the dynamic optimised Theta model, for all series of a ragged flat panel side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsforce.scoring.naive import is_seasonal, seasonal_indices
from tsforce.smoothing.likelihood import last_rows
from tsforce.smoothing.longest_first import Floats, LongestFirst, Positions, longest_first, total, varying

__all__ = ["LEAST_ROWS", "Theta", "fit_theta", "theta_forecasts"]

# More rows than parameters: two of the line, one of the smoothing.
LEAST_ROWS = 4
# Bounds of alpha: statsmodels' of the classical method, forecTheta's of the optimised one.
_ALPHA = {False: (1e-4, 1.0), True: (0.1, 0.99)}
_POINTS, _CLOSER = 25, 11
# Each round searches between the neighbours of the best point so far; five tell alpha to 1e-4.
_ROUNDS = 5
# What is learnt from, and forecast by: a line through more of the past says less of what comes next (held-out ends, all
# rows and these: M4 Weekly OWA .907 and .894, M4 Hourly 1.001 and .859).
_MOST_ROWS = 500


class Theta(NamedTuple):
    """What is learnt of each series.

    Attributes
    ----------
    alpha : (S,) float64
        Smoothing parameter; NaN of a series that nothing could be learnt from.
    weight : (S,) float64
        Of the straight line in the forecast, ``1 - 1 / theta``.
    """

    alpha: Floats
    weight: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether anything was learnt of each series."""
        return np.isfinite(self.alpha)


@np.errstate(all="ignore")
def fit_theta(values: Floats, indptr: Positions, season_length: int, *, dynamic: bool) -> Theta:
    """Return the parameters with the smallest squares of one-step errors, from the last 500 rows of each series.

    Parameters
    ----------
    values : (N,) float64, original units, rows <= cutoff
        Ragged flat panel; every row is read.
    indptr : (S + 1,) int64
    season_length : int
        m.
    dynamic : bool
        False: Theta as Assimakopoulos and Nikolopoulos (2000) have it, in the form of Hyndman and Billah (2003). Alpha
        is that of simple exponential smoothing from the first value, the weight one half (theta = 2). True: the dynamic
        optimised Theta model of Fiorucci et al. (2016); alpha, theta >= 1 and the first level are estimated from the
        third row on, as in R's forecTheta.

    Returns
    -------
    Theta

    Notes
    -----
    Given alpha, the one-step forecasts of the dynamic model are linear in its first level and in ``1 - 1 / theta``,
    so that these two are solved for and alpha alone is searched, on grids that close in on the best point.
    """
    values, indptr = last_rows(values, indptr, _MOST_ROWS)
    adjusted, _ = _adjusted(values, indptr, season_length)
    alpha, weight = np.full((2, len(indptr) - 1), np.nan)
    low, high = _ALPHA[dynamic]
    able = np.flatnonzero((np.diff(indptr) >= LEAST_ROWS) & varying(values, indptr))
    for part in longest_first(adjusted, indptr, able, _POINTS):
        count = len(part.lengths)
        points = np.repeat(np.linspace(low, high, _POINTS)[:, None], count, axis=1)
        for _ in range(_ROUNDS):
            squares, weights = _squares(part, points, dynamic)
            best, own = squares.argmin(axis=0), np.arange(count)
            alpha[part.position], weight[part.position] = points[best, own], weights[best, own]
            left = points[np.maximum(best - 1, 0), own]
            right = points[np.minimum(best + 1, len(points) - 1), own]
            points = np.linspace(left, right, _CLOSER)
    return Theta(alpha, weight)


@np.errstate(all="ignore")
def theta_forecasts(
    values: Floats, indptr: Positions, horizon: int, season_length: int, learnt: Theta, *, dynamic: bool
) -> Floats:
    """Return the forecasts after the last row of each series, by its last 500 rows.

    A series that passes the test of ``scoring.naive.is_seasonal`` and has indices is divided by them, as for Naive2,
    and the forecasts are multiplied by those of their steps. The level, the line and the indices are read from the rows
    given; `learnt` holds the smoothing parameter and the weight of the line.

    Parameters
    ----------
    values : (N,) float64, original units, rows <= cutoff
    indptr : (S + 1,) int64
    horizon : int
    season_length : int
    learnt : Theta
        Of these series.
    dynamic : bool
        As it was learnt.

    Returns
    -------
    (S, H) float64, original units, steps after the cutoff
        NaN of a series with fewer than 4 rows or without parameters.

    Examples
    --------
    >>> y, rows = np.array([10.0, 12.0, 11.0, 13.0, 14.0, 13.0, 16.0, 15.0]), np.array([0, 8])
    >>> learnt = fit_theta(y, rows, 1, dynamic=False)
    >>> theta_forecasts(y, rows, 2, 1, learnt, dynamic=False).round(1).tolist()
    [[15.6, 15.9]]
    """
    values, indptr = last_rows(values, indptr, _MOST_ROWS)
    adjusted, indices = _adjusted(values, indptr, season_length)
    yhat = np.full((len(indptr) - 1, horizon), np.nan)
    lengths = np.diff(indptr)
    able = np.flatnonzero((lengths >= LEAST_ROWS) & learnt.known)
    for part in longest_first(adjusted, indptr, able):
        own = Theta(learnt.alpha[part.position], learnt.weight[part.position])
        ahead = _dynamic_ahead(part, own, horizon) if dynamic else _static_ahead(part, own, horizon)
        yhat[part.position] = ahead * part.unit[:, None]
    step = (lengths[:, None] + np.arange(horizon)) % season_length
    return yhat * np.take_along_axis(indices, step, axis=1)


def _adjusted(values: Floats, indptr: Positions, season_length: int) -> tuple[Floats, Floats]:
    """Return the values without their season, and the indices, (S, m), 1 where there is no season."""
    lengths = np.diff(indptr)
    indices = np.ones((len(lengths), season_length))
    seasonal = np.flatnonzero(is_seasonal(values, indptr, season_length))
    if not len(seasonal):
        return values, indices
    found = seasonal_indices(values, indptr, season_length, seasonal)
    exist = np.isfinite(found).all(axis=1)
    indices[seasonal[exist]] = found[exist]
    series = np.repeat(np.arange(len(lengths)), lengths)
    position = np.arange(len(values)) - indptr[series]
    own = indices[series, position % season_length]
    adjusted = values / np.where(own > 0, own, 1.0)
    # An index is 0 where a position never had anything but zeros: such a row has no adjusted value.
    for i in np.unique(series[own == 0]):
        rows = slice(indptr[i], indptr[i + 1])
        has = own[rows] > 0
        time = position[rows]
        adjusted[rows] = np.interp(time, time[has], adjusted[rows][has])
    return adjusted, indices


def _squares(part: LongestFirst, alpha: Floats, dynamic: bool) -> tuple[Floats, Floats]:
    """Return the sum of squares at some values of alpha, (G, S), and the line's weight there."""
    if not dynamic:
        level, squares = np.repeat(part.y[:1], len(alpha), axis=0), np.zeros(alpha.shape)
        for t in range(1, len(part.y)):
            k = part.alive[t]
            error = part.y[t, :k] - level[:, :k]
            squares[:, :k] += error * error
            level[:, :k] += alpha[:, :k] * error
        return squares, np.full(alpha.shape, 0.5)
    x = _Dynamic(part, alpha)
    for t in range(1, len(part.y)):
        x.read(t)
    # Normal equations of the first level d and the weight c of the line, about the smoothed values.
    first = x.de / x.dd
    weight = _ratio(x.ce - x.cd * first, x.cc - x.cd * x.cd / x.dd)
    weight = np.clip(weight, 0.0, 1.0)
    level = (x.de - weight * x.cd) / x.dd
    squares = (
        x.ee - 2 * level * x.de - 2 * weight * x.ce + level**2 * x.dd + 2 * level * weight * x.cd + weight**2 * x.cc
    )
    return squares, weight


def _ratio(over: Floats, under: Floats) -> Floats:
    """Return a quotient, 0 where the divisor is nothing but rounding."""
    return np.where(under > 1e-12, over / np.where(under > 1e-12, under, 1.0), 0.0)


class _Dynamic:
    """The dynamic model as a recursion over rows, its first level and the line's weight left open.

    With i rows read and q = 1 - alpha, the next value is forecast by ``level + q**i d + c (A q**i + B (1 - q**(i + 1))
    / alpha)``: level smoothed from the first value on, d what the first level lies above it, c the weight, and A + B t
    the least-squares line of the rows read (Fiorucci et al. 2016). The sums are over the third row and
    later ones: e the error without d and c, d and c here what each is multiplied by.
    """

    def __init__(self, part: LongestFirst, alpha: Floats) -> None:
        self.part, self.alpha, self.decay = part, alpha, 1.0 - alpha
        self.level = np.repeat(part.y[:1], len(alpha), axis=0)
        self.power = self.decay.copy()
        self.mean, self.intercept, self.slope = part.y[0].copy(), part.y[0].copy(), np.zeros(alpha.shape[1])
        self.ee, self.de, self.ce, self.dd, self.cd, self.cc = (np.zeros(alpha.shape) for _ in range(6))

    def line(self, k: int) -> Floats:
        """Return what the line's weight is multiplied by in the next forecast of the first k series."""
        power, alpha, decay = self.power[:, :k], self.alpha[:, :k], self.decay[:, :k]
        out: Floats = self.intercept[:k] * power + self.slope[:k] * (1.0 - power * decay) / alpha
        return out

    def read(self, t: int) -> None:
        """Read row t >= 1 of the series that have one."""
        k = int(self.part.alive[t])
        y, level, power = self.part.y[t, :k], self.level[:, :k], self.power[:, :k]
        error = y - level
        if t >= 2:
            line = self.line(k)
            self.ee[:, :k] += error * error
            self.de[:, :k] += error * power
            self.ce[:, :k] += error * line
            self.dd[:, :k] += power * power
            self.cd[:, :k] += power * line
            self.cc[:, :k] += line * line
        level += self.alpha[:, :k] * error
        power *= self.decay[:, :k]
        self.update(y, np.full(k, t))

    def update(self, y: Floats, rows: Positions) -> None:
        """Go on with the line of the first series, of which so many rows have been read before this one."""
        k = len(y)
        mean, slope = self.mean[:k], self.slope[:k]
        slope[:] = ((rows - 1) * slope + 6.0 * (y - mean) / (rows + 1)) / (rows + 2)
        mean[:] = (rows * mean + y) / (rows + 1)
        self.intercept[:k] = mean - slope * (rows + 2) / 2


def _static_ahead(part: LongestFirst, learnt: Theta, horizon: int) -> Floats:
    level = part.y[0].copy()
    for t in range(1, len(part.y)):
        k = part.alive[t]
        level[:k] += learnt.alpha[:k] * (part.y[t, :k] - level[:k])
    n = part.lengths
    time = np.arange(len(part.y))[:, None] - (n - 1) / 2
    time[np.arange(len(part.y))[:, None] >= n] = 0.0
    slope = total(time * part.y) / (n * (n * n - 1) / 12)
    steps = np.arange(horizon) + ((1.0 - (1.0 - learnt.alpha) ** n) / learnt.alpha)[:, None]
    ahead: Floats = level[:, None] + (learnt.weight * slope)[:, None] * steps
    return ahead


def _dynamic_ahead(part: LongestFirst, learnt: Theta, horizon: int) -> Floats:
    x = _Dynamic(part, learnt.alpha[None])
    for t in range(1, len(part.y)):
        x.read(t)
    x.level += x.power * (x.de - learnt.weight * x.cd) / x.dd
    yhat = np.empty((len(part.lengths), horizon))
    for h in range(horizon):
        step = x.level + learnt.weight * x.line(len(yhat))
        yhat[:, h] = step[0]
        x.level += x.alpha * (step - x.level)
        x.power *= x.decay
        x.update(yhat[:, h], part.lengths + h)
    return yhat
