"""Intervals of the plain call with inputs, beside AutoETS of statsforecast: coverage by third, width, MSIS.

    .venv/bin/python benchmarks/input_intervals.py [--data DIR] [--only vic-elec] [--inside] [--envs FOLDER]

Writes benchmarks/results/input-intervals.csv; sets, inputs and test windows are those of benchmarks/inputs.py. One
thread. `--inside` scores windows inside the training rows instead and writes nothing. AutoETS (if `--envs` names the
folder that benchmarks/peers/environments.sh has filled) is fitted anew at each cutoff, on the last 2,000 rows.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import inputs
import numpy as np
import pandas as pd
from intervals import bounds_of_peer
from keeping import command, in_place

from tsforce import AutoNARX, backtest
from tsforce.bench import get_threads, set_threads
from tsforce.scoring.interval_scores import covered, interval_score

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "input-intervals.csv"
LEVELS, ROWS = (80, 95), 2000


def main() -> None:
    arguments = inputs.arguments(__doc__)
    arguments.add_argument("--inside", action="store_true", help="windows inside the training rows; write nothing")
    arguments.add_argument("--envs", type=Path, help="folder that benchmarks/peers/environments.sh has filled")
    given = arguments.parse_args()
    set_threads(1)
    for name, task, df in inputs.chosen_sets(given):
        windows, step = (task.n_windows, task.step_size)
        if given.inside:
            df, (windows, step) = inputs.training_rows(df, task), task.validation
        rows = of_tsforce(name, task, df, windows, step)
        if given.envs:
            rows += of_auto_ets(name, task, df, windows, step, given.envs)
        table = pd.DataFrame(rows)
        print(table.drop(columns=["command"]).round(3).to_string(index=False), flush=True)
        if not given.inside:
            keep(table)


def of_tsforce(name: str, task: inputs.Task, df: pd.DataFrame, windows: int, step: int) -> list[dict[str, Any]]:
    """Return the rows of AutoNARX, fitted and calibrated once, before the first cutoff."""
    held_out = task.horizon + (windows - 1) * step
    train = df[df.groupby("unique_id").cumcount(ascending=False) >= held_out].reset_index(drop=True)
    model = AutoNARX(task.horizon, budget="fast", future_exog=list(task.inputs), alias="it")
    began = time.process_time()
    model.fit(train)
    frame = backtest(model, df, n_windows=windows, step_size=step, level=list(LEVELS)).frame
    seconds = time.process_time() - began
    return scored(name, "AutoNARX fast, inputs", task, train, frame, seconds)


def of_auto_ets(
    name: str, task: inputs.Task, df: pd.DataFrame, windows: int, step: int, envs: Path
) -> list[dict[str, Any]]:
    """Return the rows of AutoETS of one season, fitted at each cutoff."""
    parts, truth = [], []
    for series, own in df.groupby("unique_id", sort=False):
        y = own["y"].to_numpy()
        for back in range(windows - 1, -1, -1):
            end = len(y) - task.horizon - back * step
            seen = y[max(0, end - ROWS) : end]
            parts.append(pd.DataFrame({"unique_id": len(parts), "ds": np.arange(len(seen)), "y": seen}))
            truth.append(pd.DataFrame({"unique_id": series, "y": y[end : end + task.horizon]}))
    season = 48 if name == "vic-elec" else 24
    job = {"library": "statsforecast", "method": "AutoETS", "horizon": task.horizon, "season_length": season}
    bounds, seconds = bounds_of_peer(pd.concat(parts), job | {"levels": LEVELS}, envs)
    frame = pd.concat(truth, ignore_index=True)
    for column in bounds:
        frame[f"it-{column}"] = bounds[column].to_numpy()
    frame["horizon"] = np.tile(np.arange(1, task.horizon + 1), len(parts))
    held_out = task.horizon + (windows - 1) * step
    train = df[df.groupby("unique_id").cumcount(ascending=False) >= held_out]
    return scored(name, f"AutoETS, season {season}", task, train, frame, seconds)


def scored(
    name: str, label: str, task: inputs.Task, train: pd.DataFrame, frame: pd.DataFrame, seconds: float
) -> list[dict[str, Any]]:
    """Return a row for each level; widths and scores in seasonal-naive errors of the training rows."""
    scale = train.groupby("unique_id")["y"].agg(lambda y: y.diff(task.season_length).abs().mean())
    unit = frame["unique_id"].map(scale).to_numpy(dtype=float)
    rows = []
    for level in LEVELS:
        low, high = (frame[f"it-{side}-{level}"].to_numpy() for side in ("lo", "hi"))
        inside = covered(frame["y"], low, high)
        third = (frame["horizon"].to_numpy() - 1) * 3 // task.horizon
        shares = [float(np.nanmean(inside[third == k])) for k in range(3)]
        rows.append(
            {
                "set": name, "model": label, "level": level, "windows": len(frame) // task.horizon,
                **dict(zip(("first_third", "second_third", "last_third"), shares, strict=True)),
                "width": float(np.nanmean((high - low) / unit)),
                "msis": float(np.nanmean(interval_score(frame["y"], low, high, level / 100) / unit)),
                "cpu_s": round(seconds, 1), "threads": get_threads(),
                "command": command(),
            }
        )  # fmt: skip
    return rows


def keep(table: pd.DataFrame) -> None:
    """Write rows into the csv, in the place of older ones of the same set, model and level."""
    table = in_place(RESULTS, table, ["set", "model", "level"])
    table.to_csv(RESULTS, index=False, float_format="%.5g", lineterminator="\n")


if __name__ == "__main__":
    main()
