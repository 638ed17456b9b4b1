"""Who is in the study: one row per application, with pseudonym, outcome, protected attributes and part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import polars as pl

from workbench.data.parts import LEFT_OUT, amount_measures, count_months
from workbench.data.reading import reading
from workbench.data.standard import Opened, Standard, fault, local, utc_day
from workbench.errors import DataError
from workbench.privacy.pseudonyms import pseudonymise
from workbench.sources import Source

PART_APPLICANTS = 25_000
MOST_REPEATED = 0.01


@dataclass(frozen=True)
class People:
    """The applicants: everyone the source knows, and the exclusion waterfall.

    `everyone` has source_id, applicant_id, application_time, vintage, default, `left_out` (why, or empty) and
    the declared columns; `consent` names the column without which an applicant is left out, if there is one.
    """

    everyone: pl.DataFrame
    issues: pl.DataFrame
    contracts: tuple[str, ...]
    consent: str = ""


def read_people(item: Opened, *, application_date: str, key: bytes | None) -> People:
    """Collect the applicants' table; ids become keyed pseudonyms, or stay as they are without a key.

    `application_date` is the date of every application where the source has no application_time. Raises
    DataError when ids are missing, repeat, or are no whole numbers and there is no key.
    """
    standard, source = item.standard, item.source
    with reading("applicants"):
        again = repeated_rows(item.raw, source.columns.get("applicant_id", "applicant_id"))
        frame = standard.table.collect().with_columns(again.alias("_duplicate"))
    ids = frame["applicant_id"]
    faults = []
    if ids.null_count():
        faults.append(f"applicant_id is missing in {ids.null_count():,} rows; every applicant needs one")
    if repeated := ids.drop_nulls().is_duplicated().sum():
        faults.append(f"{repeated:,} rows repeat an applicant_id; one row is one application")
    if "application_time" not in standard.columns and not application_date:
        faults.append("no application_time: map the column, or give data.application_date for all")
    whole = ids.cast(pl.Int64, strict=False) if key is None else None
    if whole is not None and whole.null_count() > ids.null_count():
        faults.append("ids are text, so they may be personal: name the pseudonym_key of the study")
    if faults:
        raise DataError("the applicants' source cannot be used", faults)
    if "application_time" not in standard.columns:
        fixed = pl.lit(datetime.fromisoformat(application_date), dtype=pl.Datetime("us"))
        frame = frame.with_columns(application_time=utc_day(fixed, source.time_zone))
    pseudonyms = pseudonymise(ids, key) if key else whole
    everyone = frame.rename({"applicant_id": "source_id"}).with_columns(
        pseudonyms.alias("applicant_id") if pseudonyms is not None else pl.lit(None),
        vintage=local(pl.col("application_time"), source.time_zone).dt.strftime("%Y-%m"),
    )
    issues = _issues(everyone, source, standard)
    return People(everyone.sort("applicant_id"), issues, standard.contracts, source.consent)


def repeated_rows(raw: pl.LazyFrame, key: str) -> pl.Series:
    """Mark rows that equal an earlier one, in the order of the key, in every column but the key.

    When more than one row in a hundred repeats, the columns are too few to tell people apart: none is marked.
    """
    frame = raw.with_row_index("_row").sort(pl.col(key).cast(pl.Int64, strict=False), key, "_row").collect()
    values = [c for c in frame.columns if c not in (key, "_row")]
    hashed = frame.with_columns(frame.select(values).hash_rows(seed=0).alias("_hash"))
    first = hashed.unique("_hash", keep="first", maintain_order=True)["_row"]
    if frame.height - first.len() > MOST_REPEATED * frame.height:
        return pl.Series("again", [False] * frame.height)
    marked = frame.select("_row", again=~pl.col("_row").is_in(first.implode()))
    return marked.sort("_row")["again"]


def exclude(
    people: People,
    *,
    actions: Mapping[str, str],
    performance_days: int,
    extracted_on: str,
    forgotten: Sequence[int],
    applicants: int,
    seed: int,
    keep_declined: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return everyone with the reason of those left out, and the exclusion waterfall.

    Left out, in this order: the forgotten, those without consent where the source asks for it, set-aside
    contracts and duplicates, no application time, no outcome known, performance window not over when the data
    were extracted, outside the random draw of `applicants` (0 keeps all). The waterfall has step, excluded,
    applicants (left), default_rate (of those left). With `keep_declined`, applicants without an outcome whom
    the lender declined (approved_before is 0) stay, for reject inference; the other steps and the draw hold
    for them as well. Raises DataError where `keep_declined` finds nobody.
    """
    frame = people.everyone
    steps: list[tuple[str, pl.Expr]] = [("in the source", pl.lit(False))]
    if forgotten:
        steps.append(("forgotten on request", pl.col("applicant_id").is_in(list(forgotten))))
    if people.consent:
        steps.append((f"no consent ({people.consent})", pl.col(people.consent).fill_null(0) != 1))
    steps += [
        (f"{name}: out of contract", fault(i))
        for i, name in enumerate(people.contracts)
        if actions[name] == "quarantine"
    ]
    if actions["duplicate"] == "quarantine":
        steps.append(("duplicates of an earlier applicant", pl.col("_duplicate")))
    steps.append(("no application time", pl.col("application_time").is_null()))
    steps.append(_without_outcome(frame, keep_declined))
    if extracted_on:
        end = datetime.fromisoformat(extracted_on)
        matured = pl.col("application_time") + pl.duration(days=performance_days) <= end
        steps.append(("performance window not over", ~matured))
    left = pl.Series("left_out", [""] * frame.height, dtype=pl.String)
    rows = []
    for step, flag in steps:
        hit = frame.select((flag.fill_null(False) & (pl.lit(left) == "")).alias("hit"))["hit"]
        left = left.zip_with(~hit, pl.Series([step] * frame.height))
        if hit.any() or not step.endswith("out of contract"):
            rows.append(_waterfall_row(step, int(hit.sum()), frame.filter(left == "")))
    if keep_declined:
        _check_declined(frame.filter(left == ""))
    kept = frame.filter(left == "")["applicant_id"]
    if 0 < applicants < kept.len():
        drawn = kept.sample(applicants, seed=seed)
        out = (left == "") & ~frame["applicant_id"].is_in(drawn.implode())
        step = f"outside the random draw of {applicants:,}"
        left = left.zip_with(~out, pl.Series([step] * frame.height))
        rows.append(_waterfall_row(step, int(out.sum()), frame.filter(left == "")))
    return frame.with_columns(left.alias("left_out")), pl.DataFrame(rows)


