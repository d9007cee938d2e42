"""The schedule that follows the closed-loop validation error: its rule, each group its own, the final run's replay."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from tests.makers import make_frame
from tsforce import NARXForecaster, Training
from tsforce.data.frame import read_panel
from tsforce.data.transforms import Standardize
from tsforce.dynamics.forcing import Moment
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear as LinearModel
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.errors import ArgumentError
from tsforce.forcing import Adaptive, Curriculum, GeneralizedTeacherForcing, Linear, RollOutLength, StepWeights
from tsforce.training import by_gradient
from tsforce.training.by_gradient import Phase, fit_by_gradient
from tsforce.training.history import History
from tsforce.training.problem import Problem
from tsforce.training.solvers import gradient
from tsforce.training.solvers.gradient import Settings
from tsforce.training.solvers.looks import Lesson, Watch
from tsforce.training.solvers.usable_windows import Cutoffs

H, LAGS = 4, 5
LAYOUT = LagLayout(tuple(range(1, LAGS + 1)))
SETTINGS = Settings(max_steps=40, batch_size=6, learning_rate=0.01, looks=20)
KEYS = torch.tensor([1, 2])


def at(looks, step=30, keys=KEYS):
    return Moment(step, 100, step // 5, keys, torch.tensor(looks, dtype=torch.float64))


def problem(lengths=(60, 45, 80), *, pooled=False, ids=None):
    panel = read_panel(make_frame(lengths, ids=ids))
    return Problem(panel, (Standardize(),), None, LAGS, LAYOUT, H, 7, pooled, True, torch.device("cpu"))


def linear(start, keys):
    return LinearModel(LAYOUT, start.weight.clone(), start.bias.clone())


def mlp(start, keys):
    return Perceptron(LAYOUT, (8, 8), start, keys, dtype=torch.float64)


def fit(p, forcing, build=mlp, *, n_validation=2, history=None, **more):
    return fit_by_gradient(
        p, np.full(p.panel.n_series, 1.0), build, [Phase(forcing, SETTINGS)], n_validation=n_validation,
        random_state=0, history=history or History("test"), **more,
    )  # fmt: skip


def weights(model):
    return torch.cat([p.detach().flatten(start_dim=1) for p in model.parameters()], dim=1)


def slow(errors, fall, rise, floor):
    """The rule as its docstring says it, one group."""
    share = 1.0
    for before, now in pairwise(errors):
        keeps_up = np.isfinite(now) and now <= before
        share = max(floor, share - fall) if keeps_up else min(1.0, share + rise)
    return share


@settings(max_examples=60, deadline=None)
@given(
    errors=st.lists(st.sampled_from([0.5, 0.7, 0.9, float("inf")]), min_size=1, max_size=12),
    fall=st.sampled_from([0.1, 0.2, 0.3, 1.0]),
    rise=st.sampled_from([0.0, 0.1, 1.0]),
    floor=st.sampled_from([0.0, 0.15]),
)
def test_the_share_is_the_rule_look_by_look(errors, fall, rise, floor):
    other = errors[::-1]
    looks = [list(pair) for pair in zip(errors, other, strict=True)]
    got = Adaptive(fall, rise, floor).shares(at(looks), 60.0)
    np.testing.assert_allclose(got, [slow(e, fall, rise, floor) for e in (errors, other)], atol=1e-9)


def test_ten_falls_of_a_tenth_end_at_zero():
    schedule = Adaptive(fall=0.1)
    looks = [[1.0, 1.0]] * 11
    assert schedule.shares(at(looks), 60.0).tolist() == [0, 0]
    assert schedule.settled(at(looks), 60.0).tolist() == [True, True]
    assert schedule.settled(at(looks[:-1]), 60.0).tolist() == [False, False]


def test_a_group_that_cannot_be_judged_falls_along_a_line():
    looks = [[float("nan"), 1.0], [float("nan"), 2.0]]
    for step in (0, 15, 30, 60, 99):
        assert Adaptive(floor=0.2).shares(at(looks, step), 60.0).tolist() == [Linear(0.2)(step, 60.0), 1.0]


def test_each_group_is_fed_by_its_own_errors():
    known = torch.ones(2, 400, H, 1, dtype=torch.bool)
    looks = [[1.0, 1.0]] + [[2.0 + k, 0.5] for k in range(3)]  # worse and worse; better, then as good
    policies = [Curriculum(Adaptive(fall=0.25)), Curriculum(Adaptive(fall=0.25), time="sequence", sharing="epoch")]
    for policy in policies:
        share = policy.share(known, at(looks))
        assert share[0].min() == 1
        assert set(share[1].unique().tolist()) <= {0, 1}
        assert torch.equal(share[1:], policy.share(known[1:], at([row[1:] for row in looks], keys=KEYS[1:])))
    assert policies[0].share(known, at(looks))[1].mean().item() == pytest.approx(0.25, abs=0.03)
    half = Curriculum(Adaptive(fall=0.25), decision="deterministic").share(known, at(looks[:3]))
    assert half[:, 0, :, 0].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    blend = GeneralizedTeacherForcing(Adaptive(fall=0.25)).share(known, at(looks))
    assert blend[:, 0, 0, 0].tolist() == [1, 0.25]
    rising = Curriculum(Adaptive(fall=0.25), direction="increasing")
    assert rising.share(known, at(looks))[0].max() == 0
    assert rising.ratio(at(looks)) == pytest.approx((0 + 0.75) / 2)


@pytest.mark.parametrize(("build", "rise"), [(linear, 0.0), (mlp, 0.1)])
@pytest.mark.slow
def test_series_together_equal_each_alone_the_one_that_cannot_be_judged_included(build, rise):
    p = problem((60, 45, 80, 11), ids=["a", "b", "c", "short"])
    forcing = Curriculum(Adaptive(rise=rise))
    history = History("test")
    together = fit(p, forcing, build, history=history)
    for i in range(4):
        alone = fit(p.take(np.array([i])), forcing, build)
        torch.testing.assert_close(weights(together.model)[i : i + 1], weights(alone.model), rtol=1e-9, atol=1e-9)
        assert (together.steps[:, i] == alone.steps[:, 0]).all()
    assert [n for n in history.notes if n.startswith("1 of 4 models have no validation window")]


def test_chunks_of_series_change_nothing(monkeypatch):
    p, whole_history, history = problem(), History("a"), History("b")
    whole = fit(p, Curriculum(Adaptive()), history=whole_history)
    monkeypatch.setattr(by_gradient, "_CHUNK", 2)
    parts = fit(p, Curriculum(Adaptive()), history=history)
    torch.testing.assert_close(weights(whole.model), weights(parts.model), rtol=1e-9, atol=1e-9)
    mine, other = ([r.forcing_ratio for r in h.records if r.run == "choose"] for h in (whole_history, history))
    np.testing.assert_allclose(mine[: len(other)], other, rtol=1e-9)


@pytest.mark.parametrize("forcing", [Curriculum(Adaptive()), StepWeights(Curriculum(Adaptive()), "last")], ids=str)
def test_the_final_run_repeats_the_shares_of_the_run_that_was_judged(forcing, monkeypatch):
    """Roll-outs are listened to: the shares at every step, not only at the looks."""
    seen = []
    plain = gradient.rollout

    def listen(*args, moment, **more):
        seen.append((moment.step, Adaptive().shares(moment, 24.0).tolist()))
        return plain(*args, moment=moment, **more)

    monkeypatch.setattr(gradient, "rollout", listen)
    result = fit(problem(), forcing)
    starts = [i for i, (step, _) in enumerate(seen) if step == 0] + [len(seen)]
    chosen, final = (dict(seen[a:b]) for a, b in pairwise(starts))
    assert len(final) == result.steps.max()
    assert all(final[step] == chosen[step] for step in final)
    assert len({tuple(shares) for shares in final.values()}) > 2
    assert any(len(set(shares)) > 1 for shares in final.values())


@pytest.mark.parametrize("pooled", [True, False])
def test_the_same_seed_gives_the_same_bits(pooled):
    a, b = (fit(problem(pooled=pooled), Curriculum(Adaptive(rise=0.05))) for _ in range(2))
    assert torch.equal(weights(a.model), weights(b.model))


def run(forcing, errors, patience=2):
    """Return the records of a run whose validation errors are given."""
    p = problem((60,))
    learnt = p.learn(p.panel.lengths)
    start = by_gradient.warm_start(p, learnt, np.ones(1))
    history, given = History("x"), iter(errors)
    first = [np.array([learnt.store.first + LAGS - 1])]
    cutoffs = Cutoffs(learnt.store, [np.array([0])], first, [learnt.stops - 2], learnt.stops)
    watch = Watch(history, "choose", lambda model: (np.array([float(next(given))]), np.array([1.0])))
    settings = Settings(100, 4, 1e-4, looks=10, patience=patience)
    gradient.train(linear(start, None), Lesson(cutoffs, H, forcing, torch.tensor([1]), "adaptive"), watch, settings)
    return history.records


def test_a_look_changes_what_is_fed_after_it():
    records = run(Curriculum(Adaptive(fall=0.3, rise=0.1)), [5, 4, 4.5, 3, 2, 1, 1, 2, 2, 3, 4])
    assert [round(r.forcing_ratio, 9) for r in records] == [1, 0.7, 0.8, 0.5, 0.2, 0, 0, 0.1, 0, 0.1, 0.2]


def test_patience_counts_only_once_the_floor_is_reached():
    falling = Curriculum(Adaptive(fall=0.5))
    assert run(falling, range(1, 100))[-1].step == 100  # worse and worse: held at 1, and never settled
    # Better twice (to the floor at step 20), then worse: two looks of patience.
    assert run(falling, [9, 8, 7, *range(8, 100)])[-1].step == 40
    grows = RollOutLength(falling, length=0.8)
    assert run(grows, [9, 8, 7, *range(8, 100)])[-1].step == 80  # full length at 67, counted from the look at 70


def test_without_validation_it_says_what_to_use():
    model = NARXForecaster(4, 5, season_length=7, training=Training(validation=False), mode=Curriculum(Adaptive()))
    with pytest.raises(ArgumentError, match=r"AdamW under validation=False does not have; use .*such as Linear\(\)"):
        model.fit(make_frame())


def test_where_no_series_spares_a_window_it_is_a_linear_curriculum_and_says_so():
    history = History("x")
    short = fit(problem((11, 12)), Curriculum(Adaptive()), history=history)
    line = fit(problem((11, 12)), Curriculum())
    assert torch.equal(weights(short.model), weights(line.model))
    assert history.notes == [
        "2 of 2 models have no validation window with a scale to measure it by: their share of truth fell along a line."
    ]


def test_a_regressor_is_refused():
    with pytest.raises(
        ArgumentError, match="a regressor that is fitted on rows does not have; use a model with a gradient"
    ):
        NARXForecaster(4, 5, model=Ridge(), season_length=7, mode=Curriculum(Adaptive())).fit(make_frame())


def test_it_learns():
    """From a start that is spoilt on purpose, the closed-loop error falls, and truth is taken away as it does."""

    def spoilt(start, keys):
        return LinearModel(LAYOUT, start.weight * 0.2, start.bias)

    history = History("x")
    forcing = Curriculum(Adaptive())
    result = fit_by_gradient(
        problem(), np.ones(3), spoilt, [Phase(forcing, Settings(60, 8, 0.03, looks=20))], n_validation=2,
        random_state=0, history=history,
    )  # fmt: skip
    assert (result.best_error < result.start_error).all()
    ratios = [r.forcing_ratio for r in history.records if r.run == "choose"]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] == 1
    assert ratios[-1] < 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adaptive(fall=0), "fall=0: expected a share above 0"),
        (lambda: Adaptive(rise=-0.1), "rise=-0.1"),
        (lambda: Adaptive(floor=2), "floor=2"),
        (lambda: Adaptive()(3, 10), "follows a moment's closed-loop errors, not the step"),
        (lambda: Curriculum(Adaptive()).ratio(Moment(0, 10, 0, KEYS)), "this moment carries none"),
        (lambda: Curriculum(Adaptive()).ratio(None), "needs a moment="),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
