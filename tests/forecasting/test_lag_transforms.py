"""Lag transforms in a forecaster: the same in training, forecasts and backtests, for every model and mode."""

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
from tsforce import Difference, Forecaster, NARXForecaster, Training, backtest
from tsforce.errors import ArgumentError, ArgumentTypeError, SeriesTooShortError
from tsforce.lag_transforms import (
    ExpandingMean,
    ExponentiallyWeightedMean,
    RollingMax,
    RollingMean,
    RollingMin,
    RollingQuantile,
    RollingStd,
    SeasonalRollingMean,
)

H = 5
TRANSFORMS = {1: [RollingMean(7), RollingStd(4)], 7: [RollingMax(3), SeasonalRollingMean(7, 2)]}
SHORT = Training(batch_size=8)
# Every kind of model, scope and mode that has a way of its own.
SETTINGS = {
    "least squares": {"scope": "local", "mode": "open_loop"},
    "linear maps alone": {"scope": "local", "mode": "open_loop", "lag_transforms": {1: [RollingMean(7)]}},
    "pooled, relative to the last": {"scope": "global", "mode": "open_loop", "window_scaling": "last"},
    "huber": {"scope": "local", "mode": "open_loop", "loss": "huber"},
    "polynomial": {"model": "polynomial", "mode": "open_loop", "ridge": 1.0},
    "closed loop": {"scope": "local", "mode": "closed_loop", "max_steps": 4},
    "auto": {"scope": "local", "mode": "auto", "prior": "zero", "max_steps": 4},
    "mlp": {"model": "mlp", "mode": "curriculum", "max_steps": 4},
    "gru": {"model": "gru", "mode": "closed_loop", "max_steps": 4},
    "tree": {"model": DecisionTreeRegressor(min_samples_leaf=5, random_state=0), "mode": "closed_loop", "max_steps": 2},
    "no lags": {"lags": 0, "scope": "local", "mode": "open_loop"},
}
# Means of all that was fed, whose windows bring a state with them.
RUNNING = {1: [ExponentiallyWeightedMean(0.3), RollingMean(3)], 7: [ExpandingMean()]}
SETTINGS |= {
    f"{name}, means of all": settings | {"lag_transforms": RUNNING}
    for name, settings in SETTINGS.items()
    if name not in ("linear maps alone", "no lags")
}
PARTIAL = {1: [RollingMean(20, min_samples=2), RollingStd(9, min_samples=3)], 2: [RollingQuantile(0.4, 11, 3)]}
SETTINGS |= {
    f"{name}, partial windows": SETTINGS[name] | {"lag_transforms": PARTIAL}
    for name in ("least squares", "pooled, relative to the last", "closed loop", "gru", "tree")
}
SETTINGS |= {
    "means of all, scaled windows": {
        "scope": "global", "mode": "open_loop", "window_scaling": "standard", "lag_transforms": RUNNING,
    },
    "means of all, longer context": {
        "model": "gru", "mode": "closed_loop", "max_steps": 2, "context_length": 20, "lag_transforms": RUNNING,
    },
    "means of differences": {
        "scope": "local", "mode": "open_loop", "target_transforms": [Difference(7)], "lag_transforms": RUNNING,
    },
}  # fmt: skip


def make(name, **more):
    settings = {"lags": 3, "lag_transforms": TRANSFORMS, "training": SHORT} | SETTINGS[name] | more
    return NARXForecaster(H, **settings)


def frame():
    return make_frame((60, 50, 55))


def features_of(y, lags):
    """What TRANSFORMS say of the step after y, by pandas, behind some lags."""
    past = pd.Series(y)
    return [
        *(y[-lag] for lag in lags),
        past.rolling(7).mean().iloc[-1],
        past.rolling(4).std().iloc[-1],
        past.rolling(3).max().iloc[-7],
        (y[-7] + y[-14]) / 2,
    ]


