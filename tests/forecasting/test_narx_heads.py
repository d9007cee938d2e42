"""NARXForecaster with a head: laws of the next value, learnt in every mode, drawn from by sample paths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import Ridge

from tests.forecasting.test_sample_paths import ar_panel
from tests.makers import as_it_stands, grouped, make_frame
from tsforce import ClosedLoop, Curriculum, Difference, Log, MeanScale, NARXForecaster, load
from tsforce.errors import ArgumentError
from tsforce.forcing import Annealed, GeneralizedTeacherForcing, ParallelSampling, RollOutLength
from tsforce.models import GRU, MLP, Gaussian, Quantised
from tsforce.paths import crps, path_quantiles, path_values, pit_values

H = 4


def build(**settings):
    given = {"horizon": H, "lags": 3, "scope": "local", "mode": "open_loop", "ridge": 1.0, "max_steps": 4}
    return NARXForecaster(**grouped(as_it_stands(**(given | settings))))


def count_frame(rows=200, seed=0, ids=("a", "b")):
    """Counts whose mean follows the last one; series of means 5 and 50."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, size in zip(ids, (5, 50), strict=True):
        y = [size]
        for _ in range(rows - 1):
            mean = 0.6 * y[-1] + 0.4 * size
            y.append(rng.poisson(rng.gamma(4, mean / 4)))
        parts.append(pd.DataFrame({"unique_id": name, "ds": np.arange(rows), "y": np.asarray(y, dtype=float)}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("head", ["gaussian", "student_t", "quantised"])
@pytest.mark.parametrize(
    "settings",
    [
        {"scope": "local"},
        {"model": MLP((4,)), "scope": "global"},
        {"model": GRU(3), "scope": "global", "window_scaling": "last", "target_transforms": [Log(), Difference(7)]},
    ],
)
@pytest.mark.slow
def test_draws_spread_about_the_forecast_in_every_family_and_mode(head, settings):
    df = make_frame()
    for mode in ("closed_loop", Curriculum(), RollOutLength(ClosedLoop())):
        model = build(head=head, mode=mode, max_steps=2, **settings).fit(df)
        values, yhat = path_values(model.sample_paths(60)), model.predict()["NARXForecaster"].to_numpy().reshape(3, H)
        assert (values.std(axis=1) > 0.1).all()
        assert (np.abs(np.median(values, axis=1) - yhat) < 1.5 * values.std(axis=1)).all()


def test_a_path_step_by_step_is_a_normal_draw_about_the_mean_of_what_was_fed():
    df = ar_panel(1, 80)
    model = build(lags=1, head="gaussian", ridge=0, max_steps=1, learning_rate=1e-9).fit(df)
    y = df["y"].to_numpy()
    x = np.column_stack([y[:-1], np.ones(79)])
    (weight, bias), *_ = np.linalg.lstsq(x, y[1:], rcond=None)
    spread = np.sqrt(np.mean((y[1:] - x @ [weight, bias]) ** 2))
    values = path_values(model.sample_paths(2000))[0]
    before = np.column_stack([np.full(2000, y[-1]), values[:, :-1]])
    z = (values - before * weight - bias) / spread
    assert stats.kstest(z.ravel(), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(H)).max() < 0.08
    # The point is that of least squares, fed back.
    want = y[-1]
    for yhat in model.predict()["NARXForecaster"]:
        want = want * weight + bias
        assert yhat == pytest.approx(want, rel=1e-6)


def test_laws_are_calibrated_on_series_of_their_own_kind():
    rows = 200
    df = ar_panel(150, rows + 12, seed=rows)
    model = NARXForecaster(12, 2, scope="global", head="gaussian", mode="open_loop", max_steps=20)
    paths = model.fit(df[df["ds"] < rows]).sample_paths(99)
    truth = df.loc[df["ds"] >= rows, "y"].to_numpy().reshape(150, 12)
    pit = pit_values(truth, path_values(paths))[:, [0, 11]]
    for step in pit.T:
        assert stats.kstest(step, "uniform").pvalue > 0.01
    bounds = path_quantiles(paths, [0.1, 0.9])
    inside = (truth.ravel() >= bounds["NARXForecaster-q10"]) & (truth.ravel() <= bounds["NARXForecaster-q90"])
    assert inside.mean() == pytest.approx(0.8, abs=0.04)


def test_spread_follows_what_the_model_reads():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, size=600)
    df = pd.DataFrame({"ds": np.arange(600), "x": x, "y": np.where(x, 3.0, 0.3) * rng.normal(size=600)})
    later = pd.DataFrame({"ds": 600 + np.arange(H), "x": [0, 1, 0, 1]})
    model = build(lags=1, future_exog=["x"], head="gaussian", max_steps=40, learning_rate=0.1, validation=False)
    spread = path_values(model.fit(df).sample_paths(400, future_df=later))[0].std(axis=0)
    assert (spread[1::2] > 3 * spread[::2]).all()


def test_bins_have_two_peaks_where_the_noise_has():
    rng = np.random.default_rng(1)
    y = np.zeros(500)
    for t in range(1, 500):
        y[t] = 0.3 * y[t - 1] + rng.choice([-2.0, 2.0]) + 0.1 * rng.normal()
    model = build(lags=1, head=Quantised(24), max_steps=50, learning_rate=0.2, validation=False)
    values = path_values(model.fit(pd.DataFrame({"ds": np.arange(500), "y": y})).sample_paths(500))[0]
    step = values[:, 0] - 0.3 * y[-1]
    assert (np.abs(np.abs(step) - 2) < 0.8).mean() > 0.9
    assert 0.35 < (step > 0).mean() < 0.65


@pytest.mark.slow
def test_counts_are_whole_and_have_the_mean_and_the_spread_of_the_process():
    df = count_frame()
    model = build(lags=1, head="negative_binomial", target_transforms="auto", max_steps=60).fit(df)
    assert (model.target_transforms_, model.window_scaling_) == ((MeanScale(),), None)
    values = path_values(model.sample_paths(3000))
    assert (values >= 0).all()
    np.testing.assert_allclose(values, values.round(), atol=1e-9)
    last = df.groupby("unique_id")["y"].last().to_numpy()
    mean = 0.6 * last + 0.4 * np.array([5, 50])
    first = values[:, :, 0]
    np.testing.assert_allclose(first.mean(axis=1), mean, rtol=0.25)
    np.testing.assert_allclose(first.var(axis=1), mean + mean**2 / 4, rtol=0.6)
    forecast = model.predict()["NARXForecaster"].to_numpy().reshape(2, H)
    np.testing.assert_allclose(first.mean(axis=1), forecast[:, 0], rtol=0.06)


def test_counts_of_nothing_but_zeros_stay_nothing():
    df = count_frame(60).assign(y=lambda d: d["y"].where(d["unique_id"] == "a", 0.0))
    auto = {"target_transforms": "auto", "window_scaling": "auto"}
    model = build(lags=1, head="negative_binomial", scope="global", model=MLP((4,)), **auto).fit(df)
    assert np.isfinite(path_values(model.sample_paths(50))).all()


def test_several_targets_have_a_law_each():
    rng = np.random.default_rng(2)
    df = pd.DataFrame({"ds": np.arange(120), "u": rng.normal(size=120), "v": 10 * rng.normal(size=120) + 3})
    values = path_values(build(target_col=["u", "v"], lags=1, head="gaussian").fit(df).sample_paths(400))
    assert values.shape == (1, 400, H, 2)
    np.testing.assert_allclose(values[0, :, 0].std(axis=0), [1, 10], rtol=0.25)


@pytest.mark.parametrize("head", ["gaussian", "student_t", Quantised(24), "negative_binomial"])
def test_paths_of_several_targets_are_drawn_together(head):
    rng = np.random.default_rng(3)
    both = rng.multivariate_normal([0, 0], [[1, -0.8], [-0.8, 1]], size=200) * [1, 5] + [10, 50]
    counts = {"target_transforms": "auto", "window_scaling": "auto"} if head == "negative_binomial" else {}
    both = both.round() if counts else both
    df = pd.DataFrame({"ds": np.arange(200), "u": both[:, 0], "v": both[:, 1]})
    model = build(target_col=["u", "v"], lags=1, head=head, max_steps=2, **counts).fit(df)
    values = path_values(model.sample_paths(400))[0].reshape(-1, 2)
    found = np.corrcoef(values.T)[0, 1]
    assert found == pytest.approx(-0.8, abs=0.15)
    del model._rolling_.model._buffers["mixing"]
    apart = path_values(model.sample_paths(400))[0].reshape(-1, 2)
    # As files of before draw.
    assert abs(np.corrcoef(apart.T)[0, 1]) < 0.15


def test_draws_repeat_go_on_and_are_those_of_a_series_alone(monkeypatch):
    df = make_frame()
    model = build(head="student_t").fit(df)
    paths = model.sample_paths(20)
    pd.testing.assert_frame_equal(build(head="student_t").fit(df).sample_paths(20), paths, check_exact=True)
    first = model.sample_paths(8)
    pd.testing.assert_frame_equal(first, paths[paths["path"] <= 8].reset_index(drop=True), rtol=1e-9)
    alone = build(head="student_t").fit(df[df["unique_id"] == "s1"]).sample_paths(20)
    pd.testing.assert_frame_equal(alone, paths[paths["unique_id"] == "s1"].reset_index(drop=True), rtol=1e-7)
    assert (path_values(model.sample_paths(20, random_state=1)) != path_values(paths)).all()
    monkeypatch.setattr("tsforce.training.by_gradient._CHUNK", 2)
    pd.testing.assert_frame_equal(build(head="student_t").fit(df).sample_paths(20), paths, rtol=1e-7)


def test_paths_are_blind_after_the_cutoff():
    df = make_frame()
    for head in ("gaussian", "quantised"):
        model = build(head=head).fit(df[df["ds"] <= 50])
        seen = df[df["ds"] <= 60]
        paths = model.sample_paths(10, history=seen)
        assert paths["ds"].min() == 61
        wild = build(head=head).fit(df.assign(y=df["y"].where(df["ds"] <= 50, 1e9)).query("ds <= 50"))
        pd.testing.assert_frame_equal(wild.sample_paths(10, history=seen), paths, check_exact=True)


@pytest.mark.parametrize("head", ["gaussian", Quantised(24)])
@pytest.mark.slow
def test_own_draws_are_learnt_from_by_crps_and_judged_by_it(head):
    # A map that is held too small: its paths have too little of the level, which closed-loop training mends.
    df = ar_panel(12, 100, phi=0.95)
    settings = {"lags": 1, "scope": "global", "window_scaling": None, "ridge": 1500.0, "head": head}
    model = build(loss="crps", mode="closed_loop", max_steps=40, learning_rate=0.01, horizon=8, **settings).fit(df)
    looks = model.history_.frame.query("run == 'choose'")["closed_loop"]
    assert looks.min() < 0.97 * looks.iloc[0]


@pytest.mark.parametrize(("mode", "loss", "other"), [("open_loop", "nll", "crps"), ("closed_loop", "crps", "nll")])
def test_the_loss_of_itself_is_likelihood_of_truth_and_crps_of_own_draws(mode, loss, other):
    df = make_frame((60,))
    found, same, apart = (
        path_values(build(head="gaussian", loss=own, mode=mode, validation=False).fit(df).sample_paths(5))
        for own in ("auto", loss, other)
    )
    np.testing.assert_array_equal(found, same)
    assert (found != apart).any()


def test_over_one_step_own_draws_teach_counts_and_bins_what_truth_does():
    # Nothing is fed back: the product of two laws' errors is the score of either.
    df = count_frame(60)
    for head in ("negative_binomial", Quantised(8)):
        auto = {"target_transforms": "auto", "window_scaling": "auto"} if head == "negative_binomial" else {}
        settings = {"horizon": 1, "lags": 1, "validation": False, "head": head, "batch_size": 16} | auto
        fitted = [
            build(loss=loss, mode=mode, learning_rate=0.05, **settings).fit(df).sample_paths(99)
            for loss, mode in (("crps", "open_loop"), ("crps", "closed_loop"), ("nll", "open_loop"))
        ]
        pd.testing.assert_frame_equal(fitted[1], fitted[0], rtol=1e-6)
        assert (path_values(fitted[2]) != path_values(fitted[0])).any()


def test_what_a_law_is_judged_by_is_the_crps_of_its_paths():
    df = ar_panel(1, 90)
    model = build(lags=1, head="gaussian", max_steps=1, learning_rate=1e-9, validation=1, ridge=0).fit(df)
    start = model.history_.frame.query("run == 'choose'").iloc[0]
    held = build(lags=1, head="gaussian", max_steps=1, learning_rate=1e-9, validation=False, ridge=0).fit(df[:-H])
    truth, values = df["y"].to_numpy()[None, -H:], path_values(held.sample_paths(4000))
    scale = np.abs(np.diff(df["y"].to_numpy()[:-H])).mean()
    assert start["closed_loop"] == pytest.approx(crps(truth, values).mean() / scale, rel=0.2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"head": "normal"}, "head='normal'.*'gaussian'"),
        ({"head": Gaussian}, r"write Gaussian\(\)"),
        ({"head": "gaussian", "model": "polynomial"}, "'polynomial' has no head; use model='linear'"),
        ({"head": "gaussian", "model": Ridge()}, "a regressor has no head"),
        ({"head": "gaussian", "strategy": "direct"}, "use strategy='recursive'"),
        ({"head": "gaussian", "loss": "huber"}, "trained by 'nll' or 'crps'"),
        ({"head": "quantised", "loss": "mae"}, "trained by 'nll' or 'crps'"),
        ({"head": "gaussian", "solver": "moments"}, "trained by AdamW"),
        ({"head": "gaussian", "solver": "levenberg_marquardt"}, "trained by AdamW"),
        ({"head": "gaussian", "loss_space": "level"}, "in model units"),
        ({"head": "gaussian", "mode": ParallelSampling(ClosedLoop())}, "with head='gaussian'"),
        ({"head": "gaussian", "mode": GeneralizedTeacherForcing(Annealed())}, "with head='gaussian'"),
        ({"loss": "nll"}, "head='point' has none"),
        ({"head": "negative_binomial"}, "series 's0' has .*such values"),
    ],
)
def test_what_does_not_go_with_a_head_is_refused_with_the_way_out(settings, words):
    with pytest.raises(ArgumentError, match=words):
        build(**settings).fit(make_frame((60,)))


@pytest.mark.parametrize("settings", [{"target_transforms": [Log()]}, {"window_scaling": "last"}])
def test_counts_take_no_units_but_factors(settings):
    with pytest.raises(ArgumentError, match=r"leave target_transforms='auto' \(\[MeanScale\(\)\]\)"):
        build(head="negative_binomial", **settings).fit(count_frame(60))


def test_paths_of_laws_have_no_blocks():
    model = build(head="gaussian").fit(make_frame((60,)))
    with pytest.raises(ArgumentError, match="leave block_length out"):
        model.sample_paths(5, block_length=3)


def test_a_saved_law_draws_the_same_paths_and_is_not_exported(tmp_path):
    for settings in ({"head": "gaussian"}, {"head": Quantised(8), "model": GRU(3), "scope": "global"}):
        model = build(**settings).fit(make_frame((60, 50)))
        model.save(tmp_path / "model.zip")
        pd.testing.assert_frame_equal(load(tmp_path / "model.zip").sample_paths(5), model.sample_paths(5))
        with pytest.raises(ArgumentError, match="fit with head='point'"):
            model.export(tmp_path / "model.c")
