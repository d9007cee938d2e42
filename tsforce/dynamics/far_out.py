"""What a map does far outside all it has seen: whether roll-outs can run away at all."""

from __future__ import annotations

import torch
from torch import Tensor

from tsforce.dynamics.draws import uniform
from tsforce.dynamics.lags import lag_vector
from tsforce.dynamics.models.base import StepModel

__all__ = ["stays_near"]

# How far out, in sizes of what was fed (model units, if that is more), and what counts as equal there, by precision.
_FAR = {torch.float64: (1e8, 1e-5), torch.float32: (1e4, 1e-3)}
# A root so little outside the unit circle is on it for a forecast: an estimate of an integrator.
_OUTSIDE = 1e-3
# Directions in which the map is compared with the linear one.
_LOOKS = 4
# Bytes of lag buffers at once.
_CHUNK_BYTES = 32 * 2**20


def stays_near(model: StepModel, past: Tensor, known: Tensor | None = None) -> Tensor:
    """Return of which groups the roll-outs cannot run away by themselves, (G,) bool.

    Those whose map is far out linear in what is fed, the same in every direction and whatever the inputs, with no root
    outside the unit circle (by more than .001): linear maps, stable or integrating, and what is bounded beside one,
    such as a tanh network, or bounded at all, such as trees. Their roll-outs go where inputs and starts send them, and
    as far. A model with a state of its own, or whose features know where a series begins, is not looked into, and does
    not count.

    Parameters
    ----------
    model : StepModel
        Of G groups.
    past : (G, 1, L, C)
        A context, model units.
    known : (G, 1, Dk), optional
        The step's part of ``known_inputs``, where the layout has inputs.

    Examples
    --------
    >>> from tsforce.dynamics.lags import LagLayout
    >>> from tsforce.dynamics.models.linear import Linear
    >>> weight = torch.tensor([[[0.9]], [[1.0]], [[1.1]]], dtype=torch.float64)
    >>> three = Linear(LagLayout((1,)), weight, torch.ones(3, 1, dtype=torch.float64))
    >>> stays_near(three, torch.ones(3, 1, 1, 1, dtype=torch.float64)).tolist()
    [True, True, False]
    """
    if past.dtype not in _FAR or model.layout.knows_begin or model.init_state(past) is not None:
        return torch.zeros(len(past), dtype=torch.bool)
    groups, _, length, channels = past.shape
    size = model.layout.reach * channels
    copies = 1 + 2 * size + 2 * _LOOKS
    far, same = _FAR[past.dtype]
    finite = torch.where(past.isfinite(), past, 0.0)
    distance = far * finite.abs().amax(dim=(1, 2, 3)).clamp(min=1.0)
    fed = finite[:, :, length - model.layout.reach :].expand(-1, copies, -1, -1).clone().view(groups, copies, size)
    units = torch.eye(size, dtype=past.dtype, device=past.device)
    looks = uniform(torch.zeros(1, dtype=torch.int64), (11,), _LOOKS * size).view(_LOOKS, size).to(past)
    looks = torch.where(looks < 0.5, -1.0, 1.0) * (0.5 + (looks - 0.5).abs())
    still = torch.zeros(_LOOKS, size, dtype=past.dtype, device=past.device)
    moved = torch.cat([still[:1], units, -units, looks, still])
    fed = (fed + distance[:, None, None] * moved).view(groups, copies, model.layout.reach, channels)
    here = None
    if known is not None:
        here = torch.where(known.isfinite(), known, 0.0).expand(-1, copies, -1).clone()
        # A slope that inputs can change is none of a linear map.
        for nth in range(1, _LOOKS):
            shift = here.new_tensor([(-1.0) ** (nth * (d % (nth + 1) > 0)) for d in range(here.shape[2])])
            here[:, 1 + 2 * size + nth] += shift
            here[:, 1 + 2 * size + _LOOKS + nth] += shift
    with torch.no_grad():
        x = lag_vector(model.layout, fed, model.layout.reach, here)
        output = model.step(x, None)[0][..., 0].double()
    base, ahead, back, there, near = output.split([1, size, size, _LOOKS, _LOOKS], dim=1)
    step = distance.double()[:, None, None]
    slope = (ahead - back) / (2 * step)  # (G, size, C)
    rest = near + step * torch.einsum("ks,gsc->gkc", looks.double(), slope) - there
    bent = torch.cat([ahead + back - 2 * base, rest], dim=1) / step
    allowed = same * (slope.abs().sum(dim=1) + same)
    linear = (bent.abs().amax(dim=1) <= allowed).all(dim=1)
    inside = _radius_at_most(torch.where(linear[:, None, None], slope, 0.0), 1 + _OUTSIDE)
    found: Tensor = linear.cpu() & inside
    return found


def _radius_at_most(slope: Tensor, most: float) -> Tensor:
    """Return which maps have no root further out, (G,), from slopes (G, lags * C, C), the oldest lag first."""
    _, size, channels = slope.shape
    inside = slope.abs().sum(dim=1).amax(dim=1) <= 1
    todo = torch.nonzero(~inside)[:, 0]
    for some in todo.split(max(1, _CHUNK_BYTES // (8 * size**2))):
        companion = slope.new_zeros(len(some), size, size)
        shift = torch.arange(size - channels)
        companion[:, shift, shift + channels] = 1.0
        companion[:, size - channels :] = slope[some].mT
        inside[some] = torch.linalg.eigvals(companion).abs().amax(dim=1) <= most
    return inside.cpu()
