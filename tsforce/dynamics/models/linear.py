"""A linear map from the lag vector to the next target."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.step_groups import of_own_group

__all__ = ["Linear"]


class Linear(nn.Module):
    """``output = x @ weight + bias``, with weights of its own for each of G groups.

    Parameters
    ----------
    layout : LagLayout
        D columns, C channels, S groups of steps.
    weight : (G, D, S * C)
        Of all channels for the first group of steps, then for the next.
    bias : (G, S * C)

    Examples
    --------
    >>> model = Linear(LagLayout((1, 2)), torch.tensor([[[0.5], [1.0]]]), torch.tensor([[0.25]]))
    >>> output, _ = model.step(torch.tensor([[[2.0, 4.0]]]), None)
    >>> output.item()
    5.25
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, layout: LagLayout, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.layout = layout
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def init_state(self, past: Tensor) -> None:
        """A linear map has no state."""
        del past

    def step(self, x: Tensor, state: None) -> tuple[Tensor, None]:
        """Return the output (G, B, C, 1) for lag vectors `x` (G, B, D)."""
        y = torch.baddbmm(self.bias[:, None], x, self.weight)
        return of_own_group(self.layout, x, y)[..., None], state

    def response(self, horizon: int) -> Linear | None:
        """Return the map of what a shock to an output does to later ones: that of the lags which see it in time.

        A roll-out with shocks is the one without, plus the shocks rolled out by this map from a context of zeros. None
        where target features or groups of steps read shocks too.
        """
        layout = self.layout
        if layout.features or layout.n_step_groups > 1:
            return None
        lags, n_channels = tuple(lag for lag in layout.lags if lag < horizon), len(layout.channels)
        # Columns run from the oldest lag to the newest.
        last = len(layout.lags) * n_channels
        weight = self.weight[:, last - len(lags) * n_channels : last]
        return Linear(LagLayout(lags, layout.channels, ahead=layout.ahead), weight, torch.zeros_like(self.bias))

    def groups(self, chosen: Tensor | slice) -> Linear:
        """Return the model of some groups."""
        return Linear(self.layout, self.weight[chosen], self.bias[chosen])
