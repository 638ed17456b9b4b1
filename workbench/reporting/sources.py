"""A report's Markdown with its shortcodes resolved, every part remembering the file and line it came from."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from workbench.errors import near_name

PAGE_BREAK = "::: {.pagebreak}\n:::\n"
_TOKEN = re.compile(
    r"""(?P<literal>
          \\.                                                             # an escaped character
        | ^[ ]{0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n(?:.*?^[ ]{0,3}(?P=fence)[`~]*[ \t]*$|.*\Z)
        | (?<!`)(?P<ticks>`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)(?P=ticks)(?!`)  # a code span
        | <!--.*?-->
        )
      | \{\{<[ \t]*(?P<call>[^\n]*?)[ \t]*>\}\}""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Piece:
    """A stretch of text and where its first line stands."""

    text: str
    file: str
    line: int


@dataclass(frozen=True)
class Source:
    """The whole Markdown of a report, made of pieces of several files."""

    pieces: tuple[Piece, ...]

    @cached_property
    def text(self) -> str:
        """The Markdown that Pandoc reads."""
        return "".join(piece.text for piece in self.pieces)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(piece.text) for piece in self.pieces)][:-1]

    @cached_property
    def _prose(self) -> str:
        """The text with code and comments blanked, so that a search finds only what has a meaning."""
        return _TOKEN.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), self.text)

    def where(self, offset: int) -> str:
        """Return 'file:line' of a place in the text."""
        index = bisect_right(self._starts, offset) - 1
        piece = self.pieces[index]
        return f"{piece.file}:{piece.line + piece.text.count(chr(10), 0, offset - self._starts[index])}"

    def where_line(self, number: int) -> str:
        """Return 'file:line' of a line of the text, counted from one."""
        lines = self.text.splitlines(keepends=True)[: number - 1]
        return self.where(sum(map(len, lines)))

    def places(self, words: str) -> list[str]:
        """Return every 'file:line' where these words stand outside code, without repeats."""
        pattern = re.compile(re.escape(words) + (r"(?![\w-])" if words[-1:].isalnum() else ""))
        for text in (self._prose, self.text):
            if found := [self.where(match.start()) for match in pattern.finditer(text)]:
                return list(dict.fromkeys(found))
        return []


@dataclass
class Expander:
    """Resolves `var`, `include` and `pagebreak` shortcodes and gathers what it could not resolve."""

    folder: Path
    variables: Mapping[str, Any]
    faults: list[str] = field(default_factory=list)

    def expand(self, text: str, file: str, line: int = 1, above: tuple[str, ...] = ()) -> Iterator[Piece]:
        """Yield a file's text in pieces; `above` names the files that include it."""
        end = 0
        for token in _TOKEN.finditer(text):
            if token["call"] is None:
                continue
            yield Piece(text[end : token.start()], file, line + text.count("\n", 0, end))
            here = line + text.count("\n", 0, token.start())
            alone = _stands_alone(text, token)
            yield from self._resolve(token["call"], Piece(token[0], file, here), alone, above)
            end = token.end()
        yield Piece(text[end:], file, line + text.count("\n", 0, end))

    def _resolve(self, call: str, at: Piece, alone: bool, above: tuple[str, ...]) -> Iterator[Piece]:
        name, _, argument = call.partition(" ")
        argument = argument.strip()
        if name == "var":
            yield Piece(self._value(argument, at), at.file, at.line)
        elif name not in ("include", "pagebreak"):
            known = ("var", "include", "pagebreak")
            self._fault(at, f"unknown shortcode{near_name(name, known)}; known are {', '.join(known)}")
        elif not alone:
            self._fault(at, "must stand on a line of its own")
        elif name == "pagebreak":
            yield Piece(PAGE_BREAK, at.file, at.line)
        else:
            yield from self._included(argument, at, above)

    def _value(self, name: str, at: Piece) -> str:
        value = _leaves(self.variables).get(name)
        if value is None:
            self._fault(at, f"no such value in _variables.yml{near_name(name, _leaves(self.variables))}")
        return str(value)

    def _included(self, name: str, at: Piece, above: tuple[str, ...]) -> Iterator[Piece]:
        root = self.folder.resolve()
        path = (root / at.file).parent.joinpath(name).resolve()
        if not path.is_relative_to(root):
            return self._fault(at, "leads out of the report's folder")
        if not path.is_file():
            others = [other.relative_to(root).as_posix() for other in root.rglob("*.*md")]
            return self._fault(at, f"no such file{near_name(name, others)}")
        file = path.relative_to(root).as_posix()
        if file in (*above, at.file):
            return self._fault(at, "includes itself")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return self._fault(at, "is not UTF-8 text")
        yield from self.expand(text.rstrip("\n"), file, 1, (*above, at.file))

    def _fault(self, at: Piece, what: str) -> None:
        self.faults.append(f"{at.file}:{at.line}: {at.text}: {what}")


def _stands_alone(text: str, token: re.Match[str]) -> bool:
    before = text.rfind("\n", 0, token.start()) + 1
    after = text.find("\n", token.end())
    rest = text[before : token.start()] + text[token.end() : after if after >= 0 else len(text)]
    return not rest.strip()


def _leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values under their dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _leaves(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat
