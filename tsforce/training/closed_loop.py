"""Closed-loop forecasts of many windows at once: what validation, prediction and backtests have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray, WindowIndex, ragged_rows
from tsforce.data.windows import SeriesStore, WindowBatch
from tsforce.dynamics.forcing import ClosedLoop, Forcing
from tsforce.dynamics.lags import Inputs
from tsforce.dynamics.rollout import rollout

__all__ = ["Guard", "as_dtype", "dtype_of", "forecast_windows"]

FloatArray = npt.NDArray[np.float64]

# Bytes of lag buffers at once.
_CHUNK_BYTES = 8 * 2**20


@dataclass(frozen=True, eq=False)
class Guard:
    """Bounds of a roll-out at prediction: training mean +- 10 times the training range, per series.

    Attributes
    ----------
    low, high : (S, C) float64
        After the transforms, before window scaling. Infinite where the training range is 0: a constant tells no scale.
    """

    low: FloatArray
    high: FloatArray

    @staticmethod
    def learn(store: SeriesStore, series: IntArray, stops: IntArray, *, pooled: bool = False) -> Guard:
        """Return the bounds learnt from the rows before `stops` of each series; of all together if `pooled`."""
        counts = stops - store.first
        rows = store.values.cpu().numpy()[ragged_rows(store.indptr[series] + store.first, counts)]
        starts = np.zeros(1, dtype=np.int64) if pooled else np.cumsum(counts) - counts
        known = ~np.isnan(rows)
        n_known = np.maximum(np.add.reduceat(known, starts, axis=0, dtype=np.int64), 1)
        mean = np.add.reduceat(np.where(known, rows, 0.0), starts, axis=0) / n_known
        # A missing value is neither the largest nor the smallest.
        span = np.fmax.reduceat(rows, starts, axis=0) - np.fmin.reduceat(rows, starts, axis=0)
        with np.errstate(over="ignore"):
            reach = np.where(span > 0, 10 * span, np.inf)
        guard = Guard(mean - reach, mean + reach)
        return guard.take(np.zeros(len(series), dtype=np.int64)) if pooled else guard

    def take(self, series: IntArray) -> Guard:
        """Return the bounds of some series, repeats allowed."""
        return Guard(self.low[series], self.high[series])

    def in_model_units(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Return the bounds of each window, (G, B, C)."""
        low, high = (torch.from_numpy(side).to(batch.past.device)[batch.series] for side in (self.low, self.high))
        centre, scale = batch.centre[:, :, 0], batch.scale[:, :, 0]
        return (low - centre) / scale, (high - centre) / scale


def dtype_of(model: Any) -> torch.dtype:
    """Return the precision that a step model computes in; float64 if it is no torch module."""
    return next(model.parameters()).dtype if isinstance(model, torch.nn.Module) else torch.float64


def as_dtype(inputs: Inputs | None, dtype: torch.dtype) -> Inputs | None:
    """Return inputs in a model's precision."""
    if inputs is None:
        return None
    past_exog, future_exog, static, calendar = (part.to(dtype) for part in inputs)
    return past_exog, future_exog, static, calendar


def forecast_windows(
    store: SeriesStore,
    model: Any,
    guard: Guard,
    index: WindowIndex,
    horizon: int,
    *,
    groups: IntArray | None,
    forcing: Forcing | None = None,
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return forecasts in original units, closed loop unless said otherwise, and which windows met the guard.

    Parameters
    ----------
    store : SeriesStore
        No row after a window's cutoff is read.
    model : StepModel
        With a method ``groups(indices)`` if `groups` is given.
    guard : Guard
        Bounds of the store's series.
    index : WindowIndex, W windows
    horizon : int
    groups : (S,) int64 or None
        The model's group for each series of the store (scope="local"); None: one group for all.
    forcing : Forcing, optional
        ``ClosedLoop()`` by default. ``OpenLoop()`` gives one-step forecasts of every step, and reads the store's rows
        after the cutoff.

    Returns
    -------
    yhat : (W, H, C) float64
        Original units, after the cutoff.
    clipped : (W,) bool
        Where the guard clipped, or a value is not finite (which it is also where an input is not).
    """
    yhat = np.empty((len(index), horizon, store.values.shape[1]))
    clipped = np.zeros(len(index), dtype=bool)
    columns = store.values.shape[1] if store.inputs is None else store.values.shape[1] + store.inputs.width
    window_bytes = 8 * (store.context_length + horizon) * columns
    at_once = max(1, _CHUNK_BYTES // window_bytes)

    forcing = forcing or ClosedLoop()
    dtype = dtype_of(model)

    def run(part_model: Any, series: IntArray, rows: IntArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        batch = store.batch(series, rows, horizon, truth=forcing.needs_truth)
        low, high = guard.in_model_units(batch)
        bounds = low.to(dtype), high.to(dtype)
        future = None if batch.future is None else batch.future.to(dtype)
        z, fed = rollout(
            part_model, batch.past.to(dtype), horizon, forcing,
            future=future, future_mask=batch.future_mask, bounds=bounds, inputs=as_dtype(batch.inputs, dtype),
        )  # fmt: skip
        hit = ((z <= bounds[0][:, :, None]) | (z >= bounds[1][:, :, None])).flatten(start_dim=2).any(dim=2)
        hit |= ~torch.isfinite(z).flatten(start_dim=2).all(dim=2)
        levels = store.to_levels(z.double(), batch, rows, None if fed is None else fed.double())
        return levels.cpu().numpy(), hit.cpu().numpy()

    # A long roll-out of one window is mostly overhead, of which inference mode has a third less.
    with torch.inference_mode():
        if groups is None:
            for start in range(0, len(index), at_once):
                part = slice(start, start + at_once)
                levels, hit = run(model, index.series[None, part], index.rows[None, part])
                yhat[part], clipped[part] = levels[0], hit[0]
            return yhat, clipped
        present, first, count = np.unique(index.series, return_index=True, return_counts=True)
        # Series side by side as groups; ragged counts of windows are padded by repeating the last one.
        series_at_once = max(1, at_once // int(count.max(initial=1)))
        for start in range(0, len(present), series_at_once):
            chosen = slice(start, start + series_at_once)
            widest = int(count[chosen].max())
            offsets = np.minimum(np.arange(widest), count[chosen, None] - 1)
            where = first[chosen, None] + offsets
            part_model = model.groups(torch.from_numpy(groups[present[chosen]]))
            levels, hit = run(part_model, index.series[where], index.rows[where])
            real = np.arange(widest) < count[chosen, None]
            yhat[where[real]], clipped[where[real]] = levels[real], hit[real]
    return yhat, clipped
