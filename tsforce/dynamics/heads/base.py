"""Heads: laws of the next value in place of the value alone; a step model answers with their parameters.

A head reads K raw outputs of a model for each channel and says P parameters of a law, of which **the first is the
point**: the mean in model units, what is fed back where a roll-out has no draws. Axes ``(..., C, P)``, G first. `table`
holds what a head has learnt before training, (G, C, T): the spread it starts from, or its bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from tsforce.dynamics.heads.joint_draws import ranks
from tsforce.dynamics.models.linear import Linear

__all__ = ["AT_ONE", "Head", "Sample", "beside", "constants", "spread_of"]

# Least spread, in shares of that of the start: a likelihood has no bound where errors are zero.
_LEAST = 1e-3
# A raw output whose spread is that of the start.
AT_ONE = math.log(math.expm1(1 - _LEAST))


class Sample(NamedTuple):
    """What a head starts from: values after some cutoffs, and errors of the linear map that the model starts from.

    Attributes
    ----------
    errors, first : (G, N, C)
        One step ahead, observed less forecast, and what was observed; model units. NaN where nothing was.
    unit : (G, N, C)
        Original units in one model unit, of heads that ask for it; else ones.
    values : (G, M, C)
        At all steps; NaN where nothing was observed.
    """

    errors: Tensor
    first: Tensor
    unit: Tensor
    values: Tensor

    def spread(self) -> Tensor:
        """Return the root mean square error of each group and channel, above 0, (G, C)."""
        size = self.errors.square().nanmean(dim=1).nan_to_num(1.0).sqrt()
        least = 1e-6 * self.first.abs().nanmean(dim=1).nan_to_num(1.0)
        return torch.maximum(size, least).clamp(min=1e-12)


@dataclass(frozen=True)
class Head:
    """Base of all heads: frozen, comparable, and free of data.

    Attributes
    ----------
    name : str
    n_raw : int
        K, raw outputs for each channel.
    of_counts : bool
        Whether laws are of original units, whole numbers from 0 on: methods then need `unit`, original units in one
        model unit.
    smooth : bool
        Whether draws move with the parameters, and so have a gradient; else they jump from one value to another.
    """

    name: ClassVar[str] = ""
    of_counts: ClassVar[bool] = False
    smooth: ClassVar[bool] = True

    @property
    def n_raw(self) -> int:
        """Raw outputs for each channel."""
        return 2

    def begin(self, start: Linear, sample: Sample) -> tuple[Linear, Tensor]:
        """Return the linear map of all raw outputs that a model starts from, and the head's table.

        Parameters
        ----------
        start : Linear
            To the point: least squares.
        sample : Sample
        """
        raise NotImplementedError

    def law(self, raw: Tensor, table: Tensor) -> Tensor:
        """Return the parameters (..., C, P) of laws from raw outputs (..., C, K)."""
        raise NotImplementedError

    def nll(self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """Return minus the log-likelihood of values (..., C), model units."""
        raise NotImplementedError

    def crps(
        self, law: Tensor, y: Tensor, table: Tensor, unit: Tensor | None = None, other: Tensor | None = None
    ) -> Tensor:
        """Return the continuous ranked probability score of values (..., C), model units.

        Parameters
        ----------
        law, y, table, unit
            As in `nll`.
        other : (..., C, P), optional
            Of heads that are not smooth, a second law: the score is then the integral of the product of both errors,
            ``(F(x) - 1{y <= x}) (F'(x) - 1{y <= x})``, whose mean over independent draws of both laws is the score of
            their mixture.
        """
        raise NotImplementedError

    def draw(self, law: Tensor, numbers: Tensor, table: Tensor, unit: Tensor | None = None) -> Tensor:
        """Return draws (..., C), model units, from uniform numbers (..., C, 2) in [0, 1)."""
        raise NotImplementedError

    def together(self, normal: Tensor) -> Tensor:
        """Return uniform numbers (..., C, 2) whose draws go together as pairs of normal numbers (..., C, 2) do."""
        return ranks(normal)


def beside(start: Linear, biases: Tensor) -> Linear:
    """Return the map whose first raw output is that of `start`, the others constants (G, C, K - 1)."""
    layout = start.layout
    apart = layout.n_step_groups, len(layout.channels)
    weight, bias = start.weight.detach().unflatten(2, apart)[..., None], start.bias.detach().unflatten(1, apart)
    rest = biases.to(weight)
    weight = torch.cat([weight, weight.new_zeros(*weight.shape[:-1], rest.shape[-1])], dim=-1)
    bias = torch.cat([bias[..., None], rest[:, None].expand(-1, apart[0], -1, -1)], dim=-1)
    return Linear(layout, weight.flatten(start_dim=2), bias.flatten(start_dim=1))


def constants(values: list[float], like: Tensor) -> Tensor:
    """Return constants for each group and channel of (G, C), (G, C, len)."""
    return like.new_tensor(values).expand(*like.shape, len(values))


def spread_of(raw: Tensor, table: Tensor) -> Tensor:
    """Return a spread above 0, in units of the one that training started from."""
    return table * (_LEAST + softplus(raw))
