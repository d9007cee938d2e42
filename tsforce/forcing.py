"""Public door to the forcing policies: what a model is fed back while it learns."""

from tsforce.dynamics.forcing import ClosedLoop, Forcing, OpenLoop

__all__ = ["ClosedLoop", "Forcing", "OpenLoop"]
