"""Conformal intervals: which error bounds which step, where they come from, how often they hold."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.makers import make_frame, wreck_after
from tsforce import AutoNARX, Baseline, Difference, Ensemble, Forecaster, Intervals, Log, NARXForecaster
from tsforce.data.frame import last_stamps
from tsforce.errors import ArgumentError, IntervalWarning
from tsforce.forecasting import calibration, past_errors, past_forecasts
from tsforce.forecasting.parts import begin_fit, end_fit, horizon_of
from tsforce.forecasting.past_forecasts import calibrate

H = 4


def naive(**settings):
    return Baseline("naive", season_length=1, **{"horizon": H} | settings)


def walks(rows, n_series=1, seed=0):
    y = np.random.default_rng(seed).normal(size=(n_series, rows)).cumsum(axis=1)
    return pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{i}" for i in range(n_series)], rows),
            "ds": np.tile(np.arange(rows), n_series),
            "y": y.ravel(),
        }
    )


def errors_by_hand(y, step):
    """Of repeating the last value, at every cutoff of the second half, over the mean move up to it."""
    moves = np.abs(np.diff(y)).cumsum() / np.arange(1, len(y))
    return np.array([(y[t + step] - y[t]) / moves[t - 1] for t in range(len(y) // 2 - 1, len(y) - step)])


@pytest.fixture
def moves_alone(monkeypatch):
    """Sizes go with how much a series has moved so far, and with nothing else: bounds by hand."""
    monkeypatch.setattr(past_errors, "_powers", lambda size, told: np.zeros(told.shape[2]))


def clones_err_alike(errors, each=1):
    """Whether the mean sizes of both clones' errors differ by no more than chance: 1.2 (1 / m + 1 / n)."""
    halves = np.abs(errors[: len(errors) // 2]).mean(), np.abs(errors[len(errors) // 2 :]).mean()
    return np.log(halves[1] / halves[0]) ** 2 < 1.2 * 4 / (each * len(errors))


# ---- ranks


@pytest.mark.usefixtures("moves_alone")
def test_bounds_of_many_errors_are_those_at_the_ranks_of_both_sides():
    df = walks(500)
    y = df["y"].to_numpy()
    errors, move = np.sort(errors_by_hand(y, 1)), np.abs(np.diff(y)).mean()
    assert len(errors) == 250
    forecast = naive(horizon=1).fit(df).predict(level=[80, 95])
    assert forecast.attrs["intervals"] == dict.fromkeys(["80", "95"], "own errors at the step (100%)")
    # ceil(251 * .975) = 245 and ceil(251 * .9) = 226, and the ones as far from the other end.
    for level, rank in ((95, 245), (80, 226)):
        assert forecast[f"naive-hi-{level}"][0] == pytest.approx(y[-1] + move * errors[rank - 1], rel=1e-12)
        assert forecast[f"naive-lo-{level}"][0] == pytest.approx(y[-1] + move * errors[250 - rank], rel=1e-12)


@pytest.mark.usefixtures("moves_alone")
def test_with_19_errors_95_percent_is_the_largest_absolute_one_on_both_sides_and_wider_for_few():
    df = walks(38, seed=1)
    y = df["y"].to_numpy()
    errors = errors_by_hand(y, 1)
    assert len(errors) == 19
    assert clones_err_alike(errors)
    forecast = naive(horizon=1).fit(df).predict(level=95)
    # Student's t of 19 degrees over the normal quantile.
    largest = np.abs(errors).max() * np.abs(np.diff(y)).mean() * 2.093024 / 1.959964
    assert forecast["naive-hi-95"][0] == pytest.approx(y[-1] + largest, rel=1e-6)
    assert forecast["naive-lo-95"][0] == pytest.approx(y[-1] - largest, rel=1e-6)
    said = "errors of all series and steps, by their size, without their sign (100%)"
    assert forecast.attrs["intervals"] == {"95": said}


@pytest.mark.usefixtures("moves_alone")
def test_errors_that_overlap_are_read_at_a_higher_rank(monkeypatch):
    monkeypatch.setattr(calibration, "_MANY", 20)
    df = walks(240)
    y = df["y"].to_numpy()
    moving = np.array([y[t + 4] - y[t] for t in range(119, 236)])
    # By hand: errors of cutoffs one to three rows apart share surprises.
    r = [np.mean(moving[k:] * moving[:-k]) / np.mean(moving**2) for k in (1, 2, 3)]
    worth = 117 / (1 + 2 * np.sum(np.clip(r, 0, 1) ** 3))
    rank = int(np.ceil(117 * (worth + 1) * 0.9 / worth))
    assert rank > np.ceil(118 * 0.9)
    row = naive().fit(df).predict(level=80).iloc[3]
    errors = np.sort(errors_by_hand(y, 4)) * np.abs(np.diff(y)).mean()
    assert row["naive-hi-80"] == pytest.approx(y[-1] + errors[rank - 1], rel=1e-12)
    assert row["naive-lo-80"] == pytest.approx(y[-1] + errors[117 - rank], rel=1e-12)


def test_a_step_is_bounded_by_errors_of_that_step_so_widths_grow_as_those_of_a_walk_do():
    df = walks(300, n_series=40, seed=3)
    forecast = naive(horizon=9).fit(df).predict(level=80)
    width = (forecast["naive-hi-80"] - forecast["naive-lo-80"]).groupby(forecast["horizon"]).mean()
    assert 0.85 < width[9] / (3 * width[1]) < 1.3


# ---- fall-backs, each with its note


@pytest.mark.usefixtures("moves_alone")
def test_a_series_without_errors_is_bounded_by_those_of_others_in_its_own_moves():
    # Eight of one kind, and one a thousand times as large and too short for errors.
    part = walks(60, 1, seed=4)
    short = pd.DataFrame({"unique_id": "short", "ds": range(3), "y": 1000 * np.array([1.0, -0.5, 0.75])})
    copies = [part.assign(unique_id=f"s{i}", y=(i + 1) * part["y"]) for i in range(8)]
    forecast = naive(horizon=1).fit(pd.concat([*copies, short])).predict(level=95)
    errors = errors_by_hand(part["y"].to_numpy(), 1)
    assert clones_err_alike(errors, each=8)
    pooled = np.sort(np.tile(errors, 8))
    rank = int(np.ceil(241 * 0.975))
    last = forecast.iloc[-1]
    # Student's t of 240 degrees over the normal quantile, and the mean move of 1375.
    size = 1375 * 1.969898 / 1.959964
    assert last["naive-hi-95"] - last["naive"] == pytest.approx(size * pooled[rank - 1], rel=1e-5)
    assert last["naive-lo-95"] - last["naive"] == pytest.approx(size * pooled[240 - rank], rel=1e-5)
    assert forecast.attrs["intervals"]["95"] == "errors of all series at the step, by their size (100%)"


def test_a_series_that_errs_more_than_others_for_its_moves_has_wider_bounds():
    # Of equal moves, half of the series turn back each time: the last value says less of them.
    rng = np.random.default_rng(5)
    moves = np.abs(rng.normal(size=(40, 120)))
    moves *= np.where(np.arange(40)[:, None] < 20, (-1.0) ** np.arange(120), rng.choice([-1, 1], size=(40, 120)))
    y = moves.cumsum(axis=1)
    df = pd.DataFrame({"unique_id": np.repeat(np.arange(40), 120), "ds": np.tile(np.arange(120), 40), "y": y.ravel()})
    forecast = naive(horizon=6).fit(df).predict(level=80)
    width = (forecast["naive-hi-80"] - forecast["naive-lo-80"]).to_numpy().reshape(40, 6).mean(axis=1)
    width /= np.abs(np.diff(y)).mean(axis=1)
    # 1.46 times as large errors, of which the power believed of 40 series is about .4; bends, which these series have
    # more of, are guessed to say a little of the opposite.
    assert 1.46 > width[20:].mean() / width[:20].mean() > 1.46**0.3


@pytest.mark.usefixtures("moves_alone")
def test_few_errors_of_one_series_are_those_of_all_steps_in_the_size_of_each():
    df = walks(24, seed=2)
    y = df["y"].to_numpy()
    forecast = naive(horizon=8).fit(df).predict(level=95)
    errors = [errors_by_hand(y, step) for step in range(1, 9)]
    mean = [np.abs(part).mean() for part in errors]
    relative = np.sort(np.abs(np.concatenate([part / size for part, size in zip(errors, mean, strict=True)])))
    assert len(relative) == 12 + 11 + 10 + 9 + 8 + 7 + 6 + 5
    found = calibrate(naive(horizon=8).fit(df), naive().read(df), 8)
    few = found.worth[0, :, 0]
    size = relative[int(np.ceil(69 * 0.95)) - 1] * np.abs(np.diff(y)).mean() * stats.t.ppf(0.975, few) / 1.959964
    width = (forecast["naive-hi-95"] - forecast["naive-lo-95"]).to_numpy() / 2
    assert width == pytest.approx(size * np.array(mean), rel=1e-6)
    assert forecast.attrs["intervals"]["95"].startswith("errors of all series and steps, by their size, without")


def test_forecasts_that_were_always_too_low_have_bounds_about_where_they_should_have_been():
    df = pd.DataFrame({"unique_id": "a", "ds": range(60), "y": 5.0 * np.arange(60)})
    df["y"] += np.random.default_rng(0).normal(size=60)
    forecast = naive(horizon=3).fit(df).predict(level=80)
    middle = (forecast["naive-hi-80"] + forecast["naive-lo-80"]) / 2 - forecast["naive"]
    assert middle.to_numpy() == pytest.approx([5.0, 10.0, 15.0], rel=0.05)
    assert (forecast["naive-lo-80"] > forecast["naive"]).all()


def test_where_all_are_too_few_the_bounds_are_nan_and_the_highest_level_is_named():
    model = naive(horizon=1).fit(walks(20))
    with pytest.warns(IntervalWarning, match=r"level 95: series 's0'.*levels up to 90\.9"):
        forecast = model.predict(level=[80, 95])
    assert forecast[["naive-lo-95", "naive-hi-95"]].isna().all(axis=None)
    assert np.isfinite(forecast[["naive-lo-80", "naive-hi-80"]]).all(axis=None)
    assert np.isfinite(model.predict(level=90.9)["naive-hi-90.9"]).all()


def test_three_rows_have_a_forecast_and_no_bounds():
    model = naive(horizon=2).fit(walks(3))
    with pytest.warns(IntervalWarning, match="none to tell by, at any level"):
        forecast = model.predict(level=80)
    assert np.isfinite(forecast["naive"]).all()
    assert forecast["naive-lo-80"].isna().all()


def test_a_constant_series_has_intervals_of_no_width():
    df = pd.DataFrame({"unique_id": "a", "ds": range(100), "y": 5.0})
    forecast = naive().fit(df).predict(level=[80])
    assert forecast[["naive-lo-80", "naive-hi-80"]].eq(5.0).all(axis=None)


# ---- what bounds respect


def test_bounds_of_series_without_a_negative_value_are_not_negative():
    rng = np.random.default_rng(2)
    df = pd.DataFrame({"unique_id": "a", "ds": range(200), "y": rng.poisson(0.7, 200).astype(float)})
    both = pd.concat([df, df.assign(unique_id="b", y=df["y"] - 1)])
    forecast = naive().fit(both).predict(level=95).set_index("unique_id")
    assert forecast.loc["a", "naive-lo-95"].min() == 0
    assert forecast.loc["b", "naive-lo-95"].min() < -1


def test_errors_are_taken_in_the_users_units_so_bounds_of_a_log_model_are_lopsided():
    rng = np.random.default_rng(0)
    df = walks(400).assign(y=np.exp(3 + rng.normal(scale=0.6, size=400)))
    model = NARXForecaster(2, 3, scope="local", mode="open_loop", target_transforms=[Log()]).fit(df)
    row = model.predict(level=90).iloc[0]
    point, low, high = (row[f"NARXForecaster{end}"] for end in ("", "-lo-90", "-hi-90"))
    assert high - point > 1.5 * (point - low)


# ---- who learns what


class Spying(Forecaster):
    """Repeats the last value; records what it was fitted on and what it was shown."""

    def __init__(self, horizon=H, keeps_rows=True):
        self.horizon = horizon
        self.keeps_rows = keeps_rows

    def fit(self, df, y=None, *, mode=None):
        begin_fit(self, y)
        panel = self.read(df)
        FITS.append(panel.lengths.tolist())
        self.panel_ = panel
        if self.keeps_rows:
            end_fit(self, panel, 1)
        else:
            self.train_end_ = last_stamps(panel)
        return self

    def predict(self, horizon=None, *, history=None):
        panel = self.panel_ if history is None else self.read(history)
        last = panel.values[panel.indptr[1:] - 1]
        return self.write(panel, np.repeat(last[:, None, :], horizon_of(self, horizon), axis=1))


FITS: list = []


def test_errors_are_those_of_clones_that_had_not_learnt_from_the_rows_they_forecast():
    FITS.clear()
    model = Spying().fit(walks(100))
    model.predict(level=80)
    assert FITS == [[100], [50], [75]]
    model.predict(level=[90, 95])
    assert len(FITS) == 3


def test_a_forecaster_of_fit_and_predict_alone_has_the_intervals_of_one_that_knows_levels():
    df = walks(80, n_series=3)
    want = naive(alias="Spying").fit(df).predict(level=[80, 95])
    got = Spying().fit(df).predict(level=[80, 95])
    pd.testing.assert_frame_equal(got, want)
    assert got.attrs["intervals"] == want.attrs["intervals"]
    pd.testing.assert_frame_equal(Spying().fit(df).predict(level=80, history=df), want.iloc[:, :6])


def test_one_that_keeps_no_rows_is_told_so_and_is_calibrated_on_those_it_is_given():
    df = walks(80)
    model = Spying(keeps_rows=False).fit(df.head(60))
    with pytest.raises(ArgumentError, match="end_fit"):
        model.predict(level=80)
    got = model.predict_at(df, [59, 70], level=80)
    want = naive(alias="Spying").fit(df.head(60)).predict_at(df, [59, 70], level=80)
    pd.testing.assert_frame_equal(got, want)


def test_no_row_after_the_training_rows_is_read():
    df = make_frame((80, 60))
    model = NARXForecaster(H, 5, scope="local", mode="open_loop").fit(df.groupby("unique_id").head(50))
    wrecked = wreck_after(df, {"s0": 50, "s1": 50})
    got, want = (model.predict_at(frame, [50], level=[80, 95]) for frame in (wrecked, df))
    pd.testing.assert_frame_equal(got, want, check_exact=True)


def test_a_refit_forgets_the_calibration_and_a_pickle_keeps_it():
    model = naive().fit(walks(100))
    first = model.predict(level=80)
    again = pickle.loads(pickle.dumps(model))
    assert again._calibrations_
    pd.testing.assert_frame_equal(again.predict(level=80), first, check_exact=True)
    other = walks(100, seed=5)
    pd.testing.assert_frame_equal(
        model.fit(other).predict(level=80), naive().fit(other).predict(level=80), check_exact=True
    )


def test_bounds_do_not_depend_on_what_was_asked_before():
    df = walks(100)
    model = naive().fit(df)
    model.predict(6, level=80)
    pd.testing.assert_frame_equal(model.predict(2, level=80), naive().fit(df).predict(2, level=80), check_exact=True)


def test_auto_narx_keeps_its_choice_and_fits_what_is_heard_on_fewer_rows():
    model = AutoNARX(H, season_length=7, budget="fast", time_limit=0.001).fit(make_frame((90, 80)))
    clone = model._refitted(model._learnt_from_.head(np.array([40, 30])))
    assert set(clone.members_) <= set(model.members_)
    assert clone.train_end_["cutoff"].tolist() == [40, 30]
    at = pd.DataFrame({"unique_id": ["s0", "s1"], "cutoff": [60, 60]})
    assert np.isfinite(clone.predict_at(make_frame((90, 80)), at)["AutoNARX"]).all()
    # Each series' own weights were chosen on the rows that the clone is judged by.
    shared = model._weight_[[list(model.members_).index(name) for name in clone.members_]].mean(axis=1)
    np.testing.assert_allclose(clone._weight_, np.stack([shared, shared], axis=1))


def test_a_series_that_was_not_fitted_has_bounds_in_its_own_scale():
    df = make_frame((90, 80))
    model = NARXForecaster(H, 7, scope="global", mode="open_loop").fit(df)
    new = make_frame((60,), ids=["new"])
    forecasts = [model.predict(history=new.assign(y=k * new["y"]), level=80) for k in (1, 10)]
    width = [(f["NARXForecaster-hi-80"] - f["NARXForecaster-lo-80"]).to_numpy() for f in forecasts]
    assert width[1] == pytest.approx(10 * width[0])


# ---- what else may be asked for


@pytest.mark.parametrize("asked", [{}, {"over": "path"}, {"scale": "recent"}, {"whole": True}])
def test_a_narrower_level_is_inside_a_wider_one_wherever_they_come_from(asked, monkeypatch):
    # Of one step and level the errors are both signed and not, and own ones and those of all series.
    monkeypatch.setattr(calibration, "_MANY", 25)
    df = pd.concat([walks(60, 3), walks(160, 1, seed=9).assign(unique_id="long", y=lambda f: f["y"].round())])
    levels = [10, 50, 80, 90, 94]
    forecast = naive(horizon=5).fit(df).predict(level=Intervals(levels, **asked))
    assert ";" in forecast.attrs["intervals"]["80"] or "over" in asked
    for narrow, wide in pairwise(levels):
        assert (forecast[f"naive-lo-{narrow}"] >= forecast[f"naive-lo-{wide}"]).all()
        assert (forecast[f"naive-hi-{narrow}"] <= forecast[f"naive-hi-{wide}"]).all()


def test_whole_paths_lie_within_their_bands_as_often_as_the_level_says():
    n_series, rows, horizon = 1000, 120, 10
    y = drawn("walk", rows + horizon, n_series, seed=5)
    df = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(n_series), rows),
            "ds": np.tile(np.arange(rows), n_series),
            "y": y[:, :rows].ravel(),
        }
    )
    model = naive(horizon=horizon).fit(df)
    share = {}
    for over in ("path", "step"):
        forecast = model.predict(level=Intervals(90, over=over))
        low, high = (forecast[f"naive-{side}-90"].to_numpy().reshape(n_series, horizon) for side in ("lo", "hi"))
        share[over] = ((low <= y[:, rows:]) & (y[:, rows:] <= high)).all(axis=1).mean()
    assert share["path"] == pytest.approx(0.9, abs=0.03)
    assert share["step"] < 0.8


