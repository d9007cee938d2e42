"""A map for each step after the cutoff, all of which read what was known there: the direct and DirRec strategies."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
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
    reads_between : bool
        Each map reads what was fed since the cutoff too, after its lags, oldest first.

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

    def __init__(self, layout: LagLayout, models: Sequence[Any], *, reads_between: bool = False) -> None:
        # What was fed last is lag 1, whether or not the first map reads it.
        unread = reads_between and 1 not in layout.lags
        self.layout = replace(layout, lags=(1, *layout.lags)) if unread else layout
        self.models = list(models)
        self.reads_between = reads_between
        self._n_lags = len(layout.lags) * len(layout.channels)

    def init_state(self, past: Tensor) -> Any:
        """Return that no step was taken."""
        del past
        return None, None, 0

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the output (G, B, C, 1) for lag vectors `x` (G, B, D); the state is what was read since the cutoff."""
        lags, others, number = state
        layout, channels = self.layout, len(self.layout.channels)
        newest, own = len(layout.lags) * channels, layout.n_target_columns + len(layout.blocks["past_exog"])
        if number % len(self.models) == 0:
            # A lag vector may be a view of the buffer that later steps write to.
            lags, others, number = x[..., : self._n_lags].clone(), x[..., newest:own].clone(), 0
        elif self.reads_between:
            lags = torch.cat([lags, x[..., newest - channels : newest]], dim=-1)
        output, _ = self.models[number].step(torch.cat([lags, others, x[..., own:]], dim=-1), None)
        return output, (lags, others, number + 1)

    def groups(self, chosen: Tensor) -> EachStep:
        """Return the model of some groups."""
        part = copy(self)
        part.models = [model.groups(chosen) for model in self.models]
        return part
