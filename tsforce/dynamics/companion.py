"""The companion map: what one step does to a small error in what was fed before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tsforce.dynamics.draws import normal
from tsforce.dynamics.forcing import ClosedLoop
from tsforce.dynamics.lags import Inputs, LagLayout, lag_vector
from tsforce.dynamics.models.base import StepModel, WarmsUp
from tsforce.dynamics.rollout import rollout

__all__ = ["Companion", "companion", "linearise", "map_shape"]

# Bytes of square matrices at once.
_CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True, eq=False)
class Companion:
    """How errors spread along closed-loop forecasts, to first order, model units.

    Attributes
    ----------
    radius : (G, B, K) float64
        Largest modulus of an eigenvalue of the map at each of the K steps looked at. NaN where the map is not finite.
    growth : (G, B) float64
        Mean log growth per step of an error in a random direction, over the horizon; above 0 it grows. -inf where
        nothing is left of it, NaN where a map is not finite.
    """

    radius: Tensor
    growth: Tensor


class _Listener:
    """A step model that keeps what it is handed at each step."""

    def __init__(self, model: StepModel) -> None:
        self.model = model
        self.heard: list[tuple[Tensor, Any]] = []

    @property
    def layout(self) -> LagLayout:
        return self.model.layout

    def init_state(self, past: Tensor) -> Any:
        return self.model.init_state(past)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        self.heard.append((x, state))
        return self.model.step(x, state)


class _WarmListener(_Listener):
    def warm_up(self, x: Tensor, state: Any) -> Any:
        assert isinstance(self.model, WarmsUp)
        return self.model.warm_up(x, state)


def _parts(state: Any) -> tuple[Tensor, ...] | None:
    """Return a state as a tuple of tensors; None if it is none."""
    if state is None:
        return ()
    parts = state if isinstance(state, tuple) else (state,)
    return parts if all(isinstance(part, Tensor) for part in parts) else None


def _fed_steps(layout: LagLayout) -> int:
    """Return how many fed steps the map has; of a model that reads none, the last one, which it forgets."""
    return max(1, layout.target_reach)


def map_shape(model: StepModel, past: Tensor) -> tuple[int, int]:
    """Return how many rows of the map are not a mere shift, and how many columns it has.

    Parameters
    ----------
    model : StepModel
    past : (G, B, L, C)
        As in ``rollout``.

    Returns
    -------
    C + R, N
        Values of one step, with those of a recurrent state; and all that one step reads of the steps before it.
    """
    state = _parts(model.init_state(past)) or ()
    rows = past.shape[3] + sum(part.shape[2] for part in state)
    return rows, rows + (_fed_steps(model.layout) - 1) * past.shape[3]


def companion(
    model: StepModel,
    past: Tensor,
    horizon: int,
    *,
    inputs: Inputs | None = None,
    bounds: tuple[Tensor, Tensor] | None = None,
    looks: int | None = None,
) -> Companion | None:
    """Return how errors spread along the closed-loop forecasts of some windows.

    Parameters
    ----------
    model : StepModel
    past, horizon, inputs, bounds
        As in ``rollout``. The bounds shape the forecasts; they are no part of the map.
    looks : int, optional
        Steps at which to take the radius, spread evenly; all by default.

    Returns
    -------
    Companion or None
        None for a model without gradient (trees), whose state is neither a tensor (G, B, R) nor a tuple of them, or
        whose features know where a series begins.

    Notes
    -----
    ``M_t = [J_1 .. J_p; I 0]``, J_l the derivative of the output at step t by the value fed l steps before; those of a
    recurrent state stand beside them, so that M_t maps all N values that a step reads of those before it. The radius is
    that of M_t; growth is ``log(|M_H .. M_1 v| / |v|) / H``, v drawn once and the same for every window. A radius below
    1 at each step does not make the product shrink, and over a horizon shorter than the lags much of v is only moved.

    Costs one roll-out, a backward pass of all of its steps together for each channel and each value of a state, and an
    eigenvalue problem of size N for each different map that is looked at.

    Examples
    --------
    >>> from tsforce.dynamics.models.linear import Linear
    >>> half = Linear(LagLayout((1,)), torch.tensor([[[0.5]]]), torch.zeros(1, 1))
    >>> found = companion(half, torch.ones(1, 1, 1, 1), 3)
    >>> found.radius.flatten().tolist(), round(found.growth.exp().item(), 6)
    ([0.5, 0.5, 0.5], 0.5)
    """
    if model.layout.knows_begin or _parts(model.init_state(past)) is None:
        return None
    listener = _WarmListener(model) if isinstance(model, WarmsUp) else _Listener(model)
    with torch.no_grad():
        yhat, _ = rollout(listener, past, horizon, ClosedLoop(), bounds=bounds, inputs=inputs)
    reach, length = _fed_steps(model.layout), past.shape[2]
    fed = torch.cat([past, yhat], dim=2)
    steps = []
    for h, (x, state) in enumerate(listener.heard):
        parts = _parts(state)
        if parts is None:
            return None
        steps.append(_Step(fed[:, :, length + h - reach : length + h], x, parts, isinstance(state, tuple)))
    rows = _derivatives(model, _beside(steps))
    if rows is None:
        return None
    groups, windows, _, channels = past.shape
    rows = rows.view(groups, horizon, windows, *rows.shape[2:]).transpose(1, 2)
    count = horizon if looks is None else min(looks, horizon)
    # One look is taken at the middle.
    looked = rows[:, :, [int((k + 0.5) * horizon / count) for k in range(count)]]
    radius = _radius(looked.flatten(end_dim=2), channels).view(looked.shape[:3])
    return Companion(radius, _growth(rows, channels))


@dataclass(frozen=True, eq=False)
class _Step:
    """What a model reads at one step of a roll-out.

    Attributes
    ----------
    fed : (G, B, reach, C)
    x : (G, B, D)
        Lag vectors, for what of them does not depend on `fed`.
    state : tuple of (G, B, R)
    as_tuple : bool
        Whether the model takes its state as a tuple.
    """

    fed: Tensor
    x: Tensor
    state: tuple[Tensor, ...]
    as_tuple: bool


def _beside(steps: list[_Step]) -> _Step:
    """Return several steps as one, step by step along the windows."""
    state = tuple(torch.cat(parts, dim=1) for parts in zip(*(step.state for step in steps), strict=True))
    fed, x = torch.cat([step.fed for step in steps], dim=1), torch.cat([step.x for step in steps], dim=1)
    return _Step(fed, x, state, steps[0].as_tuple)


def linearise(model: StepModel, past: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return one step of a model, and its derivatives by what it is fed and by what it knows beside that.

    Parameters
    ----------
    model : StepModel
    past : (G, B, L, C)
        What was fed, model units, up to and with the step before.
    known : (G, B, Dk), optional
        The step's part of ``known_inputs``, where the layout has inputs.

    Returns
    -------
    output : (G, B, C) float64
    by_fed : (G, B, C, reach, C) float64
        By the value of each channel fed 1 .. reach steps before, the newest first; reach is that of the target's lags.
    by_known : (G, B, C, Dk) float64
    None
        In place of all for a model without gradient (trees), with a recurrent state, or whose features know
        where a series begins.

    Examples
    --------
    >>> from tsforce.dynamics.models.linear import Linear
    >>> model = Linear(LagLayout((1, 3)), torch.tensor([[[0.25], [0.5]]]), torch.ones(1, 1))
    >>> output, by_fed, _ = linearise(model, torch.zeros(1, 1, 3, 1))
    >>> output.item(), by_fed.flatten().tolist()
    (1.0, [0.5, 0.0, 0.25])
    """
    if model.layout.knows_begin or _parts(model.init_state(past)) != ():
        return None
    reach, channels = model.layout.target_reach, past.shape[3]
    fed = past[:, :, past.shape[2] - reach :]
    at = _Step(fed, lag_vector(model.layout, fed, reach, known), (), False)
    rows = _derivatives(model, at, by_known=True)
    if rows is None:
        return None
    with torch.no_grad():
        output = model.step(at.x, None)[0][..., 0].double().cpu()
    by_fed = rows[..., : reach * channels].unflatten(-1, (reach, channels)).flip(3)
    return output, by_fed, rows[..., reach * channels :]


