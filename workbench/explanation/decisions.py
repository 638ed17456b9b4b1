"""Who needs reasons and from which stage: knock-out rules first, then the model's score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from workbench.errors import ParamsError, near_name

_ID = "applicant_id"


@dataclass(frozen=True)
class Rule:
    """A knock-out rule: who has the feature at or above, at or below a value, or not at all, is declined."""

    code: str
    feature: str
    at_least: float | None = None
    at_most: float | None = None
    is_missing: bool = False

    @property
    def hit(self) -> pl.Expr:
        """Whether the rule hits; both ends are in, and a missing value is hit by `is_missing` alone."""
        value = pl.col(self.feature).cast(pl.Float64).fill_nan(None)
        if self.is_missing:
            return value.is_null()
        least = pl.lit(True) if self.at_least is None else value >= self.at_least
        most = pl.lit(True) if self.at_most is None else value <= self.at_most
        return (least & most & value.is_not_null()).fill_null(False)


def rules_of(values: Mapping[str, Mapping[str, float | str | bool]], known: Sequence[str]) -> list[Rule]:
    """Return the rules of a study, in their order: code -> feature with at_least, at_most or is_missing.

    Raises ParamsError naming every rule without a condition, with an impossible or unknown one, or whose
    feature is not `known`.
    """
    faults, rules = [], []
    for code, rule in values.items():
        parts = dict(rule)
        feature = str(parts.pop("feature", ""))
        unknown = sorted(set(parts) - {"at_least", "at_most", "is_missing"})
        if feature not in known:
            faults.append(
                f"{code}: feature {feature or 'none'} is not in the study{near_name(feature, known)}"
            )
        if unknown:
            faults.append(f"{code}: unknown {', '.join(unknown)}; at_least, at_most or is_missing is right")
            continue
        made = Rule(code, feature, **parts)  # type: ignore[arg-type]
        ends = made.at_least is not None or made.at_most is not None
        if ends == made.is_missing:
            faults.append(f"{code}: names at_least or at_most, or is_missing: true; never both or none")
        elif made.at_least is not None and made.at_most is not None and made.at_least > made.at_most:
            faults.append(f"{code}: at_least {made.at_least:g} is above at_most {made.at_most:g}")
        rules.append(made)
    if faults:
        raise ParamsError(f"{len(faults)} fault(s) in explanation.knock_out_rules", faults)
    return rules


def rule_reasons(features: pl.DataFrame, rules: Sequence[Rule], *, reasons_shown: int) -> pl.DataFrame:
    """Return the rules that hit each applicant as reasons, in the order of the rules.

    Columns: applicant_id, rank, reason_code (the rule's), feature, points_lost (missing: a rule takes no
    points), kind "rule"; at most `reasons_shown` for each applicant.
    """
    hits = [
        features.filter(rule.hit).select(
            _ID,
            order=pl.lit(order),
            reason_code=pl.lit(rule.code),
            feature=pl.lit(rule.feature),
        )
        for order, rule in enumerate(rules)
    ]
    empty = features.clear().select(_ID, order=pl.lit(0), reason_code=pl.lit(""), feature=pl.lit(""))
    found = pl.concat([empty, *hits])
    ranked = found.sort(_ID, "order").with_columns(
        rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(_ID),
        points_lost=pl.lit(None, pl.Float64),
        kind=pl.lit("rule"),
    )
    columns = (_ID, "rank", "reason_code", "feature", "points_lost", "kind")
    return ranked.filter(pl.col("rank") <= reasons_shown).select(columns)


def decisions(
    scores: pl.DataFrame, ruled: pl.DataFrame, *, cutoff: float, counter_offer_points: float = 0.0
) -> pl.DataFrame:
    """Return applicant_id, decision and stage: who is approved, counter_offered or declined, and by what.

    Whom a rule hits (`ruled`: `rule_reasons`) is declined by stage "rule", whatever the score. Of the others
    a score at or above the cutoff is approved (stage ""); one at most `counter_offer_points` below it gets a
    smaller offer, and one below that is declined, both by stage "model". 0 points: no counter-offers.
    """
    hit = pl.col(_ID).is_in(ruled[_ID].unique().implode())
    score = pl.col("score")
    by_score = (
        pl.when(score >= cutoff)
        .then(pl.lit("approved"))
        .when((score >= cutoff - counter_offer_points) & pl.lit(counter_offer_points > 0))
        .then(pl.lit("counter_offered"))
        .otherwise(pl.lit("declined"))
    )
    stage = pl.when(hit).then(pl.lit("rule")).when(score >= cutoff).then(pl.lit(""))
    return scores.select(
        _ID,
        decision=pl.when(hit).then(pl.lit("declined")).otherwise(by_score),
        stage=stage.otherwise(pl.lit("model")),
    )


def principal_reasons(decided: pl.DataFrame, ruled: pl.DataFrame, scored: pl.DataFrame) -> pl.DataFrame:
    """Return the reasons of everybody not approved, each from the stage that failed them, never from both.

    Columns as `rank_reasons`, sorted by applicant and rank. `decided` is from `decisions`, `ruled` from
    `rule_reasons`, `scored` from `rank_reasons`. Whom no family cost any points has no row.
    """
    ids = {stage: decided.filter(pl.col("stage") == stage)[_ID] for stage in ("rule", "model")}
    parts = [(ruled, ids["rule"]), (scored, ids["model"])]
    return pl.concat([part.filter(pl.col(_ID).is_in(of.implode())) for part, of in parts]).sort(_ID, "rank")
