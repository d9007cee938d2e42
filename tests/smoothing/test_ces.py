"""Complex exponential smoothing: against a loop in complex numbers, an optimiser of its own, and plain properties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from tsforce.datasets import load
from tsforce.smoothing.ces import SHAPES, ComplexSmoothing, ces_forecasts, fit_ces
from tsforce.smoothing.longest_first import longest_first
from tsforce.smoothing.recursion import initial_states

AIR = load("airpassengers")["y"].to_numpy(float)
names = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


def drawn(number, rows=40, m=4):
    """A series with a level that wanders and a season that changes."""
    rng = np.random.default_rng(number)
    season = np.cumsum(rng.normal(size=(rows // m + 1, m)), axis=0).ravel()[:rows]
    return 60 + np.cumsum(rng.normal(0.2, 1.0, rows)) + 2 * season


def rows(*series):
    return np.concatenate(series), np.concatenate([[0], np.cumsum([len(y) for y in series])])


def by_hand(y, shape, m, parameters, horizon):
    """Log-likelihood and forecasts, one row after another, a level and its shadow as one complex number.

    With a = a0 + i a1, forecast z and error e: a (y + i e) + (1 + i - a) z is the next z (Svetunkov, Kourentzes & Ord
    2022, equation 5), where y is what was to be forecast by the real part of z.
    """
    part = next(longest_first(*rows(y), np.array([0])))
    first = initial_states(part, sloping=False, season_length=m if shape.season else 1, multiplicative=False)
    level, season = first.level[0, 0] * part.unit[0], [0.0]
    if shape.season:
        season = list(first.season[:, 0, 0] * part.unit[0])
    if not shape.level:
        season, level = [s + level for s in season], 0.0
    a, b = complex(*parameters[:2]), complex(*parameters[2:])
    level *= 1 + 1j / 1.1 if shape.level else 0.0
    if shape.season == 2:
        season = [s * (1 + 1j / 1.1) for s in season]

    def next_states(t, value):
        nonlocal level
        own = season[t % len(season)]
        error = value - level.real - own.real
        if shape.level:
            level = a * (level.real + error + 1j * error) + (1 + 1j - a) * level
        if shape.season == 2:
            season[t % len(season)] = b * (own.real + error + 1j * error) + (1 + 1j - b) * own
        elif shape.season == 1:
            season[t % len(season)] = own + b.real * error
        return error

    cast = range(min(len(y), max(40, 4 * m)))
    for t in (*cast, *reversed(cast)):
        next_states(t, y[t])
    squares = np.mean(np.square([next_states(t, value) for t, value in enumerate(y)]))
    ahead = []
    for t in range(len(y), len(y) + horizon):
        ahead.append(level.real + season[t % len(season)].real)
        next_states(t, ahead[-1])
    return -len(y) / 2 * (np.log(2 * np.pi * squares) + 1), ahead


@names
@pytest.mark.parametrize("rows_left", [144, 61, 37])
def test_likelihood_and_forecasts_are_those_of_the_loop(shape, rows_left):
    y = AIR[-rows_left:]
    learnt = fit_ces(*rows(y), 12, (shape,))
    likelihood, ahead = by_hand(y, shape, 12, learnt.parameters[0, 0], 20)
    np.testing.assert_allclose(learnt.log_likelihood[0, 0], likelihood, rtol=1e-8)
    np.testing.assert_allclose(ces_forecasts(*rows(y), 20, 12, learnt, (shape,))[0], ahead, rtol=1e-8)


@names
def test_no_parameters_are_more_than_a_hundredth_likelier(shape):
    series = [drawn(number) for number in range(3)]
    learnt = fit_ces(*rows(*series), 4, (shape,))
    own = shape.parameters
    high = np.array((1.95, 1.1, 1.5, 1.1))[own]

    def misses(share, y):
        parameters = np.zeros(4)
        parameters[own] = 0.01 + share * (high - 0.01)
        return -by_hand(y, shape, 4, parameters, 0)[0]

    for y, likelihood in zip(series, learnt.log_likelihood[:, 0], strict=True):
        found = minimize(
            misses, np.full(len(own), 0.6), (y,), "Nelder-Mead", bounds=[(0, 1)] * len(own), options={"maxfev": 150}
        )
        assert likelihood > -found.fun - 0.01 * abs(found.fun)


def test_the_form_is_that_of_lowest_aicc():
    for y, m in ((AIR[-50:], 12), (drawn(5), 4), (drawn(6), 1)):
        found = {}
        for shape in SHAPES[: 1 if m == 1 else 4]:
            alone = fit_ces(*rows(y), m, (shape,))
            n, k = len(y), len(shape.parameters) + 1
            found[shape] = -2 * by_hand(y, shape, m, alone.parameters[0, 0], 0)[0] + 2 * k * n / (n - k - 1)
        assert SHAPES[fit_ces(*rows(y), m).weight[0].argmax()] == min(found, key=found.get)


def test_series_together_are_learnt_as_each_alone():
    series = [drawn(number, n) for number, n in enumerate((30, 21, 45, 7, 3, 1))]
    together = fit_ces(*rows(*series), 4)
    forecasts = ces_forecasts(*rows(*series), 15, 4, together)
    for i, y in enumerate(series):
        alone = fit_ces(*rows(y), 4)
        np.testing.assert_array_equal(together.weight[i], alone.weight[0])
        np.testing.assert_allclose(forecasts[i], ces_forecasts(*rows(y), 15, 4, alone)[0], rtol=1e-7)
    assert np.isfinite(forecasts).all(axis=1).tolist() == [len(y) > 5 for y in series]


def test_with_a_second_parameter_of_one_it_is_simple_exponential_smoothing_by_the_first_less_one():
    learnt = ComplexSmoothing(np.ones((1, 1)), np.array([[[1.3, 1.0, 0.0, 0.0]]]), np.zeros((1, 1)))
    y = drawn(1)
    level = y[:10].mean()
    for value in (*y, *y[::-1], *y):
        level += 0.3 * (value - level)
    got = ces_forecasts(*rows(y), 3, 1, learnt, SHAPES[:1])
    np.testing.assert_allclose(got, np.full((1, 3), level), rtol=1e-12)


def test_what_nothing_can_be_learnt_from_gets_no_form():
    short, still = drawn(2, 5), np.full(30, 5.0)
    learnt = fit_ces(*rows(short, still), 4)
    assert not learnt.known.any()
    assert np.isnan(ces_forecasts(*rows(short, still), 2, 4, learnt)).all()
    none = np.zeros(0), np.array([0])
    assert ces_forecasts(*none, 3, 4, fit_ces(*none, 4)).shape == (0, 3)
