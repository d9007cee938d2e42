"""What a forecast starts from: new rows alone, young series, values that a transform cannot take."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.makers import as_it_stands, make_frame
from tests.pairs import pairs
from tsforce import Baseline, Difference, Ensemble, Log, NARXForecaster, Standardize
from tsforce.errors import ContextWarning, SeriesTooShortError

LINE = {"horizon": 4, "lags": 8, "season_length": 7, "mode": "open_loop"}
MODELS = {
    "local": NARXForecaster(**LINE, scope="local"),
    "local, differences": NARXForecaster(**LINE, scope="local", target_transforms=[Log(), Difference(7)]),
    "global": NARXForecaster(**LINE, **as_it_stands()),
    "global, last": NARXForecaster(**LINE, scope="global", window_scaling="last", target_transforms=[Standardize()]),
    "gru": NARXForecaster(**LINE, model="gru", max_steps=3),
    "seasonal_naive": Baseline("seasonal_naive", horizon=4, season_length=7),
    "drift": Baseline("drift", horizon=4),
    "theta": Baseline("theta", horizon=4, season_length=7),
    "ensemble": Ensemble([NARXForecaster(**LINE, scope="local"), Baseline("seasonal_naive", season_length=7)]),
}
STAMPS = {
    "days": lambda n: pd.date_range("2024-01-01", periods=n),
    "months": lambda n: pd.date_range("2010-01-31", periods=n, freq="ME"),
    "hours of a zone over a change of the clock": lambda n: pd.date_range(
        "2024-03-29", periods=n, freq="h", tz="Europe/Berlin"
    ),
    "whole numbers": lambda n: 10 + np.arange(n),
}


def learnt_and_later(later, stamps="days"):
    """Two series, and for each of them how many of its last rows come after the rows that are learnt from."""
    df = make_frame((60, 55), ids=["a", "b"])
    df["ds"] = np.concatenate([np.asarray(STAMPS[stamps](60), object), np.asarray(STAMPS[stamps](55), object)])
    df["ds"] = df["ds"].astype(STAMPS[stamps](2).dtype)
    back = df.groupby("unique_id").cumcount(ascending=False)
    return df, df[back >= df["unique_id"].map(later)], df[back < df["unique_id"].map(later)]


@pytest.mark.parametrize("name", MODELS)
def test_new_rows_alone_forecast_as_the_whole_history_does(name):
    df, learnt, later = learnt_and_later({"a": 3, "b": 20})
    model = MODELS[name].clone_unfitted().fit(learnt)
    whole, new = model.predict(history=df), model.predict(history=later)
    pd.testing.assert_frame_equal(new, whole, rtol=1e-9)
    ends = pd.DataFrame({"unique_id": ["a", "b"], "cutoff": df.groupby("unique_id")["ds"].nth(-2).to_numpy()})
    pd.testing.assert_frame_equal(model.predict_at(later, ends), model.predict_at(df, ends), rtol=1e-9)


@pytest.mark.parametrize("stamps", STAMPS)
def test_new_rows_are_joined_on_every_kind_of_stamp(stamps):
    df, learnt, later = learnt_and_later({"a": 2, "b": 7}, stamps)
    model = MODELS["local"].clone_unfitted().fit(learnt)
    pd.testing.assert_frame_equal(model.predict(history=later), model.predict(history=df), rtol=1e-9)
    # The frame of new rows begins elsewhere, in another order, and repeats rows that were learnt from.
    again = df[df.groupby("unique_id").cumcount(ascending=False) < 9].sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        model.predict(history=again).sort_values(["unique_id", "horizon"], ignore_index=True),
        model.predict(history=df),
        rtol=1e-9,
    )


def test_new_rows_of_polars_are_joined():
    df, learnt, later = learnt_and_later({"a": 3, "b": 3})
    model = MODELS["global"].clone_unfitted().fit(pl.from_pandas(learnt))
    new, whole = model.predict(history=pl.from_pandas(later)), model.predict(history=pl.from_pandas(df))
    assert new.columns == whole.columns
    np.testing.assert_allclose(new["NARXForecaster"], whole["NARXForecaster"], rtol=1e-9)


def test_new_rows_bring_their_inputs_and_those_that_were_learnt_from_stay_before_them():
    df, _, _ = learnt_and_later({"a": 0, "b": 0})
    rng = np.random.default_rng(0)
    df["price"], df["visits"] = rng.normal(size=len(df)), rng.normal(size=len(df))
    back = df.groupby("unique_id").cumcount(ascending=False)
    learnt, later, future = df[back >= 7], df[(back < 7) & (back >= 4)], df[back < 4].drop(columns="y")
    settings = {"future_exog": ["price"], "past_exog": ["visits"], "exog_lags": 9, "missing": "own_output"}
    model = NARXForecaster(**LINE, scope="local", **settings).fit(learnt)
    whole = model.predict(history=df[back >= 4], future_df=future)
    pd.testing.assert_frame_equal(model.predict(history=later, future_df=future), whole, rtol=1e-9)
    scenarios = model.predict(history=later, future_df={"as it came": future, "dear": future.assign(price=3.0)})
    first = scenarios[scenarios["scenario"] == "as it came"].drop(columns="scenario").reset_index(drop=True)
    pd.testing.assert_frame_equal(first, whole, rtol=1e-9)


def test_rows_that_are_in_both_are_read_from_the_history():
    df, learnt, _later = learnt_and_later({"a": 3, "b": 3})
    model = MODELS["local"].clone_unfitted().fit(learnt)
    corrected = df[df.groupby("unique_id").cumcount(ascending=False) < 5].assign(y=lambda d: d["y"] + 1.0)
    whole = df.copy()
    whole.loc[corrected.index, "y"] += 1.0
    pd.testing.assert_frame_equal(model.predict(history=corrected), model.predict(history=whole), rtol=1e-9)


@pytest.mark.parametrize("scope", ["local", "global"])
def test_new_rows_after_a_gap_are_not_joined_and_that_is_said(scope):
    _df, learnt, later = learnt_and_later({"a": 4, "b": 4})
    model = NARXForecaster(**LINE, scope=scope).fit(learnt)
    after_gap = later[later.groupby("unique_id").cumcount() > 0]
    with pytest.warns(ContextWarning, match=r"series 'a', 'b': as few as 3 rows"):
        model.predict(history=after_gap)


def test_before_a_young_series_stands_the_mean_of_what_it_has():
    model = NARXForecaster(**LINE, **as_it_stands(window_scaling=None)).fit(make_frame((60, 55)))
    young = pd.DataFrame({"unique_id": "young", "ds": [201, 202, 203], "y": [90.0, 110.0, 106.0]})
    grown = pd.DataFrame({"unique_id": "young", "ds": np.arange(196, 204), "y": [102.0] * 5 + [90.0, 110.0, 106.0]})
    with pytest.warns(ContextWarning, match=r"'young': as few as 3 rows"):
        forecast = model.predict(history=young)
    pd.testing.assert_frame_equal(forecast, model.predict(history=grown), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "scaling"), pairs(["linear", "polynomial", "mlp", "gru"], [None, "mean_abs", "standard", "last"])
)
def test_a_young_series_is_forecast_near_its_level_by_a_pooled_model(model, scaling):
    rng = np.random.default_rng(0)
    week = 1 + 0.1 * np.sin(np.arange(100) * 2 * np.pi / 7)
    rows = {f"s{k}": rng.uniform(50, 150) * (week + 0.02 * rng.normal(size=100)) for k in range(8)}
    rows["young"] = 100 * week[-3:]
    df = pd.concat(
        pd.DataFrame({"unique_id": k, "ds": pd.date_range(end="2024-12-31", periods=len(y)), "y": y})
        for k, y in rows.items()
    )
    scales = [Standardize()] if model in {"mlp", "gru"} and scaling in {None, "last"} else []
    settings = {"window_scaling": scaling, "target_transforms": scales, "max_steps": 60 if model != "linear" else None}
    fitted = NARXForecaster(7, 14, model=model, mode="open_loop", **settings).fit(df)
    with pytest.warns(ContextWarning, match="young"):
        forecast = fitted.predict()
    young = forecast.loc[forecast["unique_id"] == "young", "NARXForecaster"]
    assert young.between(80, 125).all(), young.tolist()


def test_a_backtest_says_which_windows_begin_before_their_lags_do():
    df = make_frame((60, 55))
    model = NARXForecaster(**LINE, scope="local").fit(df)
    with pytest.warns(ContextWarning, match=r"series 's0', 's1': as few as 3 rows"):
        early = model.predict_at(df, [3])
    assert np.isfinite(early["NARXForecaster"]).all()


def test_differences_that_cannot_begin_are_refused():
    model = MODELS["local, differences"].clone_unfitted().fit(make_frame((60, 55), ids=["a", "b"]))
    late = make_frame((3,), ids=["a"])
    late["ds"] += 400
    with pytest.raises(SeriesTooShortError, match="at least 8 rows"):
        model.predict(history=late)


def test_a_value_under_the_logarithm_is_said_whoever_meets_it():
    df = make_frame((60,), ids=["a"])
    later = df.copy()
    later.loc[57, "y"] = -1.0
    for model in (
        NARXForecaster(**LINE, target_transforms=[Log()]),
        Ensemble([NARXForecaster(**LINE, target_transforms=[Log()])]),
    ):
        with pytest.warns(ContextWarning, match=r"1 observed values lie below what Log\(\) learnt from"):
            model.fit(df).predict(history=later)
