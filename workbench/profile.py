"""What the columns of an unknown table hold: types, ranges, labels that many share, direct identifiers."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from workbench.data.standard import standardise
from workbench.errors import DataError
from workbench.kinds import ColumnType
from workbench.privacy.identifiers import find_identifiers
from workbench.sources import Source

MOST_LABELS = 20
LEAST_SHARED = 10  # a label that fewer rows share may tell a person and is never written
_SAMPLE_ROWS = 2_000
_MOSTLY = 0.95
_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d")
TIME_FORMATS = ("", *(f"{day}{hour}" for hour in ("", " %H:%M", " %H:%M:%S") for day in _DAYS))
_MONEY = """amount income salary wage wages earnings balance limit price value payment instalment
    installment debt loan fee rent revenue turnover expense expenses spending cost savings deposit
    principal usd eur gbp inr kes"""
_NO_MONEY = """count ratio share days months years number num no rate pct percent score age flag term
    tenure tenor purpose type status grade class per to has is with default"""


@dataclass(frozen=True)
class Column:
    """One column of a table: counts of rows, never values, except labels that are few.

    `own` is its name in the table, `filled` the rows with a value, `strays` those that the type cannot read,
    `yes` and `no` those that a flag can; `labels` counts each value where there are at most 20; `identifier`
    says which direct identifier was found, and how.
    """

    own: str
    type: ColumnType | None
    rows: int
    filled: int
    distinct: int
    strays: int
    yes: int
    no: int
    low: float | None
    high: float | None
    labels: dict[str, int]
    identifier: str

    @property
    def complete(self) -> bool:
        """Whether no row lacks a value."""
        return self.filled == self.rows

    @property
    def shared(self) -> list[str]:
        """The labels that at least ten rows share, in order."""
        return sorted(label for label, count in self.labels.items() if count >= LEAST_SHARED)

    @property
    def varies(self) -> bool:
        """Whether at least 20 rows differ from the commonest value: no sample of half is constant."""
        return not self.labels or self.rows - max(*self.labels.values(), self.rows - self.filled) >= 20


def words(name: str) -> list[str]:
    """Return the words of a column's name: `CustomerNo_2` has customer, no and 2."""
    split = unicodedata.normalize("NFKD", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)).casefold()
    return re.findall(r"[a-z0-9]+", re.sub(r"[\u0300-\u036f]", "", split))


def outward(value: float, *, up: bool) -> float:
    """Round to the next 1, 2 or 5 times a power of ten, up or down, so that a bound is no one's value."""
    if not value:
        return 0
    power = math.floor(math.log10(abs(value)))
    steps = [float(f"{digit}e{power}") for digit in (1, 2, 5, 10)]
    away = [step for step in steps if (step >= abs(value) if (value > 0) == up else step <= abs(value))]
    bound = math.copysign(min(away) if (value > 0) == up else max(away), value)
    return int(bound) if bound == int(bound) else bound


def profile(raw: pl.LazyFrame) -> tuple[list[Column], str]:
    """Return every column of a table, and the time format that reads most of its times (empty: ISO).

    A type is what the data stage itself can convert at least 95 in 100 values to (all of them where a column
    has at most 20 different ones); a column that can be no type has none. Raises DataError when all are such.
    """
    head = raw.head(_SAMPLE_ROWS).collect()
    dated = head.select(c for c, found in head.schema.items() if found == pl.String and _is_dated(head[c]))
    chosen = max(TIME_FORMATS, key=lambda form: _times(dated, form)) if dated.width else ""
    columns = _measure(raw, chosen)
    step = max(column.rows for column in columns) // _SAMPLE_ROWS + 1
    found = pl.concat([find_identifiers(part) for part in (head, raw.gather_every(step).collect())])
    hits = {row["column"]: f"{row['identifier']}, {row['found_by']}" for row in found.iter_rows(named=True)}
    return [Column(**{**vars(c), "identifier": hits.get(c.own, "")}) for c in columns], chosen


