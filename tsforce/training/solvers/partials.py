"""Derivatives of one step in closed form: of a step model's outputs by its parameters and by its lag vector."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import ACTIVATIONS, Perceptron
from tsforce.dynamics.models.polynomial import Polynomial
from tsforce.dynamics.models.step_groups import indicators, of_own_group, slopes, spread
from tsforce.training.solvers.gram import whole

__all__ = ["Deep", "Monomials", "OneBend", "Partials", "n_parameters", "partials_of"]

# From an activation's value to its slope there.
_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda a: (a > 0).to(a.dtype),
    "tanh": lambda a: 1 - a * a,
}


class Partials(Protocol):
    """The derivatives of a model as it stands; parameters in the order of ``model.parameters()``, each flattened."""

    def __call__(self, x: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs (G, B, C) and their derivatives by the lag vector, (G, B or 1, C, D).

        Parameters
        ----------
        x : (G, B, D)
        room : (G, B, C, P)
            Filled with their derivatives by the parameters.
        """
        ...


def n_parameters(model: nn.Module) -> int:
    """Return P, the parameters of each group."""
    return sum(p[0].numel() for p in model.parameters())


def partials_of(model: nn.Module) -> Partials | None:
    """Return a model's derivatives in closed form; None where they are not written down."""
    if type(model) is Linear:
        return OneBend(model)
    if type(model) is Perceptron and model.activation in _SLOPES:
        return OneBend(model) if len(model.biases) == 1 else Deep(model)
    if type(model) is Polynomial:
        return Monomials(model)
    return None


class OneBend:
    """Derivatives of a linear map, or of a perceptron with one hidden layer.

    Each is a product of one of F features of the lag vector, whatever the channel, and of a factor that is the same for
    all of them: ``x_d``, 1 or ``h_k`` where the parameter is in the channel alone, and ``x_d s_k`` or ``s_k``, s the
    activation's slope, times the weight that carries the hidden unit to the channel.

    Attributes
    ----------
    index : (P,) int64
        Which feature.
    factor : (G, C, P)
    """

    def __init__(self, model: Linear | Perceptron) -> None:
        self.model = model
        first = model.weight if isinstance(model, Linear) else model.skip
        groups, columns, _ = first.shape
        channels, steps = len(model.layout.channels), model.layout.n_step_groups
        # Features: (x, 1) spread over groups of steps, h, then (x, 1) times s_k for each k.
        linear = (columns + 1) * steps
        own = [torch.arange(linear).repeat_interleave(channels)]
        if isinstance(model, Linear):
            self.index, self.n_features = torch.cat(own).to(first.device), linear
            self.factor = torch.eye(channels, dtype=first.dtype, device=first.device).repeat(1, linear)[None]
            return
        hidden = model.weights[0].shape[2]
        inner = linear + hidden
        number = torch.arange(columns * hidden + hidden) + inner
        h = linear + torch.arange(hidden).repeat_interleave(channels)
        self.index = torch.cat([*own, number[: columns * hidden], h, number[columns * hidden :]]).to(first.device)
        self.n_features = inner + len(number)
        carry = model.weights[1].detach()
        alone = torch.eye(channels, dtype=first.dtype, device=first.device).expand(groups, -1, -1)
        parts = [
            alone.repeat(1, 1, linear), carry.mT.repeat(1, 1, columns), alone.repeat(1, 1, hidden), carry.mT,
        ]  # fmt: skip
        self.factor = torch.cat(parts, dim=2)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return features (G, B, F), outputs (G, B, C), and slopes of the hidden units (G, B, K) if there are any."""
        model, layout = self.model, self.model.layout
        linear = [spread(layout, x, x), indicators(layout, x)]
        if isinstance(model, Linear):
            y = of_own_group(layout, x, torch.baddbmm(model.bias[:, None], x, model.weight))
            return torch.cat(linear, dim=2), y, None
        h = ACTIVATIONS[model.activation][0](torch.baddbmm(model.biases[0][:, None], x, model.weights[0]))
        slope = _SLOPES[model.activation](h)
        y = of_own_group(layout, x, torch.baddbmm(model.bias[:, None], x, model.skip))
        y = torch.baddbmm(y, h, model.weights[1])
        inner = (x[..., None] * slope[:, :, None]).flatten(start_dim=2)
        return torch.cat([*linear, h, inner, slope], dim=2), y, slope

    def __call__(self, x: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and their derivatives by the lag vector; see `Partials`."""
        features, y, slope = self.features(x)
        torch.mul(features[..., self.index][:, :, None], self.factor[:, None], out=room)
        model = self.model
        if isinstance(model, Linear):
            return y, slopes(model.layout, x, model.weight)
        assert slope is not None
        back = (slope[:, :, None] * model.weights[1].mT[:, None]).flatten(1, 2)
        by_input = torch.bmm(back, model.weights[0].mT).view(*y.shape, -1)
        return y, by_input.add_(slopes(model.layout, x, model.skip))

    def gram(self, moments: Tensor) -> Tensor:
        """Return ``[r J]' [r J]``, (G, 1 + P, 1 + P), of residuals r and their Jacobian J.

        Parameters
        ----------
        moments : (G, F + C, F + C)
            Lower triangle of the products of features and residuals with each other, summed over rows.
        """
        channels, width = self.factor.shape[1], 1 + len(self.index)
        total = moments.new_zeros(len(moments), width, width)
        moments = whole(moments)
        residuals = moments[:, self.n_features :]
        total[:, 0, 0] = residuals[:, :, self.n_features :].diagonal(dim1=1, dim2=2).sum(dim=1)
        total[:, 1:, 0] = (residuals[:, :, self.index] * self.factor).sum(dim=1)
        total[:, 1:, 1:] = moments[:, self.index[:, None], self.index]
        total[:, 1:, 1:] *= self.factor.mT @ self.factor
        assert channels == residuals.shape[1]
        return total


