from statistics import fmean, stdev

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.features.build import build_features, catalogue_of
from workbench.features.catalogue import SourceView, select_features
from workbench.params import ROOT

VIEW = SourceView("card", "statements", "payment_history")
FEATURES = catalogue_of([VIEW], windows=[30], observation_days=183)
NAMES = [feature.name for feature in FEATURES]
STATUS = ("PAY_6", "PAY_5", "PAY_4", "PAY_3", "PAY_2", "PAY_0")
SOURCE = pl.read_parquet(ROOT / "data" / "taiwan_credit.parquet")
APPLICANTS = SOURCE.select(applicant_id="ID", credit_limit="LIMIT_BAL")
STATEMENTS = pl.concat(
    SOURCE.select(
        applicant_id="ID",
        age_days=pl.lit(180 - 30 * month + month, dtype=pl.Int64),
        status=STATUS[month - 1],
        billed=f"BILL_AMT{7 - month}",
        paid=f"PAY_AMT{7 - month}",
    )
    for month in range(1, 7)
)


def only(numbers):
    """The tables of some applicants."""
    keep = pl.col("applicant_id").is_in(numbers.implode())
    return APPLICANTS.filter(keep), STATEMENTS.filter(keep)


FIFTY = only(APPLICANTS["applicant_id"].sample(50, seed=29))

# Three applicants; months from April (1) to September (6).
LEDGER = {
    1: {  # pays late, then recovers
        "credit_limit": 1_000,
        "status": [0, 2, 3, 1, 0, -1],
        "billed": [100, 200, 300, 1_001, 400, 0],
        "paid": [0, 50, 0, 100, 2_002, 400],
    },
    2: {  # never uses the card
        "credit_limit": 2_000,
        "status": [-2] * 6,
        "billed": [0] * 6,
        "paid": [0] * 6,
    },
    3: {  # late now, with a credit balance in the middle
        "credit_limit": 500,
        "status": [-1, -1, 0, 0, 1, 2],
        "billed": [500, 500, -100, 0, 250, 600],
        "paid": [10, 250, 1_000, 5, 30, 0],
    },
}
BY_HAND = {
    1: {
        "late_months_latest": 0,
        "late_months_max": 3,
        "late_months_recent": 1 / 3,
        "late_count": 3,
        "late_2_count": 2,
        "months_since_late": 2,
        "late_trend": (-1.5 * 2 - 0.5 * 3 + 0.5 * 1) / 17.5,
        "paid_in_full_count": 1,
        "paid_in_full_latest": 1,
        "no_use_count": 0,
        "no_use_latest": 0,
        "utilisation_latest": 0,
        "utilisation_mean": 2_001 / 6_000,
        "utilisation_max": 1.001,
        "utilisation_trend": (-250 - 300 - 150 + 500.5 + 600) / 17.5 / 1_000,
        "utilisation_volatility": stdev([0.1, 0.2, 0.3, 1.001, 0.4, 0]),
        "over_limit_count": 1,
        "payment_ratio_mean": (0.5 + 0 + 0.333333 + 1 + 1) / 5,
        "payment_ratio_min": 0,
        "payment_ratio_total": 2_552 / 2_001,
        "unpaid_count": 1,
        "paid_share_latest": 0.4,
        "paid_share_mean": 2_552 / 6_000,
        "paid_mean": 2_552 / 6,
        "paid_max": 2_002,
        "payment_volatility": stdev([0, 0.05, 0, 0.1, 2.002, 0.4]),
        "billed_mean": 333.5,
        "billed_latest": 0,
        "credit_limit": 1_000,
    },
    2: dict.fromkeys(NAMES, 0)
    | {
        "months_since_late": 6,
        "no_use_count": 6,
        "no_use_latest": 1,
        "payment_ratio_mean": None,
        "payment_ratio_min": None,
        "payment_ratio_total": None,
        "credit_limit": 2_000,
    },
    3: {
        "late_months_latest": 2,
        "late_months_max": 2,
        "late_months_recent": 1,
        "late_count": 2,
        "late_2_count": 1,
        "months_since_late": 0,
        "late_trend": (1.5 * 1 + 2.5 * 2) / 17.5,
        "paid_in_full_count": 2,
        "paid_in_full_latest": 0,
        "no_use_count": 0,
        "no_use_latest": 0,
        "utilisation_latest": 1.2,
        "utilisation_mean": 1_750 / 3_000,
        "utilisation_max": 1.2,
        "utilisation_trend": (-1_250 - 750 + 50 + 375 + 1_500) / 17.5 / 500,
        "utilisation_volatility": stdev([1, 1, -0.2, 0, 0.5, 1.2]),
        "over_limit_count": 1,
        "payment_ratio_mean": (0.5 + 1 + 0) / 3,
        "payment_ratio_min": 0,
        "payment_ratio_total": 1_250 / 1_250,
        "unpaid_count": 1,
        "paid_share_latest": 0,
        "paid_share_mean": 1_295 / 3_000,
        "paid_mean": 1_295 / 6,
        "paid_max": 1_000,
        "payment_volatility": stdev([0.02, 0.5, 2, 0.01, 0.06, 0]),
        "billed_mean": 1_750 / 6,
        "billed_latest": 600,
        "credit_limit": 500,
    },
}


