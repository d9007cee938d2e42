"""A closed loop as an FMU for co-simulation: C code behind the functions of FMI 2.0 or 3.0, its source and a binary."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from tsforce.errors import ArgumentError, ExportError, ExportWarning, warn
from tsforce.export.c_replay import FLAGS, TOLERANCE, check_c, compared, compiler
from tsforce.export.c_source import c_source
from tsforce.export.fmu_source import fmu_source
from tsforce.export.loop import Loop, Rows

__all__ = ["write_fmu"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Variable:
    name: str
    causality: str
    start: float | None


def write_fmu(loop: Loop, path: Path, dtype: str, version: str, sample_time: float) -> list[Path]:
    """Write an FMU once it says what Python says; parameters as of the method ``export``."""
    name = path.stem
    code = c_source(loop, name, dtype)
    check_c(code, name, dtype, loop)
    variables = _variables(loop)
    token = hashlib.sha256(f"{code.source}{version} {sample_time!r}".encode()).hexdigest()[:32]
    start = [0.0 if variable.start is None else variable.start for variable in variables]
    source = fmu_source(loop, name, version, token, start, sample_time)
    files = {
        "modelDescription.xml": _description(name, variables, version, token, sample_time).encode(),
        f"sources/{name}.c": code.source.encode(),
        f"sources/{name}.h": code.header.encode(),
        "sources/fmu.c": source.encode(),
    }
    if version == "3.0":
        files["sources/buildDescription.xml"] = _build(name).encode()
    folder = _folder(version)
    if compiler() is not None and folder is not None:
        files[f"binaries/{folder}/{name}{'.dylib' if 'darwin' in folder else '.so'}"] = _binary(
            files, loop, name, version, token, sample_time, dtype
        )
    else:
        warn(
            f"{path.name} holds its source and no binary: there is no C compiler here, or FMI {version} has no name "
            f"for this platform. Compile sources/fmu.c as a shared library where it is to run.",
            ExportWarning,
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, content in files.items():
            archive.writestr(zipfile.ZipInfo(inside, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return [path]


def _variables(loop: Loop) -> list[_Variable]:
    """Return the variables by value reference: inputs, outputs, the rows that the model starts behind."""
    columns, rows = loop.columns, loop.start.take(slice(-loop.n_rows, None))
    found = [_Variable(str(name), "input", float(rows.future[-1, i])) for i, name in enumerate(columns.future_exog)]
    found += [_Variable(str(name), "output", None) for name in columns.targets]
    listed = [*columns.targets, *columns.future_exog, *columns.past_exog]
    for back, row in zip(range(len(rows.y), 0, -1), np.concatenate(rows, axis=1), strict=True):
        found += [_Variable(f"{name}_start_{back}", "parameter", float(x)) for name, x in zip(listed, row, strict=True)]
    names = [variable.name for variable in found]
    twice = {name for name in [*names, "time"] if [*names, "time"].count(name) > 1}
    if twice:
        raise ArgumentError(
            f"{sorted(twice)}: two variables of the FMU would be called so (rows that the model starts behind are "
            f"called y_start_1, y_start_2 ..., and time is time); give the columns other names and fit again."
        )
    return found


def _description(name: str, variables: list[_Variable], version: str, token: str, sample_time: float) -> str:
    two = version == "2.0"
    kinds = {
        "input": 'causality="input" variability="discrete"',
        "output": 'causality="output" variability="discrete" initial="calculated"',
        "parameter": 'causality="parameter" variability="fixed" initial="exact"',
    }
    lines, outputs = [], []
    for number, variable in enumerate(variables):
        start = "" if variable.start is None else f' start="{variable.start!r}"'
        head = f'name={quoteattr(variable.name)} valueReference="{number}" {kinds[variable.causality]}'
        lines.append(f"<ScalarVariable {head}><Real{start}/></ScalarVariable>" if two else f"<Float64 {head}{start}/>")
        if variable.causality == "output":
            outputs.append(f'index="{number + 1}"' if two else f'valueReference="{number}"')
    if two:
        both = "".join(f"<Unknown {key}/>" for key in outputs)
        structure = f"<Outputs>{both}</Outputs><InitialUnknowns>{both}</InitialUnknowns>"
        one = 'canGetAndSetFMUstate="true"><SourceFiles><File name="fmu.c"/></SourceFiles></CoSimulation>'
    else:
        clock = f'valueReference="{len(variables)}" causality="independent" variability="continuous"'
        lines.insert(0, f'<Float64 name="time" {clock}/>')
        structure = "".join(f"<{kind} {key}/>" for kind in ("Output", "InitialUnknown") for key in outputs)
        one = f'canGetAndSetFMUState="true" fixedInternalStepSize="{sample_time!r}"/>'
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<fmiModelDescription fmiVersion="{version}" modelName="{name}" generationTool="tsforce" '
            f'{"guid" if two else "instantiationToken"}="{token}" variableNamingConvention="flat">',
            f'<CoSimulation modelIdentifier="{name}" {one}',
            f'<DefaultExperiment startTime="0" stepSize="{sample_time!r}"/>',
            "<ModelVariables>",
            *lines,
            "</ModelVariables>",
            f"<ModelStructure>{structure}</ModelStructure>",
            "</fmiModelDescription>",
        ]
    )


def _build(name: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<fmiBuildDescription fmiVersion="3.0">'
        f'<BuildConfiguration modelIdentifier="{name}"><SourceFileSet language="C99"><SourceFile name="fmu.c"/>'
        "</SourceFileSet></BuildConfiguration></fmiBuildDescription>\n"
    )


def _folder(version: str) -> str | None:
    """Return what FMI calls this platform; None if it has no name for it."""
    system = platform.system().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if system not in ("linux", "darwin") or machine not in ("x86_64", "aarch64"):
        return None
    if version == "2.0":
        return f"{system}64" if machine == "x86_64" else None
    return f"{machine}-{system}"


def _binary(
    files: dict[str, bytes], loop: Loop, name: str, version: str, token: str, sample_time: float, dtype: str
) -> bytes:
    """Return the shared library, compared with Python through the functions of FMI."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for inside in (f"sources/{name}.c", f"sources/{name}.h", "sources/fmu.c"):
            (folder / Path(inside).name).write_bytes(files[inside])
        library = folder / f"{name}.so"
        call = [str(compiler()), *FLAGS, "-O2", "-fvisibility=hidden", "-shared", "-fPIC", str(folder / "fmu.c")]
        done = subprocess.run([*call, "-o", str(library), "-lm"], capture_output=True, text=True)
        if done.returncode:
            raise ExportError(f"the source of the FMU does not compile: {done.stderr[:2000]}")
        driven = _Driven(ctypes.CDLL(str(library)), loop, version, token, sample_time)
        compared("the FMU", driven, loop, TOLERANCE[dtype])
        return library.read_bytes()


