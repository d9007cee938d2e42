"""Sample paths: closed-loop roll-outs in which each step is fed back with an error of the training rows."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.tree import DecisionTreeRegressor

from tests.makers import as_it_stands, grouped, make_frame
from tsforce import Difference, Log, NARXForecaster, Standardize
from tsforce.dynamics.forcing import OpenLoop
from tsforce.dynamics.models.linear import Linear
from tsforce.errors import ArgumentError, DivergenceWarning
from tsforce.forecasting import sample_paths
from tsforce.forecasting.error_paths import ErrorPaths
from tsforce.forecasting.path_residuals import Residuals, one_step_residuals
from tsforce.lag_transforms import RollingMean
from tsforce.models import GRU, MLP
from tsforce.paths import path_quantiles, path_values, pit_values

H = 4


def ar_panel(n_series, rows, phi=0.9, seed=0):
    """Stationary AR(1) series with normal errors of variance 1."""
    rng = np.random.default_rng(seed)
    y = np.zeros((n_series, rows))
    y[:, 0] = rng.normal(size=n_series) / np.sqrt(1 - phi**2)
    for t in range(1, rows):
        y[:, t] = phi * y[:, t - 1] + rng.normal(size=n_series)
    ids = np.repeat([f"s{i:03}" for i in range(n_series)], rows)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(np.arange(rows), n_series), "y": y.ravel()})


def build(**settings):
    given = {"horizon": H, "lags": 3, "scope": "local", "mode": "open_loop", "ridge": 1.0, "max_steps": 4}
    return NARXForecaster(**grouped(as_it_stands(**(given | settings))))


def inner(df, lags=1):
    """Weights, intercept and errors of least squares on the lags of one series, from numpy."""
    y = df["y"].to_numpy()
    x = np.column_stack([y[lags - k - 1 : len(y) - k - 1] for k in reversed(range(lags))])
    x = np.column_stack([x, np.ones(len(x))])
    weights, *_ = np.linalg.lstsq(x, y[lags:], rcond=None)
    return weights, y[lags:] - x @ weights


def shocks_of(values, weights, last):
    """The errors of paths (P, H) of a map of one lag."""
    before = np.column_stack([np.full(len(values), last), values[:, :-1]])
    return values - before * weights[0] - weights[1]


KINDS = {
    "linear": build(),
    "logarithms": build(target_transforms=[Log(), Difference(7)]),
    "global": build(scope="global"),
    "last": build(scope="global", window_scaling="last"),
    "mlp": build(scope="global", model=MLP((4,)), target_transforms=[Standardize()]),
    "gru": build(scope="global", model=GRU(3)),
    "trees": build(model=DecisionTreeRegressor(min_samples_leaf=5, random_state=0)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_paths_without_errors_are_the_forecast(kind, monkeypatch):
    df = make_frame()
    model = KINDS[kind].clone_unfitted().fit(df)
    n = len(model.sample_paths(1).index) // H
    none = Residuals(np.zeros((1, 1)), np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64))
    monkeypatch.setattr(sample_paths, "one_step_residuals", lambda *_: none)
    paths = model.sample_paths(3)
    want = model.predict()["NARXForecaster"].to_numpy().reshape(n, 1, H)
    np.testing.assert_allclose(path_values(paths), np.repeat(want, 3, axis=1), rtol=1e-5 if kind == "gru" else 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_paths_of_every_kind_spread_about_the_forecast(kind):
    df = make_frame()
    model = KINDS[kind].clone_unfitted().fit(df)
    values, yhat = path_values(model.sample_paths(200)), model.predict()["NARXForecaster"].to_numpy().reshape(3, H)
    assert (values.std(axis=1) > 0.1).all()
    assert (np.abs(np.median(values, axis=1) - yhat) < 1.5 * values.std(axis=1)).all()


def test_errors_are_those_of_least_squares_widened_for_its_parameters():
    df = ar_panel(1, 80)
    model = build(lags=1, ridge=0).fit(df)
    weights, errors = inner(df)
    drawn = shocks_of(path_values(model.sample_paths(3000))[0], weights, df["y"].iloc[-1])
    want = np.sort(errors) * np.sqrt(79 / 77)
    np.testing.assert_allclose(np.unique(drawn.round(9)), np.unique(want.round(9)), atol=2e-9)


def test_a_ridge_leaves_fewer_effective_parameters_to_widen_for():
    # tr((X'X + ridge)^-1 X'X) of one standardised column is n / (n + ridge).
    df = ar_panel(1, 80)
    y = df["y"].to_numpy()
    model = build(lags=1, ridge=40.0).fit(df)
    weight, bias = model.model_.weight.item(), model.model_.bias.item()
    errors = y[1:] - weight * y[:-1] - bias
    errors = (errors - errors.mean()) * np.sqrt(79 / (79 - 1 - 79 / (79 + 40)))
    drawn = shocks_of(path_values(model.sample_paths(3000))[0], (weight, bias), y[-1])
    assert drawn.max() == pytest.approx(errors.max(), rel=1e-6)
    assert drawn.min() == pytest.approx(errors.min(), rel=1e-6)


def test_mean_and_variance_of_paths_are_those_of_the_process():
    df = ar_panel(1, 300)
    model = build(lags=1, ridge=0, horizon=12).fit(df)
    (phi, constant), errors = inner(df)
    values = path_values(model.sample_paths(20_000, block_length=1))[0]
    h = np.arange(1, 13)
    mean = phi**h * df["y"].iloc[-1] + constant * (1 - phi**h) / (1 - phi)
    variance = errors.var() * 299 / 297 * (1 - phi ** (2 * h)) / (1 - phi**2)
    np.testing.assert_allclose(values.mean(axis=0), mean, atol=4 * np.sqrt(variance[-1] / 20_000))
    np.testing.assert_allclose(values.var(axis=0), variance, rtol=0.05)


def test_differences_are_inverted_after_the_errors_were_fed_back():
    # A walk whose increments are noise: the variance grows by the step.
    rng = np.random.default_rng(5)
    df = pd.DataFrame({"ds": np.arange(400), "y": rng.normal(size=400).cumsum()})
    model = build(lags=1, ridge=1e6, target_transforms=[Difference(1)]).fit(df)
    values = path_values(model.sample_paths(20_000, block_length=1))[0]
    np.testing.assert_allclose(values.var(axis=0) / np.var(np.diff(df["y"])), np.arange(1, H + 1), rtol=0.05)


def test_draws_repeat_and_go_on_and_are_those_of_a_series_alone():
    df = make_frame()
    model = build().fit(df)
    paths = model.sample_paths(20)
    pd.testing.assert_frame_equal(model.sample_paths(20), paths, check_exact=True)
    first = model.sample_paths(8)
    pd.testing.assert_frame_equal(first, paths[paths["path"] <= 8].reset_index(drop=True), rtol=1e-12)
    alone = build().fit(df[df["unique_id"] == "s1"]).sample_paths(20)
    pd.testing.assert_frame_equal(alone, paths[paths["unique_id"] == "s1"].reset_index(drop=True), rtol=1e-9)
    assert (path_values(model.sample_paths(20, random_state=1)) != path_values(paths)).all()
    one, two = path_values(
        build().fit(pd.concat([df[df["unique_id"] == "s0"], twin(df, "s0", "twin")])).sample_paths(9)
    )
    assert (one != two).all()


def twin(df, name, other):
    return df[df["unique_id"] == name].assign(unique_id=other)


@pytest.mark.parametrize("kind", ["gru", "mlp"])
def test_paths_that_part_at_the_first_step_are_those_rolled_out_one_by_one(kind, monkeypatch):
    model = KINDS[kind].clone_unfitted().fit(make_frame())
    together = model.sample_paths(9)
    monkeypatch.setattr(sample_paths, "_PATHS", 1)
    pd.testing.assert_frame_equal(model.sample_paths(9), together, rtol=1e-6)


def test_errors_of_a_model_with_a_state_are_those_of_single_steps_fed_the_truth():
    # 45 rows, 3 lags and a context of 9: cutoffs 2, 2 + H, ...; the last stretch ends at the series' end.
    df = make_frame((45, 44))
    settings = {"scope": "global", "model": GRU(3), "mode": "closed_loop", "context_length": 9, "window_scaling": None}
    model = build(**settings).fit(df)
    found = one_step_residuals(model._rolling_, model._residual_rows(), H, None)
    step = model.model_
    first = 0
    for name in ("s0", "s1"):
        y = torch.tensor(df.loc[df["unique_id"] == name, "y"].to_numpy(), dtype=step.skip.dtype)
        errors = []
        for row in range(3, len(y)):
            cutoff = 2 + (row - 3) // H * H
            seen = y[max(0, cutoff - 8) : cutoff + 1]
            fed = torch.cat([seen.mean().expand(9 - len(seen)), seen, y[cutoff + 1 : row]]).view(1, 1, -1, 1)
            state = step.init_state(fed)
            for now in range(3, fed.shape[2] + 1):
                output, state = step.step(fed[:, :, now - 3 : now, 0], state)
            errors.append(float(y[row] - output.item()))
        errors = np.array(errors)
        own = found.values[first : first + len(errors), 0]
        mean = errors.mean()
        kept = mean * max(0.0, 1 - 6 * errors.var() / len(errors) / mean**2)
        np.testing.assert_allclose(own, errors - mean + kept, atol=2e-5)
        first += len(errors)
    assert first == len(found.values)


def test_paths_past_a_chunk_are_those_of_one(monkeypatch):
    model = build().fit(make_frame())
    want = model.sample_paths(50)
    monkeypatch.setattr(sample_paths, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(sample_paths, "_PATHS", 7)
    monkeypatch.setattr("tsforce.training.closed_loop._CHUNK_BYTES", 1)
    pd.testing.assert_frame_equal(model.sample_paths(50), want, rtol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lags": [2, 7], "horizon": 6},
        {"lags": [9]},
        {"lags": 2, "scope": "global", "window_scaling": "last", "target_transforms": [Log(), Difference(7)]},
        {"lags": 2, "calendar": ["dayofweek"], "exog_lags": None},
        {"lag_transforms": {1: [RollingMean(3)]}},
        {"target_col": ["y", "z"], "lags": [1, 3]},
    ],
)
def test_shocks_of_a_linear_map_alone_and_the_forecast_add_up_to_the_whole_roll_out(settings, monkeypatch):
    df = make_frame((60, 50), freq="D")
    if "target_col" in settings:
        df["z"] = df["y"].shift(1, fill_value=0.0).rolling(2, min_periods=1).mean()
    model = build(**settings).fit(df)
    fast = model.sample_paths(70)
    monkeypatch.setattr(Linear, "response", lambda self, horizon: None)
    pd.testing.assert_frame_equal(model.sample_paths(70), fast, rtol=1e-9)


def test_rows_have_the_ids_stamps_and_order_that_are_promised():
    df = make_frame((60, 50), freq="D")
    paths = build().fit(df).sample_paths(3)
    assert paths.columns.tolist() == ["unique_id", "ds", "horizon", "path", "NARXForecaster"]
    stamps = pd.date_range("2024-07-01", periods=H)
    for k, row in enumerate(paths.itertuples()):
        assert (row.unique_id, row.path, row.horizon) == (f"s{k // (3 * H)}", k // H % 3 + 1, k % H + 1)
        assert row.ds == stamps[k % H]
    assert paths.dtypes[:3].tolist() == build().fit(df).predict().dtypes[:3].tolist()


def test_blocks_are_errors_that_followed_each_other():
    df = ar_panel(1, 60)
    model = build(lags=1, ridge=0, horizon=6).fit(df)
    weights, errors = inner(df)
    errors = (errors * np.sqrt(59 / 57)).round(6)
    place = {value: k for k, value in enumerate(errors)}
    for length, breaks in ((3, [False, False, True, False, False]), (99, [False] * 5), (None, [0, 0, 0, 1, 0])):
        drawn = shocks_of(path_values(model.sample_paths(400, block_length=length))[0], weights, df["y"].iloc[-1])
        where = np.vectorize(place.__getitem__)(drawn.round(6))
        broken = (np.diff(where, axis=1) % 59 != 1).mean(axis=0)
        assert ((broken > 0.9) == breaks).all()
        assert (broken[~np.array(breaks, dtype=bool)] == 0).all()


def test_wild_errors_are_kept():
    df = ar_panel(1, 200)
    df.loc[100, "y"] += 60
    values = path_values(build(lags=1).fit(df).sample_paths(4000))
    assert 0.001 < (values[:, :, 0] > 30).mean() < 0.02


def test_errors_of_several_targets_are_drawn_together():
    rng = np.random.default_rng(2)
    e = rng.normal(size=(90, 1)) * [1.0, -10.0]
    df = pd.DataFrame({"ds": np.arange(90), "u": e[:, 0], "v": e[:, 1] + 3})
    model = build(target_col=["u", "v"], lags=1, ridge=1e6).fit(df)
    values = path_values(model.sample_paths(300))
    assert values.shape == (1, 300, H, 2)
    for h in range(H):
        assert np.corrcoef(values[0, :, h].T)[0, 1] < -0.999


def test_scenarios_are_drawn_with_the_same_errors_and_no_target_after_the_cutoff_is_read():
    rng = np.random.default_rng(3)
    x = rng.normal(size=100)
    df = pd.DataFrame(
        {"ds": np.arange(100), "x": x, "y": 2 * x + 0.1 * rng.normal(size=100), "p": rng.normal(size=100)}
    )
    model = build(future_exog=["x"], past_exog=["p"]).fit(df.head(80))
    later = df.iloc[80 : 80 + H]
    high = later.assign(x=later["x"] + 1)
    both = model.sample_paths(30, future_df={"low": later, "high": high})
    assert both.columns[0] == "scenario"
    low, up = path_values(both)
    np.testing.assert_allclose(up - low, np.broadcast_to((up - low)[:1], low.shape), atol=1e-9)
    assert ((up - low)[:, 0] > 1.5).all()
    alone = model.sample_paths(30, future_df=later.assign(y=1e9, p=-1e9))
    np.testing.assert_allclose(path_values(alone)[0], low, rtol=1e-9)


def test_paths_start_from_a_history_and_are_blind_after_it():
    df = make_frame()
    model = build().fit(df[df["ds"] <= 50])
    seen = df[df["ds"] <= 60]
    paths = model.sample_paths(10, history=seen)
    assert paths["ds"].min() == 61
    yhat = model.predict(history=seen)["NARXForecaster"].to_numpy().reshape(3, H)
    moved = path_values(paths) - yhat[:, None]
    # A linear map: the same errors move any forecast by the same.
    from_end = path_values(model.sample_paths(10)) - model.predict()["NARXForecaster"].to_numpy().reshape(3, 1, H)
    np.testing.assert_allclose(moved, from_end, atol=1e-8)


def test_a_series_that_was_not_fitted_draws_from_the_errors_of_all():
    df = ar_panel(6, 60)
    new = ar_panel(1, 30, seed=9).assign(unique_id="new")
    model = build(scope="global", window_scaling=None, lags=1, ridge=0).fit(df)
    values = path_values(model.sample_paths(2000, history=new, block_length=1))[0, :, 0]
    assert len(np.unique(values.round(9))) > 250
    assert values.std() == pytest.approx(1, abs=0.15)


def test_series_of_a_shared_model_draw_their_own_errors_once_they_have_enough():
    rng = np.random.default_rng(4)
    sizes = {"calm": 0.1, "wild": 10.0, "short": 0.1}
    rows = {"calm": 80, "wild": 80, "short": 12}
    df = pd.concat(
        [
            pd.DataFrame({"unique_id": k, "ds": np.arange(rows[k]), "y": s * rng.normal(size=rows[k])})
            for k, s in sizes.items()
        ]
    )
    model = build(scope="global", window_scaling=None, lags=1, guard=None).fit(df)
    calm, wild, short = path_values(model.sample_paths(1000))[:, :, 0].std(axis=1)
    assert calm < 1
    assert wild > 8
    assert 4 < short < 10


def test_missing_rows_have_no_error_to_draw():
    df = ar_panel(1, 120)
    df.loc[50:60, "y"] = np.nan
    values = path_values(build(lags=1, missing="own_output").fit(df).sample_paths(500))
    assert np.isfinite(values).all()
    assert 0.7 < values[0, :, 0].std() < 1.4


def test_the_guard_holds_paths_that_run_away():
    y = np.concatenate([np.random.default_rng(0).normal(size=60), 1.3 ** np.arange(12)])
    df = pd.DataFrame({"ds": np.arange(72), "y": y})
    model = build(lags=1, ridge=0, horizon=40).fit(df)
    with pytest.warns(DivergenceWarning, match=r"of 50 paths go further out"):
        paths = model.sample_paths(50)
    assert paths.attrs["clipped_paths"] > 25
    assert np.abs(path_values(paths)).max() < 12 * (y.max() - y.min())


def test_four_of_five_fresh_values_lie_between_the_tenth_and_the_ninetieth_percent():
    rows = 300
    df = ar_panel(200, rows + 12, seed=rows)
    model = NARXForecaster(12, scope="local").fit(df[df["ds"] < rows])
    bounds = path_quantiles(model.sample_paths(300), [0.1, 0.9])
    truth = df.loc[df["ds"] >= rows, "y"].to_numpy()
    inside = (truth >= bounds["NARXForecaster-q10"]) & (truth <= bounds["NARXForecaster-q90"])
    assert inside.mean() == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("mode", ["open_loop", OpenLoop()])
def test_a_network_that_learnt_from_observed_rows_is_fed_its_errors(mode):
    model = build(scope="global", model=MLP((4,)), mode=mode).fit(make_frame((60,)))
    fed, past = path_values(model.sample_paths(20)), path_values(ErrorPaths.sample_paths(model, 20))
    assert not np.allclose(fed, past)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["open_loop", "closed_loop"])
@pytest.mark.parametrize(("model", "scope"), [("linear", "local"), ("linear", "global"), ("mlp", "global")])
def test_paths_hold_as_many_fresh_values_as_they_should_however_the_model_learnt(model, scope, mode):
    # Heavy tails and a level that nothing in a window tells: of shocks fed to this network .97 lay within at the end.
    rng = np.random.default_rng(16)
    y = np.zeros((200, 262))
    for t in range(1, 262):
        y[:, t] = 0.9 * y[:, t - 1] + rng.standard_t(3, size=200)
    y = y[:, 50:]
    names, ds = np.repeat([f"s{i}" for i in range(200)], 212), np.tile(np.arange(212), 200)
    df = pd.DataFrame({"unique_id": names, "ds": ds, "y": y.ravel()})
    more = (
        {} if model == "linear" else {"model": MLP((64, 64)), "max_steps": 150, "loss": "mae", "learning_rate": 0.003}
    )
    own = NARXForecaster(12, 5, scope=scope, mode=mode, random_state=0, **grouped(more)).fit(df[df["ds"] < 200])
    rank = pit_values(y[:, 200:], path_values(own.sample_paths(200)), 0)
    thirds = ((rank >= 0.1) & (rank <= 0.9)).reshape(200, 3, 4).mean(axis=(0, 2))
    np.testing.assert_allclose(thirds, 0.8, atol=0.06)


def test_errors_that_lean_one_way_are_drawn_leaning():
    # One map for all, which says less than half of the steps of one and more of the other's: each errs its own way.
    rng = np.random.default_rng(0)
    slopes = np.repeat([3.0, 1.0], 100)
    y = np.concatenate([slope * np.arange(100) + 0.1 * rng.normal(size=100) for slope in (3.0, 1.0)])
    df = pd.DataFrame({"unique_id": np.repeat(["a", "b"], 100), "ds": np.tile(np.arange(100), 2), "y": y})
    model = build(lags=1, ridge=0, scope="global", window_scaling="last", horizon=1).fit(df)
    drawn = path_values(model.sample_paths(400)).mean(axis=(1, 2))
    np.testing.assert_allclose(drawn, y[[99, 199]] + slopes[[0, 100]], atol=0.2)
    assert model.predict()["NARXForecaster"].to_numpy()[0] < y[99] + 2.5


def test_drawing_leaves_no_trace():
    model = build().fit(make_frame())
    before = pickle.dumps(model)
    model.sample_paths(5)
    assert pickle.dumps(model) == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_paths": 0}, "n_paths"),
        ({"n_paths": 2.5}, "n_paths"),
        ({"random_state": -1}, "random_state"),
        ({"block_length": 0}, "block_length"),
    ],
)
def test_an_argument_that_is_no_count_is_refused(settings, words):
    model = build().fit(make_frame((60,)))
    with pytest.raises(ArgumentError, match=words):
        model.sample_paths(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        *({"strategy": name} for name in ("direct", "dirrec", "rectify")),
        {"scope": "global", "model": MLP((4,)), "mode": "closed_loop"},
        {"scope": "global", "model": MLP((4,)), "mode": "curriculum"},
    ],
)
def test_what_never_learnt_from_an_error_that_it_was_fed_draws_its_errors_at_past_cutoffs(settings):
    model = build(**settings).fit(make_frame((60,)))
    assert settings.get("mode", "open_loop") == model.kept_mode_ or "strategy" in settings
    np.testing.assert_array_equal(path_values(model.sample_paths(20)), path_values(ErrorPaths.sample_paths(model, 20)))


def test_a_forecaster_that_is_not_fitted_draws_nothing():
    with pytest.raises(NotFittedError):
        build().sample_paths()
