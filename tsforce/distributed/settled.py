"""What all partitions must know, and the forecaster of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tsforce.distributed.survey import Survey, model_freq
from tsforce.errors import ArgumentError
from tsforce.forecasting.adapters import check_model
from tsforce.forecasting.arguments import windows_held_out
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.learning import Asked, resolve
from tsforce.forecasting.narx import NARXForecaster
from tsforce.training.problem import Problem

__all__ = ["Settled", "looks_at_all", "problem_of", "with_freq"]


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
    #: What more there is to say of how it was chosen.
    said = ""

    def fit(self, k: int, frame: Any) -> Forecaster:
        """Return the forecaster of the series of partition k."""
        del k
        return self.template.clone_unfitted().fit(frame, mode=self.mode)

    def of(self, k: int) -> Settled:
        """Return what partition k has to know."""
        del k
        return self

    def key(self, k: int) -> str:
        """Return what changes when the forecaster of the same rows does."""
        del k
        return f"{self.template.get_params()!r} {self.mode!r}"


def problem_of(
    model: NARXForecaster, frame: Any, mode: Any, n_together: int | None = None
) -> tuple[Asked, Any, Problem]:
    """Return what is asked of a forecaster, the panel of a frame, and what is to be learnt of it.

    Settings that are chosen now are chosen for so many series together, those of other frames too.
    """
    asked = resolve(model, check_model(model.model), mode, windows_held_out)
    panel, problem = model._build(frame, asked)
    return asked, panel, replace(problem, n_together=n_together or problem.n_together)


def with_freq(model: Forecaster, found: Survey) -> Forecaster:
    """Return a forecaster like a given one that goes by the clock of all series."""
    template = model.clone_unfitted()
    if model_freq(model) == "infer" and "freq" in template.get_params(deep=False):
        template.set_params(freq=found.clock.freq)
    return template


def looks_at_all(name: str, why: str, instead: str) -> ArgumentError:
    """Return the error of what cannot be learnt from partitions one at a time."""
    return ArgumentError(
        f"{name}: {why}, and partitions are seen one at a time. Use {instead}a choice in each partition by itself: "
        f"fit(ParquetFolder('folder', choices='partition')), from tsforce.distributed."
    )
