"""ridge="auto": the choice against a plain loop over candidates and windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import as_it_stands, make_frame, wreck_after
from tsforce import Difference, Log, NARXForecaster
from tsforce.training.solvers.ridge import RIDGES

H, LAGS = 5, 8


@pytest.mark.parametrize(
    ("rows", "windows"), [(16, 0), (20, 0), (24, 0), (25, 1), (29, 1), (30, 2), (39, 3), (40, 4), (99, 4)]
)
def test_windows_are_those_beyond_lags_differences_and_horizon(rows, windows):
    df = make_frame((rows, 99))
    model = NARXForecaster(H, LAGS, scope="local", target_transforms=[Difference(7)], mode="open_loop").fit(df)
    assert model.ridge_["n_windows"].tolist() == [windows, 4]


def n_windows(lengths, lost=0, lags=LAGS):
    """Four of each series, of few series more until there are 60 together or they are the last quarter."""
    spare = (np.asarray(lengths) - lags - lost - H) // H
    return np.clip(spare, 0, 4) + np.clip(spare // 4 - 4, 0, max(0, int(np.ceil(60 / len(spare))) - 4))


@pytest.mark.parametrize("lengths", [(99,), (400,), (2000,), (99, 2000), (150,) * 14, (150,) * 15])
def test_few_long_series_choose_by_more_windows(lengths):
    plain = as_it_stands(scope="local")
    model = NARXForecaster(H, LAGS, ridge="auto", mode="open_loop", **plain).fit(make_frame(lengths))
    assert model.ridge_["n_windows"].tolist() == n_windows(lengths).tolist()
    assert (n_windows(lengths) == 4).all() == (lengths in [(99,), (150,) * 15])


def errors_by_loop(df, transforms, scope, **settings):
    """Mean absolute error per candidate and series: one fit per candidate, one predict per window."""
    lengths = df.groupby("unique_id", sort=False).size()
    k = pd.Series(n_windows(lengths, sum(t.rows_lost for t in transforms)), lengths.index)
    df = df.assign(step=df.groupby("unique_id").cumcount() + 1)
    stop = df["unique_id"].map(lengths - k * H)
    table = {}
    for ridge in RIDGES:
        model = NARXForecaster(
            H,
            LAGS,
            ridge=ridge,
            mode="open_loop",
            **as_it_stands(scope=scope, target_transforms=transforms, **settings),
        )
        model.fit(df.loc[df["step"] <= stop, ["unique_id", "ds", "y"]])
        for name, part in df.groupby("unique_id", sort=False):
            gaps = []
            for w in range(k[name]):
                seen = len(part) - (k[name] - w) * H
                fc = model.predict(history=part.iloc[:seen][["unique_id", "ds", "y"]])
                gaps.append(np.abs(fc["NARXForecaster"].to_numpy() - part["y"].to_numpy()[seen : seen + H]).mean())
            table[ridge, name] = np.mean(gaps) if gaps else np.nan
    return pd.Series(table).unstack()[list(lengths.index)]


@pytest.mark.parametrize("transforms", [(), (Log(), Difference(7))])
def test_local_choice_equals_a_plain_loop(transforms):
    df = make_frame((90, 45, 120, 24))
    plain = as_it_stands(scope="local", target_transforms=transforms)
    model = NARXForecaster(H, LAGS, season_length=7, mode="open_loop", **plain).fit(df)
    errors = errors_by_loop(df, transforms, "local", season_length=7)
    got = model.ridge_.set_index("unique_id")
    np.testing.assert_allclose(got.filter(like="error").to_numpy().T, errors, rtol=1e-7)
    judged = got[got["n_windows"] > 0]
    assert judged["ridge"].tolist() == [RIDGES[int(np.argmin(errors[name]))] for name in judged.index]


def test_a_series_without_a_window_takes_the_panels_choice():
    df = make_frame((90, 45, 120, 14))
    model = NARXForecaster(H, LAGS, season_length=7, mode="open_loop", **as_it_stands(scope="local")).fit(df)
    errors = errors_by_loop(df, (), "local", season_length=7).iloc[:, :3]
    y = {name: part["y"].to_numpy() for name, part in df.groupby("unique_id")}
    k = n_windows((90, 45, 120, 14))
    stops = {"s0": 90 - k[0] * H, "s1": 45 - k[1] * H, "s2": 120 - k[2] * H}
    scale = np.array([_season_scale(y[s][: stops[s]]) for s in stops])
    want = RIDGES[int(np.argmin((errors / scale).mean(axis=1)))]
    assert model.ridge_["n_windows"].tolist() == k.tolist() == [4, 4, 5, 0]
    assert model.ridge_["ridge"].iloc[3] == want


def _season_scale(y, m=7):
    return np.abs(y[m:] - y[:-m]).mean()


def test_global_choice_is_one_value_by_the_scaled_error_of_all_series():
    df = make_frame((90, 45, 120))
    model = NARXForecaster(H, LAGS, season_length=7, mode="open_loop", **as_it_stands()).fit(df)
    errors = errors_by_loop(df, (), "global", season_length=7)
    got = model.ridge_.set_index("unique_id")
    np.testing.assert_allclose(got.filter(like="error").to_numpy().T, errors, rtol=1e-7)
    y = {name: part["y"].to_numpy() for name, part in df.groupby("unique_id")}
    k = dict(zip(y, n_windows([len(own) for own in y.values()]), strict=True))
    scale = np.array([_season_scale(y[s][: len(y[s]) - k[s] * H]) for s in errors.columns])
    assert set(got["ridge"]) == {RIDGES[int(np.argmin((errors / scale).mean(axis=1)))]}


def test_a_series_with_a_single_window_has_its_say_in_the_history():
    df = make_frame((90, 19))
    model = NARXForecaster(H, LAGS, season_length=7, mode="open_loop", **as_it_stands(scope="local")).fit(df)
    assert model.ridge_["n_windows"].tolist() == [4, 1]
    errors = errors_by_loop(df, (), "local", season_length=7)
    y = {name: part["y"].to_numpy() for name, part in df.groupby("unique_id")}
    scale = np.array([_season_scale(y["s0"][: 90 - 4 * H]), _season_scale(y["s1"][: 19 - H])])
    (row,) = model.history_.frame.to_dict("records")
    assert row["closed_loop"] == pytest.approx((errors.min().to_numpy() / scale).mean())


@pytest.mark.parametrize(("prior", "ridge"), [("zero", 30.0), ("auto", 1e4), ("naive", 1e4)])
def test_without_any_window_the_choice_is_thirty_or_nearly_the_prior(prior, ridge):
    settings = {"prior": prior} if prior == "auto" else {"prior": prior, "ridge": "auto"}
    model = NARXForecaster(H, LAGS, scope="local", mode="open_loop", **settings).fit(make_frame((15, 16)))
    assert model.ridge_["ridge"].tolist() == [ridge, ridge]
    assert model.ridge_["n_windows"].tolist() == [0, 0]


@pytest.mark.parametrize("scope", ["local", "global"])
def test_the_choice_ignores_rows_that_are_not_training_rows(scope):
    df = make_frame((90, 70, 120))
    cut = {"s0": 80, "s1": 60, "s2": 110}
    seen = df[df["ds"] <= df["unique_id"].map(cut)]
    wrecked = wreck_after(df, cut)
    a = NARXForecaster(H, LAGS, scope=scope, mode="open_loop").fit(seen)
    b = NARXForecaster(H, LAGS, scope=scope, mode="open_loop").fit(
        wrecked[wrecked["ds"] <= wrecked["unique_id"].map(cut)]
    )
    pd.testing.assert_frame_equal(a.ridge_, b.ridge_)


def note_of(model):
    (note,) = [text for text in model.history_.notes if text.startswith("ridge: ")] or [None]
    return note


def test_choices_that_end_at_an_edge_of_what_was_tried_are_counted_in_a_note_and_shown_with_verbose(capsys):
    rng = np.random.default_rng(0)
    weekly = 10 + 5 * np.sin(np.arange(200) * 2 * np.pi / 7) + 0.3 * rng.normal(size=200)
    # What follows a step at its end, of noise, is best told by a map that is hardly there.
    noise = [rng.normal(size=60) for _ in range(6)]
    series = [weekly, *noise, noise[0][:12]]
    df = pd.concat(
        [pd.DataFrame({"unique_id": f"s{i}", "ds": np.arange(len(y)), "y": y}) for i, y in enumerate(series)]
    )
    model = NARXForecaster(H, LAGS, ridge="auto", mode="open_loop", verbose=True, **as_it_stands(scope="local")).fit(df)
    taken = model.ridge_[model.ridge_["n_windows"] > 0]["ridge"]
    low, high = int((taken == RIDGES[0]).sum()), int((taken == RIDGES[-1]).sum())
    assert low > 0
    assert high > 0
    assert note_of(model) == (
        f"ridge: of 7 series with windows to choose by, {low} took 1, the smallest tried; {high} took 300, the largest "
        f"tried."
    )
    assert note_of(model) in capsys.readouterr().err.splitlines()
    pooled = NARXForecaster(H, LAGS, mode="open_loop", **as_it_stands(scope="global")).fit(df[df["unique_id"] != "s0"])
    assert note_of(pooled) == "ridge: of one choice for all, 1 took 300, the largest tried."
    given = NARXForecaster(H, LAGS, ridge=300.0, mode="open_loop", **as_it_stands(scope="local")).fit(df)
    assert note_of(given) is None


def test_no_penalty_at_all_is_no_edge_and_that_of_a_prior_is_a_million():
    # Without noise the smallest penalties are tried, and 0 is the best of them.
    turn = np.sin(np.arange(120) / 3)
    clean = pd.DataFrame({"unique_id": "a", "ds": np.arange(120), "y": turn})
    exact = NARXForecaster(H, 2, mode="open_loop", **as_it_stands(scope="local", intercept=False)).fit(clean)
    assert exact.ridge_["ridge"].tolist() == [0.0]
    assert note_of(exact) is None
    walks = [clean.assign(unique_id=f"w{i}", y=np.random.default_rng(i).normal(size=120).cumsum()) for i in range(8)]
    smooth = NARXForecaster(H, LAGS, scope="local", prior="smoothing", mode="open_loop").fit(pd.concat(walks))
    count = int((smooth.ridge_["ridge"] == 1e6).sum())
    assert count > 0
    assert f"{count} took 1e+06, the largest tried" in note_of(smooth)
