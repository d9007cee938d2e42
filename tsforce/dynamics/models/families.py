"""Families of step models: what a user chooses, before there is data to build one for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tsforce.dynamics.models import linear, polynomial, recurrent
from tsforce.dynamics.models.mlp import ACTIVATIONS, Perceptron
from tsforce.dynamics.models.recurrent_cells import CELLS
from tsforce.errors import ArgumentError, check_choice

__all__ = ["FAMILIES", "GRU", "LSTM", "MLP", "EncoderDecoder", "Family", "Linear", "Pace", "Polynomial"]


@dataclass(frozen=True)
class Pace:
    """How training by gradient goes about a family where nothing else is said: steps, peak rate, windows per step."""

    steps: int
    rate: float
    windows: int


@dataclass(frozen=True)
class Family:
    """Base of all families: frozen, comparable, and free of data.

    A subclass says how its step model starts (`build`); the class attributes say how it is trained by default, one
    model per series (`local`) or one for all (`pooled`), whether its state takes in the context before the cutoff
    (`takes_in_context`), and whether what it starts from is the whole of its fit in open loop (`closed_form`).

    Examples
    --------
    >>> from tsforce import NARXForecaster
    >>> from tsforce.models import GRU, MLP, Family, Linear
    >>> [isinstance(family, Family) for family in (Linear(), MLP((16,)), GRU(8))]
    [True, True, True]
    >>> NARXForecaster(12, model=MLP((16,), "tanh")).model == MLP((16,), "tanh")
    True
    """

    name: ClassVar[str] = ""
    local: ClassVar[Pace] = Pace(300, 1e-3, 32)
    pooled: ClassVar[Pace] = Pace(1000, 1e-3, 1024)
    takes_in_context: ClassVar[bool] = False
    closed_form: ClassVar[bool] = False

    def build(self, start: linear.Linear, keys: Tensor, dtype: torch.dtype | None = None) -> nn.Module:
        """Return a step model that starts from the least-squares solution.

        Parameters
        ----------
        start : Linear
            G groups; ``start.layout`` says which lag vector the model reads, and how many channels it answers.
        keys : (G,) int64
            Initial weights are drawn by key, not by position.
        dtype : torch.dtype, optional
            The family's own by default: float64 for a linear map, float32 for networks.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Linear(Family):
    """A linear map of the lag vector.

    Examples
    --------
    >>> Linear().name
    'linear'
    """

    name: ClassVar[str] = "linear"
    # Looked at on windows inside the training rows of M4 Hourly (local: larger rates lose what the ridge had won) and
    # M3 monthly (pooled).
    local: ClassVar[Pace] = Pace(100, 1e-4, 32)
    pooled: ClassVar[Pace] = Pace(300, 1e-2, 1024)
    closed_form: ClassVar[bool] = True

    def build(self, start: linear.Linear, keys: Tensor, dtype: torch.dtype | None = None) -> nn.Module:
        """Return the least-squares solution itself."""
        # float64: a linear roll-out in closed form and one trained by gradient must be comparable to the last digits.
        kind = dtype or torch.float64
        return linear.Linear(start.layout, start.weight.to(kind), start.bias.to(kind))


@dataclass(frozen=True)
class Polynomial(Family):
    """A weighted sum of monomials of the lag vector: those that explain most, chosen one after the other.

    Parameters
    ----------
    degree : int
        Largest number of factors of a monomial.
    n_terms : "auto" or int
        Terms beside the constant, at most: fewer where no more are independent, or simulation can do without. "auto":
        chosen as `select` says.
    select : "open_loop" or "closed_loop"
        How the number of terms is chosen: by an information criterion of one-step errors, or by simulation on windows
        at the end of the training rows, where terms that it can do without are dropped too. Their order is that of
        forward regression by orthogonal least squares (error reduction ratio) either way.
    tolerance : float
        A monomial of whose variance no more than this share is left beside the terms chosen before is none.

    Examples
    --------
    >>> Polynomial(degree=3, n_terms=20).select
    'open_loop'
    """

    degree: int = 2
    n_terms: str | int = "auto"
    select: str = "open_loop"
    tolerance: float = 1e-8

    name: ClassVar[str] = "polynomial"
    # Weights of powers: a step that is small for a linear map is not for them.
    local: ClassVar[Pace] = Pace(100, 1e-4, 32)
    pooled: ClassVar[Pace] = Pace(300, 1e-3, 1024)
    closed_form: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value, other in (("degree", self.degree, ""), ("n_terms", self.n_terms, "'auto' or ")):
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not whole and not (other and value == "auto"):
                raise ArgumentError(f"{name}={value!r}: expected {other}a whole number of at least 1.")
        check_choice("select", self.select, ("open_loop", "closed_loop"))
        if not 0 < self.tolerance < 1:
            raise ArgumentError(f"tolerance={self.tolerance!r}: expected a number between 0 and 1, such as 1e-8.")

    def build(self, start: Any, keys: Tensor, dtype: torch.dtype | None = None) -> nn.Module:
        """Return the polynomial whose terms were selected; the least-squares weights are where it starts.

        Parameters
        ----------
        start : Polynomial
            A step model of G groups.
        keys, dtype
            As in `Family.build`.
        """
        kind = dtype or torch.float64
        weight, bias = (part.detach().to(kind, copy=True) for part in (start.weight, start.bias))
        return polynomial.Polynomial(start.layout, start.indices, weight, bias)


