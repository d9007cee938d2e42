"""Strategies with a map for each step, from scratch beside them; judged like any forecaster."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from tests.makers import as_it_stands, make_frame, wreck_after
from tests.pairs import pairs
from tsforce import Baseline, Difference, Forecaster, Log, NARXForecaster, Training, compare
from tsforce.errors import ArgumentError, HorizonWarning, SeriesTooShortError
from tsforce.lag_transforms import ExponentiallyWeightedMean, RollingMean, RollingStd
from tsforce.training.solvers.priors import _steps_later

H = 4
TREE = DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
SETTINGS = {
    "linear": {"scope": "local"},
    "auto": {},
    "pooled": {"scope": "global"},
    "relative": {"scope": "global", "window_scaling": "last"},
    "scaled windows": {"scope": "global", "window_scaling": "standard"},
    "differences": {"scope": "local", "target_transforms": [Log(), Difference(7)]},
    "features": {"scope": "local", "lag_transforms": {1: [RollingMean(5), ExponentiallyWeightedMean(0.3)]}},
    "huber": {"scope": "local", "loss": "huber"},
    "tree": {"model": TREE},
}
OF_EACH_STEP = ("direct", "dirrec", "rectify")
every_one = pytest.mark.parametrize("strategy", OF_EACH_STEP)
both = pytest.mark.parametrize("strategy", ["direct", "dirrec"])


def make(name, horizon=H, **more):
    return NARXForecaster(horizon, 3, **({"strategy": "direct"} | SETTINGS[name] | more))


def frame():
    return make_frame((60, 50, 55))


def own(strategy, fed):
    """Return what a map reads of the steps between the cutoff and its own."""
    return list(fed) if strategy == "dirrec" else []


@both
@pytest.mark.parametrize("features", [False, True])
def test_each_step_is_scikit_learns_ridge_on_its_own_rows(features, strategy):
    df = make_frame((60,)).assign(price=lambda d: np.cos(d["ds"] ** 2))
    y, price = df["y"].to_numpy(), df["price"].to_numpy()
    series = pd.Series(y)
    ewm, std = series.ewm(alpha=0.3, adjust=False).mean(), series.rolling(5).std()
    planned = np.array([0.3, -0.2, 0.9, 0.1])
    want = []
    reach = 5 if features else 3
    for h in range(1, H + 1):

        def row(t, fed, h=h):
            """What is known at row t of the step h later."""
            told = price[t + h] if t + h < len(y) else planned[t + h - len(y)]
            extra = [std[t], ewm[t]] if features else []
            return [*y[t - 2 : t + 1], *own(strategy, fed), *extra, told]

        x = np.array([row(t, y[t + 1 : t + h]) for t in range(reach - 1, len(y) - h)])
        scaler = StandardScaler().fit(x)
        model = Ridge(alpha=2.0).fit(scaler.transform(x), y[reach - 1 + h :])
        want.append(model.predict(scaler.transform([row(len(y) - 1, want)]))[0])
    transforms = {1: [RollingStd(5), ExponentiallyWeightedMean(0.3)]} if features else None
    settings = as_it_stands(scope="local", mode="open_loop", ridge=2.0, lag_transforms=transforms)
    model = NARXForecaster(H, 3, strategy=strategy, future_exog=["price"], **settings).fit(df)
    plan = pd.DataFrame({"unique_id": "s0", "ds": np.arange(61, 61 + H), "price": planned})
    np.testing.assert_allclose(model.predict(future_df=plan)["NARXForecaster"], want, rtol=1e-9)


@both
def test_rows_of_scaled_windows_are_relative_to_the_cutoff_of_their_step(strategy):
    df = make_frame((60, 45))
    rows = {h: ([], []) for h in range(1, H + 1)}
    for _, part in df.groupby("unique_id"):
        y = part["y"].to_numpy()
        for h, (x, target) in rows.items():
            for t in range(2, len(y) - h):
                x.append([*(y[t - 2 : t + 1] - y[t]), *own(strategy, y[t + 1 : t + h] - y[t])])
                target.append(y[t + h] - y[t])
    settings = as_it_stands(mode="open_loop", ridge=2.0, window_scaling="last")
    got = NARXForecaster(H, 3, strategy=strategy, **settings).fit(df).predict()
    for i, (_, part) in enumerate(df.groupby("unique_id")):
        y = part["y"].to_numpy()
        want = []
        for x, target in rows.values():
            scaler = StandardScaler().fit(x)
            model = Ridge(alpha=2.0).fit(scaler.transform(x), target)
            want.append(model.predict(scaler.transform([[*(y[-3:] - y[-1]), *own(strategy, want)]]))[0])
        np.testing.assert_allclose(got["NARXForecaster"][i * H : (i + 1) * H], y[-1] + want, rtol=1e-9)


@every_one
@pytest.mark.parametrize(("prior", "transforms"), [("naive", ()), ("naive", (Difference(1),)), ("seasonal_naive", ())])
def test_at_a_large_ridge_every_step_is_the_forecast_of_its_prior(prior, transforms, strategy):
    df = frame()
    settings = {"scope": "local", "ridge": 1e14, "intercept": False, "target_transforms": transforms}
    horizon = 10
    model = NARXForecaster(horizon, 8, strategy=strategy, prior=prior, season_length=7, **settings)
    want = Baseline(prior, horizon=horizon, season_length=7).fit(df).predict()
    np.testing.assert_allclose(model.fit(df).predict()["NARXForecaster"], want.iloc[:, -1], rtol=1e-6)


def ridge_of(x, y):
    scaler = StandardScaler().fit(x)
    model = Ridge(alpha=2.0).fit(scaler.transform(x), y)
    return lambda row: model.predict(scaler.transform([row]))[0]


def of_rows(model):
    return lambda x, y: (lambda fitted: lambda row: fitted.predict([row])[0])(clone(model).fit(x, y))


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("model", ["linear", TREE])
def test_rectified_forecasts_are_a_recursive_ridge_and_what_each_step_learns_of_its_errors(model, features):
    df = make_frame((45,)).assign(price=lambda d: np.cos(d["ds"] ** 2))
    y, planned = df["y"].to_numpy(), np.array([0.3, -0.2, 0.9, 0.1])
    price, reach = np.concatenate([df["price"], planned]), 5 if features else 3

    def row(fed, told):
        """What is read of a series so far, and of the price at a step."""
        past = pd.Series(fed)
        extra = [past[-5:].std(), past.ewm(alpha=0.3, adjust=False).mean().iloc[-1]] if features else []
        return [*fed[-3:], *extra, told]

    starts = range(reach, len(y))
    base = ridge_of([row(y[:n], price[n]) for n in starts], y[reach:])

    def rolled(n):
        fed = list(y[:n])
        for told in price[n : n + H]:
            fed.append(base(row(fed, told)))
        return fed[n:]

    forecasts = {n: rolled(n) for n in range(reach, len(y))}
    forecasts[len(y)] = rolled(len(y))
    fit, want = ridge_of if model == "linear" else of_rows(TREE), []
    for h in range(H):
        known = [n for n in starts if n + h < len(y)]
        said = fit([row(y[:n], price[n + h]) for n in known], [y[n + h] - forecasts[n][h] for n in known])
        want.append(forecasts[len(y)][h] + said(row(y, price[len(y) + h])))
    transforms = {1: [RollingStd(5), ExponentiallyWeightedMean(0.3)]} if features else None
    settings = as_it_stands(scope="local", mode="open_loop", ridge=2.0, lag_transforms=transforms, model=model)
    got = NARXForecaster(H, 3, strategy="rectify", future_exog=["price"], **settings).fit(df)
    plan = pd.DataFrame({"unique_id": "s0", "ds": np.arange(46, 46 + H), "price": planned})
    np.testing.assert_allclose(got.predict(future_df=plan)["NARXForecaster"], want, rtol=1e-9)


def test_rectified_forecasts_of_scaled_windows_are_relative_to_their_cutoff():
    df = make_frame((60, 45))
    parts = [part["y"].to_numpy() for _, part in df.groupby("unique_id")]
    rows = [(y[t - 2 : t + 1] - y[t], y[t + 1 : t + 1 + H] - y[t]) for y in parts for t in range(2, len(y) - 1)]
    x = np.array([past for past, _ in rows])
    scaler = StandardScaler().fit(x)
    ridge = Ridge(alpha=2.0).fit(scaler.transform(x), [future[0] for _, future in rows])
    weights = ridge.coef_ / scaler.scale_
    bias = ridge.intercept_ - weights @ scaler.mean_
    # What holds relative to one value holds relative to any.
    weights[2] = 1 - weights[:2].sum()

    def rolled(past):
        fed = list(past)
        for _ in range(H):
            fed.append(weights @ fed[-3:] + bias)
        return fed[3:]

    settings = as_it_stands(mode="open_loop", ridge=2.0, window_scaling="last")
    got = NARXForecaster(H, 3, strategy="rectify", **settings).fit(df).predict()["NARXForecaster"].to_numpy()
    for h in range(H):
        left = [(past, future[h] - rolled(past)[h]) for past, future in rows if len(future) > h]
        said = ridge_of([past for past, _ in left], [error for _, error in left])
        want = [y[-1] + rolled(y[-3:] - y[-1])[h] + said(y[-3:] - y[-1]) for y in parts]
        np.testing.assert_allclose(got[h::H], want, rtol=1e-9)


def test_after_the_last_step_the_recursive_map_goes_on_and_keeps_the_last_correction():
    df, settings = frame(), {"ridge": 3.0, "mode": "open_loop"}
    twice = {}
    for strategy in ("rectify", "recursive"):
        model = make("linear", strategy=strategy, **settings).fit(df)
        with pytest.warns(HorizonWarning):
            twice[strategy] = model.predict(2 * H)["NARXForecaster"].to_numpy()
    added = (twice["rectify"] - twice["recursive"]).reshape(3, 2 * H)
    assert np.abs(added[:, : H - 1] - added[:, 1:H]).min() > 1e-4
    np.testing.assert_allclose(added[:, H:], added[:, [H - 1] * H], rtol=1e-8)


def test_the_history_tells_the_ridges_of_the_recursive_map():
    model = make("differences", strategy="rectify").fit(frame())
    recursive = make("differences", strategy="recursive", mode="open_loop").fit(frame())
    low, high = recursive.ridge_["ridge"].min(), recursive.ridge_["ridge"].max()
    assert any(f"ridges of the recursive map are {low:g} to {high:g}" in note for note in model.history_.notes)


@every_one
def test_targets_side_by_side_are_forecast_at_each_cutoff_from_what_was_known(strategy):
    df = frame().assign(w=lambda d: d["y"].shift(1).fillna(0.0) + np.sin(d["ds"]))
    model = make("linear", strategy=strategy, target_col=["y", "w"], ridge=3.0).fit(df)
    fast = model.predict_at(df, [40, 47])
    pd.testing.assert_frame_equal(fast, Forecaster.predict_at(model, df, [40, 47]), rtol=1e-9)
    alone = model.predict(history=df[(df["unique_id"] == "s0") & (df["ds"] <= 40)])
    np.testing.assert_allclose(alone.iloc[:, -2:], fast.query("unique_id == 's0' and cutoff == 40").iloc[:, -2:])


def test_what_a_prior_says_of_later_steps_is_its_own_roll_out():
    weights = np.random.default_rng(0).normal(size=5) / 3
    past = np.random.default_rng(1).normal(size=5)  # newest first
    fed = past.copy()
    for ahead in range(12):
        assert _steps_later(weights, ahead) @ past == pytest.approx(weights @ fed, rel=1e-12)
        fed = np.append(weights @ fed, fed[:-1])


@both
@pytest.mark.parametrize("lags", [[1, 2], [2, 3]])
def test_each_step_has_a_regressor_of_its_own(lags, strategy):
    df = make_frame((60,))
    y = df["y"].to_numpy()
    want, first = [], max(lags) - 1
    for h in range(1, H + 1):

        def row(t, fed):
            return [*(y[t + 1 - lag] for lag in lags), *own(strategy, fed)]

        x = np.array([row(t, y[t + 1 : t + h]) for t in range(first, len(y) - h)])
        want.append(LinearRegression().fit(x, y[first + h :]).predict([row(len(y) - 1, want)])[0])
    settings = as_it_stands(scope="local", mode="open_loop")
    model = NARXForecaster(H, lags, strategy=strategy, model=LinearRegression(), **settings).fit(df)
    np.testing.assert_allclose(model.predict()["NARXForecaster"], want, rtol=1e-9)


@both
@pytest.mark.parametrize("name", ["linear", "pooled", "tree"])
def test_of_one_step_all_strategies_are_one(name, strategy):
    df = frame()
    direct = make(name, 1, mode="open_loop", strategy=strategy).fit(df).predict()
    recursive = make(name, 1, mode="open_loop", strategy="recursive").fit(df).predict()
    pd.testing.assert_frame_equal(direct, recursive, rtol=1e-12)


@pytest.mark.parametrize(("strategy", "name"), pairs(list(OF_EACH_STEP), list(SETTINGS)))
def test_forecasts_at_many_cutoffs_are_those_one_by_one_and_blind_after_them(name, strategy):
    df = frame()
    model = make(name, strategy=strategy).fit(df)
    fast = model.predict_at(df, [40, 47])
    pd.testing.assert_frame_equal(fast, Forecaster.predict_at(model, df, [40, 47]), rtol=1e-9)
    blind = model.predict_at(wreck_after(df, {"s0": 40, "s1": 40, "s2": 40}), [40])
    pd.testing.assert_frame_equal(blind, fast[fast["cutoff"] == 40].reset_index(drop=True), rtol=1e-9)
    assert model.mode_ in ("auto", "open_loop")
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(model)).predict(), model.predict())


@every_one
@pytest.mark.parametrize("name", ["linear", "features", "differences"])
def test_series_fitted_together_are_each_alone(name, strategy):
    df, settings = frame(), {"ridge": 3.0, "strategy": strategy}
    together = make(name, **settings).fit(df).predict()
    alone = [make(name, **settings).fit(part).predict() for _, part in df.groupby("unique_id")]
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True), rtol=1e-9)


@both
@pytest.mark.parametrize("name", ["linear", "features", "relative", "tree"])
def test_what_is_forecast_says_what_comes_after_the_last_map(name, strategy):
    df = make_frame((60,))
    model = make(name, scope="local", strategy=strategy).fit(df)
    with pytest.warns(HorizonWarning):
        twice = model.predict(2 * H)["NARXForecaster"]
    first = pd.DataFrame({"unique_id": "s0", "ds": np.arange(61, 61 + H), "y": twice[:H]})
    then = model.predict(history=pd.concat([df, first]))["NARXForecaster"]
    np.testing.assert_allclose(twice[H:], then, rtol=1e-9)


def test_backtests_and_exposure_treat_all_strategies_alike():
    df = frame()
    names = ("recursive", *OF_EACH_STEP)
    models = {name: make("linear", mode="open_loop", strategy=name) for name in names}
    result = compare(models, df, n_windows=3)
    assert np.isfinite(result.exposure()["gap"]).all()
    scores = result.scores().set_index("model")["mase"]
    assert len(set(scores)) == len(names)
    # One step ahead they are the same map, but for the ridge.
    fixed = {k: m.set_params(ridge=1.0, prior="zero") for k, m in models.items()}
    first = compare(fixed, df, n_windows=3).frame.query("horizon == 1")
    for name in ("direct", "dirrec"):
        np.testing.assert_allclose(first[name], first["recursive"], rtol=1e-9)


@every_one
def test_past_inputs_are_those_of_the_cutoff_and_missing_values_are_taken(strategy):
    df = frame().assign(z=lambda d: np.sin(d["ds"]))
    df.loc[[20, 21, 75], "y"] = np.nan
    model = make("linear", past_exog=["z"], missing="own_output", strategy=strategy).fit(df)
    later = wreck_after(df, {"s0": 40, "s1": 40, "s2": 40}).assign(z=lambda d: d["z"].where(d["ds"] <= 40, 1e9))
    pd.testing.assert_frame_equal(model.predict_at(later, [40]), model.predict_at(df, [40]), rtol=1e-9)
    assert model.ridge_["ridge"].notna().all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"strategy": "iterated"},
            "strategy='iterated' is not known; accepted: 'recursive', 'direct', 'dirrec', 'rectify'",
        ),
        ({"model": "mlp"}, "strategy='direct' has model='linear' and regressors, not model='mlp'"),
        ({"mode": "closed_loop"}, "mode='closed_loop': strategy='direct' learns from no own outputs"),
        ({"prior": "smoothing", "lags": [1, 3]}, r"prior='smoothing' of later steps reads all lags .* give lags=3"),
        ({"training": Training(solver="adamw")}, "use solver='auto'"),
        ({"loss": "mae"}, "loss='mae'"),
    ],
)
def test_what_direct_maps_do_not_do_is_refused_with_the_way_out(settings, words):
    with pytest.raises(ArgumentError, match=words):
        NARXForecaster(H, **({"lags": 3, "strategy": "direct"} | settings)).fit(frame())


@every_one
def test_series_too_short_for_the_last_step_are_an_error_that_names_it(strategy):
    model = make("linear", strategy=strategy)
    with pytest.raises(
        SeriesTooShortError, match=rf"6 rows, but lags=3 of a map of step 4 \(strategy='{strategy}'\)"
    ) as told:
        model.fit(make_frame((60, 6)))
    assert "use strategy='recursive'" in str(told.value)
    model.fit(make_frame((60, 7)))