@pytest.mark.usefixtures("moves_alone")
def test_the_band_of_whole_paths_is_that_of_the_steps_times_the_factor_that_paths_took():
    df = walks(200, seed=3)
    model = naive(horizon=3).fit(df)
    each, path = (model.predict(level=Intervals(80, over=over)) for over in ("step", "path"))
    factor = ((path["naive-hi-80"] - path["naive-lo-80"]) / (each["naive-hi-80"] - each["naive-lo-80"])).to_numpy()
    assert factor == pytest.approx(factor[0])
    middle = (each["naive-hi-80"] + each["naive-lo-80"]).to_numpy() / 2 - each["naive"][0]
    half = (each["naive-hi-80"] - each["naive-lo-80"]).to_numpy() / 2
    y = df["y"].to_numpy()
    errors = np.stack([errors_by_hand(y, step)[:98] for step in (1, 2, 3)], axis=1) * np.abs(np.diff(y)).mean()
    widest = np.sort((np.abs(errors - middle) / half).max(axis=1))
    assert factor[0] == pytest.approx(widest[int(np.ceil(99 * 0.8)) - 1])
    assert "(whole paths)" in path.attrs["intervals"]["80"]


@pytest.mark.usefixtures("moves_alone")
def test_paths_of_each_clone_count_alike_where_there_are_many():
    df = walks(90, n_series=20, seed=6)
    model = naive(horizon=3).fit(df)
    each, path = (model.predict(level=Intervals(80, over=over)) for over in ("step", "path"))
    found = model._calibrations_[3]
    bounds = [(each[f"naive-{side}-80"] - each["naive"]).to_numpy().reshape(20, 3) for side in ("lo", "hi")]
    middle, half = sum(bounds) / 2, (bounds[1] - bounds[0]) / 2
    # In units of the size expected of each series: that of its last moves is divided out.
    size = found._common(False).spread[..., 0] * found.last_units[0]
    relative = found._common(False).relative[..., 0]
    off = (np.abs(relative - middle / size) / (half / size)).max(axis=2)
    factors = []
    for clone in (0, 1):
        widest = np.sort(off[(found.clone == clone) & ~np.isnan(off)])
        factors.append(widest[int(np.ceil((len(widest) + 1) * 0.8)) - 1])
    assert factors[0] != factors[1]
    wide = (path["naive-hi-80"] - path["naive-lo-80"]).to_numpy().reshape(20, 3) / 2
    assert (wide / half).ravel() == pytest.approx([np.mean(factors)] * 60)


