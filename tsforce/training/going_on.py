"""Models that go on learning from more rows, everything that was chosen staying as it was."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tsforce.dynamics.draws import key_of
from tsforce.dynamics.forcing import ClosedLoop, Forcing, OpenLoop
from tsforce.dynamics.models.families import Family, Polynomial
from tsforce.training.by_gradient import Phase, train_phase, warm_start
from tsforce.training.fit import LINEAR, PRESETS, Options
from tsforce.training.history import History
from tsforce.training.problem import Learnt, Problem
from tsforce.training.solvers import gradient
from tsforce.training.solvers.looks import Watch
from tsforce.training.solvers.terms import select_terms

__all__ = ["STEPS", "few_steps", "is_least_squares", "same_choices"]

# Steps of an update, and the share of a fit's learning rate at which they are taken.
STEPS, _RATE = 20, 0.1


def same_choices(problem: Problem, learnt: Learnt, kind: Family, ridge: npt.NDArray[np.float64], model: Any) -> Any:
    """Return the least-squares model of a problem's rows with the ridge, and the terms, of an earlier one.

    Parameters
    ----------
    problem, learnt : Problem, Learnt
    kind : Family
        Whose models have a closed form.
    ridge : (S,) float64
    model : StepModel
        The earlier one.
    """
    if isinstance(kind, Polynomial):
        found: Any = select_terms(problem, learnt, ridge, kind, model)
    else:
        found = warm_start(problem, learnt, ridge)
    return found.to(next(model.parameters()).dtype)


def few_steps(
    problem: Problem,
    learnt: Learnt,
    kind: Family,
    model: Any,
    mode: str | Forcing,
    kept: list[str],
    options: Options,
    steps: int,
) -> Any:
    """Return a copy of a model after some steps of AdamW from where it is, on windows of a problem's rows.

    Parameters
    ----------
    problem, learnt : Problem, Learnt
    kind : Family
    model : nn.Module
    mode : str or Forcing
        That it was trained in.
    kept : list of str
        For each group the mode whose weights were kept; a group of a closed form that kept open loop stays as it is.
    options : Options
    steps : int
    """
    still = kind.closed_form and problem.head is None and not isinstance(mode, Forcing)
    learns = np.array([not (still and name == "open_loop") for name in kept])
    forcing: Forcing = mode if isinstance(mode, Forcing) else OpenLoop()
    if not isinstance(mode, Forcing) and any(name != "open_loop" for name in kept):
        # A curriculum ends closed loop, and that is where it goes on.
        forcing = ClosedLoop()
    options = replace(options, solver="adamw", max_steps=steps, penalty=0.0)
    settings = options.settings(kind, problem.pooled, forcing, problem.head)
    assert isinstance(settings, gradient.Settings)
    settings = replace(settings, learning_rate=_RATE * settings.learning_rate)
    ids = ["all"] if problem.pooled else [str(name) for name in problem.panel.id_list]
    # New draws at each number of rows: windows are not those of the fit again.
    rows = int(problem.panel.lengths.sum())
    keys = torch.tensor([key_of(options.random_state, "update", rows, name) for name in ids], dtype=torch.int64)
    found = deepcopy(model)
    for parameter in found.parameters():
        parameter.requires_grad_(True)
    watch = Watch(History(""), "update", stop_at=np.where(learns, steps, 0))
    train_phase(problem, learnt, found, Phase(forcing, settings, "update"), keys, watch)
    for new, old in zip(found.parameters(), model.parameters(), strict=True):
        new.requires_grad_(old.requires_grad)
    return found


def is_least_squares(kind: Any, mode: str | Forcing, kept: list[str]) -> bool:
    """Return whether the weights of every group are the closed form of one-step rows."""
    if not (isinstance(kind, Family) and kind.closed_form and all(name == "open_loop" for name in kept)):
        return False
    forcing = PRESETS.get(mode) if isinstance(mode, str) else mode
    return forcing is None or forcing == OpenLoop() or kind == LINEAR
