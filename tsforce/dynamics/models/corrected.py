"""The roll-out of a recursive map, and what a map of each step adds to it: the rectify strategy."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tsforce.dynamics.models.each_step import EachStep

__all__ = ["Corrected"]


class Corrected:
    """The closed-loop forecast of a base, which is fed its own outputs alone, and a correction of each step.

    After the last correction the base goes on, and that one is kept.

    Parameters
    ----------
    base : StepModel
        Without a state. Its layout may tell steps apart.
    corrections : EachStep
        Of the same columns, but for those that tell steps apart.

    Examples
    --------
    >>> import torch
    >>> from tsforce.dynamics.forcing import ClosedLoop
    >>> from tsforce.dynamics.lags import LagLayout
    >>> from tsforce.dynamics.models.linear import Linear
    >>> from tsforce.dynamics.rollout import rollout
    >>> layout = LagLayout((1,))
    >>> half, tenth = (Linear(layout, torch.tensor([[[w]]]), torch.zeros(1, 1)) for w in (0.5, 0.1))
    >>> model = Corrected(half, EachStep(layout, [tenth, tenth]))
    >>> yhat, _ = rollout(model, torch.tensor([[[[8.0]]]]), 3, ClosedLoop())
    >>> [round(y, 3) for y in yhat.flatten().tolist()]
    [4.8, 2.8, 1.8]
    """

    def __init__(self, base: Any, corrections: EachStep) -> None:
        self.base = base
        self.corrections = corrections
        self.layout = base.layout

    def init_state(self, past: Tensor) -> Any:
        """Return that the base has not been rolled out."""
        del past
        return None, None, None, 0

    def begin(self, forecasts: Tensor) -> Any:
        """Return the state before the first step, from forecasts of the base for all steps, (G, B, H, C)."""
        return forecasts, None, self.corrections.init_state(forecasts), 0

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the output (G, B, C, 1) for lag vectors `x` (G, B, D)."""
        forecasts, correction, inner, number = state
        if number < len(self.corrections.models):
            correction, inner = self.corrections.step(x[..., : len(self.corrections.layout.columns)], inner)
        return forecasts[:, :, number, :, None] + correction, (forecasts, correction, inner, number + 1)

    def groups(self, chosen: Tensor) -> Corrected:
        """Return the model of some groups."""
        return Corrected(self.base.groups(chosen), self.corrections.groups(chosen))
