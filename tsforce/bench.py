"""Public door to the competition bench: ``run`` scores forecasters the way the M competitions did."""

from tsforce.dynamics.threads import get_threads, set_threads
from tsforce.evaluation.competition import Entry, run
from tsforce.evaluation.ledger import COLUMNS
from tsforce.evaluation.modes import paired_test

__all__ = ["COLUMNS", "Entry", "get_threads", "paired_test", "run", "set_threads"]