def test_too_few_paths_are_named():
    with pytest.warns(IntervalWarning, match=r"too few paths .*levels up to 92\.3"):
        naive(horizon=1).fit(walks(24)).predict(level=Intervals(95, over="path"))


@pytest.mark.usefixtures("moves_alone")
def test_recent_moves_count_half_and_so_restless_times_have_wider_bounds():
    y = walks(300)["y"].diff().fillna(0.0).to_numpy(copy=True)
    y[288:] *= 4
    df = walks(300).assign(y=y.cumsum())
    model = naive(horizon=1).fit(df)
    width = {}
    for scale in ("all", "recent"):
        forecast = model.predict(level=Intervals(80, scale=scale))
        width[scale] = (forecast["naive-hi-80"] - forecast["naive-lo-80"])[0]
    assert width["recent"] > 1.3 * width["all"]


def test_whole_bounds_are_the_lowest_and_highest_whole_numbers_within():
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"unique_id": "a", "ds": range(200), "y": rng.poisson(30.0, 200).astype(float)})
    both = pd.concat([df, df.assign(unique_id="b", y=df["y"] + 0.5)])
    model = NARXForecaster(H, 3, scope="local", mode="open_loop", alias="it").fit(both)
    plain, whole = (model.predict(level=Intervals(80, whole=one)).set_index("unique_id") for one in (False, True))
    assert (whole.loc["a", "it-lo-80"] == np.ceil(plain.loc["a", "it-lo-80"])).all()
    assert (whole.loc["a", "it-hi-80"] == np.floor(plain.loc["a", "it-hi-80"])).all()
    pd.testing.assert_frame_equal(whole.loc[["b"]], plain.loc[["b"]], check_exact=True)


