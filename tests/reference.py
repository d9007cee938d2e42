"""Slow, plain versions of what tsforce computes fast: one loop each, no tensors, no vector tricks."""

from __future__ import annotations

import numpy as np


def roll(weight, bias, context, horizon, truth=None, share=None):
    """Closed-loop (or forced) run of one linear model on one window; lags run from oldest to newest."""
    fed, outputs = list(context), []
    for h in range(horizon):
        lags = fed[len(fed) - len(weight) :]
        out = bias + sum(w * z for w, z in zip(weight, lags, strict=True))
        outputs.append(out)
        a = 0.0 if share is None else share[h]
        fed.append(out if a == 0 else a * truth[h] + (1 - a) * out)
    return np.array(outputs)


def ridge_rows(series, lags, ridge, intercept):
    """Ridge regression on standardised columns, rows built one by one; returns weights (oldest lag first) and bias."""
    reach = max(lags)
    x = np.array([[series[t - lag] for lag in sorted(lags, reverse=True)] for t in range(reach, len(series))])
    y = np.array(series[reach:])
    spread = x.std(axis=0)
    spread[spread == 0] = 1
    x_mean, y_mean = (x.mean(axis=0), y.mean()) if intercept else (np.zeros(x.shape[1]), 0.0)
    z = (x - x_mean) / spread
    penalty = np.eye(x.shape[1]) * (ridge if ridge > 0 else 1e-12 * len(y))
    weight = np.linalg.solve(z.T @ z + penalty, z.T @ (y - y_mean)) / spread
    return weight, (y_mean - x_mean @ weight if intercept else 0.0)
