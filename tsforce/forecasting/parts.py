"""What every forecaster is made of, and what others ask of one, as functions.

On a forecaster itself stands only what a user may call. A subclass begins and ends its `fit` with `begin_fit` and
`end_fit`; the other functions serve it and whoever judges forecasters from outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import NotFittedError

from tsforce.data.frame import last_stamps, read_forecasts
from tsforce.data.frequency import season_length_of
from tsforce.data.panel import FloatArray, Panel
from tsforce.errors import ArgumentTypeError
from tsforce.forecasting.arguments import check_count
from tsforce.scoring.metrics import seasonal_naive_scale

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = [
    "INPUT_KINDS",
    "begin_fit",
    "check_complete",
    "check_fitted",
    "check_no_y",
    "end_fit",
    "forget",
    "horizon_of",
    "read_for",
    "score_season_length",
    "season_length_for",
    "targets_of",
    "values_of",
]

INPUT_KINDS = ("past_exog", "future_exog", "static")


# ---- fit and predict begin and end with


def begin_fit(model: Forecaster, y: Any = None) -> None:
    """Drop what was learnt before: the first line of a `fit`, so that one that fails leaves nothing that looks fitted.

    Parameters
    ----------
    model : Forecaster
    y : None
        What `fit` was given in scikit-learn's slot.

    Raises
    ------
    ArgumentTypeError
        If y was given: the target is a column of the frame.
    """
    check_no_y(y)
    forget(model)


def end_fit(model: Forecaster, panel: Panel, season_length: int, *, rows: Panel | None = None) -> None:
    """Keep what every fit leaves behind: the last line of a `fit`, since a forecaster is fitted from then on.

    That is ``freq_``, ``season_length_`` and ``train_end_``; and for ``score`` each series' scale and last rows.

    Parameters
    ----------
    model : Forecaster
    panel : Panel
        What was learnt from.
    season_length : int
        From `season_length_for`, or the method's own.
    rows : Panel, optional
        The last rows of each series that a forecast reads; all by default.
    """
    scale = seasonal_naive_scale(panel.values, panel.indptr, season_length, panel.lengths)
    model.freq_ = panel.clock.freq
    model.season_length_ = season_length
    model._naive_scale_ = dict(zip(panel.id_list, scale.tolist(), strict=True))
    model._rows_ = panel if rows is None else rows
    model.train_end_ = last_stamps(panel)


def check_no_y(y: Any) -> None:
    """Raise if scikit-learn's y was given.

    Raises
    ------
    ArgumentTypeError
        The target is a column of the frame.
    """
    if y is not None:
        raise ArgumentTypeError(
            f"fit(df, y=...) got a {type(y).__name__}: the target is a column of df. Call fit(df), and name the "
            f"column with target_col=; the training mode is the keyword mode=."
        )


def forget(estimator: Any) -> None:
    """Drop everything learnt: all attributes that end in an underscore, public or not."""
    for name in [name for name in vars(estimator) if name.endswith("_") and not name.startswith("__")]:
        delattr(estimator, name)


def check_fitted(model: Forecaster) -> None:
    """Raise scikit-learn's NotFittedError unless `fit` has succeeded."""
    if not model.is_fitted:
        raise NotFittedError(f"this {type(model).__name__} is not fitted; call fit(df) first.")


def horizon_of(model: Forecaster, horizon: int | None = None) -> int:
    """Return the steps to forecast: those asked for, else the forecaster's own.

    Raises
    ------
    ArgumentError
        If it is not a whole number of at least 1, or neither the call nor the constructor names one.

    Warns
    -----
    HorizonWarning
        If they go past the steps that were looked at in training.
    """
    return model._horizon_of(horizon)


def season_length_for(model: Forecaster, panel: Panel) -> int:
    """Return the season length: the argument, else what goes with the panel's frequency."""
    if model.season_length is None:
        return season_length_of(panel.clock.freq)
    return check_count("season_length", model.season_length)


# ---- asked from outside


def read_for(models: Forecaster | Iterable[Forecaster], df: Any) -> Panel:
    """Return the panel of a long frame with the inputs that any of some forecasters reads; the first names the rest.

    Each forecaster picks its own inputs from it.
    """
    if isinstance(df, Panel):
        return df
    listed: list[Forecaster] = list(models) if isinstance(models, Iterable) else [models]
    inputs = [model._inputs() for model in listed]
    union = {kind: tuple(dict.fromkeys(name for own in inputs for name in own[kind])) for kind in INPUT_KINDS}
    return listed[0]._read(df, union)


def targets_of(model: Forecaster) -> tuple[str, ...]:
    """Return the names of the target columns: what ``target_col`` names, one or several."""
    return model._targets()


def values_of(model: Forecaster, forecast: Any, horizon: int) -> FloatArray:
    """Return the numbers of a frame of a forecaster's, (windows or series, H, targets), original units."""
    return read_forecasts(forecast, model.name, targets_of(model), horizon)


def check_complete(model: Forecaster, panel: Panel) -> None:
    """Raise if a panel, which another forecaster has read, has missing values and this one takes none.

    Raises
    ------
    FrameError
        With the way out.
    """
    if np.isnan(panel.values).any():
        model._check_missing(panel)


def score_season_length(model: Forecaster, given: Any = None) -> int:
    """Return the season length of a MASE scale: the one given, else what was fitted with, the parameter, or 1."""
    if given is not None:
        return check_count("season_length", given)
    return getattr(model, "season_length_", None) or model.season_length or 1
