"""Baseline: against plain arithmetic, the base-class loop, and blindness."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.forecasting.theta import ThetaModel

from tests.makers import make_frame, wreck_after
from tsforce import Baseline, Forecaster, compare
from tsforce.datasets import load
from tsforce.errors import ArgumentError, ArgumentTypeError, HorizonWarning
from tsforce.forecasting import baselines, learnt_baselines
from tsforce.forecasting.baselines import METHODS
from tsforce.forecasting.learnt_baselines import LEARNT

each = pytest.mark.parametrize(
    "method", [pytest.param(m, marks=pytest.mark.slow) if m == "arima" else m for m in METHODS]
)


@each
def test_predict_at_equals_the_loop_of_the_base_class(method):
    df = make_frame((60, 45, 30))
    model = Baseline(method, horizon=9, season_length=7).fit(df)
    pd.testing.assert_frame_equal(
        model.predict_at(df, [20, 25, 30]), Forecaster.predict_at(model, df, [20, 25, 30]), rtol=1e-12
    )


@each
def test_chunks_of_history_change_nothing(method, monkeypatch):
    df = make_frame((60, 45, 30))
    model = Baseline(method, horizon=9, season_length=7).fit(df)
    whole = model.predict_at(df, [20, 25, 30])
    monkeypatch.setattr(baselines, "_CHUNK_ROWS", 50)
    pd.testing.assert_frame_equal(model.predict_at(df, [20, 25, 30]), whole, check_exact=True)


@each
def test_rows_after_the_cutoff_change_no_bit(method):
    df = make_frame((60, 45, 30))
    model = Baseline(method, horizon=9, season_length=7).fit(df)
    wrecked = wreck_after(df, dict.fromkeys(["s0", "s1", "s2"], 25))
    pd.testing.assert_frame_equal(model.predict_at(df, [25]), model.predict_at(wrecked, [25]), check_exact=True)


def test_methods_do_what_their_names_say():
    df = pd.DataFrame({"ds": range(8), "y": [1.0, 2, 3, 4, 5, 6, 7, 9]})
    got = {m: Baseline(m, horizon=3, season_length=4).fit(df).predict()[m].tolist() for m in METHODS[:3]}
    assert got["naive"] == [9, 9, 9]
    assert got["seasonal_naive"] == [5, 6, 7]
    assert got["drift"] == pytest.approx([9 + 8 / 7, 9 + 16 / 7, 9 + 24 / 7])


def test_a_baseline_has_its_methods_name_or_an_alias():
    df = make_frame((20,))
    assert Baseline("naive", horizon=1).fit(df).predict().columns[-1] == "naive"
    assert Baseline("naive", horizon=1, alias="last").fit(df).predict().columns[-1] == "last"


@pytest.mark.parametrize("method", ["naive", "ets"])
def test_without_a_horizon_a_season_is_forecast_with_a_warning(method):
    model = Baseline(method, season_length=7).fit(make_frame((30,)))
    with pytest.warns(HorizonWarning, match=f"no horizon is named: {method} forecasts one season, 7 steps"):
        assert len(model.predict()) == 7
    assert len(model.predict(5)) == 5


def test_a_longer_horizon_than_the_constructors_needs_no_warning():
    assert len(Baseline("naive", horizon=2).fit(make_frame((20,))).predict(5)) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "niave"}, "Did you mean 'naive'"),
        ({"method": "thta"}, "Did you mean 'theta'"),
        ({"method": "naive", "horizon": 0}, "horizon=0"),
        ({"method": "ets", "n_jobs": 0}, "n_jobs=0: expected -1 for one process per core or a whole number"),
        ({"method": "ets", "n_jobs": -2}, "n_jobs=-2"),
        ({"method": "ets", "n_jobs": True}, "n_jobs=True"),
        ({"method": "theta", "n_jobs": 1.5}, "n_jobs=1.5"),
        ({"method": "theta", "season_length": 0}, "season_length=0"),
    ],
)
def test_bad_arguments_are_named(settings, message):
    with pytest.raises(ArgumentError, match=message):
        Baseline(**settings).fit(make_frame((20,)))


def test_a_y_argument_is_refused():
    with pytest.raises(ArgumentTypeError, match="column"):
        Baseline("naive").fit(make_frame((20,)), [1, 2])


def test_history_of_any_series_is_enough():
    model = Baseline("naive", horizon=2).fit(make_frame((20,)))
    fc = model.predict(history=pd.DataFrame({"unique_id": "new", "ds": [1, 2], "y": [4.0, 6.0]}))
    assert fc.to_numpy().tolist() == [["new", 3, 1, 6.0], ["new", 4, 2, 6.0]]
    assert np.isfinite(fc["naive"]).all()


# ---- methods that learn

AIR = load("airpassengers")
SMOOTHED = tuple(method for method in LEARNT if method != "arima")
learning = pytest.mark.parametrize("method", [*SMOOTHED, pytest.param("arima", marks=pytest.mark.slow)])


def awkward():
    """Series that nothing or little can be learnt of, and one of which all can."""
    rng = np.random.default_rng(1)
    return {
        "one_row": [4.0],
        "short": [3.0, 5.0, 4.0],
        "constant": [7.0] * 40,
        "zeros": [0.0] * 40,
        "huge": (1e200 * (2 + rng.random(40))).tolist(),
        "negative": (rng.normal(size=40) - 20).tolist(),
        "with_zeros": np.where(np.arange(40) % 4 == 3, 0.0, 5 + rng.random(40)).tolist(),
        "exact_season": [1.0, 2.0, 3.0, 5.0] * 10,
        "exact_line": np.arange(40.0).tolist(),
        "plain": (50 + rng.normal(size=40).cumsum()).tolist(),
    }


def one_series(y):
    return pd.DataFrame({"ds": range(len(y)), "y": y})


def test_theta_without_a_season_is_that_of_statsmodels():
    want = ThetaModel(AIR["y"].to_numpy(float), deseasonalize=False).fit().forecast(8)
    got = Baseline("theta", horizon=8, season_length=1).fit(AIR).predict()["theta"]
    # The best alpha is 1, which statsmodels comes within .0002 of; at the same alpha: tests/smoothing.
    np.testing.assert_allclose(got, want, rtol=2e-5)


def test_theta_with_a_season_is_that_of_statsmodels_where_both_tests_find_one():
    # On positive values both divide by the indices of the same decomposition; only the tests differ.
    want = ThetaModel(AIR["y"].to_numpy(float), period=12, method="multiplicative").fit().forecast(15)
    got = Baseline("theta", horizon=15).fit(AIR).predict()["theta"]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_theta_repeats_the_zeros_of_a_position_that_never_had_anything_else():
    fc = Baseline("theta", horizon=8, season_length=4).fit(one_series(awkward()["with_zeros"])).predict()
    assert fc["theta"][[3, 7]].tolist() == [0.0, 0.0]
    assert fc["theta"][[0, 1, 2, 4, 5, 6]].between(4.5, 6.5).all()


@each
def test_forecasts_are_the_same_in_any_unit(method):
    # A series whose forecasts do depend on it where statsmodels estimates the initial states.
    df = make_frame((72,)).assign(y=200 + np.random.default_rng(3).normal(size=72).cumsum().cumsum())
    yhat = [
        Baseline(method, horizon=12, season_length=1).fit(df.assign(y=df["y"] / unit)).predict()[method] * unit
        for unit in (1, 100, 1e-6)
    ]
    np.testing.assert_allclose(yhat[1:], [yhat[0]] * 2, rtol=1e-4)


def test_theta_and_ets_beat_repeating_the_last_value():
    models = {m: Baseline(m) for m in ("naive", *SMOOTHED)}
    mase = compare(models, AIR, horizon=12, n_windows=3).scores().set_index("model")["mase"]
    assert (mase[list(SMOOTHED)] < 0.6 * mase["naive"]).all()


@pytest.mark.parametrize(
    ("method", "by_naive2"),
    [
        # Without its season an exact one is a constant, which Theta and Naive2 repeat alike.
        ("theta", ["one_row", "short", "constant", "zeros", "exact_season"]),
        ("dynamic_theta", ["one_row", "short", "constant", "zeros"]),
        ("ets", ["one_row", "short", "constant", "zeros"]),
    ],
)
def test_awkward_series_are_forecast_in_silence_and_those_left_to_naive2_are_counted(method, by_naive2):
    df = pd.concat([one_series(y).assign(unique_id=name) for name, y in awkward().items()])
    filters = list(warnings.filters)
    fc = Baseline(method, horizon=6, season_length=4).fit(df).predict()
    assert warnings.filters == filters
    assert np.isfinite(fc[method]).all()
    naive2 = Baseline("naive2", horizon=6, season_length=4).fit(df).predict()["naive2"]
    same = (fc[method] == naive2).groupby(fc["unique_id"]).all()
    assert same.index[same].tolist() == sorted(by_naive2)
    assert fc.attrs["fallbacks"] == 4


@learning
def test_fallbacks_are_counted_per_window(method):
    df = one_series([*[3.0] * 20, 4.0, 5.0, 6.0])
    fc = Baseline(method, horizon=2).fit(df).predict_at(df, [1, 5, 19, 21, 22])
    assert fc.attrs["fallbacks"] == 3
    assert "fallbacks" not in Baseline("naive2", horizon=2).fit(df).predict().attrs


@learning
def test_forecasts_that_are_not_finite_are_left_to_naive2(method, monkeypatch):
    nowhere = LEARNT[method]._replace(forecasts=lambda values, indptr, horizon, *_: np.full((1, horizon), np.inf))
    monkeypatch.setitem(LEARNT, method, nowhere)
    fc = Baseline(method, horizon=5).fit(AIR).predict()
    np.testing.assert_array_equal(fc[method], Baseline("naive2", horizon=5).fit(AIR).predict()["naive2"])
    assert fc.attrs["fallbacks"] == 1


@learning
def test_an_exact_season_is_repeated_although_no_optimiser_can_improve_on_it(method):
    fc = Baseline(method, horizon=6, season_length=4).fit(one_series(awkward()["exact_season"])).predict()
    np.testing.assert_allclose(fc[method], [1, 2, 3, 5, 1, 2], rtol=1e-9)
    assert fc.attrs["fallbacks"] == 0


def test_a_bug_is_not_taken_for_a_failed_fit(monkeypatch):
    def broken(*given):
        raise TypeError("a bug")

    monkeypatch.setitem(LEARNT, "theta", LEARNT["theta"]._replace(fit=broken))
    with pytest.raises(TypeError, match="a bug"):
        Baseline("theta", horizon=5).fit(AIR).predict()


@learning
def test_what_fit_learnt_stays_and_the_rest_is_read_from_the_rows_up_to_the_cutoff(method):
    df = make_frame((80, 70))
    model = Baseline(method, horizon=5, season_length=7).fit(df.query("ds < 50"))
    learnt = [array.copy() for array in model._learnt_[0]]
    later = model.predict_at(df, [60])
    for array, same in zip(model._learnt_[0], learnt, strict=True):
        np.testing.assert_array_equal(array, same)
    anew = Baseline(method, horizon=5, season_length=7).fit(df.query("ds <= 60")).predict()
    assert not np.allclose(later[method], anew[method], rtol=1e-9)
    # Ten rows more move complex smoothing, whose forecasts need not end in a level, further than the others.
    np.testing.assert_allclose(later[method], anew[method], rtol=0.2 if method == "ces" else 0.1)
    # A series that fit did not see is learnt from its own rows.
    other = df.assign(unique_id=df["unique_id"] + "-new")
    np.testing.assert_allclose(model.predict_at(other, [60])[method], anew[method], rtol=1e-9)


@learning
def test_a_series_that_taught_fit_nothing_is_learnt_once_it_has_rows(method):
    df = make_frame((40,))
    model = Baseline(method, horizon=3, season_length=1).fit(df[:3])
    assert model.predict().attrs["fallbacks"] == 1
    fc = model.predict(history=df)
    assert fc.attrs["fallbacks"] == 0
    want = Baseline(method, horizon=3, season_length=1).fit(df).predict()
    np.testing.assert_allclose(fc[method], want[method], rtol=1e-9)


@pytest.mark.parametrize("rows", [4, 9, 10, 12, 15, 16, 23])
@learning
def test_a_season_too_long_for_the_rows_is_left_out(method, rows):
    df = make_frame((rows,), season=12)
    fc = Baseline(method, horizon=14, season_length=12).fit(df).predict()
    want = Baseline(method, horizon=14, season_length=1).fit(df).predict()
    pd.testing.assert_frame_equal(fc, want, check_exact=True)


@learning
def test_two_processes_give_the_bits_of_one(method):
    df = make_frame((40, 30))
    one, two = (
        Baseline(method, horizon=5, season_length=1, n_jobs=n).fit(df).predict_at(df, [20, 22, 24]) for n in (1, 2)
    )
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert one.attrs == two.attrs == {"fallbacks": 0}


def test_series_are_counted_on_stderr_when_asked(capsys, monkeypatch):
    theta = learnt_baselines.LEARNT["theta"]._replace(at_once=3)
    monkeypatch.setitem(learnt_baselines.LEARNT, "theta", theta)
    Baseline("theta", horizon=2, season_length=1, verbose=True).fit(make_frame((30, 20, 20, 10))).predict()
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["theta 3/4 series", "theta 4/4 series"]
    assert shown.err.endswith("\n")
    assert shown.out == ""


@pytest.mark.parametrize("settings", [{"method": "theta"}, {"method": "naive2", "verbose": True}])
def test_nothing_is_written_otherwise(settings, capsys):
    Baseline(**settings, horizon=2).fit(make_frame((20,))).predict()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("method", "n_rows"), [("ets_combined", 1000), ("ces", 1000), ("theta", 500), ("dynamic_theta", 500)]
)
def test_what_lies_many_rows_back_is_neither_learnt_from_nor_read_by_forecasts(method, n_rows):
    rng = np.random.default_rng(0)
    season = np.r_[np.tile([0.0, 30.0, 0.0, -30.0], 100), np.tile([5.0, 0.0, -5.0, 0.0], 250)]
    y = 100 + season + rng.normal(size=1400)
    whole, end = ({"unique_id": "a", "ds": np.arange(1400)[-n:], "y": y[-n:]} for n in (1400, n_rows))
    forecasts = [
        Baseline(method, horizon=6, season_length=4).fit(pd.DataFrame(rows)).predict()[method].to_numpy()
        for rows in (whole, end)
    ]
    np.testing.assert_allclose(forecasts[0], forecasts[1], rtol=1e-12)
