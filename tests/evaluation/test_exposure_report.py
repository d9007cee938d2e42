"""The rest of exposure: forecasts fed some of the truth, small errors, the picture, the words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.tree import DecisionTreeRegressor

from tests.makers import grouped, make_frame
from tsforce import Baseline, Difference, Ensemble, Forecaster, Log, NARXForecaster, Standardize, backtest, compare
from tsforce.data.frame import last_stamps
from tsforce.data.panel import WindowIndex
from tsforce.dynamics.forcing import Forcing
from tsforce.errors import ArgumentError
from tsforce.evaluation.exposure import Exposure
from tsforce.evaluation.exposure_words import Response, Spread, describe_exposure
from tsforce.forecasting.forced import draw_truths
from tsforce.forecasting.parts import horizon_of
from tsforce.models import MLP

H = 8
RATIO = 0.5
CUTOFFS = [35, 40, 41]


class Minimal(Forecaster):
    """A third-party forecaster, fit and predict only: the last value times a factor and a bit of the one before it."""

    def __init__(self, horizon=H, factor=1.1):
        self.horizon = horizon
        self.factor = factor

    def fit(self, df, y=None, *, mode=None):
        self.panel_ = self.read(df)
        self.train_end_ = last_stamps(self.panel_)
        self.shown_ = []
        return self

    def predict(self, horizon=None, *, history=None):
        panel = self.panel_ if history is None else self.read(history)
        self.shown_.append(panel.id_list)
        last, before = (panel.values[panel.indptr[1:] - back, 0] for back in (1, 2))
        steps = []
        for _ in range(horizon_of(self, horizon)):
            last, before = self.factor * last - 0.2 * before, last
            steps.append(last)
        return self.write(panel, np.stack(steps, axis=1))


def narx(**settings):
    return NARXForecaster(
        H, **grouped({"lags": 5, "scope": "local", "mode": "open_loop", "season_length": 7} | settings)
    )


MODELS = {
    "local": narx(),
    "logarithm and differences": narx(target_transforms=[Log(), Difference(7), Difference(1)]),
    "global": narx(scope="global"),
    "window scaling": narx(scope="global", window_scaling="standard", lags=[1, 7], target_transforms=[Difference(1)]),
    "mlp": narx(scope="global", model=MLP((6,)), mode="closed_loop", max_steps=4),
    "gru": narx(scope="global", model="gru", mode="curriculum", max_steps=4, batch_size=8),
    "tree": narx(model=DecisionTreeRegressor(min_samples_leaf=3, random_state=0)),
    "naive2": Baseline("naive2", horizon=H, season_length=7),
    "ensemble": Ensemble([narx(), Baseline("drift", horizon=H, season_length=7)], combine="mean"),
    "third party": Minimal(),
    "ensemble of third parties": Ensemble([Minimal(), Minimal(factor=0.9)]),
}


@pytest.fixture(scope="module")
def df():
    return make_frame((60, 50, 55))


@pytest.fixture(scope="module")
def fitted(df):
    early = df[df["ds"] <= 35]
    return {name: model.clone_unfitted().fit(early) for name, model in MODELS.items()}


def truths_of(model, df, cutoffs, ratio=RATIO, random_state=0, horizon=H):
    """What is fed, by series and cutoff: after step k the truth comes in where entry k - 1 is True."""
    panel = model.read(df)
    found = {}
    for i, name in enumerate(panel.id_list):
        ends = df[df["unique_id"] == name]["ds"].tolist()
        rows = [ends.index(cutoff) for cutoff in cutoffs if cutoff in ends]
        index = WindowIndex(np.full(len(rows), i), np.array(rows))
        drawn = draw_truths(panel, index, horizon, ratio, random_state)
        found |= {(name, ends[row]): truth.tolist() for row, truth in zip(rows, drawn, strict=True)}
    return found


def plain(model, df, truths, horizon=H, inputs=()):
    """One window after the other, one predict after the other: from each truth on, closed loop with what was fed."""
    out = {}
    for (name, cutoff), comes_in in truths.items():
        series = df[df["unique_id"] == name].reset_index(drop=True)
        at = series.index[series["ds"] == cutoff].item()
        fed = series.copy()
        step = 0
        while step < horizon:
            upto = next((k for k in range(step + 1, horizon) if comes_in[k - 1]), horizon)
            given = {}
            if inputs:
                given = {"future_df": series.iloc[at + step + 1 : at + upto + 1][["unique_id", "ds", *inputs]]}
            forecast = model.predict(upto - step, history=fed.iloc[: at + step + 1], **given)[model.name].to_numpy()
            for k, value in enumerate(forecast, start=step + 1):
                out[name, cutoff, k] = value
                if at + k < len(fed) and not comes_in[k - 1]:
                    fed.loc[at + k, "y"] = value
            step = upto
    return pd.Series(out)


def values(frame, name):
    return frame.set_index(["unique_id", "cutoff", "horizon"])[name]


# ---- predict_forced


# The ratio decides which truths are drawn, whatever the model: all ratios for one model, one ratio for all models.
@pytest.mark.parametrize(
    ("name", "ratio"), [*((name, RATIO) for name in MODELS), *(("local", ratio) for ratio in (0.25, 0.75, 1.0))]
)
def test_forced_forecasts_are_those_of_a_plain_loop_over_predict(df, fitted, name, ratio):
    model = fitted[name]
    truths = truths_of(model, df, CUTOFFS, ratio)
    got = values(model.predict_forced(df, CUTOFFS, forcing_ratio=ratio), model.name)
    want = plain(model, df, truths)
    assert got.index.tolist() == want.index.tolist()
    # Networks compute in float32.
    np.testing.assert_allclose(got, want, rtol=1e-4 if name in ("mlp", "gru") else 1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_ratio_0_is_predict_at_and_ratio_1_one_step_ahead(df, fitted, name):
    model = fitted[name]
    closed = model.predict_forced(df, CUTOFFS, forcing_ratio=0)
    pd.testing.assert_frame_equal(closed, model.predict_at(df, CUTOFFS), check_exact=True)
    one = values(model.predict_forced(df, CUTOFFS, forcing_ratio=1), model.name)
    ahead = values(model.predict_at(df, sorted({c + h for c in CUTOFFS for h in range(H)}), 1), model.name)
    want = [ahead[series, cutoff + h - 1, 1] for series, cutoff, h in one.index]
    np.testing.assert_allclose(one, want, rtol=1e-4 if name in ("mlp", "gru") else 1e-9)


class Given(Forcing):
    """Truth after given steps of one window."""

    def __init__(self, truths):
        object.__setattr__(self, "values", torch.tensor(truths))

    def share(self, known, moment=None):
        return (self.values[:, None] & known).double()


@pytest.mark.parametrize("transforms", [(), (Log(), Standardize())], ids=["plain", "logarithm"])
def test_for_a_map_of_the_lags_alone_this_is_the_roll_out_under_these_truths(df, transforms):
    model = narx(target_transforms=transforms).fit(df[df["ds"] <= 35])
    truths = truths_of(model, df, CUTOFFS)
    got = values(model.predict_forced(df, CUTOFFS, forcing_ratio=RATIO), model.name)
    panel = model.read(df)
    for (name, cutoff), comes_in in truths.items():
        window = WindowIndex(np.array([panel.position[name]]), np.array([cutoff - 1]))
        want, _ = model._rolling_.forecast(panel, window, H, Given(comes_in))
        np.testing.assert_allclose(got[name, cutoff], want[0, :, 0], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0, RATIO])
@pytest.mark.parametrize("name", MODELS)
def test_no_truth_is_read_but_what_was_drawn_and_all_of_that_is(df, fitted, name, ratio):
    model = fitted[name]
    truths = truths_of(model, df, [40], ratio)
    want = values(model.predict_forced(df, [40], forcing_ratio=ratio), model.name)
    drawn = {(series, 40 + k) for (series, _), own in truths.items() for k, yes in enumerate(own[:-1], 1) if yes}
    after = df["ds"] > 40
    fed = np.array([pair in drawn for pair in zip(df["unique_id"], df["ds"], strict=True)])
    wrecked = df.assign(y=df["y"].where(~after | fed, 1e9))
    got = values(model.predict_forced(wrecked, [40], forcing_ratio=ratio), model.name)
    pd.testing.assert_series_equal(got, want, check_exact=True)
    if name != "tree":  # whose answers are the same over a whole leaf
        for series, stamp in drawn:
            moved = df.assign(y=df["y"].where((df["unique_id"] != series) | (df["ds"] != stamp), df["y"] + 1))
            got = values(model.predict_forced(moved, [40], forcing_ratio=ratio), model.name)
            assert (got[series, 40] != want[series, 40]).any()


@pytest.mark.parametrize("name", ["global", "third party"])
def test_draws_are_of_the_series_the_cutoff_and_the_step_alone(df, fitted, name):
    model = fitted[name]
    want = values(model.predict_forced(df, CUTOFFS, forcing_ratio=RATIO), model.name)
    again = values(model.predict_forced(df, CUTOFFS, forcing_ratio=RATIO), model.name)
    pd.testing.assert_series_equal(again, want, check_exact=True)
    other = values(model.predict_forced(df, CUTOFFS, forcing_ratio=RATIO, random_state=1), model.name)
    assert (other != want).any()
    reverse = pd.concat([df[df["unique_id"] == series] for series in ("s2", "s1", "s0")])
    for frame, cutoffs, horizon in ((reverse, CUTOFFS, H), (df[df["unique_id"] == "s1"], [40], H), (df, [41], 3)):
        got = values(model.predict_forced(frame, cutoffs, horizon, forcing_ratio=RATIO), model.name)
        np.testing.assert_allclose(got, want[got.index], rtol=1e-9)


def test_draws_do_not_depend_on_the_unit_of_stamps():
    df = make_frame((60, 50), freq="D")
    model = narx().fit(df)
    cutoffs = df["ds"].iloc[[-15, -12]]
    want = model.predict_forced(df, cutoffs, forcing_ratio=RATIO)
    coarse = df.astype({"ds": "datetime64[s]"})
    got = model.predict_forced(coarse, cutoffs, forcing_ratio=RATIO)
    np.testing.assert_array_equal(got[model.name], want[model.name])


def test_shares_are_as_asked_for_and_a_larger_one_adds_to_a_smaller():
    df = make_frame((400, 400, 400))
    panel = narx().read(df)
    index = WindowIndex(np.repeat(np.arange(3), 300), np.tile(np.arange(50, 350), 3))
    drawn = {ratio: draw_truths(panel, index, 40, ratio, 0) for ratio in (0.0, 0.25, 0.5, 0.75, 1.0)}
    for ratio, truths in drawn.items():
        np.testing.assert_allclose(truths.mean(), ratio, atol=0.01)
        np.testing.assert_allclose(truths.mean(axis=0), ratio, atol=0.06)
    for small, large in ((0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
        assert (drawn[small] <= drawn[large]).all()


def test_beyond_the_last_row_and_where_a_target_is_missing_no_truth_comes_in(df):
    holes = df.assign(y=df["y"].where(~df["ds"].isin([46, 48])))
    panel = Baseline("naive").read(df)
    values_with_holes = np.where(np.isin(np.tile(np.arange(1, 61), 3)[: len(df)], [0]), np.nan, holes["y"])
    object.__setattr__(panel, "values", values_with_holes[:, None])
    truths = draw_truths(panel, WindowIndex(np.array([0, 1]), np.array([44, 44])), 10, 1.0, 0)
    assert truths[0].tolist() == [False, True, False, True, True, True, True, True, True, True]
    assert truths[1].tolist() == [False, True, False, True, True, False, False, False, False, False]


@pytest.mark.parametrize("name", ["local", "global", "third party", "ensemble"])
def test_windows_that_reach_beyond_the_end_are_forecast_all_the_same(df, fitted, name):
    model = fitted[name]
    cutoffs = [46, 50]
    got = values(model.predict_forced(df, cutoffs, forcing_ratio=RATIO), model.name)
    want = plain(model, df, truths_of(model, df, cutoffs))
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, want, rtol=1e-9)
    assert len(got) == 3 * 2 * H


def with_inputs(df):
    rng = np.random.default_rng(2)
    return df.assign(sun=rng.normal(size=len(df)), promo=rng.integers(0, 2, len(df)).astype(float))


@pytest.mark.parametrize("scope", ["local", "global"])
def test_inputs_are_read_as_by_predict_from_each_truth_on(scope):
    df = with_inputs(make_frame((60, 50), freq="D"))
    inputs = {"past_exog": ["sun"], "future_exog": ["promo"], "calendar": ["dayofweek"], "exog_lags": {"sun": [1, 2]}}
    model = narx(scope=scope, **inputs).fit(df.groupby("unique_id").head(38))
    cutoffs = sorted(df["ds"].unique())[-20:-17]
    got = values(model.predict_forced(df, cutoffs, forcing_ratio=RATIO), model.name)
    want = plain(model, df, truths_of(model, df, cutoffs), inputs=["promo"])
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_an_unseen_series_is_forecast_by_a_global_model(df):
    model = narx(scope="global", target_transforms=[Log(), Standardize()]).fit(df[df["unique_id"] != "s1"])
    got = values(model.predict_forced(df, CUTOFFS, forcing_ratio=RATIO), model.name)
    np.testing.assert_allclose(got, plain(model, df, truths_of(model, df, CUTOFFS)), rtol=1e-9)


@pytest.mark.parametrize("settings", [{}, {"scope": "global", "target_transforms": [Difference(1)]}], ids=str)
def test_where_values_are_missing_own_outputs_are_fed(df, settings):
    holed = df.assign(y=df["y"].where(~df["ds"].isin([20, 34, 37, 38, 43, 47])))
    model = narx(missing="own_output", **settings).fit(holed[holed["ds"] <= 35])
    truths = truths_of(model, holed, CUTOFFS, 0.75)
    got = values(model.predict_forced(holed, CUTOFFS, forcing_ratio=0.75), model.name)
    np.testing.assert_allclose(got, plain(model, holed, truths), rtol=1e-9)


def test_several_targets_are_fed_together():
    one, two = make_frame((60, 50)), make_frame((60, 50), seed=5)
    df = one.assign(v=two["y"] * 3)
    model = narx(target_col=["y", "v"], ridge=1.0).fit(df[df["ds"] <= 35])
    got = model.predict_forced(df, [40], forcing_ratio=RATIO)
    panel = model.read(df)
    for i, name in enumerate(panel.id_list):
        window = WindowIndex(np.array([i]), np.array([39]))
        want, _ = model._rolling_.forecast(panel, window, H, Given(truths_of(model, df, [40])[name, 40]))
        here = got[got["unique_id"] == name]
        np.testing.assert_allclose(here[["NARXForecaster-y", "NARXForecaster-v"]], want[0], rtol=1e-9)


def test_a_forecaster_by_predict_alone_is_shown_each_series_once(df):
    model = Minimal().fit(df[df["ds"] <= 35])
    model.predict_forced(df, CUTOFFS, forcing_ratio=RATIO)
    assert all(len(set(ids)) == len(ids) for ids in model.shown_)
    assert not model._takes_copies
    assert Ensemble([narx(), Baseline("drift")])._takes_copies
    assert not Ensemble([narx(), Minimal()])._takes_copies


class Overflowing(Minimal):
    """Answers what is not finite from the third step on."""

    def predict(self, horizon=None, *, history=None):
        forecast = super().predict(horizon, history=history)
        return forecast.assign(**{self.name: forecast[self.name].where(forecast["horizon"] < 3, np.inf)})


def test_after_a_value_that_is_not_finite_was_fed_there_is_no_forecast(df):
    model = Overflowing().fit(df)
    truths = truths_of(model, df, [40])
    got = values(model.predict_forced(df, [40], forcing_ratio=RATIO), model.name)
    some_lost = False
    for name in ("s0", "s1", "s2"):
        own, lost, waited = got[name, 40].to_numpy(), False, 0
        for k in range(H):
            waited += 1
            if lost:
                assert np.isnan(own[k])
            else:
                assert np.isfinite(own[k]) == (waited < 3)
            if truths[name, 40][k]:
                # Rows of the run before this truth hold what is not finite.
                lost, waited = lost or waited > 3, 0
        some_lost |= lost
    assert some_lost


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"forcing_ratio": 1.1},
            r"forcing_ratio=1.1: expected a share of observed targets from 0 \(closed loop\) to 1",
        ),
        ({"forcing_ratio": -0.1}, "forcing_ratio=-0.1"),
        ({"forcing_ratio": True}, "forcing_ratio=True"),
        ({"forcing_ratio": "half"}, "forcing_ratio='half'"),
        ({"forcing_ratio": float("nan")}, "forcing_ratio=nan"),
        ({"forcing_ratio": 0.5, "random_state": -1}, "random_state=-1: expected a whole number of at least 0"),
    ],
)
def test_bad_arguments_of_forced_forecasts_are_named(df, fitted, settings, message):
    with pytest.raises(ArgumentError, match=message):
        fitted["local"].predict_forced(df, [40], **settings)


def test_an_unfitted_forecaster_is_told_so(df):
    with pytest.raises(NotFittedError):
        narx().predict_forced(df, [40], forcing_ratio=0.5)
    with pytest.raises(NotFittedError):
        narx().companion_at(df, [40])


# ---- companion_at


def largest_root(weight, lags):
    polynomial = np.zeros(max(lags) + 1)
    polynomial[0] = 1
    for lag, w in zip(sorted(lags, reverse=True), weight, strict=True):
        polynomial[lag] = -w
    return np.abs(np.roots(polynomial)).max()


def test_the_map_of_a_model_per_series_has_the_radius_of_its_own_autoregression(df):
    model = narx(lags=[1, 2, 7]).fit(df)
    found = model.companion_at(df, CUTOFFS)
    assert found.columns.tolist() == ["unique_id", "cutoff", "radius_median", "radius_max", "growth"]
    assert found["cutoff"].tolist() == 3 * CUTOFFS
    want = np.repeat([largest_root(model.model_.weight[g, :, 0].tolist(), (1, 2, 7)) for g in range(3)], 3)
    np.testing.assert_allclose(found["radius_median"], want, rtol=1e-9)
    np.testing.assert_allclose(found["radius_max"], want, rtol=1e-9)
    long = model.set_params(horizon=2000).companion_at(df, [40])
    np.testing.assert_allclose(long["growth"], np.log(want[::3]), atol=3e-3)


def test_the_radius_of_a_network_is_that_of_finite_differences_of_its_forecasts(df):
    # Without transforms, model units are original ones over the window's scale, which leaves eigenvalues as they are.
    own = {"model": MLP((4,), "tanh"), "lags": 3, "mode": "closed_loop", "max_steps": 30, "learning_rate": 0.01}
    model = narx(scope="global", target_transforms=(), window_scaling="mean_abs", **own)
    model.fit(df)
    model.model_.double()
    found = model.set_params(horizon=1).companion_at(df, [40]).set_index("unique_id")
    for name in ("s0", "s1", "s2"):
        history = df[(df["unique_id"] == name) & (df["ds"] <= 40)].reset_index(drop=True)
        scale = history["y"].iloc[-model.context_length_ :].abs().mean()

        def forecast(moved, history=history, scale=scale):
            # The map is of the lags; the scale is the window's, whatever is fed.
            batch = torch.tensor(moved / scale).view(1, 1, -1)
            return model.model_.step(batch, None)[0].item() * scale

        lags = history["y"].iloc[-3:].to_numpy()
        assert forecast(lags) == pytest.approx(model.predict(1, history=history)[model.name].item(), rel=1e-9)
        row = [(forecast(lags + 1e-4 * e) - forecast(lags - 1e-4 * e)) / 2e-4 for e in np.eye(3)]
        matrix = np.array([[0, 1, 0], [0, 0, 1], row])
        assert found.loc[name, "radius_max"] == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max(), rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_every_forecaster_answers_and_those_without_a_map_with_nan(df, fitted, name):
    found = fitted[name].companion_at(df, CUTOFFS)[["radius_median", "radius_max", "growth"]]
    assert len(found) == 9
    if name in ("local", "logarithm and differences", "global", "window scaling", "mlp", "gru"):
        assert np.isfinite(found).all(axis=None)
        assert (found["radius_max"] >= found["radius_median"]).all()
    else:
        assert found.isna().all(axis=None)


@pytest.mark.parametrize("name", ["local", "mlp", "gru"])
def test_maps_are_blind_after_the_cutoff(df, fitted, name):
    wrecked = df.assign(y=df["y"].where(df["ds"] <= 40, 1e9))
    want = fitted[name].companion_at(df, [38, 40])
    pd.testing.assert_frame_equal(fitted[name].companion_at(wrecked, [38, 40]), want, check_exact=True)


def test_of_many_windows_of_many_lags_some_are_looked_at(monkeypatch, df):
    import tsforce.forecasting.error_growth as module

    monkeypatch.setattr(module, "_WORK", 1.0)
    model = narx(scope="global", model=MLP((4,), "tanh"), mode="open_loop", max_steps=2).fit(df)
    cutoffs = list(range(30, 42))
    found = model.companion_at(df, cutoffs)
    looked = found["growth"].notna().to_numpy()
    assert looked.sum() == 8
    assert looked[[0, -1]].all()
    monkeypatch.undo()
    whole = model.companion_at(df, cutoffs)
    np.testing.assert_allclose(found["growth"][looked], whole["growth"][looked], rtol=1e-6)


# ---- what a backtest says of it


@pytest.fixture(scope="module")
def bt(df):
    models = {
        "narx": narx(),
        "tree": MODELS["tree"],
        "ours": Minimal(),
        "naive": Baseline("naive", horizon=H, season_length=7),
    }
    return compare(models, df, n_windows=3, step_size=3, season_length=7)


def test_the_response_ends_in_the_errors_of_exposure_and_goes_through_forced_forecasts(df, bt):
    response = bt.forcing_response()
    assert response.columns.tolist() == ["model", "forcing_ratio", "rmse", "mae", "n_windows", "n_left_out"]
    assert response["model"].unique().tolist() == ["narx", "tree", "ours"]
    assert response["forcing_ratio"].tolist() == 3 * [1, 0.75, 0.5, 0.25, 0]
    assert (response["n_windows"] == 9).all()
    assert (response["n_left_out"] == 0).all()
    table = response.set_index(["model", "forcing_ratio"])
    exposure = bt.exposure()
    for name, part in exposure.groupby("model"):
        for ratio, column in ((1, "rmse_one_step"), (0, "rmse_closed")):
            pooled = np.sqrt((part[column] ** 2 * part["n_windows"]).sum() / part["n_windows"].sum())
            assert table.loc[(name, ratio), "rmse"] == pytest.approx(pooled, rel=1e-12)
    first = bt.frame.groupby("unique_id")["cutoff"].min()
    learnt = df[df["ds"] <= df["unique_id"].map(first)]
    model = narx().fit(learnt)
    scale = {name: part["y"].diff(7).abs().mean() for name, part in learnt.groupby("unique_id")}
    for ratio in (0.75, 0.25):
        forced = model.predict_forced(df, bt.frame[["unique_id", "cutoff"]], forcing_ratio=ratio)
        both = forced.merge(df, on=["unique_id", "ds"])
        error = (both["y"] - both[model.name]) / both["unique_id"].map(scale)
        assert table.loc[("narx", ratio), "rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)
        assert table.loc[("narx", ratio), "mae"] == pytest.approx(error.abs().mean(), rel=1e-9)


def test_baselines_ratios_windows_and_seeds_of_the_response_are_the_callers(bt):
    with_all = bt.forcing_response([0.5], baselines=True)
    assert with_all["model"].tolist() == ["narx", "tree", "ours", "naive"]
    few = bt.forcing_response([1, 0], max_windows=2)
    assert few["n_windows"].tolist() == 6 * [2]
    assert bt.forcing_response([1, 0], max_windows=None)["n_windows"].tolist() == 6 * [9]
    seeds = [bt.forcing_response([0.5], random_state=seed)["rmse"].tolist() for seed in (0, 0, 1)]
    assert seeds[0] == seeds[1]
    assert seeds[0] != seeds[2]
    for bad, message in (
        ({"ratios": [2]}, "forcing_ratio=2"),
        ({"max_windows": 0}, "max_windows=0: expected None or a whole number of at least 1"),
        ({"random_state": "x"}, "random_state='x'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            bt.forcing_response(**bad)


def test_windows_without_a_scale_are_left_out_of_the_response_and_counted(df):
    still = pd.DataFrame({"unique_id": "still", "ds": range(1, 61), "y": 3.0})
    result = backtest(narx(scope="global"), pd.concat([df, still]), n_windows=2)
    found = result.forcing_response([1, 0.5, 0])
    assert (found["n_windows"] == 6).all()
    assert (found["n_left_out"] == 2).all()
    assert np.isfinite(found["rmse"]).all()


def test_windows_that_reach_beyond_the_end_count_where_they_have_truth():
    df = make_frame((60, 50, 55), freq="D")
    ragged = df[~((df["unique_id"] == "s1") & (df["ds"] > "2024-06-27"))]
    result = backtest(narx(), ragged, n_windows=2)
    assert len(result.frame) < 6 * H
    response = result.forcing_response().set_index("forcing_ratio")["rmse"]
    part = result.exposure()
    for ratio, column in ((1, "rmse_one_step"), (0, "rmse_closed")):
        pooled = np.sqrt((part[column] ** 2 * part["n_windows"]).sum() / part["n_windows"].sum())
        assert response[ratio] == pytest.approx(pooled, rel=1e-12)


def test_each_window_is_forced_by_the_clone_that_made_it(df):
    result = backtest(narx(), df, n_windows=2, step_size=3, refit=True)
    got = result.forcing_response([0.5])["rmse"].item()
    total, count = 0.0, 0
    first = result.frame.groupby("unique_id")["cutoff"].min()
    scale = {n: p[p["ds"] <= first[n]]["y"].diff(7).abs().mean() for n, p in df.groupby("unique_id")}
    for rank in (0, 1):
        ends = result.frame.groupby("unique_id")["cutoff"].unique().map(lambda stamps, rank=rank: sorted(stamps)[rank])
        model = narx().fit(df[df["ds"] <= df["unique_id"].map(ends)])
        forced = model.predict_forced(df, ends.reset_index(), forcing_ratio=0.5).merge(df, on=["unique_id", "ds"])
        error = (forced["y"] - forced[model.name]) / forced["unique_id"].map(scale)
        total, count = total + (error**2).sum(), count + len(error)
    assert got == pytest.approx(np.sqrt(total / count), rel=1e-9)


def test_the_summary_holds_the_map_and_nan_where_there_is_none(df, bt):
    summary = bt.exposure_summary(baselines=True)
    assert summary.columns.tolist() == [
        "model", "drift_horizon", "naive_horizon", "diverged_share", "radius_median", "radius_max", "growth",
    ]  # fmt: skip
    table = summary.set_index("model")
    assert table.loc[["tree", "ours", "naive"], ["radius_median", "radius_max", "growth"]].isna().all(axis=None)
    first = bt.frame.groupby("unique_id")["cutoff"].min()
    model = narx().fit(df[df["ds"] <= df["unique_id"].map(first)])
    found = model.companion_at(df, bt.frame[["unique_id", "cutoff"]])
    assert table.loc["narx", "radius_median"] == pytest.approx(found["radius_median"].median())
    assert table.loc["narx", "radius_max"] == found["radius_max"].max()
    assert table.loc["narx", "growth"] == pytest.approx(found["growth"].median())


def test_nothing_is_measured_twice(df, monkeypatch):
    result = backtest(Minimal(), df, n_windows=2, season_length=7)
    calls = []
    plain_predict = Minimal.predict
    monkeypatch.setattr(Minimal, "predict", lambda self, *a, **k: calls.append(1) or plain_predict(self, *a, **k))
    frames = result.exposure(), result.exposure_summary(), result.forcing_response(), result.exposure_report()
    assert calls
    calls.clear()
    again = result.exposure(), result.exposure_summary(), result.forcing_response(), result.exposure_report()
    assert not calls
    for one, two in zip(frames[:3], again[:3], strict=True):
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert frames[3] == again[3]
    # A frame that a caller has changed is not what is kept.
    again[0]["gap"] = 0.0
    pd.testing.assert_frame_equal(result.exposure(), frames[0])


# ---- in words


def exposure(closed, one, naive, diverged=0.0):
    count = np.full(len(closed), 12)
    return Exposure(
        np.array(closed), np.array(one), np.array(naive), count, 0 * count, diverged, np.zeros((12, len(closed), 1))
    )


DRIFTS = exposure([0.5, 0.9, 1.234], [0.5, 0.44, 0.41], [1.0, 1.1, 1.2], 0.25)
STAYS = exposure([0.5, 0.52, 0.515], [0.5, 0.5, 0.5], [1.0, 1.1, 1.2])
STEEP = {
    ratio: Response(rmse, rmse, 12, 0) for ratio, rmse in ((1, 0.4), (0.75, 0.45), (0.5, 0.5), (0.25, 0.8), (0, 1))
}
LATE = STEEP | {0.75: Response(0.9, 0.9, 12, 0), 0.5: Response(0.95, 0.9, 12, 0)}
NONE = Spread(np.nan, np.nan, np.nan, 0)


def said(shown=DRIFTS, response=STEEP, spread=NONE, mode="open_loop"):
    return describe_exposure("m", shown, response, spread, mode=mode)


def test_words_hold_the_figures_and_what_they_mean():
    text = said(spread=Spread(1.0321, 1.0987, np.log(1.05), 7))
    for part in (
        "m: at step 1 and 3 its closed-loop error is 0.500 and 1.234 ",
        "it is 0.500 and 0.410. That is an exposure gap of 1.00 and 3.01: compare it between modes, never with 1",
        "At step 2, for the first time, the closed-loop error is above twice the one-step error;",
        "at step 3, for the first time, it is no better than repeating the last value.",
        "25 % of the windows diverged.",
        "its error is 0.400 if every observed target comes in on the way, 0.450 if 75 % do, 0.500 if 50 % do, 0.800 if "
        "25 % do, 1.000 if none does: 50 % of them bring at least 80 % of what all bring.",
        "Small errors in what it is fed grow by 5 % per step over the horizon: its one-step map has a spectral radius "
        "of 1.032 at the median of steps and 1.099 at most (7 windows).",
        "mode='closed_loop' or 'curriculum', which trains on own outputs",
        "more ridge or fewer lags",
        "a Difference",
    ):
        assert part in text
    assert "\n" not in text


def test_words_of_a_model_that_stays():
    text = said(STAYS, STEEP | {0: Response(0.41, 0.4, 12, 0)}, Spread(0.9, 0.95, -0.2, 12))
    for part in (
        "At no step is the closed-loop error above twice the one-step error; it beats repeating the last value at",
        "none does: it hardly matters.",
        "shrink by 18.1 % per step over the horizon: its",
        "Own outputs cost it little: what is left is the one-step error.",
    ):
        assert part in text
    assert "diverged" not in text
    assert "To try" not in text


@pytest.mark.parametrize(
    ("spread", "part"),
    [
        (
            Spread(1.05, 1.05, -0.1, 3),
            "shrink by 9.5 % per step over the horizon, yet in the long run they would grow:",
        ),
        (Spread(0.9, 1.05, 0.1, 3), "grow by 10.5 % per step over the horizon, yet in the long run they would shrink:"),
        (Spread(1.0, 1.0, 0.005, 3), "neither grow nor shrink over the horizon: its"),
        (Spread(0.5, 0.5, -np.inf, 3), "shrink by 100 % per step over the horizon: its"),
    ],
)
def test_words_for_maps(spread, part):
    assert part in said(spread=spread)
    assert "Small errors" not in said()


@pytest.mark.parametrize(
    ("mode", "part"),
    [
        ("open_loop", "mode='closed_loop' or 'curriculum',"),
        ("closed_loop", "mode='curriculum',"),
        ("curriculum", "mode='closed_loop',"),
        ("auto", "mode='closed_loop',"),
        (Given([True]), "mode='closed_loop' or 'curriculum',"),
    ],
    ids=str,
)
def test_the_mode_that_was_used_is_not_recommended(mode, part):
    assert part in said(mode=mode)
    assert "mode=" not in said(mode=None)


def test_words_where_only_all_of_the_truth_helps_where_windows_were_left_and_where_there_is_no_scale():
    assert "even 75 % of them bring less than 80 % of what all bring." in said(response=LATE)
    some = {ratio: Response(found.rmse, found.mae, 5, 0) for ratio, found in STEEP.items()}
    assert "Over all steps (of 5 of 12 windows) its error" in said(response=some)
    none = exposure([np.nan], [np.nan], [np.nan])
    object.__setattr__(none, "n_windows", np.array([0]))
    assert said(none) == "m: no window has a scale to measure errors by."
    lost = STEEP | {0: Response(np.inf, np.inf, 12, 0)}
    assert "comes in on the way" not in said(response=lost)
    assert "at step 1 its closed-loop error is 0.500 " in said(exposure([0.5], [0.5], [1.0]))


def test_the_report_has_a_paragraph_for_each_model_with_its_figures(bt):
    paragraphs = bt.exposure_report().split("\n\n")
    assert [text.split(":")[0] for text in paragraphs] == ["narx", "tree", "ours"]
    exposure, response = bt.exposure(), bt.forcing_response()
    for text, name in zip(paragraphs, ("narx", "tree", "ours"), strict=True):
        rows = exposure[exposure["model"] == name]
        for column, form in (("rmse_closed", ".3f"), ("rmse_one_step", ".3f"), ("gap", ".2f")):
            assert f"{rows[column].iloc[0]:{form}} and {rows[column].iloc[-1]:{form}}" in text
        for rmse in response[response["model"] == name]["rmse"]:
            assert f"{rmse:.3f}" in text
        assert ("spectral radius" in text) == (name == "narx")
        pooled = response[response["model"] == name].set_index("forcing_ratio")["rmse"]
        assert ("mode=" in text) == (name != "ours" and pooled[0] > 1.05 * pooled[1])
    assert "naive:" in bt.exposure_report(baselines=True)


def test_reference_methods_alone_say_nothing_unless_asked_for(df):
    result = backtest(Baseline("naive", horizon=H, season_length=7), df)
    assert result.exposure_report() == ""
    assert result.forcing_response().empty
    assert result.exposure_report(baselines=True).startswith("naive: at step 1 and 8")


# ---- the picture


@pytest.fixture
def plt():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    yield pyplot
    pyplot.close("all")


def drawn(ax):
    return {line.get_label(): line for line in ax.lines if not str(line.get_label()).startswith("_")}


def test_the_picture_shows_errors_by_step_and_by_share_of_truth(bt, plt):
    figure = bt.plot("exposure")
    left, right = figure.axes
    assert list(drawn(left))[:3] == ["narx: closed loop", "tree: closed loop", "ours: closed loop"]
    assert list(drawn(right)) == ["narx", "tree", "ours"]
    response = bt.forcing_response()
    for name, line in drawn(right).items():
        own = response[response["model"] == name].sort_values("forcing_ratio")
        np.testing.assert_array_equal(line.get_xdata(), own["forcing_ratio"])
        np.testing.assert_array_equal(line.get_ydata(), own["rmse"])
        twin = drawn(left)[f"{name}: closed loop"]
        assert (line.get_linestyle(), line.get_color()) == (twin.get_linestyle(), twin.get_color())
    # One step ahead on the left, closed loop on the right; errors from 0.
    assert right.get_xlim()[0] > 1 > 0 > right.get_xlim()[1]
    assert right.get_ylim()[0] == 0
    assert "forcing ratio" in right.get_xlabel()
    assert right.get_ylabel() == "RMSE over all steps (seasonal-naive scale)"
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["0.00", "0.25", "0.50", "0.75", "1.00"]
    figure.canvas.draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_the_picture_draws_into_two_given_axes_and_reference_methods_if_there_is_nothing_else(bt, df, plt):
    figure, axes = plt.subplots(1, 2)
    assert bt.plot("exposure", ax=axes) is figure
    assert list(drawn(axes[1])) == ["narx", "tree", "ours"]
    assert "naive" in drawn(bt.plot("exposure", baselines=True).axes[1])
    alone = backtest(Baseline("naive", horizon=H, season_length=7), df)
    assert list(drawn(alone.plot("exposure").axes[1])) == ["naive"]
    for bad in (axes[0], [axes[0]]):
        with pytest.raises(ArgumentError, match="expected two matplotlib Axes"):
            bt.plot("exposure", ax=bad)
    with pytest.raises(ArgumentError, match="kind='windows'"):
        bt.plot("exposure", series="s1")
