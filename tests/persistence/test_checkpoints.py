"""Fits that were killed go on where they were, and end as if nothing had happened."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from tsforce import (
    AutoNARX,
    Baseline,
    Ensemble,
    NARXForecaster,
    NARXRegressor,
    Training,
    backtest,
    compare,
    compare_modes,
    forcing,
    tune,
)
from tsforce.datasets import load
from tsforce.errors import ArgumentError, PersistenceError
from tsforce.forecasting.auto.clock import Clock
from tsforce.models import GRU, MLP
from tsforce.persistence import checkpoints
from tsforce.persistence.checkpoints import Checkpoint, checkpoint_in
from tsforce.persistence.describing import digest
from tsforce.training import by_gradient


class Killed(BaseException):
    """Nothing in between catches it."""


@pytest.fixture(autouse=True)
def at_every_look(monkeypatch):
    """Keep at every look, however little time has passed."""
    monkeypatch.setattr(checkpoints, "_SHARE", np.inf)


def panel_of(n_series=3, rows=70):
    rng = np.random.default_rng(5)
    t = np.arange(rows)
    frames = []
    for k in range(n_series):
        y = 10 + k + np.sin(2 * np.pi * t / 6) + 0.1 * rng.normal(size=rows).cumsum()
        frames.append(pd.DataFrame({"unique_id": f"s{k}", "ds": t, "y": y}))
    return pd.concat(frames, ignore_index=True)


def killed_again_and_again(monkeypatch, fit, every=1):
    """Return what a fit comes to whose process dies after each `every` states that it has kept, and how often."""
    keep, kept, kills = Checkpoint.keep, 0, 0

    def kept_and_killed(self, state):
        nonlocal kept
        keep(self, state)
        kept += 1
        if kept % every == 0:
            raise Killed

    monkeypatch.setattr(Checkpoint, "keep", kept_and_killed)
    while True:
        try:
            return fit(), kills
        except Killed:
            kills += 1


def told(history):
    """Return a history but the seconds, which are never the same."""
    return history.frame.drop(columns="seconds"), history.runs, history.notes


def assert_same(found, expected):
    for name, tensor in expected.model_.state_dict().items():
        assert torch.equal(found.model_.state_dict()[name], tensor), name
    assert [p.requires_grad for p in found.model_.parameters()] == [
        p.requires_grad for p in expected.model_.parameters()
    ]
    for one, other in zip(told(found.history_), told(expected.history_), strict=True):
        assert one.equals(other) if isinstance(one, pd.DataFrame) else one == other


SHORT = Training(learning_rate=0.02, batch_size=8, validation=2)
FITS = {
    "mlp, curriculum": {"model": MLP((8,)), "mode": "curriculum", "training": SHORT},
    "mlp, auto": {"model": MLP((8,)), "mode": "auto", "training": SHORT},
    "mlp, adaptive": {"model": MLP((8,)), "mode": forcing.Curriculum(forcing.Adaptive()), "training": SHORT},
    "gru, closed loop": {"model": GRU(4), "mode": "closed_loop", "training": SHORT},
    "linear maps per series": {"mode": forcing.Curriculum(), "scope": "local", "training": SHORT},
    "an adversary": {
        "model": MLP((8,)), "mode": forcing.ProfessorForcing(hidden=4, low=0.0, high=1.0), "training": SHORT,
    },
    "gain": {"model": MLP((8,)), "mode": forcing.GeneralizedTeacherForcing(forcing.Annealed()), "training": SHORT},
    "a head": {"head": "gaussian", "mode": "open_loop", "training": SHORT},
    "levenberg-marquardt": {
        "model": MLP((2,), "tanh"), "mode": "closed_loop", "scope": "local", "max_steps": 17,
        "training": Training(solver="levenberg_marquardt", validation=False),
    },
    "levenberg-marquardt, drawn": {
        "model": MLP((4,), "tanh"), "mode": "curriculum", "max_steps": 17,
        "training": Training(solver="levenberg_marquardt", batch_size=20),
    },
    "levenberg-marquardt, linear": {
        "mode": "open_loop", "scope": "local", "max_steps": 17,
        "training": Training(solver="levenberg_marquardt", validation=False),
    },
    "free initial outputs": {
        "mode": "closed_loop", "max_steps": 17,
        "training": Training(solver="levenberg_marquardt", initial_outputs="free"),
    },
    "moments": {"mode": "curriculum", "scope": "local"},
}  # fmt: skip
QUICK = {"mlp, adaptive": 5, "levenberg-marquardt": 6}


@pytest.mark.parametrize(
    ("name", "every"), [*QUICK.items(), *(pytest.param(name, 1, marks=pytest.mark.slow) for name in FITS)]
)
def test_a_fit_that_dies_again_and_again_ends_as_if_it_had_not(monkeypatch, tmp_path, name, every):
    # Three series are fitted in two chunks.
    monkeypatch.setattr(by_gradient, "_CHUNK", 2)
    model = NARXForecaster(4, 6, **{"max_steps": 6, **FITS[name]})
    df = panel_of()
    expected = model.clone_unfitted().fit(df)
    found, kills = killed_again_and_again(
        monkeypatch, lambda: model.clone_unfitted().fit(df, checkpoint=tmp_path), every
    )
    assert kills >= 1
    assert_same(found, expected)


def test_a_fit_that_was_over_takes_no_step_again(monkeypatch, tmp_path):
    model = NARXForecaster(4, 6, max_steps=3, **FITS["mlp, curriculum"])
    first = model.clone_unfitted().fit(panel_of(), checkpoint=tmp_path)
    monkeypatch.setattr(by_gradient.gradient, "train", None)
    assert_same(model.clone_unfitted().fit(panel_of(), checkpoint=tmp_path), first)


@pytest.mark.slow
def test_a_regressor_goes_on_too(monkeypatch, tmp_path):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(120, 1))
    y = np.convolve(X[:, 0], [0.5, 0.3], mode="full")[:120]
    model = NARXRegressor(2, 2, model=MLP((4,), "tanh"), mode="closed_loop", max_steps=6)
    expected = NARXRegressor(**model.get_params(deep=False)).fit(X, y)
    found, kills = killed_again_and_again(monkeypatch, lambda: model.fit(X, y, checkpoint=tmp_path))
    assert kills >= 2
    assert np.array_equal(found.predict(X), expected.predict(X))


def test_seconds_before_the_kill_count_as_the_run_s_own(monkeypatch, tmp_path):
    """A limit of the whole run is not begun anew with each kill."""
    clock = iter(range(1000))
    monkeypatch.setattr("tsforce.training.solvers.looks.time.process_time", lambda: float(next(clock)))
    model = NARXForecaster(
        4, 6, max_steps=50, model=MLP((4,)), mode="open_loop",
        training=Training(batch_size=4, validation=False, time_limit=30),
    )  # fmt: skip
    found, kills = killed_again_and_again(monkeypatch, lambda: model.fit(panel_of(1), checkpoint=tmp_path))
    assert kills > 2
    assert found.history_.runs["ended"].tolist() == ["time limit"]
    assert 30 < found.history_.frame["seconds"].iloc[-1] < 40


# ---- what is made of fits


def test_a_search_that_dies_again_and_again_finds_the_same(monkeypatch, tmp_path):
    model = NARXForecaster(4, 6, mode="open_loop")
    space = {"lags": [4, 5, 6, 7, 8], "scope": ["local", "global"], "ridge": [1.0, 10.0, float("nan")]}
    asked = {"n_windows": 2, "n_trials": 6, "random_state": 1}
    expected = tune(model, panel_of(2), space, **asked)
    found, kills = killed_again_and_again(
        monkeypatch, lambda: tune(model, panel_of(2), space, **asked, checkpoint=tmp_path), 3
    )
    assert kills >= 2
    assert found.best_params_ == expected.best_params_
    columns = [column for column in expected.trials_ if column != "seconds"]
    pd.testing.assert_frame_equal(found.trials_[columns], expected.trials_[columns])


def test_what_was_judged_is_not_judged_again_in_a_larger_search(monkeypatch, tmp_path):
    model = NARXForecaster(4, 6, mode="open_loop")
    first = tune(model, panel_of(2), {"lags": [4, 5]}, checkpoint=tmp_path)
    judged = []
    fit = NARXForecaster.fit
    monkeypatch.setattr(NARXForecaster, "fit", lambda self, *a, **k: judged.append(self.lags) or fit(self, *a, **k))
    again = tune(model, panel_of(2), {"lags": [4, 5, 7]}, checkpoint=tmp_path)
    assert judged == [7]
    assert again.trials_["mase"].tolist()[:3] == first.trials_["mase"].tolist()
    assert again.trials_["seconds"].tolist()[:3] == first.trials_["seconds"].tolist()
    with pytest.raises(PersistenceError, match=r"settings.n_windows was 3, and is 2 now"):
        tune(model, panel_of(2), {"lags": [4, 5]}, n_windows=2, checkpoint=tmp_path)


def test_a_backtest_that_dies_again_and_again_forecasts_the_same(monkeypatch, tmp_path):
    model = NARXForecaster(4, 6, model=MLP((4,)), mode="open_loop", max_steps=3, training=SHORT)
    asked = {"n_windows": 2, "refit": True, "n_paths": 2}
    expected = backtest(model, panel_of(2), **asked)
    found, kills = killed_again_and_again(
        monkeypatch, lambda: backtest(model, panel_of(2), **asked, checkpoint=tmp_path), 4
    )
    assert kills >= 2
    pd.testing.assert_frame_equal(found.frame, expected.frame, check_exact=True)
    pd.testing.assert_frame_equal(found.scores(), expected.scores(), check_exact=True)
    monkeypatch.undo()
    fits = []
    fit = NARXForecaster.fit
    monkeypatch.setattr(NARXForecaster, "fit", lambda self, *a, **k: fits.append(1) or fit(self, *a, **k))
    again = backtest(model, panel_of(2), **asked, checkpoint=tmp_path)
    pd.testing.assert_frame_equal(again.frame, expected.frame, check_exact=True)
    assert fits == []
    # Who made the windows is fitted where it is asked for.
    pd.testing.assert_frame_equal(again.exposure(), expected.exposure(), check_exact=True)
    assert len(fits) == 2
    with pytest.raises(PersistenceError, match=r"settings.refit was true, and is 2 now"):
        backtest(model, panel_of(2), **{**asked, "refit": 2}, checkpoint=tmp_path)


def test_series_left_out_of_windows_that_were_kept_stay_out(tmp_path):
    short = panel_of(3).query("unique_id != 's1' or ds >= 55")
    model = Ensemble(
        [Baseline("naive", season_length=3, horizon=4), NARXForecaster(4, 20, scope="local")], combine="mean"
    )
    member = NARXForecaster(4, 20, scope="local", mode="open_loop", short_series="drop")
    for one in (model, member):
        first = backtest(one, short, n_windows=2, refit=True, checkpoint=tmp_path / one.name)
        again = backtest(one, short, n_windows=2, refit=True, checkpoint=tmp_path / one.name)
        assert again.left_out == first.left_out
        pd.testing.assert_frame_equal(again.frame, first.frame, check_exact=True)
        pd.testing.assert_frame_equal(again.scores(), first.scores(), check_exact=True)
    assert first.left_out == ["s1"]


def test_a_comparison_keeps_the_windows_of_each_model(monkeypatch, tmp_path):
    models = {"a/b": Baseline("naive"), "one": NARXForecaster(4, 6, mode="open_loop")}
    first = compare(models, panel_of(2), horizon=4, checkpoint=tmp_path)
    monkeypatch.setattr(NARXForecaster, "fit", None)
    monkeypatch.setattr(Baseline, "fit", None)
    again = compare(models, panel_of(2), horizon=4, checkpoint=tmp_path)
    pd.testing.assert_frame_equal(again.frame, first.frame, check_exact=True)


@pytest.mark.slow
def test_a_comparison_of_modes_that_dies_again_and_again_says_the_same(monkeypatch, tmp_path):
    model = NARXForecaster(4, 6, model=MLP((2,)), max_steps=2, training=SHORT)
    asked = {"modes": ["open_loop", "closed_loop"]}
    expected = compare_modes(model, panel_of(2), **asked)
    found, kills = killed_again_and_again(
        monkeypatch, lambda: compare_modes(model, panel_of(2), **asked, checkpoint=tmp_path), 3
    )
    assert kills >= 2
    for name in ("runs", "horizons", "tests"):
        wanted, told = (getattr(one, name) for one in (expected, found))
        columns = [column for column in wanted if column != "cpu_s"]
        pd.testing.assert_frame_equal(told[columns], wanted[columns], check_exact=True)
    monkeypatch.undo()
    fitted, fit = [], NARXForecaster.fit
    monkeypatch.setattr(NARXForecaster, "fit", lambda self, *a, **k: fitted.append(self.mode) or fit(self, *a, **k))
    more = {**asked, "modes": ["open_loop", "closed_loop", "curriculum"]}
    again = compare_modes(model, panel_of(2), **more, checkpoint=tmp_path)
    assert fitted == ["curriculum"]
    pd.testing.assert_frame_equal(again.runs[:2], found.runs)
    with pytest.raises(PersistenceError, match=r"settings.horizon was 4, and is 3 now"):
        compare_modes(model, panel_of(2), **asked, horizon=3, checkpoint=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("budget", ["fast", "balanced"])
def test_an_auto_narx_that_dies_again_and_again_is_the_same(monkeypatch, tmp_path, budget):
    df = load("airpassengers")
    expected = AutoNARX(12, budget=budget).fit(df)
    found, kills = killed_again_and_again(
        monkeypatch, lambda: AutoNARX(12, budget=budget).fit(df, checkpoint=tmp_path), 7
    )
    assert kills >= 2
    pd.testing.assert_frame_equal(found.predict(), expected.predict(), check_exact=True)
    columns = [column for column in expected.leaderboard_ if column != "cpu_seconds"]
    pd.testing.assert_frame_equal(found.leaderboard_[columns], expected.leaderboard_[columns], check_exact=True)


@pytest.mark.slow
def test_candidates_that_were_tried_are_not_tried_again(monkeypatch, tmp_path):
    df = panel_of(2, 40)
    first = AutoNARX(4, season_length=6, budget="fast").fit(df, checkpoint=tmp_path)
    monkeypatch.setattr("tsforce.forecasting.auto.on_trial.run_trial", None)
    again = AutoNARX(4, season_length=6, budget="fast").fit(df, checkpoint=tmp_path)
    pd.testing.assert_frame_equal(again.leaderboard_, first.leaderboard_, check_exact=True)
    pd.testing.assert_frame_equal(again.predict(), first.predict(), check_exact=True)


def test_seconds_before_the_kill_count_in_the_limit_of_a_search_for_models():
    clock = Clock(10.0, "AutoNARX", verbose=False)
    clock.went_on(4.0)
    assert 5.5 < clock.left < 6.0


@pytest.mark.slow
def test_a_combination_keeps_the_training_of_each_member(monkeypatch, tmp_path):
    network = NARXForecaster(4, 6, model=MLP((4,)), mode="closed_loop", max_steps=3, training=SHORT)
    both = Ensemble({"a": network, "b": Baseline("naive")})
    expected = both.clone_unfitted().fit(panel_of(2))
    found, kills = killed_again_and_again(
        monkeypatch, lambda: both.clone_unfitted().fit(panel_of(2), checkpoint=tmp_path), 2
    )
    assert kills >= 1
    pd.testing.assert_frame_equal(found.predict(), expected.predict(), check_exact=True)


# ---- what a folder was made from


def fitted(folder, df=None, **params):
    model = NARXForecaster(**{"horizon": 4, "lags": 6, "mode": "open_loop", **params})
    return model.fit(panel_of(1) if df is None else df, checkpoint=folder)


def test_other_settings_are_refused_and_named(tmp_path):
    fitted(tmp_path, training=Training(time_limit=60))
    fitted(tmp_path, training={"time_limit": 60}, verbose=False, alias="other name")
    with pytest.raises(PersistenceError, match=r"settings.lags was 6, and is 7 now. Give another folder, or delete"):
        fitted(tmp_path, lags=7, training=Training(time_limit=60))
    with pytest.raises(PersistenceError, match=r"settings.training.time_limit was 60, and is null now"):
        fitted(tmp_path)
    with pytest.raises(PersistenceError, match=r'settings.mode was "open_loop", and is "curriculum" now'):
        fitted(tmp_path, mode="curriculum", training=Training(time_limit=60))
    with pytest.raises(PersistenceError, match=r'of was "NARXForecaster", and is "NARXRegressor" now'):
        NARXRegressor(2, 2).fit(np.arange(40.0)[:, None], np.arange(40.0), checkpoint=tmp_path)


@pytest.mark.parametrize("change", ["value", "id", "stamp", "row"])
def test_other_data_are_refused(tmp_path, change):
    df = panel_of(1)
    fitted(tmp_path, df)
    fitted(tmp_path, df.sample(frac=1, random_state=0))
    other = {
        "value": df.assign(y=df["y"].where(df["ds"] != 20, df["y"] + 1e-12)),
        "id": df.assign(unique_id="another"),
        "stamp": df.assign(ds=df["ds"] + 1),
        "row": df.iloc[:-1],
    }[change]
    with pytest.raises(PersistenceError, match="the data are not those that it was begun with"):
        fitted(tmp_path, other)


def test_other_versions_are_refused_and_named(monkeypatch, tmp_path):
    fitted(tmp_path)
    now = {**checkpoints.versions(), "torch": "99.0"}
    monkeypatch.setattr(checkpoints, "versions", lambda: now)
    with pytest.raises(
        PersistenceError, match=rf'versions.torch was "{torch.__version__}", and is "99.0" now'.replace("+", r"\+")
    ):
        fitted(tmp_path)


def test_a_step_model_of_ones_own_is_told_by_what_it_holds(tmp_path):
    """Its text says where in memory it is, which is another place in each process."""

    class Own:
        def __init__(self, size):
            self.size = size

    checkpoint_in(tmp_path, "a fit", {"model": Own(3)}, None)
    checkpoint_in(tmp_path, "a fit", {"model": Own(3)}, None)
    with pytest.raises(PersistenceError, match=r"settings.model.size was 3, and is 4 now"):
        checkpoint_in(tmp_path, "a fit", {"model": Own(4)}, None)


# ---- the files


def test_states_come_back_as_they_were(tmp_path):
    place = checkpoint_in(tmp_path, "a fit", {}, None)
    state = {
        "plain": [1, 2.5, None, "text", True, float("inf")],
        "table": np.arange(6.0).reshape(2, 3),
        "weights": [torch.tensor([1.0, float("nan")]), torch.nn.Parameter(torch.ones(2))],
        "counts": {("final", "mlp"): {"all steps taken": 3}},
    }
    assert place.read() is None
    place.within("a").keep({"step": 1})
    place.within("a").keep(state)
    place.within("a").within("b").keep({"step": 2})
    found = checkpoint_in(str(tmp_path), "a fit", {}, None).within("a").read()
    assert found["plain"] == state["plain"]
    assert found["counts"] == state["counts"]
    assert np.array_equal(found["table"], state["table"])
    assert torch.equal(found["weights"][0].nan_to_num(7.0), torch.tensor([1.0, 7.0]))
    assert found["weights"][1].requires_grad
    assert place.within("a").within("b").read() == {"step": 2}
    assert place.read() is None


def test_broken_files_and_those_of_another_folder_are_refused(tmp_path):
    place = checkpoint_in(tmp_path / "one", "a fit", {"lags": 1}, None).within("a")
    place.keep({"weights": np.arange(100.0)})
    whole = place.path.read_bytes()
    for broken in (b"", whole[:200], whole[:-30], whole.replace(b'"state"', b'"stats"', 1)):
        place.path.write_bytes(broken)
        with pytest.raises(PersistenceError, match=r"a\.checkpoint"):
            place.read()
    other = checkpoint_in(tmp_path / "other", "a fit", {"lags": 2}, None).within("a")
    other.path.write_bytes(whole)
    with pytest.raises(PersistenceError, match="not made from what the folder says"):
        other.read()
    (tmp_path / "one" / "made_from.json").write_bytes(b"{}")
    with pytest.raises(PersistenceError, match=r"made_from.json: it does not say what it is of"):
        checkpoint_in(tmp_path / "one", "a fit", {"lags": 1}, None)


def test_weights_that_are_not_the_model_s_are_refused(tmp_path):
    model = NARXForecaster(4, 6, max_steps=2, **FITS["mlp, curriculum"])
    model.fit(panel_of(1), checkpoint=tmp_path)
    made_from = digest(json.loads((tmp_path / "made_from.json").read_text()))
    place = Checkpoint(tmp_path, made_from, "choose-0", checkpoints._Pace())
    state = place.read()
    for wrong in (torch.ones(1), np.ones(3)):
        place.keep({**state, "weights": [wrong, *state["weights"][1:]]})
        with pytest.raises(PersistenceError, match="a checkpoint holds"):
            model.clone_unfitted().fit(panel_of(1), checkpoint=tmp_path)


def test_what_cannot_be_a_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match=r"checkpoint='.*file' does not work as a folder"):
        fitted(tmp_path / "file")


def test_keeping_takes_a_small_share_of_the_time(monkeypatch, tmp_path):
    monkeypatch.undo()
    place = checkpoint_in(tmp_path, "a fit", {}, None)
    assert place.due
    place._pace.spent = 1.0
    assert not place.within("b").due
    place._pace.began -= 60.0
    assert place.within("b").due
