"""The search for less discriminatory alternatives of one study: from its champion to who gains and loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import DataError
from workbench.fairness.alternative_judgement import (
    JUDGED_SCHEMA,
    SWAPS_SCHEMA,
    holdout_risks,
    judge_alternatives,
    swap_sets,
)
from workbench.fairness.alternative_plan import Plan, judged_groups, prepare_search
from workbench.fairness.alternatives import CANDIDATES_SCHEMA, search_alternatives
from workbench.fairness.pareto import recommended
from workbench.statistics.estimate import Estimate

SETTINGS = (
    "max_depth",
    "learning_rate",
    "min_child_weight",
    "subsample",
    "colsample_bytree",
    "reg_lambda",
)
"""What stage training searched, and candidates vary within what it tried."""


_NAMED: dict[str, Any] = {"candidate": pl.Int64, "mitigation": pl.String}


@dataclass(frozen=True)
class Searched:
    """A search: candidates, the judged front, the swap set of the recommended one, and why that one.

    `judged` has the columns of `judge_alternatives` and mitigation, the method of the candidate.

    `number` is the recommended candidate, None where none qualifies or nothing was searched.
    """

    why: str
    number: int | None = None
    candidates: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CANDIDATES_SCHEMA))
    judged: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_NAMED | JUDGED_SCHEMA))
    swaps: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SWAPS_SCHEMA))
    notes: tuple[str, ...] = ()

    @property
    def gain(self) -> Estimate | None:
        """How the recommended candidate changes the disparity of the holdout; below 0 = less."""
        own = self.judged.filter(pl.col("candidate").eq(self.number or 0), measure="disparity_change")
        columns = ("value", "low", "high", "level", "method")
        return next((Estimate(*row) for row in own.select(columns).iter_rows()), None)


def champion_plan(
    names: Sequence[str],
    directions: Mapping[str, int],
    trials: pl.DataFrame,
    *,
    constrained: bool,
    order: Sequence[str],
    most_left_out: int,
    device: str,
    seed: int,
    **judging: Any,
) -> Plan:
    """Return the plan of a search that starts from the champion.

    `names`: the champion's features; `directions`: +1, -1 or 0 of each; `trials`: those of stage training, of
    which the chosen one has the champion's settings and rounds, and whose least and largest settings bound
    the candidates'. `order`: features from the first to leave out; `most_left_out` is cut to what is there.
    `judging`: attribute, reference_group, min_applicants, min_defaults and forbidden of `Plan`.
    """
    chosen = trials.filter("chosen").row(0, named=True)
    return Plan(
        names=names,
        monotone=[directions[name] for name in names],
        constrained=constrained,
        base={"tree_method": "hist", "device": device, "seed": seed}
        | {name: chosen[name] for name in SETTINGS},
        rounds=chosen["rounds"],
        space={name: trials.select(low=pl.min(name), high=pl.max(name)).row(0) for name in SETTINGS},
        orders={"proxy_strength": order},
        most_left_out=min(most_left_out, len(order), len(names) - 1),
        analysis_only=bool(judging.get("forbidden")),
        **judging,
    )


def find_alternatives(
    plan: Plan,
    development: pl.DataFrame,
    calibration: pl.DataFrame,
    holdout: pl.DataFrame,
    *,
    attributes: Sequence[str],
    trials: int,
    most_loss: float,
    loss_given_default: float,
    level: float,
    replicates: int,
    seed: int,
    journal: Path | None = None,
) -> Searched:
    """Return the search's candidates, fitted on development, found on calibration and judged on the holdout.

    Each frame has one row per applicant: the features, default, the champion's prob_default and approved, and
    the `attributes`. Recommended is the least disparity among the front whose loss of AUC is surely at most
    `most_loss`, decided on the calibration sample. No `trials`, or no second group that is large enough in
    all three samples: nothing is searched, and `why` says so. Raises as `prepare_search`.
    """
    if not trials:
        return Searched("the study asks for no search")
    try:
        judged_groups((development, calibration, holdout), plan)
    except DataError as error:
        return Searched("; ".join([error.summary, *error.faults]))
    problem = prepare_search(development, calibration, plan)
    found = search_alternatives(problem, trials=trials, level=level, seed=seed, journal=journal)
    number, why = recommended(found.table, rule="least_disparity_within_loss", line=most_loss)
    risks = holdout_risks(problem, found, holdout)
    drawing: dict[str, Any] = {"level": level, "replicates": replicates, "seed": seed}
    judged = judge_alternatives(problem, risks, holdout, loss_given_default=loss_given_default, **drawing)
    named = found.table.select("candidate", mitigation="method")
    judged = named.join(judged, on="candidate", how="right", maintain_order="right").select(
        *_NAMED, pl.all().exclude(*_NAMED)
    )
    if number is None:
        return Searched(why, None, found.table, judged, notes=found.notes)
    swaps = swap_sets(holdout, risks[number], candidate=number, attributes=attributes, level=level)
    return Searched(why, number, found.table, judged, swaps, found.notes)
