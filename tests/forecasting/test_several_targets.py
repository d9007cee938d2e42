"""Several targets: each forecast from the past of all, fed back together."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor

from tests.makers import as_it_stands, grouped
from tsforce import Baseline, Difference, Ensemble, NARXForecaster, Standardize, backtest, compare, compare_modes
from tsforce.errors import ArgumentError, FrameError
from tsforce.forecasting.base import Forecaster
from tsforce.models import GRU, MLP

H = 4


def panel(n_series=3, n=60, seed=0):
    """Two damped, coupled rotations per series, of different sizes."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(n_series):
        u, v = np.zeros(n + i), np.zeros(n + i)
        u[0], v[0] = rng.normal(size=2)
        for t in range(1, n + i):
            u[t] = 0.8 * u[t - 1] - 0.5 * v[t - 1] + 0.1 * rng.normal()
            v[t] = 0.5 * u[t - 1] + 0.8 * v[t - 1] + 0.1 * rng.normal()
        frames.append(pd.DataFrame({"unique_id": f"s{i}", "ds": np.arange(n + i), "u": u, "v": 50 * v + 300}))
    return pd.concat(frames, ignore_index=True)


def build(**settings):
    given = {"horizon": H, "lags": 2, "target_col": ["u", "v"], "ridge": 1e-6, "window_scaling": None, "max_steps": 5}
    return NARXForecaster(**grouped(as_it_stands(**(given | settings))))


KINDS = {
    "linear": build(mode="open_loop"),
    "local": build(scope="local", mode="open_loop"),
    "closed": build(model="linear", mode="closed_loop"),
    "mlp": build(model=MLP((4,), "tanh"), target_transforms=[Standardize()], mode="curriculum"),
    "gru": build(model=GRU(3), target_transforms=[Standardize(), Difference(1)], mode="closed_loop"),
    "trees": build(model=RandomForestRegressor(5, random_state=0), mode="closed_loop", max_steps=1),
    "auto": build(mode="auto"),
    "naive2": Baseline("naive2", horizon=H, season_length=4, target_col=["u", "v"]),
    "both": Ensemble([build(mode="open_loop"), build(lags=3, mode="open_loop", alias="three")]),
}


