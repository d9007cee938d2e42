"""Measure tsforce on M4 and write benchmarks/results/m4-spine.csv: scores, CPU seconds, throughput, import time.

    .venv/bin/python benchmarks/m4.py [--data DIR] [--out FILE] [--only WORD]

Everything runs at one thread. README.md beside this file says what each row means and which recipes are not blind.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import itertools
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tsforce import Baseline, Difference, Ensemble, Log, NARXForecaster, backtest
from tsforce.bench import get_threads, run, set_threads
from tsforce.datasets import Competition, load_competition

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("tsforce", "torch", "numpy", "pandas", "scikit-learn")
COLUMNS = (
    "what", "measure", "figure", "target", "cpu_s", "cpu_target", "met", "command", "threads", "versions", "machine",
)  # fmt: skip
Row = dict[str, Any]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="folder with the M4 files; TSFORCE_DATA, else ../shared/data")
    arguments.add_argument("--out", type=Path, default=REPOSITORY / "benchmarks" / "results" / "m4-spine.csv")
    arguments.add_argument("--only", default="", help="measure only rows of these parts: " + ", ".join(PARTS))
    given = arguments.parse_args()
    folder = given.data or Path(os.environ.get("TSFORCE_DATA") or REPOSITORY.parent / "shared" / "data")
    parts = [part for part in PARTS if given.only in part]
    set_threads(1)
    versions = "; ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    fixed = {
        "command": shlex.join(["python", "benchmarks/m4.py", *sys.argv[1:]]),
        "threads": get_threads(),
        "versions": f"python {platform.python_version()}; {versions}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    rows = []
    for part in parts:
        for row in PARTS[part](folder):
            rows.append(row | fixed)
            seconds = "" if row["cpu_s"] == "" else f"{row['cpu_s']} CPU s (target {row['cpu_target'] or 'none'})"
            print(f"{row['met']:<4}{row['what']}: {row['measure']} {row['figure']} (target {row['target']}) {seconds}")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{sum(row['met'] == 'yes' for row in rows)} of {len(rows)} targets met; {given.out}")


def row_of(what: str, measure: str, figure: Any, target: str, met: bool, cpu: float | str = "", limit: Any = "") -> Row:
    in_time = limit == "" or float(cpu) <= limit
    return {
        "what": what, "measure": measure, "figure": figure, "target": target, "met": "yes" if met and in_time else "no",
        "cpu_s": round(cpu, 3) if isinstance(cpu, float) else cpu, "cpu_target": limit,
    }  # fmt: skip


def naive2_against_the_official_scores(folder: Path) -> Iterator[Row]:
    official = {"yearly": (16.342, 3.974), "weekly": (9.161, 2.777), "hourly": (18.383, 2.395)}
    for group, wanted in official.items():
        data = load_competition("m4", group, folder)
        scores = run(data, [("naive2", Baseline("naive2", season_length=data.season_length))]).iloc[0]
        found = round(scores["smape"], 3), round(scores["mase"], 3)
        yield row_of(
            f"M4 {group}, own Naive2 against the official one", "sMAPE/MASE", "{:.3f}/{:.3f}".format(*found),
            "{:.3f}/{:.3f}".format(*wanted), found == wanted, scores["fit_cpu_s"] + scores["predict_cpu_s"],
        )  # fmt: skip


def scored(data: Competition, what: str, model: Any, target: float, limit: float) -> Row:
    scores = run(data, [(what, model)]).iloc[0]
    if scores["status"] != "ok":
        print(f"    {what}: {scores['status']}")
    seconds = float(scores["fit_cpu_s"] + scores["predict_cpu_s"])
    return row_of(what, "OWA", round(scores["owa"], 4), f"<= {target}", scores["owa"] <= target, seconds, limit)


def hourly_member(lags: int, transforms: list[Any], ridge: float | str) -> NARXForecaster:
    return NARXForecaster(
        48, lags, scope="local", target_transforms=transforms, season_length=24, ridge=ridge, mode="open_loop",
        prior="zero",
    )  # fmt: skip


def hourly(folder: Path) -> Iterator[Row]:
    data = load_competition("m4", "hourly", folder)
    single = hourly_member(192, [Log(), Difference(24)], 30.0)
    yield scored(data, "M4 hourly, one linear NARX: Log, Difference(24), 192 lags, ridge 30", single, 0.446, 3)
    plain = hourly_member(192, [], 30.0)
    started = time.process_time()
    plain.fit(data.train)
    seconds = time.process_time() - started
    # The frame is read within this time, so Gram and solve alone take less.
    yield row_of("M4 hourly, fit of 414 models, 192 lags", "CPU s", round(seconds, 3), "<= 1", seconds <= 1)
    for ridge, target, limit in ((30.0, 0.410, 8), ("auto", 0.400, 30)):
        members = [
            hourly_member(lags, [*log, *difference], ridge)
            for log, difference, lags in itertools.product(
                ([], [Log()]), ([], [Difference(24)], [Difference(168)]), (48, 192)
            )
        ]
        what = f"M4 hourly, median of {len(members)} linear NARX, ridge {ridge}"
        yield scored(data, what, Ensemble(members, combine="median"), target, limit)


def weekly(folder: Path) -> Iterator[Row]:
    data = load_competition("m4", "weekly", folder)
    for ridge, target, limit in ((30.0, 0.700, 5), ("auto", 0.685, 10)):
        members = [
            NARXForecaster(
                13,
                lags,
                scope="local",
                prior="zero",
                target_transforms=[*log, *difference],
                season_length=1,
                ridge=ridge,
                mode="open_loop",
            )
            for log, difference, lags in itertools.product(
                ([], [Log()]), ([], [Difference(1)], [Difference(52)]), (13, 53, 105)
            )
        ]
        what = f"M4 weekly, median of {len(members)} linear NARX, ridge {ridge}"
        yield scored(data, what, Ensemble(members, combine="median"), target, limit)


def throughput(folder: Path) -> Iterator[Row]:
    """Frame to frame, 10 cutoffs of 414 series, 48 steps each: 4140 forecasts; the median of three runs."""
    df = load_competition("m4", "hourly", folder).train
    horizon, n_windows, step = 48, 10, 24
    after_first_cutoff = horizon + (n_windows - 1) * step
    seen = df[df.groupby("unique_id", observed=True).cumcount(ascending=False) >= after_first_cutoff]
    local = hourly_member(192, [], 30.0)
    fitted = hourly_member(192, [], 30.0).fit(seen)
    pooled = NARXForecaster(
        48, 28, scope="global", season_length=24, ridge=30.0, mode="open_loop", target_transforms=[],
        window_scaling="mean_abs",
    )  # fmt: skip
    for what, model, least in (
        ("414 local linear NARX, 192 lags, fitted before", fitted, 40_000),
        ("414 local linear NARX, 192 lags, its one fit included", local, 4_000),
        ("one global ridge, 28 lags, its one fit included (best recursive peer 482)", pooled, 482),
    ):
        counts, seconds = zip(*(timed_backtest(model, df, horizon, n_windows, step) for _ in range(3)), strict=True)
        rate = counts[0] / statistics.median(seconds)
        yield row_of(
            f"backtest of M4 hourly: {what}", "forecasts per CPU s", round(rate), f">= {least}", rate >= least,
            float(statistics.median(seconds)),
        )  # fmt: skip


def timed_backtest(model: Any, df: Any, horizon: int, n_windows: int, step: int) -> tuple[int, float]:
    started = time.process_time()
    frame = backtest(model, df, horizon=horizon, n_windows=n_windows, step_size=step).frame
    return len(frame) // horizon, time.process_time() - started


def import_time(folder: Path) -> Iterator[Row]:
    """Fresh processes, the two imports in turn, so that a busy moment of the machine hits both."""
    del folder
    # Names are imported on first use: `import tsforce` alone would load none of them.
    ours, theirs = "from tsforce import *", "import torch, pandas, sklearn"
    program = (
        "import time; t = time.perf_counter(); {}; t = time.perf_counter() - t\n"
        "import sys; print(t, *sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    seconds: dict[str, list[float]] = {ours: [], theirs: []}
    modules: dict[str, set[str]] = {}
    for _ in range(11):
        for what in seconds:
            command = [sys.executable, "-c", program.format(what)]
            first, *names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            seconds[what].append(float(first))
            modules[what] = set(names)
    medians = {what: statistics.median(times) for what, times in seconds.items()}
    ratio = medians[ours] / medians[theirs]
    more = sorted({"statsmodels", "matplotlib", "pyarrow"} & (modules[ours] - modules[theirs]))
    what = f"`{ours}` ({medians[ours]:.2f} s) against `{theirs}` ({medians[theirs]:.2f} s)"
    yield row_of(what, "ratio of medians of 11", round(ratio, 3), "<= 1.15", ratio <= 1.15)
    yield row_of(
        "modules of statsmodels, matplotlib, pyarrow that only tsforce imports",
        "names",
        " ".join(more) or "none",
        "none",
        not more,
    )


PARTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "naive2": naive2_against_the_official_scores,
    "hourly": hourly,
    "weekly": weekly,
    "throughput": throughput,
    "import": import_time,
}

if __name__ == "__main__":
    main()
