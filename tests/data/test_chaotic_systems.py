"""Simulators of chaotic systems, held against an independent integrator, their own equations and long-run figures."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from tsforce.bench.chaos_task import check_simulator
from tsforce.data.chaotic_systems import CHAOS_SYSTEMS, CONTEXT, SIZES, advance, derivative, simulate, simulate_part
from tsforce.datasets import load_chaos
from tsforce.errors import ArgumentError

FLOWS = ("lorenz", "roessler", "hyperroessler", "thomas", "lorenz96")
# Trajectories and steps of the runs whose moments and exponents are measured: as long as the tolerances need.
LONG = {
    "lorenz": (400, 5000), "roessler": (400, 3000), "hyperroessler": (400, 2000), "thomas": (400, 6000),
    "mackeyglass": (400, 12000), "lorenz96": (60, 4000), "mackeyglass-dde": (200, 6000),
}  # fmt: skip
# Largest deviation of means (in standard deviations), standard deviations and exponents (relative).
TOLERANCE = {
    "lorenz": (0.03, 0.01, 0.02), "roessler": (0.02, 0.01, 0.03), "hyperroessler": (0.04, 0.02, 0.04),
    "thomas": (0.05, 0.015, 0.03), "mackeyglass": (0.002 / 0.2353, 0.005, 0.02), "lorenz96": (0.02, 0.01, 0.02),
    "mackeyglass-dde": (0.002 / 0.2261, 0.005, 0.04),
}  # fmt: skip


def by_hand(system, s):
    """The equations once more, one state at a time."""
    if system == "lorenz":
        x, y, z = s
        return [10 * (y - x), x * (28 - z) - y, x * y - (8 / 3) * z]
    if system == "roessler":
        x, y, z = s
        return [-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)]
    if system == "hyperroessler":
        x, y, z, w = s
        return [-y - z, x + 0.25 * y + w, 3 + x * z, -0.5 * z + 0.05 * w]
    if system == "thomas":
        x, y, z = s
        return [np.sin(y) - 0.1 * x, np.sin(z) - 0.1 * y, np.sin(x) - 0.1 * z]
    return [(s[(i + 1) % 40] - s[i - 2]) * s[i - 1] - s[i] + 8 for i in range(40)]


@pytest.mark.parametrize("system", FLOWS)
def test_derivatives_are_the_equations(system):
    n = len(CHAOS_SYSTEMS[system].variables)
    states = np.random.default_rng(0).normal(2, 3, size=(n, 4))
    want = np.array([by_hand(system, one) for one in states.T]).T
    np.testing.assert_allclose(derivative(system)(states), want, rtol=1e-12, atol=1e-12)


def against_dop853(system, n_windows):
    """Mean scaled difference over the horizon of windows restarted with another integrator."""
    known = CHAOS_SYSTEMS[system]
    start = simulate(system, n_windows, 1, np.random.default_rng([7, 1]))[:, 0].T
    ours = advance(system, start, known.horizon + 1)[0]
    times = known.dt * np.arange(known.horizon + 1)
    total = []
    for n in range(n_windows):
        other = solve_ivp(
            lambda _, s: by_hand(system, s), (0, times[-1]), start[:, n], "DOP853", times, rtol=1e-11, atol=1e-11
        )
        std = np.array(known.std)
        total.append((np.abs(ours[:, :, n] - other.y.T) / std).mean())
    return np.mean(total)


@pytest.mark.parametrize(
    "system", [pytest.param(s, marks=[pytest.mark.slow] if s == "hyperroessler" else []) for s in FLOWS]
)
def test_trajectories_over_the_horizon_are_those_of_another_integrator(system):
    assert against_dop853(system, 2 if system == "lorenz96" else 4) < 2e-6


@pytest.mark.slow
@pytest.mark.parametrize("system", FLOWS)
def test_many_trajectories_over_the_horizon_are_those_of_another_integrator(system):
    assert against_dop853(system, 10 if system == "lorenz96" else 40) < 2e-6


def test_mackey_glass_is_the_map_with_lags_1_and_18():
    values = simulate("mackeyglass", 3, 60, np.random.default_rng(0))[:, :, 0]
    for x in values:
        for t in range(18, 60):
            q = x[t - 18]
            assert x[t] == pytest.approx(x[t - 1] + 0.2 * q / (1 + q**10) - 0.1 * x[t - 1], rel=1e-14)


def test_the_delay_equation_is_met_whatever_the_step():
    # On its first 17 units of time the delayed value is the constant history: an ordinary linear equation.
    known = CHAOS_SYSTEMS["mackeyglass-dde"]
    q = np.array([0.4, 0.9, 1.2])
    values = advance("mackeyglass-dde", np.tile(q, (17 * known.substeps + 2, 1)), 17)[0][:, 0]
    feed = 2.0 * q / (1 + q**10)
    want = feed + (q - feed) * np.exp(-0.1 * np.arange(1, 18))[:, None]
    np.testing.assert_allclose(values[:16], want[:16], rtol=1e-9)
    # Where the history ends there is a kink, which no cubic has.
    np.testing.assert_allclose(values[16], want[16], rtol=3e-5)


def test_further_on_the_delay_equation_is_met_by_another_integrator():
    known = CHAOS_SYSTEMS["mackeyglass-dde"]
    q = 0.7
    values = advance("mackeyglass-dde", np.full((17 * known.substeps + 2, 1), q), 51)[0][:, 0, 0]
    # The method of steps: each stretch of 17 units is an ordinary equation with the stretch before as its input.
    past = lambda t: q + 0 * t  # noqa: E731
    x, got = q, []
    for _ in range(3):
        feed = past
        part = solve_ivp(
            lambda t, s, f=feed: 0.2 * f(t) / (1 + f(t) ** 10) - 0.1 * s,
            (0, 17), [x], "DOP853", np.arange(1, 18), dense_output=True, rtol=1e-12, atol=1e-12,
        )  # fmt: skip
        got += part.y[0].tolist()
        past, x = (lambda t, sol=part.sol: sol(t)[0]), part.y[0, -1]
    np.testing.assert_allclose(values, got, rtol=5e-5)


@pytest.mark.parametrize("system", ["lorenz", "mackeyglass", "mackeyglass-dde", "thomas"])
def test_a_run_in_two_parts_is_a_run_in_one(system):
    rng = np.random.default_rng(3)
    n = {"mackeyglass": 18, "mackeyglass-dde": 172}.get(system, 3)
    start = rng.uniform(0.5, 1.0, size=(n, 2))
    whole, end = advance(system, start, 12)
    first, middle = advance(system, start, 5)
    second, last = advance(system, middle, 7)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    np.testing.assert_array_equal(end, last)
    np.testing.assert_array_equal(advance(system, start, 7, transient=5)[0], whole[5:])


def test_trajectories_that_leave_the_attractor_are_left_out(monkeypatch):
    import tsforce.data.chaotic_systems as module

    honest = module.advance

    def spoilt(system, state, n_steps, *, transient=0):
        values, end = honest(system, state, n_steps, transient=transient)
        values[2, 0, 1], values[0, 0, 4] = np.nan, 1001.0
        return values, end

    want = simulate("mackeyglass", 22, 4, np.random.default_rng(0))
    monkeypatch.setattr(module, "advance", spoilt)
    # 22 of 24 are kept: the two spoilt ones make room for the tenth more that was simulated.
    got = simulate("mackeyglass", 22, 4, np.random.default_rng(0))
    monkeypatch.undo()
    assert len(got) == len(want) == 22
    assert np.isfinite(got).all()
    assert (np.abs(got) <= 1000).all()
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1:3], want[2:4])
    np.testing.assert_array_equal(got[3:20], want[5:22])
    monkeypatch.setattr(module, "advance", spoilt)
    with pytest.raises(ArgumentError, match="stay on the attractor"):
        simulate("mackeyglass", 9, 4, np.random.default_rng(0))


@pytest.mark.parametrize("system", ["mackeyglass", "lorenz"])
def test_parts_have_their_seeds_sizes_and_no_trajectory_in_common(system):
    known = CHAOS_SYSTEMS[system]
    window = CONTEXT + known.horizon
    parts = {part: simulate_part(system, part, "tiny") for part in ("train", "validation", "test")}
    for number, (part, values) in enumerate(parts.items()):
        count, windows = SIZES["tiny"][part]
        assert values.shape == (count, windows * window, len(known.variables))
        row = list(CHAOS_SYSTEMS).index(system)
        again = simulate(system, count, windows * window, np.random.default_rng([2026, row, number]))
        np.testing.assert_array_equal(values, again)
    starts = np.concatenate([values[:, 0, 0] for values in parts.values()])
    assert len(np.unique(starts)) == len(starts)


def test_sizes_are_those_of_the_protocol():
    assert SIZES["quarter"] == {"train": (200, 10), "validation": (50, 2), "test": (300, 1)}
    assert SIZES["full"] == SIZES["quarter"] | {"train": (800, 10)}
    assert list(CHAOS_SYSTEMS)[:6] == ["lorenz", "roessler", "hyperroessler", "thomas", "mackeyglass", "lorenz96"]
    assert [s.horizon for s in CHAOS_SYSTEMS.values()] == [111, 121, 72, 182, 167, 12, 167]


def test_a_frame_holds_the_trajectories():
    df = load_chaos("lorenz", "validation", "tiny")
    values = simulate_part("lorenz", "validation", "tiny")
    assert df.columns.tolist() == ["unique_id", "ds", "x", "y", "z"]
    assert pd.api.types.is_integer_dtype(df["ds"])
    assert df["unique_id"].unique().tolist() == ["validation-0", "validation-1"]
    np.testing.assert_array_equal(df[["x", "y", "z"]].to_numpy().reshape(values.shape), values)
    assert (df.groupby("unique_id")["ds"].apply(list).str[0] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lorentz",), "Did you mean 'lorenz'"),
        (("lorenz", "testing"), "part='testing'"),
        (("lorenz", "test", "half"), "size='half'"),
    ],
)
def test_unknown_names_are_named_beside_the_accepted_ones(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        load_chaos(*arguments)


@pytest.mark.parametrize(("count", "steps"), [(0, 5), (5, 0)])
def test_numbers_below_one_are_refused(count, steps):
    with pytest.raises(ArgumentError, match="at least 1"):
        simulate("lorenz", count, steps, np.random.default_rng(0))


@pytest.mark.parametrize("system", ["lorenz", "mackeyglass"])
def test_moments_and_identities_of_a_training_set_are_those_of_long_runs(system):
    values = simulate_part(system, "train")
    assert all(check.holds for check in check_simulator(system, values))


def growth(system, n_trajectories, n_steps):
    """Moments over many trajectories, and the largest exponent by Benettin's two copies."""
    known = CHAOS_SYSTEMS[system]
    rng = np.random.default_rng([5, 1])
    every = 18 if system.startswith("mackeyglass") else 1
    if known.substeps == 0 or system == "mackeyglass-dde":
        length = 18 if system == "mackeyglass" else 172
        state = np.tile(rng.uniform(0.1, 1.3, n_trajectories), (length, 1))
        state = advance(system, state, 1, transient=known.transient)[1]
    else:
        state = simulate(system, n_trajectories, 1, rng)[:, 0].T
    offset = rng.normal(size=state.shape)
    offset *= 1e-7 / np.linalg.norm(offset, axis=0)
    total, square, count, logs, looks = 0.0, 0.0, 0, 0.0, 0
    for look in range(n_steps // every):
        values, both = advance(system, np.concatenate([state, state + offset], axis=1), every)
        values = values[:, :, :n_trajectories]
        state, other = both[:, :n_trajectories], both[:, n_trajectories:]
        offset = other - state
        size = np.linalg.norm(offset, axis=0)
        offset *= 1e-7 / size
        total, square = total + values.sum(axis=(0, 2)), square + (values**2).sum(axis=(0, 2))
        count += values.shape[0] * n_trajectories
        if look >= 300 // every:  # until the offset has turned into the direction that grows most
            logs, looks = logs + np.log(size / 1e-7).mean(), looks + 1
    mean = total / count
    return mean, np.sqrt(square / count - mean**2), logs / (looks * every * known.dt)


@pytest.mark.slow
@pytest.mark.parametrize("system", CHAOS_SYSTEMS)
def test_means_deviations_and_exponents_of_long_runs_are_those_of_the_table(system):
    known = CHAOS_SYSTEMS[system]
    mean, std, exponent = growth(system, *LONG[system])
    of_mean, of_std, of_exponent = TOLERANCE[system]
    print(system, mean[:4].round(4), std[:4].round(4), round(exponent, 5))
    if system == "lorenz96":
        mean, std = mean.mean(keepdims=True).repeat(40), std.mean(keepdims=True).repeat(40)
    np.testing.assert_array_less(np.abs(mean - known.mean), of_mean * np.array(known.std))
    np.testing.assert_allclose(std, known.std, rtol=of_std)
    assert exponent == pytest.approx(known.exponent, rel=of_exponent)
    assert known.lyapunov_steps * known.dt * known.exponent == pytest.approx(1, rel=0.01)