@pytest.mark.parametrize("wrong", [{"over": "paths"}, {"scale": "local"}, {"whole": 1}, {"levels": 101}])
def test_what_intervals_do_not_take_is_refused(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong)).rstrip("s")):
        Intervals(**({"levels": 80} | wrong))


# ---- frames


def test_columns_of_several_targets_stand_after_each_target():
    df = walks(60).assign(z=lambda f: -2 * f["y"])
    forecast = naive(horizon=1, target_col=["y", "z"]).fit(df).predict(level=[90, 80])
    want = ["naive-y", *(f"naive-y-{side}-{level}" for level in (80, 90) for side in ("lo", "hi"))]
    assert forecast.columns.tolist()[3:] == [*want, *(name.replace("-y", "-z") for name in want)]
    # The other's errors are its own times -2: low is high.
    assert (forecast["naive-z-lo-80"] - forecast["naive-z"]).to_numpy() == pytest.approx(
        -2 * (forecast["naive-y-hi-80"] - forecast["naive-y"]).to_numpy()
    )


def test_scenarios_have_bounds_of_their_own():
    df = make_frame((80,)).assign(price=lambda f: np.sin(f["ds"]))
    plan = pd.DataFrame({"unique_id": "s0", "ds": range(81, 85), "price": 0.5})
    narx = NARXForecaster(H, 5, scope="local", mode="open_loop", future_exog=["price"])
    scenarios = {"low": plan, "high": plan.assign(price=5.0)}
    for model in (narx, Ensemble([narx, naive()])):
        forecast = model.fit(df).predict(future_df=scenarios, level=80)
        low = forecast.groupby("scenario")[f"{model.name}-lo-80"].first()
        assert low["low"] != low["high"]
        alone = model.predict(future_df=plan, level=80)
        first = forecast.query("scenario == 'low'")[f"{model.name}-lo-80"]
        np.testing.assert_allclose(alone[f"{model.name}-lo-80"], first, rtol=1e-12)


