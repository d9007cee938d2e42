"""Sample paths of forecasters with no step loop: errors of past cutoffs about the forecast."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import Baseline, Ensemble, Forecaster, NARXForecaster
from tsforce.errors import ArgumentError, IntervalWarning
from tsforce.forecasting.error_paths import _own
from tsforce.forecasting.intervals import calibration_of
from tsforce.forecasting.parts import begin_fit, end_fit, horizon_of
from tsforce.paths import path_quantiles, path_values

H = 4


def naive(**settings):
    return Baseline("naive", season_length=1, **{"horizon": H} | settings)


def walks(rows, n_series=1, seed=0):
    y = np.random.default_rng(seed).normal(size=(n_series, rows)).cumsum(axis=1)
    ids = np.repeat([f"s{i}" for i in range(n_series)], rows)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(np.arange(rows), n_series), "y": y.ravel()})


class Mine(Forecaster):
    """A user's own: it knows of no levels, and of no paths."""

    def __init__(self, horizon=H):
        self.horizon = horizon

    def fit(self, df, y=None, *, mode=None):
        del mode
        begin_fit(self, y)
        end_fit(self, self.read(df), 1)
        return self

    def predict(self, horizon=None, *, future_df=None, history=None):
        del future_df
        panel = self._rows_ if history is None else self.read(history)
        last = panel.values[panel.indptr[1:] - 1]
        return self.write(panel, np.repeat(last, horizon_of(self, horizon), axis=1))


def test_paths_of_whole_horizons_are_errors_of_past_cutoffs_about_the_forecast():
    # Repeating the last value: the errors at the 60 - 3 cutoffs of the second half with a whole horizon of truth.
    df = walks(120)
    y = df["y"].to_numpy()
    errors = np.array([y[t + 1 : t + 1 + H] - y[t] for t in range(59, 120 - H)])
    drawn = path_values(naive().fit(df).sample_paths(3000, block_length=H))[0] - y[-1]
    # Of a walk the mean error is chance, and is taken off.
    np.testing.assert_allclose(
        np.unique(drawn.round(9), axis=0), np.unique((errors - errors.mean(axis=0)).round(9), axis=0)
    )


def test_a_mean_error_that_is_more_than_chance_stays():
    df = walks(120)
    df["y"] += 5.0 * df["ds"]
    y = df["y"].to_numpy()
    errors = np.array([y[t + 1 : t + 1 + H] - y[t] for t in range(59, 120 - H)])
    drawn = path_values(naive().fit(df).sample_paths(3000, block_length=H))[0] - y[-1]
    np.testing.assert_allclose(drawn.mean(axis=0), errors.mean(axis=0), rtol=0.02)


def test_paths_of_single_steps_add_up_what_each_step_revised():
    # A walk's forecast is revised at all steps by the move of the series: increments of paths are such moves.
    df = walks(30)
    y = df["y"].to_numpy()
    moves = np.diff(y)[14 : 30 - H]
    paths = path_values(naive().fit(df).sample_paths(400, block_length=1))[0]
    steps = np.diff(np.column_stack([np.full(400, y[-1]), paths]), axis=1)
    for step in steps.T:
        np.testing.assert_allclose(np.unique(step.round(9)), np.unique((moves - moves.mean()).round(9)), atol=2e-9)
    # 15 moves make many more futures of 4 steps.
    assert len(np.unique(steps.round(9), axis=0)) > 350


def test_stretches_of_two_steps_follow_each_other_as_they_did():
    df = walks(60)
    y = df["y"].to_numpy()
    moves = np.diff(y)[29:]
    paths = path_values(naive().fit(df).sample_paths(300, block_length=2))[0]
    steps = np.diff(np.column_stack([np.full(300, y[-1]), paths]), axis=1)
    pairs = np.column_stack([moves[:-1], moves[1:]])
    for first in (0, 2):
        # Less a constant, each pair is one of the series.
        apart = steps[:, first : first + 2] - steps[0, first : first + 2]
        known = (pairs[:, None] - pairs[None]).reshape(-1, 2)
        nearest = np.abs(apart[:, None] - known[None]).max(axis=2).min(axis=1)
        assert nearest.max() < 1e-9


def test_stretches_add_up_what_the_forecaster_revised_within_them():
    # The slow twin, of a forecaster whose revisions fade: each from the errors at two cutoffs, step by step.
    df = make_frame((60,))
    model = Baseline("ets", horizon=H, season_length=7).fit(df)
    urn = _own(calibration_of(model, H), 0, H, 2)
    errors = calibration_of(model, H).errors[:, 0, :, 0]
    n = len(urn.errors)
    assert urn.length == 2
    assert n == len(errors) - (H - 1)
    for first, second in ((0, 5), (n - 1, 2)):
        want = np.zeros(H)
        for begin, picked in ((0, first), (2, second)):
            for step in range(2):
                revision = errors[picked + step].copy()
                revision[1:] -= errors[picked + step + 1][:-1]
                want[begin + step :] += revision[: H - begin - step]
        got = urn._sum([(urn.errors[k], urn.after[k]) for k in (first, second)])[:, 0]
        # What is revised after the horizon's end is in neither.
        np.testing.assert_allclose(got, want, atol=1e-9)


