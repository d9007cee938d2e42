"""The guard of simulations: integrators, far measurements, other units and settled records are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tsforce import NARXRegressor
from tsforce.errors import ArgumentError, DivergenceWarning
from tsforce.models import MLP, Polynomial
from tsforce.sysid import step_response

INTEGRATES = ["linear", "polynomial", Polynomial(n_terms=2), LinearRegression()]


def tank(n, start=0.0, rate=0.1, seed=0):
    u = np.random.default_rng(seed).normal(size=(n, 1))
    return u, start + np.append(0.0, np.cumsum(rate * u[:-1, 0]))


@pytest.mark.parametrize("model", INTEGRATES)
@pytest.mark.parametrize("mode", ["open_loop", "closed_loop"])
def test_a_tank_is_filled_for_longer_than_in_training(model, mode):
    settings = {"mode": mode, "max_steps": 3}
    fitted = NARXRegressor(1, 1, input_delay=1, model=model, **settings).fit(*tank(500))
    level = fitted.predict(np.ones((1000, 1)), [0.0])
    np.testing.assert_allclose(level, 0.1 * np.arange(1000), atol=0.05)


@pytest.mark.parametrize("model", INTEGRATES)
def test_measured_outputs_far_from_training_are_answered(model):
    fitted = NARXRegressor(1, 1, input_delay=1, model=model, mode="open_loop").fit(*tank(500))
    X, y = tank(50, start=1000.0, seed=1)
    # The first rows of the second have no five measured ones before them.
    for answer in (fitted.one_step(X, y)[5:], fitted.predict_ahead(X, y, 5)[5:], fitted.predict(X, y[:1])[5:]):
        np.testing.assert_allclose(answer, y[5:], atol=0.01)


def test_a_step_from_measured_outputs_is_what_the_map_says_even_if_it_runs_away():
    X, y = tank(300)
    fitted = NARXRegressor(1, 1, input_delay=1, model=Polynomial(degree=2, n_terms=3), mode="open_loop").fit(X, y)
    # y(t) = y(t-1)^2, in standardised units
    fitted.model_.indices[0] = fitted.model_.indices.new_tensor([[0, 0], [0, 2], [1, 2]])
    fitted.model_.weight[0, :, 0] = fitted.model_.weight.new_tensor([1.0, 0.0, 0.0])
    fitted.model_.bias[:] = 0.0
    far = fitted.y_mean_ + fitted.y_scale_ * np.full(20, 100.0)
    np.testing.assert_allclose((fitted.one_step(X[:20], far)[1:] - fitted.y_mean_) / fitted.y_scale_, 1e4, rtol=1e-9)
    with pytest.warns(DivergenceWarning, match="1 of 1 records ran away"):
        held = fitted.predict(X[:20], far[:1])
    assert np.isfinite(held).all()
    assert held[1] == pytest.approx(fitted.y_mean_[0] + 1e4 * fitted.y_scale_[0])


@pytest.mark.parametrize("model", ["linear", "polynomial", MLP((4,), "tanh")])
@pytest.mark.parametrize("unit", [(1.0, 0.01), (0.01, 1.0), (1e-6, 1e6)])
def test_a_step_response_does_not_depend_on_units(model, unit):
    u = np.random.default_rng(0).normal(size=(300, 1))
    y = np.zeros(300)
    for t in range(1, 300):
        y[t] = 0.5 * y[t - 1] + 0.5 * u[t - 1, 0]
    responses = []
    for of_input, of_output in ((1.0, 1.0), unit):
        settings = {"mode": "open_loop", "max_steps": 3}
        fitted = NARXRegressor(1, 1, input_delay=1, model=model, **settings).fit(of_input * u, of_output * y)
        found = step_response(fitted, 30, size=of_input)
        responses.append(found.frame["response"].to_numpy() / of_output)
    np.testing.assert_allclose(responses[1], responses[0], atol=1e-6)
    np.testing.assert_allclose(responses[0][-1], 1.0, atol=0.01)


def test_a_step_a_hundred_times_that_of_training_is_answered():
    u = 0.01 * np.random.default_rng(0).choice([-1.0, 1.0], size=(500, 1))
    y = np.zeros(500)
    for t in range(1, 500):
        y[t] = 0.5 * y[t - 1] + 0.5 * u[t - 1, 0]
    found = step_response(NARXRegressor(1, 1, input_delay=1, mode="open_loop").fit(u, y), 30)
    assert found.figures["gain"].item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("model", ["linear", MLP((6,), "tanh"), MLP((6,), "relu")])
def test_a_record_that_has_settled_is_simulated_to_another_level(model):
    u = np.r_[np.zeros(3), np.ones(900)][:, None]
    y = np.zeros(len(u))
    for t in range(1, len(u)):
        y[t] = 0.5 * y[t - 1] + 0.5 * u[t - 1, 0]
    fitted = NARXRegressor(1, 1, input_delay=1, model=model, mode="open_loop", max_steps=5).fit(u, y)
    level = fitted.predict(np.full((40, 1), 3.0), [1.0])
    assert level[-1] == pytest.approx(3.0, abs=0.6)


def test_a_guard_can_be_widened_and_switched_off():
    X, y = tank(300)
    settings = {"output_lags": 1, "input_lags": 1, "input_delay": 1, "mode": "open_loop"}
    wide = []
    for guard in (10.0, 100.0, None, False):
        fitted = NARXRegressor(guard=guard, **settings).fit(X, y)
        fitted.model_.weight[0, 0, 0] = 1.5
        if guard:
            with pytest.warns(DivergenceWarning, match=f"ran away, beyond {guard:g} times"):
                wide.append(np.abs(fitted.predict(X[:60], y[:1])).max())
            assert fitted.simulate(X[:60], y[:1]).clipped.all()
        else:
            wide.append(np.abs(fitted.predict(X[:60], y[:1])).max())
            assert not fitted.simulate(X[:60], y[:1]).clipped.any()
    assert wide[0] < 0.2 * wide[1] < 0.01 * wide[2]
    assert wide[2] == wide[3] > 1e6
    with pytest.raises(ArgumentError, match="guard=0: expected a number above 0"):
        NARXRegressor(guard=0).fit(X, y)
