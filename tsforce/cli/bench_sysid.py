"""``tsforce bench sysid``: simulations of measured systems against published figures and simple floors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tsforce.cli.bench_options import (
    chosen,
    data_option,
    names_option,
    out_option,
    seeds_option,
    threads_option,
    time_limit_option,
)
from tsforce.cli.bench_running import command_line, exit_with

__all__ = ["sysid"]

# Rows that cost next to nothing and that everything else is read against.
_ALWAYS = ("training_mean", "arx", "arx_cubic")


@click.command()
@names_option("--sets", help="Names joined by commas; all seven by default.")
@names_option("--models")
@names_option("--modes", help="How models are trained, joined by commas; all by default.")
@seeds_option(5, "Runs of what draws something.")
@threads_option
@data_option()
@time_limit_option
@click.option("--rich", is_flag=True, help="Train bouc-wen on second periods of five seeds, not on five of one.")
@click.option("--noise", is_flag=True, help="Train bouc-wen with white noise of 8e-6 m on the output.")
@click.option(
    "--held-out", is_flag=True,
    help="Make choices: learn from four fifths of the training rows, simulate the last. No test row is looked at.",
)  # fmt: skip
@out_option(
    "build/bench/sysid", "Folder for results.csv, summary.csv and manifest.json; finished rows are not made again."
)
def sysid(
    sets: str | None,
    models: str | None,
    modes: str | None,
    seeds: int,
    threads: int,
    data: Path | None,
    time_limit: float,
    rich: bool,
    noise: bool,
    held_out: bool,
    out: Path,
) -> None:
    """Score models on system-identification sets: whole test records, simulated from inputs, floors checked first."""
    from tsforce.bench import (
        SYSID_MODELS,
        SYSID_MODES,
        SYSID_SCORES,
        SysidTask,
        check_floors,
        run_sysid,
        set_threads,
        summarise_sysid,
        sysid_models,
        write_sysid_summary,
    )
    from tsforce.datasets import SYSID_SETS
    from tsforce.progress import Progress
    from tsforce.report import show

    named = chosen("--sets", sets, SYSID_SETS)
    wanted = chosen("--models", models, SYSID_MODELS)
    trained = chosen("--modes", modes, SYSID_MODES)
    set_threads(threads)
    frames, wrong = [], 0
    for name in named:
        special = {"rich": rich, "noise": noise} if name == "bouc-wen" else {}
        # What repeats its training record is found out by repeating it.
        floors = (*_ALWAYS, "replay") if name == "emps" else _ALWAYS
        for n in SYSID_SETS[name].starts:
            task = SysidTask.load(name, n, data, **special)
            task = task.held_out() if held_out else task
            with Progress("bench", every=True) as progress:
                rows = run_sysid(
                    task,
                    sysid_models(name, n, (*floors, *wanted)),
                    trained,
                    out,
                    range(seeds),
                    time_limit=time_limit,
                    on_start=progress.show,
                    command=command_line(),
                )
            checks = check_floors(rows)
            show(_table(task, summarise_sysid(rows), checks, threads))
            for check in checks:
                if not check.holds:
                    wrong += 1
                    click.echo(f"FLOOR DISAGREES: {_told(check)}. Is this the same data?", err=True)
            frames.append(rows)
    write_sysid_summary(out)
    click.echo(f"{SYSID_SCORES}\n{_NOTES}")
    click.echo(f"rows: {out / 'results.csv'}; medians: {out / 'summary.csv'}")
    exit_with(*frames)
    if wrong:
        raise click.exceptions.Exit(1)


def _told(check: Any) -> str:
    return f"{check.what}: {check.measured:.4g}, expected {check.expected:.3g}"


def _table(task: Any, summary: Any, checks: Any, threads: int) -> Any:
    from tsforce.bench import SYSID_FLOORS, SYSID_REFERENCES
    from tsforce.report import sysid_table

    known = task.known
    special = f", {task.training}" if task.training else ""
    title = (
        f"{known.name} ({known.signals}): {len(task.train.y)} training rows{special}, simulated from row {task.n} on, "
        f"RMSE in {known.unit}, {threads} thread(s)"
    )
    notes = []
    for part in task.scored:
        if references := SYSID_REFERENCES.get((known.name, part.name)):
            figures = "; ".join(f"{one.rmse:g} ({one.what})" for one in references)
            notes.append(f"elsewhere, {part.name}: {figures}")
    if checks:
        agree = sum(check.holds for check in checks)
        notes.append(f"floors: {agree} of {len(checks)} agree with the table to three digits")
        notes += [f"FLOOR DISAGREES: {_told(check)}" for check in checks if not check.holds]
    # A floor is of the plain training record.
    there = [
        {} if task.training else SYSID_FLOORS.get((known.name, task.n, record), {}) for record in summary["record"]
    ]
    elsewhere = [
        f"{floors[model]:.3g}" if model in floors else "" for floors, model in zip(there, summary["model"], strict=True)
    ]
    return sysid_table(summary.assign(elsewhere=elsewhere), title, notes)


_NOTES = """\
All but seeds and diverged are medians over seeds; lowest and highest: the range of RMSE. seeds better: seeds whose RMSE
is below that of open loop. CPU s: of a fit. elsewhere: the same floor by another program (inf: diverges)."""
