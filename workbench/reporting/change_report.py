"""The change report of two runs: one HTML page, from a Quarto project like the other documents."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import yaml

from workbench.params import ROOT
from workbench.reporting.documents import documents_of
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.render import render
from workbench.reporting.run_changes import change_pages
from workbench.run import Run
from workbench.store import write_whole

PROJECT = ROOT / "reports" / "change"
NOTHING = "| none |"


def write_change_report(before: Run, after: Run, target: Path) -> dict[str, int]:
    """Write the change report and return how many entries of each kind differ.

    Raises:
        RunError: as `change_pages`; nothing is written.
    """
    pages = change_pages(before, after)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / PROJECT.name
        shutil.copytree(PROJECT, folder)
        shutil.copytree(ROOT / "reports" / "theme", folder, dirs_exist_ok=True)
        (folder / "_generated").mkdir()
        for name, text in pages.items():
            (folder / "_generated" / f"{name}.md").write_text(text, encoding="utf-8")
        text = yaml.safe_dump(_variables(before, after, pages), allow_unicode=True)
        (folder / "_variables.yml").write_text(text, encoding="utf-8")
        (made,) = render(folder, formats=["html"])
        write_whole(target, lambda path: shutil.copyfile(made, path))
    counts = {name: _rows(page) for name, page in pages.items() if name not in ("about", "decisions")}
    return counts | {"kinds of decisions": _swaps(pages["decisions"])}


def _swaps(page: str) -> int:
    """Return how many of the two ways of being decided otherwise have somebody in them."""
    lines = [line for line in page.splitlines() if ", then " in line]
    return sum(" | 0 | " not in line for line in lines)


def _variables(before: Run, after: Run, pages: dict[str, str]) -> dict[str, dict[str, str]]:
    told = {
        "before": escape_markdown(before.run_id),
        "after": escape_markdown(after.run_id),
        "date": max(run.manifest["created"] for run in (before, after)),
        "notice": escape_markdown(after.study.report.notice) or "–",
        "documents": str(len(documents_of(after))),
    }
    return {"change": told | {f"{name}_count": str(_rows(page)) for name, page in pages.items()}}


def _rows(page: str) -> int:
    """Return the rows of a page's table; one that says none has none."""
    lines = [line for line in page.splitlines() if line.startswith("|")][2:]
    return len([line for line in lines if not line.startswith(NOTHING)])
