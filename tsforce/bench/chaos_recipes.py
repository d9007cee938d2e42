"""The models of the chaos bench: what each is made of on every system; what was chosen, on validation windows.

Lags, widths and steps are here and nowhere else. Everything is handed to the models scaled, so that none of them
transforms or scales by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tsforce.dynamics.forcing import Curriculum
from tsforce.dynamics.models.families import GRU, MLP
from tsforce.errors import check_choice
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.baselines import Baseline
from tsforce.forecasting.narx import NARXForecaster
from tsforce.forecasting.training_options import Training

__all__ = ["CHAOS_MODELS", "CHAOS_MODES", "ChaosModel", "chaos_models"]

CHAOS_MODES: dict[str, Any] = {
    "open_loop": "open_loop",
    "closed_loop": "closed_loop",
    "curriculum": "curriculum",
    "curriculum_increasing": Curriculum(direction="increasing"),
}
CHAOS_MODELS = ("last_value", "training_mean", "linear", "quadratic", "polynomial", "mlp", "gru")


class ChaosModel(NamedTuple):
    """How a model of the bench is made.

    Attributes
    ----------
    make : function (horizon, targets, time_limit) -> Forecaster or None
        None: the training mean, which in scaled units is zero.
    modes : tuple of str, optional
        The modes that it has rows for; None: those that are asked for.
    rows : int, optional
        Training rows that it learns from, the same number of each trajectory; None: all.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.bench import ChaosModel
    >>> def drift(horizon, targets, time_limit):
    ...     return Baseline("drift", horizon=horizon, target_col=list(targets))
    >>> ChaosModel(drift, modes=("",)).make(10, ("x", "y"), None).horizon
    10
    """

    make: Callable[[int, tuple[str, ...], float | None], Forecaster | None]
    modes: tuple[str, ...] | None = None
    rows: int | None = None


# Of the linear floor and the quadratic one: lags, penalty per row, rows.
_LINEAR: dict[str, tuple[int, float]] = {
    "mackeyglass": (24, 1e-10),
    "mackeyglass-dde": (24, 1e-10),
    "lorenz96": (4, 1e-6),
}
_QUADRATIC: dict[str, tuple[int, float, int]] = {
    "mackeyglass": (20, 1e-10, 100_000),
    "mackeyglass-dde": (20, 1e-10, 100_000),
    "lorenz96": (1, 1e-6, 20_000),
}
# Lags and degree of the simplest polynomial that does best.
_POLYNOMIAL: dict[str, tuple[Any, int]] = {
    "lorenz": (2, 2), "roessler": (1, 4), "hyperroessler": (1, 3), "thomas": (1, 5),
    "mackeyglass": ([1, 18], 5), "mackeyglass-dde": (20, 2), "lorenz96": (1, 2),
}  # fmt: skip

# Lags of a perceptron that sees the first variable alone: enough of them to tell the others, and none that say the same
# again, which in closed loop diverges (Lorenz: 1 4 8 .023 on validation windows, 1 2 4 8 12 5.9).
_FIRST: dict[str, Any] = {
    "lorenz": [1, 4, 8], "roessler": [1, 3, 6], "hyperroessler": [1, 4, 8, 12], "thomas": [1, 5, 10], "lorenz96": 6,
}  # fmt: skip
# And of one that sees all of them with noise on, which several lags average out (Lorenz, open loop: 3 .029, 1 .069).
_NOISY: dict[str, Any] = {
    "mackeyglass": [1, 2, 3, 17, 18, 19],
    "mackeyglass-dde": [1, 2, 3, 17, 18, 19],
    "lorenz96": 1,
}


def chaos_models(
    system: str, names: Sequence[str] = CHAOS_MODELS, *, observe: str = "all", noise: float = 0.0
) -> dict[str, ChaosModel]:
    """Return some models of the bench for a system.

    Raises
    ------
    ArgumentError
        If a name is not known, with the accepted ones.

    Examples
    --------
    >>> from tsforce.bench import chaos_models
    >>> models = chaos_models("lorenz", ("last_value", "mlp"))
    >>> models["mlp"].make(110, ("x", "y", "z"), None).lags
    1
    """
    for name in names:
        check_choice("models", name, CHAOS_MODELS)
    return {name: _model(name, system, observe, noise) for name in dict.fromkeys(names)}


def _model(name: str, system: str, observe: str, noise: float) -> ChaosModel:
    if name == "last_value":
        return ChaosModel(
            lambda horizon, targets, limit: Baseline("naive", horizon=horizon, target_col=_col(targets)), ("",)
        )
    if name == "training_mean":
        return ChaosModel(lambda horizon, targets, limit: None, ("",))
    if name == "linear":
        lags, penalty = _LINEAR.get(system, (10, 1e-10))
        return ChaosModel(_narx(lags, model="linear", ridge=penalty * 500_000), ("open_loop",))
    if name == "quadratic":
        lags, penalty, rows = _QUADRATIC.get(system, (2, 1e-10, 100_000))
        return ChaosModel(_narx(lags, polynomial=(2, penalty * rows)), ("open_loop",), rows)
    if name == "polynomial":
        lags, degree = _POLYNOMIAL[system]
        return ChaosModel(
            _narx(lags, polynomial=(degree, 1e-10 * 60_000 if system == "lorenz" else 0.0)), ("open_loop",), 60_000
        )
    if name == "gru":
        # What the lags of a perceptron would show, the state has to take in: a short context where all is seen.
        context = 20 if observe == "all" and not noise and not system.startswith("mackeyglass") else 60
        return ChaosModel(_narx(1, model=GRU(32), context_length=context))
    own_lags = _lags(system, observe, noise)
    if system == "lorenz96" and observe == "all":
        # 40 variables: thousands of weights, too many for Levenberg-Marquardt's matrix of all pairs.
        return ChaosModel(_narx(own_lags, model=MLP((128,), "tanh"), max_steps=3000, ridge=1e-6))
    return ChaosModel(_narx(own_lags, model=MLP((32,), "tanh"), solver="levenberg_marquardt", ridge=1e-6))


def _lags(system: str, observe: str, noise: float) -> Any:
    if observe == "first" and system in _FIRST:
        return _FIRST[system]
    if noise:
        return _NOISY.get(system, 3)
    return [1, 18] if system.startswith("mackeyglass") else 1


def _col(targets: tuple[str, ...]) -> Any:
    return targets[0] if len(targets) == 1 else list(targets)


def _narx(lags: Any, *, polynomial: tuple[int, float] | None = None, solver: str = "auto", **settings: Any) -> Any:
    def make(horizon: int, targets: tuple[str, ...], limit: float | None) -> Forecaster:
        own = dict(settings)
        by_gradient = isinstance(own.get("model"), (MLP, GRU))
        own["training"] = Training(solver=solver, validation=False, time_limit=limit if by_gradient else None)
        if polynomial is not None:
            own["model"] = _polynomial(*polynomial)
        # Systems as they are: nothing is left to settings that look at the data.
        plain = {"scope": "global", "window_scaling": None, "target_transforms": (), "prior": "zero"}
        return NARXForecaster(horizon, lags, target_col=_col(targets), **plain | own)

    return make


def _polynomial(degree: int, ridge: float) -> Any:
    from sklearn.linear_model import LinearRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    features = PolynomialFeatures(degree, include_bias=False)
    return make_pipeline(
        features, StandardScaler(), Ridge(alpha=ridge, solver="cholesky") if ridge else LinearRegression()
    )
