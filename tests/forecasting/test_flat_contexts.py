"""Contexts without a unit, zeros or equal values: they teach nothing, and are forecast to stay as they are."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from tests.makers import as_it_stands
from tsforce import NARXForecaster, Training
from tsforce.models import MLP

NAME = "NARXForecaster"
MODELS = {
    "linear": {"model": "linear", "mode": "open_loop", "ridge": 1.0},
    "linear, closed loop": {"model": "linear", "mode": "closed_loop", "ridge": 1.0, "max_steps": 3},
    "huber": {"model": "linear", "mode": "open_loop", "loss": "huber"},
    "polynomial": {"model": "polynomial", "mode": "open_loop", "ridge": 1.0},
    "regressor": {"model": LinearRegression(), "mode": "closed_loop", "max_steps": 2},
    "perceptron": {"model": "mlp", "mode": "closed_loop", "max_steps": 3},
    "Levenberg-Marquardt": {
        "model": MLP(hidden=(4,), activation="tanh"), "mode": "closed_loop", "max_steps": 2,
        "training": Training(solver="levenberg_marquardt"),
    },
}  # fmt: skip


def pauses(size=1.0, pause=30, at=40, n=110, series=3):
    """Series around 10, the first of which rests at `rest` for some rows and then goes on."""
    parts = []
    for seed in range(series):
        e = np.random.default_rng(seed).normal(size=n)
        y = np.zeros(n)
        for t in range(1, n):
            y[t] = 0.8 * y[t - 1] + e[t]
        y += 10
        if seed == 0:
            y[at : at + pause] = 0
        parts.append(pd.DataFrame({"unique_id": f"s{seed}", "ds": np.arange(n), "y": size * y}))
    return pd.concat(parts, ignore_index=True)


def forecasts(df, **settings):
    model = NARXForecaster(4, 6, random_state=0, **settings).fit(df)
    return model.predict()[NAME].to_numpy()


@pytest.mark.parametrize("scaling", ["mean_abs", "standard"])
def test_least_squares_take_a_flat_context_and_what_follows_it_for_zeros(scaling):
    y, lags = pauses(size=1000, series=1)["y"].to_numpy(), 6

    def units(context):
        centre = context.mean() if scaling == "standard" else 0.0
        return centre, context.std() if scaling == "standard" else np.abs(context).mean()

    rows, targets = np.zeros((len(y) - lags, lags + 1)), np.zeros(len(y) - lags)
    rows[:, -1] = 1.0
    for i in range(len(rows)):
        centre, unit = units(y[i : i + lags])
        if unit > 0:
            rows[i, :-1], targets[i] = (y[i : i + lags] - centre) / unit, (y[i + lags] - centre) / unit
    assert (~rows[:, :-1].any(axis=1)).sum() == 25
    weights = np.linalg.lstsq(rows, targets, rcond=1e-9)[0]
    centre, unit = units(y[-lags:])
    expected = centre + unit * weights @ [*(y[-lags:] - centre) / unit, 1.0]
    found = forecasts(pauses(size=1000, series=1), scope="local", window_scaling=scaling, mode="open_loop", ridge=0.0)
    assert found[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scaling", ["mean_abs", "standard"])
def test_a_panel_with_a_pause_in_other_units_has_the_forecasts_in_other_units(name, scaling):
    one = forecasts(pauses(), window_scaling=scaling, scope="global", **MODELS[name])
    np.testing.assert_allclose(one, 10, atol=6)
    for size in (1e-6, 1e5):
        other = forecasts(pauses(size), window_scaling=scaling, scope="global", **MODELS[name])
        np.testing.assert_allclose(other / size, one, rtol=1e-3 if "mlp" in MODELS[name].values() else 1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_a_context_of_zeros_is_forecast_as_zeros(name, size):
    df = pauses(size, at=80)
    found = forecasts(df, window_scaling="mean_abs", scope="global", **MODELS[name]).reshape(3, 4)
    np.testing.assert_array_equal(found[0], 0)
    assert (np.abs(found[1:] / size - 10) < 6).all()


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_a_context_of_equal_values_is_forecast_as_what_it_is_where_windows_are_standardised(size):
    df = pauses(size, at=80)
    df.loc[df["unique_id"] == "s0", "y"] += 7 * size
    found = forecasts(df, window_scaling="standard", scope="global", **MODELS["linear"]).reshape(3, 4)
    np.testing.assert_allclose(found[0], 7 * size, rtol=1e-12)


def test_a_context_of_one_value_is_taken_away_where_windows_are_standardised():
    df = pauses()
    model = NARXForecaster(4, 1, mode="open_loop", ridge=0.0, **as_it_stands(window_scaling="standard")).fit(df)
    moves = df.groupby("unique_id")["y"].diff().mean()
    first = model.predict(1)[NAME].to_numpy()
    np.testing.assert_allclose(first, df.groupby("unique_id")["y"].last() + moves, rtol=1e-9)


def test_a_panel_of_zeros_alone_is_forecast_as_zeros():
    df = pauses().assign(y=0.0)
    for scaling in ("mean_abs", "standard"):
        for name in ("linear", "polynomial", "regressor", "huber"):
            assert not forecasts(df, window_scaling=scaling, scope="global", **MODELS[name]).any(), (scaling, name)
