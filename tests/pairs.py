"""Which pairs of two lists the default suite tries: each value of either at least once; the slow suite tries all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def pairs(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """Return all pairs as parameters, all but a diagonal of them marked as slow.

    Examples
    --------
    >>> [(p.values, bool(p.marks)) for p in pairs("ab", [1, 2, 3])][:3]
    [(('a', 1), False), (('a', 2), True), (('a', 3), False)]
    """
    return [
        pytest.param(a, b, marks=() if _on_diagonal(i, j, len(first), len(second)) else pytest.mark.slow, id=f"{a}-{b}")
        for i, a in enumerate(first)
        for j, b in enumerate(second)
    ]


def _on_diagonal(i: int, j: int, n_first: int, n_second: int) -> bool:
    return j % n_first == i if n_second >= n_first else i % n_second == j
