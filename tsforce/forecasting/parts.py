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
from tsforce.data.later_rows import Grown, grown
from tsforce.data.panel import FloatArray, IntArray, Panel
from tsforce.errors import ArgumentError, ArgumentTypeError, HorizonWarning, warn
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.saving import check_in_memory, check_rows_kept
from tsforce.scoring.metrics import error_scale, grown_error_scale

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
    "inputs_of",
    "later_rows_of",
    "own_horizon",
    "read_for",
    "reader_of",
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


def end_fit(
    model: Forecaster, panel: Panel, season_length: int, *, rows: Panel | None = None, first: IntArray | None = None
) -> None:
    """Keep what every fit leaves behind: the last line of a `fit`, since a forecaster is fitted from then on.

    That is ``freq_``, ``season_length_`` and ``train_end_``; for ``score`` each series' scale and last rows; and for
    intervals what was learnt from.

    Parameters
    ----------
    model : Forecaster
    panel : Panel
        What was learnt from.
    season_length : int
        From `season_length_for`, or the method's own.
    rows : Panel, optional
        The last rows of each series that a forecast reads; all by default.
    first : (S,) int64, optional
        Row of each series up to which the scales that the model has were taken; without, they are taken anew.
    """
    if first is None or len(model._naive_scale_) < panel.n_series:
        scale = error_scale(panel.values, panel.indptr, season_length, panel.lengths)
    else:
        before = np.array(list(model._naive_scale_.values()))
        scale = grown_error_scale(before, panel.values, panel.indptr, season_length, first)
    model.freq_ = panel.clock.freq
    model.season_length_ = season_length
    model._naive_scale_ = dict(zip(panel.id_list, scale.tolist(), strict=True))
    model._rows_ = panel if rows is None else rows
    # Intervals are calibrated within them, when they are first asked for.
    model._learnt_from_ = panel
    model.train_end_ = last_stamps(panel)


def later_rows_of(model: Forecaster, df: Any) -> Grown:
    """Return what a fitted forecaster learnt from, followed by the later rows of a frame.

    Rows of series that the fit has left out are not read.

    Raises
    ------
    ArgumentError
        If the forecaster does not have the rows any more.
    FrameError
        If rows are missing in between, or are not those that were learnt from.
    """
    panel = model.read(df)
    left_out = set(getattr(model, "short_series_", []))
    if left_out:
        panel = panel.take([i for i, name in enumerate(panel.id_list) if name not in left_out])
    check_rows_kept(model, "_learnt_from_", "update")
    return grown(model._learnt_from_, panel)


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
    """Raise scikit-learn's NotFittedError unless `fit` has succeeded.

    Raises
    ------
    ArgumentError
        If it was fitted to partitions, and is no model in memory.
    """
    check_in_memory(model)
    if not model.is_fitted:
        raise NotFittedError(f"this {type(model).__name__} is not fitted; call fit(df) first.")


def horizon_of(model: Forecaster, horizon: int | None = None, *, panel: Panel | None = None) -> int:
    """Return the steps to forecast: those asked for, else the forecaster's own, else one season.

    Parameters
    ----------
    model : Forecaster
    horizon : int, optional
    panel : Panel, optional
        What tells the season of a forecaster that is not fitted.

    Raises
    ------
    ArgumentTypeError
        If a frame stands in its place.
    ArgumentError
        If it is not a whole number of at least 1, or there is nothing to tell it by.

    Warns
    -----
    HorizonWarning
        If they go past the steps that were looked at in training, or nobody said how many.
    """
    if hasattr(horizon, "columns"):
        raise ArgumentTypeError(
            f"horizon is a {type(horizon).__name__}; expected a whole number of steps. A frame of inputs known over "
            f"the horizon is given by name, predict(future_df=...), and so is a later context, predict(history=...)."
        )
    steps = model._horizon_of(horizon)
    if steps is not None:
        return steps
    season = getattr(model, "season_length_", None)
    if season is None and panel is not None:
        season = season_length_for(model, panel)
    if season is None:
        raise ArgumentError(f"{model.name} has no horizon of its own; say how many steps with horizon=.")
    warn(
        f"no horizon is named: {model.name} forecasts one season, {season} steps; say others with horizon=.",
        HorizonWarning,
    )
    return int(season)


def own_horizon(model: Forecaster) -> int | None:
    """Return the steps that a forecaster gives by default, None if nobody said how many."""
    return model._horizon_of(None)


def season_length_for(model: Forecaster, panel: Panel) -> int:
    """Return the season length: the argument, else what goes with the panel's frequency."""
    if model.season_length is None:
        return season_length_of(panel.clock.freq)
    return check_count("season_length", model.season_length)


# ---- asked from outside


def read_for(models: Forecaster | Iterable[Forecaster], df: Any) -> Panel:
    """Return the panel of a long frame with the inputs that any of some forecasters reads, each picking its own.

    Missing values stay in it if one of them takes them.

    Raises
    ------
    ArgumentError
        If they differ in the columns of ids, time or target, or in the frequency.
    """
    if isinstance(df, Panel):
        return df
    listed: list[Forecaster] = list(models) if isinstance(models, Iterable) else [models]
    inputs = [model._inputs() for model in listed]
    union = {kind: tuple(dict.fromkeys(name for own in inputs for name in own[kind])) for kind in INPUT_KINDS}
    return reader_of(listed)._read(df, union)


def reader_of(models: Iterable[Forecaster]) -> Forecaster:
    """Return who reads the frame that some forecasters share: takes missing values, and knows a frequency, if one does.

    Raises
    ------
    ArgumentError
        If they differ in the columns of ids, time or target, or in the frequency: says who has what.
    """
    readers = [reader for model in models for reader in model._readers()]

    def said(model: Forecaster, what: str) -> str:
        if what == "target_col":
            return ", ".join(map(str, targets_of(model)))
        return str(getattr(model, "freq_", model.freq) if what == "freq" else getattr(model, what))

    for what in ("id_col", "time_col", "target_col", "freq"):
        own = [(model.name, said(model, what)) for model in readers]
        different = {value for _, value in own} - ({"infer"} if what == "freq" else set())
        if len(different) > 1:
            raise ArgumentError(
                f"the models differ in {what} ({', '.join(f'{name}: {value}' for name, value in own)}); they share one "
                f"reading of the frame, and one target. Give all of them the same {what}=."
            )
    return min(readers, key=lambda model: (not model._takes_missing, said(model, "freq") == "infer"))


def targets_of(model: Forecaster) -> tuple[str, ...]:
    """Return the names of the target columns: what ``target_col`` names, one or several."""
    return model._targets()


def inputs_of(model: Forecaster) -> dict[str, tuple[str, ...]]:
    """Return the names of the input columns by kind: those that it was fitted with, once it is."""
    return model._inputs()


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
