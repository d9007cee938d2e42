"""Every row of the table of errors that users meet: what is raised, and what its message names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import tsforce
from tests.makers import grouped, make_frame
from tsforce import BoxCox, Log, NARXForecaster, backtest
from tsforce.errors import (
    DivergenceWarning,
    FrameError,
    FutureExogError,
    HorizonWarning,
    OffsetWarning,
    SeriesTooShortError,
    TsforceError,
    UnseenSeriesError,
)

H = 4


def build(**settings):
    return NARXForecaster(**grouped({"horizon": H, "lags": 7, "mode": "open_loop"} | settings))


def days(rows=40, **columns):
    ds = pd.date_range("2024-01-01", periods=rows, freq="D")
    return pd.DataFrame({"unique_id": "a", "ds": ds, "y": np.sin(np.arange(float(rows)))} | columns)


def fit(df, **settings):
    return lambda: build(**settings).fit(df)


TWICE = pd.concat([days(), days().iloc[[3]]], ignore_index=True)
MIXED = days().assign(ds=pd.DatetimeIndex(np.cumsum([0, 1, 3, 7, 2, 9, 4, 11] * 5).astype("M8[D]")).as_unit("ns"))
INPUT = days(price=1.0 * np.arange(40))

# what happens, what is raised, and what the message must name
TABLE = {
    "duplicate stamps": (
        fit(TWICE),
        FrameError,
        ["series 'a'", "1 duplicate", "2024-01-04", "row 40", "drop_duplicates"],
    ),
    "gaps": (fit(days().drop(index=[5, 6])), FrameError, ["'a'", "2 missing", "2024-01-06", "tsforce.fill_gaps(df"]),
    "unknown frequency": (fit(MIXED), FrameError, ["frequency", "'a'", "freq="]),
    "off the grid": (
        fit(days().assign(ds=days()["ds"] + pd.to_timedelta(np.r_[np.zeros(39), 5], unit="h"))),
        FrameError,
        ["1 time stamp off the grid of freq='D'", "row 39"],
    ),
    "NaN inside y": (fit(days().assign(y=lambda f: f["y"].where(f.index != 7))), FrameError, ["1 missing", "row 7"]),
    "NaN at the end of y": (fit(days().assign(y=lambda f: f["y"].where(f.index < 38))), FrameError, ["future_df"]),
    "inf": (fit(days().assign(y=lambda f: f["y"].where(f.index != 7, np.inf))), FrameError, ["infinite", "row 7"]),
    "strings in y": (fit(days().assign(y="ten")), FrameError, ["'y'", "'ten'"]),
    "complex y": (fit(days().assign(y=lambda f: f["y"] + 1j)), FrameError, ["complex", "real"]),
    "booleans in y": (fit(days().assign(y=lambda f: f["y"] > 0)), FrameError, ["bool", "astype('float64')"]),
    "float ds": (fit(days().assign(ds=np.arange(40.0))), FrameError, ["'ds'", "float64", "astype('int64')"]),
    "string ds": (fit(days().assign(ds=lambda f: f["ds"].astype(str))), FrameError, ["'ds'", "pd.to_datetime"]),
    "empty frame": (fit(days().iloc[:0]), FrameError, ["no rows"]),
    "missing column": (fit(days().drop(columns="y")), FrameError, ["'y'", "target_col="]),
    "horizon 0": (fit(days(), horizon=0), ValueError, ["horizon=0", "at least 1"]),
    "horizon negative": (fit(days(), horizon=-2), ValueError, ["horizon=-2", "at least 1"]),
    "horizon fractional": (fit(days(), horizon=2.5), ValueError, ["horizon=2.5", "whole number"]),
    "unknown mode": (fit(days(), mode="closed"), ValueError, ["mode='closed'", "'closed_loop'", "Did you mean"]),
    "unknown model": (fit(days(), model="mpl"), ValueError, ["model='mpl'", "'linear'", "Did you mean 'mlp'"]),
    "unknown transform": (fit(days(), target_transforms=["log"]), (ValueError, TypeError), ["'log'", "Log()"]),
    "unknown calendar name": (fit(days(), calendar=["weekdays"]), ValueError, ["'weekdays'", "'dayofweek'"]),
    "pandas' calendar name": (fit(days(), calendar=["weekday"]), ValueError, ["write 'dayofweek'"]),
    "no future inputs": (
        lambda: build(future_exog="price").fit(INPUT).predict(),
        FutureExogError,
        ["'price'", "2024-02-10", "2024-02-13", "future_df"],
    ),
    "future inputs too short": (
        lambda: build(future_exog="price").fit(INPUT.iloc[:37]).predict(future_df=INPUT),
        FutureExogError,
        ["gives 3 of the 4 rows", "2024-02-07", "2024-02-10", "'price'"],
    ),
    "unseen series, local": (
        lambda: build(scope="local").fit(days()).predict(history=days().assign(unique_id="b")),
        UnseenSeriesError,
        ["'b'", "scope='global'"],
    ),
    "series too short": (
        fit(make_frame((40, 6)), scope="local"),
        SeriesTooShortError,
        ["'s1'", "6 rows", "lags=7", "at least 8", "short_series='drop'", 'scope="global"'],
    ),
    "not fitted": (lambda: build().predict(), NotFittedError, ["not fitted", "fit(df)"]),
}


@pytest.mark.parametrize("row", TABLE)
def test_every_row_of_the_table_is_raised_with_what_it_must_name(row):
    act, error, names = TABLE[row]
    with pytest.raises(error) as caught:
        act()
    for name in names:
        assert name in str(caught.value)
    if error is not NotFittedError:
        assert isinstance(caught.value, TsforceError)


def test_unsorted_rows_are_sorted_and_no_error():
    df = make_frame((40, 50), freq="D")
    shuffled = df.sample(frac=1, random_state=0)
    mine, wanted = build().fit(shuffled), build().fit(df)
    key = ["unique_id", "ds"]
    pd.testing.assert_frame_equal(
        mine.predict().sort_values(key, ignore_index=True), wanted.predict().sort_values(key, ignore_index=True)
    )
    assert mine._rows_.was_unsorted
    assert not wanted._rows_.was_unsorted


def test_leading_nan_of_y_is_trimmed():
    df = days().assign(y=lambda f: f["y"].where(f.index > 4))
    pd.testing.assert_frame_equal(build().fit(df).predict(), build().fit(days().iloc[5:]).predict())


def test_an_unseen_series_is_forecast_from_its_history_by_a_global_model():
    fc = build(scope="global").fit(days()).predict(history=days().assign(unique_id="b"))
    assert set(fc["unique_id"]) == {"b"}


def test_all_faults_of_one_frame_are_reported_at_once():
    df = make_frame((40, 40, 40, 40), freq="D")
    df.loc[5, "y"] = np.inf
    df.loc[50, "y"] = np.nan
    df = df.drop(index=[90, 91])
    df = pd.concat([df, df.tail(1)], ignore_index=True)
    df["x"] = "word"
    with pytest.raises(FrameError) as caught:
        build().fit(df.drop(columns="x"))
    text = str(caught.value)
    assert len(caught.value.faults) == 4
    for part in ("infinite", "missing value", "2 missing time stamps", "duplicate"):
        assert part in text
    with pytest.raises(FrameError) as caught:
        build(future_exog="x", static="ds2").fit(df.assign(y="a"))
    assert len(caught.value.faults) == 3


def test_a_roll_out_that_explodes_is_counted():
    rng = np.random.default_rng(0)
    y = np.exp(np.arange(60.0) / 4) * (1 + 0.01 * rng.normal(size=60))
    model = build(scope="local", ridge=0, lags=2).fit(days(60, y=y).iloc[:20])
    with (
        pytest.warns(DivergenceWarning, match="1 of 1 forecasts .* ran away and were held"),
        pytest.warns(HorizonWarning),
    ):
        fc = model.predict_at(days(60, y=y), [pd.Timestamp("2024-02-25")], 30)
    assert fc.attrs["clipped_windows"] == 1
    assert np.isfinite(fc["NARXForecaster"]).all()


@pytest.mark.parametrize("transform", [Log(), BoxCox()])
def test_an_offset_under_a_logarithm_is_told_once_for_all_series(transform):
    y = 2.0 + np.sin(np.arange(40.0))
    parts = [days(y=y + shift).assign(unique_id=name) for name, shift in (("a", -4.0), ("b", 0.0), ("c", -12.0))]
    offsets = [1 - part["y"].min() for part in (parts[0], parts[2])]
    with pytest.warns(OffsetWarning) as caught:
        build(target_transforms=[transform]).fit(pd.concat(parts))
    (told,) = [str(one.message) for one in caught]
    for text in (f"{transform}: 2 of 3 series", "'a', 'c'", f"{offsets[0]:g} to {offsets[1]:g}", f"Leave {transform}"):
        assert text in told
    with pytest.warns(OffsetWarning, match=f"1 of 1 series .* an offset of {offsets[0]:g} is added to 'a'"):
        build(target_transforms=[transform]).fit(parts[0])


def test_counts_with_zeros_take_a_logarithm_without_a_word():
    build(target_transforms=[Log()]).fit(days(y=np.arange(40) % 5.0))


def test_training_that_diverges_says_so_and_leaves_a_model_that_forecasts():
    rng = np.random.default_rng(1)
    df = days(60, y=rng.normal(size=60).cumsum())
    settings = {"scope": "local", "mode": "closed_loop", "learning_rate": 1e200, "max_steps": 20, "loss": "mse"}
    model = build(**settings, validation=False)
    with pytest.warns(DivergenceWarning, match="diverged in run"):
        model.fit(df)
    with pytest.warns(DivergenceWarning, match="1 of 1 forecasts .* ran away and were held there"):
        assert np.isfinite(model.predict()["NARXForecaster"]).all()
    assert any("last good weights" in note for note in model.history_.notes)
    # Where rows are held out, the start is better than what ran away.
    with pytest.warns(DivergenceWarning, match="diverged in run"):
        judged = build(**settings).fit(df)
    plain = build(scope="local").fit(df).predict()["NARXForecaster"]
    np.testing.assert_allclose(judged.predict()["NARXForecaster"], plain, rtol=1e-6)


def test_the_package_offers_the_repairs_that_messages_name():
    assert callable(tsforce.fill_gaps)
    assert callable(tsforce.to_long)
    fixed = tsforce.fill_gaps(days().drop(index=[5, 6]))
    assert len(build().fit(fixed).predict()) == H
    assert backtest(build(target_transforms=[BoxCox()]), days(y=np.arange(1.0, 41))).frame.shape[0] == H
