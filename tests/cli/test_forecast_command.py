from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import tsforce.cli.tables
from tsforce import AutoNARX, Baseline, Difference, Log, NARXForecaster, fill_gaps
from tsforce.bench import get_threads, set_threads
from tsforce.cli.main import main
from tsforce.datasets import load

HORIZON = ["--horizon", "4"]
QUICK = ["--lags", "12", "--mode", "open_loop"]


@pytest.fixture(autouse=True)
def neutral_surroundings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = get_threads()
    yield
    set_threads(before)


def invoke(*arguments):
    return CliRunner().invoke(main, ["forecast", *map(str, arguments)])


def done(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def failed(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output + repr(result.exception)
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


def table(text, **options):
    frame = pd.read_csv(io.StringIO(text), **{"parse_dates": ["ds"], "dtype": {"horizon": "int64"}, **options})
    # To the last bit, whatever pandas does by default.
    names = text.splitlines()[0].split(",")
    cells = pd.read_csv(io.StringIO(text), dtype=str)
    return frame.assign(**{name: cells[name].map(float) for name in names[names.index("horizon") + 1 :]})


def same(found, expected):
    """Whether two frames of forecasts are equal to the last bit, whatever the unit of their stamps."""
    expected = expected.assign(ds=expected["ds"].astype(found["ds"].dtype), unique_id=expected["unique_id"].astype(str))
    found = found.assign(unique_id=found["unique_id"].astype(str))
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


@pytest.fixture
def panel():
    """Two series of days with inputs, and the inputs of the four days to come."""
    draw = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=64, freq="D")
    parts = []
    for name, level in (("7", 10.0), ("12", 30.0)):
        promo = draw.integers(0, 2, 64)
        y = level + 4 * promo + np.arange(64) % 7 + draw.normal(0, 0.3, 64)
        parts.append(
            pd.DataFrame(
                {"unique_id": name, "ds": days, "y": y, "promo": promo, "heat": draw.normal(size=64), "size": level}
            )
        )
    known = pd.concat([part[:60] for part in parts], ignore_index=True)
    ahead = pd.concat([part[60:] for part in parts], ignore_index=True).drop(columns="y")
    return known, ahead


# ---- what comes out


def test_the_forecast_is_that_of_the_plain_python_call():
    df = load("airpassengers")
    expected = NARXForecaster(12).fit(df).predict().rename(columns={"NARXForecaster": "narx"})
    for suffix in ("csv", "parquet"):
        getattr(df, f"to_{suffix}")(f"air.{suffix}", index=False)
        result = done(f"air.{suffix}", "--horizon", "12", "--model", "narx")
        same(table(result.stdout), expected)
        assert f"air.{suffix}: 1 series, 144 rows, freq 'MS'" in result.stderr
        assert "narx: lags 1-36, season length 12, trained " in result.stderr


def test_a_model_that_nobody_named_is_chosen_by_the_data():
    df = load("airpassengers")
    df.to_csv("air.csv", index=False)
    result = done("air.csv", "--horizon", "12", "--budget", "fast")
    model = AutoNARX(12, budget="fast").fit(df)
    same(table(result.stdout), model.predict().rename(columns={"AutoNARX": "auto"}))
    heard = int((model.leaderboard_["weight"] > 0).sum())
    assert f"auto: {len(model.leaderboard_)} candidates tried, season length 12; heard are {heard}: " in result.stderr


def test_families_that_are_named_are_what_is_tried():
    df = load("airpassengers")
    df.to_csv("air.csv", index=False)
    found = table(done("air.csv", "--horizon", "12", "--candidates", "theta,drift", "--candidates", "ces").stdout)
    model = AutoNARX(12, candidates=["theta", "drift", "ces"]).fit(df)
    same(found, model.predict().rename(columns={"AutoNARX": "auto"}))
    assert "did you mean 'theta'" in failed("air.csv", *HORIZON, "--candidates", "thetas").lower()
    told = failed("air.csv", *HORIZON, "--candidates", "theta", "--model", "narx", "--budget", "fast")
    assert "--budget, --candidates: only --model auto has it" in told


def test_who_says_how_a_model_learns_gets_the_one_that_can_be_told():
    df = load("airpassengers")
    df.to_csv("air.csv", index=False)
    found = table(done("air.csv", *HORIZON, *QUICK).stdout)
    assert found.columns[-1] == "narx"
    told = failed("air.csv", *HORIZON, *QUICK, "--model", "auto")
    assert "--model auto chooses --lags, --mode by itself" in told
    assert "--model narx" in told
    done("air.csv", *HORIZON, *QUICK, "--model", "narx")


@pytest.mark.parametrize(
    ("options", "model"),
    [
        (
            ["--model", "linear-global", *QUICK],
            NARXForecaster(4, 12, scope="global", mode="open_loop", alias="linear-global"),
        ),
        (
            ["--lags", "1-3,12", "--transform", "log,difference:12", "--mode", "open_loop", "--season-length", "6"],
            NARXForecaster(
                4, [1, 2, 3, 12], mode="open_loop", season_length=6, target_transforms=[Log(), Difference(12)],
                alias="narx",
            ),
        ),
        (
            ["--lags", "6,", "--calendar", "month", "--calendar", "quarter", "--mode", "open_loop", "--freq", "MS"],
            NARXForecaster(
                4, [6], calendar=("month", "quarter"), mode="open_loop", freq="MS", alias="narx",
            ),
        ),
        (
            ["--lags", "6", "--mode", "curriculum", "--seed", "3", "--model", "linear"],
            NARXForecaster(4, 6, scope="local", mode="curriculum", random_state=3, alias="linear-local"),
        ),
        (["--model", "seasonal_naive", "--season-length", "3"], Baseline("seasonal_naive", horizon=4, season_length=3)),
        (["--model", "drift"], Baseline("drift", horizon=4)),
    ],
)  # fmt: skip
def test_options_are_the_arguments_of_the_python_call(options, model):
    df = load("airpassengers")
    df.to_csv("air.csv", index=False)
    same(table(done("air.csv", *HORIZON, *options).stdout), model.fit(df).predict())


def test_names_of_columns_come_back_and_those_not_named_are_said(panel):
    known, _ = panel
    known.rename(columns={"unique_id": "shop", "ds": "day", "y": "sold"}).to_csv("s.csv", index=False)
    names = ["--id-col", "shop", "--time-col", "day", "--target-col", "sold"]
    result = done("s.csv", *HORIZON, *names, *QUICK)
    found = table(result.stdout, parse_dates=["day"])
    assert list(found.columns) == ["shop", "day", "horizon", "narx"]
    assert "s.csv: not used: 'promo', 'heat', 'size'." in result.stderr
    model = NARXForecaster(4, 12, mode="open_loop", alias="narx")
    same(found.rename(columns={"shop": "unique_id", "day": "ds"}), model.fit(known[["unique_id", "ds", "y"]]).predict())


def test_without_an_id_column_the_file_is_one_series():
    load("airpassengers")[["ds", "y"]].to_csv("air.csv", index=False)
    assert set(table(done("air.csv", *HORIZON, *QUICK).stdout)["unique_id"]) == {"y"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_of_one_column_of_dates_and_one_of_numbers_needs_no_names_and_what_is_taken_is_said(suffix):
    df = load("airpassengers").rename(columns={"ds": "Month", "y": "Passengers"})[["Month", "Passengers"]]
    getattr(df, f"to_{suffix}")(f"air.{suffix}", index=False)
    result = done(f"air.{suffix}", *HORIZON, *QUICK)
    named = done(f"air.{suffix}", *HORIZON, *QUICK, "--time-col", "Month", "--target-col", "Passengers")
    assert result.stdout == named.stdout
    assert result.stdout.startswith("unique_id,Month,horizon,narx\n")
    said = f"air.{suffix}: 'Month' is taken as the time and 'Passengers' as what to forecast; --time-col and"
    assert said in result.stderr
    assert "is taken as" not in named.stderr


def test_results_go_to_csv_and_parquet_files_and_notices_to_stderr():
    load("airpassengers").to_csv("air.csv", index=False)
    shown = done("air.csv", *HORIZON, *QUICK).stdout
    for name, read in (("out.csv", pd.read_csv), ("out.parquet", pd.read_parquet)):
        result = done("air.csv", *HORIZON, *QUICK, "--out", name)
        assert result.stdout == ""
        assert f"{name}: 4 rows written." in result.stderr
        same(read(name).assign(ds=lambda f: pd.to_datetime(f["ds"])), table(shown))
    assert Path("out.csv").read_text() == shown


def test_ids_of_a_csv_file_come_back_as_they_stand_there():
    lines = [
        f"{name},{step},{step * 2 + number}" for number, name in enumerate(["007", "NA", "1e5"]) for step in range(9)
    ]
    Path("s.csv").write_text("unique_id,ds,y\n" + "\n".join(lines))
    found = table(
        done("s.csv", *HORIZON, "--model", "naive").stdout, dtype=str, keep_default_na=False, parse_dates=False
    )
    assert found["unique_id"].unique().tolist() == ["007", "NA", "1e5"]
    assert found["ds"].unique().tolist() == ["9", "10", "11", "12"]


def test_a_picture_is_written(tmp_path):
    load("airpassengers").to_csv("air.csv", index=False)
    result = done("air.csv", *HORIZON, *QUICK, "--plot", "a.png", "--out", "a.csv")
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert "a.png: written." in result.stderr


def test_intervals_are_those_of_the_python_call_and_the_picture_takes_them():
    df = load("airpassengers")
    df.to_csv("air.csv", index=False)
    result = done("air.csv", *HORIZON, "--model", "naive", "--level", "80,97.5", "--plot", "a.png")
    want = Baseline("naive", horizon=4).fit(df).predict(level=[80, 97.5])
    same(table(result.stdout), want)
    assert want.columns[-2:].tolist() == ["naive-lo-97.5", "naive-hi-97.5"]
    assert f"intervals of 80 %: {want.attrs['intervals']['80']}." in result.stderr


def test_paths_are_those_of_the_python_call_and_the_seed():
    df = load("airpassengers")
    df.to_csv("air.csv", index=False)
    result = done("air.csv", *HORIZON, "--model", "naive", "--n-paths", "3", "--seed", "7", "--plot", "a.png")
    want = Baseline("naive", horizon=4).fit(df).sample_paths(3, random_state=7)
    found = table(result.stdout)
    assert found.columns.tolist() == ["unique_id", "ds", "horizon", "path", "naive"]
    same(found.astype({"path": "int64"}), want)
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert (
        table(done("air.csv", *HORIZON, "--model", "naive", "--n-paths", "3").stdout)["naive"].ne(want["naive"]).any()
    )


def test_threads_are_set():
    load("airpassengers").to_csv("air.csv", index=False)
    done("air.csv", *HORIZON, *QUICK, "--threads", "2")
    assert get_threads() == 2


# ---- inputs


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("other", ["csv", "parquet"])
def test_inputs_are_read_from_the_file_and_for_the_horizon_from_the_file_of_the_future(panel, suffix, other):
    known, ahead = panel
    model = NARXForecaster(
        4, 12, past_exog=["heat"], future_exog=["promo"], static=["size"], exog_lags={"promo": [0, 7], "heat": 2},
        mode="open_loop", alias="linear-global",
    )  # fmt: skip
    expected = model.fit(known).predict(future_df=ahead)
    numbered = [frame.assign(unique_id=frame["unique_id"].astype(int)) for frame in (known, ahead)]
    getattr(numbered[0], f"to_{suffix}")(f"known.{suffix}", index=False)
    # More than is needed, in another order, numbers as ids.
    more = pd.concat([numbered[1][::-1], numbered[0].drop(columns="y")])
    getattr(more, f"to_{other}")(f"ahead.{other}", index=False)
    options = ["--model", "linear-global", "--past-exog", "heat", "--future-exog", "promo", "--static", "size", *QUICK]
    result = done(
        f"known.{suffix}", *HORIZON, *options, "--exog-lags", "promo:0,7", "--exog-lags", "heat:2",
        "--future", f"ahead.{other}",
    )  # fmt: skip
    same(table(result.stdout), expected)


def test_true_and_false_are_inputs_and_text_is_a_static_one(panel):
    known, _ = panel
    words = known.assign(promo=known["promo"].map({0: "False", 1: "True"}), size=known["unique_id"] + " m")
    words.to_csv("s.csv", index=False)
    options = ["--model", "linear-global", "--past-exog", "promo", "--static", "size", *QUICK]
    model = NARXForecaster(
        4, 12, past_exog=["promo"], static=["size"], mode="open_loop", alias="linear-global"
    ).fit(known.assign(size=words["size"]).drop(columns="heat"))  # fmt: skip
    same(table(done("s.csv", *HORIZON, *options).stdout), model.predict())


def test_what_is_missing_of_the_future_is_said_before_anything_is_fitted(panel, monkeypatch):
    known, ahead = panel
    known.to_csv("s.csv", index=False)
    ahead.drop(index=5).to_csv("short.csv", index=False)
    ahead.drop(columns="promo").to_csv("other.csv", index=False)
    ahead.assign(promo=["?", *ahead["promo"][1:].astype(str)]).to_csv("text.csv", index=False)
    pd.concat([ahead, ahead[2:3]]).to_csv("twice.csv", index=False)
    monkeypatch.setattr(NARXForecaster, "fit", None)
    call = ["s.csv", *HORIZON, *QUICK, "--future-exog", "promo"]
    needed = "Pass --future FILE with the columns 'unique_id', 'ds', 'promo' and the 4 steps"
    assert needed in failed(*call)
    for name, message in (
        ("short.csv", "gives 7 of the 8 rows that are needed: 'promo'"),
        ("other.csv", "there is no column 'promo'; line 1 has"),
        ("text.csv", "column 'promo' holds 1 cell that is no number, first '?' in line 2"),
        ("twice.csv", "first 2024-03-03 00:00:00 in line 10"),
        ("none.csv", "there is no such file"),
    ):
        assert f"Error: {name}: " in (said := failed(*call, "--future", name))
        assert message in said


# ---- how files are written


def test_a_file_of_another_country_is_read_with_the_options_its_messages_name(panel):
    known, _ = panel
    written = known.assign(
        ds=known["ds"].dt.strftime("%d.%m.%Y"),
        y=[f"{value * 1000:,.3f}".translate(str.maketrans(",.", ".,")) for value in known["y"]],
    )
    written[["unique_id", "ds", "y"]].to_csv("s.csv", index=False, sep=";", encoding="cp1252")
    options = []
    for option, said in (
        (["--sep", ";"], "Say --sep=';'."),
        (["--decimal", ",", "--thousands", "."], "can be read with --decimal=',' and --thousands='.'."),
        (["--time-format", "%d.%m.%Y"], "can be read with --time-format='%d.%m.%Y'."),
    ):
        assert said in failed("s.csv", *HORIZON, *options)
        options += option
    found = table(done("s.csv", *HORIZON, *options, "--model", "naive").stdout)
    last = known.assign(y=(known["y"] * 1000).round(3)).groupby("unique_id", sort=False)["y"].last()
    assert found["naive"].tolist() == np.repeat(last.to_numpy(), 4).tolist()


@pytest.mark.parametrize(
    ("stamps", "first"),
    [
        (["2024-01-01", "2024-01-02", "2024-01-03"], "2024-01-04"),
        (["20240130", "20240131", "20240201"], "2024-02-02"),
        (["2024/01/01", "2024/1/2", "2024-1-3"], "2024-01-04"),
        (["2024-01", "2024-02", "2024-03"], "2024-04-01"),
        (["2024-01-01T10", "2024-01-01 11:00", "2024-01-01T12:00:00.000"], "2024-01-01 13:00:00"),
        (["2024-01-01 10:00Z", "2024-01-01 11:00Z", "2024-01-01 12:00Z"], "2024-01-01 13:00:00+00:00"),
        (["2024-01-01T10:00+02:00", "2024-01-01T11:00+02:00", "2024-01-01T12:00+02:00"], "2024-01-01 13:00:00+02:00"),
        (["2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00", "2024-03-31T04:00+02:00"], "2024-03-31 03:00:00+00:00"),
        (["2022", "2023", "2024"], "2025"),
        (["-1", "0", "+1"], "2"),
    ],
)
def test_stamps_of_iso_8601_and_whole_numbers_are_read(stamps, first):
    Path("s.csv").write_text("ds,y\n" + "".join(f"{stamp},1\n" for stamp in stamps))
    found = table(done("s.csv", *HORIZON, "--model", "naive").stdout, parse_dates=False, dtype=str)
    assert found["ds"][0] == first


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (
            ["01/02/2024", "02/02/2024"],
            "--time-format='%d/%m/%Y' or with --time-format='%m/%d/%Y', and these mean diff",
        ),
        (["13/02/2024", "14/02/2024"], "The column can be read with --time-format='%d/%m/%Y'."),
        (["02/13/2024 11:00 PM", "02/14/2024 11:00 PM"], "--time-format='%m/%d/%Y %I:%M %p'."),
        (["2024-02-01", "03/02/2024"], "first '03/02/2024' in line 3. The other 1 cell can be read"),
        (["1949.083", "1949.167"], "2 cells that are no time stamp"),
        (["Q1 2024", "Q2 2024"], "or say how they are written, for example --time-format="),
        (
            ["123456789012345678901", "2"],
            "1 whole number of more than 18 digits, first '123456789012345678901' in line 2",
        ),
        (["2024-02-01", ""], "column 'ds' is empty in 1 row, first in line 3"),
    ],
)
def test_stamps_that_may_mean_several_things_are_asked_about(stamps, message):
    Path("s.csv").write_text("ds,y\n" + "".join(f"{stamp},1\n" for stamp in stamps))
    assert message in failed("s.csv", *HORIZON)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1,5", "2,25"], "can be read with --decimal=','."),
        (["1,500", "2,250"], "can be read with --decimal=',' or with --thousands=','; say which."),
        (["1,500.5", "2"], "can be read with --thousands=','."),
        (["1 500", "2"], "can be read with --thousands=' '."),
        (["1'500,5", "2"], "Correct the cell, or leave it empty"),
        (["7", "about 7"], "1 cell that is no number, first 'about 7' in line 3"),
    ],
)
def test_numbers_that_are_written_otherwise_are_asked_about(cells, message):
    Path("s.csv").write_text("ds,y\n" + "".join(f'2024-01-0{k},"{cell}"\n' for k, cell in enumerate(cells, 1)))
    assert message in failed("s.csv", *HORIZON)


