"""Bounds of one library for all series of a parquet file; benchmarks/intervals.py starts it, in the peer's environment.

PYTHON benchmarks/peers/intervals_one.py JOB      # JOB: json, library, horizon, season_length, levels, room
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import pandas as pd


def main() -> None:
    job = json.loads(sys.argv[1])
    room, h, levels = Path(job["room"]), job["horizon"], list(job["levels"])
    frame = pd.read_parquet(room / "train.parquet")
    warnings.simplefilter("ignore")
    began = time.process_time()
    if job["library"] == "statsforecast":
        from statsforecast import StatsForecast
        from statsforecast.models import AutoETS

        model = AutoETS(season_length=job["season_length"], alias="it")
        found = StatsForecast([model], freq=1, n_jobs=1).forecast(h=h, df=frame, level=levels)
    else:
        from mlforecast import MLForecast
        from mlforecast.utils import PredictionIntervals
        from sklearn.linear_model import LinearRegression

        # Two windows, as by default.
        forecast = MLForecast({"it": LinearRegression()}, freq=1, lags=list(range(1, 13)), num_threads=1)
        forecast.fit(frame, static_features=[], prediction_intervals=PredictionIntervals(h=h))
        found = forecast.predict(h, level=levels)
    seconds = time.process_time() - began
    found = found.sort_values(["unique_id", "ds"], kind="stable")
    named = {f"{side}-{level}": found[f"it-{side}-{level}"].to_numpy() for level in levels for side in ("lo", "hi")}
    pd.DataFrame(named).to_parquet(room / "out.parquet")
    print(seconds)


if __name__ == "__main__":
    main()
