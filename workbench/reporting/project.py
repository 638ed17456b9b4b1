"""A Quarto project as the embedded renderer reads it: its main page, its settings and its front matter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workbench.errors import RenderError

SETTINGS = "_quarto.yml"
DEFAULTS = "_metadata.yml"
VARIABLES = "_variables.yml"
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_NOT_METADATA = {"project", "format", "bibliography", "csl", "css", "execute", "filters"}


@dataclass(frozen=True)
class Page:
    """The main page, taken apart."""

    file: str
    front_matter: str
    body: str
    first_line: int


@dataclass(frozen=True)
class Project:
    """What is to be rendered; paths are relative to the folder."""

    folder: Path
    page: Page
    metadata: Mapping[str, Any]
    variables: Mapping[str, Any]
    css: tuple[str, ...]
    bibliography: tuple[str, ...]
    csl: tuple[str, ...]
    reference_doc: str

    @property
    def stem(self) -> str:
        """The name of the outputs without their suffix."""
        return Path(self.page.file).stem


def main_page(folder: Path) -> str:
    """Return the name of the one page that `_quarto.yml` tells to render."""
    project = read_yaml(folder / SETTINGS).get("project") or {}
    pages = sorted(p.name for p in folder.glob("*.qmd") if not p.name.startswith("_"))
    named = project.get("render", pages) if isinstance(project, Mapping) else pages
    if not isinstance(named, list) or len(named) != 1:
        raise RenderError(
            f"{folder / SETTINGS}: project: render: must name one page, not {named}",
            [f"pages here: {', '.join(pages) or 'none'}"],
        )
    if not (folder / str(named[0])).is_file():
        raise RenderError(f"{folder / str(named[0])}: no such file", [f"pages here: {', '.join(pages)}"])
    return str(named[0])


def load_project(folder: Path) -> Project:
    """Read a project's settings and main page; raises RenderError with everything that is wrong with them."""
    settings = read_yaml(folder / SETTINGS)
    page = split_page(main_page(folder), (folder / main_page(folder)).read_text(encoding="utf-8"))
    metadata = settings | _optional(folder / DEFAULTS) | _mapping(page.front_matter, folder / page.file)
    html = _format_settings(settings, "html")
    project = Project(
        folder,
        page,
        {key: value for key, value in metadata.items() if key not in _NOT_METADATA},
        _optional(folder / VARIABLES),
        css=_names(html.get("css", metadata.get("css"))),
        bibliography=_names(metadata.get("bibliography")),
        csl=_names(metadata.get("csl")),
        reference_doc=str(_format_settings(settings, "docx").get("reference-doc", "")),
    )
    files = (*project.css, *project.bibliography, *project.csl, *_names(project.reference_doc or None))
    if missing := [name for name in files if not (folder / name).is_file()]:
        named = f"named in {SETTINGS} or {page.file}"
        raise RenderError(
            f"{folder}: files are missing", [f"{name}: no such file, {named}" for name in missing]
        )
    return project


def split_page(file: str, text: str) -> Page:
    """Take a page's front matter from its body."""
    found = _FRONT_MATTER.match(text)
    if found is None:
        return Page(file, "", text, 1)
    return Page(file, found[1] or "", text[found.end() :], found[0].count("\n") + 1)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping; raises RenderError when it does not."""
    if not path.is_file():
        raise RenderError(
            f"{path}: no such file", ["a report is a folder with a _quarto.yml and a .qmd page"]
        )
    return _mapping(path.read_text(encoding="utf-8"), path)


def _optional(path: Path) -> dict[str, Any]:
    return read_yaml(path) if path.is_file() else {}


def _mapping(text: str, path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RenderError(f"{path}: not readable as YAML", [" ".join(str(error).split())]) from error
    if not isinstance(values or {}, dict):
        raise RenderError(f"{path}: holds {type(values).__name__}, not names with values")
    return dict(values or {})


def _format_settings(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    formats = settings.get("format")
    found = formats.get(name) if isinstance(formats, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _names(value: Any) -> tuple[str, ...]:
    """Return a YAML value that may be nothing, one name or a list of names as a tuple."""
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)
