from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tests.makers import make_frame
from tsforce import Baseline, Difference, Ensemble, Log, NARXForecaster, backtest
from tsforce.bench import COMPETITION_COLUMNS, Entry, get_threads, run, set_threads
from tsforce.datasets import Competition, load_competition
from tsforce.errors import ArgumentError, ArgumentTypeError, FrameError

TIMES = ["fit_cpu_s", "predict_cpu_s", "peak_mb"]


@pytest.fixture(autouse=True)
def same_threads_afterwards():
    before = get_threads()
    yield
    set_threads(before)


def split(df, horizon, season_length, name="toy"):
    """The last `horizon` rows of each series are the test."""
    back = df.groupby("unique_id").cumcount(ascending=False)
    train, test = df[back >= horizon], df[back < horizon]
    return Competition(name, "small", train.reset_index(drop=True), test.reset_index(drop=True), horizon, season_length)


def toy(seed=0, lengths=(90, 70, 120), name="toy"):
    return split(make_frame(lengths, seed=seed), 6, 7, name)


def by_hand():
    """Two series of three training and two test rows."""
    values = {"a": [1.0, 2.0, 4.0, 5.0, 7.0], "b": [10.0, 12.0, 10.0, 10.0, 5.0]}
    parts = [pd.DataFrame({"unique_id": name, "ds": range(1, 6), "y": y}) for name, y in values.items()]
    return split(pd.concat(parts, ignore_index=True), 2, 1)


def linear(**settings):
    return NARXForecaster(6, 7, season_length=7, scope="local", ridge=1.0, mode="open_loop", **settings)


THREE = [Entry("naive", Baseline("naive")), Entry("seasonal", Baseline("seasonal_naive", season_length=7))]
THREE.append(Entry("linear", linear(), "open_loop"))


class Drawn(Baseline):
    """Naive plus noise that depends on the seed."""

    def __init__(self, random_state=None, season_length=None):
        super().__init__("naive", season_length=season_length)
        self.random_state = random_state

    def predict(self, horizon=None, **given):
        forecast = super().predict(horizon, **given)
        noise = np.random.default_rng(self.random_state).normal(size=len(forecast))
        return forecast.assign(naive=forecast["naive"] + noise)


class Broken(Baseline):
    """Fails as long as the class says so."""

    works = False

    def __init__(self):
        super().__init__("naive")

    def fit(self, df, y=None, *, mode=None):
        if not self.works:
            raise RuntimeError("no luck,\n  this time")
        return super().fit(df, y, mode=mode)


class Silent(Baseline):
    """Keeps what it was fitted on."""

    seen: list = []  # noqa: RUF012 - shared on purpose: the bench fits a clone

    def __init__(self):
        super().__init__("naive")

    def fit(self, df, y=None, *, mode=None):
        self.seen.append(df)
        return super().fit(df, y, mode=mode)


# ---- scores


def test_scores_worked_by_hand():
    # a: naive says 4, 4 (errors 1, 3; scale 1.5), one step ahead 4, 5 (errors 1, 2).
    # b: naive says 10, 10 (errors 0, 5; scale 2), one step ahead the same.
    # Drift: a 5.5, 7 and one step ahead 5.5, 19/3; b as naive. m = 1, so Naive2 is naive.
    rows = run(by_hand(), [("naive", Baseline("naive")), ("drift", Baseline("drift"))]).set_index("model")
    smape_naive = ((200 * 1 / 9 + 200 * 3 / 11) / 2 + (200 * 5 / 15) / 2) / 2
    smape_drift = ((200 * 0.5 / 10.5) / 2 + (200 * 5 / 15) / 2) / 2
    mase_naive, mase_drift = (2 / 1.5 + 2.5 / 2) / 2, (0.25 / 1.5 + 2.5 / 2) / 2
    assert rows["smape"].to_list() == pytest.approx([smape_naive, smape_drift])
    assert rows["mase"].to_list() == pytest.approx([mase_naive, mase_drift])
    owa_drift = (smape_drift / smape_naive + mase_drift / mase_naive) / 2
    assert rows["owa"].to_list() == pytest.approx([1.0, owa_drift])
    one_step = [(1.5 / 1.5 + 2.5 / 2) / 2, ((0.5 + 2 / 3) / 2 / 1.5 + 2.5 / 2) / 2]
    assert rows["one_step"].to_list() == pytest.approx(one_step)
    assert rows["gap"].to_list() == pytest.approx([mase_naive / one_step[0], mase_drift / one_step[1]])
    assert rows["status"].to_list() == ["ok", "ok"]


