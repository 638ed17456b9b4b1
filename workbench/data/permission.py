"""Which sources a study may use: what the jurisdictions say, and what the study does about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from workbench.errors import DataError
from workbench.kinds import DataCategory
from workbench.packs import permission_faults, prohibited
from workbench.sources import Source


@dataclass(frozen=True)
class Permitted:
    """The sources to read, those that only measure what their prohibition costs, and those dropped."""

    sources: dict[str, Source]
    cost_only: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """What is dropped without a measure of its cost: unread sources, and single columns."""
        return tuple(name for name in self.dropped if name not in self.cost_only)


def categories(sources: Mapping[str, Source]) -> dict[str, tuple[DataCategory, bool]]:
    """Return category and consent (yes or no) of every source, and of features with their own category."""
    own = {name: (source.data_category, bool(source.consent)) for name, source in sources.items()}
    columns = {
        f"{name}.{column}": (feature.data_category, bool(feature.consent or source.consent))
        for name, source in sources.items()
        for column, feature in source.features.items()
        if feature.data_category and feature.data_category != source.data_category
    }
    return own | columns


def permit(
    sources: Mapping[str, Source],
    verdicts: pl.DataFrame,
    *,
    on_prohibited: Literal["stop", "drop", "drop_unread"],
) -> Permitted:
    """Apply the verdicts: stop, drop and measure the cost, or drop without reading.

    With `drop` a prohibited source is read for one purpose: its features never enter the model, and training
    measures what they would have added. Raises DataError with the clauses when the study says stop, when
    needed consent has no column, and when the applicants' own table is prohibited.
    """
    barred = prohibited(verdicts)
    faults = permission_faults(
        verdicts if on_prohibited == "stop" else verdicts.filter(~pl.col("source").is_in(barred))
    )
    tables = [name for name in barred if name in sources and sources[name].kind == "applicants"]
    if on_prohibited != "stop" and tables:
        faults.append(
            f"{', '.join(tables)}: without its applicants there is no study; split the prohibited columns off"
        )
    if faults:
        right = "leave the source out, record consent, or set data.on_prohibited to drop or drop_unread"
        named = {fault.partition(":")[0] for fault in faults}
        raise DataError(f"permission: {len(named)} source(s) may not be used", [*faults, right])
    columns = [name for name in barred if name not in sources]
    whole = [name for name in barred if name in sources]
    kept = {name: _without(name, source, columns) for name, source in sources.items()}
    if on_prohibited == "drop_unread":
        return Permitted({n: s for n, s in kept.items() if n not in whole}, (), tuple(barred))
    return Permitted(kept, tuple(whole), tuple(barred))


def _without(name: str, source: Source, columns: list[str]) -> Source:
    features = {c: feature for c, feature in source.features.items() if f"{name}.{c}" not in columns}
    return source.model_copy(update={"features": features})
