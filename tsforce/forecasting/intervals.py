"""Conformal prediction intervals for any forecaster: quantiles of closed-loop errors at past cutoffs.

The errors are those of clones that had not learnt from the rows they forecast: each is fitted on the rows up to a cut,
and forecasts after it at every cutoff up to the next one. They are taken in the user's units, after every inverse
transform, one set for each step: what a step far out is bounded by are errors of that step.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tsforce.data.frame import cutoff_rows
from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex, ragged_rows
from tsforce.errors import ArgumentError, IntervalWarning, TsforceError, abbreviate, warn
from tsforce.scoring.cutoffs import few_rows, rows_to_learn
from tsforce.scoring.interval_scores import highest_level, independent_share, kth_of_sorted, rank_of
from tsforce.scoring.metrics import error_scale, has_scale

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = ["Bounds", "Calibration", "bounds_at", "calibrate", "calibration_of", "check_levels", "learnt_rows"]

# Cuts of a series at most, each with a clone of its own.
_CUTS = 2
# Cutoffs of a series, and errors in all, at most.
_MOST_ORIGINS = 300
_MOST_ERRORS = 20_000_000
# Where a bound comes from, in the order in which it is looked for.
SOURCES = (
    "own errors at the step",
    "own errors at the step, without their sign",
    "errors of all series at the step, by their scale",
    "own errors at the step, overlapping and few",
    "errors of all series at neighbouring steps too, by their scale and the steps'",
    "too few errors: NaN",
)


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of some forecasts.

    Attributes
    ----------
    levels : (L,) tuple of float
        In percent.
    low, high : (L, W, H, C) float64, original units
        NaN where the errors are too few for the level.
    sources : dict of str -> str
        For each level, as the columns spell it, what its bounds were taken from, for the frame's ``attrs``.
    """

    levels: tuple[float, ...]
    low: FloatArray
    high: FloatArray
    sources: dict[str, str]

    @staticmethod
    def blank(levels: tuple[float, ...], shape: tuple[int, ...]) -> Bounds:
        """Return bounds that are NaN, of forecasts of some shape (W, H, C)."""
        low, high = (np.full((len(levels), *shape), np.nan) for _ in range(2))
        return Bounds(levels, low, high, {})

    def some(self, chosen: Any) -> Bounds:
        """Return those of some windows."""
        return replace(self, low=self.low[:, chosen], high=self.high[:, chosen])

    def of_channels(self, chosen: slice) -> Bounds:
        """Return those of some targets."""
        return replace(self, low=self.low[..., chosen], high=self.high[..., chosen])

    def columns(self, name: str, channel: int) -> dict[str, FloatArray]:
        """Return the columns of one target's bounds, flat, in the order of the frame."""
        return {
            f"{name}-{side}-{level:g}": bound[k, :, :, channel].reshape(-1)
            for k, level in enumerate(self.levels)
            for side, bound in (("lo", self.low), ("hi", self.high))
        }


def check_levels(level: Any) -> tuple[float, ...] | None:
    """Return levels in percent, ascending, each once; None for None.

    Raises
    ------
    ArgumentError
        If one is no number between 0 and 100.
    """
    if level is None:
        return None
    given = [level] if isinstance(level, (int, float, np.number, str)) else list(level)
    for one in given:
        if isinstance(one, (bool, np.bool_, str)) or not isinstance(one, (int, float, np.number)) or not 0 < one < 100:
            raise ArgumentError(f"level={level!r}: expected percents between 0 and 100, such as level=[80, 95].")
    if not given:
        raise ArgumentError("level is empty: expected percents between 0 and 100, such as level=[80, 95].")
    return tuple(sorted({float(one) for one in given}))


def bounds_at(
    model: Forecaster,
    panel: Panel,
    index: WindowIndex,
    yhat: FloatArray,
    levels: tuple[float, ...],
    rows: Panel | None = None,
) -> Bounds:
    """Return the bounds of a fitted forecaster's forecasts after some windows.

    Parameters
    ----------
    model : Forecaster
        Calibrated once for its horizon, or the one asked for if that is longer; what was found stays with it.
    panel, index : Panel, WindowIndex
        The W windows.
    yhat : (W, H, C) float64, original units
    levels : tuple of float
        From `check_levels`.
    rows : Panel, optional
        What the model learnt from, where it keeps no rows of its own.

    Warns
    -----
    IntervalWarning
        If there are too few errors for a level: says the highest that there are enough for.
    """
    return calibration_of(model, yhat.shape[1], rows).bounds(panel, index, yhat, levels)


