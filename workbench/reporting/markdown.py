"""Text that is data and must never become markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANK = re.compile(r"[ \t-\r\x1c-\x1f\x85\u2028\u2029]+")  # spaces that do not break stay
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_CELL = re.compile(r"(?<!\\)\|")
_BLOCK = re.compile(r"^::: \{#tbl-([\w-]+)\}\n(.*?)^:::$", re.MULTILINE | re.DOTALL)
_MARKED = re.compile(
    r"(?<!\\)\[(?P<held>(?:\\.|[^\]\\])*)\](?:\{[^}]*\}|\([^)]*\))"  # [text]{.class} and [text](#place)
    r"|(?<!\\)\*{1,2}(?P<strong>(?:\\.|[^*\\])+)(?<!\\)\*{1,2}"
)
_SPECIAL = re.compile(
    r"""[!"\#$&'()*+/:<=>@\[\\\]^_`{|}~]  # starts or ends markup somewhere in Pandoc's or Quarto's Markdown
      | \.(?!\w) | (?<!\w)\.              # list markers, ellipses and abbreviations, but not 0.87
      | -(?!\w)  | (?<=-)-                # list markers, dashes and rules, but not two-sided or -0.1
      | (?<!\d)%                          # a title block, but not 87%
    """,
    re.VERBOSE,
)


def escape_markdown(text: str) -> str:
    r"""Return Markdown that shows exactly this text on one line, in Pandoc and in Quarto.

    Every character that could begin or end markup, raw HTML, mathematics, a citation or a shortcode gets a
    backslash. Runs of white space become one space, because a line break would end a table cell;
    characters that neither HTML nor PDF can hold are left out.

    >>> escape_markdown("<b> | $a$ @fig-x")
    '\\<b\\> \\| \\$a\\$ \\@fig-x'
    """
    line = _BLANK.sub(" ", _INVISIBLE.sub("", text)).strip()
    return _SPECIAL.sub(r"\\\g<0>", line)


def plain_cell(text: str) -> str:
    r"""Return what a cell shows, without marks: the inverse of `escape_markdown` on what it gave.

    >>> plain_cell("**not held**, [E16](#evidence-e16) \\| [2005-10]{.unbroken}")
    'not held, E16 | 2005-10'
    """
    while (bare := _MARKED.sub(lambda found: found["held"] or found["strong"] or "", text)) != text:
        text = bare
    return re.sub(r"\\(.)", r"\1", text)


def table_cells(name: str, page: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Give every pipe table of a page with its name: that of its block, or else `name`, and its cells."""
    blocks = _BLOCK.findall(page) or [(name, page)]
    for block, text in blocks:
        lines = [line for line in text.splitlines() if line.startswith("|")]
        if len(lines) > 2:
            cells = [[cell.strip() for cell in _CELL.split(line)[1:-1]] for line in lines]
            yield block, [cells[0], *cells[2:]]
