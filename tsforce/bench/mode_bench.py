"""The modes bench: models trained in every mode, scored once on a competition's test set, tested series by series."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.bench.mode_blocks import BLOCKS, members_of
from tsforce.data.datasets import Competition
from tsforce.dynamics.threads import get_threads
from tsforce.evaluation.paired import paired_test
from tsforce.forecasting.base import Forecaster
from tsforce.scoring.metrics import mae, seasonal_naive_scale, smape

__all__ = ["COMPARED_MODES", "ModeTask", "has_mode_row", "mode_table", "run_mode", "write_mode_tests"]

FloatArray = npt.NDArray[np.float64]

COMPARED_MODES = ("open_loop", "closed_loop", "curriculum", "auto")
_KEY = ("set", "model", "block", "mode", "seed")
_PACKAGES = ("tsforce", "torch", "numpy", "pandas")


class ModeTask:
    """A competition's test set, and what errors on it are measured by.

    Parameters
    ----------
    data : Competition
    reference : Forecaster
        Naive2, unfitted.

    Attributes
    ----------
    name : str
        Competition and group, such as "m3 monthly".
    naive2 : (float, float)
        Mean sMAPE and MASE of Naive2.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from tsforce import Baseline
    >>> from tsforce.bench import ModeTask
    >>> from tsforce.datasets import load_competition
    >>> m3 = load_competition("m3", "other")
    >>> few = m3.test["unique_id"].unique()[:3]  # the whole of it takes longer
    >>> parts = {part: getattr(m3, part)[getattr(m3, part)["unique_id"].isin(few)] for part in ("train", "test")}
    >>> parts = {part: rows.assign(unique_id=rows["unique_id"].astype(str)) for part, rows in parts.items()}
    >>> task = ModeTask(replace(m3, **parts), Baseline("naive2"))
    >>> task.name, task.truth.shape
    ('m3 other', (3, 8))
    """

    def __init__(self, data: Competition, reference: Forecaster) -> None:
        self.data, self.horizon, self.season_length = data, data.horizon, data.season_length
        self.name = f"{data.name} {data.group}"
        self.ids = data.train["unique_id"].unique()
        self.truth = data.test["y"].to_numpy().reshape(-1, self.horizon)
        lengths = data.train.groupby("unique_id", sort=False, observed=True).size()
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        self.scale = seasonal_naive_scale(data.train["y"], indptr, self.season_length)
        self.joined = pd.concat([data.train, data.test], ignore_index=True)
        self.reference = reference.fit(data.train).predict(self.horizon)
        of_naive2 = self.errors(self.align(self.reference)[0])
        self.naive2 = float(of_naive2[0].mean()), float(of_naive2[1].mean())

    def align(self, forecast: pd.DataFrame) -> tuple[FloatArray, int]:
        """Return forecasts (S, H) in the set's order, and how many series a model left out, which are Naive2's."""
        wide = forecast.set_index(["unique_id", "horizon"]).iloc[:, -1].unstack()
        other = self.reference.set_index(["unique_id", "horizon"]).iloc[:, -1].unstack()
        return wide.reindex(other.index).fillna(other).reindex(self.ids).to_numpy(), len(other) - len(wide)

    def errors(self, yhat: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return sMAPE and MASE of each series, (S,) each."""
        return smape(self.truth, yhat), mae(self.truth, yhat) / self.scale

    def one_step(self, model: Forecaster) -> float:
        """Return the mean scaled error of forecasts made one step before each test row."""
        last = self.data.train.groupby("unique_id", sort=False, observed=True)["ds"].max().reset_index()
        last = last[~last["unique_id"].isin(getattr(model, "short_series_", []))]
        cutoffs = pd.concat([last.assign(cutoff=last["ds"] + h) for h in range(self.horizon)])
        forecast = model.predict_at(self.joined, cutoffs[["unique_id", "cutoff"]], 1)
        truth = pd.Series(self.truth.ravel(), pd.MultiIndex.from_frame(self.data.test[["unique_id", "ds"]]))
        scale = pd.Series(self.scale, self.ids)
        targets = truth.loc[pd.MultiIndex.from_frame(forecast[["unique_id", "ds"]])].to_numpy()
        error = np.abs(forecast.iloc[:, -1].to_numpy() - targets)
        return float((error / scale.loc[forecast["unique_id"]].to_numpy()).mean())


def has_mode_row(out: Path, **key: Any) -> bool:
    """Return whether a csv file of results has a row of a set, model, block, mode and seed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tsforce.bench import has_mode_row
    >>> row = {"set": "m3 other", "model": "linear", "block": "moments mse", "mode": "auto", "seed": 0}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "modes.csv"
    ...     pd.DataFrame([row]).to_csv(file, index=False)
    ...     has_mode_row(file, **row), has_mode_row(file, **{**row, "seed": 1})
    (True, False)
    """
    if not out.exists():
        return False
    done = pd.read_csv(out)[list(_KEY)].astype(str)
    return bool((done == pd.Series(key)[list(_KEY)].astype(str)).all(axis=1).any())


