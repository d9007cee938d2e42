"""The contract of a step model."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

from tsforce.dynamics.lags import LagLayout

__all__ = ["Corrects", "Pick", "StepModel", "WarmsUp", "some_groups"]

Module = TypeVar("Module", bound=nn.Module)


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
        """Return the state before the first step after the cutoff: tensors (G, B, ...), tuples of them, or None.

        Roll-outs that share their first steps are told apart in such tensors; anything else is the same for all.

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
            P head parameters of each channel, model units; the first is the point, and alone where there is no head.
        state : Any
        """
        ...


@runtime_checkable
class WarmsUp(Protocol):
    """A step model whose state takes in the context: the open-loop steps before the cutoff, all at once."""

    def warm_up(self, x: Tensor, state: Any) -> Any:
        """Return the state after the steps of the context.

        One cell throughout: the same as stepping through them. An encoder has weights of its own.

        Parameters
        ----------
        x : (G, B, W, D)
            Lag vectors of the last W rows of the context, each to predict the next one, fed with observed targets.
        state : Any
            From ``init_state``.
        """
        ...


@runtime_checkable
class Corrects(Protocol):
    """A step model that adds to the closed-loop forecasts of another, which is fed its own outputs alone."""

    @property
    def base(self) -> StepModel:
        """The other one."""
        ...

    def begin(self, forecasts: Tensor) -> Any:
        """Return the state before the first step, in place of ``init_state``.

        Parameters
        ----------
        forecasts : (G, B, H, C)
            Of `base`, after the cutoff, model units.
        """
        ...


class Pick(Protocol):
    """What a roll-out puts in place of the points that a head says: draws, say."""

    def __call__(self, h: int, output: Tensor, /) -> Tensor | tuple[Tensor, Tensor]:
        """Return the values (G, B, C) of step `h` = 0, 1, ... after the cutoff, model units, from a model's output.

        Or values of as many roll-outs as are to go on, (G, N, C), and which of the B each goes on from, (N,) int64.
        """
        ...


def some_groups(model: Module, chosen: Tensor) -> Module:
    """Return a model of some groups, without gradient; every parameter of `model` has the leading axis G."""
    part = object.__new__(type(model))
    nn.Module.__init__(part)
    for name, value in vars(model).items():
        if name not in vars(part):
            setattr(part, name, value)
    for name, parameter in model.named_parameters(recurse=False):
        setattr(part, name, nn.Parameter(parameter[chosen], requires_grad=False))
    for name, child in model.named_children():
        setattr(part, name, some_groups(child, chosen))
    return part
