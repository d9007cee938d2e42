#!/usr/bin/env bash
# utilsforecast 0.2.17 (losses of Nixtla's libraries) and darts 0.48.1 (metrics), a model that forecasts the first steps
# and is missing (NaN) at the others, as one that runs away or is too short for a window can be.
# Guess: its error is missing, or an error is raised.
# What comes: the mean over the steps that are there, without a warning: a model that gives up where it is hard is the
# best. Two steps right and two missing score 0 where a model that is off by one at each scores 1.
# In tsforce: the error is missing where a forecast is
# (tests/evaluation/test_backtest.py::test_a_model_that_is_missing_at_some_steps_has_no_score).
source "$(dirname "$0")/common.sh"
with utilsforecast==0.2.17 darts==0.48.1 pandas==3.1.1 numpy==2.4.6
run <<'P'
import warnings
from importlib.metadata import version
import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.metrics import mae as mae_of_darts
from utilsforecast.evaluation import evaluate
from utilsforecast.losses import mae, rmse

warnings.simplefilter("error", UserWarning)
stamps = pd.date_range("2026-01-01", periods=4, freq="D")
df = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": [1.0, 2, 3, 4], "gives_up": [1.0, 2, np.nan, np.nan], "off_by_one": [2.0, 3, 4, 5]})
scores = evaluate(df, [mae, rmse])
actual, gives_up = (TimeSeries.from_dataframe(df, "ds", name) for name in ("y", "gives_up"))
print(version("utilsforecast"), scores.to_string(index=False), version("darts"), mae_of_darts(actual, gives_up), sep="\n")
assert (version("utilsforecast"), version("darts")) == ("0.2.17", "0.48.1")
assert (scores["gives_up"] == 0).all()
assert (scores["off_by_one"] == 1).all()
assert mae_of_darts(actual, gives_up) == 0
P
