"""Data as demonstrator: rows, labels and rounds, for any regressor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from tests.makers import as_it_stands, make_frame, wreck_after
from tsforce import Curriculum, Difference, Log, NARXForecaster
from tsforce.data.frame import read_panel
from tsforce.dynamics.forcing import ClosedLoop, Moment
from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError
from tsforce.forcing import InputNoise, Pushforward, RollOutLength
from tsforce.forecasting.adapters import RegressorModel
from tsforce.training.problem import Problem
from tsforce.training.solvers.relabel import one_step_rows, roll_out_rows

H = 5
LAYOUT = LagLayout((1, 2, 7))
CHAINS = [(), (Log(),), (Difference(1),), (Log(), Difference(7)), (Difference(1), Difference(7))]


def build(model, **settings):
    return NARXForecaster(**{"horizon": H, "lags": [1, 2, 7], "model": model, "season_length": 7} | settings)


def problem(transforms=(), scaling=None, lengths=(50, 40)):
    panel = read_panel(make_frame(lengths))
    return Problem(panel, transforms, scaling, 7, LAYOUT, H, 7, True, True, torch.device("cpu"))


def test_open_loop_rows_pair_each_complete_context_with_the_true_next_value_of_its_own_series():
    p = problem()
    learnt = p.learn(p.panel.lengths - 3)
    ((x, y),) = one_step_rows(learnt.store, LAYOUT, [p.every], learnt.stops, H)
    wanted_x, wanted_y = [], []
    for i in range(2):
        own = p.panel.values[p.panel.indptr[i] : p.panel.indptr[i + 1] - 3, 0]
        for t in range(7, len(own)):
            wanted_x.append([own[t - 7], own[t - 2], own[t - 1]])
            wanted_y.append(own[t])
    np.testing.assert_array_equal(x, wanted_x)
    np.testing.assert_array_equal(y[:, 0], wanted_y)


@pytest.mark.parametrize("scaling", [None, "mean_abs", "standard", "last"])
@pytest.mark.parametrize("transforms", CHAINS, ids=str)
def test_a_label_is_the_output_that_meets_the_truth_from_what_was_fed(transforms, scaling):
    """Put the label of one step in the place of its output: the level of that step is then the truth."""
    p = problem(transforms, scaling)
    store = p.learn(p.panel.lengths).store
    series, rows = np.array([[0, 0, 1]]), np.array([[20, 30, 25]])
    batch = store.batch(series, rows, H)
    generator = torch.Generator().manual_seed(0)
    z = batch.future + 0.1 * torch.randn(batch.future.shape, generator=generator, dtype=torch.float64)
    share = (torch.rand(z.shape, generator=generator) < 0.4).double()
    for fed in (None, share):
        label = store.relabel(z, batch, rows, fed)
        for h in range(H):
            answered = z.clone()
            answered[:, :, h] = label[:, :, h]
            level = store.to_levels(answered, batch, rows, fed)[0, :, h, 0]
            truth = [p.panel.values[p.panel.indptr[i] + r + 1 + h, 0] for i, r in zip(series[0], rows[0], strict=True)]
            np.testing.assert_allclose(level, truth, rtol=1e-9)
    if not any(isinstance(t, Difference) for t in transforms):
        torch.testing.assert_close(store.relabel(z, batch, rows), batch.future)


def test_rows_of_a_roll_out_against_a_plain_loop():
    p = problem((Difference(1),))
    learnt = p.learn(p.panel.lengths - 4)
    blank = RegressorModel(LAYOUT, Ridge(1.0))
    model = blank.fit_rows(one_step_rows(learnt.store, LAYOUT, [p.every], learnt.stops, H))
    keys = torch.tensor([5])
    ((x, y),) = roll_out_rows(
        model, learnt.store, [p.every], learnt.stops, H, ClosedLoop(), Moment(1, 2, 1, keys), [10**9], [1e9]
    )
    wanted = []
    for i in range(2):
        level = p.panel.values[p.panel.indptr[i] : p.panel.indptr[i + 1], 0]
        d, stop = np.diff(level, prepend=np.nan), len(level) - 4
        for cutoff in range(7, stop - 1):
            fed, own = list(d[: cutoff + 1]), level[cutoff]
            for h in range(H):
                t = cutoff + 1 + h
                row = [fed[t - 7], fed[t - 2], fed[t - 1]]
                if h > 0 and t < stop:
                    wanted.append([*row, level[t] - own])
                fed.append(float(model.fitted[0].predict([row])[0]))
                own += fed[-1]
    got = np.column_stack([x, y])
    assert got.shape == np.shape(wanted)
    order = lambda rows: np.array(rows)[np.lexsort(np.round(rows, 7).T)]  # noqa: E731
    np.testing.assert_allclose(order(got), order(wanted), atol=1e-9)


@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_linear_regressor_in_open_loop_is_the_linear_model(scope):
    df = make_frame()
    settings = as_it_stands(scope=scope, mode="open_loop", window_scaling=None)
    mine = build(LinearRegression(), **settings).fit(df)
    wanted = build("linear", ridge=0, **settings).fit(df)
    np.testing.assert_allclose(mine.predict()["NARXForecaster"], wanted.predict()["NARXForecaster"], rtol=1e-6)
    assert mine.history_.solver == "one-step rows"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["closed_loop", "curriculum", "auto", Curriculum(gradient="detach")], ids=str)
@pytest.mark.parametrize("scope", ["global", "local"])
def test_every_mode_trains_by_rounds_and_repeats_itself(mode, scope):
    df = make_frame()
    tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
    model = build(tree, scope=scope, max_steps=3, target_transforms=[Difference(1)]).fit(df, mode=mode)
    frame = model.history_.frame
    choose = frame[frame["run"] == "choose"]
    assert choose["step"].tolist() == [0, 1, 2, 3]
    assert choose["closed_loop"].notna().all()
    assert "data as demonstrator" in model.history_.solver
    again = build(tree, scope=scope, max_steps=3, target_transforms=[Difference(1)], mode=mode).fit(df)
    pd.testing.assert_frame_equal(again.predict(), model.predict(), check_exact=True)
    cutoffs = pd.DataFrame({"unique_id": ["s0", "s1", "s2"], "cutoff": [70, 50, 90]})
    before = model.predict_at(df, cutoffs)
    wrecked = wreck_after(df, dict(cutoffs.to_numpy()))
    pd.testing.assert_frame_equal(model.predict_at(wrecked, cutoffs), before, check_exact=True)


def test_the_round_that_is_kept_has_the_lowest_closed_loop_validation_error():
    df = make_frame((90, 90, 90))
    model = build(DecisionTreeRegressor(min_samples_leaf=5, random_state=0), max_steps=4).fit(df, mode="closed_loop")
    choose = model.history_.frame[lambda f: f["run"] == "choose"]
    final = model.history_.frame[lambda f: f["run"] == "final"]
    assert final["step"].max() == choose["step"].iloc[int(choose["closed_loop"].argmin())]


def test_rounds_mend_a_model_that_open_loop_leaves_drifting():
    """One lag of a walk seen through noise: one step ahead it pulls to the mean, and its own outputs with it."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(12, 200)).cumsum(axis=1) + 3 * rng.normal(size=(12, 200))
    df = pd.DataFrame({"unique_id": np.repeat(np.arange(12), 200), "ds": np.tile(np.arange(200), 12), "y": y.ravel()})
    settings = {"lags": [1], "window_scaling": None, "horizon": 12}
    train, cut = df[df["ds"] < 170], [171]
    errors = {}
    for mode in ("open_loop", "closed_loop"):
        fc = build(LinearRegression(), **settings).fit(train, mode=mode).predict_at(df, cut)
        truth = df.set_index(["unique_id", "ds"])["y"].loc[pd.MultiIndex.from_frame(fc[["unique_id", "ds"]])]
        errors[mode] = np.abs(fc["NARXForecaster"].to_numpy() - truth.to_numpy()).mean()
    assert errors["closed_loop"] < 0.9 * errors["open_loop"]


