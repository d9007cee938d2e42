"""The page of a bench: every row of it, failures in words, names as text, and the numbers that it draws."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tsforce.cli.main import main
from tsforce.errors import ArgumentError
from tsforce.report import report_bench

pytest.importorskip("plotly", reason="no plotly: pip install 'tsforce[report]'")
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def rows():
    known = {"mode": "", "seed": None, "smape": 10.0, "mase": 1.0, "one_step": 0.5, "gap": 2.0, "status": "ok"}
    many = [
        {**known, "model": "naive2", "owa": 1.0, "fit_cpu_s": 0.1, "predict_cpu_s": 0.1},
        {**known, "model": "mlp", "mode": "auto", "seed": 0, "owa": 0.91, "fit_cpu_s": 3.0, "predict_cpu_s": 0.5},
        {**known, "model": "mlp", "mode": "auto", "seed": 1, "owa": 0.93, "fit_cpu_s": 3.1, "predict_cpu_s": 0.5},
        {**known, "model": EVIL, "owa": np.nan, "fit_cpu_s": np.nan, "predict_cpu_s": np.nan,
         "status": "failed: NumericalError: no step was finite"},
    ]  # fmt: skip
    return pd.DataFrame(many).assign(**{"coverage-80": 0.79, "width-80": 2.0, "msis-80": 3.0})


def text_of(rows, folder):
    return report_bench(rows, folder / "bench.html", title=f"M3 {EVIL}").read_text()


def test_the_page_holds_every_row_best_first_and_what_failed_in_words(rows, tmp_path):
    text = text_of(rows, tmp_path)
    board = text[text.index('<section id="models">') : text.index('<section id="owa">')]
    cells = [re.sub("<[^>]*>", "|", row).strip("|").split("||") for row in board.split("<tr")[2:]]
    assert [row[0].split("|")[-1] for row in cells[:3]] == ["mlp", "mlp", "naive2"]
    assert "no step was finite" in board
    assert "coverage 80 %" in board
    assert "Lowest OWA: mlp auto." in text


def test_no_name_is_markup_and_the_numbers_drawn_are_those_of_the_rows(rows, tmp_path):
    text = text_of(rows, tmp_path)
    assert EVIL not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    data = json.loads(re.search(r'id="page-data">(.*?)</script>', text, flags=re.S)[1])
    assert data["models"] == ["mlp auto", "naive2"]
    assert data["bench"] == {"of": ["mlp auto", "mlp auto", "naive2"], "owa": [0.91, 0.93, 1.0], "cpu": [3.5, 3.6, 0.2]}


def test_a_page_of_failures_alone_is_still_a_page(rows, tmp_path):
    text = text_of(rows.assign(owa=np.nan, status="failed: SeriesTooShortError: 3 rows"), tmp_path)
    assert "Lowest OWA" not in text
    assert text.count("3 rows") == 4


def test_a_name_that_is_no_page_is_refused_before_anything_runs(rows, tmp_path):
    with pytest.raises(ArgumentError, match=r"ending in \.html"):
        report_bench(rows, tmp_path / "bench.pdf", title="M3")
    told = CliRunner().invoke(main, ["bench", "m3", "--group", "other", "--report", str(tmp_path / "bench.pdf")])
    assert told.exit_code == 2
    assert ".html" in told.output
    assert list(tmp_path.iterdir()) == []


def test_a_bench_writes_its_page_on_the_command_line(tmp_path):
    command = ["bench", "m3", "--group", "other", "--models", "naive", "--out", str(tmp_path / "rows")]
    told = CliRunner().invoke(main, [*command, "--report", str(tmp_path / "page.html")])
    assert told.exit_code == 0, told.output
    assert "page.html: a page for the browser." in told.output
    text = (tmp_path / "page.html").read_text()
    assert "m3 other: 174 series; horizon 8" in text
    assert '"of":["naive2","naive"]' in text
