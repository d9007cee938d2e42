"""Gaps in measured records: named where they are, and records cut there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import _safe_indexing

from tsforce.data.panel import IntArray
from tsforce.errors import ArgumentError, abbreviate
from tsforce.forecasting.arguments import check_count
from tsforce.identification.sessions import Given

__all__ = ["check_no_gaps", "without_gaps"]

BoolArray = npt.NDArray[np.bool_]

# How many rows a message names.
_NAMED = 5


def without_gaps(
    X: Any, y: Any = None, session_sizes: Any = None, *, sessions: Any = None, shortest: int = 1
) -> tuple[Any, Any, IntArray]:
    """Return records without the rows that hold NaN or infinity, cut there, and the rows of each piece.

    A row that is dropped would let lags reach over it, as if what lies before and after followed each other; of
    records that end there none does.

    Parameters
    ----------
    X : array-like, (n, F), or a list of them
        Inputs, rows in time order.
    y : array-like, (n,) or (n, C), or a list of them, optional
        Measured outputs.
    session_sizes : array-like, (S,), optional
        Rows of each record that there is already; one by default.
    sessions : array-like, (n,), optional
        A label for each row instead.
    shortest : int
        Pieces with fewer rows are left out. Those that lags do not fit in are no harm to a fit, which has nothing from
        them; a report wants some rows to score in each.

    Returns
    -------
    X, y : of the kinds given, (n', F), and (n',) or (n', C)
        Frames keep their names and index. None for a y that was not given.
    session_sizes : (S',) int64
        Rows of each piece, for ``fit(X, y, session_sizes=...)``. For searches, a label for each row:
        ``sessions=np.repeat(np.arange(len(session_sizes)), session_sizes)``.

    Raises
    ------
    ArgumentError
        If nothing is left.

    Examples
    --------
    >>> X, y = [[1.0], [2.0], [3.0], [4.0]], [1.0, float("nan"), 3.0, 4.0]
    >>> X, y, sizes = without_gaps(X, y)
    >>> X.ravel().tolist(), y.tolist(), sizes.tolist()
    ([1.0, 3.0, 4.0], [1.0, 3.0, 4.0], [1, 2])
    """
    shortest = check_count("shortest", shortest)
    given = Given.of(X, y, session_sizes, sessions)
    tables = [np.asarray(rows) if isinstance(rows, (list, tuple)) else rows for rows in (given.X, given.y)]
    n_rows = len(tables[0])
    if tables[1] is not None and len(tables[1]) != n_rows:
        raise ArgumentError(
            f"X has {n_rows} rows and y {len(tables[1])}; expected as many. Give the same rows of both."
        )
    sizes = given.sizes(n_rows)
    whole = np.ones(n_rows, dtype=bool)
    for rows in tables:
        finite = None if rows is None else _finite(rows)
        if finite is not None:
            whole &= finite.all(axis=1)
    # A piece ends with its record, and at each row that is left out.
    piece = np.repeat(np.arange(len(sizes)), sizes) + np.cumsum(~whole)
    _, place, counts = np.unique(piece[whole], return_inverse=True, return_counts=True)
    kept = np.flatnonzero(whole)[counts[place] >= shortest]
    if not len(kept):
        raise ArgumentError(
            f"X and y have {int(whole.sum())} rows without NaN or infinity, in pieces of at most "
            f"{counts.max(initial=0)} rows: expected one of shortest={shortest} at least."
        )
    X, y = (None if rows is None else _safe_indexing(rows, kept) for rows in tables)
    return X, y, counts[counts >= shortest].astype(np.int64)


def check_no_gaps(call: str, given: Given, *, shortest: int = 1) -> None:
    """Raise an ArgumentError if a row holds NaN or infinity; other things that are no numbers are left to others.

    Parameters
    ----------
    call : str
        What to call once records are cut: by their rows, `session_sizes`.
    given : Given
    shortest : int
        Rows that a piece is to have.
    """
    found = [
        (name, rows, ~finite)
        for name, rows in (("X", given.X), ("y", given.y))
        if rows is not None and (finite := _finite(rows)) is not None and not finite.all()
    ]
    if not found:
        return
    said, arguments = [], "X" if given.y is None else "X, y"
    for name, rows, bad in found:
        where = np.flatnonzero(bad.any(axis=1))
        more = f" (and {len(where) - _NAMED} more)" if len(where) > _NAMED else ""
        columns = _columns(name, rows, np.flatnonzero(bad.any(axis=0)), bad.shape[1])
        named = ", ".join(map(str, where[:_NAMED]))
        said.append(f"{name} in {'row' if len(where) == 1 else 'rows'} {named}{more}{columns}")
    borders = ["session_sizes", "sessions"][given.sessions is not None]
    has_borders = not given.listed and (given.session_sizes is not None or given.sessions is not None)
    cut = f"{arguments}, {borders}={borders}" if has_borders else arguments
    if shortest > 1:
        cut += f", shortest={shortest}"
    raise ArgumentError(
        f"NaN or infinity: {'; '.join(said)}; expected finite numbers. Without such a row lags would reach over the "
        f"gap; cut the record there: {'X, _' if given.y is None else 'X, y'}, session_sizes = "
        f"tsforce.sysid.without_gaps({cut}), then {call}."
    )


def _finite(rows: Any) -> BoolArray | None:
    """Return which values are finite, (n, columns); None for what is no table of numbers."""
    try:
        if isinstance(rows, (pd.DataFrame, pd.Series)):
            table = rows.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            table = np.asarray(rows)
            table = table.astype(np.float64) if table.dtype == object else table
    except (TypeError, ValueError):
        return None
    if table.dtype.kind not in "fiub" or table.ndim not in (1, 2):
        return None
    finite: BoolArray = np.isfinite(table[:, None] if table.ndim == 1 else table)
    return finite


def _columns(name: str, rows: Any, bad: IntArray, count: int) -> str:
    """Return which columns of `count` are meant, in words."""
    if count == 1:
        return ""
    known = getattr(rows, "columns", None)
    return f" of {abbreviate(f'{name.lower()}{c}' if known is None else known[c] for c in bad)}"
