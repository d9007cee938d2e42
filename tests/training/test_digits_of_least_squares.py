"""Least squares keeps its digits: without a penalty it is numpy's lstsq, however alike the lags are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import signal

from tsforce import NARXForecaster, NARXRegressor
from tsforce.models import Polynomial


def plant(order=3, n=4000, dt=0.005):
    """A plant without noise, sampled fast: its lags differ in the sixth digit."""
    poles = np.poly([-1.0, -0.5 + 1j, -0.5 - 1j][:order]).real
    num, den = (np.squeeze(part) for part in signal.cont2discrete(([1.0], poles), dt)[:2])
    u = np.repeat(np.random.default_rng(0).uniform(-1, 1, n // 200), 200)
    return u[:, None], signal.lfilter(num, den, u)


def simulation_error(model, X, y, rows):
    return np.abs(model.predict(X, y[:rows]) - y)[rows:].max() / y.std()


@pytest.mark.parametrize("model", ["linear", "polynomial", Polynomial(n_terms=6)])
def test_a_plant_sampled_fast_is_found_to_its_last_digits(model):
    X, y = plant()
    fitted = NARXRegressor(3, 3, input_delay=1, model=model, mode="open_loop").fit(X, y)
    assert simulation_error(fitted, X, y, 3) < 1e-5
    assert np.abs(fitted.one_step(X, y) - y)[3:].max() / y.std() < 1e-11


def test_several_outputs_and_records_keep_them_too():
    X, y = plant()
    both = np.stack([y, np.append(0.0, y[:-1]) * 1e3 + 5], axis=1)
    fitted = NARXRegressor(3, 3, input_delay=1, mode="open_loop").fit(X, both, session_sizes=[1500, 2500])
    assert np.abs(fitted.one_step(X, both, [1500, 2500]) - both)[3:1500].max(axis=0) / both.std(
        axis=0
    ) == pytest.approx(0.0, abs=1e-9)


def slow_sines(n=400):
    t = np.arange(n)
    return np.sin(0.03 * t) + 0.3 * np.sin(0.05 * t + 1)


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("lags", [4, 8])
def test_two_slow_sines_go_on_as_they_are(scope, lags):
    y = slow_sines(500)
    df = pd.DataFrame(
        {"unique_id": np.repeat(["a", "b"], 400), "ds": np.tile(np.arange(400), 2), "y": np.r_[y[:400], 3 * y[:400]]}
    )
    settings = {"scope": scope, "mode": "open_loop", "ridge": 0.0, "window_scaling": None}
    ahead = NARXForecaster(100, lags, **settings).fit(df).predict()["NARXForecaster"].to_numpy().reshape(2, 100)
    np.testing.assert_allclose(ahead, [y[400:], 3 * y[400:]], atol=1e-3)


def test_noisy_lags_that_are_nearly_the_same_have_the_weights_of_numpy():
    rng = np.random.default_rng(0)
    y = np.cumsum(np.cumsum(np.cumsum(rng.normal(size=500))))
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(500), "y": y})
    model = NARXForecaster(5, 6, scope="local", ridge=0.0, mode="open_loop").fit(df)
    A = np.column_stack([*(y[k : len(y) - 6 + k] for k in range(6)), np.ones(494)])
    want = np.linalg.lstsq(A / np.abs(A).max(axis=0), y[6:], rcond=None)[0] / np.abs(A).max(axis=0)
    np.testing.assert_allclose(model.model_.weight[0, :, 0].numpy(), want[:6], rtol=1e-6)


def test_lags_that_are_exactly_collinear_share_their_weight():
    t = np.arange(200)
    df = pd.DataFrame({"unique_id": "a", "ds": t, "y": np.sin(2 * np.pi * t / 20)})
    model = NARXForecaster(20, 10, scope="local", ridge=0.0, mode="open_loop").fit(df)
    assert np.abs(model.model_.weight.numpy()).max() < 1
    np.testing.assert_allclose(
        model.predict()["NARXForecaster"], np.sin(2 * np.pi * np.arange(200, 220) / 20), atol=1e-9
    )


# ---- a penalty that is chosen


@pytest.mark.parametrize("model", ["linear", "polynomial"])
def test_without_noise_the_penalty_that_is_chosen_is_next_to_none(model):
    X, y = plant(order=2, n=3000, dt=0.05)
    fitted = NARXRegressor(2, 2, input_delay=1, model=model, mode="open_loop", ridge="auto").fit(X, y)
    assert fitted.ridge_ < 0.01
    assert simulation_error(fitted, X, y, 2) < 1e-3


def test_what_was_not_tried_is_in_no_column_and_noise_keeps_its_penalty():
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(200), "y": rng.normal(size=200)})
    model = NARXForecaster(5, 6, scope="local", prior="zero", mode="open_loop").fit(df)
    names = [name for name in model.ridge_ if name.startswith("error")]
    assert names == [f"error_at_{ridge}" for ridge in (1, 3, 10, 30, 100, 300)]
    clean = df.assign(y=slow_sines(200))
    found = NARXForecaster(5, 6, scope="local", prior="zero", mode="open_loop").fit(clean).ridge_.iloc[0]
    assert found["ridge"] < 1
    assert found[f"error_at_{found['ridge']:g}"] < 0.5 * found["error_at_1"]
