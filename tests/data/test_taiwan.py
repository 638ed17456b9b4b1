import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.taiwan import (
    EDUCATIONS,
    MARITAL_STATUSES,
    SEXES,
    UNDOCUMENTED,
    Tables,
    add_age_bands,
    read_source,
    split_tables,
)
from workbench.errors import DataError
from workbench.params import ROOT

PATH = ROOT / "data" / "taiwan_credit.parquet"
# Written down from the codebook of the source: the cell of each month's status, bill and payment.
CELLS = {
    "2005-04": (1, "PAY_6", "BILL_AMT6", "PAY_AMT6"),
    "2005-05": (2, "PAY_5", "BILL_AMT5", "PAY_AMT5"),
    "2005-06": (3, "PAY_4", "BILL_AMT4", "PAY_AMT4"),
    "2005-07": (4, "PAY_3", "BILL_AMT3", "PAY_AMT3"),
    "2005-08": (5, "PAY_2", "BILL_AMT2", "PAY_AMT2"),
    "2005-09": (6, "PAY_0", "BILL_AMT1", "PAY_AMT1"),
}


@pytest.fixture(scope="module")
def source() -> pl.DataFrame:
    return read_source(PATH)


@pytest.fixture(scope="module")
def tables(source: pl.DataFrame) -> Tables:
    return split_tables(source)


def band(age: int, starts: list[int]) -> str:
    return add_age_bands(pl.DataFrame({"age": [age]}), starts)["age_band"][0]


def test_the_real_file_is_what_its_publication_says(source):
    assert source.shape == (30_000, 25)
    assert source["ID"].n_unique() == 30_000
    assert source["DEFAULT"].sum() == 6_636
    assert source["DEFAULT"].mean() == pytest.approx(0.2212)


def test_one_row_per_client_becomes_six_statements(tables):
    assert tables.applicants.shape == (30_000, 3)
    assert tables.statements.shape == (180_000, 6)
    assert tables.protected.shape == (30_000, 5)
    assert tables.statements.group_by("applicant_id").len()["len"].unique().to_list() == [6]


def test_every_statement_holds_the_cells_of_its_month(source, tables):
    for month, (index, status, billed, paid) in CELLS.items():
        found = tables.statements.filter(pl.col("month") == month).sort("applicant_id")
        cells = source.sort("ID")
        assert found["month_index"].unique().to_list() == [index]
        assert found["status"].to_list() == cells[status].to_list()
        assert found["billed"].to_list() == cells[billed].to_list()
        assert found["paid"].to_list() == cells[paid].to_list()


def test_statements_are_sorted_by_applicant_and_month_from_the_oldest(tables):
    keys = tables.statements.select("applicant_id", "month_index")
    assert keys.equals(keys.sort("applicant_id", "month_index"))
    assert tables.statements["month"].head(6).to_list() == sorted(CELLS)


def test_applicants_hold_limit_and_default_of_the_source(source, tables):
    cells = source.sort("ID")
    assert tables.applicants["applicant_id"].to_list() == cells["ID"].to_list()
    assert tables.applicants["credit_limit"].to_list() == cells["LIMIT_BAL"].to_list()
    assert tables.applicants["default"].to_list() == cells["DEFAULT"].to_list()


def test_applicants_carry_no_protected_attribute(tables):
    assert tables.applicants.columns == ["applicant_id", "credit_limit", "default"]
    assert not {"age", "sex", "education", "marital_status"} & set(tables.statements.columns)


@pytest.mark.parametrize(
    ("column", "attribute", "labels"),
    [
        ("SEX", "sex", SEXES),
        ("EDUCATION", "education", EDUCATIONS),
        ("MARRIAGE", "marital_status", MARITAL_STATUSES),
    ],
)
def test_codes_become_labels_and_unknown_codes_stay_visible(source, tables, column, attribute, labels):
    wanted = [labels.get(code, UNDOCUMENTED) for code in source.sort("ID")[column]]
    assert tables.protected[attribute].to_list() == wanted


