"""The guard of roll-outs in forecasts: right answers are left alone, wild ones are finite, held and said."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from tsforce import BoxCox, Difference, Log, NARXForecaster, backtest
from tsforce.errors import ArgumentError, DivergenceWarning

OPEN = {"mode": "open_loop"}
POOLED = {"scope": "global", "window_scaling": "mean_abs", **OPEN}


def frame(**series):
    parts = []
    for name, y in series.items():
        days = pd.date_range("2024-01-01", periods=len(y))
        parts.append(pd.DataFrame({"unique_id": name, "ds": days, "y": np.asarray(y, dtype=float)}))
    return pd.concat(parts, ignore_index=True)


def forecast(model, *args, **kwargs):
    """The forecast, and what was warned of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = model.predict(*args, **kwargs)
    return found, [w for w in said if issubclass(w.category, DivergenceWarning)]


def with_an_error_of_typing(n=100, wild=1e6, at=50):
    y = 10 + np.sin(np.arange(n) * 2 * np.pi / 7)
    y[at] = wild
    return y


# ---- what is right is left alone


@pytest.mark.parametrize("model", ["linear", "polynomial"])
@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_line_goes_on_as_far_as_it_is_asked_for(model, scope):
    line = 10 + 2.0 * np.arange(40)
    fitted = NARXForecaster(
        5, 2, model=model, scope=scope, ridge=0.0, window_scaling=None, target_transforms=(), **OPEN
    )
    fitted.fit(frame(line=line))
    with pytest.warns(DivergenceWarning, match="1 of 1 forecasts .* were left as they are") as caught:
        found = forecast_of(fitted, 3000)
    assert sum(w.category is DivergenceWarning for w in caught) == 1
    assert found.to_numpy()[[0, 999, 2999]] == pytest.approx([90, 2088, 6088], rel=1e-6)


def forecast_of(fitted, horizon):
    with warnings.catch_warnings():
        warnings.simplefilter("always", DivergenceWarning)
        warnings.filterwarnings("ignore", message=".*trained.*")
        return fitted.predict(horizon)["NARXForecaster"]


@pytest.mark.parametrize("scaling", ["mean_abs", "last"])
def test_a_history_at_a_new_level_is_where_its_forecasts_start_from(scaling):
    y = 10 + 0.01 * np.sin(np.arange(100))
    model = NARXForecaster(3, 7, window_scaling=scaling, **OPEN).fit(frame(s=y))
    found, said = forecast(model, history=frame(s=y + 5))
    assert found["NARXForecaster"].to_numpy() == pytest.approx(15, abs=0.1)
    assert not said
    assert found.attrs["clipped_windows"] == 0


def test_a_return_from_a_new_level_is_said():
    y = 10 + 0.01 * np.sin(np.arange(100))
    model = NARXForecaster(3, 7, scope="local", ridge=30.0, **OPEN).fit(frame(s=y))
    found, said = forecast(model, history=frame(s=y + 5))
    assert np.abs(found["NARXForecaster"] - 15).max() > 1
    assert "1 of 1 forecasts" in str(said[0].message)
    assert "return from a history at a new level" in str(said[0].message)
    # Nothing was held: what the map says is what comes out.
    assert found.attrs["clipped_windows"] == 0


def test_an_explosive_series_is_held_unless_the_guard_is_widened_or_switched_off():
    y = 1.5 ** np.arange(30)
    want = y[-1] * 1.5 ** np.arange(1, 41)
    settings = {"scope": "local", "ridge": 0.0, **OPEN}
    held, said = forecast(NARXForecaster(40, 1, **settings).fit(frame(s=y)))
    bound = y.max() + 10 * np.ptp(y)
    assert held["NARXForecaster"].to_numpy() == pytest.approx(np.minimum(want, bound), rel=1e-6)
    assert "held there" in str(said[0].message)
    wider, _ = forecast(NARXForecaster(40, 1, guard=1000, **settings).fit(frame(s=y)))
    assert wider["NARXForecaster"].max() == pytest.approx(y.max() + 1000 * np.ptp(y), rel=1e-6)
    for off in (None, False):
        free, said = forecast(NARXForecaster(40, 1, guard=off, **settings).fit(frame(s=y)))
        assert free["NARXForecaster"].to_numpy() == pytest.approx(want, rel=1e-5)
        assert not said
        assert free.attrs["clipped_windows"] == 0


