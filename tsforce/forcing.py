"""Public door to the forcing policies and schedules: what a model is fed back while it learns."""

from tsforce.dynamics.forcing import ClosedLoop, Curriculum, Forcing, Moment, OpenLoop
from tsforce.dynamics.policies import (
    GeneralizedTeacherForcing,
    InputNoise,
    ProfessorForcing,
    Pushforward,
    SparseTeacherForcing,
    TeacherForcingRatio,
)
from tsforce.dynamics.schedules import (
    Adaptive,
    Annealed,
    Cosine,
    Cyclic,
    Exponential,
    InverseSigmoid,
    Linear,
    Schedule,
    Step,
)
from tsforce.dynamics.wrappers import ParallelSampling, RollOutLength, StepWeights

__all__ = [
    "Adaptive",
    "Annealed",
    "ClosedLoop",
    "Cosine",
    "Curriculum",
    "Cyclic",
    "Exponential",
    "Forcing",
    "GeneralizedTeacherForcing",
    "InputNoise",
    "InverseSigmoid",
    "Linear",
    "Moment",
    "OpenLoop",
    "ParallelSampling",
    "ProfessorForcing",
    "Pushforward",
    "RollOutLength",
    "Schedule",
    "SparseTeacherForcing",
    "Step",
    "StepWeights",
    "TeacherForcingRatio",
]
