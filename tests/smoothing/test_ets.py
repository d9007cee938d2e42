"""Exponential smoothing: against statsmodels at the same parameters, its own optimum, and plain properties."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from tsforce.datasets import load
from tsforce.smoothing.ets import FORMS, Smoothing, ets_forecasts, fit_ets
from tsforce.smoothing.longest_first import longest_first
from tsforce.smoothing.recursion import initial_states

AIR = load("airpassengers")["y"].to_numpy(float)
names = pytest.mark.parametrize("form", FORMS, ids="".join)


def drawn(number, rows=60, m=12):
    """A positive series with a level that wanders, a trend that fades and a season."""
    rng = np.random.default_rng(number)
    level = 100 + np.cumsum(rng.normal(0.2, 1.5, rows))
    season = 1 + 0.1 * np.resize(rng.normal(size=m), rows)
    return level * season + rng.normal(0, 1.5, rows)


def rows(*series):
    return np.concatenate(series), np.concatenate([[0], np.cumsum([len(y) for y in series])])


def usual(m):
    """Forms for series with rows enough for a season of m, if m is more than 1."""
    return [form for form in FORMS if (form.season == "N" if m == 1 else form.trend != "A")]


def first_states(y, form, m):
    """Level, slope and season before the first row, original units."""
    part = next(longest_first(*rows(y), np.array([0])))
    states = initial_states(
        part,
        sloping=form.sloping,
        season_length=m if form.season != "N" else 1,
        multiplicative=form.multiplicative,
    )
    unit = part.unit[0]
    slope = states.slope[0, 0] * unit if form.sloping else 0.0
    season = None if form.season == "N" else states.season[:, 0, 0] * (1 if form.multiplicative else unit)
    return states.level[0, 0] * unit, slope, season


def by_hand(y, form, m, learnt, horizon):
    """Log-likelihood and forecasts, one row after another (Hyndman et al. 2008, tables 2.2 and 2.3)."""
    alpha, beta, gamma, phi = (float(p[0, 0]) for p in learnt[1:5])
    level, slope, season = first_states(y, form, m)
    season = [0.0] if season is None else list(season)
    errors, outputs = [], []
    for t, value in enumerate(y):
        s, before = season[t % len(season)], level + phi * slope
        mu = before * s if form.multiplicative else before + s
        share = (value - mu) / mu
        errors.append(share if form.error == "M" else value - mu)
        outputs.append(mu if form.error == "M" else 1.0)
        if form.multiplicative:
            level, slope = before * (1 + alpha * share), phi * slope + beta * before * share
            season[t % len(season)] = s * (1 + gamma * share)
        else:
            level, slope = before + alpha * (value - mu), phi * slope + beta * (value - mu)
            season[t % len(season)] = s + gamma * (value - mu) * (form.season != "N")
    n = len(y)
    likelihood = -n / 2 * (np.log(2 * np.pi * np.mean(np.square(errors))) + 1) - np.log(outputs).sum()
    ahead = []
    for h in range(horizon):
        slope *= phi
        level += slope
        s = season[(n + h) % len(season)]
        ahead.append(level * s if form.multiplicative else level + s)
    return likelihood, ahead


def in_statsmodels(y, form, m):
    """The same model in statsmodels, from the same initial states."""
    level, slope, season = first_states(y, form, m)
    known = {"initial_level": level}
    if form.sloping:
        known["initial_trend"] = slope
    if season is not None:
        known["initial_seasonal"] = season
    kind = {"A": "add", "M": "mul"}
    return ETSModel(
        y,
        error=kind[form.error],
        trend="add" if form.sloping else None,
        damped_trend=form.damped,
        seasonal=kind.get(form.season),
        seasonal_periods=None if season is None else m,
        initialization_method="known",
        **known,
    )


def smoothed(model, learnt):
    """statsmodels' results at our parameters."""
    own = {
        "smoothing_level": learnt.alpha[0, 0],
        "smoothing_trend": learnt.beta[0, 0],
        "smoothing_seasonal": learnt.gamma[0, 0],
        "damping_trend": learnt.phi[0, 0],
    }
    return model.smooth(np.array([own[name] for name in model.param_names]))


