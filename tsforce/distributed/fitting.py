"""Fits to partitions: from any data in parts to a forecaster that says what it can partition by partition."""

from __future__ import annotations

import os
from typing import Any

from tsforce.distributed.by_dask import DaskFrame
from tsforce.distributed.by_ray import RayDataset
from tsforce.distributed.fitted import FittedPartitions
from tsforce.distributed.parquet_folder import ParquetFolder
from tsforce.distributed.partitions import Frames, Partitions
from tsforce.distributed.settling import settle
from tsforce.distributed.survey import survey
from tsforce.forecasting.base import Forecaster

__all__ = ["fit_partitions", "partitions_of"]


def partitions_of(data: Any) -> Partitions:
    """Return partitions of what stands in the place of a frame."""
    if isinstance(data, Partitions):
        return data
    if isinstance(data, (str, os.PathLike)):
        return ParquetFolder(data)
    if _module(data).startswith("dask."):
        return DaskFrame(data)
    if _module(data).startswith("ray."):
        return RayDataset(data)
    return Frames(data)


def _module(data: Any) -> str:
    return type(data).__module__


def fit_partitions(model: Forecaster, data: Any, mode: Any) -> FittedPartitions:
    """Return what a forecaster is once it was fitted to partitions."""
    parts = partitions_of(data)
    found = survey(model, parts)
    return FittedPartitions(model.clone_unfitted(), parts, settle(model, mode, parts, found), found)
