"""The chaos bench: its scores against loops, its data, its rows and what a rerun makes of them."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

import tsforce.bench.chaos_bench as engine
from tests.makers import grouped
from tsforce import Baseline, NARXForecaster
from tsforce.bench import (
    CHAOS_COLUMNS,
    CHAOS_FLOORS,
    CHAOS_MODELS,
    CHAOS_PUBLISHED,
    ChaosModel,
    ChaosTask,
    chaos_models,
    run_chaos,
    summarise_chaos,
    write_chaos_summary,
)
from tsforce.bench.chaos_task import check_simulator, score
from tsforce.data.chaotic_systems import CHAOS_SYSTEMS, CONTEXT, simulate_part
from tsforce.errors import ArgumentError, NumericalError
from tsforce.forecasting.parts import targets_of


@pytest.fixture(scope="module")
def task():
    return ChaosTask.simulate("mackeyglass", size="tiny")


@pytest.fixture(scope="module")
def lorenz():
    return ChaosTask.simulate("lorenz", size="tiny")


def linear(mode=None, **settings):
    """A model that is cheap, and that draws something unless it is open loop."""

    def make(horizon, targets, limit):
        target = targets[0] if len(targets) == 1 else list(targets)
        return NARXForecaster(
            horizon, 2, target_col=target, scope="global", window_scaling=None, ridge=1e-3, max_steps=2,
            target_transforms=(), **grouped({"validation": False, "time_limit": limit, **settings}),
        )  # fmt: skip

    return ChaosModel(make, mode)


TWO = {"open_loop": "open_loop", "closed_loop": "closed_loop"}


# ---- scores


def by_loop(truth, closed, one, std):
    """The protocol's words, one number at a time."""

    def errors(yhat):
        table = []
        for w in range(truth.shape[0]):
            row = []
            for t in range(truth.shape[1]):
                squares = [(yhat[w, t, d] - truth[w, t, d]) ** 2 for d in range(truth.shape[2])]
                e = math.sqrt(sum(squares) / len(squares)) / (sum(std) / len(std))
                row.append(e if math.isfinite(e) else 1e6)
            table.append(row)
        return table

    def middle(values):
        ordered, n = sorted(values), len(values)
        return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2

    e, ahead = errors(closed), errors(one)
    h = truth.shape[1]
    last = max(h // 10, 1)
    nrmse, one_step = middle([sum(row) / h for row in e]), middle([sum(row) / h for row in ahead])
    return {
        "nrmse": nrmse,
        "last_tenth": middle([sum(row[-last:]) / last for row in e]),
        "one_step": one_step,
        "gap": nrmse / one_step,
        "diverged": sum(any(x > 50 for x in row) for row in e) / len(e),
        "windows": [sum(row) / h for row in e],
        "by_step": [middle([row[t] for row in e]) for t in range(h)],
        "one_step_by_step": [middle([row[t] for row in ahead]) for t in range(h)],
    }


@pytest.mark.parametrize(("n_windows", "horizon", "n_variables"), [(5, 23, 3), (4, 7, 1), (1, 1, 2)])
def test_scores_are_those_of_a_loop(n_windows, horizon, n_variables):
    rng = np.random.default_rng(horizon)
    shape = (n_windows, horizon, n_variables)
    truth, std = rng.normal(size=shape), rng.uniform(0.5, 2.0, n_variables)
    closed, one = truth + rng.normal(size=shape), truth + 0.1 * rng.normal(size=shape)
    closed[0, -1] += 1e3
    if n_windows > 3:
        closed[1, 2:], closed[2, -1, 0] = np.inf, np.nan
    found = score(truth, closed, one, std)
    for name, value in by_loop(truth, closed, one, std).items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-12, err_msg=name)


def test_a_perfect_forecast_has_no_gap():
    truth = np.ones((2, 3, 1))
    found = score(truth, truth, truth, np.ones(1))
    assert found.nrmse == 0
    assert math.isnan(found.gap)


# ---- data


