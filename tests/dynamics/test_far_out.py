"""Whether roll-outs can run away: by roots where a map is linear far out, and not at all where it is bounded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsforce.dynamics.far_out import stays_near
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import GRU, MLP
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.polynomial import Polynomial


def with_roots(*roots, lags=None):
    """The linear map of one channel whose companion has the given roots."""
    a = -np.poly(roots).real[1:]
    layout = LagLayout(tuple(range(1, len(a) + 1)))
    return Linear(layout, torch.from_numpy(a[::-1].copy())[None, :, None], torch.ones(1, 1, dtype=torch.float64))


def past_of(model, level=5.0):
    layout = model.layout
    return torch.full((1, 1, layout.reach, len(layout.channels)), level, dtype=torch.float64)


@pytest.mark.parametrize(
    ("roots", "near"),
    [
        ((0.5,), True), ((1.0,), True), ((1.0, 1.0), True), ((-1.0, 0.3), True), ((1.02,), False),
        ((0.99, 0.995, 0.98), True), ((0.9 + 0.5j, 0.9 - 0.5j), False), ((0.6 + 0.8j, 0.6 - 0.8j, 0.2), True),
    ],
)  # fmt: skip
def test_a_linear_map_stays_near_if_no_root_is_outside_the_unit_circle(roots, near):
    model = with_roots(*roots)
    assert stays_near(model, past_of(model)).tolist() == [near]


def test_several_channels_have_the_roots_of_their_joint_map():
    layout = LagLayout((1,), ("a", "b"))
    weight = torch.tensor([[[0.0, 0.9], [1.2, 0.0]], [[0.0, 0.9], [1.0, 0.0]]], dtype=torch.float64)
    model = Linear(layout, weight, torch.zeros(2, 2, dtype=torch.float64))
    past = torch.ones(2, 1, 1, 2, dtype=torch.float64)
    # sqrt(1.08) and sqrt(.9)
    assert stays_near(model, past).tolist() == [False, True]


def polynomial(indices, weight):
    layout = LagLayout((1,), future_exog=(("u", (0,)),))
    return Polynomial(
        layout, torch.tensor([indices]), torch.tensor([weight], dtype=torch.float64)[..., None],
        torch.zeros(1, 1, dtype=torch.float64),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("indices", "near"),
    [
        ([[0, 2], [1, 1]], True),  # y, u^2
        ([[0, 2], [0, 1]], False),  # y, y u
        ([[0, 2], [0, 0]], False),  # y, y^2
    ],
)
def test_a_polynomial_stays_near_if_it_is_linear_in_what_is_fed(indices, near):
    model = polynomial(indices, [0.9, 0.01])
    assert stays_near(model, past_of(model), torch.zeros(1, 1, 1, dtype=torch.float64)).tolist() == [near]


@pytest.mark.parametrize(("activation", "near"), [("tanh", [True, False]), ("relu", [False, False])])
def test_a_network_goes_by_the_linear_map_beside_it_if_it_is_bounded_itself(activation, near):
    for root, want in zip((1.0, 1.1), near, strict=True):
        model = MLP((8,), activation).build(with_roots(root), torch.tensor([3]), torch.float64)
        with torch.no_grad():
            model.weights[-1] += 0.3
        assert stays_near(model, past_of(model)).tolist() == [want]


def test_a_model_with_a_state_is_not_looked_into():
    model = GRU(4).build(with_roots(0.5), torch.tensor([0]), torch.float64)
    assert stays_near(model, past_of(model)).tolist() == [False]
