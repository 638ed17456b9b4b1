"""Sample reasons: lists that many share, with medians, and nobody's own numbers."""

import polars as pl

from workbench.explanation.sample_reasons import sample_reasons

LISTS = {  # applicant -> reasons in order
    **dict.fromkeys(range(1, 6), (("late", "late_90"), ("balance", "low"))),
    **dict.fromkeys(range(6, 9), (("balance", "low"), ("late", "late_90"))),
    9: (("late", "late_30"),),
    **dict.fromkeys(range(10, 13), (("late", "late_90"), ("balance", "low"))),
}
REASONS = pl.DataFrame(
    [
        {"applicant_id": own, "rank": rank, "reason_code": code, "feature": name, "kind": "model"}
        for own, told in LISTS.items()
        for rank, (code, name) in enumerate(told, 1)
    ]
)
DECIDED = pl.DataFrame({"applicant_id": list(LISTS)}).with_columns(
    decision=pl.when(pl.col("applicant_id") >= 10)
    .then(pl.lit("counter_offered"))
    .otherwise(pl.lit("declined"))
)
NAMES = ["late_90", "late_30", "low", "share"]
FEATURES = pl.DataFrame(
    {
        "applicant_id": list(LISTS),
        "late_90": [1, 2, 3, 5, 9, 1, 1, 1, 0, 7, 7, 7],
        "late_30": [None] * 12,
        "low": [1234.0, 1236.0, 1238.0, 1239.0, float("nan")] + [10.0] * 7,
        "share": [0.12345] * 12,
        "score": [500.0] * 12,
    },
    schema_overrides={"late_30": pl.Float64},
)


def made(samples=2, least=3, reasons=REASONS):
    return sample_reasons(reasons, DECIDED, FEATURES, NAMES, samples=samples, least=least)


def test_the_most_shared_list_of_each_decision_comes_first_in_order():
    told, _ = made()
    first = told.unique("applicant_id", keep="first", maintain_order=True)
    assert first["decision"].to_list() == ["declined", "declined", "counter_offered"]
    assert first["applicants"].to_list() == [5, 3, 3]
    assert told["applicant_id"].to_list() == [1, 1, 2, 2, 3, 3]
    assert told.filter(applicant_id=2)["reason_code"].to_list() == ["balance", "late"]
    assert told["rank"].to_list() == [1, 2] * 3


def test_one_list_each_where_one_is_asked_for():
    assert made(samples=1)[0]["applicants"].unique(maintain_order=True).to_list() == [5, 3]


def test_a_list_of_too_few_is_not_shown():
    assert made(least=4)[0]["applicants"].unique().to_list() == [5]
    assert made(least=5)[0].height == 2
    told, numbers = made(least=6)
    assert (told.height, numbers.height) == (0, 0)
    assert told.columns == [
        "applicant_id",
        "applicants",
        "decision",
        "rank",
        "reason_code",
        "feature",
        "kind",
    ]
    assert "late_30" not in made(samples=9, least=2)[0]["feature"]


def test_numbers_are_lower_medians_to_two_digits_and_missing_ones_stay_so():
    _, numbers = made()
    assert numbers.columns == ["applicant_id", *NAMES]
    assert numbers.row(0) == (1, 3.0, None, 1200.0, 0.12)
    assert numbers["late_90"].to_list() == [3.0, 1.0, 7.0]


def test_nobody_without_approval_gives_no_samples():
    told, numbers = made(reasons=REASONS.clear())
    assert (told.height, numbers.height) == (0, 0)


def test_the_order_of_rows_changes_nothing():
    for one, other in zip(
        made(), made(reasons=REASONS.sample(fraction=1, shuffle=True, seed=1)), strict=True
    ):
        assert one.equals(other)