def calibration_of(model: Forecaster, steps: int, rows: Panel | None = None) -> Calibration:
    """Return a fitted forecaster's errors at past cutoffs, over its horizon or that many steps, the longer of both.

    They are found once, and stay with it. `rows` as in `bounds_at`.
    """
    horizon = max(steps, model._horizon_of(None) or 0)
    kept: dict[int, Calibration] = model.__dict__.setdefault("_calibrations_", {})
    if horizon not in kept:
        kept[horizon] = calibrate(model, learnt_rows(model, rows), horizon)
    return kept[horizon]


def learnt_rows(model: Forecaster, rows: Panel | None = None) -> Panel:
    """Return the rows that a fitted forecaster learnt from: those that it keeps, else its part of `rows`."""
    learnt = getattr(model, "_learnt_from_", None)
    if learnt is not None:
        found: Panel = learnt
        return found
    if rows is None:
        raise ArgumentError(
            f"level=: this {type(model).__name__} keeps none of the rows that it was fitted on, and intervals are "
            f"calibrated on them. Was it loaded from a file? save(path, training_rows=True) keeps them, and after a "
            f"first predict(level=) a file holds the bounds. Is it a class of yours? End its fit with "
            f"tsforce.forecasting.parts.end_fit. Or call predict_at(df, ..., level=) or backtest(..., level=), which "
            f"are given the rows."
        )
    return rows.head(np.clip(cutoff_rows(rows, model.train_end_) + 1, 0, rows.lengths))


# ---- errors at past cutoffs


