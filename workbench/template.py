"""A first draft of a study from one table of applicants, for a person to read and correct."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from pydantic import ValidationError

from workbench.data.applicants import protected_rows
from workbench.data.reading import scan_source
from workbench.data.standard import fault, standardise
from workbench.errors import ParamsError
from workbench.params import ROOT
from workbench.profile import LEAST_SHARED, profile
from workbench.roles import Draft, draft_source
from workbench.sources import Source, judged_attributes
from workbench.study import check_study
from workbench.yaml_reader import parse_yaml

KEY = "WORKBENCH_KEY"
AGE_BANDS = [30, 40, 50, 62]
_EXPLAINED = ROOT / "params" / "template.yaml"  # the sections and their comments are taken from here
_WIDTH = 39


@dataclass(frozen=True)
class Written:
    """The study that was written, whether it needs a key, and how many lines are to be checked."""

    path: Path
    needs_key: bool
    checks: int


@dataclass(frozen=True)
class _Settled:
    """The source as the study will say it, and what the data stage would make of it."""

    source: Source
    needs_key: bool
    defaults: int
    goods: int
    largest_groups: dict[str, tuple[str, int, int]]  # name, applicants and the rarer outcome of them
    incomplete: list[str]
    months: tuple[str, str] | None


def write_study(
    name: str,
    table: str,
    *,
    target: str,
    applicant_id: str = "",
    application_time: str = "",
    protected: Sequence[str] = (),
    encoding: str = "utf-8",
    out: Path | None = None,
) -> Written:
    """Write a first study from a table of applicants: CSV, Parquet or JSON lines; a file, glob or URL.

    `target`, `applicant_id`, `application_time` and `protected` name columns of the table; the last three are
    guessed by name and content, `protected` are added to the guesses. No value of a person is written: only
    labels that at least ten rows share, and bounds rounded outward. Raises ParamsError for a file that is
    there already or columns that are not, DataError for a table or an outcome that no study can be made of.
    """
    path = out or ROOT / "params" / f"{name}.yaml"
    if path.exists():
        raise ParamsError(f"{path}: there already; nothing was written", ["name another file with --out"])
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise ParamsError(f"{name}: no name for a study", ["a-z, 0-9, - and _, beginning with a letter"])
    opened = _opened(table, encoding)
    with tempfile.TemporaryDirectory() as scratch:
        raw = scan_source(name, opened, root=ROOT, scratch=Path(scratch))
        columns, time_format = profile(raw)
        draft = draft_source(
            columns,
            target=target,
            applicant_id=applicant_id,
            applied=application_time,
            protected=protected,
        )
        settled = _settle(opened.model_copy(update={"time_format": time_format}), draft, raw)
    text = _text(name, draft, settled, rows=columns[0].rows)
    check_study(parse_yaml(text), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as stream:
        stream.write(text)
    return Written(path, settled.needs_key, len(re.findall(r"# .*\bcheck\b", text)))


def _opened(table: str, encoding: str) -> Source:
    place = table
    if "://" not in table:
        whole = Path(table).expanduser().resolve()
        place = str(whole.relative_to(ROOT) if whole.is_relative_to(ROOT) else whole)
    about = f"Applicants, {place.rsplit('/', 1)[-1]}"
    try:
        return Source(
            kind="applicants", path=place, encoding=encoding, about=about, data_category="credit_terms"
        )
    except ValidationError as error:
        raise ParamsError("--from: no place of a table", [e["msg"] for e in error.errors()]) from None


def _settle(source: Source, draft: Draft, raw: pl.LazyFrame) -> _Settled:
    """Read the table as the data stage will, and let values that break the draft's contract only warn."""
    source = Source.model_validate({**source.model_dump(exclude_defaults=True), **draft.values})
    standard = standardise("applicants", source, raw)
    wanted = {"applicant_id", "application_time", "default", *draft.protected} & set(standard.columns)
    broken = [fault(i).alias(f"_{c}") for i, c in enumerate(standard.contracts)]
    frame = standard.table.select(*sorted(wanted), *broken).collect().sort("applicant_id")
    defaults, goods = (int((frame["default"] == value).sum()) for value in (1, 0))
    faulty = {c: int(frame[f"_{c}"].sum()) for c in standard.contracts if frame[f"_{c}"].any()}
    for name, count in faulty.items():
        rows = f"{count:,}" if count >= LEAST_SHARED else f"fewer than {LEAST_SHARED}"
        draft.comments[f"severity.{name}"] = f"check: {rows} rows hold something else"
    source = source.model_copy(update={"severity": dict.fromkeys(faulty, "warn")})
    whole = frame["applicant_id"].cast(pl.Int64, strict=False)
    applied = frame["application_time"].drop_nulls() if "application_time" in wanted else pl.Series([])
    if "application_time" not in wanted:
        today = datetime.combine(date.today(), datetime.min.time())
        frame = frame.with_columns(application_time=pl.lit(today))
    groups = protected_rows(frame.with_columns(left_out=pl.lit("")), list(draft.protected), AGE_BANDS)
    named = judged_attributes(list(draft.protected))
    return _Settled(
        source=source,
        needs_key=bool(draft.id_is_personal or whole.null_count() or whole.is_duplicated().any()),
        defaults=defaults,
        goods=goods,
        largest_groups={name: _largest(groups[name], frame["default"]) for name in named},
        incomplete=[name for name in named if groups[name].null_count()],
        months=(str(applied.min())[:7], str(applied.max())[:7]) if applied.len() else None,
    )


