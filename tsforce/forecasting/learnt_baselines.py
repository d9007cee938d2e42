"""Reference methods that learn something of each series: Theta, exponential and complex smoothing, ARIMA."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsforce.data.panel import IntArray, ragged_rows
from tsforce.forecasting.arima import arima_forecasts, fit_arima
from tsforce.progress import Progress
from tsforce.scoring.naive import naive2
from tsforce.smoothing.ces import ces_forecasts, fit_ces
from tsforce.smoothing.ets import ets_forecasts, fit_ets
from tsforce.smoothing.longest_first import varying
from tsforce.smoothing.theta import fit_theta, theta_forecasts

__all__ = ["LEARNT", "Learnt", "learn", "learnt_forecasts"]

Floats = NDArray[np.float64]

# Learnt at once, and by one process: of methods that take all series side by side, and one after another.
_SERIES, _ONE_BY_ONE = 2000, 20
_FEWEST_ROWS = 4


class Learnt(NamedTuple):
    """A method: what it learns of each series, what it forecasts with that, and how many it learns at once at most."""

    fit: Callable[..., Any]
    forecasts: Callable[..., Floats]
    at_once: int = _SERIES


LEARNT = {
    "theta": Learnt(partial(fit_theta, dynamic=False), partial(theta_forecasts, dynamic=False)),
    "dynamic_theta": Learnt(partial(fit_theta, dynamic=True), partial(theta_forecasts, dynamic=True)),
    "ets": Learnt(fit_ets, ets_forecasts),
    "ets_combined": Learnt(partial(fit_ets, combined=True), ets_forecasts),
    "ces": Learnt(fit_ces, ces_forecasts),
    "arima": Learnt(fit_arima, arima_forecasts, _ONE_BY_ONE),
}


def learn(
    method: str, values: Floats, indptr: IntArray, season_length: int, *, n_jobs: int = 1, verbose: bool = False
) -> Any:
    """Return what a method learns of each series.

    Parameters
    ----------
    method : str
        One of ``LEARNT``.
    values : (N,) float64, original units, rows <= cutoff
        Ragged flat panel.
    indptr : (S + 1,) int64
    season_length : int
    n_jobs : int
        Processes; -1 for one per core. The numbers do not depend on it.
    verbose : bool
        Whether the finished series are counted on stderr.

    Returns
    -------
    Theta, Smoothing, ComplexSmoothing or Arima
        A tuple of arrays, (S, ...) each.
    """
    from joblib import Parallel, delayed

    n_series = len(indptr) - 1
    at_once = LEARNT[method].at_once
    firsts = range(0, max(n_series, 1), at_once)
    jobs = (delayed(_learn_some)(method, values, indptr[i : i + at_once + 1], season_length) for i in firsts)
    parts = []
    with Progress(method, shown=verbose) as progress:
        for part in Parallel(n_jobs=n_jobs, return_as="generator")(jobs):
            parts.append(part)
            progress.show("series", min(len(parts) * at_once, n_series), n_series)
    return type(parts[0])(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _learn_some(method: str, values: Floats, indptr: IntArray, season_length: int) -> Any:
    return LEARNT[method].fit(values[indptr[0] : indptr[-1]], indptr - indptr[0], season_length)


def learnt_forecasts(
    method: str, values: Floats, indptr: IntArray, horizon: int, season_length: int, learnt: Any, place: IntArray
) -> tuple[Floats, int]:
    """Return the forecasts of each window, and how many of them are Naive2's.

    A window of a series that nothing is known of is learnt from itself. Naive2 answers where a window has fewer than 4
    rows, equal values, too few rows for what was learnt, or forecasts that are not finite.

    Parameters
    ----------
    method : str
    values : (N,) float64, original units, rows <= cutoff
        Ragged flat panel, one window after another.
    indptr : (W + 1,) int64
    horizon : int
    season_length : int
    learnt : Theta, Smoothing, ComplexSmoothing or Arima
    place : (W,) int64
        Which of the series in `learnt` each window is of; -1 for none.

    Returns
    -------
    yhat : (W, H) float64, original units
    n_fallbacks : int
    """
    counts = np.diff(indptr)

    def rows(windows: IntArray) -> tuple[Floats, IntArray]:
        pointers = np.concatenate([[0], np.cumsum(counts[windows])]).astype(np.int64)
        return values[ragged_rows(indptr[windows], counts[windows])], pointers

    known = place >= 0
    known[known] = learnt.known[place[known]]
    yhat = np.full((len(counts), horizon), np.nan)
    able = (counts >= _FEWEST_ROWS) & varying(values, indptr)
    old, new = np.flatnonzero(able & known), np.flatnonzero(able & ~known)
    if len(old):
        own = type(learnt)(*(array[place[old]] for array in learnt))
        yhat[old] = LEARNT[method].forecasts(*rows(old), horizon, season_length, own)
    if len(new):
        own = learn(method, *rows(new), season_length)
        yhat[new] = LEARNT[method].forecasts(*rows(new), horizon, season_length, own)
    left = np.flatnonzero(~np.isfinite(yhat).all(axis=1))
    if len(left):
        yhat[left] = naive2(*rows(left), horizon, season_length)
    return yhat, len(left)
