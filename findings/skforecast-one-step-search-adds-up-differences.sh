#!/usr/bin/env bash
# skforecast 0.26.0, grid_search_forecaster with OneStepAheadFold for a forecaster with differentiation=1.
# Guess: the error of one step, in original units; that of a step of the differences is the same number.
# What comes: the predicted differences are added up from the end of the training rows, never set back to what was
# measured: each error holds all those before it. 1.48 instead of 0.70 here, and more the longer the test rows. Without
# differentiation the number is that of one step, so a search over both compares unlike numbers. The only warning is the
# general one, that one step is not many.
# In tsforce: searches are over closed-loop windows; differences of one step are undone on the measured row before.
source "$(dirname "$0")/common.sh"
with skforecast==0.26.0 pandas==2.3.3 numpy==2.3.5 scikit-learn==1.9.1
run <<'P'
import numpy as np
import pandas as pd
import skforecast
from skforecast.model_selection import OneStepAheadFold, grid_search_forecaster
from skforecast.recursive import ForecasterRecursive
from sklearn.linear_model import LinearRegression

n, start, n_lags = 72, 50, 12
rng = np.random.default_rng(1)
y = 100 + 10 * np.sin(np.arange(n) * np.pi / 6) + rng.normal(size=n).cumsum()
series = pd.Series(y, pd.date_range("2015-01-01", periods=n, freq="MS"), name="y")
found = grid_search_forecaster(
    ForecasterRecursive(LinearRegression(), lags=n_lags, differentiation=1), y=series,
    cv=OneStepAheadFold(initial_train_size=start, differentiation=1), param_grid={"fit_intercept": [True]},
    metric="mean_absolute_error", return_best=False, verbose=False, show_progress=False,
)
said = found["mean_absolute_error"].item()
change = np.diff(y)
lagged = np.column_stack([change[n_lags - k : len(change) - k] for k in range(1, n_lags + 1)])
now, rows = change[n_lags:], np.arange(n_lags + 1, n)
known = rows < start
predicted = LinearRegression().fit(lagged[known], now[known]).predict(lagged[~known])
one_step = np.abs(now[~known] - predicted).mean()
added_up = np.abs(y[start:] - (y[start - 1] + predicted.cumsum())).mean()
print(skforecast.__version__, f"said {said:.3f}; one step {one_step:.3f}; added up {added_up:.3f}")
assert skforecast.__version__ == "0.26.0"
assert np.isclose(said, added_up)
assert said > 1.5 * one_step
P
