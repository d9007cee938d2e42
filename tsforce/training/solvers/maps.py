"""The linear maps of a problem: of squares or Huber's loss, one for all steps or one for each group of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from tsforce.data.panel import IntArray
from tsforce.dynamics.models.linear import Linear
from tsforce.training.problem import Learnt, Problem
from tsforce.training.solvers.lag_rows import have_rows
from tsforce.training.solvers.least_squares import fit_linear, told_to_prior
from tsforce.training.solvers.robust import fit_huber

__all__ = ["fit_maps", "told_to_prior_of"]


def fit_maps(problem: Problem, learnt: Learnt, ridges: Sequence[float | Tensor]) -> list[Linear]:
    """Return the linear maps of a problem, for each ridge: by squares, or by Huber's loss where it is asked for.

    Parameters
    ----------
    problem, learnt : Problem, Learnt
        Nothing at or after ``learnt.stops`` is read; notes of what Huber's loss was given up for go there.
    ridges : sequence of float or (S,) tensor

    Notes
    -----
    Where the layout tells groups of steps apart, each has the map of its own rows alone: what later steps do not know
    spoils none before them. Of a ridge it has the share that it has of the steps, which is as much for each row as if
    all steps had one map. A group of steps in which a series has no rows has the map of the group before it.
    """
    layout, horizon = problem.layout, problem.horizon
    if problem.huber is not None:
        learnt.notes.clear()
    if not layout.known_until:
        return _fit_steps(problem, learnt, ridges, problem.every, range(horizon))
    weights: list[list[Tensor]] = [[] for _ in ridges]
    biases: list[list[Tensor]] = [[] for _ in ridges]
    for steps in layout.step_groups(horizon):
        known = have_rows(learnt.store, problem.every, learnt.stops, layout, steps.start)
        some = problem.every if not steps.start or (problem.pooled and known.any()) else np.flatnonzero(known)
        place = torch.from_numpy(some[:1] * 0 if problem.pooled else some)
        shares = [(r[torch.from_numpy(some)] if isinstance(r, Tensor) else r) * len(steps) / horizon for r in ridges]
        models = _fit_steps(problem, learnt, shares, some, steps) if len(some) else [None] * len(ridges)
        for model, own_weights, own_biases in zip(models, weights, biases, strict=True):
            if model is None:
                own_weights.append(own_weights[-1])
                own_biases.append(own_biases[-1])
                continue
            # Of the indicators of groups, intercepts say all there is to say.
            weight, bias = pad(model.weight.detach(), (0, 0, 0, layout.n_step_groups)), model.bias.detach()
            own_weights.append(own_weights[-1].index_copy(0, place, weight) if own_weights else weight)
            own_biases.append(own_biases[-1].index_copy(0, place, bias) if own_biases else bias)
    return [Linear(layout, torch.cat(w, dim=2), torch.cat(b, dim=1)) for w, b in zip(weights, biases, strict=True)]


def told_to_prior_of(problem: Problem, learnt: Learnt) -> dict[str, Tensor]:
    """Return what the rows that were learnt from tell the prior of a problem whose series have maps of their own.

    Of a prior that looks at all series, and a layout that does not tell steps apart.
    """
    assert problem.prior is not None
    return told_to_prior(
        problem.prior, learnt.store, learnt.stops, problem.layout.of_one_group,
        intercept=problem.intercept, horizon=problem.horizon,
    )  # fmt: skip


def _fit_steps(
    problem: Problem, learnt: Learnt, ridges: Sequence[float | Tensor], series: IntArray, steps: range
) -> list[Linear]:
    """Return the maps of some steps, which do not tell one step from another."""
    intercept = problem.intercept if isinstance(problem.intercept, bool) else problem.intercept[series]
    rows = learnt.store, series, learnt.stops[series], problem.layout.of_one_group, ridges
    how: dict[str, Any] = {
        "pooled": problem.pooled, "intercept": intercept, "horizon": steps.stop, "first": steps.start,
        "prior": problem.prior,
    }  # fmt: skip
    if problem.huber is None:
        return fit_linear(*rows, **how)
    models, squared = fit_huber(*rows, threshold=problem.huber, **how)
    learnt.notes[:] = dict.fromkeys([*learnt.notes, *squared.told()])
    return models
