"""Intervals for forecasters whose `predict` takes no level: what a user's own class need not know of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tsforce.data.frame import write_forecasts
from tsforce.errors import ArgumentError
from tsforce.forecasting.intervals import bounds_at, check_levels, learnt_rows
from tsforce.forecasting.parts import horizon_of, values_of

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = ["with_level"]


def with_level(predict: Callable[..., Any]) -> Callable[..., Any]:
    """Return a forecaster's `predict`, which knows no levels, with bounds for those that are asked for."""

    @functools.wraps(predict)
    def predict_with_level(self: Forecaster, horizon: int | None = None, *, level: Any = None, **given: Any) -> Any:
        levels = check_levels(level)
        forecast = predict(self, horizon, **given)
        if levels is None:
            return forecast
        if isinstance(given.get("future_df"), Mapping):
            raise ArgumentError("level= and several scenarios in future_df do not go together here: one at a time.")
        history = given.get("history")
        panel = self.read(history) if history is not None else learnt_rows(self)
        index, yhat = panel.last_rows(), values_of(self, forecast, horizon_of(self, horizon))
        bounds = bounds_at(self, panel, index, yhat, levels)
        return write_forecasts(
            panel, index, yhat, self.name, with_cutoff=False, counts=getattr(forecast, "attrs", None), bounds=bounds
        )

    return predict_with_level
