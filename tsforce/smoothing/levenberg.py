"""A few damped Gauss-Newton steps for many small problems of least squares side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tsforce.smoothing.longest_first import Floats

__all__ = ["least_squares"]


def least_squares(
    normal_equations: Callable[[Floats], tuple[Floats, Floats, Floats]],
    start: Floats,
    *,
    rounds: int,
    bounds: tuple[float, float],
) -> tuple[Floats, Floats]:
    """Return the parameters of each problem after some rounds of Levenberg's and Marquardt's method, and the squares.

    Each problem has its own damping, and keeps its best parameters; none knows of the others.

    Parameters
    ----------
    normal_equations : callable
        Takes parameters (P, S); returns the sums of squares (S,), their gradient over 2 (S, P) and J'J (S, P, P), J
        being the derivatives of the residuals. Not finite: not allowed there.
    start : (P, S) float64
    rounds : int
        Calls of `normal_equations`.
    bounds : (float, float)
        Of every parameter; one that stands at a bound and would leave it stays there while the others go on.

    Returns
    -------
    parameters : (P, S) float64
    squares : (S,) float64
        Infinite where nothing was finite.

    Examples
    --------
    >>> x = np.arange(5.0)
    >>> def growth(at):
    ...     miss, slope = np.exp(at[0, 0] * x) - np.exp(0.3 * x), x * np.exp(at[0, 0] * x)
    ...     return np.array([miss @ miss]), np.array([[miss @ slope]]), np.array([[[slope @ slope]]])
    >>> at, squares = least_squares(growth, np.zeros((1, 1)), rounds=9, bounds=(0, 1))
    >>> at.round(6).tolist(), squares.round(9).tolist()
    ([[0.3]], [0.0])
    """
    size, count = start.shape
    low, high = bounds
    best, squares = start.copy(), np.full(count, np.inf)
    curvature, gradient, damping = np.zeros((count, size, size)), np.zeros((count, size)), np.full(count, 0.01)
    at = start
    for _ in range(rounds):
        now, slope, bend = normal_equations(at)
        better = (now < squares) & np.isfinite(slope).all(axis=1) & np.isfinite(bend).all(axis=(1, 2))
        squares[better], gradient[better], curvature[better] = now[better], slope[better], bend[better]
        best[:, better] = at[:, better]
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
