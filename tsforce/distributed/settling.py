"""What all partitions must know before each can be learnt by itself."""

from __future__ import annotations

from typing import Any

from tsforce.data.transforms import Difference
from tsforce.distributed.combinations import settle_auto, settle_ensemble
from tsforce.distributed.local_rounds import settle_local
from tsforce.distributed.partitions import Partitions, failed_of
from tsforce.distributed.pooled_rounds import settle_pooled
from tsforce.distributed.settled import Settled, looks_at_all, with_freq
from tsforce.distributed.survey import Survey
from tsforce.dynamics.forcing import OpenLoop
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import Family
from tsforce.forecasting.adapters import check_model
from tsforce.forecasting.arguments import windows_held_out
from tsforce.forecasting.auto.auto_narx import AutoNARX
from tsforce.forecasting.automatic import is_auto, prior_for
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.ensemble import Ensemble
from tsforce.forecasting.learning import Asked, resolve
from tsforce.forecasting.narx import NARXForecaster
from tsforce.forecasting.settings import Settings, settings_for
from tsforce.training.fit import LINEAR

__all__ = ["check_settles", "settle"]


def settle(model: Forecaster, mode: Any, data: Partitions, found: Survey) -> Settled:
    """Return what all partitions must know of a forecaster.

    Partitions of `found` that fail on the way are put among those that have failed.

    Raises
    ------
    ArgumentError
        If it would have to see all series at once.
    """
    if data.choices == "partition" or model._series_apart:
        return Settled(with_freq(model, found), mode)
    if isinstance(model, (AutoNARX, Ensemble)):
        combine = settle_auto if isinstance(model, AutoNARX) else settle_ensemble
        return combine(model, mode, data, found, settle, check_settles)
    told, prior, apart = _looked_at(model, mode, found)
    template = _with_settings(model, told, found)
    if told.pooled:
        if found.failed:
            raise failed_of(data, found.failed, "and one model learns from all series")
        return settle_pooled(template, mode, data, found)
    if apart:
        return Settled(template, mode)
    return settle_local(template, mode, data, found, prior in ("auto", "pooled"))


def check_settles(model: Forecaster, mode: Any, found: Survey) -> None:
    """Raise what `settle` would, without a look at the data.

    Raises
    ------
    ArgumentError
        If a forecaster would have to see all series at once.
    """
    if not model._series_apart:
        _looked_at(model, mode, found)


def _looked_at(model: Forecaster, mode: Any, found: Survey) -> tuple[Settings, str | None, bool]:
    """Return settings by the lengths of all series, the prior of maps of single ones, and whether these are apart."""
    if not isinstance(model, NARXForecaster):
        raise looks_at_all(model.name, f"a {type(model).__name__} chooses by all series", "")
    asked = resolve(model, check_model(model.model), mode, windows_held_out)
    told = settings_for(model, found.panel, asked)
    if told.pooled:
        _check_pooled(model, asked, told)
        return told, None, False
    layout = LagLayout(told.lags, told.channels, told.features)
    prior = prior_for(model.prior, asked.kind, layout, told.transforms, pooled=False, ridge=asked.ridge)
    return told, prior, _is_apart(model, asked, told, prior)


def _with_settings(model: NARXForecaster, told: Settings, found: Survey) -> NARXForecaster:
    """Return a forecaster like a given one that says what all series have told."""
    template = model.clone_unfitted()
    template.set_params(scope="global" if told.pooled else "local", freq=found.clock.freq)
    if is_auto(model.lags):
        template.set_params(lags=list(told.lags))
    return template


def _is_apart(model: NARXForecaster, asked: Asked, told: Settings, prior: str) -> bool:
    """Return whether nothing of a fit looks at other series than its own, each having a model of its own.

    Raises
    ------
    ArgumentError
        If something does that cannot be summed up over partitions.
    """
    seasonal = any(isinstance(t, Difference) and t.lag >= 2 for t in told.transforms)
    opened = asked.mode in (("open_loop",) if prior == "zero" else ("open_loop", "auto"))
    squares = asked.kind == LINEAR and told.head is None and opened and asked.options.solver == "auto"
    chosen = asked.ridge is None and isinstance(asked.kind, Family)
    if not chosen and prior not in ("auto", "pooled") and (squares or not (seasonal and is_auto(model.intercept))):
        return True
    summed = squares and model.strategy == "recursive" and model.missing == "raise"
    if not summed or model.past_exog:
        raise looks_at_all(
            model.name, "what is chosen by all series (ridge, prior, intercept) is summed up for least squares alone",
            "mode='open_loop' and model='linear', or a number for ridge= and a prior= that is none of all series, or ",
        )  # fmt: skip
    return False


def _check_pooled(model: NARXForecaster, asked: Asked, told: Settings) -> None:
    """Raise unless one model for all series is least squares of sums over their rows."""
    squares = asked.kind == LINEAR and told.head is None and asked.options.solver == "auto"
    squares = squares and asked.mode in ("open_loop", OpenLoop()) and asked.options.huber is None
    if not squares or model.strategy != "recursive" or model.missing != "raise":
        raise looks_at_all(
            model.name, "one model for all series (scope='global') is a sum over partitions for least squares alone",
            "model='linear' and mode='open_loop', scope='local', or ",
        )  # fmt: skip
    if model.past_exog or model.future_exog or model.static:
        raise looks_at_all(
            model.name, "one model for all series puts inputs on a scale of all their rows", "scope='local', or "
        )
    if any(isinstance(t, Difference) and t.lag >= 2 for t in told.transforms) and is_auto(model.intercept):
        raise looks_at_all(model.name, "intercept='auto' looks at all series", "intercept=True or False, or ")
