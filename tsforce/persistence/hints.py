"""Whether values are what the fields of a class say they are."""

from __future__ import annotations

import collections.abc
import types
import typing
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["fits", "hints_of"]

_CONTAINERS = {collections.abc.Sequence: (tuple, list), collections.abc.Mapping: (dict,)}


@lru_cache(maxsize=256)
def hints_of(cls: type) -> dict[str, Any]:
    """Return what a class says of its fields; nothing where that cannot be looked up."""
    try:
        return typing.get_type_hints(cls)
    except NameError:
        return {}


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of the kind that a hint names, all the way down.

    Examples
    --------
    >>> fits((1, 2), tuple[int, ...]), fits((1, "2"), tuple[int, ...]), fits(None, int | None), fits(True, int)
    (True, False, True, False)
    """
    if hint is Any or isinstance(hint, (str, typing.TypeVar)):
        return True
    if hint is None or hint is type(None):
        return value is None
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is np.ndarray:
        wanted = typing.get_args(inner[1])
        return isinstance(value, np.ndarray) and (not wanted or wanted[0] in (Any, value.dtype.type))
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(inner) == 2 and inner[1] is ...:
            return all(fits(one, inner[0]) for one in value)
        return len(value) == len(inner) and all(map(fits, value, inner))
    if origin in (list, collections.abc.Sequence):
        return isinstance(value, _CONTAINERS.get(origin, (list,))) and all(fits(one, inner[0]) for one in value)
    if origin in (dict, collections.abc.Mapping):
        return isinstance(value, dict) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if origin is typing.Literal:
        return value in inner
    if origin is not None:
        # Callables and what else there is.
        return isinstance(value, origin)
    if hint is float:
        return isinstance(value, (float, int, np.floating, np.integer)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True
