"""Records as a user gives them: a list of them, or one below the other with rows of each, or a label for each row."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.panel import IntArray
from tsforce.errors import ArgumentError, ContextWarning, warn

__all__ = ["Given", "record_sizes"]


@dataclass(frozen=True, eq=False)
class Given:
    """Records one below the other, not yet checked.

    Attributes
    ----------
    X, y : array-like, (n, F), and (n,) or (n, C), or None
    session_sizes : array-like, (S,), optional
        Rows of each record.
    sessions : array-like, (n,), optional
        A label for each row instead.
    listed : bool
        Whether they were given as a list.
    """

    X: Any
    y: Any
    session_sizes: Any
    sessions: Any
    listed: bool

    @staticmethod
    def of(X: Any, y: Any = None, session_sizes: Any = None, sessions: Any = None) -> Given:
        """Return records as they come; a list of them, or an array (S, n, F), one below the other.

        Raises
        ------
        ArgumentError
            If tables of a list do not fit together, or borders are given twice.
        """
        tables = _tables(X)
        both = {"session_sizes=": session_sizes, "sessions=": sessions}
        borders = [name for name, value in both.items() if value is not None]
        if len(borders) == 2 or (tables is not None and borders):
            also = "" if tables is None else "X is a list of records, and "
            raise ArgumentError(f"{also}{' and '.join(borders)} say where records end: expected one of these only.")
        if tables is None:
            _check_one_table(X, y)
            return Given(X, y, session_sizes, sessions, False)
        outputs = None if y is None else _outputs(tables, y)
        sizes = [len(table) for table in tables]
        return Given(_stacked(tables), None if outputs is None else _stacked(outputs), sizes, None, True)

    def sizes(self, n_rows: int) -> IntArray:
        """Return the rows of each record, (S,) int64."""
        if self.sessions is None:
            return record_sizes(self.session_sizes, n_rows)
        if np.shape(self.sessions) != (n_rows,):
            raise ArgumentError(
                f"sessions has the shape {np.shape(self.sessions)}: expected ({n_rows},), a label for each row of X."
            )
        codes = pd.factorize(np.asarray(self.sessions))[0]
        starts = np.flatnonzero(np.diff(codes, prepend=codes[0] - 1))
        return np.diff(starts, append=n_rows).astype(np.int64)

    def apart(self, values: npt.NDArray[np.float64], sizes: IntArray) -> Any:
        """Return what stands one below the other as records were given: an array of all, or a list of each one's."""
        return np.split(values, np.cumsum(sizes)[:-1]) if self.listed else values

    def joined(self, values: Any) -> Any:
        """Return further numbers of rows one below the other, where they come as a list like the records."""
        apart = self.listed and isinstance(values, (list, tuple)) and all(np.ndim(one) == 1 for one in values)
        return np.concatenate(values) if apart else values


def record_sizes(session_sizes: Any, n_rows: int) -> IntArray:
    """Return the rows of each record, (S,).

    Raises
    ------
    ArgumentError
        If they are no counts, or do not add up to `n_rows`.

    Warns
    -----
    ContextWarning
        If they add up to more, and there is just one choice of whole records that has `n_rows`, as in a fold that
        leaves some out: that one is taken.
    """
    if session_sizes is None:
        return np.array([n_rows], dtype=np.int64)
    sizes = np.asarray(session_sizes)
    good = sizes.ndim == 1 and sizes.size > 0 and sizes.dtype.kind in "iu" and bool((sizes > 0).all())
    if good and sizes.sum() == n_rows:
        return sizes.astype(np.int64)
    chosen = _whole_records(sizes.tolist(), n_rows) if good else None
    advice = "Where folds leave records out, give sessions=, a label for each row, which searches cut as they cut X."
    if chosen:
        warn(
            f"session_sizes={session_sizes!r} are of {sizes.sum()} rows, and X has {n_rows}: taken for the records of "
            f"{', '.join(map(str, chosen))} rows, the only ones that add up to that. {advice}",
            ContextWarning,
        )
        return np.array(chosen, dtype=np.int64)
    said = f", which add up to {sizes.sum()}" if good else ""
    raise ArgumentError(
        f"session_sizes={session_sizes!r}{said}: expected a list of whole numbers of at least 1, the rows of each "
        f"record in order, that add up to the {n_rows} rows of X. {advice}"
    )


def _whole_records(sizes: list[int], n_rows: int) -> list[int] | None:
    """Return the rows of some of the records, in order, that add up to so many; None if none do, or others as well.

    Examples
    --------
    >>> _whole_records([100, 80, 60], 160), _whole_records([100, 80, 180], 180), _whole_records([80, 80], 80)
    ([100, 60], None, [80])
    """
    # Bit t of sums[k]: some of the records from the k-th on have t rows together.
    sums, shown = [1], (1 << n_rows + 1) - 1
    for size in reversed(sizes):
        sums.append((sums[-1] | sums[-1] << size) & shown)
    sums.reverse()
    chosen, start, left = [], 0, n_rows
    while left:
        # By its rows, the first record that may come next.
        ways = {
            size: k
            for k, size in reversed(list(enumerate(sizes[start:], start)))
            if size <= left and sums[k + 1] >> (left - size) & 1
        }
        if len(ways) != 1:
            return None
        ((size, k),) = ways.items()
        chosen.append(size)
        start, left = k + 1, left - size
    return chosen


