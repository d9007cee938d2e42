"""Linear maps with weights of their own for each group of steps in which the same past inputs are known."""

from __future__ import annotations

import torch
from torch import Tensor

from tsforce.dynamics.lags import LagLayout

__all__ = ["indicators", "of_own_group", "slopes", "spread"]


def indicators(layout: LagLayout, x: Tensor) -> Tensor:
    """Return which group each lag vector's step is of, 0 or 1, (G, B, S), for lag vectors `x` (G, B, D)."""
    return x[..., -layout.n_step_groups :] if layout.known_until else torch.ones_like(x[..., :1])


def of_own_group(layout: LagLayout, x: Tensor, outputs: Tensor) -> Tensor:
    """Return of what each group's weights say (G, B, S * C) what those of the lag vector's own say, (G, B, C)."""
    if not layout.known_until:
        return outputs
    own = indicators(layout, x)[..., None] > 0
    return torch.where(own, outputs.unflatten(2, (layout.n_step_groups, -1)), 0.0).sum(dim=2)


def spread(layout: LagLayout, x: Tensor, features: Tensor) -> Tensor:
    """Return features (G, B, F) as what weights of all groups multiply, (G, B, F * S): 0 for all but their own."""
    if not layout.known_until:
        return features
    return (features[..., None] * indicators(layout, x)[:, :, None]).flatten(start_dim=2)


def slopes(layout: LagLayout, x: Tensor, weight: Tensor) -> Tensor:
    """Return the derivatives of the channels by features that weights (G, F, S * C) multiply, (G, B or 1, C, F)."""
    if not layout.known_until:
        return weight.mT[:, None]
    apart = weight.unflatten(2, (layout.n_step_groups, -1))
    return torch.einsum("gbs,gfsc->gbcf", indicators(layout, x), apart)
