"""Models with a head: what they start from, and what goes with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tsforce.dynamics.forcing import ClosedLoop, Forcing
from tsforce.dynamics.heads.base import Head, Sample
from tsforce.dynamics.heads.headed import Headed, headed
from tsforce.dynamics.heads.joint_draws import mixing_of
from tsforce.dynamics.models.families import Family, Polynomial
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.rollout import rollout
from tsforce.errors import ArgumentError
from tsforce.training.closed_loop import as_dtype, unit_of
from tsforce.training.losses import HEAD_LOSSES
from tsforce.training.problem import Problem
from tsforce.training.solvers import gradient
from tsforce.training.solvers.usable_windows import Cutoffs

if TYPE_CHECKING:
    from tsforce.training.fit import Options

__all__ = ["check_head", "head_start", "with_head"]

# Windows of a group that a head starts from, at most; evenly spaced.
_WINDOWS = 1024


def head_start(head: Head, start: Linear, cutoffs: Cutoffs, horizon: int) -> Headed:
    """Return the linear model with a head that others are built from.

    Parameters
    ----------
    head : Head
    start : Linear
        To the point: least squares.
    cutoffs : Cutoffs
        Of training windows; nothing else is read.
    horizon : int
        H, the steps of a window.
    """
    totals, store = cutoffs.totals, cutoffs.store
    count = np.minimum(totals, _WINDOWS)[:, None]
    place = np.arange(count.max())
    number = ((np.minimum(place, count - 1) + 0.5) / count * totals[:, None]).astype(np.int64)
    series, rows = (
        np.stack(side) for side in zip(*(cutoffs.numbered(g, own) for g, own in enumerate(number)), strict=True)
    )
    batch = store.batch(series, rows, horizon)
    assert batch.future is not None
    assert batch.future_mask is not None
    seen = torch.from_numpy(cutoffs.may_be_learnt(series, rows, horizon)).to(batch.past.device)
    # A context without a unit says nothing in it; of fewer windows than others have, the last is there again.
    own = torch.from_numpy(place < count).to(seen.device)[:, :, None, None]
    known = batch.future_mask & seen[..., None] & own & (batch.scale != 0)
    future = torch.where(known, batch.future, torch.nan)
    dtype = start.weight.dtype
    with torch.no_grad():
        yhat, _ = rollout(start, batch.past.to(dtype), 1, ClosedLoop(), inputs=as_dtype(batch.inputs, dtype))
    first = future[:, :, 0]
    unit = unit_of(store, batch)[:, :, 0] if head.of_counts else torch.ones_like(first)
    errors = first - yhat[:, :, 0].to(first)
    wide, table = head.begin(start, Sample(errors, first, unit, future.flatten(1, 2)))
    return Headed(wide, head, table.to(wide.weight), mixing_of(errors).to(wide.weight))


def with_head(kind: Family, start: Headed, keys: Tensor) -> Headed:
    """Return a step model of a family with a head, from the linear one; `keys` (G,) are those of ``Family.build``."""
    body: Any = kind.build(start.body, keys)
    dtype = next(body.parameters()).dtype
    return headed(body, start.head, start.table.to(dtype), start.mixing.to(dtype))


def check_head(problem: Problem, kind: Any, forcing: Forcing | None, options: Options) -> None:
    """Raise an ArgumentError unless the head, if there is one, goes with all else, and the loss with it.

    Parameters
    ----------
    problem : Problem
    kind : Family or RowModel
    forcing : Forcing or None
        None: several are tried.
    options : Options
    """
    head = problem.head
    if head is None:
        if options.loss in HEAD_LOSSES:
            raise ArgumentError(
                f"loss={options.loss!r} is of a law, and head='point' has none; use head='gaussian', say, or "
                f"loss='mae'."
            )
        return
    asked = f"head={head.name!r}"
    if options.loss not in ("auto", *HEAD_LOSSES):
        raise ArgumentError(f"loss={options.loss!r}: {asked} is trained by {' or '.join(map(repr, HEAD_LOSSES))}.")
    if not isinstance(kind, Family) or isinstance(kind, Polynomial):
        what = f"model={kind.name!r}" if isinstance(kind, Family) else "a regressor"
        raise ArgumentError(
            f"{asked}: {what} has no head; use model='linear', 'mlp', 'gru' or 'lstm', or head='point'."
        )
    if problem.direct:
        raise ArgumentError(f"{asked}: strategy={problem.strategy!r} has closed forms alone; use strategy='recursive'.")
    if options.solver not in ("auto", "adamw") or options.loss_space != "model":
        raise ArgumentError(
            f"{asked} is trained by AdamW in model units, not by solver={options.solver!r} with "
            f"loss_space={options.loss_space!r}; leave both out, or use head='point'."
        )
    if forcing is not None:
        instead = "another policy, such as Curriculum()"
        gradient.OFFER.without("gains", "passes", where=f"with {asked}", instead=instead).check(forcing)
