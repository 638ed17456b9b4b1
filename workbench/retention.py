"""Retention: all rows leave a run and the evidence stays, or one person leaves it wherever they are."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import RunError
from workbench.params import STAGES
from workbench.privacy.encryption import Cipher, open_cipher
from workbench.privacy.pseudonyms import key_check, pseudonymise, read_key
from workbench.run import FORGOTTEN, Run, artifact_fault, parts_of, sha256_of, size_of
from workbench.store import read_json, write_json, write_whole

_FIGURES = "validation, explanation, fairness, scoring, monitoring and report: their figures"
_CALIBRATION = "training: the calibration of the PD"
_MODELS = "training: the champion, its challengers and the scorecard"
_DESCRIPTION = "features: their description (bins, information value) and the topics of texts"
_RETRAIN: Mapping[str, tuple[str, ...]] = {
    "development": (_DESCRIPTION, _MODELS, _CALIBRATION, _FIGURES),
    "calibration": (_CALIBRATION, _FIGURES),
    "declined": (_MODELS, _CALIBRATION, _FIGURES),
    "holdout": (_FIGURES,),
    "out_of_time": (_FIGURES,),
}
_NOTES = (
    "tables, figures and reports made before still contain the person as a count",
    "starting the run again makes everything after the data stage anew, without the person",
    "the sources are not touched: remove the person there as well",
)


@dataclass(frozen=True)
class Forgotten:
    """What the removal of a person did (artifact, rows; the person's sample) and what it asks for."""

    removed: pl.DataFrame
    sample: str  # empty: in none
    retrain: tuple[str, ...]
    notes: tuple[str, ...] = _NOTES


def purge(run: Run, on: date) -> pl.DataFrame:
    """Remove every row-level file of a run; its manifest entry stays with its hash and the day.

    Files go first and the manifest is told last: until then `workbench verify` misses what is gone, and no
    row that is left is unnamed. An interrupted purge started again ends the same. Unfinished files of the
    stages go as well. Returns artifact, rows and bytes of what went. Raises RunError when the run is in use
    or leads out of its folder.
    """
    with run.lock():
        entries = _row_entries(run)
        paths = [_inside(run, run.folder / entry["path"]) for entry in entries.values()]
        going = {name: entry for name, entry in entries.items() if "purged" not in entry}
        for path in [*paths, *_leftovers(run, [])]:
            _remove(path)

        def change(manifest: dict[str, Any]) -> None:
            for name in going:
                manifest["artifacts"][name]["purged"] = on.isoformat()

        run.update(change)
    gone = [(name, entry.get("rows"), entry["bytes"]) for name, entry in going.items()]
    return pl.DataFrame(gone, {"artifact": pl.String, "rows": pl.Int64, "bytes": pl.Int64}, orient="row")


def forget(run: Run, applicant: str, key_variable: str = "", cipher: Cipher | None = None) -> Forgotten:
    """Remove a person, by the id of the source, from every row-level artifact and all later data stages.

    The pseudonym goes to the list of the forgotten first, then files are written whole, then the manifest
    gets their hashes: interrupted, the same command goes on. Key and cipher are those of the run unless
    given. Raises RunError, which never quotes the id, when the person is not in the run, the key is another
    one, or an artifact is damaged; ParamsError when a key is not set.
    """
    with run.lock():
        person = applicant_in_run(run, applicant, key_variable)
        opener = open_cipher(run.manifest.get("encryption_key", "")) if cipher is None else cipher
        known = _list(run.folder)
        unfinished: dict[str, str] = known["unfinished"]
        parts = _checked_parts(run, opener, whole=not unfinished)
        sample = unfinished.get(str(person)) or _sample_of(parts.get("data/samples", []), person, opener)
        people = sorted({person, *map(int, unfinished)})
        found = {name: _rows_of(files, people, opener) for name, files in parts.items()}
        removed = {name: sum(counts.values()) for name, counts in found.items() if any(counts.values())}
        if not removed and person not in known["pseudonyms"] and not _is_purged(run):
            right = "give the id as it is in the source, and the key that the run was made with"
            raise RunError(f"{run.run_id}: no such applicant in this run", [right])
        forgotten = sorted({*known["pseudonyms"], *people})
        journal = {"pseudonyms": forgotten, "unfinished": unfinished | {str(person): sample}}
        write_json(run.folder / FORGOTTEN, journal)
        for part, rows in (item for counts in found.values() for item in counts.items()):
            if rows:
                _write_without(part, people, opener)
        _update_entries(run, parts if unfinished else removed, opener, len(forgotten))
        write_json(run.folder / FORGOTTEN, journal | {"unfinished": {}})
    table = pl.DataFrame(list(removed.items()), {"artifact": pl.String, "rows": pl.Int64}, orient="row")
    return Forgotten(table, sample, _RETRAIN.get(sample, ()))


def forgotten_ids(folder: Path) -> list[int]:
    """Return the applicant_id of everyone who is to stay out of a run folder."""
    found: list[int] = _list(folder)["pseudonyms"]
    return found


def _list(folder: Path) -> dict[str, Any]:
    path = folder / FORGOTTEN
    values: dict[str, Any] = read_json(path) if path.is_file() else {"pseudonyms": [], "unfinished": {}}
    if not {"pseudonyms", "unfinished"} <= values.keys():
        raise RunError(f"{path}: edited or from another version", ["restore the list of the forgotten"])
    return values


def applicant_in_run(run: Run, applicant: str, key_variable: str) -> int:
    """Return the applicant_id that an id of the source has in the run."""
    manifest = run.manifest
    variable = key_variable or manifest.get("pseudonym_key", "")
    if not variable:
        if not re.fullmatch(r"\s*-?\d{1,18}\s*", applicant):
            right = "give a whole number, or name the variable of the pseudonyms' key"
            raise RunError(f"{run.run_id}: the ids of this run are whole numbers", [right])
        return int(applicant)
    key = read_key(variable)
    if manifest.get("pseudonym_key_check", key_check(key)) != key_check(key):
        right = f"set {variable} to the key that the run was made with"
        raise RunError(f"{run.run_id}: {variable} holds another key than the pseudonyms of this run", [right])
    return int(pseudonymise(pl.Series([applicant]), key).item())


def _row_entries(run: Run) -> dict[str, dict[str, Any]]:
    entries = run.manifest["artifacts"].items()
    return {name: entry for name, entry in entries if entry["sensitivity"] == "row"}


def _is_purged(run: Run) -> bool:
    return any("purged" in entry for entry in _row_entries(run).values())


def _checked_parts(run: Run, cipher: Cipher, *, whole: bool) -> dict[str, list[Path]]:
    """Return the files of every artifact that was not purged; nothing is changed before all can be read."""
    entries = {name: entry for name, entry in _row_entries(run).items() if "purged" not in entry}
    paths = {name: _inside(run, run.folder / entry["path"]) for name, entry in entries.items()}
    for leftover in _leftovers(run, paths.values()):
        _remove(leftover)
    faults = {name: artifact_fault(path, entries[name]) for name, path in paths.items()}
    if not whole:  # hashes of what an interrupted removal has written are not in the manifest yet
        faults = {name: fault for name, fault in faults.items() if fault == "is missing"}
    parts = {name: parts_of(path) for name, path in paths.items() if not faults.get(name)}
    for name, part in ((name, part) for name, files in parts.items() for part in files):
        cipher.check(part)
        if "applicant_id" not in pl.scan_parquet(part, glob=False, **cipher.reading).collect_schema():
            faults[name] = "has no column applicant_id"
    found = [f"{name} {fault}" for name, fault in faults.items() if fault]
    if found:
        raise RunError(f"{run.run_id}: nobody was removed", [*found, "run the study again, then forget"])
    return parts


def _scan(part: Path, people: Collection[int], cipher: Cipher) -> pl.LazyFrame:
    rows = pl.scan_parquet(part, glob=False, **cipher.reading)
    return rows.filter(pl.col("applicant_id").is_in(list(people)))


def _rows_of(parts: Collection[Path], people: Collection[int], cipher: Cipher) -> dict[Path, int]:
    counts = {part: _scan(part, people, cipher).select(pl.len()).collect() for part in parts}
    return {part: int(count.item()) for part, count in counts.items()}


def _sample_of(parts: Collection[Path], person: int, cipher: Cipher) -> str:
    found = [_scan(part, [person], cipher).select("sample").collect()["sample"] for part in parts]
    return next((str(sample[0]) for sample in found if sample.len()), "")


def _write_without(part: Path, people: Collection[int], cipher: Cipher) -> None:
    rows = pl.read_parquet(part, glob=False, **cipher.reading)
    kept = rows.filter(~pl.col("applicant_id").is_in(list(people), nulls_equal=True))
    write_whole(part, lambda path: kept.write_parquet(path, **cipher.writing))


def _update_entries(run: Run, names: Iterable[str], cipher: Cipher, forgotten: int) -> None:
    entries = _row_entries(run)
    fresh = {}
    for name in names:
        path = run.folder / entries[name]["path"]
        tables = [pl.scan_parquet(part, glob=False, **cipher.reading) for part in parts_of(path)]
        rows = sum(table.select(pl.len()).collect().item() for table in tables)
        fresh[name] = {"bytes": size_of(path), "sha256": sha256_of(path), "rows": rows}

    def change(manifest: dict[str, Any]) -> None:
        manifest["forgotten"] = forgotten
        for name, values in fresh.items():
            manifest["artifacts"][name] |= values

    run.update(change)


def _leftovers(run: Run, listed: Iterable[Path]) -> list[Path]:
    """Return what may hold rows without an entry: hidden or unfinished files and rows of open stages."""
    found, listed = [], set(listed)
    for stage in STAGES:
        home = _inside(run, run.folder / stage)
        for base, folders, files in os.walk(home):
            rows = Path(base).is_relative_to(home / "rows")
            links = {name for name in folders if (Path(base) / name).is_symlink()}
            spare = {name for name in folders if name.startswith(".")} | (links if rows else set())
            folders[:] = [name for name in folders if name not in spare]
            spare |= {name for name in files if name.startswith(".") or name.endswith(".part")}
            named = any(Path(base).is_relative_to(path) for path in listed)
            if rows and not named:
                spare |= {name for name in files if Path(base) / name not in listed}
            found += [Path(base) / name for name in sorted(spare)]
    return found


def _inside(run: Run, path: Path) -> Path:
    if not path.resolve().is_relative_to(run.folder):
        right = "nothing outside the run folder is touched; restore the manifest or the folder"
        raise RunError(f"{run.run_id}: {path.name} leads out of the run folder", [right])
    return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
