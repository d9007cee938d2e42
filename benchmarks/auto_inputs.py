"""AutoNARX on few long series and with inputs: one plain call for every set, scored once on the test windows.

    .venv/bin/python benchmarks/auto_inputs.py [--data DIR] [--only WORD] [--budgets fast,balanced]

Writes benchmarks/results/auto-inputs.csv (a row per set and model; a rerun replaces its own rows), seasonal naive
beside. One thread. The call is ``AutoNARX(horizon, budget=..., future_exog=...)``: no set has a setting of its own but
the names of its inputs, and season_length where stamps are whole numbers. Sets with inputs, and their windows, are
those of benchmarks/inputs.py, with whose rows (perceptrons and linear maps set by hand, recursive LightGBM) these can
be compared; inputs over the horizon are the observed ones there too.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import inputs
import numpy as np
import pandas as pd

from tsforce import AutoNARX, Baseline, backtest
from tsforce.bench import set_threads

RESULTS = inputs.RESULTS.with_name("auto-inputs.csv")
COLUMNS = (
    "set", "model", "horizon", "n_series", "windows", "mae", "mse", "mase", "season_length", "fit_cpu_s",
    "predict_cpu_s", "season_lengths", "heard_most", "threads", "command", "versions",
)  # fmt: skip


@dataclass(frozen=True)
class Set:
    """What is forecast: training rows end at the first cutoff, or after `learnt` rows of each series."""

    load: Callable[[Path], pd.DataFrame]
    horizon: int
    season_length: int  # of the seasonal naive forecast and of MASE
    n_windows: int
    step_size: int
    learnt: int | None = None
    inputs: tuple[str, ...] = field(default=())

    def training_rows(self, df: pd.DataFrame) -> pd.DataFrame:
        rows = df.groupby("unique_id")
        if self.learnt is not None:
            return df[rows.cumcount() < self.learnt].reset_index(drop=True)
        held_out = self.horizon + (self.n_windows - 1) * self.step_size
        return df[rows.cumcount(ascending=False) >= held_out].reset_index(drop=True)


def load_ett_h1(folder: Path) -> pd.DataFrame:
    """Return ETTh1's seven variables, each a series, standardised by the 8640 training hours; train to test.

    The usual split: 8640, 2880 and 2880 hours. Squares are means over all variables and all windows, as published
    figures are. AutoNARX chooses inside the training hours and never sees the 2880 of validation but as history.
    """
    raw = inputs.read(folder, "ett-h1.parquet").iloc[: 8640 + 2 * 2880]
    values = raw.drop(columns="date")
    learnt = values.iloc[:8640]
    scaled = (values - learnt.mean()) / learnt.std(ddof=0)
    long = scaled.assign(ds=pd.to_datetime(raw["date"])).melt("ds", var_name="unique_id", value_name="y")
    return long[["unique_id", "ds", "y"]]


def load_electricity_weekly(folder: Path) -> pd.DataFrame:
    """Return 321 weekly consumptions of 156 weeks; stamps are whole numbers."""
    parts = [inputs.read(folder, f"electricity-weekly-{part}.parquet") for part in ("train", "test")]
    df = pd.concat(parts, ignore_index=True).astype({"unique_id": str})
    return df.sort_values(["unique_id", "ds"], ignore_index=True)


def with_inputs(name: str) -> Set:
    """Return a set of benchmarks/inputs.py."""
    task = inputs.TASKS[name]
    return Set(task.load, task.horizon, task.season_length, task.n_windows, task.step_size, inputs=task.inputs)


SETS = {name: with_inputs(name) for name in ("bike-sharing", "vic-elec", "gefcom2012")} | {
    "electricity-weekly": Set(load_electricity_weekly, 8, 52, 1, 1),
    # Every window of the test hours.
    "ett-h1": Set(load_ett_h1, 96, 24, 2880 - 96 + 1, 1, learnt=8640),
}


def score(name: str, one: Set, df: pd.DataFrame, label: str, model: Any) -> dict[str, Any]:
    """Return the row of one model: fitted once, on the training rows."""
    train = one.training_rows(df)
    began = time.process_time()
    model.fit(train)
    fitted = time.process_time()
    result = backtest(model, df, n_windows=one.n_windows, step_size=one.step_size)
    done = time.process_time()
    errors = (result.frame["y"] - result.frame[model.name]).abs()
    by_series = errors.groupby(result.frame["unique_id"]).mean()
    season = one.season_length
    scale = train.groupby("unique_id")["y"].agg(lambda y: y.diff(season).abs().mean())
    board = getattr(model, "leaderboard_", None)
    heard = "" if board is None else board.sort_values("weight", ascending=False).head(3)
    return {
        "set": name, "model": label, "horizon": one.horizon, "n_series": len(by_series),
        "windows": one.n_windows * len(by_series), "mae": by_series.mean(), "mse": np.square(errors).mean(),
        "mase": (by_series / scale).mean(), "season_length": season, "fit_cpu_s": round(fitted - began, 2),
        "predict_cpu_s": round(done - fitted, 2),
        "season_lengths": " ".join(map(str, getattr(model, "season_lengths_", (season,)))),
        "heard_most": "" if board is None else "; ".join(
            f"{row.candidate} {row.weight:.2f}" for row in heard.itertuples()
        ),
        **inputs.describe(),
    }  # fmt: skip


def write(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the csv in the place of the one with the same set and model."""
    table = pd.DataFrame([row], columns=COLUMNS)
    if path.exists():
        old = pd.read_csv(path, keep_default_na=False)
        table = pd.concat([old[~((old["set"] == row["set"]) & (old["model"] == row["model"]))], table])
    order = {name: number for number, name in enumerate(SETS)}
    table = table.sort_values("set", key=lambda names: names.map(order), kind="stable")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    print({name: row[name] for name in ("set", "model", "mae", "mse", "mase", "fit_cpu_s", "heard_most")}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the parquet files; TSFORCE_DATA, else ../shared/data")
    parser.add_argument("--only", default="", help="sets whose name contains this: " + ", ".join(SETS))
    parser.add_argument("--budgets", default="fast", help="fast, balanced, accurate, joined by commas")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    folder = given.data or Path(os.environ.get("TSFORCE_DATA") or inputs.REPOSITORY.parent / "shared" / "data")
    chosen = {name: one for name, one in SETS.items() if given.only in name}
    if not chosen:
        sys.exit(f"--only {given.only!r} matches no set; there are {', '.join(SETS)}.")
    set_threads(1)
    for name, one in chosen.items():
        df = one.load(folder)[["unique_id", "ds", "y", *one.inputs]]
        naive = Baseline("seasonal_naive", horizon=one.horizon, season_length=one.season_length)
        write(given.out, score(name, one, df[["unique_id", "ds", "y"]], "seasonal naive", naive))
        for budget in given.budgets.split(","):
            # Whole-number stamps have no frequency that tells a season.
            season = one.season_length if pd.api.types.is_integer_dtype(df["ds"]) else None
            model = AutoNARX(one.horizon, season_length=season, budget=budget, future_exog=one.inputs)
            write(given.out, score(name, one, df, f"auto-{budget}", model))


if __name__ == "__main__":
    main()
