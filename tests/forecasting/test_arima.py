"""ARIMA: orders and forecasts against the process that drew the series, and what is left to Naive2."""

from __future__ import annotations

import numpy as np
import pandas as pd
from statsmodels.tsa.arima.model import ARIMA

from tsforce import Baseline
from tsforce.forecasting import arima
from tsforce.forecasting.arima import arima_forecasts, fit_arima


def drawn(phi, n=90):
    """A first-order autoregression about 50."""
    rng, y = np.random.default_rng(1), np.full(n, 50.0)
    for t in range(1, n):
        y[t] = 50 + phi * (y[t - 1] - 50) + rng.normal()
    return y


def test_an_autoregression_is_forecast_by_powers_of_its_coefficient(monkeypatch):
    monkeypatch.setattr(arima, "ORDERS", ((1, 0),))
    y = drawn(-0.7)
    rows = y, np.array([0, len(y)])
    learnt = fit_arima(*rows, 1)
    assert learnt.order[0].tolist() == [1, 0, 0, 0]
    unit = np.abs(y).mean()
    mean, phi = learnt.parameters[0, :2]
    np.testing.assert_allclose([mean * unit, phi], [50, -0.7], rtol=0.25)
    want = mean * unit + phi ** np.arange(1, 5) * (y[-1] - mean * unit)
    np.testing.assert_allclose(arima_forecasts(*rows, 4, 1, learnt)[0], want, rtol=1e-9)


def test_the_order_is_that_of_lowest_aicc(monkeypatch):
    orders = (0, 1), (1, 0)
    monkeypatch.setattr(arima, "ORDERS", orders)
    y = drawn(-0.7)
    found = [ARIMA(y / np.abs(y).mean(), order=(p, 0, q)).fit().aicc for p, q in orders]
    p, _, q, _ = fit_arima(y, np.array([0, len(y)]), 1).order[0].tolist()
    assert (p, q) == orders[int(np.argmin(found))]


def test_a_walk_is_differenced_and_a_season_too(monkeypatch):
    monkeypatch.setattr(arima, "ORDERS", ((0, 1),))
    walk = 100 + np.cumsum(np.random.default_rng(2).normal(size=60))
    y = np.concatenate([walk, walk + 9 * np.tile([1.0, -1.0, 2.0, 0.0], 15)])
    assert fit_arima(y, np.array([0, 60, 120]), 4).order.tolist() == [[0, 1, 1, 0], [0, 1, 1, 1]]


def test_short_and_constant_series_are_left_to_naive2_and_counted():
    series = {"short": drawn(0.5)[:9], "still": np.full(40, 7.0)}
    df = pd.concat([pd.DataFrame({"unique_id": name, "ds": np.arange(len(y)), "y": y}) for name, y in series.items()])
    forecast = Baseline("arima", horizon=3, season_length=1).fit(df).predict()
    naive2 = Baseline("naive2", horizon=3, season_length=1).fit(df).predict()
    np.testing.assert_array_equal(forecast["arima"], naive2["naive2"])
    assert forecast.attrs["fallbacks"] == 2
