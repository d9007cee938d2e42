"""A closed loop as an FMU: driven by its own functions, and by fmpy."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np
import pytest

from tests.makers import make_frame, sysid_record
from tsforce import Difference, Log, NARXForecaster, NARXRegressor
from tsforce.errors import ArgumentError, ExportError, ExportWarning
from tsforce.export import c_replay, fmu

needs_compiler = pytest.mark.skipif(
    c_replay.compiler() is None, reason="NOT TESTED: no C compiler (cc, gcc or clang) to compile an FMU with"
)
VERSIONS = ["2.0", pytest.param("3.0", marks=pytest.mark.slow)]


def plant(**settings):
    u, y = sysid_record(400)
    return NARXRegressor(2, 3, input_delay=1, mode="open_loop", **settings).fit(u[:, None], y)


def described(path):
    with zipfile.ZipFile(path) as archive:
        return ElementTree.fromstring(archive.read("modelDescription.xml")), set(archive.namelist())


@needs_compiler
@pytest.mark.parametrize("version", VERSIONS)
def test_an_fmu_holds_its_source_and_a_binary_that_said_what_python_says(version, tmp_path):
    (path,) = plant().export(tmp_path / "plant.fmu", fmi=version, sample_time=0.5)
    root, names = described(path)
    assert {"sources/plant.c", "sources/plant.h", "sources/fmu.c"} <= names
    assert any(name.startswith("binaries/") for name in names)
    assert root.get("fmiVersion") == version
    assert root.find("DefaultExperiment").get("stepSize") == "0.5"
    variables = list(root.find("ModelVariables"))
    inputs = [node for node in variables if node.get("causality") == "input"]
    assert [(node.get("name"), node.get("variability")) for node in inputs] == [("x0", "discrete")]
    u, y = sysid_record(400)
    start = {
        node.get("name"): float((node if version == "3.0" else node[0]).get("start"))
        for node in variables
        if "_start_" in node.get("name")
    }
    assert [start[f"y_start_{k}"] for k in (1, 2, 3)] == list(y[:-4:-1])
    assert [start[f"x0_start_{k}"] for k in (1, 2, 3)] == list(u[:-4:-1])


@needs_compiler
@pytest.mark.parametrize(
    ("found", "instead"),
    [("floor(size / SAMPLE_TIME + 0.5)", "floor(size / SAMPLE_TIME + 1.5)"), ("enum { OK = 0", "enum { OK = 1")],
)
def test_an_fmu_that_says_something_else_is_not_written(found, instead, tmp_path, monkeypatch):
    made = fmu.fmu_source

    def wrong(*given):
        assert found in made(*given)
        return made(*given).replace(found, instead)

    monkeypatch.setattr(fmu, "fmu_source", wrong)
    with pytest.raises(ExportError, match="the FMU was not written"):
        plant().export(tmp_path / "plant.fmu")
    assert not list(tmp_path.iterdir())


def test_without_a_compiler_an_fmu_is_its_source(tmp_path, monkeypatch):
    for module in (c_replay, fmu):
        monkeypatch.setattr(module, "compiler", lambda: None)
    with pytest.warns(ExportWarning) as caught:
        (path,) = plant().export(tmp_path / "plant.fmu")
    assert ["no C compiler" in str(one.message) for one in caught] == [True, True]
    assert not any(name.startswith("binaries") for name in described(path)[1])


def test_settings_of_an_fmu_are_checked(tmp_path):
    with pytest.raises(ArgumentError, match=r"fmi='1\.0'.*'2\.0'"):
        plant().export(tmp_path / "plant.fmu", fmi="1.0")
    for time in (0, -1.0, True, "1s", float("inf")):
        with pytest.raises(ArgumentError, match=r"sample_time=.*above 0"):
            plant().export(tmp_path / "plant.fmu", sample_time=time)
    model = NARXForecaster(2, lags=2, mode="open_loop", target_col="time", time_col="k")
    model.fit(make_frame((40,)).rename(columns={"y": "time", "ds": "k"}))
    with pytest.raises(ArgumentError, match=r"\['time'\].*other names"):
        model.export(tmp_path / "plant.fmu")


# ---- fmpy


def simulated(path, u, sample_time, **options):
    """What fmpy says of inputs that are held from sample to sample, one row for each time."""
    fmpy = pytest.importorskip("fmpy", reason="NOT TESTED: fmpy is not installed")
    times = sample_time * np.arange(len(u))
    signals = np.array(list(zip(times, u, strict=True)), dtype=[("time", float), ("x0", float)])
    stop = sample_time * len(u)
    return fmpy.simulate_fmu(
        str(path), start_time=0, stop_time=stop, input=signals, output_interval=sample_time, output=["y"], **options
    )["y"]


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_fmpy_simulates_ten_thousand_measured_rows_as_python_does(version, tmp_path):
    model, u = plant(), sysid_record(10_000, seed=3)[0]
    (path,) = model.export(tmp_path / "plant.fmu", fmi=version, sample_time=0.25)
    found = simulated(path, u, 0.25)
    # The first row is of the start; row k is the step from t(k-1), with the input there.
    assert found[0] == sysid_record(400)[1][-1]
    expected = model.predict(u[:, None])
    assert np.abs(found[1:] - expected).max() < 1e-12 * np.abs(expected).max()


@needs_compiler
@pytest.mark.slow
def test_fmpy_starts_where_it_is_told_to(tmp_path):
    model, (u, y) = plant(), sysid_record(60, seed=5)
    (path,) = model.export(tmp_path / "plant.fmu")
    start = {f"{name}_start_{k}": rows[3 - k] for name, rows in (("y", y), ("x0", u)) for k in (1, 2, 3)}
    found = simulated(path, u[3:], 1.0, start_values=start)
    np.testing.assert_allclose(found[1:], model.predict(u[:, None], y_init=y[:3])[3:], rtol=1e-12)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_fmpy_finds_no_fault_in_what_describes_an_fmu(version, tmp_path):
    pytest.importorskip("fmpy", reason="NOT TESTED: fmpy is not installed")
    from fmpy.validation import validate_fmu

    season = NARXForecaster(3, lags=5, target_transforms=[Log(), Difference(7)], mode="open_loop").fit(
        make_frame((60,))
    )
    for model in (plant(), season):
        (path,) = model.export(tmp_path / "plant.fmu", fmi=version)
        assert validate_fmu(str(path)) == []
