"""A polynomial of the lag vector: a weighted sum of some of its monomials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.equation import equation
from tsforce.dynamics.models.step_groups import of_own_group

__all__ = ["Polynomial"]


class Polynomial(nn.Module):
    """``output = monomials(x) @ weight + bias``, with terms and weights of its own for each of G groups.

    Parameters
    ----------
    layout : LagLayout
        D columns, C channels, S groups of steps.
    indices : (G, K, P) int64
        The columns whose product each of the K terms is, P of them, repeats allowed: D stands for a column of ones, for
        terms of a lower degree, and D + 1 for one of zeros, for groups that have fewer terms than others.
    weight : (G, K, S * C)
        Of all channels for the first group of steps, then for the next.
    bias : (G, S * C)

    Examples
    --------
    >>> terms = torch.tensor([[[0, 2], [0, 1]]])
    >>> weight, bias = torch.tensor([[[0.5], [1.0]]]), torch.tensor([[0.25]])
    >>> model = Polynomial(LagLayout((1, 2)), terms, weight, bias)
    >>> model.step(torch.tensor([[[2.0, 4.0]]]), None)[0].item()
    9.25
    >>> print(model.equation())
    y(t) = 0.5 y(t-2) + y(t-2) y(t-1) + 0.25
    """

    indices: Tensor
    ends: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, layout: LagLayout, indices: Tensor, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("indices", indices)
        self.register_buffer("ends", weight.new_tensor([1.0, 0.0]), persistent=False)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def init_state(self, past: Tensor) -> None:
        """A polynomial has no state."""
        del past

    def factors(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what each term is the product of, P tensors (G, B, K), for lag vectors `x` (G, B, D)."""
        indices, (groups, windows, _) = self.indices, x.shape
        x = torch.cat([x, self.ends.expand(groups, windows, 2)], dim=2)
        # All factors in one call: of a single window, calls are what takes time.
        if len(indices) == 1:
            # Less careful about where it reads from, and half the time of the other.
            found = x.index_select(2, indices.view(-1))
        else:
            found = x.gather(2, indices.flatten(1).unsqueeze(1).expand(-1, windows, -1))
        return found.view(groups, windows, *indices.shape[1:]).unbind(dim=3)

    def monomials(self, x: Tensor) -> Tensor:
        """Return the values of the terms, (G, B, K), for lag vectors `x` (G, B, D)."""
        first, *others = self.factors(x)
        for factor in others:
            first = first * factor
        return first

    def step(self, x: Tensor, state: None) -> tuple[Tensor, None]:
        """Return the output (G, B, C, 1) for lag vectors `x` (G, B, D)."""
        y = torch.baddbmm(self.bias.unsqueeze(1), self.monomials(x), self.weight)
        return of_own_group(self.layout, x, y).unsqueeze(3), state

    def groups(self, chosen: Tensor | slice) -> Polynomial:
        """Return the model of some groups."""
        return Polynomial(self.layout, self.indices[chosen], self.weight[chosen], self.bias[chosen])

    def join(self, parts: Sequence[Self]) -> Polynomial:
        """Return a model of the groups of several, one after the other."""
        most = max(part.weight.shape[1] for part in parts)
        zero = len(self.layout.columns) + 1
        rooms = [most - part.weight.shape[1] for part in parts]
        indices = [pad(part.indices, (0, 0, 0, room), value=zero) for part, room in zip(parts, rooms, strict=True)]
        weight = [pad(part.weight.detach(), (0, 0, 0, room)) for part, room in zip(parts, rooms, strict=True)]
        return Polynomial(
            self.layout, torch.cat(indices), torch.cat(weight), torch.cat([part.bias.detach() for part in parts])
        )

    def fillers(self) -> Tensor | None:
        """Return which parameters only fill a group up, (G, P) bool, in the order of ``parameters()``; None: none."""
        zero = len(self.layout.columns) + 1
        term = (self.indices == zero).any(dim=2)
        if not bool(term.any()):
            return None
        outputs = self.bias.shape[1]
        return torch.cat([term.repeat_interleave(outputs, dim=1), torch.zeros_like(self.bias, dtype=torch.bool)], dim=1)

    def terms(self, group: int = 0) -> list[str]:
        """Return what the terms of a group are, as products of columns of the lag vector."""
        names, one = self.layout.columns, len(self.layout.columns)
        found = []
        for term in self.indices[group].tolist():
            if one + 1 in term:
                continue
            counts = [
                (names[column], len(list(same))) for column, same in itertools.groupby(sorted(term)) if column < one
            ]
            found.append(" * ".join(name if power == 1 else f"{name}^{power}" for name, power in counts))
        return found

    def equation(self, group: int = 0) -> str:
        """Return the outputs of a group as text, model units; see ``models.equation.equation``."""
        return equation(self, group=group)
