"""What the report says in numbers: facts as variables, lines held or not, the appendix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import yaml

from workbench.params import Study
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.tables import (
    MISSING,
    Column,
    format_interval,
    format_number,
    markdown_table,
    text,
    verbatim,
)

NOT_PROVIDED = "not provided"
_DAYS = ("observation_days", "performance_days", "late_days")
MET = {"yes": "held", "no": "**not held**", "unknown": "not settled"}
_STATEMENTS = ("owner", "purpose", "restrictions", "population")
_METHODS = {
    "near_cutoff": "compared with applicants approved near the cutoff",
    "all_applicants": "compared with everybody",
    "best_value": "compared with the best value of each family",
}
_NEVER_THE_SAME = ("notebook", "document", "record", "journals")  # kinds of artifacts that hold times
_PEOPLE = ("applicants", "defaults", "rows")  # units of counts that may be too small to print

Fact = Mapping[str, Any]


def variables(facts: Iterable[Fact], study: Study, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report's variables: `<stage>.<fact>` and, beside it, `_interval`, `_line` and `_met`."""
    values: dict[str, Any] = {}
    below = study.report.suppress_below
    for fact in facts:
        *path, leaf = fact["id"].split(".")
        place = values
        for part in path:
            place = place.setdefault(part, {})
        place[leaf] = fact_value(fact, below)
        place[f"{leaf}_interval"] = format_interval(fact["low"], fact["high"], fact["unit"])
        if fact["met"]:
            place[f"{leaf}_line"] = fact_line(fact)
            place[f"{leaf}_met"] = MET[fact["met"]].strip("*")
    return values | {"study": _study(study), "run": _run(manifest)}


def lines_table(facts: Iterable[Fact], *, suppress_below: int = 0) -> str:
    """Return every fact that is held against a line, with the line's source and the outcome."""
    rows = [
        {
            "about": fact_about(fact),
            "value": fact_value(fact, suppress_below),
            "interval": format_interval(fact["low"], fact["high"], fact["unit"]),
            "line": f"{fact_line(fact)} ({escape_markdown(fact['line_source'])})",
            "met": MET[fact["met"]],
        }
        for fact in facts
        if fact["met"]
    ]
    return plain_table(rows, ["Fact", "Value", "Interval", "Line (source)", "Outcome"])


def facts_table(facts: Iterable[Fact], *, suppress_below: int = 0) -> str:
    """Return every fact with its id, value, interval and method: where each number of the report stands."""
    rows = [
        {
            "id": escape_markdown(fact["id"]),
            "about": fact_about(fact),
            "value": fact_value(fact, suppress_below),
            "interval": format_interval(fact["low"], fact["high"], fact["unit"]),
            "method": escape_markdown(fact["method"]) or MISSING,
        }
        for fact in facts
    ]
    return plain_table(rows, ["Fact", "What it is", "Value", "Interval", "Method"])


def artifacts_table(manifest: Mapping[str, Any], *, suppress_below: int = 0) -> str:
    """Return every artifact of the run with its kind, sensitivity, rows and the start of its SHA-256."""

    def rows_of(entry: Mapping[str, Any]) -> str:
        rows = entry.get("rows")
        if rows is None:
            return MISSING
        return shown_count(rows, suppress_below if entry["sensitivity"] == "row" else 0)

    rows = [
        {
            "artifact": name,
            "kind": entry["kind"],
            "sensitivity": entry["sensitivity"],
            "rows": rows_of(entry),
            "sha256": entry["sha256"][:16],
        }
        for name, entry in manifest["artifacts"].items()
        if entry["kind"] not in _NEVER_THE_SAME
    ]
    columns = [
        verbatim("artifact", "Artifact"),
        text("kind", "Kind"),
        text("sensitivity", "Sensitivity"),
        Column("Rows", lambda row: str(row["rows"])),
        verbatim("sha256", "SHA-256 (first 16 digits)"),
    ]
    return markdown_table(pl.DataFrame(rows, infer_schema_length=None), columns)


def sources_table(study: Study, manifest: Mapping[str, Any]) -> str:
    """Return every source with the start of its SHA-256; one by URL or query has none."""
    known = manifest["sources"]
    rows = [
        {"source": name, "sha256": known[name][:16] if name in known else "none: read by URL or query"}
        for name in study.data.sources
    ]
    columns = [verbatim("source", "Source"), verbatim("sha256", "SHA-256 (first 16 digits)")]
    return markdown_table(pl.DataFrame(rows), columns)


def parameters_table(study: Study) -> str:
    """Return every parameter of the study with its value; each source has a row for each of its keys."""
    rows = []
    for section, values in study.model_dump(exclude_defaults=True).items():
        items = values.items() if isinstance(values, dict) else [("", values)]
        for key, value in items:
            name = f"{section}.{key}".rstrip(".")
            nested = _source_items(name, value) if name == "data.sources" else [(name, value)]
            rows += [{"key": key, "value": _parameter(value)} for key, value in nested]
    return markdown_table(pl.DataFrame(rows), [verbatim("key", "Parameter"), verbatim("value", "Value")])


