"""The panel: frame to panel to frame is exact, and its cuts against plain loops."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.makers import make_frame
from tests.strategies import frames, panels
from tsforce.data.frame import panel_to_frame, read_panel, series_frame
from tsforce.data.panel import WindowIndex, ragged_rows
from tsforce.errors import ArgumentError

QUICK = settings(max_examples=60, deadline=None)


def sorted_by_first_appearance(df):
    """Return the frame sorted by series, in order of first appearance or of the categories, then time."""
    ids = df["unique_id"]
    if isinstance(ids.dtype, pd.CategoricalDtype):
        rank = ids.cat.codes
    else:
        rank = ids.map({name: k for k, name in enumerate(dict.fromkeys(ids))})
    return df.assign(rank=rank.to_numpy()).sort_values(["rank", "ds"]).drop(columns="rank").reset_index(drop=True)


def loop_over(panel):
    """Return each series as (id, list of rows)."""
    return [
        (panel.id_list[i], panel.values[panel.indptr[i] : panel.indptr[i + 1]].tolist()) for i in range(panel.n_series)
    ]


@QUICK
@given(frames())
def test_frame_to_panel_to_frame_is_the_identity_up_to_sorting_dtypes_included(drawn):
    df, freq = drawn
    before = df.copy()
    panel = read_panel(df, freq=freq)
    back = panel_to_frame(panel)
    pd.testing.assert_frame_equal(back, sorted_by_first_appearance(df))
    pd.testing.assert_frame_equal(df, before)
    assert back["unique_id"].dtype == df["unique_id"].dtype
    assert back["ds"].dtype == df["ds"].dtype


@QUICK
@given(frames(shuffle=False))
def test_a_frame_read_twice_is_one_panel(drawn):
    df, freq = drawn
    panel = read_panel(df, freq=freq)
    again = read_panel(panel_to_frame(panel), freq=panel.clock.freq)
    assert not again.was_unsorted
    assert again.id_list == panel.id_list
    assert np.array_equal(again.values, panel.values)
    assert np.array_equal(again.indptr, panel.indptr)
    assert again.clock.freq == panel.clock.freq


@QUICK
@given(frames(shuffle=False), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_within_each_series_changes_no_bit(drawn, random):
    df, freq = drawn
    order = list(range(len(df)))
    random.shuffle(order)
    # Series keep their first row in front, so that they appear in the same order.
    first = df.reset_index(drop=True).drop_duplicates("unique_id").index
    mixed = df.iloc[[*first, *(k for k in order if k not in set(first))]]
    one, two = read_panel(df, freq=freq), read_panel(mixed, freq=freq)
    assert one.id_list == two.id_list
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.start, two.start)


@QUICK
@given(panels(), st.data())
def test_windows_hold_the_rows_up_to_and_with_the_cutoff(panel, data):
    length = data.draw(st.none() | st.integers(1, 6))
    pairs = [(i, int(r)) for i in range(panel.n_series) for r in range(panel.lengths[i])]
    chosen = sorted(data.draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True)))
    index = WindowIndex(*np.array(chosen, dtype=np.int64).T)
    cut, frame = panel.windows(index, length), panel_to_frame(panel)
    assert cut.n_series == len(index) == len(chosen)
    ids, stamps = panel_to_frame(cut)["unique_id"].tolist(), panel_to_frame(cut)["ds"].tolist()
    for k, (series, row) in enumerate(chosen):
        first = 0 if length is None else max(0, row + 1 - length)
        rows = slice(panel.indptr[series] + first, panel.indptr[series] + row + 1)
        own = slice(cut.indptr[k], cut.indptr[k + 1])
        assert np.array_equal(cut.values[own], panel.values[rows])
        assert stamps[own] == frame["ds"][rows].tolist()
        assert ids[own] == frame["unique_id"][rows].tolist()
    assert not np.shares_memory(cut.values, panel.values)


@QUICK
@given(panels(), st.data())
def test_head_keeps_the_first_rows_and_leaves_out_series_with_none(panel, data):
    stops = np.array([data.draw(st.integers(0, int(n))) for n in panel.lengths])
    expected = [(name, rows[:stop]) for (name, rows), stop in zip(loop_over(panel), stops, strict=True) if stop]
    got = panel.head(stops)
    assert loop_over(got) == expected
    assert got.start.tolist() == panel.start[stops > 0].tolist()


@QUICK
@given(panels(), st.data())
def test_take_gives_series_in_the_order_asked_for_repeats_included(panel, data):
    chosen = data.draw(st.lists(st.integers(0, panel.n_series - 1), max_size=6))
    whole = loop_over(panel)
    assert loop_over(panel.take(chosen)) == [whole[i] for i in chosen]
    assert panel.take(np.array(chosen, dtype=np.int64)).id_list == [whole[i][0] for i in chosen]


@given(st.lists(st.tuples(st.integers(-5, 50), st.integers(0, 6)), max_size=8))
def test_ragged_rows_are_those_of_a_loop(pairs):
    starts, counts = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    expected = [start + k for start, count in pairs for k in range(count)]
    got = ragged_rows(starts, counts)
    assert got.tolist() == expected
    assert got.dtype == np.int64


def test_lengths_positions_and_last_rows_of_a_small_panel():
    panel = read_panel(make_frame((4, 2, 3), ids=["b", "a", "c"]))
    assert (panel.n_series, panel.n_channels) == (3, 1)
    assert panel.lengths.tolist() == [4, 2, 3]
    assert panel.position == {"b": 0, "a": 1, "c": 2}
    last = panel.last_rows()
    assert (last.series.tolist(), last.rows.tolist()) == ([0, 1, 2], [3, 1, 2])
    assert panel.ticks(np.array([0, 1]), np.array([0, 5])).tolist() == [1, 6]


def test_series_frame_has_a_row_per_series_with_the_users_id_column():
    panel = read_panel(make_frame((4, 2)).rename(columns={"unique_id": "shop"}), id_col="shop")
    pd.testing.assert_frame_equal(
        series_frame(panel, {"rows": panel.lengths}), pd.DataFrame({"shop": ["s0", "s1"], "rows": [4, 2]})
    )


def test_what_a_panel_has_looked_up_is_no_part_of_its_pickle():
    panel = read_panel(make_frame((4, 2)))
    fresh = pickle.dumps(panel)
    assert panel.position["s1"] == 1
    assert pickle.dumps(panel) == fresh
    assert loop_over(pickle.loads(fresh)) == loop_over(panel)


@pytest.mark.parametrize("index", [([0], [4]), ([0], [-1]), ([-1], [0]), ([1], [2])])
def test_windows_outside_a_series_never_show_the_rows_of_another(index):
    panel = read_panel(make_frame((4, 2)))
    with pytest.raises(AssertionError):
        panel.windows(WindowIndex(*(np.array(part) for part in index)))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("day", ["2000-10-28", "2000-10-29", "2000-03-25", "2000-04-01"])
def test_hours_go_on_through_a_change_of_the_clock(zone, day):
    stamps = pd.date_range(day, periods=60, freq="h", tz=zone)
    panel = read_panel(pd.DataFrame({"ds": stamps, "y": np.arange(60.0)}), freq="h")
    assert panel.lengths.tolist() == [60]
    assert panel_to_frame(panel)["ds"].tolist() == stamps.tolist()


def as_frame(ids, lengths, first, seed):
    rng = np.random.default_rng(seed)
    ds = [np.arange(start, start + rows) for rows, start in zip(lengths, first, strict=True)]
    n = sum(lengths)
    y, u, v = rng.normal(size=(3, n))
    return pd.DataFrame({"unique_id": np.repeat(ids, lengths), "ds": np.concatenate(ds), "y": y, "u": u, "v": v})


def test_a_panel_is_followed_by_the_rows_that_come_after_its_last_ones():
    own = as_frame(["a", "b", "c"], (5, 4, 3), (1, 3, 2), 0)  # ends 5, 6, 4
    # In another order: b repeats two rows, d is not known, a goes on, c is not there.
    later = as_frame(["b", "d", "a"], (5, 2, 3), (5, 1, 6), 1)
    joined = read_panel(own, future_exog=["u", "v"]).followed_by(read_panel(later, future_exog=["u", "v"]))
    assert joined.id_list == ["a", "b"]
    assert joined.lengths.tolist() == [8, 7]
    assert joined.ticks(np.array([0, 1]), np.array([0, 0])).tolist() == [1, 3]
    for column, array in (("y", joined.values[:, 0]), ("u", joined.inputs[:, 0]), ("v", joined.inputs[:, 1])):
        a = [*own[column][:5], *later[column][7:10]]
        b = [*own[column][5:9], *later[column][2:5]]
        assert array.tolist() == [*a, *b]


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_that_were_all_seen_before_add_none(rows):
    frames = (as_frame(["a"], (length,), (2,), seed) for seed, length in enumerate((3, rows)))
    own, later = (read_panel(df, future_exog=["u", "v"]) for df in frames)
    assert loop_over(own.followed_by(later)) == loop_over(own)


@pytest.mark.parametrize("step", [1, 3])
def test_rows_missing_before_the_ones_that_follow_are_counted(step):
    frames = (as_frame(["a"], (3,), (first,), 0) for first in (2, 7))  # the first one ends at 4
    frames = (df.assign(ds=step * df["ds"]) for df in frames)
    own, later = (read_panel(df, freq=step, future_exog=["u", "v"]) for df in frames)
    with pytest.raises(ArgumentError, match="'a': 2 rows are missing"):
        own.followed_by(later)


def test_a_panel_with_some_of_its_inputs_has_their_columns_in_the_order_asked_for():
    rng = np.random.default_rng(0)
    df = make_frame((4, 3)).assign(**{name: rng.normal(size=7) for name in ("p", "q", "u", "v")}, size=2.0, town=1.0)
    whole = read_panel(df, past_exog=["p", "q"], future_exog=["u", "v"], static=["size", "town"])
    part = whole.select(["q"], ["v", "u"], ["town"])
    assert part.inputs.tolist() == df[["q", "v", "u"]].to_numpy().tolist()
    assert [column.tolist() for column in part.static] == [[1.0, 1.0]]
    assert part.columns.future_exog == ("v", "u")
    with pytest.raises(ArgumentError, match=r"past_exog=\['u'\]: the data was read without 'u'"):
        whole.select(["u"], [], [])
