"""A few damped Gauss-Newton steps for many small problems of least squares side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tsforce.smoothing.longest_first import Floats, Positions

__all__ = ["least_squares"]

# A problem is at rest where a step lowered its squares by no more than this share, or damping by so much found none
# that did.
_NO_MORE, _STUCK = 1e-4, 100.0


def least_squares(
    normal_equations: Callable[[Floats, Positions], tuple[Floats, Floats, Floats]],
    start: Floats,
    *,
    rounds: int,
    bounds: tuple[float, float],
    at_once: int,
) -> tuple[Floats, Floats]:
    """Return the parameters of each problem after some rounds of Levenberg's and Marquardt's method, and the squares.

    Each problem has its own damping, and keeps its best parameters; none knows of the others.

    Parameters
    ----------
    normal_equations : callable
        Takes parameters (P, K) and which problems they are of, (K,) ascending; returns the sums of squares (K,), their
        gradient over 2 (K, P) and J'J (K, P, P), J being the derivatives of the residuals. Not finite: not allowed
        there.
    start : (P, S) float64
    rounds : int
        Points of a problem at most, the first one included; problems at rest are left out of further rounds.
    bounds : (float, float)
        Of every parameter; one that stands at a bound and would leave it stays there while the others go on.
    at_once : int
        Problems in a call at most.

    Returns
    -------
    parameters : (P, S) float64
    squares : (S,) float64
        Infinite where nothing was finite.

    Examples
    --------
    >>> x = np.arange(5.0)
    >>> def growth(at, _):
    ...     miss, slope = np.exp(at[0, 0] * x) - np.exp(0.3 * x), x * np.exp(at[0, 0] * x)
    ...     return np.array([miss @ miss]), np.array([[miss @ slope]]), np.array([[[slope @ slope]]])
    >>> at, squares = least_squares(growth, np.zeros((1, 1)), rounds=9, bounds=(0, 1), at_once=1)
    >>> at.round(6).tolist(), squares.round(9).tolist()
    ([[0.3]], [0.0])
    """
    size, count = start.shape
    best, squares = start.copy(), np.full(count, np.inf)
    curvature, gradient, damping = np.zeros((count, size, size)), np.zeros((count, size)), np.full(count, 0.01)
    moving, at = np.arange(count), start
    for _ in range(rounds):
        pieces = range(0, len(moving), at_once)
        parts = [normal_equations(at[:, i : i + at_once], moving[i : i + at_once]) for i in pieces]
        now, slope, bend = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        better = (now < squares[moving]) & np.isfinite(slope).all(axis=1) & np.isfinite(bend).all(axis=(1, 2))
        which = moving[better]
        gained = (squares[moving] - now) > _NO_MORE * now
        squares[which], gradient[which], curvature[which] = now[better], slope[better], bend[better]
        best[:, which] = at[:, better]
        damping[moving] *= np.where(better, 0.2, 5.0)
        moving = moving[np.where(better, gained, damping[moving] < _STUCK)]
        if not len(moving):
            break
        at = _stepped(best[:, moving], gradient[moving], curvature[moving], damping[moving], bounds)
    return best, squares


def _stepped(best: Floats, gradient: Floats, curvature: Floats, damping: Floats, bounds: tuple[float, float]) -> Floats:
    """Return the points one damped step on, (P, S)."""
    low, high = bounds
    free = ~(((best <= low) & (gradient.T > 0)) | ((best >= high) & (gradient.T < 0))).T
    own = np.einsum("spp->sp", curvature)
    # A parameter without effect on its series stays where it is.
    ridge = damping[:, None] * own + 1e-10 * own.max(axis=1, keepdims=True) + np.finfo(float).tiny
    matrix = np.where(free[:, :, None] & free[:, None, :], curvature, 0.0)
    matrix += np.where(free, ridge, 1.0)[:, :, None] * np.eye(len(best))
    step = np.linalg.solve(matrix, np.where(free, gradient, 0.0)[:, :, None])[:, :, 0]
    at: Floats = np.clip(best - step.T, low, high)
    return at
