"""Which of several models is best, whether that is more than chance, and results that a terminal shows whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from tests.makers import make_frame
from tsforce import Baseline, NARXForecaster, backtest, compare, compare_modes
from tsforce.data.panel import WindowIndex
from tsforce.errors import ArgumentError
from tsforce.evaluation.paired import likely_differences, pairs_of, rank, say_winner

METHODS = [Baseline(name, season_length=7) for name in ("naive", "seasonal_naive", "drift")]


def test_models_are_ranked_by_their_error_and_tested_series_by_series():
    df = make_frame(tuple(range(60, 68)))
    bt = compare(METHODS, df, horizon=7, n_windows=3)
    table = bt.ranking()
    scores = bt.scores().set_index("model")["mase"].sort_values()
    assert table["model"].tolist() == scores.index.tolist()
    np.testing.assert_array_equal(table["mase"], scores)
    each = bt.scores(by="unique_id").pivot(index="unique_id", columns="model", values="mase")
    best = scores.index[0]
    ps = [wilcoxon(each[name] - each[best]).pvalue for name in scores.index[1:]]
    np.testing.assert_allclose(table["p"][1:], ps)
    np.testing.assert_allclose(table["p_holm"][1:], [2 * min(ps), max(2 * min(ps), max(ps))])
    assert np.isnan(table["p"][0])
    for row in table.iloc[1:].itertuples():
        difference = (each[row.model] - each[best]).to_numpy()
        means = np.sort([(a + b) / 2 for i, a in enumerate(difference) for b in difference[i:]])
        # Of 8 pairs, the fourth means from both ends: P(rank sum <= 3) = 5 / 256.
        np.testing.assert_allclose([row.low, row.high], means[[3, -4]], rtol=1e-9)
    assert bt.ranking("rmse").columns[1] == "rmse"
    with pytest.raises(ArgumentError, match="'mase', 'smape'"):
        bt.ranking("owa")


@pytest.mark.parametrize("n", [6, 8, 23, 50, 51, 80])
def test_the_interval_of_differences_holds_the_shifts_that_the_test_does_not_reject(n):
    differences = np.random.default_rng(n).standard_t(3, n) + 0.2
    low, high = likely_differences(differences)
    step = 1e-6
    for inside, outside in ((low + step, low - step), (high - step, high + step)):
        assert wilcoxon(differences - inside).pvalue > 0.05
        assert wilcoxon(differences - outside).pvalue < 0.05
    assert likely_differences(np.append(differences, np.nan)) == (low, high)
    assert np.isnan(likely_differences(differences[:5])).all()


def test_windows_are_compared_where_series_are_few_none_of_them_overlapping():
    df = make_frame((90,))
    bt = compare(METHODS, df, horizon=4, n_windows=20, step_size=3)
    each = bt.scores(by="cutoff").pivot(index="cutoff", columns="model", values="mase")
    # The last window, and those that end 6, 12 ... rows before it.
    apart = each.iloc[::-1][::2]
    table = bt.ranking().set_index("model")
    best = table.index[0]
    for name in table.index[1:]:
        assert table.loc[name, "p"] == pytest.approx(wilcoxon(apart[name] - apart[best]).pvalue)
        assert table.loc[name, "share_better"] == (apart[name] < apart[best]).mean()
    pairs = pairs_of(WindowIndex(np.array([0, 0, 0, 1, 1]), np.array([5, 7, 9, 7, 8])), 4)
    assert (pairs.what, pairs.chosen.tolist()) == ("windows", [0, 2, 4])


@pytest.mark.parametrize(
    ("errors", "n_pairs", "said"),
    [
        ({"a": 1.0, "b": 1.5}, 8, "a (1): lower than chance explains over 8 series than that of b (p = 0.0078) (Wil"),
        ({"a": 1.0, "b": [0.9, 1.2] * 4}, 8, "Lowest MASE: a (1): not told apart over 8 series from b (p = "),
        ({"a": 1.0, "b": 1.5}, 5, "Lowest MASE: a (1). Of 5 series no test can tell that from chance; it takes 6"),
        ({"a": 1.0, "b": [0.9] * 19 + [9.0]}, 20, "Lowest MASE: a (1): yet at most of 20 series above that of b (p = "),
        (
            {"a": 1.0, "b": 1.5, "c": [0.9, 1.2] * 4}, 8,
            "a (1): lower than chance explains over 8 series than that of b (p = 0.016); not told apart over 8 series "
            "from c (p = ",
        ),
    ],
)  # fmt: skip
def test_words_claim_what_the_test_found(errors, n_pairs, said):
    given = {name: np.broadcast_to(np.asarray(values, dtype=float), n_pairs).copy() for name, values in errors.items()}
    # Errors that differ by the same everywhere would tie.
    given["a"] = given["a"] + np.linspace(-1e-6, 1e-6, n_pairs)
    table = rank(pd.Series({name: values.mean() for name, values in given.items()}), given, "mase")
    assert said in say_winner(table, "mase", n_pairs, "series")


def test_a_comparison_says_who_is_best_and_one_model_alone_does_not():
    df = make_frame(tuple(range(60, 68)))
    bt = compare(METHODS, df, horizon=7)
    assert bt.verdict.startswith("Lowest MASE: seasonal_naive (")
    assert bt.verdict in " ".join(repr(bt).split())
    assert "Lowest" not in repr(backtest(METHODS[0], df, horizon=7))
    flat = compare(METHODS[:2], df.assign(y=np.where(df["ds"] < 60, 4.0, df["y"])).query("ds <= 61"), horizon=2)
    assert "MASE" in str(flat)


def test_results_are_shown_whole_in_80_columns():
    df = make_frame(tuple(range(60, 68)))
    models = {
        "a name that goes on and on and on without an end": METHODS[0],
        "seasonal_naive": METHODS[1],
        "large": Baseline("drift"),
    }
    huge = df.assign(y=df["y"] * 1e7)
    shown = str(compare(models, huge, horizon=7, n_windows=30))
    assert max(len(line) for line in shown.splitlines()) <= 80
    for heading in ("MASE", "sMAPE", "MAE", "RMSE", "series", "windows", "a name that goes on and on "):
        assert heading in shown
    assert "..." not in shown
    model = NARXForecaster(3, 4, max_steps=2)
    modes = compare_modes(model, df, ["open_loop", "closed_loop"], seeds=2)
    assert max(len(line) for line in str(modes).splitlines()) <= 80
    assert f"{modes.summary()['mase_mean'][1]:.4g}" in str(modes)
