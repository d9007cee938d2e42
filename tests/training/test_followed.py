"""Window scaling by the last value: rows say nothing of lag 1, which follows from the other lags."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsforce import NARXForecaster


def frame(*columns):
    days = pd.date_range("2024-01-01", periods=len(columns[0]))
    return pd.concat(pd.DataFrame({"unique_id": f"s{i}", "ds": days, "y": y}) for i, y in enumerate(columns))


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("mode", ["open_loop", "closed_loop"])
def test_lines_and_sines_go_on_exactly(scope, mode, loss):
    t = np.arange(67)
    truth = [10 + 3 * np.sin(2 * np.pi * t / 7), 40 - 2 * np.sin(2 * np.pi * t / 7 + 1)]
    model = NARXForecaster(7, 7, scope=scope, mode=mode, loss=loss, window_scaling="last", ridge=0.0, max_steps=3)
    forecast = model.fit(frame(*(y[:60] for y in truth))).predict()["NARXForecaster"]
    np.testing.assert_allclose(forecast, np.concatenate([y[60:] for y in truth]), atol=1e-8)
    line = NARXForecaster(7, 3, scope=scope, mode=mode, loss=loss, window_scaling="last", ridge=0.0, max_steps=3)
    forecast = line.fit(frame(10 + 2.0 * t[:60])).predict()["NARXForecaster"]
    np.testing.assert_allclose(forecast, 10 + 2.0 * t[60:], atol=1e-8)


def test_a_roll_out_is_the_one_step_forecast_from_every_new_last_value():
    """Two targets, lags that leave steps out: forecast one step, take it for the truth, and forecast again."""
    rng = np.random.default_rng(0)
    z = np.array([100.0, -3.0]) + rng.normal(size=(80, 2)).cumsum(axis=0)
    df = pd.DataFrame({"ds": np.arange(80), "a": z[:, 0], "b": z[:, 1]})
    settings = {"target_col": ["a", "b"], "mode": "open_loop", "ridge": 2.0, "window_scaling": "last"}
    model = NARXForecaster(5, [1, 2, 5], **settings).fit(df)
    history, path = df, []
    for step in range(5):
        one = model.predict(horizon=1, history=history).iloc[0, -2:].to_numpy(dtype=float)
        path.append(one)
        history = pd.concat([history, pd.DataFrame({"ds": [80 + step], "a": one[:1], "b": one[1:]})])
    np.testing.assert_allclose(model.predict().iloc[:, -2:], np.array(path), rtol=1e-10)


def test_without_lag_1_nothing_follows():
    model = NARXForecaster(3, [2, 4], mode="open_loop", window_scaling="last", ridge=1.0)
    weight = model.fit(frame(np.random.default_rng(0).normal(size=60))).model_.weight
    assert abs(float(weight.sum()) - 1) > 0.01
