"""Beam search: the most likely paths of a model whose laws are bins, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tsforce.dynamics.forcing import OpenLoop
from tsforce.dynamics.heads.headed import Headed
from tsforce.dynamics.heads.quantised import NOTHING
from tsforce.dynamics.lags import Inputs
from tsforce.dynamics.models.base import WarmsUp
from tsforce.dynamics.rollout import rollout

__all__ = ["likeliest"]


def likeliest(
    model: Headed, past: Tensor, inputs_of: Callable[[int], Inputs | None], horizon: int, n_paths: int, width: int
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
    inputs_of : callable
        From a number of steps to the window's inputs over these, (1, 1, ...) each; None without.
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
    reach = _reads_back(model, past)
    tokens = torch.zeros(1, 0, dtype=torch.int64)
    total = torch.zeros(1, dtype=torch.float64)
    for h in range(horizon):
        logs = _next(model, past, inputs_of(h + 1), tokens)
        if not bool(logs.isfinite().all()):
            return past.new_full((1, horizon), torch.nan), torch.full((1,), torch.nan, dtype=torch.float64)
        parent, token = torch.nonzero(logs > NOTHING, as_tuple=True)
        found = total[parent] + logs[parent, token]
        order = found.argsort(descending=True, stable=True)
        parent, token, found = parent[order], token[order], found[order]
        if reach is None:
            kept = torch.arange(len(found)) < max(width, n_paths)
        else:
            before = tokens[:, max(0, h + 1 - reach) :]
            shared = before.new_zeros(len(before), 1)
            ends = torch.unique(torch.cat([shared, before], dim=1), dim=0, return_inverse=True)[1]
            ending = ends[parent] * logs.shape[1] + token if reach else torch.zeros_like(token)
            kept = _kept(ending, n_paths, width)
        tokens, total = torch.cat([tokens[parent], token[:, None]], dim=1)[kept], found[kept]
    tokens, total = tokens[:n_paths], total[:n_paths]
    return _values(model, tokens), total


def _reads_back(model: Headed, past: Tensor) -> int | None:
    """Return how many fed values the future depends on; None: all."""
    state = isinstance(model, WarmsUp) or model.init_state(past) is not None
    return None if state or model.layout.recurrences else model.layout.target_reach


def _next(model: Headed, past: Tensor, inputs: Inputs | None, tokens: Tensor) -> Tensor:
    """Return the log-probabilities (N, K) of the bins after each of N hypotheses."""
    n, h = tokens.shape

    def many(part: Tensor) -> Tensor:
        return part.expand(-1, n, *part.shape[2:])

    # The last one is there for the shape alone: a step is not fed to itself.
    fed = torch.cat([_values(model, tokens), past.new_zeros(n, 1)], dim=1)[None, :, :, None]
    given: Any = None if inputs is None else tuple(map(many, inputs))
    laws, _ = rollout(model, many(past), h + 1, OpenLoop(), future=fed, inputs=given, laws=True)
    return laws[0, :, h, 0, 1:].double()


def _values(model: Headed, tokens: Tensor) -> Tensor:
    """Return what bins (N, h) stand for, model units."""
    found: Tensor = model.head.value(tokens[..., None], model.table[0])[..., 0]  # type: ignore[attr-defined]
    return found.to(next(model.body.parameters()))


def _kept(ending: Tensor, n_paths: int, width: int) -> Tensor:
    """Return which of some hypotheses (N,) are kept, the likeliest first: so many of each of so many endings."""
    _, group = torch.unique(ending, return_inverse=True)
    by_group = group.argsort(stable=True)
    first = torch.searchsorted(group[by_group], torch.arange(int(group.max()) + 1))
    place = torch.empty_like(group)
    place[by_group] = torch.arange(len(group)) - first[group[by_group]]
    # Groups come in the order of their likeliest.
    rank = torch.empty_like(first)
    rank[by_group[first].argsort()] = torch.arange(len(first))
    return (place < n_paths) & (rank[group] < width)
