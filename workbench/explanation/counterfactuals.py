"""What a declined applicant could have changed to be approved: the least change that the model accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import near_name
from workbench.explanation.fidelity import matrix_margin
from workbench.explanation.least_change import Search, Trials, least_changes
from workbench.explanation.moves import Bools, feature_moves, kept_rules
from workbench.scorer import Floats, Scorer, model_matrix
from workbench.statistics.proportions import wilson
from workbench.statistics.samples import raise_faults

MOST_CHANGES = 3
SCHEMA: dict[str, Any] = {
    **{"applicant_id": pl.Int64, "change": pl.Int64, "found": pl.Boolean, "feature": pl.String},
    **dict.fromkeys(("from", "to", "score_before", "score_after", "cost"), pl.Float64),
}


def counterfactuals(
    scorer: Scorer,
    declined: pl.DataFrame,
    development: pl.DataFrame,
    *,
    actionable: Mapping[str, int],
    units: Mapping[str, str],
    most_changes: int = MOST_CHANGES,
) -> pl.DataFrame:
    """Return the least change with which each declined applicant would have been approved.

    Fewest features first; among those the least cost = sum of |change| / spread, the spread a feature's
    interquartile range in `development` (its standard deviation where that is 0). A feature takes only the
    first round value past a threshold of the booster, inside the range seen in development; whole numbers
    stay whole; what is missing stays missing. A change breaks none of development's `Rules`: no order between
    two features of one unit that all keep (the mean under the most, 90 days within 365), no pair of values
    that nobody has although chance would give it to some.

    One change is searched exactly. More are screened at the ends of each feature's way and at its best single
    value, which finds every set of features that is enough where the model is monotone in them; then up to 12
    values each (6 for three) are tried and every one is moved back as far as it may. So no change of an
    answer can be left out or made smaller alone; where it says none, or for the cost of two or three, an
    answer between the values tried may have been missed.

    `actionable`: feature -> +1 may rise, -1 may fall, 0 both; `units`: feature -> unit; `most_changes`: 1 to
    3. Returns one row per change, and one for an applicant without an answer: applicant_id, change (1, 2, 3;
    0 without), found, feature, from, to (null without), score_before, score_after (points, by the scorer
    itself; without an answer the best of all tried), cost (of all the applicant's changes; null without).
    One who has nothing that may change, or everything missing, has found = false.

    Raises:
        DataError: features to act on that the model does not have, other directions, none at all, no rows,
            applicants who are approved already, another number of changes, an answer that is declined.

    Reference: Wachter, Mittelstadt and Russell (2018), Harvard Journal of Law & Technology 31: 841-887;
    Ustun, Spangher and Liu (2019), FAT*, on actions and their limits.
    """
    own, seen = (model_matrix(frame, scorer.features) for frame in (declined, development))
    before = scorer.points(matrix_margin(scorer, own))
    raise_faults(
        "Counterfactuals cannot be searched",
        _faults(scorer, before, seen, actionable, most_changes),
    )
    moves = feature_moves(scorer, seen, actionable)
    rules = kept_rules(seen, [units.get(name) for name in scorer.features], moves)
    search = Search(scorer, own, moves, rules, rules.broken(own), before.copy())
    return _told(search, declined["applicant_id"], before, least_changes(search, most_changes))


def counterfactual_table(rows: pl.DataFrame, *, level: float) -> pl.DataFrame:
    """Return how many changes the declined would have needed: changes (null = none found), applicants, value
    (share), low, high (Wilson), level, method, median_cost (in spreads; null without an answer).
    """
    last = rows.sort("applicant_id", "change").group_by("applicant_id", maintain_order=True).last()
    changes = pl.when("found").then("change").alias("changes")
    counts = last.group_by(changes).agg(
        pl.len().cast(pl.Int64).alias("applicants"), pl.col("cost").median().alias("median_cost")
    )
    return _with_shares(counts.sort("changes", nulls_last=True), last.height, level)


def changed_features(rows: pl.DataFrame, *, level: float) -> pl.DataFrame:
    """Return what would have to change most often: feature, applicants, value (share of all declined), low,
    high (Wilson), level, method, median_change (to - from, in the feature's unit).
    """
    counts = (
        rows.filter("found")
        .group_by("feature")
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            (pl.col("to") - pl.col("from")).median().alias("median_change"),
        )
        .sort("applicants", "feature", descending=[True, False])
    )
    return _with_shares(counts, rows["applicant_id"].n_unique(), level)


def _with_shares(counts: pl.DataFrame, declined: int, level: float) -> pl.DataFrame:
    shares = [vars(wilson(count, declined, level=level)) for count in counts["applicants"]]
    schema = {**dict.fromkeys(("value", "low", "high", "level"), pl.Float64), "method": pl.String}
    told = counts.hstack(pl.DataFrame(shares, schema=schema))
    return told.select(pl.exclude("median_cost", "median_change"), pl.col("^median_.*$"))


# The answer


def _told(search: Search, applicant_id: pl.Series, before: Floats, answers: Sequence[Trials]) -> pl.DataFrame:
    after, cost = search.own.copy(), np.zeros(len(search.own))
    for trials in answers:
        after[trials.who[:, None], trials.columns] = trials.values
        cost[trials.who] = search.cost(trials).sum(axis=1)
    changed = (after != search.own) & ~np.isnan(search.own)
    found = changed.any(axis=1)
    score = _verified(search.scorer, after, applicant_id, found)
    who, column = np.nonzero(changed)
    names = np.array(search.scorer.features, dtype=object)
    moved = pl.DataFrame(
        {
            "applicant_id": applicant_id.gather(who),
            "feature": pl.Series(names[column], dtype=pl.String),
            "from": search.own[who, column],
            "to": after[who, column],
        }
    ).with_columns(change=pl.int_range(1, pl.len() + 1).over("applicant_id"))
    each = pl.DataFrame(
        {
            "applicant_id": applicant_id,
            "found": found,
            "score_before": before,
            "score_after": np.where(found, score, search.best),
            "cost": pl.Series(cost).set(pl.Series(~found), None),
        }
    )
    rows = each.join(moved, on="applicant_id", how="left", maintain_order="left_right")
    return rows.with_columns(pl.col("change").fill_null(0)).select(
        pl.col(name).cast(kind) for name, kind in SCHEMA.items()
    )


def _verified(scorer: Scorer, after: Floats, applicant_id: pl.Series, found: Bools) -> Floats:
    """Return the scores by the scorer itself; raises DataError when it declines an answer."""
    frame = pl.DataFrame(after, schema=list(scorer.features)).with_columns(applicant_id.alias("applicant_id"))
    judged = scorer.score(frame)
    refused = int(np.sum(found & (judged["approved"] == 0).to_numpy()))
    raise_faults(
        "The scorer declines a counterfactual", [f"{refused:,} of {found.sum():,}"] if refused else []
    )
    score: Floats = judged["score"].to_numpy()
    return score


def _faults(
    scorer: Scorer, before: Floats, seen: Floats, actionable: Mapping[str, int], most_changes: int
) -> list[str]:
    faults = [
        f"actionable: the model has no feature {name!r}{near_name(name, scorer.features)}"
        for name in actionable
        if name not in scorer.features
    ]
    faults += [
        f"actionable: {name} has the direction {way!r}; -1, 0 or 1 is right"
        for name, way in actionable.items()
        if way not in (-1, 0, 1)
    ]
    if not actionable:
        faults.append("actionable: there is no feature that a person can act on")
    if most_changes not in range(1, MOST_CHANGES + 1):
        faults.append(f"{most_changes} changes at most; 1 to {MOST_CHANGES} is right")
    faults += [
        f"there are no {what}"
        for what, rows in (("applicants", before), ("development applicants", seen))
        if not len(rows)
    ]
    approved = int(np.sum(before >= scorer.cutoff))
    if approved:
        faults.append(f"{approved:,} of {len(before):,} applicants are approved already; give the declined")
    return faults
