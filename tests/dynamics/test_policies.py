"""Every forcing policy against a plain loop, its gradient against one written out, and in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.makers import grouped, make_frame
from tsforce import ClosedLoop, Curriculum, NARXForecaster, OpenLoop, Training
from tsforce.data.frame import read_panel
from tsforce.data.transforms import Standardize
from tsforce.dynamics.draws import normal
from tsforce.dynamics.forcing import Moment
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.dynamics.models.recurrent import Recurrent
from tsforce.dynamics.parallel import parallel_rollout
from tsforce.dynamics.rollout import rollout
from tsforce.errors import ArgumentError
from tsforce.forcing import (
    Annealed,
    Exponential,
    GeneralizedTeacherForcing,
    InputNoise,
    ParallelSampling,
    ProfessorForcing,
    Pushforward,
    RollOutLength,
    SparseTeacherForcing,
    StepWeights,
    TeacherForcingRatio,
)
from tsforce.training.by_gradient import Phase, fit_by_gradient
from tsforce.training.history import History
from tsforce.training.problem import Problem
from tsforce.training.solvers.gradient import Settings

G, B, L, H = 2, 3, 4, 7
LAYOUT = LagLayout((1, 3))
KEYS = torch.tensor([11, 12])
MOMENT = Moment(30, 100, 4, KEYS)


def draw(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PAST, FUTURE = draw(G, B, L, 1), draw(G, B, H, 1, seed=1)
MODEL = Linear(LAYOUT, 0.5 * draw(G, 2, 1, seed=2), draw(G, 1, seed=3))
POLICIES = [
    TeacherForcingRatio(0.4),
    TeacherForcingRatio(0.4, time="step", gradient="detach"),
    SparseTeacherForcing(3),
    SparseTeacherForcing(4, truths=2, gradient=0.5),
    GeneralizedTeacherForcing(0.3),
    GeneralizedTeacherForcing(Exponential(), gradient=0.25),
    GeneralizedTeacherForcing(Annealed()),
    InputNoise(0.2),
    InputNoise(0.2, "random_walk"),
    Pushforward(3),
    ProfessorForcing(low=0.0),
    RollOutLength(),
    RollOutLength(Curriculum(), kind="random"),
    RollOutLength(InputNoise(0.2, "random_walk")),
    ParallelSampling(Curriculum()),
    StepWeights(Curriculum(), "last"),
    StepWeights(ProfessorForcing(low=0.0), "discount"),
    StepWeights(ClosedLoop(cut_every=2), "burn_in", skip=3),
    ClosedLoop(gradient=0.7, cut_every=2),
    Curriculum(cut_every=3),
]


def loop(weight, bias, past, future, share, noise, walks):
    """Return the outputs of one window of one group, by hand."""
    fed, outputs = list(past), []
    for h in range(len(future)):
        t = len(past) + h
        oldest, newest = fed[t - 3] + walks[h][0], fed[t - 1] + walks[h][1]
        outputs.append(weight[0] * oldest + weight[1] * newest + bias)
        a = share[h]
        fed.append(a * (future[h] + noise[h]) + (1 - a) * outputs[-1])
    return outputs


def test_a_pushforward_needs_no_truth_and_feeds_what_a_closed_loop_feeds():
    got, share = rollout(MODEL, PAST, H, Pushforward(3), moment=MOMENT)
    assert share is None
    torch.testing.assert_close(got, rollout(MODEL, PAST, H, ClosedLoop())[0], rtol=0, atol=0)


def test_a_growing_length_settles_when_it_is_whole_and_a_drawn_one_is_settled_from_the_first():
    steps = [Moment(step, 100, 0, KEYS) for step in (0, 30, 60, 99)]
    for kind, want in (("growing", [False, False, True, True]), ("random", [True] * 4)):
        policy = RollOutLength(ClosedLoop(), kind)
        assert [bool(policy.settled(10, now, steps[-1]).all()) for now in steps] == want


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_a_roll_out_is_a_plain_loop(policy):
    got, share = rollout(MODEL, PAST, H, policy, future=FUTURE, moment=MOMENT)
    innermost = getattr(policy, "forcing", policy)
    noise, walks = torch.zeros_like(FUTURE), torch.zeros(H, G, B, 2)
    if innermost == InputNoise(0.2):
        noise = 0.2 * normal(KEYS, (6, 30), B, H, 1)
    elif isinstance(innermost, InputNoise):
        steps = torch.stack([normal(KEYS, (10, 30, h), B, 2, 1)[..., 0] for h in range(H)])
        walks = 0.2 / 2**0.5 * torch.stack([steps[..., 0], steps[..., 0] + steps[..., 1]], dim=-1)
    share = torch.zeros_like(FUTURE) if share is None else share
    for g in range(G):
        for b in range(B):
            series = [x[g, b, :, 0].tolist() for x in (PAST, FUTURE, share, noise)]
            wanted = loop(MODEL.weight[g, :, 0].tolist(), MODEL.bias[g, 0].item(), *series, walks[:, g, b].tolist())
            np.testing.assert_allclose(got[g, b, :, 0].tolist(), wanted, rtol=1e-12, atol=1e-12)


def shares(policy, moment=MOMENT, horizon=12):
    return policy.share(torch.ones(G, B, horizon, 1, dtype=torch.bool), moment)[..., 0]


def test_what_each_policy_feeds():
    sparse = shares(SparseTeacherForcing(4, truths=2))[0, 0]
    assert [t for t in range(1, 13) if sparse[t - 1] == 1] == [1, 4, 5, 8, 9, 12]
    ratio = shares(TeacherForcingRatio(0.5))
    assert set(ratio.mean(dim=2).flatten().tolist()) == {0.0, 1.0}
    many = TeacherForcingRatio(0.3, time="step").share(
        torch.ones(1, 4000, 5, 1, dtype=torch.bool), Moment(0, 1, 0, KEYS[:1])
    )
    assert many.mean().item() == pytest.approx(0.3, abs=0.01)
    assert (shares(GeneralizedTeacherForcing(0.3)) - 0.3).abs().max() < 1e-7
    annealed = GeneralizedTeacherForcing(Exponential())
    ratios = [annealed.ratio(Moment(step, 100, 0, KEYS)) for step in (0, 30, 60, 99)]
    assert ratios[0] == 1
    assert ratios == sorted(ratios, reverse=True)
    missing = torch.ones(G, B, H, 1, dtype=torch.bool)
    missing[:, :, 2] = False
    for policy in POLICIES:
        assert (policy.share(missing, MOMENT)[:, :, 2] == 0).all()


def test_draws_repeat_and_depend_on_the_group_and_the_step():
    for policy in (TeacherForcingRatio(0.5, time="step"), InputNoise(1.0)):

        def drawn(moment, policy=policy):
            wide = torch.ones(len(moment.keys), 50, H, 1, dtype=torch.float64)
            noise = policy.noise(wide, moment)
            return policy.share(wide.bool(), moment) if noise is None else noise

        assert torch.equal(drawn(MOMENT), drawn(MOMENT))
        assert torch.equal(drawn(MOMENT)[1:], drawn(Moment(30, 100, 4, KEYS[1:])))
        assert not torch.equal(drawn(MOMENT), drawn(Moment(31, 100, 4, KEYS)))


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0])
def test_gradient_through_feedback_is_scaled_once_per_feed(scale):
    """One lag, one step of feedback: d(out2)/d(weight) = fed + weight * scale * d(fed)/d(weight)."""
    weight = torch.tensor([[[0.8]]], dtype=torch.float64, requires_grad=True)
    model = Linear(LagLayout((1,)), weight.detach(), torch.zeros(1, 1, dtype=torch.float64))
    del model.weight
    model.weight = weight
    past = torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64)
    out, _ = rollout(model, past, 3, ClosedLoop(gradient=scale))
    w, y0 = 0.8, 2.0
    first = y0
    second = w * y0 + w * scale * first
    third = w * w * y0 + w * scale * second
    for h, wanted in enumerate((first, second, third)):
        (got,) = torch.autograd.grad(out[0, 0, h, 0], weight, retain_graph=True)
        assert got.item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("cell", [None, "gru", "lstm"])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_cut_stops_every_later_read_of_what_was_written_before(cut, cell):
    """The same roll-out in pieces: buffer and state are handed on as plain numbers at each boundary."""
    layout = LagLayout((1, 2, 3))
    start = Linear(layout, 0.4 * draw(1, 3, 1, seed=5), draw(1, 1, seed=6))
    model = start
    if cell:
        model = Recurrent(layout, cell, 3, start, torch.tensor([1]), dtype=torch.float64)
        model.readout.data.copy_(draw(1, 3, 1, seed=7))
    for p in model.parameters():
        p.requires_grad_()
    past = draw(1, 2, 3, 1, seed=8)
    out, _ = rollout(model, past, H, ClosedLoop(cut_every=cut))
    got = torch.autograd.grad(out.pow(2).sum(), list(model.parameters()))

    total, fed, state = 0.0, [past[:, :, t] for t in range(3)], model.init_state(past)
    for h in range(H):
        if h and h % cut == 0:
            fed = [z.detach() for z in fed]
            state = None if state is None else tuple(s.detach() for s in state)
        y, state = model.step(torch.cat(fed[-3:], dim=-1), state)
        fed.append(y[..., 0])
        total = total + y.pow(2).sum()
    wanted = torch.autograd.grad(total, list(model.parameters()))
    for mine, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_a_pushforward_counts_one_step_after_steps_without_gradient():
    policy = Pushforward(most=3)
    assert Pushforward(3).steps(H, Moment(0, 10, 0, KEYS)) == 1
    seen = set()
    for step in range(60):
        moment = Moment(step, 100, 9, KEYS)
        weights = policy.weights(H, moment)
        assert weights.shape == (G, H)
        assert (weights.sum(dim=1) == 1).all()
        # However short the horizon, what is rolled out holds the one step that counts.
        short = Pushforward(most=9)
        assert (short.weights(3, moment)[:, : short.steps(3, moment)].sum(dim=1) == 1).all()
        seen |= set(weights.argmax(dim=1).tolist())
        assert policy.steps(H, moment) == weights.argmax(dim=1).max() + 1
        alone = Moment(step, 100, 9, KEYS[1:])
        assert policy.weights(H, alone).argmax() == policy.weights(H, moment)[1].argmax()
    assert seen == {0, 1, 2, 3}
    assert policy.gradient_scale == 0


def test_steps_count_as_they_are_weighed():
    def of(policy, moment=MOMENT, horizon=5):
        return policy.weights(horizon, moment)[:, : policy.steps(horizon, moment)]

    np.testing.assert_allclose(of(StepWeights(kind="discount", discount=0.9))[0], 0.9 ** np.arange(5), rtol=1e-6)
    assert of(StepWeights(kind="last")).tolist() == [[0, 0, 0, 0, 1]]
    assert of(StepWeights(kind="burn_in", skip=2)).tolist() == [[0, 0, 1, 1, 1]]
    assert of(StepWeights(kind="burn_in", skip=9)).tolist() == [[0, 0, 0, 0, 1]]
    # The last step is that of the roll-out, not of the horizon, whichever of the two policies is around the other.
    growing = Moment(30, 100, 0, KEYS)
    for policy in (StepWeights(RollOutLength(), "last"), RollOutLength(StepWeights(kind="last"))):
        assert of(policy, growing, 9).tolist() == [[0, 0, 0, 0, 1]]
        assert of(policy, Moment(0, 100, 0, KEYS), 9).tolist() == [[1]]


@pytest.mark.parametrize("kind", ["last", "discount", "burn_in"])
def test_weights_around_a_pushforward_leave_each_group_its_step(kind):
    inner = Pushforward(3)
    for step in range(20):
        moment = Moment(step, 100, 9, KEYS)
        got = StepWeights(inner, kind, skip=2).weights(H, moment)
        assert torch.equal(got > 0, inner.weights(H, moment) > 0)


def test_weights_that_are_all_alike_change_no_bit():
    df = make_frame((60, 50))
    given = {"horizon": 4, "lags": 5, "scope": "local", "max_steps": 6, "season_length": 7, "validation": False}
    given["solver"] = "adamw"
    plain = NARXForecaster(mode=ClosedLoop(), **grouped(given)).fit(df).predict()
    alike = NARXForecaster(mode=StepWeights(ClosedLoop(), "discount", discount=1.0), **grouped(given)).fit(df).predict()
    assert plain.equals(alike)


@pytest.mark.parametrize("build", [Linear, Perceptron], ids=lambda kind: kind.__name__)
def test_as_many_passes_as_steps_train_as_the_policy_itself(build):
    layout = LagLayout((1, 2, 3))
    panel = read_panel(make_frame((60, 50)))
    problem = Problem(panel, (Standardize(),), None, 3, layout, 4, 7, False, True, torch.device("cpu"))

    def weights(forcing, part=problem):
        def built(start, keys):
            if build is Linear:
                return Linear(layout, start.weight.clone(), start.bias.clone())
            return Perceptron(layout, (8,), start, keys, dtype=torch.float64)

        fitted = fit_by_gradient(
            part, np.ones(part.panel.n_series), built, [Phase(forcing, Settings(12, 8, 0.02))], n_validation=0,
            random_state=0, history=History("x"),
        )  # fmt: skip
        return torch.cat([p.detach().flatten(start_dim=1) for p in fitted.model.parameters()], dim=1)

    for through, plain in (("all", Curriculum()), ("last", Curriculum(gradient="detach"))):
        full = weights(ParallelSampling(Curriculum(), passes=4, through=through))
        torch.testing.assert_close(full, weights(plain), rtol=1e-9, atol=1e-9)
    two = ParallelSampling(Curriculum(), through="all")
    assert (weights(two) - weights(Curriculum())).abs().max() > 1e-3
    torch.testing.assert_close(weights(two)[1:], weights(two, problem.take(np.array([1]))), rtol=1e-9, atol=1e-9)


def test_passes_are_for_models_without_a_state():
    model = NARXForecaster(4, 5, model="gru", max_steps=2, season_length=7, mode=ParallelSampling(Curriculum()))
    with pytest.raises(ArgumentError, match="parallel passes, which AdamW on a model with a state does not have"):
        model.fit(make_frame((60, 50)))


def test_roll_outs_grow_or_are_drawn():
    grow, drawn = RollOutLength(first=2), RollOutLength(kind="random", first=2)
    lengths = [grow.steps(12, Moment(step, 100, 0, KEYS)) for step in range(100)]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[60]) == (2, 12)
    random = [drawn.steps(12, Moment(step, 100, 0, KEYS)) for step in range(300)]
    assert set(random) == set(range(2, 13))


@pytest.mark.parametrize("policy", [p for p in POLICIES if not p.cuts_every], ids=str)
def test_parallel_passes_feed_the_same(policy):
    one, _ = rollout(MODEL, PAST, H, policy, future=FUTURE, moment=MOMENT)
    two, _ = parallel_rollout(MODEL, PAST, H, policy, future=FUTURE, moment=MOMENT)
    torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_passes_refuse_a_cut():
    with pytest.raises(ArgumentError, match="cuts gradient at steps"):
        parallel_rollout(MODEL, PAST, H, ClosedLoop(cut_every=2), future=FUTURE)


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_every_policy_trains(policy, scope):
    df = make_frame((60, 50))
    model = NARXForecaster(
        5,
        7,
        scope=scope,
        max_steps=6,
        training=Training(batch_size=8, validation=False, learning_rate=0.01),
        season_length=7,
        mode=policy,
    )
    fc = model.fit(df).predict()
    assert np.isfinite(fc["NARXForecaster"]).all()
    assert model.mode_ == policy
    start = NARXForecaster(
        5,
        7,
        scope=scope,
        max_steps=6,
        training=Training(batch_size=8, validation=False, learning_rate=1e-12),
        season_length=7,
        mode=policy,
    )
    assert (start.fit(df).predict()["NARXForecaster"] != fc["NARXForecaster"]).all()


def test_input_noise_of_zero_is_open_loop():
    quiet, _ = rollout(MODEL, PAST, H, InputNoise(0.0), future=FUTURE, moment=MOMENT)
    plain, _ = rollout(MODEL, PAST, H, OpenLoop(), future=FUTURE)
    assert torch.equal(quiet, plain)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TeacherForcingRatio(1.2), "truth=1.2: expected a share"),
        (lambda: TeacherForcingRatio(0.5, time="window"), "'sequence', 'step'"),
        (lambda: SparseTeacherForcing(1), "every=1: expected a whole number of at least 2"),
        (lambda: SparseTeacherForcing(3, truths=3), "every=3: expected a whole number of at least 4"),
        (lambda: GeneralizedTeacherForcing(-0.1), "alpha=-0.1"),
        (lambda: GeneralizedTeacherForcing("high"), "alpha='high'"),
        (lambda: InputNoise(-1), "sigma=-1"),
        (lambda: InputNoise(float("inf")), "sigma=inf"),
        (lambda: InputNoise(kind="pink"), "'white', 'random_walk'"),
        (lambda: ProfessorForcing(weight=-1), "weight=-1: expected a number of at least 0"),
        (lambda: ProfessorForcing(learning_rate=0), "learning_rate=0: expected a number above 0"),
        (lambda: ProfessorForcing(both="yes"), "both='yes': expected True or False"),
        (lambda: ProfessorForcing(hidden=0), "hidden=0"),
        (lambda: ProfessorForcing(low=75), "low=75: expected an accuracy"),
        (lambda: ParallelSampling(passes=1), "passes=1: expected a whole number of at least 2"),
        (lambda: ParallelSampling(through="first"), "'last', 'all'"),
        (lambda: ParallelSampling(ClosedLoop(cut_every=2)), "cuts gradient at steps"),
        (lambda: StepWeights("closed_loop"), "expected a Forcing"),
        (lambda: StepWeights(kind="first"), "'last', 'discount', 'burn_in'"),
        (lambda: StepWeights(discount=0), "discount=0: expected a factor"),
        (lambda: StepWeights(skip=0), "skip=0"),
        (lambda: Pushforward(most=0), "most=0"),
        (lambda: RollOutLength("closed_loop"), "expected a Forcing"),
        (lambda: RollOutLength(kind="shrinking"), "'growing', 'random'"),
        (lambda: RollOutLength(first=0), "first=0"),
        (lambda: ClosedLoop(gradient=1.5), "gradient=1.5: expected 'keep', 'detach' or a share"),
        (lambda: ClosedLoop(gradient="half"), "'keep', 'detach'"),
        (lambda: ClosedLoop(cut_every=0), "cut_every=0: expected None or a whole number"),
        (lambda: Curriculum(cut_every=2.5), "cut_every=2.5"),
    ],
)
def test_what_makes_no_policy_is_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("policy", [TeacherForcingRatio(), InputNoise(), Pushforward(), RollOutLength()], ids=str)
def test_a_policy_that_draws_says_that_it_needs_a_moment(policy):
    ask = policy.steps if isinstance(policy, (Pushforward, RollOutLength)) else policy.noise
    ask = policy.share if isinstance(policy, TeacherForcingRatio) else ask
    with pytest.raises(ArgumentError, match="needs a moment="):
        ask(H if ask == getattr(policy, "steps", None) else FUTURE.bool(), None)


def test_patience_waits_until_a_roll_out_has_grown():
    df = make_frame((90, 90))
    model = NARXForecaster(
        8,
        7,
        model="mlp",
        max_steps=100,
        training=Training(batch_size=8),
        season_length=7,
        mode=RollOutLength(length=1.0),
    )
    frame = model.fit(df).history_.frame
    assert frame.loc[frame["run"] == "choose", "step"].max() == 100
