"""The system-identification bench: floors against arrays, blindness, scores against loops, rows and reruns."""

import json
import math
from functools import partial

import numpy as np
import pandas as pd
import pytest

import tsforce.bench.sysid_bench as engine
from tests.makers import grouped, sysid_frame, sysid_record
from tsforce import NARXRegressor
from tsforce.bench import (
    SYSID_COLUMNS,
    SYSID_FLOORS,
    SYSID_MODELS,
    SYSID_MODES,
    SYSID_REFERENCES,
    SysidModel,
    SysidTask,
    check_floors,
    run_sysid,
    summarise_sysid,
    sysid_models,
    write_sysid_summary,
)
from tsforce.bench.sysid_recipes import SYSID_FLOOR_MODELS, Configuration, TrainingOutput
from tsforce.bench.sysid_task import Record, largest_root, score_simulation
from tsforce.data.measured_systems import SYSID_SETS, ScoredPart
from tsforce.errors import ArgumentError
from tsforce.models import GRU, MLP, Polynomial
from tsforce.sysid import stability

FLOORS = ("training_mean", "arx", "arx_cubic")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    sysid_frame().to_csv(folder / "sysid-daisy-exchanger.csv", index=False)
    return SysidTask.load("daisy-exchanger", folder=folder)


def two_parts(task):
    """The same records, of the one that is simulated two parts being scored."""
    parts = (ScoredPart("whole", 0), ScoredPart("first", 0, 60))
    return SysidTask.of(task.known, task.n, task.train, task.sizes, task.records, parts)


def own(draws=True, **settings):
    """A model that is cheap, and that draws something if asked."""

    def make(mode, seed, limit):
        given = {"max_steps": 2, "horizon": 10, "time_limit": limit, **settings}
        return NARXRegressor(2, 2, mode=mode, random_state=seed, **grouped(given))

    return {"own": SysidModel(make, None, lambda mode: draws and mode != "open_loop")}


TWO = ("open_loop", "closed_loop")


# ---- floors: the library's own loop against one written out


def design(u, y, lags, cubic):
    columns = [y[lags - lag : len(y) - lag] for lag in range(1, lags + 1)]
    columns += [u[lags - lag : len(u) - lag] for lag in range(lags)]
    if cubic:
        columns += [y[lags - 1 : -1] ** 2, y[lags - 1 : -1] ** 3]
    return np.column_stack([*columns, np.ones(len(y) - lags)])


def floor_by_hand(task, number, cubic):
    """Simulation (T,) and one-step predictions, (T - lags,), by numpy alone."""
    lags, n = min(10, task.n), task.n
    mean = [signal.mean() for signal in task.train]
    std = [signal.std() for signal in task.train]
    u, y = ((signal - m) / s for signal, m, s in zip(task.train, mean, std, strict=True))
    w = np.linalg.lstsq(design(u, y, lags, cubic), y[lags:], rcond=None)[0]
    u, y = ((signal - m) / s for signal, m, s in zip(task.records[number], mean, std, strict=True))
    fed = y.copy()
    fed[n:] = np.nan
    for t in range(n, len(y)):
        x = [*(fed[t - lag] for lag in range(1, lags + 1)), *(u[t - lag] for lag in range(lags))]
        fed[t] = np.dot([*x, *([fed[t - 1] ** 2, fed[t - 1] ** 3] if cubic else []), 1], w)
    one_step = design(u, y, lags, cubic) @ w
    return fed * std[1] + mean[1], one_step * std[1] + mean[1], w[:lags]


def floor_of(task, model):
    made = sysid_models(task.known.name, task.n, [model])[model].make("open_loop", 0, None)
    return made.fit(task.train.u[:, None], task.train.y, np.array(task.sizes))


@pytest.mark.parametrize("cubic", [False, True])
def test_floors_are_those_of_arrays(task, cubic):
    simulated, one_step, weights = floor_by_hand(task, 0, cubic)
    model = floor_of(task, "arx_cubic" if cubic else "arx")
    np.testing.assert_allclose(task.simulate(model, 0), simulated, rtol=1e-8)
    np.testing.assert_allclose(task.one_step(model, 0)[10:], one_step, rtol=1e-8)
    if not cubic:
        # The mean of u and y is where powers have no derivative only by chance.
        roots = np.abs(np.roots([1, *-weights]))
        assert largest_root(model, task.train) == pytest.approx(roots.max(), rel=1e-6)


