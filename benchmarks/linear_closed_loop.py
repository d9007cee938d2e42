"""What closed-loop training of linear maps costs: on moments, by AdamW, and by another build.

    .venv/bin/python benchmarks/linear_closed_loop.py [--data DIR] [--only WORD]
    PYTHONPATH=OTHER .venv/bin/python benchmarks/linear_closed_loop.py --build NAME    # the same with another checkout

Writes benchmarks/results/linear-closed-loop.csv, a row per part and build. One thread; CPU seconds are those of `fit`
alone. Test sets are scored by the Ensemble's part only, whose members are those of benchmarks/m4.py: not blind.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import itertools
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsforce import Difference, Ensemble, Log, NARXForecaster
from tsforce.bench import get_threads, run, set_threads
from tsforce.datasets import load_competition

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "linear-closed-loop.csv"
COLUMNS = (
    "part", "build", "mode", "loss", "solver", "models", "closed_loop_start", "closed_loop_kept", "owa", "cpu_s",
    "threads", "command", "versions",
)  # fmt: skip
PACKAGES = ("tsforce", "torch", "numpy", "pandas")


# Ridge regression, as in a build that knows of no priors.
PLAIN = {"prior": "zero"} if "prior" in NARXForecaster(1).get_params() else {}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="folder with the M4 files; TSFORCE_DATA, else ../shared/data")
    arguments.add_argument("--only", default="", help="measure only these parts: " + ", ".join(PARTS))
    arguments.add_argument("--build", default="now", help="name of the build that is imported")
    given = arguments.parse_args()
    folder = given.data or Path(os.environ.get("TSFORCE_DATA") or REPOSITORY.parent / "shared" / "data")
    set_threads(1)
    for part in (part for part in PARTS if given.only in part):
        row = {
            "part": part, "build": given.build, **PARTS[part](folder), "threads": get_threads(),
            "command": shlex.join(["python", "benchmarks/linear_closed_loop.py", *sys.argv[1:]]),
            "versions": "; ".join(
                [f"python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)]
            ),
        }  # fmt: skip
        print(row, flush=True)
        rows: list[dict[str, Any]] = []
        if RESULTS.exists():
            with RESULTS.open(newline="", encoding="utf-8") as file:
                rows = [old for old in csv.DictReader(file) if (old["part"], old["build"]) != (part, given.build)]
        with RESULTS.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows([*rows, row])


def fitted(model: NARXForecaster, df: pd.DataFrame, mode: str, models: int) -> dict[str, Any]:
    """Return what a fit cost, and its closed-loop validation error before and after."""
    begin = time.process_time()
    model.fit(df, mode=mode)
    seconds = time.process_time() - begin
    looks = model.history_.frame.query("run == 'choose'")
    note = next((text for text in reversed(model.history_.notes) if " kept" in text and "at the start" in text), "")
    kept = note.split("at the start, ")[1].split(" kept")[0] if note else ""
    return {
        "mode": mode, "loss": model.loss, "solver": model.history_.solver, "models": models,
        "closed_loop_start": round(float(looks["closed_loop"].iloc[0]), 4), "closed_loop_kept": kept,
        "cpu_s": round(seconds, 2),
    }  # fmt: skip


def one_map(folder: Path, mode: str) -> dict[str, Any]:
    df = load_competition("m4", "hourly", folder).train
    model = NARXForecaster(
        48, 192, scope="local", target_transforms=[Log(), Difference(24)], season_length=24, **PLAIN
    )  # fmt: skip
    return fitted(model, df, mode, df["unique_id"].nunique())


def ensemble(folder: Path, loss: str) -> dict[str, Any]:
    recipes = itertools.product(([], [Log()]), ([], [Difference(24)], [Difference(168)]), (48, 192))
    members = [
        NARXForecaster(
            48, lags, scope="local", target_transforms=[*log, *difference], season_length=24, mode="curriculum",
            loss=loss, **PLAIN,
        )
        for log, difference, lags in recipes
    ]  # fmt: skip
    scores = run(load_competition("m4", "hourly", folder), [("median", Ensemble(members, combine="median"))]).iloc[0]
    seconds = float(scores["fit_cpu_s"])
    return {
        "mode": "curriculum", "loss": loss, "models": 12, "owa": round(float(scores["owa"]), 4),
        "cpu_s": round(seconds, 2),
    }  # fmt: skip


def short_series(folder: Path) -> dict[str, Any]:
    """1,000 series of 100 rows, all defaults of scope="local"."""
    del folder
    n_series, rows = 1000, 100
    noise, y = np.random.default_rng(0).normal(size=(n_series, rows)), np.zeros((n_series, rows))
    for t in range(1, rows):
        y[:, t] = 0.8 * y[:, t - 1] + noise[:, t]
    df = pd.DataFrame({"unique_id": np.repeat([f"s{i}" for i in range(n_series)], rows), "y": 10 + y.ravel()})
    df["ds"] = np.tile(np.arange(rows), n_series)
    return fitted(NARXForecaster(12, 12, scope="local", **PLAIN), df, "auto", n_series)


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "short series": short_series,
    "hourly one map, closed loop": lambda folder: one_map(folder, "closed_loop"),
    "hourly ensemble, huber": lambda folder: ensemble(folder, "huber"),
}

if __name__ == "__main__":
    main()
