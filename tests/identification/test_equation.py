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


@pytest.mark.parametrize("kind", ["mlp", "gru"])
def test_a_network_has_none_and_says_what_has(record, kind):
    X, y = record
    model = NARXRegressor(1, 1, model=kind, mode="open_loop", max_steps=1).fit(X, y)
    with pytest.raises(ArgumentError, match="Use model='linear' or model='polynomial'"):
        model.equation()
