"""The page of a backtest: one file that reaches nothing, in which every text is text and the numbers are the scores."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import Baseline, NARXForecaster, backtest, compare
from tsforce.errors import ArgumentError

pytest.importorskip("plotly", reason="no plotly: pip install 'tsforce[report]'")

EVIL = "<img src=x onerror=alert(1)>"
CLOSING = "</script><script>alert(2)</script>"
H = 4


class Page(HTMLParser):
    """What a page holds, by kind."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.ids, self.scripts, self.policy, self.cells, self._in = [], [], [], "", [], []
        self.links, self.handlers = [], []
        self.feed(text)
        self.close()
        self.data = json.loads(next(text for kind, text in self.scripts if kind == "application/json"))

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        self.elements.append(tag)
        self.ids += [own["id"]] if "id" in own else []
        self.links += [own[name] for name in ("src", "href", "action") if name in own]
        self.handlers += [name for name in own if name.startswith("on")]
        self._in.append(tag)
        if tag == "script":
            self.scripts.append([own.get("type"), ""])
        if tag in ("td", "th"):
            self.cells.append("")
        if own.get("http-equiv") == "Content-Security-Policy":
            self.policy = own["content"]

    def handle_endtag(self, tag):
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" in self._in:
            self.scripts[-1][1] += data
        elif {"td", "th"} & set(self._in):
            self.cells[-1] += data

    def row(self, name):
        """The cells after the first one that says `name`."""
        return self.cells[self.cells.index(name) + 1 :]


@pytest.fixture(scope="module")
def result():
    df = make_frame((60, 62, 64, 66, 68, 70, 72), ids=[EVIL, CLOSING, "a & b", "s3", "s4", "s5", "s6"], freq="D")
    models = {
        "linear": NARXForecaster(H, 7, scope="local", mode="open_loop"),
        EVIL: Baseline("seasonal_naive"),
        "last": Baseline("naive"),
    }
    return compare(models, df, n_windows=3, season_length=7, level=[80, 95])


@pytest.fixture(scope="module")
def text(result, tmp_path_factory):
    where = tmp_path_factory.mktemp("page") / "report.html"
    assert result.report(where) == where
    return where.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_reaches_nothing_and_allows_its_own_scripts_alone(page, text):
    directives = dict(part.strip().split(" ", 1) for part in page.policy.split(";"))
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert directives["img-src"] == "data:"
    run = [script for kind, script in page.scripts if kind is None]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in run]
    assert directives["script-src"].split() == hashes
    assert len(run) == 2
    assert all(link.startswith("#") for link in page.links)
    assert page.handlers == []
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_no_id_and_no_name_becomes_an_element(page, text):
    assert "img" not in page.elements
    assert page.elements.count("script") == 3
    assert [entry["id"] for entry in page.data["series"] if "<" in entry["id"]] != []
    assert {entry["id"] for entry in page.data["series"]} == {EVIL, CLOSING, "a & b", "s3", "s4", "s5", "s6"}
    # Not even as text of the script block.
    assert "alert(2)</script>" not in text


def test_the_leaderboard_has_the_scores_and_the_paired_test(page, result):
    ranking = result.ranking()
    scores = result.scores().set_index("model")
    for place, name in enumerate(ranking["model"]):
        own = scores.loc[name]
        assert page.row(name)[:4] == [f"{own[c]:.4g}" for c in ("mase", "smape", "mae", "rmse")]
        if place:
            row = ranking.iloc[place]
            tested = page.row(f"against {ranking['model'].iloc[0]}")
            cells = tested[tested.index(name) + 1 :]
            assert cells[0] == f"{row['median_difference']:.4g}"
            assert cells[1].replace("\u00a0", " ") == f"{row['low']:.4g} to {row['high']:.4g}"
            assert cells[3] == f"{row['p']:.4g}"


def test_what_the_script_draws_is_what_the_frames_say(page, result):
    data, models = page.data, result.scores()["model"].tolist()
    assert data["models"] == models
    steps = result.by_horizon()
    each = result.scores(by="unique_id").set_index(["model", "unique_id"])["mase"]
    for nth, name in enumerate(models):
        own = steps[steps["model"] == name]
        np.testing.assert_allclose(data["steps"][nth], own["mase"], rtol=1e-5)
        for entry in data["series"]:
            assert entry["error"][nth] == pytest.approx(each[name, entry["id"]], rel=1e-4)
        shares = [own["share"] for own in data["coverage"] if own["model"] == nth and own["level"] == 95]
        np.testing.assert_allclose(shares[0], own["coverage-95"], rtol=1e-5)
    gap = result.exposure()
    np.testing.assert_allclose(data["gap"][0]["one"], gap["rmse_one_step"], rtol=1e-5)