@pytest.mark.parametrize("level", [0, 100, -5, 101, "95", True, [80, "x"], [], [float("nan")]])
def test_a_level_that_is_no_percent_between_0_and_100_is_refused(level):
    with pytest.raises(ArgumentError, match="level"):
        naive().fit(walks(40)).predict(level=level)


def test_missing_values_are_no_errors():
    df = make_frame((120,))
    df.loc[df["ds"].isin([70, 71, 90]), "y"] = np.nan
    model = NARXForecaster(H, 5, scope="local", mode="open_loop", missing="own_output").fit(df)
    forecast = model.predict(level=80)
    assert np.isfinite(forecast["NARXForecaster-lo-80"]).all()
    assert np.isfinite(model._calibrations_[H].errors[:, 0, 0, 0]).sum() == 60 - 3


def test_a_stride_leaves_no_more_cutoffs_than_are_asked_for_and_the_last_rows_count(monkeypatch):
    monkeypatch.setattr(past_forecasts, "_MOST_ORIGINS", 40)
    y = walks(200)["y"].to_numpy()
    model = naive(horizon=1).fit(walks(200))
    errors = calibrate(model, model._learnt_from_, 1).errors[:, 0, 0, 0]
    assert 34 <= np.isfinite(errors).sum() <= 40
    assert y[-1] - y[-2] in errors


