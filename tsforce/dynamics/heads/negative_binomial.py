"""Counts, more spread than Poisson's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from tsforce.dynamics.heads.base import AT_ONE, Head, Sample, beside, constants, spread_of
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.poisson_mixture import negative_binomial_draw
from tsforce.dynamics.sums_over_counts import log_probability, product_score

__all__ = ["NegativeBinomial"]

# Sharpness of the bend that keeps the mean of counts positive: 1 % off at a tenth of the mean of a series.
_BEND = 25.0
# Least shape at the start: relative variance beyond Poisson's.
_LEAST_SHAPE = 0.01


@dataclass(frozen=True)
class NegativeBinomial(Head):
    """Counts: a Poisson law whose rate varies, by mean and shape a, variance ``mean + a mean^2``, in original units.

    The model works in units of each series' mean, and its law is of the counts themselves (as in Salinas et al. 2020,
    "DeepAR", but for the shape, which has no unit and is not divided by any).

    Examples
    --------
    >>> law = torch.tensor([[1.0, 1.0]])
    >>> NegativeBinomial().nll(law, torch.tensor([0.0]), torch.ones(1, 1), torch.tensor([1.0])).exp().item()
    2.0
    """

    name: ClassVar[str] = "negative_binomial"
    of_counts: ClassVar[bool] = True
    smooth: ClassVar[bool] = False

    def begin(self, start: Linear, sample: Sample) -> tuple[Linear, Tensor]:
        """As the base: the shape is what variance the errors of least squares have beyond Poisson's."""
        mean = (sample.first * sample.unit).nanmean(dim=1, keepdim=True).clamp(min=1e-12)
        beyond = (sample.errors * sample.unit).square().nanmean(dim=1, keepdim=True) - mean
        shape = (beyond / mean.square())[:, 0].nan_to_num(1.0).clamp(min=_LEAST_SHAPE)
        return beside(start, constants([AT_ONE], shape)), shape[..., None]

    def law(self, raw: Tensor, table: Tensor) -> Tensor:
        """Return mean, model units, and shape."""
        return torch.stack([softplus(raw[..., 0], beta=_BEND) + 1e-6, spread_of(raw[..., 1], table[..., 0])], dim=-1)

    def nll(self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """As the base; of the count itself."""
        del table
        assert unit is not None
        mean, shape = law.unbind(dim=-1)
        return -log_probability(torch.round(y * unit), mean * unit, shape)

    def crps(
        self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None, other: Tensor | None = None
    ) -> Tensor:
        """As the base; of the count itself, in model units."""
        del table
        assert unit is not None
        laws = [(each[..., 0] * unit, each[..., 1]) for each in ((law,) if other is None else (law, other))]
        return product_score(laws, torch.round(y * unit)) / unit

    def draw(self, law: Tensor, numbers: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """As the base: a rate, then a count; neither has a gradient."""
        del table
        assert unit is not None
        mean, shape = law.detach().double().unbind(dim=-1)
        return (negative_binomial_draw(mean * unit, shape, numbers.double()) / unit).to(law)
