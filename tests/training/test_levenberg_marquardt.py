"""Levenberg-Marquardt: Jacobians, steps, independence of series, oracles, and forecasters trained by it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import least_squares
from sklearn.linear_model import LinearRegression

from tests.makers import as_it_stands, grouped, make_frame, wreck_after
from tests.pairs import pairs
from tsforce import ClosedLoop, Curriculum, NARXForecaster, OpenLoop, Training
from tsforce.data.frame import read_panel
from tsforce.data.transforms import Standardize
from tsforce.dynamics.draws import key_of
from tsforce.dynamics.lags import LagLayout, TargetFeature
from tsforce.dynamics.models.families import GRU, LSTM, MLP, Linear, Polynomial
from tsforce.dynamics.models.linear import Linear as LinearMap
from tsforce.errors import ArgumentError, DivergenceWarning
from tsforce.forcing import (
    Adaptive,
    GeneralizedTeacherForcing,
    InputNoise,
    Moment,
    ProfessorForcing,
    Pushforward,
    RollOutLength,
    SparseTeacherForcing,
    StepWeights,
)
from tsforce.training import by_gradient
from tsforce.training.by_gradient import Phase, fit_by_gradient
from tsforce.training.history import History
from tsforce.training.problem import Problem
from tsforce.training.solvers import jacobians, levenberg_marquardt
from tsforce.training.solvers.jacobians import Fixed, RollOuts, Rows, symmetric_product
from tsforce.training.solvers.least_squares import fit_linear
from tsforce.training.solvers.levenberg_marquardt import Settings, _Solver, train
from tsforce.training.solvers.looks import Lesson, Watch
from tsforce.training.solvers.partials import partials_of
from tsforce.training.solvers.terms import select_terms
from tsforce.training.solvers.usable_windows import Cutoffs

FAMILIES = {
    "linear": Linear(),
    "one layer": MLP((3,), "tanh"),
    "two layers": MLP((4, 3), "tanh"),
    "relu": MLP((4,), "relu"),
    "gru": GRU(2),
    "lstm": LSTM(2),
}
G, B, H, CHANNELS = 2, 5, 4, ("a", "b")
LAYOUT = LagLayout((1, 3), CHANNELS, future_exog=(("u", (0, 1)),))


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(family, layout=LAYOUT, groups=G):
    columns, channels = len(layout.columns), len(layout.channels)
    start = LinearMap(layout, 0.3 * randn(groups, columns, channels), 0.1 * randn(groups, channels, seed=1))
    model = family.build(start, torch.arange(groups), torch.float64)
    for number, p in enumerate(model.parameters()):
        # Nothing is zero: the last layer of a fresh network is.
        p.data += 0.2 * randn(*p.shape, seed=2 + number)
        p.requires_grad_(False)
    return model


def windows(fed, *, layout=LAYOUT, groups=G, length=6, even=False, horizon=H):
    """Roll-outs of random windows with inputs."""
    channels = len(layout.channels)
    past, truth = randn(groups, B, length, channels), randn(groups, B, horizon, channels, seed=1)
    weight = torch.ones_like(truth) if even else (rand(*truth.shape, seed=2) < 0.7).double()
    zero = past.new_zeros
    u = randn(groups, B, length + horizon, 1, seed=3)
    inputs = (zero(groups, B, length, 0), u, zero(groups, B, 0), zero(groups, B, horizon, 0))
    total = weight.sum(dim=(1, 2, 3), keepdim=True)
    noisy = truth + 0.1 * randn(*truth.shape, seed=4)
    return RollOuts(past, truth, weight / total, fed, noisy, inputs if layout.has_inputs else None)


def shares(kind):
    shape = (G, B, H, len(CHANNELS))
    hard = (rand(*shape, seed=5) < 0.5).double()
    return {"closed": None, "open": torch.ones(shape).double(), "mixed": hard, "blend": rand(*shape, seed=6)}[kind]


def flat(model):
    return torch.cat([p.detach().flatten(start_dim=1) for p in model.parameters()], dim=1)


def put(model, theta):
    for p, piece in zip(model.parameters(), theta.split([p[0].numel() for p in model.parameters()], 1), strict=True):
        p.data.copy_(piece.view_as(p))


def lower(matrix):
    return matrix.tril()


def gram_by_differences(residuals, model, step=1e-6):
    """``[r J]' [r J]`` of each group from central differences, one parameter at a time."""
    theta, columns = flat(model), [residuals(model).flatten(start_dim=1)]
    for p in range(theta.shape[1]):
        sides = []
        for sign in (1, -1):
            moved = theta.clone()
            moved[:, p] += sign * step
            put(model, moved)
            sides.append(residuals(model).flatten(start_dim=1))
        columns.append((sides[0] - sides[1]) / (2 * step))
    put(model, theta)
    both = torch.stack(columns, dim=2)
    return both.mT @ both


