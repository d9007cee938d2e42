"""The columns of a long frame, each by itself: read it, or say what is wrong with it and what to type.

A conversion stands in a message only after it was tried on the column and worked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.offsets import BaseOffset

from tsforce.data.column_repairs import number_repair, numbers_as_dates, succeeds, time_repair
from tsforce.data.frequency import is_finer, spelt
from tsforce.data.panel import Columns, IntArray
from tsforce.data.sorted_rows import counted, place
from tsforce.errors import ArgumentError, abbreviate

__all__ = [
    "check_names",
    "check_result_names",
    "no_frame",
    "read_ids",
    "read_input",
    "read_stamps",
    "read_static",
    "read_target",
]


def no_frame(df: Any, columns: Columns) -> str:
    """Return what to say of something that is no DataFrame."""
    id_col, time_col, target_col = columns.id, columns.time, columns.targets[0]
    if isinstance(df, pd.Series):
        repair = f" Make one of it: df = df.rename({target_col!r}).rename_axis({time_col!r}).reset_index()."
    elif hasattr(df, "to_pandas"):
        repair = " Make one of it: df = df.to_pandas()."
    else:
        repair = ""
    return (
        f"df is a {type(df).__module__}.{type(df).__qualname__}; expected a pandas DataFrame in long form with the "
        f"columns {id_col!r}, {time_col!r}, {target_col!r}.{repair}"
    )


def check_names(df: pd.DataFrame, columns: Columns) -> list[str]:
    """Return the faults of the column names, and of a frame without rows."""
    faults, names = [], list(df.columns)
    # Of several forecasters that share one reading, a column may be past for one and future for another.
    named = [columns.id, columns.time, *columns.targets, *dict.fromkeys((*columns.past_exog, *columns.future_exog))]
    named += columns.static
    if len(set(named)) < len(named) and len(named) > 3:
        twice = [name for name in dict.fromkeys(named) if named.count(name) > 1]
        faults.append(
            f"column {abbreviate(twice)} is named more than once among id_col, time_col, target_col, past_exog, "
            f"future_exog and static; each has one part to play."
        )
    elif len(set(named)) < len(named):
        faults.append(
            f"id_col={columns.id!r}, time_col={columns.time!r}, target_col={columns.targets[0]!r} name a column twice; "
            f"expected three columns."
        )
    missing = [name for name in dict.fromkeys(named) if name not in names and name != "unique_id"]
    if missing:
        arguments = "id_col=, time_col=, target_col=" + ", past_exog=, future_exog=, static=" * (len(named) > 3)
        faults.append(
            f"column {abbreviate(missing)} not in the frame, which has {abbreviate(names, limit=12) or 'none'}. Name "
            f"your columns with {arguments}."
        )
    twice = [name for name in dict.fromkeys(named) if names.count(name) > 1]
    if twice:
        faults.append(
            f"column {abbreviate(twice)} stands in the frame more than once. Keep the first of each: "
            f"df = df.loc[:, ~df.columns.duplicated()]."
        )
    if len(df) == 0:
        faults.append("the frame has no rows; expected at least one row per series.")
    return faults


def check_result_names(given: dict[str, str], own: list[str], forecasts: Sequence[str]) -> None:
    """Raise if two columns of a result would have one name.

    Parameters
    ----------
    given : dict
        The user's columns, by the argument that names them.
    own : list of str
        Those that every such result has.
    forecasts : sequence of str
        Those of the forecasts.

    Raises
    ------
    ArgumentError
        With what to rename.
    """
    for argument, name in given.items():
        if name in own:
            raise ArgumentError(
                f"{argument}={name!r}: forecasts have a column {name!r} of their own. Rename yours, and say "
                f"{argument}='my_{name}': df = df.rename(columns={{{name!r}: 'my_{name}'}})."
            )
    taken = [name for name in forecasts if name in own or name in given.values()]
    if taken:
        raise ArgumentError(
            f"a model is named {abbreviate(taken)}, as a column of its forecasts, which has another meaning; give it "
            f"another alias=."
        )


def _empty_rows(column: pd.Series, absent: Any) -> str:
    rows = np.flatnonzero(absent)
    row = place(int(rows[0]), column.index)
    return (
        f"column {column.name!r} is empty in {counted(len(rows), 'row')}, first in {row}. Drop them: "
        f"df = df.dropna(subset=[{column.name!r}])."
    )


def read_ids(column: pd.Series, faults: list[str]) -> tuple[IntArray, Any]:
    """Return the series number of each row and the distinct ids; what is wrong is added to `faults`."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.int64)
        ids = pd.CategoricalIndex(pd.Categorical.from_codes(np.arange(len(column.cat.categories)), dtype=column.dtype))
        present = np.bincount(codes[codes >= 0], minlength=len(ids)) > 0
        if not present.all():
            codes = np.where(codes >= 0, (np.cumsum(present) - 1)[codes], -1)
            ids = ids[present]
    else:
        try:
            numbers, uniques = pd.factorize(column)
        except TypeError:
            faults.append(
                f"column {column.name!r} holds values that cannot be ids, first {column.iloc[0]!r}. Write them as "
                f"strings: df[{column.name!r}] = df[{column.name!r}].astype(str)."
            )
            return np.zeros(len(column), np.int64), None
        codes, ids = numbers.astype(np.int64, copy=False), pd.Index(uniques, dtype=column.dtype)
    if codes.min() < 0:
        faults.append(_empty_rows(column, codes < 0))
    return codes, ids


