"""JSON that is read strictly: no key twice, no NaN, nothing nested without end."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from tsforce.errors import PersistenceError

__all__ = ["parsed"]


def parsed(text: bytes) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    PersistenceError
        If it is none, names a key twice, or is nested too deeply.

    Examples
    --------
    >>> parsed(b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise PersistenceError("its JSON is nested too deeply.") from None
    except ValueError as error:
        raise PersistenceError(f"it is no JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise PersistenceError("its JSON names a key twice.")
    return found


def _no_number(name: str) -> NoReturn:
    raise PersistenceError(f"its JSON holds {name}, which is no number.")
