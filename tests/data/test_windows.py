"""Windows: cuts, masks and scalings against plain loops, and the way back to levels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.makers import make_frame
from tests.reference import levels, transformed
from tsforce.data.frame import read_panel
from tsforce.data.panel import Panel
from tsforce.data.transforms import Chain, Difference, Log, Standardize
from tsforce.data.windows import WINDOW_SCALINGS, SeriesStore, check_window_scaling
from tsforce.errors import ArgumentError

LENGTHS = np.array([30, 9, 41])
L, H = 8, 6
SCALINGS = (None, *WINDOW_SCALINGS)
TRANSFORMS = {"none": [], "log, difference 3": [Log(), Difference(3)], "differences": [Difference(2), Difference(1)]}
# Starts and ends of the first, a short and the last series, and some rows between.
SERIES = np.array([[0, 0, 0, 1, 1], [2, 2, 2, 1, 0]])
ROWS = np.array([[0, 4, 29, 2, 8], [0, 40, 17, 7, 11]])

scalings = pytest.mark.parametrize("scaling", SCALINGS, ids=str)
transforms_ = pytest.mark.parametrize("transforms", TRANSFORMS.values(), ids=TRANSFORMS.keys())


@pytest.fixture
def panel():
    return read_panel(make_frame(LENGTHS))


def store_of(panel, transforms=(), scaling=None, length=L, stops=None):
    chain = Chain.learn(transforms, panel.values, panel.indptr, panel.lengths if stops is None else stops)
    return SeriesStore(panel, chain, scaling, length)


def with_values(panel, values):
    return dataclasses.replace(panel, values=values)


def wrecked_after(panel, series, row, value=np.nan):
    values = panel.values.copy()
    values[panel.indptr[series] + row + 1 : panel.indptr[series + 1]] = value
    return with_values(panel, values)


def column(panel, transforms, i):
    """Return the transformed rows of one series, None where there is none."""
    return transformed(transforms, panel.values[panel.indptr[i] : panel.indptr[i + 1], 0], LENGTHS[i])


def loop_cut(rows, row, length):
    """Return the rows up to and with `row` and which exist, absent ones 0."""
    inside = [0 <= t < len(rows) and rows[t] is not None for t in range(row + 1 - length, row + 1)]
    picked = [rows[t] if ok else 0.0 for t, ok in zip(range(row + 1 - length, row + 1), inside, strict=True)]
    return picked, inside


def loop_scaling(scaling, past, mask):
    known = np.array([v for v, ok in zip(past, mask, strict=True) if ok])
    centre, scale = 0.0, 1.0
    if len(known) and scaling == "mean_abs":
        scale = np.abs(known).mean()
    if len(known) and scaling == "standard":
        centre, scale = known.mean(), known.std()
    if scaling == "last":
        centre = past[-1]
    return centre, scale if scale > 0 or len(known) > (scaling == "standard") else 1.0


def bits(batch):
    fields = (batch.past, batch.past_mask, batch.centre, batch.scale)
    return [part.contiguous().numpy().tobytes() for part in fields]


# ---- cut


@transforms_
@pytest.mark.parametrize("length", [0, 1, 5, 9, 50])
def test_a_cut_holds_the_last_rows_up_to_each_row_and_says_which_exist(panel, transforms, length):
    values, mask = store_of(panel, transforms).cut(SERIES, ROWS, length)
    assert values.shape == mask.shape == (*SERIES.shape, length, 1)
    assert mask.dtype == torch.bool
    for at in np.ndindex(SERIES.shape):
        picked, inside = loop_cut(column(panel, transforms, SERIES[at])[0][-1], ROWS[at], length)
        np.testing.assert_allclose(values[at][:, 0], picked, rtol=1e-10, atol=1e-12)
        assert mask[at][:, 0].tolist() == inside


@transforms_
def test_a_cut_past_the_end_of_a_series_never_shows_the_next_one(panel, transforms):
    values, mask = store_of(panel, transforms).cut(SERIES, ROWS + 4, 6)
    for at in np.ndindex(SERIES.shape):
        picked, inside = loop_cut(column(panel, transforms, SERIES[at])[0][-1], ROWS[at] + 4, 6)
        np.testing.assert_allclose(values[at][:, 0], picked, rtol=1e-10, atol=1e-12)
        assert mask[at][:, 0].tolist() == inside


def test_windows_longer_than_the_whole_panel_are_padded(panel):
    values, mask = store_of(panel).cut(np.array([0, 2]), np.array([29, 40]), 200)
    assert mask.sum(dim=1).flatten().tolist() == [30, 41]
    assert values[0, -30:, 0].tolist() == panel.values[:30, 0].tolist()
    assert values[1, -41:, 0].tolist() == panel.values[-41:, 0].tolist()


def test_a_cut_takes_rows_of_any_shape_and_of_any_memory(panel):
    store = store_of(panel)
    flat = store.cut(SERIES.ravel(), ROWS.ravel(), 5)[0]
    assert torch.equal(store.cut(SERIES, ROWS, 5)[0].reshape(flat.shape), flat)
    assert torch.equal(store.cut(SERIES.ravel()[::-1], ROWS.ravel()[::-1], 5)[0], flat.flip(0))
    fixed = SERIES.copy()
    fixed.flags.writeable = False
    assert torch.equal(store.batch(fixed, ROWS).past, store.batch(SERIES, ROWS).past)
    spread = store.batch(np.broadcast_to(np.array([0, 2]), (3, 2)), np.broadcast_to(10, (3, 2)), horizon=2)
    assert spread.series.tolist() == [[0, 2]] * 3


def test_no_windows_make_an_empty_batch(panel):
    batch = store_of(panel, [Log(), Difference(3)], "standard").batch(
        np.empty((2, 0), np.int64), np.empty((2, 0), np.int64), horizon=H
    )
    assert batch.past.shape == (2, 0, L, 1)
    assert batch.future.shape == (2, 0, H, 1)
    assert batch.scale.shape == (2, 0, 1, 1)


def test_a_cut_is_memory_of_its_own(panel):
    store = store_of(panel)
    before = store.values.clone()
    store.cut(np.array([0]), np.array([20]), 5)[0].fill_(-1.0)
    assert torch.equal(store.values, before)


# ---- batch


@transforms_
@scalings
def test_a_batch_holds_scaled_contexts_and_futures_as_in_a_loop(panel, transforms, scaling):
    batch = store_of(panel, transforms, scaling).batch(SERIES, ROWS, horizon=H)
    assert batch.series.tolist() == SERIES.tolist()
    assert batch.centre.shape == batch.scale.shape == (*SERIES.shape, 1, 1)
    for at in np.ndindex(SERIES.shape):
        rows = column(panel, transforms, SERIES[at])[0][-1]
        past, known = loop_cut(rows, ROWS[at], L)
        future, there = loop_cut(rows, ROWS[at] + H, H)
        centre, scale = loop_scaling(scaling, past, known)
        assert batch.centre[at].item() == pytest.approx(centre, rel=1e-10, abs=1e-12)
        assert batch.scale[at].item() == pytest.approx(scale, rel=1e-10)
        # What stands before the first row: the mean of what the context has.
        mean = sum(v for v, ok in zip(past, known, strict=True) if ok) / max(sum(known), 1)
        past = [v if ok else mean for v, ok in zip(past, known, strict=True)]
        expected = [(v - centre) / scale for v in past]
        expected += [(v - centre) / scale if ok else 0.0 for v, ok in zip(future, there, strict=True)]
        got = torch.cat([batch.past[at], batch.future[at]])[:, 0]
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)
        assert torch.cat([batch.past_mask[at], batch.future_mask[at]])[:, 0].tolist() == known + there


@scalings
def test_without_a_horizon_there_is_no_future(panel, scaling):
    batch = store_of(panel, scaling=scaling).batch(SERIES, ROWS)
    assert batch.future is None
    assert batch.future_mask is None


@transforms_
@scalings
def test_channels_are_scaled_each_by_itself(panel, transforms, scaling):
    wide = with_values(panel, np.concatenate([panel.values, 900 - 3 * panel.values], axis=1))
    both = store_of(wide, transforms, scaling).batch(SERIES, ROWS, horizon=H)
    for c in range(2):
        one = store_of(with_values(wide, wide.values[:, c : c + 1].copy()), transforms, scaling)
        alone = one.batch(SERIES, ROWS, horizon=H)
        torch.testing.assert_close(both.past[..., c : c + 1], alone.past, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(both.future[..., c : c + 1], alone.future, rtol=1e-10, atol=1e-12)


@transforms_
@scalings
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_what_follows_the_cutoff_reaches_no_context_and_no_scaling(panel, transforms, scaling, value):
    series, row = 0, 14
    stops = np.array([row + 1, 9, 41])
    at = np.array([[series]]), np.array([[row]])
    seen = store_of(panel, transforms, scaling, stops=stops).batch(*at)
    blind = store_of(wrecked_after(panel, series, row, value), transforms, scaling, stops=stops).batch(*at)
    assert bits(seen) == bits(blind)
    assert torch.isfinite(blind.past).all()


@scalings
def test_nan_in_one_series_reaches_no_window_of_its_neighbours(panel, scaling):
    at = np.array([[0, 1, 2, 2]]), np.array([[29, 2, 0, 40]])
    seen = store_of(panel, scaling=scaling).batch(*at, horizon=H)
    wrecked = wrecked_after(panel, 1, 2)
    blind = store_of(wrecked, scaling=scaling, stops=np.array([30, 3, 41])).batch(*at, horizon=H)
    assert bits(seen) == bits(blind)
    assert torch.equal(seen.future[0, [0, 2, 3]], blind.future[0, [0, 2, 3]])


@pytest.mark.parametrize("level", [0.0, 0.1, -7.3, 1e12])
@pytest.mark.parametrize("length", [3, 7, L])
@pytest.mark.parametrize("scaling", WINDOW_SCALINGS)
def test_a_constant_context_has_its_level_for_a_scale_or_none_at_all(level, length, scaling):
    flat = read_panel(make_frame((12,)))
    values = np.full_like(flat.values, level)
    values[-1] += 1.0
    store = store_of(with_values(flat, values), scaling=scaling, length=length)
    batch = store.batch(np.array([[0]]), np.array([[10]]), horizon=1)
    expected = {"mean_abs": abs(level), "standard": 0.0, "last": 1.0}[scaling]
    assert batch.scale.item() == pytest.approx(expected, rel=1e-14)
    # The step away from the constant stays the step it is, whatever rounding does to the mean of equal values; without
    # a scale there is none.
    step = 1 / expected if expected else 0.0
    assert (batch.future - batch.past[:, :, -1:]).item() == pytest.approx(step, rel=1e-3)
    # And back: the centre, where there is no scale.
    z = torch.full_like(batch.future, 2.0)
    back = store.to_levels(z, batch, np.array([[10]])).item()
    assert back == pytest.approx(2 * expected + (0.0 if scaling == "mean_abs" else level), rel=1e-12)


@pytest.mark.parametrize("scaling", WINDOW_SCALINGS)
def test_a_context_without_any_value_reads_zero_at_centre_zero_and_scale_one(panel, scaling):
    batch = store_of(panel, [Difference(3)], scaling).batch(np.array([[0]]), np.array([[2]]))
    assert not batch.past_mask.any()
    assert (batch.past == 0).all()
    assert (batch.centre.item(), batch.scale.item()) == (0.0, 1.0)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_known_window_scalings_are_handed_through(scaling):
    assert check_window_scaling(scaling) == scaling


@pytest.mark.parametrize(
    ("given", "fragment"),
    [("mean-abs", "Did you mean 'mean_abs'"), ("max", "accepted: 'auto', None, 'mean_abs', 'standard', 'last'")],
)
def test_an_unknown_window_scaling_is_refused_with_those_there_are(given, fragment):
    with pytest.raises(ArgumentError, match=fragment):
        check_window_scaling(given)


# ---- back to levels


# The first window has nothing but the levels that differences are inverted on; two reach past the end of a series.
WHERE = np.array([[0, 0, 1], [2, 2, 1]]), np.array([[2, 23, 7], [9, 34, 6]])


@transforms_
@scalings
def test_scaling_and_transforms_are_undone_exactly(panel, transforms, scaling):
    store = store_of(panel, transforms, scaling)
    batch = store.batch(*WHERE, horizon=H)
    back = store.to_levels(batch.future, batch, WHERE[1])
    for at in np.ndindex(WHERE[0].shape):
        truth = panel.values[panel.indptr[WHERE[0][at]] : panel.indptr[WHERE[0][at] + 1]]
        known = batch.future_mask[at][:, 0].numpy()
        expected = truth[WHERE[1][at] + 1 : WHERE[1][at] + 1 + known.sum()]
        np.testing.assert_allclose(back[at][: known.sum()], expected, rtol=1e-9)


@transforms_
@scalings
@pytest.mark.parametrize("kind", ["closed", "open", "hard", "soft"])
def test_levels_stand_on_what_was_fed_as_in_a_loop(panel, transforms, scaling, kind):
    rng = np.random.default_rng(5)
    store = store_of(panel, transforms, scaling)
    batch = store.batch(*WHERE, horizon=H)
    z = batch.future + 0.02 * torch.from_numpy(rng.normal(size=batch.future.shape))
    share = {
        "closed": torch.zeros_like(z),
        "open": torch.ones_like(z),
        "hard": torch.from_numpy(rng.random(z.shape) < 0.5).double(),
        "soft": torch.from_numpy(rng.random(z.shape)),
    }[kind] * batch.future_mask
    got = store.to_levels(z, batch, WHERE[1], share)
    for at in np.ndindex(WHERE[0].shape):
        columns, inverses = column(panel, transforms, WHERE[0][at])
        unscaled = (z[at] * batch.scale[at] + batch.centre[at])[:, 0].tolist()
        expected = levels(transforms, columns, inverses, WHERE[1][at], unscaled, share[at][:, 0].tolist())
        np.testing.assert_allclose(got[at][:, 0], expected, rtol=1e-9)
    if kind == "closed":
        assert torch.equal(got, store.to_levels(z, batch, WHERE[1]))


@transforms_
@scalings
def test_a_closed_loop_reads_no_row_after_the_cutoff_on_its_way_back(panel, transforms, scaling):
    stops = np.array([13, 9, 41])
    at = np.array([[0]]), np.array([[12]])
    z = torch.linspace(-0.1, 0.1, H, dtype=torch.float64)[None, None, :, None]
    back = []
    for seen in (panel, wrecked_after(panel, 0, 12)):
        store = store_of(seen, transforms, scaling, stops=stops)
        back.append(store.to_levels(z, store.batch(*at), at[1]))
    assert torch.isfinite(back[1]).all()
    assert back[0].numpy().tobytes() == back[1].numpy().tobytes()


@scalings
def test_the_way_back_carries_the_right_gradient(panel, scaling):
    store = store_of(panel, [Log(), Difference(3), Standardize()], scaling)
    batch = store.batch(*WHERE, horizon=H)
    share = torch.from_numpy(np.random.default_rng(2).random(batch.future.shape)) * batch.future_mask
    z = batch.future.clone().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda z: store.to_levels(z, batch, WHERE[1]), z)
    assert torch.autograd.gradcheck(lambda z: store.to_levels(z, batch, WHERE[1], share), z)


def test_a_panel_of_some_windows_gives_the_contexts_that_the_whole_panel_gives(panel):
    index = panel.last_rows()
    part: Panel = panel.windows(index, length=L)
    whole = store_of(panel).batch(index.series[None], index.rows[None])
    cut = store_of(part).batch(np.arange(3)[None], part.lengths[None] - 1)
    assert torch.equal(whole.past, cut.past)
