"""Sample letters for the report: reasons that many share, with typical values, never one person's letter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from workbench.params import Study
from workbench.reporting.letter_batch import data_texts, letters_of
from workbench.reporting.letter_templates import load_template
from workbench.reporting.letters import sample_letters

READS = ("explanation/sample_reasons", "features/catalogue")


def letter_samples(frames: Mapping[str, pl.DataFrame], study: Study, manifest: Mapping[str, Any]) -> str:
    """Return the sample letters of each jurisdiction that the study names, as Markdown.

    They are in the study's first language, dated as the run is, with what `explanation/sample_reasons` holds:
    reasons of made-up people with texts, and how many real ones share them.
    """
    asked, reasons = (
        study.report.sample_letters,
        frames["explanation/sample_reasons"].rename({"sample": "applicant_id"}),
    )
    if not asked or not study.explanation.languages:
        return "The study names no letter of which samples are shown.\n"
    people = reasons.unique("applicant_id", keep="first", maintain_order=True)
    letters = letters_of(
        reasons,
        decided=dict(people.select("applicant_id", "decision").iter_rows()),
        decided_on=date.fromisoformat(manifest["created"]),
        data_used=data_texts(frames["features/catalogue"]),
        automated=True,
    )
    samples = list(zip(letters, people["applicants"], strict=True))
    about, below = study.report.letters, study.report.suppress_below
    shown = []
    for notice in asked:
        template = load_template(notice, study.explanation.languages[0])
        letter = sample_letters(samples, template, about, suppress_below=below)
        shown.append(f"### Jurisdiction: {notice}\n\n{letter}")
    return "\n".join(shown)
