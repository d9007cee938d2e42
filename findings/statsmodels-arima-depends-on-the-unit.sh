#!/usr/bin/env bash
# statsmodels 0.15.0, ARIMA(y, order=(1, 1, 1)) with its defaults; y in thousands and in ones.
# Guess: the same forecasts to 0.1 percent.
# What comes: for values near 100 the forecast a year ahead is 116, for the same values near 100,000 it is 102,000. The
# second fit stops at a likelihood lower by more than 30 and says that it converged; no warning. AIC goes wrong with it.
# In tsforce: no ARIMA; a linear map of differences is least squares, which has one answer in every unit.
source "$(dirname "$0")/common.sh"
with statsmodels==0.15.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
run <<'P'
import warnings
import numpy as np
import statsmodels
from statsmodels.tsa.arima.model import ARIMA

warnings.simplefilter("error")
t, rng = np.arange(72), np.random.default_rng(0)
y = 100 + 10 * np.sin(t * np.pi / 6) + rng.normal(size=72).cumsum()
fits = [ARIMA(y * unit, order=(1, 1, 1)).fit() for unit in (1, 1000)]
ahead = [fit.forecast(12)[-1] / unit for fit, unit in zip(fits, (1, 1000))]
likelihood = [fit.llf + 71 * np.log(unit) for fit, unit in zip(fits, (1, 1000))]
print(statsmodels.__version__, "a year ahead", np.round(ahead, 1), "; log-likelihood of y", np.round(likelihood, 1))
assert statsmodels.__version__ == "0.15.0"
assert all(fit.mle_retvals["converged"] for fit in fits)
assert ahead[0] - ahead[1] > 10
assert likelihood[0] - likelihood[1] > 20
P
