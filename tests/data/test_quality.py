import polars as pl
import pytest

from workbench.data.quality import draw_applicants, exclude, ledger_table, quality_table
from workbench.data.taiwan import UNDOCUMENTED, read_source, split_tables
from workbench.params import ROOT

SOURCE = read_source(ROOT / "data" / "taiwan_credit.parquet")
TABLES = split_tables(SOURCE)
KEEP = {
    "duplicates": "keep",
    "undocumented_education": "other",
    "undocumented_marital_status": "other",
    "negative_bills": "keep",
    "inactive": "keep",
}
STATUSES = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
BASE = {"LIMIT_BAL": 1000, "SEX": 1, "EDUCATION": 1, "MARRIAGE": 1, "AGE": 30} | dict.fromkeys(STATUSES, -1)
BASE |= {f"BILL_AMT{i}": 100 for i in range(1, 7)} | {f"PAY_AMT{i}": 100 for i in range(1, 7)}


def clients(*changes: dict[str, int]) -> pl.DataFrame:
    """A small source: one client per mapping, who differs from an unremarkable one in these cells."""
    rows = [{"ID": i, **BASE, "DEFAULT": i % 2, **change} for i, change in enumerate(changes, start=1)]
    return pl.DataFrame(rows)


def found(source: pl.DataFrame, issue: str) -> tuple[int, int]:
    table = quality_table(source, split_tables(source), KEEP)
    row = table.row(by_predicate=pl.col("issue") == issue, named=True)
    return row["applicants"], row["rows"]


def waterfall(source: pl.DataFrame = SOURCE, **decisions: str) -> pl.DataFrame:
    tables = TABLES if source is SOURCE else split_tables(source)
    return exclude(source, tables, KEEP | decisions)[1]


def idle(**changes: int) -> dict[str, int]:
    return {f"{name}{i}": 0 for name in ("BILL_AMT", "PAY_AMT") for i in range(1, 7)} | changes


def test_oddities_of_the_real_data_are_the_known_ones():
    table = quality_table(SOURCE, TABLES, KEEP | {"duplicates": "drop"})
    counts = dict(table.select("issue", "applicants").iter_rows())
    assert counts["duplicates"] == 35
    assert counts["undocumented_education"] == 345
    assert counts["undocumented_marital_status"] == 54
    assert counts["negative_bills"] == 1_930
    amounts = [name for name in SOURCE.columns if name.startswith(("BILL_AMT", "PAY_AMT"))]
    bills = [f"BILL_AMT{i}" for i in range(1, 7)]
    still = SOURCE.filter(pl.all_horizontal(pl.col(amounts) == 0)).height
    over = SOURCE.filter(pl.any_horizontal(pl.col(bills) > 1.5 * pl.col("LIMIT_BAL"))).height
    late = [(pl.col(s) > 0) & (pl.col(b) <= 0) for s, b in zip(STATUSES, bills, strict=True)]
    assert counts["inactive"] == still > 0
    assert counts["far_over_limit"] == over > 0
    assert counts["late_without_bill"] == SOURCE.filter(pl.any_horizontal(late)).height > 0
    assert table["share"].to_list() == [count / 30_000 for count in table["applicants"]]


def test_the_table_says_what_the_study_decided_and_keeps_the_rest():
    decisions = KEEP | {"duplicates": "drop", "negative_bills": "zero"}
    told = dict(quality_table(SOURCE, TABLES, decisions).select("issue", "decision").iter_rows())
    assert told == decisions | {"late_without_bill": "keep", "far_over_limit": "keep"}


def test_a_duplicate_is_a_later_client_equal_in_every_column_but_the_number():
    twin = {"DEFAULT": 1}
    assert found(clients(twin, {"DEFAULT": 0}), "duplicates") == (0, 0)
    assert found(clients(twin, twin), "duplicates") == (1, 1)
    assert found(clients(twin, twin, twin), "duplicates") == (2, 2)
    assert found(clients(twin, twin | {"AGE": 31}), "duplicates") == (0, 0)


