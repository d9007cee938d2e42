"""``tsforce backtest``: what models would have forecast in the past of a file, closed loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tsforce.cli.folders import backtest_folder, first_file
from tsforce.cli.forecast import describe
from tsforce.cli.options import data_options, forecasters, levels, model_options, report_option, split
from tsforce.cli.tables import (
    as_options,
    blamed_on,
    check_targets,
    draw,
    in_terminal,
    notice,
    read,
    shown_warnings,
    with_columns,
    write,
)
from tsforce.errors import ArgumentError

__all__ = ["backtest"]

_EXAMPLES = """\b
Examples:
  tsforce backtest sales.csv --horizon 28 --n-windows 6 --out scores.csv
  tsforce backtest sales.csv --horizon 28 --n-windows 6 \\
      --model seasonal_naive,narx,mlp --forecasts forecasts.csv
  tsforce backtest load.parquet --horizon 24 --n-windows 30 --step-size 24 \\
      --lags 168 --calendar hour --refit --plot errors.png
  tsforce backtest sales/ --horizon 28 --model narx,theta --out scores.csv
"""


@click.command(epilog=_EXAMPLES, short_help="Judge models by the past of a csv or parquet file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--horizon", type=click.IntRange(min=1), required=True, help="Steps of each window.")
@click.option(
    "--n-windows", type=click.IntRange(min=1), default=1, show_default=True, help="Windows at the end of the series."
)
@click.option("--step-size", type=click.IntRange(min=1), help="Steps between windows.  [default: the horizon]")
@click.option("--refit", is_flag=True, help="Learn anew before each window, not once before the first.")
@click.option(
    "--train-size",
    type=click.IntRange(min=1),
    help="Rows of each series to learn from, the last before each window, learning anew.  [default: all]",
)
@click.option(
    "--model",
    multiple=True,
    callback=split,
    help="Models or reference methods, joined by commas; `tsforce bench list` shows all. "
    " [default: auto; narx where --lags, --mode, --transform, --exog-lags or --short-series say how]",
)
@click.option("--level", callback=levels, help="Judge prediction intervals too, in percent, such as 80,95.")
@click.option(
    "--n-paths", type=click.IntRange(min=2), help="Draw so many sample paths of each window, and judge them too."
)
@click.option("--out", type=click.Path(path_type=Path), help="A .csv or .parquet file for the scores.")
@click.option("--forecasts", type=click.Path(path_type=Path), help="A file for all forecasts beside the truth.")
@click.option("--by-horizon", type=click.Path(path_type=Path), help="A file for the errors at every step.")
@click.option("--plot", type=click.Path(path_type=Path), help="A picture: .png, .pdf, .svg.")
@click.option(
    "--plot-kind",
    type=click.Choice(["horizon", "windows", "exposure", "coverage"]),
    default="horizon",
    show_default=True,
    help="Errors by step; the windows of the first series; errors by step and by the share of truth fed back; or, with "
    "--level, the share of truths within the bounds by step.",
)
@report_option
@data_options
@model_options
def backtest(
    file: Path,
    horizon: int,
    n_windows: int,
    step_size: int | None,
    refit: bool,
    train_size: int | None,
    model: tuple[str, ...],
    level: list[float] | None,
    n_paths: int | None,
    out: Path | None,
    forecasts: Path | None,
    by_horizon: Path | None,
    plot: Path | None,
    plot_kind: str,
    report: Path | None,
    **options: Any,
) -> None:
    """Judge models by the past of FILE: forecasts of its last windows, knowing nothing after each window's start.

    FILE is csv or parquet in long form: one row per series and time. Inputs of --future-exog are read from it.

    FILE may be a folder of Parquet files, more than memory holds: models then learn once, and --forecasts names a
    folder too.
    """
    if plot_kind == "coverage" and level is None:
        raise ArgumentError("--plot-kind coverage shows intervals, and none are judged; add --level 80,95.")
    in_parts = file.is_dir()
    if not in_parts:
        check_targets([file], [out, forecasts, by_horizon], plot, report)
    options = with_columns(first_file(file) if in_parts else file, options)

    from tsforce import compare
    from tsforce.dynamics.threads import set_threads
    from tsforce.evaluation.backtest_windows import lacking_windows
    from tsforce.evaluation.narrow_table import wrapped
    from tsforce.forecasting.intervals import check_levels
    from tsforce.forecasting.parts import read_for
    from tsforce.plotting import plot_horizon
    from tsforce.report import horizons, intervals, path_scores, scores, show, tell

    check_levels(level)

    models = forecasters(tuple(dict.fromkeys(model)), horizon, options)
    set_threads(options["threads"])
    if in_parts:
        given = {
            "--refit": refit,
            "--train-size": train_size,
            "--level": level,
            "--n-paths": n_paths,
            "--by-horizon": by_horizon,
            "--plot": plot,
            "--report": report,
            "--fill-gaps": options["fill_gaps"],
            "--tz": options["tz"],
        }
        backtest_folder(file, models, {"n_windows": n_windows, "step_size": step_size}, out, forecasts, given)
        return
    with shown_warnings():
        frame, has_lines = read(file, options)
        filled = options["fill_gaps"] is not None
        with blamed_on(file, has_lines=has_lines, time_col=options["time_col"], filled=filled):
            panel = read_for(list(models.values()), frame)
            lacking = lacking_windows(panel, horizon, n_windows, step_size or horizon)
            if lacking:
                raise ArgumentError(lacking)
            result = compare(
                models, panel, n_windows=n_windows, step_size=step_size, refit=refit or None, train_size=train_size,
                level=level, n_paths=n_paths, verbose=in_terminal(),
            )  # fmt: skip
        notice(f"{file}: {describe(panel)}")
        steps, by_step = result.exposure(), result.by_horizon()
        if not len(steps):
            steps = by_step
        elif level is not None or n_paths is not None:
            names = [name for name in by_step if "-" in name or name.startswith(("crps", "wql"))]
            steps = steps.merge(by_step[["model", "horizon", *names]], on=["model", "horizon"], how="outer", sort=False)
        words = result.exposure_report()
    found = result.scores()
    said = [result.verdict] if len(models) > 1 else []
    notes = [wrapped(text) for text in (*said, *map(as_options, result.notes))]
    show(scores(found, f"{file}: horizon {horizon}, closed loop", notes))
    show(horizons(steps))
    if level is not None:
        show(intervals(result.intervals()))
    if n_paths is not None:
        show(path_scores(found))
    tell(words)
    for table, path in ((found, out), (result.frame, forecasts), (steps, by_horizon)):
        if path is not None:
            write(table, path)
    if plot is not None:
        draw(lambda: plot_horizon(steps) if plot_kind == "horizon" else result.plot(plot_kind), plot)
    if report is not None:
        notice(f"{result.report(report, title=f'{file.name}: backtest')}: a page for the browser.")
