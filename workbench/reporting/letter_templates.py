"""Templates of notices: a file for each jurisdiction and language, checked before a letter is made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from workbench.errors import ParamsError, near_name
from workbench.fields import Date, Section
from workbench.params import ROOT
from workbench.reporting.plain import plain_text
from workbench.yaml_reader import read_mapping

FOLDER = ROOT / "reports" / "notices"
STATEMENTS = (
    "lender_name", "lender_address", "lender_contact", "supervisor_name", "supervisor_address",
    "bureau_name", "bureau_address", "bureau_contact", "review_contact", "privacy_contact",
    "authority_name", "authority_contact", "debt_advice", "counter_offer",
)  # fmt: skip
"""What only a person can say; one that is missing or blank prints as the template's `missing`."""
TEXTS = (
    "applicant", "decision_date", "score", "score_lowest", "score_highest", "score_date",
)  # fmt: skip
LISTS = ("reasons", "key_factors", "data_used", "counterfactual")
CONDITIONS = (
    "declined", "counter_offered", "scored", "ruled", "automated", "assisted",
    "bureau", "bureau_score", "outside_source", "counterfactual", "no_counterfactual",
)  # fmt: skip
NEEDED = frozenset({"lender_name", "applicant", "decision_date", "reasons"})
_ORDERED = ("reasons", "key_factors")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

Kind = Literal["heading", "text", "lines", "numbers", "bullets"]
Text = Annotated[str, Field(min_length=1)]


class Lines(Section):
    """A paragraph whose lines stay lines, such as an address."""

    lines: Annotated[list[Text], Field(min_length=1)]


class Listed(Section):
    """A list of the letter, by name."""

    list: str


class Part(Section):
    """A heading and what follows it, printed where every condition in `when` holds."""

    when: list[str] = Field(default=[])
    heading: str = ""
    blocks: Annotated[list[Text | Lines | Listed], Field(min_length=1)]


class Words(Section):
    """What the letter says beside its text; `date` is a format of day, month (its name) and year."""

    title: Text
    draft: Text
    missing: Text
    date: Text
    months: Annotated[list[Text], Field(min_length=12, max_length=12)]


class Template(Section):
    """The notice of one jurisdiction in one language; a letter is a draft until `approver` names a person."""

    notice: Text
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    paper: Literal["a4", "us-letter"]
    version: Text
    effective_from: Date
    author: Text
    approver: str
    words: Words
    parts: Annotated[list[Part], Field(min_length=1)]


@dataclass(frozen=True)
class Block:
    """A piece of a letter with its texts; none of them is markup."""

    kind: Kind
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """A letter's words in order, ready to be written in any format."""

    title: str
    language: str
    region: str
    paper: str
    draft: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Content:
    """What a letter puts in a template's places: texts, lists, and the conditions that hold."""

    texts: Mapping[str, str]
    lists: Mapping[str, Sequence[str]]
    holds: frozenset[str]


def load_template(notice: str, language: str, folder: Path = FOLDER) -> Template:
    """Read the template `<notice>.<language>.yaml` and check it.

    Raises ParamsError naming every fault: no such template, an unknown key, placeholder, list or condition,
    or a place that every notice needs (lender_name, applicant, decision_date, reasons) that is not there.
    """
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    name = f"{notice}.{language}"
    if name not in known:
        right = f"templates in {folder.name}/: {', '.join(known) or 'none'}"
        raise ParamsError(f"notice {name}: no such template{near_name(name, known)}", [right])
    path = folder / f"{name}.yaml"
    values = read_mapping(path, right="a template is a mapping with notice, language, words and parts")
    try:
        template = Template.model_validate(values)
    except ValidationError as error:
        faults = [_fault(dict(detail)) for detail in error.errors(include_url=False)]
        raise ParamsError(f"{path}: {len(faults)} fault(s) in the template", faults) from None
    if faults := [*_name_faults(template, name), *_place_faults(template)]:
        raise ParamsError(f"{path}: {len(faults)} fault(s) in the template", faults)
    return template


