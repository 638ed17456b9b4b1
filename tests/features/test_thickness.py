import polars as pl
import pytest

from workbench.errors import DataError
from workbench.features.thickness import thickness

FEATURES = pl.DataFrame(
    {
        "applicant_id": [1, 2, 3, 4],
        "bureau_score": [None, 700, 650, None],
        "bureau_accounts": [None, 2, 3, None],
        "bureau_age": [None, None, 40, 3],
    }
)


def told(invisible_without, thin_feature="", thin_below=0.0):
    table = thickness(
        FEATURES, invisible_without=invisible_without, thin_feature=thin_feature, thin_below=thin_below
    )
    assert table["applicant_id"].to_list() == [1, 2, 3, 4]
    return table["thickness"].to_list()


def test_without_names_nobody_is_told():
    assert told([]) == ["not told"] * 4


def test_invisible_is_who_lacks_every_named_feature():
    assert told(["bureau_score"]) == ["credit_invisible", "thick", "thick", "credit_invisible"]
    assert told(["bureau_score", "bureau_age"]) == ["credit_invisible", "thick", "thick", "thick"]


def test_thin_is_below_the_line_and_not_on_it():
    assert told(["bureau_score"], "bureau_accounts", 3.0)[1:3] == ["thin", "thick"]
    assert told(["bureau_score"], "bureau_accounts", 2.0)[1:3] == ["thick", "thick"]


def test_a_file_without_the_thin_feature_is_thin():
    assert told(["bureau_score"], "bureau_age", 10.0)[1] == "thin"


def test_unknown_features_are_named_together_with_near_names():
    with pytest.raises(DataError) as caught:
        told(["bureau_scor"], "bureau_acounts")
    assert len(caught.value.faults) == 2
    assert "bureau_score" in caught.value.faults[0]
    assert "bureau_accounts" in caught.value.faults[1]
