"""Writes the golden files of the format: small models of several kinds, and their forecasts.

``python -m tests.persistence.make_golden`` writes those of the format that is written now, which is done once, when a
format begins: later versions have to read the files as they are. A file that a change makes unreadable wants a default
for the new field, or a place in the table for the class that has moved, not to be written anew.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tests.makers import make_frame, sysid_record
from tsforce import (
    AutoNARX,
    Baseline,
    BoxCox,
    Curriculum,
    Difference,
    Ensemble,
    Log,
    NARXForecaster,
    NARXRegressor,
    Standardize,
    Training,
)
from tsforce.lag_transforms import ExponentiallyWeightedMean, RollingMean
from tsforce.models import GRU, MLP, Polynomial
from tsforce.persistence.saved_file import FORMAT

FOLDER = Path(__file__).parent / "golden"


def zoned():
    df = make_frame((60, 50), freq="h")
    df["ds"] = df["ds"].dt.tz_localize("Europe/Berlin", nonexistent="shift_forward", ambiguous=True)
    return df


def with_inputs():
    df = make_frame((60, 50), freq="D")
    df["price"], df["rain"] = np.sin(np.arange(110.0)), np.cos(np.arange(110.0))
    return df.assign(sort=df["unique_id"] + "!", size=df["unique_id"].map({"s0": 1.0, "s1": 2.5}))


def ahead():
    days = pd.date_range("2024-07-01", periods=3)
    return pd.concat([pd.DataFrame({"unique_id": name, "ds": days, "price": 0.5}) for name in ("s0", "s1")])


def fitted():
    """The models by name."""
    few, df = {"max_steps": 2, "training": Training(batch_size=8)}, make_frame((60, 50), freq="MS")
    u, y = sysid_record(120)
    each = {1: [RollingMean(3), RollingMean(6, min_samples=2)], 7: [ExponentiallyWeightedMean(0.3)]}
    inputs = {"past_exog": ["rain"], "future_exog": ["price"], "static": ["sort", "size"], "calendar": ["dayofweek"]}
    smooth = Ensemble({name: Baseline(name, horizon=3) for name in ("naive2", "theta", "ets", "ces")})
    mixed = Ensemble([Baseline("drift", horizon=3), NARXForecaster(3, 3, strategy="rectify")], combine="mean")
    polynomial = Polynomial(degree=2, n_terms=4)
    return {
        "local": NARXForecaster(3, 4, scope="local", target_transforms=[Log(), Difference(1)], mode="open_loop").fit(
            zoned()
        ),
        "features": NARXForecaster(3, 4, lag_transforms=each, target_transforms=[BoxCox()], loss="huber").fit(df),
        "perceptron": NARXForecaster(3, 4, model=MLP((4,)), mode=Curriculum(), **few).fit(df),
        "gru": NARXForecaster(3, 4, model=GRU(3), target_transforms=[Standardize()], mode="closed_loop", **few).fit(df),
        "inputs": NARXForecaster(3, 4, mode="open_loop", **inputs).fit(with_inputs()),
        "smooth": smooth.fit(df),
        "mixed": mixed.fit(df),
        "auto": AutoNARX(3, budget="fast", time_limit=0.01).fit(df),
        "regressor": NARXRegressor(2, 2, model=polynomial, mode="open_loop").fit(u[:, None], y),
    }


def forecasts(name, model):
    """The numbers that are pinned."""
    if name == "regressor":
        return model.predict(np.sin(np.arange(8.0))[:, None], "rest")
    given = {"future_df": ahead()} if name == "inputs" else {}
    return model.predict(**given).iloc[:, -1].to_numpy()


if __name__ == "__main__":
    pinned = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in fitted().items():
            model.save(FOLDER / f"{name}-{FORMAT}.tsforce")
            pinned[name] = forecasts(name, model).tolist()
    (FOLDER / f"forecasts-{FORMAT}.json").write_text(json.dumps(pinned, indent=1) + "\n")
