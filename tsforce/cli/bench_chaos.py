"""``tsforce bench chaos``: forecasts of chaotic systems against published recurrent networks and simple floors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tsforce.cli.bench_options import (
    chosen,
    names_option,
    out_option,
    seeds_option,
    threads_option,
    time_limit_option,
)
from tsforce.cli.bench_running import command_line, exit_with

__all__ = ["chaos"]

# Rows that cost nothing and that everything else is read against.
_ALWAYS = ("last_value", "training_mean")


@click.command()
@names_option("--systems", help="Names joined by commas; the six with published figures by default.")
@names_option("--models")
@names_option("--modes", help="How mlp and gru are trained, joined by commas; all by default.")
@seeds_option(5)
@threads_option
@click.option("--observe", default="all", show_default=True, help="all variables, or the first alone.")
@click.option(
    "--noise", type=click.FloatRange(min=0), default=0.0, show_default=True,
    help="On all that is observed, in standard deviations; scored on clean truth.",
)  # fmt: skip
@click.option("--size", default="quarter", show_default=True, help="Training trajectories: quarter, full or tiny.")
@time_limit_option
@out_option(
    "build/bench/chaos",
    "Folder for results.csv, summary.csv, manifest.json, windows and errors; finished rows are not made again.",
)
def chaos(
    systems: str | None,
    models: str | None,
    modes: str | None,
    seeds: int,
    threads: int,
    observe: str,
    noise: float,
    size: str,
    time_limit: float,
    out: Path,
) -> None:
    """Score models on chaotic systems, closed loop over about one Lyapunov time, simulators checked first."""
    from tsforce.bench import (
        CHAOS_MODELS,
        CHAOS_MODES,
        ChaosTask,
        chaos_models,
        run_chaos,
        set_threads,
        summarise_chaos,
        write_chaos_summary,
    )
    from tsforce.datasets import CHAOS_SYSTEMS
    from tsforce.progress import Progress
    from tsforce.report import show

    every = [name for name in CHAOS_SYSTEMS if name != "mackeyglass-dde"]
    named = chosen("--systems", systems, CHAOS_SYSTEMS, every)
    wanted = chosen("--models", models, CHAOS_MODELS)
    trained = {name: CHAOS_MODES[name] for name in chosen("--modes", modes, CHAOS_MODES)}
    set_threads(threads)
    frames = []
    for system in named:
        task = ChaosTask.simulate(system, size=size, observe=observe, noise=noise)
        click.echo(_checked(task))
        with Progress("bench", every=True) as progress:
            rows = run_chaos(
                task,
                chaos_models(system, (*_ALWAYS, *wanted), observe=observe, noise=noise),
                trained,
                out,
                range(seeds),
                time_limit=time_limit,
                on_start=progress.show,
                command=command_line(),
            )
        show(_table(task, summarise_chaos(rows, out), threads))
        frames.append(rows)
    write_chaos_summary(out)
    click.echo(f"rows: {out / 'results.csv'}; medians and tests: {out / 'summary.csv'}")
    exit_with(*frames)


def _checked(task: Any) -> str:
    """Return what the simulator was checked for, line by line."""
    if not task.checks:
        return f"{task.system.name}: size {task.size} is too small to check the simulator by"
    width = max(len(check.what) for check in task.checks)
    lines = [
        f"  {check.what:<{width}}  {check.measured:9.4g}  expected {check.expected:.4g} +- {check.tolerance:.2g}"
        for check in task.checks
    ]
    return "\n".join([f"{task.system.name}: the simulator meets", *lines])


def _table(task: Any, summary: Any, threads: int) -> Any:
    from tsforce.bench import CHAOS_FLOORS, CHAOS_PUBLISHED, CHAOS_SCORES
    from tsforce.report import chaos_table

    system = task.system
    lyapunov = system.horizon / system.lyapunov_steps
    seen = "all variables" if task.observe == "all" else f"{task.targets[0]} alone of {len(system.variables)}"
    title = (
        f"{system.name}: {len(task.truth)} test windows, {seen}, noise {task.noise:g}, horizon {system.horizon} "
        f"({lyapunov:.2f} Lyapunov times), size {task.size}, {threads} thread(s)"
    )
    # Figures from elsewhere are of all variables without noise.
    plain = task.observe == "all" and not task.noise
    floors = CHAOS_FLOORS.get(system.name, {}) if plain else {}
    elsewhere = [f"{floors[name]:.3g}" if name in floors else "" for name in summary["model"]]
    notes = [CHAOS_SCORES, *_NOTES]
    if plain and system.name in CHAOS_PUBLISHED:
        notes.insert(0, _published(CHAOS_PUBLISHED[system.name]))
    return chaos_table(summary.assign(elsewhere=elsewhere), title, notes)


_NOTES = (
    "NRMSE and all else are medians over seeds; lowest and highest: its range.",
    "seeds better: seeds whose NRMSE is below that of open loop. p: Wilcoxon over windows against open loop, median",
    "seeds, Holm over modes. fit: CPU seconds. elsewhere: the same floor on another machine's windows (inf: diverges).",
)


def _published(known: Any) -> str:
    return (
        f"published GRU-256, one checkpoint per mode: teacher forcing {known.teacher_forcing:g}, free running "
        f"{known.free_running:g}, decreasing {known.decreasing:g}, increasing {known.increasing_sampled:g} (sampled), "
        f"{known.increasing_fixed:g} (fixed).\nTo beat: {known.best:g} [{known.low:g}, {known.high:g}]"
    )
