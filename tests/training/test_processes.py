"""Several processes that share a fit come to what one comes to: processes as threads here, gloo's in the slow tests."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.makers import make_frame
from tsforce import NARXForecaster, Training
from tsforce.errors import ArgumentError, ProcessError
from tsforce.forcing import (
    Annealed,
    ClosedLoop,
    Curriculum,
    GeneralizedTeacherForcing,
    InputNoise,
    ProfessorForcing,
    TeacherForcingRatio,
)
from tsforce.models import GRU, LSTM, MLP
from tsforce.persistence.checkpoints import Checkpoint
from tsforce.training.processes import Processes, own_device

DF = make_frame((60, 48, 55))


class _Exact:
    """In float64: in float32 the order of sums shows, and AdamW enlarges it."""

    def build(self, start, keys, dtype=None):
        return super().build(start, keys, torch.float64)


@dataclass(frozen=True)
class ExactMLP(_Exact, MLP):
    pass


@dataclass(frozen=True)
class ExactGRU(_Exact, GRU):
    pass


@dataclass(frozen=True)
class ExactLSTM(_Exact, LSTM):
    pass


MODELS = {"mlp": ExactMLP((8,)), "gru": ExactGRU(4), "lstm": ExactLSTM(4)}


class Room:
    """Where threads exchange values, in turn."""

    def __init__(self, count):
        self.barrier = threading.Barrier(count, timeout=60)
        self.values = [None] * count


@dataclass(frozen=True)
class InThread(Processes):
    """One of several threads in place of processes: nothing is shared but what is told."""

    room: Room = field(default=None, repr=False)

    def _told(self, value):
        self.room.values[self.rank] = pickle.dumps(value)
        self.room.barrier.wait()
        found = [pickle.loads(one) for one in self.room.values]
        self.room.barrier.wait()
        return found

    def _add_up(self, flat):
        flat.copy_(torch.stack(self._told(flat)).sum(dim=0))


def in_threads(work, monkeypatch, count=2):
    """Return what `work(rank)` returns in each of some threads that a fit takes for processes."""
    room, own = Room(count), threading.local()
    monkeypatch.setattr(Processes, "started", staticmethod(lambda: own.processes))
    results = [None] * count

    def run(rank):
        own.processes = InThread(rank, count, room)
        try:
            results[rank] = work(rank)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def fitted(shared, *, df=DF, checkpoint=None, **settings):
    """A forecaster after a few steps; `shared`: with the work of them shared out."""
    training = {"batch_size": 5, **settings.pop("training", {}), "processes": "torchrun" if shared else None}
    given = {"model": "mlp", "scope": "global", "max_steps": 4, "ridge": 1.0, **settings}
    given["model"] = MODELS.get(given["model"], given["model"])
    return NARXForecaster(3, 4, training=Training(**training), **given).fit(df, checkpoint=checkpoint)


def numbers(model):
    """Forecasts, and what validation said of every look."""
    # Beside others that go on, the loss of a series that has stopped is told on.
    told = ["closed_loop", "one_step", "loss"][: 3 if model.scope_ == "global" else 2]
    looks = model.history_.frame[told].to_numpy()
    return model.predict().iloc[:, -1].to_numpy(), looks


def assert_same(shared, alone):
    for one in shared:
        assert isinstance(one, NARXForecaster), one
    for one, two in zip(numbers(shared[0]), numbers(shared[1]), strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(numbers(shared[0]), numbers(alone), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "closed_loop", "model": "gru"},
        {"mode": "curriculum", "model": "lstm"},
        {"mode": TeacherForcingRatio(0.5)},
        {"mode": InputNoise(0.3)},
        {"mode": InputNoise(0.3, "random_walk")},
        {"mode": Curriculum(sharing="batch")},
        {"mode": GeneralizedTeacherForcing(Annealed())},
        {"mode": ClosedLoop(), "loss": "huber"},
        {"mode": "curriculum", "model": "linear", "head": "gaussian"},
        {"mode": "closed_loop", "training": {"loss_space": "level"}},
    ],
    ids=str,
)
def test_two_processes_learn_what_one_learns(settings, monkeypatch):
    shared = in_threads(lambda rank: fitted(True, **settings), monkeypatch)
    assert_same(shared, fitted(False, **settings))
    assert "2 processes shared the windows of each step." in shared[0].history_.notes


def test_a_process_without_windows_keeps_nobody_waiting(monkeypatch):
    settings = {"mode": "curriculum", "loss": "huber", "training": {"batch_size": 2}}
    shared = in_threads(lambda rank: fitted(True, **settings), monkeypatch, count=3)
    assert_same(shared, fitted(False, **settings))


def test_models_of_single_series_are_shared_out_by_series(monkeypatch):
    settings = {"mode": "closed_loop", "scope": "local"}
    shared = in_threads(lambda rank: fitted(True, **settings), monkeypatch)
    assert_same(shared, fitted(False, **settings))
    assert "2 processes shared the series." in shared[1].history_.notes


def test_one_series_on_more_processes_than_series_is_shared_out_by_windows(monkeypatch):
    settings = {"mode": "closed_loop", "scope": "local", "df": make_frame((50,))}
    assert_same(in_threads(lambda rank: fitted(True, **settings), monkeypatch), fitted(False, **settings))


def test_a_solver_without_parts_to_share_runs_in_every_process(monkeypatch):
    settings = {"mode": "closed_loop", "model": "linear"}
    shared = in_threads(lambda rank: fitted(True, **settings, training={"batch_size": "auto"}), monkeypatch)
    assert_same(shared, fitted(False, **settings, training={"batch_size": "auto"}))
    assert any(note.startswith("nothing was shared") for note in shared[0].history_.notes)


def test_a_process_with_other_rows_or_settings_is_told(monkeypatch):
    other = DF.assign(y=DF["y"] + 1e-9)
    told = in_threads(lambda rank: fitted(True, df=other if rank else DF), monkeypatch)
    assert all(isinstance(one, ProcessError) for one in told)
    assert "process 1 was given other rows or other settings than process 0" in str(told[0])
    told = in_threads(lambda rank: fitted(True, random_state=rank), monkeypatch)
    assert all(isinstance(one, ProcessError) for one in told)


def test_the_adversary_of_professor_forcing_is_not_shared(monkeypatch):
    told = in_threads(lambda rank: fitted(True, mode=ProfessorForcing()), monkeypatch)
    assert all(isinstance(one, ArgumentError) for one in told)
    assert "a discriminator beside the model, which AdamW on several processes does not have" in str(told[0])
    assert "Training(processes=None)" in str(told[0])


def test_the_time_limit_is_that_of_one_clock(monkeypatch):
    settings = {"mode": "closed_loop", "max_steps": 400, "training": {"time_limit": 0.05}}
    shared = in_threads(lambda rank: fitted(True, **settings), monkeypatch)
    assert isinstance(shared[0], NARXForecaster), shared[0]
    assert "time limit" in shared[0].history_.runs["ended"][0]
    np.testing.assert_array_equal(numbers(shared[0])[0], numbers(shared[1])[0])


@pytest.mark.parametrize("scope", ["global", "local"])
def test_one_process_writes_each_checkpoint_and_a_later_fit_reads_it(scope, tmp_path, monkeypatch):
    wrote, plain = [], Checkpoint.keep

    def keep(self, state):
        wrote.append((self.path.name, threading.current_thread().name))
        plain(self, state)

    monkeypatch.setattr(Checkpoint, "keep", keep)
    settings = {"mode": "closed_loop", "scope": scope}
    first = in_threads(lambda rank: fitted(True, checkpoint=tmp_path, **settings), monkeypatch)
    writers = {}
    for name, thread in wrote:
        writers.setdefault(name, set()).add(thread)
    assert writers
    assert all(len(threads) == 1 for threads in writers.values())
    if scope == "global":
        assert len(set.union(*writers.values())) == 1
    wrote.clear()
    again = in_threads(lambda rank: fitted(True, checkpoint=tmp_path, **settings), monkeypatch)
    assert not wrote
    np.testing.assert_array_equal(numbers(first[0])[0], numbers(again[1])[0])


@pytest.mark.parametrize(
    ("processes", "says"),
    [("dask", r"processes='dask'.*'torchrun'"), ("torchrun", r"RANK.*not set.*torchrun --nproc-per-node 2 script.py")],
)
def test_what_is_no_such_start_is_refused(processes, says, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ArgumentError, match=says):
        NARXForecaster(3, 4, training=Training(processes=processes)).fit(DF)


def test_every_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    asked = [torch.device(name) for name in ("cuda", "cuda:1", "cpu")]
    assert list(map(str, map(own_device, asked))) == ["cuda:3", "cuda:1", "cpu"]


SCRIPT = """
import os, sys
import numpy as np, torch, torch.distributed as dist
torch.set_num_threads(1)
from datetime import timedelta
from tests.training.test_processes import fitted, numbers
from tsforce.errors import ProcessError

