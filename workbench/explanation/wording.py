"""Fills reason texts from applicants' own data: millions of them by a few expressions for each feature."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from workbench.errors import DataError
from workbench.explanation.text_checks import check_texts
from workbench.reason_texts import (
    OTHER,
    FeatureText,
    ReasonTexts,
    Words,
    load_texts,
    matching_families,
    matching_texts,
    named,
)

MINOR_UNITS = "minor units"
_SLOT = re.compile(r"\{([a-z]+)\}")
_BATCH = 1_000_000  # reasons filled at a time
_VALUE, _WHOLE = pl.col("value"), pl.col("whole")


@dataclass(frozen=True)
class Wording:
    """The texts of one language for one catalogue, in which only slots for numbers are left.

    `entries` by reason code and feature; `units` by feature; `codes` has reason_code, reason (the general
    text), sample (of Regulation B, Appendix C) and list, one row for each code.
    """

    language: str
    words: Words
    entries: Mapping[tuple[str, str], FeatureText]
    units: Mapping[str, str]
    codes: pl.DataFrame


def wording(
    texts: ReasonTexts, catalogue: pl.DataFrame, *, rules: Mapping[str, str] | None = None
) -> Wording:
    """Return the texts as a study needs them; `rules` has the feature of each rule.

    Raises ParamsError as `check_texts`.
    """
    check_texts([texts], catalogue, rules=rules)
    entries, codes = {}, {}
    for row in catalogue.iter_rows(named=True):
        code, name, source = row["family"], row["feature"], row["source"]
        family = matching_families(texts, code, source)[0]
        entries[code, name] = matching_texts(texts, family, name, source)[0]
        codes[code] = (code, named(family.text, texts, source), family.sample, family.list)
    for code, feature in (rules or {}).items():
        rule = texts.rules[code]
        missing = rule.missing or texts.words.missing.replace("{factor}", rule.name)
        entries[code, feature] = rule.model_copy(update={"missing": missing})
        codes[code] = (code, rule.name, rule.sample, rule.list)
    columns = {"reason_code": pl.String, "reason": pl.String, "sample": pl.Int64, "list": pl.String}
    table = pl.DataFrame(list(codes.values()), schema=columns, orient="row")
    units = dict(catalogue.select("feature", "unit").iter_rows())
    return Wording(texts.language, texts.words, entries, units, table)


def unworded(catalogue: pl.DataFrame, *, rules: Mapping[str, str] | None = None) -> Wording:
    """Return the wording of a study that names no language: reasons go by their codes."""
    pairs = [*catalogue.select("family", "feature").iter_rows(), *(rules or {}).items()]
    codes = sorted({code for code, _ in pairs})
    entries = {(code, feature): FeatureText(text=code) for code, feature in pairs}
    table = pl.DataFrame({"reason_code": codes, "reason": codes}, schema_overrides={"reason_code": pl.String})
    table = table.with_columns(sample=pl.lit(OTHER, pl.Int64), list=pl.lit("creditor"))
    return Wording("", load_texts("en").words, entries, {}, table)


def fill_texts(
    reasons: pl.DataFrame, features: pl.DataFrame, wording: Wording, *, currency: str = ""
) -> pl.DataFrame:
    """Return the reasons with `reason_text`: the text of each with the applicant's own numbers.

    `reasons` has applicant_id, reason_code and feature; `features` applicant_id and those features.
    `currency` is the word for amounts in minor units. Numbers from 100 on are whole, from 10 on have one
    decimal and below it two, without zeros at the end. Raises DataError for applicants without features and
    for reasons without a text.
    """
    batches = [_filled(part, features, wording, currency) for part in reasons.iter_slices(_BATCH)]
    empty = reasons.clear().with_columns(reason_text=pl.lit(None, pl.String))
    return pl.concat(batches) if batches else empty


def _filled(reasons: pl.DataFrame, features: pl.DataFrame, wording: Wording, currency: str) -> pl.DataFrame:
    known = features.select("applicant_id").with_row_index("at")
    rows = reasons.select("applicant_id", "reason_code", "feature").with_row_index("row")
    rows = rows.join(known, on="applicant_id", how="left", maintain_order="left")
    groups = rows.partition_by("reason_code", "feature", as_dict=True)
    unknown = [f"{code}: {name}" for code, name in groups if (code, name) not in wording.entries]
    absent = rows["at"].null_count()
    if unknown or absent:
        faults = [f"no text for {name}" for name in sorted(unknown)]
        faults += [f"{absent:,} reason(s) of applicants without features"] if absent else []
        raise DataError("reasons that cannot be told", faults)
    made = []
    for (code, name), group in groups.items():
        entry, at = wording.entries[code, name], group["at"]
        whole = features[entry.of].gather(at) if entry.of in features.columns else pl.lit(None)
        value = features[name].gather(at).cast(pl.Float64).fill_nan(None)
        numbers = pl.DataFrame({"value": value}).with_columns(whole=whole).cast(pl.Float64)
        texts = _sentences(entry, numbers, wording.words, wording.units.get(name, ""), currency)
        made.append(group.select("row").with_columns(reason_text=texts))
    ordered = pl.concat(made).sort("row") if made else pl.DataFrame(schema={"reason_text": pl.String})
    return reasons.with_columns(ordered["reason_text"])


def _sentences(
    entry: FeatureText, numbers: pl.DataFrame, words: Words, unit: str, currency: str
) -> pl.Series:
    """Return the text of each row: the first of the variants whose condition holds, with its slots filled."""
    texts = entry.variants
    taken = pl.coalesce(
        pl.when(holds).then(pl.lit(variant)) for variant, holds in _conditions(words) if variant in texts
    )
    rows = numbers.with_columns(variant=taken)
    used = rows["variant"].unique().sort().to_list()
    size = pl.when(pl.col("variant") == "negative").then(_VALUE.abs()).otherwise(_VALUE)
    rows = rows.with_columns(value=size, count=_count())
    slots = dict.fromkeys(slot for variant in used for slot in _SLOT.findall(texts[variant]))
    rows = rows.with_columns(_slot(slot, rows, words, unit, currency) for slot in slots)
    chosen = pl.coalesce(
        pl.when(pl.col("variant") == variant).then(_written(texts[variant])) for variant in used
    )
    return rows.select(chosen).to_series()


def _conditions(words: Words) -> Iterator[tuple[str, pl.Expr]]:
    shown = _rounded(_VALUE)
    counted = _VALUE.is_not_null() & (_WHOLE > 0)
    yield "missing", _VALUE.is_null()
    yield "counted_one", counted & _singular(_count(), words)
    yield "counted", counted
    yield "zero", _rounded(_VALUE * 100) == 0
    yield "negative", _VALUE < 0
    yield "one", _singular(shown, words)
    yield "text", pl.lit(True)


def _singular(number: pl.Expr, words: Words) -> pl.Expr:
    if words.one == "1":
        return number == 1
    if words.one == "0 and 1":
        return (number == 0) | (number == 1)
    return (number >= 0) & (number < 2)


def _count() -> pl.Expr:
    return (_VALUE * _WHOLE).round()


def _written(text: str) -> pl.Expr:
    pieces = _SLOT.split(text)  # literal, slot, literal, ..., literal
    parts = [pl.col(f"{{{piece}}}") if place % 2 else pl.lit(piece) for place, piece in enumerate(pieces)]
    return pl.concat_str(parts)


def _slot(slot: str, rows: pl.DataFrame, words: Words, unit: str, currency: str) -> pl.Series:
    """Return what stands in a slot of each row, as the column {slot}."""
    value = rows["value"]
    if slot == "money":
        minor = unit == MINOR_UNITS
        texts = _money(value / 100 if minor else value, words, currency if minor else unit)
    elif slot in ("percent", "points"):
        texts = written_numbers(value * 100, words)
        before, _, after = words.percent.partition("{n}")
        texts = before + texts + after if slot == "percent" else texts
    else:
        texts = written_numbers(rows[slot], words)
    return texts.alias(f"{{{slot}}}")


def _money(amounts: pl.Series, words: Words, currency: str) -> pl.Series:
    """Return amounts with their currency: whole from 100 on, below with two decimals unless whole."""
    scale = pl.when(_VALUE.abs().round(2) >= 100).then(1).otherwise(100)
    numbers = _digits(amounts, scale, words, trimmed=False)
    return numbers + f" {currency}" if currency else numbers


def written_numbers(values: pl.Series, words: Words) -> pl.Series:
    """Return numbers as the language writes them: -1,234 or 12.5 or 0.25; missing stays missing."""
    return _digits(values, _scale(_VALUE), words, trimmed=True)


def _scale(value: pl.Expr) -> pl.Expr:
    size = value.abs()
    return pl.when(size >= 100).then(1).when(size >= 10).then(10).otherwise(100)


def _rounded(value: pl.Expr) -> pl.Expr:
    return (value * _scale(value)).round() / _scale(value)


def _digits(values: pl.Series, scale: pl.Expr, words: Words, *, trimmed: bool) -> pl.Series:
    frame = pl.DataFrame({"value": values}).with_columns(scale=scale)
    frame = frame.with_columns(scaled=(_VALUE.abs() * pl.col("scale")).round().cast(pl.Int64))
    scaled, scale = pl.col("scaled"), pl.col("scale")
    frame = frame.with_columns(whole=scaled // scale, rest=scaled % scale)
    rest = pl.col("rest").cast(pl.String)
    places = pl.when(scale == 100).then(rest.str.zfill(2)).otherwise(rest)
    places = places.str.strip_chars_end("0") if trimmed else places
    fraction = pl.when(pl.col("rest") > 0).then(words.decimal + places).otherwise(pl.lit(""))
    sign = pl.when((_VALUE < 0) & (scaled > 0)).then(pl.lit("-")).otherwise(pl.lit(""))
    return frame.select(pl.concat_str(sign, _grouped(frame["whole"], words), fraction)).to_series()


def _grouped(numbers: pl.Series, words: Words) -> pl.Expr:
    """Return whole numbers with their digits in groups: 1,234,567 or 12,34,567."""
    whole, (size, others) = pl.col("whole"), words.groups
    power, largest, parts = 1, int(numbers.max() or 0), []  # type: ignore[arg-type]
    while power <= max(largest, 1):
        digits, above = (whole // power % 10**size).cast(pl.String), power * 10**size
        full = pl.when(whole >= above).then(words.group + digits.str.zfill(size))
        first = digits if power == 1 else pl.when(whole >= power).then(digits).otherwise(pl.lit(""))
        parts.append(full.otherwise(first))
        power, size = above, others
    return pl.concat_str(parts[::-1])
