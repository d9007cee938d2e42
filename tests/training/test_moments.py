"""Closed-loop training of linear maps on moments: against roll-outs of all rows, and where data are odd."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize

from tests.pairs import pairs
from tests.training.test_least_squares import make_store
from tsforce import Difference, Ensemble, Log, NARXForecaster, Training
from tsforce.dynamics.forcing import ClosedLoop, Curriculum
from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError
from tsforce.training.history import History
from tsforce.training.solvers import moments, roll_moments
from tsforce.training.solvers.least_squares import fit_linear
from tsforce.training.solvers.looks import Lesson, Watch
from tsforce.training.solvers.roll_moments import RollMoments, adjoint, coefficients
from tsforce.training.solvers.usable_windows import Cutoffs

HORIZON, LAGS = 5, (1, 2, 4)
STOPS = [55, 45, 70]


def make_lesson(*, pooled=False, scaling=None, forcing=None, lags=LAGS, **how):
    """A lesson, and of each group every window that counts: (past, newest first, truths up to the stop)."""
    _, store, every, stops = make_store(scaling=scaling, stops=STOPS, **how)
    first = np.full(len(every), store.first + max(lags) - 1)
    members = [every] if pooled else [every[[i]] for i in every]
    cutoffs = Cutoffs(store, members, [first[m] for m in members], [stops[m] - 2 for m in members], stops)
    keys = torch.arange(len(members))
    lesson = Lesson(cutoffs, HORIZON, forcing or ClosedLoop(), keys, "closed_loop")
    return lesson, windows_of(lesson)


def windows_of(lesson):
    cutoffs, found = lesson.cutoffs, []
    for own, first in zip(cutoffs.series, cutoffs.first_rows, strict=True):
        found.append([])
        for i, begin in zip(own, first, strict=True):
            for row in range(int(begin), STOPS[i] - 1):
                batch = cutoffs.store.batch(np.array([[i]]), np.array([[row]]), HORIZON)
                past = batch.past[0, 0, :, 0].flip(0)[: max(LAGS)].numpy()
                found[-1].append((past, batch.future[0, 0, : STOPS[i] - 1 - row, 0].numpy(), i))
    return found


def rolled(theta, past, steps):
    """A roll-out, step by step: weights of lags 1, 2, ... and a constant."""
    fed, said = list(past[::-1]), []
    for _ in range(steps):
        said.append(sum(w * fed[-1 - j] for j, w in enumerate(theta[:-1])) + theta[-1])
        fed.append(said[-1])
    return np.array(said)


def squared_errors(theta, windows):
    """Sums of squared errors over windows, step by step, and how many there are."""
    total, count = np.zeros(HORIZON), np.zeros(HORIZON)
    for past, truth, _ in windows:
        total[: len(truth)] += (truth - rolled(theta, past, len(truth))) ** 2
        count[: len(truth)] += 1
    return total, count


def some_theta(groups, lags=LAGS, seed=0):
    rng = np.random.default_rng(seed)
    theta = np.zeros((groups, max(lags) + 1))
    theta[:, [lag - 1 for lag in lags]] = rng.uniform(-0.6, 0.8, (groups, len(lags)))
    theta[:, -1] = rng.normal(size=groups)
    return theta


@pytest.mark.parametrize("at_once", [1, 2**26])
@pytest.mark.parametrize("scaling", [None, "mean_abs", "standard", "last"])
@pytest.mark.parametrize("pooled", [False, True])
def test_moments_tell_the_squares_of_roll_outs_over_all_windows_short_ones_too(monkeypatch, pooled, scaling, at_once):
    monkeypatch.setattr(roll_moments, "_CHUNK_BYTES", at_once)
    lesson, windows = make_lesson(pooled=pooled, scaling=scaling)
    theta = some_theta(len(windows))
    found = RollMoments(lesson, max(LAGS), torch.zeros(len(windows), dtype=torch.float64))
    errors, _ = found.errors(coefficients(torch.from_numpy(theta), HORIZON))
    for g, own in enumerate(windows):
        total, count = squared_errors(theta[g], own)
        np.testing.assert_allclose(errors[g], total, rtol=1e-9)
        np.testing.assert_array_equal(found.counts[g], count)


def test_an_origin_moves_the_constant_and_nothing_else():
    lesson, windows = make_lesson()
    theta = some_theta(3)
    origin = torch.tensor([5.0, -3.0, 100.0], dtype=torch.float64)
    moved = torch.from_numpy(theta.copy())
    moved[:, -1] += origin * (moved[:, :-1].sum(dim=1) - 1)
    errors, _ = RollMoments(lesson, max(LAGS), origin).errors(coefficients(moved, HORIZON))
    for g, own in enumerate(windows):
        np.testing.assert_allclose(errors[g], squared_errors(theta[g], own)[0], rtol=1e-8)


def test_gradients_are_those_of_finite_differences():
    lesson, windows = make_lesson()
    found = RollMoments(lesson, max(LAGS), torch.zeros(3, dtype=torch.float64))
    weights = torch.tensor([1.0, 0.5, 0.2, 2.0, 0.7], dtype=torch.float64)
    theta = torch.from_numpy(some_theta(3))
    a = coefficients(theta, HORIZON)
    gradient = adjoint(theta, a, 2 * weights[:, None] * found.errors(a)[1])
    for g, own in enumerate(windows):
        for j in range(theta.shape[1]):
            sides = []
            for sign in (1, -1):
                near = theta[g].numpy().copy()
                near[j] += sign * 1e-5
                sides.append(squared_errors(near, own)[0] @ weights.numpy())
            np.testing.assert_allclose(gradient[g, j], (sides[0] - sides[1]) / 2e-5, rtol=1e-6, atol=1e-4)


# ---- the solver


def open_loop(lesson, ridge, *, pooled=False, intercept=True, lags=LAGS):
    store = lesson.cutoffs.store
    every = np.arange(len(store.lengths))
    return fit_linear(store, every, np.array(STOPS), LagLayout(lags), [ridge], pooled=pooled, intercept=intercept)[0]


def trained(lesson, model, ridge, steps=200, *, intercept=True, **settings):
    n_groups = len(model.weight)
    moments.train(
        model, lesson, Watch(History(""), "final"), moments.Settings(max_steps=steps, **settings),
        moments.Held(np.full(n_groups, ridge), np.full(n_groups, intercept)),
    )  # fmt: skip
    return model


def theta_of(model, g, lags=LAGS):
    theta = np.zeros(max(lags) + 1)
    theta[[lag - 1 for lag in lags]] = model.weight[g, :, 0].detach().flip(0)
    theta[-1] = model.bias[g, 0]
    return theta


def penalty_of(windows, ridge, lags=LAGS):
    x = np.array([past for past, _, _ in windows])
    weights = np.zeros(max(lags) + 1)
    weights[[lag - 1 for lag in lags]] = ridge * x.var(axis=0)[[lag - 1 for lag in lags]]
    return weights


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("pooled", [False, True])
def test_closed_loop_is_the_minimum_of_roll_out_squares_and_the_penalty(pooled, intercept):
    lesson, windows = make_lesson(pooled=pooled)
    start = open_loop(lesson, 2.0, pooled=pooled, intercept=intercept)
    first = [theta_of(start, g) for g in range(len(windows))]
    model = trained(lesson, start, 2.0, intercept=intercept)
    free = [lag - 1 for lag in LAGS] + [max(LAGS)] * intercept
    for g, own in enumerate(windows):
        total, count = squared_errors(first[g], own)
        scale = total[0] / count[0] / (total / count).mean()
        penalty = penalty_of(own, 2.0)

        def loss(values, own=own, scale=scale, penalty=penalty):
            theta = np.zeros(max(LAGS) + 1)
            theta[free] = values
            total, count = squared_errors(theta, own)
            return count[0] * scale * (total / count).mean() + penalty @ theta**2

        best = minimize(loss, first[g][free], method="BFGS", options={"gtol": 1e-7})
        np.testing.assert_allclose(theta_of(model, g)[free], best.x, rtol=2e-4, atol=2e-4)
        assert loss(theta_of(model, g)[free]) <= best.fun * (1 + 1e-9)
        assert np.abs(best.x - first[g][free]).max() > 1e-3


def test_a_share_of_one_leaves_the_start_where_it_is():
    class Told(Curriculum):
        def ratio(self, moment):
            return 1.0

    lesson, _ = make_lesson(forcing=Told())
    start = open_loop(lesson, 3.0)
    before = start.weight.clone(), start.bias.clone()
    model = trained(lesson, start, 3.0, steps=5)
    torch.testing.assert_close(model.weight.detach(), before[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.bias.detach(), before[1], rtol=1e-8, atol=1e-8)


def huber_of(theta, windows, k=2.0):
    """Twice Huber's loss with a scale of each series and step: that of errors of a map."""
    sizes = {}
    for past, truth, i in windows:
        for h, error in enumerate(truth - rolled(theta, past, len(truth))):
            sizes.setdefault((i, h), []).append(abs(error))
    limits = {key: k * np.median(own) / 0.6744897501960817 for key, own in sizes.items()}

    def loss(other):
        total = np.zeros(HORIZON)
        for past, truth, i in windows:
            for h, error in enumerate(truth - rolled(other, past, len(truth))):
                c, size = limits[i, h], abs(error)
                total[h] += size**2 if size <= c else c * (2 * size - c)
        return total

    def clipped(other):
        total = np.zeros(HORIZON)
        for past, truth, i in windows:
            for h, error in enumerate(truth - rolled(other, past, len(truth))):
                total[h] += min(abs(error), limits[i, h]) ** 2
        return total

    return loss, clipped


