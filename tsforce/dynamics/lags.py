"""lag_vector: the one place where a model's input is assembled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BLOCKS", "LagLayout", "TargetFeature", "lag_vector"]

BLOCKS = ("target_lags", "target_features", "past_exog", "future_exog", "static", "calendar")


@dataclass(frozen=True)
class TargetFeature:
    """A pure function of the lag buffer, recomputed at every step from what was fed.

    Attributes
    ----------
    names : tuple of str
        One per column it adds.
    reach : int
        How many steps of the buffer it reads.
    function : callable
        Maps the last `reach` fed values (G, B, reach, C), oldest first, model units, to (G, B, len(names)).

    Examples
    --------
    >>> mean = TargetFeature(("mean3",), 3, lambda fed: fed.mean(dim=2))
    >>> mean.function(torch.tensor([[[[1.0], [2.0], [6.0]]]])).item()
    3.0
    """

    names: tuple[str, ...]
    reach: int
    function: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LagLayout:
    """Which columns a lag vector has, in fixed blocks.

    Target lags run from the oldest to the newest, channel fastest: a contiguous set of lags is then a view of the
    buffer. Blocks that are not built yet (inputs, statics, calendar) are empty.

    Attributes
    ----------
    lags : tuple of int
        Positive offsets of the target, ascending.
    channels : tuple of str
        Names of the C targets.
    features : tuple of TargetFeature
    """

    lags: tuple[int, ...]
    channels: tuple[str, ...] = ("y",)
    features: tuple[TargetFeature, ...] = ()

    @property
    def reach(self) -> int:
        """Steps of the buffer that one lag vector reads."""
        return max((*self.lags, *(f.reach for f in self.features)))

    @property
    def is_contiguous(self) -> bool:
        """Whether the lags leave no step out."""
        return self.lags[-1] - self.lags[0] + 1 == len(self.lags)

    @property
    def blocks(self) -> dict[str, tuple[str, ...]]:
        """Column names of each block, in the order of the columns."""
        filled = {
            "target_lags": tuple(f"{c}_lag{lag}" for lag in reversed(self.lags) for c in self.channels),
            "target_features": tuple(name for f in self.features for name in f.names),
        }
        return {block: filled.get(block, ()) for block in BLOCKS}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all D columns."""
        return tuple(name for names in self.blocks.values() for name in names)


def lag_vector(layout: LagLayout, fed: Tensor, now: int) -> Tensor:
    """Return the model's input for one step.

    The only place where an input is assembled: training, validation, predict and backtest all call it.

    Parameters
    ----------
    layout : LagLayout
    fed : (G, B, T, C)
        The lag buffer: what was fed so far, oldest first, model units. Rows from `now` on are not read.
    now : int
        The row of the buffer that is to be predicted.

    Returns
    -------
    (G, B, D)
        ``[target lags | target features | past_exog | future_exog | static | calendar]``; a view of `fed` where the
        lags are contiguous and there is nothing else.

    Examples
    --------
    >>> fed = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 4, 1)
    >>> lag_vector(LagLayout((1, 3)), fed, now=3).flatten().tolist()
    [1.0, 3.0]
    """
    if layout.is_contiguous:
        lags = fed[:, :, now - layout.lags[-1] : now - layout.lags[0] + 1]
    else:
        lags = fed[:, :, [now - lag for lag in reversed(layout.lags)]]
    target = lags.flatten(start_dim=2)
    if not layout.features:
        return target
    features = [f.function(fed[:, :, now - f.reach : now]) for f in layout.features]
    return torch.cat([target, *features], dim=-1)