@pytest.mark.parametrize("guard", [0, -1, "off", True, np.inf])
def test_a_guard_is_a_number_above_0_or_none(guard):
    with pytest.raises(ArgumentError, match=r"guard=.*expected a number above 0.*or None"):
        NARXForecaster(3, 2, guard=guard).fit(frame(s=np.arange(30.0)))


# ---- what is wild is finite, held and said


@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("model", ["linear", "polynomial", "mlp", LinearRegression()])
def test_after_an_error_of_typing_forecasts_stay_within_what_was_seen(model, scope):
    y = with_an_error_of_typing()
    fitted = NARXForecaster(7, 7, model=model, scope=scope, max_steps=3, **OPEN).fit(frame(s=y))
    found, _ = forecast(fitted)
    assert found["NARXForecaster"].abs().max() <= y.max()


@pytest.mark.parametrize("wild", [1e9, -1e30, 1e80])
@pytest.mark.parametrize("transforms", [(), (Difference(1),)])
@pytest.mark.parametrize("model", ["linear", "polynomial"])
def test_a_wild_value_in_one_series_leaves_the_others_finite_or_is_said(model, transforms, wild):
    noise = np.random.default_rng(0).normal(size=40)
    noise[20] = wild
    df = frame(line=10 + 2.0 * np.arange(40), noise=noise, still=np.zeros(40))
    fitted = NARXForecaster(8, 3, model=model, target_transforms=transforms, **POOLED).fit(df)
    found, said = forecast(fitted)
    assert np.isfinite(found["NARXForecaster"]).all()
    line = found[found["unique_id"] == "line"]["NARXForecaster"]
    assert said or line.between(-100, 300).all()


def test_no_forecast_overflows_where_the_logarithm_is_undone():
    y = np.exp(np.cumsum(np.random.default_rng(0).normal(size=60)) * 5)
    model = NARXForecaster(50, 2, scope="local", target_transforms=[Log()], ridge=0.0, guard=None, **OPEN)
    model.fit(frame(s=y))
    model.model_.weight[0, :, 0] = model.model_.weight.new_tensor([0.0, 3.0])
    found, said = forecast(model)
    assert np.isfinite(found["NARXForecaster"]).all()
    assert "not finite" in str(said[0].message)
    assert found.attrs["clipped_windows"] == 1


def test_changing_units_changes_nothing():
    y = with_an_error_of_typing(wild=50.0)
    found = []
    for unit in (1.0, 1e-6, 1e6):
        model = NARXForecaster(20, 7, model="polynomial", scope="local", ridge=1.0, **OPEN).fit(frame(s=unit * y))
        found.append(forecast(model)[0]["NARXForecaster"].to_numpy() / unit)
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-6)


def test_windows_side_by_side_are_held_as_alone():
    y = 1.5 ** np.arange(30)
    df = frame(a=y, b=np.sin(np.arange(30.0)), c=y[::-1])
    model = NARXForecaster(40, 1, scope="local", ridge=0.0, **OPEN).fit(df)
    together, _ = forecast(model)
    for name, rows in df.groupby("unique_id"):
        alone, _ = forecast(model, history=rows)
        own = together[together["unique_id"] == name]
        np.testing.assert_allclose(own["NARXForecaster"], alone["NARXForecaster"], rtol=1e-12)
    assert together.attrs["clipped_windows"] == 1


def test_a_backtest_says_it_too():
    y = with_an_error_of_typing()
    model = NARXForecaster(7, 7, ridge=1.0, target_transforms=(), **POOLED)
    with pytest.warns(DivergenceWarning, match="forecasts"):
        result = backtest(model, frame(s=y), horizon=7, n_windows=3)
    assert result.frame.select_dtypes("number").abs().max(axis=None) <= y.max()


