"""Time zones of stamps: whatever zone the same instants come in, they are counted and described in one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tsforce.errors import ArgumentError

__all__ = ["as_learnt", "in_zone"]


def as_learnt(stamps: Any, learnt: Any, name: str, faults: list[str]) -> Any:
    """Return stamps in the zone that a model has learnt; what does not fit it is added to `faults`.

    Parameters
    ----------
    stamps : Index or None
    learnt : dtype or None
        Of the stamps that were learnt from; None for whatever comes.
    name : str
        Of the time column.
    faults : list of str
    """
    if learnt is None or not isinstance(stamps, pd.DatetimeIndex):
        return stamps
    zone, here = getattr(learnt, "tz", None), f"df[{name!r}]"
    if zone is not None and stamps.tz is not None:
        return stamps.tz_convert(zone)
    if zone is not None and stamps.tz is None:
        faults.append(
            f"column {name!r} holds stamps without a zone, and the model has learnt those of {str(zone)!r}. If they "
            f"are local times there: {here} = {here}.dt.tz_localize({str(zone)!r})."
        )
    elif stamps.tz is not None and getattr(learnt, "kind", "") == "M":
        faults.append(
            f"column {name!r} holds stamps of the zone {str(stamps.tz)!r}, and the model has learnt stamps without "
            f"one. If their local times are meant (else change the zone first, with .dt.tz_convert): {here} = "
            f"{here}.dt.tz_localize(None)."
        )
    return stamps


def in_zone(column: pd.Series, ids: pd.Series | None, zone: str) -> pd.Series:
    """Return a column of stamps in a zone: those that have one are converted, others are local times there.

    Parameters
    ----------
    column : Series
    ids : Series, optional
        The series of each row: within one, of an hour that the clock repeats the first row is the earlier.
    zone : str

    Raises
    ------
    ArgumentError
        If the zone is not known, the column holds no stamps, or a local time is none or two in the zone.

    Examples
    --------
    >>> in_zone(pd.Series(pd.to_datetime(["2024-07-01 06:00+00:00"])), None, "Europe/Berlin").tolist()
    [Timestamp('2024-07-01 08:00:00+0200', tz='Europe/Berlin')]
    """
    try:
        pd.Timestamp(0, tz=zone)
    except Exception:  # Each library of zones has its own.
        raise ArgumentError(f"tz={zone!r}: no such zone; write for example 'Europe/Berlin' or 'UTC'.") from None
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert(zone)
    if column.dtype.kind != "M":
        raise ArgumentError(f"tz={zone!r}: column {column.name!r} holds {column.dtype}, which has no zone.")
    number = np.zeros(len(column), dtype=np.int64) if ids is None else pd.factorize(ids)[0]
    try:
        return column.groupby(number).transform(lambda s: s.dt.tz_localize(zone, ambiguous="infer"))
    except Exception as error:  # Of pytz under pandas 2, else a ValueError.
        raise ArgumentError(
            f"tz={zone!r}: {column.name!r} holds a local time that is none or two there, where the clock is changed "
            f"({error}). Write the stamps with their offsets from UTC."
        ) from None
