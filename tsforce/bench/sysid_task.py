"""The system-identification bench's data and its scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tsforce.data.measured_systems import SYSID_SETS, ScoredPart, SysidSet, load_sysid, sysid_file
from tsforce.errors import ArgumentError, check_choice
from tsforce.scoring.simulation import simulation_rmse

__all__ = [
    "SYSID_SCORES", "Record", "Simulator", "SysidScore", "SysidTask", "largest_root", "score_simulation",
]  # fmt: skip

FloatArray = npt.NDArray[np.float64]

# Share of the training rows, the last ones, on which choices are made.
_HELD_OUT = 0.2
# A simulation whose error is so many times that of the training mean has diverged.
_DIVERGED = 10.0
# Of the standard deviation of y: small enough for a derivative, large enough for models that calculate in float32.
_NUDGE = 1e-2

SYSID_SCORES = """\
A test record's input is known from end to end, its output for the first n rows; all rows after them are simulated in
one go, the model fed its own outputs, never reset. Of those rows:
RMSE      square root of the mean squared error, in the unit above
NRMSE     RMSE / standard deviation of the true output; fit = 100 (1 - NRMSE), R2 = 1 - NRMSE^2
one-step  RMSE of predictions one step ahead, every output before the row known
gap       RMSE / one-step
root      largest modulus of the roots of the linear part at the training mean; above 1 small errors grow
diverged  RMSE above 10 times that of the training mean
valid     RMSE on the last fifth of the training rows, simulated, by a fit to the rows before them"""


class Simulator(Protocol):
    """What a model of the bench can do; ``tsforce.NARXRegressor`` can."""

    def fit(self, X: Any, y: Any, session_sizes: Any = None, *, mode: Any = None) -> Any:
        """Learn from records one below the other: inputs (N, 1), outputs (N,)."""

    def predict(self, X: Any, y_init: Any = None) -> Any:
        """Return the simulated outputs (T,) of a record; the first rows are `y_init`."""

    def one_step(self, X: Any, y: Any) -> Any:
        """Return each row's output predicted from those before it, (T,)."""


class Record(NamedTuple):
    """Input and output of one experiment, original units, both (T,)."""

    u: FloatArray
    y: FloatArray


@dataclass(frozen=True, eq=False)
class SysidTask:
    """A set as a bench hands it out.

    Attributes
    ----------
    known : SysidSet
    n : int
        The first outputs of each test record that a model may see.
    training : str
        What is special about the training record: "", "rich", "noise" or "rich noise".
    train : Record
        Records one below the other, original units.
    sizes : tuple of int
        Rows of each.
    records : dict of int -> Record
        To simulate.
    scored : tuple of ScoredPart
        What of them has a score.
    file, file_sha256 : str
        Name and hash of the file that it was read from.
    sha256 : str
        Of all that figures depend on.

    Examples
    --------
    >>> import numpy as np
    >>> from tsforce.bench import SysidTask
    >>> from tsforce.bench.sysid_task import Record
    >>> from tsforce.datasets import SYSID_SETS
    >>> u = np.random.default_rng(0).normal(size=300)  # instead of SysidTask.load("daisy-exchanger")
    >>> record = Record(u, 0.1 + np.convolve(u, 0.5 ** np.arange(20))[:300])
    >>> known = SYSID_SETS["daisy-exchanger"]
    >>> task = SysidTask.of(known, 10, record, (300,), {0: record}, known.scored)
    >>> inner = task.held_out()  # to make choices by: of the training rows alone
    >>> inner.sizes, [part.name for part in inner.scored], len(inner.records[0].y)
    ((240,), ['validation'], 60)
    """

    known: SysidSet
    n: int
    training: str
    train: Record
    sizes: tuple[int, ...]
    records: Mapping[int, Record]
    scored: tuple[ScoredPart, ...]
    file: str
    file_sha256: str
    sha256: str

    @staticmethod
    def load(
        name: str, n: int | None = None, folder: str | Path | None = None, *, rich: bool = False, noise: bool = False
    ) -> SysidTask:
        """Return the task of a set.

        Parameters
        ----------
        name : str
        n : int, optional
            One of ``SYSID_SETS[name].starts``; the first of them by default.
        folder : path, optional
            As in ``load_sysid``.
        rich, noise : bool
            Of the training record of "bouc-wen".

        Raises
        ------
        ArgumentError
            If an argument is not known.
        DatasetNotFoundError
            If the file is not there.
        FrameError
            If it does not hold what it should.
        """
        known = SYSID_SETS[check_choice("name", name, SYSID_SETS)]
        start = known.starts[0] if n is None else n
        if start not in known.starts:
            raise ArgumentError(f"n={n!r}: {name} is scored after {' or '.join(map(str, known.starts))} rows.")
        train = load_sysid(name, "train", folder, rich=rich, noise=noise)
        test = load_sysid(name, "test", folder)
        path = sysid_file(name, folder)
        return SysidTask.of(
            known, start, _record(train), tuple(train.groupby("record").size()),
            {int(number): _record(rows) for number, rows in test.groupby("record")},
            known.scored, training=" ".join(word for word, asked in (("rich", rich), ("noise", noise)) if asked),
            file=path.name, file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )  # fmt: skip

    @staticmethod
    def of(
        known: SysidSet,
        n: int,
        train: Record,
        sizes: tuple[int, ...],
        records: Mapping[int, Record],
        scored: tuple[ScoredPart, ...],
        *,
        training: str = "",
        file: str = "",
        file_sha256: str = "",
    ) -> SysidTask:
        """Return the task of some records."""
        digest = hashlib.sha256(repr([known.name, n, training, sizes, scored, sorted(records)]).encode())
        for record in (train, *(records[number] for number in sorted(records))):
            for signal in record:
                digest.update(signal.tobytes())
        return SysidTask(
            known, n, training, train, tuple(map(int, sizes)), records, scored, file, file_sha256, digest.hexdigest()
        )

    def held_out(self) -> SysidTask:
        """Return the task of the training rows alone: learn from the first four fifths, simulate what follows them.

        The part that is scored is called "validation". Of several training records it lies in the last one.
        """
        cut = len(self.train.y) - int(_HELD_OUT * len(self.train.y))
        starts = np.cumsum((0, *self.sizes[:-1]))
        cut = max(cut, int(starts[-1]))
        sizes = tuple(int(min(size, cut - start)) for size, start in zip(self.sizes, starts, strict=True))
        before, after = (Record(*(signal[rows] for signal in self.train)) for rows in (slice(cut), slice(cut, None)))
        return SysidTask.of(
            self.known, self.n, before, tuple(size for size in sizes if size > 0), {0: after},
            (ScoredPart("validation", 0),), training=self.training, file=self.file, file_sha256=self.file_sha256,
        )  # fmt: skip

    def simulate(self, model: Simulator, number: int) -> FloatArray:
        """Return a fitted model's simulation of a record, (T,); of its output only the first n rows are handed on."""
        record = self.records[number]
        return np.asarray(model.predict(record.u[:, None], record.y[: self.n]), dtype=np.float64)

    def one_step(self, model: Simulator, number: int) -> FloatArray:
        """Return a fitted model's predictions of a record, each from the rows before it, (T,)."""
        record = self.records[number]
        return np.asarray(model.one_step(record.u[:, None], record.y), dtype=np.float64)

    def score(self, part: ScoredPart, simulated: FloatArray, one_step: FloatArray) -> SysidScore:
        """Return the score of a part of a record, in the set's unit."""
        scale, rows = self.known.factor, slice(part.stop)
        y = self.records[part.record].y[rows]
        mean = np.full_like(y, self.train.y.mean())
        return score_simulation(
            scale * y, scale * simulated[rows], scale * one_step[rows], skip=self.n,
            of_mean=scale * float(simulation_rmse(y, mean, skip=self.n)),
        )  # fmt: skip


