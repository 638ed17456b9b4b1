"""Whom the model is not sure about: PDs between resampled models, and a review band with its coverage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from workbench.statistics.means import mean_estimate, quantile_estimate
from workbench.statistics.proportions import wilson
from workbench.statistics.samples import (
    FloatArray,
    checked_sample,
    finite_faults,
    raise_faults,
)
from workbench.validation.robustness import logistic

APPROVED, REVIEW, DECLINED = "approved", "review", "declined"
DECISIONS = (APPROVED, REVIEW, DECLINED)
CLASSES = {0: "good", 1: "bad"}


@dataclass(frozen=True)
class ReviewBand:
    """Two PDs between which people decide, from a calibration sample by split conformal prediction per class.

    A PD at or below `good_up_to` is one that a good may well have, at or above `bad_from` one that a bad may
    well have. Both: the model cannot tell, review; neither (where the two cross): it has seen nobody alike,
    review; only good: approved; only bad: declined. At most `error` of the bads are approved and at most
    `error` of the goods declined by the model alone, on average over calibration samples, if applicants are
    exchangeable with them. `goods` and `bads` are how many it was fitted on.
    """

    good_up_to: float
    bad_from: float
    error: float
    goods: int
    bads: int

    def holds(self, prob_default: ArrayLike, *, outcome: int) -> NDArray[np.bool_]:
        """Return whether the set of each applicant [applicants] holds the outcome: 0 good, 1 bad."""
        prob = np.asarray(prob_default, dtype=np.float64)
        return np.asarray(prob >= self.bad_from if outcome else prob <= self.good_up_to)

    def decide(self, prob_default: ArrayLike) -> pl.Series:
        """Return the series decision: approved, review or declined [applicants]."""
        good, bad = (self.holds(prob_default, outcome=outcome) for outcome in (0, 1))
        return _decision(good & ~bad, bad & ~good)


def fit_review_band(default: ArrayLike, prob_default: ArrayLike, *, error: float) -> ReviewBand:
    """Return the review band of a calibration sample: fit here, judge elsewhere.

    good_up_to is the k-th smallest PD of the n goods, k = ceil((n + 1)(1 - error)); bad_from the k-th largest
    of the bads likewise. Any rising transformation of the PD gives the same decisions, so a calibration
    fitted on the same sample does no harm. `default`: 0 or 1, `prob_default`: [0, 1] [applicants] of the
    calibration sample; `error`: the share of each class that may be misjudged, in (0, 1).

    Raises:
        DataError: a class with fewer than (1 - error) / error applicants, an error outside (0, 1), and as
            `auc`.

    Reference: Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World, chapter 4
    (label-conditional); Papadopoulos et al. (2002), ECML, LNCS 2430: 345-356 (split).
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    raise_faults("The review band cannot be fitted", _band_faults(bad, error))
    goods, bads = np.sort(prob[bad == 0]), np.sort(prob[bad == 1])[::-1]
    return ReviewBand(
        good_up_to=float(goods[_place(goods.size, error) - 1]),
        bad_from=float(bads[_place(bads.size, error) - 1]),
        error=error,
        goods=goods.size,
        bads=bads.size,
    )


