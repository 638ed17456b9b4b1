"""What differs between two runs: provenance, parameters, facts, decisions, model, documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from itertools import chain
from typing import Any

import polars as pl

from workbench.errors import RunError
from workbench.params import STAGES
from workbench.reporting.decision_changes import decision_table
from workbench.reporting.disclosure import shown_facts
from workbench.reporting.documents import documents_of, names_in
from workbench.reporting.evidence import MET, Fact, fact_about, fact_value, plain_table
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.requirement_pages import matrix_of
from workbench.reporting.tables import MISSING, format_interval, format_number
from workbench.run import Run, damaged, params_fault

Cells = dict[str, str]
_HEADING = re.compile(r"<h[12][^>]*>(.*?)</h[12]>", re.DOTALL)
_MARKUP = re.compile(r"<(style|svg|nav|footer)\b.*?</\1>|<[^>]+>", re.DOTALL)
_MOST_MOVED = 10


def change_pages(before: Run, after: Run) -> dict[str, str]:
    """Return what differs between two complete runs as pages of Markdown tables, by name.

    Decisions are joined by pseudonym and leave as counts alone, small ones suppressed by the stricter study;
    below each table of facts, `apart` says that the two intervals do not overlap.

    Raises:
        RunError: the same run twice, a stage that is not complete, an artifact that is damaged. All at once.
    """
    if faults := [fault for run in (before, after) for fault in _unfit(run)]:
        raise RunError("only complete runs can be compared", faults)
    if before.folder == after.folder:
        raise RunError(f"{before.run_id}: received the same run twice", ["name two runs"])
    earlier, later = ({fact["id"]: fact for fact in shown_facts(run)} for run in (before, after))
    below = max(run.study.report.suppress_below for run in (before, after))
    return {
        "about": _about(before, after),
        "sources": _pairs(before.manifest["sources"], after.manifest["sources"], "Source", _short),
        "parameters": _pairs(_params(before), _params(after), "Parameter", str),
        "packages": _pairs(before.manifest["packages"], after.manifest["packages"], "Package", str),
        "facts": _facts_table(earlier, later, below),
        "lines": _lines_table(earlier, later, below),
        "decisions": decision_table(before, after, below),
        "features": _features(before, after),
        "requirements": _requirements(before, after),
        "documents": _documents(before, after),
    }


def _unfit(run: Run) -> Iterator[str]:
    stages = run.manifest["stages"]
    states = {name: stages.get(name, {}).get("state", "not run") for name in STAGES}
    faults = {f"stage {name}": f"is {state}" for name, state in states.items() if state != "complete"}
    yield from (f"{run.run_id}: {name} {fault}" for name, fault in (faults | damaged(run)).items())
    if fault := params_fault(run):
        yield f"{run.run_id}: {fault}"


def _about(before: Run, after: Run) -> str:
    def told(run: Run) -> Cells:
        manifest, code = run.manifest, run.manifest["code"]
        return {
            "Run": run.run_id,
            "Begun": manifest["created"],
            "Study": manifest["study"],
            "Code": code["revision"][:12] + ("" if code["clean"] else ", changed and not committed"),
            "Engine": manifest["engine"]["name"],
            "Platform": manifest["platform"],
            "Parameters (SHA-256)": manifest["params_sha256"][:16],
        }

    rows = [
        {"what": name, "before": escape_markdown(value), "after": escape_markdown(told(after)[name])}
        for name, value in told(before).items()
    ]
    return plain_table(rows, ["", "Before", "After"])


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any], head: str, show: Callable[[Any], str]) -> str:
    """Return the entries that are not alike, each with both values."""
    names, sides = dict.fromkeys(chain(before, after)), {"before": before, "after": after}
    rows = [
        {"name": escape_markdown(name)}
        | {side: escape_markdown(show(one[name])) if name in one else MISSING for side, one in sides.items()}
        for name in names
        if before.get(name) != after.get(name)
    ]
    return plain_table(rows, [head, "Before", "After"])


def _short(digest: Any) -> str:
    return str(digest)[:16] or "read by URL or query"


def _params(run: Run) -> dict[str, Any]:
    """Return every parameter of a study by its dotted name; a source's keys each have their own."""
    return dict(_flat("", run.study.model_dump()))


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _flat(f"{path}.{key}".lstrip("."), part)
    else:
        yield path, value


def _facts_table(before: Mapping[str, Fact], after: Mapping[str, Fact], below: int) -> str:
    rows = [
        {
            "fact": f"{fact_about(fact)} ({escape_markdown(name)})",
            "before": _told(before.get(name), below),
            "after": _told(after.get(name), below),
            "change": _change(before.get(name), after.get(name)),
            "apart": _apart(before.get(name), after.get(name)),
        }
        for name, fact in (dict(before) | dict(after)).items()
        if _value(before.get(name)) != _value(after.get(name))
    ]
    return plain_table(rows, ["Fact", "Before", "After", "Change", "Intervals"])


