"""A source of events of a few applicants, and its features as any engine gives them."""

import math

import narwhals as nw
import pandas as pd
import polars as pl
import pytest

from workbench.features.build import build_features, catalogue_of
from workbench.features.catalogue import SourceView, select_features

SCHEMAS = {
    "bills": ("age_days", "paid_age", "amount_due", "amount_paid"),
    "topups": ("age_days", "hour", "weekday", "amount"),
    "transactions": ("age_days", "hour", "weekday", "amount", "direction", "balance"),
    "posts": ("age_days", "text"),
}
TEXTS = ("direction", "text")
DEFAULTS = {
    "amount_due": 0,
    "amount_paid": 0,
    "hour": 12,
    "weekday": 3,
    "amount": 0,
    "direction": "in",
    "text": "",
}


def events_of(kind, rows):
    """Events as the data stage writes them, from mappings that name only what matters."""
    names = ("applicant_id", *SCHEMAS[kind])
    schema = {name: pl.String if name in TEXTS else pl.Int64 for name in names}
    full = [{"applicant_id": 1, **DEFAULTS, **row} for row in rows]
    return pl.DataFrame([{name: row.get(name) for name in names} for row in full], schema=schema)


def framed(frame, engine):
    """The frame on an engine, behind Narwhals."""
    if engine == "polars":
        return nw.from_native(frame.lazy())
    native = frame.to_pandas()
    if engine == "pandas":
        return nw.from_native(native).lazy()
    import dask.dataframe as dd

    return nw.from_native(dd.from_pandas(native, npartitions=3))


def collected(built):
    """A result as an eager Polars frame with missing values as nulls."""
    native = (
        built.collect("pandas").to_native() if built.implementation.is_dask() else built.collect().to_native()
    )
    frame = pl.from_pandas(native) if isinstance(native, pd.DataFrame) else native
    return frame.with_columns(pl.exclude("applicant_id").cast(pl.Float64).fill_nan(None))


@pytest.fixture(scope="session")
def close():
    """Whether two mappings of values are equal but for rounding, with missing values in the same places."""

    def compared(actual, wanted, **tolerance):
        found = {name: math.nan if actual[name] is None else actual[name] for name in wanted}
        hoped = {name: math.nan if value is None else value for name, value in wanted.items()}
        return found == pytest.approx(hoped, nan_ok=True, **tolerance)

    return compared


@pytest.fixture(scope="session")
def frame_of():
    return framed


@pytest.fixture(scope="session")
def collect():
    return collected


@pytest.fixture(scope="session")
def events():
    return events_of


@pytest.fixture(scope="session")
def measure():
    """Features of applicant 1 of one source `s`, by their names without the prefix."""

    def measured(
        kind,
        rows,
        patterns=("*",),
        *,
        windows=(30, 90, 365),
        engine="polars",
        loadings=None,
        topics=0,
        **view,
    ):
        source = SourceView("s", kind, "utility", columns=("balance",), **view)
        catalogue = catalogue_of([source], windows=windows, observation_days=365, topics=topics)
        features = select_features([f"s_{pattern}" for pattern in patterns], catalogue)
        tables = {"applicants": pl.DataFrame({"applicant_id": [2, 1]}), "s": events_of(kind, rows)}
        tables = {name: framed(table, engine) for name, table in tables.items()}
        built = collected(build_features(tables, features, loadings=loadings))
        row = built.row(by_predicate=pl.col("applicant_id") == 1, named=True)
        return {name.removeprefix("s_"): value for name, value in row.items() if name != "applicant_id"}

    return measured
