"""From objects to a tree of plain JSON, with arrays and other libraries' parts beside it."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.tseries.offsets import BaseOffset
from torch import Tensor, nn

from tsforce.errors import PersistenceError
from tsforce.persistence.foreign import is_booster, is_regressor
from tsforce.persistence.kinds import own_kind, state_of
from tsforce.persistence.registry import key_of
from tsforce.persistence.stamps import column_state, dtype_state, offset_state

__all__ = ["METHODS", "Writer"]

#: Methods that stand in files as functions, of objects that do.
METHODS = ("keep", "of_some")
# Entries from which a list is kept once, and numbers as an array.
_LONG = 16

Node = Any


class Writer:
    """Makes a tree, and collects what stands beside it.

    A node of the tree is null, a boolean, a whole number, a finite number, a text, a list of nodes, or a table whose
    first key says what it is. What is met twice stands once, with a number ("id") that others name ("same").

    Parameters
    ----------
    left_out : callable
        From an object to the names of what it holds that is not to be kept.

    Attributes
    ----------
    arrays : dict of str -> array
        By the path of each in the tree.
    regressors, boosters : list
        Of scikit-learn and LightGBM.
    own : dict of str -> type
        Classes that stand in no table: the user's own.
    """

    def __init__(self, left_out: Callable[[Any], frozenset[str]]) -> None:
        self.left_out = left_out
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.regressors: list[Any] = []
        self.boosters: list[Any] = []
        self.own: dict[str, type] = {}
        # Of what was met: its node, and itself, so that no other takes its place in memory.
        self._met: dict[Any, tuple[dict[str, Any], Any]] = {}
        self._count = 0

    def node(self, value: Any, path: str) -> Node:
        """Return the tree of a value.

        Raises
        ------
        PersistenceError
            If something in it cannot be saved: says what, and where it stands.
        """
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if kind is list:
            return self._listed(value, path)
        if kind in (tuple, set, frozenset):
            return {kind.__name__: self._listed(sorted(value) if kind is not tuple else list(value), path)}
        # LightGBM keeps tables that know more than dicts do, and nobody asks for it.
        if kind in (dict, OrderedDict, defaultdict):
            return {"dict": self._listed(list(value), f"{path}.keys"), "to": self._entries(value, path)}
        if kind is range:
            return {"range": [value.start, value.stop, value.step]}
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.array(value), path)}
        known = self._met.get(id(value))
        if known is not None:
            return self._again(known[0])
        found = self._described(value, path)
        self._met[id(value)] = (found, value)
        return found

    def _entries(self, value: dict[Any, Any], path: str) -> Node:
        values = list(value.values())
        if len(values) >= _LONG:
            return self._listed(values, path)
        return [self.node(one, f"{path}.{key}") for key, one in value.items()]

    def _again(self, node: dict[str, Any]) -> Node:
        if "id" not in node:
            node["id"] = self._count
            self._count += 1
        return {"same": node["id"]}

    def _listed(self, values: list[Any], path: str) -> Node:
        if len(values) >= _LONG:
            kinds = set(map(type, values))
            if kinds == {float} or (kinds == {list} and _is_table(values)):
                return {"list": self._array(np.array(values), path)}
            if kinds in ({int}, {str}):
                # Ids come again and again.
                key = ("list", *kinds, tuple(values))
                if key in self._met:
                    return self._again(self._met[key][0])
                found = self._of_ints(values, path) if kinds == {int} else self._of_texts(values, path)
                self._met[key] = found, None
                return found
        return [self.node(value, f"{path}.{number}") for number, value in enumerate(values)]

    def _of_ints(self, values: list[int], path: str) -> dict[str, Any]:
        if all(-(2**63) <= value < 2**63 for value in values):
            return {"list": self._array(np.array(values, dtype=np.int64), path)}
        return {"list": values}

    def _of_texts(self, values: list[str], path: str) -> dict[str, Any]:
        place = {word: k for k, word in enumerate(dict.fromkeys(values))}
        if len(place) > len(values) // 4:
            return {"list": values}
        return {"list": self._array(np.array([place[word] for word in values]), path), "words": list(place)}

    # ---- what has a name in the tree

    def _described(self, value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, np.ndarray):
            return self._ndarray(value, path)
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if isinstance(value, (torch.dtype, torch.device)):
            return {"torch": str(value)}
        if isinstance(value, MethodType) and value.__name__ in METHODS:
            return {"method": value.__name__, "of": self.node(value.__self__, path)}
        plain = self._of_pandas(value, path)
        if plain is not None:
            return plain
        if is_booster(value):
            self.boosters.append(value)
            return {"booster": len(self.boosters) - 1}
        key = key_of(type(value))
        if key is None and is_regressor(value):
            self.regressors.append(value)
            return {"regressor": len(self.regressors) - 1}
        return self._object(value, key, path)

    def _object(self, value: Any, key: str | None, path: str) -> dict[str, Any]:
        cls = type(value)
        if key is None:
            ours = cls.__module__.split(".")[0] == "tsforce"
            if not own_kind(cls) or ours or cls.__module__.split(".")[0] in ("torch", "numpy", "pandas"):
                hint = " Whoever made it adds it to the table in tsforce/persistence/registry.py." if ours else ""
                raise PersistenceError(f"{path}: a {cls.__module__}.{cls.__qualname__} cannot be saved.{hint}")
            key = f"own.{cls.__name__}"
            if self.own.setdefault(cls.__name__, cls) is not cls:
                raise PersistenceError(f"{path}: two classes are called {cls.__name__}; rename one of them.")
        try:
            state = state_of(value)
        except PersistenceError as error:
            raise PersistenceError(f"{path}: {error}") from None
        out = self.left_out(value)
        last = {name: part for name, part in state.items() if name in out}
        nodes = {name: self.node(part, f"{path}.{name}") for name, part in state.items() if name not in out}
        # What is to be left out costs nothing where it stands in the file in any case.
        nodes |= {name: self.node(part, path) for name, part in last.items() if id(part) in self._met}
        return {"class": key, "state": nodes}

    def _of_pandas(self, value: Any, path: str) -> dict[str, Any] | None:
        if isinstance(value, pd.DataFrame):
            columns = [[str(name), self._column(value[name], f"{path}.{name}")] for name in value.columns]
            return {"frame": columns, "index": self.node(value.index, f"{path}.index")}
        if isinstance(value, pd.RangeIndex):
            return {"range_index": [value.start, value.stop, value.step]}
        if isinstance(value, pd.Index):
            return {"index": self._column(value, path), "name": self.node(value.name, path)}
        if isinstance(value, pd.Series):
            return {"series": self._column(value, path), "name": self.node(value.name, path)}
        if isinstance(value, pd.api.extensions.ExtensionArray):
            return {"column": self._column(value, path)}
        if isinstance(value, BaseOffset):
            return {"offset": self.node(offset_state(value), path)}
        if isinstance(value, (np.dtype, pd.api.extensions.ExtensionDtype)):
            return {"dtype": self.node(dtype_state(value), path)}
        if value is pd.NaT or isinstance(value, pd.Timestamp):
            stamp = None if value is pd.NaT else [int(value.asm8.view("i8")), value.unit, str(value.tz or "")]
            return {"stamp": stamp}
        if isinstance(value, (pd.Timedelta, np.timedelta64)) or type(value).__name__ == "timedelta":
            return {"timedelta": int(pd.Timedelta(value).as_unit("ns").value)}
        return None

    def _column(self, column: Any, path: str) -> Node:
        return self.node(column_state(column), path)

    # ---- arrays

    def _named(self, path: str) -> str:
        name, number = path, 1
        while name in self.arrays:
            number += 1
            name = f"{path} ({number})"
        return name

    def _array(self, array: np.ndarray[Any, Any], path: str) -> dict[str, Any]:
        name = self._named(path)
        self.arrays[name] = array
        return {"array": name}

    def _ndarray(self, array: np.ndarray[Any, Any], path: str) -> dict[str, Any]:
        if array.dtype.kind in "OUS":
            text = "O" if array.dtype.kind == "O" else array.dtype.str
            return {"objects": self._listed(array.reshape(-1).tolist(), path), "of": text, "shape": list(array.shape)}
        if array.dtype.kind in "mM":
            return {**self._array(array.view("i8"), path), "view": array.dtype.str}
        if array.dtype.kind not in "biuf":
            raise PersistenceError(f"{path}: an array of dtype {array.dtype} cannot be saved.")
        order = _order(array.strides)
        return {**self._array(array.transpose(order), path), **_said(order)}

    def _tensor(self, tensor: Tensor, path: str) -> dict[str, Any]:
        if tensor.layout != torch.strided or tensor.dtype in (torch.bfloat16, torch.complex64, torch.complex128):
            raise PersistenceError(f"{path}: a tensor of {tensor.dtype}, {tensor.layout} cannot be saved.")
        order = _order(tensor.stride())
        kind = "parameter" if isinstance(tensor, nn.Parameter) else "tensor"
        node = self._array(tensor.detach().cpu().permute(order).contiguous().numpy(), path)
        return {kind: node["array"], "gradient": tensor.requires_grad, **_said(order)}


def _order(strides: Iterable[int]) -> list[int]:
    """Return the axes of an array from the one with the furthest steps in memory on: sums depend on them."""
    steps = list(strides)
    return sorted(range(len(steps)), key=lambda axis: -abs(steps[axis]))


def _said(order: list[int]) -> dict[str, Any]:
    return {} if order == sorted(order) else {"order": order}


def _is_table(rows: list[list[Any]]) -> bool:
    """Return whether lists are as long as each other, and hold nothing but floats."""
    return len(rows[0]) > 0 and all(len(row) == len(rows[0]) and set(map(type, row)) == {float} for row in rows)
