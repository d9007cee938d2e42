"""Training rows as they stand: lag vectors and next targets, some at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray, ragged_rows
from tsforce.data.windows import SeriesStore, WindowBatch
from tsforce.dynamics.lags import LagLayout, known_inputs, lag_vector
from tsforce.training.solvers.usable_windows import before_stops

__all__ = [
    "LagVectors",
    "Shifts",
    "chunks_of_rows",
    "have_rows",
    "prior_of",
    "rare_rows",
    "rows_of",
    "seen_of",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Bytes of lag vectors at once.
_CHUNK_BYTES = 32 * 2**20
# Bytes of lag vectors that are kept.
_KEPT_BYTES = 2**28
# An input that is the same in all but so many rows: what happens in these is rare, and meant.
_RARE = 0.1
# A value that is so many robust standard deviations from its series' median is wild.
_WILD = 20.0


def chunks_of_rows(
    store: SeriesStore, series: IntArray, stops_of: IntArray, layout: LagLayout, horizon: int, first: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the training rows of some series, (1, n, D) and (1, n, C), a chunk of lag vectors at a time.

    `stops_of` is of all series of the store; `horizon` and `first` as in ``gram.accumulate``. Of a layout that looks
    ahead, rows are those of the one step that it is of.
    """
    reach = layout.reach - layout.ahead
    counts = np.maximum(stops_of[series] - store.first - reach, 0)
    steps, first = (layout.ahead + 1, layout.ahead) if layout.ahead else (horizon if layout.past_exog else 1, first)
    width = len(layout.columns) + len(layout.channels)
    at_once = max(1, _CHUNK_BYTES // (8 * (store.context_length + width * steps)))
    which = np.repeat(series, counts)
    cutoffs = ragged_rows(np.full(len(series), store.first + reach - 1), counts)
    for start in range(0, len(which), at_once):
        part = slice(start, start + at_once)
        batch = store.batch(which[None, part], cutoffs[None, part], horizon=steps)
        x, y = rows_of(layout, batch, steps, first)
        if steps > 1 or store.observed is not None:
            ends = before_stops(which[part], cutoffs[part], steps, stops_of)[:, first:]
            inside = torch.from_numpy(ends.T.ravel()).to(x.device) & seen_of(batch, first)
            x, y = x[:, inside], y[:, inside]
            if x.shape[1] == 0:
                continue
        yield x, y


def rows_of(layout: LagLayout, batch: WindowBatch, steps: int, first: int = 0) -> tuple[Tensor, Tensor]:
    """Return lag vectors and targets of every step of windows fed with truth, step by step: (1, steps * B, ...).

    `first`: so many steps are left out, the first ones.
    """
    assert batch.future is not None
    known = known_inputs(layout, batch.inputs, steps)
    length = batch.past.shape[2]
    fed = batch.past if steps == 1 else torch.cat([batch.past, batch.future], dim=2)
    x = [lag_vector(layout, fed, length + h, None if known is None else known[:, :, h]) for h in range(first, steps)]
    return torch.cat(x, dim=1), torch.cat([batch.future[:, :, h] for h in range(first, steps)], dim=1)


def seen_of(batch: WindowBatch, first: int = 0) -> Tensor:
    """Return which rows of `rows_of` have observed targets, (steps * B,) bool."""
    assert batch.future_mask is not None
    return batch.future_mask[0, :, first:].all(dim=-1).T.reshape(-1)


def have_rows(store: SeriesStore, series: IntArray, stops: IntArray, layout: LagLayout, first: int) -> BoolArray:
    """Return which series have rows at steps after the `first` ones, (S,)."""
    starts, ends = store.indptr[series] + store.first + layout.reach + first, store.indptr[series] + stops
    if store.observed is None:
        return starts < ends
    seen = store.observed.all(dim=1).cpu().numpy()
    return np.array([seen[a:b].any() for a, b in zip(starts, ends, strict=True)])


class Shifts:
    """Rows of lags of single-channel series: every one is a stretch of its series.

    Attributes
    ----------
    y : (n, 1)
        Targets.
    ends : (S,) int64
        Where the rows of each series end.
    prior : (n,)
        Weights of rows by what they read: less than 1 where a lag is wild.
    always : (n,) bool
        Rows that keep these under any loss.
    """

    def __init__(self, store: SeriesStore, series: IntArray, stops: IntArray, layout: LagLayout) -> None:
        flat = store.values[:, 0].cpu().numpy()
        self._parts = [
            flat[store.indptr[i] + store.first : store.indptr[i] + stop] for i, stop in zip(series, stops, strict=True)
        ]
        self._reach, self._places = layout.reach, layout.reach - np.array(layout.lags[::-1])
        self.ends = np.cumsum([max(0, len(part) - layout.reach) for part in self._parts])
        self.y = np.concatenate([part[layout.reach :] for part in self._parts])[:, None]
        self._values = np.concatenate(self._parts)
        tame = [_tame(part) for part in self._parts]
        lags = [np.flatnonzero(own < 1)[:, None] + np.array(layout.lags) - layout.reach for own in tame]
        self.prior, self.always = np.ones(len(self.y)), np.zeros(len(self.y), dtype=bool)
        for own, rows, end, part in zip(tame, lags, self.ends, self._parts, strict=True):
            first = end - max(0, len(part) - layout.reach)
            inside = (rows >= 0) & (rows < end - first)
            value = np.broadcast_to(own[own < 1][:, None], rows.shape)
            np.minimum.at(self.prior, first + rows[inside], value[inside])
        # Where among all values the lags of each row begin.
        n_before = np.cumsum([0] + [min(len(part), layout.reach) for part in self._parts])[:-1]
        self._begins = np.arange(len(self.y)) + np.repeat(n_before, np.diff(self.ends, prepend=0))

    def told(self, weight: FloatArray, bias: float) -> FloatArray:
        """Return what a map (D,) says to all rows, (n,)."""
        spread = np.zeros(self._reach)
        spread[self._places] = weight
        found = [np.correlate(part[:-1], spread, "valid") for part in self._parts if len(part) > self._reach]
        return np.concatenate(found) + bias

    def some(self, index: IntArray) -> Tensor:
        """Return the lag vectors of some rows, ascending, (len, D)."""
        return torch.from_numpy(self._values[self._begins[index][:, None] + self._places])

    def pieces(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield all lag vectors, with their places."""
        at_once = max(1, _KEPT_BYTES // (8 * len(self._places)))
        for start in range(0, len(self.y), at_once):
            place = slice(start, min(start + at_once, len(self.y)))
            yield place, self.some(np.arange(place.start, place.stop))


class LagVectors:
    """Rows of any lag vectors, series after series, kept where they are few; as `Shifts`."""

    def __init__(
        self, store: SeriesStore, series: IntArray, stops: IntArray, layout: LagLayout, horizon: int, first: int = 0
    ) -> None:
        stops_of = np.zeros(len(store.lengths), dtype=np.int64)
        stops_of[series] = stops
        self._made = store, series, stops_of, layout, horizon, first
        counts, targets, seen, kept, size, prior = [], [], [], [], 0, []
        width = layout.n_target_columns
        for own in series:
            counts.append(0)
            lags = []
            for x, y in chunks_of_rows(store, np.array([own]), stops_of, layout, horizon, first):
                counts[-1] += x.shape[1]
                targets.append(y[0].cpu().numpy())
                seen.append(x[0][:, width:].cpu().numpy())
                lags.append(x[0][:, :width].cpu().numpy())
                size += x.numel() * 8
                if size <= _KEPT_BYTES:
                    kept.append(x[0].cpu())
            prior += [_tame(np.concatenate(lags)).min(axis=1, initial=1.0)] if lags else []
        self.ends = np.cumsum(counts)
        self.y, self.prior = np.concatenate(targets), np.concatenate(prior)
        self._kept = torch.cat(kept) if size <= _KEPT_BYTES else None
        self.always = rare_rows(np.concatenate(seen))

    def pieces(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield all lag vectors, with their places."""
        if self._kept is not None:
            yield slice(0, len(self._kept)), self._kept
            return
        store, series, stops_of, layout, horizon, first = self._made
        start = 0
        for own in series:
            for x, _ in chunks_of_rows(store, np.array([own]), stops_of, layout, horizon, first):
                yield slice(start, start + x.shape[1]), x[0].cpu()
                start += x.shape[1]

    def told(self, weight: FloatArray, bias: float) -> FloatArray:
        """Return what a map (D,) says to all rows, (n,)."""
        w = torch.from_numpy(weight)
        return np.concatenate([(x @ w).numpy() for _, x in self.pieces()]) + bias

    def some(self, index: IntArray) -> Tensor:
        """Return the lag vectors of some rows, ascending, (len, D)."""
        found = []
        for place, x in self.pieces():
            low, high = np.searchsorted(index, (place.start, place.stop))
            if high > low:
                found.append(x[torch.from_numpy(index[low:high] - place.start)])
        return torch.cat(found)


def _tame(values: FloatArray) -> FloatArray:
    """Return weights (n, ...) that bound what the square of a value has to say, column by column; 1 of usual values.

    Huber's loss doubts targets, not lags: a single wild value would decide its weights in as many rows as there are.
    """
    if not len(values):
        return np.ones_like(values)
    apart = np.abs(values - np.median(values, axis=0))
    usual = _WILD * np.median(apart, axis=0) / 0.6744897501960817
    return np.where((apart > usual) & (usual > 0), usual / np.maximum(apart, 1e-300), 1.0) ** 2


def prior_of(x: FloatArray, ends: IntArray, layout: LagLayout) -> FloatArray:
    """Return weights of rows (n, D), series after series, by what they read: less than 1 where a lag is wild, (n,)."""
    parts = np.split(x[:, : layout.n_target_columns], ends[:-1])
    return np.concatenate([_tame(part).min(axis=1, initial=1.0) for part in parts if len(part)])


def rare_rows(columns: FloatArray) -> BoolArray:
    """Return the rows in which an input (n, F) is not what it is in nine of ten, (n,)."""
    other = columns != np.median(columns, axis=0)
    rare = other.mean(axis=0) <= _RARE
    found: BoolArray = (other & rare).any(axis=1)
    return found
