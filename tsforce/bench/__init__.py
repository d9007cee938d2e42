"""Public door to the competition bench: ``run`` scores forecasters the way the M competitions did."""

from tsforce.bench.chaos_bench import CHAOS_COLUMNS, run_chaos, summarise_chaos, write_chaos_summary
from tsforce.bench.chaos_recipes import CHAOS_MODELS, CHAOS_MODES, ChaosModel, chaos_models
from tsforce.bench.chaos_task import CHAOS_SCORES, FLOORS, PUBLISHED, ChaosTask
from tsforce.bench.competition import Entry, run
from tsforce.bench.ledger import COLUMNS
from tsforce.bench.mode_bench import MODES, TestSet, is_done, run_mode, table_of, write_tests
from tsforce.bench.mode_recipes import MODE_SETS
from tsforce.bench.sysid_bench import SYSID_COLUMNS, run_sysid, summarise_sysid, write_sysid_summary
from tsforce.bench.sysid_recipes import SYSID_MODELS, SYSID_MODES, SysidModel, sysid_models
from tsforce.bench.sysid_task import SYSID_FLOORS, SYSID_REFERENCES, SYSID_SCORES, SysidTask, check_floors
from tsforce.dynamics.threads import get_threads, set_threads
from tsforce.evaluation.compare_modes import paired_test

__all__ = [
    "CHAOS_COLUMNS",
    "CHAOS_MODELS",
    "CHAOS_MODES",
    "CHAOS_SCORES",
    "COLUMNS",
    "FLOORS",
    "MODES",
    "MODE_SETS",
    "PUBLISHED",
    "SYSID_COLUMNS",
    "SYSID_FLOORS",
    "SYSID_MODELS",
    "SYSID_MODES",
    "SYSID_REFERENCES",
    "SYSID_SCORES",
    "ChaosModel",
    "ChaosTask",
    "Entry",
    "SysidModel",
    "SysidTask",
    "TestSet",
    "chaos_models",
    "check_floors",
    "get_threads",
    "is_done",
    "paired_test",
    "run",
    "run_chaos",
    "run_mode",
    "run_sysid",
    "set_threads",
    "summarise_chaos",
    "summarise_sysid",
    "sysid_models",
    "table_of",
    "write_chaos_summary",
    "write_sysid_summary",
    "write_tests",
]
