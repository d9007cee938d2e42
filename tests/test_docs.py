"""Everything a reader is told to type runs: README and docs code, docstring examples, the examples folder.

In a page, blocks marked ``python`` and ``sh`` run in order, in one folder. A block marked ``text`` is what the block
before it prints: white space aside, and "..." stands for anything. Blocks without a mark are not run.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import importlib.util
import inspect
import io
import pkgutil
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

import tsforce
import tsforce.errors
from tsforce.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MODULES = [m.name for m in pkgutil.walk_packages(tsforce.__path__, "tsforce.")]
# README runs at each change; what trains for many seconds runs with the slow tests.
LONG = {"quickstart.md", "modes.md", "backtesting.md", "matlab.md", "sysid.md", "sysidentpy.md", "heads.md"}
LONG |= {"compare_modes.py"}
# Where names are public; and modules whose examples need an engine.
DOORS = ["tsforce", *(f"tsforce.{file.stem}" for file in (ROOT / "tsforce").glob("[!_]*.py"))]
DOORS = [door for door in DOORS if door not in {"tsforce.above", "tsforce.notebook"}]
DOORS += ["tsforce.bench", "tsforce.distributed", "tsforce.plotting"]
NEEDED = {"tsforce.distributed.by_dask": "dask", "tsforce.distributed.by_ray": "ray"}
SIGNS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def timed(paths):
    """Return the files as parameters, the long ones marked as slow."""
    return [pytest.param(p, marks=[pytest.mark.slow] if p.name in LONG else [], id=p.name) for p in paths]


def run_commands(block):
    """Run the lines of a shell block in this process: each is a tsforce command."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            assert words[0] == "tsforce", f"a block marked sh holds tsforce commands only, not {line!r}"
            main(words[1:], standalone_mode=False)


@pytest.mark.parametrize("page", timed(PAGES))
def test_the_code_of_a_page_runs_in_order_and_prints_what_the_page_shows(page, tmp_path, monkeypatch):
    if "cc -std=c99" in page.read_text() and shutil.which("cc") is None:
        pytest.skip("NOT TESTED: no C compiler for the program of this page")
    monkeypatch.chdir(tmp_path)
    scope: dict = {"__name__": "page"}
    printed = ""
    for kind, block in re.findall(r"^```(python|sh|text)\n(.*?)^```$", page.read_text(), flags=re.S | re.M):
        if kind == "text":
            assert doctest.OutputChecker().check_output(block, printed, SIGNS), f"shown:\n{block}\nprinted:\n{printed}"
            continue
        with contextlib.redirect_stdout(io.StringIO()) as out:
            if kind == "sh":
                run_commands(block)
            else:
                exec(compile(block, str(page), "exec", dont_inherit=True), scope)
        printed = out.getvalue()


def test_the_readme_shows_code_and_is_short():
    text = README.read_text()
    assert "```python" in text
    assert len(text.splitlines()) <= 140


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text()):
        if target.startswith("http"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), flags=re.M)
            # As GitHub makes them.
            assert anchor in [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings], anchor


def test_every_page_is_linked_from_the_readme_and_every_picture_from_a_page():
    readme, pages = README.read_text(), "".join(page.read_text() for page in PAGES)
    for page in PAGES[1:]:
        assert f"(docs/{page.name})" in readme
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name})" in pages


def test_the_page_of_errors_names_all_of_them():
    text = (ROOT / "docs" / "errors.md").read_text()
    for name in tsforce.errors.__all__:
        if inspect.isclass(getattr(tsforce.errors, name)):
            assert f"`{name}`" in text, name


def test_scores_that_are_reported_stand_in_the_results():
    files = [pd.read_csv(file) for file in (ROOT / "benchmarks" / "results").glob("*.csv")]
    numbers = pd.concat([pd.to_numeric(table[c], errors="coerce") for table in files for c in table]).dropna().abs()
    known = {f"{number:.4f}".removeprefix("0") for number in numbers}
    for page in (README, ROOT / "docs" / "benchmarks.md"):
        shown = re.findall(r"(?<![\w.])(\d*\.\d{4})\b", page.read_text())
        assert {number.removeprefix("0") for number in shown} <= known
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    for row in pd.read_csv(ROOT / "benchmarks" / "results" / "inputs.csv").itertuples():
        mae = f"{row.mae:.1f}" if row.mae < 1000 else f"{row.mae:.0f}"
        assert f"| {mae} | {row.mase:.3f} |".replace("| 0.", "| .") in text, (row.set, row.model, row.inputs)


@pytest.mark.parametrize("example", timed(EXAMPLES))
def test_an_example_is_short_runs_and_ends_by_asserting_its_claim(example, monkeypatch):
    text = example.read_text()
    if "import uvicorn" in text and importlib.util.find_spec("uvicorn") is None:
        pytest.skip("NOT TESTED: uvicorn is not installed: pip install 'tsforce[serve]'")
    assert len(text.splitlines()) <= 80
    assert "# The claim:" in text
    assert isinstance(ast.parse(text).body[-1], ast.Assert)
    monkeypatch.setattr(sys, "argv", [str(example)])
    runpy.run_path(str(example), run_name="__main__")


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_give_what_they_show(name, no_window_stays_open):
    needed = NEEDED.get(name)
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"NOT TESTED: {needed} is not installed: pip install 'tsforce[{needed}]'")
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=SIGNS)
    assert result.failed == 0


@pytest.mark.parametrize("door", DOORS)
def test_everything_public_that_can_be_called_has_an_example(door):
    module = importlib.import_module(door)
    called = {name: value for name in module.__all__ if callable(value := getattr(module, name))}
    assert called
    # Errors and warnings stand in docs/errors.md, each with what it means and the way out.
    silent = [name for name, value in called.items() if not is_error(value) and ">>> " not in (value.__doc__ or "")]
    assert silent == []


def is_error(value):
    return inspect.isclass(value) and issubclass(value, (Exception, Warning))
