"""What a sample costs a model that is in use: streams, updates, and the fits that they stand in for.

CPU milliseconds of one thread, the median of several runs. Run ``python benchmarks/streaming.py``: it takes a minute,
and writes ``benchmarks/results/streaming.csv``.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import csv
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch

from tsforce import NARXForecaster

RUN = {
    "threads": 1,
    "versions": f"python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}",
    "command": "python benchmarks/streaming.py",
}
RESULTS = Path(__file__).parent / "results" / "streaming.csv"


def frame(rows: int, n_series: int = 1) -> pd.DataFrame:
    """Hours with a day, a drift and noise."""
    rng = np.random.default_rng(0)
    hours = np.arange(rows)
    y = 50 + 10 * np.sin(2 * np.pi * hours / 24) + 0.1 * rng.normal(size=(n_series, rows)).cumsum(axis=1)
    y = y + rng.normal(size=(n_series, rows))
    names = np.repeat([f"s{i}" for i in range(n_series)], rows)
    stamps = np.tile(pd.date_range("2024-01-01", periods=rows, freq="h"), n_series)
    return pd.DataFrame({"unique_id": names, "ds": stamps, "y": y.ravel()})


def milliseconds(run: Callable[[int], Any], times: int) -> float:
    """Return the median CPU time of a call, which is told its number."""
    run(0)
    spent = []
    for k in range(1, times + 1):
        start = time.process_time()
        run(k)
        spent.append(1e3 * (time.process_time() - start))
    return median(spent)


def main() -> None:
    """Time everything, print and write it."""
    rows: list[dict[str, Any]] = []

    def add(what: str, n_series: int, lags: int, horizon: int, value: float, beside: float | None = None) -> None:
        times = "" if beside is None else round(beside / value, 1)
        rows.append({
            "what": what, "series": n_series, "lags": lags, "horizon": horizon, "cpu_ms": round(value, 4),
            "times_less_than_a_fit": times, **RUN,
        })  # fmt: skip
        print(rows[-1], flush=True)

    for n_series, times in ((1, 2000), (1000, 30)):
        df = frame(300, n_series)
        model = NARXForecaster(12, 24, scope="local", mode="open_loop").fit(df)
        stream = model.stream()
        sample = df.groupby("unique_id", sort=False)["y"].last().to_numpy()

        def one(k: int, stream: Any = stream, sample: Any = sample) -> None:
            stream.observe(sample + 0.01 * k)
            stream.forecast()

        add("stream: observe and forecast", n_series, 24, 12, milliseconds(one, times))
        add("predict", n_series, 24, 12, milliseconds(lambda _, model=model: model.predict(), 20))
    for n_series, n_rows, lags, horizon, times in ((1, 960, 192, 48, 40), (1000, 300, 24, 12, 5)):
        df = frame(n_rows + times + 2, n_series)
        number = df.groupby("unique_id").cumcount()
        for ridge in ("auto", 10.0):
            maker = NARXForecaster(horizon, lags, scope="local", mode="open_loop", ridge=ridge)
            fit = milliseconds(lambda _, maker=maker, df=df, number=number, n=n_rows: maker.fit(df[number < n]), 3)
            add(f"fit, ridge={ridge!r}", n_series, lags, horizon, fit)
            model = maker.fit(df[number < n_rows])
            later = [df[number == n_rows + k] for k in range(times + 1)]
            update = milliseconds(lambda k, model=model, later=later: model.update(later[k]), times)
            add(f"update by a row of each series, ridge={ridge!r}", n_series, lags, horizon, update, fit)
            stream = maker.fit(df[number < n_rows]).stream(learn=True)
            samples = [later[k]["y"].to_numpy() for k in range(times + 1)]
            taken = milliseconds(lambda k, stream=stream, samples=samples: stream.observe(samples[k]), times)
            add(f"learning stream: observe, ridge={ridge!r}", n_series, lags, horizon, taken, fit)

            def both(k: int, stream: Any = stream, samples: Any = samples) -> None:
                stream.observe(samples[k])
                stream.forecast()

            told = milliseconds(both, times)
            add(f"learning stream: observe and forecast, ridge={ridge!r}", n_series, lags, horizon, told, fit)
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
