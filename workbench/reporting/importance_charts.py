"""Charts of what the model rests on: importance, interactions, steadiness, and the scorecard beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

from workbench.reporting.charts import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    SHOWN,
    Chart,
    new_chart,
    nothing_to_draw,
    styled,
)

FEW = 14  # features where each takes more than a line
PALE, DARK = "#9CC7E0", "#00233F"
WEAK_TO_STRONG = LinearSegmentedColormap.from_list("weak to strong", ["#EAF3F8", BLUE, DARK], N=40)
"""Falls in lightness all the way, so that it keeps its order in grey; above 50 colours a bar is an image."""
WHISKER: dict[str, Any] = {"fmt": "none", "ecolor": BLUE, "capsize": 2, "elinewidth": 1.2}
_PAIR = ("feature", "with_feature")
_KINDS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (RED, "D"))


@styled
def importance(table: pl.DataFrame) -> Chart:
    """Draw mean absolute SHAP values and the ranks with their intervals, the largest on top; what is used."""
    used = table.filter(pl.col("importance") > 0)
    rows = used.sort("importance", "feature", descending=[True, False]).head(SHOWN)
    if not rows.height:
        return nothing_to_draw()
    figure, axes = new_chart(height=1.2 + 0.17 * rows.height)
    places = down(axes, rows["feature"])
    axes.barh(places, rows["importance"], color=PALE)
    axes.errorbar(rows["importance"], places, xerr=whiskers(rows, "importance"), **WHISKER)
    axes.set_xlabel("mean |SHAP value| (log-odds of default)")
    _ranks(axes, places, rows["rank_low"], rows["rank_high"], "rank, interval")
    _cut(axes, table.height, rows.height, "most important features")
    return figure


@styled
def interactions(table: pl.DataFrame) -> Chart:
    """Draw the strongest interactions as a map of features against features; empty: not among the pairs."""
    ranked = table.sort("interaction", descending=True, maintain_order=True)
    every = list(dict.fromkeys(name for pair in ranked.select(_PAIR).iter_rows() for name in pair))
    names = every[:FEW]
    size = np.full((len(names), len(names)), np.nan)
    for first, second, value in ranked.select(*_PAIR, "interaction").drop_nulls().iter_rows():
        if {first, second} <= set(names):
            row, column = sorted((names.index(first), names.index(second)), reverse=True)
            size[row, column] = value
    known = np.isfinite(size)
    if not known.any():
        return nothing_to_draw()
    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    cells, most = size[np.ix_(rows, columns)], float(np.nanmax(size)) or 1.0
    figure, axes = new_chart(height=3.2 + 0.26 * len(rows))
    axes.pcolormesh(np.ma.masked_invalid(cells), cmap=WEAK_TO_STRONG, vmin=0, vmax=most, edgecolors="white")
    for down_at, along in zip(*np.nonzero(np.isfinite(cells)), strict=True):
        value = cells[down_at, along]
        color = "white" if value > most / 3 else "black"
        place = (along + 0.5, down_at + 0.5)
        axes.text(*place, f"{value:.2g}", ha="center", va="center", color=color, fontsize=6)
    along_labels, down_labels = ([words(names[at]) for at in places] for places in (columns, rows))
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(len(columns)) + 0.5, along_labels, **turned, fontsize=7)
    axes.set_yticks(np.arange(len(rows)) + 0.5, down_labels, fontsize=7)
    axes.invert_yaxis()
    axes.grid(visible=False)
    colour_bar(figure, axes, WEAK_TO_STRONG, "mean |interaction value| (log-odds)", most=most)
    _cut(axes, len(every), len(names), "features that interact most")
    return figure


@styled
def steadiness(table: pl.DataFrame) -> Chart:
    """Draw the range of each feature's share and rank over the models of each kind, beside the champion's."""
    used = table.filter((pl.col("share") > 0) | (pl.col("share_max") > 0))
    names = used.sort("rank", "feature")["feature"].unique(maintain_order=True)
    if not names.len():
        return nothing_to_draw()
    shown = names.head(FEW)
    kinds = table["kind"].unique(maintain_order=True).to_list()
    figure, axes = new_chart(height=1.7 + shown.len() * (0.1 + 0.09 * len(kinds)))
    places = down(axes, shown)
    for at, kind in enumerate(kinds):
        own = shown.to_frame().join(
            table.filter(pl.col("kind") == kind), on="feature", how="left", maintain_order="left"
        )
        color, marker = _KINDS[at % len(_KINDS)]
        beside = np.asarray(places) + 0.6 * ((at + 1) / (len(kinds) + 1) - 0.5)
        axes.hlines(beside, own["share_min"], own["share_max"], color=color, linewidth=1.6)
        label = f"{words(kind)}: range and mean of {own['models'][0]}"
        axes.plot(own["share_mean"], beside, marker, color=color, markersize=4, label=label)
    champion = shown.to_frame().join(
        table.unique("feature", keep="first", maintain_order=True), on="feature", maintain_order="left"
    )
    axes.plot(champion["share"], places, "|", color="black", markersize=12, label="champion")
    ranges = table.group_by("feature").agg(pl.col("rank_min").min(), pl.col("rank_max").max())
    ranges = shown.to_frame().join(ranges, on="feature", maintain_order="left")
    _ranks(axes, places, ranges["rank_min"], ranges["rank_max"], "rank, lowest to highest of all")
    axes.set_xlabel("share of all mean |SHAP values|")
    figure.legend(loc="outside upper center", ncols=2)
    _cut(axes, names.len(), shown.len(), "most important features")
    return figure


@styled
def scorecard_shares(table: pl.DataFrame) -> Chart:
    """Draw each feature's share of importance in the champion and in the scorecard."""
    larger = pl.max_horizontal("champion_share", "scorecard_share")
    rows = table.sort(larger, "feature", descending=[True, False]).head(SHOWN)
    figure, axes = new_chart(height=1.5 + 0.19 * rows.height)
    marks = ["  (other direction)" if same is False else "" for same in rows["same_direction"]]
    places = down(axes, [f"{name}{mark}" for name, mark in zip(rows["feature"], marks, strict=True)])
    axes.hlines(places, rows["champion_share"], rows["scorecard_share"], color="#BBBBBB", linewidth=1.5)
    axes.plot(rows["champion_share"], places, "o", color=BLUE, markersize=5, label="champion, mean |SHAP|")
    hollow: dict[str, Any] = {"color": RED, "markerfacecolor": "white", "markersize": 5}
    axes.plot(rows["scorecard_share"], places, "s", **hollow, label="scorecard, mean |points|")
    axes.set_xlabel("share of the model's importance")
    figure.legend(loc="outside upper center", ncols=2)
    _cut(axes, table.height, rows.height, "features that matter most in either")
    return figure


