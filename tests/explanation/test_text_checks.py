import polars as pl
import pytest

from tests.explanation.making_texts import CATALOGUE, texts
from workbench.errors import ParamsError
from workbench.explanation.text_checks import MARKUP, check_texts

INQUIRY = "families__inquiries__features__bureau_inquiries__text"


def faults(*languages, catalogue=CATALOGUE, **options) -> list[str]:
    with pytest.raises(ParamsError, match=r"fault\(s\) in the reason texts; nothing was computed") as caught:
        check_texts(languages, catalogue, **options)
    return list(caught.value.faults)


def with_row(*row: str) -> pl.DataFrame:
    return pl.concat([CATALOGUE, pl.DataFrame([row], schema=CATALOGUE.columns, orient="row")])


def test_good_texts_pass():
    check_texts([texts(), texts(language="xx")], CATALOGUE, rules={"too many": "bureau_inquiries"})


def test_rule_8_a_feature_without_a_text_is_named():
    found = faults(
        texts(), catalogue=with_row("electricity_late_max", "bills", "electricity", "utility", "days")
    )
    assert found == ["en: feature electricity_late_max: no texts; 1 is right"]


def test_rule_8_a_family_without_a_text_is_named_and_not_given_the_nearest():
    found = faults(
        texts(), catalogue=with_row("bureau_inquiries_12m", "inquiry", "bureau", "bureau", "inquiries")
    )
    assert found == ["en: family inquiry: no texts; 1 is right"]


def test_a_feature_that_two_templates_match_is_a_fault():
    two = texts(
        families__bills__features={
            "{source}_late_share_{window}": {"text": "a"},
            "electricity_late_share_{window}": {"text": "b"},
            "electricity_count_365": {"text": "c"},
            "{source}_count_{window}": {"text": "an exact name goes first"},
        }
    )
    assert faults(two) == ["en: feature electricity_late_share_365: 2 texts; 1 is right"]


def test_a_source_without_a_word_is_a_fault_where_a_text_speaks_of_it():
    assert faults(texts(sources={"water": "water"})) == ["en: source electricity: no word for it"]


def test_a_rule_without_a_text_is_a_fault():
    assert faults(texts(), rules={"bankruptcy": "bureau_inquiries"}) == ["en: rule bankruptcy: no text"]


@pytest.mark.parametrize("slot", ["{values}", "{unit}", "{}", "{window}", "{count}", "{0}", "{value!r}"])
def test_an_unknown_slot_is_a_fault(slot):
    assert faults(texts(**{INQUIRY: f"{slot} inquiries"})) == [
        f"en: feature bureau_inquiries, text: unknown slot {slot}"
    ]


@pytest.mark.parametrize("slot", ["{value}", "{percent}", "{points}", "{money}"])
def test_every_number_is_a_slot(slot):
    check_texts([texts(**{INQUIRY: f"{slot} inquiries"})], CATALOGUE)


def test_a_text_for_what_is_missing_has_no_number():
    where = "families__inquiries__features__bureau_inquiries__missing"
    assert faults(texts(**{where: "{value} inquiries"})) == [
        "en: feature bureau_inquiries, missing: unknown slot {value}"
    ]


@pytest.mark.parametrize("mark", sorted(MARKUP | set("{}")))
def test_markup_is_refused_everywhere(mark):
    for place in (
        INQUIRY,
        "families__bills__text",
        "sources__electricity",
        "words__missing",
        "words__months",
    ):
        found = faults(texts(**{place: f"some {mark} text"}))
        assert len(found) == 1
        assert found[0].endswith(f": markup {mark}; texts are plain")


@pytest.mark.parametrize(
    "said", ["score too low", "Score  too low", "the score, too low, was", "your SCORE TOO LOW for us"]
)
def test_rule_10_a_phrase_that_is_no_reason_is_refused(said):
    assert faults(texts(**{INQUIRY: said})) == [
        "en: feature bureau_inquiries, text: 'score too low' is no reason"
    ]


@pytest.mark.parametrize("said", ["score too lowered", "underscore too low", "scores too low"])
def test_rule_10_only_whole_words_are_refused(said):
    check_texts([texts(**{INQUIRY: said})], CATALOGUE)


def test_rule_14_a_protected_trait_is_refused():
    assert faults(texts(families__inquiries__text="Sex and marital status")) == [
        "en: family inquiries: 'sex' would tell a protected trait",
        "en: family inquiries: 'marital status' would tell a protected trait",
    ]


def test_rule_14_the_study_s_own_protected_attributes_are_refused():
    said = texts(families__inquiries__text="the birth date given")
    check_texts([said], CATALOGUE)
    assert faults(said, protected=["birth_date"]) == [
        "en: family inquiries: 'birth date' would tell a protected trait"
    ]


def test_rule_14_words_of_other_scripts_are_whole_words_with_their_signs():
    hindi = texts(protected=["लिंग"], families__inquiries__text="आपका लिंग")
    assert faults(hindi) == ["en: family inquiries: 'लिंग' would tell a protected trait"]
    check_texts([texts(protected=["लिंग"], families__inquiries__text="लिंगायत")], CATALOGUE)


@pytest.mark.parametrize(
    ("family", "category", "right"), [("bills", "bureau", "creditor"), ("inquiries", "utility", "bureau")]
)
def test_rule_9_the_bureau_s_list_is_of_the_bureau_s_data(family, category, right):
    other = CATALOGUE.with_columns(
        data_category=pl.when(pl.col("family") == family).then(pl.lit(category)).otherwise("data_category")
    )
    assert faults(texts(), catalogue=other) == [
        f"en: family {family}: list {right} for data of category {category}"
    ]


def test_rule_15_every_language_tells_the_same_reasons():
    other = texts(language="xx", rules={}, sources={"electricity": "x"})
    short = texts(language="yy", families__bills__features__more={"text": "more"})
    assert faults(texts(), other, short) == [
        "en: bills: more: only in another language",
        "xx: bills: more: only in another language",
        "xx: source bureau: only in another language",
        "xx: too many: only in another language",
    ]


def test_the_faults_of_all_languages_are_told_at_once_and_each_once():
    one = texts(**{INQUIRY: "{wrong} {wrong}"})
    two = texts(language="xx", **{INQUIRY: "<b>"})
    assert faults(one, two, rules={"none": "bureau_inquiries"}) == [
        "en: feature bureau_inquiries, text: unknown slot {wrong}",
        "en: rule none: no text",
        "xx: feature bureau_inquiries, text: markup < >; texts are plain",
        "xx: rule none: no text",
    ]
