"""Quantiles, sums and crossings of sample paths, and frames that are none."""

import numpy as np
import pandas as pd
import pytest

from tests.makers import as_it_stands, make_frame
from tsforce import NARXForecaster
from tsforce.errors import ArgumentError, FrameError
from tsforce.paths import crossing_probability, first_crossing, path_quantiles, path_sums, path_values


@pytest.fixture(scope="module")
def paths():
    settings = as_it_stands(scope="local", mode="open_loop", ridge=1.0, id_col="shop", time_col="day", alias="m")
    df = make_frame(freq="D").rename(columns={"unique_id": "shop", "ds": "day"})
    return NARXForecaster(4, 3, **settings).fit(df).sample_paths(50)


def test_quantiles_are_those_of_each_series_and_step(paths):
    found = path_quantiles(paths, [0.025, 0.5])
    assert found.columns.tolist() == ["shop", "day", "horizon", "m-q2.5", "m-q50"]
    want = paths.groupby(["shop", "day", "horizon"], sort=False)["m"].quantile([0.025, 0.5]).unstack().reset_index()
    np.testing.assert_allclose(found[["m-q2.5", "m-q50"]], want[[0.025, 0.5]])
    pd.testing.assert_frame_equal(
        found[["shop", "day", "horizon"]], want[["shop", "day", "horizon"]], check_column_type=False, check_names=False
    )


def test_sums_are_those_of_each_path(paths):
    want = paths.groupby(["shop", "path"], sort=False)["m"].sum().reset_index()
    pd.testing.assert_frame_equal(path_sums(paths), want)


@pytest.mark.parametrize("side", ["above", "below"])
def test_crossings_are_those_that_a_loop_finds(paths, side):
    paths = paths.assign(m=np.random.default_rng(6).normal(size=len(paths)))
    threshold = 1.0 if side == "above" else -1.0
    at, by, first = {}, {}, {}
    for (shop, path), own in paths.groupby(["shop", "path"], sort=False):
        seen = False
        first[shop, path] = np.nan
        for step, value in zip(own["horizon"], own["m"], strict=True):
            beyond = value > threshold if side == "above" else value < threshold
            if beyond and not seen:
                first[shop, path] = step
            seen |= beyond
            at[shop, step] = at.get((shop, step), 0) + beyond / 50
            by[shop, step] = by.get((shop, step), 0) + seen / 50
    found = crossing_probability(paths, **{side: threshold})
    assert found.columns.tolist() == ["shop", "day", "horizon", "m-at", "m-by"]
    np.testing.assert_allclose(found["m-at"], list(at.values()))
    np.testing.assert_allclose(found["m-by"], list(by.values()))
    assert ((found["m-by"] > found["m-at"]) & (found["m-by"] < 1)).any()
    steps = first_crossing(paths, **{side: threshold})
    np.testing.assert_array_equal(steps["m"], list(first.values()))
    assert steps["m"].isna().any()


def test_whole_series_may_be_left_out(paths):
    one = paths[paths["shop"] == "s1"]
    np.testing.assert_array_equal(path_values(one), path_values(paths)[1:2])
    assert path_quantiles(one)["shop"].unique().tolist() == ["s1"]


def test_several_targets_and_scenarios_have_columns_of_their_own():
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"ds": np.arange(60), **{name: rng.normal(size=60) for name in "uvx"}})
    settings = as_it_stands(scope="local", mode="open_loop", ridge=1.0, target_col=["u", "v"], future_exog=["x"])
    model = NARXForecaster(3, 2, **settings, alias="m").fit(df.head(50))
    paths = model.sample_paths(7, future_df={"one": df, "two": df})
    assert path_values(paths).shape == (2, 7, 3, 2)
    assert path_sums(paths).columns.tolist() == ["scenario", "unique_id", "path", "m-u", "m-v"]
    by_step = crossing_probability(paths, above=0)
    assert by_step.columns[4:].tolist() == ["m-u-at", "m-u-by", "m-v-at", "m-v-by"]
    assert by_step["scenario"].tolist() == ["one"] * 3 + ["two"] * 3
    np.testing.assert_allclose(by_step["m-v-at"][:3], (paths["m-v"] > 0).to_numpy().reshape(2, 7, 3)[0].mean(axis=0))


