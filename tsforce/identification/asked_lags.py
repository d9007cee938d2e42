"""Which lags of outputs and inputs a model of a dynamic system is asked to read, each input's its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tsforce.errors import ArgumentError, abbreviate
from tsforce.forecasting.arguments import check_count, distinct, is_whole, output_lags_of

__all__ = ["check_output_lags", "lags_by_input", "said_lags"]


def check_output_lags(value: Any) -> tuple[int, ...]:
    """Return lags of the outputs, ascending; none of them for a finite impulse response.

    Raises
    ------
    ArgumentError
        With what is accepted.
    """
    found = output_lags_of(value)
    if found is None:
        raise ArgumentError(
            f"output_lags={value!r}: expected a whole number L for 1..L (0: none, so that outputs follow from inputs "
            f"alone), or a list of distinct whole numbers of at least 1."
        )
    return found


def lags_by_input(input_lags: Any, input_delay: Any, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the offsets at which each input is read, ascending, its delay included.

    Parameters
    ----------
    input_lags : int, sequence of int, or one of these for each input: a sequence of them, or a dict by name
        An int L: 0..L - 1 behind the delay; a sequence of int: exactly those, for every input.
    input_delay : int, or one for each input: a sequence, or a dict by name
        An input that a dict leaves out has none.
    names : sequence of str

    Raises
    ------
    ArgumentError
        If lags or delays are none, or are not for the inputs there are.
    """
    own = _by_name("input_lags", input_lags, names, each=_is_nested(input_lags))
    missing = [name for name in names if name not in own]
    if missing:
        raise ArgumentError(
            f"input_lags={input_lags!r} leaves out {abbreviate(missing)}: expected lags for each of the inputs "
            f"{abbreviate(names)}. Name them too, or leave their columns out of X."
        )
    each = isinstance(input_delay, Iterable) and not isinstance(input_delay, str)
    delays = dict.fromkeys(names, 0) | _by_name("input_delay", input_delay, names, each=each)
    found = {}
    for name in names:
        whose = f" of {name!r}" if isinstance(input_delay, Mapping) or each else ""
        delay = check_count(f"input_delay{whose}", delays[name], least=0)
        lags = distinct(range(own[name]) if is_whole(own[name]) else own[name], 0)
        if not lags:
            whose = f" of {name!r}" if isinstance(input_lags, Mapping) or _is_nested(input_lags) else ""
            raise ArgumentError(
                f"input_lags{whose}={own[name]!r}: expected a whole number L of at least 1, for "
                f"input_delay..input_delay + L - 1, or a list of distinct whole numbers of at least 0; one of these "
                f"for each input ([[1], [12]], or a dict by name) where they differ."
            )
        found[name] = tuple(lag + delay for lag in lags)
    return found


def said_lags(by_input: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
    """Return lags that are the same for every input as one tuple."""
    same = len(set(by_input.values())) == 1
    return next(iter(by_input.values())) if same else dict(by_input)


def _is_nested(value: Any) -> bool:
    """Return whether a sequence holds something for each input: [1, 12] are lags of every one, [[1], 12] are not."""
    listed = isinstance(value, Iterable) and not isinstance(value, (str, Mapping))
    return listed and any(isinstance(entry, Iterable) and not isinstance(entry, str) for entry in value)


def _by_name(argument: str, value: Any, names: Sequence[str], *, each: bool) -> dict[str, Any]:
    """Return what is said of each input; not of all of them where a dict says it."""
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in names]
        if unknown:
            raise ArgumentError(
                f"{argument} names {abbreviate(unknown)}, but the inputs are {abbreviate(names)}; name some of these "
                f"(columns without names are x0, x1 ...)."
            )
        return dict(value)
    if not each:
        return dict.fromkeys(names, value)
    entries = list(value)
    if len(entries) != len(names):
        raise ArgumentError(
            f"{argument}={value!r} has {len(entries)} entries: expected {len(names)}, one for each of the inputs "
            f"{abbreviate(names)}, or one value for all of them."
        )
    return dict(zip(names, entries, strict=True))
