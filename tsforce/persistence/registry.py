"""The closed table of classes that stand in files: nothing else is ever opened by a name in one.

A key is the file and the class, ``transforms.Log``. Files keep the one that they were written with: of a class that has
moved since, the second table says by which key it goes now.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tsforce.errors import PersistenceError

__all__ = ["HOMES", "class_of", "key_of"]

_ROOMS = {
    "tsforce.data.common_scale": "CommonScale",
    "tsforce.data.frequency": "Clock",
    "tsforce.data.inputs": "InputCoder",
    "tsforce.data.panel": "Columns Panel WindowIndex",
    "tsforce.data.transforms": "BoxCox Chain Difference Log MeanScale Standardize",
    "tsforce.dynamics.forcing": "ClosedLoop Curriculum OpenLoop",
    "tsforce.dynamics.heads.gaussian": "Gaussian",
    "tsforce.dynamics.heads.headed": "Headed HeadedWithContext",
    "tsforce.dynamics.heads.negative_binomial": "NegativeBinomial",
    "tsforce.dynamics.heads.quantised": "Quantised",
    "tsforce.dynamics.heads.student_t": "StudentT",
    "tsforce.dynamics.lags": "LagLayout TargetFeature",
    "tsforce.dynamics.models.corrected": "Corrected",
    "tsforce.dynamics.models.each_step": "EachStep",
    "tsforce.dynamics.models.families": "EncoderDecoder GRU LSTM Linear MLP Polynomial",
    "tsforce.dynamics.models.linear": "Linear",
    "tsforce.dynamics.models.mlp": "Perceptron",
    "tsforce.dynamics.models.polynomial": "Polynomial",
    "tsforce.dynamics.models.recurrent": "EncoderDecoder Recurrent",
    "tsforce.dynamics.models.recurrent_cells": "Cell",
    "tsforce.dynamics.policies": (
        "GeneralizedTeacherForcing InputNoise ProfessorForcing Pushforward SparseTeacherForcing TeacherForcingRatio"
    ),
    "tsforce.dynamics.recurrence": "PartialWindow Recurrence",
    "tsforce.dynamics.schedules": "Adaptive Annealed Cosine Cyclic Exponential InverseSigmoid Linear Step",
    "tsforce.dynamics.target_features": (
        "ExpandingMean ExponentiallyWeightedMean RollingMax RollingMean RollingMin RollingQuantile RollingStd "
        "SeasonalRollingMax SeasonalRollingMean SeasonalRollingMin SeasonalRollingQuantile SeasonalRollingStd"
    ),
    "tsforce.dynamics.window_statistics": "_AtLag",
    "tsforce.dynamics.wrappers": "ParallelSampling RollOutLength StepWeights",
    "tsforce.forecasting.adapters": "RegressorModel",
    "tsforce.forecasting.arima": "Arima",
    "tsforce.forecasting.auto.auto_narx": "AutoNARX",
    "tsforce.forecasting.auto.candidate": "Candidate",
    "tsforce.forecasting.auto.trials": "Trial TrialWindows",
    "tsforce.forecasting.baselines": "Baseline",
    "tsforce.forecasting.calibration": "Calibration",
    "tsforce.forecasting.ensemble": "Ensemble",
    "tsforce.forecasting.history_frame": "TrainingHistory",
    "tsforce.forecasting.narx": "NARXForecaster",
    "tsforce.forecasting.rolling": "Rolling",
    "tsforce.forecasting.training_options": "Training",
    "tsforce.identification.record_starts": "Before LearntRecord",
    "tsforce.identification.regressor": "NARXRegressor",
    "tsforce.identification.updating": "Learner",
    "tsforce.smoothing.ces": "ComplexSmoothing",
    "tsforce.smoothing.ets": "Smoothing",
    "tsforce.smoothing.theta": "Theta",
    "tsforce.training.growing": "Growing",
    "tsforce.training.guard": "Guard",
    "tsforce.training.solvers.gram": "Gram",
    "tsforce.training.solvers.priors": "Prior",
    "tsforce.training.solvers.triangle": "Triangle",
    # What a step model of one's own is made of.
    "torch.nn": (
        "Dropout ELU GELU GRUCell Identity LSTMCell LayerNorm LeakyReLU Linear ModuleDict ModuleList ParameterDict "
        "ParameterList RNNCell ReLU Sequential SiLU Sigmoid Softplus Tanh"
    ),
    "lightgbm": "LGBMRegressor",
}
#: Key -> (module, name).
HOMES = {
    f"{module.rpartition('.')[2]}.{name}": (module, name) for module, names in _ROOMS.items() for name in names.split()
}
# What older files call a class that has moved.
_MOVED = {"candidates.Candidate": "candidate.Candidate"}


def class_of(key: Any) -> Any:
    """Return the class of a key.

    Raises
    ------
    PersistenceError
        If the table has no such key.
    """
    if not isinstance(key, str) or _MOVED.get(key, key) not in HOMES:
        raise PersistenceError(f"{key!r} is no class that this version of tsforce reads.")
    module, name = HOMES[_MOVED.get(key, key)]
    return getattr(import_module(module), name)


def key_of(cls: type) -> str | None:
    """Return the key of a class, None if it stands in no table.

    Examples
    --------
    >>> from tsforce import Log
    >>> key_of(Log), key_of(dict)
    ('transforms.Log', None)
    """
    # torch and LightGBM re-export their classes from deeper down.
    top = "torch.nn" if cls.__module__.startswith("torch.nn.") else cls.__module__
    top = "lightgbm" if top.startswith("lightgbm.") else top
    key = f"{top.rpartition('.')[2]}.{cls.__name__}"
    return key if HOMES.get(key) == (top, cls.__name__) and class_of(key) is cls else None
