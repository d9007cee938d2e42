"""What a candidate of AutoNARX is, and what all of them are given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tsforce.forecasting.base import Forecaster

__all__ = ["Candidate", "Wanted", "in_words"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A forecaster that is tried.

    Attributes
    ----------
    name : str
        What it is, in words.
    family : str
        Candidates of one family are alike, and share a voice.
    model : Forecaster
        Not fitted.
    mode : str or None
        What it is trained in; None for reference methods.
    work : float
        Seconds on one core that a trial takes, about; 0 of what is tried in any case.
    from_some : bool
        Whether the series on trial are enough to learn from, where a panel has more: few weights for all series.
    why_not : str
        Why it is not tried unless it is named; empty: it is.
    stands_in : bool
        Whether it is heard only where no other candidate has a forecast: what errors are measured by, and nobody named.
    """

    name: str
    family: str
    model: Forecaster
    mode: str | None
    work: float
    from_some: bool = False
    why_not: str = ""
    stands_in: bool = False

    def trained(self, mode: Any) -> Candidate:
        """Return the candidate that is trained in another mode; a reference method is what it was."""
        return self if self.mode is None else replace(self, mode=mode)


@dataclass(frozen=True, eq=False)
class Wanted:
    """What all candidates are given.

    Attributes
    ----------
    horizon : int
    seasons : tuple of int
        The first one measures errors; (1,) for none.
    shared : dict
        Arguments of every forecaster: freq and the names of columns.
    narx : dict
        Further arguments of every NARXForecaster: inputs, missing, random_state.
    budget : str
    """

    horizon: int
    seasons: tuple[int, ...]
    shared: dict[str, Any]
    narx: dict[str, Any]
    budget: str


def in_words(transforms: Iterable[Any]) -> str:
    """Return what transforms are called in the name of a candidate.

    Examples
    --------
    >>> from tsforce import Difference, Log
    >>> in_words((Log(), Difference(12))), in_words(())
    ('Log() Difference(12)', 'levels')
    """
    return " ".join(map(str, transforms)).replace("lag=", "") or "levels"
