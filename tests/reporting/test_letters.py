"""Notices: what each law asks for and no more, text that is never markup, batches that go on."""

import shutil
import subprocess
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest

from workbench.errors import DataError, ParamsError, RenderError, RunError
from workbench.reporting import letters
from workbench.reporting.letter_templates import FOLDER, load_template
from workbench.reporting.letters import Bureau, Letter

INJECTIONS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt; & \"quoted\" 'single'",
    '#import "x"', "$x$ and $ y $", "*bold* _italic_ ~strike~", "a \\ b \\n \\u{41}", "@figure <label>",
    "// no comment /* none */", "`raw` ```more```", "{lender_name} {reasons}", "[link](http://a.example)",
    "]>--> ]]> %PDF-1.7 #eval(\"1\")", "= heading", "- item", "1. item", "| a | b |",
)  # fmt: skip
BUREAU = Bureau(610, 300, 850, date(2026, 11, 20), ("Balances near their limits", "Many inquiries"))
STATEMENTS = {
    "lender_name": "First & Last Bank", "lender_address": "1 Main Street\nSpringfield",
    "lender_contact": "555-0100", "supervisor_name": "An Agency", "supervisor_address": "2 Law Street",
    "bureau_name": "A Bureau", "bureau_address": "3 File Street", "bureau_contact": "555-0199",
    "review_contact": "review@bank.example", "privacy_contact": "privacy@bank.example",
    "authority_name": "An Authority", "authority_contact": "4 Data Street", "debt_advice": "Advice Centre",
}  # fmt: skip
FIVE = ("us", "eu", "uk", "india", "kenya")


def letter(**changes):
    made = Letter(
        applicant="17",
        decision="declined",
        decided_on=date(2026, 11, 25),
        reasons=("3 electricity bills paid late in the last 12 months", "41 days with a low balance"),
        data_used=("Electricity bills: utility",),
    )
    return replace(made, **changes)


def said(notice, language="en", statements=STATEMENTS, **changes):
    page = letters.letter_page(letter(**changes), load_template(notice, language), statements)
    return " ".join(text for block in page.blocks for text in block.texts)


def faults_of(*made):
    with pytest.raises(DataError) as caught:
        letters.letter_page(made[0], load_template("us", "en"), {}) if len(
            made
        ) == 1 else letters.write_letters(made, load_template("us", "en"), {}, Path("/nowhere"))
    return caught.value.faults


