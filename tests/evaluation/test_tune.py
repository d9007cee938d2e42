"""tune: every candidate is what a backtest says of it, and nothing but the given rows has a say."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

import tsforce
from tests.makers import as_it_stands, make_frame
from tsforce import Baseline, Difference, Log, NARXForecaster, NARXRegressor, backtest, tune
from tsforce.errors import ArgumentError, ArgumentTypeError, MissingExtraError, SeriesTooShortError
from tsforce.evaluation.tune import Tuning

H = 4


def model(**kwargs):
    given = {"horizon": H, "lags": 3, "mode": "open_loop", "ridge": 10.0}
    return NARXForecaster(**{**as_it_stands(), **given, **kwargs})


SPACE = {
    "lags": range(2, 9),
    "ridge": (0.1, 300.0, "log"),
    "target_transforms": [(), [Difference(7)], [Log()]],
    "scope": ["local", "global"],
}


def test_each_trial_is_a_backtest_and_the_first_is_the_model_as_it_is():
    df = make_frame()
    found = tune(model(), df, SPACE, n_windows=2, n_trials=6, metric="smape")
    assert isinstance(found, Tuning)
    assert found.trials_["trial"].tolist() == list(range(7))
    assert found.trials_.columns.tolist() == ["trial", *SPACE, "smape", "seconds", "status"]
    assert found.trials_.loc[0, list(SPACE)].tolist() == [3, 10.0, (), "global"]
    for row in found.trials_.to_dict("records"):
        params = {} if row["trial"] == 0 else {name: row[name] for name in SPACE}
        want = backtest(model(**params), df, n_windows=2).scores()["smape"].item()
        assert row["smape"] == want
    best = found.trials_.loc[found.trials_["smape"].idxmin()]
    assert found.best_score_ == best["smape"] < found.trials_["smape"][0]
    assert found.best_params_ == {name: best[name] for name in SPACE}
    assert not found.best_model_.is_fitted
    assert repr(found.best_model_) == repr(model(**found.best_params_))
    assert f"smape {found.best_score_:.4g} with lags=" in repr(found)


def test_values_come_from_the_space():
    space = {
        "lags": range(2, 9, 3),
        "ridge": (0.5, 1.5),
        "max_steps": (1, 3),
        "model": [Ridge()],
        "model__alpha": (1, 9),
    }
    found = tune(model(model=Ridge(), mode="auto"), make_frame((60,)), space, n_trials=8).trials_[1:]
    assert set(found["lags"]) <= {2, 5, 8}
    assert found["ridge"].between(0.5, 1.5).all()
    assert set(found["max_steps"]) <= {1, 2, 3}
    assert set(found["model__alpha"]) <= set(range(1, 10))
    assert found["model__alpha"].nunique() > 1


def test_it_finds_what_is_far_better():
    df = make_frame((120, 130), season=7)
    found = tune(model(lags=1), df, {"lags": [1, 2, 14], "ridge": (0.1, 10.0, "log")}, n_trials=15)
    assert found.best_params_["lags"] == 14
    assert found.best_score_ < 0.6 * found.trials_["mase"][0]


def test_two_searches_are_alike_and_another_seed_is_another():
    df, space = make_frame((60, 50)), {"ridge": (0.1, 300.0, "log"), "lags": range(1, 8)}
    a, b, c = (tune(model(), df, space, n_trials=4, random_state=s).trials_.drop(columns="seconds") for s in (0, 0, 1))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert a["ridge"].tolist() != c["ridge"].tolist()


def test_the_given_model_and_frame_stay_as_they_are():
    df = make_frame((60, 50))
    own, copy, before = model().fit(df), df.copy(), repr(model())
    tune(own, df, {"lags": [2, 5]}, n_trials=2)
    assert own.is_fitted
    assert repr(own) == before
    pd.testing.assert_frame_equal(df, copy)


def test_a_space_of_few_combinations_is_gone_through_each_once(monkeypatch):
    fits = []
    monkeypatch.setattr(
        "tsforce.evaluation.tune.backtest", lambda m, *a, **k: (fits.append(repr(m)), backtest(m, *a, **k))[1]
    )
    found = tune(model(), make_frame((60,)), {"lags": [2, 5]}, n_trials=9)
    assert found.trials_["lags"].tolist() == [3, 2, 5]
    assert len(fits) == len(set(fits)) == 3
    # What the model is already, and what a list names twice, is no other candidate.
    space = {"lags": [2, 3, 2], "scope": ["global", "local"], "max_steps": (1, 2), "model": ["linear"]}
    found = tune(model(max_steps=1), make_frame((60,)), space, n_trials=7).trials_
    assert found.groupby(["lags", "scope", "max_steps"]).size().tolist() == [1] * 8
    assert found.loc[0, ["lags", "scope", "max_steps"]].tolist() == [3, "global", 1]


@pytest.mark.parametrize("seed", range(3))
def test_of_more_combinations_as_many_are_drawn_as_are_asked_for_none_twice(seed):
    df, space = make_frame((60,)), {"lags": range(1, 4), "ridge": [1.0, 10.0], "max_steps": (1, 2)}
    found = tune(model(max_steps=1), df, space, n_trials=10, random_state=seed).trials_
    assert len(found) == 11
    assert found.groupby(list(space)).size().tolist() == [1] * 11
    # All but the model as it is, and no more.
    assert len(tune(model(max_steps=1), df, space, n_trials=11, random_state=seed).trials_) == 12


def test_what_can_be_counted_needs_no_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert len(tune(model(), make_frame((40,)), {"lags": [2, 5]}, n_trials=2).trials_) == 3


@pytest.mark.parametrize("several", [dict, list])
def test_the_best_of_several_models_is_found(several):
    df = make_frame((90, 80), season=7)
    named = {"short": model(alias="short"), "seasonal_naive": Baseline("seasonal_naive", season_length=7)}
    models = named if several is dict else list(named.values())
    found = tune(models, df, {"short": {"lags": [2, 14]}}, n_trials=5)
    assert found.trials_["forecaster"].tolist() == ["short"] * 3 + ["seasonal_naive"]
    assert found.trials_["lags"].tolist() == [3, 2, 14, None]
    assert (found.best_name_, found.best_params_) == ("short", {"lags": 14})
    assert found.best_score_ == found.trials_["mase"].min() == found.trials_["mase"][2]
    assert found.best_model_.lags == 14
    assert "with short, lags=14 (4 candidates)" in repr(found)
    # Every error is in units of the first model's season.
    want = backtest(named["seasonal_naive"], df, horizon=H, n_windows=3, season_length=1).scores()["mase"].item()
    assert found.trials_["mase"][3] == want


def test_one_space_may_hold_for_all_of_several_models():
    models = {"local": model(scope="local"), "global": model()}
    found = tune(models, make_frame((60, 50)), {"lags": [2, 14]}, n_trials=2)
    assert found.trials_[["forecaster", "lags"]].to_numpy().tolist() == [
        [name, lags] for name in models for lags in (3, 2, 14)
    ]
    found = tune({"naive": Baseline("naive", horizon=H), **models}, make_frame((60, 50)), {"local": {"lags": [14]}})
    assert len(found.trials_) == 4
    assert found.best_name_ == "local"


def test_errors_are_in_units_of_one_season_whatever_the_candidates_own():
    df = make_frame((60,))
    found = tune(model(season_length=1), df, {"season_length": [7]}, n_windows=2)
    # Of least squares the season is nothing but the unit of MASE.
    assert found.trials_["mase"][0] == found.trials_["mase"][1]


def test_a_model_that_nothing_beats_comes_back_as_it_is():
    df = make_frame((90, 80), season=7)
    found = tune(model(lags=14), df, {"lags": [1]}, n_trials=2)
    assert found.best_params_ == {}
    assert "the model as it is" in repr(found)


def test_candidates_that_fail_say_why_and_stop_nothing():
    df = make_frame((40, 90))
    found = tune(model(scope="local"), df, {"lags": [2, 60]}, n_trials=6)
    bad = found.trials_[found.trials_["lags"] == 60]
    assert bad["status"].str.startswith("SeriesTooShortError: series").all()
    assert bad["mase"].isna().all()
    assert len(bad) > 0
    assert found.best_params_.get("lags") != 60
    fewer = tune(model(scope="local", short_series="drop"), df, {"lags": [2, 60]}, n_trials=6).trials_
    assert fewer[fewer["lags"] == 60]["status"].str.contains("scored on 1 series, others on 2").all()
    with pytest.raises(SeriesTooShortError, match="lags=200"):
        tune(model(lags=200), df, {"ridge": [1.0]}, n_trials=2)


def test_a_failure_of_another_kind_costs_its_own_trial_only():
    space = {"model__alpha": [1.0, -1.0, "much"], "model": [Ridge(), "linear"]}
    found = tune(model(model=Ridge()), make_frame((60,)), space, n_trials=12)
    status = found.trials_["status"]
    # All six combinations, the model as it is among them.
    assert len(status) == 6
    assert status.str.contains("'str' object has no attribute 'set_params'").any()
    assert status.str.startswith("InvalidParameterError: The 'alpha' parameter of Ridge").any()
    assert (found.trials_["mase"].notna() == (status == "ok")).all()
    assert np.isfinite(found.best_score_)


def test_where_no_candidate_has_a_score_the_last_failure_is_raised():
    class Broken(Baseline):
        def fit(self, df, y=None, *, mode=None):
            raise RuntimeError(f"season {self.season_length}")

    with pytest.raises(RuntimeError, match="season 2"):
        tune(Broken("naive", horizon=2), make_frame((40,)), {"season_length": [2]}, n_trials=1)


def test_time_is_limited():
    found = tune(model(), make_frame((60,)), {"ridge": (1.0, 9.0)}, n_trials=500, time_limit=1e-9)
    assert len(found.trials_) == 1


def test_a_horizon_that_is_asked():
    df = make_frame((60,))
    found = tune(Baseline("seasonal_naive"), df, {"season_length": [1, 7]}, horizon=7, n_windows=2, n_trials=4)
    assert found.best_params_ == {"season_length": 7}
    want = backtest(Baseline("seasonal_naive", season_length=7), df, horizon=7, n_windows=2, season_length=1).scores()
    assert found.best_score_ == want["mase"].item()


def test_nothing_is_printed_or_left_behind_in_optuna(capfd):
    import optuna

    before = optuna.logging.get_verbosity()
    tune(model(), make_frame((60,)), {"ridge": (1.0, 9.0)}, n_trials=1)
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


BAD = {
    "no forecaster": ({"model": NARXRegressor()}, ArgumentTypeError, "searches tune a NARXRegressor"),
    "no space": ({"space": {}}, ArgumentTypeError, "expected a dict"),
    "another model": ({"space": {"MLP": {"lags": [1]}}}, ArgumentError, "'MLP' is not known.*'NARXForecaster'"),
    "no models": ({"model": {}}, ArgumentError, "at least one"),
    "two of a name": ({"model": [model(), model()]}, ArgumentError, "alias="),
    "a list": ({"space": ["lags"]}, ArgumentTypeError, "expected a dict"),
    "unknown": ({"space": {"lag": [1]}}, ArgumentError, "'lag' is not known.*mean 'lags'"),
    "horizon": ({"space": {"horizon": [1]}}, ArgumentError, "'horizon', which is what is asked"),
    "empty list": ({"space": {"lags": []}}, ArgumentError, "a list of values"),
    "a number": ({"space": {"lags": 3}}, ArgumentError, r"space\['lags'\]=3"),
    "one bound": ({"space": {"ridge": (1.0,)}}, ArgumentError, "low < high"),
    "upside down": ({"space": {"ridge": (3.0, 1.0)}}, ArgumentError, "low < high"),
    "log of 0": ({"space": {"ridge": (0.0, 1.0, "log")}}, ArgumentError, "low above 0"),
    "no scale": ({"space": {"ridge": (0.1, 1.0, "lin")}}, ArgumentError, "'log'"),
    "infinite": ({"space": {"ridge": (0.1, np.inf)}}, ArgumentError, "of numbers"),
    "metric": ({"metric": "r2"}, ArgumentError, "metric='r2'"),
    "n_trials": ({"n_trials": 0}, ArgumentError, "n_trials=0"),
    "time_limit": ({"time_limit": 0}, ArgumentError, "time_limit=0"),
    "random_state": ({"random_state": -1}, ArgumentError, "random_state=-1"),
    "n_windows": ({"n_windows": 0}, ArgumentError, "n_windows"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case):
    changes, error, message = BAD[case]
    given = {"model": model(), "space": {"lags": [2]}, "n_trials": 1, **changes}
    with pytest.raises(error, match=message):
        tune(given.pop("model"), make_frame((40,)), given.pop("space"), **given)


def test_without_optuna_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tsforce\[tune\]'"):
        tune(model(), make_frame((40,)), {"ridge": (1.0, 9.0)}, n_trials=1)


def test_importing_tsforce_does_not_import_optuna(monkeypatch):
    package = Path(tsforce.__file__).parent
    own = [path for path in package.rglob("*.py") if "import optuna" in path.read_text()]
    assert own == [package / "evaluation" / "tune.py"]
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "tune" in runpy.run_path(str(own[0]))
