"""The page of a fitted forecaster: its forecast of every series, what it has learnt, and why it chose what it chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tsforce.evaluation.seen_series import Ahead, see_series
from tsforce.report.page import (
    MOST_SERIES,
    ROOM,
    check_path,
    page,
    rounded,
    section,
    series_browser,
    wide_table,
)

__all__ = ["add_reasons", "reasons_of", "report_forecast"]

# Of the candidates that are heard for a series.
_MOST_HEARD = 8
_BOARD = {
    "candidate": "candidate",
    "family": "family",
    "error": "error",
    "weight": "weight",
    "n_series": "series",
    "cpu_seconds": "CPU s",
    "status": "status",
}
_TRIED = (
    "Each candidate was fitted on the rows before the last cutoffs inside the data and forecast what followed. Error: "
    "relative to the reference (1). Weight: its share in the weighted mean of the middle half of all candidates, which "
    "is the forecast."
)


def report_forecast(
    model: Any, path: Any, *, horizon: int | None, future_df: Any, level: Any, title: str | None = None
) -> Path:
    """Write the page of a fitted forecaster; what its method ``report`` calls.

    Parameters
    ----------
    model : Forecaster
    path : str or Path
    horizon, future_df, level, title
        As in the method.
    """
    where = check_path(path)
    forecast = model.predict(horizon, future_df=future_df, level=level)
    panel = model._rows_to_show()
    index = panel.last_rows()
    targets = panel.columns.targets
    column = model.name if len(targets) == 1 else f"{model.name}-{targets[0]}"
    steps = len(forecast) // panel.n_series

    def values(name: str) -> Any:
        return forecast[name].to_numpy().reshape(panel.n_series, steps, 1)

    start = f"{column}-lo-"
    levels = [float(name.removeprefix(start)) for name in map(str, forecast.columns) if name.startswith(start)]
    bounds = [(own, values(f"{column}-lo-{own:g}"), values(f"{column}-hi-{own:g}")) for own in levels]
    reasons = reasons_of(model, panel.id_list)
    yhat = values(column)
    # Without a trial there is no error to put series in order by.
    errors = yhat[:, 0].T * float("nan")
    if reasons is not None:
        errors = reasons.weighed[None]
    seen = see_series(
        panel, index, [Ahead(yhat, bounds)], errors,
        channel=0, order=errors[0], most=MOST_SERIES, room=ROOM, horizon=steps,
    )  # fmt: skip
    data: dict[str, Any] = {
        "models": [model.name],
        "metric": None if reasons is None else "error on trial",
        "target": targets[0],
        "time": panel.columns.time,
        "first": 0,
        "second": 0,
        "stamps": seen.stamps,
        "series": seen.entries,
        "levels": seen.levels,
    }
    words = f"{len(seen.entries)} of {seen.n_all} series" + (
        f", spread evenly over all. Shown is the target {targets[0]}." if len(targets) > 1 else "."
    )
    sections = {}
    if reasons is not None:
        add_reasons(data, seen.entries, reasons, [entry["at"] for entry in seen.entries], model.name)
        words += " Error on trial: of what is heard, weighed, relative to the reference."
        sections["tried|Candidates"] = section(
            "tried", "What was tried", f"<p>{_TRIED}</p>", wide_table(model.leaderboard_.to_dict("records"), _BOARD)
        )
    browser = series_browser(words, fan=bool(levels), why=reasons is not None, errors=data["metric"])
    sections = {"series|Series": section("series", "Series by series", browser), **sections}
    sections["model|Model"] = section("model", "The model", model._as_html())
    lead = [f"{model.name}: {steps} steps after the last row of {panel.n_series} series, frequency {panel.clock.freq}."]
    intervals = [
        f"Intervals of {own} %: {said}." for own, said in getattr(forecast, "attrs", {}).get("intervals", {}).items()
    ]
    text = page(title or f"Forecast: {model.name}", [*lead, *intervals], sections, data)
    where.write_text(text, encoding="utf-8")
    return where


def reasons_of(model: Any, ids: list[Any]) -> Any:
    """Return why a forecaster forecasts some series as it does, as ``Reasons``; None of one that does not choose."""
    return model._reasons(ids) if hasattr(model, "_reasons") else None


def add_reasons(
    data: dict[str, Any], entries: list[dict[str, Any]], reasons: Any, places: list[int], name: str
) -> None:
    """Add to each series the candidates that are heard for it, the loudest first.

    Parameters
    ----------
    data : dict
        Gets ``candidates``, ``reference`` and ``chooser``.
    entries : list of dict
        As in ``SeenSeries``; each gets ``why``: rows of candidate, error, weight.
    reasons : Reasons
    places : list of int
        Where each entry's series stands in `reasons`.
    name : str
        Of the forecaster.
    """
    data |= {"candidates": reasons.candidates, "reference": reasons.reference, "chooser": name}
    for entry, place in zip(entries, places, strict=True):
        weight, error = reasons.weights[:, place], reasons.errors[:, place]
        heard = sorted((k for k in range(len(weight)) if weight[k] > 0), key=lambda k: -weight[k])
        most = heard[:_MOST_HEARD]
        entry["why"] = [list(why) for why in zip(most, rounded(error[most], 4), rounded(weight[most], 4), strict=True)]
        entry["heard"] = len(heard)