def coverage_table(
    band: ReviewBand, default: ArrayLike, prob_default: ArrayLike, *, level: float = 0.95
) -> pl.DataFrame:
    """Return how often the sets of the band hold the outcome, for goods and bads of a sample it did not see.

    covered: the set holds what came true; it should for at least `target` = 1 - error on average over
    calibration samples, and with one of this size it may be as low as `least` (the beta distribution's lower
    end, one-sided at `level`) without anything being wrong. misjudged: the model alone decided wrongly (a
    good declined, a bad approved). reviewed: sent to review. `default`: 0 or 1, `prob_default`: [0, 1]
    [applicants]. Returns three rows for each class (good, bad): class, measure, applicants, count, target,
    least (both of covered alone), value (count / applicants), low, high (Wilson, the band taken as given),
    level, method.

    Raises:
        DataError: as `auc`.

    Reference: Vovk (2012), Asian Conference on Machine Learning, PMLR 25: 475-490.
    """
    from scipy.stats import beta

    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default}, both_classes=True)
    decision, rows = band.decide(prob).to_numpy(), list[dict[str, Any]]()
    for outcome, fitted in ((0, band.goods), (1, band.bads)):
        own, place = bad == outcome, _place(fitted, band.error)
        least = float(beta.ppf(1 - level, place, fitted + 1 - place))
        wrong = APPROVED if outcome else DECLINED
        counts = {
            "covered": (int(band.holds(prob, outcome=outcome)[own].sum()), 1 - band.error, least),
            "misjudged": (int(np.sum(decision[own] == wrong)), None, None),
            "reviewed": (int(np.sum(decision[own] == REVIEW)), None, None),
        }
        about = {"class": CLASSES[outcome], "applicants": int(own.sum())}
        for name, (count, target, line) in counts.items():
            told = {"measure": name, "count": count, "target": target, "least": line}
            rows.append(about | told | vars(wilson(count, int(own.sum()), level=level)))
    return pl.DataFrame(rows, schema=_COVERAGE)


def review_table(default: ArrayLike, decision: pl.Series, *, level: float = 0.95) -> pl.DataFrame:
    """Return how many are approved, sent to review and declined, and the default rate of each.

    The band sorts well when the default rate rises from approved to declined, with review between.
    `default`: 0 or 1, `decision`: approved, review or declined [applicants], of `ReviewBand.decide` or
    `sure_decisions`. Returns columns decision, applicants, share, share_low, share_high, defaults,
    default_rate, low, high (Wilson all), level, method; no default rate where there is nobody.

    Raises:
        DataError: lengths that differ, outcomes that are missing, other decisions.
    """
    (bad,) = checked_sample(default)
    labels, other = decision.to_numpy(), int((~decision.is_in(DECISIONS)).sum())
    faults = [f"there are {bad.size} outcomes and {len(labels)} decisions"] if len(labels) != bad.size else []
    faults += [f"{other} decisions are none of {', '.join(DECISIONS)}"] if other else []
    raise_faults("The review cannot be judged", faults)
    rows = []
    for name in DECISIONS:
        own = bad[labels == name]
        share = wilson(own.size, bad.size, level=level)
        rate = wilson(int(own.sum()), own.size, level=level)
        rows.append(
            {"decision": name, "applicants": own.size}
            | {"share": share.value, "share_low": share.low, "share_high": share.high}
            | {"defaults": int(own.sum()), "default_rate": rate.value, "low": rate.low, "high": rate.high}
            | {"level": level, "method": share.method}
        )
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("default_rate", "low", "high"), pl.Float64))


