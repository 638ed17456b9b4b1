"""Charts of how features work in the model, without any applicant to be seen."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from workbench.reporting.charts import BLUE, GREY, ORANGE, RED, Chart, new_chart, new_grid, styled
from workbench.reporting.importance_charts import WHISKER, colour_bar, down, whiskers, words

LOW_TO_HIGH = LinearSegmentedColormap.from_list("low to high", ["#F0E442", RED, "#3B1A00"], N=40)
"""As `WEAK_TO_STRONG` falls in lightness all the way, so that it keeps its order in grey."""
_CURVES = {"ale": "accumulated local effects", "pdp": "partial dependence"}


@styled
def beeswarm(table: pl.DataFrame) -> Chart:
    """Draw where the SHAP values of each feature lie: as wide as there are applicants, coloured by value."""
    names = table["feature"].unique(maintain_order=True)
    figure, axes = new_chart(height=1.4 + 0.36 * names.len())
    places = dict(zip(names, down(axes, names), strict=True))
    for row in table.drop_nulls("width").iter_rows(named=True):
        half, place = 0.45 * row["width"], places[row["feature"]]
        known = row["percentile"] is not None
        color = LOW_TO_HIGH(row["percentile"]) if known else GREY
        corner, length = (row["low"], place - half), row["high"] - row["low"]
        axes.add_patch(Rectangle(corner, length, 2 * half, color=color, linewidth=0.3))
    axes.axvline(0, color=GREY, linewidth=0.8)
    span = [table["low"].min(), table["high"].max()]
    if None not in span:
        axes.set_xlim(*_widened(*span))  # type: ignore[arg-type]
    axes.set_xlabel("SHAP value (log-odds of default)")
    ends = {0.0: "lowest", 1.0: "highest"}
    colour_bar(figure, axes, LOW_TO_HIGH, "feature value (grey: missing)", ends=ends)
    return figure


@styled
def dependence(table: pl.DataFrame) -> Chart:
    """Draw how the SHAP values of each feature move with it: mean, interval and the middle 80 percent.

    Each mark stands for about as many applicants; the missing stand apart on the right.
    """
    names = table["feature"].unique(maintain_order=True).to_list()
    figure, grid = _panels(names, "SHAP value (log-odds)")
    for axes, name in zip(grid, names, strict=False):
        rows = table.filter(pl.col("feature") == name).drop_nulls("mean")
        known, missing = rows.filter(~pl.col("missing")), rows.filter("missing")
        axes.fill_between(known["middle"], known["low"], known["high"], color=BLUE, alpha=0.2)
        axes.plot(known["middle"], known["mean"], "o-", color=BLUE, markersize=4)
        axes.errorbar(known["middle"], known["mean"], yerr=whiskers(known, "mean", "mean_"), **WHISKER)
        _missing(axes, known["middle"], missing, "mean", BLUE)
    return figure


@styled
def effects(table: pl.DataFrame) -> Chart:
    """Draw accumulated local effects and partial dependence with intervals, above the data's density."""
    names = table["feature"].unique(maintain_order=True).to_list()
    figure, grid = _panels(names, "effect (log-odds)")
    for axes, name in zip(grid, names, strict=False):
        rows = table.filter(pl.col("feature") == name)
        for curve, color, line in (("ale", BLUE, "-"), ("pdp", ORANGE, "--")):
            drawn = rows.filter(pl.col("curve") == curve).drop_nulls("effect")
            known, missing = drawn.filter(~pl.col("missing")), drawn.filter("missing")
            low, high = (known[end].fill_null(known["effect"]) for end in ("low", "high"))
            axes.fill_between(known["value"], low, high, color=color, alpha=0.2, linewidth=0)
            axes.plot(known["value"], known["effect"], line, color=color, label=_CURVES[curve])
            _missing(axes, known["value"], missing, "effect", color)
        first = rows.filter((pl.col("curve") == rows["curve"][0]) & ~pl.col("missing"))
        _strip(axes, first["value"].to_list(), first["applicants"].to_list()[1:])
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _panels(names: Sequence[str], label: str) -> tuple[Chart, list[Axes]]:
    """Return a chart with one pair of axes for each feature, two beside each other."""
    rows = (len(names) + 1) // 2
    figure, grid = new_grid(rows, 2, height=0.3 + 2.5 * rows)
    for axes, name in zip(grid, names, strict=False):
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_xlabel(words(name), fontsize=8)
        axes.set_ylabel(label, fontsize=8)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    return figure, grid


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _missing(axes: Axes, places: pl.Series, missing: pl.DataFrame, value: str, color: str) -> None:
    """Mark the missing on the right of the known ones."""
    if not missing.height:
        return
    known = places.drop_nulls()
    least, most = (float(known.min()), float(known.max())) if known.len() else (0.0, 0.0)  # type: ignore[arg-type]
    place = most + (0.12 * (most - least) or 1.0)
    prefix = "mean_" if value == "mean" else ""
    spread = whiskers(missing, value, prefix)
    axes.errorbar([place], missing[value], yerr=spread, fmt="D", color=color, markersize=4, capsize=2)
    axes.axvline((place + most) / 2, color=GREY, linestyle=":", linewidth=0.8)
    axes.annotate(
        "missing", (place, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7
    )


def _strip(axes: Axes, ends: Sequence[float | None], applicants: Sequence[int | None]) -> None:
    """Draw below the curves how many applicants there are for each unit of the feature."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom - 0.2 * (top - bottom), top)
    bins = [
        (low, high - low, count / (high - low))
        for low, high, count in zip(ends[:-1], ends[1:], applicants, strict=True)
        if low is not None and high is not None and count and high > low
    ]
    most = max((density for *_, density in bins), default=1.0)
    for at, (low, width, density) in enumerate(bins):
        bar = Rectangle((low, 0), width, 0.16 * density / most, color=GREY, alpha=0.6, linewidth=0)
        bar.set_label("" if at else "applicants, density")
        bar.set_transform(axes.get_xaxis_transform())
        axes.add_patch(bar)
    known = [end for end in ends if end is not None]
    axes.plot(known, [0.0] * len(known), "|", color=GREY, markersize=9, transform=axes.get_xaxis_transform())
