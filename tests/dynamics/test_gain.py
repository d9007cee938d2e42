"""The gain of the feedback against differences, and the share of truth that is annealed to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.makers import make_frame
from tsforce import NARXForecaster, Training
from tsforce.dynamics.forcing import Moment
from tsforce.dynamics.gain import feedback_gain
from tsforce.dynamics.lags import LagLayout, TargetFeature, lag_vector
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.dynamics.models.recurrent import Recurrent
from tsforce.errors import ArgumentError
from tsforce.forcing import Annealed, Curriculum, GeneralizedTeacherForcing

KEYS = torch.tensor([5, 6])
G, B, L, H = 2, 3, 5, 4


def draw(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def perceptron(layout):
    columns, channels = len(layout.columns), len(layout.channels)
    start = Linear(layout, 0.4 * draw(G, columns, channels), draw(G, channels, seed=1))
    model = Perceptron(layout, (8,), start, KEYS, dtype=torch.float64, activation="tanh")
    for number, p in enumerate(model.parameters()):
        p.data += 0.3 * draw(*p.shape, seed=number)
    return model


MEAN = TargetFeature(("mean",), 3, lambda fed: fed[..., 0].mean(dim=2)[..., None])
LAYOUTS = [
    LagLayout((1,)),
    LagLayout((1, 2, 5)),
    LagLayout((2, 4), ("a", "b")),
    LagLayout((1, 4), ("a", "b"), (MEAN,)),
    LagLayout((1,), future_exog=(("price", (0, 2)),), static=("kind",)),
]


def by_differences(model, past, future, known, inputs):
    """Return the largest sum of norms over windows and steps, each derivative taken by a difference."""
    layout, eps = model.layout, 1e-6
    largest = np.zeros(G)
    for h in range(H):
        buffer = torch.cat([past, future], dim=2)[:, :, : L + h]
        given = None
        if inputs is not None:
            price = torch.stack([inputs[1][:, :, L + h - 2, 0], inputs[1][:, :, L + h, 0]], dim=-1)
            given = torch.cat([price, inputs[2]], dim=-1)

        def out(fed, h=h, given=given):
            return model.step(lag_vector(layout, fed, L + h, given), None)[0][..., 0].detach()

        total = torch.zeros(G, B, dtype=torch.float64)
        for t in range(L + h):
            square = torch.zeros(G, B, dtype=torch.float64)
            for c in range(len(layout.channels)):
                step = torch.zeros_like(buffer)
                step[:, :, t, c] = eps
                square += ((out(buffer + step) - out(buffer - step)) / (2 * eps)).pow(2).sum(dim=-1)
            total += square.sqrt()
        use = known[:, :, :h].all(dim=3).all(dim=2)
        largest = np.maximum(largest, torch.where(use, total, 0.0).amax(dim=1).numpy())
    return largest


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.lags}-{len(layout.columns)}")
def test_the_gain_is_the_largest_sum_of_norms_over_lags(layout):
    model, channels = perceptron(layout), len(layout.channels)
    past, future = draw(G, B, L, channels, seed=5), draw(G, B, H, channels, seed=6)
    known = torch.ones_like(future, dtype=torch.bool)
    known[0, :, 1] = False
    inputs = None
    if layout.has_inputs:
        inputs = (past[..., :0], draw(G, B, L + H, 1, seed=7), draw(G, B, 1, seed=8), past.new_zeros(G, B, H, 0))
    got = feedback_gain(model, past, future, known, inputs)
    np.testing.assert_allclose(got, by_differences(model, past, future, known, inputs), rtol=1e-6)


def test_the_gain_leaves_no_gradient_behind():
    model = perceptron(LAYOUTS[1])
    for p in model.parameters():
        p.requires_grad_()
    past, future = draw(G, B, L, 1), draw(G, B, H, 1)
    gain = feedback_gain(model, past, future, torch.ones_like(future, dtype=torch.bool))
    assert not gain.requires_grad
    assert all(p.grad is None for p in model.parameters())


def test_a_state_has_no_gain():
    layout = LagLayout((1,))
    start = Linear(layout, draw(G, 1, 1), draw(G, 1))
    model = Recurrent(layout, "gru", 3, start, KEYS, dtype=torch.float64)
    future = draw(G, B, H, 1)
    with pytest.raises(ArgumentError, match="Recurrent has a state that truth does not reset"):
        feedback_gain(model, draw(G, B, L, 1), future, torch.ones_like(future, dtype=torch.bool))
    with pytest.raises(ArgumentError, match="on a model with a state does not have"):
        NARXForecaster(
            4, 5, model="gru", season_length=7, max_steps=2, mode=GeneralizedTeacherForcing(Annealed())
        ).fit(make_frame())  # fmt: skip


def slow(gains, decay):
    """The published rule, one group."""
    share = 1.0
    for gain in gains:
        estimate = max(0.0, 1 - 1 / gain)
        share = estimate if estimate > share else decay * share + (1 - decay) * estimate
    return share


@pytest.mark.parametrize(("schedule", "decay"), [(Annealed(decay=0.9), 0.9), (Annealed(4), 0.01 ** (4 / 60))])
def test_the_annealed_share_is_the_published_rule(schedule, decay):
    gains = 0.2 + 3 * torch.rand(12, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for count in range(1, 13):
        moment = Moment(count, 100, 0, KEYS, gains=gains[:count])
        wanted = [slow(gains[:count, g].tolist(), decay) for g in range(2)]
        np.testing.assert_allclose(schedule.shares(moment, 60.0), wanted, rtol=1e-12)
        np.testing.assert_allclose(
            GeneralizedTeacherForcing(schedule).share(torch.ones(2, 1, 3, 1, dtype=torch.bool), moment)[:, 0, 2, 0],
            wanted,
            rtol=1e-6,
        )


def test_the_annealed_share_starts_at_one_and_forgets_it_by_the_end():
    assert GeneralizedTeacherForcing(Annealed()).ratio(Moment(0, 100, 0, KEYS)) == 1
    gains = torch.full((12, 2), 0.5, dtype=torch.float64)  # asks for no truth
    assert Annealed().shares(Moment(60, 100, 0, KEYS, gains=gains), 60.0).tolist() == pytest.approx([0.01, 0.01])


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_training_follows_the_gain_and_each_series_its_own(model):
    df = make_frame((60, 50, 70))
    forecaster = NARXForecaster(
        4, 3, scope="local", model=model, max_steps=24, season_length=7, training=Training(batch_size=8),
        target_transforms=(), mode=GeneralizedTeacherForcing(Annealed(every=2)),
    )  # fmt: skip
    together = forecaster.fit(df).predict().set_index("unique_id")["NARXForecaster"]
    ratios = []
    for name in ("s0", "s1", "s2"):
        alone = forecaster.fit(df[df["unique_id"] == name])
        np.testing.assert_allclose(together.loc[name], alone.predict()["NARXForecaster"], rtol=1e-5)
        frame = alone.history_.frame
        ratios.append(frame.loc[frame["run"] == "choose", "forcing_ratio"].to_numpy())
    for ratio in ratios:
        assert ratio[0] == 1
        assert ratio[-1] < 0.9
    assert len({round(float(ratio[2]), 9) for ratio in ratios}) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Annealed(every=0), "every=0: expected a whole number"),
        (lambda: Annealed(decay=1.0), "decay=1.0: expected None or a number between 0 and 1"),
        (lambda: Annealed()(3, 10), r"follows a moment's gains, not the step"),
        (lambda: Curriculum(Annealed()).ratio(None), "needs a moment="),
    ],
)
def test_what_makes_no_annealed_share_is_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