def test_undocumented_codes_are_counted_on_the_real_data(tables):
    assert (tables.protected["education"] == UNDOCUMENTED).sum() == 345
    assert (tables.protected["marital_status"] == UNDOCUMENTED).sum() == 54
    assert (tables.protected["sex"] == UNDOCUMENTED).sum() == 0


def test_clients_with_negative_bills_are_counted_on_the_real_data(tables):
    negative = tables.statements.filter(pl.col("billed") < 0)
    assert negative["applicant_id"].n_unique() == 1_930


def test_the_order_of_the_source_rows_does_not_matter(source, tables):
    shuffled = split_tables(source.sample(fraction=1, shuffle=True, seed=3))
    assert shuffled.applicants.equals(tables.applicants)
    assert shuffled.statements.equals(tables.statements)
    assert shuffled.protected.equals(tables.protected)


def test_only_restricts_all_three_tables(tables):
    few = tables.only(pl.Series([7, 11]))
    assert few.applicants["applicant_id"].to_list() == [7, 11]
    assert few.protected["applicant_id"].to_list() == [7, 11]
    assert few.statements["applicant_id"].to_list() == [7] * 6 + [11] * 6


@pytest.mark.parametrize(
    ("age", "label"),
    [
        (18, "under 30"),
        (29, "under 30"),
        (30, "30 to 39"),
        (39, "30 to 39"),
        (40, "40 to 49"),
        (49, "40 to 49"),
        (50, "50 to 61"),
        (61, "50 to 61"),
        (62, "62 and over"),
        (120, "62 and over"),
    ],
)
def test_an_edge_age_opens_its_band(age, label):
    assert band(age, [30, 40, 50, 62]) == label


def test_one_edge_makes_two_bands():
    assert [band(age, [62]) for age in (61, 62)] == ["under 62", "62 and over"]


@given(st.integers(18, 120), st.lists(st.integers(19, 119), min_size=1, max_size=6, unique=True))
def test_a_band_holds_its_own_ages(age, edges):
    starts = sorted(edges)
    label = band(age, starts)
    position = sum(start <= age for start in starts)
    if position == 0:
        assert label == f"under {starts[0]}"
    elif position == len(starts):
        assert label == f"{starts[-1]} and over"
    else:
        assert label == f"{starts[position - 1]} to {starts[position] - 1}"


def test_age_bands_keep_rows_and_other_columns(tables):
    banded = add_age_bands(tables.protected, [30, 62])
    assert banded.drop("age_band").equals(tables.protected)
    assert banded["age_band"].null_count() == 0


def test_a_missing_file_is_named_with_its_near_name(tmp_path):
    (tmp_path / "taiwan_credit.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"no such file \(did you mean taiwan_credit.parquet\?\)"):
        read_source(tmp_path / "taiwan_credits.parquet")


def test_a_missing_file_in_a_missing_folder_suggests_nothing(tmp_path):
    with pytest.raises(DataError, match="no such file") as caught:
        read_source(tmp_path / "nowhere" / "a.parquet")
    assert "did you mean" not in str(caught.value)


def test_a_folder_is_no_source_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_source(tmp_path)


@pytest.mark.parametrize("size", [0, 3, 4, 1000, 100_000])
def test_a_truncated_file_is_refused(tmp_path, size):
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(PATH.read_bytes()[:size])
    with pytest.raises(DataError, match="not readable as Parquet"):
        read_source(cut)


def test_a_file_with_its_last_byte_missing_is_refused(tmp_path):
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(PATH.read_bytes()[:-1])
    with pytest.raises(DataError, match="not readable as Parquet"):
        read_source(cut)


def test_another_format_is_refused_without_quoting_it(tmp_path):
    table = tmp_path / "table.parquet"
    table.write_text("ID,LIMIT_BAL\n1,987654321\n", encoding="utf-8")
    with pytest.raises(DataError, match="not readable as Parquet") as caught:
        read_source(table)
    assert "987654321" not in str(caught.value)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_footer_is_refused_without_a_panic(tmp_path, seed):
    content = PATH.read_bytes()
    noise = np.random.default_rng(seed).bytes(500)
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(content[:-2000] + noise + content[-1500:])
    with pytest.raises(DataError, match="not readable as Parquet"):
        read_source(damaged)
