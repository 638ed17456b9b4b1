"""Whether the model learnt by heart, and everything that was looked for beside it in one table."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from workbench.scorer import Floats
from workbench.statistics.estimate import Estimate, normal_estimate
from workbench.statistics.proportions import wilson
from workbench.statistics.ranking import auc, compare_auc
from workbench.statistics.samples import FloatArray, checked_sample

LEAST_PROB = 1e-15
NEUTRAL = 0.5


def overfitting(default: Floats, fitted: Floats, out_of_fold: Floats, *, level: float) -> pl.DataFrame:
    """Compare how the same rows are predicted by a model that saw them and by models that did not.

    `fitted`, `out_of_fold`: prob_default [applicants]; rows that no fold judged (NaN) are left out of both.
    Returns one row for fitted, out_of_fold and gap (fitted minus out_of_fold; an AUC gap above 0 or a log
    loss gap below 0 = learnt by heart, 0 = nothing is): sample, applicants, auc, auc_low, auc_high (DeLong on
    log-odds; the gap's paired DeLong), log_loss (nats per applicant), log_loss_low, log_loss_high (normal, of
    the mean of applicants), level, method (of the AUC). Raises DataError as `auc`.
    """
    judged = ~np.isnan(out_of_fold)
    columns = {"fitted": fitted[judged], "out_of_fold": out_of_fold[judged]}
    bad, seen, unseen = checked_sample(default[judged], probabilities=columns, both_classes=True)
    losses = [_losses(bad, prob) for prob in (seen, unseen)]
    found = {
        "fitted": (auc(bad, seen, level=level), losses[0]),
        "out_of_fold": (auc(bad, unseen, level=level), losses[1]),
        "gap": (compare_auc(bad, unseen, seen, level=level).difference, losses[0] - losses[1]),
    }
    rows = []
    for sample, (area, loss) in found.items():
        mean = normal_estimate(
            loss.mean(), loss.std(ddof=1) / np.sqrt(loss.size), level=level, method="normal"
        )
        ranked = {"auc": area.value, "auc_low": area.low, "auc_high": area.high}
        logged = {"log_loss": mean.value, "log_loss_low": mean.low, "log_loss_high": mean.high}
        rows.append(
            {
                "sample": sample,
                "applicants": bad.size,
                **ranked,
                **logged,
                "level": level,
                "method": area.method,
            }
        )
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(_GAPS, pl.Float64))


def soundness_table(
    *,
    permuted: pl.DataFrame,
    alone: pl.DataFrame,
    memory: pl.DataFrame,
    duplicates: pl.DataFrame,
    fit: pl.DataFrame,
    gap_line: float | None = None,
) -> pl.DataFrame:
    """Gather what was looked for, one row each, with the bound that it is held against.

    `permuted`, `alone`, `memory` and `duplicates` are the tables of `permuted_target`, `future_features`,
    `identifier_memorisation` and `duplicated_rows`, `fit` that of `overfitting`; `gap_line` is the largest
    AUC gap wanted. AUCs that should be 0.5 pass unless their whole interval lies above it: at a level of 0.95
    at most one in 40 fails by chance. Returns check, value, low, high, level, method, bound, passed (null:
    not told, for want of permutations or of a line) and meaning.
    """
    level = float(permuted["level"][0])
    found = [
        _permutations(permuted, level),
        _relation(permuted, level),
        _strongest(alone),
        *(_memory(row) for row in memory.iter_rows(named=True)),
        _repeated(duplicates, level),
        _gap(fit.row(by_predicate=pl.col("sample") == "gap", named=True), gap_line),
    ]
    return pl.DataFrame(found, schema=_CHECKS)


def _losses(bad: FloatArray, prob: FloatArray) -> FloatArray:
    kept = np.clip(prob, LEAST_PROB, 1 - LEAST_PROB)
    return -np.log(np.where(bad == 1, kept, 1 - kept))


def _permutations(permuted: pl.DataFrame, level: float) -> dict[str, Any]:
    from scipy.stats import t

    areas = permuted.filter(pl.col("permutation") > 0)["auc"].to_numpy()
    value, count = float(areas.mean()), areas.size
    error = float(areas.std(ddof=1)) / np.sqrt(count) if count > 1 else 0.0
    margin = float(t.ppf(0.5 + level / 2, count - 1)) * error if error else None
    method = (
        f"Student's t over {count} permutations" if margin else "no interval: the permutations do not vary"
    )
    low, high = (None, None) if margin is None else (value - margin, value + margin)
    mean = Estimate(value, low, high, level, method)
    meaning = "mean AUC on permuted outcomes; above the bound, judged rows reach the fitting"
    return _check("permuted_target", mean, NEUTRAL, _not_above(mean, NEUTRAL), meaning)


def _relation(permuted: pl.DataFrame, level: float) -> dict[str, Any]:
    count, p_value = permuted.height - 1, float(permuted["p_value"][0])
    told = round((1 - level) * (count + 1), 9) >= 1
    found = Estimate(p_value, None, None, level, f"exact, {count} permutations")
    meaning = "chance that a world without any relation ranks as well; above the bound, nothing is shown"
    return _check("real_target", found, 1 - level, p_value <= 1 - level + 1e-9 if told else None, meaning)


def _strongest(alone: pl.DataFrame) -> dict[str, Any]:
    row = alone.row(0, named=True)
    value, area = row["strength"], row["auc"]
    ends = [end if area is None or area >= NEUTRAL else 1 - end for end in (row["low"], row["high"]) if end]
    by_value = area is not None and np.isclose(abs(area - NEUTRAL), value - NEUTRAL) and len(ends) == 2
    low, high = sorted(ends) if by_value else (None, None)
    found = Estimate(value, low, high, row["level"], row["method"] if by_value else "no interval")
    meaning = (
        "AUC of the strongest feature alone, turned above 0.5; above the bound it may come from the future"
    )
    return _check("future_feature", found, row["line"], not row["suspicious"], meaning)


def _memory(row: dict[str, Any]) -> dict[str, Any]:
    found = Estimate(row["auc"], row["low"], row["high"], row["level"], row["method"])
    meaning = "AUC of a model on this alone; above the bound it carries the outcome, or the time"
    return _check(row["read_from"], found, NEUTRAL, _not_above(found, NEUTRAL), meaning)


def _repeated(duplicates: pl.DataFrame, level: float) -> dict[str, Any]:
    judged = int((duplicates["applicants"] - duplicates["nothing_known"]).sum())
    twice = int(duplicates["duplicated"].sum())
    meaning = "share of applicants whose features all occur in another sample; 0 is expected"
    return _check("duplicated_rows", wilson(twice, judged, level=level), 0.0, not twice, meaning)


def _gap(row: dict[str, Any], line: float | None) -> dict[str, Any]:
    found = Estimate(row["auc"], row["auc_low"], row["auc_high"], row["level"], row["method"])
    passed = None if line is None else row["auc"] <= line
    return _check(
        "overfitting", found, line, passed, "AUC on rows fitted on minus out of fold; 0 = nothing by heart"
    )


def _not_above(found: Estimate, bound: float) -> bool:
    least = found.value if found.low is None else found.low
    return least is not None and least <= bound


def _check(
    check: str, found: Estimate, bound: float | None, passed: bool | None, meaning: str
) -> dict[str, Any]:
    return {
        "check": check,
        **{"value": found.value, "low": found.low, "high": found.high},
        **{"level": found.level, "method": found.method},
        **{"bound": bound, "passed": None if passed is None else bool(passed), "meaning": meaning},
    }


_GAPS = ("auc", "auc_low", "auc_high", "log_loss", "log_loss_low", "log_loss_high")
_CHECKS = {
    **{"check": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64},
    **{"level": pl.Float64, "method": pl.String, "bound": pl.Float64},
    **{"passed": pl.Boolean, "meaning": pl.String},
}
