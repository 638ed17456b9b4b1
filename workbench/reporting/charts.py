"""Charts, drawn once from aggregate tables and used in notebooks and reports alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any colour vision, and in grey by their lightness.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6B6B6B"
_STYLE = Path(__file__).with_name("workbench.mplstyle")


SHOWN = 30  # features in a ranking; the tables have them all


class Chart(Figure):
    """A figure that shows itself in a notebook and saves itself as repeatable SVG."""

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png", metadata={"Software": None})
        return stream.getvalue()

    def svg(self) -> bytes:
        """Return the chart as SVG; the same chart gives the same bytes."""
        stream = BytesIO()
        with mpl.rc_context(fname=_STYLE):
            if engine := self.get_layout_engine():  # laid out once: savefig would draw all of it for that
                self.set_dpi(72)  # that of SVG
                engine.execute(self)
                self.set_layout_engine("none")
            self.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        return stream.getvalue()


def styled(draw: Callable[..., Chart]) -> Callable[..., Chart]:
    """Draw under the workbench's style, whatever the notebook's own settings are."""

    @wraps(draw)
    def drawn(*tables: Any, **options: Any) -> Chart:
        with mpl.rc_context(fname=_STYLE):
            return draw(*tables, **options) if tables[0].height else nothing_to_draw()

    return drawn


def nothing_to_draw() -> Chart:
    """Return the chart of a table without rows."""
    figure, axes = new_chart(height=1.2)
    axes.set_axis_off()
    axes.text(0.5, 0.5, "nothing to draw: the table has no rows", ha="center", va="center")
    return figure


def new_chart(width: float = 7.0, height: float = 3.6) -> tuple[Chart, Axes]:
    """Return a chart with one pair of axes; inches."""
    figure = Chart(figsize=(width, height), dpi=100, layout="constrained")
    return figure, figure.subplots()


def new_grid(rows: int, columns: int, *, height: float) -> tuple[Chart, list[Axes]]:
    """Return a chart of page width with a grid of axes; inches."""
    figure = Chart(figsize=(7.0, height), dpi=100, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


@styled
def feature_strength(description: pl.DataFrame) -> Chart:
    """Draw information values with their intervals, strongest first."""
    table = description.sort("information_value").tail(SHOWN)
    figure, axes = _ranking(description.height, "strongest")
    _bars(axes, table, "feature", "information_value", "iv_low", "iv_high")
    axes.set_xlabel("information value (development sample)")
    return figure


@styled
def roc(curves: pl.DataFrame) -> Chart:
    """Draw the ROC curves of the models in the column `model`."""
    figure, axes = new_chart(width=5.0, height=4.4)
    for (model,), curve in curves.group_by("model", maintain_order=True):
        axes.plot(curve["goods_flagged"], curve["bads_caught"], label=str(model), **_line(str(model)))
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="no discrimination")
    axes.set(xlabel="goods taken for bads (share)", ylabel="bads found (share)")
    axes.legend(loc="lower right")
    return figure


@styled
def calibration(table: pl.DataFrame) -> Chart:
    """Draw observed against expected default rates by band, with intervals."""
    figure, axes = new_chart(width=5.0, height=4.4)
    observed, expected = table["observed_default_rate"], table["expected_default_rate"]
    spread = [observed - table["low"], table["high"] - observed]
    most = float(max(table["high"].max() or 0, expected.max() or 0)) * 1.05  # type: ignore[arg-type]
    axes.plot([0, most], [0, most], color=GREY, linestyle=":", label="perfectly calibrated")
    axes.errorbar(expected, observed, yerr=spread, fmt="o-", color=BLUE, capsize=3, label="champion, by band")
    axes.set(xlabel="expected default rate (mean PD)", ylabel="observed default rate")
    axes.legend(loc="upper left")
    return figure


@styled
def gains(table: pl.DataFrame) -> Chart:
    """Draw the cumulative share of bads found from the riskiest band on."""
    figure, axes = new_chart(width=5.0, height=3.8)
    applicants, share = table["cumulative_applicants_share"], table["cumulative_bads_share"]
    axes.plot([0, *applicants], [0, *share], "o-", color=BLUE, label="champion")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="at random")
    axes.set(xlabel="applicants, riskiest first (share)", ylabel="bads found (share)")
    axes.legend(loc="lower right")
    return figure


@styled
def cutoffs(table: pl.DataFrame, *, cutoff: float) -> Chart:
    """Draw approval rate and default rate among the approved at every cutoff, and the study's own."""
    figure, (left, right) = new_grid(1, 2, height=3.2)
    known = table.drop_nulls(["default_rate"])
    for axes, name, low, high, label in (
        (left, "approval_rate", "approval_low", "approval_high", "approval rate"),
        (right, "default_rate", "low", "high", "default rate among the approved"),
    ):
        axes.plot(known["cutoff"], known[name], color=BLUE)
        axes.fill_between(known["cutoff"], known[low], known[high], color=BLUE, alpha=0.2)
        axes.axvline(cutoff, color=RED, linestyle="--", linewidth=1, label=f"cutoff {cutoff:g}")
        axes.set(xlabel="cutoff (score points)", ylabel=label)
        axes.legend()
    return figure