def test_a_sign_of_thousands_counts_only_between_groups_of_three():
    Path("s.csv").write_text('ds,y\n1,"1,500"\n2,"1,5"\n')
    assert "first '1,5' in line 3" in failed("s.csv", *HORIZON, "--thousands", ",")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_encodings_are_read(encoding):
    text = "unique_id,ds,y\n" + "".join(f"Zürich,{step},1\n" for step in range(5))
    Path("s.csv").write_bytes(text.encode(encoding))
    said = [] if encoding.startswith("utf-8") else ["--encoding", encoding]
    assert "Zürich,5,1,1.0" in done("s.csv", *HORIZON, "--model", "naive", *said).stdout


def test_a_byte_that_does_not_belong_is_found_behind_a_byte_order_mark():
    Path("s.csv").write_bytes(b"\xef\xbb\xbfunique_id,ds,y\na,1,1\na,2,\xe9\n")
    assert "s.csv: line 3, column 'y', is no utf-8, first at byte 0xe9." in failed("s.csv", *HORIZON)


@pytest.mark.parametrize("encoding", ["hex", "undefined", "utf-7", "ascii"])
def test_encodings_that_do_not_fit_are_an_error(encoding):
    Path("s.csv").write_bytes(b"ds,y\n1,\xe9\n")
    assert f"s.csv: {'--encoding=' if encoding == 'hex' else ''}" in failed("s.csv", *HORIZON, "--encoding", encoding)


