"""What a saved model takes on the disk beside its weights: linear maps of 192 lags, one for each series of M4 hourly.

Run ``python benchmarks/saved_files.py``: it takes a minute, reads the group "hourly" of M4 (``TSFORCE_DATA``), and
writes ``benchmarks/results/saved_files.csv``.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import csv
import platform
import tempfile
from pathlib import Path

import numpy as np
import torch

from tsforce import NARXForecaster
from tsforce.datasets import load_competition

RESULTS = Path(__file__).parent / "results" / "saved_files.csv"
RUN = {
    "versions": f"python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}",
    "command": "python benchmarks/saved_files.py",
}


def main() -> None:
    """Measure, print and write it."""
    train = load_competition("m4", "hourly").train
    model = NARXForecaster(48, 192, scope="local", mode="open_loop", ridge=10.0).fit(train)
    weights = 8 * sum(p.numel() for p in model.model_.parameters())
    rows = []
    with tempfile.TemporaryDirectory() as room:
        for what, kept in (("last rows", False), ("all rows", True)):
            path = Path(room) / "model"
            model.save(path, training_rows=kept)
            size = path.stat().st_size
            rows.append({"rows_in_file": what, "bytes": size, "weights": weights, "ratio": round(size / weights, 3)})
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *RUN], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            print(row)
            writer.writerow({**row, **RUN})


if __name__ == "__main__":
    main()
