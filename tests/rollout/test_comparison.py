import polars as pl
import pytest

from tests.rollout.made import CHAMPION, OTHER, side
from workbench.errors import DataError
from workbench.rollout.comparison import (
    ARMS,
    COMPARISON,
    NOT_SETTLED,
    NOT_WORSE,
    PAIRED,
    WORSE,
    compare_arms,
    compare_paired,
    verdict_of,
)


def arms(n=30_000, **other):
    frame = pl.concat([side("champion", CHAMPION, n), side("canary", OTHER, n, start=n, seed=2, **other)])
    return compare_arms(frame, champion=CHAMPION, other=OTHER)


def verdicts(table):
    return dict(table.select("measure", "verdict").iter_rows())


def test_a_canary_like_the_champion_is_not_worse():
    table = arms()
    assert table.schema == COMPARISON
    assert table["measure"].to_list() == list(ARMS)
    assert set(verdicts(table).values()) == {NOT_WORSE}
    assert table["level"].to_list() == pytest.approx([1 - 0.05 / 7] * 4)
    row = table.row(1, named=True)
    assert row["low"] < row["difference"] < row["high"]
    assert row["difference"] == pytest.approx(row["other"] - row["champion"])
    assert row["n_champion"] < 30_000  # of those approved


@pytest.mark.parametrize(
    ("change", "measure"), [({"approved": 0.7}, "approval_rate"), ({"default": 0.08}, "default_rate")]
)
def test_a_canary_that_is_worse_is_told(change, measure):
    table = arms(**change)
    assert verdicts(table)[measure] == WORSE
    row = table.filter(measure=measure).row(0, named=True)
    assert row["e_value"] > row["e_line"] == pytest.approx(7 / 0.05)


def test_few_settle_nothing():
    assert set(verdicts(arms(60)).values()) == {NOT_SETTLED}


def test_no_error_at_all_settles_the_error_rate_and_errors_are_told():
    table = pl.concat([side("champion", CHAMPION, 4_000), side("canary", OTHER, 4_000, start=4_000)])
    found = compare_arms(table, champion=CHAMPION, other=OTHER)
    assert verdicts(found)["error_rate"] == NOT_WORSE
    failed = pl.when(pl.col("role").eq("canary") & pl.int_range(pl.len()).mod(20).eq(0)).then(None)
    broken = table.with_columns(prob_default=failed.otherwise("prob_default"))
    found = compare_arms(broken, champion=CHAMPION, other=OTHER)
    assert verdicts(found)["error_rate"] == WORSE


def test_what_a_table_does_not_have_is_not_compared_and_alpha_stays_the_same():
    table = pl.concat([side("champion", CHAMPION, 900), side("canary", OTHER, 900, start=900)])
    found = compare_arms(table.drop("default", "milliseconds"), champion=CHAMPION, other=OTHER)
    assert found["measure"].to_list() == ["approval_rate", "error_rate"]
    assert found["level"][0] == pytest.approx(1 - 0.05 / 7)


def test_other_bundles_and_second_decisions_do_not_count():
    table = pl.concat([side("champion", CHAMPION, 900), side("canary", OTHER, 900, start=900)])
    more = pl.concat(
        [
            table,
            side("champion", "c" * 64, 900, approved=0.1),
            table.with_columns(decision=pl.lit("declined")),
        ]
    )
    args = {"champion": CHAMPION, "other": OTHER}
    assert compare_arms(more, **args).equals(compare_arms(table, **args))


def pairs(n=5_000, *, moved=0, shift=0.0):
    one = side("champion", CHAMPION, n)
    two = one.with_columns(
        role=pl.lit("shadow"), bundle_sha256=pl.lit(OTHER), prob_default=pl.col("prob_default") + shift
    )
    change = pl.when(pl.int_range(pl.len()) < moved).then(pl.lit("declined")).otherwise("decision")
    shadows = two.with_columns(decision=change).sample(fraction=1, shuffle=True, seed=3)
    return compare_paired(pl.concat([one, shadows]), champion=CHAMPION, other=OTHER)


def test_a_shadow_is_compared_pair_by_pair():
    table = pairs(moved=40)
    assert verdicts(table) == dict.fromkeys(PAIRED, NOT_WORSE)
    row = table.row(0, named=True)
    assert row["n_champion"] == row["n_other"] == 5_000
    assert row["difference"] == pytest.approx(row["other"] - row["champion"])
    assert row["e_value"] > row["e_line"] == pytest.approx(60)  # all one way, and still within the margin
    assert verdicts(pairs(moved=500))["approval_rate"] == WORSE
    assert verdicts(pairs(shift=0.01))["prob_default"] == WORSE
    assert verdicts(pairs(shift=-0.01))["prob_default"] == WORSE
    assert verdicts(pairs(n=400)) == dict.fromkeys(PAIRED, NOT_SETTLED)


@pytest.mark.parametrize(
    ("low", "high", "worse", "expected"),
    [
        (-0.1, 0.02, "higher", NOT_WORSE),
        (-0.02, 0.02, "either", NOT_WORSE),
        (-0.021, 0.02, "either", NOT_SETTLED),
        (0.02, 0.03, "higher", NOT_SETTLED),
        (0.0201, 0.03, "higher", WORSE),
        (-0.3, -0.0201, "either", WORSE),
        (-0.3, -0.0201, "higher", NOT_WORSE),
        (float("nan"), float("nan"), "either", NOT_SETTLED),
    ],
)
def test_the_margin_itself_counts_as_not_worse(low, high, worse, expected):
    assert verdict_of(low, high, margin=0.02, worse=worse) == expected


def test_what_cannot_be_compared_is_told_at_once():
    table = side("champion", CHAMPION, 10)
    args = {"champion": CHAMPION, "other": OTHER}
    with pytest.raises(DataError, match=f"10 of champion {CHAMPION[:12]}"):
        compare_arms(table, **args)
    with pytest.raises(DataError, match="no applicant was decided by both"):
        compare_paired(table, **args)
    with pytest.raises(DataError) as caught:
        compare_arms(table.drop("role").with_columns(decision=pl.lit(1)), **args)
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["role", "decision"]
    with pytest.raises(DataError) as caught:
        compare_arms(table, **args, margins={"auc": 1.0, "error_rate": 0.0})
    assert len(caught.value.faults) == 3
