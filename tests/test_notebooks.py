"""The example notebooks: their code runs, their claims hold, and what readers of the repository see of them is whole.

A notebook is JSON, and a cell is Python: running it takes no Jupyter, which would bring some forty packages into the
development install. What they show was written by ``jupyter nbconvert --to notebook --execute --inplace``.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
CLAIM = "# What this notebook claims."


def cells_of(notebook, kind):
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == kind]


def code_of(cell):
    return "".join(cell["source"])


def show(value):
    """Make what a notebook shows of a value; return it."""
    as_html = getattr(value, "_repr_html_", None)
    return None if value is None else as_html() if as_html else repr(value)


def run(code, scope, name):
    """Run a cell, and show its last expression as a notebook does."""
    body = ast.parse(code).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), name, "exec"), scope)
    return None if last is None else show(eval(compile(ast.Expression(last.value), name, "eval"), scope))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.stem)
def test_a_notebook_runs_from_top_to_bottom_and_its_claims_hold(notebook, no_window_stays_open, capsys):
    scope: dict = {"__name__": "__main__"}
    cells = cells_of(notebook, "code")
    shown = [run(code_of(cell), scope, f"{notebook.name}, cell {number}") for number, cell in enumerate(cells)]
    assert capsys.readouterr().err == ""
    for cell, value in zip(cells, shown, strict=True):
        kept = any(out["output_type"] == "execute_result" for out in cell["outputs"])
        assert kept == (value is not None and not code_of(cell).rstrip().endswith(";")), code_of(cell)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.stem)
def test_a_notebook_is_small_ran_in_order_and_tells_nothing_of_the_machine(notebook):
    text = notebook.read_text()
    book = json.loads(text)
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len(text) < 300_000
    for folder in ("/tmp/", "/work/", "/home/", "/root/"):
        assert folder not in text
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    code = cells_of(notebook, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [out for cell in code for out in cell["outputs"]]
    assert "error" not in {out["output_type"] for out in outputs}
    assert "stderr" not in {out.get("name") for out in outputs}
    assert sum("image/png" in out.get("data", {}) for out in outputs) >= 2


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.stem)
def test_a_notebook_begins_with_a_title_says_what_it_does_and_ends_with_what_it_claims(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    assert code_of(cells[0]).startswith("# ")
    prose = [cell for cell in cells if cell["cell_type"] == "markdown"]
    assert len(prose) >= 4
    last = code_of(cells[-1])
    assert last.startswith(CLAIM)
    assert isinstance(ast.parse(last).body[-1], ast.Assert)
    assert max(len(line) for cell in cells for line in code_of(cell).splitlines()) <= 120


def test_there_are_notebooks_and_the_readme_leads_to_each():
    assert len(NOTEBOOKS) == 4
    readme = (ROOT / "README.md").read_text()
    for notebook in NOTEBOOKS:
        assert f"(examples/notebooks/{notebook.name})" in readme
