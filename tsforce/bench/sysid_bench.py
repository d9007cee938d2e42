"""The engine of ``tsforce bench sysid``: one row for each scored part of each fit."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsforce.bench.ledger import (
    Layout,
    Ledger,
    Recipe,
    check_seeds,
    label,
    seeds_better,
    status_of_error,
    status_of_fit,
    what_is_set,
)
from tsforce.bench.sysid_recipes import SysidModel
from tsforce.bench.sysid_task import Simulator, SysidTask, largest_root
from tsforce.dynamics.threads import get_threads
from tsforce.forecasting.arguments import check_number
from tsforce.persistence.describing import describe

__all__ = ["SYSID_COLUMNS", "run_sysid", "summarise_sysid", "write_sysid_summary"]

Row = dict[str, Any]

SYSID_COLUMNS = (
    "set", "training", "record", "n", "unit", "model", "mode", "seed", "lags", "configuration", "n_rows", "rmse",
    "nrmse", "fit", "r2", "one_step", "gap", "root", "diverged", "validation", "fit_cpu_s", "predict_cpu_s", "threads",
    "version", "status",
)  # fmt: skip
_FIGURES = ("rmse", "nrmse", "fit", "r2", "one_step", "gap", "diverged")
_REAL = (*_FIGURES, "root", "validation", "fit_cpu_s", "predict_cpu_s")


class _Key(NamedTuple):
    set: str
    training: str
    record: str
    n: int
    model: str
    mode: str
    seed: int | None


_LAYOUT = Layout(SYSID_COLUMNS, _Key, ("n", "n_rows", "threads"), _REAL)


@dataclass(frozen=True, eq=False)
class _Job:
    """One fit; it has a row for each scored part of the task."""

    keys: tuple[_Key, ...]
    made: Callable[[], Simulator]
    mode: str

    @property
    def label(self) -> str:
        key = self.keys[0]
        return label(key.set, key.training, f"n {key.n}", key.model, key.mode, seed=key.seed)


def run_sysid(
    task: SysidTask,
    models: Mapping[str, SysidModel],
    modes: Sequence[str],
    out: str | Path,
    seeds: Sequence[int] = (0,),
    *,
    time_limit: float | None = None,
    on_start: Callable[[str, int, int], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
    command: str | None = None,
) -> pd.DataFrame:
    """Return the scores of some models on a task, one row for each model, mode, seed and scored part.

    Parameters
    ----------
    task : SysidTask
        ``task.held_out()`` to make choices by: its rows are of the training record alone.
    models : dict of name -> SysidModel
    modes : sequence of str
        For the models that learn in modes.
    out : path
        Folder in which each finished row is appended to ``results.csv`` at once; ``manifest.json`` holds what it was
        made from, the hash of the file among it. A fit whose rows are all there, finished and made from the same data,
        parameters, thread count and version of tsforce, is not made again. A failed one is.
    seeds : sequence of int
        A model that draws something has rows for each.
    time_limit : float, optional
        CPU seconds of a fit. Training by gradient ends there; what takes longer says so in its status.
    on_start : function (label, number, total), optional
        Called before each fit that is made; fits are numbered from 1.
    on_row : function (row), optional
        Called after each row that was made, or found finished.
    command : str, optional
        Kept in the manifest; the command line of the process by default.

    Returns
    -------
    DataFrame
        Columns as `SYSID_COLUMNS`; what they mean: ``tsforce.bench.SYSID_SCORES``. A model that raises has rows whose
        status is "failed: <error>: <message>".

    Raises
    ------
    ArgumentError
        If a seed, limit or folder is not accepted.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from tsforce.bench import SysidTask, run_sysid, sysid_models
    >>> from tsforce.bench.sysid_task import Record
    >>> from tsforce.datasets import SYSID_SETS
    >>> u = np.random.default_rng(0).normal(size=300)  # instead of SysidTask.load("daisy-exchanger")
    >>> record = Record(u, 0.1 + np.convolve(u, 0.5 ** np.arange(20))[:300])
    >>> known = SYSID_SETS["daisy-exchanger"]
    >>> task = SysidTask.of(known, 10, record, (300,), {0: record}, known.scored)
    >>> models = sysid_models("daisy-exchanger", task.n, ("training_mean", "arx"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = run_sysid(task, models, ("open_loop",), folder)
    >>> rows[["model", "mode", "nrmse", "status"]].round(2).to_numpy().tolist()
    [['training_mean', '', 1.0, 'ok'], ['arx', 'open_loop', 0.0, 'ok']]
    """
    numbers = check_seeds(seeds)
    limit = None if time_limit is None else check_number("time_limit", time_limit, auto=False, above_zero=True)
    jobs = list(_plan(task, models, modes, numbers, limit))
    ledger = Ledger(Path(out), _LAYOUT)
    about = " ".join(part for part in (task.known.name, task.training, f"n {task.n}", task.scored[0].name) if part)
    ledger.begin(
        {key: _recipe(job, key, task, limit) for job in jobs for key in job.keys},
        {about: {"sha256": task.sha256, "file": task.file, "file_sha256": task.file_sha256}},
        numbers,
        command,
    )
    return ledger.fill(jobs, lambda job: _make_rows(job, task, limit), on_start, on_row)


def _plan(
    task: SysidTask, models: Mapping[str, SysidModel], modes: Sequence[str], seeds: list[int], limit: float | None
) -> Iterator[_Job]:
    for name, one in models.items():
        for mode in modes if one.modes is None else one.modes:
            for seed in seeds if one.draws(mode) else [None]:
                keys = tuple(
                    _Key(task.known.name, task.training, part.name, task.n, name, mode, seed) for part in task.scored
                )
                yield _Job(keys, partial(one.make, mode, seed or 0, limit), mode)


def _make_rows(job: _Job, task: SysidTask, limit: float | None) -> list[Row]:
    """Return the finished rows of one job, whatever becomes of it."""
    row: Row = dict.fromkeys(SYSID_COLUMNS)
    row |= {
        "unit": task.known.unit,
        "threads": get_threads(),
        "version": importlib.metadata.version("tsforce"),
        "configuration": what_is_set(job.made(), _SAID),
    }
    rows = [row | key._asdict() for key in job.keys]
    for one, part in zip(rows, task.scored, strict=True):
        one["n_rows"] = len(task.records[part.record].y[task.n : part.stop])
    try:
        for one, figures in zip(rows, _figures(job, task, limit), strict=True):
            one.update(figures)
    except Exception as error:
        # Whatever a model does, the other rows of the table are made; Ctrl-C is no Exception and ends the run.
        for one in rows:
            one["status"] = status_of_error(error)
    return rows


def _figures(job: _Job, task: SysidTask, limit: float | None) -> list[Row]:
    """Return what is found of each scored part."""
    started = time.process_time()
    model = _fitted(job, task)
    seconds = time.process_time() - started
    shared = {
        "lags": _lags(model),
        "root": largest_root(model, task.train),
        "validation": _validation(job, task),
        "fit_cpu_s": round(seconds, 2),
        "status": status_of_fit(seconds, limit),
    }
    simulated, rows = {}, []
    for part in task.scored:
        if part.record not in simulated:
            begun = time.process_time()
            simulation = task.simulate(model, part.record)
            cost = round(time.process_time() - begun, 2)
            simulated[part.record] = (simulation, task.one_step(model, part.record), cost)
        simulation, one_step, cost = simulated[part.record]
        score = task.score(part, simulation, one_step)
        rows.append({**shared, **score._asdict(), "predict_cpu_s": cost})
    return rows


def _fitted(job: _Job, task: SysidTask) -> Simulator:
    model = job.made()
    model.fit(task.train.u[:, None], task.train.y, np.array(task.sizes))
    return model


def _validation(job: _Job, task: SysidTask) -> float | None:
    """Return the RMSE on the rows that `held_out` holds out; of a task that is held out itself there is no other."""
    if [part.name for part in task.scored] == ["validation"]:
        return None
    inner = task.held_out()
    (part,) = inner.scored
    simulated = inner.simulate(_fitted(job, inner), part.record)
    return inner.score(part, simulated, simulated).rmse


def _lags(model: Any) -> str:
    """Return the lags of outputs and inputs of a fitted model, as far as it has any."""
    both = [getattr(model, f"{name}_lags_", None) for name in ("output", "input")]
    return "; ".join(
        f"{name} {' '.join(map(str, lags))}" for name, lags in zip("yu", both, strict=True) if lags is not None
    )


# What the columns say already.
_SAID = ("output_lags", "input_lags", "input_delay", "random_state", "mode")


def _recipe(job: _Job, key: _Key, task: SysidTask, limit: float | None) -> Recipe:
    parameters = {"model": describe(job.made()), "mode": job.mode, "limit": limit}
    return Recipe.of(task.sha256, parameters, key)


def summarise_sysid(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per set, part, n, model and mode: medians over seeds.

    Parameters
    ----------
    rows : DataFrame
        As `run_sysid` returns them, of one or several tasks.

    Returns
    -------
    DataFrame
        set, training, record, n, unit, model, mode; medians over seeds of rmse, nrmse, fit, r2, one_step, gap, root,
        validation, fit_cpu_s and predict_cpu_s; rmse_min, rmse_max; seeds; diverged: how many of them; seeds_better:
        seeds whose RMSE is below that of open loop (with the same seed, or the one without). Failed rows are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsforce.bench import SYSID_COLUMNS, summarise_sysid
    >>> row = {"set": "emps", "training": "", "record": "test", "n": 20, "unit": "mm", "model": "mlp", "status": "ok"}
    >>> row |= {"mode": "closed_loop", "diverged": 0}
    >>> rows = pd.DataFrame([{**row, "seed": 0, "rmse": 2.0}, {**row, "seed": 1, "rmse": 3.0}], columns=SYSID_COLUMNS)
    >>> summarise_sysid(rows)[["model", "rmse", "rmse_max", "seeds"]].to_numpy().tolist()
    [['mlp', 2.5, 3.0, 2]]
    """
    good = rows[rows["status"].str.startswith("ok")]
    about = ["set", "training", "record", "n", "unit", "model"]
    medians = ("rmse", "nrmse", "fit", "r2", "one_step", "gap", "root", "validation", "fit_cpu_s", "predict_cpu_s")
    figures: dict[str, Any] = {name: (name, "median") for name in medians}
    figures |= {
        "rmse_min": ("rmse", "min"), "rmse_max": ("rmse", "max"), "seeds": ("rmse", "size"),
        "diverged": ("diverged", "sum"),
    }  # fmt: skip
    tables = []
    for _, part in good.groupby(about, sort=False):
        table = part.groupby([*about, "mode"], sort=False).agg(**figures).reset_index()
        table["seeds_better"] = seeds_better(part, table["mode"], "rmse")
        table["diverged"] = table["diverged"].astype("int64")
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def write_sysid_summary(out: str | Path) -> pd.DataFrame:
    """Return, and write to ``summary.csv``, `summarise_sysid` of every row in a folder.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from tsforce.bench import SysidTask, run_sysid, sysid_models, write_sysid_summary
    >>> from tsforce.bench.sysid_task import Record
    >>> from tsforce.datasets import SYSID_SETS
    >>> u = np.random.default_rng(0).normal(size=300)  # instead of SysidTask.load("daisy-exchanger")
    >>> record = Record(u, 0.1 + np.convolve(u, 0.5 ** np.arange(20))[:300])
    >>> known = SYSID_SETS["daisy-exchanger"]
    >>> task = SysidTask.of(known, 10, record, (300,), {0: record}, known.scored)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = run_sysid(task, sysid_models("daisy-exchanger", task.n, ("arx",)), (), folder)
    ...     table = write_sysid_summary(folder)
    >>> table[["set", "model", "mode", "seeds"]].to_numpy().tolist()
    [['daisy-exchanger', 'arx', 'open_loop', 1]]
    """
    folder = Path(out)
    table = summarise_sysid(_LAYOUT.frame(Ledger(folder, _LAYOUT).rows.values()))
    table.to_csv(folder / "summary.csv", index=False, float_format="%.5g")
    return table
