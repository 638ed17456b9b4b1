"""Missingness as information: whether a source holds anything of an applicant."""

from __future__ import annotations

import narwhals as nw

from workbench.features.catalogue import Feature, SourceView, feature_of
from workbench.features.windows import Aggregate, Value, Windows


def features(view: SourceView, windows: Windows) -> list[Feature]:  # noqa: ARG001 - a family's signature
    """Return `<source>_missing`, not for a source that needs consent: withholding it is no evidence."""
    if view.needs_consent:
        return []
    here = Value(nw.lit(0.0), (Aggregate("one", "sum"),))
    family, definition = f"no record at {view.name.replace('_', ' ')}", "1 when nothing is there"
    return [feature_of(view, "missing", family, definition, "yes or no", 0, here, absent=1)]
