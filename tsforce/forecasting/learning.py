"""The steps of a fit that are the same for every NARX estimator: resolve its arguments, learn, store."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tsforce.data.panel import Panel
from tsforce.data.transforms import BoxCox, Log
from tsforce.dynamics.forcing import Forcing, OpenLoop
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import FAMILIES, MLP, Family, Polynomial
from tsforce.errors import (
    ArgumentError,
    ContextWarning,
    DivergenceWarning,
    OffsetWarning,
    ProcessError,
    ValidationWarning,
    abbreviate,
    check_choice,
    warn,
)
from tsforce.forecasting.adapters import RegressorModel
from tsforce.forecasting.arguments import check_count, check_device, check_mode, check_number
from tsforce.forecasting.checkpointing import place_for
from tsforce.forecasting.history_frame import TrainingHistory, shown_on
from tsforce.forecasting.rolling import Rolling
from tsforce.forecasting.training_options import Training, training_of
from tsforce.persistence.checkpoints import Checkpoint
from tsforce.persistence.describing import digest
from tsforce.progress import Progress
from tsforce.training.fit import LINEAR, PRESETS, SOLVERS, Fitted, Options, fit_model
from tsforce.training.history import History
from tsforce.training.losses import HEAD_LOSSES, LOSSES
from tsforce.training.missing import seasonal_fill
from tsforce.training.problem import Problem
from tsforce.training.processes import TORCHRUN, Processes, own_device
from tsforce.training.solvers import levenberg_marquardt
from tsforce.training.solvers.levenberg_marquardt import INITIAL_OUTPUTS

__all__ = ["Asked", "draws", "learn", "place_of", "resolve", "solver_of", "store", "with_filled_contexts"]

# Weights up to which the matrix of all pairs of them is cheap to make and to factorise.
_SMALL = 2000


@dataclass(frozen=True, eq=False)
class Asked:
    """What an estimator's arguments ask for, whatever its data; checked.

    Attributes
    ----------
    kind : Family or estimator
    mode : str or Forcing
        By its name where it has one.
    ridge : float, (S,) float64 or None
        One for all series, or one for each; None: chosen.
    options : Options
    device : torch.device
    """

    kind: Any
    mode: str | Forcing
    ridge: float | NDArray[np.float64] | None
    options: Options
    device: torch.device


def resolve(estimator: Any, kind: Any, mode: Any, n_validation: Callable[[Any], int | None]) -> Asked:
    """Return what the arguments of a NARXForecaster or NARXRegressor ask for.

    Parameters
    ----------
    estimator : NARXForecaster or NARXRegressor
    kind : Family or estimator
    mode : str, Forcing or None
        None: the estimator's.
    n_validation : function
        From ``Training.validation`` to the number of windows in `Options`.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        With the argument's name and what is accepted.
    """
    trained_mode = check_mode(estimator.mode if mode is None else mode)
    options = _options(estimator, training_of(estimator.training), n_validation)
    device = check_device(estimator.device)
    return Asked(
        kind=kind,
        # A policy that has a name goes by it.
        mode=next((name for name, forcing in PRESETS.items() if forcing == trained_mode), trained_mode),
        ridge=check_number("ridge", estimator.ridge, auto=True),
        options=options,
        device=device if options.processes is None else own_device(device),
    )


def _options(estimator: Any, training: Training, n_validation: Callable[[Any], int | None]) -> Options:
    steps, batch, limit = estimator.max_steps, training.batch_size, training.time_limit
    return Options(
        solver=check_choice("solver", training.solver, SOLVERS),
        max_steps=None if steps is None else check_count("max_steps", steps, other="None"),
        batch_size=None if batch == "auto" else check_count("batch_size", batch, other="'auto'"),
        learning_rate=check_number("learning_rate", training.learning_rate, auto=True, above_zero=True),
        loss=check_choice("loss", estimator.loss, ("auto", *LOSSES, *HEAD_LOSSES)),
        huber_threshold=check_number("huber_threshold", training.huber_threshold, auto=False, above_zero=True),
        loss_space=check_choice("loss_space", training.loss_space, ("model", "level")),
        n_validation=n_validation(training.validation),
        time_limit=None if limit is None else check_number("time_limit", limit, auto=False, above_zero=True),
        random_state=check_count("random_state", estimator.random_state, least=0),
        penalty=check_number("penalty", training.penalty, auto=False),
        initial_outputs=check_choice("initial_outputs", training.initial_outputs, INITIAL_OUTPUTS),
        initial_weight=check_number("initial_weight", training.initial_weight, auto=False, above_zero=True),
        processes=None if training.processes is None else check_choice("processes", training.processes, (TORCHRUN,)),
    )


def place_of(estimator: Any, checkpoint: Any, asked: Asked, panel: Panel) -> Checkpoint | None:
    """Return the place of a folder for checkpoints of a fit on a panel; None where none is asked for."""
    settings = estimator.get_params(deep=False)
    settings |= {"mode": asked.mode, "training": training_of(estimator.training)}
    return place_for(checkpoint, type(estimator).__name__, settings, panel)


def draws(estimator: Any, mode: Any) -> bool:
    """Return whether a fit in a mode draws anything: least squares, where that is the whole of it, does not."""
    if getattr(estimator, "head", "point") != "point":
        return True
    kind = FAMILIES.get(estimator.model) if isinstance(estimator.model, str) else estimator.model
    closed = isinstance(kind, Family) and kind.closed_form and training_of(estimator.training).solver == "auto"
    return not (closed and (estimator.mode if mode is None else mode) in ("open_loop", OpenLoop()))


def solver_of(asked: Asked, layout: LagLayout) -> str:
    """Return the solver for a model of a dynamic system; "auto" is its closed form, or a regressor's own.

    Levenberg and Marquardt's for models that are smooth and small, unless an option asks for what it does not do.
    """
    kind, mode, options = asked.kind, asked.mode, asked.options
    if options.solver != "auto" or not isinstance(kind, Family):
        return options.solver
    forcing = PRESETS.get(mode) if isinstance(mode, str) else mode
    if kind.closed_form and forcing == OpenLoop():
        return "auto"
    smooth = kind.closed_form or (isinstance(kind, MLP) and kind.activation == "tanh")
    widths = [len(layout.columns), *(kind.hidden if isinstance(kind, MLP) else ()), len(layout.channels)]
    small = sum(a * b for a, b in itertools.pairwise(widths)) <= _SMALL
    squares = options.loss in ("auto", "mse") and options.loss_space == "model" and options.learning_rate is None
    takes = forcing is None or levenberg_marquardt.OFFER.takes(forcing)
    return "levenberg_marquardt" if smooth and small and squares and takes else "adamw"


def _chooses(asked: Asked) -> bool:
    """Return whether a fit chooses anything on held-out rows: least squares, and rows of a regressor, do not."""
    kind, mode = asked.kind, asked.mode
    opened = (PRESETS.get(mode) if isinstance(mode, str) else mode) == OpenLoop()
    if not isinstance(kind, Family):
        return not opened
    closed = kind.closed_form and asked.options.solver == "auto"
    return asked.ridge is None or isinstance(kind, Polynomial) or not (closed and opened)


def with_filled_contexts(problem: Problem, ridge: Any) -> Problem:
    """Return a problem whose contexts show a linear model's own outputs where nothing was observed.

    Warns
    -----
    ContextWarning
        If that is so for more than half of the values of a target.
    """
    panel = problem.panel
    if not np.isnan(panel.values).any():
        return problem
    _warn_of_sparse_targets(panel)
    seen = replace(panel, filled=seasonal_fill(panel, problem.season_length))
    start = fit_model(replace(problem, panel=seen, head=None), LINEAR, "open_loop", ridge, Options(), History(""))
    return replace(problem, panel=Rolling.of(start, problem).fill(seen))


def _warn_of_sparse_targets(panel: Panel) -> None:
    """Warn where most values that lags could read were not observed."""
    share = np.isnan(panel.values).mean(axis=0)
    if share.max() > 0.5:
        column = panel.columns.targets[int(share.argmax())]
        warn(
            f"{100 * share.max():.0f} % of the values of {column!r} are missing: most lags stand on outputs that a "
            f"linear model has made up, and what is learnt from them can be far off (mode='closed_loop' suffers less "
            f"than 'open_loop'). Better: keep only the steps at which {column!r} is observed, with what the inputs did "
            f"in between as columns of their own.",
            ContextWarning,
        )


def learn(problem: Problem, asked: Asked, *, name: str, verbose: bool, checkpoint: Checkpoint | None = None) -> Fitted:
    """Return a model of a family, or of a regressor, trained as asked.

    Parameters
    ----------
    problem : Problem
    asked : Asked
    name : str
        Of whoever is fitted, for the line of progress.
    verbose : bool
        Show that line on stderr, and under it what the history notes.
    checkpoint : Checkpoint, optional
        Where training by gradient keeps how far it has got, and goes on from.

    Raises
    ------
    ArgumentError
        If a regressor is to be fitted on another device than the CPU.

    Warns
    -----
    DivergenceWarning
        If some groups met numbers that are not finite.
    OffsetWarning
        If a logarithm met series with negative values.
    ValidationWarning
        If a share of records was to be held out, to choose something by, and all are too short for it.
    """
    kind, share = asked.kind, problem.judged_share
    if share is not None and not problem.n_windows(1).any() and _chooses(asked):
        warn(
            f"validation={share}: nothing could be held out, since no record has {problem.layout.reach + 1} rows to "
            f"learn from and 2 more to judge by. mode='auto' and moments keep open loop, other modes take every step, "
            f"and terms are chosen one step ahead. Give longer records, another share, or Training(validation=False).",
            ValidationWarning,
        )
    if not isinstance(kind, Family):
        if problem.device.type != "cpu":
            raise ArgumentError(
                f"device={str(problem.device)!r}: a scikit-learn regressor runs on the CPU; leave it out."
            )
        kind = RegressorModel(problem.layout, kind, asked.options.random_state)
    if asked.options.processes is not None:
        problem = _shared_out(problem, replace(asked, kind=kind))
    with Progress(name, shown=verbose and problem.processes.first) as progress:
        history = History("", on_record=shown_on(progress) if progress.shown else None)
        fitted = fit_model(problem, kind, asked.mode, asked.ridge, asked.options, history, checkpoint)
    history.on_record = None
    if progress.shown:
        sys.stderr.write("".join(f"{note}\n" for note in history.notes))
    _tell_of_offsets(problem, fitted)
    if history.n_diverged:
        warn("; ".join(n for n in history.notes if "diverged" in n), DivergenceWarning)
    return fitted


def _shared_out(problem: Problem, asked: Asked) -> Problem:
    """Return a problem whose work the processes share that were all given the same.

    Raises
    ------
    ProcessError
        If they were not.
    """
    processes = Processes.started()
    same = replace(problem, device=torch.device("cpu"))
    seen = processes.told(digest([same, asked.kind, asked.mode, asked.ridge, asked.options]))
    others = [rank for rank, one in enumerate(seen) if one != seen[0]]
    if others:
        raise ProcessError(
            f"processes={TORCHRUN!r}: process {', '.join(map(str, others[:5]))} was given other rows or other settings "
            f"than process 0; all make the same call on the same frame, and tsforce shares out the work."
        )
    return replace(problem, processes=processes)


def _tell_of_offsets(problem: Problem, fitted: Fitted) -> None:
    """Warn once of all series to which a logarithm had to add something."""
    chain = fitted.learnt.chain
    for transform, params in zip(chain.transforms, chain.params, strict=True):
        if not isinstance(transform, Log | BoxCox):
            continue
        offset = params[0].max(axis=1)
        # An offset of 1 is that of counts with zeros among them, log(1 + y): what is meant.
        moved = np.flatnonzero(offset > 1)
        if len(moved):
            ids = [problem.panel.ids[k] for k in moved]
            added = f"{offset[moved].min():g}" if len(moved) == 1 else f"{offset[moved].min():g} to {offset.max():g}"
            warn(
                f"{transform}: {len(moved)} of {len(offset)} series hold negative values, which have no logarithm: an "
                f"offset of {added} is added to {abbreviate(ids)} before it is taken. Leave {transform} out if that is "
                f"not meant: growth is in per cent of the shifted series then.",
                OffsetWarning,
            )


def store(estimator: Any, asked: Asked, fitted: Fitted) -> None:
    """Set what a fit of either estimator leaves behind, under the same names."""
    estimator.mode_ = asked.mode
    estimator.history_ = TrainingHistory(fitted.history)
    estimator.model_ = fitted.model