# ---- how often they hold


def drawn(kind, rows, n_series, seed):
    rng = np.random.default_rng(seed)
    surprise = rng.normal(size=(n_series, rows + 50))
    if kind == "walk":
        return surprise[:, 50:].cumsum(axis=1)
    pull, y = {"ar": 0.9, "lognormal": 0.7}[kind], np.zeros_like(surprise)
    for t in range(1, y.shape[1]):
        y[:, t] = pull * y[:, t - 1] + surprise[:, t]
    return y[:, 50:] if kind == "ar" else np.exp(3 + 0.3 * y[:, 50:])


@pytest.mark.parametrize(
    "kind", ["naive", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("ar", "walk", "lognormal"))]
)
def test_of_300_rows_each_third_of_the_horizon_is_covered_within_three_points(kind):
    n_series, rows, horizon = 800, 300, 12
    y = drawn("walk" if kind == "naive" else kind, rows + horizon, n_series, seed=11)
    df = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(n_series), rows),
            "ds": np.tile(np.arange(rows), n_series),
            "y": y[:, :rows].ravel(),
        }
    )
    transforms = [Log()] if kind == "lognormal" else []
    model = NARXForecaster(
        horizon, 12, scope="local", season_length=1, mode="open_loop", target_transforms=transforms, alias="it"
    )
    model = naive(horizon=horizon, alias="it") if kind == "naive" else model
    forecast = model.fit(df).predict(level=[80, 95])
    for level in (80, 95):
        low, high = (forecast[f"it-{side}-{level}"].to_numpy().reshape(y[:, rows:].shape) for side in ("lo", "hi"))
        inside = (low <= y[:, rows:]) & (y[:, rows:] <= high)
        thirds = inside.reshape(n_series, 3, -1).mean(axis=(0, 2))
        assert np.abs(thirds - level / 100).max() <= 0.03, (level, thirds)


