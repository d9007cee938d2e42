"""Frames of Dask and Datasets of Ray where a frame goes: the same numbers, dtypes and zones; nothing in silence."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, Ensemble, NARXForecaster
from tsforce.distributed import DaskFrame, RayDataset
from tsforce.distributed.engines import at_work
from tsforce.errors import ArgumentError, FrameError, MissingExtraError, PartitionWarning, SeriesTooShortError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning", "ignore::ResourceWarning"
)
INSTALL = "pip install -e '.[dask,ray]' to run the tests of {}"
H = 4


class OfDask:
    def __init__(self):
        self.frames = pytest.importorskip("dask.dataframe", reason=INSTALL.format("Dask"))

    def hold(self, parts):
        import dask

        held = [dask.delayed(part, pure=False) for part in parts]
        return self.frames.from_delayed(held, meta=parts[0][:0], verify_meta=False)

    @staticmethod
    def all_of(data):
        return data.compute().reset_index(drop=True)


class OfRay:
    def __init__(self):
        self.ray = pytest.importorskip("ray", reason=INSTALL.format("Ray"))
        if not self.ray.is_initialized():
            self.ray.init(num_cpus=2, include_dashboard=False, logging_level="error")

    def hold(self, parts):
        return self.ray.data.from_pandas(parts)

    @staticmethod
    def all_of(data):
        return data.to_pandas().reset_index(drop=True)


@pytest.fixture(params=[OfDask, pytest.param(OfRay, marks=pytest.mark.slow)])
def engine(request):
    return request.param()


def in_parts(df, count):
    return [df.iloc[rows] for rows in np.array_split(np.arange(len(df)), count)]


def frame():
    df = make_frame((70, 50, 90, 33, 60, 44), freq="h")
    return df.assign(ds=df["ds"].dt.tz_localize("Europe/Berlin"), unique_id="store " + df["unique_id"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Baseline("seasonal_naive", horizon=H),
        lambda: NARXForecaster(H, 5, scope="local"),
        lambda: NARXForecaster(H, 5, scope="global", mode="open_loop"),
    ],
    ids=["naive", "local", "global"],
)
def test_forecasts_are_those_of_one_frame_also_of_series_that_are_cut(engine, make):
    df = frame()
    expected = make().fit(df).predict()
    model = make().fit(engine.hold(in_parts(df, 4)))
    got = engine.all_of(model.predict())
    assert str(got["ds"].dtype) == str(expected["ds"].dtype)
    pd.testing.assert_frame_equal(got, expected, rtol=1e-9, check_dtype=False)
    # The same partitions give the same bits wherever they are learnt.
    one = make().fit(in_parts(df, 4)).predict().to_pandas()
    np.testing.assert_array_equal(got.iloc[:, -1], one.iloc[:, -1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: AutoNARX(H, budget="fast"),
        lambda: Ensemble([NARXForecaster(H, 5, scope="local"), Baseline("theta", horizon=H)]),
    ],
    ids=["auto", "ensemble"],
)
def test_combinations_say_on_an_engine_what_they_say_of_a_list_of_frames(engine, make):
    parts = in_parts(frame(), 4)
    got = engine.all_of(make().fit(engine.hold(parts)).predict())
    expected = make().fit(parts).predict().to_pandas()
    np.testing.assert_array_equal(got.iloc[:, -1], expected.iloc[:, -1])
    assert got["unique_id"].tolist() == expected["unique_id"].tolist()


def test_whole_number_ids_and_steps_come_back_as_they_went_in(engine):
    df = make_frame((30, 40, 25)).assign(unique_id=lambda d: d["unique_id"].str[1:].astype("int16"))
    parts = [df[df["unique_id"] == i] for i in range(3)]
    model = Baseline("naive", horizon=2).fit(engine.hold(parts))
    got = engine.all_of(model.predict(level=80))
    assert got.dtypes.astype(str).tolist() == ["int16", "int64", "int64", *["float64"] * 3]
    assert got.columns.tolist()[3:] == ["naive", "naive-lo-80", "naive-hi-80"]


def test_partitions_without_rows_are_left_out(engine):
    df = frame()
    parts = in_parts(df, 3)
    model = Baseline("naive", horizon=2).fit(engine.hold([parts[0], df[:0], parts[1], parts[2]]))
    assert len(model.partitions_) == 3
    pd.testing.assert_frame_equal(
        engine.all_of(model.predict()), Baseline("naive", horizon=2).fit(df).predict(), check_dtype=False
    )


def test_scattered_series_and_missing_columns_are_refused_with_the_repair(engine):
    df = frame()
    with pytest.raises(FrameError, match=r"lie in several parts far from each other.*(shuffle|sort)\('unique_id'\)"):
        Baseline("naive", horizon=2).fit(engine.hold(in_parts(df.sort_values("ds"), 6)))
    with pytest.raises(FrameError, match="column 'y' is not there"):
        Baseline("naive", horizon=2).fit(engine.hold([df.rename(columns={"y": "sold"})]))


@pytest.mark.parametrize("column", ["unique_id", "ds", "y"])
def test_a_column_that_is_missing_in_one_partition_is_told_with_the_partition(engine, column):
    parts = [own for _, own in frame().groupby("unique_id")]
    parts[2] = parts[2].drop(columns=column)
    others = ", ".join(repr(name) for name in ("unique_id", "ds", "y") if name != column)
    with pytest.raises(FrameError, match=f"^partition 2: column '{column}' is not there; it has {others}"):
        Baseline("naive", horizon=2).fit(engine.hold(parts))


def test_rows_in_any_order_within_a_partition_are_sorted(engine):
    df = frame()
    parts = [own.sample(frac=1, random_state=0) for _, own in df.groupby("unique_id")]
    got = engine.all_of(Baseline("naive", horizon=2).fit(engine.hold(parts)).predict())
    expected = Baseline("naive", horizon=2).fit(df).predict()
    np.testing.assert_array_equal(got["naive"], expected["naive"])


def test_partitions_none_of_which_has_rows_are_refused(engine):
    with pytest.raises(FrameError, match=r"2 (partitions|blocks) has no rows; expected at least one row per series"):
        Baseline("naive", horizon=2).fit(engine.hold([frame()[:0]] * 2))


def test_a_partition_that_fails_is_told_in_fit_and_raises_when_its_forecasts_are_asked_for(engine):
    df = frame()
    parts = [own for _, own in df.groupby("unique_id")]
    with pytest.warns(PartitionWarning, match=r"1 partition of 6 failed.*'store s3'"):
        model = NARXForecaster(H, 40, scope="local").fit(engine.hold(parts))
    with pytest.raises(Exception, match="33 rows") as told:
        engine.all_of(model.predict())
    assert isinstance(told.value, SeriesTooShortError) or "SeriesTooShortError" in str(told.value)


def test_nothing_is_computed_before_forecasts_of_dask_are_asked_for():
    engine = OfDask()
    df = frame()
    model = Baseline("naive", horizon=2).fit(engine.hold(in_parts(df, 2)))
    ahead = model.predict()
    assert ahead.npartitions == 2
    assert len(ahead[ahead["horizon"] == 1].compute()) == 6


def test_a_worker_with_another_version_is_told():
    with pytest.raises(ArgumentError, match=r"a worker has tsforce .*, and 0\.0 asks; install the same on all"):
        at_work("0.0", len, [])


@pytest.mark.parametrize(("kind", "package"), [(DaskFrame, "dask"), (RayDataset, "ray")])
def test_an_engine_that_is_not_installed_is_named_with_its_extra(kind, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'tsforce\[{package}\]'"):
        kind(object())


def deadly():
    """A function that workers, which do not know this file, are sent as it is."""

    def dies_once(part, mark):
        if not Path(mark).exists():
            Path(mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return part

    return dies_once


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_of_dask_that_dies_in_the_middle_changes_nothing(tmp_path):
    engine, distributed = OfDask(), pytest.importorskip("distributed", reason=INSTALL.format("Dask"))
    df = frame()
    expected = NARXForecaster(H, 5, scope="global", mode="open_loop").fit(in_parts(df, 4)).predict().to_pandas()
    with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        data = engine.hold(in_parts(df, 4)).map_partitions(deadly(), str(tmp_path / "died"), meta=df[:0])
        got = NARXForecaster(H, 5, scope="global", mode="open_loop").fit(data).predict().compute()
        assert len(client.scheduler_info()["workers"]) == 2
    assert (tmp_path / "died").exists()
    np.testing.assert_array_equal(got.iloc[:, -1], expected.iloc[:, -1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_task_of_ray_that_dies_in_the_middle_changes_nothing(tmp_path):
    engine = OfRay()
    df = frame()
    expected = NARXForecaster(H, 5, scope="local").fit(in_parts(df, 4)).predict().to_pandas()
    data = RayDataset(engine.hold(in_parts(df, 4)))
    first = data.pieces()[0]
    data.pieces()[0] = data.submit(deadly(), first, str(tmp_path / "died"))
    got = engine.all_of(NARXForecaster(H, 5, scope="local").fit(data).predict())
    assert (tmp_path / "died").exists()
    np.testing.assert_array_equal(got.iloc[:, -1], expected.iloc[:, -1])
