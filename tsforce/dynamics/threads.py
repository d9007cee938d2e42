"""How many threads torch computes with."""

from __future__ import annotations

import torch

__all__ = ["get_threads", "set_threads"]


def set_threads(count: int) -> None:
    """Let torch compute with `count` threads, at least 1, from now on.

    Examples
    --------
    >>> from tsforce.bench import get_threads, set_threads
    >>> before = get_threads()
    >>> set_threads(1)
    >>> get_threads()
    1
    >>> set_threads(before)
    """
    torch.set_num_threads(count)


def get_threads() -> int:
    """Return how many threads torch computes with.

    Examples
    --------
    >>> from tsforce.bench import get_threads
    >>> get_threads() >= 1
    True
    """
    return int(torch.get_num_threads())
