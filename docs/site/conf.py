"""The documentation site: the pages of docs/, README, and a page for each public name, by its docstring.

`make docs` builds it into build/site, without a network, warnings as errors. Sphinx reads the folder of the repository,
so that the links between pages are those that also work where the repository is read.
"""

from __future__ import annotations

import base64
import importlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import tsforce  # noqa: E402

project, author, copyright = "tsforce", "the tsforce developers", "the tsforce developers, Apache-2.0"
version = release = tsforce.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/*.md"]
include_patterns += ["build/api/*", "build/notebooks/*"]
exclude_patterns = ["**/node_modules"]
templates_path = ["templates"]
nitpicky = False

myst_heading_anchors = 3
# A page may begin where it likes; and code that is no Python (shells, printed tables) has no lexer of its own.
suppress_warnings = ["myst.header", "misc.highlighting_failure"]

numpydoc_show_class_members = False
numpydoc_xref_param_type = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False

html_theme = "furo"
html_title = f"tsforce {version}"
html_additional_pages = {"index": "to_readme.html"}
html_show_sphinx = False
html_copy_source = False

#: What stands in the contents, heading by heading.
CONTENTS = {
    "Start": [
        "docs/quickstart", "docs/auto", "docs/choosing", "docs/defaults", "docs/modes", "docs/errors", "docs/glossary",
    ],
    "Forecasting": [
        "docs/inputs", "docs/targets", "docs/backtesting", "docs/intervals", "docs/paths", "docs/heads", "docs/scale",
    ],
    "Dynamic systems": ["docs/sysid", "docs/chaos"],
    "In use": ["docs/persistence", "docs/export", "docs/adding-a-model"],
    "Coming from": ["docs/coming-from", "docs/matlab", "docs/sysidentpy"],
    "Measured": ["docs/benchmarks", "docs/peers", "benchmarks/README"],
    "Notebooks": [f"build/notebooks/{file.stem}" for file in sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))],
    "Reference": ["build/api/index"],
    "Project": ["CHANGELOG", "CONTRIBUTING"],
}  # fmt: skip

#: Public modules, and what each is for.
MODULES = {
    "tsforce": "Forecasters, backtests, transforms, choices",
    "tsforce.models": "Families of models and their heads, for `model=` and `head=`",
    "tsforce.lag_transforms": "Means, extremes and quantiles of lags, fed back with them",
    "tsforce.forcing": "What a model is fed while it is trained",
    "tsforce.paths": "Scores of sample paths",
    "tsforce.distributed": "More data than memory holds",
    "tsforce.sysid": "System identification",
    "tsforce.plotting": "Pictures",
    "tsforce.datasets": "Data sets",
    "tsforce.bench": "Benchmarks",
    "tsforce.errors": "Errors and warnings",
}


def _contents() -> str:
    return "\n".join(
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(f"/{page}" for page in pages) + "\n```\n"
        for caption, pages in CONTENTS.items()
    )


def _add_contents(app: Any, docname: str, source: list[str]) -> None:
    if docname == "README":
        source[0] += "\n" + _contents()


def _write_reference(app: Any) -> None:
    """Write a page for each public name: Sphinx reads what is there when it starts."""
    folder = ROOT / "build" / "api"
    pages, index = {}, ["# Reference\n"]
    for name, what in MODULES.items():
        module = importlib.import_module(name)
        names = [n for n in module.__all__ if n != "__version__" and not _stands_elsewhere(name, n)]
        listed = []
        for public in names:
            page, of = f"{name}.{public}", getattr(module, public)
            kind = "autoclass" if isinstance(of, type) else "autofunction" if callable(of) else "autodata"
            options = "   :members:\n   :inherited-members: BaseException, tuple, dict\n" if kind == "autoclass" else ""
            title = f"{public}\n{'=' * len(public)}\n"
            pages[f"{page}.rst"] = f"{title}\n.. currentmodule:: {name}\n\n.. {kind}:: {page}\n{options}"
            listed.append(f"   {page}")
        head = f"{name}\n{'=' * len(name)}\n\n{what}.\n"
        table = "\n.. autosummary::\n\n" + "\n".join(listed) + "\n"
        tree = "\n.. toctree::\n   :hidden:\n\n" + "\n".join(listed) + "\n"
        pages[f"{name}-module.rst"] = head + table + tree
        index.append(f"- [{name}]({name}-module.rst): {what.lower() if name != 'tsforce' else what}")
    index.append("\n```{toctree}\n:hidden:\n\n" + "\n".join(f"{name}-module" for name in MODULES) + "\n```\n")
    pages["index.md"] = "\n".join(index)
    _write_all(folder, {page: text.encode() for page, text in pages.items()})


def _write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Let a folder hold these files and no others; what is the same stays as it is, and is not read again."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in files:
            old.unlink()
    for name, content in files.items():
        where = folder / name
        if not where.exists() or where.read_bytes() != content:
            where.write_bytes(content)


def _write_notebooks(app: Any) -> None:
    """Write each example notebook as a page: prose, code, and what the code has shown."""
    files: dict[str, bytes] = {}
    for path in (ROOT / "examples" / "notebooks").glob("*.ipynb"):
        parts = []
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            text = "".join(cell["source"])
            parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
            for out in cell.get("outputs", []):
                data = out.get("data", {"text/plain": out.get("text", "")})
                if "image/png" in data:
                    name = f"{path.stem}-{len(files)}.png"
                    files[name] = base64.b64decode(data["image/png"])
                    parts.append(f"![What the code above draws]({name})")
                elif "text/html" in data:
                    parts.append(f"```{{raw}} html\n{''.join(data['text/html'])}\n```")
                else:
                    parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
        files[f"{path.stem}.md"] = "\n\n".join(parts).encode()
    _write_all(ROOT / "build" / "notebooks", files)


def _stands_elsewhere(module: str, name: str) -> bool:
    return module != "tsforce" and name in tsforce.__all__


def _skip(app: Any, what: str, name: str, of: Any, skip: bool, options: Any) -> bool:
    """Leave out what scikit-learn adds to each estimator to pass on metadata, which no forecaster takes."""
    return skip or name.endswith("_request") or name == "get_metadata_routing"


def setup(app: Any) -> None:
    """Connect what is made when Sphinx runs."""
    app.connect("autodoc-skip-member", _skip)
    app.connect("builder-inited", _write_reference, priority=100)
    app.connect("builder-inited", _write_notebooks, priority=100)
    app.connect("source-read", _add_contents)
