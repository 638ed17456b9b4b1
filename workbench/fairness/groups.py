"""Which groups are there, alone and crossed, and which of them may be judged or compared with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import DataError, near_name
from workbench.statistics.samples import raise_faults

Labels = Sequence[object] | NDArray[Any] | pl.Series
SmallGroups = Literal["suppress", "pool"]
NOT_KNOWN = "not known"
UNKNOWN_NOTE = "the attribute is not known"
OTHERS = "other groups"
CROSS = " x "
LARGEST, MOST_FAVOURED = "largest", "most_favoured"
MOST_MISSING = 0.5
"""Largest share of applicants whose attribute may be missing."""


class Reference(NamedTuple):
    """The group that the others of its attribute are compared with, and how it was chosen if by a rule."""

    group: str
    note: str = ""


def as_labels(group: Labels) -> pl.Series:
    """Return the groups as text, or as the Enum that they are, in its order; missing ones stay null."""
    labels = pl.Series("group", group, strict=False)
    if labels.dtype == pl.Enum:
        return labels
    return (labels.fill_nan(None) if labels.dtype.is_float() else labels).cast(pl.String)


def as_enum(labels: pl.Series) -> pl.Series:
    """Return labels as an Enum: the sorted groups that occur, or the Enum that they are."""
    if labels.dtype == pl.Enum:
        return labels
    return labels.cast(pl.Enum(labels.unique().drop_nulls().sort()))


def groups_of(labels: pl.Series) -> list[str]:
    """Return the groups of an Enum in its order."""
    return cast(pl.Enum, labels.dtype).categories.to_list()


def label_faults(labels: pl.Series, name: str = "group") -> Iterator[str]:
    """Count the applicants without a group."""
    if labels.null_count():
        yield (
            f"{name} is missing in {labels.null_count()} of {len(labels)} rows; "
            "give these a label of their own, such as 'not stated'"
        )


def group_columns(
    frame: pl.DataFrame,
    attributes: Sequence[str],
    *,
    depth: int = 1,
    small_groups: SmallGroups = "suppress",
    min_applicants: int = 1,
    min_defaults: int = 0,
) -> pl.DataFrame:
    """Return the group of every applicant by attribute, and by each crossing of up to `depth` attributes.

    "sex x age_band" has groups such as "female x 30 to 39"; depth 1 crosses none. Who has no value is in the
    group "not known" of that attribute and of its crossings; it is counted and never judged. With "pool", the
    groups of a column that have fewer than `min_applicants`, or fewer goods or bads than `min_defaults`, are
    one group "other groups" where together they have enough; "suppress" leaves them, not to be judged.

    `frame` has one row per applicant: default and one column per attribute. Returns an Enum [applicants] per
    attribute, then per crossing, in the order given.

    Raises:
        DataError: an attribute that is absent, has one value or is missing in more than half of the rows; a
            depth that is not from 1 to the number of attributes. All faults at once.
    """
    faults = [fault for name in attributes for fault in _attribute_faults(frame, name)]
    if not 1 <= depth <= len(attributes):
        faults.append(f"depth {depth} received; 1 to {len(attributes)}, the number of attributes, is right")
    raise_faults("The groups cannot be formed", faults)
    columns: dict[tuple[str, ...], pl.Series] = {
        (name,): as_enum(_filled(as_labels(frame[name]))) for name in attributes
    }
    for size in range(2, depth + 1):
        for names in combinations(attributes, size):
            columns[names] = _crossed(columns[names[:-1]], columns[names[-1:]])
    named = {CROSS.join(names): column for names, column in columns.items()}
    if small_groups == "pool":
        least = least_of(min_applicants, min_defaults)
        named = {name: _pooled(column, frame["default"], least) for name, column in named.items()}
    return pl.DataFrame(named)


def resolve_references(
    counts: pl.DataFrame, references: Mapping[str, str], *, min_applicants: int, min_defaults: int
) -> dict[str, Reference]:
    """Return the reference group of every attribute and crossing.

    `references` holds for each attribute a group, or a rule: "largest" (most applicants) or "most_favoured"
    (largest selection rate), among the groups that are large enough. A group so named goes before the rule.
    Picking the most favoured by the sample that judges exaggerates every gap to it, which the note says. The
    reference of a crossing is the crossing of its attributes' references; it may be too small or empty, and
    then nothing in that crossing is judged against it.

    `counts` as from `attribute_counts`.

    Raises:
        DataError: a reference that is not named, not in the data, too small, or with all or none approved; a
            cutoff that approves all or none of the applicants. All faults at once.
    """
    least, found, faults = least_of(min_applicants, min_defaults), {}, list(_cutoff_faults(counts))
    tables = dict(by_attribute(counts))
    for name in () if faults else [name for name in tables if CROSS not in name]:
        try:
            found[name] = _reference(tables[name], references.get(name), least)
        except DataError as error:
            faults += [f"{name}: {error.summary}", *(f"{name}: {fault}" for fault in error.faults)]
    raise_faults("groups that cannot be judged", faults)
    for name in (name for name in tables if CROSS in name):
        parts = name.split(CROSS)
        notes = [f"{part}: {found[part].note}" for part in parts if found[part].note]
        found[name] = Reference(CROSS.join(found[part].group for part in parts), "; ".join(notes))
    return found


def by_attribute(counts: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Give each attribute with its own rows, in their order."""
    for (name,), table in counts.group_by("attribute", maintain_order=True):
        yield str(name), table.drop("attribute")