def test_the_first_of_equal_clients_stays_whatever_the_order_of_rows():
    source = clients({"DEFAULT": 1}, {"DEFAULT": 0}, {"DEFAULT": 1})
    for rows in (source, source.reverse()):
        kept, _ = exclude(rows, split_tables(rows), KEEP | {"duplicates": "drop"})
        assert kept.applicants["applicant_id"].to_list() == [1, 2]


def test_a_bill_of_zero_is_not_negative():
    source = clients({"BILL_AMT1": 0}, {"BILL_AMT1": -1, "BILL_AMT6": -1})
    assert found(source, "negative_bills") == (1, 2)


def test_one_unit_of_billing_or_payment_is_activity():
    source = clients(idle(), idle(BILL_AMT6=1), idle(PAY_AMT1=1), idle(BILL_AMT1=-5, BILL_AMT2=5))
    assert found(source, "inactive") == (1, 1)


def test_late_means_above_zero_and_no_bill_means_zero_or_less():
    source = clients({"PAY_0": 1, "BILL_AMT1": 0}, {"PAY_0": 0, "BILL_AMT1": 0}, {"PAY_0": 1, "BILL_AMT1": 1})
    assert found(source, "late_without_bill") == (1, 1)


def test_far_over_the_limit_is_above_one_and_a_half_times_it():
    source = clients({"BILL_AMT2": 1500}, {"BILL_AMT2": 1501})
    assert found(source, "far_over_limit") == (1, 1)


@pytest.mark.parametrize(("code", "count"), [(0, 1), (1, 0), (4, 0), (5, 1), (6, 1)])
def test_education_codes_outside_the_codebook(code, count):
    assert found(clients({"EDUCATION": code}), "undocumented_education")[0] == count


@pytest.mark.parametrize(("code", "count"), [(0, 1), (1, 0), (3, 0)])
def test_marital_status_codes_outside_the_codebook(code, count):
    assert found(clients({"MARRIAGE": code}), "undocumented_marital_status")[0] == count


def test_keeping_everything_excludes_nobody():
    table = waterfall()
    assert table.rows() == [("in the source", 0, 30_000, pytest.approx(0.2212))]


@pytest.mark.parametrize(
    ("decision", "choice", "step", "excluded"),
    [
        ("duplicates", "drop", "duplicates dropped", 35),
        ("undocumented_education", "exclude", "undocumented education excluded", 345),
        ("undocumented_marital_status", "exclude", "undocumented marital_status excluded", 54),
        ("negative_bills", "exclude", "negative bills excluded", 1_930),
    ],
)
def test_each_decision_adds_its_step(decision, choice, step, excluded):
    table = waterfall(**{decision: choice})
    assert table["step"].to_list() == ["in the source", step]
    assert table["excluded"].to_list() == [0, excluded]
    assert table["applicants"].to_list() == [30_000, 30_000 - excluded]


def test_excluding_the_inactive_adds_its_step():
    source = clients(idle(), {}, idle(), {"AGE": 50})
    table = waterfall(source, inactive="exclude")
    assert table.rows()[1] == ("inactive accounts excluded", 2, 2, 0.0)


def test_the_default_rate_is_of_those_left():
    kept, table = exclude(SOURCE, TABLES, KEEP | {"negative_bills": "exclude"})
    assert table["default_rate"][1] == kept.applicants["default"].mean()
    assert table["default_rate"][1] != table["default_rate"][0]


def test_somebody_with_two_faults_leaves_once():
    source = clients({"EDUCATION": 0, "MARRIAGE": 0, "BILL_AMT1": -1}, {"MARRIAGE": 0}, {}, {"AGE": 40})
    table = waterfall(
        source,
        undocumented_education="exclude",
        undocumented_marital_status="exclude",
        negative_bills="exclude",
    )
    assert table["excluded"].to_list() == [0, 1, 1, 0]
    assert table["applicants"].to_list() == [4, 3, 2, 2]


def test_all_exclusions_together_add_up():
    strict = dict.fromkeys(KEEP, "exclude") | {"duplicates": "drop"}
    kept, table = exclude(SOURCE, TABLES, strict)
    assert table.height == 6
    assert 30_000 - table["excluded"].sum() == table["applicants"][-1] == kept.applicants.height
    assert kept.statements.height == 6 * kept.applicants.height
    assert kept.protected.height == kept.applicants.height
    assert (kept.statements["billed"] >= 0).all()
    assert UNDOCUMENTED not in kept.protected["education"]


