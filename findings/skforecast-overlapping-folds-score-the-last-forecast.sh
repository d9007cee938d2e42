#!/usr/bin/env bash
# skforecast 0.26.0, backtesting_forecaster with TimeSeriesFold(steps=6, fold_stride=1): six steps from each of 20 cutoffs.
# Guess: the metric is over all forecasts that come back, steps 1 to 6 alike.
# What comes: the frame holds them all, but of each stamp only the forecast of the latest cutoff enters the metric. With
# fold_stride=1 that is the error of one step, whatever steps= says: 0.89 where all forecasts have 1.92.
# In tsforce: every window and step counts, whatever step_size= is.
source "$(dirname "$0")/common.sh"
with skforecast==0.26.0 pandas==2.3.3 numpy==2.3.5 scikit-learn==1.9.1
run <<'P'
import numpy as np
import pandas as pd
import skforecast
from skforecast.model_selection import TimeSeriesFold, backtesting_forecaster
from skforecast.recursive import ForecasterRecursive
from sklearn.linear_model import LinearRegression

rng = np.random.default_rng(1)
y = pd.Series(rng.normal(size=60).cumsum(), pd.date_range("2015-01-01", periods=60, freq="MS"), name="y")
print(skforecast.__version__)
for stride in (1, 3, 6):
    fold = TimeSeriesFold(steps=6, initial_train_size=40, fold_stride=stride)
    metric, frame = backtesting_forecaster(
        ForecasterRecursive(LinearRegression(), lags=2), y=y, cv=fold, metric="mean_absolute_error", show_progress=False
    )
    said = metric.iloc[0, 0]
    error = np.abs(y[frame.index].to_numpy() - frame["pred"].to_numpy())
    latest = ~frame.index.duplicated(keep="last")
    step = frame.groupby("fold").cumcount() + 1
    print(f"stride {stride}: said {said:.3f}; all forecasts {error.mean():.3f}; steps in it {sorted(set(step[latest]))}")
    assert np.isclose(said, error[latest].mean())
    if stride == 1:
        assert set(step[latest]) == {1}
        assert error.mean() > 1.2 * said
    if stride == 6:
        assert np.isclose(said, error.mean())
assert skforecast.__version__ == "0.26.0"
P
