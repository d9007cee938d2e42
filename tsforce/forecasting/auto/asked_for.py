"""Which candidates are tried where a user names them, or brings forecasters of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tsforce.dynamics.models.families import Family
from tsforce.errors import ArgumentError, ArgumentTypeError, did_you_mean
from tsforce.forecasting.auto.candidate import Candidate
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.baselines import Baseline

__all__ = ["BY_BUDGET", "asked_candidates", "own_forecasters"]

#: The name that stands for all that the budget bears.
BY_BUDGET = "auto"
# What errors are measured by: tried in any case.
_REFERENCES = ("naive", "seasonal_naive")
# What forecasters that read one frame must agree on.
_SHARED = ("id_col", "time_col", "target_col", "freq")
# Seconds on one core of a trial of which nothing is known, about.
_WORK = 1.0


def own_forecasters(auto: Any) -> list[str | tuple[str, Forecaster]] | None:
    """Return the names and the named forecasters that are asked for, checked; None: what the budget bears.

    Parameters
    ----------
    auto : AutoNARX

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If one is neither, or a forecaster has another horizon, other columns, or inputs that `auto` does not read.
    """
    given = auto.candidates
    if given is None:
        return None
    found: list[str | tuple[str, Forecaster]] = []
    for item in _items(given):
        if not isinstance(item, str):
            name, model = item
            name = name or _unlike(model.name, [one if isinstance(one, str) else one[0] for one in found])
            _check(auto, name, model)
            item = name, model
        if item not in found:
            found.append(item)
    if not found:
        raise ArgumentError("candidates is empty; name some, or leave it out for what the budget bears.")
    return found


def _items(given: Any) -> Iterator[str | tuple[str, Forecaster]]:
    """Yield names, and forecasters with the name that they were given, empty for none."""
    parts = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    for part in parts:
        pairs = part.items() if isinstance(part, Mapping) else [("", part)]
        for name, model in pairs:
            if isinstance(model, Forecaster):
                yield str(name), model
            elif isinstance(model, str) and not name:
                yield model
            else:
                where = f"[{name!r}]" if name else ""
                raise ArgumentTypeError(
                    f"candidates{where} has {model!r}; expected names such as 'theta' or {BY_BUDGET!r}, Forecasters "
                    f"such as NARXForecaster(...), and dicts of name -> Forecaster."
                )


def _unlike(name: str, others: Sequence[str]) -> str:
    """Return a name, with a number where it is taken."""
    number = 1
    found = name
    while found in others:
        number += 1
        found = f"{name} {number}"
    return found


def _check(auto: Any, name: str, model: Forecaster) -> None:
    if model.horizon not in (None, auto.horizon):
        raise ArgumentError(
            f"candidates: {name!r} has horizon={model.horizon!r}, AutoNARX has {auto.horizon!r}; give both the same."
        )
    for reader in model._readers():
        for attribute in _SHARED:
            own, wanted = getattr(reader, attribute), getattr(auto, attribute)
            if str(own) != str(wanted):
                raise ArgumentError(
                    f"candidates: {name!r} has {attribute}={own!r}, AutoNARX has {wanted!r}; they read one frame and "
                    f"must agree on it."
                )
    ours = auto._inputs()
    for kind, columns in model._inputs().items():
        unread = [column for column in columns if column not in ours[kind]]
        if unread:
            raise ArgumentError(
                f"candidates: {name!r} reads {kind}={unread!r}, AutoNARX does not; name it there too: "
                f"AutoNARX(..., {kind}={[*ours[kind], *unread]!r})."
            )


def asked_candidates(
    asked: Sequence[str | tuple[str, Forecaster]] | None,
    by_budget: list[Candidate],
    by_name: Mapping[str, Callable[[], Candidate]],
) -> list[Candidate]:
    """Return what is tried, cheap ones first; the first one forecasts any series.

    Parameters
    ----------
    asked : sequence of str or (str, Forecaster), or None
        From `own_forecasters`; None: what the budget bears.
    by_budget : list of Candidate
        Its first one forecasts any series.
    by_name : mapping of str to function
        Makes what is tried, whatever the budget, where its family is named.

    Raises
    ------
    ArgumentError
        If a name is that of no candidate and no family, or of a forecaster too.
    """
    if asked is None:
        return by_budget
    families = dict.fromkeys([BY_BUDGET, *(c.family for c in by_budget), *by_name])
    names = [*families, *(c.name for c in by_budget)]
    chosen: dict[str, Candidate] = {}
    for item in asked:
        if not isinstance(item, str):
            name, model = item
            if name in names:
                raise ArgumentError(f"candidates: {name!r} is the name of one that AutoNARX has; call yours otherwise.")
            chosen[name] = _own(name, model)
        elif item == BY_BUDGET:
            chosen = {c.name: c for c in by_budget} | chosen
        elif item in names:
            mine = {c.name: replace(c, why_not="") for c in by_budget if item in (c.name, c.family)}
            if item in by_name and item not in mine:
                mine[item] = replace(by_name[item](), why_not="")
            chosen |= mine
        else:
            raise ArgumentError(
                f"candidates: {item!r} is no candidate for these rows; there are: {', '.join(map(repr, families))}, "
                f"and the names in leaderboard_.{did_you_mean(item, names)}"
            )
    for candidate in by_budget:
        if candidate.name in _REFERENCES and candidate.name not in chosen:
            chosen[candidate.name] = replace(candidate, stands_in=True)
    first = by_budget[0].name
    return sorted(chosen.values(), key=lambda candidate: (candidate.name != first, candidate.work))


def _own(name: str, model: Forecaster) -> Candidate:
    copy = model.clone_unfitted()
    if "short_series" in copy.get_params(deep=False):
        copy.set_params(short_series="drop")
    return Candidate(name, _family_of(model), copy, getattr(model, "mode", None), _WORK)


def _family_of(model: Forecaster) -> str:
    """Return what forecasters are alike in: the method, the model of lags, or the class."""
    if isinstance(model, Baseline):
        return model.method
    kind: Any = getattr(model, "model", None)
    if isinstance(kind, str):
        return kind
    return kind.name if isinstance(kind, Family) else type(model if kind is None else kind).__name__
