"""What a regulator gets of a run: a ZIP of documents, facts, printed tables and proofs, without a row."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench import verify_bundle
from workbench.errors import RunError
from workbench.params import STAGES
from workbench.provenance import signed_statement
from workbench.reporting.disclosure import shown_facts
from workbench.reporting.documents import documents_of
from workbench.reporting.evidence import shown_count
from workbench.reporting.markdown import plain_cell, table_cells
from workbench.reporting.pages import number_faults, printed_pages
from workbench.reporting.redaction import redaction_faults
from workbench.run import MANIFEST, PARAMS, PROVENANCE, Run, damaged
from workbench.store import write_whole
from workbench.verify_bundle import LISTING, SIGNATURE

_EPOCH = (1980, 1, 1, 0, 0, 0)
_HELD = {"document": "as it is", "record": "as it is", "facts": "in facts.json"}
_HELD |= {"notebook": "without outputs", "tables": "as the documents print it"}
_PEOPLE = ("applicants", "defaults", "rows")
_README = """Bundle of run {run}, study {study}.

documents/      the documents as they were rendered
tables/         their tables as CSV; counts below {below} are not shown, nor those that would tell them
records/        findings with their state, and the evidence matrix
facts.json      every fact with value, interval, line and method
artifacts.csv   every artifact of the run with its SHA-256; row-level ones by name and hash alone
notebooks/      the notebooks that were executed, without their outputs
params.yaml     the parameters, manifest.json the manifest of the run

Check it with Python alone: python3 verify_bundle.py . --key KEY.pub
The public key must have come to you another way than this bundle.
"""


def write_bundle(run: Run, target: Path, key: Path | None = None) -> int:
    """Write the bundle of a complete run as a ZIP and return how many files it holds.

    Row-level artifacts, models and journals stay out; tables are those that the documents print, after
    suppression. With the private key of a PEM file, the listing is signed. The same run gives the same bytes.

    Raises:
        RunError: a run that is not complete or is damaged, documents that are missing or differ from the
            facts, something in it that may not leave. All faults at once; nothing is written.
    """
    if target.resolve().is_relative_to(run.folder) or target.is_dir():
        raise RunError(f"{target}: no place for a bundle", ["name a file outside of the run's folder"])
    if faults := _unfit(run):
        raise RunError(f"{run.run_id}: cannot be bundled", faults)
    files = dict(_files(run))
    listing = _json({"run_id": run.run_id, "rules": _rules(run), "files": _listed(files)})
    files[LISTING] = listing
    if key is not None:
        files[SIGNATURE] = _json(signed_statement([(LISTING, _sha256(listing))], key))
    write_whole(target, lambda path: _zip(path, files))
    return len(files)


def _unfit(run: Run) -> list[str]:
    states = {name: run.manifest["stages"].get(name, {}).get("state", "not run") for name in STAGES}
    faults = [f"stage {name} is {state}" for name, state in states.items() if state != "complete"]
    faults += [f"{name} {fault}" for name, fault in damaged(run).items()]
    if faults:
        return faults
    if not documents_of(run):
        return ["no document is there: render them with workbench report"]
    return [*number_faults(run), *redaction_faults(run)]


def _files(run: Run) -> Iterator[tuple[str, bytes]]:
    manifest, below = run.manifest, run.study.report.suppress_below
    readme = _README.format(run=run.run_id, study=manifest["study"], below=below)
    yield "README.txt", readme.encode()
    yield "verify_bundle.py", Path(verify_bundle.__file__).read_bytes()
    yield PARAMS, (run.folder / PARAMS).read_bytes()
    yield MANIFEST, _public_manifest(run)
    yield "facts.json", _json([_told(fact, below) for fact in shown_facts(run)])
    yield "artifacts.csv", _csv(_dictionary(manifest, below))
    if (run.folder / PROVENANCE).is_file():
        yield PROVENANCE, (run.folder / PROVENANCE).read_bytes()
    for entry in manifest["artifacts"].values():
        path = run.folder / entry["path"]
        if entry["kind"] in ("document", "record"):
            yield f"{entry['kind']}s/{path.name}", path.read_bytes()
        elif entry["kind"] == "notebook":
            yield f"notebooks/{entry['stage']}.ipynb", _without_outputs(path)
    for name, page in printed_pages(run).items():
        for table, cells in table_cells(name, page):
            whole = table.removeprefix("all-").replace("-", "_")  # takes the place of its first rows
            yield f"tables/{whole}.csv", _csv([[plain_cell(cell) for cell in row] for row in cells])


def _public_manifest(run: Run) -> bytes:
    """Return the manifest as it is, or with its small numbers of rows left out where it has some."""
    below, manifest = run.study.report.suppress_below, run.manifest
    small = [one for one in manifest["artifacts"].values() if _is_small_rows(one, below)]
    if not small:
        return (run.folder / MANIFEST).read_bytes()
    for entry in small:
        entry["rows"] = None
    return _json(manifest)


def _is_small_rows(entry: Mapping[str, Any], below: int) -> bool:
    return entry["sensitivity"] == "row" and 0 < (entry.get("rows") or 0) < below


def _told(fact: Mapping[str, Any], below: int) -> dict[str, Any]:
    """Return a fact, a small count of people without its value and interval."""
    value = fact["value"]
    if fact["unit"] not in _PEOPLE or value is None or not 0 < value < below:
        return dict(fact)
    return {**fact, "value": None, "low": None, "high": None, "suppressed": f"fewer than {below}"}


def _dictionary(manifest: Mapping[str, Any], below: int) -> list[list[str]]:
    """Return the data dictionary of the run: every artifact, and whether the bundle has it."""
    rows = [["artifact", "about", "kind", "unit", "key", "rows", "sensitivity", "sha256", "in the bundle"]]
    for name, one in manifest["artifacts"].items():
        row_level = one["sensitivity"] == "row"
        shown = "" if one.get("rows") is None else shown_count(one["rows"], below if row_level else 0)
        kept = "no: row-level" if row_level else _HELD.get(one["kind"], "no")
        about = [
            one["about"],
            one["kind"],
            one["unit"],
            " ".join(one["key"]),
            shown,
            one["sensitivity"],
            one["sha256"],
        ]
        rows.append([name, *map(str, about), kept])
    return rows


def _without_outputs(path: Path) -> bytes:
    """Return an executed notebook without what its cells printed and without times."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    notebook["metadata"].pop("papermill", None)
    return _json(notebook)


def _rules(run: Run) -> dict[str, Any]:
    return {
        "suppress_below": run.study.report.suppress_below,
        "left_out": ["rows", "models", "journals", "outputs of notebooks", "tables no document prints"],
    }


def _listed(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    return {name: {"sha256": _sha256(content), "bytes": len(content)} for name, content in files.items()}


def _zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files in the order of their names, all of one moment, so that the bytes repeat."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


def _csv(rows: list[list[str]]) -> bytes:
    """Return rows as CSV; a cell that a spreadsheet would compute is kept a text by an apostrophe."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_inert(cell) for cell in row] for row in rows])
    return text.getvalue().encode()


def _inert(cell: str) -> str:
    return f"'{cell}" if cell[:1] in "=@+\t\r" and cell[:1] else cell


def _json(values: Any) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