@pytest.mark.parametrize("kept", [2**28, 0])
@pytest.mark.parametrize("pooled", [False, True])
def test_under_hubers_loss_it_is_the_minimum_of_that_of_roll_outs(monkeypatch, pooled, kept):
    monkeypatch.setattr(roll_moments, "_KEPT_BYTES", kept)
    lesson, windows = make_lesson(pooled=pooled)
    values = lesson.cutoffs.store.values
    values[torch.from_numpy(np.random.default_rng(1).random(len(values)) < 0.04)] += 15.0
    windows = windows_of(lesson)
    start = open_loop(lesson, 2.0, pooled=pooled)
    first = [theta_of(start, g) for g in range(len(windows))]
    squares = trained(lesson, open_loop(lesson, 2.0, pooled=pooled), 2.0)
    model = trained(lesson, start, 2.0, steps=400, huber_threshold=2.0)
    free = [lag - 1 for lag in LAGS] + [max(LAGS)]
    for g, own in enumerate(windows):
        loss, clipped = huber_of(first[g], own)
        _, count = squared_errors(first[g], own)
        mean = clipped(first[g]) / count
        scale, penalty = mean[0] / mean.mean(), penalty_of(own, 2.0)
        # What pulls at the start, one step ahead, is balanced by the penalty, wherever that pulls to.
        pull = numeric(lambda t, loss=loss: loss(t)[0], first[g])

        def whole(values, loss=loss, count=count, scale=scale, penalty=penalty, pull=pull, at=first[g]):
            theta = np.zeros(max(LAGS) + 1)
            theta[free] = values
            gap = theta - at
            return count[0] * scale * (loss(theta) / count).mean() + penalty @ gap**2 - pull @ gap

        best = minimize(whole, first[g][free], method="BFGS", options={"gtol": 1e-6})
        np.testing.assert_allclose(theta_of(model, g)[free], best.x, rtol=2e-3, atol=2e-3)
        assert np.abs(theta_of(squares, g) - theta_of(model, g)).max() > 1e-2


