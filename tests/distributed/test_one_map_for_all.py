"""One linear map for all series: sums over partitions give the weights of one frame, whatever their number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import Difference, NARXForecaster
from tsforce.errors import ArgumentError, NumericalError, PartitionError

H = 4


def frame():
    return make_frame((70, 50, 90, 33, 60, 30, 44, 80), freq="D")


def in_parts(df, count):
    groups = np.array_split(df["unique_id"].unique(), count)
    return [df[df["unique_id"].isin(group)] for group in groups]


def make(**settings):
    return NARXForecaster(H, 5, scope="global", mode="open_loop", **settings)


def weights(model):
    return np.concatenate([part.detach().numpy().ravel() for part in model.model_.parameters()])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ridge": 0.0, "window_scaling": None, "target_transforms": [Difference(1)]},
        {"window_scaling": "mean_abs", "prior": "smoothing"},
        {"window_scaling": None, "target_transforms": (), "intercept": False, "calendar": ["dayofweek"]},
    ],
    ids=str,
)
def test_weights_are_those_of_one_frame_whatever_the_number_of_partitions(settings):
    df = frame()
    whole = make(**settings).fit(df)
    for count in (1, 3, 8):
        model = make(**settings).fit(in_parts(df, count))
        one = model.partitions_[count - 1]
        np.testing.assert_allclose(weights(one), weights(whole), rtol=0, atol=1e-10)
        assert one.ridge_["ridge"].iloc[0] == whole.ridge_["ridge"].iloc[0]
        pd.testing.assert_frame_equal(model.predict().to_pandas(), whole.predict(), rtol=1e-9)


def test_a_panel_with_hardly_any_noise_has_the_small_ridge_of_one_frame():
    df = frame()
    noise = np.random.default_rng(1).normal(size=len(df))
    clean = df.assign(y=np.sin(df.groupby("unique_id").cumcount() / 5) + 1e-5 * noise)
    settings = {"window_scaling": None, "target_transforms": ()}
    whole, model = make(**settings).fit(clean), make(**settings).fit(in_parts(clean, 3))
    assert model.partitions_.settled.ridge == whole.ridge_["ridge"].iloc[0] < 1
    pd.testing.assert_frame_equal(model.predict().to_pandas(), whole.predict(), rtol=1e-6, atol=1e-8)


def test_moments_that_cannot_tell_columns_apart_are_refused():
    df = frame()
    line = df.assign(y=df.groupby("unique_id").cumcount() * 1.0)
    with pytest.raises(NumericalError, match="Raise ridge="):
        make(ridge=0.0, window_scaling=None, target_transforms=()).fit(in_parts(line, 3))


def test_a_series_that_was_not_fitted_is_forecast_by_the_map_of_all():
    df = frame()
    known, new = df[df["unique_id"] != "s7"], df[df["unique_id"] == "s7"]
    model = make().fit(in_parts(known, 3))
    expected = make().fit(known).predict(history=new)
    pd.testing.assert_frame_equal(model.partitions_[0].predict(history=new), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mode": "auto"}, "mode='open_loop'"),
        ({"loss": "huber"}, "for least squares alone"),
        ({"future_exog": ["x"]}, "inputs on a scale of all their rows"),
        ({"target_transforms": [Difference(7)]}, "intercept=True or False"),
    ],
    ids=str,
)
def test_what_does_not_add_up_is_refused_with_what_does(settings, words):
    parts = in_parts(frame().assign(x=1.0), 2)
    with pytest.raises(ArgumentError, match=words):
        make(**settings).fit(parts) if "mode" not in settings else NARXForecaster(H, 5, scope="global").fit(parts)


def test_a_partition_that_cannot_be_read_is_no_silent_part_of_a_sum():
    first, second = in_parts(frame(), 2)
    with pytest.raises(PartitionError, match="1 partition of 2 failed, and one model learns from all series"):
        make().fit([first, second.drop(second.index[20])])
