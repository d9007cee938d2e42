"""update: later rows are taken in, and the weights are those of a fit on all rows with the same choices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.tree import DecisionTreeRegressor

import tsforce
from tests.makers import make_frame
from tsforce import Difference, Log, NARXForecaster, Training
from tsforce.errors import ArgumentError, FrameError, UnseenSeriesError
from tsforce.lag_transforms import ExponentiallyWeightedMean

H = 4
LENGTHS = (90, 70, 120)
OPEN = {"mode": "open_loop", "ridge": 10.0}


def frame(**columns):
    df = make_frame(LENGTHS)
    rng = np.random.default_rng(3)
    return df.assign(u=rng.normal(size=len(df)), v=rng.normal(size=len(df)))[["unique_id", "ds", "y", *columns]]


def split(df, *, last=10):
    """The rows before the last ones of each series, and these."""
    to_end = df.groupby("unique_id").cumcount(ascending=False)
    return df[to_end >= last], df[to_end < last]


def forecasts(model, df):
    """Forecasts some rows before the end of each series, where inputs are still known."""
    return model.predict_at(df, model.train_end_.assign(cutoff=lambda t: t["cutoff"] - H))[model.name].to_numpy()


CASES = {
    "per series": ({"lags": 7, "scope": "local"}, (), "moments"),
    "seasonal differences": (
        {"lags": 7, "scope": "local", "target_transforms": [Log(), Difference(7)], "intercept": False}, (), "moments",
    ),
    "smoothing prior": ({"lags": 8, "scope": "local", "prior": "smoothing"}, (), "moments"),
    "pooled prior": ({"lags": 8, "scope": "local", "prior": "pooled"}, (), "moments"),
    "one for all": ({"lags": 7, "scope": "global", "target_transforms": [], "window_scaling": "last"}, (), "moments"),
    "scaled windows": (
        {"lags": 7, "scope": "global", "target_transforms": [], "window_scaling": "standard", "context_length": 20}, (),
        "moments",
    ),
    "mean of all rows": (
        {"lags": 3, "scope": "local", "lag_transforms": {1: [ExponentiallyWeightedMean(0.3)]}}, (), "moments",
    ),
    "known input": ({"lags": 3, "scope": "local", "future_exog": ["u"]}, ("u",), "moments"),
    "past input": ({"lags": 3, "scope": "local", "past_exog": ["v"]}, ("v",), "least squares"),
    "robust": ({"lags": 3, "scope": "local", "loss": "huber"}, (), "least squares"),
    "polynomial": ({"lags": 3, "scope": "global", "model": "polynomial"}, (), "least squares"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_update_gives_the_forecasts_of_a_fit_on_all_rows_at_once_and_row_by_row(name):
    settings, columns, way = CASES[name]
    df = frame(**dict.fromkeys(columns))
    old, new = split(df)
    whole = NARXForecaster(H, **OPEN | settings).fit(df)
    at_once = NARXForecaster(H, **OPEN | settings).fit(old)
    told = at_once.update(new)
    assert (told.rows, told.n_series, told.way) == (30, 3, way)
    np.testing.assert_allclose(forecasts(at_once, df), forecasts(whole, df), rtol=1e-10)
    by_row = NARXForecaster(H, **OPEN | settings).fit(old)
    for k in range(10):
        # The longer frame, or the new row alone.
        to_end = df.groupby("unique_id").cumcount(ascending=False)
        by_row.update(df[to_end >= 9 - k] if k % 2 else df[to_end == 9 - k])
    np.testing.assert_allclose(forecasts(by_row, df), forecasts(whole, df), rtol=1e-10)
    assert by_row.train_end_.equals(whole.train_end_)
    if not columns:
        np.testing.assert_allclose(by_row.predict()[whole.name], whole.predict()[whole.name], rtol=1e-10)


def test_weights_are_those_of_a_fit_on_all_rows_to_ten_digits():
    old, new = split(frame())
    settings = {"lags": 24, "scope": "local", **OPEN}
    model, whole = NARXForecaster(H, **settings).fit(old), NARXForecaster(H, **settings).fit(frame())
    before = model.model_.weight.clone()
    told = model.update(new)
    torch.testing.assert_close(model.model_.weight, whole.model_.weight, rtol=0, atol=1e-10)
    change = (whole.model_.weight - before).norm(), before.norm()
    b = [(whole.model_.bias - NARXForecaster(H, **settings).fit(old).model_.bias).norm()]
    size = torch.cat([before.flatten(), NARXForecaster(H, **settings).fit(old).model_.bias.flatten()]).norm()
    assert told.change == pytest.approx(float((change[0] ** 2 + b[0] ** 2).sqrt() / size))


def test_the_error_before_is_that_of_one_step_forecasts_in_seasonal_naive_scales():
    df = frame()
    old, new = split(df)
    model = NARXForecaster(H, 7, scope="local", season_length=7, **OPEN).fit(old)
    at = new.assign(cutoff=new["ds"] - 1)[["unique_id", "cutoff"]]
    ahead = model.predict_at(df, at, 1).merge(df, on=["unique_id", "ds"])
    mae = (ahead["NARXForecaster"] - ahead["y"]).abs().groupby(ahead["unique_id"]).mean()
    scale = old.groupby("unique_id")["y"].apply(lambda y: y.diff(7).abs().mean())
    assert model.update(new).error_before == pytest.approx((mae / scale).mean(), rel=1e-9)


def test_a_new_series_of_a_global_model_is_learnt_from_and_forecast():
    df = frame()
    settings = {"lags": 5, "scope": "global", "target_transforms": [], "window_scaling": "last", **OPEN}
    known = df[df["unique_id"] != "s1"]
    model = NARXForecaster(H, **settings).fit(known)
    told = model.update(df[df["unique_id"] == "s1"])
    assert told.new_series == ("s1",)
    whole = NARXForecaster(H, **settings).fit(df)
    torch.testing.assert_close(model.model_.weight, whole.model_.weight, rtol=0, atol=1e-10)
    fc = model.predict().set_index(["unique_id", "horizon"])["NARXForecaster"]
    expected = whole.predict().set_index(["unique_id", "horizon"])["NARXForecaster"]
    np.testing.assert_allclose(fc[expected.index], expected, rtol=1e-10)
    assert model.ridge_["unique_id"].tolist() == ["s0", "s2", "s1"]
    again = model.update(df[df["unique_id"] == "s1"])
    assert again.rows == 0
    assert "nothing has changed" in repr(again)


def test_rows_that_are_forgotten_count_by_a_power_of_the_factor():
    df = frame().query("unique_id == 's0'")
    y = df["y"].to_numpy()
    model = NARXForecaster(H, 2, scope="local", mode="open_loop", ridge=0.0, prior="zero", intercept=True).fit(df[:80])
    model.update(df[80:84], forget=0.9)
    model.update(df[84:], forget=0.8)
    t = np.arange(2, 90)
    weight = np.where(t < 80, 0.9**4, 0.9 ** np.maximum(83 - t, 0)) * 0.8**6
    weight = np.where(t >= 84, 0.8 ** (89 - t), weight)
    x, root = np.stack([np.ones(88), y[:-2], y[1:-1]], axis=1), np.sqrt(weight)
    bias, *lags = np.linalg.lstsq(x * root[:, None], y[2:] * root, rcond=None)[0]
    np.testing.assert_allclose(model.model_.weight.flatten(), lags, rtol=1e-8)
    np.testing.assert_allclose(model.model_.bias.flatten(), bias, rtol=1e-8)
    with pytest.raises(ArgumentError, match="up to 1"):
        model.update(df, forget=1.5)
    robust = NARXForecaster(H, 2, scope="local", loss="huber", **OPEN).fit(df[:80])
    with pytest.raises(ArgumentError, match=r"forget=0\.9"):
        robust.update(df, forget=0.9)


def test_a_network_takes_some_steps_from_where_it_is_and_the_same_ones_each_time():
    old, new = split(frame())
    settings = {"lags": 7, "model": "mlp", "mode": "open_loop", "max_steps": 10}
    first, second = (NARXForecaster(H, **settings).fit(old) for _ in range(2))
    told = first.update(new, steps=5)
    second.update(new, steps=5)
    assert told.way == "steps"
    assert 0 < told.change < 0.2
    pd.testing.assert_frame_equal(first.predict(), second.predict(), check_exact=True)
    assert first.train_end_["cutoff"].tolist() == list(LENGTHS)


def test_a_model_with_a_head_takes_steps_by_its_own_loss():
    old, new = split(frame())
    model = NARXForecaster(H, 5, scope="local", head="gaussian", max_steps=4).fit(old)
    told = model.update(new, steps=3)
    assert told.way == "steps"
    assert 0 < told.change < 0.1
    assert np.isfinite(model.sample_paths(5)["NARXForecaster"]).all()


@pytest.mark.parametrize("loss", ["nll", "crps"])
def test_an_update_of_a_law_makes_the_new_rows_likelier(loss):
    # As many new rows as old ones, three times as wild.
    rng = np.random.default_rng(5)
    df = pd.DataFrame({"ds": np.arange(400), "y": rng.normal(size=400) * np.repeat([1.0, 3.0], 200)})
    model = NARXForecaster(
        H, 1, scope="local", head="gaussian", loss=loss, target_transforms=[], window_scaling=None, mode="open_loop",
        max_steps=20, training=Training(learning_rate=0.05, validation=False),
    ).fit(df[:200])  # fmt: skip

    def surprise():
        x = torch.tensor(df["y"].to_numpy()[None, 199:-1, None])
        mean, spread = model.model_.step(x, None)[0][0, :, 0].detach().numpy().T
        return -stats.norm(mean, spread).logpdf(df["y"].to_numpy()[200:]).mean()

    before = surprise()
    assert model.update(df[200:], steps=60).way == "steps"
    after = surprise()
    # A law of its own, fitted to the new rows alone, at best.
    assert 1.42 + np.log(3) - 0.1 < after < before - 0.1


def test_steps_of_an_update_are_a_tenth_of_those_of_the_fit():
    # Adam's first step is the rate, whatever the gradient: the weights of the spread move by a tenth of .001 each time.
    old, new = split(frame())
    model = NARXForecaster(H, 5, scope="local", head="gaussian", mode="open_loop", max_steps=1).fit(old)
    before = model.model_.body.bias.detach().clone()
    model.update(new, steps=1)
    moved = (model.model_.body.bias - before).abs()
    assert moved.max().item() == pytest.approx(1e-4, rel=0.2)


def test_what_kept_open_loop_is_solved_anew_where_others_take_steps():
    old, new = split(frame())
    model = NARXForecaster(H, 7, scope="local", ridge=10.0, mode="closed_loop", max_steps=3).fit(old)
    model.kept_mode_ = {"s0": "open_loop", "s1": "closed_loop", "s2": "open_loop"}
    model.update(new, steps=3)
    whole = NARXForecaster(H, 7, scope="local", **OPEN).fit(frame())
    torch.testing.assert_close(model.model_.weight[::2], whole.model_.weight[::2], rtol=0, atol=1e-9)
    assert (model.model_.weight[1] - whole.model_.weight[1]).abs().max() > 1e-6


@pytest.mark.parametrize(
    "settings",
    [
        {"lags": 5, "model": DecisionTreeRegressor(random_state=0), "mode": "open_loop"},
        {"lags": 5, "strategy": "direct", "scope": "local"},
    ],
)
def test_what_cannot_go_on_is_fitted_again_on_all_rows(settings):
    old, new = split(frame())
    model = NARXForecaster(H, **settings).fit(old)
    assert model.update(new).way == "fitted again"
    pd.testing.assert_frame_equal(model.predict(), NARXForecaster(H, **settings).fit(frame()).predict())


def test_missing_values_are_filled_by_own_outputs_and_count_in_no_weight():
    df = frame()
    df.loc[df.groupby("unique_id").cumcount(ascending=False) == 5, "y"] = np.nan
    old, new = split(df)
    model = NARXForecaster(H, 5, scope="local", missing="own_output", **OPEN).fit(old)
    assert model.update(new).way == "least squares"
    assert np.isfinite(model.predict()["NARXForecaster"]).all()


FAULTS = {
    "gap": (lambda df, old, new: new[new.groupby("unique_id").cumcount() > 1], "2 in the first of these"),
    "changed": (lambda df, old, new: df.assign(y=df["y"].where(df["ds"] != 30, 0.0)), "3 rows up to the last one"),
    "old rows alone": (lambda df, old, new: old.assign(y=1.0), "fit again on all rows"),
    "earlier": (
        lambda df, old, new: pd.concat([df.groupby("unique_id").head(1).assign(ds=0), df]),
        "before the first one",
    ),
    "no target": (lambda df, old, new: new.rename(columns={"y": "z"}), "'y'"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_rows_that_do_not_follow_are_refused_and_the_model_stays_as_it_was(name):
    make, words = FAULTS[name]
    df = frame()
    old, new = split(df)
    model = NARXForecaster(H, 5, scope="local", **OPEN).fit(old)
    before = model.predict()
    with pytest.raises(FrameError, match=words):
        model.update(make(df, old, new))
    pd.testing.assert_frame_equal(model.predict(), before, check_exact=True)
    with pytest.raises(UnseenSeriesError, match="s9"):
        model.update(old[old["unique_id"] == "s0"].assign(unique_id="s9"))


def test_a_saved_model_is_updated_if_its_rows_were_saved(tmp_path):
    old, new = split(frame())
    model = NARXForecaster(H, 5, scope="local", **OPEN).fit(old)
    model.update(new.groupby("unique_id").head(4), forget=0.9)
    model.save(tmp_path / "small.tsforce")
    with pytest.raises(ArgumentError, match="training_rows=True"):
        tsforce.load(tmp_path / "small.tsforce").update(new)
    model.save(tmp_path / "whole.tsforce", training_rows=True)
    again = tsforce.load(tmp_path / "whole.tsforce")
    rest = new[new.groupby("unique_id").cumcount() >= 4]
    again.update(rest, forget=0.9)
    model.update(rest, forget=0.9)
    pd.testing.assert_frame_equal(again.predict(), model.predict(), check_exact=True)


def test_intervals_are_of_the_rows_with_the_new_ones():
    old, new = split(frame(), last=30)
    model, asked = (NARXForecaster(H, 3, scope="local", **OPEN).fit(old) for _ in range(2))
    asked.predict(level=50)
    for one in (model, asked):
        one.update(new)
    whole = NARXForecaster(H, 3, scope="local", **OPEN).fit(frame())
    pd.testing.assert_frame_equal(model.predict(level=50), whole.predict(level=50), rtol=1e-8)
    # One that had bounds before takes its errors at the new rows to its past ones.
    forecast = asked.predict(level=50)
    assert forecast.attrs["intervals"]["50"].endswith("; as 30 later cutoffs told (100%)")
    pd.testing.assert_series_equal(forecast["NARXForecaster"], whole.predict()["NARXForecaster"], rtol=1e-8)