# ---- Jacobians


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["closed", "open", "mixed", "blend"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_gram_matrix_of_a_roll_out_equals_central_differences(name, kind):
    model, rolled = build(FAMILIES[name]), windows(Fixed(shares(kind)))
    expected = gram_by_differences(rolled.residuals, model)
    found = rolled.gram(model)
    torch.testing.assert_close(lower(found), lower(expected), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found[:, 0, 0], rolled.loss(model))


@pytest.mark.parametrize("alike", [True, False], ids=["rows", "cells"])
@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in ("gru", "lstm")])
def test_the_gram_matrix_of_one_step_equals_central_differences(name, alike):
    model = build(FAMILIES[name])
    x, y = randn(G, 40, len(LAYOUT.columns)), randn(G, 40, len(CHANNELS), seed=1)
    weight = (rand(G, 40, 1 if alike else len(CHANNELS), seed=2) < 0.7).double().expand_as(y)
    rows = Rows(x, y, weight / weight.sum(dim=(1, 2), keepdim=True))

    def residuals(model):
        return (model.step(x, None)[0][..., 0] - y) * rows.root

    found = rows.gram(model)
    torch.testing.assert_close(lower(found), lower(gram_by_differences(residuals, model)), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found[:, 0, 0], rows.loss(model))
    # The moments of features say what the Jacobian itself says.
    torch.testing.assert_close(lower(found), lower(rows.gram_by_rows(model, partials_of(model))))


FEEDS = {
    "closed": Fixed(None),
    "mixed": Fixed(shares("mixed")),
    "blend": Fixed(shares("blend")),
    "walks": Fixed(shares("open"), walks=0.1 * randn(G, B, H, 2 * len(CHANNELS), seed=9)),
    "half the gradient": Fixed(shares("mixed"), 0.5),
    "no gradient": Fixed(None, 0.0),
    "cut": Fixed(shares("mixed"), cut=2),
    "cut and half": Fixed(None, 0.5, 3),
}


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in ("gru", "lstm")])
def test_sensitivities_equal_automatic_differentiation_of_the_whole_roll_out(name, feed):
    model, rolled = build(FAMILIES[name]), windows(FEEDS[feed])
    both = rolled.jacobian(model).flatten(1, 3)
    torch.testing.assert_close(lower(rolled.gram(model)), lower(both.mT @ both))


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("name", ["one layer", "gru"])
def test_what_policies_let_through_is_what_backpropagation_lets_through(name, feed):
    """J'r is half the gradient of the sum of squares, by reverse mode and with the policy's own cuts."""
    model, rolled = build(FAMILIES[name]), windows(FEEDS[feed])
    slope = rolled.gram(model)[:, 1:, 0]
    for p in model.parameters():
        p.requires_grad_()
    rolled.residuals(model).square().sum().backward()
    # What no gradient reaches has none.
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    torch.testing.assert_close(slope, 0.5 * torch.cat([g.flatten(start_dim=1) for g in grads], dim=1))


