"""Direct identifiers in the sources: found, then replaced by pseudonyms, masked, dropped or never read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from workbench.data.reading import reading
from workbench.data.standard import Opened
from workbench.errors import DataError
from workbench.privacy.identifiers import find_identifiers
from workbench.privacy.pseudonyms import pseudonymise_text
from workbench.sources import Source

SAMPLE_ROWS = 2_000


def protect(opened: Mapping[str, Opened], key: bytes | None) -> tuple[dict[str, Opened], pl.DataFrame]:
    """Replace or drop direct identifiers; returns the sources and what was found: source, column, identifier,
    ...

    Looked for by column names and in the values of the first 2,000 rows. A column that no study reads is
    simply not taken; the applicant's id becomes a pseudonym; a column that is read is replaced by keyed
    pseudonyms, or dropped where the study says so. Free text is masked later, row by row. Raises DataError
    when a pseudonym is needed and there is no key.
    """
    safe, rows = {}, []
    for name, item in opened.items():
        with reading(name):
            found = find_identifiers(item.raw.head(SAMPLE_ROWS).collect())
        own = {item.source.columns.get(c, c): c for c in item.standard.columns}
        known = {item.source.columns.get(c, c): "declared" for c in item.source.identifiers}
        hits = {row["column"]: row for row in found.iter_rows(named=True)}
        actions = {c: _action(own.get(c, ""), item.source) for c in {*hits, *known}}
        rows += [
            {
                "source": name,
                "column": column,
                "identifier": hits.get(column, {}).get("identifier", "declared"),
                "found_by": hits.get(column, {}).get("found_by", "params"),
                "action": action,
            }
            for column, action in sorted(actions.items())
        ]
        safe[name] = _replaced(item, {own[c]: a for c, a in actions.items() if c in own}, key)
    needing = [f"{r['source']}.{r['column']}: {r['identifier']}" for r in rows if r["action"] == "pseudonym"]
    if needing and key is None:
        right = "name the environment variable that holds a key: pseudonym_key: WORKBENCH_KEY"
        raise DataError("direct identifiers and no pseudonym key", [*needing, right])
    schema = dict.fromkeys(("source", "column", "identifier", "found_by", "action"), pl.String)
    return safe, pl.DataFrame(rows, schema=schema)


def _action(standard: str, source: Source) -> str:
    if not standard:
        return "never read"
    if standard == "applicant_id":
        return "pseudonym"
    if standard in source.identifiers:
        return source.identifiers[standard]
    if source.all_types[standard] == "text":
        return "masked"
    return "pseudonym" if source.all_types[standard] in ("category", "id") else "never read"


def _replaced(item: Opened, actions: Mapping[str, str], key: bytes | None) -> Opened:
    standard = item.standard
    dropped = [c for c, action in actions.items() if action in ("drop", "never read")]
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
