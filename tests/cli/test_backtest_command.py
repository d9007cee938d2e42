from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tsforce import Baseline, NARXForecaster, backtest, compare
from tsforce.bench import get_threads, set_threads
from tsforce.cli.main import main
from tsforce.datasets import load

WINDOWS = ["--horizon", "6", "--n-windows", "3"]
QUICK = ["--lags", "12", "--mode", "open_loop"]


@pytest.fixture(autouse=True)
def neutral_surroundings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    load("airpassengers").to_csv("air.csv", index=False)
    load("airpassengers").to_parquet("air.parquet", index=False)
    before = get_threads()
    yield
    set_threads(before)


def invoke(*arguments):
    return CliRunner().invoke(main, ["backtest", *map(str, arguments)])


def done(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def failed(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output + repr(result.exception)
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


def model(**more):
    return NARXForecaster(6, **{"lags": 12, "mode": "open_loop", "alias": "narx", **more})


def local():
    return model(scope="local", alias="linear-local")


def same(found, expected):
    """Whether two frames are equal to the last bit, whatever the unit of their stamps."""
    stamps = [name for name in ("ds", "cutoff") if name in expected.columns]
    dtypes = {name: found[name].dtype for name in stamps}
    pd.testing.assert_frame_equal(found, expected.astype(dtypes), check_exact=True, check_dtype=False)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_scores_forecasts_and_errors_by_horizon_are_those_of_the_python_call(suffix):
    expected = backtest(model(), load("airpassengers"), n_windows=3)
    files = ["--out", "s.parquet", "--forecasts", "f.parquet", "--by-horizon", "h.parquet"]
    result = done(f"air.{suffix}", *WINDOWS, *QUICK, *files)
    same(pd.read_parquet("s.parquet"), expected.scores())
    same(pd.read_parquet("f.parquet"), expected.frame)
    same(pd.read_parquet("h.parquet"), expected.exposure())
    assert f"air.{suffix}: 1 series, 144 rows, freq 'MS'" in result.stderr
    assert "s.parquet: 1 row written." in result.stderr


def test_csv_files_hold_the_same_as_parquet_files():
    files = {name: [f"{name}.csv", f"{name}.parquet"] for name in ("out", "forecasts", "by-horizon")}
    for k in (0, 1):
        done("air.csv", *WINDOWS, *QUICK, *(word for name, both in files.items() for word in (f"--{name}", both[k])))
    for text, binary in files.values():
        frame = pd.read_parquet(binary)
        frame.to_csv("again.csv", index=False)
        assert Path("again.csv").read_text() == Path(text).read_text()


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--step-size", "1"], {"step_size": 1}),
        (["--refit"], {"refit": True}),
        (["--refit", "--step-size", "4"], {"refit": True, "step_size": 4}),
        (["--train-size", "60"], {"refit": True, "train_size": 60}),
    ],
)
def test_windows_are_as_asked(options, arguments):
    expected = backtest(model(), load("airpassengers"), n_windows=3, **arguments)
    done("air.csv", *WINDOWS, *QUICK, *options, "--forecasts", "f.parquet")
    same(pd.read_parquet("f.parquet"), expected.frame)


@pytest.mark.parametrize(
    "named", [["--model", "naive,linear,naive2"], ["--model", "naive", "--model", "linear-local", "--model", "naive2"]]
)
def test_several_models_are_compared_on_the_same_windows(named):
    made = [Baseline("naive"), local(), Baseline("naive2")]
    expected = compare(made, load("airpassengers"), horizon=6, n_windows=3)
    result = done("air.csv", *WINDOWS, *QUICK, *named, "--out", "s.parquet", "--forecasts", "f.parquet")
    same(pd.read_parquet("s.parquet"), expected.scores())
    same(pd.read_parquet("f.parquet"), expected.frame)
    assert " ".join(expected.verdict.split()) in " ".join(result.stdout.split())
    # The best comes first.
    lines = [line.split()[0] for line in result.stdout.splitlines() if line.strip()]
    order = [name for name in lines[:6] if name in ("naive", "naive2", "linear-local")]
    assert order == expected.scores().sort_values("mase")["model"].tolist()


def test_scores_and_both_errors_at_each_step_are_printed_with_their_definitions():
    expected = backtest(model(), load("airpassengers"), n_windows=3)
    shown = done("air.csv", *WINDOWS, *QUICK).stdout
    assert shown.splitlines()[0].strip() == "air.csv: horizon 6, closed loop"
    score = expected.scores().iloc[0]
    for figure in (f"{score['smape']:.3f}", f"{score['mase']:.3f}", f"{score['mae']:.4g}", f"{score['rmse']:.4g}"):
        assert figure in shown
    for row in expected.exposure().to_dict("records"):
        line = f"narx {row['horizon']} {row['rmse_closed']:.3f} {row['rmse_one_step']:.3f} {row['gap']:.2f}"
        assert line in " ".join(shown.split())
    for text in ("sMAPE  mean of 200", "|y[t] - y[t-m]|", "fed their own outputs", "closed / one-step", "naive"):
        assert text in shown


