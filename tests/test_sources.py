"""What a study may say of its sources, and what is refused before anything is read."""

import re
from typing import get_args

import pytest
from pydantic import ValidationError

from workbench.kinds import KINDS, ColumnType, Issue, KindName
from workbench.params import ROOT
from workbench.sources import (
    Rule,
    Source,
    Wide,
    applicants_source,
    check_sources,
    judged_attributes,
    local_files,
    source_values,
)

BILLS = {"kind": "bills", "path": "bills.csv", "data_category": "utility"}
PEOPLE = {"kind": "applicants", "path": "people.csv", "data_category": "credit_terms"}


def fault(values=BILLS, **changes):
    """What is said of a source that is refused."""
    with pytest.raises(ValidationError) as caught:
        Source(**{**values, **changes})
    return str(caught.value)


def faults_of(**sources):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what the tests look at)
        check_sources({name: Source(**values) for name, values in sources.items()})
    return str(caught.value)


def test_every_kind_has_standard_columns_with_types():
    assert set(KINDS) == set(get_args(KindName))
    for kind in KINDS.values():
        assert set(kind.columns.values()) <= set(get_args(ColumnType))
        assert kind.optional <= set(kind.columns)
        assert kind.columns["applicant_id"] == "id"


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_needs_little(kind):
    made = Source(kind=kind, path="x.csv", data_category="utility")
    assert made.all_types == KINDS[kind].columns
    assert (made.encoding, made.time_zone, made.minor_units) == ("utf-8", "UTC", 100)


def test_declared_columns_come_after_the_standard_ones():
    made = Source(**PEOPLE, types={"sex": "category"})
    assert made.all_types == KINDS["applicants"].columns | {"sex": "category"}


# Place


@pytest.mark.parametrize("values", [{"path": ""}, {"query": "SELECT 1", "database": "sqlite:///a.db"}])
def test_either_a_path_or_a_query(values):
    assert "give either path (a file, glob or URL) or query (with database)" in fault(**values)


def test_a_query_needs_a_database():
    said = fault(path="", query="SELECT 1")
    assert "a query needs database: a URI such as sqlite:///file.db, or $NAME" in said
    Source(**{**BILLS, "path": "", "query": "SELECT 1", "database": "$BANK"})


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:hunter2@host/db",
        "postgresql://host/db?user=u&password=hunter2",
        "s3://key:hunter2@bucket/*.csv",
        "https://host/a.csv?token=hunter2",
        "https://host/a.csv?X-Amz-Date=1&X-Amz-Signature=hunter2",
        "https://host/a.csv?X-Amz-Security-Token=hunter2",
        "https://host/a.csv?x-goog-credential=hunter2",
        "https://host/a.csv?sv=1&sig=hunter2",
        "https://host/a.csv?AWSAccessKeyId=hunter2",
        "https://host/a.csv?api_key=hunter2",
        "https://host/a.csv?user=u&PGPASSWORD=hunter2",
        "https://host/a.csv?client_secret=hunter2",
        "zip://a.csv::https://user:hunter2@host/a.zip",
        "s3://user@corp:hunter2@bucket/a.csv",
        "ftp://:hunter2@host/a.csv",
    ],
)
def test_a_password_in_params_is_refused(address):
    place = (
        {"path": "", "query": "SELECT 1", "database": address} if "postgres" in address else {"path": address}
    )
    said = fault(**place)
    assert "no password in params: put the URI into an environment variable and write $NAME" in said


@pytest.mark.parametrize(
    "address",
    ["postgresql://user@host/db", "postgresql://u@host:5432/db?sslmode=require", "sqlite:///a.db", "$BANK"],
)
def test_an_address_without_a_password_is_fine(address):
    Source(**{**BILLS, "path": "", "query": "SELECT 1", "database": address})


@pytest.mark.parametrize(
    "path", ["https://host:8080/b@c/a.csv?day=1", "s3://bucket/k=1/*.csv", "in/token=1.csv"]
)
def test_a_path_that_only_resembles_one_with_a_password_is_fine(path):
    Source(**BILLS | {"path": path})


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "utc+3", "EAT"])
def test_an_unknown_time_zone_is_refused(zone):
    assert "no such zone; write UTC or such as Africa/Nairobi" in fault(time_zone=zone)
    Source(**BILLS, time_zone="Africa/Nairobi")


