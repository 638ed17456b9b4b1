import polars as pl
import pytest

from workbench.features.build import build_features, catalogue_of
from workbench.features.catalogue import DeclaredFeature, SourceView

pytestmark = pytest.mark.filterwarnings("ignore:Dask support is moving:FutureWarning")  # Narwhals' own plan
INCOME = DeclaredFeature("income", "monthly income as stated", "minor units", -1, "income")
ENQUIRIES = DeclaredFeature("enquiries", "enquiries in twelve months", "count", 1, "bureau")
SOURCES = [
    SourceView("applicants", "applicants", "income", declared=(INCOME,)),
    SourceView("bureau", "bureau", "bureau", declared=(ENQUIRIES,)),
]


def test_declared_columns_of_applicants_and_bureau(frame_of, collect):
    features = catalogue_of(SOURCES, windows=[30], observation_days=365)
    assert [feature.name for feature in features] == ["income", "bureau_enquiries", "bureau_missing"]
    assert [feature.data_category for feature in features] == ["income", "bureau", "bureau"]
    assert [feature.family for feature in features] == [
        "monthly income as stated",
        "enquiries in twelve months",
        "no record at bureau",
    ]
    tables = {
        "applicants": pl.DataFrame({"applicant_id": [3, 1, 2], "income": [30, None, 20]}),
        "bureau": pl.DataFrame({"applicant_id": [2, 3], "enquiries": [4, None]}),
    }
    for engine in ("polars", "pandas", "dask"):
        built = collect(build_features({n: frame_of(t, engine) for n, t in tables.items()}, features))
        assert built.rows() == [(1, None, None, 1), (2, 20, 4, 0), (3, 30, None, 0)]
