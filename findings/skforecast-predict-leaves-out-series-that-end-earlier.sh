#!/usr/bin/env bash
# skforecast 0.26.0, ForecasterRecursiveMultiSeries on three daily series, one of which ends ten days before the others.
# Guess: forecast from its own end, or left out with a warning.
# What comes: predict(2) has two series, and no warning; named beside another (levels=["a", "b"]) the third is left out with
# one; named alone (levels=["b"]) it is forecast from its own end.
# In tsforce: each series is forecast from its own last row (tests/forecasting/test_kinds.py).
source "$(dirname "$0")/common.sh"
with skforecast==0.26.0 pandas==2.3.3 numpy==2.4.6 scikit-learn==1.9.1
run <<'P'
import warnings
import numpy as np
import pandas as pd
import skforecast
from skforecast.exceptions import IgnoredArgumentWarning
from skforecast.recursive import ForecasterRecursiveMultiSeries
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

rng, days = np.random.default_rng(1), pd.date_range("2026-01-01", periods=60, freq="D")
series = {name: pd.Series(rng.normal(size=60), days) for name in "abc"}
series["b"] = series["b"].iloc[:50]
model = ForecasterRecursiveMultiSeries(LinearRegression(), lags=7, transformer_series=StandardScaler())
model.fit(series=series)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    plain = model.predict(2)
    alone = model.predict(2, levels=["b"])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    named = model.predict(2, levels=["a", "b"])
print(skforecast.__version__, "all:", plain["level"].tolist(), "alone:", alone["level"].tolist(), str(alone.index[0].date()))
print("a and b:", named["level"].tolist(), [one.category.__name__ for one in caught])
assert plain["level"].tolist() == ["a", "c", "a", "c"]
assert alone["level"].tolist() == ["b", "b"] and alone.index[0] == days[50]
assert named["level"].tolist() == ["a", "a"]
assert any(one.category is IgnoredArgumentWarning for one in caught)
assert skforecast.__version__ == "0.26.0"
P