def _derivatives(model: StepModel, at: _Step, *, by_known: bool = False) -> Tensor | None:
    """Return the rows of the maps that are not a shift, (G, B, C + R, N) float64; None for a model without gradient.

    `by_known`: with the derivatives by what does not depend on what is fed as further columns.
    """
    layout = model.layout
    n_fed = len(layout.blocks["target_lags"]) + len(layout.blocks["target_features"])
    known = at.x[..., n_fed:] if at.x.shape[-1] > n_fed else None
    given = [part.detach().requires_grad_() for part in (at.fed, *at.state)]
    inner: Any = tuple(given[1:]) if at.as_tuple else (given[1] if at.state else None)
    if by_known and known is not None:
        known = known.detach().requires_grad_()
        given.append(known)
    with torch.enable_grad():
        output, after = model.step(lag_vector(layout, given[0], at.fed.shape[2], known), inner)
        parts = [output[..., 0], *(_parts(after) or ())]
        if not all(part.requires_grad for part in parts):
            return None
        rows = []
        for part in parts:
            for column in part.sum(dim=1).unbind(dim=-1):
                # Windows do not meet in a step, so that the gradient of a sum is each window's own.
                gradient = torch.autograd.grad(column.sum(), given, retain_graph=True, materialize_grads=True)
                rows.append(torch.cat([g.flatten(start_dim=2) for g in gradient], dim=-1))
    return torch.stack(rows, dim=2).double().cpu()


