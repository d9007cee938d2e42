"""Saved models: one zip file of JSON, arrays and other libraries' parts, and nothing that runs."""

from __future__ import annotations

import json
import os
import platform
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any, BinaryIO

import numpy as np

from tsforce.errors import MissingExtraError, PersistenceError
from tsforce.persistence.arrays import MOST_UNPACKED, read_arrays, write_arrays
from tsforce.persistence.atomic import written_whole
from tsforce.persistence.foreign import booster_from, booster_text, regressors_from, regressors_of
from tsforce.persistence.plain_zip import checked_members
from tsforce.persistence.strict_json import parsed
from tsforce.persistence.tree_reading import Reader
from tsforce.persistence.tree_writing import Writer

__all__ = ["FORMAT", "load", "save"]

#: Of the files that are written. Older ones are read, or refused with the reason.
FORMAT = 1
_JSON, _ARRAYS, _REGRESSORS = "model.json", "arrays.safetensors", "regressors.skops"
_PACKAGES = ("tsforce", "numpy", "pandas", "torch", "scikit-learn", "lightgbm", "skops")
# Of forecasts made again, relative to the largest: threads and processors add in another order, in float32 too.
_SAME = 1e-4


def save(path: str | os.PathLike[str], model: Any, left_out: Any) -> None:
    """Write a fitted model to a file, which is there whole or not at all.

    Parameters
    ----------
    path : path-like
    model : forecaster or regressor
        With ``_shown()``: some of its forecasts, which whoever loads it has to come to as well.
    left_out : callable
        From an object to the names of what it holds that is not to be kept.

    Raises
    ------
    PersistenceError
        If the model holds something that cannot be saved. Then no file is written.
    """
    writer = Writer(left_out)
    tree = writer.node(model, "model")
    shown = writer.node(np.asarray(_shown(model)), "shown")
    parts = {f"booster-{k}.txt": booster_text(booster) for k, booster in enumerate(writer.boosters)}
    if writer.regressors:
        parts[_REGRESSORS] = regressors_of(writer.regressors)
    head = {
        "format": FORMAT,
        "class": tree["class"],
        "versions": _versions(),
        "own_classes": sorted(writer.own),
        "boosters": len(writer.boosters),
        "model": tree,
        "shown": shown,
    }
    try:
        text = json.dumps(head, allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise PersistenceError("the model is nested too deeply to be saved.") from None
    with written_whole(path) as file:
        with zipfile.ZipFile(file, "w") as archive:
            _write(archive, _JSON, lambda part: part.write(text))
            beside = len(text) + sum(map(len, parts.values()))
            _write(archive, _ARRAYS, lambda part: write_arrays(part, writer.arrays, beside))
            for name, data in parts.items():
                _write(archive, name, lambda part, data=data: part.write(data))
            archive.comment = _seal(archive.infolist())
        file.flush()
        # What is there is read once before it takes its place: a file that does not load is never left behind.
        _read(file, os.fspath(path), writer.own, None)


def _write(archive: zipfile.ZipFile, name: str, write: Any) -> None:
    # The same model gives the same bytes, whenever it is saved.
    with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as part:
        write(part)


def load(path: str | os.PathLike[str], models: Mapping[str, type] | None = None, trusted: Iterable[str] = ()) -> Any:
    """Return the model that was saved to a file.

    Nothing in a file is run, and nothing is made of it but what tsforce knows.

    Parameters
    ----------
    path : path-like
    models : mapping of str -> class, optional
        Classes of your own that the model holds (a step model and its family, a forecaster, a policy), by their names.
    trusted : iterable of str
        Types of a scikit-learn regressor to be made beyond those that skops makes of any file, such as the trees of a
        forest, whose branches scikit-learn follows unseen: for files of which you know where they come from.

    Returns
    -------
    Forecaster or NARXRegressor
        Fitted, on the CPU: its forecasts are those of the model that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    PersistenceError
        If it is no saved model, broken, or written by a later version; if it holds a class that `models` does not name,
        or types that are not trusted; if its forecasts are not those that it says.

    Examples
    --------
    >>> import tempfile
    >>> import tsforce
    >>> from tsforce.datasets import load
    >>> model = tsforce.NARXForecaster(horizon=12, lags=24).fit(load("airpassengers"))
    >>> path = tempfile.mkdtemp() + "/model.tsforce"
    >>> model.save(path)
    >>> tsforce.load(path).predict().equals(model.predict())
    True
    """
    with open(path, "rb") as file:
        return _read(file, os.fspath(path), dict(models or {}), tuple(trusted))


def _read(file: BinaryIO, path: str, models: Mapping[str, type], trusted: tuple[str, ...] | None) -> Any:
    """Return the model in a file; without a word on what is trusted, all is."""
    size = os.fstat(file.fileno()).st_size
    part = ""
    try:
        with zipfile.ZipFile(file) as archive:
            members = {member.filename: member for member in checked_members(archive, size)}
            part = _JSON
            head = _head(archive, members)
            if archive.comment != _seal(archive.infolist()):
                raise PersistenceError("it was changed after it was saved, or packed again.")
            part = _ARRAYS
            with archive.open(members[_ARRAYS]) as opened:
                stored = members[_ARRAYS].file_size
                arrays = read_arrays(opened, stored, int(MOST_UNPACKED * size))
                if opened.read(1):
                    raise PersistenceError("it is longer than it says.")
            regressors, boosters = [], []
            if _REGRESSORS in members:
                part = _REGRESSORS
                regressors = regressors_from(archive.read(part), trusted)
            for number in range(head["boosters"]):
                part = f"booster-{number}.txt"
                boosters.append(booster_from(archive.read(part)))
            part = _JSON
            reader = Reader(arrays, regressors, boosters, models)
            model = reader.of(head["model"], "model")
            expected = reader.of(head["shown"], "shown")
            if arrays:
                raise PersistenceError(f"nothing reads the array {next(iter(arrays))!r}.")
        _check_shown(model, expected, head["versions"])
        return model
    except MissingExtraError:
        raise
    except RecursionError:
        reason = "its JSON is nested too deeply."
    except PersistenceError as error:
        reason = str(error)
    except zipfile.BadZipFile as error:
        reason = f"it is no saved model, or broken: {error}."
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    raise PersistenceError(f"{path}{part and ', '}{part}: {reason}")


def _seal(members: Iterable[zipfile.ZipInfo]) -> bytes:
    """Return what tells that a file is as it was written: not who wrote it."""
    told = "".join(f"{member.filename} {member.file_size} {member.CRC:08x}\n" for member in members)
    return b"tsforce " + sha256(told.encode()).hexdigest().encode()


def _head(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> dict[str, Any]:
    """Return what model.json says, if the file holds what it takes and nothing else."""
    if _JSON not in members:
        raise PersistenceError("it is not there: this is no saved model.")
    head = parsed(archive.read(_JSON))
    found = head.get("format") if isinstance(head, dict) else None
    if type(found) is not int or found < 1:
        raise PersistenceError("it says no format: this is no saved model.")
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


def _shown(model: Any) -> Any:
    with warnings.catch_warnings():
        # Whoever asks for forecasts is warned.
        warnings.simplefilter("ignore")
        return model._shown()


def _check_shown(model: Any, expected: Any, versions: Mapping[str, str]) -> None:
    """Raise unless a model comes to the forecasts that it came to when it was saved."""
    if not hasattr(type(model), "_shown"):
        raise PersistenceError(f"a {type(model).__name__} is no model.")
    try:
        found = np.asarray(_shown(model))
    except Exception as error:
        found, why = None, f"its parts do not fit together ({type(error).__name__}: {error})"
    else:
        why = "it does not come to the forecasts that it came to when it was saved"
    if found is not None and found.shape == expected.shape:
        size = np.abs(expected[np.isfinite(expected)]).max(initial=1e-300)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.allclose(found / size, expected / size, rtol=0, atol=_SAME, equal_nan=True):
                return
    now = _versions()
    other = [
        f"{name} {then} (now {now.get(name, 'not there')})" for name, then in versions.items() if now.get(name) != then
    ]
    hint = f" It was saved with {', '.join(other)}." if other else ""
    raise PersistenceError(f"{why}.{hint}")


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
