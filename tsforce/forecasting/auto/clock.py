"""How long choosing takes: a limit that is kept, and a line of progress."""

from __future__ import annotations

import time

from tsforce.progress import Progress

__all__ = ["Clock"]

# What learning from all rows costs at least, in times of learning from those before the cutoffs.
_AGAIN = 1.25
# Seconds of trials after which this machine's speed counts as much as the one that guesses of work were measured on.
_PRIOR = 0.5


class Clock:
    """Seconds since a fit began, and what is left of them.

    Parameters
    ----------
    limit : float, optional
        Seconds on the clock for all.
    name : str
        Of whoever is fitted, for the line of progress.
    verbose : bool
        Show that line on stderr.
    """

    def __init__(self, limit: float | None, name: str, *, verbose: bool) -> None:
        self.limit = limit
        self._progress = Progress(name, shown=verbose)
        self._begun = time.perf_counter()
        self._work = self._seconds = 0.0
        self._trials: list[float] = []
        self._again, self._most = _AGAIN, 0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return float("inf") if self.limit is None else self.limit - (time.perf_counter() - self._begun)

    def learning(self, rows: float, most: int) -> None:
        """Take note of what is learnt once more: `most` candidates, from so many times the rows on trial."""
        self._again, self._most = max(_AGAIN, rows), most

    def allows(self, work: float) -> bool:
        """Return whether there is time for one more trial, and for learning once more what is heard then."""
        guess = self._guess(work)
        return guess + self._learnt_again(guess) <= self.left

    def allows_again(self, seconds: float) -> bool:
        """Return whether there is time to learn once more what took so many seconds on trial."""
        return self._again * seconds <= self.left

    def went_on(self, seconds: float) -> None:
        """Take note of seconds that a process before this one has spent."""
        self._begun -= seconds

    def took(self, work: float, seconds: float) -> None:
        """Take note of a trial."""
        self._trials.append(seconds)
        if work > 0:
            self._work += work
            self._seconds += seconds

    def show(self, what: str, done: int, total: int, work: float = 0.0) -> None:
        """Write over the line of progress; `work` is what is left of it."""
        ahead = self._guess(work) + self._learnt_again(self._guess(work)) if self._work else 0.0
        left = f", about {min(ahead, self.left):.0f} s left" if ahead else ""
        self._progress.show(f"{what}{left}", done, total)

    def end(self) -> None:
        """End the line."""
        self._progress.close()

    def _guess(self, work: float) -> float:
        return work * (self._seconds + _PRIOR) / (self._work + _PRIOR)

    def _learnt_again(self, one_more: float) -> float:
        longest = sorted([*self._trials, one_more], reverse=True)
        return self._again * sum(longest[: self._most or None])
