"""Intervals in backtests: blind after each cutoff, and their scores by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.test_exposure_report import Minimal
from tests.makers import make_frame, wreck_after
from tsforce import AutoNARX, Baseline, Ensemble, Intervals, NARXForecaster, backtest, compare
from tsforce.errors import ArgumentError

H = 4
MODELS = {
    "narx": lambda: NARXForecaster(H, 5, scope="local", mode="open_loop", season_length=7),
    "baseline": lambda: Baseline("naive", horizon=H, season_length=7),
    "ensemble": lambda: Ensemble([Baseline(m, horizon=H, season_length=7) for m in ("naive", "drift")]),
    "auto": lambda: AutoNARX(H, season_length=7, budget="fast", time_limit=0.001),
    "of fit and predict alone": Minimal,
}


@pytest.mark.parametrize("asked", [{}, {"over": "path", "scale": "recent", "whole": True}])
@pytest.mark.parametrize("name", MODELS)
def test_bounds_change_by_no_bit_when_everything_after_the_cutoff_is_overwritten(name, asked):
    df = make_frame((70, 60))
    wrecked = wreck_after(df, {"s0": 70 - H, "s1": 60 - H})
    want, got = (backtest(MODELS[name](), given, level=Intervals([80, 90], **asked)).frame for given in (df, wrecked))
    assert want.columns[-4:].str.contains("-(?:lo|hi)-(?:80|90)$").all()
    assert want.notna().all(axis=None)
    pd.testing.assert_frame_equal(got.drop(columns="y"), want.drop(columns="y"), check_exact=True)


@pytest.mark.parametrize("refit", [False, True])
def test_bounds_are_those_that_a_clone_fitted_before_the_cutoff_predicts(refit):
    df = make_frame((70, 60))
    model = MODELS["narx"]()
    frame = backtest(model, df, n_windows=2, refit=refit, level=90).frame
    for number, cut in enumerate((2 * H, H)):
        rows = df[df.groupby("unique_id").cumcount(ascending=False) >= cut]
        if number == 0 or refit:
            fitted = model.clone_unfitted().fit(rows)
            ahead = fitted.predict(level=90)
        else:
            ahead = fitted.predict(history=rows, level=90)
        own = frame[frame.groupby("unique_id")["cutoff"].rank("dense") == number + 1]
        for side in ("lo", "hi"):
            column = f"NARXForecaster-{side}-90"
            np.testing.assert_allclose(own[column], ahead[column], rtol=1e-12)


def test_coverage_width_and_msis_are_those_of_the_frame():
    df = make_frame((90, 70))
    result = backtest(Baseline("naive", horizon=H, season_length=7), df, n_windows=3, level=[80, 95])
    frame = result.frame
    rows = []
    for name, own in frame.groupby("unique_id", sort=False):
        y, low, high = (own[column].to_numpy() for column in ("y", "naive-lo-80", "naive-hi-80"))
        seen = df[(df["unique_id"] == name) & (df["ds"] <= own["cutoff"].min())]["y"].to_numpy()
        scale = np.abs(seen[7:] - seen[:-7]).mean()
        # M4's: alpha = .2, 2 / alpha = 10.
        penalty = 10 * np.where(y < low, low - y, 0) + 10 * np.where(y > high, y - high, 0)
        rows.append([((low <= y) & (y <= high)).mean(), (high - low).mean(), (high - low + penalty).mean() / scale])
    want = np.mean(rows, axis=0)
    columns = ["coverage-80", "width-80", "msis-80"]
    assert result.scores().loc[0, columns].to_numpy(float) == pytest.approx(want)
    assert result.scores(by="unique_id")[columns].to_numpy() == pytest.approx(np.array(rows))
    assert result.scores()["coverage-95"].item() >= result.scores()["coverage-80"].item()
    steps = result.by_horizon()
    inside = frame["y"].between(frame["naive-lo-95"], frame["naive-hi-95"])
    assert steps["coverage-95"].tolist() == pytest.approx(inside.groupby(frame["horizon"]).mean().tolist())


def test_without_a_level_nothing_is_said_of_intervals():
    result = backtest(Baseline("naive", horizon=H), make_frame((40,)))
    assert not any("-" in column for column in [*result.scores(), *result.by_horizon(), *result.frame])


def test_models_are_compared_by_their_intervals_too():
    models = {"last": Baseline("naive"), "season": Baseline("seasonal_naive", season_length=7)}
    result = compare(models, make_frame((90, 80)), horizon=H, n_windows=2, level=80)
    scores = result.scores().set_index("model")
    assert scores.loc["season", "msis-80"] < scores.loc["last", "msis-80"]
    assert result.frame.columns.tolist()[5:] == [
        *("last", "last-lo-80", "last-hi-80"),
        *("season", "season-lo-80", "season-hi-80"),
    ]
    with pytest.raises(ArgumentError, match="'last-lo-80'"):
        compare({"last": models["last"], "last-lo-80": models["season"]}, make_frame((90,)), horizon=H, level=80)


def test_each_target_is_scored_by_its_own_bounds():
    df = make_frame((80,)).assign(z=lambda f: 10 * f["y"])
    both = backtest(Baseline("naive", horizon=H, target_col=["y", "z"], season_length=7), df, level=80)
    scores = both.scores(by="target").set_index("target")
    assert scores.loc["z", "width-80"] == pytest.approx(10 * scores.loc["y", "width-80"])
    assert scores.loc["z", "msis-80"] == pytest.approx(scores.loc["y", "msis-80"])
