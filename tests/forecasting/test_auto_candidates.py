"""AutoNARX with candidates that a user names or brings."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import tsforce
from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, Ensemble, NARXForecaster
from tsforce.errors import ArgumentError, ArgumentTypeError, MissingExtraError
from tsforce.forecasting.auto import candidates
from tsforce.forecasting.auto.candidate import Candidate
from tsforce.forecasting.auto.choice import weigh
from tsforce.forecasting.auto.trials import Trial, TrialWindows

H = 4


def auto(names, **settings):
    return AutoNARX(H, **{"season_length": 7, "budget": "fast", "candidates": names, **settings})


@pytest.fixture(scope="module")
def df():
    return make_frame((60, 70))


def numbers(frame):
    return frame.iloc[:, -1].to_numpy()


def test_a_candidate_that_is_named_alone_is_the_forecast(df):
    model = auto({"line": Baseline("drift", horizon=H)}).fit(df)
    expected = Baseline("drift", horizon=H).fit(df).predict()
    np.testing.assert_allclose(numbers(model.predict()), numbers(expected), rtol=1e-12)
    board = model.leaderboard_.set_index("candidate")
    # What errors are measured by is tried too.
    assert board["weight"].to_dict() == {"line": 1.0, "naive": 0.0, "seasonal_naive": 0.0}
    assert board.loc["seasonal_naive", "error"] == pytest.approx(1.0)


def test_names_families_and_forecasters_go_together(df):
    own = NARXForecaster(H, 3, scope="global", mode="open_loop")
    both = Ensemble([Baseline("theta", season_length=7), Baseline("ets", season_length=7)], combine="mean")
    model = auto(["drift", "linear, levels, 8 lags", own, {"mean of two": both}]).fit(df)
    found = model.leaderboard_.set_index("candidate")["family"].to_dict()
    assert found == {
        "drift": "naive", "naive": "naive", "seasonal_naive": "naive", "linear, levels, 8 lags": "linear",
        "NARXForecaster": "linear", "mean of two": "Ensemble",
    }  # fmt: skip
    assert not both.is_fitted
    member = model.members_["mean of two"]
    np.testing.assert_allclose(numbers(member.predict(H)), numbers(both.clone_unfitted().fit(df).predict(H)))


def test_auto_among_the_names_is_what_the_budget_bears(df):
    mine = Baseline("ets", horizon=H, season_length=7)
    found = auto(["auto", mine], time_limit=1e-6).fit(df).leaderboard_["candidate"]
    plain = AutoNARX(H, season_length=7, budget="fast", time_limit=1e-6).fit(df).leaderboard_["candidate"]
    assert set(found) == {*plain, "ets"}


def test_forecasters_of_one_name_are_told_apart_by_numbers(df):
    maps = [NARXForecaster(H, lags, mode="open_loop", scope="local") for lags in (2, 5)]
    found = set(auto(maps).fit(df).leaderboard_["candidate"])
    assert found == {"NARXForecaster", "NARXForecaster 2", "naive", "seasonal_naive"}


def test_naive_forecasts_stand_in_where_nothing_that_was_asked_for_has_one(df):
    short = pd.DataFrame({"unique_id": "few", "ds": [1, 2, 3], "y": [5.0, 9.0, 6.0]})
    model = auto("linear, levels, 8 lags").fit(pd.concat([df, short]))
    found = model.predict()
    np.testing.assert_allclose(numbers(found[found["unique_id"] == "few"]), 6.0)
    weight = dict(zip(model.members_, model._weight_.T[model._rows_.position["s0"]], strict=True))
    assert weight["linear, levels, 8 lags"] == 1.0


def test_what_stands_in_takes_no_voice_from_those_of_its_family():
    panel = Baseline("naive").read(make_frame((40,)))
    windows = TrialWindows.of(panel, H, 7)
    names = {"naive": True, "drift": False, "other": False}
    tried = [
        Trial(Candidate(name, "naive" if name != "other" else name, Baseline("naive"), None, 0.0, stands_in=out),
              windows.truth + 1, np.ones((len(windows.index), 2)), np.ones(1, dtype=bool), 0.0, 0.0)
        for name, out in names.items()
    ]  # fmt: skip
    np.testing.assert_allclose(weigh(tried, windows)[:, 0], [0.0, 0.5, 0.5])


def test_networks_trees_and_maps_for_each_step_are_there_by_name_at_any_budget(df):
    wanted = ["mlp", "gru", "trees", "lightgbm", "direct"]
    pytest.importorskip("lightgbm")
    model = auto(wanted, time_limit=1e-6).fit(df)
    board = model.leaderboard_.set_index("candidate")
    assert set(board.index) == {*wanted, "naive", "seasonal_naive"}
    assert set(board.loc[wanted, "status"]) == {"not tried: no time was left"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "trees", "lightgbm", "direct"])
def test_what_is_there_by_name_learns_and_forecasts(df, name):
    if name == "lightgbm":
        pytest.importorskip(name)
    model = auto(name).fit(df)
    assert model.leaderboard_.set_index("candidate").loc[name, "weight"] == pytest.approx(1.0)
    assert np.isfinite(numbers(model.predict())).all()


def test_a_network_that_takes_too_long_is_left_out_and_told_unless_it_is_named(df, monkeypatch):
    def boards(horizon):
        given = {"season_length": 7, "budget": "balanced", "time_limit": 1e-6}
        for names in (None, ["auto", "mlp"]):
            board = AutoNARX(horizon, **given, candidates=names).fit(long).leaderboard_
            yield board.set_index("candidate").loc["mlp", "status"]

    monkeypatch.setattr(candidates, "_ROWS_FOR_NETWORKS", 100)
    monkeypatch.setitem(candidates._MOST_WORK, "balanced", 60.0)
    long = make_frame((500, 400))
    assert list(boards(4)) == ["not tried: no time was left"] * 2
    left_out, named = boards(150)
    # 300 training steps, 150 ahead: each .8 ms, and 256 windows times 73 x 128 + 128 x 128 weights, .1 ns each.
    assert "not tried: about 66 seconds for horizon 150 and 73 lags; candidates=['auto', 'mlp'] tries" in left_out
    assert named == "not tried: no time was left"


def test_a_map_for_all_that_reads_inputs_is_learnt_by_gradient_and_as_dear_as_the_horizon_is_long():
    plain = make_frame((400, 400))
    given = plain.assign(x=np.arange(800.0))

    def one(horizon, df, **asked):
        model = AutoNARX(horizon, **{"budget": "fast", "season_length": 7} | asked)
        panel = model.read(df)
        found = candidates.candidates_for(panel, panel.lengths, model._wanted((7,)))
        return next(c for c in found if c.name == "linear for all")

    near, far = (one(horizon, given, future_exog=["x"]) for horizon in (12, 60))
    assert far.work - near.work == pytest.approx(48.0)
    assert near.why_not == ""
    assert far.why_not.startswith("about 60 seconds by gradient for horizon 60; candidates=['auto', 'linear for all']")
    assert one(60, given, future_exog=["x"], budget="balanced").why_not == ""
    assert one(60, plain).why_not == ""
    assert one(60, plain).work < 1


def test_budgets_bear_more_and_more_models_for_all_series(monkeypatch):
    monkeypatch.setattr(candidates, "_ROWS_FOR_NETWORKS", 100)
    panel = Baseline("naive").read(make_frame((60, 70)))
    found = {}
    for budget in candidates.BUDGETS:
        wanted = AutoNARX(H, budget=budget)._wanted((7,))
        found[budget] = {c.family for c in candidates.candidates_for(panel, panel.lengths, wanted)}
    assert found["balanced"] - found["fast"] == {"mlp"}
    assert found["accurate"] - found["balanced"] == {"gru", "direct"}


def test_the_perceptron_takes_a_settled_number_of_steps_and_holds_nothing_out(df, monkeypatch):
    monkeypatch.setattr(candidates, "_STEPS", 3)
    member = auto("mlp").fit(df).members_["mlp"]
    assert set(member.history_.frame["run"]) == {"final"}
    assert member.history_.frame["step"].max() == 3


def two_years(n_series, n_rows, season=26):
    """Series with a strong season and a level that walks."""
    rng = np.random.default_rng(0)
    t = np.arange(n_rows)
    wave = np.sin(2 * np.pi * t / season) + 0.6 * np.sin(4 * np.pi * t / season + 1)
    parts = [100 + 30 * wave * rng.uniform(0.5, 1.5) + rng.normal(0, 2, n_rows).cumsum() for _ in range(n_series)]
    return pd.concat([pd.DataFrame({"unique_id": f"s{i}", "ds": t, "y": y}) for i, y in enumerate(parts)])


def test_a_season_that_is_seen_less_than_three_times_has_maps_of_seasonal_differences_for_all():
    def found(n_rows):
        panel = Baseline("naive").read(two_years(3, n_rows))
        wanted = AutoNARX(H, budget="fast")._wanted((26,))
        every = candidates.candidates_for(panel, panel.lengths, wanted)
        return [c.name for c in every if c.family == "seasonal differences"]

    maps = ["linear for all, Difference(26), 4 lags", "linear for all, Log() Difference(26), 4 lags"]
    assert found(37) == []
    assert found(38) == found(77) == maps
    assert found(78) == []


def test_series_of_about_two_seasons_are_forecast_with_their_season():
    df = two_years(4, 62)
    df, truth = df[df["ds"] < 54], df.loc[df["ds"] >= 54, "y"].to_numpy()
    names = ["naive", "linear", "seasonal differences"]
    model = AutoNARX(8, season_length=26, candidates=names, budget="fast").fit(df)
    naive = Baseline("seasonal_naive", horizon=8, season_length=26).fit(df)
    found, expected = (np.abs(numbers(one.predict()) - truth).mean() for one in (model, naive))
    assert found < 0.6 * expected
    assert model.leaderboard_.groupby("family")["weight"].sum()["seasonal differences"] > 0.3


def test_lightgbm_that_is_not_installed_is_told_with_its_extra(df, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tsforce\[lightgbm\]'"):
        auto(["theta", "lightgbm"]).fit(df)


def test_a_mode_of_the_fit_is_that_of_forecasters_that_were_brought_too(df):
    own = NARXForecaster(H, 3, scope="local", mode="closed_loop")
    assert auto([own]).fit(df, mode="open_loop").members_["NARXForecaster"].mode_ == "open_loop"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["thete"], "'thete' is no candidate for these rows; there are: 'auto', 'naive', .* Did you mean 'theta'"),
        (["linear, levels, 8 lag"], "Did you mean 'linear, levels, 8 lags'"),
        ([], "candidates is empty"),
        ({"theta": Baseline("ets", horizon=H)}, "'theta' is the name of one that AutoNARX has"),
        (NARXForecaster(H + 1), "'NARXForecaster' has horizon=5, AutoNARX has 4"),
        (Baseline("ets", id_col="shop"), "'ets' has id_col='shop', AutoNARX has 'unique_id'"),
        (NARXForecaster(H, future_exog=["x"]), r"name it there too: AutoNARX\(..., future_exog=\['x'\]\)"),
    ],
)
def test_names_that_are_not_known_and_forecasters_that_do_not_fit_are_refused(df, given, said):
    with pytest.raises(ArgumentError, match=said):
        auto(given).fit(df)


@pytest.mark.parametrize("given", [3, [None], {"a": "theta"}, [Baseline]])
def test_what_is_no_name_and_no_forecaster_is_refused(df, given):
    with pytest.raises(ArgumentTypeError, match="expected names such as 'theta'"):
        auto(given).fit(df)


def test_candidates_that_were_brought_are_saved_cloned_and_kept_in_checkpoints(df, tmp_path):
    model = auto(["theta", {"own": NARXForecaster(H, 3, scope="local", mode="open_loop")}])
    fitted = model.fit(df, checkpoint=tmp_path / "kept")
    again = model.clone_unfitted().fit(df, checkpoint=tmp_path / "kept")
    fitted.save(tmp_path / "model.tsforce")
    loaded = tsforce.load(tmp_path / "model.tsforce")
    for other in (again, loaded):
        pd.testing.assert_frame_equal(other.predict(), fitted.predict(), check_exact=True)
        assert repr(other.candidates) == repr(model.candidates)
    # What was tried before is not tried again: its seconds are those of then.
    pd.testing.assert_frame_equal(again.leaderboard_, fitted.leaderboard_, check_exact=True)
