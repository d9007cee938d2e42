"""Public door to the lag transforms: statistics of the target's past for ``NARXForecaster(lag_transforms=...)``."""

from tsforce.dynamics.target_features import (
    LagTransform,
    RollingMax,
    RollingMean,
    RollingMin,
    RollingQuantile,
    RollingStd,
    SeasonalRollingMax,
    SeasonalRollingMean,
    SeasonalRollingMin,
    SeasonalRollingQuantile,
    SeasonalRollingStd,
)

__all__ = [
    "LagTransform",
    "RollingMax",
    "RollingMean",
    "RollingMin",
    "RollingQuantile",
    "RollingStd",
    "SeasonalRollingMax",
    "SeasonalRollingMean",
    "SeasonalRollingMin",
    "SeasonalRollingQuantile",
    "SeasonalRollingStd",
]