def test_least_squares_and_its_roll_out_are_scikit_learns_on_columns_that_pandas_makes():
    df = make_frame((60,))
    y = df["y"].tolist()
    reach = 14
    x = np.array([features_of(y[:t], (3, 2, 1)) for t in range(reach, len(y))])
    scaler = StandardScaler().fit(x)
    oracle = Ridge(alpha=2.0).fit(scaler.transform(x), y[reach:])
    for _ in range(H):
        y.append(float(oracle.predict(scaler.transform([features_of(y, (3, 2, 1))]))[0]))
    settings = as_it_stands(scope="local", mode="open_loop", ridge=2.0)
    model = NARXForecaster(H, 3, lag_transforms=TRANSFORMS, **settings).fit(df)
    np.testing.assert_allclose(model.predict()["NARXForecaster"], y[-H:], rtol=1e-9)


def test_a_regressor_reads_the_same_columns():
    df = make_frame((60,))
    y = df["y"].tolist()
    x = np.array([features_of(y[:t], (2, 1)) for t in range(14, len(y))])
    oracle = LinearRegression().fit(x, y[14:])
    for _ in range(H):
        y.append(float(oracle.predict([features_of(y, (2, 1))])[0]))
    settings = as_it_stands(scope="local", mode="open_loop")
    model = NARXForecaster(H, 2, lag_transforms=TRANSFORMS, model=LinearRegression(), **settings).fit(df)
    np.testing.assert_allclose(model.predict()["NARXForecaster"], y[-H:], rtol=1e-8)


def test_means_of_all_values_are_those_of_the_whole_history_at_every_step():
    df = make_frame((60,))
    y = df["y"].tolist()

    def row(y):
        seen = pd.Series(y)
        ewm, mean = seen.ewm(alpha=0.3, adjust=False).mean(), seen.expanding().mean()
        return [y[-2], y[-1], ewm.iloc[-1], seen.tail(3).mean(), mean.iloc[-7]]

    x = np.array([row(y[:t]) for t in range(7, len(y))])
    scaler = StandardScaler().fit(x)
    oracle = Ridge(alpha=2.0).fit(scaler.transform(x), y[7:])
    for _ in range(3 * H):
        y.append(float(oracle.predict(scaler.transform([row(y)]))[0]))
    settings = as_it_stands(scope="local", mode="open_loop", ridge=2.0)
    model = NARXForecaster(3 * H, 2, lag_transforms=RUNNING, **settings).fit(df)
    np.testing.assert_allclose(model.predict()["NARXForecaster"], y[-3 * H :], rtol=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "open_loop"},
        {"mode": "closed_loop", "max_steps": 3},
        {"mode": "closed_loop", "max_steps": 3, "training": Training(solver="levenberg_marquardt")},
        {"model": "polynomial", "mode": "open_loop", "ridge": 1.0},
        {"model": Ridge(), "mode": "closed_loop", "max_steps": 2},
    ],
)
def test_a_longer_context_says_no_more_since_windows_bring_means_with_them(settings):
    df = frame()
    short, long = (
        NARXForecaster(H, 3, scope="local", lag_transforms=RUNNING, context_length=n, **settings).fit(df).predict()
        for n in (7, 25)
    )
    pd.testing.assert_frame_equal(short, long, rtol=1e-7)


def test_new_rows_alone_go_on_from_the_means_of_the_rows_learnt_from():
    df = make_frame((60, 60))
    model = make("least squares, means of all").fit(df[df["ds"] <= 50])
    alone = model.predict(history=df[df["ds"] > 50])
    pd.testing.assert_frame_equal(alone, model.predict(history=df), rtol=1e-12)
    # A series of its own brings its own means, from its first row.
    pooled = make("pooled, relative to the last, means of all").fit(df)
    other = make_frame((30,), ids=["new"], seed=9)
    once = pooled.predict(history=other)
    pd.testing.assert_frame_equal(pooled.predict_at(other, [30]).drop(columns="cutoff"), once, rtol=1e-12)
    with_more = pooled.predict(history=pd.concat([make_frame((40,), ids=["loud"]).assign(y=1e6), other]))
    pd.testing.assert_frame_equal(with_more[with_more["unique_id"] == "new"].reset_index(drop=True), once, rtol=1e-12)


@pytest.mark.parametrize("name", ["least squares", "least squares, means of all", "tree, means of all"])
def test_what_stands_for_missing_values_is_made_of_the_rows_before_them(name):
    df = frame()
    df.loc[[20, 21, 30, 75, 120, 121, 122], "y"] = np.nan
    model = make(name, missing="own_output").fit(df)
    fast = model.predict_at(df, [34, 47])
    pd.testing.assert_frame_equal(fast, Forecaster.predict_at(model, df, [34, 47]), rtol=1e-9)


