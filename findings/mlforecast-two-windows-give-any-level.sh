#!/usr/bin/env bash
# mlforecast 1.1.0, PredictionIntervals(n_windows=2), its default, and predict(level=[95, 99]).
# Guess: two errors a step support no such level (a rank of 3 x .95 is past the largest of them): a warning, or bounds no
# closer than the larger error.
# What comes: no warning; half widths lie between the two errors, inside one that was seen: at step 2 here 2.04 at 95 %
# and 2.16 at 99 %, where the model had been off by 2.19.
# In tsforce: ranks are never interpolated; too few errors are pooled over steps and series, which is said, and a level
# that they do not support has no bounds, with a warning that names the highest one that they do.
source "$(dirname "$0")/common.sh"
with mlforecast==1.1.0 pandas==2.3.3 numpy==2.3.5 scikit-learn==1.9.1
run <<'P'
import warnings

import mlforecast
import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.utils import PredictionIntervals
from sklearn.linear_model import LinearRegression

rows = pd.DataFrame({"unique_id": "a", "ds": range(120), "y": 100 + np.random.default_rng(0).normal(size=120).cumsum()})
model = MLForecast(models={"ar": LinearRegression()}, freq=1, lags=[1, 2])
with warnings.catch_warnings():
    warnings.simplefilter("error", UserWarning)
    model.fit(rows, prediction_intervals=PredictionIntervals(h=4))
    bounds = model.predict(4, level=[95, 99])

# The errors at the two cutoffs, made again by hand.
seen = []
for cutoff in (112, 116):
    again = MLForecast(models={"ar": LinearRegression()}, freq=1, lags=[1, 2]).fit(rows[:cutoff]).predict(4)["ar"]
    seen.append(np.abs(again.to_numpy() - rows["y"].to_numpy()[cutoff : cutoff + 4]))
smaller, larger = np.sort(seen, axis=0)
for level in (95, 99):
    half = (bounds[f"ar-hi-{level}"] - bounds["ar"]).to_numpy()
    print(mlforecast.__version__, level, "% half widths", half.round(2), "larger errors", larger.round(2))
    assert ((smaller < half) & (half < larger)).all()
assert mlforecast.__version__ == "1.1.0"
P
