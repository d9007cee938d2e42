"""What tsforce raises and warns with.

::

    TsforceError
    ├── ArgumentError          (ValueError)        an argument's value is outside what is accepted
    ├── ArgumentTypeError      (TypeError)         an argument of the wrong kind
    ├── FrameError             (ValueError)        the data frame breaks the long-frame contract; lists every fault
    ├── SeriesTooShortError    (ValueError)        a series has fewer rows than the setting needs
    ├── UnseenSeriesError      (LookupError)       a series the model has learnt nothing about
    ├── FutureExogError        (ValueError)        known future inputs are missing or too short
    ├── MissingTruthError      (ValueError)        a forcing wants observed targets where there are none
    ├── NumericalError         (ArithmeticError)   a fit met numbers it cannot compute with
    ├── PersistenceError       (ValueError)        a model that cannot be saved, or a file that is no saved model
    ├── PartitionError         (RuntimeError)      some partitions of the data failed; the others are done
    ├── ProcessError           (RuntimeError)      another process that shares a fit has ended, or has other data
    ├── ExportError            (RuntimeError)      an exported model does not say what the model itself does
    ├── MissingExtraError      (ImportError)       an optional dependency is not installed
    └── DatasetNotFoundError   (FileNotFoundError) a data set's files are not where they were looked for

    TsforceWarning             (UserWarning)
    ├── UnusedColumnWarning    columns that no argument names
    ├── FrequencyAliasWarning  an old pandas alias was mapped to the current one
    ├── DivergenceWarning      training met numbers that are not finite, or a roll-out ran away
    ├── UnknownCategoryWarning a category of a static column that no fitted series had
    ├── ContextWarning         a forecast starts from values that were not observed, or had to be moved
    ├── ValidationWarning      records are too short to hold out what training is chosen by
    ├── InterruptionWarning    Ctrl-C ended a search: what was tried before it is used
    ├── OffsetWarning          a logarithm of series with negative values: an offset was added first
    ├── PartitionWarning       some partitions of the data cannot be read
    ├── ExportWarning          an exported model was not compiled and compared with the model itself
    ├── IntervalWarning        past errors are too few for the level of an interval
    └── HorizonWarning         a forecast goes past the horizon that was trained

A forecaster that was not fitted raises scikit-learn's own ``NotFittedError``.
Every message names the value, what was expected, and what to type instead.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "ContextWarning",
    "DatasetNotFoundError",
    "DivergenceWarning",
    "ExportError",
    "ExportWarning",
    "FrameError",
    "FrequencyAliasWarning",
    "FutureExogError",
    "HorizonWarning",
    "InterruptionWarning",
    "IntervalWarning",
    "MissingExtraError",
    "MissingTruthError",
    "NumericalError",
    "OffsetWarning",
    "PartitionError",
    "PartitionWarning",
    "PersistenceError",
    "ProcessError",
    "SeriesTooShortError",
    "TsforceError",
    "TsforceWarning",
    "UnknownCategoryWarning",
    "UnseenSeriesError",
    "UnusedColumnWarning",
    "ValidationWarning",
    "abbreviate",
    "check_choice",
    "did_you_mean",
    "warn",
]


class TsforceError(Exception):
    """Root of everything tsforce raises on purpose."""


class ArgumentError(TsforceError, ValueError):
    """An argument's value is outside what is accepted."""


class ArgumentTypeError(TsforceError, TypeError):
    """An argument is of a kind that is not accepted."""


class FrameError(TsforceError, ValueError):
    """A data frame breaks the long-frame contract.

    Parameters
    ----------
    faults : sequence of str
        One sentence per fault, each with the series, the first offending row, the count and the repair.
    """

    def __init__(self, faults: Sequence[str] | str) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__(*self.faults)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return self.faults[0]
        return f"{len(self.faults)} faults in the data:\n" + "\n".join(f"- {fault}" for fault in self.faults)


class SeriesTooShortError(TsforceError, ValueError):
    """A series has fewer rows than the settings need."""


class UnseenSeriesError(TsforceError, LookupError):
    """A forecast was asked for a series the model has learnt nothing about."""


class FutureExogError(TsforceError, ValueError):
    """Inputs that are known over the horizon were not given, or not for every step of it."""


class MissingTruthError(TsforceError, ValueError):
    """A forcing feeds observed targets, but the windows carry none after the cutoff."""


