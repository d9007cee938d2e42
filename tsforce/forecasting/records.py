"""Measured records as arrays, checked, and as the series of a panel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.frequency import Clock
from tsforce.data.panel import Columns, IntArray, Panel, ragged_rows
from tsforce.errors import ArgumentError
from tsforce.forecasting.arguments import distinct, is_whole

__all__ = [
    "column_names",
    "measured_starts",
    "numbers",
    "offsets",
    "record_panel",
    "record_sizes",
    "rested_panel",
    "standard",
]

FloatArray = npt.NDArray[np.float64]


def offsets(name: str, value: Any, *, least: int) -> tuple[int, ...]:
    """Return lags, ascending; an int L stands for L of them from `least` on."""
    found = distinct(range(least, least + int(value)) if is_whole(value) else value, least)
    if not found:
        meaning = "1..L" if least else "input_delay..input_delay + L - 1"
        raise ArgumentError(
            f"{name}={value!r}: expected a whole number L of at least 1, for {meaning}, or a list of distinct whole "
            f"numbers of at least {least}."
        )
    return found


def numbers(name: str, y: Any) -> FloatArray:
    """Return outputs as (n, C) float64."""
    try:
        values = np.asarray(y.toarray() if hasattr(y, "toarray") else y, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} holds {str(np.ravel(y)[0])!r}: expected numbers.") from None
    if not np.isfinite(values).all():
        raise ArgumentError(f"{name} holds NaN or infinity: expected finite numbers; drop or fill those rows first.")
    return values[:, None] if values.ndim == 1 else values


def record_sizes(session_sizes: Any, n_rows: int) -> IntArray:
    """Return the rows of each record, (S,)."""
    if session_sizes is None:
        return np.array([n_rows], dtype=np.int64)
    sizes = np.asarray(session_sizes)
    good = sizes.ndim == 1 and sizes.size > 0 and sizes.dtype.kind in "iu" and bool((sizes > 0).all())
    if not good or sizes.sum() != n_rows:
        said = f", which add up to {sizes.sum()}" if good else ""
        raise ArgumentError(
            f"session_sizes={session_sizes!r}{said}: expected whole numbers of at least 1, the rows of each record in "
            f"order, that add up to the {n_rows} rows of X."
        )
    return sizes.astype(np.int64)


def measured_starts(y_init: Any, sizes: IntArray, n_outputs: int) -> list[FloatArray]:
    """Return the measured first outputs of each record, (n0, C) each, original units."""
    nothing = np.empty((0, n_outputs))
    if y_init is None:
        return [nothing] * len(sizes)
    listed = isinstance(y_init, (list, tuple))
    # A list of one array is that of one record; a list of numbers, or of rows of them, is an array.
    listed = listed and (
        len(sizes) > 1 or (len(y_init) == 1 and (y_init[0] is None or len(np.shape(y_init[0])) > (n_outputs > 1)))
    )
    given = list(y_init) if listed else [y_init]
    if len(given) != len(sizes):
        raise ArgumentError(
            f"y_init is for {len(given)} records, but there are {len(sizes)}; give a list with one array (or None) for "
            f"each."
        )
    heads = []
    for number, (one, size) in enumerate(zip(given, sizes, strict=True)):
        head = nothing if one is None else numbers("y_init", one) if np.ndim(one) in (1, 2) else None
        if head is not None and head.size == 0:
            head = nothing
        if head is None or head.shape[1] != n_outputs or len(head) > size:
            raise ArgumentError(
                f"y_init of record {number} has the shape {np.shape(one)}: expected (n0, {n_outputs})"
                f"{' or (n0,)' if n_outputs == 1 else ''} with n0 at most {size}, the rows of the record."
            )
        heads.append(head)
    return heads


def standard(targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of each output, (C,) each; that of a constant is 1."""
    mean, spread = targets.mean(axis=0), targets.std(axis=0)
    # The mean of equal values is off by rounding; such a spread is none.
    return mean, np.where(spread > 1e-12 * np.abs(mean), spread, 1.0)


def record_panel(
    inputs: FloatArray,
    values: FloatArray,
    counts: IntArray,
    names: tuple[str, ...],
    channels: tuple[str, ...],
    *,
    same: bool = False,
) -> Panel:
    """Return records as the series of a panel; under one id if they are the `same` to a model."""
    n_records = len(counts)
    return Panel(
        ids=np.zeros(n_records, dtype=np.int64) if same else np.arange(n_records),
        values=np.ascontiguousarray(values),
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        start=np.zeros(n_records, dtype=np.int64),
        clock=Clock(1, 1, np.dtype(np.int64)),
        columns=Columns(targets=channels, future_exog=names),
        inputs=np.ascontiguousarray(inputs),
    )


def rested_panel(
    X: FloatArray,
    sizes: IntArray,
    measured: list[FloatArray],
    rows: IntArray,
    rest: int,
    names: tuple[str, ...],
    channels: tuple[str, ...],
) -> Panel:
    """Return records, all under one id, each after rows in which the system rests.

    Parameters
    ----------
    X : (n, F)
        Inputs; those of the first row of a record also stand before it.
    sizes : (S,) int64
    measured : S arrays (n0, C)
        Standardised outputs of the first rows of each record; 0, the training mean, elsewhere.
    rows : (S,) int64
        Rows that each is to have after those of rest, as many as `sizes` or more: the last inputs are repeated.
    rest : int
    names, channels : tuple of str
        Of inputs and outputs.
    """
    counts = rest + rows
    place = ragged_rows(np.full(len(sizes), -rest), counts)
    first = np.repeat(np.cumsum(sizes) - sizes, counts)
    inputs = X[first + np.clip(place, 0, np.repeat(sizes - 1, counts))]
    values = np.zeros((len(inputs), len(channels)))
    for begin, own in zip(np.cumsum(counts) - rows, measured, strict=True):
        values[begin : begin + len(own)] = own
    return record_panel(inputs, values, counts, names, channels, same=True)


def column_names(
    inputs: Iterable[Any], n_inputs: int, y: Any, n_outputs: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names of inputs and outputs for the columns of the lag vector: the user's where they tell all apart."""
    channels: tuple[str, ...] = ("y",)
    if n_outputs > 1:
        channels = tuple(map(str, getattr(y, "columns", [f"y{c}" for c in range(n_outputs)])))
    names = tuple(map(str, inputs))
    if len({*names, *channels}) < n_inputs + n_outputs:
        names = tuple(f"x{c}" for c in range(n_inputs))
    if len({*names, *channels}) < n_inputs + n_outputs:
        channels = tuple(f"y{c}" for c in range(n_outputs))
    return names, channels
