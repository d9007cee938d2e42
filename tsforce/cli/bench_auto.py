"""``tsforce bench auto``: the automatic choice on all competitions, with no setting but budget and season length."""

from __future__ import annotations

from pathlib import Path

import click

from tsforce.cli.bench_options import chosen, data_option, names_option, out_option, threads_option
from tsforce.cli.bench_running import command_line, exit_with

__all__ = ["auto"]


@click.command()
@names_option("--sets", help="Such as m3-monthly,m4-weekly; all whose data is there by default.")
@names_option("--budgets", help="fast, balanced, accurate, joined by commas.", default="balanced")
@data_option("the M4 files")
@threads_option
@out_option("build/bench/auto", "Folder for a results.csv of each set, and auto.csv of all.")
def auto(sets: str | None, budgets: str, data: Path | None, threads: int, out: Path) -> None:
    """Score AutoNARX on test sets: the same call for all of them, each set scored once."""
    import pandas as pd

    from tsforce import AutoNARX
    from tsforce.bench import run, set_threads
    from tsforce.data.datasets import COMPETITIONS, find_competition
    from tsforce.datasets import load_competition
    from tsforce.forecasting.auto.candidates import BUDGETS
    from tsforce.progress import Progress
    from tsforce.report import leaderboard, show

    every = [f"{name}-{group}" for name, groups in COMPETITIONS.items() for group in groups]
    here = [
        f"{name}-{group}"
        for name, groups in COMPETITIONS.items()
        for group in groups
        if find_competition(name, group, data if name == "m4" else None)
    ]
    tried = chosen("--budgets", budgets, BUDGETS)
    set_threads(threads)
    frames = []
    with Progress("bench", every=True) as progress:
        for one in chosen("--sets", sets, every, here):
            competition, group = one.split("-")
            loaded = load_competition(competition, group, data if competition == "m4" else None)
            # Where errors are measured by no season the series may show one: then nothing is said of it.
            season = loaded.season_length if loaded.season_length > 1 else None
            entries = [
                (f"auto-{budget}", AutoNARX(loaded.horizon, season_length=season, budget=budget), None)
                for budget in tried
            ]
            frame = run(
                loaded, entries, out / one, (0,), on_start=progress.show,
                command=command_line(), one_step=False,
            )  # fmt: skip
            frames.append(frame)
    table = pd.concat(frames, ignore_index=True)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "auto.csv", index=False)
    for (competition, group), rows in table.groupby(["dataset", "group"], sort=False):
        show(leaderboard(rows, f"{competition} {group}: {int(rows['n_series'].iloc[0])} series, {threads} thread(s)"))
    click.echo(f"rows: {out / 'auto.csv'}")
    exit_with(table)
