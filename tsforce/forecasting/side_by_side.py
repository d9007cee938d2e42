"""Forecasters that answer for many windows at once, in numbers: a frame is written once, for whoever reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tsforce.data.frame import resolve_cutoffs, write_forecasts
from tsforce.data.panel import FloatArray, Panel, WindowIndex
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.parts import check_fitted, horizon_of, values_of

__all__ = ["SideBySide", "forecasts_at"]


class SideBySide(Forecaster):
    """Base of forecasters whose windows, of all series and cutoffs, are forecast side by side.

    A subclass implements ``_ahead``.
    """

    _takes_copies: bool = True

    def predict_at(self, df: Any, cutoffs: Any, horizon: int | None = None) -> Any:
        """Return closed-loop forecasts at many cutoffs of many series at once; nothing is learnt.

        Same parameters, result and numbers as ``Forecaster.predict_at``, all windows side by side.
        """
        check_fitted(self)
        panel, steps = self.read(df), horizon_of(self, horizon)
        return self._frame(panel, resolve_cutoffs(panel, cutoffs), steps, with_cutoff=True)

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
    ) -> Any:
        """Return the frame of the forecasts after some windows."""
        yhat, counts = self._ahead(panel, index, horizon)
        return write_forecasts(
            panel, index, yhat, self.name, with_cutoff=with_cutoff, counts=counts, scenarios=scenarios
        )


def forecasts_at(model: Forecaster, panel: Panel, index: WindowIndex, horizon: int) -> FloatArray:
    """Return the numbers of ``predict_at``, (W, H, C), original units.

    They are written to no frame on the way, unless the forecaster has a ``predict_at`` of its own.
    """
    if isinstance(model, SideBySide) and type(model).predict_at is SideBySide.predict_at:
        check_fitted(model)
        return model._ahead(model.read(panel), index, horizon)[0]
    return values_of(model, model.predict_at(panel, index, horizon), horizon)
