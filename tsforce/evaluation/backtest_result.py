"""What a backtest found: forecasts beside the truth, and every score made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.convert import in_kind
from tsforce.data.frame import forecast_columns, write_forecasts
from tsforce.data.panel import IntArray, Panel
from tsforce.errors import ArgumentError, abbreviate, check_choice
from tsforce.evaluation.backtest_windows import Plan, truth_after
from tsforce.evaluation.forcing_response import MOST_WINDOWS, RATIOS, Measured
from tsforce.evaluation.judged import Judged
from tsforce.evaluation.looks_of_results import CanBeLookedAt
from tsforce.evaluation.paired import pairs_of, rank, say_winner
from tsforce.evaluation.score_terms import OF_ERRORS, OF_WINDOWS, POOLED, interval_rows, score_terms
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.forced import check_ratio
from tsforce.scoring.metrics import error_scale, has_scale

__all__ = ["BacktestResult"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class BacktestResult(CanBeLookedAt):
    """Closed-loop forecasts of past windows, and their scores.

    Attributes
    ----------
    frame : DataFrame
        unique_id, ds, cutoff, horizon, y, one column per model[, in_sample]; original units, ordered by series, cutoff,
        horizon; of several targets, one column per target, and per model and target (<name>-<target>); with `level`,
        each followed by its bounds (<name>-lo-80, <name>-hi-80). Rows without truth are left out. Of the kind that the
        data was; scores are pandas.
    align : "series", "calendar" or "cutoffs"
        How the cutoffs were found.
    horizon, season_length : int
    left_out : list
        Ids without a window, or that a model could not be fitted on.
    notes : tuple of str
        What a reader of the scores should know.

    Examples
    --------
    >>> from tsforce import Baseline, compare
    >>> from tsforce.datasets import load
    >>> both = [Baseline("naive"), Baseline("seasonal_naive")]
    >>> result = compare(both, load("airpassengers"), horizon=12, n_windows=4)
    >>> result.frame.columns.tolist()
    ['unique_id', 'ds', 'cutoff', 'horizon', 'y', 'naive', 'seasonal_naive']
    >>> result.scores()[["model", "mae", "mase"]].round(2).to_numpy().tolist()
    [['naive', 70.77, 2.42], ['seasonal_naive', 36.98, 1.27]]
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
    _kept: list[Measured] = field(default_factory=list, repr=False, init=False)

    @staticmethod
    def build(panel: Panel, plan: Plan, horizon: int, models: dict[str, Judged], season_length: int) -> BacktestResult:
        """Return the result of some models on the windows that all of them cover."""
        columns = panel.columns
        reserved = {columns.id, columns.time, *columns.targets, "cutoff", "horizon", "in_sample"}
        written = {name: forecast_columns(name, columns.targets) for name in models}
        clash = [name for name, own in written.items() if reserved & set(own)]
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
        truth, known = truth_after(panel, index, horizon)
        # A row in which a target is missing is scored for none.
        known = known & ~np.isnan(truth).any(axis=2)
        complete = bool(known.all())
        frame = write_forecasts(replace(panel, kind="pandas"), index, truth, "", with_cutoff=True)
        frame.columns = [*frame.columns[: -len(columns.targets)], *columns.targets]
        for name, judged in models.items():
            for column, values in judged.columns(written[name]).items():
                if column in frame.columns:
                    raise ArgumentError(
                        f"two columns of the result are named {column!r}, one of them of bounds; give the models "
                        f"another alias=."
                    )
                frame[column] = values
        seen = [judged.learnt for judged in models.values() if judged.learnt is not None]
        if seen:
            ahead = index.rows[:, None] + np.arange(1, horizon + 1)
            frame["in_sample"] = np.logical_or.reduce(
                [ahead <= learnt[index.series][:, None] for learnt in seen]
            ).ravel()
        if not complete:
            frame = frame[known.ravel()].reset_index(drop=True)
        first = plan.first_rows(panel.n_series)
        scale = error_scale(panel.values, panel.indptr, season_length, first + 1)
        left_out = [panel.id_list[i] for i in np.flatnonzero(first < 0)]
        notes = _notes(panel, plan, left_out, bool(seen), season_length)
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

    # ---- scores

    def scores(self, by: str | None = None) -> pd.DataFrame:
        """Return one row per model and its scores.

        Columns: model, smape, mase, mae, rmse, n_series, n_windows, season_length[, in_sample], n_left_out; and after
        rmse, lower being better but for coverage:

        with `level`, of each, where there are bounds: coverage-80 (the share of truths within them), width-80 (original
        units), msis-80 (mean scaled interval score: width and (2 / .2) times the distance of a truth outside, over the
        seasonal-naive scale), pinball-80 (mean pinball loss of both bounds, as quantiles; original units);

        with `n_paths`, where there are paths: crps (by the fair estimator; original units, to be compared with mae),
        crps_plain (by the plain one, which fewer paths make larger), crps_scaled (over the seasonal-naive scale), wql
        (weighted quantile loss over the nine deciles, one figure over all series, as DeepAR and GluonTS report), energy
        (energy score of whole horizons, fair, over the seasonal-naive scale).

        Parameters
        ----------
        by : None, "unique_id", "cutoff" or "target"
            Detail: one row per model and series, per model and cutoff, or per model and target (the columns that
            ``target_col`` names).

        Notes
        -----
        Each score is computed per series (over its windows, steps and targets) and averaged over series. ``n_left_out``
        series have no MASE scale (the mean absolute seasonal difference up to their first cutoff is 0); they count in
        every column but ``mase``. Of a series with no more rows than a season, the scale is the mean change from row to
        row, and the notes say so.

        Examples
        --------
        >>> from tsforce import Baseline, compare
        >>> from tsforce.datasets import load
        >>> both = [Baseline("naive"), Baseline("seasonal_naive")]
        >>> result = compare(both, load("airpassengers"), horizon=3, n_windows=4)
        >>> result.scores(by="cutoff")[["model", "mae"]].round(1).tail(2).to_numpy().tolist()
        [['seasonal_naive', 55.3], ['seasonal_naive', 36.3]]
        """
        if by is not None:
            check_choice("by", by, ("unique_id", "cutoff", "target"))
        if by == "target":
            tables = [self._only(channel).scores() for channel in range(self._panel.n_channels)]
            for table, target in zip(tables, self._panel.columns.targets, strict=True):
                table.insert(1, "target", target)
            return pd.concat(tables, ignore_index=True)
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

    def _only(self, channel: int) -> BacktestResult:
        """Return the result of one target of several."""
        one = slice(channel, channel + 1)
        models = {name: judged.of_channel(channel) for name, judged in self._models.items()}
        return replace(self, _models=models, _truth=self._truth[:, :, one], _scale=self._scale[:, one])

    def _terms(self, name: str) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Return for each metric its terms and their weights at each window and step, (W, H, C) each."""
        scale = self._scale[self._plan.index.series]
        return score_terms(self._models[name], self._truth, self._known, scale)

    def _grouped(self, name: str, group: IntArray, n_groups: int) -> dict[str, Any]:
        """Return the mean of each metric over the windows of each group."""
        means = {}
        for metric, sides in self._terms(name).items():
            means[metric] = _ratio(*(np.bincount(group, part.sum(axis=(1, 2)), n_groups) for part in sides))
        means["rmse"] = np.sqrt(means["rmse"])
        return {**means, "n_windows": np.bincount(group, minlength=n_groups)}

    def _summary(self, name: str, detail: dict[str, Any]) -> dict[str, Any]:
        """Return the mean over series of what `detail` holds for each."""
        scale = self._scale[np.unique(self._plan.index.series)]
        with_scale = has_scale(scale).any(axis=1)
        row: dict[str, Any] = {"model": name}
        for metric in [metric for metric in detail if metric != "n_windows"]:
            values = detail[metric][with_scale] if metric == "mase" else detail[metric]
            if metric not in OF_ERRORS:
                # Intervals and paths are judged where there are any.
                values = values[~np.isnan(values)]
            if metric in POOLED:
                terms, weight = self._terms(name)[metric]
                values = np.atleast_1d(_ratio(terms.sum(), weight.sum()))
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

        Columns: model, horizon, smape, mase, mae, rmse, n_windows; with `level` and `n_paths` those of `scores` too,
        but for the energy score, which is of whole horizons.
        """
        count = self._known.sum(axis=0)
        tables = []
        for name in self._models:
            table: dict[str, Any] = {"model": name, "horizon": np.arange(1, self.horizon + 1)}
            for metric, (terms, weight) in self._terms(name).items():
                if metric not in OF_WINDOWS:
                    table[metric] = _ratio(terms.sum(axis=(0, 2)), weight.sum(axis=(0, 2)))
            table["rmse"] = np.sqrt(table["rmse"])
            table["n_windows"] = count
            tables.append(pd.DataFrame(table))
        return pd.concat(tables, ignore_index=True)

    def intervals(self) -> pd.DataFrame:
        """Return how often bounds hold, pooled over windows and series: one row per model and level; needs `level`.

        Columns: model, level, coverage, first_third, second_third, last_third (coverage in thirds of the horizon),
        width, msis, as in `scores`.

        Examples
        --------
        >>> from tsforce import Baseline, compare
        >>> from tsforce.datasets import load
        >>> both = [Baseline("naive"), Baseline("seasonal_naive")]
        >>> result = compare(both, load("airpassengers"), horizon=3, n_windows=4, level=80)
        >>> result.intervals()[["model", "level", "coverage"]].round(2).to_numpy().tolist()
        [['naive', 80.0, 0.75], ['seasonal_naive', 80.0, 0.83]]
        """
        rows = [row for name in self._models for row in interval_rows(name, self._terms(name))]
        if not rows:
            raise ArgumentError("no intervals were judged; ask for them: backtest(..., level=[80, 95]).")
        return pd.DataFrame(rows)

    def pit(self, bins: int = 10) -> pd.DataFrame:
        """Return how the truths lie among the sample paths: model, low, high, share, n; needs `n_paths`.

        Each truth has a place among its window's paths, from 0, below all, to 1: its probability integral transform.
        `share` is that of the `n` places between low and high. Each is 1 / bins if paths spread as truths do; the first
        and the last are larger if paths are too close together, smaller if they are too far apart.

        Raises
        ------
        ArgumentError
            If no paths were drawn.
        """
        edges = np.linspace(0.0, 1.0, check_count("bins", bins) + 1)
        tables = []
        for name, judged in self._models.items():
            if judged.drawn is None:
                raise ArgumentError("no sample paths were drawn; ask for them: backtest(..., n_paths=200).")
            place = judged.drawn.pit[~np.isnan(judged.drawn.pit)]
            count, n = np.histogram(place, edges)[0], len(place)
            share = _ratio(count, np.full(bins, n))
            tables.append(pd.DataFrame({"model": name, "low": edges[:-1], "high": edges[1:], "share": share, "n": n}))
        return pd.concat(tables, ignore_index=True)

    # ---- who is best

    def ranking(self, metric: str = "mase") -> pd.DataFrame:
        """Return the models, lowest error first, and whether each differs from the first by more than chance.

        Columns: model, the metric, and those of the paired test against the first model: median_difference (this model
        minus the first), low, high (95 % interval of the typical difference, each model by itself: Hodges & Lehmann),
        share_better, p, p_holm (Wilcoxon's signed-rank test, two-sided; Holm 1979).

        Parameters
        ----------
        metric : str
            "mase", "smape", "mae", "rmse", or what `scores` has of intervals and paths that lower is better of: "crps",
            "wql", "msis-80" ...

        Notes
        -----
        Pairs are series, if there are 6 or more; else windows, of which those are left out that overlap with a later
        one of their series. Windows of one series are not independent altogether: take a p close to .05 for none.

        Examples
        --------
        >>> from tsforce import Baseline, compare
        >>> from tsforce.datasets import load
        >>> both = [Baseline("naive"), Baseline("seasonal_naive")]
        >>> result = compare(both, load("airpassengers"), horizon=12, n_windows=8)
        >>> result.ranking()[["model", "share_better"]].to_numpy().tolist()
        [['seasonal_naive', 0.0], ['naive', 0.0]]
        """
        others = [name for name in self._terms(next(iter(self._models))) if not name.startswith(("coverage", "width"))]
        check_choice("metric", metric, tuple(dict.fromkeys(["mase", *others])))
        pairs = pairs_of(self._plan.index, self.horizon)
        count = int(pairs.group.max()) + 1
        errors = {name: self._grouped(name, pairs.group, count)[metric][pairs.chosen] for name in self._models}
        return rank(self.scores().set_index("model")[metric], errors, metric)

    @property
    def verdict(self) -> str:
        """Which model has the lowest MASE (MAE where there is none), and whether that is more than chance, in words."""
        metric = "mase" if self.scores()["mase"].notna().any() else "mae"
        pairs = pairs_of(self._plan.index, self.horizon)
        return say_winner(self.ranking(metric), metric, len(pairs.chosen), pairs.what)

    # ---- exposure

    def _chosen(self, baselines: bool) -> list[str]:
        return [name for name, judged in self._models.items() if baselines or not judged.is_baseline]

    @property
    def _measured(self) -> Measured:
        """Exposure costs forecasts: what was measured is kept."""
        if not self._kept:
            self._kept.append(Measured(self._panel, self._plan, self._models, self._truth, self._known, self._scale))
        return self._kept[0]

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

        Examples
        --------
        >>> from tsforce import Baseline, compare
        >>> from tsforce.datasets import load
        >>> both = [Baseline("naive"), Baseline("seasonal_naive")]
        >>> result = compare(both, load("airpassengers"), horizon=3, n_windows=4)
        >>> table = result.exposure(baselines=True)
        >>> table[["model", "horizon", "rmse_closed", "rmse_one_step"]].head(3).round(2).to_numpy().tolist()
        [['naive', 1, 1.78, 1.78], ['naive', 2, 2.43, 1.28], ['naive', 3, 2.33, 2.08]]
        """
        return self._measured.by_step(self._chosen(baselines))

    def exposure_summary(self, *, baselines: bool = False) -> pd.DataFrame:
        """Return model, drift_horizon, naive_horizon, diverged_share, radius_median, radius_max, growth.

        drift_horizon: first step where the closed-loop error is above twice the one-step error; naive_horizon: first
        step where it is no better than repeating the last value; "> H" if there is none up to H, the last step that was
        measured, and "not measured" where no window has a scale. diverged_share: share of windows with a forecast that
        is not finite, or 10 times the series' range outside it, wild values aside, as the rows up to the first cutoff
        show it. radius_median, radius_max: spectral radius of the one-step map along the closed-loop forecasts, over
        steps and windows; growth: mean log growth per step of a small error in what is fed, the median
        over windows (``Forecaster.companion_at`` says more); above 0 errors grow. NaN for what is no step model with a
        gradient. They are taken of at most 100 windows, spread evenly, and cost a few seconds at most per model.
        """
        return self._measured.summary(self._chosen(baselines))

    def forcing_response(
        self,
        ratios: Sequence[float] = RATIOS,
        *,
        baselines: bool = False,
        max_windows: int | None = MOST_WINDOWS,
        random_state: int = 0,
    ) -> pd.DataFrame:
        """Return model, forcing_ratio, rmse, mae, n_windows, n_left_out: the error when some truth comes in on the way.

        Ratio 1 is one step ahead, 0 closed loop, as in `exposure`; between them each observed target after the cutoff
        is fed back with that probability (``Forecaster.predict_forced``). Errors in units of the series' in-sample
        seasonal-naive scale, pooled over windows, steps, series and targets; windows of series without one are left out
        and counted.

        Parameters
        ----------
        ratios : sequence of float
            Shares of observed targets fed back, in [0, 1].
        baselines : bool
            Whether to include reference methods.
        max_windows : int, optional
            Look at so many windows at most, spread evenly; None: at all. A ratio between 0 and 1 costs up to half the
            horizon's steps in forecasts of all of them.
        random_state : int
            Which targets are fed is drawn by it.

        Examples
        --------
        >>> from tsforce import Baseline, backtest
        >>> from tsforce.datasets import load
        >>> result = backtest(Baseline("naive"), load("airpassengers"), horizon=6, n_windows=4)
        >>> result.forcing_response((1, 0), baselines=True)["rmse"].round(2).tolist()
        [1.81, 2.71]
        """
        listed = [check_ratio(ratio) for ratio in ratios]
        if max_windows is not None:
            max_windows = check_count("max_windows", max_windows, other="None")
        random_state = check_count("random_state", random_state, least=0)
        return self._measured.by_ratio(self._chosen(baselines), listed, max_windows, random_state)

    def exposure_report(self, *, baselines: bool = False) -> str:
        """Return what all figures of exposure say, in plain words: a paragraph for each model.

        Costs what `exposure`, `exposure_summary` and `forcing_response` cost; none of it is computed twice.

        Examples
        --------
        >>> from tsforce import Baseline, backtest
        >>> from tsforce.datasets import load
        >>> result = backtest(Baseline("naive"), load("airpassengers"), horizon=6, n_windows=4)
        >>> print(result.exposure_report(baselines=True))
        naive: at step 1 and 6 its closed-loop error is 2.072 and 3.921 in units of the seasonal-naive scale; ...
        """
        return "\n\n".join(self._measured.words(name) for name in self._chosen(baselines))


def _ratio(total: Any, count: Any) -> FloatArray:
    """Return ``total / count``, NaN where nothing was counted."""
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _notes(panel: Panel, plan: Plan, left_out: list[Any], in_sample: bool, season_length: int) -> tuple[str, ...]:
    notes = list(plan.notes)
    if in_sample:
        notes.append("in sample: the model has learnt from rows that it forecasts here (refit='never').")
    ends = panel.ticks(np.arange(panel.n_series), panel.lengths - 1)
    if plan.align == "series" and len(np.unique(ends)) > 1 and not isinstance(panel.clock.freq, int):
        notes.append(
            "aligned by series with ragged ends: a global model may learn from stamps that lie after another series' "
            "cutoff."
        )
    first = plan.first_rows(panel.n_series)
    short = int(((first > 0) & (first < season_length)).sum())
    if short:
        notes.append(
            f"scale of {short} series: no more than season_length={season_length} rows up to the first cutoff, so that "
            f"MASE and exposure measure their errors by the mean change from row to row."
        )
    if left_out:
        notes.append(f"left out: {len(left_out)} series without a window or too short: {abbreviate(left_out)}.")
    return tuple(notes)