class Reader(HTMLParser):
    """The tags, attributes and text of a page, as a browser would read them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], {}, ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.setdefault(tag, dict(attributes))

    def handle_data(self, data):
        self.text += data


def pdf_text(path):
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    done = subprocess.run(["pdftotext", "-raw", path, "-"], capture_output=True, check=True)
    return " ".join(done.stdout.decode().split())


# What each law asks for


def test_the_american_notice_has_what_regulation_b_asks_for():
    text = said("us")
    assert "First & Last Bank Address: 1 Main Street Springfield Contact: 555-0100" in text
    assert "November 25, 2026" in text
    assert "unable to give you the credit that you asked for" in text
    assert "3 electricity bills paid late in the last 12 months" in text
    assert "Equal Credit Opportunity Act" in text
    assert "An Agency, 2 Law Street" in text
    for other in ("consumer report", "credit score", "outside source", "point of view", "computer"):
        assert other not in text


def test_a_report_without_a_score_tells_the_agency_and_no_score():
    text = said("us", bureau=Bureau())
    assert "A Bureau Address: 3 File Street Telephone: 555-0199" in text
    assert "free of charge" in text
    assert "60 days" in text
    assert "dispute" in text
    assert "Your score was" not in text


def test_a_score_is_told_with_its_range_date_and_factors_apart_from_the_reasons():
    template = load_template("us", "en")
    page = letters.letter_page(letter(bureau=BUREAU), template, STATEMENTS)
    lists = [block.texts for block in page.blocks if block.kind == "numbers"]
    assert lists == [letter().reasons, BUREAU.key_factors]
    text = said("us", bureau=BUREAU)
    assert "Your score was 610 on November 20, 2026" in text
    assert "a low of 300 to a high of 850" in text


def test_data_of_third_parties_give_the_right_to_know_their_nature():
    assert "nature of that information" in said("us", outside_source=True)
    assert "nature of that information" not in said("us", outside_source=False)


@pytest.mark.parametrize("notice", ["eu", "uk"])
def test_the_european_notices_tell_logic_review_and_contest(notice):
    text = said(notice, counterfactual=("Late bills: from 3 to 1",))
    assert "score from all of your data together" in text
    assert "computer program alone" in text
    assert "point of view" in text
    assert "contest" in text
    assert "review@bank.example" in text
    assert "An Authority, 4 Data Street" in text
    assert "Late bills: from 3 to 1" in text
    assert "Equal Credit Opportunity Act" not in text


def test_the_kenyan_notice_offers_a_new_decision():
    assert "reconsider this decision" in said("kenya")
    assert "reconsider this decision" not in said("kenya", automated=False)


def test_the_indian_notice_gives_reasons_and_a_way_to_complain():
    text = said("india")
    assert "41 days with a low balance" in text
    assert "complaints: review@bank.example" in text
    assert "An Authority" in text


@pytest.mark.parametrize("notice", ["eu", "uk", "kenya"])
def test_a_decision_with_a_person_is_not_called_automated(notice):
    assert "computer program alone" in said(notice)
    text = said(notice, automated=False)
    assert "computer program alone" not in text
    assert "member of our staff" in text


@pytest.mark.parametrize("notice", ["eu", "uk", "kenya"])
def test_a_decision_by_a_rule_is_not_blamed_on_the_score(notice):
    assert "Yours was below it" in said(notice)
    text = said(notice, basis="rule")
    assert "Yours was below it" not in text
    assert "fixed rule" in text


@pytest.mark.parametrize("notice", FIVE)
def test_a_counter_offer_is_told_with_its_terms(notice):
    terms = {**STATEMENTS, "counter_offer": "500 over 6 months"}
    text = said(notice, statements=terms, decision="counter_offered")
    assert "500 over 6 months" in text
    assert "credit that you" not in text
    assert "the loan that you applied for" not in text
    assert "[not provided]" in said(notice, decision="counter_offered")
    assert "500 over" not in said(notice, statements=terms)


def test_changes_are_told_none_found_or_not_looked_for():
    assert "found none" in said("eu", counterfactual=())
    assert "would have changed" not in said("eu", counterfactual=None)
    assert "from 3 to 1" not in said("us", counterfactual=("Late bills: from 3 to 1",))


# Text is never markup


@pytest.mark.parametrize("notice", FIVE)
def test_markup_in_data_and_params_is_text_in_html(notice):
    page = letters.letter_page(
        letter(reasons=INJECTIONS, data_used=INJECTIONS[:1]),
        load_template(notice, "en"),
        {**STATEMENTS, "lender_name": INJECTIONS[0], "review_contact": INJECTIONS[1]},
    )
    read = Reader(letters.html_letter(page))
    assert not {"script", "img", "b", "label"} & set(read.tags)
    for text in INJECTIONS:
        assert text in read.text
    assert read.attributes["html"]["lang"][:2] == "en"
    assert {"title", "main", "h1", "h2", "ol"} <= set(read.tags)
    assert not {"link", "script", "iframe", "object"} & set(read.tags)
    assert "default-src 'none'" in letters.html_letter(page)


@pytest.mark.parametrize("notice", FIVE)
def test_markup_in_data_and_params_is_text_in_pdf(notice, tmp_path):
    template = load_template(notice, "en")
    statements = {**STATEMENTS, "lender_name": INJECTIONS[0]}
    made = [letter(reasons=INJECTIONS)]
    (path,) = letters.write_letters(made, template, statements, tmp_path / "out", formats=["pdf"])
    text = pdf_text(path)
    for injected in INJECTIONS:
        assert " ".join(injected.split()) in text
    assert text.count(INJECTIONS[0]) == 2


def test_markup_in_data_is_text_in_markdown(html):
    page = letters.letter_page(letter(reasons=INJECTIONS), load_template("us", "en"), STATEMENTS)
    rendered = Reader(html(letters.markdown_letter(page)))
    assert not {"script", "img", "code", "math"} & set(rendered.tags)
    assert rendered.tags.count("em") == 1  # the draft's own
    assert {"blockquote", "ol"} <= set(rendered.tags)
    for injected in INJECTIONS:
        assert injected in " ".join(rendered.text.split())


def test_the_pdf_is_tagged_has_title_language_and_its_own_date(tmp_path):
    template = load_template("us", "es")
    (path,) = letters.write_letters([letter()], template, STATEMENTS, tmp_path / "out", formats=["pdf"])
    content = path.read_bytes()
    assert b"/MarkInfo" in content
    assert b"/Lang(es-US)" in content
    assert b"pdfuaid:part" in content
    assert b"20261125" in content
    again = letters.pdf_writer()(letters.letter_page(letter(), template, STATEMENTS), date(2026, 11, 25))
    assert again == content


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.yaml") if p.stem != "india.hi"))
def test_every_template_in_latin_letters_makes_a_pdf_and_a_page_with_its_language(name, tmp_path):
    template = load_template(*name.split("."))
    full = letter(bureau=BUREAU, outside_source=True, counterfactual=("From 3 to 1",))
    pdf, page = letters.write_letters([full], template, STATEMENTS, tmp_path / "out")
    title = " ".join(template.words.title.split())
    assert title in pdf_text(pdf)
    read = Reader(page.read_text(encoding="utf-8"))
    assert read.attributes["html"]["lang"] == f"{template.language}-{template.region}"
    assert title in read.text


# Fonts


def test_a_pdf_without_a_font_for_its_script_is_refused_and_html_is_written(tmp_path):
    template = load_template("india", "hi")
    with pytest.raises(RenderError, match="fonts of the PDF lack characters") as caught:
        letters.write_letters([letter()], template, STATEMENTS, tmp_path / "both")
    assert "Devanagari" in str(caught.value)
    assert list((tmp_path / "both").glob("17.*")) == []
    (path,) = letters.write_letters([letter()], template, STATEMENTS, tmp_path / "html", formats=["html"])
    read = Reader(path.read_text(encoding="utf-8"))
    assert read.attributes["html"]["lang"] == "hi-IN"
    assert "हमारे निर्णय के मुख्य कारण" in read.text


def test_a_refusal_does_not_quote_the_applicant(tmp_path):
    with pytest.raises(RenderError) as caught:
        letters.write_letters(
            [letter(reasons=("გადახდა",))], load_template("us", "en"), {}, tmp_path, formats=["pdf"]
        )
    assert "გ" not in str(caught.value)


def test_a_folder_with_a_font_lends_its_characters(tmp_path):
    fonts = [Path(matplotlib.get_data_path()) / "fonts" / "ttf"]  # DejaVu Sans, which has Georgian
    made = [letter(reasons=("გადახდა",))]
    template = load_template("us", "en")
    (path,) = letters.write_letters(made, template, {}, tmp_path / "out", formats=["pdf"], fonts=fonts)
    assert "გადახდა" in pdf_text(path)


# Faults


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"applicant": "../../etc/passwd"}, "a pseudonym that is no file name"),
        ({"applicant": "x" * 65}, "a pseudonym that is no file name"),
        ({"applicant": ""}, "a pseudonym that is no file name"),
        ({"decision": "approved"}, "a decision that needs no notice"),
        ({"reasons": ()}, "no reason"),
        ({"reasons": ("fine", "\x00 ")}, "a blank text"),
        ({"bureau": Bureau(610)}, "a bureau score without its range"),
        ({"bureau": Bureau(key_factors=("x",))}, "a bureau score without its range"),
        ({"bureau": replace(BUREAU, score=851)}, "a bureau score outside its range"),
        ({"bureau": replace(BUREAU, score=299)}, "a bureau score outside its range"),
        ({"bureau": replace(BUREAU, key_factors=())}, "a bureau score without 1 to 5"),
        ({"bureau": replace(BUREAU, key_factors=("x",) * 6)}, "a bureau score without 1 to 5"),
    ],
)
def test_a_letter_that_cannot_be_sent_is_refused(change, fault):
    (found,) = faults_of(letter(**change))
    assert found.startswith(fault)
    assert found.endswith(": 1 letter(s)")


@pytest.mark.parametrize(
    "change",
    [
        {"applicant": "x" * 64},
        {"bureau": replace(BUREAU, score=850)},
        {"bureau": replace(BUREAU, score=300)},
        {"bureau": replace(BUREAU, key_factors=("x",) * 5)},
    ],
)
def test_a_letter_at_the_edge_of_what_is_allowed_is_written(change):
    assert said("us", **change)


def test_all_faults_are_counted_and_no_row_is_quoted():
    faults = faults_of(letter(applicant="secret name"), letter(reasons=()), letter(reasons=()))
    assert faults == (
        "a pseudonym that is no file name (letters, digits, - and _, at most 64): 1 letter(s)",
        "no reason: 2 letter(s)",
        "the pseudonym of another letter: 1 letter(s)",
    )


def test_an_empty_batch_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is none"):
        letters.write_letters([], load_template("us", "en"), {}, tmp_path)


@pytest.mark.parametrize("formats", [[], ["docx"]])
def test_unknown_formats_are_refused_before_the_folder_is_touched(tmp_path, formats):
    with pytest.raises(ParamsError, match="formats"):
        letters.write_letters([letter()], load_template("us", "en"), {}, tmp_path / "out", formats=formats)
    assert not (tmp_path / "out").exists()


# Batches


def batch(size, **changes):
    return [letter(applicant=str(number), **changes) for number in range(size)]


def test_each_applicant_has_a_file_in_each_format(tmp_path):
    done = []
    paths = letters.write_letters(
        batch(3), load_template("uk", "en"), STATEMENTS, tmp_path / "out", advance=done.append
    )
    assert sorted(path.name for path in paths) == [f"{n}.{f}" for n in range(3) for f in ("html", "pdf")]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in paths} | {
        letters.BATCH
    }
    assert all(path.read_bytes() for path in paths)
    assert done == [1, 1, 1]


def test_an_interrupted_batch_goes_on_and_gives_the_same_bytes(tmp_path):
    template = load_template("us", "en")

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        letters.write_letters(batch(3), template, STATEMENTS, tmp_path / "out", advance=interrupt)
    first = tmp_path / "out" / "0.html"
    before = first.stat().st_mtime_ns
    assert not (tmp_path / "out" / "1.html").exists()
    paths = letters.write_letters(batch(3), template, STATEMENTS, tmp_path / "out")
    assert first.stat().st_mtime_ns == before
    straight = letters.write_letters(batch(3), template, STATEMENTS, tmp_path / "straight")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in straight]


@pytest.mark.parametrize(
    "other",
    [
        {"made": batch(3, reasons=("Another reason",))},
        {"made": batch(2)},
        {"notice": "uk"},
        {"statements": {**STATEMENTS, "lender_name": "Another"}},
    ],
)
def test_two_batches_never_mix(tmp_path, other):
    def write(made=batch(3), notice="us", statements=STATEMENTS):  # noqa: B008
        return letters.write_letters(
            made, load_template(notice, "en"), statements, tmp_path / "out", formats=["html"]
        )

    before = [path.read_bytes() for path in write()]
    with pytest.raises(RunError, match="letters of another batch"):
        write(**other)
    assert [path.read_bytes() for path in write()] == before


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("x", encoding="utf-8")
    with pytest.raises(RunError, match="no folder of letters"):
        letters.write_letters(batch(1), load_template("us", "en"), {}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_a_killed_process_left_is_cleared(tmp_path):
    (tmp_path / ".half.pdf").write_bytes(b"%PDF")
    (tmp_path / ".half.json").write_bytes(b"{")
    letters.write_letters(batch(1), load_template("us", "en"), {}, tmp_path, formats=["html"])
    (tmp_path / ".half.html").write_bytes(b"<p>")
    letters.write_letters(batch(1), load_template("us", "en"), {}, tmp_path, formats=["html"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.html", letters.BATCH]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("x", encoding="utf-8")
    with pytest.raises(RunError, match="no folder of letters"):
        letters.write_letters(batch(1), load_template("us", "en"), {}, tmp_path / "out")


# Samples for a report


def test_samples_are_shared_by_enough_applicants_and_name_nobody():
    samples = [(letter(applicant="4711"), 10), (letter(applicant="4712", reasons=("Rare",)), 9)]
    text = letters.sample_letters(samples, load_template("us", "en"), STATEMENTS, suppress_below=10)
    assert "Sample 1: the reasons of 10 applicants" in text
    assert "471" not in text
    assert "Rare" not in text
    assert "sample-1" in text
    assert all(line.startswith(">") for line in text.splitlines()[2:])


def test_no_sample_is_shown_where_none_is_shared():
    for samples in ([(letter(), 9)], []):
        text = letters.sample_letters(samples, load_template("us", "en"), {}, suppress_below=10)
        assert text == "No list of reasons is shared by enough applicants: no sample is shown.\n"
