"""What things are made from, as plain JSON: equal for equal settings and data, in every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch

__all__ = ["describe", "digest"]


def describe(value: Any) -> Any:
    """Return a value as JSON: equal for equal settings, different wherever these differ.

    Examples
    --------
    >>> describe({"lags": (1, 2), "ridge": 0.5})
    {'lags': [1, 2], 'ridge': '0.5'}
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(name): describe(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [describe(one) for one in value]
    if hasattr(value, "__array__") and not isinstance(value, type):
        return _numbers(value)
    made_by = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, torch.nn.Module):
        return {"class": made_by, "weights": describe(value.state_dict())}
    if hasattr(value, "get_params") and not isinstance(value, type):
        own = {name: describe(one) for name, one in value.get_params(deep=False).items()}
        return {"class": made_by, **own}
    if is_dataclass(value) and not isinstance(value, type):
        return {"class": made_by, **{part.name: describe(getattr(value, part.name)) for part in fields(value)}}
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if " at 0x" not in repr(value):
        return repr(value)
    # The text says where in memory it is.
    return {"class": made_by, **{name: describe(one) for name, one in vars(value).items()}}


def _numbers(value: Any) -> dict[str, Any]:
    """Return the shape of a table or an array, and a hash of what is in it."""
    array = np.ascontiguousarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
    flat = array.reshape(-1)
    told = hashlib.sha256(json.dumps(list(map(repr, flat))).encode() if array.dtype.hasobject else flat.view("u1").data)
    columns = {"columns": list(map(str, value.columns))} if hasattr(value, "columns") else {}
    return {"array": list(np.shape(value)), "dtype": array.dtype.str, "sha256": told.hexdigest(), **columns}


def digest(value: Any) -> str:
    """Return a hash of what `describe` says."""
    return hashlib.sha256(json.dumps(describe(value), sort_keys=True).encode()).hexdigest()
