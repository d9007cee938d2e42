#!/usr/bin/env bash
# statsforecast 2.1.1, DynamicOptimizedTheta and AutoTheta on 40 values around a line from 100 to 160, in units and in
# thousands of units.
# Guess: the same forecasts to 0.1 percent.
# What comes: 178 twelve steps ahead in units, 168 in thousands; the search for smoothing and theta ends where it began
# when the errors are small numbers. Multiples of 100 and more change nothing. AutoETS and AutoCES do not depend on it.
# In tsforce: Baseline("theta") and ("dynamic_theta") do not depend on the unit (tests/forecasting/test_baselines.py).
source "$(dirname "$0")/common.sh"
with statsforecast==2.1.1 coreforecast==0.0.20 utilsforecast==0.2.17 pandas==2.3.3 numpy==2.4.6
run <<'P'
import numpy as np
import statsforecast
from statsforecast.models import AutoCES, AutoETS, AutoTheta, DynamicOptimizedTheta

print(statsforecast.__version__)
y = np.linspace(100, 160, 40) + 2 * np.random.default_rng(1).normal(size=40)
for model in (DynamicOptimizedTheta, AutoTheta, AutoETS, AutoCES):
    ahead = [model(season_length=1).forecast(y=y / unit, h=12)["mean"][-1] * unit for unit in (1, 1000)]
    print(f"{model.__name__}: twelve steps ahead {np.round(ahead, 1)}")
    if "Theta" in model.__name__:
        assert ahead[0] - ahead[1] > 5
    else:
        assert np.isclose(*ahead, rtol=1e-3)
assert statsforecast.__version__ == "2.1.1"
P
