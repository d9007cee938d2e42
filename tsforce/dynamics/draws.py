"""Uniform draws that depend on keys only: not on position, batch, executor or device.

Runs repeat, a series fitted among others draws what it draws alone, and every way of executing a roll-out sees the same
masks, because a draw is a function of (random_state, series id, moment, place), not the next number of a stream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["key_of", "normal", "uniform"]

# 2**64 / golden ratio, odd, as a signed number: the step of splitmix64.
_GOLDEN = -0x61C8864680B583EB


def key_of(*parts: object) -> int:
    """Return a 63-bit key of some values, the same in every process.

    Examples
    --------
    >>> key_of(0, "H1") == key_of(0, "H1") != key_of(1, "H1")
    True
    """
    digest = hashlib.blake2b("\x1f".join(map(repr, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _mix(x: Tensor) -> Tensor:
    """Return the splitmix64 finaliser of int64 values (Steele, Lea & Flood 2014); arithmetic wraps."""
    # Right shifts of int64 copy the sign; the masks make them logical.
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def uniform(keys: Tensor, places: Iterable[int], *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return draws in [0, 1), (G, *shape).

    Parameters
    ----------
    keys : (G,) int64
        One per group; see `key_of`.
    places : ints
        What distinguishes this draw from others under the same keys, such as the step of training.
    shape : int
        Each element of the shape is its own draw; prefixes agree: a longer axis starts with the shorter one's draws.

    Examples
    --------
    >>> keys = torch.tensor([7, 8])
    >>> bool((uniform(keys, [0], 3)[:, :2] == uniform(keys, [0], 2)).all())
    True
    """
    state = keys
    for place in places:
        state = _mix(state + torch.full_like(state, place + 1) * _GOLDEN)
    for axis in shape:
        steps = torch.arange(1, axis + 1, device=keys.device) * _GOLDEN
        state = _mix(state[..., None] + steps)
    # 53 bits fill a double; a float32 must not round up to 1.
    bits = 53 if dtype == torch.float64 else 24
    return ((state >> (64 - bits)) & ((1 << bits) - 1)).to(dtype) * 2.0**-bits


def normal(keys: Tensor, places: Iterable[int], *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return standard normal draws, (G, *shape), by Box and Muller's transform of `uniform`."""
    pair = uniform(keys, places, *shape, 2)
    radius = torch.sqrt(-2 * torch.log1p(-pair[..., 0]))
    return (radius * torch.cos(2 * torch.pi * pair[..., 1])).to(dtype)
