"""What a step of exported C code takes, and how long the code is: rows for benchmarks/results/export.csv.

Command: ``python benchmarks/export_speed.py > benchmarks/results/export.csv`` (needs a C compiler, cc).
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from tsforce import Difference, Log, NARXForecaster
from tsforce.datasets import load
from tsforce.models import GRU, LSTM, MLP

STEPS = 1_000_000
MODELS = {
    "linear": "linear",
    "polynomial": "polynomial",
    "mlp (16 tanh)": MLP((16,), "tanh"),
    "gru (16)": GRU(16),
    "lstm (16)": LSTM(16),
}
TIMED = """
#include <stdio.h>
#include <time.h>
#include "model.h"
int main(void)
{
    model m;
    model_real y[1];
    long i;
    clock_t begin;
    model_init(&m);
    model_step(&m, y);
    begin = clock();
    for (i = 0; i < STEPS; i++) model_step(&m, y);
    printf("%g %g", (double)(clock() - begin) / CLOCKS_PER_SEC / STEPS * 1e6, (double)y[0]);
    return 0;
}
"""


def main() -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["model", "lags", "transforms", "dtype", "source_lines", "header_lines", "steps", "cpu_us_per_step"])
    df = load("airpassengers")
    for name, family in MODELS.items():
        for transforms in ((), (Log(), Difference(12))):
            settings = {"model": family, "mode": "open_loop", "scope": "local", "max_steps": 20}
            fitted = NARXForecaster(12, lags=24, target_transforms=transforms, **settings).fit(df)
            for dtype in ("float64", "float32"):
                with tempfile.TemporaryDirectory() as folder:
                    files = fitted.export(Path(folder) / "model.c", dtype=dtype)
                    (Path(folder) / "main.c").write_text(TIMED.replace("STEPS", str(STEPS)))
                    call = ["cc", "-std=c99", "-O2", "main.c", "model.c", "-lm", "-o", "timed"]
                    subprocess.run(call, cwd=folder, check=True)
                    took = min(
                        float(subprocess.run(["./timed"], cwd=folder, capture_output=True, text=True).stdout.split()[0])
                        for _ in range(5)
                    )
                    lines = [len(file.read_text().splitlines()) for file in files]
                used = " ".join(type(t).__name__ for t in transforms)
                rows.writerow([name, 24, used, dtype, *lines, STEPS, f"{took:.3f}"])


if __name__ == "__main__":
    main()
