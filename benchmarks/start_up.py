"""CPU seconds of short commands, each in a process of its own, and what they load: benchmarks/results/start-up.csv.

    OMP_NUM_THREADS=1 python benchmarks/start_up.py [--before FOLDER]

With ``--before`` a checkout of another version is measured in turn with this one, run by run.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RUNS = 3
COMMANDS = {
    "tsforce --version": ["--version"],
    "tsforce forecast --help": ["forecast", "--help"],
    "tsforce forecast sales.csv (no --horizon)": ["forecast", "sales.csv"],
    "tsforce forecast sales.csv --horizon 12": ["forecast", "sales.csv", "--horizon", "12"],
}
_PROGRAM = """
import atexit, sys
sys.argv[0] = "tsforce"
heavy = {"torch", "pandas", "sklearn", "scipy", "statsmodels", "numpy"}
loaded = lambda: open(".loaded", "w").write(" ".join(sorted({n.split(".")[0] for n in sys.modules} & heavy)))
atexit.register(loaded)
from tsforce.cli.main import main
main()
"""


def main() -> None:
    """Measure and write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--before", type=Path, help="A checkout of the version to compare with.")
    arguments.add_argument("--out", type=Path, default=REPOSITORY / "benchmarks" / "results" / "start-up.csv")
    given = arguments.parse_args()
    builds = {"now": REPOSITORY} | ({"before": given.before.resolve()} if given.before else {})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            f"{2015 + k // 12}-{k % 12 + 1:02d},{200 + 3 * k + 40 * math.sin(math.pi * k / 6):.2f}" for k in range(60)
        ]
        Path(folder, "sales.csv").write_text("\n".join(["ds,y", *lines, ""]))
        for name, command in COMMANDS.items():
            seconds: dict[str, list[float]] = {build: [] for build in builds}
            loaded = {}
            # The first run of each reads files that no other had read.
            for _ in range(RUNS + 1):
                for build, root in builds.items():
                    seconds[build].append(cpu_seconds(command, root, folder))
                    loaded[build] = Path(folder, ".loaded").read_text()
            for build in builds:
                median = round(statistics.median(seconds[build][1:]), 2)
                rows.append([name, build, median, loaded[build] or "none", RUNS, sys.version.split()[0]])
    with given.out.open("w", newline="") as file:
        csv.writer(file).writerows([["command", "build", "cpu_s_median", "loaded", "runs", "python"], *rows])
    for row in rows:
        sys.stdout.write(",".join(map(str, row)) + "\n")


def cpu_seconds(command: list[str], root: Path, folder: str) -> float:
    """Return user and system seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", _PROGRAM, *command], cwd=folder, env=environment, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
