"""A stage as its notebook sees it: what it reads, writes, states and checks."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from workbench.engine import Engine, choose_engine
from workbench.errors import DataError, RunError
from workbench.facts import Fact, facts_table, make_fact
from workbench.params import ROOT
from workbench.privacy.encryption import Cipher, open_cipher
from workbench.privacy.pseudonyms import read_key
from workbench.private import PrivateFolder
from workbench.run import SCRATCH, UNFINISHED, Kind, Run, describe_artifact, parts_of
from workbench.statistics.estimate import Estimate
from workbench.store import digest, read_json, write_json, write_whole


class Stage:
    """One stage of a run, from its first read to its facts."""

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name = run, name
        self.folder = run.folder / name
        self._artifacts: dict[str, dict[str, Any]] = {}
        self._reads: dict[str, str] = {}
        self._facts: dict[str, Fact] = {}
        self._private: list[PrivateFolder] = []
        self._notes: list[str] = []
        run.update(self._begin)

    @property
    def engine(self) -> Engine:
        """The engine that the run was started with."""
        engine = self.run.manifest["engine"]
        return choose_engine(engine["name"], engine.get("scheduler", ""))

    @property
    def cipher(self) -> Cipher:
        """What reading and writing row-level tables needs; nothing is encrypted unless the study says so."""
        return open_cipher(self.run.manifest.get("encryption_key", ""))

    def path(self, artifact: str) -> Path:
        """Return the path of another stage's artifact, checked against the manifest and noted as read."""
        entry = self.run.entry(artifact)
        readers = entry.get("readers")
        if readers and self.name not in readers:
            raise RunError(
                f"stage {self.name} may not read {artifact}",
                [f"protected attributes judge the model and never enter it; readers: {', '.join(readers)}"],
            )
        self._reads[artifact] = entry["sha256"]
        return self.run.checked_path(artifact)

    def read(self, artifact: str) -> pl.DataFrame:
        """Read another stage's table."""
        path = self.path(artifact)
        cipher = self.cipher if self.run.entry(artifact)["sensitivity"] == "row" else Cipher()
        if cipher.key:
            cipher.check(parts_of(path)[0])
        return pl.read_parquet(parts_of(path), glob=False, **cipher.reading)

    def scan(self, artifact: str) -> pl.LazyFrame:
        """Open another stage's row-level table without reading its rows."""
        return pl.scan_parquet(parts_of(self.path(artifact)), glob=False, **self.cipher.reading)

    @property
    def reads_sha256(self) -> str:
        """One digest of all that the stage has read of other stages so far."""
        return digest(self._reads)

    def read_json(self, artifact: str) -> Any:
        """Read another stage's JSON artifact."""
        return read_json(self.path(artifact))

    @property
    def root(self) -> Path:
        """The folder that a study's relative paths start from: the repository."""
        return ROOT

    @property
    def pseudonym_key(self) -> bytes | None:
        """The key of the pseudonyms, from the environment variable that the study names; None without one."""
        variable = self.run.manifest.get("pseudonym_key", "")
        return read_key(variable) if variable else None

    def forgotten(self) -> list[int]:
        """Return the pseudonyms of people who asked to be forgotten in this run."""
        path = self.run.folder / "forgotten.json"
        pseudonyms: list[int] = read_json(path)["pseudonyms"] if path.is_file() else []
        return pseudonyms

    def save_rows(
        self, name: str, frame: pl.DataFrame, *, key: Sequence[str], about: str, readers: Sequence[str] = ()
    ) -> None:
        """Save a row-level table; its key must be unique, and `readers` limits who may read it."""
        repeated = frame.select(pl.struct(list(key)).is_duplicated().sum()).item()
        if repeated:
            raise DataError(f"{self.name}/{name}: {repeated:,} rows repeat the key {', '.join(key)}")
        extra = {"readers": list(readers)} if readers else {}
        unit = " and ".join(part.removesuffix("_id") for part in key)
        self._save_parquet(name, frame, "rows", unit=unit, key=list(key), about=about, **extra)

    def scratch(self) -> Path:
        """Return an empty folder inside the run for rows on their way: protected ones, no copies of sources.

        It goes when the stage closes or fails, and at the latest when the next run starts.
        """
        folder = self.folder / SCRATCH
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def spool(self, rows: pl.LazyFrame, folder: Path, *, batch_rows: int) -> pl.LazyFrame:
        """Write rows to one Parquet file, encrypted as the run's are: its slices then cost what they hold."""
        path = folder / "rows.parquet"
        rows.sink_parquet(path, row_group_size=batch_rows, **self.cipher.writing)
        return pl.scan_parquet(path, glob=False, **self.cipher.reading)

    def unfinished(self) -> Path:
        """Return the folder for checkpoints and journals: kept when the stage fails, gone when it closes."""
        folder = self.run.folder / UNFINISHED / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def private(self) -> Path:
        """Return a new private folder outside the run (below TMPDIR) for copies of raw sources.

        It lasts until the stage closes, so that sources can be read lazily, and goes when the stage fails.
        """
        self._private.append(PrivateFolder())
        return self._private[-1].path

    def save_parts(
        self, name: str, folder: Path, *, unit: str, about: str, readers: Sequence[str] = ()
    ) -> None:
        """Take a folder of row-level Parquet parts into the run in place of what was there."""
        target = self.folder / "rows" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
        extra = {"readers": list(readers)} if readers else {}
        table = pl.scan_parquet(parts_of(target), glob=False, **self.cipher.reading)
        columns, rows = list(table.collect_schema()), table.select(pl.len()).collect().item()
        key = ["applicant_id"]
        self._note(name, target, "rows", rows=rows, columns=columns, unit=unit, key=key, about=about, **extra)

    def save_folders(
        self, folder: Path, *, about: Mapping[str, str], readers: Mapping[str, Sequence[str]]
    ) -> None:
        """Take every folder of parts inside `folder` into the run under its name."""
        for place in sorted(folder.iterdir()) if folder.is_dir() else []:
            source = place.name.removesuffix("_set_aside")
            text = (
                about[source]
                if source == place.name
                else f"Rows of {source} that were set aside, with reason"
            )
            self.save_parts(place.name, place, unit="event", about=text, readers=readers.get(source, ()))

    def save_table(self, name: str, frame: pl.DataFrame, *, unit: str, about: str) -> None:
        """Save an aggregate table; `unit` is what one of its rows is."""
        self._save_parquet(name, frame, "tables", unit=unit, key=[], about=about)

    def save_model(self, name: str, content: bytes, *, suffix: str, about: str) -> None:
        """Save a model as the bytes of an open format (UBJSON, ONNX)."""
        path = self.folder / "models" / f"{name}.{suffix}"
        write_whole(path, lambda temporary: temporary.write_bytes(content))
        self._note(name, path, "models", unit="model", key=[], about=about)

    def save_models(self, models: Mapping[str, bytes], *, suffix: str, about: str) -> None:
        """Save every model under its name."""
        for name, content in models.items():
            self.save_model(name, content, suffix=suffix, about=about)

    def save_json(self, name: str, values: Mapping[str, Any], *, about: str) -> None:
        """Save a small JSON object, such as a calibration."""
        path = self.folder / "models" / f"{name}.json"
        write_json(path, dict(values))
        self._note(name, path, "models", unit="model", key=[], about=about)

    def save_journal(self, path: Path, *, about: str) -> None:
        """Take a journal (with times of day, so never the same bytes twice) out of the unfinished work."""
        target = self.folder / "journals" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        self._note(path.stem, target, "journals", unit="event", key=[], about=about)

    def note(self, *sentences: str) -> None:
        """Tell whoever runs the stage what was refused or cut short; the manifest keeps it."""
        self._notes += sentences

    def fact(
        self,
        name: str,
        value: Estimate | float | int | str | None,
        *,
        about: str,
        unit: str = "",
        at_least: float | None = None,
        at_most: float | None = None,
        line_source: str = "",
    ) -> Fact:
        """Record `<stage>.<name>`; with a line, the fact says whether its whole interval holds it."""
        fact = make_fact(
            f"{self.name}.{name}",
            value,
            about=about,
            unit=unit,
            at_least=at_least,
            at_most=at_most,
            line_source=line_source,
        )
        for known in self._facts:
            if known.startswith(f"{fact.id}.") or fact.id.startswith(f"{known}."):
                raise ValueError(f"fact {fact.id} and fact {known}: one name begins the other")
        self._facts[fact.id] = fact
        return fact

    def fact_rows(
        self,
        frame: pl.DataFrame,
        *,
        name: Sequence[str],
        about: str,
        lines: Mapping[str, tuple[float | None, float | None]],
        line_source: str,
    ) -> None:
        """Record one fact per row of a table with value, low, high, level, method and, if it has one, unit.

        The columns in `name` make the fact's id; `about` is a format over the row's columns; `lines` maps the
        last of the name columns to (at_least, at_most).
        """
        for row in frame.iter_rows(named=True):
            at_least, at_most = lines.get(row[name[-1]], (None, None))
            interval = {key: row[key] for key in ("value", "low", "high", "level", "method")}
            self.fact(
                ".".join(str(row[column]) for column in name),
                Estimate(**interval),
                about=about.format(**row),
                unit=row.get("unit", ""),
                at_least=at_least,
                at_most=at_most,
                line_source=line_source if (at_least, at_most) != (None, None) else "",
            )

    def facts(self, *names: str) -> pl.DataFrame:
        """Return the facts recorded so far, or those with these names, as a table."""
        wanted = [f"{self.name}.{name}" for name in names] or list(self._facts)
        return facts_table(self._facts[name] for name in wanted)

    def check(self, checks: Mapping[str, bool]) -> pl.DataFrame:
        """Stop the run when a check fails, naming every one that did; returns the checks as a table."""
        failed = [name for name, passed in checks.items() if not passed]
        if failed:
            raise DataError(f"stage {self.name}: {len(failed)} of {len(checks)} checks failed", failed)
        return pl.DataFrame({"check": list(checks), "passed": [bool(v) for v in checks.values()]})

    def close(self) -> pl.DataFrame:
        """Write the facts, tell the manifest what was written, and return the facts as a table."""
        path = self.folder / "facts.json"
        write_json(path, [fact.as_dict() for fact in self._facts.values()])
        self._note("facts", path, "facts", unit="fact", key=["id"], about=f"Facts of the stage {self.name}")
        for left in (self.folder / SCRATCH, self.run.folder / UNFINISHED / self.name):
            shutil.rmtree(left, ignore_errors=True)
        for private in self._private:
            private.close()
        self.run.update(self._finish)
        return self.facts()

    def _save_parquet(self, name: str, frame: pl.DataFrame, kind: Kind, **about: Any) -> None:
        path = self.folder / kind / f"{name}.parquet"
        cipher = self.cipher if kind == "rows" else Cipher()
        write_whole(path, lambda temporary: frame.write_parquet(temporary, **cipher.writing))
        self._note(name, path, kind, rows=frame.height, columns=frame.columns, **about)

    def _note(self, name: str, path: Path, kind: Kind, **about: Any) -> None:
        entry = describe_artifact(path, self.run.folder, self.name, kind, **about)
        self._artifacts[f"{self.name}/{name}"] = entry

    def _begin(self, manifest: dict[str, Any]) -> None:
        """Forget what the stage wrote before: until it closes, it vouches for nothing."""
        manifest["stages"][self.name] = {"state": "open"}
        for name in [n for n, entry in manifest["artifacts"].items() if entry["stage"] == self.name]:
            del manifest["artifacts"][name]

    def _finish(self, manifest: dict[str, Any]) -> None:
        manifest["artifacts"] |= self._artifacts
        manifest["stages"][self.name] = {
            "state": "by hand",
            "reads": dict(sorted(self._reads.items())),
            "notes": self._notes,
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
