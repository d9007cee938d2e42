"""Tables for people: formats the frames it is handed, and computes nothing."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

__all__ = ["METRICS", "leaderboard"]

METRICS = """\
All closed loop after the last training row. Means over series of:
sMAPE  mean of 200 |y - f| / (|y| + |f|), 0/0 = 0
MASE   mean |y - f| / in-sample mean |y[t] - y[t-m]|
OWA    (sMAPE / Naive2's sMAPE + MASE / Naive2's MASE) / 2, taken once over
       the whole set; lower is better
one-step: the MASE at the same targets if every row before the target is known
gap    MASE / one-step
fit, predict: CPU seconds from frame to frame. MB: peak of the process so far.
A row without seed is of a deterministic model, run once."""

# Column of the frame, its heading, and how a number is written.
_COLUMNS = (
    ("model", "model", ""),
    ("mode", "mode", ""),
    ("seed", "seed", "d"),
    ("smape", "sMAPE", ".3f"),
    ("mase", "MASE", ".3f"),
    ("owa", "OWA", ".4f"),
    ("one_step", "one-\nstep", ".3f"),
    ("gap", "gap", ".2f"),
    ("fit_cpu_s", "fit", ".2f"),
    ("predict_cpu_s", "predict", ".2f"),
    ("peak_mb", "MB", ".0f"),
)


def leaderboard(frame: Any, title: str) -> Table:
    """Return the table of a bench, best OWA first and failed rows last; below it every status that is not plain "ok",
    and the definitions of the metrics.

    Parameters
    ----------
    frame : DataFrame
        As ``tsforce.bench.run`` returns it.
    title : str
        Which data the rows are about.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.bench import run
    >>> from tsforce.datasets import load_competition
    >>> table = leaderboard(run(load_competition("m3", "other"), [("naive", Baseline("naive"))]), "m3 other")
    >>> table.row_count, str(table.title)
    (1, 'm3 other')
    """
    ordered = frame.sort_values("owa", kind="stable", na_position="last").to_dict("records")
    notes = [f"{row['model']} {row['mode']}".strip() + f": {row['status']}" for row in ordered if row["status"] != "ok"]
    # Text, not str: a message with brackets is no markup.
    table = Table(
        title=Text(title),
        caption=Text("\n".join([*notes, METRICS])),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    shown = [column for column in _COLUMNS if column[0] != "seed" or frame["seed"].notna().any()]
    for _, heading, form in shown:
        table.add_column(heading, justify="right" if form else "left", no_wrap=True)
    for row in ordered:
        table.add_row(*(Text(_cell(row[name], form)) for name, _, form in shown))
    return table


def _cell(value: Any, form: str) -> str:
    if not form:
        return str(value)
    return "-" if value != value or value is None else format(value, form)
