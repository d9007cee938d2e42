"""Ensemble: combination, coverage, and the Forecaster contract."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame, wreck_after
from tsforce import Baseline, Difference, Ensemble, Forecaster, Log, NARXForecaster
from tsforce.errors import ArgumentError, ArgumentTypeError, ContextWarning, SeriesTooShortError, UnseenSeriesError


def narx(lags, *transforms, mode="open_loop", **settings):
    # Open loop is least squares: what is combined here is quick to fit.
    return NARXForecaster(5, lags, scope="local", target_transforms=transforms, season_length=7, mode=mode, **settings)


@pytest.fixture
def members():
    return {
        "plain": narx(7),
        "log": narx(14, Log(), Difference(7)),
        "naive2": Baseline("naive2", season_length=7, horizon=5),
    }


@pytest.mark.parametrize(("combine", "function"), [("median", np.median), ("mean", np.mean)])
@pytest.mark.parametrize("count", [2, 3])
def test_the_forecast_is_the_median_or_mean_of_the_members(members, combine, function, count):
    df = make_frame()
    chosen = dict(list(members.items())[:count])
    got = Ensemble(chosen, combine=combine).fit(df).predict()["Ensemble"]
    each = [m.fit(df).predict().iloc[:, -1].to_numpy() for m in chosen.values()]
    np.testing.assert_allclose(got, function(each, axis=0), rtol=1e-12)


def test_weights_weigh_the_mean(members):
    df = make_frame()
    got = Ensemble(members, combine="mean", weights=[1, 0, 3]).fit(df).predict()["Ensemble"]
    each = [m.fit(df).predict().iloc[:, -1].to_numpy() for m in members.values()]
    np.testing.assert_allclose(got, (each[0] + 3 * each[2]) / 4, rtol=1e-12)


def test_predict_at_equals_the_loop_of_the_base_class_and_predict(members):
    df = make_frame()
    model = Ensemble(members).fit(df)
    pd.testing.assert_frame_equal(model.predict_at(df, [50, 60]), Forecaster.predict_at(model, df, [50, 60]), rtol=1e-9)
    last = df.groupby("unique_id", as_index=False)["ds"].max().rename(columns={"ds": "cutoff"})
    pd.testing.assert_frame_equal(model.predict(), model.predict_at(df, last).drop(columns="cutoff"), check_exact=True)
    pd.testing.assert_frame_equal(model.predict(history=df), model.predict(), check_exact=True)


def test_rows_after_the_cutoff_change_no_bit(members):
    df = make_frame()
    model = Ensemble(members).fit(df)
    wrecked = wreck_after(df, dict.fromkeys(["s0", "s1", "s2"], 55))
    pd.testing.assert_frame_equal(model.predict_at(df, [55]), model.predict_at(wrecked, [55]), check_exact=True)


def test_a_series_too_short_for_a_member_is_combined_from_the_others(members):
    df = make_frame((90, 18, 70))
    model = Ensemble(members).fit(df)
    assert model.coverage_.to_numpy().tolist() == [["s0", 3], ["s1", 2], ["s2", 3]]
    fc = model.predict()
    assert len(fc) == 15
    each = [m.set_params(short_series="drop").fit(df) if hasattr(m, "lags") else m.fit(df) for m in members.values()]
    parts = [m.predict() for m in each]
    mine = [p.loc[p["unique_id"] == "s1"].iloc[:, -1].to_numpy() for p in parts]
    assert [len(p) for p in mine] == [5, 0, 5]
    np.testing.assert_allclose(fc.loc[fc["unique_id"] == "s1", "Ensemble"], (mine[0] + mine[2]) / 2, rtol=1e-12)
    with pytest.warns(ContextWarning, match="'s0', 's2': as few as 17 rows"):
        assert np.isfinite(model.predict_at(df, [17])["Ensemble"]).all()


def test_a_member_that_fits_no_series_is_left_out(members):
    df = make_frame((30, 25))
    model = Ensemble({**members, "long": narx(60)}).fit(df)
    assert list(model.members_) == list(members)
    assert model.coverage_["n_members"].tolist() == [3, 3]


def test_no_member_fitting_any_series_is_an_error():
    with pytest.raises(SeriesTooShortError, match="no member can fit any series"):
        Ensemble([narx(60), narx(80)]).fit(make_frame((30, 25)))


def test_series_no_member_fits_are_listed_and_refused():
    df = make_frame((90, 5))
    model = Ensemble([narx(8), narx(9)]).fit(df)
    assert model.short_series_ == ["s1"]
    assert model.predict()["unique_id"].unique().tolist() == ["s0"]
    with pytest.raises(UnseenSeriesError, match="'s1'"):
        model.predict(history=df)


def test_the_given_members_are_never_changed(members):
    Ensemble(members).fit(make_frame())
    assert not any(m.is_fitted for m in members.values())
    assert members["plain"].short_series == "raise"


BAD = [
    ({"members": []}, ArgumentError, "at least one"),
    ({"members": narx(3)}, ArgumentTypeError, "members is a NARXForecaster; expected a list"),
    ({"members": ["naive"]}, ArgumentTypeError, "expected a Forecaster"),
    ({"members": [narx(3)], "combine": "mode"}, ArgumentError, "'median', 'mean'"),
    ({"members": [narx(3)], "weights": [1.0]}, ArgumentError, "combine='mean'"),
    ({"members": [narx(3)], "weights": [1, 2], "combine": "mean"}, ArgumentError, "expected 1 numbers"),
    ({"members": [narx(3), narx(4)], "weights": [0, 0], "combine": "mean"}, ArgumentError, "not all 0"),
    ({"members": [narx(3), NARXForecaster(9, 3, mode="open_loop")]}, ArgumentError, "different horizons"),
    ({"members": [narx(3), narx(3, target_col="z")]}, ArgumentError, "differ in target_col"),
]


@pytest.mark.parametrize(("settings", "error", "message"), BAD)
def test_bad_arguments_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        Ensemble(**settings).fit(make_frame())
