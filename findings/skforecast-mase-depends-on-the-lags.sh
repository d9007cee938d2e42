#!/usr/bin/env bash
# skforecast 0.26.0, metric="mean_absolute_scaled_error" in a backtest: one constant forecast, more and more lags.
# Guess: the scale is the mean step of the training rows, so equal forecasts have equal MASE.
# What comes: the first max(lags) training rows are left out of the scale. A series that rises and then stays level gives
# the same forecasts a MASE of 0.24 with one lag and 2.18 with 24; a search over lags compares unlike numbers.
# In tsforce: the scale is that of a series' rows up to its first cutoff, the same for every model.
source "$(dirname "$0")/common.sh"
with skforecast==0.26.0 pandas==2.3.3 numpy==2.3.5 scikit-learn==1.9.1
run <<'P'
import numpy as np
import pandas as pd
import skforecast
from skforecast.model_selection import TimeSeriesFold, backtesting_forecaster
from skforecast.recursive import ForecasterRecursive
from sklearn.dummy import DummyRegressor

rng = np.random.default_rng(1)
values = np.r_[np.linspace(0, 200, 20), 200 + rng.normal(size=40)]
y = pd.Series(values, pd.date_range("2015-01-01", periods=60, freq="MS"), name="y")
constant = DummyRegressor(strategy="constant", constant=201.0)
mae, mase = [], []
for lags in (1, 6, 18, 24):
    metric, _ = backtesting_forecaster(
        ForecasterRecursive(constant, lags=lags), y=y, cv=TimeSeriesFold(steps=3, initial_train_size=40),
        metric=["mean_absolute_error", "mean_absolute_scaled_error"], show_progress=False,
    )
    mae.append(metric.iloc[0, 0])
    mase.append(metric.iloc[0, 1])
    assert np.isclose(mase[-1], mae[-1] / np.abs(np.diff(values[lags:40])).mean())
print(skforecast.__version__, "MAE", np.round(mae, 3), "MASE for 1, 6, 18, 24 lags", np.round(mase, 2))
assert skforecast.__version__ == "0.26.0"
assert np.ptp(mae) == 0
assert mase[-1] > 9 * mase[0]
P
