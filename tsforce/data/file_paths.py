"""Whether files can be read and written, told before anything is loaded or computed: no pandas here."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from tsforce.errors import ArgumentError, DatasetNotFoundError, MissingExtraError

__all__ = ["PARQUET", "check_readable", "check_writable", "parquet_files", "read_bytes"]

#: How the names of parquet files end.
PARQUET = (".parquet", ".pq")


def check_readable(path: Path) -> None:
    """Raise before anything is loaded if a file is not there.

    Raises
    ------
    DatasetNotFoundError, ArgumentError
    """
    read_bytes(path, 1)


def read_bytes(path: Path, count: int = -1) -> bytes:
    """Return a file, or its first bytes.

    Raises
    ------
    DatasetNotFoundError, ArgumentError
        If there is no such file, with the nearest name in its folder, or it may not be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(count)
    except FileNotFoundError:
        around = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, around, n=1)
        hint = f" Did you mean {str(path.parent / near[0])!r}?" if near else ""
        raise DatasetNotFoundError(f"there is no such file.{hint}") from None
    except IsADirectoryError:
        raise ArgumentError("this is a folder; expected a csv or parquet file.") from None
    except OSError as error:
        raise ArgumentError(f"the file cannot be read: {error.strerror or error}.") from None


def parquet_files(folder: Path) -> list[Path]:
    """Return the parquet files of a folder and its folders, by name; what begins with "." or "_" is no data."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in PARQUET
        and file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    )


def check_writable(path: Path, suffixes: Sequence[str] = (".csv", *PARQUET)) -> None:
    """Raise before anything is computed if a file cannot be written in the end.

    Raises
    ------
    ArgumentError
        If its name ends in none of `suffixes`, or its folder is not there, or it is a folder itself.
    MissingExtraError
        If it is parquet and pyarrow is not installed.
    """
    if path.suffix.lower() not in suffixes:
        raise ArgumentError(f"the name of this file ends in none of {', '.join(suffixes)}; give it one that does.")
    if path.is_dir():
        raise ArgumentError("this is a folder; expected the name of a file.")
    if not path.parent.is_dir():
        raise ArgumentError(f"there is no folder {str(path.parent)!r}; make it first.")
    if path.suffix.lower() in PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("parquet files need pyarrow: pip install 'tsforce[parquet]'. Or name a .csv file.")
