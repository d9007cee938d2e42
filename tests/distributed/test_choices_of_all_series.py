"""What all series have a say in comes out as in one frame, whatever the number of partitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import Difference, NARXForecaster
from tsforce.errors import ArgumentError, PartitionError, PartitionWarning

H = 4


def frame():
    """Ragged series, one without a window to choose by, and one with hardly any noise."""
    df = make_frame((70, 50, 90, 33, 60, 12), freq="D")
    wave = np.sin(np.arange(70) / 5) + 1e-6 * np.random.default_rng(0).normal(size=70)
    wave = pd.DataFrame({"unique_id": "wave", "ds": df["ds"].iloc[:70].to_numpy(), "y": wave})
    return pd.concat([df, wave], ignore_index=True)


def parts_of(df, *groups):
    return [df[df["unique_id"].isin(group.split())] for group in groups]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"prior": "pooled"},
        {"loss": "huber"},
        pytest.param({"loss": "huber", "prior": "zero", "mode": "open_loop"}, marks=pytest.mark.slow),
        {"prior": "pooled", "ridge": 10.0, "mode": "open_loop"},
        {"lags": 3, "mode": "open_loop", "prior": "zero"},
        {"lags": 3, "mode": "open_loop", "target_transforms": [Difference(7)]},
    ],
    ids=str,
)
def test_ridge_and_prior_of_local_maps_are_chosen_as_on_one_frame(settings):
    df, make = frame(), lambda: NARXForecaster(H, scope="local", **{"lags": 5, **settings})
    whole = make().fit(df)
    for groups in (("s0 s1 s2", "s3", "s4 s5 wave"), ("s0", "s1 s2", "s3 s4", "s5", "wave")):
        model = make().fit(parts_of(df, *groups))
        ridges = pd.concat([fitted.ridge_ for fitted in model.partitions_], ignore_index=True)
        pd.testing.assert_frame_equal(ridges[["unique_id", "ridge"]], whole.ridge_[["unique_id", "ridge"]])
        pd.testing.assert_frame_equal(model.predict().to_pandas(), whole.predict(), rtol=1e-9)


def test_a_partition_that_fails_while_all_are_asked_is_told_and_the_others_go_on():
    df = frame()
    parts = parts_of(df, "s0 s1", "s5", "s2")
    with pytest.warns(PartitionWarning, match=r"1 partition of 3 failed.*frame 1 \(1 series, 's5'\): SeriesTooShort"):
        model = NARXForecaster(H, 20, scope="local").fit(parts)
    with pytest.raises(PartitionError, match="1 partition of 3 failed") as told:
        list(model.predict())
    assert list(told.value.failed) == [1]
    alone = NARXForecaster(H, 20, scope="local").fit([parts[0], parts[2]]).predict().to_pandas()
    kept = [model.predict().frame(k) for k in (0, 2)]
    pd.testing.assert_frame_equal(pd.concat(kept, ignore_index=True), alone)


@pytest.mark.parametrize("settings", [{"mode": "closed_loop"}, {"strategy": "direct"}], ids=str)
def test_choices_that_do_not_add_up_are_refused_with_what_does(settings):
    with pytest.raises(ArgumentError, match="summed up for least squares alone"):
        NARXForecaster(H, 3, scope="local", **settings).fit(parts_of(frame(), "s0 s1", "s2"))


def test_a_partition_that_failed_while_all_were_asked_is_told_when_the_others_are_written(tmp_path):
    with pytest.warns(PartitionWarning, match="SeriesTooShort"):
        model = NARXForecaster(H, 20, scope="local").fit(parts_of(frame(), "s0 s1", "s5"))
    with pytest.raises(PartitionError, match="1 partition of 2 failed, the others are in"):
        model.predict().to_parquet(tmp_path)
    assert set(pd.read_parquet(tmp_path)["unique_id"]) == {"s0", "s1"}
