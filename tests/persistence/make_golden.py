"""Writes the golden files of the format: small models of several kinds, and their forecasts.

``python -m tests.persistence.make_golden`` writes those of the format that is written now that are not there: later
versions have to read the files as they are. A file that a change makes unreadable wants a default for the new field, or
a place in the table for the class that has moved, not to be written anew. Of each model there is a file, and one with
the rows that it was learnt from (``<name>.rows``), which is updated before it forecasts.
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
    days = pd.date_range("2024-07-01", periods=5)
    return pd.concat([pd.DataFrame({"unique_id": name, "ds": days, "price": 0.5}) for name in ("s0", "s1")])


def later(df, freq):
    """Two more rows of each series."""
    ends = df.groupby("unique_id").tail(1)
    parts = []
    for k, (_, row) in enumerate(ends.iterrows()):
        stamps = pd.date_range(row["ds"], periods=3, freq=freq)[1:]
        parts.append(pd.DataFrame({**row.to_dict(), "ds": stamps, "y": row["y"] + np.array([0.5 + k, -0.25])}))
    return pd.concat(parts, ignore_index=True)


def updated(name, model):
    """The model after two more rows."""
    if name == "regressor":
        return model.update([[0.5], [-1.0]], [0.25, 0.125])
    df, freq = {"local": (zoned(), "h"), "inputs": (with_inputs(), "D")}.get(name, (months(), "MS"))
    return model.update(later(df, freq))


def months():
    return make_frame((60, 50), freq="MS")


def fitted():
    """The models by name."""
    few, df = {"max_steps": 2, "training": Training(batch_size=8)}, months()
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
    numbers = FOLDER / f"forecasts-{FORMAT}.json"
    pinned = json.loads(numbers.read_text()) if numbers.exists() else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in fitted().items():
            for what, rows in ((name, False), (f"{name}.rows", True)):
                path = FOLDER / f"{what}-{FORMAT}.tsforce"
                if not path.exists():
                    model.save(path, training_rows=rows)
                    if rows:
                        updated(name, model)
                    pinned[what] = forecasts(name, model).tolist()
    numbers.write_text(json.dumps(pinned, indent=1) + "\n")
