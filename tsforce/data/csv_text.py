"""The text of a csv file: its signs, its lines and its header, and what is wrong with them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from tsforce.data.panel import Columns
from tsforce.data.sorted_rows import counted
from tsforce.data.text_cells import TextForm
from tsforce.errors import ArgumentError, FrameError, abbreviate

__all__ = ["check_header", "data_in", "decode", "missing_columns", "no_columns", "scan"]

_ROLES = {"id": "id_col", "time": "time_col", "targets": "target_col"}
# What a file that is no text begins with, and what to say of it.
_MAGIC = {
    b"PAR1": "is a parquet file. Give it a name that ends in .parquet.",
    b"PK\x03\x04": "is a zip archive or an Excel workbook. Unpack it, or save the sheet as csv.",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook. Save the sheet as csv.",
    b"\x1f\x8b": "is compressed by gzip. Unpack it.",
    b"\xff\xfe": "is text in UTF-16. Say encoding='utf-16'.",
    b"\xfe\xff": "is text in UTF-16. Say encoding='utf-16'.",
}


def decode(raw: bytes, form: TextForm) -> str:
    """Return the text of a csv file.

    Raises
    ------
    ArgumentError
        If the encoding is not known.
    FrameError
        If it is no text, or not in this encoding, with the first line and column where that shows.
    """
    try:
        encoding = codecs.lookup(form.encoding).name
        if encoding == "utf-8":
            for magic, what in _MAGIC.items():
                if raw.startswith(magic):
                    raise FrameError(f"the file {what}")
            # With or without a byte order mark.
            encoding = "utf-8-sig"
        text = raw.decode(encoding)
    except LookupError:
        raise ArgumentError(
            f"encoding={form.encoding!r} is not known; write for example 'utf-8', 'cp1252' or 'utf-16'."
        ) from None
    except UnicodeDecodeError as error:
        # Not of raw: a byte order mark is no longer counted.
        before, byte = error.object[: error.start].decode(encoding, "replace"), error.object[error.start]
        raise FrameError(
            f"{_spot(before, form)} is no {form.encoding}, first at byte 0x{byte:02x}. {_encoding_hint(raw)}"
        ) from None
    except UnicodeError as error:
        raise FrameError(f"the file is no {form.encoding} ({error}). {_encoding_hint(raw)}") from None
    control = re.search(r"[\x00-\x08\x0e-\x1f]", text)
    if control:
        for halves, name in ((raw[1::2], "utf-16-le"), (raw[::2], "utf-16-be")):
            if not halves[:20].strip(b"\0"):
                raise FrameError(f"the file is text in UTF-16. Say encoding={name!r}.")
        raise FrameError(
            f"{_spot(text[: control.start()], form)} holds the control character 0x{ord(control[0]):02x}, which no "
            f"text has: this is no csv file, or a damaged one. Write the file anew."
        )
    if not text.strip():
        raise FrameError("the file is empty; expected a header and a row for each series and time.")
    return text


def _encoding_hint(raw: bytes) -> str:
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        text = "\0"
    if any(ord(sign) < 9 for sign in text):
        return "This is no csv file, or a damaged one; write the file anew."
    return "Write the file as UTF-8, or, if programs of Windows wrote it, say encoding='cp1252'."


def _spot(before: str, form: TextForm) -> str:
    """Return the line and the column in which a text ends."""
    lines = re.split(r"\r\n|\n|\r", before)
    at, field = len(lines), lines[-1].count(form.sep)
    header = [name.strip(' "') for name in lines[0].split(form.sep)]
    name = f"column {header[field]!r}" if at > 1 and field < len(header) else f"field {field + 1}"
    return f"line {at}, {name},"


def scan(text: str, columns: Columns, form: TextForm) -> tuple[list[str], Sequence[int]]:
    """Return the names in the header and the line on which each row begins; all rows are as long as the header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=form.sep, skipinitialspace=True, strict=True)
    lines, odd, end, top = array("q"), [], 0, 1
    header: list[str] = []
    try:
        for record in reader:
            if len(record) == len(header) > 0:
                lines.append(end + 1)
            elif len(record) > 1 or (record and record[0].strip()):
                if header:
                    odd.append((end + 1, len(record)))
                else:
                    header, top = [name.strip() for name in record], end + 1
                    check_header(text, header, top, columns, form)
            end = reader.line_num
    except csv.Error as error:
        raise FrameError(_quotes(text, end, header, form, error)) from None
    if odd:
        raise FrameError(_ragged(odd, header, form))
    if not lines:
        raise FrameError(f"the file has a header in line {top} and no rows; expected a row for each series and time.")
    return header, lines