def test_a_task_is_scaled_by_its_training_set_alone(lorenz):
    raw = {part: simulate_part("lorenz", part, "tiny") for part in ("train", "validation", "test")}
    mean, std = raw["train"].mean(axis=(0, 1)), raw["train"].std(axis=(0, 1))
    np.testing.assert_allclose(lorenz.mean, mean)
    np.testing.assert_allclose(lorenz.std, std)
    for part, frame in (("train", lorenz.train), ("test", lorenz.test)):
        scaled = (raw[part] - mean) / std
        np.testing.assert_allclose(frame[["x", "y", "z"]].to_numpy(), scaled.reshape(-1, 3), atol=1e-12)
    assert abs(lorenz.test["x"].mean()) > 1e-3
    np.testing.assert_array_equal(lorenz.truth, raw["test"][:, CONTEXT:])
    windows = raw["validation"].reshape(4, -1, 3)
    np.testing.assert_array_equal(lorenz.validation_truth, windows[:, CONTEXT:])
    assert lorenz.validation["unique_id"].nunique() == 4


def test_noise_is_on_what_is_observed_and_not_on_the_truth(lorenz):
    noisy = ChaosTask.simulate("lorenz", size="tiny", noise=0.02)
    np.testing.assert_array_equal(noisy.truth, lorenz.truth)
    np.testing.assert_array_equal(noisy.validation_truth, lorenz.validation_truth)
    np.testing.assert_array_equal(noisy.std, lorenz.std)
    for part in ("train", "validation", "test"):
        difference = getattr(noisy, part)[["x", "y", "z"]] - getattr(lorenz, part)[["x", "y", "z"]]
        np.testing.assert_allclose(difference.std(), 0.02, rtol=0.1)
        assert difference["x"].corr(difference["y"]) < 0.1
    assert noisy.sha256 != lorenz.sha256


def test_of_the_first_variable_alone_no_other_is_seen_or_scored(lorenz):
    first = ChaosTask.simulate("lorenz", size="tiny", observe="first")
    assert first.targets == ("x",)
    assert list(first.train.columns) == ["unique_id", "ds", "x"]
    np.testing.assert_array_equal(first.truth, lorenz.truth[:, :, :1])
    np.testing.assert_allclose(first.std, lorenz.std[:1])


@pytest.mark.parametrize(
    ("system", "settings", "message"),
    [
        ("lorenz", {"observe": "second"}, "observe='second'"),
        ("lorenz", {"noise": -0.1}, "noise=-0.1"),
        ("lorenz", {"noise": True}, "noise=True"),
        ("henon", {}, "system='henon'"),
    ],
)
def test_what_a_task_does_not_know_is_refused(system, settings, message):
    with pytest.raises(ArgumentError, match=message):
        ChaosTask.simulate(system, size="tiny", **settings)


def test_one_step_and_closed_loop_are_taken_at_the_same_targets(lorenz):
    model = Baseline("naive", horizon=lorenz.horizon, target_col=list(lorenz.targets)).fit(lorenz.train)
    raw = simulate_part("lorenz", "test", "tiny")
    closed, clipped = lorenz.closed_loop(model)
    assert clipped == 0
    np.testing.assert_allclose(closed, raw[:, CONTEXT - 1 : CONTEXT].repeat(lorenz.horizon, axis=1))
    np.testing.assert_allclose(lorenz.one_step(model), raw[:, CONTEXT - 1 : -1])
    on_validation, _ = lorenz.closed_loop(model, "validation")
    assert on_validation.shape == lorenz.validation_truth.shape
    want = score(lorenz.validation_truth, on_validation, on_validation, lorenz.std).nrmse
    assert lorenz.nrmse_on_validation(on_validation) == want


def test_forecasts_do_not_see_what_follows_the_context(lorenz):
    model = linear().make(lorenz.horizon, lorenz.targets, None).fit(lorenz.train, mode="open_loop")
    before, _ = lorenz.closed_loop(model)
    frame = lorenz.test.copy()
    frame.loc[frame["ds"] >= CONTEXT, list(lorenz.targets)] = 1e6
    wrecked = ChaosTask(**{**vars(lorenz), "test": frame})
    np.testing.assert_array_equal(wrecked.closed_loop(model)[0], before)


