"""The part of AutoNARX that takes later rows in: weights move with the errors that members make there."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.later_rows import Grown
from tsforce.data.panel import FloatArray, IntArray, WindowIndex, ragged_rows
from tsforce.forecasting.auto.choice import POWER, relative_errors, shrunk
from tsforce.forecasting.auto.trials import TrialWindows, is_intermittent, scale_of
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.later_errors import calibrations_after
from tsforce.forecasting.members import told_of_members, updated_members
from tsforce.forecasting.parts import check_fitted, end_fit, later_rows_of
from tsforce.forecasting.side_by_side import SideBySide, stacked
from tsforce.forecasting.update import Update

__all__ = ["MovesWeights"]


class MovesWeights(SideBySide):
    """What weighs its members by their errors, and goes on doing so."""

    members_: dict[str, Forecaster]
    leaderboard_: pd.DataFrame
    season_length_: int
    _weight_: FloatArray
    _windows_: TrialWindows

    def update(self, df: Any) -> Update:
        """Take in rows that came after those learnt from: members are updated, and their weights move.

        Members forecast the new rows closed loop before they learn from them, and their errors count as those of
        further windows on trial would have: weights fall with the same power of the error, a series' own errors
        count by their number beside those on trial. Candidates that were not chosen stay out. Each member goes on in
        its own way (``NARXForecaster.update``, ``Baseline.update``).

        Parameters
        ----------
        df : DataFrame
            As in ``NARXForecaster.update``. New series are heard with the mean weights of all.

        Returns
        -------
        Update
            ``change`` is the share of the weights that has moved; ``members`` says more.

        Raises
        ------
        ArgumentError, FrameError
            As from ``NARXForecaster.update``.

        Examples
        --------
        >>> from tsforce import AutoNARX
        >>> from tsforce.datasets import load
        >>> df = load("airpassengers")
        >>> model = AutoNARX(12, budget="fast").fit(df[:132])
        >>> model.update(df[132:]).way
        'members'
        """
        check_fitted(self)
        given = self.read(df)
        now = later_rows_of(self, given)
        if not now.counts.any():
            return Update(self.name, 0, 0, "state")
        calibrations = calibrations_after(self, now)
        weight, steps = self._moved(now)
        members, told = updated_members(self.members_, given, now)
        change = float(np.abs(weight[:, : now.n_known] - self._weight_).sum(axis=0).mean() / 2)
        self.members_, self._weight_, self._judged_steps_ = members, weight, steps
        self._calibrations_ = calibrations
        end_fit(self, now.panel, self.season_length_)
        return told_of_members(self.name, now, told, change)

    def _moved(self, now: Grown) -> tuple[FloatArray, IntArray]:
        """Return the weights (M, S) after the errors at new rows, and how many steps judged each series, (S,)."""
        before, n_known = self._weight_, now.n_known
        steps = getattr(self, "_judged_steps_", None)
        # Where some series judged for all, they go on as one.
        alone = self._windows_.panel.n_series == before.shape[1]
        if steps is None:
            each = self._windows_.n_windows * self._windows_.truth.shape[1]
            steps = each if alone else np.full(before.shape[1], int(each.sum()))
        windows = self._windows_at(now)
        n_new = now.counts[:n_known]
        counted = n_new if alone else np.full(n_known, int(n_new.sum()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stack = stacked(
                list(self.members_.values()), windows.panel, windows.index, windows.truth.shape[1], together=self.name
            )
        errors = [windows.by_series(windows.errors_of(yhat))[:n_known] for yhat in stack]
        heard = before > 0
        score = shrunk(relative_errors(errors), heard, n_new if alone else 0 * n_new, now.panel.lengths[:n_known])
        family = dict(zip(self.leaderboard_["candidate"], self.leaderboard_["family"], strict=True))
        families = [family.get(name, name) for name in self.members_]
        voice = np.array([families.count(own) ** -0.5 for own in families])[:, None]
        share = counted / np.maximum(counted + steps, 1)
        best = np.where(heard, score, np.inf).min(axis=0)
        with np.errstate(divide="ignore"):
            new = np.log(voice) - POWER * (np.where(heard, score, best) - best)
            logs = np.where(heard, (1 - share) * np.log(before) + share * new, -np.inf)
        weight = np.exp(logs - logs.max(axis=0))
        weight /= weight.sum(axis=0)
        n_fresh = now.panel.n_series - n_known
        fresh = np.repeat(weight.mean(axis=1, keepdims=True), n_fresh, axis=1)
        return np.concatenate([weight, fresh], axis=1), np.concatenate([steps + counted, np.zeros(n_fresh, np.int64)])

    def _windows_at(self, now: Grown) -> TrialWindows:
        """Return windows of the horizon over the new rows of known series, one after the other from the first on."""
        panel, known = now.panel, np.arange(now.n_known)
        horizon = int(self.horizon or 1)
        count = -(-now.counts[known] // horizon)
        series = np.repeat(known, count)
        rows = now.first[series] - 1 + ragged_rows(np.zeros_like(count), count) * horizon
        ahead = rows[:, None] + np.arange(1, horizon + 1)
        there = ahead < panel.lengths[series][:, None]
        flat = np.minimum(panel.indptr[series][:, None] + ahead, len(panel.values) - 1)
        truth = np.where(there[..., None], panel.values[flat], np.nan)
        learnt = panel.head(now.first)
        squared = np.zeros(panel.n_series, dtype=bool)
        squared[known] = is_intermittent(learnt)
        scale = np.ones((panel.n_series, panel.n_channels))
        scale[known] = scale_of(learnt, squared[known], self.season_length_)
        in_percent = bool(np.nanmin(panel.values) > 0)
        number = np.ones(len(series), dtype=np.int64)
        return TrialWindows(panel, learnt, WindowIndex(series, rows), number, truth, scale, squared, in_percent)
