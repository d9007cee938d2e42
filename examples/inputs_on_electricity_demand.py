"""Electricity demand with weather and holidays: what inputs are worth closed loop, and with a forecast of the weather.

A made-up town: a year of hourly demand that depends on the hour of the week, on holidays, on cold and on heat.
(Generated data: it shows how, not how much you would gain. benchmarks/inputs.py measures the same on real demand.)

Run: python examples/inputs_on_electricity_demand.py
"""

import numpy as np
import pandas as pd

from tsforce import NARXForecaster, compare

rng = np.random.default_rng(0)
ds = pd.date_range("2024-01-01", periods=52 * 168, freq="h")
hour, day = ds.hour.to_numpy(), ds.day_of_year.to_numpy()


def wander(keep, scale):
    """A value that forgets slowly: the weather, and the mood of the town."""
    values = rng.normal(scale=scale, size=len(ds))
    for k in range(1, len(ds)):
        values[k] += keep * values[k - 1]
    return values


def inputs(temperature):
    """What the model reads: a linear map cannot know that cold and heat both cost, so say it."""
    return {"heating": np.maximum(15 - temperature, 0), "cooling": np.maximum(temperature - 21, 0)}


mean = 11 - 9 * np.cos(2 * np.pi * (day - 20) / 365) - 4 * np.cos(2 * np.pi * (hour - 4) / 24)
temperature = mean + wander(0.992, 0.35)
holiday = np.isin(day, rng.choice(np.arange(10, 360), 15, replace=False))
free = holiday | (ds.day_of_week >= 5)
busy = np.where(free, 0.55, 1.0) * (1 + np.clip(np.sin(np.pi * (hour - 6) / 14), 0, None) * (hour <= 20))
df = pd.DataFrame({"unique_id": "town", "ds": ds, "holiday": holiday, **inputs(temperature)})
df["y"] = 60 + 30 * busy + 1.6 * df["heating"] + 2.2 * df["cooling"] + wander(0.9, 1.5)

# Two days ahead. Both models have the same lags and the hour of the week; one reads inputs too, at the hour itself (0)
# and before it. The columns that a model does not name are not read.
without = NARXForecaster(
    48, [*range(1, 25), 167, 168, 169], scope="local", mode="open_loop", calendar=["hourofweek"], alias="without"
)
names = ["heating", "cooling", "holiday"]
model = without.clone_unfitted().set_params(future_exog=names, exog_lags=[0, 1, 24], alias="with inputs")
known = compare([without, model], df, n_windows=30, step_size=60)
print(known.scores()[["model", "smape", "mase", "mae", "n_windows"]].round(3).to_string(index=False))

# That backtest read the weather that came. A forecast of it is not perfect: here its error grows to about 2 degrees.
cutoffs = known.frame["cutoff"].unique()
model.fit(df[df["ds"] <= cutoffs[0]])
errors = []
for cutoff in cutoffs:
    ahead = (df["ds"] > cutoff) & (df["ds"] <= cutoff + pd.Timedelta(hours=48))
    guess = temperature[ahead] + rng.normal(scale=0.3, size=48).cumsum()
    future_df = df.loc[ahead, ["unique_id", "ds", "holiday"]].assign(**inputs(guess))
    forecast = model.predict(history=df[df["ds"] <= cutoff], future_df=future_df)
    errors.append(np.abs(df.loc[ahead, "y"].to_numpy() - forecast["with inputs"].to_numpy()).mean())
print(f"with a forecast of the weather: MAE {np.mean(errors):.3f}")

# Scenarios: the same two days, five degrees colder and not a holiday.
last = df.tail(48).assign(ds=df["ds"].tail(48) + pd.Timedelta(hours=48))
colder = last.assign(heating=last["heating"] + 5, holiday=False)
scenarios = model.predict(history=df, future_df={"as it was": last, "colder": colder})
print(scenarios.groupby("scenario")["with inputs"].mean().round(1))

# The claim: inputs lower the closed-loop error by at least 10 %, and still do where the weather is forecast.
mae = known.scores().set_index("model")["mae"]
assert mae["with inputs"] < 0.9 * mae["without"]
assert mae["with inputs"] < np.mean(errors) < 0.9 * mae["without"]
