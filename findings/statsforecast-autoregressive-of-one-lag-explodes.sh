#!/usr/bin/env bash
# statsforecast 2.1.1, AutoRegressive(lags=[12]) on 60 months of a season of 12 and noise.
# Guess: lag 12 alone, by maximum likelihood, with a coefficient near 1; not least squares to the digit.
# What comes: a coefficient of about 1035. model_ holds a code that is not 0; the one warning is of a parameter that was
# fixed. The forecast 13 months ahead of a series between 40 and 61 is below -1,000,000. Least squares of the same rows
# on those a year before has a slope of 0.99.
# In tsforce: lags=[12] is least squares; a forecast that leaves all bounds is said to diverge.
source "$(dirname "$0")/common.sh"
with statsforecast==2.1.1 pandas==2.3.3 numpy==2.3.5
run <<'P'
import warnings
import numpy as np
import statsforecast
from statsforecast.models import AutoRegressive

rng = np.random.default_rng(1)
y = 50 + 10 * np.sin(np.arange(60) * np.pi / 6) + rng.normal(size=60)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = AutoRegressive(lags=[12]).fit(y)
    ahead = model.predict(13)["mean"]
said = {str(one.message) for one in caught}
slope = np.polyfit(y[:-12], y[12:], 1)[0]
print(statsforecast.__version__, f"ar12 {model.model_['coef']['ar12']:.1f}, code {model.model_['code']}, by least squares {slope:.2f}")
print("values", y.min().round(1), "to", y.max().round(1), "; forecasts", ahead[[0, 1, 12]].round(), "; warnings", said)
assert statsforecast.__version__ == "2.1.1"
assert 0.8 < slope < 1.1
assert model.model_["coef"]["ar12"] > 100
assert model.model_["code"] != 0
assert ahead[12] < -1e6
assert not any("converge" in one for one in said)
P