@pytest.mark.parametrize("model", [linear(), Baseline("naive2", season_length=7)], ids=["linear", "naive2"])
def test_one_step_error_equals_a_loop_over_predict(model):
    data = toy()
    row = run(data, [("model", model)]).iloc[0]
    fitted = model.clone_unfitted().fit(data.train)
    joined = pd.concat([data.train, data.test])
    per_series = []
    for name, test in data.test.groupby("unique_id"):
        y = data.train.loc[data.train["unique_id"] == name, "y"].to_numpy()
        scale = np.abs(y[7:] - y[:-7]).mean()
        errors = []
        for stamp, truth in zip(test["ds"], test["y"], strict=True):
            history = joined[(joined["unique_id"] == name) & (joined["ds"] < stamp)]
            errors.append(abs(fitted.predict(1, history=history)[fitted.name].iloc[0] - truth) / scale)
        per_series.append(np.mean(errors))
    assert row["one_step"] == pytest.approx(np.mean(per_series), rel=1e-9)
    assert row["gap"] == pytest.approx(row["mase"] / row["one_step"])


@pytest.mark.parametrize("group", ["yearly", "weekly", "hourly"])
def test_official_scores_of_naive_and_seasonal_naive_are_reproduced(m4_folder, group):
    data = load_competition("m4", group, m4_folder)
    published = pd.read_csv(m4_folder / "m4-official-results.csv")
    published = published[published["frequency"] == group.capitalize()].set_index("method")
    names = {"naive": "Naive", "seasonal_naive": "sNaive"}
    rows = run(data, [(name, Baseline(name, season_length=data.season_length)) for name in names])
    for row in rows.to_dict("records"):
        official = published.loc[names[row["model"]]]
        assert row["smape"] == pytest.approx(official["sMAPE"], abs=6e-4)
        assert row["mase"] == pytest.approx(official["MASE"], abs=6e-4)
        assert row["owa"] == pytest.approx(official["OWA"], abs=2e-4)


def test_a_forecaster_is_fitted_on_training_rows_only():
    data = toy()
    Silent.seen.clear()
    run(data, [("silent", Silent())])
    assert len(Silent.seen) == 1
    assert_frame_equal(Silent.seen[0], data.train)


def test_the_given_forecaster_is_not_changed():
    model = linear()
    run(toy(), [("linear", model, "open_loop")])
    assert not model.is_fitted


def test_series_that_are_too_short_are_forecast_by_naive2_and_counted():
    data = toy(lengths=(90, 14, 120, 15))
    rows = run(data, [("linear", linear(short_series="drop")), ("ensemble", Ensemble([linear()]))])
    assert rows["status"].to_list() == ["ok", "ok"]
    long_lags = NARXForecaster(6, 20, season_length=7, scope="local", ridge=1.0, short_series="drop", mode="open_loop")
    rows = run(data, [("naive2", Baseline("naive2", season_length=7)), ("linear", long_lags)])
    assert rows["status"].to_list() == ["ok", "ok, 2 series by naive2"]
    assert rows["n_series"].to_list() == [4, 4]
    # What is left of the difference between the two rows are the two long series.
    keep = data.train["unique_id"].isin(["s0", "s2"])
    kept_test = data.test["unique_id"].isin(["s0", "s2"])
    part = Competition("toy", "long", data.train[keep], data.test[kept_test], 6, 7)
    alone = run(part, [("naive2", Baseline("naive2", season_length=7)), ("linear", long_lags)])
    for figure in ("smape", "mase", "one_step"):
        whole = rows[figure].iloc[1] - rows[figure].iloc[0]
        half = (alone[figure].iloc[1] - alone[figure].iloc[0]) / 2
        assert whole == pytest.approx(half, rel=1e-6)


