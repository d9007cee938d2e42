"""Public door to the lag transforms: statistics of the target's past for ``NARXForecaster(lag_transforms=...)``."""

from tsforce.dynamics.target_features import (
    ExpandingMean,
    ExponentiallyWeightedMean,
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
    "ExpandingMean",
    "ExponentiallyWeightedMean",
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
