"""The guard of roll-outs: which windows ran away, and where they are held."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray, ragged_rows
from tsforce.data.transforms import BoxCox, Log
from tsforce.data.windows import SeriesStore, WindowBatch
from tsforce.dynamics.far_out import stays_near
from tsforce.dynamics.lags import LagLayout, known_inputs
from tsforce.scoring.ranges import usual_range

__all__ = ["GUARD", "Guard", "Hold", "missing_steps"]

FloatArray = npt.NDArray[np.float64]

# Spans that a roll-out may leave the usual range by.
GUARD = 10.0
# Transforms whose bounds are none of the target: ten ranges of a logarithm are no ten ranges of what it is of.
_BENT = (Log, BoxCox)


class Hold(NamedTuple):
    """What the guard says of a roll-out of G x B windows.

    Attributes
    ----------
    outside : (G, B, H) bool
        Steps further out than the series' own range explains, or not finite, or far from a context at a new level.
    bounds : (low, high), (G, B, H, C) each, or None
        To roll out once more with, infinite where nothing is to be held; None: nothing is, anywhere.
    """

    outside: Tensor
    bounds: tuple[Tensor, Tensor] | None


@dataclass(frozen=True, eq=False)
class Guard:
    """How far roll-outs may go at prediction: `factor` spans beyond what a series usually shows, and all it showed.

    Usual is what ``scoring.ranges.usual_range`` finds in the training rows, and what the window's own context shows:
    a history at a new level, or of another size, is where its forecasts start from. Held is only what the map itself
    drives out: not a step that reads observed values alone, unless it is not finite, nor a roll-out of a map that
    cannot run away (see ``dynamics.far_out.stays_near``), wherever inputs send it.

    Attributes
    ----------
    low, high : (S, C) float64
        Of training rows, after the transforms, before window scaling. Infinite where all of them are 0.
    span : (S, C) float64
        High less low of the usual range.
    factor : float
        Infinite: no guard.
    level_low, level_high : (S, C) float64, or None
        Bounds of the training rows in original units, where a transform bends them; else those above say it all.
    """

    low: FloatArray
    high: FloatArray
    span: FloatArray
    factor: float = GUARD
    level_low: FloatArray | None = None
    level_high: FloatArray | None = None

    @staticmethod
    def learn(
        store: SeriesStore, series: IntArray, stops: IntArray, *, pooled: bool = False, factor: float = GUARD
    ) -> Guard:
        """Return the guard learnt from the rows before `stops` of each series; of all together if `pooled`."""
        counts = stops - store.first
        rows = store.values.cpu().numpy()[ragged_rows(store.indptr[series] + store.first, counts)]
        usual = usual_range(rows, counts.sum(keepdims=True) if pooled else counts)
        guard = Guard(*usual.bounds(factor), usual.span, factor)
        if any(isinstance(transform, _BENT) for transform in store.chain.transforms):
            rows = store.stages[0].cpu().numpy()[ragged_rows(store.indptr[series], stops)]
            low, high = usual_range(rows, stops.sum(keepdims=True) if pooled else stops).bounds(factor)
            guard = replace(guard, level_low=low, level_high=high)
        return guard.take(np.zeros(len(series), dtype=np.int64)) if pooled else guard

    def take(self, series: IntArray) -> Guard:
        """Return the guard of some series, repeats allowed."""
        levels = (None if side is None else side[series] for side in (self.level_low, self.level_high))
        return Guard(self.low[series], self.high[series], self.span[series], self.factor, *levels)

    def followed_by(self, other: Guard) -> Guard:
        """Return the guard of these series, then those of another one."""
        levels = (
            None if a is None or b is None else np.concatenate([a, b])
            for a, b in ((self.level_low, other.level_low), (self.level_high, other.level_high))
        )
        sides = ((self.low, other.low), (self.high, other.high), (self.span, other.span))
        low, high, span = (np.concatenate(pair) for pair in sides)
        return Guard(low, high, span, self.factor, *levels)

    def joined(self, other: Guard) -> Guard:
        """Return the guard of series that have been where either says."""
        low, high = np.fmin(self.low, other.low), np.fmax(self.high, other.high)
        levels: list[FloatArray | None] = [None, None]
        if self.level_low is not None and self.level_high is not None:
            assert other.level_low is not None
            assert other.level_high is not None
            levels = [np.fmin(self.level_low, other.level_low), np.fmax(self.level_high, other.level_high)]
        return Guard(low, high, np.fmax(self.span, other.span), self.factor, *levels)

    def look(self, z: Tensor, share: Tensor | None, model: Any, batch: WindowBatch) -> Hold | None:
        """Return what is to be held of a roll-out; None if all of it is where it may be.

        Parameters
        ----------
        z : (G, B, H, C)
            Rolled out without bounds, model units.
        share : (G, B, H, C) or None
            Share of truth that was fed back.
        model : StepModel
            That rolled it out.
        batch : WindowBatch
        """
        if not np.isfinite(self.factor):
            return None
        series, device = batch.series.cpu().numpy(), z.device
        low, high = (torch.from_numpy(side[series]).to(device) for side in (self.low, self.high))
        centre, scale = batch.centre[:, :, 0], batch.scale[:, :, 0]
        # Without a unit every model unit is the centre, and none is far off.
        low, high = (
            torch.where(scale == 0, endless, (side - centre) / torch.where(scale == 0, 1.0, scale))
            for side, endless in ((low, -torch.inf), (high, torch.inf))
        )
        # A history at a new level, from which a map may lead straight back to the old one.
        moved = self._outside(batch.past[:, :, -1:], low, high)
        if not bool((self._outside(z, low, high) | moved).any()):
            return None
        near_low, near_high = self._around_contexts(batch, series)
        low, high = torch.fmin(low, near_low), torch.fmax(high, near_high)
        known = known_inputs(model.layout, batch.inputs, z.shape[2])
        missing = missing_steps(known, z)
        outside = self._outside(z, low, high) & ~missing
        astray = moved & self._outside(z, near_low, near_high) & ~missing
        if not bool((outside | astray).any()):
            return None
        lost = ~z.isfinite().all(dim=3) & ~missing
        told = _from_truth(share, model.layout, outside)
        if share is None and not (model.layout.past_exog or model.layout.future_exog):
            # Inputs may send a step anywhere; lags alone should not, further than some times what they are.
            far = z[:, :, :1].abs() > self.factor * batch.past.to(z.dtype).abs().amax(dim=2, keepdim=True)
            told = told & ~far.any(dim=3)
        hold = outside & (~told | lost)
        groups = torch.nonzero(hold.any(dim=(1, 2)) & ~lost.any(dim=(1, 2)))[:, 0]
        if len(groups):
            near = _stay_near(model, batch, known, hold, groups, z.dtype)
            # A stable map may still rest far off: where lags alone send the first step there, it is not let.
            hold[groups] &= ~near | (hold & ~told)[groups][:, :, :1]
        if not bool(hold.any()):
            return Hold(outside | astray, None)
        # From its first such step on a window is held, but for what its observed values say.
        held = (hold.any(dim=2, keepdim=True) & ~told) | hold
        low, high = (
            torch.where(held[..., None], side[:, :, None], endless).to(z.dtype)
            for side, endless in ((low, -torch.inf), (high, torch.inf))
        )  # fmt: skip
        return Hold(outside | astray, (low, high))

    def held_levels(
        self, levels: Tensor, share: Tensor | None, model: Any, batch: WindowBatch, context: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor] | None:
        """Return a roll-out within the bounds in original units, and the steps (G, B, H) held there; None if none is.

        Where transforms bend, bounds of what the map sees are none of what comes out. Held is what runs away, as in
        `look`; outputs that were fed back stay what they were.

        Parameters
        ----------
        levels : (G, B, H, C)
            Original units; NaN is missing.
        share : (G, B, H, C) or None
            Share of truth that was fed back.
        model : StepModel
        batch : WindowBatch
        context : values and mask, (G, B, L, C) each
            What was seen up to the cutoffs, original units.
        """
        if self.level_low is None or self.level_high is None or not np.isfinite(self.factor):
            return None
        series = batch.series.cpu().numpy()
        low, high = (torch.from_numpy(side[series]).to(levels) for side in (self.level_low, self.level_high))
        if not bool(((levels < low[:, :, None]) | (levels > high[:, :, None])).any()):
            return None
        past = torch.where(context[1], context[0], torch.nan).cpu().numpy()
        counts = np.full(past.shape[0] * past.shape[1], past.shape[2], dtype=np.int64)
        near = usual_range(past.reshape(-1, past.shape[3]), counts).bounds(self.factor)
        own_low, own_high = (torch.from_numpy(side.reshape(low.shape)).to(levels) for side in near)
        low, high = torch.fmin(low, own_low)[:, :, None], torch.fmax(high, own_high)[:, :, None]
        hold = ((levels < low) | (levels > high)).any(dim=3)
        if share is not None or model.layout.past_exog or model.layout.future_exog:
            # Observed values may send a step anywhere.
            hold &= ~_from_truth(share, model.layout, hold)
        groups = torch.nonzero(hold.any(dim=(1, 2)))[:, 0]
        if len(groups):
            known = known_inputs(model.layout, batch.inputs, levels.shape[2])
            dtype = next(model.parameters()).dtype if isinstance(model, torch.nn.Module) else torch.float64
            hold[groups] &= ~_stay_near(model, batch, known, hold, groups, dtype)
        if not bool(hold.any()):
            return None
        return torch.where(hold[..., None], torch.minimum(torch.maximum(levels, low), high), levels), hold

    @staticmethod
    def _outside(z: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the steps that are not within bounds (G, B, C), (G, B, H); what is no number is not."""
        low, high = (side.to(z.dtype)[:, :, None] for side in (low, high))
        # Both comparisons of a number that is within infinite bounds hold; infinities are not within any.
        inside = (z >= low) & (z <= high) & (z - z == 0)
        return ~inside.all(dim=3)

    def _around_contexts(self, batch: WindowBatch, series: IntArray) -> tuple[Tensor, Tensor]:
        """Return bounds (G, B, C) that leave room around the contexts of windows; model units."""
        groups, windows, length, channels = batch.past.shape
        past = torch.where(batch.past_mask, batch.past, torch.nan).cpu().numpy().astype(np.float64)
        counts = np.full(groups * windows, length, dtype=np.int64)
        usual = usual_range(past.reshape(-1, channels), counts)
        own = (usual.high - usual.low).reshape(groups, windows, channels)
        scale = batch.scale[:, :, 0].cpu().numpy()
        training = np.where(scale == 0, np.nan, self.span[series] / np.where(scale == 0, 1.0, scale))
        # What varies in neither tells no scale: nothing is far from it.
        span = np.where(np.isfinite(training), np.fmax(training, own), np.where(own > 0, own, np.inf))
        near = usual._replace(span=span.reshape(-1, channels)).bounds(self.factor)
        low, high = (torch.from_numpy(side.reshape(groups, windows, channels)).to(batch.past.device) for side in near)
        return low, high


