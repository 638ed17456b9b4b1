"""Direct identifiers in the sources: found, then replaced by pseudonyms, masked, dropped or never read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import polars as pl

from workbench.data.reading import reading
from workbench.data.standard import Opened
from workbench.errors import DataError
from workbench.kinds import KINDS
from workbench.privacy.identifiers import find_identifiers
from workbench.privacy.pseudonyms import pseudonymise_text
from workbench.sources import Source

SAMPLE_ROWS = 2_000
DISTINCT_VALUES = 100_000  # of a column that is read; of more, a sample by hash
_NUMBERS = ("money", "integer", "number")
_WORDS = ("category", "text", "id")
_DECLARED = {"pseudonym": "pseudonym", "drop": "drop", "keep": "kept"}
_LOST = ("drop", "never read")


def protect(
    opened: Mapping[str, Opened], key: bytes | None, *, protected: Collection[str] = ()
) -> tuple[dict[str, Opened], pl.DataFrame]:
    """Replace or drop direct identifiers; returns the sources and what was found: source, column, identifier,
    found_by, action.

    Words that the study reads are looked at in all their distinct values (of more than 100,000, in a sample
    drawn by hash), all other columns in the first 2,000 rows; and all by name. Flags and times hold no
    identifier, and the name of a number that is needed tells nothing. A column that no study reads is not
    taken; the applicant's id becomes a pseudonym; a column that is read is replaced by keyed pseudonyms, or
    treated as the study declares. Free text is masked later, row by row. Raises DataError when a column that
    is needed as it is (consent, one of `protected`, feature, standard column) would be lost, and when a
    pseudonym is needed and there is no key.
    """
    needs = {name: _needed(item.source, opened, protected) for name, item in opened.items()}
    safe, rows, faults = {}, [], []
    for name, item in opened.items():
        with reading(name):
            found = sorted(set(_found(item, needs[name], key)))
        rows += [(name, own, *rest) for own, _, *rest in found]
        actions = {column: action for _, column, _, _, action in found if column}
        faults += [
            f"{name}.{column}: {kind} ({how}), needed as it is; take it out of the study, or, where a person "
            f"has looked and it is none, say identifiers: {{{column}: keep}}"
            for _, column, kind, how, action in found
            if column in needs[name] and _is_lost(item.source, column, action)
        ]
        safe[name] = _replaced(item, actions, key)
    if faults:
        raise DataError("direct identifiers in columns that are needed", faults)
    schema = dict.fromkeys(("source", "column", "identifier", "found_by", "action"), pl.String)
    table = pl.DataFrame(rows, schema=schema, orient="row")
    needing = table.filter(pl.col("action") == "pseudonym")
    if needing.height and key is None:
        named = [f"{row['source']}.{row['column']}: {row['identifier']}" for row in needing.to_dicts()]
        right = "name the environment variable that holds a key: pseudonym_key: WORKBENCH_KEY"
        other = "where a person has looked and it is none: identifiers: {column: keep}"
        raise DataError("direct identifiers and no pseudonym key", [*named, right, other])
    return safe, table


def _needed(source: Source, opened: Mapping[str, Opened], protected: Collection[str]) -> set[str]:
    """Return the columns of a source that later stages read by name and cannot do without."""
    kind = KINDS[source.kind]
    consents = {item.source.consent for item in opened.values()}
    consents |= {feature.consent for feature in source.features.values()}
    asked = {*consents, *protected} & set(source.types) if source.kind == "applicants" else set()
    return {*kind.columns} - kind.optional - {"applicant_id"} | {*source.features} | asked


def _found(item: Opened, needed: set[str], key: bytes | None) -> Iterator[tuple[str, str, str, str, str]]:
    """Give own column, standard column (empty: not read), identifier, found_by and action."""
    source = item.source
    seen = set()
    for own, column, values in _looked_at(item):
        is_number = source.all_types.get(column) in _NUMBERS
        nameless = [own] if is_number and column in needed else []
        for row in find_identifiers(values.alias(own).to_frame(), nameless=nameless).iter_rows(named=True):
            seen.add(column)
            yield own, column, row["identifier"], row["found_by"], _action(column, source)
    for column in set(source.identifiers) & set(item.standard.columns) - seen:
        yield _own(source, column), column, "declared", "params", _action(column, source)
    if source.kind == "applicants":
        action = "kept" if key is None else "pseudonym"
        yield _own(source, "applicant_id"), "applicant_id", "applicant id", "kind", action


def _looked_at(item: Opened) -> Iterator[tuple[str, str, pl.Series]]:
    """Give own column, standard column and values of every column that can hold an identifier."""
    source, standard = item.source, item.standard
    head = item.raw.head(SAMPLE_ROWS).collect()
    for own in standard.unread:
        yield own, "", head[own]
    wide = source.wide.columns if source.wide else {}
    words = []
    for column in standard.columns:
        asked = source.all_types[column]
        if asked in _WORDS and column != "applicant_id":
            words.append(column)
        elif asked in _NUMBERS or column == "applicant_id":
            for own in wide.get(column, [_own(source, column)]):
                text = head[own].dtype == pl.String and asked in _NUMBERS
                yield own, column, head[own].cast(pl.Int64, strict=False) if text else head[own]
    for column, values in _distinct(standard.table, words).items():
        yield _own(source, column), column, values


def _distinct(table: pl.LazyFrame, columns: list[str]) -> dict[str, pl.Series]:
    """Return the distinct values of columns, or of those with too many a sample by hash."""
    if not columns:
        return {}
    counts = table.select(pl.col(columns).approx_n_unique()).collect(engine="streaming").row(0)
    lazy = [
        table.select(c).filter(pl.col(c).hash(0) % max(1, -(-count // DISTINCT_VALUES)) == 0).unique()
        for c, count in zip(columns, counts, strict=True)
    ]
    frames = pl.collect_all(lazy, engine="streaming")
    return {c: frame.to_series() for c, frame in zip(columns, frames, strict=True)}


def _own(source: Source, column: str) -> str:
    return source.columns.get(column, column)


def _action(column: str, source: Source) -> str:
    if not column:
        return "never read"
    if column == "applicant_id":
        return "pseudonym"
    asked, declared = source.all_types[column], source.identifiers.get(column, "")
    if asked == "text" and declared in ("", "keep"):
        return "masked"
    if declared:
        return _DECLARED[declared]
    return "pseudonym" if asked in _WORDS else "never read"


def _is_lost(source: Source, column: str, action: str) -> bool:
    """Return whether a column is gone, or its words are, without the study having asked for pseudonyms."""
    return action in _LOST or (action == "pseudonym" and column not in source.identifiers)


def _replaced(item: Opened, actions: Mapping[str, str], key: bytes | None) -> Opened:
    standard = item.standard
    dropped = [c for c, action in actions.items() if action in _LOST]
    made = [c for c, action in actions.items() if action == "pseudonym" and c != "applicant_id"]
    table = standard.table.drop(dropped)
    if key is not None:
        secret = key
        table = table.with_columns(
            pl.col(c).map_batches(
                lambda values: pseudonymise_text(values, secret), return_dtype=pl.String, is_elementwise=True
            )
            for c in made
        )
    columns = tuple(c for c in standard.columns if c not in dropped)
    return replace(item, standard=replace(standard, table=table, columns=columns))