@dataclass(frozen=True, eq=False)
class Calibration:
    """Closed-loop errors of a forecaster at past cutoffs, and what follows for new forecasts.

    Attributes
    ----------
    position : dict of id -> int
    errors : (K, S, H, C) float64, original units
        Truth less forecast, in order of the cutoffs; NaN where there is no truth, and after a series' last cutoff.
    rows : (K, S) int64
        The cutoffs' rows, -1 after the last.
    count : (S, H, C) int64
        How many there are.
    worth : (S, H, C) float64
        How many independent ones they are worth: cutoffs overlap.
    scale : (S, C) float64, original units
        The mean seasonal-naive error of the training rows, by which series are pooled.
    floor : (S, C) float64
        0 where no training value is negative, else -inf.
    season_length : int
    """

    position: dict[Any, int]
    errors: FloatArray
    rows: IntArray
    count: IntArray
    worth: FloatArray
    scale: FloatArray
    floor: FloatArray
    season_length: int

    def bounds(self, panel: Panel, index: WindowIndex, yhat: FloatArray, levels: Sequence[float]) -> Bounds:
        """Return the bounds of forecasts (W, H, C) after some windows; warns as `bounds_at` does."""
        steps = yhat.shape[1]
        place = np.array([self.position.get(name, -1) for name in panel.id_list], dtype=np.int64)[index.series]
        scale, floor = self.of_windows(panel, index)
        low, high = (np.empty((len(levels), *yhat.shape)) for _ in range(2))
        sources, lacking = {}, []
        for k, level in enumerate(levels):
            share = round(level / 100, 12)
            lower, upper, source = self._offsets(share, steps, place, scale)
            low[k] = np.maximum(yhat + lower, floor[:, None])
            high[k] = np.maximum(yhat + upper, floor[:, None])
            tally = np.bincount(source.ravel(), minlength=len(SOURCES))
            sources[f"{level:g}"] = "; ".join(
                f"{SOURCES[s]} ({tally[s] / source.size:.0%})" for s in np.flatnonzero(tally)
            )
            none = source == len(SOURCES) - 1
            if none.any():
                lacking.append((level, none))
        if lacking:
            self._warn(panel, index, lacking, scale)
        return Bounds(tuple(levels), low, high, sources)

    def of_windows(self, panel: Panel, index: WindowIndex) -> tuple[FloatArray, FloatArray]:
        """Return the scale and the floor of each window's series, (W, C) each, original units."""
        place = np.array([self.position.get(name, -1) for name in panel.id_list], dtype=np.int64)[index.series]
        fresh = np.flatnonzero(place < 0)
        scale, floor = self.scale[place], self.floor[place]
        if len(fresh):
            # Nothing is known of a series that was not fitted but what it shows up to its cutoff.
            shown = panel.windows(WindowIndex(index.series[fresh], index.rows[fresh]))
            scale[fresh] = error_scale(shown.values, shown.indptr, self.season_length)
            floor[fresh] = _floors(shown)
        return scale, floor

    def _offsets(
        self, share: float, steps: int, place: IntArray, scale: FloatArray
    ) -> tuple[FloatArray, FloatArray, IntArray]:
        """Return what to add to forecasts for the lower and upper bound, and its source, (W, H, C) each."""
        own = place >= 0
        unit = np.where(has_scale(scale), scale, np.nan)[:, None]
        low, high = (np.full((len(place), steps, scale.shape[1]), np.nan) for _ in range(2))
        source = np.full(low.shape, len(SOURCES) - 1)
        for number, pair in enumerate(self._in_order(share)):
            open_ = np.isnan(low)
            if not open_.any():
                break
            lower, upper = (
                np.where(own[:, None, None], side[place][:, :steps], np.nan) if side.ndim == 3 else side[:steps] * unit
                for side in pair
            )
            use = open_ & ~np.isnan(lower)
            low, high, source = np.where(use, lower, low), np.where(use, upper, high), np.where(use, number, source)
        return low, high, source

    def _in_order(self, share: float) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield what `SOURCES` names: (S, H, C) in original units, or (H, C) in scales."""
        ordered = np.sort(self.errors, axis=0)
        yield _signed(ordered, self.count, share, self.worth)
        absolute = np.sort(np.abs(self.errors), axis=0)
        yield _sizes(absolute, self.count, share, self.worth)
        pooled = np.sort(self._in_scales(), axis=0)
        worth = np.where(has_scale(self.scale)[:, None], self.worth, 0.0).sum(axis=0)
        yield _signed_else_sizes(pooled, (~np.isnan(pooled)).sum(axis=0), share, worth)
        low, high = _signed(ordered, self.count, share, None)
        sizes = _sizes(absolute, self.count, share, None)
        yield np.where(np.isnan(low), sizes[0], low), np.where(np.isnan(low), sizes[1], high)
        yield self._of_neighbours(pooled, share)

    def _in_scales(self) -> FloatArray:
        """Return the errors of all series at each step, by their scale, (K * S, H, C), NaN where there is none."""
        unit = np.where(has_scale(self.scale), self.scale, np.nan)[:, None]
        pooled: FloatArray = (self.errors / unit).reshape(-1, *self.errors.shape[2:])
        return pooled

    @staticmethod
    def _of_neighbours(pooled: FloatArray, share: float) -> tuple[FloatArray, FloatArray]:
        """Return bounds in scales, (H, C) each, from the nearest steps whose errors together are enough."""
        count = (~np.isnan(pooled)).sum(axis=0)
        low, high = (np.full(count.shape, np.nan) for _ in range(2))
        # How much larger errors are from step to step is told by their mean, which takes few of them.
        mean = np.nansum(np.abs(pooled), axis=0) / np.maximum(count, 1)
        mean = np.where(mean > 0, mean, np.nan)
        for step, channel in zip(*np.nonzero(~np.isnan(mean)), strict=True):
            relative = pooled[:, :, channel] / mean[:, channel]
            for reach in range(1, len(count)):
                near = relative[:, max(step - reach, 0) : step + reach + 1].ravel()
                near = np.sort(near[~np.isnan(near)])[:, None]
                lower, upper = _signed_else_sizes(near, np.array([len(near)]), share, None)
                if not np.isnan(lower[0]):
                    low[step, channel], high[step, channel] = (s[0] * mean[step, channel] for s in (lower, upper))
                    break
        return low, high

    def _warn(self, panel: Panel, index: WindowIndex, lacking: list[tuple[float, Any]], scale: FloatArray) -> None:
        missing = np.logical_or.reduce([none.any(axis=(1, 2)) for _, none in lacking])
        names = abbreviate(dict.fromkeys(panel.id_list[i] for i in index.series[missing]))
        most = int((~np.isnan(self._in_scales())).sum(axis=(0, 1)).max(initial=0))
        if most and has_scale(scale[missing]).any():
            highest = f"they are enough for levels up to {100 * highest_level(most):g}"
        else:
            highest = "there is none to tell by, at any level"
        said = ", ".join(f"{one:g}" for one, _ in lacking)
        warn(
            f"level {said}: series {names}: too few errors at past cutoffs, and the bounds are NaN; {highest}. Ask for "
            f"a lower level, or fit on more rows or more series.",
            IntervalWarning,
        )


def _signed(
    errors: FloatArray, count: IntArray, share: float, worth: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return the sorted errors at the ranks of both sides, NaN where there are too few for the share."""
    rank = rank_of(count, (1 + share) / 2, worth)
    return kth_of_sorted(errors, count + 1 - rank, count), kth_of_sorted(errors, rank, count)


