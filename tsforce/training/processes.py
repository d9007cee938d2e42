"""Processes that share the work of one fit: those of ``torch.distributed``, which torchrun, or the user, has started.

Every process has all rows and takes every decision; what is shared out is work. Of one model for all series each draws
the windows of a step by the same keys and rolls out its own part of them; sums of losses and gradients over all parts
are those of one process. Models of single series are independent: each process fits its own part of the series.

Plain sums take the place of ``DistributedDataParallel``: that averages gradients over processes, which is the gradient
of a masked mean only where all have as many targets, and waits for ever for one that has no window.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tsforce.errors import ArgumentError, ProcessError

__all__ = ["ALONE", "TORCHRUN", "Processes", "own_device"]

# What asks for it.
TORCHRUN = "torchrun"
_SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """This process among those that share a fit.

    Attributes
    ----------
    rank : int
        Its number, from 0.
    count : int
    """

    rank: int = 0
    count: int = 1

    @staticmethod
    def started() -> Processes:
        """Return those of ``torch.distributed``, joined as torchrun's environment says unless that was done before.

        Raises
        ------
        ArgumentError
            If nothing has started any.
        ProcessError
            If the others cannot be reached.
        """
        if not dist.is_available():
            raise ArgumentError(f"processes={TORCHRUN!r}: this build of torch has no torch.distributed.")
        if not dist.is_initialized():
            lacking = [name for name in _SET_BY_TORCHRUN if name not in os.environ]
            if lacking:
                raise ArgumentError(
                    f"processes={TORCHRUN!r}: {', '.join(lacking)} are not set, so that nobody has started other "
                    f"processes; start the script as `torchrun --nproc-per-node 2 script.py`, or leave processes=None."
                )
            with _heard():
                dist.init_process_group()
            atexit.register(_leave)
        carried = str(dist.get_backend_config())
        if "cpu" not in carried:
            raise ArgumentError(
                f"processes={TORCHRUN!r}: the processes that were joined carry {carried!r}, and decisions are made on "
                f"the CPU; write torch.distributed.init_process_group() without a backend, which takes gloo and nccl."
            )
        return Processes(dist.get_rank(), dist.get_world_size())

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """Return which of n things are this process's, as many as another's or one more or less.

        Examples
        --------
        >>> [Processes(rank, 3).share(7) for rank in range(3)]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
        """
        return slice(n * self.rank // self.count, n * (self.rank + 1) // self.count)

    def add_up(self, parts: Sequence[Tensor]) -> None:
        """Replace tensors of one dtype by their sums over all processes, the same bits in each."""
        if self.alone or not parts:
            return
        flat = torch.cat([part.reshape(-1) for part in parts])
        self._add_up(flat)
        for part, whole in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.copy_(whole.view_as(part))

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by those of the first process."""
        if not self.alone:
            for tensor, first in zip(tensors, self.of_first([tensor.cpu() for tensor in tensors]), strict=True):
                tensor.copy_(first)

    def joined(self, part: Tensor, n: int, dim: int = 0) -> Tensor:
        """Return n things along an axis from every process's `share` of them."""
        if self.alone:
            return part
        whole = part.new_zeros(*part.shape[:dim], n, *part.shape[dim + 1 :])
        own = self.share(n)
        size = own.stop - own.start
        # Of a process without any, one that counts for nothing may stand for them.
        whole.narrow(dim, own.start, size).copy_(part.narrow(dim, 0, size))
        self.add_up([whole])
        return whole

    def largest(self, value: Tensor) -> Tensor:
        """Return the largest of all processes' values, element by element."""
        return value if self.alone else torch.stack(self.told(value)).amax(dim=0)

    def of_first(self, value: Any) -> Any:
        """Return the value of the first process."""
        return self.told(value if self.first else None)[0]

    def told(self, value: Any) -> list[Any]:
        """Return the values of all processes, by rank."""
        return [value] if self.alone else self._told(value)

    def _add_up(self, flat: Tensor) -> None:
        """Replace a vector by its sum over all processes."""
        with _heard():
            dist.all_reduce(flat)

    def _told(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.count
        with _heard():
            dist.all_gather_object(found, value)
        return found


ALONE = Processes()


def own_device(device: torch.device) -> torch.device:
    """Return the device of this process: of several GPUs that of its number on its machine, as torchrun tells it.

    Examples
    --------
    >>> own_device(torch.device("cuda", 3)), own_device(torch.device("cpu"))
    (device(type='cuda', index=3), device(type='cpu'))
    """
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if device == torch.device("cuda") else device


@contextmanager
def _heard() -> Iterator[None]:
    """Say what it means that another process does not answer."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessError(
            f"another process of this fit has ended, or did not answer in time ({str(error).splitlines()[0]}). What "
            f"it said is in torchrun's output; start all of them again: with fit(..., checkpoint=folder) they go on "
            f"from where they were."
        ) from error


def _leave() -> None:
    """Leave the processes that were joined here, unless the user has."""
    if dist.is_initialized():
        dist.destroy_process_group()
