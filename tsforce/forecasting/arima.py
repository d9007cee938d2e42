"""Seasonal ARIMA models, estimated by statsmodels one series after another; it is imported on first use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsforce.scoring.naive import is_seasonal
from tsforce.smoothing.likelihood import last_rows
from tsforce.smoothing.longest_first import varying

__all__ = ["ORDERS", "Arima", "arima_forecasts", "fit_arima"]

Floats = NDArray[np.float64]

#: (p, q) of the candidates.
ORDERS = ((0, 1), (1, 0), (1, 1), (2, 0), (0, 2), (2, 1))
# Two and one of those, a seasonal one, a mean, the variance.
_MOST_PARAMETERS = 6
_LEAST_ROWS = 10
# What an optimiser or a filter answers to numbers it cannot work with. A bug is none of these.
_FAILURES = (ArithmeticError, ValueError, IndexError)


class Arima(NamedTuple):
    """What is learnt of each series.

    Attributes
    ----------
    order : (S, 4) int64
        p, d, q, and D, the seasonal differences; -1 of a series that nothing could be learnt from. With D = 1 there is
        a seasonal moving average too: (p, d, q)(0, 1, 1) of period m.
    parameters : (S, 6) float64
        As statsmodels orders them, over the series' unit; NaN after the last.
    """

    order: NDArray[np.int64]
    parameters: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether anything was learnt of each series."""
        found: NDArray[np.bool_] = self.order[:, 0] >= 0
        return found


def fit_arima(values: Floats, indptr: NDArray[np.int64], season_length: int) -> Arima:
    """Return the ARIMA model of lowest AICc of each series, six candidates (p, q) at the same differences.

    D is 1 for a series that passes the test of ``scoring.naive.is_seasonal``, else 0. d is 1 where differences vary
    less than the values (after seasonal differences). There is a mean where d + D = 0, else none. Series of more than
    1,000 rows are learnt from their last 1,000.

    Parameters
    ----------
    values : (N,) float64, original units, rows <= cutoff
        Ragged flat panel; every row is read.
    indptr : (S + 1,) int64
    season_length : int
        m.

    Returns
    -------
    Arima
    """
    values, indptr = last_rows(values, indptr)
    n_series = len(indptr) - 1
    order, parameters = np.full((n_series, 4), -1), np.full((n_series, _MOST_PARAMETERS), np.nan)
    seasonal = is_seasonal(values, indptr, season_length)
    able = varying(values, indptr) & (np.diff(indptr) >= _LEAST_ROWS)
    for i in np.flatnonzero(able):
        y, _ = _scaled(values[indptr[i] : indptr[i + 1]])
        lag = season_length if seasonal[i] else 0
        stationary = y[lag:] - y[:-lag] if lag else y
        d = int(np.diff(stationary).std() < stationary.std())
        n, lowest = len(stationary) - d, np.inf
        for p, q in ORDERS:
            k = p + q + bool(lag) + (d == 0 and not lag) + 1
            if n - k - 1 <= 0:
                continue
            candidate = np.array([p, d, q, bool(lag)])
            try:
                with _silence():
                    # Without the parameters' covariance, which nobody asks for: half of the time.
                    fitted = _model(y, candidate, season_length).fit(cov_type="none", low_memory=True)
            except _FAILURES:
                continue
            criterion = -2 * fitted.llf + 2 * k + 2 * k * (k + 1) / (n - k - 1)
            if np.isfinite(criterion) and criterion < lowest:
                lowest, order[i] = criterion, candidate
                parameters[i] = np.nan
                parameters[i, : len(fitted.params)] = fitted.params
    return Arima(order, parameters)


def arima_forecasts(
    values: Floats, indptr: NDArray[np.int64], horizon: int, season_length: int, learnt: Arima
) -> Floats:
    """Return the forecasts after the last row of each series: the rows given are filtered with what was learnt.

    Parameters
    ----------
    values : (N,) float64, original units, rows <= cutoff
    indptr : (S + 1,) int64
    horizon : int
    season_length : int
    learnt : Arima
        Of these series.

    Returns
    -------
    (S, H) float64, original units, steps after the cutoff
        NaN of a series without a model, or one whose rows cannot be filtered.
    """
    yhat = np.full((len(indptr) - 1, horizon), np.nan)
    for i, (start, stop) in enumerate(pairwise(indptr)):
        if learnt.order[i, 0] < 0:
            continue
        y, unit = _scaled(values[start:stop])
        parameters = learnt.parameters[i]
        try:
            with _silence():
                filtered = _model(y, learnt.order[i], season_length).filter(parameters[~np.isnan(parameters)])
                yhat[i] = np.asarray(filtered.forecast(horizon)) * unit
        except _FAILURES:
            continue
    return yhat


def _model(y: Floats, order: NDArray[np.int64], season_length: int) -> Any:
    from statsmodels.tsa.arima.model import ARIMA

    p, d, q, seasonal = order.tolist()
    return ARIMA(
        y,
        order=(p, d, q),
        seasonal_order=(0, 1, 1, season_length) if seasonal else (0, 0, 0, 0),
        trend="n" if d + seasonal else "c",
        # Where the start is outside, the optimiser begins at 0.
        enforce_stationarity=True,
        enforce_invertibility=True,
    )


def _scaled(y: Floats) -> tuple[Floats, float]:
    """Return a series over its mean absolute value, and that."""
    largest = float(np.abs(y).max()) or 1.0
    unit = float(np.abs(y / largest).mean()) * largest or 1.0
    return y / unit, unit


@contextmanager
def _silence() -> Iterator[None]:
    """Swallow what numpy and statsmodels warn about; filters that statsmodels sets on import are undone at the end."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
