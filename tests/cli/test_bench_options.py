"""What the benches of the command line share: names, options that mean one thing, the exit code of several tables."""

import click
import pandas as pd
import pytest

from tsforce.cli.bench_options import chosen
from tsforce.cli.bench_running import exit_with
from tsforce.cli.main import main
from tsforce.errors import ArgumentError


def test_a_name_that_is_given_twice_is_one():
    assert chosen("--modes", "b, a,b", ("a", "b")) == ["b", "a"]


def test_without_a_text_all_are_chosen_or_those_that_are_the_default():
    assert chosen("--systems", None, ("a", "b")) == ["a", "b"]
    assert chosen("--systems", None, ("a", "b"), ["b"]) == ["b"]


def test_an_unknown_name_is_told_as_it_is_typed():
    with pytest.raises(ArgumentError, match=r"--sets='silverbux' is not known.*Did you mean 'silverbox'"):
        chosen("--sets", "emps,silverbux", {"silverbox": 1, "emps": 2})


OK, KNOWN, BUG = ("ok", "failed: SeriesTooShortError: 3 rows", "failed: ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("tables", "code"),
    [([[OK], [KNOWN]], 2), ([[KNOWN], [BUG]], 1), ([[BUG], [KNOWN]], 1), ([[OK, KNOWN], [OK], [KNOWN]], 2)],
)
def test_every_failure_of_every_table_is_told_and_one_bug_among_them_ends_with_1(tables, code, capsys):
    with pytest.raises(click.exceptions.Exit) as ended:
        exit_with(*(pd.DataFrame({"status": statuses}) for statuses in tables))
    assert ended.value.exit_code == code
    failed = [status for statuses in tables for status in statuses if status != OK]
    assert capsys.readouterr().err.splitlines() == failed


def test_tables_without_a_failure_end_with_nothing(capsys):
    exit_with(pd.DataFrame({"status": [OK, "ok, longer than the limit of 3 s"]}), pd.DataFrame({"status": [OK]}))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["threads", "time_limit"])
def test_an_option_that_needs_no_words_of_its_own_reads_alike_in_all_benches(name):
    found = [p for bench in main.commands["bench"].commands.values() for p in bench.params if p.name == name]
    assert len(found) == {"threads": 6, "time_limit": 2}[name]
    assert len({(repr(p.type), p.default, p.help, p.show_default) for p in found}) == 1
