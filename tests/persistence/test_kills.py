"""Nothing is broken, lost or changed by kill -9: the benchmark of kills, with a dozen of them."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_dozen_kills_break_lose_and_change_nothing(tmp_path):
    script, out = ROOT / "benchmarks" / "kills.py", tmp_path / "kills.csv"
    subprocess.run(
        [sys.executable, "-W", "ignore", script, "--kills", "12", "--seed", "7", "--out", out],
        check=True, capture_output=True, timeout=600, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    rows = pd.read_csv(out).set_index("job")
    assert rows["kills"].sum() >= 12
    assert not rows[["broken", "lost", "differing"]].any(axis=None)
