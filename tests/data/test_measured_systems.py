"""System-identification sets: what their files must hold, and the hysteresis that is simulated, held against others."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

import tsforce.data.measured_systems as module
from tests.makers import sysid_frame
from tsforce.data.measured_systems import SYSID_SETS, bouc_wen_input, bouc_wen_training, simulate_bouc_wen
from tsforce.datasets import load_sysid
from tsforce.errors import ArgumentError, DatasetNotFoundError, FrameError

H = 1 / 15_000
ROWS = {
    "silverbox": (65_062, 62_163), "cascaded-tanks": (1024, 1024), "bouc-wen": (40_960, 161_192),
    "emps": (24_841, 24_841), "daisy-exchanger": (3000, 1000), "daisy-robot-arm": (512, 512),
    "daisy-ball-beam": (500, 500),
}  # fmt: skip


# ---- Bouc-Wen


def by_hand(t, s, u):
    y, v, z = s
    m, c, k, alpha, beta, gamma, delta, nu = 2, 10, 5e4, 5e4, 1e3, 0.8, -1.1, 1
    force = np.interp(t, H * np.arange(len(u)), u)
    rate = alpha * v - beta * (gamma * abs(v) * abs(z) ** (nu - 1) * z + delta * v * abs(z) ** nu)
    return [v, (force - c * v - k * y - z) / m, rate]


def test_the_oscillator_is_that_of_another_integrator():
    u = bouc_wen_input(3)[:600] * 3
    other = solve_ivp(
        by_hand, (0, H * 599), [0, 0, 0], "DOP853", H * np.arange(600), rtol=1e-9, atol=1e-13, max_step=H, args=(u,)
    )
    largest = np.abs(other.y[0]).max()
    np.testing.assert_allclose(simulate_bouc_wen(u, H), other.y[0], atol=5e-5 * largest, rtol=0)
    # The same force, linear between its points, in steps of a sixteenth: what was left is the step's.
    fine = np.interp(np.arange(599 * 16 + 1) / 16, np.arange(600), u)
    np.testing.assert_allclose(simulate_bouc_wen(fine, H / 16)[::16], other.y[0], atol=5e-7 * largest, rtol=0)


def test_the_oscillator_has_memory_of_the_way_it_came():
    """Without hysteresis it would swing in a straight line of force against displacement, slowly driven."""
    slow = 100 * np.sin(2 * np.pi * np.arange(0, 3, H))
    y = simulate_bouc_wen(slow, H)[-15_000:]
    up, down = (
        np.interp([0.0], slow[-3750:], y[-3750:]),
        np.interp([0.0], slow[-11_250:-3750][::-1], y[-11_250:-3750][::-1]),
    )
    assert abs(up - down)[0] > 0.02 * np.ptp(y)


def test_the_input_is_a_multisine_of_equal_lines_and_known_size():
    u = bouc_wen_input(0)
    assert len(u) == 8192 * 20
    assert u.std() == pytest.approx(50, rel=1e-12)
    size = np.abs(np.fft.rfft(u))
    excited = np.flatnonzero(size > 1e-9 * size.max())
    np.testing.assert_array_equal(excited, np.arange(54, 1640))
    np.testing.assert_allclose(size[excited], size[54], rtol=1e-9)
    assert 750 / 8192 * excited[0] == pytest.approx(5, rel=0.02)
    assert 750 / 8192 * excited[-1] == pytest.approx(150, rel=0.01)
    assert np.abs(bouc_wen_input(1) - u).max() > 10
    phase = np.angle(np.fft.rfft(u)[54:1640])
    want = np.random.default_rng(0).uniform(0, 2 * np.pi, 1586)
    np.testing.assert_allclose(np.exp(1j * phase), np.exp(1j * want), atol=1e-9)


def test_the_training_record_is_five_periods_from_rest_and_the_first_is_a_transient():
    u, y, sizes = bouc_wen_training()
    assert sizes == (40_960,)
    period_u, period_y = u.reshape(5, -1), y.reshape(5, -1)
    np.testing.assert_array_equal(period_u[0], bouc_wen_input(0)[::20])
    np.testing.assert_array_equal(period_u[0], period_u[4])
    off = np.sqrt(((period_y - period_y[4]) ** 2).mean(axis=1))
    assert off[0] == pytest.approx(1.2e-5, rel=0.05)
    assert off[3] < 1e-12
    assert y[0] == 0
    assert np.sqrt((y**2).mean()) == pytest.approx(6.6e-4, rel=0.02)


def test_noise_is_white_on_the_output_alone():
    clean, noisy = bouc_wen_training(), bouc_wen_training(noise=True)
    np.testing.assert_array_equal(clean[0], noisy[0])
    noise = noisy[1] - clean[1]
    assert noise.std() == pytest.approx(8e-6, rel=0.02)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.02


def test_the_rich_record_is_second_periods_of_several_seeds(monkeypatch):
    assert module._RICH_SEEDS == (1, 2, 3, 4, 5)
    monkeypatch.setattr(module, "_RICH_SEEDS", (4, 5))
    u, y, sizes = bouc_wen_training(rich=True)
    assert sizes == (8192, 8192)
    long = simulate_bouc_wen(np.tile(bouc_wen_input(5), 2), H)[::20]
    np.testing.assert_array_equal(y[8192:], long[8192:])
    np.testing.assert_array_equal(u[8192:], bouc_wen_input(5)[::20])


def test_the_simulator_reproduces_the_official_multisine(sysid_folder):
    test = load_sysid("bouc-wen", "test", sysid_folder)
    record = test[test["record"] == 0]
    short = np.fft.rfft(record["u"])
    spectrum = np.zeros(8192 * 10 + 1, dtype=complex)
    spectrum[: len(short)] = 20 * short
    y = simulate_bouc_wen(np.tile(np.fft.irfft(spectrum), 2), H)[::20][8192:]
    assert np.sqrt(((y - record["y"]) ** 2).mean()) < 5e-7
    assert np.sqrt((record["y"] ** 2).mean()) == pytest.approx(6.669e-4, rel=1e-3)


@pytest.mark.slow
def test_the_simulator_reproduces_the_official_sweep(sysid_folder):
    test = load_sysid("bouc-wen", "test", sysid_folder)
    record = test[test["record"] == 1]
    t = H * np.arange(20 * len(record))
    u = 40 * np.sin(2 * np.pi * (18 * t + t**2 / 12))
    np.testing.assert_allclose(u[::20], record["u"], atol=4e-8)
    y = simulate_bouc_wen(u, H)[::20]
    assert np.sqrt(((y - record["y"]) ** 2).mean()) < 5e-6
    assert np.sqrt((record["y"] ** 2).mean()) == pytest.approx(6.637e-4, rel=1e-3)


# ---- files


@pytest.mark.parametrize("name", ROWS)
def test_sets_have_their_rows(name, sysid_folder):
    assert list(SYSID_SETS) == list(ROWS)
    for part, rows in zip(("train", "test"), ROWS[name], strict=True):
        df = load_sysid(name, part, sysid_folder)
        assert df.columns.tolist() == ["record", "k", "u", "y"]
        assert len(df) == rows
    scored = SYSID_SETS[name].scored
    assert {one.record for one in scored} == set(df["record"])
    assert all(one.stop is None or one.stop < (df["record"] == one.record).sum() for one in scored)


def test_starts_and_parts_are_those_of_the_protocol():
    assert [one.starts for one in SYSID_SETS.values()] == [(50,), (50, 5), (50,), (20,), (10,), (10,), (10,)]
    silverbox = [(one.name, one.record, one.stop) for one in SYSID_SETS["silverbox"].scored]
    assert silverbox == [("multisine", 1, None), ("arrow", 2, None), ("arrow-inside", 2, 32_000)]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_are_read_from_the_folder_that_is_named_or_the_variables(kind, tmp_path, monkeypatch):
    frame = sysid_frame()
    shuffled = frame.sample(frac=1, random_state=0)
    path = tmp_path / f"sysid-emps.{kind}"
    _ = shuffled.to_csv(path, index=False) if kind == "csv" else shuffled.to_parquet(path)
    want = frame.loc[frame["split"] == "test", ["record", "k", "u", "y"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(load_sysid("emps", "test", tmp_path), want, rtol=1e-14)
    monkeypatch.setenv("TSFORCE_DATA", str(tmp_path))
    assert len(load_sysid("emps")) == 300


def test_a_set_that_is_not_there_says_where_it_was_looked_for(tmp_path, monkeypatch):
    with pytest.raises(DatasetNotFoundError, match=r"sysid-emps\.parquet nor sysid-emps\.csv.*TSFORCE_DATA"):
        load_sysid("emps", "train", tmp_path)
    monkeypatch.delenv("TSFORCE_DATA", raising=False)
    with pytest.raises(DatasetNotFoundError, match="no folder was named"):
        load_sysid("emps")


@pytest.mark.parametrize(
    ("wreck", "message"),
    [
        (lambda df: df.drop(columns="u"), "column 'u' is missing"),
        (lambda df: df.assign(y=df["y"].where(df["k"] != 7)), "missing or infinite"),
        (lambda df: df[df["k"] != 7], "no row absent"),
        (lambda df: df.assign(record=3), "are of records '3'; emps has records '0'"),
        (lambda df: df.assign(u="loud"), "should hold whole numbers"),
        (lambda df: df[df["split"] == "test"], "of no record; emps has records '0'"),
    ],
)
def test_a_file_that_does_not_hold_what_it_should_is_refused(wreck, message, tmp_path):
    wreck(sysid_frame()).to_csv(tmp_path / "sysid-emps.csv", index=False)
    with pytest.raises(FrameError, match=message):
        load_sysid("emps", "train", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("silverbux",), {}, "Did you mean 'silverbox'"),
        (("emps", "validation"), {}, "part='validation'"),
        (("emps",), {"rich": True}, "only the training record of 'bouc-wen'"),
        (("bouc-wen", "test"), {"noise": True}, "only the training record of 'bouc-wen'"),
    ],
)
def test_what_is_not_known_is_named(arguments, settings, message):
    with pytest.raises(ArgumentError, match=message):
        load_sysid(*arguments, **settings)
