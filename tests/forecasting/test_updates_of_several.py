"""update of reference methods, ensembles and AutoNARX: members go on, and weights move with the errors seen."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, Ensemble, Forecaster, NARXForecaster
from tsforce.errors import FrameError
from tsforce.forecasting.parts import begin_fit, end_fit, horizon_of

H = 4
OPEN = {"mode": "open_loop", "ridge": 10.0, "scope": "local"}


def split(df, *, last=8):
    to_end = df.groupby("unique_id").cumcount(ascending=False)
    return df[to_end >= last], df[to_end < last]


class Last(Forecaster):
    """A forecaster of a user's, which knows no update."""

    def __init__(self, horizon=H):
        self.horizon = horizon

    def fit(self, df, y=None, *, mode=None):
        begin_fit(self, y)
        self._panel_ = self.read(df)
        end_fit(self, self._panel_, 1)
        return self

    def predict(self, horizon=None, *, future_df=None, history=None):
        panel = self._panel_ if history is None else self.read(history)
        last = panel.values[panel.indptr[1:] - 1]
        return self.write(panel, np.repeat(last, horizon_of(self, horizon), axis=1))


@pytest.mark.parametrize("method", ["naive", "drift", "naive2", "theta", "ets"])
def test_a_reference_method_goes_on_from_the_new_rows_with_the_parameters_it_has(method):
    df = make_frame((60, 50))
    old, new = split(df)
    model = Baseline(method, horizon=H, season_length=7).fit(old)
    expected = model.predict(history=df)
    told = model.update(new)
    assert (told.rows, told.n_series, told.way) == (16, 2, "state")
    assert np.isfinite(told.error_before)
    pd.testing.assert_frame_equal(model.predict(), expected, check_exact=True)
    assert model.train_end_["cutoff"].tolist() == [60, 50]


def test_a_new_series_of_a_method_that_learns_is_learnt():
    df = make_frame((60, 50, 55))
    model = Baseline("theta", horizon=H, season_length=7).fit(df[df["unique_id"] != "s2"])
    assert model.update(df[df["unique_id"] == "s2"]).new_series == ("s2",)
    whole = Baseline("theta", horizon=H, season_length=7).fit(df)
    pd.testing.assert_frame_equal(model.predict(), whole.predict(), check_exact=True)


def test_every_member_of_an_ensemble_goes_on_and_a_foreign_one_is_fitted_again():
    df = make_frame((60, 50))
    old, new = split(df)
    members = {"narx": NARXForecaster(H, 5, **OPEN), "drift": Baseline("drift", horizon=H), "last": Last()}
    model = Ensemble(members, combine="mean").fit(old)
    before = copy.deepcopy(model)
    told = model.update(new)
    assert {name: one.way for name, one in told.members.items()} == {
        "narx": "moments", "drift": "state", "last": "fitted again"
    }  # fmt: skip
    expected = Ensemble(members, combine="mean").fit(df)
    pd.testing.assert_frame_equal(model.predict(), expected.predict(), rtol=1e-10)
    # All rows stand there once.
    assert model.members_["drift"]._rows_ is model._rows_
    with pytest.raises(FrameError, match="missing between"):
        before.update(new[new.groupby("unique_id").cumcount() > 1])
    pd.testing.assert_frame_equal(before.predict(), Ensemble(members, combine="mean").fit(old).predict())


def test_a_new_series_is_combined_from_the_members_that_can_forecast_it():
    df = make_frame((60, 50))
    model = Ensemble([NARXForecaster(H, 5, **OPEN), Baseline("drift", horizon=H)]).fit(df[df["unique_id"] == "s0"])
    model.update(df[df["unique_id"] == "s1"])
    assert model.coverage_["n_members"].tolist() == [2, 1]
    drift = Baseline("drift", horizon=H).fit(df).predict().query("unique_id == 's1'")["drift"]
    np.testing.assert_array_equal(model.predict().query("unique_id == 's1'")["Ensemble"], drift)


@pytest.fixture(scope="module")
def auto():
    old, _ = split(make_frame((80, 70)), last=2 * H)
    return AutoNARX(H, season_length=7, budget="fast").fit(old)


def test_weights_of_autonarx_move_towards_members_that_forecast_the_new_rows(auto):
    model = copy.deepcopy(auto)
    before, names = model._weight_.copy(), list(model.members_)
    # What one member says comes true.
    heard = np.flatnonzero((before > 0.02).all(axis=1))
    chosen = heard[-1]
    told = model.members_[names[chosen]].predict()
    new = told.rename(columns={told.columns[-1]: "y"})[["unique_id", "ds", "y"]]
    update = model.update(new)
    assert (update.rows, update.n_series, update.way) == (2 * H, 2, "members")
    after = model._weight_
    np.testing.assert_allclose(after.sum(axis=0), 1)
    assert (after[chosen] > before[chosen]).all()
    assert update.change == pytest.approx(np.abs(after - before).sum(axis=0).mean() / 2)
    assert (after[before == 0] == 0).all()
    assert model.train_end_["cutoff"].tolist() == [72 + H, 62 + H]
    assert set(update.members) == set(names)
    # Evidence adds up: the next errors count beside those on trial and these.
    again = new.assign(ds=new["ds"] + H)
    model.update(again)
    trial = auto._windows_.n_windows * H
    np.testing.assert_array_equal(model._judged_steps_, trial + 2 * H)
    assert np.isfinite(model.predict()["AutoNARX"]).all()


def test_autonarx_updated_is_close_to_one_that_was_refitted_on_the_same_rows(auto):
    _, new = split(make_frame((80, 70)), last=2 * H)
    model = copy.deepcopy(auto)
    model.update(new)
    refitted = auto._refitted(auto.read(make_frame((80, 70))))
    apart = (model.predict()["AutoNARX"] - refitted.predict()["AutoNARX"]).abs().mean()
    assert apart < 1.0  # a noise of 1 about levels of 50 and 100


def test_a_new_series_of_autonarx_is_heard_with_the_mean_weights(auto):
    model = copy.deepcopy(auto)
    fresh = make_frame((60,), seed=5).assign(unique_id="new")
    model.update(fresh)
    np.testing.assert_allclose(model._weight_[:, 2], auto._weight_.mean(axis=1))
    assert np.isfinite(model.predict()["AutoNARX"]).all()
