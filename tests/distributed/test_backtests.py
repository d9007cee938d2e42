"""Backtests of data in partitions: the forecasts and scores of one frame, learnt up to the first cutoffs alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import Baseline, NARXForecaster, backtest
from tsforce.errors import ArgumentError, PartitionError, PartitionWarning

H = 4


def frame(**given):
    return make_frame((70, 50, 90, 60), **given)


def in_parts(df, *groups):
    return [df[df["unique_id"].isin(group.split())] for group in groups]


@pytest.mark.parametrize("freq", ["D", None])
@pytest.mark.parametrize(
    "make",
    [
        lambda: NARXForecaster(H, 5, scope="local"),
        lambda: NARXForecaster(H, 5, scope="global", mode="open_loop", ridge=10.0),
    ],
    ids=["local", "global"],
)
def test_forecasts_and_scores_are_those_of_one_frame(make, freq):
    df = frame(freq=freq)
    # Calendar windows count back from the last stamp of all, which is not that of this series.
    df = df.drop(df[df["unique_id"] == "s1"].index[-3:])
    expected = backtest(make(), df, n_windows=2, step_size=3)
    found = backtest(make(), in_parts(df, "s0", "s1 s2", "s3"), n_windows=2, step_size=3)
    pd.testing.assert_frame_equal(found.to_pandas(), expected.frame, rtol=1e-9)
    pd.testing.assert_frame_equal(found.scores(), expected.scores(), rtol=1e-9)
    pd.testing.assert_frame_equal(found.scores("unique_id"), expected.scores("unique_id"), rtol=1e-9)


def test_nothing_after_the_first_cutoffs_is_learnt_from():
    df = frame()
    wild = df.copy()
    late = df.groupby("unique_id").cumcount(ascending=False) < H
    wild.loc[late, "y"] = 1e9
    both = [
        backtest(NARXForecaster(H, 5, scope="local"), in_parts(rows, "s0 s1", "s2 s3")).to_pandas()["NARXForecaster"]
        for rows in (df, wild)
    ]
    np.testing.assert_array_equal(*both)


def test_a_backtest_is_written_and_goes_on_and_its_scores_are_not_made_twice(tmp_path):
    df = frame()
    found = backtest(Baseline("naive", horizon=H), in_parts(df, "s0 s1", "s2 s3"), level=80)
    assert found.to_parquet(tmp_path / "out")["status"].tolist() == ["written", "written"]
    found.fitted.settled = None
    assert found.scores()["coverage-80"].between(0, 1).all()
    again = backtest(Baseline("naive", horizon=H), in_parts(df, "s0 s1", "s2 s3"), level=80)
    assert again.to_parquet(tmp_path / "out")["status"].tolist() == ["was there", "was there"]


def test_a_partition_without_a_window_is_told_and_no_silent_part_of_the_scores():
    df = pd.concat([frame(), make_frame((3,), ids=["short"])], ignore_index=True)
    with pytest.warns(PartitionWarning, match="no window fits"):
        found = backtest(Baseline("naive", horizon=H), in_parts(df, "s0 s1 s2 s3", "short"))
    with pytest.raises(PartitionError, match=r"and scores are of all.*'short'"):
        found.scores()


def test_what_wants_a_frame_in_memory_is_refused():
    parts = in_parts(frame(), "s0", "s1")
    with pytest.raises(ArgumentError, match="refit=, n_paths= goes with a frame in memory"):
        backtest(Baseline("naive", horizon=H), parts, refit=True, n_paths=10)
    with pytest.raises(ArgumentError, match="expected None or 'unique_id'"):
        backtest(Baseline("naive", horizon=H), parts).scores("cutoff")
