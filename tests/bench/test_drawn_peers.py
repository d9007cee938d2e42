"""The picture of libraries side by side is of the table of results."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
def test_every_model_that_ran_and_beats_naive2_has_its_point(tmp_path, no_window_stays_open):
    figure = runpy.run_path(str(BENCHMARKS / "peers" / "draw.py"))["draw"](tmp_path / "peers.png")
    rows = pd.read_csv(BENCHMARKS / "results" / "peers.csv")
    rows = rows[(rows["status"] == "ok") & (rows["owa"] < 1.02)]
    for panel in figure.axes:
        own = rows[rows["set"] == panel.get_title().replace("M3 ", "m3-")]
        assert sorted(text.xy[1] for text in panel.texts) == sorted(own["owa"])
        assert len(own) >= 9