def tables_of(ledger):
    applicants = pl.DataFrame(
        [{"applicant_id": i, "credit_limit": who["credit_limit"]} for i, who in ledger.items()]
    )
    statements = pl.DataFrame(
        [
            {
                "applicant_id": i,
                "age_days": 30 * (5 - month) + 4 * month,
                "status": who["status"][month],
                "billed": who["billed"][month],
                "paid": who["paid"][month],
            }
            for i, who in ledger.items()
            for month in range(6)
        ]
    )
    return applicants, statements


def build(applicants, statements, engine="polars", features=FEATURES):
    """The features as Polars gives them, computed on lazy Polars, eager Polars or pandas."""
    frames = {"applicants": applicants, "card": statements}
    native = {"polars": pl.DataFrame.lazy, "eager": pl.DataFrame.clone, "pandas": pl.DataFrame.to_pandas}
    tables = {name: nw.from_native(native[engine](frame)).lazy() for name, frame in frames.items()}
    return build_features(tables, features).collect("polars").to_native()


def spread(values):
    return sum((month - 3.5) * value for month, value in enumerate(values, start=1)) / 17.5


def reference(limit, status, billed, paid):
    """All 29 features of one applicant from six months, oldest first, in plain Python."""
    late = [max(s, 0) for s in status]
    pairs = [(p, b) for b, p in zip(billed, paid[1:], strict=False) if b > 0]
    ratios = [round(min(p / b, 1) * 1e6) / 1e6 for p, b in pairs]
    late_months = [month for month, value in enumerate(late, start=1) if value]
    return {
        "late_months_latest": late[5],
        "late_months_max": max(late),
        "late_months_recent": fmean(late[3:]),
        "late_count": len(late_months),
        "late_2_count": sum(value >= 2 for value in late),
        "months_since_late": 6 - max(late_months, default=0),
        "late_trend": spread(late),
        "paid_in_full_count": status.count(-1),
        "paid_in_full_latest": int(status[5] == -1),
        "no_use_count": status.count(-2),
        "no_use_latest": int(status[5] == -2),
        "utilisation_latest": billed[5] / limit,
        "utilisation_mean": fmean(billed) / limit,
        "utilisation_max": max(billed) / limit,
        "utilisation_trend": spread(billed) / limit,
        "utilisation_volatility": stdev(billed) / limit,
        "over_limit_count": sum(b > limit for b in billed),
        "payment_ratio_mean": fmean(ratios) if pairs else None,
        "payment_ratio_min": min(ratios, default=None),
        "payment_ratio_total": min(sum(p for p, _ in pairs) / sum(b for _, b in pairs), 10)
        if pairs
        else None,
        "unpaid_count": sum(p == 0 for p, _ in pairs),
        "paid_share_latest": paid[5] / limit,
        "paid_share_mean": fmean(paid) / limit,
        "paid_mean": fmean(paid),
        "paid_max": max(paid),
        "payment_volatility": stdev(paid) / limit,
        "billed_mean": fmean(billed),
        "billed_latest": billed[5],
        "credit_limit": limit,
    }


