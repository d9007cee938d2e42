"""Weights of a panel that know whose errors go the same way."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.makers import make_frame
from tsforce import AutoNARX
from tsforce.data.panel import WindowIndex
from tsforce.forecasting.auto.choice import weigh
from tsforce.forecasting.auto.together import heard_together, stacked_weights

HELD = 0.1


def windows_of(truth, squared=(False, False)):
    """Two series with as many windows each, one step and one target, in scales of 1."""
    series = np.repeat([0, 1], len(truth) // 2)
    return SimpleNamespace(
        truth=truth[:, None, None],
        index=WindowIndex(series, np.zeros(len(truth), dtype=np.int64)),
        scale=np.ones((2, 1)),
        squared=np.array(squared),
    )


def trials_of(*forecasts):
    return [SimpleNamespace(yhat=np.asarray(yhat, dtype=float)[:, None, None]) for yhat in forecasts]


def test_weights_are_those_of_another_optimiser():
    errors = np.random.default_rng(0).normal(size=(4, 4)) @ np.random.default_rng(1).normal(size=(4, 300)) + 0.3
    near = np.array([0.4, 0.3, 0.2, 0.1])
    found = stacked_weights(errors, near, HELD)

    # The squares that it ends in: those of Huber's loss around its own answer, whose corner is their mean.
    size = np.abs(found @ errors)
    gram = (errors / np.maximum(size, size.mean())) @ errors.T / 300
    unit = np.trace(gram) / 4

    def objective(w):
        return (w @ gram @ w + HELD * unit * np.sum((w - near) ** 2)) / unit

    other = minimize(
        objective, near, bounds=[(0, 1)] * 4, constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, tol=1e-12
    )
    np.testing.assert_allclose(found, other.x, atol=2e-3)
    assert found.sum() == pytest.approx(1)
    assert np.abs(found @ errors).mean() < np.abs(near @ errors).mean()


def test_what_is_said_five_times_is_heard_hardly_more_than_what_is_said_once():
    rng = np.random.default_rng(3)
    truth, one, other = rng.normal(size=(3, 400))
    weight = np.full((6, 2), 1 / 6)
    found = heard_together(weight, trials_of(*[truth + one] * 5, truth + other), windows_of(truth))
    assert found.sum(axis=0) == pytest.approx(1)
    assert found[5, 0] > 0.4 > 2 * weight[5, 0]
    np.testing.assert_allclose(found[:5, 0], found[0, 0])


def test_the_fewer_windows_there_are_the_nearer_weights_stay():
    rng = np.random.default_rng(4)
    errors = rng.normal(size=(3, 100)) * [[1.0], [1.5], [2.0]] + 0.5 * rng.normal(size=100)
    near = np.array([0.2, 0.3, 0.5])
    weight, truth = np.repeat(near[:, None], 2, axis=1), np.zeros(100)
    # Held twice as much at 300 windows as where there are many, four times at 100.
    expected = stacked_weights(errors, near, 4 * HELD)
    found = heard_together(weight, trials_of(*-errors), windows_of(truth))
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 2, axis=1), atol=1e-9)
    assert np.abs(expected - near).max() > 0.05


def test_series_judged_by_squares_have_no_say_and_keep_their_weights():
    rng = np.random.default_rng(4)
    truth, one, other = rng.normal(size=(3, 400))
    truth[200:] = 0
    weight = np.array([[0.5, 0.9], [0.5, 0.1]])
    found = heard_together(weight, trials_of(truth + one, truth + 0.5 * other), windows_of(truth, (False, True)))
    assert found[1, 0] > 0.5
    np.testing.assert_array_equal(found[:, 1], weight[:, 1])


def test_a_candidate_without_a_forecast_is_judged_as_what_is_heard_in_its_place():
    rng = np.random.default_rng(5)
    truth, one, other = rng.normal(size=(3, 400))
    absent = np.where(np.arange(400) < 200, np.nan, truth + other)
    weight = np.array([[1.0, 0.5], [0.0, 0.5]])
    found = heard_together(weight, trials_of(truth + one, absent), windows_of(truth))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, 0], weight[:, 0])


@pytest.mark.parametrize("truth", [np.empty(0), np.full(4, np.nan), np.zeros(4)])
def test_where_nothing_is_known_or_all_is_right_weights_stay(truth):
    weight = np.array([[0.7, 0.2], [0.3, 0.8]])
    np.testing.assert_array_equal(heard_together(weight, trials_of(truth, truth), windows_of(truth)), weight)


@pytest.mark.slow
@pytest.mark.parametrize(("n_rows", "moved"), [(120, True), (24, False)])
def test_weights_move_where_trials_knew_nearly_all_rows(n_rows, moved):
    model = AutoNARX(horizon=3, season_length=4, budget="fast").fit(make_frame([n_rows] * 3, season=4))
    own = weigh(model._trials_, model._windows_)
    assert (np.abs(model._shares_ - own).max() > 1e-6) == moved
