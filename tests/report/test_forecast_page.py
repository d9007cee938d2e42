"""The page of a fitted forecaster, what an automatic choice says on it, and the command line's --report."""

from __future__ import annotations

import json
import re
from html import unescape

import numpy as np
import pytest
from click.testing import CliRunner

from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, Forecaster, NARXForecaster, compare
from tsforce.cli.main import main
from tsforce.errors import ArgumentError

pytest.importorskip("plotly", reason="no plotly: pip install 'tsforce[report]'")

EVIL = "<img src=x onerror=alert(1)>"
H = 4


def data_of(path):
    return json.loads(re.search(r'id="page-data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)[1])


def words_of(path):
    """The text of the page before its data."""
    body = path.read_text(encoding="utf-8").partition("<body>")[2].partition("<script")[0]
    return unescape(re.sub("<[^>]*>", " ", body))


@pytest.fixture(scope="module")
def df():
    return make_frame((60, 50, 45), ids=[EVIL, "b", "c"], freq="D")


@pytest.fixture(scope="module")
def auto(df):
    return AutoNARX(H, season_length=7, budget="fast").fit(df)


def test_the_page_of_a_forecaster_has_its_rows_and_what_predict_says(df, tmp_path):
    model = NARXForecaster(H, 7, scope="local", mode="open_loop", alias=EVIL).fit(df)
    ahead = model.predict(level=[80, 95])
    path = model.report(tmp_path / "r.html", level=[80, 95])
    data = data_of(path)
    assert "<img" not in path.read_text()
    assert data["metric"] is None
    assert [entry["id"] for entry in data["series"]] == [EVIL, "b", "c"]
    for entry in data["series"]:
        own, rows = ahead[ahead["unique_id"] == entry["id"]], df[df["unique_id"] == entry["id"]]
        (window,) = entry["windows"]
        np.testing.assert_allclose(entry["y"], rows["y"].tail(48), rtol=1e-4)
        np.testing.assert_allclose(window["forecasts"][0], own[EVIL], rtol=1e-4)
        for level, (low, high) in zip(data["levels"][0], window["bounds"][0], strict=True):
            np.testing.assert_allclose(low, own[f"{EVIL}-lo-{level:g}"], rtol=1e-4)
            np.testing.assert_allclose(high, own[f"{EVIL}-hi-{level:g}"], rtol=1e-4)
        at = window["cutoff"]
        assert data["stamps"][at] == str(rows["ds"].iloc[-1].date())
        assert data["stamps"][at + 1 : at + 1 + H] == [str(stamp.date()) for stamp in own["ds"]]
    said = words_of(path)
    assert "not fitted yet" not in said
    assert EVIL in said


def test_an_automatic_choice_says_of_every_series_what_explain_says(auto, tmp_path):
    path = auto.report(tmp_path / "r.html")
    data = data_of(path)
    errors = [entry["error"][0] for entry in data["series"]]
    assert errors == sorted(errors, reverse=True)
    for entry in data["series"]:
        explained = auto.explain(entry["id"]).frame
        heard = explained[explained["weight"] > 0]
        assert entry["heard"] == len(heard)
        rows = [(data["candidates"][at], error, weight) for at, error, weight in entry["why"]]
        for ((name, family), error, weight), own in zip(rows, heard.itertuples(), strict=False):
            same = explained[explained["candidate"] == name].iloc[0]
            assert weight == pytest.approx(own.weight, rel=1e-3)
            assert (family, error) == (same["family"], pytest.approx(same["error"], rel=1e-3))
        mean = (heard["error"] * heard["weight"]).sum() / heard["weight"].sum()
        assert entry["error"][0] == pytest.approx(mean, rel=1e-3)
    said = words_of(path)
    assert all(name in said for name in auto.leaderboard_["candidate"])


@pytest.mark.slow
def test_a_backtest_says_of_its_automatic_choice_why(df, tmp_path):
    models = [Baseline("naive"), AutoNARX(H, season_length=7, budget="fast")]
    data = data_of(compare(models, df, horizon=H).report(tmp_path / "r.html"))
    assert data["chooser"] == "AutoNARX"
    for entry in data["series"]:
        weights = [weight for _, _, weight in entry["why"]]
        assert weights == sorted(weights, reverse=True)
        assert 0 < sum(weights) <= 1.001


def test_a_forecaster_without_rows_of_its_own_says_what_has_a_report(df, tmp_path):
    class Mine(Forecaster):
        def fit(self, df, y=None, *, mode=None):
            self.train_end_ = df.groupby("unique_id")["ds"].max().rename("cutoff").reset_index()
            return self

    with pytest.raises(ArgumentError, match=r"Mine keeps none.*backtest"):
        Mine().fit(df).report(tmp_path / "r.html")


@pytest.fixture
def file(df, tmp_path):
    path = tmp_path / "rows.csv"
    df.to_csv(path, index=False)
    return path


def test_the_commands_write_pages(file, tmp_path):
    done = CliRunner().invoke(
        main,
        f"backtest {file} --horizon 4 --n-windows 2 --model naive,seasonal_naive --report {tmp_path / 'b.html'}",
    )
    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'b.html'}: a page for the browser." in done.stderr
    assert data_of(tmp_path / "b.html")["models"] == ["naive", "seasonal_naive"]
    done = CliRunner().invoke(
        main,
        f"forecast {file} --horizon 4 --model naive --level 80 --out {tmp_path / 'f.csv'} "
        f"--report {tmp_path / 'f.html'}",
    )
    assert done.exit_code == 0, done.output
    assert data_of(tmp_path / "f.html")["levels"] == [[80]]
    assert words_of(tmp_path / "f.html").split("Forecast")[0].strip().startswith("rows.csv: 4 steps ahead")


@pytest.mark.parametrize("command", ["forecast", "backtest"])
def test_a_page_of_another_name_is_refused_before_anything_is_read(command, file, tmp_path):
    done = CliRunner().invoke(main, [command, str(file), "--horizon", "4", "--report", str(tmp_path / "r.pdf")])
    assert done.exit_code == 2
    assert "ends in none of .html, .htm" in done.output
