"""A map for each step after the cutoff, all of which read what was known there: the direct strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tsforce.dynamics.lags import LagLayout

__all__ = ["EachStep"]


class EachStep:
    """H one-step maps, of which the h-th answers h steps after the cutoff.

    Lags, features and past inputs are those of the first step, future inputs and the calendar each step's own. After
    the last map the first one follows again, at what was fed by then.

    Parameters
    ----------
    layout : LagLayout
        Of the first step.
    models : sequence of StepModel
        Without a state.

    Examples
    --------
    >>> from tsforce.dynamics.models.linear import Linear
    >>> layout = LagLayout((1,))
    >>> half, third = (Linear(layout, torch.tensor([[[w]]]), torch.zeros(1, 1)) for w in (1 / 2, 1 / 3))
    >>> model, x = EachStep(layout, [half, third]), torch.tensor([[[6.0]]])
    >>> first, state = model.step(x, model.init_state(x))
    >>> second, state = model.step(x * 100, state)
    >>> round(first.item(), 3), round(second.item(), 3)
    (3.0, 2.0)
    """

    def __init__(self, layout: LagLayout, models: Sequence[Any]) -> None:
        self.layout = layout
        self.models = list(models)

    def init_state(self, past: Tensor) -> Any:
        """Return that no step was taken."""
        del past
        return None, 0

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the output (G, B, C, 1) for lag vectors `x` (G, B, D); the state is what was read at the cutoff."""
        first, number = state
        layout = self.layout
        own = layout.n_target_columns + len(layout.blocks["past_exog"])
        if number % len(self.models) == 0:
            # A lag vector may be a view of the buffer that later steps write to.
            first, number = x[..., :own].clone(), 0
        output, _ = self.models[number].step(torch.cat([first, x[..., own:]], dim=-1), None)
        return output, (first, number + 1)

    def groups(self, chosen: Tensor) -> EachStep:
        """Return the model of some groups."""
        return EachStep(self.layout, [model.groups(chosen) for model in self.models])
