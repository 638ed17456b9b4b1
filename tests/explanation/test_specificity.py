import numpy as np
import polars as pl
import pytest

from workbench.errors import DataError
from workbench.explanation.specificity import check_no_protected, proxy_reasons, specificity_table
from workbench.fairness.proxies import proxy_table

FAMILIES = {"late_90": "late", "late_365": "late", "balance": "balance", "income": "income"}


def reasons(lists: dict[int, list[str]]) -> pl.DataFrame:
    rows = [
        (number, rank, code) for number, codes in lists.items() for rank, code in enumerate(codes, start=1)
    ]
    schema = {"applicant_id": pl.Int64, "rank": pl.Int64, "reason_code": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def firsts(codes) -> pl.DataFrame:
    return reasons({number: [code] for number, code in enumerate(codes)})


TOLD = reasons({1: ["late", "balance"], 2: ["late", "balance"], 3: ["balance", "late"], 4: ["income"]})


def measured(table: pl.DataFrame) -> dict[str, dict]:
    return {row["measure"]: row for row in specificity_table(table, level=0.95).iter_rows(named=True)}


def test_lists_are_told_apart_by_their_order():
    found = measured(TOLD)
    assert found["distinct_lists"]["value"] == 3
    assert found["commonest_list"]["value"] == 0.5
    assert found["same_first"]["value"] == pytest.approx(2 / 12)
    assert found["effective_first_reasons"]["value"] == pytest.approx(6)
    assert all(row["applicants"] == 4 for row in found.values())


def test_the_order_of_rows_does_not_matter():
    assert measured(TOLD.sample(fraction=1, shuffle=True, seed=2)) == measured(TOLD)


def test_everybody_told_the_same_is_one_reason():
    found = measured(firsts(["late"] * 30))
    assert found["effective_first_reasons"]["value"] == 1
    assert found["same_first"]["value"] == 1
    assert found["same_first"]["low"] is None
    assert found["commonest_list"]["value"] == 1
    assert found["distinct_lists"]["value"] == 1


def test_everybody_told_another_has_no_effective_number():
    found = measured(firsts("abcdef"))
    assert found["same_first"]["value"] == 0
    assert found["effective_first_reasons"]["value"] is None


def test_one_applicant_alone_says_nothing_of_differences():
    assert measured(firsts("a"))["same_first"]["value"] is None


def test_the_effective_number_of_equal_shares_is_their_number():
    found = measured(firsts(list("abcd") * 500))
    assert found["effective_first_reasons"]["value"] == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("shares", [(0.6, 0.3, 0.1), (0.25, 0.25, 0.25, 0.25)])
def test_intervals_cover_the_true_chance(shares):
    generator, rounds, hits = np.random.default_rng(3), 400, np.zeros(2)
    truth = sum(share**2 for share in shares)
    for _ in range(rounds):
        found = measured(firsts(generator.choice(list("abcd")[: len(shares)], size=250, p=shares)))
        same, number = found["same_first"], found["effective_first_reasons"]
        hits += [same["low"] <= truth <= same["high"], number["low"] <= 1 / truth <= number["high"]]
    assert (hits / rounds >= 0.92).all()
    assert hits[0] == hits[1]


def test_no_reasons_and_missing_first_reasons_are_refused():
    with pytest.raises(DataError) as caught:
        measured(TOLD.head(0))
    assert caught.value.faults == ("there are no reasons",)
    with pytest.raises(DataError) as caught:
        measured(TOLD.filter(~((pl.col("rank") == 1) & (pl.col("applicant_id") == 1))))
    assert caught.value.faults == ("4 applicants have 3 first reasons",)


@pytest.mark.parametrize("feature", ["sex", "Sex", "sex_female", "age_band", "Age-Band 30"])
def test_a_family_of_a_protected_attribute_is_refused(feature):
    with pytest.raises(DataError, match="protected attribute") as caught:
        check_no_protected(TOLD, ["sex", "age_band"], families=FAMILIES | {feature: "income"})
    assert len(caught.value.faults) == 1
    assert repr(feature) in caught.value.faults[0]
    assert caught.value.faults[0].endswith("told to 1 applicants")


@pytest.mark.parametrize("feature", ["sexton_balance", "age_bandwidth", "coverage", "months_since_age_band"])
def test_other_names_are_not(feature):
    assert check_no_protected(TOLD, ["sex", "age_band"], families=FAMILIES | {feature: "income"}) is None


def test_a_protected_code_is_refused_and_one_that_nobody_is_told_is_not():
    told = firsts(["sex", "sex", "late"])
    with pytest.raises(DataError) as caught:
        check_no_protected(told, ["sex"], families={"a": "sex"})
    assert caught.value.faults == ("'sex' names 'sex' by 'sex': told to 2 applicants",)
    assert check_no_protected(firsts(["late"]), ["sex"], families={"sex": "sex", "late_90": "late"}) is None


def strengths(**values: float) -> pl.DataFrame:
    """What stage fairness makes, with the given strengths."""
    rows = [
        {"attribute": "sex", "feature": name, "group": "female", "strength": value, "low": value - 0.1,
         "high": value + 0.1, "direction": 1, "applicants": 500}
        for name, value in values.items()
    ]  # fmt: skip
    return pl.DataFrame(rows)


def test_the_strongest_feature_speaks_for_its_family():
    found = proxy_reasons(
        strengths(late_90=0.70, late_365=0.80, balance=0.55, income=0.9), TOLD, families=FAMILIES, line=0.65
    )
    assert found.select("reason_code", "feature", "strength", "applicants", "share", "as_first").rows() == [
        ("income", "income", 0.9, 1, 0.25, 0.25),
        ("late", "late_365", 0.8, 3, 0.75, 0.5),
    ]
    assert found.select("attribute", "group", "low", "high").row(1) == ("sex", "female", 0.8 - 0.1, 0.8 + 0.1)


@pytest.mark.parametrize(("line", "listed"), [(0.7, 0), (np.nextafter(0.7, 0), 1)])
def test_at_the_line_is_not_above_it(line, listed):
    proxies = strengths(late_90=0.7, late_365=0.5, balance=0.5, income=0.5)
    assert proxy_reasons(proxies, TOLD, families=FAMILIES, line=line).height == listed


def test_a_family_that_nobody_is_told_is_not_listed():
    proxies = strengths(late_90=0.9, late_365=0.9, balance=0.9, income=0.9)
    found = proxy_reasons(proxies, firsts(["late", "late"]), families=FAMILIES, line=0.6)
    assert found["reason_code"].to_list() == ["late"]


def test_it_reads_the_table_of_stage_fairness():
    generator = np.random.default_rng(1)
    sex = generator.choice(["female", "male"], 400)
    frame = pl.DataFrame({"sex": sex, **{name: generator.normal(size=400) for name in FAMILIES}})
    frame = frame.with_columns(income=pl.col("income") + 2 * (pl.col("sex") == "male"))
    proxies = proxy_table(frame, ["sex"], list(FAMILIES), level=0.95)
    found = proxy_reasons(proxies, TOLD, families=FAMILIES, line=0.65)
    assert found.select("attribute", "reason_code", "feature").rows() == [("sex", "income", "income")]


def test_no_attribute_judged_leaves_nothing_to_sign():
    empty = strengths(late_90=0.9).head(0)
    found = proxy_reasons(empty, TOLD, families=FAMILIES, line=0.65)
    assert found.height == 0
    assert found.columns[:4] == ["attribute", "group", "reason_code", "feature"]


def test_faults_of_the_line_and_of_features_not_tried():
    with pytest.raises(DataError, match="cannot be told") as caught:
        proxy_reasons(strengths(late_90=0.7, balance=0.5), TOLD, families=FAMILIES, line=0.4)
    assert caught.value.faults == (
        "the line is 0.4; 0.5 to 1 is right",
        "income: its strength for sex is not known",
        "late_365: its strength for sex is not known",
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_the_applicants_does_not_change_a_digit(seed):
    rng = np.random.default_rng(seed)
    codes = [f"reason {number}" for number, size in enumerate(rng.integers(1, 900, 9)) for _ in range(size)]
    told = [specificity_table(firsts(rng.permutation(codes).tolist()), level=0.95).rows() for _ in range(8)]
    assert all(rows == told[0] for rows in told)
