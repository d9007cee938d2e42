"""The page of a bench: who is best, and what that costs."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from tsforce.notebook import paragraphs
from tsforce.report.page import chart, check_path, page, rounded, section, wide_table
from tsforce.report.printed import LEVELS, METRICS

__all__ = ["report_bench"]

_HEADINGS = {
    "model": "model", "mode": "mode", "seed": "seed", "owa": "OWA", "smape": "sMAPE", "mase": "MASE",
    "one_step": "one step", "gap": "gap", "fit_cpu_s": "fit, CPU s", "predict_cpu_s": "forecast, CPU s",
}  # fmt: skip


def report_bench(rows: Any, path: Any, *, title: str) -> Path:
    """Write the page of a bench on one set of a competition.

    Parameters
    ----------
    rows : DataFrame
        As ``tsforce.bench.run`` returns them.
    path : str or Path
        Where to; ends in .html. A file that is there is replaced.
    title : str
        Which data the rows are about.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If the path does not end in .html, or there is no such folder.
    MissingExtraError
        If plotly is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from tsforce import Baseline
    >>> from tsforce.bench import run
    >>> from tsforce.datasets import load_competition
    >>> rows = run(load_competition("m3", "other"), [("naive", Baseline("naive"))])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report_bench(rows, Path(folder) / "m3.html", title="M3 other").name
    'm3.html'
    """
    where = check_path(path)
    ordered = rows.sort_values("owa", kind="stable", na_position="last")
    good = ordered[ordered["owa"].notna()]
    names = [f"{row.model} {row.mode}".strip() for row in good.itertuples()]
    spent = good["fit_cpu_s"] + good["predict_cpu_s"]
    data = {
        "models": list(dict.fromkeys(names)),
        "bench": {"of": names, "owa": rounded(good["owa"], 6), "cpu": rounded(spent, 4)},
    }
    said = [f"{row.model} {row.mode}".strip() + f": {row.status}" for row in ordered.itertuples() if row.status != "ok"]
    levels = [name.partition("-")[2] for name in rows.columns if name.startswith("coverage-")]
    bounds = {f"{name}-{one}": f"{name} {one} %" for one in levels for name in ("coverage", "width", "msis")}
    seeds = rows["seed"].notna().any()
    headings = {name: words for name, words in _HEADINGS.items() if seeds or name != "seed"} | bounds
    board = wide_table(ordered.to_dict("records"), headings)
    defined = escape("\n".join([METRICS, *([LEVELS] if levels else [])]))
    defined = f'<div class="wide" tabindex="0" role="group" aria-label="definitions"><pre>{defined}</pre></div>'
    sections = {
        "models|Models": section("models", "Which model", board, paragraphs(said), defined),
        "owa|OWA": section("owa", "How far apart", chart("owa", "OWA of each run, the best at the top; 1 is Naive2")),
        "cost|Cost": section(
            "cost", "What it costs", chart("cost", "OWA over the CPU seconds of fit and forecast: low and left is good")
        ),
    }
    where.write_text(page(title, [_lead(names)], sections, data), encoding="utf-8")
    return where


def _lead(names: list[str]) -> str:
    best = f"Lowest OWA: {names[0]}. " if names else ""
    return f"{best}Forecasts of the official test rows, closed loop: nothing after the training rows is known to them."
