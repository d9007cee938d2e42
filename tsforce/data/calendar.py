"""Calendar features: what a stamp itself says."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BusinessDay, Day, Tick

from tsforce.errors import ArgumentError, check_choice

__all__ = ["CALENDAR", "calendar_columns", "calendar_of", "calendar_values", "check_calendar"]

FloatArray = npt.NDArray[np.float64]

# One indicator per value: how many values, and the first of them.
_INDICATORS = {"hour": (24, 0), "dayofweek": (7, 0), "month": (12, 1), "quarter": (4, 1), "hourofweek": (168, 0)}
# Sines and cosines: the period, and how many harmonics.
_WAVES = {"timeofday": (1.0, 4), "dayofmonth": (31.0, 2), "dayofyear": (365.25, 3), "weekofyear": (365.25 / 7, 3)}
_FLAGS = ("weekend", "monthstart", "monthend")

# Years from which the place in the year is no trend.
_YEARS = 1.5

CALENDAR = (*_INDICATORS, *_WAVES, *_FLAGS)


def check_calendar(names: Any, clock: Any) -> tuple[str, ...]:
    """Return the names of calendar features.

    Raises
    ------
    ArgumentError
        If a name is not known, or stamps are whole numbers, which have no calendar.
    """
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        if name == "weekday":
            # pandas calls it so too, and the nearest spelling would be another feature.
            raise ArgumentError("calendar='weekday' is not known; write 'dayofweek' (Monday 0).")
        check_choice("calendar", name, CALENDAR)
    if len(set(listed)) < len(listed):
        raise ArgumentError(f"calendar={names!r} names a feature twice.")
    if listed and isinstance(clock.freq, int):
        raise ArgumentError(
            f"calendar={names!r}: the stamps are whole numbers, which have no calendar; give time stamps, or the "
            f"feature as a column with future_exog=."
        )
    return listed


def calendar_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the columns that some features give.

    Examples
    --------
    >>> calendar_columns(("quarter", "weekend"))
    ('quarter_1', 'quarter_2', 'quarter_3', 'quarter_4', 'weekend')
    """
    columns: list[str] = []
    for name in names:
        if name in _INDICATORS:
            count, first = _INDICATORS[name]
            columns += [f"{name}_{first + value}" for value in range(count)]
        elif name in _WAVES:
            columns += [f"{name}_{wave}{k}" for k in range(1, _WAVES[name][1] + 1) for wave in ("sin", "cos")]
        else:
            columns.append(name)
    return tuple(columns)


def calendar_of(freq: Any, n_rows: int) -> tuple[str, ...]:
    """Return the features that tell hours and days of some frequency apart, none for other frequencies.

    The place in the year is among them where there are rows of a year and a half: of less it is a trend.

    Examples
    --------
    >>> calendar_of("30min", 48 * 365), calendar_of("D", 1000), calendar_of("MS", 200), calendar_of(1, 5000)
    (('hourofweek', 'timeofday'), ('dayofweek', 'dayofyear'), (), ())
    """
    if isinstance(freq, (int, np.integer)):
        return ()
    offset = to_offset(freq)
    if isinstance(offset, Day | BusinessDay) and offset.n == 1:
        names: tuple[str, ...] = ("dayofweek",)
        step = pd.Timedelta(days=1)
    elif isinstance(offset, Tick) and pd.Timedelta(offset) < pd.Timedelta(days=1):
        names, step = ("hourofweek", "timeofday"), pd.Timedelta(offset)
    else:
        return ()
    return (*names, "dayofyear") if n_rows * step >= _YEARS * pd.Timedelta(days=365) else names


def calendar_values(stamps: Any, names: tuple[str, ...]) -> FloatArray:
    """Return the features of stamps, one row each.

    Parameters
    ----------
    stamps : DatetimeIndex of length N
        Read by the wall clock of their own zone; a panel's is that of training.
    names : tuple of str
        "hour", "dayofweek" (Monday 0), "month", "quarter", "hourofweek": one indicator per value. "timeofday",
        "dayofmonth", "dayofyear", "weekofyear": sines and cosines of the first harmonics. "weekend", "monthstart",
        "monthend": 0 or 1.

    Returns
    -------
    (N, Q) float64
        Columns as in `calendar_columns`.
    """
    parts = []
    for name in names:
        if name in _INDICATORS:
            count, first = _INDICATORS[name]
            value = getattr(stamps, {"dayofweek": "day_of_week", "hourofweek": "day_of_week"}.get(name, name))
            if name == "hourofweek":
                value = value * 24 + stamps.hour
            parts.append(np.eye(count)[np.asarray(value, dtype=np.int64) - first])
        elif name in _WAVES:
            period, harmonics = _WAVES[name]
            angle = 2 * np.pi * _phase(stamps, name) / period
            waves = [wave(k * angle) for k in range(1, harmonics + 1) for wave in (np.sin, np.cos)]
            parts.append(np.stack(waves, axis=1))
        else:
            flag = {
                "weekend": stamps.day_of_week >= 5,
                "monthstart": stamps.is_month_start,
                "monthend": stamps.is_month_end,
            }[name]
            parts.append(np.asarray(flag, dtype=np.float64)[:, None])
    return np.concatenate(parts, axis=1) if parts else np.empty((len(stamps), 0))


def _phase(stamps: Any, name: str) -> FloatArray:
    """Return how far along its cycle each stamp is, in the unit of the cycle's period."""
    day = np.asarray((stamps.hour * 60 + stamps.minute) * 60 + stamps.second, dtype=np.float64) / 86_400
    if name == "timeofday":
        return day
    if name == "dayofmonth":
        return np.asarray(stamps.day - 1, dtype=np.float64)
    ordinal = np.asarray(stamps.day_of_year - 1, dtype=np.float64) + day
    return ordinal if name == "dayofyear" else np.floor(ordinal / 7)
