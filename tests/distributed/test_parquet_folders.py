"""Folders of Parquet files in the place of a frame: the same numbers, whole series, and nothing lost in silence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, NARXForecaster
from tsforce.distributed import Frames, ParquetFolder
from tsforce.errors import (
    ArgumentError,
    ArgumentTypeError,
    DatasetNotFoundError,
    FrameError,
    PartitionError,
    PartitionWarning,
)

H = 3


def panel(n_series=8, rows=40, **given):
    return make_frame((rows,) * n_series, freq="D", **given)


def in_files(df, folder, parts, **given):
    """The frame in so many files of equal length, wherever that cuts a series."""
    folder.mkdir(exist_ok=True)
    for i, rows in enumerate(np.array_split(np.arange(len(df)), parts)):
        df.iloc[rows].to_parquet(folder / f"{i}.parquet", index=False, **given)
    return folder


def smoothing():
    return NARXForecaster(H, scope="local", ridge=10.0, prior="smoothing")


@pytest.mark.parametrize(("make", "error"), [(lambda: Baseline("theta", horizon=H), 0.0), (smoothing, 1e-12)])
def test_forecasts_are_those_of_one_frame_however_series_lie_in_files_and_row_groups(make, error, tmp_path):
    df = panel()
    expected = make().fit(df).predict()
    folder = in_files(df, tmp_path / "in", 5, row_group_size=30)
    for rows in (1, 100):
        model = make().fit(ParquetFolder(folder, rows=rows))
        assert len(model.partitions_) == {1: 8, 100: 3}[rows]
        pd.testing.assert_frame_equal(model.predict().to_pandas(), expected, rtol=error, atol=0.0)


def test_one_series_that_is_longer_than_a_partition_is_brought_together(tmp_path):
    df = make_frame((200, 30))
    folder = in_files(df, tmp_path / "in", 1, row_group_size=20)
    model = Baseline("naive", horizon=2).fit(ParquetFolder(folder, rows=20))
    assert [part.own for part in model.partitions_.data._known()] == [(0,), (10,)]
    pd.testing.assert_frame_equal(model.predict().to_pandas(), Baseline("naive", horizon=2).fit(df).predict())


def test_ragged_series_in_any_order_of_rows_are_equal_to_one_frame_and_keep_their_dtypes(tmp_path):
    df = make_frame((50, 33, 61, 40), freq="h")
    df["ds"] = df["ds"].dt.tz_localize("Europe/Berlin")
    df["unique_id"] = df["unique_id"].map({"s0": 7, "s1": 3, "s2": 11, "s3": 5}).astype("int32")
    expected = smoothing().fit(df).predict()
    parts = [df[df["unique_id"].isin(ids)].sample(frac=1, random_state=0) for ids in ([7], [3, 11], [5])]
    got = smoothing().fit(parts).predict().to_pandas().set_index("unique_id")
    assert got.index.dtype == np.int32
    assert str(got["ds"].dt.tz) == "Europe/Berlin"
    again = got.loc[expected["unique_id"].drop_duplicates()].reset_index()
    pd.testing.assert_frame_equal(again, expected, rtol=1e-12)


def test_lags_are_chosen_by_the_series_of_all_partitions():
    df = make_frame((14, 80, 80, 80))
    parts = [df[df["unique_id"] == name] for name in ("s0", "s1", "s2", "s3")]
    whole = smoothing().fit(df)
    model = smoothing().fit(parts)
    assert model.partitions_[1].lags_ == whole.lags_ == (1, 2, 3, 4, 5, 6)
    assert len(smoothing().fit(parts[1]).lags_) == 12
    assert model.partitions_[1].freq_ == whole.freq_


def test_a_partition_of_series_that_tell_no_frequency_goes_by_that_of_the_longest():
    df = make_frame((2, 60), freq="D")
    parts = [df[df["unique_id"] == name] for name in ("s0", "s1")]
    with pytest.raises(FrameError, match="frequency"):
        Baseline("naive", horizon=2).fit(parts[0])
    got = Baseline("naive", horizon=2).fit(parts).predict().to_pandas()
    pd.testing.assert_frame_equal(got, Baseline("naive", horizon=2).fit(df).predict())


def test_a_later_row_changes_no_forecast_made_before_it(tmp_path):
    df = panel()
    cut = df["ds"] <= df["ds"].max() - pd.Timedelta(days=5)
    known, told = in_files(df[cut], tmp_path / "in", 3), smoothing().fit(df[cut]).predict()
    model = smoothing().fit(known)
    wild = df.assign(y=df["y"].where(cut, 1e9))
    seen = model.partitions_[0].predict(history=wild[cut & wild["unique_id"].isin(model.partitions_.data.ids(0))])
    pd.testing.assert_frame_equal(seen, told.iloc[: len(seen)], rtol=1e-12)


# ---- what is written


def test_a_call_that_was_cut_short_goes_on_where_it_stopped(tmp_path, monkeypatch):
    df, out = panel(), tmp_path / "out"
    model = smoothing().fit(ParquetFolder(in_files(df, tmp_path / "in", 4), rows=1))
    fit, calls = type(model.partitions_.settled).fit, []

    def dies(self, k, frame):
        calls.append(k)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(self, k, frame)

    monkeypatch.setattr(type(model.partitions_.settled), "fit", dies)
    with pytest.raises(KeyboardInterrupt):
        model.predict().to_parquet(out)
    assert sorted(path.name for path in out.iterdir()) == ["part-00000.parquet", "part-00001.parquet"]
    told = model.predict().to_parquet(out)
    assert told["status"].tolist() == ["was there", "was there", "written", "written"]
    assert calls == [0, 1, 2, 2, 3]
    pd.testing.assert_frame_equal(pd.read_parquet(out), smoothing().fit(df).predict(), rtol=1e-12)


def test_other_forecasts_or_other_rows_are_written_anew_and_none_of_before_is_left(tmp_path):
    df, folder, out = panel(), tmp_path / "in", tmp_path / "out"
    in_files(df, folder, 4)
    assert len(smoothing().fit(ParquetFolder(folder, rows=1)).predict().to_parquet(out)) == 4
    assert (smoothing().fit(ParquetFolder(folder, rows=1)).predict(2).to_parquet(out)["status"] == "written").all()
    in_files(df.assign(y=df["y"] + 1.0), folder, 4)
    told = smoothing().fit(ParquetFolder(folder, rows=10**6)).predict().to_parquet(out)
    assert told["n_rows"].tolist() == [8 * H]
    assert [path.name for path in out.iterdir()] == ["part-00000.parquet"]


def test_a_partition_that_fails_is_told_with_its_series_and_the_others_are_written(tmp_path):
    df, out = panel(4), tmp_path / "out"
    gap = (df["unique_id"] == "s2") & (df.index % 40 == 20)
    folder = in_files(df[~gap], tmp_path / "in", 1)
    (folder / "0.parquet").unlink()
    for name, own in df[~gap].groupby("unique_id"):
        own.to_parquet(folder / f"{name}.parquet", index=False)
    with pytest.warns(PartitionWarning, match=r"1 partition of 4 failed.*s2\.parquet \(1 series, 's2'\)"):
        model = smoothing().fit(ParquetFolder(folder, rows=1))
    with pytest.raises(PartitionError, match=r"1 partition of 4 failed, the others are in .*fill_gaps") as told:
        model.predict().to_parquet(out)
    assert list(told.value.failed) == [2]
    assert set(pd.read_parquet(out)["unique_id"]) == {"s0", "s1", "s3"}
    # Repaired, the rest is done.
    df[df["unique_id"] == "s2"].to_parquet(folder / "s2.parquet", index=False)
    done = smoothing().fit(ParquetFolder(folder, rows=1)).predict().to_parquet(out)
    assert done["status"].tolist() == ["was there", "was there", "written", "was there"]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    folder = in_files(panel(2), tmp_path / "in", 1)
    model = Baseline("naive", horizon=2).fit(folder)
    for near in (folder, tmp_path, folder / "out"):
        with pytest.raises(ArgumentError, match="is, holds or lies in the folder that is read"):
            model.predict().to_parquet(near)
    other = in_files(panel(2), tmp_path / "other", 1)
    with pytest.raises(ArgumentError, match=r"holds files that no such call has written: '0\.parquet'"):
        model.predict().to_parquet(other)
    assert len(list(other.iterdir())) == 1


# ---- bad input


def naive():
    return Baseline("naive", horizon=2)


def test_series_that_are_scattered_are_refused_with_the_repair(tmp_path):
    df = panel(6, 30).sort_values("ds")
    folder = in_files(df, tmp_path / "in", 6)
    with pytest.raises(FrameError, match=r"6 series of .* lie in several parts far from each other.*sort_values"):
        naive().fit(ParquetFolder(folder, rows=1))
    # In one partition they are together.
    got = naive().fit(ParquetFolder(folder)).predict().to_pandas()
    assert len(got) == 12


def test_files_without_rows_are_no_partitions(tmp_path):
    df = panel(2)
    folder = in_files(df, tmp_path / "in", 2)
    df[:0].to_parquet(folder / "empty.parquet", index=False)
    (folder / "_SUCCESS").touch()
    (folder / ".part.parquet").touch()
    assert len(naive().fit(ParquetFolder(folder, rows=1)).partitions_) == 2
    with pytest.raises(FrameError, match=r"has no rows"):
        naive().fit(folder / "empty.parquet")


def test_a_column_that_is_missing_or_of_another_kind_in_one_file_is_told(tmp_path):
    df = panel(2)
    folder = in_files(df, tmp_path / "in", 2)
    df.rename(columns={"y": "sold"}).to_parquet(folder / "2.parquet", index=False)
    df.assign(unique_id=1).to_parquet(folder / "3.parquet", index=False)
    with pytest.raises(FrameError) as told:
        naive().fit(folder)
    assert "2.parquet: column 'y' is not there; it has 'unique_id', 'ds', 'sold'" in str(told.value)
    assert "3.parquet: column 'unique_id' holds int64, and text in" in str(told.value)


def test_text_that_is_kept_as_categories_in_one_file_is_told(tmp_path):
    folder = in_files(panel(2), tmp_path / "in", 1)
    table = pq.read_table(folder / "0.parquet").to_pandas().astype({"unique_id": "category"})
    pq.write_table(pa.Table.from_pandas(table), folder / "1.parquet")
    with pytest.raises(FrameError, match=r"1\.parquet: column 'unique_id' holds categories, and text"):
        naive().fit(folder)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda path: path / "nowhere", DatasetNotFoundError, "there is no folder"),
        (lambda path: path, DatasetNotFoundError, "has no file that ends in .parquet or .pq"),
        (lambda path: path / "rows.csv", ArgumentError, "is no parquet file; read it first: pd.read_csv"),
        (lambda path: path / "broken", FrameError, "no.parquet: the file cannot be read as parquet"),
        (lambda path: path / "hive", ArgumentError, "folders such as 'unique_id=a', whose names hold a column"),
    ],
)
def test_what_is_no_folder_of_parquet_files_is_refused(make, error, words, tmp_path):
    for name in ("broken/no.parquet", "hive/unique_id=a/0.parquet"):
        (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / "rows.csv").write_text("unique_id,ds,y\n")
    wanted = make(tmp_path)
    if wanted.name in ("broken", "hive"):
        (wanted / ("no.parquet" if wanted.name == "broken" else "unique_id=a/0.parquet")).write_bytes(b"PAR1")
    with pytest.raises(error) as told:
        naive().fit(wanted)
    assert words in str(told.value)


def test_what_looks_at_all_series_at_once_is_refused_or_chosen_in_each_partition():
    df = panel(2, 60)
    parts = [df[df["unique_id"] == name] for name in ("s0", "s1")]
    for model in (NARXForecaster(H, 2, model="mlp", scope="global"), AutoNARX(H)):
        with pytest.raises(ArgumentError, match="choices='partition'"):
            model.fit(parts)
        assert not model.is_fitted
    model = NARXForecaster(H, 2, scope="global").fit(Frames(parts, choices="partition"))
    alone = NARXForecaster(H, 2, scope="global").fit(parts[1]).predict()
    pd.testing.assert_frame_equal(list(model.predict())[1], alone)


def test_what_is_asked_of_a_model_in_memory_is_refused_with_the_way_to_one():
    df = panel(2)
    model = naive().fit([df[df["unique_id"] == name] for name in ("s0", "s1")])
    for call in (
        lambda: model.predict(history=df),
        lambda: model.predict_at(df, df["ds"].max()),
        lambda: model.score(df),
        lambda: model.save("model.tsforce"),
    ):
        with pytest.raises(ArgumentError, match=r"model\.partitions_\[0\]"):
            call()
    linear = NARXForecaster(2, 3, scope="local").fit([df])
    with pytest.raises(ArgumentError, match=r"model\.partitions_\[0\]"):
        linear.export("model.c")
    with pytest.raises(ArgumentError, match="checkpoint= goes with a frame in memory"):
        NARXForecaster(2, 3, scope="local").fit([df], checkpoint="kept")
    assert model.partitions_[1].predict()["unique_id"].tolist() == ["s1", "s1"]
    assert not hasattr(model.fit(df), "partitions_")


def test_a_list_of_something_else_is_refused():
    with pytest.raises(ArgumentTypeError, match=r"frame 1 of the list is a builtins\.int"):
        naive().fit([panel(1), lambda: 3])
    with pytest.raises(ArgumentError, match="the list of frames is empty"):
        naive().fit(Frames([]))
    with pytest.raises(ArgumentTypeError, match="a list of frames, or of functions that make them"):
        naive().fit(Frames(panel(1) for _ in range(2)))
    with pytest.raises(ArgumentError, match="choices='all' is not known"):
        Frames([panel(1)], choices="all")
