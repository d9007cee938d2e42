"""The models of the system-identification bench: what each is made of on every set, and how it is trained.

Whatever was chosen for a set is in the table below and nowhere else; it was chosen on training rows alone
(``tsforce bench sysid --held-out``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin

from tsforce.dynamics.models.families import GRU, MLP, Polynomial
from tsforce.errors import check_choice
from tsforce.forecasting.training_options import Training
from tsforce.identification.regressor import NARXRegressor

__all__ = ["SYSID_FLOOR_MODELS", "SYSID_MODELS", "SYSID_MODES", "Configuration", "SysidModel", "sysid_models"]

FloatArray = npt.NDArray[np.float64]

SYSID_MODES = ("open_loop", "closed_loop", "curriculum")
SYSID_FLOOR_MODELS = ("training_mean", "arx", "arx_cubic", "replay")
SYSID_MODELS = ("linear", "polynomial", "mlp", "gru")
# Lags of the two floors of least squares.
_FLOOR_LAGS = 10


@dataclass(frozen=True)
class Configuration:
    """The arguments of ``NARXRegressor`` for one model on one set; `by_mode` holds what one mode has otherwise."""

    model: Any
    output_lags: Any = 10
    input_lags: Any = 10
    input_delay: int = 0
    horizon: int | str = "auto"
    ridge: float | str = 0.0
    loss: str = "auto"
    max_steps: int | None = None
    training: Training = field(default_factory=Training)
    by_mode: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def regressor(self, mode: str, *, time_limit: float | None = None, random_state: int = 0) -> NARXRegressor:
        """Return the regressor of a mode, not fitted."""
        own = replace(self, **self.by_mode.get(mode, {}))
        own = replace(own, training=replace(own.training, time_limit=time_limit))
        given = {one.name: getattr(own, one.name) for one in fields(own) if one.name != "by_mode"}
        return NARXRegressor(mode=mode, random_state=random_state, **given)


# What holds where the table has nothing else to say.
_DEFAULTS: dict[str, Configuration] = {
    "linear": Configuration("linear", horizon=100),
    "polynomial": Configuration(Polynomial(degree=3), output_lags=5, input_lags=5, horizon=100),
    "mlp": Configuration(MLP((16,), "tanh"), horizon=100, ridge=1e-6),
    "gru": Configuration(GRU(16), output_lags=1, input_lags=2),
}
# By set; lags, terms, units and horizons were looked at on held-out stretches of the training records.
_CHOSEN: dict[str, dict[str, Configuration]] = {
    # Five lags and 20 terms: .24 mV, ten and 30: .23 (closed loop).
    "silverbox": {"polynomial": Configuration(Polynomial(3, n_terms=30), horizon=100)},
    # One stretch in five holds one of the two overflows: networks see too few, and are worse than ten terms.
    "cascaded-tanks": {
        "polynomial": Configuration(Polynomial(3, n_terms=10), output_lags=2, input_lags=[1, 2], horizon=100),
        "mlp": Configuration(MLP((6,), "tanh"), output_lags=4, input_lags=[1, 2, 4], horizon=100, ridge=1e-6),
    },
    "bouc-wen": {"polynomial": Configuration(Polynomial(3, n_terms=40), output_lags=5, input_lags=5, horizon=100)},
    # It drifts for seconds: roll-outs of a third of a second at 1 kHz.
    "emps": {
        "linear": Configuration("linear", output_lags=4, input_lags=4, horizon=300),
        "polynomial": Configuration(Polynomial(3, n_terms=10), output_lags=3, input_lags=3, horizon=300),
        "mlp": Configuration(MLP((8,), "tanh"), output_lags=3, input_lags=3, horizon=300, ridge=1e-6),
    },
    "daisy-exchanger": {"mlp": Configuration(MLP((8,), "tanh"), horizon=50, ridge=1e-6)},
    "daisy-robot-arm": {
        "polynomial": Configuration(Polynomial(2, n_terms=20), horizon=50),
        "mlp": Configuration(MLP((8,), "tanh"), horizon=50, ridge=1e-6),
    },
    # Roll-outs of 50 steps leave a root outside the unit circle, 120 and more do not.
    "daisy-ball-beam": {
        "linear": Configuration("linear", horizon=200),
        "polynomial": Configuration(Polynomial(3, n_terms=12), output_lags=2, input_lags=2, horizon=120),
        "mlp": Configuration(MLP((6,), "tanh"), output_lags=2, input_lags=2, horizon=200, ridge=1e-6),
    },
}


class SysidModel(NamedTuple):
    """How a model of the bench is made.

    Attributes
    ----------
    make : function (mode, seed, time_limit) -> Simulator
        Not fitted.
    modes : tuple of str or None
        The modes that it has rows for; None: those that are asked for.
    draws : function (mode) -> bool
        Whether a fit in a mode depends on the seed.

    Examples
    --------
    >>> from tsforce import NARXRegressor
    >>> from tsforce.bench import SysidModel
    >>> three = SysidModel(lambda mode, seed, limit: NARXRegressor(3, 3, mode=mode), None, lambda mode: False)
    >>> three.make("open_loop", 0, None).output_lags
    3
    """

    make: Callable[[str, int, float | None], Any]
    modes: tuple[str, ...] | None
    draws: Callable[[str], bool]


def sysid_models(name: str, n: int, models: Sequence[str] = SYSID_MODELS) -> dict[str, SysidModel]:
    """Return some models of the bench, or floors of it, for a set that is simulated from row n on.

    Raises
    ------
    ArgumentError
        If a model is not known, with the accepted ones.

    Examples
    --------
    >>> from tsforce.bench import sysid_models
    >>> models = sysid_models("cascaded-tanks", 5, ("linear", "mlp"))
    >>> models["linear"].make("closed_loop", 0, None).output_lags  # no more than the outputs that are known
    5
    """
    for one in models:
        check_choice("models", one, (*SYSID_MODELS, *SYSID_FLOOR_MODELS))
    return {one: _model(one, name, n) for one in dict.fromkeys(models)}


def _model(model: str, name: str, n: int) -> SysidModel:
    if model in SYSID_FLOOR_MODELS:
        modes = ("open_loop",) if model.startswith("arx") else ("",)
        return SysidModel(lambda mode, seed, limit: _floor(model, n), modes, lambda mode: False)
    chosen = _CHOSEN.get(name, {}).get(model, _DEFAULTS[model])
    if isinstance(chosen.output_lags, int) and chosen.output_lags > n:
        # No more lags than outputs that are known.
        chosen = replace(chosen, output_lags=n, input_lags=n)

    def make(mode: str, seed: int, limit: float | None) -> NARXRegressor:
        return chosen.regressor(mode, time_limit=limit, random_state=seed)

    return SysidModel(make, None, lambda mode: bool(chosen.regressor(mode).depends_on_seed()))


def _floor(model: str, n: int) -> Any:
    if model in ("training_mean", "replay"):
        return TrainingOutput(replay=model == "replay")
    # No more lags than outputs that are known.
    lags = min(_FLOOR_LAGS, n)
    learnt = LeastSquares(powers_of=lags - 1 if model == "arx_cubic" else None)
    return NARXRegressor(lags, lags, model=learnt, mode="open_loop", training=Training(validation=False))


class LeastSquares(RegressorMixin, BaseEstimator):
    """Ordinary least squares with an intercept; if asked, on the square and the cube of one column, too.

    On rows, not on their moments: the lags of a slow system are too much alike for those. scikit-learn's own looks at
    its input for longer than a step takes, and a record has a hundred thousand of them.

    Parameters
    ----------
    powers_of : int or None
    """

    def __init__(self, powers_of: int | None = None) -> None:
        self.powers_of = powers_of

    def fit(self, X: FloatArray, y: FloatArray) -> Self:
        """Learn from rows (R, D) and their outputs (R,)."""
        columns = self._columns(X)
        weights = np.linalg.lstsq(np.column_stack([columns, np.ones(len(X))]), y, rcond=None)[0]
        self.coef_, self.intercept_ = weights[:-1], weights[-1]
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Return the outputs of rows, (R,)."""
        found: FloatArray = self._columns(X) @ self.coef_ + self.intercept_
        return found

    def _columns(self, X: FloatArray) -> FloatArray:
        if self.powers_of is None:
            return X
        chosen = X[:, self.powers_of, None]
        return np.concatenate([X, chosen**2, chosen**3], axis=1)


class TrainingOutput:
    """The output of the training record as a simulation, whatever the input: its mean, or itself once more.

    A set on which the second does well says little of a model: its test record repeats the training record.

    Parameters
    ----------
    replay : bool
    """

    def __init__(self, *, replay: bool = False) -> None:
        self.replay = replay

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, as scikit-learn's estimators do."""
        del deep
        return {"replay": self.replay}

    def fit(self, X: Any, y: Any, session_sizes: Any = None, *, mode: Any = None) -> Self:
        """Keep what is repeated."""
        del X, session_sizes, mode
        self.output_ = np.array(y, dtype=np.float64) if self.replay else np.full(1, np.mean(y))
        return self

    def predict(self, X: Any, y_init: Any = None) -> FloatArray:
        """Return it for every row of X; where the record is over, its last value."""
        del y_init
        return self.output_[np.minimum(np.arange(len(X)), len(self.output_) - 1)]

    def one_step(self, X: Any, y: Any) -> FloatArray:
        """Return the same."""
        del y
        return self.predict(X)
