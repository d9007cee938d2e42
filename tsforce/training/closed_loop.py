"""Closed-loop forecasts of many windows at once: what validation, prediction and backtests have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray, WindowIndex
from tsforce.data.windows import SeriesStore, WindowBatch, WindowInputs
from tsforce.dynamics.forcing import ClosedLoop, Forcing
from tsforce.dynamics.heads.headed import Headed
from tsforce.dynamics.lags import Inputs, known_inputs
from tsforce.dynamics.models.base import Pick
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.rollout import rollout
from tsforce.training.guard import Guard, missing_steps

__all__ = [
    "Chunk",
    "Excursions",
    "as_dtype",
    "chunks",
    "dtype_of",
    "far_off",
    "forecast_windows",
    "repeated_windows",
    "unit_of",
]

FloatArray = npt.NDArray[np.float64]

# Bytes of lag buffers at once.
_CHUNK_BYTES = 8 * 2**20
# Times the largest value of a context, model units: its cube fits in float64, and itself in float32.
_FAR = 1e30


class Excursions(NamedTuple):
    """Where roll-outs left the range of their series, see `Guard`.

    Attributes
    ----------
    outside : (W, H) bool
        Steps further out than the series' own range explains; held or not.
    held : (W, H) bool
        Steps whose outputs were replaced, by a bound or by the last finite value.
    """

    outside: npt.NDArray[np.bool_]
    held: npt.NDArray[np.bool_]


def dtype_of(model: Any) -> torch.dtype:
    """Return the precision that a step model computes in; float64 if it is no torch module."""
    return next(model.parameters()).dtype if isinstance(model, torch.nn.Module) else torch.float64


def as_dtype(inputs: Inputs | None, dtype: torch.dtype) -> Inputs | None:
    """Return inputs in a model's precision."""
    if inputs is None:
        return None
    return tuple(part.to(dtype) for part in inputs)


def unit_of(store: SeriesStore, batch: WindowBatch) -> Tensor:
    """Return original units in one model unit, (G, B, 1, C), where transforms and scaling do nothing but divide."""
    # No such transform reads a row.
    return store.to_levels(torch.ones_like(batch.past[:, :, :1]), batch, np.zeros(batch.series.shape, dtype=np.int64))