def test_series_without_a_scale_are_left_out_of_mase_and_counted():
    df = make_frame((40, 40))
    flat = pd.DataFrame({"unique_id": "flat", "ds": range(1, 41), "y": 3.0})
    rows = [run(split(frame, 6, 7), [("naive", Baseline("naive"))]).iloc[0] for frame in (df, pd.concat([df, flat]))]
    assert rows[1]["status"] == "ok, 1 series without a MASE scale"
    assert rows[1]["mase"] == pytest.approx(rows[0]["mase"])
    assert rows[1]["smape"] == pytest.approx(rows[0]["smape"] * 2 / 3)


def test_a_forecast_that_is_not_finite_yields_no_finite_score():
    class Diverged(Baseline):
        def __init__(self):
            super().__init__("naive")

        def predict(self, horizon=None, **given):
            forecast = super().predict(horizon, **given)
            return forecast.assign(naive=forecast["naive"].where(forecast["horizon"] > 1, np.inf))

    row = run(toy(), [("diverged", Diverged())]).iloc[0]
    assert row["status"] == "ok, 3 series not finite"
    assert not np.isfinite(row[["smape", "mase", "owa"]].to_numpy(dtype=float)).any()


def test_columns_say_what_was_run():
    set_threads(1)
    transforms = [Log(), Difference(7)]
    rows = run(
        toy(),
        [
            ("plain", linear(target_transforms=transforms), "open_loop"),
            ("sparse", NARXForecaster(6, [1, 2, 7], season_length=7, ridge=1.0, mode="open_loop"), None),
            ("one", NARXForecaster(6, 3, scope="global", ridge=1.0, mode="open_loop"), None),
            ("naive", Baseline("naive"), None),
        ],
    )
    assert tuple(rows.columns) == COMPETITION_COLUMNS
    assert rows["lags"].to_list() == ["7", "1 2 7", "3", ""]
    assert rows["scope"].to_list() == ["local", "local", "global", ""]
    assert rows["transforms"].to_list() == [" ".join(map(repr, transforms)), "", "MeanScale()", ""]
    assert rows["mode"].to_list() == ["open_loop", "open_loop", "open_loop", ""]
    assert set(rows["threads"]) == {1}
    assert set(rows["dataset"] + rows["group"]) == {"toysmall"}
    assert (rows["fit_cpu_s"] >= 0).all()
    assert (rows["peak_mb"] > 50).all()


def test_a_random_model_has_a_row_per_seed_and_a_deterministic_one_has_one():
    rows = run(toy(), [("drawn", Drawn()), ("naive", Baseline("naive"))], seeds=[0, 1, 2])
    assert rows["model"].to_list() == ["drawn"] * 3 + ["naive"]
    assert rows["seed"].isna().to_list() == [False, False, False, True]
    assert rows["seed"].to_list()[:3] == [0, 1, 2]
    assert rows["smape"].nunique() == 4


def test_a_function_that_returns_a_forecaster_serves_as_one():
    made = run(toy(), [("linear", linear)])
    assert_frame_equal(made.drop(columns=TIMES), run(toy(), [("linear", linear())]).drop(columns=TIMES))


# ---- intervals


class Bounded(Baseline):
    """Naive, with bounds 1 below and above, but none of some series."""

    def __init__(self, without=()):
        super().__init__("naive")
        self.without = without

    def predict(self, horizon=None, *, level=None, **given):
        forecast = super().predict(horizon, **given)
        there = ~forecast["unique_id"].isin(self.without)
        for one in [] if level is None else level.levels:
            for side, sign in (("lo", -1), ("hi", 1)):
                forecast[f"naive-{side}-{one:g}"] = (forecast["naive"] + sign).where(there)
        return forecast


