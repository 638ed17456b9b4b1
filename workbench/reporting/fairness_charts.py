"""Charts of group differences: over cutoffs, of scores, of what carries them, and of the alternatives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from workbench.reporting.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    Chart,
    new_chart,
    new_grid,
    nothing_to_draw,
    styled,
)
from workbench.reporting.importance_charts import down, words

_COLOURS = (BLUE, ORANGE, GREEN, RED, "#56B4E9", "#CC79A7")
_MARKS = ("o", "s", "^", "D", "v", "P")
_LINES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))
_COLUMNS = 2
_CARRIERS = 8  # features of the group that is drawn
_NAMED = 6  # stand-ins that are told by name


@styled
def cutoffs(table: pl.DataFrame, *, line: float) -> Chart:
    """Draw adverse impact ratios over approval rates, one panel for each attribute, judged groups alone.

    Bars are intervals of one cutoff, shades those of all cutoffs together.
    """
    rows = table.filter(
        pl.col("metric") == "adverse_impact_ratio", "judged", pl.col("method") != "by definition"
    )
    if not rows.height:
        return nothing_to_draw()
    figure, panels = _panels(rows)
    for axes, own in panels:
        groups = own["group"].unique(maintain_order=True).to_list()
        for at, group in enumerate(groups):
            part = own.filter(pl.col("group") == group).sort("approval_rate")
            color, marker = _COLOURS[at % len(_COLOURS)], _MARKS[at % len(_MARKS)]
            beside = part["approval_rate"] + 0.006 * (at - (len(groups) - 1) / 2)
            axes.fill_between(
                beside, part["band_low"], part["band_high"], color=color, alpha=0.12, linewidth=0
            )
            axes.vlines(beside, part["low"], part["high"], color=color, linewidth=1.2)
            axes.plot(beside, part["value"], marker=marker, color=color, markersize=4, label=words(group))
        axes.axhline(1, color=GREY, linewidth=0.8)
        axes.axhline(line, color=RED, linestyle="--", linewidth=1)
        axes.set_xlabel("approved of the development sample")
        axes.set_ylabel("adverse impact ratio")
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.legend(fontsize=7)
    return figure


@styled
def distributions(table: pl.DataFrame, *, below: int) -> Chart:
    """Draw the share of each group up to each score, one panel for each attribute.

    Groups of fewer than `below` applicants are left out: their steps would tell each member's score.
    """
    large = pl.col("applicants").sum().over("attribute", "group") >= below
    known = table.filter(large, pl.col("score_up_to").is_not_null())
    if not known.height:
        return nothing_to_draw()
    figure, panels = _panels(known)
    for axes, own in panels:
        for at, group in enumerate(own["group"].unique(maintain_order=True).to_list()):
            part = own.filter(pl.col("group") == group).sort("bin")
            style: dict[str, Any] = {
                "color": _COLOURS[at % len(_COLOURS)],
                "linestyle": _LINES[at % len(_LINES)],
            }
            axes.plot(
                part["score_up_to"], part["cumulative_share"], label=words(group), linewidth=1.4, **style
            )
        axes.set_xlabel("score (points)")
        axes.set_ylabel("share with at most this score")
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.legend(fontsize=7)
    return figure


@styled
def calibration(table: pl.DataFrame, *, below: int) -> Chart:
    """Draw observed over expected default rates by band of the PD, one panel for each attribute.

    Bands of fewer than `below` applicants are left out.
    """
    rows = table.filter(pl.col("applicants") >= below, pl.col("observed_default_rate").is_not_null())
    if not rows.height:
        return nothing_to_draw()
    figure, panels = _panels(rows)
    for axes, own in panels:
        highest = float(own.select(pl.max_horizontal("expected_default_rate", "high").max()).item())
        axes.plot([0, highest], [0, highest], color=GREY, linewidth=0.8)
        for at, (group, part) in enumerate(own.group_by("group", maintain_order=True)):
            color, marker = _COLOURS[at % len(_COLOURS)], _MARKS[at % len(_MARKS)]
            expected = part["expected_default_rate"]
            axes.vlines(expected, part["low"], part["high"], color=color, linewidth=1)
            axes.plot(
                expected,
                part["observed_default_rate"],
                marker,
                color=color,
                markersize=4,
                label=words(group[0]),
            )
        axes.set_xlabel("expected default rate")
        axes.set_ylabel("observed default rate")
        axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
        axes.legend(fontsize=7)
    return figure


@styled
def carried(table: pl.DataFrame) -> Chart:
    """Draw what carries the widest difference in approvals: its features' parts, which add up to it."""
    own = table.filter(pl.col("of") == "selection").drop_nulls("contribution")
    totals = own.group_by("attribute", "group", maintain_order=True).agg(pl.col("contribution").sum())
    if not totals.height:
        return nothing_to_draw()
    widest = totals.sort(pl.col("contribution").abs(), "attribute", "group", descending=[True, False, False])
    name, group, total = widest.row(0)
    part = own.filter(pl.col("attribute") == name, pl.col("group") == group)
    part = part.sort(pl.col("contribution").abs(), "feature", descending=[True, False])
    rows, rest = part.head(_CARRIERS), part.tail(max(part.height - _CARRIERS, 0))
    labels = [*rows["feature"], f"the other {rest.height}", "difference in approvals"]
    sizes = [*rows["contribution"], rest["contribution"].sum(), total]
    figure, axes = new_chart(height=1.2 + 0.24 * len(labels))
    places = down(axes, labels)
    colors = [ORANGE if size < 0 else BLUE for size in sizes[:-1]] + [GREY]
    axes.barh(places, sizes, color=colors, height=0.6)
    spread = [rows["contribution"] - rows["low"], rows["high"] - rows["contribution"]]
    whisker: dict[str, Any] = {"fmt": "none", "ecolor": "black", "capsize": 2, "elinewidth": 1}
    axes.errorbar(rows["contribution"], places[: rows.height], xerr=spread, **whisker)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("added to the approval rate, against the reference group")
    axes.set_title(f"{words(name)}: {words(group)}, the widest difference", fontsize=9, loc="left")
    return figure