def _value(fact: Fact | None) -> Any:
    return None if fact is None else (fact["value"], fact["low"], fact["high"], fact["met"])


def _told(fact: Fact | None, below: int) -> str:
    if fact is None:
        return MISSING
    between = format_interval(fact["low"], fact["high"], fact["unit"])
    return fact_value(fact, below) + ("" if between == MISSING else f" ({between})")


def _change(before: Fact | None, after: Fact | None) -> str:
    if before is None or after is None:
        return "new" if before is None else "gone"
    if before["about"] != after["about"]:  # another group is the furthest: no difference of one thing
        return MISSING
    was, now = before["value"], after["value"]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in (was, now)):
        return MISSING
    if before["unit"] == "share":
        return format_number(now - was, "share").replace("%", " points")
    return format_number(now - was, "")


def _apart(before: Fact | None, after: Fact | None) -> str:
    if before is None or after is None or None in (before["low"], after["low"]):
        return MISSING
    return "apart" if before["high"] < after["low"] or after["high"] < before["low"] else "overlap"


def _lines_table(before: Mapping[str, Fact], after: Mapping[str, Fact], below: int) -> str:
    rows = [
        {
            "fact": fact_about(fact),
            "before": MET.get(_met(before, name), MISSING),
            "after": f"{MET.get(fact['met'], MISSING)}: {_told(fact, below)}",
        }
        for name, fact in after.items()
        if fact["met"] and _met(before, name) != fact["met"]
    ]
    return plain_table(rows, ["Fact", "Line before", "Line after"])


def _met(facts: Mapping[str, Fact], name: str) -> str:
    return str(facts[name]["met"]) if name in facts else ""


def _features(before: Run, after: Run) -> str:
    """Return features that are new or gone, and those whose rank of importance moved most."""
    ranks = [_ranks(run) for run in (before, after)]
    last = max(len(one) for one in ranks) + 1  # the rank of a feature that is not used
    moved = {name: abs(ranks[0].get(name, last) - ranks[1].get(name, last)) for name in chain(*ranks)}
    names = sorted((name for name, by in moved.items() if by), key=lambda name: (-moved[name], name))
    rows = [
        {
            "feature": escape_markdown(name.replace("_", " ")),
            "before": str(ranks[0].get(name, "not used")),
            "after": str(ranks[1].get(name, "not used")),
        }
        for name in names[:_MOST_MOVED]
    ]
    return plain_table(rows, ["Feature", "Rank before", "Rank after"])


def _ranks(run: Run) -> dict[str, int]:
    table = pl.read_parquet(run.checked_path("explanation/importance"))
    return dict(table.select("feature", "rank").iter_rows())


def _requirements(before: Run, after: Run) -> str:
    return _pairs(_states(before), _states(after), "Requirement", str)


def _states(run: Run) -> dict[str, str]:
    matrix = matrix_of(run.study, names_in(run.manifest), shown_facts(run))
    return {f"{row['id']} {row['title']}": row["state"] for row in matrix.iter_rows(named=True)}


def _documents(before: Run, after: Run) -> str:
    """Return the documents that are not the same, with the chapters whose words differ."""
    files = [{path.name: path for path in documents_of(run)} for run in (before, after)]
    rows = []
    for name in dict.fromkeys(chain(*files)):
        there = [one[name].read_bytes() for one in files if name in one]
        if len(there) == 1:
            rows.append({"document": escape_markdown(name), "chapters": "only " + _side(name, files[0])})
        elif there[0] != there[1]:
            chapters = _changed_chapters(*there) if name.endswith(".html") else [MISSING]
            rows.append({"document": escape_markdown(name), "chapters": "; ".join(chapters)})
    return plain_table(rows, ["Document", "Chapters that differ"])


def _side(name: str, before: Mapping[str, Any]) -> str:
    return "before" if name in before else "after"


def _changed_chapters(before: bytes, after: bytes) -> list[str]:
    chapters = [_chapters(page.decode("utf-8")) for page in (before, after)]
    names = dict.fromkeys(chain(*chapters))
    changed = [name for name in names if chapters[0].get(name) != chapters[1].get(name)]
    return [escape_markdown(name) for name in changed] or ["none: pictures or marks alone"]


def _chapters(page: str) -> dict[str, str]:
    """Return the words of a page by heading of the first two levels; those of one name are taken together."""
    head, *parts = _HEADING.split(page)
    found = {"Title": _words(head)}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        found[_words(name)] = f"{found.get(_words(name), '')} {_words(text)}"
    return found


def _words(markup: str) -> str:
    return " ".join(unescape(_MARKUP.sub(" ", markup)).split())
