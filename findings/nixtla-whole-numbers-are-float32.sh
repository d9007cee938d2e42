#!/usr/bin/env bash
# statsforecast 2.1.1 and mlforecast 1.1.0, y a column of whole numbers: 100,000,000 and 3 more at each of 40 steps.
# Met while trying another guess, that no more than 1e-6 of a value's size is lost. That holds; what it hides does not.
# What comes: floats of 32 bits, which near 1e8 have only every eighth number. The last value
# is 117 above 1e8 and Naive says 120; the drift says 120 and 128 instead of 120 and 123, AutoETS 120 twice, and least squares
# on differences one or the other. Of the same column as floats they say what is right. No warning.
# In tsforce: whole numbers are read as floats of 64 bits (tests/forecasting/test_kinds.py).
source "$(dirname "$0")/common.sh"
with statsforecast==2.1.1 mlforecast==1.1.0 coreforecast==0.0.20 utilsforecast==0.2.17 pandas==2.3.3 numpy==2.4.6 scikit-learn==1.9.1
run <<'P'
import warnings
import mlforecast
import numpy as np
import pandas as pd
import statsforecast
from mlforecast.target_transforms import Differences
from sklearn.linear_model import LinearRegression
from statsforecast.models import AutoETS, Naive, RandomWalkWithDrift

print(statsforecast.__version__, mlforecast.__version__)
said = {}
for kind in ("int64", "float64"):
    frame = pd.DataFrame({"unique_id": "a", "ds": np.arange(40), "y": (10**8 + 3 * np.arange(40)).astype(kind)})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        models = [Naive(), RandomWalkWithDrift(), AutoETS(season_length=1)]
        ahead = statsforecast.StatsForecast(models, freq=1).forecast(df=frame, h=2)
        one = mlforecast.MLForecast({"linear": LinearRegression()}, freq=1, lags=[1], target_transforms=[Differences([1])])
        ahead["linear"] = one.fit(frame, static_features=[]).predict(2)["linear"]
    said[kind] = ahead.drop(columns=["unique_id", "ds"]).astype(float) - 1e8
    print(f"{kind}: forecasts above 100,000,000 as {ahead['Naive'].dtype}", said[kind].round(2).to_dict("list"))
assert np.allclose(said["float64"], [[117, 120, 120, 120], [117, 123, 123, 123]], atol=1e-3)
assert said["int64"].drop(columns="linear").to_numpy().tolist() == [[120, 120, 120], [120, 128, 120]]
assert abs(said["int64"]["linear"][1] - 123) > 2
assert (statsforecast.__version__, mlforecast.__version__) == ("2.1.1", "1.1.0")
P
