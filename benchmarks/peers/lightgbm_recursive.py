"""LightGBM, one step ahead and fed its own forecasts, on the sets, inputs, lags and windows of benchmarks/inputs.py.

    .venv/bin/pip install lightgbm
    .venv/bin/python benchmarks/peers/lightgbm_recursive.py [--data DIR] [--only WORD] [--choose]

Adds its rows (model "lightgbm recursive") to benchmarks/results/inputs.csv. Data, lags, inputs and windows come from
benchmarks/inputs.py; the lag matrix, the calendar, the loop and the scores are written here again, in numpy, without
tsforce. One regressor per series, as there, at LightGBM's defaults. Number of trees, raw target or logarithm, and how
the calendar is written (the very columns of tsforce, or plain numbers for hour and day of the week, which suit trees)
are those with the lowest error on the validation windows inside the training rows; `--choose` only prints that.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from inputs import Task, arguments, chosen_sets, describe, training_rows, write

try:
    import lightgbm
except ImportError:
    sys.exit("LightGBM is not installed, so nothing can be measured: .venv/bin/pip install lightgbm")

TREES = ({"n_estimators": 100}, {"n_estimators": 500, "learning_rate": 0.05})
TARGETS = ("raw", "log")
CALENDARS = ("columns", "numbers")


def calendar(stamps: pd.Series, names: Sequence[str], style: str) -> np.ndarray:
    """Return what stamps say, one row each, by the wall clock of their own zone."""
    day = (stamps.dt.hour + stamps.dt.minute / 60).to_numpy() / 24
    year = (stamps.dt.dayofyear - 1).to_numpy() + day
    weekday = stamps.dt.dayofweek.to_numpy()

    def waves(turns: np.ndarray, count: int) -> np.ndarray:
        return np.column_stack([wave(2 * np.pi * k * turns) for k in range(1, count + 1) for wave in (np.sin, np.cos)])

    columns = {
        "hourofweek": lambda: (weekday * 24 + stamps.dt.hour.to_numpy())[:, None] == np.arange(168),
        "timeofday": lambda: waves(day, 4),
        "dayofyear": lambda: waves(year / 365.25, 3),
    }
    if style == "numbers":
        columns["hourofweek"] = lambda: np.column_stack([24 * day, weekday])
    return np.concatenate([columns[name]().astype(float) for name in names], axis=1)


def forecast(
    one: pd.DataFrame, task: Task, cutoffs: np.ndarray, trees: dict[str, Any], target: str, style: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return closed-loop and one-step forecasts of one series, (cutoffs, horizon) each.

    The regressor learns from the rows up to the first cutoff.
    """
    lags = task.settings["lags"]
    lags = np.arange(1, lags + 1) if isinstance(lags, int) else np.array(lags)
    offsets = np.array(task.settings["exog_lags"])
    y = one["y"].to_numpy()
    first, reach = cutoffs[0], max(lags.max(), offsets.max())
    # Without a row that is not positive there is nothing to shift; as in tsforce.Log.
    low = y[: first + 1].min()
    shift = 0.0 if low > 0 else 1.0 - low
    z = np.log(y + shift) if target == "log" else y
    inputs = one[list(task.inputs)].to_numpy(dtype=float)
    stamped = calendar(one["ds"], task.settings["calendar"], style)

    def known(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([inputs[rows[:, None] - offsets].reshape(len(rows), -1), stamped[rows]], axis=1)

    rows = np.arange(reach, first + 1)
    model = lightgbm.LGBMRegressor(**trees, n_jobs=1, random_state=0, verbose=-1)
    model.fit(np.concatenate([z[rows[:, None] - lags], known(rows)], axis=1), z[rows])

    def step(past: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return model.booster_.predict(np.concatenate([past, known(rows)], axis=1), num_threads=1)

    steps = np.arange(1, task.horizon + 1)
    fed = z[cutoffs[:, None] + np.arange(1 - lags.max(), 1)]
    for h in steps:
        fed = np.concatenate([fed, step(fed[:, fed.shape[1] - lags], cutoffs + h)[:, None]], axis=1)
    ahead = (cutoffs[:, None] + steps).ravel()
    one_step = step(z[ahead[:, None] - lags], ahead).reshape(len(cutoffs), -1)
    both = fed[:, -task.horizon :], one_step
    return tuple(np.exp(f) - shift for f in both) if target == "log" else both


def errors(df: pd.DataFrame, task: Task, windows: tuple[int, int], *how: Any) -> dict[str, float]:
    """Return MAE, MASE and one-step MAE: means over windows and steps of each series, then over series."""
    n_windows, step_size = windows
    found = []
    for _, one in df.groupby("unique_id", sort=False):
        cutoffs = len(one) - 1 - task.horizon - step_size * np.arange(n_windows)[::-1]
        closed, one_step = forecast(one, task, cutoffs, *how)
        y = one["y"].to_numpy()
        truth = y[cutoffs[:, None] + np.arange(1, task.horizon + 1)]
        seen = y[: cutoffs[0] + 1]
        scale = np.abs(seen[task.season_length :] - seen[: -task.season_length]).mean()
        mae = np.abs(closed - truth).mean()
        found.append((mae, mae / scale, np.abs(one_step - truth).mean()))
    return dict(zip(("mae", "mase", "one_step_mae"), np.mean(found, axis=0).tolist(), strict=True))


def choose(name: str, task: Task, df: pd.DataFrame) -> tuple[Any, ...]:
    """Return the settings with the lowest closed-loop MAE on the validation windows inside the training rows."""
    train = training_rows(df, task)
    found = []
    for how in itertools.product(TREES, TARGETS, CALENDARS):
        began = time.process_time()
        mae = errors(train, task, task.validation, *how)["mae"]
        found.append((mae, how))
        cpu = time.process_time() - began
        print(f"{name}, lightgbm recursive, {how}: validation MAE {mae:.2f}, {cpu:.1f} CPU s", flush=True)
    return min(found, key=lambda pair: pair[0])[1]


def measure(given: argparse.Namespace) -> None:
    for name, task, df in chosen_sets(given):
        how = choose(name, task, df)
        if given.choose:
            continue
        began = time.process_time()
        scores = errors(df, task, (task.n_windows, task.step_size), *how)
        cpu = time.process_time() - began
        row = {
            "set": name, "model": "lightgbm recursive", "inputs": "yes", "horizon": task.horizon,
            "cutoffs": task.n_windows, "windows": task.n_windows * df["unique_id"].nunique(), **scores,
            "season_length": task.season_length, "cpu_s": round(cpu, 2),
            "settings": f"LGBMRegressor {how[0]}, target {how[1]}, calendar as {how[2]}, one per series",
        }  # fmt: skip
        write(given.out, row | describe("lightgbm") | {"threads": 1})


if __name__ == "__main__":
    measure(arguments(__doc__).parse_args())
