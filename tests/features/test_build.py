import cloudpickle
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.engine import missing_for_gpu
from workbench.errors import ParamsError
from workbench.features.build import build_features, catalogue_of
from workbench.features.catalogue import DeclaredFeature, SourceView, select_features

pytestmark = [
    pytest.mark.filterwarnings("ignore:Dask support is moving:FutureWarning"),  # Narwhals' own plan
    pytest.mark.filterwarnings(
        "ignore:DataFrame is highly fragmented:pandas.errors.PerformanceWarning"
    ),  # Dask's
]
APPLICANTS = 60
SOURCES = [
    SourceView(
        "applicants", "applicants", "income", declared=(DeclaredFeature("income", "i", "u", -1, "income"),)
    ),
    SourceView("electricity", "bills", "utility"),
    SourceView("airtime", "topups", "telecom_usage"),
    SourceView("mobile_money", "transactions", "mobile_money", columns=("balance",)),
    SourceView("posts", "posts", "social_media", needs_consent=True),
    SourceView("card", "statements", "payment_history"),
    SourceView("bureau", "bureau", "bureau", declared=(DeclaredFeature("enquiries", "e", "u", 1, "bureau"),)),
]
CATALOGUE = catalogue_of(SOURCES, windows=[30, 90, 365], observation_days=365, topics=1)
LOADINGS = pl.DataFrame({"term": ["rent", "win"], "topic_1": [1_234_567, -765_432]})


def sparse(values, generator, share=0.2):
    """The values with a share of them missing."""
    return [None if generator.random() < share else int(value) for value in values]


