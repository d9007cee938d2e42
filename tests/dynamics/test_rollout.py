"""rollout: against a plain loop, against itself iterated, and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.reference import roll
from tsforce.dynamics.forcing import ClosedLoop, Forcing, OpenLoop
from tsforce.dynamics.lags import LagLayout, TargetFeature, lag_vector
from tsforce.dynamics.models.base import StepModel
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.rollout import rollout
from tsforce.errors import MissingTruthError

G, B, L, H = 3, 4, 6, 5


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(3)
    weight = 0.3 * torch.randn(G, L, 1, generator=generator, dtype=torch.float64)
    bias = torch.randn(G, 1, generator=generator, dtype=torch.float64)
    past = torch.randn(G, B, L, 1, generator=generator, dtype=torch.float64)
    future = torch.randn(G, B, H, 1, generator=generator, dtype=torch.float64)
    return Linear(LagLayout(tuple(range(1, L + 1))), weight, bias), past, future


class Share(Forcing):
    """A policy with a given share of truth per step."""

    def __init__(self, share):
        object.__setattr__(self, "values", torch.tensor(share, dtype=torch.float64))

    def share(self, known, moment=None):
        return self.values[:, None].expand(known.shape) * known


@pytest.mark.parametrize(
    ("forcing", "share"),
    [
        (ClosedLoop(), [0, 0, 0, 0, 0]),
        (OpenLoop(), [1, 1, 1, 1, 1]),
        (Share([1, 0, 0, 1, 0]), [1, 0, 0, 1, 0]),
        (Share([0.25, 0.5, 0, 1, 0]), [0.25, 0.5, 0, 1, 0]),
    ],
)
def test_rollout_equals_a_plain_loop(problem, forcing, share):
    model, past, future = problem
    yhat, fed = rollout(model, past, H, forcing, future=future)
    for g in range(G):
        for b in range(B):
            want = roll(
                model.weight[g, :, 0].tolist(), model.bias[g].item(), past[g, b, :, 0].tolist(), H,
                future[g, b, :, 0].tolist(), share,
            )  # fmt: skip
            np.testing.assert_allclose(yhat[g, b, :, 0], want, rtol=1e-12)
    assert fed is None if forcing == ClosedLoop() else fed[0, 0, :, 0].tolist() == pytest.approx(share)


def test_closed_loop_is_one_step_iterated(problem):
    model, past, _ = problem
    whole, _ = rollout(model, past, H, ClosedLoop())
    context = past
    for h in range(H):
        step, _ = rollout(model, context, 1, ClosedLoop())
        assert torch.equal(step[:, :, 0], whole[:, :, h])
        context = torch.cat([context[:, :, 1:], step], dim=2)


def test_closed_loop_with_horizon_one_is_open_loop(problem):
    model, past, future = problem
    closed, _ = rollout(model, past, 1, ClosedLoop())
    forced, _ = rollout(model, past, 1, OpenLoop(), future=future[:, :, :1])
    assert torch.equal(closed, forced)


def test_open_loop_is_one_step_on_observed_values(problem):
    model, past, future = problem
    forced, _ = rollout(model, past, H, OpenLoop(), future=future)
    joined = torch.cat([past, future], dim=2)
    for h in range(H):
        step, _ = model.step(lag_vector(model.layout, joined, L + h), None)
        assert torch.allclose(step[..., 0], forced[:, :, h], rtol=1e-13)


def test_groups_and_windows_do_not_mix(problem):
    model, past, _ = problem
    whole, _ = rollout(model, past, H, ClosedLoop())
    alone, _ = rollout(model.groups(slice(1, 2)), past[1:2, 2:3], H, ClosedLoop())
    assert torch.allclose(whole[1:2, 2:3], alone, rtol=1e-13)


def test_a_missing_truth_is_replaced_by_the_own_output_even_if_it_is_nan(problem):
    model, past, future = problem
    future = future.clone()
    future[:, :, 1] = float("nan")
    known = torch.isfinite(future)
    yhat, fed = rollout(model, past, H, OpenLoop(), future=future, future_mask=known)
    assert torch.isfinite(yhat).all()
    assert fed[0, 0, :, 0].tolist() == [1, 0, 1, 1, 1]
    want = roll(
        model.weight[0, :, 0].tolist(), model.bias[0].item(), past[0, 0, :, 0].tolist(), H,
        torch.nan_to_num(future)[0, 0, :, 0].tolist(), [1, 0, 1, 1, 1],
    )  # fmt: skip
    np.testing.assert_allclose(yhat[0, 0, :, 0], want, rtol=1e-12)


def test_open_loop_without_truth_says_what_to_pass(problem):
    model, past, _ = problem
    with pytest.raises(MissingTruthError, match=r"OpenLoop\(\).*future="):
        rollout(model, past, H, OpenLoop())


def test_closed_loop_reads_nothing_after_the_cutoff(problem):
    model, past, future = problem
    plain, _ = rollout(model, past, H, ClosedLoop())
    poisoned, _ = rollout(model, past, H, ClosedLoop(), future=torch.full_like(future, float("nan")))
    assert torch.equal(plain, poisoned)


def test_the_guard_clips_what_is_returned_and_what_is_fed():
    double = Linear(LagLayout((1,)), torch.tensor([[[2.0]]]), torch.zeros(1, 1))
    bounds = (torch.tensor(-5.0), torch.tensor(5.0))
    yhat, _ = rollout(double, torch.ones(1, 1, 1, 1), 5, ClosedLoop(), bounds=bounds)
    assert yhat.flatten().tolist() == [2, 4, 5, 5, 5]


def test_several_channels_are_fed_back_jointly():
    weight = torch.tensor([[[0.0, 1.0], [2.0, 0.0]]])  # a' = 2b, b' = a
    model = Linear(LagLayout((1,), ("a", "b")), weight, torch.zeros(1, 2))
    yhat, _ = rollout(model, torch.tensor([[[[1.0, 10.0]]]]), 3, ClosedLoop())
    assert yhat[0, 0].tolist() == [[20, 1], [2, 20], [40, 2]]


def test_target_features_are_recomputed_from_what_was_fed():
    mean = TargetFeature(("mean2",), 2, lambda z: z.mean(dim=2))
    model = Linear(LagLayout((1,), ("y",), (mean,)), torch.tensor([[[0.5], [1.0]]]), torch.zeros(1, 1))
    yhat, _ = rollout(model, torch.tensor([[[[2.0], [4.0]]]]), 2, ClosedLoop())
    assert yhat.flatten().tolist() == [0.5 * 4 + 3, 0.5 * 5 + 4.5]


class Scaled(nn.Module):
    """A trainable nonlinear map with a state that counts steps."""

    def __init__(self, layout):
        super().__init__()
        self.layout = layout
        self.weight = nn.Parameter(torch.full((len(layout.columns),), 0.4, dtype=torch.float64))

    def init_state(self, past):
        return 0

    def step(self, x, state):
        return torch.tanh((x * self.weight).sum(dim=-1) + 0.1 * state)[..., None, None], state + 1


def test_step_models_are_recognised_by_their_contract():
    assert isinstance(Scaled(LagLayout((1,))), StepModel)


def test_state_is_handed_from_step_to_step():
    model = Scaled(LagLayout((1,)))
    with torch.no_grad():
        yhat, _ = rollout(model, torch.zeros(1, 1, 1, 1, dtype=torch.float64), 3, ClosedLoop())
    z, want = 0.0, []
    for state in range(3):
        z = np.tanh(0.4 * z + 0.1 * state)
        want.append(z)
    np.testing.assert_allclose(yhat.flatten(), want)


@pytest.mark.parametrize("forcing", [ClosedLoop(), OpenLoop(), Share([1, 0, 0.5, 0, 1])])
def test_gradients_through_the_rollout_match_finite_differences(problem, forcing):
    _, past, future = problem
    model = Scaled(LagLayout((1, 2, 4)))

    def run(weight, context, truth):
        yhat, _ = rollout(_with_weight(model, weight), context, H, forcing, future=truth)
        return yhat

    inputs = (
        model.weight.detach().clone().requires_grad_(),
        past[:1, :2].clone().requires_grad_(),
        future[:1, :2].clone().requires_grad_(),
    )
    assert torch.autograd.gradcheck(run, inputs)


def _with_weight(model, weight):
    class Bound:
        layout = model.layout
        init_state = staticmethod(model.init_state)

        @staticmethod
        def step(x, state):
            return torch.tanh((x * weight).sum(dim=-1) + 0.1 * state)[..., None, None], state + 1

    return Bound()


def test_in_open_loop_no_gradient_flows_through_feedback(problem):
    _, past, future = problem
    truth = future[:1, :1].clone().requires_grad_()
    context = past[:1, :1].clone().requires_grad_()
    yhat, _ = rollout(Scaled(LagLayout((1,))), context, H, OpenLoop(), future=truth)
    (by_context,) = torch.autograd.grad(yhat[0, 0, 2, 0], context, retain_graph=True, allow_unused=True)
    (by_truth,) = torch.autograd.grad(yhat[0, 0, 2, 0], truth)
    assert by_context is None or not by_context.any()
    assert by_truth.flatten().ne(0).tolist() == [False, True, False, False, False]


def test_policies_are_frozen_comparable_and_readable():
    assert OpenLoop() == OpenLoop() != ClosedLoop()
    assert repr(ClosedLoop()) == "ClosedLoop(gradient='keep', cut_every=None)"
    with pytest.raises(AttributeError):
        OpenLoop().ratio = 0.5


def test_shocks_are_added_to_outputs_that_are_fed_back_and_held_with_them(problem):
    model, past, _ = problem
    shocks = torch.randn(G, B, H, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    yhat, _ = rollout(model, past, H, ClosedLoop(), shocks=shocks)
    for g in range(G):
        for b in range(B):
            fed = past[g, b, :, 0].tolist()
            for h in range(H):
                lags = sum(w * z for w, z in zip(model.weight[g, :, 0].tolist(), fed[-L:], strict=True))
                fed.append(lags + model.bias[g].item() + shocks[g, b, h, 0].item())
            np.testing.assert_allclose(yhat[g, b, :, 0], fed[-H:], rtol=1e-12)
    bounds = torch.full((1,), -0.5, dtype=torch.float64), torch.full((1,), 0.5, dtype=torch.float64)
    held, _ = rollout(model, past, H, ClosedLoop(), shocks=shocks, bounds=bounds)
    assert held.abs().max() == 0.5
    torch.testing.assert_close(held[:, :, 0], yhat[:, :, 0].clamp(-0.5, 0.5))


def test_many_windows_of_a_linear_map_are_rolled_out_as_few_are(problem):
    model, past, _ = problem
    many = past.repeat(1, 40, 1, 1)
    few, _ = rollout(model, past, H, ClosedLoop())
    torch.testing.assert_close(
        rollout(model, many, H, ClosedLoop())[0], few.repeat(1, 40, 1, 1), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("forcing", [ClosedLoop(), OpenLoop(), Share([0.0, 1.0, 0.5, 1.0, 0.0])])
def test_roll_outs_go_on_from_those_that_are_picked(problem, forcing):
    model, past, future = problem
    # Windows 3, 0, 3 go on after the second step, then the last two of these.
    turns = {1: torch.tensor([3, 0, 3]), 3: torch.tensor([1, 2])}

    def pick(h, output):
        values = output[..., 0]
        if h not in turns:
            return values
        places = torch.arange(len(turns[h]), dtype=values.dtype)[:, None]
        return values[:, turns[h]] + places, turns[h]

    found, share = rollout(model, past, H, forcing, future=future, pick=pick)
    shocks = torch.zeros(G, 2, H, 1, dtype=past.dtype)
    shocks[:, 0, 1], shocks[:, 1, 1], shocks[:, 1, 3] = 1.0, 2.0, 1.0
    chosen = torch.tensor([0, 3])
    want, fed = rollout(model, past[:, chosen], H, forcing, future=future[:, chosen], shocks=shocks)
    # What is picked is fed back; outputs are what they were.
    torch.testing.assert_close(found, want)
    assert (share is None) == (fed is None)
    if fed is not None:
        torch.testing.assert_close(share, fed)


class Summing(Scaled):
    """One whose state is a sum for each roll-out."""

    def init_state(self, past):
        return (past[:, :, -1],)

    def step(self, x, state):
        total = state[0] + x
        return total[..., None], (total,)


def test_a_state_goes_on_with_the_roll_outs_that_are_picked():
    model = Summing(LagLayout((1,)))
    past = torch.tensor([[[[1.0]], [[10.0]]]])
    want, _ = rollout(model, past, 3, ClosedLoop())
    swapped, _ = rollout(model, past, 3, ClosedLoop(), pick=lambda h, out: (out[..., 0].flip(1), torch.tensor([1, 0])))
    torch.testing.assert_close(swapped, want.flip(1))
