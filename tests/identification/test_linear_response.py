"""Step, frequency and roots: against scipy.signal, and against the simulation of the model itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsforce import NARXRegressor
from tsforce.errors import ArgumentError, ArgumentTypeError, DivergenceWarning
from tsforce.sysid import frequency_response, stability, step_response

# y[t] = 1.5 y[t-1] - .7 y[t-2] + .5 u[t-1] + .3 u[t-2]: as scipy writes it, numerator and denominator in z^-1.
NUMERATOR, DENOMINATOR = [0.0, 0.5, 0.3], [1.0, -1.5, 0.7]
SYSTEM = ([1.5, -0.7], NUMERATOR)


@pytest.fixture(scope="module")
def model():
    u = np.random.default_rng(0).normal(3, 2, size=(400, 1))
    y = 7 + signal.lfilter(NUMERATOR, DENOMINATOR, u[:, 0])
    return NARXRegressor(2, 2, input_delay=1, mode="open_loop").fit(u, y)


class Tank:
    """A tank that empties by the root of its level; it rests where the inflow is as large."""

    x_mean_ = (1.0,)

    def predict(self, X, y_init=None):
        y = [0.5]
        for u in X[1:, 0]:
            y.append(max(0.0, y[-1] + 0.1 * (u - np.sqrt(y[-1]))))
        return np.array(y)


# ---- step


def test_the_step_response_of_a_linear_model_is_scipys(model):
    found = step_response(model, 50, size=2.0, dt=0.1)
    _, (expected,) = signal.dstep(signal.dlti(NUMERATOR[1:], DENOMINATOR, dt=0.1), n=50)
    np.testing.assert_allclose(found.frame["response"], 2 * expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(found.frame["time"], 0.1 * np.arange(50), rtol=1e-12)
    elsewhere = step_response(model, 50, size=2.0, at=-8.0).frame["response"]
    np.testing.assert_allclose(elsewhere, found.frame["response"], atol=1e-6)


def test_figures_of_a_step_are_read_off_its_response(model):
    row = step_response(model, 80, size=-1.0, dt=0.5).figures.iloc[0]
    response = signal.lfilter(NUMERATOR, DENOMINATOR, np.ones(80))
    assert row["gain"] == pytest.approx(0.8 / 0.2, rel=1e-5)
    assert row["overshoot"] == pytest.approx(100 * (response.max() / response[-1] - 1), rel=1e-4)
    share = response / response[-1]
    crossing = [np.interp(level, share[:8], np.arange(8)) for level in (0.1, 0.9)]
    assert row["rise_time"] == pytest.approx(0.5 * (crossing[1] - crossing[0]), rel=1e-4)
    last = max(t for t in range(80) if abs(share[t] - 1) > 0.02)
    assert row["settling_time"] == pytest.approx(0.5 * (last + 1))
    assert row["from_rest"]


def test_a_response_that_has_not_settled_has_no_times(model):
    row = step_response(model, 4).figures.iloc[0]
    assert np.isnan([row["rise_time"], row["overshoot"], row["settling_time"]]).all()


def test_a_model_that_is_not_linear_answers_by_where_it_is_and_how_far_it_steps():
    up = step_response(Tank(), 400, size=1.0, at=[1.0]).figures.iloc[0]
    small = step_response(Tank(), 400, size=0.01, at=[1.0]).figures.iloc[0]
    # At rest the level is the inflow squared.
    assert up["gain"] == pytest.approx(3.0, rel=1e-3)
    assert small["gain"] == pytest.approx(2.01, rel=1e-3)
    assert step_response(Tank(), 400, size=0.01).figures.iloc[0]["gain"] == small["gain"]
    assert not step_response(Tank(), 20, size=0.01, at=[3.0], settle=5).figures.iloc[0]["from_rest"]


def test_every_input_and_output_has_its_response():
    rng = np.random.default_rng(1)
    u = rng.normal(size=(500, 2))
    first = signal.lfilter([0.0, 1.0], [1.0, -0.5], u[:, 0])
    second = signal.lfilter([2.0], [1.0, -0.8], u[:, 1])
    model = NARXRegressor(1, 2, mode="open_loop").fit(u, np.stack([first, second], axis=1))
    frame = step_response(model, 30, size=[1.0, 3.0]).frame
    for output, name, b, a, height in (("y0", "x0", [0, 1], [1, -0.5], 1), ("y1", "x1", [2], [1, -0.8], 3)):
        own = frame[(frame["output"] == output) & (frame["input"] == name)]["response"]
        np.testing.assert_allclose(own, height * signal.lfilter(b, a, np.ones(30)), atol=1e-6)
    crossed = frame[(frame["output"] == "y0") & (frame["input"] == "x1")]["response"]
    np.testing.assert_allclose(crossed, 0, atol=1e-6)


def growing():
    u = np.random.default_rng(3).normal(size=(60, 2))
    y = signal.lfilter([0.0, 1.0], [1.0, -1.1], u[:, 0]) + signal.lfilter([0.0, 0.5], [1.0, -1.1], u[:, 1])
    return NARXRegressor(1, 1, input_delay=1, mode="open_loop").fit(u, y)


@pytest.mark.parametrize(("settle", "said"), [(1, "after a step of x0, x1"), (200, "without any step")])
def test_a_model_that_runs_away_has_no_gain_and_one_warning(settle, said):
    with pytest.warns(DivergenceWarning, match=rf"ran away {said}: .*See stability\(model\)") as caught:
        found = step_response(growing(), 30, size=50.0, settle=settle)
    assert len(caught) == 1
    figures = found.figures
    assert figures[["gain", "rise_time", "overshoot", "settling_time"]].isna().all(axis=None)
    assert not figures["from_rest"].any()
    # Before it is clipped the response to a step is what it is.
    first = found.frame[found.frame["input"] == "x0"]["response"].to_numpy()[:10]
    expected = 500 * (1.1 ** np.arange(10) - 1) if settle == 1 else np.full(10, np.nan)
    np.testing.assert_allclose(first, expected, rtol=1e-6, atol=1e-9)


def test_a_simulation_of_others_that_is_not_finite_has_run_away():
    class Explodes:
        x_mean_ = (0.0,)

        def predict(self, X):
            return np.where(np.arange(len(X)) > 210, np.inf, 0.0) * (1 if X[-1, 0] else 0 * X[:, 0] + 1)

    with pytest.warns(DivergenceWarning, match="without any step"):
        assert np.isnan(step_response(Explodes(), 50).figures["gain"].item())


@pytest.mark.parametrize("names", [("level", "flow"), None])
def test_outputs_go_by_the_names_that_the_model_learnt(names):
    class Named:
        x_mean_ = (0.0,)
        output_names_ = names

        def predict(self, X):
            return np.stack([X[:, 0], 2 * X[:, 0]], axis=1)

        def linear_part(self, at=None):
            return np.zeros((1, 2, 2)), np.array([[[1.0], [2.0]]])

    for found in (step_response(Named(), 5), frequency_response(Named(), [0.1])):
        assert list(dict.fromkeys(found.frame["output"])) == list(names or ("y0", "y1"))


# ---- frequency


def test_the_frequency_response_is_freqz(model):
    f = np.linspace(0.0, 5.0, 40)
    for given in (model, SYSTEM, (np.reshape([1.5, -0.7], (2, 1, 1)), np.reshape(NUMERATOR, (3, 1, 1)))):
        found = frequency_response(given, f, dt=0.1)
        _, expected = signal.freqz(NUMERATOR, DENOMINATOR, worN=f, fs=10.0, include_nyquist=True)
        np.testing.assert_allclose(found.response[:, 0, 0], expected, rtol=1e-5)
        np.testing.assert_allclose(found.frame["magnitude_db"], 20 * np.log10(np.abs(expected)), atol=1e-4)
        np.testing.assert_allclose(found.frame["phase"], np.degrees(np.unwrap(np.angle(expected))), atol=1e-3)


def test_a_sine_that_is_simulated_swings_as_the_response_says(model):
    f, t = 0.03, np.arange(2000)
    response = frequency_response(model, [f]).response[0, 0, 0]
    y = model.predict(3 + np.sin(2 * np.pi * f * t)[:, None])[1000:]
    wave = np.exp(-2j * np.pi * f * t[1000:])
    assert np.abs(2 * np.mean((y - y.mean()) * wave) * 1j - response) < 1e-4 * abs(response)


def test_by_default_frequencies_end_at_half_the_sampling_rate(model):
    found = frequency_response(model, dt=0.02)
    assert found.frequencies[-1] == pytest.approx(25)
    assert found.frequencies[0] == pytest.approx(0.025)


def test_coupled_outputs_are_solved_together():
    rng = np.random.default_rng(2)
    a, b = 0.3 * rng.normal(size=(2, 2, 2)), rng.normal(size=(3, 2, 1))
    found = frequency_response((a, b), [0.0, 0.11])
    static = np.linalg.solve(np.eye(2) - a.sum(axis=0), b.sum(axis=0))
    np.testing.assert_allclose(found.response[0], static, atol=1e-12)
    np.testing.assert_allclose(stability((a, b)).gain, static, atol=1e-12)
    z = np.exp(2j * np.pi * 0.11)
    left = np.eye(2) - a[0] / z - a[1] / z**2
    np.testing.assert_allclose(left @ found.response[1], b[0] + b[1] / z + b[2] / z**2, atol=1e-12)


# ---- roots


def test_roots_are_those_of_the_denominator_and_their_times_those_of_the_decay(model):
    for given in (model, SYSTEM):
        found = stability(given, dt=0.1)
        np.testing.assert_allclose(
            np.sort_complex(found.roots), np.sort_complex(np.roots(DENOMINATOR)), rtol=1e-5, atol=1e-8
        )
        (row,) = found.frame.itertuples()
        assert found.is_stable
        assert found.radius == pytest.approx(np.sqrt(0.7), rel=1e-5)
        assert np.exp(-0.1 / row.time_constant) == pytest.approx(np.sqrt(0.7), rel=1e-5)
        # s = log(z) / dt = (-damping +- i sqrt(1 - damping^2)) natural frequency
        natural = 2 * np.pi * row.frequency / np.sqrt(1 - row.damping**2)
        assert np.exp(-row.damping * natural * 0.1) == pytest.approx(np.sqrt(0.7), rel=1e-5)
        assert found.gain.item() == pytest.approx(4.0, rel=1e-4)


@pytest.mark.parametrize(
    ("a", "said"),
    [
        ([0.5], "is stable: its largest root has modulus 0.50000, so that a disturbance dies out with a time constant"),
        ([1.0], "is not stable: its largest root has modulus 1.00000, so that a disturbance stays"),
        ([1.02], "is not stable: its largest root has modulus 1.02000, so that a disturbance grows by 2 % per row"),
        ([0.0, -1.1025], "grows by 5 % per row, swinging 0.25 times per unit of time"),
        ([0.0], "No output is fed back"),
    ],
)
def test_roots_are_put_into_words(a, said):
    found = stability((a, [1.0]))
    assert said in found.words()
    assert found.is_stable == (found.radius < 1)
    assert repr(found) == found.words()


def test_an_integrator_has_no_static_gain():
    assert stability(([1.0], [1.0])).gain.item() == np.inf


@pytest.mark.parametrize("off", [-1e-12, 0.0, 1e-12])
def test_an_integrator_that_rounding_has_moved_is_one(off):
    found = stability(([1 + off], [-2.0]))
    assert not found.is_stable
    assert found.gain.item() == -np.inf
    assert (found.frame["time_constant"].item(), found.frame["damping"].item()) == (np.inf, 0)
    assert "is not stable" in found.words()
    assert found.words().endswith("a disturbance stays.")


@pytest.mark.parametrize("a", [[1.0], [1 - 1e-12], [2.0, -1.0]], ids=["integrator", "rounded", "double"])
def test_at_frequency_0_the_response_of_an_integrator_is_infinite(a):
    found = frequency_response((a, [0.0, 1.0]), [0.0, 0.01, 0.2])
    assert found.frame["magnitude"][0] == np.inf
    assert np.isnan(found.frame["phase"][0])
    expected = signal.freqz([0.0, 1.0], [1.0, *np.negative(a)], worN=[0.01, 0.2], fs=1.0)[1]
    np.testing.assert_allclose(found.response[1:, 0, 0], expected, rtol=1e-9)
    np.testing.assert_allclose(found.frame["phase"][1:], np.degrees(np.unwrap(np.angle(expected))), atol=1e-6)


def test_an_input_that_does_not_reach_the_integrator_has_its_gain():
    """The first output integrates the first input; the second follows the second, and feeds the first nothing."""
    a, b = np.diag([1.0, 0.5])[None], np.array([[[1.0, 0.0], [0.0, 1.0]]])
    for gain in (stability((a, b)).gain, frequency_response((a, b), [0.0]).response[0].real):
        np.testing.assert_allclose(gain, [[np.inf, 0.0], [0.0, 2.0]], rtol=1e-7)
    # A root that a zero takes away: (1 - z^-1) above and below.
    np.testing.assert_allclose(stability(([1.5, -0.5], [1.0, -1.0])).gain, [[2.0]], rtol=1e-7)
    # A root at -1 leaves a static gain.
    np.testing.assert_allclose(stability(([-1.0], [1.0])).gain, [[0.5]])


# ---- bad arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: frequency_response(m, [0.6]), ArgumentError, r"frequencies from 0.6 to 0.6: .*= 0.5"),
        (lambda m: frequency_response(m, []), ArgumentError, "expected one or more"),
        (lambda m: frequency_response(m, [0.1], dt=0), ArgumentError, "dt=0: expected a number above 0"),
        (lambda m: frequency_response(m, at=[1.0, 2.0]), ArgumentError, "expected 1 numbers, one for each"),
        (lambda m: frequency_response(Tank()), ArgumentTypeError, r"Tank without linear_part\(\)"),
        (lambda m: stability(([[1.0]], [1.0])), ArgumentError, "coefficients of shapes"),
        (lambda m: step_response(m, 1), ArgumentError, "n_steps=1: expected a whole number of at least 2"),
        (lambda m: step_response(m, settle=0), ArgumentError, "settle=0"),
        (lambda m: step_response(m, size=0), ArgumentError, "size=0: a step of 0 tells nothing"),
        (lambda m: step_response(m, size=[1.0, 2.0]), ArgumentError, r"size=\[1.0, 2.0\]: expected 1 numbers"),
        (lambda m: step_response(m, at=[1.0, 2.0]), ArgumentError, "expected 1 numbers"),
        (lambda m: step_response(object()), ArgumentTypeError, r"object without predict\(\)"),
    ],
)
def test_bad_arguments_are_named(model, call, error, message):
    with pytest.raises(error, match=message):
        call(model)


def test_a_pipeline_is_sent_to_its_last_step(model):
    pipe = make_pipeline(StandardScaler(), model)
    for call, error in ((step_response, ArgumentError), (stability, ArgumentTypeError)):
        with pytest.raises(error, match=r"give its last step, model\[-1\], .*needs no scaler"):
            call(pipe)


def test_without_training_means_the_inputs_are_asked_for():
    class Plain:
        def predict(self, X, y_init=None):
            return X[:, 0]

    with pytest.raises(ArgumentError, match="Plain has no x_mean_; give at="):
        step_response(Plain())
