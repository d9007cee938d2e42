"""When the most likely path is the best forecast, and when it is not: chains whose future has several ways to go.

    .venv/bin/python benchmarks/likely_paths.py

Writes benchmarks/results/likely-paths.csv. 2,000 series of 200 rows of each chain; one perceptron with bins for all
(`head=Quantised`, one lag, open loop, 1,500 steps on all rows: nothing of a chain is to be held back from its law); six
steps are forecast from the end by the mean (`predict`), the median of 400
sample paths, the most likely path (beam search, width 16) and the greedy one (width 1). Scores: mean absolute error,
root mean square error, the share of series of which all six values came as said, and its standard error. `law_off` is
the largest difference of a transition's probability from the chain's.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tsforce import NARXForecaster, Training
from tsforce.bench import set_threads
from tsforce.models import MLP, Quantised
from tsforce.paths import path_quantiles

RESULTS = Path(__file__).resolve().parent / "results" / "likely-paths.csv"
H, SERIES, ROWS, SEED = 6, 2000, 200, 0
# Rows: from, columns: to.
CHAINS = {
    # On and off, each likely to last.
    "lasting": ((0.0, 10.0), ((0.9, 0.1), (0.15, 0.85))),
    # From 0 the likeliest step is to 5, after which anything may come; the way over 1 is all but certain afterwards.
    "crossroads": (
        (0.0, 1.0, 5.0, 9.0),
        ((0.0, 0.45, 0.55, 0.0), (0.95, 0.05, 0.0, 0.0), (0.3, 0.0, 0.3, 0.4), (0.35, 0.05, 0.3, 0.3)),
    ),
    # Up or down a step, about as likely: a walk between walls.
    "walk": (tuple(float(v) for v in range(7)), tuple(
        tuple(0.5 if abs(i - j) == 1 or (i == j and i in (0, 6)) else 0.0 for j in range(7)) for i in range(7)
    )),
}  # fmt: skip


def drawn(levels: tuple[float, ...], table: tuple[tuple[float, ...], ...], rng: np.random.Generator) -> pd.DataFrame:
    upto = np.cumsum(table, axis=1)
    state = rng.integers(0, len(levels), SERIES)
    seen = [state]
    for _ in range(ROWS + H - 1):
        state = (rng.random(SERIES)[:, None] > upto[state]).sum(axis=1)
        seen.append(state)
    values = np.asarray(levels)[np.stack(seen, axis=1)]
    names = [f"s{i:03d}" for i in range(SERIES)]
    return pd.DataFrame({
        "unique_id": np.repeat(names, ROWS + H), "ds": np.tile(np.arange(ROWS + H), SERIES), "y": values.ravel(),
    })  # fmt: skip


def law_off(
    model: NARXForecaster, train: pd.DataFrame, levels: tuple[float, ...], table: tuple[tuple[float, ...], ...]
) -> float:
    """Return the largest difference between a probability of the learnt law and of the chain."""
    worst = 0.0
    for own, row in zip(levels, table, strict=True):
        name = train[train["y"] == own].groupby("unique_id")["ds"].max().idxmax()
        rows = train[train["unique_id"] == name]
        history = rows[rows["ds"] <= rows[rows["y"] == own]["ds"].max()]
        found = model.most_likely_paths(len(levels), horizon=1, history=history)
        learnt = dict(zip(found["yhat"].round(6), np.exp(found["log_probability"]), strict=True))
        worst = max(worst, *(abs(learnt.get(level, 0.0) - p) for level, p in zip(levels, row, strict=True)))
    return float(worst)


def main() -> None:
    set_threads(1)
    rows = []
    for chain, (levels, table) in CHAINS.items():
        df = drawn(levels, table, np.random.default_rng(SEED))
        train = df[df["ds"] < ROWS]
        truth = df[df["ds"] >= ROWS]["y"].to_numpy().reshape(SERIES, H)
        start = time.process_time()
        model = NARXForecaster(
            H, [1], model=MLP(hidden=(32, 32), activation="tanh"), scope="global", head=Quantised(n_bins=len(levels)),
            target_transforms=[], window_scaling=None, max_steps=1500, mode="open_loop", alias="yhat",
            training=Training(learning_rate=0.01, validation=False),
        ).fit(train)  # fmt: skip
        fitted = time.process_time() - start
        off = law_off(model, train, levels, table)
        paths = model.sample_paths(400, random_state=SEED)
        found = {
            "mean (predict)": lambda m: m.predict()["yhat"],
            "median of sample paths": lambda _, p=paths: path_quantiles(p, [0.5]).iloc[:, -1],
            "most likely path": lambda m: m.most_likely_paths(1, width=16)["yhat"],
            "greedy path": lambda m: m.most_likely_paths(1, width=1)["yhat"],
        }
        for forecast, of in found.items():
            yhat = of(model).to_numpy().reshape(SERIES, H)
            error = yhat - truth
            whole = float((np.abs(error) < 1e-3).all(axis=1).mean())
            rows.append({
                "chain": chain, "forecast": forecast, "mae": round(float(np.abs(error).mean()), 4),
                "rmse": round(float(np.sqrt((error**2).mean())), 4),
                "whole_path": round(whole, 4), "whole_path_error": round((whole * (1 - whole) / SERIES) ** 0.5, 4),
                "law_off": round(off, 4), "n_series": SERIES, "fit_cpu_s": round(fitted, 1), "threads": 1, "seed": SEED,
                "command": "python benchmarks/likely_paths.py",
                "versions": f"python {platform.python_version()}; torch {importlib.metadata.version('torch')}",
            })  # fmt: skip
            print(rows[-1])
    pd.DataFrame(rows).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
