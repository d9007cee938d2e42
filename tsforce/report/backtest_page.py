"""The page of a backtest: who is best, where errors grow, and every series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tsforce.notebook import paragraphs
from tsforce.report.forecast_page import add_reasons, reasons_of
from tsforce.report.page import (
    MOST_SERIES,
    ROOM,
    chart,
    check_path,
    page,
    rounded,
    section,
    series_browser,
    wide_table,
)

__all__ = ["report_backtest"]

_NAMES = {"mase": "MASE", "smape": "sMAPE", "mae": "MAE", "rmse": "RMSE", "crps": "CRPS", "wql": "WQL"}
_DEFINED = (
    "All forecasts are closed loop: nothing after a cutoff is known to them. Errors are means over series; lower is "
    "better. sMAPE: mean of 200 |y - f| / (|y| + |f|). MASE: mean |y - f| over the mean |y[t] - y[t-m]| up to the "
    "first cutoff. MAE, RMSE: original units."
)
_DIFFERENCES = (
    "Differences: of each model minus the first, pair by pair; the median, the interval of 95 % that the test allows, "
    "and p of Wilcoxon's paired test (Holm: corrected for the number of models)."
)


def report_backtest(result: Any, path: Any, *, title: str | None = None, target: str) -> Path:
    """Write the page of a ``BacktestResult``; what its method ``report`` calls.

    Parameters
    ----------
    result : BacktestResult
    path : str or Path
    title : str, optional
    target : str
        Of several, the one that is shown series by series.
    """
    where = check_path(path)
    scores = result.scores()
    metric = "mase" if scores["mase"].notna().any() else "mae"
    called = _NAMES[metric]
    ranking = result.ranking(metric)
    models = scores["model"].tolist()
    first = models.index(ranking["model"].iloc[0])
    second = models.index(ranking["model"].iloc[1]) if len(models) > 1 else first
    seen = result._seen(metric, models[first], target, MOST_SERIES, ROOM)
    steps, by_cutoff, exposure = result.by_horizon(), result.scores(by="cutoff"), result.exposure()
    data: dict[str, Any] = {
        "models": models,
        "metric": called,
        "target": target,
        "time": result._panel.columns.time,
        "first": first,
        "second": second,
        "stamps": seen.stamps,
        "series": seen.entries,
        "levels": seen.levels,
        "steps": [rounded(own[metric], 6) for _, own in _each(steps, models)],
        "cutoffs": _cutoffs(by_cutoff, models, metric),
    }
    head, said = result._said()
    sections = {
        "models|Models": section("models", "Which model", _leaderboard(scores, ranking, metric)),
        "steps|By step": section(
            "steps",
            "Errors by step and by cutoff",
            '<div class="pair"><div>',
            chart("steps", f"{called} at each step after the cutoff, over all windows and series", _steps(steps)),
            "</div><div>",
            chart("cutoffs", f"{called} after each cutoff, over series", _by_cutoff(by_cutoff)),
            "</div></div>",
        ),
    }
    if len(exposure):
        data["gap"] = [
            {
                "model": models.index(name),
                "closed": rounded(own["rmse_closed"], 6),
                "one": rounded(own["rmse_one_step"], 6),
                "naive": rounded(own["rmse_naive"], 6),
            }
            for name, own in _each(exposure, [name for name in models if name in set(exposure["model"])])
        ]
        sections["gap|Gap"] = section("gap", "What a model loses on its own outputs", _gap(exposure))
    if any(seen.levels):
        data["coverage"] = _coverage(steps, models, seen.levels)
        sections["calibration|Intervals"] = section("calibration", "Do the intervals hold?", _intervals(result))
    ids = [result._panel.id_list[entry["at"]] for entry in seen.entries]
    for name in models:
        # With refit this is the last one.
        reasons = reasons_of(result._models[name].fitted[-1], ids)
        if reasons is not None and "chooser" not in data:
            add_reasons(data, seen.entries, reasons, list(range(len(ids))), name)
    words = _how_many(seen, target, result._panel.columns.targets, models[first])
    fan = any(seen.levels)
    sections["series|Series"] = section(
        "series", "Series by series", series_browser(words, fan=fan, why="chooser" in data, errors=called)
    )
    if len(models) > 1 and len(seen.entries) > 1:
        sections["pairs|Pairs"] = section("pairs", "One model's errors against another's", _scatter(called))
    sections["facts|Data"] = section(
        "facts", "The data", wide_table(_facts(result), {"what": "what", "found": "found"})
    )
    text = page(title or f"Backtest: {', '.join(models)}", [head, *said], sections, data)
    where.write_text(text, encoding="utf-8")
    return where


def _each(frame: Any, models: list[str]) -> list[tuple[str, Any]]:
    return [(name, frame[frame["model"] == name]) for name in models]


def _leaderboard(scores: Any, ranking: Any, metric: str) -> str:
    ordered = scores.set_index("model").loc[ranking["model"]].reset_index()
    fixed = ("model", "n_series", "n_windows", "season_length", "n_left_out", "in_sample")
    headings = {name: _NAMES.get(name, name) for name in ordered if name not in fixed}
    headings = {"model": "model", metric: _NAMES[metric], **headings}
    board = wide_table(ordered.to_dict("records"), headings)
    if len(ranking) == 1:
        return board + paragraphs([_DEFINED])
    span = [
        "-" if low != low else f"{low:.4g}\u00a0to\u00a0{high:.4g}"
        for low, high in zip(ranking["low"], ranking["high"], strict=True)
    ]
    tested = ranking.assign(span=span).iloc[1:]
    against = {
        "model": f"against {ranking['model'].iloc[0]}",
        "median_difference": "median difference",
        "span": "95 % interval",
        "share_better": "share better",
        "p": "p",
        "p_holm": "p (Holm)",
    }
    return board + wide_table(tested.to_dict("records"), against) + paragraphs([_DIFFERENCES, _DEFINED])


def _steps(steps: Any) -> str:
    headings = {
        "model": "model",
        "horizon": "step",
        **{name: _NAMES[name] for name in ("mase", "smape", "mae", "rmse")},
    }
    return wide_table(steps.to_dict("records"), headings)


def _by_cutoff(frame: Any) -> str:
    shown = frame.assign(cutoff=frame["cutoff"].astype(str))
    headings = {"model": "model", "cutoff": "cutoff", **{n: _NAMES[n] for n in ("mase", "smape", "mae", "rmse")}}
    # Where every series has cutoffs of its own there is one for each row.
    rows = shown.to_dict("records")
    return wide_table(rows[:2000], headings | {"n_windows": "windows"})


def _cutoffs(frame: Any, models: list[str], metric: str) -> dict[str, Any]:
    stamps = list(dict.fromkeys(frame["cutoff"].astype(str)))
    return {
        "stamps": [stamp.removesuffix(" 00:00:00") for stamp in stamps],
        "errors": [rounded(own[metric], 6) for _, own in _each(frame, models)],
    }


def _gap(exposure: Any) -> str:
    headings = {
        "model": "model",
        "horizon": "step",
        "rmse_closed": "closed loop",
        "rmse_one_step": "one step",
        "gap": "gap",
        "rmse_naive": "last value repeated",
    }
    words = (
        "RMSE in units of the seasonal-naive scale. Closed loop: forecasts made at the cutoff, fed their own outputs. "
        "One step: of the same targets, if every row before the target is known. Gap: closed loop / one step; compare "
        "it between models, not with 1."
    )
    picture = chart("gap", "closed-loop and one-step errors of the same targets at each step after the cutoff")
    ends = exposure[exposure["horizon"].isin([1, int(exposure["horizon"].max())])].to_dict("records")
    numbers = f"<details><summary>numbers</summary>{wide_table(exposure.to_dict('records'), headings)}</details>"
    return picture + wide_table(ends, headings) + numbers + paragraphs([words])


def _coverage(steps: Any, models: list[str], levels: list[list[float]]) -> list[dict[str, Any]]:
    return [
        {"model": nth, "nth": k, "level": float(level), "share": rounded(own[f"coverage-{level:g}"], 6)}
        for nth, (_, own) in enumerate(_each(steps, models))
        for k, level in enumerate(levels[nth])
    ]


def _intervals(result: Any) -> str:
    headings = {
        "model": "model",
        "level": "level",
        "coverage": "coverage",
        "first_third": "first third",
        "second_third": "second third",
        "last_third": "last third",
        "width": "width",
        "msis": "MSIS",
    }
    words = "Share of truths within the bounds, in thirds of the horizon too; width in original units."
    picture = chart("coverage", "share of truths within the bounds at each step; grey lines: what was asked for")
    return picture + wide_table(result.intervals().to_dict("records"), headings) + paragraphs([words])


def _how_many(seen: Any, target: str, targets: tuple[str, ...], first: str) -> str:
    count = len(seen.entries)
    said = f"All {count} series, the worst for {first} first."
    if count < seen.n_all:
        said = f"{count} of {seen.n_all} series, spread evenly over the errors of {first}, the worst first."
    return said + (f" Shown is the target {target} of {', '.join(targets)}." if len(targets) > 1 else "")


def _scatter(called: str) -> str:
    return (
        '<div class="controls row"><label>across<select id="across"></select></label>'
        '<label>upward<select id="upward"></select></label></div>'
        + chart("scatter", f"{called} of each series under one model against another; choose a point to see its series")
        + '<p id="scatter-words" role="status"></p>'
    )


def _facts(result: Any) -> list[dict[str, str]]:
    panel = result._panel
    missing = int((panel.values != panel.values).sum())
    facts = {
        "series": str(panel.n_series),
        "rows": str(len(panel.values)),
        "frequency": str(panel.clock.freq),
        "missing values of the target": str(missing),
        "rows were in order": "no, they were sorted" if panel.was_unsorted else "yes",
        "left out, without a window or too short": ", ".join(map(str, result.left_out[:20])) or "none",
        "horizon": str(result.horizon),
        "season length of MASE": str(result.season_length),
    }
    return [{"what": what, "found": found} for what, found in facts.items()]
