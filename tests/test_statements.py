import pytest

from workbench.errors import ParamsError
from workbench.params import ROOT
from workbench.statements import load_statements
from workbench.study import load_study

GIVEN = {
    "requirement": "US-05",
    "role": "model developer",
    "author": "A. Developer",
    "date": "2026-11-20",
    "text": "Trees catch what lines miss.",
}


def study(*statements, packs="[us]", folder=""):
    overrides = [
        f"data.packs={packs}",
        f"report.statements={list(statements)}",
        f"report.statements_from='{folder}'",
    ]
    return load_study(ROOT / "params" / "smoke.yaml", overrides)


def faults(*statements, **options):
    with pytest.raises(ParamsError) as caught:
        load_statements(study(*statements, **options))
    return caught.value.faults


def write(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_statements_of_the_study_are_read():
    (found,) = load_statements(study(GIVEN))
    assert found.text == "Trees catch what lines miss."
    assert load_statements(study()) == []


def test_a_file_of_a_role_holds_one_text_for_each_requirement(tmp_path):
    head = "---\nauthor: A. Developer\ndate: 2026-11-20\n---\n"
    folder = write(
        tmp_path / "said",
        "model_developer.md",
        f"{head}\n## US-05\n\nTrees.\n\nMore.\n\n## US-06\nSensible.\n",
    )
    found = load_statements(study(folder=folder))
    assert [(one.requirement, one.role, one.text) for one in found] == [
        ("US-05", "model developer", "Trees.\n\nMore."),
        ("US-06", "model developer", "Sensible."),
    ]
    assert {(one.author, one.date) for one in found} == {("A. Developer", "2026-11-20")}


def test_all_faults_are_told_at_once(tmp_path):
    folder = write(
        tmp_path / "said", "janitor.md", "---\nauthor: X\ndate: 2026-11-20\n---\n## US-05\nHello.\n"
    )
    write(folder, "validator.md", "no head")
    found = faults(
        GIVEN,
        GIVEN,
        GIVEN | {"requirement": "US-99"},
        GIVEN | {"requirement": "US-06", "role": "security officer"},
        folder=folder,
    )
    told = "\n".join(found)
    assert "US-99: no requirement of the study's packs" in told
    assert "US-06: the security officer owes no statement; model developer" in told
    assert "US-05: two statements of the model developer" in told
    assert "janitor.md: US-05: role" in told
    assert "validator.md: received no head" in told
    assert len(found) == 5


def test_that_a_requirement_does_not_apply_anyone_may_state():
    said = GIVEN | {"requirement": "US-06", "role": "counsel", "not_applicable": True}
    (found,) = load_statements(study(said))
    assert found.not_applicable


def test_without_packs_there_is_nothing_to_state():
    (fault,) = faults(GIVEN, packs="[]")
    assert "(data.packs is empty)" in fault


def test_a_folder_that_is_not_there():
    assert faults(folder="nowhere") == ("report.statements_from: nowhere: no such folder",)


@pytest.mark.parametrize("key", ["author", "text"])
def test_nobody_and_nothing_are_no_statement(key):
    with pytest.raises(ParamsError, match=key):
        study(GIVEN | {key: ""})