def _depth(value: Any) -> int:
    """Return the axes of an array-like; 0 for what is none."""
    try:
        return int(np.ndim(value))
    except ValueError:
        return 0


def _tables(X: Any) -> list[Any] | None:
    """Return the tables of a list of records; None for a single table, or rows of one."""
    listed = isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.ndim in (1, 3))
    if not listed or not len(X) or _depth(X[0]) != 2 or hasattr(X[0], "toarray"):
        return None
    tables = list(X)
    first = _names(tables[0])
    for number, table in enumerate(tables):
        columns = _names(table)
        if _depth(table) != 2:
            raise ArgumentError(
                f"record {number} of X has the shape {np.shape(table)}: expected a table (n, inputs) as the first one."
            )
        if columns != first:
            raise ArgumentError(
                f"record {number} of X has {'no names' if columns is None else columns}, record 0 has "
                f"{'none' if first is None else first}: expected the same columns in all."
            )
        if np.shape(table)[1] != np.shape(tables[0])[1]:
            raise ArgumentError(
                f"record {number} of X has {np.shape(table)[1]} inputs, record 0 has {np.shape(tables[0])[1]}: "
                f"expected the same in all."
            )
    return tables


def _names(table: Any) -> list[Any] | None:
    """Return the names of the columns of a frame; None for an array."""
    columns = getattr(table, "columns", None)
    return None if columns is None else list(columns)


def _outputs(tables: list[Any], y: Any) -> list[Any]:
    """Return the outputs of each record of a list."""
    if not isinstance(y, (list, tuple, np.ndarray)) or not len(y) or _depth(y[0]) == 0:
        raise ArgumentError(
            f"X is a list of {len(tables)} records, and y is one array: expected a list of outputs, (n,) or (n, "
            f"outputs) each. Give y so, or X in one with session_sizes={[len(table) for table in tables]}."
        )
    outputs = list(y)
    if len(outputs) != len(tables):
        raise ArgumentError(
            f"X is a list of {len(tables)} records, and y of {len(outputs)}: expected one y for each X."
        )
    for number, (table, own) in enumerate(zip(tables, outputs, strict=True)):
        if np.shape(own)[:1] != (len(table),):
            raise ArgumentError(
                f"record {number} has {len(table)} rows in X and shape {np.shape(own)} in y: expected as many rows."
            )
        if np.shape(own)[1:] != np.shape(outputs[0])[1:]:
            raise ArgumentError(
                f"record {number} of y has the shape {np.shape(own)}, record 0 has {np.shape(outputs[0])}: expected "
                f"the same outputs in all."
            )
    return outputs


def _check_one_table(X: Any, y: Any) -> None:
    """Raise an ArgumentError if these are records all the same, but none that can be told from rows."""
    series = [isinstance(each, (list, tuple)) and len(each) > 0 and _are_series(each) for each in (X, y)]
    if series[0]:
        lengths = [len(one) for one in X]
        beside = series[1] and [len(one) for one in y] == lengths
        if len(set(lengths)) > 1 or (beside and lengths[0] > len(X)):
            raise ArgumentError(
                f"X is a list of {len(X)} one-dimensional arrays, the first of {lengths[0]} numbers: expected tables "
                f"(n, inputs) for records. Write them as columns, [u[:, None] for u in X]; or give all in one with "
                f"session_sizes={lengths[:5]}{' ...' if len(lengths) > 5 else ''}."
            )
    elif series[1] and _depth(X) == 2 and len(y) != np.shape(X)[0]:
        raise ArgumentError(
            f"y is a list of {len(y)} records, and X is one table: expected a list of tables (n, inputs). Give X so, "
            f"or y in one, np.concatenate(y), with session_sizes=."
        )


def _are_series(listed: Sequence[Any]) -> bool:
    """Return whether a list holds arrays, one-dimensional each."""
    return all(isinstance(one, (np.ndarray, pd.Series)) and one.ndim == 1 for one in listed)


def _stacked(tables: list[Any]) -> Any:
    """Return tables one below the other; frames, those of polars too, with their names and indexes."""
    if all(isinstance(table, (pd.DataFrame, pd.Series)) for table in tables):
        return pd.concat(tables)
    if all(hasattr(table, "vstack") for table in tables):
        return functools.reduce(lambda above, below: above.vstack(below), tables)
    return np.concatenate([np.asarray(table) for table in tables])
