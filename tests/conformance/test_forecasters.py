"""One contract for every public forecaster, found by looking; each check is a function with a plain name."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import tempfile
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

import tsforce
from tests.makers import make_frame, wreck_after
from tsforce import AutoNARX, Baseline, Difference, Ensemble, Forecaster, Log, NARXForecaster, Training
from tsforce.dynamics.models.families import Family
from tsforce.lag_transforms import ExponentiallyWeightedMean, RollingStd

H = 4
# How to build each public class; a new one must be added here, or the discovery test fails.
INSTANCES = {
    "NARXForecaster": [
        lambda: NARXForecaster(H, 7, mode="open_loop"),
        lambda: NARXForecaster(H, 7, scope="local", target_transforms=[Log(), Difference(7)], mode="open_loop"),
        lambda: NARXForecaster(H, [1, 7], window_scaling="standard", ridge=5.0, mode="open_loop"),
        lambda: NARXForecaster(H, 7, scope="local", max_steps=6, training=Training(batch_size=4)),
        lambda: NARXForecaster(
            H, 7, model="mlp", window_scaling="last", mode="curriculum", max_steps=6, training=Training(batch_size=8)
        ),
        lambda: NARXForecaster(
            H, [1, 7], model="gru", max_steps=4, training=Training(batch_size=4), mode="closed_loop"
        ),
        lambda: NARXForecaster(
            H, 3, model="encoder_decoder", max_steps=4, training=Training(batch_size=4), mode="curriculum"
        ),
        lambda: NARXForecaster(H, 5, model=DecisionTreeRegressor(min_samples_leaf=5, random_state=0), max_steps=2),
        lambda: NARXForecaster(
            H, 3, scope="local", lag_transforms={1: [ExponentiallyWeightedMean(0.3), RollingStd(5)]}, mode="open_loop"
        ),
        lambda: NARXForecaster(H, 3, scope="local", head="student_t", max_steps=2, mode="open_loop"),
        lambda: NARXForecaster(H, 3, strategy="direct", scope="local"),
        lambda: NARXForecaster(H, 3, strategy="dirrec", scope="local"),
        lambda: NARXForecaster(H, 3, strategy="rectify", scope="local"),
        lambda: NARXForecaster(H, 5, model=Ridge(), scope="local", mode="open_loop", target_transforms=[Difference(7)]),
        lambda: NARXForecaster(
            H, 5, model="mlp", scope="local", target_transforms=[Log()], max_steps=4, training=Training(batch_size=4)
        ),
    ],
    "Baseline": [
        lambda m=m: Baseline(m, horizon=H, season_length=7)
        for m in ("naive", "seasonal_naive", "drift", "naive2", "theta", "dynamic_theta", "ets", "ets_combined", "ces")
    ],
    "AutoNARX": [
        lambda: AutoNARX(H, season_length=7, budget="fast"),
        lambda: AutoNARX(
            H, season_length=7, candidates=["drift", {"map": NARXForecaster(H, 3, scope="local", mode="open_loop")}]
        ),
    ],
    "Ensemble": [
        lambda: Ensemble([NARXForecaster(H, 3, scope="local", mode="open_loop"), Baseline("drift", horizon=H)])
    ],
}


def tolerance(make):
    """Networks compute in float32, where the order of a sum shows."""
    return 1e-3 if any(name in repr(make()) for name in ("mlp", "gru", "encoder")) else 1e-9


def frame():
    return make_frame((60, 50, 45))


@functools.cache
def first_fit(make):
    """Return what was seen around the one fit of an instance that the checks share."""
    model, df = make(), frame()
    params, attributes = repr(model.get_params()), set(vars(model))
    returned = model.fit(df)
    return SimpleNamespace(model=model, df=df, params=params, attributes=attributes, returned=returned)


def fit(make):
    """Return a fitted model of the caller's own: each instance is fitted once, and copied for the checks."""
    return copy.deepcopy(first_fit(make).model)


def check_clone_has_equal_parameters_and_is_unfitted(make):
    unfitted = clone(fit(make))
    assert not unfitted.is_fitted
    assert repr(unfitted) == repr(make())


def check_constructor_stores_every_argument_unchanged(make):
    model = make()
    for name in inspect.signature(type(model).__init__).parameters:
        if name != "self":
            assert name in vars(model)


def check_fit_returns_self(make):
    assert first_fit(make).returned is first_fit(make).model


