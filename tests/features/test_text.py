from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.features.build import build_features, catalogue_of
from workbench.features.catalogue import SourceView
from workbench.features.text import fit_topics

pytestmark = pytest.mark.filterwarnings("ignore:Dask support is moving:FutureWarning")  # Narwhals' own plan
POSTS = SourceView("posts", "posts", "social_media", needs_consent=True)
LOADINGS = pl.DataFrame(
    {"term": ["rent", "shop"], "topic_1": [2_000_000, -500_000], "topic_2": [0, 1_000_000]}
)
SETTINGS = {"topics": 2, "terms": 50, "least_applicants": 3, "seed": 5}
WORDS = st.lists(st.sampled_from(["rent", "shop", "rain", "bus"]), max_size=5).map(" ".join)


def post(age, text, applicant=1):
    return {"applicant_id": applicant, "age_days": age, "text": text}


def corpus(size=300, seed=1):
    """Half write of rent and bills, half of goals and matches; each names somebody once."""
    generator = np.random.default_rng(seed)
    kinds = (["rent", "bill", "due", "pay"], ["goal", "match", "team", "win"])
    return pl.Series(
        [" ".join([*generator.choice(kinds[i % 2], 8), "today", f"name{i}"]) for i in range(size)]
    )


@pytest.fixture(scope="session")
def topics_of(events, frame_of, collect):
    """The features of posts, by applicant."""

    def built(rows, engine="polars", names=None):
        features = catalogue_of([POSTS], windows=[30, 365], observation_days=365, topics=2)
        features = [feature for feature in features if names is None or feature.name in names]
        applicants = pl.DataFrame({"applicant_id": [1, 2, 3]})
        tables = {"applicants": applicants, "posts": events("posts", rows)}
        loadings = frame_of(LOADINGS, engine)
        frame = build_features(
            {n: frame_of(t, engine) for n, t in tables.items()}, features, loadings=loadings
        )
        return {row.pop("applicant_id"): row for row in collect(frame).rows(named=True)}

    return built


@pytest.mark.parametrize("engine", ["polars", "pandas", "dask"])
def test_topics_are_mean_loadings_of_the_words(topics_of, engine):
    rows = [post(1, "rent is due"), post(200, "shop"), post(3, "nothing known", 2)]
    found = topics_of(rows, engine)
    assert found[1] == {
        "posts_count_365": 2,
        "posts_words_mean": 2,
        "posts_topic_1": (2 - 0.5) / 4,
        "posts_topic_2": 1 / 4,
    }
    assert found[2] == dict(zip(found[1], (1, 2, 0, 0), strict=True))
    assert set(found[3].values()) == {None}


@pytest.mark.parametrize("engine", ["polars", "pandas"])
def test_an_empty_post_has_no_words(topics_of, engine):
    found = topics_of([post(1, ""), post(2, "", 2), post(3, "rent", 2), post(1, None, 3)], engine)
    assert (found[1]["posts_words_mean"], found[1]["posts_topic_1"]) == (0, None)
    assert (found[2]["posts_words_mean"], found[2]["posts_topic_1"]) == (0.5, 2)
    assert (found[3]["posts_count_365"], found[3]["posts_topic_1"]) == (1, None)


@settings(max_examples=25)
@given(data=st.data())
def test_topics_are_linear_in_the_words(topics_of, data):
    texts = data.draw(st.lists(WORDS, min_size=1, max_size=5))
    counts = Counter(" ".join(texts).split())
    total = sum(counts.values())
    found = topics_of([post(i, text) for i, text in enumerate(texts)])[1]
    wanted = (2 * counts["rent"] - 0.5 * counts["shop"]) / total if total else None
    assert found["posts_topic_1"] == (None if wanted is None else pytest.approx(wanted, rel=1e-12))


def test_a_topic_alone_can_be_asked_for(topics_of):
    assert topics_of([post(1, "shop rent")], names=["posts_topic_2"])[1] == {"posts_topic_2": 0.5}


def test_topics_find_what_people_write_about():
    fitted = fit_topics(corpus(), **SETTINGS)
    assert fitted.loadings.columns == ["term", "topic_1", "topic_2"]
    assert fitted.loadings["term"].is_sorted()
    assert set(fitted.loadings.dtypes[1:]) == {pl.Int64}
    second = fitted.top_terms.filter(pl.col("topic") == 2)
    money = {"rent", "bill", "due", "pay"}
    signs = {term: weight > 0 for term, weight in second.select("term", "weight").rows() if term != "today"}
    assert len({positive for term, positive in signs.items() if term in money}) == 1
    assert len(set(signs.values())) == 2


def test_what_fewer_people_than_the_line_typed_reaches_no_table():
    texts = pl.Series([*corpus()[:50], "secret", "secret secret secret"])
    known = fit_topics(texts, **SETTINGS)
    assert "secret" not in known.loadings["term"].to_list()
    assert not [term for term in known.loadings["term"].to_list() if term.startswith("name")]
    assert known.top_terms["applicants"].min() >= 3
    third = fit_topics(pl.Series([*texts, "secret"]), **SETTINGS)
    assert "secret" in third.loadings["term"].to_list()


def test_the_most_frequent_terms_are_kept():
    assert fit_topics(corpus(), **SETTINGS | {"terms": 4}).loadings.height == 4


def test_the_seed_decides_and_the_largest_weight_is_positive():
    first, again = (fit_topics(corpus(), **SETTINGS) for _ in range(2))
    assert first.loadings.equals(again.loadings)
    assert first.top_terms.equals(again.top_terms)
    assert first.top_terms.filter(pl.col("rank") == 1)["weight"].min() > 0
    order = first.top_terms.with_columns(pl.col("weight").abs())
    assert all(part["weight"].is_sorted(descending=True) for part in order.partition_by("topic"))


@pytest.mark.parametrize("texts", [["", ""], ["a b", "c d"], [None], ["rent"] * 3])
def test_too_few_terms_are_refused_without_quoting_any(texts):
    with pytest.raises(DataError, match="2 topic") as caught:
        fit_topics(pl.Series(texts, dtype=pl.String), **SETTINGS)
    assert "rent" not in str(caught.value)
