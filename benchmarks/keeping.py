"""Rows of a benchmark: the command that made them, without folders of a machine, and their place in a csv."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[1]
# What stands in a row's command in the place of a folder.
_FOLDERS = {"--data": "DIR", "--envs": "ENVS"}


def command() -> str:
    """Return the command that is running, with a word for each folder of this machine."""
    script, given = Path(sys.argv[0]).resolve().relative_to(REPOSITORY), sys.argv[1:]
    words = [_FOLDERS.get(given[k - 1], word) if k else word for k, word in enumerate(given)]
    return shlex.join(["python", str(script), *words])


def in_place(path: Path, new: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Return the rows of a csv and new ones, which stand for older ones of the same key."""
    if not path.exists():
        return new
    there = pd.read_csv(path)
    same = there[key].astype(str).agg("|".join, axis=1).isin(new[key].astype(str).agg("|".join, axis=1))
    return pd.concat([there[~same], new])
