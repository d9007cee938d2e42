"""Forecast one panel with one model and write what came, in whichever environment has its library.

    PYTHON benchmarks/peers/forecast_one.py JOB.json

`side_by_side.py` writes the job and starts this, one process at a time. The job names the model, the training rows (a
parquet file: unique_id, ds a whole number, y), horizon, season length and where the forecasts go (unique_id, step,
yhat). Beside them a json file holds CPU seconds and memory. What the first call of a library costs in a process is not
in the seconds: fit and forecast have run on five series before.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform
import resource
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

# Lags and the step of mlforecast's differences. Chosen after LightGBM's scores on two M3 test sets, so not blind; other
# recipes do better on other sets (docs/peers.md).
RECIPES = {
    "m3-other": (4, 1), "m3-yearly": (4, 1), "m3-quarterly": (8, 4), "m3-monthly": (24, 12), "m4-weekly": (53, 1),
    "m4-hourly": (168, 24),
}  # fmt: skip


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    frame = pd.read_parquet(job["train"])
    library, name = job["library"], job["model"]
    few = frame[frame["unique_id"].isin(frame["unique_id"].unique()[:5])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FORECASTS[library](few.reset_index(drop=True), name, job)
        began = cpu_seconds()
        yhat, said = FORECASTS[library](frame, name, job)
        seconds = cpu_seconds() - began
    yhat.to_parquet(job["out"])
    packages = PACKAGES[library]
    told = {
        "cpu_s": round(seconds, 2), "peak_mb": peak_mb(), "settings": said,
        "versions": "; ".join(
            [f"python {platform.python_version()}", *(f"{one} {importlib.metadata.version(one)}" for one in packages)]
        ),
    }  # fmt: skip
    Path(job["told"]).write_text(json.dumps(told))


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mb() -> int:
    """Return the largest memory of this process; getrusage has that of the process which started it, if larger."""
    words = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return round(int(words.split()[1]) / 1024)


def tidy(forecast: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the forecasts with the number of the step instead of the stamp."""
    forecast = forecast.sort_values(["unique_id", "ds"], kind="stable").reset_index(drop=True)
    step = forecast.groupby("unique_id", observed=True).cumcount() + 1
    return pd.DataFrame({"unique_id": forecast["unique_id"].astype(str), "step": step, "yhat": forecast[column]})


def tsforce(frame: pd.DataFrame, name: str, job: dict[str, Any]) -> tuple[pd.DataFrame, str]:
    """AutoNARX with nothing said but the budget and, where the file has a season, its length."""
    from tsforce import AutoNARX

    m = job["season_length"]
    model = AutoNARX(job["horizon"], budget="fast", season_length=m if m > 1 else None)
    return tidy(model.fit(frame).predict(), "AutoNARX"), f"budget='fast', season_length={m if m > 1 else None}"


def statsforecast(frame: pd.DataFrame, name: str, job: dict[str, Any]) -> tuple[pd.DataFrame, str]:
    """A model for each series; those that fail on a series are reported, not replaced."""
    from statsforecast import StatsForecast

    m = job["season_length"]
    model = getattr(importlib.import_module("statsforecast.models"), name)(season_length=m, alias=name)
    forecast = StatsForecast([model], freq=1, n_jobs=1).forecast(h=job["horizon"], df=frame)
    return tidy(forecast, name), f"season_length={m}"


def mlforecast(frame: pd.DataFrame, name: str, job: dict[str, Any]) -> tuple[pd.DataFrame, str]:
    """One regressor for all series, on differences at the season."""
    from mlforecast import MLForecast
    from mlforecast.target_transforms import Differences

    lags, difference = RECIPES[job["set"]]
    model = MLForecast(
        {"model": regressor(name)}, freq=1, lags=list(range(1, lags + 1)), num_threads=1,
        target_transforms=[Differences([difference])],
    )  # fmt: skip
    model.fit(frame, static_features=[])
    return tidy(model.predict(job["horizon"]), "model"), f"lags 1 to {lags}, Differences([{difference}])"


