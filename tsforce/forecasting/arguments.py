"""What the arguments of a NARX forecaster mean: checked and resolved against the panel, never at construction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, overload

import numpy as np
import torch

from tsforce.data.calendar import check_calendar
from tsforce.data.inputs import InputCoder
from tsforce.data.panel import IntArray, Panel
from tsforce.dynamics.forcing import Forcing
from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError, SeriesTooShortError, abbreviate, check_choice

__all__ = [
    "MODES",
    "check_columns",
    "check_count",
    "check_device",
    "check_mode",
    "check_number",
    "distinct",
    "is_penalty",
    "is_whole",
    "long_enough",
    "output_lags_of",
    "resolve_exog_lags",
    "resolve_inputs",
    "resolve_lags",
    "windows_held_out",
]

MODES = ("auto", "open_loop", "closed_loop", "curriculum")


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number; True and False are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def distinct(values: Any, least: int) -> tuple[int, ...] | None:
    """Return whole numbers, ascending; None if one is less than `least`, comes twice, or is no such number.

    Examples
    --------
    >>> distinct([3, 1], 1), distinct([], 1), distinct([3, 3], 1), distinct("31", 1)
    ((1, 3), (), None, None)
    """
    if not isinstance(values, Iterable) or isinstance(values, str):
        return None
    listed = list(values)
    good = all(is_whole(value) and value >= least for value in listed) and len(set(listed)) == len(listed)
    return tuple(sorted(int(value) for value in listed)) if good else None


def output_lags_of(value: Any) -> tuple[int, ...] | None:
    """Return lags of the target, ascending: an int L stands for 1..L, and so 0 for none; None if they are no lags.

    Examples
    --------
    >>> output_lags_of(2), output_lags_of([12, 1]), output_lags_of(0), output_lags_of([0])
    ((1, 2), (1, 12), (), None)
    """
    return distinct(range(1, int(value) + 1) if is_whole(value) and value >= 0 else value, 1)


def check_count(name: str, value: Any, *, least: int = 1, other: str = "") -> int:
    """Return a whole number of at least `least`; `other` names what else would have been accepted.

    Raises
    ------
    ArgumentError
        With the accepted range.
    """
    if not is_whole(value) or value < least:
        wanted = f"{other} or " if other else ""
        shown = repr(value)
        if len(shown) > 80 or "\n" in shown:
            shown = f"<{type(value).__name__}>"
        raise ArgumentError(f"{name}={shown}: expected {wanted}a whole number of at least {least}.")
    return int(value)


def is_penalty(intercept: Any) -> bool:
    """Return whether an intercept is a penalty: a finite number of at least 0, which True and False are not."""
    if isinstance(intercept, (bool, np.bool_)) or not isinstance(intercept, (int, float, np.number)):
        return False
    return bool(0 <= intercept < np.inf)


def windows_held_out(value: Any) -> int | None:
    """Return how many windows of each series ``Training.validation`` holds out; None for the default."""
    if isinstance(value, (bool, np.bool_)) and not value:
        return 0
    automatic = isinstance(value, str) and value == "auto"
    return None if automatic else check_count("validation", value, other="'auto' or False")


def check_guard(guard: Any) -> float:
    """Return the factor of the guard of roll-outs; infinite for None or False, which switch it off.

    Raises
    ------
    ArgumentError
        With what is accepted.
    """
    if guard is None or (isinstance(guard, (bool, np.bool_)) and not guard):
        return np.inf
    number = isinstance(guard, (int, float, np.number)) and not isinstance(guard, (bool, np.bool_))
    if not number or not 0 < guard < np.inf:
        raise ArgumentError(
            f"guard={guard!r}: expected a number above 0, the times of a series' range that a roll-out may leave it "
            f"by, or None for no guard."
        )
    return float(guard)


@overload
def check_number(name: str, value: Any, *, auto: Literal[False], above_zero: bool = False) -> float: ...
@overload
def check_number(name: str, value: Any, *, auto: Literal[True], above_zero: bool = False) -> float | None: ...
def check_number(name: str, value: Any, *, auto: bool, above_zero: bool = False) -> float | None:
    """Return a finite number of at least 0 (above 0 if asked), or None for "auto" where that is accepted.

    Raises
    ------
    ArgumentError
        With what is accepted.
    """
    if auto and isinstance(value, str) and value == "auto":
        return None
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
    if not number or not 0 <= value < np.inf or (above_zero and value == 0):
        wanted = "a number above 0" if above_zero else "a number of at least 0"
        alternative = "'auto' or " if auto else ""
        raise ArgumentError(f"{name}={value!r}: expected {alternative}{wanted}.")
    return float(value)


def check_columns(name: str, value: Any) -> tuple[str, ...]:
    """Return column names; one string stands for one column.

    Raises
    ------
    ArgumentError
        If a column is named twice, or the value is no list of names.
    """
    listed = (value,) if isinstance(value, str) else value
    # A set has no order, and columns do.
    if not isinstance(listed, (list, tuple)) and not hasattr(listed, "tolist"):
        raise ArgumentError(f"{name}={value!r}: expected a list of column names.")
    columns = tuple(listed)
    if len(set(columns)) < len(columns):
        raise ArgumentError(f"{name}={value!r} names a column twice.")
    return columns


def resolve_exog_lags(
    exog_lags: Any, past_exog: tuple[str, ...], future_exog: tuple[str, ...]
) -> tuple[tuple[tuple[str, tuple[int, ...]], ...], tuple[tuple[str, tuple[int, ...]], ...]]:
    """Return the offsets at which past and future inputs are read, each as (column, ascending offsets).

    Parameters
    ----------
    exog_lags : None, int, sequence of int, or dict of column -> one of these
        None: 0 for a future input (the step itself), 1 for a past one (the last value). An int L: 0..L of a future
        input, 1..L of a past one. A sequence: exactly those; 0 is for future inputs only.

    Raises
    ------
    ArgumentError
        If a column is unknown, or offsets are none.
    """
    given = exog_lags if isinstance(exog_lags, Mapping) else dict.fromkeys((*past_exog, *future_exog), exog_lags)
    unknown = [name for name in given if name not in (*past_exog, *future_exog)]
    if unknown:
        raise ArgumentError(
            f"exog_lags names {abbreviate(unknown)}, which is neither in past_exog={list(past_exog)!r} nor in "
            f"future_exog={list(future_exog)!r}."
        )

    def offsets(name: str, least: int) -> tuple[int, ...]:
        value = given.get(name)
        if value is None:
            return (least,)
        found = distinct(range(least, int(value) + 1) if is_whole(value) else value, least)
        if not found:
            kind = "past" if least else "future"
            raise ArgumentError(
                f"exog_lags={value!r} for {kind}_exog {name!r}: expected None, a whole number L for {least}..L, or a "
                f"list of distinct whole numbers of at least {least}"
                + (" (a past input is not known at the step itself)." if least else ".")
            )
        return found

    past = tuple((name, offsets(name, 1)) for name in past_exog)
    return past, tuple((name, offsets(name, 0)) for name in future_exog)


def resolve_inputs(
    panel: Panel, exog_lags: Any, calendar: Any, *, pooled: bool
) -> tuple[InputCoder | None, dict[str, Any]]:
    """Return what was learnt about a panel's inputs (None without any), and what a LagLayout is to read of them.

    Raises
    ------
    ArgumentError
        If offsets or calendar names are none, or static columns are given to one model per series.
    """
    columns = panel.columns
    if columns.static and not pooled:
        raise ArgumentError(
            f"static={list(columns.static)!r} tells series apart, and scope='local' has a model for each already; "
            f"use scope='global', or leave it out."
        )
    past_exog, future_exog = resolve_exog_lags(exog_lags, columns.past_exog, columns.future_exog)
    names = check_calendar(calendar, panel.clock)
    if not (past_exog or future_exog or columns.static or names):
        return None, {}
    coder = InputCoder.learn(panel, panel.lengths, names, pooled=pooled)
    return coder, {
        "past_exog": past_exog,
        "future_exog": future_exog,
        "static": coder.static_columns,
        "calendar": coder.calendar_columns,
    }


def check_device(device: Any) -> torch.device:
    """Return a torch device; "auto" is the CPU.

    Raises
    ------
    ArgumentError
        If torch knows no such device, or this machine does not have it.
    """
    try:
        found = torch.device("cpu" if isinstance(device, str) and device == "auto" else device)
        torch.empty(0, device=found)
    except (RuntimeError, TypeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ArgumentError(
            f"device={device!r}: expected 'auto', 'cpu' or a device that this machine has, such as 'cuda' ({reason})."
        ) from None
    return found


def check_mode(mode: Any) -> str | Forcing:
    """Return a mode: one of `MODES`, or a Forcing."""
    if isinstance(mode, type) and issubclass(mode, Forcing):
        raise ArgumentError(f"mode={mode.__name__} is a class; write {mode.__name__}().")
    return mode if isinstance(mode, Forcing) else check_choice("mode", mode, MODES)


def resolve_lags(lags: Any, *, has_inputs: bool) -> tuple[int, ...]:
    """Return lags that were asked for, ascending; none of them where the target is to follow from inputs alone.

    Parameters
    ----------
    lags : int or sequence of int
        An int L: 1..L. A sequence: exactly those. 0, or an empty one: none.
    has_inputs : bool
        Whether anything beside the target is read, without which there must be a lag.
    """
    found = output_lags_of(lags)
    if found is None:
        raise ArgumentError(
            f"lags={lags!r}: expected 'auto', a whole number L for 1..L (0: none), or a list of distinct whole numbers "
            f"of at least 1."
        )
    if not found and not has_inputs:
        raise ArgumentError(
            f"lags={lags!r} reads nothing of the target, and there are no inputs for it to follow from: expected "
            f"lags of at least 1, or inputs (future_exog, past_exog, calendar, static)."
        )
    return found


def long_enough(panel: Panel, layout: LagLayout, lost: int, *, pooled: bool, drop: bool, strategy: str) -> IntArray:
    """Return the series that can be fitted.

    Parameters
    ----------
    lost : int
        Rows that the transforms leave without a value.
    drop : bool
        Leave series out that are too short, rather than raise.
    strategy : str
        For what is raised.

    Raises
    ------
    SeriesTooShortError
        With length, need, the setting that causes it, and the ways out.
    """
    # Pooled, a series contributes what rows it has; all that it needs is one value after the differences.
    need = 1 + lost + (0 if pooled else layout.reach)
    enough = panel.lengths >= need
    complete = bool((panel.lengths >= 1 + lost + layout.reach).any())
    if complete and (enough.all() or drop):
        return np.flatnonzero(enough)
    short = np.flatnonzero(~enough) if complete else np.arange(panel.n_series)
    least = int(panel.lengths[short].min() if complete else panel.lengths.max())
    wanted = need if complete else 1 + lost + layout.reach
    what, ways = f"lags={layout.reach}", [f"lower the largest lag ({layout.reach})"]
    if layout.ahead:
        what = f"lags={layout.reach - layout.ahead} of a map of step {layout.ahead + 1} (strategy={strategy!r})"
        ways = ["take a shorter horizon or fewer lags", "use strategy='recursive'"]
    elif layout.reach == max((feature.reach for feature in layout.features), default=0) > max(layout.lags, default=0):
        what = f"lag_transforms that reach back {layout.reach} steps"
        ways = [f"shorten the windows of lag_transforms ({layout.reach} steps)"]
    if lost:
        ways.append(f"drop a Difference ({lost} rows)")
    if complete:
        ways.append("leave the series out with short_series='drop'")
        if not pooled:
            ways.append('learn one model for all with scope="global"')
    way_out = f"Either {', or '.join(ways)}" if len(ways) > 1 else ways[0].capitalize()
    names = abbreviate(panel.id_list[i] for i in short)
    raise SeriesTooShortError(
        f"series {names}: {least} rows, but {what} and {lost} rows of differences need at least "
        f"{wanted}{'' if complete else ' in one series'}. {way_out}."
    )
