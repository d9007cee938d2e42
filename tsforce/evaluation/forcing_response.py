"""All that exposure looks at, measured once: what some truth on the way is worth, what becomes of small errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.panel import Panel, WindowIndex
from tsforce.evaluation.backtest_windows import Plan
from tsforce.evaluation.clones import Clones
from tsforce.evaluation.exposure import Exposure, measure_exposure
from tsforce.evaluation.exposure_words import Response, Spread, describe_exposure
from tsforce.evaluation.shown import Shown
from tsforce.forecasting.parts import values_of
from tsforce.scoring.cutoffs import even_draw
from tsforce.scoring.metrics import has_scale

__all__ = ["MOST_WINDOWS", "RATIOS", "Measured", "measure_response", "measure_spread"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# What is looked at where nothing else is asked for: forcing ratios, and windows to which some truth is fed.
RATIOS = (1.0, 0.75, 0.5, 0.25, 0.0)
MOST_WINDOWS = 200
# Windows whose one-step maps are looked at.
_MAPPED_WINDOWS = 100


def measure_response(
    panel: Panel,
    index: WindowIndex,
    forecasts: tuple[FloatArray, FloatArray],
    fitted: Clones,
    shown: Shown,
    truth: FloatArray,
    known: BoolArray,
    scale: FloatArray,
    ratio: float,
    *,
    max_windows: int | None,
    random_state: int,
) -> Response:
    """Return the error of one model that is fed a share of the truth.

    Parameters
    ----------
    panel, index
        The data and its W windows.
    forecasts : two of (W, H, C)
        One step ahead and closed loop, which is what ratios 1 and 0 are.
    fitted, shown, truth, known, scale
        As in ``measure_exposure``.
    ratio : float
        Share of observed targets that are fed back.
    max_windows : int or None
        Look at so many windows that have a scale at most, spread evenly.
    random_state : int
        What is fed is drawn by it.
    """
    usable = has_scale(scale[index.series]).any(axis=1)
    able = np.flatnonzero(usable)
    chosen = able[even_draw(len(able), max_windows)]
    n_left_out = int((~usable).sum())
    if len(chosen) == 0:
        return Response(np.nan, np.nan, 0, n_left_out)
    if ratio in (0, 1):
        yhat = forecasts[0 if ratio == 1 else 1][chosen]
    else:
        yhat = np.empty((len(chosen), *truth.shape[1:]))
        part = WindowIndex(index.series[chosen], index.rows[chosen])
        for k, places, own, windows in shown.some(chosen).pieces(panel, part):
            forced = fitted[k].predict_forced(
                own, windows, truth.shape[1], forcing_ratio=ratio, random_state=random_state
            )
            yhat[places] = values_of(fitted[k], forced, truth.shape[1])
    unit = scale[index.series[chosen]][:, None]
    use = known[chosen][:, :, None] & has_scale(unit)
    with np.errstate(over="ignore"):
        error = np.abs(truth[chosen] - yhat) / np.where(has_scale(unit), unit, 1.0)
        error = error[np.broadcast_to(use, error.shape)]
        rmse = float(np.sqrt(np.mean(error**2)))
    return Response(rmse, float(np.mean(error)), len(chosen), n_left_out)


def measure_spread(
    panel: Panel, index: WindowIndex, fitted: Clones, shown: Shown, horizon: int, *, max_windows: int
) -> Spread:
    """Return what small errors come to along the forecasts of at most `max_windows` windows, spread evenly."""
    chosen = even_draw(len(index), max_windows)
    found = np.full((len(chosen), 3), np.nan)
    part = WindowIndex(index.series[chosen], index.rows[chosen])
    for k, places, own, windows in shown.some(chosen).pieces(panel, part):
        frame = fitted[k].companion_at(own, windows, horizon)
        found[places] = np.stack([frame[name].to_numpy() for name in ("radius_median", "radius_max", "growth")], axis=1)
    median, largest, growth = found[~np.isnan(found).any(axis=1)].T
    if len(median) == 0:
        return Spread(np.nan, np.nan, np.nan, 0)
    return Spread(float(np.median(median)), float(largest.max()), float(np.median(growth)), len(median))


class Measured:
    """The exposure of some models on the same windows; each figure is computed when it is first asked for, and kept.

    Parameters
    ----------
    panel, plan
        The data and its W windows.
    models : dict of name -> Judged
    truth, known, scale
        As in ``measure_exposure``.
    """

    def __init__(
        self,
        panel: Panel,
        plan: Plan,
        models: Mapping[str, Any],
        truth: FloatArray,
        known: BoolArray,
        scale: FloatArray,
    ) -> None:
        self.panel = panel
        self.plan = plan
        self.models = models
        self.truth = truth
        self.known = known
        self.scale = scale
        self.exposures: dict[str, Exposure] = {}
        self.spreads: dict[str, Spread] = {}
        self.responses: dict[tuple[str, float, int | None, int], Response] = {}

    def exposure(self, name: str) -> Exposure:
        """Return one model's errors by step."""
        if name not in self.exposures:
            own = self.models[name]
            self.exposures[name] = measure_exposure(
                self.panel, self.plan, own.yhat, own.fitted, own.shown, self.truth, self.known, self.scale
            )
        return self.exposures[name]

    def spread(self, name: str) -> Spread:
        """Return what one model does to small errors."""
        if name not in self.spreads:
            own = self.models[name]
            self.spreads[name] = measure_spread(
                self.panel, self.plan.index, own.fitted, own.shown, self.truth.shape[1], max_windows=_MAPPED_WINDOWS
            )
        return self.spreads[name]

    def response(self, name: str, ratio: float, max_windows: int | None, random_state: int) -> Response:
        """Return one model's errors at one forcing ratio."""
        key = (name, ratio, max_windows, random_state)
        if key not in self.responses:
            own, one_step = self.models[name], self.exposure(name).one_step
            self.responses[key] = measure_response(
                self.panel, self.plan.index, (one_step, own.yhat), own.fitted, own.shown,
                self.truth, self.known, self.scale, ratio, max_windows=max_windows, random_state=random_state,
            )  # fmt: skip
        return self.responses[key]

    def by_step(self, names: Iterable[str]) -> pd.DataFrame:
        """Return the frame of ``BacktestResult.exposure``."""
        columns = ["rmse_closed", "rmse_one_step", "rmse_naive", "gap", "n_windows", "n_left_out"]
        steps = np.arange(1, self.truth.shape[1] + 1)
        tables = []
        for name in names:
            own = {column: getattr(self.exposure(name), column) for column in columns}
            tables.append(pd.DataFrame({"model": name, "horizon": steps, **own}))
        empty = pd.DataFrame(columns=["model", "horizon", *columns])
        return pd.concat(tables, ignore_index=True) if tables else empty

    def summary(self, names: Iterable[str]) -> pd.DataFrame:
        """Return the frame of ``BacktestResult.exposure_summary``."""
        columns = ["model", "drift_horizon", "naive_horizon", "diverged_share", "radius_median", "radius_max", "growth"]
        rows = []
        for name in names:
            e, spread = self.exposure(name), self.spread(name)
            drift, naive = (
                e.first_step(e.rmse_closed > 2 * e.rmse_one_step),
                e.first_step(e.rmse_closed >= e.rmse_naive),
            )
            growth = spread.radius_median, spread.radius_max, spread.growth
            rows.append((name, drift, naive, e.diverged_share, *growth))
        return pd.DataFrame(rows, columns=columns)

    def by_ratio(
        self, names: Iterable[str], ratios: Iterable[float], max_windows: int | None, random_state: int
    ) -> pd.DataFrame:
        """Return the frame of ``BacktestResult.forcing_response``."""
        rows = []
        for name in names:
            for ratio in ratios:
                found = self.response(name, ratio, max_windows, random_state)
                rows.append((name, ratio, found.rmse, found.mae, found.n_windows, found.n_left_out))
        return pd.DataFrame(rows, columns=["model", "forcing_ratio", "rmse", "mae", "n_windows", "n_left_out"])

    def words(self, name: str) -> str:
        """Return one model's figures in plain words."""
        response = {ratio: self.response(name, ratio, MOST_WINDOWS, 0) for ratio in RATIOS}
        mode = getattr(self.models[name].fitted[0], "mode_", None)
        return describe_exposure(name, self.exposure(name), response, self.spread(name), mode=mode)
