"""``tsforce forecast``: forecast the series of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tsforce.cli.folders import first_file, forecast_folder, future_rows
from tsforce.cli.options import data_options, forecasters, levels, model_options, report_option
from tsforce.cli.saved_models import check_saving, loaded, saved, with_options_of
from tsforce.cli.tables import (
    blamed_on,
    check_targets,
    draw,
    notice,
    progress_of,
    read,
    shown_warnings,
    with_columns,
    write,
)
from tsforce.errors import ArgumentError, abbreviate

__all__ = ["describe", "forecast"]

_EXAMPLES = """\b
Examples:
  tsforce forecast sales.csv --horizon 28 --out forecast.csv
  tsforce forecast sales.csv --horizon 28 --id-col store --time-col date \\
      --target-col sold --model linear-global --plot forecast.png
  tsforce forecast load.parquet --horizon 24 --future-exog temperature \\
      --future weather.csv --calendar hour,dayofweek --out forecast.parquet
  tsforce forecast german.csv --horizon 12 --sep ';' --decimal , \\
      --time-format '%d.%m.%Y' --fill-gaps interpolate
  tsforce forecast sales.csv --horizon 28 --n-paths 500 --out paths.parquet
  tsforce forecast sales.csv --horizon 28 --save sales.tsforce --out forecast.csv
  tsforce forecast later.csv --load sales.tsforce
  tsforce forecast sales/ --horizon 28 --model narx --out forecasts/
