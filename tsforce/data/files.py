"""Tables in files: csv and parquet to the frame that is read, and frames to files.

Whatever is wrong with a file is told by its place there: a line counted from 1, the header included, as editors count
them, and a column. Rows of parquet files, which have no lines, are counted from 0.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tsforce.data.file_paths import PARQUET, read_bytes
from tsforce.data.panel import Columns
from tsforce.data.sorted_rows import counted
from tsforce.data.text_cells import TextForm, categories_or_numbers, have_several_offsets, ids, numbers, stamps
from tsforce.errors import ArgumentError, FrameError, MissingExtraError, abbreviate

__all__ = ["Table", "read_table", "write_table"]

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


@dataclass(frozen=True, eq=False)
class Table:
    """The wanted columns of a file.

    Attributes
    ----------
    frame : DataFrame
        Of a csv file its index is the line on which each row begins; else 0..N-1.
    unused : tuple of str
        Columns of the file that nobody asked for.
    has_lines : bool
    several_offsets : bool
        Whether the stamps were text with several offsets from UTC, as in summer and winter: they are stamps of UTC now.
    """

    frame: Any
    unused: tuple[str, ...]
    has_lines: bool
    several_offsets: bool = False


def read_table(path: Path, columns: Columns, form: TextForm | None = None) -> Table:
    """Return some columns of a csv or parquet file.

    Parameters
    ----------
    path : Path
        Parquet if its name ends in .parquet or .pq, else csv.
    columns : Columns
        The default id column may be missing; ``targets`` may be empty.
    form : TextForm, optional
        How a csv file, or a parquet file's columns of text, are written.

    Raises
    ------
    DatasetNotFoundError, ArgumentError
        If there is no such file, or it may not be read.
    MissingExtraError
        If it is parquet and pyarrow is not installed.
    FrameError
        With every fault that was found, but for those between rows, which the reader of the frame finds.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "sales.csv")
    ...     _ = path.write_text("ds;y\\n2024-01-01;1,5\\n2024-01-02;2\\n")
    ...     read_table(path, Columns(), TextForm(sep=";", decimal=",")).frame
              ds    y
    2 2024-01-01  1.5
    3 2024-01-02  2.0
    """
    form = TextForm() if form is None else form
    twice = sorted({name for name in columns.named if columns.named.count(name) > 1})
    if twice:
        raise ArgumentError(
            f"column {abbreviate(twice)} is named more than once among id_col=, time_col=, target_col=, past_exog=, "
            f"future_exog= and static=; each column has one part to play."
        )
    raw = read_bytes(path)
    if not raw.strip():
        raise FrameError("the file is empty; expected a header and a row for each series and time.")
    return _from_parquet(raw, columns, form) if path.suffix.lower() in PARQUET else _from_csv(raw, columns, form)


# ---- csv


def _from_csv(raw: bytes, columns: Columns, form: TextForm) -> Table:
    text = _decode(raw, form)
    header, lines = _scan(text, columns, form)
    place = {name: header.index(name) for name in columns.named if name in header}
    cells = pd.read_csv(
        io.StringIO(text, newline=""),
        sep=form.sep,
        header=0,
        names=range(len(header)),
        usecols=list(place.values()),
        index_col=False,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        low_memory=False,
    )
    if len(cells) != len(lines):
        raise FrameError(
            f"{counted(len(lines), 'row')} were counted and {len(cells)} were read: quotes or line ends are mixed up. "
            f"Write the file anew."
        )
    in_order = len(lines) == lines[-1] - 1
    cells.index = pd.RangeIndex(2, len(lines) + 2) if in_order else pd.Index(lines)
    cells = cells.rename(columns={number: name for name, number in place.items()})

    def spot(row: int) -> str:
        return f"line {lines[row]}"

    faults: list[str] = []
    frame = {}
    for name in place:
        if name == columns.id:
            frame[name] = ids(cells[name])
        elif name == columns.time:
            frame[name] = stamps(cells[name], form, spot, faults)
        elif name in columns.static:
            frame[name] = categories_or_numbers(cells[name], form)
        else:
            frame[name] = numbers(cells[name], form, spot, faults, flags=name not in columns.targets)
    if faults:
        raise FrameError(faults)
    several = columns.time in place and have_several_offsets(cells[columns.time])
    return Table(pd.DataFrame(frame), _unused(header, columns), True, several)


def _decode(raw: bytes, form: TextForm) -> str:
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


def _scan(text: str, columns: Columns, form: TextForm) -> tuple[list[str], Sequence[int]]:
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
                    _check_header(text, header, top, columns, form)
            end = reader.line_num
    except csv.Error as error:
        raise FrameError(_quotes(text, end, header, form, error)) from None
    if odd:
        raise FrameError(_ragged(odd, header, form))
    if not lines:
        raise FrameError(f"the file has a header in line {top} and no rows; expected a row for each series and time.")
    return header, lines


def _check_header(text: str, header: list[str], line: int, columns: Columns, form: TextForm) -> None:
    missing = _missing(header, columns)
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
        data = [name for name in header if re.fullmatch(r"[+-]?[0-9][0-9.,:/T -]*", name)]
        if data:
            raise FrameError(
                f"line {line} holds {abbreviate(data)}, which looks like data; expected the names of the columns "
                f"there. Write them into a line above, for example: {form.sep.join(columns.named)}"
            )
        raise FrameError(_no_columns(missing, f"line {line}", header, columns))
    for name in columns.named:
        if header.count(name) > 1:
            fields = ", ".join(str(k + 1) for k, other in enumerate(header) if other == name)
            raise FrameError(
                f"line {line} names column {name!r} more than once, in fields {fields}. Rename or delete one of them."
            )


def _missing(names: Iterable[Any], columns: Columns) -> list[str]:
    return [name for name in dict.fromkeys(columns.named) if name not in set(names) and name != "unique_id"]


def _no_columns(missing: list[str], where: str, names: Iterable[Any], columns: Columns) -> str:
    options = [option for part, option in _ROLES.items() if getattr(columns, part)]
    options += [part for part in ("past_exog", "future_exog", "static") if getattr(columns, part)]
    say = ", ".join(f"{option}=" for option in options)
    return (
        f"there is no column {abbreviate(missing)}; {where} has {abbreviate(names, limit=20)}. Say which columns are "
        f"meant with {say}."
    )


def _unused(names: Iterable[Any], columns: Columns) -> tuple[str, ...]:
    return tuple(str(name) for name in names if name not in columns.named)


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


# ---- parquet


def _from_parquet(raw: bytes, columns: Columns, form: TextForm) -> Table:
    try:
        frame = pd.read_parquet(io.BytesIO(raw))
    except ImportError:
        raise MissingExtraError(
            "parquet files need pyarrow: pip install 'tsforce[parquet]'. Or save the table as csv."
        ) from None
    except Exception as error:  # What a damaged file makes of its reader has no common class.
        raise FrameError(
            f"the file cannot be read as parquet: {str(error).splitlines()[0] if str(error) else repr(error)} "
            f"If it is text, give it a name that ends in .csv."
        ) from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(allow_duplicates=True)
    names = list(frame.columns)
    missing = _missing(names, columns)
    if missing:
        raise FrameError(_no_columns(missing, "the file", names, columns))
    twice = [name for name in columns.named if names.count(name) > 1]
    if twice:
        raise FrameError(f"column {abbreviate(twice)} stands in the file more than once. Rename or delete one of them.")
    if not len(frame):
        raise FrameError("the file has columns and no rows; expected a row for each series and time.")
    frame = frame[[name for name in columns.named if name in names]].reset_index(drop=True)

    def spot(row: int) -> str:
        return f"row {row}"

    faults: list[str] = []
    several = False
    for name in frame.columns:
        column = frame[name]
        if name == columns.id or name in columns.static or not _is_text(column):
            continue
        # Dates and decimal numbers come as objects, and their text is what the cells of a csv file would be.
        cells = column.astype(object).where(column.notna(), "").astype(str)
        if name == columns.time:
            frame[name] = stamps(cells, form, spot, faults)
            several = have_several_offsets(cells)
        else:
            frame[name] = numbers(cells, form, spot, faults, flags=name not in columns.targets)
    if faults:
        raise FrameError(faults)
    return Table(frame, _unused(names, columns), False, several)


def _is_text(column: Any) -> bool:
    return column.dtype == object or isinstance(column.dtype, (pd.StringDtype, pd.CategoricalDtype))


# ---- writing


def write_table(frame: Any, path: Path) -> None:
    """Write a frame to a csv or parquet file, without its index; numbers with all of their digits.

    Raises
    ------
    ArgumentError
        If the file cannot be written.
    """
    try:
        if path.suffix.lower() in PARQUET:
            frame.to_parquet(path, index=False)
        else:
            frame.to_csv(path, index=False)
    except OSError as error:
        raise ArgumentError(f"the file cannot be written: {error.strerror or error}.") from None
