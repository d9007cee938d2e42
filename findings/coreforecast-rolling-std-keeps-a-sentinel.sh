#!/usr/bin/env bash
# coreforecast 0.0.20 (RollingStd of mlforecast), a value of 999999999 that stands for "missing" in a series around 100.
# Guess: the windows that hold it are off, and the others are those of pandas.
# What comes: later windows are off as well, as far as the series goes. Their true deviations are 0.4 to 1.2; what comes is
# 0 in 9 of 43, as if what was lost with the large value were carried on. Means come back. pandas 3.1.1 is right.
# In tsforce: no feature is carried from row to row; lags are read from the rows themselves.
source "$(dirname "$0")/common.sh"
with coreforecast==0.0.20 pandas==3.1.1 numpy==2.4.6
run <<'P'
from importlib.metadata import version
import numpy as np
import pandas as pd
from coreforecast.rolling import rolling_mean, rolling_std

x = 100 + np.random.default_rng(0).normal(size=60)
x[10] = 999_999_999
later = slice(17, None)
by_window = np.array([x[i - 6 : i + 1].std(ddof=1) for i in range(17, 60)])
pandas, core = pd.Series(x).rolling(7).std().to_numpy()[later], rolling_std(x, 7)[later]
print(version("coreforecast"), "true", by_window.min().round(2), "to", by_window.max().round(2))
print("coreforecast", core.min().round(2), "to", core.max().round(2), "; zeros:", int((core == 0).sum()), "of", len(core))
assert version("coreforecast") == "0.0.20"
assert np.allclose(pandas, by_window)
assert np.allclose(rolling_mean(x, 7)[later], pd.Series(x).rolling(7).mean()[later])
assert np.abs(core - by_window).max() > 0.3
assert (core == 0).any()
P