def least_of(min_applicants: int, min_defaults: int) -> dict[str, int]:
    """Return what a group needs to be judged."""
    return {"applicants": min_applicants, "goods": min_defaults, "bads": min_defaults}


def shortage(counts: Mapping[str, float], least: Mapping[str, int]) -> str:
    """Return why a group is too small to judge, or an empty text; never its counts, which may be small."""
    return ", ".join(f"fewer than {least[what]} {what}" for what in least if counts[what] < least[what])


def group_shortages(counts: pl.DataFrame, least: Mapping[str, int]) -> list[str]:
    """Return for each group of `outcome_counts` why it is not judged, or an empty text."""
    sizes = counts.select(
        "group",
        "applicants",
        goods=pl.col("goods_approved") + pl.col("goods_declined"),
        bads=pl.col("bads_approved") + pl.col("bads_declined"),
    )
    return [
        UNKNOWN_NOTE if row["group"] == NOT_KNOWN else shortage(row, least)
        for row in sizes.iter_rows(named=True)
    ]


def reference_shortage(counts: pl.DataFrame, reference_group: str, least: Mapping[str, int]) -> str:
    """Return why a group of `outcome_counts` cannot be compared with, or an empty text."""
    row = counts.filter(pl.col("group") == reference_group)
    short = group_shortages(row, least)[0]
    approved = row.select(pl.col("goods_approved") + pl.col("bads_approved")).item()
    same = "" if 0 < approved < row["applicants"].item() else "all or none of its applicants approved"
    return ", ".join(filter(None, [short, same]))


def require_reference(reference_group: str, groups: Collection[str]) -> None:
    """Raise a DataError, with the groups that there are, unless the reference group is one of them."""
    if reference_group not in groups:
        hint = near_name(reference_group, groups)
        fault = f"received {reference_group!r}{hint}; the groups are {', '.join(map(repr, groups))}"
        raise DataError("The reference group is not in the data", [fault])


def require_comparable(counts: pl.DataFrame, reference_group: str, least: Mapping[str, int]) -> None:
    """Raise a DataError unless the reference group is there, large enough, and approved some but not all."""
    require_reference(reference_group, counts["group"].to_list())
    short = reference_shortage(counts, reference_group, least)
    hint = "take another group or lower the minimum"
    faults = [f"it has {short}; {hint}"] if short else []
    raise_faults(f"The reference group {reference_group!r} cannot be compared with", faults)