def _sizes(
    absolute: FloatArray, count: IntArray, share: float, worth: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return minus and plus the sorted absolute error at the rank, NaN where there are too few for the share."""
    size = kth_of_sorted(absolute, rank_of(count, share, worth), count)
    return -size, size


def _signed_else_sizes(
    errors: FloatArray, count: IntArray, share: float, worth: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    signed = _signed(errors, count, share, worth)
    few = np.isnan(signed[0])
    if not few.any():
        return signed
    sizes = _sizes(np.sort(np.abs(errors), axis=0), count, share, worth)
    return np.where(few, sizes[0], signed[0]), np.where(few, sizes[1], signed[1])


def _floors(panel: Panel) -> FloatArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        least = np.fmin.reduceat(panel.values, panel.indptr[:-1], axis=0)
    return np.where(least >= 0, 0.0, -np.inf)


def calibrate(model: Forecaster, panel: Panel, horizon: int) -> Calibration:
    """Return a fitted forecaster's errors at cutoffs within the rows that it learnt from, by clones that did not.

    Parameters
    ----------
    model : Forecaster
        Never changed.
    panel : Panel
        What it learnt from: nothing after its rows is read.
    horizon : int
        H.
    """
    panel = replace(panel, filled=np.empty((0, 0)))
    season = int(getattr(model, "season_length_", 1) or 1)
    cuts = _cuts(panel.lengths, horizon, season)
    most = int(np.clip(_MOST_ERRORS // (panel.n_series * horizon * panel.n_channels), 40, _MOST_ORIGINS))
    stride = np.maximum(-(-(panel.lengths - cuts[0]) // most), 1)
    found: list[tuple[WindowIndex, FloatArray]] = []
    for first, until in pairwise(cuts):
        series = np.flatnonzero(until > first)
        # From the back, so that the last rows always count.
        counts = -(-(until[series] - first[series]) // stride[series])
        nth = ragged_rows(np.zeros_like(counts), counts)
        who = np.repeat(series, counts)
        rows = until[who] - 2 - (np.repeat(counts, counts) - 1 - nth) * stride[who]
        if len(who):
            index = WindowIndex(who, rows)
            found.append((index, _errors(model, panel, first, index, horizon)))
    errors = np.full((0, panel.n_series, horizon, panel.n_channels), np.nan)
    cutoffs = np.full((0, panel.n_series), -1, dtype=np.int64)
    if found:
        series = np.concatenate([index.series for index, _ in found])
        order = np.argsort(series, kind="stable")
        nth = np.empty_like(series)
        nth[order] = np.arange(len(series)) - np.searchsorted(series[order], series[order])
        errors = np.full((int(nth.max()) + 1, *errors.shape[1:]), np.nan)
        errors[nth, series] = np.concatenate([part for _, part in found])
        errors = np.where(np.isfinite(errors), errors, np.nan)
        cutoffs = np.full(errors.shape[:2], -1, dtype=np.int64)
        cutoffs[nth, series] = np.concatenate([index.rows for index, _ in found])
    scale = error_scale(panel.values, panel.indptr, season)
    position = {name: i for i, name in enumerate(panel.id_list)}
    count = (~np.isnan(errors)).sum(axis=0)
    worth = np.empty(count.shape)
    for apart in np.unique(stride):
        alike = stride == apart
        worth[alike] = count[alike] * independent_share(errors[:, alike], int(apart))
    return Calibration(position, errors, cutoffs, count, worth, scale, _floors(panel), season)


def _cuts(lengths: IntArray, horizon: int, season: int) -> list[IntArray]:
    """Return after how many rows each clone stops learning, ascending, and the rows of each series, (S,) each."""
    least = np.maximum(rows_to_learn(season), lengths // 2)
    short = lengths <= least + horizon
    # One horizon of few rows says more than nothing.
    few = np.where(lengths >= horizon + few_rows(season), lengths - horizon, lengths)
    first = np.where(short, few, least)
    return [first, *(first + (lengths - first) * k // _CUTS for k in range(1, _CUTS)), lengths]


def _errors(model: Forecaster, panel: Panel, stops: IntArray, index: WindowIndex, horizon: int) -> FloatArray:
    """Return truth less forecast, (W, H, C), of a clone that learnt from the first rows of each series."""
    ahead = index.rows[:, None] + np.arange(1, horizon + 1)
    known = ahead < panel.lengths[index.series][:, None]
    truth = panel.values[np.minimum(panel.indptr[index.series][:, None] + ahead, len(panel.values) - 1)]
    truth = np.where(known[:, :, None], truth, np.nan)
    with warnings.catch_warnings():
        # What a clone on fewer rows would warn of is in its errors.
        warnings.simplefilter("ignore")
        try:
            clone = model._refitted(panel.head(stops))
            out = {panel.position[name] for name in getattr(clone, "short_series_", [])}
            able = np.flatnonzero(~np.isin(index.series, list(out)))
            yhat = np.full_like(truth, np.nan)
            yhat[able] = clone._numbers(panel, WindowIndex(index.series[able], index.rows[able]), horizon)
        except (TsforceError, np.linalg.LinAlgError):
            # Rows that are too few to learn from are too few to be judged by.
            return np.full_like(truth, np.nan)
    return truth - yhat
