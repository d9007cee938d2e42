"""Draws: the published stream of splitmix64, and a plain-Python version of what is made of it."""

from __future__ import annotations

import math

import pytest
import torch

from tsforce.dynamics.draws import key_of, normal, uniform

# Of the reference implementation (S. Vigna, splitmix64.c) with the seed 1234567.
PUBLISHED = [
    6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
]  # fmt: skip
WORD = 2**64 - 1


def step(state, count):
    """Return the output number `count`, from 1 on, of splitmix64."""
    x = (state + count * 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def test_draws_along_one_axis_are_the_published_stream():
    assert [step(1234567, count) for count in range(1, 6)] == PUBLISHED
    keys = torch.tensor([1234567])
    assert uniform(keys, [], 5)[0].tolist() == [(x >> 11) * 2.0**-53 for x in PUBLISHED]
    assert uniform(keys, [], 5, dtype=torch.float32)[0].tolist() == [(x >> 40) * 2.0**-24 for x in PUBLISHED]


def test_places_and_axes_are_mixed_in_one_after_the_other():
    keys = [11, 2**62 + 5]
    got = uniform(torch.tensor(keys), [0, 7], 2, 3)
    for key, drawn in zip(keys, got.tolist(), strict=True):
        state = step(step(key, 1), 8)
        want = [[(step(step(state, i), j) >> 11) * 2.0**-53 for j in (1, 2, 3)] for i in (1, 2)]
        assert drawn == want


def test_normal_draws_are_box_and_mullers_of_a_pair():
    got = normal(torch.tensor([11]), [3], 4)[0].tolist()
    state = step(11, 4)
    for i, value in enumerate(got, start=1):
        u, v = ((step(step(state, i), j) >> 11) * 2.0**-53 for j in (1, 2))
        assert value == pytest.approx(math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v), rel=1e-12)


def test_keys_are_the_same_in_every_release():
    assert key_of(0, "H1") == 3477500815121979510
