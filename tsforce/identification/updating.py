"""Least squares that goes on: what was learnt from all rows so far, to which later ones are added."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from tsforce.data.panel import Panel
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.models.families import FAMILIES, Family
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.polynomial import Polynomial
from tsforce.errors import ArgumentError
from tsforce.forecasting.rolling import Rolling
from tsforce.identification.record_starts import Before, LearntRecord
from tsforce.identification.records import record_panel
from tsforce.identification.sessions import Given
from tsforce.training.guard import Guard
from tsforce.training.solvers.lag_rows import chunks_of_rows
from tsforce.training.solvers.triangle import Triangle

__all__ = ["HasUpdate", "Learner"]


def _has_least_squares(estimator: Any) -> bool:
    """Return whether a regressor's model has a closed form, which rows can be added to."""
    kind = FAMILIES.get(estimator.model) if isinstance(estimator.model, str) else estimator.model
    return isinstance(kind, Family) and kind.closed_form


class HasUpdate:
    """The part of NARXRegressor that takes in later rows."""

    model_: Any
    _learner_: Learner | None
    _learnt_: LearntRecord | None
    _rolling_: Rolling

    def update(self, X: Any, y: Any, session_sizes: Any = None, *, sessions: Any = None) -> Self:
        """Take in rows that came after those learnt from, without a look at these: least squares on all of them.

        Weights are those of a fit on all rows with the same terms, in the units of the first fit (``y_mean_``,
        ``y_scale_``), which for a linear model at ``ridge=0`` is any fit on all rows.

        Parameters
        ----------
        X : array-like, (n, F), or a list of them, or (S, n, F)
        y : array-like, (n,) or (n, C), or a list of them
        session_sizes, sessions : optional
            As in `fit`, of new records; so are those of a list. By default the rows go on where the record ended that
            was learnt from, and their lags reach back into it; where there were several records, they are one more.

        Returns
        -------
        NARXRegressor
            Itself.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If the model is no linear map or polynomial whose weights are least squares: those that were trained on
            their own outputs or with ``loss="huber"``, networks and regressors are fitted again.

        Examples
        --------
        >>> import numpy as np
        >>> from tsforce import NARXRegressor
        >>> u = np.random.default_rng(0).normal(size=(300, 1))
        >>> y = np.append(0.0, 0.5 * u[:-1, 0]) + np.random.default_rng(1).normal(size=300)
        >>> model = NARXRegressor(1, 1, input_delay=1, mode="open_loop").fit(u[:200], y[:200])
        >>> at_once = NARXRegressor(1, 1, input_delay=1, mode="open_loop").fit(u, y)
        >>> model.update(u[200:], y[200:]).equation() == at_once.equation()
        True
        """
        check_is_fitted(self, "model_")
        if self._learner_ is None:
            raise ArgumentError(
                "update takes in rows for linear models and polynomials in mode='open_loop' (or kept so by 'auto'), "
                "whose weights are least squares; this model was trained otherwise. Fit it again: fit(X_all, y_all)."
            )
        given = Given.of(X, y, session_sizes, sessions)
        X, targets, sizes = self._both("update(X, y, session_sizes=session_sizes)", given)  # type: ignore[attr-defined]
        rolling = self._rolling_
        learnt, self._learnt_ = self._learnt_, None
        if given.session_sizes is None and given.sessions is None and learnt is not None:
            end = learnt.end
            X, targets = np.concatenate([end.inputs, X]), np.concatenate([end.outputs, targets])
            sizes = np.array([len(X)])
            self._learnt_ = replace(learnt, digest="", end=Before(*(part[-len(end.inputs) :] for part in (X, targets))))
        layout = self.model_.layout
        scaled = (targets - self.y_mean_) / self.y_scale_  # type: ignore[attr-defined]
        panel = record_panel(X, scaled, sizes, tuple(name for name, _ in layout.future_exog), layout.channels)
        self.model_ = self._learner_.add(rolling, panel)
        new = Guard.learn(
            _store(rolling, panel), np.arange(len(sizes)), sizes, pooled=True, factor=rolling.guard.factor
        )
        guard = rolling.guard.joined(new.take(np.zeros(1, dtype=np.int64)))
        self._rolling_ = replace(rolling, model=self.model_, guard=guard)
        return self

    @available_if(_has_least_squares)
    def partial_fit(self, X: Any, y: Any, session_sizes: Any = None, *, sessions: Any = None) -> Self:
        """Learn from rows as they come: the first time as `fit` does, later on as `update` does.

        scikit-learn's name for it, of linear models and polynomials alone. What is chosen is chosen by the rows of the
        first call, and stays.

        Parameters
        ----------
        X, y, session_sizes, sessions
            As in `update`.

        Returns
        -------
        NARXRegressor
            Itself.

        Raises
        ------
        ArgumentError
            As from `fit` and `update`.

        Examples
        --------
        >>> import numpy as np
        >>> from tsforce import NARXRegressor
        >>> u = np.random.default_rng(0).normal(size=(300, 1))
        >>> y = np.append(0.0, 0.5 * u[:-1, 0])
        >>> model = NARXRegressor(1, 1, input_delay=1, mode="open_loop")
        >>> for rows in (slice(0, 100), slice(100, 200), slice(200, 300)):
        ...     _ = model.partial_fit(u[rows], y[rows])
        >>> bool(model.score(u, y) > 0.99)
        True
        """
        if not hasattr(self, "model_"):
            return self.fit(X, y, session_sizes, sessions=sessions)  # type: ignore[attr-defined,no-any-return]
        return self.update(X, y, session_sizes, sessions=sessions)


