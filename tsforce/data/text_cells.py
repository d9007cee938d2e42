"""Cells that were read as text: the numbers and time stamps they stand for, or what is wrong with them and what to say.

How a column could be read instead stands in a message only after it was tried on all of its cells and worked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.sorted_rows import counted
from tsforce.errors import ArgumentError, abbreviate

__all__ = [
    "ABSENT",
    "ISO_STAMP",
    "OFFSET",
    "STYLES",
    "Spot",
    "TextForm",
    "categories_or_numbers",
    "formats_of",
    "have_several_offsets",
    "ids",
    "number_pattern",
    "numbers",
    "stamps",
]

#: How to speak of a row, given its number from 0.
Spot = Callable[[int], str]

ABSENT = ("", "na", "n/a", "#n/a", "nan", "nat", "null", "none")
# NA is a country; what stands for no series is what programs write that have none.
_NO_ID = ("", "nan", "null")
ISO_STAMP = r"[0-9]{4}(?:[-/][0-9]{1,2}){0,2}(?:[T ].*)?|[0-9]{8}(?:T.*)?"
OFFSET = r"[T ][0-9:.,]+ ?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_LIKE = "2024-12-31 or 2024-12-31 23:00:00"
# Decimal sign and thousands separator, the plainer first.
STYLES = (
    (".", None), (",", None), (".", ","), (",", "."), (".", " "), (",", " "), (".", "\u00a0"), (",", "\u00a0"),
    (",", "\u202f"), (".", "'"), (".", "\u2019"),
)  # fmt: skip
_DATES = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%Y.%m.%d",
    "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%b %Y", "%b-%Y", "%b-%y", "%m/%Y",
    "%m.%Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M")
_FORMATS = (*(date + time for date in _DATES for time in _TIMES), "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S")


@dataclass(frozen=True)
class TextForm:
    """How a table is written as text.

    Parameters
    ----------
    sep : str
        Between the fields of a line; one character.
    decimal : str
        Decimal sign.
    thousands : str, optional
        Separator of groups of three digits.
    time_format : str, optional
        Of time stamps, as in ``datetime.strptime``. By default dates and times of ISO 8601, or whole numbers.
    encoding : str

    Raises
    ------
    ArgumentError
        If signs contradict each other.
    """

    sep: str = ","
    decimal: str = "."
    thousands: str | None = None
    time_format: str | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if len(self.sep) != 1 or self.sep in '"\r\n':
            raise ArgumentError(f"sep={self.sep!r}: expected one character, such as ',', ';' or '\\t'.")
        for name, sign in (("decimal", self.decimal), ("thousands", self.thousands)):
            if sign is not None and (len(sign) != 1 or sign.isalnum() or sign in '+-"'):
                raise ArgumentError(f"{name}={sign!r}: expected one character that is neither digit nor letter.")
        if self.decimal == self.thousands:
            raise ArgumentError(f"decimal={self.decimal!r} and thousands={self.thousands!r} are the same sign.")


def ids(cells: Any) -> Any:
    """Return series ids: the text without surrounding blanks, missing where there is none."""
    text = cells.str.strip()
    return text.mask(text.str.lower().isin(_NO_ID))


def categories_or_numbers(cells: Any, form: TextForm) -> Any:
    """Return a column as float64 if all of it is numbers, else as text; missing where there is nothing."""
    text = cells.str.strip()
    absent = text.str.lower().isin(ABSENT)
    if (absent | text.str.fullmatch(number_pattern(form.decimal, form.thousands))).all():
        return _to_float(text.mask(absent), form)
    return text.mask(text == "")


def numbers(cells: Any, form: TextForm, spot: Spot, faults: list[str], *, flags: bool = False) -> Any:
    """Return a column of text as float64, NaN where a cell is empty; what is wrong is added to `faults`.

    Parameters
    ----------
    cells : Series of str
    form : TextForm
    spot : callable
    faults : list of str
    flags : bool
        Whether a column of "true" and "false" reads 1 and 0.

    Examples
    --------
    >>> numbers(pd.Series(["1.234,5", ""]), TextForm(decimal=",", thousands="."), str, []).tolist()
    [1234.5, nan]
    """
    text = cells.str.strip()
    lower = text.str.lower()
    absent = lower.isin(ABSENT)
    if flags and (absent | lower.isin(("true", "false"))).all() and not absent.all():
        return (lower == "true").astype("float64").mask(absent)
    good = absent | text.str.fullmatch(number_pattern(form.decimal, form.thousands))
    if good.all():
        return _to_float(text.mask(absent), form)
    bad = np.flatnonzero(~good)
    faults.append(
        f"column {cells.name!r} holds {counted(len(bad), 'cell')} that {_is(bad)} no number, first "
        f"{_shown(text, bad)} in {spot(int(bad[0]))}. {_number_hint(text[~absent], form)}"
    )
    return None


def number_pattern(decimal: str, thousands: str | None) -> str:
    """Return the pattern of a number: float() takes more, such as 1_000 and digits of other scripts."""
    mark, groups = f"[{decimal}]", f"|[0-9]{{1,3}}(?:[{thousands}][0-9]{{3}})+" if thousands else ""
    digits = f"(?:[0-9]+{groups})(?:{mark}[0-9]*)?|{mark}[0-9]+"
    return f"(?:[+-]?(?:(?:{digits})(?:[eE][+-]?[0-9]+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?))"


def _to_float(text: Any, form: TextForm) -> Any:
    if form.thousands:
        text = text.str.replace(form.thousands, "", regex=False)
    if form.decimal != ".":
        text = text.str.replace(form.decimal, ".", regex=False)
    return text.astype("float64")


def _number_hint(text: Any, form: TextForm) -> str:
    found = []
    for decimal, thousands in STYLES:
        new = {"decimal": decimal} if decimal != form.decimal else {}
        if thousands not in (None, form.thousands):
            new["thousands"] = thousands
        # What the column does not hold is no reason to read it otherwise.
        used = new and all(text.str.contains(sign, regex=False).any() for sign in new.values())
        if used and text.str.fullmatch(number_pattern(decimal, thousands)).all():
            found.append(" and ".join(f"{name}={sign!r}" for name, sign in new.items()))
    if found:
        return f"The column can be read with {' or with '.join(found)}{'; say which' * (len(found) > 1)}."
    return "Correct the cell, or leave it empty where the value is missing."


def stamps(cells: Any, form: TextForm, spot: Spot, faults: list[str]) -> Any:
    """Return a column of text as int64 or datetime64; what is wrong is added to `faults`.

    Days of eight digits (20241231) are dates; other whole numbers count steps. Stamps of different offsets from UTC
    are stamps of UTC.

    Examples
    --------
    >>> stamps(pd.Series(["2024-01-31", "2024-02-01 12:30"]), TextForm(), str, []).dt.month.tolist()
    [1, 2]
    """
    text = cells.str.strip()
    absent = np.flatnonzero(text.str.lower().isin(ABSENT))
    if len(absent):
        faults.append(
            f"column {cells.name!r} is empty in {counted(len(absent), 'row')}, first in {spot(int(absent[0]))}. Write "
            f"the time of the row there, or delete the row."
        )
        return None
    if form.time_format is not None:
        return _in_format(text, form.time_format, spot, faults)
    whole = text.str.fullmatch("[+-]?[0-9]+")
    if not whole.all() and 2 * whole.sum() > len(text) and not text[whole].str.fullmatch(ISO_STAMP).all():
        bad = np.flatnonzero(~whole)
        faults.append(
            f"column {cells.name!r} holds {counted(len(bad), 'cell')} that {_is(bad)} no whole number, unlike the "
            f"others, first {_shown(text, bad)} in {spot(int(bad[0]))}. Number all steps, or write all time stamps "
            f"like {_LIKE}."
        )
        return None
    if whole.all() and not _are_days(text):
        large = np.flatnonzero(text.str.len() > 18)
        if not len(large):
            return text.astype("int64")
        faults.append(
            f"column {cells.name!r} holds {counted(len(large), 'whole number')} of more than 18 digits, first "
            f"{_shown(text, large)} in {spot(int(large[0]))}; expected numbers of steps, or time stamps like {_LIKE}."
        )
        return None
    return _iso(text, spot, faults)


def have_several_offsets(cells: Any) -> bool:
    """Return whether stamps as text have several offsets from UTC."""
    text = cells.str.strip()
    zoned = text[text.str.contains(OFFSET, regex=True)]
    return bool(zoned.str.extract(r"([Zz]|[+-][0-9:]+)$")[0].nunique() > 1)


def _are_days(text: Any) -> bool:
    """Return whether whole numbers are days such as 20241231."""
    if not (text.str.len() == 8).all():
        return False
    days = pd.to_datetime(text, format="%Y%m%d", errors="coerce")
    return bool(days.notna().all() and days.dt.year.between(1800, 2199).all())


def _iso(text: Any, spot: Spot, faults: list[str]) -> Any:
    zoned = text.str.contains(OFFSET, regex=True)
    some = bool(zoned.any())
    parsed = pd.to_datetime(text.where(text.str.fullmatch(ISO_STAMP)), format="ISO8601", errors="coerce", utc=some)
    bad = np.flatnonzero(parsed.isna())
    name = text.name
    if len(bad):
        faults.append(
            f"column {name!r} holds {counted(len(bad), 'cell')} that {_is(bad)} no time stamp like {_LIKE}, first "
            f"{_shown(text, bad)} in {spot(int(bad[0]))}. {_stamp_hint(text, len(bad))}"
        )
        return None
    if some and not zoned.all():
        odd = np.flatnonzero(zoned if 2 * zoned.sum() < len(text) else ~zoned)
        which = "an" if zoned.iloc[odd[0]] else "no"
        faults.append(
            f"column {name!r} holds {counted(len(odd), 'time stamp')} with {which} offset from UTC, unlike the others, "
            f"first {_shown(text, odd)} in {spot(int(odd[0]))}. Write all with an offset, or all without."
        )
        return None
    if some and text.str.extract(r"([Zz]|[+-][0-9:]+)$")[0].nunique() == 1:
        return pd.to_datetime(text, format="ISO8601")
    return parsed


def _in_format(text: Any, time_format: str, spot: Spot, faults: list[str]) -> Any:
    try:
        parsed = pd.to_datetime(text, format=time_format, errors="coerce")
    except (ValueError, re.error) as error:
        if "Mixed timezones" not in str(error):
            raise ArgumentError(f"time_format={time_format!r}: {error}; write for example '%d/%m/%Y %H:%M'.") from None
        parsed = pd.to_datetime(text, format=time_format, errors="coerce", utc=True)
    bad = np.flatnonzero(parsed.isna())
    if not len(bad):
        return parsed
    fits = [f for f in formats_of(text) if f != time_format]
    instead = f" It can be read with {_say(fits)}." if fits else " Correct the cell, or say the format it is in."
    faults.append(
        f"column {text.name!r} holds {counted(len(bad), 'cell')} that {_is(bad)} not written as "
        f"time_format={time_format!r} says, first {_shown(text, bad)} in {spot(int(bad[0]))}.{instead}"
    )
    return None


def formats_of(text: Any) -> list[str]:
    """Return the formats that all cells are in."""
    found = []
    for form in _FORMATS:
        # Nearly all formats fail on the first cell.
        if pd.to_datetime(text.iloc[:1], format=form, errors="coerce").notna().all() and (
            pd.to_datetime(text, format=form, errors="coerce").notna().all()
        ):
            found.append(form)
    return found


def _say(formats: Sequence[str]) -> str:
    return " or with ".join(f"time_format={form!r}" for form in formats[:3])


def _stamp_hint(text: Any, n_bad: int) -> str:
    fits = formats_of(text)
    if len(fits) > 1:
        return f"The column can be read with {_say(fits)}, and these mean different times; say which."
    if fits:
        return f"The column can be read with {_say(fits)}."
    if n_bad < len(text):
        return f"The other {counted(len(text) - n_bad, 'cell')} can be read; write all of them like that."
    return "Write them like that, or say how they are written, for example time_format='%d/%m/%Y %H:%M'."


def _is(bad: Any) -> str:
    return "is" if len(bad) == 1 else "are"


def _shown(text: Any, bad: Any) -> str:
    """Return the first of some cells; long ones are cut, they may be anything."""
    cell = str(text.iloc[bad[0]])
    return abbreviate([cell if len(cell) <= 40 else cell[:40] + "..."])