def assert_equal(row, wanted):
    assert set(wanted) == set(NAMES)
    for name, value in wanted.items():
        if value is None:
            assert row[name] is None, name
        else:
            assert row[name] == pytest.approx(value, rel=1e-12, abs=1e-12), name


def assert_same(left, right):
    """Equal to 1e-12 with missing values in the same places."""
    assert left.columns == right.columns
    assert left["applicant_id"].to_list() == right["applicant_id"].to_list()
    for name in left.columns[1:]:
        assert_equal_columns(left[name], right[name])


def assert_equal_columns(left, right):
    left, right = left.fill_nan(None), right.fill_nan(None)
    assert left.is_null().to_list() == right.is_null().to_list(), left.name
    assert left.drop_nulls().to_list() == pytest.approx(right.drop_nulls().to_list(), rel=1e-12, abs=1e-12), (
        left.name
    )


@pytest.mark.parametrize("engine", ["polars", "eager", "pandas"])
@pytest.mark.parametrize("applicant", [1, 2, 3])
def test_features_as_computed_by_hand(applicant, engine):
    row = build(*tables_of(LEDGER), engine).with_columns(pl.col(NAMES).fill_nan(None))
    assert_equal(row.row(by_predicate=pl.col("applicant_id") == applicant, named=True), BY_HAND[applicant])


@pytest.mark.parametrize("applicant", [1, 2, 3])
def test_the_reference_agrees_with_the_numbers_by_hand(applicant):
    who = LEDGER[applicant]
    wanted = reference(who["credit_limit"], who["status"], who["billed"], who["paid"])
    assert_equal(wanted, BY_HAND[applicant])


def test_features_of_fifty_real_applicants_equal_the_reference():
    built = build(*FIFTY)
    limits = dict(FIFTY[0].iter_rows())
    months = FIFTY[1].sort("age_days", descending=True).partition_by("applicant_id", as_dict=True)
    assert built.height == 50
    for row in built.iter_rows(named=True):
        ledger = months[(row["applicant_id"],)]
        columns = (ledger[name].to_list() for name in ("status", "billed", "paid"))
        assert_equal(row, reference(limits[row["applicant_id"]], *columns))


@pytest.mark.parametrize("engine", ["eager", "pandas"])
def test_engines_give_equal_values(engine):
    many = only(APPLICANTS["applicant_id"].sample(2_000, seed=7))
    assert_same(build(*many, engine), build(*many))


@pytest.mark.parametrize(("paid", "owed"), [(1, 128), (3, 128), (1, 2_000_000), (3, 2_000_000), (5, 256)])
def test_engines_agree_on_a_ratio_halfway_between_two_millionths(paid, owed):
    ledger = {1: {**LEDGER[1], "billed": [owed] * 6, "paid": [paid] * 6}}
    polars, pandas = (build(*tables_of(ledger), engine) for engine in ("polars", "pandas"))
    assert_same(polars, pandas)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(["polars", "eager", "pandas"]))
def test_the_order_of_statements_does_not_change_a_bit(seed, engine):
    shuffled = FIFTY[1].sample(fraction=1, shuffle=True, seed=seed)
    applicants = FIFTY[0].sample(fraction=1, shuffle=True, seed=seed)
    first, second = build(*FIFTY, engine), build(applicants, shuffled, engine)
    assert first.equals(second)


def test_the_order_of_all_statements_does_not_change_a_bit():
    shuffled = STATEMENTS.sample(fraction=1, shuffle=True, seed=3)
    assert build(APPLICANTS, shuffled).equals(build(APPLICANTS, STATEMENTS))