def _stay_near(
    model: Any, batch: WindowBatch, known: Tensor | None, hold: Tensor, groups: Tensor, dtype: torch.dtype
) -> Tensor:
    """Return of which groups the map cannot run away, (groups, 1, 1); the first window of each to be held shows it."""
    first = hold.any(dim=2).int().argmax(dim=1)[groups]
    own = model if len(groups) == len(hold) else model.groups(groups)
    past = batch.past[groups, first][:, None].to(dtype)
    now = None if known is None else known[groups, first, :1].to(dtype)
    return stays_near(own, past, now).to(hold.device)[:, None, None]


def missing_steps(known: Tensor | None, z: Tensor) -> Tensor:
    """Return the steps of a roll-out from the first unknown input on, (G, B, H): where it is missing, so is a forecast.

    Parameters
    ----------
    known : (G, B, H, Dk) or None
        From ``known_inputs``.
    z : (G, B, H, C)
    """
    if known is None:
        return torch.zeros(z.shape[:3], dtype=torch.bool, device=z.device)
    return known.isnan().any(dim=3).cummax(dim=2).values


def _from_truth(share: Tensor | None, layout: LagLayout, like: Tensor) -> Tensor:
    """Return the steps that read no own output, (G, B, H): the first after the cutoff, and those fed truth alone."""
    steps = torch.arange(like.shape[2], device=like.device)
    if share is None:
        return (steps == 0).expand(like.shape)
    own = torch.nn.functional.pad((share < 1).any(dim=3).long().cumsum(dim=2), (1, 0))
    # Own outputs among the last fed values that a step reads before each step; a mean of all reads every one.
    since = torch.zeros_like(steps) if layout.recurrences else (steps - layout.context).clamp(min=0)
    return own[:, :, :-1] == own[:, :, since]
