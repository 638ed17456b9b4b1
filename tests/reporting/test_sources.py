"""Shortcodes are resolved outside code, and everything keeps its file and line."""

import pytest

from workbench.reporting.sources import Expander, Source


@pytest.fixture
def expand(tmp_path):
    def run(text, variables=None, **files):
        for name, content in files.items():
            (tmp_path / name).write_text(content, encoding="utf-8")
        expander = Expander(tmp_path, variables or {})
        return Source(tuple(expander.expand(text, "page.qmd"))), expander.faults

    return run


def test_values_are_put_in_as_they_are(expand):
    source, faults = expand("a {{< var x.y >}} b {{<var n>}}", {"x": {"y": r"\*1\*"}, "n": 0})
    assert source.text == r"a \*1\* b 0"
    assert not faults


@pytest.mark.parametrize(
    "code",
    ["`{{< var x >}}`", "``a ` {{< var x >}}``", "```\n{{< var x >}}\n```",
     "~~~~ {.py}\n```\n{{< var x >}}\n~~~~", "```\n{{< var x >}}",
     "<!-- {{< var x >}} -->", r"\{{< var x >}}"],
)  # fmt: skip
def test_code_comments_and_escapes_are_left_alone(expand, code):
    source, faults = expand(f"{code}\n")
    assert source.text == f"{code}\n"
    assert not faults


def test_an_escaped_tick_starts_no_code(expand):
    source, _ = expand(r"\`{{< var x >}}\`", {"x": 1})
    assert source.text == r"\`1\`"


def test_includes_nest_and_keep_their_places(expand, tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "b.md").write_text("b one\nb two @fig-x\n")
    (tmp_path / "part" / "a.md").write_text("a one\n\n{{< include b.md >}}\n\na five\n")
    source, faults = expand("one\n\n{{< include part/a.md >}}\n\nfive @fig-x\n")
    assert source.text == "one\n\na one\n\nb one\nb two @fig-x\n\na five\n\nfive @fig-x\n"
    assert source.places("@fig-x") == ["part/b.md:2", "page.qmd:5"]
    assert source.where(source.text.index("a five")) == "part/a.md:5"
    assert source.where_line(5) == "part/b.md:1"
    assert not faults


def test_places_are_whole_words_outside_code(expand):
    source, _ = expand("`@fig-a` @fig-ab\n@fig-a.\n")
    assert source.places("@fig-a") == ["page.qmd:2"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{{< vra x >}}", "unknown shortcode (did you mean var?)"),
        ("{{< var data.rwos >}}", "(did you mean data.rows?)"),
        ("{{< var data >}}", "no such value"),
        ("{{< include nope.md >}}", "no such file (did you mean note.md?)"),
        ("{{< include ../note.md >}}", "leads out"),
        ("{{< include /etc/passwd >}}", "leads out"),
        ("{{< include page.qmd >}}", "includes itself"),
        ("{{< include loop.md >}}", "includes itself"),
        ("words {{< pagebreak >}}", "line of its own"),
        ("words {{< include note.md >}}", "line of its own"),
    ],
)
def test_faults_name_the_place(expand, text, fault):
    files = {"note.md": "n", "loop.md": "{{< include loop.md >}}", "page.qmd": ""}
    _, faults = expand(f"\n\n{text}\n", {"data": {"rows": 3}}, **files)
    assert len(faults) == 1
    assert fault in faults[0]
    assert faults[0].startswith("loop.md:1:" if "loop" in text else "page.qmd:3:")


def test_an_include_may_not_follow_a_link_out(expand, tmp_path):
    (tmp_path / "link.md").symlink_to("/etc/hostname")
    _, faults = expand("{{< include link.md >}}")
    assert "leads out" in faults[0]
