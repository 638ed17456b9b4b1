"""Texts: how much an applicant writes, and topics by TF-IDF and truncated SVD, linear in the words' counts.

A topic's value is the sum over an applicant's words of the word's loading, divided by the number of words.
A loading is the word's inverse document frequency times its weight in the topic, in whole millionths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from workbench.errors import DataError
from workbench.features.catalogue import Feature, SourceView, feature_of
from workbench.features.windows import Aggregate, Value, Windows, only_positive, plain, ratio

WRITING, TOPICS = "short posts", "text topics"
TOP_TERMS = 10
_MILLIONTHS = 1_000_000
_TEXT = nw.col("text").fill_null("")
_SPACES = _TEXT.str.len_chars() - _TEXT.str.replace_all(" ", "", literal=True).str.len_chars()
MEASURES = {"words": nw.when(_TEXT != "").then(_SPACES.cast(nw.Int64) + 1).otherwise(0)}
_WORDS, _POSTS = Aggregate("words", "sum"), Aggregate("one", "sum")


@dataclass(frozen=True)
class Topics:
    """What `fit_topics` found.

    `loadings`: term, topic_1 .. topic_k (millionths); `top_terms`: topic, rank, term, weight, applicants.
    """

    loadings: pl.DataFrame
    top_terms: pl.DataFrame


def features(view: SourceView, windows: Windows, topics: int) -> list[Feature]:
    """Return the features of a source of short texts; topics need the loadings of `fit_topics`."""
    days = windows.longest
    posts, mean = plain(windows.total("one", days)), ratio(_WORDS, _POSTS)
    made = [
        feature_of(view, f"count_{days}", WRITING, f"posts in the last {days} days", "count", 0, posts, absent=0),
        feature_of(view, "words_mean", WRITING, "mean words of a post", "words", 0, mean),
    ]  # fmt: skip
    return made + [_topic(view, number) for number in range(1, topics + 1)]


def _topic(view: SourceView, number: int) -> Feature:
    loaded = nw.col(f"topic_{number}").fill_null(0).cast(nw.Float64) * (1 / _MILLIONTHS)
    value = Value(loaded / only_positive(_WORDS.column), (_WORDS,))
    definition = f"mean loading of the words on topic {number}"
    return feature_of(view, f"topic_{number}", TOPICS, definition, "loading per word", 0, value)


def topic_sums(posts: nw.LazyFrame[Any], loadings: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Return applicant_id and topic_1 .. topic_k: the summed loadings of the words that have one."""
    names = [name for name in loadings.collect_schema().names() if name != "term"]
    words = _words(posts.select("applicant_id", term=_TEXT))
    loaded = words.join(loadings, on="term", how="inner")
    return loaded.group_by("applicant_id").agg(**{name: nw.col(name).sum() for name in names})


def _words(texts: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Return one row per word; Narwhals cannot explode on Dask, which can itself."""
    if texts.implementation.is_dask():
        native = texts.to_native()
        exploded = native.assign(term=native["term"].str.split(" ")).explode("term")
        words: nw.LazyFrame[Any] = nw.from_native(exploded.astype({"term": native["term"].dtype}))
        return words
    if texts.implementation.is_pandas():
        texts = nw.maybe_convert_dtypes(texts, dtype_backend="pyarrow")
    return texts.with_columns(nw.col("term").str.split(" ")).explode("term")


def fit_topics(texts: pl.Series, *, topics: int, terms: int, least_applicants: int, seed: int) -> Topics:
    """Return the topics of one text per applicant (all posts joined by spaces), development sample only.

    A term enters only when at least `least_applicants` applicants used it, so that what one person typed
    reaches no table; of these the `terms` most frequent ones. Each topic's largest weight is positive.
    Raises DataError when too few terms remain.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    documents = texts.fill_null("").to_list()
    words = np.array([max(len(text.split()), 1) for text in documents], dtype=float)
    vectorizer = CountVectorizer(analyzer=str.split, max_features=terms, min_df=least_applicants)
    try:
        counts = vectorizer.fit_transform(documents)
    except ValueError:  # scikit-learn's word for an empty vocabulary
        raise _too_few(0, topics, least_applicants) from None
    if counts.shape[1] < topics:
        raise _too_few(counts.shape[1], topics, least_applicants)
    tfidf = TfidfTransformer(norm=None).fit(counts)
    weighted = tfidf.transform(counts).multiply(1 / words[:, None]).tocsr()
    axes = TruncatedSVD(topics, random_state=seed).fit(weighted).components_
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(topics), largest])[:, None]
    loadings = np.rint(axes * tfidf.idf_ * _MILLIONTHS).astype(np.int64)
    names = vectorizer.get_feature_names_out().tolist()
    used = np.asarray((counts > 0).sum(axis=0)).ravel()
    return Topics(_loadings(names, loadings), _top_terms(names, axes, used))


def _loadings(names: list[str], loadings: np.ndarray[Any, np.dtype[np.int64]]) -> pl.DataFrame:
    columns = {f"topic_{number}": row for number, row in enumerate(loadings, start=1)}
    return pl.DataFrame({"term": names, **columns}, schema_overrides={"term": pl.String}).sort("term")


def _top_terms(
    names: list[str],
    axes: np.ndarray[Any, np.dtype[np.float64]],
    used: np.ndarray[Any, np.dtype[np.int64]],
) -> pl.DataFrame:
    rows = [
        {
            "topic": number,
            "rank": rank,
            "term": names[place],
            "weight": round(float(axis[place]), 6),
            "applicants": int(used[place]),
        }
        for number, axis in enumerate(axes, start=1)
        for rank, place in enumerate(np.argsort(-np.abs(axis), kind="stable")[:TOP_TERMS], start=1)
    ]
    return pl.DataFrame(rows)


def _too_few(found: int, topics: int, least_applicants: int) -> DataError:
    return DataError(
        f"{found} term(s) used by at least {least_applicants} applicants; {topics} topic(s) need as many",
        ["lower features.topics or features.least_applicants, or leave the texts out"],
    )
