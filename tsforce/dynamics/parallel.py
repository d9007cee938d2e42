"""A roll-out as fixed-point passes: every step at once, from what the pass before fed.

Exact at full depth (forcing.md, executor 2): a fed value's depth is 0 where truth alone was fed, else one more than the
deepest value its output read. Open loop has depth one, so that one pass is the whole roll-out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tsforce.dynamics.forcing import Forcing, Moment, blend
from tsforce.dynamics.lags import Inputs, LagLayout, known_inputs, lag_vector
from tsforce.dynamics.models.base import StepModel
from tsforce.errors import ArgumentError

__all__ = ["full_depth", "parallel_rollout", "passes_for"]


def full_depth(layout: LagLayout, share: Tensor) -> int:
    """Return the number of passes after which every output is exact.

    Parameters
    ----------
    layout : LagLayout
    share : (G, B, H, C)
        Share of truth fed back at each step; anything short of 1 counts as own output.

    Examples
    --------
    >>> full_depth(LagLayout((1, 2)), torch.zeros(1, 1, 5, 1)), full_depth(LagLayout((1, 2)), torch.ones(1, 1, 5, 1))
    (5, 1)
    """
    horizon = share.shape[2]
    own = (share < 1).any(dim=3)  # (G, B, H)
    # What knows where its series begins may read every step before its lag.
    whole = layout.knows_begin
    farthest = max((horizon if whole else f.reach for f in layout.features), default=0)
    reads = sorted({*layout.lags, *range(1, farthest + 1)})
    output = torch.ones_like(own, dtype=torch.long)
    for h in range(horizon):
        for lag in reads:
            if lag <= h:
                fed = torch.where(own[:, :, h - lag], output[:, :, h - lag], 0)
                output[:, :, h] = torch.maximum(output[:, :, h], 1 + fed)
    return int(output.max()) if output.numel() else 1


def parallel_rollout(
    model: StepModel,
    past: Tensor,
    horizon: int,
    forcing: Forcing,
    *,
    future: Tensor,
    future_mask: Tensor | None = None,
    moment: Moment | None = None,
    passes: int | None = None,
    gradient: str = "all",
    inputs: Inputs | None = None,
) -> tuple[Tensor, Tensor]:
    """Return what ``rollout`` returns, from `passes` parallel passes; the same at full depth.

    Parameters
    ----------
    model : StepModel
        Without a state: its ``init_state`` gives None.
    past, horizon, forcing, future, future_mask, moment, inputs
        As in ``rollout``; masks and draws are the same in every pass.
    passes : int, optional
        Full depth by default. Fewer are an approximation (parallel scheduled sampling, Duckworth et al. 2019, Mihaylova
        & Martins 2019): step h then reads own outputs that were themselves made from observed values.
    gradient : "all" or "last"
        Through every pass, which equals the sequential roll-out's; or through the last one only, which equals feedback
        without gradient.

    Returns
    -------
    yhat : (G, B, H, C)
        Model units, before any value was replaced by an observed one.
    fed_share : (G, B, H, C)

    Raises
    ------
    ArgumentError
        If the model has a state, or `passes` or `gradient` is not accepted.
    """
    if model.init_state(past) is not None:
        raise ArgumentError(f"{type(model).__name__} has a state that every step reads; roll it out step by step.")
    if forcing.cuts_every:
        raise ArgumentError(f"{forcing!r} cuts gradient at steps, which parallel passes do not have; use rollout.")
    if gradient not in ("all", "last"):
        raise ArgumentError(f"gradient={gradient!r}: expected 'all' or 'last'.")
    if future_mask is None:
        future_mask = torch.ones_like(future, dtype=torch.bool)
    share = forcing.share(future_mask, moment).to(past.dtype)
    count = full_depth(model.layout, share) if passes is None else passes
    if count < 1:
        raise ArgumentError(f"passes={passes!r}: expected at least 1.")
    truth = torch.where(future_mask, future, 0.0)
    noise = forcing.noise(future, moment)
    if noise is not None:
        truth = truth + noise.to(truth.dtype)
    known = known_inputs(model.layout, inputs, horizon)
    groups, windows, length, channels = past.shape
    walks = [forcing.lag_noise(past, len(model.layout.lags), h, moment) for h in range(horizon)]
    outputs = fed = truth
    for number in range(count):
        keeps = torch.is_grad_enabled() and (gradient == "all" or number + 1 == count)
        with torch.set_grad_enabled(keeps):
            buffer = torch.cat([past, fed], dim=2)
            # Every step's input beside the others: (G, B * H, D), step by step along the windows.
            x = torch.cat(
                [
                    lag_vector(model.layout, buffer, length + h, None if known is None else known[:, :, h], walks[h])
                    for h in range(horizon)
                ],
                dim=1,
            )
            y, _ = model.step(x, None)
            outputs = y[..., 0].view(groups, horizon, windows, channels).transpose(1, 2)
            own = forcing.own(outputs)
            fed = blend(share, truth, own)
    return outputs, share


def passes_for(layout: LagLayout, horizon: int) -> int:
    """Return a number of passes that is exact under any policy: ``ceil(H / smallest lag read)``."""
    smallest = min((*layout.lags, *(1 for _ in layout.features), horizon))
    return math.ceil(horizon / smallest)