def test_polars_gets_polars():
    polars = pytest.importorskip("polars")
    df = make_frame((60, 50), freq="D")
    model = NARXForecaster(4, 3, **as_it_stands(scope="local", mode="open_loop", ridge=1.0))
    want = model.fit(df).sample_paths(5)
    paths = model.fit(polars.from_pandas(df)).sample_paths(5)
    assert isinstance(paths, polars.DataFrame)
    assert paths.columns == want.columns.tolist()
    np.testing.assert_allclose(path_values(paths), path_values(want), rtol=1e-12)
    for summary in (path_quantiles, path_sums):
        found = summary(paths)
        assert isinstance(found, polars.DataFrame)
        np.testing.assert_allclose(found.to_pandas().iloc[:, -1], summary(want).iloc[:, -1], rtol=1e-12)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: p.drop(columns="path"), "expected the frame of sample_paths"),
        (lambda p: p.drop(columns="m"), "expected the frame of sample_paths"),
        (lambda p: p["m"].to_numpy(), "expected the frame of sample_paths"),
        (lambda p: p[p["horizon"] > 1], "sorting by id, path, horizon"),
        (lambda p: p[:-1], "sorting by id, path, horizon"),
        (lambda p: p[:0], "sorting by id, path, horizon"),
        (lambda p: p.sort_values(["shop", "horizon", "path"]), "sorting by id, path, horizon"),
        (lambda p: p.sample(frac=1, random_state=0), "sorting by id, path, horizon"),
    ],
)
@pytest.mark.parametrize("summary", [path_values, path_quantiles, path_sums])
def test_frames_that_hold_no_whole_paths_are_refused(paths, spoil, words, summary):
    with pytest.raises(FrameError, match=words):
        summary(spoil(paths))


@pytest.mark.parametrize("levels", [[], [1.5], [-0.1, 0.5], [np.nan], [90]])
def test_levels_that_are_no_probabilities_are_refused(paths, levels):
    with pytest.raises(ArgumentError, match="probabilities from 0 to 1"):
        path_quantiles(paths, levels)


@pytest.mark.parametrize("thresholds", [{}, {"above": 1.0, "below": 0.0}])
@pytest.mark.parametrize("summary", [crossing_probability, first_crossing])
def test_a_threshold_is_above_or_below(paths, summary, thresholds):
    with pytest.raises(ArgumentError, match="expected one threshold"):
        summary(paths, **thresholds)


@pytest.mark.parametrize("kind", [dict, pd.Series])
@pytest.mark.parametrize("side", ["above", "below"])
def test_each_series_may_have_a_threshold_of_its_own(paths, side, kind):
    each = dict(reversed(paths.groupby("shop")["m"].median().to_dict().items()))
    for summary in (crossing_probability, first_crossing):
        apart = [summary(own, **{side: each[name]}) for name, own in paths.groupby("shop", sort=False)]
        found = summary(paths, **{side: kind(each)})
        pd.testing.assert_frame_equal(found, pd.concat(apart, ignore_index=True))
    assert found["m"].nunique() > 1


@pytest.mark.parametrize(
    ("threshold", "words"),
    [({"s0": 1.0, "s2": 1.0}, "no threshold for series 's1'"), ("7", "expected a number"), (True, "expected a number")],
)
def test_thresholds_that_say_nothing_of_a_series_are_refused(paths, threshold, words):
    with pytest.raises(ArgumentError, match=words):
        crossing_probability(paths, above=threshold)


def test_nothing_is_as_likely_as_zero_where_paths_are_unknown(paths):
    holed = paths.assign(m=paths["m"].where((paths["shop"] != "s1") | (paths["horizon"] != 2)))
    found = crossing_probability(holed, above=-1e9)
    want = [[1, 1], [np.nan, np.nan], [1, np.nan], [1, np.nan]]
    np.testing.assert_array_equal(found.loc[found["shop"] == "s1", ["m-at", "m-by"]], want)
    assert (found.loc[found["shop"] != "s1", ["m-at", "m-by"]] == 1).all(axis=None)
