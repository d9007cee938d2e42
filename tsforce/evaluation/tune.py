"""tune: parameters of forecasters by the closed-loop error of backtests inside the data they are given."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsforce.errors import ArgumentError, ArgumentTypeError, MissingExtraError, NumericalError, check_choice
from tsforce.evaluation.backtest import backtest
from tsforce.evaluation.compare import common_horizon, named_models
from tsforce.forecasting.arguments import check_count, check_number
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.checkpointing import place_for
from tsforce.notebook import card, table
from tsforce.persistence.checkpoints import Checkpoint
from tsforce.persistence.describing import digest
from tsforce.progress import Progress

__all__ = ["Tuning", "tune"]

METRICS = ("mase", "smape", "mae", "rmse")


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a search has found.

    Attributes
    ----------
    best_params_ : dict
        Parameters of the best candidate that were searched; empty where none was better than the model as it is.
    best_score_ : float
        Its closed-loop error over the windows.
    best_model_ : Forecaster
        A clone with those parameters that has learnt nothing.
    best_name_ : str
        Which of the models it is: its name, or its key in a dict.
    trials_ : DataFrame
        One row per candidate, none twice: trial (0 is the model as it is), of several models ``forecaster`` (its name;
        the first trial of each is that model as it is), a column for each parameter, the score, CPU seconds, and
        status: "ok", or why it has no score.
    metric : str
    """

    best_params_: dict[str, Any]
    best_score_: float
    best_model_: Forecaster
    best_name_: str
    trials_: pd.DataFrame
    metric: str

    def __repr__(self) -> str:
        found = ", ".join(f"{name}={value!r}" for name, value in self.best_params_.items()) or "the model as it is"
        who = f"{self.best_name_}, " if "forecaster" in self.trials_ else ""
        return f"Tuning: {self.metric} {self.best_score_:.4g} with {who}{found} ({len(self.trials_)} candidates)"

    def _repr_html_(self) -> str:
        best = self.trials_.sort_values(self.metric, kind="stable").head(5).dropna(axis="columns", how="all")
        return card(repr(self), table(best.to_dict("records"), {name: str(name) for name in best}))


