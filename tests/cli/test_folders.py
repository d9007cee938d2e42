"""``tsforce forecast folder/ --out folder2/``."""

from __future__ import annotations

import pandas as pd
import pytest
from click.testing import CliRunner

from tests.makers import make_frame
from tsforce import Baseline
from tsforce.cli.main import main


@pytest.fixture
def folder(tmp_path):
    df = make_frame((40, 50, 30), freq="D").rename(columns={"ds": "day", "y": "sold"})
    (tmp_path / "in").mkdir()
    for name, own in df.groupby("unique_id"):
        own.to_parquet(tmp_path / "in" / f"{name}.parquet", index=False)
    return tmp_path / "in"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_folder_is_forecast_into_a_folder_and_again_goes_on_where_it_stopped(folder, tmp_path):
    out = tmp_path / "out"
    call = ("forecast", folder, "--horizon", 2, "--model", "seasonal_naive", "--out", out)
    first = run(*call)
    assert first.exit_code == 0, first.output
    assert "6 rows in 1 files" in first.stderr
    expected = Baseline("seasonal_naive", horizon=2, time_col="day", target_col="sold").fit(pd.read_parquet(folder))
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected.predict())
    assert "1 of them were there already" in run(*call).stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "name one, such as --out forecasts/"),
        (("--out", "forecasts.csv"), "name one, such as --out forecasts/"),
        (("--out", "f", "--plot", "f.png"), "--plot goes with a file, and this is a folder"),
        (("--out", "f", "--model", "auto"), "choices='partition'"),
    ],
)
def test_what_a_folder_does_not_go_with_is_told(folder, more, words):
    told = run("forecast", folder, "--horizon", 2, *(more if "--model" in more else ("--model", "naive", *more)))
    assert told.exit_code == 2
    assert words in told.stderr
    assert "Traceback" not in told.stderr


def test_a_folder_without_parquet_files_is_refused(tmp_path):
    told = run("forecast", tmp_path, "--horizon", 2, "--out", tmp_path / "out")
    assert told.exit_code == 2
    assert "this is a folder without a file that ends in .parquet or .pq" in told.stderr
