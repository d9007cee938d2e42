"""An ensemble: forecasters that differ, combined step by step; the median is better than each of them.

Forty made-up shops with monthly sales. In half of them the season adds to the level, in the other half it multiplies
it, so that no single recipe suits all. (Generated data: it shows how, not how much you would gain.)

Run: python examples/ensemble.py
"""

import numpy as np
import pandas as pd

from tsforce import Baseline, Difference, Ensemble, Log, NARXForecaster, compare

rng = np.random.default_rng(0)
rows, months = 120, pd.date_range("2012-01-01", periods=120, freq="MS")
t = np.arange(rows)
shops = []
for shop in range(40):
    season = np.sin(2 * np.pi * (t + rng.integers(12)) / 12) + 0.5 * rng.normal(size=12)[t % 12]
    level = 100 + 0.3 * rng.normal() * t + rng.uniform() * (2 * rng.normal(size=rows)).cumsum()
    y = level + 15 * season + 4 * rng.normal(size=rows)
    if shop % 2:
        y = level * np.exp(0.15 * season + 0.03 * rng.normal(size=rows))
    shops.append(pd.DataFrame({"unique_id": f"shop {shop}", "ds": months, "y": np.maximum(y, 1)}))
df = pd.concat(shops, ignore_index=True)


def narx(*transforms, lags):
    return NARXForecaster(12, lags, scope="local", mode="open_loop", target_transforms=transforms, prior="zero")


members = {
    "12 lags": narx(lags=12),
    "24 lags of the log": narx(Log(), lags=24),
    "seasonal difference": narx(Difference(12), lags=12),
    "seasonal difference of the log": narx(Log(), Difference(12), lags=12),
    "naive2": Baseline("naive2", horizon=12),
}
# An Ensemble is a forecaster like its members: it is fitted, backtested and compared the same way. Members are cloned.
models = {**members, "median": Ensemble(members), "mean": Ensemble(members, combine="mean")}
scores = compare(models, df, n_windows=3).scores().set_index("model")
print(scores[["smape", "mase", "n_series", "n_windows"]].round(3))

# A young shop: too short for a season and its lags. Such a series is combined from the members that can fit it.
young = df.query("unique_id == 'shop 0'").tail(20).assign(unique_id="young shop")
ensemble = Ensemble(members).fit(pd.concat([df, young]))
coverage = ensemble.coverage_.set_index("unique_id")["n_members"]
print(coverage.loc[["shop 0", "young shop"]])
forecast = ensemble.predict()

# The claim: the median's closed-loop error is at least 3 % below the best member's, and every series gets a forecast.
best = scores.loc[list(members), "mase"].min()
assert scores.loc["median", "mase"] < 0.97 * best
assert scores.loc["mean", "mase"] < best
assert coverage["young shop"] < len(members)
assert forecast["Ensemble"].notna().all()
assert forecast["unique_id"].nunique() == 41
