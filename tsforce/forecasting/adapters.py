"""Any regressor with fit and predict as a step model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import FAMILIES, Family
from tsforce.errors import ArgumentError, check_choice

__all__ = ["RegressorModel", "check_model"]


def check_model(model: Any) -> Any:
    """Return a family of step models, looked up where it is a name, or an estimator that can be fitted on rows.

    Raises
    ------
    ArgumentError
        With what is accepted.
    """
    if isinstance(model, type):
        raise ArgumentError(f"model={model.__name__} is a class; write {model.__name__}().")
    if hasattr(model, "predict_at"):
        raise ArgumentError(
            f"model={type(model).__name__}(...) is a forecaster itself; expected the one-step map inside one. "
            f"Forecasters are combined by Ensemble."
        )
    if all(callable(getattr(model, name, None)) for name in ("fit", "predict", "get_params")):
        return model
    if isinstance(model, Family):
        return model
    if isinstance(model, str):
        return FAMILIES[check_choice("model", model, tuple(FAMILIES))]
    raise ArgumentError(
        f"model={model!r}: expected {', '.join(map(repr, FAMILIES))}, a family of tsforce.models such as "
        f"MLP(hidden=(32,)), or a scikit-learn regressor such as HistGradientBoostingRegressor()."
    )


class RegressorModel:
    """One-step map made of scikit-learn regressors, one for each of G groups and, within it, each group of steps.

    Parameters
    ----------
    layout : LagLayout
    regressor : estimator
        Never fitted itself; clones of it are.
    seed : int
        For every ``random_state`` of the regressor that is None.
    fitted : sequence of G * S estimators
        Those of the first group, one for each of S groups of steps, then of the next; empty before `fit_rows`.

    Notes
    -----
    One call of ``predict`` per group and step, for all windows at once.
    """

    def __init__(self, layout: LagLayout, regressor: Any, seed: int = 0, fitted: Sequence[Any] = ()) -> None:
        self.layout = layout
        self.regressor = regressor
        self.seed = seed
        self.fitted = list(fitted)

    def fit_rows(self, rows: Sequence[tuple[Any, Any]]) -> Self:
        """Return the model fitted afresh on (x, y) of each group: (rows, D) and (rows, C), model units."""
        blank = clone(self.regressor)
        loose = [k for k, v in blank.get_params().items() if k.rpartition("__")[2] == "random_state" and v is None]
        blank.set_params(**dict.fromkeys(loose, self.seed))
        return self._with([f for x, y in rows for f in self._fit_group(blank, x, y)])

    def _fit_group(self, blank: Any, x: Any, y: Any) -> list[Any]:
        """Return a regressor for each group of steps; where there is no row, that of the group before it."""
        fitted: list[Any] = []
        for inputs, here in self._by_steps(x):
            if fitted and not here.any():
                fitted.append(fitted[-1])
            else:
                own = y[here]
                fitted.append(clone(blank).fit(inputs[here], own[:, 0] if own.shape[1] == 1 else own))
        return fitted

    def _by_steps(self, x: Any) -> Iterator[tuple[Any, Any]]:
        """Yield for each group of steps what regressors read of lag vectors (n, D), and which are of it, (n,)."""
        if not self.layout.known_until:
            yield x, np.ones(len(x), dtype=bool)
            return
        columns = x.shape[1] - self.layout.n_step_groups
        for indicator in x[:, columns:].T:
            yield x[:, :columns], indicator > 0

    def _with(self, fitted: Sequence[Any]) -> Self:
        return type(self)(self.layout, self.regressor, self.seed, fitted)

    def init_state(self, past: Tensor) -> None:
        """A regressor has no state."""
        del past

    def step(self, x: Tensor, state: None) -> tuple[Tensor, None]:
        """Return the output (G, B, C, 1) for lag vectors `x` (G, B, D)."""
        rows = x.numpy(force=True)
        outputs = np.full((*x.shape[:2], len(self.layout.channels)), np.nan)
        # Where an input is not known, nor is the output: some regressors would refuse such a row, others answer it.
        known = np.isfinite(rows).all(axis=2)
        models = iter(self.fitted)
        for own, part, finite in zip(outputs, rows, known, strict=True):
            for f, (inputs, of_steps) in zip(
                islice(models, self.layout.n_step_groups), self._by_steps(part), strict=True
            ):
                here = finite & of_steps
                if here.any():
                    own[here] = np.asarray(f.predict(inputs[here]), dtype=np.float64).reshape(-1, own.shape[1])
        return torch.from_numpy(outputs[..., None]).to(x.device), state

    def groups(self, chosen: Tensor) -> Self:
        """Return the model of some groups."""
        steps = self.layout.n_step_groups
        return self._with([f for g in chosen for f in self.fitted[int(g) * steps : (int(g) + 1) * steps]])

    def join(self, parts: Sequence[Self]) -> Self:
        """Return a model of the groups of several."""
        return self._with([f for part in parts for f in part.fitted])
