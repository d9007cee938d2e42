"""Pictures of intervals and sample paths: they show the numbers of the frames that they are handed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import Baseline, compare
from tsforce.errors import ArgumentError
from tsforce.paths import path_quantiles
from tsforce.plotting import plot_paths, plot_pit

plt = pytest.importorskip("matplotlib.pyplot")
pytestmark = pytest.mark.usefixtures("no_window_stays_open")

H = 4


@pytest.fixture(scope="module")
def df():
    return make_frame((70, 60))


@pytest.fixture(scope="module")
def result(df):
    models = [Baseline(m, horizon=H, season_length=7) for m in ("naive", "drift")]
    return compare(models, df, n_windows=3, level=[50, 80], n_paths=20)


def test_coverage_is_drawn_by_step_for_each_model_and_level(result):
    (ax,) = result.plot("coverage").axes
    steps = result.by_horizon().set_index("model")
    lines = {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}
    assert list(lines) == ["naive, 50 %", "naive, 80 %", "drift, 50 %", "drift, 80 %"]
    for label, line in lines.items():
        model, level = label.removesuffix(" %").split(", ")
        np.testing.assert_array_equal(line.get_ydata(), steps.loc[model, f"coverage-{level}"])
    assert lines["naive, 50 %"].get_markerfacecolor() != lines["naive, 80 %"].get_markerfacecolor()
    assert lines["naive, 50 %"].get_linestyle() != lines["drift, 50 %"].get_linestyle()


def test_places_among_the_paths_are_a_histogram_for_each_model(result):
    table = result.pit()
    panels = result.plot("pit").axes
    assert [panel.get_title(loc="left") for panel in panels] == ["naive, n = 24", "drift, n = 24"]
    for panel, model in zip(panels, ("naive", "drift"), strict=True):
        heights = [bar.get_height() for bar in panel.patches]
        np.testing.assert_allclose(heights, table[table["model"] == model]["share"])
        assert panel.get_lines()[0].get_ydata()[0] == 0.1
    with pytest.raises(ArgumentError, match="expected 2 axes"):
        plot_pit(table, ax=plt.subplots()[1])


def test_paths_are_drawn_over_the_fan_that_all_of_them_fill(df):
    paths = Baseline("naive", horizon=H, season_length=7).fit(df).sample_paths(40)
    (ax,) = plot_paths(df, paths, series="s1", n_shown=5).axes
    own = paths[paths["unique_id"] == "s1"]
    lines = [line.get_ydata() for line in ax.get_lines() if len(line.get_ydata()) == H]
    np.testing.assert_array_equal(np.ravel(lines), own["naive"].to_numpy()[: 5 * H])
    widest = ax.collections[0].get_paths()[0].vertices[:, 1]
    want = path_quantiles(own, [0.025, 0.975])
    assert widest.min() == pytest.approx(want["naive-q2.5"].min())
    assert widest.max() == pytest.approx(want["naive-q97.5"].max())
    below = plot_paths(df, paths, n_series=2, last=3)
    assert [ax.get_title(loc="left") for ax in below.axes] == paths["unique_id"].unique()[:2].tolist()
    observed = [line for line in below.axes[1].get_lines() if line.get_label() == "observed"]
    assert len(observed[0].get_xdata()) == 3
    with pytest.raises(ArgumentError, match="no series 'x'"):
        plot_paths(df, paths, series="x")
    with pytest.raises(ArgumentError, match="expected one column of draws"):
        plot_paths(df, paths.assign(other=0.0))


def test_intervals_hold_in_thirds_of_the_horizon(result):
    table = result.intervals()
    assert table["level"].tolist() == [50.0, 80.0] * 2
    frame = result.frame
    inside = frame["y"].between(frame["drift-lo-80"], frame["drift-hi-80"])
    row = table.iloc[3]
    assert row["coverage"] == inside.mean()
    # Four steps: two, one and one.
    thirds = inside.groupby(pd.cut(frame["horizon"], [0, 2, 3, 4], labels=False)).mean()
    assert row[["first_third", "second_third", "last_third"]].tolist() == thirds.tolist()
    assert row["width"] == pytest.approx((frame["drift-hi-80"] - frame["drift-lo-80"]).mean())


def test_without_intervals_there_is_no_picture_of_them(df):
    bare = compare([Baseline("naive", horizon=H, season_length=7)], df)
    for call in (lambda: bare.plot("coverage"), bare.intervals):
        with pytest.raises(ArgumentError, match=r"level=\[80, 95\]"):
            call()