def run_mode(
    test: ModeTask, name: str, model: Forecaster, block: str, mode: str, seed: int, out: Path, command: str
) -> Any:
    """Fit a model in a mode, as its block says; score it, append the row to `out`, errors beside it; return the row.

    Parameters
    ----------
    test : ModeTask
    name : str
        Of the model.
    model : Forecaster
        Unfitted; what the block sets is set in it, or in an Ensemble's members.
    block : str
        Of ``BLOCKS``.
    mode : str
    seed : int
    out : path
        A csv file. ``<stem>-errors.parquet`` gets each series' half sum of sMAPE and MASE over Naive2's means.
    command : str
        What makes this row again.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from dataclasses import replace
    >>> from tsforce import Baseline, NARXForecaster
    >>> from tsforce.bench import ModeTask, run_mode
    >>> from tsforce.datasets import load_competition
    >>> m3 = load_competition("m3", "other")
    >>> few = m3.test["unique_id"].unique()[:3]  # the whole of it takes longer
    >>> parts = {part: getattr(m3, part)[getattr(m3, part)["unique_id"].isin(few)] for part in ("train", "test")}
    >>> parts = {part: rows.assign(unique_id=rows["unique_id"].astype(str)) for part, rows in parts.items()}
    >>> task = ModeTask(replace(m3, **parts), Baseline("naive2"))
    >>> model = NARXForecaster(8, lags=2, scope="global", max_steps=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     row = run_mode(task, "linear", model, "moments mse", "open_loop", 0, Path(folder) / "modes.csv", "by hand")
    >>> row["set"], row["solver"], row["steps"], row["held_out"]
    ('m3 other', 'closed form', 0, 'up to 8 windows')
    """
    key = dict(zip(_KEY, (test.name, name, block, mode, seed), strict=True))
    how = BLOCKS[block].apply(model, mode, seed)
    began = time.process_time()
    model.fit(test.data.train, mode=mode)
    forecast = model.predict()
    cpu = time.process_time() - began
    yhat, borrowed = test.align(forecast)
    smapes, mases = test.errors(yhat)
    each = 0.5 * (smapes / test.naive2[0] + mases / test.naive2[1])
    fitted = getattr(model, "members_", {"": model}).values()
    looks = [m.history_.frame for m in fitted if len(m.history_.frame)]
    validation = [frame.loc[frame["run"] == "choose", "closed_loop"].min() for frame in looks]
    versions = "; ".join(f"{package} {importlib.metadata.version(package)}" for package in _PACKAGES)
    row = key | how | {
        "held_out": _held_out(model, test.ids, block),
        "owa": each.mean(), "smape": smapes.mean(), "mase": mases.mean(), "one_step": test.one_step(model),
        "validation": np.mean(validation) if validation else np.nan, "naive2_series": borrowed,
        "cpu_s": round(cpu, 2), "threads": get_threads(), "command": command,
        "versions": f"python {platform.python_version()}; {versions}",
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    errors = out.with_name(f"{out.stem}-errors.parquet")
    long = pd.DataFrame(
        {"run": _run_id(key), "unique_id": test.ids.astype(str), "error": each.astype(np.float32)}
    )  # fmt: skip
    # The errors first: a row without its errors would never get them.
    if errors.exists():
        before = pd.read_parquet(errors)
        long = pd.concat([before[before["run"] != _run_id(key)], long])
    long.to_parquet(errors, index=False, compression="zstd")
    pd.DataFrame([row]).to_csv(out, mode="a", header=not out.exists(), index=False)
    return row


def _held_out(model: Forecaster, ids: Any, block: str) -> str:
    """Return what is held out to choose modes and steps by."""
    first = next(iter(members_of(model).values())).get_params()
    if first["scope"] == "global" and len(ids) >= 10:
        return "1 window"
    return "up to 8 windows" if BLOCKS[block].solver == "moments" else "up to 4 windows"


def _run_id(key: dict[str, Any]) -> str:
    return "|".join(str(key[name]) for name in _KEY)


def write_mode_tests(out: Path) -> pd.DataFrame:
    """Return, and write to ``<stem>-tests.csv``, each mode against open loop.

    Wilcoxon's signed-rank test over series, errors averaged over the seeds that both have, Holm over the modes; OWA's
    mean and range over seeds, one-step error and CPU seconds.

    Examples
    --------
    >>> import tempfile
    >>> from tsforce.bench import write_mode_tests
    >>> about = {"set": "m3 other", "model": "mlp", "block": "adamw mse", "seed": 0, "one_step": 0.5, "cpu_s": 1.0}
    >>> rows = pd.DataFrame([{**about, "mode": "open_loop", "owa": 1.0}, {**about, "mode": "closed_loop", "owa": 0.9}])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "modes.csv"
    ...     rows.to_csv(file, index=False)
    ...     runs = [f"m3 other|mlp|adamw mse|{mode}|0" for mode in rows["mode"]]
    ...     errors = pd.DataFrame({"run": np.repeat(runs, 8), "error": [*np.arange(1.0, 9), *0.9 * np.arange(1.0, 9)]})
    ...     errors.to_parquet(file.with_name("modes-errors.parquet"))
    ...     tests = write_mode_tests(file)
    >>> tests[["mode", "owa_mean", "share_better", "p"]].round(4).to_numpy().tolist()
    [['open_loop', 1.0, 0.0, nan], ['closed_loop', 0.9, 1.0, 0.0078]]
    """
    rows, errors = pd.read_csv(out), pd.read_parquet(out.with_name(f"{out.stem}-errors.parquet"))
    each = {run: part["error"].to_numpy(dtype=np.float64) for run, part in errors.groupby("run", sort=False)}
    tables = []
    for (name, model, block), part in rows.groupby(["set", "model", "block"], sort=False):
        seeds = {mode: set(runs["seed"]) for mode, runs in part.groupby("mode")}
        if not set(seeds) > {"open_loop"}:
            continue
        # Modes are compared run for run: one that lacks a seed of open loop is left out while there is another.
        whole = {mode: own for mode, own in seeds.items() if own >= seeds["open_loop"]}
        seeds = whole if len(whole) > 1 else seeds
        common = set.intersection(*seeds.values())
        part = part[part["seed"].isin(common) & part["mode"].isin(list(seeds))]
        values = {
            mode: np.mean([each[f"{name}|{model}|{block}|{mode}|{seed}"] for seed in sorted(common)], axis=0)
            for mode in COMPARED_MODES
            if mode in seeds
        }
        grouped = part.groupby("mode")
        figures = (
            grouped["owa"].agg(["mean", "min", "max"]).add_prefix("owa_").join(grouped[["one_step", "cpu_s"]].mean())
        )
        table = paired_test(values, "open_loop").merge(figures, on="mode")
        best = part.pivot(index="seed", columns="mode", values="owa")
        wins = {mode: int((best[mode] < best["open_loop"]).sum()) for mode in values}
        tables.append(
            table.assign(set=name, model=model, block=block, seeds=len(common), seeds_better=table["mode"].map(wins))
        )
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if tables:
        table.to_csv(out.with_name(f"{out.stem}-tests.csv"), index=False, float_format="%.5g")
    return table


def mode_table(tests: pd.DataFrame) -> str:
    """Return the tests as a table in Markdown: a line for each set, model and block, a column for each mode.

    OWA, its mean over seeds; in brackets by how much a mode differs from open loop in per cent, in how many series in a
    hundred it is better, and Holm's p where that is below .05.

    Examples
    --------
    >>> from tsforce.bench import mode_table
    >>> tests = pd.DataFrame({"mode": ["open_loop", "closed_loop"], "owa_mean": [1.0, 0.9], "p_holm": [np.nan, 0.02]})
    >>> tests = tests.assign(set="m3 other", model="mlp", block="adamw mse", seeds=3, share_better=[0.0, 0.75])
    >>> print(mode_table(tests).splitlines()[-1])
    | m3 other, mlp (3) | adamw mse | 1.0000 | 0.9000 (-10.0 %; 75, p = 0.020) |  |  |
    """
    lines = [
        "| set, model (seeds) | solver, loss | open loop | closed loop | curriculum | auto |",
        "|---|---|---|---|---|---|",
    ]
    for (name, model, block), part in tests.groupby(["set", "model", "block"], sort=False):
        rows = {row.mode: row for row in part.itertuples()}
        start = rows["open_loop"].owa_mean
        cells = [f"{start:.4f}"]
        for mode in COMPARED_MODES[1:]:
            row = rows.get(mode)
            if row is None:
                cells.append("")
                continue
            p = "" if row.p_holm >= 0.05 else ", p < .001" if row.p_holm < 0.001 else f", p = {row.p_holm:.3f}"
            cells.append(
                f"{row.owa_mean:.4f} ({100 * (row.owa_mean / start - 1):+.1f} %; {100 * row.share_better:.0f}{p})"
            )
        lines.append(f"| {name}, {model} ({part['seeds'].iloc[0]}) | {block} | {' | '.join(cells)} |")
    return "\n".join(lines)
