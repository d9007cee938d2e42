"""Which lags are read: none of the outputs, and each input's own."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from tsforce import NARXRegressor, Training
from tsforce.errors import ArgumentError
from tsforce.forcing import Annealed, GeneralizedTeacherForcing, InputNoise, ParallelSampling
from tsforce.models import GRU, Polynomial
from tsforce.sysid import frequency_response, identification_report, stability, step_response

IMPULSE = (0.0, 1.0, 0.5, -0.2)


def finite_response(rows=300, inputs=1):
    """Outputs that follow from inputs alone."""
    u = np.random.default_rng(0).normal(size=(rows, inputs))
    return u, np.convolve(u[:, 0], IMPULSE)[:rows] + 3


def two_dead_times(rows=300):
    u, y = np.random.default_rng(0).normal(size=(rows, 2)), np.zeros(rows)
    for t in range(1, rows):
        y[t] = 0.8 * y[t - 1] + u[t - 1, 0] + (0.5 * u[t - 12, 1] if t >= 12 else 0)
    return u, y


# ---- no outputs


@pytest.mark.parametrize("none", [0, [], ()])
def test_without_output_lags_a_model_is_the_regression_on_its_inputs(none):
    u, y = finite_response()
    noisy = y + 0.1 * np.random.default_rng(1).normal(size=len(y))
    model = NARXRegressor(none, 3, input_delay=1, mode="open_loop").fit(u, noisy)
    rows = np.column_stack([u[3 - k : len(u) - k, 0] for k in (1, 2, 3)])
    want = LinearRegression().fit(rows, noisy[3:])
    assert model.output_lags_ == ()
    np.testing.assert_allclose(model.predict(u)[3:], want.predict(rows), rtol=1e-9)
    np.testing.assert_allclose(model.linear_part().b[1:, 0, 0], want.coef_, rtol=1e-9)


@pytest.mark.parametrize("mode", ["open_loop", "closed_loop", "curriculum", InputNoise(0.1, "random_walk")])
@pytest.mark.parametrize("solver", ["adamw", "levenberg_marquardt"])
@pytest.mark.parametrize("kind", ["linear", "mlp", Polynomial(2)])
def test_every_family_mode_and_solver_does_without_output_lags(kind, mode, solver):
    u, y = finite_response()
    model = NARXRegressor(
        0, 3, input_delay=1, model=kind, mode=mode, horizon=5, max_steps=2, training=Training(solver=solver)
    ).fit(u, y)
    simulated = model.predict(u, "rest")
    np.testing.assert_allclose(simulated[3:], y[3:], atol=0.1)
    # Networks that AdamW trains are of single precision.
    np.testing.assert_allclose(simulated, model.one_step(u, y), rtol=1e-6)
    np.testing.assert_allclose(simulated, model.predict_ahead(u, y, 7), rtol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": ParallelSampling()},
        {"model": GRU(2), "mode": "closed_loop"},
        {"model": LinearRegression(), "mode": "closed_loop"},
        {"mode": GeneralizedTeacherForcing(Annealed(every=1))},
        {"mode": "closed_loop", "training": Training(initial_outputs="free", solver="levenberg_marquardt")},
        {"model": Polynomial(2, select="closed_loop"), "mode": "open_loop"},
        {"mode": "auto"},
    ],
)
def test_other_ways_of_learning_do_without_output_lags(settings):
    u, y = finite_response()
    model = NARXRegressor(0, 3, input_delay=1, horizon=5, max_steps=2, **settings).fit(u, y)
    assert model.score(u, y) > 0.99


def test_what_is_said_of_a_model_without_output_lags():
    u, y = finite_response()
    model = NARXRegressor(0, [1, 2, 3], model="polynomial", mode="open_loop").fit(u, y)
    part = model.linear_part(at=0.5)
    assert part.a.shape == (0, 1, 1)
    np.testing.assert_allclose(part.b[:, 0, 0], IMPULSE, atol=1e-9)
    found = stability(model)
    assert found.is_stable
    assert len(found.roots) == len(found.frame) == 0
    assert str(found).startswith("No output is fed back")
    np.testing.assert_allclose(found.gain, [[sum(IMPULSE)]], atol=1e-9)
    z = np.exp(-2j * np.pi * 0.1 * np.arange(4))
    np.testing.assert_allclose(frequency_response(model, [0.1]).response[0, 0, 0], IMPULSE @ z, atol=1e-9)
    np.testing.assert_allclose(step_response(model, 6).frame["response"], np.cumsum([*IMPULSE, 0, 0]), atol=1e-6)
    assert model.equation(digits=2) == "y(t) = x0(t-1) + 0.5 x0(t-2) - 0.2 x0(t-3) + 3"
    assert identification_report(model, u, y).scores["skip"][0] == 3


def test_two_outputs_without_output_lags():
    u, y = finite_response(inputs=2)
    both = np.column_stack([y, 2 * u[:, 1]])
    model = NARXRegressor(0, 4, mode="open_loop").fit(u, both)
    np.testing.assert_allclose(model.predict(u)[3:], both[3:], atol=1e-9)
    assert stability(model).radius == 0


# ---- each input's own


@pytest.mark.parametrize(
    ("input_lags", "input_delay"),
    [
        ([[1], [12]], 0),
        (([1], [12]), 0),
        (np.array([[1], [12]]), 0),
        ([[0], [11]], 1),
        (1, [1, 12]),
        ([0], np.array([1, 12])),
        ({"x0": [1], "x1": [12]}, 0),
        ([1, [0]], {"x0": 1, "x1": 12}),
        ({"x1": [12], "x0": 1}, {"x0": 1}),
    ],
)
def test_each_input_is_read_at_its_own_lags(input_lags, input_delay):
    u, y = two_dead_times()
    model = NARXRegressor(1, input_lags, input_delay=input_delay, mode="open_loop").fit(u, y)
    assert model.input_lags_ == {"x0": (1,), "x1": (12,)}
    np.testing.assert_allclose(model.predict(u, y[:12]), y, atol=1e-9)
    assert model.equation(digits=3) == "y(t) = 0.8 y(t-1) + x0(t-1) + 0.5 x1(t-12)"
    b = model.linear_part().b[:, 0]
    want = np.zeros((13, 2))
    want[1, 0], want[12, 1] = 1, 0.5
    np.testing.assert_allclose(b, want, atol=1e-9)
    assert identification_report(model, u, y).scores["skip"][0] == 12
    rises = step_response(model, 14).frame.pivot(index="step", columns="input", values="response")
    assert (rises.abs() > 1e-6).idxmax().to_dict() == {"x0": 1, "x1": 12}


def test_lags_of_inputs_are_named_by_the_columns_of_a_frame():
    u, y = two_dead_times()
    X = pd.DataFrame(u, columns=["valve", "steam"])
    model = NARXRegressor(1, {"steam": [12], "valve": [1]}, mode="open_loop").fit(X, y)
    assert model.input_lags_ == {"valve": (1,), "steam": (12,)}
    np.testing.assert_allclose(model.predict(X, y[:12]), y, atol=1e-9)


def test_a_flat_list_is_for_every_input_and_equal_lags_are_one_tuple():
    u, y = two_dead_times()
    flat = NARXRegressor(1, [1, 12], mode="open_loop").fit(u, y)
    nested = NARXRegressor(1, [[1, 12], [1, 12]], mode="open_loop").fit(u, y)
    assert flat.input_lags_ == nested.input_lags_ == (1, 12)
    np.testing.assert_array_equal(flat.predict(u), nested.predict(u))


@pytest.mark.parametrize(
    ("setting", "fragment"),
    [
        ({"input_lags": [[1], [2], [3]]}, "has 3 entries: expected 2, one for each of the inputs 'x0', 'x1'"),
        ({"input_lags": {"x0": 1}}, "leaves out 'x1'"),
        ({"input_lags": {"x0": 1, "x1": 1, "steam": 1}}, "names 'steam', but the inputs are 'x0', 'x1'"),
        ({"input_lags": [[1], []]}, r"input_lags of 'x1'=\[\]: expected a whole number L"),
        ({"input_lags": [[1], [0.5]]}, r"input_lags of 'x1'=\[0.5\]: expected a whole number L"),
        ({"input_lags": {"x0": [1], "x1": -1}}, "input_lags of 'x1'=-1: expected a whole number L"),
        ({"input_lags": 0}, "input_lags=0: expected a whole number L"),
        ({"input_lags": []}, r"input_lags=\[\]: expected a whole number L"),
        ({"input_lags": "12"}, "input_lags='12': expected a whole number L"),
        ({"input_delay": [1]}, "has 1 entries: expected 2"),
        ({"input_delay": [1, -1]}, "input_delay of 'x1'=-1: expected a whole number of at least 0"),
        ({"input_delay": {"x2": 1}}, "names 'x2', but the inputs are"),
        ({"input_delay": "1"}, "input_delay='1': expected a whole number"),
        ({"output_lags": -1}, "output_lags=-1: expected a whole number L for 1..L"),
        ({"output_lags": [0]}, r"output_lags=\[0\]: expected a whole number L for 1..L"),
        ({"output_lags": None}, "output_lags=None: expected"),
    ],
)
def test_what_are_no_lags_is_said(setting, fragment):
    u, y = two_dead_times(40)
    with pytest.raises(ArgumentError, match=fragment):
        NARXRegressor(mode="open_loop").set_params(**setting).fit(u, y)