def tune(
    model: Any,
    df: Any,
    space: Mapping[str, Any],
    *,
    horizon: int | None = None,
    n_windows: int = 3,
    step_size: int | None = None,
    train_size: int | None = None,
    n_trials: int = 30,
    time_limit: float | None = None,
    random_state: int = 0,
    metric: str = "mase",
    checkpoint: Any = None,
    verbose: bool = False,
) -> Tuning:
    """Return the parameters of a forecaster, or of the best of several, with the lowest closed-loop error.

    Every candidate is backtested on the same windows at the end of `df`, fitted once on the rows before them; the first
    is the model as it is, and none comes twice. A space of at most `n_trials` combinations is gone through; from a
    larger one they are drawn by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011; extra ``tune``).

    Parameters
    ----------
    model : Forecaster, dict of name -> Forecaster, or list of Forecaster
        Never changed. Of several the best candidate of all is found.
    df : DataFrame
        Long frame. What was tuned on it is judged on rows that it does not have.
    space : dict of parameter -> values
        A list: one of its elements, whatever they are. A range: one of its numbers. A tuple (low, high): a number
        between them, both included, whole if both are. (low, high, "log"): the same on a logarithmic scale. Names are
        those of ``set_params``: "model__alpha" is a parameter of a regressor given as ``model=``. For several models it
        holds for each of them, or is a dict of name -> such a space; a model it does not name is judged as it is.
    horizon : int, optional
        H, steps after each cutoff; that of the models by default.
    n_windows, step_size, train_size
        As in ``backtest``.
    n_trials : int
        Candidates per model beside the model as it is, at most.
    time_limit : float, optional
        CPU seconds after which no further candidate is tried; of several models each has an equal share of what is
        left.
    random_state : int
        Of the draws.
    metric : "mase", "smape", "mae" or "rmse"
        As in ``BacktestResult.scores``; mean over series. The season of MASE is that of the first candidate.
    checkpoint : path-like, optional
        Folder that keeps the score of each candidate, and how far the fit of the next one has got. The same call goes
        on from there where its process was killed, and finds the same. So does one with another space, more trials or
        another limit: candidates whose score is there are not judged again.
    verbose : bool
        Show each candidate and its error on stderr.

    Returns
    -------
    Tuning

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If a parameter is unknown, or its values are none of the above.
    MissingExtraError
        If candidates are to be drawn and Optuna is not installed.
    PersistenceError
        If `checkpoint` is of other models, data, windows, another metric or other versions; says which.
    Exception
        That of the last candidate that failed, if none has a score. A failure of some is in ``trials_`` only.

    Examples
    --------
    >>> from tsforce import Difference, Log, NARXForecaster, tune
    >>> from tsforce.datasets import load
    >>> model = NARXForecaster(horizon=12, lags=24, scope="local", mode="open_loop")
    >>> space = {"target_transforms": [[Log()], [Log(), Difference(12)]], "ridge": [1.0, 100.0]}
    >>> found = tune(model, load("airpassengers").iloc[:-12], space)
    >>> found.best_params_
    {'target_transforms': [Log()], 'ridge': 1.0}
    >>> len(found.trials_), found.trials_["status"].unique().tolist()
    (5, ['ok'])
    """
    if isinstance(model, (Mapping, list, tuple)):
        pairs = named_models(model)
    elif isinstance(model, Forecaster):
        pairs = [(model.name, model)]
    else:
        raise ArgumentTypeError(
            f"model is a {type(model).__name__}; expected a Forecaster such as NARXForecaster(...), or several. "
            f"scikit-learn's searches tune a NARXRegressor."
        )
    spaces = _spaces(space, pairs)
    check_count("n_trials", n_trials)
    limit = None if time_limit is None else check_number("time_limit", time_limit, auto=False, above_zero=True)
    check_choice("metric", metric, METRICS)
    seed = check_count("random_state", random_state, least=0)
    steps, n_windows = common_horizon(pairs, horizon, df), check_count("n_windows", n_windows)
    windows = {"horizon": steps, "n_windows": n_windows, "step_size": step_size, "train_size": train_size}
    place = None
    if checkpoint is not None:
        settings = {"models": dict(pairs), "metric": metric, **windows}
        place = place_for(checkpoint, "tune", settings, *(one.read(df) for _, one in pairs))
    judge = _Judge(df, windows, metric, place)
    began = time.process_time()
    best, winner, found = np.inf, pairs[0], dict[str, Any]()
    with Progress("tune", shown=verbose) as progress:
        for number, (name, one) in enumerate(pairs):
            start = time.process_time()
            share = None if limit is None else (limit - (start - began)) / (len(pairs) - number)
            deadline = math.inf if share is None else start + share
            for params, error in _search(judge, name, one, spaces[name], n_trials, deadline, seed):
                if error < best:
                    best, winner, found = error, (name, one), params
                progress.show(f"{name}: {metric} {error:.4g}, best {best:.4g}", len(judge.rows))
    if not np.isfinite(best):
        raise judge.failures[-1]
    searched = dict.fromkeys(parameter for own in spaces.values() for parameter in own)
    trials = judge.frame(list(searched), several=len(pairs) > 1)
    return Tuning(found, best, winner[1].clone_unfitted().set_params(**found), winner[0], trials, metric)


