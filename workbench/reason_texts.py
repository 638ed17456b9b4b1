"""Reason texts: what an applicant is told of each factor, one file for each language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field, ValidationError

from workbench.errors import ParamsError, near_name
from workbench.fields import Date, Section
from workbench.params import ROOT
from workbench.yaml_reader import read_mapping

FOLDER = ROOT / "params" / "reasons"
OTHER = 24
"""The sample of Regulation B, Appendix C, that stands for a text of one's own."""
NUMBERS = ("value", "percent", "points", "money")
"""Slots for the applicant's own number: as it is, times 100 with a percent sign, times 100, as money."""
COUNTED = ("count", "whole")
NAMED = ("source", "window", "topic")
"""Slots that the feature's name fills: the source's word, the window's words, the topic's number."""
_HEADER = ("language", "name", "version", "effective_from", "author", "approver")
_MATCHED = {"{window}": r"(?P<window>\d+)", "{topic}": r"(?P<topic>\d+)"}

Text = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Text], Field(min_length=1)]
List = Literal["creditor", "bureau"]
Sample = Annotated[int, Field(ge=1, le=OTHER)]


class FeatureText(Section):
    """What is said of a feature, with the applicant's own number in the slots.

    `one` where the number is singular, `zero` where it is 0 (for yes or no: no), `negative` below 0, where
    numbers go without their sign, `missing` where there is none. `counted` and `counted_one` turn a share
    into {count} of {whole}, where the study has the feature `of` that it is a share of.
    """

    text: Text
    one: str = ""
    zero: str = ""
    negative: str = ""
    missing: str = ""
    counted: str = ""
    counted_one: str = ""
    of: str = ""

    @property
    def variants(self) -> dict[str, str]:
        """Return the texts that are there, by name."""
        names = (name for name in FeatureText.model_fields if name != "of")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


class FamilyText(Section):
    """What is said of a family: `text` names it in general, `features` with the applicant's own numbers.

    `sample` is the reason of Regulation B, Appendix C, that it is, 24 for a text of one's own; `list` says
    whether it is a key factor of a bureau as well.
    """

    text: Text
    sample: Sample
    list: List
    features: Annotated[dict[str, FeatureText], Field(min_length=1)]


class RuleText(FeatureText):
    """What is said of a knock-out rule of the study; `name` says it in general."""

    name: Text
    sample: Sample
    list: List


class Words(Section):
    """How the language writes numbers, windows of time and what is missing.

    `one` says which numbers are singular; `groups` are the digits of the last and of every other group.
    """

    decimal: Text
    group: Text
    groups: Annotated[list[int], Field(min_length=2, max_length=2)]
    percent: Text
    one: Literal["1", "0 and 1", "below 2"]
    day: Text
    days: Text
    months: Text
    missing: Text


class ReasonTexts(Section):
    """The texts of one language; a draft until `approver` names a person.

    `refused` are phrases that are no reason, `protected` words that would tell a protected trait, `sources`
    the words for the study's sources as the texts use them.
    """

    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    name: Text
    version: Text
    effective_from: Date
    author: Text
    approver: str
    words: Words
    refused: Names
    protected: Names
    sources: dict[str, Text]
    families: Annotated[dict[str, FamilyText], Field(min_length=1)]
    rules: dict[str, RuleText]

    @property
    def is_draft(self) -> bool:
        """Whether nobody has approved the texts."""
        return not self.approver.strip()


def load_texts(language: str, *, own: Path | None = None, folder: Path = FOLDER) -> ReasonTexts:
    """Read `<folder>/<language>.yaml`, with the study's own texts of `<own>/<language>.yaml` over it.

    The study's file has a header of its own and any of words, refused, protected, sources, families and
    rules; a feature, family or rule that it names replaces ours. Both must be approved for the whole to be.
    Raises ParamsError naming every fault of a file.
    """
    values = _read(language, folder)
    if own is not None:
        values = _merged(values, _read(language, own))
    try:
        return ReasonTexts.model_validate(values)
    except ValidationError as error:
        faults = [_fault(dict(detail)) for detail in error.errors(include_url=False)]
        raise ParamsError(f"reason texts {language}: {len(faults)} fault(s)", faults) from None


