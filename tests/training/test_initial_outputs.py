"""Free initial outputs: derivatives, elimination, the optimum of the whole problem, and systems measured with noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import least_squares
from sklearn.linear_model import LinearRegression

from tests.makers import grouped, make_frame
from tests.training.test_levenberg_marquardt import (
    CHANNELS,
    FAMILIES,
    FEEDS,
    B,
    G,
    build,
    fit,
    flat,
    lower,
    problem,
    put,
    solver_of,
    windows,
)
from tsforce import ClosedLoop, Curriculum, NARXRegressor, OpenLoop, Training
from tsforce.dynamics.forcing import Moment
from tsforce.dynamics.lags import LagLayout, TargetFeature
from tsforce.dynamics.models.families import GRU, MLP, Linear, Polynomial
from tsforce.errors import ArgumentError
from tsforce.forcing import GeneralizedTeacherForcing, RollOutLength, StepWeights
from tsforce.training.solvers import jacobians
from tsforce.training.solvers.jacobians import Fixed
from tsforce.training.solvers.levenberg_marquardt import Settings

PLAIN = {name: family for name, family in FAMILIES.items() if name not in ("gru", "lstm")}
FREE = {"initial_outputs": "free"}
ROWS = 3


def assert_products(found, both, width):
    """`found` against the whole Jacobian, (G, B, N, 1 + P + K)."""
    gram, by_start = found
    rows = both[..., :width].flatten(1, 2)
    torch.testing.assert_close(lower(gram), lower(rows.mT @ rows), rtol=1e-6, atol=1e-7)
    for g in range(both.shape[0]):
        for b in range(both.shape[1]):
            one = both[g, b]
            torch.testing.assert_close(by_start.with_all[g, b], one[:, width:].T @ one[:, :width], rtol=1e-6, atol=1e-7)
            torch.testing.assert_close(by_start.own[g, b], one[:, width:].T @ one[:, width:], rtol=1e-6, atol=1e-7)


# ---- derivatives


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("name", PLAIN)
def test_sensitivities_by_initial_outputs_equal_automatic_differentiation(name, feed):
    model, rolled = build(PLAIN[name]), windows(FEEDS[feed])
    both = rolled.jacobian(model, ROWS).flatten(2, 3)
    assert_products(rolled.products(model, ROWS), both, 1 + flat(model).shape[1])
    # What the weights get is what they got.
    assert torch.equal(rolled.products(model, ROWS)[0], rolled.gram(model))


MEAN = TargetFeature(("mean2",), 2, lambda fed: fed.mean(dim=2))
LAYOUTS = {
    "holes": LagLayout((2, 3), CHANNELS),
    "long": LagLayout((1, 2, 7)),
    "features": LagLayout((1,), features=(MEAN,)),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_derivatives_by_initial_outputs_equal_central_differences(layout):
    model, rows, step = build(MLP((3,), "tanh"), layout), layout.reach, 1e-6
    rolled = windows(Fixed(None), layout=layout, length=8, horizon=12)
    columns, channels = [rolled.jacobian(model).flatten(2, 3)], len(layout.channels)
    for r in range(rows):
        for c in range(channels):
            offset = torch.zeros(G, B, rows, channels, dtype=torch.float64)
            offset[:, :, r, c] = step
            up, down = (rolled.moved(sign * offset).residuals(model).flatten(2) for sign in (1, -1))
            columns.append(((up - down) / (2 * step))[..., None])
    both = torch.cat(columns, dim=3)
    torch.testing.assert_close(rolled.jacobian(model, rows).flatten(2, 3), both, rtol=1e-6, atol=1e-7)
    assert_products(rolled.products(model, rows), both, columns[0].shape[-1])


@pytest.mark.parametrize("even", [True, False])
def test_windows_at_once_equal_one_by_one(monkeypatch, even):
    model, rolled = build(MLP((3,), "tanh")), windows(FEEDS["mixed"], even=even)
    whole = rolled.products(model, ROWS)
    monkeypatch.setattr(jacobians, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(jacobians, "_BLOCK_BYTES", 1)
    apart = rolled.products(model, ROWS)
    torch.testing.assert_close(lower(apart[0]), lower(whole[0]), rtol=1e-11, atol=1e-14)
    for a, b in zip(apart[1], whole[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-14)


# ---- the solver


def whole_step(solver, g):
    """One group's step in weights and initial outputs, and the fall it promises, from one dense matrix of all pairs."""
    starts = solver.starts
    both = starts.residuals.moved(starts.offset).jacobian(solver.model, starts.rows)[g].flatten(1, 2)
    n_weights, (n_windows, n_rows, width) = solver.theta.shape[1], both.shape
    own = width - 1 - n_weights
    jacobian = torch.zeros(n_windows, n_rows + own, n_weights + n_windows * own, dtype=torch.float64)
    residuals = torch.zeros(n_windows, n_rows + own, dtype=torch.float64)
    residuals[:, :n_rows], jacobian[:, :n_rows, :n_weights] = both[..., 0], both[..., 1 : 1 + n_weights]
    root = starts.weight[g].sqrt()
    damping = []
    for b in range(n_windows):
        at = slice(n_weights + b * own, n_weights + (b + 1) * own)
        jacobian[b, :n_rows, at] = both[b, :, 1 + n_weights :]
        jacobian[b, n_rows:, at] = root * torch.eye(own)
        residuals[b, n_rows:] = root * starts.offset[g, b].flatten()
    jacobian, residuals = jacobian.flatten(0, 1), residuals.flatten()
    diagonal = jacobian.square().sum(dim=0)
    for part in (diagonal[:n_weights], *diagonal[n_weights:].view(n_windows, own)):
        damping.append(solver.damping[g] * (part + 0.1 * part.mean()))
    matrix = jacobian.T @ jacobian
    factor = torch.linalg.cholesky(matrix + torch.cat(damping).diag())
    step = -torch.cholesky_solve((jacobian.T @ residuals)[:, None], factor)[:, 0]
    promised = residuals.square().sum() - (residuals + jacobian @ step).square().sum()
    return step[:n_weights], step[n_weights:], promised


