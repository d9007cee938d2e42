"""What a backtest found: forecasts beside the truth, and every score made from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.convert import as_pandas_long, in_kind
from tsforce.data.frame import write_forecasts
from tsforce.data.panel import IntArray, Panel
from tsforce.errors import ArgumentError, abbreviate, check_choice
from tsforce.evaluation.exposure import Exposure, measure_exposure
from tsforce.evaluation.windows import Plan
from tsforce.forecasting.base import Forecaster
from tsforce.scoring.metrics import abs_error, has_scale, seasonal_naive_scale, smape_terms, squared_error

__all__ = ["BacktestResult", "Judged"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Judged:
    """One model's forecasts of the windows of a plan.

    Attributes
    ----------
    yhat : (W, H) float64
        Original units; NaN in windows that are not covered.
    covered : (W,) bool
        False where the model left the series out.
    fitted : list of Forecaster
        The clones that made them.
    maker : (W,) int64
        Which clone made each window.
    learnt : (S,) int64 or None
        For refit="never": the last row of each series that was learnt from.
    is_baseline : bool
    """

    yhat: FloatArray
    covered: BoolArray
    fitted: list[Forecaster]
    maker: IntArray
    learnt: IntArray | None
    is_baseline: bool

    def some(self, chosen: BoolArray) -> Judged:
        """Return the forecasts of some windows."""
        return Judged(
            self.yhat[chosen],
            self.covered[chosen],
            self.fitted,
            self.maker[chosen],
            self.learnt,
            self.is_baseline,
        )


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """Closed-loop forecasts of past windows, and their scores.

    Attributes
    ----------
    frame : DataFrame
        unique_id, ds, cutoff, horizon, y, one column per model[, in_sample]; original units, ordered by series, cutoff,
        horizon; rows without truth are left out. Of the kind that the data was; scores are pandas.
    align : "series", "calendar" or "cutoffs"
        How the cutoffs were found.
    horizon, season_length : int
    left_out : list
        Ids without a window, or that a model could not be fitted on.
    notes : tuple of str
        What a reader of the scores should know.
    """

    frame: pd.DataFrame
    align: str
    horizon: int
    season_length: int
    left_out: list[Any]
    notes: tuple[str, ...]
    _panel: Panel = field(repr=False)
    _plan: Plan = field(repr=False)
    _models: dict[str, Judged] = field(repr=False)
    _truth: FloatArray = field(repr=False)
    _known: BoolArray = field(repr=False)
    _scale: FloatArray = field(repr=False)

    @staticmethod
    def build(panel: Panel, plan: Plan, horizon: int, models: dict[str, Judged], season_length: int) -> BacktestResult:
        """Return the result of some models on the windows that all of them cover."""
        columns = panel.columns
        reserved = {columns.id, columns.time, *columns.targets, "cutoff", "horizon", "in_sample"}
        clash = [name for name in models if name in reserved]
        if clash:
            raise ArgumentError(
                f"a model is named {abbreviate(clash)}, as a column of the result; give it another alias=."
            )
        covered = np.logical_and.reduce([judged.covered for judged in models.values()])
        if not covered.all():
            plan = plan.some(covered)
            models = {name: judged.some(covered) for name, judged in models.items()}
        index = plan.index
        if len(index) == 0:
            raise ArgumentError("no window is left: there is none that every model could be fitted for.")
        ahead = index.rows[:, None] + np.arange(1, horizon + 1)
        known = ahead < panel.lengths[index.series][:, None]
        complete = bool(known.all())
        if not complete:
            ahead = np.minimum(ahead, panel.lengths[index.series][:, None] - 1)
        truth = panel.values[panel.indptr[index.series][:, None] + ahead, 0]
        frame = write_forecasts(replace(panel, kind="pandas"), index, truth, columns.targets[0], with_cutoff=True)
        for name, judged in models.items():
            frame[name] = judged.yhat.ravel()
        seen = [judged.learnt for judged in models.values() if judged.learnt is not None]
        if seen:
            frame["in_sample"] = np.logical_or.reduce(
                [ahead <= learnt[index.series][:, None] for learnt in seen]
            ).ravel()
        if not complete:
            frame = frame[known.ravel()].reset_index(drop=True)
        first = plan.first_rows(panel.n_series)
        scale = seasonal_naive_scale(panel.values[:, 0], panel.indptr, season_length, first + 1)
        left_out = [panel.id_list[i] for i in np.flatnonzero(first < 0)]
        notes = _notes(panel, plan, left_out, bool(seen))
        return BacktestResult(
            in_kind(frame, panel.kind),
            plan.align,
            horizon,
            season_length,
            left_out,
            notes,
            panel,
            plan,
            models,
            truth,
            known,
            scale,
        )

    def __repr__(self) -> str:
        lines = [
            f"BacktestResult: {abbreviate(self._models)}, closed loop, horizon {self.horizon}, "
            f"{len(self._plan.index)} windows of {len(np.unique(self._plan.index.series))} series, "
            f"aligned by {self.align}"
        ]
        return "\n".join([*lines, self.scores().to_string(index=False), *self.notes])

    # ---- scores

    def scores(self, by: str | None = None) -> pd.DataFrame:
        """Return one row per model and its scores.

        Columns: model, smape, mase, mae, rmse, n_series, n_windows, season_length[, in_sample], n_left_out.

        Parameters
        ----------
        by : None, "unique_id" or "cutoff"
            Detail: one row per model and series, or per model and cutoff.

        Notes
        -----
        Each score is computed per series (over its windows and steps) and averaged over series. ``n_left_out`` series
        have no MASE scale (the mean absolute seasonal difference up to their first cutoff is 0 or unknown); they count
        in every column but ``mase``.
        """
        if by is not None:
            check_choice("by", by, ("unique_id", "cutoff"))
        index = self._plan.index
        if by == "cutoff":
            ticks, group = np.unique(self._panel.ticks(index.series, index.rows), return_inverse=True)
            keys = {"cutoff": self._panel.clock.stamps(ticks)}
        else:
            series, group = np.unique(index.series, return_inverse=True)
            keys = {self._panel.columns.id: self._panel.ids.take(series)}
        rows = []
        for name in self._models:
            detail = self._grouped(name, group, len(next(iter(keys.values()))))
            if by is None:
                rows.append(self._summary(name, detail))
            else:
                rows.append(pd.DataFrame({"model": name, **keys, **detail}))
        return pd.DataFrame(rows) if by is None else pd.concat(rows, ignore_index=True)

    def _terms(self, name: str) -> dict[str, tuple[FloatArray, BoolArray]]:
        """Return for each metric the error terms of each window and step, and where they count, (W, H) each."""
        yhat, scale = self._models[name].yhat, self._scale[self._plan.index.series][:, None]
        absolute = abs_error(self._truth, yhat)
        usable = has_scale(scale)
        return {
            "smape": (smape_terms(self._truth, yhat), self._known),
            "mase": (absolute / np.where(usable, scale, 1.0), self._known & usable),
            "mae": (absolute, self._known),
            "rmse": (squared_error(self._truth, yhat), self._known),
        }

    def _grouped(self, name: str, group: IntArray, n_groups: int) -> dict[str, Any]:
        """Return the mean of each metric over the windows of each group."""
        means = {}
        for metric, (terms, use) in self._terms(name).items():
            total = np.bincount(group, np.where(use, terms, 0.0).sum(axis=1), minlength=n_groups)
            means[metric] = _ratio(total, np.bincount(group, use.sum(axis=1), minlength=n_groups))
        means["rmse"] = np.sqrt(means["rmse"])
        return {**means, "n_windows": np.bincount(group, minlength=n_groups)}

    def _summary(self, name: str, detail: dict[str, Any]) -> dict[str, Any]:
        """Return the mean over series of what `detail` holds for each."""
        scale = self._scale[np.unique(self._plan.index.series)]
        with_scale = has_scale(scale)
        row: dict[str, Any] = {"model": name}
        for metric in ("smape", "mase", "mae", "rmse"):
            values = detail[metric][with_scale] if metric == "mase" else detail[metric]
            row[metric] = float(values.mean()) if len(values) else np.nan
        row |= {
            "n_series": len(detail["mae"]),
            "n_windows": len(self._plan.index),
            "season_length": self.season_length,
        }
        if "in_sample" in self.frame.columns:
            row["in_sample"] = bool(np.any(self.frame["in_sample"].to_numpy()))
        return row | {"n_left_out": int((~with_scale).sum())}

    def by_horizon(self) -> pd.DataFrame:
        """Return the errors at each step, pooled over windows and series.

        Columns: model, horizon, smape, mase, mae, rmse, n_windows.
        """
        count = self._known.sum(axis=0)
        tables = []
        for name in self._models:
            table: dict[str, Any] = {"model": name, "horizon": np.arange(1, self.horizon + 1)}
            for metric, (terms, use) in self._terms(name).items():
                table[metric] = _ratio(np.where(use, terms, 0.0).sum(axis=0), use.sum(axis=0))
            table["rmse"] = np.sqrt(table["rmse"])
            table["n_windows"] = count
            tables.append(pd.DataFrame(table))
        return pd.concat(tables, ignore_index=True)

    # ---- exposure

    def _exposures(self, baselines: bool) -> dict[str, Exposure]:
        chosen = {name: judged for name, judged in self._models.items() if baselines or not judged.is_baseline}
        return {
            name: measure_exposure(
                self._panel,
                self._plan,
                judged.yhat,
                judged.fitted,
                judged.maker,
                self._truth,
                self._known,
                self._scale,
            )
            for name, judged in chosen.items()
        }

    def exposure(self, *, baselines: bool = False) -> pd.DataFrame:
        """Return model, horizon, rmse_closed, rmse_one_step, rmse_naive, gap, n_windows, n_left_out.

        One-step errors are those of forecasts made one step before the *same targets*, by the clone that made the
        window. Errors are divided by the series' in-sample seasonal-naive scale before pooling over windows and series;
        windows of series without one are left out and counted. gap = rmse_closed / rmse_one_step: compare it between
        modes, not with 1 (even the true model of a noisy series has a gap above 1).

        Parameters
        ----------
        baselines : bool
            Whether to include reference methods.
        """
        steps = np.arange(1, self.horizon + 1)
        tables = [
            pd.DataFrame(
                {
                    "model": name,
                    "horizon": steps,
                    "rmse_closed": e.rmse_closed,
                    "rmse_one_step": e.rmse_one_step,
                    "rmse_naive": e.rmse_naive,
                    "gap": e.gap,
                    "n_windows": e.n_windows,
                    "n_left_out": e.n_left_out,
                }
            )
            for name, e in self._exposures(baselines).items()
        ]
        columns = [
            "model",
            "horizon",
            "rmse_closed",
            "rmse_one_step",
            "rmse_naive",
            "gap",
            "n_windows",
            "n_left_out",
        ]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)

    def exposure_summary(self, *, baselines: bool = False) -> pd.DataFrame:
        """Return model, drift_horizon, naive_horizon, diverged_share.

        drift_horizon: first step where the closed-loop error is above twice the one-step error; naive_horizon: first
        step where it is no better than repeating the last value; "> H" if there is none. diverged_share: share of
        windows with a forecast that is not finite, or further from the series' mean than 10 times its range, both up to
        the first cutoff.
        """
        rows = [
            {
                "model": name,
                "drift_horizon": e.first_step(e.rmse_closed > 2 * e.rmse_one_step),
                "naive_horizon": e.first_step(e.rmse_closed >= e.rmse_naive),
                "diverged_share": e.diverged_share,
            }
            for name, e in self._exposures(baselines).items()
        ]
        return pd.DataFrame(rows, columns=["model", "drift_horizon", "naive_horizon", "diverged_share"])

    # ---- pictures

    def plot(self, kind: str = "horizon", *, series: Any = None, baselines: bool = False, ax: Any = None) -> Any:
        """Return a figure of the errors at each step, or of the forecasts themselves (extra ``plot``).

        Parameters
        ----------
        kind : "horizon" or "windows"
            "horizon": ``exposure()``, closed-loop and one-step errors at each step after the cutoff, repeating the last
            value beside them; MASE at each step where there is nothing but reference methods. "windows": truth and
            forecasts of each window of one series.
        series : optional
            For "windows": the series' id; by default the first.
        baselines : bool
            For "horizon": whether to include reference methods; their one-step errors cost a forecast per row.
        ax : matplotlib Axes, optional

        Raises
        ------
        ArgumentError
            If the kind or the series is not known.
        """
        from tsforce.plotting import plot_backtest, plot_horizon

        if check_choice("kind", kind, ("horizon", "windows")) == "windows":
            columns = self._panel.columns
            return plot_backtest(
                as_pandas_long(self.frame, columns.id, columns.time, columns.targets[0])[0],
                series=series,
                ax=ax,
                id_col=columns.id,
                time_col=columns.time,
                target_col=columns.targets[0],
            )
        if series is not None:
            raise ArgumentError(
                f"series={series!r}: errors at each step are pooled over all series; for one series' forecasts say "
                f"plot(kind='windows', series=...)."
            )
        if not baselines and all(judged.is_baseline for judged in self._models.values()):
            return plot_horizon(self.by_horizon(), ax=ax)
        return plot_horizon(self.exposure(baselines=baselines), ax=ax)


def _ratio(total: Any, count: Any) -> FloatArray:
    """Return ``total / count``, NaN where nothing was counted."""
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _notes(panel: Panel, plan: Plan, left_out: list[Any], in_sample: bool) -> tuple[str, ...]:
    notes = []
    if in_sample:
        notes.append("in sample: the model has learnt from rows that it forecasts here (refit='never').")
    ends = panel.ticks(np.arange(panel.n_series), panel.lengths - 1)
    if plan.align == "series" and len(np.unique(ends)) > 1 and not isinstance(panel.clock.freq, int):
        notes.append(
            "aligned by series with ragged ends: a global model may learn from stamps that lie after another series' "
            "cutoff."
        )
    if left_out:
        notes.append(f"left out: {len(left_out)} series without a window or too short: {abbreviate(left_out)}.")
    return tuple(notes)
