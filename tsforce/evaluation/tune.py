"""tune: parameters of a forecaster by the closed-loop error of backtests inside the data it is given."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsforce.errors import (
    ArgumentError,
    ArgumentTypeError,
    MissingExtraError,
    NumericalError,
    check_choice,
)
from tsforce.evaluation.backtest import backtest
from tsforce.forecasting.arguments import check_count, check_number
from tsforce.forecasting.base import Forecaster

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
    trials_ : DataFrame
        One row per candidate: trial (0 is the model as it is), a column for each parameter, the score, CPU seconds, and
        status: "ok", or why it has no score.
    metric : str
    """

    best_params_: dict[str, Any]
    best_score_: float
    best_model_: Forecaster
    trials_: pd.DataFrame
    metric: str

    def __repr__(self) -> str:
        found = ", ".join(f"{name}={value!r}" for name, value in self.best_params_.items()) or "the model as it is"
        return f"Tuning: {self.metric} {self.best_score_:.4g} with {found} ({len(self.trials_)} candidates)"


def tune(
    model: Forecaster,
    df: Any,
    space: Mapping[str, Any],
    *,
    horizon: int | None = None,
    n_windows: int = 3,
    step_size: int | None = None,
    n_trials: int = 30,
    time_limit: float | None = None,
    random_state: int = 0,
    metric: str = "mase",
) -> Tuning:
    """Return the parameters of a forecaster with the lowest closed-loop error (extra ``tune``).

    Every candidate is backtested on the same windows at the end of `df`, fitted once on the rows before them; the first
    is the model as it is. Candidates are drawn by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

    Parameters
    ----------
    model : Forecaster
        Never changed.
    df : DataFrame
        Long frame. What was tuned on it is judged on rows that it does not have.
    space : dict of parameter -> values
        A list: one of its elements, whatever they are. A range: one of its numbers. A tuple (low, high): a number
        between them, both included, whole if both are. (low, high, "log"): the same on a logarithmic scale. Names are
        those of ``set_params``: "model__alpha" is a parameter of a regressor given as ``model=``.
    horizon : int, optional
        H, steps after each cutoff; the model's by default.
    n_windows, step_size
        As in ``backtest``.
    n_trials : int
        Candidates to draw; one that was drawn before is not fitted again.
    time_limit : float, optional
        CPU seconds after which no further candidate is drawn.
    random_state : int
        Of the draws.
    metric : "mase", "smape", "mae" or "rmse"
        As in ``BacktestResult.scores``; mean over series.

    Returns
    -------
    Tuning

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If a parameter is unknown, or its values are none of the above.
    MissingExtraError
        If Optuna is not installed.
    Exception
        That of the last candidate that failed, if none has a score. A failure of some is in ``trials_`` only.

    Examples
    --------
    >>> from tsforce import Difference, Log, NARXForecaster, tune
    >>> from tsforce.datasets import load
    >>> model = NARXForecaster(horizon=12, lags=24, scope="local", mode="open_loop")
    >>> space = {"target_transforms": [[Log()], [Log(), Difference(12)]], "ridge": (1.0, 100.0, "log")}
    >>> found = tune(model, load("airpassengers").iloc[:-12], space, n_trials=5)
    >>> found.best_params_["target_transforms"]
    [Log(), Difference(lag=12)]
    >>> len(found.trials_), found.trials_["status"].unique().tolist()
    (6, ['ok'])
    """
    if not isinstance(model, Forecaster):
        raise ArgumentTypeError(
            f"model is a {type(model).__name__}; expected a Forecaster such as NARXForecaster(...). scikit-learn's "
            f"searches tune a NARXRegressor."
        )
    _check_space(space, model)
    check_count("n_trials", n_trials)
    limit = None if time_limit is None else check_number("time_limit", time_limit, auto=False, above_zero=True)
    check_choice("metric", metric, METRICS)
    steps = model.check_horizon(horizon)
    seed = check_count("random_state", random_state, least=0)
    began = time.process_time()
    known: dict[str, tuple[float, str]] = {}
    own = {name: model.get_params(deep=True)[name] for name in space}
    rows: list[dict[str, Any]] = []
    failures: list[Exception] = []
    n_series: int | None = None

    def score(params: dict[str, Any]) -> float:
        """Return the error of a candidate, infinite where it has none, and add its row."""
        nonlocal n_series
        start, key = time.process_time(), repr(params)
        if key not in known:
            try:
                candidate = model.clone_unfitted().set_params(**params)
                table = backtest(candidate, df, horizon=steps, n_windows=n_windows, step_size=step_size).scores()
                error, count = float(table[metric].iloc[0]), int(table["n_series"].iloc[0])
                n_series = count if n_series is None else n_series
                if not np.isfinite(error):
                    raise NumericalError(f"{metric} is {error}: no series has a scale, or forecasts are not finite.")
                if count < n_series:
                    raise ArgumentError(f"scored on {count} series, others on {n_series}: it leaves some out.")
                known[key] = error, "ok"
            # A regressor may raise anything at a parameter it does not like; the other trials are worth keeping.
            except Exception as failure:
                failures.append(failure)
                known[key] = np.inf, f"{type(failure).__name__}: {failure}"
        error, status = known[key]
        rows.append(
            {
                "trial": len(rows),
                **own,
                **params,
                metric: error,
                "seconds": time.process_time() - start,
                "status": status,
            }
        )
        return error

    best, found = score({}), dict[str, Any]()
    with _study(seed) as study:
        for _ in range(n_trials):
            if limit is not None and time.process_time() - began > limit:
                break
            trial = study.ask()
            params = {name: _draw(trial, name, values) for name, values in space.items()}
            error = score(params)
            # A candidate without a score tells the sampler to stay away.
            study.tell(trial, min(error, np.finfo(np.float64).max))
            if error < best:
                best, found = error, params
    if not np.isfinite(best):
        raise failures[-1]
    trials = pd.DataFrame({name: [row[name] for row in rows] for name in ("trial", metric, "seconds", "status")})
    trials[metric] = trials[metric].replace(np.inf, np.nan)
    for place, name in enumerate(space, 1):
        # Values as they were given, whole numbers beside None or "auto" too.
        trials.insert(place, name, pd.Series([row[name] for row in rows], dtype=object))
    return Tuning(found, best, model.clone_unfitted().set_params(**found), trials, metric)


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


def _check_space(space: Any, model: Forecaster) -> None:
    if not isinstance(space, Mapping) or not space:
        raise ArgumentTypeError(
            f"space={space!r}: expected a dict of parameter -> values, such as {{'lags': [12, 24]}}."
        )
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
    whole = isinstance(low, int) and isinstance(high, int)
    return (trial.suggest_int if whole else trial.suggest_float)(name, low, high, log=bool(scale))
