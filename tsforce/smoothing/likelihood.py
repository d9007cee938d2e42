"""Which rows parameters are learnt from, and how forms with unlike many of them are compared."""

from __future__ import annotations

import numpy as np

from tsforce.smoothing.longest_first import Floats, Positions

__all__ = ["aicc", "last_rows", "log_likelihood"]

# Mean squares of errors, over the mean absolute value, that are nothing but rounding.
_ROUNDING = 1e-24
# More of the past says little of how to smooth, and costs half a second per thousand rows however few series there are
# (M4 Weekly, held-out ends: OWA .804 by 1,000 rows and .809 by 3,000). States go on from the same rows: those of a
# first season long gone would be smoothed by parameters that never saw it (1.03).
_MOST_ROWS = 1000


def last_rows(values: Floats, indptr: Positions, most: int | None = None) -> tuple[Floats, Positions]:
    """Return the panel of the rows that are learnt from: the last 1,000, or `most`, of each series."""
    lengths, most = np.diff(indptr), most or _MOST_ROWS
    to_end = np.repeat(indptr[1:], lengths) - np.arange(len(values))
    return values[to_end <= most], np.concatenate([[0], np.cumsum(np.minimum(lengths, most))])


def log_likelihood(mean_squares: Floats, unit: Floats, n: Positions) -> Floats:
    """Return that of normal errors, at the variance that makes it largest, of values in original units.

    Parameters
    ----------
    mean_squares : (..., S) float64
        Of the errors over `unit`.
    unit : (S,) float64
    n : (S,) int64
        Rows.
    """
    variance = np.maximum(mean_squares, _ROUNDING)
    value: Floats = -n / 2 * (np.log(2 * np.pi * variance) + 1) - n * np.log(unit)
    return np.where(np.isfinite(value), value, -np.inf)


def aicc(likelihood: Floats, n: Positions, k: int) -> Floats:
    """Return Akaike's criterion corrected for few rows, of a form of k parameters on n rows."""
    criterion: Floats = -2 * likelihood + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    return criterion
