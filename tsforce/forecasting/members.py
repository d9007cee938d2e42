"""Forecasters made of others take later rows in: each member in its own way."""

from __future__ import annotations

import warnings
from copy import copy
from typing import Any

import numpy as np

from tsforce.data.later_rows import Grown
from tsforce.data.panel import Panel
from tsforce.errors import SeriesTooShortError, UnseenSeriesError
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.update import Update

__all__ = ["told_of_members", "updated_members"]


def updated_members(
    members: dict[str, Forecaster], given: Panel, now: Grown
) -> tuple[dict[str, Forecaster], dict[str, Update]]:
    """Return members that have taken later rows in, and what each has changed; the given ones stay as they are.

    A new series is left out of a member that cannot learn of it. A member without ``update`` is fitted again.

    Parameters
    ----------
    members : dict of fitted Forecaster
    given : Panel
        The rows that were given.
    now : Grown
        All rows.
    """
    found: dict[str, Forecaster] = {}
    told: dict[str, Update] = {}
    new = now.panel.id_list[now.n_known :]
    known = [i for i, name in enumerate(given.id_list) if name not in set(new)]
    for name, member in members.items():
        # What is learnt is replaced, never changed: a shallow copy is one of its own.
        own: Any = copy(member)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not hasattr(own, "update"):
                own = member._refitted(now.panel)
                rows = now.counts
                told[name] = Update(name, int(rows.sum()), int((rows > 0).sum()), "fitted again", tuple(new))
            else:
                try:
                    told[name] = own.update(given)
                except (UnseenSeriesError, SeriesTooShortError):
                    if not new:
                        raise
                    told[name] = own.update(given.take(known))
                    own.short_series_ = [*getattr(own, "short_series_", []), *new]
        _share(own, now.panel)
        found[name] = own
    return found, told


def _share(member: Any, panel: Panel) -> None:
    """Let a member stand on the rows of all, where they are the same, and on none of its own."""
    for name in ("_learnt_from_", "_rows_"):
        rows = getattr(member, name, None)
        if not isinstance(rows, Panel):
            continue
        same = rows.columns == panel.columns and rows.id_list == panel.id_list
        if same and np.array_equal(rows.indptr, panel.indptr) and len(rows.filled) == len(panel.filled) == 0:
            setattr(member, name, panel)


def told_of_members(name: str, now: Grown, told: dict[str, Update], change: float = float("nan")) -> Update:
    """Return what an update of several members has changed: the error before is the members' mean."""
    rows, new = now.counts, tuple(now.panel.id_list[now.n_known :])
    errors = [one.error_before for one in told.values() if np.isfinite(one.error_before)]
    before = float(np.mean(errors)) if errors else float("nan")
    return Update(name, int(rows.sum()), int((rows > 0).sum()), "members", new, change, before, told)
