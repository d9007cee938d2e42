"""Huber's loss in closed form: against statsmodels, against reweighting of all rows, and where it had better not be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from statsmodels.robust.norms import HuberT
from statsmodels.robust.robust_linear_model import RLM

from tests.makers import as_it_stands
from tests.training.test_least_squares import make_store
from tsforce import Difference, Ensemble, NARXForecaster, NARXRegressor, Training
from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError
from tsforce.models import Polynomial
from tsforce.training.losses import multi_step_loss
from tsforce.training.solvers import lag_rows, robust
from tsforce.training.solvers.least_squares import fit_linear
from tsforce.training.solvers.robust import fit_huber

LAGS = (1, 2, 3)


def with_outliers(store, share=0.06, size=15.0, seed=0):
    """Put wild values of either sign into the series of a store."""
    rng = np.random.default_rng(seed)
    wild = torch.from_numpy(rng.random(len(store.values)) < share)
    store.values[wild] += torch.from_numpy(rng.choice([-size, size], int(wild.sum())))[:, None]
    return store


def rows_of_series(y, lags=LAGS):
    reach = max(lags)
    return np.column_stack([y[reach - lag : len(y) - lag] for lag in sorted(lags, reverse=True)]), y[reach:]


def series_of(store, stops):
    return [store.values[a : a + n, 0].numpy() for a, n in zip(store.indptr[:-1], stops, strict=True)]


def reweighted(parts, ridge, intercept, *, k=2.0, tolerance=1e-10, ridges=None):
    """Huber's loss by weighing all rows anew until nothing moves; each part has a scale of its own."""
    x, y = (np.concatenate(side) for side in zip(*parts, strict=True))
    part = np.repeat(np.arange(len(parts)), [len(own) for _, own in parts])
    w = np.ones(len(y))

    def solved(penalty):
        mean, centre = ((w @ x) / w.sum(), (w @ y) / w.sum()) if intercept else (0 * x[0], 0.0)
        std = np.sqrt((w @ (x - (w @ x) / w.sum()) ** 2) / w.sum())
        z = (x - mean) / std
        weight = np.linalg.solve(
            (z * w[:, None]).T @ z + penalty * np.eye(x.shape[1]), (z * w[:, None]).T @ (y - centre)
        )
        return weight / std, centre - mean @ (weight / std)

    for _ in range(500):
        weight, bias = solved(ridge)
        r = np.abs(y - x @ weight - bias)
        s = np.array([np.median(r[part == i]) / 0.6744897501960817 for i in range(len(parts))])[part]
        new = np.minimum(1, k * s / r)
        if np.abs(new - w).max() <= tolerance:
            break
        w = new
    return [solved(p) for p in ridges] if ridges else (weight, bias)