def far_off(batch: WindowBatch, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return bounds (G, B, 1, C) that no forecast comes near, so that what runs away stays a number to regressors.

    A regressor may square what it is fed, or refuse infinity.
    """
    far = _FAR * (1 + batch.past.abs().amax(dim=2, keepdim=True)).to(dtype)
    return -far, far


def forecast_windows(
    store: SeriesStore,
    model: Any,
    guard: Guard,
    index: WindowIndex,
    horizon: int,
    *,
    groups: IntArray | None,
    forcing: Forcing | None = None,
    shocks: FloatArray | None = None,
) -> tuple[FloatArray, Excursions]:
    """Return forecasts in original units, closed loop unless said otherwise, and where the guard had a say in them.

    Parameters
    ----------
    store : SeriesStore
        No row after a window's cutoff is read.
    model : StepModel
        With a method ``groups(indices)`` if `groups` is given.
    guard : Guard
        Of the store's series.
    index : WindowIndex, W windows
    horizon : int
    groups : (S,) int64 or None
        The model's group for each series of the store (scope="local"); None: one group for all.
    forcing : Forcing, optional
        ``ClosedLoop()`` by default. ``OpenLoop()`` gives one-step forecasts of every step, and reads the store's rows
        after the cutoff.
    shocks : (W, P, H, C) float64, optional
        Added to the output of each step before it is fed back, of P roll-outs of each window; model units. Of a model
        with a head (W, P, H, C, 2), uniform numbers that its laws are drawn by.

    Returns
    -------
    yhat : (W, H, C) float64
        Original units, after the cutoff. Of several roll-outs (W P, H, C), window by window.
    excursions : Excursions
        All False where an input is not known, and so the forecast is NaN.
    """
    copies = 1 if shocks is None else shocks.shape[1]
    yhat = np.empty((len(index), copies, horizon, store.values.shape[1]))
    met = Excursions(*(np.zeros((len(index), copies, horizon), dtype=bool) for _ in range(2)))
    forcing = forcing or ClosedLoop()
    dtype = dtype_of(model)

    def roll(
        part_model: Any, batch: WindowBatch, bounds: tuple[Tensor, Tensor], added: Tensor | None, copies: int = 1
    ) -> Any:
        pick: Pick | None = None
        if isinstance(part_model, Headed) and added is not None:
            unit = unit_of(store, batch).repeat_interleave(copies, dim=1) if part_model.head.of_counts else None
            pick, added = part_model.draws(added, unit), None
        if copies > 1:
            pick = _parted(copies, pick)
        future = None if batch.future is None else batch.future.to(dtype)
        return rollout(
            part_model, batch.past.to(dtype), horizon, forcing, future=future, future_mask=batch.future_mask,
            bounds=bounds, inputs=as_dtype(batch.inputs, dtype), shocks=added, pick=pick,
        )  # fmt: skip

    def run(part: Chunk) -> tuple[FloatArray, Tensor | None, Tensor | None]:
        part_model, series, rows = part.model, part.series, part.rows
        batch = store.batch(series, rows, horizon, truth=forcing.needs_truth)
        bounds = far_off(batch, dtype)
        added: Tensor | None = None
        if shocks is None:
            z, fed = roll(part_model, batch, bounds, None)
        else:
            added = torch.from_numpy(shocks[part.where]).to(batch.past.device, dtype).flatten(1, 2)
            response = part_model.response(horizon) if isinstance(part_model, Linear) else None
            if response is None:
                z, fed = roll(part_model, batch, bounds, added, copies)
            else:
                z, fed = roll(part_model, batch, bounds, None)
                z = z.repeat_interleave(copies, dim=1) + _moved(response, added, (bounds[0].min(), bounds[1].max()))
            batch, series, rows = repeated_windows(batch, copies), *(np.repeat(x, copies, 1) for x in (series, rows))
        hold = guard.look(z, fed, part_model, batch)
        outside = held = None
        if hold is not None:
            outside, held = hold.outside, torch.zeros_like(hold.outside)
            if hold.bounds is not None:
                bounded = (hold.bounds[1] < torch.inf).any(dim=(2, 3)) | ~z.isfinite().all(dim=(2, 3))
                # Whole groups, or some windows of the only one.
                groups = torch.nonzero(bounded.any(dim=1))[:, 0]
                windows = torch.nonzero(bounded.any(dim=0))[:, 0]
                where = groups[:, None], windows
                own = part_model if len(groups) == len(z) else part_model.groups(groups)
                low, high = (side[where] for side in hold.bounds)
                again, _ = roll(own, _some(batch, where), (low, high), None if added is None else added[where])
                held[where] = ((again <= low) | (again >= high) | ~z[where].isfinite()).any(dim=3)
                z[where] = again
        limited = None
        levels = store.to_levels(z.double(), batch, rows, None if fed is None else fed.double())
        if hold is not None or not bool(levels.isfinite().all()):
            missing = missing_steps(known_inputs(model.layout, batch.inputs, horizon), z)
            levels, repeated = _finite(levels, missing, store.levels(series, rows, 1)[0])
            outside, held = (repeated if part is None else part | repeated for part in (outside, held))
        if guard.level_low is not None:
            context = store.levels(series, rows, store.context_length)
            limited = guard.held_levels(levels, fed, part_model, batch, context)
        if limited is not None:
            levels, far = limited
            outside, held = (far if part is None else part | far for part in (outside, held))
        return levels.cpu().numpy(), outside, held

    # A long roll-out of one window is mostly overhead, of which inference mode has a third less.
    with torch.inference_mode():
        for part in chunks(store, model, index, horizon, groups, copies):
            found = run(part)
            yhat[part.where[part.real]] = found[0].reshape(*part.where.shape, *yhat.shape[1:])[part.real]
            for room, side in zip(met, found[1:], strict=True):
                if side is not None:
                    room[part.where[part.real]] = side.cpu().numpy().reshape(*part.where.shape, copies, -1)[part.real]
    return yhat.reshape(-1, *yhat.shape[2:]), Excursions(*(room.reshape(-1, horizon) for room in met))


class Chunk(NamedTuple):
    """Windows that are rolled out at once, G groups of B.

    Attributes
    ----------
    model : StepModel
        Of the groups.
    series, rows : (G, B) int64
        Their series in the store and their cutoffs.
    where : (G, B) int64
        Which of all windows they are.
    real : (G, B) bool
        False where the last window of a group stands once more, for want of another.
    """

    model: Any
    series: IntArray
    rows: IntArray
    where: IntArray
    real: npt.NDArray[np.bool_]


def chunks(
    store: SeriesStore, model: Any, index: WindowIndex, horizon: int, groups: IntArray | None, copies: int = 1
) -> Iterator[Chunk]:
    """Yield all windows in chunks of which `copies` fit into memory; parameters as in `forecast_windows`."""
    columns = store.values.shape[1] if store.inputs is None else store.values.shape[1] + store.inputs.width
    window_bytes = 8 * (store.context_length + horizon) * columns
    at_once = max(1, _CHUNK_BYTES // (window_bytes * copies))
    if groups is None:
        for start in range(0, len(index), at_once):
            where = np.arange(start, min(start + at_once, len(index)))[None]
            yield Chunk(model, index.series[where], index.rows[where], where, np.ones(where.shape, dtype=bool))
        return
    present, first, count = np.unique(index.series, return_index=True, return_counts=True)
    # Series side by side as groups; ragged counts of windows are padded by repeating the last one.
    series_at_once = max(1, at_once // int(count.max(initial=1)))
    for start in range(0, len(present), series_at_once):
        chosen = slice(start, start + series_at_once)
        widest = int(count[chosen].max())
        offsets = np.minimum(np.arange(widest), count[chosen, None] - 1)
        where = first[chosen, None] + offsets
        part_model = model.groups(torch.from_numpy(groups[present[chosen]]))
        real = np.arange(widest) < count[chosen, None]
        yield Chunk(part_model, index.series[where], index.rows[where], where, real)


def _parted(copies: int, pick: Pick | None) -> Pick:
    """Return what lets so many roll-outs of each window part at the first step, up to which they are one."""

    def picked(h: int, output: Tensor) -> Any:
        parents = torch.arange(output.shape[1], device=output.device).repeat_interleave(copies if h == 0 else 1)
        output = output[:, parents] if h == 0 else output
        values = output[..., 0] if pick is None else pick(h, output)
        return (values, parents) if h == 0 else values

    return picked


def _moved(response: Linear, shocks: Tensor, bounds: tuple[Tensor, Tensor]) -> Tensor:
    """Return what shocks (G, B, H, C) do to roll-outs of a map, themselves included: see ``Linear.response``.

    A shock does to the steps after it what the same one at the first step does to the steps after that.
    """
    groups, _, horizon, channels = shocks.shape
    unit = shocks.new_zeros(groups, channels, horizon, channels)
    unit[:, range(channels), 0, range(channels)] = 1.0
    rest = unit.new_zeros(groups, channels, response.layout.reach, channels)
    effect, _ = rollout(response, rest, horizon, ClosedLoop(), bounds=bounds, shocks=unit)
    step = torch.arange(horizon, device=shocks.device)
    later = step - step[:, None]  # (from, to)
    moved = torch.empty_like(shocks)
    for own, at_first, given in zip(moved, effect, shocks, strict=True):
        every = torch.where((later >= 0)[..., None], at_first[:, later.clamp(min=0)], 0.0)
        matrix = every.transpose(0, 1).reshape(horizon * channels, horizon * channels)
        torch.mm(given.flatten(start_dim=1), matrix, out=own.view(len(own), -1))
    return moved


def repeated_windows(batch: WindowBatch, copies: int) -> WindowBatch:
    """Return a batch with each window so many times, one after the other."""

    def many(part: Tensor) -> Tensor:
        shape = -1, -1, copies, *(-1 for _ in part.shape[2:])
        return part[:, :, None].expand(shape).flatten(1, 2)

    inputs = None if batch.inputs is None else WindowInputs(*map(many, batch.inputs))
    past, mask = many(batch.past), many(batch.past_mask)
    future, known = (None if part is None else many(part) for part in (batch.future, batch.future_mask))
    return WindowBatch(past, mask, future, known, many(batch.series), many(batch.centre), many(batch.scale), inputs)


def _some(batch: WindowBatch, where: Any) -> WindowBatch:
    """Return some windows of a batch."""
    inputs = None if batch.inputs is None else WindowInputs(*(part[where] for part in batch.inputs))
    future = None if batch.future is None else batch.future[where]
    future_mask = None if batch.future_mask is None else batch.future_mask[where]
    return WindowBatch(
        batch.past[where], batch.past_mask[where], future, future_mask, batch.series[where],
        batch.centre[where], batch.scale[where], inputs,
    )  # fmt: skip


def _finite(levels: Tensor, missing: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Return levels (G, B, H, C) that repeat the last finite value where they overflow, and the steps that do.

    Parameters
    ----------
    levels : (G, B, H, C)
        Original units.
    missing : (G, B, H) bool
        Steps that have no input, and stay NaN.
    last : (G, B, 1, C)
        Observed at the cutoffs, original units.
    """
    lost = ~levels.isfinite() & ~missing[..., None]
    place = torch.arange(1, levels.shape[2] + 1, device=levels.device)[:, None]
    source = torch.where(lost, 0, place).cummax(dim=2).values
    both = torch.cat([last.to(levels), levels], dim=2)
    return torch.where(lost, both.gather(2, source), levels), lost.any(dim=3)
