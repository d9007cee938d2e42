"""Candidates on trial: closed-loop forecasts at cutoffs inside the training rows, and their errors."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex, ragged_rows
from tsforce.errors import TsforceError
from tsforce.forecasting.auto.candidate import Candidate
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.checkpointing import fit_within
from tsforce.forecasting.side_by_side import forecasts_at, left_out
from tsforce.persistence.checkpoints import Checkpoint
from tsforce.scoring.cutoffs import even_draw, few_rows, rows_to_learn
from tsforce.scoring.metrics import (
    abs_error,
    error_scale,
    has_scale,
    mean_of_known,
    smape_terms,
    squared_error,
    sum_by,
)

__all__ = [
    "Trial",
    "TrialWindows",
    "fit_quietly",
    "is_constant",
    "is_intermittent",
    "kept_trial",
    "learnt_from",
    "rows_read",
    "run_trial",
    "scale_of",
]

# Windows of a series, each of one horizon, one after the other at the end of the rows; more where there are few series,
# until all together are so many, as long as all but a quarter of the rows are left to learn from.
_MOST_WINDOWS, _TOGETHER = 3, 60
# They overlap where they would take more than this share of the rows: what learns from half of them is no longer what
# learns from all. Windows that share more than three quarters of their steps are as good as one.
_MOST_ROWS, _APART = 1 / 3, 4
# A series is intermittent where demand comes less often than every 1.32 steps (Syntetos, Boylan & Croston 2005, On the
# categorization of demand patterns, Journal of the Operational Research Society 56).
_INTERVAL = 1.32
# Rows that the few weights of one map for all series are learnt from, where series have more; of each row all steps of
# the horizon are read.
_ENOUGH_ROWS = 50_000
# Share of the rows from which what trials say holds for all of them.
_NEARLY_ALL = 0.75
# Errors beyond so many scales count as that many: a roll-out that ran away is out of the question either way.
_FAR = 1e3


def is_intermittent(panel: Panel) -> Any:
    """Return which series are mostly 0 between demands, (S,) bool."""
    starts = panel.indptr[:-1]
    zeros = np.add.reduceat((panel.values == 0).sum(axis=1), starts)
    known = np.add.reduceat((~np.isnan(panel.values)).sum(axis=1), starts)
    return known > _INTERVAL * (known - zeros)


def is_constant(panel: Panel) -> Any:
    """Return which series have one value all along, (S,) bool."""
    starts = panel.indptr[:-1]
    with np.errstate(invalid="ignore"):
        low, high = (extreme.reduceat(panel.values, starts, axis=0) for extreme in (np.fmin, np.fmax))
    return (low == high).all(axis=1)


@dataclass(frozen=True, eq=False)
class TrialWindows:
    """The cutoffs at which candidates are tried.

    Attributes
    ----------
    panel : Panel
        All rows of the series.
    learnt : Panel
        Their rows up to the first cutoff, all that candidates on trial learn from.
    index : WindowIndex, W windows
    number : (W,) int64
        1 for the last window of a series, 2 for the one before.
    truth : (W, H, C) float64, original units
    scale : (S, C) float64, original units
        By which errors are divided: the mean seasonal-naive error in `learnt`; of intermittent series the standard
        deviation.
    squared : (S,) bool
        Series judged by squares: where most values are 0 so is the median, and tells nothing of demand.
    in_percent : bool
        Whether sMAPE counts too: all values are positive.
    """

    panel: Panel
    learnt: Panel
    index: WindowIndex
    number: IntArray
    truth: FloatArray
    scale: FloatArray
    squared: Any
    in_percent: bool

    @classmethod
    def of(cls, panel: Panel, horizon: int, season: int) -> TrialWindows:
        """Return windows at the end of each series, as many as leave it rows to learn from; three, or more of few.

        What they take of short series is a third of the rows, or one horizon where that is more: then they overlap.
        """
        lengths = panel.lengths
        most = np.minimum((1 - _NEARLY_ALL) * lengths // horizon, -(-_TOGETHER // panel.n_series)).astype(np.int64)
        count = np.clip((lengths - rows_to_learn(season)) // horizon, 0, np.maximum(most, _MOST_WINDOWS))
        # One window of few rows says more than none.
        count = np.where((count == 0) & (lengths >= horizon + few_rows(season)), 1, count)
        taken = np.minimum(count * horizon, np.maximum((_MOST_ROWS * lengths).astype(np.int64), horizon))
        between = np.maximum(taken - horizon, 0)
        count = np.minimum(count, 1 + between // max(1, horizon // _APART))
        last = lengths - 1 - taken
        series = np.repeat(np.arange(panel.n_series), count)
        nth = ragged_rows(np.zeros_like(count), count)
        rows = last[series] + (nth * between[series]) // np.maximum(count - 1, 1)[series]
        ahead = panel.indptr[series][:, None] + rows[:, None] + np.arange(1, horizon + 1)
        learnt = panel.windows(WindowIndex(np.arange(panel.n_series), last))
        squared = is_intermittent(panel)
        scale = scale_of(learnt, squared, season)
        in_percent = bool(np.nanmin(panel.values) > 0)
        number = (count[series] - nth).astype(np.int64)
        return cls(panel, learnt, WindowIndex(series, rows), number, panel.values[ahead], scale, squared, in_percent)

    @property
    def nearly_all(self) -> bool:
        """Whether candidates on trial learn from nearly all rows."""
        return len(self.learnt.values) >= _NEARLY_ALL * len(self.panel.values)

    @property
    def n_windows(self) -> IntArray:
        """Windows of each series, (S,)."""
        return np.bincount(self.index.series, minlength=self.panel.n_series)

    def errors_of(self, yhat: FloatArray) -> FloatArray:
        """Return the error of each window in scales of its series, and its sMAPE in percent, (W, 2).

        Mean over steps and targets; NaN where there is no forecast, no truth or no scale.
        """
        series = self.index.series
        scale = np.where(has_scale(self.scale), self.scale, np.nan)[series]
        squares = self.squared[series]
        # Of missing values nothing can be said; of forecasts that are not there neither.
        known = ~np.isnan(self.truth)
        size = np.where(squares[:, None, None], squared_error(self.truth, yhat), abs_error(self.truth, yhat))
        mean = _mean(size, known)
        scaled = np.where(squares[:, None], np.sqrt(mean), mean) / scale
        percent = _mean(smape_terms(self.truth, yhat), known) if self.in_percent else np.full_like(scaled, np.nan)
        missing = np.isnan(yhat).all(axis=1)
        both = np.stack([np.minimum(scaled, _FAR), np.minimum(percent, 200.0)], axis=-1)
        # Inf and NaN of a forecast that is there is as far out as can be.
        both = np.where(np.isnan(both) & ~np.isnan(scale)[:, :, None], [_FAR, 200.0], both)
        both[missing] = np.nan
        if not self.in_percent:
            both[:, :, 1] = np.nan
        return mean_of_known(both, 1)

    def by_series(self, errors: FloatArray) -> FloatArray:
        """Return the mean of the windows of each series, (S, 2); NaN where it has none."""
        known = ~np.isnan(errors)
        total = sum_by(self.index.series, np.where(known, errors, 0.0), self.panel.n_series)
        count = sum_by(self.index.series, known.astype(np.float64), self.panel.n_series)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mean(values: FloatArray, known: Any) -> FloatArray:
    """Return means over axis 1 of what is known, (W, C); NaN where nothing is."""
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def scale_of(learnt: Panel, squared: Any, season: int) -> FloatArray:
    """Return what errors of series are divided by, (S, C): the seasonal-naive error, or of `squared` the deviation."""
    scale = error_scale(learnt.values, learnt.indptr, season, learnt.lengths)
    return np.where(squared[:, None], _deviation(learnt), scale) if squared.any() else scale


def _deviation(panel: Panel) -> FloatArray:
    count = np.add.reduceat((~np.isnan(panel.values)).astype(np.float64), panel.indptr[:-1])
    filled = np.nan_to_num(panel.values)
    mean, square = (np.add.reduceat(part, panel.indptr[:-1]) / np.maximum(count, 1) for part in (filled, filled**2))
    return np.sqrt(np.maximum(square - mean**2, 0.0))


@dataclass(frozen=True, eq=False)
class Trial:
    """What became of a candidate.

    Attributes
    ----------
    candidate : Candidate
    yhat : (W, H, C) float64, original units
        NaN where it could not fit the series.
    errors : (W, 2) float64
        As from `TrialWindows.errors_of`.
    fits : (S,) bool
        Which series it can fit.
    cpu_seconds, seconds : float
        Of its fit and forecasts on trial.
    failure : str
        Why it fitted nothing; empty if it did.
    settled : any
        What learning again from all rows of the same series need not choose again.
    """

    candidate: Candidate
    yhat: FloatArray
    errors: FloatArray
    fits: Any
    cpu_seconds: float
    seconds: float
    failure: str = ""
    settled: Any = None


def kept_trial(candidate: Candidate, place: Checkpoint) -> Trial | None:
    """Return what has become of a candidate before, None if it was not over."""
    kept = place.read()
    return None if kept is None else Trial(candidate, **kept)


def run_trial(candidate: Candidate, windows: TrialWindows, horizon: int, place: Checkpoint | None = None) -> Trial:
    """Return the errors of a candidate that has learnt from the rows before the first cutoff of each series.

    Where there is a place for it, they are kept.
    """
    cpu, wall = time.process_time(), time.perf_counter()
    fits, yhat, failure = np.zeros(windows.panel.n_series, dtype=bool), np.full_like(windows.truth, np.nan), ""
    settled = None
    # What a candidate runs into is a matter of the choice, which sees its errors: nobody has to act on it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            own = place and place.within("fit")
            model = fit_quietly(candidate.model, learnt_from(candidate, windows.learnt), candidate.mode, None, own)
            fits, yhat = _forecasts(model, windows, horizon)
            settled = model._settled()
        except (TsforceError, np.linalg.LinAlgError) as error:
            failure = str(error)
    errors = windows.errors_of(yhat)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    trial = Trial(candidate, yhat, errors, fits, cpu, wall, failure, settled)
    if place is not None:
        place.end({name: value for name, value in vars(trial).items() if name != "candidate"})
    return trial


def learnt_from(candidate: Candidate, panel: Panel) -> Panel:
    """Return the series that a candidate learns from: all, or for few weights some, spread evenly, of rows enough."""
    n_series = max(1, int(_ENOUGH_ROWS / len(panel.values) * panel.n_series))
    if not candidate.from_some or n_series >= panel.n_series:
        return panel
    return panel.take(even_draw(panel.n_series, n_series))


def _forecasts(model: Forecaster, windows: TrialWindows, horizon: int) -> tuple[Any, FloatArray]:
    """Return which series a fitted candidate fits, (S,), and its forecasts of all windows, (W, H, C)."""
    yhat = np.full_like(windows.truth, np.nan)
    out = set(left_out(model))
    fits = np.array([name not in out for name in windows.panel.id_list])
    # A pooled map forecasts any series, but knows nothing where lags find no rows.
    fits &= windows.learnt.lengths >= rows_read(model)
    mine = fits[windows.index.series]
    if mine.any():
        index = WindowIndex(windows.index.series[mine], windows.index.rows[mine])
        yhat[mine] = forecasts_at(model, windows.panel, index, horizon)
    return fits, yhat


def fit_quietly(
    model: Forecaster, panel: Panel, mode: Any, settled: Any = None, place: Checkpoint | None = None
) -> Forecaster:
    """Return a fitted clone; what it would warn of is a matter of the choice, which sees its errors.

    Parameters
    ----------
    model : Forecaster
    panel : Panel
    mode : str, Forcing or None
    settled : any
        As in `Trial`; None: all is chosen.
    place : Checkpoint, optional
        Where it keeps how far it has got.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clone = model.clone_unfitted()
        return fit_within(clone, panel, mode, place) if settled is None else clone._fit_on(panel, mode, settled)


def rows_read(model: Forecaster) -> int:
    """Return the rows up to a cutoff that the lags and transforms of a fitted forecaster reach back over."""
    lags: tuple[int, ...] = getattr(model, "lags_", ())
    lost = sum(int(transform.rows_lost) for transform in getattr(model, "target_transforms_", ()))
    return (max(lags) if lags else 0) + lost
