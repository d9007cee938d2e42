"""Recurrent networks beside a linear map: one cell throughout, or an encoder and a decoder."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.base import some_groups
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.recurrent_cells import Cell, State
from tsforce.dynamics.models.step_groups import of_own_group

__all__ = ["EncoderDecoder", "Recurrent"]


class Recurrent(nn.Module):
    """``output = x @ skip + bias + h @ readout``, h the state of a cell that reads the same lag vectors x.

    The linear part carries what least squares finds; the readout starts at zero, so that training starts from the
    open-loop linear solution. What is fed back enters through x, under every forcing alike.

    Parameters
    ----------
    layout : LagLayout
        D columns.
    cell : "gru" or "lstm"
    width : int
        R, units of the state.
    start : Linear
        Initial linear part, to as many outputs as the model is to have: C, or K for each channel where a head reads
        them. It alone has weights of its own for each group of steps.
    keys : (G,) int64
        Initial weights are drawn by key, not by position.
    dtype : torch.dtype
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
        groups, columns = len(keys), len(layout.columns)
        self.skip = nn.Parameter(start.weight.detach().to(dtype))
        self.bias = nn.Parameter(start.bias.detach().to(dtype))
        n_outputs = self.bias.shape[1] // layout.n_step_groups
        self.cell = Cell(cell, columns, width, keys, 0, dtype)
        self.readout = nn.Parameter(torch.zeros(groups, width, n_outputs, dtype=dtype, device=keys.device))

    def init_state(self, past: Tensor) -> State:
        """Return a state of zeros, (G, B, R) for each of its parts."""
        return self.cell.zero(past)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output (G, B, C, 1) for lag vectors `x` (G, B, D), and the next state."""
        state = self.cell(x, state)
        y = of_own_group(self.layout, x, torch.baddbmm(self.bias[:, None], x, self.skip))
        y = torch.baddbmm(y, state[0], self.readout)
        return y[..., None], state

    def warm_up(self, x: Tensor, state: State) -> State:
        """Return the state after the context's lag vectors (G, B, W, D)."""
        return self.cell.through(x, state)

    def groups(self, chosen: Tensor) -> Self:
        """Return the model of some groups."""
        return some_groups(self, chosen)


class EncoderDecoder(Recurrent):
    """A recurrent network with two cells: one takes in the context, the other goes on over the horizon.

    The decoder starts from the encoder's last state (Cho et al. 2014, Sutskever et al. 2014), and reads lag vectors
    like every other model: its own outputs come back through them. Without a context before the lags there is nothing
    to encode, and the decoder starts from zeros.

    Parameters
    ----------
    layout, cell, width, start, keys, dtype
        As in `Recurrent`; both cells are of one kind and width.

    Notes
    -----
    The cutoff is where one cell hands over to the other. So the forecast of one row, from observed lags, differs with
    the cutoff it is made from: after h steps of the decoder in a roll-out under ``OpenLoop()``, after one at the cutoff
    just before that row.
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
        super().__init__(layout, cell, width, start, keys, dtype)
        self.encoder = Cell(cell, len(layout.columns), width, keys, 1, dtype)

    def warm_up(self, x: Tensor, state: State) -> State:
        """Return the encoder's state after the context's lag vectors (G, B, W, D), where the decoder starts."""
        return self.encoder.through(x, state)