def world(seed=3):
    """Sources of sixty applicants, of whom each source lacks some."""
    generator = np.random.default_rng(seed)
    everyone = np.sort(generator.integers(0, 2**62, APPLICANTS))

    def events(size):
        draw = generator.integers
        return {
            "applicant_id": generator.choice(everyone[:-5], size),
            "age_days": draw(0, 365, size),
            "hour": draw(0, 24, size),
            "weekday": draw(1, 8, size),
        }

    amounts, months = generator.integers(0, 10**7, 3_000), 6 * (APPLICANTS - 9)
    bills = events(600)
    paid = sparse(np.maximum(bills["age_days"] - generator.integers(-9, 60, 600), 0), generator)
    wallet = {
        "direction": generator.choice(["in", "out"], 3_000),
        "balance": sparse(amounts[::-1], generator),
    }
    text = [" ".join(words) for words in generator.choice(["rent", "win", "rain"], (200, 5))]
    card = {
        "applicant_id": np.repeat(everyone[9:], 6),
        "age_days": np.tile(np.arange(6) * 30 + 3, APPLICANTS - 9),
        "status": generator.integers(-2, 9, months),
        "billed": generator.integers(-500, 10_000, months),
        "paid": generator.integers(0, 9_000, months),
    }
    return {
        "applicants": {
            "applicant_id": everyone,
            "income": sparse(np.arange(APPLICANTS), generator),
            "credit_limit": generator.integers(1, 9_999, APPLICANTS),
        },
        "electricity": bills
        | {"paid_age": paid, "amount_due": amounts[:600], "amount_paid": amounts[600:1_200]},
        "airtime": events(1_000) | {"amount": amounts[:1_000]},
        "mobile_money": events(3_000) | {"amount": amounts} | wallet,
        "posts": events(200) | {"text": text},
        "card": card,
        "bureau": {"applicant_id": everyone[::3], "enquiries": generator.integers(0, 9, APPLICANTS // 3)},
    }


WORLD = {name: pl.DataFrame(columns) for name, columns in world().items()}


@pytest.fixture(scope="session")
def build(frame_of, collect):
    """All features, or those of some patterns, of tables on an engine."""

    def built(tables=WORLD, patterns=("*",), engine="polars"):
        framed = {name: frame_of(table, engine) for name, table in tables.items()}
        features = select_features(patterns, CATALOGUE)
        return collect(build_features(framed, features, loadings=frame_of(LOADINGS, engine)))

    return built


def assert_same(left, right):
    assert left.columns == right.columns
    assert left["applicant_id"].to_list() == right["applicant_id"].to_list()
    for name in left.columns[1:]:
        assert left[name].is_null().equals(right[name].is_null()), name
        found, wanted = (frame[name].drop_nulls().to_numpy() for frame in (left, right))
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("engine", ["pandas", "dask"])
def test_engines_give_equal_values(build, engine):
    assert_same(build(engine=engine), build())


def test_every_applicant_has_one_row_in_the_order_of_the_key(build):
    shuffled = WORLD | {"applicants": WORLD["applicants"].sample(fraction=1, shuffle=True, seed=1)}
    built = build(shuffled)
    assert built["applicant_id"].to_list() == WORLD["applicants"]["applicant_id"].to_list()
    assert built.columns[1:] == [feature.name for feature in CATALOGUE]
    assert set(built.dtypes[1:]) == {pl.Float64}


def test_values_are_finite_and_known_for_somebody(build):
    built = build().drop("applicant_id")
    assert not [name for name in built.columns if built[name].is_infinite().any()]
    assert not [name for name in built.columns if built[name].null_count() == APPLICANTS]
    names = [feature.name for feature in CATALOGUE if feature.unit == "share"]
    shares = built.select(names).unpivot().drop_nulls()["value"]
    assert (shares.min(), shares.max()) == (0, 1)


def test_who_has_no_events_has_counts_of_zero_and_no_shares(build):
    last = build().row(-1, named=True)
    assert (last["electricity_count_365"], last["electricity_missing"]) == (0, 1)
    assert (last["electricity_late_share_365"], last["airtime_tenure_days"]) == (None, None)
    assert last["posts_count_365"] is None


@settings(max_examples=8)
@given(st.integers(0, 2**31))
def test_the_order_of_events_does_not_change_a_bit(build, seed):
    shuffled = {name: table.sample(fraction=1, shuffle=True, seed=seed) for name, table in WORLD.items()}
    assert build(shuffled).equals(build())


@settings(max_examples=8)
@given(st.integers(1, APPLICANTS - 1))
def test_parts_by_applicant_give_what_the_whole_gives(build, place):
    line = WORLD["applicants"]["applicant_id"][place]
    young, old = pl.col("applicant_id") < line, pl.col("applicant_id") >= line
    parts = [build({name: table.filter(side) for name, table in WORLD.items()}) for side in (young, old)]
    assert pl.concat(parts).equals(build())


def test_a_feature_does_not_depend_on_which_others_are_built(build):
    whole = build()
    for patterns in (
        ["airtime_count_30"],
        ["posts_*"],
        ["bureau_missing"],
        ["mobile_money_inflow_mean_30", "income"],
    ):
        part = build(patterns=patterns)
        assert part.equals(whole.select(part.columns))


def test_only_the_tables_of_the_features_asked_for_are_read(build):
    few = {name: WORLD[name] for name in ("applicants", "airtime")}
    assert build(few, ["airtime_*", "income"]).height == APPLICANTS


def test_topics_without_loadings_are_refused(frame_of):
    tables = {name: frame_of(table, "polars") for name, table in WORLD.items()}
    with pytest.raises(ParamsError, match="no loadings"):
        build_features(tables, select_features(["posts_topic_1"], CATALOGUE))


def test_a_catalogue_travels_to_a_worker(build):
    assert [f.name for f in cloudpickle.loads(cloudpickle.dumps(CATALOGUE))] == [f.name for f in CATALOGUE]


@pytest.mark.gpu
@pytest.mark.skipif(bool(missing_for_gpu()), reason="no GPU with RAPIDS here")
def test_the_gpu_gives_the_cpu_s_features(build):
    import cudf
    import narwhals as nw

    tables = {
        name: nw.from_native(cudf.from_pandas(table.to_pandas())).lazy() for name, table in WORLD.items()
    }
    loadings = nw.from_native(cudf.from_pandas(LOADINGS.to_pandas())).lazy()
    built = build_features(tables, CATALOGUE, loadings=loadings).collect("polars").to_native()
    assert_same(built.with_columns(pl.exclude("applicant_id").fill_nan(None)), build())
