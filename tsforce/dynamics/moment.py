"""Moment: when in training a roll-out happens, and what training has seen by then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from tsforce.dynamics.draws import normal, uniform

__all__ = ["Moment"]


@dataclass(frozen=True, eq=False)
class Moment:
    """When in training a roll-out happens, and what training has seen by then.

    Policies and schedules keep nothing between calls: whatever they follow is here, so that the same moment always
    gives the same answer.

    Attributes
    ----------
    step, total : int
        Steps of training done, and planned.
    epoch : int
        Epochs done.
    keys : (G,) int64
        One per group; draws depend on them and on the moment, not on position.
    closed_loop : (K, G) float64, optional
        Closed-loop validation errors of the looks so far, that before the first step first; NaN for a group that cannot
        be judged.
    gains : (K, G) float64, optional
        How much an error in what was fed grew over one step, at most, in each batch that was measured so far; see
        ``feedback_gain``.
    first : int
        Place in the batch of the first window that is rolled out here: above 0 where others roll out those before.

    Examples
    --------
    >>> import torch
    >>> from tsforce.forcing import Curriculum, Moment
    >>> a_third_of_the_way = Moment(step=30, total=90, epoch=3, keys=torch.tensor([1]))
    >>> round(Curriculum(length=1.0).ratio(a_third_of_the_way), 3)
    0.667
    """

    step: int
    total: int
    epoch: int
    keys: Tensor
    closed_loop: Tensor | None = None
    gains: Tensor | None = None
    first: int = 0

    def uniform(self, places: Iterable[int], windows: int, *shape: int, like: Tensor) -> Tensor:
        """Return draws in [0, 1) for windows of a batch, from `first` on, (G, windows) and `shape`, where `like` is."""
        return uniform(self.keys.to(like.device), places, self.first + windows, *shape)[:, self.first :]

    def normal(self, places: Iterable[int], windows: int, *shape: int, like: Tensor) -> Tensor:
        """Return standard normal draws, as `uniform`."""
        return normal(self.keys.to(like.device), places, self.first + windows, *shape)[:, self.first :]
