"""Fitting by rounds of data as demonstrator: choose the round on held-out windows, then repeat on all rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tsforce.data.panel import IntArray
from tsforce.dynamics.draws import key_of
from tsforce.dynamics.forcing import Forcing, Moment, OpenLoop
from tsforce.training.history import History, Record
from tsforce.training.judging import Judge, no_better
from tsforce.training.problem import Learnt, Problem
from tsforce.training.solvers.relabel import RowModel, one_step_rows, roll_out_rows

__all__ = ["RoundFit", "fit_by_rounds"]

FloatArray = npt.NDArray[np.float64]

# Rows a round adds, as a share of the open-loop rows; and how many there may be altogether, as a multiple of them.
_ADDED = 0.5
_CAP = 3.0


@dataclass(frozen=True, eq=False)
class RoundFit:
    """A model fitted by rounds.

    Attributes
    ----------
    model : RowModel
    learnt : Learnt
    rounds : (G,) int64
        The round each group's model is from; 0 is open loop.
    start_error, best_error : (G,) float64
        Closed-loop validation error of round 0 and of the round kept; NaN where nothing could be judged.
    n_judged : (G,) int64
        Validation windows that judged each group.
    """

    model: Any
    learnt: Learnt
    rounds: IntArray
    start_error: FloatArray
    best_error: FloatArray
    n_judged: IntArray


def fit_by_rounds(
    problem: Problem,
    blank: RowModel,
    forcing: Forcing,
    n_rounds: int,
    *,
    name: str,
    n_validation: int,
    must_show: bool,
    random_state: int,
    history: History,
) -> RoundFit:
    """Return a model fitted by up to `n_rounds` rounds after the open-loop one.

    Parameters
    ----------
    problem : Problem
    blank : RowModel
        Unfitted.
    forcing : Forcing
        ``OpenLoop()``: no rounds. Otherwise what roll-outs are fed; a schedule counts rounds.
    n_rounds : int
    name : str
        Of the forcing, in the history.
    n_validation : int
        Windows held out at the end of each series; 0: none, and every round is taken.
    must_show : bool
        mode="auto": round 0 stays unless a later one is better by one standard error.
    random_state : int
    history : History
    """
    ids = ["all"] if problem.pooled else [str(i) for i in problem.panel.id_list]
    keys = torch.tensor([key_of(random_state, i) for i in ids], dtype=torch.int64)
    n_groups = len(keys)
    total = 0 if forcing == OpenLoop() else n_rounds
    chosen = np.full(n_groups, 0 if must_show else total)
    start_error, best_error = np.full(n_groups, np.nan), np.full(n_groups, np.nan)
    n_judged = np.zeros(n_groups, dtype=np.int64)
    if total and n_validation > 0 and (problem.n_windows(n_validation) > 0).any():
        validation = problem.validation(n_validation)
        learnt = problem.learn(validation.stops)
        judge = Judge(problem, learnt, validation)
        n_judged = np.bincount(judge.unit, minlength=n_groups)
        models = _rounds(problem, learnt, blank, forcing, total, keys, history, name, judge)
        errors = np.stack([judge(model)[0] for model in models])
        start_error = errors[0]
        known = ~np.isnan(errors[0])
        chosen[known] = np.argmin(np.where(np.isnan(errors), np.inf, errors), axis=0)[known]
        if must_show:
            kept = _at(models, chosen)
            chosen[no_better(judge.detail(kept), judge.detail(models[0]), judge.unit, n_groups)] = 0
        best_error = errors[chosen, np.arange(n_groups)]
    learnt = problem.learn(problem.panel.lengths)
    models = _rounds(problem, learnt, blank, forcing, int(chosen.max(initial=0)), keys, history, name, None)
    return RoundFit(_at(models, chosen), learnt, chosen, start_error, best_error, n_judged)


def _at(models: list[Any], chosen: IntArray) -> Any:
    """Return the model whose group g is that of round ``chosen[g]``."""
    return models[0].join([models[k].groups(torch.tensor([g])) for g, k in enumerate(chosen)])


def _rounds(
    problem: Problem,
    learnt: Learnt,
    blank: RowModel,
    forcing: Forcing,
    total: int,
    keys: torch.Tensor,
    history: History,
    name: str,
    judge: Judge | None,
) -> list[Any]:
    """Return the models of all rounds, the open-loop one first."""
    began = time.process_time()
    groups = [problem.by_id] if problem.pooled else [problem.every[[i]] for i in problem.every]
    first = one_step_rows(learnt.store, problem.layout, groups, learnt.stops, problem.horizon)
    spread = [float(y.std()) for _, y in first]
    rows, models = first, [blank.fit_rows(first)]
    _record(history, models[-1], 0, OpenLoop(), "open_loop", None, began, judge)
    for number in range(1, total + 1):
        moment = Moment(number, total, number, keys)
        fresh = roll_out_rows(
            models[-1], learnt.store, groups, learnt.stops, problem.horizon, forcing, moment,
            [round(_ADDED * len(y)) for _, y in first], spread,
        )  # fmt: skip
        rows = [_capped(old, new, round(_CAP * len(one[1])), key, number)
                for old, new, one, key in zip(rows, fresh, first, keys, strict=True)]  # fmt: skip
        models.append(blank.fit_rows(rows))
        _record(history, models[-1], number, forcing, name, moment, began, judge)
    if total:
        history.stopped("final" if judge is None else "choose", name, {"all rounds taken": len(keys)})
    return models


def _capped(
    old: tuple[FloatArray, FloatArray], new: tuple[FloatArray, FloatArray], most: int, key: torch.Tensor, number: int
) -> tuple[FloatArray, FloatArray]:
    """Return old and new rows together, at most so many, drawn."""
    x, y = (np.concatenate(pair) for pair in zip(old, new, strict=True))
    if len(y) <= most:
        return x, y
    kept = np.sort(np.random.default_rng([int(key) & 0xFFFFFFFF, number]).choice(len(y), most, replace=False))
    return x[kept], y[kept]


def _record(
    history: History,
    model: Any,
    number: int,
    forcing: Forcing,
    name: str,
    moment: Moment | None,
    began: float,
    judge: Judge | None,
) -> None:
    closed = one = np.full(1, np.nan)
    if judge is not None:
        closed, one = judge(model)
    one_step, closed_loop = (float(e[np.isfinite(e)].mean()) if np.isfinite(e).any() else np.nan for e in (one, closed))
    run = "final" if judge is None else "choose"
    ratio = 1.0 if moment is None else forcing.ratio(moment)
    seconds = time.process_time() - began
    history.add(Record(run, name, number, number, np.nan, one_step, closed_loop, ratio, np.nan, seconds))
