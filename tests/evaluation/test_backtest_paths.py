"""Sample paths in backtests: blind after each cutoff, and their scores by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.test_exposure_report import Minimal
from tests.makers import make_frame, wreck_after
from tsforce import Baseline, Ensemble, NARXForecaster, backtest, compare
from tsforce.errors import ArgumentError
from tsforce.evaluation import drawn
from tsforce.forecasting.error_paths import ErrorPaths
from tsforce.paths import crps, energy_score, path_quantiles, path_values, pit_values, weighted_quantile_loss

H, P = 4, 40
DECILES = np.arange(1, 10) / 10
MODELS = {
    "narx": lambda: NARXForecaster(H, 5, scope="local", mode="open_loop", season_length=7, ridge=1.0),
    "baseline": lambda: Baseline("naive", horizon=H, season_length=7),
    "ensemble": lambda: Ensemble([Baseline(m, horizon=H, season_length=7) for m in ("naive", "drift")]),
    "of fit and predict alone": Minimal,
}


@pytest.mark.parametrize("name", MODELS)
def test_paths_change_by_no_bit_when_everything_after_the_cutoff_is_overwritten(name, monkeypatch):
    seen = []
    monkeypatch.setattr(drawn, "energy_score", lambda y, paths: seen.append(paths) or np.zeros(y.shape[:2]))
    df = make_frame((70, 60))
    for given in (df, wreck_after(df, {"s0": 70 - H, "s1": 60 - H})):
        backtest(MODELS[name](), given, horizon=H, n_paths=9)
    want, got = seen
    assert want.shape == (2, 1, 9, H)
    assert np.isfinite(want).all()
    assert want.std(axis=2).min() > 0
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["narx", "baseline"])
def test_scores_of_paths_are_those_of_paths_drawn_at_each_cutoff(name):
    df = make_frame((90, 70))
    model = MODELS[name]()
    result = backtest(model, df, n_windows=2, n_paths=P)
    rows = df.groupby("unique_id").cumcount(ascending=False)
    fitted = model.clone_unfitted().fit(df[rows >= 2 * H])
    truth = np.stack([df[(rows < cut) & (rows >= cut - H)]["y"].to_numpy().reshape(2, H) for cut in (2 * H, H)], axis=1)
    frames = [fitted.sample_paths(P, history=df[rows >= cut]) for cut in (2 * H, H)]
    paths = np.stack([path_values(frame) for frame in frames], axis=1)
    quantiles = [path_quantiles(frame, DECILES).iloc[:, 3:].to_numpy().reshape(2, H, 9) for frame in frames]
    scale = np.array([np.abs(y[7:] - y[:-7]).mean() for y in (df["y"][:82].to_numpy(), df["y"][90:152].to_numpy())])
    by_step = crps(truth, paths)
    row = result.scores().iloc[0]
    assert row["crps"] == pytest.approx(by_step.mean())
    assert row["crps_plain"] == pytest.approx(crps(truth, paths, "plain").mean())
    assert row["crps_scaled"] == pytest.approx((by_step.mean(axis=(1, 2)) / scale).mean())
    assert row["energy"] == pytest.approx((energy_score(truth, paths).mean(axis=1) / scale).mean())
    loss = weighted_quantile_loss(truth, np.moveaxis(np.stack(quantiles, axis=1), -1, 2), DECILES)
    assert row["wql"] == pytest.approx(loss.mean())
    steps = result.by_horizon()
    assert "energy" not in steps
    np.testing.assert_allclose(steps["crps"], by_step.mean(axis=(0, 1)))
    np.testing.assert_allclose(result.scores(by="unique_id")["crps"], by_step.mean(axis=(1, 2)))
    places = np.sort(result._models[model.name].drawn.pit.ravel())
    np.testing.assert_allclose(places, np.sort(pit_values(truth, paths, random_state=0).ravel()), atol=1 / P)


def test_pinball_of_bounds_is_their_share_of_the_interval_score():
    result = backtest(MODELS["baseline"](), make_frame((90,)), n_windows=3, level=80)
    row = result.scores().iloc[0]
    frame = result.frame
    y, low, high = frame["y"], frame["naive-lo-80"], frame["naive-hi-80"]
    loss = np.maximum(0.1 * (y - low), -0.9 * (y - low)) + np.maximum(0.9 * (y - high), -0.1 * (y - high))
    assert row["pinball-80"] == pytest.approx(loss.mean() / 2)


def test_steps_without_truth_are_not_scored_and_whole_horizons_without_it_have_no_energy():
    # Calendar alignment: the shorter series ends two steps before the last window does.
    df = make_frame((70, 70), freq="D")
    df = df.drop(index=df.index[-2:])
    result = backtest(MODELS["baseline"](), df, align="calendar", n_paths=P)
    detail = result.scores(by="unique_id")
    assert detail["crps"].notna().all()
    assert detail["energy"].isna().tolist() == [False, True]
    assert result.scores()["energy"][0] == detail["energy"][0]
    assert result.pit()["n"].iloc[0] == 2 * H - 2


def test_shares_of_places_are_told_for_each_model_and_models_are_ranked_by_any_score():
    df = make_frame((90, 80))
    models = {"a": MODELS["baseline"](), "b": Baseline("drift", horizon=H, season_length=7)}
    result = compare(models, df, n_windows=3, n_paths=P, level=80)
    table = result.pit(4)
    assert table["model"].tolist() == ["a"] * 4 + ["b"] * 4
    assert table["high"].tolist()[:4] == [0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(table.groupby("model")["share"].sum(), 1.0)
    for metric in ("crps", "wql", "energy", "msis-80", "pinball-80"):
        assert result.ranking(metric)[metric].is_monotonic_increasing
    with pytest.raises(ArgumentError, match="coverage-80"):
        result.ranking("coverage-80")


def test_without_being_asked_for_no_path_is_drawn(monkeypatch):
    monkeypatch.delattr(ErrorPaths, "_paths_at")
    result = backtest(MODELS["baseline"](), make_frame((70,)))
    assert not {"crps", "wql", "energy"} & set(result.scores())
    with pytest.raises(ArgumentError, match=r"backtest\(\.\.\., n_paths=200\)"):
        result.pit()


@pytest.mark.parametrize("n_paths", [1, 0, 2.5, True])
def test_paths_that_cannot_be_told_apart_are_refused(n_paths):
    with pytest.raises(ArgumentError, match=r"n_paths=.*of at least 2"):
        backtest(MODELS["baseline"](), make_frame((70,)), n_paths=n_paths)
