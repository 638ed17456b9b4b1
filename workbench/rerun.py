"""A run executed a second time in an empty folder, and every file compared with the first."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import polars as pl

from workbench.errors import RunError
from workbench.fingerprint import stage_fingerprint
from workbench.params import STAGES
from workbench.pipeline import Progress, run_stages
from workbench.preflight import about_run
from workbench.privacy.encryption import open_cipher
from workbench.reporting.render import Renderer
from workbench.reporting.report import make_report, report_inputs
from workbench.run import FORGOTTEN, MANIFEST, Run, damaged, params_fault, parts_of
from workbench.store import write_json

_MUST_BE_ALIKE = ("code", "packages", "sources", "engine", "platform", "pseudonym_key_check")
_REGISTERS = ("created", "lines", "findings")
"""What belongs to the first run: its day, when its lines were declared, since when findings are open."""


@dataclass
class Compared:
    """What came of the second run, by artifact: the same bytes or contents, neither, or not compared."""

    same: list[str] = field(default_factory=list)
    same_contents: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)
    not_compared: dict[str, str] = field(default_factory=dict)


def rerun(run: Run, *, progress: Progress, keep: Path | None = None) -> Compared:
    """Execute a run again from its own parameters in an empty folder and compare what was made.

    The registers and the day of the first run are given to the second, since documents print them, and the
    list of the forgotten, who stay out. Files are compared byte by byte; executed notebooks by their cells
    and outputs, encrypted rows by what they hold. The folder is removed, or stays in `keep`.

    Raises:
        RunError: a damaged run, or code, packages, sources or machine that are others now. All at once;
            nothing is executed.
    """
    if fault := params_fault(run):
        raise RunError(f"{run.run_id}: cannot be executed again as it was", [fault])
    faults = [*_unlike(run), *(f"{name} {fault}" for name, fault in damaged(run).items())]
    if keep and keep.exists() and not (keep.is_dir() and not any(keep.iterdir())):
        faults.append(f"{keep}: is there already; name an empty or a new folder with --keep")
    if faults:
        raise RunError(f"{run.run_id}: cannot be executed again as it was", faults)
    scratch = keep or Path(tempfile.mkdtemp(prefix="workbench-rerun-"))
    try:
        again = _executed(run, scratch / run.run_id, progress)
        return compare_runs(run, again)
    finally:
        if keep is None:
            shutil.rmtree(scratch, ignore_errors=True)


def compare_runs(first: Run, second: Run) -> Compared:
    """Compare the artifacts of two runs of one study, each by its own kind."""
    found = Compared()
    entries = [run.manifest["artifacts"] for run in (first, second)]
    for name in sorted(entries[0] | entries[1]):
        if not all(name in one for one in entries):
            found.different[name] = f"only in the {'first' if name in entries[0] else 'second'} run"
        elif entries[0][name]["kind"] == "journals":
            found.not_compared[name] = "a journal holds times"
        elif purged := next((one[name]["purged"] for one in entries if "purged" in one[name]), ""):
            found.not_compared[name] = f"was purged on {purged}"
        elif entries[0][name]["sha256"] == entries[1][name]["sha256"]:
            found.same.append(name)
        elif told := _difference(first, second, name, entries[0][name]):
            found.different[name] = f"{entries[0][name]['kind']}, {told}"
        else:
            found.same_contents.append(name)
    return found


def _unlike(run: Run) -> Iterator[str]:
    """Give what the run was made with and is another now: then a second run is no repetition."""
    manifest, study = run.manifest, run.study
    now = about_run(study)
    others = [name for name in _MUST_BE_ALIKE if manifest.get(name) != now[name]]
    for name in others:
        was, is_now = manifest.get(name), now[name]
        yield f"{name}: was {_brief(was, is_now)}, is {_brief(is_now, was)}"
    if others:
        return
    for stage in STAGES:  # code that is not committed has one revision and may have changed
        known = manifest["stages"].get(stage, {}).get("fingerprint")
        if known != stage_fingerprint(stage, study, now["engine"]["name"]):
            yield f"stage {stage}: its code, notebook, packs or data are others now"
    if "report" in manifest and _renderer(run) is None:
        yield "report: its pages, packs, rules or statements are others now, or it is older than the results"


def _renderer(run: Run) -> Renderer | None:
    """Return the renderer with which the report was made, None where its inputs are others now."""
    known = run.manifest["report"]["inputs"]
    choices: tuple[Renderer, ...] = get_args(Renderer)
    return next((name for name in choices if report_inputs(run, name) == known), None)


def _brief(value: Any, other: Any) -> str:
    """Return a value, of a mapping only what the other one has not."""
    if not isinstance(value, Mapping):
        return str(value)
    known = other if isinstance(other, Mapping) else {}
    parts = [f"{key} {one}" for key, one in value.items() if known.get(key) != one]
    return ", ".join(parts) or "without it"


def _executed(run: Run, folder: Path, progress: Progress) -> Run:
    manifest, study = run.manifest, run.study
    folder.mkdir(parents=True)
    if earlier := study.report.previous_run:
        (folder.parent / earlier).mkdir()
        write_json(folder.parent / earlier / MANIFEST, Run.open(run.folder.parent / earlier).manifest)
    if (run.folder / FORGOTTEN).is_file():
        shutil.copy(run.folder / FORGOTTEN, folder)
    registers = {name: manifest[name] for name in _REGISTERS if name in manifest}
    write_json(folder / MANIFEST, {"run_id": run.run_id, "stages": {}, "artifacts": {}, **registers})
    again = run_stages(study, folder, progress=progress).run
    formats: Sequence[Any] = manifest.get("report", {}).get("formats", [])
    if formats:
        progress.started("report")
        make_report(again, formats=formats, renderer=_renderer(run) or "auto")
        progress.ended("report", 0.0, "complete")
    return again


def _difference(first: Run, second: Run, name: str, entry: Mapping[str, Any]) -> str:
    """Return how an artifact whose bytes differ differs in what it holds; an empty text: not at all."""
    paths = [run.folder / run.entry(name)["path"] for run in (first, second)]
    compare = _BY_KIND.get(entry["kind"]) or (_records if paths[0].suffix == ".json" else None)
    if compare:
        return compare(first, paths)
    return f"other bytes ({paths[0].stat().st_size:,} and {paths[1].stat().st_size:,})"


def _notebooks(run: Run, paths: Sequence[Path]) -> str:
    cells = [_cells(path, run.run_id) for path in paths]
    wrong = [str(n) for n, pair in enumerate(zip(*cells, strict=False), 1) if pair[0] != pair[1]]
    if len(cells[0]) != len(cells[1]):
        return f"{len(cells[0])} cells and {len(cells[1])}"
    return f"cells {', '.join(wrong)}" if wrong else ""


def _cells(path: Path, run_id: str) -> list[Any]:
    """Return source and outputs of each cell without times, and without the folder that it ran in."""
    folder = str(path.parent.parent)
    text = path.read_text(encoding="utf-8").replace(json.dumps(folder)[1:-1], run_id)
    return [
        (cell["source"], [_timeless(output) for output in cell.get("outputs", [])])
        for cell in json.loads(text)["cells"]
    ]


def _timeless(output: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in output.items() if key not in ("execution_count", "metadata")}


def _tables(run: Run, paths: Sequence[Path]) -> str:
    cipher = open_cipher(run.manifest.get("encryption_key", ""))
    frames = []
    for path in paths:
        reading = cipher.reading if "rows" in path.parts else {}
        frames.append(pl.read_parquet(parts_of(path), glob=False, **reading))
    if frames[0].schema != frames[1].schema or frames[0].height != frames[1].height:
        return f"{frames[0].height:,} rows and {frames[1].height:,}, or other columns"
    unlike = [
        f"{name} ({count:,} rows{_furthest(frames[0][name], frames[1][name])})"
        for name in frames[0].columns
        if (count := int(frames[0][name].ne_missing(frames[1][name]).sum()))
    ]
    return ", ".join(unlike)


def _furthest(one: pl.Series, other: pl.Series) -> str:
    if not one.dtype.is_numeric():
        return ""
    furthest = (one.cast(pl.Float64) - other.cast(pl.Float64)).abs().max()
    return "" if furthest is None else f", at most {float(furthest):.2g} apart"  # type: ignore[arg-type]


def _facts(_: Run, paths: Sequence[Path]) -> str:
    facts = [{fact["id"]: fact for fact in json.loads(path.read_text(encoding="utf-8"))} for path in paths]
    names = sorted(name for name in facts[0] | facts[1] if facts[0].get(name) != facts[1].get(name))
    return ", ".join(names)


def _records(_: Run, paths: Sequence[Path]) -> str:
    leaves = [dict(_leaves("", json.loads(path.read_text(encoding="utf-8")))) for path in paths]
    unlike = [name for name in leaves[0] | leaves[1] if leaves[0].get(name) != leaves[1].get(name)]
    return f"{len(unlike):,} of {len(leaves[0] | leaves[1]):,} values" if unlike else "other bytes alone"


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(f"{path}/{key}", part)
    else:
        yield path, value


_BY_KIND: Mapping[str, Callable[[Run, Sequence[Path]], str]] = {
    "notebook": _notebooks,
    "rows": _tables,
    "tables": _tables,
    "facts": _facts,
}
