"""Inputs beside the target: what a model reads of them, when, and what it must not see."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

from tests.makers import as_it_stands, grouped, make_frame
from tsforce import Baseline, Difference, Ensemble, Forecaster, Log, NARXForecaster, backtest, compare
from tsforce.data.calendar import CALENDAR, calendar_columns, calendar_values
from tsforce.dynamics.forcing import ClosedLoop, Curriculum, Moment, OpenLoop
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.parallel import parallel_rollout
from tsforce.dynamics.rollout import rollout
from tsforce.errors import (
    ArgumentError,
    FrameError,
    FutureExogError,
    UnknownCategoryWarning,
    UnusedColumnWarning,
)
from tsforce.forecasting.arguments import resolve_exog_lags

# Frames here carry columns that some of the models do not read.
pytestmark = pytest.mark.filterwarnings("ignore::tsforce.errors.UnusedColumnWarning")

H = 4
MODES = ["open_loop", "closed_loop", "curriculum", "auto"]
EVERYTHING = {
    "past_exog": ["traffic"],
    "future_exog": ["price", "promo"],
    "static": ["size", "town"],
    "calendar": ["dayofweek", "dayofyear"],
    "exog_lags": {"traffic": [1, 3], "price": [0, 2]},
}
LOCAL = {name: value for name, value in EVERYTHING.items() if name != "static"}


def frame(lengths=(70, 55, 80), seed=0):
    df = make_frame(lengths, freq="D", seed=seed)
    rng = np.random.default_rng(seed + 100)
    df["price"] = rng.normal(size=len(df)) + 5
    df["promo"] = rng.random(len(df)) < 0.2
    df["traffic"] = rng.normal(size=len(df)) * 100
    df["y"] = df["y"] - 3 * df["price"] + 6 * df["promo"]
    df["size"] = df["unique_id"].map({"s0": 1, "s1": 5, "s2": 2})
    df["town"] = df["unique_id"].map({"s0": "Ulm", "s1": "Bonn", "s2": "Ulm"})
    return df


def after(df, steps=H, seed=7):
    """Future rows of every series, inputs only."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, part in df.groupby("unique_id", sort=False):
        stamps = pd.date_range(part["ds"].max(), periods=steps + 1, freq="D")[1:]
        values = {"price": rng.normal(size=steps) + 5, "promo": rng.random(steps) < 0.5}
        parts.append(pd.DataFrame({"unique_id": name, "ds": stamps, **values}))
    return pd.concat(parts, ignore_index=True)


def build(**settings):
    return NARXForecaster(
        **grouped(
            {"horizon": H, "lags": [1, 2, 7], "max_steps": 10, "batch_size": 8, "season_length": 7}
            | as_it_stands(**settings)
        )
    )


def is_of(column, step):
    """Whether a step belongs to the group of steps that a column is named after: step_1, steps_2_to_3, steps_from_4."""
    numbers = [int(word) for word in column.split("_") if word.isdigit()]
    return numbers[0] <= step and ("from" in column or step <= numbers[-1])