def test_other_recodes_undocumented_labels_and_excludes_nobody():
    kept, _ = exclude(SOURCE, TABLES, KEEP)
    was = (TABLES.protected["education"] == UNDOCUMENTED).sum()
    others = (TABLES.protected["education"] == "other").sum()
    assert (kept.protected["education"] == "other").sum() == was + others == 345 + 123
    assert (kept.protected["marital_status"] == "other").sum() == 54 + 323
    assert kept.protected.height == 30_000


def test_zero_lifts_negative_bills_and_nothing_else():
    kept, table = exclude(SOURCE, TABLES, KEEP | {"negative_bills": "zero"})
    wanted = [max(billed, 0) for billed in TABLES.statements["billed"]]
    assert kept.statements["billed"].to_list() == wanted
    assert kept.statements.drop("billed").equals(TABLES.statements.drop("billed"))
    assert table["excluded"].to_list() == [0]


def test_keep_leaves_negative_bills_as_they_are():
    kept, _ = exclude(SOURCE, TABLES, KEEP)
    assert kept.statements.equals(TABLES.statements)


def test_the_draw_is_repeatable_and_moves_with_its_seed():
    _, table = exclude(SOURCE, TABLES, KEEP)
    first, second, other = (
        draw_applicants(TABLES, table, applicants=500, seed=seed)[0].applicants for seed in (1, 1, 2)
    )
    assert first.equals(second)
    assert not first.equals(other)
    assert first.height == 500
    assert first["applicant_id"].is_unique().all()


def test_the_draw_adds_its_step_to_the_waterfall():
    _, before = exclude(SOURCE, TABLES, KEEP | {"duplicates": "drop"})
    kept, _ = exclude(SOURCE, TABLES, KEEP | {"duplicates": "drop"})
    drawn, table = draw_applicants(kept, before, applicants=2_000, seed=1)
    step = table.row(-1, named=True)
    assert step["step"] == "outside the random draw of 2,000"
    assert step["excluded"] == 29_965 - 2_000
    assert step["applicants"] == 2_000
    assert step["default_rate"] == drawn.applicants["default"].mean()
    assert drawn.statements.height == 12_000


@pytest.mark.parametrize(("asked", "left"), [(0, 4), (1, 1), (3, 3), (4, 4), (5, 4)])
def test_a_draw_of_nobody_or_of_all_keeps_everyone(asked, left):
    source = clients({}, {"AGE": 31}, {"AGE": 32}, {"AGE": 33})
    tables, table = exclude(source, split_tables(source), KEEP)
    drawn, after = draw_applicants(tables, table, applicants=asked, seed=1)
    assert drawn.applicants.height == left
    assert after.height == (1 if left == 4 else 2)


def test_the_ledger_by_month_from_the_oldest():
    source = clients(
        {"PAY_0": 2, "BILL_AMT1": 10, "PAY_AMT1": 0},
        {"PAY_0": 0, "BILL_AMT1": 20, "PAY_AMT1": 4},
        {"PAY_0": -2, "BILL_AMT1": 60, "PAY_AMT1": 5},
        {"PAY_0": -2, "BILL_AMT1": 0, "PAY_AMT1": 9},
    )
    table = ledger_table(split_tables(source).statements)
    assert table["month"].to_list() == [f"2005-0{month}" for month in range(4, 10)]
    assert table.row(-1, named=True) == {
        "month": "2005-09",
        "statements": 4,
        "late_share": 0.25,
        "unused_share": 0.5,
        "median_billed": 15.0,
        "median_paid": 4.5,
    }


def test_the_real_ledger_has_a_statement_for_everyone_each_month():
    assert ledger_table(TABLES.statements)["statements"].to_list() == [30_000] * 6


def test_quality_shares_are_of_the_tables_given():
    half = TABLES.only(TABLES.applicants["applicant_id"].head(15_000))
    table = quality_table(SOURCE.head(15_000), half, KEEP)
    row = table.row(by_predicate=pl.col("issue") == "negative_bills", named=True)
    assert row["share"] == row["applicants"] / 15_000
