"""The engine of ``tsforce bench``: scores as the M competitions took them, and the one-step error beside them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsforce.bench.bound_figures import bound_columns, bound_figures
from tsforce.bench.ledger import Layout, Ledger, Recipe, check_seeds, label, status_of_error
from tsforce.data.datasets import Competition
from tsforce.data.frame import read_panel
from tsforce.data.panel import Panel, WindowIndex
from tsforce.dynamics.threads import get_threads
from tsforce.errors import ArgumentError, ArgumentTypeError, FrameError, IntervalWarning, abbreviate
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.intervals import Intervals, check_levels
from tsforce.persistence.describing import describe
from tsforce.scoring.metrics import abs_error, owa, seasonal_naive_scale, smape
from tsforce.scoring.naive import naive2

__all__ = ["COMPETITION_COLUMNS", "Entry", "run"]

Row = dict[str, Any]

COMPETITION_COLUMNS = (
    "dataset", "group", "model", "scope", "lags", "transforms", "mode", "seed", "n_series", "smape", "mase", "owa",
    "one_step", "gap", "fit_cpu_s", "predict_cpu_s", "peak_mb", "threads", "version", "status",
)  # fmt: skip


class _Key(NamedTuple):
    dataset: str
    group: str
    model: str
    mode: str
    seed: int | None


_REAL = ("smape", "mase", "owa", "one_step", "gap", "fit_cpu_s", "predict_cpu_s", "peak_mb")


class _Asked(NamedTuple):
    """What a run measures beside the errors of its forecasts."""

    one_step: bool
    levels: Intervals | None

    @property
    def layout(self) -> Layout:
        more = bound_columns(self.levels)
        *first, status = COMPETITION_COLUMNS
        return Layout((*first, *more, status), _Key, ("n_series", "threads"), (*_REAL, *more))

    @property
    def recipe(self) -> Row:
        """What is other than by default, so that rows of older versions stay as they were made."""
        return ({} if self.one_step else {"one_step": False}) | (
            {} if self.levels is None else {"level": describe(self.levels)}
        )


class Entry(NamedTuple):
    """One forecaster to be scored.

    Attributes
    ----------
    name : str
        What the row is called.
    model : Forecaster, or function that returns one
        Cloned, never changed.
    mode : str or Forcing, optional
        How it is trained; the model's own by default.

    Examples
    --------
    >>> from tsforce import NARXForecaster
    >>> from tsforce.bench import Entry
    >>> Entry("linear", NARXForecaster(8, lags=12), "closed_loop").mode
    'closed_loop'
    """

    name: str
    model: Any
    mode: Any = None


def run(
    competition: Competition,
    entries: Sequence[Any],
    out: str | Path | None = None,
    seeds: Sequence[int] = (0,),
    *,
    on_start: Callable[[str, int, int], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
    command: str | None = None,
    one_step: bool = True,
    level: Any = None,
) -> Any:
    """Return the scores of some forecasters on one group of a competition, one row each.

    Each is fitted on the training rows and forecasts the test rows closed loop. sMAPE and MASE are means over series of
    each series' own mean; OWA is taken once, between these means and those of tsforce's Naive2 on the same series. A
    series that the forecaster left out as too short (``short_series_``) is forecast by Naive2, and the row says so.
    ``one_step`` is the mean absolute error one step ahead of every test row, the rows before it known, in units of the
    MASE scale; ``gap`` is MASE / one_step, so both errors are taken at the same targets.

    Parameters
    ----------
    competition : Competition
    entries : sequence of Entry, or of tuples (name, model, mode)
        No two with the same name and mode.
    out : path, optional
        Folder in which each finished row is appended to ``results.csv`` at once; ``manifest.json`` holds what it was
        made from. A row that is there already, finished and made from the same data, parameters, thread count and
        version of tsforce, is not made again. A failed one is.
    seeds : sequence of int
        A model whose fit depends on its ``random_state`` has one row per seed. Any other is deterministic: it has one
        row, whose seed is empty.
    on_start : function (label, number, total), optional
        Called before each row is made; rows are numbered from 1.
    on_row : function (row), optional
        Called after each row that was made, or found finished.
    command : str, optional
        Kept in the manifest; the command line of the process by default.
    one_step : bool
        Whether the one-step error is measured, which takes a forecast before every test row: of a slow forecaster more
        than all else. Without it `one_step` and `gap` are empty.
    level : float, sequence of float or Intervals, optional
        Levels of prediction intervals in percent, such as ``[80, 95]``, which are scored too. A folder holds rows of
        the same levels.

    Returns
    -------
    DataFrame
        Columns as `COMPETITION_COLUMNS`; with `level`, before ``status``, of each: ``coverage-95`` (the share of test
        values within their bounds), ``width-95`` and ``msis-95`` (M4's mean scaled interval score), both in units of
        the MASE scale; and ``level_cpu_s``, what calibration and bounds cost beside the forecasts. Rows in the order of
        `entries`, then seeds. A forecaster that raises has a row whose status is "failed: <error>: <message>".

        ``fit_cpu_s`` runs from the training frame to the fitted model, ``predict_cpu_s`` to the frame of forecasts;
        both count all threads of the process. ``peak_mb`` is the largest memory of the process so far, not of one row.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an entry, seed, level or folder is not accepted.
    FrameError
        If the frames of the competition break the contract.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.bench import run
    >>> from tsforce.datasets import load_competition
    >>> rows = run(load_competition("m3", "other"), [("naive", Baseline("naive"), None)])
    >>> rows[["model", "n_series", "owa", "status"]].to_numpy().tolist()
    [['naive', 174, 1.0, 'ok']]
    """
    asked = _Asked(bool(one_step), check_levels(level))
    jobs = _plan(competition, entries, seeds)
    task = _Task.read(competition)
    ledger = Ledger(None if out is None else Path(out), asked.layout)
    ledger.begin(
        {job.key: _recipe(job, task, asked) for job in jobs},
        {f"{competition.name} {competition.group}": {"sha256": task.sha256, "n_series": task.train.n_series}},
        [int(seed) for seed in seeds],
        command,
    )
    return ledger.fill(jobs, lambda job: [_make_row(job, task, asked)], on_start, on_row)


class _Job(NamedTuple):
    key: _Key
    model: Forecaster
    mode: Any

    @property
    def keys(self) -> tuple[_Key, ...]:
        return (self.key,)

    @property
    def label(self) -> str:
        return label(self.key.model, self.key.mode, seed=self.key.seed)


def _plan(competition: Competition, entries: Sequence[Any], seeds: Sequence[int]) -> list[_Job]:
    """Return one job per row."""
    if not isinstance(competition, Competition):
        raise ArgumentTypeError(
            f"competition is a {type(competition).__name__}; expected what load_competition('m3', 'monthly') returns."
        )
    numbers = check_seeds(seeds)
    jobs = []
    for entry in entries:
        if not isinstance(entry, tuple) or not 2 <= len(entry) <= 3 or not isinstance(entry[0], str):
            raise ArgumentTypeError(f"entries holds {entry!r}; expected tuples (name, model, mode).")
        name, model, mode = Entry(*entry)
        if not isinstance(model, Forecaster) and callable(model):
            model = model()
        if not isinstance(model, Forecaster):
            raise ArgumentTypeError(
                f"entries: {name!r} is a {type(model).__name__}; expected a Forecaster such as NARXForecaster(...), or "
                f"a function that returns one."
            )
        trained = mode if mode is not None else getattr(model, "mode", None)
        for seed in numbers if model.depends_on_seed(trained) else [None]:
            copy = model.clone_unfitted()
            if seed is not None:
                copy.set_params(random_state=seed)
            key = _Key(competition.name, competition.group, name, "" if trained is None else str(trained), seed)
            jobs.append(_Job(key, copy, mode))
    keys = [job.key for job in jobs]
    twice = [key.model for key in keys if keys.count(key) > 1]
    if twice or not jobs:
        raise ArgumentError(
            f"entries: {abbreviate(dict.fromkeys(twice))} stand there twice with the same mode; give each its own name."
            if twice
            else "entries is empty; expected at least one (name, model, mode)."
        )
    return jobs


@dataclass(frozen=True, eq=False)
class _Task:
    """A competition as arrays, S series and H steps, original units; and Naive2 on it, which every OWA is held against.

    Attributes
    ----------
    train, joined : Panel
        The training rows; training and test rows.
    truth, reference : (S, H)
        The test rows, and Naive2's forecasts of them.
    scale : (S,)
        By which MASE divides; 0 or NaN where a series has none.
    """

    competition: Competition
    train: Panel
    joined: Panel
    truth: Any
    scale: Any
    reference: Any
    sha256: str

    @staticmethod
    def read(competition: Competition) -> _Task:
        horizon, season = competition.horizon, competition.season_length
        train = read_panel(competition.train)
        joined = read_panel(pd.concat([competition.train, competition.test], ignore_index=True))
        same = joined.n_series == train.n_series and np.array_equal(joined.lengths, train.lengths + horizon)
        if not same or not np.array_equal(joined.start, train.start):
            raise FrameError(
                f"{competition.name} {competition.group}: expected {horizon} test rows for each of the "
                f"{train.n_series} series, right after its training rows."
            )
        values = train.values[:, 0]
        ahead = joined.indptr[:-1, None] + train.lengths[:, None] + np.arange(horizon)
        digest = hashlib.sha256(repr([horizon, season, train.clock.freq, train.id_list]).encode())
        for part in (joined.start, joined.indptr, joined.values):
            digest.update(np.ascontiguousarray(part).tobytes())
        return _Task(
            competition,
            train,
            joined,
            joined.values[ahead, 0],
            seasonal_naive_scale(values, train.indptr, season),
            naive2(values, train.indptr, horizon, season),
            digest.hexdigest(),
        )

    def scaled(self, yhat: Any) -> float:
        """Return the mean over series of the mean absolute error over the scale; series without one are left out."""
        has_scale = self.scale > 0
        if not has_scale.any():
            return math.nan
        with np.errstate(invalid="ignore", over="ignore"):
            errors = abs_error(self.truth, yhat).mean(axis=1)
            return float((errors[has_scale] / self.scale[has_scale]).mean())

    def one_step_ahead(self, series: Any) -> WindowIndex:
        """Return the cutoffs right before each test row of some series."""
        horizon = self.competition.horizon
        rows = self.train.lengths[series, None] - 1 + np.arange(horizon)
        return WindowIndex(np.repeat(series, horizon), rows.ravel())


def _make_row(job: _Job, task: _Task, asked: _Asked) -> Row:
    """Return the finished row of one job, whatever becomes of it."""
    row: Row = dict.fromkeys(asked.layout.columns)
    row |= job.key._asdict()
    row |= {"n_series": task.train.n_series, "threads": get_threads(), "version": importlib.metadata.version("tsforce")}
    # A clone, so that the fitted models of a long table are not all kept.
    model = job.model.clone_unfitted()
    try:
        row |= _figures(model, job.mode, task, asked)
    except Exception as error:
        # Whatever a model does, the other rows of the table are made; Ctrl-C is no Exception and ends the run.
        row["status"] = status_of_error(error)
    row |= _settings(model)
    row["peak_mb"] = _peak_mb()
    return row


def _figures(model: Forecaster, mode: Any, task: _Task, asked: _Asked) -> Row:
    horizon = task.competition.horizon
    started = time.process_time()
    model.fit(task.competition.train, mode=mode)
    fitted = time.process_time()
    forecasts = model.predict(horizon)
    predicted = time.process_time()

    ids = forecasts[model.id_col].iloc[::horizon]
    mine = np.array([task.train.position[name] for name in ids], dtype=np.int64)
    yhat = task.reference.copy()
    yhat[mine] = forecasts[model.name].to_numpy(dtype=np.float64).reshape(-1, horizon)
    bounds, unbounded = _bounds(model, task, mine, asked.levels)
    mine.sort()
    others = np.setdiff1d(np.arange(task.train.n_series), mine)
    one = task.scaled(_one_step(model, task, mine, others)) if asked.one_step else math.nan
    errors = float(smape(task.truth, yhat).mean()), task.scaled(yhat)
    reference = float(smape(task.truth, task.reference).mean()), task.scaled(task.reference)
    notes = {
        "by naive2": len(others),
        "not finite": int((~np.isfinite(yhat).all(axis=1)).sum()),
        "without a MASE scale": int((~(task.scale > 0)).sum()),
        **unbounded,
    }
    return {
        "smape": errors[0],
        "mase": errors[1],
        "owa": owa(*errors, *reference),
        "one_step": one,
        "gap": errors[1] / one if one else math.nan,
        "fit_cpu_s": round(fitted - started, 4),
        "predict_cpu_s": round(predicted - fitted, 4),
        **bounds,
        "status": ", ".join(["ok", *(f"{count} series {what}" for what, count in notes.items() if count)]),
    }


def _bounds(model: Forecaster, task: _Task, mine: Any, levels: Intervals | None) -> tuple[Row, dict[str, int]]:
    """Return the figures of each level, and how many series have no bounds, those that were left out among them."""
    if levels is None:
        return {}, {}
    started = time.process_time()
    with warnings.catch_warnings():
        # What is without bounds is counted.
        warnings.simplefilter("ignore", IntervalWarning)
        forecasts = model.predict(task.competition.horizon, level=levels)
    seconds = time.process_time() - started
    figures, missing = bound_figures(forecasts, model.name, levels, task.truth[mine], task.scale[mine])
    others = task.train.n_series - len(mine)
    return {**figures, "level_cpu_s": round(seconds, 4)}, {what: count + others for what, count in missing.items()}


def _one_step(model: Forecaster, task: _Task, mine: Any, others: Any) -> Any:
    """Return the forecasts of every test row from the row before it, (S, H); Naive2's of series that were left out."""
    horizon = task.competition.horizon
    ahead = np.empty_like(task.reference)
    ahead[mine] = (
        model.predict_at(task.joined, task.one_step_ahead(mine), 1)[model.name].to_numpy().reshape(-1, horizon)
    )
    if len(others):
        seen = task.joined.windows(task.one_step_ahead(others))
        one = naive2(seen.values[:, 0], seen.indptr, 1, task.competition.season_length)
        ahead[others] = one.reshape(-1, horizon)
    return ahead


def _settings(model: Forecaster) -> Row:
    """Return what stands in the columns on the model itself; empty where it has no such setting."""
    parameters = model.get_params(deep=False)
    lags = list(getattr(model, "lags_", ()))
    # What was left to the data stands there as it was chosen.
    chosen = {name: value for name, value in parameters.items() if not (isinstance(value, str) and value == "auto")}
    transforms = chosen.get("target_transforms", getattr(model, "target_transforms_", ())) or ()
    return {
        "scope": str(chosen.get("scope", getattr(model, "scope_", ""))),
        # As the argument is written: an int L means 1..L.
        "lags": str(len(lags)) if lags and lags == list(range(1, len(lags) + 1)) else " ".join(map(str, lags)),
        "transforms": " ".join(map(repr, transforms)) if isinstance(transforms, Sequence) else repr(transforms),
    }


def _peak_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows has no such count.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _recipe(job: _Job, task: _Task, asked: _Asked) -> Recipe:
    parameters = {"model": describe(job.model), "mode": describe(job.mode), **asked.recipe}
    return Recipe.of(task.sha256, parameters, job.key)