def by_hand(model, df, future, name):
    """Closed-loop forecasts of one series from the names of the lag vector's columns: a slow, independent twin."""
    own = df[df["unique_id"] == name].reset_index(drop=True)
    rows = pd.concat([own, future[future["unique_id"] == name]], ignore_index=True)
    n = len(own)
    scope = df if model.scope == "global" else own
    scaled = {}
    for column in (*model.past_exog, *model.future_exog):
        values = scope[column].astype(float)
        scaled[column] = (rows[column].astype(float).to_numpy() - values.mean()) / values.std(ddof=0)
    sizes = df.groupby("unique_id", sort=False)["size"].first()
    numbers = {"size": (own["size"].iloc[0] - sizes.mean()) / sizes.std(ddof=0)}
    numbers |= {f"town_{t}": float(own["town"].iloc[0] == t) for t in ("Bonn", "Ulm")}
    y = own["y"].tolist()
    scale = np.mean(np.abs(y[-model.context_length_ :])) if model.window_scaling_ == "mean_abs" else 1.0
    fed = [v / scale for v in y]
    group = 0 if model.scope == "global" else list(df["unique_id"].unique()).index(name)
    steps = [column for column in model.model_.layout.columns if column.startswith("step")]
    weights, biases = model.model_.weight[group].numpy(), model.model_.bias[group].numpy()
    out = []
    for h in range(H):
        t = n + h
        stamp = rows["ds"].iloc[t]
        x = []
        for column in model.model_.layout.columns:
            base, _, last = column.rpartition("_")
            if column.startswith("y_lag"):
                x.append(fed[t - int(column[5:])])
            elif last.startswith("lag"):
                row = t - int(last[3:])
                x.append(scaled[base][min(row, n - 1) if base in model.past_exog else row])
            elif column in numbers:
                x.append(numbers[column])
            elif column in steps:
                x.append(float(is_of(column, h + 1)))
            elif base == "dayofweek":
                x.append(float(stamp.day_of_week == int(last)))
            else:
                angle = 2 * np.pi * int(last[3:]) * (stamp.day_of_year - 1) / 365.25
                x.append(np.sin(angle) if last.startswith("sin") else np.cos(angle))
        own = [is_of(column, h + 1) for column in steps].index(True) if steps else 0
        fed.append(float(biases[own] + weights[:, own] @ np.array(x)))
        out.append(fed[-1] * scale)
    return np.array(out)


@pytest.mark.parametrize(
    ("scope", "mode"), [("global", "open_loop"), ("global", "closed_loop"), ("local", "open_loop")]
)
def test_forecasts_equal_a_loop_over_the_names_of_the_columns(scope, mode):
    df = frame()
    future = after(df)
    # Local open loop only: a gradient fit puts a scale of its own behind the transforms.
    settings = (EVERYTHING if scope == "global" else LOCAL) | {"scope": scope, "mode": mode}
    model = build(**settings).fit(df)
    fc = model.predict(future_df=future)
    for name in df["unique_id"].unique():
        mine = fc.loc[fc["unique_id"] == name, "NARXForecaster"].to_numpy()
        np.testing.assert_allclose(mine, by_hand(model, df, future, name), rtol=1e-9)


def test_a_linear_system_with_inputs_is_found_and_simulated_exactly():
    rng = np.random.default_rng(3)
    u = rng.normal(size=120)
    y = np.zeros(120)
    for t in range(2, 120):
        y[t] = 0.6 * y[t - 1] + 2 * u[t] - u[t - 2] + 1
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(120), "y": y, "u": u})
    model = NARXForecaster(20, [1], scope="local", future_exog=["u"], exog_lags=2, ridge=0, mode="open_loop")
    fc = model.fit(df.iloc[2:100]).predict(future_df=df.iloc[100:].drop(columns="y"))
    np.testing.assert_allclose(fc["NARXForecaster"], y[100:], rtol=1e-6)


