"""Outlines: what a document of its kind must hold, each point answered by something that exists."""

import pytest
from pydantic import ValidationError

from workbench.outlines import Outline, load_outlines
from workbench.packs import FOLDER, load_packs
from workbench.params import ROOT
from workbench.reporting.documents import DOCUMENTS
from workbench.requirements import load_evidence

OUTLINES = load_outlines()
PACKS = load_packs(sorted(path.stem for path in FOLDER.glob("*.yaml")))
ASKED = {one.id for pack in PACKS for one in pack.requirements}
POINTS = [(name, point) for name, outline in OUTLINES.items() for point in outline.points]


def test_outlines_are_of_documents_that_print_them():
    assert set(OUTLINES) <= set(DOCUMENTS)
    for name in OUTLINES:
        pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "reports" / name).glob("*.qmd"))
        assert f"_generated/outline_{name}.md" in pages
        assert f"_generated/owed_{name}.md" in pages


@pytest.mark.parametrize(("name", "point"), POINTS, ids=lambda value: getattr(value, "point", value))
def test_every_point_names_what_exists(name, point):
    assert set(point.evidence) <= set(load_evidence())
    assert set(point.requirements) <= ASKED
    assert point.evidence or point.requirements
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "reports" / name).glob("*.qmd"))
    assert f"{{#{point.section}}}" in pages


def test_annex_iv_has_all_its_points():
    assert [point.point for point in OUTLINES["ai_act_annex_iv"].points] == [
        "1", *(f"2({letter})" for letter in "abcdefgh"), *"3456789"
    ]  # fmt: skip


def test_the_validation_has_the_points_of_a_validation_report():
    assert [point.point for point in OUTLINES["validation"].points] == [str(n) for n in range(1, 12)]


@pytest.mark.parametrize(
    ("key", "value"),
    [("section", "mandate"), ("evidence", ["E1"]), ("evidence", ["E01", "E01"]), ("title", ""), ("more", 1)],
)
def test_a_point_that_is_wrong_is_refused(key, value):
    point = {"point": "1", "title": "A", "asks": "B", "section": "sec-a", "evidence": [], "requirements": []}
    outline = {"source": "S", "pack": "", "roles": [], "points": [point]}
    assert Outline.model_validate(outline).points[0].point == "1"
    with pytest.raises(ValidationError):
        Outline.model_validate(outline | {"points": [point | {key: value}]})
