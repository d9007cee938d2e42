"""A normal law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tsforce.dynamics.heads.base import AT_ONE, Head, Sample, beside, constants, spread_of
from tsforce.dynamics.heads.joint_draws import polar
from tsforce.dynamics.models.linear import Linear

__all__ = ["Gaussian"]


@dataclass(frozen=True)
class Gaussian(Head):
    """A normal law: mean and standard deviation, both of them functions of what the model reads.

    Examples
    --------
    >>> law = torch.tensor([[0.0, 1.0]])
    >>> round(Gaussian().nll(law, torch.tensor([0.0]), torch.ones(1, 1)).item(), 4)
    0.9189
    """

    name: ClassVar[str] = "gaussian"

    def begin(self, start: Linear, sample: Sample) -> tuple[Linear, Tensor]:
        """As the base: the spread is that of the errors of least squares."""
        spread = sample.spread()
        return beside(start, constants([AT_ONE], spread)), spread[..., None]

    def law(self, raw: Tensor, table: Tensor) -> Tensor:
        """Return mean and standard deviation."""
        return torch.stack([raw[..., 0], spread_of(raw[..., 1], table[..., 0])], dim=-1)

    def nll(self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """As the base."""
        del table, unit
        mean, spread = law.unbind(dim=-1)
        return 0.5 * ((y - mean) / spread).square() + spread.log() + 0.5 * math.log(2 * math.pi)

    def crps(
        self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None, other: Tensor | None = None
    ) -> Tensor:
        """As the base (Gneiting, Raftery, Westveld & Goldman 2005; Jordan, Krueger & Lerch 2019)."""
        del table, unit, other
        mean, spread = law.unbind(dim=-1)
        z = (y - mean) / spread
        density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
        return spread * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))

    def draw(self, law: Tensor, numbers: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """As the base (Box & Muller 1958): mean and spread times a number that has no parameter."""
        del table, unit
        radius = torch.sqrt(-2 * torch.log1p(-numbers[..., 0]))
        return law[..., 0] + law[..., 1] * radius * torch.cos(2 * math.pi * numbers[..., 1])

    def together(self, normal: Tensor) -> Tensor:
        """As the base: draws are polar."""
        return polar(normal)
