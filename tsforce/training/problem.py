"""Problem: what is to be learnt from which panel, and the validation windows inside its training rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from tsforce.data.inputs import InputCoder
from tsforce.data.panel import IntArray, Panel, WindowIndex, ragged_rows
from tsforce.data.transforms import Chain, Transform
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.heads.base import Head
from tsforce.dynamics.lags import LagLayout
from tsforce.scoring.metrics import error_scale, has_scale, mean_in_scales, sum_by
from tsforce.training.guard import GUARD, Guard
from tsforce.training.processes import ALONE, Processes
from tsforce.training.solvers.priors import Prior

__all__ = ["STRATEGIES", "Learnt", "Problem", "Validation"]

FloatArray = npt.NDArray[np.float64]

STRATEGIES = ("recursive", "direct", "dirrec", "rectify")
# Parts of a long window that stand for windows where models are compared: batch means of a simulation's output, of
# which 10 to 30 are enough (Schmeiser 1982, "Batch size effects in the analysis of simulation output"). The mean of
# fewer steps than this is hardly one.
_BLOCKS, _BLOCK_STEPS = 10, 4
# A record has settled where its last share varies by less than this part of what all of it does: noise judges there.
# It moved until the last row that is further from where it settled than so many standard deviations of what it does
# there.
_SETTLED, _MOVES = 0.25, 4.0
# Windows of each series, at most, that settings are chosen by; and of few series together, as long as these are no more
# than one of so many that could be spared.
_MOST, _TOGETHER, _LAST = 4, 60, 4


@dataclass(frozen=True, eq=False)
class Learnt:
    """What the transforms learnt from the rows before some stops, and the series seen through them.

    Attributes
    ----------
    chain : Chain
    store : SeriesStore
    guard : Guard
    stops : (S,) int64
    coder : InputCoder or None
    notes : list of str
        What closed forms have to tell of their fit to these rows.
    """

    chain: Chain
    store: SeriesStore
    guard: Guard
    stops: IntArray
    coder: InputCoder | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Validation:
    """Windows at the end of the training rows.

    Windows of unequal length are padded to the longest: their truth is NaN from their end on, and counts in no error.

    Attributes
    ----------
    stops : (S,) int64
        Rows of each series before its first window; what is validated learns from them only.
    n_windows : (S,) int64
    index : WindowIndex, W windows
    truth : (W, H, C) float64
        Original units.
    scale : (S, C) float64
        In-sample seasonal-naive scale of the rows before `stops`; 0 or NaN where there is none.
    n_blocks : (W,) int64
        Equal parts of each window that are compared one by one, every part of any window with the same weight; 1: the
        window is compared whole.
    """

    stops: IntArray
    n_windows: IntArray
    index: WindowIndex
    truth: FloatArray
    scale: FloatArray
    n_blocks: IntArray

    @property
    def horizon(self) -> int:
        """Steps of the longest window."""
        return int(self.truth.shape[1])

    @cached_property
    def blocks(self) -> Validation:
        """The same steps with every window cut into `n_blocks` parts, each a window of `index` for itself.

        Only to take errors of: a part does not start at its own cutoff, but was rolled out to from its window's.
        """
        if (self.n_blocks == 1).all():
            return self
        window = np.repeat(np.arange(len(self.truth)), self.n_blocks)
        nth, of = ragged_rows(np.zeros_like(self.n_blocks), self.n_blocks), self.n_blocks[window]
        steps = (~np.isnan(self.truth)).any(axis=2).sum(axis=1)[window]
        first, last = steps * nth // of, steps * (nth + 1) // of
        place = np.arange(self.horizon)
        inside = (place >= first[:, None]) & (place < last[:, None])
        truth = np.where(inside[..., None], self.truth[window], np.nan)
        index = WindowIndex(self.index.series[window], self.index.rows[window])
        return replace(self, index=index, truth=truth, n_blocks=np.ones(len(window), dtype=np.int64))

    @property
    def has_scale(self) -> npt.NDArray[np.bool_]:
        """Which series have a scale to divide by, that of one target at least, (S,)."""
        known: npt.NDArray[np.bool_] = np.logical_or.reduce(has_scale(self.scale), axis=1)
        return known

    def window_means(self, sizes: FloatArray) -> FloatArray:
        """Return the mean of the errors (W, H, C) of each window and target, (W, C); as `window_errors`."""
        known = ~np.isnan(self.truth)
        total = np.where(known, sizes, 0.0).sum(axis=1)
        count = known.sum(axis=1)
        error = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return np.where((count > 0) & ~np.isfinite(error), np.inf, error)

    def window_errors(self, yhat: FloatArray) -> FloatArray:
        """Return the mean absolute error of each window and target, original units, (W, C).

        inf where a forecast is not finite; NaN where no truth was observed.
        """
        return self.window_means(np.abs(yhat - self.truth))

    def errors(self, yhat: FloatArray) -> FloatArray:
        """Return the mean absolute error of each series over its windows, original units, (S, C).

        inf where a forecast is not finite, NaN without windows.
        """
        return self.series_means(np.abs(yhat - self.truth))

    def series_means(self, sizes: FloatArray) -> FloatArray:
        """Return the mean of the errors (W, H, C) of each series over its windows, (S, C); as `errors`."""
        per_window = self.window_means(sizes)
        known = ~np.isnan(per_window)
        total, count = (
            sum_by(self.index.series, part, len(self.stops)) for part in (np.where(known, per_window, 0.0), known)
        )
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def relative(self, errors: FloatArray) -> FloatArray:
        """Return errors (..., S, C) in units of each target's scale, their mean over targets (..., S).

        A target without a scale is left out; NaN where none has one.
        """
        return mean_in_scales(errors, self.scale)

    def relative_windows(self, sizes: FloatArray) -> FloatArray:
        """Return the mean errors (W, H, C) of windows in units of their series' scale, over targets too, (W,).

        NaN where there is no truth, or no scale.
        """
        return mean_in_scales(self.window_means(sizes), self.scale[self.index.series])

    def comparable(self, errors: FloatArray) -> FloatArray:
        """Return errors (..., S, C) as one number by which models of a series are compared, (..., S).

        Original units where there is one target; of several, in units of their scales, those without one as they are.
        """
        if errors.shape[-1] == 1:
            return errors[..., 0]
        return mean_in_scales(errors, np.where(has_scale(self.scale), self.scale, 1.0))


@dataclass(frozen=True, eq=False)
class Problem:
    """A panel, how it is transformed and scaled, and what a model reads.

    Attributes
    ----------
    panel : Panel
        Training rows only, S series.
    transforms : tuple of Transform
    scaling : str or None
        Window scaling.
    context_length : int
    layout : LagLayout
    horizon, season_length : int
    pooled : bool
        One model for all series (scope="global"), else one per series.
    intercept : bool or (S,) bool
        Whether closed forms fit one: of all series, or of each where each has a model of its own.
    device : torch.device
    coder : InputCoder or None
        Static codes and calendar, where there are inputs; their scales are learnt with the rest.
    judged_share : float or None
        Hold out the last share of each series as one long window, rather than windows of `horizon` steps. Series then
        are records of one system in the same units: while choosing, errors are measured in one scale of all of them,
        and one guard bounds their roll-outs, so that a record at rest has no unit of its own to blow its errors up.
    guard : float
        Factor of the guard of roll-outs; infinite: none.
    huber : float or None
        Threshold of Huber's loss, in robust scales, for closed forms; None: they are of squares.
    prior : Prior or None
        What closed forms of linear maps are shrunk to; None: to zero.
    strategy : str
        One of `STRATEGIES`: "recursive", one map that is fed its own outputs; else every step of the horizon has a map
        of its own, which reads what is known at the cutoff ("direct") and the forecasts since ("dirrec"), or is added
        to what one recursive map says ("rectify").
    base_ridge : (S,) float64 or None
        Penalty of that recursive map for each series.
    head : Head or None
        Law that the model answers with; None: a point.
    n_together : int or None
        Series that settings are chosen for together, of which these are some; None: these are all.
    processes : Processes
        That share the work of training by gradient.
    """

    panel: Panel
    transforms: tuple[Transform, ...]
    scaling: str | None
    context_length: int
    layout: LagLayout
    horizon: int
    season_length: int
    pooled: bool
    intercept: bool | npt.NDArray[np.bool_]
    device: torch.device
    coder: InputCoder | None = None
    judged_share: float | None = None
    guard: float = GUARD
    huber: float | None = None
    prior: Prior | None = None
    strategy: str = "recursive"
    base_ridge: FloatArray | None = None
    head: Head | None = None
    n_together: int | None = None
    processes: Processes = ALONE

    @property
    def direct(self) -> bool:
        """Whether every step of the horizon has a map of its own."""
        return self.strategy != "recursive"

    @property
    def shrinks_to_forecasts(self) -> bool:
        """Whether at a large penalty linear maps are a forecast by itself: that of a prior, or of a recursive map."""
        return self.prior is not None or self.strategy == "rectify"

    @property
    def doubts_other_maps(self) -> bool:
        """Whether maps that are none of these forecasts have to be better than luck: where nobody asked for a prior."""
        return self.shrinks_to_forecasts and (self.prior is None or self.prior.kind == "auto")

    @property
    def shares_prior(self) -> bool:
        """Whether maps of single series are shrunk to what all series teach, one map for all steps."""
        looks = self.prior is not None and self.prior.looks_at_all
        return looks and not self.pooled and not self.direct and not self.layout.known_until

    @property
    def rows_lost(self) -> int:
        """Rows at the start of a series that the transforms leave without a value."""
        return sum(t.rows_lost for t in self.transforms)

    @cached_property
    def every(self) -> IntArray:
        """Positions of all series."""
        return np.arange(self.panel.n_series)

    @cached_property
    def by_id(self) -> IntArray:
        """Positions of all series in the order of their ids: so that the order of the frame changes nothing."""
        return np.array(sorted(self.every, key=lambda i: str(self.panel.id_list[i])), dtype=np.int64)

    @property
    def most_have_intercepts(self) -> bool:
        """Whether closed forms that have one or none for all fit one."""
        return bool(np.mean(self.intercept) >= 0.5)

    @property
    def groups(self) -> IntArray | None:
        """The model's group of each series; None if there is one for all."""
        return None if self.pooled else self.every

    def take(self, series: IntArray) -> Problem:
        """Return the problem of some series."""
        intercept = self.intercept if isinstance(self.intercept, bool) else self.intercept[series]
        base_ridge = None if self.base_ridge is None else self.base_ridge[series]
        n_together = self.panel.n_series if self.n_together is None else self.n_together
        return replace(
            self, panel=self.panel.take(series), intercept=intercept, base_ridge=base_ridge, n_together=n_together
        )

    def learn(self, stops: IntArray) -> Learnt:
        """Return what the rows before `stops` teach."""
        panel = self.panel
        chain = Chain.learn(self.transforms, panel.values, panel.indptr, stops)
        coder = None if self.coder is None else self.coder.with_scales_of(panel, stops, pooled=self.pooled)
        store = SeriesStore(panel, chain, self.scaling, self.context_length, self.device, coder, self.layout.scans)
        guard = Guard.learn(store, self.every, stops, pooled=self.judged_share is not None, factor=self.guard)
        return Learnt(chain, store, guard, stops, coder)

    @property
    def to_choose_by(self) -> tuple[int, int, int]:
        """What `n_windows` takes where settings are chosen: few series have more windows, or luck would choose."""
        n_series = self.panel.n_series if self.n_together is None else self.n_together
        return _MOST, max(0, -(-_TOGETHER // max(n_series, 1)) - _MOST), _LAST

    def n_windows(self, most: int, more: int = 0, last: int = 2) -> IntArray:
        """Return how many validation windows each series spares beyond lags + differences + horizon rows.

        At most `most`, and up to `more` besides as long as they are no more than one of `last` that could be spared.
        Of a share of each series that is one window, at most 1: where a training row and two steps to judge are left.
        """
        if self.judged_share is not None:
            steps = self._judged_steps
            spares = (steps > 1) & (self.panel.lengths - steps > self.layout.reach + self.rows_lost)
            return np.minimum(spares.astype(np.int64), most)
        # A map of the last step learns from rows that have so many steps after them.
        need = self.layout.reach + self.rows_lost + self.horizon + self.direct * (self.horizon - 1)
        spare = (self.panel.lengths - need) // self.horizon
        return np.clip(spare, 0, most) + np.clip(spare // last - most, 0, more)

    @property
    def _judged_steps(self) -> IntArray:
        """Rows of the one long window of each series, (S,)."""
        assert self.judged_share is not None
        steps: IntArray = np.rint(self.judged_share * self.panel.lengths).astype(np.int64)
        return steps

    def validation(self, most: int, more: int = 0, last: int = 2) -> Validation:
        """Return the last windows of each series, as many as `n_windows`, side by side and not overlapping."""
        panel, horizon, count = self.panel, self.horizon, self.n_windows(most, more, last)
        if self.judged_share is not None:
            return self._long_windows(np.flatnonzero(count))
        stops = panel.lengths - count * horizon
        which = np.repeat(self.every, count)
        rows = ragged_rows(np.zeros_like(count), count) * horizon + stops[which] - 1
        truth = panel.values[panel.indptr[which][:, None] + rows[:, None] + np.arange(1, horizon + 1)]
        scale = error_scale(panel.values, panel.indptr, self.season_length, stops)
        return Validation(stops, count, WindowIndex(which, rows), truth, scale, np.ones_like(which))

    def _long_windows(self, series: IntArray) -> Validation:
        """Return one window of each of some series: the last share of its rows, however long that is.

        Of a record that has settled by then (a step test, a ring-down) all that moved before: it is learnt from too,
        and has more to say of a simulation than noise about a level.
        """
        panel, ends = self.panel, self.panel.lengths.copy()
        stops, least = ends.copy(), self.layout.reach + self.rows_lost
        firsts = ends - self._judged_steps
        for i in series:
            moved = _moved_until(panel.values[panel.indptr[i] : panel.indptr[i + 1]], firsts[i])
            if moved > least + 1:
                firsts[i], ends[i] = least, moved
            else:
                stops[i] = firsts[i]
        steps = (ends - firsts)[series]
        truth = np.full((len(series), int(steps.max(initial=1)), panel.n_channels), np.nan)
        for own, i in zip(truth, series, strict=True):
            own[: ends[i] - firsts[i]] = panel.values[panel.indptr[i] + firsts[i] : panel.indptr[i] + ends[i]]
        count = np.zeros(panel.n_series, dtype=np.int64)
        count[series] = 1
        blocks = np.clip(steps // _BLOCK_STEPS, 1, _BLOCKS)
        return Validation(
            stops, count, WindowIndex(series, firsts[series] - 1), truth, self._joint_scale(stops), blocks
        )

    def _joint_scale(self, stops: IntArray) -> FloatArray:
        """Return the seasonal-naive scale of the rows before `stops` of all series together, for each, (S, C)."""
        panel, season = self.panel, self.season_length
        apart = np.full((season, panel.n_channels), np.nan)
        # Differences with a missing value count in no scale: these are the borders between series.
        begins = panel.indptr[:-1]
        parts = [part for a, n in zip(begins, stops, strict=True) for part in (panel.values[a : a + n], apart)]
        joined = np.concatenate(parts[:-1])
        return np.tile(error_scale(joined, [0, len(joined)], season), (panel.n_series, 1))


def _moved_until(values: FloatArray, first: int) -> int:
    """Return the row after which a record (n, C) did not move any more, if it had settled by row `first`; else 0."""
    tail = values[first:]
    level, noise = tail.mean(axis=0), tail.std(axis=0)
    if not (noise < _SETTLED * values.std(axis=0)).all():
        return 0
    moving = np.flatnonzero((np.abs(values[:first] - level) > _MOVES * noise).any(axis=1))
    return int(moving[-1]) + 1 if len(moving) else 0
