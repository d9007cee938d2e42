"""What AutoNARX tries where series are few and long."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, Log, NARXForecaster
from tsforce.data.calendar import CALENDAR, calendar_of
from tsforce.forecasting.auto.candidate import Wanted
from tsforce.forecasting.auto.long_series import long_series_candidates
from tsforce.forecasting.auto.trials import TrialWindows

NOTHING = {"past_exog": (), "future_exog": (), "static": (), "calendar": (), "missing": "raise", "random_state": 0}


def hours(n_series=1, n_rows=3000):
    """Demand of a day and a week that bends with the weather, which is known ahead."""
    rng = np.random.default_rng(0)
    t = np.arange(n_rows)
    parts = []
    for k in range(n_series):
        warm = 15 + 8 * np.sin(2 * np.pi * t / 24 + k) + rng.normal(0, 4, n_rows)
        y = 100 + 20 * np.sin(2 * np.pi * t / 24) - 25 * (t % 168 > 120) + 0.15 * (warm - 15) ** 2
        ds = pd.date_range("2024-01-01", periods=n_rows, freq="h")
        parts.append(pd.DataFrame({"unique_id": f"s{k}", "ds": ds, "y": y + rng.normal(0, 2, n_rows), "warm": warm}))
    return pd.concat(parts, ignore_index=True)


def tried(df, seasons=(24, 168), budget="fast", **given):
    inputs = {name: given[name] for name in ("past_exog", "future_exog") if name in given}
    panel = NARXForecaster(24, **inputs).read(df if inputs else df.drop(columns="warm"))
    wanted = Wanted(24, seasons, {}, NOTHING | given, budget)
    return list(long_series_candidates(panel, panel.lengths, wanted))


def test_maps_trees_and_a_network_read_day_week_calendar_and_inputs_before():
    found = tried(hours(), future_exog=("warm",))
    assert [c.family for c in found] == ["linear", "linear", "linear", "trees", "mlp"]
    for candidate in found:
        lags = candidate.model.lags
        assert {*range(1, 26), 48, 72, 96, 120, 144, 167, 168, 169} == {*lags, 24, 23}
        assert list(lags) == sorted(lags)
        assert candidate.model.exog_lags == {"warm": (0, 1, 2, 24)}
        assert candidate.model.calendar == ("hourofweek", "timeofday")
        assert candidate.model.scope == "local"
    assert any(Log() in c.model.target_transforms for c in found)


def test_linear_maps_are_not_pulled_to_smoothing_and_long_rows_bear_two_long_seasons_of_lags_without_a_calendar():
    linear = [c.model for c in tried(hours(1, 6000)) if c.family == "linear"]
    assert {m.prior for m in linear} == {"zero"}
    assert [(m.lags, m.calendar) for m in linear if m.lags == 336] == [(336, ())]
    assert 336 not in [c.model.lags for c in tried(hours(1, 5000))]


def test_inputs_known_up_to_the_cutoff_are_read_before_the_step():
    assert tried(hours(), past_exog=("warm",))[0].model.exog_lags == {"warm": (1, 2, 24)}


def test_a_calendar_that_is_given_is_kept():
    for given in (("hour",), "hour"):
        assert {c.model.calendar for c in tried(hours(), calendar=given)} == {("hour",)}


def test_budgets_bear_other_numbers_of_rows():
    assert [c.family for c in tried(hours(), budget="balanced")].count("mlp") == 2
    found = {c.family: c.why_not for c in tried(hours(20, 3100))}
    assert found == {"linear": "", "trees": found["mlp"], "mlp": found["mlp"]}
    assert "20 series have 62000 rows together, more than the 60000 that budget='fast' bears" in found["mlp"]


def test_a_network_for_each_series_is_as_dear_as_there_are_series_and_steps_whatever_the_rows():
    short, long, two = (tried(hours(*size))[-1] for size in ((1, 3000), (1, 9000), (2, 3000)))
    assert short.family == "mlp"
    assert short.work == long.work == two.work / 2
    found = {c.family: c.why_not for c in tried(hours(20, 2900))}
    assert found["trees"] == ""
    assert "about 58 seconds for 20 series and horizon 24, more than budget='fast' bears" in found["mlp"]
    assert {c.why_not for c in tried(hours(20, 2900), budget="balanced")} == {""}


def test_many_series_by_the_hour_have_maps_that_read_the_hours_of_the_week():
    for seasons in ((24, 168), (24,)):
        found = tried(hours(30, 1400), seasons)
        assert [c.model.target_transforms for c in found] == [(), (Log(),)]
        assert {c.model.calendar for c in found} == {("hourofweek", "timeofday")}
        assert {max(c.model.lags) for c in found} == {169}
    daily = (
        hours(30, 1400)
        .drop(columns="warm")
        .assign(ds=lambda df: pd.Timestamp("2000-01-01") + 24 * (df["ds"] - df["ds"].min()))
    )
    panel = NARXForecaster(24).read(daily)
    assert not list(long_series_candidates(panel, panel.lengths, Wanted(24, (7,), {}, NOTHING, "fast")))


@pytest.mark.parametrize(
    ("df", "seasons"),
    [(hours(80), (24, 168)), (hours(1, 1500), (24, 168)), (hours(), (1,))],
    ids=["many series", "few rows", "no season"],
)
def test_elsewhere_there_is_nothing_more(df, seasons):
    assert tried(df, seasons) == []


@pytest.mark.parametrize(
    ("freq", "n_rows", "names"),
    [
        ("h", 8766, ("hourofweek", "timeofday")),
        ("h", 2 * 8766, ("hourofweek", "timeofday", "dayofyear")),
        ("15min", 2 * 8766, ("hourofweek", "timeofday")),
        ("D", 500, ("dayofweek",)),
        ("B", 800, ("dayofweek", "dayofyear")),
        ("2D", 800, ()),
        ("W-SUN", 800, ()),
        ("QS", 800, ()),
        (3, 10**6, ()),
    ],
)
def test_the_calendar_goes_with_the_frequency(freq, n_rows, names):
    assert calendar_of(freq, n_rows) == names
    assert {*names} <= {*CALENDAR}


@pytest.mark.parametrize(
    ("lengths", "count"), [([960], 10), ([6000], 60), ([1200] * 30, 3), ([6000] * 7, 9), ([90], 1)]
)
def test_few_series_are_tried_at_more_cutoffs_in_their_last_quarter(lengths, count):
    panel = Baseline("naive").read(make_frame(lengths, season=24))
    windows = TrialWindows.of(panel, 24, 24)
    assert windows.n_windows.tolist() == [count] * len(lengths)
    assert windows.nearly_all == (lengths != [90])


@pytest.mark.slow
def test_weather_that_bends_demand_is_learnt_by_the_plain_call():
    df = hours()
    train, test = df[df["ds"] < "2024-04-29"], df[df["ds"] >= "2024-04-29"].head(24)
    model = AutoNARX(24, future_exog=["warm"], budget="fast").fit(train)
    blind = AutoNARX(24, budget="fast").fit(train.drop(columns="warm"))
    yhat = model.predict(future_df=test.drop(columns="y")), blind.predict()
    error, without = (np.abs(part["AutoNARX"].to_numpy() - test["y"].to_numpy()).mean() for part in yhat)
    assert error < without / 1.5
    # Who reads the calendar is heard more than all that read none.
    board = model.leaderboard_
    assert board.loc[board["candidate"].str.contains("calendar"), "weight"].sum() > 0.7


@pytest.mark.parametrize(("n_rows", "furthest"), [(2000, []), (2200, [48]), (3000, [169])])
def test_a_week_that_was_not_found_is_read_where_rows_bear_it(n_rows, furthest):
    found = tried(hours(1, n_rows), seasons=(24,), future_exog=("warm",))
    assert sorted({max(c.model.lags) for c in found}) == furthest