@pytest.mark.parametrize("pooled", [True, False])
def test_a_step_by_elimination_equals_one_with_the_matrix_of_all_pairs(pooled):
    """Shorter series are padded; initial outputs are no longer where they were measured."""
    solver = solver_of(problem((40, 30), pooled=pooled), MLP((2,), "tanh"), ClosedLoop(), **FREE, initial_weight=0.7)
    for _ in range(4):
        solver.iterate()
    assert bool((solver.starts.offset.abs().amax(dim=(1, 2, 3)) > 1e-3).all())
    solver.gram = solver.starts.gram(solver.model)
    step, promised = solver._propose()
    for g in range(len(step)):
        weights, starts, fall = whole_step(solver, g)
        torch.testing.assert_close(step[g], weights, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(solver.starts.move[g].flatten(), starts, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(promised[g], fall, rtol=1e-6, atol=1e-12)


def decays(n_series=10, rows=10):
    """Series that run without noise to one of two points of rest, from many others, and are measured with some."""
    rng, frame = np.random.default_rng(0), make_frame((rows,) * n_series)
    y = np.empty((rows, n_series))
    y[0] = np.linspace(-3, 3, n_series)
    for t in range(1, rows):
        y[t] = 0.3 * y[t - 1] + 1.2 * np.tanh(1.5 * y[t - 1] - 0.3)
    frame["y"] = y.T.ravel() + 0.1 * rng.normal(size=rows * n_series)
    return replace(problem(pooled=True, layout=LagLayout((1,)), frame=frame), transforms=())


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.0, 0.2])
@pytest.mark.parametrize("family", [Linear(), MLP((1,), "tanh")], ids=["linear", "mlp"])
@pytest.mark.parametrize("penalty", [0.0, 1e-3])
def test_weights_and_initial_outputs_end_at_the_optimum_that_scipy_finds(family, ratio, penalty):
    solver = solver_of(decays(), family, ClosedLoop(), **FREE, initial_weight=ratio, penalty=penalty)
    model, rolled, start = solver.model, solver.residuals, solver.theta.clone()
    n_weights, n_windows = start.shape[1], rolled.past.shape[1]
    own = np.r_[
        np.full(n_weights, np.sqrt(penalty / 2)), np.full(n_windows, np.sqrt(ratio / int((rolled.root > 0).sum())))
    ]

    def moved(unknown):
        put(model, torch.from_numpy(unknown[None, :n_weights]))
        return rolled.moved(torch.from_numpy(unknown[n_weights:]).view(1, n_windows, 1, 1))

    def residuals(unknown):
        return np.r_[moved(unknown).residuals(model).detach().flatten().numpy(), own * unknown]

    def jacobian(unknown):
        both = moved(unknown).jacobian(model, 1)[0]
        starts = torch.block_diag(*both[..., -1:].flatten(1, 2))
        return np.r_[torch.cat([both[..., 1:-1].flatten(0, 2), starts], dim=1).numpy(), np.diag(own)]

    begin = np.r_[start[0].numpy(), np.zeros(n_windows)]
    oracle = least_squares(residuals, begin, jacobian, method="lm", ftol=1e-14, xtol=1e-12)
    assert oracle.success
    solver.put(start)
    for _ in range(100):
        solver.iterate()
    assert float(solver.loss[0]) == pytest.approx(2 * oracle.cost, rel=1e-8)
    mine = np.r_[solver.theta[0].numpy(), solver.starts.offset.flatten().numpy()]
    np.testing.assert_allclose(mine, oracle.x, atol=1e-4)
    assert np.abs(mine[n_weights:]).max() > 0.05


