"""Results of partitions in a folder of Parquet files, one of each, that a later call goes on with."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from tsforce import __version__
from tsforce.data.file_paths import PARQUET
from tsforce.distributed.parquet_folder import parquet
from tsforce.errors import ArgumentError, TsforceError, abbreviate
from tsforce.persistence.atomic import written_whole

__all__ = ["write_partitions"]

_OURS = b"tsforce.partition"


def write_partitions(results: Any, folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Write ``results.frame(k)`` of every partition; see ``Forecasts.to_parquet``."""
    module, path = parquet(), Path(folder)
    data = results.fitted.data
    source = getattr(data, "path", None)
    if source is not None:
        both = path.resolve(), source.resolve()
        if both[0] in (both[1], *both[1].parents) or both[1] in both[0].parents:
            raise ArgumentError(
                f"{str(path)!r} is, holds or lies in the folder that is read, {str(source)!r}; give another one to "
                f"write to."
            )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"the folder {str(path)!r} cannot be made: {error.strerror or error}.") from None
    found = [file for file in path.rglob("*") if file.suffix.lower() in PARQUET]
    there = {str(file.relative_to(path)): _mark(module, file) for file in found}
    others = [name for name, mark in there.items() if mark is None]
    if others:
        raise ArgumentError(
            f"{str(path)!r} holds files that no such call has written: {abbreviate(others)}. Give another folder, or "
            f"take them out."
        )
    rows, failed = [], {}
    names = [f"part-{k:05d}.parquet" for k in range(len(results))]
    for name in set(there) - set(names):
        (path / name).unlink()
    for k, name in enumerate(names):
        mark = hashlib.sha256(f"{__version__} {results.key(k)}".encode()).hexdigest()
        if there.get(name) == mark:
            n_rows, status = module.read_metadata(path / name).num_rows, "was there"
        else:
            (path / name).unlink(missing_ok=True)
            try:
                frame = results.frame(k)
            except TsforceError as error:
                failed[k] = error
                continue
            n_rows, status = len(frame), "written"
            _write(frame, path / name, mark)
        rows.append({"partition": data.name(k), "file": name, "n_rows": n_rows, "status": status})
    if failed:
        raise results.error(failed, f"the others are in {str(path)!r}")
    return pd.DataFrame(rows, columns=["partition", "file", "n_rows", "status"])


def _write(frame: pd.DataFrame, path: Path, mark: str) -> None:
    import pyarrow

    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    kept = {**(table.schema.metadata or {}), _OURS: json.dumps({"mark": mark}).encode()}
    with written_whole(path) as file:
        parquet().write_table(table.replace_schema_metadata(kept), file)


def _mark(module: Any, file: Path) -> str | None:
    """Return the mark of a file that was written here, None of another one."""
    try:
        meta = module.read_metadata(file).metadata or {}
        return str(json.loads(meta[_OURS])["mark"])
    except Exception:  # A file of anyone's.
        return None
