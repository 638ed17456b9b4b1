"""Development, calibration and holdout samples, and the declined where they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from workbench.errors import DataError, near_name
from workbench.statistics.proportions import wilson_bounds

SAMPLES = ("development", "calibration", "holdout")
OUT_OF_TIME = "out_of_time"
DECLINED = "declined"
LEAST_DEFAULTS = 20
NOT_KNOWN = "not known"
SHARES_TOLERANCE = 0.01


def draw_samples(
    applicants: pl.DataFrame, *, shares: Mapping[str, float], out_of_time_from: str = "", seed: int
) -> pl.DataFrame:
    """Assign every applicant to one sample, at random within defaults and within goods.

    Parameters: `applicants` with applicant_id, default and vintage (month of application); `shares` of the
    three samples, adding up to 1. Applications from the month `out_of_time_from` on are the out-of-time
    sample, which is never fitted on. Applicants without a default, of any month, are the declined sample
    (`exclude` with keep_declined); they change no other sample. Returns applicant_id, sample and vintage,
    sorted by applicant_id. Raises DataError when a sample would hold fewer than 20 defaults or goods.
    """
    declined = applicants.filter(pl.col("default").is_null()).select("applicant_id", sample=pl.lit(DECLINED))
    everyone, applicants = applicants, applicants.filter(pl.col("default").is_not_null())
    generator = np.random.default_rng(seed)
    late = pl.col("vintage") >= out_of_time_from if out_of_time_from else pl.lit(False)
    later = applicants.filter(late).select("applicant_id", sample=pl.lit(OUT_OF_TIME))
    if out_of_time_from and not 0 < later.height < applicants.height:
        raise DataError(
            f"data.out_of_time_from {out_of_time_from}: {later.height:,} of {applicants.height:,} rows",
            [f"applications are from {applicants['vintage'].min()!s} to {applicants['vintage'].max()!s}"],
        )
    earlier = applicants.filter(~late).group_by("default")
    parts = [
        _assign(group["applicant_id"].sort(), shares, generator)
        for _, group in sorted(earlier, key=lambda item: str(item[0]))
    ]
    judged = pl.concat([*parts, later])
    _check_sizes(sample_table(judged, applicants))
    samples = pl.concat([judged, declined]).sort("applicant_id")
    return samples.join(everyone.select("applicant_id", "vintage"), on="applicant_id", maintain_order="left")


def sample_table(samples: pl.DataFrame, applicants: pl.DataFrame) -> pl.DataFrame:
    """Return applicants, defaults, goods and default_rate of each sample, in the order of their use.

    The declined, where there are any, come last and have no outcome: only their number is known.
    """
    counts = (
        samples.join(applicants, on="applicant_id")
        .group_by("sample")
        .agg(pl.len().cast(pl.Int64).alias("applicants"), pl.col("default").sum().alias("defaults"))
    )
    used = [*SAMPLES, *(name for name in (OUT_OF_TIME, DECLINED) if name in counts["sample"])]
    order = pl.DataFrame({"sample": used})
    filled = order.join(counts, on="sample", how="left", maintain_order="left").fill_null(0)
    known = pl.when(pl.col("sample") != DECLINED)
    return filled.with_columns(known.then("defaults")).with_columns(
        (pl.col("applicants") - pl.col("defaults")).alias("goods"),
        (pl.col("defaults") / pl.col("applicants")).alias("default_rate"),
    )


def group_table(protected: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Return attribute, group and the number of applicants of each group in all and in the holdout sample.

    Groups are sorted, age bands by age; the last one is "not known", where there is any such applicant.
    """
    frame = protected.join(samples, on="applicant_id")
    tables = [
        frame.group_by(pl.col(name).alias("group"))
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            (pl.col("sample") == "holdout").sum().cast(pl.Int64).alias("holdout"),
        )
        .sort("group", nulls_last=True)
        .with_columns(pl.col("group").cast(pl.String).fill_null(NOT_KNOWN))
        .select(pl.lit(name).alias("attribute"), pl.all())
        for name in protected.columns
        if name != "applicant_id"
    ]
    schema = {"attribute": pl.String, "group": pl.String, "applicants": pl.Int64, "holdout": pl.Int64}
    whole = pl.concat([pl.DataFrame(schema=schema), *tables])
    return whole.group_by("attribute", "group", maintain_order=True).sum()


def vintage_table(applicants: pl.DataFrame) -> pl.DataFrame:
    """Return vintage, applicants, defaults and default_rate of those with an outcome, oldest first."""
    return (
        applicants.filter(pl.col("default").is_not_null())
        .group_by("vintage")
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            pl.col("default").sum().alias("defaults"),
            pl.col("default").mean().alias("default_rate"),
        )
        .sort("vintage")
    )


