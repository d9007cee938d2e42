"""tsforce: multi-step forecasting with models that are fed their own outputs, judged closed loop.

Public names only; everything else is private. ``tsforce.datasets`` and ``tsforce.forcing`` are doors to more of them.
"""

# First, not nested below our own modules: importing scipy.stats from deep inside an import costs half as much again.
import sklearn.base  # noqa: F401

from tsforce.data.convert import to_long
from tsforce.data.gaps import fill_gaps
from tsforce.data.transforms import BoxCox, Difference, Log, MeanScale, Standardize
from tsforce.dynamics.forcing import ClosedLoop, Curriculum, OpenLoop
from tsforce.evaluation.backtest import BacktestResult, backtest
from tsforce.evaluation.compare import compare
from tsforce.evaluation.modes import ModeComparison, compare_modes
from tsforce.evaluation.split import ClosedLoopSplit
from tsforce.evaluation.tune import tune
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.baselines import Baseline
from tsforce.forecasting.ensemble import Ensemble
from tsforce.forecasting.narx import NARXForecaster
from tsforce.forecasting.regressor import NARXRegressor

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
    "__version__",
    "backtest",
    "compare",
    "compare_modes",
    "fill_gaps",
    "to_long",
    "tune",
]

__version__ = "0.1.0.dev0"
