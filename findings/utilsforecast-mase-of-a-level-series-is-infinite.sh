#!/usr/bin/env bash
# utilsforecast 0.2.17, evaluate(..., [mase], agg_fn="mean") where one of the series is level in its training rows.
# Guess: its MASE is missing, and the mean is over the others.
# What comes: its MASE is infinite, and so is the mean of each model that errs there at all, without a warning; one level
# series of thousands makes models that differ equal. A series shorter than a season is left out, as guessed.
# In tsforce: series without a scale are left out of MASE and counted in n_left_out (tests/evaluation/test_backtest.py).
source "$(dirname "$0")/common.sh"
with utilsforecast==0.2.17 pandas==3.1.1 numpy==2.4.6
run <<'P'
import warnings
from functools import partial
from importlib.metadata import version
import numpy as np
import pandas as pd
from utilsforecast.evaluation import evaluate
from utilsforecast.losses import mase

warnings.simplefilter("error")
train = pd.DataFrame({"unique_id": ["a"] * 5 + ["b"] * 5, "ds": [0, 1, 2, 3, 4] * 2, "y": [3.0] * 5 + [1, 2, 3, 4, 6.0]})
test = pd.DataFrame({
    "unique_id": ["a", "a", "b", "b"], "ds": [5, 6, 5, 6], "y": [4.0, 4, 6, 7],
    "good": [4.001, 4, 6, 6.9], "bad": [3.0, 3, 16, 27],
})
each = evaluate(test, [partial(mase, seasonality=1)], train_df=train)
mean = evaluate(test, [partial(mase, seasonality=1)], train_df=train, agg_fn="mean")
print(version("utilsforecast"), each.to_string(index=False), mean.to_string(index=False), sep="\n")
assert version("utilsforecast") == "0.2.17"
assert np.isinf(mean[["good", "bad"]].to_numpy()).all()
short = train[(train["unique_id"] == "a") | (train["ds"] > 2)]
lone = mase(test[test["unique_id"] == "b"], ["good"], 4, short)
assert lone["good"].isna().all()
P
