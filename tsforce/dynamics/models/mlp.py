"""A multilayer perceptron beside a linear map."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tsforce.dynamics.draws import normal
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.step_groups import of_own_group

__all__ = ["ACTIVATIONS", "Perceptron"]

# Each with the variance of weights, times fan-in, that keeps that of its outputs (He et al. 2015; Glorot & Bengio
# 2010).
ACTIVATIONS = {"relu": (torch.relu, 2.0), "tanh": (torch.tanh, 1.0)}


class Perceptron(nn.Module):
    """``output = x @ skip + bias + f(x)``, f a network with weights of its own for each of G groups.

    The linear part carries what least squares finds; the network starts at zero output and learns what is left, so that
    training starts from the open-loop linear solution.

    Parameters
    ----------
    layout : LagLayout
        D columns.
    hidden : sequence of int
        Widths of the hidden layers.
    start : Linear
        Initial linear part, to as many outputs as the model is to have: C, or K for each channel where a head reads
        them. It alone has weights of its own for each group of steps.
    keys : (G,) int64
        Initial weights are drawn by key, not by position.
    dtype : torch.dtype
    activation : "relu" or "tanh"
    """

    def __init__(
        self,
        layout: LagLayout,
        hidden: Sequence[int],
        start: Linear,
        keys: Tensor,
        dtype: torch.dtype = torch.float32,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.layout = layout
        self.activation = activation
        self.skip = nn.Parameter(start.weight.detach().to(dtype))
        self.bias = nn.Parameter(start.bias.detach().to(dtype))
        widths = [len(layout.columns), *hidden]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for number, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            drawn = normal(keys, (3, number), fan_in, fan_out, dtype=dtype)
            drawn = drawn * (ACTIVATIONS[activation][1] / fan_in) ** 0.5
            self.weights.append(nn.Parameter(drawn))
            self.biases.append(nn.Parameter(torch.zeros(len(keys), fan_out, dtype=dtype, device=keys.device)))
        n_outputs = self.bias.shape[1] // layout.n_step_groups
        last = torch.zeros(len(keys), widths[-1], n_outputs, dtype=dtype, device=keys.device)
        self.weights.append(nn.Parameter(last))

    def init_state(self, past: Tensor) -> None:
        """A perceptron has no state."""
        del past

    def step(self, x: Tensor, state: None) -> tuple[Tensor, None]:
        """Return the output (G, B, C, 1) for lag vectors `x` (G, B, D)."""
        # A ParameterList looks each entry up by its name, which takes longer than a product of one window.
        *inner, last = self.weights.parameters(recurse=False)
        y = of_own_group(self.layout, x, torch.baddbmm(self.bias.unsqueeze(1), x, self.skip))
        bend = ACTIVATIONS[self.activation][0]
        for weight, bias in zip(inner, self.biases.parameters(recurse=False), strict=True):
            x = bend(torch.baddbmm(bias.unsqueeze(1), x, weight))
        return torch.baddbmm(y, x, last).unsqueeze(3), state

    def groups(self, chosen: Tensor) -> Perceptron:
        """Return the model of some groups."""
        part = object.__new__(Perceptron)
        nn.Module.__init__(part)
        part.layout, part.activation = self.layout, self.activation
        for name in ("skip", "bias"):
            setattr(part, name, nn.Parameter(getattr(self, name)[chosen], requires_grad=False))
        for name in ("weights", "biases"):
            setattr(
                part, name, nn.ParameterList(nn.Parameter(w[chosen], requires_grad=False) for w in getattr(self, name))
            )
        return part
