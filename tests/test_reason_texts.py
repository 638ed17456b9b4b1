"""The reason texts of the repository: whole, in five languages, for every feature of every study."""

import re
from functools import cache

import polars as pl
import pytest
import yaml

from tests.explanation.making_texts import CATALOGUE, texts, values
from workbench.errors import ParamsError
from workbench.explanation.text_checks import check_texts
from workbench.explanation.wording import fill_texts, wording
from workbench.features.build import catalogue_of
from workbench.features.catalogue import DeclaredFeature, SourceView, catalogue_table
from workbench.params import ROOT
from workbench.reason_texts import FOLDER, OTHER, load_texts, texts_table
from workbench.study import load_study

LANGUAGES = ("en", "es", "fr", "hi", "sw")
STUDIES = ("smoke", "taiwan", "alternative")
ALIKE = r"_30$|^water_|_topic_([3-9]|1\d)$"  # told by the same templates as others


@cache
def loaded(language: str):
    return load_texts(language)


@cache
def study_of(name: str):
    return load_study(ROOT / "params" / f"{name}.yaml")


@cache
def catalogue(name: str) -> pl.DataFrame:
    """Every feature that the study's sources could serve, selected or not."""
    study = study_of(name)
    views = [
        SourceView(
            name=source_name,
            kind=source.kind,
            data_category=source.data_category,
            columns=("balance",),
            declared=tuple(
                DeclaredFeature(
                    column, f.definition, f.unit, f.monotone, f.data_category or source.data_category
                )
                for column, f in source.features.items()
            ),
        )
        for source_name, source in study.data.sources.items()
    ]
    features, data = study.features, study.data
    return catalogue_table(
        catalogue_of(
            views,
            windows=features.windows,
            observation_days=data.observation_days,
            topics=features.topics,
        )
    )


@cache
def filled(language: str, study: str, *values: float | None) -> pl.DataFrame:
    """The text of each kind of feature of a study for applicants who have these values everywhere."""
    entries = catalogue(study).filter(~pl.col("feature").str.contains(ALIKE))
    names, ids = entries["feature"].to_list(), list(range(len(values)))
    own = pl.DataFrame({"applicant_id": ids}).with_columns(
        pl.Series(name, values, dtype=pl.Float64) for name in names
    )
    reasons = entries.select("feature", reason_code="family").join(
        pl.DataFrame({"applicant_id": ids}), how="cross"
    )
    return fill_texts(reasons, own, wording(loaded(language), entries), currency="KES")


@pytest.mark.parametrize("study", STUDIES)
def test_every_feature_of_every_study_has_a_text_in_every_language(study):
    protected = study_of(study).data.protected
    check_texts([loaded(language) for language in LANGUAGES], catalogue(study), protected=protected)


def test_the_languages_are_those_of_the_folder():
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("study", ["taiwan", "alternative"])
def test_every_text_is_whole_whatever_the_number(language, study):
    """No slot is left, nothing is said of a word that is not there, and nobody is told nothing."""
    table = filled(language, study, 0.0, 1.0, 2.0, 0.25, -0.25, 1234.5, None)
    for text in table["reason_text"]:
        assert text
        assert text.strip() == text
        assert "  " not in text
        assert not re.search(r"[{}]|\bnan\b|None|null|\( | ,", text), text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("study", ["taiwan", "alternative"])