def test_a_field_without_end_is_an_error():
    Path("s.csv").write_text("ds,y\n1,1\n2," + "9" * 200_000 + "\n")
    assert "s.csv: line 3, column 'y': field larger than field limit" in failed("s.csv", *HORIZON)
    Path("s.csv").write_bytes(b"d" * 200_000 + b"\n\xff")
    assert "s.csv: line 2, column 'ddd" in failed("s.csv", *HORIZON)


def test_lines_are_counted_as_an_editor_does():
    rows = [f'"a\nb",{step},{step}\n' for step in range(12)]
    rows[7] = '"a\nb",7,x\n\n'
    Path("s.csv").write_text("\n\nunique_id,ds,y\n" + "\n".join(rows))
    # Three lines before the rows, then three for each of seven.
    assert "first 'x' in line 25" in failed("s.csv", *HORIZON)
    Path("s.csv").write_text(Path("s.csv").read_text().replace("x", "inf"))
    assert "first in line 25" in failed("s.csv", *HORIZON)


# ---- gaps


@pytest.mark.parametrize(("given", "method"), [("interpolate", "interpolate"), ("seasonal", "seasonal"), ("2.5", 2.5)])
def test_gaps_are_filled_as_by_the_python_call(panel, given, method):
    known, _ = panel
    holes = known[["unique_id", "ds", "y"]].drop(index=[20, 21, 80]).assign(y=lambda f: f["y"].where(f.index != 40))
    holes.to_csv("s.csv", index=False)
    said = failed("s.csv", *HORIZON)
    assert "missing time stamps in 'ds'" in said
    assert "--fill-gaps interpolate" in said
    result = done("s.csv", *HORIZON, *QUICK, "--fill-gaps", given)
    model = NARXForecaster(4, 12, mode="open_loop", alias="narx")
    same(table(result.stdout), model.fit(fill_gaps(holes, method=method)).predict())
    assert "s.csv: --fill-gaps: 3 rows added, 1 missing value of 'y' filled." in result.stderr