@pytest.mark.parametrize("scope", ["global", "local"])
def test_least_squares_with_past_inputs_uses_the_rows_of_the_steps_that_know_as_much(scope):
    """A lag that lies after the cutoff reads the last value observed: so the rows are (cutoff, step) pairs."""
    df = frame((40, 33))[["unique_id", "ds", "y", "traffic"]]
    settings = {
        "past_exog": ["traffic"],
        "exog_lags": [1, 3],
        "window_scaling": None,
        "ridge": 5.0,
        "mode": "open_loop",
    }
    model = build(lags=[1, 2], scope=scope, **settings).fit(df)
    groups = [df] if scope == "global" else [part for _, part in df.groupby("unique_id", sort=False)]
    for g, group in enumerate(groups):
        values = group["traffic"]
        # Lags 1 and 3: at step 1 both are known, at steps 2 and 3 the longer one is, then none.
        x, target, known = [], [], []
        for _, part in group.groupby("unique_id", sort=False):
            y, u = part["y"].to_numpy(), ((part["traffic"] - values.mean()) / values.std(ddof=0)).to_numpy()
            for cutoff in range(2, len(y) - 1):
                for h in range(1, H + 1):
                    t = cutoff + h
                    if t < len(y):
                        x.append([y[t - 2], y[t - 1], u[min(t - 3, cutoff)], u[min(t - 1, cutoff)]])
                        target.append(y[t])
                        known.append((h <= 1, 1 < h <= 3, h > 3))
        x_all, target_all, known = np.array(x), np.array(target), np.array(known)
        for number, share in enumerate((1 / H, 2 / H, (H - 3) / H)):
            x, target = x_all[known[:, number]], target_all[known[:, number]]
            z = (x - x.mean(axis=0)) / x.std(axis=0)
            gram = z.T @ z + 5.0 * share * np.eye(4)
            weight = np.linalg.solve(gram, z.T @ (target - target.mean())) / x.std(axis=0)
            np.testing.assert_allclose(model.model_.weight[g, :4, number], weight, rtol=1e-7, atol=1e-10)
            bias = target.mean() - x.mean(axis=0) @ weight
            np.testing.assert_allclose(model.model_.bias[g, number], bias, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("mode", MODES)
def test_nothing_after_the_cutoff_is_seen_but_future_inputs_of_the_horizon(kind, mode):
    df = frame()
    cut = df.groupby("unique_id")["ds"].max() - pd.Timedelta(days=12)
    stamps = cut.rename("cutoff").reset_index()
    model = build(model=kind, **EVERYTHING, target_transforms=[Log(), Difference(7)])
    model.fit(df[df["ds"] <= df["unique_id"].map(cut)], mode=mode)
    before = model.predict_at(df, stamps)
    wrecked = df.copy()
    late = df["ds"] > df["unique_id"].map(cut)
    beyond = df["ds"] > df["unique_id"].map(cut) + pd.Timedelta(days=H)
    wrecked.loc[late, ["y", "traffic"]] = 1e6
    wrecked.loc[beyond, "price"] = -1e6
    pd.testing.assert_frame_equal(model.predict_at(wrecked, stamps), before, check_exact=True)
    moved = df.assign(price=df["price"].where(~late, df["price"] + 1))
    assert (model.predict_at(moved, stamps)["NARXForecaster"] != before["NARXForecaster"]).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_fit_does_not_see_rows_that_are_not_there_in_any_mode(mode):
    """Refitting on a frame cut at the cutoff equals fitting on rows whose later inputs are wrecked and cut."""
    df = frame((60, 60))
    short = df.groupby("unique_id").head(50)
    one = build(**EVERYTHING).fit(short, mode=mode).predict(future_df=df)
    again = build(**EVERYTHING).fit(short.copy(), mode=mode).predict(future_df=df.assign(y=0.0, traffic=0.0))
    pd.testing.assert_frame_equal(one, again, check_exact=True)


@pytest.mark.parametrize("scope", ["global", "local"])
def test_many_cutoffs_at_once_equal_a_loop_over_predict(scope):
    df = frame()
    settings = EVERYTHING if scope == "global" else LOCAL
    if scope == "local":
        df = df.drop(columns=["size", "town"])
    model = build(scope=scope, **settings).fit(df)
    end = df["ds"].max()
    cutoffs = [end - pd.Timedelta(days=d) for d in (0, 2, 3, 9, 20)]
    fast = model.predict_at(df, cutoffs)
    slow = Forecaster.predict_at(model, df, cutoffs)
    pd.testing.assert_frame_equal(fast, slow, rtol=1e-9)
    last = fast[fast["cutoff"] == end]["NARXForecaster"]
    assert last.isna().all()
    some = fast[fast["cutoff"] == end - pd.Timedelta(days=2)].groupby("horizon")["NARXForecaster"].count()
    assert some.tolist() == [3, 3, 0, 0]
    assert fast.attrs["clipped_windows"] == 0


@pytest.mark.parametrize("kind", [Ridge(), HistGradientBoostingRegressor(max_iter=5)], ids=["ridge", "trees"])
def test_a_regressor_too_knows_nothing_after_the_last_input(kind):
    df = frame()
    model = build(model=kind, **EVERYTHING, mode="open_loop").fit(df)
    stamps = [df["ds"].max() - pd.Timedelta(days=2)]
    fast = model.predict_at(df, stamps)
    pd.testing.assert_frame_equal(fast, Forecaster.predict_at(model, df, stamps), rtol=1e-9)
    assert fast.groupby("horizon")["NARXForecaster"].count().tolist() == [3, 3, 0, 0]
    assert np.isfinite(backtest(model, df, cutoffs=stamps, refit="never").scores()["mae"]).all()


def test_a_column_may_be_known_ahead_to_one_model_and_not_to_another():
    df = frame()
    result = compare({"ahead": build(future_exog="price"), "not": build(past_exog="price")}, df, n_windows=4)
    mae = result.scores().set_index("model")["mae"]
    assert mae["ahead"] != mae["not"]
    alone = backtest(build(past_exog="price"), df, n_windows=4).scores()["mae"].iloc[0]
    assert mae["not"] == pytest.approx(alone, rel=1e-12)


def test_an_ensemble_knows_a_step_only_where_all_members_do():
    df = frame()
    both = Ensemble([build(future_exog="price"), build(future_exog="price", lags=3)]).fit(df)
    last = [df["ds"].max()]
    assert both.predict_at(df, last)["Ensemble"].isna().all()
    mixed = Ensemble([build(future_exog="price"), build()]).fit(df)
    steps = mixed.predict_at(df, [df["ds"].max() - pd.Timedelta(days=2)]).groupby("horizon")["Ensemble"].count()
    assert steps.tolist() == [3, 3, 0, 0]


def test_what_a_fitted_model_reads_does_not_change_with_its_parameters():
    df = frame()
    model = build(future_exog="price").fit(df)
    before = model.predict(future_df=after(df))
    model.set_params(future_exog=())
    pd.testing.assert_frame_equal(model.predict(future_df=after(df)), before, check_exact=True)
    assert np.isfinite(model.predict_at(df, [df["ds"].max() - pd.Timedelta(days=9)])["NARXForecaster"]).all()


def test_a_calendar_needs_no_frame_of_the_future():
    df = frame()[["unique_id", "ds", "y"]]
    model = build(calendar="dayofweek").fit(df)
    at = model.predict_at(df, [df["ds"].max()])
    np.testing.assert_array_equal(model.predict()["NARXForecaster"], at["NARXForecaster"])
    assert np.isfinite(at["NARXForecaster"]).all()


def test_scenarios_at_once_equal_each_alone():
    df = frame()
    model = build(**EVERYTHING).fit(df)
    cheap, dear = after(df).assign(price=1.0), after(df).assign(price=9.0)
    both = model.predict(future_df={"cheap": cheap, "dear": dear})
    assert both.columns.tolist() == ["scenario", "unique_id", "ds", "horizon", "NARXForecaster"]
    for name, given in (("cheap", cheap), ("dear", dear)):
        own = both[both["scenario"] == name].drop(columns="scenario").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, model.predict(future_df=given), rtol=1e-12)
    assert (both["NARXForecaster"].to_numpy()[: 3 * H] != both["NARXForecaster"].to_numpy()[3 * H :]).all()
    with pytest.raises(ArgumentError, match="at least one scenario"):
        model.predict(future_df={})