@names
@pytest.mark.parametrize("rows_left", [144, 61, 37])
def test_likelihood_and_forecasts_are_those_of_the_recursion_by_hand(form, rows_left):
    y = AIR[-rows_left:]
    learnt = fit_ets(*rows(y), 12, (form,))
    likelihood, ahead = by_hand(y, form, 12, learnt, 20)
    np.testing.assert_allclose(learnt.log_likelihood[0, 0], likelihood, rtol=1e-10)
    np.testing.assert_allclose(ets_forecasts(*rows(y), 20, 12, learnt, (form,))[0], ahead, rtol=1e-10)


@names
def test_forecasts_are_those_of_statsmodels_at_the_same_parameters(form):
    learnt = fit_ets(*rows(AIR), 12, (form,))
    if form.multiplicative:
        # statsmodels divides by the new level where the model has the old one; without gamma that is the same.
        learnt = learnt._replace(gamma=np.zeros((1, 1)))
    there = smoothed(in_statsmodels(AIR, form, 12), learnt)
    got = ets_forecasts(*rows(AIR), 20, 12, learnt, (form,))[0]
    np.testing.assert_allclose(got, there.forecast(20), rtol=1e-9)


@pytest.mark.parametrize("form", [form for form in FORMS if not form.multiplicative], ids="".join)
def test_likelihood_is_that_of_statsmodels_at_the_same_parameters(form):
    y = AIR[-61:]
    learnt = fit_ets(*rows(y), 12, (form,))
    there = smoothed(in_statsmodels(y, form, 12), learnt)
    np.testing.assert_allclose(learnt.log_likelihood[0, 0], there.llf, rtol=1e-10)


@names
def test_no_parameters_that_statsmodels_finds_are_more_than_a_thousandth_likelier(form):
    series = [AIR, *(drawn(number) for number in range(4))]
    learnt = fit_ets(*rows(*series), 12, (form,))
    for y, likelihood in zip(series, learnt.log_likelihood[:, 0], strict=True):
        best = in_statsmodels(y, form, 12).fit(disp=False).llf
        assert likelihood > best - 1e-3 * abs(best)


def test_the_form_is_that_of_lowest_aicc_with_initial_states_counted():
    for y, m in ((AIR, 12), (drawn(5, 40, 4), 4), (np.cumsum(drawn(6, 30, 1) - 90), 1)):
        found = {}
        for form in usual(m):
            alone = fit_ets(*rows(y), m, (form,))
            # Parameters, variance, level; slope; indices that add up to a constant.
            k = len(in_statsmodels(y, form, m).param_names) + 2 + form.sloping + (m - 1) * (form.season != "N")
            n = len(y)
            found[form] = -2 * by_hand(y, form, m, alone, 0)[0] + 2 * k * n / (n - k - 1)
        learnt = fit_ets(*rows(y), m)
        assert FORMS[learnt.weight[0].argmax()] == min(found, key=found.get)


def test_series_together_are_learnt_as_each_alone():
    series = [drawn(number, n) for number, n in enumerate((60, 41, 33, 90, 7, 3, 1, 90))]
    together = fit_ets(*rows(*series), 12)
    forecasts = ets_forecasts(*rows(*series), 15, 12, together)
    for i, y in enumerate(series):
        alone = fit_ets(*rows(y), 12)
        np.testing.assert_array_equal(together.weight[i], alone.weight[0])
        np.testing.assert_allclose(forecasts[i], ets_forecasts(*rows(y), 15, 12, alone)[0], rtol=1e-9)


def test_a_series_with_a_value_of_zero_or_below_gets_no_form_for_positive_values():
    y = drawn(1)
    values, indptr = rows(y, np.where(np.arange(60) == 31, 0.0, y), y - y.min() - 1)
    forms = [FORMS[number] for number in fit_ets(values, indptr, 12).weight.argmax(axis=1)]
    assert forms[0].positive
    assert not forms[1].positive
    assert not forms[2].positive


@pytest.mark.parametrize("n", [1, 3, 4])
def test_too_few_rows_get_no_form(n):
    learnt = fit_ets(*rows(drawn(2)[:n]), 12)
    assert not learnt.known[0]
    assert np.isnan(ets_forecasts(*rows(drawn(2)[:n]), 2, 12, learnt)).all()