def test_the_name_of_a_zone_in_a_pattern_is_refused():
    assert "%z reads +0300, time_zone names one" in fault(time_format="%d/%m/%Y %H:%M %Z")
    Source(**BILLS, time_format="%d/%m/%Y %H:%M %z")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("kind", "bill", "Input should be"),
        ("data_category", "utilities", "Input should be"),
        ("format", "xlsx", "Input should be"),
        ("minor_units", 0, "greater than or equal to 1"),
        ("minor_units", 10_001, "less than or equal to 10000"),
        ("paths", "x", "Extra inputs"),
        ("columns", {"Event Time": "x"}, "should match pattern"),
        ("severity", {"duplicate": "ignore"}, "Input should be"),
    ],
)
def test_values_that_a_key_cannot_have(key, value, said):
    assert said in fault(**{key: value})


# Columns


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("columns", {"due": "x"}),
        ("labels", {"servise": {"1": "a"}}),
        ("contract", {"amount": {"minimum": 0}}),
        ("identifiers", {"phone": "drop"}),
    ],
)
def test_what_names_no_column_is_refused(key, value):
    (name,) = value
    assert f"{key} names {name}: no column of bills; declare it in types" in fault(**{key: value})


def test_types_do_not_repeat_the_standard_columns():
    assert "types repeats amount_due: the kind bills fixes their types" in fault(
        types={"amount_due": "number"}
    )


@pytest.mark.parametrize(
    "name", ["part", "source_id", "age_days", "month", "reason", "vintage", "application_time"]
)
def test_types_do_not_take_names_of_the_data_stage(name):
    assert f"types: {name}: the data stage uses these names" in fault(types={name: "integer"})


@pytest.mark.parametrize("issue", [*get_args(Issue), "amount_due", "paid_up"])
def test_severity_names_issues_columns_and_checks(issue):
    made = Source(**BILLS, checks={"paid_up": "amount_paid >= amount_due"}, severity={issue: "warn"})
    assert made.severity == {issue: "warn"}


def test_severity_of_something_else_is_refused():
    assert "severity names paid_up: no issue, column or check" in fault(severity={"paid_up": "warn"})


def test_features_are_declared_by_applicants_and_bureau_only():
    feature = {"definition": "x", "unit": "y"}
    said = fault(types={"score": "number"}, features={"score": feature})
    assert "only columns of applicants and bureau are features as they stand, not bills" in said
    Source(**{**BILLS, "kind": "bureau"}, types={"score": "number"}, features={"score": feature})


@pytest.mark.parametrize(
    ("asked", "right"), [("number", True), ("flag", True), ("category", False), ("time", False)]
)
def test_a_feature_is_a_number(asked, right):
    said = {"types": {"x": asked}, "features": {"x": {"definition": "x", "unit": "y"}}}
    if right:
        Source(**PEOPLE, **said)
    else:
        assert "features: x must be money, integer, number or flag" in fault(PEOPLE, **said)


# Rules


def test_bounds_that_nothing_can_meet_are_refused():
    assert Rule(minimum=1, maximum=1).missing
    with pytest.raises(ValidationError, match="minimum 2 is above maximum 1"):
        Rule(minimum=2, maximum=1)


@pytest.mark.parametrize(
    ("column", "rule", "said"),
    [
        ("event_time", {"minimum": 0}, "contract.event_time: a time has no minimum or maximum"),
        ("service", {"maximum": 3}, "contract.service: a category has no minimum or maximum"),
        (
            "amount_due",
            {"allowed": ["1"]},
            "contract.amount_due: allowed values are for categories, not for money",
        ),
        (
            "paid_time",
            {"allowed": ["1"]},
            "contract.paid_time: allowed values are for categories, not for time",
        ),
    ],
)
def test_a_rule_that_its_type_has_no_use_for(column, rule, said):
    assert said in fault(contract={column: rule})


def test_only_categories_and_flags_have_labels():
    found = fault(labels={"amount_due": {"1": "a"}})
    assert "labels: amount_due: only categories and flags have labels" in found
    Source(**BILLS, labels={"service": {"1": "power"}})


