"""NARXForecaster: one-step maps of a target's own past, fitted to a panel and run closed loop."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch

from tsforce.data.frame import resolve_cutoffs, series_frame, write_forecasts
from tsforce.data.panel import IntArray, Panel, WindowIndex
from tsforce.data.transforms import Chain, Difference, check_transforms
from tsforce.data.windows import SeriesStore, check_window_scaling
from tsforce.dynamics.forcing import Forcing, OpenLoop
from tsforce.dynamics.lags import LagLayout
from tsforce.errors import (
    ArgumentError,
    SeriesTooShortError,
    UnseenSeriesError,
    abbreviate,
    check_choice,
)
from tsforce.forecasting.base import Forecaster, check_count
from tsforce.training.closed_loop import Guard, forecast_windows
from tsforce.training.solvers.least_squares import fit_linear
from tsforce.training.solvers.ridge import RIDGES, RidgeChoice, choose_ridge

__all__ = ["NARXForecaster"]

_MODES = ("open_loop",)
_LATER_MODES = ("closed_loop", "curriculum", "auto")


class NARXForecaster(Forecaster):
    """Forecasts from a one-step map of the target's own past, run on its own outputs.

    Parameters
    ----------
    horizon : int
        H, the steps that training looks at and ``predict`` gives by default.
    lags : "auto", int or sequence of int
        An int L means 1..L, a sequence exactly those. "auto" is ``4 * horizon``, at most half the rows of the shortest
        series (scope="global": of the 10 % quantile) after differences, at least 1.
    season_length : int, optional
        Steps of one season; by default what goes with the frequency (h 24, D 7, W 52, M 12, Q 4, else 1).
    freq : "infer", pandas alias or offset, or int
    model : "linear"
    scope : "global" or "local"
        One model for all series, or one per series.
    target_transforms : sequence of Transform
        Applied in order, inverted in reverse, e.g. ``[Log(), Difference(24)]``.
    window_scaling : "auto", None, "mean_abs", "standard" or "last"
        How each window is scaled from its own context. "auto": None for scope="local", "mean_abs" for "global".
    mode : "open_loop" or a Forcing
        How the model is trained. Forecasts are closed loop whatever the mode.
    ridge : "auto" or float
        Penalty on standardised columns, added to X'X. "auto" takes from 1, 10, 30, 100, 300 the one with the lowest
        closed-loop error on the last windows of the training rows, per series for scope="local".
    context_length : int, optional
        Observed steps that window scaling looks at; the largest lag by default.
    short_series : "raise" or "drop"
        What happens to a series with too few rows; dropped ones are listed in ``short_series_``.
    device : "auto" or torch device
        "auto" is the CPU: closed forms are fitted in float64.
    alias : str, optional
        Name of the forecast's column; the class name by default.
    id_col, time_col, target_col : str
        Names of the columns in the long frame.

    Attributes
    ----------
    lags_ : tuple of int
    season_length_, context_length_ : int
    freq_ : str or int
    mode_ : str
        How it was trained.
    ridge_ : DataFrame
        The id column, ``ridge``, ``n_windows`` of validation, and one closed-loop error per candidate (original units).
    model_ : StepModel
    short_series_ : list
        Ids of series that were left out.
    train_end_ : DataFrame
        The id column and ``cutoff``: the last row each series was learnt from.

    Examples
    --------
    >>> from tsforce import NARXForecaster
    >>> from tsforce.datasets import load
    >>> model = NARXForecaster(horizon=12, lags=24, scope="local").fit(load("airpassengers"))
    >>> model.predict().shape
    (12, 4)
    """

    def __init__(
        self,
        horizon: int,
        lags: Any = "auto",
        *,
        season_length: int | None = None,
        freq: Any = "infer",
        model: str = "linear",
        scope: str = "global",
        target_transforms: Any = (),
        window_scaling: str | None = "auto",
        mode: Any = "open_loop",
        ridge: float | str = "auto",
        context_length: int | None = None,
        short_series: str = "raise",
        device: Any = "auto",
        alias: str | None = None,
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: str = "y",
    ) -> None:
        self.horizon = horizon
        self.lags = lags
        self.season_length = season_length
        self.freq = freq
        self.model = model
        self.scope = scope
        self.target_transforms = target_transforms
        self.window_scaling = window_scaling
        self.mode = mode
        self.ridge = ridge
        self.context_length = context_length
        self.short_series = short_series
        self.device = device
        self.alias = alias
        self.id_col = id_col
        self.time_col = time_col
        self.target_col = target_col

    # ---- fit

    def fit(self, df: Any, y: None = None, *, mode: Any = None) -> Self:
        """Learn from a long frame.

        Parameters
        ----------
        df : DataFrame
            Long frame; every row is learnt from.
        y : None
            scikit-learn's slot; the target is a column of `df`.
        mode : str or Forcing, optional
            Wins over the constructor's for this fit and is remembered in ``mode_``.

        Returns
        -------
        NARXForecaster
            Itself.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If a parameter is not accepted.
        FrameError
            With every fault of the frame.
        SeriesTooShortError
            If a series has too few rows and ``short_series="raise"``, or all have.
        """
        self.check_no_y(y)
        self.forget()
        horizon = check_count("horizon", self.horizon)
        check_choice("model", self.model, ("linear",))
        pooled = check_choice("scope", self.scope, ("local", "global")) == "global"
        check_choice("short_series", self.short_series, ("raise", "drop"))
        trained_mode = self._check_mode(self.mode if mode is None else mode)
        ridge = self._check_ridge()
        transforms = check_transforms(self.target_transforms)
        scaling = self.window_scaling
        scaling = ("mean_abs" if pooled else None) if scaling == "auto" else check_window_scaling(scaling)
        device = torch.device("cpu" if self.device == "auto" else self.device)
        panel = self.read(df)
        season_length = self.resolve_season_length(panel)

        lost = sum(t.rows_lost for t in transforms)
        layout = LagLayout(self._resolve_lags(panel, lost, pooled))
        context_length = (
            layout.reach if self.context_length is None else check_count("context_length", self.context_length)
        )
        if context_length < layout.reach:
            raise ArgumentError(
                f"context_length={context_length} is shorter than the largest lag, {layout.reach}; make it at least "
                f"that."
            )
        series = self._long_enough(panel, layout, lost, pooled)
        # A seasonal difference has mean zero already; an intercept there is a drift that the data rarely want.
        intercept = not any(isinstance(t, Difference) and t.lag >= 2 for t in transforms)

        kept = panel if len(series) == panel.n_series else panel.take(series)
        every = np.arange(kept.n_series)
        if ridge is None:
            choice = choose_ridge(
                kept, transforms, scaling, context_length, layout,
                horizon=horizon, season_length=season_length, pooled=pooled, intercept=intercept, device=device,
            )  # fmt: skip
        else:
            nothing = np.full((len(RIDGES), len(every)), np.nan)
            choice = RidgeChoice(np.full(len(every), ridge), np.zeros(len(every), dtype=np.int64), nothing)
        chain = Chain.learn(transforms, kept.values, kept.indptr, kept.lengths)
        store = SeriesStore(kept, chain, scaling, context_length, device)
        penalty: Any = float(choice.ridge[0]) if pooled else torch.from_numpy(choice.ridge).to(device)
        (model,) = fit_linear(store, every, kept.lengths, layout, [penalty], pooled=pooled, intercept=intercept)

        self.lags_ = layout.lags
        self.season_length_ = season_length
        self.context_length_ = context_length
        self.freq_ = panel.clock.freq
        self.mode_ = trained_mode
        self.short_series_ = [panel.id_list[i] for i in np.setdiff1d(np.arange(panel.n_series), series)]
        self.ridge_ = self._ridge_frame(kept, choice)
        self.chain_ = chain
        self.guard_ = Guard.learn(store, every, kept.lengths)
        self.scaling_ = scaling
        self.model_ = model
        self.fitted_ids_ = {name: i for i, name in enumerate(kept.id_list)}
        self.tail_ = kept.windows(kept.last_rows(), length=context_length + lost)
        self.train_end_ = self.last_stamps(kept)
        return self

    @staticmethod
    def _check_mode(mode: Any) -> str:
        if isinstance(mode, Forcing):
            if mode == OpenLoop():
                return "open_loop"
            raise ArgumentError(
                f"mode={mode!r}: this version trains with OpenLoop() only; forecasts are closed loop anyway."
            )
        if mode in _LATER_MODES:
            raise ArgumentError(
                f"mode={mode!r} is not built yet; this version trains with mode='open_loop'. Forecasts, ridge choice "
                f"and backtests are closed loop whatever the mode."
            )
        return check_choice("mode", mode, _MODES)

    def _check_ridge(self) -> float | None:
        """Return the fixed ridge, or None for "auto"."""
        ridge = self.ridge
        if isinstance(ridge, str) and ridge == "auto":
            return None
        if isinstance(ridge, (bool, str)) or not isinstance(ridge, (int, float, np.number)) or not 0 <= ridge < np.inf:
            raise ArgumentError(f"ridge={ridge!r}: expected 'auto' or a number of at least 0.")
        return float(ridge)

    def _resolve_lags(self, panel: Panel, lost: int, pooled: bool) -> tuple[int, ...]:
        lags = self.lags
        if isinstance(lags, str) and lags == "auto":
            rows = float(np.quantile(panel.lengths, 0.1)) if pooled else float(panel.lengths.min())
            return tuple(range(1, max(1, min(4 * int(self.horizon or 1), int(rows - lost) // 2)) + 1))
        wanted = "expected 'auto', a whole number L for 1..L, or a list of distinct whole numbers of at least 1"
        if isinstance(lags, (str, bool, float)) or lags is None:
            raise ArgumentError(f"lags={lags!r}: {wanted}.")
        given = list(range(1, int(lags) + 1)) if isinstance(lags, (int, np.integer)) else list(lags)
        whole = all(isinstance(lag, (int, np.integer)) and not isinstance(lag, bool) and lag >= 1 for lag in given)
        if not given or not whole or len(set(given)) < len(given):
            raise ArgumentError(f"lags={lags!r}: {wanted}.")
        return tuple(sorted(int(lag) for lag in given))

    def _long_enough(self, panel: Panel, layout: LagLayout, lost: int, pooled: bool) -> IntArray:
        """Return the series that can be fitted."""
        # Pooled, a series contributes what rows it has; all that it needs is one value after the differences.
        need = 1 + lost + (0 if pooled else layout.reach)
        enough = panel.lengths >= need
        complete = bool((panel.lengths >= 1 + lost + layout.reach).any())
        if complete and (enough.all() or self.short_series == "drop"):
            return np.flatnonzero(enough)
        short = np.flatnonzero(~enough) if complete else np.arange(panel.n_series)
        least = int(panel.lengths[short].min() if complete else panel.lengths.max())
        wanted = need if complete else 1 + lost + layout.reach
        ways = [f"lower the largest lag ({layout.reach})"]
        if lost:
            ways.append(f"drop a Difference ({lost} rows)")
        if complete:
            ways.append("leave the series out with short_series='drop'")
            if not pooled:
                ways.append('learn one model for all with scope="global"')
        names = abbreviate(panel.id_list[i] for i in short)
        raise SeriesTooShortError(
            f"series {names}: {least} rows, but lags={layout.reach} and {lost} rows of differences need at least "
            f"{wanted}{'' if complete else ' in one series'}. Either {', or '.join(ways)}."
        )

    @staticmethod
    def _ridge_frame(panel: Panel, choice: RidgeChoice) -> Any:
        errors = {f"error_at_{ridge:g}": row for ridge, row in zip(RIDGES, choice.errors, strict=True)}
        return series_frame(panel, {"ridge": choice.ridge, "n_windows": choice.n_windows, **errors})

    # ---- predict

    def predict(self, horizon: int | None = None, *, history: Any = None) -> Any:
        """Return closed-loop forecasts after the last training row of each series, or the last row of `history`.

        Parameters
        ----------
        horizon : int, optional
            H, steps after the cutoff; the constructor's by default. Longer is allowed, with a warning.
        history : DataFrame, optional
            Long frame that replaces the context of known series (nothing is learnt again). A series that was not fitted
            is forecast for scope="global", its transforms learnt from `history`.

        Returns
        -------
        DataFrame
            unique_id, ds, horizon (1..H), <name>; original units, ordered by series, then horizon. ``attrs`` count the
            windows that the roll-out guard clipped and the context values that a transform clamped.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        UnseenSeriesError
            If `history` has a series that was not fitted and scope="local".
        """
        self.check_fitted()
        steps = self.check_horizon(horizon)
        panel = self.tail_ if history is None else self.read(history)
        return self._forecast(panel, panel.last_rows(), steps, with_cutoff=False)

    def predict_at(self, df: Any, cutoffs: Any, horizon: int | None = None) -> Any:
        """Return closed-loop forecasts at many cutoffs of many series at once; nothing is learnt.

        Same parameters, result and numbers as ``Forecaster.predict_at``, all windows side by side.
        """
        self.check_fitted()
        panel, steps = self.read(df), self.check_horizon(horizon)
        return self._forecast(panel, resolve_cutoffs(panel, cutoffs), steps, with_cutoff=True)

    def _forecast(self, panel: Panel, index: WindowIndex, horizon: int, *, with_cutoff: bool) -> Any:
        used = np.unique(index.series)
        known = np.array([self.fitted_ids_.get(panel.id_list[i], -1) for i in used], dtype=np.int64)
        lost = self.chain_.rows_lost
        short = index.series[index.rows < lost]
        if len(short):
            names = abbreviate(dict.fromkeys(panel.id_list[i] for i in short))
            raise SeriesTooShortError(
                f"series {names}: a forecast needs at least {lost + 1} rows up to the cutoff, for the differences; "
                f"give a longer history."
            )
        unseen = used[known < 0]
        if len(unseen) and self.scope == "local":
            raise UnseenSeriesError(
                f"series {abbreviate(panel.id_list[i] for i in unseen)} was not fitted, and scope='local' has one "
                f"model per fitted series. Fit it too, or use scope='global'."
            )
        yhat = np.empty((len(index), horizon))
        counts = {"clipped_windows": 0, "clamped_values": 0}
        fresh = np.isin(index.series, unseen)
        if not fresh.all():
            learnt = np.zeros(panel.n_series, dtype=np.int64)
            learnt[used] = np.maximum(known, 0)
            part = WindowIndex(index.series[~fresh], index.rows[~fresh])
            chain, guard = self.chain_.take(learnt), self.guard_.take(learnt)
            yhat[~fresh] = self._roll(panel, part, horizon, chain, guard, learnt, counts)
        if fresh.any():
            # What an unseen series has to teach its transforms is what it shows up to each cutoff.
            alone = panel.windows(WindowIndex(index.series[fresh], index.rows[fresh]))
            chain = Chain.learn(self.chain_.transforms, alone.values, alone.indptr, alone.lengths)
            yhat[fresh] = self._roll(alone, alone.last_rows(), horizon, chain, None, None, counts)
        return write_forecasts(panel, index, yhat, self.name, with_cutoff=with_cutoff, counts=counts)

    def _roll(
        self,
        panel: Panel,
        index: WindowIndex,
        horizon: int,
        chain: Chain,
        guard: Guard | None,
        learnt: IntArray | None,
        counts: dict[str, int],
    ) -> Any:
        """Return forecasts (W, H), adding to `counts`."""
        store = SeriesStore(panel, chain, self.scaling_, self.context_length_, self.model_.weight.device)
        if guard is None:
            guard = Guard.learn(store, np.arange(panel.n_series), panel.lengths)
        groups = learnt if self.scope == "local" else None
        yhat, clipped = forecast_windows(store, self.model_, guard, index, horizon, groups=groups)
        counts["clipped_windows"] += int(clipped.sum())
        last = panel.indptr[index.series] + index.rows
        first = np.maximum(last + 1 - self.context_length_ - chain.rows_lost, panel.indptr[index.series])
        counts["clamped_values"] += chain.count_clamped(store.stages, panel.indptr, first, last)
        return yhat[:, :, 0]