def _attribute_faults(frame: pl.DataFrame, name: str) -> Iterator[str]:
    if name not in frame.columns:
        yield f"{name}: no such column{near_name(name, frame.columns)}"
        return
    labels = as_labels(frame[name])
    missing, values = labels.null_count(), labels.drop_nulls().n_unique()
    if missing > MOST_MISSING * len(labels):
        yield f"{name}: missing in {missing} of {len(labels)} rows; at most half may be"
    if values < 2:
        yield f"{name}: {values} value; at least 2 groups are needed to compare"


def _filled(labels: pl.Series) -> pl.Series:
    if not labels.null_count():
        return labels
    if labels.dtype == pl.Enum:
        labels = labels.cast(pl.Enum([*dict.fromkeys([*groups_of(labels), NOT_KNOWN])]))
    return labels.fill_null(NOT_KNOWN)


def _crossed(left: pl.Series, right: pl.Series) -> pl.Series:
    """Return the pairs of two Enums that occur, in the order of the first, as an Enum."""
    first, second = groups_of(left), groups_of(right)
    codes = left.to_physical().to_numpy().astype(np.int64) * len(second) + right.to_physical().to_numpy()
    occurring = np.flatnonzero(np.bincount(codes, minlength=len(first) * len(second)))
    pairs = [(first[code // len(second)], second[code % len(second)]) for code in occurring]
    names = [NOT_KNOWN if NOT_KNOWN in pair else CROSS.join(pair) for pair in pairs]
    place = np.zeros(len(first) * len(second), dtype=np.int64)
    place[occurring] = np.arange(len(names))
    return _named(names, place[codes])


def _named(names: Sequence[str], places: NDArray[Any]) -> pl.Series:
    """Return the name at each place as an Enum; names may repeat."""
    return pl.Series(names, dtype=pl.Enum([*dict.fromkeys(names)])).gather(places)


def _pooled(labels: pl.Series, default: pl.Series, least: Mapping[str, int]) -> pl.Series:
    """Return the labels with the small groups as one, where that one is large enough."""
    sizes = pl.DataFrame({"group": labels, "bad": default}).group_by("group", maintain_order=True)
    counted = sizes.agg(applicants=pl.len(), bads=pl.col("bad").sum()).filter(pl.col("group") != NOT_KNOWN)
    counted = counted.with_columns(goods=pl.col("applicants") - pl.col("bads"))
    small = [row["group"] for row in counted.iter_rows(named=True) if shortage(row, least)]
    together = counted.filter(pl.col("group").is_in(small)).sum().row(0, named=True)
    if not small or shortage(together, least):
        return labels
    names = [OTHERS if group in small else group for group in groups_of(labels)]
    return _named(names, labels.to_physical().to_numpy())


def _cutoff_faults(counts: pl.DataFrame) -> Iterator[str]:
    table = next(iter(dict(by_attribute(counts)).values()))
    approved = table.select(pl.col("goods_approved") + pl.col("bads_approved")).sum().item()
    applicants = table["applicants"].sum()
    if approved in (0, applicants):
        yield f"the cutoff approves {approved} of {applicants} applicants; some, not all, are needed"


def _reference(table: pl.DataFrame, wanted: str | None, least: Mapping[str, int]) -> Reference:
    groups = table["group"].to_list()
    if wanted is None:
        raise DataError("no reference group", [f"name a group or a rule: {LARGEST}, {MOST_FAVOURED}"])
    if wanted not in (LARGEST, MOST_FAVOURED) or wanted in groups:
        require_comparable(table, wanted, least)
        return Reference(wanted)
    judged = table.filter(pl.Series([not short for short in group_shortages(table, least)]))
    if not judged.height:
        raise DataError("no reference group", [f"none of the {len(groups)} groups is large enough"])
    rate = (pl.col("goods_approved") + pl.col("bads_approved")) / pl.col("applicants")
    by = pl.col("applicants") if wanted == LARGEST else rate
    group = judged.sort(by, descending=True, maintain_order=True)["group"][0]
    require_comparable(table, group, least)
    if wanted == LARGEST:
        return Reference(group, f"the reference is the largest of {judged.height} judged groups")
    picked = f"the reference has the largest selection rate of {judged.height} judged groups"
    return Reference(group, f"{picked}; picking it by this sample exaggerates the gaps")
