"""``tsforce bench chaos``: simulators checked, rows that go on where they stopped, floors and figures beside ours."""

import functools
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tsforce import NARXForecaster
from tsforce.cli.main import main

pytestmark = pytest.mark.usefixtures("threads_as_before")

RUN = ["bench", "chaos", "--systems", "mackeyglass", "--models", "linear,mlp", "--size", "tiny", "--seeds", "1"]


def run(*arguments):
    return CliRunner().invoke(main, [*RUN, *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    """Train models for three steps: what is tested here is the rows, not how good they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tsforce.bench.chaos_recipes.NARXForecaster", functools.partial(NARXForecaster, max_steps=3))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("chaos")
    done = run("--modes", "open_loop,closed_loop", "--out", out)
    assert done.exit_code == 0, done.output
    return out, done.output


def test_there_is_a_row_for_every_model_and_mode_and_the_errors_and_windows_it_stands_on(finished):
    out, _ = finished
    rows = pd.read_csv(out / "results.csv")
    made = list(zip(rows["model"], rows["mode"].fillna(""), strict=True))
    assert made == [
        ("last_value", ""),
        ("training_mean", ""),
        ("linear", "open_loop"),
        ("mlp", "open_loop"),
        ("mlp", "closed_loop"),
    ]
    assert (rows["status"] == "ok").all()
    for row in rows.itertuples():
        mode = row.mode if isinstance(row.mode, str) else ""
        seed = "none" if np.isnan(row.seed) else int(row.seed)
        name = "-".join(
            str(part) for part in ("mackeyglass", "all", "0.0", "tiny", row.model, mode, seed) if part != ""
        )
        assert np.median(np.load(out / "errors" / f"{name}.npz")["windows"]) == pytest.approx(row.nrmse)
    (file,) = (out / "windows").iterdir()
    assert np.load(file)["truth"].dtype == np.load(file)["context"].dtype == np.float32
    assert "open_loop" in json.dumps(json.loads((out / "manifest.json").read_text()))


def test_the_leaderboard_shows_ours_the_published_figure_and_what_the_columns_mean(finished):
    _, output = finished
    for words in ("closed_loop", "training_mean", "To beat: 0.00107", "Wilcoxon"):
        assert words in output


def test_finished_rows_are_not_made_again(finished):
    out, _ = finished
    before = (out / "results.csv").read_bytes()
    assert run("--modes", "open_loop,closed_loop", "--out", out).exit_code == 0
    assert (out / "results.csv").read_bytes() == before


def test_one_variable_and_noise_are_other_rows(tmp_path):
    done = CliRunner().invoke(
        main,
        ["bench", "chaos", "--systems", "lorenz", "--models", "linear", "--size", "tiny", "--observe", "first",
         "--noise", ".02", "--out", str(tmp_path)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = pd.read_csv(tmp_path / "results.csv")
    assert set(rows["observe"]) == {"first"}
    assert set(rows["noise"]) == {0.02}


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--systems", "lorentz", "Did you mean 'lorenz'"),
        ("--modes", "free", "'open_loop'"),
        ("--models", "esn", "'gru'"),
        ("--observe", "second", "'first'"),
        ("--size", "huge", "'quarter'"),
    ],
)
def test_what_is_not_known_is_named_with_what_is(option, value, words, tmp_path):
    failed = run(option, value, "--out", tmp_path)
    assert failed.exit_code == 2
    assert words in failed.output