def limits_list(study: Study) -> str:
    """Return who is in the data, and the limits that the study states, as bullets."""
    said = [escape_markdown(limit) for limit in study.report.limits]
    limits = [limit for limit in said if limit] or [NOT_PROVIDED]
    population = escape_markdown(study.report.population) or NOT_PROVIDED
    return "".join(f"- {text}\n" for text in (f"**Population.** {population}", *limits))


def statements(study: Study) -> dict[str, str]:
    """Return what people said about the study, by name; empty where nobody did."""
    report = study.report
    said = {name: getattr(report, name).strip() for name in _STATEMENTS}
    return said | {"limits": " ".join(report.limits).strip()}


def packages_table(manifest: Mapping[str, Any]) -> str:
    """Return the versions of the packages that the numbers depend on."""
    rows = [{"name": name, "version": version} for name, version in manifest["packages"].items()]
    return markdown_table(pl.DataFrame(rows), [verbatim("name", "Package"), verbatim("version", "Version")])


def plain_table(rows: list[dict[str, str]], headers: list[str]) -> str:
    """Return a pipe table of cells that are Markdown already; without rows it says none."""
    rows = rows or [dict.fromkeys(headers, MISSING) | {headers[0]: "none"}]
    lines = ["| " + " | ".join(headers) + " |", "|" + " :--- |" * len(headers)]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def shown_count(value: int, suppress_below: int) -> str:
    """Return a count of people or of their rows as a report prints it: small ones are not told."""
    small = 0 < value < suppress_below
    return f"fewer than {suppress_below}" if small else format_number(value, "count")


def fact_value(fact: Fact, suppress_below: int) -> str:
    """Return a fact's value with its unit, as Markdown."""
    return escape_markdown(plain_value(fact, suppress_below))


def plain_value(fact: Fact, suppress_below: int) -> str:
    """Return a fact's value with its unit, as text."""
    value, unit = fact["value"], fact["unit"]
    if isinstance(value, str):
        return value.replace("_", " ")
    if unit in _PEOPLE and value is not None:
        return f"{shown_count(value, suppress_below)} {unit}"
    shown = format_number(value, unit)
    return shown if unit in ("", "share") or value is None else f"{shown} {unit}"


def fact_line(fact: Fact) -> str:
    """Return the line that a fact is held against."""
    least, most, unit = fact["at_least"], fact["at_most"], fact["unit"]
    if least is not None and most is not None:
        return f"{format_number(least, unit)} to {format_number(most, unit)}"
    if least is not None:
        return f"at least {format_number(least, unit)}"
    return f"at most {format_number(most, unit)}"


def fact_about(fact: Fact) -> str:
    """Return what a fact is."""
    return escape_markdown(fact["about"].replace("_", " "))


def _study(study: Study) -> dict[str, str]:
    given = {name: escape_markdown(said) or NOT_PROVIDED for name, said in statements(study).items()}
    days = {name: format_number(getattr(study.data, name), "count") for name in _DAYS}
    return {
        "name": escape_markdown(study.study),
        "title": escape_markdown(study.report.title) or NOT_PROVIDED,
        "notice": escape_markdown(study.report.notice) or NOT_PROVIDED,
        "note": escape_markdown(study.note) or NOT_PROVIDED,
        "cutoff": format_number(study.training.cutoff, "", 0),
        "level": f"{100 * study.validation.level:g}%",
        "reasons_shown": str(study.explanation.reasons_shown),
        "method": _METHODS[study.explanation.method],
        "suppress_below": str(study.report.suppress_below),
        "smallest_group": format_number(study.fairness.min_group_applicants, "count"),
        "smallest_outcomes": format_number(study.fairness.min_group_defaults, "count"),
        "materiality": study.report.materiality,
        "judged_on": escape_markdown(study.data.judged_on) or NOT_PROVIDED,
        **days,
        **given,
    }


def _run(manifest: Mapping[str, Any]) -> dict[str, str]:
    code, engine = manifest["code"], manifest["engine"]
    key, cipher = (escape_markdown(manifest[f"{name}_key"]) for name in ("pseudonym", "encryption"))
    return {
        "id": escape_markdown(manifest["run_id"]),
        "date": manifest["created"],
        "revision": escape_markdown(code["revision"][:12]),
        "clean": "unchanged" if code["clean"] else "changed and not committed",
        "engine": escape_markdown(f"{engine['name']} ({engine['why']})"),
        "platform": escape_markdown(manifest["platform"]),
        "params_sha256": manifest["params_sha256"][:16],
        "pseudonyms": f"pseudonyms under the key in {key}" if key else "the source's own",
        "encryption": f"encrypted under the key in {cipher}" if cipher else "not encrypted",
    }


def _source_items(name: str, sources: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (f"{name}.{source}.{key}", value) for source, keys in sources.items() for key, value in keys.items()
    ]


def _parameter(value: Any) -> str:
    """Return a value as a params file writes it, on one line."""
    if isinstance(value, list | dict) and value:
        text = yaml.safe_dump(
            value, default_flow_style=True, sort_keys=False, width=10**9, allow_unicode=True
        )
        return text.strip()[1:-1]
    return str(value) if value not in ("", [], {}) else NOT_PROVIDED