def index_of(everyone: pl.DataFrame, consents: Sequence[str]) -> pl.DataFrame:
    """Return what events are joined with: source_id, applicant_id, part (-2: left out), time, consents."""
    kept = everyone.filter(pl.col("left_out") == "").sort("applicant_id").select("applicant_id")
    numbered = kept.with_row_index("row").select(
        "applicant_id", part=(pl.col("row") // PART_APPLICANTS).cast(pl.Int32)
    )
    joined = everyone.join(numbered, on="applicant_id", how="left", maintain_order="left")
    return joined.select(
        "source_id",
        "applicant_id",
        pl.col("part").fill_null(LEFT_OUT),
        "application_time",
        *sorted(set(consents)),
    )


def applicant_rows(everyone: pl.DataFrame, index: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Return the applicants in the study as later stages read them: key, part, vintage, default, features.

    A feature that needs consent is missing where the applicant did not give it.
    """
    kept = everyone.filter(pl.col("left_out") == "").sort("applicant_id")
    parts = index.filter(pl.col("part") >= 0).select("applicant_id", "part")
    given = {
        c: pl.when(pl.col(f.consent) == 1).then(pl.col(c)) for c, f in source.features.items() if f.consent
    }
    kept = kept.with_columns(**{c: value for c, value in given.items() if c in kept.columns})
    extra = [c for c in ("approved_before", *source.features) if c in kept.columns]
    return kept.join(parts, on="applicant_id", maintain_order="left").select(
        "applicant_id", "part", "vintage", "default", *extra
    )


def protected_rows(
    everyone: pl.DataFrame, protected: Sequence[str], starts: Sequence[int], *, zone: str = "UTC"
) -> pl.DataFrame:
    """Return applicant_id and the protected attributes; `age`, or `birth_date`, becomes `age_band`.

    [30, 62] gives the bands 'under 30', '30 to 61' and '62 and over', as an Enum, which sorts by age; a
    missing age stays missing. Birthdays are days of the applicants' time zone.
    """
    rows = everyone.filter(pl.col("left_out") == "").sort("applicant_id")
    if "birth_date" in protected:
        born, applied = (local(pl.col(name), zone) for name in ("birth_date", "application_time"))
        had_birthday = applied.dt.strftime("%m%d") >= born.dt.strftime("%m%d")
        rows = rows.with_columns(age=applied.dt.year() - born.dt.year() - (~had_birthday).cast(pl.Int32))
    names = [name for name in protected if name not in ("age", "birth_date")]
    if len(names) == len(protected):
        return rows.select("applicant_id", *names)
    labels = [f"under {starts[0]}"]
    labels += [f"{low} to {high - 1}" for low, high in pairwise(starts)]
    labels += [f"{starts[-1]} and over"]
    reached = pl.sum_horizontal((pl.col("age") >= start).cast(pl.Int32) for start in starts)
    named = reached.replace_strict(dict(enumerate(labels)), return_dtype=pl.Enum(labels))
    band = pl.when(pl.col("age").is_not_null()).then(named)
    place = min(i for i, name in enumerate(protected) if name in ("age", "birth_date"))
    return rows.with_columns(age_band=band).select("applicant_id", *names[:place], "age_band", *names[place:])


def _issues(everyone: pl.DataFrame, source: Source, standard: Standard) -> pl.DataFrame:
    """Count the applicants' faults as the parts of events are counted."""
    applied = local(pl.col("application_time"), source.time_zone)
    month = applied.dt.year().cast(pl.Int32) * 100 + applied.dt.month()
    types = {
        c: source.all_types[c] for c in standard.columns if c not in ("applicant_id", "application_time")
    }
    measures = {"rows": pl.len().cast(pl.Float64), "duplicate": pl.col("_duplicate").sum().cast(pl.Float64)}
    measures |= {
        f"out_of_contract:{c}": fault(i).sum().cast(pl.Float64) for i, c in enumerate(standard.contracts)
    }
    measures |= {f"missing:{c}": pl.col(c).null_count().cast(pl.Float64) for c in types if c != "default"}
    measures |= amount_measures([c for c, asked in types.items() if asked in ("money", "integer", "number")])
    categories = [c for c, asked in types.items() if asked == "category"]
    dated = everyone.with_columns(month=month)
    return count_months("applicants", dated, measures, categories)


def _without_outcome(everyone: pl.DataFrame, keep_declined: bool) -> tuple[str, pl.Expr]:
    """Return the step that leaves out those without an outcome, all or but the declined."""
    unknown = pl.col("default").is_null()
    if not keep_declined:
        return "no outcome known (declined before, or missing)", unknown
    if "approved_before" not in everyone.columns:
        right = "map approved_before (0: declined), or set data.keep_declined to false"
        raise DataError("data.keep_declined: the applicants' source does not say who was declined", [right])
    return "no outcome known, though not declined", unknown & (pl.col("approved_before").fill_null(1) != 0)


def _check_declined(kept: pl.DataFrame) -> None:
    if not kept["default"].null_count():
        found = f"of {kept.height:,} applicants none has approved_before 0 and no outcome"
        raise DataError(
            "data.keep_declined: nobody in the study was declined",
            [found, "set data.keep_declined to false"],
        )


def _waterfall_row(step: str, excluded: int, left: pl.DataFrame) -> dict[str, object]:
    return {
        "step": step,
        "excluded": excluded,
        "applicants": left.height,
        "default_rate": left["default"].mean(),
    }
