"""Missing values of the target: own outputs stand for them, and they are no one's target."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor

from tests.makers import make_frame
from tests.reference import roll
from tsforce import Baseline, Difference, Ensemble, Log, NARXForecaster, Standardize, backtest, compare
from tsforce.errors import ArgumentError, FrameError
from tsforce.forecasting.base import Forecaster
from tsforce.models import GRU, MLP

H = 5


def build(**settings):
    given = {"horizon": H, "lags": 3, "missing": "own_output", "max_steps": 4, "mode": "open_loop", "ridge": 1.0}
    return NARXForecaster(**(given | settings))


def with_gaps(df, share=0.08, seed=3):
    """The frame with single values and one run per series missing, the first rows and the last one left."""
    rng = np.random.default_rng(seed)
    step = df.groupby("unique_id").cumcount()
    last = df.groupby("unique_id")["y"].transform("size") - 1
    gone = (rng.random(len(df)) < share) | step.between(30, 34)
    return df.assign(y=df["y"].where(~(gone & (step >= 6) & (step < last))))


KINDS = {
    "linear": build(),
    "local": build(scope="local", window_scaling=None),
    "local differences": build(scope="local", target_transforms=[Log(), Difference(1)]),
    "closed": build(mode="closed_loop", scope="local"),
    "mlp": build(model=MLP((4,)), mode="curriculum", window_scaling="last"),
    "gru": build(model=GRU(3), mode="closed_loop", target_transforms=[Standardize()]),
    "trees": build(model=RandomForestRegressor(5, random_state=0), mode="closed_loop", max_steps=1),
    "calendar": build(calendar=["dayofweek"], mode="auto"),
}


def data(kind):
    return with_gaps(make_frame((60, 50, 80), freq="D" if kind == "calendar" else None))


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_at_many_cutoffs_are_those_of_the_loop_whatever_is_missing(kind):
    df = data(kind)
    ends = df.groupby("unique_id")["ds"].max().reset_index(name="cutoff")
    cutoffs = pd.concat([ends.assign(cutoff=df.groupby("unique_id")["ds"].nth(k).to_numpy()) for k in (-12, -9, -8)])
    model = KINDS[kind].clone_unfitted().fit(df)
    got = model.predict_at(df, cutoffs)
    want = Forecaster.predict_at(model, df, cutoffs)
    assert got[model.name].notna().all()
    pd.testing.assert_frame_equal(got, want, rtol=2e-5 if kind in ("mlp", "gru") else 1e-9)
    pd.testing.assert_frame_equal(model.predict(), model.predict(history=df), rtol=2e-5)


def test_a_frame_without_missing_values_is_fitted_as_ever():
    df = make_frame((60, 50, 80))
    for kind in ("linear", "local", "mlp", "trees"):
        got = KINDS[kind].clone_unfitted().fit(df).predict()
        want = KINDS[kind].clone_unfitted().set_params(missing="raise").fit(df).predict()
        pd.testing.assert_frame_equal(got, want, check_exact=True)


def test_a_context_shows_the_models_own_outputs_where_nothing_was_observed():
    df = make_frame((60,))
    model = build(scope="local", window_scaling=None).fit(df)
    weight = model.model_.weight[0, :, 0].tolist()
    bias = float(model.model_.bias[0, 0])
    y = df["y"].to_numpy().copy()
    gone = [20, 40, 41, 42, 44, 57, 58]
    y[gone] = np.nan
    filled = y.copy()
    for t in gone:  # each from the three before it, of which some are outputs themselves
        filled[t] = bias + sum(w * z for w, z in zip(weight, filled[t - 3 : t], strict=True))
    got = model.predict(history=df.assign(y=y))
    np.testing.assert_allclose(got[model.name], roll(weight, bias, filled, H), rtol=1e-10)


def test_one_step_rows_leave_out_missing_targets_and_show_the_start_models_outputs():
    df = with_gaps(make_frame((60,)))
    model = build(scope="local", window_scaling=None).fit(df)
    y, m = df["y"].to_numpy(), model.season_length_

    def solve(filled):
        rows = [t for t in range(3, len(y)) if not np.isnan(y[t])]
        x = np.array([filled[t - 3 : t] for t in rows])
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        target = y[rows] - y[rows].mean()
        weight = np.linalg.solve(z.T @ z + np.eye(3), z.T @ target) / x.std(axis=0)
        return weight, y[rows].mean() - x.mean(axis=0) @ weight

    seasonal = y.copy()
    for t in np.flatnonzero(np.isnan(y)):
        seasonal[t] = seasonal[t - m] if t >= m else seasonal[t - 1]
    weight, bias = solve(seasonal)
    own = y.copy()
    for t in np.flatnonzero(np.isnan(y)):
        own[t] = bias + own[t - 3 : t] @ weight
    weight, bias = solve(own)
    np.testing.assert_allclose(model.model_.weight[0, :, 0], weight, rtol=1e-8)
    np.testing.assert_allclose(model.model_.bias[0, 0], bias, rtol=1e-8)


def test_rows_without_truth_are_scored_for_none():
    df = with_gaps(make_frame((60, 50, 80)))
    df.loc[[55, 105, 185], "y"] = np.nan
    result = backtest(build(), df, n_windows=4, step_size=2, season_length=1)
    assert result.frame["y"].notna().all()
    scores = result.scores().iloc[0]
    assert np.isfinite(scores[["mase", "mae", "rmse"]].astype(float)).all()
    error = (result.frame["y"] - result.frame["NARXForecaster"]).abs()
    np.testing.assert_allclose(scores["mae"], error.groupby(result.frame["unique_id"]).mean().mean())
    assert np.isfinite(result.exposure()[["rmse_closed", "rmse_one_step"]].to_numpy()).all()


def test_blind_to_what_comes_after_the_cutoff_missing_or_not():
    df = data("linear")
    model = build().fit(df)
    ends = df.groupby("unique_id")["ds"].max() - 10
    late = df["ds"] > df["unique_id"].map(ends)
    cutoffs = ends.reset_index(name="cutoff")
    got = model.predict_at(df, cutoffs)
    for value in (1e9, np.nan):
        last = df.groupby("unique_id")["ds"].transform("max") == df["ds"]
        wrecked = df.assign(y=df["y"].where(~late | last, value))
        pd.testing.assert_frame_equal(model.predict_at(wrecked, cutoffs), got, check_exact=True)


def test_gaps_of_one_target_are_filled_from_what_the_other_shows():
    rng = np.random.default_rng(1)
    u = np.sin(np.arange(80) / 3) + 0.05 * rng.normal(size=80)
    v = np.roll(u, 1) * 2 + 5
    df = pd.DataFrame({"ds": np.arange(80), "u": u, "v": v})
    df.loc[40:44, "v"] = np.nan
    model = build(target_col=["u", "v"], lags=1, window_scaling=None, ridge=1e-8).fit(df)
    (panel,) = [model._rolling_.fill(model.read(df))]
    np.testing.assert_allclose(panel.filled[40:45, 1], v[40:45], atol=0.3)
    assert np.isnan(panel.values[40:45, 1]).all()


def test_only_a_forecaster_that_is_told_so_takes_missing_values():
    df = with_gaps(make_frame((60, 50)))
    with pytest.raises(FrameError, match="between observed ones"):
        build(missing="raise").fit(df)
    with pytest.raises(ArgumentError, match="own_output"):
        build(missing="drop").fit(df)
    with pytest.raises(FrameError, match="which this last cannot read"):
        compare([build(), build(missing="raise", alias="last")], df)
    with pytest.raises(FrameError, match="between observed ones"):
        Baseline("naive").fit(df)
    assert np.isfinite(compare({"narx": build(), "last": Baseline("naive")}, df, horizon=H).scores()["mae"]).all()
    both = Ensemble([build(), build(lags=5)]).fit(df).predict()
    assert both["Ensemble"].notna().all()
    late = df.copy()
    late.loc[late.groupby("unique_id").tail(1).index, "y"] = np.nan
    with pytest.raises(FrameError, match="after the last observed one"):
        build().fit(late)


def test_the_score_on_later_rows_leaves_missing_ones_out():
    df = make_frame((70,))
    model = build(window_scaling=None, season_length=1).fit(df[df["ds"] <= 60])
    later = df.assign(y=df["y"].where(~df["ds"].isin([62, 64])))
    yhat = np.concatenate([model.predict_at(later, [60])[model.name], model.predict_at(later, [65])[model.name]])
    truth = later["y"].to_numpy()[60:]
    scale = np.abs(np.diff(df["y"].to_numpy()[:60])).mean()
    np.testing.assert_allclose(-model.score(later), np.nanmean(np.abs(truth - yhat)) / scale)


@pytest.mark.parametrize(("kept", "said"), [(5, True), (3, True), (2, False)])
def test_a_target_seen_at_few_rows_only_is_fitted_with_a_warning(kept, said):
    df = make_frame((60, 50))
    step = df.groupby("unique_id").cumcount()
    last = df.groupby("unique_id")["y"].transform("size") - 1
    df["y"] = df["y"].where((step % kept == 0) | (step < 6) | (step == last))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build().fit(df)
    share = f"{100 * df['y'].isna().mean():.0f} % of the values of 'y' are missing"
    assert [share in str(w.message) for w in caught] == [True] * said
