"""ClosedLoopSplit: cutoffs as folds, for scikit-learn's searches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.frame import locate_rows, read_panel
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.evaluation.backtest_windows import Plan, lacking_windows, plan_windows
from tsforce.forecasting.arguments import check_count
from tsforce.scoring.cutoffs import count_back

__all__ = ["ClosedLoopSplit"]


class ClosedLoopSplit:
    """Folds of a long frame, or of a measured record: learn from the rows up to a cutoff, score closed loop after it.

    Parameters
    ----------
    horizon : int
        Rows of each series after a cutoff that are scored; the forecaster's own horizon. Of a record the first ones, as
        many as a ``NARXRegressor``'s largest lag, start its simulation, and the rest are scored.
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

    Where there is a y, rows are those of one record, in time order, as a ``NARXRegressor`` takes them: columns and
    `align` have no part. Several records are left out one at a time instead, by scikit-learn's ``LeaveOneGroupOut``.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from tsforce import ClosedLoopSplit, NARXForecaster
    >>> from tsforce.datasets import load
    >>> model = NARXForecaster(horizon=12, scope="local", mode="open_loop")
    >>> search = GridSearchCV(model, {"lags": [12, 24]}, cv=ClosedLoopSplit(horizon=12, n_windows=3))
    >>> search.fit(load("airpassengers")).best_params_
    {'lags': 24}
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
        X : DataFrame, or array-like (n, F) beside a y
            Long frame; columns beside id, time and target are not looked at. Beside a y the inputs of one record.
        y : array-like, (n,) or (n, C), optional
            Outputs of a record; None for a long frame.
        groups : array-like, (n,), optional
            Of a record: the same value in every row.

        Raises
        ------
        ArgumentError
            If a fold has no window, or there are several records.
        ArgumentTypeError
            If X is no frame and there is no y.
        """
        horizon = check_count("horizon", self.horizon)
        if y is not None:
            yield from self._of_record(len(X), horizon, groups)
            return
        if not hasattr(X, "columns"):
            raise ArgumentTypeError(
                f"X is a {type(X).__name__} without a y; expected a long frame, or the inputs X and outputs y of a "
                f"measured record: search.fit(X, y)."
            )
        longest = np.inf if self.train_size is None else check_count("train_size", self.train_size, other="None")
        own = [name for name in (self.id_col, self.time_col, self.target_col) if name in X.columns]
        panel = read_panel(
            X[own], id_col=self.id_col, time_col=self.time_col, target_col=self.target_col, freq=self.freq
        )
        plan = plan_windows(
            panel, horizon, n_windows=self.n_windows, step_size=self.step_size, cutoffs=None, align=self.align
        )
        lacking = lacking_windows(panel, horizon, self.get_n_splits(), self.step_size or horizon, self.align)
        if lacking:
            raise ArgumentError(f"a fold has no window: {lacking}")
        series, rows = locate_rows(panel, X)
        for number in range(self.get_n_splits()):
            fold = plan.some(plan.number == number)
            cutoff = self._cutoffs(panel, fold)
            has_window = np.zeros(panel.n_series, dtype=bool)
            has_window[fold.index.series] = True
            ahead = rows - cutoff[series]
            test = has_window[series] & (ahead > 0) & (ahead <= horizon)
            yield np.flatnonzero((ahead <= 0) & (ahead > -longest)), np.flatnonzero(test)

    def _of_record(
        self, n_rows: int, horizon: int, groups: Any
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Yield the folds of a record, counted back from its end."""
        if groups is not None and len(np.unique(groups)) > 1:
            raise ArgumentError(
                f"groups name {len(np.unique(groups))} records, and ClosedLoopSplit cuts one; leave whole records out "
                f"with cv=sklearn.model_selection.LeaveOneGroupOut(), or search over one of them."
            )
        step = horizon if self.step_size is None else check_count("step_size", self.step_size)
        size = n_rows if self.train_size is None else check_count("train_size", self.train_size, other="None")
        n_windows = self.get_n_splits()
        cutoffs = count_back([n_rows], horizon, n_windows, step)[0]
        if cutoffs[0] < 0:
            raise ArgumentError(
                f"n_windows={n_windows} with step_size={step} and horizon={horizon} take "
                f"{step * (n_windows - 1) + horizon + 1} rows, and the record has {n_rows}; ask for fewer."
            )
        for cutoff in cutoffs:
            yield np.arange(max(cutoff + 1 - size, 0), cutoff + 1), np.arange(cutoff + 1, cutoff + 1 + horizon)

    @staticmethod
    def _cutoffs(panel: Any, fold: Plan) -> npt.NDArray[np.int64]:
        """Return the last row of each series that a fold learns from, (S,)."""
        cutoff = panel.lengths - 1
        if fold.align == "calendar" and len(fold.index):
            tick = int(panel.ticks(fold.index.series[:1], fold.index.rows[:1])[0])
            cutoff = np.minimum(cutoff, (tick - panel.start) // panel.clock.step)
        cutoff[fold.index.series] = fold.index.rows
        return np.asarray(cutoff, dtype=np.int64)
