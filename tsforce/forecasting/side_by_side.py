"""Forecasters that answer for many windows at once, in numbers: a frame is written once, for whoever reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tsforce.data.frame import resolve_cutoffs, write_forecasts
from tsforce.data.future import read_future
from tsforce.data.panel import FloatArray, Panel, WindowIndex
from tsforce.errors import ArgumentError, UnseenSeriesError, UnusedColumnWarning, abbreviate, warn
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.intervals import Intervals, bounds_at, check_levels
from tsforce.forecasting.parts import check_fitted, horizon_of

__all__ = ["SideBySide", "forecasts_at", "left_out", "stacked"]


class SideBySide(Forecaster):
    """Base of forecasters whose windows, of all series and cutoffs, are forecast side by side.

    A subclass implements ``_ahead``.
    """

    _takes_copies: bool = True

    def predict_at(self, df: Any, cutoffs: Any, horizon: int | None = None, *, level: Any = None) -> Any:
        """Return closed-loop forecasts at many cutoffs of many series at once; nothing is learnt.

        Same parameters, result and numbers as ``Forecaster.predict_at``, all windows side by side.
        """
        check_fitted(self)
        levels = check_levels(level)
        panel, steps = self.read(df), horizon_of(self, horizon)
        return self._frame(panel, resolve_cutoffs(panel, cutoffs), steps, with_cutoff=True, levels=levels)

    def _numbers(self, panel: Panel, index: WindowIndex, horizon: int) -> FloatArray:
        if type(self).predict_at is not SideBySide.predict_at:
            return super()._numbers(panel, index, horizon)
        check_fitted(self)
        return self._ahead(self.read(panel), index, horizon)[0]

    def _predict(self, horizon: int | None, *, future_df: Any, history: Any, level: Any) -> Any:
        """Return what ``predict`` of a forecaster with inputs does: see ``NARXForecaster.predict``."""
        check_fitted(self)
        levels = check_levels(level)
        steps = horizon_of(self, horizon)
        panel, index, scenarios = self._asked_windows(steps, future_df, history)
        return self._frame(panel, index, steps, with_cutoff=False, scenarios=scenarios, levels=levels)

    def _asked_windows(self, steps: int, future_df: Any, history: Any) -> tuple[Panel, WindowIndex, list[str] | None]:
        """Return the panel and the windows that ``predict`` is asked about, and the scenarios of which they are."""
        panel = self._rows_ if history is None else self.read(history)
        if not panel.columns.future_exog:
            if future_df is not None:
                warn(f"future_df is not read: this {self.name} has no future_exog.", UnusedColumnWarning)
            return panel, panel.last_rows(), None
        several = isinstance(future_df, Mapping)
        scenarios = dict(future_df) if several else {"": future_df}
        if not scenarios:
            raise ArgumentError("future_df is an empty dict; give at least one scenario, name -> frame.")
        values = [read_future(panel, frame, steps) for frame in scenarios.values()]
        copies = panel.take(np.tile(np.arange(panel.n_series), len(values)))
        extended = copies.extended(steps, np.concatenate(values))
        return extended, copies.last_rows(), list(scenarios) if several else None

    def _ahead(self, panel: Panel, index: WindowIndex, horizon: int) -> tuple[FloatArray, dict[str, int]]:
        """Return the forecasts after some windows of a panel with this forecaster's own inputs, (W, H, C).

        And what the frame's ``attrs`` count.
        """
        raise NotImplementedError

    def _frame(
        self,
        panel: Panel,
        index: WindowIndex,
        horizon: int,
        *,
        with_cutoff: bool,
        scenarios: Sequence[str] | None = None,
        levels: Intervals | None = None,
    ) -> Any:
        """Return the frame of the forecasts after some windows, with the bounds of some levels."""
        yhat, counts = self._ahead(panel, index, horizon)
        bounds = None if levels is None else bounds_at(self, panel, index, yhat, levels)
        return write_forecasts(
            panel, index, yhat, self.name, with_cutoff=with_cutoff, counts=counts, scenarios=scenarios, bounds=bounds
        )


def forecasts_at(model: Forecaster, panel: Panel, index: WindowIndex, horizon: int) -> FloatArray:
    """Return the numbers of ``predict_at``, (W, H, C), original units.

    They are written to no frame on the way, unless the forecaster has a ``predict_at`` of its own.
    """
    return model._numbers(panel, index, horizon)


def left_out(model: Forecaster) -> list[Any]:
    """Return the ids of series that a fitted forecaster was given and could not fit."""
    return list(getattr(model, "short_series_", []))


def stacked(
    members: Sequence[Forecaster],
    panel: Panel,
    index: WindowIndex,
    horizon: int,
    *,
    together: str,
    least_rows: Sequence[int] | None = None,
) -> FloatArray:
    """Return the forecasts of several fitted forecasters, (members, W, H, C), NaN where one has fitted no such series.

    So it is after fewer rows than a member's number of `least_rows`.
    A step that one member cannot know, for want of its inputs, is NaN for all: who is heard must not change within a
    horizon.

    Raises
    ------
    UnseenSeriesError
        If no member has fitted a series; `together` is what they are called.
    """
    stack = np.full((len(members), len(index), horizon, panel.n_channels), np.nan)
    heard = np.zeros((len(members), len(index), 1, 1), dtype=bool)
    for number, member in enumerate(members):
        out = set(left_out(member))
        mine = np.array([panel.id_list[i] not in out for i in index.series], dtype=bool)
        if least_rows is not None:
            mine &= index.rows + 1 >= least_rows[number]
        if mine.any():
            heard[number, mine] = True
            part = WindowIndex(index.series[mine], index.rows[mine])
            stack[number, mine] = forecasts_at(member, panel, part, horizon)
    stack[:, (heard & np.isnan(stack)).any(axis=0)] = np.nan
    nobody = ~heard.any(axis=(0, 2, 3))
    if nobody.any():
        names = abbreviate(dict.fromkeys(panel.id_list[i] for i in index.series[nobody]))
        raise UnseenSeriesError(f"series {names}: no member of the {together} was fitted on it.")
    return stack
