"""A folder of Parquet files as partitions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tsforce.data.file_paths import PARQUET, parquet_files
from tsforce.data.sorted_rows import counted
from tsforce.distributed.partitions import ROWS, Partitions
from tsforce.errors import ArgumentError, DatasetNotFoundError, FrameError, MissingExtraError

__all__ = ["ParquetFolder", "parquet"]


def parquet() -> Any:
    """Return pyarrow's module for Parquet files.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("folders of parquet files need pyarrow: pip install 'tsforce[parquet]'.") from None
    return pyarrow.parquet


class ParquetFolder(Partitions):
    """Partitions that are Parquet files, or parts of them: whole row groups.

    Parameters
    ----------
    path : path-like
        A folder, of which all files that end in .parquet or .pq are read, those of its folders too, in the order of
        their names (names that begin with "." or "_" are no data); or one such file.
    choices
        As in `Partitions`.
    rows : int
        Row groups and files are joined until a partition has so many rows, about: what is in memory at once.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> from tsforce.distributed import ParquetFolder
    >>> df = load("airpassengers")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("one", "two"):
    ...         df.assign(unique_id=name).to_parquet(Path(folder) / f"{name}.parquet", index=False)
    ...     data = ParquetFolder(folder, choices="partition", rows=144)
    ...     forecast = Baseline("seasonal_naive", horizon=2).fit(data).predict().to_pandas()
    >>> forecast[["unique_id", "seasonal_naive"]].to_numpy().tolist()
    [['one', 417.0], ['one', 391.0], ['two', 417.0], ['two', 391.0]]
    """

    def __init__(self, path: str | os.PathLike[str], choices: str = "panel", *, rows: int = ROWS) -> None:
        super().__init__(choices)
        self.path, self.rows = Path(path), rows
        module = parquet()
        self._files = _files(self.path)
        self._pieces: list[tuple[int, int, int]] = []
        self._schemas: list[dict[str, str]] = []
        self._versions: list[str] = []
        faults = []
        for number, file in enumerate(self._files):
            try:
                stat = file.stat()
                with module.ParquetFile(file) as opened:
                    meta, schema = opened.metadata, opened.schema_arrow
            except Exception as error:  # What a damaged file makes of its reader has no common class.
                said = str(error).splitlines()[0] if str(error) else repr(error)
                faults.append(f"{file}: the file cannot be read as parquet: {said}")
                continue
            self._schemas.append({field.name: _kind(field.type) for field in schema})
            self._versions.append(f"{file.name} {stat.st_size} {stat.st_mtime_ns}")
            groups = range(meta.num_row_groups)
            self._pieces += [(number, group, meta.row_group(group).num_rows) for group in groups]
        if faults:
            raise FrameError(faults)

    def __repr__(self) -> str:
        return f"{str(self.path)!r} ({counted(len(self._files), 'file')})"

    def sizes(self) -> list[int]:
        """Return the rows of each row group."""
        return [rows for _, _, rows in self._pieces]

    def rows_at_once(self) -> int:
        """Return the rows of a partition."""
        return self.rows

    def read(self, pieces: Sequence[int], names: Sequence[str]) -> pd.DataFrame:
        """Return some columns of some row groups."""
        groups: dict[int, list[int]] = {}
        for piece in pieces:
            number, group, _ = self._pieces[piece]
            groups.setdefault(number, []).append(group)
        frames = []
        for number, own in groups.items():
            with parquet().ParquetFile(self._files[number]) as opened:
                table = opened.read_row_groups(own, columns=list(names), use_threads=False)
            frame = table.to_pandas(use_threads=False)
            if not isinstance(frame.index, pd.RangeIndex):
                frame = frame.reset_index()
            frames.append(frame[list(names)])
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def piece_name(self, piece: int) -> str:
        """Return the file."""
        return str(self._files[self._pieces[piece][0]])

    def pieces_name(self, pieces: Sequence[int]) -> str:
        """Return the files, and of one that is not read whole the rows."""
        number, group, _ = self._pieces[pieces[0]]
        inside = [i for i, (other, _, _) in enumerate(self._pieces) if other == number]
        if self._pieces[pieces[-1]][0] != number or len(inside) == len(pieces):
            return super().pieces_name(pieces)
        before = sum(self._pieces[i][2] for i in inside[:group])
        rows = sum(self._pieces[i][2] for i in pieces)
        return f"{self.piece_name(pieces[0])}, rows {before} to {before + rows - 1}"

    def piece_version(self, piece: int) -> str:
        """Return the file's size and when it was written."""
        number, group, rows = self._pieces[piece]
        return f"{self._versions[number]} {group} {rows}"

    def columns_of(self, piece: int) -> dict[str, str]:
        """Return the types of a file's columns."""
        return self._schemas[self._pieces[piece][0]]

    def _repair(self) -> str:
        assert self._columns is not None
        by = f"[{self._columns.id!r}, {self._columns.time!r}]"
        return (
            f"Sort the rows and write them anew, where memory holds them: pd.read_parquet({str(self.path)!r})"
            f".sort_values({by}).to_parquet('sorted.parquet', index=False, row_group_size=1_000_000); else with an "
            f"engine, such as Dask: dask.dataframe.read_parquet({str(self.path)!r}).sort_values({self._columns.id!r})"
            f".to_parquet('sorted')."
        )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix.lower() not in PARQUET:
            raise ArgumentError(f"{str(path)!r} is no parquet file; read it first: pd.read_csv({str(path)!r}).")
        return [path]
    if not path.is_dir():
        raise DatasetNotFoundError(f"there is no folder {str(path)!r}; expected one with parquet files.")
    found = parquet_files(path)
    if not found:
        raise DatasetNotFoundError(f"the folder {str(path)!r} has no file that ends in {' or '.join(PARQUET)}.")
    inside = sorted({part for file in found for part in file.relative_to(path).parts[:-1] if "=" in part})
    if inside:
        raise ArgumentError(
            f"{str(path)!r} has folders such as {inside[0]!r}, whose names hold a column; expected it in the files. "
            f"Write them without partition_cols= (Spark: partitionBy)."
        )
    return found


def _kind(type_: Any) -> str:
    """Return what a type of Arrow is called: text as text, however it is kept."""
    name = str(type_)
    if name.startswith("dictionary<values="):
        return "categories"
    return "text" if name in ("string", "large_string", "string_view") else name
