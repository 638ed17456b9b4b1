"""Text that is data and must never become markup."""

from __future__ import annotations

import re

_BLANK = re.compile(r"[ \t-\r\x1c-\x1f\x85\u2028\u2029]+")  # spaces that do not break stay
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
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
