"""Checkpoints: a folder in which something long keeps what is finished, and how far it has got with the rest."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsforce.errors import ArgumentError, PersistenceError
from tsforce.persistence.atomic import written_whole
from tsforce.persistence.container import FORMAT, opened, versions, write
from tsforce.persistence.describing import describe, digest
from tsforce.persistence.strict_json import parsed
from tsforce.persistence.tree_writing import Writer

__all__ = ["Checkpoint", "checkpoint_in"]

_MADE_FROM = "made_from.json"
# Keeping where something is may take this share of its time.
_SHARE = 0.02
# What the same numbers do not come from.
_NO_MATTER = frozenset({"verbose", "alias", "processes"})


class _Pace:
    """Seconds of the clock that go into keeping, of all places of a folder together."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.spent = 0.0

    @property
    def due(self) -> bool:
        return self.spent <= _SHARE * (time.perf_counter() - self.began)


class Checkpoint:
    """A place in a folder for one state: plain values, arrays and tensors by name.

    Parameters
    ----------
    folder : Path
    made_from : str
        Hash of what all states of the folder are made from.
    name : str
    pace : _Pace
    """

    def __init__(self, folder: Path, made_from: str, name: str, pace: _Pace) -> None:
        self.folder, self.made_from, self.name = folder, made_from, name
        self._pace = pace

    @property
    def path(self) -> Path:
        """Of its file."""
        return self.folder / f"{self.name}.checkpoint"

    @property
    def due(self) -> bool:
        """Whether keeping a state takes little time beside what went into it."""
        return self._pace.due

    def within(self, name: str) -> Checkpoint:
        """Return the place of that name within this one."""
        return Checkpoint(self.folder, self.made_from, f"{self.name}.{name}" if self.name else name, self._pace)

    def read(self) -> dict[str, Any] | None:
        """Return the state that was kept last, None if none was.

        Raises
        ------
        PersistenceError
            If the file is broken, or of another folder.
        """
        if not self.path.exists():
            return None
        with self.path.open("rb") as file, opened(file, str(self.path), "checkpoint", {}, ()) as (head, reader):
            if head["checkpoint"] != self.made_from:
                raise PersistenceError("it was not made from what the folder says; delete it.")
            state = reader.of(head["state"], "state")
            reader.end()
            if not isinstance(state, dict):
                raise PersistenceError("it holds no state.")
        return state

    def keep(self, state: Mapping[str, Any]) -> None:
        """Keep a state in place of the one before: whatever happens meanwhile, one of the two is there."""
        began = time.perf_counter()
        writer = Writer(lambda held: frozenset())
        head = {"versions": versions(), "checkpoint": self.made_from, "state": writer.node(dict(state), "state")}
        with written_whole(self.path) as file:
            write(file, head, writer)
        self._pace.spent += time.perf_counter() - began

    def end(self, state: Mapping[str, Any]) -> None:
        """Keep what something has come to; how far it had got, in the places within this one, is no longer needed."""
        self.keep(state)
        for path in self.folder.glob(f"{self.name}.*.checkpoint"):
            path.unlink(missing_ok=True)


def checkpoint_in(
    folder: str | os.PathLike[str] | Checkpoint | None, what: str, settings: Mapping[str, Any], data: Any
) -> Checkpoint | None:
    """Return the place of a folder, which is made if it is not there.

    Parameters
    ----------
    folder : path-like, Checkpoint or None
        A place within another one's is taken as it is; None: None.
    what : str
        What is done there.
    settings : mapping of str -> any
    data : any
        What it is done with.

    Raises
    ------
    ArgumentError
        If it cannot be a folder.
    PersistenceError
        If what stands there was made from something else: says what differs.
    """
    if folder is None or isinstance(folder, Checkpoint):
        return folder
    told = _that_matter(describe(settings))
    now = {"format": FORMAT, "of": what, "versions": versions(), "settings": told, "data": digest(data)}
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        path = place / _MADE_FROM
        if path.exists():
            _check(path, now)
        else:
            with written_whole(path) as file:
                file.write(json.dumps(now, indent=1).encode())
    except OSError as error:
        raise ArgumentError(f"checkpoint={str(folder)!r} does not work as a folder: {error}.") from None
    return Checkpoint(place, digest(now), "", _Pace())


def _that_matter(settings: Any) -> Any:
    """Return a description without the names that numbers do not depend on."""
    if isinstance(settings, list):
        return [_that_matter(one) for one in settings]
    if not isinstance(settings, dict):
        return settings
    return {name: _that_matter(one) for name, one in settings.items() if name not in _NO_MATTER}


def _check(path: Path, now: Mapping[str, Any]) -> None:
    """Raise unless a folder was made from what is there now."""
    try:
        then = parsed(path.read_bytes())
        if not isinstance(then, dict) or set(then) != set(now):
            raise PersistenceError("it does not say what it is of.")
    except PersistenceError as error:
        raise PersistenceError(f"{path}: {error}") from None
    # Of the data there is a hash, which nobody wants to read.
    differs = _difference("", {**then, "data": None}, {**now, "data": None})
    if differs is None and then["data"] != now["data"]:
        differs = "the data are not those that it was begun with"
    if differs is not None:
        raise PersistenceError(
            f"{path.parent}: this checkpoint does not go on: {differs}. Give another folder, or delete this one to "
            f"start anew."
        )


def _difference(where: str, then: Any, now: Any) -> str | None:
    """Return the first place where two descriptions differ, in words."""
    if then == now:
        return None
    if isinstance(then, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*then, *now]):
            found = _difference(f"{where}.{name}" if where else name, then.get(name), now.get(name))
            if found:
                return found
    return f"{where} was {_short(then)}, and is {_short(now)} now"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
