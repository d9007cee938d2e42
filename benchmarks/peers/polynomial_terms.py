"""CPU seconds of choosing and fitting a polynomial's terms on Silverbox: tsforce, SysIdentPy and fastcan.

    python3 -m venv PEERS && PEERS/bin/pip install sysidentpy fastcan
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/peers/polynomial_terms.py --peers PEERS/bin/python [--data DIR]

Writes benchmarks/results/polynomial-speed.csv. The training record of Silverbox (65062 samples), standardised, the same
for all; outputs and inputs at lags 1 to 5, all monomials up to degree 3 (285 beside the constant), 20 terms and a
constant, least squares. Each library runs in a process of its own, one after the other, on one thread. Timed is the fit
alone, from arrays to a model that predicts, candidates and weights included: tsforce by NARXRegressor, SysIdentPy by
FROLS with a number of terms that is given (no order selection) and its LeastSquares, fastcan by make_narx and NARX.fit,
as it is by default and with eta=True. Lowest of 3 runs each. The RMSE is that of one-step forecasts of the same rows.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
OUT = REPOSITORY / "benchmarks" / "results" / "polynomial-speed.csv"
LAGS, DEGREE, TERMS = 5, 3, 20


def timed(work: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Return the lowest CPU seconds of some runs, and what came out."""
    seconds = []
    for _ in range(runs):
        began = time.process_time()
        found = work()
        seconds.append(time.process_time() - began)
    return min(seconds), found


def tsforce(u: np.ndarray, y: np.ndarray, runs: int) -> tuple[float, np.ndarray, int]:
    from tsforce import NARXRegressor
    from tsforce.models import Polynomial

    family = Polynomial(DEGREE, TERMS)

    def fit() -> Any:
        model = NARXRegressor(LAGS, LAGS, input_delay=1, model=family, mode="open_loop", ridge=0.0)
        return model.fit(u[:, None], y)

    seconds, model = timed(fit, runs)
    return seconds, model.one_step(u[:, None], y), len(model.model_.terms())


def sysidentpy(u: np.ndarray, y: np.ndarray, runs: int) -> tuple[float, np.ndarray, int]:
    from sysidentpy.basis_function import Polynomial
    from sysidentpy.model_structure_selection import FROLS
    from sysidentpy.parameter_estimation import LeastSquares

    def fit() -> Any:
        # It counts the constant among the terms.
        model = FROLS(
            ylag=LAGS, xlag=LAGS, basis_function=Polynomial(degree=DEGREE), n_terms=TERMS + 1, order_selection=False,
            estimator=LeastSquares(),
        )  # fmt: skip
        return model.fit(X=u[:, None], y=y[:, None])

    seconds, model = timed(fit, runs)
    return seconds, model.predict(X=u[:, None], y=y[:, None], steps_ahead=1)[:, 0], len(model.final_model) - 1


def fastcan(u: np.ndarray, y: np.ndarray, runs: int, *, eta: bool = False) -> tuple[float, np.ndarray, int]:
    from fastcan.narx import make_narx

    def fit() -> Any:
        model = make_narx(
            u[:, None], y, TERMS, max_delay=LAGS, poly_degree=DEGREE, include_zero_delay=[False], eta=eta, verbose=0
        )
        return model.fit(u[:, None], y)

    seconds, model = timed(fit, runs)
    yhat = np.full(len(y), float(np.ravel(model.intercept_)[0]))
    for weight, features, delays in zip(np.ravel(model.coef_), model.feat_ids_, model.delay_ids_, strict=True):
        product = np.ones(len(y) - LAGS)
        for feature, delay in zip(features, delays, strict=True):
            if feature >= 0:
                product = product * (u, y)[feature][LAGS - delay : len(y) - delay]
        yhat[LAGS:] += weight * product
    return seconds, yhat, len(model.feat_ids_)


LIBRARIES: dict[str, tuple[Callable[..., Any], str, int, dict[str, Any]]] = {
    "tsforce": (tsforce, "tsforce", 3, {}),
    "sysidentpy": (sysidentpy, "sysidentpy", 3, {}),
    "fastcan": (fastcan, "fastcan", 3, {}),
    "fastcan eta": (fastcan, "fastcan", 3, {"eta": True}),
}


def measure(name: str, path: str) -> None:
    """Print the row of one library, as JSON, for the arrays in a file."""
    work, package, runs, settings = LIBRARIES[name]
    with np.load(path) as arrays:
        u, y, scale = arrays["u"], arrays["y"], float(arrays["scale"])
    seconds, yhat, terms = work(u, y, runs, **settings)
    rest = (yhat - y)[LAGS:]
    versions = "; ".join(f"{p} {importlib.metadata.version(p)}" for p in (package, "numpy", "scipy"))
    row = {
        "library": name, "rows": len(rest), "candidates": math.comb(2 * LAGS + DEGREE, DEGREE) - 1, "terms": terms,
        "one_step_rmse_mv": 1000 * scale * float(np.sqrt((rest**2).mean())), "cpu_s": seconds, "runs": runs,
        "versions": f"python {platform.python_version()}; {versions}",
    }  # fmt: skip
    print(json.dumps(row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has sysidentpy and fastcan")
    parser.add_argument("--data", type=Path, help="folder with the parquet files; TSFORCE_DATA, else ../shared/data")
    parser.add_argument("--rows", type=int, help="only so many rows")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--measure", nargs=2, metavar=("LIBRARY", "FILE"), help="one library, on arrays in a file")
    given = parser.parse_args()
    if given.measure:
        measure(*given.measure)
        return
    import pandas as pd

    folder = given.data or Path(os.environ.get("TSFORCE_DATA", REPOSITORY / ".." / "shared" / "data"))
    table = pd.read_parquet(Path(folder) / "sysid-silverbox.parquet")
    table = table[(table["split"] == "train") & (table["record"] == 0)].iloc[: given.rows]
    u, y = (table[name].to_numpy(dtype=np.float64) for name in ("u", "y"))
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        path = str(Path(place) / "arrays.npz")
        np.savez(path, u=(u - u.mean()) / u.std(), y=(y - y.mean()) / y.std(), scale=y.std())
        for name in LIBRARIES:
            python = sys.executable if name == "tsforce" else given.peers
            done = subprocess.run(
                [python, __file__, "--measure", name, path], env=os.environ | one_thread, stdout=subprocess.PIPE,
                text=True, check=True,
            )  # fmt: skip
            rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
            print(rows[-1], flush=True)
    own = rows[0]["cpu_s"]
    frame = pd.DataFrame(rows)
    frame.insert(6, "times_tsforce", frame["cpu_s"] / own)
    frame["threads"] = 1
    frame["command"] = shlex.join(
        ["python", str(Path(__file__).resolve().relative_to(REPOSITORY)), "--peers", "PYTHON"]
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(given.out, index=False, float_format="%.6g", lineterminator="\n")


if __name__ == "__main__":
    main()
