"""Notices to applicants who were declined or made a counter-offer: checked, filled and written in batches."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal, get_args

from workbench.errors import DataError, ParamsError, RunError
from workbench.reporting.letter_formats import Format, html_letter, markdown_letter, pdf_writer
from workbench.reporting.letter_templates import (
    Content,
    Page,
    Template,
    check_statements,
    fill,
    written_date,
)
from workbench.reporting.plain import plain_text
from workbench.store import digest, read_json, write_json, write_whole

Decision = Literal["declined", "counter_offered"]
Basis = Literal["score", "rule"]
BATCH = "batch.json"
MOST_KEY_FACTORS = 5  # FCRA 609(f)(1)(C), (9): four, and inquiries as a fifth
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Bureau:
    """A bureau's report that the decision rests on; `score` and what follows only where one was used."""

    score: float | None = None
    lowest: float | None = None
    highest: float | None = None
    scored_on: date | None = None
    key_factors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Letter:
    """What one notice says. `reasons` are the creditor's own, the weightiest first; the bureau's stay apart.

    `applicant` is a pseudonym and names the file. `basis` rule: a fixed rule decided, whatever the score.
    `automated`: no person took part. `outside_source`: data of third parties that are no bureau counted.
    `counterfactual`: the changes that would have led to approval; () where there are none, None where
    nobody looked.
    """

    applicant: str
    decision: Decision
    decided_on: date
    reasons: tuple[str, ...]
    basis: Basis = "score"
    automated: bool = True
    data_used: tuple[str, ...] = ()
    counterfactual: tuple[str, ...] | None = None
    bureau: Bureau | None = None
    outside_source: bool = False


def letter_page(letter: Letter, template: Template, statements: Mapping[str, str]) -> Page:
    """Return the words of one letter; raises DataError or ParamsError as `write_letters`."""
    _check([letter])
    check_statements(statements)
    return _page(letter, template, statements)


def sample_letters(
    samples: Sequence[tuple[Letter, int]],
    template: Template,
    statements: Mapping[str, str],
    *,
    suppress_below: int,
) -> str:
    """Return sample letters as Markdown for a report, none of which is one person's letter.

    Each sample comes with how many declined applicants have its reasons; those shared by fewer than
    `suppress_below` are left out. The caller fills the texts with typical values of these applicants
    (rounded medians), never with one person's. Applicants are called sample 1, 2 and so on.
    """
    check_statements(statements)
    shown = [(letter, count) for letter, count in samples if count >= suppress_below]
    if not shown:
        return "No list of reasons is shared by enough applicants: no sample is shown.\n"
    _check([letter for letter, _ in shown])
    texts = []
    for number, (letter, count) in enumerate(shown, 1):
        named = replace(letter, applicant=f"sample-{number}")
        page = _page(named, template, statements)
        intro = (
            f"Sample {number}: the reasons of {count:,} applicants, with typical values, not one person's."
        )
        texts.append(f"{intro}\n\n{markdown_letter(page)}")
    return "\n".join(texts)


def write_letters(
    letters: Sequence[Letter],
    template: Template,
    statements: Mapping[str, str],
    folder: Path,
    *,
    formats: Collection[Format] = ("html", "pdf"),
    fonts: Sequence[Path] = (),
    advance: Callable[[int], object] = int,
) -> list[Path]:
    """Write one file for each letter and format, `<applicant>.html` and `<applicant>.pdf`; return the paths.

    Every file is whole or not there. A batch that was interrupted goes on when it is started again: what is
    there is kept. A folder with letters of another batch is refused, so that no two batches ever mix.
    `statements` are what only people can say (`STATEMENTS`); a missing one prints as not provided.
    `advance` is called with 1 after each letter.

    Raises:
        DataError: letters without a reason, repeated or unusable pseudonyms, and what else `Letter` forbids.
        ParamsError: an unknown statement. RenderError: a PDF for which the fonts lack characters.
        RunError: a folder that holds something else, or a disk that refuses.
    """
    _check(letters)
    check_statements(statements)
    writers = _writers(formats, fonts)
    _begin(folder, _fingerprint(letters, template, statements))
    paths = []
    for letter in letters:
        page = _page(letter, template, statements)
        for name, write in writers.items():
            path = folder / f"{letter.applicant}.{name}"
            if not path.exists():
                made = write(page, letter.decided_on)
                write_whole(path, lambda temporary, made=made: temporary.write_bytes(made))  # type: ignore[misc]
            paths.append(path)
        advance(1)
    return paths