def test_long_series_are_learnt_from_their_last_rows(monkeypatch):
    series = [drawn(1, 90), drawn(2, 50), drawn(3, 70)]
    want = fit_ets(*rows(*(y[-60:] for y in series)), 12)
    assert not np.array_equal(fit_ets(*rows(*series), 12).alpha, want.alpha)
    monkeypatch.setattr("tsforce.smoothing.likelihood._MOST_ROWS", 60)
    for got, array in zip(fit_ets(*rows(*series), 12), want, strict=True):
        np.testing.assert_array_equal(got, array)


def test_a_constant_gets_no_form():
    assert not fit_ets(*rows(np.full(30, 5.0)), 1).known[0]


def test_simple_exponential_smoothing_by_hand():
    # The level starts from the mean of the first rows, here all five.
    learnt = Smoothing(np.ones((1, 1)), np.full((1, 1), 0.5), *np.zeros((4, 1, 1)))
    y = np.array([2.0, 5.0, 6.0, 3.0, 4.0])
    got = ets_forecasts(*rows(y), 2, 1, learnt, FORMS[:1])
    level = 4.0
    for value in y:
        level += 0.5 * (value - level)
    np.testing.assert_allclose(got, [[level, level]], rtol=1e-12)


def test_states_are_read_from_the_rows_given_and_parameters_stay():
    form = FORMS[-1]
    learnt = fit_ets(*rows(AIR[:100]), 12, (form,))
    got = ets_forecasts(*rows(AIR[:130]), 6, 12, learnt, (form,))[0]
    np.testing.assert_allclose(got, by_hand(AIR[:130], form, 12, learnt, 6)[1], rtol=1e-9)


@pytest.mark.parametrize(("y", "m"), [(AIR, 12), (drawn(3, 40), 1)])
def test_combined_is_the_mean_of_the_forms_weighted_by_their_aicc(y, m):
    forecasts, criteria = [], []
    for form in usual(m):
        alone, n, k = fit_ets(*rows(y), m, (form,)), len(y), form.count(m)
        forecasts.append(ets_forecasts(*rows(y), 8, m, alone, (form,))[0])
        criteria.append(-2 * alone.log_likelihood[0, 0] + 2 * k * n / (n - k - 1))
    weights = np.exp((min(criteria) - np.array(criteria)) / 8)
    learnt = fit_ets(*rows(y), m, combined=True)
    # Forms far off on the grid already are left out: their weights are below exp(-40 / 8).
    got = ets_forecasts(*rows(y), 8, m, learnt)[0]
    np.testing.assert_allclose(got, weights @ np.array(forecasts) / weights.sum(), rtol=2e-3)
    np.testing.assert_allclose(learnt.weight.sum(), 1, rtol=1e-12)
    assert (learnt.weight[0] > 0.01).sum() > 1


def test_combined_forecasts_from_few_rows_are_those_of_the_forms_that_they_are_enough_for():
    learnt = fit_ets(*rows(AIR), 12, combined=True)
    season = [form.season != "N" for form in FORMS]
    plain = np.where(season, 0.0, np.ones(len(season)))
    few = rows(AIR[:20])
    mixed = learnt._replace(weight=np.full_like(learnt.weight, 0.1))
    np.testing.assert_allclose(
        ets_forecasts(*few, 3, 12, mixed),
        ets_forecasts(*few, 3, 12, learnt._replace(weight=plain[None] / plain.sum())),
        rtol=1e-12,
    )


def test_a_trend_that_never_fades_is_for_series_that_get_no_season():
    # Steeper and steeper: without damping is likelier.
    y = 10 + 0.05 * np.arange(40.0) ** 2 + np.random.default_rng(0).normal(size=40)
    chosen = [FORMS[fit_ets(*rows(y[:n]), m).weight[0].argmax()].trend for n, m in ((40, 1), (40, 30), (40, 4))]
    assert chosen[:2] == ["A", "A"]
    assert chosen[2] != "A"
    assert fit_ets(*rows(y), 4, (FORMS[1],)).known.all()


def test_no_series_is_no_error():
    none = np.zeros(0), np.array([0])
    assert ets_forecasts(*none, 3, 4, fit_ets(*none, 4)).shape == (0, 3)
