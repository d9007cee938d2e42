"""Transforms: what is learnt from which rows, there and back again, and on which base a difference is inverted."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from tests.reference import levels, transformed
from tsforce.data.transforms import Chain, Difference, Log, MeanScale, Standardize, Transform, check_transforms
from tsforce.errors import ArgumentError, ArgumentTypeError

CHAINS = {
    "none": [],
    "log": [Log()],
    "standardize": [Standardize()],
    "mean scale": [MeanScale()],
    "difference 1": [Difference(1)],
    "log, difference 24": [Log(), Difference(24)],
    "difference 1, standardize": [Difference(1), Standardize()],
    "difference 7, difference 1": [Difference(7), Difference(1)],
    "difference 2, log": [Difference(2), Log()],
    "mean scale, log, difference 3, standardize": [MeanScale(), Log(), Difference(3), Standardize()],
}
LENGTHS, STOPS = np.array([70, 58, 90]), np.array([60, 40, 75])
INDPTR = np.concatenate([[0], np.cumsum(LENGTHS)])
SERIES = range(len(LENGTHS))
chains = pytest.mark.parametrize("transforms", CHAINS.values(), ids=CHAINS.keys())


@pytest.fixture
def values():
    """Three ragged series of one channel: positive, around zero, far below zero; (N, 1)."""
    rng = np.random.default_rng(7)
    t = np.arange(LENGTHS.sum())
    return (np.repeat([50.0, 0.0, -80.0], LENGTHS) + 9 * np.sin(t / 4) + rng.normal(size=len(t)))[:, None]


def rows_of(values, i):
    return values[INDPTR[i] : INDPTR[i + 1]]


def learn(transforms, values, stops=STOPS):
    return Chain.learn(transforms, values, INDPTR, stops)


def plain(transforms, values, i, stop=None):
    return transformed(transforms, rows_of(values, i)[:, 0], STOPS[i] if stop is None else stop)


def cut(stages, transforms, i, cutoff, horizon):
    """Return z, tails and observed of one window, (1, 1, rows, 1) each."""
    flat, at = INDPTR[i] + cutoff, len(transforms)
    future = [stage[flat + 1 : flat + 1 + horizon][None, None] for stage in stages]
    tails = [
        stage[flat + 1 - t.lag : flat + 1][None, None] if isinstance(t, Difference) else None
        for stage, t in zip(stages, transforms, strict=False)
    ]
    return future[at], tails, future


# ---- what is learnt, and applied


@chains
def test_stages_are_those_of_a_loop_over_each_series(transforms, values):
    stages = learn(transforms, values).stages(values, INDPTR)
    assert len(stages) == len(transforms) + 1
    for i in SERIES:
        for stage, column in zip(stages, plain(transforms, values, i)[0], strict=True):
            expected = np.array([0.0 if v is None else v for v in column])
            np.testing.assert_allclose(rows_of(stage.numpy(), i)[:, 0], expected, rtol=1e-10, atol=1e-10)


@chains
def test_rows_lost_are_those_without_a_value(transforms, values):
    chain = learn(transforms, values)
    assert chain.rows_lost == sum(v is None for v in plain(transforms, values, 0)[0][-1])


@chains
def test_rows_at_or_after_the_stops_change_no_bit_of_what_is_learnt(transforms, values):
    wrecked = values.copy()
    for i, stop in enumerate(STOPS):
        rows_of(wrecked, i)[stop:] = np.nan
    chain, blind = learn(transforms, values), learn(transforms, wrecked)
    for one, other in zip(chain.params, blind.params, strict=True):
        assert one.tobytes() == other.tobytes()
    seen = np.concatenate([INDPTR[i] + np.arange(STOPS[i]) for i in SERIES])
    for one, other in zip(chain.stages(values, INDPTR), blind.stages(wrecked, INDPTR), strict=True):
        assert one[seen].numpy().tobytes() == other[seen].numpy().tobytes()


@chains
def test_what_a_series_learns_depends_on_no_other_series(transforms, values):
    chain = learn(transforms, values)
    for i in SERIES:
        alone = Chain.learn(transforms, rows_of(values, i), np.array([0, LENGTHS[i]]), STOPS[i : i + 1])
        for one, other in zip(chain.take(np.array([i])).params, alone.params, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13)


@chains
def test_channels_are_transformed_each_by_itself(transforms, values):
    both = np.concatenate([values, 3 * values + 500], axis=1)
    stages = learn(transforms, both).stages(both, INDPTR)
    for c in range(2):
        one = learn(transforms, both[:, c : c + 1]).stages(both[:, c : c + 1], INDPTR)
        for stage, alone in zip(stages, one, strict=True):
            np.testing.assert_allclose(stage[:, c], alone[:, 0], rtol=1e-12, atol=1e-12)


@chains
def test_learning_and_applying_leaves_the_values_alone(transforms, values):
    before = values.copy()
    learn(transforms, values).stages(values, INDPTR)
    np.testing.assert_array_equal(values, before)


def test_values_in_read_only_memory_are_accepted_without_a_warning(values):
    values.flags.writeable = False
    learn([Log(), Difference(2)], values).stages(values, INDPTR)


def test_take_gives_the_parameters_of_series_repeats_included(values):
    chain = learn([Log(), Standardize()], values)
    taken = chain.take(np.array([2, 0, 2]))
    assert taken.transforms == chain.transforms
    for one, other in zip(taken.params, chain.params, strict=True):
        np.testing.assert_array_equal(one, other[:, [2, 0, 2]])


def test_more_rows_than_a_series_has_or_too_few_to_difference_are_our_own_bug(values):
    with pytest.raises(AssertionError):
        learn([Difference(40)], values)
    with pytest.raises(AssertionError):
        learn([], values, LENGTHS + 1)


# ---- there and back


@chains
@pytest.mark.parametrize("horizon", [1, 5, 10])
def test_forward_then_inverse_is_the_identity(transforms, values, horizon):
    # Learnt from all rows: then Log has nothing to clamp.
    chain = learn(transforms, values, LENGTHS)
    stages = chain.stages(values, INDPTR)
    for i in SERIES:
        z, tails, _ = cut(stages, transforms, i, STOPS[i] - 1, horizon)
        back = chain.inverse(z, torch.tensor([[i]]), tails)
        truth = rows_of(values, i)[STOPS[i] : STOPS[i] + horizon]
        np.testing.assert_allclose(back[0, 0], truth, rtol=1e-9, atol=1e-9)


@chains
@pytest.mark.parametrize("kind", ["closed", "open", "hard", "soft"])
def test_the_inverse_stands_on_what_was_fed_as_in_a_loop(transforms, values, kind):
    horizon, rng = 9, np.random.default_rng(3)
    chain = learn(transforms, values)
    stages = chain.stages(values, INDPTR)
    share = {
        "closed": np.zeros(horizon),
        "open": np.ones(horizon),
        "hard": (rng.random(horizon) < 0.5) * 1.0,
        "soft": np.where(rng.random(horizon) < 0.3, 1.0, rng.random(horizon)),
    }[kind]
    for i in SERIES:
        cutoff = STOPS[i] - 1
        truth, tails, observed = cut(stages, transforms, i, cutoff, horizon)
        z = truth + 0.1 * torch.from_numpy(rng.normal(size=(1, 1, horizon, 1)))
        fed = torch.from_numpy(share)[None, None, :, None]
        got = chain.inverse(z, torch.tensor([[i]]), tails, observed, fed)
        columns, inverses = plain(transforms, values, i)
        expected = levels(transforms, columns, inverses, cutoff, z.flatten().tolist(), share)
        np.testing.assert_allclose(got.flatten(), expected, rtol=1e-9, atol=1e-9)
        if kind == "closed":
            assert torch.equal(got, chain.inverse(z, torch.tensor([[i]]), tails))


def test_many_windows_are_inverted_as_each_by_itself(values):
    transforms, horizon = [Log(), Difference(3)], 8
    chain = learn(transforms, values)
    stages = chain.stages(values, INDPTR)
    windows = [[(0, 30), (2, 50)], [(1, 20), (0, 59)]]
    parts = [[cut(stages, transforms, i, cutoff, horizon) for i, cutoff in row] for row in windows]
    join = lambda pick: torch.cat([torch.cat([pick(p) for p in row], dim=1) for row in parts], dim=0)  # noqa: E731
    share = torch.rand(2, 2, horizon, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    observed = [join(lambda p, k=k: p[2][k]) for k in range(3)]
    series = torch.tensor([[0, 2], [1, 0]])
    got = chain.inverse(join(lambda p: p[0]), series, [None, join(lambda p: p[1][1])], observed, share)
    for g in range(2):
        for b in range(2):
            z, tails, future = parts[g][b]
            alone = chain.inverse(z, series[g : g + 1, b : b + 1], tails, future, share[g : g + 1, b : b + 1])
            torch.testing.assert_close(got[g, b], alone[0, 0], rtol=1e-12, atol=1e-12)


# ---- Difference


def invert(lag, z, tail, observed=None, share=None):
    """Return the levels of one window as a list."""
    column = lambda part: None if part is None else torch.tensor(part, dtype=torch.float64)[:, None]  # noqa: E731
    return Difference(lag).invert(column(z), column(tail), column(observed), column(share)).flatten().tolist()


def test_a_closed_loop_inverts_differences_by_cumulative_sums():
    assert invert(1, [1, 2, 3], [10]) == [11, 13, 16]
    assert invert(2, [1, 2, 3, 4, 5], [10, 20]) == [11, 22, 14, 26, 19]
    assert invert(1, [1, 2, 3], [10], [90, 91, 92], [0, 0, 0]) == [11, 13, 16]


def test_an_open_loop_inverts_each_difference_on_the_observed_level_before():
    assert invert(1, [1, 2, 3], [10], [50, 60, 70], [1, 1, 1]) == [11, 52, 63]
    assert invert(2, [1, 2, 3], [10, 20], [50, 60, 70], [1, 1, 1]) == [11, 22, 53]


def test_a_forced_loop_inverts_on_a_blend_of_what_was_fed():
    # 10+1, then half of 50 and 11, then a quarter of 60 and three quarters of 32.5.
    assert invert(1, [1, 2, 3], [10], [50, 60, 70], [0.5, 0.25, 1]) == [11, 32.5, 3 + 15 + 0.75 * 32.5]


def test_a_horizon_up_to_the_lag_stands_on_the_context_alone():
    assert invert(5, [1, 2, 3], [10, 20, 30, 40, 50], [7, 8, 9], [1, 0.5, 0]) == [11, 22, 33]


@pytest.mark.parametrize("share", [[0.0, 1.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0]])
def test_missing_truth_that_was_not_fed_reaches_neither_value_nor_gradient(share):
    z = torch.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=torch.float64, requires_grad=True)
    observed = torch.tensor([[np.nan], [7.0], [np.nan], [np.inf]], dtype=torch.float64)
    tail = torch.tensor([[10.0]], dtype=torch.float64)
    levels = Difference(1).invert(z, tail, observed, torch.tensor(share, dtype=torch.float64)[:, None])
    levels.sum().backward()
    assert torch.isfinite(levels).all()
    assert torch.isfinite(z.grad).all()


def test_a_diverged_output_that_was_replaced_by_truth_is_no_base():
    inf = float("inf")
    assert invert(1, [inf, 2, 3], [10], [50, 60, 70], [1, 0, 0]) == [inf, 52, 55]


def test_a_fed_share_without_observed_levels_is_our_own_bug():
    with pytest.raises(AssertionError):
        invert(1, [1, 2], [10], None, [1, 1])


@pytest.mark.parametrize("lag", [0, -1, 1.0, 1.5, "1", True, None])
def test_a_lag_that_is_no_whole_number_of_at_least_one_is_refused(lag):
    with pytest.raises(ArgumentError, match="the lag is a whole number of at least 1"):
        Difference(lag)


def test_transforms_compare_and_print_by_what_they_are():
    assert Difference(np.int64(24)) == Difference(24) != Difference(12)
    assert repr(Difference(np.int64(24))) == "Difference(lag=24)"
    assert [Log(), Standardize(), MeanScale()] == [Log(), Standardize(), MeanScale()]
    assert Log() != MeanScale()
    for transform in (Log(), Difference(3)):
        assert pickle.loads(pickle.dumps(transform)) == copy.deepcopy(transform) == transform


# ---- gradients


@chains
def test_the_inverse_carries_the_right_gradient(transforms, values):
    horizon = 5
    chain = learn(transforms, values)
    stages = chain.stages(values, INDPTR)
    z, tails, observed = cut(stages, transforms, 0, 50, horizon)
    share = torch.tensor([0.0, 1.0, 0.3, 0.0, 1.0], dtype=torch.float64)[None, None, :, None]
    z = z.clone().requires_grad_(True)
    series = torch.tensor([[0]])
    assert torch.autograd.gradcheck(lambda z: chain.inverse(z, series, tails), z)
    assert torch.autograd.gradcheck(lambda z: chain.inverse(z, series, tails, observed, share), z)


@pytest.mark.parametrize("transform", [Log(), Standardize(), MeanScale()])
def test_forward_carries_the_right_gradient(transform, values):
    params = torch.from_numpy(transform.learn(values, LENGTHS)[:, :1])
    y = torch.from_numpy(values[:6]).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda y: transform.forward(y, params), y)


# ---- corners of each transform


def learn_one(transform, y):
    return transform.learn(np.asarray(y, dtype=np.float64)[:, None], np.array([len(y)]))[:, 0, 0]


@pytest.mark.parametrize("level", [0.0, 0.1, -3.7, 1e9, 1e-9])
@pytest.mark.parametrize("rows", [3, 7, 11, 100_003])
def test_a_constant_series_gets_the_scale_one(level, rows):
    y = np.full(rows, level)
    mean, std = learn_one(Standardize(), y)
    assert std == 1.0
    assert mean == pytest.approx(level, rel=1e-14)
    z = Standardize().forward(torch.from_numpy(y), torch.tensor([mean, std]))
    assert z.abs().max() <= 1e-14 * max(1.0, abs(level))


def test_a_series_of_zeros_is_divided_by_one():
    assert learn_one(MeanScale(), np.zeros(5)).tolist() == [1.0]
    assert learn_one(Standardize(), [3.0]).tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    ("y", "offset", "floor"),
    [
        ([1.0, 2.0], 0.0, 1e-3),
        ([0.5, 4.0], 0.0, 5e-4),
        ([0.0, 2.0], 1.0, 1e-3),
        ([-3.0, 2.0], 4.0, 1e-3),
    ],
)
def test_the_offset_of_log_is_zero_for_positive_rows_and_else_lifts_the_smallest_to_one(y, offset, floor):
    assert learn_one(Log(), y).tolist() == pytest.approx([offset, floor])


@pytest.mark.parametrize("low", [-1e17, -1.0, 0.0, 1e-310, 5e-324, 1e300])
def test_log_is_finite_whatever_was_learnt_and_whatever_comes_later(low):
    offset, floor = learn_one(Log(), [low, 2.0])
    later = torch.tensor([low, 0.0, -1e18, 1e18], dtype=torch.float64)
    assert torch.isfinite(Log().forward(later, torch.tensor([offset, floor], dtype=torch.float64))).all()


def test_later_values_outside_the_domain_of_log_are_clamped_to_its_floor():
    params = torch.tensor(learn_one(Log(), [2.0, 3.0]))
    later = torch.tensor([-5.0, 0.0, 0.0019, 0.002, 0.0021], dtype=torch.float64)
    assert Log().clamped(later, params).tolist() == [True, True, True, False, False]
    assert Log().forward(later, params)[:4].tolist() == pytest.approx([np.log(0.002)] * 4, rel=1e-12)


def test_clamped_values_are_counted_in_the_rows_that_each_window_reads():
    y = np.array([1.0, 2, 3, -1, 4, 5, 0, 0, 2, 1, 2, -3])
    indptr = np.array([0, 8, 12])
    chain = Chain.learn([Log()], y[:, None], indptr, np.array([3, 3]))
    stages = chain.stages(y[:, None], indptr)
    flags = [False, False, False, True, False, False, True, True, False, False, False, True]
    windows = [(0, 7), (0, 2), (3, 3), (2, 6), (8, 11), (8, 10)]
    first, last = np.array(windows).T
    expected = sum(sum(flags[a : b + 1]) for a, b in windows)
    assert chain.count_clamped(stages, indptr, first, last) == expected == 7


def test_a_row_is_counted_once_however_many_of_its_channels_were_clamped():
    y = np.array([[1.0, 1.0], [2.0, 2.0], [-1.0, -1.0], [1.0, -1.0]])
    chain = Chain.learn([Log()], y, np.array([0, 4]), np.array([2]))
    assert chain.count_clamped(chain.stages(y, np.array([0, 4])), np.array([0, 4]), np.array([0]), np.array([3])) == 2


def test_rows_without_a_value_are_never_counted_as_clamped():
    # Differences of a growing series are positive, so the offset is 0, under which the empty first row lies.
    y = np.arange(8.0)[:, None] ** 2
    indptr = np.array([0, 5, 8])
    chain = Chain.learn([Difference(1), Log()], y, indptr, np.array([5, 3]))
    stages = chain.stages(y, indptr)
    assert chain.count_clamped(stages, indptr, np.array([0, 5]), np.array([4, 7])) == 0


@pytest.mark.parametrize("transforms", [[Standardize()], [Difference(1), MeanScale()], []])
def test_transforms_whose_domain_is_every_number_clamp_nothing(transforms, values):
    chain = learn(transforms, values)
    assert chain.count_clamped(chain.stages(values, INDPTR), INDPTR, INDPTR[:-1], INDPTR[1:] - 1) == 0
    assert not MeanScale().clamped(torch.tensor([-1.0, 0.0]), torch.tensor([1.0])).any()


# ---- a transform of one's own


class Halve(Transform):
    """Elementwise, learns nothing."""

    def forward(self, y, params):
        return y / 2

    def inverse(self, z, params):
        return z * 2


def test_a_transform_that_learns_nothing_is_inverted_too(values):
    transforms = [Halve(), Difference(2)]
    chain = learn(transforms, values)
    z, tails, _ = cut(chain.stages(values, INDPTR), transforms, 1, 30, 6)
    back = chain.inverse(z, torch.tensor([[1]]), tails)
    np.testing.assert_allclose(back[0, 0], rows_of(values, 1)[31:37], rtol=1e-12, atol=1e-12)


def test_the_base_class_leaves_there_and_back_to_its_subclasses():
    for method in (Transform().forward, Transform().inverse):
        with pytest.raises(NotImplementedError):
            method(torch.zeros(1), torch.zeros(0, 1))


# ---- check_transforms


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), ()),
        ([], ()),
        (Log(), (Log(),)),
        ([Log(), Difference(2)], (Log(), Difference(2))),
        (iter([Log()]), (Log(),)),
    ],
)
def test_transforms_are_one_or_several_in_any_kind_of_list(given, expected):
    assert check_transforms(given) == expected


@pytest.mark.parametrize(
    ("given", "fragment"),
    [
        ("log", "target_transforms='log'; expected a list of transform objects: Log(), BoxCox(), Difference(1)"),
        (Log, "target_transforms=the class Log; expected"),
        (None, "target_transforms=None; expected a list of transform objects"),
        (24, "target_transforms=24; expected"),
        (["log"], "target_transforms holds 'log'; expected a list of transform objects"),
        ([Log(), Difference], "target_transforms holds the class Difference; expected"),
        ([Log(), 24], "target_transforms holds 24; expected"),
        ([None], "holds None"),
    ],
)
def test_what_is_no_transform_is_a_type_error_that_shows_what_to_write(given, fragment):
    with pytest.raises(ArgumentTypeError) as caught:
        check_transforms(given)
    assert fragment in str(caught.value)
    assert isinstance(caught.value, TypeError)
