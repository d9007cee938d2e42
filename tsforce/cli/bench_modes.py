"""``tsforce bench modes``: the same models trained in every mode, on the test sets of M3 and M4."""

from __future__ import annotations

import itertools
from pathlib import Path

import click

from tsforce.cli.bench_options import chosen, data_option, names_option, out_option, seeds_option, threads_option

__all__ = ["modes"]


@click.command()
@names_option("--sets", help="Such as m3-monthly,m4-weekly; all by default.")
@names_option("--models", help="Names joined by commas (linear stands for all that begin so); all by default.")
@names_option("--modes", "chosen_modes", help="Joined by commas; all four by default.")
@names_option("--blocks", help="Solver and loss of every mode, such as adamw mae; all of a model by default.")
@data_option("the M4 files")
@seeds_option(5, "At most so many of a model.")
@threads_option
@out_option(
    "build/bench/modes",
    "Folder for modes.csv, modes-errors.parquet and modes-tests.csv; finished rows in it are not made again.",
)
@click.option("--table", is_flag=True, help="Only print the table of the rows that are there.")
def modes(
    sets: str | None,
    models: str | None,
    chosen_modes: str | None,
    blocks: str | None,
    data: Path | None,
    seeds: int,
    threads: int,
    out: Path,
    table: bool,
) -> None:
    """Train the same models in every mode, score them once on test sets, and test the modes against open loop."""
    from tsforce.bench import BLOCKS, COMPARED_MODES, MODE_SETS, mode_table, set_threads, write_mode_tests
    from tsforce.errors import ArgumentError

    rows = out / "modes.csv"
    if not table:
        set_threads(threads)
        every = sorted({name.split(" ")[0] for own in MODE_SETS.values() for name in own})
        listed = chosen("--modes", chosen_modes, COMPARED_MODES)
        kinds = chosen("--models", models, ("linear", *every), every)
        named = chosen("--blocks", blocks, BLOCKS)
        for name in chosen("--sets", sets, MODE_SETS):
            _run(name, kinds, named, listed, seeds, data, rows)
    if not rows.exists():
        raise ArgumentError(f"there are no rows in {rows}; run without --table first.")
    click.echo(mode_table(write_mode_tests(rows)))
    click.echo(f"rows: {rows}")


def _run(
    name: str, kinds: list[str], named: list[str], listed: list[str], seeds: int, data: Path | None, rows: Path
) -> None:
    """Make the rows of a set that are not there yet; its data is read only if there are any."""
    from tsforce import Baseline
    from tsforce.bench import MODE_SETS, ModeTask, blocks_of, has_mode_row, run_mode
    from tsforce.datasets import load_competition

    competition, group = name.split("-")
    missing = [
        (model, block, mode, seed)
        for model, (_, most) in MODE_SETS[name].items()
        if model.startswith(tuple(kinds))
        for block in blocks_of(model)
        if block in named
        for seed, mode in itertools.product(range(min(most, seeds)), listed)
        if not has_mode_row(rows, set=f"{competition} {group}", model=model, block=block, mode=mode, seed=seed)
    ]
    if not missing:
        return
    loaded = load_competition(competition, group, data if competition == "m4" else None)
    test = ModeTask(loaded, Baseline("naive2", season_length=loaded.season_length))
    for model, block, mode, seed in missing:
        which = f"--sets {name} --models {model.split(' ')[0]} --blocks '{block}' --seeds {seed + 1}"
        command = f"tsforce bench modes {which}"
        make, _ = MODE_SETS[name][model]
        row = run_mode(test, model, make(test.horizon, test.season_length), block, mode, seed, rows, command)
        figures = "  ".join(f"{figure} {row[figure]:.4g}" for figure in ("owa", "one_step", "cpu_s"))
        click.echo(f"{test.name}  {model}  {block}  {mode}  {seed}  {figures}", err=True)
