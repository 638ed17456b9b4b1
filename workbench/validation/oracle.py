"""How far the champion is from the truth, where a made world tells it."""

from __future__ import annotations

from typing import Any

import polars as pl
from numpy.typing import ArrayLike

from workbench.statistics.ranking import auc, compare_auc, rank_correlation
from workbench.statistics.samples import checked_sample
from workbench.statistics.truth import prob_errors

UNITS = {"log_odds_bias": "log-odds", "absolute_error": "share"}
TEXTS, NUMBERS = ("measure", "unit"), ("value", "low", "high", "level")


def oracle_table(
    default: ArrayLike, prob_default: ArrayLike, true_prob_default: ArrayLike | None, *, level: float = 0.95
) -> pl.DataFrame:
    """Compare the champion's PDs with the true ones; no rows where the truth is not known.

    Measures: oracle_auc (AUC of the true PDs: no model ranks better but by luck); auc_gap (champion minus
    oracle, paired; 0 = nothing is left to find); rank_correlation (Spearman's; 1 = the same order);
    log_odds_bias (0 = right on the whole, above 0 = too high); absolute_error (mean |PD - true PD|; 0 = right
    for everyone).

    `default`: 0 or 1; the others [0, 1]; all [applicants]. Returns columns measure, unit, value, low, high,
    level, method.

    Raises:
        DataError: lengths that differ, values that are missing or out of range, one class only.
    """
    if true_prob_default is None:
        return _frame([])
    named = {"prob_default": prob_default, "true_prob_default": true_prob_default}
    bad, prob, true = checked_sample(default, probabilities=named, both_classes=True)
    found = {
        "oracle_auc": auc(bad, true, level=level),
        "auc_gap": compare_auc(bad, true, prob, level=level).difference,
        "rank_correlation": rank_correlation(prob, true, level=level),
    } | prob_errors(prob, true, level=level)
    rows = [{"measure": name, "unit": UNITS.get(name, "")} | vars(found[name]) for name in found]
    return _frame(rows)


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    columns: dict[str, Any] = dict.fromkeys(TEXTS, pl.String) | dict.fromkeys(NUMBERS, pl.Float64)
    return pl.DataFrame(rows, schema=columns | {"method": pl.String})
