"""The range that series usually keep to: wild values aside, whatever lasts included."""

from __future__ import annotations

import numpy as np
import pytest

from tsforce.scoring.ranges import usual_range


def one(y):
    """The range of one series, as numbers."""
    found = usual_range(np.asarray(y, dtype=float)[:, None], np.array([len(y)]))
    return [float(part.item()) for part in found]


def test_an_error_of_typing_was_seen_and_belongs_to_no_range():
    y = 10 + np.sin(np.arange(100) * 2 * np.pi / 7)
    clean = one(y)
    y[50] = 1e6
    lowest, highest, low, high, span = one(y)
    assert (lowest, highest) == (y.min(), 1e6)
    assert (low, high, span) == pytest.approx((clean[2], clean[3], clean[4]), rel=1e-12)


def test_differences_of_a_wild_value_are_wild():
    y = np.cumsum(np.random.default_rng(0).normal(size=100))
    wild = y.copy()
    wild[50] += 1e9
    assert one(np.diff(wild))[4] == pytest.approx(one(np.diff(y))[4], rel=0.3)


def test_noise_and_trends_have_their_whole_range():
    for y in (np.random.default_rng(0).normal(size=300), np.arange(40.0), 1.5 ** np.arange(30), [3.0, 1.0, 2.0]):
        assert one(y)[2:] == [np.min(y), np.max(y), np.ptp(y)]


def test_a_start_that_settles_belongs_to_the_range_however_long_it_is_settled():
    settled = 1 - 0.5 ** np.arange(2000.0)
    step = np.r_[np.zeros(3), np.ones(2000)]
    for y in (settled, step):
        assert one(y)[4] == pytest.approx(1.0)


def test_what_comes_every_day_belongs_to_the_range():
    y = np.tile(np.r_[np.zeros(23), 100.0], 20) + 0.01 * np.sin(np.arange(480))
    assert one(y)[4] == pytest.approx(100, rel=1e-3)


@pytest.mark.parametrize(("y", "span"), [([7.0] * 20, 7.0), ([0.0] * 20, np.inf), ([0.0] * 60 + [5.0], 5.0)])
def test_a_constant_tells_its_own_size_if_any(y, span):
    assert one(y)[4] == span


def test_series_of_any_length_side_by_side_are_as_alone_and_missing_values_are_none():
    rng = np.random.default_rng(0)
    counts = np.array([40, 1, 300, 7, 40, 0, 8])
    rows = rng.normal(size=(counts.sum(), 2)) * [1.0, 1e6]
    rows[5, 0] = np.nan
    rows[40, 1] = np.nan
    rows[100, 0] = 1e9
    both = usual_range(rows, counts)
    edges = np.cumsum(np.r_[0, counts])
    for s in range(len(counts)):
        for c in range(2):
            y = rows[edges[s] : edges[s + 1], c]
            own = usual_range(y[:, None], counts[s : s + 1])
            for part, alone in zip(both, own, strict=True):
                np.testing.assert_array_equal(part[s, c], alone[0, 0])
            if (~np.isnan(y)).any():
                assert (both.lowest[s, c], both.highest[s, c]) == (np.nanmin(y), np.nanmax(y))
    assert both.high[2, 0] < 10
    assert np.isnan(both.lowest[5]).all()
    assert np.isnan(both.lowest[1, 1])


@pytest.mark.parametrize("unit", [1e-9, 3.0, 1e9])
def test_a_range_is_in_the_units_of_its_series(unit):
    y = np.random.default_rng(1).normal(size=50)
    y[20] = 1e5
    np.testing.assert_allclose(one(unit * y), unit * np.array(one(y)), rtol=1e-12)


def walked(y):
    """Return low and high by a walk from the values inside outwards, one at a time, and by runs of three."""
    y = y[~np.isnan(y)]
    ordered, n = np.sort(y), len(y)
    at_ends = max(1, round(0.02 * n)) if n >= 8 else 0
    first, last = at_ends, n - 1 - at_ends
    low, high = ordered[first], ordered[last]
    while last + 1 < n and ordered[last + 1] - high <= 10 * (high - ordered[first]):
        last += 1
        high = ordered[last]
    while first > 0 and low - ordered[first - 1] <= 10 * (ordered[n - 1 - at_ends] - low):
        first -= 1
        low = ordered[first]
    lasting = [sorted(y[i : i + 3])[1] for i in range(n - 2)] if at_ends else []
    return min([low, *lasting]), max([high, *lasting])


@pytest.mark.parametrize("most", [7, 30, 240])
def test_the_range_is_that_of_a_walk_from_the_inside_outwards(most):
    rng = np.random.default_rng(most)
    counts = rng.integers(1, most + 1, size=40)
    y = np.round(rng.normal(size=counts.sum()) * rng.choice([1.0, 1.0, 1.0, 40.0, 3000.0], size=counts.sum()), 3)
    found, ends = usual_range(y[:, None], counts), np.cumsum(counts)
    for s, end in enumerate(ends):
        assert (found.low[s, 0], found.high[s, 0]) == walked(y[end - counts[s] : end])
