from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.contracts import check_source, check_tables, contract_table
from workbench.data.taiwan import Tables, read_source, split_tables
from workbench.errors import DataError
from workbench.params import ROOT

SOURCE = read_source(ROOT / "data" / "taiwan_credit.parquet")
SMALL = SOURCE.head(60)
TABLES = split_tables(SMALL)
APPLICANTS, STATEMENTS, PROTECTED = TABLES.applicants, TABLES.statements, TABLES.protected
SECRET = 7_318_529_046  # no count, no limit and no part of an error text could be this number


def cell(frame: pl.DataFrame, column: str, value: object, row: int = 0) -> pl.DataFrame:
    """The table with one cell changed."""
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column]))


def source_error(source: pl.DataFrame) -> DataError:
    with pytest.raises(DataError) as caught:
        check_source(source)
    return caught.value


def tables_error(**tables: pl.DataFrame) -> DataError:
    with pytest.raises(DataError) as caught:
        check_tables(replace(TABLES, **tables))
    return caught.value


def test_the_real_data_hold_every_contract():
    check_source(SOURCE)
    check_tables(split_tables(SOURCE))


def test_a_further_source_column_is_no_fault():
    check_source(SMALL.with_columns(note=pl.lit("x")))


@pytest.mark.parametrize("column", [name for name in SOURCE.columns if name != "ID"])
def test_every_missing_source_column_is_named(column):
    assert source_error(SMALL.drop(column)).faults[0].startswith(f"source: column {column} is missing")


def test_a_missing_column_gets_its_near_name():
    error = source_error(SMALL.rename({"LIMIT_BAL": "LIMITBAL"}))
    assert error.faults == ("source: column LIMIT_BAL is missing (did you mean LIMITBAL?)",)


def test_a_missing_key_is_called_a_key():
    assert source_error(SMALL.rename({"ID": "client"})).faults == ("source: column ID (its key) is missing",)


def test_a_repeated_key_is_counted():
    assert source_error(cell(SMALL, "ID", 1, row=1)).faults == ("source.ID: 2 of 60 rows repeat the key",)


def test_a_missing_key_value_is_counted():
    assert source_error(cell(SMALL, "ID", None)).faults == ("source.ID: 1 of 60 values are missing",)


def test_missing_source_values_are_counted():
    broken = cell(cell(SMALL, "AGE", None), "AGE", None, row=5)
    assert source_error(broken).faults == ("source.AGE: 2 of 60 values are missing",)


@pytest.mark.parametrize("dtype", [pl.String, pl.Float64, pl.Int32])
def test_a_source_column_of_the_wrong_type_is_one_fault(dtype):
    error = source_error(SMALL.with_columns(pl.col("AGE").cast(dtype)))
    assert error.faults == (f"source.AGE: type {dtype()}; Int64 is right",)


def test_all_faults_of_the_source_come_at_once():
    broken = cell(SMALL.drop("PAY_2").with_columns(pl.col("SEX").cast(pl.String)), "AGE", None)
    error = source_error(cell(broken, "ID", 1, row=1))
    starts = (
        "source.AGE: 1 of 60 values are missing",
        "source.ID: 2 of 60 rows repeat the key",
        "source.SEX: type String; Int64 is right",
        "source: column PAY_2 is missing (did you mean PAY_",
    )
    assert all(fault.startswith(start) for fault, start in zip(sorted(error.faults), starts, strict=True))
    assert error.summary == "the source breaks its contract in 4 place(s)"


EDGES = [
    ("applicants", "credit_limit", 1, 10_000_000, 0, 10_000_001),
    ("applicants", "default", 0, 1, -1, 2),
    ("statements", "month_index", 1, 6, 0, 7),
    ("statements", "status", -2, 8, -3, 9),
    ("statements", "billed", -10_000_000, 10_000_000, -10_000_001, 10_000_001),
    ("statements", "paid", 0, 10_000_000, -1, 10_000_001),
    ("protected", "age", 18, 120, 17, 121),
]


@pytest.mark.parametrize(("table", "column", "least", "most", "below", "above"), EDGES)
def test_both_sides_of_every_limit(table, column, least, most, below, above):
    frame = getattr(TABLES, table)
    for value in (least, most):
        check_tables(replace(TABLES, **{table: cell(frame, column, value)}))
    for value in (below, above):
        error = tables_error(**{table: cell(frame, column, value)})
        outside = f"{table}.{column}: 1 of {frame.height} values are outside the contract"
        assert error.faults[0].startswith(outside)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("statements", "month"),
        ("protected", "sex"),
        ("protected", "education"),
        ("protected", "marital_status"),
    ],
)
def test_a_label_outside_the_list_is_counted_and_not_quoted(table, column):
    frame = getattr(TABLES, table)
    error = tables_error(**{table: cell(frame, column, "zzz-secret")})
    assert error.faults[0].startswith(f"{table}.{column}: 1 of {frame.height} values are outside")
    assert "zzz-secret" not in str(error)


@pytest.mark.parametrize("table", ["applicants", "statements", "protected"])
def test_missing_values_in_any_column_are_counted(table):
    frame = getattr(TABLES, table)
    for column in [name for name in frame.columns if name != "applicant_id"]:
        wanted = f"{table}.{column}: 1 of {frame.height} values are missing"
        assert wanted in tables_error(**{table: cell(frame, column, None)}).faults