def test_scores_of_intervals_worked_by_hand():
    # a: 4 - 1, 4 + 1 for truths 5 and 7, scale 1.5; b: 10 - 1, 10 + 1 for truths 10 and 5, scale 2. Of 80 % a miss
    # costs 10 times its distance: a (2 + 2 + 10 * 2) / 2 = 12, b (2 + 2 + 10 * 4) / 2 = 22.
    rows = run(by_hand(), [("both", Bounded()), ("one", Bounded(["b"])), ("none", Bounded(["a", "b"]))], level=80)
    assert rows.columns[-5:].to_list() == ["coverage-80", "width-80", "msis-80", "level_cpu_s", "status"]
    assert rows["coverage-80"].to_list()[:2] == [0.5, 0.5]
    assert rows["width-80"].to_list()[:2] == pytest.approx([(2 / 1.5 + 2 / 2) / 2, 2 / 1.5])
    assert rows["msis-80"].to_list()[:2] == pytest.approx([(12 / 1.5 + 22 / 2) / 2, 12 / 1.5])
    assert rows.loc[2, ["coverage-80", "width-80", "msis-80"]].isna().all()
    assert rows["status"].to_list() == [
        "ok", "ok, 1 series without 80 % bounds", "ok, 2 series without 80 % bounds",
    ]  # fmt: skip
    assert rows["owa"].to_list() == [1.0] * 3


def test_scores_of_intervals_are_those_of_a_backtest_of_one_window():
    data, model = toy(), linear()
    row = run(data, [("it", model)], level=[80, 95]).iloc[0]
    joined = pd.concat([data.train, data.test])
    judged = backtest(model, joined, horizon=6, n_windows=1, season_length=7, level=[80, 95]).scores().iloc[0]
    for figure in ("coverage-80", "msis-80", "coverage-95", "msis-95"):
        assert row[figure] == pytest.approx(judged[figure], rel=1e-9)
    assert row["level_cpu_s"] > 0


def test_series_that_are_left_out_have_no_bounds():
    data = toy(lengths=(90, 14, 120))
    long_lags = NARXForecaster(6, 20, season_length=7, scope="local", ridge=1.0, short_series="drop", mode="open_loop")
    row = run(data, [("linear", long_lags)], level=80).iloc[0]
    assert row["status"] == "ok, 1 series by naive2, 1 series without 80 % bounds"
    assert np.isfinite(row["msis-80"])


def test_a_folder_holds_rows_of_the_same_levels(tmp_path):
    first = run(toy(), THREE[:1], tmp_path, level=[95, 80])
    started = []
    again = run(toy(), THREE[:1], tmp_path, level=[80, 95], on_start=lambda *given: started.append(given))
    assert started == []
    assert_frame_equal(first, again)
    for level in (None, 80):
        with pytest.raises(ArgumentError, match="made with other levels"):
            run(toy(), THREE[:1], tmp_path, level=level)


# ---- the ledger


def written(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_times(frame):
    return frame.drop(columns=TIMES)


def test_results_are_written_with_exactly_the_documented_columns(tmp_path):
    rows = run(toy(), THREE, tmp_path)
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert lines[0] == (
        "dataset,group,model,scope,lags,transforms,mode,seed,n_series,smape,mase,owa,one_step,gap,fit_cpu_s,"
        "predict_cpu_s,peak_mb,threads,version,status"
    )
    assert len(lines) == 4
    assert [float(row["owa"]) for row in written(tmp_path)] == rows["owa"].to_list()


def test_a_row_is_on_disk_when_it_is_announced(tmp_path):
    counts = []
    run(toy(), THREE, tmp_path, on_row=lambda row: counts.append(len(written(tmp_path))))
    assert counts == [1, 2, 3]


def test_finished_rows_are_not_made_again(tmp_path):
    first = run(toy(), THREE, tmp_path)
    started = []
    second = run(toy(), THREE, tmp_path, on_start=lambda *what: started.append(what))
    assert started == []
    assert_frame_equal(first, second)


def test_rows_of_other_runs_stay_in_the_table(tmp_path):
    run(toy(), THREE[:1], tmp_path)
    run(toy(name="other"), THREE[:1], tmp_path)
    rows = run(toy(), THREE, tmp_path)
    assert rows["model"].to_list() == ["naive", "seasonal", "linear"]
    assert [row["dataset"] + " " + row["model"] for row in written(tmp_path)] == [
        "toy naive", "other naive", "toy seasonal", "toy linear",
    ]  # fmt: skip


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, after):
    rows_seen = []

    def interrupt(row):
        rows_seen.append(row)
        if len(rows_seen) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(toy(), THREE, tmp_path, on_row=interrupt)
    assert len(written(tmp_path)) == after
    started = []
    rows = run(toy(), THREE, tmp_path, on_start=lambda label, number, total: started.append((number, total)))
    assert started == [(number, 3) for number in range(after + 1, 4)]
    assert_frame_equal(without_times(rows), without_times(run(toy(), THREE)))


