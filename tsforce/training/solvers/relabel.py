"""Data as demonstrator: closed-loop training for models that only know how to fit rows.

Roll the model out on the training windows, pair what it was fed with what it should have answered, add these rows to
all earlier ones, fit again (Venkatraman et al. 2015, "Improving multi-step prediction of learned time series models").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray, ragged_rows
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.capabilities import Offer
from tsforce.dynamics.draws import uniform
from tsforce.dynamics.forcing import Forcing, Moment, blend
from tsforce.dynamics.lags import LagLayout, known_inputs, lag_vector
from tsforce.dynamics.models.base import StepModel
from tsforce.dynamics.rollout import rollout
from tsforce.training.solvers.lag_rows import rows_of, seen_of
from tsforce.training.solvers.usable_windows import before_stops

__all__ = ["OFFER", "RowModel", "Rows", "one_step_rows", "roll_out_rows"]

FloatArray = npt.NDArray[np.float64]
# Lag vectors and targets of each group: (rows, D) and (rows, C).
Rows = list[tuple[FloatArray, FloatArray]]

# Rows know what was fed and what is asked for, nothing else.
OFFER = Offer(
    "a regressor that is fitted on rows",
    frozenset(),
    "a model with a gradient such as model='linear' or 'mlp', or a policy that only mixes truth and own outputs: "
    "OpenLoop(), ClosedLoop(), a Curriculum whose schedule counts steps",
)
# Windows rolled out side by side.
_AT_ONCE = 20_000
# Own values this many standard deviations of the targets away from the truth teach nothing about the series.
_FAR = 4.0


class RowModel(StepModel, Protocol):
    """A step model that is fitted on rows."""

    def fit_rows(self, rows: Rows) -> Self:
        """Return the model fitted afresh on the rows of each of its G groups."""
        ...

    def groups(self, chosen: Tensor) -> Self:
        """Return the model of some groups."""
        ...


def _cutoffs(store: SeriesStore, layout: LagLayout, series: IntArray, stops: IntArray) -> tuple[IntArray, IntArray]:
    """Return series and row of every training cutoff with a complete lag vector and a target after it."""
    reach = layout.reach - layout.ahead
    counts = np.maximum(stops - store.first - reach, 0)
    return np.repeat(series, counts), ragged_rows(np.full(len(series), store.first + reach - 1), counts)


def one_step_rows(
    store: SeriesStore, layout: LagLayout, groups: Sequence[IntArray], stops: IntArray, horizon: int, first: int = 0
) -> Rows:
    """Return the rows of open-loop training, fed with truth, model units.

    Parameters
    ----------
    store : SeriesStore
    layout : LagLayout
    groups : G arrays
        Series of each group.
    stops : (S,) int64
        Rows of each series of the store that may be learnt from; no label lies at or after its series' stop.
    horizon, first : int
        H, and how many of its steps are left out, which matter with ``past_exog``: see ``gram.accumulate``. Of a layout
        that looks ahead, rows are those of the one step that it is of.
    """
    steps, first = (layout.ahead + 1, layout.ahead) if layout.ahead else (horizon if layout.past_exog else 1, first)
    rows: Rows = []
    for series in groups:
        which, cutoffs = _cutoffs(store, layout, series, stops[series])
        # A young series of a pooled model has no row of its own.
        parts = [(np.empty((0, len(layout.columns))), np.empty((0, store.values.shape[1])))]
        for start in range(0, len(which), _AT_ONCE):
            now = slice(start, start + _AT_ONCE)
            batch = store.batch(which[None, now], cutoffs[None, now], steps)
            x, y = (part[0].numpy() for part in rows_of(layout, batch, steps, first))
            ends = before_stops(which[now], cutoffs[now], steps, stops)[:, first:].T.ravel()
            ends &= seen_of(batch, first).numpy()
            parts.append((x[ends], y[ends]))
        rows.append((np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])))
    return rows


def roll_out_rows(
    model: RowModel,
    store: SeriesStore,
    groups: Sequence[IntArray],
    stops: IntArray,
    horizon: int,
    forcing: Forcing,
    moment: Moment,
    n_rows: Sequence[int],
    spread: Sequence[float],
) -> Rows:
    """Return rows from roll-outs of the model on its training windows: what it was fed, and what it should have said.

    Parameters
    ----------
    model : RowModel
    store, groups, stops, horizon
        As in `one_step_rows`.
    forcing : Forcing
    moment : Moment
        Its step is the round; draws are keyed by group.
    n_rows : G ints
        About how many rows each group wants; windows are drawn for them without replacement.
    spread : G floats
        Standard deviation of each group's targets, model units: a window is read up to where what was fed is far from
        the truth by it.
    """
    rows: Rows = []
    for g, series in enumerate(groups):
        which, cutoffs = _cutoffs(store, model.layout, series, stops[series])
        # The first step is fed with truth alone: its row is there already.
        wanted = min(len(which), max(1, n_rows[g] // max(1, horizon - 1)))
        order = torch.argsort(uniform(moment.keys[g : g + 1], (4, moment.step), len(which))[0]).numpy()[:wanted]
        own = Moment(moment.step, moment.total, moment.epoch, moment.keys[g : g + 1])
        part: Any = model if len(groups) == 1 else model.groups(torch.tensor([g]))
        xs, ys = [np.empty((0, len(model.layout.columns)))], [np.empty((0, store.values.shape[1]))]
        for start in range(0, wanted, _AT_ONCE):
            now = order[start : start + _AT_ONCE]
            x, y = _relabelled(
                part, store, which[None, now], cutoffs[None, now], stops, horizon, forcing, own, spread[g]
            )
            xs.append(x)
            ys.append(y)
        rows.append((np.concatenate(xs), np.concatenate(ys)))
    return rows


def _relabelled(
    model: RowModel,
    store: SeriesStore,
    series: IntArray,
    rows: IntArray,
    stops: IntArray,
    horizon: int,
    forcing: Forcing,
    moment: Moment,
    spread: float,
) -> tuple[FloatArray, FloatArray]:
    batch = store.batch(series, rows, horizon)
    assert batch.future is not None
    assert batch.future_mask is not None
    inside = torch.from_numpy(before_stops(series, rows, horizon, stops))
    known = batch.future_mask & inside[..., None]
    future = torch.where(known, batch.future, 0.0)
    with torch.no_grad():
        z, share = rollout(
            model, batch.past, horizon, forcing,
            future=future, future_mask=known, moment=moment, inputs=batch.inputs,
        )  # fmt: skip
    label = store.relabel(z, batch, rows, share)
    fed = z if share is None else blend(share, future, z)
    near = (((fed - future).abs() <= _FAR * spread) | ~known).all(dim=-1)
    # A step is read as long as everything fed before it was near the truth.
    near = torch.cat([torch.ones_like(near[:, :, :1]), near[:, :, :-1]], dim=2).int().cumprod(dim=2).bool()
    use = known.all(dim=-1) & near & torch.isfinite(label).all(dim=-1)
    given = known_inputs(model.layout, batch.inputs, horizon)
    buffer = torch.cat([batch.past, fed], dim=2)
    length = batch.past.shape[2]
    xs, ys = [], []
    for h in range(1, horizon):
        x = lag_vector(model.layout, buffer, length + h, None if given is None else given[:, :, h])
        xs.append(x[use[:, :, h]])
        ys.append(label[:, :, h][use[:, :, h]])
    if not xs:
        return np.empty((0, len(model.layout.columns))), np.empty((0, store.values.shape[1]))
    return torch.cat(xs).numpy(), torch.cat(ys).numpy()
