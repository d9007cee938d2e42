"""One self-contained page: its parts in HTML, its data as JSON, its scripts allowed by their hashes and no others."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from tsforce.errors import ArgumentError, MissingExtraError
from tsforce.notebook import paragraphs, table

__all__ = [
    "MOST_SERIES",
    "ROOM",
    "chart",
    "check_path",
    "check_plotly",
    "page",
    "rounded",
    "section",
    "series_browser",
    "wide_table",
]

# Series of one page, and bytes that their numbers may take, about.
MOST_SERIES, ROOM = 1000, 2_550_000


def check_path(path: Any) -> Path:
    """Return where a page is to be written.

    Raises
    ------
    ArgumentError
        If the name does not end in .html, or there is no such folder.
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"path={str(path)!r}: a report is a page for the browser; expected a name ending in .html.")
    if not target.parent.is_dir():
        raise ArgumentError(f"path={str(path)!r}: there is no folder {str(target.parent)!r}; make it first.")
    return target


def section(name: str, heading: str, *parts: str) -> str:
    """Return a part of the page under a heading; `name` is what the contents point to."""
    return f'<section id="{name}"><h2>{escape(heading)}</h2>{"".join(parts)}</section>'


def wide_table(records: Sequence[Mapping[Any, Any]], headings: Mapping[str, str]) -> str:
    """Return a table that scrolls by itself where the page is narrow."""
    return f'<div class="wide" tabindex="0" role="group" aria-label="table">{table(records, headings)}</div>'


def chart(name: str, words: str, numbers: str = "") -> str:
    """Return room for a picture that the script draws, what it shows in words, and its numbers as a table to open."""
    below = f"<details><summary>numbers</summary>{numbers}</details>" if numbers else ""
    return (
        f'<figure><div id="chart-{name}" class="chart" role="img" aria-label="{escape(words)}"></div>'
        f"<figcaption>{escape(words)}</figcaption></figure>{below}"
    )


def series_browser(words: str, *, fan: bool, why: bool, errors: str | None) -> str:
    """Return the list of series with its search, and room for the picture and tables of the one that is chosen.

    Parameters
    ----------
    words : str
    fan, why : bool
        Whether there are intervals; reasons.
    errors : str, optional
        What series can be put in order by.
    """
    none = "" if errors else " hidden"
    bounds = '<label>intervals of<select id="fan"></select></label>' if fan else ""
    reasons = (
        '<h3>Why this forecast</h3><p id="why-words"></p><div class="wide"><table id="series-why"></table></div>'
        if why
        else ""
    )
    return (
        f'<p>{escape(words)}</p><div class="browse"><div class="controls">'
        '<label>search by name<input type="search" id="search" autocomplete="off"></label>'
        f'<div class="row"{none}><label>in order of {escape(errors or "")}<select id="order"><option value="worst">'
        'worst first</option><option value="best">best first</option><option value="id">name</option></select></label>'
        '<label>of<select id="sorter"></select></label></div>'
        '<label>series<select id="list" size="14"></select></label><div id="count" class="faint" role="status"></div>'
        '</div><div><h3 id="series-name"></h3><div class="controls row"><label>cutoff<select id="cutoffs"></select>'
        f'</label>{bounds}<fieldset id="shown"><legend>models</legend></fieldset></div>'
        '<figure><div id="chart-series" class="chart" role="img" aria-label="the chosen series: observed values, and '
        'forecasts after each cutoff; as numbers below"></div></figure>'
        '<div class="wide"><table id="series-errors"></table></div>'
        '<details><summary>numbers</summary><div class="wide" tabindex="0" role="group" aria-label="numbers of the '
        f'chosen series"><table id="series-numbers"></table></div></details>{reasons}</div></div>'
    )


def page(title: str, lead: Sequence[str], sections: Mapping[str, str], data: Mapping[str, Any]) -> str:
    """Return the whole page.

    Parameters
    ----------
    title : str
    lead : sequence of str
        Paragraphs below the title.
    sections : mapping of (name, heading separated by a bar) -> str
        As from ``section``, by what the contents call them.
    data : mapping
        What the script draws.

    Raises
    ------
    MissingExtraError
        If plotly is not installed.
    """
    assets = files("tsforce.report") / "assets"
    # The list of series is there before the library for pictures has been read.
    scripts = [(assets / "page.js").read_text(encoding="utf-8"), _plotly()]
    # Styles of elements are set by plotly and by tables; with no address to reach they can tell nobody anything.
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src 'unsafe-inline'; img-src data:; "
        f"base-uri 'none'; form-action 'none'"
    )
    contents = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading in _headings(sections))
    # Nothing within a script may look like its end.
    numbers = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">',
            f"<title>{escape(title)}</title><style>{(assets / 'page.css').read_text(encoding='utf-8')}</style></head>",
            f"<body><header><h1>{escape(title)}</h1>{paragraphs(lead)}",
            f'<nav aria-label="contents"><ul>{contents}</ul></nav></header><main>',
            *sections.values(),
            "<noscript><p>Pictures and the list of series need JavaScript; the tables do not.</p></noscript>",
            f'</main><footer class="faint">{_made_by()}</footer>',
            f'<script type="application/json" id="page-data">{numbers}</script>\n',
            *(f"<script>{script}</script>\n" for script in scripts),
            "</body></html>\n",
        )
    )


def _headings(sections: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name.partition("|")[0], name.partition("|")[2]) for name in sections]


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def check_plotly() -> None:
    """Raise MissingExtraError where the library that draws pages is not installed."""
    if importlib.util.find_spec("plotly") is None:
        raise MissingExtraError("a report needs plotly: pip install 'tsforce[report]'.")


def _plotly() -> str:
    check_plotly()
    from plotly.offline import get_plotlyjs

    found: str = get_plotlyjs()
    return found


def rounded(values: Any, digits: int) -> list[float | None]:
    """Return numbers for JSON, which knows no NaN, to so many significant digits."""
    return [float(f"{value:.{digits}g}") if value - value == 0 else None for value in values.tolist()]


def _made_by() -> str:
    from tsforce import __version__

    return escape(f"Made by tsforce {__version__}; this file needs no network. Pictures: plotly.js, MIT licence.")
