"""A linear map for each series, whose ridge and prior all series have a say in: what partitions tell adds up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tsforce.data.panel import FloatArray
from tsforce.distributed.partitions import Partitions
from tsforce.distributed.settled import Settled, problem_of
from tsforce.distributed.survey import Survey
from tsforce.forecasting.adapters import check_model
from tsforce.forecasting.arguments import windows_held_out
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.learning import learn, resolve
from tsforce.forecasting.narx import NARXForecaster
from tsforce.training.solvers.maps import fit_maps, told_to_prior_of
from tsforce.training.solvers.priors import Prior
from tsforce.training.solvers.ridge import trial_part, trial_stops, try_ridges
from tsforce.training.solvers.tried import Tried, decide

__all__ = ["settle_local"]


@dataclass(frozen=True, eq=False)
class LocalMaps(Settled):
    """Maps whose ridges and prior were chosen on all partitions.

    Attributes
    ----------
    prior : Prior or None
        That all series have taught; None: the template's own.
    ridge : dict of int -> (S,) float64, or None
        Of the series of each partition; None: the template's.
    """

    prior: Prior | None = None
    ridge: dict[int, FloatArray] | None = None

    def fit(self, k: int, frame: Any) -> Forecaster:
        """Return the forecaster of the series of partition k."""
        model = self.template.clone_unfitted()
        assert isinstance(model, NARXForecaster)
        asked, panel, problem = problem_of(model, frame, self.mode)
        if self.ridge is not None:
            asked = replace(asked, ridge=self.ridge[k])
        problem = replace(problem, prior=self.prior or problem.prior)
        model._store(panel, problem, asked, learn(problem, asked, name=model.name, verbose=False))
        return model

    def of(self, k: int) -> LocalMaps:
        """Return what partition k has to know."""
        return self if self.ridge is None else replace(self, ridge={k: self.ridge[k]})

    def key(self, k: int) -> str:
        """Return what changes when the forecaster of the same rows does."""
        told = hashlib.sha256()
        if self.ridge is not None and k in self.ridge:
            told.update(self.ridge[k].tobytes())
        if self.prior is not None and self.prior.common is not None:
            told.update(self.prior.common.numpy().tobytes() + repr(self.prior.drift).encode())
        return f"{super().key(k)} {told.hexdigest()}"


def settle_local(template: NARXForecaster, mode: Any, data: Partitions, found: Survey, looks: bool) -> Settled:
    """Return the maps of all partitions, once all of them were asked what the choices are made by.

    Up to two rounds over the data: what teaches a prior that looks at all series (where it `looks`), and the errors of
    candidates.
    """
    asked = resolve(template, check_model(template.model), mode, windows_held_out)
    chooses = asked.ridge is None
    prior, before = _taught(template, mode, data, found, chooses, looks)
    if not chooses:
        return LocalMaps(template, mode, prior)
    tried = found.ask(data, partial(_tried, template, mode, found.panel.n_series, before))
    ridges = decide(list(tried.values()))
    return LocalMaps(template, mode, prior, dict(zip(tried, ridges, strict=True)))


def _taught(
    template: NARXForecaster, mode: Any, data: Partitions, found: Survey, chooses: bool, looks: bool
) -> tuple[Prior | None, Prior | None]:
    """Return the prior that the rows of all series teach, and those before the windows that a ridge is chosen by."""
    if not looks:
        return None, None
    told = list(found.ask(data, partial(_told, template, mode, found.panel.n_series, chooses)).values())
    prior = told[0][0]
    before = [part for _, _, part in told if part is not None]
    return prior.taught([whole for _, whole, _ in told]), prior.taught(before) if before else None


def _told(template: NARXForecaster, mode: Any, n_together: int, chooses: bool, frame: Any) -> tuple[Prior, Any, Any]:
    """Return the prior of a partition, and what its rows tell it: all, and those before the windows."""
    _, _, problem = problem_of(template.clone_unfitted(), frame, mode, n_together)
    prior, part, before = problem.prior, trial_part(problem), None
    assert prior is not None
    if chooses and np.any(problem.n_windows(1)):
        before = told_to_prior_of(part, part.learn(trial_stops(part)))
    return prior, told_to_prior_of(problem, problem.learn(problem.panel.lengths)), before


def _tried(template: NARXForecaster, mode: Any, n_together: int, prior: Prior | None, frame: Any) -> Tried:
    """Return what candidates come to on the series of a partition."""
    _, _, problem = problem_of(template.clone_unfitted(), frame, mode, n_together)
    problem = replace(problem, prior=prior or problem.prior)
    return try_ridges(problem, lambda part, learnt, ridges: list(fit_maps(part, learnt, ridges)))[0]
