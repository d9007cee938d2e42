from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsforce.scoring.cutoffs import count_back, flatten

lengths = st.lists(st.integers(0, 60), min_size=1, max_size=6)
sizes = st.integers(1, 9)


@given(lengths, sizes, sizes, sizes)
def test_number_of_cutoffs_follows_the_count_formula(lengths, horizon, n_windows, step_size):
    cutoffs = count_back(lengths, horizon, n_windows, step_size)
    assert cutoffs.shape == (len(lengths), n_windows)
    assert cutoffs.dtype == np.int64
    for n, row in zip(lengths, cutoffs, strict=True):
        room = n - 1 - horizon
        assert (row >= 0).sum() == (min(n_windows, room // step_size + 1) if room >= 0 else 0)


@given(lengths, sizes, sizes, sizes)
def test_every_cutoff_leaves_the_whole_horizon_and_one_visible_row(lengths, horizon, n_windows, step_size):
    series, rows, _ = flatten(count_back(lengths, horizon, n_windows, step_size))
    assert (rows >= 0).all()
    assert (rows + horizon <= np.asarray(lengths)[series] - 1).all()


@given(lengths, sizes, sizes, sizes)
def test_cutoffs_are_step_size_apart_and_the_last_uses_the_last_rows(lengths, horizon, n_windows, step_size):
    for n, row in zip(lengths, count_back(lengths, horizon, n_windows, step_size), strict=True):
        available = row[row >= 0]
        assert (np.diff(available) == step_size).all()
        assert (row[: n_windows - len(available)] == -1).all()
        if len(available):
            assert available[-1] + horizon == n - 1


@given(lengths, sizes, sizes, sizes)
def test_flatten_equals_a_loop(lengths, horizon, n_windows, step_size):
    cutoffs = count_back(lengths, horizon, n_windows, step_size)
    looped = [(i, c, k) for i, row in enumerate(cutoffs) for k, c in enumerate(row) if c >= 0]
    flat = flatten(cutoffs)
    assert list(zip(*(part.tolist() for part in flat), strict=True)) == looped
    assert looped == sorted(looped)
    assert all(part.dtype == np.int64 and part.ndim == 1 for part in flat)


def test_cutoffs_worked_by_hand():
    # 10 rows, horizon 3: the last cutoff sees rows 0..6; 2 earlier 4, 2. 4 rows: only 0; 3 rows: none.
    assert count_back([10, 4, 3], horizon=3, n_windows=3, step_size=2).tolist() == [
        [2, 4, 6],
        [-1, -1, 0],
        [-1] * 3,
    ]


def test_flatten_of_no_available_cutoff_is_empty():
    assert [part.shape for part in flatten(count_back([2], 5, 3, 1))] == [(0,)] * 3
