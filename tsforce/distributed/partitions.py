"""Long data in partitions: every one holds whole series, and one at a time is in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.panel import Columns, IntArray
from tsforce.data.sorted_rows import counted
from tsforce.errors import (
    ArgumentError,
    ArgumentTypeError,
    FrameError,
    PartitionError,
    TsforceError,
    abbreviate,
    check_choice,
)

__all__ = ["Frames", "Part", "Partitions", "failed_of", "hashed", "joined", "told_of", "whole_series"]

Hashes = npt.NDArray[np.uint64]

#: Rows of a partition, about, where it is for us to say.
ROWS = 1_000_000
CHOICES = ("panel", "partition")
_NONE: Hashes = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class Part:
    """Which pieces of the data a partition is made of.

    Attributes
    ----------
    own : tuple of int
        Its pieces, one after another.
    further : tuple of int
        Pieces after them, in which some of its series go on.
    wanted, foreign : (n,) uint64
        Of series that lie in several partitions' pieces: those that begin here, and those that began before.
    """

    own: tuple[int, ...]
    further: tuple[int, ...] = ()
    wanted: Hashes = field(default_factory=lambda: _NONE)
    foreign: Hashes = field(default_factory=lambda: _NONE)


class Partitions(ABC):
    """Base of what stands in the place of a frame where that would be too large.

    Data lies in pieces (files, parts of files, frames). A series that goes on in a later piece is brought together in
    the partition in which it begins, as long as that does not mean to read all of it over again.

    Parameters
    ----------
    choices : "panel" or "partition"
        What is chosen by looking at many series (lags, a penalty's say, one map for all) is chosen on all of them,
        which not every forecaster can; or on each partition by itself, as if it were all there is.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> from tsforce.distributed import Partitions
    >>> class Shops(Partitions):
    ...     '''A piece for each shop, wherever it comes from.'''
    ...     names = ("one", "two")
    ...     def sizes(self):
    ...         return [144, 144]
    ...     def read(self, pieces, names):
    ...         return pd.concat([load("airpassengers").assign(unique_id=self.names[i])[list(names)] for i in pieces])
    ...     def piece_name(self, piece):
    ...         return self.names[piece]
    ...     def columns_of(self, piece):
    ...         return {"unique_id": "object", "ds": "datetime64[ns]", "y": "float64"}
    >>> forecast = Baseline("seasonal_naive", horizon=2).fit(Shops()).predict().to_pandas()
    >>> forecast["unique_id"].tolist()
    ['one', 'one', 'two', 'two']
    """

    is_partitioned: ClassVar[bool] = True

    def __init__(self, choices: str = "panel") -> None:
        self.choices = check_choice("choices", choices, CHOICES)
        self._parts: list[Part] | None = None
        self._columns: Columns | None = None

    # ---- for subclasses to implement

    @abstractmethod
    def sizes(self) -> list[int]:
        """Return the number of rows of each piece; pieces without are in no partition."""

    @abstractmethod
    def read(self, pieces: Sequence[int], names: Sequence[str]) -> pd.DataFrame:
        """Return some columns of some pieces, one after another."""

    @abstractmethod
    def piece_name(self, piece: int) -> str:
        """Return what a piece is called."""

    @abstractmethod
    def columns_of(self, piece: int) -> dict[str, str]:
        """Return the columns of a piece, by name, and what each holds."""

    def pieces_name(self, pieces: Sequence[int]) -> str:
        """Return what pieces that follow one another are called."""
        first, last = self.piece_name(pieces[0]), self.piece_name(pieces[-1])
        return first if first == last else f"{first} to {last}"

    def piece_version(self, piece: int) -> str:
        """Return what changes when a piece does."""
        return self.piece_name(piece)

    def rows_at_once(self) -> int:
        """Return how many rows a partition has about; pieces are joined up to it."""
        return 1

    # ---- what they make together

    def look_at(self, columns: Columns) -> None:
        """Find out which series lie where.

        Parameters
        ----------
        columns : Columns
            That are read.

        Raises
        ------
        FrameError
            If there are no rows, a column is missing in a piece or holds something else than in the first, or series
            are scattered over the pieces.
        """
        pieces = [i for i, rows in enumerate(self.sizes()) if rows]
        self._check_columns(pieces, columns)
        found = self.series_of(pieces, columns)
        # Engines do not know which of their parts are empty before they look.
        some = [i for i, (_, counts) in enumerate(found) if len(counts)]
        if not some:
            raise FrameError(f"{self!r} has no rows; expected at least one row per series.")
        self._columns = columns
        self._parts = whole_series(
            [pieces[i] for i in some], [found[i] for i in some], self.rows_at_once(), self._scattered
        )

    def series_of(self, pieces: Sequence[int], columns: Columns) -> list[tuple[Hashes, IntArray]]:
        """Return the series of each of some pieces, and how many rows of them are there."""
        return [hashed(self.read([i], [columns.id])[columns.id]) for i in pieces]

    def map(self, work: Callable[[pd.DataFrame], Any], some: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield for each of some partitions what is made of its frame, or the TsforceError that was raised instead."""
        for k in some:
            try:
                yield k, work(self.frame(k))
            except TsforceError as error:
                yield k, error

    def collected(self, forecasts: Any) -> Any:
        """Return the forecasts of a model that was fitted to this data, as whoever has such data expects them."""
        return forecasts

    def __len__(self) -> int:
        return len(self._known())

    def frame(self, k: int) -> pd.DataFrame:
        """Return partition k: the rows of whole series."""
        assert self._columns is not None
        part, names = self._known()[k], self._names()
        own, further = self.read(part.own, names), [self.read([i], names) for i in part.further]
        return joined(part, self._columns.id, own, *further)

    def ids(self, k: int) -> list[Any]:
        """Return the ids of the series of partition k."""
        assert self._columns is not None
        part, name = self._known()[k], self._columns.id
        column = self.read(part.own, [name])[name]
        return list(dict.fromkeys(column[~_among(column, part.foreign)]))

    def name(self, k: int) -> str:
        """Return what partition k is called in messages."""
        return self.pieces_name(self._known()[k].own)

    def version(self, k: int) -> str:
        """Return what changes when the rows of partition k do."""
        part = self._known()[k]
        return "\n".join(self.piece_version(i) for i in (*part.own, *part.further))

    def _known(self) -> list[Part]:
        assert self._parts is not None, "look_at comes first"
        return self._parts

    def _names(self) -> list[str]:
        assert self._columns is not None
        return list(dict.fromkeys(self._columns.named))

    def _check_columns(self, pieces: Sequence[int], columns: Columns) -> None:
        if not pieces:
            return
        first = self.columns_of(pieces[0])
        faults, told = [], set()
        for i in pieces:
            here, name = self.columns_of(i), self.piece_name(i)
            missing = [column for column in dict.fromkeys(columns.named) if column not in here]
            if name in told:
                continue
            told.add(name)
            if missing:
                faults.append(not_there(name, missing, here))
                continue
            for column in (columns.id, columns.time):
                if here[column] != first.get(column, here[column]):
                    faults.append(
                        f"{name}: column {column!r} holds {here[column]}, and {first[column]} in "
                        f"{self.piece_name(pieces[0])}; expected one kind in all. Convert it and write the file anew."
                    )
        raise_faults(faults)

    def _scattered(self, n_series: int, pieces: Sequence[int]) -> FrameError:
        assert self._columns is not None
        columns = self._columns
        names = [self.piece_name(i) for i in pieces[:2]]
        both = [set(self.read([i], [columns.id])[columns.id]) for i in pieces[:2]]
        example = next(iter(sorted(map(str, both[0] & both[1]))), "")
        return FrameError(
            f"{n_series} series of {self!r} lie in several parts far from each other, such as {example!r} "
            f"in {' and '.join(names)}; expected each series in one part, or in parts that follow one another. "
            f"{self._repair()}"
        )

    def _repair(self) -> str:
        assert self._columns is not None
        columns = self._columns
        return f"Sort the rows by {columns.id!r} and {columns.time!r} before they are cut into parts."


def joined(part: Part, id_col: str, own: pd.DataFrame, *further: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the series that begin in a partition's own pieces."""
    if not len(part.wanted) and not len(part.foreign):
        return own
    more = [frame[_among(frame[id_col], part.wanted)] for frame in further]
    return pd.concat([own[~_among(own[id_col], part.foreign)], *more], ignore_index=True)


def told_of(data: Partitions, failed: dict[int, TsforceError]) -> str:
    """Return which partitions failed, with their series, and why."""
    listed = list(failed.items())
    parts = []
    for k, error in listed[:5]:
        ids = data.ids(k)
        why = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        parts.append(f"{data.name(k)} ({len(ids)} series, {abbreviate(ids, limit=3)}): {why}")
    return " ".join(parts) + f" And {len(listed) - 5} more." * (len(listed) > 5)


def failed_of(data: Partitions, failed: dict[int, TsforceError], others: str) -> PartitionError:
    """Return the error of partitions that failed."""
    return PartitionError(
        f"{counted(len(failed), 'partition')} of {len(data)} failed, {others}: {told_of(data, failed)}", failed
    )


def hashed(column: pd.Series) -> tuple[Hashes, IntArray]:
    """Return a number for each distinct value of a column, in order of first appearance, and how often it is there."""
    codes, _ = pd.factorize(column)
    distinct = column.drop_duplicates()
    counts = np.bincount(codes[codes >= 0]).astype(np.int64)
    numbers = np.asarray(pd.util.hash_pandas_object(distinct.dropna(), index=False), dtype=np.uint64)
    if column.isna().any():
        # What has no id is told when the rows are read.
        numbers, counts = np.append(numbers, np.uint64(0)), np.append(counts, column.isna().sum())
    return numbers, counts


def _among(column: pd.Series, some: Hashes) -> npt.NDArray[np.bool_]:
    distinct = column.drop_duplicates()
    here = np.isin(np.asarray(pd.util.hash_pandas_object(distinct, index=False)), some)
    return np.asarray(column.isin(distinct[here]), dtype=bool)


def whole_series(
    pieces: Sequence[int],
    found: Sequence[tuple[Hashes, IntArray]],
    rows: int,
    scattered: Callable[[int, Sequence[int]], Exception],
) -> list[Part]:
    """Return partitions that hold whole series.

    Parameters
    ----------
    pieces : sequence of int
        P pieces.
    found : P pairs of arrays
        The series of each piece, and how many rows of them are there.
    rows : int
        Pieces are joined until they have so many rows.
    scattered : function
        Makes the error of n series that lie in some pieces.

    Examples
    --------
    >>> found = [(np.array([1, 2]), np.array([4, 1])), (np.array([2]), np.array([5])), (np.array([3]), np.array([5]))]
    >>> [(part.own, part.further) for part in whole_series([0, 1, 2], found, 1, ValueError)]
    [((0,), (1,)), ((2,), ())]
    """
    sizes = np.array([counts.sum() for _, counts in found])
    every, count = (np.concatenate([pair[i] for pair in found]) for i in (0, 1))
    piece = np.repeat(np.arange(len(pieces)), [len(counts) for _, counts in found])
    # The pieces of a series follow one another, the first one first.
    order = np.argsort(every, kind="stable")
    every, count, piece = every[order], count[order], piece[order]
    starts = np.flatnonzero(np.concatenate([[True], every[1:] != every[:-1]]))
    first = np.repeat(piece[starts], np.diff(np.append(starts, len(every))))
    groups = _joined(sizes, rows)
    group_of = np.repeat(np.arange(len(groups)), [len(own) for own in groups])
    beyond = group_of[piece] != group_of[first]
    split, count, here = every[beyond], count[beyond], piece[beyond]
    owner, where = group_of[first[beyond]], group_of[here]
    moved = np.bincount(owner, count, len(groups))
    further = [np.unique(here[owner == number]) for number in range(len(groups))]
    read_again = sum(int(sizes[some].sum()) for some in further)
    most = max(rows, 2 * int(sizes.max()), _longest(split, count))
    if moved.max(initial=0) > most or read_again > sizes.sum() + sizes.max():
        worst = split[np.argmax(where - owner)]
        lies_in = piece[every == worst]
        raise scattered(len(np.unique(split)), [pieces[i] for i in (lies_in[0], lies_in[-1])])
    begun = np.bincount(group_of[piece[starts]], minlength=len(groups))
    return [
        Part(
            tuple(pieces[i] for i in own),
            tuple(pieces[i] for i in further[number]),
            np.unique(split[owner == number]),
            np.unique(split[where == number]),
        )
        for number, own in enumerate(groups)
        # All of it may have begun before.
        if begun[number]
    ]


def not_there(name: str, missing: Iterable[str], here: Iterable[Any]) -> str:
    """Return that columns are missing in a piece, and which ones it has."""
    return f"{name}: column {abbreviate(missing)} is not there; it has {abbreviate(here, limit=12) or 'none'}."


def raise_faults(faults: list[str]) -> None:
    """Raise a FrameError if there are any."""
    if len(faults) > 5:
        faults = [*faults[:5], f"and {len(faults) - 5} more of the same kind."]
    if faults:
        raise FrameError(faults)


def _longest(split: Hashes, count: IntArray) -> int:
    """Return the most rows that one series has after its first partition's pieces."""
    if not len(split):
        return 0
    starts = np.flatnonzero(np.concatenate([[True], split[1:] != split[:-1]]))
    return int(np.add.reduceat(count, starts).max())


def _joined(sizes: Iterable[int], rows: int) -> list[list[int]]:
    groups: list[list[int]] = [[]]
    total = 0
    for i, size in enumerate(sizes):
        if groups[-1] and total + size > rows:
            groups.append([])
            total = 0
        groups[-1].append(i)
        total += size
    return groups


class Frames(Partitions):
    """Partitions that are frames, or functions that make them.

    Parameters
    ----------
    frames : sequence of DataFrame, or of functions without arguments that return one
        They are read more than once.
    choices
        As in `Partitions`.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> df = load("airpassengers")
    >>> parts = [df.assign(unique_id="one"), df.assign(unique_id="two")]
    >>> len(Baseline("naive", horizon=2).fit(parts).predict().to_pandas())
    4
    """

    def __init__(self, frames: Sequence[Any], choices: str = "panel") -> None:
        super().__init__(choices)
        if not isinstance(frames, (list, tuple)):
            raise ArgumentTypeError(
                f"frames is a {type(frames).__name__}; expected a list of frames, or of functions that make them: the "
                f"data is read more than once."
            )
        if not frames:
            raise ArgumentError("the list of frames is empty; expected at least one frame.")
        self.frames = frames

    def __repr__(self) -> str:
        return f"Frames({counted(len(self.frames), 'frame')})"

    def _frame_of(self, piece: int) -> pd.DataFrame:
        frame = self.frames[piece]
        frame = frame() if callable(frame) else frame
        if not isinstance(frame, pd.DataFrame):
            raise ArgumentTypeError(
                f"frame {piece} of the list is a {type(frame).__module__}.{type(frame).__qualname__}; expected a "
                f"pandas DataFrame in long form, or a function that returns one."
            )
        return frame

    def sizes(self) -> list[int]:
        """Return the number of rows of each frame."""
        return [len(self._frame_of(i)) for i in range(len(self.frames))]

    def read(self, pieces: Sequence[int], names: Sequence[str]) -> pd.DataFrame:
        """Return some columns of some frames."""
        frames = [self._frame_of(i)[list(names)] for i in pieces]
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def piece_name(self, piece: int) -> str:
        """Return the place in the list."""
        return f"frame {piece}"

    def piece_version(self, piece: int) -> str:
        """Return a number that changes with the values of a frame."""
        return f"{piece}: {pd.util.hash_pandas_object(self._frame_of(piece), index=False).sum()}"

    def columns_of(self, piece: int) -> dict[str, str]:
        """Return the dtypes of a frame's columns."""
        return {str(name): _kind(kind) for name, kind in self._frame_of(piece).dtypes.items()}


def _kind(dtype: Any) -> str:
    """Return what a dtype is called, categories of any number alike."""
    return "category" if isinstance(dtype, pd.CategoricalDtype) else str(dtype)
