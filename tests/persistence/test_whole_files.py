"""Files that are there whole or not at all, arrays in them, and the table of classes."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import pkgutil
import subprocess
import sys
import time
import zlib

import numpy as np
import pandas as pd
import pytest
from torch import nn

import tsforce
from tests.persistence.mutations import arrays_file, arrays_of
from tsforce import Baseline, NARXForecaster
from tsforce.data.transforms import Transform
from tsforce.dynamics.forcing import Forcing
from tsforce.dynamics.models.families import Family
from tsforce.dynamics.schedules import Schedule
from tsforce.dynamics.window_statistics import LagTransform
from tsforce.errors import PersistenceError
from tsforce.persistence.arrays import MOST_UNPACKED, read_arrays, write_arrays
from tsforce.persistence.atomic import written_whole
from tsforce.persistence.registry import HOMES, class_of, key_of

# ---- whole or not at all


def test_a_file_takes_its_place_only_when_all_of_it_is_written(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with contextlib.suppress(KeyboardInterrupt), written_whole(path) as file:
        file.write(b"half")
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["model"]
    with written_whole(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert [found.name for found in tmp_path.iterdir()] == ["model"]


def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with written_whole(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_a_process_that_is_killed_leaves_the_old_file_or_the_new_one(kills, tmp_path):
    """Each file is one letter 300,000 times over, and then another one; no other is ever seen."""
    code = (
        "import sys, itertools\n"
        "from tsforce.persistence.atomic import written_whole\n"
        "for letter in itertools.cycle(b'abc'):\n"
        "    with written_whole(sys.argv[1]) as file:\n"
        "        for _ in range(3): file.write(bytes([letter]) * 100_000)\n"
        "    print(flush=True)\n"
    )
    rng = np.random.default_rng(0)
    path = tmp_path / "model"
    for _ in range(kills):
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
        found = path.read_bytes()
        assert len(found) == 300_000
        assert len(set(found)) == 1


def test_a_model_that_cannot_be_saved_leaves_the_one_that_was_there(tmp_path):
    from tests.makers import make_frame

    model = Baseline("drift", horizon=2).fit(make_frame((20,)))
    model.save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    model.strange_ = object()
    with pytest.raises(PersistenceError, match=r"^model.strange_: a builtins.object cannot be saved"):
        model.save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["model"]


def test_the_same_model_gives_the_same_bytes(tmp_path):
    from tests.makers import make_frame

    for name in ("a", "b"):
        Baseline("ets", horizon=2).fit(make_frame((30, 20))).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# ---- arrays


def some_arrays():
    rng = np.random.default_rng(0)
    return {
        "smooth": np.linspace(0, 1, 3000).reshape(3, 1000),
        "noise": rng.normal(size=(40, 5)),
        "whole": np.arange(2000, dtype=np.int64),
        "turned": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "every second": np.arange(20.0)[::2],
        "yes or no": np.arange(3) > 1,
        "one": np.array(3.5),
        "none": np.empty((0, 3), dtype=np.float32),
        "big endian": np.arange(4, dtype=">f4"),
    }


def written(arrays, beside=0):
    out = io.BytesIO()
    write_arrays(out, arrays, beside)
    return out.getvalue()


def test_arrays_come_back_whatever_their_order_in_memory():
    data = written(some_arrays())
    found = read_arrays(io.BytesIO(data), len(data), 10**6)
    for name, array in some_arrays().items():
        assert found[name].dtype == array.dtype.newbyteorder("<")
        np.testing.assert_array_equal(found[name], array)


def test_the_library_of_the_format_reads_them_the_same():
    safetensors = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    arrays = {name: rng.permutation(a.reshape(-1)[:60]) for name, a in some_arrays().items() if name != "big endian"}
    found = safetensors.load(written(arrays))
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_arrays_are_packed_where_that_pays_but_never_more_than_memory_is_promised():
    noise = np.random.default_rng(0).normal(size=20_000)
    flat = np.zeros(20_000)
    both = written({"noise": noise, "whole": np.round(noise, 1)})
    assert len(both) < 0.7 * 2 * noise.nbytes
    assert len(read_arrays(io.BytesIO(both), len(both), int(MOST_UNPACKED * len(both)))) == 2
    # Alone, what packs best is left as it is.
    alone = written({"flat": flat})
    assert len(alone) > flat.nbytes
    read_arrays(io.BytesIO(alone), len(alone), int(MOST_UNPACKED * len(alone)))


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (zlib.compress(bytes(8 * 600))[:-6], "cut off"),
        (zlib.compress(bytes(8 * 599)), "cut off"),
        (zlib.compress(bytes(8 * 601)), "more than is said"),
        (zlib.compress(bytes(8 * 600)) + b"more", "more than is said"),
        (b"nothing packed", "incorrect header"),
    ],
)
def test_packed_arrays_are_as_long_as_they_say(packed, words):
    header, _ = arrays_of(written({"a": np.zeros(1)}))
    header["__metadata__"]["packed"] = '{"a": ["F64", [600], "planes"]}'
    header["a"] = {"dtype": "U8", "shape": [len(packed)], "data_offsets": [0, len(packed)]}
    data = arrays_file(header, packed)
    with pytest.raises((PersistenceError, zlib.error), match=words):
        read_arrays(io.BytesIO(data), len(data), 10**6)


# ---- classes


def all_classes():
    for module in pkgutil.walk_packages(tsforce.__path__, "tsforce."):
        for found in vars(importlib.import_module(module.name)).values():
            # What solvers make for themselves is no part of a model.
            inner = module.name.startswith("tsforce.training.solvers.")
            if inspect.isclass(found) and found.__module__ == module.name and not inner:
                yield found


def test_every_class_that_users_give_to_a_model_or_that_learns_stands_in_the_table():
    given = (Transform, Forcing, Schedule, Family, LagTransform, nn.Module)
    bases = {*given, tsforce.Forecaster}
    lacking = {
        cls.__name__
        for cls in all_classes()
        if issubclass(cls, given) and cls not in bases and key_of(cls) is None and not cls.__subclasses__()
    }
    assert lacking == set()
    assert all(key_of(getattr(tsforce, name)) for name in ("AutoNARX", "Baseline", "Ensemble", "NARXForecaster"))


def test_every_key_of_the_table_opens_the_class_that_it_names():
    for key, (module, name) in HOMES.items():
        if module != "lightgbm":
            assert class_of(key).__name__ == name
    with pytest.raises(PersistenceError, match="is no class that this version of tsforce reads"):
        class_of("os.system")


def test_nothing_of_the_room_can_unpickle_or_evaluate():
    """Not by name: the module that reads JSON is `json`, arrays come from bytes, and no other reader is there."""
    room = importlib.import_module("tsforce.persistence").__path__[0]
    for name in os.listdir(room):
        if name.endswith(".py"):
            with open(os.path.join(room, name)) as file:
                text = file.read()
            for word in ("pickle", "eval(", "exec(", "np.load", "torch.load", "allow_pickle", "marshal", "__reduce__"):
                assert word not in text, (name, word)


def test_a_local_linear_model_takes_little_more_than_its_weights(tmp_path):
    """As of M4's hours, 192 lags of whole numbers; weights pack badly, whatever they were learnt from."""
    rng = np.random.default_rng(0)
    hours = np.arange(600)
    y = 500 + 100 * np.sin(2 * np.pi * hours / 24) + rng.normal(scale=20, size=(100, 600))
    df = pd.DataFrame({"unique_id": np.repeat(np.arange(100), 600), "ds": np.tile(hours, 100), "y": y.round().ravel()})
    model = NARXForecaster(48, 192, scope="local", mode="open_loop", ridge=10.0).fit(df)
    model.save(tmp_path / "model")
    weights = 8 * sum(p.numel() for p in model.model_.parameters())
    assert weights == 8 * 100 * 193
    assert (tmp_path / "model").stat().st_size < 1.2 * weights