def check_fit_changes_no_parameter(make):
    assert repr(fit(make).get_params()) == first_fit(make).params


def check_fit_leaves_its_input_alone(make):
    pd.testing.assert_frame_equal(first_fit(make).df, frame())


def check_a_saved_one_is_loaded_with_equal_parameters_and_the_same_forecasts_to_the_bit(make):
    model = fit(make)
    if not isinstance(getattr(model, "model", ""), (str, Family)):
        pytest.importorskip("skops")
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model")
        loaded = tsforce.load(f"{folder}/model", trusted=["sklearn.tree._tree.Tree"])
    assert repr(loaded) == repr(model)
    pd.testing.assert_frame_equal(loaded.predict(), model.predict(), check_exact=True)
    at = [model.predict_at(frame(), [40, 30]) for model in (loaded, model)]
    pd.testing.assert_frame_equal(*at, check_exact=True)
    # What is left out is what no forecast reads; all else is there.
    rows = {"_learnt_from_", "_trials_", "_windows_", "_shares_"}
    assert set(vars(model)) - rows == set(vars(loaded)) - rows


def check_learnt_attributes_end_in_an_underscore(make):
    new = set(vars(first_fit(make).model)) - first_fit(make).attributes
    assert new
    assert all(name.endswith("_") for name in new)


def check_columns_and_rows_of_predict(make):
    model = fit(make)
    fc = model.predict()
    assert fc.columns.tolist() == ["unique_id", "ds", "horizon", model.name]
    assert isinstance(fc.index, pd.RangeIndex)
    assert fc["unique_id"].tolist() == [s for s in ("s0", "s1", "s2") for _ in range(H)]
    assert fc["horizon"].tolist() == 3 * [1, 2, 3, 4]
    assert fc["ds"].tolist() == [n + h for n in (60, 50, 45) for h in range(1, H + 1)]
    assert np.isfinite(fc[model.name]).all()


def check_columns_and_order_of_predict_at(make):
    model = fit(make)
    fc = model.predict_at(frame(), [40, 30])
    assert fc.columns.tolist() == ["unique_id", "ds", "cutoff", "horizon", model.name]
    assert fc["cutoff"].tolist() == 3 * (4 * [30] + 4 * [40])
    assert (fc["ds"] == fc["cutoff"] + fc["horizon"]).all()


def check_bounds_and_paths_stand_beside_the_same_forecasts(make):
    model = fit(make)
    got = model.predict(level=[80, 50])
    bounds = [f"{model.name}-{side}-{level}" for level in (50, 80) for side in ("lo", "hi")]
    assert got.columns.tolist() == ["unique_id", "ds", "horizon", model.name, *bounds]
    pd.testing.assert_frame_equal(got.drop(columns=bounds), model.predict(), check_exact=True)
    assert (got[bounds[0]] <= got[bounds[1]]).all()
    assert (got[bounds[2]] < got[bounds[3]]).all()
    at = model.predict_at(frame(), model.train_end_, level=[80, 50]).drop(columns="cutoff")
    pd.testing.assert_frame_equal(at, got, check_exact=True)
    wrecked = wreck_after(frame(), {"s0": 40, "s1": 40, "s2": 40})
    pd.testing.assert_frame_equal(
        model.predict_at(wrecked, [40], level=80), model.predict_at(frame(), [40], level=80), check_exact=True
    )
    # Paths are drawn from the errors that the bounds are of.
    paths = model.sample_paths(3)
    assert paths.columns.tolist() == ["unique_id", "ds", "horizon", "path", model.name]
    assert len(paths) == 3 * 3 * H
    assert np.isfinite(paths[model.name]).all()


def check_dtypes_of_id_and_time_come_back(make):
    df = make_frame((60, 50), freq="D")
    df["unique_id"] = df["unique_id"].astype("category")
    fc = make().fit(df).predict()
    assert fc["unique_id"].dtype == df["unique_id"].dtype
    assert fc["ds"].dtype == df["ds"].dtype


def check_horizon_argument_is_obeyed(make):
    model = fit(make)
    assert len(model.predict(2)) == 6
    pd.testing.assert_frame_equal(
        model.predict(2), model.predict()[lambda f: f["horizon"] <= 2].reset_index(drop=True), check_exact=True
    )


def check_bad_horizons_are_refused(make):
    model = fit(make)
    for bad in (0, -1, 1.5, "3"):
        with pytest.raises(ValueError, match="horizon"):
            model.predict(bad)


