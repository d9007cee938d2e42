"""Tables for people: formats the frames it is handed, and computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = [
    "METRICS",
    "chaos_table",
    "horizons",
    "intervals",
    "leaderboard",
    "path_scores",
    "scores",
    "show",
    "sysid_table",
    "tell",
]

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

SCORES = """\
All closed loop after each cutoff. Means over series; lower is better.
sMAPE  mean of 200 |y - f| / (|y| + |f|), 0/0 = 0
MASE   mean |y - f| / mean |y[t] - y[t-m]| up to the first cutoff
MAE, RMSE: original units"""

EXPOSURE = """\
RMSE over windows and series, in units of mean |y[t] - y[t-m]| up to the
first cutoff.
closed  forecasts made at the cutoff, fed their own outputs
one-step: at the same targets, if every row before the target is known
gap     closed / one-step: compare it between models, not with 1
naive   the last value before the cutoff repeated"""

INTERVALS = """\
Over all windows and series. width: original units
MSIS   width, and 2 / (1 - level) times what a truth lies outside by, over
       mean |y[t] - y[t-m]| up to the first cutoff; lower is better"""

PATHS = """\
Lower is better. CRPS: original units, to be compared with MAE
scaled CRPS over mean |y[t] - y[t-m]| up to the first cutoff
WQL    pinball losses of nine deciles over the sum of |y|, of all series at once
energy score of whole paths, scaled likewise"""

LEVELS = """\
coverage: share of test values within their bounds. width, and
MSIS   width, and 2 / (1 - level) times what a value lies outside by: means
       over series, in units of the MASE scale; lower is better
