"""What inputs are worth, closed loop: electricity demand and bicycle hire with and without weather and holidays.

    .venv/bin/python benchmarks/inputs.py [--data DIR] [--only WORD] [--choose]

Writes benchmarks/results/inputs.csv (a row per set and kind of inputs; a rerun replaces its own rows). One thread.
`--choose` scores the candidates below on windows inside the training rows instead, and writes nothing: that is how the
settings were found. benchmarks/peers/lightgbm_recursive.py adds LightGBM's rows.

Inputs over the horizon are the ones that were observed later: they stand for perfect weather forecasts, for every model
alike. Holidays and the calendar are known in advance anyway.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from keeping import command

from tsforce import Log, NARXForecaster, Training, backtest, fill_gaps
from tsforce.bench import get_threads, set_threads

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "inputs.csv"
COLUMNS = (
    "set", "model", "inputs", "horizon", "cutoffs", "windows", "mae", "mase", "season_length", "one_step_mae", "cpu_s",
    "threads", "settings", "command", "versions",
)  # fmt: skip
PACKAGES = ("tsforce", "torch", "numpy", "pandas")


# ---- the sets


def read(folder: Path, name: str) -> pd.DataFrame:
    """Return one of the files of ../shared/data."""
    path = folder / name
    if not path.exists():
        sys.exit(
            f"DATA MISSING: there is no {name} in {folder}, so nothing can be measured. Give the folder that holds it "
            f"with --data DIR or TSFORCE_DATA; its README.md says where the file comes from."
        )
    return pd.read_parquet(path)


def load_vic_elec(folder: Path) -> pd.DataFrame:
    """Return Victoria's half-hourly demand (MW), 2012 to 2014, by local time: one series."""
    raw = read(folder, "vic-elec.parquet")
    t = raw["temperature"]
    df = pd.DataFrame(
        {
            "unique_id": "vic-elec",
            "ds": raw["time_utc"].dt.tz_localize("UTC").dt.tz_convert("Australia/Melbourne"),
            "y": raw["demand"],
            "temperature": t,
            "heating": (18 - t).clip(lower=0),
            "cooling": (t - 20).clip(lower=0),
            "hot": (t - 28).clip(lower=0),
            "holiday": raw["holiday"].astype(float),
        }
    )
    # Buildings remember a day.
    for name in ("temperature", "cooling"):
        df[f"{name}_day"] = df[name].rolling(48, min_periods=1).mean()
    return df


def load_bike_sharing(folder: Path) -> pd.DataFrame:
    """Return Washington's hourly bicycle hires, 2011 and 2012: one series.

    165 of 17544 hours are absent, most of them at night: an hour without hires has no row in the source (35 of them
    in the hurricane of October 2012). They are filled with y = 0 and the weather of the hour before.
    """
    raw = read(folder, "bike-sharing-hour.parquet").rename(columns={"time": "ds", "cnt": "y"})
    raw.insert(0, "unique_id", "bike-sharing")
    df = fill_gaps(raw, freq="h", method=0)
    df["mist"], df["rain"] = (df["weathersit"] == 2).astype(float), (df["weathersit"] >= 3).astype(float)
    df["temp_squared"] = df["temp"] ** 2
    # Every day has a row, but an hour filled at its start says what the day before was.
    for name in ("holiday", "workingday"):
        df[name] = df.groupby(df["ds"].dt.normalize())[name].transform("last")
    return df


def load_gefcom2012(folder: Path) -> pd.DataFrame:
    """Return the hourly loads of GEFCom2012's 20 zones (load03 and load07 are the same).

    The stretch is the one after the last of the eight weeks that the competition held out (their loads are NaN):
    2006-11-29 01:00 to 2008-06-30 06:00, 13902 hours, if the first row is 2004-01-01 01:00. Inputs are made from the
    mean of the 11 stations (Fahrenheit): no file says which station is near which zone.
    """
    raw = read(folder, "gefcom2012-load.parquet")
    zones = [name for name in raw if name.startswith("load")]
    stamps = pd.Timestamp("2004-01-01 01:00") + pd.to_timedelta(raw["step"] - 1, unit="h")
    mean = raw[[name for name in raw if name.startswith("temp")]].astype(float).mean(axis=1)
    known = pd.DataFrame({"ds": stamps, "temperature": mean / 10})
    known["heating"], known["cooling"] = (60 - mean).clip(lower=0) / 10, (mean - 65).clip(lower=0) / 10
    for name in ("temperature", "heating", "cooling"):
        known[f"{name}_day"] = known[name].rolling(24, min_periods=1).mean()
    known["heating_squared"], known["cooling_squared"] = known["heating"] ** 2, known["cooling"] ** 2
    # What a degree costs depends on the time of day, which a linear map has to be told.
    angle = 2 * np.pi * stamps.dt.hour / 24
    for name in ("temperature", "heating", "cooling"):
        for wave, turns in ((np.sin, 1), (np.cos, 1), (np.sin, 2), (np.cos, 2)):
            known[f"{name}_{wave.__name__}{turns}"] = known[name] * wave(turns * angle)
    after = 1 + int(np.flatnonzero(raw[zones].isna().any(axis=1))[-1])
    return pd.concat(
        [known[after:].assign(unique_id=zone, y=raw[zone][after:].astype(float)) for zone in zones], ignore_index=True
    )


