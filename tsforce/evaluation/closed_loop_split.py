"""ClosedLoopSplit: cutoffs as folds, for scikit-learn's searches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.frame import locate_rows, read_panel
from tsforce.evaluation.backtest_windows import Plan, plan_windows
from tsforce.forecasting.arguments import check_count

__all__ = ["ClosedLoopSplit"]


class ClosedLoopSplit:
    """Folds of a long frame: learn from the rows up to a cutoff, score the closed-loop forecast of those after it.

    Parameters
    ----------
    horizon : int
        Rows of each series after a cutoff that are scored; the forecaster's own horizon.
    n_windows : int
        Folds.
    step_size : int, optional
        Rows from one cutoff to the next; the horizon by default.
    train_size : int, optional
        Rows of each series up to a cutoff to learn from, the last ones; all by default.
    align : "auto", "series" or "calendar"
        As in ``backtest``.
    freq : "infer", pandas alias or offset, or int
    id_col, time_col, target_col : str

    Notes
    -----
    Rows of a series that has no window in a fold are learnt from if they lie before the cutoffs of the others by
    stamp; with ``align="series"`` all of them are.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from tsforce import ClosedLoopSplit, NARXForecaster
    >>> from tsforce.datasets import load
    >>> model = NARXForecaster(horizon=12, scope="local", mode="open_loop")
    >>> search = GridSearchCV(model, {"lags": [12, 24]}, cv=ClosedLoopSplit(horizon=12, n_windows=3))
    >>> search.fit(load("airpassengers")).best_params_
    {'lags': 12}
    """

    def __init__(
        self,
        horizon: int,
        n_windows: int = 3,
        *,
        step_size: int | None = None,
        train_size: int | None = None,
        align: str = "auto",
        freq: Any = "infer",
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: str = "y",
    ) -> None:
        self.horizon = horizon
        self.n_windows = n_windows
        self.step_size = step_size
        self.train_size = train_size
        self.align = align
        self.freq = freq
        self.id_col = id_col
        self.time_col = time_col
        self.target_col = target_col

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        del X, y, groups
        return check_count("n_windows", self.n_windows)

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Yield the positions of the rows to learn from and of those to score, fold by fold.

        Parameters
        ----------
        X : DataFrame
            Long frame; columns beside id, time and target are not looked at.
        y, groups : None
            scikit-learn's slots.

        Raises
        ------
        ArgumentError
            If a fold has no window.
        """
        del y, groups
        horizon = check_count("horizon", self.horizon)
        longest = np.inf if self.train_size is None else check_count("train_size", self.train_size, other="None")
        own = [name for name in (self.id_col, self.time_col, self.target_col) if name in X.columns]
        panel = read_panel(
            X[own], id_col=self.id_col, time_col=self.time_col, target_col=self.target_col, freq=self.freq
        )
        plan = plan_windows(
            panel, horizon, n_windows=self.n_windows, step_size=self.step_size, cutoffs=None, align=self.align
        )
        series, rows = locate_rows(panel, X)
        for number in range(self.get_n_splits()):
            fold = plan.some(plan.number == number)
            cutoff = self._cutoffs(panel, fold)
            has_window = np.zeros(panel.n_series, dtype=bool)
            has_window[fold.index.series] = True
            ahead = rows - cutoff[series]
            test = has_window[series] & (ahead > 0) & (ahead <= horizon)
            yield np.flatnonzero((ahead <= 0) & (ahead > -longest)), np.flatnonzero(test)

    @staticmethod
    def _cutoffs(panel: Any, fold: Plan) -> npt.NDArray[np.int64]:
        """Return the last row of each series that a fold learns from, (S,)."""
        cutoff = panel.lengths - 1
        if fold.align == "calendar" and len(fold.index):
            tick = int(panel.ticks(fold.index.series[:1], fold.index.rows[:1])[0])
            cutoff = np.minimum(cutoff, (tick - panel.start) // panel.clock.step)
        cutoff[fold.index.series] = fold.index.rows
        return np.asarray(cutoff, dtype=np.int64)
