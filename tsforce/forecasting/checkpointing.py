"""Checkpoints of what is made of fits: where they are, and fits that keep their own within them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tsforce.data.panel import Panel
from tsforce.persistence.checkpoints import Checkpoint, checkpoint_in

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = ["fit_within", "place_for"]


def place_for(checkpoint: Any, what: str, settings: Mapping[str, Any], *panels: Panel) -> Checkpoint | None:
    """Return the place of ``checkpoint=`` for something that is done with some panels; None where none is asked for.

    Raises
    ------
    ArgumentError, PersistenceError
        As from `checkpoint_in`.
    """
    # The same rows are learnt from in whatever order, and of whatever library, they came.
    return checkpoint_in(checkpoint, what, settings, [replace(one, was_unsorted=False, kind="") for one in panels])


def fit_within(model: Forecaster, panel: Panel, mode: Any, checkpoint: Checkpoint | None) -> Forecaster:
    """Return a forecaster after its `fit`, which keeps checkpoints of its own where it knows how to."""
    given: dict[str, Any] = {}
    if checkpoint is not None and "checkpoint" in inspect.signature(model.fit).parameters:
        given["checkpoint"] = checkpoint
    fitted: Forecaster = model.fit(panel, mode=mode, **given)
    return fitted