def test_lines_are_right_after_gaps_were_filled(panel):
    known, _ = panel
    holes = known[["unique_id", "ds", "y"]].drop(index=[20, 21]).assign(y=lambda f: f["y"].where(f.index < 118))
    holes.to_csv("s.csv", index=False)
    holes.to_parquet("s.parquet", index=False)
    assert "after the last observed one, first in line 118." in failed("s.csv", *HORIZON, "--fill-gaps", "ffill")
    assert "first in row 116." in failed("s.parquet", *HORIZON, "--fill-gaps", "ffill")


def test_gaps_too_wide_for_memory_are_an_error(monkeypatch):
    Path("s.csv").write_text("ds,y\n1,1\n2,2\n3,3\n")

    def hungry(*given):
        raise MemoryError

    monkeypatch.setattr(tsforce.cli.tables, "_filled", hungry)
    assert "s.csv: --fill-gaps='ffill' adds more rows than there" in failed("s.csv", *HORIZON, "--fill-gaps", "ffill")


# ---- messages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["air.csv"], "Missing option '--horizon'"),
        (["air.csv", "--horizon", "0"], "Invalid value for '--horizon'"),
        (["air.csv", "--horizon", "1.5"], "Invalid value for '--horizon'"),
        ([*HORIZON], "Missing argument 'FILE'"),
        (["ari.csv", *HORIZON], "Error: ari.csv: there is no such file. Did you mean 'air.csv'?"),
        (["nowhere/air.csv", *HORIZON], "Error: nowhere/air.csv: there is no such file."),
        ([".", *HORIZON], "Error: .: this is a folder"),
        (["air.csv", *HORIZON, "--model", "linear-locl"], "Did you mean 'linear-local'?"),
        (
            ["air.csv", *HORIZON, "--mode", "open-loop"],
            "--mode='open-loop' is not known; accepted: 'auto', 'open_loop'",
        ),
        (["air.csv", *HORIZON, "--calendar", "monht"], "--calendar='monht' is not known"),
        (["air.csv", *HORIZON, "--transform", "diff:1"], "--transform='diff' is not known"),
        (["air.csv", *HORIZON, "--transform", "log:1"], "only difference takes a number"),
        (["air.csv", *HORIZON, "--transform", "difference:0"], "Difference"),
        (["air.csv", *HORIZON, "--lags", "1,x"], "--lags='1,x': 'x' is neither a whole number nor"),
        (
            ["air.csv", *HORIZON, "--lags", "0"],
            "air.csv: --lags=0 reads nothing of the target, and",
        ),
        (["air.csv", *HORIZON, "--level", "80;95"], "--level='80;95': expected percents, such as --level 80,95"),
        (["air.csv", *HORIZON, "--level", "180"], "expected percents between 0 and 100"),
        (["air.csv", *HORIZON, "--level", "80", "--n-paths", "9"], "leave out one of them"),
        (["air.csv", *HORIZON, "--n-paths", "0"], "Invalid value for '--n-paths'"),
        (["air.csv", *HORIZON, "--lags", "7-3"], "--lags='7-3': '7-3' is neither a whole number nor"),
        (["air.csv", *HORIZON, "--lags", ","], "--lags=',' names none"),
        (["air.csv", *HORIZON, "--exog-lags", "1", "--exog-lags", "2"], "several settings need a column each"),
        (["air.csv", *HORIZON, "--exog-lags", "x:1"], "air.csv: --exog-lags names 'x'"),
        (["air.csv", *HORIZON, "--freq", "fortnight"], "air.csv: --freq='fortnight' is no pandas frequency"),
        (["air.csv", *HORIZON, "--freq", "1"], "air.csv: --freq=1 is a step for whole numbers"),
        (["air.csv", *HORIZON, "--fill-gaps", "linear"], "--fill-gaps='linear' is not known; accepted: 'interpolate'"),
        (["air.csv", *HORIZON, "--sep", ";;"], "--sep=';;': expected one character"),
        (["air.csv", *HORIZON, "--decimal", "7"], "--decimal='7': expected one character"),
        (["air.csv", *HORIZON, "--decimal", ",", "--thousands", ","], "are the same sign"),
        (["air.csv", *HORIZON, "--encoding", "utf-9"], "--encoding='utf-9' is not known"),
        (["air.csv", *HORIZON, "--time-format", "%Q"], "--time-format='%Q': "),
        (["air.csv", *HORIZON, "--time-format", "%d.%m.%Y"], "as --time-format='%d.%m.%Y' says, first '1949-01-01' in"),
        (["air.csv", *HORIZON, "--target-col", "ds"], "'ds' is named more than once among --id-col="),
        (["air.csv", *HORIZON, "--id-col", "shop"], "no column 'shop'; line 1 has 'unique_id', 'ds', 'y'. Say which"),
        (["air.csv", *HORIZON, "--model", "naive", "--lags", "3"], "naive: a reference method has no use for --lags"),
        (["air.csv", *HORIZON, "--model", "naive", "--transform", "log"], "no use for --transform"),
        (["air.csv", *HORIZON, "--future", "air.csv"], "--future-exog names none of its columns"),
        (["air.csv", *HORIZON, "--lags", "500"], "air.csv: series 'airpassengers': 144 rows, but --lags=500"),
        (["air.csv", *HORIZON, "--out", "air.csv"], "air.csv: two files of this command have this name"),
        (["air.csv", *HORIZON, "--out", "o.csv", "--plot", "o.csv"], "o.csv: two files of this command have this name"),
        (["air.csv", *HORIZON, "--out", "o.xlsx"], "o.xlsx: the name of this file ends in none of .csv, .parquet, .pq"),
        (["air.csv", *HORIZON, "--out", "nowhere/o.csv"], "nowhere/o.csv: there is no folder 'nowhere'; make it first"),
        (["air.csv", *HORIZON, "--out", "folder.csv"], "folder.csv: this is a folder"),
        (["air.csv", *HORIZON, "--plot", "o.xyz"], "o.xyz: the name of this file ends in none of"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_message_in_terms_of_options(arguments, message):
    load("airpassengers").to_csv("air.csv", index=False)
    Path("folder.csv").mkdir()
    assert message in failed(*arguments)


def test_short_series_are_named_and_dropped_if_asked(panel):
    known, _ = panel
    known.drop(index=range(5, 60))[["unique_id", "ds", "y"]].to_csv("s.csv", index=False)
    each = [*HORIZON, *QUICK, "--model", "linear-local"]
    said = failed("s.csv", *each)
    assert "s.csv: series '7': 5 rows" in said
    assert "--short-series='drop'" in said
    assert "--model=linear-global" in said
    result = done("s.csv", *each, "--short-series", "drop")
    assert "left out, too short: 1 series: '7'." in result.stderr
    assert set(table(result.stdout)["unique_id"]) == {12}


def test_warnings_are_shown_once_as_messages():
    stamps = pd.date_range("2024-01-01", periods=50, freq="h")
    pd.DataFrame({"ds": stamps, "y": np.arange(50.0)}).to_csv("s.csv", index=False)
    said = done("s.csv", *HORIZON, "--model", "naive", "--freq", "H").stderr
    assert said.count("Warning: --freq='H' is an old alias; read as 'h'. Write 'h'.") == 1
    assert ".py" not in said


def test_what_the_model_did_to_odd_values_is_said():
    Path("s.csv").write_text("ds,y\n" + "".join(f"{step},7\n" for step in range(30)))
    said = done("s.csv", *HORIZON, "--model", "theta").stderr
    assert "1 series could not be estimated; Naive2 answered for them." in said


def test_files_that_may_not_be_read_or_written_are_errors(monkeypatch):
    load("airpassengers").to_csv("air.csv", index=False)

    def refused(*given, **named):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refused)
        assert "Error: air.csv: the file cannot be read: Permission denied." in failed("air.csv", *HORIZON)
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", refused)
        said = failed("air.csv", *HORIZON, *QUICK, "--out", "o.csv")
        assert "Error: o.csv: the file cannot be written: Permission denied." in said