def read_stamps(column: pd.Series, freq: Any, faults: list[str]) -> Any:
    """Return the time column as a pandas Index; what is wrong is added to `faults`."""
    kind, name = column.dtype, column.name
    timelike = isinstance(kind, pd.DatetimeTZDtype) or (isinstance(kind, np.dtype) and kind.kind == "M")
    if not timelike and kind.kind not in "iu":
        faults.append(
            f"{_holds(column)}; expected time stamps (datetime64) or whole-number steps. {time_repair(column)}."
        )
        return None
    absent = column.isna().to_numpy()
    if absent.any():
        faults.append(_empty_rows(column, absent))
        return None
    stamps = pd.DatetimeIndex(column) if timelike else pd.Index(column)
    dates = None if timelike or isinstance(freq, int) else numbers_as_dates(column)
    if dates is not None:
        faults.append(dates)
        return None
    if isinstance(freq, int) and timelike:
        faults.append(
            f"freq={freq} is a step for whole numbers, but column {name!r} holds time stamps ({kind}). Write an alias "
            f"such as freq='D', or freq='infer'."
        )
    elif isinstance(freq, BaseOffset) and not timelike:
        faults.append(
            f"freq={spelt(freq)} is for time stamps, but column {name!r} holds whole numbers ({kind}). Write the "
            f"step, freq=1 if they are numbered one by one."
        )
    elif isinstance(freq, BaseOffset) and is_finer(freq, stamps.unit):
        faults.append(
            f"freq={spelt(freq)} is finer than column {name!r} can tell ({kind}). Write a coarser frequency, or "
            f"finer stamps: df[{name!r}] = df[{name!r}].dt.as_unit('ns')."
        )
    return stamps


def _holds(column: pd.Series) -> str:
    first = column.iloc[0]
    first = first.item() if isinstance(first, np.generic) else first
    rows = counted(len(column), "row")
    return f"column {column.name!r} holds {column.dtype} in all {rows}, first {first!r} in row 0"


def read_target(column: pd.Series, faults: list[str]) -> Any:
    """Return the target as float64 with NaN where it is absent; what is wrong is added to `faults`."""
    kind = column.dtype
    if kind.kind not in "iuf":
        faults.append(_not_real(column))
        return None
    return _float64(column)


def _float64(column: pd.Series) -> Any:
    """Return a column of numbers as float64, NaN where it is absent."""
    # A copy: what the user does to the frame later must not reach a fitted model, and tensors want memory of their
    # own (pandas hands out read-only views).
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy(dtype=np.float64, copy=True)
    return column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)