def check_header(text: str, header: list[str], line: int, columns: Columns, form: TextForm, looks: str = "") -> None:
    """Raise FrameError if wanted columns are not in a header, or there twice; `looks` says what its columns hold."""
    missing = missing_columns(header, columns)
    if missing:
        row = next(line for line in text.splitlines() if line.strip())
        wanted = {*columns.named} - {"unique_id"}
        for sep in (",", ";", "\t", "|"):
            other = [name.strip().strip('"') for name in row.split(sep)]
            if sep != form.sep and (wanted <= set(other) or (len(header) == 1 and len(other) > 1)):
                raise FrameError(
                    f"line {line} has no column {abbreviate(missing)} between {form.sep!r}, but {len(other)} fields "
                    f"between {sep!r}: {abbreviate(other, limit=12)}. Say sep={sep!r}."
                )
        data = data_in(header)
        if data:
            raise FrameError(
                f"line {line} holds {abbreviate(data)}, which looks like data; expected the names of the columns "
                f"there. Write them into a line above, for example: {form.sep.join(columns.named)}"
            )
        raise FrameError(no_columns(missing, f"line {line}", header, columns, looks))
    for name in columns.named:
        if header.count(name) > 1:
            fields = ", ".join(str(k + 1) for k, other in enumerate(header) if other == name)
            raise FrameError(
                f"line {line} names column {name!r} more than once, in fields {fields}. Rename or delete one of them."
            )


def data_in(header: Iterable[str]) -> list[str]:
    """Return what in a header looks like data, not like names.

    Examples
    --------
    >>> data_in(["1949-01", "112", "y"])
    ['1949-01', '112']
    """
    return [name for name in header if re.fullmatch(r"[+-]?[0-9][0-9.,:/T -]*", name)]


def missing_columns(names: Iterable[Any], columns: Columns) -> list[str]:
    """Return the wanted columns that are not there; series may have no id."""
    return [name for name in dict.fromkeys(columns.named) if name not in set(names) and name != "unique_id"]


def no_columns(missing: list[str], where: str, names: Iterable[Any], columns: Columns, looks: str = "") -> str:
    """Return what to say of columns that are missing; `looks` says what those that are there hold."""
    options = [option for part, option in _ROLES.items() if getattr(columns, part)]
    options += [part for part in ("past_exog", "future_exog", "static") if getattr(columns, part)]
    say = ", ".join(f"{option}=" for option in options)
    return (
        f"there is no column {abbreviate(missing)}; {where} has {abbreviate(names, limit=20)}.{looks} Say which "
        f"columns are meant with {say}."
    )


def _ragged(odd: list[tuple[int, int]], header: list[str], form: TextForm) -> str:
    line, fields = odd[0]
    text = (
        f"the header has {counted(len(header), 'field')}, and {counted(len(odd), 'line')} "
        f"{'has' if len(odd) == 1 else 'have'} another number, first line {line} with {fields}: "
    )
    if fields < len(header):
        return f"{text}column {header[fields]!r} and what follows is missing there. Complete or delete the line."
    return (
        f"{text}there is more after column {header[-1]!r}. A {form.sep!r} within a text or a number needs quotes "
        f"around the field."
    )


def _quotes(text: str, end: int, header: list[str], form: TextForm, error: csv.Error) -> str:
    """Return the fault of quotes that do not fit."""
    rest = "".join([*io.StringIO(text, newline="")][end:])
    sep = re.escape(form.sep)
    sound = re.compile(rf' *(?:"[^"]*(?:""[^"]*)*"|[^"{sep}\r\n][^{sep}\r\n]*|)(?={sep})')
    at, field = 0, 0
    while found := sound.match(rest, at):
        at, field = found.end() + 1, field + 1
    where = f"column {header[field]!r}" if field < len(header) else f"field {field + 1}"
    if "unexpected end" in str(error):
        return f'line {end + 1}, {where}: the quote (") that opens the field is never closed. Close or delete it.'
    return (
        f"line {end + 1}, {where}: {error}. A field in quotes ends with its second quote; one that is part of the text "
        f"is written twice."
    )
