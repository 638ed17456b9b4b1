"""What the embedded renderer writes: HTML, PDF through Typst, and Word, all from one read document."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from workbench.errors import RenderError
from workbench.reporting.project import Project

Format = Literal["html", "pdf", "docx"]
FORMATS: tuple[Format, ...] = get_args(Format)
ASSETS = Path(__file__).parent / "pandoc"
_PICTURE = re.compile(r'"([^"\\]+\.svg)"')
WARNING = re.compile(r"^\[WARNING\] (.*(?:\n[ \t]+.*)*)", re.MULTILINE)


def write_html(project: Project, document: bytes) -> bytes:
    """Write one HTML file that fetches nothing."""
    styles = [f"--css={name}" for name in project.css]
    page, messages = run_pandoc(
        ["--from=json", "--to=html5", *_contents(project), *styles, f"--template={ASSETS / 'template.html'}",
         "--embed-resources", *_numbers(project), "--mathml", "--wrap=none", "--syntax-highlighting=none"],
        document,
        project.folder,
    )  # fmt: skip
    _refuse(messages, project)
    return page


def write_pdf(project: Project, document: bytes) -> bytes:
    """Write a tagged PDF: PDF/A-2a and PDF/UA-1 where every picture has alternative text, else PDF/A-2b."""
    import typst

    source, messages = run_pandoc(
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


def write_docx(project: Project, document: bytes) -> bytes:
    """Write a Word document whose pictures are made of the report's SVG and keep their alternative text."""
    look = [f"--reference-doc={project.folder / project.reference_doc}"] if project.reference_doc else []
    with tempfile.TemporaryDirectory() as scratch:
        _write_pictures(project, document, Path(scratch))
        made, messages = run_pandoc(
            ["--from=json", "--to=docx", *_contents(project), *look,
             *_numbers(project),
             f"--lua-filter={ASSETS / 'docx.lua'}", "--output=-"],
            document,
            Path(scratch),
            SOURCE_DATE_EPOCH=str(_moment(project)),
        )  # fmt: skip
    _refuse(messages, project)
    return made


def _write_pictures(project: Project, document: bytes, folder: Path) -> None:
    """Draw each SVG that a document shows as PNG at 200 dots per inch, each by its path in the document."""
    import typst

    names = sorted(
        {name for name in _PICTURE.findall(document.decode()) if (project.folder / name).is_file()}
    )
    for name in names:
        page = f"#set page(width: auto, height: auto, margin: 0pt)\n#image({json.dumps(name)})\n"
        made: bytes = typst.compile(  # type: ignore[call-overload]  # as in _compiled
            page.encode(), root=str(project.folder), format="png", ppi=200
        )
        (folder / f"{re.sub(r'[^A-Za-z0-9]', '_', name)}.png").write_bytes(made)


def _compiled(source: bytes, project: Project) -> bytes:
    """Compile with the wheel's own fonts and the report's own date, so that the bytes repeat anywhere."""
    import typst

    def compiled(standards: list[typst.PDFStandard]) -> bytes:
        return typst.compile(  # type: ignore[type-var]  # the stub ties the root's type to the source's
            source,
            root=str(project.folder),
            ignore_system_fonts=True,
            pdf_standards=standards,
            timestamp=_moment(project),
        )

    try:
        return compiled(["a-2a", "ua-1"])
    except typst.TypstError as error:
        if "PDF/UA-1" not in error.message:
            raise
    return compiled(["a-2b"])


def _contents(project: Project) -> list[str]:
    if project.metadata.get("toc") is False:
        return ["--standalone"]
    return ["--standalone", "--toc", f"--toc-depth={int(project.metadata.get('toc-depth', 2))}"]


def _numbers(project: Project) -> list[str]:
    return [] if project.metadata.get("number-sections") is False else ["--number-sections"]


def run_pandoc(arguments: Sequence[str], text: bytes, folder: Path, **settings: str) -> tuple[bytes, str]:
    """Run Pandoc in a folder, with settings of the environment, and return what it wrote and what it said."""
    import pypandoc

    command, env = [pypandoc.get_pandoc_path(), *arguments], {**os.environ, **settings}
    done = subprocess.run(command, input=text, capture_output=True, cwd=folder, env=env, check=False)
    messages = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise RenderError(f"{folder}: Pandoc stopped with code {done.returncode}", messages.split("\n")[:5])
    return done.stdout, messages


def _refuse(messages: str, project: Project) -> None:
    if warnings := [" ".join(warning.split()) for warning in WARNING.findall(messages)]:
        raise RenderError(f"{project.folder / project.page.file}: cannot be rendered", warnings)


def _moment(project: Project) -> int:
    """Return the report's own day in seconds, so that the same report has the same bytes on any day."""
    return int(_day(project.metadata.get("date")).timestamp())


def _day(value: Any) -> datetime:
    found = re.search(r"\d{4}-\d{2}-\d{2}", str(value))
    try:
        return (
            datetime.fromisoformat(found[0]).replace(tzinfo=UTC)
            if found
            else datetime(1980, 1, 1, tzinfo=UTC)
        )
    except ValueError:
        return datetime(1980, 1, 1, tzinfo=UTC)
