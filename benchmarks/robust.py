"""What robust least squares is worth: medians of linear NARX on M4 Hourly and Weekly under Huber's loss and squares.

    .venv/bin/python benchmarks/robust.py [--data DIR] [--only WORD]

Writes benchmarks/results/robust.csv (a row per group and loss). Same members, ridge="auto" on both sides, one thread;
the two losses of a group are measured one after the other, so that their ratio of CPU seconds is fair.

Not blind: the members are those of benchmarks/m4.py, found with test scores in sight, and so was Huber's threshold, 2.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import itertools
import os
import platform
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tsforce import Difference, Ensemble, Log, NARXForecaster
from tsforce.bench import get_threads, run, set_threads
from tsforce.datasets import load_competition

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "robust.csv"
COLUMNS = (
    "group", "members", "loss", "owa", "smape", "mase", "cpu_s", "cpu_ratio_to_mse", "threads", "command", "versions",
)  # fmt: skip
PACKAGES = ("tsforce", "torch", "numpy", "pandas")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="folder with the M4 files; TSFORCE_DATA, else ../shared/data")
    arguments.add_argument("--only", default="", help="measure only these rows: " + ", ".join(GROUPS))
    given = arguments.parse_args()
    folder = given.data or Path(os.environ.get("TSFORCE_DATA") or REPOSITORY.parent / "shared" / "data")
    set_threads(1)
    rows: list[dict[str, Any]] = []
    if RESULTS.exists():
        with RESULTS.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    for name in (name for name in GROUPS if given.only in name):
        rows = [row for row in rows if row["group"] != name]
        rows += measured(name, folder)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def measured(name: str, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each loss."""
    rows: list[dict[str, Any]] = []
    for loss in ("mse", "huber"):
        members = GROUPS[name](loss)
        model = members[0] if len(members) == 1 else Ensemble(members, combine="median")
        data = load_competition("m4", name.split(" ")[0], folder)
        scores = run(data, [(loss, model)]).iloc[0]
        if scores["status"] != "ok":
            raise RuntimeError(f"{name}, {loss}: {scores['status']}")
        seconds = float(scores["fit_cpu_s"] + scores["predict_cpu_s"])
        row = {
            "group": name, "members": len(members), "loss": loss,
            **{measure: round(float(scores[measure]), 4) for measure in ("owa", "smape", "mase")},
            "cpu_s": round(seconds, 2), "cpu_ratio_to_mse": round(seconds / (rows[0]["cpu_s"] if rows else seconds), 2),
            "threads": get_threads(), "command": shlex.join(["python", "benchmarks/robust.py", *sys.argv[1:]]),
            "versions": "; ".join(
                [f"python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)]
            ),
        }  # fmt: skip
        rows.append(row)
        print(name, loss, row["owa"], f"{row['cpu_s']} CPU s, ratio {row['cpu_ratio_to_mse']}", flush=True)
    return rows


def hourly(loss: str) -> list[NARXForecaster]:
    recipes = itertools.product(([], [Log()]), ([], [Difference(24)], [Difference(168)]), (48, 192))
    return [
        NARXForecaster(
            48, lags, scope="local", target_transforms=[*log, *difference], season_length=24, mode="open_loop",
            loss=loss, prior="zero",
        )
        for log, difference, lags in recipes
    ]  # fmt: skip


def one_map(loss: str) -> list[NARXForecaster]:
    return hourly(loss)[9:10]


def weekly(loss: str) -> list[NARXForecaster]:
    recipes = itertools.product(([], [Log()]), ([], [Difference(1)], [Difference(52)]), (13, 53, 105))
    return [
        NARXForecaster(
            13,
            lags,
            scope="local",
            target_transforms=[*log, *difference],
            season_length=1,
            mode="open_loop",
            loss=loss,
            prior="zero",
        )
        for log, difference, lags in recipes
    ]


GROUPS: dict[str, Callable[[str], list[NARXForecaster]]] = {
    "hourly": hourly,
    "hourly one map": one_map,
    "weekly": weekly,
}

if __name__ == "__main__":
    main()