POLICIES = [
    ClosedLoop(),
    Curriculum(),
    GeneralizedTeacherForcing(0.3),
    RollOutLength(),
    StepWeights(ClosedLoop(), "discount"),
]


@pytest.mark.parametrize("forcing", POLICIES, ids=str)
def test_the_loss_with_that_of_the_initial_outputs_never_rises(forcing):
    solver = solver_of(problem(), MLP((4,), "tanh"), forcing, **FREE)
    losses = [solver.starts.loss(solver.model)]
    torch.testing.assert_close(losses[0], solver.residuals.loss(solver.model), rtol=0, atol=0)
    for _ in range(15):
        solver.iterate()
        kept = solver.starts.residuals.moved(solver.starts.offset).loss(solver.model)
        own = solver.starts.weight * solver.starts.offset.square().sum(dim=(1, 2, 3))
        losses.append(kept + own)
        torch.testing.assert_close(losses[-1], solver.loss, rtol=1e-10, atol=1e-300)
    losses = torch.stack(losses)
    assert bool((losses.diff(dim=0) <= 0).all())
    assert bool((losses[-1] < 0.95 * losses[0]).all())


@pytest.mark.slow
@pytest.mark.parametrize("forcing", POLICIES, ids=str)
def test_series_fitted_together_equal_each_alone(forcing):
    p, family = problem((60, 45, 50)), MLP((3,), "tanh")
    together = fit(p, family, forcing, max_steps=12, n_validation=2, **FREE)
    for i in range(3):
        alone = fit(p.take(np.array([i])), family, forcing, max_steps=12, n_validation=2, **FREE)
        assert together.steps[:, i].tolist() == alone.steps[:, 0].tolist()
        torch.testing.assert_close(flat(together.model)[i : i + 1], flat(alone.model), rtol=1e-6, atol=1e-8)


