"""What "auto" stands for in NARXForecaster: settings that look at the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from tests.makers import make_frame
from tsforce import Difference, NARXForecaster
from tsforce.training.solvers.priors import Prior


def fitted(lengths, horizon=6, season_length=1, **settings):
    model = NARXForecaster(horizon, season_length=season_length, mode="open_loop", **settings)
    return model.fit(make_frame(lengths, freq="D"))


@pytest.mark.parametrize(
    ("lengths", "horizon", "season", "want"),
    [
        ((7, 9, 12), 6, 1, range(1, 4)),  # as many rows to learn from as lags, of the shortest
        ((40, 60, 80), 3, 1, range(1, 13)),  # four horizons
        ((60, 60, 200), 40, 1, range(1, 16)),  # a quarter of the median
        ((40, 60, 80), 3, 12, range(1, 14)),  # a season and one
        ((40, 60, 80), 1, 7, range(1, 9)),
        ((13, 60, 80), 1, 12, range(1, 5)),  # the shortest does not bear the season
        ((14, 60, 80), 1, 12, range(1, 14)),
        ((300, 300, 300), 1, 120, (1, 2, 3, 4, 120, 121)),  # both sides of the end of a long season
    ],
)
def test_lags_per_series_are_what_rows_bear_and_the_season_asks_for(lengths, horizon, season, want):
    assert fitted(lengths, horizon, season).lags_ == tuple(want)


def test_differences_cost_rows_that_lags_could_have_had():
    kept = fitted((30, 30), target_transforms=[Difference(1)], scope="local", short_series="raise")
    assert kept.lags_ == tuple(range(1, 8))
    assert fitted((11, 30), target_transforms=[Difference(2)], scope="local").lags_ == tuple(range(1, 5))


def test_plain_linear_maps_are_one_per_series_and_shrunk_to_smoothing():
    model = fitted((30, 40))
    assert (model.scope_, model.prior_) == ("local", "auto")
    assert len(model.model_.weight) == 2


@pytest.mark.parametrize("settings", [{"model": "mlp", "max_steps": 1}, {"model": "polynomial"}, {"scope": "global"}])
def test_other_models_and_a_scope_that_is_asked_for_are_one_model_for_all(settings):
    model = fitted((30, 40), **settings)
    assert (model.scope_, model.prior_) == ("global", "zero")
    assert model.window_scaling_ == "last"


@pytest.mark.parametrize(
    ("settings", "positive", "want"),
    [
        ({"model": "mlp", "max_steps": 1}, True, "Log()"),
        ({"model": LinearRegression()}, True, "Log()"),
        ({"model": LinearRegression()}, False, "MeanScale()"),
        ({"scope": "global"}, True, "MeanScale()"),
        ({"model": "polynomial"}, True, ""),
        ({}, True, ""),
    ],
)
def test_one_model_for_all_has_a_scale_that_series_share(settings, positive, want):
    df = make_frame((40, 50), freq="D")
    df = df if positive else df.assign(y=df["y"] - df["y"].mean())
    model = NARXForecaster(4, mode="open_loop", **settings).fit(df)
    assert " ".join(map(repr, model.target_transforms_)) == want


def test_lags_that_are_given_leave_the_rest_to_the_data():
    model = fitted((30, 40), lags=3)
    assert (model.scope_, model.prior_, model.lags_) == ("local", "auto", (1, 2, 3))
    assert fitted((30, 2), lags=3).scope_ == "global"


@pytest.mark.parametrize("settings", [{"ridge": 1.0}, {"prior": "zero"}, {"target_transforms": [Difference(1)]}])
def test_a_penalty_a_prior_or_differences_that_are_given_leave_the_prior_alone(settings):
    model = fitted((30, 40), **settings)
    assert (model.scope_, model.prior_) == ("local", "zero")


def test_a_static_column_or_a_single_row_takes_one_model_for_all():
    df = make_frame((30, 40), freq="D")
    with_static = df.assign(size=df["unique_id"].map({u: float(i) for i, u in enumerate(df["unique_id"].unique())}))
    model = NARXForecaster(3, static=["size"], mode="open_loop").fit(with_static)
    assert model.scope_ == "global"
    single = pd.concat([df, df.head(1).assign(unique_id="one row")], ignore_index=True)
    assert NARXForecaster(3, mode="open_loop").fit(single).scope_ == "global"


def test_own_outputs_are_not_tried_where_the_penalty_to_smoothing_is_chosen_closed_loop():
    df = make_frame((40, 50), freq="D")
    opened, automatic = (NARXForecaster(4, mode=mode).fit(df) for mode in ("open_loop", "auto"))
    assert automatic.mode_ == "auto"
    assert set(automatic.kept_mode_.values()) == {"open_loop"}
    pd.testing.assert_frame_equal(opened.predict(), automatic.predict())


@pytest.mark.parametrize("rows", [7, 30, 120])
def test_a_line_goes_on(rows):
    line = 50.0 + 3.0 * np.arange(rows + 6)
    df = pd.DataFrame({"ds": pd.date_range("2000-01-01", periods=rows, freq="D"), "y": line[:rows]})
    yhat = NARXForecaster(6, season_length=1).fit(df).predict()["NARXForecaster"]
    np.testing.assert_allclose(yhat, line[rows:], rtol=1e-6)


def test_a_constant_stays():
    df = pd.DataFrame({"ds": np.arange(40), "y": np.full(40, 7.0)})
    np.testing.assert_allclose(NARXForecaster(6).fit(df).predict()["NARXForecaster"], 7.0, rtol=1e-9)


def test_each_series_has_the_smoothing_that_goes_with_it():
    # One with a season and hardly any noise, one that walks: only the first is shrunk to the airline model.
    rng, t = np.random.default_rng(0), np.arange(120)
    seasonal = 100 + 20 * rng.normal(size=12)[t % 12] + 0.5 * rng.normal(size=120)
    y = {"season": seasonal, "walk": 100 + rng.normal(size=120).cumsum()}
    df = pd.concat([pd.DataFrame({"unique_id": u, "ds": t, "y": v}) for u, v in y.items()], ignore_index=True)
    model = NARXForecaster(12, lags="auto", season_length=12, mode="open_loop").fit(df)
    yhat = model.predict().set_index("unique_id")["NARXForecaster"]
    truth = 100 + 20 * np.random.default_rng(0).normal(size=12)[np.arange(120, 132) % 12]
    assert np.abs(yhat["season"].to_numpy() - truth).mean() < 1.0
    assert yhat["walk"].max() - yhat["walk"].min() < 3.0


def test_an_unclear_drift_is_held():
    # t = mean / standard error is about 0.5 and 30: the intercept's penalty is (2.5 / t^2)^1.5 shares of the rows.
    prior = Prior.of("auto", _layout(), 1, (), None, None)
    for drift, least, most in [(0.05, 4.0, np.inf), (3.0, 0.0, 1e-3)]:
        held = prior.anchor(_moments(_walk(drift, seed=1))).held
        assert least <= float(held[0]) <= most


def test_series_that_drift_together_hold_a_drift_less_than_series_that_walk():
    prior = Prior.of("auto", _layout(), 1, (), None, None)
    unclear = _moments(_walk(0.2, seed=3))
    held = {
        drift: float(prior.learnt(_moments(_walk(drift, seed=10 + i)) for i in range(9)).anchor(unclear).held[0])
        for drift in (0.0, 1.0)
    }
    # Nine clear ones count 4, and 3 unseen 1.5: 2.5 * 3.375 / 2.375 in place of 2.5.
    alone = float(prior.anchor(unclear).held[0])
    assert held[1.0] == pytest.approx(alone * (3.375 / 2.375) ** 1.5, rel=1e-6)
    assert held[0.0] > 3 * held[1.0]


@pytest.mark.parametrize("n_series", [1, 4])
def test_without_a_validation_window_a_map_stays_near_smoothing(n_series):
    # Noise around a level that has moved: rows of before pull a map of its own back to the old level.
    rng = np.random.default_rng(4)
    parts = [
        pd.DataFrame(
            {"unique_id": f"s{i}", "ds": np.arange(19), "y": 100 + 9 * (np.arange(19) > 11) + rng.normal(size=19)}
        )
        for i in range(n_series)
    ]
    df = pd.concat(parts, ignore_index=True)
    model = NARXForecaster(8, season_length=4).fit(df)
    assert (model.ridge_["n_windows"] == 0).all()
    assert np.abs(model.predict()["NARXForecaster"] - 109).max() < 3


def _walk(drift, seed, rows=100):
    return 100 + (drift + np.random.default_rng(seed).normal(size=rows)).cumsum()


def _layout():
    from tsforce.dynamics.lags import LagLayout

    return LagLayout((1, 2), ("y",))


def _moments(y):
    import torch

    from tsforce.training.solvers.gram import Gram

    x, target = np.stack([y[:-2], y[1:-1]], axis=1) - y.mean(), y[2:, None] - y.mean()
    sums = [x.T @ x, x.T @ target, (target**2).sum(axis=0), x.sum(axis=0), target.sum(axis=0)]
    origin = [np.full(2, y.mean()), np.full(1, y.mean())]
    return Gram(*(torch.from_numpy(part[None]) for part in [*sums, *origin]), torch.tensor([float(len(x))]))
