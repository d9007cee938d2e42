"""``tsforce bench sysid``: floors checked out loud, rows that go on where they stopped, choices without test rows."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.makers import sysid_frame
from tsforce.cli.main import main

pytestmark = pytest.mark.usefixtures("threads_as_before")

FLOORS = [("training_mean", ""), ("arx", "open_loop"), ("arx_cubic", "open_loop")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name in ("daisy-exchanger", "cascaded-tanks"):
        sysid_frame().to_csv(folder / f"sysid-{name}.csv", index=False)
    return folder


def run(data, out, *arguments):
    words = ["bench", "sysid", "--models", "linear", "--seeds", "1", "--data", str(data), "--out", str(out)]
    return CliRunner().invoke(main, [*words, *arguments])


def rows_of(out):
    rows = pd.read_csv(out / "results.csv", keep_default_na=False)
    return rows, list(zip(rows["model"], rows["mode"], strict=True))


@pytest.fixture(scope="module")
def held(data, tmp_path_factory):
    """A run without a look at test rows."""
    out = tmp_path_factory.mktemp("held")
    done = run(data, out, "--sets", "cascaded-tanks", "--modes", "open_loop", "--held-out")
    assert done.exit_code == 0, done.output
    return out, done.output


def test_the_tanks_are_simulated_from_both_starts(held):
    out, output = held
    rows, made = rows_of(out)
    assert made == 2 * [*FLOORS, ("linear", "open_loop")]
    assert rows["n"].tolist() == [50] * 4 + [5] * 4
    assert set(rows["record"]) == {"validation"}
    assert rows.loc[rows["n"] == 5, "lags"].tolist()[1:] == ["y 1 2 3 4 5; u 0 1 2 3 4"] * 3
    assert len(pd.read_csv(out / "summary.csv")) == 8
    for words in ("simulated from row 50 on, RMSE in V", "simulated from row 5 on", "root      largest modulus"):
        assert words in output


def test_what_is_held_out_knows_no_test_row(held, tmp_path):
    frame = sysid_frame()
    frame.loc[frame["split"] == "test", ["u", "y"]] = np.pi
    frame.to_csv(tmp_path / "sysid-cascaded-tanks.csv", index=False)
    done = run(tmp_path, tmp_path / "out", "--sets", "cascaded-tanks", "--modes", "open_loop", "--held-out")
    assert done.exit_code == 0, done.output
    columns = ["model", "n", "rmse", "one_step", "root"]
    pd.testing.assert_frame_equal(rows_of(tmp_path / "out")[0][columns], rows_of(held[0])[0][columns])


def test_finished_rows_are_not_made_again(held, data):
    out, _ = held
    before = (out / "results.csv").read_bytes()
    assert run(data, out, "--sets", "cascaded-tanks", "--modes", "open_loop", "--held-out").exit_code == 0
    assert (out / "results.csv").read_bytes() == before


def test_floors_of_other_data_disagree_out_loud(data, tmp_path):
    done = run(data, tmp_path, "--sets", "daisy-exchanger", "--modes", "open_loop")
    assert done.exit_code == 1
    assert "floors: 0 of 3 agree with the table to three digits" in done.output
    assert done.stderr.count("FLOOR DISAGREES: daisy-exchanger test n 10 ") == 3
    assert "expected 0.43" in done.stderr
    assert rows_of(tmp_path)[1] == [*FLOORS, ("linear", "open_loop")]


def test_floors_agree_and_stand_beside_figures_from_elsewhere(sysid_folder, tmp_path):
    done = run(sysid_folder, tmp_path, "--sets", "daisy-ball-beam", "--modes", "open_loop")
    assert done.exit_code == 0, done.output
    assert "floors: 3 of 3 agree with the table to three digits" in done.output
    assert "elsewhere, test: 0.0516 (linear floor with 4 lags, measured)" in done.output


def test_a_set_that_is_not_there_is_named_with_what_to_do(tmp_path):
    failed = run(tmp_path, tmp_path / "out", "--sets", "emps")
    assert failed.exit_code == 2
    assert "--data DIR" in failed.output


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--sets", "silverbux", "Did you mean 'silverbox'"),
        ("--modes", "free", "'open_loop'"),
        ("--models", "lineal", "Did you mean 'linear'"),
    ],
)
def test_what_is_not_known_is_named_with_what_is(option, value, words, data, tmp_path):
    failed = run(data, tmp_path, option, value)
    assert failed.exit_code == 2
    assert words in failed.output
