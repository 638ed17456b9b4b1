"""What the report says in numbers: facts as variables, lines held or not, open items, the appendix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from workbench.params import Study
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.tables import (
    MISSING,
    count,
    format_interval,
    format_number,
    markdown_table,
    text,
    verbatim,
)

NOT_PROVIDED = "not provided"
_MET = {"yes": "held", "no": "**not held**", "unknown": "not settled"}
_STANDING = (
    (
        "Out-of-time sample",
        "The data hold no application date: how the model ages is not tested.",
        "developer",
    ),
    ("Declined applicants", "The data hold only clients that the bank had approved.", "developer"),
    ("Independent validation", "Nobody but the developer has challenged this run yet.", "validator"),
)

Fact = Mapping[str, Any]


def variables(facts: Iterable[Fact], study: Study, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report's variables: `<stage>.<fact>` and, beside it, `_interval`, `_line` and `_met`."""
    values: dict[str, Any] = {}
    for fact in facts:
        *path, leaf = fact["id"].split(".")
        place = values
        for part in path:
            place = place.setdefault(part, {})
        place[leaf] = _value(fact)
        place[f"{leaf}_interval"] = format_interval(fact["low"], fact["high"], fact["unit"])
        if fact["met"]:
            place[f"{leaf}_line"] = _line(fact)
            place[f"{leaf}_met"] = _MET[fact["met"]].strip("*")
    return values | {"study": _study(study), "run": _run(manifest)}


def lines_table(facts: Iterable[Fact]) -> str:
    """Return every fact that is held against a line, with the line's source and the outcome."""
    rows = [
        {
            "about": _about(fact),
            "value": _value(fact),
            "interval": format_interval(fact["low"], fact["high"], fact["unit"]),
            "line": f"{_line(fact)} ({escape_markdown(fact['line_source'])})",
            "met": _MET[fact["met"]],
        }
        for fact in facts
        if fact["met"]
    ]
    return _plain_table(rows, ["Fact", "Value", "Interval", "Line (source)", "Outcome"])


def facts_table(facts: Iterable[Fact]) -> str:
    """Return every fact with its id, value, interval and method: where each number of the report stands."""
    rows = [
        {
            "id": escape_markdown(fact["id"]),
            "about": _about(fact),
            "value": _value(fact),
            "interval": format_interval(fact["low"], fact["high"], fact["unit"]),
            "method": escape_markdown(fact["method"]) or MISSING,
        }
        for fact in facts
    ]
    return _plain_table(rows, ["Fact", "What it is", "Value", "Interval", "Method"])


def open_items(facts: Iterable[Fact], study: Study) -> str:
    """Return what is open: lines not held or not settled, statements nobody gave, and standing limits."""
    rows = [
        {
            "item": _about(fact),
            "why": f"{_MET[fact['met']]}: {_value(fact)}, line {_line(fact)}",
            "owner": "developer",
        }
        for fact in facts
        if fact["met"] in ("no", "unknown")
    ]
    rows += [
        {"item": f"Statement on {name}", "why": NOT_PROVIDED, "owner": "model owner"}
        for name in ("owner", "purpose", "restrictions")
        if not getattr(study.report, name).strip()
    ]
    rows += [{"item": item, "why": why, "owner": owner} for item, why, owner in _STANDING]
    return _plain_table(rows, ["Open item", "Why", "Who"])


def artifacts_table(manifest: Mapping[str, Any]) -> str:
    """Return every artifact of the run with its kind, sensitivity, rows and the start of its SHA-256."""
    rows = [
        {
            "artifact": name,
            "kind": entry["kind"],
            "sensitivity": entry["sensitivity"],
            "rows": entry.get("rows"),
            "sha256": entry["sha256"][:16],
        }
        for name, entry in manifest["artifacts"].items()
        if entry["kind"] not in ("notebook", "document")
    ]
    columns = [
        verbatim("artifact", "Artifact"),
        text("kind", "Kind"),
        text("sensitivity", "Sensitivity"),
        count("rows", "Rows"),
        verbatim("sha256", "SHA-256 (first 16 digits)"),
    ]
    return markdown_table(pl.DataFrame(rows, infer_schema_length=None), columns)


def parameters_table(study: Study) -> str:
    """Return every parameter of the study with its value."""
    rows = []
    for section, values in study.model_dump().items():
        items = values.items() if isinstance(values, dict) else [("", values)]
        rows += [{"key": f"{section}.{key}".rstrip("."), "value": _parameter(value)} for key, value in items]
    return markdown_table(pl.DataFrame(rows), [verbatim("key", "Parameter"), verbatim("value", "Value")])


def packages_table(manifest: Mapping[str, Any]) -> str:
    """Return the versions of the packages that the numbers depend on."""
    rows = [{"name": name, "version": version} for name, version in manifest["packages"].items()]
    return markdown_table(pl.DataFrame(rows), [verbatim("name", "Package"), verbatim("version", "Version")])


def _plain_table(rows: list[dict[str, str]], headers: list[str]) -> str:
    """Return a pipe table of cells that are Markdown already."""
    if not rows:
        return "*None.*\n"
    lines = ["| " + " | ".join(headers) + " |", "|" + " :--- |" * len(headers)]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _value(fact: Fact) -> str:
    unit = fact["unit"]
    shown = format_number(fact["value"], unit)
    return shown if unit in ("", "share") or fact["value"] is None else f"{shown} {escape_markdown(unit)}"


def _line(fact: Fact) -> str:
    least, most, unit = fact["at_least"], fact["at_most"], fact["unit"]
    if least is not None and most is not None:
        return f"{format_number(least, unit)} to {format_number(most, unit)}"
    if least is not None:
        return f"at least {format_number(least, unit)}"
    return f"at most {format_number(most, unit)}"


def _about(fact: Fact) -> str:
    return escape_markdown(fact["about"].replace("_", " "))


def _study(study: Study) -> dict[str, str]:
    given = {name: getattr(study.report, name).strip() for name in ("owner", "purpose", "restrictions")}
    statements = {name: escape_markdown(said) if said else NOT_PROVIDED for name, said in given.items()}
    return {
        "name": escape_markdown(study.study),
        "title": escape_markdown(study.report.title) or NOT_PROVIDED,
        "notice": escape_markdown(study.report.notice) or NOT_PROVIDED,
        "note": escape_markdown(study.note) or NOT_PROVIDED,
        "cutoff": format_number(study.training.cutoff, "", 0),
        "level": f"{100 * study.validation.level:g}%",
        "reasons_shown": str(study.explanation.reasons_shown),
        "suppress_below": str(study.report.suppress_below),
        "smallest_group": format_number(study.fairness.min_group_applicants, "count"),
        **statements,
    }


def _run(manifest: Mapping[str, Any]) -> dict[str, str]:
    code, engine = manifest["code"], manifest["engine"]
    return {
        "id": escape_markdown(manifest["run_id"]),
        "date": manifest["created"],
        "revision": escape_markdown(code["revision"][:12]),
        "clean": "unchanged" if code["clean"] else "changed and not committed",
        "engine": escape_markdown(f"{engine['name']} ({engine['why']})"),
        "platform": escape_markdown(manifest["platform"]),
        "params_sha256": manifest["params_sha256"][:16],
        "source_sha256": ", ".join(digest[:16] for digest in manifest["sources"].values()),
    }


def _parameter(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return str(value) if value != "" else NOT_PROVIDED
