"""Tables in files: csv and parquet to the frame that is read, and frames to files.

Whatever is wrong with a file is told by its place there: a line counted from 1, the header included, as editors count
them, and a column. Rows of parquet files, which have no lines, are counted from 0.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tsforce.data.csv_text import decode, missing_columns, no_columns, scan
from tsforce.data.file_paths import PARQUET, read_bytes
from tsforce.data.panel import Columns
from tsforce.data.sorted_rows import counted
from tsforce.data.text_cells import TextForm, categories_or_numbers, have_several_offsets, ids, numbers, stamps
from tsforce.errors import ArgumentError, FrameError, MissingExtraError, abbreviate

__all__ = ["Table", "parquet_frame", "read_table", "write_table"]


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
    text = decode(raw, form)
    header, lines = scan(text, columns, form)
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


def _unused(names: Iterable[Any], columns: Columns) -> tuple[str, ...]:
    return tuple(str(name) for name in names if name not in columns.named)


# ---- parquet


def parquet_frame(raw: bytes) -> Any:
    """Return all columns of a parquet file, those that were its index before the others.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    FrameError
        If it is none.
    """
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
    return frame


def _from_parquet(raw: bytes, columns: Columns, form: TextForm) -> Table:
    frame = parquet_frame(raw)
    names = list(frame.columns)
    missing = missing_columns(names, columns)
    if missing:
        raise FrameError(no_columns(missing, "the file", names, columns))
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
