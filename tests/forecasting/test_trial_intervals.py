"""What intervals of each candidate of AutoNARX would be like: from its errors on trial, of other series."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tsforce import AutoNARX
from tsforce.errors import ArgumentError
from tsforce.forecasting.auto.trial_intervals import _bounds, interval_scores

H = 4


@pytest.fixture(scope="module")
def fitted():
    y = np.abs(np.random.default_rng(0).normal(size=(24, 60)).cumsum(axis=1)) + 1
    ids = np.repeat([f"s{i:02}" for i in range(24)], 60)
    df = pd.DataFrame({"unique_id": ids, "ds": np.tile(np.arange(60), 24), "y": y.ravel()})
    return AutoNARX(H, season_length=1, budget="fast").fit(df)


@pytest.mark.slow
def test_each_candidate_has_coverage_width_and_score_at_each_level(fitted):
    board = fitted.interval_scores([95, 80])
    assert board["candidate"].tolist() == fitted.leaderboard_["candidate"].tolist()
    naive = board.set_index("candidate").loc["naive"]
    # 72 windows: three standard errors of a share of .8 are .14.
    assert naive["coverage-80"] == pytest.approx(0.8, abs=0.14)
    assert naive["coverage-95"] == pytest.approx(0.95, abs=0.08)
    assert naive["width-95"] > naive["width-80"]
    assert (board["msis-95"] >= board["width-95"]).all()


def test_scores_are_those_of_the_bounds_in_seasonal_naive_errors_of_the_rows_before_all_cutoffs(fitted):
    windows, trial = fitted._windows_, fitted._trials_[0]
    low, high = _bounds(trial.yhat, windows, (80.0,), 1)
    scale = [np.abs(np.diff(windows.learnt.values[first:end, 0])).mean()
             for first, end in zip(windows.learnt.indptr[:-1], windows.learnt.indptr[1:], strict=True)]  # fmt: skip
    scale = np.array(scale)[windows.index.series][:, None, None]
    outside = np.maximum(np.maximum(low[0] - windows.truth, windows.truth - high[0]), 0)
    want = ((high[0] - low[0] + 2 / 0.2 * outside) / scale).mean()
    found = interval_scores([trial], windows, (80.0,), 1)
    assert found["msis-80"][0] == pytest.approx(want, rel=1e-9)
    assert found["coverage-80"][0] == pytest.approx((outside == 0).mean())


def test_no_bound_knows_what_came_after_its_cutoff(fitted):
    windows, trial = fitted._windows_, fitted._trials_[0]
    bounds = _bounds(trial.yhat, windows, (80.0, 95.0), 1)
    panel, even = windows.panel, windows.index.series % 2 == 0
    values = panel.values.copy()
    first = {}
    for series, row in zip(windows.index.series[even], windows.index.rows[even], strict=True):
        first[series] = max(first.get(series, 0), row)
    for series, row in first.items():
        values[panel.indptr[series] + row + 1 : panel.indptr[series + 1]] = -1e9
    wrecked = _bounds(trial.yhat, replace(windows, panel=replace(panel, values=values)), (80.0, 95.0), 1)
    last = even & np.array([first.get(s) == r for s, r in zip(windows.index.series, windows.index.rows, strict=True)])
    assert last.any()
    np.testing.assert_array_equal(wrecked[:, :, last], bounds[:, :, last])
    assert not np.array_equal(wrecked[:, :, ~even], bounds[:, :, ~even])


def test_a_level_that_is_none_is_refused(fitted):
    with pytest.raises(ArgumentError, match="level=120"):
        fitted.interval_scores(120)
