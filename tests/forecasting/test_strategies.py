"""Strategies with a map for each step, from scratch beside them; judged like any forecaster."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from tests.makers import as_it_stands, make_frame, wreck_after
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
OF_EACH_STEP = ("direct", "dirrec")
both = pytest.mark.parametrize("strategy", OF_EACH_STEP)


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


@both
@pytest.mark.parametrize(("prior", "transforms"), [("naive", ()), ("naive", (Difference(1),)), ("seasonal_naive", ())])
def test_at_a_large_ridge_every_step_is_the_forecast_of_its_prior(prior, transforms, strategy):
    df = frame()
    settings = {"scope": "local", "ridge": 1e14, "intercept": False, "target_transforms": transforms}
    horizon = 10
    model = NARXForecaster(horizon, 8, strategy=strategy, prior=prior, season_length=7, **settings)
    want = Baseline(prior, horizon=horizon, season_length=7).fit(df).predict()
    np.testing.assert_allclose(model.fit(df).predict()["NARXForecaster"], want.iloc[:, -1], rtol=1e-6)


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


@both
@pytest.mark.parametrize("name", SETTINGS)
def test_forecasts_at_many_cutoffs_are_those_one_by_one_and_blind_after_them(name, strategy):
    df = frame()
    model = make(name, strategy=strategy).fit(df)
    fast = model.predict_at(df, [40, 47])
    pd.testing.assert_frame_equal(fast, Forecaster.predict_at(model, df, [40, 47]), rtol=1e-9)
    blind = model.predict_at(wreck_after(df, {"s0": 40, "s1": 40, "s2": 40}), [40])
    pd.testing.assert_frame_equal(blind, fast[fast["cutoff"] == 40].reset_index(drop=True), rtol=1e-9)
    assert model.mode_ in ("auto", "open_loop")
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(model)).predict(), model.predict())


@both
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
    for name in OF_EACH_STEP:
        np.testing.assert_allclose(first[name], first["recursive"], rtol=1e-9)


@both
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
        ({"strategy": "iterated"}, "strategy='iterated' is not known; accepted: 'recursive', 'direct', 'dirrec'"),
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


@both
def test_series_too_short_for_the_last_step_are_an_error_that_names_it(strategy):
    model = make("linear", strategy=strategy)
    with pytest.raises(
        SeriesTooShortError, match=rf"6 rows, but lags=3 of a map of step 4 \(strategy='{strategy}'\)"
    ) as told:
        model.fit(make_frame((60, 6)))
    assert "use strategy='recursive'" in str(told.value)
    model.fit(make_frame((60, 7)))
