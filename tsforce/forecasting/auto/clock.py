"""How long choosing takes: a limit that is kept, and a line of progress."""

from __future__ import annotations

import sys
import time

__all__ = ["Clock"]

# What learning from all rows costs, in times of learning from those before the cutoffs.
_AGAIN = 1.25


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
        self._name, self._verbose = name, verbose
        self._begun = time.perf_counter()
        self._seconds, self._work = 0.0, 0.0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return float("inf") if self.limit is None else self.limit - (time.perf_counter() - self._begun)

    def allows(self, work: float) -> bool:
        """Return whether there is time for one more trial, and for learning all of them once more."""
        guess = self._guess(work)
        return guess + _AGAIN * (self._seconds + guess) <= self.left

    def allows_again(self, seconds: float) -> bool:
        """Return whether there is time to learn once more what took so many seconds on trial."""
        return _AGAIN * seconds <= self.left

    def took(self, work: float, seconds: float) -> None:
        """Take note of a trial."""
        self._seconds += seconds
        self._work += work

    def show(self, what: str, done: int, total: int, work: float = 0.0) -> None:
        """Write over the line of progress; `work` is what is left of it."""
        if not self._verbose:
            return
        ahead = self._guess(work) + _AGAIN * (self._seconds + self._guess(work)) if self._work else 0.0
        left = f", about {min(ahead, self.left):.0f} s left" if ahead else ""
        sys.stderr.write(f"\r{self._name} {done}/{total} {what}{left}\x1b[K")
        sys.stderr.flush()

    def end(self) -> None:
        """End the line."""
        if self._verbose:
            sys.stderr.write("\n")

    def _guess(self, work: float) -> float:
        return work * self._seconds / self._work if self._work else 0.0
