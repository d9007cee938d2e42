"""The engine of ``tsforce bench chaos``: one row per model, mode and seed, and tests between modes."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.bench.chaos_recipes import ChaosModel
from tsforce.bench.chaos_task import ChaosTask, Score
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
from tsforce.dynamics.threads import get_threads
from tsforce.evaluation.paired import paired_test
from tsforce.forecasting.arguments import check_number
from tsforce.forecasting.base import Forecaster
from tsforce.persistence.describing import describe

__all__ = ["CHAOS_COLUMNS", "run_chaos", "summarise_chaos", "write_chaos_summary"]

FloatArray = npt.NDArray[np.float64]
Row = dict[str, Any]

CHAOS_COLUMNS = (
    "system", "observe", "noise", "size", "model", "mode", "seed", "lags", "configuration", "n_windows", "nrmse",
    "last_tenth", "one_step", "gap", "diverged", "clipped", "validation", "fit_cpu_s", "predict_cpu_s", "threads",
    "version", "status",
)  # fmt: skip
_REAL = (
    "noise", "nrmse", "last_tenth", "one_step", "gap", "diverged", "clipped", "validation", "fit_cpu_s",
    "predict_cpu_s",
)  # fmt: skip


class _Key(NamedTuple):
    system: str
    observe: str
    noise: float
    size: str
    model: str
    mode: str
    seed: int | None

    @property
    def stem(self) -> str:
        """Name of the file with the row's errors."""
        return "-".join("none" if part is None else str(part) for part in self if part != "")


_LAYOUT = Layout(CHAOS_COLUMNS, _Key, ("n_windows", "threads"), _REAL)


@dataclass(frozen=True, eq=False)
class _Job:
    key: _Key
    model: Forecaster | None
    mode: Any
    rows: int | None

    @property
    def keys(self) -> tuple[_Key, ...]:
        return (self.key,)

    @property
    def label(self) -> str:
        return label(self.key.system, self.key.model, self.key.mode, seed=self.key.seed)


