"""What all partitions must know before each can be learnt by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tsforce.data.transforms import Difference
from tsforce.distributed.partitions import Partitions
from tsforce.distributed.survey import Survey, model_freq
from tsforce.dynamics.models.families import Family
from tsforce.errors import ArgumentError
from tsforce.forecasting.adapters import check_model
from tsforce.forecasting.arguments import windows_held_out
from tsforce.forecasting.automatic import is_auto
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.learning import Asked, resolve
from tsforce.forecasting.narx import NARXForecaster
from tsforce.forecasting.settings import Settings, settings_for
from tsforce.training.fit import LINEAR

__all__ = ["Settled", "settle"]


@dataclass(frozen=True, eq=False)
class Settled:
    """A forecaster with nothing left to choose by other partitions than its own.

    Attributes
    ----------
    template : Forecaster
        Not fitted; what was chosen on all partitions stands in its parameters.
    mode : str, Forcing or None
        As given to ``fit``.
    """

    template: Forecaster
    mode: Any = None

    def fit(self, k: int, frame: Any) -> Forecaster:
        """Return the forecaster of the series of partition k."""
        del k
        return self.template.clone_unfitted().fit(frame, mode=self.mode)

    def key(self, k: int) -> str:
        """Return what changes when the forecaster of the same rows does."""
        del k
        return f"{self.template.get_params()!r} {self.mode!r}"


def settle(model: Forecaster, mode: Any, data: Partitions, found: Survey) -> Settled:
    """Return what all partitions must know of a forecaster.

    Raises
    ------
    ArgumentError
        If it would have to see all series at once.
    """
    if data.choices == "partition" or model._series_apart:
        return Settled(_with_freq(model, found), mode)
    if not isinstance(model, NARXForecaster):
        raise _looks_at_all(model.name, f"a {type(model).__name__} chooses by all series", "")
    asked = resolve(model, check_model(model.model), mode, windows_held_out)
    told = settings_for(model, found.panel, asked)
    _check_apart(model, asked, told)
    return Settled(_with_settings(model, told, found), mode)


def _with_freq(model: Forecaster, found: Survey) -> Forecaster:
    template = model.clone_unfitted()
    if model_freq(model) == "infer" and "freq" in template.get_params(deep=False):
        template.set_params(freq=found.clock.freq)
    return template


def _with_settings(model: NARXForecaster, told: Settings, found: Survey) -> NARXForecaster:
    """Return a forecaster like a given one that says what all series have told."""
    template = model.clone_unfitted()
    template.set_params(scope="global" if told.pooled else "local", freq=found.clock.freq)
    if is_auto(model.lags):
        template.set_params(lags=list(told.lags))
    return template


def _check_apart(model: NARXForecaster, asked: Asked, told: Settings) -> None:
    """Raise unless each series is learnt from its own rows alone."""
    name = model.name
    if told.pooled:
        raise _looks_at_all(name, "one model learns from all series (scope='global')", "scope='local', or ")
    if asked.ridge is None and (asked.kind == LINEAR or isinstance(asked.kind, Family)):
        raise _looks_at_all(name, "ridge='auto' looks at all series", "a number for ridge=, or ")
    if model.prior == "pooled" or (is_auto(model.prior) and asked.ridge is None):
        raise _looks_at_all(name, f"prior={model.prior!r} looks at all series", "another prior=, or ")
    seasonal = any(isinstance(t, Difference) and t.lag >= 2 for t in told.transforms)
    if seasonal and is_auto(model.intercept) and asked.mode != "open_loop":
        raise _looks_at_all(name, "intercept='auto' looks at all series", "intercept=True, or ")


def _looks_at_all(name: str, why: str, instead: str) -> ArgumentError:
    return ArgumentError(
        f"{name}: {why}, and partitions are seen one at a time. Use {instead}a choice in each partition by itself: "
        f"fit(ParquetFolder('folder', choices='partition')), from tsforce.distributed."
    )


def as_bytes(values: Any) -> bytes:
    """Return the bytes of an array, for keys."""
    return np.ascontiguousarray(values).tobytes()