class Monomials:
    """Derivatives of a polynomial: by a weight, its term; by the lag vector, terms without one of their factors.

    Attributes
    ----------
    slope : (G, K * degree, S * C * D)
        From terms without one of their factors to the derivatives of the channels by the column that it was, of each
        group of steps.
    """

    def __init__(self, model: Polynomial) -> None:
        self.model = model
        columns = len(model.layout.columns)
        # Ones and zeros are no columns of the lag vector, and have no derivative.
        factor = one_hot(model.indices, columns + 2)[..., :columns].to(model.weight.dtype)
        slope = factor[:, :, :, None] * model.weight.detach()[:, :, None, :, None]
        self.slope = slope.flatten(1, 2).flatten(start_dim=2)

    def __call__(self, x: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and their derivatives by the lag vector; see `Partials`."""
        model, factors = self.model, self.model.factors(x)
        before, after = [torch.ones_like(factors[0])], [torch.ones_like(factors[0])]
        for first, last in zip(factors[:-1], factors[:0:-1], strict=True):
            before.append(before[-1] * first)
            after.append(after[-1] * last)
        terms = before[-1] * factors[-1]
        without = torch.stack([a * b for a, b in zip(before, reversed(after), strict=True)], dim=3)
        layout = model.layout
        y = of_own_group(layout, x, torch.baddbmm(model.bias[:, None], terms, model.weight))
        if y.shape[2] > 1:
            room.zero_()
        _own_columns(room, _own_columns(room, 0, spread(layout, x, terms)), indicators(layout, x))
        by_input = of_own_group(layout, x, torch.bmm(without.flatten(start_dim=2), self.slope))
        return y, by_input.view(*y.shape, -1)


class Deep:
    """Derivatives of a perceptron with several hidden layers, backwards through them."""

    def __init__(self, model: Perceptron) -> None:
        self.model = model

    def __call__(self, x: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and their derivatives by the lag vector; see `Partials`."""
        model = self.model
        weights, biases = list(model.weights), list(model.biases)
        bend, slope = ACTIVATIONS[model.activation][0], _SLOPES[model.activation]
        outputs = [x]
        for weight, bias in zip(weights, biases, strict=False):
            outputs.append(bend(torch.baddbmm(bias[:, None], outputs[-1], weight)))
        layout = model.layout
        y = of_own_group(layout, x, torch.baddbmm(model.bias[:, None], x, model.skip))
        y = torch.baddbmm(y, outputs[-1], weights[-1])
        room.zero_()
        start = _own_columns(room, 0, spread(layout, x, x))
        start = _own_columns(room, start, indicators(layout, x))
        sizes = [w[0].numel() for w in (*weights, *biases)]
        at = [start + n for n in itertools.accumulate(sizes, initial=0)]
        hidden = len(biases)
        _own_columns(room, at[hidden], outputs[-1])
        # Of each channel by what every layer adds up, (G, B, C, K).
        back = weights[-1].mT[:, None]
        for layer in reversed(range(hidden)):
            below, weight = outputs[layer], weights[layer]
            back = back * slope(outputs[layer + 1])[:, :, None]
            bias_at = at[hidden + 1 + layer]
            room[..., bias_at : bias_at + back.shape[3]] = back
            place = room[..., at[layer] : at[layer + 1]].unflatten(3, weight.shape[1:])
            torch.mul(below[:, :, None, :, None], back[..., None, :], out=place)
            back = torch.bmm(back.flatten(1, 2), weight.mT).view(*y.shape, -1)
        return y, back.add_(slopes(layout, x, model.skip))


def _own_columns(room: Tensor, start: int, given: Tensor) -> int:
    """Write the derivatives by a matrix (K, C) that every channel has one column of; return where the next begin."""
    channels, width = room.shape[2], given.shape[2]
    for c in range(channels):
        room[:, :, c, start + c : start + width * channels : channels] = given
    return start + width * channels
