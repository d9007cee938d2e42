"""Lines of progress: what a terminal, a notebook and a log show of them, and how they are silenced."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import tsforce
from tsforce import Baseline, NARXForecaster, backtest, compare, progress, tune
from tsforce.datasets import load
from tsforce.progress import OFF, Progress

CODE = Path(tsforce.__file__).parent
ESCAPES = re.compile(r"\x1b\[[0-9;]*[mK]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def nothing_said_by_the_environment(monkeypatch):
    for name in (OFF, "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "70")


def run(stream, *lines, **settings):
    with Progress("fit", stream=stream, **settings) as line:
        for number, what in enumerate(lines, 1):
            line.show(what, number, len(lines))
    return stream.getvalue()


def test_a_log_holds_the_first_line_and_the_last_and_one_each_half_minute(monkeypatch):
    assert run(io.StringIO(), "a", "b", "c", "d") == "fit 1/4 a\nfit 4/4 d\n"
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: float(next(clock)))
    assert run(io.StringIO(), "a", "b", "c", "d") == "fit 1/4 a\nfit 3/4 c\nfit 4/4 d\n"


def test_a_log_holds_every_line_of_what_takes_long_each_time():
    assert run(io.StringIO(), "a", "b", "c", every=True) == "fit 1/3 a\nfit 2/3 b\nfit 3/3 c\n"


def test_a_terminal_shows_one_line_with_a_bar_cut_where_the_terminal_ends(monkeypatch):
    monkeypatch.setattr(progress, "_DRAWN", 0.0)
    shown = run(Terminal(), "[red]one[/red]", "x" * 200)
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
    first, last = ESCAPES.sub("", shown).rstrip("\n").split("\r")[1:]
    assert first.endswith("fit 1/2 [red]one[/red]")
    assert set(first[:24]) == {"━", "╸"} or set(first[:24]) == {"━", "╺"}
    assert len(last) <= 70
    assert last.endswith("x…")


def test_lines_that_come_faster_than_one_reads_are_held_back_but_the_last():
    shown = ESCAPES.sub("", run(Terminal(), *"abcdefgh"))
    assert [line[-1] for line in shown.rstrip("\n").split("\r")[1:]] == ["a", "h"]


def test_a_notebook_shows_one_line_without_codes_for_terminals(monkeypatch):
    monkeypatch.setattr(Console, "is_jupyter", True, raising=False)
    monkeypatch.setattr(Console, "__init__", as_in_a_notebook(Console.__init__))
    monkeypatch.setattr(progress, "_DRAWN", 0.0)
    assert run(io.StringIO(), "longer", "b") == "\rfit 1/2 longer\rfit 2/2 b     \n"


def as_in_a_notebook(init):
    def initialised(self, **settings):
        init(self, **settings, force_jupyter=True)

    return initialised


def end_in_an_error(stream):
    with Progress("fit", stream=stream) as line:
        line.show("half", 1, 2)
        _ = 1 / 0


def test_a_line_ends_where_an_error_does():
    stream = Terminal()
    with pytest.raises(ZeroDivisionError):
        end_in_an_error(stream)
    assert stream.getvalue().endswith("\n")
    assert "\x1b[?25l" not in stream.getvalue(), "the cursor is not hidden"


def calls(df):
    two = [Baseline("naive", horizon=3), Baseline("drift", horizon=3)]
    model = NARXForecaster(3, lags=2, mode="open_loop", prior="zero")
    return {
        "backtest 2/2 naive": lambda **told: backtest(two[0], df, n_windows=4, refit=2, **told),
        "compare 1/1 drift": lambda **told: compare(two, df, n_windows=2, **told),
        "tune 3 NARXForecaster: mase": lambda **told: tune(model, df, {"ridge": [1.0, 9.0]}, n_windows=1, **told),
    }


def test_backtest_compare_and_tune_tell_on_request_and_only_then(capsys, monkeypatch):
    for last, call in calls(load("airpassengers")).items():
        call()
        assert capsys.readouterr().err == ""
        call(verbose=True)
        assert capsys.readouterr().err.splitlines()[-1].startswith(last)
        monkeypatch.setenv(OFF, "off")
        call(verbose=True)
        assert capsys.readouterr().err == ""
        monkeypatch.delenv(OFF)


def test_no_other_file_draws_a_line_of_its_own():
    drawn = [file.name for file in CODE.rglob("*.py") if re.search(r"""f?"\\r[^\\]""", file.read_text())]
    assert drawn == ["progress.py"]
