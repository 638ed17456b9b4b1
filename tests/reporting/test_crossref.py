"""Numbers, references, callouts, and what the filter refuses."""

import pytest

FIGURE = '![Cap](figures/a.svg){#fig-a fig-alt="Alt"}\n\n'
TABLE = "| a | b |\n|:--|--:|\n| x | 1 |\n\n"


def test_figures_and_tables_are_numbered_apart_and_in_order(html):
    second = FIGURE.replace("fig-a ", "fig-b ")
    page = html(f"@fig-b, @tbl-t, @fig-a.\n\n{FIGURE}::: {{#tbl-t}}\n\n{TABLE}Rows.\n:::\n\n{second}")
    assert (
        '<a href="#fig-b" class="crossref">Figure 2</a>, <a href="#tbl-t" class="crossref">Table 1</a>'
        in page
    )
    assert "<figcaption>Figure 1: Cap</figcaption>" in page
    assert '<table id="tbl-t"> <caption><span class="caption">Table 1: Rows.</span></caption>' in page


def test_a_caption_line_with_an_id_is_a_table_too(html):
    page = html(f"@tbl-t\n\n{TABLE}: Rows. {{#tbl-t}}\n")
    assert '<span class="caption">Table 1: Rows.</span>' in page


def test_a_picture_in_a_figure_div(html):
    page = html('@fig-d\n\n::: {#fig-d}\n\n![](figures/a.svg){fig-alt="Alt"}\n\nWords.\n:::\n')
    assert '<figure id="fig-d">' in page
    assert 'alt="Alt"' in page
    assert "<figcaption>Figure 1: Words.</figcaption>" in page


def test_sections_are_numbered_as_the_headings_are(html):
    page = html("# A\n\n# Plain {.unnumbered}\n\n# B\n\n## C {#sec-c}\n\n@sec-c and -@sec-c\n")
    assert (
        '<a href="#sec-c" class="crossref">Section 2.1</a> and <a href="#sec-c" class="crossref">2.1</a>'
        in page
    )
    assert '<span class="header-section-number">2.1</span> C' in page


def test_several_references_in_brackets(html):
    page = html(f"[@fig-a; @sec-a]\n\n# A {{#sec-a}}\n\n{FIGURE}")
    assert ">Figure 1</a>, <a" in page


@pytest.mark.parametrize("kind", ["note", "tip", "important", "warning", "caution"])
def test_a_callout_has_its_kind_for_a_title(html, kind):
    page = html(f"::: {{.callout-{kind}}}\nText.\n:::\n")
    assert f'<div class="callout callout-{kind}" role="note">' in page
    assert f'<div class="callout-title"> {kind.capitalize()} </div>' in page


@pytest.mark.parametrize("callout", ["{.callout-tip}\n## My *title*", '{.callout-tip title="My title"}\n'])
def test_a_callout_takes_its_title_and_no_number(html, callout):
    page = html(f"::: {callout}\n\nText.\n:::\n\n# First {{#sec-f}}\n\n@sec-f\n")
    assert page.index("My") < page.index("Text.")
    assert "Section 1</a>" in page


def test_a_title_attribute_is_text(html):
    assert "**b**" in html('::: {.callout-tip title="\\*\\*b\\*\\*"}\nText.\n:::\n')


def test_head_cells_say_that_they_head_a_column(html):
    assert 'scope="col">b</th>' in html(TABLE)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("@fig-x", "5: @fig-x: nothing has this id"),
        ("[@yeh2009]", "5: @yeh2009: no such entry in the bibliography"),
        ("# A {#sec-a .unnumbered}\n\n@sec-a", "7: @sec-a: has no number to refer to"),
        ("::: {#tbl-x}\nWords.\n:::", "5: #tbl-x: must hold one table and its caption"),
        ("[@sec-a; @yeh2009]\n\n# A {#sec-a}", "5: @sec-a: write cross-references and citations apart"),
        ("<b>x</b>", "5: <b>: raw html cannot be shown in every output"),
        ("\\newpage", "5: \\newpage: raw tex cannot be shown in every output"),
        ("```{=html}\n<p>\n```", "6: <p>: raw html cannot be shown in every output"),
        ("```{python}\n1\n```", "5: {python}: code is not run in a report; show what a stage stored"),
        ("::: {.panel-tabset}\nx\n:::", "5: .panel-tabset: this renderer does not know such a block"),
        ("::: {.callout-danger}\nx\n:::", "5: .callout-danger: this renderer does not know such a block"),
        ("# A\n\n### B", "7: B: this heading skips a level"),
        ("![x](figures/b.svg)", "5: figures/b.svg: no such picture in the report's folder"),
        ("![x](../a.svg)", "5: ../a.svg: leads out of the report's folder"),
        ("![x](http://x.org/a.svg)", "5: http://x.org/a.svg: no such picture in the report's folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(faults, body, fault):
    assert any(found.startswith(f"page.qmd:{fault}") for found in faults(f"\n{body}\n"))


def test_an_id_used_twice_is_named_at_both_places(faults):
    assert faults(FIGURE + FIGURE) == (
        "page.qmd:4: #fig-a: the same id is used twice",
        "page.qmd:6: #fig-a: the same id is used twice",
    )


def test_a_comment_is_left_out(html):
    assert "secret" not in html("<!-- secret @fig-x -->\n\nText.\n")