@pytest.mark.parametrize("name", ["linear", "one layer", "gru"])
@pytest.mark.parametrize("even", [True, False])
def test_chunks_of_windows_and_steps_change_nothing(monkeypatch, name, even):
    model, rolled = build(FAMILIES[name]), windows(Fixed(shares("mixed")), even=even)
    x, y = randn(G, 40, len(LAYOUT.columns)), randn(G, 40, len(CHANNELS), seed=1)
    rows = Rows(x, y, torch.full_like(y, 1 / y[0].numel()))
    whole = rolled.gram(model), None if name == "gru" else rows.gram(model)
    monkeypatch.setattr(jacobians, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(jacobians, "_BLOCK_BYTES", 1)
    torch.testing.assert_close(lower(rolled.gram(model)), lower(whole[0]), rtol=1e-11, atol=1e-14)
    if whole[1] is not None:
        torch.testing.assert_close(lower(rows.gram(model)), lower(whole[1]), rtol=1e-11, atol=1e-14)


def test_many_lags_and_long_roll_outs_reach_back_through_the_ring():
    """More steps than the ring of derivatives holds, lags with holes, one channel."""
    layout = LagLayout((1, 2, 7))
    model = build(MLP((3,), "tanh"), layout)
    rolled = windows(Fixed(None), layout=layout, length=7, horizon=25)
    both = rolled.jacobian(model).flatten(1, 3)
    torch.testing.assert_close(lower(rolled.gram(model)), lower(both.mT @ both))


def test_target_features_are_differentiated_too():
    mean = TargetFeature(("mean2",), 2, lambda fed: fed.mean(dim=2))
    layout = LagLayout((1,), features=(mean,))
    model = build(MLP((3,), "tanh"), layout)
    rolled = windows(Fixed(None), layout=layout)
    expected = gram_by_differences(rolled.residuals, model)
    torch.testing.assert_close(lower(rolled.gram(model)), lower(expected), rtol=1e-6, atol=1e-7)


def test_the_lower_triangle_of_a_product_is_added():
    rows, into = randn(3, 50, 7), randn(3, 7, 7, seed=1)
    expected = lower(into + rows.mT @ rows)
    symmetric_product(rows, into)
    torch.testing.assert_close(lower(into), expected)


# ---- the solver on a problem

LAGS, HORIZON = 3, 4
PLAIN = LagLayout(tuple(range(1, LAGS + 1)))


def problem(lengths=(60, 45, 80), *, pooled=False, ids=None, layout=PLAIN, frame=None):
    panel = read_panel(make_frame(lengths, ids=ids) if frame is None else frame)
    return Problem(panel, (Standardize(),), None, layout.reach, layout, HORIZON, 7, pooled, True, torch.device("cpu"))


def builder(family):
    return lambda start, keys: family.build(start, keys, torch.float64)


def fit(p, family, forcing, *, n_validation=0, history=None, random_state=0, **settings):
    phase = Phase(forcing, Settings(**{"max_steps": 20} | settings))
    return fit_by_gradient(
        p, np.full(p.panel.n_series, 1.0), builder(family), [phase], n_validation=n_validation,
        random_state=random_state, history=history or History("test"),
    )  # fmt: skip


def solver_of(p, family, forcing, **settings):
    """The solver before its first step, on all rows."""
    learnt = p.learn(p.panel.lengths)
    ids = ["all"] if p.pooled else p.panel.id_list
    keys = torch.tensor([key_of(0, i) for i in ids])
    start = by_gradient.warm_start(p, learnt, np.full(p.panel.n_series, 1.0))
    model = builder(family)(start, keys)
    members = [p.every] if p.pooled else [p.every[[i]] for i in p.every]
    first = np.full(p.panel.n_series, learnt.store.first + p.layout.reach - 1)
    last = [learnt.stops[m] - 2 for m in members]
    cutoffs = Cutoffs(learnt.store, members, [first[m] for m in members], last, learnt.stops)
    lesson = Lesson(cutoffs, p.horizon, forcing, keys, type(forcing).__name__)
    solver = _Solver(model, lesson, Settings(**{"max_steps": 20} | settings))
    solver.read(Moment(0, 20, 0, keys))
    return solver


@pytest.mark.parametrize("pooled", [True, False])
def test_a_linear_map_one_step_ahead_ends_at_least_squares_without_ridge(pooled):
    p = problem(pooled=pooled)
    result = fit(p, Linear(), OpenLoop(), max_steps=40)
    learnt = p.learn(p.panel.lengths)
    (exact,) = fit_linear(learnt.store, p.every, learnt.stops, PLAIN, [0.0], pooled=pooled, intercept=True)
    torch.testing.assert_close(result.model.weight, exact.weight, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(result.model.bias, exact.bias, rtol=1e-8, atol=1e-8)


def test_past_inputs_are_learnt_as_they_are_read_over_the_horizon():
    """Least squares with past inputs uses rows of (origin, step): so does a linear map one step ahead."""
    frame = make_frame((90,))
    frame["x"] = np.random.default_rng(0).normal(size=90)
    frame["y"] += 3 * frame["x"].shift(1, fill_value=0)
    errors = {}
    for solver, ridge in (("auto", 0.0), ("levenberg_marquardt", 1.0)):
        model = NARXForecaster(
            HORIZON, LAGS, scope="local", past_exog=["x"], exog_lags=2, mode="open_loop", ridge=ridge,
            training=Training(solver=solver, validation=False),
        ).fit(frame)  # fmt: skip
        errors[solver] = model.predict()["NARXForecaster"].to_numpy()
    np.testing.assert_allclose(errors["auto"], errors["levenberg_marquardt"], rtol=1e-6)


@pytest.mark.parametrize("family", [Linear(), MLP((1,), "tanh")], ids=["linear", "mlp"])
@pytest.mark.slow
def test_roll_outs_end_at_the_optimum_that_scipy_finds(family):
    """A walk between two wells: enough of it that the network's weights are determined."""
    rng, y = np.random.default_rng(0), np.zeros(400)
    for t in range(1, 400):
        y[t] = 2 * np.tanh(1.5 * y[t - 1]) - 0.5 * y[t - 1] + 0.5 * rng.normal()
    frame = pd.DataFrame({"unique_id": "a", "ds": np.arange(400), "y": y})
    solver = solver_of(problem(frame=frame, layout=LagLayout((1,))), family, ClosedLoop())
    model, rolled, start = solver.model, solver.residuals, solver.theta.clone()

    def residuals(theta):
        put(model, torch.from_numpy(theta)[None])
        return rolled.residuals(model).detach().flatten().numpy()

    def jacobian(theta):
        put(model, torch.from_numpy(theta)[None])
        return rolled.jacobian(model)[..., 1:].flatten(0, 3).numpy()

    oracle = least_squares(residuals, start[0].numpy(), jacobian, method="lm", ftol=1e-12)
    assert oracle.success
    solver.put(start)
    for _ in range(100):
        solver.iterate()
    assert float(solver.loss[0]) == pytest.approx(2 * oracle.cost, rel=1e-7)
    assert float(rolled.loss(model)[0]) == pytest.approx(float(solver.loss[0]))


POLICIES = [
    OpenLoop(),
    ClosedLoop(),
    Curriculum(),
    Curriculum(gradient="detach"),
    ClosedLoop(cut_every=2),
    GeneralizedTeacherForcing(0.3),
    SparseTeacherForcing(3),
    InputNoise(0.1),
    InputNoise(0.1, "random_walk"),
    Pushforward(2),
    RollOutLength(),
    StepWeights(ClosedLoop(), "discount"),
]


@pytest.mark.slow
@pytest.mark.parametrize("forcing", POLICIES, ids=str)
def test_series_fitted_together_equal_each_alone(forcing):
    """The shorter ones are padded, each has its own damping, and draws are keyed by series."""
    p, family = problem(), MLP((3,), "tanh")
    together = fit(p, family, forcing, max_steps=12, n_validation=2)
    for i in range(3):
        alone = fit(p.take(np.array([i])), family, forcing, max_steps=12, n_validation=2)
        assert together.steps[:, i].tolist() == alone.steps[:, 0].tolist()
        torch.testing.assert_close(flat(together.model)[i : i + 1], flat(alone.model), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("drawn", [False, True])
def test_a_polynomial_is_as_if_alone_beside_one_of_more_terms(monkeypatch, drawn):
    """What fills it up is no weight of its own: it counts in no mean, and asks for no more cutoffs."""
    if drawn:
        monkeypatch.setattr(levenberg_marquardt, "_PER_PARAMETER", 600)
    terms = {"few": Polynomial(2, n_terms=2), "many": Polynomial(2, n_terms=8)}
    p = problem((700, 1500), ids=list(terms))

    def start(problem, learnt, ridge, before):
        each = []
        for i, name in enumerate(problem.panel.id_list):
            one = problem.take(np.array([i]))
            each.append(select_terms(one, one.learn(learnt.stops[i : i + 1]), ridge[i : i + 1], terms[name]))
        return each[0].join(each)

    def trained(p):
        phase = Phase(ClosedLoop(), Settings(max_steps=6))
        return fit_by_gradient(
            p, np.ones(p.panel.n_series), builder(Polynomial()), [phase], n_validation=0, random_state=0,
            history=History("test"), start_of=start,
        ).model  # fmt: skip

    together, alone = trained(p), trained(p.take(np.array([0])))
    assert together.fillers().sum(dim=1).tolist() == [6, 0]
    assert alone.fillers() is None
    x = randn(2, 20, LAGS)
    torch.testing.assert_close(together.step(x, None)[0][:1], alone.step(x[:1], None)[0], rtol=1e-9, atol=1e-10)


def test_a_series_whose_cutoffs_are_all_in_use_is_as_if_alone_beside_one_whose_are_drawn():
    p, family = problem((60, 30)), MLP((2,), "tanh")
    for forcing in (OpenLoop(), ClosedLoop(), Curriculum()):
        together = fit(p, family, forcing, max_steps=40, batch_size=40)
        alone = fit(p.take(np.array([1])), family, forcing, max_steps=40, batch_size=40)
        torch.testing.assert_close(flat(together.model)[1:], flat(alone.model), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("forcing", POLICIES, ids=str)
def test_the_loss_on_the_same_residuals_never_rises(forcing):
    solver = solver_of(problem(), MLP((4,), "tanh"), forcing)
    losses = [solver.residuals.loss(solver.model)]
    for _ in range(15):
        solver.iterate()
        losses.append(solver.residuals.loss(solver.model))
        torch.testing.assert_close(losses[-1], solver.loss, rtol=1e-10, atol=1e-300)
    assert bool((torch.stack(losses).diff(dim=0) <= 0).all())
    # Without gradient through the feedback the direction is not that of the loss.
    if getattr(forcing, "gradient", "keep") == "keep" and not isinstance(forcing, Pushforward):
        assert bool((losses[-1] < 0.999 * losses[0]).all())


def test_a_step_into_numbers_that_are_not_finite_is_rejected_and_raises_the_damping():
    solver = solver_of(problem((60, 70)), Linear(), ClosedLoop())
    solver._propose = lambda: (torch.full_like(solver.theta, 1e200), torch.ones(2, dtype=torch.float64))
    theta, damping = solver.theta.clone(), solver.damping.clone()
    solver.iterate()
    assert torch.equal(solver.theta, theta)
    assert torch.equal(flat(solver.model), theta)
    torch.testing.assert_close(solver.damping, 2 * damping)
    solver.iterate()
    torch.testing.assert_close(solver.damping, 8 * damping)
    del solver._propose
    solver.iterate()
    assert bool((solver.loss < solver.residuals.loss(_with(solver, theta))).all())


def _with(solver, theta):
    put(solver.model, theta)
    return solver.model


def test_a_matrix_without_a_factor_raises_the_damping():
    """Twice the same column, no damping to speak of: the factor fails, or its step is no better than none."""
    solver = solver_of(problem((60,)), Linear(), ClosedLoop(), damping=0.0)
    solver.damping += 1e-9
    solver.iterate()
    solver.gram = solver.residuals.gram(solver.model)
    solver.gram[:, 1:, 1:] = -torch.eye(solver.theta.shape[1], dtype=torch.float64)
    theta = solver.theta.clone()
    before = solver.damping.clone()
    solver.iterate()
    assert torch.equal(solver.theta, theta)
    assert bool((solver.damping > before).all())


def test_a_model_that_cannot_start_keeps_its_weights_and_says_so():
    p = problem((60, 70))
    learnt = p.learn(p.panel.lengths)
    start = by_gradient.warm_start(p, learnt, np.ones(2))
    start.weight.data[0] = 1e200
    history, before = History("x"), flat(start).clone()
    first = np.full(2, learnt.store.first + LAGS - 1)
    cutoffs = Cutoffs(
        learnt.store, [np.array([0]), np.array([1])], [first[:1], first[1:]],
        [learnt.stops[:1] - 2, learnt.stops[1:] - 2], learnt.stops,
    )  # fmt: skip
    lesson = Lesson(cutoffs, HORIZON, ClosedLoop(), torch.tensor([1, 2]), "closed_loop")
    done = train(start, lesson, Watch(history, "final"), Settings(5))
    assert done.diverged.tolist() == [True, False]
    assert torch.equal(flat(start)[0], before[0])
    assert not torch.equal(flat(start)[1], before[1])
    assert any("1 of 2 models diverged in run 'final'" in note for note in history.notes)


@pytest.mark.parametrize("pooled", [True, False])
def test_the_same_seed_gives_the_same_bits_and_another_one_others(pooled):
    """Initial weights and the draws of cutoffs alike."""
    a, b, c = (
        fit(problem(pooled=pooled), MLP((3,), "tanh"), ClosedLoop(), max_steps=7, batch_size=10, random_state=s)
        for s in (3, 3, 4)
    )
    assert torch.equal(flat(a.model), flat(b.model))
    assert not torch.allclose(flat(a.model), flat(c.model))


def test_cutoffs_are_drawn_afresh_for_each_epoch_without_repeats():
    solver = solver_of(problem(pooled=True), Linear(), ClosedLoop(), batch_size=20)
    seen = [solver._cutoffs(epoch)[:2] for epoch in (0, 0, 1)]
    pairs = [set(zip(*(part[0].tolist() for part in one), strict=True)) for one in seen]
    assert [len(one) for one in pairs] == [20, 20, 20]
    assert pairs[0] == pairs[1] != pairs[2]
    assert solver.drawn.all()
    every = solver_of(problem(pooled=True), Linear(), ClosedLoop())
    assert not every.drawn.any()
    series, rows, real = every._cutoffs(0)
    assert real.all()
    expected = [(i, r) for i, n in enumerate((60, 45, 80)) for r in range(LAGS - 1, n - 1)]
    assert list(zip(series[0].tolist(), rows[0].tolist(), strict=True)) == expected


def test_residuals_stay_the_same_within_an_epoch_and_for_as_long_as_nothing_changes(monkeypatch):
    """A curriculum draws its masks once per epoch, until there are none."""
    made = []
    real = _Solver._roll_outs

    def spy(self, moment):
        made.append(real(self, moment))
        return made[-1]

    monkeypatch.setattr(_Solver, "_roll_outs", spy)
    fit(problem((60,), pooled=True), MLP((3,), "tanh"), Curriculum(), max_steps=20, hold=4)
    shares = [float(one.fed.given.mean()) for one in made]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0] > 0.9, shares[3:]) == (True, [0, 0])
    assert [bool(b.same_as(a)) for a, b in itertools.pairwise(made)] == [False, False, False, True]


def test_the_validation_span_moves_no_weight_of_the_run_that_chooses():
    p = problem((60, 70))
    validation = p.validation(2)
    clean = p.learn(validation.stops)
    for forcing in (OpenLoop(), ClosedLoop(), Curriculum()):
        finals = []
        for wreck in (False, True):
            learnt = p.learn(validation.stops)
            if wreck:
                for i in range(2):
                    learnt.store.values[p.panel.indptr[i] + validation.stops[i] : p.panel.indptr[i + 1]] = 1e6
            model = builder(MLP((3,), "tanh"))(
                by_gradient.warm_start(p, clean, np.ones(2)), torch.tensor([key_of(0, "a"), key_of(0, "b")])
            )
            by_gradient.train_phase(
                p, learnt, model, Phase(forcing, Settings(10)), torch.tensor([1, 2]), Watch(History("x"), "choose")
            )
            finals.append(flat(model))
        assert torch.equal(*finals), forcing


def test_the_final_run_takes_the_chosen_number_of_steps_and_keeps_the_best_look():
    history = History("x")
    result = fit(problem((90,)), MLP((3,), "tanh"), ClosedLoop(), n_validation=3, history=history, max_steps=25)
    chosen = [r for r in history.records if r.run == "choose"]
    assert [r.step for r in chosen] == sorted({r.step for r in chosen})
    best = min(chosen[1:], key=lambda r: r.closed_loop)
    assert (best.step, best.closed_loop) == (result.steps[0, 0], pytest.approx(result.best_error[0]))
    assert [r for r in history.records if r.run == "final"][-1].step == best.step
    assert all(math.isnan(r.learning_rate) for r in history.records)


def test_a_group_that_is_to_take_no_step_takes_none():
    p = problem((60, 70))
    learnt = p.learn(p.panel.lengths)
    model = by_gradient.warm_start(p, learnt, np.ones(2))
    before = flat(model).clone()
    by_gradient.train_phase(
        p, learnt, model, Phase(ClosedLoop(), Settings(5)), torch.tensor([1, 2]),
        Watch(History("x"), "final", stop_at=np.array([0, 3])),
    )  # fmt: skip
    assert torch.equal(flat(model)[0], before[0])
    assert not torch.equal(flat(model)[1], before[1])


def test_a_run_ends_where_nothing_can_be_gained_any_more_and_when_its_time_is_up():
    history = History("x")
    fit(problem((60,)), Linear(), OpenLoop(), max_steps=1000, history=history)
    assert 0 < history.records[-1].step < 60
    history = History("x")
    fit(problem((60,)), MLP((3,), "tanh"), ClosedLoop(), max_steps=1000, time_limit=1e-9, history=history)
    assert history.records[-1].step == 1


def test_a_penalty_draws_weights_towards_zero_as_ridge_regression_does():
    p = problem((80,))
    result = fit(p, Linear(), OpenLoop(), max_steps=60, penalty=0.3)
    learnt = p.learn(p.panel.lengths)
    z = learnt.store.values[:, 0].numpy()
    x = np.stack([np.r_[z[t - LAGS : t], 1.0] for t in range(LAGS, len(z))])
    # Mean of squares + penalty / 2 * squares of all weights, the intercept among them.
    exact = np.linalg.solve(x.T @ x / len(x) + 0.15 * np.eye(LAGS + 1), x.T @ z[LAGS:] / len(x))
    np.testing.assert_allclose(flat(result.model)[0].numpy(), exact, rtol=1e-7)


# ---- forecasters

SOLVER = {"solver": "levenberg_marquardt"}


def forecaster(**settings):
    return NARXForecaster(
        **grouped(
            {"horizon": 4, "lags": 7, "season_length": 7, "max_steps": 10, "model": MLP((3,), "tanh")}
            | SOLVER
            | as_it_stands(**settings)
        )
    )


@pytest.fixture
def df():
    return make_frame((80, 60, 70))


MODES = ["open_loop", "closed_loop", "curriculum", "auto", Curriculum(Adaptive())]
KINDS = {
    "mlp-local": {"scope": "local"},
    "mlp-global": {"scope": "global"},
    "linear-local": {"model": "linear", "scope": "local"},
    "gru-global": {"model": GRU(2), "scope": "global", "max_steps": 3, "context_length": 9},
}


@pytest.mark.parametrize(("kind", "mode"), pairs(list(KINDS), MODES))
def test_every_mode_gives_finite_blind_reproducible_forecasts(df, kind, mode):
    seen = {"s0": 70, "s1": 50, "s2": 60}
    early = df[df["ds"] <= df["unique_id"].map(seen)]
    wrecked = wreck_after(df, seen)
    settings = {"max_steps": 4, **KINDS[kind], "mode": mode}
    a = forecaster(**settings).fit(early)
    b = forecaster(**settings).fit(wrecked[wrecked["ds"] <= wrecked["unique_id"].map(seen)])
    assert np.isfinite(a.predict()["NARXForecaster"]).all()
    assert "Levenberg-Marquardt" in a.history_.solver
    pd.testing.assert_frame_equal(a.predict(), b.predict(), check_exact=True)
    pd.testing.assert_frame_equal(a.history_.frame.drop(columns="seconds"), b.history_.frame.drop(columns="seconds"))
    assert all(p.dtype == torch.float64 for p in a.model_.parameters())
    cutoffs = pd.DataFrame({"unique_id": ["s0", "s1", "s2"], "cutoff": [60, 50, 50]})
    at = a.predict_at(df, cutoffs)
    pd.testing.assert_frame_equal(
        at, a.predict_at(wreck_after(df, dict(cutoffs.to_numpy())), cutoffs), check_exact=True
    )


@pytest.mark.parametrize(
    ("model", "mode", "phases"),
    [
        (MLP((3,), "tanh"), "open_loop", ["open_loop"]),
        (MLP((3,), "tanh"), "closed_loop", ["open_loop", "closed_loop"]),
        (MLP((3,), "tanh"), RollOutLength(), ["open_loop", "RollOutLength"]),
        (MLP((3,), "tanh"), "auto", ["open_loop", "curriculum", "closed_loop"]),
        ("linear", "closed_loop", ["closed_loop"]),
        ("linear", "auto", ["curriculum", "closed_loop"]),
        ("linear", "open_loop", ["open_loop"]),
    ],
    ids=str,
)
def test_networks_take_one_step_first_and_linear_maps_start_from_least_squares(df, model, mode, phases):
    frame = forecaster(model=model, mode=mode).fit(df).history_.frame
    assert frame.loc[frame["run"] == "choose", "mode"].unique().tolist() == phases


@pytest.mark.slow
def test_squares_of_a_driven_nonlinear_system_fall_far_below_what_a_linear_map_leaves():
    rng = np.random.default_rng(0)
    u = rng.uniform(-1, 1, 400)
    y = np.zeros(400)
    for t in range(1, 400):
        y[t] = y[t - 1] / (1 + y[t - 1] ** 2) + u[t - 1] ** 3
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(400), "y": y, "u": u})
    errors = {}
    for name, model in (("linear", "linear"), ("mlp", MLP((8,), "tanh"))):
        fitted = NARXForecaster(
            20, 1, model=model, scope="local", future_exog=["u"], exog_lags=1, mode="closed_loop", season_length=1,
            **grouped(SOLVER),
        ).fit(df[df["ds"] < 300])  # fmt: skip
        fc = fitted.predict_at(df, [299, 319, 339, 359, 379]).merge(df, on=["unique_id", "ds"])
        errors[name] = np.sqrt(((fc["y"] - fc["NARXForecaster"]) ** 2).mean())
    assert errors["mlp"] < 0.1 * errors["linear"]