def texts_table(texts: Sequence[ReasonTexts]) -> pl.DataFrame:
    """Return language, name, version, effective_from, author, approver (or "not approved") and families."""
    rows = [
        {name: getattr(one, name) for name in _HEADER}
        | {"approver": one.approver.strip() or "not approved", "families": len(one.families)}
        for one in texts
    ]
    return pl.DataFrame(rows)


def _read(language: str, folder: Path) -> dict[str, Any]:
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if language not in known:
        right = f"languages in {folder.name}/: {', '.join(known) or 'none'}"
        raise ParamsError(f"reason texts {language}: no such language{near_name(language, known)}", [right])
    values = read_mapping(
        folder / f"{language}.yaml", right="reason texts are a mapping with language and families"
    )
    if values.get("language") != language:
        raise ParamsError(f"reason texts {language}: the file says language {values.get('language')}")
    return values


def _merged(ours: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return our values with the study's own over them; its header's fields stand beside ours."""
    if faults := [f"{name}: missing" for name in _HEADER if not isinstance(own.get(name), str)]:
        raise ParamsError(f"the study's own reason texts: {len(faults)} fault(s)", faults)
    values = {**ours, **{name: f"{ours[name]}; {own[name]}" for name in ("name", "version", "author")}}
    values["effective_from"] = max(ours["effective_from"], own["effective_from"])
    approvers = [str(ours["approver"]).strip(), own["approver"].strip()]
    values["approver"] = "; ".join(approvers) if all(approvers) else ""
    for name, part in own.items():
        if name not in _HEADER:
            values[name] = _joined(ours.get(name), part)
    return values


def _joined(ours: Any, own: Any) -> Any:
    if isinstance(ours, dict) and isinstance(own, dict):
        return {**ours, **own}
    return [*ours, *own] if isinstance(ours, list) and isinstance(own, list) else own


def _fault(detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = {name for model in (ReasonTexts, Words, FamilyText, RuleText) for name in model.model_fields}
        return f"{where}: unknown key{near_name(str(detail['loc'][-1]), sorted(known))}"
    if detail["type"] == "missing":
        return f"{where}: missing"
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}"


def matching_families(texts: ReasonTexts, code: str, source: str) -> list[FamilyText]:
    """Return the families whose name or template is the code of a source: right is exactly one."""
    if code in texts.families:
        return [texts.families[code]]
    shown = source.replace("_", " ")
    return [family for template, family in texts.families.items() if _matches(template, code, shown)]


def matching_texts(texts: ReasonTexts, family: FamilyText, name: str, source: str) -> list[FeatureText]:
    """Return the texts of a feature in its family, with its name's slots filled: right is exactly one."""
    found = {template: _matches(template, name, source) for template in family.features}
    if name in found:
        found = {name: found[name]}
    made = []
    for template, match in found.items():
        if match:
            entry, parts = family.features[template], match.groupdict()
            filled = {key: named(text, texts, source, parts) for key, text in entry.variants.items()}
            factor = named(family.text, texts, source)
            filled.setdefault("missing", texts.words.missing.replace("{factor}", factor))
            of = entry.of.replace("{source}", source).replace("{window}", parts.get("window") or "")
            made.append(entry.model_copy(update={**filled, "of": of}))
    return made


def named(text: str, texts: ReasonTexts, source: str, parts: Mapping[str, str] | None = None) -> str:
    """Return a text with the words for its source, window (in `parts`, in days) and topic."""
    parts = parts or {}
    window = _window(texts.words, int(parts["window"])) if "window" in parts else ""
    words = {"source": texts.sources.get(source, ""), "window": window, "topic": parts.get("topic", "")}
    for slot, word in words.items():
        text = text.replace("{" + slot + "}", word)
    return text


def _matches(template: str, name: str, source: str) -> re.Match[str] | None:
    pattern = re.escape(template).replace(re.escape("{source}"), re.escape(source))
    for slot, matched in _MATCHED.items():
        pattern = pattern.replace(re.escape(slot), matched)
    return re.fullmatch(pattern, name)


def _window(words: Words, days: int) -> str:
    if days % 365 == 0:
        return words.months.replace("{n}", str(days // 365 * 12))
    return words.day if days == 1 else words.days.replace("{n}", str(days))
