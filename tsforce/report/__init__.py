"""What people look at: tables on the terminal, and pages for the browser."""

from tsforce.report.bench_page import report_bench
from tsforce.report.printed import (
    METRICS,
    chaos_table,
    horizons,
    intervals,
    leaderboard,
    path_scores,
    scores,
    show,
    sysid_table,
    tell,
)

__all__ = [
    "METRICS",
    "chaos_table",
    "horizons",
    "intervals",
    "leaderboard",
    "path_scores",
    "report_bench",
    "scores",
    "show",
    "sysid_table",
    "tell",
]
