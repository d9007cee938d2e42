"""``tsforce bench modes``: rows that go on where they stopped, and a table of tests."""

import io
import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import wilcoxon

from tsforce.cli.main import main

pytestmark = pytest.mark.usefixtures("threads_as_before")

RUN = ["bench", "modes", "--sets", "m3-other", "--models", "linear-global", "--blocks", "adamw mse", "--seeds", "1"]


def run(*arguments):
    return CliRunner().invoke(main, [*RUN, *arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("modes")
    done = run("--modes", "open_loop,closed_loop", "--out", str(out))
    assert done.exit_code == 0, done.output
    return out


@pytest.mark.slow
def test_there_is_a_row_per_mode_and_an_error_per_series_of_which_owa_is_the_mean(folder):
    rows = pd.read_csv(folder / "modes.csv")
    assert rows["mode"].tolist() == ["open_loop", "closed_loop"]
    errors = pd.read_parquet(folder / "modes-errors.parquet")
    assert (errors.groupby("run").size() == 174).all()
    for row in rows.itertuples():
        own = errors[errors["run"] == f"m3 other|linear-global|adamw mse|{row.mode}|0"]["error"]
        assert own.mean() == pytest.approx(row.owa, rel=1e-6)
    assert rows["command"].str.startswith("tsforce bench modes --sets m3-other --models linear-global").all()


@pytest.mark.slow
def test_the_rows_are_those_of_the_public_classes_and_the_metrics_of_the_competition(folder):
    from tsforce import Baseline, NARXForecaster, Training
    from tsforce.datasets import load_competition

    data = load_competition("m3", "other")
    model = NARXForecaster(
        data.horizon, 8, season_length=1, short_series="drop", mode="open_loop", scope="global", prior="zero",
        window_scaling="mean_abs", target_transforms=[], loss="mse", training=Training(solver="adamw"),
    ).fit(data.train)  # fmt: skip
    truth = data.test["y"].to_numpy().reshape(-1, data.horizon)

    def measured(forecaster, column):
        yhat = forecaster.predict()[column].to_numpy().reshape(-1, data.horizon)
        scale = [np.abs(np.diff(y)).mean() for _, y in data.train.groupby("unique_id", observed=True)["y"]]
        smape = (200 * np.abs(truth - yhat) / (np.abs(truth) + np.abs(yhat))).mean()
        return smape, (np.abs(truth - yhat).mean(axis=1) / scale).mean()

    own = measured(model, "NARXForecaster")
    naive2 = measured(Baseline("naive2", horizon=data.horizon, season_length=1).fit(data.train), "naive2")
    row = pd.read_csv(folder / "modes.csv").iloc[0]
    np.testing.assert_allclose([row["smape"], row["mase"]], own, rtol=1e-9)
    assert row["owa"] == pytest.approx(0.5 * (own[0] / naive2[0] + own[1] / naive2[1]))


@pytest.mark.slow
def test_the_table_tests_each_mode_against_open_loop_series_by_series(folder):
    tests = pd.read_csv(folder / "modes-tests.csv").set_index("mode")
    errors = pd.read_parquet(folder / "modes-errors.parquet").set_index("run")["error"].astype(float)
    first, second = (
        errors[f"m3 other|linear-global|adamw mse|{mode}|0"].to_numpy() for mode in ("open_loop", "closed_loop")
    )
    assert tests.loc["closed_loop", "p"] == pytest.approx(wilcoxon(second - first).pvalue, rel=1e-4)
    better = tests.loc["closed_loop", "owa_mean"] < tests.loc["open_loop", "owa_mean"]
    assert tests.loc["closed_loop", "seeds_better"] == int(better)
    shown = run("--out", str(folder), "--table")
    assert "| m3 other, linear-global (1) | adamw mse |" in shown.output


@pytest.mark.slow
def test_every_mode_of_a_block_has_the_same_solver_loss_steps_and_validation(folder):
    rows = pd.read_csv(folder / "modes.csv")
    alike = ["solver", "loss", "steps", "held_out"]
    assert rows[alike].to_numpy().tolist() == [["AdamW", "mse", 300, "1 window"]] * 2
    # A user's own settings of anything else stay.
    from tsforce import NARXForecaster
    from tsforce.bench import BLOCKS

    model = NARXForecaster(8, 8, max_steps=7)
    for name, block in BLOCKS.items():
        told = [block.apply(model.clone_unfitted(), mode, 3) for mode in ("closed_loop", "curriculum", "auto")]
        assert told[0] == told[1] == told[2], name


@pytest.mark.slow
def test_finished_rows_are_not_made_again_and_missing_ones_are(folder, tmp_path):
    folder = shutil.copytree(folder, tmp_path / "modes")
    before = (folder / "modes.csv").read_bytes()
    assert run("--modes", "open_loop,closed_loop", "--out", str(folder)).exit_code == 0
    assert (folder / "modes.csv").read_bytes() == before
    header, _, closed_loop = before.decode().splitlines(keepends=True)
    (folder / "modes.csv").write_text(header + closed_loop)
    assert run("--modes", "open_loop,closed_loop", "--out", str(folder)).exit_code == 0
    again = pd.read_csv(folder / "modes.csv")
    first = pd.read_csv(io.StringIO(before.decode()))
    assert dict(zip(again["mode"], again["owa"], strict=True)) == dict(zip(first["mode"], first["owa"], strict=True))
    assert len(pd.read_parquet(folder / "modes-errors.parquet")) == 2 * 174


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--sets", "m3-monthli", "Did you mean 'm3-monthly'"),
        ("--modes", "free", "'open_loop'"),
        ("--models", "xgboost", "'trees'"),
    ],
)
def test_what_is_not_known_is_named_with_what_is(option, value, words, tmp_path):
    failed = run(option, value, "--out", str(tmp_path))
    assert failed.exit_code == 2
    assert words in failed.output


def test_there_is_no_table_without_rows(tmp_path):
    failed = run("--table", "--out", str(tmp_path))
    assert failed.exit_code == 2
    assert "no rows" in failed.output
