"""Other libraries' forecasts of the M3 and two groups of the M4 beside AutoNARX(budget="fast"): results/peers.csv.

    benchmarks/peers/environments.sh ENVS
    .venv/bin/python benchmarks/peers/side_by_side.py --envs ENVS [--only "m3-other AutoETS"] [--data DIR]

Every model runs in a process of its own, one after the other, on one thread, from the same training rows; the
forecasts come back in a file and are scored here, all by the same functions. Rows of the csv that are made again are
replaced.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsforce import Baseline
from tsforce.datasets import Competition, load_competition
from tsforce.scoring.metrics import mae, owa, seasonal_naive_scale, smape

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "peers.csv"
COLUMNS = (
    "set", "n_series", "library", "model", "owa", "smape", "mase", "cpu_s", "peak_mb", "by_naive2", "status",
    "settings", "threads", "command", "versions",
)  # fmt: skip
SETS = ("m3-other", "m3-yearly", "m3-quarterly", "m3-monthly", "m4-weekly", "m4-hourly")
MODELS = (
    ("tsforce", "AutoNARX"), ("statsforecast", "DynamicOptimizedTheta"), ("statsforecast", "AutoTheta"),
    ("statsforecast", "AutoCES"), ("statsforecast", "AutoETS"), ("statsforecast", "AutoARIMA"),
    ("mlforecast", "linear"), ("mlforecast", "LightGBM"), ("skforecast", "linear"), ("skforecast", "LightGBM"),
    ("neuralforecast", "NHITS"), ("autogluon", "medium_quality"),
)  # fmt: skip
ENVIRONMENTS = {
    "statsforecast": "nixtla", "mlforecast": "nixtla", "skforecast": "skforecast", "neuralforecast": "neuralforecast",
    "autogluon": "autogluon",
}  # fmt: skip
# Models that take minutes run on some sets alone; AutoARIMA takes an hour and more elsewhere.
ONLY_ON = {
    "AutoARIMA": ("m3-other", "m3-yearly"), "NHITS": ("m3-monthly", "m4-weekly"),
    "medium_quality": ("m3-monthly", "m4-weekly"),
}  # fmt: skip
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NIXTLA")} | {
    "NIXTLA_ID_AS_COL": "1",
    "HF_HUB_OFFLINE": "1",
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--envs", type=Path, required=True, help="folder that environments.sh has filled")
    arguments.add_argument("--data", type=Path, help="folder with the M4 files; TSFORCE_DATA, else ../shared/data")
    arguments.add_argument("--only", default="", help="rows in whose set, library and model all these words stand")
    arguments.add_argument("--limit", type=int, default=600, help="seconds on the clock after which a model is stopped")
    given = arguments.parse_args()
    folder = given.data or Path(os.environ.get("TSFORCE_DATA") or REPOSITORY.parent / "shared" / "data")
    for name in SETS:
        todo = [
            one for one in MODELS
            if all(word in ' '.join((name, *one)) for word in given.only.split())
            and name in ONLY_ON.get(one[1], SETS)
        ]  # fmt: skip
        if not todo:
            continue
        competition, group = name.split("-")
        data = load_competition(competition, group, folder if competition == "m4" else None)
        for library, model in todo:
            row = measured(name, data, library, model, given)
            print(name, library, model, row["owa"], f"{row['cpu_s']} CPU s", row["status"], flush=True)
            keep(row)


def measured(name: str, data: Competition, library: str, model: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the row of one model on one set."""
    h, m = data.horizon, data.season_length
    lengths = data.train.groupby("unique_id", sort=False, observed=True).size()
    indptr = np.concatenate([[0], np.cumsum(lengths.to_numpy())])
    truth = data.test["y"].to_numpy(float).reshape(-1, h)
    scale = seasonal_naive_scale(data.train["y"], indptr, m)
    reference = Baseline("naive2", season_length=m).fit(data.train).predict(h)["naive2"].to_numpy().reshape(-1, h)
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {
        "set": name, "n_series": len(truth), "library": library, "model": model, "threads": 1,
        "command": shlex.join(["python", "benchmarks/peers/side_by_side.py", *sys.argv[1:]]),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as room:
        paths = {what: str(Path(room) / f"{what}.parquet") for what in ("train", "out")}
        rows = data.train[["unique_id", "y"]].assign(unique_id=data.train["unique_id"].astype(str))
        rows.insert(1, "ds", rows.groupby("unique_id").cumcount() + 1)
        rows.to_parquet(paths["train"], index=False)
        job = Path(room) / "job.json"
        told = Path(room) / "told.json"
        job.write_text(
            json.dumps(
                {"set": name, "library": library, "model": model, "horizon": h, "season_length": m}
                | paths
                | {"told": str(told)}
            )
        )
        python = given.envs / ENVIRONMENTS[library] / "bin" / "python" if library in ENVIRONMENTS else sys.executable
        try:
            subprocess.run(
                [str(python), str(HERE / "forecast_one.py"), str(job)], check=True, timeout=given.limit,
                env=os.environ | ONE_THREAD, capture_output=True, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return row | {"status": f"stopped after {given.limit} s on the clock"}
        except subprocess.CalledProcessError as error:
            return row | {"status": "failed: " + error.stderr.strip().splitlines()[-1][:200]}
        came = pd.read_parquet(paths["out"]).pivot(index="unique_id", columns="step", values="yhat")
        row |= json.loads(told.read_text())
    yhat = came.reindex(lengths.index.astype(str)).to_numpy(float, copy=True)
    # A series with a step that the model did not forecast is Naive2's, and counted.
    absent = ~np.isfinite(yhat).all(axis=1)
    yhat[absent] = reference[absent]
    errors = smape(truth, yhat).mean(), (mae(truth, yhat) / scale).mean()
    naive2 = smape(truth, reference).mean(), (mae(truth, reference) / scale).mean()
    return row | {
        "owa": round(owa(*errors, *naive2), 4), "smape": round(errors[0], 3), "mase": round(errors[1], 4),
        "by_naive2": int(absent.sum()), "status": "ok",
    }  # fmt: skip


def keep(row: dict[str, Any]) -> None:
    """Write the row into the csv, in the place of an older one of the same set and model."""
    rows: list[dict[str, Any]] = []
    if RESULTS.exists():
        with RESULTS.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    key = ("set", "library", "model")
    rows = [one for one in rows if any(str(one[k]) != str(row[k]) for k in key)] + [row]
    rows.sort(key=lambda one: (SETS.index(one["set"]), MODELS.index((one["library"], one["model"]))))
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
