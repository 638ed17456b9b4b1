import pytest

from workbench.features.build import catalogue_of
from workbench.features.catalogue import SourceView

BILL = {"age_days": 400 - 365, "paid_age": 10}


@pytest.mark.parametrize(("rows", "value"), [([BILL], 0), ([BILL | {"applicant_id": 2}], 1), ([], 1)])
def test_missing_says_whether_the_source_holds_anything(measure, rows, value):
    assert measure("bills", rows, ["missing"]) == {"missing": value}


def test_the_reason_names_the_source():
    made = catalogue_of([SourceView("mobile_money", "bills", "utility")], windows=[30], observation_days=365)
    assert made[-1].name == "mobile_money_missing"
    assert made[-1].family == "no record at mobile money"


def test_nothing_is_read_from_withheld_consent(measure):
    values = measure("bills", [], needs_consent=True)
    assert "missing" not in values
    assert set(values.values()) == {None}
