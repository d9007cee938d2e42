"""Strategies by which every step after the cutoff has a map of its own, which reads what was known there.

Direct maps read nothing else. Those of DirRec read the forecasts of the steps before theirs too (Sorjamaa & Lendasse
2006, "Time series prediction using DirRec strategy"), and learn from what was observed there. Those of rectify add to
the roll-out of one recursive map what it leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from tsforce.dynamics.models.corrected import Corrected
from tsforce.dynamics.models.each_step import EachStep
from tsforce.training.problem import Learnt, Problem
from tsforce.training.solvers.maps import fit_maps
from tsforce.training.solvers.priors import Prior
from tsforce.training.solvers.rectify import rolled_base
from tsforce.training.solvers.relabel import RowModel, one_step_rows

__all__ = ["direct_maps", "direct_regressors"]


def _of_each_step(problem: Problem) -> Iterator[Problem]:
    """Yield the problem of each step: that of one step, whose lags are so many steps further back."""
    for ahead in range(problem.horizon):
        layout = held_to = replace(problem.layout.of_one_group, ahead=ahead)
        if problem.strategy == "dirrec":
            layout = replace(layout, lags=(*range(1 - ahead, 1), *layout.lags))
            # One step after what was fed last, the map is shrunk to what any map with so many lags is.
            held_to = replace(layout, lags=tuple(lag + ahead for lag in layout.lags), ahead=0)
        prior = None if problem.prior is None else replace(problem.prior, layout=held_to)
        if prior is not None and problem.strategy == "rectify":
            # What the prior says the recursive map has said.
            prior = Prior("zero", layout, problem.season_length, held=prior.held)
        yield replace(problem, layout=layout, horizon=1, prior=prior, strategy="recursive", base_ridge=None)


def _based(problem: Problem, learnt: Learnt) -> tuple[Any, Learnt]:
    """Return the map that those of the steps are added to, if there is one, and what they learn from."""
    return rolled_base(problem, learnt) if problem.strategy == "rectify" else (None, learnt)


def _joined(problem: Problem, base: Any, models: Sequence[Any]) -> EachStep | Corrected:
    each = EachStep(problem.layout.of_one_group, models, reads_between=problem.strategy == "dirrec")
    return each if base is None else Corrected(base, each)


def direct_maps(problem: Problem, learnt: Learnt, ridges: Sequence[float | Tensor]) -> list[EachStep | Corrected]:
    """Return the linear maps of every step, for each ridge, by the closed form that a map of one step has.

    Parameters as in ``fit_maps``.
    """
    base, learnt = _based(problem, learnt)
    each = [fit_maps(part, learnt, ridges) for part in _of_each_step(problem)]
    return [_joined(problem, base, [model.cpu() for model in models]) for models in zip(*each, strict=True)]


def direct_regressors(problem: Problem, learnt: Learnt, blank: RowModel) -> EachStep | Corrected:
    """Return clones of a regressor, fitted for every step on its own rows.

    Parameters
    ----------
    problem, learnt : Problem, Learnt
        Nothing at or after ``learnt.stops`` is read.
    blank : RowModel
        Unfitted.
    """
    base, learnt = _based(problem, learnt)
    groups = [problem.by_id] if problem.pooled else [problem.every[[i]] for i in problem.every]
    rows = (one_step_rows(learnt.store, part.layout, groups, learnt.stops, 1) for part in _of_each_step(problem))
    return _joined(problem, base, [blank.fit_rows(own) for own in rows])