def test_a_time_limit_ends_training_and_leaves_a_model_that_forecasts(df):
    model = forecaster(mode="closed_loop", max_steps=100_000, time_limit=0.05, validation=False).fit(df)
    assert model.history_.frame["step"].max() < 100_000
    assert np.isfinite(model.predict()["NARXForecaster"]).all()


def test_a_forecaster_whose_models_diverge_says_so(monkeypatch):
    real = by_gradient.warm_start

    def wild(*given):
        model = real(*given)
        model.weight.data.fill_(1e200)
        return model

    monkeypatch.setattr(by_gradient, "warm_start", wild)
    with pytest.warns(DivergenceWarning, match="1 of 1 models diverged in run 'final'; their last good weights"):
        forecaster(model="linear", scope="local", mode="closed_loop", validation=False).fit(make_frame((60,)))


ERRORS = {
    "loss": ({"loss": "mae"}, ["loss='mae'", "use loss='mse'", "solver='adamw'"]),
    "space": ({"loss_space": "level"}, ["loss_space='level'", "use loss_space='model'"]),
    "rate": ({"learning_rate": 0.1}, ["learning_rate=0.1", "leave learning_rate='auto'"]),
    "regressor": ({"model": LinearRegression()}, ["solver='levenberg_marquardt'", "regressor", "solver='auto'"]),
    "size": ({"model": MLP((100, 100))}, ["weights", "too many", "MLP(hidden=(32,), activation='tanh')"]),
    "sizes": ({"model": MLP((600,)), "scope": "local", "lags": 9}, ["in each of 3 models", "fewer lags"]),
    "adversary": ({"mode": ProfessorForcing()}, ["ProfessorForcing", "solver='adamw'"]),
    "typo": ({"solver": "levenberg"}, ["solver='levenberg'", "'levenberg_marquardt'"]),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_it_cannot_do_is_an_argument_error_that_says_what_to_do(df, case):
    settings, words = ERRORS[case]
    with pytest.raises(ArgumentError) as caught:
        forecaster(**settings).fit(df)
    for word in words:
        assert word in str(caught.value)


def test_adamw_is_what_auto_was(df):
    auto, named = (forecaster(mode="closed_loop", solver=s).fit(df) for s in ("auto", "adamw"))
    pd.testing.assert_frame_equal(auto.predict(), named.predict(), check_exact=True)
    assert "AdamW" in auto.history_.solver
    closed, trained = (forecaster(model="linear", mode="open_loop", solver=s).fit(df) for s in ("auto", "adamw"))
    assert closed.history_.solver == "least squares"
    assert "AdamW" in trained.history_.solver


@pytest.mark.parametrize("model", ["linear", MLP((3,), "tanh")], ids=["linear", "mlp"])
def test_an_input_that_is_always_zero_changes_nothing(df, model):
    """Its weights have no curvature of their own: they stay where they are, and the others learn as without them."""
    settings = {"model": model, "mode": "open_loop", "max_steps": 3, "ridge": 1.0, "validation": False}
    bare = forecaster(**settings).fit(df)
    beside = forecaster(**settings, future_exog=["nothing"]).fit(df.assign(nothing=0.0))
    assert "Levenberg-Marquardt" in beside.history_.solver
    want = bare.predict()
    got = beside.predict(future_df=want[["unique_id", "ds"]].assign(nothing=0.0))
    # Not to the bit: damping has a small part that is even, of the mean curvature of all weights.
    np.testing.assert_allclose(got["NARXForecaster"], want["NARXForecaster"], rtol=1e-5)


def test_looks_are_five_steps_apart_from_before_the_first_on(df):
    frame = forecaster(mode="open_loop", max_steps=12).fit(df).history_.frame
    assert frame.loc[frame["run"] == "choose", "step"].tolist() == [0, 5, 10, 12]
