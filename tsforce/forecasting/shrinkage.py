"""What the weights and the intercept of a NARXForecaster are held to."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsforce.data.panel import Panel
from tsforce.data.transforms import Difference, Transform
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import Family, Polynomial
from tsforce.errors import ArgumentError, check_choice
from tsforce.forecasting.arguments import is_penalty
from tsforce.forecasting.automatic import is_auto, prior_for
from tsforce.forecasting.learning import Asked
from tsforce.training.constant import grows
from tsforce.training.solvers.priors import Prior

__all__ = ["intercept_of", "prior_of"]


def intercept_of(model: Any, panel: Panel, transforms: tuple[Transform, ...], pooled: bool) -> Any:
    """Return whether least squares fits an intercept: for all, or for each series where each has its own model."""
    asked = model.intercept
    if isinstance(asked, (bool, np.bool_)):
        return bool(asked)
    if is_penalty(asked):
        return True
    check_choice("intercept", asked, ("auto",))
    # Seasonal differences have mean zero but for growth, and a drift for nothing costs more than it gives.
    if not any(isinstance(t, Difference) and t.lag >= 2 for t in transforms):
        return True
    found = grows(panel, transforms)
    return bool(found.mean() >= 0.5) if pooled else found


def prior_of(
    model: Any,
    asked: Asked,
    layout: LagLayout,
    transforms: tuple[Transform, ...],
    scaling: str | None,
    season: int,
    pooled: bool,
) -> Prior | None:
    """Return what weights are shrunk to, None for plain ridge regression.

    Raises
    ------
    ArgumentError
        If a prior or a penalised intercept was asked of a model that has none.
    """
    kind = prior_for(model.prior, asked.kind, layout, transforms, pooled=pooled, ridge=asked.ridge)
    held: float | None = float(model.intercept) if is_penalty(model.intercept) else 0.0
    if kind == "auto" and is_auto(model.intercept):
        held = None
    if kind == "zero" and not held:
        return None
    if not isinstance(asked.kind, Family) or isinstance(asked.kind, Polynomial):
        raise ArgumentError(
            f"prior={kind!r}, intercept={model.intercept!r}: a prior and a penalised intercept are for linear maps, "
            f"alone or as the start of a network; leave prior='zero', intercept='auto'."
        )
    return Prior.of(kind, layout.of_one_group, season, transforms, scaling, held)
