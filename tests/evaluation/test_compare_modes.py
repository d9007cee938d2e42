"""compare_modes: against backtests one by one; the paired test against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from tests.makers import as_it_stands, make_frame
from tsforce import Baseline, Curriculum, NARXForecaster, Training, backtest, compare_modes
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.evaluation.paired import paired_test

MODES = ["open_loop", "closed_loop", "auto"]


def build(**settings):
    return NARXForecaster(
        4, 7, season_length=7, max_steps=10, training=Training(batch_size=4), **as_it_stands(scope="local", **settings)
    )


@pytest.fixture(scope="module")
def df():
    return make_frame((80, 60, 70, 65))


@pytest.fixture(scope="module")
def comparison(df):
    return compare_modes(build(), df, MODES, seeds=2, n_windows=3)


def test_each_run_is_the_backtest_of_that_mode_and_seed(df, comparison):
    for row in comparison.runs.itertuples():
        model = build(mode=row.mode.split(",")[0], random_state=row.seed)
        if row.mode == "open_loop":
            model.set_params(training__solver="adamw")
        bt = backtest(model, df, n_windows=3)
        assert row.mase == bt.scores()["mase"].item()
        exposure = bt.exposure()
        one = np.sqrt((exposure["rmse_one_step"] ** 2).mean())
        closed = np.sqrt((exposure["rmse_closed"] ** 2).mean())
        assert (row.one_step, row.gap) == pytest.approx((one, closed / one))
        assert row.drift_horizon == bt.exposure_summary()["drift_horizon"].item()
        part = comparison.horizons.query("mode == @row.mode and seed == @row.seed")
        np.testing.assert_allclose(part["gap"], exposure["gap"])
        np.testing.assert_allclose(part["mase"], bt.by_horizon()["mase"])


def test_the_summary_has_a_row_per_mode_with_spread_cost_and_test(comparison):
    table = comparison.summary()
    assert table["mode"].tolist() == [*MODES, "open_loop, closed form"]
    assert (table["mase_min"] <= table["mase_mean"]).all()
    assert table.loc[0, ["p", "p_holm"]].isna().all()
    assert table.loc[1:, "p_holm"].between(0, 1).all()
    assert (table.loc[:2, "steps"] > 0).all()
    assert (table["cpu_s"] > 0).all()
    assert "open_loop" in repr(comparison)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linear", "polynomial"])
def test_every_mode_is_trained_by_the_same_solver_and_what_was_given_stays(df, model):
    given = build(model=model)
    before = given.get_params()
    runs = compare_modes(given, df, MODES).runs.set_index("mode")
    assert given.get_params() == before
    assert runs.loc[MODES, "solver"].str.contains("AdamW").all()
    assert "least squares" in runs.loc["open_loop, closed form", "solver"]
    asked = build(model=model).set_params(training__solver="levenberg_marquardt", max_steps=3)
    assert asked.training.solver == "levenberg_marquardt"
    if model == "linear":
        runs = compare_modes(asked.set_params(training__batch_size="auto"), df, ["open_loop", "closed_loop"]).runs
        assert runs["mode"].tolist() == ["open_loop", "closed_loop"]


def test_beside_modes_on_moments_open_loop_is_the_closed_form_of_their_loss(df):
    model = build().set_params(training=None)
    runs = compare_modes(model, df, ["open_loop", "closed_loop"]).runs.set_index("mode")
    assert list(runs.index) == ["open_loop", "closed_loop"]
    assert "moments" in runs.loc["closed_loop", "solver"]
    plain = backtest(build(mode="open_loop", loss="huber"), df)
    assert runs.loc["open_loop", "mase"] == plain.scores()["mase"].item()


def test_open_loop_alone_and_networks_are_trained_as_they_stand(df):
    assert compare_modes(build(), df, ["open_loop"]).runs["mode"].tolist() == ["open_loop"]
    runs = compare_modes(build(model="mlp"), df, ["open_loop", "closed_loop"]).runs
    assert runs["mode"].tolist() == ["open_loop", "closed_loop"]


def test_the_paired_test_is_wilcoxons_with_holms_correction():
    rng = np.random.default_rng(0)
    base = rng.gamma(2.0, size=40)
    errors = {"a": base, "b": base - 0.1 + 0.2 * rng.normal(size=40), "c": base + 0.01 * rng.normal(size=40), "d": base}
    table = paired_test(errors, "a").set_index("mode")
    p = {k: wilcoxon(errors[k] - base).pvalue for k in ("b", "c")}
    assert table.loc["b", "p"] == pytest.approx(p["b"])
    assert table.loc["d", "p"] == 1
    first, second = sorted(p, key=p.get)
    assert table.loc[first, "p_holm"] == pytest.approx(min(1, 3 * p[first]))
    assert table.loc[second, "p_holm"] == pytest.approx(max(min(1, 3 * p[first]), min(1, 2 * p[second])))
    assert table.loc["d", "p_holm"] == 1
    assert table.loc["b", "share_better"] == np.mean(errors["b"] < base)


def test_a_forcing_is_a_mode_too(df):
    c = compare_modes(build(), df, ["open_loop", Curriculum(gradient="detach")])
    assert c.runs["mode"].tolist()[1].startswith("Curriculum(")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda df: compare_modes(Baseline("naive"), df), ArgumentTypeError, "mode and random_state"),
        (lambda df: compare_modes(build(), df, []), ArgumentError, "one or more different"),
        (lambda df: compare_modes(build(), df, ["auto", "auto"]), ArgumentError, "one or more different"),
        (lambda df: compare_modes(build(), df, ["auto"], reference="open_loop"), ArgumentError, "none of the modes"),
        (lambda df: compare_modes(build(), df, seeds=0), ArgumentError, "seeds=0"),
        (lambda df: compare_modes(build(), df, ["closed_lop"]), ArgumentError, "Did you mean 'closed_loop'"),
    ],
)
def test_bad_arguments_are_named(df, call, error, message):
    with pytest.raises(error, match=message):
        call(df)


# ---- pictures


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")


def test_the_picture_of_modes_labels_axes_and_tells_modes_apart_by_style(comparison, tmp_path):
    figure = comparison.plot()
    (ax,) = figure.axes
    assert ax.get_xlabel() == "steps after the cutoff"
    assert "scale" in ax.get_ylabel()
    closed = [line for line in ax.lines if "closed loop" in str(line.get_label())]
    assert len({line.get_linestyle() for line in closed}) == len(MODES) + 1
    figure.savefig(tmp_path / "modes.png")


def test_pictures_draw_into_given_axes(df, comparison):
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    assert comparison.plot(ax=ax) is figure
    history = build(model="mlp").fit(df, mode="curriculum").history_
    figure, ax = plt.subplots()
    assert history.plot(ax=ax) is figure
    assert [a.get_ylabel() for a in figure.axes][1].startswith("forcing ratio")
    assert isinstance(history.frame, pd.DataFrame)
    plt.close("all")
