"""``tsforce forecast --save`` and ``--load``."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import tsforce
from tsforce import NARXForecaster, NARXRegressor
from tsforce.bench import get_threads, set_threads
from tsforce.cli.main import main
from tsforce.datasets import load

QUICK = ["--model", "narx", "--lags", "12", "--mode", "open_loop"]
FIT = ["old.csv", "--horizon", "4", *QUICK, "--save", "air.tsforce"]


@pytest.fixture(autouse=True)
def a_folder_of_two_files(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    df = load("airpassengers")
    df[:132].to_csv("old.csv", index=False)
    df[100:].to_csv("later.csv", index=False)
    before = get_threads()
    yield
    set_threads(before)


def run(*arguments):
    return CliRunner().invoke(main, ["forecast", *map(str, arguments)])


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def table(text):
    found = pd.read_csv(io.StringIO(text), dtype=str)
    # To the last bit, whatever pandas does by default.
    numbers = found.columns[found.columns.get_loc("horizon") + 1 :]
    return found.assign(**{name: found[name].map(float) for name in numbers})


def test_a_saved_model_forecasts_from_a_later_file_without_being_fitted(monkeypatch):
    first = done(*FIT)
    assert "air.tsforce: narx saved." in first.stderr
    fitted = NARXForecaster(4, 12, mode="open_loop", alias="narx").fit(load("airpassengers")[:132])
    monkeypatch.setattr(NARXForecaster, "fit", lambda *_, **__: pytest.fail("it was fitted"))
    again = done("old.csv", "--load", "air.tsforce")
    assert again.stdout == first.stdout
    assert "air.tsforce: narx of 1 series, freq 'MS', loaded." in again.stderr
    for options, horizon in (([], 4), (["--horizon", "3"], 3)):
        later = table(done("later.csv", "--load", "air.tsforce", *options).stdout)
        expected = fitted.predict(horizon, history=load("airpassengers")[100:])
        np.testing.assert_array_equal(later["narx"], expected["narx"])
        assert later["ds"].iloc[0] == "1961-01-01"


def test_bounds_that_were_asked_for_when_it_was_saved_are_there_later():
    first = done(*FIT, "--level", "80")
    later = table(done("old.csv", "--load", "air.tsforce", "--level", "80").stdout)
    pd.testing.assert_frame_equal(later, table(first.stdout))
    done(*FIT)
    told = run("old.csv", "--load", "air.tsforce", "--level", "80")
    assert told.exit_code == 2
    assert "training_rows=True" in told.stderr


def test_columns_and_inputs_are_those_of_the_model():
    days = pd.date_range("2024-01-01", periods=70, freq="D").astype(str)
    heat = np.sin(np.arange(70.0))
    df = pd.DataFrame({"shop": "a", "day": days, "sold": 5 + np.arange(70) % 7 + heat, "heat": heat})
    df[:50].to_csv("shop.csv", index=False)
    df[40:64].to_csv("shop-later.csv", index=False, sep=";")
    df[64:].drop(columns="sold").to_csv("ahead.csv", index=False, sep=";")
    names = ["--id-col", "shop", "--time-col", "day", "--target-col", "sold", "--future-exog", "heat"]
    df[50:54].drop(columns="sold").to_csv("soon.csv", index=False)
    done("shop.csv", "--horizon", "4", *QUICK, *names, "--future", "soon.csv", "--save", "shop.tsforce")
    given = ["shop-later.csv", "--load", "shop.tsforce", "--sep", ";"]
    found = table(done(*given, "--future", "ahead.csv", "--horizon", "3").stdout)
    assert found.columns.tolist() == ["shop", "day", "horizon", "narx"]
    expected = tsforce.load("shop.tsforce").predict(
        3, history=df[40:64].assign(day=pd.to_datetime(df["day"])),
        future_df=df[64:].assign(day=pd.to_datetime(df["day"])).drop(columns="sold"),
    )  # fmt: skip
    np.testing.assert_array_equal(found["narx"], expected["narx"])
    missing = run(*given)
    assert missing.exit_code == 2
    assert "'heat'" in missing.stderr


FAULTS = {
    "settings": ([*QUICK, "--id-col", "shop"], "leave out --id-col, --lags, --mode, --model"),
    "both": (["--save", "again.tsforce"], "leave out --save"),
    "report": (["--report", "o.html"], "leave out --report"),
    "future": (["--future", "old.csv"], "the saved model reads no --future-exog"),
    "same file": (["--out", "old.csv"], "two files of this command have this name"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_go_with_a_loaded_model_is_told(name):
    options, message = FAULTS[name]
    NARXForecaster(4, 12, mode="open_loop").fit(load("airpassengers")).save("air.tsforce")
    result = run("old.csv", "--load", "air.tsforce", *options)
    assert result.exit_code == 2, repr(result.exception)
    assert message in result.stderr.replace("\n", " ")


def test_files_that_hold_no_forecaster_are_told_by_their_name():
    Path("text.tsforce").write_text("no model")
    x = np.random.default_rng(0).normal(size=(60, 1))
    NARXRegressor(1, 1, mode="open_loop").fit(x, x[:, 0]).save("plant.tsforce")
    Path("folder").mkdir()
    for name, message in (
        ("text.tsforce", "it is no saved model"),
        ("none.tsforce", "none.tsforce: there is no such file"),
        ("plant.tsforce", "this is a NARXRegressor, which forecasts no frame"),
        ("folder", "this is a folder"),
    ):
        result = run("old.csv", "--load", name)
        assert result.exit_code == 2, repr(result.exception)
        assert message in result.stderr
        assert result.stdout == ""


def test_a_model_that_cannot_be_kept_is_told_before_it_is_fitted(monkeypatch):
    monkeypatch.setattr(NARXForecaster, "fit", lambda *_, **__: pytest.fail("it was fitted"))
    for name, message in (
        ("old.csv", "two files of this command have this name"),
        ("nowhere/air.tsforce", "there is no folder 'nowhere'"),
    ):
        result = run(*FIT[:-1], name)
        assert result.exit_code == 2, repr(result.exception)
        assert message in result.stderr
    Path("folder").mkdir()
    result = run("folder", "--horizon", "4", "--save", "air.tsforce")
    assert "--load and --save go with a file" in result.stderr


def test_paths_of_a_loaded_model_want_its_training_rows():
    model = NARXForecaster(4, 12, mode="open_loop", alias="narx").fit(load("airpassengers")[:132])
    model.save("air.tsforce", training_rows=True)
    found = table(done("later.csv", "--load", "air.tsforce", "--n-paths", "3", "--seed", "1").stdout)
    expected = model.sample_paths(3, history=load("airpassengers")[100:], random_state=1)
    np.testing.assert_array_equal(found["narx"].astype(float), expected["narx"])
    model.save("air.tsforce")
    told = run("later.csv", "--load", "air.tsforce", "--n-paths", "3")
    assert told.exit_code == 2
    assert "training_rows=True" in told.stderr
