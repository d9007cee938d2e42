"""What sample paths cost: 414 series of the size of M4 hourly, 48 steps, 1,000 paths of each.

CPU seconds of one thread, from fitted models to the frame of 20 million rows. ``python benchmarks/sample_paths.py``
takes two minutes, and writes ``benchmarks/results/sample-paths.csv``. Figures are of drawn series: what they cost does
not depend on what they say.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tsforce import Baseline, NARXForecaster

RESULTS = Path(__file__).parent / "results" / "sample-paths.csv"
SERIES, ROWS, H, PATHS, SEED = 414, 700, 48, 1000, 0


def drawn() -> pd.DataFrame:
    """Hours with a day, a drift and noise."""
    rng = np.random.default_rng(SEED)
    y = 100 + 20 * np.sin(2 * np.pi * np.arange(ROWS) / 24) + rng.normal(size=(SERIES, ROWS))
    y = y + 0.5 * rng.normal(size=(SERIES, ROWS)).cumsum(axis=1)
    names = np.repeat([f"s{i}" for i in range(SERIES)], ROWS)
    return pd.DataFrame({"unique_id": names, "ds": np.tile(np.arange(ROWS), SERIES), "y": y.ravel()})


def main() -> None:
    """Time everything, print and write it."""
    df = drawn()
    models: dict[str, Any] = {
        "linear map per series": NARXForecaster(H, 48, scope="local", ridge=1.0, mode="open_loop"),
        "gru of 64, 48 lags": NARXForecaster(H, 48, model="gru", mode="open_loop", max_steps=2),
        "seasonal naive, errors at past cutoffs": Baseline("seasonal_naive", horizon=H, season_length=24),
    }
    rows = []
    for name, model in models.items():
        start = time.process_time()
        model.fit(df)
        fitted = time.process_time()
        paths = model.sample_paths(PATHS, random_state=SEED)
        spent = time.process_time() - fitted
        rows.append({
            "model": name, "series": SERIES, "rows_of_each": ROWS, "horizon": H, "paths": PATHS,
            "rows_written": len(paths), "fit_cpu_s": round(fitted - start, 2), "paths_cpu_s": round(spent, 2),
            "threads": 1, "load_average": round(os.getloadavg()[0], 1), "seed": SEED,
            "command": "python benchmarks/sample_paths.py",
            "versions": f"python {platform.python_version()}; numpy {np.__version__}; torch {torch.__version__}",
        })  # fmt: skip
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
