#!/usr/bin/env bash
# statsmodels 0.15.0, SARIMAX(concentrate_scale=True): append(refit=False) and extend, with later rows that leave the model.
# Guess: parameters stay, the variance among them, as without concentrate_scale.
# What comes: the variance is estimated anew, by append on all rows and by extend on the new rows alone. Point forecasts
# agree to four digits; the standard error of the same forecast is 0.96 without, 3.3 after append, 8.0 after extend.
# In tsforce: no intervals yet; errors are those of the windows of a backtest.
source "$(dirname "$0")/common.sh"
with statsmodels==0.15.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
run <<'P'
import warnings
import numpy as np
import statsmodels
from statsmodels.tsa.statespace.sarimax import SARIMAX

warnings.simplefilter("error")
rng = np.random.default_rng(0)
shocks, y = rng.normal(size=120), np.zeros(120)
for t in range(1, 120):
    y[t] = 0.6 * y[t - 1] + shocks[t]
y[100:] += 20
errors, means = {}, {}
for concentrated in (False, True):
    fitted = SARIMAX(y[:100], order=(1, 0, 0), concentrate_scale=concentrated).fit(disp=False)
    for how in ("append", "extend"):
        one = getattr(fitted, how)(y[100:]).get_forecast(1)
        errors[concentrated, how], means[concentrated, how] = one.se_mean[0], one.predicted_mean[0]
print(statsmodels.__version__, {key: value.round(2).item() for key, value in errors.items()})
assert statsmodels.__version__ == "0.15.0"
assert np.ptp(list(means.values())) < 0.001
assert np.isclose(errors[False, "append"], errors[False, "extend"])
assert errors[True, "append"] > 3 * errors[False, "append"]
assert errors[True, "extend"] > 2 * errors[True, "append"]
P
