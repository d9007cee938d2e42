"""Moments of training rows: what least squares needs to know of them.

Moments are kept rather than rows, so that a choice of ridge, a refit or a search re-uses one Gram.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tsforce.data.panel import IntArray, ragged_rows
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.lags import LagLayout
from tsforce.training.solvers.lag_rows import chunks_of_rows

__all__ = ["CANCELLED", "Anchor", "Gram", "accumulate", "accumulate_rows", "by_length", "has_shifts", "whole"]

# Series side by side in the shift path.
_CHUNK = 64
# Of moments that are worked on again and again.
_CACHED_BYTES = 2**21
# Where one column's sum of squares is this far below another's, what updates leave of it is mostly rounding.
CANCELLED = 1e-8
# Past this many steps per lag actually used, moments of all shifts cost more than the rows themselves.
_SPARSE = 8
# Share of the squares of targets that is nothing but the rounding of their means.
_ROUNDING = 1e-26


def whole(lower: Tensor) -> Tensor:
    """Return symmetric matrices (..., D, D) from their lower triangles; what stands above is not read.

    Examples
    --------
    >>> whole(torch.tensor([[1.0, 9.0], [2.0, 3.0]])).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    return lower.tril() + lower.tril(-1).mT


@dataclass(frozen=True, eq=False)
class Gram:
    """Moments of lag vectors x (D columns) and next targets y (C channels), summed over the training rows of G groups.

    x and y are taken relative to `x_origin` and `y_origin`, constants near their means, so that a level of a million
    does not swallow a variation of one.

    Attributes
    ----------
    xx : (G, D, D)
        Lower triangle of X'X; the upper one is not to be read.
    xy : (G, D, C)
    yy : (G, C)
        Sums of squares of the targets.
    x_sum, y_sum : (G, D), (G, C)
    x_origin, y_origin : (G, D), (G, C)
    rows : (G,)
    """

    xx: Tensor
    xy: Tensor
    yy: Tensor
    x_sum: Tensor
    y_sum: Tensor
    x_origin: Tensor
    y_origin: Tensor
    rows: Tensor

    def pieces(self) -> Iterator[tuple[slice, Gram]]:
        """Yield the moments of some groups at a time, no more than stay in the cache while they are worked on."""
        at_once = max(1, _CACHED_BYTES // (8 * self.xx.shape[1] ** 2))
        if at_once >= len(self.rows):
            yield slice(0, len(self.rows)), self
            return
        for start in range(0, len(self.rows), at_once):
            part = slice(start, start + at_once)
            yield part, self.groups(part)

    def groups(self, chosen: slice | Tensor) -> Gram:
        """Return the moments of some groups."""
        return Gram(*(getattr(self, f.name)[chosen] for f in fields(Gram)))

    def columns(self, chosen: Sequence[int]) -> Gram:
        """Return the moments of some columns, ascending."""
        index = list(chosen)
        return Gram(
            self.xx[:, index][:, :, index],
            self.xy[:, index],
            self.yy,
            self.x_sum[:, index],
            self.y_sum,
            self.x_origin[:, index],
            self.y_origin,
            self.rows,
        )

    def mapped(self, weight: Tensor) -> Gram:
        """Return the moments of linear maps of the columns, ``x @ weight``; a weight (D, D')."""
        return replace(
            self,
            xx=weight.mT @ whole(self.xx) @ weight,
            xy=weight.mT @ self.xy,
            x_sum=self.x_sum @ weight,
            x_origin=self.x_origin @ weight,
        )

    def about(self, x_origin: Tensor, y_origin: Tensor) -> Gram:
        """Return the moments relative to other origins (G, D), (G, C)."""
        rows, dx, dy = self.rows[:, None], self.x_origin - x_origin, self.y_origin - y_origin
        x_sum, y_sum = self.x_sum + rows * dx, self.y_sum + rows * dy
        return Gram(
            torch.baddbmm(self.xx, torch.stack([self.x_sum, dx], dim=2), torch.stack([dx, x_sum], dim=1)),
            self.xy + self.x_sum[:, :, None] * dy[:, None] + dx[:, :, None] * y_sum[:, None],
            self.yy + 2 * dy * self.y_sum + rows * dy**2,
            x_sum,
            y_sum,
            x_origin,
            y_origin,
            self.rows,
        )

    def times(self, weight: Tensor) -> Tensor:
        """Return ``X'X @ weight``, a weight (G, D, C)."""
        lower = self.xx.tril()
        return lower @ weight + lower.mT @ weight - self.xx.diagonal(dim1=1, dim2=2)[..., None] * weight

    def less(self, weight: Tensor) -> Gram:
        """Return the moments of what maps with a weight (G, D, C) leave of the targets."""
        told = self.times(weight)
        return replace(
            self,
            xy=self.xy - told,
            yy=self.yy - (weight * (2 * self.xy - told)).sum(dim=1),
            y_sum=self.y_sum - torch.einsum("gd,gdc->gc", self.x_sum, weight),
            y_origin=self.y_origin - torch.einsum("gd,gdc->gc", self.x_origin, weight),
        )


@dataclass(frozen=True, eq=False)
class Anchor:
    """What a penalty pulls weights of G groups to, in place of zero.

    Attributes
    ----------
    weight : (G, D, C)
    factors : (D,)
        By which the penalty of each column is multiplied.
    held : (G,)
        Penalty of the intercept, in shares of the number of rows.
    x_level, y_level : (G, D), (G, C)
        What columns and targets are taken relative to where the intercept is penalised: it then is what a map adds to
        a series at its own level.
    """

    weight: Tensor
    factors: Tensor
    held: Tensor
    x_level: Tensor
    y_level: Tensor

    def groups(self, chosen: Sequence[int]) -> Anchor:
        """Return that of some groups."""
        own = list(chosen)
        parts = (self.weight[own], self.factors, self.held[own], self.x_level[own], self.y_level[own])
        return Anchor(*parts)

    def target(self, channel: int) -> Anchor:
        """Return that of one target."""
        own = slice(channel, channel + 1)
        return replace(self, weight=self.weight[:, :, own], y_level=self.y_level[:, own])

    def left_of(self, gram: Gram) -> Gram:
        """Return the moments of what the weights leave of the targets."""
        return (gram.about(self.x_level, self.y_level) if bool(self.held.any()) else gram).less(self.weight)


def accumulate(
    store: SeriesStore,
    series: IntArray,
    stops: IntArray,
    layout: LagLayout,
    *,
    pooled: bool,
    intercept: bool,
    horizon: int = 1,
    first: int = 0,
) -> Gram:
    """Return the moments of every training row with a complete lag vector.

    Parameters
    ----------
    store : SeriesStore
    series : (S,) int64
        Series of the store to use.
    stops : (S,) int64
        Rows of each that may be learnt from; nothing at or after a stop is read. Each leaves at least one complete row
        when not `pooled`.
    layout : LagLayout
    pooled : bool
        One group over all series (scope="global"), else one group per series (scope="local").
    intercept : bool
        Whether the solution will have one; without, moments are about 0.
    horizon : int
        H, which matters with ``past_exog``: what a model reads of it then depends on the step, so that rows are those
        of every step 1..H after every cutoff, not of step 1 alone.
    first : int
        So many of those steps are left out, the first ones.

    Notes
    -----
    One channel of plain lags without window scaling has a shift structure: X'X differs from itself one column further
    only by the rows that enter and leave, so its edge (correlations, by FFT) gives the rest; features that are linear
    maps of lags follow from it, and so do lags relative to the last value, which are sums of differences. Everything
    else goes through `accumulate_rows`.
    """
    linear = all(feature.weights is not None for feature in layout.features)
    relative = store.scaling == "last" and not layout.features and not layout.ahead and layout.reach > 1
    shifts = linear and _has_stretches(store, replace(layout, features=())) and (relative or store.scaling is None)
    if not shifts or layout.reach > _SPARSE * layout.n_target_columns:
        return accumulate_rows(
            store, series, stops, layout, pooled=pooled, intercept=intercept, horizon=horizon, first=first
        )
    told = stops - store.first > layout.reach
    if pooled and told.any():
        # A series without a row says nothing.
        series, stops = series[told], stops[told]
    origin = _pooled_origin(store, series, stops, relative=relative) if intercept and pooled else None
    parts = by_length(stops) if pooled else [np.arange(len(series))]
    how: dict[str, Any] = {"intercept": intercept, "origin": origin, "relative": relative}
    grams = [_shift_moments(store, series[part], stops[part], layout.reach - relative, **how) for part in parts]
    gram = _pool(grams) if pooled else grams[0]
    lost = _cancelled(gram)
    if relative:
        gram = _relative_to_last(gram)
        lost |= _cancelled(gram.columns(range(layout.reach - 1)))
    gram = _read_by(layout, gram)
    if layout.features:
        lost |= _cancelled(gram)
    if pooled:
        return (
            gram if not bool(lost) else accumulate_rows(store, series, stops, layout, pooled=True, intercept=intercept)
        )
    return _with_rows(gram, lost, store, series, stops, layout, intercept=intercept)


def _read_by(layout: LagLayout, gram: Gram) -> Gram:
    """Return the moments of what a layout reads of all lags ``reach..1``."""
    nearest = layout.reach - layout.ahead
    used = [nearest - lag for lag in reversed(layout.lags)]
    if not layout.features:
        return gram if len(used) == layout.reach else gram.columns(used)
    rows = torch.eye(layout.reach, dtype=gram.xx.dtype, device=gram.xx.device)
    maps = [(*(nearest - f.reach) * (0.0,), *(f.weights or ()), *layout.ahead * (0.0,)) for f in layout.features]
    return gram.mapped(torch.cat([rows[used], rows.new_tensor(maps)]).mT)


def has_shifts(store: SeriesStore, layout: LagLayout) -> bool:
    """Return whether every lag vector is a stretch of its series, or a choice from one."""
    return store.scaling is None and _has_stretches(store, layout)


def _has_stretches(store: SeriesStore, layout: LagLayout) -> bool:
    """Return whether every lag vector is a stretch of its series, or a choice from one, before window scaling."""
    plain = not layout.features and not layout.has_inputs and len(layout.channels) == 1
    return plain and store.observed is None and store.told is None


def _pooled_origin(store: SeriesStore, series: IntArray, stops: IntArray, *, relative: bool) -> Tensor:
    """Return the mean of all values of some series, or if `relative` of all differences between neighbours."""
    begins, ends = store.indptr[series] + store.first, store.indptr[series] + stops
    if not relative:
        return store.values[torch.from_numpy(ragged_rows(begins, ends - begins))].mean()
    begins, ends = begins[ends > begins], ends[ends > begins]
    first, last = (store.values[torch.from_numpy(rows)].sum() for rows in (begins, ends - 1))
    return (last - first) / max(int((ends - begins - 1).sum()), 1)


def _relative_to_last(gram: Gram) -> Gram:
    """Return the moments of all lags relative to the last value, from those of the differences one lag apart."""
    reach = gram.xx.shape[1] + 1
    # The value L steps back is the last one less the L - 1 differences since; columns run from the oldest.
    return gram.mapped(-torch.ones(reach - 1, reach, dtype=gram.xx.dtype, device=gram.xx.device).tril())


def _cancelled(gram: Gram) -> Tensor:
    """Return the groups where one column varies so much less than another that updates between them lose digits, (G,).

    Columns share all rows but those at the edges, so this takes an outlier there, or a start of equal values.
    """
    energy = gram.xx.diagonal(dim1=1, dim2=2)
    variation = energy - gram.x_sum**2 / gram.rows.clamp(min=1)[:, None]
    return variation.amin(dim=1) < CANCELLED * energy.amax(dim=1)


def _with_rows(
    gram: Gram, lost: Tensor, store: SeriesStore, series: IntArray, stops: IntArray, layout: LagLayout, *,
    intercept: bool,
) -> Gram:  # fmt: skip
    """Return the moments of series, by rows of those where moments by shifts have lost their digits."""
    if not bool(lost.any()):
        return gram
    bad = torch.nonzero(lost)[:, 0].cpu()
    exact = accumulate_rows(store, series[bad.numpy()], stops[bad.numpy()], layout, pooled=False, intercept=intercept)
    return Gram(
        *(getattr(gram, f.name).index_copy(0, bad.to(gram.rows.device), getattr(exact, f.name)) for f in fields(Gram))
    )


def by_length(stops: IntArray) -> list[IntArray]:
    """Return chunks of positions of similar length, so that padding them to the longest costs little."""
    order = np.argsort(stops, kind="stable")
    return [order[start : start + _CHUNK] for start in range(0, len(order), _CHUNK)]


def _pool(parts: list[Gram]) -> Gram:
    """Return the sum over groups of moments that share their origins."""
    sums = {
        name: torch.stack([getattr(part, name).sum(dim=0, keepdim=True) for part in parts]).sum(dim=0)
        for name in ("xx", "xy", "yy", "x_sum", "y_sum", "rows")
    }
    return Gram(x_origin=parts[0].x_origin[:1], y_origin=parts[0].y_origin[:1], **sums)


def _shift_moments(
    store: SeriesStore,
    series: IntArray,
    stops: IntArray,
    reach: int,
    *,
    intercept: bool,
    origin: Tensor | None,
    relative: bool,
) -> Gram:
    """Return the moments of all lags ``reach..1`` of single-channel series, padded to the longest side by side.

    If `relative` those of differences from one row to the next.
    """
    counts = stops - store.first
    width = int(counts.max())
    y, mask = (part[..., 0] for part in store.cut(series, stops - 1, width))  # (S, width), right-aligned
    if relative:
        mask = mask[:, 1:] & mask[:, :-1]
        y, width, counts = torch.where(mask, y.diff(dim=1), 0.0), width - 1, counts - 1
    offset = y.new_zeros(len(series))
    if intercept:
        own_mean = y.sum(dim=1) / torch.from_numpy(counts).to(y.device)
        offset = own_mean if origin is None else origin.expand(len(series))
        y = torch.where(mask, y - offset[:, None], 0.0)
    rows = torch.from_numpy(np.maximum(counts - reach, 0)).to(y.device)[:, None]
    place = torch.arange(width, device=y.device)
    target = torch.where(place >= width - rows, y, 0.0)
    lag_one = torch.where((place >= width - rows - 1) & (place < width - 1) & (rows > 0), y, 0.0)
    # Correlations with the past by FFT: sums over the training rows of y_t * y_{t-k} and of y_{t-1} * y_{t-1-k}.
    size = 1 << (width + reach).bit_length()
    spectrum = torch.fft.rfft(y, n=size).conj()
    xy = torch.fft.irfft(torch.fft.rfft(target, n=size) * spectrum, n=size)[:, 1 : reach + 1].flip(1)
    edge = torch.fft.irfft(torch.fft.rfft(lag_one, n=size) * spectrum, n=size)[:, :reach].flip(1)
    # From one lag to the next older one, the row before the first enters (`front`) and the last leaves (`back`).
    step = torch.arange(reach - 1, device=y.device).flip(0)
    front = torch.where(rows > 0, y.gather(1, (width - rows - 2 - step).clamp(min=0)), 0.0)
    back = torch.where(rows > 0, y[:, (width - 2 - step).clamp(min=0)], 0.0)
    xx = y.new_zeros(len(series), reach, reach)
    xx[:, -1] = edge
    for i in range(reach - 1, 0, -1):
        older = xx[:, i - 1, :i]
        older.copy_(xx[:, i, 1 : i + 1])
        older.addcmul_(front[:, i - 1 : i], front[:, :i]).addcmul_(back[:, i - 1 : i], back[:, :i], value=-1)
    x_sum = torch.cat([(front - back), lag_one.sum(dim=1, keepdim=True)], dim=1).flip(1).cumsum(dim=1).flip(1)
    return Gram(
        xx=xx,
        xy=xy[..., None],
        yy=(target**2).sum(dim=1, keepdim=True),
        x_sum=x_sum,
        y_sum=target.sum(dim=1, keepdim=True),
        x_origin=offset[:, None].expand(-1, reach),
        y_origin=offset[:, None],
        rows=rows[:, 0].to(y.dtype),
    )


def accumulate_rows(
    store: SeriesStore,
    series: IntArray,
    stops: IntArray,
    layout: LagLayout,
    *,
    pooled: bool,
    intercept: bool,
    horizon: int = 1,
    first: int = 0,
) -> Gram:
    """Return the moments by building lag vectors in chunks: the slow twin, and the path for everything else.

    Parameters as in `accumulate`.
    """
    width, channels = len(layout.columns), len(layout.channels)
    members = [series] if pooled else [series[[i]] for i in range(len(series))]
    stops_of = np.zeros(len(store.lengths), dtype=np.int64)
    stops_of[series] = stops
    grams = []
    for chosen in members:
        zero = store.values.new_zeros
        gram = {
            "xx": zero(1, width, width), "xy": zero(1, width, channels), "yy": zero(1, channels),
            "x_sum": zero(1, width), "y_sum": zero(1, channels),
            "x_origin": zero(1, width), "y_origin": zero(1, channels),
            "rows": zero(1),
        }  # fmt: skip
        for x, y in chunks_of_rows(store, chosen, stops_of, layout, horizon, first):
            gram["rows"] += x.shape[1]
            if intercept and int(gram["rows"]) == x.shape[1]:
                gram["x_origin"], gram["y_origin"] = x.mean(dim=1), y.mean(dim=1)
            x, y = x - gram["x_origin"][:, None], y - gram["y_origin"][:, None]
            gram["xx"] += x.mT @ x
            gram["xy"] += x.mT @ y
            gram["yy"] += (y**2).sum(dim=1)
            gram["x_sum"] += x.sum(dim=1)
            gram["y_sum"] += y.sum(dim=1)
        grams.append(_without_rounding(Gram(**gram), layout))
    return Gram(*(torch.cat([getattr(gram, field.name) for gram in grams]) for field in fields(Gram)))


def _without_rounding(gram: Gram, layout: LagLayout) -> Gram:
    """Return the moments with zeros for features of the target that vary by rounding alone.

    The mean over a season of a series that repeats itself is a constant, but for the last digits.
    """
    if not layout.features:
        return gram
    rows, origin = gram.rows[:, None], gram.y_origin
    squares = (gram.yy + 2 * origin * gram.y_sum + rows * origin**2).amax(dim=1, keepdim=True)
    kept = gram.xx.diagonal(dim1=1, dim2=2) > _ROUNDING * squares
    kept[:, : len(layout.lags) * len(layout.channels)] = True
    kept[:, layout.n_target_columns :] = True
    both = kept[:, :, None] & kept[:, None]
    return replace(
        gram,
        xx=torch.where(both, gram.xx, 0.0),
        xy=torch.where(kept[:, :, None], gram.xy, 0.0),
        x_sum=torch.where(kept, gram.x_sum, 0.0),
    )
