"""Hypothesis strategies for long frames; a new kind of frame that tsforce accepts joins them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import strategies as st

FREQUENCIES = ("h", "30min", "D", "2D", "B", "W-SUN", "MS", "2MS", "ME", "QS-JAN", "QE-DEC", "YS-JAN")
ZONES = (None, "UTC", "Europe/Berlin", "America/New_York")
UNITS = ("s", "ms", "us", "ns")
STEP_DTYPES = ("int16", "int32", "int64", "uint32", "Int64")
ID_DTYPES = ("str", "object", "category", "ordered", "int64", "Int32")


def values(least=-1e6, most=1e6):
    """Finite float64 of a size that a level can have."""
    return st.floats(least, most, allow_nan=False, allow_infinity=False, width=64)


@st.composite
def id_columns(draw, n_series):
    """Return `n_series` distinct ids as an array of some dtype that ids may have."""
    dtype = draw(st.sampled_from(ID_DTYPES))
    numbers = draw(st.permutations(range(n_series)))
    if dtype in ("int64", "Int32"):
        return pd.array([3 * k - 4 for k in numbers], dtype=dtype)
    names = [f"store {k}" for k in numbers]
    if dtype in ("category", "ordered"):
        # One category without rows, and an order that is neither that of the rows nor of the alphabet.
        categories = draw(st.permutations([*names, "closed"]))
        return pd.Categorical(names, categories=categories, ordered=dtype == "ordered")
    if dtype == "object":
        return pd.array([name if k % 2 else ("pair", k) for k, name in enumerate(names)], dtype=object)
    return pd.array(names, dtype="str")


@st.composite
def clocks(draw):
    """Return (freq, function from an array of step numbers 0, 1, 2 ... to stamps)."""
    if draw(st.booleans()):
        step, dtype = draw(st.integers(1, 7)), draw(st.sampled_from(STEP_DTYPES))
        origin = draw(st.integers(0, 1000)) - (0 if dtype.startswith("u") else 500)
        return step, lambda steps: pd.array(origin + step * steps, dtype=dtype)
    freq, zone, unit = (draw(st.sampled_from(choice)) for choice in (FREQUENCIES, ZONES, UNITS))
    start = pd.Timestamp("2000-01-01") + pd.Timedelta(days=draw(st.integers(0, 9000)))
    if freq in ("h", "30min"):
        # Hours go on through a change of the clock, whatever it shows; calendars follow what it shows.
        grid = pd.date_range(start, periods=60, freq=freq, unit="s", tz=zone)
    else:
        grid = pd.date_range(start, periods=60, freq=freq, unit="s").tz_localize(
            zone, nonexistent="shift_forward", ambiguous=True
        )
    return freq, lambda steps: grid.as_unit(unit)[steps]


@st.composite
def frames(draw, *, most_series=5, most_rows=12, shuffle=None):
    """Return (frame, freq): ragged series at different starts, with any dtypes of id and ds.

    Parameters
    ----------
    most_series, most_rows : int
    shuffle : bool, optional
        Whether the rows are out of order; drawn by default.
    """
    n_series = draw(st.integers(1, most_series))
    ids = draw(id_columns(n_series))
    freq, stamps_of = draw(clocks())
    lengths = draw(st.lists(st.integers(1, most_rows), min_size=n_series, max_size=n_series))
    starts = draw(st.lists(st.integers(0, 20), min_size=n_series, max_size=n_series))
    series = np.repeat(np.arange(n_series), lengths)
    steps = np.concatenate([start + np.arange(rows) for start, rows in zip(starts, lengths, strict=True)])
    y = draw(st.lists(values(), min_size=len(series), max_size=len(series)))
    df = pd.DataFrame({"unique_id": pd.Series(ids).take(series).array, "ds": stamps_of(steps), "y": np.array(y)})
    if shuffle or (shuffle is None and draw(st.booleans())):
        df = df.iloc[draw(st.permutations(range(len(df))))]
    return df, freq


@st.composite
def panels(draw, **kwargs):
    """Return the panel of one of the frames."""
    from tsforce.data.frame import read_panel

    df, freq = draw(frames(**kwargs))
    return read_panel(df, freq=freq)
