"""Declared columns: features that a study's applicants or bureau table already carries."""

from __future__ import annotations

import narwhals as nw

from workbench.features.catalogue import Feature, SourceView
from workbench.features.windows import Windows


def features(view: SourceView, windows: Windows) -> list[Feature]:  # noqa: ARG001 - a family's signature
    """Return the declared columns: under their own names for applicants, `<source>_<name>` otherwise.

    Each is a family of its own, by its definition: as a reason it has to tell an applicant something.
    """
    prefix = "" if view.kind == "applicants" else f"{view.name}_"
    return [
        Feature(
            name=f"{prefix}{column.name}",
            family=column.definition or column.name,
            definition=column.definition,
            unit=column.unit,
            monotone=column.monotone,
            value=nw.col(column.name),
            source=view.name,
            kind=view.kind,
            data_category=column.data_category,
        )
        for column in view.declared
    ]
