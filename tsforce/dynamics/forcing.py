"""Forcing policies: what a model is fed back while it runs.

A policy supplies the share of truth ``A_t`` in ``z_t = A_t * y_t + (1 - A_t) * yhat_t``. Ratio 1 is open loop (observed
targets), ratio 0 closed loop (own outputs). Gradient flows through the model's own outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ClosedLoop", "Forcing", "OpenLoop"]


@dataclass(frozen=True)
class Forcing:
    """Base of all policies: frozen, comparable, and blind to the model's insides."""

    @property
    def needs_truth(self) -> bool:
        """Whether observed targets after the cutoff are read."""
        return True

    def share(self, known: Tensor) -> Tensor:
        """Return ``A_t``, the share of truth fed back at each step.

        Parameters
        ----------
        known : (G, B, H, C) bool
            Where there is an observed target.

        Returns
        -------
        (G, B, H, C) in [0, 1]
            0 wherever nothing was observed.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class OpenLoop(Forcing):
    """Feed the observed target at every step (teacher forcing, series-parallel); a missing one by the own output.

    Examples
    --------
    >>> OpenLoop().share(torch.ones(1, 1, 2, 1, dtype=torch.bool)).flatten().tolist()
    [1.0, 1.0]
    """

    def share(self, known: Tensor) -> Tensor:
        """Return 1 where there is an observed target."""
        return known.to(torch.get_default_dtype())


@dataclass(frozen=True)
class ClosedLoop(Forcing):
    """Feed the model's own outputs at every step (free running, simulation, recursive forecasting).

    Examples
    --------
    >>> ClosedLoop().needs_truth
    False
    """

    @property
    def needs_truth(self) -> bool:
        """Nothing after the cutoff is read."""
        return False

    def share(self, known: Tensor) -> Tensor:
        """Return 0 everywhere."""
        return torch.zeros(known.shape, device=known.device)