class _Driven:
    """A library called as a simulator calls it: rows as start values, one step for each row of inputs."""

    def __init__(self, library: Any, loop: Loop, version: str, token: str, sample_time: float) -> None:
        self.library, self.loop, self.two = library, loop, version == "2.0"
        self.token, self.sample_time = token.encode(), sample_time

    def __call__(self, rows: Rows | None, future: FloatArray) -> FloatArray:
        n_rows = min(self.loop.n_rows, len(self.loop.start.y))
        if rows is not None and (len(rows.y) < n_rows or self.loop.layout.recurrences):
            # An FMU has as many start values as it has: those of a series that has only begun are none of them. And
            # what rows before them have left is that of its own start.
            return self.loop.forecast(rows, future)
        n_in, n_out = future.shape[1], len(self.loop.layout.channels)
        prefix = "fmi2" if self.two else "fmi3"
        make = getattr(self.library, "fmi2Instantiate" if self.two else "fmi3InstantiateCoSimulation")
        make.restype = ctypes.c_void_p
        no, none, zero = ctypes.c_int(0), ctypes.c_void_p(None), ctypes.c_double(0)
        given = (ctypes.c_int(1), self.token, b"", none, no, no) if self.two else (self.token, b"", *(no,) * 4, none)
        tail = () if self.two else (ctypes.c_size_t(0), none, none, none)
        self.instance = ctypes.c_void_p(make(b"one", *given, *tail))
        if self.two:
            self._do("fmi2SetupExperiment", no, zero, zero, no, zero)
            self._do("fmi2EnterInitializationMode")
        else:
            self._do("fmi3EnterInitializationMode", no, zero, zero, no, zero)
        if rows is not None:
            values = np.concatenate(rows.take(slice(-n_rows, None)), axis=1).ravel()
            self._values("Set", np.arange(n_in + n_out, n_in + n_out + len(values)), values)
        self._do(f"{prefix}ExitInitializationMode")
        out = np.empty((len(future), n_out))
        # Room for what a step says besides.
        said = [ctypes.byref(ctypes.c_int64(0)) for _ in range(0 if self.two else 4)]
        for number, row in enumerate(future):
            if n_in:
                self._values("Set", np.arange(n_in), row)
            time, size = ctypes.c_double(number * self.sample_time), ctypes.c_double(self.sample_time)
            self._do(f"{prefix}DoStep", time, size, no, *said)
            self._values("Get", np.arange(n_in, n_in + n_out), out[number])
        getattr(self.library, f"{prefix}FreeInstance")(self.instance)
        return out

    def _do(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(self.instance, *arguments)
        if status:
            raise ExportError(f"the FMU was not written: {name} answers {status}. Please report this.")

    def _values(self, way: str, references: Any, values: FloatArray) -> None:
        own = np.ascontiguousarray(values, dtype=np.float64)
        which = references.astype(np.uint32)
        size = ctypes.c_size_t(len(which))
        pointers = (ctypes.c_void_p(which.ctypes.data), size, ctypes.c_void_p(own.ctypes.data))
        self._do(f"fmi2{way}Real" if self.two else f"fmi3{way}Float64", *pointers, *(() if self.two else (size,)))
        values[:] = own