@styled
def stand_ins(table: pl.DataFrame) -> Chart:
    """Draw how well features tell the group given the outcome, against how well default within groups."""
    known = table.drop_nulls(["given_outcome", "for_default"])
    if not known.height:
        return nothing_to_draw()
    figure, axes = new_chart(height=4.2)
    for at, name in enumerate(known["attribute"].unique(maintain_order=True).to_list()):
        own = known.filter(pl.col("attribute") == name)
        style: dict[str, Any] = {"color": _COLOURS[at % len(_COLOURS)], "markersize": 5}
        axes.plot(
            own["for_default"], own["given_outcome"], _MARKS[at % len(_MARKS)], label=words(name), **style
        )
    for place, name in _apart(known):
        axes.annotate(words(name), place, xytext=(4, 3), textcoords="offset points", fontsize=7)
    axes.axhline(0.5, color=GREY, linewidth=0.8)
    axes.axvline(0.5, color=GREY, linewidth=0.8)
    axes.set_xlabel("tells default within groups (AUC)")
    axes.set_ylabel("tells the group given the outcome (AUC)")
    axes.margins(0.15)
    axes.legend(fontsize=7)
    return figure


def _apart(known: pl.DataFrame) -> Iterator[tuple[tuple[float, float], str]]:
    """Give place and name of the strongest features whose names do not cover one another."""
    columns = ["for_default", "given_outcome"]
    wide, high = (max(float(np.ptp(known[name].to_numpy())), 0.05) for name in columns)
    named: list[tuple[float, float]] = []
    for x, y, name in known.select(*columns, "feature").iter_rows():
        if len(named) < _NAMED and not any(
            abs(x - left) < 0.3 * wide and abs(y - low) < 0.06 * high for left, low in named
        ):
            named.append((x, y))
            yield (x, y), name


@styled
def alternatives(table: pl.DataFrame) -> Chart:
    """Draw the candidates' loss against their disparity; open marks need the attribute at the decision."""
    figure, axes = new_chart(height=4.2)
    front = table.filter("on_front").sort("search_loss")
    axes.plot(
        front["search_loss"], front["search_disparity"], color=GREY, linewidth=1, label="front", zorder=1
    )
    others = table.filter(pl.col("candidate") > 0)
    for at, method in enumerate(others["method"].unique().sort().to_list()):
        own = others.filter(pl.col("method") == method)
        color = _COLOURS[at % len(_COLOURS)]
        face = "white" if own["needs_attribute_at_decision"].any() else color
        style: dict[str, Any] = {"color": color, "markerfacecolor": face, "markersize": 5, "zorder": 2}
        axes.plot(
            own["search_loss"],
            own["search_disparity"],
            _MARKS[at % len(_MARKS)],
            label=words(method),
            **style,
        )
    champion = table.filter(pl.col("candidate") == 0)
    axes.plot(
        champion["search_loss"],
        champion["search_disparity"],
        "*",
        color="black",
        markersize=11,
        label="champion",
    )
    axes.set_xlabel("loss: 1 - AUC, on the sample that the search judged by")
    axes.set_ylabel("largest difference in approvals")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper center", ncols=3, fontsize=7)
    return figure


def _panels(rows: pl.DataFrame) -> tuple[Chart, list[tuple[Axes, pl.DataFrame]]]:
    """Return a chart with a titled panel for each attribute, and beside each its rows."""
    names = rows["attribute"].unique(maintain_order=True).to_list()
    lines = -(-len(names) // _COLUMNS)
    figure, panels = new_grid(lines, _COLUMNS, height=0.4 + 2.6 * lines)
    _hide(panels[len(names) :])
    for axes, name in zip(panels, names, strict=False):
        axes.set_title(words(name), fontsize=9, loc="left")
    return figure, [
        (axes, rows.filter(pl.col("attribute") == name)) for axes, name in zip(panels, names, strict=False)
    ]


def _hide(panels: list[Axes]) -> None:
    for axes in panels:
        axes.set_axis_off()