def test_each_series_has_its_rows_and_the_forecasts_and_bounds_of_every_cutoff_at_their_stamps(page, result):
    frame, data = result.frame, page.data
    for entry in data["series"]:
        own = frame[frame["unique_id"] == entry["id"]]
        assert len(entry["windows"]) == 3
        for window, (cutoff, part) in zip(entry["windows"], own.groupby("cutoff"), strict=True):
            at = window["cutoff"]
            assert data["stamps"][at] == str(cutoff.date())
            assert data["stamps"][at + 1 : at + 1 + H] == [str(stamp.date()) for stamp in part["ds"]]
            begin = at + 1 - entry["start"]
            np.testing.assert_allclose(entry["y"][begin : begin + H], part["y"], rtol=1e-4)
            for nth, name in enumerate(data["models"]):
                np.testing.assert_allclose(window["forecasts"][nth], part[name], rtol=1e-4)
                low, high = window["bounds"][nth][data["levels"][nth].index(80)]
                np.testing.assert_allclose(low, part[f"{name}-lo-80"], rtol=1e-4)
                np.testing.assert_allclose(high, part[f"{name}-hi-80"], rtol=1e-4)


def test_series_stand_in_order_of_the_errors_of_the_best_model(page):
    errors = [entry["error"][page.data["first"]] for entry in page.data["series"]]
    assert errors == sorted(errors, reverse=True)


def test_of_more_series_than_fit_some_are_shown_over_all_errors_and_the_page_says_so(tmp_path, monkeypatch):
    from tsforce.report import backtest_page

    monkeypatch.setattr(backtest_page, "MOST_SERIES", 4)
    result = backtest(Baseline("naive"), make_frame([30] * 9), horizon=H)
    text = result.report(tmp_path / "r.html").read_text()
    data = Page(text).data
    each = result.scores(by="unique_id").sort_values("mase", ascending=False)["unique_id"].tolist()
    assert [entry["id"] for entry in data["series"]] == [each[0], each[3], each[5], each[8]]
    assert "4 of 9 series, spread evenly over the errors of naive" in text
    assert "pairs" not in Page(text).ids


@pytest.mark.slow
def test_a_thousand_series_of_three_models_and_four_cutoffs_take_three_megabytes_and_few_seconds(tmp_path):
    from plotly.offline import get_plotlyjs

    df = make_frame([130] * 1000, freq="MS")
    names = ("naive", "drift", "seasonal_naive")
    result = compare([Baseline(name) for name in names], df, horizon=18, n_windows=4, season_length=12)
    began = time.process_time()
    where = result.report(tmp_path / "r.html")
    # About one; the bound is for a machine that does other things too.
    assert time.process_time() - began < 10
    assert where.stat().st_size - len(get_plotlyjs().encode()) <= 3_000_000
    assert len(Page(where.read_text(encoding="utf-8")).data["series"]) == 1000


def test_series_of_every_second_month_keep_their_own_stamps(tmp_path):
    parts = []
    for name, start in (("even", "2010-02-01"), ("odd", "2010-01-01")):
        stamps = pd.date_range(start, periods=30, freq="2MS")
        parts.append(pd.DataFrame({"unique_id": name, "ds": stamps, "y": np.arange(30.0)}))
    result = backtest(Baseline("naive"), pd.concat(parts), horizon=3)
    data = Page(result.report(tmp_path / "r.html").read_text()).data
    for entry in data["series"]:
        shown = data["stamps"][entry["start"] : entry["start"] + len(entry["y"])]
        months = {int(stamp[5:7]) % 2 for stamp in shown}
        assert months == ({0} if entry["id"] == "even" else {1})


def test_numbers_that_are_not_finite_and_missing_ones_are_none(tmp_path):
    df = make_frame((40, 40))
    df.loc[35, "y"] = np.nan
    result = backtest(NARXForecaster(H, 2, missing="own_output", mode="open_loop"), df, n_windows=2)
    page = Page(result.report(tmp_path / "r.html").read_text())
    entry = next(entry for entry in page.data["series"] if entry["id"] == "s0")
    assert entry["y"].count(None) == 1
    assert page.row("missing values of the target")[0] == "1"


def test_several_targets_are_shown_one_at_a_time(tmp_path):
    df = make_frame((40, 40))
    df["heat"] = df["y"] + 100.0
    result = backtest(Baseline("naive", target_col=["y", "heat"]), df, horizon=H)
    data = Page(result.report(tmp_path / "r.html", target="heat").read_text()).data
    assert data["target"] == "heat"
    assert min(data["series"][0]["y"]) > 100
    with pytest.raises(ArgumentError, match="'y', 'heat'"):
        result.report(tmp_path / "r.html", target="cold")


@pytest.mark.parametrize("name", ["report.pdf", "there/is/no/folder.html"])
def test_a_path_that_is_none_is_an_error_before_anything_is_computed(result, name, tmp_path):
    with pytest.raises(ArgumentError, match=re.escape(name)):
        result.report(tmp_path / name)
