"""What the forecasters of a backtest are shown of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import IntArray, Panel, WindowIndex

__all__ = ["Shown"]


@dataclass(frozen=True, eq=False)
class Shown:
    """What is shown to the clones that made the windows of one model; by default all rows of the panel.

    Attributes
    ----------
    maker : (W,) int64
        Which clone made each window.
    first : one (S,) int64 per clone, or None
        The first row of each series that the clone may read.
    future : (W, H, F) float64, or None
        Future inputs after each window's cutoff as they were known there, original units, in place of the panel's.
    """

    maker: IntArray
    first: tuple[IntArray, ...] | None = None
    future: npt.NDArray[np.float64] | None = None

    def some(self, chosen: Any) -> Shown:
        """Return what is shown for some windows."""
        return Shown(self.maker[chosen], self.first, None if self.future is None else self.future[chosen])

    def pieces(self, panel: Panel, index: WindowIndex) -> Iterator[tuple[int, IntArray, Panel, WindowIndex]]:
        """Yield clone by clone its number, the places of its windows, the panel it is shown, and its windows there.

        Where inputs differ by cutoff, no panel holds a series twice, which not every forecaster takes: a clone then
        comes once for each window of a series.
        """
        for k in np.unique(self.maker):
            whole, shift = panel, np.zeros(panel.n_series, dtype=np.int64)
            if self.first is not None:
                shift = self.first[k]
                whole = panel.windows(panel.last_rows(), panel.lengths - shift)
            places = np.flatnonzero(self.maker == k)
            series, rows = index.series[places], index.rows[places] - shift[index.series[places]]
            if self.future is None:
                yield int(k), places, whole, WindowIndex(series, rows)
                continue
            nth = np.arange(len(places)) - np.searchsorted(series, series)
            for n in range(int(nth.max(initial=-1)) + 1):
                now = np.flatnonzero(nth == n)
                own = WindowIndex(series[now], rows[now])
                yield int(k), places[now], *_with_inputs(whole, own, self.future[places[now]])


def _with_inputs(panel: Panel, index: WindowIndex, future: npt.NDArray[np.float64]) -> tuple[Panel, WindowIndex]:
    """Return the panel of the windows' series, up to H rows after each cutoff, with these inputs there."""
    horizon = future.shape[1]
    ends = np.minimum(index.rows + horizon, panel.lengths[index.series] - 1)
    own = panel.windows(WindowIndex(index.series, ends))
    window, step = np.nonzero(np.arange(horizon) < (ends - index.rows)[:, None])
    # Rows that were taken out of the panel: nobody else's.
    own.inputs[own.indptr[window] + index.rows[window] + 1 + step, len(panel.columns.past_exog) :] = future[
        window, step
    ]
    return own, WindowIndex(np.arange(len(index), dtype=np.int64), index.rows)
