"""Noise on what is fed: a walk over the lags against its law, slow loops, finite differences; who may not use it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from tests.makers import make_frame
from tsforce import Difference, NARXForecaster
from tsforce.dynamics.draws import normal
from tsforce.dynamics.forcing import Moment
from tsforce.dynamics.lags import LagLayout, TargetFeature, lag_vector
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.parallel import parallel_rollout
from tsforce.dynamics.rollout import rollout
from tsforce.errors import ArgumentError
from tsforce.forcing import InputNoise

KEYS = torch.tensor([5, 6])
WALK = InputNoise(0.3, "random_walk")


def draw(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def at(step, keys=KEYS):
    return Moment(step, 100, step // 5, keys)


def walks(lags, *, channels=1, windows=20_000, step=0, moment=None):
    past = torch.zeros(1, windows, 1, channels, dtype=torch.float64)
    return WALK.lag_noise(past, lags, step, moment or at(3, KEYS[:1]))[0].view(windows, lags, channels)


def test_the_newest_lag_has_the_std_asked_for_and_the_oldest_the_least():
    for lags in (1, 4):
        std = walks(lags).std(dim=0)[:, 0]
        np.testing.assert_allclose(std, 0.3 * np.sqrt(np.arange(1, lags + 1) / lags), rtol=0.02)


def test_a_walk_adds_independent_steps_over_its_lags_each_channel_its_own():
    z = walks(3, channels=2)
    steps = torch.diff(z, dim=1, prepend=torch.zeros_like(z[:, :1])).flatten(start_dim=1)
    np.testing.assert_allclose(np.corrcoef(steps.T), np.eye(6), atol=0.03)
    assert abs(np.corrcoef(z[:-1, 0, 0], z[1:, 0, 0])[0, 1]) < 0.03
    later = walks(3, channels=2, step=1)
    assert abs(np.corrcoef(z[:, 2, 0], later[:, 2, 0])[0, 1]) < 0.03


def test_the_std_does_not_grow_along_the_horizon():
    """What a walk written once into the buffer would do."""
    assert walks(4, step=40)[:, 3].std().item() == pytest.approx(0.3, rel=0.02)


def test_walks_are_keyed_by_group_and_both_steps():
    past = torch.zeros(2, 5, 1, 1, dtype=torch.float64)
    both = WALK.lag_noise(past, 3, 2, at(7))
    assert torch.equal(both, WALK.lag_noise(past, 3, 2, at(7)))
    assert torch.equal(both[1:], WALK.lag_noise(past[1:], 3, 2, at(7, KEYS[1:])))
    assert not torch.equal(both, WALK.lag_noise(past, 3, 2, at(8)))
    assert not torch.equal(both, WALK.lag_noise(past, 3, 3, at(7)))
    with pytest.raises(ArgumentError, match="needs a moment="):
        WALK.lag_noise(past, 3, 2, None)


LAYOUT = LagLayout((1, 2, 5), ("a", "b"), (TargetFeature(("sum_a",), 3, lambda fed: fed[..., 0].sum(2)[..., None]),))


def wide_problem(groups=2, windows=3, horizon=6):
    model = Linear(LAYOUT, 0.3 * draw(groups, 7, 2), draw(groups, 2, seed=1))
    return model, draw(groups, windows, 6, 2, seed=2), draw(groups, windows, horizon, 2, seed=3)


def test_a_roll_out_under_a_walk_is_a_slow_loop():
    """Lags with gaps, two channels, a feature that is read without noise, and missing truth."""
    model, past, future = wide_problem()
    known = torch.ones_like(future, dtype=torch.bool)
    known[:, 1, 2:4, 0] = False
    got, _ = rollout(model, past, 6, WALK, future=future, future_mask=known, moment=at(7))
    for g in range(2):
        for b in range(3):
            fed = [row.tolist() for row in past[g, b]]
            for h in range(6):
                steps = normal(KEYS, (10, 7, h), 3, 3, 2)[g, b]
                x = []
                for k, lag in enumerate((5, 2, 1)):
                    for c in range(2):
                        x.append(fed[-lag][c] + 0.3 / 3**0.5 * sum(steps[j, c].item() for j in range(k + 1)))
                x.append(sum(row[0] for row in fed[-3:]))
                out = [
                    sum(v * model.weight[g, d, c].item() for d, v in enumerate(x)) + model.bias[g, c].item()
                    for c in range(2)
                ]
                np.testing.assert_allclose(got[g, b, h].tolist(), out, rtol=1e-12, atol=1e-12)
                fed.append([future[g, b, h, c].item() if known[g, b, h, c] else out[c] for c in range(2)])


def test_parallel_passes_feed_the_same_walk():
    model, past, future = wide_problem()
    known = torch.ones_like(future, dtype=torch.bool)
    known[:, 1, 2:4, 0] = False
    results = [
        run(model, past, 6, WALK, future=future, future_mask=known, moment=at(7))[0]
        for run in (rollout, parallel_rollout)
    ]
    assert torch.equal(*results)


def test_gradients_under_a_walk_match_finite_differences():
    model, past, future = wide_problem(groups=1)
    moment = at(7, KEYS[:1])
    known = torch.ones_like(future, dtype=torch.bool)
    known[:, 1, 2:4, 0] = False

    def loss(weight):
        free = Linear(LAYOUT, weight.detach(), model.bias)
        del free.weight
        free.weight = weight
        return rollout(free, past, 6, WALK, future=future, future_mask=known, moment=moment)[0].pow(2).sum()

    weight = model.weight.detach().clone().requires_grad_()
    loss(weight).backward()
    for d in range(7):
        step = torch.zeros_like(weight)
        step[0, d, 1] = 1e-6
        by_difference = (loss(weight.detach() + step) - loss(weight.detach() - step)).item() / 2e-6
        assert weight.grad[0, d, 1].item() == pytest.approx(by_difference, rel=1e-5, abs=1e-6)


def test_noise_is_on_the_target_lags_alone():
    fed = draw(1, 2, 6, 2)
    known, noise = draw(1, 2, 4, seed=1), draw(1, 2, 6, seed=2)
    plain, disturbed = lag_vector(LAYOUT, fed, 6, known), lag_vector(LAYOUT, fed, 6, known, noise)
    torch.testing.assert_close((disturbed - plain)[..., :6], noise)
    assert torch.equal(disturbed[..., 6:], plain[..., 6:])


def test_in_the_mean_a_walk_is_a_ridge_by_its_covariance_and_the_target_stays_the_truth():
    """E loss = clean loss + w' K w, K_jk = sigma^2 min(j, k) / p: no part of the noise is in the target."""
    weight = torch.tensor([0.5, -0.4, 1.1], dtype=torch.float64)
    model = Linear(LagLayout((1, 2, 3)), weight.view(1, 3, 1), torch.zeros(1, 1, dtype=torch.float64))
    past = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64).view(1, 1, 3, 1).expand(1, 100_000, 3, 1)
    truth = torch.full((1, 100_000, 1, 1), 2.5, dtype=torch.float64)
    noisy, _ = rollout(model, past, 1, WALK, future=truth, moment=at(0, KEYS[:1]))
    clean, _ = rollout(model, past, 1, InputNoise(0.0), future=truth, moment=at(0, KEYS[:1]))
    order = torch.arange(1, 4, dtype=torch.float64)
    ridge = weight @ (0.09 / 3 * torch.minimum(order[:, None], order)) @ weight
    extra = (noisy - truth).pow(2).mean() - (clean - truth).pow(2).mean()
    assert extra.item() == pytest.approx(ridge.item(), rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("scaling", ["last", "mean_abs"])
@pytest.mark.parametrize("policy", [InputNoise(0.1), InputNoise(0.1, "random_walk")], ids=str)
def test_series_trained_together_under_noise_are_as_each_alone(policy, scaling):
    df = make_frame((60, 50, 70))
    model = NARXForecaster(
        4, 5, scope="local", model="mlp", max_steps=4, season_length=7, mode=policy,
        target_transforms=[Difference(1)], window_scaling=scaling,
    )  # fmt: skip
    together = model.fit(df).predict().set_index("unique_id")["NARXForecaster"]
    for name in ("s0", "s1", "s2"):
        alone = model.fit(df[df["unique_id"] == name]).predict()["NARXForecaster"]
        np.testing.assert_allclose(together.loc[name], alone, rtol=1e-5)


@pytest.mark.parametrize("kind", ["white", "random_walk"])
def test_a_regressor_cannot_be_fitted_under_noise(kind):
    with pytest.raises(
        ArgumentError, match="a regressor that is fitted on rows does not have; use a model with a gradient"
    ):
        NARXForecaster(4, 5, model=Ridge(), season_length=7, mode=InputNoise(0.1, kind)).fit(make_frame())
