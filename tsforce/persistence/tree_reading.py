"""From a tree of plain JSON, with what stands beside it, to objects."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from tsforce.errors import PersistenceError
from tsforce.persistence.kinds import made_from
from tsforce.persistence.registry import class_of
from tsforce.persistence.stamps import column_from, dtype_from, offset_from
from tsforce.persistence.tree_writing import METHODS

__all__ = ["Reader"]

_DTYPES = {
    str(dtype): dtype
    for dtype in (torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8)
}  # fmt: skip


class Reader:
    """Makes objects of the nodes of a tree; see `Writer` for what there is.

    Parameters
    ----------
    arrays : dict of str -> array
        Each is used once.
    regressors, boosters : sequence
    models : mapping of str -> type
        The user's own classes.
    """

    def __init__(
        self,
        arrays: dict[str, np.ndarray[Any, Any]],
        regressors: Sequence[Any],
        boosters: Sequence[Any],
        models: Mapping[str, type],
    ) -> None:
        self.arrays = arrays
        self.regressors, self.boosters = list(regressors), list(boosters)
        self.models = models
        self._made: dict[int, Any] = {}
        self._kinds: dict[str, Callable[[Any, str], Any]] = {
            "float": self._float,
            "list": self._list,
            "tuple": lambda node, path: tuple(self._list_of(node["tuple"], path)),
            "set": lambda node, path: set(self._list_of(node["set"], path)),
            "frozenset": lambda node, path: frozenset(self._list_of(node["frozenset"], path)),
            "dict": self._dict,
            "range": lambda node, path: range(*node["range"]),
            "scalar": lambda node, path: self._array(node["scalar"])[()],
            "torch": self._torch,
            "method": self._method,
            "booster": lambda node, path: self._one_of(self.boosters, node["booster"]),
            "regressor": lambda node, path: self._one_of(self.regressors, node["regressor"]),
            "class": self._object,
            "frame": self._frame,
            "range_index": lambda node, path: pd.RangeIndex(*node["range_index"]),
            "index": lambda node, path: pd.Index(self._column(node["index"], path), name=self.of(node["name"], path)),
            "series": lambda node, path: pd.Series(
                self._column(node["series"], path), name=self.of(node["name"], path)
            ),
            "column": lambda node, path: self._column(node["column"], path),
            "offset": lambda node, path: offset_from(self.of(node["offset"], path)),
            "dtype": lambda node, path: dtype_from(self.of(node["dtype"], path)),
            "stamp": self._stamp,
            "timedelta": lambda node, path: pd.Timedelta(node["timedelta"], unit="ns"),
            "array": lambda node, path: self._array(node),
            "objects": self._objects,
            "tensor": lambda node, path: self._tensor(node, "tensor"),
            "parameter": lambda node, path: self._tensor(node, "parameter"),
        }

    def of(self, node: Any, path: str) -> Any:
        """Return what a node stands for.

        Raises
        ------
        PersistenceError
            If it is none: says where it stands.
        """
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        if isinstance(node, list):
            return [self.of(one, f"{path}.{number}") for number, one in enumerate(node)]
        kind = next(iter(node), None)
        if kind == "same":
            if node["same"] not in self._made:
                raise PersistenceError(f"{path}: it names something that was not met before.")
            return self._made[node["same"]]
        if kind not in self._kinds:
            raise PersistenceError(f"{path}: {kind!r} is no kind of value.")
        try:
            made = self._kinds[kind](node, path)
        except PersistenceError as error:
            known = str(error).startswith("model")
            raise error if known else PersistenceError(f"{path}: {error}") from None
        except RecursionError:
            raise
        # Whatever a constructor says of values that nobody gave it: the file is wrong.
        except Exception as error:
            raise PersistenceError(f"{path}: {type(error).__name__}: {error}") from error
        if "id" in node:
            self._made[node["id"]] = made
        return made

    def end(self) -> None:
        """Raise a PersistenceError if there is an array that no node has read."""
        if self.arrays:
            raise PersistenceError(f"nothing reads the array {next(iter(self.arrays))!r}.")

    def _list_of(self, node: Any, path: str) -> list[Any]:
        found = self.of(node, path)
        if not isinstance(found, list):
            raise PersistenceError("a list is expected.")
        return found

    def _float(self, node: Any, path: str) -> float:
        found = float(node["float"])
        if math.isfinite(found):
            raise PersistenceError(f"{node['float']!r} is written as a number.")
        return found

    def _list(self, node: Any, path: str) -> list[Any]:
        values = node["list"]
        if isinstance(values, list) and {type(value) for value in values} in ({int}, {str}):
            return list(values)
        found: list[Any] = self._array(values).tolist()
        return [node["words"][place] for place in found] if "words" in node else found

    def _dict(self, node: Any, path: str) -> dict[Any, Any]:
        keys = [tuple(key) if isinstance(key, list) else key for key in self._list_of(node["dict"], path)]
        values = node["to"]
        if isinstance(values, list):
            values = [self.of(one, f"{path}.{key}") for key, one in zip(keys, values, strict=True)]
        else:
            values = self._list_of(values, path)
        return dict(zip(keys, values, strict=True))

    @staticmethod
    def _one_of(parts: list[Any], number: Any) -> Any:
        if type(number) is not int or not 0 <= number < len(parts) or parts[number] is None:
            raise PersistenceError(f"there is no part {number!r}.")
        found, parts[number] = parts[number], None
        return found

    def _torch(self, node: Any, path: str) -> Any:
        return _DTYPES[node["torch"]] if node["torch"] in _DTYPES else torch.device(node["torch"])

    def _method(self, node: Any, path: str) -> Any:
        owner = self.of(node["of"], path)
        if node["method"] not in METHODS or isinstance(owner, (type, np.ndarray, torch.Tensor)):
            raise PersistenceError(f"{node['method']!r} is no function that is read from a file.")
        return getattr(owner, node["method"])

    def _object(self, node: Any, path: str) -> Any:
        key = node["class"]
        if isinstance(key, str) and key.startswith("own."):
            name = key.removeprefix("own.")
            if name not in self.models:
                raise PersistenceError(
                    f"it holds the class {name!r}, which is not tsforce's. If you know it, say which class that is: "
                    f"tsforce.load(path, models={{{name!r}: {name}}})."
                )
            cls = self.models[name]
        else:
            cls = class_of(key)
        return made_from(cls, {name: self.of(part, f"{path}.{name}") for name, part in node["state"].items()})

    # ---- pandas

    def _column(self, node: Any, path: str) -> Any:
        return column_from(self.of(node, path))

    def _frame(self, node: Any, path: str) -> Any:
        index = self.of(node["index"], f"{path}.index")
        columns = {name: self._column(part, f"{path}.{name}") for name, part in node["frame"]}
        # pandas would make as many rows as the index has.
        if any(len(column) != len(index) for column in columns.values()):
            raise PersistenceError("its columns are not as long as its index.")
        return pd.DataFrame(columns, index=index)

    def _stamp(self, node: Any, path: str) -> Any:
        if node["stamp"] is None:
            return pd.NaT
        ticks, unit, zone = node["stamp"]
        stamp = pd.Timestamp(np.datetime64(ticks, unit))
        return stamp.tz_localize("UTC").tz_convert(zone) if zone else stamp

    # ---- arrays

    def _array(self, node: Any) -> Any:
        if not isinstance(node, dict) or node.get("array") not in self.arrays:
            raise PersistenceError(f"there is no array {node!r}, or it was read before.")
        array = self.arrays.pop(node["array"])
        if "view" in node:
            if not re.fullmatch(r"<[mM]8\[(\d*)[a-zA-Z]+\]", str(node["view"])):
                raise PersistenceError(f"{node['view']!r} is no dtype of stamps.")
            array = array.view(node["view"])
        return array.transpose(np.argsort(node["order"])) if "order" in node else array

    def _objects(self, node: Any, path: str) -> Any:
        values = self._list_of(node["objects"], path)
        array = np.empty(len(values), dtype=object)
        array[:] = values
        array = array.reshape(node["shape"])
        if node["of"] == "O":
            return array
        kind = np.dtype(node["of"])
        longest = max((len(value) for value in values), default=1)
        if kind.kind not in "US" or kind.itemsize > 64 * (longest + 1):
            raise PersistenceError(f"{node['of']!r} is no dtype of these texts.")
        return array.astype(kind)

    def _tensor(self, node: Any, kind: str) -> Any:
        array = self._array({"array": node[kind]})
        tensor = torch.from_numpy(array)
        if "order" in node:
            tensor = tensor.permute(np.argsort(node["order"]).tolist())
        if kind == "parameter":
            return nn.Parameter(tensor, requires_grad=node["gradient"])
        return tensor.requires_grad_(node["gradient"])
