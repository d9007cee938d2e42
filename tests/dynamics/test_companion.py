"""The companion map: against roots of polynomials, finite differences of the one-step map, and products of matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeRegressor

from tsforce.dynamics.companion import companion, map_shape
from tsforce.dynamics.draws import normal
from tsforce.dynamics.forcing import ClosedLoop
from tsforce.dynamics.lags import LagLayout, TargetFeature, lag_vector
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.rollout import rollout
from tsforce.forecasting.adapters import RegressorModel
from tsforce.models import GRU, LSTM, MLP, EncoderDecoder

B, H = 3, 6
INPUTS = LagLayout((1, 3), ("u", "v"), past_exog=(("p", (1,)),), future_exog=(("x", (0, 1)),), calendar=("c",))
LAYOUTS = {
    "lags 1 to 4": LagLayout((1, 2, 3, 4)),
    "lags 2 and 5": LagLayout((2, 5)),
    "two channels": LagLayout((1, 2), ("u", "v")),
    "a feature": LagLayout((1,), features=(TargetFeature(("mean",), 3, lambda fed: (fed**2).mean(dim=2)),)),
    "inputs": INPUTS,
}
KINDS = {
    "linear": None,
    "mlp": MLP((5,), "tanh"),
    "gru": GRU(3),
    "lstm": LSTM(2),
    "encoder_decoder": EncoderDecoder(2),
}


def draw(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(kind, layout, groups=1):
    columns, channels = len(layout.columns), len(layout.channels)
    model = Linear(layout, 0.3 * draw(groups, columns, channels, seed=1), 0.1 * draw(groups, channels, seed=2))
    if KINDS[kind] is not None:
        model = KINDS[kind].build(model, torch.arange(groups), torch.float64)
        for number, parameter in enumerate(model.parameters()):
            parameter.data += 0.4 * draw(*parameter.shape, seed=10 + number)
    return model


def windows(layout, groups=1, length=9, horizon=H):
    past = draw(groups, B, length, len(layout.channels), seed=3)
    inputs = None
    if layout.has_inputs:
        inputs = (
            draw(groups, B, length, 1, seed=4), draw(groups, B, length + horizon, 1, seed=5),
            past.new_zeros(groups, B, 0), draw(groups, B, length + horizon, 1, seed=6),
        )  # fmt: skip
    return past, inputs


def numeric_maps(model, past, inputs, horizon):
    """The map at each step of one window, (H, N, N), by central differences, one step after the other."""
    layout = model.layout
    reach = max((*layout.lags, *(f.reach for f in layout.features)))
    listened = []

    class Spy:
        def __init__(self):
            self.layout = layout

        def init_state(self, past):
            return model.init_state(past)

        def step(self, x, state):
            listened.append((x, state))
            return model.step(x, state)

    class WarmSpy(Spy):
        def warm_up(self, x, state):
            return model.warm_up(x, state)

    yhat, _ = rollout(WarmSpy() if hasattr(model, "warm_up") else Spy(), past, horizon, ClosedLoop(), inputs=inputs)
    fed = torch.cat([past, yhat], dim=2).detach()
    channels, length = past.shape[3], past.shape[2]
    n_fed = len(layout.blocks["target_lags"]) + len(layout.blocks["target_features"])

    def step(values, known, like):
        """All that a step reads, flat, to all that the next one reads."""
        buffer = torch.tensor(values[: reach * channels]).view(1, 1, reach, channels)
        state, at = [], reach * channels
        for part in like:
            state.append(torch.tensor(values[at : at + part.shape[2]]).view(1, 1, -1))
            at += part.shape[2]
        y, after = model.step(lag_vector(layout, buffer, reach, known), tuple(state) or None)
        parts = [buffer[:, :, 1:].flatten(), y.flatten(), *(part.flatten() for part in after or ())]
        return torch.cat(parts).detach().numpy()

    maps = []
    for h, (x, state) in enumerate(listened):
        like = state or ()
        known = x[:, :, n_fed:] if x.shape[2] > n_fed else None
        here = torch.cat([fed[:, :, length + h - reach : length + h].flatten(), *(part.flatten() for part in like)])
        here = here.detach().numpy()
        columns = []
        for i in range(len(here)):
            nudge = 1e-6 * np.eye(len(here))[i]
            columns.append((step(here + nudge, known, like) - step(here - nudge, known, like)) / 2e-6)
        maps.append(np.stack(columns, axis=1))
    return np.stack(maps)


@pytest.mark.parametrize("lags", [(1,), (1, 2, 3), (2, 5), (1, 12, 24)], ids=str)
def test_of_an_autoregression_the_radius_is_the_largest_root_and_growth_its_logarithm(lags):
    # Of two groups: one whose errors die out, one whose errors grow.
    weight = torch.stack([0.9 * torch.ones(len(lags), 1) / len(lags), 1.2 * torch.ones(len(lags), 1) / len(lags)])
    model = Linear(LagLayout(lags), weight.double(), torch.ones(2, 1, dtype=torch.float64))
    found = companion(model, draw(2, B, 30, 1), 1500)
    assert found.radius.shape == (2, B, 1500)
    for g in range(2):
        polynomial = np.zeros(max(lags) + 1)
        polynomial[0] = 1
        for lag in lags:
            polynomial[lag] = -weight[g, 0, 0].item()
        largest = np.abs(np.roots(polynomial)).max()
        np.testing.assert_allclose(found.radius[g], largest, rtol=1e-12)
        np.testing.assert_allclose(found.growth[g], np.log(largest), atol=2e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_radius_and_growth_are_those_of_finite_differences(kind, layout):
    layout = LAYOUTS[layout]
    model, (past, inputs) = build(kind, layout), windows(layout)
    found = companion(model, past, H, inputs=inputs)
    for b in range(B):
        own = None if inputs is None else tuple(part[:, b : b + 1] for part in inputs)
        maps = numeric_maps(model, past[:, b : b + 1], own, H)
        size = maps.shape[1]
        assert map_shape(model, past)[1] == size
        np.testing.assert_allclose(found.radius[0, b], np.abs(np.linalg.eigvals(maps)).max(axis=1), rtol=1e-6)
        first = v = normal(torch.zeros(1, dtype=torch.int64), (9,), size)[0].numpy()
        for matrix in maps:
            v = matrix @ v
        growth = np.log(np.linalg.norm(v) / np.linalg.norm(first)) / H
        np.testing.assert_allclose(found.growth[0, b], growth, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_together_are_groups_alone(kind):
    layout = LAYOUTS["two channels"]
    model, (past, _) = build(kind, layout, groups=2), windows(layout, groups=2)
    both = companion(model, past, H)
    for g in range(2):
        alone = companion(model.groups(torch.tensor([g])), past[g : g + 1], H)
        torch.testing.assert_close(alone.radius[0], both.radius[g], rtol=1e-12, atol=0)
        torch.testing.assert_close(alone.growth[0], both.growth[g], rtol=1e-12, atol=0)


@pytest.mark.parametrize(("looks", "steps"), [(1, [3]), (2, [1, 4]), (4, [0, 2, 3, 5]), (6, range(6)), (99, range(6))])
def test_radii_are_taken_at_as_many_steps_as_asked_for_and_growth_at_all(looks, steps):
    layout = LAYOUTS["lags 1 to 4"]
    model, (past, _) = build("mlp", layout), windows(layout)
    whole, some = companion(model, past, H), companion(model, past, H, looks=looks)
    assert torch.equal(some.radius, whole.radius[:, :, list(steps)])
    assert torch.equal(some.growth, whole.growth)


def test_the_bounds_of_a_roll_out_shape_the_forecasts_and_not_the_map():
    past = draw(1, B, 9, 1)
    bounds = torch.full((1,), -0.1), torch.full((1,), 0.1)
    linear = build("linear", LAYOUTS["lags 1 to 4"])
    assert torch.equal(companion(linear, past, H, bounds=bounds).growth, companion(linear, past, H).growth)
    bent = build("mlp", LAYOUTS["lags 1 to 4"])
    assert not torch.equal(companion(bent, past, H, bounds=bounds).growth, companion(bent, past, H).growth)


def test_a_model_without_gradient_has_no_map():
    tree = DecisionTreeRegressor(max_depth=2)
    model = RegressorModel(LagLayout((1, 2)), tree, 0).fit_rows([(draw(20, 2).numpy(), draw(20, 1).numpy())])
    assert companion(model, draw(1, B, 4, 1), H) is None


class Squares:
    """A map whose forecasts overflow from a start above 1."""

    layout = LagLayout((1,))

    def init_state(self, past):
        return None

    def step(self, x, state):
        return x[..., None] ** 2, state


def test_maps_that_are_not_finite_are_nan_and_leave_other_windows_alone():
    past = torch.tensor([[[[10.0]], [[0.5]]]], dtype=torch.float64)
    found = companion(Squares(), past, 12)
    assert found.radius[0, 0].isnan().any()
    assert found.growth[0, 0].isnan()
    torch.testing.assert_close(found.radius[0, 1], 2 * 0.5 ** (2.0 ** torch.arange(12, dtype=torch.float64)))
    alone = companion(Squares(), past[:, 1:], 12)
    assert torch.equal(alone.growth[0, 0], found.growth[0, 1])


def test_of_a_map_that_forgets_everything_nothing_is_left():
    model = Linear(LagLayout((1, 2)), torch.zeros(1, 2, 1), torch.ones(1, 1))
    found = companion(model, torch.ones(1, 1, 2, 1), 3)
    assert found.growth.item() == -np.inf
    np.testing.assert_allclose(found.radius, 0.0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_and_the_switch_of_gradients_are_left_as_they_were(kind):
    model, (past, _) = build(kind, LAYOUTS["lags 2 and 5"]), windows(LAYOUTS["lags 2 and 5"])
    before = [(p.clone(), p.requires_grad) for p in model.parameters()]
    with torch.no_grad():
        companion(model, past, H)
        assert not torch.is_grad_enabled()
    for (values, needs), parameter in zip(before, model.parameters(), strict=True):
        assert torch.equal(values, parameter)
        assert parameter.requires_grad is needs
        assert parameter.grad is None


def test_of_many_lags_eigenvalues_come_in_time():
    # On this library's builds some batched solvers of large matrices hang with one thread; this one must not.
    layout = LagLayout(tuple(range(1, 193)))
    found = companion(build("mlp", layout), draw(1, 2, 200, 1), 24, looks=4)
    assert found.radius.shape == (1, 2, 4)
    assert found.radius.isfinite().all()
