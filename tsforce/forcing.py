"""Public door to the forcing policies and schedules: what a model is fed back while it learns."""

from tsforce.dynamics.forcing import ClosedLoop, Curriculum, Forcing, Moment, OpenLoop
from tsforce.dynamics.schedules import Cosine, Cyclic, Exponential, InverseSigmoid, Linear, Schedule, Step

__all__ = [
    "ClosedLoop",
    "Cosine",
    "Curriculum",
    "Cyclic",
    "Exponential",
    "Forcing",
    "InverseSigmoid",
    "Linear",
    "Moment",
    "OpenLoop",
    "Schedule",
    "Step",
]