def test_the_linear_floor_is_the_linear_model_of_the_library(task):
    floor = floor_of(task, "arx")
    linear = NARXRegressor(10, 10, model="linear", mode="open_loop", ridge=0.0)
    linear.fit(task.train.u[:, None], task.train.y)
    np.testing.assert_allclose(task.simulate(linear, 0), task.simulate(floor, 0), rtol=1e-6)


QUICK = ["cascaded-tanks", "daisy-exchanger", "daisy-robot-arm", "daisy-ball-beam"]


def check_set(name, folder, out):
    for n in SYSID_SETS[name].starts:
        task = SysidTask.load(name, n, folder)
        rows = run_sysid(task, sysid_models(name, n, FLOORS), (), out)
        checks = check_floors(rows)
        assert len(checks) == 3 * len(task.scored)
        assert all(check.holds for check in checks), checks
        for row in rows[rows["model"] != "training_mean"].itertuples():
            if row.record == "arrow-inside" or row.diverged:
                continue
            number = next(part.record for part in task.scored if part.name == row.record)
            _, one_step, weights = floor_by_hand(task, number, row.model == "arx_cubic")
            y = task.records[number].y
            error = np.sqrt(np.mean((one_step - y[-len(one_step) :])[n - min(10, n) :] ** 2)) * task.known.factor
            assert row.one_step == pytest.approx(error, rel=1e-3)
            if row.model == "arx":
                assert row.root == pytest.approx(np.abs(np.roots([1, *-weights])).max(), rel=1e-6)


@pytest.mark.parametrize("name", QUICK)
def test_floors_agree_with_those_of_another_program(name, sysid_folder, tmp_path):
    check_set(name, sysid_folder, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SYSID_SETS if name not in QUICK])
def test_floors_of_long_records_agree_with_those_of_another_program(name, sysid_folder, tmp_path):
    check_set(name, sysid_folder, tmp_path)


@pytest.mark.slow
def test_replaying_the_training_record_of_emps_scores_well(sysid_folder, tmp_path):
    task = SysidTask.load("emps", folder=sysid_folder)
    rows = run_sysid(task, sysid_models("emps", 20, ["replay"]), (), tmp_path)
    assert rows["rmse"].iloc[0] == pytest.approx(9.3e-5, rel=0.005)


def test_a_floor_that_disagrees_is_found(task, tmp_path):
    rows = run_sysid(task, sysid_models("daisy-exchanger", 10, FLOORS), (), tmp_path)
    checks = check_floors(rows)
    assert [check.expected for check in checks] == [1.47, 0.43, 0.329]
    assert not any(check.holds for check in checks)
    known = rows.assign(rmse=[1.4699, 0.4295, 0.3296])
    assert [check.holds for check in check_floors(known)] == [True, True, False]
    assert not check_floors(known.assign(training="rich"))
    assert not check_floors(known.assign(record="validation"))
    beam = known.assign(set="daisy-ball-beam", rmse=[0.0739, 1.0, 1.0], diverged=[0.0, 1.0, 0.0])
    assert [check.holds for check in check_floors(beam)] == [True, True, False]
    failed = known.assign(status="failed: no")
    assert not any(check.holds for check in check_floors(failed))


@pytest.mark.parametrize("key", SYSID_FLOORS)
def test_figures_are_of_sets_that_there_are(key):
    name, n, record = key
    assert n in SYSID_SETS[name].starts
    assert record in {part.name for part in SYSID_SETS[name].scored}
    assert len(SYSID_FLOORS) == sum(len(one.starts) * len(one.scored) for one in SYSID_SETS.values())
    for other, part in SYSID_REFERENCES:
        assert part in {one.name for one in SYSID_SETS[other].scored}


# ---- what a model may see


@pytest.mark.parametrize("model", ["arx", "arx_cubic", "polynomial", "gru"])
def test_simulations_do_not_see_outputs_after_the_start(task, model):
    if model in SYSID_FLOOR_MODELS:
        fitted = floor_of(task, model)
    else:
        kind = {"polynomial": Polynomial(degree=2, n_terms=4), "gru": GRU(3)}[model]
        fitted = NARXRegressor(2, 2, model=kind, mode="open_loop", max_steps=2)
        fitted.fit(task.train.u[:, None], task.train.y)
    before = task.simulate(fitted, 0)
    np.testing.assert_array_equal(before[: task.n], task.records[0].y[: task.n])
    u, y = task.records[0]
    late = np.arange(len(y)) >= task.n
    for wreck in (np.where(late, 1e6 * (-1.0) ** np.arange(len(y)), y), np.where(late, -y, y)):
        wrecked = SysidTask.of(task.known, task.n, task.train, task.sizes, {0: Record(u, wreck)}, task.scored)
        np.testing.assert_array_equal(wrecked.simulate(fitted, 0), before)
    assert not np.array_equal(wrecked.one_step(fitted, 0), task.one_step(fitted, 0))


