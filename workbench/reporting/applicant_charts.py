"""Charts of one applicant: from the base score to the score, by family of features."""

from __future__ import annotations

import polars as pl

from workbench.reporting.charts import BLUE, GREY, RED, Chart, new_chart, styled

LONGEST = 10
REST = "all other families"


def waterfall_steps(families: pl.DataFrame, *, longest: int = LONGEST) -> pl.DataFrame:
    """Return the steps of a waterfall: family and points, the largest first, the smallest summed at the end.

    `families`: family and points, one row each (above 0 raises the score). With more than `longest`
    families, the last row is what all others add up to, so that the points of all steps stay the same.
    """
    ordered = families.select("family", "points").sort(
        pl.col("points").abs(), "family", descending=[True, False]
    )
    if ordered.height <= longest:
        return ordered
    rest = ordered.slice(longest - 1)["points"].sum()
    return pl.concat([ordered.head(longest - 1), pl.DataFrame({"family": [REST], "points": [float(rest)]})])


@styled
def waterfall(families: pl.DataFrame, *, base_score: float, score: float, cutoff: float) -> Chart:
    """Draw how the points of each family lead from the base score to the score, and the cutoff."""
    steps = waterfall_steps(families)
    ends = [base_score, *(base_score + steps["points"].cum_sum())]
    figure, axes = new_chart(height=1.4 + 0.32 * (steps.height + 2))
    last = steps.height + 1
    for place, (start, points) in enumerate(zip(ends[:-1], steps["points"], strict=True), 1):
        axes.barh(place, points, left=start, color=RED if points < 0 else BLUE, height=0.62)
        axes.plot([start, start], [place - 1, place], color=GREY, linewidth=0.8)
        text = signed(points)
        axes.annotate(
            text, (max(start, start + points), place), xytext=(4, 0), textcoords="offset points", va="center"
        )
    axes.plot([score, score], [last - 1, last], color=GREY, linewidth=0.8)
    for place, value in ((0, base_score), (last, score)):
        axes.plot(value, place, "D", color=GREY, markersize=7)
        axes.annotate(f"{value:.1f}", (value, place), xytext=(8, 0), textcoords="offset points", va="center")
    axes.axvline(cutoff, color="black", linestyle="--", linewidth=1, label=f"cutoff {cutoff:g}")
    names = [name.replace("_", " ") for name in steps["family"]]
    axes.set_yticks(range(last + 1), ["base score", *names, "score"], parse_math=False)
    axes.invert_yaxis()
    axes.use_sticky_edges = False
    axes.margins(x=0.12)
    axes.set_xlabel("score points (red: points lost, blue: points gained)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def waterfall_text(families: pl.DataFrame, *, base_score: float, score: float, cutoff: float) -> str:
    """Return what the waterfall shows, for those who cannot see it."""
    steps = [f"{family} {signed(points)}" for family, points in waterfall_steps(families).iter_rows()]
    return (
        f"Waterfall from the base score {base_score:.1f} to the score {score:.1f}; "
        f"the cutoff is {cutoff:g}. Points by family: {', '.join(steps) or 'none'}."
    )


def signed(points: float) -> str:
    """Return points with their sign and one decimal; what rounds to nothing has no sign."""
    rounded = round(points, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"
