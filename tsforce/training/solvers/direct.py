"""Strategies by which every step after the cutoff has a map of its own, which reads what was known there.

Direct maps read nothing else. Those of DirRec read the forecasts of the steps before theirs too (Sorjamaa & Lendasse
2006, "Time series prediction using DirRec strategy"), and learn from what was observed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from tsforce.dynamics.models.each_step import EachStep
from tsforce.training.problem import Learnt, Problem
from tsforce.training.solvers.maps import fit_maps
from tsforce.training.solvers.relabel import RowModel, one_step_rows

__all__ = ["direct_maps", "direct_regressors"]


def _of_each_step(problem: Problem) -> Iterator[Problem]:
    """Yield the problem of each step: that of one step, whose lags are so many steps further back."""
    for ahead in range(problem.horizon):
        layout = held_to = replace(problem.layout, ahead=ahead)
        if problem.strategy == "dirrec":
            layout = replace(layout, lags=(*range(1 - ahead, 1), *layout.lags))
            # One step after what was fed last, the map is shrunk to what any map with so many lags is.
            held_to = replace(layout, lags=tuple(lag + ahead for lag in layout.lags), ahead=0)
        prior = None if problem.prior is None else replace(problem.prior, layout=held_to)
        yield replace(problem, layout=layout, horizon=1, prior=prior, strategy="recursive")


def _joined(problem: Problem, models: Sequence[Any]) -> EachStep:
    return EachStep(problem.layout, models, reads_between=problem.strategy == "dirrec")


def direct_maps(problem: Problem, learnt: Learnt, ridges: Sequence[float | Tensor]) -> list[EachStep]:
    """Return the linear maps of every step, for each ridge, by the closed form that a map of one step has.

    Parameters as in ``fit_maps``.
    """
    each = [fit_maps(part, learnt, ridges) for part in _of_each_step(problem)]
    return [_joined(problem, [model.cpu() for model in models]) for models in zip(*each, strict=True)]


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
    return _joined(problem, [blank.fit_rows(own) for own in rows])
