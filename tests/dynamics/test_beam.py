"""Beam search over bins: Viterbi's path, written out here, and all paths one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from tsforce.dynamics.beam import likeliest
from tsforce.dynamics.heads.headed import Headed
from tsforce.dynamics.heads.quantised import Quantised
from tsforce.dynamics.lags import LagLayout

K = 3


class Chain(nn.Module):
    """A discrete chain: a table of logits for each tuple of the last values, which are 0, 1 or 2."""

    def __init__(self, logits, lags):
        super().__init__()
        self.layout = LagLayout(lags)
        self.logits = nn.Parameter(logits, requires_grad=False)

    def init_state(self, past):
        return None

    def step(self, x, state):
        place = torch.zeros(x.shape[:2], dtype=torch.int64)
        for column in range(x.shape[2]):
            place = place * K + x[:, :, column].round().long()
        return self.logits[place][..., None], state


class Counting(Chain):
    """The same with a state that says the step, which changes nothing: two paths are never alike."""

    def init_state(self, past):
        return past.new_zeros(())


def chain(seed, lags, kind=Chain):
    logits = torch.from_numpy(np.random.default_rng(seed).normal(scale=1.5, size=(K ** len(lags), K)))
    table = torch.tensor([[[0.0, 1.0, 2.0, 0.5, 1.5, torch.inf]]], dtype=torch.float64)
    model = Headed(kind(logits, lags), Quantised(n_bins=K), table, torch.ones(1, 1, 1))
    past = torch.from_numpy(np.random.default_rng(seed + 1).integers(0, K, (1, 1, max(lags), 1)).astype(float))
    return model, past, torch.log_softmax(logits, dim=1).numpy()


def ahead(past, lags, logs, path):
    """The log-probability of a path, one step after the other."""
    seen = [int(v) for v in past.flatten()]
    total = 0.0
    for value in path:
        place = 0
        for lag in sorted(lags, reverse=True):
            place = place * K + seen[-lag]
        total += logs[place, value]
        seen.append(value)
    return total


def viterbi(past, logs, reach, horizon):
    """The likeliest path, by dynamic programming over all tuples of the last `reach` values."""
    best = {tuple(int(v) for v in past.flatten()[-reach:]): (0.0, ())}
    for _ in range(horizon):
        following = {}
        for last, (total, path) in best.items():
            place = 0
            for value in last:
                place = place * K + value
            for value in range(K):
                found = (total + logs[place, value], (*path, value))
                key = (*last[1:], value)
                if key not in following or found[0] > following[key][0]:
                    following[key] = found
        best = following
    return max(best.values())


def test_on_a_hundred_chains_it_is_viterbis_path():
    same = 0
    for seed in range(100):
        reach = 1 + seed % 2
        model, past, logs = chain(seed, tuple(range(1, reach + 1)))
        values, found = likeliest(model, past, None, 10, 1, K**reach)
        total, path = viterbi(past, logs, reach, 10)
        assert float(found[0]) == pytest.approx(total, rel=1e-12)
        # Two paths may be equally likely: where they go round the same bins, from another one on.
        own = values[0].int().tolist()
        assert own == list(path) or ahead(past, range(1, reach + 1), logs, own) == pytest.approx(total, rel=1e-12)
        same += own == list(path)
    assert same > 95


@pytest.mark.parametrize("kind", [Chain, Counting])
@pytest.mark.parametrize("lags", [(1,), (1, 2), (2,), (1, 3)])
def test_the_first_paths_are_those_of_all_paths_one_by_one(lags, kind):
    model, past, logs = chain(7, lags, kind)
    horizon, n = 5, 12
    every = sorted(((ahead(past, lags, logs, p), p) for p in itertools.product(range(K), repeat=horizon)), reverse=True)
    values, found = likeliest(model, past, None, horizon, n, K ** max(lags) if kind is Chain else K**horizon)
    np.testing.assert_allclose(found.numpy(), [total for total, _ in every[:n]], rtol=1e-12)
    paths = [tuple(row) for row in values.int().tolist()]
    assert len(set(paths)) == n
    np.testing.assert_allclose([ahead(past, lags, logs, path) for path in paths], found.numpy(), rtol=1e-12)


def test_a_width_of_one_is_greedy():
    differs = 0
    for seed in range(20):
        model, past, logs = chain(seed, (1,))
        values, found = likeliest(model, past, None, 6, 1, 1)
        last, path = int(past[0, 0, -1, 0]), []
        for _ in range(6):
            last = int(logs[last].argmax())
            path.append(last)
        assert values[0].tolist() == path
        assert float(found[0]) == pytest.approx(ahead(past, (1,), logs, path), rel=1e-12)
        differs += path != list(viterbi(past, logs, 1, 6)[1])
    assert differs > 0


def test_there_are_no_more_paths_than_there_are():
    model, past, _ = chain(3, (1,))
    values, found = likeliest(model, past, None, 2, 50, 50)
    assert len(set(map(tuple, values.tolist()))) == len(values) == K**2
    assert float(found.exp().sum()) == pytest.approx(1, rel=1e-12)


def test_each_step_is_taken_once_for_all_hypotheses(monkeypatch):
    model, past, _ = chain(3, (1, 2))
    taken, step = [], type(model).step

    def counted(self, x, state):
        taken.append(x.shape[1])
        return step(self, x, state)

    monkeypatch.setattr(type(model), "step", counted)
    likeliest(model, past, None, 7, 2, 4)
    # Endings are pairs of bins, four of them at most, two hypotheses of each.
    assert len(taken) == 7
    assert taken[:2] == [1, K]
    assert max(taken) <= 8
