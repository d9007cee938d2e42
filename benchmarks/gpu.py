"""What share of a device's matrix products training and roll-outs reach.

    python benchmarks/gpu.py                  # of the GPU that torch finds; --device cpu tries the script itself

For closed-loop training steps (forward, backward, AdamW) and for closed-loop forecasts of a perceptron 256 x 2 and a
gated recurrent unit of 128, float32, 96 lags, 48 steps ahead: nominal multiply-adds per second of the clock as a share
of those of a product of two square matrices on the same device (the best of five, in float32 as torch sets it up: no
mixed precision). Nominal work is that of the weights alone: no credit for what is skipped. Prints a row each and one
line at the end; where there is no GPU, that line says so.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

# What is measured lies below the public names: the roll-out and the models themselves.
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import GRU, MLP
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.rollout import rollout
from tsforce.forcing import ClosedLoop

LAGS, HORIZON = 96, 48
MODELS = {"mlp": MLP((256, 256)), "gru": GRU(128)}


def seconds(work, device: torch.device, runs: int) -> float:
    """Return the median of some runs, the device's own work included."""

    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work()
    times = []
    for _ in range(runs):
        wait()
        began = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def matmul_rate(device: torch.device, size: int) -> float:
    """Return multiply-adds per second of a product of two square matrices."""
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    return size**3 / min(seconds(lambda: a @ b, device, 1) for _ in range(5))


def work_of(name: str, device: torch.device, windows: int):
    """Return a training step, a forecast, and the multiply-adds of one forward pass of both."""
    layout = LagLayout(tuple(range(1, LAGS + 1)))
    start = Linear(layout, torch.zeros(1, LAGS, 1, device=device), torch.zeros(1, 1, device=device))
    model = MODELS[name].build(start, torch.tensor([1], device=device)).to(device)
    context = LAGS + (HORIZON if name == "gru" else 0)
    past, future = (
        torch.randn(1, windows, context, 1, device=device),
        torch.randn(1, windows, HORIZON, 1, device=device),
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step():
        yhat, _ = rollout(model, past, HORIZON, ClosedLoop(), future=future)
        optimiser.zero_grad(set_to_none=True)
        (yhat - future).abs().mean().backward()
        optimiser.step()

    def ahead():
        with torch.inference_mode():
            rollout(model, past, HORIZON, ClosedLoop())

    # A recurrent network takes in the steps of the context that its lags leave.
    steps = HORIZON + context - LAGS
    return step, ahead, windows * steps * sum(p.numel() for p in model.parameters() if p.dim() > 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--windows", type=int, nargs="+", default=[1024, 16384])
    parser.add_argument("--size", type=int, default=8192, help="of the square matrices")
    asked = parser.parse_args()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        print("NOT MEASURED: torch finds no GPU here; --device cpu tries the script itself.")
        return
    device = torch.device(asked.device)
    label = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    rate = matmul_rate(device, asked.size)
    print(f"{label}, torch {torch.__version__}: {rate / 1e12:.3g} T multiply-adds/s in {asked.size} x {asked.size}")
    best = 0.0
    for name in MODELS:
        for windows in asked.windows:
            step, ahead, work = work_of(name, device, windows)
            shares = []
            # Backward is two products for each of the forward pass.
            for kind, todo, times in (("training", step, 3), ("forecasts", ahead, 1)):
                took = seconds(todo, device, 5)
                shares.append(times * work / took / rate)
                print(f"{name:4} {windows:6} windows  {kind:9} {1000 * took:9.2f} ms  {shares[-1]:6.1%} of matmul")
            best = max(best, *shares)
    print(f"MEASURED on {label}: up to {best:.1%} of its matmul rate.")


if __name__ == "__main__":
    main()