@dataclass(frozen=True)
class MLP(Family):
    """A perceptron beside a linear map.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    activation : "relu" or "tanh"
        "tanh" is smooth: what small networks for dynamic systems, and second-order solvers, want.

    Examples
    --------
    >>> MLP(hidden=(32,), activation="tanh").hidden
    (32,)
    """

    hidden: tuple[int, ...] = (128, 128)
    activation: str = "relu"

    name: ClassVar[str] = "mlp"

    def __post_init__(self) -> None:
        widths = tuple(self.hidden)
        if not widths or any(isinstance(w, bool) or not isinstance(w, int) or w < 1 for w in widths):
            raise ArgumentError(f"hidden={self.hidden!r}: expected whole numbers of at least 1, e.g. (32, 32).")
        check_choice("activation", self.activation, tuple(ACTIVATIONS))
        object.__setattr__(self, "hidden", widths)

    def build(self, start: linear.Linear, keys: Tensor, dtype: torch.dtype | None = None) -> nn.Module:
        """Return a perceptron whose network adds nothing yet."""
        return Perceptron(start.layout, self.hidden, start, keys, dtype or torch.float32, self.activation)


@dataclass(frozen=True)
class _Cell(Family):
    """A recurrent network beside a linear map; its state takes in the context first.

    Parameters
    ----------
    width : int
        Units of the state.
    """

    width: int = 64

    local: ClassVar[Pace] = Pace(200, 1e-3, 32)
    # Of .001, .003 and .01 the last was best on windows inside the training rows of M4 Hourly, M4 Weekly, M3 monthly.
    pooled: ClassVar[Pace] = Pace(500, 1e-2, 256)
    takes_in_context: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.width, bool) or not isinstance(self.width, int) or self.width < 1:
            raise ArgumentError(f"width={self.width!r}: expected a whole number of at least 1.")

    def build(self, start: linear.Linear, keys: Tensor, dtype: torch.dtype | None = None) -> nn.Module:
        """Return a recurrent network whose state is not read yet."""
        return recurrent.Recurrent(start.layout, self.name, self.width, start, keys, dtype or torch.float32)


@dataclass(frozen=True)
class GRU(_Cell):
    """A gated recurrent unit beside a linear map (Cho et al. 2014); `width` units.

    Examples
    --------
    >>> GRU(width=32) == GRU(32)
    True
    """

    name: ClassVar[str] = "gru"


@dataclass(frozen=True)
class LSTM(_Cell):
    """Long short-term memory beside a linear map (Hochreiter & Schmidhuber 1997); `width` units.

    Examples
    --------
    >>> LSTM().width
    64
    """

    name: ClassVar[str] = "lstm"


@dataclass(frozen=True)
class EncoderDecoder(_Cell):
    """Two recurrent cells beside a linear map (Cho et al. 2014, Sutskever et al. 2014); `width` units each.

    One, the encoder, takes in the context; the other starts from its state and goes on over the horizon, its own
    outputs fed back. A forecast thus depends on how many steps ago the cutoff was, whatever is fed: one-step errors in
    ``history_`` are of a decoder that goes on over the horizon, those of ``exposure()`` of its first step.

    Parameters
    ----------
    width : int
        Units of each cell's state.
    cell : "gru" or "lstm"

    Examples
    --------
    >>> EncoderDecoder(cell="lstm").width
    64
    """

    cell: str = "gru"

    name: ClassVar[str] = "encoder_decoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("cell", self.cell, tuple(CELLS))

    def build(self, start: linear.Linear, keys: Tensor, dtype: torch.dtype | None = None) -> nn.Module:
        """Return an encoder and a decoder whose states are not read yet."""
        return recurrent.EncoderDecoder(start.layout, self.cell, self.width, start, keys, dtype or torch.float32)


FAMILIES: dict[str, Family] = {
    family.name: family for family in (Linear(), Polynomial(), MLP(), GRU(), LSTM(), EncoderDecoder())
}
