"""Terms of polynomials: moments against rows, forward regression against row by row and oracles, blind choices."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.makers import as_it_stands, grouped, make_frame, wreck_after
from tests.pairs import pairs
from tsforce import ClosedLoop, Forecaster, NARXForecaster, OpenLoop, Training
from tsforce.data.frame import read_panel
from tsforce.data.inputs import InputCoder
from tsforce.data.transforms import Standardize
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.equation import equation
from tsforce.errors import ArgumentError
from tsforce.models import Polynomial
from tsforce.training import by_gradient
from tsforce.training.problem import Problem
from tsforce.training.solvers import orthogonal, terms
from tsforce.training.solvers.orthogonal import Candidates, Moments, forward, information
from tsforce.training.solvers.relabel import one_step_rows
from tsforce.training.solvers.terms import fit_terms, select_terms


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def monomials(candidates, x):
    """All candidates' values, (n, M), a column at a time."""
    columns = [*x.T, torch.ones(len(x), dtype=torch.float64)]
    return torch.stack([math.prod((columns[i] for i in term), start=1.0) for term in candidates.terms.tolist()], dim=1)


def by_rows(features, y, most, *, intercept=True, ridge=0.0, tolerance=1e-8):
    """Forward regression the slow way: every candidate made orthogonal to all chosen ones, twice, on the rows."""
    z, y = features.numpy().copy(), y.numpy().copy()
    n = len(z)
    if intercept:
        z, y = z - z.mean(axis=0), y - y.mean(axis=0)
    z, y = z / np.sqrt((z**2).mean(axis=0)), y / np.sqrt((y**2).mean(axis=0))
    if ridge:
        # The penalty as rows of their own.
        z = np.concatenate([z, math.sqrt(ridge) * np.eye(z.shape[1])])
        y = np.concatenate([y, np.zeros((z.shape[1], y.shape[1]))])
    full, basis, order, left = (z**2).sum(axis=0), np.empty((len(z), 0)), [], [(y**2).sum(axis=0) / n]
    for _ in range(most):
        w = z - basis @ (basis.T @ z)
        w -= basis @ (basis.T @ w)
        alone = (w**2).sum(axis=0)
        able = alone > tolerance * full
        able[order] = False
        if not able.any():
            break
        gain = np.where(able, ((w.T @ y) ** 2).sum(axis=1) / np.where(able, alone, 1.0), 0.0)
        order.append(int(gain.argmax()))
        q = w[:, order[-1]] / math.sqrt(alone[order[-1]])
        basis = np.column_stack([basis, q])
        left.append(left[-1] - (q @ y) ** 2 / n)
    return np.array(order), np.stack(left)


def lagged(rows, lags, *, seed=0, level=0.0, channels=1):
    """Strongly correlated columns: lags of a slow series, and a target that is a polynomial of some."""
    rng = np.random.default_rng(seed)
    walk = np.zeros(rows + lags)
    for t in range(2, rows + lags):
        walk[t] = 1.6 * walk[t - 1] - 0.68 * walk[t - 2] + rng.normal()
    walk = level + walk / walk.std()
    x = torch.from_numpy(np.stack([walk[k : k + rows] for k in range(lags)], axis=1))
    y = torch.stack([x[:, c] ** 2 * x[:, -1] - x[:, 1] + 0.3 * x[:, 2] * x[:, 0] for c in range(channels)], dim=1)
    return x, y + 0.3 * randn(*y.shape, seed=seed + 1)