@pytest.mark.parametrize("columns", ["30", "80", "200"])
def test_what_the_figures_say_is_told_in_a_paragraph_for_each_model(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    shown = done("air.csv", *WINDOWS, *QUICK, "--model", "naive,linear-local,linear-global").stdout
    told = shown[shown.index("naive   the last value") :].split("\n\n")[1:]
    models = {"linear-local": local(), "linear-global": model(scope="global", alias="linear-global")}
    expected = compare(models, load("airpassengers"), n_windows=3).exposure_report().split("\n\n")
    assert [" ".join(text.split()) for text in told] == expected
    assert max(len(line) for text in told for line in text.splitlines()) <= int(columns)


@pytest.mark.parametrize("columns", ["30", "80", "200"])
def test_no_figure_is_cropped_however_narrow_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    result = done("air.csv", *WINDOWS, "--model", "seasonal_naive", "--out", "s.csv")
    row = pd.read_csv("s.csv").iloc[0]
    assert f"{row['mase']:.3f}" in result.stdout
    assert f"{row['rmse']:.4g}" in result.stdout
    assert "…" not in result.stdout


def test_of_many_steps_a_dozen_are_printed_and_all_are_written():
    shown = done("air.csv", "--horizon", "30", *QUICK, "--by-horizon", "h.csv").stdout
    assert "12 of 30" in shown
    table = shown[shown.index("12 of 30") : shown.index("RMSE over windows")]
    steps = [int(line.split()[1]) for line in table.splitlines() if line.startswith("narx")]
    assert len(steps) == 12
    assert (steps[0], steps[-1]) == (1, 30)
    assert len(pd.read_csv("h.csv")) == 30


def test_reference_methods_alone_show_their_scores_at_each_step():
    shown = done("air.csv", *WINDOWS, "--model", "naive,drift", "--by-horizon", "h.parquet").stdout
    expected = compare([Baseline("naive"), Baseline("drift")], load("airpassengers"), horizon=6, n_windows=3)
    same(pd.read_parquet("h.parquet"), expected.by_horizon())
    assert "Errors at each step after the cutoff" in shown
    assert "fed their own outputs" not in shown
    assert "exposure gap" not in shown


def test_notes_and_series_that_are_left_out_are_told():
    days = pd.date_range("2024-01-01", periods=60, freq="D")
    long = pd.DataFrame({"unique_id": "a", "ds": days, "y": np.arange(60.0) % 7})
    late = pd.DataFrame({"unique_id": "b", "ds": days[57:], "y": 1.0})
    pd.concat([long, late]).to_csv("s.csv", index=False)
    call = ["s.csv", "--horizon", "2", "--n-windows", "1", *QUICK, "--model", "linear-local"]
    assert "s.csv: series 'b': " in failed(*call)
    shown = done(*call, "--short-series", "drop").stdout
    assert "left out: 1 series without a window or too short: 'b'." in " ".join(shown.split())


def test_more_windows_than_the_rows_hold_are_refused_with_what_fits():
    # 144 rows: one to learn from, 6 of the last window, 23 steps of 6 (22.8) before it; 39 steps of 3.
    said = failed("air.csv", "--horizon", "6", "--n-windows", "40", "--model", "naive")
    assert "air.csv: --n-windows=40 with --step-size=6 and --horizon=6 take 241 rows" in said
    assert "there are 144: no more than --n-windows=23 fit, or --step-size=3." in said
    done("air.csv", "--horizon", "6", "--n-windows", "23", "--model", "naive")
    done("air.csv", "--horizon", "6", "--n-windows", "40", "--step-size", "3", "--model", "naive")
    failed("air.csv", "--horizon", "6", "--n-windows", "40", "--step-size", "4", "--model", "naive")


def test_a_series_with_fewer_windows_is_told_of_and_rows_that_windows_take_are_named():
    days = pd.date_range("2024-01-01", periods=60, freq="D")
    parts = [
        pd.DataFrame({"unique_id": name, "ds": days[k:], "y": np.arange(60.0 - k)}) for name, k in (("a", 0), ("b", 50))
    ]
    pd.concat(parts).to_csv("s.csv", index=False)
    shown = " ".join(done("s.csv", "--horizon", "4", "--n-windows", "4", "--model", "naive").stdout.split())
    assert (
        "fewer windows than --n-windows=4, down to 2, in 1 of 2 series, which are too short or end too early: 'b'."
        in shown
    )
    said = failed("air.csv", "--horizon", "6", "--n-windows", "20", *QUICK, "--lags", "30")
    assert "the rows up to the first cutoff, 24 of 144 in the longest series: fewer windows than --n-windows=20" in said


def test_known_inputs_are_read_from_the_file_itself():
    draw = np.random.default_rng(0)
    promo = draw.integers(0, 2, 90)
    df = pd.DataFrame({"ds": range(90), "y": 10.0 + 5 * promo + draw.normal(size=90), "promo": promo})
    df.to_csv("s.csv", index=False)
    expected = backtest(model(future_exog=["promo"]), df, n_windows=3)
    done("s.csv", *WINDOWS, *QUICK, "--future-exog", "promo", "--forecasts", "f.parquet")
    same(pd.read_parquet("f.parquet"), expected.frame)


def test_columns_that_nobody_named_are_found():
    df = load("airpassengers").rename(columns={"ds": "Month", "y": "Passengers"})[["Month", "Passengers"]]
    df.to_csv("named.csv", index=False)
    result = done("named.csv", *WINDOWS, "--model", "naive", "--forecasts", "f.csv")
    assert "'Month' is taken as the time and 'Passengers' as what to forecast" in result.stderr
    assert {"Month", "Passengers"} <= set(pd.read_csv("f.csv").columns)


@pytest.mark.parametrize("kind", ["horizon", "windows", "exposure"])
@pytest.mark.parametrize("name", ["narx", "naive"])
def test_pictures_are_written(kind, name):
    quick = QUICK if name == "narx" else []
    result = done("air.csv", *WINDOWS, *quick, "--model", name, "--plot", "p.png", "--plot-kind", kind)
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    assert "p.png: written." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["air.csv"], "Missing option '--horizon'"),
        (["air.csv", "--horizon", "6", "--n-windows", "0"], "Invalid value for '--n-windows'"),
        (["air.csv", "--horizon", "6", "--step-size", "0"], "Invalid value for '--step-size'"),
        (["air.csv", "--horizon", "200"], "air.csv: no window fits: --n-windows=1, --step-size=200, --horizon=200"),
        (["air.csv", *WINDOWS, "--model", "naive,nave"], "--model='nave' is not known"),
        (["air.csv", *WINDOWS, "--model", "naive,drift", "--lags", "3"], "naive, drift: a reference method has no use"),
        (["air.csv", *WINDOWS, "--out", "s.csv", "--forecasts", "s.csv"], "s.csv: two files of this command have this"),
        (["air.csv", *WINDOWS, "--forecasts", "air.csv"], "air.csv: two files of this command have this name"),
        (["air.csv", *WINDOWS, "--by-horizon", "h.txt"], "h.txt: the name of this file ends in none of .csv"),
        (["air.csv", *WINDOWS, "--plot-kind", "pie"], "Invalid value for '--plot-kind'"),
        (["air.csv", *WINDOWS, *QUICK, "--train-size", "10"], "a longer window than --train-size=10 would leave more"),
        (["air.csv", *WINDOWS, "--lags", "500"], "air.csv: series 'airpassengers': "),
        (["none.csv", *WINDOWS], "none.csv: there is no such file."),
    ],
)
def test_wrong_usage_ends_with_2_and_a_message_in_terms_of_options(arguments, message):
    assert message in failed(*arguments)