class _Judge:
    """Scores candidates on the same windows, and keeps a row of each."""

    def __init__(self, df: Any, windows: Mapping[str, Any], metric: str, place: Checkpoint | None) -> None:
        self.df, self.windows, self.metric, self.place = df, windows, metric, place
        self.season_length: int | None = None
        self.n_series: int | None = None
        self.rows: list[dict[str, Any]] = []
        self.failures: list[Exception] = []

    def score(self, name: str, model: Forecaster, own: dict[str, Any], params: dict[str, Any]) -> float:
        """Return the error of a candidate, infinite where it has none, and add its row."""
        start, error, status = time.process_time(), np.inf, "ok"
        try:
            found, count, season_length, seconds = self._scored(name, model, params)
            if self.n_series is None:
                # Errors in units of another season, or of other series, would be no lower and no higher.
                self.n_series, self.season_length = count, season_length
            if not np.isfinite(found):
                raise NumericalError(f"{self.metric} is {found}: no series has a scale, or forecasts are not finite.")
            if count < self.n_series:
                raise ArgumentError(f"scored on {count} series, others on {self.n_series}: it leaves some out.")
            error = found
        # A regressor may raise anything at a parameter it does not like; the other trials are worth keeping.
        except Exception as failure:
            self.failures.append(failure)
            status, seconds = f"{type(failure).__name__}: {failure}", time.process_time() - start
        self.rows.append({"forecaster": name, **own, **params, "error": error, "seconds": seconds, "status": status})
        return error

    def _scored(self, name: str, model: Forecaster, params: dict[str, Any]) -> tuple[float, int, int, float]:
        """Return a candidate's error, how many series it is of, its season, and CPU seconds; kept if that is asked."""
        start = time.process_time()
        place = self.place and self.place.within(f"trial-{digest([name, params, self.season_length])[:16]}")
        kept = None if place is None else place.read()
        if kept is None:
            candidate = model.clone_unfitted().set_params(**params)
            result = backtest(
                candidate, self.df, **self.windows, refit=False, season_length=self.season_length, checkpoint=place
            )
            table = result.scores()
            found, count = float(table[self.metric].iloc[0]), int(table["n_series"].iloc[0])
            kept = {"error": found, "n_series": count, "season_length": result.season_length}
            kept["seconds"] = time.process_time() - start
            if place is not None:
                place.end(kept)
        return kept["error"], kept["n_series"], kept["season_length"], kept["seconds"]

    def frame(self, searched: list[str], *, several: bool) -> pd.DataFrame:
        """Return one row per candidate."""
        trials = pd.DataFrame({"trial": range(len(self.rows))})
        if several:
            trials["forecaster"] = [row["forecaster"] for row in self.rows]
        for name in searched:
            # Values as they were given, whole numbers beside None or "auto" too.
            trials[name] = pd.Series([row.get(name) for row in self.rows], dtype=object)
        trials[self.metric] = [row["error"] for row in self.rows]
        trials[self.metric] = trials[self.metric].replace(np.inf, np.nan)
        return trials.assign(**{name: [row[name] for row in self.rows] for name in ("seconds", "status")})


def _search(
    judge: _Judge,
    name: str,
    model: Forecaster,
    space: Mapping[str, Any],
    n_trials: int,
    deadline: float,
    seed: int,
) -> Iterator[tuple[dict[str, Any], float]]:
    """Yield candidates of one model and their errors, each once; the first is the model as it is."""
    own = {parameter: model.get_params(deep=True)[parameter] for parameter in space}

    def score(params: dict[str, Any]) -> float:
        return judge.score(name, model, own, params)

    errors = {repr(own): score({})}
    yield {}, errors[repr(own)]
    fresh: Iterable[dict[str, Any]] = _drawn(space, errors, n_trials, seed)
    if _count(space) <= n_trials + 1:
        everything = itertools.product(*map(_choices, space.values()))
        listed = [dict(zip(space, values, strict=True)) for values in everything]
        unlike = [params for params in listed if repr(params) not in errors]
        fresh = unlike if len(unlike) <= n_trials else fresh
    for params in fresh:
        if time.process_time() > deadline:
            return
        errors[repr(params)] = score(params)
        yield params, errors[repr(params)]


