"""AutoNARX and Ensemble of partitions: chosen on the same series, and fitted to each partition as to one frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, Ensemble, NARXForecaster, backtest
from tsforce.distributed import Frames
from tsforce.errors import ArgumentError, SeriesTooShortError
from tsforce.forecasting.auto import on_trial
from tsforce.forecasting.auto.trials import fit_quietly

H = 4


def frame():
    """Two series are too short for twelve lags."""
    return make_frame((70, 50, 90, 33, 12, 8), freq="D")


def parts_of(df, *groups):
    """The groups of series, each in the order of its letters."""
    return [pd.concat([df[df["unique_id"] == f"s{i}"] for i in group], ignore_index=True) for group in groups]


def few(**settings):
    own = NARXForecaster(H, 12, scope="local", short_series="drop", target_transforms=())
    return AutoNARX(H, budget="fast", candidates=["theta", "linear for all", {"lags": own}], **settings)


def by_series(forecasts):
    return forecasts.sort_values(["unique_id", "ds"]).reset_index(drop=True)


@pytest.mark.parametrize("most", [pytest.param(1500, marks=pytest.mark.slow), 4])
def test_auto_says_the_same_whatever_the_number_and_order_of_partitions(most, monkeypatch):
    monkeypatch.setitem(on_trial.MOST_SERIES, "fast", most)
    df = frame()
    one = few().fit(parts_of(df, "012345"))
    assert repr(one.partitions_).endswith(f"chosen on {min(most, 6)} of 6 series")
    expected = by_series(one.predict().to_pandas())
    for groups in (("45", "02", "1", "3"), ("5", "431", "20")):
        found = by_series(few().fit(parts_of(df, *groups)).predict().to_pandas())
        pd.testing.assert_frame_equal(found, expected, rtol=1e-9)
    part = one.partitions_[0]
    assert part.leaderboard_["n_series"].max() <= min(most, 6)
    said = part.explain("s0").frame
    heard = said[said["weight"] > 0].set_index("candidate")["weight"]
    np.testing.assert_allclose(heard[list(part.members_)[-1]], part._weight_[-1, 0])


def test_members_are_those_of_one_frame_and_only_one_map_for_all_is_of_the_sample():
    df = frame()
    part = few().fit(parts_of(df, "012", "345")).partitions_[0]
    whole = few().fit(parts_of(df, "012345")).partitions_[0]
    assert {"theta", "lags", "linear for all"} <= set(part.members_)
    for name, member in whole.members_.items():
        if name != "linear for all":
            alone = fit_quietly(member.clone_unfitted(), df, getattr(member, "mode_", None)).predict()
            there = whole.members_[name].predict()
            np.testing.assert_allclose(there.iloc[:, -1], alone.iloc[:, -1], rtol=1e-9)
    same = part.members_["linear for all"].model_.weight, whole.members_["linear for all"].model_.weight
    np.testing.assert_array_equal(*(weight.detach() for weight in same))
    assert not set(part._rows_.id_list) - {"s0", "s1", "s2"}


def test_a_partition_of_short_series_hears_who_can_forecast_them():
    model = few().fit(parts_of(frame(), "0123", "45"))
    short = model.partitions_[1]
    assert "lags" in model.partitions_[0].members_
    assert list(short.members_) == [name for name in model.partitions_[0].members_ if name != "lags"]
    assert np.isfinite(short.predict()["AutoNARX"]).all()
    assert model.partitions_.failed == {}


@pytest.mark.slow
def test_auto_of_partitions_is_judged_and_has_bounds():
    df = frame()
    result = backtest(few(), parts_of(df, "012", "3"), n_windows=2)
    assert result.scores()["mase"].item() < 2
    part = few().fit(parts_of(df, "012", "345")).partitions_[1]
    bounds = part.predict(level=80)
    assert (bounds["AutoNARX-lo-80"] <= bounds["AutoNARX-hi-80"]).all()
    whole = AutoNARX(H, budget="fast").fit(parts_of(df, "012345")).predict().to_pandas()
    found = AutoNARX(H, budget="fast").fit(parts_of(df, "20", "1", "543")).predict().to_pandas()
    pd.testing.assert_frame_equal(by_series(found), by_series(whole), rtol=1e-8)


def test_what_auto_cannot_fit_partition_by_partition_is_not_tried_or_refused():
    parts = parts_of(frame(), "012", "3")
    with pytest.raises(ArgumentError, match=r"budget='balanced' not all .* Use budget='fast', or a choice in each"):
        AutoNARX(H).fit(parts)
    network = NARXForecaster(H, 3, model="mlp", scope="global", max_steps=1)
    model = AutoNARX(H, budget="fast", candidates=["naive", {"network": network}]).fit(parts)
    board = model.partitions_[0].leaderboard_.set_index("candidate")
    assert board.loc["network", "status"].startswith("not tried: it looks at all series")
    AutoNARX(H).fit(Frames(parts, choices="partition"))


def test_an_ensemble_of_partitions_is_that_of_one_frame():
    df = frame()
    members = {
        "lags": NARXForecaster(H, 5, scope="local"),
        "theta": Baseline("theta", horizon=H),
        "one": NARXForecaster(H, 3, scope="global", mode="open_loop"),
    }
    expected = Ensemble(members).fit(df)
    model = Ensemble(members).fit(parts_of(df, "0", "123", "45"))
    pd.testing.assert_frame_equal(model.predict().to_pandas(), expected.predict(), rtol=1e-9)
    covered = pd.concat([part.coverage_ for part in model.partitions_], ignore_index=True)
    pd.testing.assert_frame_equal(covered, expected.coverage_)


def test_an_ensemble_none_of_whose_members_can_fit_a_series_says_so():
    with pytest.raises(SeriesTooShortError, match="no member can fit any series"):
        Ensemble([NARXForecaster(H, 40, scope="local")]).fit(parts_of(frame(), "4", "5"))
