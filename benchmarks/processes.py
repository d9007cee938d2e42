"""Steps of training per second of the clock on one process and on two, in turn.

``OMP_NUM_THREADS=1 python benchmarks/processes.py`` fits a perceptron and a gated recurrent unit to 1,000 drawn series
of 120 months (closed loop, 12 steps ahead, 1024 windows a step, one thread a process), once with few steps and once
with more, and writes the difference for each step to ``results/processes.csv``: seconds of the clock, CPU seconds of
each process, the lowest of some rounds in which one process and two take turns, and the load of the machine at the end.
The forecasts of two processes are compared with those of one, and validation with validation.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

HORIZON, SERIES, ROWS = 12, 1000, 120
RESULTS = Path(__file__).parent / "results" / "processes.csv"
FEW, MANY = 10, {"mlp": 90, "gru": 30}


def drawn():
    """Return the frame."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    y = 50 + rng.normal(size=(SERIES, ROWS)).cumsum(axis=1) + 3 * np.sin(np.arange(ROWS) * np.pi / 6)
    stamps = pd.date_range("2014-01-01", periods=ROWS, freq="MS")
    ids = np.repeat([f"s{i:04d}" for i in range(SERIES)], ROWS)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(stamps, SERIES), "y": y.ravel()})


def inside(model: str) -> dict[str, object]:
    """Return what a step costs this process, and what came of the steps."""
    from tsforce import NARXForecaster, Training
    from tsforce.bench import set_threads

    set_threads(1)
    df = drawn()

    def fit(steps, validation):
        training = Training(processes="torchrun", validation=validation, batch_size=1024)
        forecaster = NARXForecaster(
            HORIZON, 24, model=model, mode="closed_loop", scope="global", max_steps=steps, ridge=10.0, training=training
        )
        clock, own = time.perf_counter(), time.process_time()
        forecaster.fit(df)
        return forecaster, time.perf_counter() - clock, time.process_time() - own

    judged, *_ = fit(FEW, 1)
    _, clock_few, own_few = fit(FEW, False)
    longest, clock, own = fit(MANY[model], False)
    steps = MANY[model] - FEW
    looks = judged.history_.frame["closed_loop"].dropna().tolist()
    ahead = longest.predict().iloc[:, -1].tolist()
    return {"clock": (clock - clock_few) / steps, "own": (own - own_few) / steps, "looks": looks, "ahead": ahead}


def started(model: str, count: int) -> list[dict[str, object]]:
    """Return what each of some processes found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    told = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--inside", model]
    every = [
        subprocess.Popen(command, env={**os.environ, **told, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(count)
    ]
    return [json.loads(one.communicate()[0]) for one in every]


def main() -> None:
    """Measure, and write the table."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        print(json.dumps(inside(asked.inside)))
        return
    rows = []
    for model in MANY:
        rounds = [(started(model, 1), started(model, 2)) for _ in range(asked.rounds)]
        one, two = rounds[0][0][0], rounds[0][1][0]
        gap = {name: float(np.max(np.abs(np.array(two[name]) / one[name] - 1))) for name in ("ahead", "looks")}
        for count in (1, 2):
            found = [both[count - 1] for both in rounds]
            clock = min(round_[0]["clock"] for round_ in found)
            own = min(max(each["own"] for each in round_) for round_ in found)
            rows.append({
                "model": model, "processes": count, "ms_of_the_clock": round(1000 * clock, 2),
                "cpu_ms_of_each": round(1000 * own, 2), "rounds": asked.rounds,
                "forecasts_differ_by": f"{gap['ahead']:.1e}" if count == 2 else "",
                "validation_differs_by": f"{gap['looks']:.1e}" if count == 2 else "",
                "load": round(os.getloadavg()[0], 1), "cores": os.cpu_count(),
            })  # fmt: skip
            print(rows[-1], flush=True)
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
