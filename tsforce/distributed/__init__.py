"""Data that no memory holds at once: partitions in, what all of them must know, forecasts out."""

from tsforce.distributed.by_dask import DaskFrame
from tsforce.distributed.by_ray import RayDataset
from tsforce.distributed.parquet_folder import ParquetFolder
from tsforce.distributed.partitions import Frames, Partitions

__all__ = ["DaskFrame", "Frames", "ParquetFolder", "Partitions", "RayDataset"]
