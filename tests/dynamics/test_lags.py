"""lag_vector: block layout, lag order, features."""

from __future__ import annotations

import pytest
import torch

from tsforce.dynamics.lags import BLOCKS, LagLayout, TargetFeature, lag_vector

FED = torch.arange(2 * 3 * 10 * 2, dtype=torch.float64).reshape(2, 3, 10, 2)


def by_loop(layout, fed, now):
    return torch.stack(
        [fed[:, :, now - lag, c] for lag in sorted(layout.lags, reverse=True) for c in range(fed.shape[3])], dim=-1
    )


@pytest.mark.parametrize("lags", [(1,), (1, 2, 3), (2, 3), (1, 4), (1, 3, 7)])
@pytest.mark.parametrize("now", [7, 8, 10])
def test_target_lags_run_from_oldest_to_newest_with_the_channel_fastest(lags, now):
    layout = LagLayout(lags, ("a", "b"))
    x = lag_vector(layout, FED, now)
    assert torch.equal(x, by_loop(layout, FED, now))
    assert x.shape[-1] == len(layout.columns)
    assert layout.columns[:2] == (f"a_lag{lags[-1]}", f"b_lag{lags[-1]}")


def test_contiguous_lags_are_a_view_of_the_buffer():
    assert lag_vector(LagLayout((1, 2, 3)), FED[..., :1].contiguous(), 5)._base is not None


def test_rows_from_now_on_are_not_read():
    fed = FED.clone()
    fed[:, :, 6:] = float("nan")
    mean = TargetFeature(("mean",), 4, lambda z: z.mean(dim=2)[..., :1])
    assert torch.isfinite(lag_vector(LagLayout((1, 2), ("a", "b"), (mean,)), fed, 6)).all()


def test_blocks_stand_in_fixed_order_and_unbuilt_ones_are_empty():
    layout = LagLayout((1, 2))
    assert tuple(layout.blocks) == BLOCKS
    assert {name for name, columns in layout.blocks.items() if columns} == {"target_lags"}


def test_target_features_follow_the_lags_and_see_only_what_was_fed():
    mean = TargetFeature(("mean3",), 3, lambda z: z.mean(dim=2)[..., :1])
    last = TargetFeature(("first_of_5", "last"), 5, lambda z: torch.stack([z[:, :, 0, 0], z[:, :, -1, 0]], dim=-1))
    layout = LagLayout((1,), ("a", "b"), (mean, last))
    x = lag_vector(layout, FED, 8)
    assert layout.columns == ("a_lag1", "b_lag1", "mean3", "first_of_5", "last")
    assert layout.reach == 5
    assert torch.equal(x[..., 2], FED[:, :, 5:8, 0].mean(dim=2))
    assert torch.equal(x[..., 3], FED[:, :, 3, 0])
    assert torch.equal(x[..., 4], FED[:, :, 7, 0])
