"""Public door to the data sets: ``load`` for packaged series, ``load_competition`` for M3 and M4, ``load_chaos``."""

from tsforce.data.chaos import CHAOS_SYSTEMS, ChaosSystem, load_chaos
from tsforce.data.datasets import Competition, load, load_competition

__all__ = ["CHAOS_SYSTEMS", "ChaosSystem", "Competition", "load", "load_chaos", "load_competition"]
