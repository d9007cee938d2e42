"""From an estimator's arguments to a fit: the solver's options, which solver a model gets, what is said meanwhile."""

from __future__ import annotations

import itertools
import sys
from typing import Any

from tsforce.dynamics.forcing import Forcing, OpenLoop
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import FAMILIES, MLP, Family, Polynomial
from tsforce.errors import ArgumentError, DivergenceWarning, ValidationWarning, check_choice, warn
from tsforce.forecasting.adapters import RegressorModel
from tsforce.forecasting.arguments import check_count, check_number
from tsforce.forecasting.history_frame import ProgressLine
from tsforce.training.fit import PRESETS, SOLVERS, Fitted, Options, fit_model
from tsforce.training.history import History
from tsforce.training.losses import LOSSES
from tsforce.training.problem import Problem

__all__ = ["draws", "learn", "options_of", "solver_of"]

# Weights up to which the matrix of all pairs of them is cheap to make and to factorise.
_SMALL = 2000


def options_of(estimator: Any, n_validation: int | None, **more: Any) -> Options:
    """Return the solver's options that an estimator's arguments ask for, checked.

    Parameters
    ----------
    estimator : NARXForecaster or NARXRegressor
    n_validation : int or None
        As in `Options`.
    **more
        Options that not every estimator has, checked before.

    Raises
    ------
    ArgumentError
        With the argument's name and what is accepted.
    """
    steps, batch, limit = estimator.max_steps, estimator.batch_size, estimator.time_limit
    return Options(
        max_steps=None if steps is None else check_count("max_steps", steps, other="None"),
        batch_size=None if batch == "auto" else check_count("batch_size", batch, other="'auto'"),
        learning_rate=check_number("learning_rate", estimator.learning_rate, auto=True, above_zero=True),
        time_limit=None if limit is None else check_number("time_limit", limit, auto=False, above_zero=True),
        solver=check_choice("solver", estimator.solver, SOLVERS),
        loss=check_choice("loss", estimator.loss, ("auto", *LOSSES)),
        n_validation=n_validation,
        random_state=check_count("random_state", estimator.random_state, least=0),
        **more,
    )


def draws(model: Any, solver: str, mode: Any) -> bool:
    """Return whether a fit draws anything: least squares, where that is the whole of it, does not."""
    kind = FAMILIES.get(model) if isinstance(model, str) else model
    closed = isinstance(kind, Family) and kind.closed_form and solver == "auto"
    return not (closed and mode in ("open_loop", OpenLoop()))


def solver_of(kind: Family, mode: str | Forcing, layout: LagLayout, options: Options) -> str:
    """Return the solver for a model of a dynamic system that has a gradient; "auto" is its closed form.

    Levenberg and Marquardt's for models that are smooth and small, unless an option asks for what it does not do.
    """
    if options.solver != "auto":
        return options.solver
    forcing = PRESETS.get(mode) if isinstance(mode, str) else mode
    if kind.closed_form and forcing == OpenLoop():
        return "auto"
    smooth = kind.closed_form or (isinstance(kind, MLP) and kind.activation == "tanh")
    widths = [len(layout.columns), *(kind.hidden if isinstance(kind, MLP) else ()), len(layout.channels)]
    small = sum(a * b for a, b in itertools.pairwise(widths)) <= _SMALL
    squares = options.loss in ("auto", "mse") and options.learning_rate is None
    plain = forcing is None or not (forcing.adversary or forcing.measures_every or forcing.in_passes)
    return "levenberg_marquardt" if smooth and small and squares and plain else "adamw"


def _chooses(kind: Any, mode: str | Forcing, ridge: float | None, options: Options) -> bool:
    """Return whether a fit chooses anything on held-out rows: least squares, and rows of a regressor, do not."""
    opened = (PRESETS.get(mode) if isinstance(mode, str) else mode) == OpenLoop()
    if not isinstance(kind, Family):
        return not opened
    closed = kind.closed_form and options.solver == "auto"
    return ridge is None or isinstance(kind, Polynomial) or not (closed and opened)


def learn(
    problem: Problem,
    kind: Any,
    mode: str | Forcing,
    ridge: float | None,
    options: Options,
    *,
    name: str,
    verbose: bool,
) -> Fitted:
    """Return a model of a family, or of a regressor, trained under `mode`.

    Parameters
    ----------
    problem, mode, ridge, options
        As in ``fit_model``.
    kind : Family or estimator
    name : str
        Of whoever is fitted, for the line of progress.
    verbose : bool
        Show that line on stderr.

    Raises
    ------
    ArgumentError
        If a regressor is to be fitted on another device than the CPU.

    Warns
    -----
    DivergenceWarning
        If some groups met numbers that are not finite.
    ValidationWarning
        If a share of records was to be held out, to choose something by, and all are too short for it.
    """
    share = problem.judged_share
    if share is not None and not problem.n_windows(1).any() and _chooses(kind, mode, ridge, options):
        warn(
            f"validation={share}: nothing could be held out, since no record has {problem.layout.reach + 1} rows to "
            f"learn from and 2 more to judge by. mode='auto' keeps open loop, other modes take every step, and terms "
            f"are chosen one step ahead. Give longer records, another share, or validation=False.",
            ValidationWarning,
        )
    if not isinstance(kind, Family):
        if problem.device.type != "cpu":
            raise ArgumentError(
                f"device={str(problem.device)!r}: a scikit-learn regressor runs on the CPU; leave it out."
            )
        kind = RegressorModel(problem.layout, kind, options.random_state)
    history = History("", on_record=ProgressLine(name) if verbose else None)
    fitted = fit_model(problem, kind, mode, ridge, options, history)
    if verbose:
        history.on_record = None
        sys.stderr.write("\n")
    if history.n_diverged:
        warn("; ".join(n for n in history.notes if "diverged" in n), DivergenceWarning)
    return fitted
