"""The equation of a fitted regressor: read as text and evaluated by hand, it is the one-step prediction."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from tsforce import NARXRegressor
from tsforce.errors import ArgumentError
from tsforce.models import Polynomial


@pytest.fixture(scope="module")
def record():
    """Two outputs and two inputs, far from zero and of sizes of their own."""
    rng = np.random.default_rng(0)
    u = rng.normal([5.0, -300.0], [1.0, 40.0], size=(400, 2))
    y = np.tile([60.0, -200.0], (400, 1))
    for t in range(3, 400):
        y[t, 0] = 20 + 0.6 * y[t - 1, 0] - 0.2 * y[t - 3, 0] + 0.03 * u[t, 0] * u[t - 2, 1]
        y[t, 1] = -50 + 0.5 * y[t - 1, 1] + 3 * y[t - 3, 0] + 0.002 * u[t - 2, 1] ** 2
    y += rng.normal(size=y.shape) * [0.5, 5.0]
    return pd.DataFrame(u, columns=["valve", "pump"]), pd.DataFrame(y, columns=["level", "flow"])


def evaluated(text, data, row):
    """The outputs that an equation gives for a row of the columns named in it."""
    answers = {}
    for line in text.splitlines():
        output, right = line.split("(t) = ")
        total = 0.0
        for part in re.split(r" (?=[+-] )", right):
            sign = -1.0 if part.startswith("-") else 1.0
            value = sign
            for factor in part.lstrip("+- ").split():
                found = re.fullmatch(r"(\w+)\(t(?:-(\d+))?\)(?:\^(\d+))?", factor)
                if found is None:
                    value *= float(factor)
                else:
                    name, lag, power = found.groups()
                    value *= data[name].iloc[row - int(lag or 0)] ** int(power or 1)
            total += value
        answers[output] = total
    return answers


@pytest.mark.parametrize("kind", ["linear", "polynomial", Polynomial(degree=3, n_terms=12)])
@pytest.mark.parametrize("outputs", [["level"], ["level", "flow"]])
def test_the_text_gives_the_one_step_prediction(record, kind, outputs):
    X, y = record[0], record[1][outputs]
    model = NARXRegressor([1, 3], [0, 2], model=kind, mode="open_loop").fit(X, y)
    want, text = model.one_step(X, y), model.equation(digits=17)
    data = pd.concat([X, y], axis=1)
    for row in (5, 100, 399):
        found = evaluated(text, data, row)
        assert list(found) == outputs
        np.testing.assert_allclose(list(found.values()), want[row], rtol=1e-8)


def test_trained_on_own_outputs_it_is_of_the_weights_that_were_kept(record):
    X, y = record[0], record[1][["level"]]
    model = NARXRegressor(3, 3, model=Polynomial(n_terms=6), mode="closed_loop", max_steps=3, horizon=10).fit(X, y)
    found = evaluated(model.equation(17), pd.concat([X, y], axis=1), 200)
    assert found["level"] == pytest.approx(model.one_step(X, y)[200, 0], rel=1e-8)


def test_digits_and_names(record):
    X, y = record
    model = NARXRegressor([1], [0], mode="open_loop").fit(X.to_numpy(), y["level"].to_numpy())
    text = model.equation(3, {"x0": "valve", "y": "level"})
    assert re.fullmatch(
        r"level\(t\) = [\d.]+ level\(t-1\) [+-] [\d.]+ valve\(t\) [+-] [\d.]+ x1\(t\) [+-] [\d.]+", text
    )
    assert all(len(re.sub(r"^0\.0*|\.", "", n)) <= 3 for n in re.findall(r" (\d[\d.]*)", text))
    with pytest.raises(ArgumentError, match="digits=0: expected a whole number of at least 1"):
        model.equation(0)


def run_from_text(text, data, rows):
    """The outputs that an equation gives, fed its own from row `rows[0]` on."""
    data = data.copy()
    for row in range(*rows):
        for name, value in evaluated(text, data, row).items():
            data.loc[row, name] = value
    return data


def oven(n):
    """A temperature in kelvin: coefficients whose products with it are hundreds of times what they come to."""
    u = np.repeat(np.random.default_rng(0).uniform(0, 1, n // 12), 12)
    y = np.full(len(u), 300.0)
    for t in range(1, len(u)):
        y[t] = y[t - 1] - 0.05 * (y[t - 1] - 293) - 2e-4 * (y[t - 1] - 293) ** 2 + 2 * u[t - 1]
    return pd.DataFrame({"heat": u}), pd.DataFrame({"kelvin": y})


def slow_plant(n):
    """Third order, sampled so fast that errors of a step add up a million times."""
    a = np.poly(np.exp([-0.01, -0.006 + 0.01j, -0.006 - 0.01j])).real
    u = np.repeat(np.random.default_rng(1).uniform(-1, 1, n // 40), 40)
    y = np.zeros(len(u))
    for t in range(3, len(u)):
        y[t] = 1e-6 * u[t - 1] - a[1:] @ y[t - 3 : t][::-1]
    return pd.DataFrame({"heat": u}), pd.DataFrame({"kelvin": y + 20})


@pytest.mark.parametrize(("make", "lags", "kind"), [(oven, 1, "polynomial"), (slow_plant, 3, "linear")])
def test_the_equation_as_it_is_printed_simulates_as_the_model(make, lags, kind):
    X, y = make(240)
    model = NARXRegressor(lags, 1, input_delay=1, model=kind, mode="open_loop").fit(X, y)
    text = model.equation()
    path = run_from_text(text, pd.concat([X, y], axis=1), (lags, 240))["kelvin"].to_numpy()
    want = model.predict(X, y[:lags].to_numpy())[:, 0]
    spread = y["kelvin"].std()
    assert np.abs(path - want).max() < 2e-3 * spread
    short = run_from_text(model.equation(4), pd.concat([X, y], axis=1), (lags, 240))["kelvin"].to_numpy()
    assert np.abs(short - want).max() > 0.05 * spread


def test_an_equation_has_no_more_digits_than_it_needs():
    u = np.random.default_rng(0).normal(size=(200, 1))
    y = np.zeros(200)
    for t in range(1, 200):
        y[t] = 0.123456 * y[t - 1] + u[t - 1, 0]
    model = NARXRegressor(1, 1, input_delay=1, mode="open_loop").fit(u, y)
    coefficient = model.equation().split(" = ")[1].split()[0]
    assert 4 <= len(coefficient.removeprefix("0.")) <= 6
    assert float(coefficient) == pytest.approx(0.123456, abs=5e-4)


@pytest.mark.parametrize("kind", ["mlp", "gru"])
def test_a_network_has_none_and_says_what_has(record, kind):
    X, y = record
    model = NARXRegressor(1, 1, model=kind, mode="open_loop", max_steps=1).fit(X, y)
    with pytest.raises(ArgumentError, match="Use model='linear' or model='polynomial'"):
        model.equation()
