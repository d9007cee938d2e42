"""Small frames for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsforce import Training
from tsforce.forecasting.training_options import FIELDS


def seasonal_series(rows, *, season=7, level=50.0, noise=1.0, seed=0):
    """A positive series with a season and a slow walk."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    walk = rng.normal(scale=0.2 * noise, size=rows).cumsum()
    return level + 8 * np.sin(2 * np.pi * t / season) + walk + rng.normal(scale=noise, size=rows)


def make_frame(lengths=(90, 70, 120), *, freq=None, season=7, seed=0, ids=None):
    """A ragged long frame: whole-number steps, or stamps that all end on one day if `freq` is given."""
    parts = []
    for i, rows in enumerate(lengths):
        y = seasonal_series(rows, season=season, level=50.0 * (i + 1), seed=seed + i)
        name = ids[i] if ids else f"s{i}"
        ds = np.arange(1, rows + 1) if freq is None else pd.date_range(end="2024-06-30", periods=rows, freq=freq)
        parts.append(pd.DataFrame({"unique_id": name, "ds": ds, "y": y}))
    return pd.concat(parts, ignore_index=True)


def wreck_after(df, cutoffs, value=1e9):
    """The frame with y replaced by +-`value` after each series' cutoff (dict id -> stamp)."""
    df = df.copy()
    late = df["ds"] > df["unique_id"].map(cutoffs)
    df.loc[late, "y"] = np.where(np.arange(int(late.sum())) % 2, value, -value)
    return df


def sysid_record(rows, *, seed=0):
    """Input and output of a system of second order with a soft spring, some noise on the output."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=rows)
    y = np.zeros(rows)
    for t in range(2, rows):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] - 0.02 * y[t - 1] ** 3 + 0.4 * u[t - 1] + 0.1 * u[t]
    return u, y + 0.01 * rng.normal(size=rows)


def sysid_frame(train=300, test=120):
    """The frame of a system-identification file: one training record and one test record."""
    parts = []
    for seed, (split, rows) in enumerate((("train", train), ("test", test))):
        u, y = sysid_record(rows, seed=seed)
        parts.append(pd.DataFrame({"split": split, "record": 0, "k": np.arange(rows), "u": u, "y": y}))
    return pd.concat(parts, ignore_index=True)


def grouped(settings):
    """Arguments of a NARX estimator, those that are fields of Training as ``training=``."""
    own = {name: value for name, value in settings.items() if name in FIELDS}
    rest = {name: value for name, value in settings.items() if name not in own}
    return rest | ({"training": Training(**own)} if own else {})


def as_it_stands(**settings: object) -> dict[str, object]:
    """Settings of a NARXForecaster with nothing left to what looks at the data, for tests of other things."""
    pooled = settings.get("scope", "global") == "global"
    plain = {
        "scope": "global",
        "target_transforms": (),
        "prior": "zero",
        "window_scaling": "mean_abs" if pooled else None,
    }
    return plain | settings
