"""Frames of an engine that spreads work over processes or machines: the same rounds, where the data is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import pandas as pd

from tsforce import __version__
from tsforce.data.frame import forecast_columns
from tsforce.data.panel import Columns, IntArray
from tsforce.distributed.fitted import Forecasts
from tsforce.distributed.partitions import Hashes, Part, Partitions, hashed, joined, not_there, raise_faults
from tsforce.errors import ArgumentError, MissingExtraError, TsforceError
from tsforce.forecasting.intervals import Bounds, check_levels

__all__ = ["EnginePartitions", "at_work", "attempt"]


class EnginePartitions(Partitions):
    """Base of partitions that an engine holds: its own partitions are the pieces.

    What is sent to its workers are functions and what all partitions must know; what comes back of a fit are lengths,
    sums and choices, never rows.
    """

    # ---- for subclasses to implement

    @abstractmethod
    def pieces(self) -> list[Any]:
        """Return a handle of each of the engine's partitions, as `submit` takes it."""

    @abstractmethod
    def submit(self, function: Callable[..., Any], *given: Any) -> Any:
        """Return a handle of what a worker makes of some values and handles."""

    @abstractmethod
    def gather(self, handles: Sequence[Any]) -> list[Any]:
        """Return what handles stand for, in order."""

    @abstractmethod
    def dtypes(self) -> dict[str, Any]:
        """Return the dtypes of the columns, as the engine knows them."""

    @abstractmethod
    def frames(self, handles: Sequence[Any], like: pd.DataFrame) -> Any:
        """Return the engine's frame of some frames; `like` has their columns and dtypes, and no rows."""

    # ---- the same for all of them

    def sizes(self) -> list[int]:
        """Return 1 of each: how many rows there are is seen when they are looked at."""
        return [1] * len(self.pieces())

    def columns_of(self, piece: int) -> dict[str, str]:
        """Return the dtypes of the columns; an engine has the same in all partitions."""
        del piece
        return {name: str(dtype) for name, dtype in self.dtypes().items()}

    def piece_name(self, piece: int) -> str:
        """Return the number of the engine's partition."""
        return f"partition {piece}"

    def series_of(self, pieces: Sequence[int], columns: Columns) -> list[tuple[Hashes, IntArray]]:
        """Return the series of each of some partitions, and how many rows of them are there.

        Raises
        ------
        FrameError
            If a partition has not the columns that the engine says it has.
        """
        held = self.pieces()
        tasks = [partial(at_work, __version__, partial(_series, columns, self.piece_name(i))) for i in pieces]
        found = self.gather([self.submit(task, held[i]) for task, i in zip(tasks, pieces, strict=True)])
        raise_faults([fault for fault in found if isinstance(fault, str)])
        return found

    def read(self, pieces: Sequence[int], names: Sequence[str]) -> pd.DataFrame:
        """Return some columns of some partitions, here."""
        held = self.pieces()
        frames = self.gather([self.submit(_columns, held[i], list(names)) for i in pieces])
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def task(self, k: int, work: Callable[[pd.DataFrame], Any]) -> Any:
        """Return a handle of what a worker makes of partition k."""
        part, held = self._known()[k], self.pieces()
        assert self._columns is not None
        parts = [held[i] for i in (*part.own, *part.further)]
        return self.submit(partial(at_work, __version__, partial(_whole, part, self._columns, work)), *parts)

    def map(self, work: Callable[[pd.DataFrame], Any], some: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield what workers make of some partitions, or the TsforceError that was raised instead."""
        listed = list(some)
        yield from zip(listed, self.gather([self.task(k, partial(attempt, work)) for k in listed]), strict=True)

    def collected(self, forecasts: Forecasts) -> Any:
        """Return the forecasts as a frame of the engine."""
        assert self._columns is not None
        fitted = forecasts.fitted
        like = _like(forecasts, self._columns, self.dtypes())
        tasks = []
        for k in range(len(self)):
            work = partial(_raise, fitted.failed[k]) if k in fitted.failed else forecasts.work(k)
            tasks.append(self.task(k, partial(_as_like, work, like)))
        return self.frames(tasks, like)

    def _repair(self) -> str:
        assert self._columns is not None
        return f"Bring them together: ddf = ddf.shuffle({self._columns.id!r})."


def check_installed(engine: str) -> None:
    """Raise a MissingExtraError unless an engine can be imported."""
    try:
        import_module(engine)
    except ImportError:
        raise MissingExtraError(f"frames of {engine.title()} need it: pip install 'tsforce[{engine}]'.") from None


def at_work(version: str, work: Callable[..., Any], *given: Any) -> Any:
    """Return what a function makes of some values on a worker.

    Raises
    ------
    ArgumentError
        If the worker has another tsforce than who asks.
    """
    if version != __version__:
        raise ArgumentError(
            f"a worker has tsforce {__version__}, and {version} asks; install the same on all: "
            f"pip install tsforce=={version}."
        )
    return work(*given)


def attempt(work: Callable[[Any], Any], frame: Any) -> Any:
    """Return what a function makes of a frame, or the TsforceError that it raises."""
    try:
        return work(frame)
    except TsforceError as error:
        return error


def _series(columns: Columns, name: str, frame: pd.DataFrame) -> tuple[Hashes, IntArray] | str:
    """Return the series of a frame, or which columns it has not."""
    missing = [column for column in dict.fromkeys(columns.named) if column not in frame.columns]
    return not_there(name, missing, frame.columns) if missing else hashed(frame[columns.id])


def _columns(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    return frame[names].reset_index(drop=True)


def _whole(part: Part, columns: Columns, work: Callable[[Any], Any], *pieces: pd.DataFrame) -> Any:
    """Return what a function makes of the whole series that begin in a partition."""
    names = list(dict.fromkeys(columns.named))
    frames = [_columns(frame, names) for frame in pieces]
    own = pd.concat(frames[: len(part.own)], ignore_index=True) if len(part.own) > 1 else frames[0]
    return work(joined(part, columns.id, own, *frames[len(part.own) :]))


def _as_like(work: Callable[[Any], pd.DataFrame], like: pd.DataFrame, frame: Any) -> pd.DataFrame:
    return work(frame).astype(like.dtypes.to_dict())


def _raise(error: TsforceError, frame: Any) -> pd.DataFrame:
    del frame
    raise error


def _like(forecasts: Forecasts, columns: Columns, dtypes: dict[str, Any]) -> pd.DataFrame:
    """Return the columns and dtypes of some forecasts, without rows."""
    name, level = forecasts.fitted.model.name, check_levels(forecasts.level)
    like = {columns.id: pd.Series(dtype=dtypes[columns.id]), columns.time: pd.Series(dtype=dtypes[columns.time])}
    like["horizon"] = pd.Series(dtype="int64")
    bounds = None if level is None else Bounds.blank(level, (0, 1, len(columns.targets)))
    for channel, written in enumerate(forecast_columns(name, columns.targets)):
        like[written] = pd.Series(dtype="float64")
        if bounds is not None:
            like |= {column: pd.Series(dtype="float64") for column in bounds.columns(written, channel)}
    return pd.DataFrame(like)
