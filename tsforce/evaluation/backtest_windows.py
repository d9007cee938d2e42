"""Which windows a backtest looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.frame import as_stamps, resolve_cutoffs
from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex
from tsforce.errors import ArgumentError, abbreviate, check_choice
from tsforce.forecasting.arguments import check_count
from tsforce.scoring.cutoffs import count_back, flatten

__all__ = ["Plan", "lacking_windows", "plan_windows", "truth_after"]

BoolArray = npt.NDArray[np.bool_]


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
    more_rows : str
        What to ask for, so that more rows are left before the first cutoff.
    notes : tuple of str
        What was asked for and is not there.
    """

    index: WindowIndex
    number: IntArray
    align: str
    more_rows: str
    notes: tuple[str, ...] = ()

    def some(self, chosen: Any) -> Plan:
        """Return the plan of some windows."""
        index = WindowIndex(self.index.series[chosen], self.index.rows[chosen])
        return replace(self, index=index, number=self.number[chosen])

    def first_rows(self, n_series: int) -> IntArray:
        """Return the row of each series' first cutoff, -1 for a series without a window, (S,)."""
        first = np.full(n_series, np.iinfo(np.int64).max)
        np.minimum.at(first, self.index.series, self.index.rows)
        return np.where(first == np.iinfo(np.int64).max, -1, first)


def plan_windows(
    panel: Panel, horizon: int, *, n_windows: Any, step_size: Any, cutoffs: Any, align: Any, last: Any = None
) -> Plan:
    """Return the windows of a backtest: each has at least one row up to its cutoff and one after.

    Parameters
    ----------
    panel : Panel
    horizon : int
    n_windows : int
        Windows per series, the last one ending at the last row (of the series, or of the panel). What does not fit is
        left out, with a note.
    step_size : int or None
        Rows from one cutoff to the next; None means `horizon`.
    cutoffs : stamps, DataFrame or None
        Win over all others.
    align : "auto", "series" or "calendar"
        Count back from each series' own last row, or from the panel's last stamp. "auto": "series" for whole-number
        stamps, "calendar" for time stamps.
    last : stamp, optional
        What "calendar" counts back from, where the panel is a part of one that goes on until then.

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
        align, more_rows = "cutoffs", "later cutoffs"
    else:
        by_series = _by_series(panel, align)
        if by_series:
            series, rows, number = flatten(count_back(panel.lengths, horizon, n_windows, step))
            index, align = WindowIndex(series, rows), "series"
        else:
            end = panel.ticks(np.arange(panel.n_series), panel.lengths - 1).max()
            if last is not None:
                end = panel.clock.ticks(as_stamps(panel, [last], "last"))[0][0]
            back = horizon + step * np.arange(n_windows - 1, -1, -1)
            rows_at = (end - back * panel.clock.step - panel.start[:, None]) // panel.clock.step
            series, number = np.nonzero((rows_at >= 0) & (rows_at < panel.lengths[:, None] - 1))
            index, align = WindowIndex(series, rows_at[series, number]), "calendar"
        fewer = f"fewer windows than n_windows={n_windows}" if n_windows > 1 else f"a horizon below {horizon}"
        more_rows = f"{fewer} or a step_size below {step}" if n_windows > 1 and step > 1 else fewer
    has_truth = index.rows < panel.lengths[index.series] - 1
    plan = Plan(index, number, align, more_rows).some(has_truth)
    if len(plan.index) == 0:
        raise ArgumentError(
            f"no window fits: n_windows={n_windows}, step_size={step}, horizon={horizon}, and the longest series has "
            f"{int(panel.lengths.max())} rows. Each window needs rows up to its cutoff and after it."
        )
    if align == "cutoffs":
        lost = int((~has_truth).sum())
        notes = [f"{lost} cutoffs of last rows are left out: there is no truth after them."] if lost else []
    else:
        lacking = lacking_windows(panel, horizon, n_windows, step, align)
        notes = [lacking] if lacking else _fewer(panel, plan, n_windows)
    return replace(plan, notes=tuple(notes))


def _by_series(panel: Panel, align: str) -> bool:
    return align == "series" or (align == "auto" and isinstance(panel.clock.freq, int))


def lacking_windows(panel: Panel, horizon: int, n_windows: int, step_size: int, align: str = "auto") -> str:
    """Return what to ask for instead of more windows than the panel's rows hold; empty if they hold them."""
    span = int(panel.lengths.max())
    if not _by_series(panel, align):
        last = panel.ticks(np.arange(panel.n_series), panel.lengths - 1).max()
        span = int((last - panel.start.min()) // panel.clock.step) + 1
    # A row to learn from comes first.
    room = span - 1 - horizon
    most = room // step_size + 1
    if room < 0 or most >= n_windows:
        return ""
    smaller = room // (n_windows - 1)
    return (
        f"n_windows={n_windows} with step_size={step_size} and horizon={horizon} take "
        f"{step_size * (n_windows - 1) + horizon + 1} rows, one to learn from among them, and there are {span}: no "
        f"more than n_windows={most} fit{f', or step_size={smaller}' if smaller else ''}. Fewer leave more rows to "
        f"learn from."
    )


def _fewer(panel: Panel, plan: Plan, n_windows: int) -> list[str]:
    """Return a note on series that have some windows, and fewer than are asked for."""
    counts = np.bincount(plan.index.series, minlength=panel.n_series)
    fewer = np.flatnonzero((counts > 0) & (counts < n_windows))
    if len(fewer) == 0:
        return []
    names = abbreviate(panel.id_list[i] for i in fewer)
    return [
        f"fewer windows than n_windows={n_windows}, down to {counts[fewer].min()}, in {len(fewer)} of "
        f"{panel.n_series} series, which are too short or end too early: {names}."
    ]


def truth_after(panel: Panel, index: WindowIndex, horizon: int) -> tuple[FloatArray, BoolArray]:
    """Return what was observed after W cutoffs, (W, H, C), and which steps lie within the panel's rows, (W, H).

    Of steps that do not, the last row stands there.
    """
    ahead = index.rows[:, None] + np.arange(1, horizon + 1)
    last = panel.lengths[index.series][:, None] - 1
    return panel.values[panel.indptr[index.series][:, None] + np.minimum(ahead, last)], ahead <= last


def _rank_by_stamp(panel: Panel, index: WindowIndex) -> IntArray:
    _, rank = np.unique(panel.ticks(index.series, index.rows), return_inverse=True)
    return rank.astype(np.int64)
