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


def transformed(transforms, y, stop):
    """One series before the first and after each transform, learnt on y[:stop]; None where there is no value.

    Returns the columns, and for each transform its inverse for one value (None for a Difference).
    """
    columns, inverses = [list(y)], []
    for transform in transforms:
        before = columns[-1]
        known = np.array([v for v in before[:stop] if v is not None])
        match type(transform).__name__:
            case "Log":
                offset = 0.0 if known.min() > 0 else 1 - known.min()
                floor = 1e-3 * (known.min() + offset)
                there, back = lambda v, o=offset, f=floor: np.log(max(v + o, f)), lambda z, o=offset: np.exp(z) - o
            case "Standardize":
                mean, std = known.mean(), known.std() if np.ptp(known) > 0 else 1.0
                there, back = lambda v, m=mean, s=std: (v - m) / s, lambda z, m=mean, s=std: z * s + m
            case "MeanScale":
                scale = np.abs(known).mean() or 1.0
                there, back = lambda v, s=scale: v / s, lambda z, s=scale: z * s
            case "Difference":
                lag, back = transform.lag, None
                pairs = [(before[t - lag] if t >= lag else None, before[t]) for t in range(len(before))]
                columns.append([None if a is None or b is None else b - a for a, b in pairs])
        if back is not None:
            columns.append([None if v is None else there(v) for v in before])
        inverses.append(back)
    return columns, inverses


def levels(transforms, columns, inverses, cutoff, z, share):
    """A roll-out z after row `cutoff` back in original units; share[h] is the share of truth that was fed at step h."""
    own, out = [{} for _ in transforms], []
    for h, value in enumerate(z):
        t = cutoff + 1 + h
        for k in reversed(range(len(transforms))):
            if inverses[k] is not None:
                value = inverses[k](value)
            else:
                base = t - transforms[k].lag
                if base <= cutoff:
                    value = value + columns[k][base]
                else:
                    a = share[base - cutoff - 1]
                    fed = (a * columns[k][base] if a > 0 else 0.0) + ((1 - a) * own[k][base] if a < 1 else 0.0)
                    value = value + fed
            own[k][t] = value
        out.append(value)
    return np.array(out)