def test_the_first_rows_are_of_every_trajectory(lorenz):
    some = lorenz.first_rows(95)
    assert some.groupby("unique_id", observed=True).size().tolist() == [10] * 10
    assert some["ds"].max() == 9


# ---- simulators


def test_a_simulator_that_is_wrong_trains_no_model():
    values = simulate_part("lorenz", "train")
    with pytest.raises(NumericalError, match=r"std x: 8\.\d+, expected 7\.92 .*E xy = 8/3 E z"):
        check_simulator("lorenz", values * np.array([1.05, 1.0, 1.0]))
    with pytest.raises(NumericalError, match="mean z"):
        check_simulator("lorenz", values + np.array([0.0, 0.0, 0.5]))


@pytest.mark.parametrize("system", CHAOS_SYSTEMS)
def test_every_identity_follows_from_the_equations(system):
    """Long-run means of a right-hand side, or of it times a variable, are zero."""
    from tsforce.bench.chaos_task import IDENTITIES

    s = np.random.default_rng(0).normal(size=(50, len(CHAOS_SYSTEMS[system].variables)))
    x, y, z = s[:, 0], s[:, 1] if s.shape[1] > 1 else None, s[:, 2] if s.shape[1] > 2 else None
    expected = {
        "lorenz": lambda: [x * y - 8 / 3 * z],
        "roessler": lambda: [y + z, x + 0.2 * y - 0.2 * (y + z)],
        "hyperroessler": lambda: [y + z, (-0.5 * z + 0.05 * s[:, 3]) * 20, x + 0.25 * y + s[:, 3] - 0.25 * (y + z)],
        "lorenz96": lambda: [(s**2).mean(axis=1) - 8 * s.mean(axis=1)],
    }.get(system, list)()
    for (_, left, right), want in zip(IDENTITIES.get(system, ()), expected, strict=True):
        np.testing.assert_allclose(left(s) - right(s), want, atol=1e-12)


# ---- floors: the library's own loop against one written out


def floor_by_hand(values, test, lags, degree, penalty, horizon):
    """Ridge on monomials of lags, standardised, rolled out over arrays; values and test are scaled, (N, T, D)."""
    from itertools import combinations_with_replacement

    def features(x):
        columns = [x]
        for d in range(2, degree + 1):
            pairs = combinations_with_replacement(range(x.shape[1]), d)
            columns += [np.prod(x[:, pair], axis=1)[:, None] for pair in pairs]
        return np.concatenate(columns, axis=1)

    reach = max(lags)
    x = np.concatenate([np.concatenate([one[reach - lag : len(one) - lag] for lag in lags], axis=1) for one in values])
    y = np.concatenate([one[reach:] for one in values])
    f = features(x)
    centre, scale = f.mean(axis=0), f.std(axis=0)
    g = (f - centre) / scale
    weights = np.linalg.lstsq(
        np.concatenate([g, np.sqrt(penalty) * np.eye(g.shape[1])]),
        np.concatenate([y - y.mean(axis=0), np.zeros((g.shape[1], y.shape[1]))]),
        rcond=None,
    )[0]
    fed = test.copy()
    for t in range(CONTEXT, CONTEXT + horizon):
        now = np.concatenate([fed[:, t - lag] for lag in lags], axis=1)
        fed[:, t] = (features(now) - centre) / scale @ weights + y.mean(axis=0)
    return fed[:, CONTEXT:]