def test_a_column_outside_the_contract_is_refused():
    error = tables_error(applicants=APPLICANTS.with_columns(age=PROTECTED["age"]))
    assert error.faults == ("applicants: column age is not in the contract",)


@pytest.mark.parametrize("table", ["applicants", "statements", "protected"])
def test_a_table_without_its_key_is_a_data_error(table):
    error = tables_error(**{table: getattr(TABLES, table).drop("applicant_id")})
    assert f"{table}: column applicant_id (its key) is missing" in error.faults


def test_applicants_without_default_are_a_data_error():
    error = tables_error(applicants=APPLICANTS.drop("default"))
    assert "applicants: column default is missing" in error.faults


def test_a_statement_column_of_the_wrong_type_is_one_fault():
    error = tables_error(statements=STATEMENTS.with_columns(pl.col("paid").cast(pl.String)))
    assert error.faults == ("statements.paid: type String; Int64 is right",)


def test_repeated_applicants_are_counted():
    error = tables_error(applicants=pl.concat([APPLICANTS, APPLICANTS.head(3)]))
    assert error.faults == ("applicants.applicant_id: 6 of 63 rows repeat the key",)


def test_repeated_statements_are_named_by_their_key():
    error = tables_error(statements=pl.concat([STATEMENTS, STATEMENTS.head(3)]))
    assert error.faults == ("statements: rows repeat the key applicant_id, month",)


def test_broken_references_are_counted_in_both_directions():
    error = tables_error(
        statements=STATEMENTS.filter(pl.col("applicant_id") > 2),
        protected=cell(PROTECTED, "applicant_id", 999),
    )
    assert error.faults == (
        "statements: 2 applicants of applicants are missing",
        "protected: 1 applicants are not in applicants",
        "protected: 1 applicants of applicants are missing",
    )


@pytest.mark.parametrize("outcome", [0, 1])
def test_one_class_is_refused(outcome):
    error = tables_error(applicants=APPLICANTS.with_columns(default=pl.lit(outcome, dtype=pl.Int64)))
    assert error.faults == ("applicants.default has 1 class(es); a study needs defaults (1) and goods (0)",)


def test_one_applicant_of_the_other_class_is_enough_for_the_contract():
    goods = APPLICANTS.with_columns(default=pl.lit(0, dtype=pl.Int64))
    check_tables(replace(TABLES, applicants=cell(goods, "default", 1)))


def test_no_rows_at_all_are_refused():
    with pytest.raises(DataError, match="0 class"):
        check_tables(Tables(APPLICANTS.head(0), STATEMENTS.head(0), PROTECTED.head(0)))


def test_all_faults_of_all_tables_come_at_once():
    error = tables_error(
        applicants=cell(APPLICANTS, "credit_limit", 0),
        statements=cell(cell(STATEMENTS, "paid", -1), "status", None),
        protected=cell(PROTECTED, "age", 17).filter(pl.col("applicant_id") != 60),
    )
    starts = (
        "applicants.credit_limit: 1 of 60",
        "statements.paid: 1 of 360",
        "statements.status: 1 of 360 values are missing",
        "protected.age: 1 of 59",
        "protected: 1 applicants of applicants are missing",
    )
    assert len(error.faults) == len(starts)
    assert all(any(fault.startswith(start) for fault in error.faults) for start in starts)
    assert error.summary == "the tables break their contracts in 5 place(s)"


@given(
    st.sampled_from(
        [(name, column) for name, column, *_ in EDGES]
        + [("statements", "applicant_id"), ("protected", "applicant_id")]
    ),
    st.integers(0, 59),
    st.sampled_from([SECRET, -SECRET]),
)
def test_no_error_text_holds_a_value_of_a_row(place, row, value):
    table, column = place
    error = tables_error(**{table: cell(getattr(TABLES, table), column, value, row=row)})
    text = str(error).replace(",", "").replace("_", "")
    assert str(SECRET) not in text


@given(st.integers(0, 59), st.sampled_from([c for c in SOURCE.columns if c != "ID"]))
def test_no_error_text_holds_a_value_of_a_source_row(row, column):
    texts = cell(SMALL.with_columns(pl.col(column).cast(pl.String)), column, f"secret-{SECRET}", row=row)
    assert str(SECRET) not in str(source_error(texts))
    twice = cell(cell(SMALL, "ID", SECRET, row=row), "ID", SECRET, row=(row + 1) % 60)
    assert str(SECRET) not in str(source_error(twice))


def test_the_contract_table_lists_every_column_once():
    table = contract_table()
    wanted = [
        (name, column)
        for name, frame in (("applicants", APPLICANTS), ("statements", STATEMENTS), ("protected", PROTECTED))
        for column in frame.columns
    ]
    assert list(table.select("table", "column").iter_rows()) == wanted
    rows = {(row["table"], row["column"]): row for row in table.iter_rows(named=True)}
    assert rows["applicants", "applicant_id"]["unique"] == "yes"
    assert rows["applicants", "default"]["allowed"] == "0, 1"
    assert rows["statements", "status"]["allowed"] == "-2 to 8"
    assert rows["statements", "applicant_id"]["unique"] == ""
    assert rows["protected", "age"] == {
        "table": "protected",
        "column": "age",
        "type": "int64",
        "allowed": "18 to 120",
        "unique": "",
    }
