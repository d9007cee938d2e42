"""Bounds of one library for all series of a parquet file; benchmarks/intervals.py starts it, in the peer's environment.

PYTHON benchmarks/peers/intervals_one.py JOB      # JOB: json, library, method, horizon, season_length, levels, room
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd


def main() -> None:
    job = json.loads(sys.argv[1])
    room, h, levels = Path(job["room"]), job["horizon"], list(job["levels"])
    frame = pd.read_parquet(room / "train.parquet")
    warnings.simplefilter("ignore")
    began = time.process_time()
    made = {"statsforecast": _statsforecast, "mlforecast": _mlforecast, "skforecast": _skforecast, "darts": _darts}
    found = made[job["library"]](frame, h, levels, job["season_length"], job["method"])
    seconds = time.process_time() - began
    found = found.sort_values(["unique_id", "ds"], kind="stable")
    named = {f"{side}-{level}": found[f"it-{side}-{level}"].to_numpy() for level in levels for side in ("lo", "hi")}
    pd.DataFrame(named).to_parquet(room / "out.parquet")
    print(seconds)


def _statsforecast(frame: Any, h: int, levels: list[int], m: int, method: str) -> Any:
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS

    return StatsForecast([AutoETS(season_length=m, alias="it")], freq=1, n_jobs=1).forecast(h=h, df=frame, level=levels)


def _mlforecast(frame: Any, h: int, levels: list[int], m: int, method: str) -> Any:
    from mlforecast import MLForecast
    from mlforecast.utils import PredictionIntervals
    from sklearn.linear_model import LinearRegression

    # Two windows, as by default.
    forecast = MLForecast({"it": LinearRegression()}, freq=1, lags=list(range(1, 13)), num_threads=1)
    forecast.fit(frame, static_features=[], prediction_intervals=PredictionIntervals(h=h))
    return forecast.predict(h, level=levels)


def _skforecast(frame: Any, h: int, levels: list[int], m: int, method: str) -> Any:
    from skforecast.recursive import ForecasterRecursive
    from sklearn.linear_model import LinearRegression

    def one(y: Any) -> dict[str, Any]:
        forecaster = ForecasterRecursive(LinearRegression(), lags=12)
        forecaster.fit(y.reset_index(drop=True), store_in_sample_residuals=True, suppress_warnings=True)
        found = {}
        for level in levels:
            sides = [(1 - level / 100) / 2, (1 + level / 100) / 2]
            bounds = forecaster.predict_interval(h, method=method.split()[-1], interval=sides, suppress_warnings=True)
            found |= {f"it-lo-{level}": bounds["lower_bound"], f"it-hi-{level}": bounds["upper_bound"]}
        return found

    return _each(frame, h, one)


def _darts(frame: Any, h: int, levels: list[int], m: int, method: str) -> Any:
    from darts import TimeSeries
    from darts.models import ConformalNaiveModel, LinearRegressionModel

    def one(y: Any) -> dict[str, Any]:
        series = TimeSeries.from_values(y.to_numpy())
        learnt = LinearRegressionModel(lags=12).fit(series[: len(series) * 3 // 4])
        sides = sorted({0.5, *((1 + sign * level / 100) / 2 for level in levels for sign in (-1, 1))})
        # All cutoffs of the last quarter calibrate.
        found = ConformalNaiveModel(learnt, quantiles=sides).predict(
            h, series=series, predict_likelihood_parameters=True
        )
        values = dict(zip(sides, found.values().T, strict=True))
        return {
            f"it-{side}-{level}": values[(1 + sign * level / 100) / 2]
            for level in levels
            for side, sign in (("lo", -1), ("hi", 1))
        }

    return _each(frame, h, one)


def _each(frame: Any, h: int, one: Any) -> Any:
    """Return the bounds of each series by itself."""
    parts = []
    for name, part in frame.groupby("unique_id", sort=False):
        bounds = {column: list(values) for column, values in one(part["y"]).items()}
        parts.append(pd.DataFrame(bounds).assign(unique_id=name, ds=range(h)))
    return pd.concat(parts)


if __name__ == "__main__":
    main()