def _measure(raw: pl.LazyFrame, time_format: str) -> list[Column]:
    schema = raw.collect_schema()
    if not any(_probes(found) for found in schema.values()):
        right = "columns of text, numbers, flags or times"
        raise DataError("the table has no column that can be read", [right])
    asked = {f"c{i}": (own, _probes(schema[own])) for i, own in enumerate(schema)}
    types = {f"{c}_{t}": t for c, (_, probes) in asked.items() for t in probes}
    own_names = {f"{c}_{t}": own for c, (own, probes) in asked.items() for t in probes}
    source = Source(
        kind="bureau",
        path="table",
        data_category="bureau",
        time_format=time_format,
        columns={"applicant_id": "_row", **own_names},
        types=types,
    )
    table = standardise("table", source, raw.with_row_index("_row")).table
    measures = [pl.len().alias("rows")]
    for name, (_, probes) in asked.items():
        measures += [pl.col(f"{name}_{t}").count().alias(f"{name}_{t}") for t in probes]
        if probes:
            text = pl.col(f"{name}_category")
            known = text.filter(~text.str.strip_chars().is_in(["", "NaN"]))
            measures += [known.len().alias(f"{name}_filled"), known.n_unique().alias(f"{name}_distinct")]
        if "flag" in probes:
            measures.append(pl.col(f"{name}_flag").sum().alias(f"{name}_yes"))
        if "number" in probes:
            number = pl.col(f"{name}_number")
            measures += [number.min().alias(f"{name}_low"), number.max().alias(f"{name}_high")]
    counts = table.select(measures).collect(engine="streaming").row(0, named=True)
    few = [c for c in asked if 0 < counts.get(f"{c}_distinct", 0) <= MOST_LABELS]
    grouped = [table.group_by(label=f"{c}_category").len() for c in few]
    labels = dict(zip(few, pl.collect_all(grouped), strict=True))
    return [_column(own, c, counts, labels.get(c), probes) for c, (own, probes) in asked.items()]


def _probes(found: pl.DataType) -> Sequence[ColumnType]:
    """Return the types that a column of the table may be read as."""
    if found == pl.String:
        return ("flag", "integer", "number", "time", "category")
    if found.is_numeric():
        return ("flag", "integer", "number", "category")
    if isinstance(found, pl.Date | pl.Datetime):
        return ("time", "category")
    return ("flag", "category") if found in (pl.Boolean, pl.Categorical, pl.Enum) else ()


def _column(
    own: str, name: str, counts: dict[str, int], labels: pl.DataFrame | None, probes: Sequence[ColumnType]
) -> Column:
    def count(what: str) -> int:
        return counts.get(f"{name}_{what}") or 0

    filled, distinct, yes = count("filled"), count("distinct"), count("yes")
    least = filled if distinct <= MOST_LABELS else _MOSTLY * filled
    no = count("flag") - yes
    kind: ColumnType | None = None
    if filled and probes:
        kind = "category" if distinct <= MOST_LABELS else "text"
        kind = next((t for t in ("integer", "number", "time") if t in probes and count(t) >= least), kind)
        kind = "number" if kind == "integer" and count("number") > count("integer") else kind
        kind = "money" if kind in ("integer", "number") and _is_money(own) else kind
        kind = "flag" if yes and no and yes + no == filled else kind
    readable = count({"money": "number", "text": "filled"}.get(kind or "", kind or "filled"))
    pairs = labels.iter_rows() if labels is not None else ()
    return Column(
        own=own,
        type=kind,
        rows=counts["rows"],
        filled=filled,
        distinct=distinct,
        strays=0 if kind == "category" else filled - readable,
        yes=yes,
        no=no,
        low=counts.get(f"{name}_low"),
        high=counts.get(f"{name}_high"),
        labels={label: n for label, n in pairs if label and label.strip() not in ("", "NaN")},
        identifier="",
    )


def _is_money(own: str) -> bool:
    named = set(words(own))
    return bool(named & set(_MONEY.split())) and not named & set(_NO_MONEY.split())


def _is_dated(texts: pl.Series) -> bool:
    like = texts.drop_nulls().str.contains(r"^\s*\d{1,4}[./-]\d{1,2}[./-]\d").mean()
    return isinstance(like, float) and like >= _MOSTLY / 2


def _times(dated: pl.DataFrame, time_format: str) -> int:
    return sum(column.type == "time" for column in _measure(dated.lazy(), time_format))
