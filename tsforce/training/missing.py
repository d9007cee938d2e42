"""Missing values of the target: what a training context shows before there is a model that could fill it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import IntArray, Panel

__all__ = ["gaps_of", "seasonal_fill"]


def seasonal_fill(panel: Panel, season_length: int) -> npt.NDArray[np.float64]:
    """Return the targets, (N, C), each missing value being the one a season before it, else the one before it.

    Values so filled serve the next ones; nothing after a gap is read.
    """
    filled = panel.values.copy()
    rows, channels = np.nonzero(np.isnan(filled))
    first = panel.indptr[np.searchsorted(panel.indptr, rows, side="right") - 1]
    back = np.where(rows - season_length >= first, season_length, 1)
    for row, channel, step in zip(rows.tolist(), channels.tolist(), back.tolist(), strict=True):
        filled[row, channel] = filled[row - step, channel]
    return filled


def gaps_of(panel: Panel, last_rows: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return series, first row, length and number within its series (0, 1, ...) of every gap, in order.

    Parameters
    ----------
    panel : Panel
    last_rows : (S,) int64
        Gaps that begin after this row of a series are left out.

    Notes
    -----
    A gap is a run of rows in which at least one target is missing.
    """
    absent: npt.NDArray[np.bool_] = np.logical_or.reduce(np.isnan(panel.values), axis=1)
    series = np.repeat(np.arange(panel.n_series), panel.lengths)
    within = np.arange(len(absent)) - panel.indptr[series]
    begins = absent & ~np.concatenate([[False], absent[:-1]])
    begins |= absent & (within == 0)
    ends = absent & ~np.concatenate([absent[1:], [False]])
    ends |= absent & (within == panel.lengths[series] - 1)
    starts, stops = np.flatnonzero(begins), np.flatnonzero(ends)
    kept = within[starts] <= last_rows[series[starts]]
    starts, stops = starts[kept], stops[kept]
    own = series[starts]
    number = np.arange(len(own)) - np.searchsorted(own, own)
    return own, within[starts], stops - starts + 1, number
