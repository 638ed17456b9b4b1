"""The renderer without Quarto: Pandoc reads the Markdown once and writes HTML and, through Typst, PDF."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from workbench.errors import RenderError, near_name
from workbench.reporting.project import Project, load_project
from workbench.reporting.sources import Expander, Source

Format = Literal["html", "pdf"]
ASSETS = Path(__file__).parent / "pandoc"
_READER = "markdown-smart"
_WARNING = re.compile(r"^\[WARNING\] (.*(?:\n[ \t]+.*)*)", re.MULTILINE)
_AT_LINE = re.compile(r"line (\d+) column \d+")
_CITATION = re.compile(r"citation (\S+) not found")


def render_embedded(folder: Path, formats: Sequence[Format]) -> dict[Format, bytes]:
    """Return the documents' bytes; raises RenderError naming every fault with its file and line."""
    project = load_project(folder)
    document = read_document(project)
    writers: dict[Format, Callable[[Project, bytes], bytes]] = {"html": write_html, "pdf": write_pdf}
    with ThreadPoolExecutor(len(writers)) as pool:
        jobs = {name: pool.submit(writers[name], project, document) for name in formats}
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
        document, messages = _pandoc(_reading(project, path), source.text.encode(), project.folder)
    if faults := expander.faults + _faults(messages, source, project):
        raise RenderError(f"{project.folder / page.file}: cannot be rendered", sorted(faults, key=_by_place))
    return document


def write_html(project: Project, document: bytes) -> bytes:
    """Write one HTML file that fetches nothing."""
    styles = [f"--css={name}" for name in project.css]
    page, messages = _pandoc(
        ["--from=json", "--to=html5", *_contents(project), *styles, f"--template={ASSETS / 'template.html'}",
         "--embed-resources", "--number-sections", "--mathml", "--wrap=none", "--syntax-highlighting=none"],
        document,
        project.folder,
    )  # fmt: skip
    _refuse(messages, project)
    return page


def write_pdf(project: Project, document: bytes) -> bytes:
    """Write a tagged PDF: PDF/A-2a and PDF/UA-1 where every picture has alternative text, else PDF/A-2b."""
    import typst

    source, messages = _pandoc(
        ["--from=json", "--to=typst-citations", *_contents(project), f"--template={ASSETS / 'template.typ'}",
         f"--lua-filter={ASSETS / 'typst.lua'}", "--sandbox", "--wrap=none"],
        document,
        project.folder,
    )  # fmt: skip
    _refuse(messages, project)
    try:
        return _compiled(source, project)
    except typst.TypstError as error:
        faults = [error.message, *error.hints]
        raise RenderError(
            f"{project.folder / project.page.file}: Typst cannot make the PDF", faults
        ) from error


def _compiled(source: bytes, project: Project) -> bytes:
    """Compile with the wheel's own fonts and the report's own date, so that the bytes repeat anywhere."""
    import typst

    def compiled(standards: list[typst.PDFStandard]) -> bytes:
        return typst.compile(  # type: ignore[type-var]  # the stub ties the root's type to the source's
            source,
            root=str(project.folder),
            ignore_system_fonts=True,
            pdf_standards=standards,
            timestamp=int(_day(project.metadata.get("date")).timestamp()),
        )

    try:
        return compiled(["a-2a", "ua-1"])
    except typst.TypstError as error:
        if "PDF/UA-1" not in error.message:
            raise
    return compiled(["a-2b"])


def _reading(project: Project, metadata: Path) -> list[str]:
    return [
        f"--from={_READER}", "--to=json", "--sandbox", f"--metadata-file={metadata}",
        f"--lua-filter={ASSETS / 'crossref.lua'}", "--citeproc", "--columns=100000",
        *(f"--bibliography={name}" for name in project.bibliography),
        *(f"--csl={name}" for name in project.csl),
    ]  # fmt: skip


def _contents(project: Project) -> list[str]:
    if project.metadata.get("toc") is False:
        return ["--standalone"]
    return ["--standalone", "--toc", f"--toc-depth={int(project.metadata.get('toc-depth', 2))}"]


def _pandoc(arguments: Sequence[str], text: bytes, folder: Path) -> tuple[bytes, str]:
    """Run Pandoc in a folder and return what it wrote and what it said."""
    import pypandoc

    done = subprocess.run(
        [pypandoc.get_pandoc_path(), *arguments], input=text, capture_output=True, cwd=folder, check=False
    )
    messages = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise RenderError(f"{folder}: Pandoc stopped with code {done.returncode}", messages.split("\n")[:5])
    return done.stdout, messages


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
    for warning in _WARNING.findall(messages):
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


def _refuse(messages: str, project: Project) -> None:
    if warnings := [" ".join(warning.split()) for warning in _WARNING.findall(messages)]:
        raise RenderError(f"{project.folder / project.page.file}: cannot be rendered", warnings)


def _by_place(fault: str) -> tuple[str, int]:
    found = re.match(r"([^:]+):(\d+):", fault)
    return (found[1], int(found[2])) if found else ("", 0)


def _day(value: Any) -> datetime:
    """Return the report's own date, so that the same report has the same bytes on any day."""
    found = re.search(r"\d{4}-\d{2}-\d{2}", str(value))
    try:
        return (
            datetime.fromisoformat(found[0]).replace(tzinfo=UTC)
            if found
            else datetime(1980, 1, 1, tzinfo=UTC)
        )
    except ValueError:
        return datetime(1980, 1, 1, tzinfo=UTC)