class PersistenceError(TsforceError, ValueError):
    """A model that cannot be saved, or a file that is none: broken, foreign, too new, not to be trusted."""


class NumericalError(TsforceError, ArithmeticError):
    """A fit met numbers it cannot compute with, such as squares that overflow."""


class ExportError(TsforceError, RuntimeError):
    """An exported model does not say what the model itself does."""


class PartitionError(TsforceError, RuntimeError):
    """Some partitions of the data failed, while the others are done.

    Parameters
    ----------
    message : str
    failed : dict of int -> TsforceError
        Why, by the number of the partition.
    """

    def __init__(self, message: str, failed: dict[int, TsforceError]) -> None:
        self.failed = failed
        super().__init__(message)

    def __reduce__(self) -> tuple[type, tuple[str, dict[int, TsforceError]]]:
        return type(self), (str(self), self.failed)


class ProcessError(TsforceError, RuntimeError):
    """Another process that shares a fit has ended, does not answer, or was given something else to learn from."""


class MissingExtraError(TsforceError, ImportError):
    """An optional dependency is not installed."""


class DatasetNotFoundError(TsforceError, FileNotFoundError):
    """The files of a data set are not where they were looked for."""


class TsforceWarning(UserWarning):
    """Root of everything tsforce warns about."""


class UnusedColumnWarning(TsforceWarning):
    """The frame has columns that no argument names; they are ignored."""


class FrequencyAliasWarning(TsforceWarning):
    """A frequency was given by an alias that pandas no longer accepts; it was mapped to the current one."""


class DivergenceWarning(TsforceWarning):
    """Training met numbers that are not finite and the last good weights were kept, or a roll-out ran away."""


class UnknownCategoryWarning(TsforceWarning):
    """A static column holds a category that no fitted series had; it is read as none of the known ones."""


class ContextWarning(TsforceWarning):
    """What a model reads was not observed, or a transform had to move it first."""


class ValidationWarning(TsforceWarning):
    """Records are too short to hold out rows: what would have been chosen on them was not."""


class InterruptionWarning(TsforceWarning):
    """Ctrl-C ended a search; the best of what was tried before it is used."""


class OffsetWarning(TsforceWarning):
    """A logarithm was to be taken of a series with negative values, and an offset was added to it first."""


class PartitionWarning(TsforceWarning):
    """Some partitions of the data cannot be read; the others go on without them."""


class ExportWarning(TsforceWarning):
    """An exported model was not compiled and compared with the model itself."""


class IntervalWarning(TsforceWarning):
    """Errors at past cutoffs are too few for the level of an interval: its bounds are NaN."""


class HorizonWarning(TsforceWarning):
    """A forecast goes past the horizon the model was trained for."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the user's line: the first frame outside this package.

    Whatever path inside the package leads to a warning, it points at the call that the user can change, and is shown
    once for it.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     warn("columns 'promo' are not used; name them in future_exog=.", UnusedColumnWarning)
    >>> caught[0].category.__name__
    'UnusedColumnWarning'
    """
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "tsforce":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def abbreviate(names: Iterable[object], limit: int = 5) -> str:
    """Return at most `limit` names, quoted and joined, then how many more there are.

    Examples
    --------
    >>> abbreviate(["a", "b", "c"], limit=2)
    "'a', 'b' (and 1 more)"
    """
    listed = [repr(str(name)) for name in names]
    shown = ", ".join(listed[:limit])
    return shown if len(listed) <= limit else f"{shown} (and {len(listed) - limit} more)"


def check_choice(argument: str, value: object, accepted: Iterable[str | None]) -> str:
    """Return `value` if it is one of the accepted names.

    Raises
    ------
    ArgumentError
        With the accepted names and, where one is close, the nearest.

    Examples
    --------
    >>> check_choice("scope", "local", ["local", "global"])
    'local'
    """
    names = list(accepted)
    if isinstance(value, str) and value in names:
        return value
    hint = did_you_mean(str(value), [name for name in names if name is not None])
    raise ArgumentError(f"{argument}={value!r} is not known; accepted: {', '.join(map(repr, names))}.{hint}")


def did_you_mean(name: str, known: Iterable[str], spelt: Callable[[str], str] = repr) -> str:
    """Return a sentence that asks whether the nearest known name was meant, `spelt` out; none is near: no sentence.

    Examples
    --------
    >>> did_you_mean("locl", ["local", "global"])
    " Did you mean 'local'?"
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {spelt(near[0])}?" if near else ""
