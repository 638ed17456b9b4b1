import numpy as np
import polars as pl
import pytest

from workbench.engine import CPU_BY_CHOICE
from workbench.features.assembly import Recipe, build_all, build_withheld, fit_texts, views_of
from workbench.privacy.encryption import Cipher, open_cipher

SOURCES = [
    {"name": "applicants", "kind": "applicants", "data_category": "credit_terms", "needs_consent": False,
     "columns": ["applicant_id"], "declared": [], "use": "model"},
    {"name": "airtime", "kind": "topups", "data_category": "telecom_usage", "needs_consent": False,
     "columns": ["amount"], "declared": [], "use": "model"},
    {"name": "posts", "kind": "posts", "data_category": "social_media", "needs_consent": True,
     "columns": ["text"], "declared": [], "use": "cost only"},
]  # fmt: skip
WORDS = np.array(["rent", "debt", "maize", "goats", "school", "choir", "match", "goal", "ferry", "hotel"])


def write(folder, people, parts, cipher=None):
    """Applicants, top-ups and posts of so many people, cut into so many parts."""
    writing = (cipher or Cipher()).writing
    generator = np.random.default_rng(5)
    ids = np.arange(1, people + 1)
    number = (ids - 1) * parts // people
    pl.DataFrame({"applicant_id": ids, "part": number}).write_parquet(
        folder / "applicants.parquet", **writing
    )
    top = pl.DataFrame({"applicant_id": generator.choice(ids, 20 * people)}).with_columns(
        age_days=pl.Series(generator.integers(0, 365, 20 * people)),
        hour=pl.Series(generator.integers(0, 24, 20 * people)),
        weekday=pl.Series(generator.integers(1, 8, 20 * people)),
        amount=pl.Series(generator.integers(1, 9_000, 20 * people)),
    )
    post = top.select("applicant_id", "age_days", "hour", "weekday").head(6 * people)
    said = [" ".join(generator.choice(WORDS, 5)) for _ in range(post.height)]
    tables = {"airtime": top, "posts": post.with_columns(text=pl.Series(said))}
    for name, rows in tables.items():
        (folder / name).mkdir(parents=True)
        for part in range(parts):
            mine = rows.filter(pl.col("applicant_id").is_in(ids[number == part]))
            mine.write_parquet(folder / name / f"part-{part:04}.parquet", **writing)
    return {
        "applicants": folder / "applicants.parquet",
        "airtime": folder / "airtime",
        "posts": folder / "posts",
    }


def recipe(**changes):
    plain = {"views": views_of(SOURCES), "windows": (30, 90, 365), "observation_days": 365, "topics": 2}
    made = Recipe(**(plain | changes))
    return Recipe(**(plain | changes | {"names": tuple(f.name for f in made.catalogue())}))


def build(folder, parts, cipher=None):
    folder.mkdir()
    tables = write(folder, 60, parts, cipher)
    return build_all(recipe(), tables, parts=parts, engine=CPU_BY_CHOICE, cipher=cipher or Cipher())


@pytest.mark.parametrize("parts", [2, 7])
def test_how_many_parts_there_are_changes_nothing(tmp_path, parts):
    assert build(tmp_path / "many", parts).equals(build(tmp_path / "one", 1))


def test_encrypted_parts_give_the_same_features(tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", "a key of the tests, long enough")
    assert build(tmp_path / "shut", 2, open_cipher("A_KEY")).equals(build(tmp_path / "open", 2))


def test_everyone_has_a_row_and_only_sources_in_use_are_read(tmp_path):
    built = build(tmp_path / "run", 2)
    assert built["applicant_id"].to_list() == list(range(1, 61))
    assert {name.split("_")[0] for name in built.columns[1:]} == {"airtime"}


def test_topics_are_fitted_on_the_chosen_applicants_only(tmp_path):
    tables = write(tmp_path, 60, 2)
    fitting = {"terms": 100, "least_applicants": 5, "seed": 1, "cipher": Cipher()}
    texts = recipe(views=views_of(SOURCES, use="cost only"))
    few = fit_texts(texts, tables, pl.Series(range(1, 31)), **fitting)
    every = fit_texts(texts, tables, pl.Series(range(1, 61)), **fitting)
    assert few.top_terms["applicants"].max() <= 30 < every.top_terms["applicants"].max()
    again = fit_texts(texts, tables, pl.Series(range(30, 0, -1)), **fitting)
    assert again.loadings.equals(few.loadings)


def test_a_study_without_texts_has_no_topics(tmp_path):
    tables = write(tmp_path, 20, 1)
    found = fit_texts(recipe(), tables, pl.Series([1]), terms=50, least_applicants=5, seed=1, cipher=Cipher())
    assert found.top_terms.height == 0


def test_withheld_features_are_those_of_sources_not_in_use(tmp_path):
    tables = write(tmp_path, 60, 2)
    fitting = {"terms": 100, "least_applicants": 5, "seed": 1, "cipher": Cipher()}
    making = {"parts": 2, "engine": CPU_BY_CHOICE, "cipher": Cipher()}
    barred = recipe(views=views_of(SOURCES, use="cost only"))
    withheld = build_withheld(barred, tables, pl.Series(range(1, 61)), fitting=fitting, making=making)
    assert {name.split("_")[0] for name in withheld.columns[1:]} == {"posts"}
    none = build_withheld(recipe(views=()), tables, pl.Series([1]), fitting=fitting, making=making)
    assert none.columns == ["applicant_id"]
    assert none.height == 60
