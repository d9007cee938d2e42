"""Frequencies: how the stamps of a series follow one another, and the clock that counts them."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset, Day, Tick

from tsforce.data.panel import IntArray
from tsforce.errors import ArgumentError, FrequencyAliasWarning, warn

__all__ = ["Clock", "check_freq", "infer_offset", "is_finer", "season_length_of", "spelt"]

# Aliases that pandas 3 rejects or is about to, and what they are called now.
_OLD_ALIASES = {
    "H": "h", "T": "min", "S": "s", "L": "ms", "U": "us", "N": "ns", "BH": "bh", "CBH": "cbh",
    "M": "ME", "BM": "BME", "SM": "SME", "CBM": "CBME", "Q": "QE", "BQ": "BQE",
    "A": "YE", "Y": "YE", "BA": "BYE", "BY": "BYE", "AS": "YS", "BAS": "BYS",
    "d": "D", "b": "B", "w": "W", "c": "C",
}  # fmt: skip

_SEASONS = {"D": 7, "W": 52, "ME": 12, "MS": 12, "BME": 12, "BMS": 12, "QE": 4, "QS": 4, "BQE": 4, "BQS": 4}


def check_freq(freq: Any) -> BaseOffset | int | None:
    """Return what `freq` means: a pandas offset, a step for integer stamps, or None for "infer".

    Raises
    ------
    ArgumentError
        If pandas does not know the alias, a DateOffset is neither months nor a fixed length, or the step is not
        positive.

    Warns
    -----
    FrequencyAliasWarning
        If an alias was given that pandas 3 rejects (``H``, ``M``, ``Q`` ...).

    Examples
    --------
    >>> check_freq("MS")
    <MonthBegin>
    """
    if isinstance(freq, str) and freq == "infer":
        return None
    # NumPy's durations are whole numbers to isinstance.
    if isinstance(freq, (timedelta, np.timedelta64)):
        freq = _of_length(pd.Timedelta(freq))
    if isinstance(freq, (int, np.integer)) and not isinstance(freq, bool):
        if freq < 1:
            raise ArgumentError(f"freq={freq!r}: a step for integer stamps is at least 1.")
        return int(freq)
    if type(freq) is pd.DateOffset:
        offset = _plain(freq)
    elif isinstance(freq, BaseOffset):
        offset = freq
    elif isinstance(freq, str):
        offset = _read_alias(freq)
    else:
        raise ArgumentError(
            f"freq={freq!r}: expected 'infer', a pandas alias or offset, or a whole number for integer stamps."
        )
    if offset.n < 1 or _months_of(offset) < 0:
        raise ArgumentError(f"freq={freq!r} does not run forwards; the step must be positive.")
    return offset


def _of_length(step: pd.Timedelta) -> BaseOffset:
    """Return the offset of a fixed length: calendar days where it is whole days."""
    days, rest = divmod(step, pd.Timedelta(days=1))
    return Day(days) if rest == pd.Timedelta(0) else to_offset(step)


def _plain(offset: pd.DateOffset) -> BaseOffset:
    """Return what a DateOffset stands for: months, possibly from a day on, or a fixed length.

    Raises
    ------
    ArgumentError
        If it is neither.
    """
    given = dict(offset.kwds)
    if given.keys() <= {"years", "months", "day"} and given.keys() & {"years", "months"}:
        months = offset.n * (12 * given.get("years", 0) + given.get("months", 0))
        return pd.DateOffset(months=months, **{"day": given["day"]} if "day" in given else {})
    if given.keys() <= {"weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds"}:
        return _of_length(offset.n * (pd.Timedelta(**given) if given else pd.Timedelta(days=1)))
    raise ArgumentError(
        f"freq={offset!r} is neither months (DateOffset(months=1)) nor a fixed length (DateOffset(hours=6)); write one "
        f"of these, or an offset such as 'B', 'W-SUN' or 'MS'."
    )


def _months_of(offset: BaseOffset) -> int:
    """Return the months of a step that is counted from a day of the month, else 0."""
    return int(offset.kwds.get("months", 0)) if type(offset) is pd.DateOffset else 0


def spelt(freq: Any) -> str:
    """Return a frequency as one types it behind ``freq=``.

    Examples
    --------
    >>> spelt("MS"), spelt(pd.DateOffset(months=1, day=15)), spelt(pd.offsets.CustomBusinessDay(weekmask="Sun Mon"))
    ("'MS'", 'pd.DateOffset(months=1, day=15)', "pd.offsets.CustomBusinessDay(weekmask='Sun Mon')")
    """
    if not isinstance(freq, BaseOffset) or _means(freq.freqstr, freq):
        return repr(getattr(freq, "freqstr", freq))
    if type(freq) is pd.DateOffset:
        given = {name: freq.kwds[name] for name in ("months", "day") if name in freq.kwds}
        return f"pd.DateOffset({', '.join(f'{name}={value}' for name, value in given.items())})"
    holidays = [str(day) for day in getattr(freq, "holidays", ())]
    if not hasattr(freq, "weekmask") or len(holidays) > 12:
        # What cannot be written in a line is what the user has given.
        return "freq"
    parts = [str(freq.n)] * (freq.n > 1)
    parts += [f"weekmask={freq.weekmask!r}"] * (freq.weekmask != "Mon Tue Wed Thu Fri")
    parts += [f"holidays={holidays}"] * bool(holidays)
    return f"pd.offsets.{type(freq).__name__}({', '.join(parts)})"


def _read_alias(freq: str) -> BaseOffset:
    match = re.fullmatch(r"(-?\d*)([A-Za-z]+)(-[A-Z]+)?", freq)
    alias = freq
    if match and match[2] in _OLD_ALIASES:
        alias = match[1] + _OLD_ALIASES[match[2]] + (match[3] or "")
        warn(f"freq={freq!r} is an old alias; read as {alias!r}. Write {alias!r}.", FrequencyAliasWarning)
    try:
        return to_offset(alias)
    except ValueError:
        raise ArgumentError(
            f"freq={freq!r} is no pandas frequency; write for example 'h', 'D', 'W-SUN', 'MS', 'ME', 'QS', "
            f"a whole number for integer stamps, or 'infer'."
        ) from None


def _means(alias: str, offset: BaseOffset) -> bool:
    try:
        return bool(to_offset(alias) == offset)
    except ValueError:
        return False


def season_length_of(freq: Any) -> int:
    """Return the season length that goes with a frequency, 1 if none does.

    A year of weeks, months and quarters, a week of days, a day of minutes and hours; of several of them as many as make
    one up.

    Examples
    --------
    >>> [season_length_of(freq) for freq in ("W-SUN", "MS", "2MS", "D", "h", "15min", 1)]
    [52, 12, 6, 7, 24, 96, 1]
    """
    if isinstance(freq, (int, np.integer)):
        return 1
    offset = to_offset(freq)
    length, day = _fixed_step(offset, naive=True), pd.Timedelta(days=1)
    if length is not None and length < day:
        return day // length if day % length == pd.Timedelta(0) and length >= pd.Timedelta(minutes=1) else 1
    name, count = ("D", length // day) if length is not None else (offset.base.freqstr.split("-")[0], offset.n)
    if length is not None and length % day != pd.Timedelta(0):
        return 1
    if name == "D" and count % 7 == 0:
        name, count = "W", count // 7
    if _months_of(offset):
        name, count = "MS", _months_of(offset)
    season = _SEASONS.get(name, 1)
    return season // count if season % count == 0 else 1


def _offsets_not_strings() -> AbstractContextManager[Any]:
    """Return a context in which pandas.infer_freq answers as pandas 4 will; without it 3.1 warns."""
    name = "future.infer_freq_returns_offset"
    try:
        pd.get_option(name)
    except KeyError:
        return nullcontext()
    context: AbstractContextManager[Any] = pd.option_context(name, True)
    return context


def infer_offset(stamps: pd.DatetimeIndex) -> BaseOffset | None:
    """Return the frequency of sorted stamps, or None where it cannot be told.

    A few gaps must not hide the frequency (they are to be reported as gaps): where the whole is irregular, short runs
    of consecutive stamps are looked at. A frequency is taken that at least a quarter of them have, and more than half
    of those that have one.
    """
    stamps = stamps.unique()
    if len(stamps) < 3:
        return None
    by_day = _from_a_day(stamps)
    if by_day is not None:
        return by_day
    with _offsets_not_strings():
        whole = pd.infer_freq(stamps)
        if whole is not None:
            return to_offset(whole)
        # Long runs first: few days in a row do not tell business days from days.
        for length in (8, 4, 3):
            if length < len(stamps):
                starts = np.unique(np.linspace(0, len(stamps) - length, 40).astype(int))
                found = [pd.infer_freq(stamps[i : i + length]) for i in starts]
                votes = Counter(to_offset(freq) for freq in found if freq is not None)
                best, count = votes.most_common(1)[0] if votes else (None, 0)
                if 4 * count >= len(starts) and 2 * count > votes.total():
                    return best
    return None


def _from_a_day(stamps: pd.DatetimeIndex) -> BaseOffset | None:
    """Return the step of months that are all counted from one day, as the 15th; first and last days have aliases."""
    day = int(stamps.day.max())
    if not 1 < day < 31 or not (stamps.day == np.minimum(day, stamps.days_in_month)).all():
        return None
    if stamps.is_month_end.all():
        return None
    steps, counts = np.unique(np.diff(stamps.year * 12 + stamps.month), return_counts=True)
    most = int(np.argmax(counts))
    if len(stamps) < 4 or 2 * counts[most] <= counts.sum() or steps[most] < 1 or len(set(stamps.time)) > 1:
        return None
    return pd.DateOffset(months=int(steps[most]), day=day)


def is_finer(offset: BaseOffset, unit: str) -> bool:
    """Return whether a step is no whole number of a resolution (s, ms, us, ns)."""
    fixed = _fixed_step(offset, naive=True)
    return fixed is not None and fixed % pd.Timedelta(1, unit=unit) != pd.Timedelta(0)


def _fixed_step(offset: BaseOffset, naive: bool) -> pd.Timedelta | None:
    """Return the length of one step where it is always the same, else None."""
    if isinstance(offset, Day):
        # A calendar day in a zone with daylight saving has 23 to 25 hours.
        return pd.Timedelta(days=offset.n) if naive else None
    if isinstance(offset, Tick):
        return pd.Timedelta(offset)
    return None


@lru_cache(maxsize=16)
def _grid(origin: pd.Timestamp, offset: BaseOffset, size: int, dtype: Any) -> pd.DatetimeIndex:
    """Return up to `size` points of a calendar: fewer where the dtype can hold no more."""
    zone = getattr(dtype, "tz", None)
    start = origin.tz_localize(None)
    whole = start.floor("s")
    # In seconds no grid runs out of range, however generously its size is rounded up.
    grid = pd.date_range(whole.as_unit("s"), periods=size, freq=offset, unit="s")
    # Up to a day lies between wall clock and UTC.
    last = np.iinfo(np.int64).max // int(pd.Timedelta(1, unit="s") / pd.Timedelta(1, unit=origin.unit)) - 86_400
    grid = (grid[grid.asi8 <= last] + (start - whole)).as_unit(origin.unit)
    if zone is not None:
        # Calendars follow the wall clock. Where a change of the clock skips its time the point moves behind the change,
        # where one repeats it the first is meant.
        grid = grid.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(len(grid), dtype=bool))
    return grid


@dataclass(frozen=True)
class Clock:
    """Translates between the user's stamps and ticks, which are whole numbers.

    Attributes
    ----------
    freq : str, int or BaseOffset
        The frequency as remembered in ``freq_``: its alias, if it has one.
    step : int
        Ticks from one row to the next.
    dtype : dtype
        Of the user's time column; stamps come back in it.
    offset : BaseOffset or None
        Set where a tick is a place on a calendar grid (months, weeks, business days ...) that starts at `origin`;
        the calendar of one base step, also where the frequency is several of them. Otherwise a tick is the stamp
        itself as a whole number.
    origin : Timestamp or None
    """

    freq: str | int | BaseOffset
    step: int
    dtype: Any
    offset: BaseOffset | None = None
    origin: pd.Timestamp | None = None

    @staticmethod
    def for_stamps(stamps: Any, freq: BaseOffset | int) -> Clock:
        """Return the clock for a column of stamps (a pandas Index) at a known frequency."""
        if isinstance(freq, int):
            return Clock(freq, freq, stamps.dtype)
        fixed = _fixed_step(freq, naive=stamps.tz is None)
        if fixed is not None:
            one = pd.Timedelta(1, unit=stamps.unit)
            if fixed % one == pd.Timedelta(0) and fixed >= one:
                return Clock(freq.freqstr, fixed // one, stamps.dtype)
        if _months_of(freq):
            day = freq.kwds.get("day", int(stamps.day.max()))
            first = stamps.min()
            origin = first + pd.DateOffset(day=day)
            origin = origin if origin <= first else first + pd.DateOffset(months=-1, day=day)
            base, months = pd.DateOffset(months=1, day=day), _months_of(freq)
            return Clock(pd.DateOffset(months=months, day=day), months, stamps.dtype, base, origin)
        # One point of the grid for each base step: series of every second month may start in any month.
        name = freq.freqstr if _means(freq.freqstr, freq) else freq
        return Clock(name, freq.n, stamps.dtype, freq.base, freq.base.rollback(stamps.min()))

    def _grid_until(self, size: int) -> pd.DatetimeIndex:
        # Sizes are rounded up, so that neighbouring requests share one cached grid.
        return _grid(self.origin, self.offset, 1 << max(size, 16).bit_length(), self.dtype)

    def ticks(self, stamps: Any) -> tuple[IntArray, Any]:
        """Return the tick of the last grid point at or before each stamp, and whether the stamp lies on it.

        For a clock without a calendar every stamp lies on a tick; whether it is a whole number of steps away from
        its series' first row is for the caller to see.
        """
        raw = stamps.asi8 if isinstance(stamps, pd.DatetimeIndex) else stamps.to_numpy(np.int64)
        if self.offset is None:
            return raw, np.ones(len(raw), dtype=bool)
        size, grid = 16, self._grid_until(16).asi8
        while len(raw) and grid[-1] < raw.max() and len(grid) > size:
            size *= 4
            grid = self._grid_until(size).asi8
        ticks = grid.searchsorted(raw, side="right").astype(np.int64) - 1
        return ticks, grid[np.maximum(ticks, 0)] == raw

    def stamps(self, ticks: IntArray) -> Any:
        """Return the stamps of ticks as a pandas Index with the user's dtype.

        Whole numbers that no longer fit a narrow dtype (an int8 after 127) come back as int64.
        """
        if self.offset is not None:
            assert ticks.min(initial=0) >= 0
            grid = self._grid_until(int(ticks.max(initial=0)) + 1)
            if ticks.max(initial=0) >= len(grid):
                raise self.out_of_range()
            return grid.take(ticks)
        if isinstance(self.freq, int):
            numpy_dtype = getattr(self.dtype, "numpy_dtype", self.dtype)
            fits = np.array_equal(ticks.astype(numpy_dtype), ticks)
            return pd.Index(ticks).astype(self.dtype) if fits else pd.Index(ticks)
        zone = getattr(self.dtype, "tz", None)
        unit = np.datetime_data(self.dtype)[0] if zone is None else self.dtype.unit
        stamps = pd.DatetimeIndex(ticks.view(f"M8[{unit}]"))
        return stamps if zone is None else stamps.tz_localize("UTC").tz_convert(zone)

    def out_of_range(self) -> ArgumentError:
        """Return the error of stamps behind the last one that the user's dtype holds."""
        if isinstance(self.freq, int):
            return ArgumentError(
                f"steps go past {np.iinfo(np.int64).max}, the largest whole number of 64 bits; number them from 0."
            )
        unit: Any = getattr(self.dtype, "unit", None) or np.datetime_data(self.dtype)[0]
        return ArgumentError(
            f"stamps go past {np.datetime64(np.iinfo(np.int64).max, unit).astype('M8[D]')}, the last "
            f"day of {self.dtype}. Say a shorter horizon, or make the time stamps coarser with .dt.as_unit('s')."
        )