@dataclass(frozen=True)
class Task:
    """A set, its test windows (fixed before any was looked at), and the settings that `--choose` found.

    Test windows are the last `n_windows` of each series, `step_size` rows apart, so that they cover months, and every
    day of the week. Validation windows end where the first test cutoff is.
    """

    load: Callable[[Path], pd.DataFrame]
    horizon: int
    season_length: int
    n_windows: int
    step_size: int
    validation: tuple[int, int]  # windows and rows between them
    inputs: tuple[str, ...]
    settings: dict[str, Any]
    candidates: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def rows_held_out(self) -> int:
        """Rows of each series after its first test cutoff."""
        return self.horizon + (self.n_windows - 1) * self.step_size


def training_rows(df: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Return the rows up to the first test cutoff."""
    return df[df.groupby("unique_id").cumcount(ascending=False) >= task.rows_held_out].reset_index(drop=True)


PERCEPTRON = {
    "model": "mlp", "mode": "closed_loop", "scope": "local",
    "training": Training(validation=False, learning_rate=0.003),
}  # fmt: skip
SLOWER = {"training": Training(validation=False, learning_rate=0.001)}
BIKE_LAGS = (*range(1, 25), 48, 72, 96, 120, 144, 167, 168, 169)

TASKS = {
    # A year of test windows, nine days apart; two years of training rows.
    "vic-elec": Task(
        load_vic_elec, 48, 336, 40, 9 * 48, (20, 18 * 48),
        inputs=("temperature", "heating", "cooling", "hot", "temperature_day", "cooling_day", "holiday"),
        settings=PERCEPTRON | {
            "lags": (*range(1, 49), 96, 144, 192, 240, 288, 335, 336, 337), "exog_lags": (0, 1, 2, 3, 48, 336),
            "calendar": ("hourofweek", "timeofday", "dayofyear"), "target_transforms": (Log(),),
            "window_scaling": "standard", "ridge": 10.0,
        },
        candidates={
            "linear": {"model": "linear", "mode": "open_loop", "window_scaling": None},
            "linear, 336 lags": {"model": "linear", "mode": "open_loop", "window_scaling": None, "lags": 336},
            "ridge 100": {"ridge": 100.0},
            "learning rate .001": SLOWER,
            "no window scaling": {"window_scaling": None},
            "no Log": {"target_transforms": ()},
            "600 steps": {"max_steps": 600},
            "open loop": {"mode": "open_loop"},
            "curriculum": {"mode": "curriculum"},
        },
    ),
    # Four months of test windows, five days apart.
    "bike-sharing": Task(
        load_bike_sharing, 24, 168, 24, 5 * 24, (24, 5 * 24),
        inputs=("temp", "atemp", "hum", "windspeed", "mist", "rain", "temp_squared", "holiday", "workingday"),
        settings=PERCEPTRON | {
            "lags": BIKE_LAGS, "exog_lags": (0, 1, 2, 24), "calendar": ("hourofweek", "timeofday", "dayofyear"),
            "window_scaling": "standard", "ridge": 100.0,
        },
        candidates={
            "linear, Log": {
                "model": "linear", "mode": "open_loop", "window_scaling": None, "target_transforms": (Log(),)
            },
            "168 lags": {"lags": 168},
            "ridge 10": {"ridge": 10.0},
            "learning rate .001": SLOWER,
            "mean_abs": {"window_scaling": "mean_abs"},
            "no window scaling": {"window_scaling": None},
            "600 steps": {"max_steps": 600},
            "open loop": {"mode": "open_loop"},
            "curriculum": {"mode": "curriculum"},
        },
    ),
    # Half a year of test windows of a week each, two weeks apart; a year of training rows. A linear map per zone.
    "gefcom2012": Task(
        load_gefcom2012, 168, 168, 13, 14 * 24, (13, 14 * 24),
        inputs=(
            "temperature", "heating", "cooling", "temperature_day", "heating_day", "cooling_day", "heating_squared",
            "cooling_squared",
            *(f"{name}_{wave}" for name in ("temperature", "heating", "cooling")
              for wave in ("sin1", "cos1", "sin2", "cos2")),
        ),
        settings={
            "model": "linear", "mode": "open_loop", "scope": "local", "lags": 24, "exog_lags": (0, 1, 2, 24),
            "calendar": ("hourofweek",), "ridge": 10.0,
        },
        candidates={
            "Log": {"target_transforms": (Log(),)},
            "168 lags": {"lags": 168},
            "lags of the day and the week": {"lags": BIKE_LAGS},
            "ridge 1": {"ridge": 1.0},
            "ridge 100": {"ridge": 100.0},
            "inputs of the hour and 24 before it": {"exog_lags": (0, 24)},
            "inputs of the hour, 1 and 24 before it": {"exog_lags": (0, 1, 24)},
            "12 lags": {"lags": 12},
        },
    ),
}  # fmt: skip

# Column "inputs" -> which of a task's settings stay.
KINDS = {"yes": (), "no": ("future_exog", "exog_lags"), "no, nor calendar": ("future_exog", "exog_lags", "calendar")}


def forecaster(task: Task, kind: str = "yes", **other: Any) -> NARXForecaster:
    """Return the model of a task with all inputs, without, or without and blind to the calendar."""
    settings = task.settings | {"future_exog": task.inputs} | other
    # Nothing is left to settings that look at the data.
    scaling = "mean_abs" if settings.get("scope", "global") == "global" else None
    plain = {"scope": "global", "prior": "zero", "target_transforms": (), "window_scaling": scaling}
    kept = plain | {name: value for name, value in settings.items() if name not in KINDS[kind]}
    return NARXForecaster(task.horizon, season_length=task.season_length, **kept)


def read_columns(df: pd.DataFrame, model: NARXForecaster) -> pd.DataFrame:
    return df[["unique_id", "ds", "y", *model.future_exog]]


# ---- scores


def choose(name: str, task: Task, df: pd.DataFrame) -> None:
    """Print the closed-loop MAE of every candidate on windows inside the training rows."""
    train = training_rows(df, task)
    n_windows, step_size = task.validation
    for label, other in {"as set": {}, **task.candidates}.items():
        model = forecaster(task, **other)
        began = time.process_time()
        result = backtest(model, read_columns(train, model), n_windows=n_windows, step_size=step_size)
        cpu = time.process_time() - began
        print(f"{name}, {label}: validation MAE {result.scores()['mae'].iloc[0]:.2f}, {cpu:.1f} CPU s", flush=True)


def score(name: str, task: Task, df: pd.DataFrame, kind: str) -> dict[str, Any]:
    """Return the row of one model: fitted once, on the rows up to the first test cutoff."""
    model = forecaster(task, kind)
    frame = read_columns(df, model)
    train = training_rows(frame, task)
    began = time.process_time()
    model.fit(train)
    result = backtest(model, frame, n_windows=task.n_windows, step_size=task.step_size)
    cpu = time.process_time() - began
    scores = result.scores().iloc[0]
    # The same targets, each forecast from the row before it.
    before = result.frame[["unique_id", "ds"]].rename(columns={"ds": "cutoff"})
    before["cutoff"] -= train["ds"].iloc[1] - train["ds"].iloc[0]
    one_step = backtest(model, frame, horizon=1, cutoffs=before)
    return {
        "set": name, "model": f"NARX {task.settings['model']}, {task.settings['mode']}", "inputs": kind,
        "horizon": task.horizon, "cutoffs": task.n_windows, "windows": int(scores["n_windows"]), "mae": scores["mae"],
        "mase": scores["mase"], "season_length": task.season_length,
        "one_step_mae": one_step.scores()["mae"].iloc[0], "cpu_s": round(cpu, 2), "settings": repr(model),
    }  # fmt: skip


def describe(*packages: str) -> dict[str, Any]:
    """Return the columns that say how a row was made."""
    versions = "; ".join(f"{name} {importlib.metadata.version(name)}" for name in (*PACKAGES, *packages))
    return {
        "threads": get_threads(), "command": command(),
        "versions": f"python {platform.python_version()}; {versions}",
    }  # fmt: skip


def write(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the csv in the place of the one with the same set, model and inputs."""
    row = row | {"settings": " ".join(row["settings"].split())}
    table = pd.DataFrame([row], columns=COLUMNS)
    if path.exists():
        old = pd.read_csv(path)
        same = (old[["set", "model", "inputs"]] == [row["set"], row["model"], row["inputs"]]).all(axis=1)
        table = pd.concat([old[~same], table])
    order = {name: number for number, name in enumerate(TASKS)}
    table = table.sort_values("set", key=lambda names: names.map(order), kind="stable")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    print({name: row[name] for name in ("set", "model", "inputs", "mae", "mase", "one_step_mae", "cpu_s")}, flush=True)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return the arguments that this script and its peers share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the parquet files; TSFORCE_DATA, else ../shared/data")
    parser.add_argument("--only", default="", help="sets whose name contains this: " + ", ".join(TASKS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--choose", action="store_true", help="score candidates inside the training rows; write nothing"
    )
    return parser


def chosen_sets(given: argparse.Namespace) -> list[tuple[str, Task, pd.DataFrame]]:
    """Return name, task and frame of the sets that were asked for."""
    folder = given.data or Path(os.environ.get("TSFORCE_DATA") or REPOSITORY.parent / "shared" / "data")
    found = [(name, task) for name, task in TASKS.items() if given.only in name]
    if not found:
        sys.exit(f"--only {given.only!r} matches no set; there are {', '.join(TASKS)}.")
    return [(name, task, task.load(folder)) for name, task in found]


def main() -> None:
    given = arguments(__doc__).parse_args()
    set_threads(1)
    for name, task, df in chosen_sets(given):
        if given.choose:
            choose(name, task, df)
        else:
            for kind in KINDS:
                write(given.out, score(name, task, df, kind) | describe())


if __name__ == "__main__":
    main()
