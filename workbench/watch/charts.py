"""The one chart of monitoring over time: how far the score has moved, and how well it ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes

from workbench.reporting.charts import BLUE, GREY, ORANGE, RED, Chart, new_grid, styled

FEW_BATCHES = 3


@styled
def trend(batches: pl.DataFrame, *, lines: Sequence[float], auc_line: float) -> Chart:
    """Draw the score's index and the AUC, estimated and observed, over the batches of `trend_rows`."""
    figure, (shift, ranking) = new_grid(1, 2, height=3.0)
    places = list(range(batches.height))
    shift.plot(places, batches["score_shift"], color=BLUE, marker="o")
    for line, colour in zip(lines, (ORANGE, RED), strict=True):
        shift.axhline(line, color=colour, linestyle="--", linewidth=1)
    shift.set_ylabel("PSI of the score")
    shift.set_ylim(bottom=0)
    for name, colour, label, offset in (
        ("estimated_auc", GREY, "estimated", -0.06),
        ("auc", BLUE, "observed", 0.06),
    ):
        _points(ranking, batches, name, colour, label, offset)
    ranking.axhline(auc_line, color=ORANGE, linestyle="--", linewidth=1)
    ranking.set_ylabel("AUC")
    ranking.legend(frameon=False, loc="best")
    turned: dict[str, Any] = {"rotation": 45, "ha": "right"} if batches.height > FEW_BATCHES else {}
    for axes in (shift, ranking):
        axes.set_xticks(places, batches["name"].to_list(), **turned)
        axes.set_xlim(-0.5, batches.height - 0.5)
    return figure


def _points(axes: Axes, batches: pl.DataFrame, name: str, colour: str, label: str, offset: float) -> None:
    known = batches.with_row_index("place").drop_nulls(name)
    if not known.height:
        return
    low, high = (known[name] - known[f"{name}_low"], known[f"{name}_high"] - known[name])
    spread = [low.fill_null(0.0).to_list(), high.fill_null(0.0).to_list()]
    places = [place + offset for place in known["place"].to_list()]
    axes.errorbar(places, known[name].to_list(), yerr=spread, fmt="o", color=colour, label=label, capsize=2)