@pytest.mark.parametrize("model", ["linear", "polynomial", "mlp"])
def test_the_first_step_of_a_clean_series_is_held_where_another_one_spoilt_the_pooled_map(model):
    noise = np.random.default_rng(0).normal(size=40)
    noise[20] = 1e9
    df = frame(line=10 + 2.0 * np.arange(40), noise=noise)
    fitted = NARXForecaster(8, 3, model=model, target_transforms=[Difference(1)], max_steps=3, **POOLED).fit(df)
    with pytest.warns(DivergenceWarning):
        forecast = fitted.predict()
    # Steps of the line are 2, and no step of its forecast is further out than ten times that.
    line = forecast.loc[forecast["unique_id"] == "line", "NARXForecaster"]
    assert line.iloc[0] <= 88 + 2 + 10 * 2
    assert np.isfinite(forecast["NARXForecaster"]).all()


@pytest.mark.parametrize("guard", [10.0, None])
def test_a_regressor_that_refuses_infinity_may_run_away(guard):
    y = 1.5 ** np.arange(20.0)
    explosive = make_pipeline(PolynomialFeatures(3), LinearRegression())
    model = NARXForecaster(400, 1, model=explosive, window_scaling=None, guard=guard, **OPEN).fit(frame(a=y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        assert np.isfinite(model.predict()["NARXForecaster"]).all()


# ---- where transforms bend


def grown_with_an_error_of_typing(at=11):
    y = 1400 * np.exp(0.1 * np.arange(14.0))
    y[at] *= 10
    return y


@pytest.mark.parametrize(
    ("transforms", "at"),
    [([Log()], 11), ([Log(), Difference(1)], 10), ([BoxCox()], 11), ([BoxCox(), Difference(1)], 11)],
)
def test_ten_ranges_of_a_logarithm_are_no_bound_and_those_of_the_series_are(transforms, at):
    # One wild value in few rows makes a map of logarithms that runs away.
    y = grown_with_an_error_of_typing(at)
    settings = {"target_transforms": transforms, "scope": "local", "ridge": 0.1, "prior": "zero", "intercept": True}
    fitted = NARXForecaster(12, 3, **settings, **OPEN).fit(frame(s=y))
    found, said = forecast(fitted)
    free, _ = forecast(NARXForecaster(12, 3, guard=None, **settings, **OPEN).fit(frame(s=y)))
    far = y.max() + 10 * np.ptp(y)
    assert free["NARXForecaster"].max() > 10 * far
    assert found["NARXForecaster"].between(-far, far * (1 + 1e-9)).all()
    assert found.attrs["clipped_windows"] == 1
    assert "they ran away and were held there" in str(said[0].message)


def test_growth_goes_on_in_logarithms_however_far():
    y = 5 * 1.1 ** np.arange(40)
    settings = {"target_transforms": [Log(), Difference(1)], "scope": "local", "ridge": 1.0, "prior": "zero", **OPEN}
    found = forecast_of(NARXForecaster(80, 2, **settings).fit(frame(s=y)), 80)
    # A map of differences that is stable: 24 times the range, and right.
    np.testing.assert_allclose(found, y[-1] * 1.1 ** np.arange(1, 81), rtol=1e-6)


@pytest.mark.parametrize("size", [1e4, 1e-4])
def test_a_history_of_another_size_bounds_its_own_forecasts_in_logarithms(size):
    y = grown_with_an_error_of_typing()
    settings = {
        "target_transforms": [Log()],
        "scope": "global",
        "ridge": 0.1,
        "window_scaling": "last",
        "prior": "zero",
    }
    fitted = NARXForecaster(12, 3, **settings, **OPEN).fit(frame(s=y))
    found, _ = forecast(fitted, history=frame(s=size * y))
    same, _ = forecast(fitted)
    # Small ones keep to what the series has shown in training, large ones to what they show themselves.
    assert found["NARXForecaster"].max() <= max(size, 1) * (y.max() + 10 * np.ptp(y))
    if size > 1:
        np.testing.assert_allclose(found["NARXForecaster"], size * same["NARXForecaster"], rtol=1e-9)