@pytest.mark.parametrize("none", [0, []])
@pytest.mark.parametrize("scope", ["global", "local"])
def test_without_lags_a_forecast_is_the_regression_on_inputs(none, scope):
    df, future = frame(), after(frame())
    settings = {"scope": scope, "window_scaling": None, "ridge": 0.0, "mode": "open_loop"}
    model = NARXForecaster(H, lags=none, future_exog=["price", "promo"], **grouped(settings)).fit(df)
    assert model.lags_ == ()
    got = model.predict(future_df=future[["unique_id", "ds", "price", "promo"]])["NARXForecaster"]
    columns, want = ["price", "promo"], []
    for name in df["unique_id"].unique():
        # The first row is a context: a roll-out has a cutoff.
        own = [df[df["unique_id"] == n].iloc[1:] for n in (df["unique_id"].unique() if scope == "global" else [name])]
        rows = pd.concat(own)
        by_hand = Ridge(0.0).fit(rows[columns].astype(float), rows["y"])
        want.append(by_hand.predict(future[future["unique_id"] == name][columns].astype(float)))
    np.testing.assert_allclose(got, np.concatenate(want), rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["open_loop", "closed_loop", "auto"])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("unit", [1.0, 1e5])
def test_without_lags_a_pooled_model_needs_no_window_to_be_scaled_by(mode, kind, unit):
    df, future = frame(), after(frame())
    df["y"], truth = ((10 * rows["promo"] - 3 * rows["price"] + 20) * unit for rows in (df, future))
    settings = {"model": kind, "mode": mode, "max_steps": 10, "random_state": 0}
    model = NARXForecaster(H, lags=0, future_exog=["price", "promo"], **grouped(settings)).fit(df)
    assert model.window_scaling_ is None
    got = model.predict(future_df=future[["unique_id", "ds", "price", "promo"]])["NARXForecaster"]
    assert np.abs(got - truth).max() < 0.1 * unit


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "polynomial", "mlp", Ridge()])
@pytest.mark.parametrize("mode", ["open_loop", "closed_loop"])
def test_every_kind_forecasts_without_lags(kind, mode):
    df = frame()
    model = NARXForecaster(H, lags=0, model=kind, mode=mode, max_steps=2, **EVERYTHING).fit(df)
    found = model.predict(future_df=after(df)[["unique_id", "ds", "price", "promo"]])
    assert np.isfinite(found["NARXForecaster"]).all()
    assert len(backtest(model, df, n_windows=2).frame) == 3 * 2 * H


