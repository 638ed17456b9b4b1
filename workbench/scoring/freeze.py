"""What a run knows of its champion, frozen into the scorer that goes into use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.scorer import Scorer, model_matrix
from workbench.scoring.contract import OutOfContract, contract_of
from workbench.scoring.engines import onnx_of
from workbench.scoring.forest import leaves_of
from workbench.scoring.frozen import FrozenScorer, ReasonMethod, ReviewBand
from workbench.scoring.reasons import Families, Rule
from workbench.scoring.reference import reference_counts


def freeze(
    scorer: Scorer,
    development: pl.DataFrame,
    catalogue: pl.DataFrame,
    *,
    sources: Sequence[Mapping[str, Any]],
    recipe: Mapping[str, Any],
    compared_with: pl.DataFrame,
    band: Mapping[str, Any],
    out_of_contract: OutOfContract,
    evidence: Mapping[str, Any],
) -> FrozenScorer:
    """Return the scorer that decides as the run does.

    `development` has the features of the development sample, `catalogue` feature, family, unit and source,
    `sources` the contract of each source (data/sources), `recipe` how reasons are given (explanation/recipe),
    `compared_with` the features of those whom applicants are compared with, `band` good_up_to and bad_from.
    Raises DataError for a booster that reasons cannot be looked up for, and for empty samples.
    """
    names = scorer.features
    rules = {name: rule for source in sources for name, rule in source["contract"].items()}
    places = {name: at for at, name in enumerate(names)}
    reference = None
    if recipe["best"] is None:
        matrix = model_matrix(compared_with, names).astype(np.float32)
        reference = reference_counts(leaves_of(scorer.booster), matrix)
    method = ReasonMethod(
        recipe["method"],
        recipe["reasons_shown"],
        Families.of(dict(catalogue.select("feature", "family").iter_rows()), names),
        reference,
        _best(recipe["best"], names),
        tuple(_rule(rule, places) for rule in recipe["rules"]),
        recipe["texts"],
    )
    return FrozenScorer(
        scorer,
        contract_of(development, catalogue, names, rules),
        method,
        onnx_of(scorer.booster, len(names)),
        out_of_contract,
        recipe["counter_offer_points"],
        ReviewBand(band["good_up_to"], band["bad_from"]),
        evidence,
    )


def _best(best: Mapping[str, float | None] | None, names: Sequence[str]) -> Any:
    if best is None:
        return None
    return np.array([np.nan if best[name] is None else best[name] for name in names], dtype=float)


def _rule(rule: Mapping[str, Any], places: Mapping[str, int]) -> Rule:
    ends = {name: rule[name] for name in ("at_least", "at_most", "is_missing")}
    return Rule(rule["code"], places[rule["feature"]], **ends)
