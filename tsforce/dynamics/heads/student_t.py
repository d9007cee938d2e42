"""Student's t."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from tsforce.dynamics.heads.base import AT_ONE, Head, Sample, beside, constants, spread_of
from tsforce.dynamics.heads.joint_draws import polar
from tsforce.dynamics.models.linear import Linear

__all__ = ["StudentT"]

# Degrees of freedom that training starts from, and what they stay above: from 2 on the variance exists.
_FREEDOM, _ABOVE = 10.0, 2.001


@dataclass(frozen=True)
class StudentT(Head):
    """Student's t: location, scale and degrees of freedom (above 2), for errors with heavy tails.

    Examples
    --------
    >>> law = torch.tensor([[0.0, 1.0, 5.0]])
    >>> round(StudentT().nll(law, torch.tensor([0.0]), torch.ones(1, 1)).item(), 4)
    0.9686
    """

    name: ClassVar[str] = "student_t"

    @property
    def n_raw(self) -> int:
        """Location, scale, degrees of freedom."""
        return 3

    def begin(self, start: Linear, sample: Sample) -> tuple[Linear, Tensor]:
        """As the base: the variance is that of the errors of least squares."""
        spread = sample.spread() * math.sqrt((_FREEDOM - 2) / _FREEDOM)
        bias = math.log(math.expm1(_FREEDOM - _ABOVE))
        return beside(start, constants([AT_ONE, bias], spread)), spread[..., None]

    def law(self, raw: Tensor, table: Tensor) -> Tensor:
        """Return location, scale and degrees of freedom."""
        return torch.stack([raw[..., 0], spread_of(raw[..., 1], table[..., 0]), _ABOVE + softplus(raw[..., 2])], dim=-1)

    def nll(self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """As the base."""
        del table, unit
        place, scale, freedom = law.unbind(dim=-1)
        z = (y - place) / scale
        constant = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) - 0.5 * torch.log(math.pi * freedom)
        return 0.5 * (freedom + 1) * torch.log1p(z.square() / freedom) + scale.log() - constant

    def crps(
        self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None, other: Tensor | None = None
    ) -> Tensor:
        """As the base (Jordan, Krueger & Lerch 2019, "Evaluating probabilistic forecasts with scoringRules")."""
        del table, unit, other
        place, scale, freedom = law.unbind(dim=-1)
        z = (y - place) / scale
        log_beta = torch.lgamma(freedom / 2) + math.lgamma(0.5) - torch.lgamma((freedom + 1) / 2)
        density = torch.exp(-0.5 * (freedom + 1) * torch.log1p(z.square() / freedom) - log_beta) / freedom.sqrt()
        # B(1/2, nu - 1/2) / B(1/2, nu / 2)^2
        ratio = torch.exp(math.lgamma(0.5) + torch.lgamma(freedom - 0.5) - torch.lgamma(freedom) - 2 * log_beta)
        tails = 2 * density * (freedom + z.square()) / (freedom - 1)
        inside = 2 * z * _from_middle(z, freedom, log_beta)
        return scale * (inside + tails - 2 * freedom.sqrt() / (freedom - 1) * ratio)

    def draw(self, law: Tensor, numbers: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """As the base (Bailey 1994, "Polar generation of random variates with the t-distribution"): exact, smooth."""
        del table, unit
        place, scale, freedom = law.unbind(dim=-1)
        square = freedom * torch.expm1(-2 / freedom * torch.log1p(-numbers[..., 0]))
        # A root of zero has no gradient.
        return place + scale * square.clamp(min=1e-12).sqrt() * torch.cos(2 * math.pi * numbers[..., 1])

    def together(self, normal: Tensor) -> Tensor:
        """As the base: draws are polar."""
        return polar(normal)


def _from_middle(z: Tensor, freedom: Tensor, log_beta: Tensor) -> Tensor:
    """Return the probability of a t law between 0 and z, negative below 0; smooth in both.

    With ``s = sqrt(nu) tan(angle)`` the density is a power of a cosine on a bounded range: Gauss and Legendre's rule.
    """
    angle = torch.atan(z / freedom.sqrt())
    # Further out is less than 1e-15 of it.
    most = 9 / (freedom - 1).sqrt()
    angle = torch.minimum(torch.maximum(angle, -most), most)
    nodes, weights = (side.to(z) for side in _RULE)
    at = torch.cos(0.5 * angle[..., None] * (nodes + 1))
    power = torch.exp((freedom[..., None] - 1) * at.log() - log_beta[..., None])
    return 0.5 * angle * (power * weights).sum(dim=-1)


def _gauss_legendre(count: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights on [-1, 1], from the eigenvalues of the recurrence (Golub & Welsch 1969)."""
    k = torch.arange(1, count, dtype=torch.float64)
    beside = k / torch.sqrt(4 * k * k - 1)
    nodes, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return nodes, 2 * vectors[0].square()


_RULE = _gauss_legendre(32)
