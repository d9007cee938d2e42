"""Series of six kinds that benchmarks/intervals.py draws: needs numpy alone, in whichever environment."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["KINDS", "drawn"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
KINDS = ("autoregression", "walk", "season-trend", "log-normal", "heteroscedastic", "counts")


def drawn(kind: str, n_rows: int, n_series: int, seed: int) -> FloatArray:
    """Return series of a kind, (n_series, n_rows)."""
    rng = np.random.default_rng([seed, *kind.encode()])
    surprise = rng.normal(size=(n_series, n_rows + 50))
    if kind == "autoregression":
        return _autoregression(0.9, surprise)
    if kind == "walk":
        return surprise[:, 50:].cumsum(axis=1)
    if kind == "season-trend":
        season, trend = 3 * rng.normal(size=(n_series, 12)), rng.uniform(-0.2, 0.2, size=(n_series, 1))
        steps = np.arange(n_rows)
        return 50 + trend * steps + season[:, steps % 12] + _autoregression(0.5, surprise)
    if kind == "log-normal":
        return np.exp(3 + 0.3 * _autoregression(0.7, surprise))
    if kind == "heteroscedastic":
        spread = np.exp(_autoregression(0.95, 0.25 * rng.normal(size=(n_series, n_rows + 100))))
        return _autoregression(0.7, surprise * spread)
    rate = np.exp(np.log(rng.uniform(1, 6, size=(n_series, 1))) + 0.3 * _autoregression(0.7, surprise))
    return rng.poisson(rate).astype(float)


def _autoregression(pull: float, surprise: FloatArray) -> FloatArray:
    y = np.zeros_like(surprise)
    for t in range(1, y.shape[1]):
        y[:, t] = pull * y[:, t - 1] + surprise[:, t]
    return y[:, 50:]