def _writers(formats: Collection[Format], fonts: Sequence[Path]) -> dict[str, Callable[[Page, date], bytes]]:
    unknown = sorted(set(formats) - set(get_args(Format)))
    if unknown or not formats:
        raise ParamsError(f"formats: received {', '.join(unknown) or 'none'}", ["formats: html, pdf"])
    writers: dict[str, Callable[[Page, date], bytes]] = {}
    if "pdf" in formats:  # first: a letter that it refuses is not written at all
        writers["pdf"] = pdf_writer(fonts)
    if "html" in formats:
        writers["html"] = lambda page, _: html_letter(page).encode()
    return writers


def _page(letter: Letter, template: Template, statements: Mapping[str, str]) -> Page:
    bureau = letter.bureau or Bureau()
    texts = {
        "applicant": letter.applicant,
        "decision_date": written_date(template, letter.decided_on),
        "score": _number(bureau.score),
        "score_lowest": _number(bureau.lowest),
        "score_highest": _number(bureau.highest),
        "score_date": written_date(template, bureau.scored_on) if bureau.scored_on else "",
    }
    lists = {
        "reasons": letter.reasons,
        "key_factors": bureau.key_factors,
        "data_used": letter.data_used,
        "counterfactual": letter.counterfactual or (),
    }
    return fill(template, statements, Content(texts, lists, frozenset(_conditions(letter))))


def _conditions(letter: Letter) -> Iterator[str]:
    yield letter.decision
    yield "ruled" if letter.basis == "rule" else "scored"
    yield "automated" if letter.automated else "assisted"
    if letter.bureau is not None:
        yield "bureau"
        if letter.bureau.score is not None:
            yield "bureau_score"
    if letter.outside_source:
        yield "outside_source"
    if letter.counterfactual is not None:
        yield "counterfactual" if letter.counterfactual else "no_counterfactual"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _check(letters: Sequence[Letter]) -> None:
    """Raise DataError with every kind of fault and how many letters have it; none is quoted."""
    found: dict[str, int] = {}
    for letter in letters:
        for fault in _faults(letter):
            found[fault] = found.get(fault, 0) + 1
    if repeated := len(letters) - len({letter.applicant.casefold() for letter in letters}):
        found["the pseudonym of another letter"] = repeated
    if not letters:
        found["there is none"] = 0
    if found:
        faults = [f"{fault}: {count:,} letter(s)" for fault, count in found.items()]
        raise DataError(f"the letters cannot be written: {len(found)} kind(s) of fault", faults)


def _faults(letter: Letter) -> Iterator[str]:
    if not _NAME.fullmatch(letter.applicant):
        yield "a pseudonym that is no file name (letters, digits, - and _, at most 64)"
    if letter.decision not in get_args(Decision) or letter.basis not in get_args(Basis):
        yield f"a decision that needs no notice ({', '.join(get_args(Decision))} do) or an unknown basis"
    if not letter.reasons:
        yield "no reason"
    texts = (*letter.reasons, *letter.data_used, *(letter.counterfactual or ()))
    if not all(plain_text(text) for text in texts):
        yield "a blank text among reasons, data or changes"
    if letter.bureau:
        yield from _bureau_faults(letter.bureau)


def _bureau_faults(bureau: Bureau) -> Iterator[str]:
    told = (bureau.score, bureau.lowest, bureau.highest, bureau.scored_on)
    if None in told:
        if any(value is not None for value in told) or bureau.key_factors:
            yield "a bureau score without its range, date or value"
        return
    if not 1 <= len(bureau.key_factors) <= MOST_KEY_FACTORS or not all(map(plain_text, bureau.key_factors)):
        yield f"a bureau score without 1 to {MOST_KEY_FACTORS} key factors"
    score, lowest, highest = (float(value) for value in told[:3] if value is not None)
    if not lowest <= score <= highest:
        yield "a bureau score outside its range"


def _fingerprint(letters: Sequence[Letter], template: Template, statements: Mapping[str, str]) -> str:
    hashed = hashlib.sha256(digest(template.model_dump(), statements).encode())
    for letter in letters:
        hashed.update(repr(letter).encode("utf-8", "backslashreplace"))
    return hashed.hexdigest()


def _begin(folder: Path, fingerprint: str) -> None:
    """Claim the folder for one batch before its first letter, and clear what a killed process left."""
    claim = folder / BATCH
    inside = list(folder.iterdir()) if folder.is_dir() else []
    if claim.is_file():
        if read_json(claim) != {"letters": fingerprint}:
            raise RunError(f"{folder}: holds letters of another batch", ["name a new or empty folder"])
    elif folder.is_file() or any(not path.name.startswith(".") for path in inside):
        raise RunError(f"{folder}: not empty, and no folder of letters", ["name a new or empty folder"])
    for path in inside:
        if path.name.startswith(".") and path.suffix in (
            ".html",
            ".pdf",
            ".json",
        ):  # as write_whole names them
            path.unlink()
    write_json(claim, {"letters": fingerprint})
