"""Schedules against their formulas, draws against their axes, policies against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import roll
from tsforce.dynamics.draws import key_of, normal, uniform
from tsforce.dynamics.lags import LagLayout, TargetFeature
from tsforce.dynamics.models.linear import Linear as LinearModel
from tsforce.dynamics.parallel import full_depth, parallel_rollout, passes_for
from tsforce.dynamics.rollout import rollout
from tsforce.errors import ArgumentError
from tsforce.forcing import (
    ClosedLoop,
    Cosine,
    Curriculum,
    Cyclic,
    Exponential,
    InverseSigmoid,
    Linear,
    Moment,
    OpenLoop,
    Step,
)

KEYS = torch.tensor([key_of(0, "a"), key_of(0, "b"), key_of(0, "c")])


def at(step, total=100, epoch=0, keys=KEYS):
    return Moment(step, total, epoch, keys)


# ---- schedules

FORMULAS = [
    (Linear(), lambda e, end: max(0.0, 1 - e / end)),
    (Linear(0.25), lambda e, end: max(0.25, 1 - e / end)),
    (Exponential(), lambda e, end: (0.5 ** (10 / end)) ** e),
    (Exponential(0.9), lambda e, end: 0.9**e),
    (InverseSigmoid(5.0), lambda e, end: 5 / (5 + math.exp(e / 5))),
    (Cosine(), lambda e, end: (1 + math.cos(math.pi * e / end)) / 2),
    (Cosine(0.2), lambda e, end: 0.2 + 0.8 * (1 + math.cos(math.pi * e / end)) / 2),
    (Step(), lambda e, end: float(e < end)),
]


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS, ids=lambda v: repr(v)[:24])
@pytest.mark.parametrize("e", [0, 1, 20, 39, 40])
def test_a_schedule_equals_its_formula_from_start_to_end(schedule, formula, e):
    assert schedule(e, 40) == pytest.approx(formula(e, 40))


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS, ids=lambda v: repr(v)[:24])
def test_a_schedule_keeps_its_last_value(schedule, formula):
    assert schedule(1000, 40) == pytest.approx(formula(40, 40))


def test_the_exponential_default_ends_near_a_thousandth():
    assert Exponential()(500, 500) == pytest.approx(0.5**10)


def test_the_inverse_sigmoid_starts_below_one_and_has_a_half_at_half_time():
    s = InverseSigmoid()
    k = 107.0
    assert s(500, 1000) == pytest.approx(0.5, abs=1e-9)
    assert s(0, 1000) == pytest.approx(k / (k + 1), abs=1e-4)
    assert s(1000, 1000) == pytest.approx(0.009, abs=1e-3)
    assert InverseSigmoid(1.0)(10_000, 10_000) == 0


def test_cycles_are_on_and_off_in_turn_for_ever():
    assert [Cyclic(3)(e, 5) for e in (0, 1, 2, 3, 4, 5, 6, 600, 603)] == [1, 1, 1, 0, 0, 0, 1, 1, 0]
    assert [Cyclic()(e, 5) for e in range(4)] == [1, 0, 1, 0]


BAD = [
    (lambda: Linear(1.5), "floor=1.5"),
    (lambda: Exponential(1.0), "0 < k < 1"),
    (lambda: InverseSigmoid(0.5), "k >= 1"),
    (lambda: Cyclic(0), "period=0"),
    (lambda: Cyclic(2.5), "period=2.5: expected a whole number"),
    (lambda: Linear("half"), "floor='half': expected a share"),
    (lambda: Curriculum(length="a"), "length='a': expected a part of training"),
    (lambda: Curriculum("linear"), r"Linear\(\)"),
    (lambda: Curriculum(length=0), "length=0"),
    (lambda: Curriculum(direction="down"), "'decreasing', 'increasing'"),
    (lambda: Curriculum(decision="random"), "'sampled', 'deterministic'"),
    (lambda: Curriculum(time="steps"), "Did you mean 'step'"),
    (lambda: Curriculum(sharing="all"), "'window', 'batch', 'epoch'"),
    (lambda: Curriculum(gradient="stop"), "'keep', 'detach'"),
    (lambda: ClosedLoop("stop"), "'keep', 'detach'"),
    (lambda: Curriculum().ratio(None), "moment="),
]


@pytest.mark.parametrize(("build", "message"), BAD)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(ArgumentError, match=message):
        build()


# ---- draws


def test_draws_are_uniform_and_normal():
    u = uniform(KEYS, (1,), 200, 100)
    assert abs(float(u.mean()) - 0.5) < 0.005
    assert abs(float(u.var()) - 1 / 12) < 0.001
    assert 0 <= float(u.min()) < float(u.max()) < 1
    z = normal(KEYS, (1,), 200, 100)
    assert abs(float(z.mean())) < 0.02
    assert abs(float((z**4).mean()) - 3) < 0.1
    assert abs(np.corrcoef(u.reshape(3, -1))[0, 1]) < 0.03


def test_draws_depend_on_key_and_place_only():
    together = uniform(KEYS, (5, 7), 4, 3)
    alone = uniform(KEYS[1:2], (5, 7), 6, 3)
    assert torch.equal(together[1:2], alone[:, :4])
    assert not torch.equal(together, uniform(KEYS, (5, 8), 4, 3))
    assert key_of(0, "x") == key_of(0, "x")
    assert len({key_of(seed, name) for seed in range(9) for name in "abcdefghi"}) == 81


def test_float32_draws_stay_below_one():
    assert float(uniform(KEYS, (0,), 100_000, dtype=torch.float32).max()) < 1


# ---- the share of truth

KNOWN = torch.ones(3, 50, 8, 1, dtype=torch.bool)


def test_ratio_follows_the_schedule_over_the_given_part_of_training():
    c = Curriculum(length=0.5)
    assert [c.ratio(at(e)) for e in (0, 25, 50, 99)] == [1, 0.5, 0, 0]
    up = Curriculum(length=0.5, direction="increasing")
    assert [up.ratio(at(e)) for e in (0, 25, 50)] == [0, 0.5, 1]
    assert Curriculum(Linear(0.2), direction="increasing").ratio(at(99)) == pytest.approx(0.8)


def test_sampled_shares_are_zero_or_one_with_the_schedules_mean():
    a = Curriculum().share(KNOWN, at(18))
    assert set(a.unique().tolist()) == {0, 1}
    assert abs(float(a.mean()) - 0.7) < 0.05


@pytest.mark.parametrize(("decision_at", "ones"), [(0, 8), (15, 6), (30, 4), (59, 0), (60, 0)])
def test_deterministic_shares_feed_truth_for_the_first_steps(decision_at, ones):
    a = Curriculum(decision="deterministic").share(KNOWN, at(decision_at))
    assert a[0, 0, :, 0].tolist() == [1] * ones + [0] * (8 - ones)


@pytest.mark.parametrize("time", ["step", "sequence"])
@pytest.mark.parametrize("sharing", ["window", "batch", "epoch"])
def test_the_two_axes_of_a_draw(time, sharing):
    policy = Curriculum(time=time, sharing=sharing)
    a = policy.share(KNOWN, at(30, epoch=1))[..., 0]
    varies_over_steps = bool((a != a[:, :, :1]).any())
    varies_over_windows = bool((a != a[:, :1]).any())
    later = policy.share(KNOWN, at(31, epoch=1))[..., 0]
    assert varies_over_steps is (time == "step")
    assert varies_over_windows is (sharing == "window")
    if sharing == "epoch":
        # same draw, ratio barely lower: at most a few of the 8 x 3 decisions can have flipped
        assert float((a != later).float().mean()) < 0.1
    else:
        assert torch.equal(a, policy.share(KNOWN, at(30, epoch=1))[..., 0])


def test_shares_of_a_group_do_not_depend_on_its_neighbours():
    whole = Curriculum().share(KNOWN, at(30))
    alone = Curriculum().share(KNOWN[1:2], at(30, keys=KEYS[1:2]))
    assert torch.equal(whole[1:2], alone)


def test_a_missing_truth_is_never_fed():
    known = KNOWN.clone()
    known[:, :, 3] = False
    for policy in (OpenLoop(), Curriculum(), Curriculum(decision="deterministic")):
        assert not policy.share(known, at(0))[:, :, 3].any()


def test_policies_compare_by_value():
    assert Curriculum() == Curriculum() != Curriculum(Cosine())
    assert ClosedLoop() != ClosedLoop("detach")
    assert "InverseSigmoid" in repr(Curriculum(InverseSigmoid()))


# ---- roll-outs under policies

POLICIES = [
    Curriculum(),
    Curriculum(Cosine(), direction="increasing"),
    Curriculum(decision="deterministic"),
    Curriculum(time="sequence"),
    Curriculum(sharing="batch"),
    Curriculum(sharing="epoch", schedule=Step()),
    Curriculum(gradient="detach"),
    ClosedLoop(),
    ClosedLoop("detach"),
    OpenLoop(),
]


def problem(lags=(1, 2, 3), groups=3, windows=4, horizon=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    length = max(lags) + 1
    weight = 0.5 * torch.randn(groups, len(lags), 1, generator=g, dtype=torch.float64)
    past = torch.randn(groups, windows, length, 1, generator=g, dtype=torch.float64)
    future = torch.randn(groups, windows, horizon, 1, generator=g, dtype=torch.float64)
    return LinearModel(LagLayout(lags), weight, torch.zeros(groups, 1, dtype=torch.float64)), past, future


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_a_roll_out_under_a_policy_equals_a_plain_loop(policy):
    model, past, future = problem()
    moment = at(20)
    share = policy.share(torch.ones_like(future, dtype=torch.bool), moment)
    yhat, _ = rollout(model, past, 6, policy, future=future, moment=moment)
    for g in range(3):
        for b in range(4):
            want = roll(
                model.weight[g, :, 0].tolist(), 0.0, past[g, b, :, 0].tolist(), 6,
                future[g, b, :, 0].tolist(), share[g, b, :, 0].tolist(),
            )  # fmt: skip
            np.testing.assert_allclose(yhat[g, b, :, 0], want, rtol=1e-12)


def by_differences(run, weight, eps=1e-6):
    out = []
    for i in range(weight.numel()):
        step = torch.zeros_like(weight).flatten()
        step[i] = eps
        step = step.view_as(weight)
        out.append((run(weight + step) - run(weight - step)) / (2 * eps))
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_gradients_under_a_policy_match_finite_differences(policy):
    """Under `detach`, differences are taken with the fed outputs held at their values."""
    model, past, future = problem(groups=1)
    moment = at(20, keys=KEYS[:1])
    weight = model.weight.detach().clone()
    _, share = rollout(model, past, 6, policy, future=future, moment=moment)
    share = torch.zeros_like(future) if share is None else share
    frozen = None
    if policy.gradient_scale == 0:
        own, _ = rollout(model, past, 6, policy, future=future, moment=moment)
        frozen = torch.where(share >= 1, future, own)

    def loss(w):
        free = LinearModel(model.layout, w, model.bias)
        if frozen is not None:
            yhat, _ = rollout(free, past, 6, OpenLoop(), future=frozen)
        else:
            yhat, _ = rollout(free, past, 6, policy, future=future, moment=moment)
        return float((yhat**2).sum())

    live = LinearModel(model.layout, weight, model.bias)
    live.weight.requires_grad_()
    yhat, _ = rollout(live, past, 6, policy, future=future, moment=moment)
    (yhat**2).sum().backward()
    torch.testing.assert_close(live.weight.grad.flatten(), by_differences(loss, weight), rtol=1e-5, atol=1e-6)


# ---- fixed-point passes

lag_sets = st.lists(st.integers(1, 5), min_size=1, max_size=4, unique=True).map(lambda v: tuple(sorted(v)))


@settings(max_examples=80, deadline=None)
@given(lags=lag_sets, horizon=st.integers(1, 8), which=st.integers(0, len(POLICIES) - 1), seed=st.integers(0, 99),
       step=st.integers(0, 80), missing=st.booleans())  # fmt: skip
def test_passes_at_full_depth_equal_the_sequential_roll_out(lags, horizon, which, seed, step, missing):
    """Values to the bit and gradients to 1e-12, for every policy, lag set and mask."""
    model, past, future = problem(lags, groups=2, windows=3, horizon=horizon, seed=seed)
    known = torch.ones_like(future, dtype=torch.bool)
    if missing:
        known = uniform(KEYS[:2], (9, seed), 3, horizon)[..., None] < 0.7
    moment = at(step, keys=KEYS[:2])
    results = []
    for run in (rollout, parallel_rollout):
        live = LinearModel(model.layout, model.weight.detach().clone(), model.bias)
        live.weight.requires_grad_()
        yhat, _ = run(live, past, horizon, POLICIES[which], future=future, future_mask=known, moment=moment)
        (yhat * torch.arange(1, horizon + 1)[:, None]).sum().backward()
        results.append((yhat.detach(), live.weight.grad))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("lags", "share", "depth"),
    [
        ((1,), [0, 0, 0, 0], 4),
        ((1,), [1, 1, 1, 1], 1),
        ((1,), [0, 1, 0, 0], 2),
        ((1, 2), [0, 1, 0, 0], 3),
        ((2,), [0, 0, 0, 0], 2),
        ((1,), [0.5, 0.5, 1, 1], 3),
    ],
)
def test_depth_counts_own_outputs_in_a_row(lags, share, depth):
    assert full_depth(LagLayout(lags), torch.tensor(share).view(1, 1, -1, 1)) == depth


@pytest.mark.parametrize(("reach", "depth"), [(1, 5), (2, 5)])
def test_depth_counts_what_target_features_read(reach, depth):
    feature = TargetFeature(("mean",), reach, lambda fed: fed.mean(dim=2))
    assert full_depth(LagLayout((4,), features=(feature,)), torch.zeros(1, 1, 5, 1)) == depth


def test_enough_passes_are_horizon_over_smallest_lag():
    assert passes_for(LagLayout((2, 5)), 7) == 4
    newest = TargetFeature(("newest",), 1, lambda fed: fed[:, :, -1])
    assert passes_for(LagLayout((2, 5), features=(newest,)), 7) == 7
    model, past, future = problem((2, 5), horizon=7)
    exact, _ = rollout(model, past, 7, ClosedLoop())
    enough, _ = parallel_rollout(model, past, 7, ClosedLoop(), future=future, passes=4)
    fewer, _ = parallel_rollout(model, past, 7, ClosedLoop(), future=future, passes=2)
    assert torch.equal(exact, enough)
    assert not torch.equal(exact, fewer)


def test_below_full_depth_a_closed_loop_with_one_lag_forecasts_k_steps_from_every_origin():
    model, past, future = problem((1,), groups=1, windows=1, horizon=6)
    two, _ = parallel_rollout(model, past, 6, ClosedLoop(), future=future, passes=2)
    w = model.weight.item()
    series = [past[0, 0, -1, 0].item(), *future[0, 0, :, 0].tolist()]
    want = [w * series[0]] + [w * w * series[h - 1] for h in range(1, 6)]
    np.testing.assert_allclose(two[0, 0, :, 0], want, rtol=1e-12)


def test_gradient_of_the_last_pass_only_is_feedback_without_gradient():
    model, past, future = problem(groups=1)
    grads = []
    for run in (
        lambda m: rollout(m, past, 6, ClosedLoop("detach"), future=future),
        lambda m: parallel_rollout(m, past, 6, ClosedLoop(), future=future, gradient="last"),
    ):
        live = LinearModel(model.layout, model.weight.detach().clone(), model.bias)
        live.weight.requires_grad_()
        run(live)[0].sum().backward()
        grads.append(live.weight.grad)
    torch.testing.assert_close(*grads, rtol=1e-12, atol=1e-12)


def test_target_features_are_recomputed_in_every_pass():
    mean = TargetFeature(("mean",), 3, lambda z: z.mean(dim=2))
    layout = LagLayout((1,), ("y",), (mean,))
    model = LinearModel(layout, torch.tensor([[[0.4], [0.3]]], dtype=torch.float64), torch.zeros(1, 1).double())
    past, future = torch.randn(1, 2, 4, 1).double(), torch.randn(1, 2, 5, 1).double()
    exact, _ = rollout(model, past, 5, ClosedLoop())
    passes, _ = parallel_rollout(model, past, 5, ClosedLoop(), future=future)
    assert torch.equal(exact, passes)


@pytest.mark.parametrize(
    ("settings", "message"), [({"passes": 0}, "passes=0"), ({"gradient": "some"}, "'all' or 'last'")]
)
def test_bad_arguments_of_passes_are_named(settings, message):
    model, past, future = problem()
    with pytest.raises(ArgumentError, match=message):
        parallel_rollout(model, past, 6, ClosedLoop(), future=future, **settings)
