"""Negative binomial laws summed over counts: their distribution functions, and the CRPS, with gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["log_probability", "product_score"]

# Stretches that the counts of a law are cut into, as few as hold them one by one, or the most.
_STRETCHES = (16, 32, 64, 96)
# Spreads below and above the mean outside of which a law has nothing that counts.
_BELOW, _ABOVE = 5.0, 8.0


def log_probability(count: Tensor, mean: Tensor, shape: Tensor) -> Tensor:
    """Return the logarithm of the probability of counts under laws of mean `mean` and variance ``mean + shape mean^2``.

    Examples
    --------
    >>> log_probability(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1.0)).exp().item()
    0.5
    """
    size = 1 / shape
    each = torch.lgamma(count + size) - torch.lgamma(size) - torch.lgamma(count + 1)
    return each - size * torch.log1p(mean * shape) + count * (torch.log(mean) - torch.log(size + mean))


def product_score(laws: Sequence[tuple[Tensor, Tensor]], count: Tensor) -> Tensor:
    """Return the sum over all k of ``(F(k) - 1{count <= k}) (F'(k) - 1{count <= k})``: of one law its CRPS, in counts.

    Exact, but for rounding, where the laws lie within some 100 counts. Else over stretches, in which a distribution
    function is a line: to within 1 % where the shape is at most 1.

    Parameters
    ----------
    laws : one or two (mean, shape)
        Original units.
    count : Tensor
        What was observed.

    Examples
    --------
    >>> law = torch.tensor(1.0), torch.tensor(1.0)  # 1/2, 1/4, 1/8, ... for 0, 1, 2, ...
    >>> round(product_score([law], torch.tensor(0.0)).item(), 4)
    0.3333
    """
    parts = torch.broadcast_tensors(count, *(part for law in laws for part in law))
    shape, (seen, *each) = parts[0].shape, [part.flatten() for part in parts]
    number, low = _range_of(list(zip(each[::2], each[1::2], strict=True)))
    found = torch.zeros_like(seen + each[0])
    most = number.new_tensor(_STRETCHES[:-1])
    # Laws that lie within as many counts are summed together: most need few.
    for k, stretches in enumerate(_STRETCHES):
        own = torch.nonzero(torch.bucketize(number, most) == k)[:, 0]
        if len(own):
            some = [part[own] for part in each]
            ends = _ends(low[own], number[own], stretches)
            found = found.index_put((own,), _score(list(zip(some[::2], some[1::2], strict=True)), seen[own], ends))
    return found.view(shape)


def _score(laws: Sequence[tuple[Tensor, Tensor]], count: Tensor, ends: Tensor) -> Tensor:
    """Return what `product_score` does, from the last counts of stretches (..., K + 1)."""
    low, high = ends[..., :-1], ends[..., 1:]
    # Counts up to the last one in a stretch that is less than what was observed are under it.
    last = torch.minimum(torch.maximum(count[..., None] - 1, low), high)
    share = (last - low) / (high - low)
    under: list[Tensor] = [torch.ones_like(last)] * 2
    over: list[Tensor] = [torch.ones_like(last)] * 2
    uptos = [_upto(ends, mean, shape) for mean, shape in laws]
    for upto in uptos if len(uptos) > 1 else uptos * 2:
        at = upto[..., :-1] + share * upto.diff(dim=-1)
        under = [under[0] * upto[..., :-1], under[1] * at]
        over = [over[0] * (1 - at), over[1] * (1 - upto[..., 1:])]
    inside = _summed(last - low, *under) + _summed(high - last, *over)
    outside = (ends[..., 0] + 1 - count).clamp(min=0) + (count - 1 - ends[..., -1]).clamp(min=0)
    return inside.sum(dim=-1) + outside


def _summed(number: Tensor, before: Tensor, at_end: Tensor) -> Tensor:
    """Return the sum over so many counts of a line, from its values before the first and at the last."""
    return 0.5 * (number * (before + at_end) + at_end - before)


def _range_of(laws: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return how many counts some laws lie within, and the first of them; no gradient."""
    with torch.no_grad():
        sides = []
        for mean, shape in laws:
            spread = (mean + shape * mean.square()).sqrt()
            # Of a wide law the tail falls as exp(-count / (shape mean)).
            sides.append((mean - _BELOW * spread, mean + _ABOVE * torch.maximum(spread, shape * mean)))
        low = torch.stack([side[0] for side in sides]).amin(dim=0).floor().clamp(min=0)
        return torch.stack([side[1] for side in sides]).amax(dim=0).ceil() - low, low


def _ends(low: Tensor, number: Tensor, stretches: int) -> Tensor:
    """Return the last count of each stretch (..., K + 1), from before the first one on.

    Stretches get wider as a cube does: counts near 0, where laws may be steep, are single ones.
    """
    place = torch.arange(stretches + 1, dtype=low.dtype, device=low.device)
    along = torch.maximum(place, (number.clamp(min=stretches)[..., None] * (place / stretches) ** 3).round())
    return low[..., None] - 1 + along


def _upto(ends: Tensor, mean: Tensor, shape: Tensor) -> Tensor:
    """Return the distribution function at ends of stretches, 0 at the first and 1 at the last."""
    middle, number = 0.5 * (ends[..., :-1] + 1 + ends[..., 1:]), ends.diff(dim=-1)
    mass = number * log_probability(middle, mean[..., None], shape[..., None]).exp()
    total = mass.cumsum(dim=-1)
    return torch.cat([torch.zeros_like(total[..., :1]), total / total[..., -1:]], dim=-1)
