"""What to type to make time stamps or numbers of a column that holds something else.

Every statement was tried on the column before a message names it, and none changes which day or which number a cell
means: where two readings are possible, the message names both and the user says which.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.sorted_rows import place
from tsforce.data.text_cells import ABSENT, ISO_STAMP, OFFSET, STYLES, formats_of, number_pattern

__all__ = ["number_repair", "numbers_as_dates", "succeeds", "time_repair"]

_SIGNS = r"[$€£¥%\s]"
_MONTHS = "(?i)jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
# Spellings that no format= of pandas reads: a pattern, the rest of the statement, and what it does.
_SPELLINGS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    (
        r"\d{4}-?Q[1-4]",
        "pd.PeriodIndex({}.str.replace('-', ''), freq='Q').to_timestamp()",
        lambda s: pd.PeriodIndex(s.str.replace("-", ""), freq="Q").to_timestamp(),
    ),
    (
        r"Q[1-4][ /-]?\d{4}",
        "pd.PeriodIndex({}.str[-4:] + {}.str[:2], freq='Q').to_timestamp()",
        lambda s: pd.PeriodIndex(s.str[-4:] + s.str[:2], freq="Q").to_timestamp(),
    ),
    (
        r"\d{4}-W\d{2}",
        "pd.to_datetime({} + '-1', format='%G-W%V-%u')",
        lambda s: pd.to_datetime(s + "-1", format="%G-W%V-%u"),
    ),
    (
        r"\d{4}W\d{2}",
        "pd.to_datetime({} + '1', format='%GW%V%u')",
        lambda s: pd.to_datetime(s + "1", format="%GW%V%u"),
    ),
    (r"\d{4}-M\d{2}", "pd.to_datetime({}, format='%Y-M%m')", lambda s: pd.to_datetime(s, format="%Y-M%m")),
    (r"\d{4}M\d{2}", "pd.to_datetime({}, format='%YM%m')", lambda s: pd.to_datetime(s, format="%YM%m")),
)


def succeeds(convert: Callable[[Any], Any], column: Any) -> bool:
    """Return whether a conversion works, without a warning, before a message names it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            convert(column)
        except Exception:  # What times that are none raise depends on the version of pandas.
            return False
    return True


def time_repair(column: pd.Series) -> str:
    """Return what makes time stamps or whole numbers of a column that holds neither; without a full stop."""
    kind, known = column.dtype, column.dropna()
    here = f"df[{column.name!r}]"
    if kind.kind == "m" and len(known):
        return f"Say when the count began, for example: {here} = pd.Timestamp('2024-01-01') + {here}"
    if kind.kind == "b" or not len(known):
        return "Name the column of the time stamps with time_col="
    text = known.astype(str).str.strip()
    if kind.kind == "f" or text.str.fullmatch(r"\d+").all() or pd.api.types.infer_dtype(known) == "integer":
        if kind.kind == "f" and (known % 1 != 0).any():
            return "Number the steps of each series with whole numbers"
        if text.str.fullmatch(r"\d{4}").all() and kind.kind != "f":
            return f"Convert it: {here} = pd.to_datetime({here}.astype(str), format='%Y')"
        drop = "" if len(known) == len(column) else f"df = df.dropna(subset=[{column.name!r}]); "
        return f"Convert it: {drop}{here} = {here}.astype('int64')"
    if text.str.fullmatch(ISO_STAMP).all():
        zoned = text.str.contains(OFFSET, regex=True)
        if zoned.any() and not zoned.all():
            return "Write all stamps with an offset from UTC, or all without (dt.tz_localize gives them a zone)"
        if succeeds(lambda s: _one_dtype(pd.to_datetime(s)), column):
            return f"Convert it: {here} = pd.to_datetime({here})"
        if succeeds(lambda s: _one_dtype(pd.to_datetime(s, format="ISO8601")), column):
            return f"Convert it: {here} = pd.to_datetime({here}, format='ISO8601')"
        if succeeds(lambda s: pd.to_datetime(s, utc=True, format="ISO8601"), column):
            return (
                f"The stamps have several offsets from UTC, as in summer and winter. Make stamps of UTC of them, and "
                f"local ones of these with .dt.tz_convert('Europe/Berlin'), or whatever the zone is: {here} = "
                f"pd.to_datetime({here}, utc=True, format='ISO8601')"
            )
    for pattern, statement, convert in _SPELLINGS:
        if text.str.fullmatch(pattern).all() and succeeds(convert, column):
            return f"Convert it: {here} = {statement.format(here, here)}"
    return f"Convert it{_by_format(column, text)}"


def _one_dtype(stamps: Any) -> Any:
    """Return what pandas has read; a column of objects, which mixed zones give, is a TypeError."""
    if stamps.dtype.kind != "M":
        raise TypeError
    return stamps


