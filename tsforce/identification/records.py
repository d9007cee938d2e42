"""Measured records as arrays, checked, and as the series of a panel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.frequency import Clock
from tsforce.data.panel import Columns, IntArray, Panel, ragged_rows
from tsforce.errors import ArgumentError, SeriesTooShortError, abbreviate
from tsforce.forecasting.arguments import check_count
from tsforce.identification.record_starts import Before

__all__ = [
    "check_clock",
    "check_lengths",
    "check_order",
    "check_weight",
    "column_names",
    "held_out_share",
    "horizon_of",
    "measured_starts",
    "n_held_out",
    "numbers",
    "record_panel",
    "rested_panel",
    "rows_to_skip",
    "standard",
]

FloatArray = npt.NDArray[np.float64]

# Fewest steps of a training roll-out, where a record is long enough.
_HORIZON = 50
# What is held out of every record by default.
_SHARE = 0.2


def held_out_share(value: Any) -> float | None:
    """Return the share of every record that ``Training.validation`` holds out; None for none."""
    if isinstance(value, (bool, np.bool_)) and not value:
        return None
    if isinstance(value, str) and value == "auto":
        return _SHARE
    number = isinstance(value, (float, np.floating)) and 0 < value < 1
    if not number:
        raise ArgumentError(
            f"validation={value!r}: expected 'auto', False or a share of the rows, above 0 and below 1."
        )
    return float(value)


def n_held_out(value: Any) -> int:
    """Return how many windows of each record ``Training.validation`` holds out: one long one, or none."""
    return 0 if held_out_share(value) is None else 1


def horizon_of(value: Any, reach: int, longest: int) -> int:
    """Return the steps of a training roll-out, of models with this largest lag and records of at most so many rows."""
    if isinstance(value, str) and value == "auto":
        return max(1, min(max(_HORIZON, 4 * reach), longest // 4))
    return check_count("horizon", value, other="'auto'")


def numbers(name: str, y: Any) -> FloatArray:
    """Return outputs as (n, C) float64."""
    try:
        values = np.asarray(y.toarray() if hasattr(y, "toarray") else y, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} holds {str(np.ravel(y)[0])!r}: expected numbers.") from None
    if not np.isfinite(values).all():
        raise ArgumentError(f"{name} holds NaN or infinity: expected finite numbers. Give rows without a gap.")
    return values[:, None] if values.ndim == 1 else values


def check_lengths(sizes: IntArray, reach: int) -> None:
    """Raise a SeriesTooShortError unless a record has a row whose lags, the largest of them `reach`, are all in it."""
    if sizes.max() <= reach:
        raise SeriesTooShortError(
            f"n_samples={sizes.sum()}, the longest record has {sizes.max()}: the largest lag, {reach}, needs at least "
            f"{reach + 1} rows in one record; lower output_lags, input_lags or input_delay, or give more rows."
        )


def rows_to_skip(skip: Any, reach: int) -> int:
    """Return the rows at the start of each record that are given and not scored: the largest lag by default."""
    if skip is not None and check_count("skip", skip, other="None") < reach:
        raise ArgumentError(
            f"skip={skip!r}: the model reads {reach} rows back; skip at least as many, or leave it out."
        )
    return reach if skip is None else int(skip)


def check_weight(sample_weight: Any, n_rows: int) -> FloatArray | None:
    """Return the weight of each row, (n,), if there are any."""
    if sample_weight is None:
        return None
    if np.shape(sample_weight) != (n_rows,):
        raise ArgumentError(
            f"sample_weight has the shape {np.shape(sample_weight)}: expected ({n_rows},), a weight for each row. Rows "
            f"of each record are given by name, session_sizes=."
        )
    return np.asarray(sample_weight)


def measured_starts(y_init: Any, sizes: IntArray, names: Sequence[str]) -> list[FloatArray]:
    """Return the measured first outputs of each record, (n0, C) each, original units; outputs have these names."""
    n_outputs = len(names)
    nothing = np.empty((0, n_outputs))
    if y_init is None:
        return [nothing] * len(sizes)
    # A list of one array is that of one record; a list of numbers, or of rows of them, is an array.
    if isinstance(y_init, (list, tuple)):
        alone = len(y_init) == 1 and (y_init[0] is None or len(np.shape(y_init[0])) > (n_outputs > 1))
        listed = len(sizes) > 1 or alone
    else:
        listed = np.ndim(y_init) == 3
    given = list(y_init) if listed else [y_init]
    if len(given) != len(sizes):
        raise ArgumentError(
            f"y_init is for {len(given)} records, but there are {len(sizes)}; give a list with one array (or None) for "
            f"each."
        )
    heads = []
    for number, (one, size) in enumerate(zip(given, sizes, strict=True)):
        check_order("y_init", one, names)
        head = nothing if one is None else numbers("y_init", one) if np.ndim(one) in (1, 2) else None
        if head is not None and head.size == 0:
            head = nothing
        if head is None or head.shape[1] != n_outputs or len(head) > size:
            raise ArgumentError(
                f"y_init of record {number} has the shape {np.shape(one)}: expected (n0, {n_outputs})"
                f"{' or (n0,)' if n_outputs == 1 else ''} with n0 at most {size}, the rows of the record."
                + (" One row of outputs is written [[...]], or y[:1]." if np.shape(one) == (n_outputs,) else "")
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
    before: Before | None = None,
) -> Panel:
    """Return records, all under one id, each after rows in which the system rests.

    Parameters
    ----------
    X : (n, F)
        Inputs; those of the first row of a record also stand before it.
    sizes : (S,) int64
    measured : S arrays (n0, C)
        Standardised outputs of the first rows of each record; 0, the training mean, elsewhere. The first of them also
        stands before the record.
    rows : (S,) int64
        Rows that each is to have after those of rest, as many as `sizes` or more: the last inputs are repeated.
    rest : int
    names, channels : tuple of str
        Of inputs and outputs.
    before : Before, optional
        What stands before every record instead, standardised outputs.
    """
    counts = rest + rows
    place = ragged_rows(np.full(len(sizes), -rest), counts)
    first = np.repeat(np.cumsum(sizes) - sizes, counts)
    inputs = X[first + np.clip(place, 0, np.repeat(sizes - 1, counts))]
    values = np.zeros((len(inputs), len(channels)))
    for begin, own in zip(np.cumsum(counts) - rows, measured, strict=True):
        if before is not None:
            back = np.clip(np.arange(-rest, 0), -len(before.inputs), None)
            inputs[begin - rest : begin], values[begin - rest : begin] = before.inputs[back], before.outputs[back]
        elif len(own):
            values[begin - rest : begin] = own[0]
        values[begin : begin + len(own)] = own
    return record_panel(inputs, values, counts, names, channels, same=True)


def column_names(
    inputs: Iterable[Any], n_inputs: int, y: Any, n_outputs: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names of inputs and outputs: the user's; x0, x1 ..., y, or y0, y1 ... where they have none.

    Raises
    ------
    ArgumentError
        If two columns have one name.
    """
    names = tuple(map(str, inputs)) or tuple(f"x{c}" for c in range(n_inputs))
    channels = _own_names(y)
    if len(channels) != n_outputs:
        channels = ("y",) if n_outputs == 1 else tuple(f"y{c}" for c in range(n_outputs))
    together = [*names, *channels]
    twice = [name for name in dict.fromkeys(together) if together.count(name) > 1]
    if twice:
        raise ArgumentError(
            f"{abbreviate(twice)}: more than one column of X and y is called so (a nameless output is y, or y0, y1 "
            f"..., nameless inputs are x0, x1 ...); expected a name for each. Rename some, or name y."
        )
    return names, channels


