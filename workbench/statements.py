"""What people state of a study: one text for a requirement and the role that owes it, with author and day."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import yaml
from pydantic import ValidationError

from workbench.errors import ParamsError, near_name
from workbench.kinds import Role
from workbench.packs import load_packs
from workbench.params import ROOT, Study
from workbench.report_params import Statement
from workbench.requirements import Requirement
from workbench.yaml_reader import parse_yaml

_HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_HEADING = re.compile(r"^## +(\S+)[ \t]*$", re.MULTILINE)
_RIGHT = (
    "a head between lines of ---, with author and date, then ## and the id of a requirement above each text"
)


def load_statements(study: Study) -> list[Statement]:
    """Return the statements of the study and of its folder, checked against the requirements of its packs.

    Raises:
        ParamsError: a file that cannot be read, an unknown requirement, a role that owes nothing there, two
            statements of one role for one requirement. All faults at once.
    """
    packs = load_packs(study.data.packs)
    faults: list[str] = []
    stated = [*study.report.statements, *_of_folder(study.report.statements_from, faults)]
    faults += _faults(stated, [one for pack in packs for one in pack.requirements])
    if faults:
        raise ParamsError(f"{len(faults)} fault(s) in the statements; nothing was run", faults)
    return stated


def _of_folder(name: str, faults: list[str]) -> list[Statement]:
    if not name:
        return []
    folder = ROOT / name
    if not folder.is_dir():
        faults.append(f"report.statements_from: {name}: no such folder")
        return []
    return [one for path in sorted(folder.glob("*.md")) for one in _of_file(path, faults)]


def _of_file(path: Path, faults: list[str]) -> Iterator[Statement]:
    """Give the statements of one role's file; its name is the role, with _ for spaces."""
    text, role = path.read_text(encoding="utf-8"), path.stem.replace("_", " ")
    found, head = _HEAD.match(text), None
    try:
        head = parse_yaml(found[1]) if found else None
    except yaml.YAMLError:
        head = None
    if found is None or not isinstance(head, dict):
        faults.append(f"{path.name}: received no head; {_RIGHT}")
        return
    parts = _HEADING.split(text[found.end() :])
    for requirement, body in zip(parts[1::2], parts[2::2], strict=True):
        values = {"author": head.get("author"), "date": str(head.get("date")), "role": role}
        try:
            yield Statement.model_validate(values | {"requirement": requirement, "text": body.strip()})
        except ValidationError as error:
            faults += [
                f"{path.name}: {requirement}: {detail['loc'][0]}: {detail['msg']}"
                for detail in error.errors()
            ]


def _faults(stated: Sequence[Statement], requirements: Sequence[Requirement]) -> Iterator[str]:
    known = sorted({one.id for one in requirements})
    owed = {(one.id, entry.role) for one in requirements for entry in one.statements}
    seen: set[tuple[str, Role]] = set()
    for one in stated:
        pair = (one.requirement, one.role)
        if one.requirement not in known:
            packs = "of the study's packs" if known else "(data.packs is empty)"
            yield f"{one.requirement}: no requirement {packs}{near_name(one.requirement, known)}"
        elif not one.not_applicable and pair not in owed:
            roles = [role for role in get_args(Role) if (one.requirement, role) in owed]
            yield f"{one.requirement}: the {one.role} owes no statement; {', '.join(roles) or 'nobody'} does"
        if pair in seen:
            yield f"{one.requirement}: two statements of the {one.role}; one is right"
        seen.add(pair)
