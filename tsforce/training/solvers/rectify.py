"""The rectify strategy: what the roll-outs of a recursive linear map leave is learnt by a map of each step.

Ben Taieb & Hyndman 2012, "Recursive and direct multi-step forecasting: the best of both worlds".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tsforce.data.panel import WindowIndex, ragged_rows
from tsforce.dynamics.forcing import ClosedLoop
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.rollout import rollout
from tsforce.training.closed_loop import chunks, far_off
from tsforce.training.problem import Learnt, Problem
from tsforce.training.solvers.maps import fit_maps

__all__ = ["rolled_base"]


def rolled_base(problem: Problem, learnt: Learnt) -> tuple[Linear, Learnt]:
    """Return the recursive map of a problem, and the same rows with what it leaves of them as targets.

    Parameters
    ----------
    problem : Problem
        With the penalty of that map, ``base_ridge``.
    learnt : Learnt
        No target at or after its stops is read.
    """
    assert problem.base_ridge is not None
    penalty: Any = float(problem.base_ridge[0]) if problem.pooled else torch.from_numpy(problem.base_ridge)
    (base,) = fit_maps(replace(problem, strategy="recursive", base_ridge=None), learnt, [penalty])
    base = base.cpu()
    return base, replace(learnt, store=learnt.store.less(_forecasts(problem, learnt, base)))


def _forecasts(problem: Problem, learnt: Learnt, base: Linear) -> Tensor:
    """Return the closed-loop forecasts of a map from every training row with all of its lags, (N, H, C)."""
    store, horizon = learnt.store, problem.horizon
    told = store.values.new_zeros(len(store.values), horizon, store.values.shape[1])
    first = store.first + base.layout.reach - 1
    counts = np.maximum(learnt.stops - 1 - first, 0)
    index = WindowIndex(np.repeat(problem.every, counts), ragged_rows(np.full_like(counts, first), counts))
    for part in chunks(store, base, index, horizon, problem.groups):
        batch = store.batch(part.series, part.rows, horizon, truth=False)

        def roll(bounds: tuple[Tensor, Tensor], model: Any = part.model, batch: Any = batch) -> Tensor:
            with torch.no_grad():
                return rollout(model, batch.past, horizon, ClosedLoop(), bounds=bounds, inputs=batch.inputs)[0]

        z = roll(far_off(batch, batch.past.dtype))
        # What runs away is held here where it is in forecasts.
        hold = learnt.guard.look(z, None, part.model, batch)
        if hold is not None and hold.bounds is not None:
            z = roll(hold.bounds)
        told[torch.from_numpy(store.indptr[part.series] + part.rows)] = z
    return told
