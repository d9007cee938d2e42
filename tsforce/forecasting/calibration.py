"""Bounds of forecasts that follow from closed-loop errors at past cutoffs, in units of how much a series had moved."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex
from tsforce.errors import IntervalWarning, abbreviate, warn
from tsforce.forecasting.moves import running_moves, swings_of, told_by
from tsforce.forecasting.past_errors import (
    CommonErrors,
    beyond_chance,
    followed,
    in_common_units,
    wider_for_few,
)
from tsforce.scoring.interval_scores import highest_level, independent_share, kth_of_sorted, rank_of
from tsforce.scoring.metrics import error_scale

__all__ = ["Calibration", "respected"]

# Independent errors at a step from which on others add nothing to them.
_MANY = 200
# Independent errors from which on both sides have their own.
_BOTH_SIDES = 100
# Where a bound comes from.
_OWN, _AT_STEP, _AT_ALL, _NONE = range(4)
SOURCES = (
    "own errors at the step",
    "errors of all series at the step, by their size",
    "errors of all series and steps, by their size",
    "too few errors: NaN",
)
_UNSIGNED = ", without their sign"

BoolArray = npt.NDArray[np.bool_]


class Relative(NamedTuple):
    """Bounds over the size of an error, (H, C) each: what is common to all series."""

    low: FloatArray
    high: FloatArray
    source: IntArray
    unsigned: BoolArray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Closed-loop errors of a forecaster at past cutoffs.

    Attributes
    ----------
    position : dict of id -> int
        Of S series.
    errors : (K, S, H, C) float64, original units
        Truth less forecast, in order of the cutoffs; NaN where there is no truth, and after a series' last cutoff.
    rows : (K, S) int64
        The cutoffs' rows, -1 after the last.
    clone : (K, S) int64
        Which clone made them, -1 for none.
    units : (5, K, S, C) float64, original units
        ``moves.running_moves`` at their cutoffs: the running scales of all rows and of recent ones, and what tells more
        (files of before have the first two).
    last_units : (5, S, C) float64
        Those at the last row.
    worth : (S, H, C) float64
        How many independent errors those before any update are worth: cutoffs overlap.
    scale : (S, C) float64, original units
        The mean seasonal-naive error of the training rows.
    floor : (S, C) float64
        0 where no training value is negative, else -inf.
    counts : (S, C) bool
        Where all training values are whole numbers.
    lengths : (S,) int64
        Rows that were learnt from.
    season_length : int
    later : int
        How many of the K came with updates: forecasts of the forecaster itself at every row from there on, the last of
        all series at the same place.
    unfinished : (Q, S, H, C) float64, optional
        The last of these forecasts, whose truth is not all known.
    swings : (K, S, H, C) float64, optional
        ``moves.swings_of`` of the forecasts that erred; files of before have none.
    """

    position: dict[Any, int]
    errors: FloatArray
    rows: IntArray
    clone: IntArray
    units: FloatArray
    last_units: FloatArray
    worth: FloatArray
    scale: FloatArray
    floor: FloatArray
    counts: BoolArray
    lengths: IntArray
    season_length: int
    later: int = 0
    unfinished: FloatArray | None = None
    swings: FloatArray | None = None

    def __getstate__(self) -> dict[str, Any]:
        # What follows from the errors is found again.
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @cached_property
    def _found(self) -> dict[Any, Any]:
        return {}

    @cached_property
    def _worth(self) -> FloatArray:
        """How many independent errors there are, (S, H, C)."""
        if not self.later:
            return self.worth
        newest = self.errors[-self.later :]
        worth: FloatArray = self.worth + (~np.isnan(newest)).sum(axis=0) * independent_share(newest)
        return worth

    def bounds(
        self,
        panel: Panel,
        index: WindowIndex,
        yhat: FloatArray,
        levels: Sequence[float],
        *,
        ends: IntArray | None = None,
        whole_path: bool = False,
        recent: bool = False,
        whole: bool = False,
    ) -> tuple[FloatArray, FloatArray, dict[str, str]]:
        """Return lower and upper bounds (L, W, H, C) of forecasts (W, H, C), and what they were taken from.

        Parameters
        ----------
        panel, index, yhat
            As in `bounds_at`.
        levels : sequence of float
            In percent, ascending; the bounds of one never lie outside those of a higher one.
        ends : (S,) int64, optional
            The panel's row of each series that is the last one learnt from; where the panel begins as what was learnt
            from does, it need not be said.
        whole_path, recent, whole : bool
            What `Intervals` calls ``over="path"``, ``scale="recent"`` and ``whole``.

        Warns
        -----
        IntervalWarning
            If there are too few errors for a level.
        """
        place = self._places(panel, index)
        at = panel.indptr[index.series] + index.rows
        scales = running_moves(panel.values, panel.indptr, self.season_length)[:, at]
        # A context is shorter than what its series has shown in training.
        short = (place >= 0) & (index.rows + 1 < self.lengths[place])
        scales = np.where(short[:, None], self.last_units[:, place], scales[: len(self.last_units)])
        last = self.lengths[place] - 1 if ends is None else ends[index.series]
        unit = self._unit(scales, swings_of(yhat, panel.values[at], scales[0]), place, index.rows - last, recent)
        floor, counts = self.floor[place], self.counts[place]
        fresh = np.flatnonzero(place < 0)
        if len(fresh):
            # Nothing is known of a series that was not fitted but what it shows up to its cutoff.
            floor[fresh], counts[fresh] = respected(panel.windows(WindowIndex(index.series[fresh], index.rows[fresh])))
        low, high = (np.empty((len(levels), *yhat.shape)) for _ in range(2))
        sources, lacking = {}, []
        for k, level in enumerate(levels):
            lower, upper, sources[f"{level:g}"] = self._offsets(
                round(level / 100, 12), yhat.shape[1], place, unit, whole_path, recent
            )
            low[k], high[k] = (np.maximum(yhat + side, floor[:, None]) for side in (lower, upper))
            if whole:
                low[k], high[k] = _whole_within(low[k], high[k], counts[:, None])
            if k:
                low[k], high[k] = np.fmin(low[k], low[k - 1]), np.fmax(high[k], high[k - 1])
                none = np.isnan(lower)
                low[k], high[k] = (np.where(none, np.nan, side) for side in (low[k], high[k]))
            if np.isnan(lower).any():
                lacking.append((level, np.isnan(lower)))
        if lacking:
            self._warn(panel, index, lacking, unit, whole_path)
        return low, high, sources

    def of_windows(self, panel: Panel, index: WindowIndex) -> tuple[FloatArray, FloatArray]:
        """Return the scale and the floor of each window's series, (W, C) each, original units."""
        place = self._places(panel, index)
        fresh = np.flatnonzero(place < 0)
        scale, floor = self.scale[place], self.floor[place]
        if len(fresh):
            shown = panel.windows(WindowIndex(index.series[fresh], index.rows[fresh]))
            scale[fresh] = error_scale(shown.values, shown.indptr, self.season_length)
            floor[fresh] = respected(shown)[0]
        return scale, floor

    def _places(self, panel: Panel, index: WindowIndex) -> IntArray:
        """Return which of the fitted series each window is of, -1 for none."""
        return np.array([self.position.get(name, -1) for name in panel.id_list], dtype=np.int64)[index.series]

    def _offsets(
        self, share: float, steps: int, place: IntArray, unit: FloatArray, whole_path: bool, recent: bool
    ) -> tuple[FloatArray, FloatArray, str]:
        """Return what to add to forecasts for the lower and upper bound, (W, H, C) each, and where it is from.

        `unit` is (W, H, C).
        """
        low, high, source, unsigned = self._of_series(share, steps, whole_path, recent)
        low, high = (side[place] * unit for side in (low, high))
        source, unsigned = source[place], unsigned[place]
        kinds = {}
        for number, name in enumerate(SOURCES):
            for without, more in ((False, ""), (True, _UNSIGNED)):
                part = np.mean((source == number) & (unsigned == without))
                if part > 0:
                    kinds[name + more + " (whole paths)" * (whole_path and number != _NONE)] = part
        if self.later:
            kinds[f"as {self.later} later cutoffs told"] = 1.0
        return low, high, "; ".join(f"{name} ({part:.0%})" for name, part in kinds.items())

    def _of_series(
        self, share: float, steps: int, whole_path: bool, recent: bool
    ) -> tuple[FloatArray, FloatArray, IntArray, BoolArray]:
        """Return bounds in units of each series and, last, an unknown one, (S + 1, H, C), where from, and if signed."""
        key = ("series", share, steps, whole_path, recent)
        if key not in self._found:
            common = self._common(recent)
            found = self._relative(share, recent)
            if whole_path:
                found = self._of_paths(share, steps, recent, found)
            spread = np.concatenate([common.spread, common.step_spread[None]])[:, :steps]
            low, high = spread * found.low[:steps], spread * found.high[:steps]
            source = np.broadcast_to(np.where(np.isnan(low), _NONE, found.source[:steps]), low.shape)
            if not whole_path:
                lower, upper = (np.pad(side[:, :steps], ((0, 1), (0, 0), (0, 0)), constant_values=np.nan)
                                for side in self._own(share, recent))  # fmt: skip
                use = ~np.isnan(lower)
                low, high, source = np.where(use, lower, low), np.where(use, upper, high), np.where(use, _OWN, source)
            unsigned = np.broadcast_to(found.unsigned[:steps], low.shape) & (source != _OWN) & (source != _NONE)
            if self.later:
                newest = _over(self.errors[-self.later :], self._past_units(recent)[-self.later :])
                low[:-1], high[:-1] = followed(low[:-1], high[:-1], newest[:, :, :steps], share, whole_path)
            self._found[key] = low, high, source, unsigned
        of_series: tuple[FloatArray, FloatArray, IntArray, BoolArray] = self._found[key]
        return of_series

    def _common(self, recent: bool) -> CommonErrors:
        """Return the errors over their size."""
        key = ("common", recent)
        if key not in self._found:
            errors = _over(self.errors, self.units[int(recent)][:, :, None])
            told = told_by(self.units, recent)
            self._found[key] = in_common_units(
                errors, self.clone, self._worth, self.rows, told, self._swings(), self.lengths, self.season_length
            )
        common: CommonErrors = self._found[key]
        return common

    def _unit(
        self, moves: FloatArray, swings: FloatArray, series: IntArray, first: IntArray, recent: bool
    ) -> FloatArray:
        """Return what errors after some rows are measured by, (..., H, C), from the moves there, (5, ..., C).

        `series` and `first` as in `CommonErrors.expected`.
        """
        size = self._common(recent).expected(told_by(moves, recent), swings, series, first)
        unit: FloatArray = moves[int(recent)][..., None, :] * size
        return unit

    def _past_units(self, recent: bool) -> FloatArray:
        """Return what the errors are measured by, (K, S, H, C)."""
        return self._unit(
            self.units, self._swings(), np.arange(len(self.lengths)), self.rows + 1 - self.lengths, recent
        )

    def _swings(self) -> FloatArray:
        return np.full_like(self.errors, np.nan) if self.swings is None else self.swings

    def _own(self, share: float, recent: bool) -> tuple[FloatArray, FloatArray]:
        """Return bounds in units from each series' own errors, (S, H, C), NaN where they are not many."""
        many = self._worth >= _MANY
        low, high = (np.full(many.shape, np.nan) for _ in range(2))
        if many.any():
            key = ("own", recent)
            if key not in self._found:
                own = np.sort(_over(self.errors, self._past_units(recent))[:, many], axis=0)
                self._found[key] = own, (~np.isnan(own)).sum(axis=0)
            errors, count = self._found[key]
            low[many], high[many] = _signed(errors, count, share, self._worth[many])
        return low, high

    def _relative(self, share: float, recent: bool) -> Relative:
        """Return bounds over the size of an error from those of all series, at the step if they are many."""
        relative, worth = self._common(recent).relative, self._worth.sum(axis=0)
        low, high = (np.full(worth.shape, np.nan) for _ in range(2))
        source, unsigned = np.full(worth.shape, _AT_ALL), np.zeros(worth.shape, dtype=bool)
        for channel in range(worth.shape[1]):
            many = worth[:, channel] >= _MANY
            for step in [*np.flatnonzero(many), *([slice(None)] if not many.all() else [])]:
                at = np.flatnonzero(~many) if isinstance(step, slice) else step
                known = worth[step, channel].mean()
                key = ("sorted", recent, str(step), channel)
                if key not in self._found:
                    values = relative[:, :, step, channel].ravel()
                    self._found[key] = np.sort(values[~np.isnan(values)])
                errors = self._found[key]
                both = known >= max(_BOTH_SIDES, (1 + share) / (1 - share) - 1e-9)
                middle = 0.0 if both else _middle(errors, known)
                sides = (_signed if both else _sizes)(errors - middle, np.asarray(len(errors)), share, None)
                wider = wider_for_few(share, worth[at, channel])
                low[at, channel], high[at, channel] = (middle + side * wider for side in sides)
                source[at, channel] = _AT_ALL if isinstance(step, slice) else _AT_STEP
                unsigned[at, channel] = not both
        return Relative(low, high, source, unsigned)

    def _of_paths(self, share: float, steps: int, recent: bool, each: Relative) -> Relative:
        """Return the bounds of each step, as much wider as it takes for the share of whole past paths within them."""
        middle, half = ((each.high + sign * each.low)[:steps] / 2 for sign in (1, -1))
        off = np.abs(self._common(recent).relative[:, :, :steps] - middle)
        with np.errstate(divide="ignore", invalid="ignore"):
            # NaN, and so no path, if a step is not known.
            widest = np.where(half > 0, off / half, np.where(off > 0, np.inf, 0.0) + 0 * off).max(axis=2)
        low, high = each.low[:steps].copy(), each.high[:steps].copy()
        for channel in range(low.shape[1]):
            paths = widest[:, :, channel]
            by = [paths[(self.clone == k) & ~np.isnan(paths)] for k in np.unique(self.clone[self.clone >= 0])]
            # Each clone's count alike: the last one, which has fewest whole paths, is most like the forecaster.
            alike = by if all(len(own) >= _MANY for own in by) else [np.concatenate([*by, np.empty(0)])]
            found = [kth_of_sorted(np.sort(own), rank_of(len(own), share), len(own)) for own in alike]
            factor = np.maximum(np.mean(found), 1.0)
            low[:, channel] = middle[:, channel] - factor * half[:, channel]
            high[:, channel] = middle[:, channel] + factor * half[:, channel]
        return Relative(low, high, each.source, each.unsigned)

    def _warn(
        self, panel: Panel, index: WindowIndex, lacking: list[tuple[float, Any]], unit: FloatArray, whole_path: bool
    ) -> None:
        missing = np.logical_or.reduce([none.any(axis=(1, 2)) for _, none in lacking])
        names = abbreviate(dict.fromkeys(panel.id_list[i] for i in index.series[missing]))
        there = ~np.isnan(self.errors)
        most = int((there.all(axis=2) if whole_path else there).reshape(-1, there.shape[-1]).sum(axis=0).max(initial=0))
        if most and not np.isnan(unit[missing]).all():
            highest = f"they are enough for levels up to {100 * highest_level(most):g}"
        else:
            highest = "there is none to tell by, at any level"
        said = ", ".join(f"{one:g}" for one, _ in lacking)
        warn(
            f"level {said}: series {names}: too few {'paths' if whole_path else 'errors'} at past cutoffs, and the "
            f"bounds are NaN; {highest}. Ask for a lower level, or fit on more rows or more series.",
            IntervalWarning,
        )


