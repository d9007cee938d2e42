"""Theta and the dynamic optimised Theta model: against loops over one series, statsmodels, and R's recursion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from tsforce.datasets import load
from tsforce.smoothing.theta import Theta, fit_theta, theta_forecasts

AIR = load("airpassengers")["y"].to_numpy(float)
both = pytest.mark.parametrize("dynamic", [False, True])


def drawn(number, n=50):
    return 80 + np.cumsum(np.random.default_rng(number).normal(0.3, 2.0, n))


def rows(*series):
    return np.concatenate(series), np.concatenate([[0], np.cumsum([len(y) for y in series])])


def dotm(y, first_level, alpha, theta, horizon=0):
    """The recursion of R's forecTheta, one row after another: squares from the third row on, and forecasts."""
    n, w, q = len(y), 1 - 1 / theta, 1 - alpha
    level, mean, a, b, squares, ahead = alpha * y[0] + q * first_level, y[0], y[0], 0.0, 0.0, []
    for i in range(1, n + horizon):
        mu = level + w * (a * q**i + b * (1 - q ** (i + 1)) / alpha)
        new = y[i] if i < n else mu
        if i >= n:
            ahead.append(mu)
        elif i >= 2:
            squares += (new - mu) ** 2
        level = alpha * new + q * level
        b = ((i - 1) * b + 6 * (new - mean) / (i + 1)) / (i + 2)
        mean = (i * mean + new) / (i + 1)
        a = mean - b * (i + 2) / 2
    return squares, np.array(ahead)


def best_level(y, alpha, theta):
    """The first level with the smallest squares, which are a parabola of it."""
    at = [dotm(y, level, alpha, theta)[0] for level in (0.0, 100.0, 200.0)]
    c2 = (at[0] - 2 * at[1] + at[2]) / 2
    return 100 * -(at[1] - at[0] - c2) / (2 * c2)


def test_forecasts_of_theta_are_those_of_statsmodels_at_the_same_alpha():
    fitted = ThetaModel(AIR, deseasonalize=False).fit()
    learnt = Theta(np.array([fitted.params["alpha"]]), np.array([0.5]))
    got = theta_forecasts(*rows(AIR), 9, 1, learnt, dynamic=False)[0]
    np.testing.assert_allclose(got, fitted.forecast(9), rtol=1e-10)


def test_alpha_of_theta_is_as_good_as_statsmodels():
    series = [AIR, *(drawn(number) for number in range(5))]
    learnt = fit_theta(*rows(*series), 1, dynamic=False)
    for y, alpha in zip(series, learnt.alpha, strict=True):
        model = ExponentialSmoothing(y, initialization_method="known", initial_level=y[0])
        own = model.fit(smoothing_level=alpha, optimized=False).sse
        assert own <= model.fit().sse * (1 + 1e-6)


def test_forecasts_of_the_dynamic_model_are_those_of_the_loop():
    for y, alpha, theta in ((AIR, 0.3, 2.0), (drawn(1), 0.8, 1.0), (drawn(2, 5), 0.15, 7.0)):
        learnt = Theta(np.array([alpha]), np.array([1 - 1 / theta]))
        got = theta_forecasts(*rows(y), 12, 1, learnt, dynamic=True)[0]
        want = dotm(y, best_level(y, alpha, theta), alpha, theta, 12)[1]
        np.testing.assert_allclose(got, want, rtol=1e-8)


def test_no_parameters_of_the_dynamic_model_have_smaller_squares():
    series = [AIR, *(drawn(number, 30) for number in range(4))]
    learnt = fit_theta(*rows(*series), 1, dynamic=True)
    for y, alpha, weight in zip(series, learnt.alpha, learnt.weight, strict=True):
        theta = 1 / max(1 - weight, 1e-10)
        own = dotm(y, best_level(y, alpha, theta), alpha, theta)[0]
        others = (
            minimize(
                lambda p, y=y: dotm(y, *p)[0],
                (y[0] / 2, first, 2.0),
                bounds=((-1e4, 1e4), (0.1, 0.99), (1.0, 1e6)),
                method="Nelder-Mead",
            ).fun
            for first in (0.3, 0.7)
        )
        assert own <= min(others) * (1 + 1e-4)


@both
def test_series_together_are_learnt_as_each_alone(dynamic):
    series = [drawn(number, n) for number, n in enumerate((60, 41, 33, 90, 4, 3, 1, 90))]
    together = fit_theta(*rows(*series), 12, dynamic=dynamic)
    forecasts = theta_forecasts(*rows(*series), 15, 12, together, dynamic=dynamic)
    for i, y in enumerate(series):
        alone = theta_forecasts(*rows(y), 15, 12, fit_theta(*rows(y), 12, dynamic=dynamic), dynamic=dynamic)
        np.testing.assert_allclose(forecasts[i], alone[0], rtol=1e-9)
    assert np.isfinite(forecasts).all(axis=1).tolist() == [len(y) > 3 for y in series]


@both
def test_a_season_is_divided_out_and_comes_back(dynamic):
    season = np.resize([0.5, 1.0, 1.5, 1.0], 40)
    plain = drawn(3, 40)
    learnt = fit_theta(*rows(plain * season), 4, dynamic=dynamic)
    got = theta_forecasts(*rows(plain * season), 4, 4, learnt, dynamic=dynamic)[0]
    want = theta_forecasts(*rows(plain), 4, 1, fit_theta(*rows(plain), 1, dynamic=dynamic), dynamic=dynamic)[0]
    np.testing.assert_allclose(got / season[:4], want, rtol=0.03)


@both
def test_a_straight_line_goes_on(dynamic):
    y = 5 + 3 * np.arange(20.0)
    got = theta_forecasts(*rows(y), 3, 1, fit_theta(*rows(y), 1, dynamic=dynamic), dynamic=dynamic)[0]
    # The classical method halves the slope, then adds it back with the level's lag.
    np.testing.assert_allclose(got[0], 65, rtol=0.03)
    assert (np.diff(got) > (2.9 if dynamic else 1.4)).all()


@both
@pytest.mark.parametrize("n", [1, 3])
def test_too_few_rows_or_a_constant_teach_nothing(dynamic, n):
    assert not fit_theta(*rows(drawn(2)[:n], np.full(30, 5.0)), 1, dynamic=dynamic).known.any()


@both
def test_no_series_is_no_error(dynamic):
    none = np.zeros(0), np.array([0])
    assert theta_forecasts(*none, 3, 4, fit_theta(*none, 4, dynamic=dynamic), dynamic=dynamic).shape == (0, 3)