def numeric(function, at):
    found = np.zeros(len(at))
    for j in range(len(at)):
        sides = []
        for sign in (1, -1):
            near = at.copy()
            near[j] += sign * 1e-6
            sides.append(function(near))
        found[j] = (sides[0] - sides[1]) / 2e-6
    return found


# ---- forecasters


def frame(*series):
    parts = [
        pd.DataFrame({"unique_id": f"s{i}", "ds": np.arange(len(y)), "y": np.asarray(y, dtype=float)})
        for i, y in enumerate(series)
    ]
    return pd.concat(parts, ignore_index=True)


def walk(rows, seed):
    """A walk seen through noise: what a short map of one-step errors gets wrong."""
    rng = np.random.default_rng(seed)
    return 20 + np.cumsum(rng.normal(size=rows)) + 2 * rng.normal(size=rows)


def narx(lags=3, horizon=6, **settings):
    return NARXForecaster(horizon, lags, **{"scope": "local", "mode": "closed_loop", "ridge": 1.0} | settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "loss"), [("closed_loop", "mse"), ("curriculum", "auto"), ("curriculum", "huber"), ("auto", "auto")]
)
def test_five_series_together_are_each_alone(mode, loss):
    series = [walk(rows, seed) for seed, rows in enumerate((90, 120, 75, 200, 90))]
    together = narx(mode=mode, loss=loss).fit(frame(*series))
    assert "moments" in together.history_.solver
    for i, y in enumerate(series):
        alone = narx(mode=mode, loss=loss).fit(frame(y))
        torch.testing.assert_close(together.model_.weight[i], alone.model_.weight[0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(together.model_.bias[i], alone.model_.bias[0], rtol=1e-9, atol=1e-9)
        assert together.kept_mode_[f"s{i}"] == alone.kept_mode_["s0"]
    if mode == "curriculum":
        assert "curriculum" in together.kept_mode_.values()


def test_series_in_chunks_are_series_at_once(monkeypatch):
    df = frame(*(walk(90 + 10 * i, i) for i in range(5)))
    whole = narx().fit(df)
    monkeypatch.setattr(moments, "_CHUNK_BYTES", 2 * 8 * 16)
    parts = narx().fit(df)
    torch.testing.assert_close(whole.model_.weight, parts.model_.weight, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_a_short_map_of_a_noisy_walk_forecasts_better_trained_on_its_own_outputs(loss):
    df = frame(*(walk(300, i) for i in range(6)))
    opened = narx(1, 12, loss=loss, mode="open_loop").fit(df.groupby("unique_id").head(260))
    closed = opened.clone_unfitted().fit(df.groupby("unique_id").head(260), mode="closed_loop")
    cutoffs = list(range(260, 288, 4))
    truth = df.set_index(["unique_id", "ds"])["y"]
    errors = []
    for model in (opened, closed):
        found = model.predict_at(df, cutoffs)
        wanted = truth.loc[list(zip(found["unique_id"], found["ds"], strict=True))].to_numpy()
        errors.append(np.abs(found["NARXForecaster"] - wanted).mean())
    assert errors[1] < 0.9 * errors[0]


def settled(rows, seed):
    """What a map of two lags gets right one step ahead, and so at every step."""
    noise, y = np.random.default_rng(seed).normal(size=rows + 50), np.zeros(rows + 50)
    for t in range(2, len(y)):
        y[t] = 0.9 * y[t - 1] - 0.4 * y[t - 2] + noise[t]
    return 10 + y[50:]


@pytest.mark.parametrize("mode", ["closed_loop", "curriculum", "auto"])
def test_of_maps_that_open_loop_gets_right_hardly_any_leave_it(mode):
    df = frame(*(settled(60, seed) for seed in range(60)))
    kept = narx(2, mode=mode, loss="mse").fit(df).kept_mode_
    # Where every lower look counted, 37 of them did. Of one in forty, 5 or more of 60 are rarer than one in fifty.
    assert sum(own != "open_loop" for own in kept.values()) <= 4


def test_series_that_spare_no_two_windows_keep_the_start_unless_none_are_held_out():
    df = frame(walk(14, 0), walk(17, 1), walk(300, 2))
    opened = narx(1, mode="open_loop", loss="mse").fit(df)
    model = narx(1, loss="mse").fit(df)
    assert model.kept_mode_ == {"s0": "open_loop", "s1": "open_loop", "s2": "closed_loop"}
    own, open_loop = (m.predict()["NARXForecaster"].to_numpy().reshape(3, -1) for m in (model, opened))
    np.testing.assert_allclose(own[:2], open_loop[:2], rtol=1e-9)
    assert not np.allclose(own[2], open_loop[2], rtol=1e-3)
    short = df[df["unique_id"] != "s2"]
    stayed = narx(1, loss="mse").fit(short)
    assert "closed_loop: no model has two validation windows" in stayed.history_.notes[-1]
    blind = narx(1, loss="mse", training=Training(validation=False)).fit(short)
    assert set(blind.kept_mode_.values()) == {"closed_loop"}
    assert not np.allclose(blind.predict()["NARXForecaster"], own[:2].ravel(), rtol=1e-3)


ODD = {
    "noiseless": np.tile([1.0, 4.0, 2.0, 7.0, 3.0], 20),
    "constant": np.full(100, 5.0),
    "intermittent": np.where(np.arange(100) % 7 == 3, 12.0, 0.0) + 0.0 * np.arange(100),
    "outlier": np.where(np.arange(100) == 40, 1e6, walk(100, 3)),
    "level": 1e9 + walk(100, 4),
}


@pytest.mark.parametrize("loss", ["auto", "mse", "huber"])
@pytest.mark.parametrize(("mode", "odd"), pairs(["closed_loop", "curriculum"], list(ODD)))
def test_odd_series_end_in_finite_and_sensible_forecasts(odd, mode, loss):
    y = ODD[odd]
    model = narx(5, 6, mode=mode, loss=loss).fit(frame(y, walk(100, 9)))
    found = model.predict()["NARXForecaster"].to_numpy()[:6]
    usual = np.delete(y, 40)
    spread = max(np.ptp(usual), 1e-6 * np.abs(usual).max())
    # Squares believe an outlier: they forecast a mean that it is part of.
    high = usual.max() if loss == "huber" else max(usual.max(), 1.5 * y.mean())
    assert np.isfinite(found).all()
    assert found.min() >= usual.min() - spread
    assert found.max() <= high + spread
    if len(set(y)) == 5:
        np.testing.assert_allclose(found, np.tile(y[:5], 2)[:6], atol=0.5)


def test_more_than_half_of_the_values_equal_keep_squares():
    rare = np.where(np.random.default_rng(0).random(150) < 0.2, 10.0, 0.0)
    robust, plain = (narx(4, 4, loss=loss).fit(frame(rare)) for loss in ("huber", "mse"))
    torch.testing.assert_close(robust.model_.weight, plain.model_.weight, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("scope", ["local", "global"])
def test_nothing_after_the_stops_is_read_and_the_same_comes_out_twice(scope):
    df = frame(walk(90, 0), walk(110, 1))
    cut = df.groupby("unique_id").head(80)
    first, again = (narx(scope=scope).fit(cut) for _ in range(2))
    assert torch.equal(first.model_.weight, again.model_.weight)
    # Held-out windows choose among looks, and change nothing of the run that leads to them.
    other = cut.copy()
    last = other["ds"] >= 80 - 4 * 6
    other.loc[last, "y"] *= 1.5
    losses = [narx(scope=scope, max_steps=4).fit(data).history_.frame for data in (cut, other)]
    own = [part.loc[part["run"] == "choose", "loss"].to_numpy()[1:] for part in losses]
    np.testing.assert_array_equal(*own)
    assert np.isfinite(own[0]).all()


def test_history_shows_both_errors_and_the_share_of_truth_at_every_look():
    model = narx(mode="curriculum", max_steps=20).fit(frame(walk(150, 0), walk(150, 1)))
    looks = model.history_.frame.query("run == 'choose'")
    assert len(looks) > 5
    assert np.isfinite(looks[["one_step", "closed_loop"]].to_numpy()).all()
    np.testing.assert_allclose(looks["forcing_ratio"], np.clip(1 - looks["step"] / 12, 0, 1), atol=0.1)


def test_a_start_that_no_look_betters_is_kept_to_the_bit():
    df = frame(*(walk(100, i) for i in range(4)))
    model = narx(12, mode="closed_loop", training=Training(validation=4)).fit(df)
    stayed = [i for i in range(4) if model.kept_mode_[f"s{i}"] == "open_loop"]
    opened = narx(12, mode="closed_loop", max_steps=1, training=Training(validation=4)).fit(df)
    for i in stayed:
        assert opened.kept_mode_[f"s{i}"] != "open_loop" or torch.equal(opened.model_.weight[i], model.model_.weight[i])


@pytest.mark.parametrize("transforms", [[Log(), Difference(7)], [Difference(1)], []])
def test_an_ensemble_of_maps_trains_each_on_moments(transforms):
    df = frame(walk(120, 0), walk(120, 1))
    members = {"a": narx(target_transforms=transforms), "b": narx(7, target_transforms=transforms)}
    found = Ensemble(members).fit(df).predict()
    assert np.isfinite(found["Ensemble"]).all()


REFUSED = {
    "model": ({"model": "mlp"}, "model='mlp'"),
    "mode": ({"mode": "open_loop"}, "mode='open_loop'"),
    "policy": ({"mode": Curriculum(direction="increasing")}, "Curriculum"),
    "loss": ({"loss": "mae"}, "loss='mae'"),
    "rate": ({"training": Training(solver="moments", learning_rate=0.1)}, "learning_rate"),
    "batch": ({"training": Training(solver="moments", batch_size=8)}, "batch_size"),
    "level": ({"training": Training(solver="moments", loss_space="level")}, "loss_space='level'"),
    "calendar": ({"calendar": ["dayofweek"]}, "inputs"),
}


@pytest.mark.parametrize(("settings", "words"), REFUSED.values(), ids=REFUSED)
def test_what_moments_do_not_do_is_refused_where_they_are_asked_for_and_left_to_adamw_else(settings, words):
    df = frame(walk(60, 0))
    df["ds"] = pd.date_range("2024-01-01", periods=60)
    settings = {"training": Training(solver="moments")} | settings
    with pytest.raises(ArgumentError, match=rf"solver='moments'.*{words}.*solver='auto'"):
        narx(**settings).fit(df)
    chosen = settings["training"]
    left = narx(**settings | {"max_steps": 1, "training": Training(**vars(chosen) | {"solver": "auto"})}).fit(df)
    assert "moments" not in left.history_.solver