def _radius(rows: Tensor, channels: int) -> Tensor:
    """Return the spectral radius of some maps, (n,), from their rows that are not a shift, (n, C + R, N)."""
    radius = torch.full((len(rows),), torch.nan, dtype=torch.float64)
    finite = rows.isfinite().flatten(start_dim=1).all(dim=1)
    # A linear model has one map; so, at many steps, has one that bends in few places.
    different, back = torch.unique(rows[finite], dim=0, return_inverse=True)
    size = rows.shape[2]
    kept = size - rows.shape[1]
    found = []
    for part in different.split(max(1, _CHUNK_BYTES // (8 * size**2))):
        square = part.new_zeros(len(part), size, size)
        shift = torch.arange(kept)
        square[:, shift, shift + channels] = 1.0
        square[:, kept:] = part
        found.append(torch.linalg.eigvals(square).abs().amax(dim=1))
    if found:
        radius[finite] = torch.cat(found)[back]
    return radius


def _growth(rows: Tensor, channels: int) -> Tensor:
    """Return the mean log growth per step, (G, B), from the rows that are not a shift, (G, B, H, C + R, N)."""
    horizon, size = rows.shape[2], rows.shape[4]
    n_fed = size - (rows.shape[3] - channels)
    v = normal(torch.zeros(1, dtype=torch.int64), (9,), size).expand(*rows.shape[:2], size)
    total = -v.norm(dim=-1).log()
    for matrix in rows.unbind(dim=2):
        v = torch.cat([v[..., channels:n_fed], (matrix @ v[..., None])[..., 0]], dim=-1)
        # Of unit length again: a long horizon is not to overflow.
        length = v.norm(dim=-1)
        total = total + length.log()
        v = v / torch.where(length > 0, length, 1.0)[..., None]
    growth: Tensor = total / horizon
    return growth