def _drawn(space: Mapping[str, Any], errors: Mapping[str, float], n_trials: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield candidates that Optuna draws, none that `errors` knows; where it repeats one, another at random."""
    rng, choices = np.random.default_rng(seed), {name: _choices(values) for name, values in space.items()}
    with _study(seed) as study:
        for _ in range(n_trials):
            trial = study.ask()
            drawn = params = {parameter: _draw(trial, parameter, values) for parameter, values in space.items()}
            if repr(drawn) not in errors:
                yield drawn
            elif _count(space) < math.inf:
                # There are more combinations than trials: one is left.
                while repr(params) in errors:
                    params = {name: values[int(rng.integers(len(values)))] for name, values in choices.items()}
                yield params
            # A candidate without a score tells the sampler to stay away.
            study.tell(trial, min(errors.get(repr(drawn), np.inf), np.finfo(np.float64).max))


@contextmanager
def _study(seed: int) -> Iterator[Any]:
    """Yield a study of Optuna that says nothing."""
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("tune needs Optuna: pip install 'tsforce[tune]'.") from None
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    finally:
        optuna.logging.set_verbosity(before)


def _spaces(space: Any, pairs: list[tuple[str, Forecaster]]) -> dict[str, dict[str, Any]]:
    """Return the checked space of each model; a list's values once each."""
    own = isinstance(space, Mapping) and len(space) > 0 and all(isinstance(part, Mapping) for part in space.values())
    if own:
        for name in space:
            check_choice("space", name, [name for name, _ in pairs])
    elif not isinstance(space, Mapping) or not space:
        raise ArgumentTypeError(
            f"space={space!r}: expected a dict of parameter -> values, such as {{'lags': [12, 24]}}, or of several "
            f"models a dict of name -> such a dict."
        )
    spaces = {name: dict(space.get(name, {}) if own else space) for name, _ in pairs}
    for name, model in pairs:
        _check_space(spaces[name], model)
        for parameter, values in spaces[name].items():
            if isinstance(values, list):
                spaces[name][parameter] = list({repr(value): value for value in values}.values())
    return spaces


def _choices(values: Any) -> Sequence[Any]:
    """Return all that may be drawn, none if it cannot be counted."""
    if isinstance(values, (list, range)):
        return values
    return range(values[0], values[1] + 1) if all(isinstance(bound, int) for bound in values[:2]) else ()


def _count(space: Mapping[str, Any]) -> float:
    """Return how many combinations there are."""
    return math.prod(len(_choices(values)) or math.inf for values in space.values())


def _check_space(space: Mapping[str, Any], model: Forecaster) -> None:
    for name, values in space.items():
        check_choice("space", name, sorted(model.get_params(deep=True)))
        if name == "horizon":
            raise ArgumentError("space has 'horizon', which is what is asked, not how well: errors of two differ.")
        choices = isinstance(values, (list, range)) and len(values) > 0
        if not choices and not (isinstance(values, tuple) and _is_span(values)):
            raise ArgumentError(
                f"space[{name!r}]={values!r}: expected a list of values, a range, a tuple (low, high) of numbers with "
                f"low < high, or (low, high, 'log') with low above 0."
            )


def _is_span(values: tuple[Any, ...]) -> bool:
    if len(values) not in (2, 3) or (len(values) == 3 and not (isinstance(values[2], str) and values[2] == "log")):
        return False
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) and np.isfinite(v) for v in values[:2]):
        return False
    return bool(values[0] < values[1] and (len(values) == 2 or values[0] > 0))


def _draw(trial: Any, name: str, values: Any) -> Any:
    if isinstance(values, list):
        # By place: Optuna knows no values but numbers and strings.
        return values[trial.suggest_categorical(name, list(range(len(values))))]
    if isinstance(values, range):
        return values[trial.suggest_int(name, 0, len(values) - 1)]
    low, high, *scale = values
    return (trial.suggest_int if _choices(values) else trial.suggest_float)(name, low, high, log=bool(scale))
