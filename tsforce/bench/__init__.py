"""Public door to the benches.

``run`` scores forecasters the way the M competitions did; ``run_mode`` the same models trained in every mode, on the
same test sets; ``run_chaos`` forecasts of chaotic systems; ``run_sysid`` simulations of measured systems.
"""

from tsforce.bench.chaos_bench import CHAOS_COLUMNS, run_chaos, summarise_chaos, write_chaos_summary
from tsforce.bench.chaos_recipes import CHAOS_MODELS, CHAOS_MODES, ChaosModel, chaos_models
from tsforce.bench.chaos_task import CHAOS_SCORES, ChaosTask
from tsforce.bench.competition import COMPETITION_COLUMNS, Entry, run
from tsforce.bench.known_figures import CHAOS_FLOORS, CHAOS_PUBLISHED, SYSID_FLOORS, SYSID_REFERENCES, check_floors
from tsforce.bench.mode_bench import COMPARED_MODES, ModeTask, has_mode_row, mode_table, run_mode, write_mode_tests
from tsforce.bench.mode_blocks import BLOCKS, Block
from tsforce.bench.mode_recipes import MODE_SETS, blocks_of
from tsforce.bench.sysid_bench import SYSID_COLUMNS, run_sysid, summarise_sysid, write_sysid_summary
from tsforce.bench.sysid_recipes import SYSID_MODELS, SYSID_MODES, SysidModel, sysid_models
from tsforce.bench.sysid_task import SYSID_SCORES, SysidTask
from tsforce.dynamics.threads import get_threads, set_threads
from tsforce.evaluation.paired import paired_test

__all__ = [
    "BLOCKS",
    "CHAOS_COLUMNS",
    "CHAOS_FLOORS",
    "CHAOS_MODELS",
    "CHAOS_MODES",
    "CHAOS_PUBLISHED",
    "CHAOS_SCORES",
    "COMPARED_MODES",
    "COMPETITION_COLUMNS",
    "MODE_SETS",
    "SYSID_COLUMNS",
    "SYSID_FLOORS",
    "SYSID_MODELS",
    "SYSID_MODES",
    "SYSID_REFERENCES",
    "SYSID_SCORES",
    "Block",
    "ChaosModel",
    "ChaosTask",
    "Entry",
    "ModeTask",
    "SysidModel",
    "SysidTask",
    "blocks_of",
    "chaos_models",
    "check_floors",
    "get_threads",
    "has_mode_row",
    "mode_table",
    "paired_test",
    "run",
    "run_chaos",
    "run_mode",
    "run_sysid",
    "set_threads",
    "summarise_chaos",
    "summarise_sysid",
    "sysid_models",
    "write_chaos_summary",
    "write_mode_tests",
    "write_sysid_summary",
]
