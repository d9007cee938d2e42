"""A few damped Gauss-Newton steps for many small problems of least squares side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tsforce.smoothing.longest_first import Floats, total

__all__ = ["least_squares"]

_STEP = 1e-5


def least_squares(
    residuals: Callable[[Floats], Floats], start: Floats, *, rounds: int, bounds: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Return the parameters of each problem after some rounds of Levenberg's and Marquardt's method, and the squares.

    Each problem has its own damping, and keeps its best parameters; none knows of the others.

    Parameters
    ----------
    residuals : callable
        Takes parameters (P, S, G), G sets for each of the S problems; returns (T, S, G). NaN or infinite: not allowed
        there.
    start : (P, S) float64
    rounds : int
        Each costs one call with P + 1 sets.
    bounds : (float, float)
        Of every parameter; one that stands at a bound and would leave it stays there while the others go on.

    Returns
    -------
    parameters : (P, S) float64
    squares : (S,) float64
        Infinite where no residuals were finite.

    Examples
    --------
    >>> x = np.arange(5.0)[:, None, None]
    >>> miss = lambda p: np.exp(p[0] * x) - np.exp(0.3 * x)
    >>> at, squares = least_squares(miss, np.zeros((1, 1)), rounds=9, bounds=(0, 1))
    >>> at.round(6).tolist(), squares.round(9).tolist()
    ([[0.3]], [0.0])
    """
    size, count = start.shape
    low, high = bounds
    best, squares = start.copy(), np.full(count, np.inf)
    curvature, gradient, damping = np.zeros((count, size, size)), np.zeros((count, size)), np.full(count, 0.01)
    at = start
    for _ in range(rounds):
        sets = np.repeat(at[:, :, None], size + 1, axis=2)
        for i in range(size):
            sets[i, :, i + 1] += _STEP
        found = residuals(sets)
        here = found[:, :, 0]
        now = total(here * here)
        slopes = (found[:, :, 1:] - here[:, :, None]) / _STEP
        better = (now < squares) & np.isfinite(slopes).all(axis=(0, 2))
        slopes, here = slopes[:, better].transpose(1, 2, 0), here[:, better].T[:, :, None]
        curvature[better] = slopes @ slopes.transpose(0, 2, 1)
        gradient[better] = (slopes @ here)[:, :, 0]
        best[:, better], squares[better] = at[:, better], now[better]
        damping = np.where(better, damping / 5, damping * 5)
        free = ~(((best <= low) & (gradient.T > 0)) | ((best >= high) & (gradient.T < 0))).T
        own = np.einsum("spp->sp", curvature)
        # A parameter without effect on its series stays where it is.
        ridge = damping[:, None] * own + 1e-10 * own.max(axis=1, keepdims=True) + np.finfo(float).tiny
        matrix = np.where(free[:, :, None] & free[:, None, :], curvature, 0.0)
        matrix += np.where(free, ridge, 1.0)[:, :, None] * np.eye(size)
        step = np.linalg.solve(matrix, np.where(free, gradient, 0.0)[:, :, None])[:, :, 0]
        at = np.clip(best - step.T, low, high)
    return best, squares
