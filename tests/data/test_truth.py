import polars as pl
import pytest

from workbench.data.truth import true_terms, truth_rows
from workbench.errors import DataError
from workbench.world.truth import formula

EVERYONE = pl.DataFrame(
    {"applicant_id": [3, 1, 2], "source_id": ["c", "a", "b"], "left_out": ["", "", "duplicates"]}
)
TRUTH = pl.DataFrame({"customer": ["a", "b", "c", "d"], "prob_default": [0.1, 0.2, 0.3, 0.4], "other": "x"})


def test_rows_are_those_of_the_study_in_their_order():
    rows = truth_rows(EVERYONE, TRUTH, key="customer")
    assert rows.columns == ["applicant_id", "true_prob_default"]
    assert rows.rows() == [(1, 0.1), (3, 0.3)]


def test_ids_may_be_numbers():
    everyone = EVERYONE.with_columns(source_id=pl.Series([30, 10, 20]))
    truth = TRUTH.with_columns(customer=pl.Series([10, 20, 30, 40]))
    assert truth_rows(everyone, truth, key="customer").rows() == [(1, 0.1), (3, 0.3)]


def test_without_a_truth_there_are_no_rows():
    rows = truth_rows(EVERYONE, None, key="customer")
    assert rows.height == 0
    assert rows.schema == {"applicant_id": pl.Int64, "true_prob_default": pl.Float64}


def test_every_fault_is_counted():
    truth = pl.DataFrame({"customer": ["a", "a", "b"], "prob_default": [0.1, 1.0, None]})
    with pytest.raises(DataError, match=r"data\.truth cannot judge the study") as caught:
        truth_rows(EVERYONE, truth, key="customer")
    assert list(caught.value.faults) == [
        "1 rows repeat an id",
        "2 probabilities are not inside (0, 1)",
        "1 applicants of the study are not in it",
    ]


def test_a_table_without_its_columns():
    with pytest.raises(DataError, match="a table of id, prob_default") as caught:
        truth_rows(EVERYONE, TRUTH.rename({"prob_default": "pd"}), key="id")
    assert list(caught.value.faults) == ["no column 'id'", "no column 'prob_default'"]


def test_the_terms_of_a_formula_are_told_as_they_are_stated():
    stated = {"feature": "late", "transform": "log1p", "centre": 0.5, "scale": 2, "coefficient": -0.3}
    found = true_terms({"formula": {"terms": [stated | {"note": "of a world"}]}, "seed": 1})
    assert found.to_dicts() == [stated]
    assert true_terms({"formula": formula()}).height == 7


@pytest.mark.parametrize("stated", [{}, {"formula": {}}, {"formula": {"terms": []}}])
def test_no_formula_gives_no_terms(stated):
    assert true_terms(stated).height == 0
    assert true_terms(stated).columns == ["feature", "transform", "centre", "scale", "coefficient"]


@pytest.mark.parametrize("change", [{"scale": "wide"}, {"coefficient": None, "scale": []}])
def test_terms_that_cannot_be_read_are_refused(change):
    stated = {"feature": "late", "transform": "log1p", "centre": 0.5, "scale": 2, "coefficient": -0.3}
    for terms in ([stated | change], [{"feature": "late"}], ["late"]):
        with pytest.raises(DataError) as caught:
            true_terms({"formula": {"terms": terms}})
        assert caught.value.faults == ("1 terms; each needs feature, transform, centre, scale, coefficient",)
