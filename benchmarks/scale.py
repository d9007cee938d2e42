"""Parquet to Parquet: what a fit and the forecasts of many series cost where one partition is in memory at a time.

``OMP_NUM_THREADS=1 python benchmarks/scale.py --series 100000 --model smoothing`` draws a folder of random walks of 60
months (twelve steps ahead are forecast), fits it in a process of its own, and writes a row of
``results/scale.csv``: CPU seconds of the whole process, of `fit` and of the forecasts with their files, and the most
memory that was held. ``--engine frame`` reads the same folder as one frame; ``memory_before`` is what the interpreter,
the libraries and, of one frame, that frame take.

``python benchmarks/scale.py --wire`` writes ``results/scale-wire.csv``: the bytes for each series, pickled, that an
engine carries between its workers and who asks, of 10,000 series in four partitions, by model.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS, HORIZON, FILE = 60, 12, 50_000
RESULTS = Path(__file__).parent / "results" / "scale.csv"
MODELS = {
    "smoothing": {"lags": 13, "scope": "local", "prior": "smoothing", "ridge": 100.0},
    "default": {"scope": "local"},
    "one-map": {"lags": 13, "scope": "global", "mode": "open_loop", "ridge": 30.0},
}


def draw(folder: Path, series: int) -> None:
    """Write the folder: ids in order, a row group for each 10,000 series."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    stamps = pd.date_range("2019-01-01", periods=ROWS, freq="MS").to_numpy()
    for first in range(0, series, FILE):
        n = min(FILE, series - first)
        y = 50 + rng.normal(size=(n, ROWS)).cumsum(axis=1) + 3 * np.sin(np.arange(ROWS) * np.pi / 6)
        ids = np.char.add("s", np.char.zfill((first + np.arange(n)).astype(str), 7))
        table = pa.table({"unique_id": np.repeat(ids, ROWS), "ds": np.tile(stamps, n), "y": y.ravel()})
        pq.write_table(table, folder / f"{first // FILE:03d}.parquet", row_group_size=10_000 * ROWS)


def peak() -> float:
    """Return the most memory that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def now() -> float:
    """Return the memory that this process holds, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def measure(folder: Path, model: str, engine: str) -> dict[str, float]:
    """Return what a fit and its forecasts cost here."""
    import pandas as pd

    from tsforce import NARXForecaster

    forecaster = NARXForecaster(HORIZON, **MODELS[model])
    data = pd.read_parquet(folder) if engine == "frame" else folder
    before, start, wall = now(), time.process_time(), time.perf_counter()
    forecaster.fit(data)
    fitted = time.process_time()
    out = folder.parent / "forecasts"
    if engine == "frame":
        out.mkdir()
        forecaster.predict().to_parquet(out / "all.parquet")
    else:
        forecaster.predict().to_parquet(out)
    return {
        "cpu_s": time.process_time(), "fit_cpu_s": fitted - start, "predict_cpu_s": time.process_time() - fitted,
        "wall_s": time.perf_counter() - wall, "memory_before_mb": before, "peak_mb": peak(),
    }  # fmt: skip


def wire() -> None:
    """Write what a fit gets back from partitions, and what their forecasts are sent, in bytes for each series."""
    import pickle

    import pandas as pd

    from tsforce import NARXForecaster
    from tsforce.distributed import Frames

    class Weighed(Frames):
        """Frames whose answers are weighed."""

        told = 0

        def series_of(self, pieces, columns):
            found = super().series_of(pieces, columns)
            self.told += len(pickle.dumps(found))
            return found

        def map(self, work, some):
            for k, answer in super().map(work, some):
                self.told += len(pickle.dumps(answer)) + len(pickle.dumps(work))
                yield k, answer

    series, rows = 10_000, []
    with tempfile.TemporaryDirectory() as temporary:
        draw(Path(temporary), series)
        df = pd.read_parquet(temporary)
    size = len(df) // 4
    for model, settings in MODELS.items():
        data = Weighed([df.iloc[k * size : (k + 1) * size] for k in range(4)])
        ahead = NARXForecaster(HORIZON, **settings).fit(data).predict()
        sent = sum(len(pickle.dumps(ahead.work(k))) for k in range(4))
        weighed = {"model": model, "series": series, "rows_themselves": ROWS * 16, "fit": data.told, "predict": sent}
        rows.append({k: round(v / series, 1) if k in ("fit", "predict") else v for k, v in weighed.items()})
    with RESULTS.with_name("scale-wire.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(rows)


def main() -> None:
    """Measure, and put a row of it in the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--model", choices=MODELS, default="smoothing")
    parser.add_argument("--engine", choices=("folder", "frame"), default="folder")
    parser.add_argument("--wire", action="store_true")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.wire:
        wire()
        return
    if asked.inside:
        print(json.dumps(measure(asked.inside, asked.model, asked.engine)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "in")
        folder.mkdir()
        draw(folder, asked.series)
        again = [sys.executable, __file__, "--model", asked.model, "--engine", asked.engine, "--inside", str(folder)]
        found = json.loads(subprocess.run(again, check=True, capture_output=True, text=True).stdout)
    row = {"engine": asked.engine, "model": asked.model, "series": asked.series, "rows": ROWS}
    row |= {name: round(value, 1) for name, value in found.items()}
    keys = ("engine", "model", "series")
    old = list(csv.DictReader(RESULTS.open())) if RESULTS.exists() else []
    rows = [*(r for r in old if any(str(r[k]) != str(row[k]) for k in keys)), row]
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(row)


if __name__ == "__main__":
    main()