def test_without_lags_and_inputs_there_is_nothing_to_read():
    with pytest.raises(ArgumentError, match=r"lags=0 reads nothing .* expected lags of at least 1, or inputs"):
        NARXForecaster(H, lags=0).fit(frame())


def test_the_order_of_future_rows_and_columns_beside_them_do_not_matter():
    df = frame()
    model = build(**EVERYTHING).fit(df)
    future = after(df, steps=H + 3)
    shuffled = future.sample(frac=1, random_state=0).assign(note="?", y=np.nan)
    wanted = model.predict(future_df=future)
    pd.testing.assert_frame_equal(model.predict(future_df=shuffled[shuffled.columns[::-1]]), wanted, check_exact=True)
    whole = pd.concat([df, future], ignore_index=True)
    pd.testing.assert_frame_equal(model.predict(future_df=whole), wanted, check_exact=True)


def test_local_models_with_inputs_are_independent():
    df = frame()[["unique_id", "ds", "y", "price", "promo", "traffic"]]
    together = build(scope="local", mode="closed_loop", **LOCAL).fit(df).predict(future_df=after(df))
    for name in ("s0", "s1", "s2"):
        own = df[df["unique_id"] == name]
        alone = build(scope="local", mode="closed_loop", **LOCAL).fit(own).predict(future_df=after(df))
        mine = together[together["unique_id"] == name]["NARXForecaster"]
        np.testing.assert_allclose(mine, alone["NARXForecaster"], rtol=1e-9)


