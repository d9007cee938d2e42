"""Recurrent networks beside a linear map: GRU (Cho et al. 2014) and LSTM (Hochreiter & Schmidhuber 1997)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tsforce.dynamics.draws import uniform
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear

__all__ = ["CELLS", "Recurrent"]

# Gates of each cell.
CELLS = {"gru": 3, "lstm": 4}

State = tuple[Tensor, ...]


class Recurrent(nn.Module):
    """``output = x @ skip + bias + h @ readout``, h the state of a cell that reads the same lag vectors x.

    The linear part carries what least squares finds; the readout starts at zero, so that training starts from the
    open-loop linear solution. What is fed back enters through x, under every forcing alike.

    Parameters
    ----------
    layout : LagLayout
        D columns, C channels.
    cell : "gru" or "lstm"
    width : int
        R, units of the state.
    start : Linear
        Initial linear part, (G, D, C) and (G, C).
    keys : (G,) int64
        Initial weights are drawn by key, not by position.
    dtype : torch.dtype

    Notes
    -----
    Gates in the order of ``torch.nn.GRU`` (reset, update, new) and ``torch.nn.LSTM`` (input, forget, cell, output).
    The forget gate's bias starts at 1 (Jozefowicz et al. 2015).
    """

    def __init__(
        self,
        layout: LagLayout,
        cell: str,
        width: int,
        start: Linear,
        keys: Tensor,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.cell = cell
        self.width = width
        groups, columns, channels = len(keys), len(layout.columns), len(layout.channels)
        self.skip = nn.Parameter(start.weight.detach().to(dtype))
        self.bias = nn.Parameter(start.bias.detach().to(dtype))
        gates = CELLS[cell] * width
        bound = width**-0.5

        def draw(number: int, rows: int) -> nn.Parameter:
            return nn.Parameter((2 * uniform(keys, (5, number), rows, gates, dtype=dtype) - 1) * bound)

        self.from_input = draw(0, columns)
        self.from_state = draw(1, width)
        first = torch.zeros(groups, gates, dtype=dtype, device=keys.device)
        if cell == "lstm":
            first[:, width : 2 * width] = 1.0
        self.input_bias = nn.Parameter(first)
        self.state_bias = nn.Parameter(torch.zeros(groups, gates, dtype=dtype, device=keys.device))
        self.readout = nn.Parameter(torch.zeros(groups, width, channels, dtype=dtype, device=keys.device))

    def init_state(self, past: Tensor) -> State:
        """Return a state of zeros, (G, B, R) for each of its parts."""
        zero = past.new_zeros(past.shape[0], past.shape[1], self.width)
        return (zero,) if self.cell == "gru" else (zero, zero)

    def _next(self, given: Tensor, state: State) -> State:
        """Return the state after one step whose input adds `given` (G, B, gates) to the gates."""
        own = torch.baddbmm(self.state_bias[:, None], state[0], self.from_state)
        if self.cell == "gru":
            a, b = given.chunk(3, dim=-1), own.chunk(3, dim=-1)
            reset, update = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
            new = torch.tanh(a[2] + reset * b[2])
            return (new + update * (state[0] - new),)
        i, f, g, o = (given + own).chunk(4, dim=-1)
        memory = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(memory), memory

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output (G, B, C, 1) for lag vectors `x` (G, B, D), and the next state."""
        state = self._next(torch.baddbmm(self.input_bias[:, None], x, self.from_input), state)
        y = torch.baddbmm(torch.baddbmm(self.bias[:, None], x, self.skip), state[0], self.readout)
        return y[..., None], state

    def warm_up(self, x: Tensor, state: State) -> State:
        """Return the state after the context's lag vectors (G, B, W, D): inputs of all steps in one product."""
        groups, windows, steps, columns = x.shape
        flat = x.reshape(groups, windows * steps, columns)
        given = torch.baddbmm(self.input_bias[:, None], flat, self.from_input).view(groups, windows, steps, -1)
        for w in range(steps):
            state = self._next(given[:, :, w], state)
        return state

    def groups(self, chosen: Tensor) -> Recurrent:
        """Return the model of some groups."""
        part = object.__new__(Recurrent)
        nn.Module.__init__(part)
        part.layout, part.cell, part.width = self.layout, self.cell, self.width
        for name, parameter in self.named_parameters():
            setattr(part, name, nn.Parameter(parameter[chosen], requires_grad=False))
        return part
