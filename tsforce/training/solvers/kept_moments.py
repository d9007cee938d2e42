"""Moments of the same rows that are asked for again and again, kept meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any
from weakref import WeakKeyDictionary

from tsforce.data.panel import IntArray
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.lags import LagLayout
from tsforce.training.solvers.gram import Gram, accumulate

__all__ = ["keeping", "moments_of"]

# Bytes of the moments of a store that are kept; what is more is taken again.
_KEPT_BYTES = 2**27

_kept: WeakKeyDictionary[SeriesStore, dict[Any, Gram]] = WeakKeyDictionary()


@contextmanager
def keeping(store: SeriesStore) -> Iterator[None]:
    """Keep what `moments_of` takes of a store until the end: a prior, a search for a penalty and a fit look at it."""
    if store in _kept:
        yield
        return
    _kept[store] = {}
    try:
        yield
    finally:
        del _kept[store]


def moments_of(
    store: SeriesStore,
    series: IntArray,
    stops: IntArray,
    layout: LagLayout,
    *,
    pooled: bool,
    intercept: bool,
    horizon: int = 1,
    first: int = 0,
) -> Gram:
    """Return the moments that ``gram.accumulate`` takes of the same arguments, not to be changed in place."""
    how: dict[str, Any] = {"pooled": pooled, "intercept": intercept, "horizon": horizon, "first": first}
    kept = _kept.get(store)
    if kept is None:
        return accumulate(store, series, stops, layout, **how)
    key = (series.tobytes(), stops.tobytes(), layout, *how.values())
    found = kept.get(key)
    if found is None:
        found = accumulate(store, series, stops, layout, **how)
        if sum(_size(gram) for gram in [*kept.values(), found]) <= _KEPT_BYTES:
            kept[key] = found
    return found


def _size(gram: Gram) -> int:
    """Return the bytes of some moments."""
    tensors = (getattr(gram, field.name) for field in fields(gram))
    return sum(tensor.element_size() * tensor.numel() for tensor in tensors)
