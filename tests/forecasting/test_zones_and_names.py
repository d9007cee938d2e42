"""Zones of stamps, and names of columns, in whatever a fitted forecaster is handed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.data.test_frame_errors import typed
from tsforce import Baseline, Ensemble, NARXForecaster, backtest, compare, fill_gaps
from tsforce.errors import ArgumentError, ArgumentTypeError, FrameError

HOURS = pd.date_range("2024-03-10", periods=24 * 35, freq="h", tz="Europe/Berlin")
LOCAL = pd.DataFrame({"unique_id": "a", "ds": HOURS, "y": 10.0 + 5 * (HOURS.hour == 8)})


def build(**settings):
    settings = {
        "horizon": 24,
        "lags": 1,
        "mode": "open_loop",
        "calendar": "hour",
        "alias": "m",
        "window_scaling": None,
    } | settings
    return NARXForecaster(**settings)


def elsewhere(df, zone="UTC"):
    return df.assign(ds=df["ds"].dt.tz_convert(zone))


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_features_of_the_calendar_go_by_the_zone_of_training_whatever_zone_the_same_instants_come_in(scope, zone):
    model = build(scope=scope).fit(LOCAL.iloc[:-24])
    own, other = (model.predict(history=frame.iloc[:-24]) for frame in (LOCAL, elsewhere(LOCAL, zone)))
    pd.testing.assert_frame_equal(own, other)
    assert own["m"].round(1).tolist() == LOCAL["y"].tail(24).tolist()
    cutoffs = [LOCAL["ds"].iloc[-25]]
    at = model.predict_at(elsewhere(LOCAL, zone), cutoffs)
    assert at["m"].tolist() == own["m"].tolist()
    assert at["m"].tolist() == model.predict_at(LOCAL, [cutoffs[0].tz_convert(zone)])["m"].tolist()
    assert model.score(elsewhere(LOCAL, zone)) == model.score(LOCAL)


def test_an_ensemble_and_a_backtest_without_refit_read_the_zone_of_training():
    model = Ensemble({"m": build(), "n": Baseline("seasonal_naive", horizon=24)}).fit(LOCAL.iloc[:-48])
    own, other = (model.predict(history=frame.iloc[:-24]) for frame in (LOCAL, elsewhere(LOCAL)))
    pd.testing.assert_frame_equal(own, other)
    fitted = build().fit(LOCAL.iloc[:-48])
    own, other = (backtest(fitted, frame, n_windows=2, refit=False).frame for frame in (LOCAL, elsewhere(LOCAL)))
    np.testing.assert_array_equal(own["m"], other["m"])
    assert own["m"].round(1).tolist() == LOCAL["y"].tail(48).tolist()


def test_days_of_a_zone_are_days_there_when_their_instants_come_in_utc():
    days = pd.date_range("2024-03-01", periods=60, freq="D", tz="Europe/Berlin")
    df = pd.DataFrame({"ds": days, "y": np.arange(60.0)})
    model = Baseline("naive", horizon=2).fit(df)
    ahead = model.predict(history=elsewhere(df))
    assert ahead["ds"].tolist() == list(pd.date_range("2024-04-30", periods=2, freq="D", tz="Europe/Berlin"))


def test_future_inputs_may_come_in_another_zone():
    df = LOCAL.assign(x=np.sin(np.arange(len(LOCAL))))
    model = build(future_exog=["x"]).fit(df.iloc[:-24])
    ahead = df.iloc[-24:].drop(columns="y")
    pd.testing.assert_frame_equal(model.predict(future_df=ahead), model.predict(future_df=elsewhere(ahead)))


@pytest.mark.parametrize("zoned", [True, False])
def test_stamps_with_and_without_a_zone_do_not_mix_and_the_repair_that_is_named_works(zoned):
    # Before the change of the clock.
    with_zone, without = LOCAL.iloc[:200], LOCAL.iloc[:200].assign(ds=LOCAL["ds"].dt.tz_localize(None))
    learnt, given = (with_zone, without) if zoned else (without, with_zone)
    model = build().fit(learnt)
    with pytest.raises(FrameError, match="the model has learnt") as caught:
        model.predict(history=given)
    pd.testing.assert_frame_equal(model.predict(history=typed(given, caught.value.faults)), model.predict())


# ---- names

DAYS = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2024-01-01", periods=40), "y": np.arange(40) % 7.0})


@pytest.mark.parametrize("alias", ["ds", "unique_id", "horizon", "cutoff"])
@pytest.mark.parametrize(
    "make", [NARXForecaster, lambda h, lags, mode, alias: Baseline("naive", horizon=h, alias=alias)]
)
def test_a_model_called_as_a_column_of_its_forecasts_is_refused(alias, make):
    model = make(3, 3, mode="open_loop", alias=alias).fit(DAYS)
    with pytest.raises(ArgumentError, match=f"a model is named '{alias}'.*another alias="):
        model.predict_at(DAYS, ["2024-02-01"])
    if alias == "cutoff":
        assert model.predict()["cutoff"].notna().all()
        return
    with pytest.raises(ArgumentError, match=f"a model is named '{alias}'.*another alias="):
        model.predict()


@pytest.mark.parametrize("argument", ["id_col", "time_col"])
@pytest.mark.parametrize("name", ["horizon", "cutoff"])
def test_an_id_or_a_time_called_as_a_column_of_the_forecasts_is_told_and_the_renamed_frame_is_forecast(argument, name):
    df = DAYS.rename(columns={{"id_col": "unique_id", "time_col": "ds"}[argument]: name})
    model = NARXForecaster(3, 3, mode="open_loop", **{argument: name}).fit(df)
    with pytest.raises(ArgumentError, match=f"{argument}='{name}': forecasts have a column") as caught:
        model.predict_at(df, ["2024-02-01"])
    renamed = typed(df, [str(caught.value)])
    found = NARXForecaster(3, 3, mode="open_loop", **{argument: f"my_{name}"}).fit(renamed).predict()
    expected = NARXForecaster(3, 3, mode="open_loop").fit(DAYS).predict()
    assert found["NARXForecaster"].tolist() == expected["NARXForecaster"].tolist()
    assert f"my_{name}" in found
    with pytest.raises(ArgumentError, match="forecasts have a column"):
        backtest(model, df, n_windows=2)


@pytest.mark.parametrize("names", [["store", "item"], ("store", "item")])
@pytest.mark.parametrize("make", [lambda **k: Baseline("naive", horizon=3, **k), lambda **k: NARXForecaster(3, 3, **k)])
def test_ids_of_several_columns_get_the_statement_that_joins_them(names, make):
    df = pd.concat([DAYS.assign(store=s, item=i) for s in "ab" for i in (1, 2)]).drop(columns="unique_id")
    for call in (
        lambda: make(id_col=names).fit(df),
        lambda: compare({"m": make(id_col=names)}, df, n_windows=1),
        lambda: fill_gaps(df, id_col=names),
    ):
        with pytest.raises(ArgumentTypeError, match=r"id_col=.*expected the name of one column") as caught:
            call()
        joined = typed(df, [str(caught.value)])
        assert joined["unique_id"].unique().tolist() == ["a/1", "a/2", "b/1", "b/2"]
