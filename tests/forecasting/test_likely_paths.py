"""most_likely_paths of NARXForecaster."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame, wreck_after
from tsforce import Log, NARXForecaster, Training
from tsforce.errors import ArgumentError
from tsforce.models import Quantised

H = 3


def forecaster(**settings):
    given = {
        "model": "mlp", "head": Quantised(n_bins=6), "max_steps": 3, "mode": "open_loop", "target_transforms": [Log()],
        "training": Training(batch_size=8, validation=False),
    }  # fmt: skip
    return NARXForecaster(H, **({"lags": 2} | given | settings))


@pytest.fixture(scope="module")
def df():
    return make_frame((60, 50))


@pytest.fixture(scope="module")
def model(df):
    return forecaster().fit(df)


def test_all_paths_together_have_a_probability_of_one_and_greedy_is_the_first_of_one(df, model):
    every = model.most_likely_paths(6**H, width=36)
    assert every.columns.tolist() == ["unique_id", "ds", "horizon", "path", "NARXForecaster", "log_probability"]
    first = every[every["horizon"] == 1]
    np.testing.assert_allclose(np.exp(first["log_probability"]).groupby(first["unique_id"]).sum(), 1.0, rtol=1e-5)
    assert (first.groupby("unique_id")["log_probability"].diff().dropna() <= 0).all()
    best = model.most_likely_paths(1)
    pd.testing.assert_frame_equal(best, every[every["path"] == 1].reset_index(drop=True))


def test_a_probability_is_the_product_of_those_that_drawn_paths_show(model):
    """Of 4000 draws a share comes out as the paths say; what bins stand for is the same."""
    best = model.most_likely_paths(3).query("unique_id == 's0'")
    drawn = model.sample_paths(4000, random_state=1).query("unique_id == 's0'")
    seen = drawn["NARXForecaster"].to_numpy().reshape(-1, H)
    for _, path in best.groupby("path"):
        share = np.isclose(seen, path["NARXForecaster"].to_numpy()).all(axis=1).mean()
        expected = np.exp(path["log_probability"].iloc[0])
        assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000)


def test_nothing_after_the_end_of_a_history_is_read_and_maps_of_series_are_their_own(df):
    local = forecaster(model="linear", scope="local").fit(df)
    pd.testing.assert_frame_equal(local.most_likely_paths(2), local.most_likely_paths(2, history=df))
    alone = forecaster(model="linear", scope="local").fit(df[df["unique_id"] == "s1"]).most_likely_paths(2)
    together = local.most_likely_paths(2).query("unique_id == 's1'").reset_index(drop=True)
    pd.testing.assert_frame_equal(together, alone, rtol=1e-4)
    seen = df[df["ds"] <= 40]
    wrecked = wreck_after(df, {"s0": 40, "s1": 40})
    pd.testing.assert_frame_equal(
        local.most_likely_paths(2, history=seen), local.most_likely_paths(2, history=wrecked[wrecked["ds"] <= 40])
    )


def test_a_recurrent_network_and_inputs_are_searched_too(df):
    given = df.assign(price=np.sin(df["ds"].to_numpy()))
    model = forecaster(model="gru", future_exog=["price"], max_steps=1).fit(given)
    ahead = pd.concat([
        pd.DataFrame({"unique_id": s, "ds": n + np.arange(1, H + 1), "price": 0.5}) for s, n in (("s0", 60), ("s1", 50))
    ])  # fmt: skip
    found = model.most_likely_paths(6**H, width=6**H, future_df=ahead)
    first = found[found["horizon"] == 1]
    np.testing.assert_allclose(np.exp(first["log_probability"]).groupby(first["unique_id"]).sum(), 1.0, rtol=1e-5)


def test_other_heads_and_several_targets_are_told_what_to_do(df):
    plain = NARXForecaster(H, 2, mode="open_loop").fit(df)
    with pytest.raises(ArgumentError, match="fit with head='quantised'"):
        plain.most_likely_paths()
    two = forecaster(target_col=["y", "z"], target_transforms=[]).fit(df.assign(z=df["y"] * 2))
    with pytest.raises(ArgumentError, match="target_col='y'"):
        two.most_likely_paths()
    # What the message says.
    forecaster(target_col="y", target_transforms=[], max_steps=1).fit(df).most_likely_paths(1)
    with pytest.raises(ArgumentError, match="width"):
        two.most_likely_paths(width=0)