class Learner:
    """The rows that a linear map or polynomial of one group was fitted to by least squares, as a triangle.

    Its size is that of the terms squared, however many rows it stands for.

    Parameters
    ----------
    rolling : Rolling
        With the model, and how inputs are read.
    panel : Panel
        The records that were learnt from, in model units.
    ridge : float
    """

    def __init__(self, rolling: Rolling, panel: Panel, ridge: float) -> None:
        self.ridge = ridge
        model = rolling.model
        width, channels = model.weight.shape[1:]
        ones, zeros = model.weight.new_ones(width), model.weight.new_zeros
        self._triangle = Triangle(_rows(rolling, panel), zeros(width), ones, zeros(channels), intercept=True)

    @staticmethod
    def of(rolling: Rolling, panel: Panel, ridge: float, kept_mode: str, squares: bool) -> Learner | None:
        """Return what goes on learning for a fitted model; None unless it is the least-squares solution of its rows."""
        exact = isinstance(rolling.model, (Linear, Polynomial)) and rolling.model.weight.dtype == torch.float64
        return Learner(rolling, panel, ridge) if exact and kept_mode == "open_loop" and squares else None

    def add(self, rolling: Rolling, panel: Panel) -> Any:
        """Return the model of all rows, those of `panel` included: its terms as they were, its weights anew."""
        model = rolling.model
        self._triangle.add(_rows(rolling, panel))
        ((weight, bias),) = self._triangle.solve([self.ridge], again=True)
        if isinstance(model, Polynomial):
            return Polynomial(model.layout, model.indices, weight[None], bias[None])
        return Linear(model.layout, weight[None], bias[None])


def _store(rolling: Rolling, panel: Panel) -> SeriesStore:
    """Return records as the model reads them."""
    every = np.zeros(panel.n_series, dtype=np.int64)
    coder = None if rolling.coder is None else rolling.coder.take(every)
    return SeriesStore(panel, rolling.chain.take(every), None, rolling.context_length, None, coder)


def _rows(rolling: Rolling, panel: Panel) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield terms (n, K) and targets (n, C) of every row whose lags are all in its record, some at a time."""
    model, every = rolling.model, np.arange(panel.n_series)
    for x, y in chunks_of_rows(_store(rolling, panel), every, panel.lengths, model.layout, 1):
        yield (model.monomials(x) if isinstance(model, Polynomial) else x)[0], y[0]
