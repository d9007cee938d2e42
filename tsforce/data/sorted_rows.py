"""The rows of a long frame in the order of series and time, and how messages speak of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import Columns, IntArray
from tsforce.errors import abbreviate

__all__ = ["BoolArray", "SortedRows", "counted", "place"]

BoolArray = npt.NDArray[np.bool_]


def place(row: int, labels: Any) -> str:
    """Return how to speak of a row: its number from 0 as in ``df.iloc``, and its index label where that differs."""
    label = labels[row]
    label = label.item() if isinstance(label, np.generic) else label
    return f"row {row}" if label is row or str(label) == str(row) else f"row {row} (index label {label!r})"


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural where there are several.

    Examples
    --------
    >>> counted(1, "row"), counted(2, "row")
    ('1 row', '2 rows')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True, eq=False)
class SortedRows:
    """The rows of a frame in the order of series and time.

    Attributes
    ----------
    columns : Columns
    has_ids : bool
        Whether the frame has the id column; without it the frame is one series.
    ids : Index of length S
    codes : (N,) int64
        Series of each row, ascending.
    indptr : (S + 1,) int64
        Series i owns the rows ``indptr[i]:indptr[i + 1]``.
    stamps : Index of length N
    raw : (N,) int64
        The stamps as whole numbers.
    order : (N,) int64 or None
        Row of the user's frame that each row was; None where nothing had to be sorted.
    labels : Index of length N
        Of the user's frame.
    """

    columns: Columns
    has_ids: bool
    ids: Any
    codes: IntArray
    indptr: IntArray
    stamps: Any
    raw: IntArray
    order: IntArray | None
    labels: Any

    @cached_property
    def same(self) -> BoolArray:
        """Whether row k + 1 belongs to the series of row k, (N - 1,) bool."""
        same: BoolArray = self.codes[1:] == self.codes[:-1]
        return same

    def first(self, flat: IntArray) -> tuple[int, str]:
        """Return which of some rows stands first in the user's frame, and how to speak of it."""
        rows = flat if self.order is None else self.order[flat]
        k = int(np.argmin(rows))
        return int(flat[k]), place(int(rows[k]), self.labels)

    def found(self, flat: IntArray, noun: str, number: int | None = None) -> str:
        """Return which series some rows belong to, and how many there are (or `number`) of what."""
        names = abbreviate(self.ids[np.unique(self.codes[flat])])
        return f"series {names}: {counted(len(flat) if number is None else number, noun)}"

    def transformed(self, series: str) -> str:
        """Return the repair that puts `series`, an expression in s of the same length, in the place of each series."""
        target = repr(self.columns.targets[0])
        # Neighbours in the frame have to be neighbours in time before anything is interpolated.
        sort = "" if self.order is None else f"df = df.sort_values({self.columns.time!r}, ignore_index=True); "
        if not self.has_ids:
            return f"{sort}df[{target}] = df[{target}].pipe(lambda s: {series})"
        grouped = f"df.groupby({self.columns.id!r}, observed=True)[{target}]"
        return f"{sort}df[{target}] = {grouped}.transform(lambda s: {series})"