def run_chaos(
    task: ChaosTask,
    models: Mapping[str, ChaosModel],
    modes: Mapping[str, Any],
    out: str | Path,
    seeds: Sequence[int] = (0,),
    *,
    time_limit: float | None = None,
    on_start: Callable[[str, int, int], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
    command: str | None = None,
) -> pd.DataFrame:
    """Return the scores of some models on a task, one row for each model, mode and seed.

    Parameters
    ----------
    task : ChaosTask
    models : dict of name -> ChaosModel
    modes : dict of name -> mode
        As a forecaster's ``fit`` takes them; for the models that learn in modes.
    out : path
        Folder in which each finished row is appended to ``results.csv`` at once; ``manifest.json`` holds what it was
        made from, ``windows/<system>-....npz`` the test windows (float32), ``errors/<row>.npz`` the errors of every
        window and step. A row that is there already, finished and made from the same data, parameters, thread count and
        version of tsforce, is not made again. A failed one is.
    seeds : sequence of int
        A model whose fit depends on its ``random_state`` has one row per seed.
    time_limit : float, optional
        CPU seconds of a fit. Training by gradient ends there; what takes longer says so in its status.
    on_start : function (label, number, total), optional
        Called before each row is made; rows are numbered from 1.
    on_row : function (row), optional
        Called after each row that was made, or found finished.
    command : str, optional
        Kept in the manifest; the command line of the process by default.

    Returns
    -------
    DataFrame
        Columns as `CHAOS_COLUMNS`; what they mean: ``tsforce.bench.CHAOS_SCORES``. A model that raises has a row whose
        status is "failed: <error>: <message>".

    Raises
    ------
    ArgumentError
        If a seed, limit or folder is not accepted.

    Examples
    --------
    >>> import tempfile
    >>> from tsforce.bench import ChaosTask, chaos_models, run_chaos
    >>> task = ChaosTask.simulate("mackeyglass", size="tiny")
    >>> models = chaos_models("mackeyglass", ("last_value", "training_mean"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = run_chaos(task, models, {}, folder)
    >>> rows[["model", "nrmse", "status"]].round(2).to_numpy().tolist()
    [['last_value', 1.01, 'ok'], ['training_mean', 0.86, 'ok']]
    """
    numbers = check_seeds(seeds)
    limit = None if time_limit is None else check_number("time_limit", time_limit, auto=False, above_zero=True)
    jobs = list(_plan(task, models, modes, numbers, limit))
    folder = Path(out)
    ledger = Ledger(folder, _LAYOUT)
    for key in [key for key in ledger.rows if not (folder / "errors" / f"{key.stem}.npz").exists()]:
        # Without its errors a row cannot be tested against others.
        del ledger.rows[key]
    ledger.begin(
        {job.key: _recipe(job, task, limit) for job in jobs},
        {_stem_of(task): {"sha256": task.sha256, "n_windows": len(task.truth)}},
        numbers,
        command,
    )
    _write_windows(task, folder)
    return ledger.fill(jobs, lambda job: [_make_row(job, task, folder, limit)], on_start, on_row)


def _plan(
    task: ChaosTask, models: Mapping[str, ChaosModel], modes: Mapping[str, Any], seeds: list[int], limit: Any
) -> Any:
    about = (task.system.name, task.observe, task.noise, task.size)
    for name, one in models.items():
        chosen = modes if one.modes is None else {mode: mode or None for mode in one.modes}
        for mode_name, mode in chosen.items():
            model = one.make(task.horizon, task.targets, limit)
            # What has modes of its own is a floor: least squares, without a draw.
            if model is None or one.modes is not None or not model.depends_on_seed(mode):
                yield _Job(_Key(*about, name, mode_name, None), model, mode, one.rows)
                continue
            for seed in seeds:
                seeded = model.clone_unfitted().set_params(random_state=seed)
                yield _Job(_Key(*about, name, mode_name, seed), seeded, mode, one.rows)


def _stem_of(task: ChaosTask) -> str:
    return "-".join(map(str, (task.system.name, task.observe, task.noise, task.size)))


def _write_windows(task: ChaosTask, folder: Path) -> None:
    """Store what test windows show and what follows: another machine has other windows of the same attractor."""
    place = folder / "windows" / f"{_stem_of(task)}.npz"
    place.parent.mkdir(exist_ok=True)
    seen = task.test[list(task.targets)].to_numpy().reshape(len(task.truth), -1, len(task.targets))
    context = (seen[:, : -task.horizon] * task.std + task.mean).astype(np.float32)
    _write_arrays(place, context=context, truth=task.truth.astype(np.float32), mean=task.mean, std=task.std)


def _write_arrays(place: Path, **arrays: Any) -> None:
    beside = place.with_suffix(".new.npz")
    np.savez_compressed(beside, **arrays)
    beside.replace(place)


def _make_row(job: _Job, task: ChaosTask, folder: Path, limit: float | None) -> Row:
    """Return the finished row of one job, whatever becomes of it; its errors are stored before."""
    row: Row = dict.fromkeys(CHAOS_COLUMNS)
    row |= job.key._asdict()
    row |= {
        "n_windows": len(task.truth),
        "threads": get_threads(),
        "version": importlib.metadata.version("tsforce"),
        "configuration": _configuration(job),
    }
    arrays: dict[str, Any] = {}
    try:
        found, figures = _figures(job, task, limit)
        row |= figures
        arrays = {"windows": found.windows, "by_step": found.by_step, "one_step_by_step": found.one_step_by_step}
    except Exception as error:
        # Whatever a model does, the other rows of the table are made; Ctrl-C is no Exception and ends the run.
        row["status"] = status_of_error(error)
    (folder / "errors").mkdir(exist_ok=True)
    _write_arrays(folder / "errors" / f"{job.key.stem}.npz", **arrays)
    return row


def _figures(job: _Job, task: ChaosTask, limit: float | None) -> tuple[Score, Row]:
    if job.model is None:
        mean = np.broadcast_to(task.mean, task.truth.shape)
        found = task.score(mean, mean)
        valid = task.nrmse_on_validation(np.broadcast_to(task.mean, task.validation_truth.shape))
        free = {"lags": "", "clipped": 0.0, "fit_cpu_s": 0.0, "predict_cpu_s": 0.0, "status": "ok"}
        return found, _row_of(found, valid) | free
    # A clone, so that the fitted models of a long table are not all kept.
    model = job.model.clone_unfitted()
    started = time.process_time()
    model.fit(task.train if job.rows is None else task.first_rows(job.rows), mode=job.mode)
    fitted = time.process_time()
    closed, clipped = task.closed_loop(model)
    predicted = time.process_time()
    found = task.score(closed, task.one_step(model))
    valid = task.nrmse_on_validation(task.closed_loop(model, "validation")[0])
    return found, _row_of(found, valid) | {
        "lags": " ".join(map(str, getattr(model, "lags_", ()))),
        "clipped": clipped / len(task.truth),
        "fit_cpu_s": round(fitted - started, 2),
        "predict_cpu_s": round(predicted - fitted, 2),
        "status": status_of_fit(fitted - started, limit),
    }


def _row_of(found: Score, validation: float) -> Row:
    names = ("nrmse", "last_tenth", "one_step", "gap", "diverged")
    return {name: getattr(found, name) for name in names} | {"validation": validation}


# What the columns say already.
_SAID = ("horizon", "lags", "target_col", "random_state", "mode", "method")


def _configuration(job: _Job) -> str:
    """Return the arguments that a model was made with, as far as no other column tells them."""
    if job.model is None:
        return ""
    return what_is_set(job.model, _SAID, **({} if job.rows is None else {"rows": job.rows}))


def _recipe(job: _Job, task: ChaosTask, limit: float | None) -> Recipe:
    parameters = {"model": describe(job.model), "mode": describe(job.mode), "rows": job.rows, "limit": limit}
    return Recipe.of(task.sha256, parameters, job.key)


def summarise_chaos(rows: pd.DataFrame, out: str | Path) -> pd.DataFrame:
    """Return one row per task, model and mode: medians and ranges over seeds, and what the modes differ by.

    Parameters
    ----------
    rows : DataFrame
        As `run_chaos` returns them, of one or several tasks.
    out : path
        The folder of their errors.

    Returns
    -------
    DataFrame
        system, observe, noise, size, model, mode, seeds; medians over seeds of nrmse, last_tenth, one_step, gap,
        diverged, clipped, validation and fit_cpu_s, and nrmse_min, nrmse_max; p_holm: Wilcoxon's signed-rank test of
        the errors of the same windows against open loop's, both of the median seed, Holm over the modes; seeds_better:
        seeds whose NRMSE is below that of open loop with the same seed. Failed rows are left out.

    Examples
    --------
    >>> import tempfile
    >>> from tsforce.bench import ChaosTask, chaos_models, run_chaos, summarise_chaos
    >>> task = ChaosTask.simulate("mackeyglass", size="tiny")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = summarise_chaos(run_chaos(task, chaos_models("mackeyglass", ("last_value",)), {}, folder), folder)
    >>> table[["model", "seeds", "nrmse"]].round(2).to_numpy().tolist()
    [['last_value', 1, 1.01]]
    """
    good = rows[rows["status"].str.startswith("ok")]
    about = ["system", "observe", "noise", "size", "model"]
    tables = []
    for _, part in good.groupby(about, sort=False):
        figures = {name: (name, "median") for name in ("nrmse", "last_tenth", "one_step", "gap", "diverged", "clipped")}
        figures |= {"validation": ("validation", "median"), "fit_cpu_s": ("fit_cpu_s", "median")}
        ends = {"nrmse_min": ("nrmse", "min"), "nrmse_max": ("nrmse", "max"), "seeds": ("nrmse", "size")}
        table = part.groupby([*about, "mode"], sort=False).agg(**figures, **ends).reset_index()
        table["p_holm"] = np.nan
        if {"open_loop"} < set(part["mode"]):
            errors = {mode: _median_windows(own, Path(out)) for mode, own in part.groupby("mode", sort=False)}
            tested = paired_test(errors, "open_loop").set_index("mode")
            table["p_holm"] = table["mode"].map(tested["p_holm"])
        table["seeds_better"] = seeds_better(part, table["mode"], "nrmse")
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _median_windows(rows: pd.DataFrame, out: Path) -> FloatArray:
    """Return the errors of every window of the row whose NRMSE is the median over seeds, (W,)."""
    ordered = rows.sort_values("nrmse", kind="stable")
    middle = ordered.iloc[(len(ordered) - 1) // 2]
    seed = None if pd.isna(middle["seed"]) else int(middle["seed"])
    key: _Key = _LAYOUT.key_of({**middle, "seed": seed})
    with np.load(out / "errors" / f"{key.stem}.npz") as stored:
        windows: FloatArray = stored["windows"]
    return windows


def write_chaos_summary(out: str | Path) -> pd.DataFrame:
    """Return, and write to ``summary.csv``, `summarise_chaos` of every row in a folder.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tsforce.bench import ChaosTask, chaos_models, run_chaos, write_chaos_summary
    >>> task = ChaosTask.simulate("mackeyglass", size="tiny")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = run_chaos(task, chaos_models("mackeyglass", ("last_value",)), {}, folder)
    ...     table = write_chaos_summary(folder)
    ...     sorted(file.name for file in Path(folder).iterdir() if file.is_file())
    ['manifest.json', 'results.csv', 'summary.csv']
    """
    folder = Path(out)
    table = summarise_chaos(_LAYOUT.frame(Ledger(folder, _LAYOUT).rows.values()), folder)
    table.to_csv(folder / "summary.csv", index=False, float_format="%.5g")
    return table