def test_help_shows_examples_and_every_option():
    result = done("--help")
    for text in ("Examples:", "--n-windows 6 --out scores.csv", "--refit", "--by-horizon", "--fill-gaps"):
        assert text in result.stdout


def test_intervals_are_judged_printed_and_written():
    level = ["--level", "50,80", "--plot", "c.png", "--plot-kind", "coverage"]
    result = done("air.csv", *WINDOWS, *QUICK, *level, "--out", "s.parquet", "--by-horizon", "h.parquet")
    expected = backtest(model(), load("airpassengers"), n_windows=3, level=[50, 80])
    same(pd.read_parquet("s.parquet"), expected.scores())
    steps, found = expected.by_horizon(), pd.read_parquet("h.parquet")
    names = [f"{kind}-{level}" for level in (50, 80) for kind in ("coverage", "width", "msis", "pinball")]
    assert found.columns.tolist() == [*expected.exposure().columns, *names]
    same(found[names], steps[names])
    rows = [line.split() for line in result.stdout.splitlines() if len(line.split()) == 8]
    want = expected.intervals().iloc[1]
    assert ["80", *(f"{want[name]:.3f}" for name in ("coverage", "first_third", "second_third", "last_third"))] in [
        row[1:6] for row in rows
    ]
    assert Path("c.png").stat().st_size > 1000


def test_a_picture_of_coverage_takes_a_level():
    assert "add --level 80,95" in failed("air.csv", *WINDOWS, "--plot", "c.png", "--plot-kind", "coverage")


def test_sample_paths_are_judged_printed_and_written():
    files = ["--out", "s.parquet", "--by-horizon", "h.parquet"]
    shown = done("air.csv", *WINDOWS, "--model", "naive,drift", "--n-paths", "20", *files).stdout
    expected = compare(
        [Baseline("naive"), Baseline("drift")], load("airpassengers"), horizon=6, n_windows=3, n_paths=20
    )
    want = expected.scores()
    same(pd.read_parquet("s.parquet"), want)
    same(pd.read_parquet("h.parquet"), expected.by_horizon())
    best = want.sort_values("crps").iloc[0]
    row = [best["model"], f"{best['crps']:.4g}", f"{best['crps_scaled']:.4f}", f"{best['wql']:.4f}"]
    assert [*row, f"{best['energy']:.4g}"] in [line.split() for line in shown.splitlines()]
