"""NARXForecaster in every mode: what is trained, kept and recorded, blind and reproducible."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from tests.makers import as_it_stands, grouped, make_frame, wreck_after
from tests.pairs import pairs
from tsforce import ClosedLoop, Curriculum, Difference, Forecaster, Log, NARXForecaster, OpenLoop, Training
from tsforce.datasets import load
from tsforce.forcing import InverseSigmoid

MODES = ["open_loop", "closed_loop", "curriculum", "auto", Curriculum(InverseSigmoid(), gradient="detach")]
KINDS = [
    {"model": "linear", "scope": "local"},
    {"model": "linear", "scope": "global", "target_transforms": [Log()]},
    {"model": "mlp", "scope": "global", "window_scaling": "last"},
    {"model": "mlp", "scope": "local", "target_transforms": [Log(), Difference(7)]},
]
IDS = [f"{k['model']}-{k['scope']}" for k in KINDS]


def build(**settings):
    return NARXForecaster(
        **grouped(
            {"horizon": 4, "lags": 7, "season_length": 7, "max_steps": 20, "batch_size": 8, **as_it_stands(**settings)}
        )
    )


@pytest.fixture
def df():
    return make_frame((80, 60, 70))


@pytest.mark.parametrize(("kind", "mode"), pairs(IDS, MODES))
def test_every_mode_gives_finite_blind_reproducible_forecasts(df, kind, mode):
    kind = {**KINDS[IDS.index(kind)], "max_steps": 5}
    model = build(**kind).fit(df, mode=mode)
    fc = model.predict()
    assert np.isfinite(fc["NARXForecaster"]).all()
    assert model.mode_ == mode
    pd.testing.assert_frame_equal(build(**kind, mode=mode).fit(df).predict(), fc, check_exact=True)
    cutoffs = pd.DataFrame({"unique_id": ["s0", "s1", "s2"], "cutoff": [60, 50, 50]})
    at = model.predict_at(df, cutoffs)
    wrecked = model.predict_at(wreck_after(df, dict(cutoffs.to_numpy())), cutoffs)
    pd.testing.assert_frame_equal(at, wrecked, check_exact=True)
    pd.testing.assert_frame_equal(at, Forecaster.predict_at(model, df, cutoffs), rtol=1e-5)


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[2]], ids=[IDS[0], IDS[2]])
def test_training_rows_decide_alone(df, kind):
    """Rows after the training rows change no weight, no choice and no look of any mode."""
    seen = {"s0": 70, "s1": 50, "s2": 60}
    early = df[df["ds"] <= df["unique_id"].map(seen)]
    wrecked = wreck_after(df, seen)
    a = build(**kind, mode="auto").fit(early)
    b = build(**kind, mode="auto").fit(wrecked[wrecked["ds"] <= wrecked["unique_id"].map(seen)])
    pd.testing.assert_frame_equal(a.history_.frame.drop(columns="seconds"), b.history_.frame.drop(columns="seconds"))
    assert a.kept_mode_ == b.kept_mode_


def test_policies_that_have_a_name_go_by_it(df):
    for policy, name in [(OpenLoop(), "open_loop"), (ClosedLoop(), "closed_loop"), (Curriculum(), "curriculum")]:
        assert build(scope="local").fit(df, mode=policy).mode_ == name


def test_the_history_records_both_validation_errors_ratio_and_rate(df):
    history = build(model="mlp", window_scaling="last").fit(df, mode="curriculum").history_
    frame = history.frame
    assert frame.columns.tolist() == [
        "run", "mode", "epoch", "step", "loss", "one_step", "closed_loop", "forcing_ratio", "learning_rate", "seconds",
    ]  # fmt: skip
    choose = frame[frame["run"] == "choose"]
    assert choose[["one_step", "closed_loop"]].notna().all().all()
    assert choose["forcing_ratio"].iloc[[0, -1]].tolist() == [1, 0]
    assert frame.loc[frame["run"] == "final", "closed_loop"].isna().all()
    assert "gradient" in history.solver
    assert "gradient" in repr(history)


def test_a_closed_form_has_one_row_with_the_errors_of_its_chosen_ridge(df):
    model = build(scope="local", ridge="auto").fit(df, mode="open_loop")
    assert model.history_.solver == "least squares"
    (row,) = model.history_.frame.to_dict("records")
    assert (row["run"], row["mode"], row["step"], row["forcing_ratio"]) == ("choose", "open_loop", 0, 1.0)
    chosen = [r[f"error_at_{r['ridge']:g}"] for r in model.ridge_.to_dict("records")]
    horizon, scales = model.horizon, []
    for (_, part), n in zip(df.groupby("unique_id"), model.ridge_["n_windows"], strict=True):
        y = part["y"].to_numpy()[: len(part) - n * horizon]
        scales.append(np.abs(y[model.season_length_ :] - y[: -model.season_length_]).mean())
    assert row["closed_loop"] == pytest.approx(np.mean(np.array(chosen) / scales))
    assert 0 < row["one_step"] < row["closed_loop"]


def test_a_closed_form_with_a_given_ridge_holds_nothing_out(df):
    assert build(scope="local", ridge=1.0).fit(df, mode="open_loop").history_.frame.empty


def test_auto_says_what_it_kept(df):
    model = build(scope="local").fit(df)
    assert model.mode_ == "auto"
    assert set(model.kept_mode_) == {"s0", "s1", "s2"}
    assert set(model.kept_mode_.values()) <= {"open_loop", "curriculum"}
    kept = sum(mode == "curriculum" for mode in model.kept_mode_.values())
    assert f"auto: {kept} of 3 models kept training on own outputs" in model.history_.notes[-1]


def test_auto_without_rows_to_validate_on_is_open_loop(df):
    short = df.groupby("unique_id").head(12)
    model = build(scope="local").fit(short)
    assert set(model.kept_mode_.values()) == {"open_loop"}
    assert "nothing was compared" in model.history_.notes[-1]
    plain = build(scope="local").fit(short, mode="open_loop")
    np.testing.assert_allclose(model.predict()["NARXForecaster"], plain.predict()["NARXForecaster"], rtol=1e-8)


def test_auto_that_keeps_open_loop_forecasts_as_open_loop(df):
    """Rates so small that training changes nothing leave the closed-form solution, up to units."""
    auto = build(scope="local", learning_rate=1e-12).fit(df)
    plain = build(scope="local").fit(df, mode="open_loop")
    assert set(auto.kept_mode_.values()) == {"open_loop"}
    np.testing.assert_allclose(auto.predict()["NARXForecaster"], plain.predict()["NARXForecaster"], rtol=1e-8)


def test_closed_loop_training_mends_a_model_that_open_loop_leaves_drifting():
    """A walk seen through noise: one lag fitted one step ahead is pulled to the mean; over a horizon it must not be."""
    rng = np.random.default_rng(0)
    rows, names = 300, [f"s{i}" for i in range(20)]
    df = pd.DataFrame({"unique_id": np.repeat(names, rows), "ds": np.tile(np.arange(rows), 20)})
    df["y"] = np.concatenate([rng.normal(size=rows).cumsum() + 3 * rng.normal(size=rows) for _ in names])
    errors = {}
    for mode in ("open_loop", "closed_loop"):
        model = NARXForecaster(
            10, [1], training=Training(learning_rate=0.02, batch_size=256), max_steps=100,
            **as_it_stands(window_scaling=None),
        )  # fmt: skip
        model.fit(df[df["ds"] < 200], mode=mode)
        fc = model.predict_at(df, list(range(199, 289, 5))).merge(df, on=["unique_id", "ds"])
        errors[mode] = (fc["y"] - fc["NARXForecaster"]).abs().mean()
    assert errors["closed_loop"] < 0.97 * errors["open_loop"]


def test_progress_shows_both_errors_and_the_gap(df, capsys):
    build(model="mlp", verbose=True).fit(df, mode="curriculum")
    shown = capsys.readouterr().err
    assert "one-step" in shown
    assert "closed-loop" in shown
    assert "gap" in shown
    build(model="mlp").fit(df, mode="curriculum")
    assert capsys.readouterr().err == ""


def test_random_state_changes_the_draws(df):
    # Every step is taken: on held-out rows none need be better than the start, which draws nothing.
    a, b = (build(model="mlp", random_state=s, validation=False).fit(df, mode="curriculum").predict() for s in (0, 1))
    assert not np.allclose(a["NARXForecaster"], b["NARXForecaster"], rtol=1e-9)


def test_a_time_limit_ends_training_and_leaves_a_model_that_forecasts(df):
    model = build(model="mlp", mode="closed_loop", max_steps=100_000, time_limit=0.2, validation=False).fit(df)
    assert 0 < model.history_.frame["step"].max() < 100_000
    assert model.history_.frame["seconds"].max() < 20
    assert np.isfinite(model.predict()["NARXForecaster"]).all()


def test_a_lone_phase_stays_at_the_start_where_no_look_is_better_and_says_so():
    df = load("airpassengers")
    model = NARXForecaster(12, 24, scope="local", prior="zero", training=Training(solver="adamw")).fit(
        df, mode="curriculum"
    )
    looks = model.history_.frame.query("run == 'choose'")
    start = looks["closed_loop"].iloc[0]
    assert (looks["closed_loop"].iloc[1:] > start).all()
    assert model.mode_ == "curriculum"
    assert model.kept_mode_ == {"airpassengers": "open_loop"}
    (note,) = model.history_.notes
    assert note == (
        "curriculum: no look was better, so that the start, open loop by least squares, was kept; closed-loop "
        f"validation error {start:.4g} at the start, {start:.4g} kept."
    )
    plain = NARXForecaster(12, 24, scope="local", prior="zero").fit(df, mode="open_loop")
    np.testing.assert_allclose(model.predict()["NARXForecaster"], plain.predict()["NARXForecaster"], rtol=1e-6)


def test_what_a_lone_phase_keeps_is_no_worse_than_its_start_in_any_model(df):
    model = build(scope="local", learning_rate=0.02).fit(df, mode="closed_loop")
    kept = sum(mode == "open_loop" for mode in model.kept_mode_.values())
    (note,) = [text for text in model.history_.notes if text.startswith("closed_loop: ")]
    start, best = (float(part.split()[0]) for part in re.split("validation error |at the start, ", note)[1:])
    assert best <= start
    assert (f"{kept} of 3 models kept the start" in note) == (kept > 0)


def test_the_history_says_why_each_run_ended_and_hides_none():
    df = load("airpassengers")
    model = NARXForecaster(12, 24, scope="local", prior="zero", training=Training(solver="adamw")).fit(
        df, mode="closed_loop"
    )
    runs = model.history_.runs.set_index("run")
    looks = model.history_.frame.query("run == 'choose'")
    best = looks.loc[looks["closed_loop"].idxmin()]
    assert runs.loc["choose", ["closed_loop", "at_step"]].tolist() == [best["closed_loop"], str(best["step"])]
    assert runs["ended"].tolist() == ["no better look for long", "the steps chosen"]
    assert runs.loc["final", "steps"] == best["step"]
    shown = str(model.history_)
    assert max(len(line) for line in shown.splitlines()[2:]) <= 100
    for text in ("no better look for long", "the steps chosen", "learns from all rows, those held out too"):
        assert text in shown
    short = NARXForecaster(12, 24, scope="local", max_steps=2).fit(df, mode="closed_loop")
    assert short.history_.runs["ended"][0] == "all steps taken"
    late = NARXForecaster(12, 24, scope="local", training=Training(time_limit=1e-9)).fit(df, mode="closed_loop")
    assert late.history_.runs["ended"][0] == "time limit"


def test_of_several_models_each_reason_is_counted(df):
    model = build(scope="local", max_steps=60).fit(df, mode="closed_loop")
    ended = model.history_.runs["ended"][0]
    counts = [int(n) for n in re.findall(r"\((\d+)\)", ended)]
    assert ended in ("all steps taken", "no better look for long") or sum(counts) == 3
