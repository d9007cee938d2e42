#!/usr/bin/env bash
# statsmodels 0.15.0, ExponentialSmoothing(use_boxcox=lambda) with lambda 0 or 2 instead of 0.0 or 2.0.
# Guess: a number is a number: 0 is the logarithm, 2 the square.
# What comes: the starting values are those of the number given, the smoothing is not. 0 leaves the data as they are, with
# a level on the log scale; 2 takes a lambda that it estimates, with a level on the scale of squares. No warning. With
# initialization_method="heuristic" forecasts change by some percent, and the sum of squares becomes missing for 2.
# In tsforce: BoxCox() finds its lambda in the training rows and takes no number; its exponential smoothing uses none.
source "$(dirname "$0")/common.sh"
with statsmodels==0.15.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
run <<'P'
import warnings
import numpy as np
import statsmodels
from statsmodels.tsa.holtwinters import ExponentialSmoothing

warnings.simplefilter("ignore")
rng = np.random.default_rng(1)
t = np.arange(120)
y = np.exp(3 + 0.01 * t + 0.3 * np.sin(2 * np.pi * t / 12) + 0.2 * rng.normal(size=120))
fits = {}
for given in (0, 0.0, 2, 2.0):
    fits[repr(given)] = ExponentialSmoothing(y, trend="add", use_boxcox=given, initialization_method="heuristic").fit()
for given, fit in fits.items():
    used, level = fit.params["lamda"], fit.params["initial_level"]
    print(f"use_boxcox={given}: lambda {used}, first level {level:.1f}, next {fit.forecast(1)[0]:.1f}, sse {fit.sse:.0f}")
assert statsmodels.__version__ == "0.15.0"
assert [fits[key].params["lamda"] for key in ("0.0", "2.0")] == [0.0, 2.0]
assert fits["0"].params["lamda"] is None
assert fits["2"].params["lamda"] < 0
for whole, number in (("0", "0.0"), ("2", "2.0")):
    assert np.isclose(fits[whole].params["initial_level"], fits[number].params["initial_level"])
    assert abs(fits[whole].forecast(1)[0] / fits[number].forecast(1)[0] - 1) > 0.01
P
