"""Files that are broken, cut off, foreign or made up: refused with a PersistenceError, or harmless."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
import warnings
import zipfile
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

import tsforce
from tests.makers import make_frame
from tests.persistence.mutations import arrays_file, arrays_of, at, members_of, mutated, zipped
from tsforce import Baseline, Difference, Log, NARXForecaster
from tsforce.errors import PersistenceError
from tsforce.persistence.saved_file import FORMAT


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A model and the bytes of its file."""
    df = make_frame((40, 30), freq="D")
    transforms = [Log(), Difference(1)]
    model = NARXForecaster(3, 4, scope="local", target_transforms=transforms, mode="open_loop").fit(df)
    path = tmp_path_factory.mktemp("good") / "model"
    model.save(path)
    return model, path.read_bytes()


def loaded(data, tmp_path, **given):
    path = tmp_path / "model"
    path.write_bytes(data)
    return tsforce.load(path, **given)


def is_refused(data, tmp_path, model=None):
    """Whether a file is refused; if it is not, its model has to come to the forecasts of the good one, if given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            other = loaded(data, tmp_path)
        except PersistenceError:
            return True
        if model is not None:
            pd.testing.assert_frame_equal(other.predict(), model.predict(), check_exact=True)
    return False


@pytest.mark.parametrize("numbers", [range(40), pytest.param(range(40, 400), marks=pytest.mark.slow)])
def test_mutations_of_a_good_file_are_refused_or_forecast_the_same(numbers, good, tmp_path):
    """Those that were not sealed anew; of the others no more can be said than that they do no harm, and load tells."""
    model, data = good
    refused = sum(is_refused(mutated(data, number, sealed=False), tmp_path, model) for number in numbers)
    assert 0.9 * len(numbers) < refused <= len(numbers)
    refused = sum(is_refused(mutated(data, number, sealed=True), tmp_path) for number in numbers)
    assert 0.7 * len(numbers) < refused < len(numbers)


@pytest.mark.slow
def test_mutations_of_files_of_other_kinds_are_refused_or_forecast_the_same(tmp_path):
    df = make_frame((40, 30), freq="D")
    models = [
        NARXForecaster(3, 4, model="gru", max_steps=1, training={"batch_size": 8}, mode="open_loop"),
        Baseline("ets", horizon=3),
        tsforce.Ensemble([Baseline("theta", horizon=3), NARXForecaster(3, 3, strategy="direct")]),
    ]
    if find_spec("skops"):
        models.append(NARXForecaster(3, 4, model=Ridge(), mode="open_loop"))
    for model in models:
        model.fit(df).save(tmp_path / "good")
        data = (tmp_path / "good").read_bytes()
        for number in range(120):
            is_refused(mutated(data, number, sealed=False), tmp_path, model)
            is_refused(mutated(data, number, sealed=True), tmp_path)


def test_every_array_of_a_file_is_what_it_says_and_weights_are_numbers(good, tmp_path):
    _, data = good
    members = members_of(data)
    header, rest = arrays_of(members["arrays.safetensors"])
    name = "model.model_.*parameters.weight"
    begin, stop = header[name]["data_offsets"]
    gone = rest[:begin] + np.full((stop - begin) // 8, np.nan).tobytes() + rest[stop:]
    with pytest.raises(PersistenceError, match=r"model.json: model.model_: the weights 'weight' are not all finite"):
        loaded(zipped(members | {"arrays.safetensors": arrays_file(header, gone)}), tmp_path)
    for entry, words in (
        ({"dtype": "F32"}, "do not fit"),
        ({"shape": [2, 3]}, "do not fit"),
        ({"shape": [-1]}, "is no shape"),
        ({"dtype": "F16", "shape": [2, 16]}, "its parts do not fit together"),
    ):
        other = header | {name: header[name] | entry}
        with pytest.raises(PersistenceError, match=words):
            loaded(zipped(members | {"arrays.safetensors": arrays_file(other, rest)}), tmp_path)


def with_json(data, **changes):
    members = members_of(data)
    head = json.loads(members["model.json"]) | changes
    return zipped(members | {"model.json": json.dumps(head).encode()})


def test_a_file_that_was_edited_or_packed_again_is_refused(good, tmp_path):
    members = members_of(good[1])
    other = members | {"model.json": members["model.json"].replace(b'"alias":null', b'"alias":"me"')}
    sealed = zipped(other)
    assert loaded(sealed, tmp_path).name == "me"
    with pytest.raises(PersistenceError, match="changed after it was saved, or packed again"):
        loaded(sealed[: -len(b"tsforce ") - 64 - 2] + b"\0\0", tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-300], "model: it is no saved model, or broken"),
        (lambda data: b"", "model: it is no saved model, or broken"),
        (lambda data: b"PK\x05\x06" + bytes(18), "model.json: it is not there: this is no saved model"),
        (lambda data: zipped({"data.pkl": b"x"}), "model.json: it is not there: this is no saved model"),
        (lambda data: zipped(members_of(data), compression=zipfile.ZIP_DEFLATED), "'model.json' is packed"),
        (lambda data: zipped(members_of(data) | {"../x": b""}), "members are not those that it says: '../x'"),
        (lambda data: zipped(members_of(data) | {"model.json": b"[" * 10**5}), "model.json: its JSON is nested too"),
        (lambda data: zipped(members_of(data) | {"model.json": b'{"a": 1, "a": 1}'}), "names a key twice"),
        (lambda data: zipped(members_of(data) | {"model.json": b'{"a": NaN}'}), "holds NaN, which is no number"),
        (lambda data: with_json(data, format=FORMAT + 1), r"is of format 2, .* reads formats up to 1.* upgrade"),
        (lambda data: with_json(data, format="1"), "says no format"),
        (lambda data: with_json(data, model=[1]), "nothing reads the array"),
        (lambda data: with_json(data, model={"class": "os.system", "state": {}}), "'os.system' is no class"),
        (lambda data: with_json(data, model={"class": "transforms.Log", "state": {"x": 1}}), "Log has no field 'x'"),
        (lambda data: with_json(data, model={"class": "transforms.Difference", "state": {"lag": "7"}}), "holds a str"),
        (lambda data: with_json(data, model={"class": "own.Mine", "state": {}}), r"models=\{'Mine': Mine\}"),
        (lambda data: with_json(data, boosters=1), "members are not those that it says: 'booster-0.txt'"),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_the_part(change, words, good, tmp_path):
    with pytest.raises(PersistenceError, match=words):
        loaded(change(good[1]), tmp_path)


def test_a_model_that_no_longer_comes_to_its_forecasts_is_refused_with_the_versions_that_changed(good, tmp_path):
    _, data = good
    members = members_of(data)
    head = json.loads(members["model.json"])
    head["versions"]["numpy"] = "1.0"
    header, rest = arrays_of(members["arrays.safetensors"])
    begin, _ = header["shown"]["data_offsets"]
    rest = rest[:begin] + np.float64(1e3).tobytes() + rest[begin + 8 :]
    other = {"model.json": json.dumps(head).encode(), "arrays.safetensors": arrays_file(header, rest)}
    with pytest.raises(PersistenceError, match=r"does not come to the forecasts .* saved with numpy 1.0 \(now 2"):
        loaded(zipped(members | other), tmp_path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("history_ state frame index range_index 1", "columns are not as long as its index"),
        ("_rolling_ state context_length", "a context of 30000000 rows is longer than all"),
        ("_rows_ state clock state step", "a calendar of .* steps is none"),
        ("horizon", "does not come to the forecasts"),
    ],
)
def test_numbers_that_would_take_memory_or_time_without_end_are_refused(path, words, tmp_path):
    model = NARXForecaster(3, 4, mode="open_loop").fit(make_frame((40, 30), freq="MS"))
    model.save(tmp_path / "model")
    members = members_of((tmp_path / "model").read_bytes())
    head = json.loads(members["model.json"])
    *inner, last = [int(key) if key.isdecimal() else key for key in path.split()]
    at(head["model"]["state"], inner)[last] = 30_000_000
    data = zipped(members | {"model.json": json.dumps(head).encode()})
    with pytest.raises(PersistenceError, match=words):
        loaded(data, tmp_path)


def test_no_file_is_a_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        tsforce.load(tmp_path / "nothing")


def test_a_load_takes_no_more_than_twice_the_memory_of_the_file_and_a_refusal_less(tmp_path):
    rows = np.random.default_rng(0).normal(size=300_000)
    df = make_frame((20,)).iloc[:0].reindex(range(300_000))
    df["unique_id"], df["ds"], df["y"] = "s", np.arange(300_000), rows
    Baseline("naive", horizon=2).fit(df).save(tmp_path / "model")
    data = (tmp_path / "model").read_bytes()

    def peak(content):
        (tmp_path / "model").write_bytes(content)
        tracemalloc.start()
        with contextlib.suppress(PersistenceError):
            tsforce.load(tmp_path / "model")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found / len(data)

    tsforce.load(tmp_path / "model")
    assert peak(data) < 2
    members = members_of(data)
    header, rest = arrays_of(members["arrays.safetensors"])
    # An array of 32 TB, a packed one, and one that holds more than it says.
    many = header | {"x": {"dtype": "F64", "shape": [2**42], "data_offsets": [len(rest), len(rest) + 2**45]}}
    note = {"__metadata__": {"packed": json.dumps({"shown": ["F64", [2**42], "zlib"]})}}
    for other in (many, header | note):
        assert peak(zipped(members | {"arrays.safetensors": arrays_file(other, rest)})) < 0.1
    assert peak(data[: len(data) // 2]) < 0.1