def read_input(column: pd.Series, faults: list[str]) -> Any:
    """Return an input as float64, NaN where it is absent; what is wrong is added to `faults`.

    Truth values read 0 and 1: unlike for a target, that is what a holiday means.
    """
    kind, here = column.dtype, f"df[{column.name!r}]"
    if kind.kind not in "iufb":
        text = kind.kind in "OUT" or isinstance(kind, (pd.CategoricalDtype, pd.StringDtype))
        if text and column.notna().any() and not column.astype(str).str.contains(r"\d").all():
            faults.append(
                f"{_holds(column)}; an input is a column of numbers. Use static= if it never changes within a series; "
                f"else make a column of each category, and name those: df = pd.concat([df, pd.get_dummies({here}, "
                f"prefix={column.name!r}, dtype='float64')], axis=1)."
            )
            return None
        faults.append(_not_real(column))
        return None
    return _float64(column)


def _shown(column: pd.Series, row: int) -> str:
    value = column.iloc[row]
    return repr(value.item() if isinstance(value, np.generic) else value)


def read_static(column: pd.Series, codes: IntArray, n_series: int, faults: list[str], id_col: str | None) -> Any:
    """Return one value per series of a column that never changes within one: float64, or objects (categories)."""
    absent = column.isna().to_numpy()
    if absent.any():
        faults.append(_static_repair(column, absent, np.bincount(codes[~absent], minlength=n_series) == 0, id_col))
        return None
    first = np.full(n_series, len(codes), dtype=np.int64)
    np.minimum.at(first, codes, np.arange(len(codes)))
    number, _ = pd.factorize(column)
    changed = np.flatnonzero(number != number[first[codes]])
    if len(changed):
        k = int(changed[0])
        faults.append(
            f"static column {column.name!r} changes within {len(np.unique(codes[changed]))} series, first in "
            f"{place(k, column.index)} from {_shown(column, int(first[codes[k]]))} to {_shown(column, k)}. Name it in "
            f"future_exog= if it is known in advance, else in past_exog=."
        )
        return None
    values = column.iloc[first]
    if values.dtype.kind in "iuf":
        return values.to_numpy(dtype=np.float64)
    return values.astype(object).to_numpy()


def _static_repair(column: pd.Series, absent: Any, unknown: Any, id_col: str | None) -> str:
    """Return the fault of a static column with missing cells, `unknown` in some series (S,) altogether."""
    rows = np.flatnonzero(absent)
    here = f"df[{column.name!r}]"
    known = f"df.groupby({id_col!r}, observed=True)[{column.name!r}].transform('first')"
    known = f"{here}.ffill().bfill()" if id_col is None else known
    what = "Take the series' own value"
    if unknown.all():
        fault = f"static column {column.name!r} is empty. Leave it out of static=."
        return fault
    if unknown.any():
        number = column.dtype.kind in "iuf"
        what += ", and of series without one " + ("the median" if number else "'unknown', a category like others")
        known += f".fillna({here}.median())" if number else ".astype(object).fillna('unknown')"
    return (
        f"static column {column.name!r} is empty in {counted(len(rows), 'row')}, first in "
        f"{place(int(rows[0]), column.index)}. {what}: {here} = {known}."
    )


def _not_real(column: pd.Series) -> str:
    """Return the fault of a column that holds no real numbers."""
    kind, here = column.dtype, f"df[{column.name!r}]"
    if kind.kind == "c":
        return f"{_holds(column)}; expected real numbers. Keep the real part: {here} = {here}.map(lambda v: v.real)."
    if kind.kind in "mM" or isinstance(kind, pd.PeriodDtype):
        convert = f"Convert it to seconds: {here} = {here}.dt.total_seconds()"
        repair = convert if kind.kind == "m" else "Name the column of the target with target_col="
        return f"{_holds(column)}; expected real numbers. {repair}."
    if succeeds(lambda values: values.astype("float64"), column):
        return f"{_holds(column)}; expected real numbers. Convert it: {here} = {here}.astype('float64')."
    return f"column {column.name!r} holds {kind}; expected real numbers, {number_repair(column)}"
