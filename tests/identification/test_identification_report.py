"""identification_report: its figures against plain arithmetic, its tests on systems that are known, its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.stats import chi2
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.diagnostic import acorr_ljungbox

from tsforce import NARXRegressor
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.identification.residual_tests import judge_residuals
from tsforce.sysid import fit_percent, identification_report, simulation_rmse

A, B = (1.5, -0.7), (0.5, 0.3)


class ARX:
    """y[t] = a1 y[t-1] + a2 y[t-2] + b1 u[t-1] + b2 u[t-2], with coefficients that are given, not learnt."""

    def __init__(self, a=A, b=B):
        self.a, self.b = a, b

    def step(self, y, u):
        return self.a[0] * y[-1] + self.a[1] * y[-2] + self.b[0] * u[-1] + self.b[1] * u[-2]

    def predict(self, X, y_init=None, session_sizes=None):
        if session_sizes is not None:
            parts = np.split(np.asarray(X), np.cumsum(session_sizes)[:-1])
            return np.concatenate([self.predict(part, head) for part, head in zip(parts, y_init, strict=True)])
        u, y = np.append([0.0, 0.0], np.asarray(X)[:, 0]), [0.0, 0.0, *np.ravel(y_init)]
        while len(y) < len(u):
            y.append(self.step(y[-2:], u[len(y) - 2 : len(y)]))
        return np.array(y[2:])

    def one_step(self, X, y, session_sizes=None):
        if session_sizes is not None:
            cuts = np.cumsum(session_sizes)[:-1]
            parts = zip(np.split(np.asarray(X), cuts), np.split(np.asarray(y), cuts), strict=True)
            return np.concatenate([self.one_step(own, measured) for own, measured in parts])
        u, y = np.append([0.0, 0.0], np.asarray(X)[:, 0]), np.append([0.0, 0.0], np.asarray(y))
        return self.step([y[:-2], y[1:-1]], [u[:-2], u[1:-1]])


def record(seed, n=600, noise=0.2, kind="arx", feedback=0.0):
    """A record of the system; its noise is white in the equation ("arx"), or at the output ("oe")."""
    rng = np.random.default_rng(seed)
    u, e = rng.normal(size=n), noise * rng.normal(size=n)
    if noise and not feedback:
        clean = lfilter([0.0, *B], [1.0, *np.negative(A)], u)
        return u[:, None], clean + (lfilter([1.0], [1.0, *np.negative(A)], e) if kind == "arx" else e)
    y = np.zeros(n)
    for t in range(2, n):
        u[t] -= feedback * y[t - 1]
        y[t] = ARX().step(y[t - 2 : t], u[t - 2 : t]) + e[t]
    return u[:, None], y


def verdicts(report, output="y"):
    own = report.tests[report.tests["output"] == output]
    return dict(zip(own["test"], own["passed"], strict=True))


# ---- figures


def test_scores_are_those_of_the_simulation_after_the_rows_it_was_given():
    X, y = record(0)
    report = identification_report(ARX(), X, y, skip=7)
    simulated = ARX().predict(X, y[:7])
    (row,) = report.scores.itertuples()
    assert (row.output, row.n, row.skip) == ("y", 593, 7)
    assert row.rmse == pytest.approx(simulation_rmse(y, simulated, skip=7), rel=1e-12)
    assert row.fit_percent == pytest.approx(fit_percent(y, simulated, skip=7), rel=1e-12)
    assert row.nrmse == pytest.approx(1 - row.fit_percent / 100)
    one = np.sqrt(np.mean((y - ARX().one_step(X, y))[7:] ** 2))
    assert row.one_step_rmse == pytest.approx(one, rel=1e-12)
    assert row.gap == pytest.approx(row.rmse / one)
    np.testing.assert_array_equal(report.simulation["y_simulated"], simulated)
    np.testing.assert_array_equal(report.simulation["y_one_step"], ARX().one_step(X, y))


def test_whiteness_is_statsmodels_ljung_box_of_the_residuals():
    X, y = record(1)
    report = identification_report(ARX(), X, y, skip=2)
    table = acorr_ljungbox((y - ARX().one_step(X, y))[2:], lags=[25])
    row = report.tests[report.tests["test"] == "own past"].iloc[0]
    assert row["statistic"] == pytest.approx(float(table["lb_stat"].iloc[0]), rel=1e-10)
    assert row["p"] == pytest.approx(float(table["lb_pvalue"].iloc[0]), rel=1e-8)
    assert row["lags"] == "1 to 25"
    own = report.correlations[report.correlations["input"].isna()]
    np.testing.assert_allclose(own["bound"], 2.5758293 * np.sqrt(598 - np.arange(1, 26)) / 598, rtol=1e-6)


def test_bounds_of_several_records_count_the_pairs_that_there_are():
    """White residuals of 20 records of 12 rows: at 90 %, a tenth of the correlations at each lag lies outside."""
    rng, outside = np.random.default_rng(20), np.zeros(8)
    for _ in range(100):
        e, none = rng.normal(size=(240, 1)), np.empty((240, 0))
        found = judge_residuals(e, none, np.full(20, 12), 8, 0.9, ["y"], []).correlations
        outside += found["outside"].to_numpy()
    # At lags 6 to 8, half of 240 pairs or fewer are there: bounds for 240 would hold all but 1 in 80.
    assert outside[5:].mean() / 100 == pytest.approx(0.1, abs=0.05)
    assert outside[:3].mean() / 100 == pytest.approx(0.1, abs=0.05)


def test_both_sides_of_lag_0_are_there_with_their_bounds():
    X, y = record(2)
    report = identification_report(ARX(), X, y, skip=2, n_lags=10, level=0.95)
    cross = report.correlations[report.correlations["input"] == "x0"]
    assert cross["lag"].tolist() == list(range(-10, 11))
    np.testing.assert_allclose(cross["bound"], 1.96 / np.sqrt(588), rtol=0.2)
    assert (cross["outside"] == (cross["correlation"].abs() > cross["bound"])).all()
    assert report.tests["lags"].tolist() == ["1 to 10", "0 to 10", "-10 to -1"]
    assert report.tests["degrees"].tolist() == [10, 11, 10]


def test_records_are_simulated_each_from_its_own_start():
    X, y = record(3, n=300)
    sizes = [120, 180]
    report = identification_report(ARX(), X, y, skip=4, session_sizes=sizes)
    parts = [ARX().predict(X[:120], y[:4]), ARX().predict(X[120:], y[120:124])]
    np.testing.assert_array_equal(report.simulation["y_simulated"], np.concatenate(parts))
    scored = np.concatenate([np.arange(4, 120), np.arange(124, 300)])
    error = np.sqrt(np.mean((y - np.concatenate(parts))[scored] ** 2))
    assert report.scores["rmse"].item() == pytest.approx(error, rel=1e-12)
    assert report.scores["n"].item() == 292
    assert report.simulation["record"].tolist() == [0] * 120 + [1] * 180


def test_outputs_and_inputs_keep_their_names_and_each_pair_its_tests():
    rng = np.random.default_rng(4)
    X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["valve", "pump"])
    level = lfilter([0, 1.0], [1, -0.5], X["valve"]) + 0.1 * rng.normal(size=400)
    flow = lfilter([0, 0, 2.0], [1, -0.2], X["pump"]) + 0.1 * rng.normal(size=400)
    y = pd.DataFrame({"level": level, "flow": flow})
    model = NARXRegressor(2, 3, mode="open_loop").fit(X[:250], y[:250])
    report = identification_report(model, X[250:], y[250:])
    assert report.scores["output"].tolist() == ["level", "flow"]
    assert report.scores["skip"].tolist() == [2, 2]
    pairs = report.tests.loc[report.tests["test"] == "input", ["output", "input"]]
    assert pairs.values.tolist() == [[o, i] for o in ("level", "flow") for i in ("valve", "pump")]
    assert report.words().count("simulated over 148 rows") == 2
    assert "NARXRegressor, flow:" in report.words()


# ---- what the tests say of systems that are known


@pytest.mark.slow
def test_residuals_of_the_true_model_fail_about_as_often_as_the_level_says():
    """100 records of the system, each of three tests at 5 %: 5 are to fail of each."""
    failed = pd.Series(0, index=["own past", "input", "later input"])
    for seed in range(100):
        X, y = record(seed, n=300)
        tests = identification_report(ARX(), X, y, skip=2, n_lags=10, level=0.95).tests
        failed += (~tests.set_index("test")["passed"]).astype(int)
    # A binomial of 100 and .05 lies between 1 and 12 but for one time in 130.
    assert failed.between(1, 12).all(), failed


def test_a_model_of_too_low_an_order_fails_both_tests():
    for seed in range(5):
        X, y = record(seed)
        model = NARXRegressor(1, 1, mode="open_loop").fit(*record(seed + 100))
        found = verdicts(identification_report(model, X, y))
        assert not found["own past"]
        assert not found["input"]


def test_an_input_lag_that_is_missed_shows_at_that_lag_and_not_in_whiteness():
    """The part of the input that is left out is white, so that only the input tells of it."""
    X, y = record(5)
    report = identification_report(ARX(b=(0.5, 0.0)), X, y, skip=2)
    assert not verdicts(report)["input"]
    cross = report.correlations[report.correlations["input"] == "x0"]
    assert cross["lag"][cross["correlation"].abs().idxmax()] == 2
    assert "They still owe something to x0" in report.words()
    assert "most at lag 2" in report.words()


def test_noise_at_the_output_leaves_residuals_coloured_and_the_input_clean():
    """The true dynamics: one step ahead its residuals are not white, and that is no fault of a simulation."""
    rejected = 0
    for seed in range(20):
        X, y = record(seed, kind="oe")
        found = verdicts(identification_report(ARX(), X, y, skip=2))
        assert not found["own past"]
        rejected += not found["input"]
    assert rejected <= 1


def test_feedback_in_the_data_shows_on_the_other_side_of_lag_0():
    X, y = record(6, n=2000, noise=2.0, feedback=0.1)
    report = identification_report(ARX(), X, y, skip=2)
    assert verdicts(report) == {"own past": True, "input": True, "later input": False}
    assert "feedback" in report.words()


def test_p_values_are_chi_squared():
    X, y = record(7)
    tests = identification_report(ARX(b=(0.45, 0.3)), X, y, skip=2).tests
    np.testing.assert_allclose(tests["p"], chi2.sf(tests["statistic"], tests["degrees"]))
    assert (tests["passed"] == (tests["p"] > 0.01)).all()


def test_exact_simulation_of_data_without_noise_has_nothing_to_test():
    X, y = record(8, noise=0.0)
    report = identification_report(ARX(), X, y, skip=2)
    assert report.scores["fit_percent"].item() == pytest.approx(100)
    assert report.tests["passed"].isna().all()
    assert "nothing to test" in report.words()


@pytest.mark.parametrize("end", [np.inf, 200.0])
def test_a_simulation_that_diverges_is_said_to(end):
    class Diverges(ARX):
        def predict(self, X, y_init=None, session_sizes=None):
            return np.where(np.arange(len(X)) > 50, end, 0.0)

    X, y = record(9)
    report = identification_report(Diverges(), X, y, skip=2)
    assert np.isfinite(report.scores["rmse"].item()) == np.isfinite(end)
    assert report.scores["fit_percent"].item() < -900
    assert "diverged" in report.words()


@pytest.mark.parametrize("error", [0.0, 1.0])
def test_a_constant_output_has_no_fit_percent_and_has_not_diverged(error):
    class Constant(ARX):
        def predict(self, X, y_init=None, session_sizes=None):
            return np.full(len(X), 3.0 + error)

        def one_step(self, X, y, session_sizes=None):
            return np.full(len(X), 3.0)

    X, _ = record(9)
    text = identification_report(Constant(), X, np.full(600, 3.0), skip=2).words()
    assert f"its RMSE is {error:g} in units of y; one step ahead, on the same rows, it is 0." in text
    assert "The measured output does not vary: there is no fit percent." in text
    assert "diverged" not in text
    assert "nan" not in text
    assert ("gap" in text) == bool(error)


# ---- words


def test_words_say_what_the_frames_say():
    X, y = record(10)
    report = identification_report(ARX(), X, y, skip=2, name="truth")
    row = report.scores.iloc[0]
    text = report.words()
    assert text.startswith(
        f"truth: simulated over 598 rows, after 2 measured at the start, it fits {row.fit_percent:.1f}"
    )
    assert f"an exposure gap of {row.gap:.2f}: compare it between models, never with 1" in text
    assert "Its one-step residuals are white" in text
    assert "They owe nothing to x0" in text
    assert "noise that no input tells of" in text
    assert repr(report) == text


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("open_loop", "more output_lags may take it in, mode='closed_loop' does not mind it"),
        ("closed_loop", "Trained on its own outputs, a model is not asked for white residuals"),
    ],
)
def test_advice_depends_on_what_the_model_was_trained_in(mode, said):
    model = ARX()
    model.kept_mode_ = mode
    X, y = record(11, kind="oe")
    assert said in identification_report(model, X, y, skip=2).words()


def test_a_poor_model_trained_in_open_loop_is_advised_to_close_it():
    model = NARXRegressor(1, 1, mode="open_loop").fit(*record(12))
    assert "not linear; mode='closed_loop'" in identification_report(model, *record(13)).words()


# ---- bad arguments


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "ARX has neither output_lags_ nor input_lags_; expected skip="),
        ({"skip": "a"}, "skip='a': expected a whole number from 0 to 592"),
        ({"skip": -1}, "skip=-1: expected a whole number from 0 to 592"),
        ({"skip": 595}, "skip=595: expected a whole number from 0 to 592"),
        ({"skip": 2, "n_lags": 0}, "n_lags=0: expected a whole number from 1 to 199"),
        ({"skip": 2, "n_lags": 300}, "n_lags=300"),
        ({"skip": 2, "level": 1.0}, "level=1.0: expected a share"),
        ({"skip": 2, "level": "x"}, "level='x': expected a share"),
        ({"skip": 2, "session_sizes": [100, 400]}, r"session_sizes=\[100, 400\].*600 rows"),
        ({"skip": 2, "session_sizes": 300}, "session_sizes=300: expected a list of whole numbers"),
        ({"skip": 2, "session_sizes": [300.5, 299.5]}, "expected a list of whole numbers"),
        ({"skip": 2, "session_sizes": [595, 5]}, "the shortest record has 5 rows; expected 10 at least, 2 of them"),
    ],
)
def test_bad_settings_are_named(settings, message):
    X, y = record(14)
    with pytest.raises(ArgumentError, match=message):
        identification_report(ARX(), X, y, **settings)


@pytest.mark.parametrize("rows", [3, 8])
@pytest.mark.parametrize("skip", [None, 2])
def test_a_record_that_is_too_short_is_told_how_long_it_is_to_be(rows, skip):
    model = ARX()
    model.output_lags_ = (1, 2)
    X, y = record(14, n=rows)
    with pytest.raises(ArgumentError, match=f"the shortest record has {rows} rows; expected 10 at least, 2 of them"):
        identification_report(model, X, y, skip=skip)


def test_a_pipeline_is_sent_to_its_last_step():
    X, y = record(15)
    pipe = make_pipeline(StandardScaler(), NARXRegressor(mode="open_loop")).fit(X, y)
    with pytest.raises(ArgumentTypeError, match=r"Pipeline without one_step\(\).*model\[:-1\].transform\(X\)"):
        identification_report(pipe, X, y)
    assert identification_report(pipe[-1], pipe[:-1].transform(X), y).scores["fit_percent"].item() > 50


def test_bad_data_are_named():
    X, y = record(15)
    with pytest.raises(ArgumentError, match="X is no table of numbers"):
        identification_report(ARX(), [["a"]] * 600, y, skip=2)
    with pytest.raises(ArgumentError, match="X has 600 rows and y 599"):
        identification_report(ARX(), X, y[1:], skip=2)
    with pytest.raises(ArgumentError, match=r"infinity: y in row 30; .*without_gaps\(X, y, shortest=10\)"):
        identification_report(ARX(), X, np.where(np.arange(600) == 30, np.nan, y), skip=2)

    class Short(ARX):
        def one_step(self, X, y, session_sizes=None):
            return np.asarray(y)[1:]

    with pytest.raises(ArgumentError, match=r"one_step\(\) gave shape \(599, 1\); expected \(600, 1\)"):
        identification_report(Short(), X, y, skip=2)
    with pytest.raises(ArgumentTypeError, match=r"ndarray without predict\(\)"):
        identification_report(y, X, y, skip=2)
