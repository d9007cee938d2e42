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
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# Differences at which mlforecast's and skforecast's regressors are tried where the season is not one of the file.
SEASONS = {"m4-weekly": 52, "m4-hourly": 24}


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
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    packages = PACKAGES[library]
    told = {
        "cpu_s": round(seconds, 2), "peak_mb": round(peak / 1024), "settings": said,
        "versions": "; ".join(
            [f"python {platform.python_version()}", *(f"{one} {importlib.metadata.version(one)}" for one in packages)]
        ),
    }  # fmt: skip
    Path(job["told"]).write_text(json.dumps(told))


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


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
    """One regressor for all series: differences and scale are those that did best on the last horizon of the rows."""
    from mlforecast import MLForecast
    from mlforecast.target_transforms import Differences, LocalStandardScaler

    h, m = job["horizon"], SEASONS.get(job["set"], job["season_length"])

    def forecast(rows: pd.DataFrame, difference: int, scaled: bool) -> pd.DataFrame:
        transforms = [Differences([difference])] + [LocalStandardScaler()] * scaled
        model = MLForecast(
            {"model": regressor(name)}, freq=1, lags=lags_of(m, job), target_transforms=transforms, num_threads=1
        )
        model.fit(rows, static_features=[])
        return tidy(model.predict(h), "model")

    options = [(d, scaled) for d in sorted({1, m}) for scaled in (False, True)]
    best = chosen(frame, h, m, options, forecast)
    said = f"lags={lags_of(m, job)}, Differences([{best[0]}])" + ", LocalStandardScaler()" * best[1]
    return forecast(frame, *best), f"{said}; the best of {len(options)}"


def skforecast(frame: pd.DataFrame, name: str, job: dict[str, Any]) -> tuple[pd.DataFrame, str]:
    """One regressor for all series, which end at the same stamp here: it forecasts no others."""
    from skforecast.recursive import ForecasterRecursiveMultiSeries

    h, m = job["horizon"], SEASONS.get(job["set"], job["season_length"])

    def forecast(rows: pd.DataFrame, difference: int, scaled: bool) -> pd.DataFrame:
        del scaled  # its scaler is on by default, and there is one order of differences
        longest = rows.groupby("unique_id", observed=True).size().max()
        series = {
            one: pd.Series(y, pd.RangeIndex(longest - len(y), longest), name=one)
            for one, y in ((key, part["y"].to_numpy(float)) for key, part in rows.groupby("unique_id", sort=False))
        }
        model = ForecasterRecursiveMultiSeries(
            regressor(name), lags=lags_of(m, job), encoding=None, differentiation=difference or None
        )
        model.fit(series=series, suppress_warnings=True)
        came = model.predict(steps=h, suppress_warnings=True)
        out = came.rename_axis("ds").reset_index().rename(columns={"level": "unique_id"})
        return tidy(out, "pred")

    options = [(0, True), (1, True)]
    best = chosen(frame, h, m, options, forecast)
    return forecast(frame, *best), f"lags={lags_of(m, job)}, differentiation={best[0] or None}; the best of 2"


def regressor(name: str) -> Any:
    """Return LightGBM or least squares, everything else by default."""
    if name == "LightGBM":
        from lightgbm import LGBMRegressor

        return LGBMRegressor(n_jobs=1, verbosity=-1, random_state=0)
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def lags_of(m: int, job: dict[str, Any]) -> list[int]:
    """Return one season of lags, or as many as the shortest series of the file without one bear."""
    if job["set"] == "m4-hourly":
        return [*range(1, 25), 48, 72, 96, 120, 144, 168]
    return list(range(1, 14 if job["set"] == "m4-weekly" else max(m, 4) + 1))


def chosen(frame: pd.DataFrame, h: int, m: int, options: list[Any], forecast: Any) -> Any:
    """Return the option of lowest mean scaled error on the last `h` rows of each series that is long enough."""
    left = frame.groupby("unique_id", observed=True).cumcount(ascending=False)
    rows = frame[left >= h]
    enough = rows.groupby("unique_id", observed=True)["y"].transform("size") >= 2 * m + 7
    rows = rows[enough].reset_index(drop=True)
    if rows.empty:  # the five series before the clock starts may all be short
        return options[0]
    truth = tidy(frame[(left < h) & frame["unique_id"].isin(rows["unique_id"])], "y").set_index(["unique_id", "step"])
    moves = rows.groupby("unique_id", observed=True)["y"].diff(m).abs()
    scale = moves.groupby(rows["unique_id"], observed=True).mean()
    scale = scale[scale > 0]
    errors = []
    for option in options:
        came = forecast(rows, *option).set_index(["unique_id", "step"])
        wrong = (came["yhat"] - truth["yhat"]).abs().groupby("unique_id").mean()
        errors.append((wrong / scale).mean())
    return options[int(np.nanargmin(errors))]


FORECASTS = {"tsforce": tsforce, "statsforecast": statsforecast, "mlforecast": mlforecast, "skforecast": skforecast}
PACKAGES = {
    "tsforce": ("tsforce", "torch", "numpy", "pandas"),
    "statsforecast": ("statsforecast", "coreforecast", "numpy", "pandas"),
    "mlforecast": ("mlforecast", "coreforecast", "lightgbm", "scikit-learn", "numpy", "pandas"),
    "skforecast": ("skforecast", "lightgbm", "scikit-learn", "numba", "numpy", "pandas"),
}

if __name__ == "__main__":
    main()
