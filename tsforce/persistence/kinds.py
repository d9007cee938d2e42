"""What an object is made of: the one place that says what of it stands in a file, and how it is made again.

The state of an object is what it holds: fields of a dataclass or a named tuple; parameters, buffers and attributes of a
torch module; parameters and fitted attributes of an estimator; attributes of anything else. So there is no list that
could lack something new.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from inspect import signature
from typing import Any

import torch
from torch import nn

from tsforce.errors import PersistenceError
from tsforce.persistence.hints import fits, hints_of

__all__ = ["made_from", "own_kind", "state_of"]

# What torch keeps of every module beside what it is made of.
_OF_TORCH = frozenset(vars(nn.Module())) - {"training"}
_PARAMETERS, _BUFFERS, _MODULES, _FLEETING = "*parameters", "*buffers", "*modules", "*not_persistent"


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def own_kind(cls: type) -> bool:
    """Return whether a class of the user's own can stand in a file, whoever loads it saying which class it is."""
    return is_dataclass(cls) or issubclass(cls, nn.Module) or hasattr(cls, "predict_at")


def state_of(found: Any) -> dict[str, Any]:
    """Return what an object holds, by name.

    Raises
    ------
    PersistenceError
        If weights are not finite.
    """
    cls = type(found)
    if is_dataclass(cls):
        return {field.name: getattr(found, field.name) for field in fields(cls)}
    if _is_named_tuple(cls):
        return dict(found._asdict())
    held = dict(vars(found))
    if not isinstance(found, nn.Module):
        return held
    _check_weights(found._parameters)
    return {
        **{name: value for name, value in held.items() if name not in _OF_TORCH},
        _PARAMETERS: dict(found._parameters),
        _BUFFERS: dict(found._buffers),
        _FLEETING: sorted(found._non_persistent_buffers_set),
        _MODULES: dict(found._modules),
    }


def _check_weights(parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        if value is not None and not bool(value.isfinite().all()):
            raise PersistenceError(f"the weights {name!r} are not all finite.")


def made_from(cls: Any, state: dict[str, Any]) -> Any:
    """Return an object of a class with a state.

    Raises
    ------
    PersistenceError
        If the state is not what such an object holds.
    """
    name = cls.__name__
    if is_dataclass(cls) or _is_named_tuple(cls):
        return cls(**_checked(cls, state))
    if hasattr(cls, "get_params"):
        known = set(cls._get_param_names())
        params = {key: value for key, value in state.items() if key in known}
        learnt = {key: value for key, value in state.items() if key not in known}
        made = cls(**params)
        strange = [key for key in learnt if not (key.endswith("_") or key.startswith("_"))]
        # LightGBM's constructor takes any keyword.
        if strange and not any(p.kind is p.VAR_KEYWORD for p in signature(cls).parameters.values()):
            raise PersistenceError(f"{name} has no parameter {strange[0]!r}.")
        _set(made, cls, learnt)
        return made
    made = cls.__new__(cls)
    if not isinstance(made, nn.Module):
        _set(made, cls, state)
        return made
    nn.Module.__init__(made)
    parts = {part: state.pop(part, {}) for part in (_PARAMETERS, _BUFFERS, _MODULES)}
    fleeting = state.pop(_FLEETING, [])
    if any(key in _OF_TORCH for key in state):
        raise PersistenceError(f"{name}: what torch keeps of a module is not read from a file.")
    for key, value in parts[_PARAMETERS].items():
        if value is not None and not isinstance(value, nn.Parameter):
            raise PersistenceError(f"{name}: {key!r} is no parameter.")
        made.register_parameter(key, value)
    _check_weights(parts[_PARAMETERS])
    for key, value in parts[_BUFFERS].items():
        if value is not None and not isinstance(value, torch.Tensor):
            raise PersistenceError(f"{name}: {key!r} is no tensor.")
        made.register_buffer(key, value, persistent=key not in fleeting)
    for key, value in parts[_MODULES].items():
        made.add_module(key, value)
    _set(made, cls, state)
    return made


def _checked(cls: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a dataclass or named tuple if it has all of its fields, each of the kind that it says."""
    if is_dataclass(cls):
        wanted = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(cls)}
    else:
        wanted = {name: name not in cls._field_defaults for name in cls._fields}
    hints = hints_of(cls)
    for key, value in state.items():
        if key not in wanted:
            raise PersistenceError(f"{cls.__name__} has no field {key!r}.")
        if not fits(value, hints.get(key, Any)):
            raise PersistenceError(f"{cls.__name__}: {key!r} holds a {type(value).__name__} that does not go there.")
    missing = [key for key, needed in wanted.items() if needed and key not in state]
    if missing:
        raise PersistenceError(f"{cls.__name__} lacks {missing[0]!r}.")
    return state


def _set(made: Any, cls: type, state: dict[str, Any]) -> None:
    for key, value in state.items():
        if not key.isidentifier() or key.startswith("__") or callable(getattr(cls, key, None)):
            raise PersistenceError(f"{cls.__name__} holds nothing called {key!r}.")
        if isinstance(getattr(cls, key, None), property):
            raise PersistenceError(f"{cls.__name__} holds nothing called {key!r}.")
        if isinstance(made, nn.Module):
            setattr(made, key, value)
        else:
            vars(made)[key] = value
