"""Frames of Dask as partitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from tsforce.distributed.engines import EnginePartitions, check_installed

__all__ = ["DaskFrame"]


class DaskFrame(EnginePartitions):
    """A DataFrame of Dask: its work is done by whatever scheduler Dask has, a ``Client``'s or its own threads.

    Parameters
    ----------
    frame : dask DataFrame
    choices
        As in `Partitions`.

    Examples
    --------
    >>> import dask.dataframe
    >>> import pandas as pd
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> from tsforce.distributed import DaskFrame
    >>> df = load("airpassengers")
    >>> both = pd.concat([df.assign(unique_id="one"), df.assign(unique_id="two")])
    >>> data = DaskFrame(dask.dataframe.from_pandas(both, npartitions=2, sort=False), choices="partition")
    >>> len(Baseline("seasonal_naive", horizon=2).fit(data).predict().compute())
    4
    """

    def __init__(self, frame: Any, choices: str = "panel") -> None:
        super().__init__(choices)
        check_installed("dask")
        self.frame_of_dask = frame
        self._held: list[Any] | None = None

    def __repr__(self) -> str:
        return f"a DataFrame of Dask with {self.frame_of_dask.npartitions} partitions"

    def pieces(self) -> list[Any]:
        """Return Dask's partitions."""
        if self._held is None:
            self._held = list(self.frame_of_dask.to_delayed())
        return self._held

    def submit(self, function: Callable[..., Any], *given: Any) -> Any:
        """Return a delayed call."""
        import dask

        return dask.delayed(function, pure=False)(*given)

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        """Return what delayed calls give."""
        import dask

        return list(dask.compute(*handles))

    def dtypes(self) -> dict[str, Any]:
        """Return the dtypes that Dask has of the columns."""
        return dict(self.frame_of_dask.dtypes)

    def frames(self, handles: Sequence[Any], like: pd.DataFrame) -> Any:
        """Return a DataFrame of Dask, of which nothing is computed yet."""
        import dask.dataframe

        return dask.dataframe.from_delayed(list(handles), meta=like, verify_meta=False)
