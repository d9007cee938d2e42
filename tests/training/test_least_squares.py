"""Least squares: moments against rows, solutions against plain loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from tests.makers import make_frame
from tests.reference import ridge_rows
from tsforce import NARXForecaster
from tsforce.data.frame import read_panel
from tsforce.data.inputs import InputCoder
from tsforce.data.transforms import Chain, Difference, Log
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.lags import LagLayout, TargetFeature
from tsforce.dynamics.target_features import target_features
from tsforce.errors import NumericalError
from tsforce.lag_transforms import RollingMean, SeasonalRollingMean
from tsforce.training.solvers import gram, kept_moments, lag_rows
from tsforce.training.solvers.gram import Gram, accumulate, accumulate_rows
from tsforce.training.solvers.kept_moments import keeping, moments_of
from tsforce.training.solvers.least_squares import fit_linear, solve

FIELDS = ("xx", "xy", "x_sum", "y_sum", "rows")


def make_store(lengths=(60, 45, 80), transforms=(), scaling=None, reach=6, stops=None):
    panel = read_panel(make_frame(lengths))
    stops = panel.lengths if stops is None else np.asarray(stops)
    chain = Chain.learn(transforms, panel.values, panel.indptr, stops)
    return panel, SeriesStore(panel, chain, scaling, reach), np.arange(panel.n_series), stops


def about_zero(gram: Gram) -> dict[str, torch.Tensor]:
    """Raw moments, whatever the origins they were taken about; lower triangle only."""
    n = gram.rows[:, None]
    ox, oy = gram.x_origin, gram.y_origin
    xx = gram.xx + gram.x_sum[:, :, None] * ox[:, None] + ox[:, :, None] * gram.x_sum[:, None]
    xx = xx + n[:, :, None] * ox[:, :, None] * ox[:, None]
    xy = gram.xy + gram.x_sum[:, :, None] * oy[:, None] + ox[:, :, None] * gram.y_sum[:, None]
    xy = xy + n[:, :, None] * ox[:, :, None] * oy[:, None]
    return {"xx": xx.tril(), "xy": xy, "x_sum": gram.x_sum + n * ox, "y_sum": gram.y_sum + n * oy, "rows": gram.rows}


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("lags", [(1,), (1, 2, 3, 4, 5, 6), (2, 3), (1, 6)])
@pytest.mark.parametrize("scaling", [None, "last"])
@pytest.mark.parametrize("transforms", [(), (Log(), Difference(7)), (Difference(1),)])
def test_moments_by_shifts_equal_moments_by_rows(transforms, scaling, lags, pooled, intercept, monkeypatch):
    # The last two series have no row of all lags.
    lengths = (60, 45, 80, 13, 9) if pooled else (60, 45, 80)
    monkeypatch.setattr(gram, "_CHUNK", 2)
    _, store, every, stops = make_store(lengths, transforms, scaling)
    layout = LagLayout(lags)
    slow = about_zero(accumulate_rows(store, every, stops, layout, pooled=pooled, intercept=intercept))
    if scaling is None or lags != (1,):
        monkeypatch.setattr(gram, "accumulate_rows", lambda *a, **k: pytest.fail("took the row path"))
    fast = about_zero(accumulate(store, every, stops, layout, pooled=pooled, intercept=intercept))
    for name in FIELDS:
        np.testing.assert_allclose(fast[name], slow[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_the_shift_path_is_taken_where_it_can_be(monkeypatch):
    _, store, every, stops = make_store()
    monkeypatch.setattr(gram, "accumulate_rows", lambda *a, **k: pytest.fail("took the row path"))
    accumulate(store, every, stops, LagLayout((1, 2)), pooled=False, intercept=True)


def test_what_repeats_itself_relative_to_its_last_value_has_its_moments_from_rows():
    """A season back a periodic series is where it is: what sums of differences leave of that is rounding."""
    panel = read_panel(make_frame((60,)).assign(y=1e3 * np.tile([1.0, -2.0, 3.0, -1.0, 0.5, -3.5], 10)))
    store = SeriesStore(panel, Chain.learn((), panel.values, panel.indptr, panel.lengths), "last", 8)
    found = accumulate(store, np.array([0]), panel.lengths, LagLayout(tuple(range(1, 9))), pooled=True, intercept=True)
    assert float(found.xx[0, 1, 1]) == 0.0


@pytest.mark.parametrize("scaling", [None, "last"])
def test_moments_stop_before_the_stops(scaling):
    _, store, every, _ = make_store(scaling=scaling)
    stops = np.array([50, 40, 70])
    before = accumulate(store, every, stops, LagLayout((1, 2, 3)), pooled=False, intercept=True)
    for i in range(3):
        store.values[store.indptr[i] + stops[i] : store.indptr[i + 1]] = float("nan")
    after = accumulate(store, every, stops, LagLayout((1, 2, 3)), pooled=False, intercept=True)
    for name in FIELDS:
        assert torch.equal(getattr(before, name), getattr(after, name))


@pytest.mark.parametrize("horizon", [1, 3])
def test_rows_of_later_steps_stop_before_the_stops(horizon):
    df = make_frame((60, 45, 80)).assign(x=np.arange(185.0) % 7)
    panel = read_panel(df, past_exog=["x"])
    chain = Chain.learn((), panel.values, panel.indptr, panel.lengths)
    coder = InputCoder.learn(panel, panel.lengths, (), pooled=False)
    store, every, stops = SeriesStore(panel, chain, None, 6, coder=coder), np.arange(3), np.array([50, 40, 70])
    layout = LagLayout((1, 3), past_exog=(("x", (1,)),))
    before = accumulate_rows(store, every, stops, layout, pooled=False, intercept=True, horizon=horizon)
    for i in range(3):
        store.values[store.indptr[i] + stops[i] : store.indptr[i + 1]] = 1e9
    after = accumulate_rows(store, every, stops, layout, pooled=False, intercept=True, horizon=horizon)
    # Every origin with a complete lag vector gives its first step; the last ones lack later steps.
    origins = stops - 3
    assert before.rows.tolist() == (origins * horizon - horizon * (horizon - 1) // 2).tolist()
    for name in FIELDS:
        assert torch.equal(getattr(before, name), getattr(after, name))


def test_chunks_of_rows_add_up(monkeypatch):
    _, store, every, stops = make_store()
    whole = about_zero(accumulate_rows(store, every, stops, LagLayout((1, 3)), pooled=True, intercept=True))
    monkeypatch.setattr(lag_rows, "_CHUNK_BYTES", 700)
    parts = about_zero(accumulate_rows(store, every, stops, LagLayout((1, 3)), pooled=True, intercept=True))
    for name in FIELDS:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-12)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("ridge", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("lags", [(1, 2, 3), (1, 6)])
def test_local_models_equal_ridge_regression_series_by_series(lags, ridge, intercept):
    panel, store, every, stops = make_store()
    (model,) = fit_linear(store, every, stops, LagLayout(lags), [ridge], pooled=False, intercept=intercept)
    for i in every:
        series = panel.values[panel.indptr[i] : panel.indptr[i + 1], 0]
        weight, bias = ridge_rows(series, lags, ridge, intercept)
        np.testing.assert_allclose(model.weight[i, :, 0], weight, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(model.bias[i, 0], bias, rtol=1e-7, atol=1e-7)


def test_a_local_model_equals_scikit_learns_ridge():
    panel, store, every, stops = make_store()
    (model,) = fit_linear(store, every, stops, LagLayout((1, 2, 3)), [10.0], pooled=False, intercept=True)
    y = panel.values[: panel.indptr[1], 0]
    x = np.stack([y[:-3], y[1:-2], y[2:-1]], axis=1)
    scaler = StandardScaler().fit(x)
    oracle = Ridge(alpha=10.0).fit(scaler.transform(x), y[3:])
    np.testing.assert_allclose(model.weight[0, :, 0], oracle.coef_ / scaler.scale_, rtol=1e-9)


def test_a_pooled_model_equals_ridge_regression_on_all_rows():
    panel, store, every, stops = make_store()
    (model,) = fit_linear(store, every, stops, LagLayout((1, 2)), [5.0], pooled=True, intercept=True)
    rows = [panel.values[panel.indptr[i] : panel.indptr[i + 1], 0] for i in every]
    x = np.concatenate([np.stack([y[:-2], y[1:-1]], axis=1) for y in rows])
    scaler = StandardScaler().fit(x)
    oracle = Ridge(alpha=5.0).fit(scaler.transform(x), np.concatenate([y[2:] for y in rows]))
    np.testing.assert_allclose(model.weight[0, :, 0], oracle.coef_ / scaler.scale_, rtol=1e-9)


def test_several_ridges_from_one_gram_equal_separate_fits():
    _, store, every, stops = make_store()
    layout = LagLayout((1, 2, 3))
    per_series = torch.tensor([1.0, 50.0, 7.0], dtype=torch.float64)
    together = fit_linear(store, every, stops, layout, [1.0, 30.0, per_series], pooled=False, intercept=True)
    for ridge, model in zip([1.0, 30.0, per_series], together, strict=True):
        (alone,) = fit_linear(store, every, stops, layout, [ridge], pooled=False, intercept=True)
        assert torch.equal(model.weight, alone.weight)
        assert torch.equal(model.bias, alone.bias)


@pytest.mark.parametrize(("name", "size"), [("_CHUNK", 2), ("_CACHED_BYTES", 2 * 8 * 3**2)])
def test_batches_of_series_equal_one_by_one(name, size, monkeypatch):
    monkeypatch.setattr(gram, name, size)
    _, store, every, stops = make_store((60, 45, 80, 33, 61), (Log(),))
    (model,) = fit_linear(store, every, stops, LagLayout((1, 2, 3)), [1.0], pooled=False, intercept=True)
    for i in every:
        (alone,) = fit_linear(store, every[[i]], stops[[i]], LagLayout((1, 2, 3)), [1.0], pooled=False, intercept=True)
        np.testing.assert_allclose(model.weight[i], alone.weight[0], rtol=1e-9, atol=1e-12)


def test_collinear_lags_at_ridge_zero_still_give_a_finite_exact_fit():
    panel = read_panel(make_frame((100,)).assign(y=lambda d: np.sin(d["ds"] * 2 * np.pi / 12)))
    chain = Chain.learn((), panel.values, panel.indptr, panel.lengths)
    store = SeriesStore(panel, chain, None, 20)
    layout = LagLayout(tuple(range(1, 21)))
    (model,) = fit_linear(store, np.array([0]), panel.lengths, layout, [0.0], pooled=False, intercept=True)
    y = torch.from_numpy(panel.values[:, 0])
    fitted = y.unfold(0, 20, 1)[:-1] @ model.weight[0, :, 0] + model.bias[0]
    assert (fitted - y[20:]).abs().max() < 1e-5


def test_a_constant_series_predicts_its_constant():
    panel = read_panel(make_frame((40, 50)).assign(y=lambda d: np.where(d["unique_id"] == "s0", 7.25, d["y"])))
    chain = Chain.learn((), panel.values, panel.indptr, panel.lengths)
    store = SeriesStore(panel, chain, None, 5)
    layout = LagLayout((1, 2, 3, 4, 5))
    (model,) = fit_linear(store, np.arange(2), panel.lengths, layout, [1.0], pooled=False, intercept=True)
    assert not model.weight[0].any()
    assert model.bias[0].item() == 7.25


def test_a_high_level_does_not_swallow_a_small_variation():
    low = make_frame((200,))
    weights = []
    for offset in (0.0, 1e7):
        panel = read_panel(low.assign(y=low["y"] + offset))
        store = SeriesStore(panel, Chain.learn((), panel.values, panel.indptr, panel.lengths), None, 4)
        layout = LagLayout((1, 2, 3, 4))
        for scope in (True, False):
            (m,) = fit_linear(store, np.array([0]), panel.lengths, layout, [1.0], pooled=scope, intercept=True)
            weights.append(m.weight)
    for weight in weights[1:]:
        np.testing.assert_allclose(weight, weights[0], rtol=1e-5)


def test_overflowing_squares_are_an_error_not_a_hang():
    panel = read_panel(make_frame((30,)).assign(y=lambda d: d["y"] * 1e160))
    store = SeriesStore(panel, Chain.learn((), panel.values, panel.indptr, panel.lengths), None, 2)
    with pytest.raises(NumericalError, match="overflow"):
        fit_linear(store, np.array([0]), panel.lengths, LagLayout((1, 2)), [1.0], pooled=False, intercept=True)


@pytest.mark.parametrize("scaling", ["mean_abs", "standard", "last"])
def test_window_scaling_rows_are_scaled_by_their_own_context(scaling):
    panel, store, every, stops = make_store((30, 25), scaling=scaling, reach=4)
    gram = about_zero(accumulate(store, every, stops, LagLayout((1, 2, 3, 4)), pooled=True, intercept=True))
    xx = np.zeros((4, 4))
    for i in every:
        y = panel.values[panel.indptr[i] : panel.indptr[i + 1], 0]
        for t in range(4, len(y)):
            c = y[t - 4 : t]
            centre = {"mean_abs": 0, "standard": c.mean(), "last": c[-1]}[scaling]
            scale = {"mean_abs": np.abs(c).mean(), "standard": c.std(), "last": 1}[scaling]
            x = (c - centre) / scale
            xx += np.outer(x, x)
    np.testing.assert_allclose(gram["xx"][0], np.tril(xx), rtol=1e-9, atol=1e-9)


def test_target_features_enter_the_moments():
    mean = TargetFeature(("mean3",), 3, lambda fed: fed.mean(dim=2))
    panel, store, every, stops = make_store((40,), reach=3)
    (model,) = fit_linear(store, every, stops, LagLayout((1,), ("y",), (mean,)), [1.0], pooled=False, intercept=True)
    y = panel.values[:, 0]
    x = np.stack([y[2:-1], (y[:-3] + y[1:-2] + y[2:-1]) / 3], axis=1)
    scaler = StandardScaler().fit(x)
    oracle = Ridge(alpha=1.0).fit(scaler.transform(x), y[3:])
    np.testing.assert_allclose(model.weight[0, :, 0], oracle.coef_ / scaler.scale_, rtol=1e-8)


def test_one_training_row_is_enough_under_a_penalty():
    _, store, every, _ = make_store((7, 9, 8), reach=6)
    gram = accumulate(store, every, np.array([7, 9, 8]), LagLayout((1, 2, 3, 4, 5, 6)), pooled=False, intercept=True)
    assert gram.rows.tolist() == [1, 3, 2]
    ((weight, bias),) = solve(gram, [1.0], intercept=True)
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("spike", [0, 3, -1, -4])
def test_an_outlier_at_an_edge_does_not_spoil_the_moments(spike, pooled):
    """Updates from one column to the next would leave the rounding of 1e18 in columns of size 1."""
    panel = read_panel(make_frame((60, 45, 80)))
    panel.values[panel.indptr[1] + (spike if spike >= 0 else 45 + spike)] = 1e9
    store = SeriesStore(panel, Chain.learn((), panel.values, panel.indptr, panel.lengths), None, 6)
    every, layout = np.arange(3), LagLayout((1, 2, 3, 4, 5, 6))
    fast = accumulate(store, every, panel.lengths, layout, pooled=pooled, intercept=True)
    slow = accumulate_rows(store, every, panel.lengths, layout, pooled=pooled, intercept=True)
    for (w1, b1), (w2, b2) in zip(solve(fast, [1.0], intercept=True), solve(slow, [1.0], intercept=True), strict=True):
        np.testing.assert_allclose(w1, w2, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(b1, b2, rtol=1e-5)


def test_a_start_of_zeros_gives_finite_weights():
    panel = read_panel(make_frame((60,)).assign(y=lambda d: np.where(d["ds"] < 58, 0.0, d["ds"])))
    store = SeriesStore(panel, Chain.learn((), panel.values, panel.indptr, panel.lengths), None, 6)
    for ridge in (0.0, 1.0):
        (m,) = fit_linear(
            store, np.array([0]), panel.lengths, LagLayout((1, 2, 3)), [ridge], pooled=False, intercept=False
        )
        assert torch.isfinite(m.weight).all()


def test_a_system_that_never_factorises_is_an_error_not_a_hang(monkeypatch):
    _, store, every, stops = make_store()
    gram = accumulate(store, every, stops, LagLayout((1, 2)), pooled=False, intercept=True)
    broken = Gram(**{f: getattr(gram, f) for f in gram.__dataclass_fields__} | {"x_sum": gram.x_sum * float("nan")})
    with pytest.raises(NumericalError):
        solve(broken, [1.0], intercept=True)


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_past_inputs_are_fitted_on_the_rows_of_every_origin_and_step(horizon):
    """At the second step on, the input reads its last row before the cutoff; no row has a target after the last one."""
    n = 40
    df = make_frame((n,)).assign(x=np.random.default_rng(3).normal(size=n))
    model = NARXForecaster(
        horizon, 2, scope="local", past_exog=["x"], exog_lags=1, ridge=0.0, window_scaling=None, target_transforms=(),
        mode="open_loop",
    )  # fmt: skip
    got = model.fit(df).predict()["NARXForecaster"].to_numpy()
    y, x = df["y"].to_numpy(), df["x"].to_numpy()
    weights = []
    for group in (range(1, 2), range(2, horizon + 1)):
        steps = [(origin, origin + h) for origin in range(1, n - 1) for h in group if origin + h < n]
        if steps:
            rows = np.array([[y[t - 2], y[t - 1], x[origin], 1.0] for origin, t in steps])
            weights.append(np.linalg.lstsq(rows, y[[t for _, t in steps]], rcond=None)[0])
    fed = y.tolist()
    for h in range(horizon):
        fed.append(np.dot(weights[min(h, 1)], [fed[-2], fed[-1], x[-1], 1.0]))
    np.testing.assert_allclose(got, fed[n:], rtol=1e-8)


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("lags", [(1, 2, 3), (2, 7), ()])
def test_features_that_are_linear_maps_of_lags_have_their_moments_from_those_of_lags(pooled, lags, monkeypatch):
    transforms = {1: [RollingMean(5)], 2: [SeasonalRollingMean(3, 2), RollingMean(4)]}
    layout = LagLayout(lags, features=target_features(transforms, ("y",)))
    _, store, every, stops = make_store((40, 60, 35), reach=layout.reach)
    slow = accumulate_rows(store, every, stops, layout, pooled=pooled, intercept=True)
    monkeypatch.setattr(gram, "chunks_of_rows", lambda *a: pytest.fail("rows were read"))
    fast = accumulate(store, every, stops, layout, pooled=pooled, intercept=True)
    for (w1, b1), (w2, b2) in zip(
        solve(fast, [1.0, 30.0], intercept=True), solve(slow, [1.0, 30.0], intercept=True), strict=True
    ):
        np.testing.assert_allclose(w1, w2, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(b1, b2, rtol=1e-8)


def test_means_that_vary_far_less_than_their_lags_have_their_moments_from_rows():
    """Over its season a series varies by its walk alone: what moments of lags leave of that is rounding."""
    season = 1e6 * np.tile([1.0, -2.0, 3.0, -1.0, 0.5, -3.5, 2.0], 10)
    y = season + np.random.default_rng(0).normal(size=70).cumsum()
    panel = read_panel(make_frame((70,)).assign(y=y))
    layout = LagLayout((7,), features=target_features({1: [RollingMean(7)]}, ("y",)))
    store = SeriesStore(panel, Chain.learn((), panel.values, panel.indptr, panel.lengths), None, layout.reach)
    (model,) = fit_linear(store, np.array([0]), panel.lengths, layout, [0.0], pooled=False, intercept=True)
    rows = np.stack([y[:-7], [y[t - 7 : t].mean() for t in range(7, 70)], np.ones(63)], axis=1)
    want, *_ = np.linalg.lstsq(rows, y[7:], rcond=None)
    np.testing.assert_allclose(model.weight[0, :, 0], want[:2], rtol=1e-6)


@pytest.mark.parametrize("lags", [(1, 2, 3), (2, 7)])
def test_moments_of_a_later_step_are_those_of_lags_further_back(lags, monkeypatch):
    features = target_features({1: [RollingMean(5)]}, ("y",))
    layout = LagLayout(lags, features=features, ahead=3)
    _, store, every, stops = make_store((40, 60, 35), reach=10)
    slow = accumulate_rows(store, every, stops, layout, pooled=False, intercept=True)
    monkeypatch.setattr(gram, "chunks_of_rows", lambda *a: pytest.fail("rows were read"))
    fast = accumulate(store, every, stops, layout, pooled=False, intercept=True)
    further = LagLayout(tuple(lag + 3 for lag in lags), features=target_features({4: [RollingMean(5)]}, ("y",)))
    assert fast.rows.tolist() == (stops - further.reach).tolist()
    for (w1, b1), (w2, b2) in zip(solve(fast, [1.0], intercept=True), solve(slow, [1.0], intercept=True), strict=True):
        np.testing.assert_allclose(w1, w2, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(b1, b2, rtol=1e-8)


def test_moments_are_kept_until_the_end_and_as_long_as_there_is_room(monkeypatch):
    _, store, every, stops = make_store()
    taken = []
    monkeypatch.setattr(kept_moments, "accumulate", lambda *a, **how: taken.append(a) or accumulate(*a, **how))

    def two(lags=(1, 2)):
        return [
            moments_of(store, every, stops, LagLayout(lags), pooled=False, intercept=True) for _ in range(2)
        ]  # fmt: skip

    two()
    assert len(taken) == 2
    with keeping(store):
        with keeping(store):
            first, again = two()
        assert again is first
        assert len(taken) == 3
        two()
        assert len(taken) == 3
        two((1, 3))
        assert len(taken) == 4
        monkeypatch.setattr(kept_moments, "_KEPT_BYTES", 100)
        two((2, 3))
        assert len(taken) == 6
    two()
    assert len(taken) == 8


def test_a_choice_of_penalties_takes_the_moments_of_a_store_once(monkeypatch):
    taken = []
    monkeypatch.setattr(
        kept_moments, "accumulate", lambda *a, **how: taken.append((id(a[0]), a[2].tolist())) or accumulate(*a, **how)
    )
    NARXForecaster(3, 4, scope="local").fit(make_frame((60, 45, 80)), mode="open_loop")
    assert len(taken) == len({tuple(stops) for _, stops in taken}) == 2
