"""What notebooks show: HTML in which every text is text, and nothing reaches beyond its own elements."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tsforce
from tests.makers import make_frame, sysid_record
from tsforce import AutoNARX, Baseline, Difference, Ensemble, NARXForecaster, NARXRegressor, compare, compare_modes
from tsforce.forecasting.update import Update
from tsforce.notebook import card, facts, folded, paragraphs, table, written
from tsforce.sysid import identification_report

EVIL = "<img src=x onerror=alert(1)>"
H = 4
VOID = {"br", "img", "input", "meta", "link", "hr"}


class Page(HTMLParser):
    """Elements, their attributes, and the text of a piece of HTML; complains about what is not closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.text, self._open = [], set(), [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def said(self):
        return " ".join(self.text)


def checked(html):
    """The page of a piece of HTML that is harmless, small and leaks no style."""
    page = Page(html)
    assert set(page.elements) <= {
        "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary",
    }  # fmt: skip
    assert page.attributes <= {"style", "scope"}
    assert len(html) < 30_000
    # Colours are the page's own, but for lines that are grey on both dark and light.
    assert "#" not in html.split("style=", 1)[1].split('"')[1]
    assert "background:#" not in html
    return page


@pytest.fixture(scope="module")
def df():
    return make_frame((60, 50), ids=[EVIL, "b & <c>"])


def forecasters():
    return {
        "NARXForecaster": NARXForecaster(H, 3, mode="open_loop", alias=EVIL, target_transforms=[Difference(7)]),
        "Baseline": Baseline("naive", horizon=H, alias=EVIL),
        "AutoNARX": AutoNARX(H, season_length=7, budget="fast", alias=EVIL),
        "Ensemble": Ensemble([Baseline("naive", horizon=H, alias=EVIL), Baseline("drift", horizon=H)], alias=EVIL),
    }


def test_every_public_estimator_is_shown_below():
    public = {name for name in tsforce.__all__ if hasattr(getattr(tsforce, name), "get_params")}
    assert public - {"Forecaster"} == {*forecasters(), "NARXRegressor"}


@pytest.fixture(scope="module")
def fitted(df):
    return {name: model.fit(df) for name, model in forecasters().items()}


@pytest.mark.parametrize("name", forecasters())
def test_a_forecaster_shows_what_was_set_beside_what_was_learnt(fitted, name):
    before, model = checked(forecasters()[name]._repr_html_()), fitted[name]
    assert "not fitted yet" in before.said
    after = checked(model._repr_html_())
    assert "not fitted yet" not in after.said
    assert EVIL in after.said  # its alias
    for learnt in ("train_end_", "season_length_"):
        assert learnt in after.text
        assert learnt not in before.text
    assert after.text.index("parameters") < after.text.index("learnt") < after.text.index("train_end_")
    assert after.text[after.text.index("train_end_") + 1] == "table of 2 rows: unique_id, cutoff"
    bundle = model._repr_mimebundle_()
    assert bundle == {"text/plain": repr(model), "text/html": model._repr_html_()}


def test_parameters_that_are_as_they_would_be_are_folded_away():
    page = checked(NARXForecaster(H, 3, ridge=5.0)._repr_html_())
    names = page.text[: page.text.index("by default")]
    assert [name for name in ("horizon", "lags", "ridge", "mode", "scope") if name in names] == [
        "horizon",
        "lags",
        "ridge",
    ]
    assert page.text[page.text.index("ridge") + 1] == "5.0"


def test_the_first_candidates_of_an_automatic_choice_stand_below_it(fitted):
    model = fitted["AutoNARX"]
    page = checked(model._repr_html_())
    best = model.leaderboard_.iloc[0]
    assert page.text[page.text.index(best["candidate"]) + 1] == f"{best['error']:.4g}"
    # The table itself is pandas', which escapes too.
    board = model.leaderboard_.assign(candidate=EVIL)
    assert "<img" not in board._repr_html_()
    explained = checked(model.explain(EVIL)._repr_html_())
    assert f"Series {EVIL}" in explained.text


def test_a_regressor_shows_itself_and_scikit_learns_diagram_of_a_pipeline_still_holds_it():
    u, y = sysid_record(80)
    X = pd.DataFrame({EVIL: u})
    model = NARXRegressor(2, 2, mode="open_loop").fit(X, y)
    page = checked(model._repr_html_())
    assert page.text[page.text.index("output_lags_") + 1] == "(1, 2)"
    assert checked(identification_report(model, X, y)._repr_html_())
    assert "NARXRegressor" in make_pipeline(StandardScaler(), model)._repr_html_()


def test_scikit_learns_option_for_text_is_heard(df):
    model = Baseline("naive")
    with sklearn.config_context(display="text"):
        assert not hasattr(model, "_repr_html_")
        assert list(model._repr_mimebundle_()) == ["text/plain"]


def test_results_show_their_scores_and_words_with_ids_and_names_as_text(df):
    result = compare({EVIL: Baseline("naive"), "b": Baseline("drift")}, df, horizon=H, n_windows=2, season_length=7)
    assert repr(result).startswith("BacktestResult: ")
    page = checked(result._repr_html_())
    scores = result.scores()
    row = page.text.index(EVIL)
    assert page.text[row + 1 : row + 5] == [f"{scores[c].iloc[0]:.4g}" for c in ("mase", "smape", "mae", "rmse")]
    assert result.verdict in page.text
    # A series that is left out is named in the notes.
    short = pd.concat([df, pd.DataFrame({"unique_id": "<b>short</b>", "ds": [1], "y": [1.0]})])
    noted = compare([Baseline("naive")], short, horizon=H)
    assert any("<b>short</b>" in text for text in checked(noted._repr_html_()).text)


def test_comparisons_and_histories_of_training_are_shown(df):
    model = NARXForecaster(H, 3, scope="local", mode="open_loop", alias=EVIL)
    page = checked(compare_modes(model, df, ["open_loop"])._repr_html_())
    assert page.text[:3] == ["ModeComparison against 'open_loop'", "mode", "MASE"]
    assert "open_loop" in page.text[3:]
    history = model.fit(df).history_
    page = checked(history._repr_html_())
    assert history.runs["run"].tolist()[0] in page.text
    assert f"TrainingHistory: {history.solver}" in page.text


def test_pieces_escape_whatever_they_are_given():
    whole = card(
        EVIL,
        paragraphs([EVIL]),
        facts(EVIL, {EVIL: EVIL}),
        folded(EVIL, table([{"x": EVIL, "n": 1.0}], {"x": EVIL, "n": EVIL})),
    )
    assert checked(whole).text.count(EVIL) == 9


def test_numbers_have_four_digits_missing_ones_a_dash_and_long_texts_an_end():
    page = checked(
        table([{"a": np.float64(1.23456), "b": np.nan, "c": "x" * 500, "d": 12}], {name: name for name in "abcd"})
    )
    assert page.text[4:6] == ["1.235", "-"]
    assert len(page.text[6]) == 120
    assert page.text[7] == "12"


def test_settings_are_one_short_line_however_much_they_hold():
    assert written({f"s{i}": "open_loop" for i in range(10_000)}).count("open_loop") == 3
    assert written(np.zeros((3, 4))) == "array of 3 x 4"
    assert "\n" not in written(Update("x", 1, 1, "state"))
    assert len(written("y" * 10_000)) <= 80
