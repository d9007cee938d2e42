"""Public door to the data sets: packaged series, the M3 and M4 competitions, simulated and measured systems."""

from tsforce.data.chaotic_systems import CHAOS_SYSTEMS, ChaosSystem, load_chaos
from tsforce.data.datasets import Competition, load, load_competition
from tsforce.data.measured_systems import SYSID_SETS, SysidSet, load_sysid

__all__ = [
    "CHAOS_SYSTEMS",
    "SYSID_SETS",
    "ChaosSystem",
    "Competition",
    "SysidSet",
    "load",
    "load_chaos",
    "load_competition",
    "load_sysid",
]
