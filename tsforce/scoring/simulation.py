"""How far a simulated output is from the measured one: errors of one long run, after the samples it was started on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsforce.errors import ArgumentError
from tsforce.scoring.metrics import rmse

__all__ = ["fit_percent", "nrmse", "simulation_rmse"]

Floats = NDArray[np.float64]


def simulation_rmse(y: ArrayLike, yhat: ArrayLike, *, skip: int = 0) -> Floats:
    """Return the root mean squared error of the samples from `skip` on.

    Parameters
    ----------
    y, yhat : array_like, (n,) or (n, C), original units
        Measured and simulated, one sample per row.
    skip : int
        Samples at the start that are not scored: those the simulation was given, and may be those in which it forgets
        what it began with.

    Returns
    -------
    ndarray, () or (C,), float64, units of y
        A numpy scalar for (n,). inf or NaN where a simulated value is not finite.

    Raises
    ------
    ArgumentError
        If the shapes differ, or no sample is left.

    Examples
    --------
    >>> float(simulation_rmse([9.0, 1.0, 2.0], [0.0, 1.0, 4.0], skip=1))
    1.4142135623730951
    """
    measured, simulated = _scored(y, yhat, skip)
    return rmse(measured, simulated, axis=0)


def nrmse(y: ArrayLike, yhat: ArrayLike, *, skip: int = 0) -> Floats:
    """Return `simulation_rmse` in units of the standard deviation of the samples that are scored.

    1 is the error of their mean. The divisor is the population's (n, not n - 1), so that 1 - nrmse^2 is R2.

    Parameters
    ----------
    y, yhat, skip
        As in `simulation_rmse`.

    Returns
    -------
    ndarray, () or (C,), float64
        Of a constant output: inf, or NaN where it is met exactly.

    Raises
    ------
    ArgumentError
        As `simulation_rmse`.

    Examples
    --------
    >>> float(nrmse([1.0, 3.0], [2.0, 2.0])), float(nrmse([1.0, 3.0], [1.0, 3.0]))
    (1.0, 0.0)
    """
    measured, simulated = _scored(y, yhat, skip)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(rmse(measured, simulated, axis=0) / measured.std(axis=0))[()]


def fit_percent(y: ArrayLike, yhat: ArrayLike, *, skip: int = 0) -> Floats:
    """Return 100 (1 - NRMSE): 100 is exact, 0 no better than the mean, below 0 worse.

    The figure of ``compare`` in MATLAB's System Identification Toolbox (Ljung 1999, System Identification, 2nd
    edition). It is stricter than R2 near 100: R2 is .9975 where the fit is 95.

    Parameters
    ----------
    y, yhat, skip
        As in `simulation_rmse`.

    Returns
    -------
    ndarray, () or (C,), float64, percent

    Raises
    ------
    ArgumentError
        As `simulation_rmse`.

    Examples
    --------
    >>> float(fit_percent([0.0, 1.0, 3.0], [7.0, 1.0, 3.0], skip=1))
    100.0
    >>> fit_percent([[1.0, 0.0], [3.0, 2.0]], [[2.0, 0.0], [2.0, 2.0]]).tolist()
    [0.0, 100.0]
    """
    return np.asarray(100.0 * (1.0 - nrmse(y, yhat, skip=skip)))[()]


def _scored(y: ArrayLike, yhat: ArrayLike, skip: int) -> tuple[Floats, Floats]:
    measured, simulated = np.asarray(y, dtype=np.float64), np.asarray(yhat, dtype=np.float64)
    if measured.shape != simulated.shape or measured.ndim not in (1, 2):
        raise ArgumentError(
            f"y has shape {measured.shape} and yhat {simulated.shape}; expected the same, (n,) or (n, outputs). Pass "
            f"the simulation of the very rows that were measured."
        )
    if isinstance(skip, bool) or not isinstance(skip, int | np.integer) or not 0 <= skip < len(measured):
        raise ArgumentError(
            f"skip={skip!r}: expected a whole number from 0 to {len(measured) - 1}, so that one of {len(measured)} "
            f"samples at least is scored."
        )
    return measured[skip:], simulated[skip:]