def test_what_is_not_installed_is_named_before_anything_is_computed(monkeypatch):
    load("airpassengers").to_csv("air.csv", index=False)
    load("airpassengers").to_parquet("air.parquet", index=False)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        assert "o.png: pictures need matplotlib: pip install" in failed("air.csv", *HORIZON, "--plot", "o.png")
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        assert "o.parquet: parquet files need pyarrow" in failed("air.csv", *HORIZON, "--out", "o.parquet")

    def missing(path):
        raise ImportError("pyarrow")

    with monkeypatch.context() as patch:
        patch.setattr(pd, "read_parquet", missing)
        assert "air.parquet: parquet files need pyarrow" in failed("air.parquet", *HORIZON)


def test_a_bug_ends_with_1_and_its_traceback(monkeypatch):
    load("airpassengers").to_csv("air.csv", index=False)

    def broken(*given, **named):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(NARXForecaster, "fit", broken)
    result = invoke("air.csv", *HORIZON)
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


# ---- parquet


def test_a_parquet_file_may_hold_its_columns_as_other_kinds(panel):
    known = panel[0][["unique_id", "ds", "y"]].assign(y=lambda f: f["y"].round(2))
    expected = Baseline("drift", horizon=4).fit(known).predict()
    kinds = {
        "dates": known.assign(ds=known["ds"].dt.date),
        "text": known.assign(ds=known["ds"].astype(str), y=known["y"].astype(str)),
        "categories": known.assign(unique_id=known["unique_id"].astype(pd.CategoricalDtype(["7", "12"]))),
        "index": known.set_index(["unique_id", "ds"]),
        "sorted": known.set_index("ds"),
        "nanoseconds": known.assign(ds=known["ds"].astype("datetime64[ns]")),
    }
    for kind, frame in kinds.items():
        frame.to_parquet("s.parquet")
        found = table(done("s.parquet", *HORIZON, "--model", "drift").stdout)
        assert len(found) == 8, kind
        same(found, expected)


