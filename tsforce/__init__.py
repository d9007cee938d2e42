"""tsforce: multi-step forecasting with models that are fed their own outputs, judged closed loop.

Public names only; everything else is private. Each is imported on first use, so that a program pays for torch,
scikit-learn and pandas when it first needs them. Doors to more names, opened on first use too: ``tsforce.bench``,
``tsforce.datasets``, ``tsforce.errors``, ``tsforce.forcing``, ``tsforce.lag_transforms``, ``tsforce.models``,
``tsforce.paths``, ``tsforce.plotting``, ``tsforce.sysid``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Type checkers read these lines, and nothing runs them: `_HOMES` says the same, and a test that both agree.
if TYPE_CHECKING:
    from tsforce.data.convert import to_long
    from tsforce.data.fill_gaps import fill_gaps
    from tsforce.data.transforms import BoxCox, Difference, Log, MeanScale, Standardize
    from tsforce.dynamics.forcing import ClosedLoop, Curriculum, OpenLoop
    from tsforce.evaluation.backtest import BacktestResult, backtest
    from tsforce.evaluation.blindness import check_blind
    from tsforce.evaluation.closed_loop_split import ClosedLoopSplit
    from tsforce.evaluation.compare import compare
    from tsforce.evaluation.compare_modes import ModeComparison, compare_modes
    from tsforce.evaluation.tune import tune
    from tsforce.forecasting.auto.auto_narx import AutoNARX
    from tsforce.forecasting.base import Forecaster
    from tsforce.forecasting.baselines import Baseline
    from tsforce.forecasting.ensemble import Ensemble
    from tsforce.forecasting.intervals import Intervals
    from tsforce.forecasting.narx import NARXForecaster
    from tsforce.forecasting.training_options import Training
    from tsforce.identification.regressor import NARXRegressor
    from tsforce.persistence.saved_file import load

__all__ = [
    "AutoNARX",
    "BacktestResult",
    "Baseline",
    "BoxCox",
    "ClosedLoop",
    "ClosedLoopSplit",
    "Curriculum",
    "Difference",
    "Ensemble",
    "Forecaster",
    "Intervals",
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
    "check_blind",
    "compare",
    "compare_modes",
    "fill_gaps",
    "load",
    "to_long",
    "tune",
]

__version__ = "0.1.0.dev0"

_DOORS = ("bench", "datasets", "errors", "forcing", "lag_transforms", "models", "paths", "plotting", "sysid")
_HOMES = {
    "to_long": "tsforce.data.convert",
    "fill_gaps": "tsforce.data.fill_gaps",
    "BoxCox": "tsforce.data.transforms",
    "Difference": "tsforce.data.transforms",
    "Log": "tsforce.data.transforms",
    "MeanScale": "tsforce.data.transforms",
    "Standardize": "tsforce.data.transforms",
    "ClosedLoop": "tsforce.dynamics.forcing",
    "Curriculum": "tsforce.dynamics.forcing",
    "OpenLoop": "tsforce.dynamics.forcing",
    "BacktestResult": "tsforce.evaluation.backtest",
    "backtest": "tsforce.evaluation.backtest",
    "check_blind": "tsforce.evaluation.blindness",
    "ClosedLoopSplit": "tsforce.evaluation.closed_loop_split",
    "compare": "tsforce.evaluation.compare",
    "ModeComparison": "tsforce.evaluation.compare_modes",
    "compare_modes": "tsforce.evaluation.compare_modes",
    "tune": "tsforce.evaluation.tune",
    "AutoNARX": "tsforce.forecasting.auto.auto_narx",
    "Forecaster": "tsforce.forecasting.base",
    "Baseline": "tsforce.forecasting.baselines",
    "Ensemble": "tsforce.forecasting.ensemble",
    "Intervals": "tsforce.forecasting.intervals",
    "NARXForecaster": "tsforce.forecasting.narx",
    "Training": "tsforce.forecasting.training_options",
    "NARXRegressor": "tsforce.identification.regressor",
    "load": "tsforce.persistence.saved_file",
}


def __getattr__(name: str) -> Any:
    """Return a public name or door, which is imported now."""
    if name in _DOORS:
        return import_module(f"tsforce.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'tsforce' has no attribute {name!r}")
    if _HOMES[name].split(".")[1] in ("evaluation", "forecasting", "identification"):
        # First, not nested below our own modules: all public names then take a tenth less to import.
        import_module("sklearn.base")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, *_DOORS])
