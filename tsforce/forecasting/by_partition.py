"""Data in partitions, where a frame is expected: ``fit`` and ``predict`` pass it on to the room that reads it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tsforce.above import from_above
from tsforce.errors import ArgumentError
from tsforce.forecasting.parts import check_no_y, forget

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = ["fits_partitions", "is_partitioned", "predicts_partitions"]

# Packages whose frames are spread over processes or machines.
_ENGINES = ("dask", "ray")


def is_partitioned(data: Any) -> bool:
    """Return whether data is no frame, but in partitions: a folder, a list of frames, a frame of an engine.

    Examples
    --------
    >>> is_partitioned("sales/"), is_partitioned(None)
    (True, False)
    """
    if isinstance(data, (str, os.PathLike)) or getattr(type(data), "is_partitioned", False):
        return True
    if type(data).__module__.partition(".")[0] in _ENGINES:
        return True
    return isinstance(data, (list, tuple)) and bool(data) and all(_is_part(part) for part in data)


def _is_part(part: Any) -> bool:
    return callable(part) or hasattr(part, "columns")


def fits_partitions(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Return a forecaster's `fit` that takes partitions too."""

    @functools.wraps(fit)
    def fit_any(self: Forecaster, df: Any, *y: Any, **given: Any) -> Any:
        if not is_partitioned(df):
            return fit(self, df, *y, **given)
        check_no_y(y[0] if y else given.get("y"))
        if given.get("checkpoint") is not None:
            raise ArgumentError(
                "checkpoint= goes with a frame in memory, and this is data in partitions: what predict().to_parquet() "
                "writes goes on where it stopped by itself. Leave it out."
            )
        forget(self)
        self.partitions_ = from_above("fit_partitions")(self, df, given.get("mode"))
        return self

    return fit_any


def predicts_partitions(predict: Callable[..., Any]) -> Callable[..., Any]:
    """Return a forecaster's `predict` that answers for partitions where it was fitted to some."""

    @functools.wraps(predict)
    def predict_any(self: Forecaster, horizon: int | None = None, **given: Any) -> Any:
        if not hasattr(self, "partitions_"):
            return predict(self, horizon, **given)
        if given.get("history") is not None:
            raise ArgumentError(
                "history= goes with a model in memory, and this one was fitted to partitions: ask the one of the "
                "series' partition, such as model.partitions_[0].predict(history=...)."
            )
        return self.partitions_.predict(horizon, given.get("future_df"), given.get("level"))

    return predict_any
