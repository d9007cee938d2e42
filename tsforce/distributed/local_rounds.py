"""A linear map for each series, whose ridge and prior all series have a say in: what partitions tell adds up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
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
from tsforce.training.solvers.tried import decide

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

    def key(self, k: int) -> str:
        """Return what changes when the forecaster of the same rows does."""
        told = hashlib.sha256()
        if self.ridge is not None:
            told.update(self.ridge[k].tobytes())
        if self.prior is not None and self.prior.common is not None:
            told.update(self.prior.common.numpy().tobytes() + repr(self.prior.drift).encode())
        return f"{super().key(k)} {told.hexdigest()}"


def settle_local(template: NARXForecaster, mode: Any, data: Partitions, found: Survey) -> Settled:
    """Return the maps of all partitions, once all of them were asked what the choices are made by.

    Up to two rounds over the data: what teaches a prior that looks at all series, and the errors of candidates.
    """
    asked = resolve(template, check_model(template.model), mode, windows_held_out)
    chooses = asked.ridge is None
    prior, before = _taught(template, mode, data, found, chooses)
    if not chooses:
        return LocalMaps(template, mode, prior)
    tried = {}
    for k in found.going:
        with found.failing(k):
            _, _, problem = problem_of(template.clone_unfitted(), data.frame(k), mode)
            problem = replace(problem, prior=before or problem.prior)
            tried[k], _ = try_ridges(problem, lambda part, learnt, ridges: list(fit_maps(part, learnt, ridges)))
    ridges = decide(list(tried.values()))
    return LocalMaps(template, mode, prior, dict(zip(tried, ridges, strict=True)))


def _taught(
    template: NARXForecaster, mode: Any, data: Partitions, found: Survey, chooses: bool
) -> tuple[Prior | None, Prior | None]:
    """Return the prior that the rows of all series teach, and those before the windows that a ridge is chosen by."""
    whole, before, prior = [], [], None
    for k in found.going:
        with found.failing(k):
            _, _, problem = problem_of(template.clone_unfitted(), data.frame(k), mode)
            prior = problem.prior
            if prior is None or not prior.looks_at_all:
                return None, None
            whole.append(told_to_prior_of(problem, problem.learn(problem.panel.lengths)))
            part = trial_part(problem)
            if chooses and np.any(problem.n_windows(1)):
                before.append(told_to_prior_of(part, part.learn(trial_stops(part))))
    if prior is None:
        return None, None
    return prior.taught(whole), prior.taught(before) if before else None
