"""From the tables of a run to the letters of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from workbench.errors import DataError
from workbench.reporting.letters import Decision, Letter
from workbench.reporting.plain import value_in_unit


def letters_of(
    reasons: pl.DataFrame,
    *,
    decided: Mapping[int, Decision],
    decided_on: date,
    data_used: tuple[str, ...],
    automated: bool,
    changes: Mapping[int, tuple[str, ...]] | None = None,
) -> list[Letter]:
    """Return the letter of everybody who was not approved, in the order of `decided`.

    `decided`: applicant_id -> decision. `reasons`: applicant_id, rank, reason_text and kind ("model" or
    "rule"); where the first reason is a rule, the rule decided. `changes`: the texts of `change_texts`, None
    where nobody looked. Raises DataError with the number of those who have no reason, and of those who have
    reasons and no such decision.
    """
    ordered = reasons.sort("applicant_id", "rank").group_by("applicant_id", maintain_order=True)
    texts = {own: (tuple(told), kind == "rule") for own, told, kind in ordered.agg(
        "reason_text", pl.col("kind").first()
    ).iter_rows()}  # fmt: skip
    _check(texts, decided)
    return [
        Letter(
            applicant=str(own),
            decision=decision,
            decided_on=decided_on,
            reasons=texts[own][0],
            basis="rule" if texts[own][1] else "score",
            automated=automated,
            data_used=data_used,
            counterfactual=None if changes is None else changes.get(own),
        )
        for own, decision in decided.items()
    ]


def change_texts(counterfactuals: pl.DataFrame, catalogue: pl.DataFrame) -> dict[int, tuple[str, ...]]:
    """Return what would have led to approval, as texts by applicant; () where nothing was found.

    `counterfactuals`: applicant_id, change, found, feature, from and to. The texts are in the language of the
    catalogue's definitions: English.
    """
    about = catalogue.select("feature", "definition", "unit")
    rows = counterfactuals.sort("applicant_id", "change").join(
        about, on="feature", how="left", maintain_order="left"
    )
    texts: dict[int, tuple[str, ...]] = {}
    for row in rows.iter_rows(named=True):
        before = texts.setdefault(row["applicant_id"], ())
        if row["found"]:
            old, new = (value_in_unit(row[end], row["unit"]) for end in ("from", "to"))
            texts[row["applicant_id"]] = (*before, f"{row['definition']}: from {old} to {new}")
    return texts


def data_texts(catalogue: pl.DataFrame) -> tuple[str, ...]:
    """Return the sources that the model reads, each with its data category, in the catalogue's order."""
    pairs = catalogue.select("source", "data_category").unique(maintain_order=True)
    return tuple(f"{source} ({category})".replace("_", " ") for source, category in pairs.iter_rows())


def _check(texts: Mapping[int, object], decided: Mapping[int, Decision]) -> None:
    without = len(set(decided) - set(texts))
    others = len(set(texts) - set(decided))
    faults = [f"{without:,} of {len(decided):,} not approved have no reason"] if without else []
    faults += [f"{others:,} applicants have reasons and are not among them"] if others else []
    if faults:
        raise DataError("the letters cannot be made", faults)
