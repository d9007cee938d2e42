"""``tsforce bench modes``: the same models trained in every mode, on the test sets of M3 and M4."""

from __future__ import annotations

import itertools
from pathlib import Path

import click

__all__ = ["modes"]


@click.command()
@click.option("--sets", help="Such as m3-monthly,m4-weekly; all by default.")
@click.option("--models", help="Names joined by commas (linear stands for all that begin so); all by default.")
@click.option("--modes", "chosen_modes", help="Joined by commas; all four by default.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the M4 files; wins over TSFORCE_DATA.")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="At most so many of a model.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of torch.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("build/bench/modes"), show_default=True,
    help="Folder for modes.csv, modes-errors.parquet and modes-tests.csv; finished rows in it are not made again.",
)  # fmt: skip
@click.option("--table", is_flag=True, help="Only print the table of the rows that are there.")
def modes(
    sets: str | None,
    models: str | None,
    chosen_modes: str | None,
    data: Path | None,
    seeds: int,
    threads: int,
    out: Path,
    table: bool,
) -> None:
    """Train the same models in every mode, score them once on test sets, and test the modes against open loop."""
    from tsforce import Baseline
    from tsforce.bench import MODE_SETS, TestSet, is_done, run_mode, set_threads, table_of, write_tests
    from tsforce.datasets import load_competition
    from tsforce.errors import ArgumentError, check_choice

    rows = out / "modes.csv"
    if not table:
        set_threads(threads)
        wanted = [check_choice("--sets", name, tuple(MODE_SETS)) for name in _names(sets, tuple(MODE_SETS))]
        listed = _names(chosen_modes, ("open_loop", "closed_loop", "curriculum", "auto"))
        for mode in listed:
            check_choice("--modes", mode, ("open_loop", "closed_loop", "curriculum", "auto"))
        every = sorted({name.split(" ")[0] for name in itertools.chain.from_iterable(MODE_SETS.values())})
        kinds = [check_choice("--models", name, ("linear", *every)) for name in _names(models, tuple(every))]
        for name in wanted:
            competition, group = name.split("-")
            test = None
            for model, (make, most) in MODE_SETS[name].items():
                if not model.startswith(tuple(kinds)):
                    continue
                for seed, mode in itertools.product(range(min(most, seeds)), listed):
                    if is_done(rows, set=f"{competition} {group}", model=model, mode=mode, seed=seed):
                        continue
                    if test is None:
                        loaded = load_competition(competition, group, data if competition == "m4" else None)
                        test = TestSet(loaded, Baseline("naive2", season_length=loaded.season_length))
                    command = f"tsforce bench modes --sets {name} --models {model.split(' ')[0]} --seeds {seed + 1}"
                    own = make(test.horizon, test.season_length)
                    row = run_mode(test, model, own, mode, seed, rows, command)
                    click.echo(
                        "  ".join(
                            f"{k} {row[k]:.4g}" if k in ("owa", "one_step", "cpu_s") else f"{row[k]}"
                            for k in ("set", "model", "mode", "seed", "owa", "one_step", "cpu_s")
                        ),
                        err=True,
                    )
    if not rows.exists():
        raise ArgumentError(f"there are no rows in {rows}; run without --table first.")
    click.echo(table_of(write_tests(rows)))
    click.echo(f"rows: {rows}")


def _names(text: str | None, every: tuple[str, ...]) -> list[str]:
    return list(every) if text is None else [part.strip() for part in text.split(",")]
