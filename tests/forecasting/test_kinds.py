"""Whatever kind of frame goes in, the same forecasts come out, in the same kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.forecasting.test_inputs import after, frame
from tests.makers import make_frame
from tsforce import Baseline, ClosedLoopSplit, Ensemble, NARXForecaster, backtest, to_long
from tsforce.errors import FrameError

polars = pytest.importorskip("polars")
pytestmark = pytest.mark.filterwarnings("ignore::tsforce.errors.UnusedColumnWarning")


def build(**settings):
    return NARXForecaster(**{"horizon": 4, "lags": 7, "mode": "open_loop"} | settings)


def to_polars(df):
    return polars.from_dict({name: df[name].tolist() for name in df.columns})


MODELS = [build(), build(scope="local"), Baseline("naive2", horizon=4), Ensemble([build(), build(lags=3)])]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_polars_in_polars_out_with_the_same_numbers(model):
    df = make_frame(freq="D")
    other = to_polars(df)
    plain, same = model.clone_unfitted().fit(df), model.clone_unfitted().fit(other)
    stamps = [df["ds"].max() - pd.Timedelta(days=9)]
    for mine, wanted in (
        (same.predict(), plain.predict()),
        (same.predict(history=other), plain.predict()),
        (same.predict_at(other, stamps), plain.predict_at(df, stamps)),
    ):
        assert isinstance(mine, polars.DataFrame)
        assert mine.columns == wanted.columns.tolist()
        for name in mine.columns:
            np.testing.assert_array_equal(mine[name].to_list(), wanted[name].tolist())
    cutoffs = polars.DataFrame({"unique_id": ["s1"], "cutoff": stamps})
    assert same.predict_at(other, cutoffs)["unique_id"].unique().to_list() == ["s1"]


def test_a_backtest_of_polars_gives_polars():
    df = make_frame(freq="D")
    mine, wanted = backtest(build(), to_polars(df), n_windows=3), backtest(build(), df, n_windows=3)
    assert isinstance(mine.frame, polars.DataFrame)
    assert mine.frame.columns == wanted.frame.columns.tolist()
    np.testing.assert_array_equal(mine.frame["NARXForecaster"], wanted.frame["NARXForecaster"])
    pd.testing.assert_frame_equal(mine.scores(), wanted.scores())
    pd.testing.assert_frame_equal(mine.exposure(), wanted.exposure())


def test_polars_inputs_scenarios_and_folds():
    df = frame()
    settings = {"future_exog": ["price", "promo"], "past_exog": ["traffic"], "static": ["town"]}
    plain, same = build(**settings).fit(df), build(**settings).fit(to_polars(df))
    future = {"a": after(df, seed=1), "b": after(df, seed=2)}
    mine = same.predict(future_df={name: to_polars(given) for name, given in future.items()})
    wanted = plain.predict(future_df=future)
    assert mine.columns == wanted.columns.tolist()
    np.testing.assert_allclose(mine["NARXForecaster"], wanted["NARXForecaster"], rtol=1e-12)
    folds = list(ClosedLoopSplit(4, 2).split(to_polars(df)))
    for own, other in zip(folds, ClosedLoopSplit(4, 2).split(df), strict=True):
        np.testing.assert_array_equal(own[0], other[0])
        np.testing.assert_array_equal(own[1], other[1])


@pytest.mark.parametrize("kind", ["series", "frame", "periods", "indexed by time with inputs"])
def test_time_in_the_index_gives_the_forecasts_of_the_long_frame(kind):
    df = frame((60,))[["unique_id", "ds", "y", "price"]]
    index = pd.DatetimeIndex(df["ds"])
    settings, given = {}, {}
    if kind == "series":
        odd = df["y"].set_axis(index)
    elif kind == "frame":
        odd = df[["y"]].set_axis(index).rename(columns={"y": "sales"})
    elif kind == "periods":
        odd = df["y"].set_axis(pd.PeriodIndex(index, freq="D"))
    else:
        odd = df[["y", "price"]].set_axis(index)
        settings = {"future_exog": "price"}
        given = {"future_df": after(df).set_index("ds")[["price"]]}
    forecast = build(**settings).fit(odd).predict(**given)
    long = build(**settings).fit(df).predict(**({"future_df": after(df)} if given else {}))
    assert forecast["unique_id"].unique().tolist() == ["y"]
    np.testing.assert_array_equal(forecast["NARXForecaster"], long["NARXForecaster"])
    assert forecast["ds"].tolist() == long["ds"].tolist()


@pytest.mark.parametrize("dtype", ["int64", "int32", "Int64", "float64"])
def test_large_whole_numbers_keep_their_last_digit_and_each_series_goes_on_from_its_own_last_row(dtype):
    # Floats of 32 bits have only every eighth number here.
    rows = [("a", step, 10**8 + 3 * step) for step in range(60)] + [("b", step, 10**8 - 5 * step) for step in range(50)]
    df = pd.DataFrame(rows, columns=["unique_id", "ds", "y"]).astype({"y": dtype})
    for model in (Baseline("drift", horizon=2), build(horizon=2, lags=2, scope="local")):
        fc = model.fit(df).predict()
        assert fc["ds"].tolist() == [60, 61, 50, 51]
        want = [180, 183, -250, -255]
        np.testing.assert_allclose(fc[model.name] - 10**8, want, rtol=0, atol=0.01)


def test_a_wide_frame_becomes_the_panel_it_shows():
    df = make_frame((60, 60), freq="D")
    wide = df.pivot(index="ds", columns="unique_id", values="y")
    mine, wanted = build().fit(to_long(wide)).predict(), build().fit(df).predict()
    np.testing.assert_array_equal(mine["NARXForecaster"], wanted["NARXForecaster"])


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Melbourne"])
@pytest.mark.parametrize("freq", ["h", "D", "W-SUN", "MS"])
def test_time_zones_are_kept_through_changes_of_the_clock(zone, freq):
    stamps = pd.date_range("2024-03-20", periods=400, freq=freq, tz=zone)
    df = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": np.sin(np.arange(400.0))})
    fc = build(lags=24, horizon=16).fit(df.iloc[:380]).predict(16)
    assert fc["ds"].tolist() == stamps[380:396].tolist()
    assert fc["ds"].dtype == df["ds"].dtype


def test_faults_of_a_polars_frame_begin_with_the_step_to_pandas():
    df = make_frame((30, 30), freq="D").drop(index=7)
    with pytest.raises(FrameError, match=r"df = df.to_pandas\(\)") as caught:
        build().fit(to_polars(df))
    assert any("missing time stamp" in fault for fault in caught.value.faults)