def check_predict_before_fit_raises(make):
    with pytest.raises(NotFittedError):
        make().predict()
    with pytest.raises(NotFittedError):
        make().predict_at(frame(), [30])


def check_a_failed_fit_is_not_fitted(make):
    model = fit(make)
    with pytest.raises(ValueError, match="y"):
        model.fit(frame().assign(y=np.nan))
    assert not model.is_fitted


def check_refit_forgets(make):
    model = make().fit(make_frame((80, 70), seed=5))
    model.fit(frame())
    pd.testing.assert_frame_equal(model.predict(), fit(make).predict(), check_exact=True)


def check_two_fits_give_the_same_bits(make):
    pd.testing.assert_frame_equal(make().fit(frame()).predict(), fit(make).predict(), check_exact=True)


def check_order_of_rows_is_irrelevant(make):
    shuffled = make().fit(frame().sample(frac=1, random_state=3)).predict()
    shuffled = shuffled.sort_values(["unique_id", "horizon"], ignore_index=True)
    pd.testing.assert_frame_equal(shuffled, fit(make).predict(), rtol=tolerance(make))


def check_predict_leaves_no_trace(make):
    model = fit(make)
    before = pickle.dumps(model)
    model.predict()
    model.predict_at(frame(), [30, 40])
    model.predict(history=frame())
    assert pickle.dumps(model) == before


def check_pickle_round_trip(make):
    model = fit(make)
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(again.predict(), model.predict(), check_exact=True)


def check_predict_at_equals_the_base_class_loop(make):
    model = fit(make)
    pd.testing.assert_frame_equal(
        model.predict_at(frame(), [30, 40]),
        Forecaster.predict_at(model, frame(), [30, 40]),
        rtol=tolerance(make),
    )


def check_predict_is_predict_at_the_last_row(make):
    model = fit(make)
    last = model.train_end_
    at = model.predict_at(frame(), last).drop(columns="cutoff")
    pd.testing.assert_frame_equal(at, model.predict(), check_exact=True)


def check_blind_after_the_cutoff(make):
    model = fit(make)
    cutoffs = pd.DataFrame({"unique_id": ["s0", "s1", "s2"], "cutoff": [50, 40, 35]})
    wrecked = wreck_after(frame(), dict(cutoffs.to_numpy()))
    pd.testing.assert_frame_equal(
        model.predict_at(frame(), cutoffs), model.predict_at(wrecked, cutoffs), check_exact=True
    )


def check_train_end_is_the_last_row_of_each_series(make):
    assert fit(make).train_end_.to_numpy().tolist() == [["s0", 60], ["s1", 50], ["s2", 45]]


def check_y_of_scikit_learn_is_refused(make):
    with pytest.raises(TypeError, match="column of df"):
        make().fit(frame(), frame()["y"])


def check_unsorted_columns_extra_columns_and_names(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tsforce.errors.UnusedColumnWarning)
        fc = make().fit(frame().assign(price=1.0)[["price", "y", "ds", "unique_id"]]).predict()
    pd.testing.assert_frame_equal(fc, fit(make).predict(), check_exact=True)


def check_one_series_without_an_id_column(make):
    fc = make().fit(frame().query("unique_id == 's0'").drop(columns="unique_id")).predict()
    assert fc["unique_id"].tolist() == ["y"] * H


CHECKS = [f for name, f in sorted(globals().items()) if name.startswith("check_")]
CASES = [
    pytest.param(check, make, id=f"{name}-{i}-{check.__name__[6:]}")
    for name, makers in INSTANCES.items()
    for i, make in enumerate(makers)
    for check in CHECKS
]


@pytest.mark.parametrize(("check", "make"), CASES)
def test_conformance(check, make):
    check(make)


@pytest.mark.slow
@pytest.mark.parametrize("make", [make for makers in INSTANCES.values() for make in makers])
def test_nothing_moves_when_what_lies_after_the_cutoffs_is_overwritten_or_taken_away(make):
    result = tsforce.check_blind(make(), frame())
    assert result.is_blind, result
    assert result.notes == ()


def test_every_public_forecaster_is_covered():
    public = {
        name
        for name in tsforce.__all__
        if inspect.isclass(getattr(tsforce, name)) and issubclass(getattr(tsforce, name), Forecaster)
    }
    assert public - {"Forecaster"} == set(INSTANCES)


def test_the_number_of_checks_is_known():
    assert (len(CHECKS), len(CASES)) == (27, 27 * 27)
