"""Priors of linear maps: what they are at an infinite penalty, at none, and between."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from statsmodels.tsa.holtwinters import SimpleExpSmoothing

from tests.makers import make_frame
from tests.training.test_least_squares import make_store
from tsforce import Baseline, Difference, Log, MeanScale, NARXForecaster
from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError
from tsforce.training.solvers import gram as gram_module
from tsforce.training.solvers import priors
from tsforce.training.solvers.gram import accumulate, accumulate_rows
from tsforce.training.solvers.least_squares import fit_linear
from tsforce.training.solvers.priors import Prior

MUCH = 1e13


def long_frame(n_series=3, rows=80, season=4, seed=0, level=50.0):
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    values = [
        level * (1 + i) + 5 * np.sin(2 * np.pi * t / season) + rng.normal(size=rows).cumsum() for i in range(n_series)
    ]
    return pd.DataFrame(
        {"unique_id": np.repeat([f"s{i}" for i in range(n_series)], rows), "ds": np.tile(t, n_series),
         "y": np.concatenate(values)}
    )  # fmt: skip


def model(prior, lags=9, ridge=MUCH, **settings):
    settings = {"scope": "local", "intercept": False, "season_length": 4, "mode": "open_loop"} | settings
    return NARXForecaster(6, lags, prior=prior, ridge=ridge, alias="y_hat", **settings)


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("transforms", [(), (MeanScale(),), (Difference(1),), (MeanScale(), Difference(1))])
@pytest.mark.parametrize("scaling", [None, "mean_abs", "standard", "last"])
@pytest.mark.parametrize("kind", ["naive", "seasonal_naive"])
def test_under_an_infinite_penalty_a_map_is_its_prior(kind, scaling, transforms, scope):
    df = long_frame()
    made = model(kind, window_scaling=scaling, target_transforms=list(transforms), scope=scope)
    differenced = any(isinstance(t, Difference) for t in transforms)
    if differenced and scaling in ("last", "standard"):
        with pytest.raises(ArgumentError, match=re.escape("use window_scaling=None")):
            made.fit(df)
        made.set_params(window_scaling=None)  # what the message names
    found = made.fit(df).predict()
    known = Baseline(kind, horizon=6, season_length=4).fit(df).predict()
    np.testing.assert_allclose(found["y_hat"], known[kind], rtol=1e-6)


@pytest.mark.parametrize("transforms", [(), (Difference(1),), (Log(),)])
def test_smoothing_without_a_season_is_simple_exponential_smoothing(monkeypatch, transforms):
    monkeypatch.setattr(priors, "_THETAS", (0.6,))
    df = long_frame(n_series=1, rows=150, season=7)
    # 0.6 to the power of 60 is 5e-14: what is cut off, and the first level, do not count.
    found = model("smoothing", 60, season_length=1, target_transforms=list(transforms)).fit(df).predict()["y_hat"]
    y = df["y"].to_numpy()
    y = np.log(y) if transforms == (Log(),) else y
    known = SimpleExpSmoothing(y, initialization_method="known", initial_level=y[0]).fit(
        smoothing_level=0.4, optimized=False
    )
    known = known.forecast(6)
    np.testing.assert_allclose(found, np.exp(known) if transforms == (Log(),) else known, rtol=1e-8)


@pytest.mark.parametrize("transforms", [(), (Difference(1),), (Difference(4),), (Difference(4), Difference(1))])
def test_smoothing_with_a_season_is_the_airline_model(monkeypatch, transforms):
    theta, seasonal, m = 0.5, 0.4, 4
    monkeypatch.setattr(priors, "_THETAS", (theta,))
    monkeypatch.setattr(priors, "_SEASONAL", (seasonal,))
    df = long_frame(n_series=1, rows=300)
    found = model("seasonal_smoothing", 120, target_transforms=list(transforms)).fit(df).predict()["y_hat"]
    # (1 - B)(1 - B^m) y = (1 - theta B)(1 - Theta B^m) e, errors before the first rows and after the last ones 0.
    y = [*df["y"], *[np.nan] * 6]
    e = [0.0] * len(y)
    for t in range(m + 1, len(y)):
        told = y[t - 1] + y[t - m] - y[t - m - 1] - theta * e[t - 1] - seasonal * e[t - m]
        told += theta * seasonal * e[t - m - 1]
        if np.isnan(y[t]):
            y[t] = told
        e[t] = y[t] - told
    np.testing.assert_allclose(found, y[-6:], rtol=1e-7)


@pytest.mark.parametrize("lags", [5, 9, [1, 2, 4, 5], [1, 4, 5, 8, 9]])
def test_weights_cut_to_few_lags_continue_what_smoothing_continues(lags):
    t = np.arange(40)
    df = pd.DataFrame({"ds": t, "y": 10.0 + 3 * t + np.tile([0.0, 8.0, -5.0, -3.0], 10)})
    found = model("seasonal_smoothing", lags, ridge=30.0).fit(df).predict()["y_hat"]
    ahead = np.arange(40, 46)
    np.testing.assert_allclose(found, 10.0 + 3 * ahead + np.tile([0.0, 8.0, -5.0, -3.0], 2)[:6], rtol=1e-9)


@pytest.mark.parametrize("kind", ["naive", "seasonal_naive", "smoothing", "seasonal_smoothing", "pooled"])
@pytest.mark.parametrize("intercept", [True, False])
def test_without_a_penalty_every_prior_is_least_squares(kind, intercept):
    df = long_frame()
    found = model(kind, 5, ridge=0.0, intercept=intercept).fit(df).predict()["y_hat"]
    plain = model("zero", 5, ridge=0.0, intercept=intercept).fit(df).predict()["y_hat"]
    np.testing.assert_allclose(found, plain, rtol=1e-7)


def test_the_penalty_is_of_the_way_from_the_prior_and_grows_away_from_lag_one_and_the_season():
    _, store, every, stops = make_store()
    layout, ridge = LagLayout((1, 2, 3, 4, 5, 6)), 20.0
    prior = Prior("naive", layout, 4, decay=1.5)
    (found,) = fit_linear(store, every, stops, layout, [ridge], pooled=False, intercept=True, prior=prior)
    for g, stop in enumerate(stops):
        y = store.values[store.indptr[g] : store.indptr[g] + stop, 0].numpy()
        x = np.stack([y[i : len(y) - 6 + i] for i in range(6)], axis=1)
        x, y = x - x.mean(axis=0), y[6:] - y[6:].mean()
        std, aim = x.std(axis=0), np.array([0, 0, 0, 0, 0, 1.0])
        away = np.array([2, 1, 0, 1, 1, 0])  # lags 6, 5, 4, 3, 2, 1 from the nearest of 1 and 4
        penalty = np.diag(np.sqrt(ridge * (1.0 + away) ** 1.5) * std)
        # Rows that say "the prior", as many times as the penalty says.
        known, *_ = np.linalg.lstsq(np.vstack([x, penalty]), np.concatenate([y, penalty @ aim]), rcond=None)
        np.testing.assert_allclose(found.weight[g, :, 0], known, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("held", [0.3, 2.0])
@pytest.mark.parametrize("ridge", [20.0, 0.0])
@pytest.mark.parametrize("collinear", [False, True])
def test_a_penalty_of_the_intercept_is_rows_at_the_level_that_say_no_drift(held, ridge, collinear):
    rng = np.random.default_rng(5)
    y = 300 + 0.5 * np.arange(60) + rng.normal(size=60)
    if collinear:  # which moments cannot tell apart, so that a triangle of rows is taken
        y = 300 + 0.5 * np.arange(60) + 1e-7 * rng.normal(size=60)
    df = pd.DataFrame({"ds": np.arange(60), "y": y})
    fitted = model("naive", 2, ridge=ridge, intercept=held, season_length=1).fit(df)
    x, target = np.stack([y[:-2], y[1:-1]], axis=1), y[2:]
    level, std = y.mean(), x.std(axis=0)
    design = np.column_stack([x - level, np.ones(58)])
    penalty = np.diag([*np.sqrt(ridge) * std, np.sqrt(held * 58)])
    aim = np.array([0.0, 1.0, 0.0])
    rows, told = np.vstack([design, penalty]), np.concatenate([target - level, penalty @ aim])
    known, *_ = np.linalg.lstsq(rows, told, rcond=None)
    np.testing.assert_allclose(fitted.model_.weight[0, :, 0], known[:2], rtol=1e-4, atol=1e-6)
    constant = float(fitted.model_.bias[0, 0]) - level * (1 - float(fitted.model_.weight.sum()))
    np.testing.assert_allclose(constant, known[2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("number", "flag"), [(0, True), (0.0, True), (1e13, False)])
def test_an_intercept_without_a_penalty_is_free_and_with_an_infinite_one_adds_nothing(number, flag):
    df = long_frame()
    found = model("naive", 4, intercept=number).fit(df).predict()["y_hat"]
    known = model("naive", 4, intercept=flag).fit(df).predict()["y_hat"]
    np.testing.assert_allclose(found, known, rtol=1e-6)


@pytest.mark.parametrize("intercept", [-1.0, np.nan, "no", np.inf])
def test_an_intercept_is_a_flag_or_a_penalty(intercept):
    with pytest.raises(ArgumentError, match="intercept="):
        model("naive", 4, intercept=intercept).fit(long_frame())


def test_short_series_choose_their_penalty_together_and_long_ones_by_themselves():
    rng = np.random.default_rng(2)
    walks = [
        pd.DataFrame({"unique_id": f"w{i}", "ds": np.arange(34), "y": rng.normal(size=34).cumsum()}) for i in range(20)
    ]
    t = np.arange(400)
    wave = pd.DataFrame({"unique_id": "wave", "ds": t, "y": 9 * np.sin(t / 3) + 0.1 * rng.normal(size=400)})
    chosen = model("naive", 8, ridge="auto", season_length=1).fit(pd.concat([*walks, wave])).ridge_
    chosen = chosen.set_index("unique_id")["ridge"]
    assert chosen["wave"] < 100
    assert (chosen.drop("wave") >= 100).mean() > 0.7
    alone = model("zero", 8, ridge="auto", season_length=1).fit(pd.concat([*walks, wave])).ridge_
    assert alone["ridge"].nunique() > chosen.nunique()


def test_series_together_are_series_alone():
    df = long_frame(5, 60)
    together = model("smoothing", 6, ridge=40.0).fit(df).predict()
    for name, own in df.groupby("unique_id"):
        alone = model("smoothing", 6, ridge=40.0).fit(own).predict()["y_hat"]
        np.testing.assert_allclose(together.loc[together["unique_id"] == name, "y_hat"], alone, rtol=1e-9)


def test_pooled_with_one_series_is_that_series():
    df = long_frame(1, 60)
    found = model("pooled", 5, intercept=True).fit(df).predict()["y_hat"]
    known = model("zero", 5, ridge=0.0, scope="global", window_scaling=None, intercept=True).fit(df).predict()["y_hat"]
    np.testing.assert_allclose(found, known, rtol=1e-6)


def test_pooled_is_the_map_of_all_rows_each_series_in_its_own_unit():
    _, store, every, stops = make_store()
    layout = LagLayout((1, 2, 3))
    how = {"pooled": False, "intercept": True, "prior": Prior("pooled", layout, 1)}
    (found,) = fit_linear(store, every, stops, layout, [MUCH], **how)
    rows = []
    for g, stop in enumerate(stops):
        y = store.values[store.indptr[g] : store.indptr[g] + stop, 0].numpy()
        own = np.stack([y[i : len(y) - 3 + i] for i in range(4)], axis=1)
        rows.append((own - own.mean(axis=0)) / own[:, -1].std())
    x = np.concatenate(rows)
    known, *_ = np.linalg.lstsq(x[:, :-1], x[:, -1], rcond=None)
    for g in every:
        np.testing.assert_allclose(found.weight[g, :, 0], known, rtol=1e-6)


def test_inputs_are_pulled_to_zero_and_targets_to_themselves():
    df = long_frame(2, 60)
    rng = np.random.default_rng(1)
    df["z"], df["x"] = rng.normal(size=120).cumsum() + 30, rng.normal(size=120)
    both = model("naive", 3, target_col=["y", "z"], past_exog=["x"]).fit(df)
    found = both.predict()
    for target in ("y", "z"):
        last = df.groupby("unique_id")[target].last().repeat(6).to_numpy()
        np.testing.assert_allclose(found[f"y_hat-{target}"], last, rtol=1e-6)


def test_an_input_keeps_its_say_where_lags_are_held_to_smoothing():
    rng = np.random.default_rng(4)
    t = np.arange(200)
    df = pd.DataFrame({"ds": t, "x": rng.normal(size=200)})
    df["y"] = 50 + rng.normal(size=200).cumsum() + 5 * df["x"]
    fitted = NARXForecaster(6, 4, future_exog=["x"], season_length=1, mode="open_loop").fit(df[:190])
    assert fitted.prior_ == "auto"
    ahead = df[190:196].drop(columns="y").assign(x=[2.0, -2.0] * 3)
    found = fitted.predict(future_df=ahead)["NARXForecaster"].to_numpy()
    assert np.diff(found)[::2].mean() == pytest.approx(-20, abs=5)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_losses_share_the_prior(loss):
    df = long_frame()
    found = model("seasonal_naive", 5, loss=loss).fit(df).predict()["y_hat"]
    known = Baseline("seasonal_naive", horizon=6, season_length=4).fit(df).predict()["seasonal_naive"]
    np.testing.assert_allclose(found, known, rtol=1e-6)


def test_a_large_level_costs_no_digits():
    df = long_frame(2, 60)
    near = model("smoothing", 6, ridge=10.0, intercept=True).fit(df).predict()["y_hat"]
    far = model("smoothing", 6, ridge=10.0, intercept=True).fit(df.assign(y=df["y"] + 1e7)).predict()["y_hat"]
    np.testing.assert_allclose(far - 1e7, near, rtol=1e-4)


@pytest.mark.parametrize("kind", ["naive", "smoothing"])
def test_seven_rows_are_enough_near_the_prior(kind):
    df = pd.DataFrame({"ds": np.arange(7), "y": [10.0, 12.0, 11.0, 13.0, 14.0, 13.0, 15.0]})
    found = model(kind, 3, ridge=100.0, season_length=1, window_scaling="last").fit(df).predict()["y_hat"]
    # Without a constant it goes on from near the last value.
    assert (np.abs(found - 15.0) < 4.0).all()


def test_a_choice_of_ridge_may_end_at_the_prior_itself():
    rng = np.random.default_rng(3)
    df = pd.DataFrame({"ds": np.arange(60), "y": rng.normal(size=60).cumsum()})
    fitted = model("naive", 12, ridge="auto", season_length=1).fit(df)
    assert fitted.ridge_["ridge"].iloc[0] >= 100.0
    assert {"error_at_3", "error_at_10000", "error_at_1e+06"} <= set(fitted.ridge_.columns)
    assert "error_at_10000" not in model("zero", 3, ridge="auto", season_length=1).fit(df).ridge_.columns


@pytest.mark.parametrize(
    ("settings", "message", "mend"),
    [
        (
            {"prior": "naive", "target_transforms": [Difference(4)]},
            "leave that difference out",
            {"target_transforms": []},
        ),
        ({"prior": "seasonal_smoothing", "lags": 3}, "cannot be had from lags", {"lags": 5}),
        ({"prior": "seasonal_naive", "lags": [1, 2, 3]}, "cannot be had from lags", {"lags": [1, 2, 3, 4]}),
        ({"prior": "naive", "model": "polynomial", "lags": 2}, "are for linear maps", {"prior": "zero"}),
        ({"prior": "ridge"}, "prior='ridge'", {"prior": "zero"}),
    ],
)
def test_what_does_not_go_with_a_prior_is_refused_and_the_repair_works(settings, message, mend):
    df = make_frame((60, 70))
    lags = settings.pop("lags", 5)
    made = model(settings.pop("prior"), lags, **settings)
    with pytest.raises(ArgumentError, match=re.escape(message)):
        made.fit(df)
    assert len(made.set_params(**mend).fit(df).predict()) == 12


def test_nothing_after_a_cutoff_is_read():
    df = long_frame(2, 60)
    late = df["ds"] >= 48
    spoilt = df.assign(y=df["y"].where(~late, 1e6))
    from tsforce import backtest

    kept, other = (
        backtest(model("smoothing", 6, ridge="auto"), frame, cutoffs=[47]).frame["y_hat"] for frame in (df, spoilt)
    )
    assert (kept.to_numpy() == other.to_numpy()).all()


def test_moments_of_what_a_map_leaves_are_those_of_its_residuals():
    _, store, every, stops = make_store()
    layout = LagLayout((1, 2))
    gram = accumulate(store, every, stops, layout, pooled=False, intercept=True)
    weight = torch.tensor([[0.3], [0.6]], dtype=torch.float64).expand(len(every), 2, 1)
    less = gram.less(weight)
    for g, stop in enumerate(stops):
        y = store.values[store.indptr[g] : store.indptr[g] + stop, 0].numpy()
        residual = y[2:] - 0.3 * y[:-2] - 0.6 * y[1:-1]
        centre = float(less.y_origin[g, 0])
        np.testing.assert_allclose(less.y_sum[g, 0], (residual - centre).sum(), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(less.yy[g, 0], ((residual - centre) ** 2).sum(), rtol=1e-8)


def level_rows(store, g, stop, lags, centre):
    """Return lag vectors and targets of a series as they stand, less a constant."""
    y = store.values[store.indptr[g] : store.indptr[g] + stop, 0].numpy() - centre
    rows = np.arange(max(lags), stop)
    return y[rows[:, None] - np.array(lags[::-1])], y[rows]


@pytest.mark.parametrize("spoilt", [0.0, 7.0])
def test_products_read_the_lower_triangle_alone_and_are_those_of_rows(spoilt):
    _, store, every, stops = make_store()
    gram = accumulate(store, every, stops, LagLayout((1, 2, 5)), pooled=False, intercept=True)
    gram = replace(gram, xx=gram.xx.tril() + spoilt * torch.ones_like(gram.xx).triu(1))
    weight = torch.randn(3, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for g, stop in enumerate(stops):
        x, _ = level_rows(store, g, stop, (1, 2, 5), float(gram.y_origin[g, 0]))
        np.testing.assert_allclose(gram.times(weight)[g], x.T @ x @ weight[g].numpy(), rtol=1e-9)


def test_moments_about_other_origins_are_those_of_rows_moved():
    _, store, every, stops = make_store()
    gram = accumulate(store, every, stops, LagLayout((1, 2)), pooled=False, intercept=True)
    moved = gram.about(gram.x_origin - torch.tensor([3.0, -2.0]), gram.y_origin + 1.5)
    for g, stop in enumerate(stops):
        x, y = level_rows(store, g, stop, (1, 2), float(gram.y_origin[g, 0]))
        x, y = x + np.array([3.0, -2.0]), y - 1.5
        np.testing.assert_allclose(np.tril(moved.xx[g]), np.tril(x.T @ x), rtol=1e-9)
        np.testing.assert_allclose(moved.xy[g, :, 0], x.T @ y, rtol=1e-9)
        np.testing.assert_allclose(moved.yy[g, 0], y @ y, rtol=1e-9)


@pytest.mark.parametrize(("pieces", "moments"), [(1, accumulate), (2**40, accumulate), (1, accumulate_rows)])
def test_what_all_series_tell_a_prior_is_what_their_rows_tell(pieces, moments, monkeypatch):
    # Smoothings and drifts, by residuals of every candidate; some groups at a time and all at once.
    monkeypatch.setattr(gram_module, "_CACHED_BYTES", pieces)
    _, store, every, stops = make_store((60, 45, 80), reach=9)
    layout = LagLayout(tuple(range(1, 10)))
    prior = Prior.of("auto", layout, 4, (), None, held=None)
    gram = moments(store, every, stops, layout, pooled=False, intercept=True)
    told, candidates = prior.told_by([gram]), prior._candidates.numpy()
    logs, clear = np.zeros(len(candidates)), []
    for g, stop in enumerate(stops):
        x, y = level_rows(store, g, stop, layout.lags, float(gram.y_origin[g, 0]))
        left = y - candidates @ x.T
        own = len(y) * np.log(left.var(axis=1) / y.var())
        logs += own
        own[9:] -= np.log(0.75) * (len(y) + 20)
        residual = left[own.argmin()]
        clear.append(min(residual.mean() ** 2 / (residual.var() / (len(y) - 3)), 4.0))
    np.testing.assert_allclose(told["logs"][:, 0], logs, rtol=1e-9)
    np.testing.assert_allclose(told["squares"], sum(clear), rtol=1e-8)
    assert float(told["rows"]) == (stops - 9).sum()