def words(name: str) -> str:
    """Return a name as text: Matplotlib takes what is between dollar signs for mathematics."""
    return name.replace("_", " ").replace("$", r"\$")


def down(axes: Axes, names: Iterable[str]) -> list[int]:
    """Label the rows from the top and return their places."""
    labels = [words(name) for name in names]
    places = list(range(len(labels)))
    axes.set_yticks(places, labels, fontsize=7)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    return places


def whiskers(rows: pl.DataFrame, value: str, prefix: str = "") -> list[pl.Series]:
    """Return how far an interval reaches below and above its value; 0 where there is none."""
    low, high = rows[f"{prefix}low"], rows[f"{prefix}high"]
    return [(rows[value] - low).fill_null(0).clip(0), (high - rows[value]).fill_null(0).clip(0)]


def colour_bar(
    figure: Chart,
    axes: Axes,
    colours: LinearSegmentedColormap,
    label: str,
    *,
    most: float = 1.0,
    ends: Mapping[float, str] | None = None,
) -> None:
    """Add what the colours from 0 to `most` mean, with the texts of `ends` in the place of numbers."""
    bar = figure.colorbar(ScalarMappable(Normalize(0, most), colours), ax=axes, aspect=30, pad=0.02)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
    for cells in bar.ax.collections:
        cells.set_edgecolor("face")  # no white seams between the colours
    if ends:
        bar.set_ticks(list(ends), labels=list(ends.values()))


def _ranks(axes: Axes, places: list[int], low: pl.Series, high: pl.Series, label: str) -> None:
    """Write the ranks on the right side, each beside its row."""
    right = axes.secondary_yaxis("right")
    texts = [
        str(least) if least == most else f"{least} to {most}" for least, most in zip(low, high, strict=True)
    ]
    right.set_yticks(places, texts, fontsize=7)
    right.tick_params(length=0)
    right.set_ylabel(label, fontsize=8)
    right.spines["right"].set_visible(False)


def _cut(axes: Axes, rows: int, shown: int, which: str) -> None:
    """Say above the axes that a ranking is cut."""
    if rows > shown:
        axes.set_title(f"The {shown} {which} of {rows}", fontsize=10, loc="left")