out, what = sys.argv[1:]
rank = int(os.environ["RANK"])
if what == "dies":
    dist.init_process_group("gloo", timeout=timedelta(seconds=20))
    from tsforce.training.solvers import looks
    plain = looks.Looks._look
    def look(self, learner, step):
        if rank == 1 and step > 0:
            os._exit(9)
        return plain(self, learner, step)
    looks.Looks._look = look
    try:
        fitted(True, mode="closed_loop", max_steps=50)
    except ProcessError as error:
        open(out, "w").write(str(error))
    sys.exit(0)
found = [numbers(fitted(True, model=model, mode=mode, scope=scope))
         for model in ("mlp", "gru", "lstm") for mode in ("open_loop", "closed_loop", "curriculum", "auto")
         for scope in ("global", "local")]
if rank == 0:
    np.savez(out, *[part for pair in found for part in pair])
"""


def _start(rank, port, out, what):
    own = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    root = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, **own, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(out), what], env=env, cwd=root)


def _started(out, what):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [_start(rank, port, out, what) for rank in range(2)]
    try:
        return [one.wait(timeout=240) for one in both]
    finally:
        for one in both:
            one.kill()


@pytest.mark.slow
def test_two_processes_of_gloo_learn_what_one_learns_in_every_mode(tmp_path):
    assert _started(tmp_path / "found.npz", "learns") == [0, 0]
    found = list(np.load(tmp_path / "found.npz").values())
    for model in ("mlp", "gru", "lstm"):
        for mode in ("open_loop", "closed_loop", "curriculum", "auto"):
            for scope in ("global", "local"):
                for value in numbers(fitted(False, model=model, mode=mode, scope=scope)):
                    np.testing.assert_allclose(found.pop(0), value, rtol=1e-6, atol=1e-9)
    assert not found


@pytest.mark.slow
def test_a_process_that_dies_is_an_error_of_the_others_and_no_wait(tmp_path):
    out = tmp_path / "error.txt"
    assert _started(out, "dies") == [0, 9]
    assert "another process of this fit has ended, or did not answer in time" in out.read_text()
