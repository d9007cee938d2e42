"""What notebooks show of estimators and results: small pieces of HTML, every text in them escaped.

Styles stand on the elements themselves, so that none leaks into the page; colours are the page's own, dark or light.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["card", "facts", "folded", "paragraphs", "side_by_side", "table", "written"]

_LINE = "1px solid rgba(128,128,128,.35)"
# A name that is written from right to left turns no other around.
_CELL = f"padding:.15em .8em .15em 0;border-bottom:{_LINE};vertical-align:top;unicode-bidi:isolate;background:none;"
_NUMBER = "text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;"
_WORDS = "text-align:left;overflow-wrap:break-word;"
_TABLE = "border-collapse:collapse;border:0;margin:.3em 0;color:inherit;font-size:.9em;"
_CARD = "color:inherit;max-width:60em;overflow-x:auto;line-height:1.4;"

_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxarray = 6
_SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 80, 90, 40
# Of a text in a table.
_LONGEST = 120


def written(value: Any) -> str:
    """Return a setting, or what was learnt, as one short line: frames and arrays by their shape.

    Examples
    --------
    >>> written([1, 2, 3]), written("x" * 100)[-12:], written(None)
    ('[1, 2, 3]', "xxxxxxxxxxx'", 'None')
    """
    if hasattr(value, "columns") and hasattr(value, "shape"):
        return f"table of {value.shape[0]} rows: {', '.join(map(str, list(value.columns)[:6]))}"
    if hasattr(value, "shape") and math.prod(value.shape) > 6:
        return f"array of {' x '.join(map(str, value.shape))}"
    return _SHORT.repr(value).partition("\n")[0]


def card(title: str, *parts: str) -> str:
    """Return pieces of HTML under a title.

    Parameters
    ----------
    title : str
    parts : str
        HTML, from the other functions here.

    Examples
    --------
    >>> "<b>" in card("<b>", paragraphs(["<b>"]))
    False
    """
    head = f'<div style="font-weight:600;overflow-wrap:anywhere;unicode-bidi:isolate">{escape(title)}</div>'
    return f'<div style="{_CARD}">{head}{"".join(parts)}</div>'


def paragraphs(texts: Iterable[str]) -> str:
    """Return texts, each a paragraph."""
    return "".join(f'<div style="margin:.3em 0;overflow-wrap:anywhere">{escape(text)}</div>' for text in texts)


def facts(title: str, pairs: Mapping[str, str]) -> str:
    """Return names and what they stand for, one below the other."""
    rows = "".join(
        f'<tr><td style="{_CELL}{_WORDS}opacity:.75;white-space:nowrap">{escape(name)}</td>'
        f'<td style="{_CELL}{_WORDS}overflow-wrap:anywhere;min-width:9em">{escape(value)}</td></tr>'
        for name, value in pairs.items()
    )
    head = f'<caption style="caption-side:top;text-align:left;color:inherit;opacity:.75">{escape(title)}</caption>'
    return f'<table style="{_TABLE}">{head}<tbody>{rows}</tbody></table>'


def table(records: Sequence[Mapping[Any, Any]], headings: Mapping[str, str]) -> str:
    """Return records as rows, under the headings of the columns that are shown; numbers to four digits.

    Examples
    --------
    >>> ">1.235</td>" in table([{"mase": 1.23456}], {"mase": "MASE"})
    True
    """
    numbers = {name: all(_is_number(record[name]) for record in records) for name in headings}
    head = "".join(
        f'<th scope="col" style="{_CELL}{_NUMBER if numbers[name] else _WORDS}">{escape(text)}</th>'
        for name, text in headings.items()
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL}{_NUMBER if numbers[name] else _WORDS}">{escape(_cell(record[name]))}</td>'
            for name in headings
        )
        + "</tr>"
        for record in records
    )
    return f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def side_by_side(*parts: str) -> str:
    """Return pieces beside each other, or below where there is no room."""
    inner = "".join(f'<div style="flex:1 1 18em;min-width:0">{part}</div>' for part in parts if part)
    return f'<div style="display:flex;flex-wrap:wrap;gap:0 2.5em;align-items:flex-start">{inner}</div>'


def folded(title: str, part: str) -> str:
    """Return a piece that opens when its title is clicked."""
    return f'<details><summary style="cursor:pointer;opacity:.75">{escape(title)}</summary>{part}</details>'


def _is_number(value: Any) -> bool:
    return value is None or (hasattr(value, "__float__") and not isinstance(value, (str, bool)))


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
