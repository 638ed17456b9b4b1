"""A frozen scorer decides as training and explanation do, on every engine, for one and for many."""

from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from tests.scoring.making import CALIBRATIONS, FAMILIES, NAMES, applicants, frozen, near, scorer
from workbench.engine import missing_for_gpu
from workbench.errors import DataError
from workbench.explanation import decisions, reasons
from workbench.explanation.trials import every_method
from workbench.scoring.agreement import flag_table, path_table, reason_gaps, reason_rows
from workbench.scoring.tables import CHUNK_ROWS, decision_table

RULES = {
    "NO_LIMIT": {"feature": "limit", "at_most": 2000.0},
    "NO_AIRTIME": {"feature": "gaps", "is_missing": True},
}


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_every_engine_gives_the_pds_of_the_champion(calibration):
    own = frozen(calibration)
    trained = scorer(calibration).score(applicants())["prob_default"]
    table = path_table(own, applicants(), trained, engines=["xgboost", "onnx"], singles=200)
    assert table["applicants"].to_list() == [3000, 3000, 200]
    assert table["largest_gap"][0] == 0
    assert table["largest_gap"].max() <= 1e-6


@pytest.mark.gpu
@pytest.mark.skipif(bool(missing_for_gpu()), reason="no GPU with RAPIDS here")
def test_the_gpu_gives_the_pds_of_the_champion():
    trained = scorer().score(applicants())["prob_default"]
    table = path_table(frozen(), applicants(), trained, engines=["cuda"], singles=1)
    assert table["largest_gap"][0] <= 1e-6


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("method", ["near_cutoff", "best_value"])
def test_reasons_are_those_of_stage_explanation(method, calibration):
    champion = scorer(calibration)
    scored = applicants().join(champion.score(applicants()), on="applicant_id")
    refused = scored.filter(pl.col("score") < champion.cutoff)
    losses = every_method(
        champion,
        refused,
        near=near(champion),
        everybody=near(champion),
        approved=scored.filter(pl.col("approved") == 1),
        families=FAMILIES,
        size=200,
        seed=1,
    )
    told = reasons.rank_reasons(losses[method], refused["applicant_id"], reasons_shown=3)
    decided = decision_table(frozen(calibration, method), applicants())
    gaps = reason_gaps(decided, told).row(0, named=True)
    assert gaps["applicants"] > 300
    assert gaps["differing"] == 0
    assert gaps["largest_gap"] < 1e-5


def test_rules_decline_first_and_are_the_reasons():
    rules = decisions.rules_of(RULES, NAMES)
    own, champion = frozen(rules=rules), scorer()
    scored = applicants().join(champion.score(applicants()), on="applicant_id")
    ruled = decisions.rule_reasons(scored, rules, reasons_shown=3)
    expected = decisions.decisions(scored, ruled, cutoff=champion.cutoff)
    decided = decision_table(own, applicants())
    assert decided["decision"].to_list() == expected["decision"].to_list()
    assert decided["decided_by"].to_list() == expected["stage"].to_list()
    by_rule = reason_rows(decided.filter(pl.col("decided_by") == "rule"))
    columns = ["applicant_id", "rank", "reason_code", "feature"]
    assert by_rule.select(columns).equals(ruled.select(columns))


def test_counter_offers_are_those_of_stage_explanation():
    champion = scorer()
    scored = applicants().join(champion.score(applicants()), on="applicant_id")
    ruled = decisions.rule_reasons(scored, [], reasons_shown=3)
    expected = decisions.decisions(scored, ruled, cutoff=champion.cutoff, counter_offer_points=15.0)
    decided = decision_table(frozen(offer=15.0), applicants())
    assert decided["decision"].to_list() == expected["decision"].to_list()
    assert {"approved", "counter_offered", "declined"} == set(decided["decision"])


def test_one_by_one_and_all_together_agree():
    own = frozen(rules=decisions.rules_of(RULES, NAMES)).on("onnx")
    some = applicants().head(60)
    together = decision_table(own, some)
    alone = pl.concat([decision_table(own, row) for row in some.iter_slices(1)])
    assert together.equals(alone)


def test_threads_change_nothing():
    many = applicants(2 * CHUNK_ROWS + 1)
    together = decision_table(frozen(), many, threads=2)
    assert together.equals(decision_table(frozen(), many))
    assert together.tail(3000).equals(decision_table(frozen(), many.tail(3000)))


class TestOutOfContract:
    BAD: ClassVar = {"limit": 0.0}

    def person(self):
        return (
            applicants()
            .head(2)
            .with_columns(limit=pl.when(pl.col("applicant_id") == 1).then(0.0).otherwise("limit"))
        )

    def test_refused(self):
        decided = decision_table(frozen(), self.person())
        assert decided["decision"].to_list()[0] == "refused"
        assert decided.row(0, named=True)["prob_default"] is None
        assert decided.row(0, named=True)["reason_1"] is None
        assert decided["flags"].to_list()[0] == "contract extreme"
        assert decided["prob_default"].null_count() == 1

    def test_or_flagged_and_reviewed(self):
        decided = decision_table(frozen(out_of_contract="flag"), self.person())
        assert decided["decision"].to_list()[0] != "refused"
        assert decided["prob_default"].null_count() == 0
        assert decided["review"].to_list()[0] is True

    def test_an_infinite_value_is_refused_in_any_case(self):
        rows = applicants().head(2).with_columns(late=pl.Series([np.inf, 1.0]))
        for policy in ("refuse", "flag"):
            decided = decision_table(frozen(out_of_contract=policy), rows)
            assert decided["decision"].to_list()[0] == "refused"
            assert decided["decision"].to_list()[1] != "refused"

    def test_a_vector_with_one_is_refused_at_once(self):
        with pytest.raises(DataError, match="infinite"):
            frozen().decide(np.full((1, len(NAMES)), np.inf))


def test_whom_the_model_cannot_tell_apart_a_person_reviews():
    own = frozen()
    decided = decision_table(own, applicants())
    between = decided["prob_default"].is_between(0.3, 0.4, closed="both")
    flagged = decided["flags"].str.contains("extreme|unseen|missing|contract")
    assert (decided["review"] == (between | flagged)).all()
    assert flag_table(decided).filter(flag="for review")["applicants"].item() == decided["review"].sum()


def test_every_fault_of_a_table_is_told():
    rows = (
        applicants()
        .rename({"late": "lates"})
        .with_columns(ratio=pl.lit("x"), applicant_id=pl.lit(None, pl.Int64))
    )
    with pytest.raises(DataError) as raised:
        decision_table(frozen(), rows)
    assert raised.value.faults == (
        "late is missing (did you mean lates?)",
        "applicant_id is missing in 3,000 rows",
        "ratio is String; a number is right",
    )


def test_a_table_without_rows_gives_one():
    decided = decision_table(frozen(), applicants().clear())
    assert decided.height == 0
    assert decided.columns[:4] == ["applicant_id", "prob_default", "score", "decision"]
