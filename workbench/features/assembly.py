"""Features of everyone, part by part: parts hold whole applicants, so each is built on its own, anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from workbench.engine import Engine
from workbench.features.build import build_features, catalogue_of
from workbench.features.catalogue import DeclaredFeature, Feature, SourceView
from workbench.features.text import Topics, fit_topics
from workbench.privacy.encryption import Cipher, open_cipher

FIT_APPLICANTS = 50_000
_PART = "part-{:04}.parquet"


@dataclass(frozen=True)
class Recipe:
    """Everything that says how features are made of tables: plain values, so that any process can follow it."""

    views: tuple[SourceView, ...]
    windows: tuple[int, ...]
    observation_days: int
    topics: int
    names: tuple[str, ...] = ()
    loadings: pl.DataFrame | None = None

    def catalogue(self) -> tuple[Feature, ...]:
        """Return every feature that the sources serve."""
        return catalogue_of(
            self.views, windows=self.windows, observation_days=self.observation_days, topics=self.topics
        )

    def features(self) -> tuple[Feature, ...]:
        """Return the features named, in their order."""
        known = {feature.name: feature for feature in self.catalogue()}
        return tuple(known[name] for name in self.names)


@dataclass(frozen=True)
class _Part:
    number: int
    tables: Mapping[str, str]
    recipe: Recipe
    engine: Engine
    cipher: str


def views_of(sources: Sequence[Mapping[str, Any]], *, use: str = "model") -> tuple[SourceView, ...]:
    """Return the sources of one use ("model" or "cost only") as feature code knows them."""
    return tuple(
        SourceView(
            name=source["name"],
            kind=source["kind"],
            data_category=source["data_category"],
            needs_consent=source["needs_consent"],
            columns=tuple(source["columns"]),
            declared=tuple(DeclaredFeature(**column) for column in source["declared"]),
        )
        for source in sources
        if source["use"] == use
    )


def build_all(
    recipe: Recipe, tables: Mapping[str, Path], *, parts: int, engine: Engine, cipher: Cipher
) -> pl.DataFrame:
    """Return applicant_id and the recipe's features of everyone, sorted by applicant_id.

    `tables` has the applicants' file and the folder of parts of each source that the recipe names. Every engine
    gives the same values; `dask` spreads the parts over its workers.
    """
    needed = {"applicants", *(feature.source for feature in recipe.features())}
    paths = {name: str(path) for name, path in tables.items() if name in needed}
    items = [_Part(number, paths, recipe, engine, cipher.variable) for number in range(parts)]
    return pl.concat(engine.map(build_part, items)).sort("applicant_id")


def build_part(part: _Part) -> pl.DataFrame:
    """Build the features of the applicants of one part."""
    reading = open_cipher(part.cipher).reading
    engine = part.engine
    files = {
        n: Path(p) if n == "applicants" else Path(p) / _PART.format(part.number)
        for n, p in part.tables.items()
    }
    frames = {name: engine.scan(file, reading) for name, file in files.items()}
    frames["applicants"] = frames["applicants"].filter(nw.col("part") == part.number)
    loadings = None if part.recipe.loadings is None else engine.put(part.recipe.loadings)
    built = build_features(frames, part.recipe.features(), loadings=loadings)
    table: pl.DataFrame = built.collect("polars").to_native()
    return table


def fit_texts(
    recipe: Recipe,
    tables: Mapping[str, Path],
    chosen: pl.Series,
    *,
    terms: int,
    least_applicants: int,
    seed: int,
    cipher: Cipher,
) -> Topics:
    """Fit the topics on the texts of some applicants of the chosen (development) ones; empty without texts.

    At most 50,000 applicants, drawn at random, are read: more would not move the topics.
    """
    sources = [view.name for view in recipe.views if view.kind == "posts"]
    if not sources or not recipe.topics:
        columns = {"topic": pl.Int64, "rank": pl.Int64, "term": pl.String}
        empty = pl.DataFrame(schema=columns | {"weight": pl.Float64, "applicants": pl.Int64})
        return Topics(pl.DataFrame(schema={"term": pl.String}), empty)
    drawn = chosen.sort().sample(min(FIT_APPLICANTS, chosen.len()), seed=seed)
    posts = [
        pl.scan_parquet(sorted(tables[name].glob("*.parquet")), glob=False, **cipher.reading).select(
            "applicant_id", "age_days", "text"
        )
        for name in sources
    ]
    mine = pl.concat(posts).filter(pl.col("applicant_id").is_in(drawn.implode())).collect(engine="streaming")
    order = ["applicant_id", "age_days", "text"]
    texts = mine.sort(order).group_by("applicant_id", maintain_order=True).agg(pl.col("text").str.join(" "))
    return fit_topics(
        texts["text"], topics=recipe.topics, terms=terms, least_applicants=least_applicants, seed=seed
    )


def build_withheld(
    recipe: Recipe,
    tables: Mapping[str, Path],
    chosen: pl.Series,
    *,
    fitting: Mapping[str, Any],
    making: Mapping[str, Any],
) -> pl.DataFrame:
    """Return applicant_id and every feature of sources that may not be used; the key alone without such sources.

    Arguments as `fit_texts` and `build_all`.
    """
    loadings = fit_texts(recipe, tables, chosen, **fitting).loadings
    names = tuple(feature.name for feature in recipe.catalogue())
    return build_all(replace(recipe, names=names, loadings=loadings), tables, **making)