def _over(errors: FloatArray, unit: FloatArray) -> FloatArray:
    """Return errors (K, S, H, C) in units (K, S, H or 1, C)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # Of a series that has not moved yet, the errors tell nothing but that there was none.
        found = np.where(unit > 0, errors / unit, np.where(errors == 0, 0.0, np.nan))
    inside: FloatArray = np.where(np.isnan(errors), np.nan, found)
    return inside


def _signed(errors: FloatArray, count: Any, share: float, worth: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return the sorted errors at the ranks of both sides, NaN where there are too few for the share."""
    rank = rank_of(count, (1 + share) / 2, worth)
    return kth_of_sorted(errors, count + 1 - rank, count), kth_of_sorted(errors, rank, count)


def _sizes(errors: FloatArray, count: Any, share: float, worth: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return minus and plus the absolute error at the rank, NaN where there are too few for the share."""
    size = kth_of_sorted(np.sort(np.abs(errors), axis=0), rank_of(count, share, worth), count)
    return -size, size


def _middle(errors: FloatArray, known: float) -> float:
    """Return the mean error, as far as it is more than chance for so many independent ones."""
    return float(beyond_chance(errors.mean(), errors.var(), known)) if len(errors) else 0.0


def respected(panel: Panel) -> tuple[FloatArray, BoolArray]:
    """Return the lowest bound of each series, 0 or none, and whether it holds whole numbers alone, (S, C) each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        least = np.fmin.reduceat(panel.values, panel.indptr[:-1], axis=0)
        whole = (panel.values == np.floor(panel.values)) | np.isnan(panel.values)
    return np.where(least >= 0, 0.0, -np.inf), np.logical_and.reduceat(whole, panel.indptr[:-1], axis=0)


def _whole_within(low: FloatArray, high: FloatArray, counts: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest whole number within bounds of counts; around them where there is none."""
    inner = np.ceil(low), np.floor(high)
    there = inner[0] <= inner[1]
    outer = np.floor(low), np.ceil(high)
    lower, upper = (np.where(there, a, b) for a, b in zip(inner, outer, strict=True))
    return np.where(counts, lower, low), np.where(counts, upper, high)
