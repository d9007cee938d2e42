"""Exposure: how much worse a model gets on its own outputs than on observed ones, at the same targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import IntArray, Panel, WindowIndex
from tsforce.evaluation.backtest_windows import Plan
from tsforce.evaluation.clones import Clones
from tsforce.evaluation.shown import Shown
from tsforce.forecasting.side_by_side import forecasts_at
from tsforce.scoring.metrics import has_scale
from tsforce.scoring.ranges import usual_range

__all__ = ["Exposure", "measure_exposure"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Ranges outside what a series showed where a forecast has diverged.
_FAR = 10.0


@dataclass(frozen=True, eq=False)
class Exposure:
    """Errors by step, in units of the series' in-sample seasonal-naive scale; each array is (H,).

    Several targets are pooled like windows, each in units of its own scale.

    Attributes
    ----------
    rmse_closed, rmse_one_step, rmse_naive
        Of the closed-loop forecast, of the forecast made one step before the same target, and of repeating the last
        value up to the cutoff.
    n_windows, n_left_out
        Windows with truth at the step that were pooled; that have no scale.
    diverged_share : float
    one_step : (W, H, C)
        The forecasts made one step before each target, original units; NaN without truth.
    """

    rmse_closed: FloatArray
    rmse_one_step: FloatArray
    rmse_naive: FloatArray
    n_windows: IntArray
    n_left_out: IntArray
    diverged_share: float
    one_step: FloatArray

    @property
    def gap(self) -> FloatArray:
        """``rmse_closed / rmse_one_step``; NaN where both are 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.rmse_closed / self.rmse_one_step

    def first_step(self, condition: BoolArray) -> int | str:
        """Return the first step where `condition` holds, else "> " and the last step that was measured, if any."""
        measured = np.flatnonzero(self.n_windows > 0)
        if len(measured) == 0:
            return "not measured"
        steps = np.flatnonzero(condition & (self.n_windows > 0))
        return int(steps[0]) + 1 if len(steps) else f"> {int(measured[-1]) + 1}"


def one_step_forecasts(panel: Panel, plan: Plan, fitted: Clones, shown: Shown, known: BoolArray) -> FloatArray:
    """Return, for every step of every window, the forecast from one step before it, (W, H, C); NaN without truth."""
    out = np.full((*known.shape, panel.n_channels), np.nan)
    for k, places, own, index in shown.pieces(panel, plan.index):
        model = fitted[k]
        window, step = np.nonzero(known[places])
        if len(window) == 0:
            continue
        series, rows = index.series[window], index.rows[window] + step
        # Windows overlap; each one-step forecast is made once.
        longest = int(own.lengths.max())
        key, back = np.unique(series * longest + rows, return_inverse=True)
        once = WindowIndex(key // longest, key % longest)
        out[places[window], step] = forecasts_at(model, own, once, 1)[back, 0]
    return out


def measure_exposure(
    panel: Panel,
    plan: Plan,
    yhat: FloatArray,
    fitted: Clones,
    shown: Shown,
    truth: FloatArray,
    known: BoolArray,
    scale: FloatArray,
) -> Exposure:
    """Return the exposure of one model.

    Parameters
    ----------
    panel, plan
        The data and its W windows.
    yhat, truth : (W, H, C)
        Closed-loop forecasts and truth, original units.
    fitted, shown
        The clones, which made each window, and what they were shown.
    known : (W, H) bool
        Where there is truth.
    scale : (S, C)
        In-sample seasonal-naive scale of each series and target; 0 or NaN where there is none.
    """
    index = plan.index
    unit = scale[index.series][:, None]
    usable = has_scale(unit)
    use = known[:, :, None] & usable
    last = panel.values[panel.indptr[index.series] + index.rows][:, None]

    def rmse(forecast: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            square = np.where(use, ((truth - forecast) / np.where(usable, unit, 1.0)) ** 2, 0.0)
            count = use.sum(axis=(0, 2))
            return np.where(count > 0, np.sqrt(square.sum(axis=(0, 2)) / np.maximum(count, 1)), np.nan)

    one_step = one_step_forecasts(panel, plan, fitted, shown, known)
    return Exposure(
        rmse_closed=rmse(yhat),
        rmse_one_step=rmse(one_step),
        rmse_naive=rmse(np.broadcast_to(last, truth.shape)),
        n_windows=use.any(axis=2).sum(axis=0),
        n_left_out=(known & ~usable.any(axis=2)).sum(axis=0),
        diverged_share=float(_diverged(panel, plan, yhat).mean()),
        one_step=one_step,
    )


def _diverged(panel: Panel, plan: Plan, yhat: FloatArray) -> Any:
    """Return which windows hold a forecast that is not finite or far outside what the series showed, (W,) bool."""
    shown = panel.head(plan.first_rows(panel.n_series) + 1)
    usual = usual_range(shown.values, shown.lengths)
    series = plan.index.series[:, None]
    low, high = (side[series] for side in usual.bounds(_FAR))
    with np.errstate(invalid="ignore"):
        # A model's own guard may clip at this very bound; rounding must not hide that.
        room = 1e-9 * np.maximum(np.abs(low), np.abs(high))
        far = (yhat <= low + room) | (yhat >= high - room)
    return (far | ~np.isfinite(yhat)).any(axis=(1, 2))
