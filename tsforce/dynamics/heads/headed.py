"""A step model that answers with a law, and the draws of its roll-outs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tsforce.dynamics.heads.base import Head
from tsforce.dynamics.heads.joint_draws import correlated
from tsforce.dynamics.models.base import StepModel, WarmsUp

__all__ = ["Draws", "Headed", "HeadedWithContext", "headed"]


class Headed(nn.Module):
    """A step model that answers with a law: a body of C times K raw outputs, and what a head makes of them.

    Parameters
    ----------
    body : StepModel
        Built from the start that the head has widened.
    head : Head
    table : (G, C, T)
    mixing : (G, C, C)
        By which draws of several channels go together, see ``mixing_of``.
    """

    table: Tensor
    mixing: Tensor

    def __init__(self, body: Any, head: Head, table: Tensor, mixing: Tensor) -> None:
        super().__init__()
        self.layout = body.layout
        self.body, self.head = body, head
        self.register_buffer("table", table)
        self.register_buffer("mixing", mixing)

    def init_state(self, past: Tensor) -> Any:
        """Return the body's."""
        return self.body.init_state(past)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the law (G, B, C, P), its first parameter the point, for lag vectors `x` (G, B, D)."""
        raw, state = self.body.step(x, state)
        raw = raw[..., 0].unflatten(-1, (len(self.layout.channels), -1))
        return self.head.law(raw, self.table[:, None]), state

    def groups(self, chosen: Tensor) -> Headed:
        """Return the model of some groups."""
        return headed(self.body.groups(chosen), self.head, self.table[chosen], self.mixing_of_draws()[chosen])

    def mixing_of_draws(self) -> Tensor:
        """Return what draws of several channels go together by; files of before have none, and draws are apart."""
        eye = torch.eye(len(self.layout.channels), dtype=self.table.dtype, device=self.table.device)
        found: Tensor = getattr(self, "mixing", eye.expand(len(self.table), -1, -1))
        return found

    def draws(self, numbers: Tensor, unit: Tensor | None = None) -> Draws:
        """Return what a roll-out is to draw from uniform numbers (G, B, H, C, 2)."""
        return Draws(self, numbers, unit)


class HeadedWithContext(Headed):
    """One whose body takes in the context."""

    def warm_up(self, x: Tensor, state: Any) -> Any:
        """Return the body's state after the steps of the context."""
        return self.body.warm_up(x, state)


def headed(body: StepModel, head: Head, table: Tensor, mixing: Tensor) -> Headed:
    """Return a step model of a body and a head."""
    return (HeadedWithContext if isinstance(body, WarmsUp) else Headed)(body, head, table, mixing)


@dataclass(frozen=True, eq=False)
class Draws:
    """What a roll-out puts in place of the points: draws of the laws, each fed back before the next.

    Draws of a head that is not smooth have the gradient of its point, which is that of their mean (straight through:
    Bengio, Leonard & Courville 2013, "Estimating or propagating gradients through stochastic neurons").

    Attributes
    ----------
    model : Headed
    numbers : (G, B, H, C, 2)
        Uniform in [0, 1).
    unit : (G, B, 1, C) or None
        Original units in one model unit, of heads of counts.
    """

    model: Headed
    numbers: Tensor
    unit: Tensor | None = None

    def __call__(self, h: int, law: Tensor) -> Tensor:
        """Return the values (G, B, C) of a step after the cutoff, from its laws."""
        unit = None if self.unit is None else self.unit[:, :, 0]
        numbers = self.numbers[:, :, h]
        if numbers.shape[2] > 1:
            mixing = self.model.mixing_of_draws()[:, None].to(numbers)
            numbers = self.model.head.together(correlated(numbers, mixing))
        drawn = self.model.head.draw(law, numbers, self.model.table[:, None], unit)
        if not self.model.head.smooth and law.requires_grad:
            drawn = drawn + (law[..., 0] - law[..., 0].detach())
        return drawn