def test_a_held_out_task_is_of_training_rows_alone(task):
    inner = task.held_out()
    u, y = task.train
    assert len(y) == 300
    np.testing.assert_array_equal(inner.train.y, y[:240])
    np.testing.assert_array_equal(inner.train.u, u[:240])
    np.testing.assert_array_equal(inner.records[0].y, y[240:])
    np.testing.assert_array_equal(inner.records[0].u, u[240:])
    assert (inner.n, inner.sizes, [part.name for part in inner.scored]) == (10, (240,), ["validation"])
    assert inner.sha256 != task.sha256
    other = SysidTask.of(task.known, task.n, task.train, task.sizes, {0: Record(u, -y)}, task.scored)
    assert other.held_out().sha256 == inner.sha256


@pytest.mark.parametrize(("sizes", "kept", "first"), [((100, 100, 100), (100, 100, 40), 240), ((270, 30), (270,), 270)])
def test_of_several_records_the_last_one_is_held_out(task, sizes, kept, first):
    several = SysidTask.of(task.known, task.n, task.train, sizes, task.records, task.scored)
    inner = several.held_out()
    assert inner.sizes == kept
    assert sum(inner.sizes) == len(inner.train.y) == first
    np.testing.assert_array_equal(inner.records[0].y, task.train.y[first:])


def test_a_task_knows_its_file_and_all_that_figures_depend_on(task, tmp_path):
    frame = sysid_frame()
    frame.loc[len(frame) - 1, "y"] += 1e-9
    frame.to_csv(tmp_path / "sysid-daisy-exchanger.csv", index=False)
    other = SysidTask.load("daisy-exchanger", folder=tmp_path)
    assert other.file == task.file == "sysid-daisy-exchanger.csv"
    assert other.file_sha256 != task.file_sha256
    assert other.sha256 != task.sha256
    with pytest.raises(ArgumentError, match="n=7: daisy-exchanger is scored after 10 rows"):
        SysidTask.load("daisy-exchanger", 7, tmp_path)


# ---- scores


def by_loop(y, simulated, one, skip, of_mean):
    """The protocol's words, one number at a time."""
    kept = range(skip, len(y))

    def error(yhat):
        return math.sqrt(sum((yhat[k] - y[k]) ** 2 for k in kept) / len(kept))

    mean = sum(y[k] for k in kept) / len(kept)
    std = math.sqrt(sum((y[k] - mean) ** 2 for k in kept) / len(kept))
    rmse = error(simulated)
    nrmse = rmse / std
    return (rmse, nrmse, 100 * (1 - nrmse), 1 - nrmse**2, error(one), rmse / error(one), float(rmse > 10 * of_mean))