def test_local_regressors_together_equal_each_alone():
    df = make_frame()
    tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
    settings = {"scope": "local", "max_steps": 2, "mode": "closed_loop"}
    together = build(tree, **settings).fit(df).predict()
    for name, part in df.groupby("unique_id"):
        alone = build(tree, **settings).fit(part).predict()
        mine = together[together["unique_id"] == name]["NARXForecaster"]
        np.testing.assert_allclose(mine, alone["NARXForecaster"], rtol=1e-12)


class Counting(Ridge):
    calls = 0

    def predict(self, X):
        Counting.calls += 1
        return super().predict(X)


def test_one_call_of_predict_per_step_serves_all_series_and_windows():
    df = make_frame()
    model = build(Counting(), mode="open_loop").fit(df)
    Counting.calls = 0
    model.predict()
    assert Counting.calls == H
    Counting.calls = 0
    model.predict_at(df, [50, 51, 52])
    assert Counting.calls == H


def test_pipelines_and_boosting_fit_with_inputs_and_their_parameters_can_be_searched():
    df = make_frame(freq="D")
    df["x"] = np.random.default_rng(0).normal(size=len(df))
    df["y"] += 5 * df["x"]
    model = build(make_pipeline(StandardScaler(), Ridge()), future_exog="x", mode="closed_loop", max_steps=2).fit(df)
    future = df.groupby("unique_id").tail(H).assign(ds=lambda f: f["ds"] + pd.Timedelta(days=H)).drop(columns="y")
    assert np.isfinite(model.predict(future_df=future)["NARXForecaster"]).all()
    assert build(Ridge()).set_params(model__alpha=3.0).model.alpha == 3.0
    boosted = build(HistGradientBoostingRegressor(max_iter=5), mode="open_loop").fit(df[["unique_id", "ds", "y"]])
    assert len(boosted.predict()) == 3 * H