def test_windows_that_need_not_be_full_are_pandas_with_min_periods():
    df = make_frame((40,))
    y = df["y"].tolist()

    def row(y):
        seen = pd.Series(y)
        mean, std = seen.rolling(20, min_periods=2).mean(), seen.rolling(9, min_periods=3).std()
        return [*y[-4:], mean.iloc[-1], std.iloc[-1], seen.rolling(11, min_periods=3).quantile(0.4).iloc[-2]]

    # From the first row that the lags allow: windows are not full there.
    x = np.array([row(y[:t]) for t in range(4, len(y))])
    scaler = StandardScaler().fit(x)
    oracle = Ridge(alpha=2.0).fit(scaler.transform(x), y[4:])
    for _ in range(H):
        y.append(float(oracle.predict(scaler.transform([row(y)]))[0]))
    settings = as_it_stands(scope="local", mode="open_loop", ridge=2.0)
    model = NARXForecaster(H, 4, lag_transforms=PARTIAL, **settings).fit(df)
    assert (model.model_.layout.reach, model.context_length_) == (4, 20)
    np.testing.assert_allclose(model.predict()["NARXForecaster"], y[-H:], rtol=1e-9)


def test_exposure_is_measured_of_means_of_all_values_too():
    result = backtest(make("least squares, means of all").fit(frame()), frame(), n_windows=2)
    assert np.isfinite(result.exposure()["gap"]).all()
    assert result.exposure_summary()[["radius_max", "growth"]].isna().all(axis=None)
    with_windows = backtest(make("least squares").fit(frame()), frame(), n_windows=2)
    assert np.isfinite(with_windows.exposure_summary()[["radius_max", "growth"]]).all(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_forecasts_at_many_cutoffs_are_those_one_by_one_and_blind_after_them(name):
    df = frame()
    model = make(name).fit(df)
    fast = model.predict_at(df, [40, 47])
    tolerance = 1e-4 if "mlp" in name or "gru" in name or "longer" in name else 1e-9
    slow = Forecaster.predict_at(model, df, [40, 47])
    pd.testing.assert_frame_equal(fast, slow, rtol=tolerance)
    blind = model.predict_at(wreck_after(df, {"s0": 40, "s1": 40, "s2": 40}), [40])
    seen = fast[fast["cutoff"] == 40].reset_index(drop=True)
    pd.testing.assert_frame_equal(blind, seen, rtol=tolerance)
    assert np.isfinite(fast[model.name]).all()


@pytest.mark.parametrize(
    "name",
    ["least squares", "linear maps alone", "closed loop", "least squares, means of all", "closed loop, means of all"],
)
def test_series_fitted_together_are_each_alone(name):
    df = frame()
    together = make(name, ridge=3.0, prior="zero").fit(df).predict()
    alone = [make(name, ridge=3.0, prior="zero").fit(part).predict() for _, part in df.groupby("unique_id")]
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True), rtol=1e-9)


def test_a_backtest_that_fits_again_sees_no_more_than_its_cutoffs_show():
    df = frame()
    result = backtest(make("least squares"), df, n_windows=2, refit=True)
    cutoff = {"s0": 50, "s1": 40, "s2": 45}
    alone = make("least squares").fit(df[df["ds"] <= df["unique_id"].map(cutoff)]).predict()
    shown = result.frame[result.frame["cutoff"] == result.frame["unique_id"].map(cutoff)]
    assert len(shown) == 3 * H
    np.testing.assert_allclose(shown["NARXForecaster"], alone["NARXForecaster"], rtol=1e-9)


def test_a_shift_of_the_level_shifts_forecasts_relative_to_the_last_value():
    df = make_frame((80, 70))
    model = make("pooled, relative to the last", target_transforms=()).fit(df)
    higher = model.predict(history=df.assign(y=df["y"] + 1000))
    np.testing.assert_allclose(higher["NARXForecaster"], model.predict()["NARXForecaster"] + 1000, rtol=1e-9)
    # So it does at every later step, where the last value is no longer 0.
    weight = model.model_.weight[0, :, 0].numpy()
    moved = dict(zip(model.model_.layout.columns, weight, strict=True))
    assert sum(w for column, w in moved.items() if "std" not in column) == pytest.approx(1)