def test_inputs_lower_the_error_where_they_matter():
    df = frame((150, 150), seed=2)
    settings = {"lags": 14, "ridge": 1.0, "window_scaling": "last", "mode": "open_loop"}
    plain = build(**settings)
    own = build(**settings, future_exog=["price", "promo"], alias="with inputs")
    scores = compare([own, plain], df, n_windows=6).scores().set_index("model")
    assert scores.loc["with inputs", "mae"] < 0.8 * scores.loc["NARXForecaster", "mae"]


def test_an_ensemble_of_members_with_different_inputs_is_their_median():
    df = frame()
    members = {
        "price": build(future_exog=["price"]),
        "traffic": build(past_exog=["traffic"], static=["town"]),
        "none": build(),
    }
    both = Ensemble(members).fit(df)
    fc = both.predict(future_df=after(df))
    alone = [
        m.fit(df).predict(**({"future_df": after(df)} if m.future_exog else {}))["NARXForecaster"]
        for m in members.values()
    ]
    np.testing.assert_allclose(fc["Ensemble"], np.median(alone, axis=0), rtol=1e-12)
    pd.testing.assert_frame_equal(both.predict(future_df=after(df), history=df), fc, rtol=1e-12)
    cutoffs = [df["ds"].max() - pd.Timedelta(days=10)]
    pd.testing.assert_frame_equal(both.predict_at(df, cutoffs), Forecaster.predict_at(both, df, cutoffs), rtol=1e-9)
    assert set(both.predict(future_df={"a": after(df)})["scenario"]) == {"a"}


def test_baselines_stand_beside_models_with_inputs_and_nothing_warns_of_their_columns():
    df = frame()[["unique_id", "ds", "y", "price"]]
    result = compare([build(future_exog="price"), Baseline("naive")], df, horizon=H, n_windows=2)
    assert result.scores()["model"].tolist() == ["NARXForecaster", "naive"]
    assert result.exposure()["rmse_closed"].notna().all()
    assert len(backtest(build(future_exog="price"), df, n_windows=2, refit=True).frame) == 3 * 2 * H


def test_an_unseen_series_is_forecast_with_its_inputs():
    df = frame()
    model = build(**EVERYTHING).fit(df[df["unique_id"] != "s2"])
    new = df[df["unique_id"] == "s2"]
    fc = model.predict(history=new, future_df=after(df))
    assert np.isfinite(fc["NARXForecaster"]).all()
    stamps = [new["ds"].iloc[-10]]
    fast = model.predict_at(new, stamps)
    pd.testing.assert_frame_equal(fast, Forecaster.predict_at(model, new, stamps), rtol=1e-9)


def test_an_unknown_category_is_none_of_the_known_ones_and_says_so():
    df = frame()
    model = build(static="town").fit(df[["unique_id", "ds", "y", "town"]])
    history = df[["unique_id", "ds", "y"]].assign(town="Kiel")
    with pytest.warns(UnknownCategoryWarning, match="'town' holds 'Kiel'"):
        model.predict(history=history)
    assert model.model_.layout.columns[-2:] == ("town_Bonn", "town_Ulm")


def test_a_model_with_inputs_pickles():
    df = frame()
    model = build(**EVERYTHING).fit(df)
    back = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(
        back.predict(future_df=after(df)), model.predict(future_df=after(df)), check_exact=True
    )


