"""Fit a model, forecast a year ahead, and see what it would have done in the past: one step and closed loop.

Run: python examples/backtest_and_exposure.py [picture.png]
"""

import sys

from tsforce import Baseline, Difference, Log, NARXForecaster, backtest, compare
from tsforce.datasets import load

df = load("airpassengers")  # unique_id, ds, y: monthly, 1949 to 1960

# One linear model of the last 24 months, on the logarithm's changes over a year.
model = NARXForecaster(horizon=12, lags=24, scope="local", target_transforms=[Log(), Difference(12)])

# A forecast after the last row.
forecast = model.fit(df).predict()
print(forecast.head(3), "\n")

# What it would have said at 24 past cutoffs, knowing nothing after each of them. Always closed loop.
result = backtest(model, df, n_windows=24, step_size=1)
print(result, "\n")

# The same targets, forecast from one month before and from up to a year before.
exposure = result.exposure()
print(exposure.iloc[[0, 5, 11]].to_string(index=False), "\n")
print(result.exposure_summary().to_string(index=False), "\n")

if len(sys.argv) > 1:
    result.plot().savefig(sys.argv[1], dpi=110)

# Beside references, on the same windows.
models = {"narx": model, "seasonal_naive": Baseline("seasonal_naive"), "naive2": Baseline("naive2")}
scores = compare(models, df, n_windows=24, step_size=1).scores().set_index("model")
print(scores[["smape", "mase"]])

# The claim: over a year ahead the model beats the references, and one-step error alone would not have told how
# large its errors become.
assert scores.loc["narx", "mase"] < 0.7 * scores.loc["naive2", "mase"]
assert exposure["gap"].iloc[0] == 1
assert exposure["gap"].iloc[-1] > 1.5
