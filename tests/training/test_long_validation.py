"""Validation as one long simulation: the last share of each record, run from its start, whatever its length."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tests.identification.test_regressor import system
from tsforce import NARXRegressor
from tsforce.data.panel import Columns, Panel
from tsforce.dynamics.forcing import ClosedLoop, OpenLoop
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import GRU, MLP
from tsforce.dynamics.models.linear import Linear
from tsforce.training.closed_loop import forecast_windows
from tsforce.training.judging import Judge
from tsforce.training.problem import Problem


def problem_of(lengths=(50, 30, 5), share=0.2, horizon=4, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(sum(lengths), 1))
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    start = np.zeros(len(lengths), dtype=np.int64)
    panel = Panel(np.arange(len(lengths)), values, indptr, start, None, Columns())
    layout = LagLayout((1, 2, 3))
    return Problem(
        panel, (), None, 3, layout, horizon, 1, True, True, torch.device("cpu"), judged_share=share
    )  # fmt: skip


def linear(problem):
    weight = torch.tensor([[[0.1], [-0.4], [0.7]]], dtype=torch.float64)
    return Linear(problem.layout, weight, torch.full((1, 1), 0.05, dtype=torch.float64))


def test_windows_are_the_last_share_of_each_record_that_spares_one():
    problem = problem_of()
    assert problem.n_windows(4).tolist() == [1, 1, 0]
    assert problem.n_windows(0).tolist() == [0, 0, 0]
    validation = problem.validation(1)
    assert validation.stops.tolist() == [40, 24, 5]
    assert validation.index.series.tolist() == [0, 1]
    assert validation.index.rows.tolist() == [39, 23]
    assert validation.horizon == 10
    np.testing.assert_array_equal(validation.truth[0, :, 0], problem.panel.values[40:50, 0])
    np.testing.assert_array_equal(validation.truth[1, :6, 0], problem.panel.values[74:80, 0])
    assert np.isnan(validation.truth[1, 6:]).all()


def test_errors_are_those_of_a_simulation_by_hand():
    problem = problem_of((100, 30, 5))
    # One record is much quieter than the other: errors of both are in one scale, of all rows that are learnt from.
    problem.panel.values[100:130] *= 0.01
    validation = problem.validation(1)
    model = linear(problem)
    y = problem.panel.values[:, 0]
    scale = np.concatenate([np.abs(np.diff(part)) for part in (y[:80], y[100:124], y[130:])]).mean()
    judge = Judge(problem, problem.learn(validation.stops), validation)
    closed, one = judge(model)
    weight = model.weight.numpy()[0, :, 0]
    errors, firsts, pieces = [], [], []
    # Twenty steps are five blocks of four, six are one block.
    for stop, end, blocks in ((80, 100, 5), (124, 130, 1)):
        fed = y.copy()
        for t in range(stop, end):
            fed[t] = 0.05 + weight @ fed[t - 3 : t]
        single = np.array([0.05 + weight @ y[t - 3 : t] for t in range(stop, end)])
        gap = np.abs(fed - y)[stop:end] / scale
        errors.append(gap.mean())
        firsts.append((np.abs(single - y[stop:end]) / scale).mean())
        edges = [(end - stop) * k // blocks for k in range(blocks + 1)]
        pieces += [gap[a:b].mean() for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(closed, np.mean(errors), rtol=1e-12)
    np.testing.assert_allclose(one, np.mean(firsts), rtol=1e-12)
    np.testing.assert_allclose(judge.detail(model), pieces, rtol=1e-12)
    assert judge.unit.tolist() == [0] * 6


@pytest.mark.parametrize("kind", [MLP((5,), "tanh"), GRU(4)], ids=["stateless", "with a state"])
def test_one_step_errors_side_by_side_are_those_step_by_step(kind):
    problem = problem_of((60, 45))
    validation = problem.validation(1)
    learnt = problem.learn(validation.stops)
    model = kind.build(linear(problem), torch.tensor([3]), torch.float64)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05
            p.requires_grad_(False)
    judge = Judge(problem, learnt, validation)
    slow, _ = forecast_windows(
        learnt.store, model, learnt.guard, validation.index, validation.horizon, groups=None, forcing=OpenLoop()
    )
    known = ~np.isnan(validation.truth)
    sizes = np.abs(slow - validation.truth)[known]
    np.testing.assert_allclose(judge._one_step(model)[known], sizes, rtol=1e-9, atol=1e-12)
    assert not np.allclose(sizes, judge._errors(model, ClosedLoop())[known])


def test_blocks_are_ten_of_a_long_record_and_none_shorter_than_four_steps():
    validation = problem_of((210, 100, 35, 20)).validation(1)
    assert validation.n_blocks.tolist() == [10, 5, 1, 1]
    blocks = validation.blocks
    known = ~np.isnan(blocks.truth[..., 0])
    assert known.sum(axis=1).tolist() == [4, 4, 4, 4, 5, 4, 4, 4, 4, 5, *[4] * 5, 7, 4]
    assert blocks.index.series.tolist() == [*[0] * 10, *[1] * 5, 2, 3]
    assert known[:10].sum(axis=0).tolist() == [1] * 42
    assert (blocks.n_blocks == 1).all()
    assert blocks.blocks is blocks


def test_one_guard_bounds_roll_outs_of_all_records():
    problem = problem_of((100, 30))
    problem.panel.values[100:] *= 1e-6
    stops = problem.validation(1).stops
    guard = problem.learn(stops).guard
    y = np.r_[problem.panel.values[:80, 0], problem.panel.values[100:124, 0]]
    np.testing.assert_allclose(guard.high[:, 0], [y.max() + 10 * np.ptp(y)] * 2)
    np.testing.assert_allclose(guard.low[:, 0], [y.min() - 10 * np.ptp(y)] * 2)


def test_without_a_share_windows_are_a_horizon_long():
    problem = problem_of(share=None)
    validation = problem.validation(2)
    assert (validation.horizon, validation.n_blocks.tolist()) == (4, [1, 1, 1, 1])
    assert validation.blocks is validation
    assert validation.n_windows.tolist() == [2, 2, 0]


def test_the_ridge_is_chosen_by_simulating_what_is_held_out():
    X, y = system(300, noise=1.0)
    model = NARXRegressor(4, 6, mode="open_loop", ridge="auto").fit(X, y)
    look = model.history_.frame.iloc[0]
    closed, one = {}, {}
    for ridge in (1.0, 10.0, 30.0, 100.0, 300.0):
        # Standardised once, by all rows, so that the units of errors are those of the fit.
        part = NARXRegressor(4, 6, mode="open_loop", ridge=ridge).fit(X[:240], y[:240])
        scale = np.abs(np.diff(y[:240])).mean()
        closed[ridge] = np.abs(part.predict(X, y_init=y[:240]) - y)[240:].mean() / scale
        one[ridge] = np.abs(part.one_step(X, y) - y)[240:].mean() / scale
    best = min(closed, key=closed.get)
    assert model.ridge_ == best
    np.testing.assert_allclose([look.closed_loop, look.one_step], [closed[best], one[best]], rtol=1e-7)


def test_looks_while_training_are_at_the_held_out_rows():
    X, y = system(200, noise=1.0)
    model = NARXRegressor(2, 2, mode="closed_loop", max_steps=5).fit(X, y)
    first = model.history_.frame.query("run == 'choose'").iloc[0]
    start = NARXRegressor(2, 2, mode="open_loop").fit(X[:160], y[:160])
    scale = np.abs(np.diff(y[:160])).mean()
    want = np.abs(start.predict(X, y_init=y[:160]) - y)[160:].mean() / scale
    np.testing.assert_allclose(first.closed_loop, want, rtol=1e-7)
    # What is held out changes nothing of the run that chooses.
    late = y.copy()
    late[160:] = y[160:] + 0.5
    other = NARXRegressor(2, 2, mode="closed_loop", max_steps=5).fit(X, late)
    losses = [
        m.history_.frame.query("run == 'choose'")["loss"].to_numpy()[1:] * m.y_scale_[0] ** 2 for m in (model, other)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)


# ---- records that settle


def test_a_record_that_settled_is_judged_on_the_rows_in_which_it_moved():
    problem = problem_of((200, 100))
    y = problem.panel.values[:, 0]
    y[:200] = 0.01 * y[:200] + np.where(np.arange(200) < 60, 5.0 * np.sin(np.arange(200)), 1.0)
    validation = problem.validation(1)
    assert validation.stops.tolist() == [200, 80]
    assert validation.index.rows.tolist() == [2, 79]
    assert validation.horizon == 57
    np.testing.assert_array_equal(validation.truth[0, :, 0], y[3:60])
    np.testing.assert_array_equal(validation.truth[1, :20, 0], y[280:300])
    assert np.isnan(validation.truth[1, 20:]).all()


@pytest.mark.parametrize("change", ["constant at the end", "constant throughout", "moved in its first rows only"])
def test_where_nothing_moves_that_could_be_judged_the_last_share_is(change):
    problem = problem_of((100,))
    y = problem.panel.values[:, 0]
    y[:] = 1.0
    if change == "constant at the end":
        y[:70] = np.sin(np.arange(70))
        assert problem.validation(1).index.rows.tolist() == [2]
        return
    if change == "moved in its first rows only":
        y[:2] = 9.0
    validation = problem.validation(1)
    assert validation.stops.tolist() == [80]
    assert validation.index.rows.tolist() == [79]


def test_of_two_outputs_both_must_have_settled():
    rng = np.random.default_rng(0)
    values = 0.01 * rng.normal(size=(100, 2))
    values[:40] += 3 * np.sin(np.arange(40))[:, None]
    panel = Panel(np.arange(1), values, np.array([0, 100]), np.zeros(1, np.int64), None, Columns(targets=("a", "b")))
    layout = LagLayout((1,), ("a", "b"))
    problem = Problem(panel, (), None, 1, layout, 4, 1, True, True, torch.device("cpu"), judged_share=0.2)
    assert problem.validation(1).stops.tolist() == [100]
    values[80:, 1] += np.sin(np.arange(20))
    assert problem.validation(1).stops.tolist() == [80]


@pytest.mark.parametrize("test", ["step", "ring-down"])
@pytest.mark.slow
def test_auto_keeps_what_simulates_a_step_test_and_a_ring_down_best(test):
    roots = np.array([2 * 0.97 * np.cos(0.4), -(0.97**2)])
    u = np.where(np.arange(500) < 20, 0.0, 1.0) if test == "step" else np.zeros(500)
    y = np.zeros(500)
    for t in range(1, 500):
        y[t] = roots[0] * y[t - 1] + roots[1] * y[t - 2] + (1 - roots.sum()) * u[t - 1]
        y[t] += 5.0 * (test == "ring-down" and t == 1)
    noisy = y + 0.1 * y.std() * np.random.default_rng(0).normal(size=500)
    models = {m: NARXRegressor(2, 1, input_delay=1, mode=m).fit(u[:, None], noisy) for m in ("auto", "open_loop")}
    error = {m: np.std(model.predict(u[:, None], y[:2]) - y) / y.std() for m, model in models.items()}
    assert error["auto"] < 0.08 < 0.3 < error["open_loop"]
    assert "1 of 1 records had settled where rows were to be held out" in "\n".join(models["auto"].history_.notes)
