"""Which documents a run has, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.reporting.writers import FORMATS, Format
from workbench.run import Run

DOCUMENTS = {
    "model_risk": "The model-risk report",
    "fair_lending": "The fair-lending report",
    "model_card": "The model card",
    "validation": "The independent validation",
    "monitoring": "The monitoring report",
    "ai_act_annex_iv": "The technical documentation under Annex IV of the AI Act",
}
"""The Quarto projects in reports/, each a document of its own over the same numbers, tables and figures."""
STAGE = "report"
_MANIFEST = "manifest"  # as the kinds of evidence name it


def documents_of(run: Run) -> list[Path]:
    """Return the documents of the run that are there."""
    return [path for path in places_of(run, FORMATS) if path.is_file()]


def places_of(run: Run, formats: Sequence[Format]) -> list[Path]:
    """Return where the documents of these formats lie, whether they are there or not."""
    return [run.folder / STAGE / f"{document}.{name}" for document in DOCUMENTS for name in formats]


def names_in(manifest: Mapping[str, Any]) -> set[str]:
    """Return the names of all that a run holds once it is rendered: artifacts, documents, its manifest."""
    return {*manifest["artifacts"], *(f"{STAGE}/{name}.html" for name in DOCUMENTS), _MANIFEST}
