"""Templates of notices: those in the repository are whole, and a wrong one is refused with all faults."""

from datetime import date

import pytest
import yaml

from workbench.errors import ParamsError
from workbench.reporting import letter_templates as templates
from workbench.reporting.plain import plain_text

ALL = sorted(path.stem for path in templates.FOLDER.glob("*.yaml"))
CONTENT = templates.Content(
    {"applicant": "17", "decision_date": "today"},
    {"reasons": ("A reason",), "key_factors": (), "data_used": ("Bills",), "counterfactual": ()},
    frozenset({"declined", "scored", "automated"}),
)


def words(page):
    return " ".join(text for block in page.blocks for text in block.texts)


@pytest.fixture
def changed(tmp_path):
    """Writes the template us.en with a change, and returns the faults with which it is refused."""

    def faults(change):
        values = yaml.safe_load((templates.FOLDER / "us.en.yaml").read_text(encoding="utf-8"))
        change(values)
        (tmp_path / "us.en.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
        with pytest.raises(ParamsError) as caught:
            templates.load_template("us", "en", tmp_path)
        return caught.value.faults

    return faults


@pytest.mark.parametrize("name", ALL)
def test_every_template_is_whole_and_says_that_it_is_a_draft(name):
    template = templates.load_template(*name.split("."))
    page = templates.fill(template, {}, CONTENT)
    assert page.draft == template.words.draft
    assert page.language == template.language
    assert "{" not in words(page)


def test_all_five_jurisdictions_have_a_template_in_english():
    assert {f"{name}.en" for name in ("us", "eu", "uk", "india", "kenya")} <= set(ALL)


@pytest.mark.parametrize("name", [name for name in ALL if not name.endswith(".en")])
def test_a_translation_has_the_parts_of_the_english_template(name):
    notice, language = name.split(".")
    translated, english = (templates.load_template(notice, each) for each in (language, "en"))
    assert [part.when for part in translated.parts] == [part.when for part in english.parts]
    assert [len(part.blocks) for part in translated.parts] == [len(part.blocks) for part in english.parts]


def test_a_template_with_an_approver_is_no_draft():
    template = templates.load_template("us", "en").model_copy(update={"approver": "A. Person"})
    assert templates.fill(template, {}, CONTENT).draft == ""


def test_what_nobody_said_is_printed_as_not_provided():
    template = templates.load_template("us", "en")
    said = words(templates.fill(template, {"lender_name": "A Bank", "lender_contact": " \t"}, CONTENT))
    assert "A Bank Address: [not provided] Contact: [not provided]" in said


def test_a_missing_template_is_named_with_those_there_are():
    with pytest.raises(ParamsError, match=r"notice us\.eng: no such template \(did you mean us\.en\?\)"):
        templates.load_template("us", "eng")


def test_all_unknown_names_are_told_together(changed):
    def change(values):
        values["parts"][0]["blocks"][0]["lines"] = ["{lender_nam}", "{reasons}"]
        values["parts"][1]["when"] = ["declned"]
        values["parts"][3]["blocks"][1]["list"] = "raesons"

    assert changed(change) == (
        "unknown placeholder 'lender_nam' (did you mean lender_name?)",
        "unknown placeholder 'reasons'",
        "unknown list 'raesons' (did you mean reasons?)",
        "unknown condition 'declned' (did you mean declined?)",
        "lender_name is not in a part without conditions",
    )


def test_a_place_that_every_notice_needs_may_not_hang_on_a_condition(changed):
    def change(values):
        values["parts"][3]["when"] = ["scored"]

    assert changed(change) == ("reasons is not in a part without conditions",)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda values: values.update(colour="red"), "colour: unknown key"),
        (lambda values: values.pop("author"), "author: missing"),
        (lambda values: values["words"].update(date="{day}.{month}"), "words.date: "),
        (lambda values: values["words"].update(date="{day.__class__} {month} {year}"), "words.date: "),
        (
            lambda values: values.update(notice="uk"),
            "notice and language: received uk.en; the file's name is us",
        ),
        (lambda values: values["words"].update(months=["January"]), "words.months: "),
    ],
)
def test_other_faults_are_named(changed, change, fault):
    faults = changed(change)
    assert any(found.startswith(fault) for found in faults), faults


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    (tmp_path / "us.en.yaml").write_text("- a\n", encoding="utf-8")
    with pytest.raises(ParamsError, match="a template is a mapping"):
        templates.load_template("us", "en", tmp_path)


def test_dates_are_written_in_the_words_of_the_language():
    day = date(2026, 3, 5)
    written = {name: templates.written_date(templates.load_template(*name.split(".")), day) for name in ALL}
    assert written["us.en"] == "March 5, 2026"
    assert written["uk.en"] == "5 March 2026"
    assert written["us.es"] == "5 de marzo de 2026"
    assert written["india.hi"] == "5 मार्च 2026"


def test_unknown_statements_are_named_together():
    with pytest.raises(ParamsError) as caught:
        templates.check_statements({"lender_nme": "x", "colour": "y", "lender_name": "z"})
    assert caught.value.faults == (
        "lender_nme: no such statement (did you mean lender_name?)",
        "colour: no such statement",
    )


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  two \t words ", "two words"),
        ("one\r\n\n two ", "one\ntwo"),
        ("a\x00b\u202ec\u2066d", "abcd"),
        ("क\u200dष", "क\u200dष"),  # joiners shape the letters of Hindi
        ("{lender_name}", "{lender_name}"),
    ],
)
def test_texts_are_cleaned_and_not_read(text, plain):
    assert plain_text(text) == plain
