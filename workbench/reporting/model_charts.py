"""Charts of stages training and validation that show what a choice rests on."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.ticker import MaxNLocator

from workbench.reporting.charts import BLUE, GREY, RED, Chart, new_chart, styled

PALE = "#9CC7E0"


@styled
def search(trials: pl.DataFrame) -> Chart:
    """Draw the cross-validated log loss of every finished trial, the best so far and the one chosen."""
    figure, axes = new_chart(height=3.0)
    finished = trials.filter(status="finished")
    spread, chosen = finished["log_loss_sd"].fill_null(0), finished.filter("chosen")
    axes.errorbar(finished["trial"], finished["log_loss"], yerr=spread, fmt="o", color=BLUE, ecolor=PALE)
    axes.step(finished["trial"], finished["log_loss"].cum_min(), where="post", color=RED, label="best so far")
    place = (chosen["trial"], chosen["log_loss"])
    axes.plot(*place, "o", color=RED, markersize=11, markerfacecolor="none", label="chosen")
    axes.set(xlabel="trial (those stopped early are not drawn)", ylabel="log loss, mean and SD over folds")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


@styled
def candidates(table: pl.DataFrame) -> Chart:
    """Draw the AUC of every candidate with its interval, best on top."""
    return _forest(table, table["candidate"], "auc", "AUC out of fold on the development sample")


@styled
def minimisation(curve: pl.DataFrame) -> Chart:
    """Draw the AUC by number of features, with intervals."""
    figure, axes = new_chart(height=3.0)
    axes.fill_between(curve["features"], curve["low"], curve["high"], color=BLUE, alpha=0.2)
    axes.plot(curve["features"], curve["auc"], "o-", color=BLUE)
    axes.set(xlabel="features in the model, the strongest first", ylabel="AUC out of fold")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@styled
def precision_recall(curve: pl.DataFrame) -> Chart:
    """Draw precision by recall with its intervals, and the default rate that chance would find."""
    figure, axes = new_chart(width=5.0, height=4.0)
    axes.fill_between(curve["recall"], curve["low"], curve["high"], color=BLUE, alpha=0.2)
    axes.plot(curve["recall"], curve["precision"], color=BLUE, label="champion")
    axes.plot(curve["recall"], curve["chance"], color=GREY, linestyle=":", label="chance")
    axes.set(xlabel="bads found (share of all bads)", ylabel="bads among the flagged (share)", ylim=(0, 1))
    axes.legend()
    return figure


@styled
def segments(table: pl.DataFrame) -> Chart:
    """Draw the AUC of every segment with its interval."""
    judged = table.filter(pl.col("auc").is_not_null())
    labels = judged["by"].str.replace_all("_", " ") + ": " + judged["segment"].str.replace_all("_", " ")
    return _forest(judged, labels, "auc", "AUC on the holdout sample")


@styled
def profit(curve: pl.DataFrame, *, cutoff: float) -> Chart:
    """Draw the profit of each applicant by cutoff with its interval, and the study's cutoff."""
    figure, axes = new_chart(height=3.0)
    axes.fill_between(curve["cutoff"], curve["profit_low"], curve["profit_high"], color=BLUE, alpha=0.2)
    axes.plot(curve["cutoff"], curve["profit"], color=BLUE)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axvline(cutoff, color=RED, linestyle="--", linewidth=1, label=f"cutoff {cutoff:g}")
    axes.set(xlabel="cutoff (score points)", ylabel=f"profit per applicant ({curve['currency'][0]})")
    axes.legend()
    return figure


def _forest(table: pl.DataFrame, labels: Sequence[str] | pl.Series, name: str, title: str) -> Chart:
    """Draw values with intervals one below the other, in the table's order from the top."""
    figure, axes = new_chart(height=1.0 + 0.28 * max(table.height, 1))
    places = list(range(table.height))[::-1]
    spread = [
        (table[name] - table[f"{name}_low"]).fill_null(0),
        (table[f"{name}_high"] - table[name]).fill_null(0),
    ]
    axes.errorbar(table[name], places, xerr=spread, fmt="o", color=BLUE, ecolor=PALE, capsize=3)
    axes.set_yticks(places, [str(label).replace("_", " ") for label in labels], fontsize=8)
    axes.set_xlabel(title)
    return figure