@given(st.data())
def test_any_ledger_gives_what_the_reference_gives(data):
    six = {
        "credit_limit": data.draw(st.integers(1, 1_000_000)),
        "status": data.draw(st.lists(st.integers(-2, 8), min_size=6, max_size=6)),
        "billed": data.draw(st.lists(st.integers(-1_000, 1_000), min_size=6, max_size=6)),
        "paid": data.draw(st.lists(st.integers(0, 1_000), min_size=6, max_size=6)),
    }
    wanted = reference(six["credit_limit"], six["status"], six["billed"], six["paid"])
    assert_equal(build(*tables_of({1: six})).row(0, named=True), wanted)


def test_amounts_at_the_contract_s_limits_do_not_overflow():
    top = 10_000_000
    who = {"credit_limit": 1, "status": [8] * 6, "billed": [top, -top] * 3, "paid": [top, 0] * 3}
    row = build(*tables_of({1: who})).row(0, named=True)
    assert_equal(row, reference(1, who["status"], who["billed"], who["paid"]))


def test_only_the_features_asked_for_come_in_that_order():
    chosen = select_features(["paid_max", "late_count"], FEATURES)
    built = build(*tables_of(LEDGER), features=chosen)
    assert built.columns == ["applicant_id", "paid_max", "late_count"]
    assert built["paid_max"].to_list() == [2_002, 0, 1_000]


def test_rows_are_sorted_and_every_feature_is_a_float():
    built = build(FIFTY[0].reverse(), FIFTY[1].reverse())
    assert built["applicant_id"].is_sorted()
    assert built["applicant_id"].n_unique() == 50
    assert set(built.drop("applicant_id").dtypes) == {pl.Float64}


def test_an_applicant_s_features_do_not_depend_on_the_others():
    alone = only(FIFTY[0]["applicant_id"].head(1))
    number = alone[0]["applicant_id"][0]
    among = build(*FIFTY).filter(pl.col("applicant_id") == number)
    assert build(*alone).equals(among)


def test_no_feature_of_the_real_data_is_infinite_or_nan():
    built = build(APPLICANTS, STATEMENTS).drop("applicant_id")
    assert built.height == 30_000
    assert built.select(pl.all().is_infinite().any() | pl.all().is_nan().any()).row(0).count(True) == 0
    missing = {name: count for name, count in built.null_count().row(0, named=True).items() if count}
    assert set(missing) == {"payment_ratio_mean", "payment_ratio_min", "payment_ratio_total"}


def test_there_are_29_features_under_the_names_they_always_had():
    assert len(FEATURES) == len({feature.definition for feature in FEATURES}) == 29
    assert {feature.source for feature in FEATURES} == {"card", "applicants"}
    assert NAMES[0] == "late_months_latest"
    assert (NAMES[-1], FEATURES[-1].data_category) == ("credit_limit", "credit_terms")


@pytest.mark.parametrize(("age", "months"), [(179, 6), (180, 5)])
def test_a_statement_older_than_six_months_is_not_read(age, months):
    ledger = {1: LEDGER[1] | {"status": [8, 0, 0, 0, 0, 0]}}
    applicants, statements = tables_of(ledger)
    oldest = pl.col("age_days") == statements["age_days"].max()
    built = build(
        applicants, statements.with_columns(age_days=pl.when(oldest).then(age).otherwise("age_days"))
    )
    assert built["late_count"][0] == months - 5
    assert (built["late_trend"][0] is None) == (months < 6)


def test_an_applicant_without_statements_has_missing_values_and_a_limit():
    applicants, statements = tables_of(LEDGER)
    row = build(applicants, statements.filter(pl.col("applicant_id") != 2)).row(1, named=True)
    assert {name for name, value in row.items() if value is not None} == {"applicant_id", "credit_limit"}


def test_a_limit_of_zero_leaves_its_shares_missing():
    row = build(*tables_of({1: LEDGER[1] | {"credit_limit": 0}})).row(0, named=True)
    assert row["utilisation_mean"] is None
    assert row["paid_mean"] == 2_552 / 6
