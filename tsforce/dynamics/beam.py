"""Beam search: the most likely paths of a model whose laws are bins, step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tsforce.dynamics.forcing import ClosedLoop
from tsforce.dynamics.heads.headed import Headed
from tsforce.dynamics.heads.quantised import NOTHING
from tsforce.dynamics.lags import Inputs
from tsforce.dynamics.models.base import WarmsUp
from tsforce.dynamics.rollout import rollout

__all__ = ["likeliest"]


def likeliest(
    model: Headed, past: Tensor, inputs: Inputs | None, horizon: int, n_paths: int, width: int
) -> tuple[Tensor, Tensor]:
    """Return the most likely paths after one window (P, H), model units, and their log-probabilities (P,), falling.

    Hypotheses that end in the same bins as far back as the model reads have the same future: of each such ending the
    `n_paths` likeliest are kept (the list Viterbi algorithm: Seshadri & Sundberg 1994, List Viterbi decoding algorithms
    with applications, IEEE Transactions on Communications 42), and of the endings the `width` likeliest (beam search:
    Lowerre 1976, The HARPY speech recognition system). With as many as there are it is exact. A model with a state, or
    with features that read all of the past, sees two paths alike only if they are the same: nothing is merged then.

    Parameters
    ----------
    model : Headed
        With a head of bins; one group, one target.
    past : (1, 1, L, 1)
    inputs : tuple of (1, 1, ...) or None
        The window's, as ``rollout`` takes them.
    horizon : int
        H.
    n_paths : int
        P at most; fewer come back where there are fewer.
    width : int

    Returns
    -------
    values : (P, H)
        What the bins stand for; NaN where the laws are no numbers, as after inputs that are not known.
    log_probability : (P,) float64
    """
    beam = _Beam(model, past, n_paths, width)
    rollout(model, past, horizon, ClosedLoop(), inputs=inputs, pick=beam)
    if not beam.known:
        return past.new_full((1, horizon), torch.nan), past.new_full((1,), torch.nan, dtype=torch.float64)
    return beam.values(beam.tokens[:n_paths]), beam.total[:n_paths]


class _Beam:
    """What a roll-out goes on with at each step: the hypotheses that are kept.

    Attributes
    ----------
    tokens : (N, h) int64
        Bins of the N hypotheses, the likeliest first.
    total : (N,) float64
        Their log-probabilities.
    known : bool
        Whether all laws so far were numbers.
    """

    def __init__(self, model: Headed, past: Tensor, n_paths: int, width: int) -> None:
        self.model, self.n_paths, self.width = model, n_paths, width
        self.reach = _reads_back(model, past)
        self.tokens = past.new_zeros(1, 0, dtype=torch.int64)
        self.total = past.new_zeros(1, dtype=torch.float64)
        self.known = True

    def __call__(self, h: int, output: Tensor) -> Any:
        """Return what the kept hypotheses feed back, (1, N, 1), and which each goes on from."""
        logs = output[0, :, 0, 1:].double()
        self.known = self.known and bool(logs.isfinite().all())
        if not self.known:
            return output[..., 0]
        parent, token = torch.nonzero(logs > NOTHING, as_tuple=True)
        found = self.total[parent] + logs[parent, token]
        order = found.argsort(descending=True, stable=True)
        parent, token, found = parent[order], token[order], found[order]
        if self.reach is None:
            kept = torch.arange(len(found), device=found.device) < max(self.width, self.n_paths)
        else:
            before = self.tokens[:, max(0, h + 1 - self.reach) :]
            shared = before.new_zeros(len(before), 1)
            ends = torch.unique(torch.cat([shared, before], dim=1), dim=0, return_inverse=True)[1]
            ending = ends[parent] * logs.shape[1] + token if self.reach else torch.zeros_like(token)
            kept = _kept(ending, self.n_paths, self.width)
        parent, token, self.total = parent[kept], token[kept], found[kept]
        self.tokens = torch.cat([self.tokens[parent], token[:, None]], dim=1)
        return self.values(token)[None, :, None], parent

    def values(self, tokens: Tensor) -> Tensor:
        """Return what bins (...) stand for, model units."""
        found: Tensor = self.model.head.value(tokens[..., None], self.model.table[0])[..., 0]  # type: ignore[attr-defined]
        return found.to(next(self.model.body.parameters()))


def _reads_back(model: Headed, past: Tensor) -> int | None:
    """Return how many fed values the future depends on; None: all."""
    state = isinstance(model, WarmsUp) or model.init_state(past) is not None
    return None if state or model.layout.recurrences else model.layout.target_reach


def _kept(ending: Tensor, n_paths: int, width: int) -> Tensor:
    """Return which of some hypotheses (N,) are kept, the likeliest first: so many of each of so many endings."""
    _, group = torch.unique(ending, return_inverse=True)
    by_group = group.argsort(stable=True)
    first = torch.searchsorted(group[by_group], torch.arange(int(group.max()) + 1, device=group.device))
    place = torch.empty_like(group)
    place[by_group] = torch.arange(len(group), device=group.device) - first[group[by_group]]
    # Groups come in the order of their likeliest.
    rank = torch.empty_like(first)
    rank[by_group[first].argsort()] = torch.arange(len(first), device=group.device)
    return (place < n_paths) & (rank[group] < width)
