"""What may come in, and what becomes of what may not: both sides of every boundary."""

import numpy as np
import polars as pl
import pytest

from tests.scoring.making import NAMES, applicants, frozen, matrix_of
from workbench.errors import DataError
from workbench.scoring.contract import contract_of, flag_names, flag_texts, load_contract


@pytest.fixture(scope="module")
def contract():
    return frozen().contract


@pytest.fixture
def person():
    return dict(zip(NAMES, [1.0, 0.8, 8000.0, 500.0, 10.0, 2.0], strict=True))


def flags(contract, person):
    return flag_names(int(contract.flags(np.array([[person[name] for name in NAMES]]))[0]))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"limit": 1.0}, ["extreme"]),
        ({"limit": 0.999}, ["contract", "extreme"]),
        ({"limit": 1_000_001.0}, ["contract", "extreme"]),
        ({"limit": np.nan}, ["contract", "missing"]),
        ({"late": 400.0}, ["unseen"]),
        ({"late": 1.5}, ["unseen"]),
        ({"tier": 4.0}, []),
        ({"tier": 5.0}, ["unseen"]),
        ({"ratio": np.nan}, ["missing"]),
        ({"topups": np.nan}, []),
        ({"topups": np.nan, "gaps": np.nan}, ["source"]),
        ({"topups": 1e9}, ["extreme"]),
        ({"ratio": -0.5}, ["extreme"]),
    ],
)
def test_each_flag(contract, person, changed, expected):
    assert flags(contract, person | changed) == expected


def test_the_ends_of_what_was_seen_are_rounded_outwards(contract):
    field = next(field for field in contract.fields if field.name == "limit")
    seen = applicants()["limit"]
    assert field.low <= seen.min()
    assert seen.max() <= field.high <= seen.max() * 1.1
    assert float(f"{field.high:.1e}") == field.high  # two digits: nobody's own value


def test_everybody_of_the_development_sample_is_within_it(contract):
    own = contract.flags(matrix_of(applicants()))
    assert set(flag_texts(own).to_list()) == {"", "source"}


def test_faults_name_the_field_and_the_bound_but_no_value(contract, person):
    row = np.array([(person | {"limit": 7_654_321.0})[name] for name in NAMES])
    assert contract.faults(row) == ["limit: above the contract's maximum of 1e+06 KES"]
    row = np.array([(person | {"limit": np.nan})[name] for name in NAMES])
    assert contract.faults(row) == ["limit: missing; the contract needs a value"]


def test_it_goes_through_json(contract):
    assert load_contract(contract.as_list()) == contract


def test_a_feature_that_nobody_has_is_bounded_by_nothing():
    empty = applicants().with_columns(late=pl.lit(None, pl.Float64))
    about = pl.DataFrame({"feature": ["late"], "unit": [""], "source": ["bills"]})
    found = contract_of(empty, about, ["late"], {})
    assert (found.fields[0].low, found.fields[0].high, found.fields[0].levels) == (None, None, ())
    assert flag_names(int(found.flags(np.array([[3.0]]))[0])) == []


def test_no_development_sample_is_refused():
    with pytest.raises(DataError, match="no applicants"):
        contract_of(applicants().clear(), pl.DataFrame(), [], {})
