"""Correlations of residuals: against statsmodels and plain loops, and how often chance alone makes them stand out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import chi2
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.tsa.stattools import acf

from tsforce.scoring.residual_correlation import autocorrelation, dependence, ljung_box

LAGS = 20


def test_autocorrelation_and_ljung_box_are_those_of_statsmodels():
    e = lfilter([1.0], [1.0, -0.3], np.random.default_rng(0).normal(3, 2, size=400))
    own = autocorrelation(e, LAGS)
    np.testing.assert_allclose(own, acf(e, nlags=LAGS, fft=False), rtol=1e-10, atol=1e-14)
    table = acorr_ljungbox(e, lags=[LAGS])
    statistic = ljung_box(own, [400])
    assert statistic == pytest.approx(float(table["lb_stat"].iloc[0]), rel=1e-10)
    assert chi2.sf(statistic, LAGS) == pytest.approx(float(table["lb_pvalue"].iloc[0]), rel=1e-8)


def test_no_product_reaches_from_one_record_into_another():
    rng = np.random.default_rng(1)
    e, u, sizes = rng.normal(size=90), rng.normal(size=90), [50, 10, 30]
    centred, number = e - e.mean(), np.repeat(np.arange(3), sizes)
    for k, found in enumerate(autocorrelation(e, 12, sizes)):
        pairs = [centred[t] * centred[t - k] for t in range(k, 90) if number[t] == number[t - k]]
        assert found == pytest.approx(sum(pairs) / (centred**2).sum(), abs=1e-12)
    pairs = [sum(max(0, size - k) for size in sizes) for k in range(1, 13)]
    own = autocorrelation(e, 12, sizes)
    looped = 90 * 92 * sum(own[k] ** 2 / pairs[k - 1] for k in range(1, 13))
    assert ljung_box(own, sizes) == pytest.approx(looped, rel=1e-12)
    lags = range(-2, 4)
    rows = [t for t in range(90) if t - 3 >= 0 and t + 2 < 90 and number[t - 3] == number[t] == number[t + 2]]
    used = (e[rows] - e[rows].mean()) / e[rows].std()
    table = np.array([[u[t - k] for k in lags] for t in rows])
    looped = (table - table.mean(axis=0)).T @ used / len(rows) / table.std()
    np.testing.assert_allclose(dependence(e, u, lags, sizes)[0], looped, rtol=1e-10)


def test_an_input_that_is_before_shows_at_its_lag_and_nowhere_else():
    rng = np.random.default_rng(2)
    u = rng.normal(size=3000)
    e = np.append(np.zeros(4), u[:-4]) + rng.normal(size=3000)
    r, spread, statistic, degrees = dependence(e, u, range(-5, 11))
    outside = np.flatnonzero(np.abs(r) > 4 * spread) - 5
    assert outside.tolist() == [4]
    assert r[9] == pytest.approx(np.sqrt(0.5), abs=0.03)
    assert chi2.sf(statistic, degrees) < 1e-10


def white(rng, n):
    return rng.normal(size=n)


def slow(rng, n):
    return lfilter([1.0], [1.0, -0.95], rng.normal(size=n))


def multisine(rng, n):
    phase = rng.uniform(0, 2 * np.pi, size=30)
    return np.cos(2 * np.pi * np.outer(np.arange(n), np.arange(3, 33)) / 250 + phase).sum(axis=1)


def sine(rng, n):
    return np.sin(2 * np.pi * np.arange(n) / 50 + rng.uniform(0, 2 * np.pi))


@pytest.mark.slow
@pytest.mark.parametrize("colour", [0.0, 0.7])
@pytest.mark.parametrize("make", [white, slow, multisine, sine])
def test_independent_residuals_fail_about_as_often_as_the_level_says(make, colour):
    """Of 300 draws at 5 %, 15 are to fail."""
    rng = np.random.default_rng(3)
    failed, outside = 0, []
    for _ in range(300):
        u, e = make(rng, 600), lfilter([1.0], [1.0, -colour], rng.normal(size=600))
        r, spread, statistic, degrees = dependence(e, u, range(16))
        failed += chi2.sf(statistic, degrees) < 0.05
        outside.append(np.mean(np.abs(r) > 1.96 * spread))
    assert failed / 300 < 0.1
    assert 0.02 < np.mean(outside) < 0.09


def test_white_residuals_have_the_plain_bound():
    rng = np.random.default_rng(4)
    _, spread, _, degrees = dependence(rng.normal(size=5000), rng.normal(size=5000), range(11))
    np.testing.assert_allclose(spread, 1 / np.sqrt(4990), rtol=0.05)
    assert degrees == 11


def test_an_input_of_one_frequency_has_two_degrees_of_freedom():
    rng = np.random.default_rng(5)
    assert dependence(rng.normal(size=1000), sine(rng, 1000), range(26))[3] == 2


@pytest.mark.parametrize("constant", ["residuals", "input"])
def test_where_nothing_varies_there_is_no_figure(constant):
    values = np.random.default_rng(6).normal(size=100)
    e, u = (np.full(100, 0.1), values) if constant == "residuals" else (values, np.full(100, 0.1))
    r, spread, statistic, degrees = dependence(e, u, range(5))
    assert np.isnan([*r, *spread, statistic]).all()
    assert degrees == 0
    assert np.isnan(autocorrelation(np.full(100, 0.1), 5)).all()