def test_initial_outputs_that_weigh_without_bound_stay_where_they_were_measured():
    p, family = problem((60,)), MLP((2,), "tanh")
    measured, held, free = (
        fit(p, family, ClosedLoop(), max_steps=8, **own)
        for own in ({}, FREE | {"initial_weight": 1e9}, FREE)
    )  # fmt: skip
    torch.testing.assert_close(flat(held.model), flat(measured.model), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(flat(free.model), flat(measured.model), rtol=1e-2)


def test_a_window_that_is_drawn_again_goes_on_from_where_it_was_left():
    solver = solver_of(problem(pooled=True), Linear(), ClosedLoop(), **FREE, batch_size=60)
    solver.iterate()
    before = {int(k): v for k, v in zip(solver.starts.flat[0], solver.starts.offset[0], strict=True)}
    assert min(float(v.abs().max()) for v in before.values()) > 0
    solver.read(Moment(5, 20, 1, solver.keys))
    again = {int(k): v for k, v in zip(solver.starts.flat[0], solver.starts.offset[0], strict=True)}
    assert 0 < len(before.keys() & again.keys()) < 60
    for k, offset in again.items():
        assert torch.equal(offset, before.get(k, torch.zeros_like(offset)))
    solver.iterate()
    table = solver.starts.table
    assert int((table != 0).any(dim=2).any(dim=1).sum()) == len(before.keys() | again.keys())


def test_a_series_that_diverges_takes_no_other_along():
    solver = solver_of(problem((60, 60)), Linear(), ClosedLoop(), **FREE)
    solver.theta[0] = 1e200
    solver.put(solver.theta)
    solver.iterate()
    assert solver.diverged.tolist() == [True, False]
    before = float(solver.loss[1])
    for _ in range(3):
        solver.iterate()
    assert float(solver.loss[1]) < before
    assert bool(torch.isfinite(solver.starts.offset).all())
    assert not bool(solver.starts.offset[0].any())


# ---- regressors on systems whose outputs are measured with noise


def second_order(seed, rows=600, noise=0.3):
    rng = np.random.default_rng(seed)
    u, y = rng.normal(size=rows), np.zeros(rows)
    for t in range(2, rows):
        y[t] = 1.5 * y[t - 1] - 0.7 * y[t - 2] + u[t - 1]
    return u[:, None], y, y + noise * y.std() * rng.normal(size=rows)


@pytest.mark.slow
def test_free_starts_find_a_linear_system_under_noise_where_measured_ones_are_biased():
    errors, poles = {"measured": [], "free": []}, {"measured": [], "free": []}
    for seed in range(4):
        X, y, measured = second_order(seed)
        for starts in errors:
            model = NARXRegressor(
                2,
                1,
                input_delay=1,
                mode="closed_loop",
                horizon=10,
                training=Training(initial_outputs=starts, validation=False),
            ).fit(X[:300], measured[:300])
            errors[starts].append(np.sqrt(np.mean((model.predict(X, y[:2])[300:] - y[300:]) ** 2)) / y.std())
            poles[starts].append(model.model_.weight[0, :2, 0].tolist())
    assert np.mean(errors["free"]) < 0.5 * np.mean(errors["measured"])
    bias = {starts: np.abs(np.mean(found, axis=0) - [-0.7, 1.5]) for starts, found in poles.items()}
    assert (bias["free"] < 0.5 * bias["measured"]).all()
    assert bias["free"].max() < 0.03


def soft_spring(seed, rows=600, noise=0.3):
    rng = np.random.default_rng(seed)
    u, y = rng.normal(size=rows), np.zeros(rows)
    for t in range(2, rows):
        y[t] = 1.5 * y[t - 1] - 0.7 * y[t - 2] - 0.01 * y[t - 1] ** 3 + u[t - 1]
    return u[:, None], y, y + noise * y.std() * rng.normal(size=rows)


@pytest.mark.parametrize("model", [Polynomial(3, n_terms=6), MLP((2,), "tanh")], ids=["polynomial", "mlp"])
@pytest.mark.slow
def test_free_starts_simulate_a_nonlinear_system_better_under_noise(model):
    errors = {"measured": [], "free": []}
    for seed in range(2):
        X, y, measured = soft_spring(seed)
        for starts in errors:
            fitted = NARXRegressor(
                2, 1, input_delay=1, model=model, mode="closed_loop", horizon=5,
                training=Training(initial_outputs=starts, validation=False),
            ).fit(X[:400], measured[:400])  # fmt: skip
            errors[starts].append(np.sqrt(np.mean((fitted.predict(X, y[:2])[400:] - y[400:]) ** 2)) / y.std())
    assert np.mean(errors["free"]) < 0.8 * np.mean(errors["measured"])


def test_without_noise_free_starts_find_the_system_as_measured_ones_do():
    X, y, _ = second_order(0, rows=200)
    model = NARXRegressor(
        2, 1, input_delay=1, mode="closed_loop", training=Training(initial_outputs="free", validation=False)
    ).fit(X, y)
    np.testing.assert_allclose(model.predict(X, y[:2]), y, atol=1e-6)


@pytest.mark.parametrize("mode", ["auto", "curriculum", "closed_loop"])
def test_free_starts_leave_open_loop_phases_as_they_are(mode):
    X, _, noisy = second_order(1, rows=240)
    shared = {"model": MLP((2,), "tanh"), "mode": mode, "horizon": 8, "max_steps": 10}
    measured, free = (
        NARXRegressor(2, 1, input_delay=1, **shared, training=Training(initial_outputs=starts))
        .fit(X, noisy)
        .history_.frame
        for starts in ("measured", "free")
    )
    first = [frame[(frame["mode"] == "open_loop") & (frame["run"] == "choose")] for frame in (measured, free)]
    assert len(first[0]) > 1
    pd.testing.assert_frame_equal(*(frame.drop(columns="seconds") for frame in first), check_exact=True)
    after = [frame[frame["mode"] != "open_loop"]["loss"].dropna().to_numpy() for frame in (measured, free)]
    assert after[0][0] != after[1][0]


ERRORS = {
    "name": ({"initial_outputs": "fre"}, ["initial_outputs='fre'", "'measured', 'free'", "Did you mean 'free'?"]),
    "solver": ({"solver": "adamw"}, ["initial_outputs='free'", "solver='adamw'", "use initial_outputs='measured'"]),
    "auto": ({"loss": "mae"}, ["solver='adamw'", "solver='levenberg_marquardt'"]),
    "open loop": ({"mode": "open_loop"}, ["mode='open_loop' feeds measured outputs", "mode='closed_loop'"]),
    "policy": ({"mode": OpenLoop(), "solver": "levenberg_marquardt"}, ["feeds measured outputs"]),
    "regressor": ({"model": LinearRegression()}, ["a regressor fits rows"]),
    "state": ({"model": GRU(2), "solver": "levenberg_marquardt"}, ["state of its own"]),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_start_free_is_an_argument_error_that_says_what_to_do(case):
    settings, words = ERRORS[case]
    X, _, noisy = second_order(0, rows=60)
    with pytest.raises(ArgumentError) as caught:
        NARXRegressor(**grouped({"mode": "closed_loop"} | FREE | settings)).fit(X, noisy)
    for word in words:
        assert word in str(caught.value)


def test_the_solver_itself_refuses_what_has_no_initial_outputs_to_free():
    for family, forcing, word in (
        (GRU(2), ClosedLoop(), "recurrent model"),
        (Linear(), OpenLoop(), r"OpenLoop\(\)"),
        (MLP((300,), "tanh"), ClosedLoop(), "batch_size=9, or less"),
    ):
        p = problem((2000,), layout=LagLayout(tuple(range(1, 150)))) if "batch" in word else problem((60,))
        with pytest.raises(ArgumentError, match=word):
            solver_of(p, family, forcing, **FREE)
    with pytest.raises(ArgumentError, match=r"initial_weight=0\.0: expected a number above 0"):
        Settings(10, initial_weight=0.0)
