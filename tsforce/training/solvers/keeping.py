"""Where training keeps how far it has got, so that one that was killed goes on from there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from tsforce.errors import PersistenceError
from tsforce.training.processes import Processes

__all__ = ["Keeper", "OneWriter", "State", "moments_of", "put_back", "put_moments_back"]

# Plain values, arrays and tensors by name.
State = dict[str, Any]
# What AdamW knows of a parameter.
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Keeper(Protocol):
    """A place for one state, and others within it."""

    @property
    def due(self) -> bool:
        """Whether what would be lost is worth the time to keep it."""
        ...

    def within(self, name: str) -> Keeper:
        """Return the place of that name within this one."""
        ...

    def read(self) -> State | None:
        """Return what was kept here last, None if nothing was."""
        ...

    def keep(self, state: State) -> None:
        """Keep a state in place of the one before."""
        ...


class OneWriter:
    """A place that the first of several processes keeps, and that all read from.

    Parameters
    ----------
    place : Keeper
    processes : Processes
    """

    def __init__(self, place: Keeper, processes: Processes) -> None:
        self.place, self.processes = place, processes

    @property
    def due(self) -> bool:
        """As the place itself says; never to the others."""
        return self.processes.first and self.place.due

    def within(self, name: str) -> OneWriter:
        """Return the place of that name within this one."""
        return OneWriter(self.place.within(name), self.processes)

    def read(self) -> State | None:
        """Return what the first process reads."""
        found: State | None = self.processes.of_first(self.place.read() if self.processes.first else None)
        return found

    def keep(self, state: State) -> None:
        """Keep a state if this is the first process."""
        if self.processes.first:
            self.place.keep(state)


def put_back(into: Iterable[Tensor], kept: Sequence[Tensor]) -> None:
    """Fill tensors with what was kept of them.

    Raises
    ------
    PersistenceError
        If it is of other shapes or dtypes.
    """
    for tensor, value in zip(into, _tensors(kept), strict=True):
        if tensor.shape != value.shape or tensor.dtype != value.dtype:
            raise PersistenceError(
                f"a checkpoint holds {value.dtype} {tuple(value.shape)} where the model has {tensor.dtype} "
                f"{tuple(tensor.shape)}: it is of another model; delete its folder to start anew."
            )
        tensor.data.copy_(value)
        tensor.requires_grad_(value.requires_grad)


def _tensors(kept: Sequence[Any]) -> Iterable[Tensor]:
    for value in kept:
        if not isinstance(value, Tensor):
            raise PersistenceError(f"a checkpoint holds a {type(value).__name__} where weights are expected.")
        yield value


def moments_of(optimiser: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return what AdamW knows of each parameter; nothing of one that it has not moved."""
    return [[optimiser.state[p][name] for name in _MOMENTS if p in optimiser.state] for p in parameters]


def put_moments_back(
    optimiser: torch.optim.Optimizer, parameters: Sequence[Tensor], kept: Sequence[Sequence[Tensor]]
) -> None:
    """Give AdamW back what it knew of each parameter."""
    for parameter, own in zip(parameters, kept, strict=True):
        if not own:
            continue
        step = torch.zeros((), dtype=torch.float32)
        state = dict(zip(_MOMENTS, (step, torch.zeros_like(parameter), torch.zeros_like(parameter)), strict=True))
        put_back(state.values(), own)
        optimiser.state[parameter] = state