def test_rule_4_every_text_has_the_applicant_s_own_number(language, study):
    """But for yes or no, and topics, whose loadings mean nothing to anybody."""
    table = filled(language, study, 37.0).join(catalogue(study).select("feature", "unit"), on="feature")
    numbered = table.filter(~pl.col("unit").is_in(["yes or no", "loading per word"]))
    expected = {"minor units": r"0[.,]37", "share": r"1.369|3.700|37"}
    for feature, unit, text in numbered.select("feature", "unit", "reason_text").iter_rows():
        assert re.search(expected.get(unit, r"37|3.700"), text), (feature, text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_factors_are_never_told_by_the_same_words(language):
    for study in ("taiwan", "alternative"):
        table = filled(language, study, 37.0)
        assert table["reason_text"].n_unique() == table.height


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_says_it_in_its_own_words(language):
    table = filled(language, "alternative", 37.0)
    english = filled("en", "alternative", 37.0)
    same = (table["reason_text"] == english["reason_text"]).sum()
    assert same == (table.height if language == "en" else 0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_rule_8_the_samples_are_the_same_in_every_language(language):
    for code, family in loaded("en").families.items():
        other = loaded(language).families[code]
        assert (other.sample, other.list) == (family.sample, family.list)


def test_rule_8_alternative_data_have_texts_of_their_own():
    samples = dict(
        wording(loaded("en"), catalogue("alternative")).codes.select("reason_code", "sample").rows()
    )
    assert {code for code, sample in samples.items() if sample != OTHER} == {
        "no record at bureau",
        "deepest delinquency",
        "inquiries in six months",
    }


def test_rule_10_and_14_every_language_knows_what_is_no_reason_and_what_is_protected():
    for language in LANGUAGES:
        assert len(loaded(language).refused) >= 5
        assert len(loaded(language).protected) >= 15


def test_rule_16_a_text_says_its_version_author_and_that_nobody_approved_it():
    table = texts_table([loaded(language) for language in LANGUAGES])
    assert table["language"].to_list() == list(LANGUAGES)
    assert table["approver"].to_list() == ["not approved"] * 5
    assert table.null_count().sum_horizontal().item() == 0
    assert all(loaded(language).is_draft for language in LANGUAGES)


def test_rule_16_an_approver_ends_the_draft():
    assert texts(approver="  ").is_draft
    approved = texts(approver="B. Person")
    assert not approved.is_draft
    assert texts_table([approved])["approver"].to_list() == ["B. Person"]


# Reading


def write(folder, language: str = "en", **changes):
    folder.mkdir(exist_ok=True)
    made = values(language=language, **changes)
    (folder / f"{language}.yaml").write_text(yaml.safe_dump(made, allow_unicode=True), encoding="utf-8")
    return folder


def faults_of(**options) -> tuple[str, ...]:
    with pytest.raises(ParamsError) as caught:
        load_texts("en", **options)
    return caught.value.faults


def test_an_unknown_language_names_the_known_ones(tmp_path):
    with pytest.raises(ParamsError, match="reason texts en: no such language") as caught:
        load_texts("en", folder=write(tmp_path, "eo"))
    assert caught.value.faults[0].endswith(": eo")


def test_a_file_is_of_the_language_of_its_name(tmp_path):
    write(tmp_path, "en")
    (tmp_path / "en.yaml").rename(tmp_path / "sw.yaml")
    with pytest.raises(ParamsError, match="the file says language en"):
        load_texts("sw", folder=tmp_path)


def test_every_fault_of_a_file_is_told_at_once(tmp_path):
    found = faults_of(
        folder=write(
            tmp_path,
            version=None,
            effective_from="2026-02-30",
            families__bills__sample=25,
            families__bills__lists="creditor",
            families__inquiries__text="",
            families__inquiries__list="both",
            words__one="2",
            refused=[],
        )
    )
    where = [fault.split(":")[0] for fault in found]
    assert sorted(where) == sorted(
        [
            "version",
            "effective_from",
            "families.bills.sample",
            "families.bills.lists",
            "families.inquiries.text",
            "families.inquiries.list",
            "words.one",
            "refused",
        ]
    )
    assert any("did you mean list?" in fault for fault in found)


@pytest.mark.parametrize(("sample", "right"), [(0, False), (1, True), (24, True), (25, False)])
def test_samples_are_those_of_appendix_c(tmp_path, sample, right):
    folder = write(tmp_path, families__bills__sample=sample)
    if right:
        assert load_texts("en", folder=folder).families["bills"].sample == sample
    else:
        assert faults_of(folder=folder)


# A study's own texts

OWN = {
    "language": "en",
    "name": "English of the study",
    "version": "7",
    "effective_from": "2027-01-01",
    "author": "O. Owner",
    "approver": "P. Person",
}


def own(folder, **changes):
    folder.mkdir()
    (folder / "en.yaml").write_text(yaml.safe_dump({**OWN, **changes}), encoding="utf-8")
    return folder


def test_a_study_adds_and_replaces_texts(tmp_path):
    ours = write(tmp_path / "ours")
    family = {
        "text": "crops",
        "sample": 24,
        "list": "creditor",
        "features": {"crop": {"text": "{value} crops"}},
    }
    rule = {"name": "bankrupt", "text": "a bankruptcy", "sample": 21, "list": "creditor"}
    folder = own(
        tmp_path / "own",
        families={"crops": family, "inquiries": {**family, "text": "replaced"}},
        rules={"bankruptcy": rule},
        sources={"farm": "farm"},
        protected=["clan"],
    )
    made = load_texts("en", own=folder, folder=ours)
    assert set(made.families) == {"bills", "inquiries", "crops"}
    assert made.families["inquiries"].text == "replaced"
    assert set(made.rules) == {"too many", "bankruptcy"}
    assert set(made.sources) == {"electricity", "bureau", "farm"}
    assert made.protected == ["sex", "marital status", "clan"]
    assert (made.language, made.version, made.author) == ("en", "1; 7", "A. Author; O. Owner")
    assert made.effective_from == "2027-01-01"


@pytest.mark.parametrize(
    ("ours", "theirs", "both"),
    [("A. One", "P. Person", "A. One; P. Person"), ("", "P. Person", ""), ("A. One", " ", "")],
)
def test_rule_16_both_must_be_approved(tmp_path, ours, theirs, both):
    folder = write(tmp_path / "ours", approver=ours)
    made = load_texts("en", own=own(tmp_path / "own", approver=theirs), folder=folder)
    assert made.approver == both


def test_a_study_s_own_texts_need_their_header(tmp_path):
    folder = own(tmp_path / "own", version=None, author=None)
    found = faults_of(own=folder, folder=write(tmp_path / "ours"))
    assert found == ("version: missing", "author: missing")


def test_a_study_s_own_texts_are_there_in_every_language_asked_for(tmp_path):
    with pytest.raises(ParamsError, match="reason texts sw: no such language"):
        load_texts("sw", own=own(tmp_path / "own"))


def test_a_declared_feature_is_told_by_the_study_s_own_text(tmp_path):
    """Without it the feature is named before anything is computed."""
    more = pl.concat(
        [
            CATALOGUE,
            pl.DataFrame(
                [("crop", "crops", "farm", "income", "crops")], schema=CATALOGUE.columns, orient="row"
            ),
        ]
    )
    ours = write(tmp_path / "ours")
    with pytest.raises(ParamsError, match="reason texts") as caught:
        check_texts([load_texts("en", folder=ours)], more)
    assert caught.value.faults == ("en: family crops: no texts; 1 is right",)
    family = {
        "text": "crops",
        "sample": 24,
        "list": "creditor",
        "features": {"crop": {"text": "{value} crops"}},
    }
    check_texts([load_texts("en", own=own(tmp_path / "own", families={"crops": family}), folder=ours)], more)