@pytest.mark.parametrize("name", ["linear", "quadratic", "polynomial"])
def test_floors_are_those_of_arrays(lorenz, name):
    recipe = chaos_models("lorenz", [name])[name]
    model = recipe.make(lorenz.horizon, lorenz.targets, None)
    model.fit(lorenz.train if recipe.rows is None else lorenz.first_rows(recipe.rows), mode="open_loop")
    lags, degree, penalty = {"linear": (10, 1, 5e-5), "quadratic": (2, 2, 1e-5), "polynomial": (2, 2, 6e-6)}[name]
    scaled = [
        frame[["x", "y", "z"]].to_numpy().reshape(count, -1, 3)
        for frame, count in ((lorenz.train, 10), (lorenz.test, 6))
    ]
    by_hand = floor_by_hand(*scaled, range(1, lags + 1), degree, penalty, lorenz.horizon) * lorenz.std + lorenz.mean
    closed, _ = lorenz.closed_loop(model)
    # Rounding grows, too, and more so through lags that are almost alike.
    np.testing.assert_allclose(closed[:, :20], by_hand[:, :20], atol=1e-4)
    want = score(lorenz.truth, by_hand, by_hand, lorenz.std).nrmse
    assert lorenz.score(closed, closed).nrmse == pytest.approx(want, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("system", CHAOS_PUBLISHED)
def test_floors_agree_with_those_of_another_machine(tmp_path, system):
    task = ChaosTask.simulate(system)
    rows = run_chaos(task, chaos_models(system, CHAOS_MODELS[:5]), {}, tmp_path)
    assert (rows["status"] == "ok").all()
    for row in rows.to_dict("records"):
        there = CHAOS_FLOORS[system].get(row["model"])
        if there == math.inf:
            assert row["clipped"] > 0.5
        elif there is not None:
            assert there / 1.5 < row["nrmse"] < there * 1.5, row["model"]


# ---- rows


def test_there_is_a_row_per_model_mode_and_seed_that_draws(task, tmp_path):
    models = chaos_models("mackeyglass", ["last_value", "training_mean", "linear"]) | {"own": linear()}
    rows = run_chaos(task, models, TWO, tmp_path, (0, 1))
    found = [(row.model, row.mode, None if pd.isna(row.seed) else row.seed) for row in rows.itertuples()]
    assert found == [
        ("last_value", "", None), ("training_mean", "", None), ("linear", "open_loop", None),
        ("own", "open_loop", None), ("own", "closed_loop", 0), ("own", "closed_loop", 1),
    ]  # fmt: skip
    assert (rows["status"] == "ok").all()
    assert list(rows.columns) == list(CHAOS_COLUMNS)
    assert rows["configuration"].iloc[-1].startswith("max_steps=2")
    assert rows["lags"].iloc[-1] == "1 2"
    mean = score(task.truth, np.full_like(task.truth, task.mean[0]), task.truth, task.std)
    assert rows["nrmse"].iloc[1] == pytest.approx(mean.nrmse)


def test_a_row_is_what_fitting_and_scoring_by_hand_gives(task, tmp_path):
    row = run_chaos(task, {"own": linear()}, TWO, tmp_path, (3,)).iloc[1]
    model = linear().make(task.horizon, task.targets, None).set_params(random_state=3)
    model.fit(task.train, mode="closed_loop")
    closed = model.predict_at(task.test, [CONTEXT - 1])["NARXForecaster"].to_numpy().reshape(6, -1, 1)
    ahead = np.empty_like(closed)
    for h in range(task.horizon):
        ahead[:, h, 0] = model.predict_at(task.test, [CONTEXT - 1 + h], 1)["NARXForecaster"]
    want = score(task.truth, closed * task.std + task.mean, ahead * task.std + task.mean, task.std)
    for name in ("nrmse", "last_tenth", "one_step", "gap", "diverged"):
        assert row[name] == pytest.approx(getattr(want, name), rel=1e-9), name
    stored = np.load(tmp_path / "errors" / "mackeyglass-all-0.0-tiny-own-closed_loop-3.npz")
    np.testing.assert_allclose(stored["windows"], want.windows)
    np.testing.assert_allclose(stored["by_step"], want.by_step)
    np.testing.assert_allclose(stored["one_step_by_step"], want.one_step_by_step)


def test_test_windows_are_stored_beside_the_rows(lorenz, tmp_path):
    run_chaos(lorenz, chaos_models("lorenz", ["training_mean"]), {}, tmp_path)
    stored = np.load(tmp_path / "windows" / "lorenz-all-0.0-tiny.npz")
    raw = simulate_part("lorenz", "test", "tiny")
    assert stored["context"].dtype == stored["truth"].dtype == np.float32
    np.testing.assert_allclose(stored["context"], raw[:, :CONTEXT], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(stored["truth"], raw[:, CONTEXT:], rtol=1e-6)


def counting(monkeypatch, fail_at=None, error=None):
    honest, made = engine._figures, []

    def figures(job, *rest):
        made.append(job.label)
        if len(made) == fail_at:
            raise error
        return honest(job, *rest)

    monkeypatch.setattr(engine, "_figures", figures)
    return made


def test_a_rerun_makes_nothing_again_and_returns_the_same_rows(task, tmp_path, monkeypatch):
    first = run_chaos(task, {"own": linear()}, TWO, tmp_path)
    made = counting(monkeypatch)
    again = run_chaos(task, {"own": linear()}, TWO, tmp_path)
    assert made == []
    pd.testing.assert_frame_equal(again, first)
    run_chaos(task, {"own": linear()}, TWO, tmp_path, (0, 1))
    assert made == ["mackeyglass own closed_loop seed 1"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["settings", "data", "errors", "limit"])
def test_what_a_row_was_made_from_is_what_keeps_it(task, tmp_path, monkeypatch, what):
    run_chaos(task, {"own": linear()}, TWO, tmp_path)
    made = counting(monkeypatch)
    given, limit, model = task, None, linear()
    if what == "settings":
        model = linear(loss="mse")
    if what == "data":
        given = ChaosTask(**{**vars(task), "sha256": "other"})
    if what == "limit":
        limit = 100.0
    if what == "errors":
        (tmp_path / "errors" / "mackeyglass-all-0.0-tiny-own-closed_loop-0.npz").unlink()
    run_chaos(given, {"own": model}, TWO, tmp_path, time_limit=limit)
    assert made[-1] == "mackeyglass own closed_loop seed 0"
    assert len(made) == (1 if what == "errors" else 2)


def test_rows_of_other_tasks_stay_where_they_are(task, lorenz, tmp_path):
    floors = chaos_models("lorenz", ["training_mean"])
    run_chaos(task, floors, {}, tmp_path)
    run_chaos(lorenz, floors, {}, tmp_path)
    noisy = ChaosTask.simulate("mackeyglass", size="tiny", noise=0.02)
    run_chaos(noisy, floors, {}, tmp_path)
    table = write_chaos_summary(tmp_path)
    assert table[["system", "noise"]].to_numpy().tolist() == [
        ["mackeyglass", 0.0],
        ["lorenz", 0.0],
        ["mackeyglass", 0.02],
    ]
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 3
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert len(manifest["rows"]) == len(manifest["data"]) == len(manifest["runs"]) == 3


def test_a_model_that_fails_is_a_row_and_is_tried_again(task, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        counting(patch, 1, ZeroDivisionError("by\nzero"))
        rows = run_chaos(task, {"own": linear()}, TWO, tmp_path)
    assert rows["status"].tolist() == ["failed: ZeroDivisionError: by zero", "ok"]
    assert math.isnan(rows["nrmse"].iloc[0])
    made = counting(monkeypatch)
    assert (run_chaos(task, {"own": linear()}, TWO, tmp_path)["status"] == "ok").all()
    assert made == ["mackeyglass own open_loop"]


def test_an_interrupted_run_keeps_its_finished_rows(task, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        counting(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run_chaos(task, {"own": linear()}, TWO, tmp_path)
    made = counting(monkeypatch)
    run_chaos(task, {"own": linear()}, TWO, tmp_path)
    assert made == ["mackeyglass own closed_loop seed 0"]


def test_a_fit_beyond_the_limit_says_so(task, tmp_path):
    rows = run_chaos(task, {"own": linear()}, TWO, tmp_path, time_limit=1e-6)
    assert set(rows["status"]) == {"ok, longer than the limit of 1e-06 s"}


@pytest.mark.parametrize("seeds", [(), (0, 0), (-1,), (0.5,)])
def test_seeds_are_different_whole_numbers(task, tmp_path, seeds):
    with pytest.raises(ArgumentError, match="seeds"):
        run_chaos(task, {"own": linear()}, TWO, tmp_path, seeds)


# ---- summary


@pytest.mark.slow
def test_a_summary_is_medians_ranges_and_tests_over_windows_and_seeds(task, tmp_path):
    rows = run_chaos(task, {"own": linear(solver="adamw", learning_rate=0.05)}, TWO, tmp_path, range(3))
    assert rows.groupby("mode").size().tolist() == [3, 3]
    table = summarise_chaos(rows, tmp_path).set_index("mode")
    closed = rows[rows["mode"] == "closed_loop"].set_index("seed")["nrmse"]
    opened = rows[rows["mode"] == "open_loop"].set_index("seed")["nrmse"]
    assert table.loc["closed_loop", "nrmse"] == closed.median()
    assert (table.loc["closed_loop", "nrmse_min"], table.loc["closed_loop", "nrmse_max"]) == (
        closed.min(),
        closed.max(),
    )
    assert table.loc["closed_loop", "seeds_better"] == (closed < opened).sum()
    assert table.loc["open_loop", "seeds_better"] is None
    windows = []
    for mode, part in (("closed_loop", closed), ("open_loop", opened)):
        seed = part.index[part == part.median()][0]
        windows.append(np.load(tmp_path / "errors" / f"mackeyglass-all-0.0-tiny-own-{mode}-{seed}.npz")["windows"])
    assert table.loc["closed_loop", "p_holm"] == pytest.approx(wilcoxon(windows[0] - windows[1]).pvalue)
    assert table["seeds"].tolist() == [3, 3]


def test_failed_rows_are_left_out_of_a_summary(task, tmp_path, monkeypatch):
    counting(monkeypatch, 2, ValueError("no"))
    rows = run_chaos(task, {"own": linear()}, TWO, tmp_path)
    table = summarise_chaos(rows, tmp_path)
    assert table["mode"].tolist() == ["open_loop"]
    assert summarise_chaos(rows.iloc[1:], tmp_path).empty


# ---- recipes


@pytest.mark.parametrize("system", CHAOS_SYSTEMS)
@pytest.mark.parametrize("setting", [{}, {"observe": "first"}, {"noise": 0.02}])
def test_every_model_of_every_system_can_be_made(system, setting):
    known = CHAOS_SYSTEMS[system]
    targets = known.variables[:1] if setting.get("observe") == "first" else known.variables
    for name, recipe in chaos_models(system, **setting).items():
        model = recipe.make(known.horizon, targets, 60.0)
        if name == "training_mean":
            assert model is None
            continue
        assert targets_of(model) == targets
        lags = model.get_params().get("lags")
        assert lags is None or np.max(lags) <= CONTEXT
        if name == "gru":
            assert 1 <= model.context_length <= CONTEXT
        assert model.get_params().get("window_scaling") is None


def test_an_unknown_model_is_named_beside_the_accepted_ones():
    with pytest.raises(ArgumentError, match=r"models='lineal' is not known.*'linear'"):
        chaos_models("lorenz", ["lineal"])


@pytest.mark.parametrize("figure", ["best", "low", "high"])
def test_published_figures_are_of_the_six_systems(figure):
    assert list(CHAOS_PUBLISHED) == list(CHAOS_FLOORS) == list(CHAOS_SYSTEMS)[:6]
    for known in CHAOS_PUBLISHED.values():
        assert known.low <= known.best <= known.high
        assert known.best == min(known[:5])
    assert getattr(CHAOS_PUBLISHED["lorenz"], figure) < 0.001