@pytest.mark.parametrize("cut", [1, 5, 60, 10_000], ids=lambda cut: f"{cut} bytes lost")
def test_a_torn_last_line_is_made_again(tmp_path, cut):
    whole = run(toy(), THREE, tmp_path)
    path = tmp_path / "results.csv"
    path.write_bytes(path.read_bytes()[:-cut])
    rows = run(toy(), THREE, tmp_path)
    assert_frame_equal(without_times(rows), without_times(whole))
    assert [row["model"] for row in written(tmp_path)] == ["naive", "seasonal", "linear"]


def test_a_table_torn_within_its_header_is_begun_anew(tmp_path):
    (tmp_path / "results.csv").write_text("dataset,gro")
    assert len(run(toy(), THREE[:1], tmp_path)) == 1
    assert len(written(tmp_path)) == 1


@pytest.mark.slow
def test_a_killed_process_leaves_a_table_that_a_rerun_completes(tmp_path):
    program = f"""
        import os, signal, sys
        sys.path[:0] = [{str(Path(__file__).resolve().parents[2])!r}]
        from tests.bench.test_competition import THREE, run, toy
        rows = []
        def die(row):
            rows.append(row)
            if len(rows) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        run(toy(), THREE, {str(tmp_path)!r}, on_row=die)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [row["model"] for row in written(tmp_path)] == ["naive", "seasonal"]
    rows = run(toy(), THREE, tmp_path)
    assert_frame_equal(without_times(rows), without_times(run(toy(), THREE)), check_exact=False)


def test_a_row_without_one_step_errors_is_not_finished_for_a_run_that_measures_them(tmp_path):
    run(toy(), THREE[:1], tmp_path, one_step=False)
    rows = run(toy(), THREE[:1], tmp_path)
    assert_frame_equal(without_times(rows), without_times(run(toy(), THREE[:1])))
    assert np.isnan(run(toy(), THREE[:1], tmp_path, one_step=False)["one_step"].iloc[0])


@pytest.mark.parametrize("what", ["data", "parameters", "nested parameters", "threads", "mode"])
def test_rows_made_from_something_else_are_made_again(tmp_path, what):
    set_threads(1)
    model = Ensemble([linear()]) if what == "nested parameters" else linear()
    run(toy(), [("linear", model, "open_loop"), ("naive", Baseline("naive"))], tmp_path)
    data, entry = toy(), Entry("linear", model.clone_unfitted(), "open_loop")
    if what == "data":
        data.test.loc[0, "y"] += 1.0
    elif what == "parameters":
        entry.model.set_params(ridge=2.0)
    elif what == "nested parameters":
        entry = entry._replace(model=Ensemble([linear(target_transforms=[Log()])]))
    elif what == "threads":
        set_threads(2)
    else:
        entry = entry._replace(mode=None)
    started = []
    rows = run(data, [entry, ("naive", Baseline("naive"))], tmp_path, on_start=lambda *given: started.append(given[0]))
    others = {"data": ["naive"], "threads": ["naive"]}.get(what, [])
    assert started == ["linear open_loop", *others]
    assert len(written(tmp_path)) == 2
    assert_frame_equal(without_times(rows), without_times(run(data, [entry, ("naive", Baseline("naive"))])))


def test_a_failed_row_is_a_row_and_is_tried_again(tmp_path, monkeypatch):
    entries = [("broken", Broken()), ("naive", Baseline("naive"))]
    rows = run(toy(), entries, tmp_path)
    assert rows["status"].to_list() == ["failed: RuntimeError: no luck, this time", "ok"]
    assert rows.loc[0, ["smape", "mase", "owa", "one_step"]].isna().all()
    assert len(written(tmp_path)) == 2
    monkeypatch.setattr(Broken, "works", True)
    started = []
    rows = run(toy(), entries, tmp_path, on_start=lambda *given: started.append(given[0]))
    assert started == ["broken"]
    assert rows["status"].to_list() == ["ok", "ok"]
    assert len(written(tmp_path)) == 2


def test_the_manifest_says_what_the_rows_were_made_from(tmp_path):
    run(toy(), THREE, tmp_path, seeds=[3], command="tsforce bench toy")
    run(toy(), THREE, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert len(manifest["data"]["toy small"]["sha256"]) == 64
    assert [run["seeds"] for run in manifest["runs"]] == [[3], [0]]
    first = manifest["runs"][0]
    assert first["command"] == "tsforce bench toy"
    assert first["packages"]["tsforce"]
    assert first["packages"]["numpy"] == np.__version__
    assert first["python"].startswith("3.")
    assert first["threads"] == get_threads()
    ridges = [row["parameters"]["model"].get("ridge") for row in manifest["rows"] if row["model"] == "linear"]
    assert ridges == ["1.0"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"rows": 1}', '{"data": {}, "rows": [1, {}, {"model": []}], "runs": []}']
)
def test_without_a_readable_manifest_no_row_is_trusted(tmp_path, text):
    run(toy(), THREE[:2], tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    started = []
    run(toy(), THREE[:2], tmp_path, on_start=lambda *given: started.append(given[0]))
    assert started == ["naive", "seasonal"]
    assert len(written(tmp_path)) == 2


# ---- what is not accepted


def test_a_table_with_other_columns_is_left_alone(tmp_path):
    (tmp_path / "results.csv").write_text("model,score\nmine,1\n")
    with pytest.raises(ArgumentError, match="has other columns"):
        run(toy(), THREE, tmp_path)
    assert (tmp_path / "results.csv").read_text() == "model,score\nmine,1\n"


def test_a_folder_that_is_a_file_is_answered_with_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="does not work as a folder for results"):
        run(toy(), THREE, tmp_path / "file")


@pytest.mark.parametrize(
    ("entries", "seeds", "error", "message"),
    [
        ([], (0,), ArgumentError, "entries is empty"),
        ([("a", Baseline("naive")), ("a", Baseline("drift"))], (0,), ArgumentError, "'a' stand there twice"),
        ([Baseline("naive")], (0,), ArgumentTypeError, r"expected tuples \(name, model, mode\)"),
        ([("a", "naive")], (0,), ArgumentTypeError, "'a' is a str; expected a Forecaster"),
        ([("a", Baseline("naive"))], (), ArgumentError, "at least one whole number"),
        ([("a", Baseline("naive"))], (1, 1), ArgumentError, "no two alike"),
        ([("a", Baseline("naive"))], (-1,), ArgumentError, "at least 0"),
    ],
)
def test_wrong_entries_and_seeds_are_answered_before_anything_runs(tmp_path, entries, seeds, error, message):
    with pytest.raises(error, match=message):
        run(toy(), entries, tmp_path, seeds)
    assert list(tmp_path.iterdir()) == []


def test_a_frame_is_no_competition():
    with pytest.raises(ArgumentTypeError, match="expected what load_competition"):
        run(make_frame(), THREE)


def test_test_rows_that_do_not_follow_the_training_rows_are_refused():
    data = toy()
    short = Competition("toy", "small", data.train, data.test.iloc[:-1], 6, 7)
    with pytest.raises(FrameError, match="expected 6 test rows for each of the 3 series"):
        run(short, THREE)
