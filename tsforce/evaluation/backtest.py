"""backtest: what a model would have forecast, closed loop, knowing nothing after each cutoff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsforce.above import from_above
from tsforce.data.frame import cutoff_rows
from tsforce.data.panel import FloatArray, IntArray, Panel
from tsforce.data.vintages import read_vintages
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.evaluation.backtest_result import BacktestResult
from tsforce.evaluation.backtest_windows import Plan, plan_windows, truth_after
from tsforce.evaluation.clones import Clones
from tsforce.evaluation.drawn import Drawn
from tsforce.evaluation.judged import Judged
from tsforce.evaluation.shown import Shown
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.by_partition import is_partitioned
from tsforce.forecasting.checkpointing import place_for
from tsforce.forecasting.intervals import Bounds, Intervals, bounds_at, check_levels
from tsforce.forecasting.parts import check_complete, check_fitted, horizon_of, score_season_length
from tsforce.forecasting.side_by_side import forecasts_at
from tsforce.persistence.checkpoints import Checkpoint
from tsforce.progress import Progress

__all__ = ["BacktestResult", "backtest"]


def backtest(
    model: Forecaster,
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
    """Return closed-loop forecasts of past windows beside the truth.

    Parameters
    ----------
    model : Forecaster
        Never changed: clones are fitted, in the mode the given model was fitted in, else in the constructor's.
    df : DataFrame, or partitions
        Long frame with the truth. Of what is in partitions (a folder of Parquet files, say) the result is made
        partition by partition, when it is asked for, and has `scores`, `to_parquet` and `to_pandas`.
    horizon : int, optional
        H, steps after each cutoff; the model's by default, one season if it has none.
    n_windows : int
        Windows per series. Where the rows hold fewer, the result's ``notes`` say so.
    step_size : int, optional
        Rows from one cutoff to the next; the horizon by default.
    cutoffs : stamps or DataFrame, optional
        Explicit cutoffs for all series, or a frame with the id column and ``cutoff``; win over the counts.
    align : "auto", "series" or "calendar"
        Count cutoffs back from each series' own last row, or from the panel's last stamp (a series is scored where it
        has truth). "auto": "series" for whole-number stamps, "calendar" for time stamps.
    refit : bool, int or "never", optional
        What a model may know is what lies up to the cutoff, its parameters included. False, which is the default, but
        with `train_size` True is: learn once, at the first
        cutoff; a model that is fitted already and learnt from no row after a series' first cutoff is used as it is.
        True, or k: a fresh clone at every, or every k-th, cutoff. "never": the fitted model as it is although it may
        have seen the rows; the frame then says so in ``in_sample``.
    train_size : int, optional
        Rows of each series, the last ones before the cutoff at which a model is fitted, that it is shown; all by
        default. Earlier ones it never sees.
    future_vintages : DataFrame, optional
        Archived forecasts of the future inputs: id, time, ``vintage`` (the stamp at which a row was issued) and the
        ``future_exog`` columns. After each cutoff the inputs are those of the series' latest vintage at or before it,
        not the ones in `df`, from which the model learns.
    season_length : int, optional
        Of the MASE scale; the model's by default, else 1.
    level : float, sequence of float or Intervals, optional
        Levels of prediction intervals in percent, as in ``predict``: bounds are in the frame, and the scores have
        their coverage, width and MSIS. They are calibrated on the rows that each clone has learnt from.
    n_paths : int, optional
        Sample paths to draw after each cutoff, 2 at least, as ``sample_paths(n_paths)`` of the clone does: the scores
        have their CRPS, weighted quantile loss and energy score, ``pit()`` and ``plot("pit")`` their calibration. The
        paths themselves are not kept.
    checkpoint : path-like, optional
        Folder that keeps the forecasts of each clone when it has made them, with their bounds and scores of paths, and
        how far the fit of the next one has got. The same call goes on from there where its process was killed. Clones
        whose forecasts were there are fitted when ``exposure()`` and others ask for them.
    verbose : bool
        Show on stderr which clone is at work.

    Returns
    -------
    BacktestResult
        ``frame`` (unique_id, ds, cutoff, horizon, y, <name>[, bounds]), ``scores()``, ``by_horizon()``, ``exposure()``.

    Raises
    ------
    ArgumentError
        If an argument is not accepted, or no window fits.
    SeriesTooShortError
        If the rows before the windows are too few to learn from: says which windows would leave more.
    FutureExogError
        If there is no vintage at or before a cutoff, or it lacks steps.
    PersistenceError
        If `checkpoint` is of another backtest: other data, settings or versions; says which.

    Examples
    --------
    >>> from tsforce import Baseline, backtest
    >>> from tsforce.datasets import load
    >>> result = backtest(Baseline("seasonal_naive"), load("airpassengers"), horizon=12, n_windows=3)
    >>> result.scores()[["model", "n_windows"]].to_numpy().tolist()
    [['seasonal_naive', 3]]
    """
    if not isinstance(model, Forecaster):
        raise ArgumentTypeError(
            f"model is a {type(model).__name__}; expected a Forecaster such as NARXForecaster(...)."
        )
    if is_partitioned(df):
        windows = {"n_windows": n_windows, "step_size": step_size, "cutoffs": cutoffs, "align": align}
        idle = {
            "refit": refit or None, "train_size": train_size, "future_vintages": future_vintages, "n_paths": n_paths,
            "checkpoint": checkpoint,
        }  # fmt: skip
        found: BacktestResult = from_above("backtest_partitions")(
            model,
            df,
            horizon,
            windows,
            season_length,
            level,
            [name for name, value in idle.items() if value is not None],
        )
        return found
    levels = check_levels(level)
    n_paths = check_paths(n_paths)
    panel = model.read(df)
    steps = horizon_of(model, horizon, panel=panel)
    plan = plan_windows(panel, steps, n_windows=n_windows, step_size=step_size, cutoffs=cutoffs, align=align)
    future = None if future_vintages is None else read_vintages(panel, future_vintages, plan.index, steps)
    settings = {"refit": refit, "train_size": train_size, "level": levels, "n_paths": n_paths}
    place = place_of_backtest(checkpoint, {model.name: model}, panel, plan, steps, future, **settings)
    with Progress("backtest", shown=verbose) as progress:
        judged = judge(model, panel, plan, steps, refit, train_size, future, levels, n_paths, place, progress=progress)
    return BacktestResult.build(panel, plan, steps, {model.name: judged}, judged.season_for(season_length))


def place_of_backtest(
    checkpoint: Any, models: Mapping[str, Forecaster], panel: Panel, plan: Plan, horizon: int, future: Any,
    **settings: Any,
) -> Checkpoint | None:  # fmt: skip
    """Return where a backtest of some models keeps what is finished; None where that is not asked for."""
    modes = {name: getattr(model, "mode_", None) for name, model in models.items()}
    settings |= {"models": models, "modes": modes, "horizon": horizon, "cutoffs": plan.index, "future": future}
    return place_for(checkpoint, "backtest", settings, panel)


def judge(
    model: Forecaster,
    panel: Panel,
    plan: Plan,
    horizon: int,
    refit: bool | int | str | None,
    train_size: int | None,
    future: FloatArray | None = None,
    levels: Intervals | None = None,
    n_paths: int | None = None,
    place: Checkpoint | None = None,
    *,
    progress: Progress | None = None,
) -> Judged:
    """Return one model's forecasts of the planned windows, and the clones that made them.

    Parameters
    ----------
    model, refit, train_size
        As in `backtest`.
    panel, plan, horizon
        The data, and its W windows.
    future : (W, H, F) float64, optional
        Future inputs as they were known at each cutoff, in place of the panel's.
    levels : Intervals, optional
        The prediction intervals to judge.
    n_paths : int, optional
        Sample paths to judge, for each window.
    place : Checkpoint, optional
        Where forecasts are kept, but of a model that is used as it is.
    progress : Progress, optional
        Where each clone is told of.
    """
    every = _refit_every(refit, train_size)
    check_complete(model, panel)
    maker, parts = np.zeros(len(plan.index), dtype=np.int64), [plan]
    if every:
        _, rank = np.unique(plan.number, return_inverse=True)
        maker = rank.astype(np.int64) // every
        parts = [plan.some(maker == k) for k in range(int(maker.max()) + 1)]
    if every is None:
        check_fitted(model)
    clones = Clones(model, panel, parts, train_size, place)
    if every is None or (every == 0 and train_size is None and _may_stay(model, panel, plan)):
        clones, place = Clones(model, panel, parts, None, None, {0: model}), None
    first = None
    if train_size is not None:
        first = tuple(np.maximum(part.first_rows(panel.n_series) + 1 - train_size, 0) for part in parts)
    shown = Shown(maker, first, future)
    yhat = np.full((len(plan.index), horizon, panel.n_channels), np.nan)
    covered = np.ones(len(plan.index), dtype=bool)
    bounds = None if levels is None else Bounds.blank(levels, yhat.shape)
    drawn = truth = None
    if n_paths is not None:
        truth, known = truth_after(panel, plan.index, horizon)
        drawn, truth = Drawn.blank(yhat.shape), np.where(known[:, :, None], truth, np.nan)
    # All that a clone makes of its windows, the first axis being theirs.
    made = {"yhat": yhat, "covered": covered, **({} if drawn is None else vars(drawn))}
    if bounds is not None:
        made |= {"low": bounds.low.swapaxes(0, 1), "high": bounds.high.swapaxes(0, 1)}
    seasons = []
    for k in range(len(parts)):
        mine, own_place = maker == k, place and place.within(f"clone-{k}")
        if progress is not None:
            progress.show(model.name, k + 1, len(parts))
        kept = own_place.read() if own_place is not None else None
        if kept is not None:
            for name, room in made.items():
                room[mine] = kept[name]
            seasons.append(kept["season_length"])
            continue
        clone = clones[k]
        seasons.append(score_season_length(clone))
        left_out = [panel.position[name] for name in getattr(clone, "short_series_", []) if name in panel.position]
        covered[mine & np.isin(plan.index.series, left_out)] = False
        able = np.flatnonzero(mine & covered)
        for _, places, own, index in shown.some(able).pieces(panel, plan.some(able).index):
            now = able[places]
            yhat[now] = forecasts_at(clone, own, index, horizon)
            rows = own if future is None else panel
            if drawn is not None and truth is not None and n_paths is not None:
                drawn.fill(now, clone, own, index, yhat[now], truth[now], n_paths, rows)
            if bounds is not None:
                found = bounds_at(clone, own, index, yhat[now], bounds.asked, rows)
                bounds.low[:, now], bounds.high[:, now] = found.low, found.high
        if own_place is not None:
            own_place.end({**{name: room[mine] for name, room in made.items()}, "season_length": seasons[k]})
    seen = _learnt_rows(model, panel) if every is None else None
    return Judged(yhat, covered, clones, shown, seen, model.is_baseline, seasons[0], bounds, drawn)


def check_paths(n_paths: Any) -> int | None:
    """Return how many paths are asked for.

    Raises
    ------
    ArgumentError
        If they are fewer than 2: it takes two to say how far apart paths are.
    """
    return None if n_paths is None else check_count("n_paths", n_paths, least=2, other="None")


def _refit_every(refit: Any, train_size: Any) -> int | None:
    """Return how many windows one fit serves: 0 for all, None for never fitting."""
    if train_size is not None:
        check_count("train_size", train_size, other="None")
    if refit is None:
        return 0 if train_size is None else 1
    if isinstance(refit, str):
        if refit == "never" and train_size is not None:
            raise ArgumentError(f"train_size={train_size} is of fits, and refit='never' makes none; leave one out.")
        if refit == "never":
            return None
    elif isinstance(refit, (bool, np.bool_)) or (isinstance(refit, (int, np.integer)) and refit >= 1):
        return int(refit)
    raise ArgumentError(f"refit={refit!r}: expected False, True, a whole number of at least 1, or 'never'.")


def _learnt_rows(model: Forecaster, panel: Panel) -> IntArray:
    """Return the last row of each of the panel's series that the model learnt from, -1 for none."""
    return cutoff_rows(panel, model.train_end_)


def _may_stay(model: Forecaster, panel: Panel, plan: Plan) -> bool:
    """Return whether a model is fitted and learnt from no row after a series' first cutoff."""
    if not model.is_fitted:
        return False
    learnt, first = _learnt_rows(model, panel), plan.first_rows(panel.n_series)
    return bool((learnt <= first)[first >= 0].all())
