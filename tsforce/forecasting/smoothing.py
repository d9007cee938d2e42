"""Theta and exponential smoothing, estimated by statsmodels one window at a time; it is imported on first use."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tsforce.scoring.naive import is_seasonal, naive2, seasonal_indices

__all__ = ["SMOOTHERS", "Counter", "ets", "forecast_windows", "theta"]

Floats = NDArray[np.float64]

# More rows than parameters (two of the line, one of the smoothing); statsmodels starts its states from ten rows.
_LEAST_ROWS = {"theta": 4, "ets": 10}
# A seasonal model keeps one state per season and row: 160 MB.
_MOST_STATES = 20_000_000
# What an optimiser or a decomposition answers to numbers it cannot work with. A bug is none of these.
_FAILURES = (ArithmeticError, ValueError, IndexError, Warning)


def theta(y: Floats, horizon: int, season_length: int) -> Floats:
    """Return the forecasts of the Theta method (Assimakopoulos and Nikolopoulos 2000), as the M4 had it.

    A series that passes the test of ``scoring.naive.is_seasonal`` and has indices is divided by them, as for Naive2
    (statsmodels' own test leaves a factor 2 out of the M4's, and its decomposition turns additive for values of 0
    and below). Then ``ThetaModel(deseasonalize=False).fit()``: the mean of the lines theta = 0 and theta = 2, where
    the first is least squares on time and the second simple exponential smoothing that starts from the first value,
    alpha by maximum likelihood. The forecasts are multiplied by the indices of their steps.

    An optimiser that does not converge raises: alpha is all that is estimated there.

    Parameters
    ----------
    y : (n,) float64, original units, rows <= cutoff
    horizon : int
    season_length : int

    Returns
    -------
    (H,) float64, original units

    Examples
    --------
    >>> theta(np.array([10.0, 12.0, 11.0, 13.0, 14.0, 13.0, 16.0, 15.0]), 2, 1).round(1).tolist()
    [15.6, 15.9]
    """
    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.forecasting.theta import ThetaModel

    adjusted, ahead = y, np.ones(horizon)
    rows = np.array([0, len(y)])
    if is_seasonal(y, rows, season_length)[0]:
        indices = seasonal_indices(y, rows, season_length)[0]
        if np.isfinite(indices).all():
            time, index = np.arange(len(y)), np.resize(indices, len(y))
            # An index is 0 where a position never had anything but zeros: such a row has no adjusted value.
            has = index > 0
            adjusted = np.interp(time, time[has], y[has] / index[has])
            ahead = indices[(len(y) + np.arange(horizon)) % season_length]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        fitted = ThetaModel(adjusted, deseasonalize=False).fit()
    return np.asarray(fitted.forecast(horizon)) * ahead


def ets(y: Floats, horizon: int, season_length: int) -> Floats:
    """Return the forecasts of the exponential smoothing model with the lowest AICc of at most six.

    In the notation ETS(error, trend, season) of Hyndman et al. (2008): (A, N, N) and (A, Ad, N); (A, N, A) and
    (A, Ad, A) where a season fits; (M, N, M) and (M, Ad, M) where besides all values are above 0. A season fits if
    it is longer than one row and there are at least two of them, 10 rows beyond one, and more rows than parameters.
    Each is statsmodels' ``ETSModel`` with initial states by its heuristic and the smoothing parameters by maximum
    likelihood. AICc counts these, the variance and the initial states (1 level, 1 slope, m - 1 indices):
    ``-2 log L + 2k + 2k (k + 1) / (n - k - 1)``. A model whose optimiser does not converge counts with the likelihood
    it reached: where the initial states fit to the last digit, there is no step that improves on them.

    Parameters
    ----------
    y : (n,) float64, original units, rows <= cutoff
        At least 10 rows.
    horizon : int
    season_length : int
        m.

    Returns
    -------
    (H,) float64, original units
        NaN if no model could be fitted.

    Notes
    -----
    Why these: (A, Ad, M) and the like are unstable where values come near 0, and R's ``ets`` leaves them out too; a
    trend without damping, and initial states by maximum likelihood, took up to 7 times as long and were not better
    on held-out ends of the M4's training series. Besides, with initial states by maximum likelihood statsmodels 0.15.0
    forecasts other values of the same series in another unit; with its heuristic it does not.

    Examples
    --------
    >>> ets(np.tile([10.0, 20.0, 31.0, 40.0], 6) + np.arange(24) % 3, 3, 4).round(0).tolist()
    [11.0, 21.0, 32.0]
    """
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    n, m = len(y), season_length
    seasonal = m > 1 and n >= max(2 * m, 10 + 2 * (m // 2)) and n * m <= _MOST_STATES
    lowest, best = np.inf, np.full(horizon, np.nan)
    for error, season in (("add", None), ("add", "add"), ("mul", "mul")):
        if season is not None and not (seasonal and (season == "add" or y.min() > 0)):
            continue
        for damped in (False, True):
            count = 3 + 3 * damped + (m if season else 0)
            if n - count - 1 <= 0:
                continue
            try:
                fitted = ETSModel(
                    y,
                    error=error,
                    trend="add" if damped else None,
                    damped_trend=damped,
                    seasonal=season,
                    seasonal_periods=m if season else None,
                    initialization_method="heuristic",
                ).fit(disp=False)
                yhat = np.asarray(fitted.forecast(horizon))
            except _FAILURES:
                continue
            criterion = -2 * fitted.llf + 2 * count + 2 * count * (count + 1) / (n - count - 1)
            if criterion < lowest and np.isfinite(yhat).all():
                lowest, best = criterion, yhat
    return best


SMOOTHERS: dict[str, Callable[[Floats, int, int], Floats]] = {"theta": theta, "ets": ets}


def forecast_windows(
    method: str,
    values: Floats,
    indptr: NDArray[np.int64],
    horizon: int,
    season_length: int,
    *,
    n_jobs: int = 1,
    on_done: Callable[[], None] | None = None,
) -> tuple[Floats, int]:
    """Return the forecasts of each window, and how many of them are Naive2's.

    Naive2 answers where `method` cannot: a window of fewer than 4 (theta) or 10 (ets) rows, of equal values, or where
    no fit ends with finite forecasts.

    Parameters
    ----------
    method : "theta" or "ets"
    values : (N,) float64, original units, rows <= cutoff
        Ragged flat panel, one window after another.
    indptr : (W + 1,) int64
    horizon : int
    season_length : int
    n_jobs : int
        Processes; -1 for one per core. The numbers do not depend on it.
    on_done : callable, optional
        Called after each window.

    Returns
    -------
    yhat : (W, H) float64, original units
    n_fallbacks : int
    """
    from joblib import Parallel, delayed

    windows = [values[start:stop] for start, stop in pairwise(indptr)]
    jobs = (delayed(_forecast_one)(method, y, horizon, season_length) for y in windows)
    yhat, n_fallbacks = np.empty((len(windows), horizon)), 0
    for number, (row, fell_back) in enumerate(Parallel(n_jobs=n_jobs, return_as="generator")(jobs)):
        yhat[number] = row
        n_fallbacks += fell_back
        if on_done is not None:
            on_done()
    return yhat, n_fallbacks


def _forecast_one(method: str, y: Floats, horizon: int, season_length: int) -> tuple[Floats, bool]:
    """Return a window's forecasts, and whether they are Naive2's."""
    if len(y) >= _LEAST_ROWS[method] and y.min() < y.max():
        try:
            with _silence():
                yhat = SMOOTHERS[method](y, horizon, season_length)
            if np.isfinite(yhat).all():
                return yhat, False
        except _FAILURES:
            pass
    return naive2(y, [0, len(y)], horizon, season_length)[0], True


@contextmanager
def _silence() -> Iterator[None]:
    """Swallow what numpy and statsmodels warn about; filters that statsmodels sets on import are undone at the end."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


class Counter:
    """Writes one line on stderr, over and over: how many windows are done."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.done = name, total, 0

    def __call__(self) -> None:
        """Count one more."""
        self.done += 1
        end = "\n" if self.done == self.total else ""
        sys.stderr.write(f"\r{self.name}: {self.done} of {self.total} windows\x1b[K{end}")
        sys.stderr.flush()