def representativeness_table(
    groups: pl.DataFrame, reference: pl.DataFrame | None, *, level: float
) -> pl.DataFrame:
    """Compare the shares of groups in the study with a reference population's.

    `groups` is a group table; `reference` has attribute, group and share, for one attribute or more. Returns
    attribute, group, applicants (0: the study has nobody of the group), share (of the attribute's applicants
    whose group is known), low, high (Wilson), reference (missing: not a group of the reference), difference
    (share minus reference; 0 = as frequent as in the reference), in the reference's order. Empty without a
    reference. Raises DataError when a column is missing, or with every fault: an attribute that is no
    protected one, none of an attribute's groups in the study, shares that do not add up to 1 (within 0.01).
    """
    if reference is None:
        return pl.DataFrame(schema=_COMPARED)
    wanted = _reference_shares(reference)
    if faults := list(_reference_faults(wanted, groups)):
        raise DataError("data.reference cannot be compared with the study", faults)
    named = wanted["attribute"].unique(maintain_order=True)
    mine = groups.filter(pl.col("attribute").is_in(named.implode()))
    joined = wanted.join(
        mine, on=["attribute", "group"], how="full", coalesce=True, maintain_order="left_right"
    ).with_columns(pl.col("applicants").fill_null(0))
    unknown = (pl.col("group") == NOT_KNOWN) & pl.col("reference").is_null()
    known = pl.when(~unknown).then("applicants")
    shares = joined.with_columns(hits=known.fill_null(0), total=known.sum().over("attribute"))
    low, high = wilson_bounds(shares["hits"], shares["total"], level=level)
    found = shares.with_columns(share=known / pl.col("total"), low=pl.Series(low), high=pl.Series(high))
    bounds = [pl.when(~unknown).then(name).alias(name) for name in ("low", "high")]
    compared = found.with_columns(*bounds, difference=pl.col("share") - pl.col("reference"))
    place = pl.col("attribute").replace_strict({name: i for i, name in enumerate(named)})
    return compared.sort(place, maintain_order=True).select(*_COMPARED)


_COMPARED = {"attribute": pl.String, "group": pl.String, "applicants": pl.Int64} | dict.fromkeys(
    ("share", "low", "high", "reference", "difference"), pl.Float64
)


def _reference_shares(reference: pl.DataFrame) -> pl.DataFrame:
    missing = [c for c in ("attribute", "group", "share") if c not in reference.columns]
    if missing:
        raise DataError(
            "data.reference: a table of attribute, group, share", [f"no column {c!r}" for c in missing]
        )
    return reference.select(
        pl.col("attribute", "group").cast(pl.String),
        reference=pl.col("share").cast(pl.Float64, strict=False).fill_nan(None),
    )


def _reference_faults(wanted: pl.DataFrame, groups: pl.DataFrame) -> Iterator[str]:
    usable = ~pl.any_horizontal(pl.all().is_null()) & pl.col("reference").is_between(0, 1)
    if broken := wanted.height - wanted.filter(usable).height:
        yield f"{broken:,} rows without an attribute, a group or a share from 0 to 1; each needs all three"
    if repeated := int(wanted.select("attribute", "group").is_duplicated().sum()):
        yield f"{repeated:,} rows repeat an attribute and group; one row for each is right"
    known = groups["attribute"].unique(maintain_order=True).to_list()
    for (name,), rows in wanted.drop_nulls("attribute").group_by("attribute", maintain_order=True):
        attribute, mine = str(name), groups.filter(attribute=name)
        if attribute not in known:
            right = f"those are {', '.join(known)}" if known else "there is none"
            yield f"{attribute}: no protected attribute{near_name(attribute, known)}; {right}"
        elif mine.join(rows, on=["attribute", "group"]).is_empty():
            largest = mine.sort(pl.col("group") == NOT_KNOWN, -pl.col("applicants"))["group"][0]
            found = f"none of its {rows.height} groups is in the study"
            yield f"{attribute}: {found}; spell them as there, such as {largest!r}"
        total = float(rows["reference"].sum())
        if round(abs(total - 1), 9) > SHARES_TOLERANCE:
            yield f"{attribute}: shares add up to {total:g}; 1 is right"


def _assign(ids: pl.Series, shares: Mapping[str, float], generator: np.random.Generator) -> pl.DataFrame:
    shuffled = ids.gather(generator.permutation(ids.len()))
    ends = np.round(np.cumsum([shares[name] for name in SAMPLES]) * ids.len()).astype(int)
    names = np.repeat(SAMPLES, np.diff(ends, prepend=0))
    return pl.DataFrame({"applicant_id": shuffled, "sample": names})


def _check_sizes(table: pl.DataFrame) -> None:
    faults = [
        f"{row['sample']}: {row['defaults']:,} defaults and {row['goods']:,} goods; "
        f"at least {LEAST_DEFAULTS} of each"
        for row in table.iter_rows(named=True)
        if min(row["defaults"] or 0, row["goods"] or 0) < LEAST_DEFAULTS
    ]
    if faults:
        raise DataError("samples too small to fit, calibrate or judge a model", faults)
