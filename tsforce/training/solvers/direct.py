"""The direct strategy: every step after the cutoff has a map of its own, which reads what was known there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from tsforce.dynamics.models.each_step import EachStep
from tsforce.training.problem import Learnt, Problem
from tsforce.training.solvers.maps import fit_maps
from tsforce.training.solvers.relabel import RowModel, one_step_rows

__all__ = ["direct_maps", "direct_regressors"]


def _of_each_step(problem: Problem) -> Iterator[Problem]:
    """Yield the problem of each step: that of one step, whose lags are so many steps further back."""
    for ahead in range(problem.horizon):
        layout = replace(problem.layout, ahead=ahead)
        prior = None if problem.prior is None else replace(problem.prior, layout=layout)
        yield replace(problem, layout=layout, horizon=1, prior=prior, direct=False)


def direct_maps(problem: Problem, learnt: Learnt, ridges: Sequence[float | Tensor]) -> list[EachStep]:
    """Return the linear maps of every step, for each ridge, by the closed form that a map of one step has.

    Parameters as in ``fit_maps``.
    """
    each = [fit_maps(part, learnt, ridges) for part in _of_each_step(problem)]
    return [EachStep(problem.layout, [model.cpu() for model in models]) for models in zip(*each, strict=True)]


def direct_regressors(problem: Problem, learnt: Learnt, blank: RowModel) -> EachStep:
    """Return clones of a regressor, fitted for every step on its own rows.

    Parameters
    ----------
    problem, learnt : Problem, Learnt
        Nothing at or after ``learnt.stops`` is read.
    blank : RowModel
        Unfitted.
    """
    groups = [problem.by_id] if problem.pooled else [problem.every[[i]] for i in problem.every]
    rows = (one_step_rows(learnt.store, part.layout, groups, learnt.stops, 1) for part in _of_each_step(problem))
    return EachStep(problem.layout, [blank.fit_rows(own) for own in rows])