@pytest.mark.parametrize("prior", ["zero", "smoothing"])
def test_a_penalised_intercept_is_what_a_map_adds_to_a_series_at_its_level_and_at_that_of_its_features(prior):
    df = make_frame((80, 70))
    model = make("least squares", intercept=5.0, ridge=10.0, prior=prior)
    own = model.fit(df).predict()["NARXForecaster"]
    higher = model.fit(df.assign(y=df["y"] + 1000)).predict()["NARXForecaster"]
    np.testing.assert_allclose(higher, own + 1000, rtol=1e-9)


@pytest.mark.parametrize("lags", [7, 14])
def test_a_mean_over_the_season_of_a_series_that_repeats_itself_says_nothing(lags):
    """But for the last digits it is a constant, whose weight would be divided by rounding."""
    week = np.array([3.3, 1.7, 8.9, 2.1, 5.5, 4.2, 9.7])
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(70), "y": np.tile(week, 10)})
    transforms = {1: [RollingMean(7), RollingMin(7)]}
    for more in ({}, {"loss": "huber"}, {"intercept": False}):
        settings = as_it_stands(scope="local", mode="open_loop", ridge=1.0)
        model = NARXForecaster(14, lags, lag_transforms=transforms, **settings, **more).fit(df)
        assert np.abs(model.model_.weight.numpy()).max() < 2
        np.testing.assert_allclose(model.predict()["NARXForecaster"], np.tile(week, 2), rtol=0.1)


def test_parameters_clone_and_travel():
    model = make("least squares")
    assert clone(model).get_params()["lag_transforms"] == TRANSFORMS
    assert "RollingMean(window_size=7" in repr(model)
    fitted = model.fit(frame())
    again = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(again.predict(), fitted.predict())


@pytest.mark.parametrize(("name", "size"), [("least squares", 7), ("least squares, means of all", 3)])
def test_several_targets_have_a_column_each(name, size):
    df = frame().assign(z=lambda d: d["y"].shift(1, fill_value=50.0))
    model = make(name, target_col=["y", "z"]).fit(df)
    assert f"z_rolling_mean_lag1_window_size{size}" in model.model_.layout.columns
    assert np.isfinite(model.predict()["NARXForecaster-z"]).all()


@pytest.mark.parametrize("name", ["least squares", "least squares, means of all"])
def test_inputs_and_missing_values_stand_beside_them(name):
    df = frame().assign(price=lambda d: d["ds"] % 3)
    df.loc[[20, 21, 75], "y"] = np.nan
    model = make(name, future_exog=["price"], missing="own_output").fit(df)
    plan = pd.DataFrame({"ds": [n + h for n in (60, 50, 55) for h in range(1, H + 1)]}).assign(
        unique_id=np.repeat(["s0", "s1", "s2"], H), price=1
    )
    assert np.isfinite(model.predict(future_df=plan)["NARXForecaster"]).all()


def test_series_that_are_shorter_than_a_window_are_an_error_that_names_it():
    model = NARXForecaster(H, 2, scope="local", mode="open_loop", lag_transforms={2: [RollingQuantile(0.5, 30)]})
    with pytest.raises(SeriesTooShortError, match="'s1': 31 rows, but lag_transforms that reach back 31 steps") as told:
        model.fit(make_frame((60, 31)))
    assert "shorten the windows of lag_transforms (31 steps)" in str(told.value)
    # "auto" takes one model for all then.
    model.set_params(scope="auto").fit(make_frame((60, 31)))
    assert model.scope_ == "global"


def test_what_is_no_lag_transform_is_refused_before_anything_is_learnt():
    with pytest.raises(ArgumentTypeError, match="expected a dict of lag"):
        make("least squares", lag_transforms=[RollingMean(3)]).fit(frame())
    with pytest.raises(ArgumentError, match="reads nothing of the target"):
        make("least squares", lags=0, lag_transforms={}).fit(frame())


def test_the_history_says_why_own_outputs_are_learnt_from_by_gradient():
    fitted = make("closed loop", training=None, max_steps=2).fit(frame())
    assert any("moments of roll-outs do not take features of the target" in note for note in fitted.history_.notes)
