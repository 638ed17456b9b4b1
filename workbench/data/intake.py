"""Sources on their way into a run: opened, protected, staged by part, counted, kept or set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from workbench.data import parts as cutting
from workbench.data.quality import actions_of, add_up
from workbench.data.reading import reading, scan_source
from workbench.data.standard import Opened, Standard, standardise
from workbench.errors import DataError
from workbench.kinds import KINDS
from workbench.privacy.encryption import open_cipher
from workbench.sources import Source

# Where a row of a source goes before parts are looked at.
PLACES = ("without_consent", "unknown_applicant", "left_out", "staged")
_NO_LIMIT = 100_000
_NUMBERS = ("money", "integer", "number")
Map = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]


def open_sources(sources: Mapping[str, Source], *, root: Path, scratch: Path) -> dict[str, Opened]:
    """Open every source in standard columns; raises DataError with the faults of all of them."""
    opened, faults = {}, []
    for name, source in sources.items():
        try:
            raw = scan_source(name, source, root=root, scratch=scratch)
            opened[name] = Opened(source, raw, standardise(name, source, raw))
        except DataError as error:
            faults += [error.summary, *(f"  {fault}" for fault in error.faults)]
    if faults:
        raise DataError(f"{len(sources) - len(opened)} of {len(sources)} sources cannot be read", faults)
    return opened


def inventory(opened: Mapping[str, Opened], cost_only: Sequence[str]) -> pl.DataFrame:
    """Return source, kind, data_category, consent, columns (read), unread (left alone), use, about."""
    rows = [
        {
            "source": name,
            "kind": item.source.kind,
            "data_category": item.source.data_category,
            "consent": item.source.consent or "not asked for",
            "columns": len(item.standard.columns),
            "unread": len(item.standard.unread),
            "use": "cost only" if name in cost_only else "model",
            "about": item.source.about,
        }
        for name, item in opened.items()
    ]
    return pl.DataFrame(rows)


def applicants_of(opened: Mapping[str, Opened]) -> Opened:
    """Return the applicants' source."""
    return next(item for item in opened.values() if item.source.kind == "applicants")


def consents_of(opened: Mapping[str, Opened]) -> list[str]:
    """Return the consent columns that sources name."""
    return sorted({item.source.consent for item in opened.values() if item.source.consent})


