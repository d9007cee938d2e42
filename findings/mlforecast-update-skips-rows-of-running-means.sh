#!/usr/bin/env bash
# mlforecast 1.1.0 (the newest on the index on 2026-11-30), MLForecast.update and then predict, with lag_transforms that
# keep a running state: ExpandingMean, ExpandingStd, ExponentiallyWeightedMean.
# Guess: the forecasts are those of the same model given all rows by predict(new_df=...).
# What comes: as many rows as are new are skipped by the state. An expanding mean of a series that has moved from 0 to 10
# stays near 0, and a model that had learnt it forecasts from that; no warning. Rolling means are right: they are read from
# the rows. (Their tracker has it as 726, mended after this release.)
# In tsforce: features of the lag buffer are computed from its rows; update equals a fit on all rows
# (tests/forecasting/test_updates.py, test_streaming.py).
source "$(dirname "$0")/common.sh"
with mlforecast==1.1.0 coreforecast==0.0.20 utilsforecast==0.2.17 pandas==2.3.3 numpy==2.4.6 scikit-learn==1.9.1
run <<'P'
import warnings
from importlib.metadata import version
import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, ExponentiallyWeightedMean, RollingMean
from sklearn.base import BaseEstimator, RegressorMixin


class Feature(RegressorMixin, BaseEstimator):
    """Forecasts what the only feature says."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0]


warnings.simplefilter("error", UserWarning)
df = pd.DataFrame({"unique_id": "a", "ds": range(40), "y": [0.0] * 20 + [10.0] * 20})
old, new = df[df["ds"] < 20], df[df["ds"] >= 20]
came = {}
for transform in (ExpandingMean(), ExponentiallyWeightedMean(0.5), RollingMean(4)):
    def model():
        return MLForecast(Feature(), freq=1, lag_transforms={1: [transform]}).fit(old)
    updated = model()
    updated.update(new)
    came[type(transform).__name__] = (
        float(updated.predict(1)["Feature"].iloc[0]), float(model().predict(1, new_df=df)["Feature"].iloc[0]),
    )
print(version("mlforecast"), "after update, and of all rows:", came)
assert version("mlforecast") == "1.1.0"
assert np.allclose(came["ExpandingMean"], (0.5, 5.0)), came
assert np.allclose(came["ExponentiallyWeightedMean"], (5.0, 10.0), atol=1e-4), came
assert np.allclose(came["RollingMean"], (10.0, 10.0)), came
P
