"""The contract of a forecaster, and the parts that all of them share."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone

from tsforce.data.frame import (
    cutoff_rows,
    panel_to_frame,
    read_panel,
    resolve_cutoffs,
    write_forecasts,
)
from tsforce.data.panel import FloatArray, Panel, WindowIndex, ragged_rows
from tsforce.errors import (
    ArgumentError,
    FrameError,
    HorizonWarning,
    abbreviate,
    check_choice,
    warn,
)
from tsforce.forecasting.arguments import check_columns, check_count
from tsforce.forecasting.by_partition import fits_partitions, predicts_partitions
from tsforce.forecasting.error_paths import ErrorPaths
from tsforce.forecasting.exportable import CanExport
from tsforce.forecasting.feedback import SeesFeedback
from tsforce.forecasting.in_notebooks import InNotebooks
from tsforce.forecasting.intervals import bounds_at, check_levels
from tsforce.forecasting.parts import (
    INPUT_KINDS,
    check_fitted,
    check_no_y,
    horizon_of,
    own_horizon,
    score_season_length,
    values_of,
)
from tsforce.forecasting.reported import HasReport
from tsforce.forecasting.saving import MOST_SHOWN, CanBeSaved, shown_series, with_inputs_ahead
from tsforce.forecasting.with_level import with_level
from tsforce.scoring.metrics import error_scale, mean_in_scales, sum_by

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Forecaster"]


class Forecaster(InNotebooks, HasReport, CanBeSaved, CanExport, ErrorPaths, SeesFeedback, BaseEstimator):
    """Base of every forecaster.

    A subclass implements ``fit`` and ``predict``; that is all it needs to be backtested, compared and combined. It may
    override ``predict_at`` with something faster that gives the same numbers.

    Attributes
    ----------
    train_end_ : DataFrame
        The id column and ``cutoff``: stamp of the last row each series was learnt from.

    Examples
    --------
    >>> import numpy as np
    >>> from tsforce import Baseline, Forecaster, compare
    >>> from tsforce.datasets import load
    >>> from tsforce.forecasting.parts import begin_fit, end_fit, horizon_of, season_length_for
    >>> class MeanOfLast(Forecaster):
    ...     def __init__(self, horizon=None, *, count=12, alias=None):
    ...         self.horizon, self.count, self.alias = horizon, count, alias
    ...     def fit(self, df, y=None, *, mode=None):
    ...         begin_fit(self, y)
    ...         self._panel_ = self.read(df)
    ...         end_fit(self, self._panel_, season_length_for(self, self._panel_))
    ...         return self
    ...     def predict(self, horizon=None, *, future_df=None, history=None):
    ...         panel = self._panel_ if history is None else self.read(history)
    ...         each = [rows[-self.count :].mean() for rows in np.split(panel.values[:, 0], panel.indptr[1:-1])]
    ...         return self.write(panel, np.tile(each, (horizon_of(self, horizon), 1)).T)
    >>> result = compare([MeanOfLast(), Baseline("seasonal_naive")], load("airpassengers"), horizon=12, n_windows=4)
    >>> result.scores()[["model", "mase"]].round(2).to_numpy().tolist()
    [['MeanOfLast', 1.91], ['seasonal_naive', 1.27]]
    """

    horizon: int | None = None
    season_length: int | None = None
    freq: Any = "infer"
    alias: str | None = None
    #: Reference methods are left out of exposure reports by default.
    is_baseline: bool = False
    id_col: str = "unique_id"
    time_col: str = "ds"
    target_col: Any = "y"
    #: What happens to missing values (NaN) between observed ones: "raise", or "own_output".
    missing: str = "raise"
    past_exog: Any = ()
    future_exog: Any = ()
    static: Any = ()
    # What each fit leaves behind, for type checkers.
    train_end_: pd.DataFrame
    freq_: str
    season_length_: int

    # ---- for subclasses to implement

    def fit(self, df: Any, y: None = None, *, mode: Any = None) -> Self:
        """Learn from a long frame and return the forecaster itself."""
        raise NotImplementedError

    def predict(
        self, horizon: int | None = None, *, future_df: Any = None, history: Any = None, level: Any = None
    ) -> Any:
        """Return closed-loop forecasts after the last row of the training frame, or of `history`.

        A subclass need not take `level`: its forecasts get their bounds all the same.

        Parameters
        ----------
        horizon : int, optional
            H, steps after the cutoff; the forecaster's own by default, or one season if it has none.
        future_df : DataFrame, optional
            Long frame with the ``future_exog`` columns of those steps, for a forecaster that has any.
        history : DataFrame, optional
            Long frame that replaces what the forecaster saw last; nothing is learnt from it. Stamps with a zone are
            read, and forecast, in the zone of training.
        level : float, sequence of float or Intervals, optional
            Levels of prediction intervals in percent, such as ``[80, 95]``: bounds that the truth of each step lies
            within that often (docs: Intervals). The first time costs fits of clones on fewer rows.

        Returns
        -------
        DataFrame
            unique_id, ds, horizon (1..H), <name>; original units, ordered by series, then horizon. Of several targets
            there is a column for each, <name>-<target>. After each, the bounds of every level, <name>-lo-80,
            <name>-hi-80; ``attrs["intervals"]`` says what they were taken from.

        Warns
        -----
        IntervalWarning
            If past errors are too few for a level: its bounds are NaN.

        Examples
        --------
        >>> from tsforce import Baseline
        >>> from tsforce.datasets import load
        >>> model = Baseline("drift", horizon=2).fit(load("airpassengers"))
        >>> model.predict(level=80).columns.tolist()
        ['unique_id', 'ds', 'horizon', 'drift', 'drift-lo-80', 'drift-hi-80']
        """
        raise NotImplementedError

    # ---- shared

    def predict_at(self, df: Any, cutoffs: Any, horizon: int | None = None, *, level: Any = None) -> Any:
        """Return closed-loop forecasts at many cutoffs of many series; nothing is learnt.

        Parameters
        ----------
        df : DataFrame
            Long frame; rows of the target and of past inputs after a cutoff are not read for it, future inputs are.
        cutoffs : stamps or DataFrame
            Stamps for all series, or a frame with the id column and ``cutoff``.
        horizon : int, optional
            H, steps after each cutoff; the forecaster's own by default.
        level : float, sequence of float or Intervals, optional
            As in ``predict``: bounds from errors within the rows that were learnt from, the same at all cutoffs.

        Returns
        -------
        DataFrame
            unique_id, ds, cutoff, horizon (1..H), <name>; original units, ordered by series, cutoff, horizon. NaN from
            the first step on whose future inputs `df` does not hold. Bounds as from ``predict``.

        Notes
        -----
        This is the slow twin of every override: a loop over ``predict(history=rows up to the cutoff)``.

        Examples
        --------
        >>> from tsforce import Baseline
        >>> from tsforce.datasets import load
        >>> df = load("airpassengers")
        >>> model = Baseline("naive", horizon=2).fit(df)
        >>> found = model.predict_at(df, ["1959-12-01", "1960-06-01"])
        >>> found["cutoff"].dt.year.tolist(), found["horizon"].tolist(), found["naive"].tolist()
        ([1959, 1959, 1960, 1960], [1, 2, 1, 2], [405.0, 405.0, 535.0, 535.0])
        """
        check_fitted(self)
        levels = check_levels(level)
        panel, steps = self.read(df), horizon_of(self, horizon)
        index = resolve_cutoffs(panel, cutoffs)
        yhat = np.full((len(index), steps, panel.n_channels), np.nan)
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
            yhat[now, :ahead] = values_of(self, forecast, ahead)
        bounds = None if levels is None else bounds_at(self, panel, index, yhat, levels, panel)
        return write_forecasts(panel, index, yhat, self.name, with_cutoff=True, bounds=bounds)

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
            rows, and over targets; series without a scale are left out.

        Raises
        ------
        ArgumentError
            If no row follows, or rows are missing in between.
        """
        check_no_y(y)
        check_fitted(self)
        steps = horizon_of(self)
        panel = self.read(df)
        learnt = getattr(self, "_rows_", None)
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
        yhat = values_of(self, self.predict_at(panel, WindowIndex(series, rows)), steps)
        ahead = rows[:, None] + np.arange(1, steps + 1)
        truth = panel.values[np.minimum(panel.indptr[series][:, None] + ahead, len(panel.values) - 1)]
        known = (ahead < panel.lengths[series][:, None])[:, :, None] & ~np.isnan(truth)
        error = np.where(known, np.abs(truth - yhat), 0.0).sum(axis=1)
        total, count = (sum_by(series, part, panel.n_series) for part in (error, known.sum(axis=1)))
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        if hasattr(self, "_naive_scale_"):
            scale = np.array([self._naive_scale_[name] for name in panel.id_list])
        else:
            season = score_season_length(self)
            scale = error_scale(panel.values, panel.indptr, season, first + 1)
        relative = mean_in_scales(mean, scale)
        if np.isnan(relative).all():
            raise ArgumentError(
                "score: no series has a seasonal-naive scale in its training rows to measure errors by."
            )
        return -float(relative[~np.isnan(relative)].mean())

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

    @property
    def is_fitted(self) -> bool:
        """Whether the last call of `fit` succeeded."""
        return hasattr(self, "train_end_") or hasattr(self, "partitions_")

    def __sklearn_is_fitted__(self) -> bool:
        return self.is_fitted

    # ---- frames

    def read(self, df: Any) -> Panel:
        """Return the panel of a long frame under this forecaster's column names and frequency.

        Parameters
        ----------
        df : DataFrame
            What users hand over; or a Panel, from which this forecaster's inputs are picked.

        Returns
        -------
        Panel
            All series as flat arrays, series i being rows ``indptr[i]`` to ``indptr[i + 1]`` of ``values`` (N, targets)
            and ``inputs`` (N, input columns), original units.

        Raises
        ------
        FrameError
            With every fault of the frame.

        Examples
        --------
        >>> from tsforce import Baseline
        >>> from tsforce.datasets import load
        >>> panel = Baseline("naive").read(load("airpassengers"))
        >>> panel.n_series, panel.lengths.tolist(), panel.values[-1].tolist()
        (1, [144], [432.0])
        """
        return self._read(df, self._inputs())

    def write(self, panel: Panel, yhat: Any, *, cutoffs: Any = None) -> Any:
        """Return the frame of some forecasts, in the columns and of the kind that the user's frame has.

        Parameters
        ----------
        panel : Panel
            From `read`; its series and stamps are written.
        yhat : array_like, (W, H) or of several targets (W, H, C)
            Forecasts of the H steps after each window's cutoff, original units. Windows are the panel's series in
            order, each after its last row; or those of `cutoffs`.
        cutoffs : stamps or DataFrame, optional
            As in ``predict_at``: windows by series, then cutoff, and the frame has the column ``cutoff``.

        Returns
        -------
        DataFrame
            As from ``predict``, or ``predict_at``.

        Raises
        ------
        ArgumentError
            If the array is of another shape.

        Examples
        --------
        >>> from tsforce import Baseline
        >>> from tsforce.datasets import load
        >>> model = Baseline("naive", alias="mine")
        >>> print(model.write(model.read(load("airpassengers")), [[440.0, 430.0]]).to_string(index=False))
            unique_id         ds  horizon  mine
        airpassengers 1961-01-01        1 440.0
        airpassengers 1961-02-01        2 430.0
        """
        index = panel.last_rows() if cutoffs is None else resolve_cutoffs(panel, cutoffs)
        values, n_windows = np.asarray(yhat), len(index)
        if values.ndim == 2 and panel.n_channels == 1:
            values = values[:, :, None]
        if values.ndim != 3 or values.shape[::2] != (n_windows, panel.n_channels) or values.shape[1] == 0:
            expected = "(windows, steps)" if panel.n_channels == 1 else "(windows, steps, targets)"
            raise ArgumentError(
                f"yhat has the shape {np.shape(yhat)}; expected {expected}: {n_windows} windows"
                + (f", {panel.n_channels} targets." if panel.n_channels > 1 else ", at least 1 step.")
            )
        return write_forecasts(panel, index, values, self.name, with_cutoff=cutoffs is not None)

    # ---- what parts.py asks, and a subclass may answer in its own way

    #: Whether `predict_at` takes a Panel that holds a series more than once: many windows of it at once.
    _takes_copies: bool = False
    #: Whether each series is learnt from its own rows alone, whatever others there are.
    _series_apart: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls).get("predict")
        if own is not None:
            own = own if "level" in inspect.signature(own).parameters else with_level(own)
            cls.predict = predicts_partitions(own)  # type: ignore[method-assign]
        own = vars(cls).get("fit")
        if own is not None:
            cls.fit = fits_partitions(own)  # type: ignore[method-assign]

    def _numbers(self, panel: Panel, index: WindowIndex, horizon: int) -> FloatArray:
        """Return the numbers of `predict_at`, (W, H, C), original units."""
        return values_of(self, self.predict_at(panel, index, horizon), horizon)

    def _shown(self) -> FloatArray:
        rows = getattr(self, "_rows_", None)
        if rows is None:
            return np.empty(0)
        panel, steps = shown_series(rows), min(own_horizon(self) or self.season_length_, MOST_SHOWN)
        yhat = self._numbers(with_inputs_ahead(panel, steps), panel.last_rows(), steps)
        return values_of(self, self.write(panel, yhat), steps)

    def _refitted(self, panel: Panel, before: Forecaster | None = None) -> Forecaster:
        """Return a forecaster like this fitted one that has learnt from other rows, series without enough left out.

        What `before` has settled stays, which this method returned for fewer rows of the same series.
        """
        copy = self.clone_unfitted()
        if "short_series" in copy.get_params(deep=False):
            copy.set_params(short_series="drop")
        mode = getattr(self, "mode_", None)
        settled = None if before is None else before._settled()
        return copy.fit(panel, mode=mode) if settled is None else copy._fit_on(panel, mode, settled)

    def _settled(self) -> Any:
        """Return what a fit on nearly all rows of the same series has settled for one on all; None: nothing."""
        return None

    def _fit_on(self, panel: Panel, mode: Any, settled: Any) -> Self:
        """Learn from all rows; `settled` is what a forecaster like this one returned for nearly all of them."""
        del settled
        return self.fit(panel, mode=mode)

    def _read(self, df: Any, inputs: dict[str, tuple[str, ...]]) -> Panel:
        """Return the panel of a long frame with the named inputs, which may be more than this forecaster's own."""
        if isinstance(df, Panel):
            return df.select(**inputs)
        freq = getattr(self, "freq_", self.freq)
        return read_panel(
            df,
            id_col=self.id_col,
            time_col=self.time_col,
            target_col=self._targets(),
            freq=freq,
            missing_allowed=self._takes_missing,
            learnt=self.train_end_["cutoff"].dtype if hasattr(self, "train_end_") else None,
            **inputs,
        )

    def _targets(self) -> tuple[str, ...]:
        names = check_columns("target_col", self.target_col)
        if not names:
            raise ArgumentError(f"target_col={self.target_col!r}: expected the name of a column, or a list of names.")
        return names

    def _inputs(self) -> dict[str, tuple[str, ...]]:
        """Return the input columns this forecaster reads, by kind: those it was fitted with, once it is."""
        fitted = getattr(self, "_rows_", None)
        if fitted is not None:
            return {kind: getattr(fitted.columns, kind) for kind in INPUT_KINDS}
        both = set(check_columns("past_exog", self.past_exog)) & set(check_columns("future_exog", self.future_exog))
        if both:
            raise ArgumentError(f"column {abbreviate(sorted(both, key=str))} is named in past_exog and in future_exog.")
        return {kind: check_columns(kind, getattr(self, kind)) for kind in INPUT_KINDS}

    def _readers(self) -> list[Forecaster]:
        """Return the forecasters whose arguments say how a frame is read."""
        return [self]

    @property
    def _takes_missing(self) -> bool:
        return check_choice("missing", self.missing, ("raise", "own_output")) == "own_output"

    def _check_missing(self, panel: Panel) -> None:
        """Raise unless this forecaster takes missing values."""
        if not self._takes_missing:
            raise FrameError(
                f"the data has missing values (NaN) in {abbreviate(panel.columns.targets)}, which this {self.name} "
                f"cannot read (missing='raise'). Fill them: df = tsforce.fill_gaps(df), or leave it out."
            )

    def _horizon_of(self, horizon: int | None) -> int | None:
        """Return the steps that are asked for, else the constructor's, which may name none."""
        if horizon is None:
            return None if self.horizon is None else check_count("horizon", self.horizon)
        steps = check_count("horizon", horizon)
        if self.horizon is not None and steps > self.horizon:
            warn(
                f"horizon={steps} goes past the trained horizon of {self.horizon}; errors beyond it were never looked "
                f"at in training.",
                HorizonWarning,
            )
        return steps
