"""Which solver a model and a mode call for, and what mode="auto" keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tsforce.dynamics.forcing import ClosedLoop, Curriculum, Forcing, OpenLoop
from tsforce.dynamics.heads.base import Head
from tsforce.dynamics.models.families import FAMILIES, Family, Polynomial
from tsforce.errors import ArgumentError
from tsforce.training.by_gradient import GradientFit, Phase, Start, fit_by_gradient, warm_start
from tsforce.training.by_rounds import RoundFit, fit_by_rounds
from tsforce.training.history import History, Record
from tsforce.training.losses import THRESHOLD
from tsforce.training.problem import Learnt, Problem
from tsforce.training.processes import ALONE
from tsforce.training.solvers import gradient, levenberg_marquardt, moments, relabel
from tsforce.training.solvers.direct import direct_maps, direct_regressors
from tsforce.training.solvers.keeping import Keeper
from tsforce.training.solvers.relabel import RowModel
from tsforce.training.solvers.ridge import RidgeChoice, choose_ridge
from tsforce.training.solvers.terms import select_terms
from tsforce.training.with_head import check_head, with_head

__all__ = ["LINEAR", "PRESETS", "SOLVERS", "Fitted", "Options", "fit_model"]

FloatArray = npt.NDArray[np.float64]

LINEAR = FAMILIES["linear"]
SOLVERS = ("auto", "adamw", "levenberg_marquardt", "moments")
PRESETS: dict[str, Forcing] = {"open_loop": OpenLoop(), "closed_loop": ClosedLoop(), "curriculum": Curriculum()}
_NAMES = {"levenberg_marquardt": "Levenberg-Marquardt", "moments": "moments of roll-outs (L-BFGS)"}
# Series that judge a pooled model well enough with one window each.
_MANY = 10
# Windows, at most, of a model that is judged by its own alone; and how many more on moments, where a t-test judges, to
# which 4 show large gains only (M4 Weekly, windows inside the training rows, per series: gains of up to 1.1 % for .4).
_OWN, _MORE = 4, 4
# Rounds of data as demonstrator.
_ROUNDS = 5
# Iterations of Levenberg-Marquardt, one step ahead and on roll-outs.
_ITERATIONS = 100, 30
# Steps on moments, under the curriculum and closed loop; and how long the latter's are at most (M4 Hourly, rows before
# the last day but one: full ones jump past what is worth having).
_ON_MOMENTS = 20, 16
_SHORT = 0.25
# Steps and rate of AdamW, at least, where a model has a head.
_OF_LAWS = 300, 1e-3

Settings = gradient.Settings | levenberg_marquardt.Settings | moments.Settings


@dataclass(frozen=True)
class Options:
    """How a solver is to run; None means the default of the solver, model and scope.

    Attributes
    ----------
    solver : str
        One of `SOLVERS`; "auto": least squares where that is the whole fit, moments of roll-outs for other named modes
        of a linear map of lags, else AdamW.
    max_steps, batch_size, learning_rate : number or None
    loss, loss_space : str
        A loss "auto" is the solver's own.
    huber_threshold : float
        Of a loss "huber", in robust scales.
    n_validation : int or None
        Windows held out at the end of each series; 0 for none.
    time_limit : float or None
        CPU seconds of a run.
    random_state : int
    penalty : float
    initial_outputs : str
        "measured", or "free" for phases in which a model is fed its own outputs.
    initial_weight : float
        Of free initial outputs.
    processes : str or None
        Who shares the work: `processes.TORCHRUN`, or nobody.
    """

    solver: str = "auto"
    max_steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    loss: str = "auto"
    loss_space: str = "model"
    n_validation: int | None = None
    time_limit: float | None = None
    random_state: int = 0
    penalty: float = 0.0
    initial_outputs: str = "measured"
    initial_weight: float = 1.0
    huber_threshold: float = THRESHOLD
    processes: str | None = None

    @property
    def huber(self) -> float | None:
        """The threshold of Huber's loss, where that is asked for."""
        return self.huber_threshold if self.loss == "huber" else None

    @property
    def by_squares(self) -> bool:
        """Whether Levenberg and Marquardt's solver runs."""
        return self.solver == "levenberg_marquardt"

    def settings(self, family: Family, pooled: bool, forcing: Forcing, head: Head | None = None) -> Settings:
        """Return the solver's settings for a family, scope and head under a policy.

        Raises
        ------
        ArgumentError
            If an option is not the solver's.
        """
        if self.by_squares:
            if self.learning_rate is not None:
                raise ArgumentError(
                    f"learning_rate={self.learning_rate!r}: Levenberg-Marquardt has a damping that it sets itself; "
                    f"leave learning_rate='auto', or use Training(solver='adamw')."
                )
            return levenberg_marquardt.Settings(
                max_steps=self.max_steps or _ITERATIONS[forcing != OpenLoop()],
                batch_size=self.batch_size,
                loss="mse" if self.loss == "auto" else self.loss,
                loss_space=self.loss_space,
                time_limit=self.time_limit,
                penalty=self.penalty,
                initial_weight=self.initial_weight,
                initial_outputs="measured" if forcing == OpenLoop() else self.initial_outputs,
            )
        if self.solver == "moments":
            closed = forcing == ClosedLoop()
            return moments.Settings(
                max_steps=self.max_steps or _ON_MOMENTS[closed],
                reach=_SHORT if closed else 1.0,
                huber_threshold=self.huber_threshold if self.loss in ("auto", "huber") else None,
                time_limit=self.time_limit,
            )
        pace = family.pooled if pooled else family.local
        steps, rate, loss = pace.steps, pace.rate, "mae"
        if head is not None:
            # Least squares has no part in what a law is beside its point.
            steps, rate = max(steps, _OF_LAWS[0]), max(rate, _OF_LAWS[1])
            # Over means that were fed back a likelihood asks of one step the spread of many: laws too wide.
            loss = "nll" if forcing == OpenLoop() else "crps"
        return gradient.Settings(
            max_steps=self.max_steps or steps,
            batch_size=self.batch_size or pace.windows,
            learning_rate=self.learning_rate or rate,
            loss=loss if self.loss == "auto" else self.loss,
            loss_space=self.loss_space,
            huber_threshold=self.huber_threshold,
            time_limit=self.time_limit,
        )

    def windows(self, pooled: bool, n_series: int) -> tuple[int, int]:
        """Return how many validation windows a series holds out, and how many more if it is long."""
        if self.n_validation is not None:
            return self.n_validation, 0
        # One window is a noisy judge of a model; one of each of many series is not.
        if pooled and n_series >= _MANY:
            return 1, 0
        return _OWN, _MORE if self.solver == "moments" else 0


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model, and how it came about.

    Attributes
    ----------
    model : StepModel
    learnt : Learnt
        The transforms it stands behind.
    history : History
    ridge : RidgeChoice
    kept : list of str
        For each group the mode whose weights were kept.
    """

    model: Any
    learnt: Learnt
    history: History
    ridge: RidgeChoice
    kept: list[str]


def fit_model(
    problem: Problem,
    kind: Family | RowModel,
    mode: str | Forcing,
    ridge: float | FloatArray | None,
    options: Options,
    history: History,
    checkpoint: Keeper | None = None,
) -> Fitted:
    """Return a model of `kind` trained under `mode`.

    Parameters
    ----------
    problem : Problem
    kind : Family or RowModel
        A model that is fitted on rows learns under every mode by rounds of data as demonstrator.
    mode : "open_loop", "closed_loop", "curriculum", "auto" or Forcing
    ridge : float, (S,) float64 or None
        Penalty of least squares, which is the whole fit of a linear model in open loop and the start of every other,
        for all series or for each; None: chosen.
    options : Options
    history : History
        Filled.
    checkpoint : Keeper, optional
        Where training by gradient keeps how far it has got, and goes on from.

    Raises
    ------
    ArgumentError
        If options, mode and kind do not go together.
    """
    n_series = problem.panel.n_series
    n_groups = 1 if problem.pooled else n_series
    _check_penalty(options)
    _check_initial_outputs(kind, mode, options)
    check_head(problem, kind, PRESETS.get(mode) if isinstance(mode, str) else mode, options)
    if problem.direct:
        return _direct(problem, kind, mode, ridge, options, history)
    if not isinstance(kind, Family):
        problem = replace(problem, processes=ALONE)
        return _by_rounds(problem, kind, mode, options, history)
    forcing = PRESETS.get(mode) if isinstance(mode, str) else mode
    if forcing is not None:
        _check_policy(kind, options, forcing)
        if problem.pooled and not problem.processes.alone:
            gradient.SHARED.check(forcing)
    plain = kind == LINEAR and problem.head is None and options.solver == "auto"
    if mode == "auto" and forcing is None and plain and problem.prior is not None:
        # Tried on windows inside the training rows of M3 and M4 groups: of what a prior holds already, own outputs mend
        # nothing, and the lowest of many looks at few windows made it worse.
        forcing = OpenLoop()
        history.notes.append(
            f"auto: a linear map with prior={problem.prior.kind!r} learns open loop, nothing was tried."
        )
    start_of = _start_of(kind)
    choice = _ridge_of(problem, ridge, history, start_of)
    if kind.closed_form and forcing == OpenLoop() and options.solver == "auto" and problem.head is None:
        _check_closed_loss(options)
        history.solver = "least squares" if problem.huber is None else "robust least squares (Huber)"
        learnt = problem.learn(problem.panel.lengths)
        model = (start_of or warm_start)(problem, learnt, choice.ridge, None)
        history.notes += learnt.notes
        # Of other families no candidate was rolled out one step ahead.
        if kind == LINEAR and np.isfinite(choice.closed_loop):
            nothing = math.nan
            history.add(
                Record("choose", "open_loop", 0, 0, nothing, choice.one_step, choice.closed_loop, 1.0, nothing, 0.0)
            )
        return Fitted(model, learnt, history, choice, ["open_loop"] * n_groups)
    options = _on_moments_or_not(problem, kind, mode, options, history)
    history.solver = f"{_NAMES.get(options.solver, 'gradient (AdamW)')}, warm start by least squares"
    phases, n_trials = _plan(kind, mode, options, pooled=problem.pooled, head=problem.head)
    build = partial(kind.build, dtype=torch.float64) if options.by_squares else kind.build
    if problem.head is not None:
        build = partial(with_head, kind)
    n_validation, n_more = options.windows(problem.pooled, n_series)
    fit = fit_by_gradient(
        problem, choice.ridge, build, phases,
        n_validation=n_validation, n_more=n_more, n_trials=n_trials, may_stay=len(phases) == 1,
        choose_again=ridge is None, random_state=options.random_state, history=history, start_of=start_of,
        checkpoint=checkpoint,
    )  # fmt: skip
    if n_trials == 0:
        stayed = (fit.steps == 0).all(axis=0)
        if np.isfinite(fit.best_error).any():
            history.notes.append(_what_alone_was_kept(fit, phases[-1].name, int(stayed.sum())))
        return Fitted(fit.model, fit.learnt, history, choice, np.where(stayed, "open_loop", phases[-1].name).tolist())
    trials = np.array([part.name for part in phases[-n_trials:]])
    taken = fit.steps[-n_trials:] > 0
    kept = np.where(taken.any(axis=0), trials[taken.argmax(axis=0)], "open_loop").tolist()
    history.notes.append(_what_was_kept(fit, kept, phases[0].name if mode != "auto" else "auto"))
    return Fitted(fit.model, fit.learnt, history, choice, kept)


def _ridge_of(
    problem: Problem, ridge: float | FloatArray | None, history: History, start: Start | None = None
) -> RidgeChoice:
    """Return the ridge that was given, or one that is chosen; the history is told of choices at an edge."""
    choice = choose_ridge(problem, start) if ridge is None else RidgeChoice.fixed(ridge, problem.panel.n_series)
    if (note := choice.edges(problem.pooled)) is not None:
        history.notes.append(note)
    return choice


def _direct(
    problem: Problem, kind: Family | RowModel, mode: str | Forcing, ridge: float | FloatArray | None, options: Options,
    history: History,
) -> Fitted:  # fmt: skip
    """Return a map for every step, on what was observed."""
    asked = f"strategy={problem.strategy!r}"
    if isinstance(kind, Family) and kind != LINEAR:
        raise ArgumentError(
            f"{asked} has model='linear' and regressors, not model={kind.name!r}; use strategy='recursive'."
        )
    if mode not in ("auto", "open_loop", OpenLoop()):
        raise ArgumentError(
            f"mode={mode!r}: {asked} learns from no own outputs; use mode='open_loop' or 'auto', or "
            f"strategy='recursive'."
        )
    if options.solver != "auto" or problem.device.type != "cpu":
        raise ArgumentError(f"{asked} has a closed form on the CPU: use solver='auto' and device='auto'.")
    n_series = problem.panel.n_series
    kept = ["open_loop"] * (1 if problem.pooled else n_series)
    if problem.strategy == "rectify":
        base = _ridge_of(replace(problem, strategy="recursive"), ridge, history).ridge
        history.notes.append(
            f"rectify: ridges of the recursive map are {base.min():g} to {base.max():g}; ridge_ has those of what is "
            f"added to it."
        )
        problem = replace(problem, base_ridge=base)
    if not isinstance(kind, Family):
        history.solver = f"rows of each step ({problem.strategy})"
        learnt = problem.learn(problem.panel.lengths)
        model = direct_regressors(problem, learnt, kind)
        return Fitted(model, learnt, history, RidgeChoice.fixed(np.nan, n_series), kept)
    _check_closed_loss(options)
    choice = _ridge_of(problem, ridge, history)
    learnt = problem.learn(problem.panel.lengths)
    penalty: Any = float(choice.ridge[0]) if problem.pooled else torch.from_numpy(choice.ridge)
    (model,) = direct_maps(problem, learnt, [penalty])
    history.solver = f"least squares of each step ({problem.strategy})"
    history.notes += learnt.notes
    return Fitted(model, learnt, history, choice, kept)


def _on_moments_or_not(
    problem: Problem, kind: Family, mode: str | Forcing, options: Options, history: History
) -> Options:
    """Return options that name moments where these are asked for or, by "auto", do what the others ask for.

    Where it is what a map reads that they do not take, the history says so.

    Raises
    ------
    ArgumentError
        If moments are asked for, and do not.
    """
    if options.solver not in ("auto", "moments"):
        return options
    reasons = {
        "a head": problem.head is not None,
        f"model={kind.name!r}": kind != LINEAR,
        f"mode={mode!r}": mode not in ("closed_loop", "curriculum", "auto"),
        f"loss={options.loss!r}": options.loss not in ("auto", "mse", "huber"),
        f"loss_space={options.loss_space!r}": options.loss_space != "model",
        "learning_rate": options.learning_rate is not None,
        "batch_size": options.batch_size is not None,
    }
    set_otherwise = next((words for words, there in reasons.items() if there), None)
    asked = set_otherwise or moments.why_not(problem)
    if asked is None:
        return replace(options, solver="moments")
    if options.solver == "moments":
        raise ArgumentError(
            f"solver='moments' trains linear maps of the lags of one target, without missing values, by squares or "
            f"Huber's loss in modes 'closed_loop', 'curriculum' and 'auto'; here it meets {asked}: use solver='auto'."
        )
    if set_otherwise is None:
        history.notes.append(f"own outputs are learnt from by AdamW: moments of roll-outs do not take {asked}.")
    return options


def _check_penalty(options: Options) -> None:
    """Raise an ArgumentError if a penalty is asked of another solver than the one that has it."""
    if options.penalty and not options.by_squares:
        raise ArgumentError(
            f"penalty={options.penalty!r}: solver={options.solver!r} has none, Levenberg-Marquardt has; leave "
            f"penalty=0 (that of least squares is ridge=), or use Training(solver='levenberg_marquardt')."
        )


def _check_closed_loss(options: Options) -> None:
    """Raise an ArgumentError if a closed form is asked for a loss that has none."""
    if options.loss not in ("auto", "mse", "huber"):
        raise ArgumentError(
            f"loss={options.loss!r}: least squares, which is the whole fit of this model in open loop, has 'mse' and "
            f"'huber'; use one of these, or Training(solver='adamw')."
        )


def _check_initial_outputs(kind: Family | RowModel, mode: str | Forcing, options: Options) -> None:
    """Raise an ArgumentError if initial outputs are to be free and no solver can move them, or a weight has no use."""
    if options.initial_outputs == "measured":
        if options.initial_weight != 1:
            raise ArgumentError(
                f"initial_weight={options.initial_weight!r} is that of free initial outputs; leave it out, or use "
                f"Training(initial_outputs='free')."
            )
        return
    if not isinstance(kind, Family):
        why = "a regressor fits rows, and no solver moves what they read"
    elif kind.takes_in_context:
        why = "a model with a state of its own starts from its whole context"
    elif (PRESETS.get(mode) if isinstance(mode, str) else mode) == OpenLoop():
        why = f"mode={mode!r} feeds measured outputs at every step"
    elif not options.by_squares:
        why = f"solver={options.solver!r} does not learn them, Levenberg-Marquardt does"
    else:
        return
    raise ArgumentError(
        f"initial_outputs={options.initial_outputs!r}: {why}; use initial_outputs='measured', or "
        f"Training(solver='levenberg_marquardt', ...) with mode='closed_loop' and a linear, polynomial or small tanh "
        f"model."
    )


def _check_policy(kind: Family, options: Options, forcing: Forcing) -> None:
    """Raise an ArgumentError unless the solver of a model with a gradient has what a policy requires."""
    offer = levenberg_marquardt.OFFER if options.by_squares else gradient.OFFER
    offer.check(forcing)
    if kind.takes_in_context:
        instead = "a model without one, such as model='linear' or 'mlp', or another policy such as Curriculum()"
        offer.without("gains", "passes", where="on a model with a state", instead=instead).check(forcing)
    if options.n_validation == 0:
        instead = "Training(validation='auto'), or a schedule that counts steps, such as Linear()"
        offer.without("errors", where="under validation=False", instead=instead).check(forcing)


def _start_of(kind: Family) -> Start | None:
    """Return what models of a family start from; None: a linear map."""
    if not isinstance(kind, Polynomial):
        return None
    return lambda problem, learnt, ridge, before: select_terms(problem, learnt, ridge, kind, before)


def _by_rounds(problem: Problem, blank: RowModel, mode: str | Forcing, options: Options, history: History) -> Fitted:
    if options.solver != "auto":
        raise ArgumentError(
            f"solver={options.solver!r} is for models with a gradient; a regressor fits itself, so leave solver='auto'."
        )
    n_series = problem.panel.n_series
    must_show = mode == "auto"
    name = "closed_loop" if must_show else mode if isinstance(mode, str) else type(mode).__name__
    forcing = PRESETS[name] if isinstance(mode, str) else mode
    relabel.OFFER.check(forcing)
    plain = forcing == OpenLoop()
    history.solver = "one-step rows" if plain else "rows of own roll-outs, added round by round (data as demonstrator)"
    fit = fit_by_rounds(
        problem, blank, forcing, options.max_steps or _ROUNDS,
        name=name, n_validation=options.windows(problem.pooled, n_series)[0], must_show=must_show,
        random_state=options.random_state, history=history,
    )  # fmt: skip
    kept = np.where(fit.rounds > 0, name, "open_loop").tolist()
    if must_show:
        history.notes.append(_what_was_kept(fit, kept, "auto"))
    return Fitted(fit.model, fit.learnt, history, RidgeChoice.fixed(np.nan, n_series), kept)


def _plan(
    kind: Family, mode: str | Forcing, options: Options, *, pooled: bool, head: Head | None
) -> tuple[list[Phase], int]:
    """Return the phases of a mode, and how many of the last ones are alternatives on trial."""

    def phase(forcing: Forcing, name: str, share: float = 1.0) -> Phase:
        settings = options.settings(kind, pooled, forcing, head)
        return Phase(forcing, settings if share == 1 else settings.with_steps(int(share * settings.max_steps)), name)

    if mode != "auto":
        forcing = mode if isinstance(mode, Forcing) else PRESETS[mode]
        phases = [phase(forcing, mode if isinstance(mode, str) else type(mode).__name__)]
        if options.by_squares and not kind.closed_form and forcing != OpenLoop():
            # Roll-outs of a network that is not yet a good one-step map are no place for Gauss and Newton to start.
            phases.insert(0, phase(OpenLoop(), "open_loop"))
        # Moments start where open loop ends: with windows to judge by, own outputs have to show that they are better.
        return phases, int(options.solver == "moments" and options.n_validation != 0)
    # A pooled model has windows enough to judge two trials; of many looks at the few windows of one series, the lowest
    # is low by luck.
    trials = ["curriculum", "closed_loop"] if pooled else ["curriculum"]
    if kind.closed_form and head is None:  # whose start is the open-loop solution
        return [phase(PRESETS[name], name) for name in trials], len(trials)
    share = 1.0 if options.by_squares else 0.5
    return [phase(PRESETS[name], name, share) for name in ("open_loop", *trials)], len(trials)


def _what_alone_was_kept(fit: GradientFit, name: str, n_stayed: int) -> str:
    known = np.isfinite(fit.start_error) & np.isfinite(fit.best_error)
    start, best = (float(e[known].mean()) if known.any() else np.nan for e in (fit.start_error, fit.best_error))
    errors_said = f"closed-loop validation error {start:.4g} at the start, {best:.4g} kept"
    if n_stayed == 0:
        return f"{name}: {errors_said}."
    who = "the start, open loop by least squares, was kept"
    if len(fit.start_error) > 1:
        who = f"{n_stayed} of {len(fit.start_error)} models kept {who.replace(', was kept', '')}"
    return f"{name}: no look was better, so that {who}; {errors_said}."


def _what_was_kept(fit: GradientFit | RoundFit, kept: list[str], asked: str) -> str:
    compared = int((fit.n_judged > 1).sum())
    if compared == 0:
        return (
            f"{asked}: no model has two validation windows with a scale to measure them by, so nothing was compared "
            "and open loop was kept."
        )
    better = sum(mode != "open_loop" for mode in kept)
    own = sorted(set(kept) - {"open_loop"})
    known = np.isfinite(fit.start_error) & np.isfinite(fit.best_error)
    start, best = (
        float(errors[known].mean()) if known.any() else np.nan for errors in (fit.start_error, fit.best_error)
    )
    errors_said = f"closed-loop validation error {start:.4g} at the start, {best:.4g} kept"
    if len(kept) == 1:
        return f"{asked}: {kept[0]} was kept; {errors_said}."
    others = ", ".join(own) or "none"
    return (
        f"{asked}: {better} of {len(kept)} models kept training on own outputs ({others}), the others open loop "
        f"({compared} could be compared); {errors_said}."
    )