def test_least_squares_and_roll_out_of_two_targets_are_those_of_a_loop_over_both():
    df = panel()
    got = build(mode="open_loop").fit(df).predict()
    rows, targets = [], []
    for _, part in df.groupby("unique_id"):
        values = part[["u", "v"]].to_numpy()
        for t in range(2, len(values)):
            rows.append(np.concatenate([values[t - 2], values[t - 1]]))
            targets.append(values[t])
    x, y = np.array(rows), np.array(targets)
    coefficients, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)
    want = []
    for _, part in df.groupby("unique_id"):
        values = list(part[["u", "v"]].to_numpy())
        for _ in range(H):
            values.append(np.concatenate([values[-2], values[-1], [1.0]]) @ coefficients)
        want.append(values[-H:])
    assert list(got.columns) == ["unique_id", "ds", "horizon", "NARXForecaster-u", "NARXForecaster-v"]
    np.testing.assert_allclose(got.iloc[:, 3:].to_numpy(), np.concatenate(want), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_at_many_cutoffs_are_those_of_the_loop_and_blind(kind):
    df = panel()
    model = KINDS[kind].clone_unfitted().fit(df[df["ds"] < 50])
    got = model.predict_at(df, [40, 45])
    want = Forecaster.predict_at(model, df, [40, 45])
    pd.testing.assert_frame_equal(got, want, rtol=1e-5 if kind in ("mlp", "gru") else 1e-9)
    wrecked = df.assign(u=df["u"].where(df["ds"] <= 45, 1e6), v=df["v"].where(df["ds"] <= 45, -1e6))
    again = model.predict_at(wrecked, [40, 45])
    pd.testing.assert_frame_equal(again, got, check_exact=True)


@pytest.mark.parametrize("kind", ["linear", "mlp", "gru", "trees"])
def test_a_target_is_forecast_from_the_past_of_the_other(kind):
    df = panel()
    model = KINDS[kind].clone_unfitted().fit(df)
    moved = model.predict(history=df.assign(v=df["v"] * np.where(df["ds"] % 2 > 0, 1.1, 0.9)))
    assert (moved[f"{model.name}-u"] != model.predict()[f"{model.name}-u"]).any()


@pytest.mark.parametrize("kind", ["linear", "local", "closed"])
def test_the_order_of_the_targets_changes_nothing_but_the_order_of_the_columns(kind):
    df = panel()
    model = KINDS[kind]
    got = model.clone_unfitted().fit(df).predict()
    other = model.clone_unfitted().set_params(target_col=["v", "u"]).fit(df).predict()
    np.testing.assert_allclose(other[got.columns].iloc[:, 3:], got.iloc[:, 3:], rtol=1e-6)


def test_a_baseline_of_two_targets_is_that_of_each():
    df = panel()
    for method in ("naive", "seasonal_naive", "drift", "naive2", "theta"):
        both = Baseline(method, horizon=H, season_length=4, target_col=["u", "v"]).fit(df).predict()
        for target in "uv":
            alone = Baseline(method, horizon=H, season_length=4, target_col=target)
            with pytest.warns(UserWarning, match="ignored"):
                want = alone.fit(df).predict()[method].to_numpy()
            np.testing.assert_array_equal(both[f"{method}-{target}"].to_numpy(), want)


def test_scores_by_target_are_those_of_the_frame_and_pooled_ones_lie_between():
    df = panel()
    result = backtest(build(mode="open_loop"), df, n_windows=3, season_length=1)
    frame = result.frame
    assert list(frame.columns[:6]) == ["unique_id", "ds", "cutoff", "horizon", "u", "v"]
    assert list(frame.columns[6:]) == ["NARXForecaster-u", "NARXForecaster-v"]
    scores = result.scores(by="target")
    assert scores["target"].tolist() == ["u", "v"]
    for row in scores.itertuples():
        error = (frame[row.target] - frame[f"NARXForecaster-{row.target}"]).abs()
        each = error.groupby(frame["unique_id"]).mean()
        first = frame.groupby("unique_id")["cutoff"].min()
        scale = pd.Series(
            {
                i: df[(df["unique_id"] == i) & (df["ds"] <= first[i])][row.target].diff().abs().mean()
                for i in first.index
            }
        )
        np.testing.assert_allclose([row.mae, row.mase], [each.mean(), (each / scale).mean()])
    pooled = result.scores().iloc[0]
    assert scores["mase"].min() < pooled["mase"] < scores["mase"].max()
    np.testing.assert_allclose(pooled["mase"], scores["mase"].mean())
    exposure = result.exposure()
    assert exposure["gap"].iloc[0] == pytest.approx(1.0)
    squares = {}
    for target in "uv":
        truth, yhat = frame[target], frame[f"NARXForecaster-{target}"]
        scale = frame["unique_id"].map(
            {i: df[(df["unique_id"] == i) & (df["ds"] <= first[i])][target].diff().abs().mean() for i in first.index}
        )
        squares[target] = ((truth - yhat) / scale) ** 2
    want = np.sqrt((squares["u"] + squares["v"]).groupby(frame["horizon"]).mean() / 2)
    np.testing.assert_allclose(exposure["rmse_closed"], want)


def test_forecasters_of_two_targets_are_compared_scored_and_tuned_like_any_other():
    df = panel()
    models = {"narx": build(mode="open_loop"), "last": Baseline("naive", target_col=["u", "v"]), "both": KINDS["both"]}
    table = compare(models, df, n_windows=2, season_length=1).scores()
    assert table.set_index("model").loc["narx", "mase"] < table.set_index("model").loc["last", "mase"]
    assert compare_modes(build(), df, ["open_loop", "closed_loop"]).runs["mase"].notna().all()
    model = build(mode="open_loop").fit(df[df["ds"] < 50])
    later = model.predict_at(df, [49], H)
    rows = df[(df["ds"] >= 50) & (df["ds"] < 54)]
    error = (rows[["u", "v"]].to_numpy() - later.iloc[:, 4:].to_numpy()).reshape(3, H, 2)
    scale = np.array([model._naive_scale_[i] for i in ("s0", "s1", "s2")])
    want = (np.abs(error).mean(axis=1) / scale).mean()
    np.testing.assert_allclose(-model.score(df[df["ds"] < 54]), want)


def test_training_on_own_outputs_weighs_each_target_by_its_own_scale():
    df = panel()
    # In units of the series' scale the two are alike, though one is fifty times the other.
    for space in ("model", "level"):
        model = build(model=MLP((4,)), target_transforms=[Standardize()], loss_space=space, mode="closed_loop")
        small = model.clone_unfitted().fit(df).predict()
        large = model.clone_unfitted().fit(df.assign(v=df["v"] * 1000)).predict()
        np.testing.assert_allclose(large["NARXForecaster-v"], 1000 * small["NARXForecaster-v"], rtol=1e-3)
        np.testing.assert_allclose(large["NARXForecaster-u"], small["NARXForecaster-u"], rtol=1e-2, atol=1e-3)


def test_rows_before_every_target_has_begun_are_trimmed():
    df = panel(n_series=1)
    late = df.assign(v=df["v"].where(df["ds"] >= 5))
    got = build(mode="open_loop").fit(late).predict()
    want = build(mode="open_loop").fit(df[df["ds"] >= 5]).predict()
    pd.testing.assert_frame_equal(got, want)


BAD = {
    "missing inside": (lambda df: df.assign(v=df["v"].where(df["ds"] != 20)), FrameError, "'v' between observed"),
    "infinite": (lambda df: df.assign(v=df["v"].where(df["ds"] != 20, np.inf)), FrameError, "infinite.*'v'"),
    "text": (lambda df: df.assign(v="a"), FrameError, "'v'"),
    "no such column": (lambda df: df.drop(columns="v"), FrameError, "'v'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_the_second_target_is_named(case):
    spoil, error, words = BAD[case]
    with pytest.raises(error, match=words):
        build(mode="open_loop").fit(spoil(panel()))


@pytest.mark.parametrize("targets", [["u", "u"], [], 3, {"u", "v"}])
def test_target_col_is_a_name_or_a_list_of_different_names(targets):
    with pytest.raises((ArgumentError, FrameError), match="target_col"):
        build(target_col=targets, mode="open_loop").fit(panel())
