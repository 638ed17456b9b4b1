"""Escaped text comes back from Pandoc as it was, wherever a report puts it."""

import json
import re
import subprocess
from pathlib import Path

import pypandoc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.reporting.markdown import escape_markdown
from workbench.reporting.sources import Expander

MARKUP = [
    *(
        "{{<",
        "}}>",
        "|",
        "@",
        "@fig-x",
        "$",
        "$a$",
        "<",
        "<b>",
        "</script>",
        "<!--",
        "-->",
        "\\",
        "\\newpage",
    ),
    *(
        '"',
        "'",
        "#",
        "##",
        "#.",
        "1.",
        "1)",
        "(1)",
        "a.",
        "iv.",
        "(@)",
        ":::",
        "---",
        "--",
        "-",
        "...",
        "+",
        "%",
    ),
    *(
        "*x*",
        "**x**",
        "_x_",
        "`",
        "```",
        "~~~",
        "~",
        "^",
        "[x](y)",
        "![x](y)",
        "[^1]",
        "^[x]",
        "[@x]",
        "-@x",
        "=",
    ),
    *(
        "&amp;",
        "&#60;",
        "===",
        ">",
        ":",
        "http://x.org",
        ":smile:",
        "{.x}",
        "{#x}",
        "{=html}",
        "Table:",
        "Mr.",
    ),
    *("0.87", "-0.1", "87%", "two-sided", "e.g.", "\t", "\n", "\n\n", "\r\n", "é", "中", "\u00a0"),
]
TEXT = st.one_of(
    st.lists(st.sampled_from(MARKUP) | st.text(max_size=4), max_size=8).map(" ".join),
    st.lists(st.sampled_from(MARKUP), max_size=4).map("".join),
    st.text(max_size=40),
)
READERS = [
    "markdown-smart",
    "markdown",
    "markdown+autolink_bare_uris+emoji+mark+lists_without_preceding_blankline",
]


def read(markdown: str, reader: str) -> list[dict]:
    command = [pypandoc.get_pandoc_path(), f"--from={reader}", "--to=json", "--columns=100000"]
    done = subprocess.run(command, input=markdown.encode(), capture_output=True, check=True)
    return json.loads(done.stdout)["blocks"]


def plain(inlines: list[dict]) -> str:
    """The text of inlines that must be nothing but text."""
    spaces = {"Space": " ", "SoftBreak": " "}
    assert {inline["t"] for inline in inlines} <= {"Str", *spaces}, inlines
    return "".join(spaces.get(inline["t"]) or inline["c"] for inline in inlines)


def expected(text: str) -> str:
    """White space made one space and characters taken out that no document can hold."""
    shown = re.sub(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]", "", text)
    return re.sub(r"[ \t\n\r\v\f\x1c-\x1f\x85\u2028\u2029]+", " ", shown).strip()


@pytest.mark.parametrize("reader", READERS)
@given(texts=st.lists(TEXT, min_size=1, max_size=40))
@settings(max_examples=25, deadline=None)
def test_a_paragraph_shows_the_text(reader, texts):
    shown = [text for text in texts if expected(text)]
    blocks = read("\n\n".join(escape_markdown(text) for text in ["start", *shown]), reader)
    assert {block["t"] for block in blocks} == {"Para"}
    assert [plain(block["c"]) for block in blocks] == ["start", *map(expected, shown)]


@given(texts=st.lists(TEXT, min_size=1, max_size=40))
@settings(max_examples=25, deadline=None)
def test_a_table_cell_shows_the_text(texts):
    rows = "\n".join(f"| {escape_markdown(text)} | end |" for text in texts)
    (table,) = read(f"| text | last |\n|:--|--:|\n{rows}\n", "markdown-smart")
    cells = [[cell[4] for cell in row[1]] for row in table["c"][4][0][3]]
    found = [plain(cell[0]["c"]) if cell else "" for cell, _ in cells]
    assert found == [expected(text) for text in texts]
    assert all(last[0]["c"][0]["c"] == "end" for _, last in cells)


@given(text=TEXT)
def test_no_shortcode_is_left_in_it(text):
    escaped = escape_markdown(text)
    expander = Expander(Path(), {})
    assert "".join(piece.text for piece in expander.expand(escaped, "page.qmd")) == escaped
    assert not expander.faults
    assert "\n" not in escaped


@pytest.mark.parametrize("number", ["0.87", "-0.1", "87%", "30,000", "two-sided"])
def test_a_plain_number_stays_readable(number):
    assert escape_markdown(number) == number
