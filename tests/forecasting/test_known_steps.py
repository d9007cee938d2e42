"""Past inputs over the horizon: a step at which all that it reads is known is not spoiled by later ones."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from tests.makers import as_it_stands
from tsforce import NARXForecaster, Training, backtest
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.equation import equation
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.dynamics.models.polynomial import Polynomial
from tsforce.errors import HorizonWarning
from tsforce.training.solvers.partials import n_parameters, partials_of

NAME = "NARXForecaster"
LAYOUT = LagLayout((1, 2), ("a", "b"), past_exog=(("x", (1, 3)),), calendar=("c",)).by_known_steps(5)


def follows(lag, n=300, seed=0, level=5.0, gain=3.0):
    """A target that follows an input so many steps later, exactly; and what it is after the last row."""
    x = np.random.default_rng(seed).normal(size=n)
    y = level + gain * np.concatenate([np.zeros(lag), x[:-lag]])
    return pd.DataFrame({"unique_id": f"s{seed}", "ds": np.arange(n), "y": y, "x": x}), level + gain * x[-lag:]


def build(horizon, lags=1, **settings):
    given = {"mode": "open_loop", "scope": "local", "past_exog": ["x"], "ridge": 0}
    return NARXForecaster(horizon, lags, **as_it_stands(**(given | settings)))


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [3, 4, 5, 12])
@pytest.mark.parametrize("settings", [
    {},
    {"scope": "global", "window_scaling": None},
    {"model": LinearRegression()},
    {"model": "polynomial"},
    {"loss": "huber"},
    {"model": "polynomial", "loss": "huber"},
    {"mode": "closed_loop", "max_steps": 20},
    {"mode": "closed_loop", "max_steps": 5, "training": Training(solver="levenberg_marquardt")},
    {"mode": "curriculum", "max_steps": 20},
    {"mode": "auto", "max_steps": 20},
    {"mode": "closed_loop", "model": LinearRegression(), "max_steps": 2},
], ids=str)  # fmt: skip
def test_steps_that_an_exact_lag_reaches_are_exact_whatever_the_horizon(settings, horizon):
    df, known = follows(3)
    forecast = build(horizon, exog_lags={"x": [3]}, **settings).fit(df).predict()[NAME].to_numpy()
    np.testing.assert_allclose(forecast[:3], known, atol=1e-3)
    # Behind them nothing is known of the input but its mean.
    assert np.abs(forecast[3:] - 5).max(initial=0) < 3


@pytest.mark.parametrize("horizon", [2, 3, 6, 9])
def test_a_step_that_knows_some_lags_is_spoiled_by_none_that_knows_fewer(horizon):
    """z follows five steps later and is read beside x, of which the step before is known at step 1 alone."""
    df, known = follows(5)
    df["z"], df["x"] = df["x"], np.random.default_rng(9).normal(size=len(df))
    model = build(horizon, past_exog=["x", "z"], exog_lags={"x": [1, 2], "z": [5]})
    forecast = model.fit(df).predict()[NAME].to_numpy()
    np.testing.assert_allclose(forecast[:5], known[:horizon], atol=1e-6)


def loop(series, y_lags, x_lags, horizon, group_of):
    """Forecasts of (y, x) pairs by numpy: least squares on all (cutoff, step) rows of each group of steps."""
    reach, steps = max(*y_lags, *x_lags), range(1, horizon + 1)

    def read(fed, x, t, cutoff):
        return [*(fed[t - k] for k in y_lags), *(x[min(t - k, cutoff)] for k in x_lags), 1.0]

    weights = {}
    for group in {group_of(h) for h in steps}:
        rows = [
            (read(y, x, c + h, c), y[c + h])
            for y, x in series for c in range(reach - 1, len(y) - 1) for h in steps
            if group_of(h) == group and c + h < len(y)
        ]  # fmt: skip
        weights[group] = np.linalg.lstsq(np.array([r for r, _ in rows]), np.array([t for _, t in rows]), rcond=None)[0]
    forecasts = []
    for y, x in series:
        fed = list(y)
        for h in steps:
            fed.append(weights[group_of(h)] @ read(fed, x, len(fed), len(y) - 1))
        forecasts.append(fed[len(y) :])
    return np.array(forecasts)


def driven(seed, n=120, size=1.0):
    """A target that follows an input two and four steps later, with noise: (y, x)."""
    rng = np.random.default_rng(seed)
    x, e = rng.normal(size=n).cumsum() / 3, rng.normal(size=n)
    y = np.zeros(n)
    for t in range(4, n):
        y[t] = 1 + 0.5 * y[t - 1] - 0.2 * y[t - 2] + x[t - 2] + 0.5 * x[t - 4] + 0.3 * e[t]
    return size * y, x


@pytest.mark.parametrize("model", ["linear", LinearRegression()], ids=str)
@pytest.mark.parametrize(("x_lags", "group_of"), [
    ([2], lambda h: h > 2),
    ([1, 2, 4], lambda h: (h > 1) + (h > 2) + (h > 4)),
    ([3, 8], lambda h: h > 3),
    ([7, 9], lambda h: 0),
], ids=["one lag", "several", "one beyond the horizon", "all beyond it"])  # fmt: skip
def test_forecasts_equal_a_loop_over_groups_of_steps(model, x_lags, group_of):
    y, x = driven(4)
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(120), "y": y, "x": x})
    forecast = build(6, [1, 2], exog_lags=x_lags, model=model).fit(df).predict()[NAME].to_numpy()
    np.testing.assert_allclose(forecast, loop([(y, x)], [1, 2], x_lags, 6, group_of)[0], rtol=1e-6)


def test_one_map_of_series_of_unlike_size_is_least_squares_of_all_their_rows_for_each_group_of_steps():
    series = [driven(seed, n, size) for seed, n, size in ((1, 120, 1.0), (2, 90, 400.0), (3, 60, 20.0))]
    df = pd.concat(
        pd.DataFrame({"unique_id": f"s{i}", "ds": np.arange(len(y)), "y": y, "x": x}) for i, (y, x) in enumerate(series)
    )
    model = build(6, [1, 2], exog_lags=[1, 2, 4], scope="global", window_scaling=None)
    forecast = model.fit(df).predict()[NAME].to_numpy().reshape(3, 6)
    expected = loop(series, [1, 2], [1, 2, 4], 6, lambda h: (h > 1) + (h > 2) + (h > 4))
    np.testing.assert_allclose(forecast, expected, rtol=1e-6)


@pytest.mark.parametrize("scope", ["local", "global"])
def test_several_targets_of_several_series_are_exact_where_their_inputs_are_known(scope):
    parts, known = [], []
    for seed in range(3):
        df, after = follows(2, seed=seed, level=0)
        parts.append(df.assign(b=np.roll(-2 * df["x"], 2)).iloc[2:])
        known.append(after)
    model = build(4, 1, target_col=["y", "b"], exog_lags=[2], scope=scope, window_scaling=None)
    forecast = model.fit(pd.concat(parts, ignore_index=True)).predict()
    first = forecast[forecast["horizon"] <= 2]
    np.testing.assert_allclose(first[f"{NAME}-y"], np.concatenate(known), atol=1e-6)
    np.testing.assert_allclose(first[f"{NAME}-b"], np.concatenate(known) * -2 / 3, atol=1e-6)


def test_backtests_of_known_steps_have_no_error_and_longer_horizons_go_on():
    df, known = follows(3)
    model = build(6, exog_lags=[3])
    errors = backtest(model, df, n_windows=5).by_horizon()
    assert errors["mae"].to_numpy()[:3].max() < 1e-6
    assert errors["mae"].to_numpy()[3:].min() > 0.1
    model.fit(df)
    with pytest.warns(HorizonWarning):
        longer = model.predict(horizon=9)[NAME].to_numpy()
    np.testing.assert_allclose(longer[:6], model.predict()[NAME], rtol=1e-12)
    np.testing.assert_allclose(longer[:3], known, atol=1e-6)
    shorter = model.predict(horizon=2)[NAME].to_numpy()
    np.testing.assert_allclose(shorter, known[:2], atol=1e-6)


@pytest.mark.parametrize("kind", ["mlp", "gru"])
def test_networks_start_from_the_map_of_each_group_of_steps(kind):
    df, known = follows(3)
    still = {"max_steps": 1, "training": Training(learning_rate=1e-9)}
    model = build(5, model=kind, mode="closed_loop", exog_lags=[3], **still).fit(df)
    np.testing.assert_allclose(model.predict()[NAME].to_numpy()[:3], known, atol=1e-4)


def test_trees_have_a_regressor_for_each_group_of_steps():
    df, known = follows(3)
    model = build(5, exog_lags=[3], model=DecisionTreeRegressor(max_leaf_nodes=40)).fit(df)
    assert len(model.model_.fitted) == 2
    # Forty leaves of 300 rows tell a line of spread 3 to a fraction of it.
    assert np.abs(model.predict()[NAME].to_numpy()[:3] - known).max() < 1.0


def test_past_lags_that_reach_over_the_horizon_leave_the_model_as_it_was():
    df, _ = follows(3)
    model = build(3, exog_lags=[3, 5]).fit(df)
    assert model.model_.layout.known_until == ()
    assert model.model_.layout.columns == ("y_lag1", "x_lag5", "x_lag3")
    assert model.model_.weight.shape == (1, 3, 1)


@pytest.mark.parametrize("model", ["linear", "polynomial", LinearRegression()], ids=str)
def test_a_series_without_rows_for_later_steps_takes_the_map_of_those_before_it(model):
    """Four rows at lag 2: two targets, at steps 1 and 2 after the cutoffs; none at step 3."""
    df = pd.DataFrame({"unique_id": "a", "ds": range(4), "y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 0.0, 2.0]})
    fitted = build(4, [2], exog_lags=[2], model=model, ridge=1.0).fit(df)
    forecast = fitted.predict()[NAME].to_numpy()
    assert np.isfinite(forecast).all()
    if model == "linear":
        weight, bias = fitted.model_.weight[0], fitted.model_.bias[0]
        assert torch.equal(weight[:, 0], weight[:, 1])
        assert torch.equal(bias[0], bias[1])


def test_layouts_name_their_groups_of_steps_and_tell_no_more_than_eight_apart():
    many = LagLayout((1,), past_exog=(("x", tuple(range(2, 40))),)).by_known_steps(30)
    assert len(many.known_until) == 7
    assert many.known_until[0] == 2
    assert many.known_until[-1] == 29
    assert [steps for part in many.step_groups(50) for steps in part] == list(range(50))
    assert LAYOUT.blocks["steps"] == ("step_1", "steps_2_to_3", "steps_from_4")
    assert LagLayout((1,)).by_known_steps(30) == LagLayout((1,))


def models():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    columns, outputs = len(LAYOUT.columns), 2 * LAYOUT.n_step_groups
    linear = Linear(LAYOUT, draw(2, columns, outputs), draw(2, outputs))
    terms = torch.randint(0, columns + 1, (2, 4, 2), generator=generator)
    found = {"linear": linear, "polynomial": Polynomial(LAYOUT, terms, draw(2, 4, outputs), draw(2, outputs))}
    for hidden in ((3,), (3, 2)):
        network = Perceptron(LAYOUT, hidden, linear, torch.arange(2), torch.float64, "tanh")
        for parameter in network.parameters():
            parameter.data = draw(*parameter.shape)
        found[f"mlp {len(hidden)}"] = network
    return found


@pytest.mark.parametrize("name", ["linear", "polynomial", "mlp 1", "mlp 2"])
def test_derivatives_in_closed_form_equal_automatic_ones(name):
    model = models()[name].requires_grad_(True)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((2, 6, len(LAYOUT.columns)), generator=generator, dtype=torch.float64)
    x[..., -3:] = torch.eye(3, dtype=torch.float64).repeat(2, 1)
    room = x.new_empty(2, 6, 2, n_parameters(model))
    with torch.no_grad():
        y, by_input = partials_of(model)(x, room)
    x.requires_grad_(True)
    output = model.step(x, None)[0][..., 0]
    torch.testing.assert_close(y, output.detach())
    for g, b, c in np.ndindex(2, 6, 2):
        wanted = torch.autograd.grad(output[g, b, c], [*model.parameters(), x], retain_graph=True)
        own = torch.cat([part[g].flatten() for part in wanted[:-1]])
        torch.testing.assert_close(room[g, b, c], own)
        # An indicator is fed by nothing.
        torch.testing.assert_close(by_input.expand(2, 6, 2, -1)[g, b, c, :-3], wanted[-1][g, b, :-3])


def test_a_map_of_groups_of_steps_is_written_with_their_indicators():
    layout = LagLayout((1,), past_exog=(("x", (2,)),)).by_known_steps(3)
    weight = torch.tensor([[[0.5, 0.25], [3.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    text = equation(Linear(layout, weight, torch.tensor([[1.0, 2.0]])), digits=4)
    assert sorted(text.removeprefix("y(t) = ").split(" + ")) == sorted(
        ["0.5 steps_1_to_2 y(t-1)", "0.25 steps_from_3 y(t-1)", "3 steps_1_to_2 x(t-2)", "steps_1_to_2",
         "2 steps_from_3"]
    )  # fmt: skip
