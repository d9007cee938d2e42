"""Public door to the forcing policies and schedules: what a model is fed back while it learns."""

from tsforce.dynamics.forcing import ClosedLoop, Curriculum, Forcing, Moment, OpenLoop
from tsforce.dynamics.policies import (
    GeneralizedTeacherForcing,
    InputNoise,
    Pushforward,
    RollOutLength,
    SparseTeacherForcing,
    TeacherForcingRatio,
)
from tsforce.dynamics.schedules import Cosine, Cyclic, Exponential, InverseSigmoid, Linear, Schedule, Step

__all__ = [
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
    "Pushforward",
    "RollOutLength",
    "Schedule",
    "SparseTeacherForcing",
    "Step",
    "TeacherForcingRatio",
]
