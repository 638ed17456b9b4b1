"""A letter's words as HTML, as tagged PDF and as Markdown; none of them reads a text as markup."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time
from html import escape
from pathlib import Path
from typing import Literal

from workbench.errors import RenderError
from workbench.reporting.letter_templates import FOLDER, Block, Page
from workbench.reporting.markdown import escape_markdown

Format = Literal["html", "pdf"]
_PROGRAM = FOLDER / "letter.typ"
_FONT = "Libertinus Serif"
_STYLE = """
:root{color-scheme:light}
body{margin:0;background:#fff;color:#1b1f24;font:1rem/1.55 Georgia,"Times New Roman",serif}
main{max-width:42rem;margin:0 auto;padding:2rem 1.25rem 3rem}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.1rem;margin:1.8rem 0 .5rem}
li{margin:.3rem 0}.draft{border:2px solid #b3202b;color:#b3202b;padding:.4rem .7rem;font-weight:bold}
@page{margin:22mm}@media print{main{max-width:none;padding:0}h2{break-after:avoid}li{break-inside:avoid}}
"""


def html_letter(page: Page) -> str:
    """Return a letter as one HTML file that fetches nothing."""
    body = "\n".join(_html_block(block) for block in page.blocks)
    draft = f'<p class="draft">{escape(page.draft)}</p>\n' if page.draft else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{page.language}-{page.region}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(page.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(page.title)}</h1>\n{draft}{body}\n</main>\n</body>\n</html>\n"
    )


def pdf_writer(fonts: Sequence[Path] = ()) -> Callable[[Page, date], bytes]:
    """Return a function that makes tagged PDF (PDF/UA-1) of pages, dated by the day of the decision.

    Only fonts that come with Typst and those in the folders `fonts` are used, so that the bytes repeat
    anywhere. The function raises RenderError where they lack a character: no letter is printed with gaps.
    """
    import typst

    folders = [str(folder) for folder in fonts]
    added = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)
    families = [_FONT, *added.families()]
    source = _PROGRAM.read_bytes()
    compiler = typst.Compiler(source, font_paths=typst.Fonts(include_system_fonts=False, font_paths=folders))

    def write(page: Page, day: date) -> bytes:
        values = json.dumps({**asdict(page), "fonts": families})
        moment = datetime.combine(day, time(), UTC)
        try:
            made = compiler.compile(
                source, format="pdf", sys_inputs={"letter": values}, pdf_standards=["ua-1"], timestamp=moment
            )
        except typst.TypstError as error:
            raise _pdf_fault(error.message) from None
        return bytes(made)  # type: ignore[arg-type]  # one PDF, never a list of pages

    return write


def markdown_letter(page: Page) -> str:
    """Return a letter as a quotation in Markdown, for a report."""
    lines = [f"**{escape_markdown(page.title)}**", ""]
    if page.draft:
        lines += [f"*{escape_markdown(page.draft)}*", ""]
    for block in page.blocks:
        lines += [*_markdown_block(block), ""]
    return "".join(f"> {line}".rstrip() + "\n" for line in lines[:-1])


def _html_block(block: Block) -> str:
    texts = [escape(text) for text in block.texts]
    if block.kind == "heading":
        return f"<h2>{texts[0]}</h2>"
    if block.kind in ("text", "lines"):
        return f"<p>{'<br>'.join(texts)}</p>"
    tag = "ol" if block.kind == "numbers" else "ul"
    return "\n".join([f"<{tag}>", *(f"<li>{text}</li>" for text in texts), f"</{tag}>"])


def _markdown_block(block: Block) -> list[str]:
    texts = [escape_markdown(text) for text in block.texts]
    if block.kind == "heading":
        return [f"**{texts[0]}**"]
    if block.kind in ("text", "lines"):
        return ["\\\n> ".join(texts)]
    return [
        f"{number}. {text}" if block.kind == "numbers" else f"- {text}"
        for number, text in enumerate(texts, 1)
    ]


def _pdf_fault(message: str) -> RenderError:
    """Return the error without the text that Typst quotes, which may be the applicant's."""
    if "could not be displayed" in message:
        right = "name a folder with a font that has them in `fonts` (Devanagari: Debian's fonts-lohit-deva)"
        return RenderError(
            "letters: the fonts of the PDF lack characters of a text; nothing is printed with gaps",
            [right, "or write HTML, for which the reader's own fonts are used"],
        )
    return RenderError("letters: Typst cannot make the PDF", [message])
