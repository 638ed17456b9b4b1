"""The renderer without Quarto: Pandoc reads the Markdown once, for all that is written of it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

from workbench.errors import RenderError, near_name
from workbench.reporting.project import Project, load_project
from workbench.reporting.sources import Expander, Source
from workbench.reporting.writers import ASSETS, WARNING, Format, run_pandoc, write_docx, write_html, write_pdf

_WRITERS: dict[Format, Callable[[Project, bytes], bytes]] = {
    "html": write_html,
    "pdf": write_pdf,
    "docx": write_docx,
}
_READER = "markdown-smart"
_AT_LINE = re.compile(r"line (\d+) column \d+")
_CITATION = re.compile(r"citation (\S+) not found")


def render_embedded(folder: Path, formats: Sequence[Format]) -> dict[Format, bytes]:
    """Return the documents' bytes; raises RenderError naming every fault with its file and line."""
    project = load_project(folder)
    document = read_document(project)
    with ThreadPoolExecutor(len(_WRITERS)) as pool:
        jobs = {name: pool.submit(_WRITERS[name], project, document) for name in formats}
        return {name: job.result() for name, job in jobs.items()}


def read_document(project: Project) -> bytes:
    """Return Pandoc's JSON of the whole report, its numbers and references resolved."""
    expander = Expander(project.folder, project.variables)
    page = project.page
    source = Source(tuple(expander.expand(page.body, page.file, page.first_line)))
    metadata = {key: _resolved(value, project, expander) for key, value in project.metadata.items()}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "metadata.json"
        path.write_text(json.dumps({"lang": "en", **metadata, "link-citations": True}), encoding="utf-8")
        document, messages = run_pandoc(_reading(project, path), source.text.encode(), project.folder)
    if faults := expander.faults + _faults(messages, source, project):
        raise RenderError(f"{project.folder / page.file}: cannot be rendered", sorted(faults, key=_by_place))
    return document


def _reading(project: Project, metadata: Path) -> list[str]:
    return [
        f"--from={_READER}", "--to=json", "--sandbox", f"--metadata-file={metadata}",
        f"--lua-filter={ASSETS / 'crossref.lua'}", "--citeproc", "--columns=100000",
        *(f"--bibliography={name}" for name in project.bibliography),
        *(f"--csl={name}" for name in project.csl),
    ]  # fmt: skip


def _resolved(value: Any, project: Project, expander: Expander) -> Any:
    """Resolve the shortcodes in the texts of a metadata value."""
    if isinstance(value, Mapping):
        return {key: _resolved(item, project, expander) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, project, expander) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        return value
    before, found, _ = project.page.front_matter.partition(value)
    line = before.count("\n") + 2 if found else 1
    return "".join(piece.text for piece in expander.expand(value, project.page.file, line))


def _faults(messages: str, source: Source, project: Project) -> list[str]:
    """Return the faults that the filter and Pandoc reported, each with its place."""
    faults = []
    for line in messages.splitlines():
        kind, _, rest = line.partition("\t")
        if kind == "fault":
            words, _, what = rest.partition("\t")
            faults += _placed(words, f"{words}: {what}", source, project)
        elif kind == "figure" and (what := _figure_fault(rest, project.folder)):
            faults += _placed(rest, f"{rest}: {what}", source, project)
    for warning in WARNING.findall(messages):
        faults += _warned(" ".join(warning.split()), source, project)
    return list(dict.fromkeys(faults))


def _placed(words: str, fault: str, source: Source, project: Project) -> list[str]:
    return [f"{place}: {fault}" for place in source.places(words) or [project.page.file]]


def _warned(warning: str, source: Source, project: Project) -> list[str]:
    if citation := _CITATION.search(warning):
        return _placed(
            f"@{citation[1]}", f"@{citation[1]}: no such entry in the bibliography", source, project
        )
    lines = [source.where_line(int(number)) for number in _AT_LINE.findall(warning)]
    return [f"{[*lines, project.page.file][0]}: {_AT_LINE.sub(lambda _: lines.pop(0), warning)}"]


def _figure_fault(name: str, folder: Path) -> str:
    """Return what is wrong with a picture's path, or an empty text."""
    root = folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        return "leads out of the report's folder"
    if path.is_file():
        return ""
    known = [other.relative_to(root).as_posix() for other in root.rglob("*.svg")]
    return f"no such picture in the report's folder{near_name(name, known)}"


def _by_place(fault: str) -> tuple[str, int]:
    found = re.match(r"([^:]+):(\d+):", fault)
    return (found[1], int(found[2])) if found else ("", 0)