level: CPU seconds of calibration and bounds"""

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
# Of each level.
_BOUNDS = (("coverage", "coverage", ".3f"), ("width", "width", ".3f"), ("msis", "MSIS", ".3f"))
_SCORES = (
    ("model", "model", ""),
    ("smape", "sMAPE", ".3f"),
    ("mase", "MASE", ".3f"),
    ("mae", "MAE", ".4g"),
    ("rmse", "RMSE", ".4g"),
    ("n_series", "series", "d"),
    ("n_windows", "windows", "d"),
    ("season_length", "m", "d"),
)
_EXPOSURE = (
    ("model", "model", ""),
    ("horizon", "step", "d"),
    ("rmse_closed", "closed", ".3f"),
    ("rmse_one_step", "one-\nstep", ".3f"),
    ("gap", "gap", ".2f"),
    ("rmse_naive", "naive", ".3f"),
    ("n_windows", "windows", "d"),
)
_STEPS = (("model", "model", ""), ("horizon", "step", "d"), *_SCORES[1:5], ("n_windows", "windows", "d"))
_CHAOS = (
    ("model", "model", ""),
    ("mode", "mode", ""),
    ("seeds", "seeds", "d"),
    ("nrmse", "NRMSE", ".3g"),
    ("nrmse_min", "lowest", ".3g"),
    ("nrmse_max", "highest", ".3g"),
    ("last_tenth", "last", ".3g"),
    ("one_step", "one-\nstep", ".2g"),
    ("gap", "gap", ".3g"),
    ("diverged", "diverged", ".2f"),
    ("clipped", "clipped", ".2f"),
    ("validation", "valid", ".3g"),
    ("seeds_better", "seeds\nbetter", "d"),
    ("p_holm", "p", ".2g"),
    ("fit_cpu_s", "fit", ".1f"),
    ("elsewhere", "elsewhere", ""),
)
_SYSID = (
    ("record", "record", ""),
    ("model", "model", ""),
    ("mode", "mode", ""),
    ("seeds", "seeds", "d"),
    ("rmse", "RMSE", ".3g"),
    ("rmse_min", "lowest", ".3g"),
    ("rmse_max", "highest", ".3g"),
    ("fit", "fit", ".2f"),
    ("one_step", "one-\nstep", ".2g"),
    ("gap", "gap", ".3g"),
    ("root", "root", ".5f"),
    ("diverged", "diverged", "d"),
    ("validation", "valid", ".3g"),
    ("seeds_better", "seeds\nbetter", "d"),
    ("fit_cpu_s", "CPU s", ".1f"),
    ("elsewhere", "elsewhere", ""),
)
_INTERVALS = (
    ("model", "model", ""),
    ("level", "level", "g"),
    ("coverage", "coverage", ".3f"),
    ("first_third", "first\nthird", ".3f"),
    ("second_third", "second\nthird", ".3f"),
    ("last_third", "last\nthird", ".3f"),
    ("width", "width", ".4g"),
    ("msis", "MSIS", ".3f"),
)
_PATHS = (
    ("model", "model", ""),
    ("crps", "CRPS", ".4g"),
    ("crps_scaled", "scaled", ".4f"),
    ("wql", "WQL", ".4f"),
    ("energy", "energy", ".4g"),
)
# More steps than this of each model are no longer read.
_MOST_STEPS = 12


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
    levels = [name.partition("-")[2] for name in frame.columns if name.startswith("coverage-")]
    bounds = [(f"{name}-{one}", f"{one} %\n{heading}", form) for one in levels for name, heading, form in _BOUNDS]
    spent = [("level_cpu_s", "level", ".2f")] if levels else []
    notes = [f"{row['model']} {row['mode']}".strip() + f": {row['status']}" for row in ordered if row["status"] != "ok"]
    shown = [column for column in _COLUMNS if column[0] != "seed" or frame["seed"].notna().any()]
    table = _table(ordered, [*shown, *bounds, *spent])
    table.title, table.caption = Text(title), Text("\n".join([*notes, METRICS, *([LEVELS] if levels else [])]))
    return table


def chaos_table(frame: Any, title: str, notes: Sequence[str]) -> Group:
    """Return the table of the chaos bench on one system, lowest NRMSE first; below it the notes.

    Parameters
    ----------
    frame : DataFrame
        As ``tsforce.bench.summarise_chaos`` returns it, and the column ``elsewhere``.
    title : str
        Which data the rows are about.
    notes : sequence of str
    """
    ordered = frame.sort_values("nrmse", kind="stable", na_position="last").to_dict("records")
    return Group(Text(title), _table(ordered, _CHAOS), Text("\n".join(notes)))


def sysid_table(frame: Any, title: str, notes: Sequence[str]) -> Group:
    """Return the table of the system-identification bench on one set, record by record, lowest RMSE first.

    Parameters
    ----------
    frame : DataFrame
        As ``tsforce.bench.summarise_sysid`` returns it, and the column ``elsewhere``.
    title : str
        Which data the rows are about.
    notes : sequence of str
        Below the table.
    """
    records = {name: place for place, name in enumerate(frame["record"].unique())}
    ordered = frame.assign(place=frame["record"].map(records)).sort_values(
        ["place", "rmse"], kind="stable", na_position="last"
    )
    return Group(Text(title), _table(ordered.to_dict("records"), _SYSID), Text("\n".join(notes)))


def scores(frame: Any, title: str, notes: Sequence[str] = ()) -> Group:
    """Return the table of a backtest, best MASE first; below it the notes, and the definitions of the metrics.

    Parameters
    ----------
    frame : DataFrame
        As from ``BacktestResult.scores()``.
    title : str
        Which data the rows are about.
    notes : sequence of str
        As in ``BacktestResult.notes``.

    Examples
    --------
    >>> from tsforce import Baseline, backtest
    >>> from tsforce.datasets import load
    >>> result = backtest(Baseline("naive"), load("airpassengers"), horizon=12)
    >>> scores(result.scores(), "airpassengers", result.notes).renderables[1].row_count
    1
    """
    ordered = frame.sort_values("mase", kind="stable", na_position="last").to_dict("records")
    unscaled = [
        f"{row['model']}: {row['n_left_out']} series have no scale for MASE: up to the first cutoff they never change "
        f"from season to season."
        for row in ordered
        if row["n_left_out"]
    ]
    return Group(Text(title), _table(ordered, _SCORES), Text("\n".join([*notes, *unscaled, SCORES])))


def intervals(frame: Any) -> Group:
    """Return the table of how often bounds hold, one row per model and level.

    Parameters
    ----------
    frame : DataFrame
        As from ``BacktestResult.intervals()``.

    Examples
    --------
    >>> from tsforce import Baseline, backtest
    >>> from tsforce.datasets import load
    >>> result = backtest(Baseline("naive"), load("airpassengers"), horizon=12, level=[50, 80])
    >>> intervals(result.intervals()).renderables[1].row_count
    2
    """
    table = _table(frame.to_dict("records"), _INTERVALS)
    return Group(Text("\nIntervals: share of truths within, in thirds of the horizon too"), table, Text(INTERVALS))


def path_scores(frame: Any) -> Group:
    """Return the table of the scores of sample paths, best CRPS first.

    Parameters
    ----------
    frame : DataFrame
        As from ``BacktestResult.scores()`` of a backtest with ``n_paths``.

    Examples
    --------
    >>> from tsforce import Baseline, backtest
    >>> from tsforce.datasets import load
    >>> result = backtest(Baseline("naive"), load("airpassengers"), horizon=12, n_paths=20)
    >>> path_scores(result.scores()).renderables[1].row_count
    1
    """
    ordered = frame.sort_values("crps", kind="stable", na_position="last").to_dict("records")
    return Group(Text("\nSample paths"), _table(ordered, _PATHS), Text(PATHS))


def horizons(frame: Any) -> Group:
    """Return the table of the errors at each step; of many steps, some spread evenly, the first and last among them.

    Parameters
    ----------
    frame : DataFrame
        As from ``BacktestResult.exposure()`` or ``by_horizon()``.

    Examples
    --------
    >>> from tsforce import Baseline, backtest
    >>> from tsforce.datasets import load
    >>> result = backtest(Baseline("naive"), load("airpassengers"), horizon=48)
    >>> horizons(result.by_horizon()).renderables[1].row_count
    12
    """
    last = int(frame["horizon"].max())
    many = last > _MOST_STEPS
    shown = {1 + round(k * (last - 1) / (_MOST_STEPS - 1)) for k in range(_MOST_STEPS)} if many else range(1, last + 1)
    exposure = "rmse_closed" in frame
    title = f"Errors at each step after the cutoff{f', {_MOST_STEPS} of {last}' if many else ''}"
    rows = [row for row in frame.to_dict("records") if row["horizon"] in shown]
    table = _table(rows, _EXPOSURE if exposure else _STEPS)
    return Group(Text(f"\n{title}"), table, *([Text(EXPOSURE)] if exposure else []))


def show(table: RenderableType) -> None:
    """Print a table on stdout, never cropped.

    rich crops a table to the terminal; a line that the terminal wraps is ugly, but a figure without its end is wrong.
    """
    console = Console()
    needed = console.measure(table, options=console.options.update(width=1000)).maximum
    console.width = max(console.width, needed)
    console.print(table)


def tell(text: str) -> None:
    """Print paragraphs on stdout below what was printed before, wrapped to the terminal; nothing if there are none."""
    if text:
        Console().print(Text(f"\n{text}"))


def _table(rows: Iterable[Any], columns: Sequence[tuple[str, str, str]]) -> Table:
    table = Table(
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for _, heading, form in columns:
        table.add_column(heading, justify="right" if form else "left", no_wrap=True)
    for row in rows:
        # Text, not str: a message with brackets is no markup.
        table.add_row(*(Text(_cell(row[name], form)) for name, _, form in columns))
    return table


def _cell(value: Any, form: str) -> str:
    if not form:
        return str(value)
    return "-" if value != value or value is None else format(value, form)
