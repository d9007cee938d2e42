"""Draw accuracy over cost of the libraries side by side, from the table of results.

python benchmarks/peers/draw.py docs/images/peers.png
"""

import itertools
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

RESULTS = Path(__file__).resolve().parents[1] / "results" / "peers.csv"
SETS = ("m3-other", "m3-yearly", "m3-quarterly", "m3-monthly")
MARKERS = "osD^vXP"
# Seconds below which a clock of processes says nothing.
LEAST = 0.05
# Above, a model is worse than Naive2 and says little more.
MOST = 1.02


def draw(target):
    """Write the picture: a panel for each set, a point for each model that ran."""
    rows = pd.read_csv(RESULTS)
    rows = rows[(rows["status"] == "ok") & (rows["owa"] < MOST)]
    libraries = {name: place for place, name in enumerate(rows["library"].unique())}
    figure, panels = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
    for panel, name in zip(panels.flat, SETS, strict=True):
        own = rows[rows["set"] == name].sort_values("owa")
        for row, above in zip(own.itertuples(), itertools.cycle((False, True))):
            place, cost = libraries[row.library], max(row.cpu_s, LEAST)
            panel.plot(cost, row.owa, MARKERS[place], color=f"C{place}", markersize=7)
            where = {"xytext": (0, 7 if above else -14), "textcoords": "offset points", "ha": "center"}
            panel.annotate(row.model.replace("DynamicOptimized", "DO"), (cost, row.owa), fontsize=8, **where)
        panel.axhline(1, color="0.6", linewidth=1)
        panel.margins(0.12)
        panel.set(xscale="log", title=name.replace("m3-", "M3 "), ylabel="OWA")
        panel.set_xlabel("CPU seconds of fit and forecast")
    for library, place in libraries.items():
        panel.plot([], [], MARKERS[place], color=f"C{place}", label=library)
    figure.legend(fontsize="small", loc="outside upper center", ncols=len(libraries))
    figure.savefig(target, dpi=100)
    return figure


if __name__ == "__main__":
    draw(sys.argv[1])
