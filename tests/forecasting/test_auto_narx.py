"""AutoNARX: what is tried, how it is judged and combined, and what a user is told."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import trim_mean

from tests.makers import make_frame, wreck_after
from tsforce import AutoNARX, Baseline, Forecaster, NARXForecaster, backtest
from tsforce.data.panel import WindowIndex
from tsforce.errors import (
    ArgumentError,
    ContextWarning,
    DivergenceWarning,
    FrameError,
    InterruptionWarning,
    UnseenSeriesError,
)
from tsforce.forecasting.auto import auto_narx, on_trial, trials
from tsforce.forecasting.auto.candidate import Candidate
from tsforce.forecasting.auto.candidates import candidates_for, seasons_for
from tsforce.forecasting.auto.choice import relative_errors, shrunk, weigh, weighted_middle
from tsforce.forecasting.auto.clock import Clock
from tsforce.forecasting.auto.trials import TrialWindows, fit_quietly, is_intermittent, learnt_from, run_trial

H = 4


def fast(**settings):
    return AutoNARX(H, **{"season_length": 7, "budget": "fast", **settings})


@pytest.fixture(scope="module")
def df():
    return make_frame()


@pytest.fixture(scope="module")
def model(df):
    return fast().fit(df)


def series_frame(*series, freq=None):
    parts = []
    for i, y in enumerate(series):
        ds = np.arange(len(y)) if freq is None else pd.date_range("2020-01-01", periods=len(y), freq=freq)
        parts.append(pd.DataFrame({"unique_id": f"s{i}", "ds": ds, "y": np.asarray(y, dtype=float)}))
    return pd.concat(parts, ignore_index=True)


# ---- what is learnt and forecast


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "season", "stays"), [(100, 7, True), (45, 7, False), (100, 26, False)])
def test_what_was_chosen_from_nearly_all_rows_is_not_chosen_again(rows, season, stays):
    """Six windows of 4 steps leave 76 of 100 rows on trial, which are not three seasons of 26; three leave 33 of 45."""
    df = make_frame((rows, rows))
    model = fast(season_length=season).fit(df)
    candidates = {trial.candidate.name: trial.candidate for trial in model._trials_}
    linear = [name for name in model.members_ if candidates[name].family == "linear"][:2]
    # None is heard on these waves where a season is not theirs.
    smoothing = ["dynamic_theta", "ets_combined"] if season == 7 else []
    for name in linear + smoothing:
        member, candidate = model.members_[name], candidates[name]
        chosen = candidate.model.clone_unfitted().fit(df[df["ds"] <= rows - 24 * stays], mode=candidate.mode)
        if name in linear:
            assert member.ridge_["ridge"].tolist() == chosen.ridge_["ridge"].tolist()
            # Weights are of all rows.
            given = {"ridge": float(member.ridge_["ridge"][1]), "prior": member.prior_}
            own = candidate.model.clone_unfitted().set_params(**given).fit(df, mode="open_loop") if stays else chosen
            torch.testing.assert_close(member.model_.weight[1], own.model_.weight[1], rtol=1e-9, atol=1e-12)
        else:
            pd.testing.assert_frame_equal(member.predict_at(df, [rows]), chosen.predict_at(df, [rows]))


def test_forecasts_are_those_of_the_members_combined_as_chosen(df, model):
    found = model.predict()["AutoNARX"].to_numpy().reshape(3, H)
    each = [member.predict().iloc[:, -1].to_numpy().reshape(3, H) for member in model.members_.values()]
    for s in range(3):
        for h in range(H):
            pairs = sorted((own[s, h], weight) for own, weight in zip(each, model._weight_[:, s], strict=True))
            # The mean of what stands at the weights between a quarter and three quarters, by very many steps.
            ends = np.cumsum([weight for _, weight in pairs])
            steps = ends[-1] * (0.25 + 0.5 * (np.arange(20_000) + 0.5) / 20_000)
            middle = np.array([value for value, _ in pairs])[np.searchsorted(ends, steps)].mean()
            assert found[s, h] == pytest.approx(middle, rel=1e-4)


def test_predict_at_equals_the_loop_of_the_base_class_and_predict(df, model):
    pd.testing.assert_frame_equal(model.predict_at(df, [50, 60]), Forecaster.predict_at(model, df, [50, 60]), rtol=1e-9)
    last = df.groupby("unique_id", as_index=False)["ds"].max().rename(columns={"ds": "cutoff"})
    pd.testing.assert_frame_equal(model.predict(), model.predict_at(df, last).drop(columns="cutoff"), rtol=1e-12)
    pd.testing.assert_frame_equal(model.predict(history=df), model.predict(), rtol=1e-12)


def test_rows_after_the_cutoff_change_no_bit(df, model):
    wrecked = wreck_after(df, dict.fromkeys(["s0", "s1", "s2"], 55))
    pd.testing.assert_frame_equal(model.predict_at(df, [55]), model.predict_at(wrecked, [55]), check_exact=True)


def test_a_backtest_chooses_and_learns_from_rows_up_to_the_first_cutoff_alone(df):
    wrecked = wreck_after(df, dict.fromkeys(["s0", "s1", "s2"], 66))
    found = [backtest(fast(), frame, cutoffs=[66]).frame["AutoNARX"] for frame in (df, wrecked)]
    pd.testing.assert_series_equal(*found, check_exact=True)


@pytest.mark.slow
def test_it_beats_seasonal_naive_on_series_with_a_season():
    df = make_frame((100, 100, 100, 100), seed=5)
    scores = {
        m.name: float(backtest(m, df, n_windows=4).scores()["mase"].iloc[0])
        for m in (fast(), Baseline("seasonal_naive", horizon=H, season_length=7))
    }
    assert scores["AutoNARX"] < 0.8 * scores["seasonal_naive"]


# ---- the trials


def test_errors_on_trial_are_those_of_a_backtest_of_the_candidate(df, model):
    row = model.leaderboard_.set_index("candidate").loc["drift"]
    # Of three series 90, 70 and 120 rows long, in their last quarters.
    cutoffs = pd.DataFrame(
        [(f"s{i}", n - k * H) for i, (n, most) in enumerate([(90, 5), (70, 4), (120, 7)]) for k in range(most, 0, -1)],
        columns=["unique_id", "cutoff"],
    )
    errors = {}
    for method in ("drift", "seasonal_naive"):
        result = backtest(Baseline(method, season_length=7), df, horizon=H, cutoffs=cutoffs)
        frame = result.frame.rename(columns={method: "yhat"})
        train = df.merge(frame.groupby("unique_id")["cutoff"].min().reset_index())
        train = train[train["ds"] <= train["cutoff"]]
        scale = train.groupby("unique_id")["y"].apply(lambda y: y.diff(7).abs().mean())
        scaled = (frame["y"] - frame["yhat"]).abs() / frame["unique_id"].map(scale)
        percent = 200 * (frame["y"] - frame["yhat"]).abs() / (frame["y"].abs() + frame["yhat"].abs())
        errors[method] = np.array([scaled.mean(), percent.mean()])
    assert row["error"] == pytest.approx(float((errors["drift"] / errors["seasonal_naive"]).mean()), rel=1e-9)
    assert row["n_series"] == 3
    assert model.leaderboard_.set_index("candidate").loc["seasonal_naive", "error"] == pytest.approx(1.0)


def test_windows_lie_at_the_end_one_after_the_other_and_what_is_learnt_before_them():
    panel = Baseline("naive").read(series_frame(np.arange(30.0), np.arange(11.0), np.arange(6.0), np.arange(4.0)))
    windows = TrialWindows.of(panel, 3, 1)
    assert windows.n_windows.tolist() == [3, 1, 0, 0]
    assert windows.index.rows.tolist() == [20, 23, 26, 7]
    assert windows.number.tolist() == [3, 2, 1, 1]
    assert windows.truth[:, :, 0].tolist() == [[21, 22, 23], [24, 25, 26], [27, 28, 29], [8, 9, 10]]
    assert windows.learnt.lengths.tolist() == [21, 8, 6, 4]


def test_windows_of_short_series_overlap_so_that_two_thirds_of_the_rows_are_learnt_from():
    panel = Baseline("naive").read(series_frame(np.arange(60.0), np.arange(42.0), np.arange(30.0), np.arange(200.0)))
    windows = TrialWindows.of(panel, 12, 1)
    # Of 42 rows a third is 14: 2 more than the horizon are not room for a window of its own.
    assert windows.n_windows.tolist() == [3, 1, 1, 4]
    assert windows.index.rows.tolist() == [39, 43, 47, 27, 17, 151, 163, 175, 187]
    assert windows.number.tolist() == [3, 2, 1, 1, 1, 4, 3, 2, 1]
    assert windows.learnt.lengths.tolist() == [40, 28, 18, 152]


def test_a_candidate_that_fails_is_listed_with_the_reason(df, monkeypatch):
    class Failing(Baseline):
        def fit(self, df, y=None, *, mode=None):
            raise ArgumentError("this one never works")

    def with_failing(panel, lengths, wanted):
        own = candidates_for(panel, lengths, wanted)
        return [*own[:4], Candidate("failing", "failing", Failing("naive", horizon=H), None, 1.0)]

    monkeypatch.setattr(on_trial, "candidates_for", with_failing)
    model = fast().fit(df)
    row = model.leaderboard_.set_index("candidate").loc["failing"]
    assert row["status"] == "this one never works"
    assert row["weight"] == 0
    assert row["n_series"] == 0
    assert np.isfinite(model.predict()["AutoNARX"]).all()


def test_ctrl_c_while_candidates_are_on_trial_gives_the_best_so_far(df, monkeypatch):
    calls = []

    def interrupted(candidate, windows, horizon, place):
        calls.append(candidate.name)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return run_trial(candidate, windows, horizon, place)

    monkeypatch.setattr(on_trial, "run_trial", interrupted)
    with pytest.warns(InterruptionWarning, match="after 5 of"):
        model = fast().fit(df)
    assert set(model.members_) <= set(calls[:5])
    assert (model.leaderboard_["status"] == "not tried: interrupted").sum() == len(model.leaderboard_) - 5
    assert np.isfinite(model.predict()["AutoNARX"]).all()


def test_a_time_limit_is_kept_and_what_was_not_tried_is_listed(df, monkeypatch):
    def slow(candidate, windows, horizon, place):
        time.sleep(0.05 if candidate.work > 0 else 0.0)
        return run_trial(candidate, windows, horizon, place)

    monkeypatch.setattr(on_trial, "run_trial", slow)
    begun = time.perf_counter()
    model = fast(time_limit=0.6).fit(df)
    assert time.perf_counter() - begun < 0.6 * 1.2 + 0.5
    board = model.leaderboard_.set_index("candidate")
    assert board.loc["seasonal_naive", "status"] == "tried"
    assert board["status"].str.startswith("not tried").any()


def test_a_clock_counts_what_is_learnt_again_by_rows_and_by_how_many_are_heard(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = Clock(100.0, "AutoNARX", verbose=False)
    # Nothing is known of the machine yet: work is in seconds.
    assert clock.allows(44.0)
    assert not clock.allows(45.0)
    clock.learning(10.0, 2)
    assert clock.allows(9.0)
    assert not clock.allows(9.2)
    # Of three trials of 1, 2 and 3 seconds on a machine as guessed, two will be heard: 50 seconds.
    for seconds in (1.0, 2.0, 3.0):
        clock.took(seconds, seconds)
    now[0] = 40.0
    assert clock.allows(0.5)
    assert clock.allows(3.0) is False
    assert clock.allows_again(6.0)
    assert not clock.allows_again(6.1)


@pytest.mark.slow
def test_work_is_about_the_seconds_that_a_trial_takes():
    df = make_frame((200,) * 50)
    model = AutoNARX(14, season_length=7, budget="fast").fit(df)
    for trial in model._trials_:
        if trial.candidate.work > 0 and trial.cpu_seconds > 0.05:
            assert 0.1 < trial.cpu_seconds / trial.candidate.work < 10, trial.candidate.name


# ---- the choice


def test_errors_are_shrunk_to_the_panels_the_more_the_fewer_steps_they_come_from():
    errors = np.array([[1.0, 1.0, 1.0], [0.25, 2.0, np.nan]])
    fits = np.ones((2, 3), dtype=bool)
    alike = np.full(3, 60)
    none = shrunk(errors, fits, np.array([0, 0, 0]), alike)
    many = shrunk(errors, fits, np.array([10**9, 10**9, 0]), alike)
    half = shrunk(errors, fits, np.array([20, 20, 0]), alike)
    # On the panel the logarithm of the second's error is lower by half of log 4 - log 2.
    middle = np.log([0.625, 1.5, 1.0])
    panel = [np.mean(-middle), np.mean(np.log([0.25, 2.0]) - middle[:2])]
    np.testing.assert_allclose(none[1] - none[0], panel[1] - panel[0])
    np.testing.assert_allclose((many[1] - many[0])[:2], np.log([0.25, 2.0]), rtol=1e-6)
    np.testing.assert_allclose((half[1] - half[0])[:2], (np.log([0.25, 2.0]) + panel[1] - panel[0]) / 2)
    assert np.isinf(shrunk(errors, np.array([[True] * 3, [True, False, True]]), np.zeros(3), alike)[1, 1])
    # One series on which a candidate runs away does not decide for the others.
    wild = np.ones((2, 101))
    wild[1], wild[1, 0] = 0.9, 1e3
    found = shrunk(wild, np.ones((2, 101), dtype=bool), np.zeros(101), np.full(101, 60))
    assert (found[1] < found[0]).all()


def test_series_of_like_length_say_more_of_each_other_than_the_panel_does():
    """The second candidate is worse on 30 short series and better on 10 long ones."""
    lengths = np.array([20] * 30 + [200] * 9 + [21, 199])
    errors = np.ones((2, 41))
    errors[1] = np.where(lengths < 100, np.e, 1 / np.e)
    errors[:, -2:] = np.nan
    found = shrunk(errors, np.ones((2, 41), dtype=bool), np.zeros(41), lengths)
    apart = (found[1] - found[0])[[0, 35]]
    # Ten series of the panel's mean, (30 - 9) / 39, beside those of a length.
    panel = (30 - 9) / 39
    np.testing.assert_allclose(apart, [(30 + 10 * panel) / 40, (-9 + 10 * panel) / 19], rtol=1e-9)
    # Who was not judged goes with those of nearly its length: exp(-(log(21 / 20) / .1)^2 / 2) of each.
    near = np.exp(-0.5 * (np.round(np.log(np.array([21, 199]) / [20, 200]) / 0.02) * 0.2) ** 2)
    total = np.array([30, -9]) * near + 10 * panel
    np.testing.assert_allclose((found[1] - found[0])[-2:], total / (np.array([30, 9]) * near + 10), rtol=0.05)


def test_errors_are_half_in_scales_and_half_in_percent_relative_to_the_first():
    first, second = np.array([[1.0, 10.0], [3.0, 30.0]]), np.array([[1.0, 30.0], [np.nan, np.nan]])
    found = relative_errors([first, second])
    np.testing.assert_allclose(found[0], [0.5, 1.5])
    assert found[1, 0] == pytest.approx((1 / 2 + 30 / 20) / 2)
    assert np.isnan(found[1, 1])
    alone = relative_errors([first * [1, np.nan], second * [1, np.nan]])
    assert alone[1, 0] == pytest.approx(1 / 2)


def test_a_candidate_without_a_forecast_leaves_its_weight_to_the_others():
    stack = np.array([2.0, 100.0, 6.0, 7.0])[:, None, None, None]
    weight = np.array([0.3, 0.0, 0.25, 0.45])[:, None]
    # Between .25 and .75 of the weight: .05 of 2, .25 of 6, .2 of 7.
    assert weighted_middle(stack, weight).item() == pytest.approx((0.05 * 2 + 0.25 * 6 + 0.2 * 7) / 0.5)
    alone = (0.1625 * 2 + 0.1125 * 6) / 0.275
    assert weighted_middle(np.where(stack == 7, np.nan, stack), weight).item() == pytest.approx(alone)
    # Where nobody with weight has one, anyone's will do.
    assert weighted_middle(np.where(stack != 100, np.nan, stack), weight).item() == pytest.approx(100.0)
    assert np.isnan(weighted_middle(np.full_like(stack, np.nan), weight)).all()


def test_a_candidate_that_runs_away_moves_nothing_with_less_than_a_quarter_of_the_weight():
    weight = np.array([0.2, 0.4, 0.4])[:, None]
    for far in (np.inf, 1e300):
        got = [weighted_middle(np.array([own, 2.0, 3.0])[:, None, None, None], weight).item() for own in (far, -far)]
        assert got == pytest.approx([(0.15 * 2 + 0.35 * 3) / 0.5, (0.35 * 2 + 0.15 * 3) / 0.5])


def test_a_member_that_runs_away_is_left_to_the_others_unless_all_that_are_heard_do(df):
    auto = fast(time_limit=1e-6).fit(df)
    auto.members_ = {name: Baseline("naive").fit(df) for name in ("calm", "wild")}
    for member, value in zip(auto.members_.values(), (df["y"].median(), 1e6), strict=True):
        member._ahead = lambda panel, index, steps, value=value: (np.full((len(index.rows), steps, 1), value), {})

    def forecast(*weight):
        auto._weight_ = np.repeat(np.array(weight)[:, None], 3, axis=1)
        return auto.predict()["AutoNARX"].to_numpy()

    np.testing.assert_allclose(forecast(0.1, 0.9), df["y"].median())
    with pytest.warns(DivergenceWarning):
        np.testing.assert_allclose(forecast(0.0, 1.0), 1e6)


def test_a_weighted_middle_of_whole_weights_is_the_middle_of_so_many_copies():
    rng = np.random.default_rng(0)
    stack, weight = rng.normal(size=(5, 30, 2, 1)), rng.integers(0, 4, size=(5, 30)).astype(float)
    weight[0] += 1
    found = weighted_middle(stack, weight)
    for w in range(30):
        copies = np.repeat(stack[:, w], 4 * weight[:, w].astype(int), axis=0)
        np.testing.assert_allclose(found[w], trim_mean(copies, 0.25, axis=0))


def test_who_is_better_on_trial_is_heard_more(df):
    reader = fast()
    panel = reader.read(df)
    windows = TrialWindows.of(panel, H, 7)
    tried = [run_trial(c, windows, H) for c in candidates_for(panel, panel.lengths, reader._wanted((7,)))[:4]]
    weight = weigh(tried, windows).mean(axis=1)
    assert {t.candidate.name for t in tried} == {"naive", "seasonal_naive", "drift", "naive2"}
    assert weight.sum() == pytest.approx(1.0)
    # One whose forecasts are the truth is all there is.
    better = trials.Trial(Candidate("oracle", "oracle", reader, None, 0.0), windows.truth, 0 * tried[0].errors,
                          tried[0].fits, 0.0, 0.0)  # fmt: skip
    assert weigh([*tried, better], windows)[-1].min() > 0.99


@pytest.mark.slow
def test_a_large_panel_is_tried_on_some_series_and_has_one_choice(monkeypatch):
    df = make_frame((60,) * 6, seed=2)
    monkeypatch.setitem(on_trial.MOST_SERIES, "fast", 3)
    monkeypatch.setitem(auto_narx._MOST_ROWS, "fast", 300)
    model = fast().fit(df)
    assert model.leaderboard_["n_series"].max() == 3
    # Few weights for all series need no more of them; one map per series is learnt from each.
    fitted_on = {name: member.train_end_["unique_id"].nunique() for name, member in model.members_.items()}
    assert fitted_on.pop("linear for all", 3) == 3
    assert set(fitted_on.values()) == {6}
    assert (model._weight_ == model._weight_[:, :1]).all()
    assert len(model.predict()) == 6 * H


# ---- seasons


@pytest.mark.slow
def test_a_season_is_found_where_the_frequency_says_none():
    df = make_frame((100, 90, 110), season=9)
    assert fast(season_length=None).fit(df).season_lengths_[0] == 9


@pytest.mark.parametrize("m", [4, 12])
def test_the_season_is_no_multiple_of_itself_although_only_long_series_reach_that_and_show_it_better(m):
    rng = np.random.default_rng(0)
    short, long = (
        [20 + 3 * np.resize(rng.normal(size=m), n * m) + rng.normal(0, noise, n * m) for _ in range(13)]
        for n, noise in ((5, 3.0), (12, 0.5))
    )
    panel = Baseline("naive").read(series_frame(*short, *long))
    assert seasons_for(panel, None)[0] == m


def test_noise_walks_and_lines_have_no_season():
    rng = np.random.default_rng(3)
    read = Baseline("naive").read
    for series in ([rng.normal(size=80)], list(rng.normal(size=(5, 60)).cumsum(axis=1)), [np.arange(50.0)]):
        assert seasons_for(read(series_frame(*series)), None) == (1,)


def test_a_longer_season_is_found_beside_that_of_the_frequency():
    t = np.arange(24 * 7 * 6)
    y = 50 + 10 * np.sin(2 * np.pi * t / 24) + 15 * (t // 24 % 7 >= 5) * (1 + np.cos(2 * np.pi * t / 24))
    rng = np.random.default_rng(0)
    df = series_frame(*(y + rng.normal(size=len(t)) for _ in range(3)), freq="h")
    panel = Baseline("naive").read(df)
    assert seasons_for(panel, None) == (24, 168)
    assert seasons_for(panel, 24) == (24, 168)
    assert seasons_for(panel, (24,)) == (24,)
    assert seasons_for(panel, [12, 24]) == (12, 24)


@pytest.mark.parametrize("bad", [0, -1, 2.5, [], [7, 0]])
def test_season_lengths_are_checked(df, bad):
    with pytest.raises(ArgumentError, match="season_length"):
        fast(season_length=bad).fit(df)


# ---- series of all kinds


def test_short_constant_and_empty_series_beside_long_ones_have_a_sensible_member():
    rng = np.random.default_rng(1)
    walk = 50 + rng.normal(size=60).cumsum()
    df = series_frame([1.0, 2.0, 3.0], np.zeros(40), np.full(40, 7.0), walk, 5 + 2 * np.arange(40.0), [4.0])
    found = AutoNARX(H, budget="fast").fit(df).predict()["AutoNARX"].to_numpy().reshape(6, H)
    assert np.isfinite(found).all()
    assert (found[0] > 2.5).all()
    assert (found[0] < 8).all()
    np.testing.assert_allclose(found[1], 0.0, atol=1e-6)
    np.testing.assert_allclose(found[2], 7.0, atol=1e-6)
    assert np.abs(found[3] - walk[-1]).max() < 12
    np.testing.assert_allclose(found[4], 5 + 2 * np.arange(40, 44), rtol=0.02)
    np.testing.assert_allclose(found[5], 4.0)


def test_demand_that_comes_now_and_then_is_judged_by_squares_and_not_forecast_as_none():
    rng = np.random.default_rng(0)
    df = series_frame(*(np.where(rng.random(90) < 0.2, rng.poisson(5, 90) + 1, 0) for _ in range(20)))
    assert is_intermittent(Baseline("naive").read(df)).all()
    found = AutoNARX(H, budget="fast").fit(df).predict()["AutoNARX"]
    assert 0.75 < found.mean() / df["y"].mean() < 1.25


def test_inputs_known_over_the_horizon_are_used_and_asked_for():
    rng = np.random.default_rng(4)
    x = rng.normal(size=120)
    y = 20 + 5 * x + np.sin(np.arange(120))
    df = series_frame(y).assign(x=x)
    model = AutoNARX(H, budget="fast", future_exog=["x"]).fit(df[:-H])
    truth = df[-H:]
    found = model.predict(future_df=truth.drop(columns="y"))["AutoNARX"].to_numpy()
    assert np.abs(found - truth["y"]).mean() < 0.25 * np.abs(truth["y"] - y[:-H].mean()).mean()
    scenarios = model.predict(
        future_df={"as it was": truth.drop(columns="y"), "one more": truth.assign(x=truth["x"] + 1)}
    )
    first, second = (scenarios.loc[scenarios["scenario"] == name, "AutoNARX"] for name in ("as it was", "one more"))
    np.testing.assert_allclose(first, found, rtol=1e-9)
    assert (second.to_numpy() > first.to_numpy() + 1).all()


@pytest.mark.slow
def test_columns_that_never_change_cost_no_map_per_series():
    df = make_frame((60, 60), seed=1).assign(kind=lambda d: d["unique_id"].map({"s0": "a", "s1": "b"}))
    board = fast(static=["kind"]).fit(df).leaderboard_
    assert (board["status"] == "tried").all()
    assert (board["family"] == "linear").sum() > 3
    assert board.loc[board["family"] == "linear", "error"].notna().all()


def test_a_candidate_that_runs_away_warns_nobody_on_trial_and_in_the_choice():
    y = 50 + np.random.default_rng(0).normal(size=60)
    y[-1] = 1e6
    # Warnings are errors here.
    model = AutoNARX(H, budget="fast").fit(series_frame(y))
    assert np.isfinite(model.predict()["AutoNARX"]).all()


def test_forecasts_far_outside_what_a_series_has_shown_are_told():
    model = AutoNARX(H, budget="fast").fit(series_frame(np.random.default_rng(0).normal(size=60).cumsum() + 50))
    far = series_frame(np.full(60, 5000.0)).assign(ds=np.arange(60) + 60)
    with pytest.warns(DivergenceWarning, match="1 of 1 forecasts go further out") as caught:
        model.predict(history=far)
    assert len(caught) == 1
    assert "ridge" not in str(caught[0].message)


def test_a_history_too_short_for_most_of_what_is_heard_is_told():
    rows = np.arange(60)
    df = series_frame(50 + 10 * np.sin(rows * 0.7) + 5 * np.sin(rows * 1.9))
    model = AutoNARX(H, budget="fast").fit(df)
    with pytest.warns(ContextWarning, match="'s0': as few as 3 rows") as caught:
        found = model.predict(history=df.head(3))
    assert len(caught) == 1
    assert np.isfinite(found["AutoNARX"]).all()


@pytest.mark.slow
def test_missing_values_are_refused_until_they_are_allowed():
    df = make_frame((80, 80))
    df.loc[[20, 110], "y"] = np.nan
    with pytest.raises(FrameError, match="missing"):
        fast().fit(df)
    assert np.isfinite(fast(missing="own_output").fit(df).predict()["AutoNARX"]).all()


@pytest.mark.slow
def test_several_targets_are_forecast_together():
    df = make_frame((80, 90))
    df["z"] = 100 - df["y"]
    found = fast(target_col=["y", "z"]).fit(df).predict()
    assert found.columns.tolist()[-2:] == ["AutoNARX-y", "AutoNARX-z"]
    assert np.isfinite(found.iloc[:, -2:].to_numpy()).all()
    np.testing.assert_allclose(found.iloc[:, -2] + found.iloc[:, -1], 100, atol=3.0)


# ---- what a user is told


def test_the_leaderboard_is_ordered_and_its_weights_add_up(model):
    board = model.leaderboard_
    errors = board["error"].dropna()
    assert errors.is_monotonic_increasing
    assert board["weight"].sum() == pytest.approx(1.0)
    assert set(board.loc[board["weight"] > 0, "candidate"]) <= set(model.members_)
    assert {"error_1", "error_2", "error_3", "cpu_seconds", "family", "status"} <= set(board.columns)
    assert "error_4" not in board.columns


def test_an_explanation_says_what_is_heard_for_a_series(model):
    told = model.explain("s1")
    assert told.frame["weight"].sum() == pytest.approx(1.0)
    heard = told.frame[told.frame["weight"] > 0]
    text = str(told)
    assert f"{len(heard)} of {len(told.frame)} candidates" in text
    assert "At 4 cutoffs" in text
    assert "seasonal_naive" in text
    assert heard["candidate"].iloc[0] in text
    with pytest.raises(UnseenSeriesError, match="s9"):
        model.explain("s9")


def test_an_explanation_of_a_series_that_was_not_tried_says_so():
    told = AutoNARX(H, budget="fast").fit(series_frame(np.arange(40.0) % 5, [1.0, 2.0, 3.0])).explain("s1")
    assert "no cutoff of its own" in str(told)


def test_pictures_show_candidates_their_errors_and_shares(model):
    figure = model.explain("s0").plot()
    (ax,) = figure.axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert set(model.members_) & set(names)
    assert any("%" in text.get_text() for text in ax.texts)


def test_progress_is_shown_on_request(df, capsys):
    fast(verbose=True).fit(df)
    shown = capsys.readouterr().err
    assert "AutoNARX 1/" in shown
    assert "on all rows" in shown
    assert shown.endswith("\n")


def test_series_that_were_not_fitted_are_refused_by_name(df, model):
    with pytest.raises(UnseenSeriesError, match="new"):
        model.predict(history=df.assign(unique_id="new").head(40))


def test_a_mode_is_what_every_candidate_learns_in(df):
    model = fast().fit(df, mode="open_loop")
    assert model.mode_ == "open_loop"
    assert {m.mode_ for m in model.members_.values() if hasattr(m, "lags_")} == {"open_loop"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"budget": "cheap"}, "balanced"), ({"time_limit": 0}, "time_limit"), ({"horizon": 0}, "horizon")],
)
def test_bad_arguments_are_refused(df, settings, said):
    with pytest.raises(ArgumentError, match=said):
        AutoNARX(**{"horizon": H, "budget": "fast", **settings}).fit(df)


def test_windows_of_other_panels_stay_their_own(df, model):
    # A panel in another order, and with a window in the middle of a series.
    panel = model.read(df)
    turned = panel.take([2, 0])
    index = WindowIndex(np.array([0, 1]), np.array([70, 60]))
    found = model._ahead(turned, index, H)[0][:, :, 0]
    expected = model.predict_at(df, pd.DataFrame({"unique_id": ["s0", "s2"], "cutoff": [61, 71]}))["AutoNARX"]
    np.testing.assert_allclose(found[::-1].ravel(), expected, rtol=1e-9)


def test_what_was_chosen_from_nearly_all_rows_of_the_same_series_is_not_chosen_again():
    df = series_frame(*(10 + np.random.default_rng(i).normal(size=120).cumsum() for i in range(2)))
    model = NARXForecaster(H, 4, scope="local", season_length=1)
    panel = model.read(df)
    ridge = {panel.id_list[0]: 3.0}
    again = fit_quietly(model, panel, "open_loop", (ridge, 100.0))
    assert again.ridge_["ridge"].tolist() == [3.0, 100.0]
    for name, penalty in zip(panel.id_list, (3.0, 100.0), strict=True):
        given = model.clone_unfitted().set_params(ridge=penalty, prior="auto")
        own = given.fit(df[df["unique_id"] == name], mode="open_loop").predict()
        mine = again.predict()
        mine = mine[mine["unique_id"] == name]
        # A prior looks at all series.
        assert np.corrcoef(own["NARXForecaster"], mine["NARXForecaster"])[0, 1] > 0.9


def test_smoothing_parameters_settled_on_trial_are_kept_and_states_go_on():
    df = series_frame(np.random.default_rng(0).normal(size=60).cumsum())
    method = Baseline("theta", horizon=H, season_length=1)
    panel = method.read(df)
    tried = method.clone_unfitted().fit(panel.head(np.array([54])))
    again = fit_quietly(method, panel, None, tried._settled())
    np.testing.assert_array_equal(again.predict()["theta"], tried.predict(history=panel)["theta"])


def test_a_map_for_all_of_many_rows_learns_from_series_spread_evenly(monkeypatch):
    panel = Baseline("naive").read(series_frame(*(np.arange(30.0) + i for i in range(10))))
    monkeypatch.setattr(trials, "_ENOUGH_ROWS", 100)
    few, all_of_them = (Candidate("c", "c", Baseline("naive"), None, 1.0, from_some=some) for some in (True, False))
    taught = learnt_from(few, panel)
    assert taught.n_series == 3
    assert set(taught.id_list) < set(panel.id_list)
    assert taught.lengths.tolist() == [30, 30, 30]
    assert learnt_from(all_of_them, panel) is panel
