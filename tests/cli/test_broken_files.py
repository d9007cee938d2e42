"""Two hundred files with something wrong in them: exit code 2, no traceback, and a message that says where."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field

import pandas as pd
import pytest
from click.testing import CliRunner

from tsforce.cli.main import main

N_FILES = 200
HEADER = ["unique_id", "ds", "y", "promo"]
DAYS = pd.date_range("2024-01-01", periods=30, freq="D").strftime("%Y-%m-%d")


def sound():
    """Return the header and the rows of a file that nothing is wrong with."""
    draw = random.Random(0)
    rows = [[name, day, f"{draw.uniform(5, 90):.2f}", str(draw.randint(0, 1))] for name in "abc" for day in DAYS]
    return [HEADER, *rows]


def text_of(rows, sep=","):
    return "".join(sep.join(row) + "\n" for row in rows)


@dataclass
class Broken:
    """A file, how it was damaged, and what the message has to name."""

    data: bytes | str
    says: list[str]
    name: str = "sales.csv"
    options: list[str] = field(default_factory=list)

    @property
    def raw(self):
        return self.data if isinstance(self.data, bytes) else self.data.encode()


def cell(draw, column, values, says=()):
    """Damage one cell between the second and the last but one row of a series."""
    rows, k = sound(), 30 * draw.randrange(3) + draw.randint(3, 28)
    rows[k][HEADER.index(column)] = draw.choice(values)
    return Broken(text_of(rows), [f"'{column}'", f"line {k + 1}", *says])


def truncated(draw):
    rows, k = sound(), draw.randint(2, 90)
    row = rows[k][: draw.randint(1, 2)]
    return Broken(text_of(rows[:k]) + ",".join(row), [f"line {k + 1}", f"column '{HEADER[len(row)]}'"])


def header_shuffled(draw):
    names = draw.choice([["unique_id", "y", "ds", "promo"], ["y", "ds", "unique_id", "promo"]])
    return Broken(text_of([names, *sound()[1:]]), ["column 'y'", "line 2"])


def text_in_target(draw):
    return cell(draw, "y", ["abc", "n.a.", "1_000", "0x1F", "--", "12 EUR", "(3)", "5%", "1.2.3", "٣", "x" * 500, "="])


def target_of_other_countries(draw):
    value, option = draw.choice(
        [("12,5", "--decimal=','"), ("1,234.5", "--thousands=','"), ("1 234", "--thousands=' '")]
    )
    rows = sound()
    k = draw.randint(1, 89)
    rows[k][2] = f'"{value}"'
    says = ["'y'", f"line {k + 1}"]
    if option != "--decimal=','":
        says.append(option)
    return Broken(text_of(rows), says)


def no_stamp(draw):
    return cell(draw, "ds", ["yesterday", "2024-13-45", "2024-02-30", "24-01-05", "now", "2024-W05", "NaT", "", "1e5"])


def mixed_stamps(draw):
    rows, k = sound(), draw.randint(2, 80)
    for row in rows[k : k + draw.randint(1, 9)]:
        row[1] = f"{row[1][8:]}/{row[1][5:7]}/{row[1][:4]}"
    return Broken(text_of(rows), ["'ds'", f"line {k + 1}", "like 2024-12-31"])


def ambiguous_stamps(draw):
    rows, sign = sound(), draw.choice("/-.")
    for row in rows[1:]:
        row[1] = f"{row[1][8:]}{sign}{row[1][5:7]}{sign}{row[1][:4]}"
    return Broken(text_of(rows), ["'ds'", "line 2", f"--time-format='%d{sign}%m{sign}%Y'"])


def some_offsets(draw):
    return cell(draw, "ds", ["2024-01-09T00:00Z", "2024-01-09 00:00+01:00"], ["offset"])


def numbered_and_dated(draw):
    rows, k = sound(), draw.randint(2, 80)
    for step, row in enumerate(rows[1:]):
        row[1] = str(step % 30)
    rows[k][1] = draw.choice(["2024-01-05", "5.5", "five", "99999999999999999999999"])
    return Broken(text_of(rows), ["'ds'", f"line {k + 1}"])


def duplicate(draw):
    rows, k = sound(), draw.randint(1, 90)
    rows.insert(k + 1, list(rows[k]))
    return Broken(text_of(rows), ["'ds'", f"line {k + 2}", "duplicate", f"series '{rows[k][0]}'"])


def gap(draw):
    rows, k = sound(), 30 * draw.randrange(3) + draw.randint(3, 25)
    name = rows[k][0]
    del rows[k : k + draw.randint(1, 3)]
    return Broken(text_of(rows), ["'ds'", f"line {k + 1}", "missing", f"series '{name}'", "--fill-gaps"])


def off_the_grid(draw):
    rows, k = sound(), draw.randint(1, 90)
    rows[k][1] += " 05:00"
    return Broken(text_of(rows), ["'ds'", f"line {k + 1}", "off the grid"])


def no_frequency(draw):
    rows = sound()
    kept = draw.sample(range(2, 31), 2)
    return Broken(text_of([rows[0], *(rows[k] for k in sorted(kept))]), ["'ds'", "line 2", "--freq="])


def infinite(draw):
    return cell(draw, "y", ["inf", "-inf", "Infinity", "1e999", "-1E400"])


def no_target(draw):
    return cell(draw, "y", ["", "NaN", "NA", "null"], ["missing"])


def no_last_target(draw):
    rows, k = sound(), 30 * draw.randint(1, 3)
    rows[k][2] = ""
    return Broken(text_of(rows), ["'y'", f"line {k + 1}", "after the last"])


def no_id(draw):
    return cell(draw, "unique_id", ["", "nan", "  "])


def bad_encoding(draw):
    rows, k = sound(), draw.randint(1, 90)
    rows[k][0] = draw.choice(["café", "Zürich", "¥"])
    return Broken(text_of(rows).encode("cp1252"), ["'unique_id'", f"line {k + 1}", "--encoding='cp1252'"])


def utf_16(draw):
    return Broken(text_of(sound()).encode(draw.choice(["utf-16", "utf-16-le", "utf-16-be"])), [])


def control_character(draw):
    return cell(draw, draw.choice(HEADER[:3]), ["\0", "1\0", "\x01", "\x1b[0m"], ["control character"])


def other_separator(draw):
    sep, written = draw.choice([(";", "--sep=';'"), ("\t", "--sep='\\t'"), ("|", "--sep='|'")])
    return Broken(text_of(sound(), sep), ["line 1", written, "'ds'", "'y'"])


def too_many_fields(draw):
    rows, k = sound(), draw.randint(1, 90)
    rows[k].append(draw.choice(["", "7", "x"]))
    return Broken(text_of(rows), [f"line {k + 1}", "'promo'"])


def too_few_fields(draw):
    rows, k = sound(), draw.randint(1, 89)
    del rows[k][draw.randint(1, 2) :]
    return Broken(text_of(rows), [f"line {k + 1}", f"column '{HEADER[len(rows[k])]}'"])


def open_quote(draw):
    rows, k, j = sound(), draw.randint(1, 90), draw.randrange(3)
    rows[k][j] = f'"{rows[k][j]}'
    return Broken(text_of(rows), [f"line {k + 1}", f"column '{HEADER[j]}'", "quote"])


def odd_quote(draw):
    rows, k, j = sound(), draw.randint(1, 90), draw.randrange(3)
    rows[k][j] = f'"{rows[k][j]}"x'
    return Broken(text_of(rows), [f"line {k + 1}", f"column '{HEADER[j]}'", "quote"])


def nothing(draw):
    return Broken(draw.choice(["", "\n\n \n", "\ufeff", " "]), ["empty"])


def header_alone(draw):
    return Broken(text_of([HEADER]) + draw.choice(["", "\n\n"]), ["line 1", "no rows"])


def no_header(draw):
    return Broken(text_of(sound()[draw.randint(1, 20) :]), ["line 1", "looks like data"])


def column_twice(draw):
    name = draw.choice(HEADER[:3])
    rows = [[*row, row[0]] for row in sound()]
    rows[0][-1] = name
    return Broken(text_of(rows), [f"'{name}'", "line 1", "more than once"])


def column_renamed(draw):
    # Without ds alone the only column of dates would be taken; y or promo may be what to forecast.
    gone = draw.choice([{"y": "sold"}, {"y": "net", "ds": "date"}])
    rows = sound()
    rows[0] = [gone.get(name, name) for name in HEADER]
    told = [*(f"'{name}'" for name in [*gone, *rows[0]]), "line 1", "--time-col=", "--target-col="]
    return Broken(text_of(rows), told)


def binary(draw):
    start = draw.choice([b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x89PNG\r\n\x1a\n", b"PAR1", b"\xd0\xcf\x11\xe0"])
    return Broken(start + draw.randbytes(draw.randint(50, 3000)), [])


def parquet_bytes(frame):
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


def sound_frame():
    rows = sound()
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    return frame.assign(ds=pd.to_datetime(frame["ds"]), y=frame["y"].astype(float), promo=frame["promo"].astype(int))


def no_parquet(draw):
    whole = parquet_bytes(sound_frame())
    middle = draw.randint(10, len(whole) - 10)
    data = draw.choice(
        [text_of(sound()).encode(), whole[:middle], whole[middle:], draw.randbytes(400), whole[:-30] + b"x" * 30]
    )
    return Broken(data, ["parquet"], name="sales.parquet")


def wrong_parquet(draw):
    frame, k = sound_frame(), draw.randint(3, 28)
    column = draw.choice(["y", "ds", "twice", "missing", "flag"])
    says = [f"row {k}", "counted from 0"]
    if column in ("y", "ds"):
        frame[column] = frame[column].astype(str)
        frame.loc[k, column] = "oops"
        says += [f"'{column}'", "oops"]
    elif column == "twice":
        frame.loc[k, "ds"] = frame.loc[k - 1, "ds"]
        says += ["'ds'", "duplicate"]
    elif column == "missing":
        frame.loc[k, "y"] = None
        says += ["'y'", "missing"]
    else:
        frame["y"] = frame["y"] > 50
        says = ["'y'", "bool"]
    return Broken(parquet_bytes(frame), says, name="sales.parquet")


def no_input(draw):
    broken = cell(draw, "promo", ["", "often", "inf", "1,5,"[:2] + "x"])
    broken.options = [draw.choice(["--past-exog", "--future-exog"]), "promo"]
    return broken


def no_constant(draw):
    rows, k = sound(), draw.randint(3, 28)
    for row in rows[1:]:
        row[3] = "0"
    rows[k][3] = "7"
    options = ["--static", "promo", "--model", "linear-global"]
    return Broken(text_of(rows), ["'promo'", f"line {k + 1}"], options=options)


KINDS = (
    truncated, header_shuffled, text_in_target, target_of_other_countries, no_stamp, mixed_stamps, ambiguous_stamps,
    some_offsets, numbered_and_dated, duplicate, gap, off_the_grid, no_frequency, infinite, no_target, no_last_target,
    no_id, bad_encoding, utf_16, control_character, other_separator, too_many_fields, too_few_fields, open_quote,
    odd_quote, nothing, header_alone, no_header, column_twice, column_renamed, binary, no_parquet, wrong_parquet,
    no_input, no_constant,
)  # fmt: skip


def broken_files():
    """Return the files, every kind about equally often; the same ones each time."""
    return [KINDS[number % len(KINDS)](random.Random(number)) for number in range(N_FILES)]


def run(folder, command, name, *options):
    more = ["--n-windows", "2"] if command == "backtest" else []
    arguments = [command, str(folder / name), "--horizon", "3", *more, *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=True)


def test_there_are_200_files_of_three_dozen_kinds():
    files = broken_files()
    assert len(files) == 200
    assert len(KINDS) >= 35
    # There are few ways to hold nothing, or a header alone.
    assert len({file.raw for file in files}) > 170


@pytest.mark.parametrize("command", ["forecast", "backtest"])
def test_a_broken_file_ends_with_2_and_a_message_that_says_where(command, tmp_path):
    for number, broken in enumerate(broken_files()):
        if number % 2 == (command == "backtest"):
            continue
        kind = KINDS[number % len(KINDS)].__name__
        (tmp_path / broken.name).write_bytes(broken.raw)
        result = run(tmp_path, command, broken.name, *broken.options)
        about = f"file {number}, {kind}, {broken.options}: {result.output!r}, {result.exception!r}"
        assert result.exit_code == 2, about
        assert "Traceback" not in result.output, about
        assert result.stdout == "", about
        assert f"Error: {tmp_path / broken.name}: " in result.stderr, about
        for word in broken.says:
            assert word in result.stderr, f"{word!r} is not said of {about}"


@pytest.mark.parametrize("command", ["forecast", "backtest"])
@pytest.mark.parametrize("options", [(), ("--past-exog", "promo"), ("--model", "linear-global", "--static", "unique")])
def test_the_file_that_nothing_was_done_to_ends_with_0(command, options, tmp_path):
    rows = [[*row, row[0] if number else "unique"] for number, row in enumerate(sound())]
    (tmp_path / "sales.csv").write_text(text_of(rows))
    result = run(tmp_path, command, "sales.csv", "--lags", "7", "--mode", "open_loop", *options)
    assert result.exit_code == 0, result.stderr
    sound_frame().assign(unique=[row[0] for row in sound()[1:]]).to_parquet(tmp_path / "sales.parquet")
    assert run(tmp_path, command, "sales.parquet", "--lags", "7", "--mode", "open_loop", *options).exit_code == 0


@pytest.mark.parametrize("command", ["forecast", "backtest"])
def test_what_only_looks_broken_is_read(command, tmp_path):
    draw, rows = random.Random(1), sound()
    draw.shuffle(body := rows[1:])
    harmless = {
        "rows shuffled": text_of([HEADER, *body]),
        "columns shuffled": text_of([row[::-1] for row in rows]),
        "byte order mark": "\ufeff" + text_of(rows),
        "lines of Windows": text_of(rows).replace("\n", "\r\n"),
        "lines of old Macs": text_of(rows).replace("\n", "\r"),
        "blank lines": "\n" + text_of(rows).replace("\n", "\n\n") + "  \n",
        "blanks after commas": text_of(rows, ", "),
        "all quoted": "".join(",".join(f'"{value}"' for value in row) + "\n" for row in rows),
        "no last line end": text_of(rows)[:-1],
        "an unused column of text": "".join(f'{line},"a, ""b""\nc"\n' for line in text_of(rows).splitlines()),
    }
    expected = None
    for what, text in harmless.items():
        (tmp_path / "sales.csv").write_bytes(text.encode())
        result = run(tmp_path, command, "sales.csv", "--model", "drift")
        assert result.exit_code == 0, f"{what}: {result.stderr}"
        found = sorted(result.stdout.splitlines())
        expected = expected or found
        assert found == expected, what