def skforecast(frame: pd.DataFrame, name: str, job: dict[str, Any]) -> tuple[pd.DataFrame, str]:
    """One regressor for all series, on first differences; all end at the same stamp here: it forecasts no others."""
    from skforecast.recursive import ForecasterRecursiveMultiSeries

    lags = RECIPES[job["set"]][0]
    longest = frame.groupby("unique_id", observed=True).size().max()
    series = {
        one: pd.Series(part["y"].to_numpy(float), pd.RangeIndex(longest - len(part), longest), name=one)
        for one, part in frame.groupby("unique_id", sort=False)
    }
    model = ForecasterRecursiveMultiSeries(regressor(name), lags=lags, encoding=None, differentiation=1)
    model.fit(series=series, suppress_warnings=True)
    came = model.predict(steps=job["horizon"], suppress_warnings=True)
    out = came.rename_axis("ds").reset_index().rename(columns={"level": "unique_id"})
    return tidy(out, "pred"), f"lags 1 to {lags}, differentiation=1"


def neuralforecast(frame: pd.DataFrame, name: str, job: dict[str, Any]) -> tuple[pd.DataFrame, str]:
    """One network for all series, on the CPU; a recipe that was set beforehand and scored once."""
    import logging

    from neuralforecast import NeuralForecast

    # It tells of its devices at every fit.
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    h = job["horizon"]
    model = getattr(importlib.import_module("neuralforecast.models"), name)(
        h=h, input_size=2 * h, scaler_type="standard", start_padding_enabled=True, random_seed=1, accelerator="cpu",
        devices=1, enable_progress_bar=False, enable_checkpointing=False, logger=False, alias=name,
    )  # fmt: skip
    forecaster = NeuralForecast([model], freq=1)
    forecaster.fit(frame)
    return tidy(forecaster.predict(), name), f"input_size={2 * h}, scaler_type='standard', start_padding_enabled=True"


def autogluon(frame: pd.DataFrame, name: str, job: dict[str, Any]) -> tuple[pd.DataFrame, str]:
    """A preset without the models whose weights it would download, chosen by MASE at the season of the set."""
    from autogluon.timeseries import TimeSeriesDataFrame, TimeSeriesPredictor

    freq, without = STAMPS[job["set"]], ["Chronos2", "Toto2"]
    # It takes dates alone.
    stamps = pd.date_range("1900-01-01", periods=int(frame["ds"].max()), freq=freq)
    rows = pd.DataFrame(
        {"item_id": frame["unique_id"], "timestamp": stamps[frame["ds"] - 1], "target": frame["y"].astype(float)}
    )
    with tempfile.TemporaryDirectory() as room:
        model = TimeSeriesPredictor(
            prediction_length=job["horizon"], freq=freq, path=room, verbosity=0, eval_metric="MASE",
            eval_metric_seasonal_period=job["season_length"],
        )  # fmt: skip
        data = TimeSeriesDataFrame.from_data_frame(rows)
        model.fit(data, presets=name, excluded_model_types=without, random_seed=0)
        came = model.predict(data).reset_index()
        members = ", ".join(model.model_names())
    out = came.rename(columns={"item_id": "unique_id", "timestamp": "ds"})
    return tidy(out, "mean"), f"excluded_model_types={without}; fitted: {members}"


def regressor(name: str) -> Any:
    """Return LightGBM or least squares, everything else by default."""
    if name == "LightGBM":
        from lightgbm import LGBMRegressor

        return LGBMRegressor(n_jobs=1, verbosity=-1, random_state=0)
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


STAMPS = {"m3-monthly": "ME", "m4-weekly": "W"}
FORECASTS = {
    "tsforce": tsforce, "statsforecast": statsforecast, "mlforecast": mlforecast, "skforecast": skforecast,
    "neuralforecast": neuralforecast, "autogluon": autogluon,
}  # fmt: skip
PACKAGES = {
    "tsforce": ("tsforce", "torch", "numpy", "pandas"),
    "statsforecast": ("statsforecast", "coreforecast", "numpy", "pandas"),
    "mlforecast": ("mlforecast", "coreforecast", "lightgbm", "scikit-learn", "numpy", "pandas"),
    "skforecast": ("skforecast", "lightgbm", "scikit-learn", "numba", "numpy", "pandas"),
    "neuralforecast": ("neuralforecast", "pytorch-lightning", "torch", "numpy", "pandas"),
    "autogluon": ("autogluon.timeseries", "statsforecast", "mlforecast", "lightgbm", "torch", "numpy", "pandas"),
}

if __name__ == "__main__":
    main()
