"""What all benches share: jobs of several rows, what is shown of a job, and seeds that are counted."""

from typing import NamedTuple

import pandas as pd
import pytest

from tsforce.bench.ledger import Layout, Ledger, label, seeds_better


class Key(NamedTuple):
    part: str
    seed: int | None


class Job(NamedTuple):
    keys: tuple[Key, ...]
    label: str


LAYOUT = Layout(("part", "seed", "error", "status"), Key, (), ("error",))
JOBS = [Job((Key("a", 0), Key("b", 0)), "first"), Job((Key("a", 1),), "second")]


def made(job):
    return [{**key._asdict(), "error": 1.0, "status": "ok"} for key in job.keys]


def test_a_job_of_which_one_row_is_missing_is_made_again_and_only_that_row_is_new(tmp_path):
    ledger = Ledger(tmp_path, LAYOUT)
    ledger.begin({}, {}, [0])
    ledger.append({"part": "b", "seed": 0, "error": 7.0, "status": "ok"})
    started, told = [], []
    frame = ledger.fill(JOBS, made, lambda *shown: started.append(shown), told.append)
    assert started == [("first", 1, 2), ("second", 2, 2)]
    assert frame[["part", "seed", "error"]].to_numpy().tolist() == [["a", 0, 1.0], ["b", 0, 7.0], ["a", 1, 1.0]]
    assert [row["error"] for row in told] == [1.0, 7.0, 1.0]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 4


def test_finished_jobs_are_told_of_and_not_made():
    ledger = Ledger(None, LAYOUT)
    ledger.fill(JOBS, made)
    started, told = [], []
    again = ledger.fill(JOBS, lambda job: pytest.fail("made again"), lambda *shown: started.append(shown), told.append)
    assert started == []
    assert len(told) == len(again) == 3


def test_a_label_leaves_out_what_is_empty():
    assert label("m", "", seed=None) == "m"
    assert label("m", "open_loop", seed=0) == "m open_loop seed 0"


def rows(**modes):
    listed = [(mode, seed, error) for mode, own in modes.items() for seed, error in own]
    return pd.DataFrame(listed, columns=["mode", "seed", "error"])


@pytest.mark.parametrize(
    ("opened", "count"),
    [
        ([(0, 3.0), (1, 1.0), (2, 2.0)], 2),  # seed by seed: 2 < 3, not 2 < 1, 1 < 2
        ([(0, 3.0), (1, 1.0)], 1),  # the third has nobody to compare with
        ([(None, 1.5)], 1),  # one row for all seeds: 1 alone is below it
        ([], None),
    ],
)
def test_seeds_are_compared_with_open_loop_of_the_same_seed_or_its_only_row(opened, count):
    table = rows(open_loop=opened, closed_loop=[(0, 2.0), (1, 2.0), (2, 1.0)])
    assert seeds_better(table, ["open_loop", "closed_loop"], "error").tolist() == [None, count]