def test_the_estimator_given_is_never_fitted():
    ridge = Ridge()
    build(ridge).fit(make_frame())
    assert not hasattr(ridge, "coef_")


def test_a_class_in_place_of_an_estimator_is_named():
    with pytest.raises(ArgumentError, match=r"model=Ridge is a class; write Ridge\(\)"):
        build(Ridge).fit(make_frame())


@pytest.mark.parametrize("policy", [InputNoise(), Pushforward(), RollOutLength()], ids=str)
def test_a_policy_that_needs_a_gradient_is_refused(policy):
    with pytest.raises(
        ArgumentError, match="a regressor that is fitted on rows does not have; use a model with a gradient"
    ):
        build(Ridge()).fit(make_frame(), mode=policy)


def test_the_seed_reaches_the_regressor_and_its_parts():
    df = make_frame()
    forest = make_pipeline(StandardScaler(), RandomForestRegressor(5))
    settings = {"mode": "open_loop"}
    one, same = (build(forest, random_state=1, **settings).fit(df).predict() for _ in range(2))
    pd.testing.assert_frame_equal(one, same, check_exact=True)
    other = build(forest, random_state=2, **settings).fit(df).predict()
    assert (one["NARXForecaster"] != other["NARXForecaster"]).any()
    fixed = make_pipeline(StandardScaler(), RandomForestRegressor(5, random_state=0))
    pd.testing.assert_frame_equal(
        build(fixed, random_state=1, **settings).fit(df).predict(),
        build(fixed, random_state=2, **settings).fit(df).predict(),
        check_exact=True,
    )


def test_a_forecaster_is_no_regressor():
    with pytest.raises(ArgumentError, match="is a forecaster itself"):
        build(NARXForecaster(4)).fit(make_frame())


@pytest.mark.parametrize("rows", [3, 5])
def test_a_series_without_a_complete_window_gives_no_row(rows):
    model = NARXForecaster(4, 5, model=Ridge(), scope="global", window_scaling=None, mode="open_loop")
    df = make_frame((60,))
    alone = model.fit(df).predict()
    beside = model.fit(make_frame((60, rows))).predict(history=df)
    pd.testing.assert_frame_equal(beside, alone, rtol=1e-9)
