"""Datasets of Ray as partitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from tsforce.distributed.engines import EnginePartitions, check_installed

__all__ = ["RayDataset"]


class RayDataset(EnginePartitions):
    """A Dataset of Ray: its blocks are the partitions, its work is done by Ray's tasks.

    Parameters
    ----------
    dataset : ray.data.Dataset
        Its blocks go into Ray's object store when they are first looked at.
    choices
        As in `Partitions`.

    Examples
    --------
    >>> import ray
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> from tsforce.distributed import RayDataset
    >>> data = RayDataset(ray.data.from_pandas(load("airpassengers")), choices="partition")
    >>> Baseline("seasonal_naive", horizon=2).fit(data).predict().count()
    2
    """

    def __init__(self, dataset: Any, choices: str = "panel") -> None:
        super().__init__(choices)
        check_installed("ray")
        self.dataset = dataset
        self._held: list[Any] | None = None

    def __repr__(self) -> str:
        return f"a Dataset of Ray with {len(self.pieces())} blocks"

    def pieces(self) -> list[Any]:
        """Return references to Ray's blocks."""
        if self._held is None:
            self._held = list(self.dataset.to_pandas_refs())
        return self._held

    def submit(self, function: Callable[..., Any], *given: Any) -> Any:
        """Return a reference to what a task gives."""
        import ray

        return ray.remote(_call).remote(function, *given)

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        """Return what references stand for."""
        import ray

        return list(ray.get(list(handles)))

    def dtypes(self) -> dict[str, Any]:
        """Return the dtypes of the columns of the first block."""
        (first,) = self.gather([self.submit(_dtypes, self.pieces()[0])])
        return dict(first)

    def frames(self, handles: Sequence[Any], like: pd.DataFrame) -> Any:
        """Return a Dataset; Ray has begun to work at it."""
        import ray

        del like
        return ray.data.from_pandas_refs(list(handles))

    def _repair(self) -> str:
        assert self._columns is not None
        return f"Bring them together: ds = ds.sort({self._columns.id!r})."


def _call(function: Callable[..., Any], *given: Any) -> Any:
    return function(*given)


def _dtypes(frame: pd.DataFrame) -> dict[str, Any]:
    return dict(frame.dtypes)
