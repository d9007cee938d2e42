"""The contract of a step model."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from tsforce.dynamics.lags import LagLayout

__all__ = ["StepModel", "WarmsUp"]


@runtime_checkable
class StepModel(Protocol):
    """A one-step map: lag vector and state in, output and state out. Pure: no loop, no forcing, no scaling inside.

    Attributes
    ----------
    layout : LagLayout
        Which lag vector it reads.
    """

    @property
    def layout(self) -> LagLayout:
        """Which lag vector the model reads."""
        ...

    def init_state(self, past: Tensor) -> Any:
        """Return the state before the first step after the cutoff.

        Parameters
        ----------
        past : (G, B, L, C)
            The context, up to and with the cutoff, model units.
        """
        ...

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the output for the next step, and the state after it.

        Parameters
        ----------
        x : (G, B, D)
            Lag vectors.
        state : Any
            From `init_state` or the previous step.

        Returns
        -------
        output : (G, B, C, P)
            P head parameters of each channel, model units; P = 1 is a point.
        state : Any
        """
        ...


@runtime_checkable
class WarmsUp(Protocol):
    """A step model whose state takes in the context: the open-loop steps before the cutoff, all at once."""

    def warm_up(self, x: Tensor, state: Any) -> Any:
        """Return the state after the steps of the context; the same as stepping through them.

        Parameters
        ----------
        x : (G, B, W, D)
            Lag vectors of the last W rows of the context, each to predict the next one, fed with observed targets.
        state : Any
            From ``init_state``.
        """
        ...