@pytest.mark.parametrize("intercept", [True, False])
def test_a_map_without_penalty_is_statsmodels_robust_linear_model(intercept):
    _, store, every, stops = make_store()
    with_outliers(store)
    (model,), _ = fit_huber(
        store, every, stops, LagLayout(LAGS), [0.0], threshold=2.0, pooled=False, intercept=intercept, tolerance=1e-10
    )
    plain = fit_linear(store, every, stops, LagLayout(LAGS), [0.0], pooled=False, intercept=intercept)[0]
    for i, y in enumerate(series_of(store, stops)):
        x, target = rows_of_series(y)
        x = np.column_stack([np.ones(len(x)), x]) if intercept else x
        found = RLM(target, x, M=HuberT(t=2.0)).fit(tol=1e-12, maxiter=500).params
        own = [float(model.bias[i, 0])] * intercept + model.weight[i, :, 0].tolist()
        np.testing.assert_allclose(own, found, rtol=1e-6, atol=1e-8)
        assert (plain.weight[i] - model.weight[i]).abs().max() > 1e-3


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("lags", [LAGS, (1, 6)])
def test_moments_of_which_outliers_are_taken_off_are_those_of_all_rows_weighed_anew(lags, pooled, intercept):
    _, store, every, stops = make_store()
    with_outliers(store)
    ridges = [1.0, 30.0, 300.0]
    models, _ = fit_huber(
        store, every, stops, LagLayout(lags), ridges, threshold=2.0, pooled=pooled, intercept=intercept, tolerance=1e-10
    )
    parts = [rows_of_series(y, lags) for y in series_of(store, stops)]
    for g, group in enumerate([parts] if pooled else [[part] for part in parts]):
        # The weights are those of the middle ridge.
        for model, (weight, bias) in zip(models, reweighted(group, 30.0, intercept, ridges=ridges), strict=True):
            np.testing.assert_allclose(model.weight[g, :, 0], weight, rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(model.bias[g, 0], bias, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kept", [2**28, 0])
def test_lag_vectors_and_stretches_of_series_say_the_same(monkeypatch, kept):
    _, store, every, stops = make_store()
    with_outliers(store)
    how = {"threshold": 2.0, "pooled": True, "intercept": True, "tolerance": 1e-10}
    (fast,), _ = fit_huber(store, every, stops, LagLayout(LAGS), [3.0], **how)
    monkeypatch.setattr(robust, "has_shifts", lambda *a: False)
    monkeypatch.setattr(lag_rows, "_KEPT_BYTES", kept)
    (slow,), _ = fit_huber(store, every, stops, LagLayout(LAGS), [3.0], **how)
    torch.testing.assert_close(fast.weight, slow.weight, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(fast.bias, slow.bias, rtol=1e-8, atol=1e-8)


def test_nothing_at_or_after_the_stops_is_read_and_the_same_comes_out_twice():
    _, store, every, _ = make_store()
    with_outliers(store)
    stops = np.array([50, 40, 70])
    how = {"threshold": 2.0, "pooled": False, "intercept": True}
    before = fit_huber(store, every, stops, LagLayout(LAGS), [1.0, 30.0], **how)[0]
    for i in range(3):
        store.values[store.indptr[i] + stops[i] : store.indptr[i + 1]] = float("nan")
    after = fit_huber(store, every, stops, LagLayout(LAGS), [1.0, 30.0], **how)[0]
    for a, b in zip(before, after, strict=True):
        assert torch.equal(a.weight, b.weight)
        assert torch.equal(a.bias, b.bias)


# ---- forecasters


def frame(*series):
    parts = [
        pd.DataFrame({"unique_id": f"s{i}", "ds": np.arange(len(y)), "y": np.asarray(y, dtype=float)})
        for i, y in enumerate(series)
    ]
    return pd.concat(parts, ignore_index=True)


def wild(rows, seed, *, size=40.0, level=50.0):
    rng = np.random.default_rng(seed)
    y = level + 8 * np.sin(2 * np.pi * np.arange(rows) / 7) + rng.normal(size=rows)
    return y + (rng.random(rows) < 0.04) * rng.choice([-size, size], rows)


def robust_narx(lags=7, horizon=5, **settings):
    return NARXForecaster(
        horizon, lags, **as_it_stands(**{"scope": "local", "mode": "open_loop", "loss": "huber"} | settings)
    )


def test_five_series_together_are_each_alone():
    df = frame(*(wild(90 + 10 * i, i) for i in range(5)))
    together = robust_narx().fit(df).predict()
    alone = pd.concat([robust_narx().fit(part).predict() for _, part in df.groupby("unique_id")])
    np.testing.assert_allclose(together["NARXForecaster"], alone["NARXForecaster"], rtol=1e-9)


def test_outliers_move_robust_forecasts_less():
    clean = 50 + 8 * np.sin(2 * np.pi * np.arange(205) / 7)
    rng = np.random.default_rng(3)
    y = clean + rng.normal(size=205) + (rng.random(205) < 0.04) * rng.choice([-40, 40], 205)
    y[190:200] = clean[190:200]
    found = {
        loss: np.abs(robust_narx(14, loss=loss).fit(frame(y[:200])).predict()["NARXForecaster"] - clean[200:]).mean()
        for loss in ("mse", "huber")
    }
    assert found["huber"] < 0.7 * found["mse"]


RNG = np.random.default_rng(0)
NOISELESS = 10 + 5 * np.sin(np.arange(120) / 3)


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize(
    ("y", "low", "high"),
    [
        pytest.param(NOISELESS, 4.9, 15.1, id="noiseless"),
        pytest.param(np.full(60, 7.0), 6.999, 7.001, id="constant"),
        pytest.param(np.where(RNG.random(150) < 0.25, RNG.poisson(4, 150), 0), 0.2, 6.0, id="intermittent"),
        pytest.param(np.where(np.arange(150) == 70, 1e6, wild(150, 0, size=0)), 30, 70, id="one of a million"),
    ],
)
def test_odd_series_end_in_a_finite_and_sensible_fit(y, low, high, scope):
    forecast = robust_narx(8, scope=scope).fit(frame(y)).predict()["NARXForecaster"]
    assert forecast.between(low, high).all(), forecast.tolist()


def test_without_noise_huber_is_least_squares():
    y = frame(NOISELESS)
    found = [robust_narx(3, loss=loss).fit(y).predict()["NARXForecaster"] for loss in ("huber", "mse")]
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_intermittent_demand_keeps_squares_and_says_so():
    y = np.where(RNG.random(200) < 0.3, RNG.poisson(5, 200), 0)
    model = robust_narx(5).fit(frame(y))
    squares = robust_narx(5, loss="mse").fit(frame(y))
    np.testing.assert_array_equal(model.predict()["NARXForecaster"], squares.predict()["NARXForecaster"])
    assert any("more than half of the values are equal" in note for note in model.history_.notes)


def test_rare_events_on_one_side_keep_squares_and_say_so():
    rng = np.random.default_rng(1)
    y = 20 + rng.normal(size=600) + 12 * (rng.random(600) < 0.06)
    model = robust_narx(3).fit(frame(y))
    squares = robust_narx(3, loss="mse").fit(frame(y))
    np.testing.assert_array_equal(model.predict()["NARXForecaster"], squares.predict()["NARXForecaster"])
    assert any("1 of 1 models" in note and "one side" in note for note in model.history_.notes)
    assert "huber" not in " ".join(squares.history_.notes)


def test_a_rare_promotion_that_an_input_tells_of_keeps_its_effect():
    rng = np.random.default_rng(2)
    promotion = np.zeros(303)
    promotion[rng.choice(297, 8, replace=False)] = 1
    promotion[300] = 1
    y = 10 + rng.normal(size=303) + promotion * np.where(rng.random(303) < 0.5, 5, 15)
    df = frame(y).assign(p=promotion)
    model = robust_narx(3, 3, future_exog=["p"], ridge=1.0).fit(df[:300])
    squares = robust_narx(3, 3, future_exog=["p"], ridge=1.0, loss="mse").fit(df[:300])
    found, wanted = (m.predict(future_df=df[300:].drop(columns="y"))["NARXForecaster"][0] for m in (model, squares))
    assert found == pytest.approx(wanted, abs=0.3)
    assert found > 17


def test_several_targets_have_weights_of_their_own(monkeypatch):
    monkeypatch.setitem(fit_huber.__kwdefaults__, "tolerance", 1e-10)
    df = frame(wild(150, 0)).assign(z=wild(150, 5, level=9.0))
    model = robust_narx(2, target_col=["y", "z"], ridge=2.0).fit(df)
    x = np.column_stack([df["y"][:-2], df["z"][:-2], df["y"][1:-1], df["z"][1:-1]])
    for c, name in enumerate("yz"):
        weight, _ = reweighted([(x, df[name].to_numpy()[2:])], 2.0, True)
        np.testing.assert_allclose(model.model_.weight[0, :, c], weight, atol=1e-6)


def test_a_series_without_a_row_of_its_own_joins_a_pooled_fit():
    df = frame(wild(120, 0), wild(8, 1))
    settings = {"scope": "global", "window_scaling": None, "target_transforms": [Difference(7)], "ridge": 1.0}
    both = robust_narx(5, **settings).fit(df).model_
    alone = robust_narx(5, **settings).fit(df[df["unique_id"] == "s0"]).model_
    torch.testing.assert_close(both.weight, alone.weight)


def test_the_threshold_is_public():
    df = frame(wild(150, 0))
    wide = robust_narx(training=Training(huber_threshold=1e9), ridge=1.0).fit(df).predict()
    squares = robust_narx(loss="mse", ridge=1.0).fit(df).predict()
    np.testing.assert_array_equal(wide["NARXForecaster"], squares["NARXForecaster"])
    with pytest.raises(ArgumentError, match="huber_threshold=0"):
        robust_narx(training=Training(huber_threshold=0)).fit(df)


@pytest.mark.parametrize("loss", ["mae", "smape"])
def test_a_closed_form_refuses_a_loss_that_it_does_not_have(loss):
    with pytest.raises(ArgumentError, match=rf"loss='{loss}': .*'mse' and 'huber'.*solver='adamw'"):
        robust_narx(loss=loss).fit(frame(wild(90, 0)))
    robust_narx(loss=loss, training=Training(solver="adamw"), max_steps=2).fit(frame(wild(90, 0)))


def test_adamw_measures_outliers_in_robust_scales_too():
    y, yhat = torch.zeros(1, 1, 5, 1), torch.tensor([1.0, -1.0, 1.0, 1.0, 100.0]).view(1, 1, 5, 1)
    limit = 2 * 1.482602218505602
    wanted = (4 * 0.5 + limit * (100 - 0.5 * limit)) / 5
    weight = torch.ones_like(y)
    assert multi_step_loss("huber", y, yhat, weight).item() == pytest.approx(wanted)
    # What an outlier is does not depend on units.
    assert multi_step_loss("huber", y, 1000 * yhat, weight).item() == pytest.approx(1e6 * wanted)
    # More than half of the errors 0: the mean size takes its place.
    few = torch.tensor([0.0, 0.0, 0.0, 1.0, 9.0]).view(1, 1, 5, 1)
    assert multi_step_loss("huber", y, few, weight).item() == pytest.approx((0.5 + 4 * (9 - 2)) / 5)


@pytest.mark.parametrize("scope", ["local", "global"])
def test_a_polynomials_weights_are_huber_s(scope):
    rng = np.random.default_rng(4)
    series = []
    for seed in range(2):
        y = np.zeros(220)
        for t in range(2, 220):
            y[t] = 0.6 * y[t - 1] - 0.2 * y[t - 2] + 0.3 * y[t - 1] ** 2 / (1 + abs(y[t - 1])) + rng.normal()
        series.append((1 + seed) * (y + (rng.random(220) < 0.05) * rng.choice([-20, 20], 220)))
    kind = Polynomial(degree=2, n_terms=3)
    model = robust_narx(2, model=kind, scope=scope, ridge=0.0, window_scaling=None).fit(frame(*series))
    squares = robust_narx(2, model=kind, scope=scope, ridge=0.0, window_scaling=None, loss="mse").fit(frame(*series))
    assert torch.equal(model.model_.indices, squares.model_.indices)
    assert not torch.allclose(model.model_.weight, squares.model_.weight, rtol=1e-2)
    assert any("terms were chosen by squares" in note for note in model.history_.notes)


def test_a_regressor_is_robust_in_its_outputs():
    rng = np.random.default_rng(5)
    u, y = rng.normal(size=(400, 1)), np.zeros(400)
    for t in range(1, 400):
        y[t] = 0.7 * y[t - 1] + u[t - 1, 0]
    bad = y + 0.01 * rng.normal(size=400) + (rng.random(400) < 0.03) * rng.choice([-9, 9], 400)
    found = {
        loss: NARXRegressor(1, 1, input_delay=1, mode="open_loop", loss=loss).fit(u, bad).score(u, y, skip=1)
        for loss in ("mse", "huber")
    }
    assert found["huber"] > found["mse"]


@pytest.mark.parametrize("mode", ["auto", "closed_loop", "curriculum"])
def test_training_on_own_outputs_starts_from_the_robust_map(mode):
    df = frame(wild(120, 0), wild(120, 1))
    model = robust_narx(mode=mode, max_steps=1, training=Training(learning_rate=1e-12)).fit(df)
    start = robust_narx().fit(df)
    np.testing.assert_allclose(model.predict()["NARXForecaster"], start.predict()["NARXForecaster"], rtol=0.05)


def test_an_ensemble_has_robust_members():
    df = frame(wild(120, 0), wild(150, 1))
    ensemble = Ensemble([robust_narx(7), robust_narx(7, target_transforms=[Difference(7)])], combine="median").fit(df)
    assert np.isfinite(ensemble.predict().iloc[:, -1]).all()
