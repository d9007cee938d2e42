"""The gain of the feedback: how much an error in what was fed can grow over one step."""

from __future__ import annotations

import torch
from torch import Tensor

from tsforce.dynamics.lags import Inputs, known_inputs, lag_vector
from tsforce.dynamics.models.base import StepModel
from tsforce.errors import ArgumentError, abbreviate

__all__ = ["feedback_gain"]


def feedback_gain(
    model: StepModel, past: Tensor, future: Tensor, known: Tensor, inputs: Inputs | None = None
) -> Tensor:
    """Return the largest ``sum_j norm(df / dz_{t-j})`` over a batch's steps, each group's own, (G,) float64.

    With a share of truth of at least ``1 - 1 / gain`` in what is fed, gradients through a roll-out stay bounded (Hess
    et al. 2023; one lag there, a sum over lags here, since a blend scales only the value that is fed now). The norm is
    Frobenius', which of one channel is the modulus, and never below the spectral norm.

    Parameters
    ----------
    model : StepModel
        Without a state, which the truth that is fed does not reset.
    past, future : (G, B, L, C), (G, B, H, C)
        Model units; the map is looked at where observed targets are fed.
    known : (G, B, H, C) bool
        Where there is an observed target; a step is left out if one before it is missing.
    inputs : (past_exog, future_exog, static, calendar), optional

    Raises
    ------
    ArgumentError
        If the model has a state, or features that know where a series begins.

    Examples
    --------
    >>> from tsforce.dynamics.lags import LagLayout
    >>> from tsforce.dynamics.models.linear import Linear
    >>> model = Linear(LagLayout((1, 2)), torch.tensor([[[-0.5], [1.5]]]), torch.zeros(1, 1))
    >>> feedback_gain(model, torch.ones(1, 1, 2, 1), torch.ones(1, 1, 3, 1), torch.ones(1, 1, 3, 1).bool()).tolist()
    [2.0]
    """
    if model.init_state(past) is not None:
        raise ArgumentError(
            f"{type(model).__name__} has a state that truth does not reset, so that no share of it bounds gradients; "
            f"use a linear model or a perceptron, or a schedule that counts steps."
        )
    layout = model.layout
    if layout.knows_begin:
        raise ArgumentError(
            f"{abbreviate(name for f in layout.features for name in f.names)}: they know where their series begins, so "
            f"that no one step bounds gradients; use full windows in lag_transforms, or a schedule that counts steps."
        )
    reach, horizon, channels = layout.reach, future.shape[2], past.shape[3]
    buffer = torch.cat([past.detach(), future.detach()], dim=2)
    # Every step beside the others: (G, B * H, reach, C).
    windows = buffer.unfold(2, reach, 1)[:, :, past.shape[2] - reach :][:, :, :horizon]
    fed = windows.movedim(-1, 3).flatten(1, 2).detach().requires_grad_()
    given = known_inputs(layout, inputs, horizon)
    with torch.enable_grad():
        output, _ = model.step(lag_vector(layout, fed, reach, None if given is None else given.flatten(1, 2)), None)
        square: Tensor | float = 0.0
        for c in range(channels):
            (gradient,) = torch.autograd.grad(output[:, :, c, 0].sum(), fed, retain_graph=c + 1 < channels)
            square = square + (gradient.double() ** 2).sum(dim=-1)
    assert isinstance(square, Tensor)
    gain = square.sqrt().sum(dim=-1).view(past.shape[0], past.shape[1], horizon)
    # The first step reads the context alone.
    before = torch.cat([torch.ones_like(known[:, :, :1]), known[:, :, :-1]], dim=2).all(dim=-1).int().cumprod(dim=2)
    return torch.where(before > 0, gain, 0.0).amax(dim=(1, 2))
