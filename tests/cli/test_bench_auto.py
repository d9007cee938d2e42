"""``tsforce bench auto``: the plain call on competitions, a row per set and budget."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tsforce import AutoNARX, Baseline
from tsforce.bench import run
from tsforce.cli.main import main
from tsforce.datasets import load_competition

pytestmark = pytest.mark.usefixtures("threads_as_before")


@pytest.mark.slow
def test_the_row_is_that_of_the_plain_call_and_is_not_made_twice(tmp_path):
    arguments = ["bench", "auto", "--sets", "m3-other", "--budgets", "fast", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    row = pd.read_csv(tmp_path / "auto.csv").iloc[0]
    data = load_competition("m3", "other")
    model = AutoNARX(data.horizon, budget="fast").fit(data.train)
    truth, yhat = (
        v.to_numpy().reshape(-1, data.horizon) for v in (data.test["y"], model.predict()["AutoNARX"])
    )  # fmt: skip
    assert row["smape"] == pytest.approx((200 * np.abs(truth - yhat) / (np.abs(truth) + np.abs(yhat))).mean(), rel=1e-6)
    assert np.isnan(row["one_step"])
    assert row["model"] == "auto-fast"
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 0
    assert len(pd.read_csv(tmp_path / "m3-other" / "results.csv")) == 1


def test_one_step_errors_are_left_out_on_request():
    data = load_competition("m3", "other")
    entries = [("naive", Baseline("naive"), None)]
    with_them, without = (run(data, entries, one_step=wanted).iloc[0] for wanted in (True, False))
    assert with_them["one_step"] > 0
    assert without[["one_step", "gap"]].isna().all()
    assert without["owa"] == with_them["owa"]


def test_unknown_sets_and_budgets_are_told():
    for arguments, told in ((["--sets", "m3-monthly,m9-daily"], "m9-daily"), (["--budgets", "cheap"], "balanced")):
        done = CliRunner().invoke(main, ["bench", "auto", *arguments])
        assert done.exit_code == 2
        assert told in done.output
