"""Pictures of identified systems: what they show, that grey is enough, that nothing is cut off."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from tests.test_plotting import drawn, labels_of_the_legend, nothing_is_cut_off
from tsforce import NARXRegressor
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.plotting import plot_bode, plot_residuals, plot_simulation, plot_step_response
from tsforce.sysid import frequency_response, identification_report, step_response

plt = pytest.importorskip("matplotlib.pyplot")
pytestmark = pytest.mark.usefixtures("no_window_stays_open")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2))
    y = lfilter([0, 1.0, 0.5], [1, -1.2, 0.5], X[:, 0]) + lfilter([0.5], [1, -0.8], X[:, 1])
    return X, y + 0.3 * rng.normal(size=500)


@pytest.fixture(scope="module")
def model(data):
    return NARXRegressor(1, 1, mode="open_loop").fit(data[0][:300], data[1][:300])


@pytest.fixture(scope="module")
def report(model, data):
    return identification_report(model, data[0][300:], data[1][300:], session_sizes=[120, 80], skip=5)


def test_residuals_are_drawn_with_their_bounds_one_panel_for_the_past_and_one_for_each_input(report):
    figure = report.plot()
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["NARXRegressor, y: residuals and their own past", "residuals and x0", "residuals and x1"]
    assert labels_of_the_legend(figure) == ["within the 99 % bounds", "outside"]
    own = report.correlations[report.correlations["input"] == "x0"]
    lines = drawn(figure.axes[1])
    inside = own[~own["outside"]]
    np.testing.assert_array_equal(lines["within the 99 % bounds"].get_ydata(), inside["correlation"])
    np.testing.assert_array_equal(lines["outside"].get_xdata(), own["lag"][own["outside"]])
    assert len(lines["outside"].get_xdata()) > 0
    assert lines["outside"].get_marker() != lines["within the 99 % bounds"].get_marker()
    band = figure.axes[1].collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(own["bound"].max())
    nothing_is_cut_off(figure)


def test_the_simulation_is_drawn_over_what_was_measured_with_the_error_below(report, data):
    figure = report.plot("simulation", record=1)
    upper, lower = figure.axes
    lines = drawn(upper)
    assert list(lines) == ["measured", "NARXRegressor, simulated", "start of the simulation"]
    np.testing.assert_array_equal(lines["measured"].get_ydata(), data[1][420:])
    own = report.simulation[report.simulation["record"] == 1]
    np.testing.assert_array_equal(lines["NARXRegressor, simulated"].get_ydata(), own["y_simulated"])
    error = (own["y"] - own["y_simulated"])[5:]
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), error)
    assert (upper.get_ylabel(), lower.get_xlabel()) == ("y (original units)", "row")
    nothing_is_cut_off(figure)


def test_a_bode_diagram_has_magnitude_and_phase_on_a_logarithmic_axis(model):
    found = frequency_response(model, [0.0, *np.geomspace(0.01, 0.5, 50)])
    upper, lower = found.plot().axes
    assert {upper.get_xscale(), lower.get_xscale()} == {"log"}
    assert list(drawn(upper)) == ["y by x0", "y by x1"]
    own = found.frame[(found.frame["input"] == "x1") & (found.frame["frequency"] > 0)]
    np.testing.assert_array_equal(drawn(upper)["y by x1"].get_ydata(), own["magnitude_db"])
    np.testing.assert_array_equal(lower.lines[1].get_ydata(), own["phase"])
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("magnitude (dB)", "phase (degrees)")
    looks = {(line.get_linestyle(), line.get_marker()) for line in upper.lines}
    assert len(looks) == 2
    nothing_is_cut_off(upper.figure)


def test_step_responses_are_drawn_as_steps_over_time(model):
    found = step_response(model, 30, dt=0.5)
    (ax,) = found.plot().axes
    lines = drawn(ax)
    assert list(lines) == ["y by x0", "y by x1"]
    np.testing.assert_array_equal(lines["y by x0"].get_xdata(), 0.5 * np.arange(30))
    assert lines["y by x0"].get_drawstyle() == "steps-post"
    nothing_is_cut_off(ax.figure)


def test_pictures_draw_into_given_axes(model, report):
    for count, draw in (
        (3, lambda ax: report.plot(ax=ax)),
        (2, lambda ax: report.plot("simulation", ax=ax)),
        (2, lambda ax: frequency_response(model).plot(ax=ax)),
        (1, lambda ax: step_response(model, 10).plot(ax=ax)),
    ):
        figure, axes = plt.subplots(count)
        assert draw(axes) is figure
        assert all(ax.lines for ax in np.ravel(axes))
        assert not figure.legends


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda r: r.plot("bode"), "kind='bode' is not known; accepted: 'residuals', 'simulation'"),
        (lambda r: r.plot(output="z"), "output='z' is not known"),
        (lambda r: r.plot("simulation", record=2), "record=2 is not there; expected 0 to 1"),
        (lambda r: r.plot(ax=plt.subplots(2)[1]), "has 3 panels and 2 were given"),
        (lambda r: r.plot("simulation", ax=plt.gca()), "has 2 panels and 1 were given"),
        (lambda r: plot_residuals(r.scores, level=0.99), "has no column 'input'"),
        (lambda r: plot_simulation(r.simulation.assign(measured=0.0, simulated=0.0)[:0]), "no row to draw"),
        (lambda r: plot_step_response(r.scores), "has no column"),
        (lambda r: plot_bode(pd.DataFrame({"frequency": [1.0]})), "has no column 'output'"),
        (
            lambda r: plot_residuals(pd.concat([r.correlations, r.correlations.assign(output="z")]), level=0.9),
            "frame has 2 outputs; expected one",
        ),
    ],
)
def test_bad_arguments_are_named(report, draw, message):
    with pytest.raises(ArgumentError, match=message):
        draw(report)


def test_what_is_no_frame_is_refused():
    with pytest.raises(ArgumentTypeError, match="expected a long pandas DataFrame"):
        plot_bode([1.0, 2.0])
