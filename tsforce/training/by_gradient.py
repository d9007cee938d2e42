"""Fitting by gradient: choose the steps on held-out windows, then train once more on all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tsforce.data.panel import IntArray
from tsforce.dynamics.draws import key_of
from tsforce.dynamics.forcing import Forcing
from tsforce.dynamics.heads.headed import Headed
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.polynomial import Polynomial
from tsforce.scoring.metrics import error_scale, has_scale
from tsforce.training.history import History
from tsforce.training.judging import Judge, no_better
from tsforce.training.problem import Learnt, Problem
from tsforce.training.processes import ALONE
from tsforce.training.solvers import gradient, levenberg_marquardt, moments
from tsforce.training.solvers.keeping import Keeper, OneWriter, put_back
from tsforce.training.solvers.looks import Lesson, Trained, Watch
from tsforce.training.solvers.maps import fit_maps
from tsforce.training.solvers.ridge import choose_ridge
from tsforce.training.solvers.usable_windows import Cutoffs
from tsforce.training.with_head import head_start

__all__ = ["GradientFit", "Phase", "Start", "fit_by_gradient", "train_phase", "warm_start"]

FloatArray = npt.NDArray[np.float64]
# Build a model from what it starts from and the keys of its groups.
Build = Callable[[Any, Tensor], nn.Module]
# What models start from, by closed form on the rows that were learnt from: a problem, what was learnt, ridge, and the
# start of the run that chose on other rows, if there was one, whose structure is kept.
Start = Callable[[Problem, Learnt, FloatArray, Any], Any]

# Local series trained side by side: their roll-outs should stay in cache, and their autograd graph in memory.
_CHUNK = 64
# One-sided level of the paired t-test over windows that training on moments has to pass. It starts where the same loss
# is lowest open loop, and follows the rows closely: on few windows of a series, its lowest look is lower by luck (M3,
# M4 Weekly, windows inside the training rows, per series: to take any lower look costs up to 2.9 % of OWA, one standard
# error up to .6, this level up to .1; pooled maps, which gain 10 to 48 % there, pass at 1e-3).
_LEVEL = 0.025


@dataclass(frozen=True)
class Phase:
    """One stretch of training under one policy by the solver whose settings they are, and its name in the history."""

    forcing: Forcing
    settings: gradient.Settings | levenberg_marquardt.Settings | moments.Settings
    name: str = ""


@dataclass(frozen=True, eq=False)
class GradientFit:
    """A model trained by gradient.

    Attributes
    ----------
    model : nn.Module
    learnt : Learnt
        The transforms it was trained behind, learnt from all rows.
    steps : (P, G) int64
        Steps that each group took in each of the P phases.
    start_error, best_error : (G,) float64
        Closed-loop validation error before any training, and of what was kept, in units of the seasonal-naive scale;
        NaN where nothing could be judged.
    n_judged : (G,) int64
        Validation windows that judged each group.
    """

    model: nn.Module
    learnt: Learnt
    steps: IntArray
    start_error: FloatArray
    best_error: FloatArray
    n_judged: IntArray


def fit_by_gradient(
    problem: Problem,
    ridge: FloatArray,
    build: Build,
    phases: list[Phase],
    *,
    n_validation: int,
    n_more: int = 0,
    n_trials: int = 0,
    may_stay: bool = False,
    choose_again: bool = False,
    random_state: int,
    history: History,
    start_of: Start | None = None,
    checkpoint: Keeper | None = None,
) -> GradientFit:
    """Return a model trained through `phases`, warm-started from least squares.

    The steps of each phase are chosen on held-out windows at the end of each series, by a run that has seen nothing of
    them, the ridge of its start included; then all is done once more on all rows. A group that cannot be judged (no
    window, or no scale) takes every step, but none of a trial.

    Parameters
    ----------
    problem : Problem
    ridge : (S,) float64
        Penalty of the warm start.
    build : callable
        From the start, of G groups, and the groups' keys to a model.
    phases : list of Phase
        One after the other, each from the best weights of the one before.
    n_validation : int
        Windows held out at the end of each series, at most; 0: none.
    n_more : int
        Windows besides, of series that spare them easily, see ``Problem.n_windows``.
    n_trials : int
        This many of the last phases are alternatives, each from the weights before all of them (open loop), which stay
        unless one shows that it is better: by one standard error, on moments by a paired t-test.
    may_stay : bool
        Whether the first phase may keep its start where no look is better; else it takes its best step.
    choose_again : bool
        Whether `ridge` was chosen on all rows: then the run that holds windows out chooses its own on the rest.
    random_state : int
        Draws are keyed by it and the series' ids.
    history : History
    start_of : callable, optional
        What the start is: `warm_start` by default, a linear map. What structure it has is chosen by the run that holds
        windows out, and kept when all is done once more: it is part of what was judged.
    checkpoint : Keeper, optional
        Where training keeps how far it has got, and goes on from.
    """
    by_moments = all(isinstance(part.settings, moments.Settings) for part in phases)
    size = moments.at_once(problem.layout) if by_moments else _CHUNK
    size = min(size, -(-problem.panel.n_series // problem.processes.count))
    if not problem.pooled and problem.panel.n_series > size:
        return _in_chunks(
            problem, ridge, build, phases, size,
            n_validation=n_validation, n_more=n_more, n_trials=n_trials, may_stay=may_stay, choose_again=choose_again,
            random_state=random_state, history=history, start_of=start_of, checkpoint=checkpoint,
        )  # fmt: skip
    if not problem.processes.alone:
        problem = _shared(problem, phases, history)
        checkpoint = checkpoint and OneWriter(checkpoint, problem.processes)
    structure, start = start_of, None
    start_of = start_of or warm_start
    ids = ["all"] if problem.pooled else [str(name) for name in problem.panel.id_list]
    keys = torch.tensor([key_of(random_state, name) for name in ids], dtype=torch.int64, device=problem.device)
    n_groups = len(keys)
    steps = np.repeat([[part.settings.max_steps] for part in phases], n_groups, axis=1)
    start_error, best_error = np.full(n_groups, np.nan), np.full(n_groups, np.nan)
    n_judged = np.zeros(n_groups, dtype=np.int64)
    replays: list[FloatArray | None] = [None] * len(phases)
    if n_validation > 0 and (problem.n_windows(n_validation) > 0).any():
        validation = problem.validation(n_validation, n_more)
        settled = int(((validation.n_windows > 0) & (validation.stops == problem.panel.lengths)).sum())
        if settled:
            history.notes.append(
                f"{settled} of {problem.panel.n_series} records had settled where rows were to be held out: judged on "
                f"those before, in which they moved, and which are learnt from too."
            )
        held_out = replace(problem, panel=problem.panel.head(validation.stops))
        learnt = problem.learn(validation.stops)
        own_ridge = choose_ridge(held_out, structure).ridge if choose_again else ridge
        start = start_of(problem, learnt, own_ridge, None)
        model = build(start, keys)
        judge = Judge(problem, learnt, validation)
        n_judged = np.bincount(judge.unit, minlength=n_groups)
        start_error = judge(model)[0]
        steps, best_error, replays = _choose(
            problem, learnt, model, phases, keys, own_ridge, judge, n_trials, may_stay,
            Watch(history, "choose", judge, checkpoint=checkpoint),
            level=_LEVEL if by_moments else None,
        )  # fmt: skip
    elif n_trials:
        # Nothing can show that a trial is better than what it starts from.
        steps[-n_trials:] = 0
    learnt = problem.learn(problem.panel.lengths)
    model = build(start_of(problem, learnt, ridge, start), keys)
    history.notes += learnt.notes
    unjudged = int(np.isnan(start_error).sum())
    if unjudged and any("errors" in part.forcing.requires for part in phases):
        history.notes.append(
            f"{unjudged} of {n_groups} models have no validation window with a scale to measure it by: their share of "
            f"truth fell along a line."
        )
    final = Watch(history, "final", checkpoint=checkpoint)
    for number, (part, stop_at, replay) in enumerate(zip(phases, steps, replays, strict=True)):
        if (stop_at > 0).any():
            watch = replace(final.numbered(number), stop_at=stop_at, replay=replay)
            train_phase(problem, learnt, model, part, keys, watch, ridge)
    return GradientFit(model, learnt, steps, start_error, best_error, n_judged)


def _in_chunks(
    problem: Problem,
    ridge: FloatArray,
    build: Build,
    phases: list[Phase],
    size: int,
    *,
    history: History,
    checkpoint: Keeper | None,
    **settings: Any,
) -> GradientFit:
    """Return the models of many series, fitted chunk by chunk, by whichever process: they are independent."""
    processes = problem.processes
    own: dict[int, tuple[nn.Module, list[Any], dict[str, Any]]] = {}
    for start in range(0, problem.panel.n_series, size)[processes.rank :: processes.count]:
        chosen = problem.every[start : start + size]
        told = History(history.solver, on_record=history.on_record)
        settings["checkpoint"] = checkpoint and checkpoint.within(str(start) if processes.alone else f"{start}-{size}")
        part = replace(problem.take(chosen), processes=ALONE)
        fit = fit_by_gradient(part, ridge[chosen], build, phases, history=told, **settings)
        model = fit.model if processes.alone else fit.model.cpu()
        own[start] = model, [fit.steps, fit.start_error, fit.best_error, fit.n_judged], told.state()
    found = {start: part for told in processes.told(own) for start, part in told.items()}
    parts = [found[start] for start in sorted(found)]
    history.extend_with_mean([(History.of(state), arrays[0].shape[1]) for _, arrays, state in parts])
    if not processes.alone:
        history.notes.append(f"{processes.count} processes shared the series.")
    models = [model.to(problem.device) for model, _, _ in parts]
    model = models[0]
    if isinstance(model, Polynomial):
        model = model.join([cast(Polynomial, one) for one in models])
    else:
        for tensor, *pieces in zip(_tensors(model), *map(_tensors, models), strict=True):
            tensor.data = torch.cat([piece.detach() for piece in pieces])
    arrays = [np.concatenate(pieces, axis=-1) for pieces in zip(*(arrays for _, arrays, _ in parts), strict=True)]
    return GradientFit(model, problem.learn(problem.panel.lengths), *arrays)


def _shared(problem: Problem, phases: list[Phase], history: History) -> Problem:
    """Return the problem of one training that processes share, where its solver has parts to share; told in history."""
    if all(isinstance(part.settings, gradient.Settings) for part in phases):
        history.notes.append(f"{problem.processes.count} processes shared the windows of each step.")
        return problem
    history.notes.append("nothing was shared between processes: each did all of it (AdamW alone has parts to share).")
    return replace(problem, processes=ALONE)


def _tensors(model: nn.Module) -> list[Tensor]:
    """Return all that a model of G groups has of each; G is the leading axis."""
    return [*model.parameters(), *model.buffers()]


def warm_start(problem: Problem, learnt: Learnt, ridge: FloatArray, before: Any = None) -> Linear | Headed:
    """Return the open-loop closed form, of squares or Huber's loss, on the rows that were learnt from; `ridge` is (S,).

    A linear map has no structure to keep of the one `before`. With the problem's head, where it has one.
    """
    del before
    penalty: Any = float(ridge[0]) if problem.pooled else torch.from_numpy(ridge).to(problem.device)
    (model,) = fit_maps(problem, learnt, [penalty])
    if problem.head is None:
        return model
    return head_start(problem.head, model, _cutoffs(problem, learnt), problem.horizon)


def _cutoffs(problem: Problem, learnt: Learnt) -> Cutoffs:
    """Return the cutoffs of training windows."""
    store = learnt.store
    first = np.full(problem.panel.n_series, store.first + problem.layout.reach - 1)
    last = learnt.stops - 2
    members = [problem.by_id] if problem.pooled else [problem.every[[i]] for i in problem.every]
    return Cutoffs(store, members, [first[m] for m in members], [last[m] for m in members], learnt.stops)


def _choose(
    problem: Problem,
    learnt: Learnt,
    model: nn.Module,
    phases: list[Phase],
    keys: Tensor,
    ridge: FloatArray,
    judge: Judge,
    n_trials: int,
    may_stay: bool,
    watch: Watch,
    *,
    level: float | None,
) -> tuple[IntArray, FloatArray, list[FloatArray | None]]:
    """Return the steps of each phase for each group, (P, G), the closed-loop validation error of what was kept, (G,),
    and those of all looks of each phase, (K, G).

    A group takes steps in at most one of the last `n_trials` phases: the one with the lowest error, which must show its
    worth against what all of them started from (see `no_better`, whose `level` it is).
    """
    steps = np.zeros((len(phases), len(keys)), dtype=np.int64)
    error = judge(model)[0]
    looks: list[FloatArray | None] = [None] * len(phases)
    first_trial = len(phases) - n_trials
    for number, part in enumerate(phases[:first_trial]):
        # A phase may keep its start where that is what a phase before it, or open loop by least squares, has kept.
        stays = may_stay or number > 0 or n_trials > 0
        own = replace(watch.numbered(number), keep_start=stays)
        done = train_phase(problem, learnt, model, part, keys, own, ridge)
        looks[number] = done.closed_loop
        moved = (done.best_step > 0) | (not stays)
        steps[number] = np.where(moved, done.best_step, 0)
        error = np.where(moved, done.error, error)
    if n_trials == 0 or (np.bincount(judge.unit, minlength=len(keys)) < 2).all():
        return steps, error, looks
    reference, start = judge.detail(model), [p.detach().clone() for p in model.parameters()]
    for number, part in enumerate(phases[first_trial:], first_trial):
        for parameter, value in zip(model.parameters(), start, strict=True):
            parameter.data.copy_(value)
        done = train_phase(problem, learnt, model, part, keys, watch.numbered(number), ridge)
        looks[number] = done.closed_loop
        won = (done.best_step > 0) & ~no_better(judge.detail(model), reference, judge.unit, len(keys), level)
        won &= (done.error < error) | ~np.isfinite(error)
        steps[first_trial:, won] = 0
        steps[number, won] = done.best_step[won]
        error = np.where(won, done.error, error)
    return steps, error, looks


def train_phase(
    problem: Problem,
    learnt: Learnt,
    model: nn.Module,
    phase: Phase,
    keys: Tensor,
    watch: Watch,
    ridge: FloatArray | None = None,
) -> Trained:
    """Train `model` through a phase; `ridge` (S,) is the penalty of its start, which moments want to know.

    Where the watch has a checkpoint, a phase that was over is not gone through again, and one that was not goes on.
    """
    place = watch.checkpoint
    if place is None:
        return _train(problem, learnt, model, phase, keys, watch, ridge)
    kept = place.read()
    if kept is not None and "trained" in kept:
        put_back(_tensors(model), kept["weights"])
        done, history = Trained(**kept["trained"]), History.of(kept["history"])
    else:
        history = History("", on_record=watch.history.on_record)
        done = _train(problem, learnt, model, phase, keys, replace(watch, history=history), ridge)
        place.keep({"weights": _tensors(model), "trained": vars(done), "history": history.state()})
    watch.history.extend(history)
    return done


def _train(
    problem: Problem, learnt: Learnt, model: nn.Module, phase: Phase, keys: Tensor, watch: Watch,
    ridge: FloatArray | None,
) -> Trained:  # fmt: skip
    scale = None
    if not isinstance(phase.settings, moments.Settings) and phase.settings.loss_space == "level":
        panel = problem.panel
        scale = error_scale(panel.values, panel.indptr, problem.season_length, learnt.stops)
        scale = np.where(has_scale(scale), scale, 1.0)
    name = phase.name or type(phase.forcing).__name__
    cutoffs = _cutoffs(problem, learnt)
    lesson = Lesson(cutoffs, problem.horizon, phase.forcing, keys, name, scale, problem.processes)
    if isinstance(phase.settings, levenberg_marquardt.Settings):
        return levenberg_marquardt.train(model, lesson, watch, phase.settings)
    if isinstance(phase.settings, moments.Settings):
        assert isinstance(model, Linear)
        assert ridge is not None
        intercept = problem.most_have_intercepts if problem.pooled else problem.intercept
        held = moments.Held(ridge[: len(keys)], np.broadcast_to(intercept, len(keys)).copy(), problem.prior)
        return moments.train(model, lesson, watch, phase.settings, held)
    return gradient.train(model, lesson, watch, phase.settings)
