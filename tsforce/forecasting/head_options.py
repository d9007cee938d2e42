"""What a head asks of the data: counts are whole numbers, and their law is of them as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsforce.data.panel import Panel
from tsforce.data.transforms import MeanScale, Transform
from tsforce.dynamics.heads import HEADS
from tsforce.dynamics.heads.base import Head
from tsforce.errors import ArgumentError, check_choice

__all__ = ["check_counts", "head_of", "settings_of_counts"]


def head_of(head: Any) -> Head | None:
    """Return a head, looked up where it is a name; None of a point.

    Raises
    ------
    ArgumentError
        With what is accepted.
    """
    if isinstance(head, Head):
        return head
    if isinstance(head, type) and issubclass(head, Head):
        raise ArgumentError(f"head={head.__name__} is a class; write {head.__name__}().")
    return HEADS.get(check_choice("head", head, ("point", *HEADS)))


def settings_of_counts(head: Head, transforms: Any, scaling: Any) -> tuple[Any, Any]:
    """Return target transforms and window scaling of a law of counts: units may divide, and nothing else.

    Raises
    ------
    ArgumentError
        If something else is asked for.
    """
    asked = "auto" if isinstance(transforms, str) else tuple(transforms)
    if asked not in ("auto", (), (MeanScale(),)) or scaling not in ("auto", None):
        raise ArgumentError(
            f"head={head.name!r} has a law of the counts themselves, in units of their mean: leave "
            f"target_transforms='auto' ([MeanScale()]) and window_scaling='auto' (None), not {transforms!r} and "
            f"{scaling!r}."
        )
    chosen: tuple[Transform, ...] = (MeanScale(),) if asked == "auto" else asked  # type: ignore[assignment]
    return chosen, None


def check_counts(head: Head, panel: Panel) -> None:
    """Raise an ArgumentError, with the first value that is none, unless all values are counts."""
    values = panel.values
    wrong = np.argwhere((values < 0) | (values != np.round(values)) & ~np.isnan(values))
    if len(wrong):
        row, channel = wrong[0]
        series = int(np.searchsorted(panel.indptr, row, side="right")) - 1
        raise ArgumentError(
            f"head={head.name!r} is for counts, whole numbers from 0 on; series {panel.id_list[series]!r} has "
            f"{values[row, channel]:g} ({len(wrong)} such values in all). Use head='gaussian' or 'student_t', or round."
        )
