"""The zip file of saved models and checkpoints: JSON, arrays and other libraries' parts, and nothing that runs."""

from __future__ import annotations

import json
import os
import platform
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any, BinaryIO, NamedTuple

from tsforce.errors import MissingExtraError, PersistenceError
from tsforce.persistence.arrays import MOST_UNPACKED, read_arrays, write_arrays
from tsforce.persistence.foreign import booster_from, booster_text, regressors_from, regressors_of
from tsforce.persistence.plain_zip import checked_members
from tsforce.persistence.strict_json import parsed
from tsforce.persistence.tree_reading import Reader
from tsforce.persistence.tree_writing import Writer

__all__ = ["FORMAT", "Opened", "opened", "versions", "write"]

#: Of the files that are written. Older ones are read, or refused with the reason.
FORMAT = 1
_JSON, _ARRAYS, _REGRESSORS = "model.json", "arrays.safetensors", "regressors.skops"
_PACKAGES = ("tsforce", "numpy", "pandas", "torch", "scikit-learn", "lightgbm", "skops")


class Opened(NamedTuple):
    """A file that is being read: what its JSON says, and what makes objects of the nodes in it."""

    head: dict[str, Any]
    reader: Reader


def write(file: BinaryIO, head: Mapping[str, Any], writer: Writer) -> None:
    """Write what JSON is to say, and beside it what a writer has collected.

    Raises
    ------
    PersistenceError
        If something in it cannot be saved.
    """
    parts = {f"booster-{k}.txt": booster_text(booster) for k, booster in enumerate(writer.boosters)}
    if writer.regressors:
        parts[_REGRESSORS] = regressors_of(writer.regressors)
    whole = {"format": FORMAT, "boosters": len(writer.boosters), **head}
    try:
        text = json.dumps(whole, allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise PersistenceError("the model is nested too deeply to be saved.") from None
    with zipfile.ZipFile(file, "w") as archive:
        _write(archive, _JSON, lambda part: part.write(text))
        beside = len(text) + sum(map(len, parts.values()))
        _write(archive, _ARRAYS, lambda part: write_arrays(part, writer.arrays, beside))
        for name, data in parts.items():
            _write(archive, name, lambda part, data=data: part.write(data))
        archive.comment = _seal(archive.infolist())
    file.flush()


def _write(archive: zipfile.ZipFile, name: str, write: Any) -> None:
    # The same model gives the same bytes, whenever it is saved.
    with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as part:
        write(part)


@contextmanager
def opened(
    file: BinaryIO, path: str, what: str, models: Mapping[str, type], trusted: tuple[str, ...] | None
) -> Iterator[Opened]:
    """Yield what is in a file; whatever is wrong with it until the end of the block is a PersistenceError of that part.

    Parameters
    ----------
    file : binary file
    path : str
        Its name, for errors.
    what : str
        What it is to be: "saved model" or "checkpoint".
    models : mapping of str -> type
        The user's own classes.
    trusted : tuple of str or None
        Types of scikit-learn's to be made beyond those that skops makes of any file; None: all, of a file of one's own.
    """
    size = os.fstat(file.fileno()).st_size
    part = ""
    try:
        with zipfile.ZipFile(file) as archive:
            members = {member.filename: member for member in checked_members(archive, size)}
            part = _JSON
            head = _head(archive, members, what)
            if archive.comment != _seal(archive.infolist()):
                raise PersistenceError("it was changed after it was saved, or packed again.")
            part = _ARRAYS
            with archive.open(members[_ARRAYS]) as stored:
                arrays = read_arrays(stored, members[_ARRAYS].file_size, int(MOST_UNPACKED * size))
                if stored.read(1):
                    raise PersistenceError("it is longer than it says.")
            regressors, boosters = [], []
            if _REGRESSORS in members:
                part = _REGRESSORS
                regressors = regressors_from(archive.read(part), trusted)
            for number in range(head["boosters"]):
                part = f"booster-{number}.txt"
                boosters.append(booster_from(archive.read(part)))
            part = _JSON
            yield Opened(head, Reader(arrays, regressors, boosters, models))
        return
    except MissingExtraError:
        raise
    except RecursionError:
        reason = "its JSON is nested too deeply."
    except PersistenceError as error:
        reason = str(error)
    except zipfile.BadZipFile as error:
        reason = f"it is no {what}, or broken: {error}."
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    raise PersistenceError(f"{path}{part and ', '}{part}: {reason}")


def _seal(members: Iterable[zipfile.ZipInfo]) -> bytes:
    """Return what tells that a file is as it was written: not who wrote it."""
    told = "".join(f"{member.filename} {member.file_size} {member.CRC:08x}\n" for member in members)
    return b"tsforce " + sha256(told.encode()).hexdigest().encode()


def _head(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], what: str) -> dict[str, Any]:
    """Return what model.json says, if the file holds what it takes and nothing else."""
    if _JSON not in members:
        raise PersistenceError(f"it is not there: this is no {what}.")
    head = parsed(archive.read(_JSON))
    found = head.get("format") if isinstance(head, dict) else None
    if type(found) is not int or found < 1:
        raise PersistenceError(f"it says no format: this is no {what}.")
    if found > FORMAT:
        raise PersistenceError(
            f"it is of format {found}, and tsforce {version('tsforce')} reads formats up to {FORMAT}. It was written "
            f"by tsforce {head.get('versions', {}).get('tsforce')}: upgrade, pip install -U tsforce."
        )
    if type(head["boosters"]) is not int or not 0 <= head["boosters"] <= len(members):
        raise PersistenceError(f"it says that there are {head['boosters']!r} boosters.")
    expected = {_JSON, _ARRAYS, *(f"booster-{number}.txt" for number in range(head["boosters"]))}
    strange = set(members) - {_REGRESSORS} ^ expected
    if strange:
        raise PersistenceError(f"its members are not those that it says: {sorted(strange)[0]!r}.")
    found_head: dict[str, Any] = head
    return found_head


@cache
def versions() -> dict[str, str]:
    """Return the versions of what numbers come from, by the name of the package."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
