"""Measure one closed-loop training step (forward, backward, AdamW) against a matrix product of the same process.

    .venv/bin/python benchmarks/training_step.py

Perceptron 256 x 2, 96 lags, horizon 48, batch 512, float32. Nominal work is 3 * B * H * (96*256 + 256*256 + 256)
multiply-adds: no credit for skipped work, none lost by it. Writes benchmarks/results/training-step.csv: CPU seconds
(median of 9), and the rate as a share of that of torch.matmul of 2048 x 2048, at 1 and 2 threads; for the same
perceptron written as a plain loop (before) and as tsforce trains it (after), under three policies.
"""

from __future__ import annotations

import csv
import importlib.metadata
import platform
import statistics
import time
from pathlib import Path

import torch

from tsforce.bench import set_threads

# What is measured lies below the public names: the roll-out and the perceptron themselves.
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.dynamics.rollout import rollout
from tsforce.forcing import ClosedLoop, Curriculum, Moment, OpenLoop

BATCH, HORIZON, LAGS, WIDTH = 512, 48, 96, 256
OUT = Path(__file__).resolve().parent / "results" / "training-step.csv"


def cpu(work, runs=9):
    work()
    times = []
    for _ in range(runs):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def plain(past, future):
    """The loop everybody writes: a growing list, a concatenation per step, three layers."""
    layers = torch.nn.Sequential(
        torch.nn.Linear(LAGS, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU(),
        torch.nn.Linear(WIDTH, 1),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(layers.parameters(), lr=1e-3)

    def step():
        fed, outputs = past[0, :, :, 0], []
        for _ in range(HORIZON):
            y = layers(fed[:, -LAGS:])
            outputs.append(y)
            fed = torch.cat([fed, y], dim=1)
        loss = (torch.cat(outputs, dim=1) - future[0, :, :, 0]).abs().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def ours(past, future, forcing):
    layout = LagLayout(tuple(range(1, LAGS + 1)))
    start = Linear(layout, torch.zeros(1, LAGS, 1), torch.zeros(1, 1))
    model = Perceptron(layout, (WIDTH, WIDTH), start, torch.tensor([1]))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    moment = Moment(30, 100, 0, torch.tensor([1]))

    def step():
        yhat, _ = rollout(model, past, HORIZON, forcing, future=future, moment=moment)
        loss = (yhat - future).abs().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def main():
    torch.manual_seed(0)
    past, future = torch.randn(1, BATCH, LAGS, 1), torch.randn(1, BATCH, HORIZON, 1)
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    nominal = 3 * BATCH * HORIZON * (LAGS * WIDTH + WIDTH * WIDTH + WIDTH)
    ways = {
        "plain loop, closed loop (before)": lambda: plain(past, future),
        "tsforce, closed loop (after)": lambda: ours(past, future, ClosedLoop()),
        "tsforce, curriculum": lambda: ours(past, future, Curriculum()),
        "tsforce, open loop": lambda: ours(past, future, OpenLoop()),
    }
    rows = []
    for threads in (1, 2):
        set_threads(threads)
        for name, make in ways.items():
            before = cpu(lambda: a @ b)
            seconds = cpu(make())
            peak = 2048**3 / statistics.mean([before, cpu(lambda: a @ b)])
            rate = nominal / seconds
            rows.append((name, threads, round(seconds, 4), round(rate / 1e9, 2), round(rate / peak, 3)))
            print(*rows[-1], sep="  ")
    versions = f"python {platform.python_version()}; torch {importlib.metadata.version('torch')}"
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "threads", "cpu_s", "gmac_per_cpu_s", "share_of_matmul", "command", "versions"])
        writer.writerows([*row, "python benchmarks/training_step.py", versions] for row in rows)


if __name__ == "__main__":
    main()
