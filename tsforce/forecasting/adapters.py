"""Any regressor with fit and predict as a step model."""

from __future__ import annotations

from collections.abc import Sequence
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
    """One-step map made of scikit-learn regressors, one for each of G groups.

    Parameters
    ----------
    layout : LagLayout
    regressor : estimator
        Never fitted itself; clones of it are.
    seed : int
        For every ``random_state`` of the regressor that is None.
    fitted : sequence of estimators
        One per group; empty before `fit_rows`.

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
        return self._with([clone(blank).fit(x, y[:, 0] if y.shape[1] == 1 else y) for x, y in rows])

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
        for f, own, part, here in zip(self.fitted, outputs, rows, known, strict=True):
            if here.any():
                own[here] = np.asarray(f.predict(part[here]), dtype=np.float64).reshape(-1, own.shape[1])
        return torch.from_numpy(outputs[..., None]).to(x.device), state

    def groups(self, chosen: Tensor) -> Self:
        """Return the model of some groups."""
        return self._with([self.fitted[int(g)] for g in chosen])

    def join(self, parts: Sequence[Self]) -> Self:
        """Return a model of the groups of several."""
        return self._with([f for part in parts for f in part.fitted])