@pytest.mark.parametrize("of_mean", [10.0, 0.01])
def test_scores_are_those_of_a_loop(of_mean):
    rng = np.random.default_rng(0)
    y, simulated, one = rng.normal(size=(3, 40))
    simulated[:5], one[:5] = 1e9, 1e9
    found = score_simulation(y, simulated, one, skip=5, of_mean=of_mean)
    np.testing.assert_allclose(found, by_loop(y, simulated, one, 5, of_mean), rtol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_what_is_not_finite_has_diverged(value):
    y = np.array([0.0, 1.0, 2.0])
    found = score_simulation(y, np.array([0.0, 1.0, value]), y, skip=1, of_mean=1.0)
    assert (found.rmse, found.fit, found.diverged) == (np.inf, -np.inf, 1.0)
    assert math.isnan(found.gap)


def test_scores_are_in_the_sets_unit_and_of_the_part(task):
    parts = two_parts(task)
    simulated = task.records[0].y.copy()
    simulated[60:] += 3.0
    simulated[10:60] += 0.5
    whole, first = (parts.score(part, simulated, task.records[0].y) for part in parts.scored)
    assert first.rmse == pytest.approx(0.5)
    assert whole.rmse == pytest.approx(math.sqrt((50 * 0.25 + 60 * 9) / 110))
    volts = SysidTask.of(SYSID_SETS["silverbox"], 10, task.train, task.sizes, task.records, task.scored)
    assert volts.score(task.scored[0], simulated, simulated).rmse == pytest.approx(1000 * whole.rmse)


@pytest.mark.parametrize("kind", ["linear", Polynomial(degree=3, n_terms=6), MLP((4,), "tanh")])
def test_the_largest_root_is_that_of_the_exact_derivatives(task, kind):
    model = NARXRegressor(3, 2, model=kind, mode="open_loop", max_steps=5)
    model.fit(task.train.u[:, None], task.train.y)
    assert largest_root(model, task.train) == pytest.approx(stability(model).radius, rel=1e-3)


def test_what_has_a_state_or_no_lags_has_no_root(task):
    gru = NARXRegressor(1, 1, model=GRU(3), mode="open_loop", max_steps=2)
    assert largest_root(gru.fit(task.train.u[:, None], task.train.y), task.train) is None
    assert largest_root(TrainingOutput().fit(task.train.u, task.train.y), task.train) is None


# ---- rows


def test_there_is_a_row_for_each_part_model_mode_and_seed_that_draws(task, tmp_path):
    rows = run_sysid(two_parts(task), sysid_models("emps", 10, SYSID_FLOOR_MODELS) | own(), TWO, tmp_path, (0, 1))
    found = [(r.record, r.model, r.mode, None if pd.isna(r.seed) else r.seed) for r in rows.itertuples()]
    jobs = [("training_mean", "", None), ("arx", "open_loop", None), ("arx_cubic", "open_loop", None)]
    jobs += [("replay", "", None), ("own", "open_loop", None), ("own", "closed_loop", 0), ("own", "closed_loop", 1)]
    assert found == [(record, *job) for job in jobs for record in ("whole", "first")]
    assert (rows["status"] == "ok").all()
    assert list(rows.columns) == list(SYSID_COLUMNS)
    assert set(rows["n_rows"]) == {110, 50}
    assert rows["lags"].iloc[-1] == "y 1 2; u 0 1"
    assert rows["configuration"].iloc[-1] == "horizon=10, max_steps=2"
    assert rows["configuration"].iloc[4] == "model=LeastSquares(powers_of=9), validation=False"


def test_a_row_is_what_fitting_and_scoring_by_hand_gives(task, tmp_path):
    row = run_sysid(task, own(), TWO, tmp_path, (3,)).iloc[1]
    u, y = task.train
    test_u, test_y = task.records[0]
    make = own()["own"].make
    model = make("closed_loop", 3, None).fit(u[:, None], y)
    want = by_loop(
        test_y, model.predict(test_u[:, None], test_y[:10]), model.one_step(test_u[:, None], test_y), 10,
        np.sqrt(np.mean((test_y[10:] - y.mean()) ** 2)),
    )  # fmt: skip
    names = ("rmse", "nrmse", "fit", "r2", "one_step", "gap", "diverged")
    np.testing.assert_allclose([row[name] for name in names], want, rtol=1e-9)
    before = make("closed_loop", 3, None).fit(u[:240, None], y[:240])
    simulated = before.predict(u[240:, None], y[240:250])
    assert row["validation"] == pytest.approx(np.sqrt(np.mean((simulated - y[240:])[10:] ** 2)))
    (held,) = run_sysid(task.held_out(), own(), ("closed_loop",), tmp_path, (3,)).to_dict("records")
    assert held["record"] == "validation"
    assert held["rmse"] == pytest.approx(row["validation"])
    assert math.isnan(held["validation"])


def counting(monkeypatch, fail_at=None, error=None):
    """Count the fits that are made; the one with number `fail_at` raises."""
    made, honest = [], engine._figures

    def counted(job, task, limit):
        made.append(job.label)
        if len(made) == fail_at:
            raise error
        return honest(job, task, limit)

    monkeypatch.setattr(engine, "_figures", counted)
    return made


LABELS = ["daisy-exchanger n 10 own open_loop", "daisy-exchanger n 10 own closed_loop seed 0"]


def test_finished_rows_are_not_made_again(task, tmp_path, monkeypatch):
    first = run_sysid(task, own(), TWO, tmp_path)
    made = counting(monkeypatch)
    pd.testing.assert_frame_equal(run_sysid(task, own(), TWO, tmp_path), first)
    assert made == []


@pytest.mark.parametrize("what", ["settings", "data", "limit", "line"])
def test_rows_made_from_something_else_are_made_again(task, tmp_path, monkeypatch, what):
    run_sysid(task, own(), TWO, tmp_path)
    made = counting(monkeypatch)
    given, limit, model = task, None, own()
    if what == "settings":
        model = own(ridge=1.0)
    if what == "data":
        given = SysidTask.of(
            task.known, 10, Record(*(2 * s for s in task.train)), task.sizes, task.records, task.scored
        )
    if what == "limit":
        limit = 100.0
    if what == "line":
        results = tmp_path / "results.csv"
        results.write_text("\n".join(results.read_text().splitlines()[:2]) + "\n")
    run_sysid(given, model, TWO, tmp_path, time_limit=limit)
    assert made == (LABELS[1:] if what == "line" else LABELS)


def test_of_a_fit_some_of_whose_rows_are_there_only_the_others_are_written(task, tmp_path, monkeypatch):
    parts = two_parts(task)
    whole = run_sysid(parts, own(), ("open_loop",), tmp_path)
    results = tmp_path / "results.csv"
    lines = results.read_text().splitlines()
    results.write_text("\n".join(lines[:2]) + "\n")
    made = counting(monkeypatch)
    again = run_sysid(parts, own(), ("open_loop",), tmp_path)
    assert len(made) == 1
    assert results.read_text().splitlines()[1] == lines[1]
    assert len(results.read_text().splitlines()) == 3
    assert again["rmse"].tolist() == whole["rmse"].tolist()


def test_a_model_that_fails_is_rows_and_is_tried_again(task, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        counting(patch, 1, ZeroDivisionError("by\nzero"))
        rows = run_sysid(two_parts(task), own(), TWO, tmp_path)
    assert rows["status"].tolist() == ["failed: ZeroDivisionError: by zero"] * 2 + ["ok"] * 2
    assert rows["rmse"].isna().tolist() == [True, True, False, False]
    assert len(pd.read_csv(tmp_path / "results.csv")) == 4
    made = counting(monkeypatch)
    assert (run_sysid(two_parts(task), own(), TWO, tmp_path)["status"] == "ok").all()
    assert made == LABELS[:1]


def test_a_model_that_cannot_be_fitted_is_a_row(task, tmp_path):
    too_many = {"own": SysidModel(lambda *_: NARXRegressor(400, 2, mode="open_loop"), None, lambda mode: False)}
    (row,) = run_sysid(task, too_many, ("open_loop",), tmp_path).to_dict("records")
    assert row["status"].startswith("failed: SeriesTooShortError: ")


def test_an_interrupted_run_keeps_its_finished_rows(task, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        counting(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run_sysid(task, own(), TWO, tmp_path)
    made = counting(monkeypatch)
    run_sysid(task, own(), TWO, tmp_path)
    assert made == LABELS[1:]


def test_a_simulation_that_diverges_is_a_row_like_others(task, tmp_path):
    class Growing(TrainingOutput):
        def predict(self, X, y_init=None):
            return 2.0 ** np.arange(len(X))

    model = {"own": SysidModel(lambda *_: Growing(), ("",), lambda mode: False)}
    (row,) = run_sysid(task, model, (), tmp_path).to_dict("records")
    assert (row["status"], row["diverged"]) == ("ok", 1.0)
    (kept,) = pd.read_csv(tmp_path / "results.csv").to_dict("records")
    assert kept["rmse"] == row["rmse"] > 1e30


def test_a_fit_beyond_the_limit_says_so(task, tmp_path):
    rows = run_sysid(task, own(), TWO, tmp_path, time_limit=1e-6)
    assert set(rows["status"]) == {"ok, longer than the limit of 1e-06 s"}


@pytest.mark.parametrize("seeds", [(), (0, 0), (-1,), (0.5,)])
def test_seeds_are_different_whole_numbers(task, tmp_path, seeds):
    with pytest.raises(ArgumentError, match="seeds"):
        run_sysid(task, own(), TWO, tmp_path, seeds)


def test_the_manifest_holds_the_hash_of_the_file_and_what_rows_were_made_from(task, tmp_path):
    run_sysid(task, own(), TWO, tmp_path)
    run_sysid(task.held_out(), own(), TWO, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert list(manifest["data"]) == ["daisy-exchanger n 10 test", "daisy-exchanger n 10 validation"]
    for entry in manifest["data"].values():
        assert (entry["file"], entry["file_sha256"]) == ("sysid-daisy-exchanger.csv", task.file_sha256)
    assert len(manifest["rows"]) == 4
    assert manifest["rows"][0]["parameters"]["model"]["max_steps"] == 2


# ---- summary


def test_a_summary_is_medians_and_ranges_over_seeds(task, tmp_path):
    rows = run_sysid(task, own(solver="adamw", learning_rate=0.05), TWO, tmp_path, range(3))
    table = write_sysid_summary(tmp_path).set_index("mode")
    closed = rows[rows["mode"] == "closed_loop"]["rmse"]
    opened = rows[rows["mode"] == "open_loop"]["rmse"].item()
    assert table.loc["closed_loop", "rmse"] == closed.median()
    assert (table.loc["closed_loop", "rmse_min"], table.loc["closed_loop", "rmse_max"]) == (closed.min(), closed.max())
    assert table.loc["closed_loop", "seeds_better"] == (closed < opened).sum()
    assert table.loc["open_loop", "seeds_better"] is None
    assert table["seeds"].to_dict() == {"open_loop": 1, "closed_loop": 3}
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 2


def test_seeds_are_compared_with_the_same_seed_where_open_loop_draws_too():
    about = {"set": "s", "training": "", "record": "test", "n": 5, "unit": "V", "model": "mlp", "status": "ok"}
    rmse = {("open_loop", 0): 1.0, ("open_loop", 1): 3.0, ("closed_loop", 0): 2.0, ("closed_loop", 1): 2.0}
    rows = [
        dict.fromkeys(SYSID_COLUMNS, np.nan) | about | {"mode": m, "seed": s, "rmse": r} for (m, s), r in rmse.items()
    ]
    frame = pd.DataFrame(rows).assign(diverged=[0.0, 0.0, 1.0, 0.0])
    table = summarise_sysid(frame).set_index("mode")
    assert table.loc["closed_loop", "seeds_better"] == 1
    assert table["diverged"].to_dict() == {"open_loop": 0, "closed_loop": 1}
    assert summarise_sysid(frame.assign(status="failed: no")).empty


# ---- recipes


@pytest.mark.parametrize("name", SYSID_SETS)
def test_every_model_of_every_set_can_be_made_and_has_no_more_lags_than_known_outputs(name):
    for n in SYSID_SETS[name].starts:
        made = sysid_models(name, n, (*SYSID_MODELS, *SYSID_FLOOR_MODELS))
        for model, recipe in made.items():
            for mode in recipe.modes or SYSID_MODES:
                one = recipe.make(mode, 3, 60.0)
                if isinstance(one, TrainingOutput):
                    continue
                assert np.max(one.output_lags) <= n
                assert one.mode == mode
                if model in SYSID_MODELS:
                    assert (one.random_state, one.training.time_limit) == (3, 60.0)
        assert made["arx"].make("open_loop", 0, None).output_lags == min(10, n)
        assert [made[m].draws("open_loop") for m in ("linear", "polynomial", "mlp", "gru")] == [
            False,
            False,
            True,
            True,
        ]
        assert all(made[m].draws("closed_loop") for m in SYSID_MODELS)


def test_a_mode_may_have_arguments_of_its_own():
    chosen = Configuration("mlp", output_lags=4, max_steps=10, by_mode={"curriculum": {"max_steps": 20, "horizon": 5}})
    assert [chosen.regressor(mode).max_steps for mode in SYSID_MODES] == [10, 10, 20]
    assert [chosen.regressor(mode).horizon for mode in SYSID_MODES] == ["auto", "auto", 5]
    assert chosen.regressor("curriculum", random_state=2).get_params()["random_state"] == 2


def test_an_unknown_model_is_named_beside_the_accepted_ones():
    with pytest.raises(ArgumentError, match=r"models='lineal' is not known.*'linear'"):
        sysid_models("emps", 20, ["lineal"])


@pytest.mark.slow
@pytest.mark.parametrize("model", SYSID_MODELS)
@pytest.mark.parametrize("mode", SYSID_MODES)
def test_every_recipe_fits_and_simulates(task, tmp_path, model, mode):
    recipe = sysid_models("daisy-exchanger", 10, [model])[model]
    short = partial(lambda make, *given: make(*given).set_params(max_steps=2, horizon=10), recipe.make)
    (row,) = run_sysid(task, {model: recipe._replace(make=short)}, [mode], tmp_path).to_dict("records")
    assert row["status"] == "ok"
    u, y = sysid_record(120, seed=1)
    assert 0 < row["rmse"] < 10 * np.std(y)
    assert len(u) == row["n_rows"] + 10
