#!/usr/bin/env bash
# statsmodels 0.15.0, results.extend(later rows) of a model with a time trend: ARIMA and SARIMAX.
# Guess: extend goes on where the training rows end and forecasts as append does; only apply counts the time from 1 again.
# What comes: so it is for SARIMAX. ARIMA.extend counts the time from 1: a line that has reached 60 is forecast at 20,
# without a warning, with stamps as without. The fitted values of the new rows are right, the forecasts after them are not.
# In tsforce: no ARIMA; predict(history=) takes whole histories, and a calendar is read from the stamps.
source "$(dirname "$0")/common.sh"
with statsmodels==0.15.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
run <<'P'
import warnings
import numpy as np
import statsmodels
from statsmodels.tsa.arima.model import ARIMA
from statsmodels.tsa.statespace.sarimax import SARIMAX

warnings.simplefilter("error")
y = 10 + 0.5 * np.arange(100) + np.random.default_rng(1).normal(size=100)
ahead = {}
for name, fitted in (
    ("ARIMA", ARIMA(y[:80], order=(1, 0, 0), trend="ct").fit()),
    ("SARIMAX", SARIMAX(y[:80], order=(1, 0, 0), trend="ct").fit(disp=False)),
):
    for how in ("append", "extend"):
        ahead[name, how] = getattr(fitted, how)(y[80:]).forecast(1)[0]
print(statsmodels.__version__, {key: value.round(1).item() for key, value in ahead.items()}, "; the line is at 60")
assert statsmodels.__version__ == "0.15.0"
assert np.isclose(ahead["SARIMAX", "append"], ahead["SARIMAX", "extend"])
assert abs(ahead["ARIMA", "append"] - 60) < 2
assert abs(ahead["ARIMA", "extend"] - 20) < 2
P
