#!/usr/bin/env bash
# statsmodels 0.15.0, ETSModel(y, trend="add") with its default, initial states by maximum likelihood; y in units and in
# hundreds of units.
# Guess: the same forecasts to 0.1 percent.
# What comes: for values near 100 the forecast a year ahead is 154, for the same values near 1 it is 103. The second fit
# stops at a likelihood lower by more than 30 and says that it converged; no warning. With
# initialization_method="heuristic" both are the same, and so are ETSModel without a trend and ThetaModel.
# In tsforce: Baseline("ets") takes the heuristic, and does not depend on the unit (tests/forecasting/test_baselines.py).
source "$(dirname "$0")/common.sh"
with statsmodels==0.15.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
run <<'P'
import warnings
import numpy as np
import statsmodels
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

warnings.simplefilter("error")
t, rng = np.arange(72), np.random.default_rng(0)
y = 100 + 10 * np.sin(t * np.pi / 6) + rng.normal(size=72).cumsum()
print(statsmodels.__version__)
for start in ("estimated", "heuristic"):
    fits = [ETSModel(y / unit, trend="add", initialization_method=start).fit(disp=False) for unit in (1, 100)]
    ahead = [fit.forecast(12)[-1] * unit for fit, unit in zip(fits, (1, 100))]
    likelihood = [fit.llf - 72 * np.log(unit) for fit, unit in zip(fits, (1, 100))]
    print(f"{start}: a year ahead {np.round(ahead, 1)}, log-likelihood of y {np.round(likelihood, 1)}")
    assert all(fit.mle_retvals["converged"] for fit in fits)
    if start == "estimated":
        assert ahead[0] / ahead[1] > 1.3
        assert likelihood[0] - likelihood[1] > 20
    else:
        assert np.isclose(ahead[0], ahead[1], rtol=1e-3)
assert statsmodels.__version__ == "0.15.0"
P