def test_differences_and_log_together_are_undone_before_errors_are_taken():
    df = make_frame((150,))
    model = NARXForecaster(H, 5, scope="local", mode="open_loop", target_transforms=[Log(), Difference(7)]).fit(df)
    forecast = model.predict(level=80)
    width = forecast["NARXForecaster-hi-80"] - forecast["NARXForecaster-lo-80"]
    # The noise has a deviation of 1 in these units, of .02 in logarithms.
    assert width.between(1, 12).all()


def test_bounds_are_wider_at_the_places_in_the_season_that_err_more_wherever_a_history_begins():
    rng = np.random.default_rng(3)
    stamps = pd.date_range("2026-01-05", periods=24 * 40, freq="h")
    by_day = stamps.hour >= 12
    df = pd.concat(
        pd.DataFrame(
            {"unique_id": name, "ds": stamps, "y": 100 + rng.normal(size=len(stamps)) * np.where(by_day, 5, 1)}
        )
        for name in ("a", "b", "c")
    )
    model = Baseline("seasonal_naive", horizon=24, season_length=24).fit(df)
    whole = model.predict(level=80)
    wide = (whole["seasonal_naive-hi-80"] - whole["seasonal_naive-lo-80"]).to_numpy().reshape(3, 24)
    night, day = wide[:, :12].mean(axis=1), wide[:, 12:].mean(axis=1)
    # Of differences of two such values.
    assert night == pytest.approx(2 * 1.2816 * np.sqrt(2) * 1, rel=0.2)
    assert day == pytest.approx(2 * 1.2816 * np.sqrt(2) * 5, rel=0.2)
    # The same from rows that begin elsewhere in a day, each series at another hour.
    cut = {"a": 31, "b": 100, "c": 400}
    later = pd.concat(own.iloc[cut[name] :] for name, own in df.groupby("unique_id"))
    pd.testing.assert_frame_equal(model.predict(history=later, level=80), whole)
    # Half a day later it is the other half of the steps.
    half = model.predict_at(df, df["ds"].max() - pd.Timedelta(hours=12), level=80)
    moved = (half["seasonal_naive-hi-80"] - half["seasonal_naive-lo-80"]).to_numpy().reshape(3, 24)
    assert (moved[:, :12].mean(axis=1) > 3 * moved[:, 12:].mean(axis=1)).all()
