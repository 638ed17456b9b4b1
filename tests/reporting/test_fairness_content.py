"""What the reports print of groups: why one is not judged, and no counts that crossings would give away."""

import polars as pl
import pytest

from workbench.reporting.content import TABLES

ROW = {
    "attribute": "sex", "group": "female", "metric": "adverse_impact_ratio", "applicants": 200, "value": 0.9,
    "low": 0.8, "high": 1.0, "level": 0.95, "method": "percentile", "judged": True, "note": "",
    "p_adjusted": 0.2,
}  # fmt: skip


def shown(name, *rows, below=10):
    table, frame = TABLES[name], pl.DataFrame(rows)
    return table.markdown(table.rows(frame, suppress_below=below), suppress_below=below)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "yes"),
        ({"judged": False, "note": "fewer than 50 applicants"}, "no: too few applicants"),
        (
            {"judged": False, "note": "fewer than 50 applicants, fewer than 10 goods; undefined"},
            "no: too few applicants, goods |",
        ),
        ({"judged": False, "note": "the attribute is not known"}, "no: the attribute is not known"),
        ({"judged": False, "note": ""}, "no: too few"),
        ({"method": "by definition"}, "reference group"),
    ],
)
def test_it_is_said_why_a_group_is_not_judged(changes, said):
    assert said in shown("fairness_ratios", ROW | changes)


@pytest.mark.parametrize(("p", "said"), [(0.0004, "<0.001"), (0.001, "0.001"), (0.25, "0.250"), (None, "–")])
def test_p_values_have_three_digits(p, said):
    assert said in shown("fairness_ratios", ROW | {"p_adjusted": p}, ROW | {"p_adjusted": 0.5})


def test_crossings_stand_apart_judged_alone_and_without_counts():
    crossing = ROW | {"attribute": "sex x age_band", "group": "female x under 30", "applicants": 77}
    small = crossing | {"group": "male x under 30", "judged": False}
    reference = crossing | {"group": "male x 30 to 39", "method": "by definition"}
    assert "under 30" not in shown("fairness_ratios", ROW, crossing)
    told = shown("fairness_crossed", ROW, crossing, small, reference)
    assert "female x under 30" in told
    assert "male" not in told.replace("female", "")
    assert "77" not in told


@pytest.mark.parametrize(
    ("assumption", "strength", "said"),
    [
        ("mislabelled bads", 0.125, "12.5% of them"),
        ("unseen outcomes", 1.5, "odds 1.50 times"),
        ("unseen outcomes", None, "nothing of this kind"),
    ],
)
def test_what_undoes_a_sign_is_told_in_its_unit(assumption, strength, said):
    row = {
        "attribute": "sex",
        "group": "a",
        "metric": "selection_rate_difference",
        "value": 0.1,
        "note": "",
        "assumption": assumption,
    }
    rows = [row | {"strength": strength}, row | {"strength": 9.0}]
    assert said in shown("fairness_tipping", *rows)


def test_the_features_that_carry_most_of_each_group_are_shown():
    rows = [
        {"attribute": "sex", "group": group, "of": of, "feature": f"f{at}", "contribution": at / 100,
         "low": 0.0, "high": 1.0}
        for group in ("a", "b") for of in ("selection", "margin") for at in (-5, 1, 2, 3)
    ]  # fmt: skip
    told = shown("fairness_carried", *rows)
    assert told.count("f-5") == told.count("f3") == told.count("f2") == 2
    assert "f1" not in told


@pytest.mark.parametrize(("applicants", "is_told"), [(9, False), (10, True)])
@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("fairness_accuracy", "auc"),
        ("fairness_distances", "ks_distance"),
        ("fairness_given_strata", "conditional_adverse_impact_ratio"),
    ],
)
def test_no_measure_of_a_group_that_is_hidden_elsewhere_is_told(name, metric, applicants, is_told):
    tests = {"p_value": 0.2, "homogeneity_p_value": 0.3, "share_used": 1.0}
    row = ROW | tests | {"metric": metric, "applicants": applicants, "value": 0.625}
    assert ("0.625" in shown(name, row)) is is_told


def test_an_attribute_s_flips_are_told_once_where_nothing_can_be_flipped():
    row = {
        "attribute": "sex",
        "metric": "flip_decision",
        "value": None,
        "low": None,
        "high": None,
        "note": "no",
    }
    assert shown("fairness_flips", row | {"group": "a"}, row | {"group": "b"}).count("flip decision") == 1