@pytest.mark.parametrize("model", [naive(), Ensemble([naive(), Baseline("drift", horizon=H)]), Mine()])
def test_more_paths_go_on_from_fewer_and_a_series_is_drawn_alone_as_among_others(model):
    df = walks(120, n_series=3)
    model.fit(df)
    paths = model.sample_paths(20)
    pd.testing.assert_frame_equal(
        model.sample_paths(5), paths[paths["path"] <= 5].reset_index(drop=True), check_exact=True
    )
    assert not model.sample_paths(5, random_state=1).equals(model.sample_paths(5))
    alone = model.clone_unfitted().fit(df[df["unique_id"] == "s1"]).sample_paths(20)
    pd.testing.assert_frame_equal(alone, paths[paths["unique_id"] == "s1"].reset_index(drop=True), check_exact=True)


def test_history_moves_the_paths_and_draws_the_same_errors():
    df = walks(120)
    model = naive().fit(df)
    history = df.assign(y=df["y"] + 100.0)
    np.testing.assert_allclose(
        path_values(model.sample_paths(9, history=history)), path_values(model.sample_paths(9)) + 100
    )


def test_a_series_with_few_errors_draws_those_of_all_in_its_own_scale():
    df = walks(30, n_series=20)
    df["y"] *= np.where(df["unique_id"] == "s3", 1000.0, 1.0)
    spread = path_values(naive().fit(df).sample_paths(2000)).std(axis=1)
    assert 500 < spread[3, 0] < 2000
    assert 1500 < spread[3, 3] < 3000
    np.testing.assert_allclose(spread[:3, 0], 1.0, rtol=0.5)


def test_what_was_never_negative_has_no_negative_paths():
    df = walks(120)
    y = df["y"].to_numpy()
    df["y"] = np.append(np.abs(y[:-1]), 0.0)
    assert path_values(naive().fit(df).sample_paths(500)).min() == 0.0
    df["y"] -= 1.0
    assert path_values(naive().fit(df).sample_paths(500)).min() < -1.0


def test_targets_are_drawn_together():
    df = walks(120)
    df["z"] = -2.0 * df["y"]
    model = naive(target_col=["y", "z"]).fit(df)
    paths = model.sample_paths(30)
    assert paths.columns.tolist()[-2:] == ["naive-y", "naive-z"]
    np.testing.assert_allclose(paths["naive-z"], -2.0 * paths["naive-y"])


def test_scenarios_differ_by_their_inputs_alone():
    df = walks(120)
    df["x"] = np.sin(df["ds"])
    df["y"] += 3 * df["x"]
    one = NARXForecaster(H, lags=2, exog_lags=[0], future_exog=["x"], scope="local", strategy="direct", ridge=1.0)
    model = Ensemble([one], alias="e").fit(df)
    ahead = pd.DataFrame({"unique_id": "s0", "ds": np.arange(120, 124), "x": 0.0})
    both = {"low": ahead, "high": ahead.assign(x=1.0)}
    paths = model.sample_paths(6, future_df=both)
    assert paths.columns.tolist() == ["scenario", "unique_id", "ds", "horizon", "path", "e"]
    want = model.predict(future_df=both)["e"].to_numpy().reshape(2, 1, H)
    errors = path_values(paths) - want
    np.testing.assert_allclose(errors[0], errors[1])
    with pytest.raises(ArgumentError, match="empty dict"):
        model.sample_paths(6, future_df={})


def test_without_any_error_paths_are_nan_and_a_warning_says_so():
    model = naive().fit(walks(4))
    with pytest.warns(IntervalWarning, match="series 's0': no error at past cutoffs"):
        paths = model.sample_paths(2)
    assert paths["naive"].isna().all()


@pytest.mark.slow
@pytest.mark.parametrize("rows", [60, 300])
def test_quantiles_of_paths_hold_as_often_as_they_say(rows):
    rng = np.random.default_rng(3)
    y = np.zeros((200, rows + 62))
    for t in range(1, rows + 62):
        y[:, t] = 0.9 * y[:, t - 1] + rng.normal(size=200)
    y = y[:, 50:]
    ids = np.repeat([f"s{i:03}" for i in range(200)], rows)
    df = pd.DataFrame({"unique_id": ids, "ds": np.tile(np.arange(rows), 200), "y": y[:, :rows].ravel()})
    model = Ensemble([naive(horizon=12), Baseline("ets", horizon=12, season_length=1)], alias="e").fit(df)
    bounds = path_quantiles(model.sample_paths(300), [0.1, 0.9])
    low, high = (bounds[f"e-q{q}"].to_numpy().reshape(200, 12) for q in (10, 90))
    inside = (low <= y[:, rows:]) & (y[:, rows:] <= high)
    for third in np.split(inside, 3, axis=1):
        assert abs(third.mean() - 0.8) < 0.06
