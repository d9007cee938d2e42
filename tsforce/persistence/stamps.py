"""Columns, dtypes, stamps and frequencies of pandas as plain values and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import pandas_dtype
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset

from tsforce.errors import PersistenceError

__all__ = ["column_from", "column_state", "dtype_from", "dtype_state", "offset_from", "offset_state"]

# Offsets that no alias says all of: what makes one is its keywords.
_BY_KEYWORDS = (
    "BusinessHour", "CustomBusinessDay", "CustomBusinessHour", "CustomBusinessMonthBegin", "CustomBusinessMonthEnd",
    "DateOffset", "Easter", "FY5253", "FY5253Quarter",
)  # fmt: skip


def dtype_state(dtype: Any) -> Any:
    """Return what is to be kept of a dtype of pandas or NumPy; a text where that says it all."""
    if isinstance(dtype, pd.StringDtype):
        return {"storage": dtype.storage, "nan": dtype.na_value is not pd.NA}
    if isinstance(dtype, pd.CategoricalDtype):
        return {"categories": column_state(dtype.categories), "ordered": bool(dtype.ordered)}
    text = dtype.str if isinstance(dtype, np.dtype) and dtype.kind in "USV" else str(dtype)
    if pandas_dtype(text) != dtype:
        raise PersistenceError(f"columns of dtype {dtype} cannot be saved; convert them before fit.")
    return text


def dtype_from(state: Any) -> Any:
    """Return the dtype of a state."""
    if isinstance(state, dict) and "storage" in state:
        return pd.StringDtype(state["storage"], na_value=np.nan if state["nan"] else pd.NA)
    if isinstance(state, dict):
        return pd.CategoricalDtype(pd.Index(column_from(state["categories"])), state["ordered"])
    return pandas_dtype(state)


def column_state(column: Any) -> dict[str, Any]:
    """Return what is to be kept of the values of an Index, a Series or an array of pandas'."""
    dtype, state = column.dtype, {"dtype": dtype_state(column.dtype)}
    if isinstance(dtype, pd.CategoricalDtype):
        codes = column.cat.codes if isinstance(column, pd.Series) else column.codes
        return {**state, "values": np.asarray(codes, dtype=np.int64)}
    if isinstance(dtype, pd.DatetimeTZDtype):
        return {**state, "values": pd.DatetimeIndex(column).asi8.copy()}
    if isinstance(dtype, np.dtype) and dtype.kind in "biufmM":
        return {**state, "values": np.array(column)}
    return {**state, "values": [None if value is pd.NA else value for value in column]}


def column_from(state: dict[str, Any]) -> Any:
    """Return the array of pandas' or NumPy's that a state is of."""
    dtype, values = dtype_from(state["dtype"]), state["values"]
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Categorical.from_codes(values, dtype=dtype)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(values.view(f"M8[{dtype.unit}]")).tz_localize("UTC").tz_convert(dtype.tz).array
    if isinstance(dtype, np.dtype):
        if dtype.kind in "biufmM":
            if values.dtype != dtype:
                raise PersistenceError(f"a column of {values.dtype} is said to be of {dtype}.")
            return values
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array.astype(dtype)
    return pd.array(values, dtype=dtype)


def offset_state(offset: BaseOffset) -> dict[str, Any]:
    """Return what is to be kept of a frequency."""
    try:
        if to_offset(offset.freqstr) == offset:
            return {"alias": offset.freqstr}
    except ValueError:
        pass
    name, given = type(offset).__name__, dict(offset.kwds)
    given.pop("calendar", None)
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    state = {"name": name, "n": offset.n, "normalize": offset.normalize, "given": given}
    if name not in _BY_KEYWORDS or offset_from(state) != offset:
        raise PersistenceError(f"the frequency {offset!r} cannot be saved; give freq= as an alias of pandas.")
    return state


def offset_from(state: dict[str, Any]) -> BaseOffset:
    """Return the frequency of a state."""
    if "alias" in state:
        return to_offset(state["alias"])
    if state["name"] not in _BY_KEYWORDS:
        raise PersistenceError(f"{state['name']!r} is no frequency of pandas.")
    return getattr(pd.offsets, state["name"])(state["n"], normalize=state["normalize"], **state["given"])