"""


@click.command(epilog=_EXAMPLES, short_help="Forecast the series of a csv or parquet file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--horizon", type=click.IntRange(min=1), help="Steps to forecast.  [required, but with --load: as it was fitted]"
)
@click.option(
    "--model",
    help="A model (auto, narx, linear-local, linear-global, mlp) or a reference method; `tsforce bench list` shows "
    "all.  [default: auto; narx where --lags, --mode, --transform, --exog-lags or --short-series say how]",
)
@click.option("--future", type=click.Path(path_type=Path), help="File with the --future-exog columns of the horizon.")
@click.option("--level", callback=levels, help="Prediction intervals in percent, such as 80,95: bounds for each step.")
@click.option(
    "--n-paths",
    type=click.IntRange(min=1),
    help="Write so many sample paths of each series in place of the forecast; --seed chooses them.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="A .csv or .parquet file, or a folder.  [default: csv on stdout]"
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="A picture of the first four series, or the paths of the first: .png, .pdf, .svg.",
)
@report_option
@click.option("--save", type=click.Path(path_type=Path), help="A file to keep the fitted model in, for --load.")
@click.option(
    "--load",
    type=click.Path(path_type=Path),
    help="A model that --save wrote: forecasts from FILE as its history, nothing is fitted.",
)
@data_options
@model_options
@click.pass_context
def forecast(
    ctx: click.Context,
    /,
    file: Path,
    horizon: int | None,
    model: str | None,
    future: Path | None,
    level: list[float] | None,
    n_paths: int | None,
    out: Path | None,
    plot: Path | None,
    report: Path | None,
    save: Path | None,
    load: Path | None,
    **options: Any,
) -> None:
    """Forecast each series of FILE, csv or parquet in long form: one row per series and time.

    FILE may be a folder of Parquet files, more than memory holds: --out then names a folder too. A command that was cut
    short goes on where it stopped.

    The result has the columns of the series and the time, horizon (1 to H) and one named after the model; with --level
    the bounds of its intervals too, such as narx-lo-95 and narx-hi-95. With --n-paths it has a row for each step of
    each sample path, and a column path (1 to N) after horizon.
    """
    if n_paths is not None and level is not None:
        raise ArgumentError(
            "--n-paths writes paths in place of the forecast, which --level would put bounds to; leave out one of them."
        )
    check_saving(ctx, file, load, save)
    if horizon is None and load is None:
        raise click.MissingParameter(ctx=ctx, param=next(p for p in ctx.command.params if p.name == "horizon"))
    if future is not None and not options["future_exog"] and load is None:
        raise ArgumentError(
            "--future is given, and --future-exog names none of its columns; name them, or leave it out."
        )
    in_parts = file.is_dir()
    if in_parts:
        options = with_columns(first_file(file), options)
    else:
        check_targets([path for path in (file, future, load) if path], [out], plot, report)
        if load is None:
            options = with_columns(file, options)

    from tsforce.data.future import read_future
    from tsforce.dynamics.threads import set_threads
    from tsforce.forecasting.intervals import check_levels
    from tsforce.forecasting.parts import horizon_of

    check_levels(level)
    set_threads(options["threads"])
    if load is not None:
        forecaster = loaded(load)
        options = with_options_of(forecaster, options, future)
    elif horizon is not None:
        (forecaster,) = forecasters(() if model is None else (model,), horizon, options).values()
    if in_parts:
        given = {
            "--n-paths": n_paths,
            "--plot": plot,
            "--report": report,
            "--fill-gaps": options["fill_gaps"],
            "--tz": options["tz"],
        }
        ahead = None if future is None else future_rows(future, options)
        forecast_folder(file, forecaster, level, ahead, out, given)
        return
    with shown_warnings():
        frame, has_lines = read(file, options)
        here = {
            "has_lines": has_lines,
            "time_col": options["time_col"],
            "filled": options["fill_gaps"] is not None,
        }
        with blamed_on(file, **here):
            panel = forecaster.read(frame)
        notice(f"{file}: {describe(panel)}")
        known: dict[str, Any] = {}
        if options["future_exog"]:
            rows, in_lines = (None, False) if future is None else read(future, options, inputs_only=True)
            rows = None if rows is None else _same_ids(rows, frame, options["id_col"])
            # Before anything is fitted, which may take long.
            with blamed_on(future or file, has_lines=in_lines):
                read_future(panel, rows, horizon_of(forecaster, horizon))
            known = {"future_df": rows}
        with blamed_on(file, **here):
            if load is not None:
                known["history"] = panel
            else:
                with progress_of(forecaster):
                    forecaster.fit(panel)
            if n_paths is None:
                ahead = forecaster.predict(horizon, **known, level=level)
            else:
                ahead = forecaster.sample_paths(n_paths, horizon=horizon, **known, random_state=options["seed"] or 0)
        if save is not None:
            saved(forecaster, save)
    _tell(forecaster, ahead)
    if out is None:
        click.echo(ahead.to_csv(index=False), nl=False)
    else:
        write(ahead, out)
    if plot is not None:
        from tsforce.plotting import plot_forecast, plot_paths

        columns = {name: options[name] for name in ("id_col", "time_col", "target_col")}
        picture = plot_forecast if n_paths is None else plot_paths
        draw(lambda: picture(frame, ahead, **columns), plot)
    if report is not None:
        with shown_warnings():
            written = forecaster.report(report, **known, level=level, title=f"{file.name}: {horizon} steps ahead")
        notice(f"{written}: a page for the browser.")


def describe(panel: Any) -> str:
    """Return what was read, for people."""
    series = "1 series" if panel.n_series == 1 else f"{panel.n_series} series"
    return f"{series}, {int(panel.lengths.sum())} rows, freq {panel.clock.freq!r}"


def _same_ids(rows: Any, frame: Any, id_col: str) -> Any:
    """Return the rows with ids as the frame has them: csv files hold text, parquet files may hold numbers."""
    if id_col not in rows or id_col not in frame or rows[id_col].dtype == frame[id_col].dtype:
        return rows
    known = frame[id_col].drop_duplicates()
    return rows.assign(**{id_col: rows[id_col].astype(str).map(dict(zip(known.astype(str), known, strict=True)))})


def _tell(forecaster: Any, ahead: Any) -> None:
    if hasattr(forecaster, "lags_"):
        lags, kept = forecaster.lags_, forecaster.kept_mode_
        whole = len(lags) > 3 and lags == tuple(range(lags[0], lags[-1] + 1))
        said = f"{lags[0]}-{lags[-1]}" if whole else ",".join(map(str, lags)) or "none"
        modes = {kept} if isinstance(kept, str) else set(kept.values())
        notice(
            f"{forecaster.name}: lags {said}, season length {forecaster.season_length_}, trained "
            f"{' or '.join(sorted(map(str, modes)))}."
        )
    if hasattr(forecaster, "leaderboard_"):
        from tsforce.forecasting.auto.explanation import in_percent

        board = forecaster.leaderboard_
        heard = board[board["weight"] > 0].groupby("family")["weight"].sum().sort_values(ascending=False)
        shares = ", ".join(f"{name} {in_percent(share)}" for name, share in heard.items())
        seasons = ", ".join(map(str, forecaster.season_lengths_))
        tried = str(int((board["status"] == "tried").sum()))
        if board["status"].str.startswith("not tried").any():
            tried += f" of {len(board)}"
        notice(
            f"{forecaster.name}: {tried} candidates tried, season length {seasons}; "
            f"heard are {int((board['weight'] > 0).sum())}: {shares}."
        )
    for level, said in ahead.attrs.get("intervals", {}).items():
        notice(f"intervals of {level} %: {said}.")
    left_out = getattr(forecaster, "short_series_", [])
    if left_out:
        notice(f"left out, too short: {len(left_out)} series: {abbreviate(left_out)}.")
    for count, what in (
        ("clamped_values", "observed values were clamped: a transform cannot take them"),
        ("fallbacks", "series could not be estimated; Naive2 answered for them"),
    ):
        if ahead.attrs.get(count):
            notice(f"{ahead.attrs[count]} {what}.")
