"""Where the cutoffs of a backtest lie, as row positions.

Positions are 0-based within a series. A cutoff is the position of the last visible row: a forecaster sees
rows 0 .. cutoff and is scored on rows cutoff + 1 .. cutoff + horizon.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["count_back", "even_draw", "few_rows", "flatten", "rows_to_learn"]

Positions = NDArray[np.int64]


def count_back(lengths: ArrayLike, horizon: int, n_windows: int, step_size: int) -> Positions:
    """Return each series' cutoffs, counted back from its own end.

    The last window is scored on the last `horizon` rows; each earlier one lies `step_size` rows before.

    Parameters
    ----------
    lengths : array_like of int, (S,)
        Rows per series.
    horizon, n_windows, step_size : int
        All at least 1.

    Returns
    -------
    ndarray, (S, n_windows), int64
        Window 0 is the earliest. -1 where the series is too short to have the window.

    Examples
    --------
    >>> count_back([10, 4], horizon=2, n_windows=3, step_size=1).tolist()
    [[5, 6, 7], [-1, 0, 1]]
    """
    last: Positions = np.asarray(lengths, dtype=np.int64)[:, None] - 1 - horizon
    back: Positions = np.arange(n_windows - 1, -1, -1, dtype=np.int64) * step_size
    cutoffs: Positions = np.maximum(last - back, -1)
    return cutoffs


def flatten(cutoffs: ArrayLike) -> tuple[Positions, Positions, Positions]:
    """Return the available cutoffs as parallel arrays, ordered by series, then cutoff.

    Parameters
    ----------
    cutoffs : array_like of int, (S, n_windows)
        As from `count_back`: rising from left to right, negative where not available.

    Returns
    -------
    series, rows, window : ndarray, (K,), int64
        Series number, cutoff position within the series, and window number of each available cutoff.

    Examples
    --------
    >>> series, rows, window = flatten([[5, 6], [-1, 0]])
    >>> series.tolist(), rows.tolist(), window.tolist()
    ([0, 0, 1], [5, 6, 0], [0, 1, 1])
    """
    table = np.asarray(cutoffs, dtype=np.int64)
    series, window = np.nonzero(table >= 0)
    return series.astype(np.int64), table[series, window], window.astype(np.int64)


def even_draw(count: int, most: int | None) -> Positions:
    """Return at most `most` of `count` places, spread evenly.

    Examples
    --------
    >>> even_draw(9, 3).tolist(), even_draw(2, 3).tolist()
    ([0, 4, 8], [0, 1])
    """
    if most is None or count <= most:
        return np.arange(count, dtype=np.int64)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def rows_to_learn(season_length: int) -> int:
    """Return the rows that are left before the first cutoff inside training rows: two seasons and some, at least six.

    Examples
    --------
    >>> rows_to_learn(1), rows_to_learn(12)
    (6, 26)
    """
    return max(6, 2 * season_length + 2)


def few_rows(season_length: int) -> int:
    """Return the rows that do before a single cutoff, where a series has not `rows_to_learn`: one window beats none.

    Examples
    --------
    >>> few_rows(1), few_rows(12)
    (5, 13)
    """
    return max(5, season_length + 1)
