"""Turns a Quarto project into one self-contained HTML file, PDF and Word, with Quarto or without it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from workbench.errors import RenderError
from workbench.reporting.embedded import render_embedded
from workbench.reporting.project import main_page
from workbench.reporting.writers import Format
from workbench.store import write_whole

Renderer = Literal["auto", "quarto", "embedded"]
_QUARTO_FORMATS: Mapping[Format, str] = {"html": "html", "pdf": "typst", "docx": "docx"}
_UNRESOLVED = re.compile(r"unable to resolve|unresolved|not found|\?var:|\?meta:", re.IGNORECASE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def render(
    project: Path, *, formats: Sequence[Format] = ("html", "pdf"), renderer: Renderer = "auto"
) -> list[Path]:
    """Render the main page of a Quarto project and return the documents, `<page>.<format>`.

    All documents are made whole before any is put in place, so a render that fails leaves the earlier
    ones untouched. `auto` takes Quarto where it is installed. Raises RenderError with every fault found.
    """
    folder = project.resolve()
    stem = Path(main_page(folder)).stem
    quarto = shutil.which("quarto")
    if renderer == "quarto" and quarto is None:
        raise RenderError(
            "quarto: not on the PATH",
            [
                "install it from https://quarto.org/docs/get-started",
                "or use the embedded renderer, which needs nothing",
            ],
        )
    use_quarto = quarto if renderer != "embedded" else None
    documents = render_quarto(folder, formats, use_quarto) if use_quarto else render_embedded(folder, formats)
    return [_put(folder / f"{stem}.{name}", document) for name, document in documents.items()]


def render_quarto(folder: Path, formats: Sequence[Format], quarto: str) -> dict[Format, bytes]:
    """Let Quarto render under a name of its own and return the documents' bytes."""
    page = main_page(folder)
    documents: dict[Format, bytes] = {}
    for name in formats:
        output = folder / f"{Path(page).stem}.part.{name}"
        command = [quarto, "render", page, "--to", _QUARTO_FORMATS[name], "--output", output.name]
        try:
            _run_quarto(command, folder)
            documents[name] = _taken(output)
        finally:
            output.unlink(missing_ok=True)
    return documents


def _run_quarto(command: Sequence[str], folder: Path) -> None:
    """Run Quarto; an unresolved reference is only a warning there, so what it says is read."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "NO_COLOR": "1"}, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    said = [_COLOUR.sub("", line).strip() for line in done.stdout.decode("utf-8", "replace").splitlines()]
    if done.returncode:
        raise RenderError(
            f"quarto render: stopped with code {done.returncode}", [line for line in said if line][-10:]
        )
    if faults := [line for line in said if _UNRESOLVED.search(line)]:
        raise RenderError("quarto render: left something unresolved", faults)


def _taken(output: Path) -> bytes:
    if not output.is_file():
        raise RenderError(
            f"quarto render: did not write {output.name}", ["render the page by hand to see why"]
        )
    return output.read_bytes()


def _put(path: Path, document: bytes) -> Path:
    write_whole(path, lambda temporary: temporary.write_bytes(document))
    return path
