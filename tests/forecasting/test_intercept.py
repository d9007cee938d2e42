"""The constant of least squares after a seasonal difference: series that grow have one, the others none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsforce import Difference, Log, NARXForecaster
from tsforce.errors import ArgumentError

H = 24
SETTINGS = {"mode": "open_loop", "target_transforms": [Difference(12)], "season_length": 12}


def monthly(slopes, n=120, noise=10.0):
    """Trend, season and noise; what they will be without the noise."""
    rng = np.random.default_rng(0)
    t = np.arange(n + H)
    clean = {f"s{i}": 300 + slope * t + 10 * np.sin(2 * np.pi * t / 12) for i, slope in enumerate(slopes)}
    parts = [
        pd.DataFrame({"unique_id": name, "ds": t[:n], "y": (y + noise * rng.normal(size=n + H))[:n]})
        for name, y in clean.items()
    ]
    return pd.concat(parts, ignore_index=True), np.stack([y[n:] for y in clean.values()])


def bias(model, df, want):
    ahead = model.fit(df).predict()["NARXForecaster"].to_numpy().reshape(len(want), H)
    return (ahead - want)[:, -12:].mean()


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("model", ["linear", "polynomial"])
def test_a_series_that_grows_goes_on_growing(scope, model):
    df, want = monthly([4.0] * 8)
    settings = {"scope": scope, "model": model, "window_scaling": None, "ridge": 100.0, **SETTINGS}
    fitted = NARXForecaster(H, 12, **settings)
    assert abs(bias(fitted, df, want)) < 3
    assert (fitted.model_.bias != 0).all()


@pytest.mark.parametrize("transforms", [[], [Difference(1)], [Log()]])
def test_without_a_seasonal_difference_there_is_one(transforms):
    df, _ = monthly([0.0])
    settings = {**SETTINGS, "scope": "local", "target_transforms": transforms}
    assert NARXForecaster(H, 12, **settings).fit(df).model_.bias.item() != 0
    assert NARXForecaster(H, 12, intercept=False, **settings).fit(df).model_.bias.item() == 0


def test_asked_for_it_is_there_whatever_the_data_say():
    df, _ = monthly([0.0])
    fitted = NARXForecaster(H, 12, scope="local", intercept=True, **SETTINGS).fit(df)
    assert fitted.model_.bias.item() != 0


def test_a_random_walk_shows_no_growth_more_often_than_chance():
    rng = np.random.default_rng(1)
    parts = [
        pd.DataFrame({"unique_id": i, "ds": np.arange(240), "y": rng.normal(size=240).cumsum()}) for i in range(60)
    ]
    fitted = NARXForecaster(12, 3, scope="local", ridge=1.0, **SETTINGS).fit(pd.concat(parts))
    assert (fitted.model_.bias[:, 0].numpy() != 0).mean() < 0.15


def test_another_word_is_refused():
    with pytest.raises(ArgumentError, match="intercept='yes' is not known; accepted: 'auto'"):
        NARXForecaster(H, 12, intercept="yes").fit(monthly([0.0])[0])
