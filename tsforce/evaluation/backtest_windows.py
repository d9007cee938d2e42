"""Which windows a backtest looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tsforce.data.frame import resolve_cutoffs
from tsforce.data.panel import IntArray, Panel, WindowIndex
from tsforce.errors import ArgumentError, check_choice
from tsforce.forecasting.arguments import check_count
from tsforce.scoring.cutoffs import count_back, flatten

__all__ = ["Plan", "plan_windows"]


@dataclass(frozen=True, eq=False)
class Plan:
    """The windows of a backtest.

    Attributes
    ----------
    index : WindowIndex, W windows
    number : (W,) int64
        Windows with the same number are made at one time: by one model, if it is refitted.
    align : "series", "calendar" or "cutoffs"
        How the cutoffs were found.
    """

    index: WindowIndex
    number: IntArray
    align: str

    def some(self, chosen: Any) -> Plan:
        """Return the plan of some windows."""
        return Plan(WindowIndex(self.index.series[chosen], self.index.rows[chosen]), self.number[chosen], self.align)

    def first_rows(self, n_series: int) -> IntArray:
        """Return the row of each series' first cutoff, -1 for a series without a window, (S,)."""
        first = np.full(n_series, np.iinfo(np.int64).max)
        np.minimum.at(first, self.index.series, self.index.rows)
        return np.where(first == np.iinfo(np.int64).max, -1, first)


def plan_windows(panel: Panel, horizon: int, *, n_windows: Any, step_size: Any, cutoffs: Any, align: Any) -> Plan:
    """Return the windows of a backtest: each has at least one row up to its cutoff and one after.

    Parameters
    ----------
    panel : Panel
    horizon : int
    n_windows : int
        Windows per series, the last one ending at the last row (of the series, or of the panel).
    step_size : int or None
        Rows from one cutoff to the next; None means `horizon`.
    cutoffs : stamps, DataFrame or None
        Win over all others.
    align : "auto", "series" or "calendar"
        Count back from each series' own last row, or from the panel's last stamp. "auto": "series" for whole-number
        stamps, "calendar" for time stamps.

    Raises
    ------
    ArgumentError
        If an argument is not accepted, or no window is left.
    """
    check_choice("align", align, ("auto", "series", "calendar"))
    n_windows = check_count("n_windows", n_windows)
    step = horizon if step_size is None else check_count("step_size", step_size)
    if cutoffs is not None:
        index = resolve_cutoffs(panel, cutoffs)
        number = _rank_by_stamp(panel, index)
        align = "cutoffs"
    elif align == "series" or (align == "auto" and isinstance(panel.clock.freq, int)):
        series, rows, number = flatten(count_back(panel.lengths, horizon, n_windows, step))
        index, align = WindowIndex(series, rows), "series"
    else:
        every = np.arange(panel.n_series)
        last = panel.ticks(every, panel.lengths - 1).max()
        back = horizon + step * np.arange(n_windows - 1, -1, -1)
        rows_at = (last - back * panel.clock.step - panel.start[:, None]) // panel.clock.step
        series, number = np.nonzero((rows_at >= 0) & (rows_at < panel.lengths[:, None] - 1))
        index, align = WindowIndex(series, rows_at[series, number]), "calendar"
    has_truth = index.rows < panel.lengths[index.series] - 1
    plan = Plan(index, number, align).some(has_truth)
    if len(plan.index) == 0:
        raise ArgumentError(
            f"no window fits: n_windows={n_windows}, step_size={step}, horizon={horizon}, and the longest series has "
            f"{int(panel.lengths.max())} rows. Each window needs rows up to its cutoff and after it."
        )
    return plan


def _rank_by_stamp(panel: Panel, index: WindowIndex) -> IntArray:
    _, rank = np.unique(panel.ticks(index.series, index.rows), return_inverse=True)
    return rank.astype(np.int64)
