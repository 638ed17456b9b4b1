"""From sources to features: the catalogue of a study's sources, and one row of features per applicant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw

from workbench.errors import ParamsError
from workbench.features import columns, flows, missingness, payments, rhythm, statements, text, topups
from workbench.features.catalogue import Feature, SourceView
from workbench.features.windows import Windows, aggregate_events

Family = Callable[[SourceView, Windows], list[Feature]]
Tables = Mapping[str, nw.LazyFrame[Any]]

# Which families a kind of source serves, in the order of the catalogue.
FAMILIES: dict[str, tuple[Family, ...]] = {
    "applicants": (columns.features,),
    "bills": (payments.features, rhythm.tenure, missingness.features),
    "topups": (topups.features, rhythm.features, rhythm.tenure, missingness.features),
    "transactions": (flows.features, rhythm.features, rhythm.tenure, missingness.features),
    "posts": (missingness.features,),
    "statements": (statements.features,),
    "bureau": (columns.features, missingness.features),
}
_EVERY_EVENT = {
    "one": nw.col("age_days") * 0 + 1,
    "age": nw.col("age_days"),
    "age_square": nw.col("age_days") * nw.col("age_days"),
}
MEASURES: dict[str, dict[str, nw.Expr]] = {
    "bills": _EVERY_EVENT | payments.MEASURES,
    "topups": _EVERY_EVENT | rhythm.MEASURES | topups.MEASURES,
    "transactions": _EVERY_EVENT | rhythm.MEASURES | flows.MEASURES,
    "posts": _EVERY_EVENT | text.MEASURES,
}


def catalogue_of(
    sources: Sequence[SourceView], *, windows: Sequence[int], observation_days: int, topics: int = 0
) -> tuple[Feature, ...]:
    """Return every feature that the sources serve, in their order; raises ParamsError with names made twice.

    `windows` are days before the application, `topics` the number of topics of every source of texts.
    """
    spans = Windows(tuple(sorted(windows)), observation_days)
    if any(view.kind == "statements" for view in sources):  # the card ledger has its own entry for it
        sources = [_without_limit(view) for view in sources]
    made = [feature for view in sources for feature in _features_of(view, spans, topics)]
    repeated = [name for name, count in Counter(feature.name for feature in made).items() if count > 1]
    if repeated:
        faults = [f"{name}: made twice; rename a source or a declared column" for name in repeated]
        raise ParamsError(f"{len(repeated)} feature name(s) that two sources share", faults)
    return tuple(made)


def _without_limit(view: SourceView) -> SourceView:
    declared = tuple(column for column in view.declared if column.name != "credit_limit")
    return replace(view, declared=declared) if view.kind == "applicants" else view


def _features_of(view: SourceView, windows: Windows, topics: int) -> list[Feature]:
    made = [feature for family in FAMILIES[view.kind] for feature in family(view, windows)]
    return (text.features(view, windows, topics) if view.kind == "posts" else []) + made


def build_features(
    tables: Tables, features: Sequence[Feature], *, loadings: nw.LazyFrame[Any] | None = None
) -> nw.LazyFrame[Any]:
    """Return applicant_id and one float64 column per feature for every applicant, sorted by applicant_id.

    `tables` holds `applicants` and every source by its name, as the data stage writes them; `loadings` are
    those of `text.fit_topics`, on the same engine. Only aggregates that the features need are computed.
    Polars, pandas, cuDF and Dask give the same values. Raises ParamsError for topics without loadings.
    """
    applicants = tables["applicants"]
    sources = {feature.source: feature.kind for feature in features if feature.kind != "applicants"}
    own = {f.name: f.value.cast(nw.Float64) for f in features if f.kind == "applicants"}
    built = applicants.select("applicant_id", **own)
    for source, kind in sources.items():
        wanted = [feature for feature in features if feature.source == source and feature.kind == kind]
        rows = _aggregates(tables[source], kind, wanted, applicants, loadings)
        values = {feature.name: feature.value.cast(nw.Float64) for feature in wanted}
        built = built.join(rows.select("applicant_id", **values), on="applicant_id", how="left")
    filled = [nw.col(f.name).fill_null(f.absent) for f in features if f.absent is not None]
    built = built.with_columns(*filled) if filled else built
    return built.select("applicant_id", *(feature.name for feature in features)).sort("applicant_id")


def _aggregates(
    events: nw.LazyFrame[Any],
    kind: str,
    features: Sequence[Feature],
    applicants: nw.LazyFrame[Any],
    loadings: nw.LazyFrame[Any] | None,
) -> nw.LazyFrame[Any]:
    """Return what the features of one source read, one row per applicant of whom it holds something."""
    if kind == "bureau":
        return events
    if kind == "statements":
        return statements.totals(events, applicants)
    needed = [aggregate for feature in features for aggregate in feature.aggregates]
    rows = aggregate_events(events, MEASURES[kind], needed)
    if not any(feature.family == text.TOPICS for feature in features):
        return rows
    if loadings is None:
        raise ParamsError(
            "text topics are selected and there are no loadings", ["fit them with text.fit_topics"]
        )
    return rows.join(text.topic_sums(events, loadings), on="applicant_id", how="left")
