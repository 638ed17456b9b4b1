"""Checks of the reason texts against a study's features: every fault at once, before anything is computed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from workbench.errors import ParamsError
from workbench.reason_texts import (
    COUNTED,
    NAMED,
    NUMBERS,
    FamilyText,
    FeatureText,
    ReasonTexts,
    matching_families,
    matching_texts,
)

MARKUP = frozenset("<>&$*_`#[]\\|~^@")
"""Characters that HTML, Markdown or Typst might read; no text needs them."""
_SLOT = re.compile(r"\{([^{}]*)\}")


def check_texts(
    texts: Sequence[ReasonTexts],
    catalogue: pl.DataFrame,
    *,
    rules: Mapping[str, str] | None = None,
    protected: Sequence[str] = (),
) -> None:
    """Raise ParamsError naming every fault of the texts of all languages.

    A family or feature without a text or with two; a rule without one; a source without a word; a slot
    that nothing fills; markup; a phrase that is no reason; a protected trait; a bureau's list of what is not
    the bureau's; a text that only another language has. `catalogue` has feature, family, source,
    data_category and unit; `rules` the feature of each rule of the study; `protected` the study's own names.
    """
    faults = [
        f"{one.language}: {fault}"
        for one in texts
        for fault in dict.fromkeys(
            [*_content_faults(one, protected), *_catalogue_faults(one, catalogue, rules or {})]
        )
    ]
    every = {name for one in texts for name in _names(one)}
    for one in texts:
        faults += [
            f"{one.language}: {name}: only in another language" for name in sorted(every - _names(one))
        ]
    if faults:
        raise ParamsError(f"{len(faults)} fault(s) in the reason texts; nothing was computed", faults)


def _names(texts: ReasonTexts) -> set[str]:
    features = {f"{code}: {name}" for code, family in texts.families.items() for name in family.features}
    return features | set(texts.families) | set(texts.rules) | {f"source {name}" for name in texts.sources}


def _catalogue_faults(texts: ReasonTexts, catalogue: pl.DataFrame, rules: Mapping[str, str]) -> Iterator[str]:
    for row in catalogue.iter_rows(named=True):
        families = matching_families(texts, row["family"], row["source"])
        if len(families) != 1:
            yield f"family {row['family']}: {len(families) or 'no'} texts; 1 is right"
            continue
        family = families[0]
        found = matching_texts(texts, family, row["feature"], row["source"])
        if len(found) != 1:
            yield f"feature {row['feature']}: {len(found) or 'no'} texts; 1 is right"
        if row["source"] not in texts.sources and _speaks_of_source(family):
            yield f"source {row['source']}: no word for it"
        if (family.list == "bureau") != (row["data_category"] == "bureau"):
            yield f"family {row['family']}: list {family.list} for data of category {row['data_category']}"
    yield from (f"rule {code}: no text" for code in rules if code not in texts.rules)


def _speaks_of_source(family: FamilyText) -> bool:
    texts = [family.text, *(text for entry in family.features.values() for text in entry.variants.values())]
    return any("{source}" in text for text in texts)


def _content_faults(texts: ReasonTexts, protected: Sequence[str]) -> Iterator[str]:
    refused = {_plain(phrase): f"{phrase!r} is no reason" for phrase in texts.refused}
    traits = [*texts.protected, *(name.replace("_", " ") for name in protected)]
    refused |= {_plain(trait): f"{trait!r} would tell a protected trait" for trait in traits}
    for where, text, slots in _all_texts(texts):
        found = _SLOT.findall(text)
        rest = _SLOT.sub(" ", text)
        yield from (f"{where}: unknown slot {{{slot}}}" for slot in found if slot not in slots)
        if marks := sorted(set(rest) & (MARKUP | set("{}"))):
            yield f"{where}: markup {' '.join(marks)}; texts are plain"
        said = f" {_plain(rest)} "
        yield from (f"{where}: {what}" for phrase, what in refused.items() if f" {phrase} " in said)


def _all_texts(texts: ReasonTexts) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield where each text is, the text and the slots that it may have."""
    yield from ((f"source {name}", word, ()) for name, word in texts.sources.items())
    words = texts.words
    yield "words.percent", words.percent, ("n",)
    yield "words.missing", words.missing, ("factor",)
    yield from ((f"words.{name}", getattr(words, name), ("n",)) for name in ("day", "days", "months"))
    for code, family in texts.families.items():
        yield f"family {code}", family.text, ("source",)
        for name, entry in family.features.items():
            yield from _entry_texts(f"feature {name}", entry, _slots_of_name(name, code))
    for code, rule in texts.rules.items():
        yield f"rule {code}, name", rule.name, ()
        yield from _entry_texts(f"rule {code}", rule, ())


def _entry_texts(
    where: str, entry: FeatureText, named: tuple[str, ...]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for variant, text in entry.variants.items():
        numbers = () if variant == "missing" else NUMBERS
        counted = COUNTED if variant.startswith("counted") and entry.of else ()
        yield f"{where}, {variant}", text, (*named, *numbers, *counted)


def _slots_of_name(name: str, code: str) -> tuple[str, ...]:
    """Return the slots that a feature's name fills; a source has a word whatever its features' names."""
    return tuple(slot for slot in NAMED if f"{{{slot}}}" in name or (slot == "source" and slot in code))


def _plain(text: str) -> str:
    """Return the words of a text, small, with one blank between them; vowel signs are part of a word."""
    kept = (char if unicodedata.category(char)[0] in "LMN" else " " for char in text.casefold())
    return " ".join("".join(kept).split())
