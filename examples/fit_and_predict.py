"""Fit, forecast, and hold the forecast against the truth.

Run: python examples/fit_and_predict.py
"""

from tsforce import Baseline, Difference, Log, NARXForecaster
from tsforce.datasets import load

df = load("airpassengers")  # a long frame: unique_id, ds, y; monthly, 1949 to 1960
past, truth = df.iloc[:-12], df.iloc[-12:]  # one series, so its last rows are the frame's

# A linear model of the last 24 months, on the logarithm's changes over a year. Without a mode it is trained on observed
# values, then on its own outputs, and keeps what forecasts better on windows held out inside the training rows.
model = NARXForecaster(horizon=12, lags=24, scope="local", target_transforms=[Log(), Difference(12)])
model.fit(past)
print(f"kept: {model.kept_mode_}", *model.history_.notes, sep="\n")

# Twelve months after the last training row, each month fed with the forecasts of those before it.
forecast = model.predict()  # unique_id, ds, horizon, NARXForecaster
reference = Baseline("seasonal_naive", horizon=12).fit(past).predict()
both = truth.merge(forecast, on=["unique_id", "ds"]).merge(reference, on=["unique_id", "ds", "horizon"])
print(both.to_string(index=False, float_format="%.1f"))

# Nothing is learnt anew when more rows arrive: `history` replaces what the model saw last.
later = model.predict(3, history=df)
print(later.to_string(index=False, float_format="%.1f"))

error = {name: (both["y"] - both[name]).abs().mean() for name in ("NARXForecaster", "seasonal_naive")}
print(*(f"mean absolute error, {name}: {value:.1f}" for name, value in error.items()), sep="\n")

# The claim: a year ahead, the error is less than half of repeating the last year.
assert error["NARXForecaster"] < 0.5 * error["seasonal_naive"]
assert (later["ds"] > df["ds"].max()).all()
