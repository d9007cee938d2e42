"""Results as text that a terminal of 80 columns shows whole; pandas leaves out columns that do not fit."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pandas as pd

__all__ = ["narrow_table", "wrapped"]

_WIDTH = 80
# Of a name; what else stands in a row needs the rest.
_LONGEST = 28


def narrow_table(frame: pd.DataFrame, headings: Mapping[str, str]) -> str:
    """Return some columns of a frame under short headings, numbers to four digits.

    Examples
    --------
    >>> print(narrow_table(pd.DataFrame({"model": ["naive"], "mase": [1.23456]}), {"model": "model", "mase": "MASE"}))
    model  MASE
    naive 1.235
    """
    table = frame[list(headings)].rename(columns=dict(headings))
    first = table.columns[0]
    table[first] = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}~" for name in map(str, table[first])]
    return str(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


def wrapped(text: str) -> str:
    """Return a paragraph in lines that fit."""
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
