"""One applicant's page: score, decision and everything that they rest on, as one HTML file."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import polars as pl

from workbench.params import ROOT
from workbench.reporting.applicant_charts import signed, waterfall, waterfall_text
from workbench.reporting.applicant_view import ApplicantView
from workbench.reporting.plain import plain_text, value_in_unit
from workbench.reporting.tables import MISSING, format_number
from workbench.statistics.estimate import Estimate

_THEME = ROOT / "reports" / "theme" / "theme.css"
_STYLE = """
.workbench main{max-width:60rem;margin:0 auto;padding:0 1.25rem 4rem}
.workbench .verdict{font-size:1.15rem}.workbench .verdict strong{font-size:1.3rem}
.workbench td.number,.workbench th.number{text-align:right;white-space:nowrap}
.workbench tbody th{font-weight:500}
"""


def applicant_page(view: ApplicantView) -> str:
    """Return the page as one HTML file that fetches nothing; text from data is never read as markup."""
    title = f"Applicant {view.applicant}: {_decision(view)}"
    theme = _THEME.read_text(encoding="utf-8")
    body = "\n".join(
        part
        for section in (_verdict, _points, _reasons, _changes, _neighbours, _data, _reading)
        for part in section(view)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{theme}{_STYLE}</style>\n</head>\n"
        f'<body class="workbench">\n<main>\n<h1 class="title">{_text(title)}</h1>\n{body}\n</main>\n'
        f'<div class="notice"><span>{_text(view.notice or "not provided")}</span>'
        f"<span>Run {_text(view.run_id)}</span></div>\n</body>\n</html>\n"
    )


def _verdict(view: ApplicantView) -> Iterator[str]:
    gap = view.score - view.cutoff
    size = "less than 0.1" if abs(gap) < 0.05 else f"{abs(gap):.1f}"
    side = "above" if gap >= 0 else "below"
    yield (
        f'<p class="verdict"><strong>{_decision(view).capitalize()}</strong>: score {view.score:.1f}, '
        f"{size} points {side} the cutoff of {view.cutoff:g}.</p>"
    )
    yield (
        '<div class="callout callout-warning"><div class="callout-title">Internal</div>'
        '<div class="callout-body"><p>This page holds one person\'s data and how others differ. It is for '
        "those who may see them: it is no part of the report, and not the notice to the applicant.</p>"
        "</div></div>"
    )
    estimate = view.prob_default
    rows = [
        ("Score", f"{view.score:.1f} points"),
        ("Cutoff", f"{view.cutoff:g} points, a PD of {_share(view.cutoff_prob_default)}"),
        ("Probability of default (PD)", _share(estimate.value)),
        ("Interval of the PD", _interval(estimate)),
        ("How sure the decision is", _sureness(view)),
        ("Sample", view.sample.replace("_", " ")),
    ]
    yield _table(("What", "Value"), rows, "The decision")


def _points(view: ApplicantView) -> Iterator[str]:
    yield "<h2>What made the score</h2>"
    if view.families.is_empty():
        yield "<p>The model used nothing about this applicant: the score is the base score.</p>"
        return
    about = {"base_score": view.base_score, "score": view.score, "cutoff": view.cutoff}
    image = base64.b64encode(waterfall(view.families, **about).svg()).decode()
    caption = (
        "From the base score, which is the model's average over the development sample, to this applicant's "
        "score, by family of features. The points add up exactly. The table at the end has each feature."
    )
    yield (
        f'<figure><img src="data:image/svg+xml;base64,{image}" '
        f'alt="{_text(waterfall_text(view.families, **about))}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _reasons(view: ApplicantView) -> Iterator[str]:
    yield "<h2>Principal reasons</h2>"
    if view.approved:
        yield "<p>None: the applicant was approved. What cost and what brought points stands above.</p>"
        return
    if view.reasons.is_empty():
        yield "<p>No reason is recorded for this applicant, although the decision asks for some.</p>"
        return
    rows = [
        (
            str(row["rank"]),
            row["reason_text"],
            row["reason_code"].replace("_", " "),
            "fixed rule" if row["kind"] == "rule" else "score",
            MISSING if row["points_lost"] is None else f"{row['points_lost']:.1f}",
        )
        for row in view.reasons.sort("rank").iter_rows(named=True)
    ]
    headers = ("Rank", "Told to the applicant", "Family", "From", "Points lost")
    yield _table(headers, rows, "The reasons in their order", numbers={4})
    yield (
        "<p>Points lost are measured against the reference that the study names for reasons, and so are not "
        "those of the chart, which starts from the average.</p>"
    )


def _changes(view: ApplicantView) -> Iterator[str]:
    yield "<h2>What would have changed the decision</h2>"
    if view.approved:
        yield "<p>Not looked for: the applicant was approved.</p>"
    elif view.changes is None:
        yield "<p>Not looked for in this run.</p>"
    elif view.changes.is_empty():
        best = (
            ""
            if view.changed_score is None
            else f" The best that was tried reaches {view.changed_score:.1f}."
        )
        yield (
            "<p>Nothing was found: no change within the allowed directions, of what a person can act on, "
            f"leads to approval.{best}</p>"
        )
    else:
        rows = [
            (
                row["definition"],
                value_in_unit(row["from"], row["unit"]),
                value_in_unit(row["to"], row["unit"]),
            )
            for row in view.changes.iter_rows(named=True)
        ]
        yield _table(("What", "Now", "Needed"), rows, "The least change that was found", numbers={1, 2})
        reached = "" if view.changed_score is None else f" The score would be {view.changed_score:.1f}."
        yield f"<p>All else the same.{reached} It is about the model, and no promise of credit.</p>"


def _neighbours(view: ApplicantView) -> Iterator[str]:
    yield "<h2>The most similar applicants</h2>"
    if view.neighbours.is_empty():
        yield "<p>There are no others to compare with.</p>"
        return
    rows = []
    for row in view.neighbours.iter_rows(named=True):
        own = view.differences.filter(label=row["label"]).iter_rows(named=True)
        told = [_difference(other) for other in own]
        rows.append(
            (row["label"], f"{row['score']:.1f}", f"{100 * row['distance']:.1f}", "; ".join(told) or "none")
        )
    headers = ("Applicant", "Score", "Distance", "Differs most in (theirs less this applicant's)")
    caption = "Nearest by the features that matter to the model; distance in percentile points, weighted"
    yield _table(headers, rows, caption, numbers={1, 2})


def _data(view: ApplicantView) -> Iterator[str]:
    yield "<h2>The data used</h2>"
    missing = view.data["value"].null_count()
    if missing:
        every = "all" if missing == view.data.height else f"{missing} of"
        yield f"<p>Missing: {every} {view.data.height} features. To the model that is a case of its own.</p>"
    rows = [
        (
            row["definition"],
            value_in_unit(row["value"], row["unit"]),
            row["source"].replace("_", " "),
            row["data_category"].replace("_", " "),
            signed(row["points"]),
        )
        for row in view.data.sort(pl.col("points").abs(), "feature", descending=[True, False]).iter_rows(
            named=True
        )
    ]
    headers = ("Feature", "Value", "Source", "Data category", "Points")
    yield _table(headers, rows, "Every feature of the model, the weightiest first", numbers={1, 4})


def _reading(_: ApplicantView) -> Iterator[str]:
    yield (
        "<h2>How to read this page</h2><p>Points tell how the model came to this score, not what causes "
        "default. The interval of the PD tells how far another development sample would have moved it, not "
        "what this person will do. A score is higher for a safer applicant.</p>"
    )


def _decision(view: ApplicantView) -> str:
    return "approved" if view.approved else "declined"


def _sureness(view: ApplicantView) -> str:
    low, high, line = view.prob_default.low, view.prob_default.high, view.cutoff_prob_default
    if (view.score >= view.cutoff) != view.approved:
        return "decided by a rule and not by the score"
    if low is None or high is None:
        return "not known: there is no interval"
    if low <= line < high:
        return "the interval holds the cutoff: another development sample might have decided otherwise"
    return "the whole interval is on the same side of the cutoff"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"none: {estimate.method.removeprefix('no interval: ')}"
    return f"{_share(estimate.low)} to {_share(estimate.high)} ({100 * estimate.level:g}%, {estimate.method})"


def _difference(row: Mapping[str, Any]) -> str:
    name, gap = row["definition"], row["difference"]
    if gap is None:
        return f"{name}: {'missing here, known there' if row['own'] is None else 'known here, missing there'}"
    shown = value_in_unit(gap, row["unit"])
    return f"{name}: {shown if gap < 0 else f'+{shown}'}"


def _share(value: float | None) -> str:
    return format_number(value, "share")


def _table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], caption: str, *, numbers: Collection[int] = ()
) -> str:
    """Return a table whose first column names the rows; `numbers` are the columns set to the right."""

    def line(texts: Sequence[str], *, heads: Collection[int], scope: str) -> str:
        cells = []
        for place, text in enumerate(texts):
            kind = ' class="number"' if place in numbers else ""
            opening, tag = (f'<th scope="{scope}"', "th") if place in heads else ("<td", "td")
            cells.append(f"{opening}{kind}>{_text(text)}</{tag}>")
        return f"<tr>{''.join(cells)}</tr>"

    head = line(headers, heads=range(len(headers)), scope="col")
    body = "\n".join(line(row, heads=(0,), scope="row") for row in rows)
    name = _text(caption)
    return (
        f'<div class="table-box" tabindex="0" role="region" aria-label="{name}"><table>'
        f'<caption><span class="caption">{name}</span></caption>\n'
        f"<thead>{head}</thead>\n<tbody>{body}</tbody></table></div>"
    )


def _text(text: str) -> str:
    return escape(plain_text(text).replace("\n", " "))
