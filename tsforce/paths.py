"""Public door to what sample paths say (``sample_paths`` of every forecaster), and to their scores."""

from tsforce.forecasting.path_summaries import (
    crossing_probability,
    first_crossing,
    path_quantiles,
    path_sums,
    path_values,
)
from tsforce.scoring.path_scores import crps, energy_score, pinball_loss, pit_values, weighted_quantile_loss

__all__ = [
    "crossing_probability",
    "crps",
    "energy_score",
    "first_crossing",
    "path_quantiles",
    "path_sums",
    "path_values",
    "pinball_loss",
    "pit_values",
    "weighted_quantile_loss",
]
