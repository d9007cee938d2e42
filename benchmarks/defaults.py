"""What one line gives on M3 and M4: `NARXForecaster(horizon, season_length=m).fit(df)` beside naive and seasonal naive.

    .venv/bin/python benchmarks/defaults.py [--data DIR] [--only WORD] [--models]

Writes benchmarks/results/defaults.csv (a row per set and model), one thread. With `--models` it is networks and trees
by `NARXForecaster(horizon, model=..., season_length=m).fit(df)`, minutes, aimed at 3 % above what a recipe gives. The
rules behind the defaults were chosen on training rows; docs/defaults.md has them. Their test sets are scored here, and
only here.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path

import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from tsforce import Baseline, NARXForecaster
from tsforce.bench import get_threads, run, set_threads
from tsforce.datasets import load_competition

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "defaults.csv"
COLUMNS = ("set", "model", "owa", "smape", "mase", "cpu_s", "aim", "threads", "command", "versions")
PACKAGES = ("tsforce", "torch", "numpy", "pandas")
# OWA that was aimed at, set before it was measured.
AIMS = {
    ("m3", "yearly"): 0.96, ("m3", "quarterly"): 0.97, ("m3", "monthly"): 0.92, ("m3", "other"): 0.80,
    ("m4", "weekly"): 0.92,
}  # fmt: skip
# Of a family, beside it: 1.03 times the OWA of the recipe in `tsforce.bench.mode_recipes`.
MODELS = {("m4", "weekly"): ("trees", 0.814), ("m4", "yearly"): ("mlp", 0.816), ("m4", "hourly"): ("gru", 0.443)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="folder with the files; TSFORCE_DATA, else ../shared/data")
    arguments.add_argument("--only", default="", help="measure only sets with this in their name, such as m3-yearly")
    arguments.add_argument("--models", action="store_true", help="networks and trees in place of linear maps")
    given = arguments.parse_args()
    folder = given.data or Path(os.environ.get("TSFORCE_DATA") or REPOSITORY.parent / "shared" / "data")
    set_threads(1)
    versions = [f"python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)]
    for (competition, group), aim in (MODELS if given.models else AIMS).items():
        name = f"{competition}-{group}"
        if given.only not in name:
            continue
        data = load_competition(competition, group, folder if competition == "m4" else None)
        if isinstance(aim, tuple):
            kind, aim = aim
            model = HistGradientBoostingRegressor(random_state=0) if kind == "trees" else kind
            entries = [(kind, NARXForecaster(data.horizon, model=model, season_length=data.season_length), "auto")]
        else:
            model = NARXForecaster(data.horizon, season_length=data.season_length)
            entries = [("open_loop", model, "open_loop"), ("auto", model, "auto")]
            entries += [
                (method, Baseline(method, horizon=data.horizon, season_length=data.season_length), None)
                for method in ("naive", "seasonal_naive")
            ]
        scores = run(data, entries)
        scores["set"], scores["aim"], scores["threads"] = name, aim, get_threads()
        scores["cpu_s"] = (scores["fit_cpu_s"] + scores["predict_cpu_s"]).round(2)
        scores["command"] = shlex.join(["python", "benchmarks/defaults.py", *sys.argv[1:]])
        scores["versions"] = "; ".join(versions)
        rows = scores.reindex(columns=list(COLUMNS))
        print(rows[["set", "model", "owa", "aim", "cpu_s"]].to_string(index=False), flush=True)
        if RESULTS.exists():
            there = pd.read_csv(RESULTS)
            rows = pd.concat([there[(there["set"] != name) | ~there["model"].isin(rows["model"])], rows])
        rows.to_csv(RESULTS, index=False, float_format="%.5g", lineterminator="\n")


if __name__ == "__main__":
    main()
