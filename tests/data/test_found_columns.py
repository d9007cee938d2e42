"""Columns of files that nobody named: what is taken, and what is asked."""

from __future__ import annotations

import pandas as pd
import pytest

from tsforce.data.found_columns import find_columns
from tsforce.data.panel import Columns
from tsforce.data.text_cells import TextForm
from tsforce.errors import FrameError


def found(tmp_path, header, *rows, columns=None, form=None, **is_open):
    path = tmp_path / "s.csv"
    path.write_text("\n".join([header, *rows]))
    columns = find_columns(path, columns or Columns(), form or TextForm(), **{"time": True, "target": True, **is_open})
    return columns.time, *columns.targets


@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        (["Month,Passengers", "1949-01,112", "1949-02,118"], ("Month", "Passengers")),
        (["sold,when", "1.5,31/12/2024", ",01/01/2025", "na,02/01/2025"], ("when", "sold")),
        (["day,n", "20240131,7", "20240201,8"], ("day", "n")),
        (["quarter,gdp", "2024Q1,7", "2024Q2,8"], ("quarter", "gdp")),
        ([",date,n", "0,2024-01-01,7", "1,2024-01-02,8"], ("date", "n")),
        (["unique_id,date,n,note", "a,2024-01-01,7,x", "a,2024-01-02,8,y"], ("date", "n")),
        (["", 'date,"n, net"', "2024-01-01,7"], ("date", "n, net")),
        (["date,y,price", "2024-01-01,7,1", "2024-01-02,8,1"], ("date", "y")),
        (["ds,n", "1,7", "2,8"], ("ds", "n")),
        (["ds,y,price,shop", "1,7,2,a", "2,8,2,a"], ("ds", "y")),
    ],
)
def test_the_only_column_of_dates_and_the_only_one_of_numbers_are_taken(lines, taken, tmp_path):
    assert found(tmp_path, *lines) == taken


def test_a_column_that_has_a_part_already_is_not_taken(tmp_path):
    rows = ["date,n,price,shop", "2024-01-01,7,2,a", "2024-01-02,8,2,a"]
    named = Columns("shop", past_exog=("price",))
    assert found(tmp_path, *rows, columns=named) == ("date", "n")
    assert found(tmp_path, *rows, columns=Columns("shop", targets=("price",)), target=False) == ("date", "price")
    assert found(tmp_path, "nothing", columns=Columns(time="a"), time=False, target=False) == ("a", "y")


@pytest.mark.parametrize(
    ("lines", "looks"),
    [
        (["date,sold,price", "2024-01-01,7,2"], "'date' like a time, 'sold', 'price' like numbers"),
        (["date,shipped,sold", "2024-01-01,2024-01-03,7"], "'date', 'shipped' like a time, 'sold' like numbers"),
        (["shop,date,sold", "a,2024-01-01,7"], "'date' like a time, 'sold' like numbers, 'shop' like text"),
        (["shop,date,sold", "s0,2024-01-01,7", "s1,Jan 2024,7"], "'date' like a time, 'sold' like numbers, 'shop'"),
        (["year,sold", "2023,7", "2024,8"], "'year', 'sold' like numbers"),
        (["shop,sold", "a,7"], "'sold' like numbers, 'shop' like text"),
        (["ds,shop,sold", "1,a,7"], "'sold' like numbers, 'shop' like text"),
        (["date,date,sold", "2024-01-01,2024-01-01,7"], ""),
        (["date,sold", ",", ","], "'date', 'sold' like text"),
    ],
)
def test_what_may_be_meant_otherwise_is_asked_with_the_arguments_that_say_it(lines, looks, tmp_path):
    with pytest.raises(FrameError) as raised:
        found(tmp_path, *lines)
    for text in (looks, "there is no column", "id_col=, time_col=, target_col="):
        assert text in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Month;Passengers", "1949-01;112"], "Say sep=';'."),
        (["1949-01,112", "1949-02,118"], "looks like data; expected the names of the columns"),
    ],
)
def test_a_header_that_is_none_is_told_as_ever(lines, message, tmp_path):
    with pytest.raises(FrameError, match=message):
        found(tmp_path, *lines)


def test_parquet_files_are_looked_at_alike(tmp_path):
    path = tmp_path / "s.parquet"
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=3), "n": [1.0, None, 2.0]})
    frame.to_parquet(path)
    columns = find_columns(path, Columns(), TextForm(), time=True, target=True)
    assert (columns.time, columns.targets) == ("day", ("n",))
    frame.assign(m=1).to_parquet(path)
    with pytest.raises(FrameError, match="there is no column 'ds', 'y'; the file has 'day', 'n', 'm'"):
        find_columns(path, Columns(), TextForm(), time=True, target=True)
