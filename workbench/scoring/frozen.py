"""The frozen scorer: one champion with all that a decision needs, the same for one applicant and for
millions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import DataError
from workbench.scorer import Floats, Scorer
from workbench.scoring.contract import CONTRACT, REVIEWED, Contract, OutOfContract
from workbench.scoring.engines import (
    EngineName,
    cuda_margin,
    on_cuda,
    onnx_margin,
    onnx_session,
    xgboost_margin,
)
from workbench.scoring.forest import Singles, leaves_of
from workbench.scoring.reasons import (
    Families,
    Ranked,
    Rule,
    against_reference,
    rank,
    rank_rules,
    to_best,
)
from workbench.scoring.reference import Attributor, ReferenceCounts, attributor

DECISIONS = ("approved", "counter_offered", "declined")
BY = ("", "model", "rule")
LARGEST = float(np.finfo(np.float32).max)
APPROVED, COUNTER_OFFERED, DECLINED = range(3)


def beyond_numbers(matrix: Floats) -> NDArray[np.bool_]:
    """Return which values are infinite as XGBoost takes them: in float32."""
    beyond: NDArray[np.bool_] = np.abs(matrix) > LARGEST
    return beyond


@dataclass(frozen=True)
class ReasonMethod:
    """How reasons are found: a method of stage explanation with what it compares applicants with.

    `reference` for near_cutoff and all_applicants, `best` [features] for best_value; `texts` has the general
    text of each code.
    """

    method: str
    shown: int
    families: Families
    reference: ReferenceCounts | None = None
    best: Floats | None = None
    rules: tuple[Rule, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def codes(self) -> tuple[str, ...]:
        """All codes: the model's families, then the rules'."""
        return (*self.families.codes, *(rule.code for rule in self.rules))


@dataclass(frozen=True)
class ReviewBand:
    """PDs between which a person decides: review where both or neither of good and bad are likely."""

    good_up_to: float
    bad_from: float

    def review(self, prob_default: Floats) -> NDArray[np.bool_]:
        """Return whom the model cannot tell apart [applicants]."""
        reviewed: NDArray[np.bool_] = (prob_default <= self.good_up_to) == (prob_default >= self.bad_from)
        return reviewed


@dataclass(frozen=True)
class Decided:
    """Decisions in arrays [applicants]; `decision` and `by` are places in DECISIONS and BY.

    `flags` as `Contract.flags`; `reasons` is None where none were asked for, and where somebody is approved
    has none.
    """

    margin: Floats
    prob_default: Floats
    score: Floats
    decision: NDArray[np.uint8]
    by: NDArray[np.uint8]
    review: NDArray[np.bool_]
    flags: NDArray[np.uint8]
    reasons: Ranked | None


@dataclass(frozen=True)
class FrozenScorer:
    """The champion with its contract, reasons, rules and review band.

    `engine` gives the margins; every engine gives the same PD to 1e-6, which `gap` measures. `evidence` says
    which run vouches for it.
    """

    scorer: Scorer
    contract: Contract
    reasons: ReasonMethod
    onnx: bytes
    out_of_contract: OutOfContract = "refuse"
    counter_offer_points: float = 0.0
    review_band: ReviewBand | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    engine: EngineName = "xgboost"

    def on(self, engine: EngineName) -> FrozenScorer:
        """Return the same scorer on another engine."""
        return replace(self, engine=engine)

    def margins(self, matrix: Singles) -> Floats:
        """Return margins [applicants] of a float32 matrix [applicants, features]; NaN is missing."""
        if self.engine == "onnx":
            return onnx_margin(self._session, matrix)
        if self.engine == "cuda":
            return cuda_margin(self._on_cuda, matrix)
        return xgboost_margin(self.scorer.booster, matrix)

    def prob_default(self, matrix: Floats) -> Floats:
        """Return PDs [applicants] of raw feature vectors [applicants, features]."""
        return self.scorer.calibration.prob_default(self.margins(matrix.astype(np.float32)))

    def decide(self, matrix: Floats, *, reasons: bool = True) -> Decided:
        """Return the decision of each applicant from raw feature vectors [applicants, features].

        Infinite values are no one's: DataError. Where the contract is to be refused, refuse before.
        """
        if beyond_numbers(matrix).any():
            raise DataError("infinite values", ["a feature is a finite float32 number, or missing"])
        single = matrix.astype(np.float32)
        margin = self.margins(single)
        prob_default = self.scorer.calibration.prob_default(margin)
        score = self.scorer.scale.score(prob_default)
        hits = self._hits(matrix)
        decision, by = self._decisions(score, np.asarray(hits.any(axis=1)))
        flags = self.contract.flags(matrix)
        review = (flags & REVIEWED) > 0
        if self.review_band is not None:
            review |= self.review_band.review(prob_default) & (by != BY.index("rule"))
        told = self._told(single, margin, score, hits, by) if reasons else None
        return Decided(margin, prob_default, score, decision, by, review, flags, told)

    def refused(self, matrix: Floats) -> NDArray[np.bool_]:
        """Return whom the contract and params refuse [applicants]."""
        if self.out_of_contract == "flag":
            return np.zeros(len(matrix), dtype=bool)
        return (self.contract.flags(matrix) & CONTRACT) > 0

    def _hits(self, matrix: Floats) -> NDArray[np.bool_]:
        rules = self.reasons.rules
        hits = [rule.hits(matrix) for rule in rules]
        return np.stack(hits, axis=1) if hits else np.zeros((len(matrix), 0), dtype=bool)

    def _decisions(
        self, score: Floats, ruled: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        cutoff, points = self.scorer.cutoff, self.counter_offer_points
        offered = (score >= cutoff - points) & (points > 0)
        decision = np.where(score >= cutoff, APPROVED, np.where(offered, COUNTER_OFFERED, DECLINED))
        decision = np.where(ruled, DECLINED, decision)
        by = np.where(ruled, 2, np.where(decision == APPROVED, 0, 1))
        return decision.astype(np.uint8), by.astype(np.uint8)

    def _told(
        self, single: Singles, margin: Floats, score: Floats, hits: NDArray[np.bool_], by: NDArray[np.uint8]
    ) -> Ranked:
        """Return the reasons of those not approved, each from the stage that failed them."""
        method, shown = self.reasons, self.reasons.shown
        told = Ranked.nobody(len(single), shown)
        parts = []
        if (rows := np.flatnonzero(by == 1)).size:
            found = self._lost(single[rows], margin[rows], score[rows])
            parts.append((rows, rank(*found, shown=shown)))
        if (rows := np.flatnonzero(by == 2)).size:
            first = len(method.families.codes)
            parts.append((rows, rank_rules(hits[rows], method.rules, first_code=first, shown=shown)))
        for rows, ranked in parts:
            told.codes[rows], told.features[rows] = ranked.codes, ranked.features
            told.points[rows] = ranked.points
        return told

    def _lost(self, single: Singles, margin: Floats, score: Floats) -> tuple[Floats, NDArray[np.int16]]:
        scorer, families = self.scorer, self.reasons.families
        if self.reasons.best is not None:
            return to_best(self._points, families, self.reasons.best, single, score)
        return against_reference(
            self._attributor, families, scorer.calibration, scorer.scale.factor, single, margin
        )

    def _points(self, matrix: Singles) -> Floats:
        return self.scorer.points(self.margins(matrix))

    @cached_property
    def _session(self) -> Any:
        return onnx_session(self.onnx)

    @cached_property
    def _on_cuda(self) -> Any:
        return on_cuda(self.scorer.booster)

    @cached_property
    def _attributor(self) -> Attributor:
        assert self.reasons.reference is not None
        return attributor(
            leaves_of(self.scorer.booster), self.reasons.reference, features=len(self.scorer.features)
        )