def check_statements(statements: Mapping[str, str]) -> None:
    """Raise ParamsError naming every statement that no template knows."""
    unknown = [name for name in statements if name not in STATEMENTS]
    if unknown:
        faults = [f"{name}: no such statement{near_name(name, STATEMENTS)}" for name in unknown]
        raise ParamsError(f"{len(unknown)} unknown statement(s); known are {', '.join(STATEMENTS)}", faults)


def fill(template: Template, statements: Mapping[str, str], content: Content) -> Page:
    """Return the letter's words; text from data or params goes in as it is and is never read again."""
    texts = {name: plain_text(text) for name, text in {**statements, **content.texts}.items()}
    blocks = [
        block
        for part in template.parts
        if set(part.when) <= content.holds
        for block in _blocks(part, texts, content.lists, template.words.missing)
    ]
    words, draft = template.words, "" if template.approver.strip() else template.words.draft
    return Page(words.title, template.language, template.region, template.paper, draft, tuple(blocks))


def written_date(template: Template, day: date) -> str:
    """Return a date in the template's own words."""
    words = template.words
    shown = {"day": str(day.day), "month": words.months[day.month - 1], "year": str(day.year)}
    return _PLACEHOLDER.sub(lambda found: shown[found[1]], words.date)


def _blocks(
    part: Part, texts: Mapping[str, str], lists: Mapping[str, Sequence[str]], missing: str
) -> Iterator[Block]:
    def filled(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: texts.get(found[1]) or missing, text)

    if part.heading:
        yield Block("heading", (_one_line(filled(part.heading)),))
    for block in part.blocks:
        if isinstance(block, Listed):
            items = tuple(_one_line(plain_text(item)) for item in lists[block.list])
            yield Block("numbers" if block.list in _ORDERED else "bullets", items or (missing,))
        elif isinstance(block, Lines):
            yield Block("lines", tuple(line for text in block.lines for line in filled(text).split("\n")))
        else:
            yield Block("text", (_one_line(filled(block)),))


def _one_line(text: str) -> str:
    return text.replace("\n", ", ")


def _name_faults(template: Template, name: str) -> Iterator[str]:
    if f"{template.notice}.{template.language}" != name:
        received = f"{template.notice}.{template.language}"
        yield f"notice and language: received {received}; the file's name is {name}"
    if sorted(_PLACEHOLDER.findall(template.words.date)) != ["day", "month", "year"]:
        yield "words.date: {day}, {month} and {year} once each is right"


def _place_faults(template: Template) -> Iterator[str]:
    """Yield the names that no letter fills, each with what it is, and the needed ones that are not there."""
    places = [*_places(template)]
    for kind, known in (("placeholder", STATEMENTS + TEXTS), ("list", LISTS), ("condition", CONDITIONS)):
        found = dict.fromkeys(name for which, name in places if which == kind)
        yield from (f"unknown {kind} {name!r}{near_name(name, known)}" for name in found if name not in known)
    always = {name for which, name in _places(template, only_always=True) if which != "condition"}
    yield from (f"{name} is not in a part without conditions" for name in sorted(NEEDED - always))


def _places(template: Template, *, only_always: bool = False) -> Iterator[tuple[str, str]]:
    for part in template.parts:
        if only_always and part.when:
            continue
        yield from (("condition", name) for name in part.when)
        texts = [part.heading]
        for block in part.blocks:
            if isinstance(block, Listed):
                yield "list", block.list
            else:
                texts += block.lines if isinstance(block, Lines) else [block]
        yield from (("placeholder", name) for text in texts for name in _PLACEHOLDER.findall(text))


def _fault(detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = [*Template.model_fields, *Words.model_fields, *Part.model_fields]
        return f"{where}: unknown key{near_name(str(detail['loc'][-1]), known)}"
    if detail["type"] == "missing":
        return f"{where}: missing"
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}"