@styled
def examples(table: pl.DataFrame) -> Chart:
    """Draw the largest contributions to the score of each example applicant, in points."""
    names = table["example"].unique(maintain_order=True).to_list()
    figure, grid = new_grid(len(names), 1, height=2.3 * len(names))
    for axes, name in zip(grid, names, strict=True):
        rows = table.filter(pl.col("example") == name).reverse().with_columns(pl.col("points").fill_null(0))
        colors = [RED if points < 0 else BLUE for points in rows["points"]]
        features = rows["feature"].str.replace_all("_", " ")
        axes.barh(features + " (" + rows["value_band"] + ")", rows["points"], color=colors)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_title(name, loc="left", fontsize=10)
        axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel("points added to the score (below 0: points lost)")
    return figure


@styled
def reasons(table: pl.DataFrame) -> Chart:
    """Draw how often each reason is given to declined applicants, and how often as the first one."""
    rows = table.sort("share")
    figure, axes = new_chart(height=3.4)
    axes.barh(rows["reason_code"], rows["share"], color="#9CC7E0", label="among the reasons shown")
    axes.barh(rows["reason_code"], rows["as_first"], color=BLUE, label="as the first reason")
    axes.set(xlabel="share of declined applicants")
    axes.legend(loc="lower right")
    return figure


@styled
def ratios(table: pl.DataFrame, *, line: float) -> Chart:
    """Draw adverse impact ratios with their intervals against the line; open marks are not judged."""
    rows = table.filter(pl.col("value").is_not_null()).reverse()
    if not rows.height:
        return nothing_to_draw()
    figure, axes = new_chart(height=0.8 + 0.3 * rows.height)
    for position, row in enumerate(rows.iter_rows(named=True)):
        color = BLUE if row["judged"] else GREY
        low, high = row["low"], row["high"]
        if low is not None:
            axes.plot([low, high], [position, position], color=color, linewidth=2)
        axes.plot(
            row["value"], position, "o", color=color, markerfacecolor=color if row["judged"] else "white"
        )
    axes.axvline(1, color=GREY, linewidth=0.8)
    axes.axvline(line, color=RED, linestyle="--", linewidth=1, label=f"line {line:g}")
    labels = [f"{row['attribute']}: {row['group']}".replace("_", " ") for row in rows.iter_rows(named=True)]
    axes.set_yticks(range(rows.height), labels)
    axes.set_xlabel("adverse impact ratio (1 = approved as often as the reference group)")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return figure


@styled
def score_shift(table: pl.DataFrame) -> Chart:
    """Draw the share of applicants in each score band, development sample against the batch."""
    figure, axes = new_chart(height=3.0)
    width = 0.4
    positions = range(table.height)
    axes.bar([p - width / 2 for p in positions], table["development"], width, color=GREY, label="development")
    axes.bar([p + width / 2 for p in positions], table["batch"], width, color=BLUE, label="batch")
    labels = [f"to {upper:.0f}" if upper is not None else "above" for upper in table["upper"]]
    axes.set_xticks(list(positions), labels, fontsize=8)
    axes.set(xlabel="score band (points)", ylabel="share of applicants")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


@styled
def stability(table: pl.DataFrame, *, lines: Sequence[float]) -> Chart:
    """Draw the stability index of score and features on a log scale, with what chance alone gives."""
    rows = table.sort("stability").tail(SHOWN)
    figure, axes = _ranking(table.height, "largest")
    labels = rows["name"].str.replace_all("_", " ")
    axes.plot(rows["stability"].clip(1e-5), labels, "o", color=BLUE, label="this batch")
    axes.plot(
        rows["noise"],
        range(rows.height),
        "|",
        color=RED,
        markersize=10,
        label="chance alone: 95 of 100 below",
    )
    for line in lines:
        axes.axvline(line, color=GREY, linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("population stability index (log scale; dashed: customary lines)")
    axes.tick_params(axis="y", labelsize=7)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def _ranking(rows: int, which: str) -> tuple[Chart, Axes]:
    """Return a chart as high as its ranking needs; a ranking that is cut says so in its title."""
    figure, axes = new_chart(height=1.2 + 0.16 * min(rows, SHOWN))
    axes.set_ymargin(0.01)
    if rows > SHOWN:
        figure.suptitle(f"The {SHOWN} {which} of {rows}", fontsize=10)
    return figure, axes


def _bars(axes: Axes, table: pl.DataFrame, name: str, value: str, low: str, high: str) -> None:
    labels = table[name].str.replace_all("_", " ")
    spread = [(table[value] - table[low]).fill_null(0), (table[high] - table[value]).fill_null(0)]
    axes.barh(labels, table[value], color="#9CC7E0")
    axes.errorbar(table[value], range(table.height), xerr=spread, fmt="none", ecolor=BLUE, capsize=2)
    axes.tick_params(axis="y", labelsize=7)


def _line(model: str) -> dict[str, Any]:
    champion = model == "champion"
    return {"color": BLUE if champion else ORANGE, "linestyle": "-" if champion else "--", "linewidth": 1.8}
