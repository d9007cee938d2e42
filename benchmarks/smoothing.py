"""Theta and exponential smoothing of all M3 series side by side, beside statsmodels, which takes them one by one.

    .venv/bin/python benchmarks/smoothing.py [--only WORD] [--data DIR]

Writes benchmarks/results/smoothing.csv (a row per set and method): test scores, and CPU seconds from frame to frame on
one thread. statsmodels' rows are ThetaModel after Naive2's seasonal adjustment and the ETSModel of lowest AICc of six,
states by its heuristic: what Baseline("theta") and Baseline("ets") were before. About two CPU minutes, nearly all of
them statsmodels'.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import os
import platform
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tsforce import Baseline
from tsforce.bench import get_threads, set_threads
from tsforce.datasets import Competition, load_competition
from tsforce.scoring.metrics import mae, owa, seasonal_naive_scale, smape
from tsforce.scoring.naive import is_seasonal, seasonal_indices

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "smoothing.csv"
COLUMNS = ("set", "n_series", "by", "method", "owa", "smape", "mase", "cpu_s", "threads", "command", "versions")
PACKAGES = ("tsforce", "statsmodels", "numpy", "pandas")
SETS = [("m3", group) for group in ("other", "yearly", "quarterly", "monthly")] + [("m4", "yearly"), ("m4", "weekly")]
METHODS = ("theta", "dynamic_theta", "ets", "ets_combined", "ces")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="folder with the M4 files; TSFORCE_DATA, else ../shared/data")
    arguments.add_argument(
        "--only", default="", help="measure only what has this in set and method, such as 'm3 other' or ' ces'"
    )
    given = arguments.parse_args()
    folder = given.data or Path(os.environ.get("TSFORCE_DATA") or REPOSITORY.parent / "shared" / "data")
    set_threads(1)
    rows: list[dict[str, Any]] = []
    if RESULTS.exists():
        with RESULTS.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    for competition, group in SETS:
        name = f"{competition} {group}"
        data = load_competition(competition, group, folder if competition == "m4" else None)
        for row in measured(name, data, given.only, peers=competition == "m3"):
            rows = [old for old in rows if any(old[x] != row[x] for x in ("set", "by", "method"))] + [row]
    sets = [" ".join(one) for one in SETS]
    rows.sort(key=lambda row: (sets.index(row["set"]), row["by"] == "statsmodels"))
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def measured(name: str, data: Competition, only: str, *, peers: bool) -> list[dict[str, Any]]:
    """Return a row for each method; statsmodels' of the M3 alone, since those of the M4 would take an hour."""
    h, m = data.horizon, data.season_length
    lengths = data.train.groupby("unique_id", sort=False, observed=True).size().to_numpy()
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    truth = data.test["y"].to_numpy(float).reshape(-1, h)
    scale = seasonal_naive_scale(data.train["y"], indptr, m)
    y = data.train["y"].to_numpy(float)

    def ours(method: str) -> Callable[[], Any]:
        return lambda: Baseline(method, season_length=m).fit(data.train).predict(h)[method].to_numpy().reshape(-1, h)

    def theirs(one: Callable[[Any, int, int], Any]) -> Callable[[], Any]:
        windows = np.split(y, indptr[1:-1])
        return lambda: np.array([one(window, h, m) for window in windows])

    reference = ours("naive2")()
    naive2 = smape(truth, reference).mean(), (mae(truth, reference) / scale).mean()
    todo = [("tsforce", method, ours(method)) for method in METHODS]
    if peers:
        todo += [("statsmodels", "theta", theirs(one_theta)), ("statsmodels", "ets", theirs(one_ets))]
    rows = []
    for by, method, forecast in todo:
        if only not in f"{name} {by} {method}":
            continue
        began = time.process_time()
        yhat = forecast()
        seconds = time.process_time() - began
        # Where statsmodels has no answer, Naive2's is taken, as before.
        yhat = np.where(np.isfinite(yhat), yhat, reference)
        errors = smape(truth, yhat).mean(), (mae(truth, yhat) / scale).mean()
        row = {
            "set": name, "n_series": len(truth), "by": by, "method": method, "owa": round(owa(*errors, *naive2), 4),
            "smape": round(errors[0], 3), "mase": round(errors[1], 4), "cpu_s": round(seconds, 2),
            "threads": get_threads(), "command": shlex.join(["python", "benchmarks/smoothing.py", *sys.argv[1:]]),
            "versions": "; ".join(
                [f"python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)]
            ),
        }  # fmt: skip
        rows.append(row)
        print(name, by, method, row["owa"], f"{row['cpu_s']} CPU s", flush=True)
    return rows


def one_theta(y: Any, horizon: int, m: int) -> Any:
    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.forecasting.theta import ThetaModel

    indices, rows = np.ones(m), np.array([0, len(y)])
    if is_seasonal(y, rows, m)[0] and np.isfinite(found := seasonal_indices(y, rows, m)[0]).all():
        indices = found
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fitted = ThetaModel(y / np.resize(indices, len(y)), deseasonalize=False).fit()
        except ConvergenceWarning:
            return np.full(horizon, np.nan)
    return np.asarray(fitted.forecast(horizon)) * indices[(len(y) + np.arange(horizon)) % m]


def one_ets(y: Any, horizon: int, m: int) -> Any:
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    n, lowest, best = len(y), np.inf, np.full(horizon, np.nan)
    seasonal = m > 1 and n >= max(2 * m, 10 + 2 * (m // 2))
    for error, season in (("add", None), ("add", "add"), ("mul", "mul")):
        if season is not None and not (seasonal and (season == "add" or y.min() > 0)):
            continue
        for damped in (False, True):
            count = 3 + 3 * damped + (m if season else 0)
            if n - count - 1 <= 0:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = ETSModel(
                    y,
                    error=error,
                    trend="add" if damped else None,
                    damped_trend=damped,
                    seasonal=season,
                    seasonal_periods=m if season else None,
                    initialization_method="heuristic",
                ).fit(disp=False)
                yhat = np.asarray(fitted.forecast(horizon))
            criterion = -2 * fitted.llf + 2 * count + 2 * count * (count + 1) / (n - count - 1)
            if criterion < lowest and np.isfinite(yhat).all():
                lowest, best = criterion, yhat
    return best


if __name__ == "__main__":
    main()
