"""The documents say what is: artifacts as a run writes them, commands that exist."""

import re

import pytest

from tests.pipeline.running import shared_run
from tests.refresh_notebooks import artifacts_page
from workbench.params import ROOT
from workbench.run import Run

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_artifacts_page_is_what_a_run_writes(tmp_path_factory):
    manifest = Run.open(shared_run(tmp_path_factory)).manifest
    assert (ROOT / "docs" / "artifacts.md").read_text(encoding="utf-8") == artifacts_page(manifest)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)  ", README))))
def test_a_make_target_in_the_readme_exists(target):
    assert re.search(rf"^{target}:.*##", MAKEFILE, re.MULTILINE)


def test_the_readme_is_short_and_its_links_lead_somewhere():
    assert len(README.splitlines()) <= 150
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
