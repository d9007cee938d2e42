"""Bins of the value, each with a probability of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from tsforce.dynamics.heads.base import Head, Sample
from tsforce.dynamics.models.linear import Linear
from tsforce.errors import ArgumentError

__all__ = ["NOTHING", "Quantised"]

# Logit of a bin that there is not; a log-probability below the other has no bin.
_NO_BIN, NOTHING = -1e4, -5e3


@dataclass(frozen=True)
class Quantised(Head):
    """Bins, each with a probability of its own: any law, also with several peaks.

    Bins hold equally many values of the training rows; where these have no more than `n_bins` different values, each is
    a bin. What a bin stands for is the mean of its values.

    Parameters
    ----------
    n_bins : int

    Examples
    --------
    >>> Quantised(n_bins=32).n_raw
    32
    """

    n_bins: int = 64

    name: ClassVar[str] = "quantised"
    smooth: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.n_bins, bool) or not isinstance(self.n_bins, int) or self.n_bins < 2:
            raise ArgumentError(f"n_bins={self.n_bins!r}: expected a whole number of at least 2.")

    @property
    def n_raw(self) -> int:
        """A logit for each bin."""
        return self.n_bins

    def begin(self, start: Linear, sample: Sample) -> tuple[Linear, Tensor]:
        """As the base: normal laws about the forecasts of least squares, cut into bins; such logits are linear."""
        groups, _, channels = sample.values.shape
        parts = [self._bins(sample.values[g, :, c]) for g in range(groups) for c in range(channels)]
        values, edges, log_width = (torch.stack(side).view(groups, channels, -1) for side in zip(*parts, strict=True))
        layout = start.layout
        apart = layout.n_step_groups, channels
        weight, bias = start.weight.detach().unflatten(2, apart), start.bias.detach().unflatten(1, apart)
        width = torch.where(log_width > NOTHING, log_width, torch.nan).exp().nanmedian(dim=-1).values
        variance = (sample.spread().square() + width.square() / 12)[..., None]
        slope = torch.where(log_width > NOTHING, values / variance, 0.0).to(weight)
        constant = torch.where(log_width > NOTHING, log_width - 0.5 * values.square() / variance, _NO_BIN).to(weight)
        wide = weight[..., None] * slope[:, None, None]
        whole = bias[..., None] * slope[:, None] + constant[:, None]
        return Linear(layout, wide.flatten(start_dim=2), whole.flatten(start_dim=1)), torch.cat([values, edges], dim=-1)

    def _bins(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the bins of some values stand for, their upper edges, and logarithms of their widths, (K,) each.

        Bins that there are not are at the end.
        """
        ordered = values[~values.isnan()].double().sort().values
        if not len(ordered):
            ordered = ordered.new_zeros(1)
        distinct, count = torch.unique_consecutive(ordered, return_counts=True)
        if len(distinct) > self.n_bins:
            # A value that is frequent fills bins of its own.
            place = ((count.cumsum(0) - 0.5 * count) * self.n_bins / len(ordered)).long().clamp(max=self.n_bins - 1)
            ends = torch.nonzero(place.diff())[:, 0]
            many = count.double()
            total, number = (
                ordered.new_zeros(self.n_bins).index_add(0, place, part) for part in (distinct * many, many)
            )
            centres = (total / number)[number > 0]
            between = 0.5 * (distinct[ends] + distinct[ends + 1])
        else:
            centres, between = distinct, 0.5 * (distinct[:-1] + distinct[1:])
        missing = self.n_bins - len(centres)
        gaps = centres.diff() if len(centres) > 1 else ordered.new_ones(1)
        width = 0.5 * (torch.cat([gaps[:1], gaps]) + torch.cat([gaps, gaps[-1:]]))[: len(centres)]
        endless = between.new_full((missing + 1,), torch.inf)
        return (
            torch.cat([centres, centres[-1:].expand(missing)]),
            torch.cat([between, endless]),
            torch.cat([width.log(), width.new_full((missing,), _NO_BIN)]),
        )

    def law(self, raw: Tensor, table: Tensor) -> Tensor:
        """Return the mean and the logarithm of each bin's probability."""
        logs = log_softmax(raw, dim=-1)
        mean = (logs.exp() * table[..., : self.n_bins]).sum(dim=-1, keepdim=True)
        return torch.cat([mean, logs], dim=-1)

    def token(self, y: Tensor, table: Tensor) -> Tensor:
        """Return the bin that each value (..., C) falls into, int64."""
        inside = y[..., None] > table[..., self.n_bins :].to(y)
        return inside.sum(dim=-1)

    def value(self, token: Tensor, table: Tensor) -> Tensor:
        """Return what bins (..., C) stand for, model units."""
        values = table[..., : self.n_bins].expand(*token.shape, self.n_bins)
        return values.gather(-1, token[..., None])[..., 0]

    def nll(self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """As the base, of the bin: cross-entropy."""
        del unit
        return -law[..., 1:].gather(-1, self.token(y, table)[..., None])[..., 0]

    def crps(
        self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None, other: Tensor | None = None
    ) -> Tensor:
        """As the base: of what bins stand for."""
        del unit
        values = table[..., : self.n_bins].to(law)
        low, high = values[..., :-1], values[..., 1:]
        below = law[..., 1:-1].exp().cumsum(dim=-1)
        beside = below if other is None else other[..., 1:-1].exp().cumsum(dim=-1)
        place = torch.minimum(torch.maximum(y[..., None], low), high)
        between = below * beside * (place - low) + (1 - below) * (1 - beside) * (high - place)
        outside = (values[..., 0] - y).clamp(min=0) + (y - values[..., -1]).clamp(min=0)
        return between.sum(dim=-1) + outside

    def draw(self, law: Tensor, numbers: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """As the base: what a bin stands for."""
        del unit
        upto = law[..., 1:].exp().cumsum(dim=-1)
        # Rounding must not lead past the last bin that there is.
        token = (numbers[..., :1] * upto[..., -1:] >= upto).sum(dim=-1)
        return self.value(token, table).to(law)