def _by_format(column: pd.Series, text: pd.Series) -> str:
    here = f"df[{column.name!r}]"
    fits: list[str] = []
    meant: list[Any] = []
    for form in formats_of(text):
        read = pd.to_datetime(text, format=form)
        # May is called so in full and cut short.
        if not any(read.equals(other) for other in meant):
            fits, meant = [*fits, form], [*meant, read]
    if len(fits) > 1:
        return (
            f" with pd.to_datetime; as format= it can be read in {' or in '.join(map(repr, fits))}, and these mean "
            f"different times: say which"
        )
    if fits and succeeds(partial(pd.to_datetime, format=fits[0]), column):
        return f": {here} = pd.to_datetime({here}, format={fits[0]!r})"
    named = text.str.contains(_MONTHS, regex=True).all()
    if named and succeeds(lambda s: _one_dtype(pd.to_datetime(s, format="mixed")), column):
        return f": {here} = pd.to_datetime({here}, format='mixed')"
    return " with pd.to_datetime(..., format=...), or number the steps of each series with whole numbers"


def numbers_as_dates(column: pd.Series) -> str | None:
    """Return the fault of whole numbers that are written dates (20240131, 202401 ...), which do not go up by one.

    Years do, and so does whatever is no date throughout.
    """
    numbers = column.drop_duplicates().to_numpy(dtype=np.int64)
    width = len(str(numbers.min()))
    years, rest = np.divmod(numbers, 10 ** max(width - 4, 0))
    if len(str(numbers.max())) != width or not (1800 <= years.min() <= years.max() <= 2199):
        return None
    # As text: pandas is about to take numbers for epochs, whatever format= says.
    text, here = column.astype(str), f"df[{column.name!r}].astype(str)"
    what, repair = "", f"pd.to_datetime({here}, format="
    if width == 5 and 1 <= rest.min() <= rest.max() <= 4 and len(numbers) > 4:
        what, repair = "quarters", f"pd.PeriodIndex({here}.str[:4] + 'Q' + {here}.str[4:], freq='Q').to_timestamp()"
    elif width == 6 and 1 <= rest.min() <= rest.max() <= 12:
        what, repair = "months", f"{repair}'%Y%m')"
    elif width == 6 and succeeds(lambda s: pd.to_datetime(s + "1", format="%G%V%u"), text):
        what, repair = "weeks", f"pd.to_datetime({here} + '1', format='%G%V%u')"
    for digits, name, form in ((8, "days", "%Y%m%d"), (10, "hours", "%Y%m%d%H"), (12, "minutes", "%Y%m%d%H%M")):
        if width == digits and succeeds(partial(pd.to_datetime, format=form), text):
            what, repair = name, f"{repair}{form!r})"
    if not what:
        return None
    return (
        f"column {column.name!r} holds whole numbers that read as {what}, first {numbers[0]}: the one after the last "
        f"{what[:-1]} of a year, a month or a day is not the next number. If they count steps indeed, say freq=1. Make "
        f"time stamps of them: df[{column.name!r}] = {repair}."
    )


def number_repair(column: pd.Series) -> str:
    """Return what makes numbers of a column of text or objects, as whole sentences.

    What cannot be read is to become missing only where most of the column can be read.
    """
    here, values = f"df[{column.name!r}]", column.astype(object).reset_index(drop=True)
    present = int(values.notna().sum())
    text = values[values.map(lambda value: isinstance(value, str))].astype(object).str.strip()
    wanted = text[~text.str.lower().isin(ABSENT)]
    none = np.flatnonzero((pd.to_numeric(values, errors="coerce").isna() & values.notna()).to_numpy())
    # Readings: the rest of the statement, and how many values it gives. Of equal ones the plainest comes first.
    readings = {"": present - len(none)}
    for signs in ("", f".str.replace({_SIGNS!r}, '', regex=True)"):
        core = wanted.str.replace(_SIGNS, "", regex=True) if signs else wanted
        for decimal, thousands in STYLES:
            fits = core.str.fullmatch(number_pattern(decimal, thousands)).astype(bool)
            tail = signs + (f".str.replace({thousands!r}, '', regex=False)" if thousands else "")
            tail += f".str.replace({decimal!r}, '.', regex=False)" if decimal != "." else ""
            # Taken out where it is the decimal sign of a cell, a separator would make another number of it.
            if thousands is None or fits.all():
                readings.setdefault(tail, int(fits.sum()))
    tail = max(readings, key=readings.__getitem__)
    row = int(none[0])
    what = f"but {len(none)} of {len(column)} values are none, first {column.iloc[row]!r} in {place(row, column.index)}"
    if 2 * readings[tail] <= present:
        return f"{what}. Name the column that holds the numbers."
    ends = (".str.replace(',', '.', regex=False)", ".str.replace(',', '', regex=False)")
    if tail.endswith(ends[0]) and readings.get(tail.removesuffix(ends[0]) + ends[1]) == readings[tail]:
        return (
            f"{what}. Commas may be decimal signs or stand between thousands: say which with decimal=',' or "
            f"thousands=',' where the file is read."
        )
    start = here if column.dtype == object or isinstance(column.dtype, pd.StringDtype) else f"{here}.astype(object)"
    if tail and readings[tail] == len(wanted) == present:
        return f"{what} as they stand. Convert them: {here} = {start}{tail}.astype('float64')."
    start = f"pd.to_numeric({f'{start}{tail}' if tail else f'{here}.astype(object)'}, errors='coerce')"
    return f"{what}. Correct them, or read them as missing: {here} = {start}.astype('float64')."