@pytest.mark.parametrize("forcing", [OpenLoop(), ClosedLoop(), Curriculum()])
def test_parallel_passes_with_inputs_equal_the_loop(forcing):
    generator = torch.Generator().manual_seed(0)

    def draw(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    layout = LagLayout((1, 3), past_exog=(("p", (1, 2)),), future_exog=(("f", (0, 3)),), static=("s",), calendar=("c",))
    model = Linear(layout, 0.3 * draw(2, 8, 1), draw(2, 1))
    inputs = draw(2, 5, 4, 1), draw(2, 5, 10, 1), draw(2, 5, 1), draw(2, 5, 10, 1)
    past, future = draw(2, 5, 4, 1), draw(2, 5, 6, 1)
    moment = Moment(3, 10, 0, torch.tensor([1, 2]))
    one, _ = rollout(model, past, 6, forcing, future=future, moment=moment, inputs=inputs)
    two, _ = parallel_rollout(model, past, 6, forcing, future=future, moment=moment, inputs=inputs)
    assert torch.equal(one, two)


# ---- the calendar


def test_every_calendar_feature_says_what_pandas_says():
    stamps = pd.date_range("2023-12-28 22:30", periods=60, freq="7h", tz="Europe/Berlin")
    values = pd.DataFrame(calendar_values(stamps, CALENDAR), columns=calendar_columns(CALENDAR))
    for name in ("hour", "dayofweek", "month", "quarter"):
        block = values.filter(regex=f"^{name}_")
        assert [int(c.rpartition("_")[2]) for c in block.idxmax(axis=1)] == getattr(
            stamps, {"dayofweek": "day_of_week"}.get(name, name)
        ).tolist()
        assert (block.sum(axis=1) == 1).all()
    assert (
        values.filter(regex="^hourofweek_").to_numpy().argmax(axis=1) == stamps.day_of_week * 24 + stamps.hour
    ).all()
    assert values["weekend"].tolist() == (stamps.day_of_week >= 5).tolist()
    assert values["monthend"].tolist() == stamps.is_month_end.tolist()
    day = (stamps.hour * 60 + stamps.minute) / 1440
    np.testing.assert_allclose(values["timeofday_sin1"], np.sin(2 * np.pi * day), atol=1e-12)
    np.testing.assert_allclose(values["timeofday_cos3"], np.cos(6 * np.pi * day), atol=1e-12)
    assert values.notna().all().all()


def test_the_calendar_goes_by_the_wall_clock_through_a_change_of_the_clock():
    stamps = pd.date_range("2024-03-30 12:00", periods=30, freq="h", tz="Europe/Berlin")
    hours = calendar_values(stamps, ("hour",)).argmax(axis=1)
    assert 2 not in hours[12:16]
    assert hours[-1] == stamps[-1].hour


# ---- what is not accepted


@pytest.mark.parametrize(
    ("given", "past", "future"),
    [
        (None, (1,), (0,)),
        (2, (1, 2), (0, 1, 2)),
        ([3, 1], (1, 3), (1, 3)),
        ({"f": [0, 24]}, (1,), (0, 24)),
        ({"p": 2, "f": 0}, (1, 2), (0,)),
    ],
)
def test_exog_lags_mean(given, past, future):
    assert resolve_exog_lags(given, ("p",), ("f",)) == ((("p", past),), (("f", future),))


BAD = [
    ({"exog_lags": 0, "past_exog": ["traffic"]}, ArgumentError, "exog_lags=0 for past_exog 'traffic'.*1..L"),
    ({"exog_lags": [0], "past_exog": ["traffic"]}, ArgumentError, "not known at the step itself"),
    ({"exog_lags": [-1], "future_exog": ["price"]}, ArgumentError, "at least 0"),
    ({"exog_lags": {"cost": 1}, "future_exog": ["price"]}, ArgumentError, "names 'cost', which is neither"),
    ({"exog_lags": "many", "future_exog": ["price"]}, ArgumentError, "exog_lags='many'"),
    ({"future_exog": ["cost"]}, FrameError, "column 'cost' not in the frame.*future_exog="),
    ({"future_exog": 3}, ArgumentError, "future_exog=3: expected a list"),
    ({"future_exog": ["price", "price"]}, ArgumentError, "names a column twice"),
    ({"future_exog": ["price"], "past_exog": ["price"]}, ArgumentError, "'price' is named in past_exog and in future"),
    ({"future_exog": {"price"}}, ArgumentError, "expected a list of column names"),
    ({"future_exog": ["y"]}, FrameError, "'y' is named more than once"),
    ({"future_exog": ["town"]}, FrameError, "column 'town' holds .*static=.*get_dummies"),
    ({"static": ["price"]}, FrameError, "static column 'price' changes within 3 series, first in row 1 .*future_exog="),
    ({"static": ["town"], "scope": "local"}, ArgumentError, "use scope='global'"),
    ({"calendar": ["hours"]}, ArgumentError, "Did you mean 'hour'"),
    ({"calendar": ["hour", "hour"]}, ArgumentError, "twice"),
]


@pytest.mark.parametrize(("settings", "error", "message"), BAD, ids=[str(b[0]) for b in BAD])
def test_bad_inputs_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        build(**settings).fit(frame())


def test_a_calendar_of_whole_numbers_is_refused():
    with pytest.raises(ArgumentError, match="whole numbers, which have no calendar"):
        build(calendar="hour").fit(make_frame())


def test_missing_and_infinite_inputs_are_named_with_the_repair_that_works():
    df = frame()[["unique_id", "ds", "y", "price"]]
    df.loc[[3, 9], "price"] = [np.nan, np.inf]
    with pytest.raises(
        FrameError, match="input column 'price' is missing or infinite in 2 rows, first in row 3"
    ) as caught:
        build(future_exog="price").fit(df)
    statement = str(caught.value).partition("neighbours: ")[2].rstrip(".")
    scope = {"df": df, "pd": pd}
    exec(statement, scope)
    build(future_exog="price").fit(scope["df"])


FUTURE = [
    (lambda f: None, "no future_df was given.*'price'.*the 4 steps after.*2024-07-01.*2024-07-04"),
    (lambda f: f.drop(columns="price"), "future_df lacks column 'price'"),
    (lambda f: f.drop(columns="unique_id"), "future_df lacks column 'unique_id'"),
    (lambda f: f.drop(columns="ds"), "future_df lacks column 'ds'"),
    (lambda f: f.drop(index=5), "gives 11 of the 12 rows.*First missing: 2024-07-02.*'s1'"),
    (lambda f: f.assign(price=f["price"].where(f.index != 2)), "gives 11 of the 12 rows.*'price'.*2024-07-03.*'s0'"),
    (lambda f: f.assign(ds=f["ds"] + pd.Timedelta(hours=5)), "gives 0 of the 12"),
]


@pytest.mark.parametrize(("spoil", "message"), FUTURE)
def test_future_inputs_that_are_missing_are_named(spoil, message):
    df = frame()[["unique_id", "ds", "y", "price"]]
    model = build(future_exog="price").fit(df)
    with pytest.raises(FutureExogError, match=message):
        model.predict(future_df=spoil(after(df)))


def test_future_rows_that_are_given_twice_or_no_numbers_are_named():
    df = frame()[["unique_id", "ds", "y", "price"]]
    model = build(future_exog="price").fit(df)
    future = after(df)
    with pytest.raises(FrameError, match=r"more than one row.*drop_duplicates\(\['unique_id', 'ds'\]\)"):
        model.predict(future_df=pd.concat([future, future]))
    with pytest.raises(FrameError, match=r"more than once.*future_df.loc"):
        model.predict(future_df=pd.concat([future, future[["price"]]], axis=1))
    with pytest.raises(FrameError, match=r"column 'price' holds.*future_df"):
        model.predict(future_df=future.assign(price="cheap"))
    with pytest.raises(ArgumentError, match=r"future_df\['ds'\]"):
        model.predict(future_df=future.assign(ds=1))


def test_a_future_frame_that_nobody_reads_is_said_to_be_unread():
    df = frame()[["unique_id", "ds", "y"]]
    with pytest.warns(UnusedColumnWarning, match="has no future_exog"):
        build().fit(df).predict(future_df=after(df))