def test_a_ledger_laid_flat_has_as_many_columns_as_times():
    Wide(times=["2025-01-01"], columns={"paid": ["A"]})
    with pytest.raises(ValidationError, match=r"paid, billed: as many columns as times \(1\)"):
        Wide(times=["2025-01-01"], columns={"paid": ["A", "B"], "billed": []})
    with pytest.raises(ValidationError, match="at least 1 item"):
        Wide(times=[], columns={})


def test_all_faults_of_a_source_come_at_once():
    said = fault(path="", severity={"x": "warn"}, types={"amount_due": "money"}, time_zone="Mars")
    for part in ("give either path", "severity names x", "types repeats amount_due", "time_zone Mars"):
        assert part in said


# Sources together


def test_a_study_has_one_table_of_applicants():
    found = check_sources({"applicants": Source(**PEOPLE), "bills": Source(**BILLS)})
    assert applicants_source(found).kind == "applicants"
    assert "0 sources of kind applicants" in faults_of(bills=BILLS)
    assert "2 sources of kind applicants" in faults_of(applicants=PEOPLE, others=PEOPLE)
    assert applicants_source({"bills": Source(**BILLS)}) is None


def test_a_study_has_at_most_one_card_ledger():
    ledger = {**BILLS, "kind": "statements"}
    check_sources({"applicants": Source(**PEOPLE), "cards": Source(**ledger)})
    said = faults_of(applicants=PEOPLE, cards=ledger, more=ledger)
    assert "2 sources of kind statements; a study has only one" in said


@pytest.mark.parametrize("names", [("people", "bills"), ("bills", "applicants")])
def test_the_applicants_are_named_applicants(names):
    said = faults_of(**dict(zip(names, (PEOPLE, BILLS), strict=True)))
    assert "the source of kind applicants, and no other, is named applicants" in said


@pytest.mark.parametrize("name", ["protected", "samples", "quality", "facts", "bills_set_aside"])
def test_a_source_has_no_name_that_the_data_stage_saves(name):
    assert "the data stage saves something of that name" in faults_of(applicants=PEOPLE, **{name: BILLS})


def test_the_names_that_the_data_stage_saves_are_all_taken():
    text = (ROOT / "notebooks" / "01_data.ipynb").read_text(encoding="utf-8")
    saved = set(re.findall(r"stage\.save_\w+\(\\\"(\w+)\\\"", text)) - {"applicants"}
    assert len(saved) > 10
    for name in {*saved, "facts", "notebook"}:
        assert "saves something of that name" in faults_of(applicants=PEOPLE, **{name: BILLS})


@pytest.mark.parametrize("types", [{}, {"agreed": "category"}])
def test_a_consent_column_is_a_flag_of_the_applicants(types):
    said = faults_of(applicants=PEOPLE | {"types": types}, bills=BILLS | {"consent": "agreed"})
    assert "bills.consent: agreed is no flag in the types of the applicants' source" in said


def test_a_consent_column_is_not_one_of_the_source_itself():
    flag = {"types": {"agreed": "flag"}}
    check_sources({"applicants": Source(**PEOPLE, **flag), "bills": Source(**BILLS, consent="agreed")})
    said = faults_of(applicants=PEOPLE | flag, bills=BILLS | flag | {"consent": "agreed"})
    assert "bills.consent: agreed is a column of bills too; name that otherwise" in said


def test_the_literals_of_a_notebook_become_sources():
    assert source_values({"bills": BILLS}) == {"bills": Source(**BILLS)}


@pytest.mark.parametrize(
    ("protected", "judged"),
    [([], []), (["sex"], ["sex"]), (["age", "sex"], ["age_band", "sex"]), (["birth_date"], ["age_band"])],
)
def test_ages_are_judged_in_bands(protected, judged):
    assert judged_attributes(protected) == judged


def test_local_files_are_those_on_this_machine(tmp_path):
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "d.csv").mkdir()
    found = local_files(Source(**BILLS | {"path": "*.csv"}), tmp_path)
    assert [path.name for path in found] == ["a.csv", "b.csv"]
    assert local_files(Source(**BILLS | {"path": str(tmp_path / "a.csv")}), ROOT) == [tmp_path / "a.csv"]
    for elsewhere in ("file:///x.csv", "zip://a.csv::b.zip", "$URL", "none.csv"):
        assert local_files(Source(**BILLS | {"path": elsewhere}), tmp_path) == []
