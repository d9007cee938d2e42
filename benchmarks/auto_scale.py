"""What AutoNARX(budget="fast") costs on many short series; writes benchmarks/results/auto-scale.csv.

    .venv/bin/python benchmarks/auto_scale.py [--series 100000] [--rows 100]

Monthly stamps, a trend, a season and noise of each series' own. One thread; CPU seconds of fit and of predict, and the
largest memory of the process, whose frame alone is in `frame_mb`.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import platform
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tsforce import AutoNARX
from tsforce.bench import set_threads

OUT = Path(__file__).parent / "results" / "auto-scale.csv"


def drawn(n_series: int, n_rows: int) -> pd.DataFrame:
    """Return the long frame of so many series."""
    rng = np.random.default_rng(0)
    t = np.arange(n_rows)
    level, slope = rng.uniform(50, 500, (n_series, 1)), rng.normal(0, 0.3, (n_series, 1))
    season = rng.uniform(0, 30, (n_series, 1)) * np.sin(2 * np.pi * (t / 12 + rng.random((n_series, 1))))
    noise = rng.normal(0, 5, (n_series, n_rows)) + rng.normal(0, 1, (n_series, n_rows)).cumsum(axis=1)
    y = np.maximum(level + slope * t + season + noise, 1.0)
    ds = pd.date_range("2015-01-01", periods=n_rows, freq="MS")
    ids = np.repeat(np.arange(n_series), n_rows)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(ds, n_series), "y": y.ravel()})


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=100_000)
    arguments.add_argument("--rows", type=int, default=100)
    given = arguments.parse_args()
    set_threads(1)
    df = drawn(given.series, given.rows)
    frame = df.memory_usage(deep=True).sum() / 2**20
    begun = time.process_time()
    model = AutoNARX(horizon=12, budget="fast").fit(df)
    fitted = time.process_time()
    forecast = model.predict()
    done = time.process_time()
    row = {
        "series": given.series,
        "rows": given.rows,
        "fit_cpu_s": round(fitted - begun, 1),
        "predict_cpu_s": round(done - fitted, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "frame_mb": round(frame),
        "n_members": len(model.members_),
        "threads": 1,
        "command": f"python benchmarks/auto_scale.py --series {given.series} --rows {given.rows}",
        "versions": f"python {platform.python_version()}; tsforce {importlib.metadata.version('tsforce')}",
    }
    assert len(forecast) == 12 * given.series
    print(row)
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
