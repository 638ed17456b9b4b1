import re
from datetime import date

import pytest
from pydantic import ValidationError

from workbench.packs import FOLDER, load_packs
from workbench.params import ROOT
from workbench.reporting.documents import DOCUMENTS
from workbench.requirements import Requirement, load_evidence, requirement_faults

ASKED = {
    "id": "ZZ-01",
    "title": "Soundness",
    "instrument": "Act",
    "clause": "s. 1",
    "applies_from": date(2026, 3, 1),
    "applies_until": date(2026, 3, 31),
    "date_status": "P",
    "tier": "low",
    "only_where": "",
    "evidence": ["E06"],
    "tests": [],
    "statements": [{"role": "validator", "text": "An opinion"}],
    "source": "https://law.example.org/act",
    "status": "P",
    "checked_on": date(2026, 11, 23),
    "text": "A sentence.",
}


def asked(**changes):
    return Requirement.model_validate(ASKED | changes)


@pytest.mark.parametrize(
    ("day", "in_force"),
    [("2026-02-28", False), ("2026-03-01", True), ("2026-03-31", True), ("2026-04-01", False)],
)
def test_both_ends_of_its_period_belong_to_it(day, in_force):
    assert asked().in_force(date.fromisoformat(day)) == in_force


@pytest.mark.parametrize(
    ("standing", "in_force"), [("in force", True), ("voluntary", True), ("draft", False)]
)
def test_a_draft_is_never_in_force(standing, in_force):
    assert asked(standing=standing).in_force(date(2026, 3, 1)) == in_force
    assert asked().standing == "in force"


def test_without_an_end_it_goes_on():
    assert asked(applies_until=None).in_force(date(2099, 1, 1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"applies_until": date(2026, 2, 28)},
        {"source": ""},
        {"source": "http://law.example.org"},
        {"status": "X"},
        {"standing": "proposed"},
        {"tier": "huge"},
        {"statements": [{"role": "janitor", "text": "x"}]},
        {"statements": [{"role": "validator", "text": ""}]},
        {"evidence": ["E6"]},
        {"evidence": ["E06", "E06"]},
        {"id": "z-1"},
        {"text": ""},
        {"another": 1},
    ],
)
def test_what_is_wrong_is_refused(wrong):
    with pytest.raises(ValidationError):
        asked(**wrong)


def test_versions_of_one_id_may_follow_each_other_and_not_overlap():
    first = asked()
    after = asked(applies_from=date(2026, 4, 1), applies_until=None)
    assert requirement_faults([after, first], ["E06"]) == []
    same_day = asked(applies_from=date(2026, 3, 31), applies_until=None)
    (fault,) = requirement_faults([first, same_day], ["E06"])
    assert fault.startswith("ZZ-01: one version applies until 2026-03-31, the next from 2026-03-31")
    (open_end,) = requirement_faults([asked(applies_until=None), after], ["E06"])
    assert "until no end" in open_end


def test_evidence_that_is_unknown_is_told_with_its_requirement():
    (fault,) = requirement_faults([asked(evidence=["E06", "E60"])], ["E06"])
    assert fault.startswith("ZZ-01: unknown evidence E60")


# The repository's own


def test_evidence_names_what_a_run_writes():
    page = (ROOT / "docs" / "artifacts.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)) | {"manifest"}
    known |= {f"report/{name}.html" for name in DOCUMENTS}
    for code, kind in load_evidence().items():
        assert set(kind.artifacts) <= known, code
        assert kind.facts or kind.artifacts or kind.lacking, code
    assert list(load_evidence()) == [f"E{n:02}" for n in range(1, 32)]


@pytest.mark.parametrize(
    ("day", "ids"),
    [("2026-03-01", ("US-12",)), ("2026-05-01", ("US-05", "US-06"))],
)
def test_a_run_judged_before_and_after_april_2026_finds_other_guidance(day, ids):
    (us,) = load_packs(["us"])
    found = {one.id for one in us.in_force(date.fromisoformat(day))}
    assert set(ids) <= found
    assert ("US-12" in found) != ("US-05" in found)


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_pack_has_requirements_with_sources(name):
    (pack,) = load_packs([name])
    assert len(pack.requirements) >= 4
    for one in pack.requirements:
        assert not (one.standing == "draft" and one.only_where), one.id
        assert one.evidence or one.statements or one.id == "IN-08", one.id