def _largest(groups: pl.Series, default: pl.Series) -> tuple[str, int, int]:
    frame = pl.DataFrame({"group": groups.cast(pl.String), "default": default}).drop_nulls()
    counts = frame.group_by("group").agg(pl.len(), bads=pl.col("default").sum())
    name, applicants, bads = counts.sort("len", "group", descending=[True, False]).row(0)
    return name, applicants, min(bads, applicants - bads)


def _text(name: str, draft: Draft, settled: _Settled, *, rows: int) -> str:
    """Return the study as text: the source in full, the other sections as the template explains them."""
    explained = _EXPLAINED.read_text(encoding="utf-8")
    table = settled.source.path.rsplit("/", 1)[-1]
    settings = explained[explained.index("\nstudy:") : explained.index("\ndata:")]
    sections = explained[explained.index("  # WHO AND WHEN") :]
    for key, value, comment in _settings(name, table, settled):
        settings = _put(settings, key, value, comment)
    for key, value, comment in _choices(name, draft, settled):
        sections = _put(sections, key, value, comment)
    return "\n".join(
        [
            f"# The study {name}, drafted from {table} ({rows:,} rows): correct it, then trust a result.",
            "# What was guessed is marked check. Further sources (bills, transactions, texts, a bureau's",
            "# extract), and every key of a source, are explained in params/template.yaml.",
            settings.rstrip(),
            "\ndata:\n  sources:",
            *_source_lines(draft, settled.source),
            "",
            sections,
        ]
    )


def _settings(name: str, table: str, settled: _Settled) -> Iterator[tuple[str, Any, str]]:
    yield "study", name, ""
    yield "note", f"First look at {table}", ""
    yield "pseudonym_key", KEY if settled.needs_key else "", ""


