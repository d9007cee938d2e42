"""Which columns of a file hold its times and its values, if nobody named them and they are not called ds and y."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from tsforce.data.csv_text import check_header, data_in, decode, no_columns
from tsforce.data.file_paths import PARQUET, read_bytes
from tsforce.data.files import parquet_frame
from tsforce.data.panel import Columns
from tsforce.data.text_cells import ABSENT, STYLES, TextForm, number_pattern
from tsforce.errors import FrameError, abbreviate

__all__ = ["find_columns"]

# So many rows say what a column holds; what is wrong further down is told when all are read.
_ROWS = 200
_NUMBER = re.compile("|".join(number_pattern(*style) for style in STYLES))
_DAY = re.compile("(?:1[89]|2[01])[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
# A year, or two numbers with something between; "store 7" names a series.
_TIME = re.compile("[0-9]{4}|[0-9][^0-9]+[0-9]")


def find_columns(path: Path, columns: Columns, form: TextForm, *, time: bool, target: bool) -> Columns:
    """Return `columns` with the file's own name for the time, the target or both, where a name was left open.

    A file that has the column keeps it. Else the time is the only column of dates, and the target the only one of
    numbers, among those that have no part yet. A column of text may say which series a row belongs to: unless there
    is a column of ids, that is asked.

    Parameters
    ----------
    path : Path
        A csv or parquet file.
    columns : Columns
        With one target.
    form : TextForm
    time, target : bool
        Whether this name is open.

    Raises
    ------
    FrameError
        If a column is not there and the file does not say which one is meant, with what its columns look like.
    ArgumentError, DatasetNotFoundError, MissingExtraError
        As `read_table`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "air.csv")
    ...     _ = path.write_text("Month,Passengers\\n1949-01,112\\n1949-02,118\\n")
    ...     found = find_columns(path, Columns(), TextForm(), time=True, target=True)
    >>> found.time, found.targets
    ('Month', ('Passengers',))
    """
    if not (time or target):
        return columns
    raw = read_bytes(path)
    if path.suffix.lower() in PARQUET:
        frame = parquet_frame(raw)
        names, text = list(map(str, frame.columns)), ""
        rows = [[str(cell) for cell in row] for row in frame.head(_ROWS).itertuples(index=False)]
    else:
        text = decode(raw, form)
        names, rows = _head(text, form)
    time, target = time and columns.time not in names, target and columns.targets[0] not in names
    if not (time or target):
        return columns
    has_part = {*columns.named} - ({columns.time} if time else set()) - ({*columns.targets} if target else set())
    looks = {
        name: _look([row[k] for row in rows if len(row) > k], form)
        for k, name in enumerate(names)
        # What a frame's index was, written along with it.
        if name not in has_part and name not in ("", "index", "Unnamed: 0")
    }
    times, numbers, words = ([name for name in looks if looks[name] == kind] for kind in ("a time", "numbers", "text"))
    open_ids = columns.id not in names and (words or (times and not time))
    unlike = (time and len(times) != 1) or (target and len(numbers) != 1)
    if unlike or open_ids or len(set(names)) < len(names) or data_in(names):
        said = _said(looks)
        if text:
            line = 1 + next(k for k, line in enumerate(text.splitlines()) if line.strip())
            check_header(text, names, line, columns, form, said)
        gone = [name for name, is_open in ((columns.time, time), (columns.targets[0], target)) if is_open]
        raise FrameError(no_columns(gone, "the file", names, columns, said))
    return replace(
        columns, time=times[0] if time else columns.time, targets=tuple(numbers) if target else columns.targets
    )


def _head(text: str, form: TextForm) -> tuple[list[str], list[list[str]]]:
    """Return the header of a csv file and its first rows; of one that cannot be split, what comes before the fault."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=form.sep, skipinitialspace=True)
    found: list[list[str]] = []
    with suppress(csv.Error):
        found += islice((record for record in reader if any(cell.strip() for cell in record)), _ROWS + 1)
    if not found:
        return [], []
    return [name.strip() for name in found[0]], found[1:]


def _look(cells: Sequence[str], form: TextForm) -> str:
    """Return what some cells look like; how times and numbers are written is judged when they are read."""
    there = [cell.strip() for cell in cells if cell.strip().lower() not in ABSENT]
    if there and form.time_format is None and all(map(_DAY.fullmatch, there)):
        return "a time"
    if there and all(map(_NUMBER.fullmatch, there)):
        return "numbers"
    return "a time" if there and all(map(_TIME.search, there)) else "text"


def _said(looks: Mapping[str, str]) -> str:
    kinds = {kind: [name for name in looks if looks[name] == kind] for kind in ("a time", "numbers", "text")}
    listed = [f"{abbreviate(names)} like {kind}" for kind, names in kinds.items() if names]
    return f" By their cells they look so: {', '.join(listed)}." if listed else ""