# ---- help


def test_help_shows_examples_and_every_option():
    result = done("--help")
    for text in ("Examples:", "tsforce forecast sales.csv --horizon 28 --out forecast.csv", "--fill-gaps", "--future"):
        assert text in result.stdout
    assert "forecast" in CliRunner().invoke(main, ["--help"]).stdout


def test_the_installed_command_says_what_is_wrong_without_a_traceback():
    Path("s.csv").write_text("date,sold,price\n2024-01-01,1,2\n")
    command = [sys.executable, "-c", "from tsforce.cli.main import main; main()", "forecast", "s.csv", "--horizon", "3"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr == (
        "Error: s.csv: there is no column 'ds', 'y'; line 1 has 'date', 'sold', 'price'. By their cells they look so: "
        "'date' like a time, 'sold', 'price' like numbers. Say which columns are meant with --id-col=, --time-col=, "
        "--target-col=.\n"
    )
    assert ended.stdout == ""


def test_months_as_whole_numbers_are_told_and_the_option_that_is_named_reads_them():
    months = pd.date_range("2020-01-01", periods=60, freq="MS")
    pd.DataFrame({"ds": months.strftime("%Y%m"), "y": range(60)}).to_csv("months.csv", index=False)
    message = failed("months.csv", *HORIZON, *QUICK)
    assert "read as months, first 202001" in message
    assert "--time-format '%Y%m'" in message
    result = done("months.csv", *HORIZON, *QUICK, "--time-format", "%Y%m")
    assert table(result.stdout)["ds"].tolist() == list(pd.date_range("2025-01-01", periods=4, freq="MS"))


def peaked_csv(name, *, zoned=True):
    """Write five weeks of hours across a change of the clock with a peak at 8 of local time."""
    stamps = pd.date_range("2024-03-10", periods=24 * 35, freq="h", tz="Europe/Berlin")
    written = [s.isoformat() if zoned else s.tz_localize(None).isoformat() for s in stamps]
    pd.DataFrame({"ds": written, "y": 10.0 + 5 * (stamps.hour == 8)}).to_csv(name, index=False)


@pytest.mark.parametrize("zoned", [True, False])
def test_with_a_zone_the_hours_of_a_csv_file_are_local_across_a_change_of_the_clock(zoned):
    peaked_csv("load.csv", zoned=zoned)
    hours = ["--horizon", "24", "--lags", "1", "--calendar", "hour", "--mode", "open_loop", "--tz", "Europe/Berlin"]
    hours += ["--model", "linear-local"]
    ahead = pd.read_csv(io.StringIO(done("load.csv", *hours).stdout))
    local = pd.to_datetime(ahead["ds"], utc=True).dt.tz_convert("Europe/Berlin").dt.hour
    assert ahead["linear-local"].round(1).tolist() == [10 + 5 * (hour == 8) for hour in local]


def test_without_a_zone_stamps_of_several_offsets_are_told_and_calendar_features_are_refused():
    peaked_csv("load.csv")
    message = failed("load.csv", "--horizon", "4", "--lags", "1", "--calendar", "hour", "--mode", "open_loop")
    assert "load.csv: the stamps have several offsets from UTC" in message
    assert "--tz='Europe/Berlin'" in message
    assert "are read as UTC; --tz Europe/Berlin" in done("load.csv", "--horizon", "4", "--lags", "1", *QUICK[2:]).stderr


@pytest.mark.parametrize(
    ("zone", "fragment"), [("Mars/North", "no such zone"), ("Europe/London", "a local time that is none or two there")]
)
def test_a_zone_that_is_none_or_does_not_fit_is_an_error(zone, fragment):
    peaked_csv("load.csv", zoned=False)
    assert fragment in failed("load.csv", *HORIZON, *QUICK, "--tz", zone)


def test_whole_numbers_have_no_zone():
    pd.DataFrame({"ds": range(60), "y": range(60)}).to_csv("steps.csv", index=False)
    assert "column 'ds' holds int64, which has no zone" in failed("steps.csv", *HORIZON, *QUICK, "--tz", "UTC")
