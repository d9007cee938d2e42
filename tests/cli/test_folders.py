"""``tsforce forecast folder/ --out folder2/``."""

from __future__ import annotations

import pandas as pd
import pytest
from click.testing import CliRunner

from tests.makers import make_frame
from tsforce import Baseline, NARXForecaster, compare
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


def test_a_folder_is_judged_as_one_frame_of_its_series_is(folder, tmp_path):
    call = ("backtest", folder, "--horizon", 3, "--n-windows", 2, "--model", "seasonal_naive,naive")
    told = run(*call, "--out", tmp_path / "scores.csv")
    assert told.exit_code == 0, told.output
    models = {
        name: Baseline(name, horizon=3, time_col="day", target_col="sold") for name in ("seasonal_naive", "naive")
    }
    expected = compare(models, pd.read_parquet(folder), n_windows=2)
    found = pd.read_csv(tmp_path / "scores.csv")
    pd.testing.assert_frame_equal(found, expected.scores()[list(found.columns)])
    one = run(*call[:-1], "naive", "--forecasts", tmp_path / "past")
    assert one.exit_code == 0, one.output
    mine = expected.frame[["unique_id", "day", "naive"]]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "past")[list(mine.columns)], mine)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--refit",), "--refit goes with a file, and this is a folder"),
        (("--level", "80"), "--level goes with a file, and this is a folder"),
        (("--forecasts", "past.csv"), "name one, such as --forecasts forecasts/"),
        (("--forecasts", "past", "--model", "naive,drift"), "--forecasts of a folder is one of one model, and 2 are"),
    ],
)
def test_what_a_backtest_of_a_folder_does_not_go_with_is_told(folder, more, words):
    told = run("backtest", folder, "--horizon", 2, *(more if "--model" in more else ("--model", "naive", *more)))
    assert told.exit_code == 2
    assert words in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("as_folder", [True, False])
def test_inputs_known_ahead_of_a_folder_are_read_from_a_file_or_a_folder(folder, tmp_path, as_folder):
    frames, ahead = [], []
    for path in sorted(folder.iterdir()):
        df = pd.read_parquet(path)
        end = df["day"].iloc[-1]
        df["warm"] = [float(k % 5) for k in range(len(df))]
        df.to_parquet(path, index=False)
        frames.append(df)
        days = pd.date_range(end, periods=3, freq="D", unit=end.unit)[1:]
        ahead.append(pd.DataFrame({"unique_id": df["unique_id"].iloc[0], "day": days, "warm": [1.0, 4.0]}))
    future = tmp_path / ("ahead" if as_folder else "ahead.parquet")
    if as_folder:
        future.mkdir()
        for number, part in enumerate(ahead):
            part.to_parquet(future / f"{number}.parquet", index=False)
    else:
        pd.concat(ahead).to_parquet(future, index=False)
    out = tmp_path / "out"
    call = ("forecast", folder, "--horizon", 2, "--lags", 3, "--mode", "open_loop")
    call += ("--future-exog", "warm", "--future", future, "--out", out, "--model", "linear-local")
    told = run(*call)
    assert told.exit_code == 0, told.output
    model = NARXForecaster(
        2, 3, scope="local", mode="open_loop", future_exog=["warm"], time_col="day", target_col="sold"
    )
    expected = model.fit(pd.concat(frames)).predict(future_df=pd.concat(ahead))
    found = pd.read_parquet(out)
    assert (found.iloc[:, -1] - expected.iloc[:, -1]).abs().max() < 1e-9


def test_inputs_of_a_folder_in_a_csv_file_are_refused_with_what_goes(folder, tmp_path):
    more = ("--future-exog", "warm", "--future", tmp_path / "ahead.csv", "--out", tmp_path / "out")
    told = run("forecast", folder, "--horizon", 2, *more)
    assert told.exit_code == 2
    assert "give what is known ahead as such a file, or as a folder of them" in told.stderr
