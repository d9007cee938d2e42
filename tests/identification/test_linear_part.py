"""The linear part of fitted models: coefficients of the system that made the data, and finite differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.tree import DecisionTreeRegressor

from tsforce import NARXRegressor
from tsforce.dynamics.companion import companion, linearise
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.errors import ArgumentError
from tsforce.sysid import stability


@pytest.fixture(scope="module")
def record():
    """Two outputs of different size that read each other, two inputs at offsets of their own, far from zero."""
    rng = np.random.default_rng(0)
    u = rng.normal([5.0, -300.0], [1.0, 40.0], size=(800, 2))
    y = np.zeros((800, 2))
    for t in range(3, 800):
        y[t, 0] = 20 + 0.6 * y[t - 1, 0] - 0.2 * y[t - 3, 0] + 0.001 * y[t - 1, 1] + 2 * u[t, 0]
        y[t, 1] = -50 + 0.5 * y[t - 1, 1] + 3 * y[t - 3, 0] + 0.25 * u[t - 2, 1]
    return u, y


def bent(kind, **settings):
    """A model fitted to a system that bends."""
    rng = np.random.default_rng(1)
    u, y = rng.normal(size=(600, 1)), np.zeros(600)
    for t in range(2, 600):
        y[t] = 0.5 * y[t - 1] - 0.2 * y[t - 2] + np.tanh(u[t - 1, 0]) + 0.1 * y[t - 1] * u[t - 2, 0]
    return NARXRegressor(2, [1, 2], model=kind, mode="open_loop", random_state=0, **settings).fit(u, y), u, y


def test_coefficients_are_those_of_the_system_in_its_own_units(record):
    u, y = record
    model = NARXRegressor([1, 3], [0, 2], mode="open_loop").fit(u[3:], y[3:])
    a, b, inputs, outputs = model.linear_part()
    expected_a, expected_b = np.zeros((3, 2, 2)), np.zeros((3, 2, 2))
    expected_a[0], expected_a[2] = [[0.6, 0.001], [0, 0.5]], [[-0.2, 0], [3, 0]]
    expected_b[0, 0, 0], expected_b[2, 1, 1] = 2, 0.25
    np.testing.assert_allclose(a, expected_a, atol=1e-6)
    np.testing.assert_allclose(b, expected_b, atol=1e-6)
    np.testing.assert_allclose(inputs, u[3:].mean(axis=0))
    np.testing.assert_allclose(outputs, y[3:].mean(axis=0))


def test_at_given_inputs_a_linear_model_rests_where_its_simulation_ends(record):
    u, y = record
    model = NARXRegressor([1, 3], [0, 2], mode="open_loop").fit(u[3:], y[3:])
    part = model.linear_part([6.0, -250.0])
    np.testing.assert_allclose(part.outputs, model.predict(np.tile([6.0, -250.0], (500, 1)))[-1], rtol=1e-8)
    np.testing.assert_allclose(part.a, model.linear_part().a)


@pytest.mark.parametrize("kind", ["mlp", "polynomial"])
@pytest.mark.parametrize("at", [None, 0.5])
def test_of_other_models_it_is_what_small_changes_do(kind, at):
    model, _, _ = bent(kind)
    a, b, (u0,), (y0,) = model.linear_part(at)
    assert at is None or u0 == at

    def last(outputs, inputs):
        """The row after two measured ones."""
        return model.predict(np.reshape([*inputs, 0.0], (3, 1)), np.array(outputs))[-1]

    h, rest = 1e-4, ([y0, y0], [u0, u0])
    if at is not None:
        assert last(*rest) == pytest.approx(y0, abs=1e-7)
    for lag in (1, 2):
        for which, coefficient in ((0, a[lag - 1, 0, 0]), (1, b[lag, 0, 0])):
            both = []
            for sign in (1, -1):
                moved = [list(part) for part in rest]
                moved[which][2 - lag] += sign * h
                both.append(last(*moved))
            assert coefficient == pytest.approx((both[0] - both[1]) / (2 * h), abs=1e-3)
    assert b[0, 0, 0] == 0


def test_its_radius_is_that_of_the_companion_map():
    model, _, _ = bent("mlp")
    past = torch.zeros(1, 1, model.model_.layout.reach, 1)
    known = (past.new_zeros(1, 1, past.shape[2], 0), past.new_zeros(1, 1, past.shape[2] + 1, 1))
    inputs = (*known, past.new_zeros(1, 1, 0), past.new_zeros(1, 1, 1, 0))
    dtype = next(model.model_.parameters()).dtype
    found = companion(model.model_, past.to(dtype), 1, inputs=tuple(part.to(dtype) for part in inputs))
    assert stability(model).radius == pytest.approx(found.radius.item(), rel=1e-5)


def test_names_of_columns_are_kept():
    _, u, y = bent("linear")
    model = NARXRegressor(2, [1, 2], mode="open_loop").fit(pd.DataFrame({"valve": u[:, 0]}), y)
    np.testing.assert_allclose(model.linear_part(0.3).inputs, [0.3])


@pytest.mark.parametrize("kind", [DecisionTreeRegressor(max_depth=3), "gru"])
@pytest.mark.slow
def test_a_model_without_a_linear_part_says_so(kind):
    _, u, y = bent("linear")
    settings = {"max_steps": 2} if kind == "gru" else {}
    model = NARXRegressor(2, [1, 2], model=kind, mode="open_loop", **settings).fit(u, y)
    with pytest.raises(ArgumentError, match="has no linear part in lags of outputs and inputs"):
        model.linear_part()


@pytest.mark.parametrize("at", [[1.0, 2.0], [np.nan], "high"])
def test_an_operating_point_that_is_none_is_named(at):
    with pytest.raises(ArgumentError, match=r"at=.*: expected 1 numbers"):
        bent("linear")[0].linear_part(at)


def test_an_integrator_rests_only_without_input():
    rng = np.random.default_rng(2)
    u = rng.normal(size=(300, 1))
    y = np.append(0.0, np.cumsum(u[:-1, 0]))
    model = NARXRegressor(1, [1], mode="open_loop").fit(u, y)
    assert model.linear_part().a.item() == pytest.approx(1.0)
    with pytest.raises(ArgumentError, match="does not come to rest at these inputs"):
        model.linear_part(1.0)


def test_derivatives_of_a_step_are_the_weights_of_a_linear_map():
    layout = LagLayout((1, 3), ("p", "q"), future_exog=(("u", (0, 1)),))
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(1, 6, 2, generator=rng, dtype=torch.float64)
    model = Linear(layout, weight, torch.ones(1, 2, dtype=torch.float64))
    past = torch.randn(1, 4, 5, 2, generator=rng, dtype=torch.float64)
    known = torch.randn(1, 4, 2, generator=rng, dtype=torch.float64)
    output, by_fed, by_known = linearise(model, past, known)
    assert by_fed.shape == (1, 4, 2, 3, 2)
    for window in range(4):
        # Columns: lag 3 of p and q, lag 1 of p and q, then u at offsets 1 and 0.
        torch.testing.assert_close(by_fed[0, window, :, 0], weight[0, 2:4].T)
        torch.testing.assert_close(by_fed[0, window, :, 1], torch.zeros(2, 2, dtype=torch.float64))
        torch.testing.assert_close(by_fed[0, window, :, 2], weight[0, :2].T)
        torch.testing.assert_close(by_known[0, window], weight[0, 4:].T)
        x = torch.cat([past[0, window, 2], past[0, window, 4], known[0, window]])
        torch.testing.assert_close(output[0, window], x @ weight[0] + 1)
