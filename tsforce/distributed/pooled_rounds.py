"""One linear map for all series: partitions tell their moments, which add up, and its weights are solved for once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from tsforce.data.panel import IntArray
from tsforce.distributed.partitions import Partitions, failed_of
from tsforce.distributed.settled import Settled, problem_of
from tsforce.distributed.survey import Survey
from tsforce.dynamics.models.linear import Linear
from tsforce.errors import NumericalError
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.narx import NARXForecaster
from tsforce.training.fit import Fitted
from tsforce.training.history import History
from tsforce.training.problem import Problem
from tsforce.training.solvers.gram import Gram, accumulate
from tsforce.training.solvers.least_squares import followed, lost_digits, solve
from tsforce.training.solvers.ridge import RidgeChoice, is_hardly_any, share_left, trial_stops, try_ridges
from tsforce.training.solvers.tried import CANDIDATES, Tried, decide

__all__ = ["PooledMap", "settle_pooled", "total"]


@dataclass(frozen=True, eq=False)
class PooledMap(Settled):
    """One map, which every partition has.

    Attributes
    ----------
    model : Linear
    ridge : float
    """

    model: Linear = None  # type: ignore[assignment]
    ridge: float = 0.0

    def fit(self, k: int, frame: Any) -> Forecaster:
        """Return the forecaster of the series of partition k."""
        forecaster = self.template.clone_unfitted()
        assert isinstance(forecaster, NARXForecaster)
        asked, panel, problem = problem_of(forecaster, frame, self.mode)
        learnt, history = problem.learn(problem.panel.lengths), History("least squares")
        choice = RidgeChoice.fixed(self.ridge, problem.panel.n_series)
        forecaster._store(panel, problem, asked, Fitted(self.model, learnt, history, choice, ["open_loop"]))
        return forecaster

    def key(self, k: int) -> str:
        """Return what changes when the forecaster of the same rows does."""
        told = torch.cat([self.model.weight.detach().flatten(), self.model.bias.detach().flatten()])
        return f"{super().key(k)} {told.numpy().tobytes().hex()}"


def settle_pooled(template: NARXForecaster, mode: Any, data: Partitions, found: Survey) -> Settled:
    """Return the map of all series, from a round over the data, and one more where its ridge is chosen."""
    told = _all(found, data, partial(_told, template, mode, found.panel.n_series))
    problem, chooses = told[0].problem, told[0].before is not None
    one = bool(np.all(problem.intercept))
    ridge = told[0].ridge
    if chooses:
        gram = total([part.before for part in told if part.before is not None])
        smaller = bool(is_hardly_any(share_left(gram, intercept=one))[0])
        models = dict(zip(CANDIDATES, _solved(problem, gram, CANDIDATES), strict=True))
        tried = _all(found, data, partial(_tried, template, mode, found.panel.n_series, models, smaller))
        ridge = float(decide(tried)[0][0])
    gram = total([part.whole for part in told])
    assert ridge is not None
    if bool(lost_digits(gram, ridge, intercept=one).any()):
        raise NumericalError(
            f"least squares at ridge={ridge:g}: sums over partitions cannot tell the columns apart with half of "
            f"their digits. Raise ridge=, to .1 or more."
        )
    (model,) = _solved(problem, gram, [ridge])
    return PooledMap(template, mode, model, ridge)


@dataclass(frozen=True, eq=False)
class _Told:
    """What a partition tells of one map for all.

    Attributes
    ----------
    problem : Problem
        Of its first series.
    ridge : float or None
        That was given.
    whole, before : Gram
        Moments of its rows, and of those before the windows that a ridge is chosen by.
    """

    problem: Problem
    ridge: float | None
    whole: Gram
    before: Gram | None


def _told(template: NARXForecaster, mode: Any, n_together: int, frame: Any) -> _Told:
    asked, panel, problem = problem_of(template.clone_unfitted(), frame, mode, n_together)
    whole = _moments(problem, problem.panel.lengths)
    before = _moments(problem, trial_stops(problem)) if asked.ridge is None else None
    ridge = None if asked.ridge is None else float(np.max(asked.ridge))
    return _Told(replace(problem, panel=panel.take([0]), coder=None), ridge, whole, before)


def _tried(
    template: NARXForecaster, mode: Any, n_together: int, models: dict[float, Linear], smaller: bool, frame: Any
) -> Tried:
    _, _, problem = problem_of(template.clone_unfitted(), frame, mode, n_together)
    return try_ridges(problem, lambda _, __, ridges: [models[r] for r in ridges], smaller=smaller)[0]


def _all(found: Survey, data: Partitions, work: Callable[[Any], Any]) -> list[Any]:
    """Return what is made of all partitions; a part of a sum is no sum."""
    told = found.ask(data, work)
    if found.failed:
        raise failed_of(data, found.failed, "and one model learns from all series")
    return list(told.values())


def _moments(problem: Problem, stops: IntArray) -> Gram:
    """Return the moments of the rows before `stops` of all series together."""
    learnt, layout = problem.learn(stops), problem.layout.of_one_group
    one = bool(np.all(problem.intercept))
    return accumulate(learnt.store, problem.every, stops, layout, pooled=True, intercept=one, horizon=problem.horizon)


def total(grams: Sequence[Gram]) -> Gram:
    """Return the moments of all rows, from those of parts: a tree of sums in the order given, one origin for all.

    Examples
    --------
    >>> ones = [torch.ones(shape).double() for shape in ((1, 1, 1), (1, 1, 1), *[(1, 1)] * 5, (1,))]
    >>> total([Gram(*ones), Gram(*ones)]).rows
    tensor([2.], dtype=torch.float64)
    """
    some = [gram for gram in grams if float(gram.rows) > 0] or list(grams[:1])
    x, y = some[0].x_origin, some[0].y_origin
    level = [some[0], *(gram.about(x, y) for gram in some[1:])]
    names = [f.name for f in fields(Gram) if not f.name.endswith("origin")]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [
            replace(
                pair[0], **{name: sum((getattr(g, name) for g in pair[1:]), getattr(pair[0], name)) for name in names}
            )
            for pair in pairs
        ]
    return level[0]


def _solved(problem: Problem, gram: Gram, ridges: Sequence[float]) -> list[Linear]:
    anchor = None if problem.prior is None else problem.prior.anchor(gram)
    found = solve(gram, list(ridges), intercept=bool(np.all(problem.intercept)), anchor=anchor)
    layout = problem.layout
    return followed([Linear(layout, weight, bias) for weight, bias in found], problem.scaling)
