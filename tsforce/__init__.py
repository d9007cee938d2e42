"""tsforce: multi-step forecasting with models that are fed their own outputs, judged closed loop.

Public names only; everything else is private. Doors to more of them, opened on first use: ``tsforce.bench``,
``tsforce.datasets``, ``tsforce.errors``, ``tsforce.forcing``, ``tsforce.models``, ``tsforce.plotting``,
``tsforce.sysid``.
"""

from importlib import import_module
from typing import Any

# First, not nested below our own modules: importing scipy.stats from deep inside an import costs half as much again.
import sklearn.base  # noqa: F401

from tsforce.data.convert import to_long
from tsforce.data.fill_gaps import fill_gaps
from tsforce.data.transforms import BoxCox, Difference, Log, MeanScale, Standardize
from tsforce.dynamics.forcing import ClosedLoop, Curriculum, OpenLoop
from tsforce.evaluation.backtest import BacktestResult, backtest
from tsforce.evaluation.closed_loop_split import ClosedLoopSplit
from tsforce.evaluation.compare import compare
from tsforce.evaluation.compare_modes import ModeComparison, compare_modes
from tsforce.evaluation.tune import tune
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.baselines import Baseline
from tsforce.forecasting.ensemble import Ensemble
from tsforce.forecasting.narx import NARXForecaster
from tsforce.forecasting.training_options import Training
from tsforce.identification.regressor import NARXRegressor

__all__ = [
    "BacktestResult",
    "Baseline",
    "BoxCox",
    "ClosedLoop",
    "ClosedLoopSplit",
    "Curriculum",
    "Difference",
    "Ensemble",
    "Forecaster",
    "Log",
    "MeanScale",
    "ModeComparison",
    "NARXForecaster",
    "NARXRegressor",
    "OpenLoop",
    "Standardize",
    "Training",
    "__version__",
    "backtest",
    "compare",
    "compare_modes",
    "fill_gaps",
    "to_long",
    "tune",
]

__version__ = "0.1.0.dev0"

_DOORS = ("bench", "datasets", "errors", "forcing", "models", "plotting", "sysid")


def __getattr__(name: str) -> Any:
    """Return a public door, which is imported now: ``import tsforce`` alone must not pay for the benches."""
    if name in _DOORS:
        return import_module(f"tsforce.{name}")
    raise AttributeError(f"module 'tsforce' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_DOORS])
