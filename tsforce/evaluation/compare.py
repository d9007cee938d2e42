"""compare: several forecasters on the same windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsforce.data.vintages import read_vintages
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.evaluation.backtest import check_paths, judge, place_of_backtest
from tsforce.evaluation.backtest_result import BacktestResult
from tsforce.evaluation.backtest_windows import plan_windows
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.intervals import check_levels
from tsforce.forecasting.parts import horizon_of, own_horizon, read_for
from tsforce.progress import Progress

__all__ = ["common_horizon", "compare", "named_models"]


def compare(
    models: Mapping[str, Forecaster] | list[Forecaster],
    df: Any,
    *,
    horizon: int | None = None,
    n_windows: int = 1,
    step_size: int | None = None,
    cutoffs: Any = None,
    align: str = "auto",
    refit: bool | int | str | None = None,
    train_size: int | None = None,
    future_vintages: Any = None,
    season_length: int | None = None,
    level: Any = None,
    n_paths: int | None = None,
    checkpoint: Any = None,
    verbose: bool = False,
) -> BacktestResult:
    """Return the backtest of several forecasters on the same windows, one column each.

    Parameters
    ----------
    models : dict of name -> Forecaster, or list of Forecaster
        A dict's key wins over the forecaster's own name.
    df, horizon, n_windows, step_size, cutoffs, align, refit, train_size, future_vintages, season_length, level, \
    n_paths, checkpoint, verbose
        As in ``backtest``. Without `horizon`, the one the models agree on; without `season_length`, the first model's.

    Returns
    -------
    BacktestResult
        Over the windows that every model covers.

    Raises
    ------
    ArgumentError
        If two names are equal, or the models' horizons differ and none is given.

    Examples
    --------
    >>> from tsforce import Baseline, compare
    >>> from tsforce.datasets import load
    >>> both = {"last": Baseline("naive"), "season": Baseline("seasonal_naive")}
    >>> compare(both, load("airpassengers"), horizon=12).scores()["model"].tolist()
    ['last', 'season']
    """
    pairs, levels, n_paths = named_models(models), check_levels(level), check_paths(n_paths)
    # One reading serves all, so that all see the same windows.
    panel = read_for([model for _, model in pairs], df)
    steps = common_horizon(pairs, horizon, panel)
    plan = plan_windows(panel, steps, n_windows=n_windows, step_size=step_size, cutoffs=cutoffs, align=align)
    future = None if future_vintages is None else read_vintages(panel, future_vintages, plan.index, steps)
    settings = {"refit": refit, "train_size": train_size, "level": levels, "n_paths": n_paths}
    place = place_of_backtest(checkpoint, dict(pairs), panel, plan, steps, future, **settings)
    judged = {}
    with Progress("compare", shown=verbose) as progress:
        for k, (name, model) in enumerate(pairs):
            own = place and place.within(f"model-{k}")
            judged[name] = judge(
                model, panel, plan, steps, refit, train_size, future, levels, n_paths, own, progress=progress
            )
    return BacktestResult.build(panel, plan, steps, judged, next(iter(judged.values())).season_for(season_length))


def named_models(models: Any) -> list[tuple[str, Forecaster]]:
    """Return several forecasters with their names: a dict's keys, else their own.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If there is none, one is no forecaster, or two names are equal.
    """
    pairs = list(models.items()) if isinstance(models, Mapping) else [(getattr(m, "name", "?"), m) for m in models]
    if not pairs:
        raise ArgumentError("models is empty; give at least one forecaster.")
    for name, model in pairs:
        if not isinstance(model, Forecaster):
            raise ArgumentTypeError(f"models[{name!r}] is a {type(model).__name__}; expected a Forecaster.")
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArgumentError(f"two models are named {twice[0]!r}; give one an alias=, or pass a dict of names.")
    return pairs


def common_horizon(pairs: list[tuple[str, Forecaster]], horizon: int | None, df: Any) -> int:
    """Return the steps that all are judged over: those asked for, else the one the models agree on, else one season.

    Raises
    ------
    ArgumentError
        If the models' horizons differ and none is given.
    """
    own = {steps for _, model in pairs if (steps := own_horizon(model)) is not None}
    if horizon is None and len(own) > 1:
        raise ArgumentError(f"the models have different horizons, {sorted(own)}; say which with horizon=.")
    if horizon is None and own:
        horizon = own.pop()
    if horizon is None:
        return horizon_of(pairs[0][1], panel=read_for([model for _, model in pairs], df))
    (steps,) = {horizon_of(model, horizon) for _, model in pairs}
    return steps