def applicant_uncertainty(
    base: ArrayLike,
    margins: ArrayLike,
    *,
    prob_of: Callable[[FloatArray], FloatArray] = logistic,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return for each applicant what another development sample would have made of the PD.

    Interval of the log-odds: the champion's +/- Student's t x the standard deviation between resampled
    models, turned into PDs. It is about the model's estimate, not about what the applicant will do, and it
    does not see what all models have wrong together. `base`: the champion's margins [rows], `margins`: the
    resampled models' [models, rows], log-odds of default; `prob_of`: margin -> PD, rising. Returns, one
    row for each in the same order, columns sd_log_odds, prob_default, prob_low, prob_high.

    Raises:
        DataError: fewer than two models, lengths that differ, values that are missing.

    Reference: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 12.
    """
    from scipy.stats import t

    own, models = np.asarray(base, dtype=np.float64), np.asarray(margins, dtype=np.float64)
    raise_faults("The uncertainty cannot be told", _margin_faults(own, models))
    deviation = models.std(axis=0, ddof=1)
    margin = float(t.ppf(0.5 + level / 2, len(models) - 1)) * deviation
    prob = {"prob_default": own, "prob_low": own - margin, "prob_high": own + margin}
    return pl.DataFrame({"sd_log_odds": deviation} | {name: prob_of(value) for name, value in prob.items()})


def sure_decisions(uncertainty: pl.DataFrame, *, cutoff: float) -> pl.Series:
    """Return the series decision: review where the interval of the PD holds the cutoff, else the model's.

    `uncertainty`: the table of `applicant_uncertainty`; `cutoff`: PD at and below which is approved.
    """
    low, high = uncertainty["prob_low"].to_numpy(), uncertainty["prob_high"].to_numpy()
    return _decision(high <= cutoff, low > cutoff)


def uncertainty_table(uncertainty: pl.DataFrame, *, cutoff: float, level: float = 0.95) -> pl.DataFrame:
    """Return how uncertain PDs are on the whole: of all, of those approved and of those declined.

    0 = every resampled model says the same. Arguments as `sure_decisions`. Returns columns part (all,
    approved, declined), applicants, measure, value, low, high, level, method; the measures are
    sd_log_odds_mean and pd_width_mean (normal), sd_log_odds_p95 (order statistics) and unsure (share whose
    interval holds the cutoff; Wilson). Intervals are about the applicants, the models taken as given.
    """
    deviation = uncertainty["sd_log_odds"].to_numpy()
    width = (uncertainty["prob_high"] - uncertainty["prob_low"]).to_numpy()
    unsure = (sure_decisions(uncertainty, cutoff=cutoff) == REVIEW).to_numpy()
    approved = (uncertainty["prob_default"] <= cutoff).to_numpy()
    parts = {"all": np.ones_like(approved), APPROVED: approved, DECLINED: ~approved}
    rows: list[dict[str, Any]] = []
    for part, kept in parts.items():
        found = {
            "sd_log_odds_mean": mean_estimate(deviation[kept], level=level),
            "sd_log_odds_p95": quantile_estimate(deviation[kept], 0.95, level=level),
            "pd_width_mean": mean_estimate(width[kept], level=level),
            "unsure": wilson(int(unsure[kept].sum()), int(kept.sum()), level=level),
        }
        about = {"part": part, "applicants": int(kept.sum())}
        rows += [{**about, "measure": name, **vars(estimate)} for name, estimate in found.items()]
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("value", "low", "high"), pl.Float64))


def _decision(approved: NDArray[np.bool_], declined: NDArray[np.bool_]) -> pl.Series:
    return pl.Series("decision", np.where(approved, APPROVED, np.where(declined, DECLINED, REVIEW)))


def _place(applicants: int, error: float) -> int:
    """Return ceil((n + 1)(1 - error)), the place among the ordered that gives the coverage 1 - error."""
    return ceil(round((applicants + 1) * (1 - error), 9))


def _band_faults(bad: FloatArray, error: float) -> list[str]:
    if not 0 < error < 1:
        return [f"the error is {error:g}; it lies between 0 and 1"]
    bads = int(bad.sum())
    counts = {"goods": bad.size - bads, "defaults": bads}
    least = max(ceil(round((1 - error) / error, 9)), 1)
    return [
        f"the calibration sample has {count} {name}; an error of {error:g} needs at least {least}"
        for name, count in counts.items()
        if count < least
    ]


def _margin_faults(base: FloatArray, models: FloatArray) -> list[str]:
    if models.ndim != 2 or base.ndim != 1 or models.shape[1] != base.size:
        return [f"margins have the shape {models.shape}; [models, {base.size}] is needed"]
    faults = [f"there are {len(models)} models; a spread needs at least 2"] if len(models) < 2 else []
    return [*faults, *finite_faults("base", base), *finite_faults("margins", models)]


_COVERAGE = {
    **dict.fromkeys(("class", "measure"), pl.String),
    **dict.fromkeys(("applicants", "count"), pl.Int64),
    **dict.fromkeys(("target", "least", "value", "low", "high", "level"), pl.Float64),
    "method": pl.String,
}
