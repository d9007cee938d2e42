"""What a forecaster gets wrong: its closed-loop errors at past cutoffs, and the bounds of new forecasts that follow.

The errors are those of clones that had not learnt from the rows they forecast: each is fitted on the rows up to a cut,
and forecasts after it at every cutoff up to the next one. They are taken in the user's units, after every inverse
transform, at each step, and compared in units of how much the series had moved up to their cutoff.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex, ragged_rows
from tsforce.errors import IntervalWarning, TsforceError, abbreviate, warn
from tsforce.forecasting.past_errors import CommonErrors, in_common_units, running_scale, wider_for_few
from tsforce.scoring.cutoffs import few_rows, rows_to_learn
from tsforce.scoring.interval_scores import highest_level, independent_share, kth_of_sorted, rank_of
from tsforce.scoring.metrics import error_scale

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = ["MANY_ROWS", "Calibration", "calibrate"]

# Cuts of a series at most, each with a clone of its own.
_CUTS = 2
# Cutoffs of a series at most; and at least, where there are as many: so many that the rows before all cutoffs are no
# more than these. Errors in all at most.
_MOST_ORIGINS, _FEWEST_ORIGINS, _MOST_ROWS = 300, 25, 8_000_000
_MOST_ERRORS = 20_000_000
# Rows of a typical series from which on what they settle, penalties and smoothing parameters, holds for some more.
MANY_ROWS = 100
# Independent errors at a step from which on others add nothing to them.
_MANY = 200
# Independent errors from which on both sides have their own.
_BOTH_SIDES = 100
# Standard errors, squared, within which a mean error counts for nothing: errors of cutoffs near each other are alike.
_CHANCE = 6
# Recent moves are at most so many times more, or less, than all so far (logarithm).
_MOST_MOVED = 4.0
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
    units : (2, K, S, C) float64, original units
        The running scale at their cutoffs, of all rows and of recent ones.
    last_units : (2, S, C) float64
        That at the last row.
    worth : (S, H, C) float64
        How many independent errors they are worth: cutoffs overlap.
    scale : (S, C) float64, original units
        The mean seasonal-naive error of the training rows.
    floor : (S, C) float64
        0 where no training value is negative, else -inf.
    counts : (S, C) bool
        Where all training values are whole numbers.
    lengths : (S,) int64
        Rows that were learnt from.
    season_length : int
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

    def __getstate__(self) -> dict[str, Any]:
        # What follows from the errors is found again.
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @cached_property
    def _found(self) -> dict[Any, Any]:
        return {}

    def bounds(
        self,
        panel: Panel,
        index: WindowIndex,
        yhat: FloatArray,
        levels: Sequence[float],
        *,
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
        whole_path, recent, whole : bool
            What `Intervals` calls ``over="path"``, ``scale="recent"`` and ``whole``.

        Warns
        -----
        IntervalWarning
            If there are too few errors for a level.
        """
        place = self._places(panel, index)
        scales = np.stack(
            [running_scale(panel.values, panel.indptr, self.season_length, recent=r) for r in (False, True)]
        )
        scales = scales[:, panel.indptr[index.series] + index.rows]
        # A context is shorter than what its series has shown in training.
        short = (place >= 0) & (index.rows + 1 < self.lengths[place])
        unit = self._unit(np.where(short[:, None], self.last_units[:, place], scales), recent)
        floor, counts = self.floor[place], self.counts[place]
        fresh = np.flatnonzero(place < 0)
        if len(fresh):
            # Nothing is known of a series that was not fitted but what it shows up to its cutoff.
            floor[fresh], counts[fresh] = _respected(panel.windows(WindowIndex(index.series[fresh], index.rows[fresh])))
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
            floor[fresh] = _respected(shown)[0]
        return scale, floor

    def _places(self, panel: Panel, index: WindowIndex) -> IntArray:
        """Return which of the fitted series each window is of, -1 for none."""
        return np.array([self.position.get(name, -1) for name in panel.id_list], dtype=np.int64)[index.series]

    def _offsets(
        self, share: float, steps: int, place: IntArray, unit: FloatArray, whole_path: bool, recent: bool
    ) -> tuple[FloatArray, FloatArray, str]:
        """Return what to add to forecasts for the lower and upper bound, (W, H, C) each, and where it is from."""
        common = self._common(recent)
        found = self._relative(share, recent)
        if whole_path:
            found = self._of_paths(share, steps, recent, found)
        spread = np.where((place >= 0)[:, None, None], common.spread[place], common.step_spread)[:, :steps]
        size = spread * unit[:, None]
        low, high = size * found.low[:steps], size * found.high[:steps]
        source = np.broadcast_to(np.where(np.isnan(low), _NONE, found.source[:steps]), low.shape)
        if not whole_path:
            own = self._own(share, recent)
            lower, upper = (side[place][:, :steps] * unit[:, None] for side in own)
            use = (place >= 0)[:, None, None] & ~np.isnan(lower)
            low, high, source = np.where(use, lower, low), np.where(use, upper, high), np.where(use, _OWN, source)
        unsigned = np.broadcast_to(found.unsigned[:steps], low.shape) & (source != _OWN) & (source != _NONE)
        kinds = {}
        for number, name in enumerate(SOURCES):
            for without, more in ((False, ""), (True, _UNSIGNED)):
                part = np.mean((source == number) & (unsigned == without))
                if part > 0:
                    kinds[name + more + " (whole paths)" * (whole_path and number != _NONE)] = part
        return low, high, "; ".join(f"{name} ({part:.0%})" for name, part in kinds.items())

    def _common(self, recent: bool) -> CommonErrors:
        """Return the errors over their size."""
        key = ("common", recent)
        if key not in self._found:
            errors = _over(self.errors, self.units[int(recent)])
            lately = _log_of_recent(self.units, recent)
            self._found[key] = in_common_units(errors, self.clone, self.worth, self.rows, lately)
        common: CommonErrors = self._found[key]
        return common

    def _unit(self, scales: FloatArray, recent: bool) -> FloatArray:
        """Return what errors after some rows are measured by, (..., C), from both running scales there, (2, ..., C)."""
        unit: FloatArray = scales[int(recent)] * np.exp(self._common(recent).lately * _log_of_recent(scales, recent))
        return unit

    def _own(self, share: float, recent: bool) -> tuple[FloatArray, FloatArray]:
        """Return bounds in units from each series' own errors, (S, H, C), NaN where they are not many."""
        many = self.worth >= _MANY
        low, high = (np.full(self.worth.shape, np.nan) for _ in range(2))
        if many.any():
            key = ("own", recent)
            if key not in self._found:
                own = np.sort(_over(self.errors, self._unit(self.units, recent))[:, many], axis=0)
                self._found[key] = own, (~np.isnan(own)).sum(axis=0)
            errors, count = self._found[key]
            low[many], high[many] = _signed(errors, count, share, self.worth[many])
        return low, high

    def _relative(self, share: float, recent: bool) -> Relative:
        """Return bounds over the size of an error from those of all series, at the step if they are many."""
        relative, worth = self._common(recent).relative, self.worth.sum(axis=0)
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
            paths = np.sort(paths[~np.isnan(paths)])
            factor = np.maximum(kth_of_sorted(paths, rank_of(len(paths), share), len(paths)), 1.0)
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
    """Return errors (K, S, H, C) in units (K, S, C)."""
    unit = unit[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        # Of a series that has not moved yet, the errors tell nothing but that there was none.
        found = np.where(unit > 0, errors / unit, np.where(errors == 0, 0.0, np.nan))
    inside: FloatArray = np.where(np.isnan(errors), np.nan, found)
    return inside


def _log_of_recent(scales: FloatArray, recent: bool) -> FloatArray:
    """Return the logarithm of recent moves over the running scale in use, from both scales, (2, ..., C); 0 for none."""
    every, half = scales
    with np.errstate(divide="ignore", invalid="ignore"):
        # One of the scales is half of recent moves and half of all.
        found = np.log((2 * half - every) / scales[int(recent)])
    inside: FloatArray = np.where(np.isnan(found), 0.0, np.clip(found, -_MOST_MOVED, _MOST_MOVED))
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
    mean = float(errors.mean()) if len(errors) else 0.0
    chance = _CHANCE * float(errors.var()) / known if mean else 0.0
    return mean * max(0.0, 1 - chance / mean**2) if mean else 0.0


def _respected(panel: Panel) -> tuple[FloatArray, BoolArray]:
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
    most = min(_MOST_ROWS // len(panel.values), _MOST_ERRORS // (panel.n_series * horizon * panel.n_channels))
    most = int(np.clip(most, _FEWEST_ORIGINS, _MOST_ORIGINS))
    stride = _through_the_season(np.maximum(-(-(panel.lengths - cuts[0]) // most), 1), season)
    judged: Forecaster | None = None
    found: list[tuple[IntArray, IntArray, IntArray, FloatArray]] = []
    for number, (first, until) in enumerate(pairwise(cuts)):
        series = np.flatnonzero(until > first)
        # From the back, so that the last rows always count.
        number_of = -(-(until[series] - first[series]) // stride[series])
        nth = ragged_rows(np.zeros_like(number_of), number_of)
        who = np.repeat(series, number_of)
        rows = until[who] - 2 - (np.repeat(number_of, number_of) - 1 - nth) * stride[who]
        if len(who):
            # What one clone has settled from many rows the next one need not.
            stays = number > 0 and np.median(cuts[number - 1]) >= MANY_ROWS
            judged = _clone(model, panel.head(first), judged if stays else None)
            made = _errors(judged, panel, WindowIndex(who, rows), horizon)
            found.append((who, rows, np.full_like(who, number), made))
    series, rows, by = (np.concatenate([np.empty(0, dtype=np.int64), *(part[k] for part in found)]) for k in range(3))
    order = np.argsort(series, kind="stable")
    nth = np.empty_like(series)
    nth[order] = np.arange(len(series)) - np.searchsorted(series[order], series[order])
    shape = int(nth.max(initial=-1)) + 1, panel.n_series
    errors = np.full((*shape, horizon, panel.n_channels), np.nan)
    cutoffs, clone = (np.full(shape, -1, dtype=np.int64) for _ in range(2))
    cutoffs[nth, series], clone[nth, series] = rows, by
    if found:
        errors[nth, series] = np.concatenate([part[3] for part in found])
        errors = np.where(np.isfinite(errors), errors, np.nan)
    scales = np.stack([running_scale(panel.values, panel.indptr, season, recent=recent) for recent in (False, True)])
    units = np.full((2, *shape, panel.n_channels), np.nan)
    units[:, nth, series] = scales[:, panel.indptr[series] + rows]
    count = (~np.isnan(errors)).sum(axis=0)
    worth = np.empty(count.shape)
    for apart in np.unique(stride):
        alike = stride == apart
        worth[alike] = count[alike] * independent_share(errors[:, alike], int(apart))
    floor, counts = _respected(panel)
    return Calibration(
        {name: i for i, name in enumerate(panel.id_list)}, errors, cutoffs, clone, units,
        scales[:, panel.indptr[1:] - 1], worth, error_scale(panel.values, panel.indptr, season), floor, counts,
        panel.lengths, season,
    )  # fmt: skip


def _cuts(lengths: IntArray, horizon: int, season: int) -> list[IntArray]:
    """Return after how many rows each clone stops learning, ascending, and the rows of each series, (S,) each."""
    least = np.maximum(rows_to_learn(season), lengths // 2)
    short = lengths <= least + horizon
    # One horizon of few rows says more than nothing.
    few = np.where(lengths >= horizon + few_rows(season), lengths - horizon, lengths)
    first = np.where(short, few, least)
    return [first, *(first + (lengths - first) * k // _CUTS for k in range(1, _CUTS)), lengths]


def _through_the_season(stride: IntArray, season: int) -> IntArray:
    """Return strides that are no shorter, and so that cutoffs come by every place in the season alike."""
    found = stride.copy()
    while (shared := (found > 1) & (np.gcd(found, season) > 1)).any():
        found[shared] += 1
    return found


def _clone(model: Forecaster, panel: Panel, before: Forecaster | None) -> Forecaster | None:
    """Return a clone that has learnt from the rows of a panel; None if they are too few. `before` as in `_refitted`."""
    with warnings.catch_warnings():
        # What a clone on fewer rows would warn of is in its errors.
        warnings.simplefilter("ignore")
        try:
            return model._refitted(panel, before)
        except (TsforceError, np.linalg.LinAlgError):
            # Rows that are too few to learn from are too few to be judged by.
            return None


def _errors(clone: Forecaster | None, panel: Panel, index: WindowIndex, horizon: int) -> FloatArray:
    """Return truth less forecast, (W, H, C), of a clone."""
    ahead = index.rows[:, None] + np.arange(1, horizon + 1)
    known = ahead < panel.lengths[index.series][:, None]
    truth = panel.values[np.minimum(panel.indptr[index.series][:, None] + ahead, len(panel.values) - 1)]
    truth = np.where(known[:, :, None], truth, np.nan)
    yhat = np.full_like(truth, np.nan)
    if clone is not None:
        out = {panel.position[name] for name in getattr(clone, "short_series_", [])}
        able = np.flatnonzero(~np.isin(index.series, list(out)))
        with warnings.catch_warnings(), contextlib.suppress(TsforceError, np.linalg.LinAlgError):
            warnings.simplefilter("ignore")
            yhat[able] = clone._numbers(panel, WindowIndex(index.series[able], index.rows[able]), horizon)
    return truth - yhat
