"""NARXForecaster: fast paths against slow twins, statsmodels, blindness, and what its parameters mean."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from statsmodels.tsa.ar_model import AutoReg

from tests.makers import grouped, make_frame, wreck_after
from tests.reference import ridge_rows, roll
from tsforce import Difference, Forecaster, Log, MeanScale, NARXForecaster, OpenLoop, Standardize
from tsforce.errors import (
    ArgumentError,
    ArgumentTypeError,
    ContextWarning,
    DivergenceWarning,
    HorizonWarning,
    SeriesTooShortError,
    UnseenSeriesError,
)

SETTINGS = [
    {"scope": "local"},
    {"scope": "local", "target_transforms": [Log(), Difference(7)]},
    {"scope": "local", "target_transforms": [Difference(1), Standardize()], "ridge": 3.0},
    {"scope": "local", "lags": [1, 7], "window_scaling": "standard", "ridge": 3.0},
    {"scope": "global"},
    {"scope": "global", "target_transforms": [Log(), Difference(1)], "window_scaling": None},
    {"scope": "global", "target_transforms": [MeanScale()], "window_scaling": "last", "context_length": 12},
    {"scope": "global", "lags": [1, 2, 9], "window_scaling": "standard", "target_transforms": [Difference(7)]},
]
IDS = [str(i) for i in range(len(SETTINGS))]


def build(**settings):
    return NARXForecaster(**grouped({"horizon": 6, "lags": 8, "season_length": 7, "mode": "open_loop", **settings}))


@pytest.fixture
def df():
    return make_frame()


def cutoffs_of(df, back=(30, 17, 6)):
    last = df.groupby("unique_id")["ds"].max()
    return pd.DataFrame([(name, end - b) for name, end in last.items() for b in back], columns=["unique_id", "cutoff"])


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_predict_at_equals_the_loop_of_the_base_class(df, settings):
    model = build(**settings).fit(df)
    fast = model.predict_at(df, cutoffs_of(df))
    slow = Forecaster.predict_at(model, df, cutoffs_of(df))
    pd.testing.assert_frame_equal(fast, slow, rtol=1e-9)


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_predict_equals_predict_at_the_last_row_to_the_bit(df, settings):
    model = build(**settings).fit(df)
    at = model.predict_at(df, cutoffs_of(df, back=(0,)))
    pd.testing.assert_frame_equal(model.predict(), at.drop(columns="cutoff"), check_exact=True)
    pd.testing.assert_frame_equal(model.predict(history=df), model.predict(), check_exact=True)


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_nothing_after_the_cutoff_changes_a_bit_of_a_forecast(df, settings):
    model = build(**settings).fit(df)
    cutoffs = cutoffs_of(df, back=(20,))
    wrecked = wreck_after(df, dict(cutoffs.to_numpy()))
    pd.testing.assert_frame_equal(model.predict_at(df, cutoffs), model.predict_at(wrecked, cutoffs), check_exact=True)


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_nan_after_the_cutoff_of_a_panel_never_reaches_a_forecast(df, settings):
    model = build(**settings).fit(df)
    panel = model.read(df)
    want = model.predict_at(panel, cutoffs_of(df, back=(20,)))
    for i in range(panel.n_series):
        panel.values[panel.indptr[i + 1] - 20 : panel.indptr[i + 1]] = np.nan
    pd.testing.assert_frame_equal(model.predict_at(panel, cutoffs_of(df, back=(20,))), want, check_exact=True)


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_fitting_twice_gives_the_same_bits(df, settings):
    model = build(**settings).fit(df)
    first = model.predict()
    pd.testing.assert_frame_equal(model.fit(df).predict(), first, check_exact=True)
    pd.testing.assert_frame_equal(build(**settings).fit(df).predict(), first, check_exact=True)


# A window's scale is read from observed rows once, so iterating on grown histories is the same only without one.
@pytest.mark.parametrize("settings", [s for i, s in enumerate(SETTINGS) if i in (0, 1, 2, 5)])
def test_a_forecast_is_one_step_iterated_on_its_own_outputs(df, settings):
    model = build(**settings).fit(df)
    want = model.predict()
    history = df
    for h in range(1, 7):
        step = model.predict(horizon=1, history=history)
        got = want.loc[want["horizon"] == h, "NARXForecaster"].to_numpy()
        np.testing.assert_allclose(step["NARXForecaster"], got, rtol=1e-7)
        grown = step.rename(columns={"NARXForecaster": "y"})[["unique_id", "ds", "y"]]
        history = pd.concat([history, grown]).sort_values(["unique_id", "ds"])


@pytest.mark.parametrize("settings", [s for s in SETTINGS if s["scope"] == "local"])
def test_local_models_of_a_panel_equal_models_fitted_alone(df, settings):
    # With prior="auto" the panel has a say in penalties and smoothing.
    settings = settings | {"prior": "zero"}
    together = build(**settings).fit(df).predict()
    for name, part in df.groupby("unique_id"):
        alone = build(**settings).fit(part).predict()
        np.testing.assert_allclose(
            alone["NARXForecaster"], together.loc[together["unique_id"] == name, "NARXForecaster"], rtol=1e-9
        )


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_many_windows_at_once_equal_one_by_one(df, settings):
    model = build(**settings).fit(df)
    cutoffs = cutoffs_of(df)
    together = model.predict_at(df, cutoffs)["NARXForecaster"].to_numpy().reshape(-1, 6)
    cutoffs = cutoffs.sort_values(["unique_id", "cutoff"])
    for k in range(len(cutoffs)):
        alone = model.predict_at(df, cutoffs.iloc[[k]])["NARXForecaster"].to_numpy()
        np.testing.assert_allclose(alone, together[k], rtol=1e-9)


@pytest.mark.parametrize("lags", [3, [1, 7]])
def test_closed_loop_forecasts_equal_statsmodels_dynamic_prediction(df, lags):
    model = build(lags=lags, scope="local", ridge=0.0, horizon=10).fit(df)
    fc = model.predict()
    for name, part in df.groupby("unique_id"):
        y = part["y"].to_numpy()
        oracle = AutoReg(y, lags=lags).fit()
        want = oracle.predict(start=len(y), end=len(y) + 9, dynamic=True)
        np.testing.assert_allclose(fc.loc[fc["unique_id"] == name, "NARXForecaster"], want, rtol=1e-6)


def test_a_forecast_equals_closed_form_ridge_and_a_plain_loop(df):
    fc = build(scope="local", ridge=12.0, target_transforms=[Log()]).fit(df).predict()
    for name, part in df.groupby("unique_id"):
        x = np.log(part["y"].to_numpy())
        weight, bias = ridge_rows(x, range(1, 9), 12.0, intercept=True)
        want = np.exp(roll(weight, bias, x[-8:], 6))
        np.testing.assert_allclose(fc.loc[fc["unique_id"] == name, "NARXForecaster"], want, rtol=1e-8)


def test_one_step_error_under_a_difference_is_that_of_the_same_model_on_levels(df):
    model = build(scope="local", ridge=2.0, target_transforms=[Difference(1)], lags=4).fit(df)
    cutoffs = pd.DataFrame({"unique_id": "s0", "cutoff": np.arange(60, 89)})
    y = df.loc[df["unique_id"] == "s0", "y"].to_numpy()
    got = y[60:89] - model.predict_at(df, cutoffs, 1)["NARXForecaster"].to_numpy()
    weight, bias = ridge_rows(np.diff(y), range(1, 5), 2.0, intercept=True)
    # w' diff + last level, written as one autoregression on five levels
    levels = np.zeros(5)
    levels[1:] += weight
    levels[:-1] -= weight
    levels[-1] += 1
    want = [y[t] - (bias + levels @ y[t - 5 : t]) for t in range(60, 89)]
    np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_shifting_time_shifts_the_stamps_and_nothing_else(df, settings):
    a = build(**settings).fit(df).predict()
    b = build(**settings).fit(df.assign(ds=df["ds"] + 1000)).predict()
    assert (b["ds"] == a["ds"] + 1000).all()
    np.testing.assert_array_equal(a["NARXForecaster"], b["NARXForecaster"])


@pytest.mark.parametrize("settings", [*SETTINGS[:5], *SETTINGS[6:]])
def test_scaling_y_scales_the_forecasts(df, settings):
    a = build(**settings).fit(df).predict()
    b = build(**settings).fit(df.assign(y=df["y"] * 8)).predict()
    np.testing.assert_allclose(b["NARXForecaster"], 8 * a["NARXForecaster"], rtol=1e-8)


def test_order_of_rows_and_series_is_irrelevant(df):
    a = build(scope="local").fit(df).predict()
    b = build(scope="local").fit(df.sample(frac=1, random_state=1)).predict()
    b = b.sort_values(["unique_id", "horizon"], ignore_index=True)
    pd.testing.assert_frame_equal(a, b, rtol=1e-9)


def test_predict_at_takes_stamps_for_all_series(df):
    model = build(scope="local").fit(df)
    fc = model.predict_at(df, [60, 65])
    assert fc[["unique_id", "cutoff"]].drop_duplicates().to_numpy().tolist() == [
        [name, cutoff] for name in ("s0", "s1", "s2") for cutoff in (60, 65)
    ]


@pytest.mark.parametrize("freq", ["D", "MS", "W-SUN", "h"])
def test_stamps_continue_at_the_frequency(freq):
    df = make_frame((60, 50), freq=freq)
    fc = build(lags=7).fit(df).predict()
    last = df["ds"].max()
    want = pd.date_range(last, periods=7, freq=freq)[1:]
    assert fc["ds"].tolist() == 2 * list(want)
    assert fc.columns.tolist() == ["unique_id", "ds", "horizon", "NARXForecaster"]


def test_names_of_columns_are_the_users(df):
    named = df.rename(columns={"unique_id": "shop", "ds": "day", "y": "sales"})
    model = build(id_col="shop", time_col="day", target_col="sales", alias="mine").fit(named)
    assert model.predict().columns.tolist() == ["shop", "day", "horizon", "mine"]
    assert model.train_end_.columns.tolist() == ["shop", "cutoff"]


# ---- parameters


@pytest.mark.parametrize(
    ("lags", "want"),
    [(3, (1, 2, 3)), ([7, 1], (1, 7)), (range(2, 5), (2, 3, 4)), (np.array([1, 2]), (1, 2)), (np.int64(2), (1, 2))],
)
def test_an_int_means_up_to_and_a_list_exactly_those(df, lags, want):
    assert build(lags=lags).fit(df).lags_ == want


@pytest.mark.parametrize(
    ("horizon", "scope", "transforms", "want"),
    [
        (6, "global", (), 22),  # a quarter of the median, 90
        (3, "global", (), 12),
        (1, "global", (), 8),  # a season and one more
        (20, "local", (), 22),
        (20, "local", (Difference(7),), 20),  # a quarter of 83
        (20, "global", (), 22),
        (60, "global", (Difference(7),), 20),
    ],
)
def test_auto_lags_are_four_horizons_within_a_quarter_of_the_rows_and_a_season(df, horizon, scope, transforms, want):
    model = build(horizon=horizon, lags="auto", scope=scope, target_transforms=transforms, ridge=1.0).fit(df)
    assert model.lags_ == tuple(range(1, want + 1))


@pytest.mark.parametrize(
    ("lengths", "scope", "horizon", "season", "want"),
    [
        ((90, 30, 120), "local", 20, 7, range(1, 15)),  # as many rows are left of the shortest
        ((90, 30, 120), "global", 20, 7, range(1, 23)),
        ((40, 40, 40), "local", 1, 1, range(1, 5)),  # no fewer than 4
        ((6, 6, 6), "global", 1, 1, range(1, 4)),  # but half of the rows
        ((6, 6, 6), "local", 1, 1, range(1, 3)),
        ((90, 30, 120), "global", 2, 24, range(1, 26)),
        ((90, 30, 120), "local", 2, 24, range(1, 26)),
        ((90, 30, 120), "local", 2, 29, range(1, 9)),  # a season that leaves the shortest no row
        ((90, 30, 120), "global", 2, 29, range(1, 31)),
        ((300, 280, 310), "local", 2, 120, (*range(1, 9), 120, 121)),
        ((300, 280, 310), "global", 2, 120, (*range(1, 9), 120, 121)),
        ((1200,), "local", 100, 1, range(1, 257)),
    ],
)
def test_auto_lags_leave_rows_to_learn_from_and_read_a_season(lengths, scope, horizon, season, want):
    settings = {"target_transforms": (), "ridge": 1.0, "season_length": season}
    model = build(horizon=horizon, lags="auto", scope=scope, **settings).fit(make_frame(lengths))
    assert model.lags_ == tuple(want)


@pytest.mark.parametrize(("freq", "season"), [("h", 24), ("D", 7), ("W-SUN", 52), ("MS", 12), ("QS", 4), ("YS", 1)])
def test_season_length_comes_from_the_frequency(freq, season):
    model = NARXForecaster(2, 3, ridge=1.0, mode="open_loop").fit(make_frame((40,), freq=freq))
    assert model.season_length_ == season


def test_an_intercept_is_fitted_unless_a_seasonal_difference_is_taken(df):
    for transforms, has in [((), True), ((Difference(1),), True), ((Difference(7),), False), ((Log(),), True)]:
        model = build(scope="local", target_transforms=transforms).fit(df)
        assert bool(model.model_.bias.any()) is has


def test_window_scaling_auto_is_none_locally_and_the_last_value_globally(df):
    assert build(scope="local").fit(df).window_scaling_ is None
    assert build(scope="global").fit(df).window_scaling_ == "last"
    assert build(scope="global", window_scaling=None).fit(df).window_scaling_ is None


@pytest.mark.parametrize("mode", ["open_loop", OpenLoop()])
def test_the_mode_that_was_trained_is_remembered(df, mode):
    assert build().fit(df, mode=mode).mode_ == "open_loop"
    assert build(mode=mode).fit(df).mode_ == "open_loop"


BAD = [
    ({"horizon": 0}, "horizon=0.*at least 1"),
    ({"horizon": -3}, "horizon=-3.*at least 1"),
    ({"horizon": 2.5}, r"horizon=2\.5.*whole number"),
    ({"horizon": True}, "horizon=True"),
    ({"lags": 0}, "lags=0.*at least 1"),
    ({"lags": [1, 1]}, "distinct"),
    ({"lags": []}, "lags=.*expected"),
    ({"lags": [0, 1]}, "at least 1"),
    ({"lags": 2.0}, "lags=2.0"),
    ({"lags": "many"}, "'auto'"),
    ({"lags": 1 + 2j}, "lags=.*expected 'auto'"),
    ({"time_limit": 0}, "time_limit=0: expected a number above 0"),
    ({"device": "gpu"}, "device='gpu': expected 'auto', 'cpu'"),
    ({"device": "cuda:77"}, "device='cuda:77'"),
    ({"model": "liner"}, "'linear'.*Did you mean 'linear'"),
    ({"scope": "locl"}, "Did you mean 'local'"),
    ({"window_scaling": "mean"}, "'mean_abs'"),
    ({"short_series": "ignore"}, "'raise', 'drop'"),
    ({"ridge": -1}, "ridge=-1.*at least 0"),
    ({"ridge": "big"}, "'auto'"),
    ({"ridge": float("nan")}, "ridge=nan"),
    ({"context_length": 3}, "shorter than the largest lag, 8"),
    ({"season_length": 0}, "season_length=0"),
    ({"validation": 0}, "validation=0"),
    ({"loss": "mea"}, "'mae', 'mse', 'huber', 'smape'"),
    ({"loss_space": "levels"}, "Did you mean 'level'"),
    ({"max_steps": 0}, "max_steps=0"),
    ({"learning_rate": 0}, "learning_rate=0.*above 0"),
    ({"batch_size": -1}, "batch_size=-1"),
    ({"random_state": -1}, "random_state=-1"),
    ({"mode": "open_lop"}, "Did you mean 'open_loop'"),
    ({"freq": "nonsense"}, "no pandas frequency"),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=[str(b[0]) for b in BAD])
def test_a_bad_argument_is_named_with_what_is_accepted(df, settings, message):
    model = build(**settings)
    with pytest.raises(ArgumentError, match=message):
        model.fit(df)
    assert not model.is_fitted


@pytest.mark.parametrize("transforms", [[Log], ["Log"], [1], Log])
def test_a_transform_that_is_no_object_is_named(df, transforms):
    with pytest.raises(ArgumentTypeError, match=r"Log\(\)"):
        build(target_transforms=transforms).fit(df)


def test_a_y_argument_is_refused_with_the_fix(df):
    with pytest.raises(ArgumentTypeError, match=r"target is a column.*mode="):
        build().fit(df, df["y"])
    with pytest.raises(TypeError):
        build().fit(df, "open_loop")


def test_predicting_before_fit_raises_scikit_learns_error(df):
    for call in (lambda m: m.predict(), lambda m: m.predict_at(df, [50])):
        with pytest.raises(NotFittedError, match="call fit"):
            call(build())


def test_a_failed_refit_leaves_nothing_that_looks_fitted(df):
    model = build().fit(df)
    with pytest.raises(ValueError, match="duplicate"):
        model.fit(pd.concat([df, df]))
    with pytest.raises(NotFittedError):
        model.predict()


@pytest.mark.parametrize("horizon", [0, -1, 1.5, "6"])
def test_a_bad_horizon_at_predict_is_refused(df, horizon):
    with pytest.raises(ArgumentError, match="horizon="):
        build().fit(df).predict(horizon)


def test_going_past_the_trained_horizon_warns_and_names_it(df):
    model = build().fit(df)
    with pytest.warns(HorizonWarning, match="trained horizon of 6"):
        longer = model.predict(9)
    short = longer[longer["horizon"] <= 6].reset_index(drop=True)
    pd.testing.assert_frame_equal(short, model.predict(), check_exact=True)


# ---- short and unseen series


def test_a_short_series_is_named_with_the_ways_out():
    df = make_frame((90, 12, 70))
    with pytest.raises(
        SeriesTooShortError, match=r"'s1'.*12 rows.*lags=8.*at least 16.*drop.*scope=\"global\""
    ) as info:
        build(scope="local", target_transforms=[Difference(7)]).fit(df)
    assert isinstance(info.value, ValueError)


def test_a_short_series_can_be_dropped_and_is_listed():
    df = make_frame((90, 12, 70))
    model = build(scope="local", target_transforms=[Difference(7)], short_series="drop").fit(df)
    assert model.short_series_ == ["s1"]
    assert model.predict()["unique_id"].unique().tolist() == ["s0", "s2"]
    rest = build(scope="local", target_transforms=[Difference(7)]).fit(df[df["unique_id"] != "s1"])
    np.testing.assert_allclose(model.predict()["NARXForecaster"], rest.predict()["NARXForecaster"], rtol=1e-12)


def test_a_global_model_forecasts_series_shorter_than_its_lags():
    model = build(scope="global").fit(make_frame((90, 5, 70)))
    with pytest.warns(ContextWarning, match=r"series 's1': as few as 5 rows .* reach back over 8"):
        fc = model.predict()
    assert len(fc) == 18
    assert np.isfinite(fc["NARXForecaster"]).all()


@pytest.mark.parametrize("scope", ["local", "global"])
def test_when_all_series_are_too_short_the_error_says_so(scope):
    with pytest.raises(SeriesTooShortError, match="at least 9"):
        build(scope=scope, short_series="drop").fit(make_frame((8, 5)))


def test_an_unseen_series_is_an_error_for_local_models(df):
    model = build(scope="local").fit(df)
    with pytest.raises(UnseenSeriesError, match=r"'new'.*scope='global'"):
        model.predict(history=make_frame((60,), ids=["new"]))


@pytest.mark.parametrize("transforms", [[], [Log(), Difference(1)], [Standardize()]])
def test_an_unseen_series_is_forecast_as_if_it_had_been_known(df, transforms):
    model = build(scope="global", target_transforms=transforms, ridge=1.0).fit(df)
    history = df[df["unique_id"] == "s1"].assign(unique_id="new")
    both = pd.concat([df[df["unique_id"] == "s0"], history])
    fc = model.predict(history=both)
    known = model.predict()
    np.testing.assert_allclose(
        fc.loc[fc["unique_id"] == "new", "NARXForecaster"],
        known.loc[known["unique_id"] == "s1", "NARXForecaster"], rtol=1e-9,
    )  # fmt: skip
    np.testing.assert_allclose(
        fc.loc[fc["unique_id"] == "s0", "NARXForecaster"],
        known.loc[known["unique_id"] == "s0", "NARXForecaster"], rtol=1e-9,
    )  # fmt: skip


def test_what_an_unseen_series_teaches_is_blind_after_each_cutoff(df):
    model = build(scope="global", target_transforms=[Log(), Standardize()], ridge=1.0).fit(df)
    new = make_frame((80,), ids=["new"], seed=9)
    cutoffs = pd.DataFrame({"unique_id": "new", "cutoff": [40, 60]})
    want = model.predict_at(new, cutoffs)
    pd.testing.assert_frame_equal(want, Forecaster.predict_at(model, new, cutoffs), rtol=1e-9)
    got = model.predict_at(wreck_after(new, {"new": 60}), cutoffs)
    pd.testing.assert_frame_equal(want, got, check_exact=True)


def test_a_history_too_short_for_the_differences_is_named(df):
    model = build(target_transforms=[Difference(7)]).fit(df)
    with pytest.raises(SeriesTooShortError, match=r"'s0'.*at least 8 rows"):
        model.predict(history=df.groupby("unique_id").head(7))


# ---- guard, counts, estimator habits


def test_the_guard_clips_a_diverging_roll_out_and_counts_it():
    explosive = pd.DataFrame({"unique_id": "s", "ds": range(30), "y": 1.5 ** np.arange(30)})
    model = NARXForecaster(40, 1, scope="local", ridge=0.0, mode="open_loop").fit(explosive)
    with pytest.warns(DivergenceWarning, match="1 of 1 forecasts .* more than 10 times its range"):
        fc = model.predict()
    y = explosive["y"]
    bound = y.max() + 10 * (y.max() - y.min())
    assert fc["NARXForecaster"].max() == pytest.approx(bound)
    assert fc.attrs["clipped_windows"] == 1
    assert build().fit(make_frame()).predict().attrs == {"clipped_windows": 0, "clamped_values": 0}


def test_values_outside_the_logarithms_domain_are_clamped_and_counted(df):
    model = build(scope="local", target_transforms=[Log()]).fit(df)
    later = df.copy()
    later.loc[later.index[88:90], "y"] = -5.0
    with pytest.warns(ContextWarning, match=r"2 observed values lie below what Log\(\) learnt from"):
        fc = model.predict(history=later)
    assert fc.attrs["clamped_values"] == 2
    assert np.isfinite(fc["NARXForecaster"]).all()


def test_predicting_leaves_no_trace(df):
    model = build().fit(df)
    before = pickle.dumps(model)
    model.predict()
    model.predict(history=df.head(50))
    model.predict_at(df, [40, 50])
    assert pickle.dumps(model) == before


def test_a_pickled_model_forecasts_the_same(df):
    model = build(scope="local", target_transforms=[Log()]).fit(make_frame((60, 50), freq="MS"))
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(model)).predict(), model.predict(), check_exact=True)


def test_fit_changes_no_parameter_and_no_input(df):
    model = build(lags="auto", target_transforms=[Log()])
    before, copy = model.get_params(), df.copy()
    assert model.fit(df) is model
    assert model.get_params() == before
    pd.testing.assert_frame_equal(df, copy)


def test_clone_and_set_params_work(df):
    model = build(target_transforms=[Log(), Difference(7)], scope="local").fit(df)
    fresh = clone(model)
    assert not fresh.is_fitted
    assert fresh.get_params() == model.get_params()
    fresh.set_params(lags=3)
    assert fresh.fit(df).lags_ == (1, 2, 3)


def test_train_end_names_the_last_row_of_each_series(df):
    assert build().fit(df).train_end_.to_numpy().tolist() == [["s0", 90], ["s1", 70], ["s2", 120]]
