"""CPU seconds as series and rows become more: fit, predict, backtest and AutoNARX, to ``results/growth.csv``.

``OMP_NUM_THREADS=1 python benchmarks/growth.py`` takes drawn series of 60 months, of which there are a hundred to a
hundred thousand, and 20 series of a hundred to a hundred thousand steps without stamps; 12 steps ahead, each size in a
process of its own, in memory. ``--engine dask`` and ``--engine ray`` take a hundred to ten thousand series in 8
partitions on 2 workers (seconds of the clock there, the start of the workers left out). An exponent is the slope of a
line through the logarithms of the last three sizes; ``--plot FILE`` draws what the csv holds.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HORIZON, ROWS, SERIES = 12, 60, 20
RESULTS = Path(__file__).parent / "results" / "growth.csv"
DECADES = (100, 1_000, 10_000, 100_000)
# Of AutoNARX, the largest number of series, and of rows of each of 20 series: it takes minutes from there on.
LAST = {"series": 10_000, "rows": 10_000}
TASKS = ("fit", "predict", "backtest", "auto")


def drawn(series: int, rows: int):
    """Return random walks with a season, one after the other."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    y = 50 + rng.normal(size=(series, rows)).cumsum(axis=1) + 3 * np.sin(np.arange(rows) * np.pi / 6)
    stamps = np.arange(rows) if rows != ROWS else pd.date_range("1800-01-01", periods=rows, freq="MS").to_numpy()
    ids = np.repeat(np.char.add("s", np.char.zfill(np.arange(series).astype(str), 6)), rows)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(stamps, series), "y": y.ravel()})


def seconds(series: int, rows: int, engine: str) -> dict[str, float]:
    """Return what each task takes: CPU seconds, on an engine seconds of the clock."""
    from tsforce import AutoNARX, NARXForecaster, backtest

    df = drawn(series, rows)
    now = time.process_time if engine == "frame" else time.perf_counter
    data, computed = on_engine(df, engine)
    model = NARXForecaster(HORIZON, 13, scope="local", prior="smoothing", ridge=100.0)
    # What is imported or compiled once is no matter of size.
    NARXForecaster(HORIZON, 13, scope="local", prior="smoothing", ridge=100.0).fit(drawn(3, 60)).predict()
    found, began = {}, now()
    model.fit(data)
    found["fit"] = now() - began
    began = now()
    computed(model.predict())
    found["predict"] = now() - began
    if engine == "frame":
        began = now()
        backtest(model, df, n_windows=2)
        found["backtest"] = now() - began
        if series <= LAST["series"] and rows <= LAST["rows"]:
            began = now()
            AutoNARX(HORIZON, budget="fast").fit(df).predict()
            found["auto"] = now() - began
    return found


def on_engine(df, engine: str):
    """Return the data as an engine of 2 workers holds it, and what computes its forecasts."""
    if engine == "frame":
        return df, lambda ahead: ahead
    size = max(1, df["unique_id"].nunique() // 8) * ROWS
    parts = [df.iloc[i : i + size] for i in range(0, len(df), size)]
    if engine == "ray":
        import ray

        ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
        return ray.data.from_pandas(parts), lambda ahead: ahead.to_pandas()
    import dask
    import dask.dataframe as dd
    from distributed import Client

    Client(n_workers=2, threads_per_worker=1, dashboard_address=None)
    held = [dask.delayed(part, pure=False) for part in parts]
    return dd.from_delayed(held, meta=df[:0], verify_meta=False), lambda ahead: ahead.compute()


def exponent(rows: list[dict[str, str]]) -> float:
    """Return how seconds grow with the size: the slope through the logarithms of the last three sizes."""
    import numpy as np

    last = sorted(rows, key=lambda row: int(row["size"]))[-3:]
    sizes, took = ([np.log(float(row[name])) for row in last] for name in ("size", "seconds"))
    return float(np.polyfit(sizes, took, 1)[0])


def plot(rows: list[dict[str, str]], to: Path) -> None:
    """Draw seconds over sizes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, over in zip(axes, ("series", "rows"), strict=True):
        for task in TASKS:
            own = [r for r in rows if (r["engine"], r["over"], r["task"]) == ("frame", over, task)]
            if own:
                sizes, took = ([float(r[name]) for r in own] for name in ("size", "seconds"))
                axis.loglog(sizes, took, "o-", label=f"{task}: exponent {exponent(own):.2f}")
        axis.set_xlabel("series of 60 rows" if over == "series" else f"rows of each of {SERIES} series")
        axis.legend(fontsize=8)
    axes[0].set_ylabel("CPU seconds, one process")
    figure.tight_layout()
    figure.savefig(to, dpi=110)


def main() -> None:
    """Measure what is not yet in the table, or draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("frame", "dask", "ray"), default="frame")
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--inside", nargs=2, type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        print(json.dumps(seconds(*asked.inside, asked.engine)))
        return
    rows = list(csv.DictReader(RESULTS.open())) if RESULTS.exists() else []
    if asked.plot:
        plot(rows, asked.plot)
        return
    for over in ("series", "rows") if asked.engine == "frame" else ("series",):
        there = {int(row["size"]) for row in rows if (row["engine"], row["over"]) == (asked.engine, over)}
        for size in [one for one in DECADES if one <= asked.most and one not in there]:
            sizes = (size, ROWS) if over == "series" else (SERIES, size)
            command = [sys.executable, __file__, "--engine", asked.engine, "--inside", *map(str, sizes)]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(run.stdout.splitlines()[-1])
            load = round(os.getloadavg()[0], 1)
            new = [
                {
                    "engine": asked.engine,
                    "over": over,
                    "task": task,
                    "size": size,
                    "seconds": round(took, 3),
                    "load": load,
                }
                for task, took in found.items()
            ]
            rows += new
            print(new, flush=True)
            with RESULTS.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(new[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()
