"""The benchmark of drawn panels: what is drawn, what is scored, and the table that it writes."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsforce import NARXForecaster

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "drawn_panels.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def main(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return run


def test_every_kind_is_drawn_as_its_table_says(script):
    for name, kind in script["KINDS"].items():
        panel = script["draw"](name, 3, 1)
        again = script["draw"](name, 3, 1)
        pd.testing.assert_frame_equal(panel.before, again.before)
        assert not script["draw"](name, 4, 1).before.equals(panel.before), name
        at = [f for f in kind.frequencies if (f.horizon, f.season_length) == (panel.horizon, panel.season_length)]
        rows = panel.before.groupby("unique_id").size()
        assert len(at) == 1, name
        assert rows.between(*at[0].rows).all(), name
        assert kind.ragged or rows.nunique() == 1
        assert (panel.after.groupby("unique_id").size() == panel.horizon).all()
        assert np.isfinite(panel.before["y"]).all()
        assert np.isfinite(panel.after["y"]).all()
        joined = pd.concat([panel.before, panel.after]).sort_values(["unique_id", "ds"])
        assert not joined.duplicated(["unique_id", "ds"]).any()


def test_naive_methods_are_exact_on_constants_and_drift_on_lines(script):
    for number in range(4):
        panel = script["draw"]("constant", 0, number)
        assert script["error_of"](panel, script["baseline"]("naive", panel), "mae") == pytest.approx(1e-6, rel=1e-9)
        panel = script["draw"]("line", 0, number)
        y = panel.before.groupby("unique_id", sort=False)["y"]
        floor = 1e-6 * y.apply(lambda v: v.abs().mean()) / y.apply(lambda v: v.diff().abs().mean())
        assert script["error_of"](panel, script["baseline"]("drift", panel), "mae") == pytest.approx(floor.mean())


def test_errors_are_in_units_of_what_each_series_moves(script):
    before = pd.DataFrame({"unique_id": ["a"] * 3 + ["b"] * 3 + ["c"] * 2, "y": [1.0, 3, 1, 10, 40, 0, 8, 8]})
    after = pd.DataFrame({"unique_id": list("aabbcc"), "y": [2.0, 2, 0, 0, 8, 8]})
    panel = script["Drawn"](before, after, 2, 1)
    forecast = np.array([3.0, 5, 7, -35, 8, 12])
    # a: errors 1, 3, moves 2, 2; b: 7, 35, moves 30, 40; c: 0, 4, never moves and is 8.
    assert script["error_of"](panel, forecast, "mae") == pytest.approx((2 / 2 + 21 / 35 + 2 / 8) / 3)
    of_roots = (np.sqrt(5) / 2 + np.sqrt(637) / np.sqrt(1250) + np.sqrt(8) / 8) / 3
    assert script["error_of"](panel, forecast, "rmse") == pytest.approx(of_roots)


def test_the_best_baseline_is_the_best_on_average_and_refused_panels_are_told(script):
    own = np.array([1.0, 2.0, 3.05, np.nan])
    theirs = np.array([[1.0, 1.0, 4.0, 9.0], [2.0, 2.0, 3.0, 0.0], [9.0, 9.0, 9.0, 0.0]])
    row = script["scores"](own, theirs)
    assert (row["best"], row["naive"], row["drift"]) == ("naive", 2.0, pytest.approx(7 / 3))
    assert row["ratio"] == pytest.approx(6.05 / 6)
    assert row["ratio_to_best_of_each"] == pytest.approx(6.05 / 5)
    assert (row["panels_worse"], row["refused"], row["holds"]) == (1, 1, False)
    # In pairs: 0, 1, -.95 more than naive.
    assert row["ratio_se"] == pytest.approx(np.std([0, 1, -0.95], ddof=1) / np.sqrt(3) / 2)
    assert script["scores"](own[:3], theirs[:, :3])["holds"]
    assert not script["scores"](own[:3] * 1.02, theirs[:, :3])["holds"]
    nothing = script["scores"](own[3:], theirs[:, 3:])
    assert nothing["refused"] == 1
    assert not nothing["holds"]


def test_what_is_measured_is_the_call_that_it_is_given(script):
    seen = []

    def build(horizon, **settings):
        seen.append((horizon, settings))
        return NARXForecaster(horizon, 1, scope="local", window_scaling=None, ridge=0.0, **settings)

    (row,) = script["measured"]("line", 2, modes=("open_loop",), seed=5, build=build)
    panels = [script["draw"]("line", 5, number) for number in range(2)]
    assert seen == [(p.horizon, {"season_length": p.season_length}) for p in panels]
    # One lag and an intercept, without a penalty, continue a line.
    assert (row["best"], row["panels_worse"], row["holds"]) == ("drift", 0, True)
    assert row["ratio"] == pytest.approx(1)
    (row,) = script["measured"]("numbered", 1, modes=("open_loop",), build=build)
    assert seen[-1] == (12, {})


def test_one_command_writes_a_row_for_each_kind_and_mode_and_replaces_its_own(main, tmp_path, capsys):
    out = tmp_path / "new" / "panels.csv"
    main("--panels", 2, "--kinds", "constant", "seven-years", "--modes", "open_loop", "--out", out)
    table = pd.read_csv(out)
    assert list(zip(table["kind"], table["mode"], table["panels"], strict=True)) == [
        ("constant", "open_loop", 2), ("seven-years", "open_loop", 2)
    ]  # fmt: skip
    assert table["naive"][0] == pytest.approx(1e-6)
    assert table["refused"].eq(0).all()
    assert (table["holds"] == (table["ratio"] <= 1.02)).all()
    assert table["cpu_s"].gt(0).all()
    assert "--kinds constant seven-years" in table["command"][0]
    assert "tsforce" in table["versions"][0]
    main("--panels", 1, "--kinds", "constant", "--modes", "open_loop", "--seed", 8, "--out", out)
    later = pd.read_csv(out)
    assert list(later.columns) == list(table.columns)
    assert list(zip(later["kind"], later["panels"], later["seed"], strict=True)) == [
        ("seven-years", 2, 0), ("constant", 1, 8)
    ]  # fmt: skip
    assert "constant, open_loop: " in capsys.readouterr().out


def test_a_panel_that_is_refused_counts_and_is_named(script, capsys):
    def build(horizon, **settings):
        return NARXForecaster(horizon, 50, scope="local", **settings)

    (row,) = script["measured"]("seven-years", 2, modes=("open_loop",), build=build)
    assert (row["refused"], row["holds"]) == (2, False)
    assert "seven-years, panel 1, open_loop: " in capsys.readouterr().err