def check_clock(X: Any, y: Any, sizes: IntArray) -> None:
    """Raise an ArgumentError if the index of X or y says that rows are missing, out of order, or no rows of one time.

    Parameters
    ----------
    X, y : array-like, (n, ...)
        Only indexes are looked at: of time or of fractions for order and steps, any two against each other.
    sizes : (S,) int64
        Rows of each record; nothing is asked of where one ends and the next begins.
    """
    # Lists have a method of that name.
    own, other = (getattr(rows, "index", None) for rows in (X, y))
    kinds = [getattr(getattr(index, "dtype", None), "kind", "") for index in (own, other)]
    if own is not None and other is not None and kinds[0] == kinds[1] != "" and not own.equals(other):
        k = int(np.flatnonzero(np.asarray(own != other))[0])
        raise ArgumentError(
            f"X and y are of different rows: row {k} is {own[k]!r} in the index of X and {other[k]!r} in that of y. "
            f"Give y the rows of X, y = y.loc[X.index]; or, if they belong together as they stand, y.to_numpy()."
        )
    for name, index, kind in (("X", own, kinds[0]), ("y", other, kinds[1])):
        if index is None or kind not in ("m", "M", "f"):
            continue
        # Ticks of one unit, whatever it is: only their ratios are looked at.
        ticks = np.asarray(index.asi8 if kind in "mM" else index, dtype=np.float64)
        step, end = np.diff(ticks), np.cumsum(sizes)[:-1] - 1
        within = np.ones(len(step), dtype=bool)
        within[end] = False
        back = np.flatnonzero(within & ~(step > 0))
        if len(back):
            raise ArgumentError(
                f"the index of {name} goes back {len(back)} times, first from {index[back[0]]!r} to "
                f"{index[back[0] + 1]!r}; expected rows in the order of time. Sort them, X = X.sort_index() and "
                f"y = y.sort_index(); or, where another record begins there, give session_sizes=."
            )
        usual = float(np.median(step[within])) if within.any() else 0.0
        wide = np.flatnonzero(within & (step > 1.5 * usual))
        if len(wide):
            raise ArgumentError(
                f"the index of {name} says that rows are missing in {len(wide)} places, first between "
                f"{index[wide[0]]!r} and {index[wide[0] + 1]!r}; lags count rows, which have to be one step apart. "
                f"Fill them in, or make records of the stretches with session_sizes=; or, if no row is missing, drop "
                f"the index, X = X.reset_index(drop=True)."
            )


def check_order(argument: str, y: Any, names: Sequence[str]) -> None:
    """Raise an ArgumentError if `y` names some of the outputs that were fitted, but not all in their order.

    Outputs without names, or by others altogether, are taken as they stand.
    """
    own = _own_names(y)
    if own != tuple(names) and not {*own}.isdisjoint(names):
        raise ArgumentError(
            f"{argument} has the columns {list(own)}, but the outputs that were fitted are {list(names)}; give them in "
            f"that order."
        )


def _own_names(y: Any) -> tuple[str, ...]:
    """Return the names of the columns of a frame, or the name of a Series; none unless all are text."""
    found = tuple(getattr(y, "columns", (getattr(y, "name", None),)))
    return found if all(isinstance(name, str) and name for name in found) else ()
