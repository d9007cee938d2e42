"""Training by gradient: independence of series, reproducibility, validation, divergence, phases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel

from tests.makers import make_frame
from tsforce import NARXForecaster, Training
from tsforce.data.frame import read_panel
from tsforce.data.transforms import Difference, Log, Standardize
from tsforce.dynamics.draws import key_of
from tsforce.dynamics.forcing import ClosedLoop, Curriculum, OpenLoop
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.training import by_gradient
from tsforce.training.by_gradient import Phase, fit_by_gradient
from tsforce.training.history import History
from tsforce.training.judging import no_better
from tsforce.training.losses import LOSSES, multi_step_loss
from tsforce.training.problem import Problem
from tsforce.training.solvers.gradient import Settings, train
from tsforce.training.solvers.least_squares import fit_linear
from tsforce.training.solvers.looks import Lesson, Watch
from tsforce.training.solvers.ridge import RidgeChoice
from tsforce.training.solvers.usable_windows import Cutoffs

H, LAGS = 4, 5
STANDARD = (Standardize(),)
LAYOUT = LagLayout(tuple(range(1, LAGS + 1)))
SETTINGS = Settings(max_steps=20, batch_size=6, learning_rate=0.01, looks=5)


def problem(lengths=(60, 45, 80, 50, 70), *, pooled=False, transforms=STANDARD, scaling=None, ids=None):
    panel = read_panel(make_frame(lengths, ids=ids))
    return Problem(panel, transforms, scaling, LAGS, LAYOUT, H, 7, pooled, True, torch.device("cpu"))


def linear(start, keys):
    return Linear(LAYOUT, start.weight.clone(), start.bias.clone())


def mlp(start, keys):
    return Perceptron(LAYOUT, (8, 8), start, keys, dtype=torch.float64)


def fit(p, build=linear, phases=None, *, n_validation=2, n_trials=0, random_state=0, history=None):
    phases = phases or [Phase(Curriculum(), SETTINGS)]
    return fit_by_gradient(
        p, np.full(p.panel.n_series, 1.0), build, phases, n_validation=n_validation, n_trials=n_trials,
        random_state=random_state, history=history or History("test"),
    )  # fmt: skip


def weights(model):
    return torch.cat([p.detach().flatten(start_dim=1) for p in model.parameters()], dim=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "forcing"),
    [
        *((linear, forcing) for forcing in (Curriculum(), ClosedLoop(), OpenLoop(), Curriculum(sharing="epoch"))),
        (mlp, Curriculum()),  # draws, and more than one weight tensor; the other policies draw nothing of the model
    ],
)
def test_five_series_together_equal_each_alone(build, forcing):
    p = problem()
    together = fit(p, build, [Phase(forcing, SETTINGS)])
    for i in range(5):
        alone = fit(p.take(np.array([i])), build, [Phase(forcing, SETTINGS)])
        torch.testing.assert_close(weights(together.model)[i : i + 1], weights(alone.model), rtol=1e-9, atol=1e-9)
        assert (together.steps[:, i] == alone.steps[:, 0]).all()


def test_chunks_of_series_change_nothing(monkeypatch):
    p, whole_history, history = problem(), History("a"), History("b")
    whole = fit(p, history=whole_history)
    monkeypatch.setattr(by_gradient, "_CHUNK", 2)
    parts = fit(p, history=history)
    torch.testing.assert_close(weights(whole.model), weights(parts.model), rtol=1e-9, atol=1e-9)
    assert (whole.steps == parts.steps).all()
    for a, b in zip(whole_history.records, history.records, strict=False):
        assert (a.run, a.step) == (b.run, b.step)
        np.testing.assert_allclose(a.closed_loop, b.closed_loop, rtol=1e-9)


@pytest.mark.parametrize("pooled", [True, False])
def test_the_same_seed_gives_the_same_bits_and_another_one_others(pooled):
    a, b, c = (fit(problem(pooled=pooled), mlp, random_state=s) for s in (3, 3, 4))
    assert torch.equal(weights(a.model), weights(b.model))
    assert not torch.equal(weights(a.model), weights(c.model))


def test_the_validation_span_is_not_trained_on_before_the_choice():
    """Rows of the held-out windows decide among looks, but move no weight of the run that chooses."""
    p = problem((60, 70))
    validation = p.validation(2)
    clean = p.learn(validation.stops)
    finals = []
    for wreck in (False, True):
        learnt = p.learn(validation.stops)
        if wreck:
            for i in range(2):
                learnt.store.values[p.panel.indptr[i] + validation.stops[i] : p.panel.indptr[i + 1]] = 1e6
        (start,) = fit_linear(clean.store, p.every, clean.stops, LAYOUT, [1.0], pooled=False, intercept=True)
        model = linear(start, None)
        by_gradient.train_phase(
            p, learnt, model, Phase(ClosedLoop(), SETTINGS), torch.tensor([1, 2]), Watch(History("x"), "choose")
        )
        finals.append(weights(model))
    assert torch.equal(*finals)


def test_the_final_run_repeats_the_chosen_number_of_steps_on_all_rows():
    history = History("x")
    result = fit(problem((60,)), history=history)
    final = [r for r in history.records if r.run == "final"]
    assert final[-1].step == result.steps[0, 0] if result.steps[0, 0] else not final
    assert all(np.isnan(r.closed_loop) for r in final)
    chosen = [r for r in history.records if r.run == "choose"]
    best = min(chosen[1:], key=lambda r: r.closed_loop)
    assert best.step == result.steps[0, 0]
    assert best.closed_loop == pytest.approx(result.best_error[0])
    assert chosen[0].closed_loop == pytest.approx(result.start_error[0])


def test_without_validation_all_steps_are_taken():
    history = History("x")
    result = fit(problem((60,)), n_validation=0, history=history)
    assert result.steps.tolist() == [[20]]
    assert {r.run for r in history.records} == {"final"}
    assert np.isnan(result.best_error).all()


def test_keeping_open_loop_needs_no_training_where_training_shows_no_gain():
    """Steps so small that they change nothing cannot be better by a standard error."""
    tiny = Phase(Curriculum(), Settings(20, 6, 1e-12, looks=5))
    p = problem()
    result = fit(p, phases=[tiny], n_trials=1)
    assert (result.steps == 0).all()
    learnt = p.learn(p.panel.lengths)
    (start,) = fit_linear(learnt.store, p.every, learnt.stops, LAYOUT, [1.0], pooled=False, intercept=True)
    assert torch.equal(result.model.weight, start.weight)


def test_training_is_kept_where_it_clearly_helps():
    """A start that is spoilt on purpose is bettered by any training."""

    def spoilt(start, keys):
        return Linear(LAYOUT, start.weight * 0.2, start.bias)

    result = fit(problem(), spoilt, [Phase(ClosedLoop(), Settings(60, 8, 0.03, looks=6))], n_trials=1)
    assert (result.steps[0] > 0).sum() >= 4
    assert (result.best_error <= result.start_error).all()


@pytest.mark.slow
def test_of_two_trials_a_group_takes_the_better_one_from_the_same_start():
    def spoilt(start, keys):
        return Linear(LAYOUT, start.weight * 0.2, start.bias)

    good, useless = (
        Phase(ClosedLoop(), Settings(60, 8, 0.03, looks=6), "good"),
        Phase(OpenLoop(), Settings(60, 8, 1e-9), "bad"),
    )
    history = History("test")
    both = fit(problem(), spoilt, [useless, good], n_trials=2, history=history)
    assert (both.steps[0] == 0).all()
    alone = fit(problem(), spoilt, [good], n_trials=1)
    assert both.steps[1].tolist() == alone.steps[0].tolist()
    assert torch.equal(weights(both.model), weights(alone.model))
    assert list(dict.fromkeys((r.run, r.mode) for r in history.records)) == [
        ("choose", "bad"),
        ("choose", "good"),
        ("final", "good"),
    ]
    turned = fit(problem(), spoilt, [good, useless], n_trials=2)
    assert (turned.steps[1] == 0).all()
    np.testing.assert_array_equal(turned.best_error, alone.best_error)


def test_the_rule_of_one_standard_error():
    group = np.array([0, 0, 0, 1, 1, 1, 2, 3, 3])
    reference = np.ones(9)
    values = np.array([0.5, 0.6, 0.55, 0.9, 1.2, 0.89, 0.1, np.inf, 0.0])
    # 0: clearly lower; 1: lower on average by less than its error; 2: a single pair; 3: one diverged; 4: no window
    assert no_better(values, reference, group, 5).tolist() == [False, True, True, True, True]
    reference[3] = np.inf  # where the reference diverged, what did not is better
    assert no_better(values, reference, group, 5).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("spare", "windows"), [(0, 0), (1, 1), (4, 4), (9, 4), (10, 5), (11, 5), (15, 7), (16, 8), (99, 8)]
)
def test_windows_beyond_the_first_four_leave_as_many_to_learn_from(spare, windows):
    p = problem((LAGS + H + spare * H + H - 1, 200))
    assert p.n_windows(4, 4)[0] == windows
    assert p.n_windows(4)[0] == min(windows, 4)
    held = p.validation(4, 4)
    assert held.stops[0] == p.panel.lengths[0] - windows * H
    assert (held.index.series == 0).sum() == windows


def test_at_a_level_it_is_a_paired_t_test_over_windows():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(60), rng.integers(2, 9, 60))
    reference = 1 + rng.random(len(group))
    values = reference + rng.normal(-0.4, 0.4, len(group))
    told = [ttest_rel(values[group == g], reference[group == g], alternative="less").pvalue < 0.025 for g in range(60)]
    assert 10 < sum(told) < 50
    assert (~no_better(values, reference, group, 60, level=0.025)).tolist() == told


def test_later_phases_start_from_the_best_of_the_one_before():
    history = History("x")
    phases = [Phase(OpenLoop(), SETTINGS), Phase(Curriculum(), SETTINGS)]
    fit(problem((60,)), mlp, phases, history=history)
    chosen = [r for r in history.records if r.run == "choose"]
    second = next(i for i, r in enumerate(chosen) if i and r.step == 0)
    assert chosen[second].closed_loop == pytest.approx(min(r.closed_loop for r in chosen[1:second]))
    assert [r.forcing_ratio for r in chosen[:second]] == [1.0] * second
    assert chosen[-1].forcing_ratio < 1


def test_a_diverging_run_keeps_the_last_good_weights_and_says_so():
    p = problem((60, 70))
    learnt = p.learn(p.panel.lengths)
    (start,) = fit_linear(learnt.store, p.every, learnt.stops, LAYOUT, [1.0], pooled=False, intercept=True)
    model, history = linear(start, None), History("x")
    calls = []

    class Breaks(Linear):
        def step(self, x, state):
            out, state = super().step(x, state)
            if torch.is_grad_enabled():
                calls.append(1)
                if len(calls) > 5 * H:
                    out = out * torch.tensor([float("nan"), 1.0]).view(2, 1, 1, 1)
            return out, state

    broken = Breaks(LAYOUT, model.weight.detach().clone(), model.bias.detach().clone())
    first = np.full(2, learnt.store.first + LAGS - 1)
    cutoffs = Cutoffs(
        learnt.store, [np.array([0]), np.array([1])], [first[:1], first[1:]],
        [learnt.stops[:1] - 2, learnt.stops[1:] - 2], learnt.stops,
    )  # fmt: skip
    lesson = Lesson(cutoffs, H, ClosedLoop(), torch.tensor([1, 2]), "closed_loop")
    done = train(broken, lesson, Watch(history, "final"), SETTINGS)
    assert done.diverged.tolist() == [True, False]
    assert torch.isfinite(weights(broken)).all()
    assert any("1 of 2 models diverged in run 'final'" in note for note in history.notes)


def test_a_loss_on_levels_is_in_units_of_the_series_scale():
    """Without transforms model units are levels: squares on levels are those, over the squared seasonal naive error."""
    p = problem((60,), transforms=())
    loss = {}
    for space in ("model", "level"):
        settings = Settings(max_steps=5, batch_size=6, learning_rate=1e-12, looks=1, loss="mse", loss_space=space)
        history = History("test")
        fit(p, phases=[Phase(ClosedLoop(), settings)], n_validation=0, history=history)
        loss[space] = np.array([record.loss for record in history.records], dtype=float)
    y = p.panel.values[:, 0]
    assert np.isfinite(loss["level"]).any()
    np.testing.assert_allclose(loss["level"], loss["model"] / np.abs(y[7:] - y[:-7]).mean() ** 2, rtol=1e-9)


@pytest.mark.parametrize("space", ["model", "level"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_in_both_spaces_trains(loss, space):
    settings = Settings(20, 6, 0.005, loss=loss, loss_space=space, looks=5)
    p = problem((60, 50), transforms=(Log(), Difference(7), Standardize()))
    result = fit(p, phases=[Phase(ClosedLoop(), settings)])
    assert torch.isfinite(weights(result.model)).all()


def test_losses_equal_their_formulas_and_ignore_what_has_no_weight():
    g = torch.Generator().manual_seed(0)
    y, f = (torch.randn(2, 3, 4, 1, generator=g, dtype=torch.float64) * 2 for _ in range(2))
    w = (torch.rand(2, 3, 4, 1, generator=g) < 0.7).double()
    f[w == 0] = float("inf")
    formulas = {
        "mae": lambda a, b: abs(a - b),
        "mse": lambda a, b: (a - b) ** 2,
        "smape": lambda a, b: abs(a - b) / (abs(a) + abs(b) + 1e-8),
    }
    for name in (*formulas, "huber"):
        for group in range(2):
            scale = 1.482602218505602 * np.median((y - f)[group][w[group] > 0].abs())

            def huber(a, b, limit=1.5 * scale):
                return 0.5 * (a - b) ** 2 if abs(a - b) <= limit else limit * (abs(a - b) - 0.5 * limit)

            formula = formulas.get(name, huber)
            terms = [
                formula(float(a), float(b))
                for a, b, c in zip(y[group].flatten(), f[group].flatten(), w[group].flatten(), strict=True)
                if c
            ]
            assert float(multi_step_loss(name, y, f, w, 1.5)[group]) == pytest.approx(np.mean(terms))
        assert multi_step_loss(name, y, torch.zeros_like(y), torch.zeros_like(w)).tolist() == [0, 0]


def test_learning_rate_warms_up_and_falls_along_a_cosine():
    s = Settings(max_steps=100, batch_size=1, learning_rate=0.1)
    assert [round(s.rate_at(e), 4) for e in (0, 4, 5, 52, 99)] == [0.02, 0.1, 0.1, 0.0508, 0.0]


def test_a_perceptron_starts_as_its_linear_part():
    p = problem((60, 50))
    learnt = p.learn(p.panel.lengths)
    (start,) = fit_linear(learnt.store, p.every, learnt.stops, LAYOUT, [1.0], pooled=False, intercept=True)
    keys = torch.tensor([key_of(0, "s0"), key_of(0, "s1")])
    x = torch.randn(2, 3, LAGS, dtype=torch.float64)
    torch.testing.assert_close(mlp(start, keys).step(x, None)[0], start.step(x, None)[0])
    part = mlp(start, keys).groups(torch.tensor([1]))
    torch.testing.assert_close(part.step(x[1:], None)[0], start.step(x, None)[0][1:])


def test_patience_counts_only_once_the_forcing_ratio_has_settled():
    """Looks that get worse while truth is taken away must not end a run before it has become closed loop."""
    worse = iter(range(1, 1000))
    p = problem((60,))
    learnt = p.learn(p.panel.lengths)
    (start,) = fit_linear(learnt.store, p.every, learnt.stops, LAYOUT, [1.0], pooled=False, intercept=True)
    for forcing, last in ((Curriculum(length=0.6), 70), (ClosedLoop(), 20)):
        history = History("x")
        settings = Settings(100, 4, 1e-4, looks=10, patience=2)
        first = [np.array([learnt.store.first + LAGS - 1])]
        cutoffs = Cutoffs(learnt.store, [np.array([0])], first, [learnt.stops - 2], learnt.stops)
        watch = Watch(history, "choose", lambda model: (np.array([float(next(worse))]), np.array([1.0])))
        train(linear(start, None), Lesson(cutoffs, H, forcing, torch.tensor([1]), "curriculum"), watch, settings)
        assert history.records[-1].step == last


def test_a_group_that_is_to_take_no_step_takes_none():
    p = problem((60, 70))
    learnt = p.learn(p.panel.lengths)
    (start,) = fit_linear(learnt.store, p.every, learnt.stops, LAYOUT, [1.0], pooled=False, intercept=True)
    model = linear(start, None)
    phase = Phase(ClosedLoop(), SETTINGS)
    by_gradient.train_phase(
        p, learnt, model, phase, torch.tensor([1, 2]), Watch(History("x"), "final", stop_at=np.array([0, 5]))
    )
    assert torch.equal(model.weight[0], start.weight[0])
    assert not torch.equal(model.weight[1], start.weight[1])


def test_a_run_ends_when_its_time_is_up():
    history = History("x")
    fit(problem((60,)), phases=[Phase(ClosedLoop(), Settings(10_000, 4, 1e-4, time_limit=0.0))], history=history)
    assert {r.step for r in history.records} <= {0, 1}


def test_the_final_run_takes_the_steps_chosen_in_every_phase():
    """Not all steps of a phase that was followed by another."""
    history = History("x")
    phases = [Phase(OpenLoop(), SETTINGS), Phase(Curriculum(), SETTINGS)]
    result = fit(problem((60, 70, 80), pooled=True), mlp, phases, history=history)
    final = [r for r in history.records if r.run == "final"]
    starts = [i for i, r in enumerate(final) if r.step == 0] + [len(final)]
    taken = [final[b - 1].step for b in starts[1:]]
    assert taken == [s for s in result.steps[:, 0].tolist() if s > 0]


def test_a_series_that_cannot_be_judged_takes_every_step_whoever_its_neighbours_are():
    lengths, ids = (60, 70, 11), ["a", "b", "short"]
    whole = fit(problem(lengths, ids=ids))
    assert whole.steps[0, 2] == 20
    assert whole.n_judged.tolist() == [2, 2, 0]
    alone = fit(problem(lengths, ids=ids).take(np.array([2])))
    torch.testing.assert_close(weights(whole.model)[2:], weights(alone.model), rtol=1e-9, atol=1e-9)
    assert fit(problem(lengths, ids=ids), n_trials=1).steps[0, 2] == 0


def test_a_series_without_a_scale_takes_every_step():
    p = problem((60, 70))
    y = np.tile(np.arange(7.0), 10)
    p.panel.values[:60, 0] = y[:60]  # repeats itself every season: its seasonal-naive scale is 0
    result = fit(p)
    assert result.steps[0, 0] == 20
    assert np.isnan(result.start_error[0])


def test_one_pooled_series_can_show_that_training_helps():
    def spoilt(start, keys):
        return Linear(LAYOUT, start.weight * 0.2, start.bias)

    phases = [Phase(ClosedLoop(), Settings(60, 16, 0.03, looks=6))]
    assert fit(problem((120,), pooled=True), spoilt, phases, n_validation=4, n_trials=1).steps[0, 0] > 0


def test_the_run_that_holds_windows_out_chooses_its_ridge_without_them(monkeypatch):
    seen = []

    def spy(p, start):
        seen.append(p.panel.lengths.tolist())
        return RidgeChoice.fixed(1.0, p.panel.n_series)

    monkeypatch.setattr(by_gradient, "choose_ridge", spy)
    p = problem((60, 70))
    fit_by_gradient(
        p, np.ones(2), linear, [Phase(ClosedLoop(), SETTINGS)], n_validation=2, choose_again=True,
        random_state=0, history=History("x"),
    )  # fmt: skip
    assert seen == [[60 - 2 * H, 70 - 2 * H]]


@pytest.mark.parametrize("scope", ["local", "global"])
def test_a_perceptron_learns_from_a_loss_on_levels(scope):
    df = make_frame((60, 70))
    model = NARXForecaster(
        H, LAGS, model="mlp", scope=scope, training=Training(loss_space="level", batch_size=4), max_steps=3
    )
    assert np.isfinite(model.fit(df, mode="closed_loop").predict()["NARXForecaster"]).all()


def test_weights_are_an_average_that_forgets_the_start_fast_at_first():
    """Of the weights w0, w1, w2 the average is a1 = .1 w0 + .9 w1, then 2 / 11 a1 + 9 / 11 w2."""

    def after(steps, averaging, rate=0.01):
        settings = Settings(max_steps=steps, batch_size=6, learning_rate=rate, looks=1, averaging=averaging)
        return weights(fit(problem((60,)), phases=[Phase(OpenLoop(), settings)], n_validation=0).model)

    w0, w1, w2 = after(1, 0.0, 1e-12), after(1, 0.0), after(2, 0.0)
    a1 = 0.1 * w0 + 0.9 * w1
    torch.testing.assert_close(after(1, 0.98), a1, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(after(2, 0.98), 2 / 11 * a1 + 9 / 11 * w2, rtol=1e-9, atol=1e-10)
    # A smaller share than these is the one that is asked for.
    torch.testing.assert_close(after(1, 0.05), 0.05 * w0 + 0.95 * w1, rtol=1e-9, atol=1e-10)
