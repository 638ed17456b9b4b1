"""Whether the model should be trained anew, and what says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from workbench.monitoring.plan import ACT

RETRAIN, RECALIBRATE, NOT_SETTLED, KEEP = "train anew", "calibrate anew", "not settled", "keep"


@dataclass(frozen=True)
class Recommendation:
    """What is recommended, and each piece of evidence for it in a sentence."""

    action: str
    evidence: tuple[str, ...]


def recommend(
    alerts: pl.DataFrame, earlier: Sequence[pl.DataFrame], *, outcomes_known: bool
) -> Recommendation:
    """Return the recommendation of a batch's alerts; `earlier` are those of the batches before, newest first.

    train anew: the AUC of known outcomes is below its line as a whole interval; or calibration is beyond its
    line in this batch and the one before, with a score that shifts; or the score shifts beyond the second
    line while the estimated AUC is below its own. calibrate anew: calibration is beyond its line in this
    batch and the one before, and the AUC holds. not settled: something shifts, or calibration is beyond its
    line for the first time, and no outcome says what it costs. keep: nothing of that, or outcomes are known
    (`outcomes_known`) and hold their lines. People decide; this only says what the evidence asks for.
    """
    has = set(alerts["trigger"])
    severe = set(alerts.filter(pl.col("severity") == ACT)["trigger"])
    before = set(earlier[0]["trigger"]) if earlier else set()
    again = "calibration" in has and "calibration" in before
    evidence = []
    if "auc" in has:
        evidence.append("the AUC of known outcomes is below its line, as a whole interval")
    if again:
        evidence.append("observed and expected default rates are apart in this batch and in the one before")
    if "score_shift" in severe:
        evidence.append("the score shifts beyond the second line")
    if "estimated_auc" in has:
        evidence.append("the AUC estimated before outcomes is below its line")
    far = "score_shift" in severe and "estimated_auc" in has
    if "auc" in has or (again and "score_shift" in has) or far:
        return Recommendation(RETRAIN, tuple(evidence))
    if again:
        return Recommendation(RECALIBRATE, tuple(evidence))
    if outcomes_known and not {"auc", "calibration"} & has:
        held = "known outcomes rank and calibrate as the lines ask"
        shifts = {"score_shift", "multivariate_shift", "feature_shift"} & has
        return Recommendation(KEEP, (f"{held}, although what comes in has shifted" if shifts else held,))
    shifted = [
        name
        for name in ("score_shift", "multivariate_shift", "feature_shift", "estimated_auc")
        if name in has
    ]
    evidence += [f"{name.replace('_', ' ')}, without outcomes that say what it costs" for name in shifted]
    if "calibration" in has:
        evidence.append("observed and expected default rates are apart for the first time")
    if evidence:
        return Recommendation(NOT_SETTLED, tuple(evidence))
    return Recommendation(KEEP, ("no trigger of drift, ranking or calibration was met",))