def _record(rows: Any) -> Record:
    return Record(rows["u"].to_numpy(dtype=np.float64), rows["y"].to_numpy(dtype=np.float64))


class SysidScore(NamedTuple):
    """Errors of one simulated record; see `SYSID_SCORES`. `diverged` is 0 or 1."""

    rmse: float
    nrmse: float
    fit: float
    r2: float
    one_step: float
    gap: float
    diverged: float


def score_simulation(
    y: FloatArray, simulated: FloatArray, one_step: FloatArray, *, skip: int, of_mean: float
) -> SysidScore:
    """Return the score of a simulation, all (T,) in one unit.

    Parameters
    ----------
    y, simulated, one_step : (T,)
    skip : int
        n, the rows of the start window.
    of_mean : float
        RMSE of the training mean on the rows after them.

    Examples
    --------
    >>> y = np.array([9.0, 0.0, 2.0])
    >>> found = score_simulation(y, y + 0.5, y - 0.25, skip=1, of_mean=1.0)
    >>> found.rmse, found.nrmse, found.fit, found.r2, found.gap
    (0.5, 0.5, 50.0, 0.75, 2.0)
    """
    # A simulation that diverges overflows where it is squared; what is not finite is infinitely wrong.
    with np.errstate(over="ignore", invalid="ignore"):
        rmse, one = (float(simulation_rmse(y, yhat, skip=skip)) for yhat in (simulated, one_step))
    rmse, one = (error if np.isfinite(error) else np.inf for error in (rmse, one))
    spread = float(y[skip:].std())
    relative = rmse / spread if spread > 0 else np.nan
    gap = rmse / one if 0 < one < np.inf else np.nan
    return SysidScore(
        rmse, relative, 100.0 * (1.0 - relative), 1.0 - relative**2, one, gap, float(not rmse <= _DIVERGED * of_mean)
    )


def largest_root(model: Any, train: Record) -> float | None:
    """Return the largest modulus of the roots of a fitted model's linear part at the training mean.

    The linear part is what one output is worth to the predictions after it, by central differences through `one_step`.
    None for a model that says no ``output_lags_``, or that remembers more than those.

    Parameters
    ----------
    model : Simulator
    train : Record
        Mean and standard deviation are taken from it.
    """
    lags = getattr(model, "output_lags_", None)
    if lags is None:
        return None
    reach = int(max(lags))
    X = np.full((2 * reach + 2, 1), train.u.mean())
    sides = []
    for sign in (1.0, -1.0):
        y = np.full(2 * reach + 2, train.y.mean())
        y[reach] += sign * _NUDGE * train.y.std()
        sides.append(np.asarray(model.one_step(X, y), dtype=np.float64))
    effect = (sides[0] - sides[1])[reach + 1 :] / (2.0 * _NUDGE * train.y.std())
    if not np.isfinite(effect).all() or effect[reach] != 0.0:
        return None
    return float(np.abs(np.roots(np.concatenate([[1.0], -effect[:reach]]))).max())
