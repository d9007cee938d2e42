"""What the settings of a NARX forecaster mean for a panel, before anything is learnt of its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tsforce.data.panel import Panel
from tsforce.data.transforms import Transform
from tsforce.dynamics.heads.base import Head
from tsforce.dynamics.target_features import target_features
from tsforce.errors import check_choice
from tsforce.forecasting.arguments import check_count, output_lags_of
from tsforce.forecasting.automatic import is_auto, lags_for, scaling_for, scope_for, transforms_for
from tsforce.forecasting.head_options import head_of, settings_of_counts
from tsforce.forecasting.learning import Asked
from tsforce.forecasting.parts import season_length_for
from tsforce.training.problem import STRATEGIES

__all__ = ["Settings", "settings_for"]


@dataclass(frozen=True, eq=False)
class Settings:
    """Settings with nothing left to choose by the lengths, columns and clock of a panel.

    Attributes
    ----------
    horizon, season_length : int
    channels : tuple of str
        What the targets are called in columns.
    features : tuple of TargetFeature
    pooled : bool
    head : Head or None
    transforms : tuple of Transform
    scaling : str or None
    lags : tuple of int
    ahead : int
        Steps that the map of the last step looks further back than that of the first.
    """

    horizon: int
    season_length: int
    channels: tuple[str, ...]
    features: Any
    pooled: bool
    head: Head | None
    transforms: tuple[Transform, ...]
    scaling: str | None
    lags: tuple[int, ...]
    ahead: int

    @property
    def rows_lost(self) -> int:
        """Rows that the transforms leave without a value."""
        return sum(t.rows_lost for t in self.transforms)


def settings_for(model: Any, panel: Panel, asked: Asked) -> Settings:
    """Return the settings of a NARXForecaster for a panel; of its values at most their sign is looked at.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If a parameter is not accepted.
    """
    horizon = check_count("horizon", model.horizon)
    check_choice("short_series", model.short_series, ("raise", "drop"))
    direct = check_choice("strategy", model.strategy, STRATEGIES) != "recursive"
    ahead = horizon - 1 if direct else 0
    season_length = season_length_for(model, panel)
    # The only target's columns are called y, whatever the user calls it.
    channels = panel.columns.targets if panel.n_channels > 1 else ("y",)
    features = target_features(model.lag_transforms, channels)
    least = max((feature.reach for feature in features), default=0)
    pooled = scope_for(model.scope, asked.kind, model.lags, model.target_transforms, panel, least=least + ahead)
    head = head_of(model.head)
    asked_transforms, asked_scaling = model.target_transforms, model.window_scaling
    if head is not None and head.of_counts:
        asked_transforms, asked_scaling = settings_of_counts(head, asked_transforms, asked_scaling)
    has_lags = is_auto(model.lags) or bool(output_lags_of(model.lags)) or bool(features)
    transforms = transforms_for(asked_transforms, asked.kind, panel, pooled=pooled, has_lags=has_lags)
    lost = sum(t.rows_lost for t in transforms)
    columns = panel.columns
    inputs = bool(columns.past_exog or columns.future_exog or columns.static or tuple(model.calendar))
    lags = lags_for(
        model.lags, horizon, season_length, panel, lost + ahead,
        pooled=pooled, drop=model.short_series == "drop", has_inputs=inputs or bool(features),
    )  # fmt: skip
    scaling = scaling_for(asked_scaling, pooled=pooled, has_lags=bool(lags or features))
    return Settings(horizon, season_length, channels, features, pooled, head, transforms, scaling, lags, ahead)