def _choices(name: str, draft: Draft, settled: _Settled) -> Iterator[tuple[str, Any, str]]:
    """Give what the sections say of this table: key, value, and a comment where the usual one will not do."""
    today = date.today().isoformat()
    rarer = min(settled.defaults, settled.goods)
    shares = (0.60, 0.15, 0.25) if rarer * 0.15 >= 20 else (0.50, 0.25, 0.25)
    target = draft.values["columns"].get("default", "default")
    spread = f"applications are from {' to '.join(settled.months)}; " if settled.months else ""
    yield (
        "default_definition",
        f"{target} is bad",
        "check: what counts as bad, after how many days; it is printed",
    )
    yield (
        "application_date",
        "" if settled.months else today,
        "" if settled.months else "check: no application time found",
    )
    yield "performance_days", 365, "check: default is observed within so many days after the application"
    yield (
        "extracted_on",
        "",
        "check: YYYY-MM-DD of the extract; leaves out whose performance window was not over",
    )
    yield (
        "protected",
        list(draft.protected),
        "check: judge the model, never enter it; all that the law names?",
    )
    yield "age_bands", AGE_BANDS, ""
    yield "packs", [], "check: jurisdictions whose data rules hold: us, eu, uk, india, kenya"
    yield "judged_on", today, ""
    yield "duplicate", "warn", "check: rows equal in every column but the id; quarantine sets them aside"
    yield "out_of_time_from", "", f"check: {spread}YYYY-MM from which on none is fitted on"
    for part, share in zip(("development", "calibration", "holdout"), shares, strict=True):
        yield f"{part}_share", share, ""
    yield "training.trials", 10, ""
    yield "training.min_calibration_defaults", min(100, int(rarer * shares[1] * 0.9) // 5 * 5), ""
    yield "training.cutoff", 512, "check: approve at score >= cutoff; 512 points are a PD of 0.30"
    yield (
        "explanation.languages",
        [],
        "check: en, once reason_texts holds a text for each feature",
    )
    judged = {n: g for n, g in settled.largest_groups.items() if n not in settled.incomplete}
    judged = judged or settled.largest_groups
    lost = (
        f"; missing values and so not judged: {', '.join(settled.incomplete)}" if settled.incomplete else ""
    )
    yield "fairness.intersection_depth", min(2, len(judged)), ""
    holdout = [(shares[2] * people, shares[2] * outcomes) for _, people, outcomes in judged.values()]
    yield "fairness.attributes", list(judged), f"check: judged, never used{lost}"
    reference = {attribute: group for attribute, (group, _, _) in judged.items()}
    yield "fairness.reference_groups", reference, "check: the largest group; others are compared with it"
    yield "fairness.min_group_applicants", min(100, *(round(0.7 * n) for n, _ in holdout)), ""
    yield "fairness.min_group_defaults", min(20, *(max(1, round(0.5 * n)) for _, n in holdout)), ""
    yield "report.title", f"Model risk report, {name}", ""
    yield "report.restrictions", "First draft; not for decisions about people.", ""


def _put(text: str, key: str, value: Any, comment: str) -> str:
    """Set a key of a section in a study's text; its comment stays unless there is another."""
    section, _, name = key.rpartition(".")
    begin = text.index(f"\n{section}:") if section else 0
    found = re.compile(rf"^( *){name}: .*?(?:\s+# (.*))?$", re.MULTILINE).search(text, begin)
    if not found:
        raise LookupError(f"{_EXPLAINED.name} lacks {key}")
    line = _line(len(found[1]), name, value, comment or found[2] or "")
    return text[: found.start()] + line + text[found.end() :]


def _source_lines(draft: Draft, source: Source) -> Iterator[str]:
    """Give the lines of the applicants' source: one column, one line."""
    yield "    applicants:"
    yield _line(6, "kind", "applicants", "")
    yield _line(6, "path", source.path, "relative paths start at the repository")
    for key in ("encoding", "time_format"):
        if getattr(source, key) != Source.model_fields[key].default:
            yield _line(6, key, getattr(source, key), "check: day and month" if key == "time_format" else "")
    yield _line(6, "about", source.about, "check: what it is, whence, and its licence")
    yield _line(6, "data_category", source.data_category, "check: what the law knows most of the table as")
    if "money" in source.types.values():
        yield _line(6, "minor_units", 100, "check: of the currency: 100 cents; 1 where there are none")
    heads = {
        "columns": "name in the study: name in the table",
        "types": "",
        "contract": "check: what is possible, not only what was seen; bounds are rounded outward",
        "severity": "values that break the contract now only warn; stop and quarantine are stricter",
        "features": "check each: known at the application? monotone 1: higher value, higher PD; -1: lower",
    }
    for section, comment in heads.items():
        values = getattr(source, section) if section == "severity" else draft.values[section]
        if values:
            yield f"      {section}:" + (f"  # {comment}" if comment else "")
        for name, value in values.items():
            yield _line(8, name, value, _comment(section, name, value, draft))
    yield "      # Left unread; what is named nowhere is never read. To read one, give it a type above."
    yield from (f"      #   {_flow(own)}: {why}" for own, why in draft.unread.items())


def _comment(section: str, name: str, value: Any, draft: Draft) -> str:
    if section == "features":
        return "check: data_category" if "data_category" in value else ""
    if section == "severity":
        return draft.comments.get(f"severity.{name}", "")
    here = "types" if name in draft.values["types"] else "columns"
    return draft.comments.get(name, "") if section == here else ""


def _line(indent: int, key: str, value: Any, comment: str) -> str:
    line = f"{' ' * indent}{key}: {_flow(value)}"
    return f"{line.ljust(_WIDTH - 2)}  # {comment}" if comment else line


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6)
    return text.strip()[1:-1] if text.count("\n") == 1 else json.dumps(value)
