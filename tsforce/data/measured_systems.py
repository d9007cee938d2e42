"""System identification: measured inputs and outputs of seven systems, and the hysteresis that is simulated.

Six sets lie in files, training and test records alike. Of the seventh, Bouc-Wen hysteresis, only the official test
records do; its training record is simulated here by the benchmark's equations (Noel & Schoukens 2016, Hysteretic
benchmark with a dynamic nonlinearity).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.datasets import DATA_VARIABLE, data_folder, read_table
from tsforce.errors import ArgumentError, DatasetNotFoundError, FrameError, abbreviate, check_choice

__all__ = [
    "SYSID_SETS", "ScoredPart", "SysidSet", "bouc_wen_input", "bouc_wen_training", "load_sysid", "simulate_bouc_wen",
    "sysid_file",
]  # fmt: skip

FloatArray = npt.NDArray[np.float64]

_COLUMNS = {"record": "int64", "k": "int64", "u": "float64", "y": "float64"}
# Bouc-Wen: samples of a period and per second, integration steps between two samples, first and last excited line.
_PERIOD, _RATE, _SUBSTEPS, _LINES = 8192, 750.0, 20, (54, 1639)
_INPUT_RMS = 50.0
# Periods of the one realisation; realisations whose second period makes the rich record; noise on y, in m.
_PERIODS, _RICH_SEEDS, _NOISE = 5, (1, 2, 3, 4, 5), 8e-6
# m, c, k of the oscillator and alpha, beta gamma, beta delta of its hysteresis; nu is 1.
_M, _C, _K, _ALPHA, _BETA_GAMMA, _BETA_DELTA = 2.0, 10.0, 5e4, 5e4, 1e3 * 0.8, 1e3 * -1.1


class ScoredPart(NamedTuple):
    """Rows of a test record that have a score of their own: up to row `stop`, or all."""

    name: str
    record: int
    stop: int | None = None


@dataclass(frozen=True)
class SysidSet:
    """What is fixed for a set.

    Attributes
    ----------
    name : str
    signals : str
        Input and output, in words.
    dt : float or None
        Seconds between two rows; None where it is not known.
    unit : str
        Of errors.
    factor : float
        Errors in `unit` are so many times those in the file's.
    starts : tuple of int
        n, the first outputs of a test record that a model may see; more than one where both are in use.
    scored : tuple of ScoredPart

    Examples
    --------
    >>> from tsforce.datasets import SYSID_SETS
    >>> tanks = SYSID_SETS["cascaded-tanks"]
    >>> tanks.signals, tanks.dt, tanks.unit, tanks.starts
    ('pump -> level of the lower tank, V -> V', 4.0, 'V', (50, 5))
    """

    name: str
    signals: str
    dt: float | None
    unit: str
    factor: float
    starts: tuple[int, ...]
    scored: tuple[ScoredPart, ...]


_UNIT = "the file's unit"
_WHOLE = (ScoredPart("test", 0),)
SYSID_SETS: dict[str, SysidSet] = {
    one.name: one
    for one in (
        SysidSet(
            "silverbox", "circuit like a Duffing oscillator, V -> V", 1 / 610.35, "mV", 1e3, (50,),
            (ScoredPart("multisine", 1), ScoredPart("arrow", 2), ScoredPart("arrow-inside", 2, 32_000)),
        ),
        SysidSet("cascaded-tanks", "pump -> level of the lower tank, V -> V", 4.0, "V", 1.0, (50, 5), _WHOLE),
        SysidSet(
            "bouc-wen", "hysteresis, N -> m", 1 / _RATE, "m", 1.0, (50,),
            (ScoredPart("multisine", 0), ScoredPart("sweep", 1)),
        ),
        SysidSet("emps", "positioning system, motor voltage -> m", 1e-3, "m", 1.0, (20,), _WHOLE),
        SysidSet(
            "daisy-exchanger", "heat exchanger, liquid flow -> outlet temperature", 1.0, _UNIT, 1.0, (10,), _WHOLE
        ),
        SysidSet(
            "daisy-robot-arm", "flexible arm, reaction torque -> acceleration", None, _UNIT, 1.0, (10,), _WHOLE
        ),
        SysidSet("daisy-ball-beam", "beam angle -> position of the ball", 0.1, _UNIT, 1.0, (10,), _WHOLE),
    )
}  # fmt: skip


def load_sysid(
    name: str, part: str = "train", folder: str | Path | None = None, *, rich: bool = False, noise: bool = False
) -> Any:
    """Return the records of a set as a frame: record, k (row of the record, from 0), u (input), y (output).

    Parameters
    ----------
    name : str
        "silverbox" (Wigren & Schoukens 2013), "cascaded-tanks" (Schoukens et al. 2016), "bouc-wen" (Noel & Schoukens
        2016), "emps" (Janot, Gautier & Brunot 2019), or of DaISy (De Moor et al. 1997) "daisy-exchanger",
        "daisy-robot-arm", "daisy-ball-beam".
    part : "train" or "test"
        Of DaISy, which has no official split: the last quarter is the exchanger's test record, the last half that of
        the other two. The training record of "bouc-wen" is simulated, which takes about two seconds.
    folder : path, optional
        Where ``sysid-<name>.parquet`` or ``.csv`` lies, with the columns of this frame and ``split``; the environment
        variable TSFORCE_DATA by default.
    rich, noise : bool
        Of "bouc-wen" alone, as in `bouc_wen_training`.

    Raises
    ------
    ArgumentError
        If a name is not known, or rich or noise is asked for where there is none.
    DatasetNotFoundError
        With the paths that were looked for.
    FrameError
        If a file does not hold what it should.

    Examples
    --------
    >>> from tsforce.datasets import load_sysid
    >>> df = load_sysid("bouc-wen", "train")
    >>> df.columns.tolist(), len(df)
    (['record', 'k', 'u', 'y'], 40960)
    """
    known = SYSID_SETS[check_choice("name", name, SYSID_SETS)]
    check_choice("part", part, ("train", "test"))
    if name == "bouc-wen" and part == "train":
        u, y, sizes = bouc_wen_training(rich=rich, noise=noise)
        return pd.DataFrame(
            {
                "record": np.repeat(np.arange(len(sizes)), sizes),
                "k": np.concatenate([np.arange(size) for size in sizes]),
                "u": u,
                "y": y,
            }
        )
    if rich or noise:
        raise ArgumentError(
            f"rich={rich!r}, noise={noise!r}: only the training record of 'bouc-wen' is simulated; leave both out for "
            f"the {part} record of {name!r}."
        )
    return _read(known, part, sysid_file(name, folder))


def sysid_file(name: str, folder: str | Path | None = None) -> Path:
    """Return the path of a set's file.

    Raises
    ------
    DatasetNotFoundError
        With the paths that were looked for.
    """
    place = data_folder(folder)
    remedy = (
        f"Name the folder with sysid-{name}.parquet or .csv (columns split, record, k, u, y) with folder= (command "
        f"line: --data DIR) or the environment variable {DATA_VARIABLE}."
    )
    if place is None:
        raise DatasetNotFoundError(f"{name}: no folder was named. {remedy}")
    paths = [place / f"sysid-{name}{kind}" for kind in (".parquet", ".csv")]
    for path in paths:
        if path.is_file():
            return path
    raise DatasetNotFoundError(f"{name}: neither {paths[0]} nor {paths[1].name} is there. {remedy}")


def _read(known: SysidSet, part: str, path: Path) -> Any:
    frame = read_table(path)
    missing = [column for column in ("split", *_COLUMNS) if column not in frame.columns]
    if missing:
        raise FrameError(
            f"{path}: column {abbreviate(missing)} is missing; it has {abbreviate(frame.columns)}. Expected split, "
            f"record, k, u, y."
        )
    rows = frame.loc[frame["split"] == part, list(_COLUMNS)]
    try:
        rows = rows.astype(_COLUMNS).sort_values(["record", "k"], kind="stable").reset_index(drop=True)
    except (ValueError, TypeError) as error:
        raise FrameError(f"{path}: record and k should hold whole numbers, u and y real ones, but {error}.") from None
    if not np.isfinite(rows[["u", "y"]].to_numpy()).all():
        raise FrameError(f"{path}: some of u or y in its {part} rows are missing or infinite; expected a whole record.")
    if not (rows["k"] == rows.groupby("record").cumcount()).all():
        raise FrameError(f"{path}: k of its {part} rows should count 0, 1, 2, ... in each record, with no row absent.")
    expected = {0} if part == "train" else {one.record for one in known.scored}
    found = set(rows["record"])
    if found != expected:
        raise FrameError(
            f"{path}: its {part} rows are of {_numbered(found)}; {known.name} has {_numbered(expected)} there."
        )
    return rows


def _numbered(records: set[int]) -> str:
    return f"records {abbreviate(sorted(records))}" if records else "no record"


def bouc_wen_training(*, rich: bool = False, noise: bool = False) -> tuple[FloatArray, FloatArray, tuple[int, ...]]:
    """Return input (N) and output (m) of the training record at 750 Hz, both (40960,), and the sizes of its records.

    Parameters
    ----------
    rich : bool
        The second periods of seeds 1 to 5, five records; instead of five periods of seed 0 from rest, one record whose
        first period is the transient.
    noise : bool
        White and Gaussian on y, standard deviation 8e-6 m, as published; none by default.
    """
    if rich:
        runs = [_bouc_wen_run(seed, 2) for seed in _RICH_SEEDS]
        u, y = (np.concatenate([run[i][_PERIOD:] for run in runs]) for i in (0, 1))
        sizes = (_PERIOD,) * len(runs)
    else:
        u, y = _bouc_wen_run(0, _PERIODS)
        sizes = (len(u),)
    if noise:
        y = y + _NOISE * np.random.default_rng([0, 1]).normal(size=len(y))
    return u.copy(), y.copy(), sizes


@lru_cache(maxsize=8)
def _bouc_wen_run(seed: int, periods: int) -> tuple[FloatArray, FloatArray]:
    u = np.tile(bouc_wen_input(seed), periods)
    y = simulate_bouc_wen(u, 1.0 / (_RATE * _SUBSTEPS))
    # Every 20th point and no filter: a decimation filter distorts y by more than the errors that are aimed at.
    return u[::_SUBSTEPS], y[::_SUBSTEPS]


def bouc_wen_input(seed: int) -> FloatArray:
    """Return one period of a random-phase multisine, N at 15 kHz, (163840,).

    Lines 54 to 1639 of 750 / 8192 Hz (5 to 150 Hz) with equal amplitudes, rms 50 N.
    """
    first, last = _LINES
    spectrum = np.zeros(_PERIOD * _SUBSTEPS // 2 + 1, dtype=np.complex128)
    phases = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, last - first + 1)
    spectrum[first : last + 1] = np.exp(1j * phases)
    u = np.fft.irfft(spectrum)
    scaled: FloatArray = u * (_INPUT_RMS / u.std())
    return scaled


def simulate_bouc_wen(u: FloatArray, h: float) -> FloatArray:
    """Return the displacement of the Bouc-Wen oscillator from rest, m, (T,).

    ``m y'' + c y' + k y + z = u``, ``z' = alpha y' - beta (gamma |y'| z + delta y' |z|)``, by classical Runge-Kutta of
    order 4; `u` is linear between its points.

    Parameters
    ----------
    u : (T,)
        N, `h` seconds apart.
    h : float
        Below a thousandth of a second, or the oscillator (35.6 Hz) is not followed.
    """
    # Plain numbers, one step at a time: a state of three is faster so than in arrays.
    y = v = z = 0.0
    half, sixth = 0.5 * h, h / 6.0
    out = [0.0] * len(u)
    forces = u.tolist()
    before = forces[0]
    for t in range(1, len(forces)):
        after = forces[t]
        middle = 0.5 * (before + after)
        a1 = (before - _C * v - _K * y - z) / _M
        r1 = _ALPHA * v - _BETA_GAMMA * abs(v) * z - _BETA_DELTA * v * abs(z)
        y2, v2, z2 = y + half * v, v + half * a1, z + half * r1
        a2 = (middle - _C * v2 - _K * y2 - z2) / _M
        r2 = _ALPHA * v2 - _BETA_GAMMA * abs(v2) * z2 - _BETA_DELTA * v2 * abs(z2)
        y3, v3, z3 = y + half * v2, v + half * a2, z + half * r2
        a3 = (middle - _C * v3 - _K * y3 - z3) / _M
        r3 = _ALPHA * v3 - _BETA_GAMMA * abs(v3) * z3 - _BETA_DELTA * v3 * abs(z3)
        y4, v4, z4 = y + h * v3, v + h * a3, z + h * r3
        a4 = (after - _C * v4 - _K * y4 - z4) / _M
        r4 = _ALPHA * v4 - _BETA_GAMMA * abs(v4) * z4 - _BETA_DELTA * v4 * abs(z4)
        y += sixth * (v + 2.0 * (v2 + v3) + v4)
        v += sixth * (a1 + 2.0 * (a2 + a3) + a4)
        z += sixth * (r1 + 2.0 * (r2 + r3) + r4)
        out[t] = y
        before = after
    return np.array(out)
