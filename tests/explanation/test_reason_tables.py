import polars as pl
import pytest

from workbench.explanation.reason_tables import coverage_table, overlap_table, reason_table, sample_table
from workbench.statistics.proportions import wilson

CODES = pl.DataFrame({"reason_code": ["late", "paid", "no file"], "sample": [24, 24, 14]})
ROWS = [(1, 1, "late", 10.0), (1, 2, "paid", 4.0), (2, 1, "late", 20.0), (3, 1, "no file", 8.0)]


def reasons(*rows) -> pl.DataFrame:
    return pl.DataFrame(
        list(rows), schema=["applicant_id", "rank", "reason_code", "points_lost"], orient="row"
    )


def test_the_reason_table_counts_shares_of_all_declined():
    table = reason_table(reasons(*ROWS), 4, level=0.9)
    columns = ["reason_code", "applicants", "share", "as_first", "mean_points_lost"]
    assert table.select(columns).rows() == [
        ("late", 2, 0.5, 0.5, 15.0),
        ("no file", 1, 0.25, 0.25, 8.0),
        ("paid", 1, 0.25, 0.0, 4.0),
    ]
    interval = wilson(2, 4, level=0.9)
    assert table.row(0, named=True)["low"] == pytest.approx(interval.low)
    assert table.row(0, named=True)["high"] == pytest.approx(interval.high)
    assert table["method"].unique().to_list() == [interval.method]


def decided(*rows) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["applicant_id", "decision", "stage"], orient="row")


def test_coverage_counts_those_with_all_reasons_and_those_without_any():
    people = decided(
        (1, "declined", "model"),
        (2, "declined", "rule"),
        (4, "declined", "model"),
        (3, "counter_offered", "model"),
        (5, "approved", ""),
    )
    table = coverage_table(people, reasons(*ROWS), CODES, reasons_shown=2, level=0.95)
    assert table.select("decision", "measure", "applicants", "of").rows() == [
        ("counter_offered", "with all reasons", 0, 1),
        ("counter_offered", "without any reason", 0, 1),
        ("counter_offered", "by a rule", 0, 1),
        ("counter_offered", "with a text of our own", 0, 1),
        ("declined", "with all reasons", 1, 3),
        ("declined", "without any reason", 1, 3),
        ("declined", "by a rule", 1, 3),
        ("declined", "with a text of our own", 2, 3),
    ]
    last = table.row(7, named=True)
    assert (last["share"], last["low"]) == (pytest.approx(2 / 3), pytest.approx(wilson(2, 3).low))


def test_rule_13_the_share_of_texts_of_our_own_is_told():
    assert sample_table(reasons(*ROWS), CODES).rows() == [(14, 1, 0.25), (24, 3, 0.75)]


def overlap(one, other, *ids) -> dict[str, float]:
    table = overlap_table({"one": one, "other": other}, pl.Series(ids), level=0.95)
    assert table["reasons_by"].unique().to_list() == ["one"]
    return dict(table.select("measure", "value").iter_rows())


def test_rule_5_a_method_agrees_with_itself():
    assert overlap(reasons(*ROWS), reasons(*ROWS), 1, 2, 3, 4) == {
        "reasons in common": 1.0,
        "same first reason": 1.0,
    }


def test_rule_5_the_overlap_of_methods_is_counted_on_the_same_applicants():
    """1: one of two in common and another first; 2: the same; 3: reasons by one method alone."""
    other = reasons((1, 1, "paid", 5.0), (2, 1, "late", 1.0))
    found = overlap(reasons(*ROWS), other, 1, 2, 3)
    assert found["reasons in common"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["same first reason"] == pytest.approx(1 / 3)
    assert overlap(other, reasons(*ROWS), 1, 2, 3) == pytest.approx(found)


def test_rule_5_the_order_of_the_others_does_not_count():
    mixed = reasons((1, 2, "late", 4.0), (1, 1, "paid", 5.0))
    assert overlap(reasons(*ROWS[:2]), mixed, 1) == {"reasons in common": 1.0, "same first reason": 0.0}


def test_three_methods_are_compared_in_pairs():
    methods = dict.fromkeys(("near_cutoff", "all_applicants", "best_value"), reasons(*ROWS))
    table = overlap_table(methods, pl.Series([1, 2]), level=0.95)
    assert table.height == 6
    assert table["method"].null_count() == 0