def actions_by_source(opened: Mapping[str, Opened], severity: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the action for every issue and contract of every source."""
    return {
        name: actions_of(
            severity, item.source.severity, item.standard.contracts, people=item.source.kind == "applicants"
        )
        for name, item in opened.items()
    }


def stage_events(
    opened: Mapping[str, Opened], people: pl.DataFrame, *, folder: Path, cipher: str
) -> pl.DataFrame:
    """Stream every source but the applicants' into one folder per part: source and its rows by PLACES.

    Raises DataError for sources of which no row is of an applicant: another column holds the ids.
    """
    events = {name: item for name, item in opened.items() if item.source.kind != "applicants"}
    staged = {name: _stage(name, item, people, folder=folder, cipher=cipher) for name, item in events.items()}
    lost = {name: rows for name, rows in staged.items() if rows["unknown_applicant"] == sum(rows.values())}
    if lost:
        faults = [f"{name}: {sum(rows.values()):,} rows, none of an applicant" for name, rows in lost.items()]
        right = (
            "map applicant_id to the column that holds the ids of the applicants' source, spelled as there"
        )
        raise DataError(f"{len(lost)} source(s) of nobody in the study", [*faults, right])
    accounts = [{"source": name, **rows} for name, rows in staged.items()]
    return pl.DataFrame(accounts, schema={"source": pl.String} | dict.fromkeys(PLACES, pl.Int64))


def plan_parts(
    opened: Mapping[str, Opened],
    people: pl.DataFrame,
    *,
    folder: Path,
    observation_days: int,
    late_days: int,
    severity: Mapping[str, str],
    cipher: str,
) -> list[cutting.Part]:
    """Return the parts of all staged sources with what counting and finishing them needs."""
    actions = actions_by_source(opened, severity)
    numbers = [*range(_parts(people)), cutting.UNKNOWN]
    planned = []
    for name, item in opened.items():
        types = {c: t for c, t in item.source.all_types.items() if c in item.standard.columns}
        single = KINDS[item.source.kind].role == "snapshot"
        whole = cutting.Part(
            source=name,
            number=0,
            staged="",
            observation_days=_NO_LIMIT if single else observation_days,
            late_days=late_days,
            contracts=item.standard.contracts,
            amounts=tuple(c for c, t in types.items() if t in (_NUMBERS if single else ("money",))),
            categories=tuple(c for c, t in types.items() if t == "category"),
            actions=actions[name],
            cipher=cipher,
            single=single,
            clocked=item.source.kind in ("topups", "transactions", "posts"),
        )
        staged = [replace(whole, number=n, staged=str(folder / name / f"part={n}")) for n in numbers]
        planned += [part for part in staged if Path(part.staged).is_dir()]
    return planned


def count_parts(planned: Sequence[cutting.Part], issues: pl.DataFrame, run: Map) -> pl.DataFrame:
    """Count every part and add the counts up, together with those of the applicants."""
    return add_up([issues, *run(cutting.count_part, planned)])


def finish_parts(
    planned: Iterable[cutting.Part], findings: pl.DataFrame, *, target: Path, run: Map
) -> pl.DataFrame:
    """Write what is kept and what is set aside; returns source and its rows by each of OUTCOMES."""
    tasks = []
    for part in planned:
        if part.number == cutting.UNKNOWN:
            continue
        months = findings.filter(
            pl.col("source") == part.source,
            pl.col("action") == "quarantine",
            pl.col("issue").is_in(["volume", "missing", "unit_shift", "category_shift"]),
        )
        aside = {
            issue: tuple(str(m) for m in group["month"].unique().sort())
            for (issue,), group in months.group_by("issue", maintain_order=True)
        }
        file = f"part-{part.number:04}.parquet"
        for place in (target / part.source, target / f"{part.source}_set_aside"):
            place.mkdir(parents=True, exist_ok=True)
        tasks.append(
            replace(
                part,
                set_aside=aside,
                target=str(target / part.source / file),
                aside=str(target / f"{part.source}_set_aside" / file),
            )
        )
    done = run(cutting.finish_part, tasks)
    for place in target.glob("*_set_aside"):
        if not any(place.iterdir()):
            place.rmdir()
    schema = {"source": pl.String} | dict.fromkeys(cutting.OUTCOMES, pl.Int64)
    counts = pl.DataFrame(
        [{"source": t.source, **d} for t, d in zip(tasks, done, strict=True)], schema=schema
    )
    return counts.group_by("source", maintain_order=True).sum()


def about(opened: Mapping[str, Opened]) -> dict[str, str]:
    """Return what each source is, by name: its kind and the study's own words."""
    return {name: f"{item.source.kind}: {item.source.about}" for name, item in opened.items()}


def ledger(staged: pl.DataFrame, written: pl.DataFrame) -> pl.DataFrame:
    """Return what became of the rows of each source.

    Columns, each row being counted in one of them but `read`, which is their sum: source, read,
    without_consent, unknown_applicant, left_out (with their applicants), set_aside, undated,
    after_application, recorded_after, outside_window, superseded (a newer row of the applicant is kept),
    kept. Raises DataError when parts hold other rows than were staged.
    """
    table = staged.join(written, on="source", how="left", maintain_order="left").fill_null(0)
    lost = table.filter(pl.col("staged") != pl.sum_horizontal(cutting.OUTCOMES))["source"].to_list()
    if lost:
        raise DataError(
            f"rows were lost between staging and parts: {', '.join(lost)}", ["run the stage again"]
        )
    order = (*PLACES[:3], *cutting.OUTCOMES)
    return table.select("source", pl.sum_horizontal(PLACES).alias("read"), *order)


def _parts(people: pl.DataFrame) -> int:
    most = people["part"].max()
    return int(most) + 1 if isinstance(most, int) else 0


def _stage(name: str, item: Opened, people: pl.DataFrame, *, folder: Path, cipher: str) -> dict[str, int]:
    source, standard = item.source, item.standard
    joined = cutting.join_people(source, standard, people.lazy())
    rows = cutting.timed(source, joined, standard.columns)
    with reading(name):
        cutting.write_staged(rows, folder / name, cipher)
    empty = rows.collect_schema().to_frame().drop("part")
    for number in range(_parts(people)):
        place = folder / name / f"part={number}"
        if not place.is_dir():
            place.mkdir(parents=True)
            empty.write_parquet(place / "0.parquet", **open_cipher(cipher).writing)
    return _account(source, standard, people)


def _account(source: Source, standard: Standard, people: pl.DataFrame) -> dict[str, int]:
    """Count every row of a source by what became of it on the way to its part, each in one place."""
    part = pl.col("part")
    consent = pl.col(source.consent) == 1 if source.consent else pl.lit(True)
    place = (
        pl.when(part.is_null())
        .then(pl.lit("unknown_applicant"))
        .when(part == cutting.LEFT_OUT)
        .then(pl.lit("left_out"))
        .when(~consent.fill_null(False))
        .then(pl.lit("without_consent"))
        .otherwise(pl.lit("staged"))
    )
    joined = standard.table.select("applicant_id").join(
        people.lazy(), left_on="applicant_id", right_on="source_id", how="left"
    )
    counted = joined.group_by(place.alias("place")).len().collect(engine="streaming")
    return dict.fromkeys(PLACES, 0) | dict(counted.iter_rows())


def views(opened: Mapping[str, Opened], cost_only: Sequence[str]) -> list[dict[str, Any]]:
    """Return what later stages must know of each source, without its place."""
    return [
        {
            "name": name,
            "kind": item.source.kind,
            "data_category": item.source.data_category,
            "needs_consent": bool(item.source.consent),
            "columns": sorted(item.standard.columns),
            "declared": [
                {
                    "name": c,
                    **f.model_dump(exclude={"consent"}),
                    "data_category": f.data_category or item.source.data_category,
                }
                for c, f in item.source.features.items()
            ],
            "contract": {
                c: item.source.contract[c].model_dump(exclude={"allowed"})
                for c in item.source.features
                if c in item.source.contract
            },
            "use": "cost only" if name in cost_only else "model",
        }
        for name, item in opened.items()
    ]