# ---- moments


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("columns", "degree"), [(1, 1), (4, 1), (1, 4), (3, 2), (4, 3), (2, 4)])
def test_moments_equal_products_of_rows(monkeypatch, columns, degree, weighted):
    monkeypatch.setattr(orthogonal, "_AT_ONCE", 1)
    candidates = Candidates(columns, degree)
    x, y = randn(150, columns), randn(150, 2, seed=1)
    weight = randn(150, seed=2).abs() if weighted else None
    w = torch.ones(150).double() if weight is None else weight
    moments, features = Moments(candidates, x, y, weight=weight), monomials(candidates, x)
    assert len(candidates.terms) == math.comb(columns + degree, degree) - 1
    centred = y - (w @ y) / w.sum()
    number = np.arange(len(candidates.terms))
    every = moments.with_others(number[:, None], number[None])
    np.testing.assert_allclose(every, features.T @ (features * w[:, None]), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(moments.xy, features.T @ (centred * w[:, None]), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moments.x_sum, w @ features, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(moments.yy, w @ centred**2)
    assert moments.rows == pytest.approx(float(w.sum()))


def test_every_candidate_is_there_once_lower_degrees_first():
    terms = [tuple(t) for t in Candidates(3, 3).terms.tolist()]
    assert len(set(terms)) == len(terms) == 19
    degrees = [sum(column < 3 for column in term) for term in terms]
    assert degrees == sorted(degrees)
    assert degrees[0] == 1
    assert all(list(term) == sorted(term) for term in terms)


def test_a_row_of_weight_two_is_two_rows_and_one_of_weight_zero_none():
    candidates, (x, y) = Candidates(3, 2), lagged(80, 3)
    weight = torch.ones(80, dtype=torch.float64)
    weight[:30], weight[50:] = 2.0, 0.0
    a = Moments(candidates, x, y, weight=weight)
    again = torch.cat([torch.arange(30), torch.arange(50)])
    b = Moments(candidates, x[again], y[again])
    assert a.rows == b.rows
    np.testing.assert_allclose(a.sums, b.sums)
    np.testing.assert_array_equal(forward(a, 5).order, forward(b, 5).order)


def test_too_many_candidates_are_refused_with_what_to_do():
    with pytest.raises(ArgumentError, match=r"degree=3 makes 1373700 candidate terms of 200 columns.*fewer lags"):
        Candidates(200, 3)


# ---- forward regression

CASES = {
    "independent": {},
    "correlated": {"lags": True},
    "a level": {"lags": True, "level": 4.0},
    "two targets": {"lags": True, "channels": 2},
    "about 0": {"lags": True, "intercept": False},
    "ridge": {"lags": True, "ridge": 30.0},
    "ridge and a level": {"lags": True, "level": 4.0, "ridge": 3.0, "channels": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_forward_regression_from_moments_equals_that_on_rows(case):
    given = dict(CASES[case])
    own = {name: given.pop(name) for name in ("intercept", "ridge") if name in given}
    if given.pop("lags", False):
        x, y = lagged(600, 4, **given)
    else:
        x = randn(600, 4)
        y = x[:, :1] ** 3 - x[:, 1:2] * x[:, 2:3] + 0.5 * x[:, 3:] + 0.3 * randn(600, 1, seed=1)
    candidates = Candidates(4, 3)
    moments = Moments(candidates, x, y, intercept=own.get("intercept", True))
    path = forward(moments, 20, ridge=own.get("ridge", 0.0))
    order, left = by_rows(monomials(candidates, x), y, 20, **own)
    np.testing.assert_array_equal(path.order, order)
    np.testing.assert_allclose(path.left, left, rtol=1e-7, atol=1e-9)


def test_what_is_left_is_that_of_least_squares_with_the_terms_so_far():
    candidates, (x, y) = Candidates(4, 2), lagged(300, 4, channels=2)
    path, features = forward(Moments(candidates, x, y), 8), monomials(candidates, x)
    assert len(path.order) == 8
    for k in range(9):
        design = torch.cat([features[:, path.order[:k]], torch.ones(300, 1)], dim=1)
        rest = y - design @ torch.linalg.lstsq(design, y).solution
        np.testing.assert_allclose(path.left[k], (rest.var(dim=0) / y.var(dim=0)).numpy(), rtol=1e-8)


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_terms_and_their_error_reduction_ratios_are_those_of_fastcan(level):
    fastcan = pytest.importorskip("fastcan", reason="the oracle: pip install fastcan")
    candidates, (x, y) = Candidates(4, 3), lagged(800, 4, level=level)
    path = forward(Moments(candidates, x, y), 10)
    oracle = fastcan.FastCan(10, verbose=0).fit(monomials(candidates, x).numpy(), y.numpy())
    np.testing.assert_array_equal(path.order, oracle.indices_)
    np.testing.assert_allclose(-np.diff(path.left[:, 0]), oracle.scores_, rtol=1e-6)


def test_what_is_a_copy_of_a_chosen_term_or_does_not_vary_is_not_chosen():
    """A column twice, one of two values (whose powers are itself), and a constant."""
    x = randn(400, 4)
    x[:, 1], x[:, 2], x[:, 3] = x[:, 0], (x[:, 2] > 0).double(), 2.5
    y = (x[:, 0] + x[:, 2])[:, None] + 0.1 * randn(400, 1, seed=1)
    candidates = Candidates(4, 2)
    path = forward(Moments(candidates, x, y), 50)
    features = monomials(candidates, x)[:, path.order]
    # All that vary and differ: x, b, x^2 and x b.
    assert len(path.order) == 4
    assert float(torch.linalg.cond((features - features.mean(dim=0)) / features.std(dim=0))) < 10


def test_a_target_that_does_not_vary_asks_for_no_term_and_has_no_say():
    candidates, (x, y) = Candidates(3, 2), lagged(200, 3)
    flat = torch.full_like(y, 1e3)
    assert len(forward(Moments(candidates, x, flat), 5).order) == 0
    both = forward(Moments(candidates, x, torch.cat([flat, y], dim=1)), 5)
    np.testing.assert_array_equal(both.order, forward(Moments(candidates, x, y), 5).order)


def test_no_more_terms_than_rows_can_tell_apart():
    x, y = randn(4, 3), randn(4, 1, seed=1)
    path = forward(Moments(Candidates(3, 2), x, y), 9)
    assert len(path.order) <= 3
    assert np.isfinite(path.left).all()


def test_the_criterion_is_its_formula():
    candidates, (x, y) = Candidates(3, 2), lagged(120, 3, channels=2)
    path = forward(Moments(candidates, x, y), 4)
    found = information(path, 120.0, 9)
    for k in range(5):
        own = 120 * np.log(path.left[k]).sum() + 2 * k * math.log(120) + 2 * math.log(math.comb(9, k))
        assert found[k] == pytest.approx(own)
    assert np.isinf(information(path, 3.0, 9)[2:]).all()


# ---- systems with known terms


def simulate(step, rows, noise, *, seed=0, width=1.0):
    """y_t = step(y up to t-1, u up to t-1) + noise, u uniform on +-width."""
    rng = np.random.default_rng(seed)
    # The first rows do not follow the equation.
    u, y = rng.uniform(-width, width, rows + 2), np.zeros(rows + 2)
    for t in range(2, rows + 2):
        y[t] = step(y, u, t) + noise * rng.normal()
    return pd.DataFrame({"unique_id": "a", "ds": np.arange(rows), "y": y[2:], "u": u[2:]})


# Wei & Billings (2008), "Model structure selection using an integrated forward orthogonal search algorithm ...": their
# first example; and that of the tutorial of SysIdentPy (Lacerda et al. 2020).
SYSTEMS = {
    "quadratic": (
        lambda y, u, t: 0.5 * y[t - 1] + 0.8 * u[t - 2] + u[t - 1] ** 2 - 0.05 * y[t - 2] ** 2 + 0.5,
        {"y_lag1": 0.5, "u_lag2": 0.8, "u_lag1^2": 1.0, "y_lag2^2": -0.05},
    ),
    "bilinear": (
        lambda y, u, t: 0.2 * y[t - 1] + 0.1 * y[t - 1] * u[t - 1] + 0.9 * u[t - 1],
        {"u_lag1": 0.9, "y_lag1": 0.2, "y_lag1 * u_lag1": 0.1},
    ),
}


def problem_of(frame, *, lags=2, horizon=5, pooled=True, transforms=(), **settings):
    exog = {"future_exog": (("u", (1, 2)),)} if "u" in frame else {}
    panel = read_panel(frame, **({"future_exog": ("u",)} if exog else {}))
    layout = LagLayout(tuple(range(1, lags + 1)), **exog)
    coder = None
    if exog:
        coder = InputCoder.learn(panel, panel.lengths, (), pooled=pooled)
        # Units as they are.
        coder = replace(coder, centre=np.zeros((1, 1)), spread=np.ones((1, 1)))
    return Problem(
        panel, transforms, None, layout.reach, layout, horizon, 7, pooled, True, torch.device("cpu"), coder, **settings
    )


def as_they_are(problem):
    """What all rows teach, inputs in their own units."""
    learnt = problem.learn(problem.panel.lengths)
    store = SeriesStore(problem.panel, learnt.chain, None, problem.context_length, None, problem.coder)
    return replace(learnt, store=store, coder=problem.coder)


@pytest.mark.parametrize("select", ["open_loop", "closed_loop"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_terms_of_published_systems_are_found_first(name, select):
    step, true = SYSTEMS[name]
    problem = problem_of(simulate(step, 1000, 0.02))
    learnt, number = as_they_are(problem), len(true)
    found = select_terms(problem, learnt, np.zeros(1), Polynomial(2, number + 3))
    assert set(found.terms()[:number]) == set(true)
    given = select_terms(problem, learnt, np.zeros(1), Polynomial(2, number, select))
    weights = dict(zip(given.terms(), given.weight[0, :, 0].tolist(), strict=True))
    assert weights == pytest.approx(true, abs=0.01)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_number_of_terms_of_published_systems_is_found(name):
    step, true = SYSTEMS[name]
    problem = problem_of(simulate(step, 1000, 0.02))
    found = select_terms(problem, as_they_are(problem), np.zeros(1), Polynomial(2))
    assert set(found.terms()) == set(true)


def test_simulation_drops_a_term_that_took_the_place_of_true_ones():
    """Cubes among the candidates lead forward regression astray: its second term stands for two that come later."""
    step, true = SYSTEMS["quadratic"]
    problem = problem_of(simulate(step, 1000, 0.02))
    learnt = as_they_are(problem)
    plain, simulated = (
        set(select_terms(problem, learnt, np.zeros(1), Polynomial(3, 4, select)).terms())
        for select in ("open_loop", "closed_loop")
    )
    assert plain - set(true) == {"y_lag1 * u_lag1^2"}
    assert simulated == set(true)


# ---- weights and groups


def test_weights_are_those_of_least_squares_on_the_rows_even_where_powers_are_nearly_collinear():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"unique_id": "a", "ds": np.arange(300), "y": 30 + rng.normal(size=300)})
    problem = problem_of(frame)
    learnt = problem.learn(problem.panel.lengths)
    rows = one_step_rows(learnt.store, problem.layout, [problem.every], learnt.stops, 1)
    indices = torch.tensor([[[0, 0], [1, 2], [1, 1], [3, 3]]])
    model = fit_terms(problem.layout, indices, rows, torch.zeros(1), intercept=True)
    x, y = (torch.from_numpy(part) for part in rows[0])
    z = x - 30
    # The same space of functions, well conditioned.
    design = torch.stack([z[:, 0] ** 2 + 60 * z[:, 0], z[:, 1], z[:, 1] ** 2 + 60 * z[:, 1], torch.ones(len(z))], dim=1)
    expected = design @ torch.linalg.lstsq(design, y).solution
    torch.testing.assert_close(model.step(x[None], None)[0][0, :, :, 0], expected, rtol=1e-9, atol=1e-9)
    assert model.weight[0, 3, 0] == 0


@pytest.mark.parametrize("select", ["open_loop", "closed_loop"])
def test_series_fitted_together_equal_each_alone(select):
    """Each has its own terms, as many as it needs; one is too short to be simulated."""
    frame = make_frame((150, 14, 90))
    problem = problem_of(frame, lags=3, pooled=False, transforms=(Standardize(),))
    family, ridge = Polynomial(2, select=select), np.array([0.0, 1.0, 3.0])
    together = select_terms(problem, problem.learn(problem.panel.lengths), ridge, family)
    x, numbers = randn(1, 6, 3), set()
    for i in range(3):
        one = problem.take(np.array([i]))
        alone = select_terms(one, one.learn(one.panel.lengths), ridge[i : i + 1], family)
        assert alone.terms() == together.terms(i)
        torch.testing.assert_close(alone.step(x, None)[0], together.groups(slice(i, i + 1)).step(x, None)[0])
        numbers.add(len(alone.terms()))
    assert len(numbers) > 1


def test_the_order_of_series_changes_no_pooled_choice():
    a, b = (
        NARXForecaster(3, 3, model=Polynomial(2, 4, "closed_loop"), mode="open_loop", ridge=1.0).fit(
            pd.concat([part for _, part in sorted(make_frame().groupby("unique_id"), reverse=reverse)])
        )
        for reverse in (False, True)
    )
    assert a.model_.terms() == b.model_.terms()
    torch.testing.assert_close(a.model_.weight, b.model_.weight)


def test_candidates_simulated_side_by_side_are_as_one_by_one(monkeypatch):
    problem = problem_of(make_frame((150, 90)), lags=3, pooled=False, transforms=(Standardize(),))
    learnt = problem.learn(problem.panel.lengths)
    together = select_terms(problem, learnt, np.ones(2), Polynomial(2, select="closed_loop"))
    monkeypatch.setattr(terms, "_MOST_VALUES", 1)
    alone = select_terms(problem, learnt, np.ones(2), Polynomial(2, select="closed_loop"))
    assert together.equation() == alone.equation()


def test_simulation_errors_are_those_of_forecasts():
    """The error that a choice looks at is that of a model fitted on the rows before the windows, and rolled out."""
    frame = make_frame((120,))
    problem = problem_of(frame, lags=3, pooled=False, transforms=(Standardize(),))
    judge = terms._Simulation(problem)
    rows = one_step_rows(judge.learnt.store, problem.layout, [problem.every], judge.learnt.stops, 5)
    model = fit_terms(problem.layout, torch.tensor([[[1, 3], [2, 2]]]), rows, torch.zeros(1), intercept=True)
    found = judge(model.join([model, model]), 2)
    assert found.shape == (2, 1)
    y, errors = frame["y"].to_numpy(), []
    mean, std = y[:100].mean(), y[:100].std()
    for cutoff in (99, 104, 109, 114):
        past = list((y[: cutoff + 1] - mean) / std)
        for h in range(1, 6):
            x = torch.tensor([[past[-3:]]], dtype=torch.float64)
            past.append(float(model.step(x, None)[0]))
            errors.append(abs(past[-1] * std + mean - y[cutoff + h]))
    np.testing.assert_allclose(found[:, 0], np.mean(errors), rtol=1e-6)


# ---- forecasters

MODES = ["open_loop", "closed_loop", "curriculum", "auto"]
KINDS = {
    "local": {"scope": "local"},
    "global": {"scope": "global"},
    "local by simulation": {"scope": "local", "model": Polynomial(2, 4, "closed_loop")},
    "second order": {"scope": "global", "solver": "levenberg_marquardt", "window_scaling": "standard"},
    "local second order": {"scope": "local", "solver": "levenberg_marquardt"},
}


def build(**settings):
    return NARXForecaster(
        **grouped(
            {"horizon": 4, "lags": 3, "model": "polynomial", "season_length": 7, "max_steps": 12, "batch_size": 8}
            | settings
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "mode"), pairs(list(KINDS), MODES))
def test_every_mode_gives_finite_blind_reproducible_forecasts(kind, mode):
    df, given = make_frame((80, 60, 70)), KINDS[kind]
    model = build(**given).fit(df, mode=mode)
    fc = model.predict()
    assert np.isfinite(fc["NARXForecaster"]).all()
    pd.testing.assert_frame_equal(build(**given, mode=mode).fit(df).predict(), fc, check_exact=True)
    cutoffs = pd.DataFrame({"unique_id": ["s0", "s1", "s2"], "cutoff": [60, 50, 50]})
    at = model.predict_at(df, cutoffs)
    wrecked = model.predict_at(wreck_after(df, dict(cutoffs.to_numpy())), cutoffs)
    pd.testing.assert_frame_equal(at, wrecked, check_exact=True)
    pd.testing.assert_frame_equal(at, Forecaster.predict_at(model, df, cutoffs), rtol=1e-9)


def test_open_loop_is_the_closed_form_itself():
    df = make_frame((80, 60))
    model = build(scope="local", ridge=1.0).fit(df, mode="open_loop")
    assert model.history_.solver == "least squares"
    assert model.history_.frame.empty
    # Levenberg-Marquardt starts there, and without a penalty has nowhere to go.
    plain, second = (
        build(scope="local", ridge=0.0, solver=solver, validation=False, batch_size="auto", max_steps=60)
        .fit(df, mode="open_loop")
        .predict()
        for solver in ("auto", "levenberg_marquardt")
    )
    np.testing.assert_allclose(plain["NARXForecaster"], second["NARXForecaster"], rtol=1e-6)


def test_of_degree_one_with_all_terms_it_is_the_linear_model():
    df = make_frame((80, 60))
    for scope in ("local", "global"):
        a, b = (
            build(model=model, ridge=2.0, mode="open_loop", **as_it_stands(scope=scope))
            .fit(df)
            .predict()["NARXForecaster"]
            for model in ("linear", Polynomial(1, 3))
        )
        np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 2])
def test_many_series_in_chunks_are_fitted_as_all_at_once(monkeypatch, chunk):
    """Each chunk pads its terms to its own longest."""
    df = make_frame((150, 60, 90))
    settings = {"scope": "local", "model": Polynomial(2, 3), "solver": "levenberg_marquardt", "mode": "closed_loop"}
    whole = build(**settings).fit(df)
    monkeypatch.setattr(by_gradient, "_CHUNK", chunk)
    parts = build(**settings).fit(df)
    np.testing.assert_allclose(whole.predict()["NARXForecaster"], parts.predict()["NARXForecaster"], rtol=1e-7)
    assert [whole.model_.terms(g) for g in range(3)] == [parts.model_.terms(g) for g in range(3)]
    # One without a season wants no term.
    df.loc[df["unique_id"] == "s1", "y"] = np.random.default_rng(0).normal(size=60)
    auto = build(scope="local", mode="closed_loop").fit(df)
    assert len({len(auto.model_.terms(g)) for g in range(3)}) > 1
    assert np.isfinite(auto.predict()["NARXForecaster"]).all()


@pytest.mark.parametrize("select", ["open_loop", "closed_loop"])
def test_the_run_that_holds_windows_out_chooses_terms_without_them_and_the_last_run_keeps_these(monkeypatch, select):
    df, calls = make_frame((120,)), []
    family = Polynomial(2, select=select)

    def spy(problem, learnt, ridge, kind, chosen=None):
        calls.append((learnt.stops.copy(), chosen, select_terms(problem, learnt, ridge, kind, chosen)))
        return calls[-1][2]

    monkeypatch.setattr("tsforce.training.fit.select_terms", spy)
    settings = {"scope": "local", "model": family, "ridge": 1.0, "validation": 3, "mode": "closed_loop"}
    build(**settings).fit(df)
    (held_out, before, first), (stops, kept, last) = calls
    assert (held_out.tolist(), before, stops.tolist()) == ([108], None, [120])
    assert kept.terms() == first.terms() == last.terms()
    # What is held out moves neither terms nor weights, however wild.
    calls.clear()
    wild = df.copy()
    wild.loc[108:, "y"] = 200 - 3 * wild.loc[108:, "y"]
    build(**settings).fit(wild)
    assert calls[0][2].equation() == first.equation()
    assert calls[1][2].equation() != last.equation()


def test_levenberg_marquardt_on_roll_outs_betters_the_start_it_selects():
    """Noise on what is measured biases one-step weights; roll-outs set them right (Piroddi & Spinelli 2003)."""
    frame = simulate(lambda y, u, t: 1.5 * y[t - 1] - 0.7 * y[t - 2] + 0.5 * u[t - 1] - 0.1 * y[t - 1] ** 3, 1500, 0.0)
    noisy = frame.assign(y=frame["y"] + 0.1 * np.random.default_rng(1).normal(size=1500))
    errors = {}
    for mode in ("open_loop", "closed_loop"):
        model = NARXForecaster(
            30, 2, model=Polynomial(3, 4), window_scaling=None, future_exog=["u"], exog_lags=[1], mode=mode, ridge=0.0,
            training=Training(solver="auto" if mode == "open_loop" else "levenberg_marquardt"),
        ).fit(noisy[noisy["ds"] < 1200])  # fmt: skip
        assert set(model.model_.terms()) == {"y_lag1", "y_lag2", "u_lag1", "y_lag1^3"}
        fc = model.predict_at(noisy, list(range(1200, 1460, 30)), 30).merge(frame, on=["unique_id", "ds"])
        errors[mode] = (fc["y"] - fc["NARXForecaster"]).abs().mean()
    assert errors["closed_loop"] < 0.5 * errors["open_loop"]


def test_policies_are_understood_as_by_other_families():
    df = make_frame((80,))
    for policy, name in [(OpenLoop(), "open_loop"), (ClosedLoop(), "closed_loop")]:
        assert build(scope="local").fit(df, mode=policy).mode_ == name


def test_a_system_reads_as_it_was_written_in_original_units():
    """Standardised for the fit, multiplied out again."""
    frame = simulate(SYSTEMS["quadratic"][0], 1000, 0.0)
    model = NARXForecaster(
        5, 2, model=Polynomial(2), scope="local", future_exog=["u"], exog_lags=[1, 2], mode="open_loop", ridge=0.0
    ).fit(frame)
    learnt = model._rolling_
    means = {"y": frame["y"].mean(), "u": learnt.coder.centre[0, 0]}
    scales = {"y": frame["y"].std(ddof=0), "u": learnt.coder.spread[0, 0]}
    told = equation(model.model_, means, scales, digits=3)
    true = {"0.5 y(t-1)", "0.8 u(t-2)", "u(t-1)^2", "-0.05 y(t-2)^2", "0.5"}
    parts = told.removeprefix("y(t) = ").replace(" - ", " + -").split(" + ")
    # What products of shifted variables leave where they cancel is rounding.
    assert {part for part in parts if "e-" not in part} == true
    assert all(abs(float(part.split()[0])) < 1e-6 for part in parts if "e-" in part)


def test_a_forecaster_that_cannot_compare_all_terms_says_so():
    with pytest.raises(ArgumentError, match=r"degree=2 makes .* candidate terms of 200 columns.*too many"):
        build(lags=200).fit(make_frame((500,)), mode="open_loop")


def test_the_number_of_terms_is_kept_where_it_is_given():
    for number, degree in itertools.product((1, 4), (2, 3)):
        model = build(scope="local", model=Polynomial(degree, number), mode="open_loop").fit(make_frame((90,)))
        assert len(model.model_.terms()) == number
