"""The contract of a forecaster, and the parts that all of them share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from tsforce.data.frame import (
    cutoff_rows,
    panel_to_frame,
    read_panel,
    resolve_cutoffs,
    series_frame,
    stamps_at,
    write_forecasts,
)
from tsforce.data.frequency import season_length_of
from tsforce.data.panel import Panel, WindowIndex, ragged_rows
from tsforce.errors import ArgumentError, ArgumentTypeError, HorizonWarning, abbreviate, warn
from tsforce.forecasting.arguments import check_columns, check_count
from tsforce.scoring.metrics import has_scale, seasonal_naive_scale

__all__ = ["Forecaster", "read_for"]


class Forecaster(BaseEstimator):
    """Base of every forecaster.

    A subclass implements ``fit`` and ``predict``; that is all it needs to be backtested, compared and combined. It may
    override ``predict_at`` with something faster that gives the same numbers.

    Attributes
    ----------
    train_end_ : DataFrame
        The id column and ``cutoff``: stamp of the last row each series was learnt from.
    """

    horizon: int | None = None
    season_length: int | None = None
    freq: Any = "infer"
    alias: str | None = None
    #: Reference methods are left out of exposure reports by default.
    is_baseline: bool = False
    id_col: str = "unique_id"
    time_col: str = "ds"
    target_col: str = "y"
    past_exog: Any = ()
    future_exog: Any = ()
    static: Any = ()

    # ---- for subclasses to implement

    def fit(self, df: Any, y: None = None, *, mode: Any = None) -> Self:
        """Learn from a long frame and return the forecaster itself."""
        raise NotImplementedError

    def predict(self, horizon: int | None = None, *, future_df: Any = None, history: Any = None) -> Any:
        """Return closed-loop forecasts after the last row of the training frame, or of `history`.

        Parameters
        ----------
        horizon : int, optional
            H, steps after the cutoff; the forecaster's own by default.
        future_df : DataFrame, optional
            Long frame with the ``future_exog`` columns of those steps, for a forecaster that has any.
        history : DataFrame, optional
            Long frame that replaces what the forecaster saw last; nothing is learnt from it.

        Returns
        -------
        DataFrame
            unique_id, ds, horizon (1..H), <name>; original units, ordered by series, then horizon.
        """
        raise NotImplementedError

    # ---- shared

    def predict_at(self, df: Any, cutoffs: Any, horizon: int | None = None) -> Any:
        """Return closed-loop forecasts at many cutoffs of many series; nothing is learnt.

        Parameters
        ----------
        df : DataFrame
            Long frame; rows of the target and of past inputs after a cutoff are not read for it, future inputs are.
        cutoffs : stamps or DataFrame
            Stamps for all series, or a frame with the id column and ``cutoff``.
        horizon : int, optional
            H, steps after each cutoff; the forecaster's own by default.

        Returns
        -------
        DataFrame
            unique_id, ds, cutoff, horizon (1..H), <name>; original units, ordered by series, cutoff, horizon. NaN from
            the first step on whose future inputs `df` does not hold.

        Notes
        -----
        This is the slow twin of every override: a loop over ``predict(history=rows up to the cutoff)``.
        """
        self.check_fitted()
        panel, steps = self.read(df), self.check_horizon(horizon)
        index = resolve_cutoffs(panel, cutoffs)
        yhat = np.full((len(index), steps), np.nan)
        # One call of predict takes at most one cutoff of each series.
        nth = np.arange(len(index)) - np.searchsorted(index.series, index.series)
        # Of future inputs, only steps that the frame holds.
        rest = panel.lengths[index.series] - 1 - index.rows
        able = np.minimum(rest, steps) if panel.columns.future_exog else np.full(len(index), steps)
        for k, ahead in sorted(set(zip(nth.tolist(), able.tolist(), strict=True))):
            if ahead == 0:
                continue
            now = (nth == k) & (able == ahead)
            seen = WindowIndex(index.series[now], index.rows[now])
            given = {}
            if panel.columns.future_exog:
                given = {"future_df": panel_to_frame(panel.windows(WindowIndex(seen.series, seen.rows + ahead)))}
            forecast = self.predict(ahead, history=panel_to_frame(panel.windows(seen)), **given)
            yhat[now, :ahead] = forecast[self.name].to_numpy().reshape(-1, ahead)
        return write_forecasts(panel, index, yhat, self.name, with_cutoff=True)

    def score(self, df: Any, y: None = None) -> float:
        """Return minus the closed-loop error on the rows that follow the training rows; higher is better.

        Parameters
        ----------
        df : DataFrame
            Long frame with rows after those that were learnt from, one right after the other (earlier ones may be there
            too). They are forecast in windows of the horizon, each from the rows before it; future inputs are read from
            the frame. Series that were not fitted, or have no later rows, are left out.
        y : None
            scikit-learn's slot.

        Returns
        -------
        float
            Minus the mean over series of mean ``|y - yhat|`` over the in-sample seasonal-naive scale of the training
            rows; series without a scale are left out.

        Raises
        ------
        ArgumentError
            If no row follows, or rows are missing in between.
        """
        self.check_no_y(y)
        self.check_fitted()
        steps = self.check_horizon(None)
        panel = self.read(df)
        learnt = getattr(self, "tail_", getattr(self, "panel_", None))
        if learnt is not None:
            panel = learnt.followed_by(panel)
        first = cutoff_rows(panel, self.train_end_)
        if learnt is None:
            # A forecaster that keeps no rows of its own is scored on those in the frame.
            panel, first = panel.take(np.flatnonzero(first >= 0)), first[first >= 0]
        counts = np.maximum(-(-(panel.lengths - 1 - first) // steps), 0)
        series = np.repeat(np.arange(panel.n_series), counts)
        rows = first[series] + ragged_rows(np.zeros_like(counts), counts) * steps
        if len(rows) == 0:
            raise ArgumentError("score: df has no row after those that were learnt from, of any fitted series.")
        yhat = self.predict_at(panel, WindowIndex(series, rows))[self.name].to_numpy().reshape(-1, steps)
        ahead = rows[:, None] + np.arange(1, steps + 1)
        known = ahead < panel.lengths[series][:, None]
        truth = panel.values[np.minimum(panel.indptr[series][:, None] + ahead, len(panel.values) - 1), 0]
        error = np.where(known, np.abs(truth - yhat), 0.0).sum(axis=1)
        mean = np.bincount(series, error, panel.n_series) / np.maximum(panel.lengths - 1 - first, 1)
        if hasattr(self, "naive_scale_"):
            scale = np.array([self.naive_scale_[name] for name in panel.id_list])
        else:
            season = self.season_length_for_scores()
            scale = seasonal_naive_scale(panel.values[:, 0], panel.indptr, season, first + 1)
        usable = (counts > 0) & has_scale(scale)
        if not usable.any():
            raise ArgumentError(
                "score: no series has a seasonal-naive scale in its training rows to measure errors by."
            )
        return -float((mean[usable] / scale[usable]).mean())

    @property
    def name(self) -> str:
        """Name of the forecast's column: `alias`, else the class name."""
        return self.alias or type(self).__name__

    def clone_unfitted(self) -> Self:
        """Return a forecaster with the same parameters that has learnt nothing."""
        copy: Self = clone(self)
        return copy

    def depends_on_seed(self, mode: Any = None) -> bool:
        """Return whether a fit in `mode` (the constructor's by default) draws anything from ``random_state``."""
        del mode
        return "random_state" in self.get_params(deep=False)

    def check_fitted(self) -> None:
        """Raise scikit-learn's NotFittedError unless `fit` has succeeded."""
        if not self.is_fitted:
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call fit(df) first.")

    @property
    def is_fitted(self) -> bool:
        """Whether the last call of `fit` succeeded."""
        return hasattr(self, "train_end_")

    def __sklearn_is_fitted__(self) -> bool:
        return self.is_fitted

    def read(self, df: Any, inputs: dict[str, tuple[str, ...]] | None = None) -> Panel:
        """Return the panel of a long frame under this forecaster's column names and frequency.

        Parameters
        ----------
        df : DataFrame
            Or a Panel, from which the inputs are picked.
        inputs : dict, optional
            From `inputs`: the columns to read; this forecaster's own by default.
        """
        freq = getattr(self, "freq_", self.freq)
        return read_panel(
            df,
            id_col=self.id_col,
            time_col=self.time_col,
            target_col=self.target_col,
            freq=freq,
            **(inputs or self.inputs()),
        )

    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Return the input columns this forecaster reads, by kind: those it was fitted with, once it is."""
        fitted = getattr(self, "tail_", None)
        if fitted is not None:
            return {kind: getattr(fitted.columns, kind) for kind in ("past_exog", "future_exog", "static")}
        both = set(check_columns("past_exog", self.past_exog)) & set(check_columns("future_exog", self.future_exog))
        if both:
            raise ArgumentError(f"column {abbreviate(sorted(both, key=str))} is named in past_exog and in future_exog.")
        return {kind: check_columns(kind, getattr(self, kind)) for kind in ("past_exog", "future_exog", "static")}

    def check_horizon(self, horizon: int | None) -> int:
        """Return the horizon to forecast, warning when it goes past the trained one.

        Raises
        ------
        ArgumentError
            If it is not a whole number of at least 1, or neither the call nor the constructor names one.
        """
        if horizon is None:
            if self.horizon is None:
                raise ArgumentError(f"{self.name} has no horizon of its own; say how many steps: predict(horizon=12).")
            return check_count("horizon", self.horizon)
        steps = check_count("horizon", horizon)
        if self.horizon is not None and steps > self.horizon:
            warn(
                f"horizon={steps} goes past the trained horizon of {self.horizon}; errors beyond it were never looked "
                f"at in training.",
                HorizonWarning,
            )
        return steps

    def resolve_season_length(self, panel: Panel) -> int:
        """Return the season length: the argument, else what goes with the frequency."""
        if self.season_length is None:
            return season_length_of(panel.clock.freq)
        return check_count("season_length", self.season_length)

    def season_length_for_scores(self, given: Any = None) -> int:
        """Return the season length of a MASE scale: the one given, else what was fitted with, the parameter, or 1."""
        if given is not None:
            return check_count("season_length", given)
        return getattr(self, "season_length_", None) or self.season_length or 1

    @staticmethod
    def check_no_y(y: Any) -> None:
        """Raise if scikit-learn's y was given.

        Raises
        ------
        ArgumentTypeError
            The target is a column of the frame.
        """
        if y is not None:
            raise ArgumentTypeError(
                f"fit(df, y=...) got a {type(y).__name__}: the target is a column of df. Call fit(df), and name the "
                f"column with target_col=; the training mode is the keyword mode=."
            )

    def forget(self) -> None:
        """Drop everything learnt, so that a failed fit leaves nothing that looks fitted."""
        for attribute in [a for a in vars(self) if a.endswith("_") and not a.startswith("_")]:
            delattr(self, attribute)

    def remember_ends(self, panel: Panel, season_length: int) -> None:
        """Keep what every fit leaves behind: each series' last stamp, and its scale for scores."""
        scale = seasonal_naive_scale(panel.values[:, 0], panel.indptr, season_length, panel.lengths)
        self.naive_scale_ = dict(zip(panel.id_list, scale.tolist(), strict=True))
        self.train_end_ = self.last_stamps(panel)

    @staticmethod
    def last_stamps(panel: Panel) -> Any:
        """Return the id column and ``cutoff``: the stamp of each series' last row."""
        return series_frame(panel, {"cutoff": stamps_at(panel, panel.last_rows())})


def read_for(models: Iterable[Forecaster], df: Any) -> Panel:
    """Return the panel of a long frame with the inputs that any of some forecasters reads; the first names the rest.

    Each forecaster picks its own inputs from it.
    """
    listed = list(models)
    if isinstance(df, Panel):
        return df
    union = {
        kind: tuple(dict.fromkeys(name for model in listed for name in model.inputs()[kind]))
        for kind in ("past_exog", "future_exog", "static")
    }
    return listed[0].read(df, union)
