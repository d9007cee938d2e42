"""Conformal intervals: which error bounds which step, where they come from, how often they hold."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame, wreck_after
from tsforce import AutoNARX, Baseline, Difference, Ensemble, Forecaster, Log, NARXForecaster
from tsforce.data.frame import last_stamps
from tsforce.errors import ArgumentError, IntervalWarning
from tsforce.forecasting import intervals
from tsforce.forecasting.parts import begin_fit, end_fit, horizon_of

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
    """Of repeating the last value, at every cutoff of the second half."""
    return np.sort([y[t + step] - y[t] for t in range(len(y) // 2 - 1, len(y) - step)])


# ---- ranks


def test_bounds_of_step_one_are_the_errors_at_the_ranks_of_both_sides():
    df = walks(120)
    y = df["y"].to_numpy()
    errors = errors_by_hand(y, 1)
    assert len(errors) == 60
    # ceil(61 * .975) = 60, and the one as far from the other end.
    row = naive().fit(df).predict(level=95).iloc[0]
    assert row["naive-lo-95"] == y[-1] + errors[0]
    assert row["naive-hi-95"] == y[-1] + errors[59]
    # ceil(61 * .9) = 55.
    row = naive().fit(df).predict(level=[80]).iloc[0]
    assert row["naive-lo-80"] == y[-1] + errors[5]
    assert row["naive-hi-80"] == y[-1] + errors[54]


def test_with_19_errors_95_percent_is_the_largest_absolute_one_on_both_sides():
    df = walks(38)
    y = df["y"].to_numpy()
    errors = errors_by_hand(y, 1)
    assert len(errors) == 19
    forecast = naive(horizon=1).fit(df).predict(level=95)
    largest = np.abs(errors).max()
    assert forecast["naive-hi-95"][0] == y[-1] + largest
    assert forecast["naive-lo-95"][0] == y[-1] - largest
    assert forecast.attrs["intervals"] == {"95": "own errors at the step, without their sign (100%)"}


def test_errors_that_overlap_are_read_at_a_higher_rank():
    df = walks(240)
    y = df["y"].to_numpy()
    errors = errors_by_hand(y, 4)
    assert len(errors) == 117
    # By hand: errors of cutoffs one to three rows apart share surprises.
    moving = np.array([y[t + 4] - y[t] for t in range(119, 236)])
    r = [np.mean(moving[k:] * moving[:-k]) / np.mean(moving**2) for k in (1, 2, 3)]
    worth = 117 / (1 + 2 * np.sum(np.clip(r, 0, 1) ** 3))
    rank = int(np.ceil(117 * (worth + 1) * 0.9 / worth))
    assert rank > np.ceil(118 * 0.9)
    row = naive().fit(df).predict(level=80).iloc[3]
    assert row["naive-hi-80"] == y[-1] + errors[rank - 1]
    assert row["naive-lo-80"] == y[-1] + errors[117 - rank]


def test_a_step_is_bounded_by_errors_of_that_step_so_widths_grow_as_those_of_a_walk_do():
    df = walks(300, n_series=40, seed=3)
    forecast = naive(horizon=9).fit(df).predict(level=80)
    width = (forecast["naive-hi-80"] - forecast["naive-lo-80"]).groupby(forecast["horizon"]).mean()
    assert 0.85 < width[9] / (3 * width[1]) < 1.3


# ---- fall-backs, each with its note


def test_too_few_of_its_own_are_joined_by_those_of_other_series_in_their_scales():
    # A thousand times as large and as short: what bounds it are the others' errors, a thousand times as large.
    rng = np.random.default_rng(1)
    parts = [walks(60, 1, seed=i).assign(unique_id=f"s{i}") for i in range(8)]
    short = pd.DataFrame({"unique_id": "short", "ds": range(3), "y": 1000 * rng.normal(size=3).cumsum()})
    forecast = naive(horizon=1).fit(pd.concat([*parts, short])).predict(level=[80, 95])
    last = forecast.iloc[-1]
    model = naive(horizon=1).fit(pd.concat(parts))
    pooled = []
    for i, part in enumerate(parts):
        scale = np.abs(np.diff(part["y"])).mean()
        pooled.extend(errors_by_hand(part["y"].to_numpy(), 1) / scale)
        assert i == model.predict()["unique_id"].tolist().index(f"s{i}")
    pooled = np.sort(pooled)
    scale = np.abs(np.diff(short["y"])).mean()
    rank = int(np.ceil((len(pooled) + 1) * 0.975))
    assert last["naive-hi-95"] - last["naive"] == pytest.approx(scale * pooled[rank - 1])
    assert last["naive-lo-95"] - last["naive"] == pytest.approx(scale * pooled[len(pooled) - rank])
    assert "errors of all series at the step, by their scale (11%)" in forecast.attrs["intervals"]["95"]


def test_few_overlapping_errors_of_one_series_are_taken_and_the_frame_says_so():
    forecast = naive(horizon=6).fit(walks(60)).predict(level=95)
    assert "own errors at the step, overlapping and few" in forecast.attrs["intervals"]["95"]
    assert np.isfinite(forecast["naive-hi-95"]).all()


def test_neighbouring_steps_come_last_in_the_size_of_their_own_step():
    df = walks(24)
    y = df["y"].to_numpy()
    forecast = naive(horizon=8).fit(df).predict(level=95)
    assert "neighbouring steps" in forecast.attrs["intervals"]["95"]
    # The last step has 5 errors; with the three steps before it there are 5 + 6 + 7 + 8 = 26.
    own = {step: errors_by_hand(y, step) for step in (5, 6, 7, 8)}
    relative = np.concatenate([own[step] / np.abs(own[step]).mean() for step in own])
    size = np.sort(np.abs(relative))[int(np.ceil(27 * 0.95)) - 1] * np.abs(own[8]).mean()
    last = forecast.iloc[-1]
    assert last["naive-hi-95"] - last["naive"] == pytest.approx(size)


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


def test_a_series_that_was_not_fitted_has_bounds_in_its_own_scale():
    df = make_frame((90, 80))
    model = NARXForecaster(H, 7, scope="global", mode="open_loop").fit(df)
    new = make_frame((60,), ids=["new"])
    forecasts = [model.predict(history=new.assign(y=k * new["y"]), level=80) for k in (1, 10)]
    width = [(f["NARXForecaster-hi-80"] - f["NARXForecaster-lo-80"]).to_numpy() for f in forecasts]
    assert width[1] == pytest.approx(10 * width[0])


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
    calibration = model._calibrations_[H]
    assert calibration.count[0, 0, 0] == 60 - 3


def test_a_stride_leaves_no_more_cutoffs_than_are_asked_for_and_the_last_rows_count(monkeypatch):
    monkeypatch.setattr(intervals, "_MOST_ORIGINS", 40)
    y = walks(200)["y"].to_numpy()
    model = naive(horizon=1).fit(walks(200))
    calibration = intervals.calibrate(model, model._learnt_from_, 1)
    assert 34 <= calibration.count[0, 0, 0] <= 40
    assert y[-1] - y[-2] in calibration.errors[:, 0, 0, 0]


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
