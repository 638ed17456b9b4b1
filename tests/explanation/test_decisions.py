import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ParamsError
from workbench.explanation.decisions import Rule, decisions, principal_reasons, rule_reasons, rules_of

FEATURES = pl.DataFrame({"applicant_id": [1, 2, 3, 4], "defaults": [0.0, 1.0, 2.0, None], "debts": [9.0] * 4})


def hit_by(**condition) -> list[int]:
    rule = Rule("past default", "defaults", **condition)
    return rule_reasons(FEATURES, [rule], reasons_shown=4)["applicant_id"].to_list()


@pytest.mark.parametrize(
    ("condition", "hit"),
    [
        ({"at_least": 1.0}, [2, 3]),
        ({"at_least": np.nextafter(1.0, 2)}, [3]),
        ({"at_most": 1.0}, [1, 2]),
        ({"at_most": np.nextafter(1.0, 0)}, [1]),
        ({"at_least": 1.0, "at_most": 1.0}, [2]),
        ({"is_missing": True}, [4]),
    ],
)
def test_a_rule_hits_from_its_value_on(condition, hit):
    assert hit_by(**condition) == hit


def test_nan_is_missing():
    frame = FEATURES.with_columns(defaults=pl.lit(float("nan")))
    assert rule_reasons(frame, [Rule("x", "defaults", is_missing=True)], reasons_shown=4).height == 4
    assert rule_reasons(frame, [Rule("x", "defaults", at_least=0.0)], reasons_shown=4).height == 0


def test_rule_6_a_knock_out_rule_is_named_as_itself():
    rules = [Rule("debts", "debts", at_least=9.0), Rule("past default", "defaults", at_least=2.0)]
    table = rule_reasons(FEATURES, rules, reasons_shown=4)
    assert table.filter(pl.col("applicant_id") == 3).rows() == [
        (3, 1, "debts", "debts", None, "rule"),
        (3, 2, "past default", "defaults", None, "rule"),
    ]


def test_rule_1_four_reasons_at_most_from_rules_as_well():
    rules = [Rule(f"rule {number}", "debts", at_least=number) for number in range(6)]
    table = rule_reasons(FEATURES, rules, reasons_shown=4)
    assert table.filter(pl.col("applicant_id") == 1)["reason_code"].to_list() == [
        f"rule {n}" for n in range(4)
    ]
    assert table.group_by("applicant_id").len()["len"].max() == 4


def test_no_rules_hit_nobody():
    table = rule_reasons(FEATURES, [], reasons_shown=4)
    assert table.height == 0
    assert table.columns == ["applicant_id", "rank", "reason_code", "feature", "points_lost", "kind"]


def test_the_rules_of_a_study_keep_their_order():
    found = rules_of(
        {"b": {"feature": "debts", "at_most": 3.0}, "a": {"feature": "defaults", "is_missing": True}},
        FEATURES.columns,
    )
    assert found == [Rule("b", "debts", at_most=3.0), Rule("a", "defaults", is_missing=True)]


def test_every_fault_of_the_rules_is_told_at_once():
    values = {
        "nothing": {"feature": "debts"},
        "both": {"feature": "debts", "at_least": 1.0, "is_missing": True},
        "crossed": {"feature": "debts", "at_least": 2.0, "at_most": 1.0},
        "unknown": {"feature": "debts", "above": 2.0},
        "typed": {"feature": "debt", "at_least": 2.0},
        "right": {"feature": "debts", "at_least": 1.0, "at_most": 1.0},
    }
    with pytest.raises(ParamsError, match=r"5 fault\(s\) in explanation.knock_out_rules") as caught:
        rules_of(values, ["debts"])
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        name for name in values if name != "right"
    ]
    assert "did you mean debts?" in caught.value.faults[4]


def decided(*points: float, ruled=(), offer: float = 0.0) -> list[tuple[str, str]]:
    scores = pl.DataFrame(
        {"applicant_id": range(1, len(points) + 1), "score": [float(one) for one in points]}
    )
    hits = pl.DataFrame({"applicant_id": list(ruled)}, schema={"applicant_id": pl.Int64})
    return decisions(scores, hits, cutoff=512, counter_offer_points=offer).select("decision", "stage").rows()


def test_the_cutoff_itself_is_approved():
    below = float(np.nextafter(512, 0))
    assert decided(512, below) == [("approved", ""), ("declined", "model")]


def test_a_counter_offer_reaches_down_to_its_last_point():
    lowest = float(np.nextafter(502, 0))
    assert decided(511, 502, lowest, offer=10) == [
        ("counter_offered", "model"),
        ("counter_offered", "model"),
        ("declined", "model"),
    ]


def test_rule_7_whom_a_rule_hits_is_declined_by_the_rule_whatever_the_score():
    assert decided(600, 511, 400, ruled=[1, 2, 3], offer=10) == [("declined", "rule")] * 3


def model_reasons(*ids: int) -> pl.DataFrame:
    rows = [
        (number, rank, f"family {rank}", "debts", 9.0 - rank, "model") for number in ids for rank in (1, 2)
    ]
    columns = ["applicant_id", "rank", "reason_code", "feature", "points_lost", "kind"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_rule_7_reasons_come_from_the_stage_that_failed_and_never_from_both():
    ruled = rule_reasons(FEATURES, [Rule("past default", "defaults", at_least=1.0)], reasons_shown=4)
    scores = pl.DataFrame({"applicant_id": [1, 2, 3, 4], "score": [400.0, 400.0, 600.0, 600.0]})
    table = principal_reasons(decisions(scores, ruled, cutoff=512), ruled, model_reasons(1, 2, 4))
    assert table.select("applicant_id", "rank", "reason_code", "kind").rows() == [
        (1, 1, "family 1", "model"),
        (1, 2, "family 2", "model"),
        (2, 1, "past default", "rule"),
        (3, 1, "past default", "rule"),
    ]


def test_the_approved_get_no_reasons_and_the_counter_offered_do():
    scores = pl.DataFrame({"applicant_id": [1, 2], "score": [512.0, 511.0]})
    none = rule_reasons(FEATURES, [], reasons_shown=4)
    found = decisions(scores, none, cutoff=512, counter_offer_points=5)
    assert principal_reasons(found, none, model_reasons(1, 2))["applicant_id"].unique().to_list() == [2]


@given(
    st.lists(st.tuples(st.integers(490, 530), st.booleans()), min_size=1, max_size=20),
    st.integers(0, 15),
)
def test_everybody_has_one_decision_and_one_stage(people, offer):
    found = decided(
        *(float(score) for score, _ in people),
        ruled=[number for number, (_, hit) in enumerate(people, 1) if hit],
        offer=float(offer),
    )
    for (score, hit), (decision, stage) in zip(people, found, strict=True):
        assert stage == ("rule" if hit else "" if score >= 512 else "model")
        assert (decision == "approved") == (stage == "")
        assert (decision == "counter_offered") == (stage == "model" and offer > 0 and score >= 512 - offer)
