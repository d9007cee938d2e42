"""What a command loads before it answers: what is heavy is loaded by the commands that compute, and by those alone."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import click
import pytest

from tsforce.cli.main import main

_PROGRAM = """
import contextlib, io, json, sys
from tsforce.cli.main import main
HEAVY = {"torch", "pandas", "sklearn", "scipy", "statsmodels", "numpy", "matplotlib", "rich"}
answers = []
for arguments in json.loads(sys.argv[1]):
    told, sys.argv = io.StringIO(), ["tsforce", *arguments]
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            main()
    except SystemExit as end:
        code = end.code
    answers.append((code, sorted({name.partition(".")[0] for name in sys.modules} & HEAVY), told.getvalue()))
print(json.dumps(answers))
"""


def run(calls):
    """Exit code, heavy modules that are loaded by then, and what was said, of calls in one process, one by one."""
    command = [sys.executable, "-c", _PROGRAM, json.dumps(calls)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def commands(group, path=()):
    yield [*path]
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))


def test_help_and_version_are_shown_before_anything_heavy_is_loaded():
    paths = list(commands(main))
    assert len(paths) == 11
    calls = [*([*path, "--help"] for path in paths), ["--version"]]
    answers = run(calls)
    assert [(code, heavy) for code, heavy, _ in answers] == [(0, [])] * 12
    for path, (_, _, told) in zip(paths, answers[:-1], strict=True):
        assert told.startswith(" ".join(["Usage: tsforce", *path, "[OPTIONS]"]))
    assert answers[-1][2].startswith("tsforce, version ")


def test_wrong_usage_is_told_before_anything_heavy_is_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What is given besides names everything that an option could want to look up.
    given = ["--mode", "auto", "--transform", "log", "--calendar", "month", "--model", "mlp", "--tz", "UTC"]
    wrong = {
        "Missing option '--horizon'": ["no.csv", *given],
        "Missing argument 'FILE'": ["--horizon", "3", *given],
        "Error: no.csv: there is no such file.": ["no.csv", "--horizon", "3", *given],
        "Error: .: this is a folder": [".", "--horizon", "3", *given],
        "--lags='x': 'x' is neither a whole number": ["no.csv", "--horizon", "3", "--lags", "x"],
    }
    calls = [[command, *arguments] for command in ("forecast", "backtest") for arguments in wrong.values()]
    for (code, heavy, told), message in zip(run(calls), [*wrong, *wrong], strict=True):
        assert (code, heavy) == (2, [])
        assert message in told


@pytest.mark.slow
def test_a_forecast_loads_what_it_needs_and_no_more(tmp_path):
    path = tmp_path / "air.csv"
    path.write_text("ds,y\n" + "".join(f"{1950 + k},{k % 3}\n" for k in range(30)))
    ((code, heavy, told),) = run([["forecast", str(path), "--horizon", "2", "--lags", "3", "--mode", "open_loop"]])
    # scikit-learn's base classes load scipy; statsmodels is for reference methods, matplotlib for pictures.
    assert (code, heavy) == (0, ["numpy", "pandas", "scipy", "sklearn", "torch"])
    assert "unique_id,ds,horizon," in told


def test_how_often_garbage_is_looked_for_is_as_before_after_a_command():
    before = gc.get_threshold()
    with pytest.raises(click.UsageError):
        main(["forecast"], standalone_mode=False)
    assert gc.get_threshold() == before


def test_the_command_runs_as_a_module():
    command = [sys.executable, "-m", "tsforce", "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert told.startswith("python -m tsforce, version ")
